"""Restricted Boltzmann machines for scikit-learn: `RBM`, which goes where `sklearn.neural_network.BernoulliRBM` does.

    features = make_pipeline(MinMaxScaler(clip=True), RBM(200, n_iter=30, batch_size=20, random_state=0))
    model = make_pipeline(features, LogisticRegression()).fit(X, y)

scikit-learn is used only here.
"""

import time
import warnings
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from threadpoolctl import threadpool_limits

try:
    from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError("ising_mc.estimator needs scikit-learn: pip install 'ising-mc[sklearn]'") from error

from ising_mc import learning, likelihood, streams
from ising_mc.kernels import contrastive, logistic
from ising_mc.learning import DivergedError, Recipe, Trainer
from ising_mc.machine import UNITS, Machine, random_machine
from ising_mc.words import State, aligned_zeros

SCALE = 0.01  # standard deviation of the weights at the start
SLACK = 1e-6  # values so far beyond their ends are taken for rounding
CHAINS, TEMPERATURES = 100, 1000  # of annealed importance sampling
EVALUATE_EVERY, NEVER = 10, 2**62  # epochs
LEARNING_WORD, DRAWING_WORD = 0, 1  # streams of one seed
LEAST = {
    "n_components": 1, "batch_size": 1, "n_iter": 0, "steps": 1, "n_chains": 0, "n_temperings": 2, "verbose": 0,
}  # fmt: skip
CHOICES = {"method": learning.METHODS, "start": learning.STARTS, "units": UNITS}
FIXED = ("n_components", "batch_size", "method", "n_chains", "n_temperings", "units")  # once learning has begun
HISTORY = learning.QUANTITIES[:6]
SEEDS = 2**63
Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]


class RBM(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]  # they are Any
    """A restricted Boltzmann machine, E(v, h) = -v W h - b v - c h, as a transformer: to means of its hidden units.

    Values of X are states 0 and 1 of the visible units, or probabilities that they are on, from which states are drawn
    anew in each epoch; with units = "spin" they are -1 and +1, or means in between.  Other values are refused, both in
    learning and afterwards, unless `clip` is set; sparse matrices are made dense.  Learning is in float32 and in one
    thread: for a given random_state it gives the same machine whatever the number of threads.

    n_components: hidden units.
    learning_rate, decay: the rate of epoch k = 0, 1, ... is learning_rate/(1 + decay k).
    batch_size: examples of an update;  n_iter: epochs of `fit`.
    method: "cd" (chains begin at the data), "pcd" (persistent chains), "pt" (the same with parallel tempering),
    "exact" (gradients by enumeration: at most likelihood.MOST_SUMMED units on the smaller side).
    steps: of Gibbs sampling for each update;  n_chains: persistent chains, 0 for as many as a batch;  n_temperings:
    inverse temperatures of "pt".
    momentum, l1, l2: of the weights (momentum: of the biases, too);  centred: gradient of centred units.
    start: of the visible biases, "base_rate" (the logits of the means of X) or "zero".
    units: "binary" or "spin", of both layers.
    clip: whether values of X beyond the ends are set to the ends, instead of being refused.
    verbose: 1 prints a line each epoch, 2 also estimates the likelihood, every EVALUATE_EVERY epochs and in the last.
    random_state: an int (0 <= seed < 2**63), a RandomState, a Generator, or None for that of numpy.random.

    After `fit` or `partial_fit` there are
    machine_: the machine (`ising_mc.machine.Machine`), for all that the package does with one.
    components_ (n_components, n_features), intercept_hidden_ (n_components,), intercept_visible_ (n_features,): its
    parameters, read-only.
    history_: an array (epochs,) each of gradient_norm, reconstruction_error (squared, a unit), pseudo_likelihood (nats
    an example; of some examples), and log_likelihood, log_likelihood_low, log_likelihood_high (nats an example), which
    are NaN where they have not been estimated.
    n_features_in_, and feature_names_in_ where X has names.
    log_z_, log_z_error_: once `log_z` or `score_samples` has been called.
    """

    machine_: Machine
    history_: dict[str, Floats]
    log_z_: float
    log_z_error_: float
    _fixed: dict[str, Any]  # parameters at the start
    _seed: int
    _state: State  # where learning is
    _rows: int  # examples so far, each as often as it was in X
    _means: Floats  # of these
    _rng: np.random.Generator

    def __init__(
        self,
        n_components: int = 256,
        *,
        learning_rate: float = 0.05,
        batch_size: int = 100,
        n_iter: int = 100,
        method: str = "pcd",
        steps: int = 1,
        n_chains: int = 0,
        n_temperings: int = 10,
        momentum: float = 0.0,
        l1: float = 0.0,
        l2: float = 0.0,
        decay: float = 0.0,
        centred: bool = False,
        start: str = "base_rate",
        units: str = "binary",
        clip: bool = False,
        verbose: int = 0,
        random_state: Any = None,
    ) -> None:
        self.n_components = n_components
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.n_iter = n_iter
        self.method = method
        self.steps = steps
        self.n_chains = n_chains
        self.n_temperings = n_temperings
        self.momentum = momentum
        self.l1 = l1
        self.l2 = l2
        self.decay = decay
        self.centred = centred
        self.start = start
        self.units = units
        self.clip = clip
        self.verbose = verbose
        self.random_state = random_state

    # --- learning -------------------------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn from the start, n_iter epochs of X (n_samples, n_features); y is not looked at.

        Raises ValueError for X or parameters that are not as the class says, and its kind `learning.DivergedError`
        where weights blow up; machine_ then is as it was before.
        """
        _check_parameters(self)
        data = self._data(X, reset=True).astype(np.float32)
        if self.units == "spin" and data.min() >= 0:
            warnings.warn(
                "no value of X is below 0, but spins are -1 and +1: give 2 X - 1, or units = 'binary'", stacklevel=2
            )
        return self._learn(data, self.n_iter, goes_on=False)

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Learn one more epoch, of X (n_samples, n_features), from where learning is; y is not looked at.

        Chains, velocities and random numbers go on: n calls with one X are `fit` with n_iter = n, bit for bit, where
        random_state is a number.  The first call of all begins as `fit` does, with base rates of its X; after `fit`,
        learning goes on.  Parameters in FIXED cannot change any more, others can.  Raises as `fit` does.
        """
        _check_parameters(self)
        goes_on = hasattr(self, "machine_")
        data = self._data(X, reset=not goes_on).astype(np.float32)
        for name in FIXED if goes_on else ():
            if getattr(self, name) != self._fixed[name]:
                raise ValueError(
                    f"{name} is now {getattr(self, name)!r}, but learning began with {self._fixed[name]!r}: it can "
                    "change in fit only, which starts over"
                )
        return self._learn(data, 1, goes_on)

    def _learn(self, data: Floats32, epochs: int, goes_on: bool) -> Self:
        """Learn for some epochs, from the start or from where learning is."""
        began = time.perf_counter()
        examples: int = self._examples if goes_on else len(data)  # the first data tell how many chains there are
        recipe = self._recipe(len(data), epochs, examples)
        if goes_on:
            trainer = _trainer(self.machine_, recipe, data, draw_biases=False)
            trainer.start(self._seed, trainer.first.label, 0.0, LEARNING_WORD, "")
            trainer.restore(self._state)
            seed, rows, means, history = self._seed, self._rows, self._means, self.history_
        else:
            seed = _seed(self.random_state)
            trainer = _trainer(self._first(seed, data.shape[1]), recipe, data, draw_biases=True)
            trainer.start(seed, trainer.first.label, 0.0, LEARNING_WORD, "")
            rows, means, history = 0, np.zeros(data.shape[1]), {name: np.empty(0) for name in HISTORY}
        told: dict[str, list[float]] = {name: [] for name in HISTORY}
        for _ in range(epochs):
            try:
                found = trainer.record(1, 1)
            except DivergedError as error:
                raise DivergedError(
                    f"learning diverged in epoch {trainer.done + 1}: a weight or bias is beyond "
                    f"{learning.MOST_WEIGHT:g}; lower learning_rate, momentum or l2"
                ) from error
            for name in HISTORY:
                told[name].append(float(found[name][0, 0]))
            if self.verbose:
                now = ", ".join(f"{name} {told[name][-1]:.4g}" for name in HISTORY if not np.isnan(told[name][-1]))
                print(f"[{type(self).__name__}] epoch {trainer.done}: {now}, {time.perf_counter() - began:.1f} s")
        self._forget()
        self._fixed = {name: getattr(self, name) for name in FIXED}
        self._seed = seed
        self._state = trainer.state()
        self._rows = rows + len(data)
        self._examples: int = examples
        self._means = (rows * means + data.sum(axis=0, dtype=np.float64)) / self._rows
        self._rng = _generator(seed, trainer.first.label, streams.UPDATES, DRAWING_WORD)
        self._n_features_out = self.n_components
        self.history_ = {name: np.concatenate((history[name], own)) for name, own in told.items()}
        self.machine_ = trainer.machine
        return self

    def _recipe(self, examples: int, epochs: int, first: int) -> Recipe:
        tells = self.verbose > 1
        return Recipe(
            method=self.method,
            steps=int(self.steps),
            epochs=epochs if tells else 0,  # the last one, which would have its likelihood estimated
            batch=min(int(self.batch_size), examples),
            chains=int(self.n_chains or min(self.batch_size, first)),
            rate=float(self.learning_rate),
            decay=float(self.decay),
            momentum=float(self.momentum),
            l1=float(self.l1),
            l2=float(self.l2),
            centred=bool(self.centred),
            temperings=int(self.n_temperings),
            start=self.start,
            evaluate_every=EVALUATE_EVERY if tells else NEVER,
        )

    def _first(self, seed: int, features: int) -> Machine:
        """The machine at the start: that of a run that trains one with this seed."""
        sizes = (features, int(self.n_components))
        rng = _generator(seed, f"V{sizes[0]}H{sizes[1]}", streams.COUPLINGS, 0)
        return random_machine("restricted", self.units, sizes, SCALE, rng)

    def _forget(self) -> None:
        """Forget what is known of a machine that has learned more since."""
        for name in ("log_z_", "log_z_error_"):
            if hasattr(self, name):
                delattr(self, name)

    def _data(self, X: Any, reset: bool) -> NDArray[Any]:
        """X as a matrix of float64, or of float32 if it is one, whose values are checked or clipped."""
        found: Any = validate_data(self, X, accept_sparse="csr", dtype=(np.float64, np.float32), reset=reset)
        values: NDArray[Any] = found if isinstance(found, np.ndarray) else found.toarray()
        units = self.units if reset else self.machine_.units
        low = -1 if units == "spin" else 0
        least, most = values.min(), values.max()
        if not self.clip and not (least >= low - SLACK and most <= 1 + SLACK):
            which = "Negative values" if low == 0 and least < -SLACK else f"Values beyond {low} and 1"
            raise ValueError(
                f"{which} in data passed to {type(self).__name__}: they go from {least:g} to {most:g}, and must be "
                f"from {low} to 1 for {units} units; scale them, as MinMaxScaler does, or set clip = True"
            )
        return values if least >= low and most <= 1 else np.clip(values, low, 1)

    # --- what has been learned ------------------------------------------------------------------------------------

    @property
    def components_(self) -> Floats:
        """Weights (n_components, n_features), read-only."""
        return _read_only(self.machine_.weights[0].T)

    @property
    def intercept_visible_(self) -> Floats:
        """Biases (n_features,) of the visible units, read-only."""
        return _read_only(self.machine_.biases[0])

    @property
    def intercept_hidden_(self) -> Floats:
        """Biases (n_components,) of the hidden units, read-only."""
        return _read_only(self.machine_.biases[1])

    def transform(self, X: Any) -> NDArray[Any]:
        """Means (n_samples, n_components) of the hidden units given X (n_samples, n_features), float32 if X is.

        Of binary units these are the probabilities to be on.  Raises NotFittedError before `fit`, and ValueError for X
        that is not as the class says.
        """
        check_is_fitted(self)
        inputs = self._inputs(self._data(X, reset=False))
        means: NDArray[Any] = np.tanh(inputs) if self.machine_.units == "spin" else expit(inputs)
        return means

    def score_samples(self, X: Any) -> Floats:
        """Log likelihood (n_samples,) of each row v of X (n_samples, n_features): log p(v) = -F(v) - log Z, in nats.

        This is the likelihood itself, not the pseudo-likelihood that BernoulliRBM.score_samples returns, which is far
        larger and random.  log Z comes from `log_z`, with its error, which is common to all rows.  Rows must be states
        for this to be a log probability; values in between go into the same formula for F, as they do in BernoulliRBM,
        but what comes out is no likelihood.  Raises as `transform` does.
        """
        check_is_fitted(self)
        v = self._data(X, reset=False).astype(np.float64)
        x = self._inputs(v)
        hidden = np.logaddexp(x, -x if self.machine_.units == "spin" else 0.0)
        return np.asarray(v @ self.machine_.biases[0] + hidden.sum(axis=1) - self.log_z()[0])

    def score(self, X: Any, y: Any = None) -> float:
        """Mean of `score_samples` over X (n_samples, n_features), nats an example; y is not looked at."""
        return float(self.score_samples(X).mean())

    def log_z(self) -> tuple[float, float]:
        """Log of the partition function, and its error; kept as log_z_ and log_z_error_ until the machine learns more.

        Exact, with error 0, where the smaller side has at most learning.FEW_SUMMED units.  Otherwise the estimate of
        annealed importance sampling from CHAINS chains at TEMPERATURES temperatures, which on average is too low, so
        that likelihoods are too high; the error is half of its 68.27 % interval (see `likelihood.Estimate`).  Where the
        weights of the chains differ too much to tell an error, it is NaN, and a warning says so;
        `likelihood.ais(machine_, ...)` takes more chains.  Raises NotFittedError before `fit`.
        """
        check_is_fitted(self)
        if not hasattr(self, "log_z_"):
            machine = self.machine_
            with threadpool_limits(1, user_api="blas"):
                if likelihood.side_summed(machine) <= learning.FEW_SUMMED:
                    value, error = likelihood.log_z(machine), 0.0
                else:
                    rng = _generator(self._seed, machine.label, streams.LIKELIHOOD, int(self._state.spins[0]))
                    base = learning.base_rates(self._means[None].astype(np.float32), machine.units == "spin")
                    found = likelihood.ais(machine, rng, CHAINS, TEMPERATURES, base)
                    value, error = found.log_z, found.error
                    if not found.reliable:
                        warnings.warn(
                            f"log Z, and with it likelihoods, is not reliable: only {found.effective_samples:.1f} of "
                            f"{found.chains} chains count; they may be too high",
                            stacklevel=2,
                        )
            self.log_z_, self.log_z_error_ = value, error
        return self.log_z_, self.log_z_error_

    def gibbs(self, v: Any) -> Floats:
        """One step of Gibbs sampling: hidden units given v (n_samples, n_features), visible ones given these.

        Returns states (n_samples, n_features).  Random numbers go on from call to call, and begin anew with each
        learning.  Raises as `transform` does.
        """
        check_is_fitted(self)
        return self._walk(self._data(v, reset=False).astype(np.float64), 1)

    def sample(self, n_samples: int = 1, steps: int = 1000) -> Floats:
        """States (n_samples, n_features) of the visible units, drawn from the machine.

        Exact and independent where the smaller side has at most learning.FEW_SUMMED units.  Otherwise the ends of so
        many independent chains, of some steps of Gibbs sampling each, from independent units with the means of the
        training data: as good as these steps mix.  Random numbers as in `gibbs`.  Raises NotFittedError before `fit`,
        ValueError for numbers below 1.
        """
        check_is_fitted(self)
        for name, value in (("n_samples", n_samples), ("steps", steps)):
            _check_whole(name, value, 1)
        machine = self.machine_
        if likelihood.side_summed(machine) <= learning.FEW_SUMMED:
            with threadpool_limits(1, user_api="blas"):
                exact = likelihood.exact_samples(machine, int(n_samples), self._rng)
            return exact[:, : machine.visible].astype(np.float64)
        means = np.broadcast_to(self._means.astype(np.float32), (int(n_samples), machine.visible))
        return self._walk(learning.draw(means, machine.units == "spin", self._rng).astype(np.float64), int(steps))

    def _inputs(self, v: NDArray[Any]) -> NDArray[Any]:
        """c + v W (n_samples, n_components), in the type of v."""
        W, c = self.machine_.weights[0], self.machine_.biases[1]
        with threadpool_limits(1, user_api="blas"):
            return np.asarray(v @ W.astype(v.dtype) + c.astype(v.dtype))

    def _walk(self, visible: Floats, steps: int) -> Floats:
        """Visible states (rows, n_features) after some steps from these."""
        machine, rng, rows = self.machine_, self._rng, len(visible)
        spin = machine.units == "spin"
        W, b, c = (own.astype(np.float32) for own in (*machine.weights, *machine.biases))
        states = np.ascontiguousarray(visible, np.float32)
        scratch = aligned_zeros(logistic.SCRATCH_WORDS)
        scratch[: logistic.STATE_WORDS] = rng.integers(0, 2**64, logistic.STATE_WORDS, np.uint64)
        with threadpool_limits(1, user_api="blas"):
            hidden = learning.draw(likelihood.hidden_means(machine, visible).astype(np.float32), spin, rng)
            contrastive.walk(
                states, hidden, (W, b, c), np.ones(rows, np.float32), rows, steps, spin, scratch, np.zeros(2, np.uint64)
            )
        return states.astype(np.float64)

    # --- what scikit-learn asks -----------------------------------------------------------------------------------

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "machine_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.positive_only = self.units != "spin" and not self.clip
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _check_parameters(own: RBM) -> None:
    """Raise ValueError, with one sentence, for a parameter that has no meaning."""
    for name, least in LEAST.items():
        _check_whole(name, getattr(own, name), least)
    for name in ("learning_rate", "momentum", "l1", "l2", "decay"):
        value, positive = getattr(own, name), name == "learning_rate"
        number = float(value) if isinstance(value, Real) else np.nan
        good = np.isfinite(number) and (number > 0 if positive else number >= 0)
        if not good or (name == "momentum" and number >= 1):
            wanted = "a positive number" if positive else f"at least 0{' and below 1' * (name == 'momentum')}"
            raise ValueError(f"{name} must be {wanted}, not {value!r}")
    for name in ("centred", "clip"):
        if not isinstance(getattr(own, name), (bool, np.bool_)):
            raise ValueError(f"{name} must be True or False, not {getattr(own, name)!r}")
    for name, choices in CHOICES.items():
        if getattr(own, name) not in choices:
            raise ValueError(f"{name} must be one of {', '.join(choices)}, not {getattr(own, name)!r}")


def _check_whole(name: str, value: Any, least: int) -> None:
    if not isinstance(value, Integral) or int(value) < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, not {value!r}")


def _seed(random_state: Any) -> int:
    """A seed for the streams of the package, from what scikit-learn takes for a random_state, or a Generator."""
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(SEEDS))
    if isinstance(random_state, Integral):
        if not 0 <= int(random_state) < SEEDS:
            raise ValueError(f"random_state must be from 0 to {SEEDS - 1} where it is a number, not {random_state}")
        return int(random_state)
    return int(check_random_state(random_state).randint(SEEDS - 1, dtype=np.int64))


def _generator(seed: int, label: str, purpose: int, word: int) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64(streams.sequence(seed, label, 0.0, word, purpose)))


def _trainer(machine: Machine, recipe: Recipe, data: Floats32, draw_biases: bool) -> Trainer:
    """The trainer of a machine; without examples held out."""
    try:
        return learning.make_trainer(machine, recipe, np.ascontiguousarray(data), data[:0], draw_biases)
    except ValueError as error:
        raise ValueError(str(error).replace("train.", "")) from error  # its parameters have the names of run files


def _read_only(values: ArrayLike) -> Floats:
    found = np.asarray(values, np.float64).view()
    found.flags.writeable = False
    return found
