"""The periodic square lattice, 64 spins a word: local updates and the counting of energy and magnetization.

Two ways to fill the words, one code.  *Replica-packed*: bit b of word (r, c) is site (r, c) of replica b.
*Site-packed* (one big lattice; Isakov et al., arXiv:1401.1084 call it multi-spin coding): bit b of word (r, c) is
row r + b*H of one lattice of 64*H rows, so that only the vertical wrap differs: there the words rotate by one bit
(`twist` = 1 instead of 0).

Memory: row r keeps its even columns and its odd columns apart, so that the sites updated together are neighbours in
memory and so are their neighbours.  Rows -1 and H hold copies of the rows that they stand for, and so do the words
before and after each half row::

    row r, even columns:  x=0  x=2  x=4 ...  [x=0]
    row r, odd columns:  [x=L-1]  x=1  x=3 ...

A geometry is the tuple (rows, columns, pitch, twist): rows and columns of words, words from one half row to the next.
Even sides are updated in checkerboard order.  With an odd side no checkerboard exists: then rows go one after the
other, in each row first the even columns (but the last, which touches the first), then the odd ones, then the last.
"""

import numpy as np

from ising_mc.kernels._jit import jit, jit_inline
from ising_mc.kernels.bernoulli import (
    BLOCK,
    CLASS_1,
    CLASS_2,
    CLASS_3,
    CLASS_4,
    COIN,
    FLIP,
    NEED,
    ZERO,
    decide_2,
    decide_5,
    toss_coins,
)
from ising_mc.kernels.counting import BONDS, CARRY, SLOTS, TWO, UPS, WIDTH, carry_save, take_carry, totals

PAD = 8  # words before a half row: room for the copy on the left, and 64-byte alignment
ONE = np.uint64(1)
_63 = np.uint64(63)
ALL = np.uint64(0xFFFFFFFFFFFFFFFF)


@jit_inline
def half_row(geometry, row, parity):
    """Index of column `parity` of a row (-1 <= row <= rows)."""
    return (2 * (row + 1) + parity) * geometry[2] + PAD


@jit_inline
def refresh_copies(spins, geometry, row, parity):
    """Renew what was copied from a half row, after it changed."""
    rows, columns, _, twist = geometry
    even, odd = half_row(geometry, row, 0), half_row(geometry, row, 1)
    half = columns // 2
    if columns % 2 == 1:
        if parity == 0:
            spins[odd - 1] = spins[even + half]
            spins[odd + half] = spins[even]
    elif parity == 0:
        spins[even + half] = spins[even]
    else:
        spins[odd - 1] = spins[odd + half - 1]
    source = half_row(geometry, row, parity)
    length = (columns + 1 - parity) // 2
    turn = np.uint64(twist)
    back = (np.uint64(64) - turn) & _63
    if row == 0:
        target = half_row(geometry, rows, parity)
        for i in range(length):
            spins[target + i] = (spins[source + i] >> turn) | (spins[source + i] << back)
    if row == rows - 1:
        target = half_row(geometry, -1, parity)
        for i in range(length):
            spins[target + i] = (spins[source + i] << turn) | (spins[source + i] >> back)


@jit_inline
def _unsatisfied(spins, site, side, up, down, sign):
    """Bit-sliced number (ones, twos, fours) of unsatisfied bonds; the neighbours in the row are side, side + 1."""
    spin = spins[site] ^ sign
    w, x, y, z = spin ^ spins[side], spin ^ spins[side + ONE], spin ^ spins[up], spin ^ spins[down]
    sum_1, carry_1 = w ^ x, w & x
    sum_2, carry_2 = y ^ z, y & z
    carry_3 = sum_1 & sum_2
    return sum_1 ^ sum_2, carry_1 ^ carry_2 ^ carry_3, carry_1 & carry_2


@jit_inline
def classify_metropolis(scratch, at, spins, site, side, up, down, words, sign):
    """Sort lanes by energy change, no field: class 0 costs 8|J|, class 1 costs 4|J|; the others flip."""
    for i in range(words):
        j = at + i
        ones, twos, fours = _unsatisfied(spins, site + i, side + i, up + i, down + i, sign)
        need = ~(twos | fours)
        scratch[CLASS_1 + j] = ones & need
        scratch[NEED + j] = need
        scratch[FLIP + j] = ~need


@jit_inline
def classify_heat_bath(scratch, at, spins, site, side, up, down, words, sign):
    """Sort lanes by energy change, no field: class 0 costs or gains 8|J|, class 1 4|J|, COIN nothing."""
    for i in range(words):
        j = at + i
        ones, twos, fours = _unsatisfied(spins, site + i, side + i, up + i, down + i, sign)
        coin = twos & ~ones
        scratch[CLASS_1 + j] = ones
        scratch[NEED + j] = ~coin
        scratch[COIN + j] = coin
        scratch[FLIP + j] = (ones & twos) | fours


@jit
def classify_field(scratch, at, spins, site, side, up, down, words, sign, heat_bath, up_costs):
    """Sort lanes by energy change in a field.

    Class m holds the up spins with m unsatisfied bonds and their mirror image, the down spins with 4 - m.  One of
    the two costs energy, the other gains as much; up_costs[m] is all ones where the up spins are the costly ones.
    """
    complement = ALL if heat_bath else ZERO
    c0, c1, c2, c3, c4 = up_costs[0], up_costs[1], up_costs[2], up_costs[3], up_costs[4]
    for i in range(words):
        j = at + i
        ones, twos, fours = _unsatisfied(spins, site + i, side + i, up + i, down + i, sign)
        none, one = ~(ones | twos | fours), ones & ~twos
        two, three = twos & ~ones, ones & twos
        is_up = spins[site + i]
        _, gain_0 = _costs_and_gains(is_up & none, ~is_up & fours, c0)
        cost_1, gain_1 = _costs_and_gains(is_up & one, ~is_up & three, c1)
        cost_2, gain_2 = _costs_and_gains(is_up & two, ~is_up & two, c2)
        cost_3, gain_3 = _costs_and_gains(is_up & three, ~is_up & one, c3)
        cost_4, gain_4 = _costs_and_gains(is_up & fours, ~is_up & none, c4)
        gain = gain_0 | gain_1 | gain_2 | gain_3 | gain_4
        scratch[CLASS_1 + j] = cost_1 | (gain_1 & complement)
        scratch[CLASS_2 + j] = cost_2 | (gain_2 & complement)
        scratch[CLASS_3 + j] = cost_3 | (gain_3 & complement)
        scratch[CLASS_4 + j] = cost_4 | (gain_4 & complement)
        scratch[NEED + j] = ~gain | complement
        scratch[FLIP + j] = gain


@jit
def _costs_and_gains(up, down, up_costs):
    return (up & up_costs) | (down & ~up_costs), (down & up_costs) | (up & ~up_costs)


@jit_inline
def _flip(scratch, at, spins, site, words):
    for i in range(words):
        j = at + i
        spins[site + i] ^= scratch[FLIP + j]


@jit_inline
def _classify(scratch, at, spins, geometry, model, row, parity, start, length):
    """Sort the lanes of `length` words from slot `start` of a half row on, into words `at` ... of the scratch array."""
    _, up_costs, sign, heat_bath, field = model
    words = np.uint64(length)
    site = np.uint64(half_row(geometry, row, parity) + start)
    side = np.uint64(half_row(geometry, row, 1 - parity) + start - 1 + parity)
    up = np.uint64(half_row(geometry, row - 1, parity) + start)
    down = np.uint64(half_row(geometry, row + 1, parity) + start)
    if field:
        classify_field(scratch, at, spins, site, side, up, down, words, sign, heat_bath, up_costs)
    elif heat_bath:
        classify_heat_bath(scratch, at, spins, site, side, up, down, words, sign)
    else:
        classify_metropolis(scratch, at, spins, site, side, up, down, words, sign)


@jit
def update_block(spins, geometry, scratch, model, colour, row, start, words, width):
    """Update `words` <= BLOCK sites of one colour: those from slot `start` of a row on, and of the rows below.

    width: words of a half row that take part.  Sites that are updated together must not be neighbours.
    """
    thresholds, _, _, heat_bath, field = model
    at, r, first = 0, row, start
    while at < words:
        length = min(width - first, words - at)
        _classify(scratch, np.uint64(at), spins, geometry, model, r, (r + colour) & 1, first, length)
        at, r, first = at + length, r + 1, 0
    if field:
        decide_5(scratch, thresholds, np.uint64(words))
    else:
        decide_2(scratch, thresholds, np.uint64(words))
        if heat_bath:
            toss_coins(scratch, np.uint64(words))
    at, r, first = 0, row, start
    while at < words:
        length = min(width - first, words - at)
        site = np.uint64(half_row(geometry, r, (r + colour) & 1) + first)
        _flip(scratch, np.uint64(at), spins, site, np.uint64(length))
        at, r, first = at + length, r + 1, 0


@jit
def update_colour(spins, geometry, scratch, model, colour, first, last):
    """Update the sites of one colour of the checkerboard in rows first ... last - 1."""
    half = geometry[1] // 2
    total = (last - first) * half
    for done in range(0, total, BLOCK):
        row, start = first + done // half, done % half
        update_block(spins, geometry, scratch, model, colour, row, start, min(BLOCK, total - done), half)
    for row in range(first, last):
        refresh_copies(spins, geometry, row, (row + colour) & 1)


@jit
def sweep(spins, geometry, scratch, model):
    """Attempt to flip every spin once: in checkerboard order, or row after row where a side is odd."""
    rows, columns, _, _ = geometry
    if rows % 2 == 0 and columns % 2 == 0:
        update_colour(spins, geometry, scratch, model, 0, 0, rows)
        update_colour(spins, geometry, scratch, model, 1, 0, rows)
        return
    half = columns // 2
    for row in range(rows):
        for parity in range(2):
            colour = (row + parity) & 1
            for start in range(0, half, BLOCK):
                update_block(spins, geometry, scratch, model, colour, row, start, min(BLOCK, half - start), half)
            refresh_copies(spins, geometry, row, parity)
        if columns % 2 == 1:
            update_block(spins, geometry, scratch, model, row & 1, row, half, 1, half + 1)
            refresh_copies(spins, geometry, row, 0)


@jit
def sample(spins, geometry, scratch, model, counter, every, unsatisfied, ups):
    """Replica-packed: every `every` sweeps count the unsatisfied bonds and the up spins of each replica.

    unsatisfied, ups: (measurements, 64) int32, filled here.  counter: 2 * COUNTER_WORDS zeros.
    """
    for n in range(len(ups)):
        for _ in range(every):
            sweep(spins, geometry, scratch, model)
        count_replicas(spins, geometry, model[2], counter, unsatisfied[n], ups[n])


@jit
def count_replicas(spins, geometry, sign, counter, unsatisfied, ups):
    """Unsatisfied bonds and up spins of each of the 64 replicas, into two arrays of 64."""
    rows, columns, _, _ = geometry
    half = columns // 2
    width = 16
    while width < min(half + columns % 2, SLOTS):
        width *= 2
    used = np.uint64(width)
    taken = 0
    for row in range(0, rows, 2):
        for start in range(0, half, SLOTS):
            _count_two_rows(counter, spins, geometry, row, start, min(SLOTS, half - start), used, ALL, sign, taken)
            taken += 1
        if columns % 2 == 1:
            _count_two_rows(counter, spins, geometry, row, half, 1, used, ZERO, sign, taken)
            taken += 1
    totals(counter, BONDS, used, 3, taken, unsatisfied)
    totals(counter, UPS, used, 2, taken, ups)


@jit_inline
def _count_two_rows(counter, spins, geometry, row, start, words, width, odd_mask, sign, earlier):
    """Count the right and down bonds of slots start ... in two rows, even and (where odd_mask is set) odd columns."""
    rows = geometry[0]
    second_mask = ALL if row + 1 < rows else ZERO
    second_odd = second_mask & odd_mask
    e0, o0 = np.uint64(half_row(geometry, row, 0) + start), np.uint64(half_row(geometry, row, 1) + start)
    e1, o1 = np.uint64(half_row(geometry, row + 1, 0) + start), np.uint64(half_row(geometry, row + 1, 1) + start)
    third = min(row + 2, rows)
    e2, o2 = np.uint64(half_row(geometry, third, 0) + start), np.uint64(half_row(geometry, third, 1) + start)
    for j in range(np.uint64(words)):
        even, odd, even_below, odd_below = spins[e0 + j], spins[o0 + j], spins[e1 + j], spins[o1 + j]
        w = even ^ odd ^ sign
        x = even ^ even_below ^ sign
        y = (odd ^ spins[e0 + ONE + j] ^ sign) & odd_mask
        z = (odd ^ odd_below ^ sign) & odd_mask
        digit_1, two_a = carry_save(counter[j], w, x)
        digit_1, two_b = carry_save(digit_1, y, z)
        up_1, up_two_a = carry_save(counter[UPS + j], even, odd & odd_mask)
        even, odd = even_below, odd_below
        w = (even ^ odd ^ sign) & second_mask
        x = (even ^ spins[e2 + j] ^ sign) & second_mask
        y = (odd ^ spins[e1 + ONE + j] ^ sign) & second_odd
        z = (odd ^ spins[o2 + j] ^ sign) & second_odd
        digit_1, two_c = carry_save(digit_1, w, x)
        digit_1, two_d = carry_save(digit_1, y, z)
        up_1, up_two_b = carry_save(up_1, even & second_mask, odd & second_odd)
        digit_2, four_a = carry_save(counter[WIDTH + j], two_a, two_b)
        digit_2, four_b = carry_save(digit_2, two_c, two_d)
        digit_4, carry = carry_save(counter[TWO * WIDTH + j], four_a, four_b)
        up_2, up_carry = carry_save(counter[UPS + WIDTH + j], up_two_a, up_two_b)
        counter[j], counter[WIDTH + j], counter[TWO * WIDTH + j] = digit_1, digit_2, digit_4
        counter[UPS + j], counter[UPS + WIDTH + j] = up_1, up_2
        counter[CARRY + j], counter[UPS + CARRY + j] = carry, up_carry
    # slots beyond `words` must not bring old carries
    for j in range(np.uint64(words), width):
        counter[CARRY + j], counter[UPS + CARRY + j] = ZERO, ZERO
    take_carry(counter, BONDS, width, 3, earlier)
    take_carry(counter, UPS, width, 2, earlier)
