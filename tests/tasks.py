"""Runs of every kind, and what is done with their tasks."""

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import cli, parts, toml

from ising_mc.run import Stretch, advance

SAVED = 85
ISING = {
    "run": {"seed": "7"},
    "lattice": {"size": "[4, 5, [4, 6], 6]"},
    "grid": {"temperatures": "[2.0, 2.5]", "replicas": "70"},
    "schedule": {"thermalization": "20", "sweeps": "200", "measure_every": "2"},
    "algorithm": {"kind": '"heat_bath"'},
}
GLASS = {
    "run": {"seed": "7"},
    "lattice": {"size": "[4, 6]"},
    "couplings": {"kind": '"pm_j"', "disorder_samples": "2"},
    "grid": {"temperatures": "[1.0, 1.5, 2.0]", "replicas": "40"},
    "schedule": {"thermalization": "20", "sweeps": "200"},
    "tempering": {"every": "1"},
}
MACHINE = {
    "run": {"seed": "5"},
    "model": {"kind": '"boltzmann"'},
    "machine": {"kind": '"restricted"', "visible": "6", "hidden": "3", "scale": "1.0"},
    "grid": {"temperatures": "[0.7, 1.4]", "replicas": "70"},
    "schedule": {"thermalization": "20", "sweeps": "100"},
}
RECALL = {
    "run": {"seed": "3"},
    "model": {"kind": '"hopfield"'},
    "network": {"units": "[40]", "load": "[0.1]", "samples": "2"},
    "cue": {"flip": "0.2"},
    "grid": {"temperatures": "[0.0, 0.4]", "replicas": "70"},
    "schedule": {"thermalization": "10", "sweeps": "30"},
}
COOLING = {"from": "3.0", "to": "0.2", "sweeps": "1000", "reads": "70"}
ANNEAL = {
    "run": {"seed": "7"},
    "lattice": {"size": "[4, 6]"},
    "couplings": {"kind": '"pm_j"'},
    "anneal": COOLING,
}
TRAIN = {
    "run": {"seed": "7"},
    "model": {"kind": '"boltzmann"'},
    "machine": {"kind": '"restricted"', "hidden": "4"},
    "train": {"data": '"data.npy"', "method": '"pcd"', "epochs": "1000", "batch": "10", "chains": "16"},
}
KINDS = {
    "ising": ISING,
    "tempering": GLASS,
    "placed ladder": GLASS | {"tempering": {"every": "1", "ladder": '"auto"'}},
    "annealing": ANNEAL,
    "hopfield": RECALL,
    "boltzmann": MACHINE,
    "boltzmann tempering": MACHINE | {"tempering": {"every": "1"}},
    "boltzmann annealing": {name: MACHINE[name] for name in ("run", "model", "machine")} | {"anneal": COOLING},
    "training": TRAIN,
}


def text_of(kind: str, folder: Path) -> str:
    if kind == "training":
        np.save(folder / "data.npy", (np.random.default_rng(0).random((40, 6)) < 0.4).astype(np.float32))
    return toml(KINDS[kind])


def run_task(path: Path, out: Path, number: int, tasks: int, *options: object) -> int:
    result = cli("run", path, "-o", out, "--task", number, "--tasks", tasks, "--threads", 1, "--quiet", *options)
    assert result.exit_code in (0, SAVED), result.output
    return result.exit_code


def begin(path: Path, out: Path, number: int = 0, tasks: int | None = None, quick: int = 0) -> int:
    """Run a task, or all, and stop after `quick` stretches and one more; the exit code."""

    def slowly(*args: Any) -> Iterator[Stretch]:
        for number, stretch in enumerate(advance(*args)):
            if number >= quick:
                time.sleep(0.02)
            yield stretch

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ising_mc.schedule.advance", slowly)
        patch.setattr("ising_mc.schedule.POLL_SECONDS", 1e-3)
        if tasks is None:
            return cli("run", path, "-o", out, "--threads", 1, "--quiet", "--time-limit", 0).exit_code
        return run_task(path, out, number, tasks, "--time-limit", 0)


def run_all(path: Path, out: Path, tasks: int, order: random.Random | None = None) -> None:
    """All tasks to their end, in some order."""
    numbers = list(range(tasks))
    (order or random.Random(tasks)).shuffle(numbers)
    for number in numbers:
        assert run_task(path, out, number, tasks) == 0


def merged(path: Path, out: Path, *options: object) -> Path:
    result = cli("merge", path, "-o", out, "--quiet", *options)
    assert result.exit_code == 0, result.output
    return out


def task_folder(out: Path, number: int, tasks: int) -> Path:
    return parts(out) / f"task-{number:05d}-of-{tasks:05d}"


def task_segments(out: Path) -> list[Path]:
    return sorted(parts(out).glob("task-*/seg-*.h5"))
