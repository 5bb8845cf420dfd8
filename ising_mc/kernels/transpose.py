"""From words of 64 replicas to replicas of 64 sites a word, and back."""

import numpy as np

from ising_mc.kernels._jit import jit
from ising_mc.kernels.bernoulli import ZERO

ONE, _32, _64 = np.uint64(1), np.uint64(32), np.uint64(64)


@jit
def transpose(block):
    """Turn 64 words of 64 bits over: bit j of word i becomes bit i of word j (Warren, Hacker's Delight, 7-3)."""
    mask, width = np.uint64(0x00000000FFFFFFFF), _32
    while width != ZERO:
        k = ZERO
        while k < _64:
            for i in range(k, k + width):
                swapped = ((block[i] >> width) ^ block[i + width]) & mask
                block[i] ^= swapped << width
                block[i + width] ^= swapped
            k += width << ONE
        width >>= ONE
        mask ^= mask << width
