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
            fail("not enough memory: fewer units, chains or threads need less; `ising-mc plan` tells how much")
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except OSError as error:
            fail(f"{error.filename or 'output'}: {error.strerror or error}")


def _named(file: Path, output: Path | None) -> str:
    """A run as the next command names it."""
    return f"{file} -o {output}" if output else str(file)


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
    """Threads that this process may use: SLURM_CPUS_PER_TASK, or the cores it is bound to.

    A job that asked for none has no SLURM_CPUS_PER_TASK, and on many clusters sees the cores of the whole node.
    """
    granted = os.environ.get("SLURM_CPUS_PER_TASK", "")
    if granted.isdigit() and int(granted) > 0:
        return int(granted)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    on_node = os.environ.get("SLURM_CPUS_ON_NODE", "")
    return min(cores, int(on_node)) if on_node.isdigit() and int(on_node) > 0 else cores


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
@click.option("--tasks", type=click.IntRange(min=1), help="Divide it among so many tasks of a job array.")
@click.option("--time", "limit", metavar="[D-]HH:MM:SS", help="What a task may take [01:00:00].")
def plan(file: Path, output: Path | None, threads: int | None, tasks: int | None, limit: str | None) -> None:
    """Show what a run would do: systems, algorithms, memory, disk, and the time from a short pilot.

    With --tasks or --time also how it would be divided among tasks of one thread each, and how many are suggested.
    """
    from ising_mc import screen
    from ising_mc.planning import plan_run, plan_tasks

    spec, out = _load(file, output)
    seconds = _seconds(limit) if limit else 3600.0
    threads = threads or available_threads()
    found = plan_run(spec, threads)
    screen.show_plan(found, out)
    if tasks or limit:
        division = plan_tasks(spec, found, tasks or 1, seconds)
        screen.show_division(division if tasks else plan_tasks(spec, found, division.suggested, seconds), seconds)


def _seconds(text: str) -> float:
    """Seconds of a time as Slurm writes it: minutes, MM:SS, HH:MM:SS, D-HH, D-HH:MM or D-HH:MM:SS."""
    days, dash, rest = text.rpartition("-")
    parts = rest.split(":")
    if not all(part.isdigit() for part in parts) or (dash and not days.isdigit()) or len(parts) > 3:
        fail(f"--time must be a time such as 02:00:00 or 1-12:00:00, not {text!r}")
    numbers = [int(part) for part in parts]
    if dash:
        hours, minutes, seconds = [*numbers, 0, 0][:3]
    elif len(numbers) == 3:
        hours, minutes, seconds = numbers
    else:
        hours, (minutes, seconds) = 0, [*numbers, 0][:2]
    total = 86400.0 * int(days or 0) + 3600 * hours + 60 * minutes + seconds
    if not total:
        fail(f"--time must be more than nothing, not {text!r}")
    return total


@main.command()
@_run_file
@_execution
@click.option(
    "--task", type=click.IntRange(min=0), metavar="K", help="Do only the share of task K, from 0, of --tasks."
)
@click.option("--tasks", type=click.IntRange(min=1), metavar="N", help="Tasks that share the run.")
def run(
    ctx: click.Context, file: Path, output: Path | None, threads: int | None, time_limit: float | None, quiet: bool,
    task: int | None, tasks: int | None,
) -> None:  # fmt: skip
    """Run a file, or resume it: the same command goes on where it stopped.

    More sweeps or temperatures in the file extend what is there.  Exit code 85: stopped by a signal or the time
    limit, all is saved, run again to go on.  With --task K --tasks N do a share of the run, beside others or not, in
    any order; when all are done, `ising-mc merge` makes the result file.
    """
    from ising_mc import screen
    from ising_mc.folders import Task
    from ising_mc.store import as_begun, is_finished

    if (task is None) != (tasks is None):
        fail("--task K and --tasks N go together")
    own = None
    if task is not None and tasks is not None:
        if task >= tasks:
            fail(f"--task {task} is out of range: tasks of {tasks} are numbered 0 to {tasks - 1}")
        own = Task(task, tasks)
    spec, out = _load(file, output)
    _execute(ctx, spec, out, threads, time_limit, quiet, own)
    if own and is_finished(out, as_begun(spec, out)):
        click.echo(f"{out} is complete", err=True)
    elif own:
        click.echo(f"{own} is done; when all are, `ising-mc merge {_named(file, output)}` makes {out}", err=True)
    elif not quiet:
        screen.show_results(out)


def _execute(
    ctx: click.Context, spec: Any, out: Path, threads: int | None, time_limit: float | None, quiet: bool,
    task: Any = None,
) -> None:  # fmt: skip
    from ising_mc import screen
    from ising_mc.cluster import seconds_left
    from ising_mc.memory import keep_freed
    from ising_mc.schedule import Silent, execute

    keep_freed()

    if time_limit is not None and math.isnan(time_limit):
        fail("--time-limit must be a number of seconds, not nan")
    limits = [limit for limit in (time_limit, seconds_left()) if limit is not None]
    threads = threads or available_threads()
    with nullcontext(Silent()) if quiet else screen.RunProgress(spec, out) as watcher:
        complete = execute(spec, out, threads, min(limits, default=None), watcher, task)
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
    """Show how far a run is, from its files alone: each temperature, and each task of a job array."""
    from ising_mc import screen
    from ising_mc.planning import status_of

    spec, out = _load(file, output)
    points, tasks = status_of(spec, out)
    screen.show_status(points, out, as_json, tasks)


@main.command()
@_run_file
@_threads
@click.option("--partial", is_flag=True, help="Merge what is done, into OUT.partial.h5, marked as partial.")
@click.option("--quiet", is_flag=True, help="No progress and no table.")
@click.pass_context
def merge(
    ctx: click.Context, file: Path, output: Path | None, threads: int | None, partial: bool, quiet: bool
) -> None:  # fmt: skip
    """Make the result file from what the tasks of a run have saved; says what is missing.

    The result is the same, data set for data set, however the run was divided.
    """
    from ising_mc import screen
    from ising_mc.memory import keep_freed
    from ising_mc.schedule import Silent
    from ising_mc.schedule import merge as merge_parts

    keep_freed()

    spec, out = _load(file, output)
    with nullcontext(Silent()) if quiet else screen.MergeProgress(spec, out) as watcher:
        path = merge_parts(spec, out, threads or available_threads(), partial, watcher)
    if path is None:
        click.echo(f"stopped; all parts are as they were in {out}.parts, the same command merges them", err=True)
        ctx.exit(SAVED_BUT_NOT_DONE)
    if path != out:
        click.echo(f"ising-mc: {out} is not complete; what is done is in {path}, marked as partial", err=True)
    if not quiet:
        screen.show_results(path)


class SubmitCommand(click.Command):
    """A command that passes options on."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Part short options from their values, as in -pshort, in which click would find an -o of its own."""
        own = {name for parameter in self.params for name in parameter.opts if not name.startswith("--")}
        parted: list[str] = []
        for arg in args:
            glued = len(arg) > 2 and arg[0] == "-" and arg[1].isalpha() and arg[:2] not in own
            parted += [arg[:2], arg[2:]] if glued else [arg]
        return super().parse_args(ctx, parted)


@main.command(cls=SubmitCommand, context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
@_run_file
@click.option("--tasks", type=click.IntRange(min=1), required=True, metavar="N", help="Tasks of the job array.")
@click.option("--max-running", type=click.IntRange(min=1), metavar="K", help="At most K tasks at once.")
@click.option("--max-restarts", type=click.IntRange(min=0), default=100, show_default=True, help="Of each task.")
@click.option("--dry-run", is_flag=True, help="Write the scripts, and submit nothing.")
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def submit(
    file: Path, output: Path | None, tasks: int, max_running: int | None, max_restarts: int, dry_run: bool,
    options: tuple[str, ...],
) -> None:  # fmt: skip
    """Submit a run to Slurm as a job array, with a job that merges its parts when all tasks are done.

    All other options go to sbatch: --partition=short --time=02:00:00 --cpus-per-task=4 ...  The same command on a run
    that is not finished submits what is missing.
    """
    from ising_mc import cluster
    from ising_mc.run import units_of

    spec, out = _load(file, output)
    number = len(units_of(spec))
    found = cluster.submit(file, spec, out, tasks, options, max_running, dry_run, max_restarts)
    if found is None:
        click.echo(f"{out} is complete: there is nothing to submit; `ising-mc results {out}` shows it")
        return
    if tasks > number:
        click.echo(f"{number} unit(s) of work: {tasks - number} of the {tasks} tasks have nothing to do")
    if found.tasks:
        click.echo(f"{found.script}: tasks {cluster.ranges(found.tasks)} of {tasks} are not done")
    if dry_run and found.tasks:
        click.echo(
            f"nothing was submitted: sbatch {found.script}, then sbatch {' '.join(cluster.after('JOB'))} "
            f"{found.merge_script}"
        )
        return
    if dry_run:
        click.echo(f"all tasks are done, and nothing was submitted: sbatch {found.merge_script}, or `ising-mc merge`")
        return
    if found.job:
        click.echo(f"job array {found.job} is submitted; job {found.merge_job} merges its parts into {out}")
    else:
        click.echo(f"all tasks are done; job {found.merge_job} merges their parts into {out}")
    stop = f"scancel {found.job or found.merge_job}"
    click.echo(f"next: `ising-mc status {_named(file, output)}` tells how far it is; to stop it: {stop}")


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
@_threads
@click.option("--json", "target", type=click.Path(path_type=Path), help="Write the report there, too.")
@click.option("--compare", type=click.Path(path_type=Path), metavar="OLD.json", help="Show ratios to an older report.")
def bench(threads: int | None, target: Path | None, compare: Path | None) -> None:
    """Measure the kernels on this machine: updates per ns on one and on all threads, each with a check of its physics.

    Takes about a minute with compiled kernels in the cache, three without.
    """
    from ising_mc import bench as benchmark
    from ising_mc import benchtables

    before = benchmark.read(compare) if compare else None
    if target and (target.is_dir() or not os.access(target.parent, os.W_OK)):  # better now than after the measurements
        raise ValueError(f"{target} cannot be written")
    cores = available_threads()
    if threads and threads > cores:
        raise ValueError(f"there are {cores} processors for {threads} threads")
    try:
        report = benchmark.run(threads or cores, lambda line: click.echo(f"... {line}", err=True))
    except KeyboardInterrupt:
        fail("interrupted, and nothing was written", code=130)
    benchtables.show(report, before)
    if target:
        target.write_text(benchmark.to_json(report))
        click.echo(f"wrote {target}")
    if not all(row.passed for row in report.rows):
        sys.exit(1)


@main.command()
@click.option("--quick", is_flag=True, help="The most telling checks only.")
def validate(quick: bool) -> None:
    """Check the physics on this machine: every kernel against exact enumeration."""
    from itertools import chain

    from ising_mc import graphchecks, machinechecks, screen, validation

    if not screen.show_checks(chain(*(part.checks(quick) for part in (validation, graphchecks, machinechecks)))):
        sys.exit(1)
