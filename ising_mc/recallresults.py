"""From recalls to results: overlaps, what was retrieved, how long it took, with errors."""

from dataclasses import dataclass
from math import nan

import numpy as np
from numpy.typing import NDArray

from ising_mc import statistics
from ising_mc.kernels.recall import CYCLE, FIXED
from ising_mc.observables import Quantity
from ising_mc.words import Series

QUANTITIES = {
    "overlap": Quantity("1", "overlap with the cued pattern", "<m>, m = sum_i xi_i s_i / N; T = 0: in the end", "m"),
    "energy_per_unit": Quantity("J", "energy per unit", "<H>/N; at T = 0 in the end", "e"),
    "retrieved_fraction": Quantity("1", "share of recalls that retrieved their pattern", "mean of m at least r", "f"),
    "cue_overlap": Quantity("1", "overlap of the cues with their patterns", "<m> before the first sweep", "m0"),
    "fixed_point_fraction": Quantity("1", "share of recalls that ended at a fixed point", "T = 0", "f_fix"),
    "cycle_fraction": Quantity("1", "share of recalls that ended in a cycle of two states", "T = 0", "f_cyc"),
    "sweeps_to_fixed_point": Quantity(
        "sweeps", "sweeps to the fixed point",
        "mean of recalls that reached one; the last sweep in which a unit turned", "t_fix",
    ),
    "specific_heat": Quantity(
        "k_B", "specific heat per unit", "N (<e^2> - <e>^2) / T^2 within each recall, mean over recalls, T > 0", "C"
    ),
}  # fmt: skip
TIME_SERIES = {
    "energy": Quantity("J", "energy", "H = -1/2 sum_ij J_ij s_i s_j - sum_i theta_i s_i", "H"),
    "overlap": Quantity("1", "overlap with the cued pattern, times N", "sum_i xi_i s_i", "M"),
    "flips": Quantity("1", "units that turned since the measurement before", "", "n"),
    "all_overlaps": Quantity("1", "overlaps with all patterns, times N", "sum_i xi_i^mu s_i", "M"),
}
TOGETHER = 256  # patterns that are made real numbers at a time
WINDOW = 6  # of an autocorrelation function, in tau_int (Sokal)
MIXTURES = (3, 5, 7)  # patterns of which sign(sum +-xi) is looked for
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Value:
    """A result with its error (half of the 68.27 % interval) and its autocorrelation time, NaN where it has none."""

    value: float
    error: float
    tau_int: float = nan


UNKNOWN = Value(nan, nan)


@dataclass(frozen=True, eq=False)
class Recalls:
    """All recalls of one network at one temperature.

    series: (replica, measurement) each;  first: energies and overlaps of the cues, (replica,) each;  progress:
    (replica, 2), how each stands and how many sweeps it did;  every: sweeps between measurements;  cued: (replica,),
    the pattern of each: recalls of one pattern may end alike, so the means of patterns are what is independent.
    """

    units: int
    temperature: float
    series: Series
    first: tuple[Floats, Floats]
    progress: NDArray[np.int64]
    every: int
    cued: NDArray[np.int64]


def analyse(recalls: Recalls, retrieved: float) -> dict[str, Value]:
    """Results of one point; retrieved: the overlap from which on a pattern counts as retrieved."""
    n, T, series, cued = recalls.units, recalls.temperature, recalls.series, recalls.cued
    m, e = series["overlap"] / n, series["energy"] / n
    found = {"cue_overlap": _independent(recalls.first[1] / n, cued)}
    if T > 0:
        for name, x in (("overlap", m), ("energy_per_unit", e)):
            tau = _tau_within(x - x.mean(axis=1, keepdims=True))
            own = _independent(x.mean(axis=1), cued) if len(np.unique(cued)) > 1 else _of_one(statistics.mean(x))
            found[name] = Value(own.value, own.error, tau * recalls.every)
        found["specific_heat"] = _specific_heat(e, n, T, cued)
        return found | {"retrieved_fraction": _share(m.mean(axis=1) >= retrieved, cued)}
    found |= {"overlap": _independent(m[:, -1], cued), "energy_per_unit": _independent(e[:, -1], cued)}
    found["retrieved_fraction"] = _share(m[:, -1] >= retrieved, cued)
    state = recalls.progress[:, 0]
    fixed = state == FIXED
    found["fixed_point_fraction"], found["cycle_fraction"] = _share(fixed, cued), _share(state == CYCLE, cued)
    # the sweep in which nothing turned is not counted
    found["sweeps_to_fixed_point"] = _independent(recalls.progress[fixed, 1] - 1.0, cued[fixed])
    return found


def _of_one(own: statistics.Estimate) -> Value:
    """All that recalls of one pattern tell: how well their time series are known."""
    return Value(own.value, own.error)


def _specific_heat(e: Floats, n: int, T: float, cued: NDArray[np.int64]) -> Value:
    """From the fluctuations within each recall: recalls sit in different states, whose energies differ for good.

    A variance about the recall's own mean is too small by the factor 1 - 2 tau_int / measurements.
    """
    d = e - e.mean(axis=1, keepdims=True)
    lost = 2 * _tau_within(d) / e.shape[1]
    if not lost < 1:
        return UNKNOWN
    return _independent(n / T**2 * np.mean(d**2, axis=1) / (1 - lost), cued)


def _tau_within(d: Floats) -> float:
    """tau_int of deviations from each recall's own mean, by Sokal's window of 6 tau; NaN where it does not close.

    Of n measurements the own mean takes away (1 + 2 W) / n of it, which is given back.
    """
    if not d.any():
        return nan
    correlations = statistics.autocorrelation(d)
    taus = 0.5 + np.cumsum(correlations[1:])
    closed = np.flatnonzero(np.arange(1, len(taus) + 1) >= WINDOW * taus)
    if not len(closed):
        return nan
    return float(taus[closed[0]] * (1 + (2 * closed[0] + 3) / d.shape[1]))


def _independent(values: Floats, cued: NDArray[np.int64]) -> Value:
    """The mean of recalls, its error from the scatter of the means of their patterns.

    Where these are all alike, nothing tells the error.
    """
    if len(values) == 0:
        return UNKNOWN
    _, which, number = np.unique(cued, return_inverse=True, return_counts=True)
    means = np.bincount(which, values) / number
    scatter = float(means.std(ddof=1)) if len(means) > 1 else 0.0
    error = scatter / len(means) ** 0.5 * statistics.interval_factor(len(means) - 1) if scatter > 0 else nan
    return Value(float(values.mean()), error)


def _share(hits: NDArray[np.bool_], cued: NDArray[np.int64]) -> Value:
    """The share of recalls that hit; of many recalls of each pattern by the scatter of patterns, else binomial."""
    value, error = statistics.share(int(hits.sum()), len(hits))
    if len(np.unique(cued)) == len(cued):
        return Value(value, error)
    own = _independent(hits.astype(np.float64), cued)
    return own if np.isfinite(own.error) else Value(value, statistics.share(*_of_patterns(hits, cued))[1])


def _of_patterns(hits: NDArray[np.bool_], cued: NDArray[np.int64]) -> tuple[int, int]:
    """How many patterns hit in all of their recalls, and how many there are."""
    _, which, number = np.unique(cued, return_inverse=True, return_counts=True)
    return int(np.sum(np.bincount(which, hits) == number)), len(number)


def over_samples(name: str, samples: list[dict[str, Value]]) -> tuple[Value, float]:
    """A result averaged over samples, with the error from their scatter, and the part of it that recalls make."""
    values = np.array([sample[name].value for sample in samples])
    errors = np.array([sample[name].error for sample in samples])
    finite = values[np.isfinite(values)]
    own, of_recalls = _independent(finite, np.arange(len(finite))), float(np.sqrt(np.sum(errors**2)) / len(samples))
    if np.isnan(own.error) and len(samples) > 1:  # samples that are all alike tell nothing, but their recalls may
        own = Value(own.value, of_recalls)
    return own, of_recalls


# --- what was retrieved -------------------------------------------------------------------------------------------


def overlaps_of(spins: NDArray[np.int8], patterns: NDArray[np.int8]) -> Floats:
    """Overlaps (recalls, P) of states (recalls, N) with patterns (P, N); float32 holds whole numbers to 2**24."""
    own, n = spins.astype(np.float32), spins.shape[1]
    parts = [own @ patterns[k : k + TOGETHER].T.astype(np.float32) for k in range(0, len(patterns), TOGETHER)]
    return np.asarray(np.concatenate(parts, axis=1) / float(n), np.float64)


def outcome(
    spins: NDArray[np.int8], patterns: NDArray[np.int8], retrieved: float, overlaps: Floats | None = None
) -> tuple[int, str]:
    """Which pattern a state is nearest to, and what it is: "pattern 3", "mirror of pattern 3", "mixture of +1 +5 -7".

    spins: (N,);  patterns: (P, N), counted from 0;  overlaps: (P,), where they are known.  A mixture is the sign of the
    sum of 3, 5 or 7 patterns or mirrors (Amit, Gutfreund and Sompolinsky, Phys. Rev. A 32, 1007, 1985); what is none of
    these is "something else".
    """
    overlaps = overlaps_of(spins[None], patterns)[0] if overlaps is None else overlaps
    order = np.argsort(-np.abs(overlaps), kind="stable")
    best = int(order[0])
    if abs(overlaps[best]) >= retrieved:
        return best, f"pattern {best}" if overlaps[best] > 0 else f"mirror of pattern {best}"
    for number in MIXTURES:
        own = order[:number]
        if len(own) == number:
            mixed = np.sign(np.sign(overlaps[own]) @ patterns[own])
            if mixed @ spins / len(spins) >= retrieved:
                names = " ".join(f"{'+' if overlaps[k] > 0 else '-'}{k}" for k in sorted(own))
                return best, f"mixture of {names}"
    return best, "something else"
