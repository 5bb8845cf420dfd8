"""Error bars are tested like means: many series with known truth, and how often the interval covers it.

False-alarm rates: every statistical limit is 4 standard deviations of what is counted (6e-5 two-sided), on
top of the systematic deviation from 68.27 % and 95 % that `statistics` documents. Seeds are fixed.
"""

from collections.abc import Callable
from itertools import pairwise
from math import erf, inf, isnan, nan, sqrt

import numpy as np
import pytest
from scipy import stats
from scipy.signal import lfilter

from ising_mc import statistics
from ising_mc.statistics import (
    Agreement,
    Estimate,
    autocorrelation,
    compare_halves,
    compare_replicas,
    format_value,
    jackknife,
    mean,
)

ONE_SIGMA = erf(1 / sqrt(2))
SIGMAS = 4.0  # two-sided 6e-5


def ar1(rng: np.random.Generator, a: float, replicas: int, n: int) -> np.ndarray:
    """Stationary x' = a x + noise of unit variance and mean 0; tau_int = (1+a)/(2(1-a))."""
    noise = rng.standard_normal((replicas, n))
    noise[:, 1:] *= sqrt(1 - a * a)
    return lfilter([1.0], [1.0, -a], noise, axis=1)


def tau_of(a: float) -> float:
    return (1 + a) / (2 * (1 - a))


def limit(p: float, count: int) -> float:
    return SIGMAS * sqrt(p * (1 - p) / count)


def coverages(estimates: list[Estimate], truth: float) -> tuple[float, float]:
    one_sigma = np.mean([abs(e.value - truth) <= e.error for e in estimates])
    ends = [e.interval(0.95) for e in estimates]
    return float(one_sigma), float(np.mean([low <= truth <= high for low, high in ends]))


def covers(estimates: list[Estimate], truth: float, allowance: float) -> bool:
    one_sigma, two_sigma = coverages(estimates, truth)
    count = len(estimates)
    return (
        abs(one_sigma - ONE_SIGMA) < allowance + limit(ONE_SIGMA, count)
        and abs(two_sigma - 0.95) < allowance + limit(0.95, count)
    )  # fmt: skip


def naive(x: np.ndarray) -> Estimate:
    """Ignores autocorrelation: the error that an honest one is confused with most."""
    return Estimate(float(x.mean()), float(x.std()) / sqrt(x.size), 0.5, 0.0, x.size - 1.0, True)


CASES = [  # a, replicas, sweeps in tau, series
    (0.0, 1, 200, 2000),
    (0.0, 8, 50, 2000),
    (0.5, 1, 50, 2000),
    (0.5, 16, 5, 2000),
    (0.9, 1, 50, 2000),
    (0.9, 1, 200, 2000),
    (0.9, 1, 1000, 1000),
    (0.9, 4, 50, 2000),
    (0.9, 8, 1, 2000),
    (0.9, 8, 5, 2000),
    (0.9, 16, 50, 1000),
    (0.9, 64, 1, 2000),
    (0.9, 64, 5, 2000),
    (0.95, 1, 50, 2000),
    (0.95, 64, 5, 1000),
]


@pytest.mark.parametrize(("a", "replicas", "length", "count"), CASES)
def test_error_of_the_mean_covers_the_truth(a: float, replicas: int, length: int, count: int) -> None:
    rng = np.random.default_rng(7)
    n = round(length * tau_of(a))
    estimates = [mean(ar1(rng, a, replicas, n)) for _ in range(count)]
    told = [e for e in estimates if e.reliable]
    assert len(told) > 0.9 * count
    assert covers(told, 0.0, allowance=0.02)


@pytest.mark.parametrize(("replicas", "n"), [(1, 475), (64, 47)])
def test_the_same_check_refuses_a_naive_error(replicas: int, n: int) -> None:
    rng = np.random.default_rng(8)
    estimates = [naive(ar1(rng, 0.9, replicas, n)) for _ in range(1000)]
    assert not covers(estimates, 0.0, allowance=0.02)
    assert coverages(estimates, 0.0)[0] < 0.3


def test_a_hidden_slow_mode_is_seen_by_the_replicas() -> None:
    """A fifth of the variance relaxes 30 times as slowly: the automatic window alone covers 91 to 93 %."""
    rng = np.random.default_rng(9)
    series = (sqrt(0.8) * ar1(rng, 0.5, 64, 500) + sqrt(0.2) * ar1(rng, 0.98, 64, 500) for _ in range(1000))
    assert covers([mean(x) for x in series], 0.0, allowance=0.01)


@pytest.mark.parametrize("a", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("replicas", [1, 16])
def test_tau_int_is_right(a: float, replicas: int) -> None:
    """Bias below 4 % at 4000 values or 4000 tau, and the quoted error is the scatter to within a factor."""
    rng = np.random.default_rng(10)
    n = round(4000 * max(tau_of(a), 1.0) / replicas)
    estimates = [mean(ar1(rng, a, replicas, n)) for _ in range(300)]
    tau = np.array([e.tau_int for e in estimates])
    assert abs(tau.mean() / tau_of(a) - 1) < 0.04 + SIGMAS * tau.std() / tau_of(a) / sqrt(len(tau))
    quoted = np.mean([e.tau_int_error for e in estimates])
    assert 0.4 < tau.std() / quoted < 1.4


def test_anticorrelated_series_are_never_too_optimistic() -> None:
    rng = np.random.default_rng(11)
    estimates = [mean(ar1(rng, -0.5, 1, 500)) for _ in range(1000)]
    one_sigma, two_sigma = coverages(estimates, 0.0)
    assert one_sigma > ONE_SIGMA - 0.02 - limit(ONE_SIGMA, 1000)
    assert two_sigma > 0.95 - 0.02 - limit(0.95, 1000)
    assert 0 < np.mean([e.tau_int for e in estimates]) < 0.5


def variance(x: np.ndarray) -> Estimate:
    return jackknife(lambda m, q: q - m * m, x, x * x)


def susceptibility(x: np.ndarray) -> Estimate:
    return jackknife(lambda m, q: q - m * m, np.abs(x), x * x)


def binder(x: np.ndarray) -> Estimate:
    return jackknife(lambda q, f: 1 - f / (3 * q * q), x**2, x**4)


@pytest.mark.parametrize(
    ("estimator", "truth", "replicas", "n", "allowance"),
    [
        (variance, 1.0, 1, 9500, 0.02),
        (variance, 1.0, 16, 475, 0.02),
        (variance, 1.0, 64, 47, 0.03),
        (susceptibility, 1 - 2 / np.pi, 16, 475, 0.02),
        (binder, 0.0, 64, 475, 0.03),
    ],
)
def test_jackknife_covers_the_truth(
    estimator: Callable[[np.ndarray], Estimate], truth: float, replicas: int, n: int, allowance: float
) -> None:
    rng = np.random.default_rng(12)
    estimates = [estimator(ar1(rng, 0.9, replicas, n)) for _ in range(600)]
    assert covers(estimates, truth, allowance)


def test_jackknife_removes_the_bias() -> None:
    """The plug-in variance of 16 replicas of 2 tau is too low beyond the limit, the corrected one is not."""
    rng = np.random.default_rng(13)
    series = [ar1(rng, 0.9, 16, 19) for _ in range(2000)]
    corrected = np.array([variance(x).value for x in series])
    plain = np.array([x.var() for x in series])
    error = plain.std() / sqrt(len(plain))
    assert abs(corrected.mean() - 1) < SIGMAS * error
    assert plain.mean() - 1 < -SIGMAS * error


def test_jackknife_of_the_identity_is_the_mean() -> None:
    x = ar1(np.random.default_rng(14), 0.8, 4, 1000)
    linear, direct = jackknife(lambda m: 3 * m, x), mean(3 * x)
    assert linear.value == pytest.approx(direct.value)
    assert linear.tau_int == pytest.approx(direct.tau_int)
    # The degrees of freedom differ by the asymmetry of the blocks, and with them Student's factor.
    assert linear.error == pytest.approx(direct.error, rel=0.05)


def test_few_values_cannot_tell() -> None:
    rng = np.random.default_rng(15)
    for shape in [(1, 1), (1, 16), (4, 2), (7, 4)]:
        unknown = mean(rng.standard_normal(shape))
        assert not unknown.reliable
        assert isnan(unknown.error)
        assert isnan(unknown.tau_int)
        assert all(isnan(end) for end in unknown.interval())


def test_one_replica_of_a_few_tau_says_that_it_cannot_tell() -> None:
    """Measured on 20000: 6.6 % of the series of 5 tau are taken for longer ones, 17.7 % of 10 tau."""
    rng = np.random.default_rng(16)
    for n, most in [(47, 0.07), (95, 0.185)]:
        told = [mean(ar1(rng, 0.9, 1, n)).reliable for _ in range(1000)]
        assert np.mean(told) < most + limit(most, 1000)


@pytest.mark.parametrize("value", [0.1, -2.0, 0.0])
def test_what_never_changed_has_no_known_error(value: float) -> None:
    constant = np.full((64, 500), value)
    for unknown in (mean(constant), jackknife(lambda m, q: q - m * m, constant, constant**2)):
        assert not unknown.reliable
        assert isnan(unknown.error)
        assert isnan(unknown.tau_int)
    assert mean(constant).value == pytest.approx(value)
    assert np.isnan(autocorrelation(constant)).all()
    assert isnan(compare_halves(constant, constant).p_value)


def test_frozen_replicas_count_as_one_value_each() -> None:
    levels = np.random.default_rng(17).standard_normal(16)
    frozen = mean(np.repeat(levels[:, None], 1000, axis=1))
    error = levels.std(ddof=1) / 4 * stats.t.ppf((1 + ONE_SIGMA) / 2, 15)
    assert frozen.error == pytest.approx(error)
    assert frozen.degrees_of_freedom == pytest.approx(15)
    assert isnan(frozen.tau_int)


def test_replicas_and_sweeps_combine() -> None:
    """The error of 16 replicas is that of one 16 times as long, on average."""
    rng = np.random.default_rng(18)
    many = np.array([mean(ar1(rng, 0.9, 16, 500)).error for _ in range(200)])
    one = np.array([mean(ar1(rng, 0.9, 1, 8000)).error for _ in range(200)])
    scatter = sqrt((many.var() + one.var()) / 200)
    assert abs(many.mean() - one.mean()) < 0.02 * one.mean() + SIGMAS * scatter


def test_results_do_not_depend_on_origin_and_scale() -> None:
    x = ar1(np.random.default_rng(19), 0.7, 2, 2000)
    base, moved = mean(x), mean(1e6 - 1000 * x)
    assert moved.error == pytest.approx(1000 * base.error, rel=1e-6)
    assert moved.tau_int == pytest.approx(base.tau_int, rel=1e-6)


def test_autocorrelation_is_the_plain_sum() -> None:
    x = ar1(np.random.default_rng(20), 0.5, 3, 40)
    d = x - x.mean()
    direct = np.array([np.mean(d[:, : 40 - t] * d[:, t:]) for t in range(40)])
    np.testing.assert_allclose(autocorrelation(x), direct / direct[0], atol=1e-12)


@pytest.mark.parametrize(("replicas", "n"), [(32, 19), (8, 95), (1, 1900)])
def test_equal_means_give_uniform_p_values(replicas: int, n: int) -> None:
    rng = np.random.default_rng(21)
    p = [compare_halves(ar1(rng, 0.9, replicas, n), ar1(rng, 0.9, replicas, n)).p_value for _ in range(1000)]
    # The Kolmogorov distance of 1000 uniform numbers exceeds 0.071 with probability 1e-4; 0.02 is allowance.
    assert stats.kstest(p, "uniform").statistic < 0.071 + 0.02


def test_a_shift_is_detected() -> None:
    rng = np.random.default_rng(22)
    x, y = ar1(rng, 0.9, 32, 500), ar1(rng, 0.9, 32, 500)
    shift = 12 * mean(x).error
    verdict = compare_halves(x, y + shift)
    assert verdict.p_value < 1e-4  # 8.5 standard errors: missed with probability 1e-5
    assert verdict.z < 0
    assert compare_halves(y + shift, x).z == pytest.approx(-verdict.z)


def test_a_frozen_half_is_compared_by_the_error_of_the_other() -> None:
    y = ar1(np.random.default_rng(23), 0.5, 32, 200)
    assert compare_halves(np.full((32, 200), 5.0), y).p_value < 1e-6
    verdict = compare_halves(np.full((32, 200), mean(y).value), y)
    assert verdict == Agreement(pytest.approx(0, abs=1e-9), pytest.approx(1))


def test_a_function_outside_its_domain_gives_nan() -> None:
    x = np.random.default_rng(24).standard_normal((8, 100)) - 10
    unknown = jackknife(np.sqrt, x)
    assert isnan(unknown.value)
    assert not unknown.reliable


@pytest.mark.parametrize("bad", [[1.0, 2.0], [[]], [[1.0, nan]], [[1.0, inf]], np.zeros((2, 2, 2))])
def test_bad_series_are_refused(bad: object) -> None:
    for call in (mean, autocorrelation, lambda x: jackknife(np.exp, x), lambda x: compare_halves(x, x)):
        with pytest.raises(ValueError, match="a series must"):
            call(bad)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="common shape"):
        jackknife(lambda a, b: a / b, np.ones((2, 3)), np.ones((3, 2)))
    with pytest.raises(ValueError, match="level"):
        mean(np.ones((2, 3))).interval(95)


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (-1.419023, 7e-5, "-1.41902(7)"),
        (0.12341, 0.0015, "0.1234(15)"),
        (0.12341, 0.002, "0.123(2)"),
        (0.5, 0.096, "0.50(10)"),
        (1234.5, 1.2, "1234.5(1.2)"),
        (123.4, 5, "123(5)"),
        (1234.0, 150, "1230(150)"),
        (1234.0, 500, "1200(500)"),
        (0.0, 0.001, "0.0000(10)"),
        (1.23e-7, 4e-9, "1.23(4)e-07"),
        (0.1234, nan, "0.1234(?)"),
        (0.1234, inf, "0.1234(?)"),
        (nan, 0.1, "nan"),
        (2.0, 0.0, "2(0)"),
    ],
)
def test_format_value(value: float, error: float, text: str) -> None:
    assert format_value(value, error) == text


@pytest.mark.parametrize("value", [-3.3, 0.1, 123456789.1, 7.0, 0.0])
def test_frozen_replicas_are_not_told_apart_by_rounding(value: float) -> None:
    frozen = np.full((64, 1000), value)
    assert np.isnan(compare_replicas(frozen).p_value)
    frozen[5] += abs(value) + 1e-3  # one that is frozen elsewhere
    assert compare_replicas(frozen).p_value == 0.0


def test_read_only_series_may_stand_beside_others() -> None:
    x = np.random.default_rng(5).standard_normal((8, 100))
    fixed = x.copy()
    fixed.setflags(write=False)
    assert jackknife(lambda a, b: b - a**2, fixed, x * x) == jackknife(lambda a, b: b - a**2, x, x * x)
    assert mean(fixed) == mean(x)


def test_the_mean_of_a_long_constant_series_is_its_value() -> None:
    assert mean(np.full((1, 10**6), 0.1)).value == 0.1


def plain_products(d: np.ndarray, lags: int) -> np.ndarray:
    return np.array([(d[:, : d.shape[1] - t] * d[:, t:]).sum() for t in range(lags)])


@pytest.mark.parametrize(
    ("replicas", "n", "lags"), [(1, 100, 7), (16, 33, 33), (17, 257, 64), (33, 5000, 100), (2, 5, 1), (33, 3000, 300)]
)
def test_products_of_lags_are_plain_sums(replicas: int, n: int, lags: int) -> None:
    """Few of them, more beside those that are known, and many by spectra; of one series and of two."""
    x, y = 1e3 * np.random.default_rng(1).standard_normal((2, replicas, n)).cumsum(axis=2)
    x, y = statistics._checked(x), statistics._checked(y)
    d, e = x.values - x.centre, y.values - y.centre
    for series, slopes, sum_of_them in (([x], None, d), ([x, y], [-2.0, 0.5], 0.5 * e - 2 * d)):
        deviations, plain = statistics._Deviations(series, slopes), plain_products(sum_of_them, lags)
        assert deviations.replica_sums == pytest.approx(sum_of_them.sum(axis=1), abs=1e-9 * np.abs(d).sum())
        some = deviations.products(np.zeros(0), min(lags, 16))
        for found in (some, deviations.products(some, lags)):
            assert np.abs(found - plain[: len(found)]).max() < 1e-5 * plain[0]
            assert found[0] == pytest.approx(plain[0], rel=1e-12)
        assert len(found) == lags
        edges = np.array([0, 1, n // 2, n])
        blocks = np.stack([sum_of_them[:, i:j].sum(axis=1) for i, j in pairwise(edges)], axis=1)
        assert deviations.sums(edges)[0] == pytest.approx(blocks, abs=1e-9 * np.abs(d).sum())


def test_few_lags_give_what_all_lags_give(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fast series close their window within the lags that are tried first, slow ones do not; the result is the same."""
    rng, reaches = np.random.default_rng(2), set()
    products = statistics._Deviations.products

    def noted(own: statistics._Deviations, known: np.ndarray, lags: int) -> np.ndarray:
        reaches.add(lags)
        return products(own, known, lags)

    def plain(own: statistics._Deviations, known: np.ndarray, lags: int) -> np.ndarray:
        return plain_products(own.values[0] - own.centres[0], lags)

    for tau in (0.6, 5.0, 20.0, 150.0):
        a = np.exp(-1 / tau)
        for replicas in (1, 4, 12, 64):
            x = lfilter([1], [1, -a], rng.standard_normal((replicas, 3000)), axis=1)[:, 1000:]
            found = []
            for way in (noted, plain):
                with monkeypatch.context() as patch:
                    patch.setattr(statistics._Deviations, "products", way)
                    found.append(mean(x))
            for name in ("value", "error", "tau_int", "degrees_of_freedom"):
                assert getattr(found[0], name) == pytest.approx(getattr(found[1], name), rel=1e-4, nan_ok=True)
    assert {16, 48, 128, 250, 2000} <= reaches


@pytest.mark.parametrize("size", [1e-300, 1e-140, 1e140])
def test_series_of_any_size(size: float) -> None:
    x = np.random.default_rng(3).standard_normal((8, 500))
    own = mean(size * x)
    assert own.value == pytest.approx(size * mean(x).value)
    assert isnan(own.error) or own.error == pytest.approx(size * mean(x).error, rel=1e-4)
    assert np.allclose(autocorrelation(size * x), autocorrelation(x)) or np.isnan(autocorrelation(size * x)).all()
