"""From time series to results: every quantity with its definition, error and autocorrelation time."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ising_mc import statistics
from ising_mc.statistics import Estimate, TimeSeries

Series = NDArray[np.float64]


@dataclass(frozen=True)
class Quantity:
    """What a data set means: attributes of the result file, titles of tables and plots."""

    units: str
    long_name: str
    definition: str
    symbol: str


OF_MACHINES = {  # N: all units, clamped ones included, as in E
    "energy_per_unit": Quantity("J", "energy per unit", "<E>/N, N: all units", "e"),
    "activity_per_unit": Quantity("1", "activity per unit", "<sum of the values of all units>/N", "a"),
    "log_z": Quantity("1", "logarithm of the partition sum", "log sum over states of exp(-E/T)", "log Z"),
}
MOST_AXES = 8  # of a hypercubic lattice
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
BASIC = tuple(QUANTITIES)  # of every system
QUANTITIES |= OF_MACHINES
QUANTITIES |= {
    "magnetization_squared": Quantity("1", "second moment of the magnetization", "<m^2>", "m2"),
    "magnetization_fourth": Quantity("1", "fourth moment of the magnetization", "<m^4>", "m4"),
    "abs_staggered_magnetization_per_site": Quantity(
        "1", "absolute staggered magnetization per site", "<|M_s|>/N, M_s = sum over one sublattice - the other", "|ms|"
    ),
    "staggered_susceptibility": Quantity(
        "1/J", "staggered susceptibility per site", "N (<m_s^2> - <|m_s|>^2) / T", "chi_st"
    ),
    "staggered_binder_cumulant": Quantity(
        "1", "Binder cumulant of the staggered magnetization", "1 - <m_s^4> / (3 <m_s^2>^2)", "U4_st"
    ),
    "abs_overlap": Quantity("1", "absolute overlap of two replicas", "<|q|>, q = sum_i s_i^a s_i^b / N", "|q|"),
    "overlap_squared": Quantity("1", "second moment of the overlap", "<q^2>", "q2"),
    "overlap_fourth": Quantity("1", "fourth moment of the overlap", "<q^4>", "q4"),
    "overlap_binder_ratio": Quantity("1", "Binder ratio of the overlap", "(3 - <q^4>/<q^2>^2) / 2", "g"),
    "link_overlap": Quantity(
        "1", "link overlap of two replicas", "<q_l>, q_l = sum_bonds s_i^a s_j^a s_i^b s_j^b / bonds", "ql"
    ),
    "link_overlap_squared": Quantity("1", "second moment of the link overlap", "<q_l^2>", "ql2"),
    "link_overlap_binder_ratio": Quantity(
        "1", "Binder ratio of the link overlap about its mean", "(3 - <d^4>/<d^2>^2) / 2, d = q_l - <q_l>", "g_l"
    ),
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
    "staggered_magnetization": Quantity(
        "1", "total staggered magnetization", "sum of s_i over one sublattice minus that over the other", "M_s"
    ),
    "overlap": Quantity("1", "overlap of replicas 2k and 2k + 1", "sum_i s_i^a s_i^b", "Q"),
    "link_overlap": Quantity("1", "link overlap of replicas 2k and 2k + 1", "sum_bonds s_i^a s_j^a s_i^b s_j^b", "Q_l"),
}
# improved estimators: averages over all states that the open bonds allow (Wolff, Nucl. Phys. B 322, 759, 1989)
QUANTITIES |= {
    "magnetization_squared_improved": Quantity(
        "1", "second moment of the magnetization, from clusters", "<sum over clusters of M_C^2>/N^2", "m2"
    ),
    "susceptibility_symmetric_improved": Quantity(
        "1/J", "susceptibility per site, taking <m> = 0, from clusters", "<sum over clusters of M_C^2>/(N T)", "chi_s"
    ),
    "binder_cumulant_improved": Quantity(
        "1", "Binder cumulant, from clusters", "1 - <3 (sum M_C^2)^2 - 2 sum M_C^4> / (3 <sum M_C^2>^2)", "U4"
    ),
    "mean_cluster_size": Quantity("sites", "mean size of the cluster of a site", "<sum over clusters of n_C^2>/N", "S"),
    "largest_cluster_per_site": Quantity("1", "sites of the largest cluster per site", "<max n_C>/N", "n1"),
    "clusters_per_site": Quantity("1", "number of clusters per site", "<clusters>/N", "nc"),
}
TIME_SERIES |= {
    "improved_magnetization_squared": Quantity(
        "1", "M^2, averaged over all states that the open bonds allow", "sum over clusters of M_C^2", "M2"
    ),
    "improved_magnetization_fourth": Quantity(
        "1", "M^4, averaged over all states that the open bonds allow", "3 (sum M_C^2)^2 - 2 sum M_C^4 (no field)", "M4"
    ),
    "activity": Quantity("1", "activity", "sum of the values of all units", "A"),
    "cluster_size": Quantity("sites", "mean size of the cluster of a site", "sum over clusters of n_C^2/N", "S"),
    "largest_cluster": Quantity("sites", "sites of the largest cluster", "max n_C", "n1"),
    "clusters": Quantity("1", "number of clusters", "", "nc"),
}
for _axis in range(MOST_AXES):
    _where = f"along axis {_axis}"
    _wave = f"k = 2 pi / L_{_axis} {_where}"
    _sf, _bond = f"structure_factor_axis{_axis}", f"bond_energy_axis{_axis}"
    TIME_SERIES[_sf] = Quantity("1", f"structure factor, {_wave}", "|sum_i s_i exp(i k x_i)|^2 / N", f"S{_axis}")
    TIME_SERIES[_bond] = Quantity(
        "J", f"energy of the bonds of direction {_axis}", "- sum J_ij s_i s_j over these bonds", f"H{_axis}"
    )
    QUANTITIES[_sf] = Quantity("1", f"structure factor, {_wave}", "<|sum_i s_i exp(i k x_i)|^2> / N", f"S{_axis}")
    QUANTITIES[f"correlation_length_axis{_axis}"] = Quantity(
        "unit cells",
        f"second-moment correlation length {_where}",
        f"sqrt(<M^2> / (N S(k)) - 1) / (2 sin(k/2)), {_wave}",
        f"xi{_axis}",
    )
    TIME_SERIES[f"improved_{_sf}"] = Quantity(
        "1", f"structure factor, {_wave}, averaged over all states that the open bonds allow",
        "sum over clusters of |sum_i s_i exp(i k x_i)|^2 / N", f"S{_axis}",
    )  # fmt: skip
    QUANTITIES[f"{_sf}_improved"] = Quantity(
        "1",
        f"structure factor, {_wave}, from clusters",
        "<sum over clusters of |sum_i s_i exp(i k x_i)|^2>/N",
        f"S{_axis}",
    )
    QUANTITIES[f"correlation_length_axis{_axis}_improved"] = Quantity(
        "unit cells",
        f"second-moment correlation length {_where}, from clusters",
        f"sqrt(<sum M_C^2> / (N S(k)) - 1) / (2 sin(k/2)), {_wave}",
        f"xi{_axis}",
    )
    QUANTITIES[f"{_bond}_per_site"] = Quantity(
        "J", f"energy of the bonds of direction {_axis} per site", f"<H_{_axis}>/N", f"e{_axis}"
    )
NOTHING = 1e-12  # a structure factor that is only the rounding of 0, over S(0)
EQUILIBRATED = 1e-4  # p-value below which a point counts as not equilibrated
YES, NO, UNKNOWN = 1, 0, -1
BLOCKS = 20


@dataclass(frozen=True)
class PointResults:
    """Results of one system at one temperature: estimates, the verdict on equilibration and its p-value."""

    estimates: dict[str, Estimate]
    equilibrated: int
    p_value: float


@dataclass(frozen=True)
class Facts:
    """What the analysis needs to know of a system: sites, bonds, sides, and whether <m> = 0 by symmetry is not given.

    moments: whether moments of the magnetization are wanted for an average over disorder;  paired: whether replicas 2k
    and 2k + 1 depend on one another, so that only the means of such pairs are independent;  signed: whether the verdict
    asks for M, not |M|, to agree.
    """

    n_sites: int
    n_bonds: int
    size: tuple[int, ...] = ()
    field: bool = False
    moments: bool = False
    paired: bool = False
    signed: bool = False


def analyse(series: dict[str, NDArray[Any]], facts: Facts, temperature: float, mixed: bool) -> PointResults:
    """Results of one point from its time series, (replica, measurement) each, overlaps (pair, measurement).

    series: energy, magnetization and what else was observed;  mixed: even replicas (or pairs of them, where they are
    paired) started up, odd ones at random.  tau_int comes in units of the sampling interval.
    """
    N, T, field = facts.n_sites, temperature, facts.field
    mean, derived = statistics.mean, _derived
    e, m = series["energy"] / N, series["magnetization"] / N
    square = m * m
    energy, signed, absolute, second, fourth = (
        TimeSeries(_together(x, facts.paired)) for x in (e, m, np.abs(m), square, square * square)
    )
    d = e - energy.centre
    estimates = {
        "energy_per_site": mean(energy),
        "magnetization_per_site": mean(signed) if field else _unless_frozen(mean(signed), m),
        "abs_magnetization_per_site": mean(absolute),
        "specific_heat": derived(
            lambda e1, e2: N * (e2 - e1**2) / T**2, _together(d, facts.paired), _together(d * d, facts.paired)
        ),
        "susceptibility": derived(lambda a, m2: N * (m2 - a**2) / T, absolute, second),
        "binder_cumulant": derived(_cumulant, second, fourth),
    }
    if not field:
        estimates["susceptibility_symmetric"] = mean(second).times(N / T)
    if facts.moments:
        estimates["magnetization_squared"] = mean(second)
        estimates["magnetization_fourth"] = mean(fourth)
    others = {name: own.astype(float) for name, own in series.items() if name not in ("energy", "magnetization")}
    estimates |= _observed(others, facts, T, square)
    return PointResults(estimates, *_verdict(energy, signed if facts.signed else absolute, mixed))


def _observed(series: dict[str, Series], facts: Facts, T: float, square: Series) -> dict[str, Estimate]:
    """Results from what was observed beside energy and magnetization."""
    N = facts.n_sites
    mean, derived = _averages(facts.paired)
    found: dict[str, Estimate] = {}
    if "staggered_magnetization" in series:
        ms = np.abs(series["staggered_magnetization"]) / N
        found["abs_staggered_magnetization_per_site"] = mean(ms)
        found["staggered_susceptibility"] = derived(lambda a, m2: N * (m2 - a**2) / T, ms, ms**2)
        found["staggered_binder_cumulant"] = derived(_cumulant, ms**2, ms**4)
    for axis in range(MOST_AXES):
        if f"structure_factor_axis{axis}" in series:
            wave = series[f"structure_factor_axis{axis}"]
            found[f"structure_factor_axis{axis}"] = mean(wave)
            found[f"correlation_length_axis{axis}"] = derived(
                lambda s0, sk, L=facts.size[axis]: correlation_length(s0, sk, L), N * square, wave
            )
        if f"bond_energy_axis{axis}" in series:
            found[f"bond_energy_axis{axis}_per_site"] = mean(series[f"bond_energy_axis{axis}"] / N)
    found |= _from_clusters(series, facts, T)
    mean, derived = _averages(False)  # overlaps have a series a pair
    if "overlap" in series:
        q = series["overlap"] / N
        found["abs_overlap"] = mean(np.abs(q))
        found["overlap_squared"], found["overlap_fourth"] = mean(q**2), mean(q**4)
        found["overlap_binder_ratio"] = derived(binder_ratio, q**2, q**4)
    if "link_overlap" in series:
        q = series["link_overlap"] / facts.n_bonds
        found["link_overlap"], found["link_overlap_squared"] = mean(q), mean(q**2)
        d = q - q.mean()
        found["link_overlap_binder_ratio"] = derived(_central_ratio, d, d**2, d**3, d**4)
    return found


def _from_clusters(series: dict[str, Series], facts: Facts, T: float) -> dict[str, Estimate]:
    """Results of improved estimators, and of the clusters themselves."""
    N = facts.n_sites
    mean, derived = _averages(facts.paired)
    found: dict[str, Estimate] = {}
    if "improved_magnetization_squared" in series:
        square = series["improved_magnetization_squared"] / N
        found["magnetization_squared_improved"] = mean(square / N)
        if not facts.field:
            found["susceptibility_symmetric_improved"] = mean(square / T)
        for axis in range(MOST_AXES):
            if f"improved_structure_factor_axis{axis}" in series:
                wave = series[f"improved_structure_factor_axis{axis}"]
                found[f"structure_factor_axis{axis}_improved"] = mean(wave)
                found[f"correlation_length_axis{axis}_improved"] = derived(
                    lambda s0, sk, L=facts.size[axis]: correlation_length(s0, sk, L), square, wave
                )
    if "improved_magnetization_fourth" in series and not facts.field:
        second, fourth = series["improved_magnetization_squared"] / N**2, series["improved_magnetization_fourth"] / N**4
        found["binder_cumulant_improved"] = derived(_cumulant, second, fourth)
    if "cluster_size" in series:
        found["mean_cluster_size"] = mean(series["cluster_size"])
    if "clusters" in series:
        found["largest_cluster_per_site"] = mean(series["largest_cluster"] / N)
        found["clusters_per_site"] = mean(series["clusters"] / N)
    return found


def _together(x: Series, paired: bool) -> Series:
    """A series as its independent parts: means of replicas 2k and 2k + 1 where these are paired."""
    return (x[0::2] + x[1::2]) / 2 if paired else x


def _averages(paired: bool) -> tuple[Callable[..., Estimate], Callable[..., Estimate]]:
    """The mean of a series, and a function of the means of several, with errors from independent parts."""

    def mean(x: Series) -> Estimate:
        return statistics.mean(_together(x, paired))

    def derived(function: Callable[..., Series], *series: Series) -> Estimate:
        return _derived(function, *(_together(x, paired) for x in series))

    return mean, derived


def correlation_length(s0: Series, sk: Series, side: int) -> Series:
    """Second-moment correlation length from S(0) = <M^2>/N and S(k) at k = 2 pi / side, in unit cells; NaN below 0.

    Cooper, Freedman, Preston, Nucl. Phys. B 210, 210 (1982).
    """
    excess = s0 / sk - 1
    excess = np.where(sk > NOTHING * s0, excess, np.nan)  # no wave at all, but for rounding
    length: Series = np.sqrt(excess) / (2 * np.sin(np.pi / side))
    return length


def binder_ratio(q2: Series, q4: Series) -> Series:
    """(3 - q4/q2^2)/2: 0 for a Gaussian of mean 0, 1 for two values of one modulus."""
    return (3 - q4 / q2**2) / 2


def _cumulant(m2: Series, m4: Series) -> Series:
    return 1 - m4 / (3 * m2**2)


def _central_ratio(d1: Series, d2: Series, d3: Series, d4: Series) -> Series:
    """`binder_ratio` of the deviations from the mean, from the moments about a point nearby."""
    return binder_ratio(d2 - d1**2, d4 - 4 * d1 * d3 + 6 * d1**2 * d2 - 3 * d1**4)


def _unless_frozen(estimate: Estimate, m: Series) -> Estimate:
    """No error where replicas of both signs never turn over: the mean then remembers how many started in which."""
    up, down = (m > 0).all(axis=1), (m < 0).all(axis=1)
    frozen = up.any() and down.any() and np.mean(up | down) > 0.5
    return replace(estimate, error=nan, tau_int=nan, reliable=False) if frozen else estimate


def _derived(function: Callable[..., Series], *series: Series | TimeSeries) -> Estimate:
    """The jackknife, where all is defined; a series stuck at zero magnetization has no Binder cumulant."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return statistics.jackknife(function, *series)


def _verdict(e: TimeSeries, order: TimeSeries, mixed: bool) -> tuple[int, float]:
    """Whether a point is equilibrated, and the smallest p-value of the tests, times their number.

    Two questions, each asked of energy and |m|: do replicas that started up and at random agree, and does no replica
    differ from the others by more than it varies itself, as one caught in a stripe state does?  Where the first
    cannot be answered (one start only, too short a series) the verdict can only be no, or unknown.
    """
    both = (e, order)
    replicas = [statistics.compare_replicas(x).p_value for x in both]
    halves = [
        statistics.compare_halves(x.values[0::2], x.values[1::2]).p_value for x in both if mixed and len(x.values) > 1
    ]
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


def running_specific_heat(energy: NDArray[Any], n_sites: int, temperature: float) -> Series:
    """Specific heat per site of each block of each replica, (replica, block); a last, shorter block is left out."""
    length = block_length(energy.shape[1])
    blocks = energy.shape[1] // length
    parts = np.asarray(energy[:, : blocks * length], dtype=float).reshape(len(energy), blocks, length)
    heat: Series = parts.var(axis=2) / (n_sites * temperature**2)
    return heat
