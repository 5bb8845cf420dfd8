"""Updates that take turns, and moves between pairs of replicas, which are only good beside other updates."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ising_mc import streams
from ising_mc.clusters import WolffSampler
from ising_mc.ising import Realization
from ising_mc.kernels import graphs, houdayer
from ising_mc.words import LANES, Series, State, Words, smallest_integer

Array = NDArray[Any]
EVEN_PAIRS = np.arange(LANES, dtype=np.uint64).reshape(-1, 2)


class Houdayer:
    """Isoenergetic cluster moves between pairs of replicas at one temperature, (kernels.houdayer)."""

    def __init__(self, drawn: Realization) -> None:
        graph = drawn.graph
        bonds = np.ascontiguousarray(graph.bonds[drawn.J != 0])
        self.first, self.ends, _ = graphs.adjacency(graph.n_sites, bonds)
        self.state = np.zeros(2, np.uint64)
        self.work = np.zeros(graph.n_sites, np.int32), np.zeros(graph.n_sites, np.uint8)

    def start(self, seed: int, system: str, temperature: float, word: int) -> None:
        """Start the random numbers."""
        origin = streams.sequence(seed, system, temperature, word, streams.PAIRS)
        self.state[:] = origin.generate_state(2, np.uint64)

    def move(self, spins: Words, pairs: Array) -> None:
        """One move of each pair of lanes (pairs, 2); spins: (n,), changed in place."""
        houdayer.exchange_clusters(spins, self.first, self.ends, pairs, self.state, *self.work)


class Turner(Protocol):
    """A sampler that can take turns with others."""

    record_bytes: int

    def start(self, seed: int, system: str, temperature: float, word: int, start: str) -> None:
        """Draw the first state."""

    def state(self) -> State:
        """A copy of the state."""

    def restore(self, state: State) -> None:
        """Go back to a state."""

    def get_spins(self) -> Words:
        """The spins, one word a site."""

    def set_spins(self, words: Words) -> None:
        """Set the spins."""

    def sweep(self, sweeps: int) -> None:
        """Do some sweeps without measuring."""

    def record(self, measurements: int, every: int) -> Series:
        """Time series, one measurement after every `every` sweeps."""


class HoudayerSampler:
    """Moves between replicas 2k and 2k + 1; inner: a sampler of the same system that can measure without a sweep."""

    def __init__(self, drawn: Realization, inner: Any, replicas: int) -> None:
        self.inner, self.moves, self.pairs = inner, Houdayer(drawn), EVEN_PAIRS[: replicas // 2]
        self.record_bytes = inner.record_bytes
        self.spins = np.zeros(drawn.graph.n_sites, np.uint64)

    def start(self, seed: int, system: str, temperature: float, word: int, start: str) -> None:
        """Start the random numbers; spins come from the sampler before."""
        self.moves.start(seed, system, temperature, word)

    def state(self) -> State:
        """A copy of the state."""
        return State(self.spins.copy(), self.moves.state[None].copy())

    def restore(self, state: State) -> None:
        """Go back to a state."""
        self.spins[:] = state.spins
        self.moves.state[:] = state.random[0]

    def get_spins(self) -> Words:
        """The spins, one word a site, (n,)."""
        return self.spins.copy()

    def set_spins(self, words: Words) -> None:
        """Set the spins."""
        self.spins[:] = words

    def sweep(self, sweeps: int) -> None:
        """So many moves of each pair."""
        for _ in range(sweeps):
            self.moves.move(self.spins, self.pairs)

    def record(self, measurements: int, every: int) -> Series:
        """Time series; the sampler inside looks at the spins, and does not move them."""
        parts = []
        for _ in range(measurements):
            self.sweep(every)
            self.inner.set_spins(self.spins)
            parts.append(self.inner.record(1, 0))
        return {name: np.concatenate([part[name] for part in parts], axis=1) for name in parts[0]}


class CycleSampler:
    """Samplers of one system and temperature that take turns: entry k does counts[k] sweeps, then comes the next.

    samplers, counts: of the entries;  drawn: the system.  Only what all of them measure is recorded, so there are no
    improved estimators.
    """

    lanes = LANES

    def __init__(self, samplers: list[Any], counts: list[int], drawn: Realization) -> None:
        self.samplers: list[Turner] = samplers
        self.counts, self.position, self.left = counts, 0, counts[0]
        self.record_bytes = max(sampler.record_bytes for sampler in samplers)
        whole = np.all(np.rint(drawn.J) == drawn.J) and np.all(np.rint(drawn.h) == drawn.h)
        bound = 3 * float(np.abs(drawn.J).sum() + np.abs(drawn.h).sum())
        self.energy_type = smallest_integer(bound) if whole else np.dtype(np.float64)

    def start(self, seed: int, system: str, temperature: float, word: int, start: str) -> None:
        """Draw the first state; each entry has a stream of its own."""
        for k, sampler in enumerate(self.samplers):
            sampler.start(seed, f"{system} turn {k}", temperature, word, start)
        self.position, self.left = 0, self.counts[0]

    def state(self) -> State:
        """A copy of the state: all generators in one row, behind the position in the cycle."""
        parts = [np.array([self.position, self.left], np.uint64)]
        parts += [sampler.state().random.ravel() for sampler in self.samplers]
        return State(self.get_spins(), np.concatenate(parts)[None])

    def restore(self, state: State) -> None:
        """Go back to a state."""
        row = state.random[0]
        self.position, self.left = int(row[0]), int(row[1])
        at = 2
        for sampler in self.samplers:
            shape = sampler.state().random.shape
            size = int(np.prod(shape))
            sampler.restore(State(state.spins, row[at : at + size].reshape(shape)))
            at += size

    def get_spins(self) -> Words:
        """The spins, one word a site, (n,)."""
        return self.samplers[self.position].get_spins()

    def set_spins(self, words: Words) -> None:
        """Set the spins."""
        self.samplers[self.position].set_spins(words)

    def _done(self, sweeps: int) -> None:
        """The current entry did some of its sweeps; hand the spins on where it is at its end."""
        self.left -= sweeps
        if not self.left:
            before = self.samplers[self.position]
            self.position = (self.position + 1) % len(self.counts)
            self.left = self.counts[self.position]
            if self.samplers[self.position] is not before:
                self.samplers[self.position].set_spins(before.get_spins())

    def sweep(self, sweeps: int) -> None:
        """Do some sweeps without measuring."""
        while sweeps:
            count = min(sweeps, self.left)
            self.samplers[self.position].sweep(count)
            self._done(count)
            sweeps -= count

    def record(self, measurements: int, every: int) -> Series:
        """Time series of what all entries measure, (lanes, measurements) each; ends the thermalization of clusters."""
        for sampler in self.samplers:
            if isinstance(sampler, WolffSampler) and not sampler.clusters_per_sweep:
                sampler.fix()
        parts, due = [], every
        while measurements:
            sampler = self.samplers[self.position]
            if due > self.left:
                due -= self.left
                self.sweep(self.left)
                continue
            count = min(measurements, self.left // every) if due == every else 1
            parts.append(sampler.record(count, due))
            self._done(count * due)
            measurements, due = measurements - count, every
        common = [name for name in parts[0] if not name.startswith("improved") and "cluster" not in name]
        found = {name: np.concatenate([part[name] for part in parts], axis=1) for name in common}
        found["energy"] = found["energy"].astype(self.energy_type)
        return found
