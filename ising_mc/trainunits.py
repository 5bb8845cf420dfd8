"""The unit of work of training: one machine, whose sweeps are epochs."""

from dataclasses import dataclass, replace

import numpy as np

from ising_mc import streams
from ising_mc.arrayfile import MEMORY_SHARE, available_memory
from ising_mc.boltzmann import MachineSystem, realize
from ising_mc.boltzmannunits import Way
from ising_mc.learning import Recipe, Trainer, make_trainer
from ising_mc.machine import random_machine
from ising_mc.reader import SpecError
from ising_mc.trainingdata import TrainingData, split_held_out
from ising_mc.trainspec import TrainSpec
from ising_mc.unit import Unit
from ising_mc.words import Series

EXAMPLES = 4  # of the small machine that compiles
BYTES = 40  # of memory that a parameter takes: itself, velocity, gradient, copies on their way to a file


@dataclass(frozen=True)
class TrainUnit(Unit):
    """The training of a machine."""

    system: MachineSystem
    choice: Way
    recipe: Recipe
    data: TrainingData
    held_out: float

    @property
    def place(self) -> str:
        """What stands for the temperature in its key."""
        return "train"

    @property
    def full_word(self) -> int:
        """Replicas of a word that is full."""
        return 1

    @property
    def attempts_per_sweep(self) -> int:
        """Unit updates attempted in an epoch."""
        return self.system.n_sites * len(self.data.values) * 2 * self.recipe.steps

    def wanted(self, series: Series) -> Series:
        """All of it."""
        return series

    def sampler(self, seed: int, threads: int) -> Trainer:
        """Its trainer, not started as yet."""
        system = self.system
        rng = np.random.Generator(np.random.SFC64(streams.sequence(seed, "", 0.0, 0, streams.HELD_OUT)))
        train, held = split_held_out(len(self.data.values), self.held_out, rng)
        mask = None
        if system.bonds is not None:
            mask = np.zeros((system.n_sites, system.n_sites), bool)
            mask[system.bonds[:, 0], system.bonds[:, 1]] = mask[system.bonds[:, 1], system.bonds[:, 0]] = True
        machine, values = realize(system, seed).whole, self.data.values
        draw_biases = system.given is None or system.bonds is not None  # a graph has couplings only
        trainer = make_trainer(machine, self.recipe, values[train], values[held], draw_biases, mask)
        trainer.seed, trainer.label = seed, system.label  # one that is restored is not started
        return trainer

    def warm_up(self, threads: int) -> None:
        """Compile what its trainer needs, or load it from the cache."""
        own = self.system
        recipe = replace(self.recipe, batch=2, epochs=2, chains=0, rate=0.01, momentum=0.0, l1=0.0, l2=0.0)
        sizes = tuple(min(size, 2) for size in own.sizes)
        machine = random_machine(own.kind, own.units, sizes, 0.1, np.random.default_rng(0))
        values = np.ones((EXAMPLES, sizes[0]), np.float32)
        values[::2] = machine.low
        trainer = make_trainer(machine, recipe, values, values[:1])
        trainer.start(0, "example", 0.0, 0, "")
        trainer.record(1, 1)

    def memory_needed(self) -> int:
        """Bytes that its trainer takes, roughly."""
        system = self.system
        pairs = system.n_bonds if system.kind == "restricted" else system.n_sites**2  # others have a matrix of all
        return BYTES * pairs + 1024 * system.n_sites


def train_units(spec: TrainSpec) -> list[TrainUnit]:
    """The only unit of a training run; raises SpecError where it does not fit into memory."""
    system = spec.systems[0]
    kernel = "contrastive" if system.kind == "restricted" else "contrastive_general"
    what = {"exact": "exact gradient, by enumeration", "cd": "chains from the data", "pcd": "persistent chains"}
    reason = what.get(spec.recipe.method, f"persistent chains at {spec.recipe.temperings} temperatures")
    way = Way(spec.recipe.method, kernel, reason)
    unit = TrainUnit(system, 1.0, 0, 1, way, spec.recipe, spec.data, spec.held_out)
    needed, room = unit.memory_needed(), MEMORY_SHARE * available_memory()
    if needed > room:
        raise SpecError(
            f"{spec.prefix}learning {system.label} takes about {needed / 1e9:.3g} GB of memory, more than half of what "
            f"is available ({2 * room / 1e9:.3g} GB): give it fewer units"
        )
    return [unit]
