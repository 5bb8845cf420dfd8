"""Boltzmann machines: unit updates per nanosecond and what is learnt in a given time, beside scikit-learn and others.

    pip install -e '.[sklearn]' openjij==0.12.2 torch==2.13.0 rbms==0.5.0
    python benchmarks/boltzmann.py > benchmarks/BOLTZMANN.md

One thread.  What is not installed costs its column only.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
import vnni
from contenders import SEED
from learners import BATCH, RATE, digits, rbms_learner, trainer_of
from speed import ROUNDS, Job, take_turns
from threadpoolctl import threadpool_limits

from ising_mc import learning, likelihood, provenance
from ising_mc.boltzmann import MachineSystem, make_sampler
from ising_mc.machine import Machine, random_machine
from ising_mc.words import LANES

VISIBLE, HIDDEN, CHAINS = 784, 500, 1000
WORDS = -(-CHAINS // LANES)
SECONDS = 8.0
PEERS = ("scikit-learn", "torch", "rbms", "openjij")


def restricted() -> Machine:
    rng = np.random.default_rng(SEED)
    return random_machine("restricted", "binary", (VISIBLE, HIDDEN), 0.05, rng)


def system_of(own: Machine) -> MachineSystem:
    return MachineSystem(own.kind, own.units, own.sizes, own, "benchmark")


def own_job(own: Machine, kernel: str, T: float, words: int, sweeps: int = 1) -> Job:
    samplers = []
    for word in range(words):
        sampler, _ = make_sampler(system_of(own), SEED, kernel, T, LANES)
        sampler.start(SEED, "benchmark", T, word, "random")
        sampler.sweep(20)
        samplers.append(sampler)

    def job() -> float:
        for sampler in samplers:
            sampler.sweep(sweeps)
        return float(own.n * LANES * words * sweeps)

    return job


def numpy_job(own: Machine) -> Job:
    W, b, c = (part.astype(np.float32) for part in (*own.weights, *own.biases))
    rng = np.random.default_rng(SEED)
    v = (rng.random((CHAINS, VISIBLE), np.float32) < 0.5).astype(np.float32)

    def job() -> float:
        h = (rng.random((CHAINS, HIDDEN), np.float32) < 1 / (1 + np.exp(-(v @ W + c)))).astype(np.float32)
        v[:] = rng.random((CHAINS, VISIBLE), np.float32) < 1 / (1 + np.exp(-(h @ W.T + b)))
        return float(own.n * CHAINS)

    return job


def sklearn_job(own: Machine) -> Job | None:
    try:
        from sklearn.neural_network import BernoulliRBM
    except ModuleNotFoundError:
        return None
    other = BernoulliRBM(n_components=HIDDEN)
    other.components_ = np.ascontiguousarray(own.weights[0].T.astype(np.float32))
    other.intercept_visible_, other.intercept_hidden_ = (part.astype(np.float32) for part in own.biases)
    rng = np.random.RandomState(SEED)
    v = (rng.random_sample((CHAINS, VISIBLE)) < 0.5).astype(np.float32)

    def job() -> float:
        nonlocal v
        h = other._sample_hiddens(v, rng)
        v = other._sample_visibles(h, rng)
        return float(own.n * CHAINS)

    return job


def torch_job(own: Machine) -> Job | None:
    try:
        import torch
    except ModuleNotFoundError:
        return None
    torch.set_num_threads(1)
    W, b, c = (torch.tensor(part, dtype=torch.float32) for part in (*own.weights, *own.biases))
    v = (torch.rand(CHAINS, VISIBLE) < 0.5).float()

    def job() -> float:
        nonlocal v
        with torch.no_grad():
            h = torch.bernoulli(torch.sigmoid(c + v @ W))
            v = torch.bernoulli(torch.sigmoid(b + h @ W.T))
        return float(own.n * CHAINS)

    return job


def openjij_job(own: Machine, T: float) -> Job | None:
    try:
        import openjij
    except ModuleNotFoundError:
        return None
    J = own.weights[0]
    n, sweeps = len(J), 20
    sampler = openjij.SASampler()
    couplings = {(i, j): -float(J[i, j]) for i in range(n) for j in range(i + 1, n)}

    def job() -> float:
        found = sampler.sample_ising({}, couplings, beta_min=1 / T, beta_max=1 / T, num_sweeps=sweeps, num_reads=1)
        core = found.info["execution_time"] / 1e6  # of its C++ part; the conversion of the couplings is not counted
        return own.n * sweeps / core

    return job


def table(title: str, names: dict[str, str], jobs: dict[str, Job | None], rounds: int = ROUNDS) -> None:
    """Rates, and our first one over each."""
    there = {name: job for name, job in jobs.items() if job is not None}
    rates = take_turns(there, rounds)
    ours = next(iter(there))
    print(f"## {title}\n\n| | unit updates per ns | ours over it |\n|---|---|---|")
    for name, own in rates.items():
        ratios = [a / b for a, b in zip(rates[ours], own, strict=True)]
        over = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} - {max(ratios):.2f})" if name != ours else ""
        print(f"| {names[name]} | {statistics.median(own):.3g} | {over} |", flush=True)
    print()


def sampling() -> None:
    own = restricted()
    with threadpool_limits(1):
        table(
            f"Block Gibbs sampling of an RBM of {VISIBLE} x {HIDDEN} units, {CHAINS} chains",
            {"own": f"ising-mc, `blocks` ({WORDS * LANES} chains)", "numpy": "NumPy, float32",
             "sklearn": "scikit-learn, float32", "torch": "torch, float32"},
            {"own": own_job(own, "blocks", 1.0, WORDS), "numpy": numpy_job(own), "sklearn": sklearn_job(own),
             "torch": torch_job(own)},
        )  # fmt: skip


def products() -> None:
    print("## What `blocks` could reach, and what VNNI could (`benchmarks/vnni.py`)\n")
    vnni.main()
    print()


def general() -> None:
    print("## Fully connected, sequential Gibbs, J normal / sqrt(N): unit updates per ns\n")
    print("| N | T | ising-mc, `dense`, 64 chains | random order | openjij 0.12.2, core alone | ours over it |")
    print("|---|---|---|---|---|---|")
    for n, T in ((256, 1.0), (256, 0.5), (1024, 1.0), (1024, 0.5)):
        own = random_machine("general", "spin", (n, 0), n**-0.5, np.random.default_rng(SEED))
        jobs: dict[str, Job] = {"own": own_job(own, "dense", T, 1, 2)}
        shuffled, _ = make_sampler(
            MachineSystem("general", "spin", (n, 0), own, "benchmark", order="random"), SEED, "dense", T, LANES
        )
        shuffled.start(SEED, "benchmark", T, 0, "random")

        def in_random_order(shuffled: Any = shuffled, n: int = n) -> float:
            shuffled.sweep(2)
            return float(2 * n * LANES)

        jobs["random"] = in_random_order
        rates = take_turns(jobs, ROUNDS)
        cells = [f"{statistics.median(rates[name]):.3g}" for name in jobs]
        peer = openjij_job(own, T)
        if peer:
            theirs = [peer() / 1e9 for _ in range(5)]
            cells += [
                f"{statistics.median(theirs):.3g}",
                f"{statistics.median(rates['own']) / statistics.median(theirs):.1f}",
            ]
        print(f"| {n} | {T:g} | {' | '.join(cells)} |", flush=True)
    print()


# --- learning -----------------------------------------------------------------------------------------------------


def epochs() -> None:
    print(f"## PCD-1 on 8 x 8 digits, batches of {BATCH}: epochs per second\n")
    print("| hidden units | ising-mc, with its monitors | scikit-learn | rbms 0.5.0 | over scikit-learn | over rbms |")
    print("|---|---|---|---|---|---|")
    data, _ = digits()
    for hidden in (64, 256):
        trainer = trainer_of(data, hidden)

        def ours(trainer: Any = trainer) -> float:
            trainer.record(20, 1)
            return 20.0

        jobs: dict[str, Job | None] = {
            "own": ours,
            "sklearn": _sklearn_epochs(data, hidden),
            "rbms": _rbms_epochs(data, hidden),
        }
        there = {name: job for name, job in jobs.items() if job}
        with threadpool_limits(1):
            rates = take_turns(there, ROUNDS)
        cells = [f"{1e9 * statistics.median(rates[name]):.0f}" if name in rates else "-" for name in jobs]
        for name in ("sklearn", "rbms"):
            ratios = [a / b for a, b in zip(rates["own"], rates.get(name, [np.nan] * ROUNDS), strict=True)]
            cells.append(f"{statistics.median(ratios):.1f} ({min(ratios):.1f} - {max(ratios):.1f})")
        print(f"| {hidden} | {' | '.join(cells)} |", flush=True)
    print()


def _sklearn_epochs(data: Any, hidden: int, count: int = 10) -> Job | None:
    try:
        from sklearn.neural_network import BernoulliRBM
    except ModuleNotFoundError:
        return None
    other = BernoulliRBM(hidden, learning_rate=RATE, batch_size=BATCH, n_iter=count, random_state=SEED)

    def job() -> float:
        other.fit(data)
        return float(count)

    return job


def _rbms(data: Any, hidden: int, rate: float = RATE) -> tuple[Any, Callable[[int], None]] | None:
    """Its parameters, and what does some updates of PCD-1."""
    try:
        return rbms_learner(data, hidden, rate, centered=True)
    except ModuleNotFoundError:
        return None


def _rbms_epochs(data: Any, hidden: int, count: int = 5) -> Job | None:
    found = _rbms(data, hidden)
    if found is None:
        return None
    _, updates = found

    def job() -> float:
        updates(count * -(-len(data) // BATCH))
        return float(count)

    return job


def judged(W: Any, b: Any, c: Any, test: Any) -> str:
    """Test log likelihood by annealed importance sampling, the same for all."""
    parts = [np.asarray(part, np.float64) for part in (W, b, c)]
    machine = Machine("restricted", "binary", parts[0].shape, (parts[0],), (parts[1], parts[2]))
    base = learning.base_rates(test, False)
    found = likelihood.ais(machine, np.random.default_rng(SEED), 200, 3000, base)
    value = likelihood.log_likelihood(machine, test, log_z=found.log_z)
    return f"{value:.2f} +- {found.error:.2f}"


def likelihoods() -> None:
    print(f"## Log likelihood of 300 test digits after {SECONDS:g} s of one thread, nats (log Z by the same AIS)\n")
    print("| hidden units | ising-mc, pcd | ising-mc, cd | scikit-learn, 0.05 / 0.01 | rbms 0.5.0, 0.05 / 0.01 |")
    print("|---|---|---|---|---|")
    data, test = digits()
    for hidden in (64, 256):
        cells = []
        with threadpool_limits(1):
            for method in ("pcd", "cd"):
                trainer = trainer_of(data, hidden, method=method, decay=0.002)
                trainer.record(1, 1)
                began = time.perf_counter()
                while time.perf_counter() - began < SECONDS:
                    trainer.record(20, 1)
                cells.append(judged(*trainer.parameters, test))
            for peer in (_sklearn_learns, _rbms_learns):
                cells.append(" / ".join(peer(data, test, hidden, rate) for rate in (RATE, 0.01)))
        print(f"| {hidden} | {' | '.join(cells)} |", flush=True)
    print()


def _sklearn_learns(data: Any, test: Any, hidden: int, rate: float) -> str:
    try:
        from sklearn.neural_network import BernoulliRBM
    except ModuleNotFoundError:
        return "-"
    other = BernoulliRBM(hidden, learning_rate=rate, batch_size=BATCH, random_state=SEED)
    began = time.perf_counter()
    while time.perf_counter() - began < SECONDS:
        for first in range(0, len(data), BATCH):
            other.partial_fit(data[first : first + BATCH])
    return judged(other.components_.T, other.intercept_visible_, other.intercept_hidden_, test)


def _rbms_learns(data: Any, test: Any, hidden: int, rate: float) -> str:
    found = _rbms(data, hidden, rate)
    if found is None:
        return "-"
    net, updates = found
    updates(1)
    began = time.perf_counter()
    while time.perf_counter() - began < SECONDS:
        updates(20)
    return judged(net.weight_matrix.numpy(), net.vbias.numpy(), net.hbias.numpy(), test)


def main() -> None:
    print("# Boltzmann machines\n")
    names = ("ising-mc", "numba", "numpy", *PEERS)
    versions = ", ".join(f"{name} {provenance.package_version(name)}" for name in names)
    print(f"{date.today()}, {provenance.cpu_model()}, {len(os.sched_getaffinity(0))} cores, {versions}")
    print(
        f"\nMade by `python benchmarks/boltzmann.py > benchmarks/BOLTZMANN.md`: one thread, medians of {ROUNDS} rounds in turn.\n"
    )
    parts = {
        "sampling": sampling,
        "products": products,
        "general": general,
        "epochs": epochs,
        "likelihoods": likelihoods,
    }
    for name in sys.argv[1:] or parts:
        parts[name]()


if __name__ == "__main__":
    main()
