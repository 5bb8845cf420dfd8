"""Packed graphs against a slow twin, bit for bit; their tables hold the graph and nothing else."""

import numpy as np
import pytest
from packed_twin import PackedTwin

from ising_mc import packed
from ising_mc.kernels import graphs
from ising_mc.kernels.packed import PATTERN
from ising_mc.lattices import Lattice
from ising_mc.packed import Bonds, PackedSampler, Tables

UPDATES = ("metropolis", "heat_bath")


def lattice(kind: str, *size: int, periodic: bool = True) -> np.ndarray:
    return Lattice(kind, size, (periodic,) * len(size)).graph().bonds


def random_graph(n: int, m: int, seed: int = 1) -> np.ndarray:
    """m different bonds among n sites, in any order and direction."""
    rng = np.random.default_rng(seed)
    pairs = np.stack(np.triu_indices(n, 1), 1)
    return rng.permuted(pairs[rng.choice(len(pairs), m, replace=False)], axis=1).astype(np.int32)


GRAPHS = {
    "chain": (9, lattice("chain", 9)),
    "square, open": (20, lattice("square", 4, 5, periodic=False)),
    "square": (24, lattice("square", 4, 6)),
    "odd square": (15, lattice("square", 3, 5)),
    "double bonds": (8, lattice("cubic", 2, 2, 2)),
    "triangular": (36, lattice("triangular", 6, 6)),
    "honeycomb": (24, lattice("honeycomb", 4, 3)),
    "cubic": (216, lattice("cubic", 6, 6, 6)),
    "cubic of several blocks": (720, lattice("cubic", 8, 9, 10)),
    "four dimensions": (144, lattice("hypercubic", 4, 4, 3, 3)),
    "random graph": (60, random_graph(60, 150)),
    "dense spots": (15, random_graph(15, 70)),
    "isolated sites": (12, random_graph(12, 6)),
}


def make(
    name: str, negative: float = 0.0, moduli: tuple[float, ...] = (1.0,), h: float = 0.0, seed: int = 2
) -> tuple[Bonds, Tables]:
    n, ends = GRAPHS[name]
    rng = np.random.default_rng(seed)
    modulus = rng.integers(0, len(moduli), len(ends)).astype(np.uint8)
    if len(moduli) > 1:  # at most a few of each at a site
        modulus = (np.arange(len(ends)) % len(moduli)).astype(np.uint8)
    signs = rng.random(len(ends)) < negative
    bonds = Bonds(n, ends, moduli, modulus, signs, np.zeros(len(ends), np.uint8))
    first, neighbours, _ = graphs.adjacency(n, ends)
    return bonds, Tables(bonds, h, graphs.colour(n, first, neighbours))


def assert_same_walk(
    bonds: Bonds, tables: Tables, h: float, T: float | np.ndarray, update: str, sweeps: int = 3
) -> None:
    sampler = PackedSampler(tables, T, update)
    sampler.start(7, "twin", 1.0, 0, "mixed")
    state = sampler.state()
    twin = PackedTwin(tables, bonds, h, state.spins, state.random, np.broadcast_to(T, 64), update)
    for _ in range(sweeps):
        unsatisfied, ups, _ = sampler.count(1, 1)
        twin.sweep()
        expected = twin.counts()
        np.testing.assert_array_equal(unsatisfied[0], expected[0])
        np.testing.assert_array_equal(ups[0], expected[1])
    np.testing.assert_array_equal(sampler.get_spins(), twin.words())
    np.testing.assert_array_equal(sampler.state().random, twin.random)


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("name", GRAPHS)
def test_one_modulus(name: str, update: str) -> None:
    for negative in (0.0, 0.4, 1.0):
        bonds, tables = make(name, negative)
        assert_same_walk(bonds, tables, 0.0, 2.3, update)


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("h", [0.3, -1.2, 2.0, -9.0])  # 2: moves that cost exactly nothing
@pytest.mark.parametrize("name", ["chain", "odd square", "double bonds", "triangular", "random graph", "dense spots"])
def test_in_a_field(name: str, h: float, update: str) -> None:
    bonds, tables = make(name, 0.3, h=h)
    assert_same_walk(bonds, tables, h, 3.1, update)


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize(("moduli", "h"), [((0.7, 1.3), 0.0), ((0.5, 1.0), 0.0), ((0.25, 0.5, 1.0), 0.5)])
@pytest.mark.parametrize("name", ["square", "square, open", "honeycomb", "double bonds"])
def test_several_moduli(name: str, moduli: tuple[float, ...], h: float, update: str) -> None:
    bonds, tables = make(name, 0.2, moduli, h)
    assert_same_walk(bonds, tables, h, 1.7, update)


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("name", ["cubic of several blocks", "random graph"])
def test_several_bands(name: str, update: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "BAND_WORDS", 20)
    for h in (0.0, 0.4):
        bonds, tables = make(name, 0.4, h=h)
        assert tables.bands.shape[1] > 3
        assert_same_walk(bonds, tables, h, 2.0, update, sweeps=2)


@pytest.mark.parametrize("update", UPDATES)
def test_each_lane_has_its_temperature(update: str) -> None:
    for name, h in (("cubic", 0.0), ("random graph", 0.0), ("triangular", 0.3)):
        bonds, tables = make(name, 0.4, h=h)
        assert_same_walk(bonds, tables, h, np.geomspace(0.3, 100.0, 64), update)


def test_one_wrong_random_bit_is_noticed() -> None:
    bonds, tables = make("cubic")
    sampler = PackedSampler(tables, 4.5, "heat_bath")
    sampler.start(7, "twin", 1.0, 0, "mixed")
    state = sampler.state()
    state.random[0, 0] ^= np.uint64(1)
    twin = PackedTwin(tables, bonds, 0.0, state.spins, state.random, np.full(64, 4.5), "heat_bath")
    sampler.sweep(1)
    twin.sweep()
    assert np.any(sampler.get_spins() != twin.words())


# --- tables -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GRAPHS)
def test_colours_are_proper_and_few(name: str) -> None:
    n, ends = GRAPHS[name]
    first, neighbours, _ = graphs.adjacency(n, ends)
    colours = graphs.colour(n, first, neighbours)
    assert (colours[ends[:, 0]] != colours[ends[:, 1]]).all()
    if name in ("square", "square, open", "double bonds", "honeycomb", "cubic"):
        assert set(colours) == {0, 1}
    assert colours.max() <= np.bincount(ends.ravel()).max()


def test_too_many_colours_are_told() -> None:
    ends = np.stack(np.triu_indices(256, 1), 1).astype(np.int32)
    first, neighbours, _ = graphs.adjacency(256, ends)
    assert (graphs.colour(256, first, neighbours) == graphs.UNCOLOURED).all()


@pytest.mark.parametrize("name", GRAPHS)
def test_tables_hold_the_graph(name: str) -> None:
    """Both ends of every bond, with its sign and modulus, those to earlier colours first; nothing else."""
    bonds, tables = make(name, 0.4, (0.5, 1.0) if name in ("square", "honeycomb") else (1.0,))
    places, runs, neighbours, flips = tables.tables
    degrees, backs, moduli, turns, *_ = tables.patterns
    found = []
    for b, (start, words, _, pattern) in enumerate(tables.blocks):
        assert pattern == tables.blocks[b, PATTERN]
        for d in range(degrees[pattern]):
            place, count = (int(x) for x in places[b, d])
            others = neighbours[place : place + words].astype(np.int64)
            if count:
                others = np.empty(0, np.int64)
                for end, source_end in runs[place : place + count].astype(np.int64):
                    length = end - len(others)
                    others = np.append(others, np.arange(source_end - length, source_end))
            assert len(others) == words
            for i in range(words):
                one, other = tables.order[start + i], tables.order[others[i]]
                negative = int(flips[b, d, i // 64]) >> (i % 64) & 1
                found.append((one, other, moduli[pattern, d], negative))
                assert (d < backs[pattern]) == (others[i] < start)  # sites are sorted by colour
        assert not turns[pattern].any()
    expected = [
        (ends[side], ends[1 - side], modulus, int(negative))
        for ends, modulus, negative in zip(bonds.ends, bonds.modulus, bonds.negative, strict=True)
        for side in range(2)
    ]
    assert sorted(map(tuple, np.array(found))) == sorted(map(tuple, np.array(expected)))


def test_memory_of_a_large_graph() -> None:
    """Less than 200 bytes a site with three bonds a site, all tables, the sampler and the graph itself counted."""
    n, rng = 100_000, np.random.default_rng(3)
    ends = np.unique(np.sort(rng.integers(0, n, (3 * n, 2)), axis=1), axis=0)
    ends = ends[ends[:, 0] != ends[:, 1]].astype(np.int32)
    first, neighbours, _ = graphs.adjacency(n, ends)
    bonds = Bonds(
        n, ends, (1.0,), np.zeros(len(ends), np.uint8), rng.random(len(ends)) < 0.5, np.zeros(len(ends), np.uint8)
    )
    tables = Tables(bonds, 0.0, graphs.colour(n, first, neighbours))
    sampler = PackedSampler(tables, 2.0, "heat_bath")
    arrays = [*tables.tables, *tables.patterns, tables.blocks, tables.order, tables.rank]
    arrays += [sampler.spins, sampler.scratches, sampler.counters, ends, bonds.modulus, bonds.negative, bonds.turn]
    couplings = 8 * len(ends)
    assert sum(array.nbytes for array in arrays) + couplings < 200 * n


def test_what_is_too_much_for_the_kernels() -> None:
    star = np.array([[0, k] for k in range(1, 34)], np.int32)
    no = np.zeros(33, bool)
    bonds = Bonds(34, star, (1.0,), no.astype(np.uint8), no, no.astype(np.uint8))
    with pytest.raises(ValueError, match="33 neighbours"):
        Tables(bonds, 0.0, np.array([0] + [1] * 33, np.uint8))
    half = Bonds(25, star[:24], (1.0, 2.0), (np.arange(24) % 2).astype(np.uint8), no[:24], no[:24].astype(np.uint8))
    with pytest.raises(ValueError, match="energies"):
        Tables(half, 0.5, np.array([0] + [1] * 24, np.uint8))
