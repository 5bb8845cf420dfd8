"""Job arrays on a real Slurm of one node: whatever the queue does to tasks, the merged file is that of one process.

Tasks are held back by a file: while it is there they do one measurement each tenth of a second, so that they are in the
middle of their work whenever the queue stops them, on any machine.
"""

import json
import os
import random
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import pytest
import slurm_node
from helpers import Data, assert_refused, assert_same, cli, complete, datasets, parts, toml, write
from slurm_node import OneNode, wait_until

pytestmark = [
    pytest.mark.xdist_group("slurm"),
    pytest.mark.skipif(bool(slurm_node.missing()), reason=f"no Slurm here: {slurm_node.missing()}"),
]
SECONDS = 240  # for what takes some ten seconds on a machine that has nothing else to do
TASKS = 50
RUN = {
    "run": {"seed": "7"},
    "lattice": {"size": "[4, 5, [4, 6], 6]"},
    "grid": {"temperatures": "[2.0, 2.5]", "replicas": "70"},
    "schedule": {"thermalization": "20", "sweeps": "1600", "measure_every": "2", "checkpoint_seconds": "0.2"},
    "algorithm": {"kind": '"heat_bath"'},
}
SLOWLY = """\
import os, time

if "HELD_BACK_BY" in os.environ:
    from ising_mc import run, schedule

    advance, usual = schedule.advance, run.SLICE_SECONDS

    def slowly(*args):
        for stretch in advance(*args):
            held = os.path.exists(os.environ["HELD_BACK_BY"])
            run.SLICE_SECONDS = 1e-9 if held else usual
            if held:
                time.sleep(0.1)
            yield stretch

    schedule.advance = slowly
"""


@pytest.fixture(scope="module")
def node() -> Iterator[OneNode]:
    with tempfile.TemporaryDirectory(prefix="sl", dir="/tmp") as folder, OneNode(Path(folder), cpus=TASKS) as found:
        yield found


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Data:
    return datasets(complete(tmp_path_factory.mktemp("reference"), toml(RUN)))


class Job:
    """A run that is submitted, in a folder of its own."""

    def __init__(self, node: OneNode, folder: Path, text: str = toml(RUN)) -> None:
        folder.mkdir(exist_ok=True)
        self.node, self.path, self.out, self.gate = node, write(folder, text), folder / "run.h5", folder / "gate"

    def submit(self, tasks: int, *options: object) -> str:
        """Submit it; what is said."""
        result = cli("submit", self.path, "-o", self.out, "--tasks", tasks, *options)
        assert result.exit_code == 0, result.output
        submitted = json.loads((parts(self.out) / "submitted.json").read_text())
        self.array, self.merge = submitted["job"], submitted["merge_job"]
        return result.stdout

    def tasks(self) -> list[dict[str, Any]]:
        result = cli("status", self.path, "-o", self.out, "--json")
        assert result.exit_code == 0, result.output
        found: list[dict[str, Any]] = json.loads(result.stdout)["tasks"]
        return found

    def facts(self, name: str) -> dict[str, str]:
        """One fact of each task of the array."""
        return self.node.facts(self.array, name)

    def are(self, state: str) -> bool:
        return set(self.facts("JobState").values()) == {state}

    def wait_for_work(self) -> None:
        """Until all tasks run and have saved something since now."""
        wait_until(lambda: self.are("RUNNING"), SECONDS, lambda: f"tasks to run ({self.facts('JobState')})")
        before = {task["number"]: task["done"] for task in self.tasks()}
        wait_until(
            lambda: (now := self.tasks()) and all(task["done"] > before.get(task["number"], 0) for task in now),
            SECONDS, lambda: f"tasks to save ({self.tasks()})",
        )  # fmt: skip

    def wait_for_restarts(self, number: int) -> None:
        wait_until(
            lambda: all(int(own) >= number for own in self.facts("Restarts").values()),
            SECONDS, lambda: f"{number} restarts ({self.facts('Restarts')})",
        )  # fmt: skip

    def assert_merged(self, reference: Data) -> None:
        """Wait for the merge, whose file is that of one process."""
        states = self.node.wait(self.merge, SECONDS)
        assert set(states.values()) == {"COMPLETED"}, (states, self.log())
        assert_same(self.out, reference)

    def log(self, part: str = "") -> str:
        return "".join(path.read_text() for path in sorted((self.out.parent / "run.log").glob(f"*{part}.out")))

    def processes(self, task: int) -> list[int]:
        """The processes of a task, not those of its batch script."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_bytes().decode().split("\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if str(self.out) in words and f"--task {task} --tasks" in " ".join(words):
                found.append(int(folder.name))
        return found


@pytest.fixture
def job(node: OneNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """A run to be submitted, held back; the environment is that of the node."""
    for name in os.environ:
        if name.startswith("SLURM"):
            monkeypatch.delenv(name)
    for name in ("PATH", "SLURM_CONF"):
        monkeypatch.setenv(name, node.environment[name])
    (tmp_path / "sitecustomize.py").write_text(SLOWLY)
    (tmp_path / "gate").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("HELD_BACK_BY", str(tmp_path / "gate"))
    monkeypatch.chdir(tmp_path)
    return Job(node, tmp_path)


def test_any_number_of_tasks(job: Job, reference: Data, tmp_path: Path) -> None:
    job.gate.unlink()
    jobs = {tasks: Job(job.node, tmp_path / str(tasks)) for tasks in (1, 3, 7)}
    for tasks, own in jobs.items():
        assert f"tasks 0{f'-{tasks - 1}' * (tasks > 1)} of {tasks} are not done" in own.submit(tasks)
    for tasks, own in jobs.items():
        own.assert_merged(reference)
        with h5py.File(own.out) as file:
            assert file["provenance"].attrs["SLURM_JOB_ID"] == own.merge
            assert file["provenance"].attrs["threads"] == 1
        assert f"task {tasks - 1} of {tasks} is done" in own.log(f"_{tasks - 1}")
        assert "is complete" in cli("submit", own.path, "-o", own.out, "--tasks", tasks).stdout
        assert sorted(path.name for path in own.out.parent.iterdir()) == [
            "run.h5", "run.log", "run.merge.sbatch", "run.sbatch", "run.toml",
        ]  # fmt: skip


def test_requeued_preempted_and_killed(job: Job, reference: Data) -> None:
    """Tasks at random; then all of them for a job that has precedence; then one is killed, and what it lacks is
    submitted again.
    """  # fmt: skip
    order = random.Random("queue")
    job.submit(3, "--partition=low")
    job.wait_for_work()
    for number in order.sample(range(3), 2):
        job.node.call("scontrol", "requeue", f"{job.array}_{number}")
    wait_until(lambda: sum(map(int, job.facts("Restarts").values())) == 2, SECONDS, "two restarts")
    job.wait_for_work()

    above = job.node.call("sbatch", "--parsable", f"--cpus-per-task={TASKS}", "--output=/dev/null", "--wrap=sleep 0.1")
    assert job.node.wait(above, SECONDS) == {"": "COMPLETED"}
    wait_until(lambda: sum(map(int, job.facts("Restarts").values())) == 5, SECONDS, "three more restarts")
    job.wait_for_work()

    for process in job.processes(1):
        os.kill(process, signal.SIGKILL)
    wait_until(lambda: job.facts("JobState")["1"] == "FAILED", SECONDS, "a task to fail")
    job.gate.unlink()
    assert set(job.node.wait(job.array, SECONDS).values()) == {"COMPLETED", "FAILED"}
    assert job.node.wait(job.merge, SECONDS) == {"": "CANCELLED"}
    assert "tasks 1 of 3 are not done" in job.submit(3)
    job.assert_merged(reference)


def test_time_limits(job: Job, reference: Data, tmp_path: Path) -> None:
    """The signal that Slurm sends before the time limit, to all tasks, three times; and a real limit, of a minute."""
    real, bounded = Job(job.node, tmp_path / "real"), Job(job.node, tmp_path / "bounded")
    real.submit(2, "--time=1")
    job.submit(3)
    bounded.submit(1, "--max-restarts", 0)
    for number in range(1, 4):
        job.wait_for_work()
        before = {task["number"]: task["done"] for task in job.tasks()}
        job.node.call("scancel", "--signal=USR1", "--batch", job.array)
        job.wait_for_restarts(number)
        assert all(task["done"] >= before[task["number"]] > 0 for task in job.tasks())
    bounded.wait_for_work()
    job.node.call("scancel", "--signal=USR1", "--batch", bounded.array)
    assert job.node.wait(bounded.array, SECONDS) == {"0": "FAILED"}
    assert "restarted 0 times" in bounded.log("_0")
    real.wait_for_restarts(1)
    assert all(share["done"] < 1 for own in (job, real) for share in own.tasks())
    job.gate.unlink()
    assert job.node.wait(bounded.merge, SECONDS) == {"": "CANCELLED"}
    bounded.submit(2)  # in another number of tasks
    for own in (job, real, bounded):
        own.assert_merged(reference)
    assert set(job.facts("Restarts").values()) == {"3"}
    for task in range(3):
        assert job.log(f"_{task}").count("back into the queue") == 3
    for task in range(2):
        assert "back into the queue" in real.log(f"_{task}")
    assert "TIME LIMIT" not in real.log()


def test_cancelled(job: Job, reference: Data) -> None:
    """What is cancelled stays so, and nothing waits for it for ever."""
    job.submit(2)
    job.wait_for_work()
    for command in (("submit", "--tasks", 2), ("submit", "--tasks", 3)):
        result = cli(command[0], job.path, "-o", job.out, *command[1:])
        assert_refused(result, f"in the queue already, as job {job.array}")
    for command in (("run",), ("run", "--task", 0, "--tasks", 2)):
        assert_refused(cli(command[0], job.path, "-o", job.out, *command[1:]), "another process")
    assert_refused(cli("merge", job.path, "-o", job.out), "lacks")
    job.node.call("scancel", job.array)
    assert set(job.node.wait(job.array, SECONDS).values()) == {"CANCELLED"}
    assert job.node.wait(job.merge, SECONDS) == {"": "CANCELLED"}

    assert "tasks 0-1 of 2 are not done" in job.submit(2)
    job.wait_for_work()
    job.node.call("scancel", f"{job.array}_0")
    wait_until(lambda: job.facts("JobState")["0"] == "CANCELLED", SECONDS, "a task to be cancelled")
    job.gate.unlink()
    assert job.node.wait(job.array, SECONDS) == {"0": "CANCELLED", "1": "COMPLETED"}
    assert job.node.wait(job.merge, SECONDS) == {"": "CANCELLED"}
    time.sleep(2)
    assert job.facts("JobState")["0"] == "CANCELLED"
    assert job.facts("Restarts") == {"0": "0", "1": "0"}
    assert "back into the queue" not in job.log()

    assert "tasks 0 of 2 are not done" in job.submit(2)
    job.assert_merged(reference)


def test_sbatch_refuses(job: Job) -> None:
    wrong = {"--partition=none": "invalid partition", "--time=soon": "Invalid --time", "-pnone": "invalid partition"}
    for option, words in wrong.items():
        result = cli("submit", job.path, "-o", job.out, "--tasks", 3, option)
        assert_refused(result, "sbatch refused", "run.sbatch", words)
    assert not parts(job.out).exists()


def test_options_reach_slurm(job: Job) -> None:
    job.gate.unlink()
    job.submit(2, "--partition", "low", "--time=00:07:00", "-c2", "--comment=a b's", "--max-running", 1)
    for name, value in {"Partition": "low", "TimeLimit": "00:07:00", "CPUs/Task": "2", "Comment": "a"}.items():
        assert set(job.node.facts(job.array, name).values()) == {value}
        assert job.node.facts(job.merge, name) == {"": value}
    assert set(job.node.wait(job.merge, SECONDS).values()) == {"COMPLETED"}
    with h5py.File(job.out) as file:
        assert file["provenance"].attrs["threads"] == 2


def test_many_tasks_on_a_cold_cache(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They start at the same time, and one of them compiles."""
    text = toml(
        RUN, lattice__size="[4]", grid__temperatures="{start = 2.0, stop = 3.0, num = 50}", grid__replicas="4",
        schedule__sweeps="100",
    )  # fmt: skip
    job = Job(job.node, tmp_path / "many", text)
    monkeypatch.delenv("HELD_BACK_BY")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    job.submit(TASKS)
    assert set(job.node.wait(job.array, SECONDS).values()) == {"COMPLETED"}, job.log()
    assert len(job.node.states(job.array)) == TASKS
    job.assert_merged(datasets(complete(tmp_path, text, "plain")))
    (cache,) = (tmp_path / "cache").iterdir()
    kept = [path for path in cache.rglob("*") if path.is_file()]
    assert {path.suffix for path in kept} == {"", ".nbi", ".nbc", ".done"}
    assert [path.name for path in kept if not path.suffix] == ["lock"]
