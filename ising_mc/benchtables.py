"""The table of `ising-mc bench`."""

from rich.console import Console
from rich.table import Table

from ising_mc.bench import Report, ratios

WIDTH = 150


def show(report: Report, before: Report | None = None) -> None:
    """Print a report, with ratios to an older one."""
    console = Console(highlight=False)
    console = console if console.width >= WIDTH else Console(highlight=False, width=WIDTH)
    facts = report.facts
    versions = ", ".join(f"{name} {facts[f'version_{name}']}" for name in ("ising-mc", "numba", "numpy", "python"))
    console.print(f"{facts['cpu']} ({facts['cpu_flags'].partition(' ')[0]}), {versions}", soft_wrap=True, markup=False)
    table = Table(box=None, pad_edge=False)
    table.add_column("updates per ns", no_wrap=True)
    names = ["kernel", "1 thread", "spread", f"{report.threads} threads", "times", "bytes/spin", "right"]
    compared = {name: (one, every) for name, one, every in ratios(report, before)} if before else {}
    for name in names + (["over before", f"{report.threads} threads"] if before else []):
        table.add_column(name, justify="right", no_wrap=True)
    for row in report.rows:
        cells = [
            row.kernel, f"{row.rate:.3g}", f"{row.spread:.0%}", f"{row.rate_all:.3g}", f"{row.rate_all / row.rate:.2f}",
            f"{row.bytes_per_unit:.2g}", "yes" if row.passed else "NO",
        ]  # fmt: skip
        if before:
            cells += [f"{value:.2f}" for value in compared[row.name]] if row.name in compared else ["-", "-"]
        table.add_row(row.name, *cells)
    console.print(table)
    times = f"a first start takes {report.cold_start:.1f} s (it compiles), a second one {report.warm_start:.1f} s"
    console.print(f"{times}; {report.memory / 1e6:.0f} MB at most", soft_wrap=True, markup=False)
    for row in report.rows:
        if not row.passed:
            console.print(f"NOT RIGHT: {row.name}: {row.check}", soft_wrap=True, markup=False)
