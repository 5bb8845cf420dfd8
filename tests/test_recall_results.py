"""Errors of results of recalls: coverage on made-up recalls whose truth is known, and averages over samples."""

import numpy as np
import pytest
from numpy.typing import NDArray

from ising_mc.kernels.recall import FIXED, RUNNING
from ising_mc.recallresults import Recalls, Value, analyse, over_samples

RUNS = 1500
LEVEL = 0.6826894921370859
SLACK = 4.9 * (LEVEL * (1 - LEVEL) / RUNS) ** 0.5  # 4.9 standard errors: false alarm 1e-6 each


def made_up(rng: np.random.Generator, T: float, patterns: int, repeats: int, length: int) -> Recalls:
    """Recalls of N = 100 units: patterns differ, recalls of one pattern share most, series are AR(1) with a = 0.6."""
    n, number = 100, patterns * repeats
    cued = np.arange(number) % patterns
    own = 0.03 * rng.standard_normal(patterns)[cued] + 0.01 * rng.standard_normal(number)
    x = np.empty((number, length))
    x[:, 0] = rng.standard_normal(number)
    for t in range(1, length):
        x[:, t] = 0.6 * x[:, t - 1] + 0.8 * rng.standard_normal(number)
    noise = 0.02 * x if T else np.zeros((number, length))
    m = 0.8 + own[:, None] + noise
    progress = np.stack((np.full(number, FIXED if T == 0 else RUNNING), rng.integers(2, 9, patterns)[cued]), axis=1)
    series = {"overlap": n * m, "energy": -n * m}
    return Recalls(n, T, series, (-n * m[:, 0], 100.0 * m[:, 0]), progress, 2, cued)


def coverage(values: list[Value], truth: float) -> float:
    assert all(np.isfinite(value.error) for value in values)
    return float(np.mean([abs(value.value - truth) <= value.error for value in values]))


@pytest.mark.parametrize(("patterns", "repeats"), [(40, 1), (12, 4)])
def test_errors_at_zero_temperature_cover_the_truth(patterns: int, repeats: int) -> None:
    rng = np.random.default_rng(1)
    runs = [analyse(made_up(rng, 0.0, patterns, repeats, 1), 0.78) for _ in range(RUNS)]
    for name, truth in (("overlap", 0.8), ("energy_per_unit", -0.8), ("sweeps_to_fixed_point", 4.0)):
        assert abs(coverage([run[name] for run in runs], truth) - LEVEL) < SLACK, name
    assert all(run["fixed_point_fraction"].value == 1 for run in runs)
    assert all(0 < run["fixed_point_fraction"].error < 0.1 for run in runs)


def test_errors_at_a_temperature_cover_the_truth() -> None:
    """Of means over recalls; of the specific heat within 3 % more, for the estimate of what the own mean takes away."""
    rng, T = np.random.default_rng(2), 0.5
    runs = [analyse(made_up(rng, T, 20, 2, 400), 0.78) for _ in range(RUNS)]
    assert abs(coverage([run["overlap"] for run in runs], 0.8) - LEVEL) < SLACK
    heat = 100 * 0.02**2 / T**2  # not that of the scatter between recalls, which is three times as large
    assert abs(coverage([run["specific_heat"] for run in runs], heat) - LEVEL) < SLACK + 0.03
    taus = np.array([run["overlap"].tau_int for run in runs])
    assert taus.mean() == pytest.approx(2 * 1.6 / 0.8, rel=0.05)  # in sweeps, two of which make a measurement


def test_errors_over_samples_cover_the_truth() -> None:
    rng = np.random.default_rng(3)
    averages, parts = [], []
    for _ in range(RUNS):
        own = 0.1 * rng.standard_normal(6)
        samples = [{"overlap": Value(float(x + 0.02 * rng.standard_normal()), 0.02)} for x in own]
        average, part = over_samples("overlap", samples)
        averages.append(average)
        parts.append(part)
    assert abs(coverage(averages, 0.0) - LEVEL) < SLACK
    np.testing.assert_allclose(parts, 0.02 / 6**0.5)
    alike, part = over_samples("overlap", [{"overlap": Value(1.0, 0.02)}] * 4)
    assert (alike.error, part) == (0.01, 0.01)


def test_scatter_that_is_forgotten_is_noticed() -> None:
    """Recalls of one pattern taken for independent: the error is then far too small."""
    rng = np.random.default_rng(4)
    runs = []
    for _ in range(RUNS):
        recalls = made_up(rng, 0.0, 12, 4, 1)
        wrong: NDArray[np.int64] = np.arange(48)
        alone = Recalls(recalls.units, 0.0, recalls.series, recalls.first, recalls.progress, 1, wrong)
        runs.append(analyse(alone, 0.78)["overlap"])
    assert coverage(runs, 0.8) < LEVEL - 2 * SLACK
