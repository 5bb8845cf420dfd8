"""Every site coupled to every other, 64 replicas: local fields are kept, so that a visit costs O(1) and a flip O(N).

H = - sum_{i<j} J_ij s_i s_j - sum_i h_i s_i, with J_ij and h_i whole numbers of a unit.  Sites are visited in their
order, or in one that each sweep draws and all replicas share.  `fields` holds f_i = h_i + sum_j J_ij s_j of each
replica, a row a replica; when s_i turns, its row changes by twice the row J_i.  Integers do not drift: fields built
anew from the spins are the same.

Most of the time goes into those rows, and a row of local fields is long: so sites are taken in blocks.  The local
fields of one block are copied (transposed: replicas side by side), decided one site after the other and kept up to
date among themselves.  Afterwards each replica adds up the rows of all sites that turned, a piece of the row at a
time, so that the couplings of the block stay in the first-level cache for all replicas.
"""

import numpy as np

from ising_mc.kernels._jit import jit, jit_inline, jit_owning
from ising_mc.kernels.bits import lowest, place
from ising_mc.kernels.logistic import (
    BILLS,
    COST,
    FIELD,
    LANES,
    ONE,
    ZERO,
    _32,
    decide,
    draw,
    join,
    no_bills,
    pay,
    settle,
    settle_bills,
    split,
    where_up,
)
from ising_mc.kernels.observe import observe
from ising_mc.kernels.sparse import count_ups
from ising_mc.kernels.tempering import BETAS, NUMBERS, THIN, temper_real
from ising_mc.kernels.xoroshiro import next_bits

BLOCK = np.uint64(32)  # sites decided before the rows follow
PIECE = np.uint64(128)  # columns of a row that are brought up to date at a time
_64 = np.uint64(LANES)
_2, _3, _4 = np.uint64(2), np.uint64(3), np.uint64(4)
ONE_32, TWO_32 = np.int32(1), np.int32(2)


@jit_inline
def _signed(step, sign):
    """step, or -step - 1 for a sign of -1."""
    return np.int32(step ^ sign)


@jit_inline
def _add_4(fields, k, steps, a, b, c, d, start):
    """Add to local fields of replica k four rows 2 J_i, with their signs: `i` for s_i turned up, `~i` for down."""
    m, n, o, p = np.int32(a >> 63), np.int32(b >> 63), np.int32(c >> 63), np.int32(d >> 63)
    negative = np.int32(-(m + n + o + p))
    a, b, c, d = np.uint64(a ^ m), np.uint64(b ^ n), np.uint64(c ^ o), np.uint64(d ^ p)
    for j in range(PIECE):
        j += start
        first = np.int32(_signed(steps[a, j], m) + _signed(steps[b, j], n))
        second = np.int32(_signed(steps[c, j], o) + _signed(steps[d, j], p))
        fields[k, j] = np.int32(np.int32(fields[k, j] + negative) + np.int32(first + second))


@jit_inline
def _add_1(fields, k, steps, a, start):
    """Add one row."""
    m = np.int32(a >> 63)
    a = np.uint64(a ^ m)
    for j in range(PIECE):
        j += start
        fields[k, j] = np.int32(fields[k, j] + np.int32(_signed(steps[a, j], m) - m))


@jit
def follow(fields, steps, flips, counts, start):
    """Bring a piece of the local fields of all replicas up to date after their flips."""
    for k in range(_64):
        f, count = ZERO, counts[k]
        while f + _4 <= count:
            _add_4(fields, k, steps, flips[k, f], flips[k, f + ONE], flips[k, f + _2], flips[k, f + _3], start)
            f += _4
        while f < count:
            _add_1(fields, k, steps, flips[k, f], start)
            f += ONE


@jit
def update_block(spins, steps, tile, flips, counts, scratch, lanes, energy, heat_bath, used, order, first, last):
    """Decide the sites order[first] ... order[last - 1] by the local fields in `tile`; note the flips."""
    used_low, used_high = split(used)
    for k in range(_64):
        counts[k] = ZERO
    for i in range(first, last):
        site = order[i]
        second = (i - first) & ONE  # site of a pair, which shares a draw
        if second == ZERO:
            draw(scratch)
        shift = np.uint32(second << _4)
        for k in range(_64):
            lanes[FIELD + k] = tile[i - first, k]
        word = spins[site]
        low, high, undecided = decide(lanes, word, shift, True) if heat_bath else decide(lanes, word, shift, False)
        if undecided != ZERO:
            more_low, more_high = split(settle(scratch, lanes, word, undecided, heat_bath))
            low, high = np.int32(low | more_low), np.int32(high | more_high)
        low, high = np.int32(low & used_low), np.int32(high & used_high)
        turned = join(low, high)
        pay(lanes, low, high)
        if i % BILLS == ZERO:
            settle_bills(lanes, energy)
        if turned != ZERO:
            word ^= turned
            spins[site] = word
            tell_block(tile, lanes, steps, low, high, word, order, i, first, last)
            note_flips(flips, counts, turned, word, site)
    settle_bills(lanes, energy)


@jit_inline
def tell_block(tile, lanes, steps, low, high, word, order, i, first, last):
    """Bring the local fields of the sites of a block after order[i] up to date; word: the spins of that one by now."""
    word_low, word_high = split(word)
    for k in range(_32):  # +1, -1 or 0 in each lane; nobody needs the costs any more
        lanes[COST + k] = where_up(low, k, np.int32(where_up(word_low, k, TWO_32) - ONE_32))
        lanes[COST + _32 + k] = where_up(high, k, np.int32(where_up(word_high, k, TWO_32) - ONE_32))
    site = order[i]
    for j in range(i + ONE, last):
        step = steps[site, order[j]]
        for k in range(_64):
            tile[j - first, k] = np.int32(tile[j - first, k] + step * lanes[COST + k])


@jit_inline
def note_flips(flips, counts, turned, word, site):
    """Add a site to the lists of the replicas where it turned: `site` if it turned up, `~site` if down."""
    while turned != ZERO:
        lane = lowest(turned)
        k = place(lane)
        flips[k, counts[k]] = np.int64(site) if word & lane else ~np.int64(site)
        counts[k] += ONE
        turned ^= lane


@jit
def shuffle(order, generator):
    """Draw an order of the sites; generator: (2,), all 0 for the order of their numbers (Durstenfeld's shuffle)."""
    a, b = generator[0], generator[1]
    if a | b == ZERO:
        return
    n = np.uint64(len(order))
    for i in range(n):
        order[i] = i
    for left in range(n, ONE, -1):
        bits, a, b = next_bits(a, b)
        i, j = np.uint64(left) - ONE, ((bits >> _32) * np.uint64(left)) >> _32
        order[i], order[j] = order[j], order[i]
    generator[0], generator[1] = a, b


@jit
def sweep(spins, steps, fields, work, energy, heat_bath, used):
    """Attempt to flip every spin of the `used` lanes once, and follow their energies, in units of 2 u.

    spins: (N,) words;  steps: (N, pitch) int32, 2 J, symmetric, zero on the diagonal and from column N on;  fields:
    (64, pitch) int32;  work: tile (BLOCK, 64) int32, flips (64, BLOCK) int64, counts (64,) uint64, scratch, order (N,)
    uint64 of the sites, and the generator of orders;  used: a word with the bits of the lanes that are wanted.
    """
    tile, flips, counts, scratch, order, generator = work
    shuffle(order, generator)
    lanes = scratch.view(np.int32)
    n = np.uint64(len(spins))
    no_bills(lanes)
    for first in range(ZERO, n, BLOCK):
        last = min(first + BLOCK, n)
        for k in range(_64):
            for i in range(first, last):
                tile[i - first, k] = fields[k, order[i]]
        update_block(spins, steps, tile, flips, counts, scratch, lanes, energy, heat_bath, used, order, first, last)
        for start in range(ZERO, n, PIECE):
            follow(fields, steps, flips, counts, start)


@jit_owning
def sample(spins, steps, fields, work, cost, heat_bath, used, every, energy, energies, ups, watch, observed, ladder):
    """Every `every` sweeps note the energy and the number of up spins of each replica.

    work: as of `sweep`;  cost: (64,) int64, not yet in energy, in 2 u;  energy: (64,) int64, energies before
    and after, in units;  energies, ups: (measurements, 64) int64 and int32, filled here, as is observed: (measurements,
    rows, 64), by what `observe` does with `watch`;  ladder: the plan of `tempering`, empty without.
    """
    scratch = work[3]
    for n in range(len(ups)):
        for _ in range(every):
            sweep(spins, steps, fields, work, cost, heat_bath, used)
        for k in range(LANES):
            energy[k] += 2 * cost[k]
            cost[k] = 0
        energies[n] = energy
        count_ups(spins, ups[n])
        observed[n] = 0
        if (n + 1) % ladder[NUMBERS][THIN] == 0:
            observe(spins, watch[0], watch[1], watch[2], watch[3], watch[4], observed[n])
        if len(ladder[BETAS]):
            temper_real(ladder, n, energies[n], ups[n], scratch.reshape(1, -1))


@jit_owning
def local_fields(spins, steps, field, fields, energy):
    """Local fields (64, pitch) and energies (64,) of all replicas from their spins, in units; field: (N,) int32."""
    n = np.uint64(len(spins))
    signs = np.zeros(fields.shape[1], np.int32)
    for k in range(_64):
        for i in range(n):
            signs[i] = np.int32(1) if (spins[i] >> k) & ONE else np.int32(-1)
        total = np.int64(0)
        for i in range(n):
            inner = np.int32(0)
            for j in range(n):
                inner = np.int32(inner + np.int32(np.int32(steps[i, j] >> 1) * signs[j]))
            fields[k, i] = inner + field[i]
            total -= signs[i] * (np.int64(fields[k, i]) + np.int64(field[i]))
        energy[k] = total // 2
