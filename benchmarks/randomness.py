"""Are single lanes of the random words random?  Bits for dieharder, and NIST SP 800-22; results in RANDOMNESS.md.

    python benchmarks/randomness.py stream --lane 0 | dieharder -g 200 -a
    python benchmarks/randomness.py complexity
    python benchmarks/randomness.py nist          # needs `pip install nistrng`

A stream is made as the kernels make it: seeds from `ising_mc.streams`, words from `xoroshiro.next_bits`.
"""

import hashlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from ising_mc import streams
from ising_mc.kernels._jit import jit
from ising_mc.kernels.bernoulli import BLOCK
from ising_mc.kernels.xoroshiro import next_bits

CHUNK = 1 << 18  # words generated at a time
CRITICAL = 2.269185314213022  # the temperature in the seeds


@jit
def xoroshiro_plus_plus(a, b, words):
    """The generators of the project in turn, one word each."""
    for i in range(words.size):
        j = i % a.size
        words[i], a[j], b[j] = next_bits(a[j], b[j])


@jit
def xoroshiro_plus(a, b, words):
    """A weak control: the same with the "+" scrambler, whose lane 0 is a linear shift register of 128 bits."""
    for i in range(words.size):
        j = i % a.size
        words[i] = a[j] + b[j]
        _, a[j], b[j] = next_bits(a[j], b[j])


@jit
def shift_register(a, b, words):
    """A weaker control: x[n] = x[n-31] ^ x[n-28] of 31 bits, the same bit in every lane."""
    for i in range(words.size):
        j = i % a.size
        bit = ((a[j] >> np.uint64(30)) ^ (a[j] >> np.uint64(27))) & np.uint64(1)
        a[j] = (a[j] << np.uint64(1)) | bit
        words[i] = np.uint64(0) - bit


@jit
def pack_lane(words, lane, packed):
    """Bit `lane` of every word, eight to a byte, the first in the lowest bit."""
    lane = np.uint64(lane)
    for i in range(packed.size):
        byte = np.uint64(0)
        for k in range(8):
            byte |= ((words[8 * i + k] >> lane) & np.uint64(1)) << np.uint64(k)
        packed[i] = byte


GENERATORS: dict[str, Callable[..., None]] = {
    "xoroshiro128++": xoroshiro_plus_plus,
    "xoroshiro128+": xoroshiro_plus,
    "lfsr31": shift_register,
}


def chunks(generator: str, lane: int | None, position: int | None, seed: int) -> Iterator[bytes]:
    """Endless random bytes.

    lane: the bit of the words, or None for whole words;  position: the place in the block, or None for all
    `BLOCK` generators in turn, as the kernels draw from them.
    """
    if generator == "shake256":  # a cryptographic reference
        for count in range(2**62):
            yield hashlib.shake_256(f"{seed} {lane} {position} {count}".encode()).digest(CHUNK // 8)
    origin = streams.sequence(seed, "L64", CRITICAL, 0, streams.UPDATES)
    states = streams.update_states(origin, 1)[0]
    chosen = slice(None) if position is None else slice(position, position + 1)
    a, b = states[:BLOCK][chosen].copy(), states[BLOCK:][chosen].copy()
    words, packed = np.empty(CHUNK, np.uint64), np.empty(CHUNK // 8, np.uint8)
    while True:
        GENERATORS[generator](a, b, words)
        if lane is None:
            yield words.tobytes()
        else:
            pack_lane(words, lane, packed)
            yield packed.tobytes()


@click.group(help=__doc__)
def main() -> None:
    pass


@main.command()
@click.option("--generator", type=click.Choice([*GENERATORS, "shake256"]), default="xoroshiro128++")
@click.option("--lane", type=click.IntRange(0, 63), help="Bit of the words (default: whole words).")
@click.option("--position", type=click.IntRange(0, BLOCK - 1), help="Place in the block (default: all in turn).")
@click.option("--seed", type=int, default=1)
def stream(generator: str, lane: int | None, position: int | None, seed: int) -> None:
    """Write random bytes to standard output until it is closed."""
    try:
        for chunk in chunks(generator, lane, position, seed):
            sys.stdout.buffer.write(chunk)
    except BrokenPipeError:
        sys.stderr.close()  # or the interpreter reports the closed pipe once more


if __name__ == "__main__":
    main()
