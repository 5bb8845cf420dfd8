"""The Hopfield model in replica symmetry: published and independently computed values, limits, and the saddle point."""

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import quad
from scipy.special import erf

from ising_mc.exact import hopfield as module
from ising_mc.exact import (
    hopfield_critical_load,
    hopfield_ground_temperature,
    hopfield_overlap,
    hopfield_retrieval_temperature,
    hopfield_spin_glass_temperature,
    mean_field_magnetization,
)

LOADS = [0.01, 0.02, 0.03, 0.05, 0.08, 0.10, 0.12]
CURVES = [
    hopfield_overlap,
    hopfield_spin_glass_temperature,
    hopfield_retrieval_temperature,
    hopfield_ground_temperature,
]
# (load, T) of retrieval states: noise wider and narrower than T, near the edge, and at small loads
STATES = [(0.05, 0.3), (0.05, 0.5), (0.10, 0.2), (0.137, 0.01), (0.01, 0.79), (1e-3, 0.5), (1e-4, 0.97)]


def arrays(*numbers):
    return [np.array([number]) for number in numbers]


def normal_average(function, m, s):
    """Average of function(m + s z) over z by adaptive quadrature, split where the function may be sharp."""

    def weighted(z):
        return function(m + s * z) * np.exp(-0.5 * z**2) / np.sqrt(2.0 * np.pi)

    kink = np.clip(-m / s, -10.0, 10.0)
    ends = np.unique(np.clip([-10.0, kink - 0.3, kink - 0.03, kink, kink + 0.03, kink + 0.3, 10.0], -10.0, 10.0))
    return sum(quad(weighted, a, b, epsabs=1e-14, epsrel=1e-13)[0] for a, b in itertools.pairwise(ends))


# --- values ---


def test_critical_load():
    assert_allclose(hopfield_critical_load(), (0.1379055665, 0.9674171), atol=6e-8)
    assert hopfield_critical_load()[0] == pytest.approx(0.1379055665, abs=1e-10)
    y = np.linspace(1.5, 1.7, 20001)  # the greatest load that solves the equations at T = 0
    loads = 0.5 * (erf(y) / y - 2.0 * np.exp(-(y**2)) / np.sqrt(np.pi)) ** 2
    assert hopfield_critical_load()[0] == pytest.approx(loads.max(), abs=1e-10)


def test_overlap_at_zero_temperature():
    m = [0.99999223, 0.99955738, 0.99799927, 0.99322273, 0.98721189, 0.97295276]
    assert_allclose(hopfield_overlap([0.05, 0.08, 0.10, 0.12, 0.13, 0.1375]), m, atol=1e-8)


def test_overlap():
    assert_allclose(hopfield_overlap([0.05, 0.05, 0.10], [0.3, 0.5, 0.2]), [0.991165, 0.904106, 0.989085], atol=1e-6)


def test_retrieval_temperature():
    expected = [0.80102, 0.71648, 0.65042, 0.54226, 0.40457, 0.31543, 0.21509]
    assert_allclose(hopfield_retrieval_temperature(LOADS), expected, atol=1e-5)


def test_ground_temperature():
    assert_allclose(hopfield_ground_temperature(LOADS[:4]), [0.72162, 0.59130, 0.47879, 0.21638], atol=1e-5)


def test_spin_glass_temperature():
    assert_allclose(hopfield_spin_glass_temperature([0.0, 0.04, 1.0]), [1.0, 1.2, 2.0], rtol=1e-15)
    loads, T = arrays(0.04, 1.2 - 1e-6)  # just below it the spin glass sets in with q near 0
    _, C = module._spin_glass(loads, T)
    assert 0.0 < 1.0 - T[0] * C[0] < 1e-5


# --- equations ---


@pytest.mark.parametrize(("load", "T"), STATES)
def test_retrieval_states_solve_the_equations(load, T):
    m, s, C = (float(x[0]) for x in module._retrieval(*arrays(load, T)))
    assert m == hopfield_overlap(load, T)
    q = normal_average(lambda h: np.tanh(h / T) ** 2, m, s)
    assert m == pytest.approx(normal_average(lambda h: np.tanh(h / T), m, s), rel=1e-10)
    assert pytest.approx((1.0 - q) / T, rel=1e-10) == C
    assert s == pytest.approx(np.sqrt(load * q) / (1.0 - C), rel=1e-9)


def test_no_larger_overlap_solves_the_equations():
    load, T = 0.05, 0.4
    largest = float(hopfield_overlap(load, T))
    for m in np.linspace(largest + 0.001, 1.0, 20):  # there r follows from m, and the average is below m
        s = 0.3
        for _ in range(200):
            q = 1.0 - T * (C := float(module._averages(*arrays(m, s, T))[1][0]))
            s = np.sqrt(load * q) / (1.0 - C)
        assert module._averages(*arrays(m, s, T))[0][0] < m


@pytest.mark.parametrize(("load", "T"), STATES)
def test_free_energy(load, T):
    """Against the formula in q = 1 - T C, with an adaptive quadrature."""
    m, q, r = 0.8, 0.9, 1.1
    b = 1.0 / T
    C = b * (1.0 - q) if b * (1.0 - q) < 1.0 else 0.5
    q = 1.0 - T * C
    field = normal_average(lambda h: T * np.logaddexp(h / T, -h / T), m, np.sqrt(load * r))
    expected = 0.5 * m**2 + load / (2.0 * b) * (np.log(1.0 - b * (1.0 - q)) - b * q / (1.0 - b * (1.0 - q)))
    expected += 0.5 * load * b * r * (1.0 - q) + 0.5 * load - field
    assert module._free_energy(*arrays(load, T, m, C, r))[0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("load", "T"), [*STATES, (0.05, 0.0)])
@pytest.mark.parametrize("phase", ["retrieval", "spin glass"])
def test_saddle_point(load, T, phase):
    loads, temperatures = arrays(load, T)
    if phase == "retrieval":
        m, s, C = module._retrieval(loads, temperatures)
    else:
        s, C = module._spin_glass(loads, temperatures)
        m = np.zeros(1)
    at = np.concatenate([m, C, s**2 / loads])

    def free_energy(point):
        return module._free_energy(loads, temperatures, *point[:, None])[0]

    for axis, (size, scale) in enumerate(zip((0.1, 0.1 * (1.0 - C[0]), at[2]), (1.0, load, load), strict=True)):
        h = np.zeros(3)
        h[axis] = 2e-3 * min(size, max(at[axis], 0.01))
        near, far = (free_energy(at + k * h) - free_energy(at - k * h) for k in (1, 2))
        assert abs(8.0 * near - far) / (12.0 * h[axis]) < 1e-7 * scale


@pytest.mark.parametrize("T", [0.0, 1e-3, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("ratio", [0.2, 0.47])
def test_derivatives(T, ratio):
    def at(v):
        return np.array(module._load(*arrays(v, T)))[:, 0]

    assert at(ratio)[3] == pytest.approx((at(ratio + 1e-5)[2] - at(ratio - 1e-5)[2]) / 2e-5, rel=1e-7, abs=1e-8)


def test_averages_where_the_two_sums_meet():
    T, m = 0.3, 0.7
    s = np.array([T * (1.0 - 1e-15), T])
    for narrow, wide in module._averages(np.full(2, m), s, np.full(2, T)):
        assert narrow == pytest.approx(wide, rel=1e-12)


# --- limits ---


def test_continuity_at_zero_temperature():
    loads = np.array([0.02, 0.08, 0.10, 0.12, 0.137])
    at_zero = hopfield_overlap(loads)
    slope = (hopfield_overlap(loads, 1e-4) - at_zero) / 1e-4
    for T in (0.005, 0.001, 1e-6, 1e-12, 5e-324):
        assert_allclose(hopfield_overlap(loads, T), at_zero + T * slope, atol=60.0 * T * (T + 1e-4) + 1e-13)


def test_without_load():
    T = np.array([1e-3, 0.1, 0.5, 0.9, 0.999])
    assert_allclose(hopfield_overlap(0.0, T), mean_field_magnetization(T), rtol=1e-11)
    assert_allclose(hopfield_overlap(1e-9, T), mean_field_magnetization(T), rtol=1e-3)
    assert hopfield_overlap(0.0) == 1.0
    assert np.all(np.isnan(hopfield_overlap(0.0, [1.0, 2.0])))


def test_small_loads():
    """T_M = 1 - 1.95 sqrt(load) and T_c = 1 - 2.6 sqrt(load) (AGS 1985), from each side of the switch to these."""
    loads = np.array([0.0, 1e-300, 0.99e-10, 1.01e-10, 1e-8, 1e-6])
    u = (np.sqrt(11.0 / 3.0) - 1.0) / 4.0  # v^2 at the edge as T -> 1, where the load is 4/9 (1 - T)^2 times
    slope = 1.5 * np.sqrt((1.0 + u) / u) * (1.0 / 3.0 + u)  # u / ((1 + u) (1/3 + u)^2)
    T_M, T_c = hopfield_retrieval_temperature(loads), hopfield_ground_temperature(loads)
    assert np.all(np.abs(T_M - 1.0 + slope * np.sqrt(loads)) <= 1e-9 + loads)
    assert np.all(np.abs(T_c - 1.0 + 2.595876 * np.sqrt(loads)) <= 2e-9 + 2.0 * loads)


def test_retrieval_ends_at_the_retrieval_temperature():
    loads = np.array([1e-4, 0.01, 0.05, 0.10, 0.1379])
    T = hopfield_retrieval_temperature(loads)
    assert np.all(hopfield_overlap(loads, T - 1e-6) > 0.0)
    assert np.all(np.isnan(hopfield_overlap(loads, T + 1e-6)))


def test_order_of_the_phases():
    loads = np.linspace(1e-4, 0.05, 30)
    ground, retrieval = hopfield_ground_temperature(loads), hopfield_retrieval_temperature(loads)
    assert np.all(np.diff(ground) < 0.0)
    assert np.all(np.diff(retrieval) < 0.0)
    assert np.all(ground < retrieval)
    assert np.all(retrieval < hopfield_spin_glass_temperature(loads))


def test_ends_of_the_phases():
    critical, m = hopfield_critical_load()
    assert hopfield_overlap(critical) == pytest.approx(m, abs=1e-6)
    assert hopfield_overlap(critical * (1.0 - 1e-10)) == pytest.approx(m, abs=1e-4)
    assert np.isnan(hopfield_overlap(critical * (1.0 + 1e-10)))
    assert 0.0 < hopfield_retrieval_temperature(critical) < 0.05
    assert np.all(np.isnan(hopfield_retrieval_temperature([critical + 1e-9, 0.2, 1e300])))
    # at T = 0 the free energy of the spin glass is -1/pi - sqrt(2 load / pi), that of retrieval about -1/2
    ground = (0.5 - 1.0 / np.pi) ** 2 * np.pi / 2.0
    assert 0.0 < hopfield_ground_temperature(ground - 1e-4) < 0.2
    assert np.all(np.isnan(hopfield_ground_temperature([ground + 1e-4, 0.1, 0.2, 1e300])))


def test_retrieval_comes_back_on_heating():
    """At loads just beyond the critical one, in replica symmetry (Naef and Canning 1992)."""
    exists = np.isfinite(hopfield_overlap(0.1381, [0.0, 0.005, 0.02, 0.03, 0.05]))
    assert exists.tolist() == [False, False, True, True, False]


def test_spin_glass_at_zero_temperature():
    load = 0.07
    s, C = module._spin_glass(*arrays(load, 0.0))
    energy = module._free_energy(*arrays(load, 0.0, 0.0), C, s**2 / load)
    assert_allclose(energy, -1.0 / np.pi - np.sqrt(2.0 * load / np.pi), rtol=1e-13)


# --- arguments ---


def test_shapes():
    assert hopfield_overlap(0.05).shape == ()
    assert hopfield_overlap([[0.05], [0.1]], [0.1, 0.2, 0.3]).shape == (2, 3)
    assert hopfield_overlap([], 0.1).shape == (0,)
    for curve in CURVES[1:]:
        assert curve(0.05).shape == ()
        assert curve([[0.01, 0.05, 0.5]]).shape == (1, 3)
        assert curve([]).shape == (0,)


@pytest.mark.parametrize("bad", [-0.1, np.nan, np.inf, [0.05, -1e-9]])
def test_rejects_bad_numbers(bad):
    for curve in CURVES:
        with pytest.raises(ValueError, match="loads must be finite and not negative"):
            curve(bad)
    with pytest.raises(ValueError, match="temperatures must be finite and not negative"):
        hopfield_overlap(0.05, bad)
