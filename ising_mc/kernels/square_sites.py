"""One big square lattice, 64 sites a word: the updates of `square` in parallel bands of rows.

Each band has random streams of its own, so the samples do not depend on the number of threads.  Within one colour of
the checkerboard no band reads what another writes.
"""

import numpy as np
from numba import prange

from ising_mc.kernels._jit import jit, jit_parallel
from ising_mc.kernels.bits import popcount
from ising_mc.kernels.square import half_row, update_colour

ONE = np.uint64(1)


@jit
def count_rows(spins, geometry, sign, first, last):
    """Unsatisfied right and down bonds, and up spins, of rows first ... last - 1: two integers."""
    half = np.uint64(geometry[1] // 2)
    unsatisfied, ups = np.uint64(0), np.uint64(0)
    for row in range(first, last):
        even, odd = np.uint64(half_row(geometry, row, 0)), np.uint64(half_row(geometry, row, 1))
        even_below, odd_below = np.uint64(half_row(geometry, row + 1, 0)), np.uint64(half_row(geometry, row + 1, 1))
        for i in range(half):
            e, o = spins[even + i], spins[odd + i]
            unsatisfied += popcount(e ^ o ^ sign) + popcount(o ^ spins[even + ONE + i] ^ sign)
            unsatisfied += popcount(e ^ spins[even_below + i] ^ sign) + popcount(o ^ spins[odd_below + i] ^ sign)
            ups += popcount(e) + popcount(o)
    return np.int64(unsatisfied), np.int64(ups)


@jit
def sample_sites(spins, geometry, scratches, model, every, unsatisfied, ups):
    """Every `every` sweeps count unsatisfied bonds and up spins: arrays of (measurements,) int64, filled here.

    scratches: (bands, SCRATCH_WORDS), one a band of rows.  With `every` = 0 only the counting is done.
    """
    rows, bands = geometry[0], len(scratches)
    for n in range(len(ups)):
        for _ in range(every):
            for colour in range(2):
                for band in range(bands):
                    first, last = band * rows // bands, (band + 1) * rows // bands
                    update_colour(spins, geometry, scratches[band], model, colour, first, last, 0)
        unsatisfied[n], ups[n] = count_rows(spins, geometry, model[2], 0, rows)


@jit_parallel
def sample_sites_parallel(spins, geometry, scratches, model, every, unsatisfied, ups):
    """The same as `sample_sites`, to the bit, with the bands shared among threads."""
    rows, bands = geometry[0], len(scratches)
    counts = np.zeros((bands, 2), np.int64)
    for n in range(len(ups)):
        for _ in range(every):
            for colour in range(2):
                for band in prange(bands):
                    first, last = band * rows // bands, (band + 1) * rows // bands
                    update_colour(spins, geometry, scratches[band], model, colour, first, last, 0)
        for band in prange(bands):
            first, last = band * rows // bands, (band + 1) * rows // bands
            counts[band, 0], counts[band, 1] = count_rows(spins, geometry, model[2], first, last)
        unsatisfied[n], ups[n] = counts[:, 0].sum(), counts[:, 1].sum()
