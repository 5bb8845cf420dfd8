"""What a run would cost, from a pilot, and how far it is, from its files."""

import time
from dataclasses import dataclass
from pathlib import Path

from ising_mc.ising import LANES, smallest_integer
from ising_mc.kernels import bernoulli, counting
from ising_mc.lattices import Square
from ising_mc.run import Unit, units_of
from ising_mc.schedule import SEGMENT_BYTES, UNIT_BYTES
from ising_mc.spec import RunSpec
from ising_mc.store import progress_of

PILOT_SECONDS = 0.3
COPIES_OF_STATE = 4  # while it is saved
COPIES = 12  # of the series of a point that its analysis holds at once, in 4-byte integers


@dataclass(frozen=True)
class SystemPlan:
    """One system: its units of work, algorithms, and what a pilot says of its cost."""

    label: str
    n_sites: int
    units: int
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]
    flips_per_ns: float
    seconds: float  # of one thread
    memory: int  # bytes a thread
    disk: int  # bytes of time series, before compression
    state: int  # bytes of the spins of one unit


@dataclass(frozen=True)
class Plan:
    """A whole run on a number of threads."""

    systems: tuple[SystemPlan, ...]
    temperatures: int
    threads: int
    checkpoint_seconds: float

    @property
    def seconds(self) -> float:
        """Expected time of sampling with all threads."""
        units = sum(system.units for system in self.systems)
        return sum(system.seconds for system in self.systems) / max(1, min(self.threads, units))

    @property
    def memory(self) -> int:
        """Expected bytes of memory beside the program itself."""
        samplers = self.threads * max(system.memory for system in self.systems)
        states = COPIES_OF_STATE * self.threads * max(system.state for system in self.systems)
        unsaved = min(self.series, 2 * SEGMENT_BYTES + 2 * self.threads * UNIT_BYTES) + states
        largest_point = max(system.disk for system in self.systems) // self.temperatures
        return samplers + max(unsaved, COPIES * (self.threads + 1) * largest_point)

    @property
    def series(self) -> int:
        """Bytes of time series before compression."""
        return sum(system.disk for system in self.systems)

    @property
    def disk(self) -> int:
        """Bytes on disk at most: segments, with a state each time a unit is saved, and the result file beside them."""
        final = self.series + sum(system.state * system.units for system in self.systems)
        saves = 2 * self.threads * self.seconds / self.checkpoint_seconds
        return 2 * final + int(saves * max(system.state for system in self.systems))


def plan_run(spec: RunSpec, threads: int) -> Plan:
    """Plan a run; a pilot of a fraction of a second for each system gives the rate of one thread.

    Raises SpecError where an algorithm cannot do a system.
    """
    units = units_of(spec)
    systems = [_plan_system(spec, lattice, [u for u in units if u.lattice == lattice]) for lattice in spec.lattices]
    return Plan(tuple(systems), len(spec.temperatures), threads, spec.checkpoint_seconds)


def _plan_system(spec: RunSpec, lattice: Square, units: list[Unit]) -> SystemPlan:
    examples = {unit.choice.update: unit for unit in units}
    rates = {update: _pilot(unit) for update, unit in examples.items()}
    sweeps = spec.thermalization + spec.sweeps
    attempts = [sweeps * lattice.n_sites * _lanes(unit) for unit in units]
    seconds = sum(n / (rates[unit.choice.update] * 1e9) for n, unit in zip(attempts, units, strict=True))
    useful = sum(sweeps * unit.attempts_per_sweep for unit in units)
    item = spec.model.energy_dtype(lattice).itemsize + smallest_integer(2 * lattice.n_sites).itemsize
    spins = lattice.n_sites * _lanes(units[0]) // 8
    return SystemPlan(
        lattice.label,
        lattice.n_sites,
        len(units),
        tuple(dict.fromkeys(unit.choice.reason for unit in units)),
        tuple(dict.fromkeys(unit.choice.warning for unit in units if unit.choice.warning)),
        useful / seconds / 1e9,
        seconds,
        2 * spins + 8 * (bernoulli.SCRATCH_WORDS + 2 * counting.COUNTER_WORDS) * 2,
        len(spec.temperatures) * spec.replicas * spec.records * item,
        spins,
    )


def _lanes(unit: Unit) -> int:
    """Replicas that the work is done for, also where some of them are not wanted."""
    return LANES if unit.choice.packing == "replicas" else 1


def _pilot(unit: Unit) -> float:
    """Attempts per nanosecond of one thread, empty lanes counted, measuring every sweep."""
    sampler = unit.choice.sampler(unit.lattice, unit.model, unit.temperature, 1)
    sampler.start(0, unit.lattice.label, unit.temperature, unit.word, "random")
    sampler.sample(1, 1)
    sweeps, began = 1, time.perf_counter()
    while True:
        sampler.sample(sweeps, 1)
        seconds = time.perf_counter() - began
        if seconds > PILOT_SECONDS / 3:
            return sweeps * unit.lattice.n_sites * _lanes(unit) / seconds / 1e9
        sweeps, began = 2 * sweeps, time.perf_counter()


@dataclass(frozen=True)
class SystemProgress:
    """How far one system is at one temperature: sweeps of all its units, done and in all."""

    label: str
    temperature: float
    done: int
    total: int

    @property
    def state(self) -> str:
        """done, running or waiting."""
        return "done" if self.done >= self.total else "running" if self.done else "waiting"


def progress_table(spec: RunSpec, out: Path) -> list[SystemProgress]:
    """How far a run is, system by system, temperature by temperature, from its files alone.

    Raises StoreError where they are damaged or belong to another run.
    """
    store = progress_of(out, spec)
    end = spec.thermalization + spec.sweeps
    table: dict[tuple[str, float], list[int]] = {}
    for unit in units_of(spec):
        table.setdefault((unit.lattice.label, unit.temperature), []).append(min(end, store.done(unit.key)))
    return [SystemProgress(label, T, sum(done), end * len(done)) for (label, T), done in table.items()]
