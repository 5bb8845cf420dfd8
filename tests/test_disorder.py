"""Averages over disorder: what they are, and that their errors cover the truth as often as they say."""

import numpy as np
import pytest
from scipy import stats

from ising_mc.disorder import average
from ising_mc.observables import Facts
from ising_mc.statistics import Estimate

FACTS = Facts(n_sites=64, n_bonds=192, size=(4, 4, 4), moments=True)


def estimate(value: float, error: float = 0.0) -> Estimate:
    return Estimate(value, error, 0.5, 0.1, 100.0, True)


def test_a_mean_with_both_errors() -> None:
    values, errors = [1.0, 2.0, 4.0, 5.0], [0.1, 0.2, 0.2, 0.4]
    samples = [{"energy_per_site": estimate(v, e)} for v, e in zip(values, errors, strict=True)]
    found = average("energy_per_site", samples, FACTS)
    assert found.value == 3.0
    factor = stats.t.ppf(0.5 + 0.6826894921370859 / 2, 3)
    assert found.error == pytest.approx(np.std(values, ddof=1) / 2 * factor)
    assert found.thermal_error == pytest.approx(0.5 / 4)
    assert found.definition == ""


def test_one_sample_tells_nothing_of_the_scatter() -> None:
    for name in ("energy_per_site", "overlap_binder_ratio"):
        names = ("energy_per_site", "overlap_squared", "overlap_fourth", "overlap_binder_ratio")
        found = average(name, [{own: estimate(0.5, 0.1) for own in names}], FACTS)
        assert np.isnan(found.error)
        assert found.thermal_error == pytest.approx(0.1)


def test_an_unknown_thermal_error_stays_unknown() -> None:
    samples = [{"energy_per_site": estimate(1.0, error)} for error in (0.1, np.nan)]
    found = average("energy_per_site", samples, FACTS)
    assert np.isnan(found.thermal_error)
    assert found.error == 0


def test_ratios_are_of_averages() -> None:
    rng = np.random.default_rng(1)
    q2 = rng.uniform(0.1, 0.5, 6)
    q4, m2, m4, sk = q2**2 * 1.5, q2 / 2, q2**2, q2 / 7
    samples = [
        {
            "overlap_squared": estimate(q2[k]),
            "overlap_fourth": estimate(q4[k]),
            "overlap_binder_ratio": estimate(9.0, 0.3),
            "magnetization_squared": estimate(m2[k]),
            "magnetization_fourth": estimate(m4[k]),
            "binder_cumulant": estimate(9.0, 0.3),
            "structure_factor_axis1": estimate(sk[k]),
            "correlation_length_axis1": estimate(9.0, 0.3),
        }
        for k in range(6)
    ]
    truth = {
        "overlap_binder_ratio": (3 - q4.mean() / q2.mean() ** 2) / 2,
        "binder_cumulant": 1 - m4.mean() / (3 * m2.mean() ** 2),
        "correlation_length_axis1": np.sqrt(64 * m2.mean() / sk.mean() - 1) / (2 * np.sin(np.pi / 4)),
    }
    for name, value in truth.items():
        found = average(name, samples, FACTS)
        assert found.value == pytest.approx(value)
        assert "[" in found.definition
        assert found.thermal_error == pytest.approx(0.3 / np.sqrt(6))
        assert found.error > 0


@pytest.mark.parametrize("name", ["energy_per_site", "overlap_binder_ratio"])
def test_intervals_cover_the_truth(name: str) -> None:
    """2000 ensembles of 12 samples with thermal noise: 68.27 % intervals, false-alarm rate 1e-4 (with 3 % allowed for
    the ratio, whose distribution is skewed); without the factor of Student's t they would not pass."""
    rng = np.random.default_rng(7)
    runs, size = 2000, 12
    q2 = rng.gamma(4.0, 0.05, (runs, size))
    q4 = 1.4 * q2**2
    truth = {"energy_per_site": 0.2, "overlap_binder_ratio": (3 - 1.4 * (4 * 5 * 0.05**2) / 0.2**2) / 2}[name]
    noise = 1 + rng.normal(0, 0.05, (2, runs, size))
    errors, values = np.empty(runs), np.empty(runs)
    for run in range(runs):
        samples = [
            {
                "energy_per_site": estimate(q2[run, k] * noise[0, run, k], 0.05 * q2[run, k]),
                "overlap_squared": estimate(q2[run, k] * noise[0, run, k]),
                "overlap_fourth": estimate(q4[run, k] * noise[1, run, k]),
                "overlap_binder_ratio": estimate(0.0),
            }
            for k in range(size)
        ]
        found = average(name, samples, FACTS)
        values[run], errors[run] = found.value, found.error
    level = 0.6826894921370859
    spread = stats.norm.isf(5e-5) * np.sqrt(level * (1 - level) / runs)
    allowed = spread + (0.03 if name != "energy_per_site" else 0.0)
    covered = float(np.mean(np.abs(values - truth) < errors))
    assert abs(covered - level) < allowed
    assert abs(np.mean(np.abs(values - truth) < 0.85 * errors) - level) > spread
