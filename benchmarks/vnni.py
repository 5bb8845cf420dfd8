"""Whole-number products of an AVX-512 VNNI unit beside sums from tables: why `kernels.blocks` has the latter.

    python benchmarks/vnni.py

Weights of 16 bits, as two slices of 8 bits, take two VPDPBUSD for 64 products of a unit's bit and a weight; tables
(`kernels.sums`) hold weights of 30 bits.  Both loops here do nothing else, with all operands in registers or the
first-level cache: the most that either could do.
"""

import statistics
import time
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import njit, types
from numba.extending import intrinsic

from ising_mc.kernels.sums import COLUMNS, TABLE_SIZE, add_chosen
from ising_mc.provenance import cpu_model

ROUNDS, TIMES = 9, 20_000
ACCUMULATORS = 8  # independent sums, more than the latency needs
STEPS = 16  # that they stay in registers for
CHAINS = 64
TILE = int(COLUMNS) * 32  # products of one call of add_chosen


@intrinsic
def dot_products(typing_context, sums, bits, weights):
    """Sums (8 * 16,) int32 += bits (16 * 64,) uint8 times weights (8 * 64,) int8 by VPDPBUSD, four products each."""

    def generate(context, builder, signature, arguments):
        data = [
            context.make_array(kind)(context, builder, own).data
            for kind, own in zip(signature.args, arguments, strict=True)
        ]
        wide = ir.VectorType(ir.IntType(32), 16)
        kind = ir.FunctionType(wide, [wide, wide, wide])
        instruction = builder.module.declare_intrinsic("llvm.x86.avx512.vpdpbusd.512", (), kind)

        def vector(k: int, place: int, size: int) -> Any:
            start = builder.gep(data[k], [ir.IntType(64)(place * size)])
            return builder.bitcast(start, wide.as_pointer())

        weight = [builder.load(vector(2, k, 64), align=1) for k in range(ACCUMULATORS)]
        total = [builder.load(vector(0, k, 16), align=4) for k in range(ACCUMULATORS)]
        for step in range(STEPS):
            states = builder.load(vector(1, step, 64), align=1)
            total = [builder.call(instruction, [total[k], states, weight[k]]) for k in range(ACCUMULATORS)]
        for k in range(ACCUMULATORS):
            builder.store(total[k], vector(0, k, 16), align=4)
        return context.get_dummy_value()

    return types.void(sums, bits, weights), generate


@njit
def many_dot_products(sums, bits, weights, times):
    for _ in range(times):
        dot_products(sums, bits, weights)


@njit
def many_sums(sums, table, states, times):
    for _ in range(times):
        for c in range(np.uint64(CHAINS)):
            add_chosen(sums, c * COLUMNS, table, states[c])


def rates(job: Any, products: int) -> str:
    """Products a nanosecond, median and range."""
    job()
    found = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        job()
        found.append(products / (time.perf_counter() - began) / 1e9)
    return f"{statistics.median(found):.0f} ({min(found):.0f} - {max(found):.0f})"


def main() -> None:
    print(f"{cpu_model()}, one thread, products of a bit and a weight per ns, median of {ROUNDS} (range)\n")
    rng = np.random.default_rng(1)
    table = rng.integers(0, 100, int(TABLE_SIZE)).astype(np.int32)
    states = rng.integers(0, 2**32, CHAINS).astype(np.uint64)
    sums = np.zeros(CHAINS * int(COLUMNS), np.int32)
    print("- tables, weights of 30 bits:", rates(lambda: many_sums(sums, table, states, TIMES), TILE * CHAINS * TIMES))
    features = binding.get_host_cpu_features()
    if not features.get("avx512vnni"):
        print("- this processor has no AVX-512 VNNI")
        return
    own, bits = np.zeros(16 * ACCUMULATORS, np.int32), rng.integers(0, 2, 64 * STEPS).astype(np.uint8)
    weights = rng.integers(-100, 100, 64 * ACCUMULATORS).astype(np.int8)
    count = 64 * ACCUMULATORS * STEPS * CHAINS * TIMES
    found = rates(lambda: many_dot_products(own, bits, weights, CHAINS * TIMES), count)
    print("- VPDPBUSD, weights of 8 bits:", found, "; half of it for 16 bits")


if __name__ == "__main__":
    main()
