"""Pictures of results.  Those of recalls and of Boltzmann machines are drawn by `recallplots` and `machineplots`."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from textwrap import wrap
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray

from ising_mc import exact
from ising_mc.annealfile import read_annealing
from ising_mc.observables import NO, QUANTITIES
from ising_mc.recallfile import kind_of
from ising_mc.results import SystemResults, read_results

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ising_mc import machineplots, recallplots

DEFAULT = (
    "energy_per_site", "abs_magnetization_per_site", "energy_per_unit", "activity_per_unit", "specific_heat",
    "susceptibility", "binder_cumulant", "log_z",
)  # fmt: skip
CURVE_POINTS = 600
LABEL_WIDTH = 32
Curve = tuple[NDArray[np.float64], NDArray[np.float64]]


def _plot_energies(out: Path, path: Path) -> None:
    """The energies that annealing reached, read by read: a histogram for each system."""
    systems = read_annealing(out)
    figure, panels = plt.subplots(
        len(systems), squeeze=False, figsize=(6, 1 + 2.6 * len(systems)), layout="constrained"
    )
    for own, axes in zip(systems, panels[:, 0], strict=True):
        energy = machineplots.rounded(own["energy"])
        axes.hist(energy, bins=min(60, len(np.unique(energy))))
        axes.axvline(own["target"], color="k", lw=0.8, ls=":")
        axes.set(xlabel="energy", ylabel="reads", title=f"{own['label']}: {own['reads']} reads, dotted: the target")
    _save(figure, path)


def plot_results(out: Path, quantities: Sequence[str], path: Path) -> None:
    """Draw quantities over temperature, one panel each, into a picture file whose ending tells its kind.

    quantities: names from `observables.QUANTITIES` that the file has; none means the five most used (of recalls: panels
    of `recallplots.PANELS`, of training those of `machineplots.TRAINING_PANELS`, none means all; of a sampled machine
    also energies and activity, or completions of what is clamped).  Behind the
    points stand the exact curves where there are any: Kaufman for each finite size, Onsager and Yang for the
    infinite lattice.
    Raises ValueError for an unknown quantity or kind of picture, StoreError where the results cannot be read.
    """
    if not path.suffix:
        raise ValueError(f"the picture {path} needs an ending that tells its kind: .png, .pdf or .svg")
    if path.exists() and path.samefile(out):
        raise ValueError(f"{path} is the result file itself: give the picture another name with -o")
    kind = kind_of(out)
    if kind == "hopfield":
        _save(recallplots.draw(out, quantities), path)
        return
    if kind == "train":
        _save(machineplots.draw_training(out, quantities), path)
        return
    if kind == "anneal":
        if quantities:
            raise ValueError(f"{out} is of annealing, which has a histogram of energies only: name no quantity")
        _plot_energies(out, path)
        return
    systems = read_results(out)
    if kind == "boltzmann":
        _save(_draw_machine(out, systems, quantities), path)
        return
    there = [name for name in QUANTITIES if name in systems[0].columns]
    for name in quantities:
        if name not in there:
            raise ValueError(f"{out} has no quantity '{name}'; it has {', '.join(there)}")
    names = tuple(quantities) or tuple(name for name in DEFAULT if name in there)
    rows = -(-len(names) // 3)
    columns = min(3, len(names))
    figure, grid = plt.subplots(rows, columns, figsize=(4.4 * columns, 3.5 * rows), squeeze=False, layout="constrained")
    for axes, name in zip(grid.flat, names, strict=False):
        _panel(axes, systems, name)
    handles, labels = grid.flat[0].get_legend_handles_labels()
    spare = list(grid.flat[len(names) :])
    for axes in spare:
        axes.axis("off")
    where = spare[0] if spare else grid.flat[0]
    where.legend(handles, labels, loc="center" if spare else "best", frameon=False, fontsize=9)
    _save(figure, path)


def _draw_machine(out: Path, systems: Sequence[SystemResults], names: Sequence[str]) -> Figure:
    """A sampled machine: its quantities over temperature, energies, and pictures of what it draws."""
    panels = {
        name: machineplots.Part(1, machineplots.ROW, partial(_machine_panel, systems=systems, name=name))
        for name in QUANTITIES
        if name in systems[0].columns
    }
    pictures = machineplots.sampling_panels(out, systems)
    if "completions" in pictures:
        default = ["completions"]
    else:
        default = [name for name in DEFAULT if name in panels and len(systems[0].temperatures) > 1] + [*pictures]
    panels |= pictures
    return machineplots.compose([panels[name] for name in machineplots.chosen(out, names, [*panels], default)])


def _machine_panel(figure: Any, systems: Sequence[SystemResults], name: str) -> None:
    axes = figure.subplots()
    _panel(axes, systems, name)
    axes.set_ylabel(axes.get_ylabel().replace("per site", "per unit"))
    if len(systems) > 1:
        axes.legend(fontsize=7, frameon=False)


def _save(figure: Figure, path: Path) -> None:
    try:
        figure.savefig(path, dpi=130)
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot write the picture {path}: {error}") from error
    finally:
        plt.close(figure)


def _panel(axes: Axes, systems: Sequence[SystemResults], name: str) -> None:
    quantity = QUANTITIES[name]
    infinite = _infinite_curve(systems, name)
    if infinite:
        axes.plot(*infinite, color="0.6", lw=1.2, label="infinite lattice, exact", zorder=1)
    for number, system in enumerate(systems):
        color = f"C{number}"
        curve = _finite_curve(system, name)
        label = system.label.replace("L", "L = ") + (f", {system.samples} samples" if system.samples else "")
        if curve:
            axes.plot(*curve, color=color, lw=1.0, alpha=0.7, label=f"{label}, exact", zorder=2)
        values, errors = system.columns[name], system.columns[f"{name}_error"]
        errors = np.nan_to_num(errors)
        verdict = system.columns.get("equilibrated", np.ones(len(values)))
        for wrong, fill in ((False, color), (True, "none")):  # hollow: not equilibrated
            which = (verdict == NO) == wrong
            axes.errorbar(
                system.temperatures[which],
                values[which],
                np.nan_to_num(errors[which]),
                fmt="o",
                ms=3,
                lw=1,
                mfc=fill,
                color=color,
                zorder=3,
                label=None if wrong else label,
            )
    axes.set_xlabel("temperature T")
    axes.set_ylabel("\n".join(wrap(quantity.long_name, LABEL_WIDTH)))
    if name.startswith("susceptibility"):
        axes.set_yscale("log")
    low, high = _range(systems)
    Tc = _critical_temperature(systems[0])
    if low < Tc < high:
        axes.axvline(Tc, color="0.85", lw=1, zorder=0)


def _critical_temperature(system: SystemResults) -> float:
    """Where the infinite square lattice orders, or 0."""
    J = float(system.facts["J"][0]) if system.is_pure_square else 0.0
    return exact.critical_temperature(abs(J)) if J and system.facts["h"] == 0 else 0.0


def _range(systems: Sequence[SystemResults]) -> tuple[float, float]:
    temperatures = np.concatenate([system.temperatures for system in systems])
    return float(temperatures.min()), float(temperatures.max())


def _finite_curve(system: SystemResults, name: str) -> Curve | None:
    """Kaufman's exact result, where there is no field and the formula applies."""
    attribute = {"energy_per_site": "energy", "specific_heat": "specific_heat"}.get(name)
    if attribute is None or not system.is_pure_square or system.facts["h"] != 0 or len(system.temperatures) < 2:
        return None
    T = np.linspace(*_range([system]), CURVE_POINTS)
    try:
        size = int(system.facts["size"][0]), int(system.facts["size"][1])
        values = getattr(exact.kaufman(T, size, float(system.facts["J"][0])), attribute)
    except ValueError:  # an odd side with J < 0 is frustrated: no formula
        return None
    return T, values


def _infinite_curve(systems: Sequence[SystemResults], name: str) -> Curve | None:
    """Onsager's and Yang's results, without a field."""
    system = systems[0]
    if _critical_temperature(system) == 0 or _range(systems)[0] == _range(systems)[1]:
        return None
    J = float(system.facts["J"][0])
    T = np.linspace(*_range(systems), CURVE_POINTS)
    if name == "energy_per_site":
        return T, exact.onsager_energy(T, J)
    if name == "specific_heat":
        values = exact.onsager_specific_heat(T, J)
        highest = max(np.nanmax(s.columns[name]) for s in systems)
        return T, np.where(values < 1.25 * highest, values, np.nan)  # it diverges at Tc
    if name == "abs_magnetization_per_site" and J > 0:
        return T, exact.yang_magnetization(T, J)
    return None
