"""Systems of equal layers, from powers of the transfer matrix: exact far beyond enumeration."""

import numpy as np
from numpy.typing import ArrayLike

from ising_mc.exact.arguments import FloatArray, as_bonds, as_pairs, as_temperatures, one_each
from ising_mc.exact.enumeration import enumerate_states
from ising_mc.exact.jets import Jet, Thermodynamics, thermodynamics

MAX_LAYER = 12
SMALLEST = 1e-200  # beside it, what underflows is nothing


def transfer_matrix(
    T: ArrayLike,
    layers: int,
    n_sites: int,
    within: ArrayLike,
    between: ArrayLike,
    J_within: ArrayLike = 1.0,
    J_between: ArrayLike = 1.0,
    field: ArrayLike = 0.0,
    periodic: bool = True,
) -> Thermodynamics:
    """Exact thermodynamics of equal layers of at most 12 sites each, one upon the other; values are per site.

    within: pairs of sites of a layer, (m, 2).  between: pairs (site of a layer, site of the next layer), (k, 2), where
    the two may have the same number.  J_within, J_between: one coupling or one a pair.  field: one number or one a
    site of a layer.  periodic: whether the last layer is bonded to the first; it needs 2 layers then (which have each
    pair of `between` twice, once each way), else 1.  A pair that stands twice counts twice.

    log Z is -layers * n_sites * free_energy / T.  Raises ValueError for sites that do not exist, too many sites or
    too few layers, and where a frustrated system is too cold for Z in double precision.  The matrix has 4**n_sites
    entries, of which some twenty copies are held (3 GiB for 12 sites); a periodic system takes some ten products of
    such matrices for each doubling of its layers, an open one next to nothing.
    H. A. Kramers and G. H. Wannier, Phys. Rev. 60, 252 (1941).
    """
    if not 1 <= n_sites <= MAX_LAYER:
        raise ValueError(f"a transfer matrix takes layers of 1 to {MAX_LAYER} sites, not {n_sites}")
    if layers < (2 if periodic else 1):
        raise ValueError(f"{layers} layers are too few: a periodic system needs 2, an open one 1")
    temperatures = as_temperatures(T)
    pairs = as_bonds(n_sites, within)
    couplings = one_each(J_within, len(pairs), "J_within")
    layer_energy = enumerate_states(n_sites, pairs, couplings, field).energy
    step_energy = layer_energy[:, np.newaxis] + _between_energy(n_sites, between, J_between)
    rows = [_log_z(1.0 / float(t), layers, layer_energy, step_energy, periodic) for t in temperatures.flat]
    value, first, second = np.array([(row.value, row.first, row.second) for row in rows]).T
    log_z = Jet(*(column.reshape(temperatures.shape) for column in (value, first, second)))
    ground = (layers if periodic else layers - 1) * step_energy.min() + (0.0 if periodic else layer_energy.min())
    return thermodynamics(temperatures, log_z, layers * n_sites, ground / (layers * n_sites))


def _between_energy(n_sites: int, between: ArrayLike, J: ArrayLike) -> FloatArray:
    """Energy of the bonds between two layers in each of their states, (2**n_sites, 2**n_sites)."""
    pairs = as_pairs(n_sites, between)
    couplings = np.zeros((n_sites, n_sites))
    np.add.at(couplings, (pairs[:, 0], pairs[:, 1]), one_each(J, len(pairs), "J_between"))
    spins = 2.0 * (np.arange(1 << n_sites)[:, np.newaxis] >> np.arange(n_sites) & 1) - 1.0
    return np.asarray(-spins @ couplings @ spins.T)


def _log_z(beta: float, layers: int, layer_energy: FloatArray, step_energy: FloatArray, periodic: bool) -> Jet:
    """ln Z + beta E_0 at one temperature, with E_0 the sum of the lowest energies of the steps."""
    step = _boltzmann(step_energy, beta)
    if periodic:
        result, log_scale = _power(step, layers)
        z = Jet(*(np.trace(part) for part in (result.value, result.first, result.second)))
    else:
        result, log_scale = _boltzmann(layer_energy, beta), 0.0
        for _ in range(layers - 1):
            result, scale = _scaled(step @ result)
            log_scale += scale
        z = result.sum()
    z, scale = _scaled(z)
    return z.log() + (scale + log_scale)


def _boltzmann(energy: FloatArray, beta: float) -> Jet:
    excess = energy - energy.min()
    value = np.exp(-beta * excess)
    return Jet(value, -excess * value, excess**2 * value)


def _power(matrix: Jet, exponent: int) -> tuple[Jet, float]:
    """Power of a matrix, and the logarithm of a factor taken out of it; by repeated squaring, as for the chain."""
    result, log_result = None, 0.0
    log_scale = 0.0
    while True:
        if exponent & 1:
            result, scale = _scaled(matrix if result is None else result @ matrix)
            log_result += scale + log_scale
        exponent >>= 1
        if exponent == 0:
            assert result is not None  # the highest bit of the exponent was set
            return result, log_result
        matrix, scale = _scaled(matrix @ matrix)
        log_scale = 2.0 * log_scale + scale


def _scaled(x: Jet) -> tuple[Jet, float]:
    """Divided by its largest value, which does not count as a function of the temperature; and the logarithm of it."""
    largest = float(np.max(x.value))
    if largest < SMALLEST:
        raise ValueError("the temperature is too low for a frustrated system in double precision")
    return x * (1.0 / largest), float(np.log(largest))
