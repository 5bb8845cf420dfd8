"""Interruption and division are invisible: killed runs, signals, time limits, threads, other temperatures.

All comparisons are of every data set, byte for byte; where a run is killed is random (fixed seeds), and whether it
is hit before, while or after it samples decides nothing.
"""

import random
import signal
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers import (
    KILLED,
    SITES,
    Data,
    assert_same,
    cli,
    complete,
    datasets,
    finish,
    launch,
    parts,
    sampling,
    segments,
    toml,
    write,
)

UPDATES = ("heat_bath", "metropolis")
KILLS = 10  # of each update
SAVED = 85


def killed_text(update: str) -> str:
    return toml(KILLED, algorithm__kind=f'"{update}"')


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Data, float]]:
    """Data sets of runs that nobody disturbs, and how long they sample and write, by update."""
    runs = {}
    for update in UPDATES:
        folder = tmp_path_factory.mktemp(update)
        process = launch("run", write(folder, killed_text(update)), "-o", folder / "run.h5", "--threads", 2)
        sampling(process)
        began = time.monotonic()
        code, stderr = finish(process)
        assert code == 0, stderr
        runs[update] = datasets(folder / "run.h5"), time.monotonic() - began
    return runs


def kill_once(path: Path, out: Path, seconds: float, threads: int) -> int:
    """Run, kill after some seconds of sampling; the exit code."""
    process = launch("run", path, "-o", out, "--threads", threads)
    sampling(process)
    time.sleep(seconds)
    process.kill()
    return finish(process)[0]


@pytest.mark.parametrize("update", UPDATES)
def test_a_killed_run_goes_on_as_if_nothing_had_been(
    update: str, undisturbed: dict[str, tuple[Data, float]], tmp_path: Path
) -> None:
    reference, life = undisturbed[update]
    moments = random.Random(f"kill {update}")
    path = write(tmp_path, killed_text(update))
    codes = []
    for number in range(KILLS):
        folder = tmp_path / str(number)
        folder.mkdir()
        codes.append(kill_once(path, folder / "run.h5", moments.uniform(0, life), threads=1 + number % 2))
        out = complete(folder, killed_text(update), threads=2 - number % 2)
        assert_same(out, reference)
    assert -signal.SIGKILL in codes


def test_a_run_killed_over_and_over(undisturbed: dict[str, tuple[Data, float]], tmp_path: Path) -> None:
    reference, life = undisturbed["heat_bath"]
    moments = random.Random("again and again")
    path, out = write(tmp_path, killed_text("heat_bath")), tmp_path / "run.h5"
    for _ in range(5):
        kill_once(path, out, moments.uniform(0, life / 3), threads=2)
    assert_same(complete(tmp_path, killed_text("heat_bath")), reference)


KILL = "import os, signal\ndef die(*_): os.kill(os.getpid(), signal.SIGKILL)\n"
MOMENTS = {
    "before the first segment has its name": "import ising_mc.segments as s; s.sync_and_rename = die",
    "before the result file has its name": "import ising_mc.resultfile as r; r.sync_and_rename = die",
    "while the result file is written": "import ising_mc.resultfile as r; r._compressed = die",
    "while the result is analysed": "import ising_mc.schedule as s; s.analyse = die",
    "before the segments go": "import ising_mc.store as s; s.Store.remove_parts = die",
    "after one of the segments has gone": (
        "import ising_mc.store as s\n"
        "def some(self):\n    s.segments(self.parts)[0].unlink()\n    die()\ns.Store.remove_parts = some"
    ),
    "before the folder goes": "import ising_mc.store as s; s.remove_if_idle = die",
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_kills_at_the_worst_moments(moment: str, small_data: Data, tmp_path: Path) -> None:
    path, out = write(tmp_path, toml()), tmp_path / "run.h5"
    code, stderr = finish(launch("run", path, "-o", out, program=KILL + MOMENTS[moment]))
    assert code == -signal.SIGKILL, stderr
    assert parts(out).exists()
    assert cli("status", path, "-o", out).exit_code == 0
    assert_same(complete(tmp_path, toml()), small_data)


def test_killed_after_the_result_and_then_extended(tmp_path: Path) -> None:
    path, out = write(tmp_path, toml()), tmp_path / "run.h5"
    reference = datasets(complete(tmp_path, toml(schedule__sweeps="400"), "at_once"))
    finish(launch("run", path, "-o", out, program=KILL + MOMENTS["before the segments go"]))
    assert out.exists()
    assert segments(out)
    assert_same(complete(tmp_path, toml(schedule__sweeps="400")), reference)


def test_leftovers_do_not_disturb(small_data: Data, tmp_path: Path) -> None:
    out = tmp_path / "run.h5"
    parts(out).mkdir()
    for name in ("run.h5.tmp", "run.h5.parts/seg-000000.tmp", "run.h5.parts/run.tmp", "run.h5.parts/lock"):
        (tmp_path / name).write_bytes(b"half of someth")
    assert_same(complete(tmp_path, toml()), small_data)


# -- signals and time limits -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1], ids=lambda number: number.name)
def test_signals_save_and_stop(
    number: signal.Signals, undisturbed: dict[str, tuple[Data, float]], tmp_path: Path
) -> None:
    shorter = killed_text("heat_bath")
    path, out = write(tmp_path, shorter), tmp_path / "run.h5"
    # slow motion: after each stretch of the first unit there is time for the signal
    slow = (
        "import time\nfrom ising_mc.isingunits import SamplingUnit as unit\nold = unit.wanted\n"
        "def wanted(*a):\n    time.sleep(.1)\n    return old(*a)\nunit.wanted = wanted"
    )
    process = launch("run", path, "-o", out, program=slow)
    sampling(process)
    time.sleep(0.3)
    process.send_signal(number)
    code, stderr = finish(process)
    assert code == SAVED, stderr
    assert "the same command goes on" in stderr
    assert segments(out)
    assert_same(complete(tmp_path, shorter), undisturbed["heat_bath"][0])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1], ids=lambda number: number.name)
def test_signals_while_the_result_is_written(number: signal.Signals, small_data: Data, tmp_path: Path) -> None:
    path, out = write(tmp_path, toml()), tmp_path / "run.h5"
    send = (
        "import os, signal, ising_mc.screen as s\nold = s.RunProgress.analysing\n"
        f"def analysing(*a):\n    os.kill(os.getpid(), {number})\n    return old(*a)\n"
        "s.RunProgress.analysing = analysing"
    )
    code, stderr = finish(launch("run", path, "-o", out, program=send))
    assert code == SAVED, stderr
    assert "the same command goes on" in stderr
    assert not out.exists()
    assert not list(tmp_path.glob("*.tmp"))
    assert_same(complete(tmp_path, toml()), small_data)


@pytest.mark.parametrize("seconds", ["0", "0.3"])
def test_time_limit(seconds: str, undisturbed: dict[str, tuple[Data, float]], tmp_path: Path) -> None:
    text = toml(KILLED, schedule__sweeps="4000000000")
    out = tmp_path / "run.h5"
    result = cli("run", write(tmp_path, text), "-o", out, "--time-limit", seconds, "--threads", 2)
    assert result.exit_code == SAVED
    assert "the same command goes on" in result.stderr
    assert segments(out)
    assert not out.exists()


def test_time_limit_again_and_again(undisturbed: dict[str, tuple[Data, float]], tmp_path: Path) -> None:
    path, out = write(tmp_path, killed_text("metropolis")), tmp_path / "run.h5"
    for attempt in range(1000):
        limit = 0.1 if attempt < 20 else 5  # on a slow machine 0.1 s may never be enough for the results
        code = cli("run", path, "-o", out, "--time-limit", limit, "--quiet").exit_code
        if code != SAVED:
            break
    assert code == 0
    assert_same(out, undisturbed["metropolis"][0])


# -- division ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("threads", [1, 5])
def test_threads_change_nothing(
    update: str, threads: int, undisturbed: dict[str, tuple[Data, float]], tmp_path: Path
) -> None:
    assert_same(complete(tmp_path, killed_text(update), threads=threads), undisturbed[update][0])


@pytest.mark.parametrize("threads", [2, 4])  # 4 threads for 2 units: parallel bands, one unit at a time
def test_sites_kernel_killed_and_in_threads(threads: int, tmp_path: Path) -> None:
    reference = datasets(complete(tmp_path, toml(SITES), "undisturbed", threads=1))
    moments = random.Random(f"sites {threads}")
    path = write(tmp_path, toml(SITES))
    assert_same(complete(tmp_path, toml(SITES), "threads", threads=threads), reference)
    for _ in range(3):
        kill_once(path, tmp_path / "run.h5", moments.uniform(0, 0.3), threads=threads)
    assert_same(complete(tmp_path, toml(SITES), threads=1), reference)


def test_sites_and_replicas_side_by_side(tmp_path: Path) -> None:
    """More threads than units of both packings, with the simplest threads that numba has."""
    mixed = toml(SITES, lattice__size="[8, 128]", algorithm__packing='"auto"')
    reference = datasets(complete(tmp_path, mixed, "alone", threads=1))
    out = tmp_path / "run.h5"
    simple = "import os; os.environ['NUMBA_THREADING_LAYER'] = 'workqueue'; os.environ['NUMBA_NUM_THREADS'] = '4'"
    code, stderr = finish(launch("run", write(tmp_path, mixed), "-o", out, "--threads", 8, program=simple))
    assert code == 0, stderr
    assert_same(out, reference)


def series(out: Path, system: str, temperature: float) -> list[bytes]:
    with h5py.File(out) as file:
        group = file[f"systems/{system}"]
        t = list(group["temperature"]).index(temperature)
        names = ("timeseries/energy", "timeseries/magnetization", "final/spins", "final/random_state")
        return [np.asarray(group[name][t]).tobytes() for name in names]


def test_other_points_change_nothing(tmp_path: Path) -> None:
    alone = complete(tmp_path, toml(grid__temperatures="[2.25]", grid__replicas="70"), "alone")
    grids = {
        "first": {"grid__temperatures": "[2.25, 2.5, 3.0]"},
        "last": {"grid__temperatures": "{start = 1.25, stop = 2.25, num = 5}"},
        "sizes": {"grid__temperatures": "[2.0, 2.25]", "lattice__size": "[5, 4, [4, 6]]"},
    }
    for name, changes in grids.items():
        other = complete(tmp_path, toml(**{"grid__replicas": "70"} | changes), name)
        assert series(other, "L4", 2.25) == series(alone, "L4", 2.25)


def test_points_differ(tmp_path: Path) -> None:
    out = complete(tmp_path, toml(lattice__size="[4, 5]", grid__temperatures="[2.0, 2.5]", grid__replicas="128"))
    other = complete(tmp_path, toml(grid__temperatures="[2.0]", grid__replicas="128", run__seed="8"), "other")
    with h5py.File(out) as file, h5py.File(other) as second:
        energy = file["systems/L4/timeseries/energy"][()]
        rows = [*energy[0], *energy[1], *second["systems/L4/timeseries/energy"][0]]
    assert len({row.tobytes() for row in rows}) == len(rows)
