"""Simulated annealing (Kirkpatrick, Gelatt and Vecchi, Science 220, 671, 1983): local updates while it cools.

64 reads share a word; each has random numbers of its own.  Sweep k is done at temperature k of the schedule.
"""

from dataclasses import dataclass
from math import log, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ising_mc.statistics import share_interval
from ising_mc.words import LANES, Series, State

KEY = "anneal"  # of the streams, where other runs have the label of the system alone
SCHEDULES = ("geometric", "linear", "list")
CHUNK = 64  # sweeps whose thresholds are made at once
CERTAINTY = 0.99  # with which a target is to be met
Array = NDArray[Any]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Schedule:
    """How to cool: `sweeps` of each read, from `start` to `stop`, or down the `steps` of a list in equal shares."""

    kind: str
    start: float
    stop: float
    steps: tuple[float, ...]
    sweeps: int

    def temperatures(self) -> Floats:
        """The temperature of each sweep, (sweeps,)."""
        if self.kind == "list":
            return np.repeat(np.array(self.steps), self.sweeps // len(self.steps))
        if self.kind == "linear":
            return np.linspace(self.start, self.stop, self.sweeps)
        return np.geomspace(self.start, self.stop, self.sweeps)


class AnnealSampler:
    """64 reads of one system; `inner`: a local sampler of it whose temperature can be set (`cool`)."""

    lanes = LANES

    def __init__(self, inner: Any, temperatures: Floats) -> None:
        self.inner, self.temperatures, self.done = inner, temperatures, 0
        self.record_bytes = inner.record_bytes

    def start(self, seed: int, system: str, temperature: float, word: int, start: str) -> None:
        """Draw the first state, at random."""
        self.inner.start(seed, f"{system} {KEY}", 0.0, word, "random")
        self.done = 0

    def state(self) -> State:
        """A copy of the state; how many sweeps are done stands in a row behind the generators."""
        own = self.inner.state()
        row = np.zeros((1, own.random.shape[1]), np.uint64)
        row[0, 0] = self.done
        return State(own.spins, np.concatenate((own.random, row)))

    def restore(self, state: State) -> None:
        """Go back to a state."""
        self.inner.restore(State(state.spins, state.random[:-1]))
        self.done = int(state.random[-1, 0])

    def sweep(self, sweeps: int) -> None:
        """Go on cooling; after the last temperature, at that one."""
        end = self.done + sweeps
        while self.done < end:
            count = min(CHUNK, end - self.done)
            places = np.minimum(np.arange(self.done, self.done + count), len(self.temperatures) - 1)
            self.inner.cool(self.temperatures[places])
            self.done += count

    def record(self, measurements: int, every: int) -> Series:
        """Energies and magnetizations on the way, (64, measurements)."""
        parts = []
        for _ in range(measurements):
            self.sweep(every - 1)
            self.inner.set_temperature(self.temperatures[min(self.done, len(self.temperatures) - 1)])
            parts.append(self.inner.record(1, 1))
            self.done += 1
        return {name: np.concatenate([part[name] for part in parts], axis=1) for name in parts[0]}


@dataclass(frozen=True)
class Success:
    """How often a target was met: probability of one read, and sweeps until it is met with 99 %, with intervals."""

    probability: float
    probability_error: float
    time: float
    time_error: float
    time_low: float
    time_high: float


def time_to_target(met: int, reads: int, sweeps: int, own_best: bool = False) -> Success:
    """Sweeps of one read after another until one of them has met the target with 99 %: sweeps ln(0.01)/ln(1 - p).

    At least those of one read; p = met / reads.  The interval of the time is that of p, 68.27 % (`statistics.share`),
    and far from symmetric where few reads met the target; errors are half of the intervals.  Without a success the time
    is NaN, with a lower limit.  own_best: whether the target is the best of these reads; how much lower others would
    get is not known, so neither are errors.
    """
    p = met / reads
    low, high = share_interval(met, reads)
    fast, slow = sweeps * _repeats(high), sweeps * _repeats(low)
    if own_best:
        return Success(p, nan, sweeps * _repeats(p), nan, nan, nan)
    if not met:
        return Success(0.0, (high - low) / 2, nan, nan, fast, nan)
    return Success(p, (high - low) / 2, sweeps * _repeats(p), (slow - fast) / 2, fast, slow)


def _repeats(p: float) -> float:
    """Reads until the target is met with 99 %."""
    return 1.0 if p >= CERTAINTY else log(1 - CERTAINTY) / log(1 - p)
