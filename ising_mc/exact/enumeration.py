"""All states of a small system: exact averages of whatever a simulation measures."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ising_mc.exact.arguments import FloatArray, as_bonds, as_temperatures, check_sides, one_each

MAX_SITES = 24


@dataclass(frozen=True, eq=False)
class Enumeration:
    """Energy and magnetization (both of the whole system) of all 2**n_sites states, and the bonds, (m, 2).

    In state k, spin i is up where bit i of k is set.
    """

    n_sites: int
    energy: FloatArray
    magnetization: NDArray[np.int32]
    bonds: NDArray[np.int64]

    def weights(self, T: float) -> FloatArray:
        """Boltzmann probability of each state at one temperature."""
        factors = self._boltzmann_factors(float(as_temperatures(T)))
        return np.asarray(factors / factors.sum())

    def observables(self, T: ArrayLike) -> dict[str, FloatArray]:
        """Exact averages, under the names that the result files use.

        energy_per_site, magnetization_per_site, abs_magnetization_per_site, free_energy (per site),
        specific_heat = N (<e^2> - <e>^2)/T^2, susceptibility = N (<m^2> - <|m|>^2)/T,
        susceptibility_symmetric = N <m^2>/T, binder_cumulant = 1 - <m^4>/(3 <m^2>^2) (NaN if m is always 0).
        """
        temperatures = as_temperatures(T)
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

    def overlap_distribution(self, T: float) -> tuple[FloatArray, FloatArray]:
        """Values q = -1, -1 + 2/N, ..., 1 of the overlap of two replicas, and the probability of each, (N + 1,).

        q = (1/N) sum_i s_i s'_i, where s and s' are independent states at one temperature.
        """
        # Two states differ in the bits of their exclusive or; its distribution is the convolution of the weights
        # with themselves, which the Walsh-Hadamard transform makes a product.
        difference = _walsh_hadamard(_walsh_hadamard(self.weights(T)) ** 2) / 2.0**self.n_sites
        ups = (self.magnetization + self.n_sites) // 2  # also the number of bits of the state's number
        differing = np.bincount(ups, difference, self.n_sites + 1)
        return np.linspace(-1.0, 1.0, self.n_sites + 1), np.maximum(differing[::-1], 0.0)

    def overlap_moments(self, T: float) -> dict[str, float]:
        """q, q_abs, q2 and q4: <q>, <|q|>, <q^2> and <q^4> of that overlap; q_link, that of the bonds.

        q_link = (1/m) sum_<ij> <s_i s_j>^2, the mean of (1/m) sum_<ij> s_i s_j s'_i s'_j over both replicas; NaN
        without bonds.
        """
        q, probability = self.overlap_distribution(T)
        bonds = self.correlations(T)[self.bonds[:, 0], self.bonds[:, 1]]
        return {
            "q": float(probability @ q),
            "q_abs": float(probability @ np.abs(q)),
            "q2": float(probability @ q**2),
            "q4": float(probability @ q**4),
            "q_link": float((bonds**2).mean()) if len(bonds) else np.nan,
        }

    def staggered_moments(self, T: float, sublattice: ArrayLike) -> dict[str, float]:
        """m, m_abs, m2 and m4: <m>, <|m|>, <m^2> and <m^4> of m = (1/N) sum_i s_i (-1)^(sublattice of i).

        sublattice: 0 or 1 for each site, (n_sites,); all 0 for the moments of the magnetization itself. Raises
        ValueError for anything else.
        """
        sublattice = np.asarray(sublattice)
        if sublattice.shape != (self.n_sites,) or not np.isin(sublattice, (0, 1)).all():
            raise ValueError(f"sublattice must be {self.n_sites} numbers 0 or 1, one a site")
        m = _sums_over_spins(1.0 - 2.0 * sublattice) / self.n_sites
        weights = self.weights(T)
        return {
            "m": float(weights @ m),
            "m_abs": float(weights @ np.abs(m)),
            "m2": float(weights @ m**2),
            "m4": float(weights @ m**4),
        }

    def fourier_intensity(self, T: float, phases: ArrayLike) -> float:
        """<|sum_i s_i exp(i phase_i)|^2>, where phase_i = k r_i in radians, (n_sites,); over N a structure factor.

        Raises ValueError for another number of phases.
        """
        angles = np.array(one_each(phases, self.n_sites, "phases"))
        return float((self.correlations(T) * np.cos(angles[:, np.newaxis] - angles)).sum())

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
    pairs = as_bonds(n_sites, bonds)
    couplings = np.zeros((n_sites, n_sites))
    np.add.at(couplings, (pairs.max(axis=1), pairs.min(axis=1)), one_each(J, len(pairs), "J"))
    fields = one_each(field, n_sites, "field")

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
    return Enumeration(n_sites, energy, magnetization, pairs)


def _sums_over_spins(factors: FloatArray) -> FloatArray:
    """sum_i factor_i s_i in each state, (2**n_sites,)."""
    sums = np.zeros(1)
    for factor in factors:
        sums = np.concatenate([sums - factor, sums + factor])
    return sums


def _walsh_hadamard(values: FloatArray) -> FloatArray:
    """sum_k (-1)^(number of common bits of k and l) values_k, for each l."""
    result = values
    for i in range(len(values).bit_length() - 1):
        pairs = result.reshape(-1, 2, 1 << i)
        result = np.stack([pairs[:, 0] + pairs[:, 1], pairs[:, 0] - pairs[:, 1]], axis=1).reshape(-1)
    return result


def square_bonds(rows: int, columns: int) -> NDArray[np.int64]:
    """Bonds of the periodic square lattice, of shape (2 * rows * columns, 2), for `enumerate_states`.

    Site r * columns + c; first the bond of each site to the right (along the side of length `columns`), then
    the bond of each site down (along `rows`). A side of 2 has double bonds; a side of 1 is a ValueError.
    """
    check_sides(rows, columns)
    site = np.arange(rows * columns, dtype=np.int64).reshape(rows, columns)
    right, down = np.roll(site, -1, axis=1), np.roll(site, -1, axis=0)
    return np.concatenate([np.stack([site, other], axis=-1).reshape(-1, 2) for other in (right, down)])
