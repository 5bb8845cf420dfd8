"""Bit-sliced random decisions: 64 lanes a word, each lane with its own probability and its own random bits.

A lane is accepted when its uniform number u falls below its threshold t, both read as binary fractions of
`THRESHOLD_BITS` bits.  The first `ROUNDS` bits are compared for a whole block of words in loops that vectorise;
the few lanes whose bits all agree so far (2**-ROUNDS of them) are decided one word at a time, so that the
probabilities are exact to 2**-62.

The comparison runs from the last of these bits to the first, because then one step is just: where the bits of u
and t differ, this bit decides (u < t if t has the 1), elsewhere the verdict of the bits behind it stands.

All operands of a block stand in one flat scratch array at compile-time offsets (`scratch[SECTION + lane word]`):
only so can LLVM prove that they do not overlap, and vectorise.
"""

import numpy as np

from ising_mc.kernels._jit import jit
from ising_mc.kernels.xoroshiro import next_bits

BLOCK = 64  # words side by side
ROUNDS = 12  # even: the loops below take two bits at a time
THRESHOLD_BITS = 62

# Sections of the scratch array, BLOCK words each; the random states live here between calls.  They are unsigned, as
# is every index below, because only an index that cannot be negative lets LLVM vectorise without a test for it.
STATE_A, STATE_B, BASE, COIN, NEED, OPEN, BELOW, CLASS_0, CLASS_1, CLASS_2, CLASS_3, CLASS_4 = (
    np.uint64(section * BLOCK) for section in range(12)
)
# BASE: flip = verdict ^ BASE, for certain flips, or lanes that flip with 1 - t;  COIN: flip with probability 1/2;
# NEED: lanes that need a verdict;  OPEN: still undecided;  BELOW: the verdict u < t;  CLASS_m: threshold class m
SCRATCH_WORDS = 12 * BLOCK

ZERO = np.uint64(0)


@jit
def _compare(bits, t, below, undecided):
    differ = bits ^ t
    return (differ & t) | (~differ & below), undecided & ~differ


@jit
def _two_bits(scratch, thresholds, k, words, first):
    """Take bits k + 1 and k into account; two bits a pass halve the loads and stores."""
    t0, t1 = thresholds[0, k + 1], thresholds[1, k + 1]
    t2, t3 = thresholds[0, k], thresholds[1, k]
    for j in range(words):
        second = scratch[CLASS_1 + j]
        below, undecided = (ZERO, scratch[NEED + j]) if first else (scratch[BELOW + j], scratch[OPEN + j])
        bits, a, b = next_bits(scratch[STATE_A + j], scratch[STATE_B + j])
        below, undecided = _compare(bits, (second & t1) | (~second & t0), below, undecided)
        bits, a, b = next_bits(a, b)
        below, undecided = _compare(bits, (second & t3) | (~second & t2), below, undecided)
        scratch[BELOW + j], scratch[OPEN + j] = below, undecided
        scratch[STATE_A + j], scratch[STATE_B + j] = a, b


@jit
def compare_2(scratch, thresholds, words):
    """Decide u < t for the NEED lanes of `words` words (a multiple of 8); lanes not in class 1 belong to class 0."""
    _two_bits(scratch, thresholds, ROUNDS - 2, words, True)
    for k in range(ROUNDS - 4, -1, -2):
        _two_bits(scratch, thresholds, k, words, False)


@jit
def compare_5(scratch, thresholds, words):
    """Decide u < t for the NEED lanes of `words` words (a multiple of 8), each lane in one of five classes."""
    for j in range(words):
        scratch[OPEN + j], scratch[BELOW + j] = scratch[NEED + j], ZERO
    for k in range(ROUNDS - 1, -1, -1):
        t0, t1, t2 = thresholds[0, k], thresholds[1, k], thresholds[2, k]
        t3, t4 = thresholds[3, k], thresholds[4, k]
        for j in range(words):
            t = (scratch[CLASS_0 + j] & t0) | (scratch[CLASS_1 + j] & t1)
            t |= (scratch[CLASS_2 + j] & t2) | (scratch[CLASS_3 + j] & t3)
            t |= scratch[CLASS_4 + j] & t4
            bits, a, b = next_bits(scratch[STATE_A + j], scratch[STATE_B + j])
            below, undecided = _compare(bits, t, scratch[BELOW + j], scratch[OPEN + j])
            scratch[STATE_A + j], scratch[STATE_B + j] = a, b
            scratch[BELOW + j], scratch[OPEN + j] = below, undecided


@jit
def toss_coins(scratch, words):
    """Flip the COIN lanes of `words` words with probability 1/2."""
    for j in range(words):
        bits, a, b = next_bits(scratch[STATE_A + j], scratch[STATE_B + j])
        scratch[BASE + j] ^= bits & scratch[COIN + j]
        scratch[STATE_A + j], scratch[STATE_B + j] = a, b


@jit
def settle(scratch, thresholds, classes, words):
    """Decide what the rounds left open in the first `words` words."""
    eight = np.uint64(8)
    for first in range(np.uint64(0), words, eight):
        anything = ZERO
        for j in range(first, first + eight):
            anything |= scratch[OPEN + j]
        if anything != ZERO:
            for j in range(first, min(first + eight, words)):
                if scratch[OPEN + j] != ZERO:
                    _settle_word(scratch, thresholds, classes, j)


@jit
def _settle_word(scratch, thresholds, classes, j):
    """Compare the open lanes of one word bit by bit, to the last if need be."""
    undecided, a, b = scratch[OPEN + j], scratch[STATE_A + j], scratch[STATE_B + j]
    k = ROUNDS
    while undecided != ZERO and k < THRESHOLD_BITS:
        t = ZERO
        for m in range(classes):
            t |= scratch[CLASS_0 + np.uint64(m * BLOCK) + j] & thresholds[m, k]
        bits, a, b = next_bits(a, b)
        differ = bits ^ t
        scratch[BELOW + j] |= undecided & differ & t
        undecided &= ~differ
        k += 1
    scratch[STATE_A + j], scratch[STATE_B + j] = a, b
