"""Tables of recalls for the screen."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from ising_mc.recallresults import QUANTITIES
from ising_mc.results import SystemResults
from ising_mc.statistics import format_value

ALWAYS = ("cue_overlap", "overlap", "retrieved_fraction", "energy_per_unit")
WHERE_THERE = ("fixed_point_fraction", "cycle_fraction", "sweeps_to_fixed_point", "specific_heat")
MOST_RECALLS = 40  # shown one by one


def results_table(system: SystemResults) -> Table:
    """Results of one network, or averages over samples, a temperature a line."""
    columns = system.columns
    shown = [*ALWAYS, *(name for name in WHERE_THERE if name in columns)]
    table = Table(box=None, pad_edge=False)
    for name in ("T", *(QUANTITIES[name].symbol for name in shown)):
        table.add_column(name, justify="right", no_wrap=True)
    for t, T in enumerate(system.temperatures):
        cells = [format_value(float(columns[name][t]), float(columns[f"{name}_error"][t])) for name in shown]
        table.add_row(f"{T:g}", *cells)
    return table


def recalls_table(system: dict[str, Any], t: int) -> Table:
    """What became of each recall of one network at one temperature."""
    recalls, n = system["recalls"], int(system["facts"]["units"])
    table = Table(box=None, pad_edge=False)
    for name in ("recall", "cue m0", "result", "m", "ended", "sweeps done", "energy"):
        table.add_column(name, justify="right", no_wrap=True)
    for k in range(min(MOST_RECALLS, recalls["outcome"].shape[1])):
        table.add_row(
            str(k),
            f"{recalls['cue_overlap'][t, k] / n:.4f}",
            str(recalls["outcome"][t, k]),
            f"{recalls['nearest_overlap'][t, k]:.4f}",
            str(recalls["ended"][t, k]),
            str(recalls["sweeps"][t, k]),
            f"{system['energy'][t, k, -1]:.10g}",
        )
    return table


def warnings_of(systems: Sequence[dict[str, Any]]) -> list[str]:
    """What a reader must know: recalls at T = 0 that did not come to an end."""
    lines = []
    for system in systems:
        for t, T in enumerate(system["temperature"]):
            left = int((system["recalls"]["ended"][t] == "max_sweeps").sum()) if T == 0 else 0
            if left:
                lines.append(
                    f"warning: {system['label']}: {left} recalls were still changing in the end: raise "
                    "schedule.max_sweeps (schedule.sweeps beside other temperatures)"
                )
    return lines
