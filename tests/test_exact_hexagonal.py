"""Infinite triangular and honeycomb lattices against the integral, series, strips and thermodynamics itself."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import quad

from ising_mc.exact import (
    TRIANGULAR_RESIDUAL_ENTROPY,
    honeycomb_critical_temperature,
    honeycomb_energy,
    honeycomb_specific_heat,
    transfer_matrix,
    triangular_critical_temperature,
    triangular_energy,
    triangular_specific_heat,
)

TRIANGULAR = (triangular_energy, triangular_specific_heat, triangular_critical_temperature)
HONEYCOMB = (honeycomb_energy, honeycomb_specific_heat, honeycomb_critical_temperature)
BOTH = pytest.mark.parametrize(("energy", "specific_heat", "critical"), [TRIANGULAR, HONEYCOMB], ids=["tri", "honey"])


def derivative(f, x, step):
    """To fourth order in the step."""
    return (8.0 * (f(x + step) - f(x - step)) - f(x + 2.0 * step) + f(x - 2.0 * step)) / (12.0 * step)


def mean_over_zone(f, points=400):
    """Over both wave numbers, each from 0 to 2 pi; exact to all digits where f is smooth on the scale of the points."""
    k = 2.0 * np.pi * (np.arange(points) + 0.5) / points
    return f(np.cos(k)[:, np.newaxis] + np.cos(k) + np.cos(k[:, np.newaxis] + k)).mean()


def houtappel(K):
    """d ln Z / dK per site of the triangular lattice, under the integral of Houtappel's formula (19)."""
    C, S = np.cosh(2.0 * K), np.sinh(2.0 * K)
    slope = 6.0 * C * S * (C + S)
    return 0.5 * mean_over_zone(lambda cosines: (slope - 2.0 * C * cosines) / (C**3 + S**3 - S * cosines))


def houtappel_honeycomb(K):
    """The same of the honeycomb lattice: ln Z / N = 3/4 ln 2 + 1/4 <ln (1 + C^3 - S^2 cosines)>."""
    C, S = np.cosh(2.0 * K), np.sinh(2.0 * K)
    return 0.25 * mean_over_zone(
        lambda cosines: (6.0 * C**2 * S - 4.0 * S * C * cosines) / (1.0 + C**3 - S**2 * cosines)
    )


# --- critical points ---


def test_critical_temperatures():
    assert triangular_critical_temperature() == pytest.approx(3.640956907, rel=1e-9)
    assert triangular_critical_temperature(2.0) == pytest.approx(8.0 / np.log(3.0), rel=1e-15)
    assert triangular_critical_temperature(-1.0) == 0.0
    assert honeycomb_critical_temperature() == pytest.approx(1.5186514, rel=1e-7)
    assert honeycomb_critical_temperature(-2.0) == pytest.approx(4.0 / np.log(2.0 + np.sqrt(3.0)), rel=1e-15)


@pytest.mark.parametrize("J", [1.0, 0.3, 7.0])
def test_at_the_critical_temperature(J):
    Tc = triangular_critical_temperature(J)
    assert triangular_energy(Tc, J) == pytest.approx(-2.0 * J, rel=1e-14)
    assert triangular_specific_heat([Tc, 0.9 * Tc], J)[0] == np.inf
    Tc = honeycomb_critical_temperature(J)
    assert honeycomb_energy(Tc, J) == pytest.approx(-2.0 * J / np.sqrt(3.0), rel=1e-14)
    assert honeycomb_specific_heat([Tc, 0.9 * Tc], J)[0] == np.inf


@BOTH
def test_through_the_critical_temperature(energy, specific_heat, critical):
    Tc = critical()
    for beyond in (np.nextafter(Tc, 0.0), np.nextafter(Tc, 9.0)):
        assert energy(beyond) == pytest.approx(float(energy(Tc)), rel=1e-14)
        assert specific_heat(beyond) > 10.0
    distance = np.array([1e-3, 1e-6, 1e-9])
    for sign in (-1.0, 1.0):  # the specific heat grows by the same amount for each factor of the distance
        growth = np.diff(specific_heat(Tc * (1.0 + sign * distance)))
        assert growth[0] == pytest.approx(growth[1], rel=0.01)
    assert_allclose(*(specific_heat(Tc * (1.0 + sign * 1e-9)) for sign in (-1.0, 1.0)), rtol=1e-6)


# --- against the integral, at all other temperatures ---


@pytest.mark.parametrize("J", [1.0, -1.0])
def test_triangular_against_the_integral(J):
    T = np.array([0.7, 1.0, 2.0, 3.4, 4.0, 6.0, 20.0, 1000.0])
    assert_allclose(triangular_energy(T, J), [-J * houtappel(J / t) for t in T], rtol=0.0, atol=1e-12)


def test_honeycomb_against_the_integral():
    T = np.array([0.3, 0.7, 1.0, 1.4, 1.65, 2.0, 6.0, 20.0, 1000.0])
    assert_allclose(honeycomb_energy(T), [-houtappel_honeycomb(1.0 / t) for t in T], rtol=0.0, atol=1e-12)
    assert_allclose(honeycomb_energy(T, -1.0), honeycomb_energy(T), rtol=0)
    assert_allclose(honeycomb_specific_heat(T, -1.0), honeycomb_specific_heat(T), rtol=0)


@pytest.mark.parametrize(
    ("J", "energy", "specific_heat"),
    [(1.0, *TRIANGULAR[:2]), (-1.0, *TRIANGULAR[:2]), (1.0, *HONEYCOMB[:2])],
)
def test_specific_heat_is_the_slope_of_the_energy(J, energy, specific_heat):
    T = np.array([0.5, 0.8, 1.3, 2.5, 3.3, 4.2, 10.0])
    assert_allclose(specific_heat(T, J), derivative(lambda t: energy(t, J), T, 2e-4 * T), rtol=1e-8, atol=1e-11)


@BOTH
@pytest.mark.parametrize("J", [1.0, -1.0])
def test_scale_of_the_coupling(energy, specific_heat, critical, J):
    T = np.array([0.5, 1.2, 3.0, 8.0])
    assert_allclose(energy(2.5 * T, 2.5 * J), 2.5 * energy(T, J), rtol=1e-13)
    assert_allclose(specific_heat(2.5 * T, 2.5 * J), specific_heat(T, J), rtol=1e-12)


# --- limits ---


def test_high_temperature_series():
    """ln Z / N: 3 ln cosh K + 2 v^3 + 3 v^4 + 6 v^5 + 11 v^6 + ... and, honeycomb, 3/2 ln cosh K + v^6 / 2 + ..."""
    for J in (1.0, -1.0):
        K = J / 100.0
        v = np.tanh(K)
        series = 3.0 * v + (1.0 - v**2) * (6.0 * v**2 + 12.0 * v**3 + 30.0 * v**4 + 66.0 * v**5)
        assert_allclose(triangular_energy(100.0, J), -J * series, rtol=1e-7)
    v = np.tanh(0.05)
    assert_allclose(honeycomb_energy(20.0), -(1.5 * v + 3.0 * (1.0 - v**2) * v**5), rtol=1e-9)


def test_low_temperature():
    assert_allclose(triangular_energy([1e-3, 0.1]), -3.0, rtol=1e-15)
    assert_allclose(triangular_energy([1e-3, 1e-2], -1.0), -1.0, rtol=1e-15)
    assert_allclose(honeycomb_energy([1e-3, 0.05]), -1.5, rtol=1e-15)
    for J in (1.0, -1.0):
        assert_allclose(triangular_specific_heat([1e-3, 1e-2], J), 0.0, atol=1e-14)
        assert_allclose(honeycomb_specific_heat([1e-3, 1e-2], J), 0.0, atol=1e-14)
    # one spin turned costs 12 J and 6 J
    assert_allclose(triangular_specific_heat(0.6), (12.0 / 0.6) ** 2 * np.exp(-12.0 / 0.6), rtol=0.01)
    assert_allclose(honeycomb_specific_heat(0.2), (6.0 / 0.2) ** 2 * np.exp(-6.0 / 0.2), rtol=0.01)


@pytest.mark.parametrize(
    ("J", "energy", "ground", "residual"),
    [
        (1.0, triangular_energy, -3.0, 0.0),
        (-1.0, triangular_energy, -1.0, TRIANGULAR_RESIDUAL_ENTROPY),
        (1.0, honeycomb_energy, -1.5, 0.0),
    ],
)
def test_entropy_at_zero_temperature(J, energy, ground, residual):
    """ln Z + beta E_0 = ln 2 - int (e - e_0) d beta tends to it."""
    Tc = triangular_critical_temperature() if energy is triangular_energy else honeycomb_critical_temperature()
    lost, _ = quad(lambda beta: float(energy(1.0 / beta, J)) - ground, 1e-9, 20.0, points=[1.0 / Tc], epsabs=1e-11)
    assert np.log(2.0) - lost == pytest.approx(residual, abs=1e-8)


def test_residual_entropy():
    integral, _ = quad(lambda x: 2.0 / np.pi * np.log(2.0 * np.cos(x)), 0.0, np.pi / 3.0, epsabs=1e-12)
    assert pytest.approx(integral, abs=1e-13) == TRIANGULAR_RESIDUAL_ENTROPY
    assert round(TRIANGULAR_RESIDUAL_ENTROPY, 7) == 0.3230659


@pytest.mark.parametrize("J", [1.0, -1.0])
def test_strips_tend_to_the_infinite_lattices(J):
    """Above the critical temperature a strip differs by what goes round it."""
    ring = np.arange(8)
    T = np.array([10.0, 15.0])
    across = [[i, (i + 1) % 8] for i in ring]
    strip = transfer_matrix(T, 64, 8, across, [*([i, i] for i in ring), *([i, (i - 1) % 8] for i in ring)], J, J)
    assert_allclose(strip.energy, triangular_energy(T, J), rtol=1e-4)
    assert_allclose(strip.specific_heat, triangular_specific_heat(T, J), rtol=2e-3)
    # four honeycomb cells a layer, sites 0 at the even numbers
    within = [*([i, i + 1] for i in ring[::2]), *([i, (i - 1) % 8] for i in ring[::2])]
    strip = transfer_matrix(T, 64, 8, within, [[i + 1, i] for i in ring[::2]], J, J)
    assert_allclose(strip.energy, honeycomb_energy(T, J), rtol=1e-4)


# --- what is refused, and shapes ---


@BOTH
def test_refused(energy, specific_heat, critical):
    for function in (energy, specific_heat):
        with pytest.raises(ValueError, match="temperatures must be positive"):
            function([1.0, 0.0])
        with pytest.raises(ValueError, match="coupling of 0"):
            function(1.0, 0.0)
        assert function(2.0).shape == ()
        assert function(np.full((2, 3), 2.0), -1.0).shape == (2, 3)
    with pytest.raises(ValueError, match="coupling of 0"):
        critical(0.0)
