"""Are single lanes of the random words random?  Bits for dieharder, and NIST SP 800-22; results in RANDOMNESS.md.

    python benchmarks/randomness.py stream --lane 0 | dieharder -g 200 -a
    python benchmarks/randomness.py complexity
    python benchmarks/randomness.py nist --library sp80022suite     # the same with nistrng; both are on PyPI

A stream is made as the kernels make it: seeds from `ising_mc.streams`, words from `xoroshiro.next_bits`.
"""

import hashlib
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import islice

import click
import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincc

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


@jit
def linear_complexity(bits):
    """Length of the shortest linear shift register that makes these bits (Berlekamp and Massey)."""
    size = bits.size
    current, former = np.zeros(size + 1, np.uint8), np.zeros(size + 1, np.uint8)
    current[0] = former[0] = 1
    length, last = 0, -1
    for i in range(size):
        wrong = bits[i]
        for k in range(1, length + 1):
            wrong ^= current[k] & bits[i - k]
        if wrong:
            before = current.copy()
            current[i - last :] ^= former[: size + 1 - (i - last)]
            if 2 * length <= i:
                length, last, former = i + 1 - length, i, before
    return length


GENERATORS: dict[str, Callable[..., None]] = {
    "xoroshiro128++": xoroshiro_plus_plus,
    "xoroshiro128+": xoroshiro_plus,
    "lfsr31": shift_register,
}


def chunks(generator: str, lane: int | None, position: int | None, seed: int) -> Iterator[bytes]:
    """Endless random bytes.

    lane: the bit of the words, or None for whole words;  position: the place in the block, or None for all
    `BLOCK` generators, one word from each in turn.
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


def sequences(generator: str, lane: int | None, position: int | None, seed: int, size: int) -> Iterator[NDArray]:
    """Consecutive sequences of `size` bits (a multiple of 8) as arrays of 0 and 1."""
    source, stock = chunks(generator, lane, position, seed), b""
    while True:
        while len(stock) < size // 8:
            stock += next(source)
        yield np.unpackbits(np.frombuffer(stock[: size // 8], np.uint8), bitorder="little")
        stock = stock[size // 8 :]


# For each test the parameters and the number of p-values; where these are several, only the least is known.
# Left out: non-overlapping templates, since the package comes without its template files.
SP80022SUITE: dict[str, tuple[tuple[int, ...], int]] = {
    "frequency": ((), 1),
    "block_frequency": ((128,), 1),
    "cumulative_sums": ((), 2),
    "runs": ((), 1),
    "longest_run_of_ones": ((), 1),
    "rank": ((), 1),
    "discrete_fourier_transform": ((), 1),
    "overlapping_template_matchings": ((9,), 1),
    "universal": ((), 1),
    "approximate_entropy": ((10,), 1),
    "random_excursions": ((), 8),
    "random_excursions_variant": ((), 18),
    "serial": ((16,), 2),
    "linear_complexity": ((500,), 1),
}
# Only what is right and takes less than two seconds; RANDOMNESS.md says what is wrong with the others.
NISTRNG = (
    *("monobit", "frequency_within_block", "runs", "longest_run_ones_in_a_block"),
    *("binary_matrix_rank", "dft", "cumulative sums"),
)


def nist_tests(library: str) -> dict[str, Callable[[NDArray], float]]:
    """The tests: bits to p-value; the least of several is multiplied by their number (Bonferroni)."""
    module = import_module(library)

    def by_sp80022suite(name: str) -> Callable[[NDArray], float]:
        parameters, count = SP80022SUITE[name]
        return lambda bits: min(1.0, count * getattr(module, name)(*parameters, bits.tobytes()))

    def by_nistrng(name: str) -> Callable[[NDArray], float]:
        def test(bits: NDArray) -> float:
            # a copy, because the rank test destroys its input; wide integers, because small ones overflow
            result, _ = module.SP800_22R1A_BATTERY[name].run(bits.astype(np.int64))
            scores = np.atleast_1d(result._score_list)
            return min(1.0, float(scores.size * scores.min()))

        return test

    names, make = (SP80022SUITE, by_sp80022suite) if library == "sp80022suite" else (NISTRNG, by_nistrng)
    return {name: make(name) for name in names}


def judge(p_values: list[float], single: bool) -> str:
    """Passed/run at the level of 0.01, and the uniformity of single p-values in ten bins (section 4.2.2)."""
    passed = sum(p >= 0.01 for p in p_values)
    text = f"{passed}/{len(p_values)}"
    if not single or len(p_values) < 55:  # NIST asks for at least 55
        return text
    counts = np.histogram(p_values, 10, (0.0, 1.0))[0]
    expected = len(p_values) / 10
    return f"{text}, {gammaincc(4.5, np.sum((counts - expected) ** 2) / expected / 2):.2g}"


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


@main.command()
@click.option("--size", type=int, default=20000, help="Bits of each sequence.")
@click.option("--seed", type=int, default=1)
def complexity(size: int, seed: int) -> None:
    """Linear complexity of all 64 lanes; random bits give size/2 + 2/9, standard deviation 1."""
    click.echo("| generator | position | smallest of 64 lanes | largest | lane 0 |\n|---|---|---|---|---|")
    for generator in GENERATORS:
        for position in (0, None):
            found = []
            for lane in range(64):
                found.append(linear_complexity(next(sequences(generator, lane, position, seed, size))))
            where = "all in turn" if position is None else position
            click.echo(f"| {generator} | {where} | {min(found)} | {max(found)} | {found[0]} |")


@main.command()
@click.option("--library", type=click.Choice(["sp80022suite", "nistrng"]), required=True)
@click.option("--sequences", "count", type=int, default=100, help="Sequences of each lane.")
@click.option("--size", type=int, default=1_000_000, help="Bits of a sequence, a multiple of 8.")
@click.option("--seed", type=int, default=1)
@click.option("--test", "only", multiple=True, help="Only this test; may be given several times.")
def nist(library: str, count: int, size: int, seed: int, only: tuple[str, ...]) -> None:
    """NIST SP 800-22 on single lanes of one generator, with good and bad controls, as a markdown table."""
    columns = [("xoroshiro128++", lane) for lane in (0, 1, 31, 32, 63)]
    columns += [("shake256", 0), ("xoroshiro128+", 0), ("lfsr31", 0)]
    tests = {name: test for name, test in nist_tests(library).items() if not only or name in only}
    found: dict[tuple[str, int, str], list[float]] = {}
    for generator, lane in columns:
        for bits in islice(sequences(generator, lane, 0, seed, size), count):
            for name, test in tests.items():
                p_values = found.setdefault((generator, lane, name), [])
                try:
                    p_values.append(test(bits))
                except ValueError as error:  # random excursions: half of all sequences are too short
                    if "Insufficient" not in str(error):
                        raise
        click.echo(f"{generator} lane {lane} done", err=True)
    click.echo("| test | " + " | ".join(f"{generator} {lane}" for generator, lane in columns) + " |")
    click.echo("|---" * (len(columns) + 1) + "|")
    for name in tests:
        single = library == "nistrng" or SP80022SUITE[name][1] == 1
        cells = [judge(found[generator, lane, name], single) for generator, lane in columns]
        click.echo(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
