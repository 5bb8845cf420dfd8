"""Isoenergetic cluster moves (Houdayer, Eur. Phys. J. B 22, 479, 2001) between two replicas at one temperature.

From a random site where the replicas differ, a cluster grows over all bonds to sites where they differ as well; in it
they exchange their spins.  The sum of their energies stays the same, with any couplings and fields, and so does every
cluster: the way back is as likely as the way there.
"""

import numpy as np

from ising_mc.kernels._jit import jit
from ising_mc.kernels.xoroshiro import next_bits


@jit
def exchange_clusters(spins, first, ends, pairs, state, queue, seen):
    """One move of each pair of lanes.

    spins: (n,) words;  first, ends: the graph as `graphs.adjacency` makes it;  pairs: (pairs, 2) uint64;  state: (2,)
    uint64 of a generator;  queue: (n,) int32 and seen: (n,) uint8 zeros, for a while.
    """
    n = len(spins)
    a, b = state[0], state[1]
    for p in range(len(pairs)):
        one, other = pairs[p, 0], pairs[p, 1]
        number = 0
        for i in range(n):
            if ((spins[i] >> one) ^ (spins[i] >> other)) & np.uint64(1):
                queue[number] = i
                number += 1
        if number == 0:
            continue
        bits, a, b = next_bits(a, b)
        queue[0] = queue[np.int64(np.float64(bits >> np.uint64(11)) * 2.0**-53 * number)]
        both = (np.uint64(1) << one) | (np.uint64(1) << other)
        seen[queue[0]] = 1
        begin, end = 0, 1
        while begin < end:
            i = queue[begin]
            begin += 1
            for e in range(first[i], first[i + 1]):
                j = ends[e]
                if seen[j] == 0 and ((spins[j] >> one) ^ (spins[j] >> other)) & np.uint64(1):
                    seen[j] = 1
                    queue[end] = j
                    end += 1
        for k in range(end):
            spins[queue[k]] ^= both
            seen[queue[k]] = 0
    state[0], state[1] = a, b
