"""Exact values to lay beside a simulation: solved lattices, transfer matrices, and what is small enough to enumerate.

H = - sum_<ij> J_ij s_i s_j - h sum_i s_i with s = +1/-1 and k_B = 1; values are per site unless they say
otherwise. A temperature is a number or an array, and results have its shape (a 0-d array for a number).
"""

from ising_mc.exact.enumeration import MAX_SITES, Enumeration, enumerate_states, square_bonds
from ising_mc.exact.hexagonal import (
    TRIANGULAR_RESIDUAL_ENTROPY,
    honeycomb_critical_temperature,
    honeycomb_energy,
    honeycomb_specific_heat,
    triangular_critical_temperature,
    triangular_energy,
    triangular_specific_heat,
)
from ising_mc.exact.hopfield import (
    hopfield_critical_load,
    hopfield_ground_temperature,
    hopfield_overlap,
    hopfield_retrieval_temperature,
    hopfield_spin_glass_temperature,
)
from ising_mc.exact.jets import Thermodynamics
from ising_mc.exact.layers import MAX_LAYER, transfer_matrix
from ising_mc.exact.mean_field import curie_weiss, mean_field_magnetization
from ising_mc.exact.nishimori import nishimori_energy_per_bond, nishimori_temperature
from ising_mc.exact.rings import chain
from ising_mc.exact.square import (
    critical_temperature,
    kaufman,
    onsager_energy,
    onsager_specific_heat,
    yang_magnetization,
)

__all__ = [
    "MAX_LAYER",
    "MAX_SITES",
    "TRIANGULAR_RESIDUAL_ENTROPY",
    "Enumeration",
    "Thermodynamics",
    "chain",
    "critical_temperature",
    "curie_weiss",
    "enumerate_states",
    "honeycomb_critical_temperature",
    "honeycomb_energy",
    "honeycomb_specific_heat",
    "hopfield_critical_load",
    "hopfield_ground_temperature",
    "hopfield_overlap",
    "hopfield_retrieval_temperature",
    "hopfield_spin_glass_temperature",
    "kaufman",
    "mean_field_magnetization",
    "nishimori_energy_per_bond",
    "nishimori_temperature",
    "onsager_energy",
    "onsager_specific_heat",
    "square_bonds",
    "transfer_matrix",
    "triangular_critical_temperature",
    "triangular_energy",
    "triangular_specific_heat",
    "yang_magnetization",
]
