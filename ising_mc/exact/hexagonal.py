"""The infinite triangular and honeycomb lattices, without a field.

R. M. F. Houtappel, Physica 16, 425 (1950); G. H. Wannier, Phys. Rev. 79, 357 (1950), erratum Phys. Rev. B 7, 5017
(1973).  The honeycomb lattice is the triangular one by the star-triangle relation: summing over every second spin
leaves a triangular lattice of half as many with exp(-4 J'/T) = cosh(J/T) / cosh(3 J/T).
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ising_mc.exact.arguments import FloatArray, as_temperatures, nonzero
from ising_mc.exact.jets import Jet, decay, growth, where

# entropy a site of the antiferromagnet at T = 0: (2/pi) int_0^(pi/3) ln(2 cos x) dx
TRIANGULAR_RESIDUAL_ENTROPY = 0.32306594721945051


def triangular_critical_temperature(J: float = 1.0) -> float:
    """Critical temperature 4 J / ln 3 of the infinite triangular lattice; 0 for J < 0, which does not order.

    Raises ValueError for J = 0.
    """
    nonzero(J)
    return max(4.0 * J / math.log(3.0), 0.0)


def honeycomb_critical_temperature(J: float = 1.0) -> float:
    """Critical temperature 2 |J| / ln(2 + sqrt 3) of the infinite honeycomb lattice, which is bipartite.

    Raises ValueError for J = 0.
    """
    return 2.0 * nonzero(J)[0] / math.log(2.0 + math.sqrt(3.0))


def triangular_energy(T: ArrayLike, J: float = 1.0) -> FloatArray:
    """Energy per site of the infinite triangular lattice, to 1e-15 of |J| times max(1, T/|J|).

    At the critical temperature it is -2 J. For J < 0 it tends to -|J| at T = 0, where only two bonds of three can
    be satisfied at best.
    """
    temperatures = as_temperatures(T)
    return np.asarray(-J * _triangular(temperatures, J)[0].value)


def triangular_specific_heat(T: ArrayLike, J: float = 1.0) -> FloatArray:
    """Specific heat per site of the infinite triangular lattice; at the critical temperature it is inf."""
    temperatures = as_temperatures(T)
    correlations, critical = _triangular(temperatures, J)
    return np.asarray(np.where(critical, np.inf, J * correlations.first / temperatures**2))


def honeycomb_energy(T: ArrayLike, J: float = 1.0) -> FloatArray:
    """Energy per site of the infinite honeycomb lattice, to 1e-15 of |J| times max(1, T/|J|).

    The sign of J does not matter. At the critical temperature it is -2 |J| / sqrt 3.
    """
    temperatures, modulus = as_temperatures(T), nonzero(J)[0]
    return np.asarray(-modulus * _honeycomb(temperatures, modulus)[0].value)


def honeycomb_specific_heat(T: ArrayLike, J: float = 1.0) -> FloatArray:
    """Specific heat per site of the infinite honeycomb lattice; at the critical temperature it is inf.

    The sign of J does not matter.
    """
    temperatures, modulus = as_temperatures(T), nonzero(J)[0]
    correlations, critical = _honeycomb(temperatures, modulus)
    return np.asarray(np.where(critical, np.inf, modulus * correlations.first / temperatures**2))


def _triangular(T: FloatArray, J: float) -> tuple[Jet, NDArray[np.bool_]]:
    """Sum of the correlations of a site's three bonds over the inverse temperature, and where T is critical."""
    modulus = nonzero(J)[0]
    if J > 0.0:
        beta = 1.0 / T
        return _ferromagnet(
            decay(4.0 * J, beta), growth(4.0 * J, beta), np.equal(T, triangular_critical_temperature(J))
        )
    beta = np.minimum(1.0 / T, 350.0 / modulus)  # beyond, the ground states are all there is, and doubles underflow
    root, z = decay(2.0 * modulus, beta), decay(4.0 * modulus, beta)
    # the formula below for y = 1/z > 1
    product = (z * -1.0 + 3.0) * (z + 1.0).power(3)
    braces = z * (z * -1.0 + 3.0) * -2.0 / _agm(root * 4.0, product.sqrt()) + 1.0
    return (z + 1.0) * -1.0 / growth(4.0 * modulus, beta) * braces, np.zeros(T.shape, np.bool_)


def _ferromagnet(y: Jet, rest: Jet, critical: NDArray[np.bool_]) -> tuple[Jet, NDArray[np.bool_]]:
    """The same for y = exp(-4 J/T) < 1 and rest = 1 - y, neither of which needs to be that of a triangular lattice.

    d ln Z / dK = (1 + y) / (1 - y) [1 + 2 (1 - 3y) / agm(alpha, gamma)],  gamma^2 = |1 - 3y| (1 + y)^3,  where
    alpha^2 = (1 - y)^3 (1 + 3y) below the critical temperature, where y < 1/3, and 16 y^3 above.
    """
    gap = y * -3.0 + 1.0
    critical = critical | (gap.value == 0.0)
    modulus = where(critical, gap * 0.0 + 1.0, where(gap.value < 0.0, gap * -1.0, gap))
    cold = rest.power(3) * (y * 3.0 + 1.0)
    alpha = where(gap.value < 0.0, y.power(3) * 16.0, cold).sqrt()
    gamma = (modulus * (y + 1.0).power(3)).sqrt()
    singular = where(critical, gap * 0.0, gap / _agm(alpha, gamma))
    return (y + 1.0) / rest * (singular * 2.0 + 1.0), critical


def _honeycomb(T: FloatArray, J: float) -> tuple[Jet, NDArray[np.bool_]]:
    """Sum of the correlations of one and a half bonds over the inverse temperature, and where T is critical."""
    beta = 1.0 / T

    def tanh(rate: float) -> Jet:
        return growth(2.0 * rate * J, beta) / (decay(2.0 * rate * J, beta) + 1.0)

    w, growing = decay(2.0 * J, beta), growth(2.0 * J, beta)
    denominator = growing + w * w
    critical = np.equal(T, honeycomb_critical_temperature(J))
    triangles, critical = _ferromagnet(w / denominator, growing * growing / denominator, critical)
    stars = (tanh(3.0) + tanh(1.0)) * 0.75
    return (stars + (tanh(3.0) * 3.0 - tanh(1.0)) * 0.25 * triangles) * 0.5, critical


def _agm(a: Jet, b: Jet) -> Jet:
    """Arithmetic-geometric mean; pi / 2 over it is a complete elliptic integral of the first kind."""
    for _ in range(20):  # ratios of up to 1e300 between the two, halved in their digits each time
        a, b = (a + b) * 0.5, (a * b).sqrt()
    return a
