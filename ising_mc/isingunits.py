"""Units of work of the Ising model: at a temperature, of a ladder of temperatures, or of reads that cool."""

from dataclasses import dataclass, replace

import numpy as np

from ising_mc.algorithms import (
    HOUDAYER,
    PREPARED,
    Choice,
    check_memory,
    choose,
    choose_cycle,
    choose_to_anneal,
    example,
    gains_nothing_by_pairs,
)
from ising_mc.annealing import AnnealSampler, Schedule
from ising_mc.cycles import Houdayer
from ising_mc.ising import System, realize
from ising_mc.isingspec import AnnealSpec, SamplingSpec
from ising_mc.observers import OF_PAIRS
from ising_mc.preparation import KERNELS, memory_needed
from ising_mc.reader import SpecError
from ising_mc.tempering import TemperedSampler
from ising_mc.unit import Unit
from ising_mc.words import LANES, Sampler, Series

SHARED_WORDS = 1 << 15  # of one sweep, from here on several threads are worth their waiting for each other


@dataclass(frozen=True)
class SamplingUnit(Unit):
    """The replicas of one word, of one system, at one temperature."""

    system: System
    choice: Choice
    observables: tuple[str, ...] = ()

    @property
    def can_share_threads(self) -> bool:
        """Whether several threads can work on it at the same time."""
        words = self.system.n_sites * self.full_word // LANES  # one lattice packed by sites has 64 of them in a word
        return KERNELS[self.choice.kernel].shared and words >= SHARED_WORDS

    @property
    def full_word(self) -> int:
        """Replicas of a word that is full."""
        return KERNELS[self.choice.kernel].replicas_per_word

    def sampler(self, seed: int, threads: int) -> Sampler:
        """Its sampler, not started as yet."""
        make = self.choice.sampler
        return make(self.system, seed, self.observables, self.temperature, self.replicas, threads)

    def wanted(self, series: Series) -> Series:
        """The series of the replicas that were asked for, without those of idle lanes."""
        pairs = self.replicas // 2
        return {
            name: np.ascontiguousarray(values[: pairs if name in OF_PAIRS else self.replicas])
            for name, values in series.items()
        }

    def warm_up(self, threads: int) -> None:
        """Compile what its sampler needs, or load it from the cache."""
        self._examples(threads)

    def _examples(self, threads: int) -> list[Sampler]:
        """Samplers of small systems by the same kernels, which have done a sweep."""
        parts = [own for own, _ in self.choice.cycle] or [self.choice]
        found = []
        for choice in parts:
            if choice.update != HOUDAYER:
                sampler = choice.sampler(example(choice.kernel, threads), 0, (), 1.0, 1, threads)
                sampler.record(1, 1)
                found.append(sampler)
        return found

    def memory_needed(self) -> int:
        """Bytes that its sampler and its tables take, roughly."""
        return memory_needed(self.system, self.choice.kernel)


@dataclass(frozen=True)
class LadderUnit(SamplingUnit):
    """The ladders of one word: all temperatures of one system, coldest first, which are exchanged."""

    temperatures: tuple[float, ...] = ()
    between: int = 1  # sweeps between exchanges
    houdayer: bool = False  # moves between two replicas after each exchange

    @property
    def place(self) -> str:
        """What stands for the temperature in its key."""
        return "ladder"

    @property
    def ladder(self) -> tuple[float, ...]:
        """Temperatures that it has all of, coldest first, and exchanges."""
        return self.temperatures

    @property
    def every(self) -> int:
        """It is cut at multiples of so many sweeps only."""
        return self.between

    @property
    def full_word(self) -> int:
        """Replicas of a word that is full."""
        return self.replicas

    def wanted(self, series: Series) -> Series:
        """All: its sampler records those that are wanted."""
        return series

    def sampler(self, seed: int, threads: int) -> Sampler:
        """Its sampler, not started as yet."""
        temperatures = np.array(self.temperatures)
        inner = self.choice.sampler(self.system, seed, self.observables, self.temperature, LANES, threads)
        moves = Houdayer(realize(self.system, seed)) if self.houdayer else None
        return TemperedSampler(inner, temperatures, self.replicas, self.between, moves)


@dataclass(frozen=True)
class AnnealUnit(SamplingUnit):
    """The reads of one word of one system."""

    schedule: Schedule | None = None

    @property
    def place(self) -> str:
        """What stands for the temperature in its key."""
        return "anneal"

    def sampler(self, seed: int, threads: int) -> Sampler:
        """Its sampler, not started as yet."""
        assert self.schedule is not None
        return AnnealSampler(super().sampler(seed, threads), self.schedule.temperatures())

    def warm_up(self, threads: int) -> None:
        """Compile what its sampler needs, or load it from the cache."""
        for sampler in self._examples(threads):
            AnnealSampler(sampler, np.ones(1)).sweep(1)


class _Memory:
    """Sees, once for systems that are alike, that they fit into memory."""

    def __init__(self, spec: SamplingSpec | AnnealSpec) -> None:
        self.copies, self.checked = min(PREPARED + 1, len(spec.systems)), set[tuple[str, str]]()

    def check(self, system: System, kernel: str) -> None:
        if (system.family, kernel) not in self.checked:
            check_memory(system, kernel, self.copies)
            self.checked.add((system.family, kernel))


def sampling_units(spec: SamplingSpec) -> list[SamplingUnit]:
    """All units of a run, system by system, temperature by temperature.

    Raises SpecError where an algorithm cannot do a system.
    """
    units: list[SamplingUnit] = []
    memory = _Memory(spec)
    for system in spec.systems:
        choices = []
        for T in spec.temperatures:
            try:
                if spec.cycle:
                    choice = choose_cycle(system, T, spec.replicas, spec.cycle, spec.observables)
                else:
                    choice = choose(
                        system, T, spec.replicas, spec.algorithm, spec.packing, spec.kernel, spec.observables,
                        spec.exchange_every > 0,
                    )  # fmt: skip
                for own, _ in choice.cycle or ((choice, 1),):
                    memory.check(system, own.kernel)
                    if own.update == "wolff" and not spec.thermalization:
                        raise ValueError(
                            "schedule.thermalization = 0, but Wolff updates find in it how many clusters make a sweep: "
                            "give it some sweeps, or take another algorithm.kind"
                        )
            except ValueError as error:
                raise SpecError(f"{spec.prefix}{error}") from error
            choices.append(choice)
        if spec.exchange_every:
            units += _ladder_units(spec, system, choices)
            continue
        for T, choice in zip(spec.temperatures, choices, strict=True):
            for word, replicas in _words(spec.replicas, KERNELS[choice.kernel].replicas_per_word):
                units.append(SamplingUnit(system, T, word, replicas, choice, spec.observables))
    return units


def annealing_units(spec: AnnealSpec) -> list[AnnealUnit]:
    """All units of an annealing run, system by system.

    Raises SpecError where an algorithm cannot do a system.
    """
    units: list[AnnealUnit] = []
    memory = _Memory(spec)
    coldest = float(spec.schedule.temperatures()[-1])
    for system in spec.systems:
        try:
            choice = choose_to_anneal(system, coldest, spec.replicas, spec.algorithm, spec.kernel)
            memory.check(system, choice.kernel)
        except ValueError as error:
            raise SpecError(f"{spec.prefix}{error}") from error
        for word, replicas in _words(spec.replicas, LANES):
            units.append(AnnealUnit(system, coldest, word, replicas, choice, (), spec.schedule))
    return units


def _words(replicas: int, full: int) -> list[tuple[int, int]]:
    """The words of so many replicas: their numbers, and the replicas of each."""
    return [(word, min(full, replicas - word * full)) for word in range(-(-replicas // full))]


def _ladder_units(spec: SamplingSpec, system: System, choices: list[Choice]) -> list[SamplingUnit]:
    """Units that have all temperatures; the lanes of a word share an update, so one heat bath makes all of them one."""
    ladder = tuple(sorted(spec.temperatures))
    per_word = LANES // len(ladder)
    if spec.moves_pairs:
        per_word -= per_word % 2
    choice = next((choice for choice in choices if choice.update == "heat_bath"), choices[0])
    what = f"{len(ladder)} temperatures a ladder, {per_word} ladder(s) a word"
    choice = replace(choice, reason=f"{choice.reason}; {what}")
    if spec.houdayer:
        choice = replace(choice, warning="; ".join(filter(None, (choice.warning, gains_nothing_by_pairs(system)))))
    return [
        LadderUnit(
            system, ladder[0], word, replicas, choice, spec.observables, ladder, spec.exchange_every, spec.houdayer
        )
        for word, replicas in _words(spec.replicas, per_word)
    ]
