"""Exact values against the literature, against each other, and against sums over all states."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from ising_mc.exact import (
    MAX_SITES,
    chain,
    critical_temperature,
    enumerate_states,
    kaufman,
    onsager_energy,
    onsager_specific_heat,
    square_bonds,
    yang_magnetization,
)

TC = critical_temperature()
TEMPERATURES = np.array([0.3, 1.0, 2.0, TC, 2.5, 4.0, 50.0])


def enumerate_square(rows, columns, J):
    """J = (along the side of `rows` sites, along the side of `columns` sites), as kaufman takes it."""
    down, right = np.broadcast_to(J, 2)
    return enumerate_states(rows * columns, square_bonds(rows, columns), np.repeat([right, down], rows * columns))


def assert_same_thermodynamics(exact, observables):
    assert_allclose(exact.free_energy, observables["free_energy"], rtol=1e-13)
    assert_allclose(exact.energy, observables["energy_per_site"], rtol=1e-12)
    assert_allclose(exact.specific_heat, observables["specific_heat"], rtol=1e-6, atol=1e-13)
    assert_allclose(exact.specific_heat[1:], observables["specific_heat"][1:], rtol=1e-11)


# --- the infinite square lattice ---


def test_critical_temperature_isotropic():
    assert pytest.approx(2.269185314213022, rel=1e-15) == TC
    assert critical_temperature(-2.5) == pytest.approx(2.5 * TC, rel=1e-15)
    assert critical_temperature((1.0, 1.0)) == TC


@pytest.mark.parametrize("J", [(1.3, 0.7), (0.7, 1.3), (1.0, -0.01), (1.0, 1.0 + 1e-15), (3e5, 1e5)])
def test_critical_temperature_anisotropic(J):
    Tc = critical_temperature(J)
    assert np.prod(np.sinh(2.0 * np.abs(J) / Tc)) == pytest.approx(1.0, rel=1e-13)


def test_critical_temperature_of_nearly_separate_chains():
    weak = 1e-30
    Tc = critical_temperature((1.0, weak))
    assert np.log(weak / Tc) == pytest.approx(-2.0 / Tc, rel=1e-13)


def test_onsager_at_the_critical_temperature():
    assert onsager_energy(TC) == pytest.approx(-np.sqrt(2.0), rel=1e-15)
    assert onsager_specific_heat(TC) == np.inf
    assert onsager_specific_heat([2.0, TC])[1] == np.inf
    beyond = np.nextafter(TC, 3.0)
    assert onsager_energy(beyond) == pytest.approx(-np.sqrt(2.0), rel=1e-13)
    assert 15.0 < onsager_specific_heat(beyond) < 20.0


def test_onsager_specific_heat_close_to_the_critical_temperature():
    """(8/pi) K_c^2 (ln(sqrt(2) Tc / |1 - T/Tc|) - 1 - pi/4) = -0.4945 ln|1 - T/Tc| - 0.3063 on both sides."""
    distance = 1e-6
    expected = 8.0 / np.pi / TC**2 * (np.log(np.sqrt(2.0) * TC / distance) - 1.0 - np.pi / 4.0)
    for sign in (-1.0, 1.0):
        assert onsager_specific_heat(TC * (1.0 + sign * distance)) == pytest.approx(expected, rel=1e-5)


def test_onsager_limits():
    assert_allclose(onsager_energy([0.01, 1e4]), [-2.0, -2e-4], rtol=1e-7)
    hot = np.array([100.0, 1000.0])
    K = 1.0 / hot  # ln Z / N = ln 2 + 2 ln cosh K + tanh(K)^4 + ...
    assert_allclose(onsager_energy(hot), -2.0 * np.tanh(K) - 4.0 * np.tanh(K) ** 3, rtol=1e-7)
    assert_allclose(onsager_specific_heat(hot), K**2 * (2.0 + 10.0 * K**2), rtol=1e-6)
    # one spin turned costs 8 J
    assert_allclose(onsager_specific_heat(0.3), 64.0 / 0.3**2 * np.exp(-8.0 / 0.3), rtol=1e-4)
    assert onsager_energy(1.0) == pytest.approx(-2.0 + 8.0 * np.exp(-8.0) + 24.0 * np.exp(-12.0), abs=2e-4)


def test_onsager_depends_on_the_modulus_of_the_coupling_alone():
    T = np.array([1.0, 2.2, 2.4, 5.0])
    assert_allclose(onsager_energy(T, -1.0), onsager_energy(T), rtol=0)
    assert_allclose(onsager_specific_heat(T, -1.0), onsager_specific_heat(T), rtol=0)
    assert_allclose(onsager_energy(3.0 * T, 3.0), 3.0 * onsager_energy(T), rtol=1e-13)
    assert_allclose(onsager_specific_heat(3.0 * T, 3.0), onsager_specific_heat(T), rtol=1e-12)


def test_yang():
    assert yang_magnetization(2.0 / np.arcsinh((256.0 / 255.0) ** 0.25)) == pytest.approx(0.5, rel=1e-12)
    assert_allclose(yang_magnetization([0.001, 1.0, 2.0]), [1.0, 0.9992758, 0.9113194], atol=5e-8)
    assert_allclose(yang_magnetization([np.nextafter(TC, 3.0), TC, 3.0, 1e6]), 0.0, atol=0)
    below = (8.0 * np.sqrt(2.0) / TC * 1e-8) ** 0.125
    assert yang_magnetization(TC * (1.0 - 1e-8)) == pytest.approx(below, rel=1e-7)


def test_yang_with_two_couplings():
    J = (1.3, -0.7)
    Tc = critical_temperature(J)
    expected = (1.0 - (np.sinh(2.6 / 2.0) * np.sinh(1.4 / 2.0)) ** -2.0) ** 0.125
    assert yang_magnetization(2.0, J) == pytest.approx(expected, rel=1e-13)
    assert yang_magnetization(2.0, J[::-1]) == pytest.approx(expected, rel=1e-13)
    assert yang_magnetization(Tc, J) == 0.0
    assert yang_magnetization(Tc * (1.0 - 1e-9), J) > 0.05
    assert_allclose(yang_magnetization([1.5, 2.1], (1.0, 1.0)), yang_magnetization([1.5, 2.1]), rtol=0)


# --- the finite square lattice ---


@pytest.mark.parametrize(("L", "energy"), [(32, -1.43366), (64, -1.42394), (128, -1.41908)])
def test_kaufman_at_the_critical_temperature(L, energy):
    """The leading correction to -sqrt(2) is universal (Ferdinand and Fisher 1969)."""
    value = kaufman(TC, L).energy
    assert round(float(value), 5) == energy
    assert (value + np.sqrt(2.0)) * L == pytest.approx(-0.6223, abs=2e-4)


@pytest.mark.parametrize("J", [1.0, (1.3, 0.7), (0.2, 1.5)])
@pytest.mark.parametrize("shape", [(2, 2), (2, 3), (3, 2), (3, 3), (3, 4), (4, 3), (4, 4), (3, 5)])
def test_kaufman_against_enumeration(shape, J):
    T = np.append(TEMPERATURES, critical_temperature(J))
    assert_same_thermodynamics(kaufman(T, shape, J), enumerate_square(*shape, J).observables(T))


@pytest.mark.parametrize(("shape", "J"), [((4, 4), -1.0), ((2, 2), -1.0), ((4, 3), (-1.0, 0.5)), ((3, 4), (1.0, -0.6))])
def test_kaufman_with_negative_couplings(shape, J):
    assert_same_thermodynamics(kaufman(TEMPERATURES, shape, J), enumerate_square(*shape, J).observables(TEMPERATURES))


@pytest.mark.parametrize("weak", [0.0, 1e-14])
def test_kaufman_of_nearly_separate_chains(weak):
    T = np.append(0.1, TEMPERATURES)
    ring = chain(T, 6)
    for square in (kaufman(T, (6, 5), (1.0, weak)), kaufman(T, (5, 6), (weak, 1.0))):
        assert_allclose(square.free_energy, ring.free_energy, rtol=1e-13)
        assert_allclose(square.energy, ring.energy, rtol=1e-11)
        assert_allclose(square.specific_heat, ring.specific_heat, rtol=1e-9, atol=1e-12)
    assert_same_thermodynamics(
        kaufman(TEMPERATURES, (4, 3), (-1.0, weak)),
        enumerate_square(4, 3, (-1.0, weak)).observables(TEMPERATURES),
    )


@pytest.mark.parametrize("J", [1.0, (1.3, 0.7)])
def test_kaufman_does_not_care_which_side_is_the_ring(J):
    T = np.append(TEMPERATURES, critical_temperature(J))
    one, other = kaufman(T, (12, 100), J), kaufman(T, (100, 12), np.broadcast_to(J, 2)[::-1])
    assert_allclose(one.free_energy, other.free_energy, rtol=1e-14)
    assert_allclose(one.energy, other.energy, rtol=1e-13)
    assert_allclose(one.specific_heat, other.specific_heat, rtol=1e-13, atol=1e-15)


def test_kaufman_tends_to_onsager():
    T = np.array([0.3, 1.0, 2.0, 2.15, 2.4, 2.6, 4.0, 50.0])
    large = kaufman(T, 1024)
    assert_allclose(large.energy, onsager_energy(T), rtol=1e-12)
    assert_allclose(large.specific_heat, onsager_specific_heat(T), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("size", [4, 64, (1024, 16), (16, 1024)])
def test_kaufman_is_smooth_through_the_critical_temperature(size):
    """gamma_0 changes sign there, and at Tc itself it is 0."""
    step = np.array([-1e-7, -1e-12, 0.0, 1e-12, 1e-7])
    around = kaufman(TC + step, size)
    centre = kaufman(TC, size)
    # up to the slope of each, de/dT = C and |dC/dT| < 100 here
    assert_allclose(around.energy, centre.energy + centre.specific_heat * step, rtol=1e-12)
    assert_allclose(around.specific_heat, centre.specific_heat, atol=1e-5)
    assert_allclose(around.specific_heat[1:4], centre.specific_heat, rtol=1e-10)


def derivative(f, x, step):
    """To fourth order in the step."""
    return (8.0 * (f(x + step) - f(x - step)) - f(x + 2.0 * step) + f(x - 2.0 * step)) / (12.0 * step)


@pytest.mark.parametrize("J", [1.0, (1.3, 0.7), -1.0])
@pytest.mark.parametrize("size", [4, 64, (10, 300)])
def test_kaufman_is_consistent_with_its_own_free_energy(size, J):
    T = np.array([1.0, 1.7, 2.1, TC, 2.5, 4.0])
    exact = kaufman(T, size, J)
    beta = 1.0 / T
    energy = derivative(lambda b: b * kaufman(1.0 / b, size, J).free_energy, beta, 1e-4 * beta)
    assert_allclose(exact.energy, energy, rtol=1e-9)
    specific_heat = derivative(lambda t: kaufman(t, size, J).energy, T, 1e-4 * T)
    assert_allclose(exact.specific_heat, specific_heat, rtol=1e-8)


def test_kaufman_far_from_the_critical_temperature_without_overflow():
    exact = kaufman([1e-3, 0.05, 1e6], 1500)
    assert_allclose(exact.energy, [-2.0, -2.0, -2e-6], rtol=1e-9)
    assert_allclose(exact.specific_heat, [0.0, 0.0, 2e-12], rtol=1e-9, atol=1e-14)
    assert_allclose(exact.free_energy[2], -1e6 * np.log(2.0), rtol=1e-11)


def test_shape_of_the_temperatures():
    assert kaufman(2.0, 8).energy.shape == chain(2.0, 8).specific_heat.shape == onsager_energy(2.0).shape == ()
    for shape in [(1,), (3,), (2, 3)]:
        T = np.full(shape, 2.0)
        assert_allclose(kaufman(T, 8).specific_heat, np.full(shape, kaufman(2.0, 8).specific_heat), rtol=1e-14)
        assert_allclose(chain(T, 8).energy, np.full(shape, chain(2.0, 8).energy), rtol=1e-14)
        assert onsager_energy(T).shape == yang_magnetization(T).shape == shape
        assert enumerate_states(2, [[0, 1]]).observables(T)["free_energy"].shape == shape


# --- the chain ---


@pytest.mark.parametrize("h", [0.0, 0.35, -1.2])
@pytest.mark.parametrize("J", [1.0, -0.8])
@pytest.mark.parametrize(("n", "periodic"), [(2, True), (7, True), (8, True), (1, False), (2, False), (7, False)])
def test_chain_against_enumeration(n, periodic, J, h):
    sites = np.arange(n)
    bonds = np.stack([sites, np.roll(sites, -1)], axis=1)[: n if periodic else n - 1]
    observables = enumerate_states(n, bonds, J, h).observables(TEMPERATURES)
    assert_same_thermodynamics(chain(TEMPERATURES, n, J, h, periodic), observables)


def test_long_chain():
    T = np.array([0.05, 0.5, 1.0, 3.0, 1e4])
    open_chain = chain(T, 10**6, periodic=False)
    n = 1e6
    assert_allclose(open_chain.energy, -(n - 1) / n * np.tanh(1.0 / T), rtol=1e-12)
    assert_allclose(open_chain.specific_heat, (n - 1) / n / (T * np.cosh(1.0 / T)) ** 2, rtol=1e-11)
    ring = chain(T[1:], 10**6, J=-1.0)
    assert_allclose(ring.energy, -np.tanh(1.0 / T[1:]), rtol=1e-12)
    assert_allclose(ring.free_energy, -T[1:] * np.log(2.0 * np.cosh(1.0 / T[1:])), rtol=1e-13)


# --- enumeration ---


def test_enumeration_state_by_state():
    rng = np.random.default_rng(3)
    n, bonds = 5, np.array([[0, 1], [3, 1], [2, 4], [1, 0], [4, 0], [2, 3]])  # a double bond among them
    J, field = rng.normal(size=len(bonds)), rng.normal(size=n)
    system = enumerate_states(n, bonds, J, field)
    spins = np.array([[1 if k >> i & 1 else -1 for i in range(n)] for k in range(2**n)])
    energy = [-sum(j * s[a] * s[b] for j, (a, b) in zip(J, bonds, strict=True)) - field @ s for s in spins]
    assert system.energy.dtype == np.float64
    assert np.issubdtype(system.magnetization.dtype, np.integer)
    assert_allclose(system.energy, energy, atol=1e-14)
    assert_allclose(system.magnetization, spins.sum(axis=1), atol=0)

    T = 0.7
    weights = np.exp(-np.array(energy) / T)
    z, weights = weights.sum(), weights / weights.sum()
    assert_allclose(system.weights(T), weights, rtol=1e-13)
    assert_allclose(system.correlations(T), np.einsum("k,ki,kj->ij", weights, spins, spins), atol=1e-14)

    e, m = np.array(energy) / n, spins.sum(axis=1) / n
    expected = {
        "energy_per_site": weights @ e,
        "specific_heat": n * (weights @ e**2 - (weights @ e) ** 2) / T**2,
        "magnetization_per_site": weights @ m,
        "abs_magnetization_per_site": weights @ abs(m),
        "susceptibility": n * (weights @ m**2 - (weights @ abs(m)) ** 2) / T,
        "susceptibility_symmetric": n * (weights @ m**2) / T,
        "binder_cumulant": 1.0 - weights @ m**4 / (3.0 * (weights @ m**2) ** 2),
        "free_energy": -T * np.log(z) / n,
    }
    observables = system.observables(T)
    assert observables.keys() == expected.keys()
    for key, value in expected.items():
        assert_allclose(observables[key], value, rtol=1e-12, err_msg=key)


def test_enumeration_of_a_pair():
    T = np.array([0.5, 3.0])
    system = enumerate_states(2, [[0, 1]])
    assert_allclose(system.observables(T)["energy_per_site"], -0.5 * np.tanh(1.0 / T), rtol=1e-14)
    assert system.correlations(0.5)[0, 1] == pytest.approx(np.tanh(2.0), rel=1e-14)


def test_enumeration_of_free_spins():
    T, field = 1.7, np.array([0.3, -1.0, 2.0])
    system = enumerate_states(3, [], field=field)
    m = np.tanh(field / T)
    assert system.observables(T)["magnetization_per_site"] == pytest.approx(m.mean(), rel=1e-14)
    assert_allclose(system.correlations(T), np.outer(m, m) + np.diag(1.0 - m**2), atol=1e-15)


def test_enumeration_at_low_temperature():
    system = enumerate_square(3, 3, 1.0)
    assert_allclose(system.weights(1e-3)[[0, -1]], 0.5, rtol=1e-15)
    cold = system.observables(1e-3)
    assert cold["energy_per_site"] == -2.0
    assert cold["binder_cumulant"] == pytest.approx(2.0 / 3.0, rel=1e-14)
    assert np.isnan(enumerate_states(2, [[0, 1]], -1.0).observables(1e-3)["binder_cumulant"])


def test_enumeration_of_twenty_spins():
    system = enumerate_states(20, square_bonds(4, 5))
    correlations = system.correlations(2.0)
    assert_allclose(kaufman(2.0, (4, 5)).energy, system.observables(2.0)["energy_per_site"], rtol=1e-12)
    bonds = square_bonds(4, 5)
    energy = -correlations[bonds[:, 0], bonds[:, 1]].sum() / 20
    assert energy == pytest.approx(float(kaufman(2.0, (4, 5)).energy), rel=1e-12)
    assert_allclose(correlations.sum(axis=1), correlations.sum() / 20, rtol=1e-12)  # every site is alike


def test_square_bonds():
    assert square_bonds(2, 3).tolist() == [
        *([0, 1], [1, 2], [2, 0], [3, 4], [4, 5], [5, 3]),  # right
        *([0, 3], [1, 4], [2, 5], [3, 0], [4, 1], [5, 2]),  # down: a side of 2, hence each pair twice
    ]
    assert_allclose(np.bincount(square_bonds(4, 5).ravel()), 4)


# --- what is refused ---


@pytest.mark.parametrize("T", [0.0, -1.0, np.nan, np.inf, [1.0, 0.0]])
def test_temperatures_are_positive(T):
    for function in (
        onsager_energy,
        onsager_specific_heat,
        yang_magnetization,
        lambda T: kaufman(T, 4),
        lambda T: chain(T, 4),
        enumerate_states(2, [[0, 1]]).observables,
    ):
        with pytest.raises(ValueError, match="temperatures must be positive"):
            function(T)


@pytest.mark.parametrize(("size", "J"), [(3, -1.0), ((3, 4), -1.0), ((4, 3), (1.0, -1.0)), ((3, 4), (-1.0, 1.0))])
def test_kaufman_refuses_frustration(size, J):
    with pytest.raises(ValueError, match=r"odd periodic side is frustrated.*enumerate_states"):
        kaufman(2.0, size, J)


@pytest.mark.parametrize("sides", [(1, 4), (4, 1)])
def test_a_side_of_one_is_refused(sides):
    with pytest.raises(ValueError, match="at least 2, not 1"):
        kaufman(2.0, sides)
    with pytest.raises(ValueError, match="at least 2, not 1"):
        square_bonds(*sides)


@pytest.mark.parametrize(("n", "periodic"), [(1, True), (0, False)])
def test_chain_too_short(n, periodic):
    with pytest.raises(ValueError, match=f"chain of {n} spins"):
        chain(1.0, n, periodic=periodic)


def test_frustrated_chain_too_cold():
    with pytest.raises(ValueError, match="too low for a frustrated chain"):
        chain(1e-4, 5, J=-1.0)


@pytest.mark.parametrize(
    ("J", "message"),
    [
        (0.0, "coupling of 0"),
        ((1.0, 0.0), "coupling of 0"),
        (np.nan, "one finite"),
        ((1.0, 1.0, 1.0), "or 2"),
    ],
)
def test_couplings_refused(J, message):
    with pytest.raises(ValueError, match=message):
        critical_temperature(J)
    with pytest.raises(ValueError, match=message):
        yang_magnetization(1.0, J)


@pytest.mark.parametrize(
    ("n_sites", "bonds", "options", "message"),
    [
        (MAX_SITES + 1, [[0, 1]], {}, "1 to 24 sites, not 25"),
        (0, [], {}, "1 to 24 sites, not 0"),
        (3, [[0, 3]], {}, "there are 0 to 2"),
        (3, [[-1, 0]], {}, "there are 0 to 2"),
        (3, [[0, 1], [2, 2]], {}, "joins a site with itself"),
        (3, [[0, 1, 2]], {}, r"shape \(m, 2\)"),
        (3, [[0.0, 1.0]], {}, "whole numbers"),
        (3, [[0, 1], [1, 2]], {"J": [1.0, 1.0, 1.0]}, "J must be one finite number, or 2"),
        (3, [[0, 1]], {"field": [1.0, 1.0]}, "field must be one finite number, or 3"),
        (3, [[0, 1]], {"field": np.nan}, "field must be one finite number"),
    ],
)
def test_systems_that_cannot_be_enumerated(n_sites, bonds, options, message):
    with pytest.raises(ValueError, match=message):
        enumerate_states(n_sites, bonds, **options)
