"""Overlaps, staggered and Fourier averages of enumerated states, the Nishimori line, and the complete graph."""

from itertools import product

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import gamma

from ising_mc.exact import (
    curie_weiss,
    enumerate_states,
    mean_field_magnetization,
    nishimori_energy_per_bond,
    nishimori_temperature,
)
from ising_mc.lattices import Lattice

T = np.array([0.3, 0.7, 1.0, 1.6, 20.0])


def random_system(n=6):
    """Couplings, fields and a double bond; with all spins, of shape (2**n, n), and the weights at T = 0.9."""
    rng = np.random.default_rng(11)
    bonds = np.array([[0, 1], [3, 1], [2, 4], [1, 0], [4, 0], [2, 3], [5, 2]])
    J, field = rng.normal(size=len(bonds)), 0.4 * rng.normal(size=n)
    spins = np.array([[1 if k >> i & 1 else -1 for i in range(n)] for k in range(2**n)])
    energy = -(spins[:, bonds[:, 0]] * spins[:, bonds[:, 1]]) @ J - spins @ field
    weights = np.exp(-energy / 0.9)
    return enumerate_states(n, bonds, J, field), bonds, spins, weights / weights.sum()


# --- two replicas ---


def test_overlap_over_all_pairs_of_states():
    system, bonds, spins, weights = random_system()
    both = np.outer(weights, weights)
    q = spins @ spins.T / 6
    values, probability = system.overlap_distribution(0.9)
    assert_allclose(values, np.arange(-6, 7, 2) / 6, atol=1e-15)
    assert_allclose(probability, [both[np.isclose(q, value)].sum() for value in values], atol=1e-15)
    on_bonds = spins[:, bonds[:, 0]] * spins[:, bonds[:, 1]]
    moments = system.overlap_moments(0.9)
    expected = {"q": q, "q_abs": abs(q), "q2": q**2, "q4": q**4, "q_link": on_bonds @ on_bonds.T / len(bonds)}
    assert moments.keys() == expected.keys()
    for key, value in expected.items():
        assert moments[key] == pytest.approx((both * value).sum(), rel=1e-12), key


def test_overlap_from_correlations():
    """<q^2> = sum_ij <s_i s_j>^2 / N^2, and <q> = sum_i <s_i>^2 / N."""
    graph = Lattice("triangular", (4, 4), (True, True)).graph()
    system = enumerate_states(16, graph.bonds, -1.0)
    for temperature in (0.5, 2.0):
        moments = system.overlap_moments(temperature)
        assert moments["q2"] == pytest.approx((system.correlations(temperature) ** 2).mean(), rel=1e-11)
        assert moments["q"] == pytest.approx(0.0, abs=1e-13)


def test_overlap_limits():
    pair = enumerate_states(2, [[0, 1]])
    assert pair.overlap_moments(0.01) == pytest.approx({"q": 0.0, "q_abs": 1.0, "q2": 1.0, "q4": 1.0, "q_link": 1.0})
    free = enumerate_states(10, [])
    values, probability = free.overlap_distribution(1.0)
    assert_allclose(probability, [np.prod((10 - np.arange(k)) / (1 + np.arange(k))) / 2**10 for k in range(11)])
    assert np.isnan(free.overlap_moments(1.0)["q_link"])
    assert free.overlap_moments(1.0)["q4"] == pytest.approx((3 * 10**2 - 2 * 10) / 10**4)
    assert values.shape == (11,)


# --- order of given pattern ---


def test_staggered_moments_state_by_state():
    system, _, spins, weights = random_system()
    for sublattice in ([0, 1, 1, 0, 1, 0], np.zeros(6, int), np.array([True, False] * 3)):
        m = spins @ (1 - 2 * np.asarray(sublattice, int)) / 6
        expected = {"m": weights @ m, "m_abs": weights @ abs(m), "m2": weights @ m**2, "m4": weights @ m**4}
        assert system.staggered_moments(0.9, sublattice) == pytest.approx(expected, rel=1e-12)


def test_staggered_antiferromagnet_is_the_ferromagnet():
    lattice = Lattice("cubic", (2, 2, 4), (True, True, True))
    graph = lattice.graph()
    chequered = graph.cells.sum(axis=1) % 2
    ferro, antiferro = (enumerate_states(16, graph.bonds, J) for J in (1.0, -1.0))
    expected = ferro.staggered_moments(3.0, np.zeros(16))
    assert antiferro.staggered_moments(3.0, chequered) == pytest.approx(expected, rel=1e-11, abs=1e-13)
    observables = ferro.observables(3.0)
    assert expected["m_abs"] == pytest.approx(float(observables["abs_magnetization_per_site"]), rel=1e-12)
    binder = 1.0 - expected["m4"] / (3.0 * expected["m2"] ** 2)
    assert binder == pytest.approx(float(observables["binder_cumulant"]), rel=1e-12)


def test_fourier_intensity():
    system, _, spins, weights = random_system()
    phases = np.random.default_rng(2).uniform(0.0, 2.0 * np.pi, 6)
    expected = weights @ abs(spins @ np.exp(1j * phases)) ** 2
    assert system.fourier_intensity(0.9, phases) == pytest.approx(expected, rel=1e-12)
    assert system.fourier_intensity(0.9, np.zeros(6)) == pytest.approx(weights @ spins.sum(axis=1) ** 2, rel=1e-12)


def test_fourier_intensities_of_a_ring():
    """<s_0 s_r> = (v^r + v^(n-r)) / (1 + v^n), and all wave numbers together give n^2."""
    n, v = 8, np.tanh(1.0 / 0.8)
    graph = Lattice("chain", (n,), (True,)).graph()
    system = enumerate_states(n, graph.bonds)
    wave_numbers = 2.0 * np.pi * np.arange(n) / n
    intensities = [system.fourier_intensity(0.8, k * graph.cells[:, 0]) for k in wave_numbers]
    distance = np.arange(n)
    correlation = (v**distance + v ** (n - distance)) / (1.0 + v**n)
    assert_allclose(intensities, n * np.cos(np.outer(wave_numbers, distance)) @ correlation, rtol=1e-11)
    assert sum(intensities) == pytest.approx(n**2)


@pytest.mark.parametrize("sublattice", [[0, 1], [0, 1, 2], [0.5, 0, 0], [[0, 1, 1]]])
def test_sublattices_refused(sublattice):
    with pytest.raises(ValueError, match="sublattice must be 3 numbers 0 or 1"):
        enumerate_states(3, [[0, 1]]).staggered_moments(1.0, sublattice)


def test_phases_refused():
    with pytest.raises(ValueError, match="phases must be one finite number, or 3"):
        enumerate_states(3, [[0, 1]]).fourier_intensity(1.0, [0.0, 1.0])


# --- the Nishimori line ---


@pytest.mark.parametrize("p", [0.6, 0.9])
def test_nishimori_line_over_all_signs(p):
    """Averaged over the disorder: the energy, and overlaps equal magnetizations, [<s_i s_j>^2] = [<s_i s_j>]."""
    J = 1.3
    bonds = Lattice("square", (2, 3), (True, False)).graph().bonds  # with double bonds
    temperature = nishimori_temperature(p, J)
    assert np.exp(-2.0 * J / temperature) == pytest.approx((1.0 - p) / p, rel=1e-13)
    energy = q2 = m2 = q4 = m4 = q_link = correlation = 0.0
    for signs in product((1, -1), repeat=len(bonds)):
        probability = p ** signs.count(1) * (1.0 - p) ** signs.count(-1)
        system = enumerate_states(6, bonds, J * np.array(signs))
        overlaps, magnetizations = system.overlap_moments(temperature), system.staggered_moments(temperature, [0] * 6)
        energy += probability * float(system.observables(temperature)["energy_per_site"]) * 6 / len(bonds)
        q2, m2 = q2 + probability * overlaps["q2"], m2 + probability * magnetizations["m2"]
        q4, m4 = q4 + probability * overlaps["q4"], m4 + probability * magnetizations["m4"]
        q_link += probability * overlaps["q_link"]
        correlation += probability * system.correlations(temperature)[bonds[:, 0], bonds[:, 1]].mean()
    assert energy == pytest.approx(nishimori_energy_per_bond(p, J), rel=1e-12)
    assert nishimori_energy_per_bond(p, J) == pytest.approx(-J * (2.0 * p - 1.0), rel=1e-12)
    assert (q2, q4, q_link) == pytest.approx((m2, m4, correlation), rel=1e-12)


@pytest.mark.parametrize("function", [nishimori_temperature, nishimori_energy_per_bond])
@pytest.mark.parametrize(
    ("p", "J", "message"),
    [
        (0.5, 1.0, "from p = 1/2 to p = 1, both excluded, not to p = 0.5"),
        (1.0, 1.0, "not to p = 1"),
        (np.nan, 1.0, "not to p = nan"),
        (0.8, 0.0, "positive modulus J of the couplings, not 0"),
        (0.8, -1.0, "positive modulus"),
        (0.8, np.inf, "positive modulus"),
    ],
)
def test_nishimori_refused(function, p, J, message):
    with pytest.raises(ValueError, match=message):
        function(p, J)


# --- the complete graph ---


@pytest.mark.parametrize("h", [0.0, 0.3, -0.1])
@pytest.mark.parametrize("J", [1.0, -0.8, 0.0])
@pytest.mark.parametrize("n", [2, 3, 10])
def test_curie_weiss_against_enumeration(n, J, h):
    states = enumerate_states(n, Lattice("complete", (n,)).graph().bonds, J / n, h)
    observables, exact = states.observables(T), curie_weiss(T, n, J, h)
    moments = [states.staggered_moments(t, np.zeros(n)) for t in T]
    assert exact.keys() == observables.keys() | {"m2", "m4"}
    for key, value in observables.items():
        assert_allclose(exact[key], value, rtol=1e-10, atol=1e-13, err_msg=key)
    for key in ("m2", "m4"):
        assert_allclose(exact[key], [moment[key] for moment in moments], rtol=1e-10, atol=1e-13)


def test_curie_weiss_of_many_spins():
    n, temperatures = 10**6, np.array([0.5, 0.9, 1.5, 3.0])
    exact = curie_weiss(temperatures, n, h=0.2)
    m = mean_field_magnetization(temperatures, h=0.2)
    assert_allclose(exact["magnetization_per_site"], m, rtol=1e-5)
    assert_allclose(exact["energy_per_site"], -(m**2) / 2.0 - 0.2 * m, rtol=1e-5)
    without = curie_weiss(temperatures, n)
    m = mean_field_magnetization(temperatures)
    assert_allclose(without["abs_magnetization_per_site"], m, atol=2e-3)
    assert_allclose(without["binder_cumulant"], np.where(m > 0.0, 2.0 / 3.0, 0.0), atol=1e-4)
    assert_allclose(without["susceptibility_symmetric"][2:], 1.0 / (temperatures[2:] - 1.0), rtol=1e-4)
    assert_allclose(without["magnetization_per_site"], 0.0, atol=1e-15)


def test_curie_weiss_at_its_critical_temperature():
    """There the magnetization is distributed as exp(-N m^4 / 12)."""
    n = 10**6
    exact = curie_weiss(1.0, n)
    second = np.sqrt(12.0) * gamma(0.75) / gamma(0.25)
    assert_allclose(exact["m2"] * np.sqrt(n), second, rtol=2e-3)
    assert_allclose(exact["m4"] * n, 3.0, rtol=4e-3)
    assert_allclose(exact["binder_cumulant"], 1.0 - 1.0 / second**2, rtol=2e-3)
    assert round(1.0 - 1.0 / second**2, 4) == 0.2705


def test_curie_weiss_is_consistent_with_its_own_free_energy():
    temperature, step = 0.9, 1e-3
    beta = 1.0 / temperature + step * np.array([-2.0, -1.0, 1.0, 2.0])
    log_z = -beta * curie_weiss(1.0 / beta, 50, h=0.1)["free_energy"]
    slope = (8.0 * (log_z[2] - log_z[1]) - log_z[3] + log_z[0]) / (12.0 * step)
    assert curie_weiss(temperature, 50, h=0.1)["energy_per_site"] == pytest.approx(-slope, rel=1e-9)
    assert curie_weiss(np.full((2, 3), 1.0), 10)["m2"].shape == (2, 3)


@pytest.mark.parametrize(("J", "h"), [(1.0, 0.0), (1.0, 0.1), (2.0, -0.3), (-1.0, 0.5), (0.0, 0.7)])
def test_mean_field_equation(J, h):
    temperatures = np.array([0.05, 0.5, 0.99, 1.0, 1.5, 10.0])
    m = mean_field_magnetization(temperatures, J, h)
    assert_allclose(m, np.tanh((J * m + h) / temperatures), rtol=1e-12, atol=1e-15)
    assert np.all(m * h >= 0.0)
    assert np.all(m[temperatures < J] != 0.0)


def test_mean_field_limits():
    assert_allclose(mean_field_magnetization([1.0, 1.0001, 5.0]), 0.0, atol=0)
    assert mean_field_magnetization(1.0 - 1e-6) == pytest.approx(np.sqrt(3e-6), rel=1e-5)
    assert_allclose(mean_field_magnetization(1.0, h=1e-9), 3e-9 ** (1.0 / 3.0), rtol=1e-5)
    assert_allclose(mean_field_magnetization(2.0, h=1e-6), 1e-6, rtol=1e-9)
    assert_allclose(mean_field_magnetization([0.5, 2.0], -3.0), 0.0, atol=0)
    assert mean_field_magnetization(1e-3) == pytest.approx(1.0, rel=1e-15)
    assert mean_field_magnetization(np.full((2, 3), 0.5)).shape == (2, 3)


def test_complete_graph_refused():
    with pytest.raises(ValueError, match="at least 2 spins, not 1"):
        curie_weiss(1.0, 1)
    for function in (lambda *rest: curie_weiss(rest[0], 5, *rest[1:]), mean_field_magnetization):
        with pytest.raises(ValueError, match="temperatures must be positive"):
            function(0.0)
        with pytest.raises(ValueError, match="J must be one finite number"):
            function(1.0, np.nan)
        with pytest.raises(ValueError, match="h must be one finite number"):
            function(1.0, 1.0, np.inf)
