"""Units of work of a Boltzmann machine: chains at a temperature, ladders of temperatures, or reads that cool."""

from dataclasses import dataclass, replace

import numpy as np

from ising_mc import boltzmann
from ising_mc.annealing import AnnealSampler, Schedule
from ising_mc.arrayfile import MEMORY_SHARE, available_memory
from ising_mc.boltzmann import MachineSampler, MachineSystem, make_sampler, realize
from ising_mc.boltzmannspec import MachineAnnealSpec, MachineSpec
from ising_mc.reader import SpecError
from ising_mc.tempering import TemperedSampler
from ising_mc.unit import Unit
from ising_mc.words import LANES, Sampler, Series

EXAMPLE_SIZES = {"general": (2, 1), "restricted": (2, 1), "layered": (2, 1, 1)}


@dataclass(frozen=True)
class Way:
    """How a machine is sampled, and why."""

    update: str
    kernel: str
    reason: str
    warning: str = ""
    packing: str = "replicas"


@dataclass(frozen=True)
class MachineUnit(Unit):
    """The chains of one word, of one machine, at one temperature."""

    system: MachineSystem
    choice: Way

    @property
    def full_word(self) -> int:
        """Replicas of a word that is full."""
        return LANES

    def wanted(self, series: Series) -> Series:
        """The series of the chains that were asked for, without those of idle lanes."""
        return {name: np.ascontiguousarray(values[: self.replicas]) for name, values in series.items()}

    def sampler(self, seed: int, threads: int) -> Sampler:
        """Its sampler, not started as yet."""
        inner, constant = make_sampler(self.system, seed, self.choice.kernel, self.temperature, self.replicas)
        return MachineSampler(inner, constant, realize(self.system, seed))

    def warm_up(self, threads: int) -> None:
        """Compile what its sampler needs, or load it from the cache."""
        sampler = self._example().sampler(0, threads)
        sampler.start(0, "example", 1.0, 0, "random")
        sampler.record(1, 1)

    def _example(self) -> "MachineUnit":
        own = self.system
        small = MachineSystem(own.kind, own.units, EXAMPLE_SIZES[own.kind], scale=0.0, order=own.order)  # at any T
        return replace(self, system=small, replicas=1)

    def memory_needed(self) -> int:
        """Bytes that its sampler and its tables take, roughly."""
        return boltzmann.memory_needed(self.system, self.choice.kernel)


@dataclass(frozen=True)
class MachineLadderUnit(MachineUnit):
    """The ladders of one word: all temperatures of one machine, coldest first, which are exchanged."""

    temperatures: tuple[float, ...] = ()
    between: int = 1  # sweeps between exchanges

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
        inner, constant = make_sampler(self.system, seed, self.choice.kernel, self.temperature, LANES)
        tempered = TemperedSampler(inner, np.array(self.temperatures), self.replicas, self.between)
        return MachineSampler(tempered, constant, realize(self.system, seed), tempered.ladder)


@dataclass(frozen=True)
class MachineAnnealUnit(MachineUnit):
    """The reads of one word of one machine."""

    schedule: Schedule | None = None

    @property
    def place(self) -> str:
        """What stands for the temperature in its key."""
        return "anneal"

    def sampler(self, seed: int, threads: int) -> Sampler:
        """Its sampler, not started as yet."""
        assert self.schedule is not None
        inner, _ = make_sampler(self.system, seed, self.choice.kernel, self.temperature, self.replicas)
        return AnnealSampler(inner, self.schedule.temperatures())


def _way(spec: MachineSpec | MachineAnnealSpec, system: MachineSystem) -> Way:
    try:
        kernel, reason = boltzmann.choose(system, spec.kernel)
    except ValueError as error:
        raise SpecError(f"{spec.prefix}{error}") from error
    needed, room = boltzmann.memory_needed(system, kernel), MEMORY_SHARE * available_memory()
    if needed > room:
        raise SpecError(
            f"{spec.prefix}{system.label} takes about {needed / 1e9:.3g} GB of memory with the {kernel} kernel, more "
            f"than half of what is available ({2 * room / 1e9:.3g} GB): give it fewer units"
        )
    return Way("heat_bath", kernel, reason)


def machine_units(spec: MachineSpec) -> list[MachineUnit]:
    """All units of a run, machine by machine, temperature by temperature.

    Raises SpecError where a kernel cannot do a machine.
    """
    units: list[MachineUnit] = []
    for system in spec.systems:
        way = _way(spec, system)
        if spec.exchange_every:
            ladder = tuple(sorted(spec.temperatures))
            per_word = LANES // len(ladder)
            what = f"{len(ladder)} temperatures a ladder, {per_word} ladder(s) a word"
            way = replace(way, reason=f"{way.reason}; {what}")
            units += [
                MachineLadderUnit(system, ladder[0], word, own, way, ladder, spec.exchange_every)
                for word, own in _words(spec.replicas, per_word)
            ]
            continue
        words = _words(spec.replicas, LANES)
        units += [MachineUnit(system, T, word, own, way) for T in spec.temperatures for word, own in words]
    return units


def machine_annealing_units(spec: MachineAnnealSpec) -> list[MachineAnnealUnit]:
    """All units of an annealing run, machine by machine; raises SpecError where a kernel cannot do a machine."""
    coldest = float(spec.schedule.temperatures()[-1])
    return [
        MachineAnnealUnit(system, coldest, word, own, _way(spec, system), spec.schedule)
        for system in spec.systems
        for word, own in _words(spec.replicas, LANES)
    ]


def _words(replicas: int, full: int) -> list[tuple[int, int]]:
    """The words of so many replicas: their numbers, and the replicas of each."""
    return [(word, min(full, replicas - word * full)) for word in range(-(-replicas // full))]
