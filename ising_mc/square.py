"""Samplers of the periodic square lattice with one coupling: H = - J sum_<ij> s_i s_j - h sum_i s_i, s = +1/-1.

The fastest there are: rows of words need no table of neighbours.  `packed` does all other graphs.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ising_mc import streams
from ising_mc.kernels import bernoulli, counting, square, square_sites
from ising_mc.kernels._jit import use_threads
from ising_mc.words import (
    ALL,
    LANES,
    Series,
    State,
    Words,
    aligned_zeros,
    bit_masks,
    by_replica,
    magnetization,
    smallest_integer,
    start_mask,
)

KernelModel = tuple[Words, Words, np.uint64, bool, bool]

MAX_BANDS = 64


@dataclass(frozen=True)
class Square:
    """Periodic square lattice of `rows` x `columns` sites; a side of 2 has two bonds between the same two sites.

    Raises ValueError for a side shorter than 2.
    """

    rows: int
    columns: int

    def __post_init__(self) -> None:
        if min(self.rows, self.columns) < 2:
            raise ValueError(f"a periodic side needs at least 2 sites, not {self.rows} x {self.columns}")

    @property
    def n_sites(self) -> int:
        """Number of sites N."""
        return self.rows * self.columns

    @property
    def n_bonds(self) -> int:
        """Number of bonds, 2 N."""
        return 2 * self.n_sites

    @property
    def label(self) -> str:
        """Name of the system in result files: L32, or L48x32 for a rectangle."""
        return f"L{self.rows}" if self.rows == self.columns else f"L{self.rows}x{self.columns}"


@dataclass(frozen=True)
class Model:
    """Couplings: J on every bond, field h = mu B on every site, both in the same units of energy."""

    J: float = 1.0
    h: float = 0.0

    @property
    def is_integer(self) -> bool:
        """Whether all energies are integers."""
        return float(self.J).is_integer() and float(self.h).is_integer()

    def largest_energy(self, lattice: Square) -> float:
        """A bound on |H|."""
        return abs(self.J) * lattice.n_bonds + abs(self.h) * lattice.n_sites

    def energy_dtype(self, lattice: Square) -> np.dtype[Any]:
        """Type of a total energy: int32 or int64 where all energies are integers, otherwise float64."""
        if not self.is_integer:
            return np.dtype(np.float64)
        return smallest_integer(3 * self.largest_energy(lattice))  # larger numbers stand on the way to the energy

    def energy(self, lattice: Square, unsatisfied: NDArray[np.integer], ups: NDArray[np.integer]) -> NDArray[Any]:
        """Total energy H from the numbers of unsatisfied bonds and of up spins (any shape), as `energy_dtype`."""
        dtype = self.energy_dtype(lattice)
        number = float if dtype.kind == "f" else int
        energy = unsatisfied.astype(dtype)
        energy *= number(2 * abs(self.J))
        energy -= number(abs(self.J) * lattice.n_bonds - self.h * lattice.n_sites)
        if self.h != 0:
            energy -= number(2 * self.h) * ups.astype(dtype)
        return energy


def kernel_model(model: Model, temperature: float, update: str) -> KernelModel:
    """What the square-lattice kernels need to know: (thresholds (5, 62), up_costs (5,), sign, heat_bath, field).

    The flip of a spin with m of its 4 bonds unsatisfied costs 2|J|(4 - 2m) + 2 h s.  Metropolis accepts a cost
    d >= 0 with exp(-d/T); the heat bath (Glauber) flips with 1/(1 + exp(d/T)).
    """
    heat_bath = update == "heat_bath"
    thresholds = np.zeros((5, bernoulli.THRESHOLD_BITS), np.uint64)
    up_costs = np.zeros(5, np.uint64)
    for m in range(5):
        cost = 2 * abs(model.J) * (4 - 2 * m) + 2 * model.h
        up_costs[m] = ALL if cost >= 0 else 0
        x = abs(cost) / temperature
        probability = 1 / (1 + np.exp(x)) if heat_bath and x < 700 else np.exp(-x)
        thresholds[m] = bit_masks(float(probability))
    sign = np.uint64(0) if model.J >= 0 else ALL
    return thresholds, up_costs, sign, heat_bath, model.h != 0


class _Packed(ABC):
    """Spins in words of 64, with the copies at the edges that the kernels want."""

    lattice: Square
    couplings: Model

    def __init__(self, rows: int, columns: int, twist: int) -> None:
        self.geometry = square.geometry_of(rows, columns, twist)
        self.spins = aligned_zeros(square.words_needed(self.geometry))

    @abstractmethod
    def sample(self, measurements: int, every: int) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
        """Unsatisfied bonds and up spins, (measurements, lanes) each."""

    def record(self, measurements: int, every: int) -> Series:
        """Total energy and magnetization, (lanes, measurements) each, one measurement after every `every` sweeps."""
        unsatisfied, ups = (by_replica(counts) for counts in self.sample(measurements, every))
        energy = self.couplings.energy(self.lattice, unsatisfied, ups)
        return {"energy": energy, "magnetization": magnetization(self.lattice.n_sites, ups)}

    def _part(self, odd_row: int, odd_column: int) -> NDArray[np.uint64]:
        """A view (rows, columns) of the words of the even or odd rows and columns."""
        rows, columns, pitch, _, _ = self.geometry
        own_rows, own_columns = (rows + 1 - odd_row) // 2, (columns + 1 - odd_column) // 2
        first = square.half_row(self.geometry, odd_row, odd_column)
        return self.spins[first : first + own_rows * pitch].reshape(own_rows, pitch)[:, :own_columns]

    def get_spins(self) -> Words:
        """The spins, one word a site, (rows, columns)."""
        out = np.empty(self.geometry[:2], np.uint64)
        for odd_row, odd_column in np.ndindex(2, 2):
            out[odd_row::2, odd_column::2] = self._part(odd_row, odd_column)
        return out

    def set_spins(self, words: Iterable[Words]) -> None:
        """Set the spins from words (rows, columns), or from one row (columns,) after the other."""
        for row, content in enumerate(words):
            for parity in range(2):
                self._part(row % 2, parity)[row // 2] = content[parity::2]
                square.refresh_copies(self.spins, self.geometry, row, row + 1, (row + parity) % 2)


class ReplicaSampler(_Packed):
    """64 replicas of one lattice at one temperature, one bit each in every word; always one thread."""

    lanes = LANES
    record_bytes = 8 * LANES

    def __init__(self, lattice: Square, model: Model, temperature: float, update: str, threads: int = 1) -> None:
        super().__init__(lattice.rows, lattice.columns, 0)
        self.lattice, self.couplings = lattice, model
        self.model = kernel_model(model, temperature, update)
        self.scratch = aligned_zeros(bernoulli.SCRATCH_WORDS)
        self.counter = aligned_zeros(2 * counting.COUNTER_WORDS)
        self.inside = square.inside_of(self.geometry)

    def start(self, seed: int, system: str, temperature: float, word: int, start: str) -> None:
        """Draw the first state; "mixed" starts the even replicas up and the odd ones at random."""
        mask = start_mask(start)
        origin = streams.sequence(seed, system, temperature, word, streams.START)
        rows, columns = self.geometry[:2]
        self.set_spins(row | mask for row in streams.random_rows(origin, rows, columns))
        self.scratch[: 2 * bernoulli.BLOCK] = streams.update_states(
            streams.sequence(seed, system, temperature, word, streams.UPDATES), 1
        )[0]

    def state(self) -> State:
        """A copy of the state."""
        return State(self.get_spins(), self.scratch[None, : 2 * bernoulli.BLOCK].copy())

    def restore(self, state: State) -> None:
        """Go back to a state."""
        rows, columns = self.geometry[:2]
        self.set_spins(state.spins.reshape(rows, columns))  # flat, where the temperature before had another kernel
        self.scratch[: 2 * bernoulli.BLOCK] = state.random[0]

    def sweep(self, sweeps: int) -> None:
        """Do some sweeps without measuring."""
        self.sample(1, sweeps)  # a count nobody reads costs less than one more kernel to compile

    def sample(self, measurements: int, every: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Unsatisfied bonds and up spins, (measurements, 64) each, one measurement after every `every` sweeps."""
        unsatisfied, ups = np.empty((2, measurements, LANES), np.int32)
        square.sample(
            self.spins, self.geometry, self.inside, self.scratch, self.model, self.counter, every, unsatisfied, ups
        )
        return unsatisfied, ups


class SiteSampler(_Packed):
    """One big lattice at one temperature, 64 rows side by side in every word; `threads` share its bands of rows.

    Raises ValueError for a lattice that does not fit (`site_packing_refusal`).
    """

    lanes = 1
    record_bytes = 16

    def __init__(self, lattice: Square, model: Model, temperature: float, update: str, threads: int = 1) -> None:
        refusal = site_packing_refusal(lattice)
        if refusal:
            raise ValueError(refusal)
        super().__init__(lattice.rows // 64, lattice.columns, 1)
        self.lattice, self.couplings = lattice, model
        self.model = kernel_model(model, temperature, update)
        self.bands = min(lattice.rows // 64, MAX_BANDS)
        self.scratches = aligned_zeros(self.bands * bernoulli.SCRATCH_WORDS).reshape(self.bands, -1)
        self.threads = threads

    def start(self, seed: int, system: str, temperature: float, word: int, start: str) -> None:
        """Draw the first state of replica `word`; "mixed" starts the even replicas up and the odd ones at random."""
        up = start == "up" or (start == "mixed" and word % 2 == 0)
        mask = ALL if up else np.uint64(0)
        origin = streams.sequence(seed, system, temperature, word, streams.START)
        rows, columns = self.geometry[:2]
        self.set_spins(row | mask for row in streams.random_rows(origin, rows, columns))  # no second copy in memory
        self.scratches[:, : 2 * bernoulli.BLOCK] = streams.update_states(
            streams.sequence(seed, system, temperature, word, streams.UPDATES), self.bands
        )

    def state(self) -> State:
        """A copy of the state."""
        return State(self.get_spins(), self.scratches[:, : 2 * bernoulli.BLOCK].copy())

    def restore(self, state: State) -> None:
        """Go back to a state."""
        self.set_spins(state.spins)
        self.scratches[:, : 2 * bernoulli.BLOCK] = state.random

    def sweep(self, sweeps: int) -> None:
        """Do some sweeps without measuring."""
        self._run(1, sweeps)

    def sample(self, measurements: int, every: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Unsatisfied bonds and up spins, (measurements, 1) each, one measurement after every `every` sweeps."""
        return self._run(measurements, every)

    def _run(self, measurements: int, every: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        unsatisfied, ups = np.empty((2, measurements), np.int64)
        kernel: Any = square_sites.sample_sites
        if self.threads > 1:
            use_threads(self.threads)
            kernel = square_sites.sample_sites_parallel
        kernel(self.spins, self.geometry, self.scratches, self.model, every, unsatisfied, ups)
        return unsatisfied[:, None], ups[:, None]


def site_packing_refusal(lattice: Square) -> str:
    """Why a lattice cannot be packed by sites, or an empty string."""
    if lattice.rows % 128 or lattice.columns % 128:
        return f"packing by sites needs sides that are multiples of 128, not {lattice.rows} x {lattice.columns}"
    return ""
