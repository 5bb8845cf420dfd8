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
Place = tuple[int, int] | None  # row and column; None where nothing is decided


def decide(draw: Draw, asks: np.ndarray, threshold: np.ndarray) -> np.ndarray:
    """Whether u < threshold, where asked, for the lanes of a block, (64, words): as `bernoulli` hands out its bits.

    These say where u differs from its threshold.  Seven for each word; eight that word k shares with the words k + 32,
    k + 64 and k + 96, lane by lane, where the first of them that is open has the bits; then a word for each lane.
    """
    count = asks.shape[1]
    layers = 1 if count <= SLOTS else 4
    room = ((0, 0), (0, layers * SLOTS - count))
    asks, threshold = np.pad(asks, room), np.pad(threshold, room)
    differ = np.zeros(asks.shape, np.uint64)  # as a number of DIGITS bits, the first one highest

    def stage(begin: int, end: int, width: int) -> np.ndarray:
        """Bits of places begin ... end - 1 of the words before `width`; that of the last place is drawn first."""
        bits = np.zeros((64, width), np.uint64)
        for place in reversed(range(begin, end)):
            bits |= unpack(draw(0, width)) << np.uint64(DIGITS - 1 - place)
        return bits

    differ |= stage(0, ROUNDS, layers * SLOTS)
    waiting = asks & (differ == 0)
    shared, taken = stage(ROUNDS, ROUNDS + SHARED_ROUNDS, SLOTS), np.zeros((64, SLOTS), bool)
    late = np.zeros(asks.shape, bool)
    for layer in range(layers):
        k = slice(layer * SLOTS, (layer + 1) * SLOTS)
        sharing = waiting[:, k] & ~taken
        taken |= sharing
        waiting[:, k] &= ~sharing
        differ[:, k] |= np.where(sharing, shared, np.uint64(0))
        late[:, k] = sharing & (shared == 0)
    for slot in range(SLOTS):
        for k in range(slot, layers * SLOTS, SLOTS):
            for known, undecided in ((ROUNDS, waiting), (ROUNDS + SHARED_ROUNDS, late)):
                for lane in np.flatnonzero(undecided[:, k]):
                    word = int(draw(k, k + 1)[0])  # its lowest bit is that of the next place
                    upside_down = int(f"{word:064b}"[::-1], 2)
                    differ[lane, k] = np.uint64(upside_down >> (64 - DIGITS + known))
    return ((threshold ^ differ) < threshold)[:, :count]


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

    def checkerboard_blocks(self, colour: int, first: int, last: int) -> Iterator[list[Place]]:
        """Sites of one colour, every other row first, with a gap after each row and gaps up to a multiple of eight."""
        places: list[Place] = []
        for start in (first, first + 1):
            places += [None] * (-len(places) % 8)
            for r in range(start, last, 2):
                places += [(r, c) for c in range((r + colour) % 2, self.columns, 2)] + [None]
            if places and places[-1] is None:
                places.pop()
        yield from self.blocks(places)

    def sequential_blocks(self) -> Iterator[list[Place]]:
        """Row after row: the even columns that are no neighbours, the odd ones, and on an odd row its last site."""
        paired = self.columns // 2 * 2
        for r in range(self.rows):
            for columns in (range(0, paired, 2), range(1, paired, 2), range(paired, self.columns)):
                yield from self.blocks([(r, c) for c in columns])

    def blocks(self, places: list[Place]) -> Iterator[list[Place]]:
        """As many as there are generators or, of the last ones, as many as there are shared words."""
        while places:
            size = self.block if len(places) > 2 * SLOTS else SLOTS
            yield places[:size]
            places = places[size:]

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

    def update(self, block: list[Place], band: int) -> None:
        count = len(block)
        there = np.array([place is not None for place in block])
        rows, columns = np.array([place or (0, 0) for place in block]).T
        site = self.site[:, rows, columns]  # (64, count)
        spin = self.flat[site]
        local_field = self.model.J * self.flat[self.neighbours[:, site]].sum(0) + self.model.h
        cost = 2.0 * spin * local_field
        tossed = (cost == 0) & (self.model.h == 0)
        # of a spin and its mirror image one pays what the other gains; at no cost the up spin counts as paying
        pays = (cost > 0) | ((cost == 0) & (spin > 0) & (self.model.h != 0))
        asks = (~tossed if self.heat_bath else pays) & there
        price = np.abs(cost) / self.temperature
        probability = 1 / (1 + np.exp(price)) if self.heat_bath else np.exp(-price)
        threshold = np.minimum((probability * 2.0**DIGITS).astype(np.uint64), np.uint64(2**DIGITS - 1))
        below = decide(partial(self.draw, band), asks, threshold)
        flips = np.where(asks, below ^ ~pays, ~pays)
        if self.heat_bath and self.model.h == 0:
            coins = unpack(self.draw(band, 0, count)).astype(bool)
            flips = np.where(tossed, coins, flips)
        self.flat[site[:, there]] = np.where(flips, -spin, spin)[:, there]


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
