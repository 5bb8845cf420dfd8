"""The chain, periodic or open, in a field."""

import numpy as np
from numpy.typing import ArrayLike

from ising_mc.exact.arguments import as_temperatures
from ising_mc.exact.jets import Jet, Thermodynamics, decay, thermodynamics


def chain(T: ArrayLike, n: int, J: float = 1.0, h: float = 0.0, periodic: bool = True) -> Thermodynamics:
    """Exact thermodynamics of a chain of n spins in the field h, from powers of its transfer matrix.

    A periodic chain needs n >= 2 (n = 2 has two bonds), an open one n >= 1. A frustrated chain (periodic,
    odd n, J < 0) underflows below T = |J|/350 or so: ValueError.
    """
    if n < (2 if periodic else 1):
        raise ValueError(f"{'a periodic' if periodic else 'an open'} chain of {n} spins does not exist")
    temperatures = as_temperatures(T)
    beta = 1.0 / temperatures
    h = abs(h)
    # exponents relative to the lowest: no entry exceeds 1, and one of them is 1
    lowest = -max(J + h, -J)
    transfer = tuple(decay(energy - lowest, beta) for energy in (-J - h, J, -J + h))
    if periodic:
        up_up, _, down_down, log_scale = _matrix_power(transfer, n)
        z, ground = up_up + down_down, lowest
    else:
        up_up, up_down, down_down, log_scale = _matrix_power(transfer, n - 1)
        end = decay(h, beta)  # the halves of the field that no bond brings to the two end spins
        z, ground = up_up + (up_down * 2.0 + down_down * end) * end, ((n - 1) * lowest - h) / n
    if np.any(z.value == 0.0):
        raise ValueError(f"T = {temperatures.min():g} is too low for a frustrated chain in double precision")
    return thermodynamics(temperatures, log_scale + z.log(), n, ground)


def _matrix_power(matrix: tuple[Jet, ...], exponent: int) -> tuple[Jet, Jet, Jet, Jet]:
    """Power of the symmetric matrix (a, b; b, d), as a, b, d and the logarithm of a common factor.

    Repeated squaring only adds and multiplies what is positive, so it keeps the digits that the difference of
    nearly equal eigenvalues would lose.
    """
    a, b, d = matrix
    one = Jet(np.ones_like(a.value), np.zeros_like(a.value), np.zeros_like(a.value))
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
