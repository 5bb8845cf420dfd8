"""What the kernels could do on this processor, and what share they reach.

For each kernel the 64-bit operations on words and the bytes that one attempt needs are counted from its source, line by
line, with any logic of three words as one operation, as AVX-512 has it (other processors need up to twice as many).
What the processor could do is measured here, not looked up: operations a ns, by a loop of sums and exclusive ors, and
bytes a ns, from the first-level cache and from memory.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from contenders import TC, TC_3D
from contests import lattice
from learners import digits, train
from numba import njit
from recallers import NOISE, recall
from studies import rate, started
from vnni import TILE, TIMES, many_sums

from ising_mc.kernels import bernoulli
from ising_mc.kernels.sums import COLUMNS, TABLE_SIZE
from ising_mc.kernels.xoroshiro import next_bits

LANES = 64
ROUNDS = 7
PLANES = bernoulli.ROUNDS + bernoulli.SHARED_ROUNDS / 4  # random words that an attempt of 64 lanes takes
GENERATOR = 8  # operations of xoroshiro128++ for a word of random bits, a rotation being one
WORD = 8  # bytes
DECISION = 18  # an exponential (20 operations of 32 bits, counted as halves), a comparison, 16 random bits
SLOT_WORDS = 10  # to and from the cache for a word's entering a slot and taking the verdicts


def bits(classes: int) -> float:
    """Operations a word of drawing random bits, what they mean for the thresholds of so many classes, and sharing."""
    a_place = GENERATOR + 1.5 + (classes - 1)  # the verdict; who is open, two places at once; the digits of the classes
    enter, leave = 3 + (classes - 1), 2.5
    return PLANES * a_place + enter + leave


SOURCES = {"cache": "first-level cache", "second": "second-level cache", "memory": "memory"}
OPERATIONS = {
    "logic_operations": "operations",
    "scalar_operations": "operations, none beside another",
    "table_products": "products of a bit and a weight",
    "look_ups": "look-ups in chains",
}


@dataclass(frozen=True)
class Kernel:
    """What an attempt needs; operations: of the kind `operation`; bytes: to and from `source`."""

    name: str
    text: str
    operations: float
    bytes: float
    source: str = "cache"  # or another of SOURCES
    operation: str = "logic_operations"  # or another of OPERATIONS
    settle: int = 10
    measure: Callable[[], float] | None = None  # of attempts a ns, where `text` is no run file
    limit: str = ""  # what else keeps it from the bound
    help: str = ""  # what would make it faster


WORKED = "[grid]\nreplicas = 64\ntemperatures = [{T}]\n[schedule]\nsweeps = 1\n"
SQUARE = bits(2) + 13 + 1  # and: five loads become the number of unsatisfied bonds, that becomes classes; the flip
SQUARE_BYTES = WORD * (17 + SLOT_WORDS + 8 + 3)  # two passes over bits, slots, neighbours and classes, flip
CUBIC = bits(3) + 6 + 12 + 9 + 1
CUBIC_BYTES = WORD * (19 + SLOT_WORDS + 18 + 10 + 3)  # and the six directions are written and read
COIN, COIN_BYTES = GENERATOR + 1, WORD * 8
# of a site, at least: from the neighbour's parent to its label, from there to itself, and the own one's when it turns
LOOK_UPS = 3
WOLFF = 4 * 13 + 12  # operations of a site: on its four bonds; its place in the cluster, and where its neighbours are
HIDDEN = 64
CLUSTER_BYTES = 6 * 4  # parents: read and written as often
TRIED = (
    "Done: nine random words instead of twelve, since four sites share those of the later places; random bits that say where "
    "u differs from its threshold, not u; rows that follow each other in memory, for one loop over many. Tried: the first seven "
    "places in one loop instead of two, .98 times the rate here, 1.05 times on the cubic lattice"
)


def kernels() -> list[Kernel]:
    """The kernels of which the needs are counted."""
    rbm = '[model]\nkind = "boltzmann"\n[machine]\nkind = "restricted"\nvisible = 784\nhidden = 500\nscale = 0.05\n'
    products = 2 * 784 * 500 / (784 + 500)
    dense = f'[lattice]\nkind = "complete"\nsize = [1024]\n[couplings]\nkind = "gaussian"\n{WORKED.format(T=0.5)}'
    dense += '[algorithm]\nkind = "heat_bath"\n'
    flips = flip_share(dense)
    sparse = (
        f'[lattice]\nkind = "random_regular"\nsize = [262144]\ndegree = 4\n[couplings]\nkind = "gaussian"\n'
        f'{WORKED.format(T=1.0)}[algorithm]\nkind = "metropolis"\n'
    )
    one = 'packing = "sites"\n'
    return [
        Kernel("square, L = 128, 64 replicas a word", lattice("square", 128, TC, "metropolis"), SQUARE / LANES,
               SQUARE_BYTES / LANES, limit="shifts, of which only one a cycle can be done; lanes left to settle; copies between short rows", help=TRIED),
        Kernel("square, L = 128, heat bath", lattice("square", 128, TC, "heat_bath"), (SQUARE + COIN) / LANES,
               (SQUARE_BYTES + COIN_BYTES) / LANES, limit="the same", help="the same"),
        Kernel("square, L = 2048, 64 sites a word", lattice("square", 2048, TC, "metropolis", 1, one), SQUARE / LANES,
               SQUARE_BYTES / LANES, limit="the same", help="the same"),
        Kernel("cubic, L = 32, 64 replicas a word", lattice("cubic", 32, TC_3D, "metropolis"), CUBIC / LANES,
               CUBIC_BYTES / LANES, limit="lanes left to settle, neighbours by way of the scratch array",
               help="neighbours read where they are needed, on lattices whose rows are long"),
        Kernel("square, L = 128, Swendsen-Wang", lattice("square", 128, TC, "swendsen_wang"), LOOK_UPS, CLUSTER_BYTES, "second",
               operation="look_ups", limit="four chains at once, those of the replicas side by side; ways to a label that are longer; jumps not foretold",
               help="more replicas side by side, while their parents fit into the cache"),
        Kernel("square, L = 128, Wolff", lattice("square", 128, TC, "wolff"), WOLFF, 10, settle=60,
               operation="scalar_operations", limit="jumps that cannot be foretold: bonds are open at random",
               help="several clusters side by side, of different replicas"),
        Kernel("RBM 784 x 500, block Gibbs", rbm + WORKED.format(T=1.0), products, 2 * 4 * products / LANES,
               operation="table_products", limit="tables are filled anew for each tile of 64 chains; the logistic function",
               help="longer tiles; 8-bit products (VNNI) were measured and are slower (vnni.py)"),
        Kernel("fully connected, N = 1024, T = 0.5", dense, DECISION + 1024 * flips, 1024 * flips * WORD, "second", settle=100,
               limit=f"{flips:.3f} flips an attempt change 1024 fields each; the decision itself: an exponential and a random "
               "number for each attempt, flip or not, one site after the other",
               help="skipping sites that cannot flip, by a bound on the random numbers (as `recall` skips stable units)"),
        Kernel("random 4-regular graph, N = 2^18, Gaussian J", sparse, DECISION + 4, (4 * (8 + 8) + 8) / LANES, "memory",
               limit="one site after the other, each of which waits for its decision before the next is begun",
               help="field sums of bit planes instead of numbers, for couplings of few bits"),
        recalls(1024, 102),
        Kernel(f"PCD-1 on digits, {HIDDEN} hidden units; an attempt: an example", "", 5 * 64 * HIDDEN, 64 * HIDDEN * 4 / 10,
               operation="table_products", measure=examples,
               limit="logistic functions, outer products of gradients, monitors after each epoch", help="fewer monitors"),
    ]  # fmt: skip


def recalls(N: int, P: int) -> Kernel:
    """Recall from new cues: fields by P products a unit, and a row of couplings for each unit that turns."""
    work, visits = recall(N, P).work, 0.0
    for _ in range(5):
        visits += work(1)
    sweeps = visits / (5 * LANES * N)
    changes = (P + NOISE * N) / sweeps  # of numbers of 32 bits, two a word: converted, multiplied, added
    return Kernel(
        f"Hopfield recall, N = {N}, P = {P}, new cues", "", 1.5 * changes, 2 * NOISE * N / sweeps, "second",
        measure=lambda: pace(lambda: work(5), visits), limit=f"cues are made in Python, for {sweeps:.1f} sweeps of each",
        help="cues that are kept (HOPFIELD.md)",
    )  # fmt: skip


def examples() -> float:
    """Examples a ns of learning."""
    work, number = train(HIDDEN).work, len(digits()[0])
    return pace(lambda: work(50), 50 * number)


@njit
def scalar_loop(times: int) -> Any:
    """Sixteen operations on eight numbers that the compiler cannot put side by side."""
    a, b, c, d = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(4)
    e, f, g, h = np.uint64(5), np.uint64(6), np.uint64(7), np.uint64(8)
    for k in range(np.uint64(times)):
        a += b ^ k
        e = (e | f) + k
        b = (b << np.uint64(3)) ^ c
        f -= e >> np.uint64(7)
        c -= a >> np.uint64(5)
        g ^= f << np.uint64(1)
        d ^= b + c
        h += g & e
    return a ^ b ^ c ^ d ^ e ^ f ^ g ^ h


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
    """Sixteen operations on words in the first-level cache, no two of which a processor can do as one."""
    for _ in range(times):
        for k in range(np.uint64(len(out))):
            x, y, z = a[k], b[k], out[k]
            for _ in range(4):
                x = (x + y) ^ z
                y = (y + z) ^ x
            out[k] = y


@njit
def look_up_loop(table: Any, times: int) -> int:
    """Twelve chains of look-ups side by side: more do not help."""
    a, b, c, d, e, f = 0, 1, 2, 3, 4, 5
    g, h, i, j, k, m = 6, 7, 8, 9, 10, 11
    for _ in range(times):
        a, b, c, d, e, f = table[a], table[b], table[c], table[d], table[e], table[f]
        g, h, i, j, k, m = table[g], table[h], table[i], table[j], table[k], table[m]
    return a ^ b ^ c ^ d ^ e ^ f ^ g ^ h ^ i ^ j ^ k ^ m


@njit
def copy_loop(a: Any, out: Any, times: int) -> None:
    for _ in range(times):
        for k in range(np.uint64(len(out))):
            out[k] = a[k] + np.uint64(1)


def pace(job: Callable[[], None], amount: float) -> float:
    """Amount a ns, median of rounds."""
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
    middle, middle_out = np.zeros(2**15, np.uint64), np.zeros(2**15, np.uint64)  # half a megabyte in all
    big, other = np.zeros(2**25, np.uint64), np.zeros(2**25, np.uint64)
    table = np.zeros(int(TABLE_SIZE), np.int32)
    sums, states = np.zeros(LANES * int(COLUMNS), np.int32), rng.integers(0, 2**32, LANES).astype(np.uint64)
    order, links = rng.permutation(2**15), np.zeros(2**15, np.int64)  # a quarter of a megabyte
    links[order] = np.roll(order, -1)
    words = pace(lambda: generator_loop(a, b, out, times), 2 * n * times)
    return {
        "random_words": words,
        "generator_operations": words * GENERATOR,
        "logic_operations": pace(lambda: logic_loop(a, b, out, times), 16 * n * times),
        "cache_bytes": pace(lambda: copy_loop(a, out, times), 16 * n * times),
        "second_bytes": pace(lambda: copy_loop(middle, middle_out, times // 30), 16 * len(middle) * (times // 30)),
        "memory_bytes": pace(lambda: copy_loop(big, other, 1), 16 * len(big)),
        "scalar_operations": pace(lambda: scalar_loop(n * times // 4), 16 * (n * times // 4)),
        "look_ups": pace(lambda: look_up_loop(links, n * times // 30), 12 * (n * times // 30)),
        "table_products": pace(lambda: many_sums(sums, table, states, TIMES // 10), TILE * LANES * TIMES // 10),
    }


def study(quick: bool) -> Any:
    """Kernels, what bounds them, and what share of that they reach."""
    found, rows = ceilings(), []
    for own in kernels():
        reached = own.measure() if own.measure else rate(own.text, settle=own.settle)["rate"]
        bounds = {
            OPERATIONS[own.operation]: found[own.operation] / own.operations,
            f"bytes, {SOURCES[own.source]}": found[f"{own.source}_bytes"] / own.bytes,
        }
        bound, most = min(bounds.items(), key=lambda item: item[1])
        rows.append({
            "name": own.name, "rate": reached, "operations": own.operations, "operation": OPERATIONS[own.operation],
            "bytes": own.bytes, "source": SOURCES[own.source],
            "bound": bound, "most": most, "share": reached / most, "limit": own.limit, "help": own.help,
        })  # fmt: skip
    return {"ceilings": found, "rows": rows, "bits": found["random_words"] * LANES / PLANES}


def flip_share(text: str) -> float:
    """Flips an attempt of a fully connected system in equilibrium."""
    _, sampler = started(text, settle=200)
    before = sampler.get_spins()
    sampler.sweep(1)
    return float(np.bitwise_count(before ^ sampler.get_spins()).sum() / (LANES * len(before)))
