"""What a run would cost, from a pilot, and how far it is, from its files."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import nan
from pathlib import Path
from typing import Any

from ising_mc.boltzmann import MachineSystem, parameter_bytes
from ising_mc.division import divide
from ising_mc.folders import Task, divided_into
from ising_mc.run import units_of, visits
from ising_mc.runspec import RunSpec
from ising_mc.schedule import SEGMENT_BYTES, UNIT_BYTES
from ising_mc.store import Save, Store, as_begun, progress_of
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
    state: int  # bytes of the state of one unit
    model: int = 0  # bytes of the parameters of a machine, which the result file has once


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
        final = self.series + sum(system.state * system.units + system.model for system in self.systems)
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
        parameter_bytes(system) if isinstance(system, MachineSystem) else 0,
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
        return _Pilot(seconds, visits(sampler) / spec.sweeps, record, sampler.state().nbytes)
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
    return _Pilot(seconds / (records * every), unit.attempts_per_sweep, record, sampler.state().nbytes)


@dataclass(frozen=True)
class Division:
    """A run divided into tasks: the most units of one, its seconds of sampling, and the mean of all tasks.

    suggested: tasks of which each would take about the wanted time, if there are units enough.
    """

    tasks: int
    units: int
    busiest: float
    mean: float
    suggested: int


def plan_tasks(spec: RunSpec, plan: Plan, tasks: int, seconds: float) -> Division:
    """How a run would be divided among tasks of one thread each, by the rates of a plan.

    seconds: what a task may take.  Raises SpecError for a number of tasks that cannot be.
    """
    units = units_of(spec)
    families = {own.family: own.label for own in spec.systems}
    by_label = {own.label: own.family for own in spec.systems}
    rates = {system.label: system.seconds / system.units for system in plan.systems}
    assert set(families) == set(rates)
    cost = [sum(rates[by_label[unit.system.label]] for unit in share) for share in divide(units, tasks)]
    longest = max(rates.values())
    wanted = max(1, round(sum(cost) / max(seconds - longest / 2, longest)))
    return Division(tasks, len(units), max(cost), sum(cost) / tasks, min(wanted, len(units)))


@dataclass(frozen=True)
class TaskProgress:
    """How far one task is: units, what is done, when it last saved (seconds ago) and how fast it goes.

    Its work is sweeps of all units, each weighed by its replicas and sites.
    """

    number: int
    units: int
    done: float  # share of its work
    age: float  # NaN where it has saved nothing
    rate: float  # share of its work a second, NaN where that cannot be told
    state: str

    @property
    def seconds_left(self) -> float:
        """At this rate."""
        return (1 - self.done) / self.rate if self.rate > 0 else nan


@dataclass(frozen=True)
class SystemProgress:
    """How far one system is at one temperature: sweeps of a replica, on average over its units, done and in all.

    state: done, running, stopped, or waiting.
    """

    label: str
    temperature: float
    done: int
    total: int
    state: str


def status_of(spec: RunSpec, out: Path) -> tuple[list[SystemProgress], list[TaskProgress]]:
    """How far a run is, system by system, temperature by temperature, and task by task, from its files alone.

    Raises StoreError where they are damaged or belong to another run.
    """
    spec = as_begun(spec, out)
    store = progress_of(out, spec)
    return progress_table(spec, store), task_table(spec, store, divided_into(out))


def task_table(spec: RunSpec, store: Store, tasks: int) -> list[TaskProgress]:
    """How far each of so many tasks of a run is; spec: with the temperatures that it began with.

    A task that is not done counts as running while its last save is young, as stopped afterwards.
    """
    if not tasks:
        return []
    end = spec.thermalization + spec.sweeps
    found = []
    for number, share in enumerate(divide(units_of(spec), tasks)):
        weights = {unit.key: unit.attempts_per_sweep for unit in share}
        whole = sum(weights.values()) * end
        done = sum(weights[key] * min(end, store.done(key)) for key in weights) / whole if whole else 1.0
        saves = store.saves.get(Task(number, tasks).folder, [])
        age = max(0.0, time.time() - saves[-1].time) if saves else nan
        state = "done" if done >= 1 else "waiting" if not saves else "running" if age < _young(spec) else "stopped"
        found.append(TaskProgress(number, len(share), done, age, _rate(saves, weights, whole, _young(spec)), state))
    return found


def _young(spec: RunSpec) -> float:
    """So many seconds after its last save a process counts as running."""
    return 3 * spec.checkpoint_seconds + 60


def _rate(saves: Sequence[Save], weights: dict[str, int], whole: int, longest: float) -> float:
    """Share of the work done a second, while it ran: times in the queue, between saves far apart, do not count."""
    work = seconds = 0.0
    for before, save in pairwise(saves):
        if 0 < save.time - before.time < longest:
            seconds += save.time - before.time
            work += sum(weights.get(key, 0) * sweeps for key, sweeps in save.sweeps.items())
    return work / whole / seconds if seconds > 0 and whole else nan


def progress_table(spec: RunSpec, store: Store) -> list[SystemProgress]:
    """How far each point of a run is; spec: with the temperatures that it began with."""
    end, now = spec.thermalization + spec.sweeps, time.time()
    lively = {
        key
        for saves in store.saves.values()
        if now - saves[-1].time < _young(spec)
        for save in saves
        for key in save.sweeps
    }
    table: dict[tuple[str, float], list[Unit]] = {}
    for unit in units_of(spec):
        for T in unit.ladder or (unit.temperature,):
            table.setdefault((unit.system.label, T), []).append(unit)
    found = []
    for (label, T), units in table.items():
        done = sum(min(end, store.done(unit.key)) for unit in units)
        runs = any(unit.key in lively for unit in units)
        state = "done" if done >= end * len(units) else "running" if runs else "stopped" if done else "waiting"
        found.append(SystemProgress(label, T, done // len(units), end, state))
    return found
