"""Learning of Boltzmann machines from data: contrastive divergence and its kin, and exact gradients.

The gradient of the mean log likelihood of data, by J_ij and b_i, is <u_i u_j> and <u_i> with the visible units held at
the data, minus these when all units are free (Ackley, Hinton and Sejnowski, Cogn. Sci. 9, 147, 1985); the temperature
is 1.  Trainers are samplers (`words.Sampler`) whose sweeps are epochs.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cython_blas  # noqa: F401  that numba will use: it has to be there when threads are limited
from threadpoolctl import ThreadpoolController

from ising_mc import likelihood, streams
from ising_mc.kernels import contrastive as kernel
from ising_mc.kernels import logistic, sums
from ising_mc.machine import Machine
from ising_mc.words import Series, State, aligned_zeros

METHODS = ("exact", "cd", "pcd", "pt")
CLAMPED = ("mean_field", "gibbs")
STARTS = ("base_rate", "zero")
FEW_SUMMED = 16  # units up to which likelihoods are summed exactly
MONITORED = 300  # examples of an epoch that tell of reconstruction and pseudo-likelihood
WORK = 10**9  # terms of free energies that a likelihood may take: of so many examples, drawn once, it is the mean
CHAINS, STEPS = 100, 500  # of annealed importance sampling
MOST_STATES = 256  # of hidden units, up to which the pseudo-likelihood is told of each epoch
FEWEST = 100  # examples that a likelihood is told of at least
MOST_HIDDEN = 16  # hidden units that free energies sum over, of layered and general machines
WALK = 100  # steps of a fresh chain that is to be a sample of the model
MOST_WEIGHT = 1e3  # beyond it learning has gone astray
MEAN_FIELD_STEPS, DAMPING = 30, 0.5
EDGE = 0.01  # base rates stay this far from 0 and 1
QUANTITIES = (
    "gradient_norm", "reconstruction_error", "pseudo_likelihood", "log_likelihood", "log_likelihood_low",
    "log_likelihood_high", "held_out_log_likelihood", "held_out_log_likelihood_low", "held_out_log_likelihood_high",
    "swap_rate",
)  # fmt: skip
Floats32 = NDArray[np.float32]
Floats = NDArray[np.float64]


class DivergedError(ValueError):
    """Weights grew beyond all measure; the message is one sentence."""


@dataclass(frozen=True)
class Recipe:
    """How to learn.

    method: "exact" gradient, "cd", "pcd" or "pt" (chains at `temperings` inverse temperatures from 1 to 0);  steps: of
    Gibbs sampling for each update;  batch: examples of an update;  chains: persistent ones (0: as many as a batch);
    rate, decay: rate / (1 + decay * epoch);  momentum, l1, l2: of the weights;  centred: gradient of centred units;
    clamped: of hidden units of general machines, "mean_field" or "gibbs";  start: of the visible biases;
    evaluate_every: epochs between estimates of the likelihood, which the last one always has.
    """

    method: str = "pcd"
    steps: int = 1
    epochs: int = 100
    batch: int = 100
    chains: int = 0
    rate: float = 0.05
    decay: float = 0.0
    momentum: float = 0.0
    l1: float = 0.0
    l2: float = 0.0
    centred: bool = False
    temperings: int = 10
    clamped: str = "mean_field"
    start: str = "base_rate"
    evaluate_every: int = 10


@lru_cache(1)
def _libraries() -> ThreadpoolController:
    """What has threads of its own; to look for it takes longer than an epoch of a small machine."""
    return ThreadpoolController()


def one_blas_thread() -> AbstractContextManager[object]:
    """Matrix products in one thread, so that no number depends on how many there are."""
    found: AbstractContextManager[object] = _libraries().limit(limits=1, user_api="blas")
    return found


class Trainer(ABC):
    """What all trainers have in common: parameters, history, and states from which they go on bit for bit.

    machine: where learning begins;  data: (D, n_v) means of the visible units;  held_out: likewise, maybe none.  Means
    that are no states are drawn anew for each epoch (Salakhutdinov and Murray, ICML 2008).
    """

    lanes = 1
    record_bytes = 8 * len(QUANTITIES)

    def __init__(
        self, machine: Machine, recipe: Recipe, data: Floats32, held_out: Floats32, draw_biases: bool = True
    ) -> None:
        self.spin = machine.units == "spin"
        self.recipe, self.data, self.held_out = recipe, data, held_out
        self.is_binary = all(bool(np.isin(own, (machine.low, 1)).all()) for own in (data, held_out))
        if draw_biases and recipe.start == "base_rate":
            machine = with_base_rates(machine, data)
        largest = max((float(np.abs(own).max(initial=0)) for own in (*machine.weights, *machine.biases)), default=0.0)
        if largest >= MOST_WEIGHT:
            raise ValueError(f"learning cannot begin with a weight or bias of {largest:g}: at most {MOST_WEIGHT:g}")
        self.first = machine
        self.base = base_rates(data, self.spin)
        self.parameters = [own.astype(np.float32) for own in (*machine.weights, *machine.biases)]
        self.velocity = [np.zeros_like(own) for own in self.parameters]
        self.done, self.seed, self.label = 0, 0, ""
        self.scratch = aligned_zeros(logistic.SCRATCH_WORDS)

    # --- state ----------------------------------------------------------------------------------------------------

    def start(self, seed: int, system: str, temperature: float, word: int, start: str) -> None:
        """Draw the chains and the generators."""
        self.seed, self.label, self.done = seed, system, 0
        for own, first in zip(self.parameters, (*self.first.weights, *self.first.biases), strict=True):
            own[:] = first
        for velocity in self.velocity:
            velocity[:] = 0
        origin = streams.sequence(seed, system, 0.0, word, streams.UPDATES)
        self.scratch[: logistic.STATE_WORDS] = origin.generate_state(logistic.STATE_WORDS, np.uint64)
        self._begin(self._rng(0, streams.START))

    def state(self) -> State:
        """A copy of the state."""
        more = {f"parameters_{k}": own.copy() for k, own in enumerate(self.parameters)}
        more |= {f"velocity_{k}": own.copy() for k, own in enumerate(self.velocity)}
        more |= {name: own.copy() for name, own in self._own().items()}
        random = self.scratch[None, : logistic.STATE_WORDS].copy()
        return State(np.array([self.done], np.uint64), random, more)

    def restore(self, state: State) -> None:
        """Go back to a state; `seed` and `label` must be those that `start` was given."""
        self.done = int(state.spins[0])
        self.scratch[: logistic.STATE_WORDS] = state.random[0]
        for k, (own, velocity) in enumerate(zip(self.parameters, self.velocity, strict=True)):
            own[:], velocity[:] = state.more[f"parameters_{k}"], state.more[f"velocity_{k}"]
        for name, own in self._own().items():
            own[:] = state.more[name]

    def _rng(self, epoch: int, purpose: int) -> np.random.Generator:
        """Random numbers of an epoch, which depend on nothing before it."""
        return np.random.Generator(np.random.SFC64(streams.sequence(self.seed, self.label, 0.0, epoch, purpose)))

    @abstractmethod
    def _own(self) -> dict[str, NDArray[Any]]:
        """Arrays that the state holds beside parameters: chains, centres."""

    @abstractmethod
    def _begin(self, rng: np.random.Generator) -> None:
        """See the subclasses."""

    @abstractmethod
    def _learn(self, data: Floats32, order: NDArray[np.int64], rate: float) -> float:
        """One epoch; the mean norm of its gradients."""

    @abstractmethod
    def _reconstruct(self, visible: Floats32, rng: np.random.Generator) -> Floats:
        """Means of the visible units after hidden ones have seen them."""

    def _swap_rate(self) -> float:
        """Swaps of temperatures made over those tried in an epoch; NaN where there is no tempering."""
        return float("nan")

    @abstractmethod
    def samples(self, count: int) -> Floats:
        """States (count, n) of the model, as good as its chains are."""

    @property
    def machine(self) -> Machine:
        """The machine as it is."""
        weights = len(self.first.weights)
        own = [parameter.astype(np.float64) for parameter in self.parameters]
        return replace(self.first, weights=tuple(own[:weights]), biases=tuple(own[weights:]))

    # --- epochs ---------------------------------------------------------------------------------------------------

    def sweep(self, sweeps: int) -> None:
        """Learn for some epochs without telling how it goes."""
        self.record(1, sweeps)

    def record(self, measurements: int, every: int) -> Series:
        """How learning goes: a series (1, measurements) for each of QUANTITIES.

        Raises DivergedError where weights blow up.
        """
        found = np.full((len(QUANTITIES), measurements), np.nan)
        fully = self._hidden_states <= MOST_STATES
        with one_blas_thread():
            for k in range(measurements):
                for _ in range(every):
                    norm = self._epoch()
                judged = self.done % self.recipe.evaluate_every == 0 or self.done == self.recipe.epochs
                found[:3, k] = norm, *self._monitors(fully)
                found[-1, k] = self._swap_rate()
                if judged:
                    found[3:-1, k] = self._likelihoods()
        return {name: own[None] for name, own in zip(QUANTITIES, found, strict=True)}

    def _epoch(self) -> float:
        rng = self._rng(self.done, streams.LEARNING)
        data = self.data if self.is_binary else draw(self.data, self.spin, rng)
        rate = self.recipe.rate / (1 + self.recipe.decay * self.done)
        norm = self._learn(data, rng.permutation(len(data)), rate)
        self.check()
        self.done += 1
        return norm

    def check(self) -> None:
        """Raise DivergedError where a parameter is beyond all measure, or no number."""
        largest = np.max([np.abs(own).max(initial=0) for own in self.parameters])  # NaN where any is
        if not largest < MOST_WEIGHT:
            raise DivergedError(
                f"learning diverged in epoch {self.done + 1}: a weight or bias is beyond {MOST_WEIGHT:g}; what was "
                "saved before is kept; lower train.rate, train.momentum or train.l2"
            )

    @property
    def _hidden_states(self) -> int:
        """How many states of hidden units a free energy sums over."""
        return 1 << likelihood.hidden_summed(self.first)

    @property
    def _judged(self) -> int:
        """Examples whose mean likelihood is told: all where that is no great work."""
        return max(FEWEST, WORK // (self._hidden_states * self.first.n))

    def _monitors(self, fully: bool) -> tuple[float, float]:
        """Reconstruction error, squared, a unit; and pseudo-likelihood (Besag) by one unit of each example, nats.

        fully: or the pseudo-likelihood is NaN, as it would take too long.
        """
        rng = self._rng(self.done, streams.MONITORS)
        data = self.data[rng.integers(0, len(self.data), MONITORED)]
        data = data if self.is_binary else draw(data, self.spin, rng)
        error = float(np.mean((self._reconstruct(data, rng) - data) ** 2))
        if not fully:
            return error, float("nan")
        change = self._cost_of_turning(data, rng.integers(0, data.shape[1], len(data)))
        with np.errstate(invalid="ignore"):  # NaN where it is not known
            return error, float(-data.shape[1] * np.mean(np.logaddexp(0, -change)))

    def _cost_of_turning(self, visible: Floats32, which: NDArray[np.int64]) -> Floats:
        """By how much free energies rise when one visible unit of each row turns; NaN where they are not known."""
        own, turned, rows = visible.astype(np.float64), visible.astype(np.float64), np.arange(len(visible))
        turned[rows, which] = (0 if self.spin else 1) - own[rows, which]
        try:
            return likelihood.free_energy(self.machine, turned) - likelihood.free_energy(self.machine, own)
        except ValueError:  # too many hidden units to sum over
            return np.full(len(own), np.nan)

    def _likelihoods(self) -> list[float]:
        """Mean log likelihood of the data and of those held out, nats an example: value, low and high, of each."""
        rng, machine = self._rng(self.done, streams.LIKELIHOOD), self.machine
        with one_blas_thread():
            value, low, high = judge(machine, rng, self.base, self.samples)
            found: list[float] = []
            for data in (self.data, self.held_out):
                own = data
                if len(data) > self._judged:  # the same ones each time
                    own = data[self._rng(0, streams.JUDGED).permutation(len(data))[: self._judged]]
                if not len(own) or not np.isfinite(value):
                    found += [np.nan] * 3
                    continue
                own = own if self.is_binary else draw(own, self.spin, self._rng(len(data), streams.JUDGED))
                free = float(likelihood.free_energy(machine, own).mean())
                found += [-free - log_z for log_z in (value, high, low)]
        return found


def judge(
    machine: Machine, rng: np.random.Generator, base: Floats, samples: Callable[[int], Floats]
) -> tuple[float, float, float]:
    """log Z of a machine, and bounds: exact where it can be summed, else from annealing there and back.

    base: biases of independent visible units;  samples: makes states of the model (count, n).  The lower bound is the
    lower end of the 68 % interval of annealed importance sampling, the upper one that of the way back (see
    `likelihood.reverse_ais`), which is as good as the samples are: each end holds with some 84 %.  NaN where free
    energies would sum over more than 2**MOST_HIDDEN states of hidden units.
    """
    if likelihood.side_summed(machine) <= FEW_SUMMED:
        value = likelihood.log_z(machine)
        return value, value, value
    if likelihood.hidden_summed(machine) > MOST_HIDDEN:
        return np.nan, np.nan, np.nan
    ahead = likelihood.ais(machine, rng, CHAINS, STEPS, base)
    back = likelihood.reverse_ais(machine, samples(CHAINS), rng, STEPS, base)
    low = ahead.low if ahead.reliable else np.nan
    return ahead.log_z, low, back.high if back.reliable else np.nan


def some(total: int, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """So many of a total, different ones where there are enough."""
    return rng.permutation(total)[:count] if count <= total else rng.integers(0, total, count)


def draw(means: Floats32, spin: bool, rng: np.random.Generator) -> Floats32:
    """States of units from their means."""
    low = -1 if spin else 0
    return np.where(low + (1 - low) * rng.random(means.shape, np.float32) < means, 1, low).astype(np.float32)


def base_rates(data: Floats32, spin: bool) -> Floats:
    """Biases (n_v,) of independent visible units with the means of the data, which are kept away from their ends."""
    rate = np.clip((data.mean(axis=0, dtype=np.float64) + spin) / (1 + spin), EDGE, 1 - EDGE)
    return np.asarray(np.log(rate / (1 - rate)) / (1 + spin))


def with_base_rates(machine: Machine, data: Floats32) -> Machine:
    """A machine whose visible biases are the base rates of data."""
    base, first = base_rates(data, machine.units == "spin"), machine.biases[0].copy()
    first[: len(base)] = base
    return replace(machine, biases=(first, *machine.biases[1:]))


class RestrictedTrainer(Trainer):
    """Learning of a restricted machine, in float32."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        recipe, n_v, n_h = self.recipe, *self.first.sizes
        self.ladders = recipe.chains or min(recipe.batch, len(self.data))
        rungs = recipe.temperings if recipe.method == "pt" else 1
        rows = rungs * self.ladders if recipe.method in ("pcd", "pt") else 0
        self.betas = np.repeat(np.linspace(1, 0, rungs) if rungs > 1 else [1.0], self.ladders).astype(np.float32)
        self.chains = np.zeros((rows, n_v), np.float32), np.zeros((rows, n_h), np.float32)
        self.centres = np.zeros(n_v, np.float32), np.zeros(n_h, np.float32)
        self.swaps = np.zeros(4, np.uint64)  # a generator, swaps tried, swaps made

    @property
    def net(self) -> tuple[Floats32, Floats32, Floats32]:
        """Weights and biases."""
        W, b, c = self.parameters
        return W, b, c

    def _own(self) -> dict[str, NDArray[Any]]:
        visible, hidden = self.chains
        mu, nu = self.centres
        own: dict[str, NDArray[Any]] = {"visible": visible, "hidden": hidden, "centres_visible": mu}
        return own | {"centres_hidden": nu, "swaps": self.swaps}

    def _begin(self, rng: np.random.Generator) -> None:
        self.centres[0][:] = self.data.mean(axis=0)
        self.centres[1][:] = 0 if self.spin else 0.5
        self.swaps[:] = 0
        self.swaps[:2] = rng.integers(0, 2**64, 2, np.uint64)
        visible, hidden = self.chains
        if len(visible):
            visible[:] = draw(np.resize(self.data, visible.shape), self.spin, rng)
            hidden[:] = draw(np.broadcast_to(self.centres[1], hidden.shape), self.spin, rng)

    def _learn(self, data: Floats32, order: NDArray[np.int64], rate: float) -> float:
        recipe, f = self.recipe, np.float32
        self.swaps[2:] = 0
        if recipe.method == "exact":
            return self._learn_exactly(data, order, rate)
        W, b, c = self.velocity
        method = recipe.steps, self.ladders, recipe.method == "cd", recipe.centred
        speed = f(0.01 if recipe.centred else 0)
        settings = f(rate), f(recipe.momentum), f(recipe.l1), f(recipe.l2), speed
        norm: float = kernel.epoch(
            data, order, recipe.batch, self.net, (W, b, c), self.centres, self.chains, self.betas, method, settings,
            self.spin, self.scratch, self.swaps,
        )  # fmt: skip
        return norm

    def _learn_exactly(self, data: Floats32, order: NDArray[np.int64], rate: float) -> float:
        norms = []
        for first in range(0, len(order), self.recipe.batch):
            gradient = exact_gradient(self.machine, data[order[first : first + self.recipe.batch]])
            norms.append(follow(self, gradient, rate))
        return float(np.mean(norms))

    def _swap_rate(self) -> float:
        tried, made = self.swaps[2:].tolist()
        return made / tried if tried else float("nan")

    def _inputs(self, visible: Floats32) -> Floats32:
        inputs = np.empty((len(visible), self.first.sizes[1]), np.float32)
        sums.times(visible, self.net[0], inputs, self.spin)
        return inputs

    def _hidden(self, visible: Floats32) -> Floats32:
        _, _, c = self.net
        means = self._inputs(visible)
        kernel.means_of(means, c, np.ones(len(visible), np.float32), self.spin)
        return means

    def _reconstruct(self, visible: Floats32, rng: np.random.Generator) -> Floats:
        W, b, _ = self.net
        means = np.ascontiguousarray(self._hidden(visible) @ W.T)
        kernel.means_of(means, b, np.ones(len(visible), np.float32), self.spin)
        return np.asarray(means, np.float64)

    def _cost_of_turning(self, visible: Floats32, which: NDArray[np.int64]) -> Floats:
        W, b, c = self.net
        own = visible[np.arange(len(visible)), which]
        change = -2 * own if self.spin else 1 - 2 * own
        found = np.empty(len(visible))
        kernel.cost_of_turning(self._inputs(visible), c, W, which, change, self.spin, found)
        return found - change * b[which]

    def samples(self, count: int) -> Floats:
        """States (count, n): the chains at T = 1, or fresh ones that begin at the data; walked on some steps."""
        rng = self._rng(self.done, streams.START)
        own = self.chains[0][: self.ladders] if len(self.chains[0]) else self.data
        visible = draw(own[some(len(own), count, rng)], self.spin, rng)
        hidden = draw(self._hidden(visible), self.spin, rng)
        scratch = self.scratch.copy()
        scratch[: logistic.STATE_WORDS] = rng.integers(0, 2**64, logistic.STATE_WORDS, np.uint64)
        ones = np.ones(count, np.float32)
        kernel.walk(visible, hidden, self.net, ones, count, WALK, self.spin, scratch, self.swaps.copy())
        return np.concatenate((visible, hidden), axis=1).astype(np.float64)


class GeneralTrainer(Trainer):
    """Learning of any machine, by a matrix of all pairs; couplings that the machine does not have stay 0."""

    def __init__(self, *arguments: Any, mask: NDArray[np.bool_] | None = None, **options: Any) -> None:
        super().__init__(*arguments, **options)
        recipe, machine = self.recipe, self.first
        self.n, self.n_v = machine.n, machine.visible
        self.mask = mask_of(machine) if mask is None else mask
        count = recipe.chains or min(recipe.batch, len(self.data))
        self.chains = np.zeros((count if recipe.method == "pcd" else 0, self.n), np.float32)
        width = max(count, min(recipe.batch, len(self.data)))
        self.generators = np.zeros((width, 2), np.uint64)

    def _own(self) -> dict[str, NDArray[Any]]:
        return {"chains": self.chains, "generators": self.generators}

    def _begin(self, rng: np.random.Generator) -> None:
        self.generators[:] = rng.integers(0, 2**64, self.generators.shape, np.uint64)
        half = 0.0 if self.spin else 0.5
        if len(self.chains):
            self.chains[:] = draw(np.full(self.chains.shape, half, np.float32), self.spin, rng)
            self.chains[:, : self.n_v] = draw(np.resize(self.data, (len(self.chains), self.n_v)), self.spin, rng)

    @property
    def _dense(self) -> tuple[Floats32, Floats32]:
        J, b = self.machine.dense
        return J.astype(np.float32), b.astype(np.float32)

    def _learn(self, data: Floats32, order: NDArray[np.int64], rate: float) -> float:
        norms, rng = [], self._rng(self.done, streams.UPDATES)
        for first in range(0, len(order), self.recipe.batch):
            visible = data[order[first : first + self.recipe.batch]]
            if self.recipe.method == "exact":
                G, g = exact_gradient(self.machine, visible)
                G = G * self.mask
            else:
                G, g = self._gradient(visible, rng)
            norms.append(follow(self, (G, g), rate))
        return float(np.mean(norms))

    def _gradient(self, visible: Floats32, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """By J (n, n) and b (n,): clamped phase minus free phase."""
        J, b = self._dense
        held = self._clamped(visible, J, b, rng, self.generators)
        free = draw(held, self.spin, rng) if self.recipe.method == "cd" else self.chains
        self._walk(free, J, b, 0, self.recipe.steps, self.generators)
        both = []
        for own in (held, free):
            u = own.astype(np.float64)
            both.append((u.T @ u / len(u), u.mean(axis=0)))
        return (both[0][0] - both[1][0]) * self.mask, both[0][1] - both[1][1]

    def _clamped(
        self, visible: Floats32, J: Floats32, b: Floats32, rng: np.random.Generator,
        generators: NDArray[np.uint64] | None = None,
    ) -> Floats32:  # fmt: skip
        """Means or states of all units (rows, n) while the visible ones are held; generators: by default fresh ones."""
        own = np.zeros((len(visible), self.n), np.float32)
        own[:, : self.n_v] = visible
        hidden = slice(self.n_v, self.n)
        if self.n == self.n_v:
            return own
        own[:, hidden] = 0.0 if self.spin else 0.5
        if self.recipe.clamped == "gibbs":
            own[:, hidden] = draw(own[:, hidden], self.spin, rng)
            if generators is None:
                generators = rng.integers(0, 2**64, (len(own), 2), np.uint64)
            self._walk(own, J, b, self.n_v, max(10, self.recipe.steps), generators)
            return own
        ones = np.ones(len(own), np.float32)
        for _ in range(MEAN_FIELD_STEPS):
            means = np.ascontiguousarray(own @ J[:, hidden])
            kernel.means_of(means, b[hidden], ones, self.spin)
            own[:, hidden] = DAMPING * own[:, hidden] + (1 - DAMPING) * means
        return own

    def _walk(
        self, states: Floats32, J: Floats32, b: Floats32, first: int, sweeps: int, generators: NDArray[np.uint64]
    ) -> None:
        fields = np.ascontiguousarray(states @ J + b)
        kernel.gibbs(J, fields, states, first, sweeps, 1.0, self.spin, generators)

    def _reconstruct(self, visible: Floats32, rng: np.random.Generator) -> Floats:
        """Means of visible units, each by all the others."""
        J, b = self._dense
        own = self._clamped(visible, J, b, rng)
        means = np.ascontiguousarray(own @ J[:, : self.n_v])
        kernel.means_of(means, b[: self.n_v], np.ones(len(own), np.float32), self.spin)
        return np.asarray(means, np.float64)

    def samples(self, count: int) -> Floats:
        """States (count, n): the chains, or fresh ones that begin at the data; walked on some sweeps."""
        rng = self._rng(self.done, streams.START)
        J, b = self._dense
        if len(self.chains):
            own = self.chains[some(len(self.chains), count, rng)]
        else:
            visible = draw(self.data[some(len(self.data), count, rng)], self.spin, rng)
            own = draw(self._clamped(visible, J, b, rng), self.spin, rng)
        self._walk(own, J, b, 0, WALK, rng.integers(0, 2**64, (count, 2), np.uint64))
        return own.astype(np.float64)


def follow(trainer: Trainer, gradient: tuple[Floats, Floats], rate: float) -> float:
    """Take a step along a gradient by J (n, n) and b (n,) with the trainer's momentum and decay; the norm of it.

    Raises DivergedError where weights blow up.
    """
    machine, recipe, norm = trainer.machine, trainer.recipe, 0.0
    G, g = gradient
    if machine.kind == "general":
        slopes = [G, g]
    else:
        layers = machine.layers
        blocks = [G[own, after] for own, after in pairwise(layers)]
        slopes = [*blocks, *(g[own] for own in layers)]
    for k, slope in enumerate(slopes):
        l1, l2 = (recipe.l1, recipe.l2) if k < len(machine.weights) else (0.0, 0.0)
        own, moved = trainer.parameters[k].reshape(-1), trainer.velocity[k].reshape(-1)
        flat = np.ascontiguousarray(slope, np.float32).reshape(-1)
        pairs = 0.5 if slope is G else 1.0  # each pair stands there twice
        norm += pairs * kernel.step(own, moved, flat, *(np.float32(x) for x in (rate, recipe.momentum, l1, l2)))
    trainer.check()
    return float(np.sqrt(norm))


def mask_of(machine: Machine) -> NDArray[np.bool_]:
    """Which pairs of units (n, n) a machine couples: all of a general one."""
    if machine.kind == "general":
        return ~np.eye(machine.n, dtype=bool)
    ones = replace(machine, weights=tuple(np.ones_like(W) for W in machine.weights))
    return np.asarray(ones.dense[0] != 0)


def exact_gradient(machine: Machine, visible: NDArray[np.floating]) -> tuple[Floats, Floats]:
    """The gradient of the mean log likelihood of visible states (D, n_v), by J (n, n) and b (n,).

    Raises ValueError where too many units would have to be summed over.
    """
    free = likelihood.moments(machine)
    if machine.kind == "restricted":
        both = np.concatenate((visible, likelihood.hidden_means(machine, visible)), axis=1)
        return (both.T @ both / len(both) - free.correlations) * mask_of(machine), both.mean(axis=0) - free.mean
    rows, counts = np.unique(visible, axis=0, return_counts=True)
    units = range(machine.visible)
    pairs, means = np.zeros((machine.n, machine.n)), np.zeros(machine.n)
    for row, count in zip(rows, counts / len(visible), strict=True):
        hidden = likelihood.moments(machine.clamped(list(units), row)[0])
        u = np.concatenate((row, hidden.mean))
        both = np.outer(u, u)
        both[machine.visible :, machine.visible :] = hidden.correlations
        pairs += count * both
        means += count * u
    G = (pairs - free.correlations) * mask_of(machine)
    return (G + G.T) / 2, means - free.mean  # sums of products may be rounded one way here, another way there


def check_recipe(kind: str, sizes: tuple[int, ...], recipe: Recipe) -> None:
    """Raise ValueError for what a machine cannot learn by."""
    if recipe.method == "pt" and kind != "restricted":
        raise ValueError("train.method = 'pt' is for restricted machines; 'pcd' goes with all")
    if recipe.centred and (kind != "restricted" or recipe.method == "exact"):
        raise ValueError("train.centred = true is for restricted machines, and not for the exact gradient")
    if recipe.method == "exact":
        summed = sum(sizes) if kind == "general" else min(sum(sizes[::2]), sum(sizes[1::2]))
        hidden = 0 if kind == "restricted" else sum(sizes[1:])
        if max(summed, hidden) > likelihood.MOST_SUMMED:
            raise ValueError(
                f"train.method = 'exact' sums over all states, and {max(summed, hidden)} units are too many: at most "
                f"{likelihood.MOST_SUMMED}"
            )


def make_trainer(
    machine: Machine, recipe: Recipe, data: Floats32, held_out: Floats32, draw_biases: bool = True,
    mask: NDArray[np.bool_] | None = None,
) -> Trainer:  # fmt: skip
    """The trainer of a machine.

    draw_biases: whether the recipe says where visible biases start;  mask: pairs of units (n, n) of a general machine
    that may be coupled, all by default.  Raises ValueError for what a machine cannot learn by.
    """
    check_recipe(machine.kind, machine.sizes, recipe)
    if machine.kind == "restricted":
        return RestrictedTrainer(machine, recipe, data, held_out, draw_biases)
    return GeneralTrainer(machine, recipe, data, held_out, draw_biases, mask=mask)
