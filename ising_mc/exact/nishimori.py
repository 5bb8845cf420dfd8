"""The Nishimori line of the +-J model: H. Nishimori, Prog. Theor. Phys. 66, 1169 (1981)."""

import math


def nishimori_temperature(p: float, J: float = 1.0) -> float:
    """Temperature of the Nishimori line where a share p of the bonds has +J: exp(-2J/T) = (1 - p) / p.

    Raises ValueError unless 1/2 < p < 1 (the line reaches T = 0 at p = 1 and T = inf at p = 1/2) and J > 0.
    """
    if not 0.5 < p < 1.0:
        raise ValueError(f"the Nishimori line goes from p = 1/2 to p = 1, both excluded, not to p = {p:g}")
    if not 0.0 < J < math.inf:
        raise ValueError(f"the Nishimori line needs a positive modulus J of the couplings, not {J:g}")
    return 2.0 * J / math.log(p / (1.0 - p))


def nishimori_energy_per_bond(p: float, J: float = 1.0) -> float:
    """Energy per bond on that line without a field, averaged over the disorder: -J tanh(J/T) = -J (2p - 1).

    Exact on every lattice or graph, also a finite one with each bond of sign + with probability p, independently.
    Raises ValueError as `nishimori_temperature` does.
    """
    return -J * math.tanh(J / nishimori_temperature(p, J))
