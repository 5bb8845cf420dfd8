"""Runs in tasks: division is invisible, parts are merged or refused, status is told.

All comparisons with a run in one process are of every data set, byte for byte.  Batch scripts: test_submission.py.
"""

import fcntl
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import h5py
import numpy as np
import pytest
from helpers import (
    KILLED,
    SMALL,
    TIMEOUT,
    Data,
    assert_refused,
    assert_same,
    cli,
    complete,
    datasets,
    files,
    finish,
    launch,
    parts,
    sampling,
    toml,
    write,
)
from tasks import ISING, KINDS, SAVED, begin, merged, run_all, run_task, task_folder, task_segments, text_of

from ising_mc import cluster
from ising_mc.annealfile import best_file
from ising_mc.cli import available_threads
from ising_mc.division import divide
from ising_mc.folders import Task
from ising_mc.planning import status_of
from ising_mc.results import StoreError
from ising_mc.run import units_of
from ising_mc.schedule import merge, partial_file
from ising_mc.segments import Commit
from ising_mc.spec import load, parse
from ising_mc.store import Store
from ising_mc.words import State

UNITS = {"ising": 16, "training": 1}  # some of them
ENDLESS = toml(KILLED, schedule__sweeps="4000000000")


# -- division --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tasks", [1, 3, 7, 20])
@pytest.mark.parametrize("kind", KINDS)
def test_any_number_of_tasks_gives_what_one_process_gives(
    kind: str, tasks: int, references: Callable[[str], Data], tmp_path: Path
) -> None:
    path, out = write(tmp_path, text_of(kind, tmp_path)), tmp_path / "run.h5"
    order = random.Random(f"{kind} {tasks}")
    numbers = [*range(tasks), *order.choices(range(tasks), k=2)]  # some of them twice
    order.shuffle(numbers)
    for number in numbers:
        before = files(tmp_path)
        assert run_task(path, out, number, tasks) == 0
        own = f"{parts(out).name}/{Task(number, tasks).folder}/"
        changed = {name for name, content in files(tmp_path).items() if before.get(name) != content}
        shared = {f"{parts(out).name}/{name}" for name in ("run.json", "tasks.json", "tasks.lock")}
        assert all(name.startswith(own) or name in shared for name in changed)
    assert not out.exists()
    assert_same(merged(path, out), references(kind))
    assert not partial_file(out).exists()


@pytest.mark.parametrize("tasks", [1, 2, 3, 5, 16, 17, 100])
def test_the_division(tasks: int) -> None:
    units = units_of(parse(toml(ISING)))
    shares = divide(units, tasks)
    assert len(shares) == tasks
    assert sorted(unit.key for share in shares for unit in share) == sorted(unit.key for unit in units)
    assert shares == divide(units, tasks)
    loads = [sum(unit.attempts_per_sweep for unit in share) for share in shares]
    assert max(loads) - min(loads) <= max(unit.attempts_per_sweep for unit in units)


def test_units_that_stay_together(tmp_path: Path) -> None:
    """The temperatures of a ladder, and all of a training, are in one task."""
    for kind, number in (("tempering", 4 * 2), ("training", 1)):
        (tmp_path / kind).mkdir()
        units = units_of(load(write(tmp_path / kind, text_of(kind, tmp_path / kind))))
        assert len(units) == number
        assert sum(bool(share) for share in divide(units, 100)) == number


@pytest.mark.parametrize("end", ["merge", "run"])
@pytest.mark.parametrize("kind", KINDS)
def test_divisions_that_stop_and_go_on_with_what_others_did(
    kind: str, end: str, references: Callable[[str], Data], tmp_path: Path
) -> None:
    """Tasks of several divisions and whole runs in turn, each stopped after some sweeps; then one of them finishes."""
    path, out = write(tmp_path, text_of(kind, tmp_path)), tmp_path / "run.h5"
    order, codes = random.Random(f"{kind} {end}"), []
    for _ in range(12):
        tasks = order.choice([1, 3, 7, 20, None])
        codes.append(begin(path, out, order.randrange(tasks or 1), tasks, order.randrange(6)))
        assert json.loads(cli("status", path, "-o", out, "--json").stdout)["done"] <= 1
    assert SAVED in codes
    assert set(codes) <= {0, SAVED}
    if end == "merge":
        run_all(path, out, order.choice([2, 3, 5]), order)
        merged(path, out)
    else:
        assert cli("run", path, "-o", out, "--quiet").exit_code == 0
    assert_same(out, references(kind))


def test_the_end_of_a_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slurm's end of the job stops a task, which saves."""
    path, out = write(tmp_path, ENDLESS), tmp_path / "run.h5"
    with monkeypatch.context() as patch:
        patch.setenv("SLURM_JOB_END_TIME", str(int(time.time()) - 10))
        assert [run_task(path, out, number, 3) for number in range(3)] == [SAVED] * 3
    assert len(task_segments(out)) >= 3
    assert not out.exists()


def test_seconds_left() -> None:
    assert cluster.seconds_left({}, 1000.0) is None
    assert cluster.seconds_left({"SLURM_JOB_END_TIME": "Unknown"}, 1000.0) is None
    assert cluster.seconds_left({"SLURM_JOB_END_TIME": "0"}, 1000.0) is None
    assert cluster.seconds_left({"SLURM_JOB_END_TIME": "4600"}, 1000.0) == 3600 - cluster.MARGIN_SECONDS
    assert cluster.seconds_left({"SLURM_JOB_END_TIME": "1100"}, 1000.0) == pytest.approx(80)
    assert cluster.seconds_left({"SLURM_JOB_END_TIME": "900"}, 1000.0) == 0


def test_threads_come_from_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE"):
        monkeypatch.delenv(name, raising=False)
    cores = available_threads()
    assert cores == len(os.sched_getaffinity(0))
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "1")  # a job that did not say how many a task
    assert available_threads() == 1
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", str(cores + 5))
    assert available_threads() == cores
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "3")
    assert available_threads() == 3


# -- runs that grow --------------------------------------------------------------------------------------------------

GROWTHS = {
    "sweeps": {"schedule__sweeps": "400"},
    "temperatures": {"grid__temperatures": "[2.25, 2.0, 3.0, 2.5]"},
    "both": {"grid__temperatures": "[2.5, 2.0, 3.0]", "schedule__sweeps": "300"},
    "another order": {"grid__temperatures": "[2.5, 2.0]"},
}


@pytest.mark.parametrize("state", ["begun", "done", "merged"])
@pytest.mark.parametrize("case", GROWTHS)
def test_a_run_that_grows_in_the_same_number_of_tasks(case: str, state: str, tmp_path: Path) -> None:
    """Its units are other tasks' then, which go on with what is saved of them."""
    reference = datasets(complete(tmp_path, toml(ISING, **GROWTHS[case]), "at_once"))
    path, out = write(tmp_path, toml(ISING)), tmp_path / "run.h5"
    for number in range(3):
        (begin if state == "begun" else run_task)(path, out, number, 3)
    if state == "merged":
        merged(path, out)
    write(tmp_path, toml(ISING, **GROWTHS[case]))
    saved = {content for name, content in files(tmp_path).items() if "/seg-" in name}
    run_all(path, out, 3)
    assert saved <= set(files(tmp_path).values())  # nothing was done anew, or thrown away
    assert_same(merged(path, out), reference)


# -- several at once -------------------------------------------------------------------------------------------------

TOGETHER = """
import json, os, sys
from pathlib import Path
from secrets import randbelow
from ising_mc.spec import load
from ising_mc.folders import Task
from ising_mc.results import StoreError
from ising_mc.store import Store

spec, out, tasks = load(Path(sys.argv[1])), Path(sys.argv[2]), int(sys.argv[3])
start, hold, report = os.pipe(), os.pipe(), os.pipe()
for number in range(tasks):
    if os.fork() == 0:
        os.close(start[1]), os.close(hold[1])
        os.read(start[0], 1)  # until its other end is closed
        try:
            with Store.open(out, spec, lambda: randbelow(1 << 32), Task(number, tasks)) as store:
                os.write(report[1], f"{store.seed}\\n".encode())
                os.read(hold[0], 1)
        except StoreError as error:
            os.write(report[1], f"{error}\\n".encode())
        os._exit(0)
os.close(start[1])
with os.fdopen(report[0]) as lines:
    print(json.dumps([lines.readline().strip() for _ in range(tasks)]))
os.close(hold[1])
for _ in range(tasks):
    os.wait()
"""


def test_many_tasks_that_start_at_the_same_time(tmp_path: Path) -> None:
    """All agree on a seed; and none is refused where they divide anew what another division began."""
    path, out, seeds = write(tmp_path, toml(ISING, run__seed=None)), tmp_path / "run.h5", set()
    for tasks in (40, 30, 40):
        command = [sys.executable, "-c", TOGETHER, str(path), str(out), str(tasks)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=True)
        found = json.loads(done.stdout)
        assert all(line.isdigit() for line in found), found
        seeds |= set(found)
        assert json.loads((parts(out) / "tasks.json").read_text())["tasks"] == tasks
        assert all(task_folder(out, number, tasks).is_dir() for number in range(tasks))
    assert len(seeds) == 1
    assert not list(tmp_path.rglob("*.tmp"))
    assert json.loads((parts(out) / "run.json").read_text())["seed"] == int(seeds.pop())


NO_LOCKS = (
    "import errno, fcntl, os\n"
    "def refuse(*_, **__): raise OSError(errno.ENOLCK, 'No locks available')\n"
    "def no_links(*_, **__): raise OSError(errno.EPERM, 'Operation not permitted')\n"
    "fcntl.flock, os.link = refuse, no_links"
)


def test_file_systems_without_locks_and_links(tmp_path: Path) -> None:
    path, out = write(tmp_path, toml(ISING, run__seed=None)), tmp_path / "run.h5"

    def start(number: int, *more: str) -> subprocess.Popen[str]:
        own = ("run", path, "-o", out, "--task", number, "--tasks", 6, "--threads", 1, "--quiet", *more)
        return launch(*own, program=NO_LOCKS)

    processes = [start(number) for number in range(6)]
    assert [finish(process) for process in processes] == [(0, ANY)] * 6
    code, stderr = finish(launch("merge", path, "-o", out, "--quiet", program=NO_LOCKS))
    assert code == 0, stderr
    assert not parts(out).exists()


def test_tasks_that_place_a_ladder_at_the_same_time(tmp_path: Path) -> None:
    path, out = write(tmp_path, toml(KINDS["placed ladder"], run__seed=None)), tmp_path / "run.h5"
    processes = [launch("run", path, "-o", out, "--task", number, "--tasks", 3, "--quiet") for number in range(3)]
    assert [finish(process) for process in processes] == [(0, ANY)] * 3
    merged(path, out)


def test_a_second_job_is_refused(tmp_path: Path) -> None:
    path, out = write(tmp_path, ENDLESS), tmp_path / "run.h5"
    other = write(tmp_path, toml(KILLED, schedule__sweeps="4000000000", grid__temperatures="[2.0, 2.5, 3.0, 4.0]"), "t")
    process = launch("run", path, "-o", out, "--task", 0, "--tasks", 3, "--threads", 1)
    try:
        sampling(process)
        names = {p.name for p in parts(out).iterdir()}

        def refused(*words: str, file: Path = path, command: tuple[object, ...] = ("run",)) -> None:
            assert_refused(cli(command[0], file, "-o", out, *command[1:]), *words)

        refused("another process", "task 0 of 3", command=("run", "--task", 0, "--tasks", 3))
        refused("another process", "run.h5")
        refused("lacks", "run.h5", command=("merge",))
        refused("nothing to merge", command=("merge", "--partial"))
        refused("in 3 tasks", "--tasks 3, not 4", command=("run", "--task", 0, "--tasks", 4))
        refused("in 3 tasks at other temperatures", file=other, command=("run", "--task", 1, "--tasks", 3))
        assert {p.name for p in parts(out).iterdir()} == names
        assert begin(path, out, 1, 3) == SAVED
        assert cli("status", path, "-o", out).exit_code == 0
    finally:
        process.kill()
        finish(process)
    assert begin(path, out, 0, 3) == SAVED  # its death freed all locks
    assert begin(path, out, 0, 4) == SAVED


def test_tasks_beside_a_whole_run_are_refused(tmp_path: Path) -> None:
    path, out = write(tmp_path, ENDLESS), tmp_path / "run.h5"
    process = launch("run", path, "-o", out, "--threads", 1)
    try:
        sampling(process)
        assert_refused(cli("run", path, "-o", out, "--task", 0, "--tasks", 3), "another process", "run.h5")
        assert_refused(cli("merge", path, "-o", out), "lacks")
        assert not list(parts(out).glob("task*"))
    finally:
        process.kill()
        finish(process)


def test_tasks_at_the_same_time_one_of_them_killed(tmp_path: Path) -> None:
    text = toml(KILLED, schedule__sweeps="40000", lattice__size="[8]")
    reference = datasets(complete(tmp_path, text, "undisturbed"))
    path, out = write(tmp_path, text), tmp_path / "run.h5"

    def start(number: int) -> subprocess.Popen[str]:
        return launch("run", path, "-o", out, "--task", number, "--tasks", 2, "--threads", 1)

    processes = [start(number) for number in range(2)]
    sampling(processes[1])
    time.sleep(0.2)
    processes[1].kill()
    assert finish(processes[1])[0] == -signal.SIGKILL
    assert cli("status", path, "-o", out).exit_code == 0
    processes[1] = start(1)
    assert [finish(process)[0] for process in processes] == [0, 0]
    assert_same(merged(path, out), reference)


# -- merging ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def done(tmp_path: Path) -> tuple[Path, Path]:
    """A run whose three tasks are done."""
    path, out = write(tmp_path, toml(ISING)), tmp_path / "run.h5"
    run_all(path, out, 3)
    return path, out


def test_merging_twice_changes_nothing(done: tuple[Path, Path], references: Callable[[str], Data]) -> None:
    path, out = done
    assert_same(merged(path, out), references("ising"))
    before, written = out.read_bytes(), out.stat().st_mtime_ns
    for again in (("merge",), ("merge", "--partial"), ("run",), ("run", "--task", 1, "--tasks", 3)):
        assert cli(again[0], path, "-o", out, *again[1:]).exit_code == 0
        assert (out.read_bytes(), out.stat().st_mtime_ns) == (before, written)
        assert not parts(out).exists()


def test_what_is_missing_is_told(done: tuple[Path, Path], references: Callable[[str], Data]) -> None:
    path, out = done
    shutil.rmtree(task_folder(out, 1, 3))
    before = files(parts(out))
    missing = [unit.key for unit in divide(units_of(load(path)), 3)[1]]
    first = min(missing, key=[unit.key for unit in units_of(load(path))].index)
    assert_refused(cli("merge", path, "-o", out), f"lacks {len(missing)} of 16 units of work", first, "merge --partial")
    assert files(parts(out)) == before
    assert run_task(path, out, 1, 3) == 0
    assert_same(merged(path, out), references("ising"))


def test_nothing_to_merge(tmp_path: Path) -> None:
    path, out = write(tmp_path, toml(ISING)), tmp_path / "sub" / "run.h5"
    assert_refused(cli("merge", path, "-o", out), "lacks 16 of 16 units of work")
    assert_refused(cli("merge", path, "-o", out, "--partial"), "nothing to merge")
    assert not parts(out).exists()
    assert not out.exists()


CHANGES = {
    "couplings": ({"couplings__J": "2"}, "couplings.J was [1.0], is [2.0]"),
    "seed": ({"run__seed": "8"}, "run.seed was 7, is 8"),
    "replicas": ({"grid__replicas": "71"}, "grid.replicas was 70, is 71"),
    "temperatures": ({"grid__temperatures": "[2.0]"}, "grid.temperatures no longer holds 2.5"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_run_file_that_was_edited(case: str, done: tuple[Path, Path], references: Callable[[str], Data]) -> None:
    path, out = done
    changes, words = CHANGES[case]
    write(path.parent, toml(ISING, **changes))
    before = files(parts(out))
    for command in (
        ("merge",), ("merge", "--partial"), ("status",), ("run", "--task", 1, "--tasks", 3),
        ("run", "--task", 1, "--tasks", 4), ("submit", "--tasks", 3, "--dry-run"),
    ):  # fmt: skip
        assert_refused(cli(command[0], path, "-o", out, *command[1:]), words)
    assert files(parts(out)) == before
    write(path.parent, toml(ISING))
    assert_same(merged(path, out), references("ising"))


FOREIGN: dict[str, tuple[dict[str, str], str, str]] = {
    "seed": ({"run__seed": "8"}, "", "another seed"),
    "run file": ({"couplings__J": "2"}, "", "another identity"),
    "program": ({}, "SAMPLER_VERSION", "another sampler_version"),
    "schema": ({}, "SCHEMA_VERSION", "another schema_version"),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_parts_that_belong_to_another_run(
    case: str, done: tuple[Path, Path], references: Callable[[str], Data], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder of a task made by another version, or from another run file, is not merged."""
    path, out = done
    changes, constant, words = FOREIGN[case]
    foreign = path.parent / "foreign.h5"
    with monkeypatch.context() as patch:
        if constant:
            patch.setattr(f"ising_mc.store.{constant}", 99)
        assert run_task(write(path.parent, toml(ISING, **changes), "foreign.toml"), foreign, 1, 3) == 0
    own, away = task_folder(out, 1, 3), path.parent / "away"
    own.rename(away)
    shutil.copytree(task_folder(foreign, 1, 3), own)
    for command in (("merge",), ("merge", "--partial"), ("status",), ("run", "--task", 1, "--tasks", 3), ("run",)):
        assert_refused(cli(command[0], path, "-o", out, *command[1:]), words, own.name, "run.json")
    assert not out.exists()
    shutil.rmtree(own)
    away.rename(own)
    assert_same(merged(path, out), references("ising"))


@pytest.mark.parametrize("constant", ["SAMPLER_VERSION", "SCHEMA_VERSION"])
def test_another_version_neither_goes_on_nor_merges(
    constant: str, done: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out = done
    before = files(parts(out))
    monkeypatch.setattr(f"ising_mc.store.{constant}", 99)
    for command in (("merge",), ("run", "--task", 1, "--tasks", 3), ("run", "--task", 1, "--tasks", 4), ("run",)):
        assert_refused(cli(command[0], path, "-o", out, *command[1:]), constant.lower(), "this is 99")
    assert files(parts(out)) == before


def test_a_damaged_segment(done: tuple[Path, Path], references: Callable[[str], Data]) -> None:
    path, out = done
    segment = task_segments(out)[-1]
    whole = segment.read_bytes()
    segment.write_bytes(whole[: len(whole) // 2])
    for remove_header in (False, True):
        if remove_header:
            (parts(out) / "run.json").unlink()
        for command in ("merge", "status", "run"):
            assert_refused(cli(command, path, "-o", out), f"{segment.parent.name}/{segment.name}", "damaged")
    segment.write_bytes(whole)
    assert_same(merged(path, out), references("ising"))


def test_a_segment_that_is_gone(references: Callable[[str], Data], tmp_path: Path) -> None:
    path, out = write(tmp_path, toml(ISING)), tmp_path / "run.h5"
    assert begin(path, out, 0, 3) == SAVED
    run_all(path, out, 3)
    first, *others = sorted(task_folder(out, 0, 3).glob("seg-*.h5"))
    first.rename(tmp_path / "away")
    for command in (("merge",), ("run", "--task", 0, "--tasks", 3), ("status",)):
        result = cli(command[0], path, "-o", out, *command[1:])
        assert_refused(result, "lacks a segment before", f"{first.parent.name}/{others[0].name}")
    (tmp_path / "away").rename(first)
    others[-1].rename(tmp_path / "away")
    assert_refused(cli("merge", path, "-o", out), "lacks")
    assert_same(merged(path, out) if run_task(path, out, 0, 3) == 0 else out, references("ising"))


def test_sweeps_that_were_done_twice(tmp_path: Path) -> None:
    """By two processes, where files cannot be locked."""
    path, out = write(tmp_path, toml()), tmp_path / "run.h5"
    for tasks, end in ((3, 20), (7, 60)):
        with Store.open(tmp_path / f"{tasks}.h5", load(path), lambda: 0, Task(0, tasks)) as store:
            store.write_segment([commit("L4/T2.0/w0000", 0, end)])
        shutil.copytree(parts(tmp_path / f"{tasks}.h5"), parts(out), dirs_exist_ok=True)
    assert_refused(cli("merge", path, "-o", out), "overlap", "two processes")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"tasks": "many"}', '{"tasks": 3}'])
def test_a_damaged_division(text: str, done: tuple[Path, Path], references: Callable[[str], Data]) -> None:
    path, out = done
    (parts(out) / "tasks.json").write_text(text)
    for command in (("status",), ("run", "--task", 1, "--tasks", 3)):
        assert_refused(cli(command[0], path, "-o", out, *command[1:]), "tasks.json", "damaged", "remove it")
    (parts(out) / "tasks.json").unlink()
    assert cli("status", path, "-o", out).exit_code == 0
    assert run_task(path, out, 1, 3) == 0
    assert_same(merged(path, out), references("ising"))


KILL = "import os, signal\ndef die(*_): os.kill(os.getpid(), signal.SIGKILL)\n"
MOMENTS = {
    "before the result file has its name": "import ising_mc.resultfile as r; r.sync_and_rename = die",
    "while the result file is written": "import ising_mc.resultfile as r; r._compressed = die",
    "before the segments go": "import ising_mc.store as s; s.Store.remove_parts = die",
    "after some of the folders have gone": (
        "import shutil, ising_mc.store as s\n"
        "def some(self):\n    shutil.rmtree(s.folders(self.parts)[1])\n    die()\ns.Store.remove_parts = some"
    ),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_merge_that_is_killed(moment: str, done: tuple[Path, Path], references: Callable[[str], Data]) -> None:
    path, out = done
    code, stderr = finish(launch("merge", path, "-o", out, "--quiet", program=KILL + MOMENTS[moment]))
    assert code == -signal.SIGKILL, stderr
    assert cli("status", path, "-o", out).exit_code == 0
    assert_same(merged(path, out), references("ising"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1], ids=lambda number: number.name)
def test_a_merge_that_is_stopped(
    number: signal.Signals, done: tuple[Path, Path], references: Callable[[str], Data]
) -> None:
    path, out = done
    before = files(parts(out))
    send = (
        "import os, ising_mc.screen as s\nold = s.MergeProgress.analysing\n"
        f"def analysing(*a):\n    os.kill(os.getpid(), {number})\n    return old(*a)\n"
        "s.MergeProgress.analysing = analysing"
    )
    code, stderr = finish(launch("merge", path, "-o", out, program=send))
    assert code == SAVED, stderr
    assert "the same command merges" in stderr
    assert files(parts(out)) == before
    assert sorted(p.name for p in path.parent.iterdir()) == ["run.h5.parts", "run.toml"]
    assert_same(merged(path, out), references("ising"))


# -- full disks ------------------------------------------------------------------------------------------------------

LIMIT = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0}))"


def test_no_room_for_a_part(references: Callable[[str], Data], tmp_path: Path) -> None:
    path, out = write(tmp_path, toml(ISING)), tmp_path / "run.h5"
    for room, what in ((100, "run.json"), (8192, "seg-000000.h5")):
        options = ("-o", out, "--task", 0, "--tasks", 3, "--quiet")
        code, stderr = finish(launch("run", path, *options, program=LIMIT.format(room)))
        assert code == 2, stderr
        assert stderr.count("\n") == 1
        assert "cannot write" in stderr
        assert what in stderr
        assert not list(tmp_path.rglob("*.tmp"))
        assert not task_segments(out)
    run_all(path, out, 3)
    assert_same(merged(path, out), references("ising"))


def test_no_room_for_the_merged_file(done: tuple[Path, Path], references: Callable[[str], Data]) -> None:
    """Wherever it fails, HDF5 survives it."""
    path, out = done
    before = files(parts(out))
    for room in (2_000, 50_000, 100_000, 240_000):
        code, stderr = finish(launch("merge", path, "-o", out, "--quiet", program=LIMIT.format(room)))
        assert code == 2, stderr
        assert stderr.count("\n") == 1
        assert "cannot write" in stderr
        assert "safe" in stderr
        assert files(parts(out)) == before
        assert sorted(p.name for p in path.parent.iterdir()) == ["run.h5.parts", "run.toml"]
    assert_same(merged(path, out), references("ising"))


def test_full_disk(references: Callable[[str], Data], tmp_path: Path) -> None:
    """Tasks one after the other on a disk that has room for some of them."""
    disk, text = tmp_path / "disk", toml(ISING, schedule__sweeps="1000")
    disk.mkdir()
    unshare = ["unshare", "--user", "--map-root-user", "--mount"]
    mount = ["mount", "-t", "tmpfs", "-o", "size=1200k", "none", str(disk)]
    if not shutil.which("unshare") or subprocess.run([*unshare, *mount], capture_output=True, check=False).returncode:
        pytest.skip("no small file system can be mounted here")
    path, out = write(tmp_path, text), tmp_path / "run.h5"
    script = (
        '"${@:4}"; for k in 0 1 2; do "$1" -m ising_mc run "$2" -o "$3/run.h5" --task $k --tasks 3 --quiet; '
        'echo "code $?" >&2; done; "$1" -m ising_mc merge "$2" -o "$3/run.h5" --quiet; echo "code $?" >&2; '
        'cp -r "$3/run.h5.parts" "$3/../"'
    )
    command = [*unshare, "bash", "-c", script, "bash", sys.executable, str(path), str(disk), *mount]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    lines = finished.stderr.splitlines()
    assert [line for line in lines if line.startswith("code")][-2:] == ["code 2", "code 2"], lines
    assert any("No space left" in line for line in lines)
    assert "lacks" in lines[-2], lines
    assert not any("Traceback" in line for line in lines)
    assert task_segments(out)
    assert not list(parts(out).rglob("*.tmp"))
    reference = datasets(complete(tmp_path, text, "undisturbed"))
    run_all(path, out, 3)
    assert_same(merged(path, out), reference)


# -- what is there, merged in part -----------------------------------------------------------------------------------

PARTS: dict[str, tuple[str, Callable[[Any], bool]]] = {  # kinds, and which units are done
    "a system": ("ising", lambda unit: unit.system.label in ("L4", "L6")),
    "a temperature": ("ising", lambda unit: unit.temperature == 2.5),
    "a sample of a disorder": ("tempering", lambda unit: unit.system.label == "L6_d001"),
    "cooled": ("annealing", lambda unit: unit.system.label.startswith("L6")),
    "recalled": ("hopfield", lambda unit: unit.temperature == 0.4),
    "a machine at a temperature": ("boltzmann", lambda unit: unit.temperature == 0.7),
}


@pytest.mark.parametrize("case", PARTS)
def test_a_part_is_merged_and_marked(case: str, references: Callable[[str], Data], tmp_path: Path) -> None:
    kind, is_done = PARTS[case]
    path, out = write(tmp_path, text_of(kind, tmp_path)), tmp_path / "run.h5"
    units = units_of(load(path))
    for number, (unit,) in enumerate(divide(units, len(units))):
        if is_done(unit):
            assert run_task(path, out, number, len(units)) == 0
    before = files(parts(out))
    result = cli("merge", path, "-o", out, "--partial")
    assert result.exit_code == 0, result.output
    assert "not complete" in result.stderr
    assert not out.exists()
    assert files(parts(out)) == before
    target = tmp_path / "run.partial.h5"
    own, reference = datasets(target), references(kind)
    of_systems = [unit.temperature for unit in units if is_done(unit)]
    places = sorted({unit.temperature for unit in units}).index(of_systems[0]) if len(set(of_systems)) == 1 else None
    whole = case in ("a system", "a sample of a disorder", "cooled")
    with h5py.File(target) as file:
        assert dict(file["partial"].attrs)["of"] == len(units)
        assert file["partial"].attrs["units"] == sum(map(is_done, units))
        assert "units of work" in file["partial"].attrs["missing"]
        labels = set(file["systems"])
        assert labels == {unit.system.label for unit in units if is_done(unit)}
        if not whole:
            assert {len(system["temperature"]) for system in file["systems"].values()} == {1}
    if whole:
        named = {name for name in reference if name.split("/")[0] == "systems" and name.split("/")[1] in labels}
        assert {name for name in own if name.startswith("systems")} == named
        assert not [name for name in named if own[name] != reference[name]]
    else:
        assert places is not None
        for label in labels:
            name = f"systems/{label}/timeseries/energy"
            (_, shape, content), (_, _, other) = own[name], reference[name]
            assert shape[0] == 1
            assert content == other[places * len(content) : (places + 1) * len(content)]
    assert cli("merge", path, "-o", out, "--partial", "--quiet").exit_code == 0
    assert datasets(target) == own
    shown = cli("results", target)
    assert shown.exit_code == 0
    assert "is partial, it lacks" in shown.stdout.splitlines()[0]
    as_json = cli("results", target, "--json")
    assert json.loads(as_json.stdout)
    assert "is partial" in as_json.stderr
    run_all(path, out, len(units))
    assert_same(merged(path, out, "--partial"), reference)
    assert not target.exists()
    assert kind != "annealing" or best_file(out).exists()


def test_a_part_is_merged_while_tasks_run(tmp_path: Path) -> None:
    text = toml(KILLED, schedule__sweeps="16000", schedule__thermalization="0", schedule__measure_every="40")
    path, out = write(tmp_path, text), tmp_path / "run.h5"
    process = launch("run", path, "-o", out, "--task", 1, "--tasks", 12, "--threads", 1)
    try:
        sampling(process)
        process.send_signal(signal.SIGSTOP)  # it stays where it is, with its locks
        for number in range(2, 12):
            assert run_task(path, out, number, 12) == 0
        assert process.poll() is None
        result = cli("merge", path, "-o", out, "--partial", "--quiet")
        assert result.exit_code == 0, result.output
        with h5py.File(partial_file(out)) as file:
            assert file["partial"].attrs["of"] == 12
    finally:
        process.kill()
        finish(process)


def test_a_training_has_no_part(tmp_path: Path) -> None:
    path, out = write(tmp_path, text_of("training", tmp_path)), tmp_path / "run.h5"
    assert begin(path, out, 0, 1) == SAVED
    assert_refused(cli("merge", path, "-o", out, "--partial"), "nothing to merge")


# -- status ----------------------------------------------------------------------------------------------------------


def strict(text: str) -> Any:
    """JSON as its standard has it, without NaN."""

    def refuse(name: str) -> None:
        raise ValueError(name)

    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize("kind", KINDS)
def test_status_from_the_beginning_to_the_end(kind: str, tmp_path: Path) -> None:
    path, out = write(tmp_path, text_of(kind, tmp_path)), tmp_path / "run.h5"

    def status() -> Any:
        before = files(tmp_path)
        assert cli("status", path, "-o", out).exit_code == 0
        found = strict(cli("status", path, "-o", out, "--json").stdout)
        assert files(tmp_path) == before
        return found

    found = status()
    assert (found["done"], found["tasks"]) == (0, [])
    assert {point["state"] for point in found["points"]} == {"waiting"}
    begin(path, out, 0, 2)
    found = status()
    assert 0 <= found["done"] < 1
    assert 0 < found["tasks"][0]["done"] < 1
    assert [task["state"] for task in found["tasks"]] == ["running", "done" if kind == "training" else "waiting"]
    assert "running" in {point["state"] for point in found["points"]}
    run_all(path, out, 2)
    found = status()
    assert found["done"] == 1
    assert {item["state"] for item in found["points"] + found["tasks"]} == {"done"}
    merged(path, out)
    found = status()
    assert (found["done"], found["tasks"]) == (1, [])
    assert f"complete: {out}" in cli("status", path, "-o", out).stdout


def commit(key: str, first: int, end: int) -> Commit:
    rng = np.random.default_rng(first)
    values = rng.integers(-9, 9, (2, 4, (end - first) // 2)).astype(np.int32)
    state = State(rng.integers(0, 2**64, (4, 4), np.uint64), rng.integers(0, 2**64, (1, 8), np.uint64))
    return Commit(key, first, end, {"energy": values[0], "magnetization": values[1]}, state)


def test_status_tells_rate_and_time_left(tmp_path: Path) -> None:
    path, out = write(tmp_path, toml(SMALL, grid__temperatures="[2.0, 2.5, 3.0]")), tmp_path / "run.h5"
    spec = load(path)
    with Store.open(out, spec, lambda: 0, Task(0, 3)) as store:
        for first, end in ((0, 20), (20, 60), (60, 100), (100, 110)):
            store.write_segment([commit("L4/T2.0/w0000", first, end)])
    with Store.open(out, spec, lambda: 0, Task(2, 3)) as store:
        store.write_segment([commit("L4/T3.0/w0000", 0, 220)])
    now, segments = time.time(), sorted(task_folder(out, 0, 3).glob("seg-*.h5"))

    def saved(*ages: float) -> tuple[Any, Any]:
        for segment, age in zip(segments, ages, strict=True):
            os.utime(segment, (now - age, now - age))
        points, (task, waiting, done) = status_of(spec, out)
        assert (waiting.state, done.state) == ("waiting", "done")
        assert math.isnan(waiting.age)
        assert math.isnan(waiting.seconds_left)
        assert [point.state for point in points] == [task.state, "waiting", "done"]
        assert (task.units, task.done) == (1, 110 / 220)
        return task, points[0]

    task, point = saved(40, 30, 20, 10)  # 90 sweeps in 30 s
    assert task.state == "running"
    assert task.age == pytest.approx(10, abs=5)
    assert task.rate == pytest.approx(3 / 220)
    assert task.seconds_left == pytest.approx(110 / 3)
    assert (point.done, point.total) == (110, 220)
    task, _ = saved(90_040, 90_030, 20, 10)  # a day in the queue
    assert task.rate == pytest.approx(50 / 20 / 220)
    task, _ = saved(*(90_000 + age for age in (40, 30, 20, 10)))
    assert task.state == "stopped"
    assert task.rate == pytest.approx(3 / 220)
    text = cli("status", path, "-o", out).stdout
    assert all(state in text for state in ("stopped", "waiting", "done", "25 h ago", "50.0%"))
    assert strict(cli("status", path, "-o", out, "--json").stdout)["tasks"][1]["rate"] is None


def test_status_of_a_stopped_run_in_one_process(tmp_path: Path) -> None:
    spec, out = load(write(tmp_path, toml())), tmp_path / "run.h5"
    with Store.open(out, spec, lambda: 0) as store:
        store.write_segment([commit("L4/T2.0/w0000", 0, 20)])
    assert [point.state for point in status_of(spec, out)[0]] == ["running", "waiting"]
    for segment in parts(out).glob("seg-*.h5"):
        os.utime(segment, (0, 0))
    assert [point.state for point in status_of(spec, out)[0]] == ["stopped", "waiting"]


def test_status_takes_no_lock(done: tuple[Path, Path]) -> None:
    path, out = done
    with open(parts(out) / "lock") as lock, open(parts(out) / "tasks.lock") as entrance:
        for file in (lock, entrance):
            fcntl.flock(file, fcntl.LOCK_EX)
        assert strict(cli("status", path, "-o", out, "--json").stdout)["done"] == 1


# -- the command line ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--task", 3, "--tasks", 3), ("--task 3", "out of range", "0 to 2")),
        (("--task", 0), ("--task K and --tasks N",)),
        (("--tasks", 3), ("--task K and --tasks N",)),
        (("--task", 0, "--tasks", 100_000), ("99999",)),
    ],
)
def test_tasks_that_cannot_be(options: tuple[object, ...], words: tuple[str, ...], tmp_path: Path) -> None:
    path = write(tmp_path, toml())
    assert_refused(cli("run", path, "-o", tmp_path / "run.h5", *options), *words)
    assert [p.name for p in tmp_path.iterdir()] == ["run.toml"]


@pytest.mark.parametrize("command", ["run", "plan", "submit"])
def test_no_tasks(command: str, tmp_path: Path) -> None:
    path = write(tmp_path, toml())
    result = cli(command, path, "-o", tmp_path / "run.h5", "--tasks", 0, *(["--task", 0] if command == "run" else []))
    assert result.exit_code == 2
    assert "--tasks" in result.stderr
    assert "Traceback" not in result.output
    assert [p.name for p in tmp_path.iterdir()] == ["run.toml"]


def test_a_task_says_what_is_next(tmp_path: Path) -> None:
    path, out = write(tmp_path, toml()), tmp_path / "run.h5"
    result = cli("run", path, "-o", out, "--task", 0, "--tasks", 2)
    assert "task 0 of 2 is done" in result.stderr
    assert "ising-mc merge" in result.stderr
    assert result.stdout == ""


def test_plan_suggests_tasks(tmp_path: Path) -> None:
    path = write(tmp_path, toml(ISING, schedule__sweeps="4000000"))
    text = cli("plan", path, "--tasks", 3, "--time", "00:01:00").stdout
    assert "3 task(s) of one thread" in text
    assert "for tasks of 60 s: --tasks" in text
    assert "16 unit(s) of work" in text
    assert "--tasks 1\n" in cli("plan", path, "--time", "30-00:00:00").stdout
    for wrong in ("soon", "1:2:3:4", "00:00:00", "-1"):
        assert_refused(cli("plan", path, f"--time={wrong}"), "--time")


# -- as functions ----------------------------------------------------------------------------------------------------


def test_a_merge_that_fails_changes_nothing(done: tuple[Path, Path], references: Callable[[str], Data]) -> None:
    path, out = done
    before = files(parts(out))
    more = write(path.parent, toml(ISING, schedule__sweeps="400"), "more.toml")
    assert_refused(cli("merge", more, "-o", out), "lacks")
    hotter = write(path.parent, toml(ISING, grid__temperatures="[2.0, 2.25, 2.5]"), "hotter.toml")
    assert_refused(cli("merge", hotter, "-o", out), "lacks")
    assert files(parts(out)) == before
    assert_same(merged(path, out), references("ising"))


def test_parts_that_others_put_there_stay(done: tuple[Path, Path]) -> None:
    path, out = done
    for own in (parts(out) / "notes.txt", task_folder(out, 0, 3) / "kept.h5"):
        own.write_text("mine")
    merged(path, out)
    left = {name for name in files(parts(out)) if "mine" in files(parts(out))[name].decode()}
    assert {Path(name).name for name in left} == {"notes.txt", "kept.h5"}


def test_a_placed_ladder_is_that_of_the_recorded_seed(tmp_path: Path) -> None:
    few = {"schedule__sweeps": "20", "lattice__size": "[4]"}
    first = complete(tmp_path, toml(KINDS["placed ladder"], run__seed=None, **few), "first")
    with h5py.File(first) as file:
        seed = int(file.attrs["seed"])
    again = complete(tmp_path, toml(KINDS["placed ladder"], run__seed=str(seed), **few), "again")
    assert_same(again, datasets(first))


def test_merging_from_python(done: tuple[Path, Path], references: Callable[[str], Data]) -> None:
    path, out = done
    spec = load(path)
    assert merge(spec, out, 2) == out
    assert merge(spec, out, 2) == out
    assert_same(out, references("ising"))
    with pytest.raises(StoreError, match="lacks"):
        merge(spec, out.with_name("other.h5"), 2)
