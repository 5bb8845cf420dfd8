"""Swendsen-Wang updates of any graph, 64 replicas a word (Swendsen and Wang, Phys. Rev. Lett. 58, 86, 1987).

Each satisfied bond is opened with probability 1 - exp(-2|J|/T); sites joined by open bonds are a cluster (Fortuin and
Kasteleyn, Physica 57, 536, 1972), and each cluster is turned with probability 1/2.  Site 0 is the ghost spin: it is
always up, a field h_i is its bond to site i, and its cluster is never turned.

Bonds stand in the order of their later sites.  They are opened for all replicas at once, bit-sliced.  Clusters are then
found by union-find, a few replicas (`SIDE`) interleaved, so that the processor need not wait for memory: a label is
the smallest site of its cluster, and a site that hangs on the one before it, as half of them do in a lattice, takes
over its label without a search.
"""

import numpy as np
from numba import prange

from ising_mc.kernels._jit import jit, jit_inline, jit_owning, jit_parallel
from ising_mc.kernels.bernoulli import (
    BELOW,
    BLOCK,
    CLASS_0,
    NEED,
    OPEN,
    PLAIN_ROUNDS,
    STATE_A,
    STATE_B,
    THRESHOLD_BITS,
    ZERO,
)
from ising_mc.kernels.classes import tally
from ising_mc.kernels.observe import observe
from ising_mc.kernels.sparse import count_ups
from ising_mc.kernels.xoroshiro import next_bits

ONE = np.uint64(1)
B = np.uint64(BLOCK)
THRESHOLD = CLASS_0  # section of the scratch array of `bernoulli`: the threshold of each bond
SIDE = np.uint64(4)  # replicas side by side: half of a byte
GROUPS = 8  # bytes of a word, which threads may share
BYTES = np.uint64(8)
TOP = np.uint64(THRESHOLD_BITS - 1)
SIZE = np.int64(1 << 32)  # what a site adds to the sum of its cluster, beside its spin
LOWER, UPPER = 0, 1
MOMENTS = 5  # <M^2>, <M^4>, sum of squared sizes, largest size, number of clusters


# --- opening bonds ------------------------------------------------------------------------------------------------


@jit_inline
def _digit(threshold, k):
    """Binary digit k of a threshold, most significant first, for all lanes."""
    return ZERO - ((threshold >> (TOP - np.uint64(k))) & ONE)


@jit
def _decide(scratch, words):
    """u < t for the NEED lanes of `words` words with a threshold each, into BELOW; see `bernoulli`."""
    for j in range(words):
        scratch[BELOW + j], scratch[OPEN + j] = ZERO, scratch[NEED + j]
    for k in range(PLAIN_ROUNDS - 1, 0, -2):
        for j in range(words):
            t, below, undecided = scratch[THRESHOLD + j], scratch[BELOW + j], scratch[OPEN + j]
            differ, a, b = next_bits(scratch[STATE_A + j], scratch[STATE_B + j])
            below, undecided = (differ & _digit(t, k)) | (~differ & below), undecided & ~differ
            differ, a, b = next_bits(a, b)
            below, undecided = (differ & _digit(t, k - 1)) | (~differ & below), undecided & ~differ
            scratch[STATE_A + j], scratch[STATE_B + j] = a, b
            scratch[BELOW + j], scratch[OPEN + j] = below, undecided
    for j in range(words):
        undecided, k = scratch[OPEN + j], PLAIN_ROUNDS
        while undecided != ZERO and k < THRESHOLD_BITS:
            differ, scratch[STATE_A + j], scratch[STATE_B + j] = next_bits(scratch[STATE_A + j], scratch[STATE_B + j])
            scratch[BELOW + j] |= undecided & differ & _digit(scratch[THRESHOLD + j], k)
            undecided &= ~differ
            k += 1


@jit
def open_bonds(spins, bonds, kinds, signs, thresholds, scratch, opened, first, last):
    """Open the bonds `first` ... `last` - 1 in all lanes."""
    for at in range(np.uint64(first), np.uint64(last), B):
        words = min(B, np.uint64(last) - at)
        for j in range(words):
            kind = np.uint64(kinds[at + j])
            lower, upper = np.uint64(bonds[at + j, LOWER]), np.uint64(bonds[at + j, UPPER])
            scratch[NEED + j] = ~(spins[lower] ^ spins[upper] ^ signs[kind])
            scratch[THRESHOLD + j] = thresholds[kind]
        _decide(scratch, words)
        for j in range(words):
            opened[at + j] = scratch[BELOW + j] & scratch[NEED + j]


@jit
def toss(scratch, coins, first, last):
    """A coin for each site `first` ... `last` - 1 and lane."""
    for at in range(np.uint64(first), np.uint64(last), B):
        for j in range(min(B, np.uint64(last) - at)):
            coins[at + j], scratch[STATE_A + j], scratch[STATE_B + j] = next_bits(
                scratch[STATE_A + j], scratch[STATE_B + j]
            )


@jit
def prepare_band(spins, graph, thresholds, scratch, opened, coins, band, bands):
    """Open the bonds and toss the coins of one band."""
    first, bonds, _, kinds, signs = graph
    m, n = len(bonds), len(first) - 1
    open_bonds(spins, bonds, kinds, signs, thresholds, scratch, opened, band * m // bands, (band + 1) * m // bands)
    toss(scratch, coins, band * n // bands, (band + 1) * n // bands)


# --- finding clusters ---------------------------------------------------------------------------------------------


@jit
def link(first, bonds, chained, opened, parents, lane):
    """Join the sites of the replicas from `lane` on: parents[SIDE * i + k] leads towards the smallest site, as indices.

    A parent never stands behind its child.
    """
    lowers = bonds[:, LOWER]
    for k in range(SIDE):
        parents[k] = np.uint32(k)
    for i in range(ONE, np.uint64(len(first) - 1)):
        chain, end = np.uint64(first[i]), np.uint64(first[i + ONE])
        begin = chain + chained[i]
        hanging = (opened[chain] & (ZERO - chained[i])) >> lane  # on the site before, whose label is a root
        for k in range(SIDE):
            own = SIDE * i + k
            root = own ^ ((own ^ np.uint64(parents[own - SIDE])) & (ZERO - ((hanging >> k) & ONE)))
            parents[own] = np.uint32(own)
            for e in range(begin, end):
                joins = (opened[e] >> (lane + k)) & ONE
                label = np.uint64(parents[SIDE * np.uint64(lowers[e]) + k])
                label = root ^ ((root ^ label) & (ZERO - joins))
                other = np.uint64(parents[label])
                while other != label:
                    label = other
                    other = np.uint64(parents[label])
                parents[max(other, root)] = np.uint32(min(other, root))
                root = min(other, root)
            parents[own] = np.uint32(root)


@jit_inline
def _turn(spins, parents, coins, sums, counts, lane, measure):
    """Turn clusters by their coins; parents become 2 * (number of the cluster) + coin.

    spins: bytes;  with `measure` (a literal) sums[SIDE * cluster + k] is added to: size times 2**32, and total spin.
    """
    byte, shift = lane >> np.uint64(3), lane & np.uint64(7)
    for k in range(SIDE):
        parents[k] = 0  # the ghost's cluster has number 0, and is not turned
        counts[k] = 1
    for i in range(ONE, np.uint64(len(coins))):
        spin, coin = np.uint64(spins[BYTES * i + byte]) >> shift, coins[i] >> lane
        turned = ZERO
        for k in range(SIDE):
            own = SIDE * i + k
            parent = np.uint64(parents[own])
            is_root = np.uint64(parent == own)
            label, new = np.uint64(parents[parent]), (np.uint64(counts[k]) << ONE) | ((coin >> k) & ONE)
            label ^= (label ^ new) & (ZERO - is_root)
            counts[k] += np.int64(is_root)
            parents[own] = np.uint32(label)
            turned |= (label & ONE) << k
            if measure:
                sums[SIDE * (label >> ONE) + k] += SIZE - np.int64(1) + np.int64(((spin >> k) & ONE) << ONE)
        spins[BYTES * i + byte] ^= np.uint8(turned << shift)


@jit
def turn(spins, parents, coins, sums, counts, lane, measure):
    """`_turn`, with and without measuring."""
    if measure:
        _turn(spins, parents, coins, sums, counts, lane, True)
    else:
        _turn(spins, parents, coins, sums, counts, lane, False)


@jit
def take_moments(sums, counts, moments, lane):
    """Improved estimators of the replicas from `lane` on, into moments (MOMENTS, 64); clears the sums.

    Given the bonds, clusters point up or down independently, but for the ghost's: <M^2> and <M^4> are averages over
    all these states.
    """
    for k in range(SIDE):
        ghost_square = ghost_size = second = fourth = squares = largest = 0.0
        for c in range(np.uint64(counts[k])):
            total = sums[SIDE * c + k]
            sums[SIDE * c + k] = 0
            spin = np.int64(np.int32(total))
            size, square = np.float64((total - spin) >> 32), np.float64(spin) ** 2
            squares += size * size
            largest = max(largest, size)
            if c == ZERO:
                ghost_size, ghost_square = size, square
            else:
                second += square
                fourth += square * square
        out = lane + k
        moments[0, out] = ghost_square + second
        moments[1, out] = ghost_square**2 + 6 * ghost_square * second + 3 * second * second - 2 * fourth
        moments[2, out], moments[3, out] = squares, largest
        moments[4, out] = counts[k] - (1 if ghost_size == 0 else 0)


@jit
def take_waves(spins, parents, waves, sums, counts, moments, lane):
    """Improved structure factors: for each wave, the sum over clusters of (sum over its sites of wave_i s_i)^2.

    waves: (waves, sites), 0 for the ghost;  moments: (MOMENTS + waves, 64);  sums: float64, as many as parents.
    """
    byte, shift = lane >> np.uint64(3), lane & np.uint64(7)
    for w in range(len(waves)):
        for i in range(ONE, np.uint64(waves.shape[1])):
            spin, wave = np.uint64(spins[BYTES * i + byte]) >> shift, waves[w, i]
            for k in range(SIDE):
                label = np.uint64(parents[SIDE * i + k]) >> ONE
                sums[SIDE * label + k] += wave if (spin >> k) & ONE else -wave
        for k in range(SIDE):
            total = 0.0
            for c in range(np.uint64(counts[k])):
                total += sums[SIDE * c + k] ** 2
                sums[SIDE * c + k] = 0.0
            moments[MOMENTS + w, lane + k] = total


@jit
def turn_group(spins, graph, opened, coins, work, waves, moments, group, measure):
    """Find and turn the clusters of the replicas of one byte of the words."""
    first, bonds, chained, _, _ = graph
    parents, sums, wave_sums, counts = work
    for half in range(np.uint64(2)):
        lane = BYTES * np.uint64(group) + SIDE * half
        link(first, bonds, chained, opened, parents, lane)
        turn(spins, parents, coins, sums, counts, lane, measure)
        if measure:
            take_moments(sums, counts, moments, lane)
            take_waves(spins, parents, waves, wave_sums, counts, moments, lane)


# --- energies -----------------------------------------------------------------------------------------------------


@jit_owning
def take_energies(spins, bonds, kinds, signs, moduli, alike, energy):
    """Energies (64,) of all lanes, in units: - sum over bonds of J s s.

    moduli: |J| of each kind of bond, in units;  alike: whether all of them are one.
    """
    scratch = np.empty(BLOCK, np.uint64)
    unsatisfied = np.zeros(64, np.int64)
    total = np.int64(0)
    for at in range(ZERO, np.uint64(len(bonds)), B):
        words = min(B, np.uint64(len(bonds)) - at)
        for j in range(words):
            kind = np.uint64(kinds[at + j])
            total += moduli[kind]
            scratch[j] = spins[bonds[at + j, LOWER]] ^ spins[bonds[at + j, UPPER]] ^ signs[kind]
        if alike:
            tally(scratch, ZERO, words, unsatisfied)
            continue
        for j in range(words):
            word, modulus = scratch[j], moduli[kinds[at + j]]
            for lane in range(np.uint64(64)):
                unsatisfied[lane] += modulus & -np.int64((word >> lane) & ONE)
    weight = moduli[0] if alike and len(moduli) else np.int64(1)
    for lane in range(64):
        energy[lane] = 2 * weight * unsatisfied[lane] - total


@jit
def note(spins, graph, energetics, energy, ups, work, counts):
    """Energies, numbers of up spins, and what else is observed of one state."""
    _, bonds, _, kinds, signs = graph
    moduli, alike = energetics
    take_energies(spins, bonds, kinds, signs, moduli, alike, energy)
    count_ups(spins[1:], ups)
    counts[:] = 0
    observe(spins, work[0], work[1], work[2], work[3], work[4], counts)


# --- sweeps -------------------------------------------------------------------------------------------------------


@jit_owning
def sample(
    spins, graph, thresholds, energetics, scratches, opened, coins, works, groups, waves, every, energies, ups, moments,
    watch, counts,
):  # fmt: skip
    """Every `every` sweeps measure; with `every` = 0 only that.

    spins: (n + 1,) words, the ghost first;  graph: first bond of each site (n + 2,), bonds (m, 2), chained (n + 1,):
    whether the first bond of a site is to the one before, kinds (m,), signs (kinds,) words;  thresholds: (kinds,), of
    62 bits;  scratches: (bands, bernoulli.SCRATCH_WORDS);  opened: (m + 1,) words;  coins: (n + 1,) words;  works: for
    each thread parents (SIDE * (n + 1),) uint32, sums int64 and float64 zeros, counts (SIDE,);  groups: of 8 replicas
    that are wanted.
    energies, ups: (measurements, 64), moments: (measurements, MOMENTS + waves, 64), counts: see `observe`; filled here.
    """
    byte_spins = spins.view(np.uint8)
    for n in range(len(ups)):
        for k in range(every):
            for band in range(len(scratches)):
                prepare_band(spins, graph, thresholds, scratches[band], opened, coins, band, len(scratches))
            for group in range(groups):
                turn_group(byte_spins, graph, opened, coins, _own(works, 0), waves, moments[n], group, k == every - 1)
        note(spins, graph, energetics, energies[n], ups[n], watch, counts[n])


@jit_owning
def _own(works, thread):
    parents, sums, wave_sums, counts = works
    return parents[thread], sums[thread], wave_sums[thread], counts[thread]


@jit_parallel
def sample_parallel(
    spins, graph, thresholds, energetics, scratches, opened, coins, works, groups, waves, every, energies, ups, moments,
    watch, counts,
):  # fmt: skip
    """The same as `sample`, to the bit, with bands of bonds and groups of replicas shared among threads."""
    byte_spins = spins.view(np.uint8)
    threads = len(works[0])
    for n in range(len(ups)):
        for k in range(every):
            for band in prange(len(scratches)):
                prepare_band(spins, graph, thresholds, scratches[band], opened, coins, band, len(scratches))
            for thread in prange(threads):
                for group in range(thread, groups, threads):
                    turn_group(
                        byte_spins, graph, opened, coins, _own(works, thread), waves, moments[n], group, k == every - 1
                    )
        note(spins, graph, energetics, energies[n], ups[n], watch, counts[n])
