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
    "specific_heat": Quantity("k_B", "specific heat per unit", "N (<e^2> - <e>^2) / T^2, T > 0", "C"),
}  # fmt: skip
TIME_SERIES = {
    "energy": Quantity("J", "energy", "H = -1/2 sum_ij J_ij s_i s_j - sum_i theta_i s_i", "H"),
    "overlap": Quantity("1", "overlap with the cued pattern, times N", "sum_i xi_i s_i", "M"),
    "flips": Quantity("1", "units that turned since the measurement before", "", "n"),
    "all_overlaps": Quantity("1", "overlaps with all patterns, times N", "sum_i xi_i^mu s_i", "M"),
}
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
    (replica, 2), how each stands and how many sweeps it did;  every: sweeps between measurements.
    """

    units: int
    temperature: float
    series: Series
    first: tuple[Floats, Floats]
    progress: NDArray[np.int64]
    every: int


def analyse(recalls: Recalls, retrieved: float) -> dict[str, Value]:
    """Results of one point; retrieved: the overlap from which on a pattern counts as retrieved."""
    n, T, series = recalls.units, recalls.temperature, recalls.series
    m, e = series["overlap"] / n, series["energy"] / n
    found = {"cue_overlap": _independent(recalls.first[1] / n)}
    if T > 0:
        estimates = {"overlap": statistics.mean(m), "energy_per_unit": statistics.mean(e)}
        d = e - e.mean()
        with np.errstate(divide="ignore", invalid="ignore"):
            estimates["specific_heat"] = statistics.jackknife(lambda e1, e2: n * (e2 - e1**2) / T**2, d, d**2)
        found |= {name: Value(own.value, own.error, own.tau_int * recalls.every) for name, own in estimates.items()}
        return found | {"retrieved_fraction": _share(m.mean(axis=1) >= retrieved)}
    found |= {"overlap": _independent(m[:, -1]), "energy_per_unit": _independent(e[:, -1])}
    found["retrieved_fraction"] = _share(m[:, -1] >= retrieved)
    state = recalls.progress[:, 0]
    found["fixed_point_fraction"], found["cycle_fraction"] = _share(state == FIXED), _share(state == CYCLE)
    # the sweep in which nothing turned is not counted
    found["sweeps_to_fixed_point"] = _independent(recalls.progress[state == FIXED, 1] - 1.0)
    return found


def _independent(values: Floats) -> Value:
    """The mean of independent recalls; where they are all alike, nothing tells its error."""
    if len(values) == 0:
        return UNKNOWN
    scatter = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    error = scatter / len(values) ** 0.5 * statistics.interval_factor(len(values) - 1) if scatter > 0 else nan
    return Value(float(values.mean()), error)


def _share(hits: NDArray[np.bool_]) -> Value:
    value, error = statistics.share(int(hits.sum()), len(hits))
    return Value(value, error)


def over_samples(name: str, samples: list[dict[str, Value]]) -> tuple[Value, float]:
    """A result averaged over samples, with the error from their scatter, and the part of it that recalls make."""
    values = np.array([sample[name].value for sample in samples])
    errors = np.array([sample[name].error for sample in samples])
    own, of_recalls = _independent(values[np.isfinite(values)]), float(np.sqrt(np.sum(errors**2)) / len(samples))
    if np.isnan(own.error) and len(samples) > 1:  # samples that are all alike tell nothing, but their recalls may
        own = Value(own.value, of_recalls)
    return own, of_recalls


# --- what was retrieved -------------------------------------------------------------------------------------------


def outcome(spins: NDArray[np.int8], patterns: NDArray[np.int8], retrieved: float) -> tuple[int, str]:
    """Which pattern a state is nearest to, and what it is: "pattern 3", "mirror of pattern 3", "mixture of +1 +5 -7".

    spins: (N,);  patterns: (P, N), counted from 0.  A mixture is the sign of the sum of 3, 5 or 7 patterns or mirrors
    (Amit, Gutfreund and Sompolinsky, Phys. Rev. A 32, 1007, 1985); what is none of these is "something else".
    """
    overlaps = patterns @ spins.astype(np.int32) / len(spins)
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
