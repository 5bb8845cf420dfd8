"""Recall in Hopfield networks: unit updates per nanosecond beside hopfieldnetwork and a NumPy loop, and learning.

    pip install -e . hopfieldnetwork==1.0.1
    python benchmarks/hopfield.py > benchmarks/HOPFIELD.md

One thread; asynchronous updates in random order at T = 0 from cues of which 10 % are turned over, until fixed points.
`hopfield.PATTERN_SHARE`, up to which `auto` sums over patterns, is from the second table.
"""

import os
import statistics
import time
from datetime import date

import numpy as np
from speed import ROUNDS, Job, take_turns

from ising_mc import provenance, rules
from ising_mc.hopfield import Cue, Network, draw_patterns, learn
from ising_mc.recall import RecallSampler

SEED = 1
NOISE = 0.1
RECALLS = 64


def own_job(
    N: int, P: int, way: str, rule: str = "hebb", T: float = 0.0, sweeps: int = 100
) -> tuple[Job, RecallSampler]:
    """Recalls from new cues each time, with all that a new state costs; updates are those that were done."""
    network = Network(N, P, rule, cue=Cue(NOISE), sample=0)
    sampler = RecallSampler(network, learn(network.learnt, way, SEED), T, RECALLS, 1, total=10**9)
    number = iter(range(10**9))

    def job() -> float:
        before = sampler.visits
        sampler.start(SEED, network.label, T, next(number))
        sampler.record(1, sweeps)
        return float(sampler.visits - before)

    job()
    return job, sampler


def kernel_job(N: int, P: int, way: str, rule: str = "hebb", T: float = 0.0, sweeps: int = 100) -> Job:
    """Recalls alone, from states that are there: local fields are made, and all sweeps."""
    _, sampler = own_job(N, P, way, rule, T, sweeps)
    sampler.start(SEED, sampler.network.label, T, 0)
    state = sampler.state()

    def again() -> float:
        before = sampler.visits
        sampler.restore(state)
        sampler.record(1, sweeps)
        return float(sampler.visits - before)

    return again


def numpy_job(N: int, P: int) -> Job:
    """What one writes in ten lines: a dot product a visit."""
    network = Network(N, P, sample=0)
    patterns = draw_patterns(network, SEED)
    J = rules.couplings("hebb", patterns).astype(np.float32)
    rng = np.random.default_rng(SEED)

    def job() -> float:
        s = patterns[rng.integers(P)].astype(np.float32)
        s[rng.permutation(N)[: round(NOISE * N)]] *= -1
        updates, changed = 0, True
        while changed:
            changed = False
            for i in rng.permutation(N):
                h = J[i] @ s
                if h * s[i] < 0:
                    s[i], changed = -s[i], True
            updates += N
        return float(updates)

    return job


def peer_job(N: int, P: int) -> Job | None:
    try:
        from hopfieldnetwork import HopfieldNetwork
    except ModuleNotFoundError:
        return None
    patterns = draw_patterns(Network(N, P, sample=0), SEED)
    other = HopfieldNetwork(N=N)
    other.train_pattern(np.ascontiguousarray(patterns.T, dtype=np.float64))  # int8 would overflow in its sums
    rng = np.random.default_rng(SEED)

    def job() -> float:
        s = patterns[rng.integers(P)].astype(np.float64)
        s[rng.permutation(N)[: round(NOISE * N)]] *= -1
        other.set_initial_neurons_state(s)
        other.update_neurons(iterations=0, mode="async", run_max=True)
        return float(N * (other.t + 1))  # it does not count the last sweep, which changes nothing

    return job


def against_peers() -> None:
    print("## Recall from 10 % noise: unit updates per ns\n")
    print(
        "| N | P | fields, with new cues | fields alone | patterns alone | NumPy loop | hopfieldnetwork 1.0.1 | fields over hopfieldnetwork |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for N, P in ((1024, 51), (1024, 102), (4096, 205), (4096, 410)):
        jobs = {
            "new": own_job(N, P, "fields")[0], "fields": kernel_job(N, P, "fields"),
            "patterns": kernel_job(N, P, "patterns"), "numpy": numpy_job(N, P),
        }  # fmt: skip
        other = peer_job(N, P)
        if other:
            jobs["peer"] = other
        rates = take_turns(jobs)
        cells = [f"{statistics.median(rates[name]):.3g}" for name in ("new", "fields", "patterns", "numpy")]
        if other:
            ratios = [a / b for a, b in zip(rates["fields"], rates["peer"], strict=True)]
            spread = f"{statistics.median(ratios):.0f} ({min(ratios):.0f} - {max(ratios):.0f})"
            cells += [f"{statistics.median(rates['peer']):.2g}", spread]
        print(f"| {N} | {P} | {' | '.join(cells)} |", flush=True)
    print()


def crossover() -> None:
    print("## Sums over patterns against fields kept: rate over rate, medians of rounds in turn\n")
    loads = (0.01, 0.02, 0.05, 0.08, 0.1, 0.13)
    print(f"| N | {' | '.join(f'P = {load} N' for load in loads)} |\n|---|{'---|' * len(loads)}")
    for N in (256, 1024, 4096, 8192):
        cells = []
        for load in loads:
            P = round(load * N)
            rates = take_turns({way: kernel_job(N, P, way) for way in ("patterns", "fields")}, 5)
            ratios = [a / b for a, b in zip(rates["patterns"], rates["fields"], strict=True)]
            cells.append(f"{statistics.median(ratios):.2f}")
        print(f"| {N} | {' | '.join(cells)} |", flush=True)
    print()


def others() -> None:
    print("## Other rules and temperatures: unit updates per ns\n")
    print("| N | P | rule | way | T | rate |\n|---|---|---|---|---|---|")
    cases = (
        (1024, 102, "clipped", "signs", 0.0), (1024, 102, "clipped", "fields", 0.0), (4096, 410, "clipped", "signs", 0.0),
        (1024, 307, "pseudo_inverse", "fields", 0.0), (1024, 51, "hebb", "fields", 0.3),
        (1024, 51, "hebb", "patterns", 0.3), (4096, 205, "hebb", "fields", 0.3), (4096, 205, "hebb", "patterns", 0.3),
        (65536, 100, "hebb", "patterns", 0.0),
    )  # fmt: skip
    for N, P, rule, way, T in cases:
        rates = take_turns({"own": kernel_job(N, P, way, rule, T, 20 if T or N > 5000 else 100)}, 5)
        print(f"| {N} | {P} | {rule} | {way} | {T:g} | {statistics.median(rates['own']):.3g} |", flush=True)
    print()


def learning() -> None:
    print("## Learning: seconds\n")
    print("| N | P | hebb | storkey | pseudo_inverse |\n|---|---|---|---|---|")
    for N, P in ((1024, 102), (4096, 410)):
        patterns = draw_patterns(Network(N, P, sample=0), SEED)
        rules.hebb_sums(patterns[:2])
        cells = []
        for learn_them in (rules.hebb_sums, rules.storkey, rules.pseudo_inverse):
            times = []
            for _ in range(5 if learn_them is rules.hebb_sums else 1):
                began = time.perf_counter()
                learn_them(patterns)
                times.append(time.perf_counter() - began)
            cells.append(f"{statistics.median(times):.3f}")
        print(f"| {N} | {P} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    print("# Hopfield networks\n")
    names = ("ising-mc", "numba", "llvmlite", "numpy", "hopfieldnetwork")
    versions = ", ".join(f"{name} {provenance.package_version(name)}" for name in names)
    print(f"{date.today()}, {provenance.cpu_model()}, {len(os.sched_getaffinity(0))} cores, {versions}")
    print(
        f"\nMade by `python benchmarks/hopfield.py > benchmarks/HOPFIELD.md`: one thread, medians of {ROUNDS} rounds in turn."
    )
    print(
        "A recall ends at its fixed point; its updates are N for each sweep, the last one without a change included. "
        "`fields` and `patterns` are the two ways to know local fields; alone: from states that are there.\n"
    )
    against_peers()
    crossover()
    others()
    learning()


if __name__ == "__main__":
    main()
