"""Run files of the Ising model: sampling at the temperatures of a grid, and simulated annealing."""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, ClassVar

from ising_mc.algorithms import CLIMBERS, HOUDAYER, PACKINGS, UPDATES
from ising_mc.annealing import SCHEDULES, Schedule
from ising_mc.ising import FileGraph, System
from ising_mc.lattices import Lattice
from ising_mc.observers import OBSERVABLES, OF_PAIRS
from ising_mc.preparation import CLUSTER_UPDATES, KERNELS, LOCAL_UPDATES
from ising_mc.reader import LARGEST_COUNT, TEMPERATURE_RANGE, Reader, SpecError, cut, is_temperature, known
from ising_mc.runspec import RunSpec
from ising_mc.systemspec import read_systems
from ising_mc.words import LANES, STARTS

KEYS: dict[str, tuple[str, ...]] = {
    "run": ("name", "seed"),
    "model": ("kind",),
    "lattice": ("kind", "size", "boundary", "degree", "path", "one_based"),
    "couplings": ("kind", "J", "p", "mean", "sigma", "path", "one_based", "disorder_samples"),
    "field": ("kind", "B", "mu", "strength"),
    "grid": ("temperatures", "replicas"),
    "schedule": ("thermalization", "sweeps", "measure_every", "checkpoint_seconds"),
    "measure": ("observables",),
    "algorithm": ("kind", "cycle", "kernel", "packing", "start"),
    "tempering": ("every", "ladder", "houdayer"),
    "anneal": ("schedule", "from", "to", "temperatures", "sweeps", "reads", "target"),
}
MOST_COOLING = 10**8  # sweeps of a read, each with a temperature in the result file
LADDERS = ("grid", "auto")


@dataclass(frozen=True, kw_only=True)
class SamplingSpec(RunSpec):
    """A run that samples each system at each temperature of a grid."""

    kind: ClassVar[str] = "ising"
    systems: tuple[System, ...]
    algorithm: str
    kernel: str
    packing: str
    observables: tuple[str, ...]
    cycle: tuple[tuple[str, int], ...]  # updates that take turns, and their sweeps
    exchange_every: int  # sweeps between rounds of tempering, 0 without
    houdayer: bool  # isoenergetic moves after each round of tempering
    ladder: str  # "grid": the temperatures of the grid; "auto": as many, placed for uniform swap rates
    asked: tuple[float, ...] = ()  # temperatures of the grid, where a ladder was placed between its ends

    @property
    def moves_pairs(self) -> bool:
        """Whether replicas 2k and 2k + 1 pass energy to one another, and are not independent."""
        return self.houdayer or any(update == HOUDAYER for update, _ in self.cycle)

    @property
    def places_its_ladder(self) -> bool:
        """Whether its temperatures come from a pilot."""
        return self.ladder == "auto" and self.exchange_every > 0

    def identity(self) -> dict[str, Any]:
        """What a run is, key by key: all that decides its samples but sweeps and temperatures, which may grow."""
        own = {
            "grid.replicas": self.replicas,
            "schedule.thermalization": self.thermalization,
            "schedule.measure_every": self.measure_every,
            "measure.observables": list(self.observables),
            "algorithm.cycle": [list(entry) for entry in self.cycle],
            "algorithm.packing": self.packing,
        }
        return _identity(self) | own | self._tempering()

    def _tempering(self) -> dict[str, Any]:
        """With tempering, every temperature has its say in all samples."""
        if not self.exchange_every:
            return {"tempering.every": 0}
        return {
            "tempering.every": self.exchange_every,
            "tempering.ladder": self.ladder,
            "tempering.houdayer": self.houdayer,
            "grid.temperatures": sorted(self.asked or self.temperatures),
        }


@dataclass(frozen=True, kw_only=True)
class AnnealSpec(RunSpec):
    """A run that cools: replicas are reads, and all sweeps are thermalization."""

    kind: ClassVar[str] = "anneal"
    systems: tuple[System, ...]
    algorithm: str
    kernel: str
    schedule: Schedule
    target: float | None  # energy that it is to reach

    @property
    def amount(self) -> str:
        """How much is to be done, in a few words."""
        cooling = self.schedule.temperatures()
        return f"{self.replicas} reads of {len(cooling)} sweeps, from T = {cooling[0]:g} to {cooling[-1]:g}"

    def identity(self) -> dict[str, Any]:
        """What a run is, key by key."""
        own = self.schedule
        return _identity(self) | {
            "anneal.reads": self.replicas,
            "anneal.schedule": own.kind,
            "anneal.from": own.start,
            "anneal.to": own.stop,
            "anneal.temperatures": list(own.steps),
            "anneal.sweeps": own.sweeps,
            "anneal.target": self.target,
        }


def _identity(spec: SamplingSpec | AnnealSpec) -> dict[str, Any]:
    """What a system is, and how it is sampled."""
    shapes = list(dict.fromkeys(system.shape for system in spec.systems))
    couplings, own_field = spec.systems[0].couplings, spec.systems[0].field
    first = shapes[0]
    return {
        "model.kind": "ising",
        "lattice.kind": first.kind,
        "lattice.size": [list(shape.size) for shape in shapes],
        "lattice.boundary": list(first.periodic),
        "lattice.degree": first.degree if isinstance(first, Lattice) else 0,
        "lattice.path": f"{first.label} {first.digest}" if isinstance(first, FileGraph) else "",
        "couplings.kind": couplings.kind,
        "couplings.J": list(couplings.J),
        "couplings.p": couplings.p,
        "couplings.mean": couplings.mean,
        "couplings.sigma": couplings.sigma,
        "couplings.path": couplings.file.digest if couplings.file else "",
        "couplings.disorder_samples": len(spec.systems) // len(shapes),
        "field.kind": own_field.kind,
        "field.B": own_field.file.digest if own_field.file else own_field.B,
        "field.mu": own_field.mu,
        "algorithm.kind": spec.algorithm,
        "algorithm.kernel": spec.kernel,
        "algorithm.start": spec.start,
    }


def read_spec(reader: Reader, default_name: str, text: str) -> SamplingSpec | AnnealSpec:
    """A run from the tables of its file.

    Raises SpecError, with one sentence that names the key and what is allowed.
    """
    systems, warnings = read_systems(reader)
    if "anneal" in reader.tables:
        return _annealing_run(reader, systems, warnings, default_name, text)
    spec = SamplingSpec(
        name=reader.name("run.name", default_name),
        seed=reader.seed("run.seed"),
        systems=systems,
        temperatures=reader.temperatures("grid.temperatures"),
        replicas=reader.integer("grid.replicas", 64, 1, LARGEST_COUNT),
        thermalization=reader.integer("schedule.thermalization", 1000, 0),
        sweeps=reader.integer("schedule.sweeps", 10000, 1),
        measure_every=reader.integer("schedule.measure_every", 1, 1),
        checkpoint_seconds=reader.number("schedule.checkpoint_seconds", 60.0, positive=True),
        algorithm=reader.choice("algorithm.kind", ("auto", *UPDATES), "auto"),
        kernel=reader.choice("algorithm.kernel", ("auto", *KERNELS), "auto"),
        packing=reader.choice("algorithm.packing", ("auto", *PACKINGS), "auto"),
        start=reader.choice("algorithm.start", STARTS, "mixed"),
        observables=reader.names("measure.observables", OBSERVABLES),
        cycle=_read_cycle(reader),
        exchange_every=reader.integer("tempering.every", 1, 1) if "tempering" in reader.tables else 0,
        houdayer=reader.truth("tempering.houdayer", False),
        ladder=reader.choice("tempering.ladder", LADDERS, "grid"),
        warnings=tuple(warnings),
        text=text,
    )
    if spec.sweeps % spec.measure_every:
        raise SpecError(
            f"schedule.sweeps = {spec.sweeps} must be a multiple of schedule.measure_every = {spec.measure_every}"
        )
    if spec.exchange_every:
        _check_tempering(spec)
    if spec.moves_pairs and spec.replicas % 2:
        raise SpecError(f"grid.replicas = {spec.replicas} must be even, because '{HOUDAYER}' moves pairs of replicas")
    if spec.moves_pairs and spec.start == "mixed":
        return replace(spec, start="mixed_pairs")  # both of a pair alike, or no start could be told from the other
    return spec


def _annealing_run(
    reader: Reader, systems: tuple[System, ...], warnings: list[str], default_name: str, text: str
) -> AnnealSpec:
    """A run that cools; what only other runs have is refused."""
    for table in ("grid", "measure", "tempering", "schedule"):
        extra = [key for key in reader.tables.get(table, {}) if (table, key) != ("schedule", "checkpoint_seconds")]
        if extra or (table == "tempering" and table in reader.tables):
            what = f"{table}.{extra[0]}" if extra else f"[{table}]"
            raise SpecError(
                f"{what} has no meaning in an annealing run: [anneal] says what is done, with reads and sweeps"
            )
    for key in ("cycle", "start", "packing"):
        if key in reader.tables.get("algorithm", {}):
            raise SpecError(
                f"algorithm.{key} has no meaning in an annealing run, whose reads start at random, 64 a word"
            )
    schedule = read_schedule(reader)
    if schedule.kind != "list" and schedule.start == schedule.stop:
        warnings.append(f"anneal.from and anneal.to are both {schedule.start:g}: nothing cools")
    target = reader.get("anneal.target", None)
    return AnnealSpec(
        name=reader.name("run.name", default_name),
        seed=reader.seed("run.seed"),
        systems=systems,
        temperatures=(),
        replicas=reader.integer("anneal.reads", LANES, 1, LARGEST_COUNT),
        thermalization=schedule.sweeps,
        sweeps=0,
        measure_every=1,
        checkpoint_seconds=reader.number("schedule.checkpoint_seconds", 60.0, positive=True),
        algorithm=reader.choice("algorithm.kind", ("auto", *LOCAL_UPDATES), "auto"),
        kernel=reader.choice("algorithm.kernel", ("auto", *CLIMBERS), "auto"),
        start="random",
        schedule=schedule,
        target=None if target is None else reader.number("anneal.target", 0.0),
        warnings=tuple(warnings),
        text=text,
    )


def read_schedule(reader: Reader) -> Schedule:
    """How a run cools, from the table [anneal]."""
    kind = reader.choice("anneal.schedule", SCHEDULES, "geometric")
    reader.only_own(
        "anneal", kind, {"from": SCHEDULES[:2], "to": SCHEDULES[:2], "temperatures": SCHEDULES[2:]}, "schedule"
    )
    sweeps = reader.integer("anneal.sweeps", 1000, 1, MOST_COOLING)
    if kind == "list":
        if not isinstance(reader.get("anneal.temperatures", None), list):
            raise SpecError("anneal.temperatures must be a list, from hot to cold")
        steps = reader.temperatures("anneal.temperatures", repeats=True)
        if sweeps % len(steps):
            raise SpecError(
                f"anneal.sweeps = {sweeps} must be a multiple of the {len(steps)} temperatures, which share them"
            )
        if any(one < other for one, other in pairwise(steps)):
            raise SpecError("anneal.temperatures heats on its way: annealing cools, so give them from hot to cold")
        return Schedule(kind, 0.0, 0.0, steps, sweeps)
    ends = []
    for key in ("from", "to"):
        if reader.get(f"anneal.{key}", None) is None:
            raise SpecError(
                f"anneal.{key} is missing: cool from about the number of neighbours times |J| to about 0.1 |J|"
            )
        value = reader.number(f"anneal.{key}", 0.0, positive=True)
        if not is_temperature(value):
            raise SpecError(f"anneal.{key} must be a positive number {TEMPERATURE_RANGE}, not {value:g}")
        ends.append(value)
    if ends[0] < ends[1]:
        raise SpecError(
            f"anneal.from = {ends[0]:g} is colder than anneal.to = {ends[1]:g}: annealing cools, so exchange the two"
        )
    if sweeps < 2:
        raise SpecError("anneal.sweeps must be at least 2, one at each end of the schedule")
    return Schedule(kind, ends[0], ends[1], (), sweeps)


def _read_cycle(reader: Reader) -> tuple[tuple[str, int], ...]:
    """Updates that take turns: names, or {name = sweeps}."""
    value = reader.get("algorithm.cycle", None)
    if value is None:
        return ()
    allowed = (*UPDATES, HOUDAYER)
    what = f'a list of updates ({", ".join(allowed)}), such as ["swendsen_wang", {{metropolis = 5}}]'
    if not isinstance(value, list) or not value:
        raise SpecError(f"algorithm.cycle must be {what}, not {cut(value)}")
    found = []
    for entry in value:
        name, count = next(iter(entry.items())) if isinstance(entry, dict) and len(entry) == 1 else (entry, 1)
        if not isinstance(name, str):
            raise SpecError(f"algorithm.cycle must be {what}, not with {cut(entry)}")
        known(name, allowed, "update in algorithm.cycle")
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= LARGEST_COUNT:
            raise SpecError(
                f"algorithm.cycle: {name} must do a whole number of sweeps from 1 to {LARGEST_COUNT}, not {cut(count)}"
            )
        found.append((name, count))
    if found[0][0] == HOUDAYER:
        raise SpecError(f"algorithm.cycle must begin with another update than '{HOUDAYER}', which alone reaches little")
    for key in ("kind", "kernel", "packing"):
        if reader.get(f"algorithm.{key}", "auto") != "auto":
            raise SpecError(f"algorithm.{key} has no meaning beside algorithm.cycle, whose updates have kernels each")
    if "tempering" in reader.tables:
        raise SpecError("[tempering] goes with one local update, not with algorithm.cycle: take one of them out")
    return tuple(found)


def _check_tempering(spec: SamplingSpec) -> None:
    every, number = spec.exchange_every, len(spec.temperatures)
    if not 2 <= number <= LANES:
        raise SpecError(
            f"[tempering] exchanges 2 to {LANES} temperatures, not {number}: change grid.temperatures, or take the "
            "table out"
        )
    if spec.algorithm in CLUSTER_UPDATES:
        raise SpecError(
            f"[tempering] goes with local updates, not with algorithm.kind = '{spec.algorithm}': clusters of all sizes "
            "need no exchange"
        )
    if spec.packing == "sites":
        raise SpecError("[tempering] keeps the temperatures in one word, so algorithm.packing cannot be 'sites'")
    if (spec.houdayer or any(name in OF_PAIRS for name in spec.observables)) and number > LANES // 2:
        what = "tempering.houdayer" if spec.houdayer else "measure.observables: the overlap of two replicas"
        raise SpecError(f"{what} takes at most {LANES // 2} temperatures with [tempering]")
    if spec.ladder == "auto" and number < 3:
        raise SpecError("tempering.ladder = 'auto' puts temperatures between the ends: give at least 3, or take it out")
    if max(every, spec.measure_every) % min(every, spec.measure_every):
        raise SpecError(
            f"tempering.every = {every} and schedule.measure_every = {spec.measure_every}: one must be a multiple of "
            "the other"
        )
    for key, value in (("thermalization", spec.thermalization), ("sweeps", spec.sweeps)):
        if value % every:
            raise SpecError(f"schedule.{key} = {value} must be a multiple of tempering.every = {every}")
