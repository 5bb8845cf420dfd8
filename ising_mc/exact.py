"""Exact values to lay beside a simulation: square lattice, chain, and what is small enough to enumerate.

H = - sum_<ij> J_ij s_i s_j - h sum_i s_i with s = +1/-1 and k_B = 1; values are per site unless they say
otherwise. A temperature is a number or an array, and results have its shape (a 0-d array for a number).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ellipkm1, elliprd

FloatArray: TypeAlias = NDArray[np.float64]
Couplings: TypeAlias = float | tuple[float, float]

MAX_SITES = 24


@dataclass(frozen=True)
class Thermodynamics:
    """Free energy, energy and specific heat per site, each of the shape of the temperatures."""

    free_energy: FloatArray
    energy: FloatArray
    specific_heat: FloatArray


# --- the infinite square lattice ----------------------------------------------------------------------------


def critical_temperature(J: Couplings = 1.0) -> float:
    """Critical temperature of the infinite square lattice, from sinh(2 J_x/T) sinh(2 J_y/T) = 1.

    J is one coupling, or (J_x, J_y); only their moduli matter, since the lattice is bipartite. A coupling
    of 0 is a ValueError: it leaves only chains, which do not order.
    """
    strong, weak = sorted(_nonzero(J), reverse=True)
    if strong == weak:
        return float(2.0 * strong / np.log1p(np.sqrt(2.0)))

    def ordering(T: float) -> float:  # the same condition, written so that nothing overflows
        return float(np.tanh(weak / T) - np.exp(-2.0 * strong / T))

    # the isotropic lattices of either coupling enclose it; the margin is for couplings that are all but equal
    bracket = 0.9 * critical_temperature(weak), 1.1 * critical_temperature(strong)
    from scipy.optimize import brentq  # here, because it takes long to import and is rarely needed

    return float(brentq(ordering, *bracket, xtol=1e-15 * weak, rtol=1e-15))


def onsager_energy(T: ArrayLike, J: float = 1.0) -> FloatArray:
    """Energy per site of the infinite, isotropic square lattice.

    The sign of J does not matter. At the critical temperature it is -sqrt(2) |J|.
    L. Onsager, Phys. Rev. 65, 117 (1944).
    """
    T, modulus = _temperatures(T), _nonzero(float(J))[0]
    tanh, _, complementary, critical = _onsager_modulus(T, modulus)
    singular = np.where(critical, 0.0, complementary * ellipkm1(np.where(critical, 1.0, complementary**2)))
    return np.asarray(-modulus / tanh * (1.0 + 2.0 / np.pi * singular))


def onsager_specific_heat(T: ArrayLike, J: float = 1.0) -> FloatArray:
    """Specific heat per site of the infinite, isotropic square lattice.

    The sign of J does not matter. At the critical temperature it is inf. Below T = 0.2 |J|, where it is less
    than 1e-14, it loses its digits. L. Onsager, Phys. Rev. 65, 117 (1944).
    """
    T, modulus = _temperatures(T), _nonzero(float(J))[0]
    tanh, sech2, complementary, critical = _onsager_modulus(T, modulus)
    k2 = np.where(critical, 1.0, complementary**2)
    # K(k) - E(k) as Carlson's integral: at low temperature the two agree to more digits than a double has
    difference = 4.0 * tanh**2 * sech2 / 3.0 * elliprd(0.0, k2, 1.0)
    braces = 2.0 * difference - 2.0 * sech2 * (np.pi / 2.0 + complementary * ellipkm1(k2))
    return np.asarray(np.where(critical, np.inf, 2.0 / np.pi * (modulus / T / tanh) ** 2 * braces))


def _onsager_modulus(T: FloatArray, J: float) -> tuple[FloatArray, FloatArray, FloatArray, NDArray[np.bool_]]:
    """tanh(2K), sech(2K)^2, the complementary modulus k' = 2 tanh(2K)^2 - 1, and where T is critical."""
    y = np.exp(-4.0 * J / T)
    tanh = -np.expm1(-4.0 * J / T) / (1.0 + y)
    sech2 = 4.0 * y / (1.0 + y) ** 2
    complementary = 1.0 - 2.0 * sech2
    return tanh, sech2, complementary, (critical_temperature(J) == T) | (complementary == 0.0)


def yang_magnetization(T: ArrayLike, J: Couplings = 1.0) -> FloatArray:
    """Spontaneous magnetization per site of the infinite square lattice, 0 from the critical temperature on.

    J is one coupling, or (J_x, J_y). Where a coupling is negative, this is the staggered magnetization: the
    spins alternate along that axis. C. N. Yang, Phys. Rev. 85, 808 (1952); for two couplings C. H. Chang,
    Phys. Rev. 88, 1422 (1952).
    """
    T, (Jx, Jy) = _temperatures(T), _nonzero(J)

    def cosech(x: FloatArray) -> FloatArray:
        return np.asarray(2.0 * np.exp(-x) / -np.expm1(-2.0 * x))

    eighth_power = 1.0 - (cosech(2.0 * Jx / T) * cosech(2.0 * Jy / T)) ** 2
    ordered = critical_temperature((Jx, Jy)) > T
    return np.asarray(np.where(ordered, np.maximum(eighth_power, 0.0), 0.0) ** 0.125)


# --- finite systems with a transfer matrix ------------------------------------------------------------------


@dataclass(frozen=True)
class _Jet:
    """A function of the inverse temperature and its first two derivatives, which arithmetic carries along."""

    value: FloatArray
    first: FloatArray
    second: FloatArray

    def __add__(self, other: _Jet | float) -> _Jet:
        if isinstance(other, _Jet):
            return _Jet(self.value + other.value, self.first + other.first, self.second + other.second)
        return _Jet(self.value + other, self.first, self.second)

    def __sub__(self, other: _Jet) -> _Jet:
        return self + other * -1.0

    def __mul__(self, other: _Jet | FloatArray | float) -> _Jet:
        if isinstance(other, _Jet):
            return _Jet(
                self.value * other.value,
                self.first * other.value + self.value * other.first,
                self.second * other.value + 2.0 * self.first * other.first + self.value * other.second,
            )
        return _Jet(self.value * other, self.first * other, self.second * other)

    def __truediv__(self, other: _Jet) -> _Jet:
        quotient = self.value / other.value
        first = (self.first - quotient * other.first) / other.value
        second = (self.second - 2.0 * first * other.first - quotient * other.second) / other.value
        return _Jet(quotient, first, second)

    def power(self, n: int) -> _Jet:
        """To an integer n >= 2, so that a base of zero is allowed."""
        lower = self.value ** (n - 2)
        slope = n * lower * self.value
        curvature = n * (n - 1) * lower * self.first**2
        return _Jet(lower * self.value**2, slope * self.first, slope * self.second + curvature)

    def sqrt(self) -> _Jet:
        root = np.sqrt(self.value)
        first = self.first / (2.0 * root)
        return _Jet(root, first, (self.second / 2.0 - first**2) / root)

    def exp(self) -> _Jet:
        value = np.exp(self.value)
        return _Jet(value, value * self.first, value * (self.second + self.first**2))

    def log(self) -> _Jet:
        first = self.first / self.value
        return _Jet(np.log(self.value), first, self.second / self.value - first**2)

    def log1p(self) -> _Jet:
        first = self.first / (1.0 + self.value)
        return _Jet(np.log1p(self.value), first, self.second / (1.0 + self.value) - first**2)

    def sum(self) -> _Jet:
        """Over the last axis."""
        return _Jet(self.value.sum(axis=-1), self.first.sum(axis=-1), self.second.sum(axis=-1))


def _decay(rate: float, beta: FloatArray) -> _Jet:
    """exp(-rate beta)."""
    value = np.exp(-rate * beta)
    return _Jet(value, -rate * value, rate**2 * value)


def _growth(rate: float, beta: FloatArray) -> _Jet:
    """1 - exp(-rate beta), to all digits also where it is small."""
    decay = _decay(rate, beta)
    return _Jet(-np.expm1(-rate * beta), -decay.first, -decay.second)


def _thermodynamics(T: FloatArray, log_z: _Jet, n_sites: int, ground: float) -> Thermodynamics:
    """From ln Z + beta E_0, where E_0 = n_sites * ground was taken out so that no exponential overflows."""
    return Thermodynamics(
        free_energy=np.asarray(ground - T * log_z.value / n_sites),
        energy=np.asarray(ground - log_z.first / n_sites),
        specific_heat=np.asarray(log_z.second / n_sites / T**2),
    )


def kaufman(T: ArrayLike, size: int | tuple[int, int], J: Couplings = 1.0) -> Thermodynamics:
    """Exact thermodynamics of the finite square lattice with periodic boundaries, at every temperature.

    `size` is L or (L_x, L_y), each at least 2 (a side of 2 has two bonds between the same two spins), and J
    one coupling or (J_x, J_y), of the bonds along the side L_x and of those along the side L_y. A negative
    coupling needs an even side, along which turning every other spin makes it positive; on an odd one the
    lattice is frustrated: ValueError. Specific heats are good to 1e-14, and from T = 0.3 |J| on to 1e-7 of
    their value; at still lower T, where they are below 1e-8, they lose their digits.

    B. Kaufman, Phys. Rev. 76, 1232 (1949); A. E. Ferdinand and M. E. Fisher, Phys. Rev. 185, 832 (1969).
    """
    temperatures = _temperatures(T)
    Lx, Ly = (size, size) if isinstance(size, int | np.integer) else size
    Jx, Jy = _one_each(J, 2, "J")
    _check_sides(Lx, Ly)
    if (Jx < 0 and Lx % 2) or (Jy < 0 and Ly % 2):
        raise ValueError(
            "a negative coupling along an odd periodic side is frustrated, which Kaufman's formula does not "
            "cover: make that side even, or take enumerate_states for a small lattice"
        )
    Jx, Jy = abs(Jx), abs(Jy)
    if Jx == 0.0 or Jy == 0.0:  # separate rings
        return chain(temperatures, Ly if Jx == 0.0 else Lx, Jx + Jy)
    log_z = _kaufman_log_z(1.0 / temperatures, Lx, Ly, Jx, Jy)
    return _thermodynamics(temperatures, log_z, Lx * Ly, -Jx - Jy)


def _kaufman_log_z(beta: FloatArray, m: int, n: int, Jm: float, Jn: float) -> _Jet:
    """ln Z + beta E_0 for m rings of n spins, with Jm between the rings and Jn along them.

    Z is (2 sinh 2K_m)^(mn/2) / 2 times the sum of four products of n modes: 2 cosh(m gamma_l / 2) with l odd,
    2 sinh(m gamma_l / 2) with l odd, and both with l even, where gamma_l belongs to the wave number pi l / n.
    Here tanh(gamma / 2) = A / B, with A and B of order 1 at every temperature. Then each mode, with its share
    of the factor in front and of exp(beta E_0), is free of overflow:

        [(B + A)^m +- (B - A)^m] / 2^m = [(A + B) / 2]^m (1 +- t),  t = exp(-m gamma).
    """
    beta = beta[..., np.newaxis]  # the last axis is that of the modes
    u, v = _decay(2.0 * Jm, beta), _decay(2.0 * Jn, beta)
    gap = _growth(2.0 * Jm, beta) - v * (u + 1.0)  # changes sign at the critical temperature, as gamma_0 does
    top = _growth(2.0 * Jm, beta) + v * (u + 1.0)
    dispersion = u * _growth(4.0 * Jn, beta) * 4.0
    b2_minus_a2 = v * _growth(4.0 * Jm, beta) * 4.0

    def modes(A: _Jet, B: _Jet) -> tuple[_Jet, _Jet]:
        total = A + B
        return (total * 0.5).log() * m, (b2_minus_a2 / total / total).power(m)

    def nonzero_modes(wave_numbers: FloatArray) -> tuple[_Jet, _Jet]:
        momentum = dispersion * np.sin(wave_numbers / 2.0) ** 2
        return modes((gap * gap + momentum).sqrt(), (top * top + momentum).sqrt())

    wave_numbers = np.pi * np.arange(1, 2 * n) / n
    odd, t_odd = nonzero_modes(wave_numbers[0::2])
    even, t_even = nonzero_modes(wave_numbers[1::2])
    # All but one factor are even in gamma_0, so that |gamma_0| will do. The sinh of gamma_0 takes the sign;
    # it vanishes at the critical temperature and so stays out of the logarithms.
    sign = np.where(gap.value < 0.0, -1.0, 1.0)
    zero, t_zero = modes(gap * sign, top)
    sinh_zero = ((t_zero * -1.0 + 1.0) * sign).sum()

    odd_cosh = odd.sum() + t_odd.log1p().sum()
    odd_sinh = odd.sum() + (t_odd * -1.0).log1p().sum()
    even_cosh = (zero + t_zero.log1p()).sum() + even.sum() + t_even.log1p().sum()
    even_sinh = zero.sum() + even.sum() + (t_even * -1.0).log1p().sum()
    # relative to the first product, which has the largest eigenvalue
    others = (odd_sinh - odd_cosh).exp() + (even_cosh - odd_cosh).exp()
    others = others + (even_sinh - odd_cosh).exp() * sinh_zero
    return odd_cosh + others.log1p() + math.log(0.5)


def chain(T: ArrayLike, n: int, J: float = 1.0, h: float = 0.0, periodic: bool = True) -> Thermodynamics:
    """Exact thermodynamics of a chain of n spins in the field h, from powers of its transfer matrix.

    A periodic chain needs n >= 2 (n = 2 has two bonds), an open one n >= 1. A frustrated chain (periodic,
    odd n, J < 0) underflows below T = |J|/350 or so: ValueError.
    """
    if n < (2 if periodic else 1):
        raise ValueError(f"{'a periodic' if periodic else 'an open'} chain of {n} spins does not exist")
    temperatures = _temperatures(T)
    beta = 1.0 / temperatures
    h = abs(h)
    # exponents relative to the lowest: no entry exceeds 1, and one of them is 1
    lowest = -max(J + h, -J)
    transfer = tuple(_decay(energy - lowest, beta) for energy in (-J - h, J, -J + h))
    if periodic:
        up_up, _, down_down, log_scale = _matrix_power(transfer, n)
        z, ground = up_up + down_down, lowest
    else:
        up_up, up_down, down_down, log_scale = _matrix_power(transfer, n - 1)
        end = _decay(h, beta)  # the halves of the field that no bond brings to the two end spins
        z, ground = up_up + (up_down * 2.0 + down_down * end) * end, ((n - 1) * lowest - h) / n
    if np.any(z.value == 0.0):
        raise ValueError(f"T = {temperatures.min():g} is too low for a frustrated chain in double precision")
    return _thermodynamics(temperatures, log_scale + z.log(), n, ground)


def _matrix_power(matrix: tuple[_Jet, ...], exponent: int) -> tuple[_Jet, _Jet, _Jet, _Jet]:
    """Power of the symmetric matrix (a, b; b, d), as a, b, d and the logarithm of a common factor.

    Repeated squaring only adds and multiplies what is positive, so it keeps the digits that the difference of
    nearly equal eigenvalues would lose.
    """
    a, b, d = matrix
    one = _Jet(np.ones_like(a.value), np.zeros_like(a.value), np.zeros_like(a.value))
    log_scale = log_result = one * 0.0
    x, y, z = one, one * 0.0, one  # the result
    while exponent:
        if exponent & 1:
            x, y, z = x * a + y * b, x * b + y * d, y * b + z * d
            log_result = log_result + log_scale
        a, b, d = a * a + b * b, (a + d) * b, b * b + d * d
        trace = a + d
        a, b, d = a / trace, b / trace, d / trace
        log_scale = log_scale * 2.0 + trace.log()
        exponent >>= 1
    return x, y, z, log_result


# --- enumeration --------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Enumeration:
    """Energy and magnetization (both of the whole system) of all 2**n_sites states.

    In state k, spin i is up where bit i of k is set.
    """

    n_sites: int
    energy: FloatArray
    magnetization: NDArray[np.int32]

    def weights(self, T: float) -> FloatArray:
        """Boltzmann probability of each state at one temperature."""
        factors = self._boltzmann_factors(float(_temperatures(T)))
        return np.asarray(factors / factors.sum())

    def observables(self, T: ArrayLike) -> dict[str, FloatArray]:
        """Exact averages, under the names that the result files use.

        energy_per_site, magnetization_per_site, abs_magnetization_per_site, free_energy (per site),
        specific_heat = N (<e^2> - <e>^2)/T^2, susceptibility = N (<m^2> - <|m|>^2)/T,
        susceptibility_symmetric = N <m^2>/T, binder_cumulant = 1 - <m^4>/(3 <m^2>^2) (NaN if m is always 0).
        """
        temperatures = _temperatures(T)
        rows = [self._averages(float(t)) for t in temperatures.flat]
        return {key: np.array([row[key] for row in rows]).reshape(temperatures.shape) for key in rows[0]}

    def correlations(self, T: float) -> FloatArray:
        """<s_i s_j> at one temperature, of shape (n_sites, n_sites), with ones on the diagonal."""
        result = np.eye(self.n_sites)
        marginal = self.weights(T)
        # Spin i is the highest bit that is left. Sum over it: with its sign for its correlations with the
        # lower spins, without it to go on. All pairs together cost a few passes over the states.
        for i in reversed(range(self.n_sites)):
            down, up = marginal[: 1 << i], marginal[1 << i :]
            signed, marginal = up - down, up + down
            for j in reversed(range(i)):
                down, up = signed[: 1 << j], signed[1 << j :]
                result[i, j] = result[j, i] = up.sum() - down.sum()
                signed = up + down
        return result

    def _boltzmann_factors(self, T: float) -> FloatArray:
        return np.asarray(np.exp((self.energy.min() - self.energy) / T))

    def _averages(self, T: float) -> dict[str, float]:
        n = self.n_sites
        weights = self._boltzmann_factors(T)
        z = weights.sum()
        weights /= z

        def mean(x: NDArray[np.floating | np.integer]) -> float:
            return float(weights @ x)

        energy = mean(self.energy)
        abs_m = mean(np.abs(self.magnetization))
        m_squared = self.magnetization**2  # up to 24**4 below: int32 holds it
        m2, m4 = mean(m_squared), mean(m_squared**2)
        return {
            "energy_per_site": energy / n,
            "specific_heat": mean((self.energy - energy) ** 2) / (n * T**2),
            "magnetization_per_site": mean(self.magnetization) / n,
            "abs_magnetization_per_site": abs_m / n,
            "susceptibility": mean((np.abs(self.magnetization) - abs_m) ** 2) / (n * T),
            "susceptibility_symmetric": m2 / (n * T),
            "binder_cumulant": 1.0 - m4 / (3.0 * m2**2) if m2 > 0.0 else np.nan,
            "free_energy": float(self.energy.min() - T * np.log(z)) / n,
        }


def enumerate_states(n_sites: int, bonds: ArrayLike, J: ArrayLike = 1.0, field: ArrayLike = 0.0) -> Enumeration:
    """All states of a system of at most 24 spins, with any couplings and any fields.

    `bonds` holds pairs of sites, of shape (m, 2); a pair that stands there twice counts twice. `J` is one
    number or one a bond, `field` (mu B) one number or one a site. Raises ValueError for more than 24 sites,
    for a site that does not exist, and for a bond of a site with itself. Time and memory (12 bytes a state,
    two or three times that while at work) double with each site.
    """
    if not 1 <= n_sites <= MAX_SITES:
        raise ValueError(f"enumeration takes 1 to {MAX_SITES} sites, not {n_sites}")
    pairs = _bonds(n_sites, bonds)
    couplings = np.zeros((n_sites, n_sites))
    np.add.at(couplings, (pairs.max(axis=1), pairs.min(axis=1)), _one_each(J, len(pairs), "J"))
    fields = _one_each(field, n_sites, "field")

    energy = np.zeros(1 << n_sites)
    magnetization = np.zeros(1 << n_sites, dtype=np.int32)
    for i in range(n_sites):  # spin i doubles the states there are
        low, high = slice(0, 1 << i), slice(1 << i, 2 << i)
        local = np.full(1 << i, fields[i])  # the field on spin i, in each state of the spins before it
        for j in np.flatnonzero(couplings[i]):
            by_spin_j = local.reshape(-1, 2, 1 << j)
            by_spin_j[:, 0] -= couplings[i, j]
            by_spin_j[:, 1] += couplings[i, j]
        energy[high] = energy[low] - local
        energy[low] += local
        magnetization[high] = magnetization[low] + 1
        magnetization[low] -= 1
    return Enumeration(n_sites, energy, magnetization)


def square_bonds(rows: int, columns: int) -> NDArray[np.int64]:
    """Bonds of the periodic square lattice, of shape (2 * rows * columns, 2), for `enumerate_states`.

    Site r * columns + c; first the bond of each site to the right (along the side of length `columns`), then
    the bond of each site down (along `rows`). A side of 2 has double bonds; a side of 1 is a ValueError.
    """
    _check_sides(rows, columns)
    site = np.arange(rows * columns, dtype=np.int64).reshape(rows, columns)
    right, down = np.roll(site, -1, axis=1), np.roll(site, -1, axis=0)
    return np.concatenate([np.stack([site, other], axis=-1).reshape(-1, 2) for other in (right, down)])


# --- arguments ----------------------------------------------------------------------------------------------


def _temperatures(T: ArrayLike) -> FloatArray:
    temperatures = np.asarray(T, dtype=np.float64)
    if not np.all((temperatures > 0.0) & np.isfinite(temperatures)):
        raise ValueError("temperatures must be positive and finite")
    return temperatures


def _one_each(values: ArrayLike, count: int, name: str) -> list[float]:
    array = np.asarray(values, dtype=np.float64)
    if array.shape not in ((), (count,)) or not np.all(np.isfinite(array)):
        raise ValueError(f"{name} must be one finite number, or {count} of them")
    return [float(value) for value in np.broadcast_to(array, count)]


def _check_sides(*sides: int) -> None:
    if min(sides) < 2:
        raise ValueError(f"a periodic lattice needs sides of at least 2, not {min(sides)}")


def _nonzero(J: Couplings) -> tuple[float, float]:
    x, y = map(abs, _one_each(J, 2, "J"))
    if x == 0.0 or y == 0.0:
        raise ValueError("a coupling of 0 leaves no square lattice")
    return x, y


def _bonds(n_sites: int, bonds: ArrayLike) -> NDArray[np.int64]:
    pairs = np.asarray(bonds)
    if pairs.size == 0:
        return np.empty((0, 2), dtype=np.int64)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or not np.issubdtype(pairs.dtype, np.integer):
        raise ValueError("bonds must be pairs of whole numbers, of shape (m, 2)")
    if pairs.min() < 0 or pairs.max() >= n_sites:
        raise ValueError(f"bonds name sites {pairs.min()} to {pairs.max()}; there are 0 to {n_sites - 1}")
    if np.any(pairs[:, 0] == pairs[:, 1]):
        raise ValueError("a bond joins a site with itself")
    return pairs.astype(np.int64)
