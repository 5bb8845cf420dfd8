"""The Hopfield model with many patterns, in replica symmetry: overlap and phase diagram for N to infinity.

Couplings J_ij = (1/N) sum_mu xi_i^mu xi_j^mu (Hebb) between each two of N spins, with alpha N random patterns;
alpha is the load. D. J. Amit, H. Gutfreund, H. Sompolinsky, Phys. Rev. Lett. 55, 1530 (1985), and Ann. Phys. 173, 30
(1987), cited as AGS. Temperatures are in units of the Curie-Weiss temperature of one pattern.

The field at a spin is m + s z with z normal, m the overlap and s = sqrt(alpha r) the noise of the other patterns, and
    m = <tanh((m + s z) / T)>,  q = <tanh^2((m + s z) / T)>,  C = (1 - q) / T,  r = q / (1 - C)^2,
where < > averages over z. With the ratio v = s / m given, m follows from the first of these and then the load from
    sqrt(alpha) = s (1 - C) / sqrt(q),
which rises with v from 0 to its greatest value, the edge of retrieval at this T, and falls: nothing is iterated to a
fixed point, and T = 0 is a temperature like any other.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import erf

from ising_mc.exact.arguments import FloatArray

BoolArray: TypeAlias = NDArray[np.bool_]

# Trapezoidal sums, exact to rounding: the integrands are analytic up to i pi/2 (in t) at the least, and 0 at the ends.
_STEP = 0.25
_Z = _STEP * np.arange(-34, 35)
_NORMAL = _STEP / np.sqrt(2.0 * np.pi) * np.exp(-0.5 * _Z**2)
_T = _STEP * np.arange(-76, 77)
_LOGISTIC = 0.5 * _STEP / np.cosh(_T) ** 2
_EDGES = (0.463, 0.481)  # the edge of retrieval lies at v between these for every T
_LEAST_RATIO = 1e-9  # stands for v = 0, and changes nothing: the effect goes with v^2
_LEAST_LOAD = 1e-10  # below it T_M and T_c are 1 minus these times sqrt(alpha), to 1e-9
_MELTING, _GROUND = 1.954084, 2.595876
_NEAREST = 1.0 - 1e-12  # nearer to T = 1 there is nothing but rounding


def hopfield_overlap(load: ArrayLike, temperature: ArrayLike = 0.0) -> FloatArray:
    """Overlap m > 0 of the retrieval state, the largest of the solutions; NaN where there is none.

    For each pair of a load >= 0 (patterns per spin) and a temperature >= 0, which are broadcast against each other;
    ValueError for any that is negative or not finite. Without load, m = tanh(m / T). AGS 1987.
    """
    loads, temperatures = np.broadcast_arrays(_not_negative(load, "loads"), _not_negative(temperature, "temperatures"))
    overlaps = np.full(loads.shape, np.nan)
    some = temperatures < _NEAREST
    overlaps[some] = _retrieval(loads[some], temperatures[some])[0]
    return overlaps


def hopfield_critical_load() -> tuple[float, float]:
    """Greatest load with retrieval states at T = 0, and the overlap there: 0.1379, 0.9674. AGS 1985."""
    m, root = _edge(np.zeros(1))
    return float(root[0] ** 2), float(m[0])


def hopfield_spin_glass_temperature(load: ArrayLike) -> FloatArray:
    """T_g = 1 + sqrt(load), below which the spin glass (no overlap, q > 0) replaces the paramagnet. AGS 1985.

    ValueError for a load that is negative or not finite.
    """
    return np.asarray(1.0 + np.sqrt(_not_negative(load, "loads")))


def hopfield_retrieval_temperature(load: ArrayLike) -> FloatArray:
    """T_M, below which there are retrieval states; NaN for loads beyond `hopfield_critical_load`. AGS 1987.

    It falls to 0.046, not to 0: in replica symmetry there are retrieval states at loads up to 0.1382 between two
    temperatures (J.-P. Naef and A. Canning, J. Phys. I France 2, 247 (1992)). ValueError as `hopfield_overlap`.
    """

    def solve(loads: FloatArray) -> FloatArray:
        # the load of the edge falls in this interval, and is past the critical one at its lower end
        return _root(lambda T: _edge(T)[1] - np.sqrt(loads), np.full_like(loads, 0.025), 1.0 - np.sqrt(loads))

    return _below_critical(load, _MELTING, lambda loads: loads <= hopfield_critical_load()[0], solve)


def hopfield_ground_temperature(load: ArrayLike) -> FloatArray:
    """T_c, below which retrieval states are the global minima of the free energy; NaN beyond a load of 0.0519.

    Between it and T_M they are metastable, and the spin glass is lower. AGS 1987, where the load is given as 0.051. T_c
    falls to 0.17, not to 0: in replica symmetry they are lowest between two temperatures at loads up to 0.0531.
    ValueError as `hopfield_overlap`.
    """

    def lowest_at_zero(loads: FloatArray) -> BoolArray:
        lowest = loads < 0.06
        lowest[lowest] = _excess(loads[lowest], np.zeros_like(loads[lowest])) <= 0.0
        return lowest

    def solve(loads: FloatArray) -> FloatArray:
        # the excess grows from a negative one in this interval, which ends between T_c and T_M
        return _root(lambda T: _excess(loads, T), np.full_like(loads, 0.08), 1.0 - 2.2 * np.sqrt(loads))

    return _below_critical(load, _GROUND, lowest_at_zero, solve)


def _not_negative(values: ArrayLike, name: str) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    if not np.all((array >= 0.0) & np.isfinite(array)):
        raise ValueError(f"{name} must be finite and not negative")
    return array


def _below_critical(
    load: ArrayLike, slope: float, exists: Callable[[FloatArray], BoolArray], solve: Callable[[FloatArray], FloatArray]
) -> FloatArray:
    """A temperature for each load: 1 - slope sqrt(load) for the least ones, NaN where it does not exist."""
    loads = _not_negative(load, "loads")
    temperatures = np.full(loads.shape, np.nan)
    least = loads < _LEAST_LOAD
    temperatures[least] = 1.0 - slope * np.sqrt(loads[least])
    some = np.asarray(~least)
    some[some] = exists(loads[some])
    temperatures[some] = solve(loads[some])
    return temperatures


def _root(function: Callable[[FloatArray], FloatArray], low: FloatArray, high: FloatArray) -> FloatArray:
    """Roots between low and high, where the function has opposite signs: false position (Illinois)."""
    f_low, f_high = function(low), function(high)
    for _ in range(60):
        x = np.where(f_high == 0.0, high, high - f_high * (high - low) / np.where(f_high == f_low, 1.0, f_high - f_low))
        if np.all(np.abs(x - high) <= 1e-9):  # it converges faster than linearly
            return x
        fx = function(x)
        crossed = fx * f_high < 0.0
        low, f_low = np.where(crossed, high, low), np.where(crossed, f_high, 0.5 * f_low)
        high, f_high = x, fx
    return high


def _averages(m: FloatArray, s: FloatArray, T: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """<tanh((m + s z) / T)> and its first three derivatives by m; the first of these is C.

    By s, d/ds = s d^2/dm^2, as for every average over z. Where s < T the sum is over z. Elsewhere tanh may be as good
    as a step; it is then a step at t T averaged over t with the weight 1/2 sech^2 t, and the average over z is known.
    """
    out = np.empty((4, *m.shape))
    narrow = s < T
    M, S, t = (a[narrow][:, None] for a in (m, s, T))
    tanh = np.tanh((M + S * _Z) / t)
    sech2 = 1.0 - tanh**2
    terms = (tanh, sech2 / t, -2.0 * tanh * sech2 / t**2, sech2 * (4.0 - 6.0 * sech2) / t**3)
    out[:, narrow] = [term @ _NORMAL for term in terms]
    M, S, t = (a[~narrow][:, None] for a in (m, s, T))
    u = (M - t * _T) / S
    density = np.sqrt(2.0 / np.pi) * np.exp(-0.5 * u**2) / S
    terms = (erf(u / np.sqrt(2.0)), density, -u * density / S, (u**2 - 1.0) * density / S**2)
    out[:, ~narrow] = [term @ _LOGISTIC for term in terms]
    return out[0], out[1], out[2], out[3]


def _load(v: FloatArray, T: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Overlap m and C at v = s / m and T < 1; the root of the load and its derivative by v."""
    m = np.minimum(1.0, np.sqrt(3.0 * (1.0 - T)))  # not below the solution, even without noise
    for _ in range(60):  # Newton's steps go down to it: the average is concave in m at fixed v
        average, C, C1, C2 = _averages(m, v * m, T)
        step = (average - m) / (1.0 - C - v**2 * m * C1)
        if np.all(np.abs(step) <= 1e-13 * m):
            break
        m = m + step
    s = v * m
    m1 = s * C1 * m / (1.0 - C - v * s * C1)  # derivatives by v at fixed T
    s1 = m + v * m1
    c1 = C1 * m1 + s * C2 * s1
    q = 1.0 - T * C
    root = s * (1.0 - C) / np.sqrt(q)
    return m, C, root, (s1 * (1.0 - C) - s * c1 + 0.5 * root * T * c1 / np.sqrt(q)) / np.sqrt(q)


def _edge(T: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Overlap and root of the load at the edge of retrieval at T < 1."""
    v = _root(lambda v: _load(v, T)[3], *(np.full_like(T, end) for end in _EDGES))
    m, _, root, _ = _load(v, T)
    return m, root


def _retrieval(loads: FloatArray, T: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Retrieval states at T < 1 as m, s and C; NaN where there are none."""
    target = np.sqrt(loads)
    v = np.full_like(T, _LEAST_RATIO)
    for _ in range(60):  # Newton's steps go up to the solution, if any: the root is concave in v as far as the edge
        m, C, root, slope = _load(v, T)
        new = np.clip(v + (target - root) / np.where(slope > 0.0, slope, np.inf), _LEAST_RATIO, _EDGES[1])
        if np.all(np.abs(new - v) <= 1e-13):
            break
        v = new
    found = (slope > 0.0) | (np.abs(root - target) <= 1e-12 * target)  # without a solution they run past the edge
    return np.where(found, m, np.nan), np.where(found, v * m, np.nan), np.where(found, C, np.nan)


def _spin_glass(loads: FloatArray, T: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The solution without overlap, as s and C, at T < T_g."""
    zero = np.zeros_like(T)
    s = np.sqrt(2.0 / np.pi) + np.sqrt(loads)  # the solution at T = 0, and not below it at any T
    for _ in range(60):  # Newton's steps go down to it
        _, C, _, C2 = _averages(zero, s, T)
        q = 1.0 - T * C
        slope = 1.0 - C - s**2 * C2 + 0.5 * np.sqrt(loads / q) * T * s * C2
        step = (s * (1.0 - C) - np.sqrt(loads * q)) / slope
        if np.all(np.abs(step) <= 1e-13 * s):
            break
        s = s - step
    return s, C


def _free_energy(loads: FloatArray, T: FloatArray, m: FloatArray, C: FloatArray, r: FloatArray) -> FloatArray:
    """Free energy per spin (AGS 1985); stationary in m, r and q = 1 - T C at the solutions.

    T ln 2 cosh(h / T) is |h - t T| averaged over t, and the two averages are taken as in `_averages`.
    """
    s = np.sqrt(loads * r)
    field = np.empty_like(s)
    narrow = s < T
    M, S, t = (a[narrow][:, None] for a in (m, s, T))
    h = np.abs(M + S * _Z)
    field[narrow] = (h + t * np.log1p(np.exp(-2.0 * h / t))) @ _NORMAL
    M, S, t = (a[~narrow][:, None] for a in (m, s, T))
    u = (M - t * _T) / S
    field[~narrow] = (S * (np.sqrt(2.0 / np.pi) * np.exp(-0.5 * u**2) + u * erf(u / np.sqrt(2.0)))) @ _LOGISTIC
    noise = T * np.log(1.0 - C) - (1.0 - T * C) / (1.0 - C) + r * C + 1.0
    return np.asarray(0.5 * m**2 + 0.5 * loads * noise - field)


def _excess(loads: FloatArray, T: FloatArray) -> FloatArray:
    """Free energy of the retrieval states above that of the spin glass, at loads above 0 and T < T_M."""
    m, s, C = _retrieval(loads, T)
    s_glass, C_glass = _spin_glass(loads, T)
    retrieval = _free_energy(loads, T, m, C, s**2 / loads)
    return retrieval - _free_energy(loads, T, np.zeros_like(T), C_glass, s_glass**2 / loads)
