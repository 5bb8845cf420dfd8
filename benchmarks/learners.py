"""Who takes part in the contests of Boltzmann machines: see `contenders`."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from contenders import SEED, Simple, of_runs, of_series

BATCH, RATE = 100, 0.05
CHECKED_EPOCHS, RUNS, GRANTED = 300, 6, 0.1  # of learning; nats by which recipes alike in all that matters may differ


def _restricted(visible: int, hidden: int) -> Any:
    from ising_mc.machine import random_machine

    return random_machine("restricted", "binary", (visible, hidden), 0.05, np.random.default_rng(SEED))


def checked_machine() -> Any:
    """A small machine with strong couplings and biases."""
    from ising_mc.machine import Machine

    rng = np.random.default_rng(SEED)
    W, b, c = rng.normal(0.3, 1.0, (16, 10)), rng.normal(-1.0, 0.5, 16), rng.normal(-1.0, 0.5, 10)
    return Machine("restricted", "binary", (16, 10), (W,), (b, c))


def exact_activity(machine: Any) -> float:
    """Mean activity of all units of a restricted machine of few hidden units, from all states of these."""
    (W,), (b, c) = machine.weights, machine.biases
    h = (np.arange(2 ** len(c))[:, None] >> np.arange(len(c))) & 1
    inputs = h @ W.T + b
    log_p = h @ c + np.logaddexp(0, inputs).sum(axis=1)
    p = np.exp(log_p - log_p.max())
    active = h.sum(axis=1) + (1 / (1 + np.exp(-inputs))).sum(axis=1)
    return float((p @ active) / p.sum() / machine.n)


def rbm(visible: int, hidden: int) -> Simple:
    """64 chains a word."""
    from ising_mc.boltzmann import MachineSystem, make_sampler
    from ising_mc.words import LANES

    def made(own: Any) -> Any:
        sampler, _ = make_sampler(
            MachineSystem(own.kind, own.units, own.sizes, own, "benchmark"), SEED, "blocks", 1.0, LANES
        )
        sampler.start(SEED, "benchmark", 1.0, 0, "random")
        return sampler

    sampler = made(_restricted(visible, hidden))

    def work(steps: int) -> float:
        sampler.sweep(steps)
        return float(visible + hidden) * LANES * steps

    def check() -> tuple[float, float]:
        own = checked_machine()
        small = made(own)
        small.sweep(1000)
        return of_series(np.asarray(small.record(5000, 1)["magnetization"], np.float64) / own.n / 2 + 0.5)

    return Simple(work, check)


Step = Callable[[], tuple[Any, Any]]


def _of_chains(stepper: Callable[[Any], Step], visible: int, hidden: int, chains: int) -> Simple:
    """Block Gibbs sampling by a function that makes the next states of a machine; checked by the mean activity."""
    step = stepper(_restricted(visible, hidden))

    def work(steps: int) -> float:
        for _ in range(steps):
            step()
        return float(visible + hidden) * chains * steps

    def check() -> tuple[float, float]:
        own = checked_machine()
        further, series = stepper(own), []
        for _ in range(500):
            further()
        for _ in range(500):
            v, h = further()
            series.append((np.asarray(v).sum(axis=1) + np.asarray(h).sum(axis=1)) / own.n)
        return of_series(np.array(series, np.float64).T)

    return Simple(work, check)


def rbm_numpy(visible: int, hidden: int, chains: int = 1000) -> Simple:
    rng = np.random.default_rng(SEED)

    def stepper(own: Any) -> Step:
        W, b, c = (part.astype(np.float32) for part in (*own.weights, *own.biases))
        v = (rng.random((chains, len(b)), np.float32) < 0.5).astype(np.float32)

        def step() -> tuple[Any, Any]:
            h = (rng.random((chains, len(c)), np.float32) < 1 / (1 + np.exp(-(v @ W + c)))).astype(np.float32)
            v[:] = rng.random((chains, len(b)), np.float32) < 1 / (1 + np.exp(-(h @ W.T + b)))
            return v, h

        return step

    return _of_chains(stepper, visible, hidden, chains)


def rbm_sklearn(visible: int, hidden: int, chains: int = 1000) -> Simple:
    from sklearn.neural_network import BernoulliRBM

    rng = np.random.RandomState(SEED)

    def stepper(own: Any) -> Step:
        other = BernoulliRBM(n_components=own.sizes[1])
        other.components_ = np.ascontiguousarray(own.weights[0].T.astype(np.float32))
        other.intercept_visible_, other.intercept_hidden_ = (part.astype(np.float32) for part in own.biases)
        v = (rng.random_sample((chains, own.sizes[0])) < 0.5).astype(np.float32)

        def step() -> tuple[Any, Any]:
            nonlocal v
            h = other._sample_hiddens(v, rng)
            v = other._sample_visibles(h, rng)
            return v, h

        return step

    return _of_chains(stepper, visible, hidden, chains)


def rbm_torch(visible: int, hidden: int, chains: int = 1000) -> Simple:
    import torch

    torch.set_num_threads(1)

    def stepper(own: Any) -> Step:
        W, b, c = (torch.tensor(part, dtype=torch.float32) for part in (*own.weights, *own.biases))
        v = (torch.rand(chains, len(b)) < 0.5).float()

        def step() -> tuple[Any, Any]:
            nonlocal v
            with torch.no_grad():
                h = torch.bernoulli(torch.sigmoid(c + v @ W))
                v = torch.bernoulli(torch.sigmoid(b + h @ W.T))
            return v, h

        return step

    return _of_chains(stepper, visible, hidden, chains)


def digits() -> Any:
    """8 x 8 digits, training and test examples."""
    from ising_mc.trainingdata import read_data

    path = Path(__file__).parent.parent / "configs" / "digits.npz"
    values = read_data(path, None, "binary", 7).values
    order = np.random.default_rng(SEED).permutation(len(values))
    return np.ascontiguousarray(values[order[300:]]), np.ascontiguousarray(values[order[:300]])


def log_likelihood(W: Any, b: Any, c: Any, test: Any, steps: int) -> float:
    """Mean log likelihood of test examples, in nats, by annealed importance sampling."""
    from ising_mc import learning, likelihood
    from ising_mc.machine import Machine

    parts = [np.asarray(part, np.float64) for part in (W, b, c)]
    machine = Machine("restricted", "binary", parts[0].shape, (parts[0],), (parts[1], parts[2]))
    base = learning.base_rates(test, False)
    log_z = likelihood.ais(machine, np.random.default_rng(SEED), 100, steps, base).log_z
    return float(likelihood.log_likelihood(machine, test, log_z=log_z))


def _learnt(parameters: Callable[[int], tuple[Any, Any, Any]]) -> Callable[[], tuple[float, float]]:
    """The check of what learns: log likelihood of test digits after some epochs, from each of a few seeds."""

    def check() -> tuple[float, float]:
        _, test = digits()
        value, error = of_runs([log_likelihood(*parameters(SEED + k), test, 1000) for k in range(RUNS)])
        return value, math.hypot(error, GRANTED)

    return check


def trainer_of(data: Any, hidden: int, **options: Any) -> Any:
    from ising_mc import learning
    from ising_mc.machine import random_machine

    machine = random_machine("restricted", "binary", (data.shape[1], hidden), 0.01, np.random.default_rng(SEED))
    recipe = learning.Recipe(**{"batch": BATCH, "rate": RATE, "epochs": 10**7, "evaluate_every": 10**7, **options})
    trainer = learning.make_trainer(machine, recipe, data, data[:0])
    trainer.start(SEED, "benchmark", 0.0, 0, "")
    return trainer


def train(hidden: int) -> Simple:
    """Epochs of PCD-1, with its monitors."""
    data, _ = digits()
    trainer = trainer_of(data, hidden)

    def work(steps: int) -> float:
        trainer.record(steps, 1)
        return float(steps)

    def parameters(seed: int) -> Any:
        other = trainer_of(data, hidden)
        other.start(seed, "benchmark", 0.0, 0, "")
        other.record(CHECKED_EPOCHS, 1)
        return other.parameters

    return Simple(work, _learnt(parameters))


def train_sklearn(hidden: int) -> Simple:
    from sklearn.neural_network import BernoulliRBM

    data, _ = digits()

    def fitted(steps: int, seed: int) -> Any:
        return BernoulliRBM(hidden, learning_rate=RATE, batch_size=BATCH, n_iter=steps, random_state=seed).fit(data)

    def work(steps: int) -> float:
        fitted(steps, SEED)
        return float(steps)

    def parameters(seed: int) -> Any:
        other = fitted(CHECKED_EPOCHS, seed)
        return other.components_.T, other.intercept_visible_, other.intercept_hidden_

    return Simple(work, _learnt(parameters))


def rbms_learner(
    data: Any, hidden: int, rate: float = RATE, centered: bool = False, seed: int = SEED
) -> tuple[Any, Callable[[int], None]]:
    """Parameters of rbms, and what does some updates of its PCD-1."""
    import torch
    from rbms.bernoulli_bernoulli.classes import BBRBM
    from rbms.training.pcd import fit_batch_pcd

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    own = torch.tensor(data)
    rates = own.mean(0).clamp(1e-4, 1 - 1e-4)
    net = BBRBM(0.01 * torch.randn(data.shape[1], hidden), torch.log(rates / (1 - rates)), torch.zeros(hidden))
    net.init_grad()
    chains = net.init_chains(BATCH)
    optimizer = torch.optim.SGD(net.parameters(), lr=rate, maximize=True)
    weights = torch.ones(BATCH, 1)

    def updates(count: int) -> None:
        nonlocal chains
        with torch.no_grad():
            for _ in range(count):
                batch = own[torch.randperm(len(own))[:BATCH]]
                optimizer.zero_grad(set_to_none=False)
                chains, _ = fit_batch_pcd((batch, weights), chains, net, 1, 1.0, centered=centered)
                optimizer.step()

    return net, updates


def train_rbms(hidden: int) -> Simple:
    data, _ = digits()
    epoch = -(-len(data) // BATCH)  # updates
    _, updates = rbms_learner(data, hidden)

    def work(steps: int) -> float:
        updates(steps * epoch)
        return float(steps)

    def parameters(seed: int) -> Any:
        net, updates = rbms_learner(data, hidden, seed=seed)
        updates(CHECKED_EPOCHS * epoch)
        return net.weight_matrix.numpy(), net.vbias.numpy(), net.hbias.numpy()

    return Simple(work, _learnt(parameters))
