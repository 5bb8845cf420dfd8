"""From bonds to the tables that the kernels walk along: neighbours, colours, blocks, and stretches of memory.

All of it takes time proportional to the number of bonds, and no more memory than the tables themselves.
"""

import numpy as np

from ising_mc.kernels._jit import jit, jit_owning

UNCOLOURED = np.uint8(255)
MOST_COLOURS = 255


@jit_owning
def adjacency(n, bonds):
    """Neighbours of each site as compressed rows: first (n + 1,) int64, ends (2m,) int32, entries (2m,) uint32.

    An entry is 2 * bond at the first end of a bond (whose neighbour is the second end), 2 * bond + 1 at the second.
    """
    first = np.zeros(n + 1, np.int64)
    for k in range(len(bonds)):
        first[bonds[k, 0] + 1] += 1
        first[bonds[k, 1] + 1] += 1
    for i in range(n):
        first[i + 1] += first[i]
    ends, entries = np.empty(2 * len(bonds), np.int32), np.empty(2 * len(bonds), np.uint32)
    place = first[:n].copy()
    for k in range(len(bonds)):
        for side in range(2):
            i = bonds[k, side]
            ends[place[i]] = bonds[k, 1 - side]
            entries[place[i]] = 2 * k + side
            place[i] += 1
    return first, ends, entries


@jit_owning
def surroundings(first, entries, number):
    """How many entries of each kind a site has: (n, kinds) uint8; number: (2m,) uint8, the kind of each entry."""
    counts = np.zeros((len(first) - 1, 1 + number.max()), np.uint8)
    for i in range(len(first) - 1):
        for e in range(first[i], first[i + 1]):
            counts[i, number[entries[e]]] += 1
    return counts


@jit_owning
def colour(n, first, ends):
    """A colour for each site, (n,) uint8, such that no neighbours have the same; all 255 where that takes too many.

    Greedy, in the order of a breadth-first search, which needs only two colours wherever two are enough.
    """
    colours = np.full(n, UNCOLOURED, np.uint8)
    queue = np.empty(n, np.int32)
    seen = np.zeros(n, np.uint8)
    taken = np.full(MOST_COLOURS + 1, -1, np.int64)
    end = 0
    for root in range(n):
        if seen[root]:
            continue
        begin = end
        queue[end], seen[root] = root, 1
        end += 1
        while begin < end:
            i = queue[begin]
            begin += 1
            for e in range(first[i], first[i + 1]):
                j = ends[e]
                taken[colours[j]] = i
                if not seen[j]:
                    queue[end], seen[j] = j, 1
                    end += 1
            c = 0
            while c < MOST_COLOURS and taken[c] == i:
                c += 1
            if c == MOST_COLOURS:
                colours[:] = UNCOLOURED
                return colours
            colours[i] = c
    return colours


@jit_owning
def is_balanced(first, ends, negative):
    """Whether spins can satisfy every bond; negative: (2m,), of each entry of `adjacency`."""
    n = len(first) - 1
    spin = np.zeros(n, np.int8)  # 0: not seen
    queue = np.empty(n, np.int32)
    for root in range(n):
        if spin[root]:
            continue
        begin, end = 0, 1
        queue[0], spin[root] = root, 1
        while begin < end:
            i = queue[begin]
            begin += 1
            for e in range(first[i], first[i + 1]):
                wanted = -spin[i] if negative[e] else spin[i]
                if spin[ends[e]] == 0:
                    spin[ends[e]] = wanted
                    queue[end] = ends[e]
                    end += 1
                elif spin[ends[e]] != wanted:
                    return False
    return True


@jit_owning
def arrange(signs, groups, first, ends, entries, order, rank, blocks, degrees, patterns, neighbours, flips):
    """Neighbours of every block, direction by direction, one after the other in memory where possible.

    signs: (m,) uint8, 1 for J < 0;  groups: (2m,) uint8, of each entry of `adjacency`: neighbours of one group may
    swap their directions;  order, rank: sites sorted for the kernels, and the inverse;  blocks: (blocks, 3) int64:
    first site, sites, place in `neighbours`;  degrees: (blocks,);  patterns: (blocks, directions): the group of each
    direction.
    neighbours: (2m,) uint32 and flips: (blocks, directions, words) uint64 (bit i: that of site i), filled here.
    """
    width = patterns.shape[1]
    previous, targets = np.empty(width, np.int64), np.empty(width, np.int64)
    own_groups, own_signs = np.empty(width, np.uint8), np.empty(width, np.uint8)
    used, given = np.empty(width, np.uint8), np.empty(width, np.uint8)
    for b in range(len(blocks)):
        start, words, offset = blocks[b, 0], blocks[b, 1], blocks[b, 2]
        degree = degrees[b]
        previous[:] = -2
        for i in range(words):
            at = first[order[start + i]]
            for e in range(degree):
                entry = entries[at + e]
                targets[e] = rank[ends[at + e]]
                own_groups[e], own_signs[e] = groups[entry], signs[entry >> 1]
            used[:degree] = 0
            given[:degree] = 0
            for anyhow in range(2):  # first what goes on from the site before, then the rest in order
                for d in range(degree):
                    if given[d]:
                        continue
                    for e in range(degree):
                        goes_on = targets[e] == previous[d] + 1
                        if used[e] or own_groups[e] != patterns[b, d] or not (anyhow or goes_on):
                            continue
                        used[e] = given[d] = 1
                        previous[d] = targets[e]
                        neighbours[offset + d * words + i] = targets[e]
                        flips[b, d, i >> 6] |= np.uint64(own_signs[e]) << np.uint64(i & 63)
                        break


@jit
def stretches(blocks, degrees, neighbours, shortest, places, runs):
    """Where the neighbours of a block stand in stretches of `shortest` words or more on average, list these instead.

    places: (blocks, directions, 2) int64, filled here: the first stretch and their number, or the first entry in
    `neighbours` and 0;  runs: (any, 2) uint32: where a stretch ends in the block, and in memory.
    Returns the numbers of stretches and of neighbours left; `neighbours` is compacted in place.
    With runs of length 0 nothing but that is counted.
    """
    count, kept = 0, 0
    for b in range(len(blocks)):
        words, offset = blocks[b, 1], blocks[b, 2]
        for d in range(degrees[b]):
            at = offset + d * words
            breaks = 1
            for i in range(1, words):
                breaks += np.int64(neighbours[at + i]) != np.int64(neighbours[at + i - 1]) + 1
            if breaks * shortest <= words:
                if len(runs):
                    places[b, d, 0], places[b, d, 1] = count, breaks
                    k = count
                    for i in range(1, words + 1):
                        if i == words or np.int64(neighbours[at + i]) != np.int64(neighbours[at + i - 1]) + 1:
                            runs[k, 0], runs[k, 1] = i, neighbours[at + i - 1] + 1
                            k += 1
                count += breaks
            else:
                if len(runs):
                    places[b, d, 0], places[b, d, 1] = kept, 0
                    for i in range(words):
                        neighbours[kept + i] = neighbours[at + i]
                kept += words
    return count, kept
