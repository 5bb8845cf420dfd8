"""Who takes part in the contests of Hopfield networks: see `contenders`."""

from collections.abc import Callable
from typing import Any

import numpy as np
from contenders import SEED, Simple, of_runs

NOISE = 0.1


def _network(N: int, P: int) -> tuple[Any, Any]:
    from ising_mc.hopfield import Cue, Network, draw_patterns

    network = Network(N, P, cue=Cue(NOISE), sample=0)
    return network, draw_patterns(network, SEED)


def recall(N: int, P: int) -> Simple:
    """64 recalls at once, from new cues each time."""
    from ising_mc.hopfield import learn
    from ising_mc.recall import RecallSampler

    network, patterns = _network(N, P)
    sampler = RecallSampler(network, learn(network.learnt, "fields", SEED), 0.0, 64, 1, total=10**9)
    seeds = iter(range(10**9))

    def work(steps: int) -> float:
        before = sampler.visits
        for _ in range(steps):
            sampler.start(SEED, network.label, 0.0, next(seeds))
            sampler.record(1, 100)
        return float(sampler.visits - before)

    def check() -> tuple[float, float]:
        from ising_mc.words import unpack

        found: list[float] = []
        for _ in range(4):
            work(1)
            s = 2.0 * unpack(sampler.state().spins)[:N, :64].T - 1
            found.extend(np.abs(s @ patterns.T / N).max(axis=1))
        return of_runs(found)

    return Simple(work, check)


def _cues(patterns: Any) -> Callable[[], tuple[Any, int]]:
    rng = np.random.default_rng(SEED)
    P, N = patterns.shape

    def cue() -> tuple[Any, int]:
        k = int(rng.integers(P))
        s = patterns[k].copy()
        s[rng.permutation(N)[: round(NOISE * N)]] *= -1
        return s, k

    return cue


def recall_numpy(N: int, P: int) -> Simple:
    """What one writes in ten lines: a dot product a visit."""
    from ising_mc import rules

    _, patterns = _network(N, P)
    J = rules.couplings("hebb", patterns).astype(np.float32)
    cue, rng, overlaps = _cues(patterns), np.random.default_rng(SEED), []

    def work(steps: int) -> float:
        updates = 0
        for _ in range(steps):
            first, _ = cue()
            s, changed = first.astype(np.float32), True
            while changed:
                changed = False
                for i in rng.permutation(N):
                    h = J[i] @ s
                    if h * s[i] < 0:
                        s[i], changed = -s[i], True
                updates += N
            overlaps.append(np.abs(patterns @ s / N).max())
        return float(updates)

    def check() -> tuple[float, float]:
        while len(overlaps) < 30:
            work(1)
        return of_runs(overlaps)

    return Simple(work, check)


def recall_hopfieldnetwork(N: int, P: int) -> Simple:
    from hopfieldnetwork import HopfieldNetwork

    _, patterns = _network(N, P)
    other = HopfieldNetwork(N=N)
    other.train_pattern(np.ascontiguousarray(patterns.T, dtype=np.float64))  # int8 would overflow in its sums
    cue, overlaps = _cues(patterns.astype(np.float64)), []

    def work(steps: int) -> float:
        updates = 0
        for _ in range(steps):
            s, _ = cue()
            other.set_initial_neurons_state(s)
            other.update_neurons(iterations=0, mode="async", run_max=True)
            updates += N * (other.t + 1)  # it does not count the last sweep, which changes nothing
            overlaps.append(float(np.abs(patterns @ np.asarray(other.S).reshape(-1) / N).max()))
        return float(updates)

    def check() -> tuple[float, float]:
        while len(overlaps) < 20:
            work(1)
        return of_runs(overlaps)

    return Simple(work, check)
