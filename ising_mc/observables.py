"""From time series to results: every quantity with its definition, error and autocorrelation time."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import nan

import numpy as np
from numpy.typing import NDArray

from ising_mc import statistics
from ising_mc.statistics import Estimate

Series = NDArray[np.float64]


@dataclass(frozen=True)
class Quantity:
    """What a data set means: attributes of the result file, titles of tables and plots."""

    units: str
    long_name: str
    definition: str
    symbol: str


# H: total energy; M: total magnetization; e = H/N, m = M/N; <...>: average over sweeps and replicas
QUANTITIES = {
    "energy_per_site": Quantity("J", "energy per site", "<H>/N", "e"),
    "magnetization_per_site": Quantity("1", "magnetization per site", "<M>/N", "m"),
    "abs_magnetization_per_site": Quantity("1", "absolute magnetization per site", "<|M|>/N", "|m|"),
    "specific_heat": Quantity("k_B", "specific heat per site", "N (<e^2> - <e>^2) / T^2", "C"),
    "susceptibility": Quantity("1/J", "susceptibility per site", "N (<m^2> - <|m|>^2) / T", "chi"),
    "susceptibility_symmetric": Quantity(
        "1/J", "susceptibility per site, taking <m> = 0", "N <m^2> / T (without a field)", "chi_s"
    ),
    "binder_cumulant": Quantity("1", "Binder cumulant", "1 - <m^4> / (3 <m^2>^2)", "U4"),
}
TIME_SERIES = {
    "energy": Quantity("J", "total energy", "H = - sum_<ij> J_ij s_i s_j - mu sum_i B_i s_i", "H"),
    "magnetization": Quantity("1", "total magnetization", "M = sum_i s_i", "M"),
    "specific_heat": Quantity(
        "k_B",
        "specific heat per site of one block of sweeps of one replica",
        "(<H^2> - <H>^2) / (N T^2) within the block; low by about 2 tau_int / block length",
        "C",
    ),
}
EQUILIBRATED = 1e-4  # p-value below which a point counts as not equilibrated
YES, NO, UNKNOWN = 1, 0, -1
BLOCKS = 20


@dataclass(frozen=True)
class PointResults:
    """Results of one system at one temperature: estimates, the verdict on equilibration and its p-value."""

    estimates: dict[str, Estimate]
    equilibrated: int
    p_value: float


def analyse(
    energy: Series, magnetization: Series, n_sites: int, temperature: float, mixed: bool, field: bool = False
) -> PointResults:
    """Results of one point from its time series, (replica, measurement) each.

    tau_int comes in units of the sampling interval.  `mixed`: even replicas started up, odd ones at random;
    `field`: there is one, so that <m> is not 0 by symmetry.
    """
    e, m = energy / n_sites, magnetization / n_sites
    absolute, square = np.abs(m), m * m
    N, T = n_sites, temperature
    estimates = {
        "energy_per_site": statistics.mean(e),
        "magnetization_per_site": statistics.mean(m) if field else _unless_frozen(statistics.mean(m), m),
        "abs_magnetization_per_site": statistics.mean(absolute),
        "specific_heat": _derived(lambda e1, e2: N * (e2 - e1**2) / T**2, e - e.mean(), (e - e.mean()) ** 2),
        "susceptibility": _derived(lambda a, m2: N * (m2 - a**2) / T, absolute, square),
        "binder_cumulant": _derived(lambda m2, m4: 1 - m4 / (3 * m2**2), square, square * square),
    }
    if not field:
        estimates["susceptibility_symmetric"] = statistics.mean(square * (N / T))
    return PointResults(estimates, *_verdict(e, absolute, mixed))


def _unless_frozen(estimate: Estimate, m: Series) -> Estimate:
    """No error where replicas of both signs never turn over: the mean then remembers how many started in which."""
    up, down = (m > 0).all(axis=1), (m < 0).all(axis=1)
    frozen = up.any() and down.any() and np.mean(up | down) > 0.5
    return replace(estimate, error=nan, tau_int=nan, reliable=False) if frozen else estimate


def _derived(function: Callable[..., Series], *series: Series) -> Estimate:
    """The jackknife, where all is defined; a series stuck at zero magnetization has no Binder cumulant."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return statistics.jackknife(function, *series)


def _verdict(e: Series, absolute: Series, mixed: bool) -> tuple[int, float]:
    """Whether a point is equilibrated, and the smallest p-value of the tests, times their number.

    Two questions, each asked of energy and |m|: do replicas that started up and at random agree, and does no replica
    differ from the others by more than it varies itself, as one caught in a stripe state does?  Where the first
    cannot be answered (one start only, too short a series) the verdict can only be no, or unknown.
    """
    replicas = [statistics.compare_replicas(x).p_value for x in (e, absolute)]
    halves = [statistics.compare_halves(x[0::2], x[1::2]).p_value for x in (e, absolute) if mixed and len(e) > 1]
    known = [p for p in (*replicas, *halves) if not np.isnan(p)]
    if not known:
        return UNKNOWN, float("nan")
    p = min(1.0, len(known) * min(known))
    if p < EQUILIBRATED:
        return NO, p
    return (UNKNOWN if np.isnan(halves).all() else YES), p


def block_length(records: int) -> int:
    """Measurements in a block of the running specific heat: a twentieth of the run, at least two."""
    return min(records, max(2, -(-records // BLOCKS)))


def running_specific_heat(energy: Series, n_sites: int, temperature: float) -> Series:
    """Specific heat per site of each block of each replica, (replica, block); a last, shorter block is left out."""
    length = block_length(energy.shape[1])
    blocks = energy.shape[1] // length
    parts = energy[:, : blocks * length].reshape(len(energy), blocks, length)
    heat: Series = parts.var(axis=2) / (n_sites * temperature**2)
    return heat
