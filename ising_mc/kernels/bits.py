"""Bits of a word that are set: how many, and which one is the lowest."""

import numpy as np

from ising_mc.kernels._jit import jit

ONE = np.uint64(1)
_2, _4, _56 = np.uint64(2), np.uint64(4), np.uint64(56)
_01 = np.uint64(0x0101010101010101)
_0F = np.uint64(0x0F0F0F0F0F0F0F0F)
_33 = np.uint64(0x3333333333333333)
_55 = np.uint64(0x5555555555555555)


@jit
def popcount(word):
    """Number of set bits (LLVM recognises this form and takes the processor's instruction)."""
    word -= (word >> ONE) & _55
    word = (word & _33) + ((word >> _2) & _33)
    return (((word + (word >> _4)) & _0F) * _01) >> _56


@jit
def lowest(word):
    """The lowest set bit alone; 0 of 0."""
    return word & (~word + ONE)


@jit
def place(bit):
    """Which bit this is that is set alone, counted from 0; 64 for none."""
    return popcount(bit - ONE)
