"""Sampling Boltzmann machines: 64 chains a word, drawn by Gibbs' sampler, logistic in the local input over T.

Kernels know spins: a machine of binary units is written as one of spins, which is the same distribution.  Three of them
take any machine: `dense` keeps all local fields, `sparse` follows the couplings that are there, `blocks` draws units
that are not coupled all at once, layer by layer, or colour by colour.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ising_mc import streams
from ising_mc.kernels import blocks as kernel
from ising_mc.kernels import graphs, logistic
from ising_mc.kernels.sums import COLUMNS, TABLE_SIZE
from ising_mc.machine import Machine, random_machine
from ising_mc.observables import Facts
from ising_mc.observers import Work
from ising_mc.real import DenseSampler, DenseTables, Lanes, SparseSampler, SparseTables, fixed_point
from ising_mc.tempering import Ladder
from ising_mc.words import LANES, Series, State, aligned_zeros, unpack

KERNELS = {
    "blocks": "64 chains, block by block, by sums of four rows",
    "dense": "64 chains side by side, local fields kept",
    "sparse": "64 chains side by side, couplings that are there",
}
ORDERS = ("sequential", "random")
FEW_NEIGHBOURS = 64  # up to so many couplings a unit the graph kernel is the faster one
MOST_COLOURS = 254
WORD_PAIR, BOND = 7.0, 0.0056  # us of a sweep of 64 chains: blocks, for a pair of words; sparse, for a coupling (Zen 4)
KEPT = 4  # machines whose tables are remembered
Words = NDArray[np.uint64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Clamp:
    """Units that are held, and their values; number: which of several clamps of a run, None for the only one."""

    units: tuple[int, ...]
    values: tuple[int, ...]
    number: int | None = None


@dataclass(frozen=True)
class MachineSystem:
    """A machine of a run: given, or drawn with the seed, and what of it is clamped.

    given: its parameters, where a file has them;  digest: what tells them, or the bonds, from others;  scale: standard
    deviation of random weights;  bonds: pairs of units (m, 2) that are coupled, where they are not all;  order: in
    which order dense updates visit the units.
    """

    kind: str
    units: str
    sizes: tuple[int, ...]
    given: Machine | None = field(default=None, repr=False)
    digest: str = ""
    scale: float = 0.01
    bonds: NDArray[np.integer] | None = field(default=None, compare=False, repr=False)
    order: str = "sequential"
    clamp: Clamp | None = None

    sample = None  # of a disorder: there is none

    @property
    def label(self) -> str:
        """Its name in files: V64H32, and V64H32_c003 with clamp number 3."""
        number = self.clamp.number if self.clamp else None
        return self.family if number is None else f"{self.family}_c{number:03d}"

    @property
    def family(self) -> str:
        """Its name without that of the clamp."""
        return f"V{self.sizes[0]}" + "".join(f"H{size}" for size in self.sizes[1:] if size)

    @property
    def n_sites(self) -> int:
        """Units that are drawn."""
        return sum(self.free_sizes)

    @property
    def free_sizes(self) -> tuple[int, ...]:
        """Units of each layer that are drawn."""
        held = np.bincount(
            np.searchsorted(np.cumsum(self.sizes), self.clamp.units if self.clamp else (), side="right"),
            minlength=len(self.sizes),
        )
        return tuple(size - int(number) for size, number in zip(self.sizes, held, strict=True))

    @property
    def facts(self) -> Facts:
        """What the analysis of its time series needs to know."""
        return Facts(sum(self.sizes), self.n_bonds, field=True, signed=True)

    @property
    def n_bonds(self) -> int:
        """Pairs of units that may be coupled."""
        if self.bonds is not None:
            return len(self.bonds)
        if self.kind == "general":
            n = sum(self.sizes)
            return n * (n - 1) // 2
        return sum(self.sizes[k] * self.sizes[k + 1] for k in range(len(self.sizes) - 1))


@dataclass(frozen=True, eq=False)
class Realization:
    """A machine with all its numbers: whole, and what is drawn of it, whose energy lacks a constant.

    free: the units that are drawn (n,);  held: values of all units (n of the whole,), 0 where they are drawn.
    """

    whole: Machine
    drawn: Machine
    constant: float
    free: NDArray[np.int64]
    held: Floats

    def states(self, spins: NDArray[Any]) -> Floats:
        """Values of all units from spins +1 and -1 of those that are drawn, (..., n)."""
        values = np.broadcast_to(self.held, (*spins.shape[:-1], self.whole.n)).copy()
        values[..., self.free] = (spins + 1) / 2 if self.whole.units == "binary" else spins
        return values


def parameter_bytes(system: MachineSystem) -> int:
    """Bytes of the parameters of a machine in a file: float64, of a general one the whole matrix."""
    n = sum(system.sizes)
    pairs = n * n if system.kind == "general" else sum(a * b for a, b in pairwise(system.sizes))
    return 8 * (pairs + n)


@lru_cache(KEPT)
def realize(system: MachineSystem, seed: int) -> Realization:
    """Draw or take the parameters of a machine; the same ones whenever and wherever it is asked for.

    seed: the run's.  Raises ValueError for clamps that do not fit.
    """
    whole = system.given
    if whole is None:
        origin = streams.sequence(seed, system.family, 0.0, 0, streams.COUPLINGS)
        rng = np.random.Generator(np.random.SFC64(origin))
        whole = random_machine(system.kind, system.units, system.sizes, system.scale, rng)
        if system.bonds is not None:
            there = np.zeros(whole.weights[0].shape)
            there[system.bonds[:, 0], system.bonds[:, 1]] = there[system.bonds[:, 1], system.bonds[:, 0]] = 1
            whole = replace(whole, weights=(whole.weights[0] * there,))
    held = np.zeros(whole.n)
    if system.clamp is None:
        return Realization(whole, whole, 0.0, np.arange(whole.n), held)
    units = np.array(system.clamp.units, np.int64)
    drawn, constant = whole.clamped(units.tolist(), system.clamp.values)
    held[units] = system.clamp.values
    return Realization(whole, drawn, constant, np.setdiff1d(np.arange(whole.n), units), held)


# --- kernels ------------------------------------------------------------------------------------------------------


class BlockTables:
    """A machine of spins as `kernels.blocks` wants it; shared by all samplers of a system.

    bonds: (m, 2);  couplings: (m,);  field: (n,);  blocks: the units (k,) of each block, no two of them coupled.
    Raises ValueError for a bond within a block.
    """

    bands = 2  # rows of scratch: generators and one chain at a time; temperatures of the chains

    def __init__(
        self, bonds: NDArray[np.integer], couplings: ArrayLike, field: ArrayLike, blocks: Iterable[NDArray[np.integer]]
    ) -> None:
        blocks = [block for block in blocks if len(block)]
        n = sum(len(block) for block in blocks)
        self.fixed = fixed_point(bonds, couplings, field, n)
        self.order = np.arange(n)
        words = [-(-len(block) // LANES) for block in blocks]
        first = np.concatenate(([0], np.cumsum(words))).astype(np.int64)
        self.place, of_block = np.empty(n, np.int64), np.empty(n, np.int64)
        for number, block in enumerate(blocks):
            self.place[block] = LANES * first[number] + np.arange(len(block))
            of_block[block] = number
        if np.any(of_block[bonds[:, 0]] == of_block[bonds[:, 1]]):
            raise ValueError("two units of one block are coupled")
        self.words = int(first[-1])
        self.field = np.zeros(LANES * self.words, np.int32)
        self.field[self.place] = self.fixed.field
        masks = np.zeros(self.words, np.uint64)
        np.bitwise_or.at(masks, self.place // LANES, np.uint64(1) << (self.place % LANES).astype(np.uint64))
        source = self.place[np.concatenate((bonds[:, 0], bonds[:, 1]))]
        target = self.place[np.concatenate((bonds[:, 1], bonds[:, 0]))]
        values = np.tile(self.fixed.couplings, 2)
        base = self.field.astype(np.int64)
        np.subtract.at(base, target, values)
        sources, source_first, offsets, columns = [], [0], [], int(COLUMNS)
        steps: list[NDArray[np.int32]] = []
        for number, count in enumerate(words):
            own = (target // LANES >= first[number]) & (target // LANES < first[number + 1])
            there = np.unique(source[own] // LANES)
            rows = np.zeros((LANES * len(there), LANES * count), np.int32)
            row = np.searchsorted(there, source[own] // LANES) * LANES + source[own] % LANES
            np.add.at(rows, (row, target[own] - LANES * first[number]), 2 * values[own])
            offsets.append(sum(len(part) for part in steps))
            tiles = LANES * count // columns
            steps.append(rows.reshape(len(rows), tiles, columns).transpose(1, 0, 2).reshape(-1, columns))
            sources.append(there)
            source_first.append(source_first[-1] + len(there))
        size = sum(len(part) for part in steps)
        tables = aligned_zeros(size * columns // 2).view(np.int32).reshape(-1, columns)
        if size:
            np.concatenate(steps, out=tables)
        words_of = [np.asarray(part, np.uint64) for part in (first, np.concatenate([*sources, []]), source_first)]
        self.net = (*words_of, np.array(offsets, np.uint64), tables, base.astype(np.int32), masks)


class BlockSampler(Lanes):
    """64 chains of a machine of blocks; always one thread, always by heat bath."""

    def __init__(self, tables: BlockTables, temperature: ArrayLike) -> None:
        super().__init__(tables, temperature, "heat_bath", None)
        self.tables = tables
        self.bits = np.zeros((LANES, tables.words), np.uint64)
        self._padded = np.zeros(LANES * tables.words, np.uint64)
        self._work = (
            aligned_zeros(LANES * LANES // 2).view(np.int32),
            aligned_zeros(int(TABLE_SIZE) // 2).view(np.int32),
        )
        self._cost = np.zeros(LANES, np.int64)

    def get_spins(self) -> Words:
        """The spins, one word a unit, (n,)."""
        kernel.to_words(self.bits, self._padded)
        return self._padded[self.tables.place]

    def set_spins(self, words: Words) -> None:
        """Set the spins, one word a unit, (n,)."""
        self._padded[:] = 0
        self._padded[self.tables.place] = words
        kernel.from_words(self._padded, self.bits)
        self._recount()

    def _recount(self) -> None:
        self._cost[:] = 0
        kernel.total_energies(self.bits, self.tables.net, self._work, self.tables.field, self.energy)

    def _run(
        self, every: int, energies: NDArray[np.int64], ups: NDArray[np.int32], work: Work, counts: NDArray[np.int64]
    ) -> None:
        kernel.sample(
            self.bits, self.tables.net, self._work, self._cost, self.scratches, every, self.energy, energies, ups, work,
            counts, self.ladder.plan(len(ups)),
        )  # fmt: skip

    def _cool(self, limit: NDArray[np.int32], scale: NDArray[np.float32], scale_low: NDArray[np.float32]) -> None:
        chains = self.scratches[1].view(np.int32)
        for values in zip(limit, scale.view(np.int32), scale_low.view(np.int32), strict=True):
            for section, value in zip(_TEMPERATURE, values, strict=True):
                chains[section : section + LANES] = value
            kernel.sweep(self.bits, self.tables.net, self._work, self.scratches, self._cost)


_TEMPERATURE = tuple(map(int, (logistic.LIMIT, logistic.SCALE, logistic.SCALE_LOW)))
Tables = BlockTables | DenseTables | SparseTables


@lru_cache(KEPT)
def tables_of(system: MachineSystem, seed: int, name: str) -> tuple[Tables, float]:
    """Tables of a machine for a kernel, and a constant to be added to the energies; remembered."""
    realization = realize(system, seed)
    spins, constant = realization.drawn.written_as("spin")
    return make_tables(spins, name), realization.constant + constant


def make_tables(machine: Machine, name: str) -> Tables:
    """Tables of a machine of spins for a kernel."""
    parts = list(machine.bonds())
    bonds = np.concatenate([own for own, _ in parts])
    J, h = np.concatenate([own for _, own in parts]), np.concatenate(machine.biases)
    if name == "dense":
        return DenseTables(machine.n, bonds, J, h)
    if name == "sparse":
        return SparseTables(machine.n, bonds, J, h, _colours(machine.n, bonds))
    return BlockTables(bonds, J, h, _blocks(machine, bonds))


def _blocks(machine: Machine, bonds: NDArray[np.integer]) -> list[NDArray[np.integer]]:
    """Units that can be drawn at once: layers, or the colours of a graph."""
    if machine.kind != "general":
        return [np.arange(own.start, own.stop) for own in machine.layers]
    colours = _colours(machine.n, bonds)
    return [np.flatnonzero(colours == colour) for colour in range(int(colours.max(initial=0)) + 1)]


def _colours(n: int, bonds: NDArray[np.integer]) -> NDArray[Any]:
    """Colours of the units (n,), such that no two that are coupled have the same."""
    first, ends, _ = graphs.adjacency(n, bonds.astype(np.int32))
    colours = graphs.colour(n, first, ends)
    if colours.max(initial=0) == graphs.UNCOLOURED:
        raise ValueError("the couplings need more than 254 colours: set algorithm.kernel = 'dense'")
    return np.asarray(colours)


def choose(system: MachineSystem, asked: str) -> tuple[str, str]:
    """The kernel for a machine, and why; asked: "auto", or its name.

    Raises ValueError where it cannot do what is wanted.
    """
    if system.order == "random" and (system.kind != "general" or asked not in ("auto", "dense")):
        what = f"machine.kind = '{system.kind}'" if system.kind != "general" else f"algorithm.kernel = '{asked}'"
        raise ValueError(f"machine.order = 'random' needs a general machine and the dense kernel, not {what}")
    if asked != "auto":
        return asked, f"{KERNELS[asked]}, as asked for"
    if system.kind != "general":
        if _pairs_of_words(system.sizes) * WORD_PAIR < system.n_bonds * BOND:
            return "blocks", f"{KERNELS['blocks']}: layers are drawn at once"
        return "sparse", f"{KERNELS['sparse']}: layers fill words of 64 units badly"
    if system.order == "sequential" and _is_sparse(system):
        return "sparse", f"{KERNELS['sparse']}: few couplings a unit"
    return "dense", f"{KERNELS['dense']}: many couplings a unit"


def _pairs_of_words(sizes: tuple[int, ...]) -> int:
    """Pairs of words of 64 units, from one layer to the next and back."""
    words = [-(-size // LANES) for size in sizes]
    return 2 * sum(one * other for one, other in pairwise(words))


def _is_sparse(system: MachineSystem) -> bool:
    """Whether a general machine has few couplings a unit, and no unit so many that colours run out."""
    n = sum(system.sizes)
    if system.given:
        degrees = np.count_nonzero(system.given.weights[0], axis=1)
    elif system.bonds is not None:
        degrees = np.bincount(system.bonds.ravel(), minlength=n)
    else:
        degrees = np.full(n, n - 1)
    return bool(degrees.sum() <= FEW_NEIGHBOURS * n and degrees.max(initial=0) < MOST_COLOURS)


def memory_needed(system: MachineSystem, name: str) -> int:
    """Bytes that a machine, its tables and a sampler take, roughly."""
    n, m = sum(system.sizes), system.n_bonds
    machine = 8 * (n * n if system.kind == "general" else m)
    tables = {"dense": 4 * n * (n + 144), "blocks": 8 * m, "sparse": 24 * m}[name]
    return 2 * machine + 28 * m + tables + LANES * 16 * n


def make_sampler(
    system: MachineSystem, seed: int, name: str, temperature: ArrayLike, replicas: int
) -> tuple[Any, float]:
    """A sampler of 64 chains, not started, and a constant to be added to its energies."""
    tables, constant = tables_of(system, seed, name)
    if isinstance(tables, DenseTables):
        return DenseSampler(tables, temperature, "heat_bath", replicas, shuffled=system.order == "random"), constant
    if isinstance(tables, SparseTables):
        return SparseSampler(tables, temperature, "heat_bath"), constant
    return BlockSampler(tables, temperature), constant


# --- samplers -----------------------------------------------------------------------------------------------------


class MachineSampler:
    """Chains of a machine: the samplers' protocol, with the energies of the machine, activities, and sums of each unit.

    inner: a sampler of spins, plain or tempered;  constant: of the energy;  ladder: its ladder, where it is tempered.
    """

    lanes = LANES

    def __init__(self, inner: Any, constant: float, realization: Realization, ladder: Ladder | None = None) -> None:
        self.inner, self.constant, self.realization, self.ladder = inner, constant, realization, ladder
        self.record_bytes = inner.record_bytes
        self.sums = np.zeros((realization.drawn.n, LANES), np.int64)

    def start(self, seed: int, system: str, temperature: float, word: int, start: str) -> None:
        """Draw the first state; "mixed" starts even chains with all units on and odd ones at random."""
        self.inner.start(seed, system, temperature, word, start)
        self.sums[:] = 0

    def state(self) -> State:
        """A copy of the state, with the sums of each unit in each chain (n, 64), or at each place of the ladders."""
        own: State = self.inner.state()
        return replace(own, more={"unit_sums": self.sums.copy()})

    def restore(self, state: State) -> None:
        """Go back to a state."""
        self.inner.restore(replace(state, more={}))
        self.sums[:] = state.more["unit_sums"]

    def sweep(self, sweeps: int) -> None:
        """Do some sweeps without measuring."""
        self.inner.sweep(sweeps)

    def record(self, measurements: int, every: int) -> Series:
        """Energies and activities (sum of the values of all units), (chains, measurements) each."""
        parts = []
        for _ in range(measurements):
            parts.append(self.inner.record(1, every))
            lanes = self.ladder.where[-1] if self.ladder else _LANES
            kernel.count_units(self._spins(), lanes.astype(np.uint64), self.sums)
        energy, spins = (np.concatenate([part[name] for part in parts], axis=1) for name in _RECORDED)
        binary, n = self.realization.whole.units == "binary", self.realization.drawn.n
        free = (spins + n) // 2 if binary else spins
        held = self.realization.held.sum()
        return {
            "energy": energy + self.constant if self.constant else energy,
            "activity": free + int(held),
        }

    def _spins(self) -> Words:
        spins: Words = (self.inner.inner if self.ladder else self.inner).get_spins()
        return spins


_LANES = np.arange(LANES)
_RECORDED = ("energy", "magnetization")


def mean_values(realization: Realization, sums: NDArray[np.integer], records: int) -> Floats:
    """Mean value of each unit in each chain, (chains, n of the whole), from sums (n, chains) over some records."""
    ups = sums.T / records
    values = np.broadcast_to(realization.held, (len(ups), realization.whole.n)).copy()
    values[:, realization.free] = ups if realization.whole.units == "binary" else 2 * ups - 1
    return values


def states_of(realization: Realization, state: State, chains: int) -> Floats:
    """Values of all units (chains, n) in a state of a sampler."""
    spins = 2.0 * unpack(state.spins).T[:chains] - 1
    return realization.states(spins)
