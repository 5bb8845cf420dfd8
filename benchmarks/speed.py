"""How fast, and how much memory: kernels, the whole command, start-up, and mcising on the same work in the same minutes.

    pip install -e '.[plot]' mcising==1.1.0
    python benchmarks/speed.py > benchmarks/SPEED.md

Rates are spin-update attempts per nanosecond.  Every figure is the median over rounds in which all cases of a table
take turns, so that a drift of the machine's speed touches all of them; the spread is (max - min) / median.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import numpy as np

from ising_mc import exact, provenance
from ising_mc.square import Model, ReplicaSampler, SiteSampler, Square

ROUNDS = 9
SECONDS = 0.25  # of one measurement
TC = exact.critical_temperature()
Job = Callable[[], float]  # does some work and returns attempts


def take_turns(jobs: dict[str, Job], rounds: int = ROUNDS) -> dict[str, list[float]]:
    """Rates of all jobs, round by round."""
    rates: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            began = time.perf_counter()
            attempts = job()
            rates[name].append(attempts / (time.perf_counter() - began) / 1e9)
    return rates


def shown(rates: list[float]) -> str:
    middle = statistics.median(rates)
    return f"{middle:.2f} (spread {100 * (max(rates) - min(rates)) / middle:.0f} %)"


def sampler_job(L: int, packing: str, update: str, h: float, measure: bool, threads: int = 1) -> Job:
    """A job on one lattice; replica-packed with several threads: one sampler each, as the driver does it."""
    lattice, model = Square(L, L), Model(1.0, h)
    if packing == "sites":
        samplers = [SiteSampler(lattice, model, TC, update, threads)]
    else:
        samplers = [ReplicaSampler(lattice, model, TC, update) for _ in range(threads)]
    for word, sampler in enumerate(samplers):
        sampler.start(1, lattice.label, TC, word, "random")
        sampler.sweep(20)
    lanes = 64 if packing == "replicas" else 1
    sweeps = max(1, int(SECONDS * 1e10 / (L * L * lanes)))
    pool = ThreadPoolExecutor(len(samplers))

    def job() -> float:
        if packing == "sites":  # its threads are those of the kernel
            samplers[0].sample(sweeps, 1) if measure else samplers[0].sweep(sweeps)
            return float(sweeps * L * L)
        work = [pool.submit(s.sample, sweeps, 1) if measure else pool.submit(s.sweep, sweeps) for s in samplers]
        for done in work:
            done.result()
        return float(len(samplers) * sweeps * L * L * lanes)

    job()
    return job


def kernels() -> None:
    print("## Kernels at Tc, attempts per ns\n")
    cores = len(os.sched_getaffinity(0))
    for packing, sizes in (("replicas", (16, 32, 64, 128, 256)), ("sites", (128, 1024, 4096))):
        print(f"Packed by {packing}:\n")
        print(
            f"| L | Metropolis | heat bath | Metropolis, field | Metropolis, measured every sweep | {cores} threads |"
        )
        print("|---|---|---|---|---|---|")
        for L in sizes:
            jobs = {
                "metropolis": sampler_job(L, packing, "metropolis", 0.0, False),
                "heat_bath": sampler_job(L, packing, "heat_bath", 0.0, False),
                "field": sampler_job(L, packing, "metropolis", 0.1, False),
                "measured": sampler_job(L, packing, "metropolis", 0.0, True),
                "threads": sampler_job(L, packing, "metropolis", 0.0, False, cores),
            }
            rates = take_turns(jobs)
            ratio = statistics.median(a / b for a, b in zip(rates["threads"], rates["metropolis"], strict=True))
            cells = [shown(rates[name]) for name in ("metropolis", "heat_bath", "field", "measured")]
            print(f"| {L} | {' | '.join(cells)} | {statistics.median(rates['threads']):.2f}, {ratio:.2f} times |")
        print(flush=True)


def peer() -> None:
    try:
        import mcising
    except ModuleNotFoundError:
        print("## mcising is not installed: no comparison\n")
        return
    print(f"## Side by side with mcising {provenance.package_version('mcising')}, Metropolis at Tc, one thread each\n")
    print("| L | ising_mc | mcising | ratio, median (min - max) | e, ising_mc | e, mcising | e, exact |")
    print("|---|---|---|---|---|---|---|")
    for L in (32, 64, 128, 1024):
        packing = "sites" if L == 1024 else "replicas"
        config = mcising.SimulationConfig(lattice=mcising.LatticeConfig(size=L, j1=1.0), temperatures=(TC,), n_sweeps=1)
        other = mcising.Simulation(config)
        sweeps = max(1, int(SECONDS * 2e8 / L**2))

        def their_job(other=other, sweeps=sweeps, L=L) -> float:  # type: ignore[no-untyped-def]
            other.sweep(sweeps, temperature=TC)
            return float(sweeps * L * L)

        rates = take_turns({"own": sampler_job(L, packing, "metropolis", 0.0, False), "other": their_job})
        ratios = [a / b for a, b in zip(rates["own"], rates["other"], strict=True)]
        own_e, other_e = energies(L, other)
        print(
            f"| {L} | {shown(rates['own'])} | {statistics.median(rates['other']):.3f} | "
            f"{statistics.median(ratios):.0f} ({min(ratios):.0f} - {max(ratios):.0f}) | {own_e} | {other_e} | "
            f"{float(exact.kaufman(TC, L).energy):.5f} |",
            flush=True,
        )
    print()


def energies(L: int, other) -> tuple[str, str]:  # type: ignore[no-untyped-def]
    """Energies a site of both, where a short run can tell them (L = 32)."""
    if L > 32:
        return "-", "-"
    from ising_mc.statistics import format_value, mean

    lattice = Square(L, L)
    sampler = ReplicaSampler(lattice, Model(), TC, "metropolis")
    sampler.start(2, lattice.label, TC, 0, "mixed")
    sampler.sweep(5000)
    own = mean(Model().energy(lattice, *sampler.sample(20000, 1)).T / lattice.n_sites)
    other.sweep(5000, temperature=TC)
    theirs = mean(np.array([[other.sweep(5, temperature=TC)["energy"] for _ in range(40000)]]))
    return format_value(own.value, own.error), format_value(theirs.value, theirs.error)


RUN = """
[run]
seed = 1
[lattice]
size = [{L}]
[grid]
temperatures = {{start = 1.6, stop = 3.2, num = {num}}}
replicas = 64
[schedule]
thermalization = {thermalization}
sweeps = {sweeps}
[algorithm]
kind = "metropolis"
"""


def command(text: str, folder: Path) -> float:
    """Seconds of a whole `ising-mc run`."""
    (folder / "run.toml").write_text(text)
    (folder / "r.h5").unlink(missing_ok=True)
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "ising_mc", "run", "run.toml", "-o", "r.h5", "--quiet"], cwd=folder, check=True
    )
    return time.perf_counter() - began


def whole_run(folder: Path) -> None:
    import h5py

    cores = len(os.sched_getaffinity(0))
    print(
        f"## The whole command: 33 temperatures x 64 replicas, L = 64, measuring and storing every sweep, {cores} threads\n"
    )
    kernel = statistics.median(
        take_turns({"kernel": sampler_job(64, "replicas", "metropolis", 0.0, False, cores)})["kernel"]
    )
    print("| sweeps | kernel alone | sampling and saving | share | with results and the final file | share |")
    print("|---|---|---|---|---|---|")
    for sweeps in (5000, 20000):
        rates, whole = [], []
        for _ in range(3):
            seconds = command(RUN.format(L=64, num=33, thermalization=sweeps // 5, sweeps=sweeps), folder)
            with h5py.File(folder / "r.h5") as file:
                rates.append(float(file["timings"].attrs["flips_per_ns"]))
            whole.append(33 * 64 * 64**2 * sweeps * 1.2 / seconds / 1e9)
        a, b = statistics.median(rates), statistics.median(whole)
        print(
            f"| {sweeps // 5} + {sweeps} | {kernel:.2f} | {a:.2f} | {a / kernel:.0%} | {b:.2f} | {b / kernel:.0%} |",
            flush=True,
        )
    print()


def start_up(folder: Path) -> None:
    print("## Start: the whole process of a run of one sweep, kernels in the cache\n")
    text = RUN.format(L=16, num=1, thermalization=1, sweeps=1)
    command(text, folder)
    seconds = [command(text, folder) for _ in range(ROUNDS)]
    print(
        f"{statistics.median(seconds):.2f} s (min {min(seconds):.2f}, max {max(seconds):.2f}), the result file and the end included"
    )
    with tempfile.TemporaryDirectory() as cache:
        os.environ["NUMBA_CACHE_DIR"] = cache
        print(f"\nwith an empty cache, so with compilation: {command(text, folder):.1f} s\n", flush=True)
        del os.environ["NUMBA_CACHE_DIR"]


def memory() -> None:
    print("## Memory of one big lattice, 32768 x 32768, packed by sites\n")
    L = 32768
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sampler = SiteSampler(Square(L, L), Model(), TC, "metropolis", len(os.sched_getaffinity(0)))
    held = sampler.spins.nbytes + sampler.scratches.nbytes
    sampler.sample(1, 1)
    began = time.perf_counter()
    sampler.sample(2, 1)
    rate = 2 * L * L / (time.perf_counter() - began) / 1e9
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"{held / 2**20:.1f} MiB of arrays, {8 * held / L**2:.3f} bits a spin; peak memory grew by {(after - before) / 1024:.0f} MiB; "
    )
    print(f"{rate:.2f} attempts per ns with all threads, measuring every sweep\n", flush=True)


def main() -> None:
    print("# Speed\n")
    print(f"{date.today()}, {provenance.cpu_model()}, {len(os.sched_getaffinity(0))} cores, ", end="")
    print(
        ", ".join(f"{name} {provenance.package_version(name)}" for name in ("ising-mc", "numba", "llvmlite", "numpy"))
    )
    print(
        "\nMade by `python benchmarks/speed.py > benchmarks/SPEED.md`; medians of rounds in which the cases take turns.\n"
    )
    kernels()
    peer()
    with tempfile.TemporaryDirectory() as folder:
        whole_run(Path(folder))
        start_up(Path(folder))
    memory()


if __name__ == "__main__":
    main()
