"""xoroshiro128++ 1.0, one generator a lane (Blackman and Vigna, ACM Trans. Math. Softw. 47, 36, 2021).

The bit-sliced kernels use each of the 64 output bits as a stream of its own, so every bit must be strong.  The
"++" scrambler makes all of them nonlinear in the state; with "+" the low bit would be a plain shift register.
"""

import numpy as np

from ising_mc.kernels._jit import jit_inline

_17, _21, _28, _49 = np.uint64(17), np.uint64(21), np.uint64(28), np.uint64(49)
_47, _36, _15 = np.uint64(47), np.uint64(36), np.uint64(15)


@jit_inline
def next_bits(a, b):
    """64 random bits from the state (a, b), and the state after: (bits, a, b), all uint64."""
    total = a + b
    bits = ((total << _17) | (total >> _47)) + a
    b ^= a
    a = ((a << _49) | (a >> _15)) ^ b ^ (b << _21)
    b = (b << _28) | (b >> _36)
    return bits, a, b
