"""What can be seen of a state beside its energy and magnetization: counts over groups of sites and bonds, lane by lane.

Work is a list of chunks of at most `CHUNK` sites or bonds.  Each adds to one row of the result, for each lane: the up
spins of its sites (UPS); its unsatisfied bonds (BONDS); the sites where two replicas, of lanes 2k and 2k + 1, differ
(OVERLAP, in lane 2k); the bonds on which they differ (LINKS); or, for real couplings, the sum of J_ij s_i s_j
(WEIGHTED).
"""

import numpy as np

from ising_mc.kernels._jit import jit, jit_owning
from ising_mc.kernels.bernoulli import ZERO
from ising_mc.kernels.bits import popcount
from ising_mc.kernels.classes import tally
from ising_mc.kernels.transpose import transpose

CHUNK = 128
UPS, BONDS, OVERLAP, LINKS, WEIGHTED = range(5)
ONE = np.uint64(1)


@jit_owning
def observe(spins, chunks, first, second, weight, pairs, out):
    """Observe one state.

    spins: (n,) words;  chunks: (chunks, 4) int64: kind, first entry, entries, row;  first, second: (entries,) int32,
    the sites, or the ends of the bonds;  weight: (entries,) int64, J of the bond in units of the sampler, where only
    its sign counts but for WEIGHTED;  pairs: (pairs, 2), the lanes to compare where they are not 2k and 2k + 1: pair p
    then goes to lane 2p;  out: (rows, 64) int64, added to.
    """
    scratch = np.empty(CHUNK, np.uint64)
    for c in range(len(chunks)):
        kind, at, count, row = chunks[c, 0], chunks[c, 1], chunks[c, 2], chunks[c, 3]
        if kind == WEIGHTED:
            _add_weighted(spins, first, second, weight, at, count, out[row])
            continue
        for k in range(count):
            word = spins[first[at + k]]
            if kind in (BONDS, LINKS):
                word ^= spins[second[at + k]]
            if kind == BONDS and weight[at + k] < 0:
                word = ~word
            if kind in (OVERLAP, LINKS) and len(pairs) == 0:
                word ^= word >> ONE
            scratch[k] = word
        if kind in (OVERLAP, LINKS) and len(pairs) > 0:
            _compare_pairs(scratch, count, pairs, out[row])
            continue
        tally(scratch, ZERO, np.uint64(count), out[row])


@jit
def _compare_pairs(scratch, count, pairs, out):
    """Count where the two lanes of each pair differ, in up to 128 words, which are turned over."""
    scratch[count:] = ZERO
    for half in range(0, count, 64):
        block = scratch[half : half + 64]
        transpose(block)
        for p in range(len(pairs)):
            out[2 * p] += np.int64(popcount(block[pairs[p, 0]] ^ block[pairs[p, 1]]))


@jit
def _add_weighted(spins, first, second, weight, at, count, out):
    for k in range(at, at + count):
        differ = spins[first[k]] ^ spins[second[k]]
        J = weight[k]
        for lane in range(np.uint64(64)):
            out[lane] += J - 2 * J * np.int64((differ >> lane) & ONE)
