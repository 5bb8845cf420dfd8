"""The complete graph with couplings J/N (Curie and Weiss): finite N, and its limit, mean field theory."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln

from ising_mc.exact.arguments import FloatArray, as_temperatures, one_each


def curie_weiss(T: ArrayLike, n: int, J: float = 1.0, h: float = 0.0) -> dict[str, FloatArray]:
    """Exact averages of n >= 2 spins with a coupling J/n between each two, in the field h.

    Summed over the n + 1 values of the magnetization, in logarithms: H = -J (M^2 - n) / (2n) - h M. Names and
    definitions are those of the result files (see Enumeration.observables); besides them m2 = <m^2>, m4 = <m^4>.
    In the limit of large n and without a field, it is critical at T = J. M. Kac, in Brandeis University Summer
    Institute 1966, vol. 1 (Gordon and Breach, 1968).
    """
    if n < 2:
        raise ValueError(f"the complete graph needs at least 2 spins, not {n}")
    temperatures = as_temperatures(T)
    (J,), (h,) = one_each(J, 1, "J"), one_each(h, 1, "h")
    ups = np.arange(n + 1)
    log_states = gammaln(n + 1.0) - (gammaln(ups + 1.0) + gammaln(n - ups + 1.0))
    m = (2.0 * ups - n) / n
    energy = -0.5 * J * (n * m**2 - 1.0) - h * n * m
    rows = [_averages(float(t), n, log_states, m, energy) for t in temperatures.flat]
    return {key: np.array([row[key] for row in rows]).reshape(temperatures.shape) for key in rows[0]}


def _averages(T: float, n: int, log_states: FloatArray, m: FloatArray, energy: FloatArray) -> dict[str, float]:
    log_weights = log_states - energy / T
    largest = log_weights.max()
    weights = np.exp(log_weights - largest)
    z = weights.sum()
    weights /= z

    def mean(x: FloatArray) -> float:
        return float(weights @ x)

    mean_energy, abs_m, m2, m4 = mean(energy), mean(np.abs(m)), mean(m**2), mean(m**4)
    return {
        "energy_per_site": mean_energy / n,
        "specific_heat": mean((energy - mean_energy) ** 2) / (n * T**2),
        "magnetization_per_site": mean(m),
        "abs_magnetization_per_site": abs_m,
        "susceptibility": n * mean((np.abs(m) - abs_m) ** 2) / T,
        "susceptibility_symmetric": n * m2 / T,
        "binder_cumulant": 1.0 - m4 / (3.0 * m2**2) if m2 > 0.0 else np.nan,
        "m2": m2,
        "m4": m4,
        "free_energy": -T * float(largest + np.log(z)) / n,
    }


def mean_field_magnetization(T: ArrayLike, J: float = 1.0, h: float = 0.0) -> FloatArray:
    """Magnetization per site m = tanh((J m + h) / T) that minimises the free energy; of the two without field, m >= 0.

    J is the sum of the couplings of a site, so that T_c = J; from there on m is 0 without a field.
    """
    temperatures = as_temperatures(T)
    (J,), (h,) = one_each(J, 1, "J"), one_each(h, 1, "h")
    low, high = np.zeros_like(temperatures), np.ones_like(temperatures)
    for _ in range(80):  # of m > 0, tanh (which is concave or falls) lies above m up to the solution, then below
        m = 0.5 * (low + high)
        above = np.tanh((J * m + abs(h)) / temperatures) > m
        low, high = np.where(above, m, low), np.where(above, high, m)
    ordered = (temperatures < J) | (h != 0.0)
    return np.asarray(np.where(ordered, low if h >= 0.0 else -low, 0.0))
