"""Judging a Boltzmann machine: partition functions, exact averages, likelihoods.  Pr(u) = exp(-E(u)/T)/Z.

Exact results sum over the states of one side of the machine only.  Given the even layers of a restricted or layered
machine the units of its odd layers are independent, and the other way round, so that the smaller side is enumerated
and the other one summed analytically; of a general machine all units are enumerated.

Where that is too much, annealed importance sampling estimates Z without bias (Neal, Stat. Comput. 11, 125, 2001;
Salakhutdinov and Murray, ICML 2008).  By Jensen's inequality the mean of log Z then is a lower bound; the same run
backwards, from samples of the machine, gives an upper one (Burda, Grosse and Salakhutdinov, AISTATS 2015; Grosse, Ancha
and Roy, NIPS 2016).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite, log, nan

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logsumexp

from ising_mc.machine import Machine
from ising_mc.statistics import interval_factor

MOST_SUMMED = 22  # units whose states are enumerated
STATES_AT_ONCE = 2**14
NUMBERS_AT_ONCE = 2**20  # of one temporary array: 8 MiB
ENOUGH_SAMPLES = 10.0  # effective ones, below which the scatter of weights does not tell their error

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


# --- exact ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Moments:
    """Exact averages of a machine.

    mean: <u_i> (n,);  correlations: <u_i u_j> (n, n), with <u_i^2> on the diagonal;  energy_variance: <E^2> - <E>^2;
    specific_heat: that over T^2 n, NaN without units.
    """

    log_z: float
    mean: Floats
    correlations: Floats
    mean_energy: float
    energy_variance: float
    specific_heat: float


def side_summed(machine: Machine) -> int:
    """How many units `log_z`, `moments` and `exact_samples` enumerate."""
    if machine.kind == "general":
        return machine.n
    return min(sum(machine.sizes[::2]), sum(machine.sizes[1::2]))


def is_summable(machine: Machine) -> bool:
    """Whether the machine is small enough for `log_z`, `moments` and `exact_samples`."""
    return side_summed(machine) <= MOST_SUMMED


def hidden_summed(machine: Machine) -> int:
    """Hidden units whose states a free energy of visible ones enumerates."""
    return len(_smaller_summed(machine, first=1).summed)


def log_z(machine: Machine, T: float = 1.0) -> float:
    """Log of the sum of exp(-E(u)/T) over all states, exactly.

    Raises ValueError where more than MOST_SUMMED units would have to be enumerated, and for a T that is not positive.
    """
    return _exact_log_z(machine, T)


def moments(machine: Machine, T: float = 1.0) -> Moments:
    """Exact means, correlations and energies.

    Raises ValueError where more than MOST_SUMMED units would have to be enumerated, and for a T that is not positive.
    """
    total, sides, n = _exact_log_z(machine, T), _summable(machine, T), machine.n
    mean, correlations, inner = np.zeros(n), np.zeros((n, n)), 0.0
    chances, energies = [], []
    for a in sides.states():
        p = np.exp(sides.log_weights(a, sides.own, sides.others, T) - total)
        x = sides.others + a @ sides.across
        m = _mean(x / T, machine.units)
        variance = m * (1 - m) if machine.units == "binary" else (1 - m) * (1 + m)
        u = np.hstack((a, m))
        mean += p @ u
        correlations += u.T @ (p[:, None] * u)
        # given the enumerated side, E is linear in the units of the other
        inner += float(p @ np.sum(x**2 * variance, axis=1))
        energies.append(-sides.gain(a, sides.own) - np.sum(x * m, axis=1))
        chances.append(p)
    np.fill_diagonal(correlations, mean if machine.units == "binary" else 1.0)
    p, energy = np.concatenate(chances), np.concatenate(energies)
    mean_energy = float(p @ energy)
    energy -= mean_energy  # before squaring, lest the digits of a small variance be lost
    energy_variance = float(p @ energy**2) + inner
    back = np.argsort(np.concatenate((sides.summed, sides.rest)))
    heat = energy_variance / (T**2 * n) if n else nan
    return Moments(total, mean[back], correlations[np.ix_(back, back)], mean_energy, energy_variance, heat)


def exact_samples(machine: Machine, count: int, rng: np.random.Generator, T: float = 1.0) -> NDArray[np.int8]:
    """Independent exact samples, (count, n).

    Raises ValueError where more than MOST_SUMMED units would have to be enumerated, and for a T that is not positive.
    """
    sides = _summable(machine, T)
    logs = np.concatenate([sides.log_weights(a, sides.own, sides.others, T) for a in sides.states()])
    chances = np.cumsum(np.exp(logs - logs.max()))
    picks = np.searchsorted(chances, rng.random(count) * chances[-1], side="right")
    picks = np.minimum(picks, len(chances) - 1)  # the product may be rounded up to the whole sum
    a = _states(picks, len(sides.summed), machine.units)
    found = np.empty((count, machine.n), np.int8)
    found[:, sides.summed] = a
    found[:, sides.rest] = _draw((sides.others + a @ sides.across) / T, machine.units, rng)
    return found


def free_energy(machine: Machine, visible: ArrayLike, T: float = 1.0) -> Floats:
    """F(v) = -T log sum_h exp(-E(v, h)/T) of states (D, n_v) of the visible units, (D,) in units of energy.

    Of a restricted machine the sum over h is analytic; of a layered one the smaller of the odd and the even hidden
    layers is enumerated, of a general one all hidden units.  Raises ValueError where these are more than MOST_SUMMED,
    for states that visible units cannot have, and for a T that is not positive.
    """
    v = np.asarray(visible, np.float64)
    if v.ndim != 2 or v.shape[1] != machine.visible or not np.isin(v, (machine.low, 1)).all():
        raise ValueError(
            f"visible states must be (D, {machine.visible}) of {machine.low} and 1 for a {machine.units} machine"
        )
    _check_temperature(T)
    sides = _smaller_summed(machine, first=1)
    _check_size(len(sides.summed), "the free energy")
    J, b = machine.dense
    J, own_bias = J[: machine.visible], b[: machine.visible]
    rows = max(1, NUMBERS_AT_ONCE // (sides.chunk * max(1, len(sides.rest))))
    found = np.empty(len(v))
    for start in range(0, len(v), rows):
        own = v[start : start + rows]
        among = 0.5 * np.sum(own * (own @ J[:, : machine.visible]), axis=1) if machine.kind == "general" else 0.0
        hidden = sides.log_sum(sides.own + own @ J[:, sides.summed], sides.others + own @ J[:, sides.rest], T)
        found[start : start + rows] = -own @ own_bias - among - T * hidden
    return found


def hidden_means(machine: Machine, visible: ArrayLike, T: float = 1.0) -> Floats:
    """Means (D, n_h) of the hidden units of a restricted machine, given visible states (D, n_v).

    Raises ValueError for a machine of another kind.
    """
    if machine.kind != "restricted":
        raise ValueError("hidden units are independent given the visible ones in a restricted machine only")
    return _mean((np.asarray(visible, np.float64) @ machine.weights[0] + machine.biases[1]) / T, machine.units)


def log_likelihood(machine: Machine, visible: ArrayLike, T: float = 1.0, log_z: float | None = None) -> float:
    """Mean over rows v of log Pr(v) = -F(v)/T - log Z, in nats a state; visible: (D, n_v) with D > 0.

    log_z: log Z where it is known, as from `ais`; otherwise it is computed exactly.  Raises ValueError as `free_energy`
    and, without log_z, `log_z` do.
    """
    free = free_energy(machine, visible, T)
    if not len(free):
        raise ValueError("a likelihood needs at least one visible state")
    return float(-free.mean() / T) - (_exact_log_z(machine, T) if log_z is None else log_z)


@dataclass(frozen=True, eq=False)
class _Sides:
    """Units to be enumerated and the rest, which are independent of one another given the first.

    summed, rest: their places in the machine;  own, others: their biases;  within: couplings among the enumerated
    units, of a general machine only;  across: couplings (enumerated, rest).
    """

    units: str
    summed: Indices
    rest: Indices
    own: Floats
    others: Floats
    within: Floats | None
    across: Floats

    @property
    def chunk(self) -> int:
        """States of the enumerated side at a time."""
        widest = max(1, len(self.summed), len(self.rest))
        return max(1, min(STATES_AT_ONCE, 1 << len(self.summed), NUMBERS_AT_ONCE // widest))

    def states(self) -> Iterator[Floats]:
        """All states of the enumerated side, (chunk, units) at a time."""
        number = 1 << len(self.summed)
        for start in range(0, number, self.chunk):
            yield _states(np.arange(start, min(start + self.chunk, number)), len(self.summed), self.units)

    def gain(self, a: Floats, own: Floats) -> Floats:
        """Minus the energy of states a (K, units) among themselves and in fields (..., units): (..., K)."""
        found = own @ a.T
        return np.asarray(found if self.within is None else found + 0.5 * np.sum(a * (a @ self.within), axis=1))

    def log_weights(self, a: Floats, own: Floats, others: Floats, T: float) -> Floats:
        """Log of the sum over the rest of exp(-E/T), of states a (K, units) in fields (..., own or others)."""
        x = others[..., None, :] + a @ self.across
        return np.asarray(self.gain(a, own) / T + _log_both(x / T, self.units).sum(axis=-1))

    def log_sum(self, own: Floats, others: Floats, T: float) -> Floats:
        """Log of the sum over all states of exp(-E/T), in fields (..., own or others): (...,)."""
        total = np.full(own.shape[:-1], -np.inf)
        for a in self.states():
            total = np.logaddexp(total, logsumexp(self.log_weights(a, own, others, T), axis=-1))
        return total


def _sides(machine: Machine, summed: Indices, rest: Indices) -> _Sides:
    J, b = machine.dense
    within = J[np.ix_(summed, summed)] if machine.kind == "general" else None
    return _Sides(machine.units, summed, rest, b[summed], b[rest], within, J[np.ix_(summed, rest)])


def _places(machine: Machine, first: int) -> tuple[Indices, Indices]:
    """Units of layers first, first + 2, ... and of the others from there on (general: all of them, and none)."""
    units = np.arange(machine.n)
    if machine.kind == "general":
        return units[machine.visible if first else 0 :], units[:0]
    one, other = ([units[own] for own in machine.layers[k::2]] for k in (first, first + 1))
    return np.concatenate([units[:0], *one]), np.concatenate([units[:0], *other])


def _smaller_summed(machine: Machine, first: int = 0) -> _Sides:
    """The sides of the layers from the first on, the smaller one to be enumerated."""
    one, other = _places(machine, first)
    return _sides(machine, *((one, other) if machine.kind == "general" or len(one) <= len(other) else (other, one)))


def _exact_log_z(machine: Machine, T: float) -> float:
    sides = _summable(machine, T)
    return float(sides.log_sum(sides.own, sides.others, T))


def _summable(machine: Machine, T: float) -> _Sides:
    _check_temperature(T)
    _check_size(side_summed(machine), "the partition function")
    return _smaller_summed(machine)


def _states(numbers: Indices, units: int, kind: str) -> Floats:
    """The states (K, units) whose bits are these numbers (K,)."""
    bits = ((numbers[:, None] >> np.arange(units)) & 1).astype(np.float64)
    return bits if kind == "binary" else 2 * bits - 1


def _log_both(y: Floats, units: str) -> Floats:
    """Log of the sum of exp(y u) over the two values of a unit."""
    size = np.abs(y)
    if units == "binary":
        return np.asarray(np.log1p(np.exp(-size)) + np.maximum(y, 0))
    return np.asarray(size + np.log1p(np.exp(-2 * size)))


def _mean(y: Floats, units: str) -> Floats:
    """Mean of a unit whose states have the weights exp(y u)."""
    return np.asarray(expit(y) if units == "binary" else np.tanh(y))


def _draw(y: Floats, units: str, rng: np.random.Generator) -> Floats:
    """Units whose states have the weights exp(y u)."""
    on = rng.random(y.shape) < expit(y if units == "binary" else 2 * y)
    return np.where(on, 1.0, 0.0 if units == "binary" else -1.0)


def _check_temperature(T: float) -> None:
    if not (isfinite(T) and T > 0):
        raise ValueError(f"the temperature must be a positive number, not {T}")


def _check_size(units: int, what: str) -> None:
    if units > MOST_SUMMED:
        raise ValueError(f"{what} is a sum over the states of {units} units, but at most {MOST_SUMMED} are enumerated")


# --- annealed importance sampling -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Estimate:
    """log Z from the weights of independent chains.

    low, high: the 68.27 % interval, from a jackknife over the chains;  error: half of it;  effective_samples:
    (sum w)^2/sum w^2 of the weights.  With fewer than ENOUGH_SAMPLES effective ones, as found or as expected of
    log-normal weights that scatter so much (those that would count most may have been missed), the interval is NaN
    and `reliable` False: log_z is then too low on average (`ais`), or too high (`reverse_ais`).  An interval knows
    nothing of modes that no chain has found.  On log-normal weights of 100 chains it covers 67 % where the standard
    deviation of log w is 1.
    """

    log_z: float
    low: float
    high: float
    error: float
    effective_samples: float
    chains: int
    reliable: bool


def ais(
    machine: Machine,
    rng: np.random.Generator,
    chains: int = 100,
    temperatures: int = 1000,
    base: ArrayLike | None = None,
    T: float = 1.0,
) -> Estimate:
    """log Z by annealed importance sampling: Z is unbiased, so the mean of log Z is a lower bound.

    Each chain starts from independent units, and passes `temperatures` distributions f_k with weights beta_k = k/
    temperatures: log f_k(u) = -(beta_k E(u) + (1 - beta_k) E_base(u))/T, E_base(u) = -sum_i base_i v_i.  The odd layers
    of restricted and layered machines are summed out analytically, a step samples them and then the even ones; a step
    of a general machine is a sweep over all units.  base: biases (n_v,) of the visible units at the start, in units of
    energy, 0 if not given.  (Neal, Stat. Comput. 11, 125, 2001; Salakhutdinov and Murray, ICML 2008.)
    Raises ValueError for numbers of chains or temperatures below 1, a base that does not fit, or a T that is not
    positive.
    """
    if chains < 1:
        raise ValueError(f"there must be at least one chain, not {chains}")
    path, betas = _path(machine, base, T), _betas(temperatures)
    return _estimate(path.log_z0, _anneal(path, path.start(chains, rng), betas, rng), 1)


def reverse_ais(
    machine: Machine,
    samples: ArrayLike,
    rng: np.random.Generator,
    temperatures: int = 1000,
    base: ArrayLike | None = None,
    T: float = 1.0,
) -> Estimate:
    """log Z by the run of `ais` backwards from samples (chains, n): 1/Z is unbiased, so this is an upper bound.

    The bound holds on average, for exact and independent samples at T.  States of a Markov chain make it as good as the
    chain's equilibrium: what the chain has missed is missing from Z.  Of layered machines only the even layers of the
    samples are used, of restricted ones the visible units.  base: as in `ais`.  (Burda, Grosse and Salakhutdinov,
    AISTATS 2015; Grosse, Ancha and Roy, NIPS 2016.)
    Raises ValueError for samples or a base that do not fit, fewer than one temperature, or a T that is not positive.
    """
    u = np.asarray(samples, np.float64)
    if u.ndim != 2 or not len(u) or u.shape[1] != machine.n or not np.isin(u, (machine.low, 1)).all():
        raise ValueError(
            f"samples must be (chains, {machine.n}) of {machine.low} and 1 for a {machine.units} machine, at least one"
        )
    path, betas = _path(machine, base, T), _betas(temperatures)
    return _estimate(path.log_z0, _anneal(path, u[:, path.sides.summed], betas[::-1], rng), -1)


@dataclass(frozen=True, eq=False)
class _Path:
    """The distributions f_beta of the even layers of a machine, its odd ones summed out; of all units of a general one.

    sides: the even and the odd layers;  base: biases of the even ones at beta = 0.
    """

    sides: _Sides
    base: Floats
    T: float

    @property
    def log_z0(self) -> float:
        """Log of the partition sum at beta = 0."""
        return float(_log_both(self.base / self.T, self.sides.units).sum()) + len(self.sides.rest) * log(2)

    def start(self, chains: int, rng: np.random.Generator) -> Floats:
        """Exact samples at beta = 0, (chains, even)."""
        return _draw(np.tile(self.base / self.T, (chains, 1)), self.sides.units, rng)

    def inputs(self, a: Floats) -> Floats:
        """Fields of the odd layers, (chains, odd)."""
        return np.asarray(self.sides.others + a @ self.sides.across)

    def log_ratio(self, a: Floats, inputs: Floats, now: float, after: float) -> Floats:
        """log f_after(a) - log f_now(a), (chains,), of states whose odd layers have these inputs."""
        y, units = inputs / self.T, self.sides.units
        summed = (_log_both(after * y, units) - _log_both(now * y, units)).sum(axis=1)
        return np.asarray((after - now) / self.T * self.sides.gain(a, self.sides.own - self.base) + summed)

    def move(self, a: Floats, inputs: Floats, beta: float, rng: np.random.Generator) -> Floats:
        """A step that leaves f_beta as it is: the odd layers given the even ones, then the even ones."""
        if self.sides.within is not None:
            return self._sweep(a, self.sides.within, beta, rng)
        rest = _draw(beta / self.T * inputs, self.sides.units, rng)
        fields = (1 - beta) * self.base + beta * (self.sides.own + rest @ self.sides.across.T)
        return _draw(fields / self.T, self.sides.units, rng)

    def _sweep(self, a: Floats, J: Floats, beta: float, rng: np.random.Generator) -> Floats:
        """One unit after the other given all others."""
        u = a.T.copy()  # (n, chains): the values of a unit are neighbours in memory
        fields = ((1 - beta) * self.base + beta * self.sides.own)[:, None] + beta * (J @ u)
        for i in range(len(u)):
            after = _draw(fields[i] / self.T, self.sides.units, rng)
            fields += np.outer(beta * J[i], after - u[i])
            u[i] = after
        return np.ascontiguousarray(u.T)


def _path(machine: Machine, base: ArrayLike | None, T: float) -> _Path:
    _check_temperature(T)
    b = np.zeros(machine.visible) if base is None else np.asarray(base, np.float64)
    if b.shape != (machine.visible,) or not np.isfinite(b).all():
        raise ValueError(f"the base must be finite biases of the {machine.visible} visible units")
    sides = _sides(machine, *_places(machine, 0))
    return _Path(sides, np.concatenate((b, np.zeros(len(sides.own) - machine.visible))), T)  # visible units come first


def _betas(temperatures: int) -> list[float]:
    if temperatures < 1:
        raise ValueError(f"there must be at least one temperature, not {temperatures}")
    return [k / temperatures for k in range(temperatures + 1)]


def _anneal(path: _Path, a: Floats, betas: list[float], rng: np.random.Generator) -> Floats:
    """Logs of the weights of chains (chains,) that start in a, drawn at the first beta."""
    inputs = path.inputs(a)
    total = path.log_ratio(a, inputs, betas[0], betas[1])
    for now, after in pairwise(betas[1:]):
        # the step at `now` comes before the weight of the change from `now` to `after`: otherwise Z is biased
        a = path.move(a, inputs, now, rng)
        inputs = path.inputs(a)
        total += path.log_ratio(a, inputs, now, after)
    return total


def _estimate(log_z0: float, logs: Floats, sign: int) -> Estimate:
    """log Z from weights whose mean is (Z/Z_0)^sign."""
    top, chains = logs.max(), len(logs)
    w = np.exp(logs - top)
    total = w.sum()
    found = log_z0 + sign * float(top + np.log(total / chains))
    effective = float(total**2 / np.sum(w**2))
    expected = chains * float(np.exp(-logs.var(ddof=1))) if chains > 1 else 1.0  # of log-normal weights
    if min(effective, expected) < ENOUGH_SAMPLES:
        return Estimate(found, nan, nan, nan, effective, chains, False)
    without = np.log((total - w) / (chains - 1))
    # skewed weights tell their error less well than as many Gaussian ones: Student's factor of the effective number
    error = float(np.sqrt((chains - 1) * without.var())) * interval_factor(effective - 1)
    return Estimate(found, found - error, found + error, error, effective, chains, True)
