"""Block Gibbs sampling of 64 chains: units of one block are not coupled, so all of them are drawn at once.

H = - sum_{i<j} J_ij s_i s_j - sum_i h_i s_i with whole numbers of a unit, as in `kernels.dense`.  A restricted machine
has two blocks, a layered one as many as layers, a coloured graph as many as colours.

*Fields.*  With s = 2 u - 1 the local fields of a block are f = h - sum_j J_j + sum_j 2 J_j u_j: rows of 2 J are added
up where u_j = 1, by `kernels.sums`.  Sums of integers are exact.

*Bits.*  A chain has a row of words, in which each block begins with a word of its own; bit 1 is s = +1.
"""

import numpy as np

from ising_mc.kernels._jit import jit, jit_inline, jit_owning
from ising_mc.kernels.logistic import (
    COST,
    FIELD,
    LANES,
    LIMIT,
    ONE,
    SCALE,
    SCALE_LOW,
    ZERO,
    _32,
    decide,
    draw,
    join,
    settle,
    split,
    where_up,
)
from ising_mc.kernels.observe import observe
from ising_mc.kernels.sparse import count_ups
from ising_mc.kernels.sums import COLUMNS, add_chosen, make_table
from ising_mc.kernels.tempering import BETAS, NUMBERS, THIN, temper_real
from ising_mc.kernels.transpose import transpose

_4, _64 = np.uint64(4), np.uint64(64)


@jit
def fields_of_tile(bits, machine, block, tile, sums, table):
    """Local fields of 64 units of a block, number `tile` of it, in all chains: sums (64 * 64,), chain by chain."""
    blocks, sources, source_first, offsets, steps, base, _ = machine
    rows = _64 * (source_first[block + ONE] - source_first[block])
    for half in range(np.uint64(2)):
        start = _64 * (blocks[block] + tile) + COLUMNS * half
        for c in range(_64):
            for j in range(COLUMNS):
                sums[c * _64 + half * COLUMNS + j] = base[start + j]
        row = offsets[block] + (np.uint64(2) * tile + half) * rows
        for s in range(source_first[block], source_first[block + ONE]):
            word = sources[s]
            for shift in range(ZERO, _64, _32):
                make_table(table, steps, row, ZERO)
                row += _32
                for c in range(_64):
                    add_chosen(sums, c * _64 + half * COLUMNS, table, bits[c, word] >> shift)


@jit_inline
def energy_of(lanes, low, high):
    """What the lanes that turned cost together, in units of 2 u."""
    total = np.int64(0)
    for k in range(_32):
        total += np.int64(where_up(low, k, lanes[COST + k])) + np.int64(where_up(high, k, lanes[COST + _32 + k]))
    return total


@jit
def draw_tile(bits, word, mask, sums, scratches, energy):
    """Draw 64 units of a block in all chains by heat bath, from their local fields; follow energies in 2 u.

    scratches: (2, SCRATCH_WORDS): generators and one chain at a time;  temperatures of the chains.
    """
    scratch = scratches[0]
    lanes, chains = scratch.view(np.int32), scratches[1].view(np.int32)
    mask_low, mask_high = split(mask)
    for c in range(_64):
        limit, scale, scale_low = chains[LIMIT + c], chains[SCALE + c], chains[SCALE_LOW + c]
        for k in range(_64):
            lanes[FIELD + k] = sums[c * _64 + k]
            lanes[LIMIT + k] = limit
            lanes[SCALE + k] = scale
            lanes[SCALE_LOW + k] = scale_low
        if c & ONE == ZERO:  # a draw serves two chains
            draw(scratch)
        own = bits[c, word]
        low, high, undecided = decide(lanes, own, np.uint32((c & ONE) << _4), True)
        if undecided != ZERO:
            more_low, more_high = split(settle(scratch, lanes, own, undecided, True))
            low, high = np.int32(low | more_low), np.int32(high | more_high)
        low, high = np.int32(low & mask_low), np.int32(high & mask_high)
        energy[c] += energy_of(lanes, low, high)
        bits[c, word] = own ^ join(low, high)


@jit
def sweep(bits, machine, work, scratches, energy):
    """Draw every unit of all chains once, block by block.

    bits: (64, words) uint64;  machine: what `boltzmann.BlockTables` makes: words where blocks begin (blocks + 1,);
    words that are sources; where those of each block begin (blocks + 1,); where its rows begin in `steps`; these (rows,
    32), 2 J, int32, one tile of 32 columns after the other; h - sum J (64 * words,); which bits are
    units (words,);  work: sums (64 * 64,) and table (TABLE_SIZE,), int32.
    """
    blocks, masks = machine[0], machine[6]
    sums, table = work
    for block in range(np.uint64(len(blocks) - 1)):
        for word in range(blocks[block], blocks[block + ONE]):
            fields_of_tile(bits, machine, block, word - blocks[block], sums, table)
            draw_tile(bits, word, masks[word], sums, scratches, energy)


@jit_owning
def sample(bits, machine, work, cost, scratches, every, energy, energies, ups, watch, observed, ladder):
    """Every `every` sweeps note the energy and the number of up spins of each chain; see `dense.sample`."""
    spins = np.zeros(bits.shape[1] * LANES, np.uint64)
    for n in range(len(ups)):
        for _ in range(every):
            sweep(bits, machine, work, scratches, cost)
        for k in range(LANES):
            energy[k] += 2 * cost[k]
            cost[k] = 0
        energies[n] = energy
        to_words(bits, spins)
        count_ups(spins, ups[n])
        observed[n] = 0
        if (n + 1) % ladder[NUMBERS][THIN] == 0:
            observe(spins, watch[0], watch[1], watch[2], watch[3], watch[4], observed[n])
        if len(ladder[BETAS]):
            temper_real(ladder, n, energies[n], ups[n], scratches)


@jit_owning
def to_words(bits, spins):
    """Rows of chains (64, words) as words of units (64 * words,)."""
    for w in range(np.uint64(bits.shape[1])):
        tile = spins[w * _64 : (w + ONE) * _64]
        tile[:] = bits[:, w]
        transpose(tile)


@jit_owning
def from_words(spins, bits):
    """Words of units as rows of chains."""
    tile = np.empty(LANES, np.uint64)
    for w in range(np.uint64(bits.shape[1])):
        tile[:] = spins[w * _64 : (w + ONE) * _64]
        transpose(tile)
        bits[:, w] = tile


@jit
def count_units(spins, lanes, sums):
    """Add to sums (n, 64) int64 the bits of words (n,), those of lane lanes[k] to column k."""
    for i in range(np.uint64(len(spins))):
        word = spins[i]
        for k in range(_64):
            sums[i, k] += np.int64((word >> lanes[k]) & ONE)


@jit
def total_energies(bits, machine, work, fields, energy):
    """Energies (64,) of all chains in units, from their spins; fields: (64 * words,) int32, h of each unit."""
    blocks, masks = machine[0], machine[6]
    sums, table = work
    energy[:] = 0
    for block in range(np.uint64(len(blocks) - 1)):
        for word in range(blocks[block], blocks[block + ONE]):
            fields_of_tile(bits, machine, block, word - blocks[block], sums, table)
            for c in range(_64):
                total = np.int64(0)
                for k in range(_64):
                    if (masks[word] >> k) & ONE:
                        both = np.int64(sums[c * _64 + k]) + np.int64(fields[word * _64 + k])
                        total += both if (bits[c, word] >> k) & ONE else -both
                energy[c] -= total
    for c in range(_64):
        energy[c] //= 2
