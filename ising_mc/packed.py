"""Samplers of any graph whose couplings have few moduli, 64 spins a word, and the tables of their kernels.

H = - sum_bonds J s_i s_j - h sum_i s_i: the modulus of J is one of a few, its sign is free, and h is uniform.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ising_mc import streams
from ising_mc.kernels import annealing, bernoulli, classes, counting, graphs, packed, tempering
from ising_mc.kernels._jit import use_threads
from ising_mc.observers import NO_WORK, Observer
from ising_mc.tempering import NO_LADDER, Ladder
from ising_mc.words import (
    ALL,
    LANES,
    Floats,
    Series,
    State,
    Words,
    aligned_zeros,
    bit_masks,
    by_replica,
    magnetization,
    smallest_integer,
    start_mask,
    uniform_masks,
)

MOST_BANDS = 64
BAND_WORDS = 1 << 14  # from twice as many on, threads can share a system
TURNS = np.array([0, 63, 1], np.uint64)  # by which the word of a neighbour is turned left: packed by sites
SHORTEST = 6  # words: shorter stretches, on average, cost more than a table of neighbours
Array = NDArray[Any]
Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Bonds:
    """What the kernels see of a system: (m,) arrays but for `ends`, (m, 2).

    modulus: the number of |J| in `moduli`;  negative: whether J < 0;  turn: 1 where the second end, seen from the
    first, stands one bit further up in its word, 2 where one further down, else 0.
    """

    n: int
    ends: NDArray[np.int32]
    moduli: tuple[float, ...]
    modulus: NDArray[np.uint8]
    negative: NDArray[np.bool_]
    turn: NDArray[np.uint8]


class Tables:
    """A graph as `kernels.packed` wants it; shared by all samplers of a system.

    Raises ValueError where sites have more neighbours, or energies more values, than the kernels take.
    """

    def __init__(self, bonds: Bonds, h: float, colours: NDArray[np.uint8]) -> None:
        self.n, self.moduli, self.h = bonds.n, bonds.moduli, h
        self.numbers = np.bincount(bonds.modulus, minlength=len(bonds.moduli)).astype(np.int64)
        adjacency = graphs.adjacency(bonds.n, bonds.ends)
        groups = _groups(bonds, colours)
        present = np.flatnonzero(np.bincount(groups, minlength=256))
        number = np.zeros(256, np.uint8)
        number[present] = np.arange(len(present))
        counts = graphs.surroundings(adjacency[0], adjacency[2], number[groups])
        keys = _keys(colours, counts)
        order = np.argsort(keys, kind="stable")
        self.order = order.astype(np.int32)
        self.rank = np.empty(bonds.n, np.int32)
        self.rank[order] = np.arange(bonds.n, dtype=np.int32)
        begins = np.flatnonzero(np.diff(keys[order], prepend=-1))
        surroundings = counts[order[begins]]
        self.degrees = surroundings.sum(1, dtype=np.int64)
        if self.degrees.max() > classes.MOST_NEIGHBOURS:
            raise ValueError(f"a site has {self.degrees.max()} neighbours, more than {classes.MOST_NEIGHBOURS}")
        width = max(1, int(self.degrees.max()))
        directions = np.zeros((len(begins), width), np.uint8)  # the group of each direction
        for p, row in enumerate(surroundings):
            directions[p, : self.degrees[p]] = np.repeat(present, row)
        self.blocks = _blocks(begins, bonds.n, self.degrees)
        backs = np.array([(row[: self.degrees[p]] < 128).sum() for p, row in enumerate(directions)], np.int64)
        moduli = ((directions & 127) >> 2).astype(np.int64)
        table, self.costs = _class_table(self.degrees, moduli, bonds.moduli, h)
        self.patterns = (self.degrees, backs, moduli, TURNS[directions & 3], *table)
        self.simple = len(bonds.moduli) == 1 and h == 0
        self.tables = _neighbour_tables(bonds, groups, adjacency, self, directions)
        self.bands = _bands(self.blocks, colours[order[self.blocks[:, 0]]], bonds.n)
        self.width = np.uint64(max(16, min(64, 1 << (int(self.blocks[:, 1].max() + 1) // 2 - 1).bit_length())))

    def energy(self, unsatisfied: Counts, ups: Counts, copies: int = 1) -> Array:
        """Total energy H from the unsatisfied bonds of each modulus (moduli, ...) and the up spins (...).

        copies: of the graph that a count is for.  Integers where the moduli and the field are.
        """
        n, numbers = copies * self.n, copies * self.numbers
        if all(float(x).is_integer() for x in (*self.moduli, self.h)):
            bound = 3 * (np.dot(self.moduli, numbers) + abs(self.h) * n)
            weights, h = [int(J) for J in self.moduli], int(self.h)
            total = sum(J * (2 * u - k) for J, u, k in zip(weights, unsatisfied, numbers, strict=True))
            return np.asarray(total - h * (2 * ups - n), smallest_integer(bound))
        total = sum(J * (2.0 * u - k) for J, u, k in zip(self.moduli, unsatisfied, numbers, strict=True))
        return np.asarray(total - self.h * (2.0 * ups - n), np.float64)

    def uniform_thresholds(self, temperatures: Floats, update: str) -> Words:
        """Thresholds (temperatures, classes, 62) where all lanes have one temperature: words of all ones or zeros."""
        x = np.clip(self.costs / temperatures[:, None], -700.0, 700.0)
        p = np.where(self.costs >= 0, 1 / (1 + np.exp(x)) if update == "heat_bath" else np.exp(-x), 0.0)
        return uniform_masks(p)

    def model(self, temperatures: Floats, update: str) -> tuple[Words, np.uint64, bool]:
        """What the kernels need to know: (thresholds (classes, 62), complement, simple).

        temperatures: of each lane, (64,), or one for all, (1,).  Metropolis accepts a cost d >= 0 with exp(-d/T); the
        heat bath (Glauber) flips with 1/(1 + exp(d/T)).
        """
        heat_bath = update == "heat_bath"
        thresholds = np.zeros((len(self.costs), bernoulli.THRESHOLD_BITS), np.uint64)
        for row, cost in zip(thresholds, self.costs, strict=True):
            if cost >= 0:
                x = np.minimum(cost / temperatures, 700.0)
                row[:] = bit_masks(1 / (1 + np.exp(x)) if heat_bath else np.exp(-x))
        return thresholds, np.uint64(ALL if heat_bath else 0), self.simple


def _groups(bonds: Bonds, colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The group of each entry of `adjacency`: 128 for a neighbour of a later colour, 4 times the modulus, the turn."""
    groups = np.repeat(4 * bonds.modulus, 2)
    groups[0::2] += bonds.turn
    groups[1::2] += (3 - bonds.turn) % 3
    later = colours[bonds.ends[:, 1]] > colours[bonds.ends[:, 0]]
    groups[0::2][later] += 128
    groups[1::2][~later] += 128
    return groups


def _keys(colours: NDArray[np.uint8], counts: NDArray[np.uint8]) -> NDArray[np.int64]:
    """A number for each kind of site: alike for sites of one colour with like surroundings, and sorted by colour."""
    keys = colours.astype(np.int64)
    for column in counts.T:
        keys = keys * 256 + column
        if keys.max() >= 1 << 54:
            keys = np.unique(keys, return_inverse=True)[1].astype(np.int64)
    return keys


def _blocks(begins: Array, n: int, degrees: Array) -> NDArray[np.int64]:
    """The table of blocks: first site, sites, where the neighbours begin, pattern."""
    ends = np.append(begins[1:], n)
    numbers = -(-(ends - begins) // bernoulli.BLOCK)
    pattern = np.repeat(np.arange(len(begins)), numbers)
    inside = np.arange(len(pattern)) - np.repeat(np.cumsum(numbers) - numbers, numbers)
    start = begins[pattern] + inside * bernoulli.BLOCK
    words = np.minimum(ends[pattern] - start, bernoulli.BLOCK)
    room = words * degrees[pattern]
    return np.column_stack((start, words, np.cumsum(room) - room, pattern)).astype(np.int64)


def _neighbour_tables(
    bonds: Bonds, groups: Array, adjacency: tuple[Array, Array, Array], own: Tables, directions: Array
) -> tuple[Array, Array, Array, Array]:
    neighbours = np.zeros(2 * len(bonds.ends), np.uint32)
    pattern = own.blocks[:, packed.PATTERN]
    flips = np.zeros((len(pattern), directions.shape[1], bernoulli.BLOCK // 64), np.uint64)
    places = np.zeros((len(pattern), directions.shape[1], 2), np.uint32)
    degrees = own.degrees[pattern]
    signs = bonds.negative.view(np.uint8)
    graphs.arrange(
        signs, groups, *adjacency, own.order, own.rank, own.blocks, degrees, directions[pattern], neighbours, flips
    )
    count, _ = graphs.stretches(own.blocks, degrees, neighbours, SHORTEST, places, np.zeros((0, 2), np.uint32))
    runs = np.zeros((max(1, count), 2), np.uint32)
    _, kept = graphs.stretches(own.blocks, degrees, neighbours, SHORTEST, places, runs)
    return places, runs, neighbours[:kept].copy(), flips


def _bands(blocks: Array, colours: Array, n: int) -> NDArray[np.int64]:
    """Where the blocks of each band of each colour begin and end: (colours, bands + 1)."""
    bands = max(1, min(MOST_BANDS, n // BAND_WORDS))
    edges = np.searchsorted(colours, np.arange(int(colours.max()) + 2))
    shares = np.arange(bands + 1)
    return np.array([begin + (end - begin) * shares // bands for begin, end in pairwise(edges)], np.int64)


def _class_table(
    degrees: Array, moduli: Array, strengths: Sequence[float], h: float
) -> tuple[tuple[Array, Array, Array], Floats]:
    """The classes of energy changes of each pattern, as `kernels.classes` wants them, and what each costs (-1: unused).

    The flip of a spin s costs 2 sum_k |J_k| (z_k - 2 m_k) + 2 h s, where m_k of its z_k bonds of modulus k are
    unsatisfied.
    """
    firsts, codes, planes, costs = [0], [], [], []
    for p, degree in enumerate(degrees):
        z = [int(np.count_nonzero(moduli[p, :degree] == k)) for k in range(len(strengths))]
        widths = [number.bit_length() for number in z]
        places = [sum(widths[:k]) for k in range(len(z) + 1)]
        planes.append([*places, places[-1] + (h != 0)])
        own, seen = [], set()
        for numbers in product(*(range(number + 1) for number in z)):
            cost = 2 * sum(J * (number - 2 * m) for J, number, m in zip(strengths, z, numbers, strict=True)) + 2 * h
            mirror = tuple(number - m for number, m in zip(z, numbers, strict=True))
            code, other = (
                sum(m << place for m, place in zip(state, places[:-1], strict=True)) for state in (numbers, mirror)
            )
            code += int(h != 0) << places[-1]  # the spin is up, and down after the flip
            if code in seen or other in seen:
                continue
            seen |= {code, other}
            pair = (code, -1 if other == code else other)
            own.append((abs(cost), pair if cost >= 0 else pair[::-1]))
        if len(own) > classes.MOST_CLASSES or planes[-1][-1] > classes.MOST_PLANES:
            raise ValueError(f"a site of {degree} bonds has more than {classes.MOST_CLASSES} energies")
        own.sort(key=lambda item: -item[0])  # those of `packed`: class m has m unsatisfied bonds
        own += [(-1.0, (-1, -1))] * (-len(own) % packed.FAST_CLASSES)
        costs += [cost for cost, _ in own]
        codes += [pair for _, pair in own]
        firsts.append(len(codes))
    return (np.array(firsts), np.array(codes, np.int64), np.array(planes, np.int64)), np.array(costs)


class PackedSampler:
    """64 replicas of one system, one bit each in every word; temperatures: one, or one a lane, (64,).

    observer: what is counted beside energy and magnetization, or None.
    """

    lanes = LANES

    def __init__(
        self,
        tables: Tables,
        temperatures: Floats | float,
        update: str,
        threads: int = 1,
        observer: Observer | None = None,
    ) -> None:
        self.tables, self.threads, self.observer, self.ladder = tables, threads, observer, NO_LADDER
        self.update = update
        self.model = tables.model(np.atleast_1d(np.asarray(temperatures, np.float64)), update)
        bands = tables.bands.shape[1] - 1
        self.spins = aligned_zeros(tables.n)
        self.scratches = aligned_zeros(bands * classes.SCRATCH_WORDS).reshape(bands, -1)
        self.record_bytes = 8 * LANES * (4 + 2 * (observer.rows if observer else 0))
        self.counters = aligned_zeros(bands * 2 * counting.COUNTER_WORDS).reshape(bands, -1)

    def start(self, seed: int, system: str, temperature: float, word: int, start: str) -> None:
        """Draw the first state; "mixed" starts the even replicas up and the odd ones at random."""
        self._start(seed, system, temperature, word, start_mask(start))

    def _start(self, seed: int, system: str, temperature: float, word: int, mask: np.uint64) -> None:
        origin = streams.sequence(seed, system, temperature, word, streams.START)
        self.set_spins(next(streams.random_rows(origin, 1, self.tables.n)) | mask)
        origin = streams.sequence(seed, system, temperature, word, streams.UPDATES)
        self.scratches[:, : 2 * bernoulli.BLOCK] = streams.update_states(origin, len(self.scratches))

    def get_spins(self) -> Words:
        """The spins, one word a site, (n,)."""
        return self.spins[self.tables.rank]

    def set_spins(self, words: Words) -> None:
        """Set the spins from one word a site, (n,)."""
        self.spins[:] = words[self.tables.order]

    def state(self) -> State:
        """A copy of the state: spins (n,), random (bands, 2 * BLOCK)."""
        return State(self.get_spins(), self.scratches[:, : 2 * bernoulli.BLOCK].copy())

    def restore(self, state: State) -> None:
        """Go back to a state."""
        self.set_spins(state.spins)
        self.scratches[:, : 2 * bernoulli.BLOCK] = state.random

    def sweep(self, sweeps: int) -> None:
        """Do some sweeps without measuring."""
        if sweeps:
            self.repeat(1, sweeps)

    def repeat(self, times: int, every: int) -> None:
        """Do `times` times `every` sweeps without measuring; temperatures are exchanged, where they are."""
        self.count(times, every, observe=False)

    def set_temperature(self, temperature: float) -> None:
        """Set the temperature of all lanes."""
        self.model[0][:] = self.tables.uniform_thresholds(np.array([temperature]), self.update)[0]

    def cool(self, temperatures: Floats) -> None:
        """A sweep at each of some temperatures (steps,), the same for all lanes; the last one stays."""
        tables = self.tables
        thresholds = tables.uniform_thresholds(temperatures, self.update)
        kernel: Any = annealing.cool_packed
        if self.threads > 1 and len(self.scratches) > 1:
            use_threads(self.threads)
            kernel = annealing.cool_packed_parallel
        kernel(
            self.spins, tables.blocks, tables.tables, tables.patterns, self.model, thresholds, tables.bands,
            self.scratches, self.counters, tables.width, np.zeros((len(tables.moduli), LANES), np.int64),
        )  # fmt: skip
        self.model[0][:] = thresholds[-1]

    def climb(self, ladder: Ladder) -> None:
        """Exchange temperatures from now on."""
        tables = self.tables
        ladder.weights = np.array([*(2 * J for J in tables.moduli), -2 * tables.h])
        ladder.digits = tables.uniform_thresholds(ladder.temperatures, self.update).reshape(
            len(ladder.temperatures), -1
        )
        self.ladder = ladder

    def take_places(self) -> None:
        """Take the temperatures of the lanes from the ladder."""
        tempering.set_thresholds(self.ladder.state, self.ladder.digits, np.uint64(self.ladder.count), self.model[0])

    def count(self, measurements: int, every: int, observe: bool = True) -> tuple[Counts, Counts, Counts]:
        """Unsatisfied bonds (measurements, moduli, 64), up spins (measurements, 64), and what the observer counts."""
        tables = self.tables
        rows, work = 0, NO_WORK
        if self.observer and observe:
            rows, work = self.observer.rows, self.observer.work(self.ladder.pairs)
        unsatisfied, counts = (np.empty((measurements, k, LANES), np.int64) for k in (len(tables.moduli), rows))
        ups = np.empty((measurements, LANES), np.int64)
        kernel: Any = packed.sample
        if self.threads > 1 and len(self.scratches) > 1:
            use_threads(self.threads)
            kernel = packed.sample_parallel
        kernel(
            self.spins, tables.blocks, tables.tables, tables.patterns, self.model, tables.bands, self.scratches,
            self.counters, tables.width, every, unsatisfied, ups, work, counts, self.ladder.plan(measurements),
        )  # fmt: skip
        return unsatisfied, ups, counts

    def record(self, measurements: int, every: int) -> Series:
        """Total energy, magnetization and what else is observed, (lanes, measurements) each."""
        unsatisfied, ups, counts = self.count(measurements, every)
        found = {
            "energy": by_replica(self.tables.energy(unsatisfied.swapaxes(0, 1), ups)),
            "magnetization": by_replica(magnetization(self.tables.n, ups)),
        }
        return found | (self.observer.series(counts) if self.observer else {})


class PackedSiteSampler(PackedSampler):
    """One big lattice, 64 of its layers side by side in every word; `threads` share its bands of words.

    tables: of the lattice of words, a 64th of the real one.
    """

    lanes = 1

    def start(self, seed: int, system: str, temperature: float, word: int, start: str) -> None:
        """Draw the first state of replica `word`; "mixed" starts the even replicas up and the odd ones at random."""
        up = start == "up" or (start == "mixed" and word % 2 == 0)
        self._start(seed, system, temperature, word, ALL if up else np.uint64(0))

    def record(self, measurements: int, every: int) -> Series:
        """Total energy and magnetization, (1, measurements) each."""
        unsatisfied, ups, _ = self.count(measurements, every)
        unsatisfied, ups = unsatisfied.sum(2).T[:, None], ups.sum(1)[None]
        energy = self.tables.energy(unsatisfied, ups, LANES)
        return {"energy": energy, "magnetization": magnetization(LANES * self.tables.n, ups)}
