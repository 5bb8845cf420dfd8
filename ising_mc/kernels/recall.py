"""Recall in Hopfield networks (Hopfield, PNAS 79, 2554, 1982): units that follow their local fields, many recalls.

Spins are s_i = +1 or -1, and h_i = theta_i + sum_j J_ij s_j is the local field of unit i.  All are whole numbers of one
unit u, so fields do not drift, and no result depends on the order of a sum.  At T = 0 a unit turns when s_i h_i < 0 (it
keeps its state in a field of 0); at T > 0 it turns with probability 1/(1 + exp(2 u s_i h_i / T)).  One sweep visits
each unit that is not clamped once: in its order, in random order, or all at the same time.

There are three ways to know h_i:

* ``FIELDS``: all h_j are kept; a visit costs O(1), a turn O(N).
* ``PATTERNS``: M_mu = sum_j xi_j^mu s_j are kept, and h_i = sum_mu xi_i^mu M_mu - P s_i (Hebb's rule, u = 1/N); a visit
  and a turn cost O(P), and there is no matrix of couplings.
* ``SIGNS``: J_ij is +1, -1 or 0, a bit each, and h_i is counted, 64 couplings at a time.
"""

import numpy as np
from numba import prange

from ising_mc.kernels._jit import jit, jit_inline, jit_owning, jit_parallel
from ising_mc.kernels.bits import popcount
from ising_mc.kernels.xoroshiro import next_bits

FIELDS, PATTERNS, SIGNS = range(3)  # how local fields are known
RANDOM, SEQUENTIAL, SYNCHRONOUS = range(3)  # the order of updates
RUNNING, FIXED, CYCLE = range(3)  # where a recall stands; the last two end it
ZERO, ONE = np.uint64(0), np.uint64(1)
_6, _63 = np.uint64(6), np.uint64(63)
_11, _32 = np.uint64(11), np.uint64(32)
LOW = np.uint64(0xFFFFFFFF)


@jit_inline
def draw(generator):
    """64 random bits from a generator (2,)."""
    bits, generator[0], generator[1] = next_bits(generator[0], generator[1])
    return bits


@jit_inline
def add_row(fields, J, i, step):
    """Add row i of the couplings, `step` times."""
    for j in range(np.uint64(len(fields))):
        fields[j] = np.int32(fields[j] + np.int32(step * np.int32(J[i, j])))


@jit_inline
def product(patterns, i, sums):
    """sum_mu xi_i^mu M_mu."""
    total = np.int32(0)
    for k in range(np.uint64(len(sums))):
        total = np.int32(total + np.int32(np.int32(patterns[i, k]) * np.int32(sums[k])))
    return total


@jit_inline
def four_products(patterns, i, a, b, c, d):
    """`product` with the sums of four recalls: their patterns are loaded once."""
    first, second, third, fourth = np.int32(0), np.int32(0), np.int32(0), np.int32(0)
    for k in range(np.uint64(len(a))):
        x = np.int32(patterns[i, k])
        first = np.int32(first + np.int32(x * np.int32(a[k])))
        second = np.int32(second + np.int32(x * np.int32(b[k])))
        third = np.int32(third + np.int32(x * np.int32(c[k])))
        fourth = np.int32(fourth + np.int32(x * np.int32(d[k])))
    return first, second, third, fourth


@jit_inline
def add_unit(sums, patterns, i, step):
    """Add the values of unit i in all patterns, `step` times."""
    for k in range(np.uint64(len(sums))):
        sums[k] += sums.dtype.type(step * np.int32(patterns[i, k]))


@jit_inline
def agreement(signs, coupled, couplings, i, packed):
    """sum_j J_ij s_j of couplings of one bit."""
    agree = ZERO
    for w in range(np.uint64(len(packed))):
        agree += popcount(coupled[i, w] & ~(signs[i, w] ^ packed[w]))
    return np.int32(2 * np.int64(agree) - couplings[i])


@jit_inline
def turns(spin, field, scale, generator):
    """Whether a unit turns; scale: 2 u / T, or 0 at T = 0."""
    cost = spin * field
    if scale == 0.0:
        return cost < 0
    uniform = np.float64(draw(generator) >> _11) * 2.0**-53
    return uniform * (1.0 + np.exp(np.float64(cost) * scale)) < 1.0


@jit
def shuffle(order, generator):
    """Random order (Fisher and Yates); a number below n is n times 32 random bits, two from each draw."""
    bits, fresh = ZERO, True
    for last in range(len(order) - 1, 0, -1):
        bits = draw(generator) if fresh else bits >> _32
        fresh = not fresh
        k = ((bits & LOW) * np.uint64(last + 1)) >> _32
        order[last], order[k] = order[k], order[last]


@jit
def is_stable(spins, fields, clamped):
    """Whether no unit that is free would turn at T = 0."""
    free = np.int32(0)
    for j in range(np.uint64(len(spins))):
        against = np.int32(spins[j] * fields[j])  # its sign bit: the unit would turn
        free |= np.int32(against & np.int32(clamped[j] - np.int32(1)))
    return free >= 0


# One loop for each way: a branch inside, or arrays taken out of tuples there, cost several times what a visit does.


@jit
def visit_fields(J, spins, fields, clamped, order, scale, generator):
    """Visit all units in turn: how many turned."""
    turned = 0
    for k in range(np.uint64(len(order))):
        i = np.uint64(np.uint32(order[k]))
        if not clamped[i] and turns(spins[i], fields[i], scale, generator):
            spins[i] = np.int32(-spins[i])
            add_row(fields, J, i, np.int32(2 * spins[i]))
            turned += 1
    return turned


@jit
def visit_patterns(patterns, theta, itself, spins, sums, clamped, order, scale, generator):
    """The same."""
    turned = 0
    for k in range(np.uint64(len(order))):
        i = np.uint64(np.uint32(order[k]))
        if not clamped[i]:
            h = np.int32(product(patterns, i, sums) - np.int32(itself * spins[i]) + theta[i])
            if turns(spins[i], h, scale, generator):
                spins[i] = np.int32(-spins[i])
                add_unit(sums, patterns, i, np.int32(2 * spins[i]))
                turned += 1
    return turned


@jit
def visit_signs(signs, coupled, couplings, theta, spins, packed, clamped, order, scale, generator):
    """The same."""
    turned = 0
    for k in range(np.uint64(len(order))):
        i = np.uint64(np.uint32(order[k]))
        if not clamped[i]:
            h = np.int32(agreement(signs, coupled, couplings, i, packed) + theta[i])
            if turns(spins[i], h, scale, generator):
                spins[i] = np.int32(-spins[i])
                packed[i >> _6] ^= ONE << (i & _63)
                turned += 1
    return turned


@jit
def sweep_one_by_one(way, net, own, clamped, order, in_order, scale, generator):
    """One sweep, unit after unit: how many turned.  At a fixed point there is nothing to look at."""
    J, patterns, signs, coupled, couplings, theta, itself = net
    spins, fields, sums, packed = own
    if way == FIELDS and scale == 0.0 and is_stable(spins, fields, clamped):
        return 0
    for k in range(np.uint64(len(order))):
        order[k] = k
    if not in_order:
        shuffle(order, generator)
    if way == FIELDS:
        return visit_fields(J, spins, fields, clamped, order, scale, generator)
    if way == PATTERNS:
        return visit_patterns(patterns, theta, itself, spins, sums, clamped, order, scale, generator)
    return visit_signs(signs, coupled, couplings, theta, spins, packed, clamped, order, scale, generator)


@jit_owning
def local_fields(way, net, own, found):
    """h_i of all units, in units, into found (N,)."""
    _, patterns, signs, coupled, couplings, theta, itself = net
    spins, fields, sums, packed = own
    n = np.uint64(len(spins))
    if way == FIELDS:
        found[:] = fields
    elif way == PATTERNS:
        for i in range(n):
            found[i] = np.int32(product(patterns, i, sums) - np.int32(itself * spins[i]) + theta[i])
    else:
        for i in range(n):
            found[i] = np.int32(agreement(signs, coupled, couplings, i, packed) + theta[i])


@jit
def turn_over(way, i, net, own):
    """Turn unit i."""
    spins, fields, sums, packed = own
    spins[i] = np.int32(-spins[i])
    step = np.int32(2 * spins[i])
    if way == FIELDS:
        add_row(fields, net[0], i, step)
    elif way == PATTERNS:
        add_unit(sums, net[1], i, step)
    else:
        packed[i >> _6] ^= ONE << (i & _63)


@jit
def sweep_at_once(way, net, own, clamped, turned_before, work, scale, generator):
    """One synchronous sweep: (how many turned, whether it took back the sweep before).

    turned_before: (N,) bool, who turned in the sweep before, and after it in this one;  work: (N,) int32.
    """
    spins = own[0]
    local_fields(way, net, own, work)
    turned, same = 0, True
    for i in range(np.uint64(len(spins))):
        now = not clamped[i] and turns(spins[i], work[i], scale, generator)
        same = same and now == turned_before[i]
        turned_before[i] = now
    for i in range(np.uint64(len(spins))):
        if turned_before[i]:
            turn_over(way, i, net, own)
            turned += 1
    return turned, same


@jit
def twice_the_energy(way, net, own, work):
    """2 E = -sum_i s_i (h_i + theta_i), in units; work: (N,) int32."""
    spins, theta = own[0], net[5]
    local_fields(way, net, own, work)
    total = np.int64(0)
    for i in range(np.uint64(len(spins))):
        total += np.int64(np.int32(spins[i] * np.int32(work[i] + theta[i])))
    return -total


@jit
def pack(spins, words):
    """Spins as bits, 1 for +1; what is left of the last word is 0."""
    words[:] = ZERO
    for i in range(np.uint64(len(spins))):
        words[i >> _6] |= np.uint64(spins[i] > 0) << (i & _63)


@jit_owning
def pattern_sums(rows, spins, sums):
    """M_mu = sum_i xi_i^mu s_i into the first P of sums, 64 units at a time; rows: (P, words), patterns as bits."""
    n, words = len(spins), np.empty(rows.shape[1], np.uint64)
    pack(spins, words)
    for k in range(np.uint64(len(rows))):
        differ = ZERO
        for w in range(np.uint64(len(words))):
            differ += popcount(rows[k, w] ^ words[w])
        sums[k] = n - 2 * np.int64(differ)


@jit_owning
def recall_one(way, update, net, own, cued, watched, clamped, order, turned_before, progress, generator, scale, every,
               energies, overlaps, turned, all_overlaps):  # fmt: skip
    """Sweep one recall, and note what it is after every `every` sweeps.

    cued: (N,) int8, the pattern with which it is compared;  watched: (P, words) uint64, patterns as bits whose
    overlaps are all noted, or (0, words);  progress: (2,) int64, RUNNING, FIXED or CYCLE, and the sweeps done.
    Filled here: energies (records,) int64, 2 E in units;  overlaps (records,), sum_i xi_i s_i;  turned (records,),
    units that turned since the record before;  all_overlaps (records, P) int32.
    """
    spins = own[0]
    in_order = update == SEQUENTIAL
    for n in range(len(energies)):
        count = 0
        for _ in range(every):
            if progress[0] != RUNNING:
                break
            again = False
            if update == SYNCHRONOUS:
                now, again = sweep_at_once(way, net, own, clamped, turned_before, order, scale, generator)
            else:
                now = sweep_one_by_one(way, net, own, clamped, order, in_order, scale, generator)
            count += now
            progress[1] += 1
            if scale == 0.0 and (now == 0 or again):
                progress[0] = FIXED if now == 0 else CYCLE
        turned[n] = count
        if n and not count:
            energies[n], overlaps[n] = energies[n - 1], overlaps[n - 1]
            all_overlaps[n] = all_overlaps[n - 1]
            continue
        energies[n] = twice_the_energy(way, net, own, order)
        total = np.int64(0)
        for i in range(np.uint64(len(spins))):
            total += cued[i] * spins[i]
        overlaps[n] = total
        if len(watched):
            pattern_sums(watched, spins, all_overlaps[n])


@jit_parallel
def recall(way, update, net, lanes, cued, watched, clamped, order, turned_before, progress, generators, scale, every,
           energies, overlaps, turned, all_overlaps):  # fmt: skip
    """`recall_one` for each of many recalls, (recalls, ...) each; how threads share them changes nothing.

    net: J (N, N) with row i what the fields change by when unit i turns up from 0, patterns (N, P) int8 with zeros up
    to a multiple of 64, signs and coupled (N, words) uint64, couplings (N,) int32 of each unit, theta (N,) int32, those
    that `way` does not need empty, and `itself`, the number of patterns;  lanes: spins and fields (recalls, N) int32,
    sums (recalls, P), packed (recalls, words).
    """
    spins, fields, sums, packed = lanes
    for k in prange(len(spins)):
        own = spins[k], fields[k], sums[k], packed[k]
        recall_one(
            way, update, net, own, cued[k], watched, clamped[k], order[k], turned_before[k], progress[k], generators[k],
            scale, every, energies[k], overlaps[k], turned[k], all_overlaps[k],
        )  # fmt: skip


@jit
def fill(way, net, rows, lanes):
    """Fields, sums and packed spins of recalls from their spins; fields by Hebb's rule where there are patterns.

    rows: these patterns as bits, (P, words).
    """
    J, patterns, _, _, _, theta, itself = net
    spins, fields, sums, packed = lanes
    n = np.uint64(spins.shape[1])
    if way == FIELDS and len(patterns) == 0:
        for k in range(len(spins)):
            for i in range(n):
                fields[k, i] = theta[i]
        for i in range(n):  # all recalls with one row, while it is in the cache
            for k in range(len(spins)):
                add_row(fields[k], J, i, spins[k, i])
    elif way == SIGNS:
        for k in range(len(spins)):
            pack(spins[k], packed[k])
    else:
        for k in range(len(spins)):
            pattern_sums(rows, spins[k], sums[k])
        if way == FIELDS:
            for k in range(0, len(spins) - 3, 4):
                fields_of_four(patterns, theta, itself, spins[k : k + 4], sums[k : k + 4], fields[k : k + 4])
            for k in range(len(spins) // 4 * 4, len(spins)):
                for i in range(n):
                    h = np.int32(product(patterns, i, sums[k]) - np.int32(itself * spins[k, i]))
                    fields[k, i] = np.int32(h + theta[i])


@jit
def fields_of_four(patterns, theta, itself, spins, sums, fields):
    """Local fields (4, N) of four recalls by Hebb's rule."""
    a, b, c, d = sums[0], sums[1], sums[2], sums[3]
    for i in range(np.uint64(spins.shape[1])):
        found = four_products(patterns, i, a, b, c, d)
        for k in range(4):
            fields[k, i] = np.int32(np.int32(found[k] - np.int32(itself * spins[k, i])) + theta[i])


@jit
def hebb_rows(bits, patterns, first, J):
    """Rows first ... of N J_ij = sum_mu xi_i^mu xi_j^mu, 0 on the diagonal, into J (rows, N).

    bits: (N, words), bit mu % 64 of word mu // 64 is 1 where xi_i^mu = +1;  patterns: P.
    """
    for r in range(len(J)):
        i = first + r
        for j in range(len(bits)):
            differ = ZERO
            for w in range(bits.shape[1]):
                differ += popcount(bits[i, w] ^ bits[j, w])
            J[r, j] = np.int16(patterns - 2 * np.int64(differ))
        J[r, i] = np.int16(0)
