"""Bit-sliced random decisions: 64 lanes a word, each lane with its own probability and its own random bits.

A lane is accepted when its uniform number u falls below its threshold t, both read as binary fractions of
`THRESHOLD_BITS` bits.  The first `ROUNDS` bits are compared for all lanes of a block of words.  One lane in
2**ROUNDS is open after that, and so few are left that up to four words *share* the random words of the next
`SHARED_ROUNDS` bits: in each lane, these serve the one word that is open there, so that still no two decisions see the
same bit.  Where two words are open in one lane, the first shares, the other waits.  Lanes that waited, and those that
are open even now, are settled word by word, bit by bit; so the probabilities are exact to 2**-62.

In each stage the comparison runs from the last bit to the first, because then one step is just: where the bits of u
and t differ, this bit decides (u < t if t has the 1), elsewhere the verdict of the bits behind it stands.

All operands of a block stand in one flat scratch array at compile-time offsets (`scratch[SECTION + lane word]`):
only so can LLVM prove that they do not overlap, and vectorise.
"""

import numpy as np

from ising_mc.kernels._jit import jit, jit_inline
from ising_mc.kernels.xoroshiro import next_bits

BLOCK = 128  # words side by side
SLOTS = np.uint64(32)  # words s, s + SLOTS, s + 2 SLOTS and s + 3 SLOTS share slot s
ROUNDS, SHARED_ROUNDS = 7, 8
PLAIN_ROUNDS = 12  # of kernels where nothing is shared; even: two bits at a time
THRESHOLD_BITS = 62

# Sections of the scratch array, BLOCK words each; the random states live here between calls.  They are unsigned, as
# is every index below, because only an index that cannot be negative lets LLVM vectorise without a test for it.
STATE_A, STATE_B, FLIP, COIN, NEED, OPEN, SHARING, BELOW, CLASS_0, CLASS_1, CLASS_2, CLASS_3, CLASS_4 = (
    np.uint64(section * BLOCK) for section in range(13)
)
# FLIP: what to flip; set beforehand where that is certain, or where u >= t is to flip, and turned by the verdict;
# COIN: lanes that flip with probability 1/2;  NEED: lanes that need a verdict;  OPEN: lanes without one as yet;
# SHARING: those of them that share;  BELOW: the verdict u < t;  CLASS_m: lanes of threshold class m, where those of
# none of the classes 1 to 4 belong to class 0
SHARED = np.uint64(13 * BLOCK)  # the same sections again for the slots, and in place of FLIP:
LEFT = SHARED + FLIP  # lanes that are left to settle, of any word of the slot
SCRATCH_WORDS = 26 * BLOCK

ZERO = np.uint64(0)
ONE, _2, _3, _4 = (np.uint64(n) for n in (1, 2, 3, 4))


@jit_inline
def _compare(a, b, t, below, undecided):
    """Draw one bit more of u, and compare it with that of t: (a, b, below, undecided)."""
    bits, a, b = next_bits(a, b)
    differ = bits ^ t
    return a, b, (differ & t) | (~differ & below), undecided & ~differ


@jit_inline
def _digits(thresholds, k, classes):
    """Bit k of the thresholds: of class 0, and where the others differ from it."""
    t0 = thresholds[0, k]
    t1 = t0 ^ thresholds[1, k] if classes > 1 else ZERO
    t2 = t0 ^ thresholds[2, k] if classes > 2 else ZERO
    t3 = t0 ^ thresholds[3, k] if classes > 3 else ZERO
    t4 = t0 ^ thresholds[4, k] if classes > 4 else ZERO
    return t0, t1, t2, t3, t4


@jit_inline
def _choose(scratch, j, digits, classes):
    """The bit of each lane of word j."""
    t = digits[0]
    if classes > 1:
        t ^= scratch[CLASS_1 + j] & digits[1]
    if classes > 2:
        t ^= scratch[CLASS_2 + j] & digits[2]
    if classes > 3:
        t ^= scratch[CLASS_3 + j] & digits[3]
    if classes > 4:
        t ^= scratch[CLASS_4 + j] & digits[4]
    return t


@jit_inline
def _rounds(scratch, shift, thresholds, k, count, words, classes, first):
    """Take bits k ... k + count - 1 of `words` words, or (shift = SHARED) slots, into account.

    count: 3 or 4, a literal.  Fewer cost more loads and stores; more make a chain of operations so long that the
    processor cannot work on the next words meanwhile.
    """
    last = _digits(thresholds, k + 3, classes) if count > 3 else _digits(thresholds, k, classes)
    third, second = _digits(thresholds, k + 2, classes), _digits(thresholds, k + 1, classes)
    earliest = _digits(thresholds, k, classes)
    for j in range(words):
        at = shift + j
        a, b = scratch[STATE_A + j], scratch[STATE_B + j]
        below, undecided = (ZERO, scratch[NEED + at]) if first else (scratch[BELOW + at], scratch[OPEN + at])
        if count > 3:
            a, b, below, undecided = _compare(a, b, _choose(scratch, at, last, classes), below, undecided)
        a, b, below, undecided = _compare(a, b, _choose(scratch, at, third, classes), below, undecided)
        a, b, below, undecided = _compare(a, b, _choose(scratch, at, second, classes), below, undecided)
        a, b, below, undecided = _compare(a, b, _choose(scratch, at, earliest, classes), below, undecided)
        scratch[STATE_A + j], scratch[STATE_B + j] = a, b
        scratch[BELOW + at], scratch[OPEN + at] = below, undecided


@jit_inline
def _enter(scratch, s, j, taken, classes):
    """Let the open lanes of word j into slot s where it is free: the lanes now taken, and those that must wait."""
    undecided = scratch[OPEN + j]
    sharing = undecided & ~taken
    scratch[SHARING + j] = sharing
    if classes > 1:
        scratch[SHARED + CLASS_1 + s] |= scratch[CLASS_1 + j] & sharing
    if classes > 2:
        scratch[SHARED + CLASS_2 + s] |= scratch[CLASS_2 + j] & sharing
    if classes > 3:
        scratch[SHARED + CLASS_3 + s] |= scratch[CLASS_3 + j] & sharing
    if classes > 4:
        scratch[SHARED + CLASS_4 + s] |= scratch[CLASS_4 + j] & sharing
    return taken | undecided, undecided & taken


@jit_inline
def _fill_slots(scratch, classes, layers):
    """Let `layers` (1 or 4, a literal) words share each slot."""
    for s in range(SLOTS):
        for m in range(1, classes):
            scratch[SHARED + CLASS_0 + np.uint64(m * BLOCK) + s] = ZERO
        taken, waiting = _enter(scratch, s, s, ZERO, classes)
        if layers > 1:
            taken, more = _enter(scratch, s, s + SLOTS, taken, classes)
            waiting |= more
            taken, more = _enter(scratch, s, s + _2 * SLOTS, taken, classes)
            waiting |= more
            taken, more = _enter(scratch, s, s + _3 * SLOTS, taken, classes)
            waiting |= more
        scratch[SHARED + NEED + s] = taken
        scratch[LEFT + s] = waiting


@jit_inline
def _flip(scratch, s, j):
    """Take the verdicts on word j and on its lanes in slot s."""
    shared = scratch[SHARED + BELOW + s] & scratch[SHARING + j]
    scratch[FLIP + j] ^= (scratch[BELOW + j] & scratch[NEED + j]) ^ shared


@jit_inline
def _empty_slots(scratch, layers):
    """Take all verdicts; whether any lane is left."""
    anything = ZERO
    for s in range(SLOTS):
        _flip(scratch, s, s)
        if layers > 1:
            _flip(scratch, s, s + SLOTS)
            _flip(scratch, s, s + _2 * SLOTS)
            _flip(scratch, s, s + _3 * SLOTS)
        left = scratch[LEFT + s] | scratch[SHARED + OPEN + s]
        scratch[LEFT + s] = left
        anything |= left
    return anything != ZERO


@jit
def _settle(scratch, thresholds, layers, classes):
    """Settle all lanes that are left."""
    for s in range(SLOTS):
        if scratch[LEFT + s] != ZERO:
            for j in range(s, s + np.uint64(layers) * SLOTS, SLOTS):
                sharing = scratch[SHARING + j]
                waiting, late = scratch[OPEN + j] & ~sharing, scratch[SHARED + OPEN + s] & sharing
                if waiting != ZERO:
                    _settle_word(scratch, thresholds, j, waiting, ROUNDS, classes)
                if late != ZERO:
                    _settle_word(scratch, thresholds, j, late, ROUNDS + SHARED_ROUNDS, classes)


@jit
def _settle_word(scratch, thresholds, j, undecided, k, classes):
    """Compare bits k, k + 1, ... of the undecided lanes of word j, to the last if need be."""
    a, b = scratch[STATE_A + j], scratch[STATE_B + j]
    while undecided != ZERO and k < THRESHOLD_BITS:
        t = thresholds[0, k]
        for m in range(1, classes):
            t ^= scratch[CLASS_0 + np.uint64(m * BLOCK) + j] & (thresholds[0, k] ^ thresholds[m, k])
        a, b, below, still = _compare(a, b, t, ZERO, undecided)
        scratch[FLIP + j] ^= below & undecided
        undecided, k = still, k + 1
    scratch[STATE_A + j], scratch[STATE_B + j] = a, b


@jit_inline
def _decide(scratch, thresholds, classes, layers):
    """Decide a block of layers * SLOTS words: loops of a length known to the compiler."""
    words = np.uint64(layers) * SLOTS
    _rounds(scratch, ZERO, thresholds, 3, 4, words, classes, True)
    _rounds(scratch, ZERO, thresholds, 0, 3, words, classes, False)
    _fill_slots(scratch, classes, layers)
    _rounds(scratch, SHARED, thresholds, ROUNDS + 4, 4, SLOTS, classes, True)
    _rounds(scratch, SHARED, thresholds, ROUNDS, 4, SLOTS, classes, False)
    if _empty_slots(scratch, layers):
        _settle(scratch, thresholds, layers, classes)


@jit_inline
def decide(scratch, thresholds, words, classes):
    """Decide u < t for the NEED lanes of up to BLOCK words, each in one of `classes` (2 to 5, a literal), into FLIP.

    thresholds: (classes, THRESHOLD_BITS) words, bit k of all lanes, most significant first.
    """
    layers = ONE if words <= SLOTS else _4
    for j in range(words, layers * SLOTS):
        scratch[NEED + j] = ZERO
    if layers == ONE:
        _decide(scratch, thresholds, classes, 1)
    else:
        _decide(scratch, thresholds, classes, 4)


@jit
def decide_2(scratch, thresholds, words):
    """`decide` with two classes."""
    decide(scratch, thresholds, words, 2)


@jit
def decide_3(scratch, thresholds, words):
    """`decide` with three classes."""
    decide(scratch, thresholds, words, 3)


@jit
def decide_4(scratch, thresholds, words):
    """`decide` with four classes."""
    decide(scratch, thresholds, words, 4)


@jit
def decide_5(scratch, thresholds, words):
    """`decide` with five classes."""
    decide(scratch, thresholds, words, 5)


@jit_inline
def toss_coins(scratch, words):
    """Flip the COIN lanes of `words` words with probability 1/2."""
    for j in range(words):
        bits, a, b = next_bits(scratch[STATE_A + j], scratch[STATE_B + j])
        scratch[FLIP + j] ^= bits & scratch[COIN + j]
        scratch[STATE_A + j], scratch[STATE_B + j] = a, b
