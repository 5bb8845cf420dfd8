"""Spins as bits: what all samplers that keep 64 of them in a word have in common."""

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ising_mc.kernels import bernoulli

Words = NDArray[np.uint64]
Floats = NDArray[np.float64]

Series = dict[str, NDArray[Any]]  # time series by name, (replica, measurement) each; overlaps: (pair, measurement)

LANES = 64
PIECE = 256  # measurements that are turned over at a time
ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
LANE = np.arange(LANES, dtype=np.uint64)
STARTS = ("up", "random", "mixed")


@dataclass(frozen=True)
class State:
    """All that a sampler needs to go on: its spins, one word a site, and the states of its generators (bands, ...).

    more: what else it needs, by name.
    """

    spins: Words
    random: Words
    more: Series = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """Bytes of all of it."""
        return sum(own.nbytes for own in (self.spins, self.random, *self.more.values()))


class Sampler(Protocol):
    """The replicas of one word, one system, one temperature: their spins, their generators and their moves."""

    lanes: int
    record_bytes: int  # of memory that one measurement takes on its way

    def start(self, seed: int, system: str, temperature: float, word: int, start: str) -> None:
        """Draw the first state, from streams keyed by all of these; start: one of STARTS."""

    def state(self) -> State:
        """A copy of the state."""

    def restore(self, state: State) -> None:
        """Go back to a state."""

    def sweep(self, sweeps: int) -> None:
        """Do some sweeps without measuring."""

    def record(self, measurements: int, every: int) -> Series:
        """Total energy, total magnetization and what else is observed, one measurement after every `every` sweeps."""


def aligned_zeros(words: int) -> Words:
    """Zeros at a 64-byte boundary, the width of the widest vector registers."""
    room = np.zeros(words + 7, np.uint64)
    first = (-room.ctypes.data // 8) % 8
    return room[first : first + words]


def start_mask(start: str) -> np.uint64:
    """The lanes that start up: "mixed" starts even replicas up and odd ones at random, "mixed_pairs" pairs of them."""
    pairs = np.uint64(0x3333333333333333)
    return {"up": ALL, "random": np.uint64(0), "mixed": np.uint64(0x5555555555555555), "mixed_pairs": pairs}[start]


def bit_masks(probabilities: Floats | float) -> Words:
    """The binary digits (62,) of the probability of each lane, most significant first, as words.

    probabilities: one for all lanes, or (64,).
    """
    digits = bernoulli.THRESHOLD_BITS
    lanes = np.broadcast_to(np.atleast_1d(probabilities), (LANES,))
    numbers = np.minimum((lanes * 2.0**digits).astype(np.uint64), np.uint64(2**digits - 1))
    place = np.arange(digits - 1, -1, -1, dtype=np.uint64)[:, None]
    masks: Words = np.bitwise_or.reduce((numbers >> place & np.uint64(1)) << LANE, axis=1)
    return masks


def uniform_masks(probabilities: Floats) -> Words:
    """`bit_masks` (..., 62) of many probabilities (...), each for all lanes: words of all ones or zeros."""
    digits = bernoulli.THRESHOLD_BITS
    numbers = np.minimum((probabilities * 2.0**digits).astype(np.uint64), np.uint64(2**digits - 1))
    place = np.arange(digits - 1, -1, -1, dtype=np.uint64)
    return np.asarray((numbers[..., None] >> place & np.uint64(1)) * ALL)


def by_replica(values: NDArray[Any]) -> NDArray[Any]:
    """Measurements (n, lanes) as time series (lanes, n), turned over piece by piece, each of which the cache holds."""
    turned = np.empty(values.shape[::-1], values.dtype)
    for first in range(0, len(values), PIECE):
        turned[:, first : first + PIECE] = values[first : first + PIECE].T
    return turned


def smallest_integer(largest: float) -> np.dtype[Any]:
    """int32 where it holds +-largest, otherwise int64."""
    return np.dtype(np.int32 if largest < 2**31 else np.int64)


def magnetization(n_sites: int, ups: NDArray[np.integer]) -> NDArray[np.integer]:
    """Total magnetization M from the numbers of up spins (any shape), int32 where that holds it, otherwise int64."""
    total = ups.astype(smallest_integer(2 * n_sites))
    total *= 2
    total -= n_sites
    return total


def unpack(words: Words) -> NDArray[np.uint8]:
    """Bits of words (...), the new last axis from lane 0 to lane 63."""
    return ((words[..., None] >> LANE) & np.uint64(1)).astype(np.uint8)
