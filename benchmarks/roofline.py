"""What the kernels could do on this processor, and what share they reach.

For each kernel the operations that one attempt needs are counted from its source, in vector operations on whole
registers, and the bytes that it must move.  What the processor could do is measured here, not looked up: 64-bit integer
operations a ns, by a loop of the kind that dominates each kernel, and bytes a ns, from the first-level cache and from
memory.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from contenders import TC, TC_3D
from contests import lattice
from numba import njit
from studies import rate
from vnni import TILE, TIMES, many_sums

from ising_mc.kernels import bernoulli
from ising_mc.kernels.sums import COLUMNS, TABLE_SIZE
from ising_mc.kernels.xoroshiro import next_bits

LANES = 64
ROUNDS = 7
PLANES = bernoulli.ROUNDS + bernoulli.SHARED_ROUNDS / 4  # random words that an attempt of 64 lanes takes
GENERATOR = 12  # operations of xoroshiro128++ for a word of random bits
# What else an attempt does, by the source of the kernel; and what was tried, in copies of the package whose rates were
# taken in turn.
LIMITS = {
    "square, L = 128, 64 replicas a word": "the comparison itself, neighbours' sums, the lanes left to settle.  Of the "
    "twelve words that it took, four words a site now share five in eight: 1.1 to 1.2 times as fast; fewer without "
    "sharing (10, 8, 6) gave 0.97, 0.83 and 0.72 times the rate (EPYC, Zen 4, 2026-11-26)",
    "cubic, L = 32, 64 replicas a word": "sums of six neighbours bit by bit, three thresholds to compare each random bit "
    "with; sharing gave 1.13 to 1.18 times the rate",
    "fully connected, N = 1024, T = 0.5": "the decision: a local field, an exponential and a random number for each "
    "attempt, flip or not, one site after the other",
    "random 4-regular graph, N = 2^18, Gaussian J": "not memory: sums of real fields in 64 lanes, an exponential and 16 "
    "random bits for each attempt",
}


@njit
def generator_loop(a: Any, b: Any, out: Any, times: int) -> None:
    """Two words each time that a state is in registers, as the kernels do."""
    for _ in range(times):
        for k in range(np.uint64(len(out))):
            x, c, d = next_bits(a[k], b[k])
            y, a[k], b[k] = next_bits(c, d)
            out[k] = x ^ y


@njit
def logic_loop(a: Any, b: Any, out: Any, times: int) -> None:
    """Eight operations on words in the first-level cache."""
    for t in range(times):
        for k in range(np.uint64(len(out))):
            x, y = a[k], b[k]
            out[k] ^= ((x & y) | (x ^ np.uint64(t))) + ((x << np.uint64(3)) ^ (y >> np.uint64(5)))


@njit
def copy_loop(a: Any, out: Any, times: int) -> None:
    for _ in range(times):
        for k in range(np.uint64(len(out))):
            out[k] = a[k] + np.uint64(1)


def best(job: Callable[[], None], amount: float) -> float:
    """Median of amount a ns."""
    job()
    found = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        job()
        found.append(amount / (time.perf_counter() - began) / 1e9)
    return statistics.median(found)


def ceilings() -> dict[str, float]:
    """What one core of this processor does in a ns."""
    n, times = 512, 20_000
    rng = np.random.default_rng(1)
    a, b, out = (rng.integers(0, 2**63, n).astype(np.uint64) for _ in range(3))
    big, other = np.zeros(2**25, np.uint64), np.zeros(2**25, np.uint64)
    table = np.zeros(int(TABLE_SIZE), np.int32)
    sums, states = np.zeros(LANES * int(COLUMNS), np.int32), rng.integers(0, 2**32, LANES).astype(np.uint64)
    words = best(lambda: generator_loop(a, b, out, times), 2 * n * times)
    return {
        "random_words": words,
        "generator_operations": words * GENERATOR,
        "logic_operations": best(lambda: logic_loop(a, b, out, times), 8 * n * times),
        "cache_bytes": best(lambda: copy_loop(a, out, times), 16 * n * times),
        "memory_bytes": best(lambda: copy_loop(big, other, 1), 16 * len(big)),
        "table_products": best(lambda: many_sums(sums, table, states, TIMES // 10), TILE * LANES * TIMES // 10),
    }


def study(quick: bool) -> Any:
    """Kernels, what bounds them, and what share of that they reach."""
    found = ceilings()
    rows = []

    def add(name: str, text: str, bound: str, most: float, **options: Any) -> None:
        reached = rate(text, **options)["rate"]
        limit = LIMITS.get(name, "")
        rows.append(
            {"name": name, "rate": reached, "bound": bound, "most": most, "share": reached / most, "limit": limit}
        )

    random = found["random_words"] * LANES / PLANES  # attempts/ns if nothing but their random bits were drawn
    text = f"{PLANES:.0f} random words an attempt of 64 lanes"
    add("square, L = 128, 64 replicas a word", lattice("square", 128, TC, "metropolis"), text, random)
    add(
        "square, L = 2048, 64 sites a word",
        lattice("square", 2048, TC, "metropolis", 1, 'packing = "sites"\n'),
        text,
        random,
    )
    add("cubic, L = 32, 64 replicas a word", lattice("cubic", 32, TC_3D, "metropolis"), text, random)
    worked = "[grid]\nreplicas = 64\ntemperatures = [{T}]\n[schedule]\nsweeps = 1\n"
    rbm = '[model]\nkind = "boltzmann"\n[machine]\nkind = "restricted"\nvisible = 784\nhidden = 500\nscale = 0.05\n'
    products = 2 * 784 * 500 / (784 + 500)
    add("RBM 784 x 500, block Gibbs", rbm + worked.format(T=1.0), f"{products:.0f} products a unit by tables",
        found["table_products"] / products)  # fmt: skip
    dense = f'[lattice]\nkind = "complete"\nsize = [1024]\n[couplings]\nkind = "gaussian"\n{worked.format(T=0.5)}'
    flips = flip_share(dense)
    moved = 1024 * flips * 8  # each flip reads and writes 1024 fields of 4 bytes, of one replica
    add("fully connected, N = 1024, T = 0.5", dense + '[algorithm]\nkind = "heat_bath"\n',
        f"{flips:.3f} flips an attempt, each 8 bytes for all 1024 fields, from the cache", found["cache_bytes"] / moved,
        settle=100)  # fmt: skip
    sparse = (
        f'[lattice]\nkind = "random_regular"\nsize = [262144]\ndegree = 4\n[couplings]\nkind = "gaussian"\n'
        f'{worked.format(T=1.0)}[algorithm]\nkind = "metropolis"\n'
    )
    per_site = (4 * (8 + 8) + 8) / LANES  # four neighbours: a word of spins and a bond each, and the own word
    add("random 4-regular graph, N = 2^18, Gaussian J", sparse, f"{per_site:.2f} bytes an attempt from memory",
        found["memory_bytes"] / per_site)  # fmt: skip
    return {"ceilings": found, "rows": rows}


def flip_share(text: str) -> float:
    """Flips an attempt of a fully connected system in equilibrium."""
    from studies import started

    _, sampler = started(text + '[algorithm]\nkind = "heat_bath"\n', settle=200)
    before = sampler.get_spins()
    sampler.sweep(1)
    return float(np.bitwise_count(before ^ sampler.get_spins()).sum() / (LANES * len(before)))
