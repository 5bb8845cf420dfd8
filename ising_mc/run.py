"""Running one unit of work: thermalise, sweep, measure, yield.  Knows no files and no other units."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ising_mc.boltzmannunits import machine_annealing_units, machine_units
from ising_mc.isingunits import annealing_units, sampling_units
from ising_mc.reader import SpecError
from ising_mc.recallunits import recall_units
from ising_mc.runspec import RunSpec
from ising_mc.trainunits import train_units
from ising_mc.unit import Unit
from ising_mc.words import Sampler, Series

SLICE_SECONDS = 0.25  # how often a unit looks up from its work
MAX_SLICE_BYTES = 1 << 24
UNITS: dict[str, Callable[[Any], Sequence[Unit]]] = {
    "ising": sampling_units,
    "anneal": annealing_units,
    "hopfield": recall_units,
    "boltzmann": machine_units,
    "boltzmann_anneal": machine_annealing_units,
    "train": train_units,
}


def units_of(spec: RunSpec) -> list[Unit]:
    """All units of a run, system by system, temperature by temperature.

    Raises SpecError where an algorithm cannot do a system.
    """
    return list(UNITS[spec.kind](spec))


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
    attempts: int


def advance(unit: Unit, sampler: Sampler, done: int, thermalization: int, sweeps: int, every: int) -> Iterator[Stretch]:
    """Move a sampler that has done `done` sweeps on to thermalization + sweeps, in slices of a fraction of a second.

    How the work is cut changes no sample.
    """
    end = thermalization + sweeps
    slice_sweeps = 1
    while done < end:
        began, before = time.perf_counter(), visits(sampler)
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
            series = unit.wanted(sampler.record(records, every))
        done += count
        seconds = time.perf_counter() - began
        slice_sweeps = min(max(1, int(count * SLICE_SECONDS / seconds)), 4 * slice_sweeps)
        counted = hasattr(sampler, "visits")
        attempts = visits(sampler) - before if counted else count * unit.attempts_per_sweep
        yield Stretch(done, series, seconds, attempts)


def visits(sampler: Sampler) -> int:
    """Updates so far of a sampler that counts them, because it may end before the sweeps do."""
    return int(getattr(sampler, "visits", 0))
