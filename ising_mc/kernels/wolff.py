"""Wolff updates of any graph (Wolff, Phys. Rev. Lett. 62, 361, 1989), replica by replica.

From a random site a cluster grows over satisfied bonds, each with probability 1 - exp(-2|J|/T), and is turned.  Site 0
is the ghost spin, which carries the field (see `clusters`): a cluster that reaches it stays as it was.

The spins of a replica are the lowest bits of bytes in a row of their own.  Where there are but few patterns of
neighbours, as on lattices, the other bits tell which one a site has: no table of all neighbours is needed, which for
large lattices would come from memory.

A sweep is a number of clusters that does not depend on what happens in it: to stop after so many sites would favour
large clusters.
"""

import numpy as np
from llvmlite import ir
from numba import prange, types
from numba.core import cgutils
from numba.extending import intrinsic

from ising_mc.kernels._jit import jit, jit_inline, jit_owning, jit_parallel
from ising_mc.kernels.bernoulli import ZERO
from ising_mc.kernels.clusters import note
from ising_mc.kernels.transpose import transpose
from ising_mc.kernels.xoroshiro import next_bits

ONE = np.uint64(1)
LOW = np.uint64(0xFFFFFFFF)
_4, _6, _32, _64 = np.uint64(4), np.uint64(6), np.uint64(32), np.uint64(64)
GENERATORS = np.uint64(32)  # of a replica
STATE_B = GENERATORS
STATE_WORDS = 64
DRAWN = 128  # numbers of 32 bits in stock
AHEAD = np.uint64(8)  # sites of a cluster between asking for their neighbours and their turn
FRACTION = 256  # of a cluster, in which they are counted
MEMORY = np.uint64(6)
MOMENTS = 2  # <M^2>, mean size


@jit_owning
def to_rows(words, rows, classes):
    """Replicas in words (sites,) to a row of bytes each, (64, sites); above the spin the class of a site, if any."""
    block = np.empty(64, np.uint64)
    for at in range(ZERO, np.uint64(len(words)), _64):
        count = min(_64, np.uint64(len(words)) - at)
        block[count:] = ZERO
        block[:count] = words[at : at + count]
        transpose(block)
        for lane in range(_64):
            bits = block[lane]
            for j in range(count):
                rows[lane, at + j] = np.uint8((bits >> j) & ONE)
            if len(classes):
                for j in range(count):
                    rows[lane, at + j] |= np.uint8(classes[at + j] << ONE)


@jit_owning
def to_words(rows, words):
    """The way back."""
    block = np.empty(64, np.uint64)
    for at in range(ZERO, np.uint64(len(words)), _64):
        count = min(_64, np.uint64(len(words)) - at)
        for lane in range(_64):
            bits = ZERO
            for j in range(count):
                bits |= (np.uint64(rows[lane, at + j]) & ONE) << j
            block[lane] = bits
        transpose(block)
        words[at : at + count] = block[:count]


@intrinsic
def prefetch(typing_context, array, index):
    """Ask for array[index] to be brought into the cache, without waiting for it; the index is not checked."""

    def generate(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        address = builder.bitcast(builder.gep(data, [arguments[1]]), byte)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        builder.call(function, [address, number(0), number(3), number(1)])  # to read; keep; data
        return context.get_dummy_value()

    return types.void(array, index), generate


@jit
def refill(state, drawn):
    """Draw 128 numbers of 32 bits; drawn: (64,) words."""
    for k in range(ZERO, np.uint64(DRAWN // 2), GENERATORS):
        for j in range(GENERATORS):
            drawn[k + j], state[j], state[STATE_B + j] = next_bits(state[j], state[STATE_B + j])


@jit_inline
def _turn(row, site, turned):
    """Turn one spin where `turned` is 1."""
    row[site] ^= np.uint8(turned)


@jit_inline
def _up(row, site):
    return np.uint64(row[site]) & ONE


@jit_inline
def _draw_site(state, drawn, numbers, at, sites):
    """A random site from 1 on, of 53 random bits, and the place in the stock."""
    if at + ONE >= np.uint64(DRAWN):
        refill(state, drawn)
        at = ZERO
    bits = (np.uint64(numbers[at]) << _32) | np.uint64(numbers[at + ONE])
    return ONE + np.uint64(np.float64(bits >> np.uint64(11)) * 2.0**-53 * np.float64(sites)), at + ONE + ONE


@jit_inline
def _visit(
    row, marks, table, begin, add, shift, thresholds, only, numbers, at, cluster, size, own, count, one, few, frustrated
):
    """Try `count` bonds of a site, whose spin `own` has turned; the sites that join turn, too.  Returns the new size.

    table: entries of neighbours from `begin` on;  few: whether `add` is to be added to them, within 32 bits;  one:
    whether there is one modulus |J|;  frustrated: see `grow`.  The last three are literals.
    """
    shift = ONE if one else shift
    mask = (ONE << shift) - ONE
    for k in range(count):
        k = np.uint64(k)
        entry = np.uint64(table[begin + k])
        if few:
            entry = (entry + add) & LOW
        other, kind = entry >> shift, entry & mask
        threshold = only if one else thresholds[kind >> ONE]
        joins = (own ^ _up(row, other) ^ (kind & ONE)) & np.uint64(numbers[at + k] < threshold)
        if frustrated:
            joins &= ~_up(marks, other)
            _turn(marks, other, joins)
        _turn(row, other, joins)
        cluster[size] = np.uint32(other)
        size += joins
    return size


@jit_inline
def _grow(row, marks, graph, thresholds, state, drawn, at, cluster, one, few, frustrated):
    """See `grow`; one, few, frustrated: literals."""
    first, neighbours, shift, degree, _, steps = graph
    numbers, stock, only = drawn.view(np.uint32), np.uint64(DRAWN), thresholds[0]
    seed, at = _draw_site(state, drawn, numbers, at, np.uint64(len(row) - 1))
    _turn(row, seed, ONE)
    if frustrated:
        _turn(marks, seed, ONE)
    cluster[0] = np.uint32(seed)
    head, size = ZERO, ONE
    ghost = _up(row, ZERO)
    while head < size and (one or _up(row, ZERO) == ghost):
        site = np.uint64(cluster[head])
        later = np.uint64(cluster[head + AHEAD])  # whatever stands there, it is a site
        head += ONE
        own = _up(row, site)
        prefetch(row, later)
        if one:  # the table has `degree` entries a site, or a class of sites
            if at + degree > stock:
                refill(state, drawn)
                at = ZERO
            if few:
                table, begin, add = steps, (np.uint64(row[site]) >> ONE) * degree, site << ONE
            else:
                prefetch(neighbours, later * degree)
                table, begin, add = neighbours, site * degree, ZERO
            if degree == _4:  # numbers of neighbours that LLVM knows are twice as fast
                size = _visit(
                    row, marks, table, begin, add, shift, thresholds, only, numbers, at, cluster, size, own, 4,
                    one, few, frustrated,
                )  # fmt: skip
            elif degree == _6:
                size = _visit(
                    row, marks, table, begin, add, shift, thresholds, only, numbers, at, cluster, size, own, 6,
                    one, few, frustrated,
                )  # fmt: skip
            else:
                size = _visit(
                    row, marks, table, begin, add, shift, thresholds, only, numbers, at, cluster, size, own, degree,
                    one, few, frustrated,
                )  # fmt: skip
            at += degree
            continue
        begin, end = np.uint64(first[site]), np.uint64(first[site + ONE])
        while begin < end:
            if at == stock:
                refill(state, drawn)
                at = ZERO
            count = min(end - begin, stock - at)
            size = _visit(
                row, marks, neighbours, begin, ZERO, shift, thresholds, only, numbers, at, cluster, size, own, count,
                one, False, frustrated,
            )  # fmt: skip
            at += count
            begin += count
    if frustrated:
        for k in range(size):
            _turn(marks, np.uint64(cluster[k]), ONE)
    if not one and _up(row, ZERO) != ghost:
        for k in range(size):
            _turn(row, np.uint64(cluster[k]), ONE)
    return size, at


@jit
def grow(row, marks, graph, thresholds, state, drawn, at, cluster):
    """Grow and turn a cluster; its sites are then in `cluster`.  Returns their number, and the place in the stock.

    A bond is open where a number of 32 bits is below its threshold: probabilities are exact to 2**-33.  A site that has
    turned no longer looks as if it were to join, unless the system is frustrated: `marks`, a row of zeros, is then
    needed to tell, and empty otherwise.
    """
    one, few, frustrated = graph[3] != ZERO, len(graph[4]) > 0, len(marks) > 0
    if not one:
        if frustrated:
            return _grow(row, marks, graph, thresholds, state, drawn, at, cluster, False, False, True)
        return _grow(row, marks, graph, thresholds, state, drawn, at, cluster, False, False, False)
    if few:
        if frustrated:
            return _grow(row, marks, graph, thresholds, state, drawn, at, cluster, True, True, True)
        return _grow(row, marks, graph, thresholds, state, drawn, at, cluster, True, True, False)
    if frustrated:
        return _grow(row, marks, graph, thresholds, state, drawn, at, cluster, True, False, True)
    return _grow(row, marks, graph, thresholds, state, drawn, at, cluster, True, False, False)


@jit
def take_moments(row, cluster, size, waves, moments, lane):
    """Add what one cluster says of <M^2>, of the mean size, and of the structure factors, to moments (rows, 64).

    A cluster is met with a probability proportional to its size, hence the quotient.
    """
    spin = np.int64(0)
    for k in range(size):
        spin += np.int64(_up(row, np.uint64(cluster[k])) << ONE) - 1
    moments[0, lane] += np.float64(spin) ** 2 / np.float64(size)
    moments[1, lane] += np.float64(size)
    for w in range(len(waves)):
        total = 0.0
        for k in range(size):
            site = np.uint64(cluster[k])
            total += waves[w, site] if _up(row, site) else -waves[w, site]
        moments[MOMENTS + w, lane] += total**2 / np.float64(size)


@jit
def sweep_replica(row, marks, graph, thresholds, state, drawn, cluster, clusters, waves, moments, lane, measure):
    """Turn so many clusters; what they say of the moments is averaged over them."""
    at = np.uint64(DRAWN)  # what is left in stock is thrown away, so that a sweep depends on the state alone
    for _ in range(clusters):
        size, at = grow(row, marks, graph, thresholds, state, drawn, at, cluster)
        if measure:
            take_moments(row, cluster, size, waves, moments, lane)
    if measure:
        sites = np.float64(len(row) - 1)
        for w in range(len(moments)):
            moments[w, lane] *= (1.0 if w == 1 else sites) / clusters


@jit
def settle_replica(row, marks, graph, thresholds, state, drawn, cluster, done, lane):
    """Turn clusters until N sites were visited: for thermalization, where the choice of what is seen does not matter.

    done: (2, 64) uint64: sites visited and clusters, sums that forget all but the last 2**MEMORY sweeps or so.  Their
    ratio is the mean size of a cluster (Wald's equation), which the mean over sweeps of such ratios is not.
    """
    sites, visited, clusters, at = np.int64(len(row) - 1), np.int64(0), np.int64(0), np.uint64(DRAWN)
    while visited < sites:
        size, at = grow(row, marks, graph, thresholds, state, drawn, at, cluster)
        visited += np.int64(size)
        clusters += 1
    done[0, lane] += np.uint64(visited) - (done[0, lane] >> MEMORY)
    done[1, lane] += np.uint64(FRACTION * clusters) - (done[1, lane] >> MEMORY)


@jit
def sweep_some(
    rows, marks, graph, thresholds, states, drawn, cluster, clusters, done, waves, moments, measure, own, last
):
    """Sweep the replicas own ... last - 1; with clusters = 0, `settle_replica`."""
    for lane in range(own, last):
        if clusters == 0:
            settle_replica(rows[lane], marks, graph, thresholds, states[lane], drawn, cluster, done, lane)
        else:
            sweep_replica(
                rows[lane],
                marks,
                graph,
                thresholds,
                states[lane],
                drawn,
                cluster,
                clusters,
                waves,
                moments,
                lane,
                measure,
            )


@jit
def sample(
    spins, rows, bond_graph, graph, thresholds, energetics, states, works, clusters, done, replicas, waves, every,
    energies, ups, moments, watch, counts,
):  # fmt: skip
    """Every `every` sweeps of so many `clusters` measure; with clusters = 0 thermalise, and count in `done`.

    spins: (n + 1,) words, the ghost first;  rows: (64, words) as scratch;  bond_graph, energetics: for `clusters.note`;
    graph: first neighbour of each site (n + 2,) uint32, neighbours (2m,): the site, moved left by `shift` bits, twice
    the number of |J|, and 1 for J < 0; shift; and, where there is one |J| and the table is filled up to so many
    neighbours of each site, by bonds of sites with themselves, this degree, otherwise 0; the class of each site
    (n + 1,) uint8, or nothing where there are many, and for each class the entries of its neighbours minus twice the
    site, (classes * degree,) uint32;
    thresholds: (numbers of |J|,), of 2**32;  states: (64, STATE_WORDS);  works: for each thread the stock (64,) uint64,
    sites of a cluster (n + 2 + 2 * AHEAD,) uint32, and marks, a row or nothing;  done: (2, 64) uint64, see
    `settle_replica`;  replicas: that are wanted.
    moments: (measurements, MOMENTS + waves, 64), filled here, as the rest is: see `clusters.sample`.
    """
    to_rows(spins, rows, graph[4])
    for n in range(len(ups)):
        moments[n] = 0.0
        for k in range(every):
            sweep_some(
                rows, works[2][0], graph, thresholds, states, works[0][0], works[1][0], clusters, done, waves,
                moments[n], k == every - 1, 0, replicas,
            )  # fmt: skip
        to_words(rows, spins)
        note(spins, bond_graph, energetics, energies[n], ups[n], watch, counts[n])


@jit_parallel
def sample_parallel(
    spins, rows, bond_graph, graph, thresholds, energetics, states, works, clusters, done, replicas, waves, every,
    energies, ups, moments, watch, counts,
):  # fmt: skip
    """The same as `sample`, to the bit, with replicas shared among threads."""
    threads = len(works[0])
    to_rows(spins, rows, graph[4])
    for n in range(len(ups)):
        moments[n] = 0.0
        for k in range(every):
            for thread in prange(threads):
                sweep_some(
                    rows, works[2][thread], graph, thresholds, states, works[0][thread], works[1][thread], clusters,
                    done, waves, moments[n], k == every - 1, thread * replicas // threads,
                    (thread + 1) * replicas // threads,
                )  # fmt: skip
        to_words(rows, spins)
        note(spins, bond_graph, energetics, energies[n], ups[n], watch, counts[n])
