"""Bit-sliced random decisions: 64 lanes a word, each lane with its own probability and its own random bits.

A lane is accepted when its uniform number u falls below its threshold t, both read as binary fractions of
`THRESHOLD_BITS` bits: when t has a 1 at the first place where they differ.  Whether u differs from t at a place is as
random as u itself, so that is what the random bits say here, and u need not be known: a 1 means "differs".

The first `ROUNDS` places are looked at for all lanes of a block of words.  One lane in 2**ROUNDS is open after that,
and so few are left that up to four words *share* the random words of the next `SHARED_ROUNDS` places: in each lane,
these serve the one word that is open there, so that still no two decisions see the same bit.  Where two words are open
in one lane, the first shares, the other waits.  Lanes that waited, and those that are open even now, are settled one
by one, each with a random word of its own; so the probabilities are exact to 2**-62.

In each stage the places come last to first, because then one step is just: where u and t differ, this place decides,
elsewhere the verdict of the places behind it stands.

All operands of a block stand in one flat scratch array at compile-time offsets (`scratch[SECTION + lane word]`):
only so can LLVM prove that they do not overlap, and vectorise.
"""

import numpy as np

from ising_mc.kernels._jit import jit, jit_inline
from ising_mc.kernels.bits import lowest, place
from ising_mc.kernels.xoroshiro import next_bits

BLOCK = 128  # words side by side
SLOTS = np.uint64(32)  # words s, s + SLOTS, s + 2 SLOTS and s + 3 SLOTS share slot s
ROUNDS, SHARED_ROUNDS = 7, 8
PLAIN_ROUNDS = 12  # of kernels where nothing is shared; even: two bits at a time
THRESHOLD_BITS = 62

# Sections of the scratch array, BLOCK words each; the random states live here between calls.  They are unsigned, as
# is every index below, because only an index that cannot be negative lets LLVM vectorise without a test for it.
STATE_A, STATE_B, FLIP, COIN, NEED, OPEN, SHARING, BELOW, CLASS_0, CLASS_1, CLASS_2, CLASS_3, CLASS_4, LATE, LEFT = (
    np.uint64(section * BLOCK) for section in range(15)
)
# FLIP: what to flip; set beforehand where that is certain, or where u >= t is to flip, and turned by the verdict;
# COIN: lanes that flip with probability 1/2;  NEED: lanes that need a verdict;  OPEN: lanes without one as yet;
# SHARING: those of them that share;  BELOW: the verdict u < t;  CLASS_m: lanes of threshold class m, where those of
# none of the classes 1 to 4 belong to class 0;  LATE: lanes of a slot that are open still;  LEFT: these and those that
# had to wait
SCRATCH_WORDS = 15 * BLOCK

ZERO = np.uint64(0)
ONE, _2, _3, _4 = (np.uint64(n) for n in (1, 2, 3, 4))


@jit_inline
def _digits(thresholds, k, classes):
    """Digit k of the thresholds: of class 0, and where the others differ from it."""
    t0 = thresholds[0, k]
    t1 = t0 ^ thresholds[1, k] if classes > 1 else ZERO
    t2 = t0 ^ thresholds[2, k] if classes > 2 else ZERO
    t3 = t0 ^ thresholds[3, k] if classes > 3 else ZERO
    t4 = t0 ^ thresholds[4, k] if classes > 4 else ZERO
    return t0, t1, t2, t3, t4


@jit_inline
def _masks(scratch, j, classes):
    """The lanes of word j in classes 1 to 4."""
    c1 = scratch[CLASS_1 + j] if classes > 1 else ZERO
    c2 = scratch[CLASS_2 + j] if classes > 2 else ZERO
    c3 = scratch[CLASS_3 + j] if classes > 3 else ZERO
    c4 = scratch[CLASS_4 + j] if classes > 4 else ZERO
    return c1, c2, c3, c4


@jit_inline
def _compare(state, masks, digits):
    """Draw where u differs from t at one place more, the digits of t at hand: (a, b, below, undecided)."""
    a, b, below, undecided = state
    c1, c2, c3, c4 = masks
    t0, t1, t2, t3, t4 = digits
    t = t0 ^ (c1 & t1) ^ (c2 & t2) ^ (c3 & t3) ^ (c4 & t4)
    differ, a, b = next_bits(a, b)
    return a, b, (differ & t) | (~differ & below), undecided & ~differ


@jit_inline
def _four_digits(thresholds, k, classes):
    """`_digits` k to k + 3; read before a loop, since the compiler cannot know that the loop leaves them alone."""
    one, two = _digits(thresholds, k, classes), _digits(thresholds, k + 1, classes)
    return one, two, _digits(thresholds, k + 2, classes), _digits(thresholds, k + 3, classes)


@jit_inline
def _compare_four(state, masks, digits):
    """`_compare` at four places, the last one first."""
    state = _compare(state, masks, digits[3])
    state = _compare(state, masks, digits[2])
    state = _compare(state, masks, digits[1])
    return _compare(state, masks, digits[0])


@jit_inline
def _first_places(scratch, thresholds, words, classes):
    """The first `ROUNDS` places of `words` words, in two loops.

    A longer chain of operations keeps the processor from working on the next words meanwhile, shorter ones have more
    to load and to store.
    """
    digits = _four_digits(thresholds, 3, classes)
    for j in range(words):
        state = scratch[STATE_A + j], scratch[STATE_B + j], ZERO, scratch[NEED + j]
        a, b, below, undecided = _compare_four(state, _masks(scratch, j, classes), digits)
        scratch[STATE_A + j], scratch[STATE_B + j] = a, b
        scratch[BELOW + j], scratch[OPEN + j] = below, undecided
    digits = _four_digits(thresholds, 0, classes)
    for j in range(words):
        masks = _masks(scratch, j, classes)
        state = scratch[STATE_A + j], scratch[STATE_B + j], scratch[BELOW + j], scratch[OPEN + j]
        state = _compare(state, masks, digits[2])
        state = _compare(state, masks, digits[1])
        a, b, below, undecided = _compare(state, masks, digits[0])
        scratch[STATE_A + j], scratch[STATE_B + j] = a, b
        scratch[BELOW + j], scratch[OPEN + j] = below, undecided


@jit_inline
def _enter(scratch, j, slot, classes):
    """Let the open lanes of word j into a slot where it is free.

    slot: the lanes taken, those that must wait, and the taken ones of classes 1 to 4.
    """
    taken, waiting, c1, c2, c3, c4 = slot
    m1, m2, m3, m4 = _masks(scratch, j, classes)
    undecided = scratch[OPEN + j]
    sharing = undecided & ~taken
    scratch[SHARING + j] = sharing
    c1, c2, c3, c4 = c1 | (m1 & sharing), c2 | (m2 & sharing), c3 | (m3 & sharing), c4 | (m4 & sharing)
    return taken | undecided, waiting | (undecided & taken), c1, c2, c3, c4


@jit_inline
def _flip(scratch, j, shared):
    """Take the verdicts on word j and on its lanes in a slot."""
    scratch[FLIP + j] ^= (scratch[BELOW + j] & scratch[NEED + j]) ^ (shared & scratch[SHARING + j])


@jit_inline
def _shared_places(scratch, thresholds, classes, layers):
    """The next places, for `layers` (1 or 4, a literal) words a slot, and all verdicts; whether any lane is left."""
    earlier, later = _four_digits(thresholds, ROUNDS, classes), _four_digits(thresholds, ROUNDS + 4, classes)
    anything = ZERO
    for s in range(SLOTS):
        taken, waiting, c1, c2, c3, c4 = _enter(scratch, s, (ZERO, ZERO, ZERO, ZERO, ZERO, ZERO), classes)
        if layers > 1:
            slot = _enter(scratch, s + SLOTS, (taken, waiting, c1, c2, c3, c4), classes)
            slot = _enter(scratch, s + _2 * SLOTS, slot, classes)
            taken, waiting, c1, c2, c3, c4 = _enter(scratch, s + _3 * SLOTS, slot, classes)
        state, masks = (scratch[STATE_A + s], scratch[STATE_B + s], ZERO, taken), (c1, c2, c3, c4)
        a, b, below, late = _compare_four(_compare_four(state, masks, later), masks, earlier)
        scratch[STATE_A + s], scratch[STATE_B + s], scratch[LATE + s] = a, b, late
        _flip(scratch, s, below)
        if layers > 1:
            _flip(scratch, s + SLOTS, below)
            _flip(scratch, s + _2 * SLOTS, below)
            _flip(scratch, s + _3 * SLOTS, below)
        scratch[LEFT + s] = waiting | late
        anything |= waiting | late
    return anything != ZERO


@jit
def _settle(scratch, thresholds, layers, classes):
    """Settle all lanes that are left."""
    for s in range(SLOTS):
        if scratch[LEFT + s] != ZERO:
            for j in range(s, s + np.uint64(layers) * SLOTS, SLOTS):
                sharing = scratch[SHARING + j]
                waiting, late = scratch[OPEN + j] & ~sharing, scratch[LATE + s] & sharing
                if waiting != ZERO:
                    _settle_word(scratch, thresholds, j, waiting, ROUNDS, classes)
                if late != ZERO:
                    _settle_word(scratch, thresholds, j, late, ROUNDS + SHARED_ROUNDS, classes)


@jit
def _settle_word(scratch, thresholds, j, undecided, k, classes):
    """Settle the undecided lanes of word j, where u and t agree before place k: each by a random word's lowest 1."""
    a, b = scratch[STATE_A + j], scratch[STATE_B + j]
    while undecided != ZERO:
        lane = lowest(undecided)
        differ, a, b = next_bits(a, b)
        at = np.uint64(k) + place(lowest(differ))
        if at < THRESHOLD_BITS:
            t = thresholds[0, at]
            for m in range(1, classes):
                t ^= scratch[CLASS_0 + np.uint64(m * BLOCK) + j] & (thresholds[0, at] ^ thresholds[m, at])
            scratch[FLIP + j] ^= t & lane
        undecided ^= lane
    scratch[STATE_A + j], scratch[STATE_B + j] = a, b


@jit_inline
def _decide(scratch, thresholds, classes, layers):
    """Decide a block of layers * SLOTS words: loops of a length known to the compiler."""
    _first_places(scratch, thresholds, np.uint64(layers) * SLOTS, classes)
    if _shared_places(scratch, thresholds, classes, layers):
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
