"""Run files of Boltzmann machines: sampling at the temperatures of a grid, annealing, and training."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from ising_mc.annealing import Schedule
from ising_mc.arrayfile import DataFileError, check_text, load_text, only, read_binary
from ising_mc.boltzmann import KERNELS, ORDERS, Clamp, MachineSystem
from ising_mc.graphfile import GraphData
from ising_mc.isingspec import read_schedule
from ising_mc.likelihood import MOST_SUMMED
from ising_mc.machine import KINDS, UNITS, Machine
from ising_mc.machinefile import read_machine
from ising_mc.reader import LARGEST_COUNT, Reader, SpecError, cut
from ising_mc.runspec import RunSpec
from ising_mc.systemspec import digest
from ising_mc.words import LANES, STARTS

MACHINE_KEYS = ("kind", "units", "visible", "hidden", "weights", "scale", "graph", "one_based", "order")
MOST_UNITS = 1 << 24
MOST_GENERAL = 1 << 14  # units of a general machine, which has a matrix of all pairs
LOG_Z = ("auto", "exact", "ais", "none")
FREE = {"binary": -1, "spin": 0}  # what stands for a unit that is not clamped


@dataclass(frozen=True, kw_only=True)
class MachineSpec(RunSpec):
    """A run that samples a machine at each temperature of a grid: replicas are chains."""

    kind: ClassVar[str] = "boltzmann"
    systems: tuple[MachineSystem, ...]
    kernel: str
    exchange_every: int  # sweeps between rounds of tempering, 0 without
    log_z: str

    observables: ClassVar[tuple[str, ...]] = ()
    moves_pairs: ClassVar[bool] = False

    def identity(self) -> dict[str, Any]:
        """What a run is, key by key: all that decides its samples but sweeps and temperatures, which may grow."""
        own = {
            "grid.replicas": self.replicas,
            "schedule.thermalization": self.thermalization,
            "schedule.measure_every": self.measure_every,
            "tempering.every": self.exchange_every,
            "algorithm.start": self.start,
            "measure.log_z": self.log_z,
        }
        if self.exchange_every:
            own["grid.temperatures"] = sorted(self.temperatures)
        return machine_identity(self.systems) | {"algorithm.kernel": self.kernel} | own


@dataclass(frozen=True, kw_only=True)
class MachineAnnealSpec(RunSpec):
    """A run that cools a machine: replicas are reads, and all sweeps are thermalization."""

    kind: ClassVar[str] = "boltzmann_anneal"
    systems: tuple[MachineSystem, ...]
    kernel: str
    schedule: Schedule
    target: float | None

    @property
    def amount(self) -> str:
        """How much is to be done, in a few words."""
        cooling = self.schedule.temperatures()
        return f"{self.replicas} reads of {len(cooling)} sweeps, from T = {cooling[0]:g} to {cooling[-1]:g}"

    def identity(self) -> dict[str, Any]:
        """What a run is, key by key."""
        own = self.schedule
        return machine_identity(self.systems) | {
            "algorithm.kernel": self.kernel,
            "anneal.reads": self.replicas,
            "anneal.schedule": own.kind,
            "anneal.from": own.start,
            "anneal.to": own.stop,
            "anneal.temperatures": list(own.steps),
            "anneal.sweeps": own.sweeps,
            "anneal.target": self.target,
        }


def machine_identity(systems: Sequence[MachineSystem]) -> dict[str, Any]:
    """What machines are, key by key."""
    first = systems[0]
    clamps = [own.clamp for own in systems if own.clamp]
    return {
        "model.kind": "boltzmann",
        "machine.kind": first.kind,
        "machine.units": first.units,
        "machine.sizes": list(first.sizes),
        "machine.weights": first.digest,
        "machine.scale": first.scale,
        "machine.graph": digest(first.bonds) if first.bonds is not None else "",
        "machine.order": first.order,
        "clamp": [[list(own.units), list(own.values)] for own in clamps],
    }


KEYS: dict[str, tuple[str, ...]] = {
    "run": ("name", "seed"),
    "model": ("kind",),
    "machine": MACHINE_KEYS,
    "clamp": ("units", "values", "file"),
    "grid": ("temperatures", "replicas"),
    "schedule": ("thermalization", "sweeps", "measure_every", "checkpoint_seconds"),
    "measure": ("log_z",),
    "algorithm": ("kernel", "start"),
    "tempering": ("every",),
    "anneal": ("schedule", "from", "to", "temperatures", "sweeps", "reads", "target"),
}


def read_spec(reader: Reader, default_name: str, text: str) -> MachineSpec | MachineAnnealSpec:
    """A run from the tables of its file.

    Raises SpecError, with one sentence that names the key and what is allowed.
    """
    system, warnings = read_system(reader)
    systems = _with_clamps(reader, system)
    common: dict[str, Any] = {
        "name": reader.name("run.name", default_name),
        "seed": reader.seed("run.seed"),
        "systems": systems,
        "checkpoint_seconds": reader.number("schedule.checkpoint_seconds", 60.0, positive=True),
        "kernel": reader.choice("algorithm.kernel", ("auto", *KERNELS), "auto"),
        "warnings": tuple(warnings),
        "text": text,
    }
    if "anneal" in reader.tables:
        return _annealing_run(reader, common)
    spec = MachineSpec(
        **common,
        temperatures=reader.temperatures("grid.temperatures", [1.0]),
        replicas=reader.integer("grid.replicas", 64, 1, LARGEST_COUNT),
        thermalization=reader.integer("schedule.thermalization", 1000, 0),
        sweeps=reader.integer("schedule.sweeps", 10000, 1),
        measure_every=reader.integer("schedule.measure_every", 1, 1),
        start=reader.choice("algorithm.start", STARTS, "mixed"),
        exchange_every=reader.integer("tempering.every", 1, 1) if "tempering" in reader.tables else 0,
        log_z=reader.choice("measure.log_z", LOG_Z, "auto"),
    )
    if spec.sweeps % spec.measure_every:
        raise SpecError(
            f"schedule.sweeps = {spec.sweeps} must be a multiple of schedule.measure_every = {spec.measure_every}"
        )
    if spec.exchange_every:
        _check_tempering(spec)
    if spec.log_z == "exact":
        _check_sums(spec)
    return spec


def _annealing_run(reader: Reader, common: dict[str, Any]) -> MachineAnnealSpec:
    """A run that cools; what only other runs have is refused."""
    for table in ("grid", "measure", "tempering", "schedule"):
        extra = [key for key in reader.tables.get(table, {}) if (table, key) != ("schedule", "checkpoint_seconds")]
        if extra or (table == "tempering" and table in reader.tables):
            what = f"{table}.{extra[0]}" if extra else f"[{table}]"
            raise SpecError(
                f"{what} has no meaning in an annealing run: [anneal] says what is done, with reads and sweeps"
            )
    if "start" in reader.tables.get("algorithm", {}):
        raise SpecError("algorithm.start has no meaning in an annealing run, whose reads start at random")
    schedule = read_schedule(reader)
    target = reader.get("anneal.target", None)
    return MachineAnnealSpec(
        **common,
        temperatures=(),
        replicas=reader.integer("anneal.reads", LANES, 1, LARGEST_COUNT),
        thermalization=schedule.sweeps,
        sweeps=0,
        measure_every=1,
        start="random",
        schedule=schedule,
        target=None if target is None else reader.number("anneal.target", 0.0),
    )


def _check_tempering(spec: MachineSpec) -> None:
    every, number = spec.exchange_every, len(spec.temperatures)
    if not 2 <= number <= LANES:
        raise SpecError(
            f"[tempering] exchanges 2 to {LANES} temperatures, not {number}: change grid.temperatures, or take the "
            "table out"
        )
    for key, value in (
        ("measure_every", spec.measure_every),
        ("thermalization", spec.thermalization),
        ("sweeps", spec.sweeps),
    ):
        if value % every:
            raise SpecError(f"schedule.{key} = {value} must be a multiple of tempering.every = {every}")


def _check_sums(spec: MachineSpec) -> None:
    """Refuse a partition sum that is too long, before anything is sampled."""
    for system in spec.systems:
        sizes = system.free_sizes
        summed = sum(sizes) if system.kind == "general" else min(sum(sizes[::2]), sum(sizes[1::2]))
        if summed > MOST_SUMMED:
            raise SpecError(
                f"measure.log_z = 'exact' sums over the states of {summed} units of {system.label}, but at most "
                f"{MOST_SUMMED} can be: take 'ais'"
            )


# --- the machine --------------------------------------------------------------------------------------------------


def read_system(reader: Reader, sizes_from_data: Callable[[], int] | None = None) -> tuple[MachineSystem, list[str]]:
    """The machine of the table [machine], nothing clamped, and what to warn of.

    sizes_from_data: tells how many visible units there are where the file does not.
    """
    if "machine" not in reader.tables:
        raise SpecError("the table [machine] is missing: give kind, units, visible and hidden, or weights")
    kind = reader.choice("machine.kind", KINDS, "restricted")
    units = reader.choice("machine.units", UNITS, "binary")
    reader.only_own("machine", kind, {"graph": ("general",), "one_based": ("general",), "order": ("general",)})
    order = reader.choice("machine.order", ORDERS, "sequential")
    scale = reader.number("machine.scale", 0.01)
    if scale < 0:
        raise SpecError(f"machine.scale, the standard deviation of random weights, must not be negative, not {scale:g}")
    given = reader.get("machine.weights", None)
    if given is not None:
        if sizes_from_data and "hidden" in reader.tables["machine"] and "visible" not in reader.tables["machine"]:
            reader.tables["machine"]["visible"] = sizes_from_data()
        for key in ("graph", "one_based", "scale"):
            if reader.get(f"machine.{key}", None) is not None:
                raise SpecError(f"machine.{key} has no meaning beside machine.weights, which holds the machine itself")
        return _given(reader, kind, units, order), []
    graph = _graph(reader, kind)
    if graph is None and reader.get("machine.visible", None) is None and sizes_from_data:
        reader.tables["machine"]["visible"] = sizes_from_data()
    sizes = _sizes(reader, kind, graph)
    if sizes is None:
        raise SpecError("machine.visible is missing: give the number of visible units, or machine.weights")
    if kind == "general" and sum(sizes) > MOST_GENERAL:
        raise SpecError(
            f"a general machine, with a matrix of pairs, has at most {MOST_GENERAL} units, not {sum(sizes)}"
        )
    if graph is None:
        return MachineSystem(kind, units, sizes, scale=scale, order=order), []
    if graph.couplings is None:
        own = digest(graph.bonds)
        return MachineSystem(kind, units, sizes, None, own, scale, graph.bonds, order), list(graph.warnings)
    if reader.get("machine.scale", None) is not None:
        raise SpecError("machine.scale has no meaning beside a machine.graph whose third column holds the couplings")
    J = np.zeros((sum(sizes), sum(sizes)))
    J[graph.bonds[:, 0], graph.bonds[:, 1]] = J[graph.bonds[:, 1], graph.bonds[:, 0]] = graph.couplings
    machine = Machine(kind, units, sizes, (J,), (np.zeros(len(J)),))
    return replace(_system(machine, order), bonds=graph.bonds), list(graph.warnings)


def _given(reader: Reader, kind: str, units: str, order: str) -> MachineSystem:
    path = reader.path("machine.weights")
    sizes = _sizes(reader, kind, None)
    try:
        machine = read_machine(path, kind, units, sizes)
    except DataFileError as error:
        raise SpecError(f"machine.weights: {error}") from error
    return _system(machine, order)


def _system(machine: Machine, order: str) -> MachineSystem:
    own = digest(*machine.weights, *machine.biases)
    return MachineSystem(machine.kind, machine.units, machine.sizes, machine, own, scale=0.0, order=order)


def _graph(reader: Reader, kind: str) -> GraphData | None:
    if reader.get("machine.graph", None) is None:
        if reader.get("machine.one_based", None) is not None:
            raise SpecError("machine.one_based goes with machine.graph = 'FILE'")
        return None
    _, graph = reader.graph("machine.graph", "machine.one_based")
    return graph


def _sizes(reader: Reader, kind: str, graph: GraphData | None) -> tuple[int, ...] | None:
    """Units of each layer, as far as the file says; None where it does not."""
    visible, hidden = reader.get("machine.visible", None), reader.get("machine.hidden", None)
    if visible is None and graph is not None:
        visible = graph.n_sites - (hidden if isinstance(hidden, int) else 0)
        if visible < 1:
            raise SpecError(f"machine.hidden = {cut(hidden)}, but machine.graph has {graph.n_sites} units in all")
    if visible is None:
        if hidden is not None:
            raise SpecError("machine.hidden goes with machine.visible, which is missing")
        return None
    if hidden == [] or (hidden is None and kind != "general"):
        what = "the number of units of each hidden layer, a list" if kind == "layered" else "the number of hidden units"
        raise SpecError(f"machine.hidden is {'missing' if hidden is None else 'empty'}: give {what}")
    values = [visible, *(hidden if isinstance(hidden, list) else [0 if hidden is None else hidden])]
    smallest = 0 if kind == "general" else 1
    for number, value in enumerate(values):
        key, least = ("machine.visible", 1) if number == 0 else ("machine.hidden", smallest)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MOST_UNITS:
            raise SpecError(f"{key} must be a whole number from {least} to {MOST_UNITS}, not {cut(value)}")
    if kind != "layered" and len(values) != 2:
        raise SpecError(f"machine.hidden must be one number for machine.kind = '{kind}'; a list is for 'layered'")
    if graph is not None and sum(values) != graph.n_sites:
        raise SpecError(
            f"machine.graph has {graph.n_sites} units, but machine.visible and machine.hidden together {sum(values)}"
        )
    return tuple(values)


# --- clamps -------------------------------------------------------------------------------------------------------


def _with_clamps(reader: Reader, system: MachineSystem) -> tuple[MachineSystem, ...]:
    """The machine with each of its clamps, or as it is."""
    if "clamp" not in reader.tables:
        return (system,)
    if reader.get("clamp.file", None) is not None:
        for key in ("units", "values"):
            if reader.get(f"clamp.{key}", None) is not None:
                raise SpecError(f"clamp.{key} has no meaning beside clamp.file, which holds units and values")
        clamps = _clamp_rows(reader, system)
    else:
        clamps = [_clamp(reader, system)]
    numbered = [
        Clamp(units, values, number if len(clamps) > 1 else None) for number, (units, values) in enumerate(clamps)
    ]
    return tuple(
        MachineSystem(
            system.kind, system.units, system.sizes, system.given, system.digest, system.scale, system.bonds,
            system.order, own,
        )
        for own in numbered
    )  # fmt: skip


Held = tuple[tuple[int, ...], tuple[int, ...]]


def _clamp(reader: Reader, system: MachineSystem) -> Held:
    units, values = reader.get("clamp.units", None), reader.get("clamp.values", None)
    if not isinstance(units, list) or not isinstance(values, list):
        raise SpecError("[clamp] needs the lists units and values, or a file of visible states")
    n, low = sum(system.sizes), 0 if system.units == "binary" else -1
    for unit in units:
        if isinstance(unit, bool) or not isinstance(unit, int) or not 0 <= unit < n:
            raise SpecError(f"clamp.units names unit {cut(unit)}, but there are units 0 to {n - 1}")
    if len(set(units)) < len(units):
        raise SpecError("clamp.units names a unit twice")
    if len(units) != len(values):
        raise SpecError(f"clamp.units names {len(units)} units, but clamp.values has {len(values)} values")
    for value in values:
        if isinstance(value, bool) or value not in (low, 1):
            raise SpecError(f"clamp.values must be {low} or 1 for machine.units = '{system.units}', not {cut(value)}")
    if len(units) == n:
        raise SpecError("clamp.units holds all units: nothing is left to be drawn")
    return tuple(units), tuple(int(value) for value in values)


def _clamp_rows(reader: Reader, system: MachineSystem) -> list[Held]:
    """Units and values of each row of a file of visible states."""
    path, free, low = reader.path("clamp.file"), FREE[system.units], 0 if system.units == "binary" else -1
    rows = reader.from_file("clamp.file", lambda: _matrix(path))
    if rows.ndim == 1:
        rows = rows[None]
    if rows.ndim != 2 or rows.shape[1] != system.sizes[0] or not len(rows):
        raise SpecError(
            f"clamp.file: {path} must hold rows of {system.sizes[0]} visible units, not an array of shape {rows.shape}"
        )
    bad = np.argwhere(~np.isin(rows, (low, 1, free)))
    if len(bad):
        k, i = bad[0]
        raise SpecError(
            f"clamp.file: {path}, row {k}, unit {i} (counted from 0) is {rows[k, i]:g}, but must be {low} or 1, "
            f"or {free} for a unit that is free"
        )
    if np.all(rows != free, axis=1).any() and sum(system.sizes) == system.sizes[0]:
        raise SpecError(f"clamp.file: {path} has a row that holds all units: nothing is left to be drawn")
    return [
        (tuple(np.flatnonzero(row != free).tolist()), tuple(int(value) for value in row[row != free])) for row in rows
    ]


def _matrix(path: str) -> np.ndarray:
    content = read_binary(path)
    if content is not None:
        found = only(path, content, "one array")
        if not isinstance(found, np.ndarray):
            raise DataFileError(f"{path} must hold an array, not a sparse matrix")
        return found
    found = load_text(path, np.float64, check_text(path), 0, 2)
    if found is None:
        raise DataFileError(f"{path} must hold rows of numbers, all of one length")
    return np.asarray(found)
