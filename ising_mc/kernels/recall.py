"""Recall in Hopfield networks (Hopfield, PNAS 79, 2554, 1982): units that follow their local fields, many recalls.

Spins are s_i = +1 or -1, and h_i = theta_i + sum_j J_ij s_j is the local field of unit i.  All are whole numbers of one
unit u, so fields do not drift, and no result depends on the order of a sum.  At T = 0 a unit turns when s_i h_i < 0 (it
keeps its state in a field of 0); at T > 0 it turns with probability 1/(1 + exp(2 u s_i h_i / T)).  One sweep visits
each unit that is not clamped once: in its order, in random order, or all at the same time.

There are three ways to know h_i:

* ``FIELDS``: all h_j are kept; a visit costs O(1), a turn O(N).  At T = 0 the next unit to turn is looked for while the
  fields change, so that units which stay as they are cost no visit of their own.
* ``PATTERNS``: M_mu = sum_j xi_j^mu s_j are kept, and h_i = sum_mu xi_i^mu M_mu - P s_i (Hebb's rule, u = 1/N); a visit
  and a turn cost O(P), and there is no matrix of couplings.
* ``SIGNS``: J_ij is +1, -1 or 0, a bit each, and h_i is counted, 64 couplings at a time.
"""

import numpy as np
from numba import prange

from ising_mc.kernels._jit import jit, jit_inline, jit_parallel
from ising_mc.kernels.square_sites import popcount
from ising_mc.kernels.xoroshiro import next_bits

FIELDS, PATTERNS, SIGNS = range(3)  # how local fields are known
RANDOM, SEQUENTIAL, SYNCHRONOUS = range(3)  # the order of updates
RUNNING, FIXED, CYCLE = range(3)  # where a recall stands; the last two end it
NEVER = np.int32(2**31 - 1)  # the key of a unit that is not to be visited
ZERO, ONE = np.uint64(0), np.uint64(1)
_6, _63 = np.uint64(6), np.uint64(63)
_11, _31, _32 = np.uint64(11), np.uint64(31), np.uint64(32)
LOW = np.uint64(0xFFFFFFFF)


@jit_inline
def draw(generator):
    """64 random bits from a generator (2,)."""
    bits, generator[0], generator[1] = next_bits(generator[0], generator[1])
    return bits


@jit_inline
def local_field(way, i, net, own):
    """h_i in units."""
    _, patterns, signs, coupled, couplings, theta = net
    spins, fields, sums, packed = own
    if way == FIELDS:
        return fields[i]
    if way == PATTERNS:
        total = np.int32(0)
        for k in range(len(sums)):
            total = np.int32(total + np.int32(np.int32(patterns[i, k]) * np.int32(sums[k])))
        return np.int32(total - np.int32(np.int32(len(sums)) * spins[i]) + theta[i])
    agree = ZERO
    for w in range(len(packed)):
        agree += popcount(coupled[i, w] & ~(signs[i, w] ^ packed[w]))
    return np.int32(2 * np.int64(agree) - couplings[i] + theta[i])


@jit_inline
def turn(way, i, net, own):
    """Turn unit i over."""
    J, patterns, _, _, _, _ = net
    spins, fields, sums, packed = own
    spins[i] = np.int32(-spins[i])
    step = np.int32(2 * spins[i])
    if way == FIELDS:
        for j in range(len(fields)):
            fields[j] = np.int32(fields[j] + np.int32(step * np.int32(J[i, j])))
    elif way == PATTERNS:
        for k in range(len(sums)):
            sums[k] += sums.dtype.type(step * patterns[i, k])
    else:
        packed[np.uint64(i) >> _6] ^= ONE << (np.uint64(i) & _63)


@jit_inline
def turns(spin, field, scale, generator):
    """Whether a unit turns; scale: 2 u / T, or 0 at T = 0."""
    cost = spin * field
    if scale == 0.0:
        return cost < 0
    uniform = np.float64(draw(generator) >> _11) * 2.0**-53
    return uniform * (1.0 + np.exp(np.float64(cost) * scale)) < 1.0


@jit_inline
def shuffle(order, generator):
    """All units in random order (Fisher and Yates); a number below n from the upper 32 of 64 bits times n."""
    for k in range(len(order)):
        order[k] = k
    for last in range(len(order) - 1, 0, -1):
        k = ((draw(generator) >> _32) * np.uint64(last + 1)) >> _32
        order[last], order[k] = order[k], order[last]


@jit_inline
def next_unit(spins, fields, keys, after):
    """The smallest key above `after` of a unit that would turn, or NEVER."""
    best = NEVER
    for j in range(len(keys)):
        waits = np.int32(spins[j] * fields[j]) < 0 and keys[j] > after
        best = min(best, keys[j] if waits else NEVER)
    return best


@jit
def turn_and_look(row, spins, fields, keys, step, after):
    """Add `step` times a row of couplings to the fields, and find the next unit at the same time."""
    best = NEVER
    for j in range(len(keys)):
        field = np.int32(fields[j] + np.int32(step * np.int32(row[j])))
        fields[j] = field
        waits = np.int32(spins[j] * field) < 0 and keys[j] > after
        best = min(best, keys[j] if waits else NEVER)
    return best


@jit_inline
def set_keys(keys, clamped, in_order, generator):
    """The order of a sweep: units are visited by increasing key, whose low bits are the number of the unit.

    The bits above are random, or 0 for the units' own order.
    """
    low = np.uint64(number_mask(len(keys)))
    for j in range(0, len(keys), 2):
        bits = ZERO if in_order else draw(generator)
        for k in range(j, min(j + 2, len(keys))):
            own = (bits >> (_32 * np.uint64(k - j))) & LOW
            keys[k] = NEVER if clamped[k] else np.int32(((own >> ONE) & ~low) | np.uint64(k))


@jit_inline
def number_mask(n):
    """Ones in as many low bits as the numbers 0 ... n - 1 take; n <= 2**30."""
    mask = 1
    while mask < n - 1:
        mask = 2 * mask + 1
    return mask


@jit
def sweep_by_events(net, own, clamped, keys, in_order, generator):
    """One sweep at T = 0 with all fields at hand: how many units turned."""
    J = net[0]
    spins, fields, _, _ = own
    mask = np.int32(number_mask(len(keys)))
    set_keys(keys, clamped, in_order, generator)
    turned = 0
    key = next_unit(spins, fields, keys, np.int32(-1))
    while key != NEVER:
        i = key & mask
        spins[i] = np.int32(-spins[i])
        key = turn_and_look(J[i], spins, fields, keys, np.int32(2 * spins[i]), key)
        turned += 1
    return turned


@jit
def sweep_one_by_one(way, net, own, clamped, order, in_order, scale, generator):
    """One sweep, unit after unit: how many turned."""
    spins = own[0]
    if not in_order:
        shuffle(order, generator)
    turned = 0
    for i in order:
        if not clamped[i] and turns(spins[i], local_field(way, i, net, own), scale, generator):
            turn(way, i, net, own)
            turned += 1
    return turned


@jit
def sweep_at_once(way, net, own, clamped, turned_before, order, scale, generator):
    """One synchronous sweep: (how many turned, whether it took back the sweep before).

    turned_before: (N,) bool, who turned in the sweep before, and after it in this one.
    """
    spins = own[0]
    turned, same = 0, True
    for i in range(len(spins)):
        now = not clamped[i] and turns(spins[i], local_field(way, i, net, own), scale, generator)
        same = same and now == turned_before[i]
        turned_before[i] = now
        if now:
            order[turned] = i
            turned += 1
    for k in range(turned):
        turn(way, order[k], net, own)
    return turned, same


@jit
def twice_the_energy(way, net, own):
    """-2 E = sum_i s_i (h_i + theta_i), in units; with the other sign: 2 E."""
    theta = net[5]
    spins, _, sums, _ = own
    total = np.int64(0)
    if way == PATTERNS:  # sum_i s_i h_i = sum_mu M_mu^2 - P N + sum_i theta_i s_i
        for k in range(len(sums)):
            total += np.int64(sums[k]) * np.int64(sums[k])
        total -= np.int64(len(sums)) * len(spins)
        for i in range(len(spins)):
            total += 2 * np.int64(theta[i]) * spins[i]
        return -total
    for i in range(len(spins)):
        total += np.int64(spins[i]) * (np.int64(local_field(way, i, net, own)) + theta[i])
    return -total


@jit
def recall_one(way, update, net, own, cued, watched, clamped, order, turned_before, progress, generator, scale, every,
               energies, overlaps, turned, all_overlaps):  # fmt: skip
    """Sweep one recall, and note what it is after every `every` sweeps.

    cued: (N,) int8, the pattern with which it is compared;  watched: (N, P) int16, patterns whose overlaps are all
    noted, or (N, 0);  progress: (2,) int64, RUNNING, FIXED or CYCLE, and how many sweeps were done.
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
            elif way == FIELDS and scale == 0.0:
                now = sweep_by_events(net, own, clamped, order, in_order, generator)
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
        energies[n] = twice_the_energy(way, net, own)
        total = np.int64(0)
        for i in range(len(spins)):
            total += cued[i] * spins[i]
            for k in range(watched.shape[1]):
                all_overlaps[n, k] += np.int32(watched[i, k] * spins[i])
        overlaps[n] = total


@jit_parallel
def recall(way, update, net, lanes, cued, watched, clamped, order, turned_before, progress, generators, scale, every,
           energies, overlaps, turned, all_overlaps):  # fmt: skip
    """`recall_one` for each of many recalls, (recalls, ...) each; how threads share them changes nothing.

    net: J (N, N) with row i what the fields change by when unit i turns up from 0, patterns (N, P) int16, signs and
    coupled (N, words) uint64, couplings (N,) int32 of each unit, theta (N,) int32, those that `way` does not need
    empty;  lanes: spins and fields (recalls, N) int32, sums (recalls, P), packed (recalls, words).
    """
    spins, fields, sums, packed = lanes
    for k in prange(len(spins)):
        own = spins[k], fields[k], sums[k], packed[k]
        recall_one(
            way, update, net, own, cued[k], watched, clamped[k], order[k], turned_before[k], progress[k], generators[k],
            scale, every, energies[k], overlaps[k], turned[k], all_overlaps[k],
        )  # fmt: skip


@jit
def pattern_sums(patterns, spins):
    """M_mu = sum_i xi_i^mu s_i."""
    sums = np.zeros(patterns.shape[1], np.int32)
    for i in range(len(spins)):
        s = spins[i]
        for m in range(len(sums)):
            sums[m] = np.int32(sums[m] + np.int32(s * np.int32(patterns[i, m])))
    return sums


@jit
def fill(way, net, lanes):
    """Fields, sums and packed spins of recalls from their spins; fields by Hebb's rule where there are patterns."""
    J, patterns, _, _, _, theta = net
    spins, fields, sums, packed = lanes
    n = spins.shape[1]
    if way == FIELDS and len(patterns):
        for k in range(len(spins)):
            own = spins[k], fields[k], pattern_sums(patterns, spins[k]), packed[k]
            for i in range(n):
                fields[k, i] = local_field(PATTERNS, i, net, own)
    elif way == FIELDS:
        for k in range(len(spins)):
            fields[k] = theta
        for i in range(n):
            row = J[i]
            for k in range(len(spins)):
                s = spins[k, i]
                for j in range(n):
                    fields[k, j] = np.int32(fields[k, j] + np.int32(s * np.int32(row[j])))
    elif way == PATTERNS:
        for k in range(len(spins)):
            sums[k] = pattern_sums(patterns, spins[k])
    else:
        packed[:] = ZERO
        for k in range(len(spins)):
            for i in range(n):
                if spins[k, i] > 0:
                    packed[k, np.uint64(i) >> _6] |= ONE << (np.uint64(i) & _63)


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
