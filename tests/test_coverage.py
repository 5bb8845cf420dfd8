"""Error bars are tested like means: 1,000 independent runs of one point, against enumeration.

Intervals of 68.27 % and 95 % must cover the exact value as often as a binomial of that probability does: each limit
has a false-alarm rate of 1e-5, a test of one quantity four of them.  The allowance widens the limits: by nothing for
means of 8 replicas, by 2 % for means of one replica, whose window is chosen by the same data, and by 3 % where the
estimator is nonlinear and so its distribution skewed.
"""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from ising_mc import exact
from ising_mc.observables import EQUILIBRATED, NO, UNKNOWN, YES, Facts, PointResults, analyse
from ising_mc.square import Model, ReplicaSampler, Square

Series = NDArray[np.float64]
N, T = 16, 2.5
RUNS = 1000
LEVELS = (0.6826894921370859, 0.95)
RATE = 1e-5
LINEAR = ("energy_per_site", "abs_magnetization_per_site", "magnetization_per_site", "susceptibility_symmetric")
CURVED = ("specific_heat", "susceptibility", "binder_cumulant")
SHAPES = {"8 replicas": (8, 200), "1 replica": (1, 3000)}  # replicas and sweeps of a run


@cache
def truth() -> dict[str, float]:
    averages = exact.enumerate_states(N, exact.square_bonds(4, 4)).observables(T)
    return {name: float(value) for name, value in averages.items()}


def lanes(lattice: Square, temperature: float, count: int, warm_up: int, sweeps: int) -> tuple[Series, Series]:
    """Energy and magnetization of independent replicas, (replica, sweep)."""
    energy, magnetization, model = [], [], Model()
    for word in range(-(-count // 64)):
        sampler = ReplicaSampler(lattice, model, temperature, "heat_bath")
        sampler.start(2026, f"coverage {sweeps}", temperature, word, "mixed")
        sampler.sweep(warm_up)
        unsatisfied, ups = sampler.sample(sweeps, 1)
        energy.append(model.energy(lattice, unsatisfied, ups).T)
        magnetization.append(2.0 * ups.T - lattice.n_sites)
    return np.concatenate(energy)[:count], np.concatenate(magnetization)[:count]


@cache
def series(shape: str) -> tuple[Series, Series]:
    """Energy and magnetization, (run, replica, sweep)."""
    replicas, sweeps = SHAPES[shape]
    energy, magnetization = lanes(Square(4, 4), T, RUNS * replicas, 200, sweeps)
    return energy.reshape(RUNS, replicas, sweeps), magnetization.reshape(RUNS, replicas, sweeps)


def analysed(energy: Series, magnetization: Series, n: int, T: float, mixed: bool, field: bool = False) -> PointResults:
    return analyse({"energy": energy, "magnetization": magnetization}, Facts(n, 2 * n, field=field), T, mixed)


@cache
def runs(shape: str) -> list[PointResults]:
    return [analysed(energy, magnetization, N, T, True) for energy, magnetization in zip(*series(shape), strict=True)]


def covers(intervals: list[tuple[float, float]], value: float, level: float, allowance: float = 0.0) -> bool:
    """Whether the intervals cover the value as often as they should; an interval that is not known covers nothing."""
    covered = sum(low <= value <= high for low, high in intervals)
    fewest = stats.binom.ppf(RATE, len(intervals), level - allowance)
    most = stats.binom.isf(RATE, len(intervals), min(level + allowance, 1.0))
    return bool(fewest <= covered <= most)


def intervals(shape: str, name: str, level: float, scale: float = 1.0) -> list[tuple[float, float]]:
    found = []
    for run in runs(shape):
        estimate = run.estimates[name]
        low, high = replace(estimate, error=estimate.error * scale).interval(level)
        found.append((low, high))
    return found


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", LINEAR + CURVED)
def test_intervals_cover_the_exact_value(shape: str, name: str) -> None:
    allowance = 0.03 if name in CURVED else 0.0 if shape == "8 replicas" else 0.02
    for level in LEVELS:
        assert covers(intervals(shape, name, level), truth()[name], level, allowance)


@pytest.mark.parametrize("name", LINEAR + CURVED)
def test_wrong_errors_would_be_noticed(name: str) -> None:
    for scale in (0.7, 1.4):
        wrong = [covers(intervals("8 replicas", name, level, scale), truth()[name], level, 0.03) for level in LEVELS]
        assert not all(wrong)


@pytest.mark.parametrize("shape", SHAPES)
def test_errors_that_ignore_autocorrelation_are_noticed(shape: str) -> None:
    energy, magnetization = (values.reshape(RUNS, -1) / N for values in series(shape))
    for name, values in (("energy_per_site", energy), ("abs_magnetization_per_site", abs(magnetization))):
        centre, error = values.mean(axis=1), values.std(axis=1, ddof=1) / np.sqrt(values.shape[1])
        for level in LEVELS:
            half = error * stats.norm.isf((1 - level) / 2)
            naive = list(zip(centre - half, centre + half, strict=True))
            assert not covers(naive, truth()[name], level, 0.03)


# -- the verdict on equilibration --------------------------------------------------------------------------------------


def test_the_verdict_is_rarely_wrong() -> None:
    """Limits at a false-alarm rate of 1e-5 each; the p-value is an upper bound, so only too many are wrong."""
    p_values = np.array([run.p_value for run in runs("8 replicas")])
    for level in (EQUILIBRATED, 1e-2, 0.1):
        assert np.count_nonzero(p_values < level) <= stats.binom.isf(1e-5, RUNS, level)
    verdicts = [run.equilibrated for run in runs("8 replicas")]
    assert set(verdicts) <= {YES, NO}
    assert verdicts.count(NO) == np.count_nonzero(p_values < EQUILIBRATED)


def test_one_replica_tells_nothing_about_equilibration() -> None:
    assert {run.equilibrated for run in runs("1 replica")} == {UNKNOWN}


@pytest.mark.parametrize("first", [0, 1], ids=["up", "random"])
@pytest.mark.parametrize("replicas", [8, 16, 64])
def test_half_of_the_replicas_of_one_start_stuck(first: int, replicas: int) -> None:
    energy, magnetization = (values[: replicas // 8].reshape(replicas, -1).copy() for values in series("8 replicas"))
    assert analysed(energy, magnetization, N, T, True).equilibrated == YES  # a false alarm: 1e-4
    energy[first::4], magnetization[first::4] = -8.0, 0.0
    assert analysed(energy, magnetization, N, T, True).equilibrated == NO


def test_stripe_states_are_seen() -> None:
    """Deep below Tc some of the random starts end in stripes, which stay for long."""
    lattice = Square(32, 32)
    energy, magnetization = lanes(lattice, 0.7, 64, 2000, 400)
    mean = abs(magnetization).mean(axis=1) / lattice.n_sites
    striped = mean < 0.99  # also those whose stripe vanished meanwhile
    assert 3 < striped[1::2].sum() < 29
    assert not striped[0::2].any()
    assert analysed(energy, magnetization, lattice.n_sites, 0.7, True).equilibrated == NO
    assert analysed(energy[~striped], magnetization[~striped], lattice.n_sites, 0.7, False).equilibrated == UNKNOWN


def test_a_start_that_still_shows_is_seen() -> None:
    """Series that still drift: up and random starts disagree."""
    energy, magnetization = lanes(Square(16, 16), 2.0, 64, 0, 20)
    assert analysed(energy, magnetization, 256, 2.0, True).equilibrated == NO


def test_no_verdict_without_a_comparison_of_the_starts() -> None:
    """Few short replicas: their scatter can be tested, the two starts cannot, so the verdict is not yes."""
    rng = np.random.default_rng(11)
    for _ in range(20):
        energy, magnetization = np.cumsum(rng.normal(size=(2, 4, 12)), axis=2)
        assert analysed(energy, magnetization, 16, 2.0, mixed=True).equilibrated != YES


def test_frozen_magnetization_has_no_error() -> None:
    """Half of the replicas caught at +1, half at -1: their mean is that of the starts."""
    rng = np.random.default_rng(3)
    signs = np.tile([1.0, -1.0], 8)[:, None]
    energy, magnetization = rng.normal(-30, 1, (16, 200)), signs * rng.uniform(14, 16, (16, 200))
    assert np.isnan(analysed(energy, magnetization, 16, 1.0, mixed=True).estimates["magnetization_per_site"].error)
    in_field = analysed(energy, magnetization, 16, 1.0, mixed=True, field=True)
    assert in_field.estimates["magnetization_per_site"].error > 0
