"""Local updates while the temperature falls: every sweep has one of its own, the same for all replicas.

Sweep for sweep the same updates as in `packed`, `sparse` and `dense`, but in one call for many sweeps and without
counting: on a small system a call for each sweep would take ten times as long as the sweep.
"""

import numpy as np
from numba import prange

from ising_mc.kernels import dense, logistic, packed, sparse
from ising_mc.kernels._jit import jit, jit_owning, jit_parallel


@jit_owning
def cool_packed(spins, blocks, tables, patterns, model, thresholds, bands, scratches, counters, width, unsatisfied):
    """One sweep with each of `thresholds` (sweeps, classes, 62); model: as of `packed.sample`.

    unsatisfied: (moduli, 64), of no use here.
    """
    colours, shares = bands.shape[0], bands.shape[1] - 1
    taken = np.zeros(2, np.int64)
    for k in range(len(thresholds)):
        own = (thresholds[k], model[1], model[2])
        for colour in range(colours):
            for band in range(shares):
                packed.sweep_blocks(
                    spins, blocks, tables, patterns, own, scratches[band], counters[band], width, taken, unsatisfied,
                    bands[colour, band : band + 2], False,
                )  # fmt: skip


@jit_parallel
def cool_packed_parallel(
    spins, blocks, tables, patterns, model, thresholds, bands, scratches, counters, width, unsatisfied
):
    """The same as `cool_packed`, to the bit, with the bands shared among threads."""
    colours, shares = bands.shape[0], bands.shape[1] - 1
    taken = np.zeros((shares, 2), np.int64)
    for k in range(len(thresholds)):
        own = (thresholds[k], model[1], model[2])
        for colour in range(colours):
            for band in prange(shares):
                packed.sweep_blocks(
                    spins, blocks, tables, patterns, own, scratches[band], counters[band], width, taken[band],
                    unsatisfied, bands[colour, band : band + 2], False,
                )  # fmt: skip


@jit
def set_lanes(scratches, limit, scale, scale_low):
    """Set the temperature of all lanes of all bands, as `real.set_temperatures` does."""
    for band in range(len(scratches)):
        integers, floats = scratches[band].view(np.int32), scratches[band].view(np.float32)
        for lane in range(logistic.LANES):
            k = np.uint64(lane)
            integers[logistic.LIMIT + k] = limit
            floats[logistic.SCALE + k] = scale
            floats[logistic.SCALE_LOW + k] = scale_low


@jit
def cool_sparse(spins, graph, scratches, costs, heat_bath, limits, scales, scales_low):
    """One sweep at each of some temperatures, given by LIMIT, SCALE and SCALE_LOW of `logistic`, (sweeps,) each."""
    for k in range(len(limits)):
        set_lanes(scratches, limits[k], scales[k], scales_low[k])
        for colour in range(len(graph[4]) - 1):
            for band in range(len(scratches)):
                sparse.update_band(spins, graph, scratches, costs, heat_bath, colour, band)


@jit_parallel
def cool_sparse_parallel(spins, graph, scratches, costs, heat_bath, limits, scales, scales_low):
    """The same as `cool_sparse`, to the bit, with the bands shared among threads."""
    for k in range(len(limits)):
        set_lanes(scratches, limits[k], scales[k], scales_low[k])
        for colour in range(len(graph[4]) - 1):
            for band in prange(len(scratches)):
                sparse.update_band(spins, graph, scratches, costs, heat_bath, colour, band)


@jit
def cool_dense(spins, steps, fields, work, cost, heat_bath, used, limits, scales, scales_low):
    """One sweep at each of some temperatures; work, cost: as of `dense.sample`."""
    for k in range(len(limits)):
        set_lanes(work[3].reshape(1, -1), limits[k], scales[k], scales_low[k])
        dense.sweep(spins, steps, fields, work, cost, heat_bath, used)
