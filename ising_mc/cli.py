"""The command line: thin faces over documented functions.  Errors are one sentence on stderr and exit code 2."""

import math
import os
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from ising_mc import __version__

EXACT = ("onsager", "kaufman", "chain", "enumerate", "tc", "triangular", "honeycomb", "curie_weiss")
SAVED_BUT_NOT_DONE = 85  # state saved, run again to go on


class OneSentenceGroup(click.Group):
    """Commands whose expected errors end in one sentence and exit code 2, never in a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command and turn its expected errors into one sentence."""
        from ising_mc.results import StoreError

        try:
            return super().invoke(ctx)
        except (StoreError, ValueError) as error:  # SpecError is a ValueError
            fail(str(error))
        except KeyboardInterrupt:
            fail("interrupted; what was saved before is safe, run again to go on", code=130)
        except MemoryError:
            fail("not enough memory; `ising-mc plan` tells how much a run needs")
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except OSError as error:
            fail(f"{error.filename or 'output'}: {error.strerror or error}")


def fail(message: str, code: int = 2) -> None:
    """End with one sentence on stderr."""
    click.echo(f"ising-mc: {' '.join(message.split())}", err=True)
    sys.exit(code)


@click.group(cls=OneSentenceGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ising-mc")
def main() -> None:
    """Fast and exact Monte Carlo sampling of Ising, Hopfield and Boltzmann systems, with honest error bars."""


def _run_file(command: Callable[..., Any]) -> Callable[..., Any]:
    """The argument FILE and the option -o, as every command on a run has them."""
    option = click.option("-o", "--output", type=click.Path(path_type=Path), help="Result file [results/<name>.h5].")
    return click.argument("file", type=click.Path(path_type=Path))(option(command))


def _threads(command: Callable[..., Any]) -> Callable[..., Any]:
    option = click.option("--threads", type=click.IntRange(min=1), help="Threads [all cores, or what Slurm grants].")
    return option(command)


def _execution(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of commands that run something, and the context, which they end."""
    limit = click.option(
        "--time-limit", type=click.FloatRange(min=0), metavar="S", help="Save and stop after S seconds."
    )
    quiet = click.option("--quiet", is_flag=True, help="No progress and no table.")
    return _threads(limit(quiet(click.pass_context(command))))


def available_threads() -> int:
    """Threads that this process may use: SLURM_CPUS_PER_TASK, or the cores it is bound to."""
    granted = os.environ.get("SLURM_CPUS_PER_TASK", "")
    if granted.isdigit() and int(granted) > 0:
        return int(granted)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _load(file: Path, output: Path | None) -> tuple[Any, Path]:
    from ising_mc.spec import load

    spec = load(file)
    if output is not None and (not output.name or output.is_dir()):
        fail(f"-o needs the name of a file, not {str(output)!r}")
    return spec, output or Path("results") / f"{spec.name}.h5"


@main.command()
@click.argument("kind", type=click.Choice(["ising", "anneal", "hopfield", "boltzmann", "train"]), default="ising")
def init(kind: str) -> None:
    """Print a commented run file to start from: ising-mc init KIND > my_run.toml.

    KIND: ising (temperature sweeps), anneal, hopfield, boltzmann (sampling of a machine), train.
    """
    from ising_mc import template

    click.echo(getattr(template, kind.upper()), nl=False)


@main.command()
@_run_file
@_threads
def plan(file: Path, output: Path | None, threads: int | None) -> None:
    """Show what a run would do: systems, algorithms, memory, disk, and the time from a short pilot."""
    from ising_mc import screen
    from ising_mc.planning import plan_run

    spec, out = _load(file, output)
    screen.show_plan(plan_run(spec, threads or available_threads()), out)


@main.command()
@_run_file
@_execution
def run(
    ctx: click.Context, file: Path, output: Path | None, threads: int | None, time_limit: float | None, quiet: bool
) -> None:
    """Run a file, or resume it: the same command goes on where it stopped.

    More sweeps or temperatures in the file extend what is there.  Exit code 85: stopped by a signal or the time
    limit, all is saved, run again to go on.
    """
    from ising_mc import screen

    spec, out = _load(file, output)
    _execute(ctx, spec, out, threads, time_limit, quiet)
    if not quiet:
        screen.show_results(out)


def _execute(
    ctx: click.Context, spec: Any, out: Path, threads: int | None, time_limit: float | None, quiet: bool
) -> None:
    from ising_mc import screen
    from ising_mc.schedule import Silent, execute

    if time_limit is not None and math.isnan(time_limit):
        fail("--time-limit must be a number of seconds, not nan")
    threads = threads or available_threads()
    with nullcontext(Silent()) if quiet else screen.RunProgress(spec, out) as watcher:
        complete = execute(spec, out, threads, time_limit, watcher)
    if not complete:
        click.echo(f"stopped; what was sampled is saved in {out}.parts, the same command goes on", err=True)
        ctx.exit(SAVED_BUT_NOT_DONE)


@main.command()
@_run_file
@_execution
def recall(
    ctx: click.Context, file: Path, output: Path | None, threads: int | None, time_limit: float | None, quiet: bool
) -> None:
    """Retrieve patterns of a Hopfield network from cues, and show what became of each.

    FILE is a run file of model.kind = "hopfield", whose cues may come from a file (cue.file).
    """
    from ising_mc import screen

    spec, out = _load(file, output)
    if spec.kind != "hopfield":
        fail(f"{file}: recall needs model.kind = 'hopfield'; `ising-mc init hopfield` prints such a run file")
    _execute(ctx, spec, out, threads, time_limit, quiet)
    if not quiet:
        screen.show_recalls(out)


@main.command()
@_run_file
@_execution
def train(
    ctx: click.Context, file: Path, output: Path | None, threads: int | None, time_limit: float | None, quiet: bool
) -> None:
    """Train a Boltzmann machine on data, and show how it learnt; the same command goes on where it stopped.

    FILE is a run file of model.kind = "boltzmann" with a table [train].  More epochs in the file extend what is there.
    """
    from ising_mc import screen

    spec, out = _load(file, output)
    if spec.kind != "train":
        fail(f"{file}: train needs model.kind = 'boltzmann' and a table [train]; `ising-mc init train` prints one")
    _execute(ctx, spec, out, threads, time_limit, quiet)
    if not quiet:
        screen.show_results(out)


@main.command()
@_run_file
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def status(file: Path, output: Path | None, as_json: bool) -> None:
    """Show how far a run is, from its files alone."""
    from ising_mc import screen
    from ising_mc.planning import progress_table

    spec, out = _load(file, output)
    screen.show_status(progress_table(spec, out), out, as_json)


@main.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--csv", "form", flag_value="csv", help="Comma-separated values.")
@click.option("--json", "form", flag_value="json", help="JSON.")
def results(out: Path, form: str | None) -> None:
    """Show the results of a run as a table: value(error), with tau_int in sweeps."""
    from ising_mc import screen

    screen.show_results(out, form or "table")


@main.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.argument("quantities", nargs=-1)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Picture file [OUT with .png].")
def plot(out: Path, quantities: tuple[str, ...], output: Path | None) -> None:
    """Draw results over temperature, with the exact curves behind the points."""
    try:
        from ising_mc.plot import plot_results
    except ModuleNotFoundError:
        fail("plot needs matplotlib: pip install 'ising-mc[plot]'")
    path = output or out.with_suffix(".png")
    plot_results(out, quantities, path)
    click.echo(f"wrote {path}")


@main.command()
@click.argument("what", metavar="WHAT", type=click.Choice(EXACT))
@click.option("-T", "--temperature", "temperatures", type=float, multiple=True, help="Temperature (repeatable).")
@click.option("-L", "--size", type=(int, int), help="Sides Lx Ly (kaufman, enumerate); for chain and curie_weiss: N 1.")
@click.option("-J", "couplings", type=float, default=1.0, show_default=True, help="Coupling.")
@click.option("--jy", type=float, help="Coupling along y, if it differs (kaufman, tc).")
@click.option("--field", "h", type=float, default=0.0, show_default=True, help="mu B (chain, enumerate).")
@click.option("--json", "as_json", is_flag=True, help="JSON.")
def exact(
    what: str,
    temperatures: tuple[float, ...],
    size: tuple[int, int] | None,
    couplings: float,
    jy: float | None,
    h: float,
    as_json: bool,
) -> None:
    """Exact values beside which results can be laid.

    onsager: infinite square lattice;  kaufman: finite periodic lattice;  chain: ring of N spins;  enumerate: any
    periodic rectangle of up to 24 sites, with a field;  tc: critical temperature of the square lattice;  triangular,
    honeycomb: infinite lattices;  curie_weiss: complete graph of N spins with couplings J/N.
    """
    from ising_mc import screen

    screen.show_exact(what, temperatures, size, couplings, jy, h, as_json)


@main.command()
@click.option("--quick", is_flag=True, help="The most telling checks only.")
def validate(quick: bool) -> None:
    """Check the physics on this machine: every kernel against exact enumeration."""
    from itertools import chain

    from ising_mc import graphchecks, machinechecks, screen, validation

    if not screen.show_checks(chain(*(part.checks(quick) for part in (validation, graphchecks, machinechecks)))):
        sys.exit(1)
