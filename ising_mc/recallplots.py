"""Pictures of recalls in Hopfield networks."""

from collections.abc import Callable, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ising_mc import exact
from ising_mc.recallfile import read_recalls
from ising_mc.results import SystemResults, read_results

CURVE_POINTS = 200
MOST_CURVES = 30  # recalls whose energies are drawn
MOST_PICTURES = 10
PANEL, STRIP = 3.6, 2.6  # heights of panels and of pictures
STATES = (("cue", "cue"), ("final", "recalled"), ("stored", "stored"))


def draw(out: Any, names: Sequence[str]) -> Figure:
    """Panels of a result file: those named, or all that it has something for.

    Raises ValueError for an unknown panel, or one that the file has nothing for; StoreError where it cannot be read.
    """
    results, systems = read_results(out), read_recalls(out)
    results.sort(key=lambda system: (int(system.facts["units"]), float(system.facts["load"])))
    there = [name for name, panel in PANELS.items() if panel.has(results, systems)]
    for name in names:
        if name not in there:
            raise ValueError(f"{out} has nothing to draw for '{name}'; it has {', '.join(there)}")
    chosen = list(names) or there
    pictures = "pictures" in chosen
    chosen = [name for name in chosen if name != "pictures"]
    rows = -(-len(chosen) // 2)
    width = 4.8 * min(2, max(1, len(chosen))) + (2.4 if pictures and len(chosen) < 2 else 0)
    figure = plt.figure(figsize=(width, PANEL * rows + (STRIP if pictures else 0)), layout="constrained")
    parts: Any = [figure, figure]
    if pictures and chosen:
        parts = figure.subfigures(2, 1, height_ratios=[PANEL * rows, STRIP])
    if chosen:
        grid = parts[0].subplots(rows, min(2, len(chosen)), squeeze=False)
        for axes, name in zip(grid.flat, chosen, strict=False):
            PANELS[name].draw(axes, results, systems)
        for axes in grid.flat[len(chosen) :]:
            axes.axis("off")
    if pictures:
        _pictures(parts[1], systems)
    return figure


def _points(axes: Axes, x: Any, system_values: Any, errors: Any, **style: Any) -> None:
    axes.errorbar(x, system_values, np.nan_to_num(errors), fmt="o", ms=3.5, lw=1, **style)


def _by_cue(results: Sequence[SystemResults]) -> dict[str, list[SystemResults]]:
    """Systems that differ in load, together."""
    groups: dict[str, list[SystemResults]] = {}
    for system in sorted(results, key=lambda system: float(system.facts["load"])):
        cue = [f"{name} {system.facts[f'cue_{name}']:g}" for name in ("flip", "blank") if system.facts[f"cue_{name}"]]
        cue += ["hidden units"] if np.ptp(system.facts["cue_hidden"]) else []
        cue += ["from a file"] if system.facts["cue_given"] else []
        groups.setdefault(f"N = {system.facts['units']}, cue: {', '.join(cue) or 'the pattern'}", []).append(system)
    return groups


def _is_hebb(results: Sequence[SystemResults]) -> bool:
    """Whether the theory of Amit, Gutfreund and Sompolinsky is about them."""
    facts = [system.facts for system in results]
    if any(own["update"] == "synchronous" for own in facts) and np.any(results[0].temperatures > 0):
        return False  # Little's model has another phase diagram
    return all(own["rule"] == "hebb" and own["bias"] == 0 and own["thresholds"] == 0 for own in facts)


def _over_load(axes: Axes, results: Sequence[SystemResults], systems: Any) -> None:
    for T in sorted({float(T) for system in results for T in system.temperatures}):
        for number, (label, group) in enumerate(_by_cue(results).items()):
            own = [(system, int(np.flatnonzero(system.temperatures == T)[0])) for system in group]
            load = [float(system.facts["load"]) for system, _ in own]
            text = label + (f", T = {T:g}" if T else "")
            values, errors = (
                [system.columns[column][t] for system, t in own] for column in ("overlap", "overlap_error")
            )
            _points(axes, load, values, errors, label=text, color=None if T else f"C{number}")
        if _is_hebb(results):
            alpha = np.linspace(0, max(float(system.facts["load"]) for system in results), CURVE_POINTS)
            theory = exact.hopfield_overlap(alpha[1:], T)
            axes.plot(alpha[1:], theory, color="0.5", lw=1.2, zorder=0, label="theory, infinite N" if T == 0 else None)
    axes.set(xlabel="load alpha = P/N", ylabel="overlap m", ylim=(-0.02, 1.02))
    axes.legend(fontsize=7, frameon=False)


def _over_temperature(axes: Axes, results: Sequence[SystemResults], systems: Any) -> None:
    for number, system in enumerate(results):
        alpha = float(system.facts["load"])
        _points(
            axes, system.temperatures, system.columns["overlap"], system.columns["overlap_error"],
            color=f"C{number}", label=f"{system.label}, alpha = {alpha:.3g}",
        )  # fmt: skip
        if _is_hebb(results):
            T = np.linspace(min(system.temperatures), max(system.temperatures), CURVE_POINTS)
            axes.plot(T, exact.hopfield_overlap(alpha, T), color=f"C{number}", lw=1, alpha=0.6)
    axes.set(xlabel="temperature T", ylabel="overlap m", ylim=(-0.05, 1.02))
    axes.legend(fontsize=7, frameon=False)


def _phases(axes: Axes, results: Sequence[SystemResults], systems: Any) -> None:
    load = np.concatenate([np.full(len(system.temperatures), float(system.facts["load"])) for system in results])
    T = np.concatenate([system.temperatures for system in results])
    m = np.concatenate([system.columns["overlap"] for system in results])
    points = axes.scatter(load, T, c=m, cmap="viridis", vmin=0, vmax=1, s=28, zorder=3)
    axes.figure.colorbar(points, ax=axes, label="overlap m")
    alpha = np.linspace(1e-4, max(0.16, load.max()), CURVE_POINTS)
    for function, label, style in (
        (exact.hopfield_spin_glass_temperature, "T_g", ":"),
        (exact.hopfield_retrieval_temperature, "T_M: retrieval below", "-"),
        (exact.hopfield_ground_temperature, "T_c: lowest free energy below", "--"),
    ):
        axes.plot(alpha, function(alpha), style, color="0.3", lw=1.2, label=label)
    axes.set(xlabel="load alpha = P/N", ylabel="temperature T", ylim=(0, 1.75))
    axes.legend(fontsize=7, frameon=False, loc="upper left")


def _basins(axes: Axes, results: Sequence[SystemResults], systems: Any) -> None:
    groups: dict[str, list[SystemResults]] = {}
    for system in results:
        groups.setdefault(f"N = {system.facts['units']}, alpha = {system.facts['load']:.3g}", []).append(system)
    for number, (label, group) in enumerate(groups.items()):
        first = [float(system.columns["cue_overlap"][0]) for system in group]
        order = np.argsort(first)
        columns = [group[k].columns for k in order]
        last, errors = ([float(own[name][0]) for own in columns] for name in ("overlap", "overlap_error"))
        _points(axes, np.array(first)[order], last, errors, color=f"C{number}", label=label)
        axes.plot(np.array(first)[order], last, color=f"C{number}", lw=0.8)
    axes.plot([0, 1], [0, 1], color="0.7", lw=0.8, zorder=0)
    axes.set(xlabel="overlap of the cue", ylabel="overlap at the end", ylim=(-0.05, 1.02))
    axes.legend(fontsize=7, frameon=False)


def _descent(axes: Axes, results: Sequence[SystemResults], systems: list[dict[str, Any]]) -> None:
    system = max(systems, key=lambda own: float(np.ptp(own["energy"][0], axis=1).mean()))  # where most goes on
    energy, sweeps, n = system["energy"][0], system["sweep"], float(system["facts"]["units"])
    if not system["facts"]["thermalization"]:
        energy = np.concatenate((system["recalls"]["cue_energy"][0][:, None], energy), axis=1)
        sweeps = np.concatenate(([0], sweeps))
    last = int(np.max(np.flatnonzero(np.any(energy != energy[:, -1:], axis=0)), initial=0)) + 3
    for own in energy[:MOST_CURVES, :last]:
        axes.plot(sweeps[:last], own / n, color="C0", lw=0.8, alpha=0.5)
    axes.set(xlabel="sweep", ylabel="energy per unit", title=f"{system['label']}, T = {system['temperature'][0]:g}")


def _pictures(figure: Any, systems: list[dict[str, Any]]) -> None:
    system = next(own for own in systems if _has_pictures(own))
    shape, recalls = tuple(system["facts"]["picture"]), system["recalls"]
    number = min(MOST_PICTURES, recalls["cue"].shape[1])
    shown = {"cue": recalls["cue"][0], "final": recalls["final"][0], "stored": system["patterns"][recalls["cued"][0]]}
    grid = figure.subplots(len(STATES), number, squeeze=False)
    for row, (name, title) in zip(grid, STATES, strict=True):
        for k, axes in enumerate(row):
            axes.imshow(-shown[name][k].reshape(shape), cmap="gray", vmin=-1, vmax=1, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
        row[0].set_ylabel(title, fontsize=8)


def _has_pictures(system: dict[str, Any]) -> bool:
    return len(system["facts"]["picture"]) == 2 and system["patterns"] is not None and "cue" in system["recalls"]


class Panel:
    """What a panel shows, and whether a file has something for it."""

    def __init__(self, draw: Callable[..., None], has: Callable[[Any, Any], bool]) -> None:
        self.draw, self.has = draw, has


def _varies(results: Sequence[SystemResults], *facts: str) -> bool:
    return any(len({float(system.facts[name]) for system in results}) > 1 for name in facts)


def _has_temperatures(results: Sequence[SystemResults]) -> bool:
    return len(results[0].temperatures) > 1


PANELS = {
    "load": Panel(_over_load, lambda results, _: _varies(results, "load") and len(results[0].temperatures) < 4),
    "temperature": Panel(_over_temperature, lambda results, _: _has_temperatures(results)),
    "phases": Panel(
        _phases, lambda results, _: _varies(results, "load") and _has_temperatures(results) and _is_hebb(results)
    ),
    "basins": Panel(_basins, lambda results, _: _varies(results, "cue_flip", "cue_blank")),
    "descent": Panel(_descent, lambda *_: True),
    "pictures": Panel(_pictures, lambda _, systems: any(_has_pictures(own) for own in systems)),
}
