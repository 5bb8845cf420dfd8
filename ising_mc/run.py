"""Running one unit of work: thermalise, sweep, measure, yield.  Knows no files and no other units."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ising_mc.algorithms import PREPARED, Choice, check_memory, choose, choose_cycle, choose_to_anneal
from ising_mc.annealing import AnnealSampler, Schedule
from ising_mc.cycles import Houdayer
from ising_mc.ising import System, realize
from ising_mc.observers import OF_PAIRS
from ising_mc.preparation import KERNELS
from ising_mc.reader import SpecError
from ising_mc.spec import RunSpec
from ising_mc.tempering import TemperedSampler
from ising_mc.words import LANES, Sampler, Series

SLICE_SECONDS = 0.25  # how often a unit looks up from its work
MAX_SLICE_BYTES = 1 << 24
SHARED_SITES = 1 << 14  # from here on several threads on one system are worth their waiting for each other


@dataclass(frozen=True)
class Unit:
    """The smallest piece of work: the replicas of one word, of one system, at one temperature."""

    system: System
    temperature: float
    word: int
    replicas: int
    choice: Choice
    observables: tuple[str, ...] = ()
    ladder: tuple[float, ...] = ()  # temperatures that it has all of, coldest first, and exchanges
    every: int = 1  # sweeps between exchanges; it is cut at multiples of these only
    houdayer: bool = False  # moves between two replicas after each exchange
    anneal: Schedule | None = None  # how it cools, instead of staying at a temperature

    @property
    def key(self) -> str:
        """Its name in files, e.g. L32/T2.269/w0000; the shortest decimal that gives back T bit for bit."""
        where = "ladder" if self.ladder else "anneal" if self.anneal else f"T{self.temperature!r}"
        return f"{self.system.label}/{where}/w{self.word:04d}"

    def sampler(self, seed: int, threads: int) -> Sampler:
        """Its sampler, not started as yet."""
        if self.anneal:
            names, T = (), float(self.anneal.temperatures()[-1])
            inner = self.choice.sampler(self.system, seed, names, T, self.replicas, threads)
            return AnnealSampler(inner, self.anneal.temperatures())
        if not self.ladder:
            make = self.choice.sampler
            return make(self.system, seed, self.observables, self.temperature, self.replicas, threads)
        temperatures = np.array(self.ladder)
        inner = self.choice.sampler(self.system, seed, self.observables, self.temperature, LANES, threads)
        moves = Houdayer(realize(self.system, seed)) if self.houdayer else None
        return TemperedSampler(inner, temperatures, self.replicas, self.every, moves)

    @property
    def can_share_threads(self) -> bool:
        """Whether several threads can work on it at the same time."""
        return KERNELS[self.choice.kernel].shared and self.system.n_sites >= SHARED_SITES

    @property
    def attempts_per_sweep(self) -> int:
        """Spin updates attempted in one sweep of all its replicas."""
        return self.system.n_sites * self.replicas * max(1, len(self.ladder))


def units_of(spec: RunSpec) -> list[Unit]:
    """All units of a run, system by system, temperature by temperature.

    Raises SpecError where an algorithm cannot do a system.
    """
    units = []
    checked = set()
    coldest = (float(spec.anneal.temperatures()[-1]),) if spec.anneal else ()
    for system in spec.systems:
        choices = []
        for T in spec.temperatures or coldest:
            try:
                if spec.anneal:
                    choice = choose_to_anneal(system, T, spec.replicas, spec.algorithm, spec.kernel)
                elif spec.cycle:
                    choice = choose_cycle(system, T, spec.replicas, spec.cycle, spec.observables)
                else:
                    choice = choose(
                        system, T, spec.replicas, spec.algorithm, spec.packing, spec.kernel, spec.observables,
                        spec.exchange_every > 0,
                    )  # fmt: skip
                if (system.family, choice.kernel) not in checked:
                    check_memory(system, choice.kernel, min(PREPARED + 1, len(spec.systems)))
                    checked.add((system.family, choice.kernel))
            except ValueError as error:
                raise SpecError(f"{spec.prefix}{error}") from error
            choices.append(choice)
        if spec.exchange_every:
            units += _ladder_units(spec, system, choices)
            continue
        for T, choice in zip(spec.temperatures or coldest, choices, strict=True):
            per_word = KERNELS[choice.kernel].replicas_per_word
            for word in range(-(-spec.replicas // per_word)):
                replicas = min(per_word, spec.replicas - word * per_word)
                units.append(Unit(system, T, word, replicas, choice, spec.observables, anneal=spec.anneal))
    return units


def _ladder_units(spec: RunSpec, system: System, choices: list[Choice]) -> list[Unit]:
    """Units that have all temperatures; the lanes of a word share an update, so one heat bath makes all of them one."""
    ladder = tuple(sorted(spec.temperatures))
    choice = next((choice for choice in choices if choice.update == "heat_bath"), choices[0])
    what = f"{len(ladder)} temperatures a ladder, {LANES // len(ladder)} ladder(s) a word"
    choice = replace(choice, reason=f"{choice.reason}; {what}")
    per_word = LANES // len(ladder)
    return [
        Unit(
            system, ladder[0], word, min(per_word, spec.replicas - word * per_word), choice, spec.observables, ladder,
            spec.exchange_every, spec.houdayer,
        )
        for word in range(-(-spec.replicas // per_word))
    ]  # fmt: skip


def try_out(units: Sequence[Unit], spec: RunSpec, seed: int) -> None:
    """Make the coldest sampler of the first system of each size, which shows what only drawn numbers can tell.

    Raises SpecError where that cannot be: couplings too wide for their unit, a drawn graph without sublattices.
    """
    coldest: dict[str, Unit] = {}
    for unit in sorted(units, key=lambda unit: unit.temperature):
        coldest.setdefault(unit.system.family, unit)
    for unit in coldest.values():
        try:
            unit.sampler(seed, 1)
        except ValueError as error:
            raise SpecError(f"{spec.prefix}{error}") from error


@dataclass(frozen=True)
class Stretch:
    """What a unit did since the last one: sweeps done in all, and the measurements, (replica, measurement) each."""

    done: int
    series: Series
    seconds: float


def advance(unit: Unit, sampler: Sampler, done: int, thermalization: int, sweeps: int, every: int) -> Iterator[Stretch]:
    """Move a sampler that has done `done` sweeps on to thermalization + sweeps, in slices of a fraction of a second.

    How the work is cut changes no sample.
    """
    end = thermalization + sweeps
    slice_sweeps = 1
    while done < end:
        began = time.perf_counter()
        series = Series()
        if done < thermalization:
            count = min(-(-slice_sweeps // unit.every) * unit.every, thermalization - done)
            sampler.sweep(count)
        else:
            record_bytes = sampler.record_bytes
            records = min(max(1, slice_sweeps // every), (end - done) // every, max(1, MAX_SLICE_BYTES // record_bytes))
            together = max(1, unit.every // every)
            records = -(-records // together) * together
            count = records * every
            series = sampler.record(records, every)
            if not unit.ladder:
                series = _wanted(series, unit.replicas)
        done += count
        seconds = time.perf_counter() - began
        slice_sweeps = min(max(1, int(count * SLICE_SECONDS / seconds)), 4 * slice_sweeps)
        yield Stretch(done, series, seconds)


def _wanted(series: Series, replicas: int) -> Series:
    """The series of the replicas that were asked for, without those of idle lanes."""
    return {
        name: np.ascontiguousarray(values[: replicas // 2 if name in OF_PAIRS else replicas])
        for name, values in series.items()
    }
