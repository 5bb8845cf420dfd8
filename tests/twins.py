"""Slow twins of the kernels, in plain numpy and Python integers, written from the definitions.

The square-lattice twin shares with the kernels the plan by which random words are handed out, and nothing else.
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from ising_mc.square import Model

ROUNDS, SHARED_ROUNDS = 7, 8  # bits that every word of a block gets, and that words then share
SLOTS = 32  # shared words
DIGITS = 62  # bits of a uniform number
MASK = 2**64 - 1


# --- random numbers ---------------------------------------------------------------------------------------------


def rotate(x: int, by: int) -> int:
    return ((x << by) | (x >> (64 - by))) & MASK


def xoroshiro128(a: int, b: int, plus_plus: bool = True) -> Iterator[int]:
    """xoroshiro128++ or, with the shifts of its own, xoroshiro128+ (Blackman and Vigna 2021) in Python integers."""
    first, second, third = (49, 21, 28) if plus_plus else (24, 16, 37)
    while True:
        total = (a + b) & MASK
        yield (rotate(total, 17) + a) & MASK if plus_plus else total
        b ^= a
        a, b = rotate(a, first) ^ b ^ ((b << second) & MASK), rotate(b, third)


def linear_complexity(bits: list[int]) -> int:
    """Length of the shortest linear feedback shift register that gives these bits (Massey 1969).

    Polynomials over GF(2) are Python integers, and so is the past, with its latest bit lowest.
    """
    connection, previous, length, shift, past = 1, 1, 0, 1, 0
    for n, bit in enumerate(bits):
        past = (past << 1) | bit
        if (connection & past).bit_count() % 2 == 0:
            shift += 1
        elif 2 * length <= n:
            connection, previous = connection ^ (previous << shift), connection
            length, shift = n + 1 - length, 1
        else:
            connection ^= previous << shift
            shift += 1
    return length


# --- lanes ------------------------------------------------------------------------------------------------------


def unpack(words: np.ndarray) -> np.ndarray:
    """Bits of words (...,) as an array (64, ...) of 0 and 1."""
    return np.stack([(words >> np.uint64(lane)) & np.uint64(1) for lane in range(64)])


def pack(bits: np.ndarray) -> np.ndarray:
    """Words (...,) from bits (64, ...)."""
    return np.bitwise_or.reduce([bits[lane].astype(np.uint64) << np.uint64(lane) for lane in range(64)])


def energy_and_magnetization(spins: np.ndarray, model: Model) -> tuple[np.ndarray, np.ndarray]:
    """Of periodic lattices (lattice, rows, columns) of +1/-1."""
    spins = spins.astype(np.int64)
    bonds = (spins * np.roll(spins, -1, 1)).sum((1, 2)) + (spins * np.roll(spins, -1, 2)).sum((1, 2))
    magnetization = spins.sum((1, 2))
    return -model.J * bonds - model.h * magnetization, magnetization


# --- decisions --------------------------------------------------------------------------------------------------

Draw = Callable[[int, int], np.ndarray]  # the next word of the generators first ... last - 1


def decide(draw: Draw, asks: np.ndarray, threshold: np.ndarray) -> np.ndarray:
    """Whether u < threshold, where asked, for the lanes of a block, (64, words): as `bernoulli` hands out its bits.

    Seven bits for each word; eight that word k shares with the words k + 32, k + 64 and k + 96, lane by lane, where the
    first of them that is open has the bits; then each word alone.
    """
    count = asks.shape[1]
    layers = 1 if count <= SLOTS else 4
    room = ((0, 0), (0, layers * SLOTS - count))
    asks, threshold = np.pad(asks, room), np.pad(threshold, room)
    u = np.zeros(asks.shape, np.uint64)

    def compare(bits: int, known: int, k: slice | int) -> tuple[np.ndarray, np.ndarray]:
        """Of the words k: whether the first `known` + `bits` bits of u are below those of t, and whether they agree."""
        goal = threshold[:, k] >> np.uint64(DIGITS - known - bits)
        return u[:, k] < goal, u[:, k] == goal

    for place in range(ROUNDS):  # the last bit of a stage is drawn first
        u |= unpack(draw(0, layers * SLOTS)) << np.uint64(place)
    below, agree = compare(ROUNDS, 0, slice(None))
    waiting = asks & agree
    shared, taken = np.zeros((64, SLOTS), np.uint64), np.zeros((64, SLOTS), bool)
    for place in range(SHARED_ROUNDS):
        shared |= unpack(draw(0, SLOTS)) << np.uint64(place)
    late = np.zeros(asks.shape, bool)
    for layer in range(layers):
        k = slice(layer * SLOTS, (layer + 1) * SLOTS)
        sharing = waiting[:, k] & ~taken
        taken |= sharing
        waiting[:, k] &= ~sharing
        u[:, k] = np.where(sharing, u[:, k] << np.uint64(SHARED_ROUNDS) | shared, u[:, k])
        less, agree = compare(SHARED_ROUNDS, ROUNDS, k)
        below[:, k] |= sharing & less
        late[:, k] = sharing & agree
    for start, undecided in ((ROUNDS, waiting), (ROUNDS + SHARED_ROUNDS, late)):
        for k in range(layers * SLOTS):
            mine = undecided[:, k]
            for known in range(start, DIGITS):
                if not mine.any():
                    break
                u[:, k] = np.where(mine, u[:, k] << np.uint64(1) | unpack(draw(k, k + 1))[:, 0], u[:, k])
                less, agree = compare(1, known, k)
                below[:, k] |= mine & less
                mine = mine & agree
    return below[:, :count]


# --- sweeps -----------------------------------------------------------------------------------------------------


class SquareTwin:
    """64 lattices of rows x columns sites or, packed by sites, one of 64 * rows x columns.

    `random` has the start states of the generators, (bands, 2 * block): first words, then second words.  A block is
    what is updated at once, a word for each generator of a band.
    """

    def __init__(
        self, words: np.ndarray, random: np.ndarray, model: Model, temperature: float, update: str, by_sites: bool
    ) -> None:
        self.rows, self.columns = words.shape
        self.shape = (1, 64 * self.rows, self.columns) if by_sites else (64, self.rows, self.columns)
        self.model, self.temperature, self.heat_bath = model, temperature, update == "heat_bath"
        self.flat = (2 * unpack(words).astype(np.int64) - 1).reshape(-1)
        site = np.arange(self.flat.size).reshape(self.shape)
        self.site = site.reshape(64, self.rows, self.columns)
        neighbours = [np.roll(site, step, axis) for step in (1, -1) for axis in (1, 2)]
        self.neighbours = np.stack([n.reshape(-1) for n in neighbours])
        self.random = random.copy()
        self.block = random.shape[1] // 2

    def words(self) -> np.ndarray:
        return pack(self.flat.reshape(64, self.rows, self.columns) > 0)

    def measure(self) -> tuple[np.ndarray, np.ndarray]:
        return energy_and_magnetization(self.flat.reshape(self.shape), self.model)

    def sweep(self) -> None:
        if self.rows % 2 == 0 and self.columns % 2 == 0:
            bands = len(self.random)
            for colour in range(2):
                for band in range(bands):
                    first, last = band * self.rows // bands, (band + 1) * self.rows // bands
                    for block in self.checkerboard_blocks(colour, first, last):
                        self.update(block, band)
        else:
            for block in self.sequential_blocks():
                self.update(block, 0)

    def checkerboard_blocks(self, colour: int, first: int, last: int) -> Iterator[list[tuple[int, int]]]:
        """Sites of one colour, row after row, a block at a time."""
        sites = [(r, c) for r in range(first, last) for c in range(self.columns) if (r + c) % 2 == colour]
        yield from (sites[i : i + self.block] for i in range(0, len(sites), self.block))

    def sequential_blocks(self) -> Iterator[list[tuple[int, int]]]:
        """Row after row: the even columns that are no neighbours, the odd ones, and on an odd row its last site."""
        paired = self.columns // 2 * 2
        for r in range(self.rows):
            for columns in (range(0, paired, 2), range(1, paired, 2), range(paired, self.columns)):
                sites = [(r, c) for c in columns]
                yield from (sites[i : i + self.block] for i in range(0, len(sites), self.block))

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

    def update(self, block: list[tuple[int, int]], band: int) -> None:
        count = len(block)
        rows, columns = np.array(block).T
        site = self.site[:, rows, columns]  # (64, count)
        spin = self.flat[site]
        local_field = self.model.J * self.flat[self.neighbours[:, site]].sum(0) + self.model.h
        cost = 2.0 * spin * local_field
        tossed = (cost == 0) & (self.model.h == 0)
        # of a spin and its mirror image one pays what the other gains; at no cost the up spin counts as paying
        pays = (cost > 0) | ((cost == 0) & (spin > 0) & (self.model.h != 0))
        asks = ~tossed if self.heat_bath else pays
        price = np.abs(cost) / self.temperature
        probability = 1 / (1 + np.exp(price)) if self.heat_bath else np.exp(-price)
        threshold = np.minimum((probability * 2.0**DIGITS).astype(np.uint64), np.uint64(2**DIGITS - 1))
        below = decide(partial(self.draw, band), asks, threshold)
        flips = np.where(asks, below ^ ~pays, ~pays)
        if self.heat_bath and self.model.h == 0:
            coins = unpack(self.draw(band, 0, count)).astype(bool)
            flips = np.where(tossed, coins, flips)
        self.flat[site] = np.where(flips, -spin, spin)


class PlainSampler:
    """64 replicas a word on an even lattice, updated with a numpy Generator; two mistakes can be asked for.

    shared: one random number a site for all 64 replicas;  stale: all sites at once, from the old neighbours.
    It looks like a `ReplicaSampler` of many words: spins are (words, 64, rows, columns).
    """

    def __init__(
        self, lattices: int, rows: int, columns: int, model: Model, temperature: float, update: str, seed: int,
        shared: bool = False, stale: bool = False,
    ) -> None:  # fmt: skip
        self.rng = np.random.default_rng(seed)
        self.spins = self.rng.choice(np.array([-1, 1]), (lattices, 64, rows, columns))
        self.model, self.temperature, self.heat_bath = model, temperature, update == "heat_bath"
        self.shared = shared
        colour = np.add.outer(np.arange(rows), np.arange(columns)) % 2
        self.masks = [colour >= 0] if stale else [colour == 0, colour == 1]

    def set_spins(self, words: np.ndarray) -> None:
        self.spins = 2 * unpack(words).astype(np.int64)[None] - 1

    def get_spins(self) -> np.ndarray:
        return pack(self.spins[0] > 0)

    def sweep(self, sweeps: int) -> None:
        words, lanes, rows, columns = self.spins.shape
        for _ in range(sweeps):
            for mask in self.masks:
                around = sum(np.roll(self.spins, step, axis) for step in (1, -1) for axis in (2, 3))
                ratio = np.exp(-2.0 * self.spins * (self.model.J * around + self.model.h) / self.temperature)
                u = self.rng.random((words, 1 if self.shared else lanes, rows, columns))
                flips = mask & (u < (ratio / (1 + ratio) if self.heat_bath else ratio))
                self.spins = np.where(flips, -self.spins, self.spins)
