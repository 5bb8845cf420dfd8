"""What the command line shows: progress, tables, verdicts.  rich is used only here."""

import csv
import json
import math
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from ising_mc import exact, recalltables, traintables
from ising_mc.annealfile import read_annealing
from ising_mc.observables import NO, QUANTITIES
from ising_mc.planning import Division, Plan, SystemProgress, TaskProgress
from ising_mc.reader import LARGEST, LARGEST_SIDE, TEMPERATURE_RANGE
from ising_mc.recallfile import kind_of, read_recalls
from ising_mc.results import SystemResults, lacks, read_results
from ising_mc.runspec import RunSpec
from ising_mc.statistics import format_value
from ising_mc.store import Store
from ising_mc.trainfile import TRAINING, moment_differences, read_training_results
from ising_mc.unit import Unit

if TYPE_CHECKING:
    from ising_mc.validation import Check

LOG_SECONDS = 30.0
MOST_NAMED = 6  # systems in one line
TABLE_WIDTH = 180
SHOWN = (
    "energy_per_site", "abs_magnetization_per_site", "energy_per_unit", "activity_per_unit", "specific_heat",
    "susceptibility", "binder_cumulant",
)  # fmt: skip
EXTRA = (  # where they were observed
    "abs_staggered_magnetization_per_site",
    "correlation_length_axis0",
    "abs_overlap",
    "overlap_binder_ratio",
    "link_overlap",
    "log_z",
)
TAU_SHOWN = ("energy_per_site", "abs_magnetization_per_site", "energy_per_unit", "activity_per_unit")


def _console() -> Console:
    """Where tables go: never narrower than they are, since cut numbers are worse than lines that wrap."""
    console = Console(highlight=False)
    return console if console.width >= TABLE_WIDTH else Console(highlight=False, width=TABLE_WIDTH)


class RunProgress:
    """Shows a run: a bar with rate and time left on a terminal, a plain line now and then in a log.  On stderr."""

    def __init__(self, spec: RunSpec, out: Path) -> None:
        self.spec, self.out = spec, out
        self.console = Console(stderr=True, highlight=False)
        self._lock = threading.Lock()
        self._attempts = self._done = self._total = self._before = 0
        self._began = self._last_line = time.monotonic()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self._task = self._bar.add_task("starting", total=None, rate="")

    def __enter__(self) -> "RunProgress":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()

    def began(self, units: Sequence[Unit], store: Store, threads: int) -> None:
        """Say what will be done, with which algorithms and which seed."""
        end = self.spec.thermalization + self.spec.sweeps
        self._total = sum(unit.attempts_per_sweep * end for unit in units)
        self._before = sum(unit.attempts_per_sweep * min(end, store.done(unit.key)) for unit in units)
        self._began = self._last_line = time.monotonic()
        labels = _named([system.label for system in self.spec.systems])
        self._say(f"{labels}: {self.spec.amount}, {threads} thread(s), seed {store.seed}")
        for line in choice_lines(units):
            self._say(line)
        for line in self.spec.warnings:
            self._say(f"warning: {line}")
        if self._before:
            self._say(f"going on: {self._before / self._total:.1%} is done")
        self._bar.update(self._task, description="sampling", total=self._total, completed=self._before)

    def moved(self, unit: Unit, sweeps: int, attempts: int) -> None:
        """Move the bar; called from the threads."""
        with self._lock:
            self._attempts += attempts
            self._done += unit.attempts_per_sweep * sweeps
            now = time.monotonic()
            elapsed = max(1e-9, now - self._began)
            rate = self._attempts / elapsed / 1e9
            self._bar.update(self._task, completed=self._before + self._done, rate=f"{rate:.2f} flips/ns")
            if not self.console.is_terminal and now - self._last_line > LOG_SECONDS:
                self._last_line = now
                done = self._before + self._done
                left = (self._total - done) / self._done * elapsed
                self._say(f"{done / self._total:.1%} done, {rate:.2f} flips/ns, {left:.0f} s left")

    def saved(self) -> None:
        """Nothing to show."""

    def analysing(self, points: int) -> Callable[[], None]:
        """Show the second bar."""
        rate = self._attempts / max(1e-9, time.monotonic() - self._began) / 1e9
        self._say(f"sampled {self._attempts:.3g} flip attempts at {rate:.3g} flips/ns; writing {self.out}")
        task = self._bar.add_task("results", total=points, rate="")
        return lambda: self._bar.advance(task)

    def _say(self, line: str) -> None:
        self.console.print(line, soft_wrap=True, markup=False)


class MergeProgress(RunProgress):
    """Shows how a merge goes on."""

    def began(self, units: Sequence[Unit], store: Store, threads: int) -> None:
        """Say what is merged."""
        labels = _named(list(dict.fromkeys(unit.system.label for unit in units)))
        self._say(f"{labels}: {len(units)} unit(s) of work are merged, {threads} thread(s)")

    def analysing(self, points: int) -> Callable[[], None]:
        """Show the bar."""
        self._bar.remove_task(self._task)
        task = self._bar.add_task("results", total=points, rate="")
        return lambda: self._bar.advance(task)


def choice_lines(units: Sequence[Unit]) -> list[str]:
    """Which algorithm was chosen where, and why; warnings after it."""
    where: dict[tuple[str, str], list[float]] = {}
    for unit in units:
        temperatures = where.setdefault((unit.system.label, unit.choice.reason), [])
        own = unit.ladder or (unit.temperature,)
        temperatures += [T for T in own if T not in temperatures]
    merged: dict[tuple[str, tuple[float, ...]], list[str]] = {}
    for (label, reason), temperatures in where.items():
        merged.setdefault((reason, tuple(temperatures)), []).append(label)
    lines = [f"{_named(labels)}, {_span(T)}: {reason}" for (reason, T), labels in merged.items()]
    return lines + [f"warning: {text}" for text in dict.fromkeys(unit.choice.warning for unit in units) if text]


def _named(labels: Sequence[str]) -> str:
    """Names of systems, not too many of them."""
    if len(labels) <= MOST_NAMED:
        return ", ".join(labels)
    return f"{labels[0]}, {labels[1]}, ... {labels[-1]} ({len(labels)} systems)"


def _span(temperatures: Sequence[float]) -> str:
    low, high = min(temperatures), max(temperatures)
    return f"T = {low:g}" if low == high else f"T = {low:g} ... {high:g}"


def show_results(out: Path, form: str = "table") -> None:
    """Print the results of a file as a table, as CSV or as JSON.

    Raises StoreError where the file cannot be read.
    """
    kind = kind_of(out)
    lacking = lacks(out)
    if lacking:
        print(f"warning: {out} is partial, it lacks {lacking}", file=sys.stderr if form != "table" else sys.stdout)
    if kind == "anneal":
        _show_annealing(read_annealing(out), form)
        return
    if kind == "train":
        _show_training(read_training_results(out), form)
        return
    systems = read_results(out, samples=form != "table")
    if form == "csv":
        _show_csv(systems)
    elif form == "json":
        print(json.dumps({system.label: _as_json(system) for system in systems}, indent=1))
    elif kind == "hopfield":
        console = _console()
        for system in systems:
            console.print(system.title, soft_wrap=True, markup=False)
            console.print(recalltables.results_table(system))
        for line in recalltables.warnings_of(read_recalls(out)):
            console.print(line, soft_wrap=True, markup=False)
    else:
        console, members = _console(), read_results(out, samples=True)
        for system in systems:
            console.print(system.title, soft_wrap=True, markup=False)
            console.print(_results_table(system))
            own = [member for member in members if system.label in (member.label, member.facts.get("family"))]
            if any(member.tempering for member in own):
                console.print(_tempering_line(system.label, own), soft_wrap=True, markup=False)
        for line in warnings_of(members):
            console.print(line, soft_wrap=True, markup=False)


def _results_table(system: SystemResults) -> Table:
    table = Table(box=None, pad_edge=False)
    columns = system.columns
    shown = [name for name in (*SHOWN, *EXTRA) if name in columns]
    taus = [name for name in TAU_SHOWN if f"{name}_tau_int" in columns]
    names = ["T", *(QUANTITIES[name].symbol for name in shown), *(f"tau_{QUANTITIES[name].symbol}" for name in taus)]
    for name in (*names, *(["equil."] if "equilibrated" in columns else [])):
        table.add_column(name, justify="right", no_wrap=True)
    for t, T in enumerate(system.temperatures):
        cells = [format_value(columns[name][t], columns[f"{name}_error"][t]) for name in shown]
        cells += [_short(columns[f"{name}_tau_int"][t]) for name in taus]
        if "equilibrated" in columns:
            cells.append({1: "yes", 0: "NO"}.get(int(columns["equilibrated"][t]), "?"))
        table.add_row(f"{T:g}", *cells)
    return table


def _show_annealing(systems: Sequence[dict[str, Any]], form: str) -> None:
    """What annealing found, system by system: as a table, or with the energies of all reads."""
    if form == "json":
        print(json.dumps({own["label"]: {name: _plain(x) for name, x in own.items()} for own in systems}, indent=1))
        return
    if form == "csv":
        writer = csv.writer(sys.stdout)
        writer.writerow(["system", "read", "energy", *(["cut"] if "cut" in systems[0] else [])])
        for own in systems:
            for k, energy in enumerate(own["energy"]):
                writer.writerow([own["label"], k, energy, *([own["cut"][k]] if "cut" in own else [])])
        return
    table = Table(box=None, pad_edge=False)
    names = [
        "system",
        "sites",
        "reads",
        "lowest E",
        "per site",
        "mean E",
        "target",
        "met by",
        "sweeps to target (99 %)",
    ]
    for name in names + ["seconds"] + (["largest cut"] if any("cut" in own for own in systems) else []):
        table.add_column(name, justify="right", no_wrap=True)
    for own in systems:
        energy, reads = own["energy"], int(own["reads"])
        spread = energy.std(ddof=1) / math.sqrt(reads) if reads > 1 else math.nan
        seconds = own["seconds_per_sweep"]
        cells = [
            f"{own['best_energy']:.10g}",
            f"{own['best_energy'] / own['n_sites']:.6f}",
            format_value(float(energy.mean()), spread),
            f"{own['target']:.10g}" if own["target_given"] else "lowest",
            format_value(float(own["success_probability"]), float(own["success_probability_error"])),
            format_value(float(own["time_to_target"]), float(own["time_to_target_error"])),
            format_value(float(own["time_to_target"] * seconds), float(own["time_to_target_error"] * seconds)),
        ]
        cells += [f"{own['cut'].max():.10g}"] if "cut" in own else []
        table.add_row(own["label"], str(own["n_sites"]), str(reads), *cells)
    console = _console()
    console.print(table)
    for own in systems:
        if not own["success_probability"]:
            label, target = own["label"], own["target"]
            line = f"warning: {label}: no read met the target {target:g}: raise anneal.sweeps or anneal.reads"
            console.print(line, soft_wrap=True, markup=False)


def _show_training(training: dict[str, Any], form: str) -> None:
    """How learning went: as a table, or with all epochs."""
    names = ["epoch", *(name for name in TRAINING if name in training)]
    if form == "csv":
        writer = csv.writer(sys.stdout)
        writer.writerow(names)
        for row in zip(*(training[name] for name in names), strict=True):
            writer.writerow(["" if np.isnan(value) else value for value in row])  # not estimated in that epoch
        return
    if form == "json":
        means, covariances = moment_differences(training)
        curves = {name: training[name] for name in (*names, "data_mean", "model_mean")}
        differences = {"mean_difference": means, "covariance_difference": covariances}
        own = training["facts"] | {"seconds": training["seconds"]} | differences | curves
        shown = {name: _plain(value) for name, value in own.items()}
        print(json.dumps({training["label"]: shown}, indent=1))
        return
    console = _console()
    console.print(traintables.title(training), soft_wrap=True, markup=False)
    console.print(traintables.curves_table(training))
    for line in (*traintables.notes(training), *traintables.warnings_of(training)):
        console.print(line, soft_wrap=True, markup=False)


def show_recalls(out: Path) -> None:
    """Print what became of each recall of a file.

    Raises StoreError where the file cannot be read.
    """
    console, systems = _console(), read_recalls(out)
    for system in systems:
        for t, T in enumerate(system["temperature"]):
            console.print(f"{system['label']}, T = {T:g}", soft_wrap=True, markup=False)
            console.print(recalltables.recalls_table(system, t))
            left = system["recalls"]["outcome"].shape[1] - recalltables.MOST_RECALLS
            if left > 0:
                console.print(f"and {left} more in {out}", soft_wrap=True, markup=False)
    for line in recalltables.warnings_of(systems):
        console.print(line, soft_wrap=True, markup=False)


def _tempering_line(label: str, members: Sequence[SystemResults]) -> str:
    """How temperatures were exchanged, over all samples of a disorder."""
    rates, trips, times = (
        np.concatenate([member.tempering[name] for member in members if member.tempering])
        for name in ("swap_rate", "round_trips", "round_trip_time")
    )
    line = f"{label}: swap rates {np.nanmin(rates):.2g} to {np.nanmax(rates):.2g}, {trips.sum()} round trips"
    return line + (f" of {np.nansum(trips * times) / trips.sum():.0f} sweeps on average" if trips.sum() else "")


def _short(value: float) -> str:
    return "?" if math.isnan(value) else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def warnings_of(systems: Sequence[SystemResults]) -> list[str]:
    """What a reader of the results must know: points that are not equilibrated, and errors that cannot be told.

    The samples of a disorder are told of together.
    """
    families: dict[str, list[SystemResults]] = {}
    lines: list[str] = []
    for system in systems:
        if not system.samples:
            families.setdefault(str(system.facts.get("family", system.label)), []).append(system)
        elif system.samples == 1:
            lines.append(f"warning: {system.label}: one sample tells nothing of the scatter between samples")
    for label, members in families.items():
        lines += _swap_warnings(label, members)
        bad = [system.columns["equilibrated"] == NO for system in members]
        if np.any(bad):
            lines.append(
                f"warning: {label} is not equilibrated at T = {_where(members, bad)}: its replicas do not agree with "
                "one another; if tau_int is long against the run, raise schedule.sweeps, else raise "
                "schedule.thermalization in a new run"
            )
        unknown = [np.isnan(system.columns.get("log_z_error", np.zeros(1))) for system in members]
        if np.any(unknown):
            lines.append(
                f"warning: {label}: log Z at T = {_where(members, unknown)} is too low on average, and by how much "
                "cannot be told: few of the annealed chains count"
            )
        for name in (name for name in SHOWN if name in members[0].columns):
            errors = [np.isnan(system.columns[f"{name}_error"]) for system in members]
            taus = [np.isnan(system.columns[f"{name}_tau_int"]) for system in members]
            unknown_taus = [tau & ~error for tau, error in zip(taus, errors, strict=True)]
            for what, missing in (("error", errors), ("tau_int", unknown_taus)):
                if np.any(missing):
                    lines.append(
                        f"warning: {label}: the series of {QUANTITIES[name].symbol} is too short, or varies too "
                        f"little, to tell its {what} at T = {_where(members, missing)}; more sweeps may help"
                    )
    return lines


def _swap_warnings(label: str, members: Sequence[SystemResults]) -> list[str]:
    """Of ladders that are broken somewhere."""
    broken = {}
    for member in members:
        rates = member.tempering.get("swap_rate", np.zeros(0))
        order = np.argsort(member.temperatures[: len(rates)])
        for one, other in pairwise(order):
            if rates[one] == 0:
                broken[float(member.temperatures[one])] = float(member.temperatures[other])
    return [
        f"warning: {label}: no swap between T = {one:g} and T = {other:g} was accepted: raise num in "
        "grid.temperatures, or narrow its ends, and set tempering.ladder = 'auto', which spreads temperatures evenly"
        for one, other in broken.items()
    ]


def _where(members: Sequence[SystemResults], flags: Sequence[NDArray[np.bool_]]) -> str:
    """Temperatures at which some system is flagged, and how many of several."""
    counts = np.sum(flags, axis=0)
    share = f" of {len(members)} samples" if len(members) > 1 else ""
    return ", ".join(
        f"{T:g} ({count}{share})" if share else f"{T:g}"
        for T, count in zip(members[0].temperatures, counts, strict=True)
        if count
    )


def _as_json(system: SystemResults) -> dict[str, Any]:
    columns = {name: [_plain(x) for x in values] for name, values in system.columns.items()}
    facts = {name: _plain(value) for name, value in system.facts.items()}
    return {**facts, "temperature": list(system.temperatures), **columns}


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value]
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _show_csv(systems: Sequence[SystemResults]) -> None:
    # a cell holds one number: what has one a unit is for JSON
    names = list(dict.fromkeys(name for own in systems for name, values in own.columns.items() if values.ndim == 1))
    writer = csv.writer(sys.stdout)
    writer.writerow(["system", "temperature", *names])
    for system in systems:
        for t, T in enumerate(system.temperatures):
            writer.writerow([system.label, repr(float(T)), *(_cell(system, name, t) for name in names)])


def _cell(system: SystemResults, name: str, t: int) -> Any:
    return system.columns[name][t] if name in system.columns else ""


def show_plan(plan: Plan, out: Path) -> None:
    """Print what a run would do and cost."""
    console = _console()
    table = Table(box=None, pad_edge=False)
    for name in (
        "system",
        "sites",
        "kernel",
        "units",
        "flips/ns a thread",
        "thread seconds",
        "memory a thread",
        "time series",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    for s in plan.systems:
        label = s.label if s.samples == 1 else f"{s.label}, {s.samples} samples"
        cells = (f"{s.flips_per_ns:.2f}", f"{s.seconds:.1f}", _bytes(s.memory), _bytes(s.disk))
        table.add_row(label, str(s.n_sites), s.kernel, str(s.units), *cells)
    console.print(table)
    for s in plan.systems:
        for line in (*s.reasons, *(f"warning: {text}" for text in s.warnings)):
            console.print(f"{s.label}: {line}", soft_wrap=True, markup=False)
    console.print(
        f"{plan.threads} thread(s): about {_duration(plan.seconds)} of sampling, {_bytes(plan.memory)} of memory, "
        f"up to {_bytes(plan.disk)} of disk, into {out}",
        soft_wrap=True,
        markup=False,
    )


def _bytes(n: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if n < 1024:
            return f"{n:.0f} {unit}" if unit == "B" else f"{n:.1f} {unit}"
        n /= 1024
    return f"{n:.1f} TiB"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def show_status(
    progress: Sequence[SystemProgress], out: Path, as_json: bool, tasks: Sequence[TaskProgress] = ()
) -> None:  # fmt: skip
    """Print how far a run is: its points, and the tasks that share it."""
    done, total = sum(p.done for p in progress), sum(p.total for p in progress)
    if as_json:
        rows = [
            {"system": p.label, "temperature": p.temperature, "done": p.done, "total": p.total, "state": p.state}
            for p in progress
        ]
        shares = [{**vars(task), "seconds_left": task.seconds_left} for task in tasks]
        shares = [{name: _plain(value) for name, value in share.items()} for share in shares]
        found = {"output": str(out), "done": done / total, "points": rows, "tasks": shares}
        print(json.dumps(found, indent=1))
        return
    console = _console()
    if tasks:
        console.print(_tasks_table(tasks))
    table = Table(box=None, pad_edge=False)
    for name in ("system", "T", "state", "sweeps done", "of"):
        table.add_column(name, justify="right", no_wrap=True)
    for p in progress:
        table.add_row(p.label, f"{p.temperature:g}", p.state, str(p.done), str(p.total))
    console.print(table)
    complete = f"complete: {out}" if done == total and out.exists() else f"{done / total:.1%} of {out} is saved"
    console.print(complete, soft_wrap=True, markup=False)


def _tasks_table(tasks: Sequence[TaskProgress]) -> Table:
    """Tasks of a job array, a line each; those that are done together in one."""
    table = Table(box=None, pad_edge=False)
    for name in ("task", "state", "units", "done", "last save", "an hour", "left"):
        table.add_column(name, justify="right", no_wrap=True)
    for task in tasks:
        cells = (
            "-" if math.isnan(task.age) else f"{_time(task.age)} ago",
            "?" if math.isnan(task.rate) else f"{3600 * task.rate:.1%}",
            "?" if math.isnan(task.seconds_left) else _time(task.seconds_left),
        )
        if task.state != "done":
            table.add_row(str(task.number), task.state, str(task.units), f"{task.done:.1%}", *cells)
    finished = [task for task in tasks if task.state == "done"]
    if finished:
        units = str(sum(task.units for task in finished))
        table.add_row(f"{len(finished)} of {len(tasks)}", "done", units, "100 %", "", "", "")
    return table


def _time(seconds: float) -> str:
    """A time in its largest unit."""
    for name, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} s"


def show_division(division: Division, seconds: float) -> None:
    """Print how a run would be divided among tasks."""
    line = (
        f"{division.tasks} task(s) of one thread: the longest takes about {_time(division.busiest)}, the mean "
        f"{_time(division.mean)}; {division.units} unit(s) of work, which no task can share"
    )
    _console().print(line, soft_wrap=True, markup=False)
    restarts = math.ceil(division.busiest / seconds) - 1
    line = f"for tasks of {_time(seconds)}: --tasks {division.suggested}"
    if restarts > 0:
        line += f"; with {division.tasks} the longest goes through the queue {restarts + 1} times"
    _console().print(line, soft_wrap=True, markup=False)


# options that each kind of exact value takes; -J goes with all of them
EXACT_OPTIONS = {
    "onsager": ("-T",),
    "kaufman": ("-T", "-L", "--jy"),
    "chain": ("-T", "-L", "--field"),
    "enumerate": ("-T", "-L", "--field"),
    "tc": ("--jy",),
    "triangular": ("-T",),
    "honeycomb": ("-T",),
    "curie_weiss": ("-T", "-L", "--field"),
}
INFINITE = ("onsager", "triangular", "honeycomb")  # need no size


def _refuse_unused(what: str, given: dict[str, bool]) -> None:
    unused = [option for option, is_given in given.items() if is_given and option not in EXACT_OPTIONS[what]]
    if unused:
        raise ValueError(
            f"exact {what} takes no {' and no '.join(unused)}; it takes -J, {', '.join(EXACT_OPTIONS[what])}"
        )


def show_exact(
    what: str,
    temperatures: Sequence[float],
    size: tuple[int, int] | None,
    J: float,
    jy: float | None,
    h: float,
    as_json: bool,
) -> None:
    """Print exact values, one temperature a line.

    Raises ValueError where something needed is missing or cannot be done.
    """
    _refuse_unused(what, {"-T": bool(temperatures), "-L": size is not None, "--jy": jy is not None, "--field": h != 0})
    couplings = J if jy is None else (J, jy)
    if what == "tc":
        print(
            json.dumps({"Tc": exact.critical_temperature(couplings)})
            if as_json
            else exact.critical_temperature(couplings)
        )
        return
    if not temperatures:
        raise ValueError(f"exact {what} needs a temperature: give -T 2.0, once or more")
    if any(not 1 / LARGEST <= T <= LARGEST for T in temperatures):
        raise ValueError(f"a temperature must be a positive number {TEMPERATURE_RANGE}")
    if size is not None and what in ("chain", "curie_weiss") and size[1] != 1:
        raise ValueError(f"exact {what} has one side: give -L {size[0]} 1")
    if size is not None and max(size) > LARGEST_SIDE:
        raise ValueError(f"a side must have at most {LARGEST_SIDE} sites, not {max(size)}")
    if what not in INFINITE and size is None:
        raise ValueError(f"exact {what} needs a size: give -L 32 32 (for chain and curie_weiss: -L 100 1)")
    rows = [{"T": T, **_exact_row(what, T, size, couplings, J, h)} for T in temperatures]
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    table = Table(box=None, pad_edge=False)
    for name in rows[0]:
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*(f"{value:.10g}" for value in row.values()))
    console = Console(highlight=False, width=40 + 26 * len(rows[0]))
    console.print(table)


def _exact_row(
    what: str, T: float, size: tuple[int, int] | None, couplings: float | tuple[float, float], J: float, h: float
) -> dict[str, float]:
    if what == "onsager":
        return {
            "energy": float(exact.onsager_energy(T, J)),
            "specific_heat": float(exact.onsager_specific_heat(T, J)),
            "magnetization" if J > 0 else "staggered_magnetization": float(exact.yang_magnetization(T, J)),
        }
    if what == "triangular":
        return {
            "energy": float(exact.triangular_energy(T, J)),
            "specific_heat": float(exact.triangular_specific_heat(T, J)),
        }
    if what == "honeycomb":
        return {
            "energy": float(exact.honeycomb_energy(T, J)),
            "specific_heat": float(exact.honeycomb_specific_heat(T, J)),
        }
    assert size is not None  # checked by the caller
    if what == "curie_weiss":
        return {name: float(value) for name, value in exact.curie_weiss(T, size[0] * size[1], J, h).items()}
    if what == "enumerate":
        if min(size) < 2 or size[0] * size[1] > exact.MAX_SITES:
            raise ValueError(
                f"enumeration does periodic rectangles of 4 to {exact.MAX_SITES} sites with sides of at least 2"
            )
        states = exact.enumerate_states(size[0] * size[1], exact.square_bonds(*size), J, h)
        return {name: float(value) for name, value in states.observables(T).items()}
    values = exact.kaufman(T, size, couplings) if what == "kaufman" else exact.chain(T, size[0] * size[1], J, h)
    return {
        "free_energy": float(values.free_energy),
        "energy": float(values.energy),
        "specific_heat": float(values.specific_heat),
    }


def show_checks(checks: "Iterable[Check]") -> bool:
    """Print each check as it ends; True where all passed."""
    failed = count = 0
    for check in checks:
        count += 1
        failed += not check.passed
        verdict = "ok  " if check.passed else "FAIL"
        print(f"{verdict}  {check.name}: {check.statistic:.4g}, p = {check.p_value:.2g} ({check.limit})", flush=True)
    print(f"{count - failed} of {count} checks passed")
    return failed == 0
