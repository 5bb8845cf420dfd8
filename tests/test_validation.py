"""Physics of the samplers, through the checks of `validation`; deliberately wrong samplers must fail the same checks.

False-alarm rates: 1e-5 for each one-sweep check, 1e-3 for each run against Kaufman (the two ends of the 99.9 %
interval of chi-square), 1e-4 for each run in a field and for the rest. Seeds are fixed.
"""

from itertools import product
from math import isnan, nan

import numpy as np
import pytest
from scipy import stats
from twins import PlainSampler

from ising_mc import validation
from ising_mc.kernels.square import half_row
from ising_mc.square import Model, ReplicaSampler, Square
from ising_mc.statistics import Estimate
from ising_mc.validation import (
    CERTAIN,
    FIELD_LEVEL,
    FIELD_MODELS,
    FIELD_PLAN,
    KAUFMAN_LEVEL,
    LARGE_POINT,
    ONE_SWEEP_LEVEL,
    POINTS,
    SITE_TEMPERATURES,
    TEMPERATURES,
    UPDATES,
    Plan,
    Point,
    check_one_sweep,
    combined_p_value,
    deviation,
    field_deviations,
    kaufman_deviations,
    one_sweep,
    pooled_chi_square,
    sum_of_squares,
)
from ising_mc.words import State

LANES = 1 << 18
CRITICAL = Point(4, 4, 1.0, 0.0, 2.269)
IN_FIELD = Point(3, 3, 1.0, 0.25, 2.5)


def name_of(point: Point) -> str:
    return f"{point.rows}x{point.columns},J={point.J:g},h={point.h:g},T={point.T:g}"


# --- one sweep from the enumerated distribution -----------------------------------------------------------------


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("point", [*POINTS, LARGE_POINT], ids=name_of)
def test_one_sweep_keeps_the_boltzmann_distribution(point: Point, update: str) -> None:
    check = check_one_sweep(point, update, LANES)
    assert check.passed, check


def test_points_cover_what_the_kernels_tell_apart() -> None:
    assert {(p.rows % 2, p.columns % 2) for p in POINTS} == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert {(np.sign(p.J), np.sign(p.h)) for p in POINTS} == {(j, h) for j in (-1, 1) for h in (-1, 0, 1)} - {
        (-1, -1)
    } | {(-1, -1)}
    assert any(abs(p.h) > 4 * abs(p.J) for p in POINTS)  # the field alone decides which way costs energy
    assert any(p.h == 2 * abs(p.J) for p in POINTS)  # moves at no cost, in a field


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("point", [CRITICAL, IN_FIELD, Point(3, 5, 1.0, -0.2, 3.0)], ids=name_of)
def test_beta_three_percent_off_is_noticed(point: Point, update: str) -> None:
    for beta_error in (1.03, 1 / 1.03):
        check = check_one_sweep(point, update, LANES, beta_error=beta_error)
        assert check.passed, check
        assert check.p_value < CERTAIN


@pytest.mark.parametrize("update", UPDATES)
def test_wrong_couplings_are_noticed(update: str) -> None:
    for wrong in (
        Point(3, 3, 1.0, -0.25, 2.5),  # sign of the field
        Point(3, 3, 1.0, 0.0, 2.5),  # no field
        Point(3, 3, -1.0, 0.25, 2.5),  # sign of J
    ):
        assert combined_p_value(one_sweep(wrong.sampler(update, 1), IN_FIELD, LANES, 1)) < CERTAIN


class StaleEdges(ReplicaSampler):
    """Forgets to renew the copies at the edges when it takes new spins."""

    def set_spins(self, words: np.ndarray) -> None:
        old = self.spins.copy()
        super().set_spins(words)
        rows, columns = self.geometry[:2]
        for row, parity in product((-1, rows), range(2)):
            start = half_row(self.geometry, row, parity)
            self.spins[start : start + columns // 2] = old[start : start + columns // 2]


@pytest.mark.parametrize("update", UPDATES)
def test_stale_edges_are_noticed(update: str) -> None:
    sampler = StaleEdges(CRITICAL.lattice, CRITICAL.model, CRITICAL.T, update)
    sampler.restore(CRITICAL.sampler(update, 1).state())
    assert combined_p_value(one_sweep(sampler, CRITICAL, LANES, 1)) < CERTAIN


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("mistake", ["none", "shared", "stale"])
def test_plain_sampler_and_its_mistakes(mistake: str, update: str) -> None:
    """A right sampler that shares nothing with the kernels passes; one random number for 64 replicas, or updates of
    neighbours at the same time, do not."""
    sampler = PlainSampler(
        1, 4, 4, CRITICAL.model, CRITICAL.T, update, seed=5, shared=mistake == "shared", stale=mistake == "stale"
    )
    p = combined_p_value(one_sweep(sampler, CRITICAL, 1 << 16, 1))
    if mistake == "none":
        assert p > ONE_SWEEP_LEVEL
    else:
        assert p < CERTAIN


def test_one_lane_of_random_bits_stuck_is_noticed() -> None:
    """Generators that all start alike give each site of a block the same bits: wrong, though each bit is fair."""
    sampler = CRITICAL.sampler("heat_bath", 1)
    state = sampler.state()
    random = state.random.copy().reshape(1, 2, -1)
    random[:] = random[:, :, :1]
    sampler.restore(State(state.spins, random.reshape(1, -1)))
    assert combined_p_value(one_sweep(sampler, CRITICAL, LANES, 1)) < CERTAIN


# --- the statistics of the checks -------------------------------------------------------------------------------


def test_pooled_chi_square_has_its_false_alarm_rate() -> None:
    """p-values of true distributions, with many rare classes, are uniform (Kolmogorov, Smirnov: 1e-4)."""
    rng = np.random.default_rng(8)
    probabilities = rng.dirichlet(np.full(300, 0.3))
    p_values = [
        pooled_chi_square(rng.multinomial(20_000, probabilities), 20_000 * probabilities).p_value for _ in range(2000)
    ]
    assert stats.kstest(p_values, "uniform").pvalue > 1e-4


def test_pooled_chi_square_by_hand() -> None:
    both = pooled_chi_square(np.array([60, 40]), np.array([50.0, 50.0]))
    assert (both.statistic, both.degrees_of_freedom) == (4.0, 1)
    assert both.p_value == pytest.approx(0.0455, abs=1e-4)
    joined = pooled_chi_square(np.array([60, 35, 3, 2]), np.array([50.0, 45.0, 4.0, 1.0]))
    assert (joined.statistic, joined.degrees_of_freedom) == (4.0, 1)
    rest = pooled_chi_square(np.array([100, 10, 20]), np.array([100.0, 20.0, 10.0]))
    assert (rest.statistic, rest.degrees_of_freedom) == (0.0, 1)
    assert pooled_chi_square(np.array([50, 49, 1]), np.array([50.0, 50.0, 0.0])).p_value == 0
    with pytest.raises(ValueError, match="two classes"):
        pooled_chi_square(np.array([100, 1]), np.array([100.0, 1.0]))


def test_deviation_is_gaussian() -> None:
    assert deviation(Estimate(1.2, 0.1, 0.5, 0.1, 1e9, True), 1.0) == pytest.approx(2.0, abs=1e-6)
    assert deviation(Estimate(0.9, 0.1, 0.5, 0.1, 3.0, True), 1.0) == pytest.approx(-1.0)
    few = deviation(Estimate(1.5, 0.1, 0.5, 0.1, 3.0, True), 1.0)
    t = 5 * stats.t.isf(stats.norm.sf(1.0), 3)
    assert stats.norm.sf(few) == pytest.approx(stats.t.sf(t, 3))
    assert isnan(deviation(Estimate(1.0, nan, nan, nan, nan, False), 1.0))


def test_sum_of_squares_is_two_sided() -> None:
    assert sum_of_squares([1.0] * 10).p_value > 0.5
    assert sum_of_squares([0.1] * 10).p_value < 1e-5  # error bars ten times too large
    assert sum_of_squares([3.0] * 10).p_value < 1e-5
    assert not validation.check_deviations("unknown error", [1.0, nan], 1e-3).passed


# --- long runs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize(
    ("size", "plan", "temperatures"),
    [
        ((8, 8), Plan(1, 2000, 15000), TEMPERATURES),
        ((17, 17), Plan(1, 3000, 15000), TEMPERATURES),
        ((32, 32), Plan(1, 4000, 15000), TEMPERATURES),
        ((12, 9), Plan(1, 2000, 10000), TEMPERATURES),
        ((128, 128), Plan(16, 3000, 8000), SITE_TEMPERATURES),
        ((256, 128), Plan(10, 3000, 4000), SITE_TEMPERATURES),
    ],
    ids=lambda value: "x".join(map(str, value)) if isinstance(value, tuple) and len(value) == 2 else "",
)
def test_energy_and_specific_heat_are_kaufmans(
    size: tuple[int, int], plan: Plan, temperatures: tuple[float, ...], update: str
) -> None:
    energies, heats = kaufman_deviations(Square(*size), update, plan, temperatures)
    for deviations in (energies, heats):
        assert sum_of_squares(deviations).p_value > KAUFMAN_LEVEL, np.round(deviations, 2)


@pytest.mark.parametrize(("size", "words"), [((17, 17), 1), ((128, 128), 12)], ids=str)
def test_long_runs_notice_a_wrong_beta(size: tuple[int, int], words: int) -> None:
    """One percent off for the energy, five for the specific heat, where errors are larger."""
    plan = Plan(words, 2000, 5000)
    energies, _ = kaufman_deviations(Square(*size), "heat_bath", plan, SITE_TEMPERATURES, beta_error=1.01)
    _, heats = kaufman_deviations(Square(*size), "heat_bath", plan, SITE_TEMPERATURES, beta_error=1.05)
    assert sum_of_squares(energies).p_value < CERTAIN
    assert sum_of_squares(heats).p_value < CERTAIN


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("model", FIELD_MODELS, ids=str)
def test_energy_and_magnetization_in_a_field(model: Model, update: str) -> None:
    energies, magnetizations = field_deviations(model, update, FIELD_PLAN)
    for deviations in (energies, magnetizations):
        assert sum_of_squares(deviations).p_value > FIELD_LEVEL, np.round(deviations, 2)


# --- all together -----------------------------------------------------------------------------------------------


def test_quick_checks_all_pass_and_have_names_of_their_own() -> None:
    done = list(validation.checks(quick=True))
    assert [check for check in done if not check.passed] == []
    assert len({check.name for check in done}) == len(done) > 40
    assert all(check.limit for check in done)


def test_counter_check_notices_a_wrong_model() -> None:
    lattice, model = Square(4, 6), Model(1.0, 0.5)
    sampler = ReplicaSampler(lattice, model, 2.0, "metropolis")
    assert validation.check_counters(sampler, lattice, model).passed
    assert not validation.check_counters(
        ReplicaSampler(lattice, Model(-1.0, 0.5), 2.0, "metropolis"), lattice, model
    ).passed
