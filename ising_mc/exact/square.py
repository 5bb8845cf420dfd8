"""The square lattice: Onsager and Yang for the infinite one, Kaufman for the finite one."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ellipkm1, elliprd

from ising_mc.exact.arguments import Couplings, FloatArray, as_temperatures, check_sides, nonzero, one_each
from ising_mc.exact.jets import Jet, Thermodynamics, decay, growth, thermodynamics
from ising_mc.exact.rings import chain


def critical_temperature(J: Couplings = 1.0) -> float:
    """Critical temperature of the infinite square lattice, from sinh(2 J_x/T) sinh(2 J_y/T) = 1.

    J is one coupling, or (J_x, J_y); only their moduli matter, since the lattice is bipartite. A coupling
    of 0 is a ValueError: it leaves only chains, which do not order.
    """
    strong, weak = sorted(nonzero(J), reverse=True)
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
    T, modulus = as_temperatures(T), nonzero(float(J))[0]
    tanh, _, complementary, critical = _onsager_modulus(T, modulus)
    singular = np.where(critical, 0.0, complementary * ellipkm1(np.where(critical, 1.0, complementary**2)))
    return np.asarray(-modulus / tanh * (1.0 + 2.0 / np.pi * singular))


def onsager_specific_heat(T: ArrayLike, J: float = 1.0) -> FloatArray:
    """Specific heat per site of the infinite, isotropic square lattice.

    The sign of J does not matter. At the critical temperature it is inf. Below T = 0.2 |J|, where it is less
    than 1e-14, it loses its digits. L. Onsager, Phys. Rev. 65, 117 (1944).
    """
    T, modulus = as_temperatures(T), nonzero(float(J))[0]
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
    T, (Jx, Jy) = as_temperatures(T), nonzero(J)

    def cosech(x: FloatArray) -> FloatArray:
        return np.asarray(2.0 * np.exp(-x) / -np.expm1(-2.0 * x))

    eighth_power = 1.0 - (cosech(2.0 * Jx / T) * cosech(2.0 * Jy / T)) ** 2
    ordered = critical_temperature((Jx, Jy)) > T
    return np.asarray(np.where(ordered, np.maximum(eighth_power, 0.0), 0.0) ** 0.125)


def kaufman(T: ArrayLike, size: int | tuple[int, int], J: Couplings = 1.0) -> Thermodynamics:
    """Exact thermodynamics of the finite square lattice with periodic boundaries, at every temperature.

    `size` is L or (L_x, L_y), each at least 2 (a side of 2 has two bonds between the same two spins), and J
    one coupling or (J_x, J_y), of the bonds along the side L_x and of those along the side L_y. A negative
    coupling needs an even side, along which turning every other spin makes it positive; on an odd one the
    lattice is frustrated: ValueError. Specific heats are good to 1e-14, and from T = 0.3 |J| on to 1e-7 of
    their value; at still lower T, where they are below 1e-8, they lose their digits.

    B. Kaufman, Phys. Rev. 76, 1232 (1949); A. E. Ferdinand and M. E. Fisher, Phys. Rev. 185, 832 (1969).
    """
    temperatures = as_temperatures(T)
    Lx, Ly = (size, size) if isinstance(size, int | np.integer) else size
    Jx, Jy = one_each(J, 2, "J")
    check_sides(Lx, Ly)
    if (Jx < 0 and Lx % 2) or (Jy < 0 and Ly % 2):
        raise ValueError(
            "a negative coupling along an odd periodic side is frustrated, which Kaufman's formula does not "
            "cover: make that side even, or take enumerate_states for a small lattice"
        )
    Jx, Jy = abs(Jx), abs(Jy)
    if Jx == 0.0 or Jy == 0.0:  # separate rings
        return chain(temperatures, Ly if Jx == 0.0 else Lx, Jx + Jy)
    log_z = _kaufman_log_z(1.0 / temperatures, Lx, Ly, Jx, Jy)
    return thermodynamics(temperatures, log_z, Lx * Ly, -Jx - Jy)


def _kaufman_log_z(beta: FloatArray, m: int, n: int, Jm: float, Jn: float) -> Jet:
    """ln Z + beta E_0 for m rings of n spins, with Jm between the rings and Jn along them.

    Z is (2 sinh 2K_m)^(mn/2) / 2 times the sum of four products of n modes: 2 cosh(m gamma_l / 2) with l odd,
    2 sinh(m gamma_l / 2) with l odd, and both with l even, where gamma_l belongs to the wave number pi l / n.
    Here tanh(gamma / 2) = A / B, with A and B of order 1 at every temperature. Then each mode, with its share
    of the factor in front and of exp(beta E_0), is free of overflow:

        [(B + A)^m +- (B - A)^m] / 2^m = [(A + B) / 2]^m (1 +- t),  t = exp(-m gamma).
    """
    beta = beta[..., np.newaxis]  # the last axis is that of the modes
    u, v = decay(2.0 * Jm, beta), decay(2.0 * Jn, beta)
    gap = growth(2.0 * Jm, beta) - v * (u + 1.0)  # changes sign at the critical temperature, as gamma_0 does
    top = growth(2.0 * Jm, beta) + v * (u + 1.0)
    dispersion = u * growth(4.0 * Jn, beta) * 4.0
    b2_minus_a2 = v * growth(4.0 * Jm, beta) * 4.0

    def modes(A: Jet, B: Jet) -> tuple[Jet, Jet]:
        total = A + B
        return (total * 0.5).log() * m, (b2_minus_a2 / total / total).power(m)

    def nonzero_modes(wave_numbers: FloatArray) -> tuple[Jet, Jet]:
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
