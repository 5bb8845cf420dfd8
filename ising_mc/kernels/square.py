"""The periodic square lattice, 64 spins a word: local updates and the counting of energy and magnetization.

Two ways to fill the words, one code.  *Replica-packed*: bit b of word (r, c) is site (r, c) of replica b.
*Site-packed* (one big lattice; Isakov et al., arXiv:1401.1084 call it multi-spin coding): bit b of word (r, c) is
row r + b*H of one lattice of 64*H rows, so that only the vertical wrap differs: there the words rotate by one bit
(`twist` = 1 instead of 0).

Memory: even and odd rows stand apart, and in both the even and the odd columns, so that sites updated together are
neighbours in memory, and so are their neighbours.  In each of these four parts row follows row, with copies between
them of the words that the ends of a row have for neighbours.  Of an even number of columns::

    a row, even columns:   x=0  x=2  x=4 ...  [x=0]
    a row, odd columns:  [x=L-1]  x=1  x=3 ...

Then, also over the ends of rows, the neighbours of word k of one part are words k and k + 1, or k - 1 and k, of the
part beside it, and two words a row apart in the part of the other rows.  So a loop runs over many rows as if they were
one; what it does to the copies is mended afterwards.  Where the number of columns is odd, its odd ones stand between
two copies, [x=L-1] and [x=0], and rows are updated one by one.  Rows -1 and H are copies, too.

A geometry is the tuple (rows, columns, pitch, twist, part): rows and columns of words, words from a row to the next and
from a part to the next.
Even sides are updated in checkerboard order.  With an odd side no checkerboard exists: then rows go one after the
other, in each row first the even columns (but the last, where it touches the first), then the odd ones, then the last.
"""

import numpy as np

from ising_mc.kernels import bernoulli, counting
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
    decide,
    decide_5,
    toss_coins,
)
from ising_mc.kernels.counting import BONDS, CARRY, THREE, TWO, UPS, WIDTH, carry_save, take_carry, totals

SLOTS = int(bernoulli.SLOTS)
ONE = np.uint64(1)
_63 = np.uint64(63)
ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
BOND_LEVEL, UP_LEVEL = 4, 3  # where what is counted enters its counter


def geometry_of(rows, columns, twist):
    """The geometry of rows and columns of words."""
    pitch = columns // 2 + 1 + columns % 2
    part = aligned(pitch + 1) + (rows // 2 + 1) * pitch
    return rows, columns, pitch, twist, aligned(part)


def words_needed(geometry):
    """Words of all parts."""
    return 4 * geometry[4]


def inside_of(geometry):
    """Masks of the slots of even and of odd columns, to be read from any slot of a row on.

    All ones, but 0 for the copies between two rows.
    """
    _, columns, pitch, _, _ = geometry
    slot = np.arange(pitch + 2 * counting.SLOTS) % pitch
    return np.stack([np.where(slot < (columns + 1 - parity) // 2, ALL, ZERO) for parity in range(2)])


@jit_inline
def aligned(words):
    """Rounded up to words of whole cache lines."""
    return (words + 7) // 8 * 8


@jit_inline
def half_row(geometry, row, parity):
    """Index of column `parity` of a row (-1 <= row <= rows)."""
    _, _, pitch, _, part = geometry
    return (2 * (row & 1) + parity) * part + aligned(pitch + 1) + (row >> 1) * pitch  # after row -1 and a copy


@jit_inline
def _copy_ends(spins, geometry, first, last, colour):
    """Renew the copies of the ends of half rows first ... last - 1, each of the columns of this colour."""
    _, columns, pitch, _, _ = geometry
    half = columns // 2
    if columns % 2 == 1:
        for row in range(first, last):
            even, odd = half_row(geometry, row, 0), half_row(geometry, row, 1)
            if (row + colour) & 1 == 0:
                spins[odd - 1] = spins[even + half]
                spins[odd + half] = spins[even]
        return
    for row in range(first, min(first + 2, last)):  # and those behind it in its part
        at = half_row(geometry, row, (row + colour) & 1)
        target, source = (at + half, at) if (row + colour) & 1 == 0 else (at - 1, at + half - 1)
        for k in range(0, (last - row + 1) // 2 * pitch, pitch):
            spins[target + k] = spins[source + k]


@jit_inline
def _copy_row(spins, geometry, row, parity):
    """Renew the copy of a half row beyond the edge of the lattice, if it has one."""
    rows, columns, _, twist, _ = geometry
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
def refresh_copies(spins, geometry, first, last, colour):
    """Renew what was copied from rows first ... last - 1, columns of this colour, after they changed."""
    _copy_ends(spins, geometry, first, last, colour)
    if first == 0:
        _copy_row(spins, geometry, 0, colour & 1)
    if last == geometry[0]:
        _copy_row(spins, geometry, last - 1, (last - 1 + colour) & 1)


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
        gain_0 = (~is_up & fours & c0) | (is_up & none & ~c0)  # class 0 is what is in no other
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
    pitch = geometry[2]
    for i in range(pitch - 1 - start % pitch, length, pitch):
        scratch[NEED + at + np.uint64(i)] = ZERO  # copies between rows decide nothing
    for i in range(length, aligned(length)):
        scratch[NEED + at + np.uint64(i)] = ZERO


@jit
def update_colour(spins, geometry, scratch, model, colour, first, last, start):
    """Update the sites of one colour of the checkerboard in rows first ... last - 1.

    They go in blocks, through the rows of one part and then through those of the other.  Of an odd number of columns
    the last one is left out, since it touches the first; with start = columns // 2 it comes alone.  Of such lattices
    only one row can be updated at once.
    """
    _, columns, pitch, _, _ = geometry
    thresholds, _, _, heat_bath, field = model
    half = columns // 2
    length = ((last - first + 1) // 2 - 1) * pitch + half if start == 0 else half + 1  # of the first part
    others = (last - first) // 2  # rows of the other part, which begins on a cache line of its own
    end = length if others == 0 else aligned(length) + (others - 1) * pitch + half
    while start < end:
        words = min(end - start, BLOCK if end - start > 2 * SLOTS else SLOTS)
        row, slot = (first, start) if start < length else (first + 1, start - aligned(length))
        at, r, s = 0, row, slot
        while at < words:
            number = min(length - s, words - at)
            _classify(scratch, np.uint64(at), spins, geometry, model, r, (r + colour) & 1, s, number)
            at, r, s = at + aligned(number), r + 1, 0
        if field:
            decide_5(scratch, thresholds, np.uint64(words))
        else:
            decide(scratch, thresholds, np.uint64(words), 2)
            if heat_bath:
                toss_coins(scratch, np.uint64(words))
        at, r, s = 0, row, slot
        while at < words:
            number = min(length - s, words - at)
            site = np.uint64(half_row(geometry, r, (r + colour) & 1) + s)
            _flip(scratch, np.uint64(at), spins, site, np.uint64(number))
            at, r, s = at + aligned(number), r + 1, 0
        start += words
    refresh_copies(spins, geometry, first, last, colour)


@jit
def sample(spins, geometry, inside, scratch, model, counter, every, unsatisfied, ups):
    """Replica-packed: every `every` sweeps count the unsatisfied bonds and the up spins of each replica.

    A sweep attempts to flip every spin once: in checkerboard order, or row after row where a side is odd.
    inside: of `inside_of`;  counter: 2 * COUNTER_WORDS zeros;  unsatisfied, ups: (measurements, 64) int32, filled here.
    """
    rows, columns, _, _, _ = geometry
    bipartite = rows % 2 == 0 and columns % 2 == 0
    height, steps = (rows, 2) if bipartite else (1, 2 + columns % 2)
    for n in range(len(ups)):
        for _ in range(every):
            for row in range(0, rows, height):
                for step in range(steps):
                    start = 0 if step < 2 else columns // 2
                    update_colour(spins, geometry, scratch, model, (row + step) & 1, row, row + height, start)
        count_replicas(spins, geometry, inside, model[2], counter, unsatisfied[n], ups[n])


@jit
def count_replicas(spins, geometry, inside, sign, counter, unsatisfied, ups):
    """Unsatisfied bonds and up spins of each of the 64 replicas, into two arrays of 64."""
    rows, _, pitch, _, _ = geometry
    pairs = rows // 2
    slots = max(pairs, 1) * pitch - 1  # through all pairs of rows, over copies that do not count
    width = 16
    while width < min((slots + 1) // 2, counting.SLOTS):
        width *= 2
    taken = 0
    for start in range(0, slots if pairs > 0 else 0, 2 * counting.SLOTS):
        words = min((slots - start + 1) // 2, counting.SLOTS)
        _count_two_rows(counter, spins, geometry, inside, 0, start, words, np.uint64(width), ALL, sign, taken)
        taken += 1
    for start in range(0, pitch - 1 if rows % 2 == 1 else 0, 2 * counting.SLOTS):
        words = min((pitch - start) // 2, counting.SLOTS)
        _count_two_rows(counter, spins, geometry, inside, rows - 1, start, words, np.uint64(width), ZERO, sign, taken)
        taken += 1
    totals(counter, BONDS, np.uint64(width), BOND_LEVEL, taken, unsatisfied)
    totals(counter, UPS, np.uint64(width), UP_LEVEL, taken, ups)


@jit_inline
def _count_two_rows(counter, spins, geometry, inside, row, start, words, width, second_mask, sign, earlier):
    """Count the right and down bonds of 2 * words places from `start` on, in a row, the next (with second_mask), and
    the rows behind these two in their parts.  The place behind the last row may be among them: it is a copy.
    """
    e0, o0 = np.uint64(half_row(geometry, row, 0) + start), np.uint64(half_row(geometry, row, 1) + start)
    e1, o1 = np.uint64(half_row(geometry, row + 1, 0) + start), np.uint64(half_row(geometry, row + 1, 1) + start)
    third = min(row + 2, geometry[0])
    e2, o2 = np.uint64(half_row(geometry, third, 0) + start), np.uint64(half_row(geometry, third, 1) + start)
    here, half = np.uint64(start % geometry[2]), np.uint64(words)
    for j in range(half):
        digits = counter[j], counter[WIDTH + j], counter[TWO * WIDTH + j]
        up_digits = counter[UPS + j], counter[UPS + WIDTH + j]
        k = j + half
        first, second = inside[0, here + j], inside[1, here + j]
        places = e0 + j, o0 + j, e1 + j, o1 + j, e2 + j, o2 + j
        digits, up_digits, eight_a, four_a = _count_place(
            spins, places, first, second, second_mask, sign, digits, up_digits
        )
        first, second = inside[0, here + k], inside[1, here + k]
        places = e0 + k, o0 + k, e1 + k, o1 + k, e2 + k, o2 + k
        digits, up_digits, eight_b, four_b = _count_place(
            spins, places, first, second, second_mask, sign, digits, up_digits
        )
        counter[j], counter[WIDTH + j], counter[TWO * WIDTH + j] = digits
        counter[UPS + j], counter[UPS + WIDTH + j] = up_digits
        at = THREE * WIDTH + j
        counter[at], counter[CARRY + j] = carry_save(counter[at], eight_a, eight_b)
        at = UPS + TWO * WIDTH + j
        counter[at], counter[UPS + CARRY + j] = carry_save(counter[at], four_a, four_b)
    # slots beyond `words` must not bring old carries
    for j in range(half, width):
        counter[CARRY + j], counter[UPS + CARRY + j] = ZERO, ZERO
    take_carry(counter, BONDS, width, BOND_LEVEL, earlier)
    take_carry(counter, UPS, width, UP_LEVEL, earlier)


@jit_inline
def _count_place(spins, places, even_mask, odd_mask, second_mask, sign, digits, up_digits):
    """Add the eight bonds and four spins of a place; the new digits, and the carries of weight 8 and 4."""
    e0, o0, e1, o1, e2, o2 = places
    digit_1, digit_2, digit_4 = digits
    up_1, up_2 = up_digits
    even, odd, even_below, odd_below = spins[e0], spins[o0], spins[e1], spins[o1]
    w, x = (even ^ odd ^ sign) & even_mask, (even ^ even_below ^ sign) & even_mask
    y, z = (odd ^ spins[e0 + ONE] ^ sign) & odd_mask, (odd ^ odd_below ^ sign) & odd_mask
    digit_1, two_a = carry_save(digit_1, w, x)
    digit_1, two_b = carry_save(digit_1, y, z)
    up_1, up_two_a = carry_save(up_1, even & even_mask, odd & odd_mask)
    even_mask, odd_mask = even_mask & second_mask, odd_mask & second_mask
    w, x = (even_below ^ odd_below ^ sign) & even_mask, (even_below ^ spins[e2] ^ sign) & even_mask
    y, z = (odd_below ^ spins[e1 + ONE] ^ sign) & odd_mask, (odd_below ^ spins[o2] ^ sign) & odd_mask
    digit_1, two_c = carry_save(digit_1, w, x)
    digit_1, two_d = carry_save(digit_1, y, z)
    up_1, up_two_b = carry_save(up_1, even_below & even_mask, odd_below & odd_mask)
    digit_2, four_a = carry_save(digit_2, two_a, two_b)
    digit_2, four_b = carry_save(digit_2, two_c, two_d)
    digit_4, eight = carry_save(digit_4, four_a, four_b)
    up_2, up_four = carry_save(up_2, up_two_a, up_two_b)
    return (digit_1, digit_2, digit_4), (up_1, up_2), eight, up_four
