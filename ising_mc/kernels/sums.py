"""Products of a matrix of two-state units and a matrix of numbers, by the method of the four Russians.

sum_j u_j W_jk over units u_j that are 0 or 1 adds up rows of W.  Four units have 16 states, so for every four of them
all 16 sums of rows are made once, for a tile of columns that fits the first-level cache, and then each row of units
adds one of them: a quarter of the additions, and no multiplication (Arlazarov, Dinic, Kronrod and Faradzev, Sov. Math.
Dokl. 11, 1209, 1970).  Sums of integers are exact; those of float32 are rounded in one order, whatever the machine.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ising_mc.kernels._jit import jit, jit_owning

ZERO, ONE = np.uint64(0), np.uint64(1)
_2, _3, _4, _16 = np.uint64(2), np.uint64(3), np.uint64(4), np.uint64(16)
COLUMNS = np.uint64(32)  # of a tile
GROUPS = np.uint64(8)  # of four units, whose sums are made together
UNITS = _4 * GROUPS
TABLE_SIZE = GROUPS * _16 * COLUMNS
VECTOR = 16  # columns of one vector operation
_0 = np.float32(0.0)


@intrinsic
def add_chosen(typing_context, sums, place, table, states):
    """Add to 32 sums from `place` on, for each k < 8, the row of the table that digit k (four bits) of `states` names.

    sums, table: (...,) int32 or float32;  states: uint64.  Written out, because 32 sums then stay in registers.
    """
    is_float = sums.dtype == types.float32

    def generate(context, builder, signature, arguments):
        into, first, of, digits = arguments
        kinds = signature.args
        number = ir.FloatType() if is_float else ir.IntType(32)
        pointer = ir.VectorType(number, VECTOR).as_pointer()
        start = context.make_array(kinds[0])(context, builder, into).data
        rows = context.make_array(kinds[2])(context, builder, of).data
        wide = first.type
        plus = builder.fadd if is_float else builder.add

        def vector(data, place):
            return builder.bitcast(builder.gep(data, [place]), pointer)

        chosen = []
        for k in range(int(GROUPS)):
            digit = builder.and_(builder.lshr(digits, wide(4 * k)), wide(15))
            chosen.append(builder.add(builder.mul(digit, wide(int(COLUMNS))), wide(k * 16 * int(COLUMNS))))
        for column in range(0, int(COLUMNS), VECTOR):
            target = vector(start, builder.add(first, wide(column)))
            total = builder.load(target, align=4)
            for row in chosen:
                total = plus(total, builder.load(vector(rows, builder.add(row, wide(column))), align=4))
            builder.store(total, target, align=4)
        return context.get_dummy_value()

    return types.void(sums, types.uint64, table, types.uint64), generate


@jit
def make_table(table, W, first, tile):
    """All sums of four rows each, of 32 rows of W from `first` on, columns from `tile` on: entry (k, state, column)."""
    for k in range(GROUPS):
        i = first + _4 * k
        t = k * _16 * COLUMNS
        for j in range(COLUMNS):
            column = tile + j
            one, two, three, four = W[i, column], W[i + ONE, column], W[i + _2, column], W[i + _3, column]
            low, high = one + two, three + four
            table[t + j] = 0
            table[t + COLUMNS + j] = one
            table[t + np.uint64(2) * COLUMNS + j] = two
            table[t + np.uint64(3) * COLUMNS + j] = low
            table[t + np.uint64(4) * COLUMNS + j] = three
            table[t + np.uint64(5) * COLUMNS + j] = one + three
            table[t + np.uint64(6) * COLUMNS + j] = two + three
            table[t + np.uint64(7) * COLUMNS + j] = low + three
            table[t + np.uint64(8) * COLUMNS + j] = four
            table[t + np.uint64(9) * COLUMNS + j] = one + four
            table[t + np.uint64(10) * COLUMNS + j] = two + four
            table[t + np.uint64(11) * COLUMNS + j] = low + four
            table[t + np.uint64(12) * COLUMNS + j] = high
            table[t + np.uint64(13) * COLUMNS + j] = one + high
            table[t + np.uint64(14) * COLUMNS + j] = two + high
            table[t + np.uint64(15) * COLUMNS + j] = low + high


@jit
def pack_rows(states, digits):
    """Bits of units: states (rows, n) float32, up where they are positive, to digits (rows, n / 32) uint64."""
    n = np.uint64(states.shape[1])
    for r in range(states.shape[0]):
        for chunk in range(np.uint64(digits.shape[1])):
            word = np.uint32(0)
            for k in range(min(UNITS, n - chunk * UNITS)):
                word = np.uint32(word | (np.uint32(states[r, chunk * UNITS + k] > _0) << np.uint32(k)))
            digits[r, chunk] = word


@jit
def pack_columns(states, digits):
    """The same for a matrix that stands on its side: states (n, rows) to digits (rows, n / 32)."""
    digits[:] = ZERO
    for j in range(np.uint64(states.shape[0])):
        chunk, shift = j // UNITS, j % UNITS
        for r in range(states.shape[1]):
            digits[r, chunk] |= np.uint64(states[j, r] > _0) << shift


@jit_owning
def add_rows(digits, W, out, spin):
    """out (rows, m) = sum_j u_j W_jk, float32, for units by the bits of digits (rows, n / 32); W: (n, m)."""
    n, m = np.uint64(W.shape[0]), np.uint64(W.shape[1])
    rows = np.uint64(out.shape[0])
    table, sums, edge = np.empty(TABLE_SIZE, W.dtype), np.empty(rows * COLUMNS, W.dtype), np.empty((32, 32), W.dtype)
    total = np.zeros(m, W.dtype)
    if spin:
        for i in range(n):
            for k in range(m):
                total[k] += W[i, k]
    for tile in range(ZERO, m, COLUMNS):
        width = min(COLUMNS, m - tile)
        sums[:] = 0
        for chunk in range(np.uint64(digits.shape[1])):
            first = chunk * UNITS
            if width == COLUMNS and first + UNITS <= n:
                make_table(table, W, first, tile)
            else:
                edge[:] = 0
                for j in range(min(UNITS, n - first)):
                    for k in range(width):
                        edge[j, k] = W[first + j, tile + k]
                make_table(table, edge, ZERO, ZERO)
            for r in range(rows):
                add_chosen(sums, r * COLUMNS, table, digits[r, chunk])
        for r in range(rows):
            for k in range(width):
                x = sums[r * COLUMNS + k]
                out[r, tile + k] = x + x - total[tile + k] if spin else x


@jit_owning
def times(states, W, out, spin):
    """out (rows, m) = states (rows, n) @ W (n, m), float32; states: 0 and 1, or -1 and 1 for spins."""
    digits = np.empty((states.shape[0], (states.shape[1] + 31) // 32), np.uint64)
    pack_rows(states, digits)
    add_rows(digits, W, out, spin)


@jit_owning
def transposed(W):
    """A copy of W (n, m) as (m, n), float32; a few rows at a time, which stay in the cache."""
    n, m = np.uint64(W.shape[0]), np.uint64(W.shape[1])
    out = np.empty((W.shape[1], W.shape[0]), np.float32)
    whole = n - n % _16
    for i in range(ZERO, whole, _16):
        for j in range(m):
            for k in range(_16):
                out[j, i + k] = W[i + k, j]
    for i in range(whole, n):
        for j in range(m):
            out[j, i] = W[i, j]
    return out


@jit_owning
def turned_times(states, W, out, spin):
    """out (m, k) = states.T @ W, states: (n, m), W: (n, k)."""
    digits = np.empty((states.shape[1], (states.shape[0] + 31) // 32), np.uint64)
    pack_columns(states, digits)
    add_rows(digits, W, out, spin)
