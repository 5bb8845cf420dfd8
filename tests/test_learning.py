"""Learning of Boltzmann machines: gradients against sums over all states, chains against the model, steps by hand.

Statistical tests have fixed seeds; each says how often it would fail by chance, and a wrong twin beside it must fail.
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from helpers import toml
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import binom

from ising_mc import learning, likelihood
from ising_mc.kernels import contrastive as kernel
from ising_mc.kernels import logistic
from ising_mc.learning import DivergedError, Recipe, Trainer, base_rates, exact_gradient, judge, make_trainer
from ising_mc.machine import KINDS, UNITS, Machine, random_machine
from ising_mc.run import units_of
from ising_mc.spec import parse
from ising_mc.validation import CERTAIN, ONE_SWEEP_LEVEL, pooled_chi_square
from ising_mc.words import aligned_zeros

LIMIT = 5.0  # standard errors, exceeded once in 2e6 Gaussian numbers
SIZES = {"general": (3, 3), "restricted": (4, 3), "layered": (3, 2, 2)}
BOUND = -np.log(14)  # of the likelihood of 14 patterns
Floats = NDArray[np.float64]


def made(kind: str, units: str, seed: int = 1, scale: float | None = None, sizes: tuple[int, ...] = ()) -> Machine:
    """A small machine, whose parameters float32 holds exactly."""
    rng = np.random.default_rng(seed)
    strength = scale or (0.9 if units == "binary" else 0.4)
    own = random_machine(kind, units, sizes or SIZES[kind], strength, rng)
    weights = tuple(W.astype(np.float32).astype(float) for W in own.weights)
    biases = own.split((0.5 * rng.standard_normal(own.n)).astype(np.float32).astype(float))
    return replace(own, weights=weights, biases=biases)


def scaled(machine: Machine, factor: float) -> Machine:
    """The machine at another temperature."""
    return replace(
        machine,
        weights=tuple(factor * own for own in machine.weights),
        biases=tuple(factor * own for own in machine.biases),
    )


def all_states(n: int, units: str) -> Floats:
    bits = (np.arange(1 << n)[:, None] >> np.arange(n)) & 1
    return np.asarray(bits if units == "binary" else 2 * bits - 1, np.float64)


def chances(machine: Machine) -> tuple[Floats, Floats]:
    """All states (2**n, n), and their probabilities."""
    u = all_states(machine.n, machine.units)
    p = np.exp(-machine.energy(u) - likelihood.log_z(machine))
    assert p.sum() == pytest.approx(1)
    return u, p


def patterns(machine: Machine, rows: int, seed: int = 5) -> NDArray[np.float32]:
    """Four different visible states, over and over."""
    u = all_states(machine.visible, machine.units)
    own = u[np.random.default_rng(seed).choice(len(u), 4, replace=False)]
    return np.resize(own, (rows, machine.visible)).astype(np.float32)


def trainer_of(machine: Machine, data: NDArray[np.float32], start: bool = True, **recipe: object) -> Trainer:
    """A started trainer that keeps the biases of its machine."""
    own = make_trainer(machine, Recipe(**({"batch": len(data)} | recipe)), data, data[:0], draw_biases=False)  # type: ignore[arg-type]
    if start:
        own.start(3, "test", 0.0, 0, "")
    return own


def slopes(trainer: Trainer, rate: float) -> Floats:
    """The gradient of the only step that was taken without momentum, flat."""
    return np.concatenate([own.ravel() for own in trainer.velocity]).astype(np.float64) / rate


def flat(machine: Machine, G: Floats, g: Floats) -> Floats:
    """A gradient by J (..., n, n) and b (..., n), in the order of the parameters."""
    lead = g.shape[:-1]
    if machine.kind == "general":
        return np.concatenate((G.reshape(*lead, -1), g), axis=-1)
    layers = machine.layers
    blocks = [G[..., own, after].reshape(*lead, -1) for own, after in pairwise(layers)]
    return np.concatenate((*blocks, *(g[..., own] for own in layers)), axis=-1)


def products(machine: Machine, u: Floats) -> Floats:
    """u_i u_j and u_i of states (rows, n), in the order of the parameters."""
    pairs = u[:, :, None] * u[:, None, :]
    return flat(machine, pairs * learning.mask_of(machine), u)


# --- kernels ------------------------------------------------------------------------------------------------------


def test_means_of_units_are_exact_to_six_digits() -> None:
    """What float32 leaves of an exponent: 1e-6 up to |x| = 10."""
    x = np.linspace(-41, 41, 200001).astype(np.float32)
    nothing, ones = np.zeros(x.shape, np.float32), np.ones(1, np.float32)
    for beta in (1.0, 0.25):
        found = x[None].copy()
        kernel.means_of(found, nothing, np.float32(beta) * ones, False)
        error = np.abs(found[0] / expit(beta * x.astype(float)) - 1)
        assert np.all(error <= 2e-7 + 8e-8 * np.abs(beta * x))
        found = x[None].copy()
        kernel.means_of(found, nothing, np.float32(beta) * ones, True)
        np.testing.assert_allclose(found[0], np.tanh(beta * x.astype(float)), atol=3e-7)
    far = np.array([[-1e30, -100, 100, 1e30]], np.float32)
    kernel.means_of(far, nothing[:4], ones, False)
    assert np.all(far[0, :2] < 1e-17)
    assert np.all(far[0, 2:] == 1)


def test_means_have_biases_and_temperatures_of_their_own() -> None:
    rng = np.random.default_rng(1)
    x, b, betas = rng.normal(size=(4, 7)), rng.normal(size=7), np.array([1, 0.5, 2, 0])
    for spin, exact in ((False, expit), (True, np.tanh)):
        found = x.astype(np.float32)
        kernel.means_of(found, b.astype(np.float32), betas.astype(np.float32), spin)
        np.testing.assert_allclose(found, exact(betas[:, None] * (x + b)), atol=1e-6)


def scratch_of(seed: int) -> NDArray[np.uint64]:
    scratch = aligned_zeros(logistic.SCRATCH_WORDS)
    words = np.random.default_rng(seed).integers(0, 2**64, logistic.STATE_WORDS, np.uint64)
    scratch[: logistic.STATE_WORDS] = words
    return scratch


@pytest.mark.parametrize("spin", [False, True])
def test_states_are_drawn_with_their_means(spin: bool) -> None:
    """Frequencies of 13 units, and of pairs of neighbours, within 5 standard errors: false alarm 2e-5."""
    p = np.array([0, 1e-3, 0.01, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9, 0.99, 0.999, 1])
    count, scratch = 100003, scratch_of(2)
    means = np.tile(2 * p - 1 if spin else p, (count, 1)).astype(np.float32)
    drawn = np.empty_like(means)
    kernel.draw_states(means.reshape(-1), drawn.reshape(-1), spin, scratch)
    assert set(np.unique(drawn)) == ({-1, 1} if spin else {0, 1})
    on = drawn > 0
    assert not on[:, 0].any()
    assert on[:, -1].all()
    inner, q = on[:, 1:-1], p[1:-1]
    assert np.abs((inner.mean(axis=0) - q) / np.sqrt(q * (1 - q) / count)).max() < LIMIT
    z = (inner - q) / np.sqrt(q * (1 - q))
    for one, other in ((z[:, 3:8], z[:, 4:9]), (z[:-1, 3:8], z[1:, 3:8]), (z[:-5, 3:8], z[5:, 3:8])):
        assert np.abs((one * other).mean(axis=0) * np.sqrt(len(one))).max() < LIMIT
    wrong = inner.mean(axis=0) - 1.03 * q
    assert np.abs(wrong / np.sqrt(q * (1 - q) / count)).max() > LIMIT


@pytest.mark.parametrize("held", [0, 2])
@pytest.mark.parametrize("units", UNITS)
def test_sweeps_of_general_machines_keep_their_distribution(units: str, held: int) -> None:
    """Exact states, one sweep, chi-square over all states, the first units held or not: false alarm 1e-5."""
    machine = made("general", units, seed=2)
    u, p = chances(machine)
    rng = np.random.default_rng(3)
    J, b = (own.astype(np.float32) for own in machine.dense)

    def swept(beta: float) -> float:
        picks = rng.choice(len(u), 60000, p=p)
        states = u[picks].astype(np.float32)
        fields = states @ J + b
        generators = rng.integers(0, 2**64, (len(states), 2), np.uint64)
        kernel.gibbs(J, fields, states, held, 1, beta, units == "spin", generators)
        np.testing.assert_allclose(fields, states @ J + b, atol=1e-5)
        assert np.array_equal(states[:, :held], u[picks][:, :held])
        codes = ((states > 0) << np.arange(machine.n)).sum(axis=1)
        return pooled_chi_square(np.bincount(codes, minlength=len(u)), p * len(states)).p_value

    assert swept(1.0) > ONE_SWEEP_LEVEL
    assert swept(1.5) < CERTAIN


# --- gradients ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_exact_gradient_is_the_slope_of_the_likelihood(kind: str, units: str) -> None:
    """Central differences of the exact log likelihood, by each coupling and bias."""
    machine = made(kind, units)
    data = patterns(machine, 6)
    step = 1e-5

    def value(number: int, place: tuple[int, ...], by: float) -> float:
        own = [W.copy() for W in (*machine.weights, *machine.biases)]
        own[number][place] += by
        if kind == "general" and number == 0:
            own[number][place[::-1]] += by
        count = len(machine.weights)
        changed = replace(machine, weights=tuple(own[:count]), biases=tuple(own[count:]))
        return likelihood.log_likelihood(changed, data)

    slope: list[float] = []
    for number, own in enumerate((*machine.weights, *machine.biases)):
        for place in np.ndindex(own.shape):
            if kind == "general" and number == 0 and place[0] == place[1]:
                slope.append(0.0)
                continue
            slope.append((value(number, place, step) - value(number, place, -step)) / (2 * step))
    G, g = exact_gradient(machine, data)
    assert kind != "general" or np.array_equal(G, G.T)
    np.testing.assert_allclose(flat(machine, G, g), slope, atol=1e-8)


def hidden_means(machine: Machine, v: Floats) -> Floats:
    return likelihood.hidden_means(machine, v)


def of_chains(machine: Machine, v: Floats, centres: tuple[Floats, Floats] | None) -> Floats:
    """What each visible state (rows, n_v) of the chains gives to the gradient, in the order of the parameters."""
    m = hidden_means(machine, v)
    if centres is None:
        return np.concatenate(((v[:, :, None] * m[:, None, :]).reshape(len(v), -1), v, m), axis=1)
    mu, nu = centres
    G = (v - mu)[:, :, None] * (m - nu)[:, None, :]
    return np.concatenate((G.reshape(len(v), -1), v - G @ nu, m - np.einsum("rij,i->rj", G, mu)), axis=1)


def centres_of(trainer: Trainer) -> tuple[Floats, Floats] | None:
    if not trainer.recipe.centred:
        return None
    mu, nu = (own.astype(np.float64) for own in trainer.centres)  # type: ignore[attr-defined]
    return mu, nu


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("units", UNITS)
def test_persistent_chains_give_the_exact_gradient(units: str, centred: bool) -> None:
    """40000 chains that begin in equilibrium; 19 numbers within 5 standard errors, which are known: false alarm 1e-5.

    Centred gradients are those of the plain ones: G - dv nu - mu dh, and biases dv - G nu, dh - G mu.
    """
    machine, rate, chains = made("restricted", units), 1e-3, 40000
    data = patterns(machine, 40)
    trainer = trainer_of(machine, data, method="pcd", chains=chains, rate=rate, centred=centred)
    states = likelihood.exact_samples(machine, chains, np.random.default_rng(7))
    for own, layer in zip(trainer.chains, machine.layers, strict=True):  # type: ignore[attr-defined]
        own[:] = states[:, layer]
    trainer.sweep(1)
    centres = centres_of(trainer)
    if centres:
        np.testing.assert_allclose(centres[0], data.mean(axis=0), atol=1e-6)
        half = 0.0 if units == "spin" else 0.5
        np.testing.assert_allclose(centres[1] - half, 0.01 * (hidden_means(machine, data).mean(axis=0) - half), 1e-4)

    def wanted(model: Machine) -> tuple[Floats, Floats]:
        """The gradient with chains of a model, and standard errors."""
        v = all_states(machine.visible, units)
        p = np.exp(-likelihood.free_energy(model, v) - likelihood.log_z(model))
        each = of_chains(machine, v, centres)
        mean = p @ each
        return of_chains(machine, data.astype(float), centres).mean(axis=0) - mean, np.sqrt(p @ (each - mean) ** 2)

    exact, spread = wanted(machine)
    found = slopes(trainer, rate)
    assert np.abs((found - exact) / spread).max() * np.sqrt(chains) < LIMIT
    wrong, _ = wanted(scaled(machine, 1.1))
    assert np.abs((found - wrong) / spread).max() * np.sqrt(chains) > LIMIT
    G, g = exact_gradient(machine, data)
    if not centres:
        np.testing.assert_allclose(flat(machine, G, g), exact, atol=1e-9)
        return
    (mu, nu), W = centres, G[:4, 4:]
    W = W - np.outer(g[:4], nu) - np.outer(mu, g[4:])
    np.testing.assert_allclose(np.concatenate((W.ravel(), g[:4] - W @ nu, g[4:] - W.T @ mu)), exact, atol=1e-9)


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("units", UNITS)
def test_contrastive_divergence_is_what_it_says(units: str, steps: int) -> None:
    """Chains of so many steps from the data, by the matrix of transitions: 19 numbers, false alarm 1e-5."""
    machine, rate, rows = made("restricted", units, scale=2.0 if units == "binary" else 1.2), 1e-3, 40000
    data = patterns(machine, rows)
    trainer = trainer_of(machine, data, method="cd", steps=steps, rate=rate)
    trainer.sweep(1)
    v, h = all_states(machine.visible, units), all_states(3, units)
    low = machine.low
    on = (v @ machine.weights[0] + machine.biases[1]), (h @ machine.weights[0].T + machine.biases[0])
    factor = 2 if units == "spin" else 1

    def conditional(inputs: Floats, states: Floats) -> Floats:
        """Pr(state | inputs), (inputs, states)."""
        p = expit(factor * inputs)[:, None, :]
        return np.prod(np.where(states > low, p, 1 - p), axis=2)

    step = conditional(on[0], h) @ conditional(on[1], v)
    from_data = np.linalg.matrix_power(step, steps)
    each = of_chains(machine, v, None)
    places = [int(np.flatnonzero((v == row).all(axis=1))[0]) for row in data[:4]]
    means = from_data[places] @ each
    variance = np.mean([from_data[place] @ (each - mean) ** 2 for place, mean in zip(places, means, strict=True)], 0)
    exact = each[places].mean(axis=0) - means.mean(axis=0)
    found = slopes(trainer, rate)
    assert np.abs((found - exact) / np.sqrt(variance / rows)).max() < LIMIT
    other = each[places].mean(axis=0) - (np.linalg.matrix_power(step, 2 * steps)[places] @ each).mean(axis=0)
    assert np.abs((found - other) / np.sqrt(variance / rows)).max() > LIMIT


@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize(
    ("kind", "clamped", "coupled"),
    [
        ("general", "gibbs", True), ("layered", "gibbs", True), ("general", "mean_field", False),
        ("layered", "mean_field", False),
    ],
)  # fmt: skip
def test_general_machines_have_the_exact_gradient(kind: str, units: str, clamped: str, coupled: bool) -> None:
    """Chains in equilibrium, hidden units drawn 30 times given the data; 21 or 42 numbers: false alarm 2e-5.

    Mean field is exact where hidden units are not coupled to one another, and where they are it is not.
    """
    sizes = (4, 3) if kind == "layered" and not coupled else ()
    machine, rate, rows = made(kind, units, seed=4, sizes=sizes), 1e-3, 20000
    if kind == "general" and not coupled:
        J = machine.weights[0].copy()
        J[3:, 3:] = 0
        machine = replace(machine, weights=(J,))
    data = patterns(machine, rows)
    trainer = trainer_of(machine, data, method="pcd", clamped=clamped, chains=rows, steps=30, rate=rate)
    trainer.chains[:] = likelihood.exact_samples(machine, rows, np.random.default_rng(8))  # type: ignore[attr-defined]
    trainer.sweep(1)
    u, p = chances(machine)
    each = products(machine, u)
    there = [np.all(u[:, : machine.visible] == row, axis=1) for row in data[:4]]
    of_rows = [p[own] / p[own].sum() for own in there]
    held = [q @ each[own] for q, own in zip(of_rows, there, strict=True)]
    noise = [q @ (each[own] - mean) ** 2 for q, own, mean in zip(of_rows, there, held, strict=True)]
    variance = p @ (each - p @ each) ** 2 + (np.mean(noise, axis=0) if clamped == "gibbs" else 0)
    exact = np.mean(held, axis=0) - p @ each
    np.testing.assert_allclose(flat(machine, *exact_gradient(machine, data)), exact, atol=1e-9)
    found, moving = slopes(trainer, rate), variance > 1e-12
    z = (found - exact)[moving] / np.sqrt(variance[moving] / rows)
    assert np.abs(z).max() < LIMIT
    assert np.abs((found - exact)[~moving]).max(initial=0) < 1e-6
    model, q = chances(scaled(machine, 1.2))
    assert np.abs((found - np.mean(held, axis=0) + q @ products(machine, model))[moving] / np.sqrt(
        variance[moving] / rows)).max() > LIMIT  # fmt: skip


def test_mean_field_is_an_approximation_where_hidden_units_are_coupled() -> None:
    machine = made("general", "spin", seed=4, scale=0.8)
    data = patterns(machine, 20000)
    found = {}
    for clamped in ("gibbs", "mean_field"):
        trainer = trainer_of(machine, data, method="pcd", clamped=clamped, chains=20000, steps=30, rate=1e-3)
        trainer.chains[:] = likelihood.exact_samples(machine, 20000, np.random.default_rng(8))  # type: ignore[attr-defined]
        trainer.sweep(1)
        found[clamped] = slopes(trainer, 1e-3)
    exact = flat(machine, *exact_gradient(machine, data))
    assert np.abs(found["gibbs"] - exact).max() < 0.06  # 6 standard errors of a spin, at most
    assert np.abs(found["mean_field"] - exact).max() > 0.1


def test_pseudo_likelihoods_are_those_of_free_energies() -> None:
    """What a restricted machine does faster, and what the pseudo-likelihood is."""
    for units in UNITS:
        machine = made("restricted", units)
        v = all_states(4, units).astype(np.float32)
        trainer = trainer_of(machine, v)
        which = np.arange(len(v)) % 4
        fast, slow = trainer._cost_of_turning(v, which), Trainer._cost_of_turning(trainer, v, which)
        np.testing.assert_allclose(fast, slow, atol=1e-5)
        total = likelihood.log_z(machine)
        chance = np.exp(-likelihood.free_energy(machine, v) - total)
        turned = v.copy()
        turned[np.arange(len(v)), which] = (0 if units == "spin" else 1) - v[np.arange(len(v)), which]
        other = np.exp(-likelihood.free_energy(machine, turned) - total)
        np.testing.assert_allclose(-np.log1p(np.exp(-slow)), np.log(chance / (chance + other)), atol=1e-9)


# --- tempering ----------------------------------------------------------------------------------------------------

BETAS = np.linspace(1, 0, 4)
LADDERS = 3000


def tempered_states(machine: Machine, rng: np.random.Generator) -> tuple[Floats, list[Floats], Floats]:
    """All states, their chances at each of BETAS, and exact states (4 * LADDERS, n) of these."""
    u = all_states(machine.n, machine.units)
    weights = [np.exp(-beta * machine.energy(u)) for beta in BETAS]
    p = [own / own.sum() for own in weights]
    return u, p, np.concatenate([u[rng.choice(len(u), LADDERS, p=own)] for own in p])


def p_values(states: Floats, p: list[Floats]) -> list[float]:
    codes = ((states > 0) << np.arange(states.shape[1])).sum(axis=1).reshape(len(BETAS), -1)
    counts = [np.bincount(own, minlength=len(p[0])) for own in codes]
    return [pooled_chi_square(own, q * own.sum()).p_value for own, q in zip(counts, p, strict=True)]


@pytest.mark.parametrize("what", ["exchange", "walk"])
@pytest.mark.parametrize("units", UNITS)
def test_exchange_keeps_the_distribution_at_each_temperature(units: str, what: str) -> None:
    """Exact states, one round of swaps, or one step with swaps in it; chi-square over all states: false alarm 4e-5.

    Energies per unit, a mistake that is easily made, swap too often.
    """
    machine = made("restricted", units, scale=1.5 if units == "binary" else 0.7, sizes=(3, 2))
    W, b, c = (own.astype(np.float32) for own in (*machine.weights, *machine.biases))
    betas = np.repeat(BETAS, LADDERS).astype(np.float32)

    def after(energies: float) -> tuple[float, float]:
        rng = np.random.default_rng(11)
        _, p, states = tempered_states(machine, rng)
        v, h = states[:, :3].astype(np.float32), states[:, 3:].astype(np.float32)
        generator = np.concatenate((rng.integers(0, 2**64, 2, np.uint64), np.zeros(2, np.uint64)))
        first = v.copy()
        if what == "exchange":
            own = W, np.float32(energies) * b, np.float32(energies) * c
            kernel.exchange(v, h, np.float32(energies) * (h @ W.T), own, betas, LADDERS, generator)
        else:
            kernel.walk(v, h, (W, b, c), betas * np.float32(energies), LADDERS, 1, units == "spin",
                        scratch_of(4), generator)  # fmt: skip
        moved = float(np.mean(np.any(v != first, axis=1)))
        assert generator[2] == LADDERS * (len(BETAS) - 1)
        if what == "exchange":  # each swap between two different states moves both
            assert moved * len(v) / 2 <= generator[3] <= generator[2]
        return min(p_values(np.concatenate((v, h), axis=1), p)), moved

    p_value, moved = after(1.0)
    assert p_value > ONE_SWEEP_LEVEL
    assert moved > 0.3
    assert after(1 / machine.n)[0] < CERTAIN


@pytest.mark.parametrize("units", UNITS)
def test_the_chains_of_tempering_sample_the_model(units: str) -> None:
    """400 ladders of a machine that learns nothing; means of 7 units and 12 pairs: false alarm 1e-5."""
    machine = made("restricted", units, scale=2.5 if units == "binary" else 1.0)
    trainer = trainer_of(machine, patterns(machine, 4), method="pt", chains=400, temperings=6, rate=0.0)
    sums = np.zeros((400, 19))
    trainer.sweep(50)
    for _ in range(150):
        trainer.sweep(1)
        v, h = (own[:400].astype(float) for own in trainer.chains)  # type: ignore[attr-defined]
        sums += np.concatenate((v, h, (v[:, :, None] * h[:, None, :]).reshape(400, -1)), axis=1)
    each = sums / 150
    exact = likelihood.moments(machine)
    wanted = np.concatenate((exact.mean, exact.correlations[:4, 4:].ravel()))
    error = each.std(axis=0, ddof=1) / 20
    assert np.abs((each.mean(axis=0) - wanted) / error).max() < LIMIT
    other = likelihood.moments(scaled(machine, 0.8))
    wrong = np.concatenate((other.mean, other.correlations[:4, 4:].ravel()))
    assert np.abs((each.mean(axis=0) - wrong) / error).max() > LIMIT
    for own, first in zip(trainer.parameters, (*machine.weights, *machine.biases), strict=True):
        np.testing.assert_array_equal(own, first)


# --- steps --------------------------------------------------------------------------------------------------------


def test_a_step_by_hand() -> None:
    rng = np.random.default_rng(2)
    for n in (1, 63, 64, 200):
        w, m, g = (rng.normal(size=n).astype(np.float32) for _ in range(3))
        w[0] = 0
        settings = 0.3, 0.9, 0.2, 0.05  # rate, momentum, L1, L2
        moved = 0.9 * m + 0.3 * (g - 0.05 * w - 0.2 * np.sign(w))
        values, velocity = w.copy(), m.copy()
        norm = kernel.step(values, velocity, g, *map(np.float32, settings))
        np.testing.assert_allclose(velocity, moved, atol=1e-6)
        np.testing.assert_allclose(values, w + moved, atol=1e-6)
        assert norm == pytest.approx(np.sum(g.astype(float) ** 2), rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_epochs_by_hand(kind: str) -> None:
    """Three epochs along exact gradients: rate / (1 + decay epoch), momentum of all, L1 and L2 of the weights alone."""
    machine = made(kind, "binary")
    data = patterns(machine, 8)
    recipe = {"rate": 0.2, "decay": 0.5, "momentum": 0.8, "l1": 0.01, "l2": 0.03}
    trainer = trainer_of(machine, data, method="exact", **recipe)
    told = trainer.record(3, 1)
    now, velocity = machine, np.zeros(len(flat(machine, *exact_gradient(machine, data))))
    for epoch in range(3):
        G, g = exact_gradient(now, data)
        slope = flat(now, G, g)
        w = np.concatenate([own.ravel() for own in now.weights])
        decay = np.concatenate((0.03 * w + 0.01 * np.sign(w), np.zeros(len(slope) - len(w))))
        velocity = 0.8 * velocity + 0.2 / (1 + 0.5 * epoch) * (slope - decay)
        total = np.concatenate([own.ravel() for own in (*now.weights, *now.biases)]) + velocity
        parts = np.split(total, np.cumsum([own.size for own in (*now.weights, *now.biases)])[:-1])
        own = [part.reshape(old.shape) for part, old in zip(parts, (*now.weights, *now.biases), strict=True)]
        once = 2.0 if kind == "general" else 1.0  # pairs stand in J twice
        norm = np.sqrt(np.sum(slope[: len(w)] ** 2) / once + np.sum(slope[len(w) :] ** 2))
        assert told["gradient_norm"][0, epoch] == pytest.approx(norm, rel=1e-4)
        count = len(now.weights)
        now = replace(now, weights=tuple(own[:count]), biases=tuple(own[count:]))
    found = np.concatenate([own.ravel() for own in trainer.parameters])
    np.testing.assert_allclose(found, np.concatenate([x.ravel() for x in (*now.weights, *now.biases)]), atol=1e-5)


@pytest.mark.parametrize("method", ["cd", "pcd", "pt"])
def test_decay_and_momentum_of_sampled_gradients(method: str) -> None:
    """The same random numbers without and with them: the difference of the first step is known."""
    machine, rate = made("restricted", "spin"), 0.1
    data = patterns(machine, 20)
    plain, other = (
        trainer_of(machine, data, method=method, rate=rate, **own)
        for own in ({}, {"l1": 0.02, "l2": 0.1, "momentum": 0.7})
    )
    for velocity in other.velocity:
        velocity[:] = 0.5
    plain.sweep(1)
    other.sweep(1)
    W = machine.weights[0]
    for k, (one, two) in enumerate(zip(plain.velocity, other.velocity, strict=True)):
        lost = rate * (0.1 * W + 0.02 * np.sign(W)) if k == 0 else 0.0
        np.testing.assert_allclose(two, one + 0.7 * 0.5 - lost, atol=1e-6)


def test_batches_are_steps_of_their_own() -> None:
    """An epoch of exact gradients in batches, in the order that the trainer draws, the last one shorter."""
    machine = made("restricted", "binary")
    data = all_states(4, "binary").astype(np.float32)[:11]
    trainer = trainer_of(machine, data, method="exact", batch=4, rate=0.3)
    seen: list[int] = []
    learn = trainer._learn

    def watched(own: NDArray[np.float32], order: NDArray[np.int64], rate: float) -> float:
        seen.extend(order.tolist())
        return learn(own, order, rate)

    trainer._learn = watched  # type: ignore[method-assign]
    trainer.sweep(1)
    assert sorted(seen) == list(range(11))
    assert seen != sorted(seen)
    now = machine
    for first in (0, 4, 8):
        G, g = exact_gradient(now, data[seen[first : first + 4]])
        now = replace(now, weights=(now.weights[0] + 0.3 * G[:4, 4:],),
                      biases=(now.biases[0] + 0.3 * g[:4], now.biases[1] + 0.3 * g[4:]))  # fmt: skip
    for own, wanted in zip(trainer.parameters, (*now.weights, *now.biases), strict=True):
        np.testing.assert_allclose(own, wanted, atol=1e-5)


def bars_and_stripes() -> NDArray[np.float32]:
    lines = [(bits >> np.arange(3)) & 1 for bits in range(8)]
    rows = {tuple(np.tile(line, 3)) for line in lines} | {tuple(np.repeat(line, 3)) for line in lines}
    return np.array(sorted(rows), np.float32)


def test_bars_and_stripes_are_learnt_to_the_bound() -> None:
    data = bars_and_stripes()
    assert len(data) == 14
    machine = random_machine("restricted", "binary", (9, 8), 0.1, np.random.default_rng(1))
    recipe = Recipe(method="exact", epochs=3000, batch=14, rate=0.5, momentum=0.9)
    trainer = make_trainer(machine, recipe, data, data[:0])
    trainer.start(1, "bars", 0.0, 0, "")
    before = likelihood.log_likelihood(trainer.machine, data)
    trainer.sweep(3000)
    found = likelihood.log_likelihood(trainer.machine, data)
    assert before < -5.5
    assert BOUND - 0.02 < found < BOUND


@pytest.mark.parametrize(
    ("kind", "method", "options"),
    [
        ("restricted", "cd", {"steps": 5}), ("restricted", "pcd", {"momentum": 0.5}), ("restricted", "pt", {}),
        ("restricted", "pcd", {"centred": True}), ("general", "pcd", {"clamped": "gibbs"}),
        ("general", "cd", {"steps": 5, "clamped": "mean_field"}), ("layered", "pcd", {"clamped": "mean_field"}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("units", UNITS)
def test_all_methods_learn(kind: str, units: str, method: str, options: dict[str, object]) -> None:
    """Two states and their neighbours: the likelihood rises by most of what it could."""
    low = 0 if units == "binary" else -1
    rng = np.random.default_rng(3)
    own = np.resize([[1, 1, 1, low, low, low], [low, low, low, 1, 1, 1]], (200, 6)).astype(np.float32)
    turned = rng.integers(0, 6, 60)
    own[np.arange(60), turned] = 1 + low - own[np.arange(60), turned]
    sizes = {"general": (6, 1), "restricted": (6, 3), "layered": (6, 3, 2)}[kind]
    machine = random_machine(kind, units, sizes, 0.05, rng)
    recipe = Recipe(method=method, batch=50, chains=100 * (method != "cd"), rate=0.1, epochs=200, **options)  # type: ignore[arg-type]
    trainer = make_trainer(machine, recipe, own, own[:0])
    trainer.start(1, "learns", 0.0, 0, "")
    before = likelihood.log_likelihood(trainer.machine, own)
    trainer.sweep(200)
    _, counts = np.unique(own, axis=0, return_counts=True)
    best = np.sum(counts / 200 * np.log(counts / 200))
    found = likelihood.log_likelihood(trainer.machine, own)
    assert found - before > 0.8 * (best - before)


# --- what trainers hold -------------------------------------------------------------------------------------------

METHODS = [
    (kind, method, clamped)
    for kind in KINDS
    for method in learning.METHODS
    for clamped in learning.CLAMPED
    if (method != "pt" or kind == "restricted") and (clamped == "mean_field" or kind != "restricted")
]


def same(one: Trainer, other: Trainer) -> bool:
    a, b = one.state(), other.state()
    both = [(a.spins, b.spins), (a.random, b.random), *((a.more[name], b.more[name]) for name in a.more)]
    return all(np.array_equal(x, y) for x, y in both)


@pytest.mark.parametrize(("kind", "method", "clamped"), METHODS)
def test_looking_on_changes_nothing(kind: str, method: str, clamped: str) -> None:
    """Estimates of likelihoods, reconstructions and samples, of more examples than a batch, leave the chains alone."""
    machine = made(kind, "binary")
    data = patterns(machine, 12)
    often, seldom = (
        trainer_of(machine, data, method=method, clamped=clamped, batch=5, evaluate_every=every, epochs=100)
        for every in (1, 1000)
    )
    told = often.record(4, 1)
    seldom.sweep(2)
    seldom.sweep(2)
    assert same(often, seldom)
    assert np.isfinite(told["log_likelihood"]).all()
    samples = often.samples(1000)
    assert samples.shape == (1000, machine.n)
    assert np.isin(samples, (0, 1)).all()
    assert same(often, seldom)


@pytest.mark.parametrize(("kind", "method", "clamped"), METHODS)
def test_restored_trainers_go_on_bit_for_bit(kind: str, method: str, clamped: str) -> None:
    """One that was never started, but has the seed of the run, from any state."""
    machine = made(kind, "spin")
    data = patterns(machine, 12)
    own = {"method": method, "clamped": clamped, "batch": 5, "momentum": 0.5}
    one, other = trainer_of(machine, data, **own), trainer_of(machine, data, start=False, **own)
    other.seed, other.label = one.seed, one.label
    one.sweep(3)
    other.restore(one.state())
    for trainer in (one, other):
        trainer.sweep(3)
    assert same(one, other)
    assert one.done == 6


def test_examples_of_a_run_are_drawn_by_its_seed(tmp_path: Path) -> None:
    """A unit's trainer that is restored without a start, as the driver does it, shuffles as it would have."""
    np.save(tmp_path / "data.npy", all_states(4, "binary"))
    base = {"model": {"kind": '"boltzmann"'}, "machine": {"hidden": "3"}, "train": {"data": '"data.npy"', "batch": "4"}}
    (unit,) = units_of(parse(toml(base), folder=tmp_path))
    one, other = unit.sampler(5, 1), unit.sampler(5, 1)
    one.start(5, unit.system.label, 1.0, 0, "")
    one.sweep(2)
    other.restore(one.state())
    one.sweep(2)
    other.sweep(2)
    assert same(one, other)  # type: ignore[arg-type]


@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("kind", KINDS)
def test_visible_biases_begin_with_base_rates(kind: str, units: str) -> None:
    """Without couplings the visible units then have the means of the data, kept away from their ends."""
    machine = made(kind, units)
    machine = replace(machine, weights=tuple(np.zeros_like(W) for W in machine.weights))
    low, rng = machine.low, np.random.default_rng(6)
    data = np.where(rng.random((500, machine.visible)) < 0.3, 1, low).astype(np.float32)
    data[:, 0] = low
    began = learning.with_base_rates(machine, data)
    wanted = np.append(low + 0.01 * (1 - low), data[:, 1:].mean(axis=0))
    found = likelihood.moments(began).mean
    np.testing.assert_allclose(found[: machine.visible], wanted, atol=1e-6)
    np.testing.assert_allclose(found[machine.visible :], likelihood.moments(machine).mean[machine.visible :])
    np.testing.assert_allclose(base_rates(data, units == "spin"), began.dense[1][: machine.visible])
    for start, first in (("base_rate", began), ("zero", machine)):
        trainer = make_trainer(machine, Recipe(start=start), data, data[:0])
        for own, parameter in zip(first.biases, trainer.parameters[len(first.weights) :], strict=True):
            np.testing.assert_allclose(parameter, own, rtol=1e-6)


@pytest.mark.parametrize("units", UNITS)
def test_probabilities_are_drawn_anew_each_epoch(units: str) -> None:
    """States with these means, within 5 standard errors (4 numbers, 3e-6); those of an epoch depend on nothing else."""
    spin, p = units == "spin", np.array([0.0, 0.1, 0.5, 1.0])
    means = np.tile(2 * p - 1 if spin else p, (4000, 1)).astype(np.float32)
    seen: list[list[NDArray[np.float32]]] = []
    for epochs in (range(3), range(2)):
        trainer = trainer_of(made("restricted", units), means, batch=1000, evaluate_every=1000)
        own: list[NDArray[np.float32]] = []
        seen.append(own)
        learn = trainer._learn

        def watched(
            data: NDArray[np.float32], order: NDArray[np.int64], rate: float,
            learn: Callable[..., float] = learn, own: list[NDArray[np.float32]] = own,
        ) -> float:  # fmt: skip
            own.append(data.copy())
            return learn(data, order, rate)

        trainer._learn = watched  # type: ignore[method-assign]
        assert not trainer.is_binary
        for _ in epochs:
            trainer.sweep(1)
    first, second = seen[0][:2]
    assert np.isin(first, (-1 if spin else 0, 1)).all()
    assert not np.array_equal(first, second)
    assert np.array_equal(second, seen[1][1])
    for data in seen[0]:
        on = (data > 0).mean(axis=0)
        assert on[[0, 3]].tolist() == [0, 1]
        assert np.abs((on - p) / np.sqrt(np.maximum(p * (1 - p), 1e-9) / 4000)).max() < LIMIT
    states = trainer_of(made("restricted", units), np.where(means > 0, 1, -1 if spin else 0).astype(np.float32))
    assert states.is_binary


def test_held_out_probabilities_have_likelihoods() -> None:
    """All that are trained on are states, and those held out are not."""
    machine = made("restricted", "binary")
    data = patterns(machine, 10)
    trainer = make_trainer(machine, Recipe(epochs=1, batch=10), data, np.full((5, 4), 0.3, np.float32))
    trainer.start(1, "held", 0.0, 0, "")
    assert np.isfinite(trainer.record(1, 1)["held_out_log_likelihood"]).all()


@pytest.mark.parametrize("third_column", [False, True])
@pytest.mark.parametrize("method", ["exact", "cd", "pcd"])
def test_couplings_outside_the_graph_stay_zero(method: str, third_column: bool, tmp_path: Path) -> None:
    bonds = [(0, 3), (1, 3), (2, 4), (3, 4), (0, 1)]
    lines = [f"{i} {j} {0.1 * i - 0.2}" if third_column else f"{i} {j}" for i, j in bonds]
    (tmp_path / "graph.txt").write_text("\n".join(lines))
    np.save(tmp_path / "data.npy", all_states(3, "spin")[[0, 1, 3, 7, 7]])
    base = {
        "model": {"kind": '"boltzmann"'},
        "machine": {"kind": '"general"', "units": '"spin"', "graph": '"graph.txt"', "hidden": "2"},
        "train": {"data": '"data.npy"', "method": f'"{method}"', "momentum": "0.5", "l2": "0.01"},
    }
    (unit,) = units_of(parse(toml(base), folder=tmp_path))
    trainer = unit.sampler(3, 1)
    trainer.start(3, unit.system.label, 1.0, 0, "")
    assert isinstance(trainer, Trainer)
    first = trainer.machine
    trainer.sweep(20)
    J = trainer.machine.weights[0]
    there = np.zeros((5, 5), bool)
    for i, j in bonds:
        there[i, j] = there[j, i] = True
        if third_column:
            assert first.weights[0][i, j] == np.float32(0.1 * i - 0.2)
    assert not J[~there].any()
    assert np.all(J[there] != first.weights[0][there])
    assert first.biases[0][:3].any()  # base rates: a graph has no biases


HUGE = {
    "rate": {"rate": 1e9}, "rate that momentum makes huge": {"rate": 900.0, "momentum": 0.99},
    "decay": {"l2": 1e9, "rate": 100.0}, "both": {"l1": 1e9, "l2": 1e9, "rate": 1e9},
}  # fmt: skip


@pytest.mark.parametrize("huge", HUGE)
@pytest.mark.parametrize(("kind", "method"), [(kind, own) for kind, own, clamped in METHODS if clamped == "mean_field"])
def test_divergence_is_told(kind: str, method: str, huge: str) -> None:
    """Whatever overflows first, with several batches an epoch, there is one sentence and no warning of NumPy."""
    machine = made(kind, "binary")
    data = np.resize(all_states(machine.visible, "binary")[[0, 1, 1, 3, 7]], (25, machine.visible)).astype(np.float32)
    trainer = trainer_of(machine, data, method=method, batch=3, epochs=200, **HUGE[huge])
    with pytest.raises(DivergedError, match=r"^learning diverged in epoch \d+: a weight or bias is beyond 1000; "):
        trainer.sweep(200)


# --- judging ------------------------------------------------------------------------------------------------------


def test_likelihoods_of_small_machines_are_exact() -> None:
    for kind in KINDS:
        machine = made(kind, "spin")
        data = patterns(machine, 12)
        recipe = Recipe(epochs=2, batch=12, evaluate_every=1, rate=0.01)
        trainer = make_trainer(machine, recipe, data, data[:3], draw_biases=False)
        trainer.start(1, "exact", 0.0, 0, "")
        told = trainer.record(2, 1)
        for name, own in (("log_likelihood", data), ("held_out_log_likelihood", data[:3])):
            wanted = likelihood.log_likelihood(trainer.machine, own)
            for end in ("", "_low", "_high"):
                assert told[f"{name}{end}"][0, -1] == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize(
    ("kind", "units", "sizes"),
    [("restricted", "binary", (20, 18)), ("general", "spin", (12, 6)), ("layered", "binary", (9, 17, 9))],
)
def test_brackets_hold_the_exact_partition_sum(
    kind: str, units: str, sizes: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Short annealings from exact samples, 40 times: each end is one of a 68.27 % interval.

    So each end holds with 84 %, and both with 68 %, or a little less where weights are skewed (`likelihood.Estimate`):
    80 and 64 % are taken.  Fewer than the numbers below have a probability of 1e-4 each.
    """
    monkeypatch.setattr(learning, "STEPS", 60)
    machine = made(kind, units, scale=0.35 if units == "binary" else 0.15, sizes=sizes)
    exact = likelihood.log_z(machine)
    base = np.zeros(machine.visible)
    rng = np.random.default_rng(5)
    samples = likelihood.exact_samples(machine, 40 * learning.CHAINS, rng).astype(np.float64)
    parts = iter(np.split(samples, 40))
    found = np.array([judge(machine, rng, base, lambda count: next(parts)[:count]) for _ in range(40)])
    value, low, high = found.T
    assert np.all((low < value) & (value < high + 0.2))
    inside = (low <= exact) & (exact <= high)
    assert inside.sum() >= binom.ppf(1e-4, 40, 0.64)
    assert np.mean(low <= exact) >= binom.ppf(1e-4, 40, 0.8) / 40
    assert np.mean(high >= exact) >= binom.ppf(1e-4, 40, 0.8) / 40
    assert np.abs(value - exact).max() < 0.3
    wrong = exact + 0.5
    assert not ((low <= wrong) & (wrong <= high)).any()


def test_brackets_of_likelihoods_stand_the_right_way_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """The upper end of log Z is the lower one of likelihoods."""
    monkeypatch.setattr(learning, "judge", lambda *_: (3.0, 2.5, 4.5))  # log Z, its lower and its upper end
    machine = made("restricted", "binary")
    data = patterns(machine, 12)
    trainer = make_trainer(machine, Recipe(epochs=1, batch=12, rate=0.01), data, data[:3], draw_biases=False)
    trainer.start(1, "bracket", 0.0, 0, "")
    told = trainer.record(1, 1)
    for name, own in (("log_likelihood", data), ("held_out_log_likelihood", data[:3])):
        free = likelihood.free_energy(trainer.machine, own).mean()
        for end, log_z in (("", 3.0), ("_low", 4.5), ("_high", 2.5)):
            assert told[f"{name}{end}"][0, 0] == pytest.approx(-free - log_z, abs=1e-9)


def test_what_cannot_be_judged_is_not() -> None:
    """More hidden units of a general machine than can be summed over: NaN, and no error."""
    machine = random_machine("general", "binary", (3, 23), 0.01, np.random.default_rng(1))
    assert np.isnan(judge(machine, np.random.default_rng(1), np.zeros(3), lambda count: np.zeros((count, 26)))).all()
    data = patterns(machine, 4)
    trainer = trainer_of(machine, data, epochs=1)
    told = trainer.record(1, 1)
    assert np.isnan(told["log_likelihood"]).all()
    assert np.isnan(told["pseudo_likelihood"]).all()
    assert np.isfinite(told["reconstruction_error"]).all()
