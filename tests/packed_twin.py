"""A slow twin of the kernels for packed graphs, in plain numpy, written from the definitions.

It shares with the kernels the plan by which random words are handed out: blocks in order, then their coins.
"""

from functools import partial

import numpy as np
from twins import DIGITS, Draw, decide, pack, unpack

from ising_mc.packed import Bonds, Tables

FAST = (3, 4, 6, 8)  # numbers of neighbours whose lanes are decided as those of the square lattice are
ROUNDS = 12  # bits that every word of another block gets


class PackedTwin:
    """64 replicas of a graph; `temperatures`: of each lane, (64,)."""

    def __init__(
        self, tables: Tables, bonds: Bonds, h: float, words: np.ndarray, random: np.ndarray,
        temperatures: np.ndarray, update: str,
    ) -> None:  # fmt: skip
        self.tables, self.h = tables, h
        self.ends, self.modulus = bonds.ends, bonds.modulus
        self.J = np.array(bonds.moduli)[bonds.modulus] * np.where(bonds.negative, -1, 1)
        self.moduli = len(bonds.moduli)
        self.simple = len(bonds.moduli) == 1 and h == 0
        self.temperatures, self.heat_bath = temperatures[:, None], update == "heat_bath"
        self.spins = 2 * unpack(words).astype(np.int64) - 1  # (64, n)
        self.random = random.copy()
        self.block = random.shape[1] // 2
        self.degree = np.bincount(bonds.ends.ravel(), minlength=bonds.n)

    def words(self) -> np.ndarray:
        return pack(self.spins > 0)

    def counts(self) -> tuple[np.ndarray, np.ndarray]:
        """Unsatisfied bonds of each modulus (moduli, 64), and up spins (64,)."""
        product = self.spins[:, self.ends[:, 0]] * self.spins[:, self.ends[:, 1]] * np.sign(self.J)
        bad = product < 0
        if not self.J.all():  # bonds of J = 0 have the sign of +J
            bad = np.where(self.J == 0, self.spins[:, self.ends[:, 0]] != self.spins[:, self.ends[:, 1]], bad)
        return np.array([bad[:, self.modulus == k].sum(1) for k in range(self.moduli)]), (self.spins > 0).sum(1)

    def sweep(self) -> None:
        for colour in self.tables.bands:
            for band in range(len(colour) - 1):
                for b in range(colour[band], colour[band + 1]):
                    start, words = self.tables.blocks[b, :2]
                    self.update(self.tables.order[start : start + words], band)

    def update(self, sites: np.ndarray, band: int) -> None:
        fields = np.full((64, len(sites)), self.h)
        for k, site in enumerate(sites):
            for one, other in ((0, 1), (1, 0)):
                own = self.ends[:, one] == site
                fields[:, k] += self.spins[:, self.ends[own, other]] @ self.J[own]
        degree = self.degree[sites[0]]
        fast = self.simple and degree in FAST
        spin = self.spins[:, sites]
        cost = 2 * spin * fields
        cost[np.abs(cost) < 1e-12] = 0
        tossed = fast & (cost == 0)
        pays = (cost > 0) | ((cost == 0) & self.first_of_a_pair(sites, spin))
        asks = (~tossed if self.heat_bath else pays) & (True if self.heat_bath or not fast else ~tossed)
        price = np.minimum(np.abs(cost) / self.temperatures, 700)
        probability = 1 / (1 + np.exp(price)) if self.heat_bath else np.exp(-price)
        threshold = np.minimum((probability * 2.0**DIGITS).astype(np.uint64), np.uint64(2**DIGITS - 1))
        draw = partial(self.draw, band)
        below = decide(draw, asks, threshold) if fast else decide_plainly(draw, asks, threshold)
        flips = np.where(asks, below ^ ~pays, ~pays)
        if fast:
            flips = np.where(tossed, ~np.bool_(self.heat_bath), flips)
            if self.heat_bath and degree % 2 == 0:
                coins = unpack(draw(0, len(sites))).astype(bool)
                flips = np.where(tossed, coins, flips)
        self.spins[:, sites] = np.where(flips, -spin, spin)

    def first_of_a_pair(self, sites: np.ndarray, spin: np.ndarray) -> np.ndarray:
        """Of two states of a site that flip into each other at no cost, which one counts as paying.

        In a field the up spin; without one the state that satisfies fewer bonds of the first modulus for which they
        differ is met last, so it is the mirror image; a state that is its own mirror image pays.
        """
        if self.h != 0:
            return spin > 0
        pays = np.ones(spin.shape, bool)
        for k, site in enumerate(sites):
            undecided = np.ones(64, bool)
            for modulus in range(self.moduli):
                bad = np.zeros(64, np.int64)
                number = 0
                for one, other in ((0, 1), (1, 0)):
                    own = (self.ends[:, one] == site) & (self.modulus == modulus)
                    sign = np.where(self.J[own] < 0, -1, 1)
                    bad += (self.spins[:, self.ends[own, other]] * spin[:, k : k + 1] * sign < 0).sum(1)
                    number += int(own.sum())
                differ = undecided & (2 * bad != number)
                pays[differ, k] = 2 * bad[differ] < number
                undecided &= ~differ
        return pays

    def draw(self, band: int, first: int, last: int) -> np.ndarray:
        """The next word of the generators first ... last - 1 of a band."""
        a, b = self.random[band, first:last], self.random[band, self.block + first : self.block + last]

        def turn(x: np.ndarray, by: int) -> np.ndarray:
            return (x << np.uint64(by)) | (x >> np.uint64(64 - by))

        out = turn(a + b, 17) + a
        mixed = a ^ b
        self.random[band, first:last] = turn(a, 49) ^ mixed ^ (mixed << np.uint64(21))
        self.random[band, self.block + first : self.block + last] = turn(mixed, 28)
        return out


def decide_plainly(draw: Draw, asks: np.ndarray, threshold: np.ndarray) -> np.ndarray:
    """Whether u < threshold, where asked, for the lanes of a block, (64, words): as `classes` hands out its bits.

    They say where u differs from its threshold: at twelve places for each word, then for groups of eight words, as long
    as a lane of theirs is open.
    """
    count = asks.shape[1]
    padded = -(-count // 8) * 8
    differ = np.zeros(asks.shape, np.uint64)
    for k in range(ROUNDS - 1, -1, -1):  # of the rounds, the last place comes first
        differ |= unpack(draw(0, padded)[:count]) << np.uint64(DIGITS - 1 - k)
    undecided = asks & (differ == 0)
    for first in range(0, padded, 8):
        group = slice(first, min(first + 8, count))
        for k in range(ROUNDS, DIGITS):
            if not undecided[:, group].any():
                break
            bit = unpack(draw(first, first + 8)[: group.stop - first])
            differ[:, group] |= np.where(undecided[:, group], bit << np.uint64(DIGITS - 1 - k), np.uint64(0))
            undecided[:, group] &= bit == 0
    return (threshold ^ differ) < threshold
