"""Sums over time series (replica, sweep).

What is summed are deviations d(r, s) = sum_k slope_k (x_k(r, s) - centre_k) from means: of one series, or of a function
of several, linearised around them.  They are made piece by piece, and never written to memory as a whole.

In all kernels series is a tuple of K arrays, (replica, sweep) float64 each;  slopes, centres: (K) float64.
"""

import numpy as np

from ising_mc.kernels._jit import jit_sums

LAGS = 8  # taken together: each load of d(s) serves so many
TILE = 2048  # sweeps that stay in the first-level cache for all lags, and whose float32 sums are exact enough
PADDING = 16  # rows are filled up with zeros to a multiple of this, one vector


@jit_sums
def look_through(x, sums):
    """Mean of a series x, (replica, sweep) float64; sum of squared deviations from it; and whether all are one value.

    sums: (replica) float64, overwritten with the sums of deviations of each replica.
    """
    replicas, n = x.shape
    first, total = x[0, 0], 0.0  # from there differences are small, and those of a constant series exactly 0
    for r in range(replicas):
        row, of_row = x[r], 0.0
        for s in range(n):
            of_row += row[s] - first
        total += of_row
    centre, squares = first + total / (replicas * n), 0.0
    for r in range(replicas):
        row, of_row = x[r], 0.0
        for s in range(n):
            deviation = row[s] - centre
            of_row += deviation
            squares += deviation * deviation
        sums[r] = of_row
    return centre, squares, _is_constant(x)


@jit_sums
def _is_constant(x):
    for row in x:
        for value in row:
            if value != x[0, 0]:
                return False
    return True


@jit_sums
def sum_blocks(series, slopes, centres, edges, sums):
    """Sum d over sweeps edges[b] to edges[b + 1] of each replica, and its square over all of them.

    edges: (blocks + 1) int64;  sums: (replica, blocks) float64, overwritten.  Returns the sum of squares.
    """
    replicas, n = series[0].shape
    d = np.empty(n)
    squares = 0.0
    for r in range(replicas):
        for b in range(len(edges) - 1):
            block, total = d[: edges[b + 1] - edges[b]], 0.0
            _deviations(series, slopes, centres, r, edges[b], block)
            for s in range(len(block)):
                total += block[s]
                squares += block[s] * block[s]
            sums[r, b] = total
    return squares


@jit_sums
def add_lagged_products(series, slopes, centres, first, products):
    """Add d(r, s) d(r, s + first + t) to products[t], for all t; d is zero behind the end of its replica.

    products: (t) float64, a multiple of LAGS.  Products are float32, so d should be of the size of 1.
    """
    replicas, n = series[0].shape
    last = -(-n // PADDING) * PADDING
    exact, d = np.empty(TILE), np.zeros(last + first + len(products), np.float32)
    for r in range(replicas):
        for begin in range(0, n, TILE):
            tile = exact[: min(TILE, n - begin)]
            _deviations(series, slopes, centres, r, begin, tile)
            d[begin : begin + len(tile)] = tile
        for begin in range(0, last, TILE):
            end = min(begin + TILE, last)
            for t in range(0, len(products), LAGS):
                for k, product in enumerate(_eight_lags(d[begin:end], d[begin + first + t :])):
                    products[t + k] += product


@jit_sums
def _deviations(series, slopes, centres, r, first, d):
    """Write d(r, first + s) of replica r to d[s], for all s."""
    x, slope, centre = series[0][r, first:], slopes[0], centres[0]
    for s in range(len(d)):
        d[s] = slope * (x[s] - centre)
    for k in range(1, len(series)):
        x, slope, centre = series[k][r, first:], slopes[k], centres[k]
        for s in range(len(d)):
            d[s] += slope * (x[s] - centre)


@jit_sums
def _eight_lags(d, later):
    """Sums over s of d(s) later(s + k) for k < 8."""
    later0, later1, later2, later3 = later, later[1:], later[2:], later[3:]
    later4, later5, later6, later7 = later[4:], later[5:], later[6:], later[7:]
    sum0 = sum1 = sum2 = sum3 = sum4 = sum5 = sum6 = sum7 = np.float32(0)
    for s in range(len(d)):
        now = d[s]
        sum0 += now * later0[s]
        sum1 += now * later1[s]
        sum2 += now * later2[s]
        sum3 += now * later3[s]
        sum4 += now * later4[s]
        sum5 += now * later5[s]
        sum6 += now * later6[s]
        sum7 += now * later7[s]
    return sum0, sum1, sum2, sum3, sum4, sum5, sum6, sum7
