"""Slurm: the batch script of a job array, its submission, and what Slurm says of the time that is left.

A task saves and ends with 85 when its time is over, and the script puts exactly this task back into the queue; one that
the user cancelled stays cancelled.  What a task has saved outlives both.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ising_mc.folders import locked, parts_folder, write_text
from ising_mc.planning import task_table
from ising_mc.results import StoreError
from ising_mc.runspec import RunSpec
from ising_mc.schedule import fix
from ising_mc.store import as_begun, give_up, is_finished, progress_of

NOT_DONE = 85
MOST_RESTARTS = 100
ENDED_BY_USR1 = 128 + signal.SIGUSR1
WARNING_SECONDS = 120  # before the time limit Slurm sends USR1
MARGIN_SECONDS = 60.0  # before the end of a job in which it saves
TIMEOUT = 60.0
OWN = {  # options of sbatch that the batch script sets itself, or that would change what it is; their short forms
    "array": "a", "dependency": "d", "job-name": "J", "open-mode": "", "output": "", "parsable": "", "requeue": "",
    "no-requeue": "", "signal": "", "test-only": "", "wait": "W", "wrap": "",
}  # fmt: skip


class ClusterError(ValueError):
    """Something about the cluster that stops a submission; the message is one sentence."""


class UnsureError(ClusterError):
    """Slurm did not answer, and may or may not have done what it was asked."""


@dataclass(frozen=True)
class Submission:
    """What was submitted: scripts, the tasks in the array, and job ids, empty after a dry run.

    Where all tasks are done there is no array, and its script is not written.
    """

    script: Path
    merge_script: Path
    tasks: tuple[int, ...]
    job: str = ""
    merge_job: str = ""


def seconds_left(environment: dict[str, str] | None = None, now: float | None = None) -> float | None:
    """Seconds until a run must save because its Slurm job ends; None outside of Slurm, or where it does not tell."""
    end = (os.environ if environment is None else environment).get("SLURM_JOB_END_TIME", "")
    if not end.isdigit() or not int(end):
        return None
    left = int(end) - (time.time() if now is None else now)
    return max(0.0, left - min(MARGIN_SECONDS, left / 5))


def submit(
    file: Path, spec: RunSpec, out: Path, tasks: int, options: Sequence[str] = (), max_running: int | None = None,
    dry_run: bool = False, max_restarts: int = MOST_RESTARTS,
) -> Submission | None:  # fmt: skip
    """Write the batch scripts beside the result file, and submit what of the run is missing; None where nothing is.

    options: of sbatch, for every task.  Raises ClusterError where sbatch is missing, refuses, or where the run is
    queued already, and StoreError where the run file has changed.
    """
    _refuse_own(options)
    if is_finished(out, as_begun(spec, out)):
        return None
    if dry_run:
        return _submit(file, spec, out, tasks, options, max_running, dry_run, max_restarts)
    with locked(parts_folder(out) / "submit.lock", f"submit of {out}"):
        _refuse_twice(out)
        fix(spec, out)
        return _submit(file, spec, out, tasks, options, max_running, dry_run, max_restarts)


def _submit(
    file: Path, spec: RunSpec, out: Path, tasks: int, options: Sequence[str], max_running: int | None, dry_run: bool,
    max_restarts: int,
) -> Submission:  # fmt: skip
    spec = as_begun(spec, out)
    store = progress_of(out, spec)
    missing = tuple(task.number for task in task_table(spec, store, tasks) if task.done < 1)
    base = out.name.removesuffix(".h5")
    script, merge_script, log = (out.with_name(base + end) for end in (".sbatch", ".merge.sbatch", ".log"))
    try:
        log.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot make {log}: {error.strerror}") from error
    if missing:
        write_text(script, batch_script(file, spec, out, log, tasks, missing, options, max_running, max_restarts))
    write_text(merge_script, merging_script(file, spec, out, log, options))
    if dry_run:
        return Submission(script, merge_script, missing)
    if shutil.which("sbatch") is None:
        then = f"{script} on one that has it, and then {merge_script} with {' '.join(after('JOB'))}"
        raise ClusterError(f"there is no sbatch on this machine: submit {then if missing else merge_script}")
    job = merge_job = ""
    if missing:
        try:
            job = _sbatch([str(script)])
        except UnsureError as error:
            look = f"look with `squeue --me` whether {_job_name(spec)} is in the queue before you submit again"
            raise ClusterError(f"{error}: {look}") from error
        except ClusterError:
            give_up(out)
            raise
        _note(out, job, merge_job, tasks)
    try:
        merge_job = _sbatch([*(after(job) if job else ()), str(merge_script)])
    except ClusterError as error:
        if not job:
            raise
        later = f"`ising-mc merge {file} -o {out}` when it is done"
        raise ClusterError(f"job array {job} is submitted, but {error}; {later}") from error
    _note(out, job, merge_job, tasks)
    return Submission(script, merge_script, missing, job, merge_job)


def after(job: str) -> tuple[str, str]:
    """Options of a job that waits for another one to succeed, and goes where that fails."""
    return f"--dependency=afterok:{job}", "--kill-on-invalid-dep=yes"


def _note(out: Path, job: str, merge_job: str, tasks: int) -> None:
    """Keep which jobs work on a run."""
    text = json.dumps({"job": job, "merge_job": merge_job, "tasks": tasks})
    try:
        write_text(parts_folder(out) / "submitted.json", text)
    except StoreError as error:
        raise ClusterError(f"job {merge_job or job} is submitted, but {error}: scancel it, or remember it") from error


def _refuse_own(options: Sequence[str]) -> None:
    """Raise ClusterError for options that the batch script sets itself, and for what is no option at all."""
    if options and not options[0].startswith("-"):
        raise ClusterError(f"{options[0]!r} is no option of sbatch: write options and their values after the run file")
    for option in options:
        if not option.isprintable():
            raise ClusterError(f"{option!r} holds a character that no line of a batch script can have")
        name = option.removeprefix("--").partition("=")[0]
        # sbatch takes the beginning of a name for the whole of it
        long = [own for own in OWN if own == name or (len(name) > 2 and own.startswith(name))]
        if option.startswith("--") and long:
            raise ClusterError(f"{option.partition('=')[0]} is set by the batch script itself: take it out")
        if not option.startswith("--") and option.startswith("-") and option[1:2] in filter(None, OWN.values()):
            raise ClusterError(f"{option[:2]} is set by the batch script itself: take it out")


def batch_script(
    file: Path, spec: RunSpec, out: Path, log: Path, tasks: int, missing: Sequence[int], options: Sequence[str],
    max_running: int | None, max_restarts: int,
) -> str:  # fmt: skip
    """The batch script of the array."""
    at_once = f"%{max_running}" if max_running else ""
    command = shlex.join([*_command(), "run", str(file.absolute()), "-o", str(out.absolute()), "--quiet"])
    return f"""#!/bin/bash
#SBATCH --job-name={_job_name(spec)}
#SBATCH --array={ranges(missing)}{at_once}
#SBATCH --output={_pattern(log)}/%A_%a.out
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:USR1@{WARNING_SECONDS}
{_lines(options)}
# Each task does its share of {tasks}, and writes only into {parts_folder(out).name}/.
# USR1 (the time limit is near): save.  TERM (cancelled, or preempted): save, and leave the rest to Slurm.
set -u
pid= warned= cancelled=
tell() {{ [ -z "$pid" ] || kill "$1" $pid 2>/dev/null; }}
trap 'warned=1; tell -USR1' USR1
trap 'cancelled=1; tell -TERM' TERM
{command} --task "$SLURM_ARRAY_TASK_ID" --tasks {tasks} &
pid=$!
[ -z "$warned" ] || tell -USR1  # what came before there was a task to tell
[ -z "$cancelled" ] || tell -TERM
rc=0; wait $pid || rc=$?
while kill -0 $pid 2>/dev/null; do rc=0; wait $pid || rc=$?; done  # a trap ends wait
# {NOT_DONE}: saved, not done.  {ENDED_BY_USR1}: USR1 came while it still started.
if [ -z "$cancelled" ] && {{ [ $rc -eq {NOT_DONE} ] || [ $rc -eq {ENDED_BY_USR1} ]; }}; then
  if [ "${{SLURM_RESTART_COUNT:-0}}" -lt {max_restarts} ]; then
    if scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}"; then
      echo "time is over, all is saved: back into the queue"
      sleep 60
    else
      echo "time is over, all is saved, but Slurm did not put it back into the queue: ising-mc submit goes on"
    fi
  else
    echo "time is over, all is saved, but it was restarted {max_restarts} times: ising-mc submit goes on"
  fi
fi
exit $rc
"""


def merging_script(file: Path, spec: RunSpec, out: Path, log: Path, options: Sequence[str]) -> str:
    """The script of the job that makes the result file."""
    command = shlex.join([*_command(), "merge", str(file.absolute()), "-o", str(out.absolute())])
    options = [option for option in options if option not in ("--hold", "-H")]  # it waits for the array anyway
    return f"""#!/bin/bash
#SBATCH --job-name={_job_name(spec)}-merge
#SBATCH --output={_pattern(log)}/merge_%j.out
#SBATCH --open-mode=append
#SBATCH --requeue
{_lines(options)}
exec {command}
"""


def _job_name(spec: RunSpec) -> str:
    """The name of a run, as a directive takes it: without spaces and quotes."""
    return re.sub(r"[^\w.+-]", "_", spec.name)


def _command() -> list[str]:
    """This program, as it runs here."""
    return [sys.executable, "-m", "ising_mc"]


def _pattern(folder: Path) -> str:
    """A folder as a line of a batch script names it, where % has a meaning."""
    return shlex.quote(str(folder.absolute()).replace("%", "%%"))


def _lines(options: Sequence[str]) -> str:
    """Options of sbatch as lines of a script: an option that stands apart from its value goes with it."""
    lines: list[str] = []
    for option in options:
        name, equals, value = option.partition("=")
        if option.startswith("-"):
            lines.append(f"{name}={shlex.quote(value)}" if equals else name)
        else:
            lines[-1] += f" {shlex.quote(option)}"
    return "".join(f"#SBATCH {line}\n" for line in lines)


def ranges(numbers: Sequence[int]) -> str:
    """Numbers as Slurm takes them: 0-3,7."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ",".join(f"{first}-{last}" if last > first else f"{first}" for first, last in parts)


def _sbatch(arguments: Sequence[str]) -> str:
    """Submit a script; its job id."""
    done = _call(["sbatch", "--parsable", *arguments])
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        if "timed out" in said.lower():
            raise UnsureError(f"sbatch did not say what became of {arguments[-1]} ({said})")
        raise ClusterError(f"sbatch refused {arguments[-1]}: {said}")
    return done.stdout.strip().partition(";")[0]


def _environment() -> dict[str, str]:
    """The environment without what would change what squeue shows and what the scripts say of themselves."""
    own = {f"SBATCH_{name.upper().replace('-', '_')}" for name in OWN} | {"SBATCH_ARRAY_INX"}
    return {name: value for name, value in os.environ.items() if not name.startswith("SQUEUE_") and name not in own}


def _call(command: list[str]) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False, env=_environment())
    except subprocess.TimeoutExpired as error:
        raise UnsureError(f"{command[0]} did not answer within {TIMEOUT:g} s") from error


def _refuse_twice(out: Path) -> None:
    """A job that still waits or runs must not be submitted again."""
    path = parts_folder(out) / "submitted.json"
    try:
        before = json.loads(path.read_text())
        jobs = [before["job"], before["merge_job"]]
        if not all(isinstance(job, str) for job in jobs):
            raise ValueError("a job id is no text")
    except FileNotFoundError:
        return
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path} is damaged: remove it") from error
    if shutil.which("squeue") is None:
        return
    for job in filter(None, jobs):
        asked = _call(["squeue", "--noheader", "--jobs", job])
        if asked.returncode and "invalid job id" not in asked.stderr.lower():
            said = " ".join(asked.stderr.split()) or f"exit code {asked.returncode}"
            raise ClusterError(f"squeue does not tell whether job {job} still works on {out} ({said}): try again later")
        if asked.stdout.strip():
            raise ClusterError(f"{out} is in the queue already, as job {job}: wait for it, or scancel {job} first")
