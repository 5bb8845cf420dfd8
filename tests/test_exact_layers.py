"""Transfer matrices of layers against enumeration, Kaufman, the chain and themselves seen from another side."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from ising_mc.exact import MAX_LAYER, chain, critical_temperature, enumerate_states, kaufman, transfer_matrix
from ising_mc.lattices import Lattice

T = np.array([0.4, 1.0, 2.3, 5.0, 100.0])


def layers_of(lattice, J=1.0, field=0.0, T=T):
    """transfer_matrix for a lattice cut across its first axis; J is one coupling, or one a direction."""
    graph = lattice.graph()
    n = lattice.n_sites // lattice.size[0]
    couplings = np.broadcast_to(J, lattice.directions)[graph.axis]
    layer, site = graph.bonds // n, graph.bonds % n
    step = (layer[:, 1] - layer[:, 0]) % lattice.size[0]
    # the bonds of the first layer, and those that join it to the second one from either end
    within = (layer[:, 0] == 0) & (step == 0)
    backward = step == lattice.size[0] - 1 if lattice.kind == "honeycomb" else np.zeros(len(step), bool)
    up = (layer[:, 0] == 0) & (step == 1) & ~backward
    down = (layer[:, 1] == 0) & backward
    between = np.concatenate([site[up], site[down][:, ::-1]])
    return transfer_matrix(
        T,
        lattice.size[0],
        n,
        site[within],
        between,
        couplings[within],
        np.concatenate([couplings[up], couplings[down]]),
        field,
        lattice.periodic[0],
    )


def assert_same(one, other, rtol=1e-10):
    assert_allclose(one.free_energy, other.free_energy, rtol=1e-13)
    assert_allclose(one.energy, other.energy, rtol=1e-11)
    assert_allclose(one.specific_heat, other.specific_heat, rtol=rtol, atol=1e-13)


def assert_enumerated(exact, states, rtol=1e-10):
    observables = states.observables(T)
    assert_allclose(exact.free_energy, observables["free_energy"], rtol=1e-13)
    assert_allclose(exact.energy, observables["energy_per_site"], rtol=1e-11)
    assert_allclose(exact.specific_heat, observables["specific_heat"], rtol=rtol, atol=1e-13)


@pytest.mark.parametrize("J", ["one", "directions", "frustrated"])
@pytest.mark.parametrize(
    ("kind", "size", "periodic"),
    [
        ("square", (5, 3), (True, True)),
        ("square", (2, 4), (True, False)),
        ("square", (4, 4), (False, True)),
        ("triangular", (4, 3), (True, True)),
        ("triangular", (3, 5), (True, False)),
        ("triangular", (5, 3), (False, True)),
        ("triangular", (2, 2), (True, True)),
        ("honeycomb", (3, 2), (True, True)),
        ("honeycomb", (3, 3), (False, True)),
        ("cubic", (2, 3, 3), (True, True, True)),
        ("cubic", (4, 2, 2), (True, True, False)),
    ],
)
def test_against_enumeration(kind, size, periodic, J):
    lattice = Lattice(kind, size, periodic)
    couplings = {"one": 1.0, "directions": [1.3, 0.7, 0.4][: lattice.directions], "frustrated": -0.6}[J]
    field = 0.0 if J == "one" else 0.25
    graph = lattice.graph()
    per_bond = np.broadcast_to(couplings, lattice.directions)[graph.axis]
    states = enumerate_states(graph.n_sites, graph.bonds, per_bond, field)
    assert_enumerated(layers_of(lattice, couplings, field), states)


def test_any_layers_against_enumeration():
    """A field and couplings of each site's own, double bonds, bonds askew; three layers of four sites."""
    rng = np.random.default_rng(8)
    within, between = np.array([[0, 1], [2, 1], [0, 1]]), np.array([[0, 0], [3, 1], [3, 1], [2, 3]])
    J_within, J_between, field = rng.normal(size=3), rng.normal(size=4), rng.normal(size=4)
    for periodic in (True, False):
        bonds, couplings = [], []
        for layer in range(3):
            bonds += [*(within + 4 * layer)]
            couplings += [*J_within]
            if periodic or layer < 2:
                bonds += [*(between + [4 * layer, 4 * ((layer + 1) % 3)])]  # noqa: RUF005 - arrays are added
                couplings += [*J_between]
        states = enumerate_states(12, np.array(bonds), couplings, np.tile(field, 3))
        exact = transfer_matrix(T, 3, 4, within, between, J_within, J_between, field, periodic)
        assert_enumerated(exact, states, rtol=1e-9)


@pytest.mark.parametrize(("size", "J"), [((7, 6), 1.0), ((100, 5), (1.3, 0.7)), ((64, 8), (1.0, -0.8))])
def test_against_kaufman(size, J):
    temperatures = np.append(T, critical_temperature(J))
    assert_same(layers_of(Lattice("square", size, (True, True)), J, T=temperatures), kaufman(temperatures, size, J))


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("n", [2, 13, 1000])
def test_layers_of_one_site_are_a_chain(n, periodic):
    assert_same(layers_of(Lattice("chain", (n,), (periodic,)), -0.7, 0.3), chain(T, n, -0.7, 0.3, periodic), rtol=1e-8)


@pytest.mark.parametrize("periodic", [(True, True, True), (True, False, True)])
def test_a_cube_is_the_same_from_each_side(periodic):
    """3 x 3 x 3 spins, which are too many to enumerate."""
    J = np.array([1.2, 0.7, 0.4])
    one = layers_of(Lattice("cubic", (3, 3, 3), periodic), J)
    for order in ([1, 0, 2], [2, 1, 0]):
        turned = tuple(periodic[axis] for axis in order)
        assert_same(layers_of(Lattice("cubic", (3, 3, 3), turned), J[order]), one, rtol=1e-9)


def test_a_triangular_lattice_is_the_same_from_each_side():
    J = np.array([1.2, -0.7, 0.4])
    one = layers_of(Lattice("triangular", (4, 8), (True, True)), J)
    other = layers_of(Lattice("triangular", (8, 4), (True, True)), J[[1, 0, 2]])
    assert_same(one, other, rtol=1e-8)


def test_star_triangle():
    """Summing over the sites 1 of a honeycomb lattice leaves a triangular one, also on a torus of 4 x 3 cells."""
    K = 1.0 / T[1:]
    K_triangle = 0.25 * np.log(np.cosh(3.0 * K) / np.cosh(K))
    factor = np.log(2.0) + 0.25 * np.log(np.cosh(3.0 * K) * np.cosh(K) ** 3)
    honeycomb = layers_of(Lattice("honeycomb", (4, 3), (True, True)), T=T[1:])
    triangular = layers_of(Lattice("triangular", (4, 3), (True, True)), T=1.0 / K_triangle)
    log_z = -honeycomb.free_energy * K * 24
    assert_allclose(log_z, 12 * factor - triangular.free_energy * K_triangle * 12, rtol=1e-13)


def test_limits():
    cube = layers_of(Lattice("cubic", (3, 3, 3), (True, True, True)), T=np.array([0.01, 1e4]))
    assert_allclose(cube.energy, [-3.0, -3e-4], rtol=1e-3)
    assert_allclose(cube.free_energy, [-3.0 - 0.01 * np.log(2.0) / 27, -1e4 * np.log(2.0)], rtol=1e-7)
    assert_allclose(cube.specific_heat, [0.0, 3e-8], rtol=1e-3, atol=1e-14)
    assert layers_of(Lattice("chain", (4,), (True,)), T=2.0).energy.shape == ()
    assert layers_of(Lattice("chain", (4,), (True,)), T=np.full((2, 3), 2.0)).energy.shape == (2, 3)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((3, MAX_LAYER + 1, [], []), {}, "layers of 1 to 12 sites, not 13"),
        ((3, 0, [], []), {}, "layers of 1 to 12 sites, not 0"),
        ((1, 2, [[0, 1]], [[0, 0]]), {}, "1 layers are too few"),
        ((0, 2, [[0, 1]], [[0, 0]]), {"periodic": False}, "0 layers are too few"),
        ((3, 2, [[0, 0]], [[0, 0]]), {}, "joins a site with itself"),
        ((3, 2, [[0, 1]], [[0, 2]]), {}, "there are 0 to 1"),
        ((3, 2, [[0, 1]], [[0, 1, 1]]), {}, r"shape \(m, 2\)"),
        ((3, 2, [[0, 1]], [[0, 0]]), {"J_between": [1.0, 2.0]}, "J_between must be one finite number, or 1"),
        ((3, 2, [[0, 1]], [[0, 0]]), {"J_within": [1.0, 2.0]}, "J_within must be one finite number, or 1"),
        ((3, 2, [[0, 1]], [[0, 0]]), {"field": [1.0, 2.0, 3.0]}, "field must be one finite number, or 2"),
    ],
)
def test_layers_refused(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        transfer_matrix(1.0, *arguments, **options)


def test_temperatures_refused():
    with pytest.raises(ValueError, match="temperatures must be positive"):
        transfer_matrix(0.0, 3, 1, [], [[0, 0]])
    with pytest.raises(ValueError, match="too low for a frustrated system"):
        transfer_matrix([1.0, 1e-3], 5, 1, [], [[0, 0]], J_between=-1.0)
