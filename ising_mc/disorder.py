"""Averages over disorder: the results of many samples make one, with thermal and sample-to-sample errors told apart."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ising_mc.observables import MOST_AXES, Facts, binder_ratio, correlation_length
from ising_mc.statistics import Estimate, interval_factor

Floats = NDArray[np.float64]
Estimates = dict[str, Estimate]


@dataclass(frozen=True)
class Average:
    """An average over samples.

    error: from the scatter of the samples, half of the 68.27 % interval; it holds the thermal error as well;
    thermal_error: what the thermal errors of the samples contribute; NaN where they are unknown;
    definition: the formula where it is not just the mean of the samples' values.
    """

    value: float
    error: float
    thermal_error: float
    definition: str = ""


@dataclass(frozen=True)
class _Ratio:
    """A quantity that is a function of averages, not an average of a function (which would be biased)."""

    names: tuple[str, ...]
    function: Callable[..., Floats]
    definition: str


def _ratio(name: str, facts: Facts) -> _Ratio | None:
    if name == "binder_cumulant":
        moments = ("magnetization_squared", "magnetization_fourth")
        return _Ratio(moments, lambda m2, m4: 1 - m4 / (3 * m2**2), "1 - [<m^4>] / (3 [<m^2>]^2)")
    if name == "overlap_binder_ratio":
        return _Ratio(("overlap_squared", "overlap_fourth"), binder_ratio, "(3 - [<q^4>]/[<q^2>]^2) / 2")
    for axis in range(MOST_AXES):
        if name == f"correlation_length_axis{axis}":
            side, n = facts.size[axis], facts.n_sites
            return _Ratio(
                ("magnetization_squared", f"structure_factor_axis{axis}"),
                partial(_length, n, side),
                "sqrt([<M^2>] / (N [S(k)]) - 1) / (2 sin(k/2))",
            )
    return None


def _length(n_sites: int, side: int, m2: Floats, sk: Floats) -> Floats:
    return correlation_length(n_sites * m2, sk, side)


def average(name: str, samples: Sequence[Estimates], facts: Facts) -> Average:
    """The average of one quantity over samples, at one temperature; errors of ratios by the jackknife over samples.

    With one sample nothing is known of the scatter: the error is NaN.  The thermal error of a ratio comes from those of
    its values in each sample.
    """
    ratio = _ratio(name, facts)
    names = (name,) if ratio is None else ratio.names
    values = np.array([[sample[own].value for sample in samples] for own in names])
    thermal = np.array([sample[name].error for sample in samples])
    thermal_error = float(np.sqrt(np.sum(thermal**2)) / len(samples))
    if ratio is None:
        return Average(float(values[0].mean()), _scatter(values[0]), thermal_error)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = ratio.function(*values.mean(axis=1))
        left_out = ratio.function(*(values.sum(axis=1)[:, None] - values) / max(1, len(samples) - 1))
    pseudo = len(samples) * value - (len(samples) - 1) * left_out
    return Average(float(value), _scatter(pseudo), thermal_error, ratio.definition)


def _scatter(values: Floats) -> float:
    """Half of the 68.27 % interval of a mean, by Student's t."""
    if len(values) < 2:
        return float("nan")
    return float(values.std(ddof=1) / np.sqrt(len(values)) * interval_factor(len(values) - 1))
