"""Cluster samplers of any graph, couplings and fields, 64 replicas a word: Swendsen-Wang and Wolff.

Couplings and fields are whole numbers of a unit, as in `real`; a field is a bond to a ghost spin, the kernels' site 0.
"""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ising_mc import streams
from ising_mc.kernels import bernoulli, clusters, graphs, wolff
from ising_mc.kernels._jit import use_threads
from ising_mc.observers import NO_WORK, Observer
from ising_mc.real import ROUNDING, fixed_point
from ising_mc.words import (
    ALL,
    LANES,
    Series,
    State,
    Words,
    aligned_zeros,
    by_replica,
    magnetization,
    smallest_integer,
    start_mask,
)

MOST_BANDS = 16
MOST_CLASSES = 128  # of sites, that a byte can tell beside the spin
NO_CLASSES = np.zeros(0, np.uint8)
APART = 64  # words between what threads write, so that they share no cache line
MOST_DEGREE = 64  # of a table of neighbours that is filled up
BAND_SITES = 1 << 12  # sites that are worth a band of their own
Array = NDArray[Any]


class ClusterTables:
    """A graph with couplings and fields as the cluster kernels want it; shared by all samplers of a system.

    bonds: (m, 2), a pair that stands there twice counts twice;  couplings: (m,);  field: (n,);  waves: (waves, n)
    real functions of the sites whose structure factors are wanted, with their names.
    """

    def __init__(self, n: int, bonds: Array, couplings: Array, field: Array, waves: dict[str, Array]) -> None:
        self.n = n
        self.fixed = fixed_point(bonds, couplings, field, n)
        in_field = np.flatnonzero(self.fixed.field)
        coupled = np.flatnonzero(self.fixed.couplings)
        ends = np.sort(bonds[coupled].astype(np.uint32) + np.uint32(1), axis=1)
        ghost = np.column_stack((np.zeros(len(in_field), np.uint32), in_field.astype(np.uint32) + np.uint32(1)))
        ends = np.concatenate((ghost, ends))
        weights = np.concatenate((self.fixed.field[in_field], self.fixed.couplings[coupled])).astype(np.int64)
        chain = ends[:, 1] - ends[:, 0] == 1
        order = np.lexsort((ends[:, 0], ~chain, ends[:, 1]))
        ends, weights, chain = np.ascontiguousarray(ends[order]), weights[order], chain[order]
        self.weights, numbers = np.unique(weights, return_inverse=True)
        kinds = numbers.astype(np.uint32).ravel()
        first = np.searchsorted(ends[:, 1], np.arange(n + 2))
        chained = np.zeros(n + 1, np.uint64)
        chained[1:] = np.append(chain, False)[first[1:-1]] & (first[1:-1] < first[2:])
        self.graph = (first, ends, chained, kinds, np.where(self.weights < 0, ALL, np.uint64(0)))
        moduli = np.abs(self.weights)
        self.energetics = (moduli, len(set(moduli.tolist())) <= 1)
        self.most_energy = float(moduli[kinds].sum())
        self.neighbours, self.frustrated = self._neighbours(n, ends, weights)
        self.in_field = len(in_field) > 0
        self.waves = np.zeros((len(waves), n + 1))
        self.wave_names = tuple(waves)
        for row, wave in zip(self.waves, waves.values(), strict=True):
            row[1:] = wave

    def _neighbours(self, n: int, ends: Array, weights: Array) -> tuple[tuple[Any, ...], bool]:
        """The graph as `kernels.wolff` wants it, and whether it is frustrated."""
        first, others, entries = graphs.adjacency(n + 1, ends.astype(np.int32))
        frustrated = not graphs.is_balanced(first, others, (weights < 0)[entries >> 1])
        self.moduli, number = np.unique(np.abs(weights), return_inverse=True)
        kinds = (2 * number.ravel() + (weights < 0))[entries >> 1]
        sites, degrees = others.astype(np.uint64), np.diff(first)
        degree = max(1, int(degrees[1:].max())) if len(self.moduli) <= 1 else 0
        if degrees[0] or degree > MOST_DEGREE or degree * n > 4 * len(ends) + n:
            degree = 0
        if degree:  # fill up: a site never joins itself
            table, numbers = (
                np.repeat(np.arange(n + 1, dtype=np.uint64)[:, None], degree, 1),
                np.zeros((n + 1, degree), np.uint64),
            )
            rows = np.repeat(np.arange(1, n + 1), degrees[1:])
            places = np.arange(len(rows)) - np.repeat(first[1:-1] - first[1], degrees[1:])
            table[rows, places], numbers[rows, places] = sites[first[1] :], kinds[first[1] :]
            sites, kinds = table.ravel(), numbers.ravel()
        shift = max(1, int(2 * len(self.moduli) - 1).bit_length())
        narrow = n << shift < 2**32
        shift = shift if narrow else 32
        packed = (sites << np.uint64(shift)) | kinds.astype(np.uint64)
        packed = packed.astype(np.uint32 if narrow else np.uint64)
        classes, steps = _classes(packed, degree) if degree and narrow else (NO_CLASSES, packed[:0])
        return (first.astype(np.uint32), packed, np.uint64(shift), np.uint64(degree), classes, steps), frustrated

    def probabilities(self, temperature: float) -> Array:
        """1 - exp(-2|J|/T) of each |J|."""
        return -np.expm1(-2 * self.moduli * self.fixed.unit / temperature)


def _classes(packed: Array, degree: int) -> tuple[Array, Array]:
    """Classes of sites with the same steps to their neighbours, and these steps; nothing where there are many classes.

    packed: (sites * degree,), twice the neighbour, and 1 for J < 0.
    """
    rows = packed.reshape(-1, degree)
    rows = rows - 2 * np.arange(len(rows), dtype=packed.dtype)[:, None]  # wraps around below 0, and back when added
    hashes = rows.astype(np.uint64) @ np.random.default_rng(0).integers(0, 2**64, degree, dtype=np.uint64)
    _, examples, classes = np.unique(hashes, return_index=True, return_inverse=True)
    steps = rows[examples]
    if len(steps) > MOST_CLASSES or np.any(steps[classes] != rows):
        return NO_CLASSES, packed[:0]
    return classes.astype(np.uint8), steps.ravel()


class ClusterSampler(ABC):
    """What both cluster samplers have in common: 64 replicas of one system at one temperature.

    replicas: how many of the 64 are wanted; the others are left alone.  Raises ValueError where the unit of the
    couplings is too coarse for the temperature.
    """

    lanes = LANES
    generators: tuple[int, int]  # shape of their states
    moments: int

    def __init__(
        self, tables: ClusterTables, temperature: float, replicas: int, threads: int, observer: Observer | None
    ) -> None:
        if 2 * tables.fixed.error > ROUNDING * temperature:
            raise ValueError(
                f"couplings and fields are kept as multiples of {tables.fixed.unit:.3g}, because the largest are so "
                f"large; at T = {temperature:g} that is too coarse for the small ones"
            )
        self.tables, self.replicas, self.threads, self.observer = tables, replicas, threads, observer
        self.spins = aligned_zeros(tables.n + 1)
        self.spins[0] = ALL
        rows = self.moments + len(tables.waves)
        self.record_bytes = 8 * LANES * (4 + 2 * rows + 2 * (observer.rows if observer else 0))
        self.random = np.zeros(self.generators, np.uint64)

    def start(self, seed: int, system: str, temperature: float, word: int, start: str) -> None:
        """Draw the first state; "mixed" starts the even replicas up and the odd ones at random."""
        origin = streams.sequence(seed, system, temperature, word, streams.START)
        self.set_spins(next(streams.random_rows(origin, 1, self.tables.n)) | start_mask(start))
        origin = streams.sequence(seed, system, temperature, word, streams.UPDATES)
        self.random[:] = streams.update_states(origin, self.generators[0], self.generators[1] // 2)

    def get_spins(self) -> Words:
        """The spins, one word a site, (n,)."""
        return self.spins[1:].copy()

    def set_spins(self, words: Words) -> None:
        """Set the spins from one word a site, (n,)."""
        self.spins[1:] = words

    def state(self) -> State:
        """A copy of the state."""
        return State(self.get_spins(), self.random.copy())

    def restore(self, state: State) -> None:
        """Go back to a state."""
        self.set_spins(state.spins.ravel())  # which may be (rows, columns), where other updates have them so
        self.random[:] = state.random

    def sweep(self, sweeps: int) -> None:
        """Do some sweeps without measuring."""
        if sweeps:
            self._measure(1, sweeps, None)

    def record(self, measurements: int, every: int) -> Series:
        """Total energy, magnetization, improved estimators and what else is observed, (lanes, measurements) each."""
        energies, ups, moments, counts = self._measure(measurements, every, self.observer)
        unit, bound = self.tables.fixed.unit, 3 * self.tables.most_energy
        energy = energies.astype(smallest_integer(bound)) if unit == 1.0 else energies * unit
        found = {
            "energy": by_replica(energy),
            "magnetization": magnetization(self.tables.n, by_replica(ups)),
        }
        found |= {name: by_replica(values) for name, values in self._improved(moments).items()}
        return found | (self.observer.series(counts) if self.observer else {})

    @abstractmethod
    def _improved(self, moments: Array) -> Series:
        """Improved estimators from moments (measurements, rows, 64), (measurements, 64) each."""

    def _waves(self, moments: Array) -> Series:
        """Improved structure factors: real and imaginary parts have names of their own, and add up."""
        found = Series()
        for row, name in enumerate(self.tables.wave_names, start=self.moments):
            key = f"improved_{name.rsplit(' ', 1)[0]}"
            found[key] = found.get(key, 0.0) + moments[:, row] / self.tables.n
        return found

    def _measure(
        self, measurements: int, every: int, observer: Observer | None
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], Array, NDArray[np.int64]]:
        rows, work = (observer.rows, observer.work()) if observer else (0, NO_WORK)
        energies = np.empty((measurements, LANES), np.int64)
        ups = np.empty((measurements, LANES), np.int32)
        moments = np.zeros((measurements, self.moments + len(self.tables.waves), LANES))
        counts = np.empty((measurements, rows, LANES), np.int64)
        self._run(every, energies, ups, moments, work, counts)
        return energies, ups, moments, counts

    @abstractmethod
    def _run(self, every: int, energies: Array, ups: Array, moments: Array, watch: Any, counts: Array) -> None:
        """See the subclasses."""


class SwendsenWangSampler(ClusterSampler):
    """Swendsen-Wang updates; `threads` share the replicas of a word, eight at a time."""

    moments = clusters.MOMENTS

    def __init__(
        self, tables: ClusterTables, temperature: float, replicas: int, threads: int = 1,
        observer: Observer | None = None,
    ) -> None:  # fmt: skip
        n, block = tables.n, bernoulli.BLOCK
        self.generators = (max(1, min(MOST_BANDS, n // BAND_SITES)), 2 * block)
        super().__init__(tables, temperature, replicas, threads, observer)
        digits = 2.0**bernoulli.THRESHOLD_BITS
        probabilities = tables.probabilities(temperature)[np.searchsorted(tables.moduli, np.abs(tables.weights))]
        whole = (probabilities * digits).astype(np.uint64)
        self.thresholds = np.minimum(whole, np.uint64(2**bernoulli.THRESHOLD_BITS - 1))
        self.scratches = aligned_zeros(self.generators[0] * bernoulli.SCRATCH_WORDS).reshape(self.generators[0], -1)
        self.groups = -(-replicas // 8)
        self.threads = min(threads, self.groups)
        side = int(clusters.SIDE)
        self.opened, self.coins = np.zeros(len(tables.graph[1]) + 1, np.uint64), np.zeros(n + 1, np.uint64)
        self.works = (
            np.zeros((self.threads, side * (n + 1)), np.uint32),
            np.zeros((self.threads, side * (n + 1)), np.int64),
            np.zeros((self.threads, side * (n + 1) if len(tables.waves) else 0)),
            np.zeros((self.threads, side), np.int64),
        )

    def _improved(self, moments: Array) -> Series:
        return {
            "improved_magnetization_squared": moments[:, 0],
            "improved_magnetization_fourth": moments[:, 1],
            "cluster_size": moments[:, 2] / self.tables.n,
            "largest_cluster": moments[:, 3].astype(np.int32),
            "clusters": moments[:, 4].astype(np.int32),
        } | self._waves(moments)

    def _run(self, every: int, energies: Array, ups: Array, moments: Array, watch: Any, counts: Array) -> None:
        tables = self.tables
        self.scratches[:, : self.generators[1]] = self.random
        kernel: Any = clusters.sample
        if self.threads > 1:
            use_threads(self.threads)
            kernel = clusters.sample_parallel
        kernel(
            self.spins, tables.graph, self.thresholds, tables.energetics, self.scratches, self.opened, self.coins,
            self.works, self.groups, tables.waves, every, energies, ups, moments, watch, counts,
        )  # fmt: skip
        self.random[:] = self.scratches[:, : self.generators[1]]


class WolffSampler(ClusterSampler):
    """Wolff updates; `threads` share the replicas of a word.

    While it thermalises, a sweep of a replica ends when N sites were visited; the first record fixes the number of
    clusters that visit so many on average (`fix`), and from then on a sweep is so many clusters.
    """

    moments = wolff.MOMENTS
    generators = (LANES + 3, wolff.STATE_WORDS)  # in the last rows: clusters a sweep, or 0; sites visited; clusters

    def __init__(
        self, tables: ClusterTables, temperature: float, replicas: int, threads: int = 1,
        observer: Observer | None = None,
    ) -> None:  # fmt: skip
        super().__init__(tables, temperature, replicas, threads, observer)
        thresholds = np.rint(tables.probabilities(temperature) * 2.0**32).astype(np.uint64)
        self.thresholds = thresholds if len(thresholds) else np.zeros(1, np.uint64)  # nothing is coupled
        self.threads = min(threads, replicas)
        self.rows = np.zeros((LANES, tables.n + 1), np.uint8)
        self.works = (
            np.zeros((self.threads, wolff.DRAWN // 2 + APART), np.uint64),
            np.zeros((self.threads, tables.n + 2 + 2 * int(wolff.AHEAD) + APART), np.uint32),
            np.zeros((self.threads, tables.n + 1 if tables.frustrated else 0), np.uint8),
        )

    def start(self, seed: int, system: str, temperature: float, word: int, start: str) -> None:
        """Draw the first state; nothing is known of the clusters as yet."""
        super().start(seed, system, temperature, word, start)
        self.random[LANES:] = 0

    @property
    def clusters_per_sweep(self) -> int:
        """How many clusters make a sweep, or 0 before that is fixed."""
        return int(self.random[LANES, 0])

    @property
    def clusters_needed(self) -> float:
        """How many clusters visit N sites on average, as far as the thermalization tells; 1 without any."""
        visited, clusters = (int(row.sum()) for row in self.random[LANES + 1 :])
        return self.tables.n * clusters / wolff.FRACTION / visited if visited else 1.0

    def fix(self, number: int | None = None) -> None:
        """Fix the number of clusters of a sweep, by default such that N sites are visited on average."""
        self.random[LANES, 0] = number or max(1, round(self.clusters_needed))

    def record(self, measurements: int, every: int) -> Series:
        """As in `ClusterSampler`; ends the thermalization."""
        if not self.clusters_per_sweep:
            self.fix()
        return super().record(measurements, every)

    def _improved(self, moments: Array) -> Series:
        if self.tables.in_field:
            return {}  # a cluster that reaches the ghost is not grown to its end
        found = {"improved_magnetization_squared": moments[:, 0], "cluster_size": moments[:, 1]}
        return found | self._waves(moments)

    def _run(self, every: int, energies: Array, ups: Array, moments: Array, watch: Any, counts: Array) -> None:
        tables = self.tables
        kernel: Any = wolff.sample
        if self.threads > 1:
            use_threads(self.threads)
            kernel = wolff.sample_parallel
        kernel(
            self.spins, self.rows, tables.graph, tables.neighbours, self.thresholds, tables.energetics, self.random,
            self.works, self.clusters_per_sweep, self.random[LANES + 1 :], self.replicas, tables.waves, every, energies,
            ups, moments, watch, counts,
        )  # fmt: skip
