"""Tables of training for the screen."""

from math import floor, isnan, log10
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.markup import escape
from rich.table import Table

from ising_mc.trainfile import TRAINING, evaluated, moment_differences

MOST_ROWS = 12
WIDE = 1.0  # nats between the ends of a bracket that tells little
LEAST_RISE = 0.1  # nats: likelihoods that differ by less are much the same
LEAST_FALL = 1.0  # nats, of the likelihood of the data, which goes up and down by itself
CROSSED = "*"
FEW_SWAPS = 0.1  # of those tried; fewer let hardly a chain through
OUT_OF_ORDER = 2.0  # times the error of log Z: ends of a bracket that only their own noise has turned round
NOTE = (
    "note: pseudo-likelihood and reconstruction error are no safe monitors: the model that has the best of them may "
    "have the worst likelihood"
)
CURE = (
    "ising_mc.likelihood.ais and reverse_ais with more temperatures tell more of the machine in the file, and smaller "
    "weights (train.l2) are judged more easily"
)
Training = dict[str, Any]  # as `trainfile.read_training_results` makes it


def title(training: Training) -> str:
    """What was trained, how and on what, in a line."""
    facts = training["facts"]
    steps, batch, held = (int(facts[name]) for name in ("steps", "batch", "examples_held_out"))
    how = facts["method"] if facts["method"] == "exact" else f"{facts['method']}, {steps} step{'s' * (steps != 1)}"
    return (
        f"{training['label']}: {facts['machine']} machine of {facts['units']} units, {facts['n_bonds']} couplings; "
        f"{how}, batches of {batch}, rate {facts['rate']:g}; {facts['examples_trained']} examples, {held} held out"
    )


def curves_table(training: Training) -> Table:
    """How learning went: some of the epochs at which likelihoods were estimated, the last one among them."""
    rows = _rows(training)
    brackets = [name for name in ("log_likelihood", "held_out_log_likelihood") if np.any(_known(training, name))]
    places = _places(training)
    table = Table(box=None, pad_edge=False)
    names = {"log_likelihood": "LL", "held_out_log_likelihood": "held-out LL"}
    ranges = [] if _is_exact(training) else ["[low, high]"]
    headings = [heading for name in brackets for heading in (names[name], *ranges)]
    monitors = ("pseudo_likelihood", "reconstruction_error", "gradient_norm")
    swaps = ("swap_rate",) if np.any(_known(training, "swap_rate")) else ()
    for heading in ("epoch", *headings, *(TRAINING[name].symbol for name in (*monitors, *swaps))):
        table.add_column(escape(heading), justify="right", no_wrap=True)
    for k in rows:
        cells = [str(training["epoch"][k])]
        for name in brackets:
            value, low, high = (float(training[name + end][k]) for end in ("", "_low", "_high"))
            mark = CROSSED if low > high else ""
            low, high = min(low, value), max(high, value)  # the ends are estimates of their own; NaN stays
            cells.append(_shown(value, places))
            cells += [escape(f"[{_shown(low, places)}, {_shown(high, places)}]{mark}")] if ranges else []
        pseudo, error, norm = (float(training[name][k]) for name in monitors)
        rate = [f"{float(training[name][k]):.2f}" for name in swaps]
        table.add_row(*cells, _shown(pseudo, 2), f"{error:.4f}", f"{norm:#.3g}", *rate)
    return table


def notes(training: Training) -> list[str]:
    """What stands below the table: units, moments, and what to think of the monitors."""
    means, covariances = moment_differences(training)
    pairs = "" if isnan(covariances) else f", of covariances {covariances:.3g}"
    found = "log Z summed exactly" if _is_exact(training) else "log Z by annealed importance sampling, bracketed"
    how = str(training["facts"]["moments"])
    low, high = (training[f"log_likelihood_{end}"][_rows(training)] for end in ("low", "high"))
    crossed = bool(np.any(low > high))
    return [
        f"LL: mean log likelihood, in nats an example ({found}); PL: log pseudo-likelihood and R: "
        "reconstruction error, of some examples only",
        f"moments of visible units, model ({how}) against data: rms difference of means {means:.3g}{pairs}",
        *([f"{CROSSED}: the low end came out above the high one, by chance or where chains do not mix"] * crossed),
        NOTE,
    ]


def warnings_of(training: Training) -> list[str]:
    """What a reader must know: likelihoods that are not known well, samples that cannot be right, overfitting."""
    label, places = training["label"], evaluated(training)
    value, low, high = (training[f"log_likelihood{end}"][places] for end in ("", "_low", "_high"))
    epoch = training["epoch"][places]
    if not np.any(np.isfinite(value)):
        return [
            f"warning: {label}: the likelihood cannot be told, since too many hidden units would have to be summed "
            "over: a restricted machine has no such limit, a layered one only for its smaller hidden layers"
        ]
    lines = []
    # the error of log Z is high - value; a fresh estimate of either end crosses the other by chance if it is small
    crossed = low - high > OUT_OF_ORDER * (high - value)
    lost, wide = np.isnan(low) | np.isnan(high), ~crossed & (high - low > WIDE)
    if np.any(lost):
        ends = " and ".join(name for name, end in (("low", low), ("high", high)) if np.any(np.isnan(end)))
        lines.append(
            f"warning: {label}: the {ends} end of the likelihood cannot be told at {_epochs(epoch[lost])}: fewer than "
            "ten chains of annealing carry the weight; " + CURE
        )
    if np.any(wide):
        widest = float(np.max((high - low)[wide]))
        lines.append(
            f"warning: {label}: the likelihood is known to no better than {widest:.2g} nats at {_epochs(epoch[wide])}; "
            + CURE
        )
    if np.any(crossed):
        lines.append(
            f"warning: {label}: at {_epochs(epoch[crossed])} the low end of the likelihood is above the high one: the "
            "chains have not mixed, so that their samples are not in equilibrium, and the low end is no bound; "
            f"{_ways_to_mix(training)} let them mix better"
        )
    if np.any(_known(training, "swap_rate")) and (rate := float(training["swap_rate"][-1])) < FEW_SWAPS:
        lines.append(
            f"warning: {label}: only {100 * rate:.1f} % of the swaps of temperatures were made in the last epoch: more "
            "train.temperings let the chains through"
        )
    return lines + _turns(training, epoch, places)


def _turns(training: Training, epoch: NDArray[np.int64], places: NDArray[np.int64]) -> list[str]:
    """Likelihoods that have fallen again: of held-out data alone, or of the data."""
    label, data = training["label"], training["log_likelihood"][places]
    value, low, high = (training[f"held_out_log_likelihood{end}"][places] for end in ("", "_low", "_high"))
    lines = []
    if np.any(np.isfinite(value)):
        best = int(np.nanargmax(value))
        fall, rise = value[best] - value[-1], data[-1] - data[best]
        # both are told with one log Z, whose error must not pass for a fall
        if high[-1] < low[best] and fall > LEAST_RISE and rise > LEAST_RISE:
            lines.append(
                f"warning: {label} overfits: since epoch {epoch[best]}, its best, the likelihood of held-out data has "
                f"fallen by {fall:.2f} nats while that of the data rose by {rise:.2f}: train.epochs = {epoch[best]} "
                "in a new run, or train.l2, keep it from that"
            )
    best = int(np.nanargmax(data))
    fall, top = data[best] - data[-1], training["log_likelihood_high"][places][-1]
    if fall > LEAST_FALL and top < training["log_likelihood_low"][places][best]:
        lines.append(
            f"warning: {label}: the likelihood of the data has fallen by {fall:.2f} nats since epoch {epoch[best]}, "
            f"its best; {_ways_to_mix(training)} keep it from that"
        )
    return lines


def _ways_to_mix(training: Training) -> str:
    """What makes chains follow a machine that learns."""
    tempered = training["facts"]["machine"] == "restricted" and training["facts"]["method"] != "pt"
    last = "more train.steps and train.method = 'pt'" if tempered else "and more train.steps"
    return f"a lower train.rate, a train.decay{', ' if tempered else ' '}{last}"


def _rows(training: Training) -> NDArray[np.int64]:
    """Places of the epochs shown: at even distances, with the last one, and the best one for held-out data."""
    places = evaluated(training)
    rows = set(places[np.unique(np.linspace(0, len(places) - 1, MOST_ROWS - 1).round().astype(int))].tolist())
    if np.any(_known(training, "held_out_log_likelihood")):
        rows.add(int(np.nanargmax(training["held_out_log_likelihood"])))
    return np.array(sorted(rows))


def _known(training: Training, name: str) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(training[name]))


def _is_exact(training: Training) -> bool:
    """Whether log Z was summed: the ends of all brackets are then where the value is."""
    known = _known(training, "log_likelihood")
    value, low, high = (training[f"log_likelihood{end}"][known] for end in ("", "_low", "_high"))
    return bool(np.any(known) and np.all(low == value) and np.all(high == value))


def _places(training: Training) -> int:
    """Decimal places that brackets let one tell."""
    widths = np.abs(training["log_likelihood_high"] - training["log_likelihood_low"])
    widths = widths[widths > 0]
    return min(4, max(1, 1 - floor(log10(np.median(widths))))) if len(widths) else 4


def _shown(value: float, places: int) -> str:
    return "?" if isnan(value) else f"{value:.{places}f}"


def _epochs(which: NDArray[np.int64]) -> str:
    """Epochs, not too many of them by name."""
    if len(which) == 1:
        return f"epoch {which[0]}"
    if len(which) <= 4:
        return "epochs " + ", ".join(map(str, which))
    return f"{len(which)} epochs, from {which[0]} to {which[-1]}"
