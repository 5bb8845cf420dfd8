"""Run files of Boltzmann machines, also those that train them: the table [train] beside [machine]."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from ising_mc import boltzmannspec
from ising_mc.boltzmann import MachineSystem
from ising_mc.boltzmannspec import machine_identity, read_system
from ising_mc.learning import CLAMPED, METHODS, STARTS, Recipe, check_recipe
from ising_mc.reader import LARGEST_COUNT, Reader, SpecError
from ising_mc.runspec import RunSpec
from ising_mc.systemspec import digest
from ising_mc.trainingdata import TrainingData, read_data, split_held_out

TRAIN_KEYS = (
    "data", "threshold", "held_out", "method", "steps", "epochs", "batch", "chains", "rate", "decay", "momentum", "l1",
    "l2", "centred", "temperings", "clamped", "start", "evaluate_every",
)  # fmt: skip
OWN_KEYS = {"temperings": ("pt",), "chains": ("pcd", "pt"), "steps": METHODS[1:], "clamped": ("cd", "pcd")}
MOST_EPOCHS = 10**7
KEYS = boltzmannspec.KEYS | {"train": TRAIN_KEYS}


@dataclass(frozen=True, kw_only=True)
class TrainSpec(RunSpec):
    """A run that trains a machine: its sweeps are epochs."""

    kind: ClassVar[str] = "train"
    systems: tuple[MachineSystem, ...]
    recipe: Recipe
    held_out: float  # share of the examples that is held out
    data: TrainingData = field(repr=False, compare=False)
    data_digest: str

    @property
    def amount(self) -> str:
        """How much is to be done, in a few words."""
        recipe = self.recipe
        return f"{self.sweeps} epochs of {recipe.method} on {len(self.data.values)} examples, batches of {recipe.batch}"

    def identity(self) -> dict[str, Any]:
        """What a run is, key by key: all but the number of epochs, which may grow."""
        own = {f"train.{name}": value for name, value in vars(self.recipe).items() if name != "epochs"}
        own |= {"train.held_out": self.held_out, "train.data": self.data_digest}
        return machine_identity(self.systems) | own


def read_spec(reader: Reader, default_name: str, text: str) -> RunSpec:
    """A run of a machine from the tables of its file: training where there is [train], else sampling or annealing.

    Raises SpecError, with one sentence that names the key and what is allowed.
    """
    if "train" in reader.tables:
        return read_training(reader, default_name, text)
    return boltzmannspec.read_spec(reader, default_name, text)


def read_training(reader: Reader, default_name: str, text: str) -> TrainSpec:
    """A training run from the tables of its file.

    Raises SpecError, with one sentence that names the key and what is allowed.
    """
    for table in ("grid", "clamp", "measure", "tempering", "anneal", "algorithm", "schedule"):
        extra = [key for key in reader.tables.get(table, {}) if (table, key) != ("schedule", "checkpoint_seconds")]
        if extra or (table in reader.tables and table != "schedule"):
            raise SpecError(
                f"[{table}] has no meaning beside [train]: sample the trained machine by a run file of its own, with "
                "machine.weights = the result file"
            )
    if reader.get("machine.order", None) is not None:
        raise SpecError("machine.order has no meaning beside [train]: learning visits units one after the other")
    system, warnings = read_system(reader, sizes_from_data=lambda: _visible(reader))
    threshold = _threshold(reader)
    path = reader.path("train.data")
    data = reader.from_file("train.data", lambda: read_data(path, system.sizes[0], system.units, threshold))
    recipe = _recipe(reader, system, len(data.values))
    share = reader.number("train.held_out", 0.0)
    if not 0 <= share < 1:
        raise SpecError(f"train.held_out, a share of the examples, must be at least 0 and below 1, not {share:g}")
    try:
        split_held_out(len(data.values), share, np.random.default_rng(0))
    except ValueError as error:
        raise SpecError(f"train.held_out: {error}") from error
    try:
        check_recipe(system.kind, system.sizes, recipe)
    except ValueError as error:
        raise SpecError(str(error)) from error
    if not data.is_binary:
        warnings.append("the data are not all states of units: they are taken as probabilities, and drawn each epoch")
    return TrainSpec(
        name=reader.name("run.name", default_name),
        seed=reader.seed("run.seed"),
        systems=(system,),
        temperatures=(),
        replicas=1,
        thermalization=0,
        sweeps=recipe.epochs,
        measure_every=1,
        checkpoint_seconds=reader.number("schedule.checkpoint_seconds", 60.0, positive=True),
        start="random",
        recipe=recipe,
        held_out=share,
        data=data,
        data_digest=digest(data.values),
        warnings=tuple(warnings),
        text=text,
    )


def _visible(reader: Reader) -> int:
    """Visible units, from the data."""
    units, threshold = str(reader.get("machine.units", "binary")), _threshold(reader)
    path = reader.path("train.data")
    found: TrainingData = reader.from_file("train.data", lambda: read_data(path, None, units, threshold))
    return int(np.shape(found.values)[1])


def _threshold(reader: Reader) -> float | None:
    return None if reader.get("train.threshold", None) is None else reader.number("train.threshold", 0.0)


def _recipe(reader: Reader, system: MachineSystem, examples: int) -> Recipe:
    default = Recipe()
    method = reader.choice("train.method", METHODS, default.method)
    reader.only_own("train", method, OWN_KEYS, "method")
    if system.kind == "restricted" and reader.get("train.clamped", None) is not None:
        raise SpecError(
            "train.clamped has no meaning with machine.kind = 'restricted', whose hidden units are independent of one "
            "another while the visible ones are held"
        )
    if reader.get("machine.weights", None) is not None and reader.get("train.start", None) is not None:
        raise SpecError("train.start has no meaning beside machine.weights, which holds the biases to start from")
    largest = max(LARGEST_COUNT, examples)
    batch = reader.integer("train.batch", examples if method == "exact" else default.batch, 1, largest)
    numbers = {
        name: reader.number(f"train.{name}", getattr(default, name)) for name in ("decay", "momentum", "l1", "l2")
    }
    for name, value in numbers.items():
        if value < 0 or (name == "momentum" and value >= 1):
            raise SpecError(f"train.{name} must be at least 0{' and below 1' * (name == 'momentum')}, not {value:g}")
    epochs = reader.integer("train.epochs", default.epochs, 1, MOST_EPOCHS)
    return Recipe(
        method=method,
        steps=reader.integer("train.steps", default.steps, 1, LARGEST_COUNT),
        epochs=epochs,
        batch=min(batch, examples),
        chains=reader.integer("train.chains", 0, 1, LARGEST_COUNT) if "chains" in reader.tables["train"] else 0,
        rate=reader.number("train.rate", default.rate, positive=True),
        centred=reader.truth("train.centred", default.centred),
        temperings=reader.integer("train.temperings", default.temperings, 2, 1000),
        clamped=reader.choice("train.clamped", CLAMPED, default.clamped),
        start=reader.choice("train.start", STARTS, default.start),
        evaluate_every=reader.integer("train.evaluate_every", default.evaluate_every, 1, MOST_EPOCHS),
        **numbers,
    )
