"""Bit-sliced counters: how many of many words have bit b set, for all 64 bits b at once.

A counter keeps `SLOTS` slots side by side; slot j counts in the words counter[k * SLOTS + j], which hold the 2**k
digit of 64 lanes.  Words are taken in through carry-save adders, which turn three words of one weight into one of
the same and one of twice the weight (Harley and Seal; Warren, Hacker's Delight, 2nd ed., section 5-1).  A carry
waits (PENDING) until a second one of its weight comes, so that the higher levels are touched ever more rarely.

Two counters stand in one array, for unsatisfied bonds and for up spins; `at` is the index where one begins.
"""

import numpy as np

from ising_mc.kernels._jit import jit_inline
from ising_mc.kernels.bernoulli import ZERO

SLOTS = 64
LEVELS = 32
CARRY = np.uint64(LEVELS * SLOTS)
PENDING = np.uint64((LEVELS + 1) * SLOTS)
COUNTER_WORDS = (2 * LEVELS + 1) * SLOTS
BONDS, UPS = np.uint64(0), np.uint64(COUNTER_WORDS)
WIDTH = np.uint64(SLOTS)
ONE, TWO, THREE = (np.uint64(n) for n in (1, 2, 3))


@jit_inline
def carry_save(x, y, z):
    """The sum x + y + z of three bits a lane: (its 1 digit, its 2 digit)."""
    half = x ^ y
    return half ^ z, ((x ^ z) & ~half) ^ z  # x where x and y agree, else z; in this form LLVM sees one operation


@jit_inline
def take_carry(counter, at, words, level, earlier):
    """Take in the words of weight 2**level that stand in the CARRY section, after `earlier` ones of that weight."""
    while earlier & 1:
        digit, pending = at + np.uint64(level * SLOTS), at + PENDING + np.uint64(level * SLOTS)
        for j in range(words):
            one, two = carry_save(counter[digit + j], counter[pending + j], counter[at + CARRY + j])
            counter[digit + j], counter[at + CARRY + j] = one, two
        earlier >>= 1
        level += 1
    pending = at + PENDING + np.uint64(level * SLOTS)
    for j in range(words):
        counter[pending + j] = counter[at + CARRY + j]


@jit_inline
def totals(counter, at, width, level, taken, out):
    """Add up the first `width` slots into out[lane] (64 integers), and clear the counter.

    level, taken: where `take_carry` came in, and how many carries it took.
    """
    levels = level
    while taken >> (levels - level):
        if not (taken >> (levels - level)) & 1:  # what stands there was taken up long ago
            counter[at + PENDING + np.uint64(levels * SLOTS) :][:SLOTS] = ZERO
        levels += 1
    levels = _add_slots(counter, at, width, levels)
    for lane in range(np.uint64(64)):
        counter[at + CARRY + lane] = ZERO
    for k in range(np.uint64(levels)):
        digit = counter[at + k * WIDTH]
        for lane in range(np.uint64(64)):
            counter[at + CARRY + lane] |= ((digit >> lane) & ONE) << k
    for lane in range(64):
        out[lane] = counter[at + CARRY + np.uint64(lane)]
    for k in range(np.uint64(levels)):
        for j in range(width):
            counter[at + k * WIDTH + j] = ZERO
            counter[at + PENDING + k * WIDTH + j] = ZERO


@jit_inline
def _add_slots(counter, at, width, levels):
    """Add slots and pending carries into slot 0, halving their number; the number of levels after that.

    The widths are written out, because only a loop of known length is worth vectorising here.
    """
    if width > np.uint64(32):
        _fold(counter, at, at + PENDING, levels, 64)
        _fold(counter, at, at + np.uint64(32), levels + 1, 32)
        levels += 2
    else:
        _fold(counter, at, at + PENDING, levels, 32)
        levels += 1
    if width > np.uint64(16):
        _fold(counter, at, at + np.uint64(16), levels, 16)
        levels += 1
    _fold(counter, at, at + np.uint64(8), levels, 8)
    _fold(counter, at, at + np.uint64(4), levels + 1, 4)
    _fold(counter, at, at + np.uint64(2), levels + 2, 2)
    _fold(counter, at, at + np.uint64(1), levels + 3, 1)
    return levels + 4


@jit_inline
def _fold(counter, at, other, levels, width):
    """Add `width` slots that begin at index `other` to the first ones; the last carry opens a new level."""
    carry = at + CARRY
    for j in range(np.uint64(width)):
        counter[carry + j] = ZERO
    for k in range(np.uint64(levels)):
        digits = k * WIDTH
        for j in range(np.uint64(width)):
            one, two = carry_save(counter[at + digits + j], counter[other + digits + j], counter[carry + j])
            counter[at + digits + j], counter[carry + j] = one, two
    top = at + np.uint64(levels * SLOTS)
    for j in range(np.uint64(width)):
        counter[top + j] = counter[carry + j]
