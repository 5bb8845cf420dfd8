"""Bit-sliced decisions for any number of classes of energy changes: many neighbours, several moduli |J|, a field.

The surroundings of a site are the numbers of unsatisfied bonds of each modulus and, in a field, the spin itself: their
binary digits are the *planes*, and together they make the *code* of a lane.  A class is a pair of codes, mirror images
of each other under a flip of the spin: one costs energy, the other gains as much.
"""

import numpy as np

from ising_mc.kernels import bernoulli
from ising_mc.kernels._jit import jit, jit_inline
from ising_mc.kernels.bernoulli import (
    BELOW,
    BLOCK,
    FLIP,
    NEED,
    OPEN,
    PLAIN_ROUNDS,
    STATE_A,
    STATE_B,
    THRESHOLD_BITS,
    ZERO,
)
from ising_mc.kernels.xoroshiro import next_bits

MOST_NEIGHBOURS = 32
MOST_PLANES = 12  # a multiple of 4
MOST_CLASSES = 40  # likewise
ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
GROUP = np.uint64(8)  # words that are settled together
B = np.uint64(BLOCK)
ONE, _2, _3, _4, _5, _6, _7 = (np.uint64(n) for n in (1, 2, 3, 4, 5, 6, 7))
# sections behind those of `bernoulli`: unsatisfied bonds of each direction, planes, classes, and one for a while
UNSATISFIED = np.uint64(bernoulli.SCRATCH_WORDS)
PLANES = np.uint64(bernoulli.SCRATCH_WORDS + MOST_NEIGHBOURS * BLOCK)
CLASSES = np.uint64(bernoulli.SCRATCH_WORDS + (MOST_NEIGHBOURS + MOST_PLANES) * BLOCK)
SPARE = np.uint64(bernoulli.SCRATCH_WORDS + (MOST_NEIGHBOURS + MOST_PLANES + MOST_CLASSES) * BLOCK)
SCRATCH_WORDS = int(SPARE) + BLOCK


@jit
def decide(spins, start, words, degree, moduli, firsts, codes, planes, pattern, thresholds, complement, scratch):
    """What to flip in a block, into FLIP.

    moduli: (patterns, directions), the number of the modulus of each;  firsts: (patterns + 1,), the first class of each
    pattern, in multiples of 4;  codes: (classes, 2), the code that costs energy and its mirror image, -1 for none;
    planes: (patterns, moduli + 2), the first plane of each modulus, then that of the spin, then the number of planes.
    thresholds: (classes, 62);  complement: all ones for the heat bath.
    """
    first, last = firsts[pattern], firsts[pattern + 1]
    own = planes[pattern]
    _fill_planes(spins, start, words, degree, moduli[pattern], own, scratch)
    count = (own[-1] + 3) // 4
    for j in range(words):
        scratch[NEED + j] = ZERO
        scratch[FLIP + j] = ZERO
    for c in range(last - first):
        at = CLASSES + np.uint64(c) * B
        _match(scratch, at, words, codes[first + c, 0], count)
        for j in range(words):
            scratch[NEED + j] |= scratch[at + j]
        if codes[first + c, 1] >= 0:
            _match(scratch, SPARE, words, codes[first + c, 1], count)
            for j in range(words):
                scratch[FLIP + j] |= scratch[SPARE + j]
                scratch[NEED + j] |= scratch[SPARE + j] & complement
                scratch[at + j] |= scratch[SPARE + j] & complement
    padded = np.uint64((words + _7) & ~_7)
    for j in range(words, padded):
        scratch[NEED + j] = ZERO  # fills up the last group of 8
    _compare_many(scratch, thresholds[first:last], padded)
    _settle_many(scratch, thresholds[first:last], padded)


@jit
def _fill_planes(spins, start, words, degree, moduli, planes, scratch):
    """Add up the unsatisfied bonds of each modulus, bit-sliced; the spin comes last."""
    for p in range(np.uint64((planes[-1] + 3) // 4 * 4)):
        for j in range(words):
            scratch[PLANES + p * B + j] = ZERO
    for d in range(np.uint64(degree)):
        for j in range(words):
            scratch[SPARE + j] = scratch[UNSATISFIED + d * B + j]
        for p in range(np.uint64(planes[moduli[d]]), np.uint64(planes[moduli[d] + 1])):
            at = PLANES + p * B
            for j in range(words):
                carry = scratch[at + j] & scratch[SPARE + j]
                scratch[at + j] ^= scratch[SPARE + j]
                scratch[SPARE + j] = carry
    if planes[-1] > planes[-2]:
        at = PLANES + np.uint64(planes[-2]) * B
        for j in range(words):
            scratch[at + j] = spins[start + j]


@jit
def _match(scratch, to, words, code, fours):
    """Lanes with this code, into section `to`; code: its digits, -1 for a code that nothing has."""
    everyone = ALL if code >= 0 else ZERO  # an isolated site has no planes, and all lanes match
    for j in range(words):
        scratch[to + j] = everyone
    for q in range(fours if code >= 0 else 0):
        at = PLANES + _4 * np.uint64(q) * B
        bits = np.uint64(code >> (4 * q))
        not_0, not_1 = ALL * (ONE - (bits & ONE)), ALL * (ONE - ((bits >> ONE) & ONE))
        not_2, not_3 = ALL * (ONE - ((bits >> _2) & ONE)), ALL * (ONE - ((bits >> _3) & ONE))
        for j in range(words):
            mask = (scratch[at + j] ^ not_0) & (scratch[at + B + j] ^ not_1)
            mask &= (scratch[at + _2 * B + j] ^ not_2) & (scratch[at + _3 * B + j] ^ not_3)
            scratch[to + j] &= mask


@jit_inline
def _digit(scratch, thresholds, c, j, k):
    """Bit k of the thresholds of the lanes in classes c ... c + 3 of word j."""
    at = CLASSES + np.uint64(c) * B + j
    t = (scratch[at] & thresholds[c, k]) | (scratch[at + B] & thresholds[c + 1, k])
    return t | (scratch[at + _2 * B] & thresholds[c + 2, k]) | (scratch[at + _3 * B] & thresholds[c + 3, k])


@jit
def _compare_many(scratch, thresholds, words):
    """Look at the first places, last one first; classes come in multiples of four, each with a mask of its own."""
    for j in range(words):
        scratch[OPEN + j] = scratch[NEED + j]
        scratch[BELOW + j] = ZERO
    for k in range(PLAIN_ROUNDS - 1, -1, -1):
        for c in range(0, len(thresholds), 4):
            at = CLASSES + np.uint64(c) * B
            t0, t1, t2, t3 = thresholds[c, k], thresholds[c + 1, k], thresholds[c + 2, k], thresholds[c + 3, k]
            for j in range(words):
                t = (scratch[at + j] & t0) | (scratch[at + B + j] & t1)
                t |= (scratch[at + _2 * B + j] & t2) | (scratch[at + _3 * B + j] & t3)
                scratch[SPARE + j] = t if c == 0 else scratch[SPARE + j] | t
        for j in range(words):
            t = scratch[SPARE + j]
            differ, a, b = next_bits(scratch[STATE_A + j], scratch[STATE_B + j])
            scratch[BELOW + j] = (differ & t) | (~differ & scratch[BELOW + j])
            scratch[OPEN + j] &= ~differ
            scratch[STATE_A + j], scratch[STATE_B + j] = a, b
    for j in range(words):
        scratch[FLIP + j] ^= scratch[BELOW + j] & scratch[NEED + j]


@jit
def _settle_many(scratch, thresholds, words):
    """The rest of the places, for the groups of 8 words with lanes that are still open."""
    for first in range(ZERO, words, GROUP):
        for k in range(PLAIN_ROUNDS, THRESHOLD_BITS):
            anything = ZERO
            for j in range(first, first + GROUP):
                anything |= scratch[OPEN + j]
            if anything == ZERO:
                break
            for j in range(first, first + GROUP):
                t = ZERO
                for c in range(0, len(thresholds), 4):
                    t |= _digit(scratch, thresholds, c, j, k)
                differ, a, b = next_bits(scratch[STATE_A + j], scratch[STATE_B + j])
                scratch[FLIP + j] ^= differ & t & scratch[OPEN + j]
                scratch[OPEN + j] &= ~differ
                scratch[STATE_A + j], scratch[STATE_B + j] = a, b


@jit
def tally(scratch, at, words, out):
    """Add to out[lane] how many of up to 255 words from `at` on have the bit of each lane set."""
    p0 = p1 = p2 = p3 = p4 = p5 = p6 = p7 = ZERO
    for j in range(words):
        c = scratch[at + j]
        c, p0 = p0 & c, p0 ^ c
        c, p1 = p1 & c, p1 ^ c
        c, p2 = p2 & c, p2 ^ c
        c, p3 = p3 & c, p3 ^ c
        c, p4 = p4 & c, p4 ^ c
        c, p5 = p5 & c, p5 ^ c
        c, p6 = p6 & c, p6 ^ c
        p7 ^= c
    for lane in range(np.uint64(64)):
        n = ((p0 >> lane) & ONE) | (((p1 >> lane) & ONE) << ONE)
        n |= (((p2 >> lane) & ONE) << _2) | (((p3 >> lane) & ONE) << _3)
        n |= (((p4 >> lane) & ONE) << _4) | (((p5 >> lane) & ONE) << _5)
        n |= (((p6 >> lane) & ONE) << _6) | (((p7 >> lane) & ONE) << _7)
        out[lane] += np.int64(n)
