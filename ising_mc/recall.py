"""Recalls of a Hopfield network: 64 of them a word, each with a cue and random numbers of its own."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ising_mc import streams
from ising_mc.hopfield import ORDERS, Network, Synapses, cues
from ising_mc.kernels import recall as kernel
from ising_mc.kernels._jit import use_threads
from ising_mc.words import LANES, Series, State, unpack

INT16 = 2**15
GENERATOR = 2  # words of state
STATE_COLUMNS = GENERATOR + 2  # and where the recall stands, and how many sweeps it did
Array = NDArray[Any]


class DescentError(RuntimeError):
    """The energy of a recall at T = 0 rose, or local fields no longer belong to the spins."""


class RecallSampler:
    """The recalls of one word of a network at one temperature; T = 0 is a recall that ends.

    synapses: what the network has learnt;  total: recalls of all words;  watch_all: record the overlaps with all
    patterns;  assert_descent: after each stretch of sweeps at T = 0, make the local fields anew and see that the energy
    did not rise.
    """

    lanes = LANES

    def __init__(
        self, network: Network, synapses: Synapses, temperature: float, replicas: int, threads: int, total: int = 0,
        assert_descent: bool = False, watch_all: bool = False,
    ) -> None:  # fmt: skip
        self.network, self.synapses, self.threads = network, synapses, threads
        self.replicas, self.total, self.assert_descent = replicas, total or replicas, assert_descent
        n = network.units
        self.scale = 2 * synapses.unit / temperature if temperature else 0.0
        way = synapses.way
        sums = np.int16 if n < INT16 else np.int32
        self._own = (
            np.ones((replicas, n), np.int32),
            np.zeros((replicas, n if way == kernel.FIELDS else 0), np.int32),
            np.zeros((replicas, synapses.net[1].shape[1]), sums),
            np.zeros((replicas, -(-n // LANES) if way == kernel.SIGNS else 0), np.uint64),
        )
        self._order = np.zeros((replicas, n), np.int32)
        self._turned_before = np.zeros((replicas, n), bool)
        self._progress = np.zeros((replicas, 2), np.int64)
        self._generators = np.zeros((replicas, GENERATOR), np.uint64)
        self._cued: Array = np.zeros((replicas, n), np.int8)
        self._clamped: Array = np.zeros((replicas, n), bool)
        self.cued: Array = np.zeros(replicas, np.int64)
        self._rows = synapses.rows
        self._watched = self._rows[: network.count if watch_all else 0]
        self.record_bytes = (20 + 4 * len(self._watched)) * replicas
        self._visits = 0

    # --- state ----------------------------------------------------------------------------------------------------

    def start(self, seed: int, system: str, temperature: float, word: int, start: str = "") -> None:
        """Draw the cues, and the generators of the updates; the system is the network."""
        system = self.network.streams_label
        origin = streams.sequence(seed, system, temperature, word, streams.START)
        rng = np.random.Generator(np.random.SFC64(origin))
        numbers = word * LANES, self.replicas, self.total
        spins, self.cued, self._clamped = cues(self.network, self.synapses.patterns, rng, *numbers)
        self._cued = np.ascontiguousarray(self.synapses.patterns[self.cued])
        self._own[0][:] = spins
        self._turned_before[:] = False
        self._progress[:] = 0
        updates = streams.sequence(seed, system, temperature, word, streams.UPDATES)
        self._generators[:] = streams.update_states(updates, LANES, 1)[: self.replicas]
        self._fill()

    def _fill(self) -> None:
        kernel.fill(self.synapses.way, self.synapses.net, self._rows, self._own)
        self._order[:] = np.arange(self.network.units, dtype=np.int32)

    def state(self) -> State:
        """A copy of the state.

        Spins (N,), a bit each; of synchronous updates (2, N), with the units that turned last.  random (replicas, 4):
        generators, and where recalls stand.
        """
        rows = [_pack(self._own[0] > 0)]
        if self.network.update == "synchronous":
            rows.append(_pack(self._turned_before))
        random = np.concatenate((self._generators, self._progress.astype(np.uint64)), axis=1)
        return State(np.array(rows) if len(rows) > 1 else rows[0], random)

    def restore(self, state: State) -> None:
        """Go back to a state, after `start`, which draws the cues."""
        rows = np.atleast_2d(state.spins)
        self._own[0][:] = 2 * unpack(rows[0]).T[: self.replicas].astype(np.int32) - 1
        if len(rows) > 1:
            self._turned_before[:] = unpack(rows[1]).T[: self.replicas]
        self._generators[:] = state.random[:, :GENERATOR]
        self._progress[:] = state.random[:, GENERATOR:].astype(np.int64)
        self._fill()

    @property
    def spins(self) -> NDArray[np.int8]:
        """The states of all recalls, (replicas, N)."""
        return self._own[0].astype(np.int8)

    @property
    def energies(self) -> NDArray[np.float64]:
        """The energies of all recalls as they are, (replicas,)."""
        return np.asarray(self._twice_energies() * (self.synapses.unit / 2), np.float64)

    @property
    def progress(self) -> NDArray[np.int64]:
        """Of each recall (replicas, 2): RUNNING, FIXED or CYCLE, and the sweeps done until then."""
        return self._progress.copy()

    @property
    def visits(self) -> int:
        """Updates of units since the sampler was made; a recall that ended has none."""
        return self._visits

    # --- sweeps ---------------------------------------------------------------------------------------------------

    def sweep(self, sweeps: int) -> None:
        """Do some sweeps without measuring."""
        self.record(1, sweeps)

    def record(self, measurements: int, every: int) -> Series:
        """Energies, overlaps with the cued pattern (sum_i xi_i s_i), and units turned since the record before."""
        shape = self.replicas, measurements
        energies, overlaps, turned = np.zeros(shape, np.int64), np.zeros(shape, np.int32), np.zeros(shape, np.int32)
        all_overlaps = np.zeros((*shape, len(self._watched)), np.int32)
        before = int(self._progress[:, 1].sum())
        started = self._twice_energies() if self.assert_descent and not self.scale else None
        use_threads(self.threads)
        way, net, update = self.synapses.way, self.synapses.net, ORDERS[self.network.update]
        kernel.recall(
            way, update, net, self._own, self._cued, self._watched, self._clamped, self._order, self._turned_before,
            self._progress, self._generators, self.scale, every, energies, overlaps, turned, all_overlaps,
        )  # fmt: skip
        self._visits += (int(self._progress[:, 1].sum()) - before) * self.network.units
        if started is not None:
            self._check(started, energies)
        series = {"energy": energies * (self.synapses.unit / 2), "overlap": overlaps, "flips": turned}
        return series | ({"all_overlaps": all_overlaps} if len(self._watched) else {})

    def _twice_energies(self) -> NDArray[np.int64]:
        way, net, own = self.synapses.way, self.synapses.net, self._own
        work = np.zeros(self.network.units, np.int32)
        return np.array([
            kernel.twice_the_energy(way, net, tuple(part[k] for part in own), work) for k in range(self.replicas)
        ])  # fmt: skip

    def _check(self, started: NDArray[np.int64], energies: NDArray[np.int64]) -> None:
        steps = np.diff(energies, axis=1, prepend=started[:, None])
        if (rises := np.argwhere(steps > 0)).size:
            k, n = rises[0]
            raise DescentError(
                f"{self.network.label}: the energy of recall {k} rose by {steps[k, n] * self.synapses.unit / 2:g} in a "
                "sweep at T = 0"
            )
        kept = self._own[1 + self.synapses.way]  # fields, sums over patterns, or packed spins
        followed = kept.copy()
        kernel.fill(self.synapses.way, self.synapses.net, self._rows, self._own)
        if np.any(followed != kept):
            raise DescentError(f"{self.network.label}: local fields do not belong to the spins any more")


def _pack(flags: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Flags (replicas, N) as words (N,), a bit a replica."""
    full = np.zeros((flags.shape[1], LANES), np.uint8)
    full[:, : len(flags)] = flags.T
    return np.packbits(full, axis=1, bitorder="little").view(np.uint64).reshape(-1)
