"""The report of the benchmark suite, from what `run.py` has found: tables in Markdown, and pictures."""

import math
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from harness import Result, middle_and_spread, ratios

AIMS = (  # name, contest, rival, what is asked, the kernel in the roofline
    ("2D Metropolis over mcising", "metropolis_2d_128", "mcising", 100.0, "square, L = 128"),
    ("3D Metropolis over mcising", "metropolis_3d_16", "mcising", 100.0, "cubic, L = 32"),
)
BOTH_CORES, ERROR_PER_SECOND, WHOLE = 50.0, 50.0, 0.8


def days(dates: dict[str, str]) -> str:
    """The first day, and the last one where that is another."""
    found = sorted(set(dates.values()))
    return " to ".join(dict.fromkeys((found[0], found[-1]))) if found else "no date"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(headings)} |", "|" + "---|" * len(headings)]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows), ""]


def number(x: float, digits: int = 3) -> str:
    return "-" if x is None or math.isnan(x) else f"{x:.{digits}g}"


def text(known: dict[str, Any], folder: Path) -> str:
    """The whole report; pictures go into the folder."""
    facts = known["facts"]
    lines = [
        "# How fast, how right, against whom",
        "",
        f"{days(known['dates'])}, {facts['cpu']}, {facts['cores']} cores ({facts['flags']}), Python {facts['python']}; "
        + ", ".join(f"{name} {version}" for name, version in facts["versions"].items() if version != "unknown"),
        "",
        f"Made by `python benchmarks/run.py{' --quick' if known['mode'] == 'quick' else ''}` in "
        f"{sum(known['seconds'].values()) / 60:.0f} minutes. Rates are medians over rounds in which all take turns, one "
        "thread each unless said otherwise; a ratio is taken in each round. Work counts only where what came out agrees "
        "with the exact value, or else with ours, within five standard errors; it is checked on the system that is named, "
        "in runs of their own.",
        "",
    ]
    lines += aims(known) + contests(known["contests"])
    for name, tell in STUDIES.items():
        if name in known["studies"]:
            found = known["studies"][name]
            if isinstance(found, dict) and "trouble" in found:
                lines += [f"## {name}", "", f"failed: {found['trouble']}", ""]
            else:
                lines += tell(found)
    for draw in PICTURES:
        lines += draw(known, folder)
    return "\n".join(lines).rstrip() + "\n"


# --- contests -------------------------------------------------------------------------------------------------------


def results_of(contest: dict[str, Any]) -> list[Result]:
    return [Result(**own) for own in contest.get("results", [])]


def contests(found: dict[str, Any]) -> list[str]:
    lines = ["## Contests", ""]
    for contest in found.values():
        if "trouble" in contest:
            lines += [f"failed: {contest['trouble']}", ""]
            continue
        results, unit = results_of(contest), contest["unit"]
        scale, unit = (1e9, unit.replace("/ns", "/s")) if unit == "epochs/ns" else (1.0, unit)
        lines += [f"### {contest['title']}", ""]
        rows = []
        for own in results:
            rate = number(scale * statistics.median(own.rates)) if own.rates else "-"
            over = ratios(results, own.name) if own is not results[0] else []
            value = "" if math.isnan(own.value) else f"{own.value:.6g} +- {own.error:.1g}"
            aim = (
                "as ours" if own.aim is None and own is not results[0] else "" if own.aim is None else f"{own.aim:.6f}"
            )
            rows.append((own.name, rate, middle_and_spread(over) if over else "", value, aim, own.system, own.trouble))
        lines += table(("", unit, "ours over it", contest["checks"], "exact", "of", ""), rows)
    return lines


def aims(known: dict[str, Any]) -> list[str]:
    """What was asked for, what was seen, and why what was missed was missed."""
    rows = []

    def row(name: str, aim: float, seen: float, shown: str, reason: str, form: str = "g") -> None:
        rows.append((name, f"{aim:{form}}", shown, "" if seen >= aim else reason))

    studies = known["studies"]
    roof = {own["name"]: own for own in studies.get("roofline", {}).get("rows", [])}
    for name, key, rival, aim, kernel in AIMS:
        results = results_of(known["contests"].get(key, {}))
        over = ratios(results, rival) if results else []
        if over:
            row(name, aim, statistics.median(over), middle_and_spread(over), _reached(roof, kernel))
        elif results:
            row(
                name,
                aim,
                0.0,
                "not measured",
                "; ".join(f"{own.name}: {own.trouble}" for own in results if own.trouble),
            )
    if "rows" in studies.get("sizes", {}):
        best = max(
            (own for own in studies["sizes"]["rows"] if own["kind"] == "square" and own["packing"] == "replicas"),
            key=lambda own: own["all"],
        )
        name = f"attempts/ns of all cores, square lattice (L = {best['L']})"
        reason = f"one core does {number(best['one'])}, {studies['sizes']['threads']} cores {number(best['all'])}. "
        row(name, BOTH_CORES, best["all"], number(best["all"]), reason + _reached(roof, "square, L = 128"))
    if isinstance(studies.get("effective_samples"), list):
        times = {
            own["name"]: own["seconds_to_1e-4"]
            for own in studies["effective_samples"]
            if own["L"] == 64 and "trouble" not in own and not math.isnan(own["seconds_to_1e-4"])
        }
        ours = min((name for name in times if name.startswith("ising-mc")), key=times.__getitem__, default=None)
        rival = min((name for name in times if not name.startswith("ising-mc")), key=times.__getitem__, default=None)
        if ours and rival:
            ratio = times[rival] / times[ours]
            reason = f"the best rival is {rival}, not a local update; ours that is best is {ours}"
            twin = f"ising-mc, {rival.split(', ')[-1]}"
            if twin in times and twin != ours:
                reason += f", and {twin} is {number(times[rival] / times[twin])} times as fast as its rival"
            name = "error of e a second at L = 64, Tc, over the best rival"
            row(name, ERROR_PER_SECOND, ratio, number(ratio), reason)
    whole = studies.get("whole_command", {})
    for own in whole.get("rows", []):
        share, sampling, (low, high) = own["share"], own["sampling_share"], own["range"]
        name = f"whole command over kernel, L = {own['L']}, {own['sweeps']} sweeps, measured every {own['every']}"
        reason = (
            f"sampling, measuring and saving reach {sampling:.0%}; what follows is statistics and the compressed file"
        )
        row(name, WHOLE, share, f"{share:.0%} ({low:.0%} - {high:.0%})", reason, ".0%")
    return ["## Aims", "", *table(("", "aim", "seen", "why it was missed"), rows)] if rows else []


def _reached(roof: dict[str, Any], start: str) -> str:
    """What the roofline says of a kernel."""
    for name, own in roof.items():
        if name.startswith(start) and "most" in own:
            return (
                f"the kernel is at {own['share']:.0%} of what its {own['bound']} allow on this processor "
                f"({number(own['rate'])} of {number(own['most'])} attempts/ns a core, see the roofline)"
            )
    return ""


# --- studies --------------------------------------------------------------------------------------------------------


def sizes(found: dict[str, Any]) -> list[str]:
    rows = [
        (row["kind"], str(row["L"]), "64 replicas" if row["packing"] == "replicas" else "64 sites", number(row["one"]),
         f"{row['spread']:.0%}", number(row["all"]), f"{row['all'] / row['one']:.2f}", number(row["bytes"]))
        for row in found["rows"]
    ]  # fmt: skip
    headings = (
        "lattice",
        "L",
        "a word holds",
        "attempts/ns",
        "spread",
        f"{found['threads']} threads",
        "times",
        "bytes a spin",
    )
    about = (
        "Where a word holds 64 sites, the threads share one lattice and meet after each colour: that pays for large "
        "lattices only (`threads` does not do it below 2^15 words of it, unless asked to as here)."
    )
    return ["## Rates over the size", "", *table(headings, rows), about, ""]


def growth(found: list[dict[str, Any]]) -> list[str]:
    lines = ["## How the cost of a sweep grows", ""]
    rows = []
    for own in found:
        what = own["what"]
        steps = "; ".join(f"{row[what]}: {number(row['ns'])} ns ({number(row['rate'])}/ns)" for row in own["rows"])
        rows.append((own["name"], steps, f"{own['exponent']:.2f}"))
    return lines + table(("", "a sweep of all replicas (updates/ns)", "exponent"), rows)


def patterns(found: dict[str, Any]) -> list[str]:
    rows = [(str(row["N"]), str(row["P"]), number(row["rate"])) for row in found["rows"]]
    fixed = {"P": "P at N = 1024", "N": "N at P = N / 10"}
    grows = "; ".join(f"with {fixed[x]} as the power {own:.2f}" for x, own in found["exponents"].items())
    return [
        "## Hopfield recalls from new cues", "", *table(("N", "P", "updates/ns"), rows),
        f"The time of an update goes {grows}; of new cues their making, and of small networks the start, count too."
        if grows else "", "",
    ]  # fmt: skip


def measuring(found: list[dict[str, Any]]) -> list[str]:
    rows = [(row["name"], *(number(row[every]) for every in ("0", "1", "10"))) for row in found]
    headings = ("", "no measurement", "every sweep", "every 10 sweeps")
    return ["## What measuring costs, attempts/ns", "", *table(headings, rows)]


def whole_command(found: dict[str, Any]) -> list[str]:
    rows = [
        (str(row["L"]), str(row["sweeps"]), str(row["every"]), f"{number(row['sampling'])} ({row['sampling_share']:.0%})",
         f"{number(row['whole'])} ({row['share']:.0%})", f"{row['bytes'] / 1e6:.0f}")
        for row in found["rows"]
    ]  # fmt: skip
    headings = ("L", "sweeps", "measured every", "sampling and saving", "from the shell to the end", "result file, MB")
    return [
        "## The whole command", "",
        f"33 temperatures x 64 replicas, {found['threads']} threads; attempts/ns, and as shares of the kernel's just before.",
        "", *table(headings, rows),
        f"A run of one sweep takes {found['warm']:.2f} s from the shell to the end, {found['cold']:.1f} s with an empty cache.",
        "",
    ]  # fmt: skip


def effective_samples(found: list[dict[str, Any]]) -> list[str]:
    rows = []
    for row in found:
        if "value" not in row:
            rows.append((str(row["L"]), row["name"], "", "", "", row["trouble"]))
            continue
        rows.append(
            (str(row["L"]), row["name"], number(row["e_per_s"]), number(row["m2_per_s"]), _seconds(row),
             row.get("trouble", ""))
        )  # fmt: skip
    headings = ("L", "", "samples of e a second", "of m^2", "seconds to an error of 1e-4 of e", "")
    return ["## Independent samples at Tc of the square lattice, one thread", "", *table(headings, rows)]


def _seconds(row: dict[str, Any]) -> str:
    low, high = row["range"]
    return f"{number(row['seconds_to_1e-4'])} ({number(low)} - {number(high)})"


def ground_states(found: dict[str, Any]) -> list[str]:
    rows = [
        (row["name"], str(row["sweeps"]), f"{row['share']:.3f} +- {row['spread']:.1g}", number(row["seconds"]))
        for row in found["rows"]
    ]  # fmt: skip
    headings = ("", "sweeps a read", "reads that end there", "seconds to 99 %")
    about = f"+-J square lattice of {found['sites']} sites; the lowest energy that any read found: {found['lowest']:g}."
    return ["## Time to the lowest energy known", "", about, "", *table(headings, rows)]


def learning(found: dict[str, Any]) -> list[str]:
    rows = [
        (own["name"], *(f"{value:.2f}" for value in own["values"])) if "values" in own else (own["name"], own["trouble"])
        for own in found["curves"]
    ]  # fmt: skip
    headings = ("", *(f"{seconds:g} s" for seconds in found["seconds"]))
    about = (
        f"Digits, {found['hidden']} hidden units, PCD-1: mean log likelihood of 300 test digits, nats, by the same AIS."
    )
    return ["## Likelihood against time", "", about, "", *table(headings, rows)]


def coverage(found: dict[str, Any]) -> list[str]:
    rows = [
        (row["name"], f"{row['told']} of {found['runs']}",
         *(f"{row['levels'][level]:.1%} ({row['z'][level]:+.1f})" for level in ("0.6827", "0.95")),
         "yes" if all(abs(z) < 4 for z in row["z"].values()) else "NO")
        for row in found["rows"]
    ]  # fmt: skip
    about = (
        f"L = {found['L']} at Tc, {found['replicas']} replicas x {found['records']} sweeps a run, {found['runs']} runs; "
        "in brackets by how many standard errors that is off. Errors are right if all are below 4."
    )
    headings = ("", "runs that told an error", "68.27 % intervals that hold the truth", "95 % intervals", "right")
    return ["## Coverage of error bars", "", about, "", *table(headings, rows)]


def roofline(found: dict[str, Any]) -> list[str]:
    ceilings = found["ceilings"]
    names = {
        "random_words": "words of xoroshiro128++ a ns", "generator_operations": "64-bit operations of that a ns",
        "logic_operations": "sums and exclusive ors of words in the first-level cache, operations a ns",
        "cache_bytes": "bytes a ns, first-level cache", "second_bytes": "bytes a ns, second-level cache", "memory_bytes": "bytes a ns, memory",
        "scalar_operations": "operations a ns on single words, one after the other",
        "look_ups": "look-ups a ns in the second-level cache, twelve chains of them side by side",
        "table_products": "products of a bit and a weight by tables a ns",
    }  # fmt: skip
    rows = [
        (row["name"], number(row["rate"]), f"{number(row['operations'])} {row['operation']}", f"{number(row['bytes'])} ({row['source']})",
         f"{number(row['most'])} ({row['bound']})", f"{row['share']:.0%}", row["limit"], row["help"])
        for row in found["rows"]
    ]  # fmt: skip
    headings = (
        "kernel", "attempts/ns", "an attempt needs", "bytes an attempt", "attempts/ns that these allow", "share",
        "what else limits it", "what would help, or has",
    )  # fmt: skip
    return [
        "## Roofline", "", "What one core does here:", "",
        *table(("", ""), [(names[key], number(value)) for key, value in ceilings.items()]),
        "What an attempt needs, counted from the source, what that allows here, and what is reached. If nothing but the "
        f"random bits of the square lattice were drawn, there were {number(found['bits'])} attempts/ns.", "",
        *table(headings, rows),
    ]  # fmt: skip


STUDIES = {
    "sizes": sizes, "growth": growth, "patterns": patterns, "measuring": measuring, "whole_command": whole_command,
    "effective_samples": effective_samples, "ground_states": ground_states, "learning": learning, "coverage": coverage,
    "roofline": roofline,
}  # fmt: skip


# --- pictures -------------------------------------------------------------------------------------------------------


def _figure(width: float = 6.4, height: float = 4.0) -> tuple[Any, Any]:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(width, height), layout="constrained")


def _saved(figure: Any, folder: Path, name: str, title: str) -> list[str]:
    import matplotlib.pyplot as plt

    figure.savefig(folder / name, dpi=130)
    plt.close(figure)
    return [f"![{title}]({name})", ""]


def draw_ratios(known: dict[str, Any], folder: Path) -> list[str]:
    """How many times as fast as each rival, contest by contest."""
    bars = []
    for contest in known["contests"].values():
        results = results_of(contest)
        for own in results[1:]:
            over = ratios(results, own.name)
            if over:
                bars.append((f"{contest['title']}: {own.name}", statistics.median(over)))
    if not bars:
        return []
    figure, axes = _figure(9, 0.8 + 0.21 * len(bars))
    names, values = zip(*reversed(bars), strict=True)
    axes.barh(range(len(bars)), values, color="tab:blue")
    axes.set_yticks(range(len(bars)), names, fontsize=7)
    axes.set(xscale="log", xlabel="times as fast as the rival, same work, in turn, one thread")
    axes.axvline(1, color="black", linewidth=0.8)
    for place, value in enumerate(values):
        axes.annotate(f" {value:.3g}" if value < 1000 else f" {value:.0f}", (value, place), va="center", fontsize=6)
    axes.margins(y=0.01)
    axes.set_xlim(min(0.7, *values), 3 * max(values))
    return _saved(figure, folder, "ratios.png", "Rates of ising-mc over those of its rivals")


def draw_sizes(known: dict[str, Any], folder: Path) -> list[str]:
    """Rates over the side."""
    rows = known["studies"].get("sizes", {}).get("rows")
    if not rows:
        return []
    figure, axes = _figure()
    for kind, colour in (("square", "tab:blue"), ("cubic", "tab:orange")):
        for packing, marker in (("replicas", "o"), ("sites", "s")):
            own = [row for row in rows if (row["kind"], row["packing"]) == (kind, packing)]
            for key, style in (("one", "-"), ("all", "--")):
                label = f"{kind}, 64 {packing} a word" if key == "one" else None
                axes.plot([r["L"] for r in own], [r[key] for r in own], style, marker=marker, color=colour, label=label,
                          markerfacecolor=colour if packing == "replicas" else "white")  # fmt: skip
    axes.set(
        xscale="log",
        xlabel="L",
        ylabel="attempts per ns (dashed: all threads)",
        ylim=(0, None),
        title="Metropolis at Tc",
    )
    axes.set_xscale("log", base=2)
    axes.legend(fontsize=8)
    return _saved(figure, folder, "sizes.png", "Attempts per ns over the side of the lattice")


def draw_effective(known: dict[str, Any], folder: Path) -> list[str]:
    """Independent samples of m^2 a second."""
    rows = known["studies"].get("effective_samples")
    if not isinstance(rows, list):
        return []
    figure, axes = _figure(8.5)
    for name in dict.fromkeys(row["name"] for row in rows):
        own = [row for row in rows if row["name"] == name and "trouble" not in row and not math.isnan(row["m2_per_s"])]
        style = "o-" if name.startswith("ising-mc") else "s--"
        axes.plot([row["L"] for row in own], [row["m2_per_s"] for row in own], style, label=name)
    axes.set(
        xscale="log", yscale="log", xlabel="L", ylabel="independent samples of m² a second", title="Tc, one thread"
    )
    axes.set_xscale("log", base=2)
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return _saved(figure, folder, "effective.png", "Independent samples of m^2 a second over L")


def draw_learning(known: dict[str, Any], folder: Path) -> list[str]:
    """Likelihood over seconds."""
    found = known["studies"].get("learning", {})
    curves = [own for own in found.get("curves", []) if "values" in own]
    if not curves:
        return []
    figure, axes = _figure(8.5)
    for own in curves:
        axes.plot(
            found["seconds"], own["values"], "o-" if own["name"].startswith("ising-mc") else "s--", label=own["name"]
        )
    axes.set(
        xscale="log", xlabel="processor seconds of learning, one thread", ylabel="log likelihood of test digits, nats"
    )
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return _saved(figure, folder, "learning.png", "Test likelihood over seconds of learning")


PICTURES = (draw_ratios, draw_sizes, draw_effective, draw_learning)
