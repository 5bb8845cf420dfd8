"""Bit-sliced random decisions: 64 lanes a word, each lane with its own probability and its own random bits.

A lane is accepted when its uniform number u falls below its threshold t, both read as binary fractions of
`THRESHOLD_BITS` bits.  The first `ROUNDS` bits are compared for a whole block of words in loops that vectorise;
the few lanes whose bits all agree so far (2**-ROUNDS of them) are then decided in groups of eight words, so that
the probabilities are exact to 2**-62.

The comparison runs from the last of these bits to the first, because then one step is just: where the bits of u
and t differ, this bit decides (u < t if t has the 1), elsewhere the verdict of the bits behind it stands.

All operands of a block stand in one flat scratch array at compile-time offsets (`scratch[SECTION + lane word]`):
only so can LLVM prove that they do not overlap, and vectorise.
"""

import numpy as np

from ising_mc.kernels._jit import jit, jit_inline
from ising_mc.kernels.xoroshiro import next_bits

BLOCK = 128  # words side by side
ROUNDS = 12  # even: the loops below take two bits at a time
THRESHOLD_BITS = 62

# Sections of the scratch array, BLOCK words each; the random states live here between calls.  They are unsigned, as
# is every index below, because only an index that cannot be negative lets LLVM vectorise without a test for it.
STATE_A, STATE_B, FLIP, COIN, NEED, OPEN, BELOW, CLASS_0, CLASS_1, CLASS_2, CLASS_3, CLASS_4 = (
    np.uint64(section * BLOCK) for section in range(12)
)
# FLIP: what to flip; set beforehand where that is certain, or where u >= t is to flip, and turned by the verdict;
# COIN: lanes that flip with probability 1/2;  NEED: lanes that need a verdict;  OPEN: lanes without one as yet;
# BELOW: the verdict u < t;  CLASS_m: lanes of threshold class m
SCRATCH_WORDS = 12 * BLOCK

ZERO = np.uint64(0)
GROUP = np.uint64(8)  # words that are settled together


@jit_inline
def _compare(bits, t, below, undecided):
    differ = bits ^ t
    return (differ & t) | (~differ & below), undecided & ~differ


@jit_inline
def _digits(thresholds, k):
    """Bit k of the thresholds of four classes: of class 0, and where the others differ from it."""
    t0 = thresholds[0, k]
    return t0, t0 ^ thresholds[1, k], t0 ^ thresholds[2, k], t0 ^ thresholds[3, k]


@jit_inline
def _choose(scratch, j, digits, classes):
    """That bit for each lane of word j; lanes of none of the classes 1 ... classes - 1 belong to class 0."""
    t = digits[0]
    if classes > 1:
        t ^= scratch[CLASS_1 + j] & digits[1]
    if classes > 2:
        t ^= scratch[CLASS_2 + j] & digits[2]
    if classes > 3:
        t ^= scratch[CLASS_3 + j] & digits[3]
    return t


@jit_inline
def _two_bits(scratch, thresholds, k, words, classes, first, last):
    """Take bits k + 1 and k into account; two bits a pass halve the loads and stores."""
    later, earlier = _digits(thresholds, k + 1), _digits(thresholds, k)
    for j in range(words):
        below, undecided = (ZERO, scratch[NEED + j]) if first else (scratch[BELOW + j], scratch[OPEN + j])
        bits, a, b = next_bits(scratch[STATE_A + j], scratch[STATE_B + j])
        below, undecided = _compare(bits, _choose(scratch, j, later, classes), below, undecided)
        bits, a, b = next_bits(a, b)
        below, undecided = _compare(bits, _choose(scratch, j, earlier, classes), below, undecided)
        scratch[STATE_A + j], scratch[STATE_B + j] = a, b
        scratch[OPEN + j] = undecided
        if last:
            scratch[FLIP + j] ^= below & scratch[NEED + j]
        else:
            scratch[BELOW + j] = below


@jit_inline
def compare(scratch, thresholds, words, classes):
    """Decide u < t for the NEED lanes of `words` words (a multiple of 8), each in one of 1 to 4 classes (a literal).

    thresholds: four rows at least.
    """
    _two_bits(scratch, thresholds, ROUNDS - 2, words, classes, True, False)
    for k in range(ROUNDS - 4, 0, -2):
        _two_bits(scratch, thresholds, k, words, classes, False, False)
    _two_bits(scratch, thresholds, 0, words, classes, False, True)


@jit
def compare_2(scratch, thresholds, words):
    """`compare` with two classes."""
    compare(scratch, thresholds, words, 2)


@jit
def compare_3(scratch, thresholds, words):
    """`compare` with three classes."""
    compare(scratch, thresholds, words, 3)


@jit
def compare_4(scratch, thresholds, words):
    """`compare` with four classes."""
    compare(scratch, thresholds, words, 4)


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
    for j in range(words):
        scratch[FLIP + j] ^= scratch[BELOW + j] & scratch[NEED + j]


@jit_inline
def toss_coins(scratch, words):
    """Flip the COIN lanes of `words` words with probability 1/2."""
    for j in range(words):
        bits, a, b = next_bits(scratch[STATE_A + j], scratch[STATE_B + j])
        scratch[FLIP + j] ^= bits & scratch[COIN + j]
        scratch[STATE_A + j], scratch[STATE_B + j] = a, b


@jit_inline
def settle(scratch, thresholds, classes, words):
    """Decide what the rounds left open in `words` words (a multiple of 8), two bits a pass, to the last if need be.

    classes: 2 to 5, a literal.
    """
    for first in range(ZERO, words, GROUP):
        anything = ZERO
        for j in range(first, first + GROUP):
            anything |= scratch[OPEN + j]
        k = ROUNDS
        while anything != ZERO and k < THRESHOLD_BITS:
            if classes == 5:
                anything = _settle_5(scratch, thresholds, first, k)
            elif classes == 4:
                anything = _settle_4(scratch, thresholds, first, k)
            elif classes == 3:
                anything = _settle_3(scratch, thresholds, first, k)
            else:
                anything = _settle_2(scratch, thresholds, first, k)
            k += 2


@jit_inline
def _settle_few(scratch, thresholds, first, k, classes):
    """Compare bits k and k + 1 of the open lanes of a group; all the lanes still open, in one word."""
    later, earlier = _digits(thresholds, k + 1), _digits(thresholds, k)
    anything = ZERO
    for j in range(first, first + GROUP):
        undecided = scratch[OPEN + j]
        bits, a, b = next_bits(scratch[STATE_A + j], scratch[STATE_B + j])
        below, still = _compare(bits, _choose(scratch, j, later, classes), ZERO, undecided)
        bits, a, b = next_bits(a, b)
        below, still = _compare(bits, _choose(scratch, j, earlier, classes), below, still)
        scratch[FLIP + j] ^= below & undecided
        scratch[STATE_A + j], scratch[STATE_B + j], scratch[OPEN + j] = a, b, still
        anything |= still
    return anything


@jit
def _settle_2(scratch, thresholds, first, k):
    """`_settle_few` with two classes."""
    return _settle_few(scratch, thresholds, first, k, 2)


@jit
def _settle_3(scratch, thresholds, first, k):
    """`_settle_few` with three classes."""
    return _settle_few(scratch, thresholds, first, k, 3)


@jit
def _settle_4(scratch, thresholds, first, k):
    """`_settle_few` with four classes."""
    return _settle_few(scratch, thresholds, first, k, 4)


@jit
def _settle_5(scratch, thresholds, first, k):
    """The same with five classes, each with a mask of its own."""
    anything = ZERO
    for j in range(first, first + GROUP):
        undecided = scratch[OPEN + j]
        bits, a, b = next_bits(scratch[STATE_A + j], scratch[STATE_B + j])
        below, still = _compare(bits, _threshold_5(scratch, thresholds, j, k + 1), ZERO, undecided)
        bits, a, b = next_bits(a, b)
        below, still = _compare(bits, _threshold_5(scratch, thresholds, j, k), below, still)
        scratch[FLIP + j] ^= below & undecided
        scratch[STATE_A + j], scratch[STATE_B + j], scratch[OPEN + j] = a, b, still
        anything |= still
    return anything


@jit_inline
def _threshold_5(scratch, thresholds, j, k):
    """Bit k of the threshold of each lane of word j."""
    t = (scratch[CLASS_0 + j] & thresholds[0, k]) | (scratch[CLASS_1 + j] & thresholds[1, k])
    t |= (scratch[CLASS_2 + j] & thresholds[2, k]) | (scratch[CLASS_3 + j] & thresholds[3, k])
    return t | (scratch[CLASS_4 + j] & thresholds[4, k])
