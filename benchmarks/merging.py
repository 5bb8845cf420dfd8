"""Merging the parts of many tasks: rate, memory over the number of systems, inodes, and how long `status` takes.

    pip install -e .
    python benchmarks/merging.py > benchmarks/MERGING.md
    python benchmarks/merging.py --small            a try, of seconds

Parts are written through the store, with series of random numbers as wide as those of a real run: sampling that much
would take hours, and a merge does not look at the values.  Each merge is a process of its own, whose peak of memory is
that of this process and no other.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ising_mc import provenance
from ising_mc.division import divide
from ising_mc.folders import Task, parts_folder
from ising_mc.planning import status_of
from ising_mc.run import units_of
from ising_mc.segments import Commit
from ising_mc.spec import parse
from ising_mc.store import Store
from ising_mc.unit import Unit

SMALLEST = 8  # side of the first system
REPLICAS = 64
SAVES = 2  # of each task
ROUNDS = 3
GIVE_BACK: list[str] = []  # with a word in it merges do not keep freed memory
MEGABYTE = 1e6
MERGE = """
import json, resource, sys, time
from itertools import pairwise
from pathlib import Path
from ising_mc import memory, schedule, spec
if len(sys.argv) < 5:
    memory.keep_freed()
run, out, threads = spec.load(Path(sys.argv[1])), Path(sys.argv[2]), int(sys.argv[3])
began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
if threads:
    schedule.merge(run, out, threads)
print(json.dumps([time.perf_counter() - began, before * 1024, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024]))
"""


def text_of(systems: int, temperatures: int, records: int) -> str:
    return (
        f"[run]\nseed = 1\n[lattice]\nsize = {list(range(SMALLEST, SMALLEST + systems))}\n"
        f"[grid]\nreplicas = {REPLICAS}\ntemperatures = {{start = 1.5, stop = 3.5, num = {temperatures}}}\n"
        f'[schedule]\nthermalization = 0\nsweeps = {records}\n[algorithm]\nkind = "heat_bath"\nstart = "random"\n'
    )


def write_parts(folder: Path, text: str, tasks: int, saves: int = SAVES) -> tuple[Path, Path, int]:
    """The run file, the result file to be, and the bytes of the series of all tasks, which are done."""
    folder.mkdir()
    path, out = folder / "run.toml", folder / "run.h5"
    path.write_text(text)
    spec, rng, raw = parse(text), np.random.default_rng(1), 0
    with Store.open(out, spec, lambda: 1, Task(0, tasks)) as store:
        header = store.header
    edges = np.linspace(0, spec.sweeps, saves + 1).astype(int).tolist()
    for number, share in enumerate(divide(units_of(spec), tasks)):
        store = Store(out, header, Task(number, tasks))
        store.folder.mkdir(exist_ok=True)
        for first, end in pairwise(edges):
            commits = [commit(unit, first, end, rng) for unit in share]
            raw += sum(values.nbytes for own in commits for values in own.series.values())
            store.write_segment(commits)
    return path, out, raw


def commit(unit: Unit, first: int, end: int, rng: np.random.Generator) -> Commit:
    """Sweeps of a unit, as wide as those of a real one, and a state as large."""
    sampler = unit.sampler(1, 1)
    sampler.start(1, unit.system.label, unit.temperature, unit.word, "random")
    n = unit.system.n_sites
    series = {
        name: (4 * np.rint(rng.normal(centre, n**0.5 / 2, (unit.replicas, end - first)))).astype(np.int32)
        for name, centre in (("energy", -n / 3), ("magnetization", 0.0))
    }
    return Commit(unit.key, first, end, series, sampler.state())


def merged(path: Path, out: Path, threads: int) -> tuple[float, float, float]:
    """Seconds of a merge in a process of its own, and the peak of its memory before and after; threads: 0 for none."""
    command = [sys.executable, "-c", MERGE, str(path), str(out), str(threads), *GIVE_BACK]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, before, after = json.loads(done.stdout)
    return seconds, before, after


def inodes(folder: Path) -> tuple[int, int]:
    """Files and folders below a folder, itself included."""
    found = list(folder.rglob("*"))
    return sum(path.is_file() for path in found), 1 + sum(path.is_dir() for path in found)


def rates(folder: Path, tasks: int, records: int, threads: Sequence[int]) -> None:
    for number in threads:
        seconds = []
        for turn in range(ROUNDS):
            text, place = text_of(20, tasks // 20, records), folder / f"rate{records}_{number}_{turn}"
            path, out, raw = write_parts(place, text, tasks)
            os.sync()  # what is written later would slow the merge down
            files, folders = inodes(parts_folder(out))
            seconds.append(merged(path, out, number)[0])
            assert not parts_folder(out).exists()
            size = out.stat().st_size
            out.unlink()
        median = statistics.median(seconds)
        speeds = [raw / MEGABYTE / own for own in (median, max(seconds), min(seconds))]
        print(
            f"| {tasks} | {tasks * SAVES} | {raw / MEGABYTE:.0f} | {size / MEGABYTE:.0f} | {number} | {median:.1f} | "
            f"{speeds[0]:.0f} | {speeds[1]:.0f} ... {speeds[2]:.0f} | {files} files, {folders} folders | 1 |",
            flush=True,
        )


def memory(folder: Path, temperatures: int, records: int, systems: Sequence[int], threads: int) -> None:
    print("\n## Memory\n")
    print(f"Of {threads} threads; all systems are alike; peak of the resident memory, and what of it is the merge's.\n")
    print("| systems | series of one, MB | of all, MB | program alone, MB | merge, MB | difference, MB |")
    print("|---|---|---|---|---|---|")
    for number in systems:
        text = text_of(number, temperatures, records)
        path, out, raw = write_parts(folder / f"memory{number}", text, number * temperatures)
        _, alone, _ = merged(path, out, 0)
        _, _, peak = merged(path, out, threads)
        cells = [raw / number, raw, alone, peak, peak - alone]
        print(f"| {number} | {' | '.join(f'{cell / MEGABYTE:.0f}' for cell in cells)} |", flush=True)
        out.unlink()


def status(folder: Path, numbers: Sequence[int]) -> None:
    print("\n## Status\n")
    print(f"Median of {ROUNDS}, after the parts were written, so that the system has them in its memory.\n")
    print("| task folders | inodes | parts, MB | status, s | us a task |")
    print("|---|---|---|---|---|")
    for number in numbers:
        text = text_of(number // 100, 100, 20)
        _, out, _ = write_parts(folder / f"status{number}", text, number, saves=1)
        spec, seconds = parse(text), []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            points, tasks = status_of(spec, out)
            seconds.append(time.perf_counter() - began)
        assert len(tasks) == len(points) == number
        assert all(task.state == "done" for task in tasks)
        files, folders = inodes(parts_folder(out))
        size = sum(path.stat().st_size for path in parts_folder(out).rglob("seg-*"))
        median = statistics.median(seconds)
        cells = [
            f"{number}",
            f"{files + folders}",
            f"{size / MEGABYTE:.0f}",
            f"{median:.2f}",
            f"{median / number * 1e6:.0f}",
        ]
        print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a hundredth of it")
    parser.add_argument("--folder", type=Path, help="where parts are written [a temporary folder]")
    parser.add_argument("--give-back", action="store_true", help="freed memory is not kept; rates only")
    options: Any = parser.parse_args()
    if options.give_back:
        GIVE_BACK.append("give back")
    cores = len(os.sched_getaffinity(0))
    names = ("ising-mc", "numpy", "h5py")
    print("# Merging\n")
    print(f"{date.today()}, {provenance.cpu_model()}, {cores} cores, ", end="")
    print(", ".join(f"{name} {provenance.package_version(name)}" for name in names))
    print(
        f"\nMade by `python benchmarks/merging.py > benchmarks/MERGING.md`. A task has one unit of {REPLICAS} replicas and "
        f"{SAVES} segments; series are int32, before compression; MB are 10^6 bytes.\n"
    )
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        print("## Rate\n")
        print(f"Median of {ROUNDS} merges, the slowest and the fastest.\n")
        print(
            "| tasks | segments | series, MB | result file, MB | threads | s | MB/s | from ... to | inodes before | after |"
        )
        print("|---|---|---|---|---|---|---|---|---|---|")
        if options.give_back:
            rates(folder, 300, 2000, (1,))
        elif options.small:
            rates(folder, 100, 200, (1, cores))
            memory(folder, 10, 1000, (1, 4), cores)
            status(folder, (100, 200))
        else:
            rates(folder, 1000, 2000, (1, cores))
            rates(folder, 100, 20_000, (1, cores))
            memory(folder, 20, 10_000, (1, 2, 4, 8), cores)
            status(folder, (1000, 10_000))


if __name__ == "__main__":
    main()
