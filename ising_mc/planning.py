"""What a run would cost, from a pilot, and how far it is, from its files."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ising_mc.isingspec import SamplingSpec
from ising_mc.run import units_of, visits
from ising_mc.runspec import RunSpec
from ising_mc.schedule import SEGMENT_BYTES, UNIT_BYTES
from ising_mc.store import progress_of, with_its_ladder
from ising_mc.unit import Unit

PILOT_SECONDS = 0.3
PILOT_SWEEPS = 4
COPIES_OF_STATE = 4  # while it is saved
COPIES = 12  # of the series of a point that its analysis holds at once, in 4-byte integers


@dataclass(frozen=True)
class SystemPlan:
    """One system, or all samples of a disorder: its units of work, algorithms, and what a pilot says of its cost."""

    label: str
    samples: int  # of its disorder, 1 without
    n_sites: int
    kernel: str
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
        largest_point = max(system.disk // system.samples for system in self.systems) // max(1, self.temperatures)
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
    units: dict[str, list[Unit]] = {}
    for unit in units_of(spec):
        units.setdefault(unit.system.label, []).append(unit)
    families: dict[str, list[Any]] = {}
    for system in spec.systems:  # the samples of a disorder are alike, so one of them is tried
        families.setdefault(system.family, []).append(system)
    plans = [_plan_system(spec, own[0], units[own[0].label], len(own)) for own in families.values()]
    return Plan(tuple(plans), len(spec.temperatures), threads, spec.checkpoint_seconds)


def _plan_system(spec: RunSpec, system: Any, units: list[Unit], samples: int) -> SystemPlan:
    examples = {unit.choice.update: unit for unit in units}
    pilots = {update: _pilot(unit, spec) for update, unit in examples.items()}
    sweeps = spec.thermalization + spec.sweeps
    seconds = sum(sweeps * pilots[unit.choice.update].seconds for unit in units)
    useful = sum(sweeps * pilots[unit.choice.update].attempts for unit in units)
    record = max(pilot.record for pilot in pilots.values())
    state = max(pilot.state for pilot in pilots.values())
    return SystemPlan(
        system.family,
        samples,
        system.n_sites,
        units[0].choice.kernel,
        samples * len(units),
        tuple(dict.fromkeys(unit.choice.reason for unit in units)),
        tuple(dict.fromkeys(unit.choice.warning for unit in units if unit.choice.warning)),
        useful / seconds / 1e9,
        samples * seconds,
        units[0].memory_needed(),
        samples * len(units) * spec.records * record,
        state,
    )


@dataclass(frozen=True)
class _Pilot:
    """What a short try tells: seconds of one thread and updates a sweep, bytes of a record and of the state."""

    seconds: float
    attempts: float
    record: int
    state: int


def _pilot(unit: Unit, spec: RunSpec) -> _Pilot:
    """Sweep and measure a unit for a while; one that ends by itself, to its end."""
    seed, every = spec.seed or 0, spec.measure_every
    unit.warm_up(1)
    sampler = unit.sampler(seed, 1)
    start = "up" if unit.choice.kernel == "clusters" else "random"  # from where it soon costs what it will cost
    sampler.start(seed, unit.system.label, unit.temperature, unit.word, start)
    if unit.ends:
        began = time.perf_counter()
        series = sampler.record(spec.records, every)
        seconds = (time.perf_counter() - began) / spec.sweeps
        record = sum(values.nbytes for values in series.values()) // spec.records
        return _Pilot(seconds, visits(sampler) / spec.sweeps, record, sampler.state().spins.nbytes)
    sampler.sweep(PILOT_SWEEPS)  # a Wolff sampler learns here how many clusters make a sweep
    series = sampler.record(1, 1)
    records, began = 1, time.perf_counter()
    while True:
        if spec.records:
            sampler.record(records, every)
        else:
            sampler.sweep(records)
        seconds = time.perf_counter() - began
        if seconds > PILOT_SECONDS / 3:
            break
        records, began = 2 * records, time.perf_counter()
    share = unit.replicas / unit.full_word
    record = int(sum(values.nbytes for values in series.values()) * share)
    return _Pilot(seconds / (records * every), unit.attempts_per_sweep, record, sampler.state().spins.nbytes)


@dataclass(frozen=True)
class SystemProgress:
    """How far one system is at one temperature: sweeps of a replica, on average over its units, done and in all."""

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
    if isinstance(spec, SamplingSpec) and spec.places_its_ladder:
        spec = with_its_ladder(spec, out) or spec
    store = progress_of(out, spec)
    end = spec.thermalization + spec.sweeps
    table: dict[tuple[str, float], list[int]] = {}
    for unit in units_of(spec):
        for T in unit.ladder or (unit.temperature,):
            table.setdefault((unit.system.label, T), []).append(min(end, store.done(unit.key)))
    return [SystemProgress(label, T, sum(done) // len(done), end) for (label, T), done in table.items()]
