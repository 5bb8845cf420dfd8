"""Batch scripts do what they say.  No Slurm is needed: what a real one does is tested in test_slurm.py."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers import (
    TIMEOUT,
    Data,
    assert_refused,
    assert_same,
    cli,
    files,
    parts,
    toml,
    write,
)
from tasks import ISING, SAVED, begin, merged, run_all, run_task, text_of

from ising_mc import cluster
from ising_mc.results import StoreError
from ising_mc.spec import load


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with programs of Slurm that write down what they were told; job ids are 17, 18, ..."""
    folder = tmp_path / "bin"
    folder.mkdir()
    programs = {
        "sbatch": 'n=$(cat "$0.count" 2>/dev/null || echo 17); '
        'case " $* " in *"$(cat "$0.refuse" 2>/dev/null || echo never)"*) '
        'echo "sbatch: error: invalid partition" >&2; exit 1;; esac; echo "$n;main"; echo $((n + 1)) > "$0.count"',
        "squeue": 'cat "$0.queued" 2>/dev/null || { cat "$0.says" 2>/dev/null || echo "slurm_load_jobs error: '
        'Invalid job id specified"; exit 1; } >&2',
        "scontrol": '[ ! -e "$0.refuse" ]',
        "sleep": '[ "$1" = 60 ] || /usr/bin/sleep "$1"',  # after a requeue Slurm ends the script
    }
    for name, text in programs.items():
        (folder / name).write_text(f'#!/bin/bash\necho "$*" >> "$0.calls"\n{text}\n')
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def calls(folder: Path, name: str) -> list[str]:
    path = folder / f"{name}.calls"
    return path.read_text().splitlines() if path.exists() else []


def test_submission(fake: Path, references: Callable[[str], Data], tmp_path: Path) -> None:
    path, out = write(tmp_path, toml(ISING)), tmp_path / "sub" / "run.h5"

    def submit(*options: object) -> Any:
        return cli("submit", path, "-o", out, *options)

    result = submit("--tasks", 20, "--max-running", 5, "--partition=short", "--time", "02:00:00", "-Alab", "-c", "2")
    assert result.exit_code == 0, result.output
    assert "tasks 0-15 of 20 are not done" in result.stdout
    assert "4 of the 20 tasks have nothing to do" in result.stdout
    assert "job array 17 is submitted" in result.stdout
    script, merge_script = out.parent / "run.sbatch", out.parent / "run.merge.sbatch"
    assert calls(fake, "sbatch") == [
        f"--parsable {script}", f"--parsable --dependency=afterok:17 --kill-on-invalid-dep=yes {merge_script}",
    ]  # fmt: skip
    text = script.read_text()
    for line in ("#SBATCH --array=0-15%5", "#SBATCH --partition=short", "#SBATCH --time 02:00:00", "#SBATCH -A lab",
                 "#SBATCH -c 2", "#SBATCH --requeue", "#SBATCH --open-mode=append"):  # fmt: skip
        assert f"\n{line}\n" in text
    assert f"{sys.executable} -m ising_mc run {path} -o {out} --quiet" in text
    assert "#SBATCH --partition=short" in merge_script.read_text()
    assert "array" not in merge_script.read_text()

    (fake / "squeue.queued").write_text("17 main\n")
    before = files(tmp_path)
    assert_refused(submit("--tasks", 20), "in the queue already, as job 17", "scancel 17")
    assert_refused(cli("merge", path, "-o", out), "lacks")  # a merge that comes too soon forgets nothing
    assert {name for name in files(tmp_path) if files(tmp_path)[name] != before.get(name)} <= {"bin/squeue.calls"}
    (fake / "squeue.queued").unlink()

    for number in (0, 1, 2, 5):
        assert run_task(path, out, number, 20) == 0
    assert "tasks 3-4,6-15 of 20 are not done" in submit("--tasks", 20).stdout
    assert "#SBATCH --array=3-4,6-15\n" in script.read_text()
    assert "tasks 0-2 of 3 are not done" in submit("--tasks", 3, "--dry-run").stdout
    run_all(path, out, 3)
    assert "nothing was submitted: sbatch" in submit("--tasks", 3, "--dry-run").stdout
    assert "all tasks are done; job 21 merges" in submit("--tasks", 3).stdout
    assert calls(fake, "sbatch")[-1] == f"--parsable {merge_script}"
    assert_same(merged(path, out), references("ising"))
    assert f"{out} is complete" in submit("--tasks", 3).stdout
    assert len(calls(fake, "sbatch")) == 5


def test_submission_of_a_ladder_that_was_placed(fake: Path, tmp_path: Path) -> None:
    path, out = write(tmp_path, text_of("placed ladder", tmp_path)), tmp_path / "run.h5"
    assert begin(path, out, 0, 3) == SAVED
    assert "tasks 0-2 of 3 are not done" in cli("submit", path, "-o", out, "--tasks", 3).stdout
    run_all(path, out, 3)
    merged(path, out)
    assert "is complete" in cli("submit", path, "-o", out, "--tasks", 3).stdout


def test_sbatch_refuses(fake: Path, tmp_path: Path) -> None:
    path, out = write(tmp_path, toml(ISING)), tmp_path / "run.h5"
    (fake / "sbatch.refuse").write_text("run.sbatch")
    assert_refused(cli("submit", path, "-o", out, "--tasks", 3), "sbatch refused", "run.sbatch", "invalid partition")
    assert not parts(out).exists()
    (fake / "sbatch.refuse").write_text("run.merge.sbatch")
    result = cli("submit", path, "-o", out, "--tasks", 3)
    assert_refused(result, "job array 17 is submitted", "invalid partition", "ising-mc merge")
    (fake / "squeue.queued").write_text("17 main\n")
    assert_refused(cli("submit", path, "-o", out, "--tasks", 3), "in the queue already, as job 17")
    (fake / "squeue.queued").unlink()
    (fake / "squeue.says").write_text("slurm_load_jobs error: Socket timed out")
    result = cli("submit", path, "-o", out, "--tasks", 3)
    assert_refused(result, "does not tell whether job 17 still works", "Socket timed out")
    for text in ("{", "{}", "[]", '{"job": 5, "merge_job": ""}', '{"job": "x", "merge_job": 1}'):
        (parts(out) / "submitted.json").write_text(text)
        assert_refused(cli("submit", path, "-o", out, "--tasks", 3), "submitted.json", "damaged")


def test_a_job_does_what_was_submitted(fake: Path, tmp_path: Path) -> None:
    """A run file that is edited while its jobs wait is refused, until nothing of them is left."""
    path, out = write(tmp_path, toml(ISING)), tmp_path / "run.h5"
    (fake / "squeue.queued").write_text("17 main\n")
    assert cli("submit", path, "-o", out, "--tasks", 3).exit_code == 0
    write(tmp_path, toml(ISING, grid__replicas="4"))
    for command in (("run", path, "-o", out, "--task", 0, "--tasks", 3), ("merge", path, "-o", out)):
        assert_refused(cli(*command), "belongs to another run")
    (fake / "squeue.queued").unlink()
    assert cli("submit", path, "-o", out, "--tasks", 3).exit_code == 0  # nothing was sampled
    run_all(path, out, 3)
    merged(path, out)


def test_what_cannot_be_noted_is_told(fake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, out = write(tmp_path, toml(ISING)), tmp_path / "run.h5"
    old = cluster.write_text

    def no_room(target: Path, text: str) -> None:
        if target.name == "submitted.json":
            raise StoreError(f"cannot write {target}: No space left on device")
        old(target, text)

    monkeypatch.setattr(cluster, "write_text", no_room)
    result = cli("submit", path, "-o", out, "--tasks", 3)
    assert_refused(result, "job 17 is submitted, but cannot write", "submitted.json", "scancel it")
    assert len(calls(fake, "sbatch")) == 1


def test_sbatch_does_not_answer(fake: Path, tmp_path: Path) -> None:
    """It may have taken the job: what the run is stays written down, and the user is asked to look."""
    path, out = write(tmp_path, toml(ISING)), tmp_path / "run.h5"
    (fake / "sbatch").write_text("#!/bin/bash\necho 'Socket timed out on send/recv operation' >&2; exit 1\n")
    assert_refused(cli("submit", path, "-o", out, "--tasks", 3), "did not say what became of", "squeue --me")
    assert (parts(out) / "run.json").exists()


def test_a_whole_run_beside_what_waits(fake: Path, tmp_path: Path) -> None:
    path, out = write(tmp_path, toml(ISING)), tmp_path / "run.h5"
    assert cli("submit", path, "-o", out, "--tasks", 3).exit_code == 0
    before = (parts(out) / "run.json").read_bytes()
    edited = write(tmp_path, toml(ISING, grid__replicas="4"), "edited.toml")
    assert_refused(cli("run", edited, "-o", out, "--quiet"), "belongs to another run")
    assert (parts(out) / "run.json").read_bytes() == before


def test_a_run_that_has_grown_is_fixed_when_it_is_submitted(fake: Path, tmp_path: Path) -> None:
    path, out = write(tmp_path, toml(ISING)), tmp_path / "run.h5"
    run_all(path, out, 3)
    write(tmp_path, toml(ISING, schedule__sweeps="400"))
    assert cli("submit", path, "-o", out, "--tasks", 3).exit_code == 0
    write(tmp_path, toml(ISING))
    assert_refused(cli("merge", path, "-o", out), "schedule.sweeps was 400, is 200, but can only grow")


def test_lines_of_the_scripts(fake: Path, tmp_path: Path) -> None:
    path, out = write(tmp_path, toml(ISING, run__name="\"my 'own' run\"")), tmp_path / "run.h5"
    assert cli("submit", path, "-o", out, "--tasks", 3, "--hold", "-H").exit_code == 0
    text, merging = ((tmp_path / name).read_text() for name in ("run.sbatch", "run.merge.sbatch"))
    assert "#SBATCH --job-name=my__own__run\n" in text
    assert "#SBATCH --hold\n#SBATCH -H\n" in text
    assert "hold" not in merging
    assert "-H" not in merging
    result = cli("submit", path, "-o", out, "--tasks", 3, "--comment=a\ntouch x")
    assert_refused(result, "holds a character that no line of a batch script can have")


def test_scripts_on_a_full_disk(fake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, out = write(tmp_path, toml(ISING)), tmp_path / "run.h5"
    (tmp_path / "run.sbatch").write_text("as it was")

    def no_room(partial: Path, path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ising_mc.folders.sync_and_rename", no_room)
    result = cli("submit", path, "-o", out, "--tasks", 3, "--dry-run")
    assert_refused(result, str(tmp_path / "run.sbatch"), "No space left")
    assert (tmp_path / "run.sbatch").read_text() == "as it was"


def test_no_sbatch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, out = write(tmp_path, toml(ISING)), tmp_path / "run.h5"
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    result = cli("submit", path, "-o", out, "--tasks", 3)
    assert_refused(result, "no sbatch", str(tmp_path / "run.sbatch"), str(tmp_path / "run.merge.sbatch"))
    assert (tmp_path / "run.sbatch").exists()
    assert cli("submit", path, "-o", out, "--tasks", 3, "--dry-run").exit_code == 0
    run_all(path, out, 3)
    assert_refused(cli("submit", path, "-o", out, "--tasks", 3), "no sbatch", str(tmp_path / "run.merge.sbatch"))


@pytest.mark.parametrize(
    "option",
    ["--array=0-3", "--array", "-a0-3", "-a", "--arr=0-3", "--requeue", "--no-requeue", "--open-mode=truncate",
     "--signal=USR1@9", "--dependency=afterok:3", "-dafterok:3", "--job-name=x", "-Jx", "--parsable", "--wrap=ls",
     "--wait", "-W", "--test-only"],
)  # fmt: skip
def test_options_of_the_script_itself(option: str, fake: Path, tmp_path: Path) -> None:
    path, out = write(tmp_path, toml(ISING)), tmp_path / "run.h5"
    before = files(tmp_path)
    assert_refused(cli("submit", path, "-o", out, "--tasks", 3, option), "is set by the batch script itself")
    assert_refused(cli("submit", path, "-o", out, "--tasks", 3, "low", option), "'low' is no option of sbatch")
    assert files(tmp_path) == before


def test_options_pass_as_they_are() -> None:
    lines = cluster._lines(("--comment=a b's", "-p", "low", "--exclusive", "--mail-type", "END,FAIL"))
    assert lines.splitlines() == [
        "#SBATCH --comment='a b'\"'\"'s'", "#SBATCH -p low", "#SBATCH --exclusive", "#SBATCH --mail-type END,FAIL",
    ]  # fmt: skip


def test_ranges() -> None:
    assert cluster.ranges(()) == ""
    assert cluster.ranges((7, 0, 1, 2, 4)) == "0-2,4,7"


WORK = 'trap "echo saved; exit 85" USR1 TERM; touch "$READY"; for k in {1..600}; do sleep 0.1; done'
ENDINGS = {  # what the task does, signals to the script, restarts so far; the exit code, and whether it is put back
    "done": ("exit 0", (), None, 0, False),
    "an error": ("exit 2", (), None, 2, False),
    "its own time limit": ("exit 85", (), None, 85, True),
    "its own time limit, again": ("exit 85", (), 4, 85, True),
    "too often": ("exit 85", (), 5, 85, False),
    "killed": ("kill -KILL $$", (), None, 137, False),
    "the warning came too early": ("kill -USR1 $$", (), None, 138, True),
    "the warning": (WORK, ("USR1",), 2, 85, True),
    "warned twice": (WORK, ("USR1", "USR1"), 2, 85, True),
    "cancelled": (WORK, ("TERM",), None, 85, False),
    "warned and cancelled": (WORK, ("TERM", "USR1"), None, 85, False),
}


@pytest.mark.parametrize("case", ENDINGS)
def test_the_batch_script(case: str, fake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run by bash, as Slurm runs it, around a program that behaves as a task does."""
    work, signals, restarts, code, put_back = ENDINGS[case]
    monkeypatch.setattr(cluster, "_command", lambda: ["bash", "-c", work])
    path, out = write(tmp_path, toml(ISING)), tmp_path / "run.h5"
    cluster.submit(path, load(path), out, 3, dry_run=True, max_restarts=5)
    environment = os.environ | {
        "READY": str(tmp_path / "ready"), "SLURM_ARRAY_TASK_ID": "2", "SLURM_ARRAY_JOB_ID": "17", "SLURM_JOB_ID": "20",
    }  # fmt: skip
    if restarts is not None:
        environment["SLURM_RESTART_COUNT"] = str(restarts)
    command, pipe = ["bash", str(tmp_path / "run.sbatch")], subprocess.PIPE
    process = subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True)
    if signals:
        while not (tmp_path / "ready").exists():
            time.sleep(0.01)
    for name in signals:
        process.send_signal(signal.Signals[f"SIG{name}"])
    stdout, stderr = process.communicate(timeout=TIMEOUT)
    assert process.returncode == code, (stdout, stderr)
    assert calls(fake, "scontrol") == (["requeue 17_2"] if put_back else [])
    assert ("ising-mc submit goes on" in stdout) == (case == "too often")
    assert ("back into the queue" in stdout) == put_back


def test_slurm_refuses_to_requeue(fake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_command", lambda: ["bash", "-c", "exit 85"])
    path, out = write(tmp_path, toml(ISING)), tmp_path / "run.h5"
    cluster.submit(path, load(path), out, 3, dry_run=True)
    (fake / "scontrol.refuse").touch()
    environment = os.environ | {"SLURM_ARRAY_TASK_ID": "2", "SLURM_ARRAY_JOB_ID": "17"}
    command = ["bash", str(tmp_path / "run.sbatch")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert done.returncode == SAVED
    assert "did not put it back" in done.stdout


def test_the_script_runs_a_task(fake: Path, references: Callable[[str], Data], tmp_path: Path) -> None:
    folder = tmp_path / "a folder, 100 % odd"
    folder.mkdir()
    path, out = write(folder, toml(ISING), "my run.toml"), folder / "my run.h5"
    assert cli("submit", path, "-o", out, "--tasks", 1, "--dry-run").exit_code == 0
    script = folder / "my run.sbatch"
    assert f"#SBATCH --output='{tmp_path}/a folder, 100 %% odd/my run.log'/%A_%a.out\n" in script.read_text()
    environment = os.environ | {"SLURM_ARRAY_TASK_ID": "0"}
    subprocess.run(["bash", str(script)], env=environment, check=True, capture_output=True, timeout=TIMEOUT)
    subprocess.run(["bash", str(folder / "my run.merge.sbatch")], check=True, capture_output=True, timeout=TIMEOUT)
    assert_same(out, references("ising"))
