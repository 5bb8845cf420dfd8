"""Pictures of Boltzmann machines: how they learnt, what they have learnt, and what they draw.

A picture is made of panels, each a subfigure with a width in slots; `compose` puts them in rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil, isqrt, log, log10
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from ising_mc import likelihood
from ising_mc.boltzmannfile import read_energies, read_model
from ising_mc.learning import draw
from ising_mc.machine import Machine
from ising_mc.results import SystemResults
from ising_mc.trainfile import evaluated, moment_differences, read_training_results

SLOT, ROW, PICTURES = 4.2, 3.5, 4.8  # inches: width of a slot, heights of rows
SLOTS = 3  # in a row
FEWEST_PIXELS = 9  # of a square layer that is shown as a picture
MOST_FILTERS = MOST_STATES = 64
MOST_TEMPERATURES = 12
MOST_COMPLETIONS = 4  # temperatures beside each clamp
IN_ROW, IN_LINE = 6, 8  # pictures side by side: of activity, of completions
PICTURE = 1.55  # inches
GREY = 0.35  # of units that are free, from white to black
MOST_NAMED = 8  # temperatures whose energies are drawn
MOST_CLAMPS = 24
MOST_SYSTEMS = 6  # whose energies are drawn
MOST_ENERGIES = 10**6  # of a histogram
MOST_POINTS = 20000  # of a scatter
FEW_SUMMED = 14  # hidden units of which free energies are summed for a picture
UNSETTLED = 0.25  # share of the epochs, at the beginning, that does not decide the range of likelihoods,
EARLY = 0.3  # but may make it so much longer
FEW_EPOCHS = 8  # of which none is left out
DATA, HELD_OUT, MODEL = "C0", "C1", "C3"
Array = NDArray[Any]
Shape = tuple[int, int]


@dataclass(frozen=True)
class Part:
    """A panel: slots of a row that it takes, its height in inches, and what draws it into a subfigure.

    stretches: whether it looks well where it is wider than its slots.
    """

    slots: int
    height: float
    draw: Callable[[Any], None]
    stretches: bool = True


def compose(parts: Sequence[Part]) -> Figure:
    """Panels in rows of up to SLOTS slots, in order; one that is not full is stretched, or stands in the middle."""
    rows: list[list[Part]] = []
    for part in parts:
        if not rows or sum(own.slots for own in rows[-1]) + part.slots > SLOTS:
            rows.append([])
        rows[-1].append(part)
    heights = [max(part.height for part in row) for row in rows]
    widest = max(sum(part.slots for part in row) for row in rows)
    figure = plt.figure(figsize=(SLOT * widest, sum(heights)), layout="constrained")
    engine: Any = figure.get_layout_engine()
    engine.set(w_pad=0.08, h_pad=0.08)
    strips: Any = figure.subfigures(len(rows), 1, height_ratios=heights, squeeze=False)
    for strip, row in zip(strips[:, 0], rows, strict=True):
        spare = 0 if any(part.stretches for part in row) else widest - sum(part.slots for part in row)
        margins = [spare / 2] if spare else []
        widths = [*margins, *(part.slots for part in row), *margins]
        cells = strip.subfigures(1, len(widths), width_ratios=widths, squeeze=False)[0]
        for cell, part in zip(cells[len(margins) :], row, strict=False):
            part.draw(cell)
    return figure


def chosen(out: Path, names: Sequence[str], there: Sequence[str], default: Sequence[str]) -> Sequence[str]:
    """The panels named, or the default ones; raises ValueError for one that the file has nothing for."""
    for name in names:
        if name not in there:
            raise ValueError(f"{out} has nothing to draw for '{name}'; it has {', '.join(there)}")
    return names or default


def picture_shape(facts: dict[str, Any]) -> Shape | None:
    """Height and width of the visible layer as a picture: as the data were, or square; None where it is none."""
    if len(facts.get("picture", ())) == 2:
        return int(facts["picture"][0]), int(facts["picture"][1])
    visible = int(facts["sizes"][0])
    side = isqrt(visible)
    return (side, side) if side * side == visible >= FEWEST_PIXELS else None


def rounded(energies: Array) -> Array:
    """Energies without the digits that rounding errors change: otherwise one level may be too narrow for bins."""
    return np.asarray(np.round(energies, 11 - ceil(log10(np.abs(energies).max(initial=1.0)))))


def _mosaic(axes: Axes, states: Array, shape: Shape, low: float, high: float, *colours: str) -> Any:
    """Pictures (K, pixels) side by side and one below the other, about a square, with lines in between and around."""
    (height, width), columns = shape, _columns(len(states), shape)
    rows, left = -(-len(states) // columns), len(states) % columns
    found = np.full((rows * (height + 1) + 1, columns * (width + 1) + 1), np.nan)
    for k, own in enumerate(states):
        y, x = (k // columns) * (height + 1) + 1, (k % columns) * (width + 1) + 1
        found[y : y + height, x : x + width] = own.reshape(shape)
    image = _show(axes, found, low, high, *colours)
    if left:  # no lines where there is nothing
        corner = left * (width + 1) + 0.5, (rows - 1) * (height + 1) + 0.5
        axes.add_patch(Rectangle(corner, found.shape[1], height + 1, color="white", lw=0))
    return image


def _columns(count: int, shape: Shape) -> int:
    """Pictures in a row, for a mosaic that is about square, and full if that can be."""
    best = float(np.sqrt(count * (shape[0] + 1) / (shape[1] + 1)))
    choices = [c for c in range(1, count + 1) if 1 / 1.5 < c / best < 1.5] or [round(min(max(1, best), count))]
    return min(choices, key=lambda c: (-count % c / c, round(abs(log(c / best)), 6), -c))


def _show(axes: Axes, picture: Array, low: float, high: float, colours: str = "gray_r", gap: str = "0.82") -> Any:
    """A picture without ticks and frame; gap: colour of NaN."""
    own = plt.get_cmap(colours).with_extremes(bad=gap)
    image = axes.imshow(np.ma.masked_invalid(picture), cmap=own, vmin=low, vmax=high, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.set_anchor("N")  # pictures of one row begin at one height
    return image


# --- training -----------------------------------------------------------------------------------------------------


def draw_training(out: Path, names: Sequence[str]) -> Figure:
    """Panels of a training run: those named, or all that it has something for.

    Raises ValueError for an unknown panel, or one that the file has nothing for; StoreError where it cannot be read.
    """
    training, machine = read_training_results(out), read_model(out)
    there = [name for name, panel in TRAINING_PANELS.items() if panel.has(training, machine)]
    own = [TRAINING_PANELS[name] for name in chosen(out, names, there, there)]
    return compose(
        [
            Part(panel.slots, panel.height, partial(panel.draw, training=training, machine=machine), panel.stretches)
            for panel in own
        ]
    )


def _likelihood(figure: Any, training: dict[str, Any], machine: Machine) -> None:
    axes, places = figure.subplots(), evaluated(training)
    epoch = training["epoch"][places]
    curves, brackets = [], []
    for name, label, colour in (
        ("log_likelihood", "data", DATA), ("held_out_log_likelihood", "held out", HELD_OUT),
    ):  # fmt: skip
        value, low, high = (training[f"{name}{end}"][places] for end in ("", "_low", "_high"))
        if np.any(np.isfinite(value)):
            axes.fill_between(epoch, low, high, color=colour, alpha=0.25, lw=0)
            axes.plot(epoch, value, "o-", color=colour, ms=2.5, lw=1.2, label=label)
            curves.append(value)
            brackets += [low, high]
    axes.set(xlabel="epoch", ylabel="mean log likelihood (nats an example)", ylim=_range(curves, brackets))
    if any(np.any(end != value) for end, value in zip(brackets, np.repeat(curves, 2, axis=0), strict=True)):
        axes.fill_between([], [], color="0.5", alpha=0.25, lw=0, label="between the bounds")
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.xaxis.set_major_locator(_whole_ticks())
    axes.legend(fontsize=9, frameon=False, loc="lower right")


def _range(curves: Sequence[Array], brackets: Sequence[Array]) -> tuple[float, float]:
    """Ends of the axis: of where learning has come to, with brackets as far as these do not dwarf the curves."""
    count = len(curves[0])
    first = int(UNSETTLED * count) if count > FEW_EPOCHS else 0
    values = np.concatenate([own[first:] for own in curves])
    if not np.any(np.isfinite(values)):
        values = np.concatenate(curves)
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    room = high - low or 0.05 * max(1.0, abs(high))
    ends = np.concatenate([own[first:] for own in brackets])
    ends = np.clip(ends[np.isfinite(ends)], low - room, high + room)
    low, high = float(ends.min(initial=low)), float(ends.max(initial=high))
    low = max(min(float(np.nanmin(own)) for own in curves), low - EARLY * room)
    return low - 0.06 * room, high + 0.06 * room


def _monitors(figure: Any, training: dict[str, Any], machine: Machine) -> None:
    names = [name for name in MONITORS if np.any(np.isfinite(training[name]))]
    grid = figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0]
    for axes, name in zip(grid, names, strict=True):
        style = "o" if len(training["epoch"]) == 1 else "-"
        axes.plot(training["epoch"], training[name], style, color="0.35", lw=0.8, ms=3)
        axes.set_ylabel(MONITORS[name], fontsize=8)
        axes.tick_params(labelsize=8)
    grid[-1].set_xlabel("epoch")
    grid[-1].xaxis.set_major_locator(_whole_ticks())


MONITORS = {
    "pseudo_likelihood": "pseudo-\nlikelihood",
    "reconstruction_error": "reconstruction\nerror",
    "gradient_norm": "|gradient|",
}


def _filters(figure: Any, training: dict[str, Any], machine: Machine) -> None:
    shape = picture_shape(training["facts"])
    assert shape is not None
    weights = _weights(machine)
    norms = np.linalg.norm(weights, axis=1)
    strongest = np.argsort(-norms, kind="stable")[:MOST_FILTERS]
    shown = weights[strongest]
    end = float(np.quantile(np.abs(shown), 0.995)) or 1.0
    axes = figure.subplots()
    image = _mosaic(axes, shown, shape, -end, end, "RdBu_r", "0.7")
    which = "" if len(shown) == len(weights) else f", the strongest {len(shown)} of {len(weights)}"
    axes.set_title(f"weights of hidden units{which}", fontsize=10)
    height, width = image.get_array().shape
    below = axes.inset_axes((0.2, -0.05 * width / height, 0.6, 0.02 * width / height))  # just below, however high it is
    bar = figure.colorbar(image, cax=below, orientation="horizontal", ticks=_few_ticks())
    bar.ax.tick_params(labelsize=8)


def _weights(machine: Machine) -> Array:
    """Weights (n_h, n_v) of the hidden units next to the visible ones."""
    n = machine.visible
    if machine.kind == "general":
        return machine.weights[0][n:, :n]
    return machine.weights[0].T


def _samples(figure: Any, training: dict[str, Any], machine: Machine) -> None:
    shape = picture_shape(training["facts"])
    assert shape is not None
    count = min(MOST_STATES, len(training["examples"]), len(training["samples"]))
    both = ("data", training["examples"]), ("samples of the model", training["samples"][:, : machine.visible])
    for axes, (title, states) in zip(figure.subplots(1, 2), both, strict=True):
        _mosaic(axes, states[:count], shape, machine.low, 1)
        axes.set_title(title, fontsize=10)


def _moments(figure: Any, training: dict[str, Any], machine: Machine) -> None:
    means, covariances = moment_differences(training)
    shown = [("means <v>", training["data_mean"], training["model_mean"], means)]
    if np.isfinite(covariances):
        pairs = np.triu_indices(machine.visible, 1)
        values = (training[f"{name}_covariance"][pairs] for name in ("data", "model"))
        shown.append(("covariances of pairs", *values, covariances))
    for axes, (title, data, model, rms) in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        every = -(-len(data) // MOST_POINTS)
        few = len(data) < 300
        axes.scatter(data[::every], model[::every], s=9 if few else 4, alpha=0.8 if few else 0.35, lw=0, color=DATA)
        ends = min(data.min(), model.min()), max(data.max(), model.max())
        axes.axline((0, 0), slope=1, color="0.5", lw=0.8, zorder=0)
        room = 0.05 * (ends[1] - ends[0]) or 0.05
        axes.set(xlim=(ends[0] - room, ends[1] + room), ylim=(ends[0] - room, ends[1] + room), aspect="equal")
        axes.set(xlabel="data", ylabel=f"model, {training['facts']['moments']}")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(_few_ticks())
        axes.set_title(f"{title}: rms difference {rms:.2g}", fontsize=10)


def _few_ticks() -> MaxNLocator:
    return MaxNLocator(6, steps=(1, 2, 5, 10))


def _whole_ticks() -> MaxNLocator:
    return MaxNLocator("auto", steps=(1, 2, 5, 10), integer=True, min_n_ticks=1)


def _free_energies(figure: Any, training: dict[str, Any], machine: Machine) -> None:
    n, spin = machine.visible, machine.units == "spin"
    data = draw(training["examples"], spin, np.random.default_rng(0))  # as they are, where they are states
    states = data, training["samples"][:, :n]
    free = [rounded(likelihood.free_energy(machine, own)) for own in states]
    axes = figure.subplots()
    bins = np.histogram_bin_edges(np.concatenate(free), 20)
    for own, colour, label in zip(free, (DATA, MODEL), ("data", "samples of the model"), strict=True):
        axes.hist(own, bins, density=True, color=colour, alpha=0.35, label=label)
        axes.hist(own, bins, density=True, color=colour, histtype="step", lw=1.2)
    axes.set(xlabel="free energy F(v)" if machine.n > n else "energy E(v)", ylabel="density")
    axes.margins(y=0.25)  # room for the legend
    axes.xaxis.set_major_locator(_few_ticks())
    axes.legend(fontsize=9, frameon=False)


def _can_sum(machine: Machine) -> bool:
    """Whether free energies of visible states take no time."""
    hidden = machine.sizes[1:]
    if machine.kind == "restricted":
        return True
    return (sum(hidden) if machine.kind == "general" else min(sum(hidden[::2]), sum(hidden[1::2]))) <= FEW_SUMMED


def _has_filters(training: dict[str, Any], machine: Machine) -> bool:
    return picture_shape(training["facts"]) is not None and machine.n > machine.visible


@dataclass(frozen=True)
class Panel:
    """What a panel of training shows, and whether a file has something for it."""

    slots: int
    height: float
    draw: Callable[..., None]
    has: Callable[[dict[str, Any], Machine], bool]
    stretches: bool = True


TRAINING_PANELS = {
    "likelihood": Panel(2, ROW, _likelihood, lambda own, _: bool(np.any(np.isfinite(own["log_likelihood"])))),
    "monitors": Panel(1, ROW, _monitors, lambda *_: True),
    "moments": Panel(2, 3.7, _moments, lambda *_: True),
    "energies": Panel(1, 3.7, _free_energies, lambda _, machine: _can_sum(machine)),
    "samples": Panel(2, PICTURES, _samples, lambda own, _: picture_shape(own["facts"]) is not None, stretches=False),
    "filters": Panel(1, PICTURES, _filters, _has_filters, stretches=False),
}


# --- sampling -----------------------------------------------------------------------------------------------------


def sampling_panels(out: Path, systems: Sequence[SystemResults]) -> dict[str, Part]:
    """Panels of a sampled machine beside its quantities: energies, and completions or activity as pictures.

    systems: as `read_results` has them.  The energies are read when they are drawn: StoreError where they cannot be.
    """
    number, shape = min(MOST_SYSTEMS, len(systems)), picture_shape(systems[0].facts)
    rows = -(-number // SLOTS)
    draw_energies = partial(_energies, out=out, systems=systems, rows=rows)
    found = {"energies": Part(max(2, min(SLOTS, number)), ROW * rows, draw_energies)}
    clamped = [own for own in systems if np.any(own.facts["clamped_units"] < own.facts["sizes"][0])]
    if clamped and shape:
        found["completions"] = _completions(clamped, shape)
    elif shape:
        found["activity"] = _activity(systems[0], shape)
    return found


def _some(temperatures: Array, most: int) -> Array:
    """Places of temperatures in rising order, at most so many at even distances."""
    order = np.argsort(temperatures)
    places: Array = order[np.unique(np.linspace(0, len(order) - 1, most).round().astype(int))]
    return places


def _slots(width: float) -> int:
    return min(SLOTS, ceil(width / SLOT))


def _activity(system: SystemResults, shape: Shape) -> Part:
    """Mean values of visible units as pictures, one a temperature."""
    places, n = _some(system.temperatures, MOST_TEMPERATURES), int(np.prod(shape))
    columns = min(len(places), IN_ROW)
    rows = -(-len(places) // columns)

    def draw_into(figure: Any) -> None:
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes, t in zip(grid.flat, places, strict=False):
            values = system.columns["mean_activity"][t, :n].reshape(shape)
            image = _show(axes, values, _low(system), 1)
            axes.spines[:].set(visible=True, color="0.7", lw=0.6)
            axes.set_title(f"T = {system.temperatures[t]:.3g}", fontsize=9)
        for axes in grid.flat[len(places) :]:
            axes.axis("off")
        bar = figure.colorbar(image, ax=grid, aspect=25 if rows > 1 else 15, pad=0.02)
        bar.set_label("mean activity", fontsize=9)
        bar.ax.tick_params(labelsize=8)

    return Part(_slots(PICTURE * columns + 1), 0.3 + PICTURE * rows * _tall(shape), draw_into, stretches=False)


def _completions(systems: Sequence[SystemResults], shape: Shape) -> Part:
    """Clamps, and beside each the mean values of visible units while it holds, at each temperature."""
    shown, temperatures = systems[:MOST_CLAMPS], systems[0].temperatures
    places, n = _some(temperatures, MOST_COMPLETIONS), int(np.prod(shape))
    width = 1 + len(places)
    blocks = max(1, min(len(shown), IN_LINE // width))
    rows = -(-len(shown) // blocks)
    titles = ["cue", *(f"T = {temperatures[t]:.3g}" for t in places)]
    if len(places) == 1 and temperatures[places[0]] == 1:
        titles[1] = "completion"

    def draw_into(figure: Any) -> None:
        for number, block in enumerate(np.atleast_1d(figure.subfigures(1, blocks, wspace=0.04))):
            grid = block.subplots(rows, width, squeeze=False)
            own = shown[number::blocks]  # from left to right, line by line
            for row, system in zip(grid, own, strict=False):
                low, means = _low(system), system.columns["mean_activity"]
                cue = np.full(len(means[0]), low + GREY * (1 - low))  # where nothing is given
                cue[system.facts["clamped_units"].astype(int)] = system.facts["clamped_values"]
                for axes, values in zip(row, (cue, *means[places]), strict=True):
                    _show(axes, values[:n].reshape(shape), low, 1)
                    axes.spines[:].set(visible=True, color="0.7", lw=0.6)
            for axes, title in zip(grid[0], titles, strict=True):
                axes.set_title(title, fontsize=9)
            for row in grid[len(own) :]:
                for axes in row:
                    axes.axis("off")
        if len(systems) > len(shown):
            figure.suptitle(f"the first {len(shown)} of {len(systems)} clamps", fontsize=9)

    return Part(_slots(PICTURE * blocks * width), 0.3 + PICTURE * rows * _tall(shape), draw_into, stretches=False)


def _tall(shape: Shape) -> float:
    """Height of a picture over its width, within reason."""
    return min(3.0, max(0.4, shape[0] / shape[1]))


def _low(system: SystemResults) -> int:
    return 0 if system.facts["units"] == "binary" else -1


def _energies(figure: Any, out: Path, systems: Sequence[SystemResults], rows: int) -> None:
    shown = systems[:MOST_SYSTEMS]
    grid = figure.subplots(rows, min(SLOTS, len(shown)), squeeze=False)
    temperatures = shown[0].temperatures
    places, colours = _some(temperatures, MOST_NAMED), plt.get_cmap("plasma")
    for axes, system in zip(grid.flat, shown, strict=False):
        energies = read_energies(out, system.label, MOST_ENERGIES)
        for number, t in enumerate(places):
            values, colour = rounded(energies[t]), colours(0.85 * number / max(1, len(places) - 1))
            style = {"histtype": "stepfilled", "facecolor": (*colour[:3], 0.2), "edgecolor": colour}
            bins = min(40, len(np.unique(values)))
            axes.hist(values, bins, density=True, **style, label=f"T = {temperatures[t]:.3g}")
        axes.set(xlabel="energy E", ylabel="density")
        if len(systems) > 1:
            axes.set_title(system.label, fontsize=9)
    for axes in grid.flat[len(shown) :]:
        axes.axis("off")
    grid.flat[0].legend(fontsize=8, frameon=False)
