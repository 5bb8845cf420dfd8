"""Partition functions, averages and likelihoods of Boltzmann machines against sums over all states.

The naive sums share the parameters of a machine with the code, and nothing else.  Statistical tests have fixed seeds;
each says how often it would fail by chance.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

from ising_mc import likelihood
from ising_mc.likelihood import ais, exact_samples, free_energy, log_likelihood, log_z, moments, reverse_ais
from ising_mc.machine import KINDS, UNITS, Machine, random_machine

SIZES = {
    "general": [(3, 4), (7, 0), (0, 3), (0, 0), (1, 0)],
    "restricted": [(5, 3), (3, 5), (4, 4), (0, 3), (4, 0), (0, 0)],
    "layered": [(3, 4, 2), (2, 3, 1, 2), (2, 2, 1, 1, 2), (0, 3, 2), (3, 0, 2), (2, 4, 0), (0, 0, 0), (4,)],
}
ALL = [(kind, sizes) for kind in KINDS for sizes in SIZES[kind]]
ANNEALED = {"general": (3, 4), "restricted": (5, 4), "layered": (3, 4, 2)}
STRENGTH = {"binary": 0.8, "spin": 0.4}  # the same machine written with spins has weaker couplings
CHAINS = 40000


def made(kind: str, units: str, sizes: tuple[int, ...], scale: float = 1.0, seed: int = 1) -> Machine:
    """Normal random weights and biases."""
    rng = np.random.default_rng([seed, *sizes])
    plain = random_machine(kind, units, sizes, scale, rng)
    return replace(plain, biases=plain.split(scale * rng.standard_normal(plain.n)))


def all_states(n: int, units: str) -> np.ndarray:
    return np.array(list(product((0, 1) if units == "binary" else (-1, 1), repeat=n)), float).reshape(2**n, n)


def naive_energy(machine: Machine, u: np.ndarray) -> np.ndarray:
    """E of states, from one layer to the next (general: pair by pair)."""
    if machine.kind == "general":
        J, b = machine.weights[0], machine.biases[0]
        pairs = ((i, j) for i in range(machine.n) for j in range(i))
        return -sum((J[i, j] * u[:, i] * u[:, j] for i, j in pairs), np.zeros(len(u))) - u @ b
    ends = np.cumsum((0, *machine.sizes))
    own = [u[:, first:end] for first, end in pairwise(ends)]
    found = -sum(x @ b for x, b in zip(own, machine.biases, strict=True))
    for k, W in enumerate(machine.weights):
        found = found - np.einsum("si,ij,sj->s", own[k], W, own[k + 1])
    return found


@pytest.mark.parametrize("T", [0.05, 0.7, 1.0, 2.5])
@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize(("kind", "sizes"), ALL)
@pytest.mark.parametrize("chunk", [None, 3])
def test_exact_results_are_those_of_all_states(
    kind: str, sizes: tuple[int, ...], units: str, T: float, chunk: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if chunk:  # so that sums go over several chunks
        monkeypatch.setattr(likelihood, "STATES_AT_ONCE", chunk)
        monkeypatch.setattr(likelihood, "NUMBERS_AT_ONCE", 4 * chunk)
    machine = made(kind, units, sizes)
    u = all_states(machine.n, units)
    E = naive_energy(machine, u)
    logs = -E / T
    p = np.exp(logs - logsumexp(logs))
    found = moments(machine, T)
    close = {"rtol": 1e-11, "atol": 1e-11}
    np.testing.assert_allclose(log_z(machine, T), logsumexp(logs), **close)
    np.testing.assert_allclose(found.log_z, logsumexp(logs), **close)
    np.testing.assert_allclose(found.mean, p @ u, **close)
    np.testing.assert_allclose(found.correlations, (p[:, None] * u).T @ u, **close)
    np.testing.assert_allclose(found.mean_energy, p @ E, **close)
    variance = p @ (E - p @ E) ** 2
    np.testing.assert_allclose(found.energy_variance, variance, **close)
    if machine.n:
        np.testing.assert_allclose(found.specific_heat, variance / T**2 / machine.n, rtol=1e-11, atol=1e-9)
    else:
        assert np.isnan(found.specific_heat)
    # the states of the visible units are blocks, as these come first
    visible = all_states(machine.visible, units)
    naive = -T * logsumexp(logs.reshape(len(visible), -1), axis=1)
    np.testing.assert_allclose(free_energy(machine, visible, T), naive, **close)
    some = visible[:: max(1, len(visible) // 3)]
    expected = np.mean(-naive[:: max(1, len(visible) // 3)] / T) - logsumexp(logs)
    np.testing.assert_allclose(log_likelihood(machine, some, T), expected, rtol=1e-11, atol=1e-10)
    assert log_likelihood(machine, some, T, log_z=1.5 + found.log_z) == pytest.approx(expected - 1.5)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ((4, 3), 5.830151396751),
        ((9, 6), 14.159262357166),
        ((16, 10), 24.384121688746),
        ((64, 16), 126.110335127950),
    ],
)
def test_published_partition_functions(sizes: tuple[int, int], expected: float) -> None:
    i, j = np.arange(sizes[0]), np.arange(sizes[1])
    W = np.sin(1 + 3 * i[:, None] + 7 * j)
    b, c = 0.1 * np.cos(i), -0.2 + 0.05 * j
    assert abs(log_z(Machine("restricted", "binary", sizes, (W,), (b, c))) - expected) < 1e-10
    turned = Machine("restricted", "binary", sizes[::-1], (np.ascontiguousarray(W.T),), (c, b))
    assert abs(log_z(turned) - expected) < 1e-10
    as_spins, constant = turned.written_as("spin")
    assert abs(log_z(as_spins) - constant - expected) < 1e-10


@pytest.mark.parametrize("units", UNITS)
def test_large_fields_do_not_overflow(units: str) -> None:
    machine = made("restricted", units, (40, 6))
    T = 1e-4
    found = moments(machine, T)
    ground = exact_samples(machine, 1, np.random.default_rng(0), T)
    assert found.log_z == pytest.approx(-machine.energy(ground)[0] / T)
    assert found.mean == pytest.approx(ground[0])
    assert found.mean_energy == pytest.approx(machine.energy(ground)[0])
    assert abs(found.energy_variance) < 1e-20


def test_what_can_be_summed(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    assert likelihood.MOST_SUMMED == 22
    for kind, sizes, number in (
        ("general", (3, 20), 23),
        ("restricted", (40, 23), 23),
        ("restricted", (22, 784), 22),
        ("layered", (30, 23, 5), 23),
        ("layered", (12, 60, 9), 21),
    ):
        machine = random_machine(kind, "spin", sizes, 0.1, rng)
        assert likelihood.side_summed(machine) == number
        assert likelihood.is_summable(machine) == (number <= 22)
        if number > 22:
            for call in (log_z, moments, lambda own: exact_samples(own, 1, rng)):
                with pytest.raises(ValueError, match="23 units, but at most 22"):
                    call(machine)
    # free energies: a sum over hidden units alone
    visible = np.ones((2, 40))
    assert free_energy(random_machine("restricted", "spin", (40, 50), 0.1, rng), visible).shape == (2,)
    assert free_energy(random_machine("layered", "spin", (40, 50, 3), 0.1, rng), visible).shape == (2,)
    assert free_energy(random_machine("general", "spin", (40, 3), 0.1, rng), visible).shape == (2,)
    for kind, sizes in (("layered", (40, 24, 23)), ("general", (40, 23))):
        with pytest.raises(ValueError, match="23 units, but at most 22"):
            free_energy(random_machine(kind, "spin", sizes, 0.1, rng), visible)
    monkeypatch.setattr(likelihood, "MOST_SUMMED", 3)
    log_z(random_machine("restricted", "spin", (3, 4), 0.1, rng))
    with pytest.raises(ValueError, match="4 units"):
        log_z(random_machine("restricted", "spin", (4, 4), 0.1, rng))


def test_input_that_is_refused() -> None:
    machine, rng = made("restricted", "binary", (3, 2)), np.random.default_rng(0)
    for T in (0.0, -1.0, np.nan, np.inf):
        for call in (log_z, moments, lambda own, T: exact_samples(own, 1, rng, T), lambda own, T: ais(own, rng, T=T)):
            with pytest.raises(ValueError, match="temperature"):
                call(machine, T)
        with pytest.raises(ValueError, match="temperature"):
            free_energy(machine, np.ones((1, 3)), T)
    for visible in (np.ones(3), np.ones((1, 4)), -np.ones((1, 3))):
        with pytest.raises(ValueError, match="visible states"):
            free_energy(machine, visible)
    with pytest.raises(ValueError, match="at least one visible"):
        log_likelihood(machine, np.ones((0, 3)))
    for samples in (np.ones(5), np.ones((1, 3)), np.ones((0, 5)), -np.ones((1, 5))):
        with pytest.raises(ValueError, match="samples"):
            reverse_ais(machine, samples, rng)
    with pytest.raises(ValueError, match="chain"):
        ais(machine, rng, chains=0)
    for base in (np.ones(2), [np.nan] * 3):
        with pytest.raises(ValueError, match="base"):
            ais(machine, rng, base=base)
    with pytest.raises(ValueError, match="one temperature"):
        ais(machine, rng, temperatures=0)


@pytest.mark.parametrize("T", [0.7, 1.6])
@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize(
    ("kind", "sizes"), [("general", (3, 4)), ("restricted", (4, 3)), ("restricted", (3, 4)), ("layered", (3, 4, 2))]
)
def test_exact_samples(kind: str, sizes: tuple[int, ...], units: str, T: float) -> None:
    """Chi-square over all states; a false alarm of 1e-5 in all 16 cases together."""
    machine, count = made(kind, units, sizes, 0.5), 30000
    found = exact_samples(machine, count, np.random.default_rng(5), T)
    assert found.shape == (count, machine.n)
    u = all_states(machine.n, units)
    expected = count * np.exp(-naive_energy(machine, u) / T - log_z(machine, T))
    numbers = (found > 0) @ (1 << np.arange(machine.n)[::-1])
    seen = np.bincount(numbers, minlength=len(u))
    rare = expected < 10
    if rare.any():
        seen, expected = (np.append(own[~rare], own[rare].sum()) for own in (seen, expected))
    assert np.sum((seen - expected) ** 2 / expected) < stats.chi2.isf(1e-5 / 16, len(seen) - 1)


def test_exact_samples_of_no_units() -> None:
    assert exact_samples(made("layered", "binary", (0, 0, 0)), 4, np.random.default_rng(0)).shape == (4, 0)


# --- annealing --------------------------------------------------------------------------------------------------


def deviations(machine: Machine, T: float) -> tuple[float, float]:
    """How far `ais` and `reverse_ais` with a few temperatures are off, in standard errors."""
    rng = np.random.default_rng(11)
    base = np.linspace(-1.5, -0.3, machine.visible)
    exact = log_z(machine, T)
    forward = ais(machine, rng, CHAINS, 5, base, T)
    backward = reverse_ais(machine, exact_samples(machine, CHAINS, rng, T), rng, 5, base, T)
    for own in (forward, backward):
        assert own.reliable
        assert own.error < 0.03
    return (forward.log_z - exact) / forward.error, (backward.log_z - exact) / backward.error


@pytest.mark.parametrize("T", [0.7, 1.0, 2.0])
@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_unbiased(kind: str, units: str, T: float) -> None:
    """Five temperatures are far from equilibrium, yet the mean weight is exact: 5 sigma, 2e-5 for all 36 together."""
    assert max(map(abs, deviations(made(kind, units, ANNEALED[kind], STRENGTH[units]), T))) < 5


@pytest.mark.parametrize("sizes", [(0, 3), (4, 0), (0, 0)])
@pytest.mark.parametrize("kind", ["general", "restricted"])
def test_annealing_of_empty_layers(kind: str, sizes: tuple[int, int]) -> None:
    """5 sigma, or rounding where all weights are equal."""
    machine, rng = made(kind, "spin", sizes, 0.7), np.random.default_rng(3)
    for found in (ais(machine, rng, 2000, 5), reverse_ais(machine, exact_samples(machine, 2000, rng), rng, 5)):
        assert abs(found.log_z - log_z(machine)) < 5 * found.error + 1e-12


def late_weights(path: likelihood._Path, a: np.ndarray, betas: list[float], rng: np.random.Generator) -> np.ndarray:
    """The wrong order: a step at the new temperature, and the weight of the change to it afterwards."""
    total = np.zeros(len(a))
    for now, after in pairwise(betas):
        a = path.move(a, path.inputs(a), after, rng)
        total += path.log_ratio(a, path.inputs(a), now, after)
    return total


class NoBase(likelihood._Path):
    @property
    def log_z0(self) -> float:
        return float((self.base.size + len(self.sides.rest)) * np.log(2))


class UniformStart(likelihood._Path):
    def start(self, chains: int, rng: np.random.Generator) -> np.ndarray:
        return likelihood._draw(np.zeros((chains, len(self.base))), self.sides.units, rng)


class FullSteps(likelihood._Path):
    def move(self, a: np.ndarray, inputs: np.ndarray, beta: float, rng: np.random.Generator) -> np.ndarray:
        return super().move(a, inputs, 1.0, rng)


@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("kind", KINDS)
def test_wrong_twins_are_found(kind: str, units: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights after the step, another Z at the start, another start, steps at another temperature."""
    machine = made(kind, units, ANNEALED[kind], STRENGTH[units])
    for name, wrong, both in (
        ("_anneal", late_weights, True),
        ("_Path", NoBase, True),
        ("_Path", UniformStart, False),
        ("_Path", FullSteps, True),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(likelihood, name, wrong)
            forward, backward = deviations(machine, 1.0)
        assert abs(forward) > 5, wrong
        assert abs(backward) > 5 or not both, wrong


def runs(
    machine: Machine, chains: int, temperatures: int, number: int, T: float
) -> Iterator[list[likelihood.Estimate]]:
    """`number` runs of `ais`, and as many of `reverse_ais`."""
    rng = np.random.default_rng(17)
    samples = exact_samples(machine, chains * number, rng, T).reshape(number, chains, -1)
    yield [ais(machine, rng, chains, temperatures, T=T) for _ in range(number)]
    yield [reverse_ais(machine, own, rng, temperatures, T=T) for own in samples]


@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("kind", KINDS)
def test_intervals_cover_the_truth(kind: str, units: str) -> None:
    """68.27 % of 200 intervals, within binomial limits: a false alarm of 1e-4 for all 12 sets of intervals together."""
    machine, T = made(kind, units, ANNEALED[kind], 0.5), 1.2
    exact = log_z(machine, T)
    low, high = (stats.binom.ppf(q, 200, 0.6827) for q in (1e-4 / 24, 1 - 1e-4 / 24))
    for found in runs(machine, 50, 10, 200, T):
        assert all(own.reliable and own.chains == 50 for own in found)
        assert low <= sum(own.low <= exact <= own.high for own in found) <= high
        assert all(own.high - own.low == pytest.approx(2 * own.error) for own in found)


@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("kind", KINDS)
def test_annealing_brackets_the_truth(kind: str, units: str) -> None:
    """Single chains, whose mean log Z is 12 or more standard errors below and above: 3 are asked for, so 1e-15 fail."""
    machine, T = made(kind, units, ANNEALED[kind]), 0.8
    exact = log_z(machine, T)
    for sign, found in zip((-1, 1), runs(machine, 1, 3, 600, T), strict=True):
        assert not any(own.reliable for own in found)
        assert all(np.isnan([own.low, own.high, own.error]).all() for own in found)
        off = sign * (np.array([own.log_z for own in found]) - exact)
        assert off.mean() > 3 * off.std(ddof=1) / np.sqrt(600)


def test_few_effective_samples_are_no_interval() -> None:
    machine = made("restricted", "spin", (30, 20), 2.0)
    found = ais(machine, np.random.default_rng(0), 100, 2)
    assert found.effective_samples < 10
    assert not found.reliable
    assert np.isnan([found.low, found.high, found.error]).all()
    assert np.isfinite(found.log_z)


def test_equal_weights_are_exact() -> None:
    """Without couplings and with its own biases as the base, every path weighs the same."""
    machine = made("restricted", "binary", (6, 1))
    machine = replace(machine, weights=(np.zeros((6, 1)),))
    found = ais(machine, np.random.default_rng(0), 20, 4, machine.biases[0], 1.3)
    assert found.log_z == pytest.approx(log_z(machine, 1.3), abs=1e-13)
    assert found.effective_samples == pytest.approx(20)
    assert found.error < 1e-13
