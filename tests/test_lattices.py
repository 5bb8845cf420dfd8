"""Lattices against slow constructions that know only where the sites are, and random graphs against counting."""

from collections import Counter
from itertools import combinations, product

import numpy as np
import pytest
from scipy.stats import chi2

from ising_mc.lattices import KINDS, Graph, Lattice, parse_size

SIXTY = np.array([[1.0, 0.0], [0.5, np.sqrt(0.75)]])  # axes that enclose 60 degrees
SHAPES = [
    ("chain", (2,)),
    ("chain", (3,)),
    ("chain", (10,)),
    ("square", (2, 2)),
    ("square", (2, 5)),
    ("square", (4, 3)),
    ("triangular", (2, 2)),
    ("triangular", (2, 4)),
    ("triangular", (4, 2)),
    ("triangular", (3, 3)),
    ("triangular", (4, 5)),
    ("honeycomb", (2, 2)),
    ("honeycomb", (2, 3)),
    ("honeycomb", (4, 3)),
    ("cubic", (2, 3, 4)),
    ("cubic", (3, 3, 3)),
    ("hypercubic", (5,)),
    ("hypercubic", (3, 2)),
    ("hypercubic", (2, 3, 2, 3)),
    ("hypercubic", (2, 2, 2, 2, 2)),
]
LATTICES = [
    *(Lattice(kind, size, periodic) for kind, size in SHAPES for periodic in product((True, False), repeat=len(size))),
    Lattice("chain", (2,), (False,)),
    Lattice("square", (1, 4), (False, True)),
    Lattice("square", (1, 4), (False, False)),
    Lattice("triangular", (3, 1), (True, False)),
    Lattice("triangular", (1, 3), (False, False)),
    Lattice("honeycomb", (1, 1), (False, False)),
    Lattice("honeycomb", (1, 3), (False, True)),
    Lattice("cubic", (1, 1, 2), (False, False, False)),
]


def name(lattice: Lattice) -> str:
    return f"{lattice.kind}-{lattice.label}-{''.join('po'[not periodic] for periodic in lattice.periodic)}"


def regular(n: int, degree: int, seed: int = 0) -> Graph:
    return Lattice("random_regular", (n,), degree=degree).graph(np.random.SeedSequence(seed))


def bond_counts(graph: Graph) -> np.ndarray:
    """Number of bonds between each two sites."""
    counts = np.zeros((graph.n_sites, graph.n_sites), int)
    for i, j in graph.bonds.tolist():
        counts[i, j] += 1
        counts[j, i] += 1
    return counts


def nearest_images(lattice: Lattice) -> np.ndarray:
    """The same from the positions: each periodic image at the shortest distance is a bond."""
    vectors = SIXTY if lattice.kind in ("triangular", "honeycomb") else np.eye(lattice.dimension)
    basis, distance = [np.zeros(lattice.dimension)], 1.0
    if lattice.kind == "honeycomb":
        basis, distance = [np.zeros(2), vectors.sum(axis=0) / 3.0], np.sqrt(1.0 / 3.0)
    cells = product(*(range(side) for side in lattice.size))
    positions = np.array([np.array(cell) @ vectors + shift for cell in cells for shift in basis])
    counts = np.zeros((len(positions), len(positions)), int)
    for image in product(*((-1, 0, 1) if periodic else (0,) for periodic in lattice.periodic)):
        moved = positions + (np.array(image) * lattice.size) @ vectors
        counts += np.isclose(np.linalg.norm(positions[:, np.newaxis] - moved, axis=-1), distance)
    return counts


# --- lattices with cells ---


@pytest.mark.parametrize("lattice", LATTICES, ids=name)
def test_bonds_join_nearest_images(lattice: Lattice) -> None:
    graph = lattice.graph()
    np.testing.assert_array_equal(bond_counts(graph), nearest_images(lattice))
    assert graph.bonds.shape == (lattice.n_bonds, 2)
    assert graph.n_sites == lattice.n_sites == len(graph.cells)
    assert (graph.bonds.dtype, graph.axis.dtype, graph.cells.dtype) == (np.int32, np.uint8, np.int32)


@pytest.mark.parametrize("lattice", LATTICES, ids=name)
def test_sites_are_numbered_row_major_and_bonds_know_their_direction(lattice: Lattice) -> None:
    graph = lattice.graph()
    basis = 2 if lattice.kind == "honeycomb" else 1
    assert graph.cells.tolist() == [
        list(cell) for cell in product(*(range(side) for side in lattice.size)) for _ in range(basis)
    ]
    steps = {
        "triangular": [[1, 0], [0, 1], [1, -1]],
        "honeycomb": [[0, 0], [-1, 0], [0, -1]],
    }.get(lattice.kind, np.eye(lattice.dimension, dtype=int).tolist())
    assert lattice.directions == len(steps)
    walked = graph.cells[graph.bonds[:, 1]] - graph.cells[graph.bonds[:, 0]] - np.array(steps)[graph.axis]
    assert not np.any(walked % np.where(lattice.periodic, lattice.size, 10**6))
    assert np.all(np.diff(graph.axis.astype(int)) >= 0)  # direction after direction
    if lattice.kind == "honeycomb":
        np.testing.assert_array_equal(graph.bonds % 2, np.tile([0, 1], (len(graph.bonds), 1)))


@pytest.mark.parametrize(
    ("kind", "size", "degree"),
    [
        ("chain", (7,), 2),
        ("square", (4, 6), 4),
        ("square", (2, 2), 4),
        ("triangular", (5, 2), 6),
        ("honeycomb", (2, 7), 3),
        ("cubic", (2, 3, 4), 6),
        ("hypercubic", (2, 2, 3, 2, 2, 2, 2, 2), 16),
    ],
)
def test_degrees_of_periodic_lattices(kind: str, size: tuple[int, ...], degree: int) -> None:
    lattice = Lattice(kind, size, (True,) * len(size))
    assert np.all(np.bincount(lattice.graph().bonds.ravel()) == degree)
    assert lattice.n_bonds == lattice.n_sites * degree // 2


def test_each_axis_has_its_own_boundary() -> None:
    graph = Lattice("square", (4, 5), (True, False)).graph()
    assert np.bincount(graph.axis).tolist() == [20, 16]
    cells = graph.cells[graph.bonds]
    assert np.abs(cells[:, 0] - cells[:, 1]).max(axis=0).tolist() == [3, 1]  # only the first axis has a way around


@pytest.mark.parametrize(
    ("kind", "size", "doubled"),
    [
        ("chain", (2,), 1),
        ("square", (2, 4), 4),
        ("square", (2, 2), 4),
        ("triangular", (2, 4), 4),
        ("triangular", (4, 2), 4),
        ("triangular", (2, 2), 6),
        ("triangular", (3, 3), 0),
        ("honeycomb", (2, 2), 0),
        ("cubic", (2, 3, 3), 9),
    ],
)
def test_double_bonds_where_a_periodic_side_has_two_cells(kind: str, size: tuple[int, ...], doubled: int) -> None:
    counts = bond_counts(Lattice(kind, size, (True,) * len(size)).graph())
    assert counts.max() == (2 if doubled else 1)
    assert np.sum(np.triu(counts) == 2) == doubled


def test_sites_0_of_the_honeycomb_lattice_form_the_triangular_lattice() -> None:
    """Each site 1 makes one triangle of its three neighbours: what the star-triangle relation needs."""
    for size in [(3, 4), (2, 3), (2, 2)]:
        stars = {}
        for i, j in Lattice("honeycomb", size, (True, True)).graph().bonds.tolist():
            stars.setdefault(j, []).append(i // 2)
        pairs = Counter(tuple(sorted(pair)) for star in stars.values() for pair in combinations(star, 2))
        triangular = Lattice("triangular", size, (True, True)).graph()
        assert pairs == Counter(tuple(sorted(bond)) for bond in triangular.bonds.tolist())


def two_colourable(graph: Graph) -> bool:
    neighbours = [np.flatnonzero(row) for row in bond_counts(graph)]
    colour: dict[int, int] = {}
    for first in range(graph.n_sites):
        if first in colour:
            continue
        colour[first], front = 0, [first]
        while front:
            site = front.pop()
            for other in neighbours[site]:
                if other not in colour:
                    colour[other] = 1 - colour[site]
                    front.append(other)
                elif colour[other] == colour[site]:
                    return False
    return True


@pytest.mark.parametrize("lattice", LATTICES, ids=name)
def test_is_bipartite(lattice: Lattice) -> None:
    expected = None if lattice.kind == "triangular" else two_colourable(lattice.graph())
    assert lattice.is_bipartite is expected


@pytest.mark.parametrize(
    ("kind", "size", "label"),
    [
        ("chain", (100,), "L100"),
        ("square", (32, 32), "L32"),
        ("square", (48, 32), "L48x32"),
        ("honeycomb", (8, 8), "L8"),
        ("cubic", (4, 4, 5), "L4x4x5"),
        ("hypercubic", (4, 4, 4, 4), "L4"),
    ],
)
def test_label(kind: str, size: tuple[int, ...], label: str) -> None:
    assert Lattice(kind, size, (True,) * len(size)).label == label


def test_lattices_are_values() -> None:
    one, same = (Lattice("square", (4, 4), (True, True)) for _ in range(2))
    assert one == same
    assert len({one, same, Lattice("square", (4, 4), (True, False))}) == 2


def test_sizes_without_building_the_graph() -> None:
    huge = Lattice("cubic", (1000, 1000, 1000), (True, False, True))
    assert (huge.n_sites, huge.n_bonds) == (10**9, 3 * 10**9 - 10**6)


def test_a_seed_is_of_no_effect_on_lattices() -> None:
    lattice = Lattice("triangular", (3, 4), (True, False))
    np.testing.assert_array_equal(lattice.graph().bonds, lattice.graph(np.random.SeedSequence(1)).bonds)


# --- graphs without cells ---


@pytest.mark.parametrize("n", [2, 3, 10])
def test_complete(n: int) -> None:
    lattice = Lattice("complete", (n,))
    graph = lattice.graph()
    assert graph.bonds.tolist() == [list(pair) for pair in combinations(range(n), 2)]
    assert len(graph.bonds) == lattice.n_bonds
    assert (lattice.label, lattice.dimension, lattice.directions, lattice.is_bipartite) == (f"N{n}", 0, 1, None)
    assert graph.cells.shape == (n, 0)
    assert not graph.axis.any()


@pytest.mark.parametrize(
    ("n", "degree"),
    [(2, 1), (4, 1), (5, 2), (6, 5), (7, 4), (20, 9), (20, 10), (21, 18), (30, 3), (1000, 6), (30001, 4)],
)
def test_random_regular_is_simple_and_regular(n: int, degree: int) -> None:
    lattice = Lattice("random_regular", (n,), degree=degree)
    graph = regular(n, degree)
    assert len(graph.bonds) == lattice.n_bonds == n * degree // 2
    assert np.all(np.bincount(graph.bonds.ravel(), minlength=n) == degree)
    assert np.all(graph.bonds[:, 0] < graph.bonds[:, 1])
    assert len(np.unique(graph.bonds, axis=0)) == len(graph.bonds)
    assert (lattice.label, graph.cells.shape, graph.bonds.dtype) == (f"N{n}", (n, 0), np.int32)
    np.testing.assert_array_equal(graph.bonds, graph.bonds[np.lexsort(graph.bonds.T[::-1])])


def test_random_regular_follows_its_seed() -> None:
    np.testing.assert_array_equal(regular(100, 3, 5).bonds, regular(100, 3, 5).bonds)
    assert not np.array_equal(regular(100, 3, 5).bonds, regular(100, 3, 6).bonds)


@pytest.mark.parametrize(("n", "degree", "graphs"), [(6, 3, 70), (5, 2, 12)])
def test_random_regular_is_uniform(n: int, degree: int, graphs: int) -> None:
    """Over all labelled graphs: K_33 (10) and prisms (60); pentagons."""
    samples = 10 * graphs
    found = Counter(regular(n, degree, seed).bonds.tobytes() for seed in range(samples))
    assert len(found) <= graphs
    expected = samples / graphs
    deviation = sum((count - expected) ** 2 for count in found.values()) / expected
    deviation += (graphs - len(found)) * expected  # those not found
    assert 1e-4 < chi2.sf(deviation, graphs - 1) < 1.0 - 1e-4


def test_large_random_regular_graphs_have_few_triangles() -> None:
    """Of a uniform graph of degree d, their number is Poisson's with mean (d - 1)^3 / 6, for large n."""
    triangles = 0
    for seed in range(20):
        neighbours = bond_counts(regular(400, 4, seed)).astype(float)
        triangles += round(np.trace(neighbours @ neighbours @ neighbours)) // 6
    assert triangles == pytest.approx(20 * 4.5, abs=4.0 * np.sqrt(20 * 4.5))


# --- what is refused, and sizes from a run file ---


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("kagome", (4, 4), (True, True)), "no lattice 'kagome'; there are chain, square, triangular"),
        (("square", (4,), (True,)), "square has 2 sides, not 1"),
        (("chain", (4, 4), (True, True)), "chain has 1 side, not 2"),
        (("hypercubic", (2,) * 9, (True,) * 9), "hypercubic has 1 to 8 sides, not 9"),
        (("hypercubic", (), ()), "1 to 8 sides, not 0"),
        (("square", (4, 0), (True, False)), "at least 1, not 4, 0"),
        (("square", (4, 2.5), (True, False)), "at least 1, not 4, 2.5"),
        (("square", (4, True), (True, False)), "at least 1, not 4, True"),
        (("square", (4, 4), (True,)), "2 axes takes as many booleans in periodic, not .True,."),
        (("square", (4, 4), (True, "open")), "booleans in periodic, not .True, 'open'."),
        (("square", (4, 4)), "2 axes takes as many booleans in periodic, not .."),
        (("complete", (4,), (True,)), "complete of 0 axes"),
        (("square", (4, 1), (True, True)), "a periodic side needs at least 2 cells, an open one 1, not 4x1"),
        (("honeycomb", (1, 4), (True, True)), "a periodic side needs at least 2"),
        (("chain", (1,), (False,)), "has no bond"),
        (("cubic", (1, 1, 1), (False,) * 3), "has no bond"),
        (("complete", (1,)), "has no bond"),
        (("square", (4, 4), (True, True), 3), "degree goes with random_regular, not with square"),
        (("random_regular", (10,)), "even product of the two, not degree 0"),
        (("random_regular", (5,), (), 3), "not degree 3"),
        (("random_regular", (4,), (), 4), "one less than its number of sites, 4"),
        (("random_regular", (4,), (), -2), "not degree -2"),
    ],
)
def test_lattices_refused(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Lattice(*arguments)


def test_sites_that_cannot_be_numbered() -> None:
    for arguments in (("square", (2**16, 2**15), (True, True)), ("honeycomb", (2**15, 2**15), (True, True))):
        with pytest.raises(ValueError, match="2147483648 sites; at most 2147483647"):
            Lattice(*arguments).graph()


def test_random_regular_needs_a_seed() -> None:
    with pytest.raises(ValueError, match="needs a seed"):
        Lattice("random_regular", (10,), degree=3).graph()


@pytest.mark.parametrize(
    ("kind", "value", "size"),
    [
        ("chain", 10, (10,)),
        ("square", 32, (32, 32)),
        ("square", [48, 32], (48, 32)),
        ("honeycomb", 6, (6, 6)),
        ("cubic", 4, (4, 4, 4)),
        ("cubic", (4, 5, 6), (4, 5, 6)),
        ("hypercubic", [4, 4, 4, 4], (4, 4, 4, 4)),
        ("hypercubic", [7], (7,)),
        ("random_regular", 1000, (1000,)),
        ("complete", [20], (20,)),
    ],
)
def test_parse_size(kind: str, value: int | list[int], size: tuple[int, ...]) -> None:
    assert parse_size(kind, value) == size


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        ("kagome", 4, "no lattice 'kagome'"),
        ("kagome", [4], "no lattice 'kagome'"),
        ("hypercubic", 4, "hypercubic takes a list of its sides, not 4"),
        ("square", [4], "2 sides, not 1"),
        ("square", [], "2 sides, not 0"),
        ("square", 0, "at least 1, not 0, 0"),
        ("square", True, "at least 1"),
        ("square", "8", "at least 1, not '8', '8'"),
        ("cubic", [4, 4.0, 4], "at least 1, not 4, 4.0, 4"),
    ],
)
def test_sizes_refused(kind: str, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_size(kind, value)  # type: ignore[arg-type]


def test_every_kind_is_tested() -> None:
    assert {lattice.kind for lattice in LATTICES} | {"random_regular", "complete"} == set(KINDS)
