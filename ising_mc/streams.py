"""Random streams, keyed by the physics point: (seed, system, bits of T, replica word), never by position or worker.

So a sample depends neither on the number of threads nor on which other temperatures stand in the grid.  Two updates
run with one seed share starts and random words: to compare them, give each a seed of its own.
"""

import hashlib
import struct
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ising_mc.kernels.bernoulli import BLOCK

SAMPLER_VERSION = 5  # to be raised with any change of kernels, streams or choices that changes samples
START, UPDATES, GRAPH, COUPLINGS, FIELDS, SWAPS, PAIRS, PATTERNS = range(8)  # what a stream is for
ORDERS, LEARNING, LIKELIHOOD, MONITORS, JUDGED, HELD_OUT = range(8, 14)


def sequence(seed: int, system: str, temperature: float, word: int, purpose: int) -> np.random.SeedSequence:
    """The seed sequence of one physics point.

    seed: the run's seed, 0 <= seed < 2**63;  system: the label of the system, e.g. "L32";  word: number of the
    group of replicas that share a word (for a lattice packed by sites: of the replica).
    """
    label = np.frombuffer(hashlib.sha256(system.encode()).digest()[:16], np.uint32)
    bits = struct.unpack("<II", struct.pack("<d", temperature))
    key = (purpose, word, *bits, *(int(part) for part in label))
    return np.random.SeedSequence(entropy=seed, spawn_key=key)


def update_states(origin: np.random.SeedSequence, bands: int, generators: int = BLOCK) -> NDArray[np.uint64]:
    """Start states (bands, 2 * generators) of the generators of the update kernels."""
    states = np.asarray(origin.generate_state(bands * 2 * generators, np.uint64), np.uint64)
    return states.reshape(bands, 2 * generators)


def random_rows(origin: np.random.SeedSequence, rows: int, columns: int) -> Iterator[NDArray[np.uint64]]:
    """Rows (columns,) of uniform random 64-bit words, for random spins."""
    generator = np.random.Generator(np.random.SFC64(origin))
    for _ in range(rows):
        yield generator.integers(0, 2**64, columns, dtype=np.uint64)
