"""Any graph with couplings and fields of its own, 64 replicas a word: one bit of a word is one replica's spin.

H = - sum_<ij> J_ij s_i s_j - sum_i h_i s_i, with J_ij and h_i whole numbers of a unit.  Sites stand in the order of
their colours; those of one colour are no neighbours, so that any number of them may be updated at the same time.  Each
colour is cut into bands with random streams of their own: the samples do not depend on the number of threads.

A graph is the tuple (first, neighbours, steps, lowest, colour_start).  The neighbours of site i are neighbours[k],
first[i] <= k < first[i + 1]; its local field is lowest[i] where all of them are down, and steps[k] = 2 J more for each
that is up.  Colour c has the sites colour_start[c] ... colour_start[c + 1] - 1.  Neighbours are taken two at a time:
every site has an even number of them, at least two, made up with steps of 0.
"""

import numpy as np
from numba import prange

from ising_mc.kernels._jit import jit, jit_inline, jit_owning, jit_parallel
from ising_mc.kernels.logistic import (
    BILLS,
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
from ising_mc.kernels.tempering import BETAS, NUMBERS, THIN, temper_real

TWO, _4 = np.uint64(2), np.uint64(4)
BYTES = np.uint64(0x0101010101010101)
_8, _255 = np.uint64(8), np.uint64(255)


@jit_inline
def _set_half(lanes, at, lowest, w, x, a, b):
    for k in range(_32):
        lanes[at + k] = np.int32(lowest + where_up(w, k, a) + where_up(x, k, b))


@jit_inline
def _add_half(lanes, at, w, x, a, b):
    for k in range(_32):
        lanes[at + k] = np.int32(lanes[at + k] + where_up(w, k, a) + where_up(x, k, b))


@jit_inline
def local_field(lanes, spins, graph, site):
    """Local fields of one site in all lanes, into the FIELD section."""
    first, neighbours, steps, lowest, _ = graph
    k, last = np.uint64(first[site]), np.uint64(first[site + ONE])
    w, x = spins[np.uint64(neighbours[k])], spins[np.uint64(neighbours[k + ONE])]
    a, b = steps[k], steps[k + ONE]
    _set_half(lanes, FIELD, lowest[site], np.int32(w), np.int32(x), a, b)
    _set_half(lanes, FIELD + _32, lowest[site], np.int32(w >> _32), np.int32(x >> _32), a, b)
    k += TWO
    while k < last:
        w, x = spins[np.uint64(neighbours[k])], spins[np.uint64(neighbours[k + ONE])]
        a, b = steps[k], steps[k + ONE]
        _add_half(lanes, FIELD, np.int32(w), np.int32(x), a, b)
        _add_half(lanes, FIELD + _32, np.int32(w >> _32), np.int32(x >> _32), a, b)
        k += TWO


@jit
def update_sites(spins, graph, scratch, lanes, energy, heat_bath, first, last):
    """Update the sites first ... last - 1, which must not be neighbours, and follow the energies, in units of 2 u."""
    no_bills(lanes)
    for i in range(np.uint64(first), np.uint64(last)):
        second = (i - np.uint64(first)) & ONE  # site of a pair, which shares a draw
        if second == ZERO:
            draw(scratch)
        shift = np.uint32(second << _4)
        local_field(lanes, spins, graph, i)
        word = spins[i]
        low, high, undecided = decide(lanes, word, shift, True) if heat_bath else decide(lanes, word, shift, False)
        if undecided != ZERO:
            more_low, more_high = split(settle(scratch, lanes, word, undecided, heat_bath))
            low, high = np.int32(low | more_low), np.int32(high | more_high)
        spins[i] = word ^ join(low, high)
        pay(lanes, low, high)
        if i % BILLS == ZERO:
            settle_bills(lanes, energy)
    settle_bills(lanes, energy)


@jit
def update_band(spins, graph, scratches, costs, heat_bath, colour, band):
    """Update one band of one colour."""
    first, last = graph[4][colour], graph[4][colour + 1]
    bands = len(scratches)
    start, stop = first + band * (last - first) // bands, first + (band + 1) * (last - first) // bands
    scratch = scratches[band]
    update_sites(spins, graph, scratch, scratch.view(np.int32), costs[band], heat_bath, start, stop)


@jit
def sample(spins, graph, scratches, costs, heat_bath, every, energy, energies, ups, work, counts, ladder):
    """Every `every` sweeps note the energy and the number of up spins of each replica.

    scratches: (bands, SCRATCH_WORDS);  costs: (bands, 64) zeros;  energy: (64,) int64, energies before and after, in
    units;  energies, ups: (measurements, 64) int64 and int32, filled here, as are counts: (measurements, rows, 64), by
    what `observe` does with `work`;  ladder: the plan of `tempering`, empty without.
    """
    for n in range(len(ups)):
        for _ in range(every):
            for colour in range(len(graph[4]) - 1):
                for band in range(len(scratches)):
                    update_band(spins, graph, scratches, costs, heat_bath, colour, band)
        note(spins, costs, energy, energies[n], ups[n])
        counts[n] = 0
        if (n + 1) % ladder[NUMBERS][THIN] == 0:
            observe(spins, work[0], work[1], work[2], work[3], work[4], counts[n])
        if len(ladder[BETAS]):
            temper_real(ladder, n, energies[n], ups[n], scratches)


@jit_parallel
def sample_parallel(spins, graph, scratches, costs, heat_bath, every, energy, energies, ups, work, counts, ladder):
    """The same as `sample`, to the bit, with the bands shared among threads."""
    for n in range(len(ups)):
        for _ in range(every):
            for colour in range(len(graph[4]) - 1):
                for band in prange(len(scratches)):
                    update_band(spins, graph, scratches, costs, heat_bath, colour, band)
        note(spins, costs, energy, energies[n], ups[n])
        counts[n] = 0
        if (n + 1) % ladder[NUMBERS][THIN] == 0:
            observe(spins, work[0], work[1], work[2], work[3], work[4], counts[n])
        if len(ladder[BETAS]):
            temper_real(ladder, n, energies[n], ups[n], scratches)


@jit_owning
def note(spins, costs, energy, energies, ups):
    """Bring the energies up to date, note them, and count the up spins."""
    for band in range(len(costs)):
        for k in range(LANES):
            energy[k] += 2 * costs[band, k]
            costs[band, k] = 0
    energies[:] = energy
    count_ups(spins, ups)


@jit
def count_ups(spins, ups):
    """Up spins of each lane.  Bytes of 64-bit sums count eight lanes at a time, up to 255 words."""
    ups[:] = 0
    for first in range(ZERO, np.uint64(len(spins)), _255):
        last = min(first + _255, np.uint64(len(spins)))
        for bit in range(_8):
            total = ZERO
            for i in range(first, last):
                total += (spins[i] >> bit) & BYTES
            for byte in range(_8):
                ups[_8 * byte + bit] += np.int32((total >> (_8 * byte)) & _255)


@jit
def total_energies(spins, graph, field, scratch, energy):
    """Energies of all lanes from their spins: -1/2 sum_i s_i (f_i + h_i), in units."""
    lanes = scratch.view(np.int32)
    energy[:] = 0
    for i in range(np.uint64(len(spins))):
        local_field(lanes, spins, graph, i)
        for k in range(np.uint64(LANES)):
            term = np.int64(lanes[FIELD + k]) + np.int64(field[i])
            energy[k] -= term if (spins[i] >> k) & ONE else -term
    for k in range(LANES):
        energy[k] //= 2
