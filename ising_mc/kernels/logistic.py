"""Metropolis and heat-bath decisions for 64 lanes (replicas) at once, from a local field of 32 bits in each lane.

Spins are bits (bit b of a word: replica b, 1 for s = +1), local fields |f| < 2**29 are whole numbers of a unit u, and
turning s costs the energy 2 u s f.  A lane turns with probability exp(-x) (Metropolis; 1 if x <= 0) or 1/(1 + exp(x))
(heat bath), x = 2 u s f / T, at a temperature of its own.

*Exponential.*  exp(-x) = 2**n 2**r with n whole and |r| <= 1/2, r without rounding of the product (Cody and Waite;
Muller, Elementary Functions, 3rd ed., ch. 11), 2**r by a minimax polynomial.  The relative error of the probability is
below 2e-7 for all x; where exp(-x) < 2**-60 it stays at a value between 2**-120 and 2**-60, which never happens.

*Decision.*  A lane turns when its uniform number falls below the probability.  Its first 16 bits decide but for one
case in 65536: those lanes get 64 bits more, one lane at a time, so that probabilities are exact to 2**-80.

All operands stand in one flat scratch array at compile-time offsets (`lanes[SECTION + lane]`), and the loops have a
length known to the compiler: only so does LLVM vectorise them.  numba widens every sum of 32-bit integers to 64; the
conversions below take it back.  Words are taken in halves of 32 bits, as wide as the fields, for the same reason.
"""

import numpy as np
from numba import types
from numba.extending import intrinsic

from ising_mc.kernels._jit import jit, jit_inline
from ising_mc.kernels.xoroshiro import next_bits

LANES = 64
GENERATORS = np.uint64(32)  # side by side; each gives two lanes 32 bits, which serve two sites
ZERO, ONE = np.uint64(0), np.uint64(1)
_32 = np.uint64(32)

# The scratch array as 64-bit words: two words of state a generator, then what they drew.
STATE_A, STATE_B, DRAWN = ZERO, GENERATORS, np.uint64(2) * GENERATORS
STATE_WORDS = 64
# The same memory as 32-bit integers, one a lane.
RANDOM, FIELD, COST, BILL, LIMIT, SCALE, SCALE_LOW = (np.uint64(start) for start in range(128, 576, 64))
# RANDOM: 32 bits of a lane;  FIELD: local fields f;  COST: s f, half of what turning costs;  LIMIT: costs beyond it
# count as it;  SCALE, SCALE_LOW: the sum of these float32 is -2 u / (T ln 2) (Metropolis) or 2 u / (T ln 2) (heat bath)
SCRATCH_WORDS = 288
BILLS = np.uint64(4)  # costs that an int32 can add up, as |f| < 2**29

# n + SHIFT holds n in its lowest bits; adding and taking away SHIFT rounds to a whole number
SHIFT = np.float32(1.5 * 2**23)
_1 = np.float32(1.0)
_2_16 = np.float32(65536.0)
# 2**r = 1 + C1 r + ... + C6 r**6 on [-1/2, 1/2]: relative error 2e-9 before rounding
C1, C2, C3 = np.float32(0.6931471824645996), np.float32(0.24022647738456726), np.float32(0.055503323674201965)
C4, C5, C6 = np.float32(0.009618437848985195), np.float32(0.0013398938945), np.float32(0.00015353311027865857)


@intrinsic
def fma(typing_context, x, y, z):
    """The float32 number x y + z, rounded once."""
    number = types.float32

    def generate(context, builder, signature, arguments):
        return builder.fma(*arguments)

    return number(number, number, number), generate


@jit_inline
def power_of_two(cost, scale, scale_low):
    """2**(cost * (scale + scale_low)) for an int32 cost, where that lies between 2**-125 and 2**125."""
    high = np.float32(cost)
    rest = np.float32(np.int32(cost - np.int32(high)))  # a float32 holds 24 bits
    shifted = fma(high, scale, SHIFT)
    n = shifted - SHIFT
    r = fma(high, scale, -n)
    r = fma(high, scale_low, r)
    r = fma(rest, scale, r)
    p = fma(C6, r, C5)
    p = fma(p, r, C4)
    p = fma(p, r, C3)
    p = fma(p, r, C2)
    p = fma(p, r, C1)
    p = fma(p, r, _1)
    exponent = np.int32(np.float32(shifted).view(np.int32) << 23)
    return np.int32(np.float32(p).view(np.int32) + exponent).view(np.float32)


@jit_inline
def threshold(cost, limit, scale, scale_low, heat_bath):
    """2**16 times the probability that a lane turns."""
    cost = min(cost, limit)
    if heat_bath:
        cost = max(cost, np.int32(-limit))
        return _2_16 / (_1 + power_of_two(cost, scale, scale_low))
    return _2_16 * power_of_two(max(cost, np.int32(0)), scale, scale_low)


@jit_inline
def _lane(lanes, k, up, heat_bath):
    """What turning costs lane k, in 2 u, and its threshold."""
    field = lanes[FIELD + k]
    cost = field if up else np.int32(-field)
    scale, scale_low = np.int32(lanes[SCALE + k]).view(np.float32), np.int32(lanes[SCALE_LOW + k]).view(np.float32)
    return cost, threshold(cost, lanes[LIMIT + k], scale, scale_low, heat_bath)


@jit_inline
def draw(scratch):
    """32 random bits for each lane."""
    for j in range(GENERATORS):
        scratch[DRAWN + j], scratch[STATE_A + j], scratch[STATE_B + j] = next_bits(
            scratch[STATE_A + j], scratch[STATE_B + j]
        )


@jit_inline
def join(low, high):
    """A word from its halves (int32)."""
    return np.uint64(np.uint32(low)) | (np.uint64(np.uint32(high)) << _32)


@jit_inline
def split(word):
    """The halves of a word."""
    return np.int32(word), np.int32(word >> _32)


@jit_inline
def _compare(lanes, first, spins, shift, heat_bath):
    """Decide 32 lanes: (turned, undecided), halves of words; fill in their costs."""
    turned, undecided = np.int32(0), np.int32(0)
    for k in range(_32):
        bit = np.int32(ONE << k)
        cost, t = _lane(lanes, first + k, np.int32(spins & bit) != 0, heat_bath)
        whole = np.int32(t)
        bits = np.int32((np.uint32(lanes[RANDOM + first + k]) >> shift) & np.uint32(0xFFFF))
        lanes[COST + first + k] = cost
        turned = np.int32(turned | (bit if bits < whole else np.int32(0)))
        undecided = np.int32(undecided | (bit if bits == whole else np.int32(0)))
    return turned, undecided


@jit_inline
def decide(lanes, spins, shift, heat_bath):
    """Decide by 16 of the bits drawn, those from `shift` on: (low half, high half, undecided).

    The halves (int32) of a word tell which lanes turn; the word `undecided` tells which might yet.
    """
    low_spins, high_spins = split(spins)
    low, low_open = _compare(lanes, ZERO, low_spins, shift, heat_bath)
    high, high_open = _compare(lanes, _32, high_spins, shift, heat_bath)
    return low, high, join(low_open, high_open)


@jit
def settle(scratch, lanes, spins, undecided, heat_bath):
    """Decide the undecided lanes by 64 bits more: those that turn."""
    turned = ZERO
    for k in range(np.uint64(LANES)):
        if (undecided >> k) & ONE:
            _, t = _lane(lanes, k, ((spins >> k) & ONE) != ZERO, heat_bath)
            j = k >> ONE  # its own generator
            bits, scratch[STATE_A + j], scratch[STATE_B + j] = next_bits(scratch[STATE_A + j], scratch[STATE_B + j])
            fraction = np.float64(t) - np.floor(np.float64(t))
            if bits < np.uint64(fraction * 2.0**64):
                turned |= ONE << k
    return turned


@jit_inline
def where_up(half, k, value):
    """The int32 value where bit k of half a word is set, otherwise 0."""
    return value if np.int32(half & np.int32(ONE << k)) != 0 else np.int32(0)


@jit_inline
def no_bills(lanes):
    """Clear the BILL section."""
    for k in range(np.uint64(LANES)):
        lanes[BILL + k] = np.int32(0)


@jit_inline
def pay(lanes, low, high):
    """Add the costs of the lanes that turned to the BILL section, which holds `BILLS` such costs."""
    for k in range(_32):
        lanes[BILL + k] = np.int32(lanes[BILL + k] + where_up(low, k, lanes[COST + k]))
        lanes[BILL + _32 + k] = np.int32(lanes[BILL + _32 + k] + where_up(high, k, lanes[COST + _32 + k]))


@jit_inline
def settle_bills(lanes, energy):
    """Move the BILL section to energies of 64 bits, in units of 2 u."""
    for k in range(np.uint64(LANES)):
        energy[k] += np.int64(lanes[BILL + k])
    no_bills(lanes)
