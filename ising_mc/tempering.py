"""Parallel tempering: the 64 lanes of a word hold ladders of temperatures, and neighbours on a ladder exchange theirs.

With K temperatures there are R = 64 // K ladders side by side, so that a word gives R replicas at each temperature;
place t * R + r is temperature t, coldest first, of ladder r.  A local sampler does the sweeps (`Climber`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ising_mc import streams
from ising_mc.kernels import tempering as kernel
from ising_mc.observers import NO_PAIRS, OF_PAIRS
from ising_mc.statistics import interval_factor
from ising_mc.words import LANES, Series, State, Words

Array = NDArray[Any]
BY_PLACE = ("energy", "magnetization")  # the kernels sort them already
BINS = 100  # of real energies
KEY = "tempering"  # of the streams, where a single system has its label alone


class Ladder:
    """Temperatures of lanes, and the state of their exchange: arrays that the kernels read and change.

    temperatures: (K,), coldest first;  every: sweeps between rounds of swaps.  weights, digits and settings are what
    a sampler makes of them: energies from counts, thresholds (K, classes * 62), or LIMIT and SCALE (K, 3).
    """

    def __init__(self, temperatures: Array, every: int = 1) -> None:
        self.temperatures, self.every = temperatures, every
        self.count = LANES // len(temperatures) if len(temperatures) else 0
        self.state = np.zeros(kernel.STATE_WORDS, np.uint64)
        self.state[:LANES] = np.arange(LANES)
        self.weights = np.zeros(0)
        self.digits = np.zeros((0, 0), np.uint64)
        self.settings = np.zeros((0, 0), np.int32)
        self.where = np.zeros((0, LANES), np.uint8)
        self.pairs = NO_PAIRS
        self.stride = self.thin = 1  # measurements between rounds of swaps, and for each that is recorded
        if self.count > 1:
            self.pairs = np.zeros((len(temperatures) * (self.count // 2), 2), np.uint64)
            kernel.pair_up(self.state, self.count, self.pairs)

    def plan(self, measurements: int) -> tuple[Array, ...]:
        """The ladder as `kernels.tempering` wants it: state, 1/T, weights, digits, settings, where each lane stands in
        each of the measurements to come, pairs, and numbers (stride, ladders, thin).
        """
        if len(self.temperatures):
            self.where = np.zeros((measurements, LANES), np.uint8)
        numbers = np.array([self.stride, self.count, self.thin])
        betas = 1 / self.temperatures
        return self.state, betas, self.weights, self.digits, self.settings, self.where, self.pairs, numbers

    def of_lanes(self) -> Array:
        """The temperature of each lane, (64,); of those without a place, the hottest."""
        lanes = np.full(LANES, self.temperatures[-1])
        places = len(self.temperatures) * self.count
        lanes[self.state[:places].astype(int)] = np.repeat(self.temperatures, self.count)
        return lanes


NO_LADDER = Ladder(np.zeros(0))


class Climber(Protocol):
    """A local sampler whose lanes can exchange their temperatures."""

    record_bytes: int

    def climb(self, ladder: Ladder) -> None:
        """Exchange temperatures from now on."""

    def repeat(self, times: int, every: int) -> None:
        """Do `times` times `every` sweeps, with what the ladder does after each, without measuring."""

    def record(self, measurements: int, every: int) -> Series:
        """Time series of all lanes; after each measurement comes what the ladder does."""

    def take_places(self) -> None:
        """Take the temperatures of the lanes from the ladder."""

    def get_spins(self) -> Words:
        """The spins, one word a site."""

    def set_spins(self, words: Words) -> None:
        """Set the spins."""

    def state(self) -> State:
        """A copy of the state."""

    def restore(self, state: State) -> None:
        """Go back to a state."""


class PairMoves(Protocol):
    """What moves pairs of replicas at one temperature."""

    state: Words  # (2,), of its generator

    def start(self, seed: int, system: str, temperature: float, word: int) -> None:
        """Start the random numbers."""

    def move(self, spins: Words, pairs: Array) -> None:
        """Move each pair of lanes; spins: one word a site, changed in place."""


class TemperedSampler:
    """Ladders of one word: the samplers' protocol, with rows (temperature, replica) in the time series, coldest first.

    temperatures: (K,), coldest first;  replicas: how many of the ladders are wanted;  every: sweeps between rounds;
    moves: what moves pairs of replicas at one temperature after each round, if anything.
    """

    lanes = LANES

    def __init__(
        self, inner: Any, temperatures: Array, replicas: int, every: int, moves: PairMoves | None = None
    ) -> None:
        self.inner: Climber = inner
        self.replicas, self.moves = replicas, moves
        self.ladder = Ladder(temperatures, every)
        self.record_bytes = inner.record_bytes
        inner.climb(self.ladder)

    def start(self, seed: int, system: str, temperature: float, word: int, start: str) -> None:
        """Draw the first state; "mixed" starts even ladders up and odd ones at random, "mixed_pairs" pairs of them."""
        key = f"{system} {KEY}"
        self.inner.start(seed, key, 0.0, word, "random")  # type: ignore[attr-defined]
        R, K = self.ladder.count, len(self.ladder.temperatures)
        number = word * R + np.arange(K * R) % R
        pair = word * (R // 2) + np.arange(K * R) % R // 2
        up = {"up": number >= 0, "random": number < 0, "mixed": number % 2 == 0, "mixed_pairs": pair % 2 == 0}[start]
        mask = np.bitwise_or.reduce(np.where(up, np.uint64(1) << np.arange(K * R, dtype=np.uint64), np.uint64(0)))
        self.inner.set_spins(self.inner.get_spins() | mask)
        state = np.zeros(kernel.STATE_WORDS, np.uint64)
        state[:LANES] = np.arange(LANES)
        origin = streams.sequence(seed, key, 0.0, word, streams.SWAPS)
        state[kernel.STATE_A : kernel.STATE_B + 1] = origin.generate_state(2, np.uint64)
        if self.moves:
            self.moves.start(seed, key, 0.0, word)
            state[kernel.MOVES : kernel.MOVES + 2] = self.moves.state
        self._set(state)

    def state(self) -> State:
        """A copy of the state; that of the ladders stands in rows behind the generators."""
        own = self.inner.state()
        rows = -(-kernel.STATE_WORDS // own.random.shape[1])
        extra = np.zeros((rows, own.random.shape[1]), np.uint64)
        extra.ravel()[: kernel.STATE_WORDS] = self.ladder.state
        return State(own.spins, np.concatenate((own.random, extra)))

    def restore(self, state: State) -> None:
        """Go back to a state."""
        rows = -(-kernel.STATE_WORDS // state.random.shape[1])
        self.inner.restore(State(state.spins, state.random[:-rows]))
        self._set(state_of(state))

    def _set(self, state: Words) -> None:
        ladder = self.ladder
        ladder.state[:] = state
        if self.moves:
            self.moves.state[:] = state[kernel.MOVES : kernel.MOVES + 2]
        self.inner.take_places()
        if len(ladder.pairs):
            kernel.pair_up(ladder.state, ladder.count, ladder.pairs)

    def sweep(self, sweeps: int) -> None:
        """Do some sweeps (a multiple of those between rounds) without measuring."""
        self.ladder.stride = self.ladder.thin = 1
        every = self.ladder.every
        for _ in range(sweeps // every if self.moves else 0):
            self.inner.repeat(1, every)
            self._move_pairs()
        if sweeps and not self.moves:
            self.inner.repeat(sweeps // every, every)

    def _move_pairs(self) -> None:
        assert self.moves
        spins = self.inner.get_spins()
        self.moves.move(spins, self.ladder.pairs)
        self.inner.set_spins(spins)
        self.ladder.state[kernel.MOVES : kernel.MOVES + 2] = self.moves.state

    def record(self, measurements: int, every: int) -> Series:
        """Time series (temperatures * replicas, measurements), and of pairs (temperatures * (replicas // 2), ...)."""
        ladder = self.ladder
        if not ladder.state[kernel.BEGAN]:  # what is told of the swaps is told of the recorded sweeps
            ladder.state[kernel.ACCEPTED : kernel.MISC] = 0
            ladder.state[kernel.BEGAN] = ladder.state[kernel.CLOCK] + np.uint64(1)
        step = min(every, ladder.every)
        ladder.stride = ladder.every // step
        thin = ladder.thin = every // step
        parts, together = [], ladder.stride if self.moves else measurements * thin
        for _ in range(measurements * thin // together):
            part = self.inner.record(together, step)
            parts.append((part, ladder.where))
            if self.moves:
                self._move_pairs()
        where = np.concatenate([own for _, own in parts])
        series = {name: np.concatenate([part[name] for part, _ in parts], axis=1) for name in parts[0][0]}
        K, R = len(ladder.temperatures), ladder.count
        lanes = where[thin - 1 :: thin].T[: K * R].reshape(K, R, -1)[:, : self.replicas].reshape(-1, measurements)
        columns = np.arange(thin - 1, thin * measurements, thin)
        found = Series()
        for name, values in series.items():
            if name in OF_PAIRS:
                own = values[: len(ladder.pairs)].reshape(K, R // 2, -1)[:, : self.replicas // 2]
                found[name] = np.ascontiguousarray(own.reshape(-1, measurements * thin)[:, thin - 1 :: thin])
            elif name in BY_PLACE:
                own = values[: K * R].reshape(K, R, -1)[:, : self.replicas, thin - 1 :: thin]
                found[name] = np.ascontiguousarray(own.reshape(-1, measurements))
            else:
                found[name] = values[lanes, columns]
        return found


@dataclass(frozen=True)
class Swaps:
    """What a state tells of the exchange since recording began.

    rates: (K - 1, R), of each temperature with the next hotter one, on each ladder, NaN before the first attempt;
    trips: round trips of each copy (K * R,);  trip_time: their length together, in rounds.
    """

    rates: Array
    trips: Array
    trip_time: Array


def swaps_of(state: State, temperatures: int) -> Swaps:
    """Read them out of a state of a `TemperedSampler` with so many temperatures."""
    own = state_of(state).astype(np.int64)
    R = LANES // temperatures
    began, now = own[kernel.BEGAN] - 1, own[kernel.CLOCK]
    parity = np.arange(temperatures - 1) % 2
    rounds = (now + 1 - parity) // 2 - (began + 1 - parity) // 2  # even pairs have their turn at even times
    accepted = own[kernel.ACCEPTED : kernel.ACCEPTED + LANES][: (temperatures - 1) * R].reshape(-1, R)
    rates = np.full(accepted.shape, np.nan)
    rates[rounds > 0] = accepted[rounds > 0] / rounds[rounds > 0, None]
    places = temperatures * R
    trips, times = (own[first : first + LANES][:places] for first in (kernel.TRIPS, kernel.TRIP_TIME))
    return Swaps(rates, trips, times)


def swap_rates(words: Sequence[Swaps], paired: bool = False) -> tuple[Array, Array]:
    """Mean swap rates (K,), NaN at the hottest temperature, and their errors: half of the 68.27 % interval.

    Errors come from the scatter of ladders, or of pairs of ladders (2k, 2k + 1 of a word) that are not independent.
    """
    rates = np.concatenate([_of_pairs(own.rates) if paired else own.rates for own in words], axis=1)
    rates = np.concatenate((rates, np.full((1, rates.shape[1]), np.nan)))
    number = rates.shape[1]
    if number < 2:
        return rates.mean(axis=1), np.full(len(rates), np.nan)
    return rates.mean(axis=1), rates.std(axis=1, ddof=1) / np.sqrt(number) * interval_factor(number - 1)


def _of_pairs(rates: Array) -> Array:
    """Means of columns 2k and 2k + 1."""
    pairs = rates.shape[1] // 2
    return np.asarray(rates[:, : 2 * pairs].reshape(len(rates), pairs, 2).mean(axis=2))


def histogram_overlap(one: Array, other: Array) -> float:
    """sum_E min(p(E), p'(E)) of two samples of energies; real energies are sorted into bins."""
    if one.dtype.kind == "f":
        low, high = min(one.min(), other.min()), max(one.max(), other.max())
        edges = np.linspace(low, high, BINS + 1) if high > low else np.array([low - 1, low + 1])
        counts = [np.histogram(values, edges)[0] / values.size for values in (one, other)]
        return float(np.minimum(*counts).sum())
    levels = [dict(zip(*np.unique(values, return_counts=True), strict=True)) for values in (one, other)]
    return float(sum(min(n / one.size, levels[1].get(E, 0) / other.size) for E, n in levels[0].items()))


def state_of(state: State) -> Words:
    """The state of the ladders from that of a `TemperedSampler`."""
    rows = -(-kernel.STATE_WORDS // state.random.shape[1])
    return state.random[-rows:].ravel()[: kernel.STATE_WORDS].copy()
