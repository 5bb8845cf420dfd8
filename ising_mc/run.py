"""Running one unit of work: thermalise, sweep, measure, yield.  Knows no files and no other units."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ising_mc.algorithms import PACKINGS, Choice, choose
from ising_mc.ising import Model, Sampler, magnetization
from ising_mc.lattices import Square
from ising_mc.spec import RunSpec, SpecError

SLICE_SECONDS = 0.25  # how often a unit looks up from its work
MAX_SLICE_BYTES = 1 << 24


@dataclass(frozen=True)
class Unit:
    """The smallest piece of work: the replicas of one word, of one system, at one temperature."""

    lattice: Square
    model: Model
    temperature: float
    word: int
    replicas: int
    choice: Choice

    @property
    def key(self) -> str:
        """Its name in files, e.g. L32/T2.269/w0000; the shortest decimal that gives back T bit for bit."""
        return f"{self.lattice.label}/T{self.temperature!r}/w{self.word:04d}"

    @property
    def attempts_per_sweep(self) -> int:
        """Spin updates attempted in one sweep of all its replicas."""
        return self.lattice.n_sites * self.replicas


def units_of(spec: RunSpec) -> list[Unit]:
    """All units of a run, system by system, temperature by temperature.

    Raises SpecError where an algorithm cannot do a system.
    """
    units = []
    for lattice in spec.lattices:
        for T in spec.temperatures:
            try:
                choice = choose(lattice, spec.model, T, spec.replicas, spec.algorithm, spec.packing)
            except ValueError as error:
                raise SpecError(str(error)) from error
            per_word = PACKINGS[choice.packing].replicas_per_word
            for word in range(-(-spec.replicas // per_word)):
                replicas = min(per_word, spec.replicas - word * per_word)
                units.append(Unit(lattice, spec.model, T, word, replicas, choice))
    return units


@dataclass(frozen=True)
class Stretch:
    """What a unit did since the last one: sweeps done in all, and the measurements, (replica, measurement)."""

    done: int
    energy: NDArray[np.generic]
    magnetization: NDArray[np.generic]
    seconds: float


def advance(unit: Unit, sampler: Sampler, done: int, thermalization: int, sweeps: int, every: int) -> Iterator[Stretch]:
    """Move a sampler that has done `done` sweeps on to thermalization + sweeps, in slices of a fraction of a second.

    How the work is cut changes no sample.
    """
    end = thermalization + sweeps
    slice_sweeps = 1
    unsatisfied: NDArray[np.integer]
    ups: NDArray[np.integer]
    while done < end:
        began = time.perf_counter()
        if done < thermalization:
            count = min(slice_sweeps, thermalization - done)
            sampler.sweep(count)
            unsatisfied, ups = np.empty((2, 0, sampler.lanes), np.int32)
        else:
            record_bytes = 8 * sampler.lanes
            records = min(max(1, slice_sweeps // every), (end - done) // every, MAX_SLICE_BYTES // record_bytes)
            count = records * every
            unsatisfied, ups = sampler.sample(records, every)
        done += count
        stretch = _stretch(unit, done, unsatisfied[:, : unit.replicas].T, ups[:, : unit.replicas].T, began)
        slice_sweeps = min(max(1, int(count * SLICE_SECONDS / stretch.seconds)), 4 * slice_sweeps)
        yield stretch


def _stretch(
    unit: Unit, done: int, unsatisfied: NDArray[np.integer], ups: NDArray[np.integer], began: float
) -> Stretch:
    unsatisfied, ups = np.ascontiguousarray(unsatisfied), np.ascontiguousarray(ups)
    energy = unit.model.energy(unit.lattice, unsatisfied, ups)
    return Stretch(done, energy, magnetization(unit.lattice, ups), time.perf_counter() - began)
