"""Graphs, real couplings and fields: how fast, and how much memory; peers on the same work in the same minutes.

    pip install -e . mcising==1.1.0 dwave-samplers==1.8.0
    python benchmarks/graphs.py > benchmarks/GRAPHS.md

Rates are spin-update attempts per nanosecond of one thread unless said otherwise, medians of rounds in turn.
"""

import os
import statistics
import tempfile
import time
from datetime import date
from pathlib import Path

import numpy as np
from speed import ROUNDS, SECONDS, Job, shown, take_turns

from ising_mc import provenance
from ising_mc.algorithms import choose
from ising_mc.ising import Couplings, Field, System, realize
from ising_mc.lattices import Lattice
from ising_mc.statistics import format_value, mean

KC = 0.221654626
TC_3D = 1 / KC
SEED = 1


def lattice(kind: str, *size: int) -> Lattice:
    return Lattice(kind, size, (True,) * (0 if kind == "complete" else len(size)))


def sampler_of(system: System, T: float, update: str, threads: int = 1, kernel: str = "auto"):  # type: ignore[no-untyped-def]
    replicas = 1 if kernel.endswith("sites") else 64
    choice = choose(system, T, replicas, update, kernel=kernel)
    sampler = choice.sampler(system, SEED, (), T, replicas, threads)
    sampler.start(SEED, system.label, T, 0, "random")
    sampler.sweep(20)
    return sampler


def job(
    system: System, T: float, update: str = "metropolis", measure: bool = False, threads: int = 1,
    kernel: str = "auto", guess: float = 1.0,
) -> Job:  # fmt: skip
    sampler = sampler_of(system, T, update, threads, kernel)
    attempts = system.n_sites * (1 if kernel.endswith("sites") else 64)
    sweeps = max(2, int(SECONDS * guess * 1e9 / attempts))

    def work() -> float:
        sampler.record(sweeps, 1) if measure else sampler.sweep(sweeps)
        return float(sweeps * attempts)

    work()
    return work


def packed() -> None:
    print("## Cubic lattice, 64 replicas a word\n")
    print(
        "| L | ferromagnet, Metropolis | heat bath | measured every sweep | +-J, Metropolis | "
        "field 0.5 | J = 1, 0.7, 0.3 | mcising | ratio, median (min - max) |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for L in (8, 16, 32, 64):
        cube = lattice("cubic", L, L, L)
        plain, glass = System(cube), System(cube, Couplings("pm_j"), sample=0)
        jobs = {
            "plain": job(plain, TC_3D, guess=4),
            "heat_bath": job(plain, TC_3D, "heat_bath", guess=4),
            "measured": job(plain, TC_3D, measure=True, guess=4),
            "glass": job(glass, 1.5, guess=4),
            "field": job(System(cube, field=Field(B=0.5)), TC_3D, guess=2, kernel="packed"),
            "anisotropic": job(System(cube, Couplings(J=(1.0, 0.7, 0.3))), 3.0),
        }
        other = mcising_job(L)
        if other:
            jobs["mcising"] = other
        rates = take_turns(jobs)
        cells = [shown(rates[name]) for name in ("plain", "heat_bath", "measured", "glass", "field", "anisotropic")]
        if other:
            ratios = [a / b for a, b in zip(rates["plain"], rates["mcising"], strict=True)]
            cells.append(f"{statistics.median(rates['mcising']):.3f}")
            cells.append(f"{statistics.median(ratios):.0f} ({min(ratios):.0f} - {max(ratios):.0f})")
        else:
            cells += ["not installed", "-"]
        print(f"| {L} | {' | '.join(cells)} |", flush=True)
    print()


def mcising_cube(L: int):  # type: ignore[no-untyped-def]
    import mcising

    shape = mcising.LatticeConfig(lattice_type=mcising.LatticeType.CUBIC, size=L, j1=1.0)
    return mcising.Simulation(mcising.SimulationConfig(lattice=shape, temperatures=(TC_3D,), n_sweeps=1))


def mcising_job(L: int) -> Job | None:
    try:
        other = mcising_cube(L)
    except ModuleNotFoundError:
        return None
    sweeps = max(1, int(SECONDS * 1e8 / L**3))

    def work() -> float:
        other.sweep(sweeps, temperature=TC_3D)
        return float(sweeps * L**3)

    return work


def energy_at_the_critical_point() -> None:
    print("## Energy a site of the cubic lattice at Kc = 0.221654626, L = 32\n")
    sampler = sampler_of(System(lattice("cubic", 32, 32, 32)), TC_3D, "metropolis")
    sampler.sweep(3000)
    own = mean(sampler.record(3000, 2)["energy"] / 32**3)
    print(f"ising_mc {format_value(own.value, own.error)}", end="")
    try:
        other = mcising_cube(32)
    except ModuleNotFoundError:
        print("; mcising is not installed\n")
        return
    other.sweep(3000, temperature=TC_3D)
    theirs = mean(np.array([[other.sweep(5, temperature=TC_3D)["energy"] for _ in range(6000)]]))
    z = (own.value - theirs.value) / np.hypot(own.error, theirs.error)
    print(f", mcising {format_value(theirs.value, theirs.error)}: {z:+.1f} standard errors apart\n", flush=True)


def sites() -> None:
    cores = len(os.sched_getaffinity(0))
    print("## One big cubic lattice, 64 sites a word\n")
    print(f"| L | Metropolis | measured every sweep | {cores} threads |\n|---|---|---|---|")
    for L in (128, 256):
        cube = System(lattice("cubic", L, L, L))
        jobs = {
            "one": job(cube, TC_3D, kernel="packed_sites", guess=4),
            "measured": job(cube, TC_3D, measure=True, kernel="packed_sites", guess=4),
            "threads": job(cube, TC_3D, threads=cores, kernel="packed_sites", guess=4),
        }
        rates = take_turns(jobs)
        ratio = statistics.median(a / b for a, b in zip(rates["threads"], rates["one"], strict=True))
        middle = statistics.median(rates["threads"])
        print(
            f"| {L} | {shown(rates['one'])} | {shown(rates['measured'])} | {middle:.2f}, {ratio:.2f} times |",
            flush=True,
        )
    print()


def real() -> None:
    print("## Real couplings (Gaussian, sigma 1) at T = 1, 64 replicas side by side\n")
    print(
        "| lattice | Metropolis | heat bath | measured every sweep | with a Gaussian field | "
        "dwave-samplers | ratio, median (min - max) |"
    )
    print("|---|---|---|---|---|---|---|")
    for shape in (lattice("square", 128, 128), lattice("cubic", 16, 16, 16), lattice("cubic", 32, 32, 32)):
        system = System(shape, Couplings("gaussian"), sample=0)
        jobs = {
            "metropolis": job(system, 1.0),
            "heat_bath": job(system, 1.0, "heat_bath"),
            "measured": job(system, 1.0, measure=True),
            "field": job(System(shape, Couplings("gaussian"), Field("gaussian", 1.0), sample=0), 1.0),
        }
        other = dwave_job(system)
        if other:
            jobs["dwave"] = other
        rates = take_turns(jobs)
        cells = [shown(rates[name]) for name in ("metropolis", "heat_bath", "measured", "field")]
        if other:
            ratios = [a / b for a, b in zip(rates["metropolis"], rates["dwave"], strict=True)]
            cells.append(f"{statistics.median(rates['dwave']):.3f}")
            cells.append(f"{statistics.median(ratios):.1f} ({min(ratios):.1f} - {max(ratios):.1f})")
        else:
            cells += ["not installed", "-"]
        print(f"| {shape.kind} {shape.label} | {' | '.join(cells)} |", flush=True)
    print()


def dwave_job(system: System) -> Job | None:
    """Metropolis sweeps of one replica at T = 1 after the other; the model is built outside the clock."""
    try:
        import dimod
        from dwave.samplers import SimulatedAnnealingSampler
    except ModuleNotFoundError:
        return None
    drawn = realize(system, SEED)
    couplings = {(int(i), int(j)): -J for (i, j), J in zip(drawn.graph.bonds, drawn.J, strict=True)}
    model = dimod.BinaryQuadraticModel.from_ising({}, couplings)
    sampler = SimulatedAnnealingSampler()
    sweeps = max(20, int(SECONDS * 8e7 / system.n_sites))

    def work() -> float:
        sampler.sample(
            model, num_reads=1, num_sweeps=sweeps, beta_range=(1.0, 1.0), beta_schedule_type="linear", seed=1
        )
        return float(sweeps * system.n_sites)

    return work


def dense() -> None:
    print("## Sherrington-Kirkpatrick model, T = 0.5, local fields kept\n")
    print("| N | Metropolis | heat bath | flips an attempt (heat bath) |\n|---|---|---|---|")
    for n in (256, 1024, 4096):
        system = System(lattice("complete", n), Couplings("gaussian"), sample=0)
        guess = 0.1 if n < 4096 else 0.03
        rates = take_turns({u: job(system, 0.5, u, guess=guess) for u in ("metropolis", "heat_bath")}, 5)
        sampler = sampler_of(system, 0.5, "heat_bath")
        sampler.sweep(200 if n < 4096 else 30)
        before = sampler.get_spins()
        sampler.sweep(1)
        flips = int(np.bitwise_count(before ^ sampler.get_spins()).sum()) / (64 * n)
        print(f"| {n} | {shown(rates['metropolis'])} | {shown(rates['heat_bath'])} | {flips:.3f} |", flush=True)
    print()


def large_graph(folder: Path) -> None:
    from ising_mc.run import units_of
    from ising_mc.spec import load

    print("## A random graph of 10^6 sites and 3 * 10^6 bonds, J = +-1, from a text file\n")
    rng = np.random.default_rng(1)
    n, m = 10**6, 3 * 10**6
    bonds = np.sort(rng.integers(0, n, (m + m // 50, 2)), axis=1)
    bonds = np.unique(bonds[bonds[:, 0] != bonds[:, 1]], axis=0)
    bonds = bonds[rng.permutation(len(bonds))[:m]]
    np.savetxt(
        folder / "g.txt", np.column_stack((bonds, rng.choice([-1, 1], m))), fmt="%d", header=f"{n} {m}", comments=""
    )
    (folder / "g.toml").write_text('[lattice]\nkind = "file"\npath = "g.txt"\n[grid]\ntemperatures = [2.0]\n')
    seconds = []
    for attempt in range(4):
        began = time.perf_counter()
        (unit,) = units_of(load(folder / "g.toml"))
        sampler = unit.choice.sampler(unit.system, attempt, (), 2.0, 64, 1)
        sampler.start(1, "g", 2.0, 0, "random")
        seconds.append(time.perf_counter() - began)
    tables = sampler.tables  # type: ignore[attr-defined]
    arrays = [
        *tables.tables,
        *tables.patterns,
        tables.blocks,
        tables.order,
        tables.rank,
        sampler.scratches,
        sampler.spins,
    ]  # type: ignore[attr-defined]
    data = unit.system.shape.data  # type: ignore[union-attr]
    held = sum(array.nbytes for array in (*arrays, data.bonds, data.couplings))
    print(
        f"ready to run after {statistics.median(seconds[1:]):.2f} s (min {min(seconds[1:]):.2f}, max {max(seconds[1:]):.2f}, "
        f"kernels loaded); {held / n:.0f} bytes a site, graph, tables and sampler together\n",
        flush=True,
    )


def main() -> None:
    print("# Graphs, real couplings, fields\n")
    print(f"{date.today()}, {provenance.cpu_model()}, {len(os.sched_getaffinity(0))} cores, ", end="")
    names = ("ising-mc", "numba", "llvmlite", "numpy", "mcising", "dwave-samplers")
    print(", ".join(f"{name} {provenance.package_version(name)}" for name in names))
    print(
        "\nMade by `python benchmarks/graphs.py > benchmarks/GRAPHS.md`: attempts per ns of one thread, medians of "
        f"{ROUNDS} rounds in which the cases of a row take turns.\n"
    )
    packed()
    energy_at_the_critical_point()
    sites()
    real()
    dense()
    with tempfile.TemporaryDirectory() as folder:
        large_graph(Path(folder))


if __name__ == "__main__":
    main()
