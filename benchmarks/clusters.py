"""Clusters and tempering: sites per nanosecond beside peers, effective samples a second, dynamic exponents.

    pip install -e '.[plot]' mcising==1.1.0 peapods==0.2.0
    python benchmarks/clusters.py benchmarks/clusters.png > benchmarks/CLUSTERS.md

`auto` takes where clusters win (`algorithms.CRITICAL`) from the second and third table.  One thread everywhere.
"""

import os
import statistics
import sys
import time
from datetime import date
from typing import Any

import numpy as np
from speed import ROUNDS, SECONDS, TC, Job, shown, take_turns

from ising_mc import provenance
from ising_mc.algorithms import Choice, choose
from ising_mc.ising import System
from ising_mc.lattices import Lattice
from ising_mc.run import units_of
from ising_mc.spec import parse
from ising_mc.statistics import mean
from ising_mc.words import unpack

SEED = 1
UPDATES = ("metropolis", "heat_bath", "swendsen_wang", "wolff")
TC_3D = 1 / 0.221654626
BUDGET = 8.0  # seconds of sampling for one autocorrelation time
ENOUGH = 50  # autocorrelation times that the series of each of 64 replicas must be long


def lattice(kind: str, L: int) -> System:
    sides = {"square": 2, "cubic": 3}[kind]
    return System(Lattice(kind, (L,) * sides, (True,) * sides))


def started(system: System, T: float, update: str, sweeps: int) -> Any:
    local = update in ("metropolis", "heat_bath")
    choice = choose(system, T, 64, update, packing="replicas") if local else Choice(update, "clusters", "")
    sampler = choice.sampler(system, SEED, (), T, 64, 1)
    sampler.start(SEED, system.label, T, 0, "up")
    sampler.sweep(sweeps)
    return sampler


# --- rates --------------------------------------------------------------------------------------------------------


def cluster_job(L: int, update: str) -> tuple[Job, float, np.ndarray]:
    """Sweeps of 64 replicas, the mean size of a cluster, and the spins (L, L) of one replica at Tc."""
    sampler = started(lattice("square", L), TC, update, 60 if L < 1000 else 20)
    sizes = sampler.record(4, 1)["cluster_size"]
    sweeps = max(1, int(SECONDS * 1.5e8 / (64 * L * L)))

    def job() -> float:
        sampler.sweep(sweeps)
        clusters = getattr(sampler, "clusters_per_sweep", 0)
        return 64.0 * sweeps * (clusters * float(sizes.mean()) if clusters else L * L)

    job()
    return job, float(sizes.mean()), 2 * unpack(sampler.state().spins)[:, 0].reshape(L, L).astype(np.int8) - 1


def mcising_job(L: int, update: str, mean_size: float, spins: np.ndarray) -> Job:
    import mcising

    shape = mcising.LatticeConfig(size=L, j1=1.0)
    algorithm = getattr(mcising.Algorithm, update.upper())
    config = mcising.SimulationConfig(lattice=shape, temperatures=(TC,), n_sweeps=1, algorithm=algorithm)
    other = mcising.Simulation(config)
    other.spins = spins  # from its own random start single clusters would take hours to order a large lattice
    other.sweep(10, temperature=TC)
    sites = mean_size if update == "wolff" else L * L  # what it calls a sweep of Wolff's is one cluster
    sweeps = max(1, int(SECONDS * 4e7 / sites))

    def job() -> float:
        if update != "wolff":
            other.sweep(sweeps, temperature=TC)
            return sweeps * sites
        flipped, _, _ = other._core.sweep(sweeps, temperature=TC)  # tells the sites of the clusters; `sweep` does not
        return float(flipped)

    return job


def rates() -> None:
    print("## Clusters at Tc of the square lattice: sites/ns of one thread, 64 replicas\n")
    print("| update | L | ising_mc | mcising | ratio, median (min - max) |\n|---|---|---|---|---|")
    for update in ("swendsen_wang", "wolff"):
        for L in (128, 1024):
            job, size, spins = cluster_job(L, update)
            found = take_turns({"own": job, "mcising": mcising_job(L, update, size, spins)})
            ratios = [a / b for a, b in zip(found["own"], found["mcising"], strict=True)]
            own, other = (f"{statistics.median(found[name]):.3f}" for name in ("own", "mcising"))
            spread = f"{statistics.median(ratios):.1f} ({min(ratios):.1f} - {max(ratios):.1f})"
            print(f"| {update} | {L} | {own} | {other} | {spread} |", flush=True)
    print()


# --- effective samples --------------------------------------------------------------------------------------------


def effective(system: System, T: float, update: str, budget: float = BUDGET) -> tuple[float, float, float]:
    """tau_int of m^2 in sweeps (NaN where not told in the budget), seconds a sweep of 64 replicas, ESS/s of m^2."""
    sampler = started(system, T, update, 20)
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < budget / 4:
        sampler.sweep(max(1, count))
        count += max(1, count)
    pace = (time.perf_counter() - began) / count
    records = int(np.clip(budget / pace, 50, 20000))
    every = max(1, int(budget / pace / records))
    began = time.perf_counter()
    series = sampler.record(records, every)
    pace = (time.perf_counter() - began) / (records * every)
    m2 = (series["magnetization"] / system.n_sites) ** 2
    tau = mean(m2).tau_int * every
    if not records * every > ENOUGH * tau:
        tau = float("nan")
    return tau, pace, 64 / (2 * tau * pace)


def at_the_critical_point(sizes: tuple[int, ...] = (32, 64, 128, 256, 512)) -> dict[str, list[float]]:
    print("## Effective samples of m^2 a second at Tc of the square lattice (tau_int in sweeps)\n")
    print(
        "64 replicas on one thread; a star: tau_int from the power law of the smaller sizes, times the measured pace.\n"
    )
    print(f"| L | {' | '.join(UPDATES)} | Wolff over the best local update |\n|---|{'---|' * (len(UPDATES) + 1)}")
    taus: dict[str, list[tuple[int, float]]] = {update: [] for update in UPDATES}
    found: dict[str, list[float]] = {update: [] for update in UPDATES}
    for L in sizes:
        cells = []
        for update in UPDATES:
            tau, pace, rate = effective(lattice("square", L), TC, update)
            star = ""
            if np.isnan(tau):
                x, y = np.log(np.array(taus[update])).T
                slope, start = np.polyfit(x, y, 1)
                tau, star = float(np.exp(start + slope * np.log(L))), "*"
                rate = 64 / (2 * tau * pace)
            else:
                taus[update].append((L, tau))
            found[update].append(rate)
            cells.append(f"{rate:.3g}{star} (tau {tau:.3g})")
        gain = found["wolff"][-1] / max(found["metropolis"][-1], found["heat_bath"][-1])
        print(f"| {L} | {' | '.join(cells)} | {gain:.3g} |", flush=True)
    print()
    return found


def plot(found: dict[str, list[float]], path: str, sizes: tuple[int, ...] = (32, 64, 128, 256, 512)) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4.2), layout="constrained")
    for update, marker in zip(UPDATES, "os^v", strict=True):
        axes.loglog(sizes, found[update], marker=marker, label=update)
    axes.set(xlabel="L", ylabel="effective samples of m² per second", title="Square lattice at Tc, one thread")
    axes.set_xticks(sizes, [str(L) for L in sizes])
    axes.minorticks_off()
    axes.legend()
    figure.savefig(path, dpi=130)


def around() -> None:
    print("## Effective samples of m^2 a second, Wolff over Metropolis, around Tc\n")
    shifts = (-0.1, -0.05, -0.02, -0.01, 0.0, 0.01, 0.02, 0.05, 0.1)
    print(f"| lattice | {' | '.join(f'{x:+.0%}' for x in shifts)} |\n|---|{'---|' * len(shifts)}")
    for kind, L, Tc in (("square", 16, TC), ("square", 24, TC), ("square", 32, TC), ("square", 128, TC),
                        ("cubic", 12, TC_3D), ("cubic", 16, TC_3D), ("cubic", 32, TC_3D)):  # fmt: skip
        system, cells = lattice(kind, L), []
        for x in shifts:
            wolff, local = (
                effective(system, Tc * (1 + x), update, BUDGET / 3)[2] for update in ("wolff", "metropolis")
            )
            cells.append("> 100" if np.isnan(local) else f"{wolff / local:.2g}")
        print(f"| {kind} {L} | {' | '.join(cells)} |", flush=True)
    print()


def exponents() -> None:
    print("## Dynamic exponents at Tc of the square lattice: tau_int of m^2, in sweeps\n")
    sizes = (8, 16, 32, 64)
    print(
        f"| update | {' | '.join(f'L = {L}' for L in sizes)} | z, L = 8 to 64 | z, L = 32 to 64 |\n|---|{'---|' * (len(sizes) + 2)}"
    )
    for update in ("metropolis", "heat_bath", "swendsen_wang"):
        taus, errors = [], []
        for L in sizes:
            expected = 0.35 * L**2.17 if update != "swendsen_wang" else 5
            every = max(1, int(expected / 20))
            sampler = started(lattice("square", L), TC, update, int(20 * expected))
            # long windows bias tau_int upwards by what they cut off: 1000 tau a replica leave well under a percent
            m2 = (sampler.record(int(1000 * expected / every), every)["magnetization"] / L**2) ** 2
            found = mean(m2)
            taus.append(found.tau_int * every)
            errors.append(found.tau_int_error * every)
        x, y = np.log(sizes), np.log(taus)
        weights = np.array(taus) / np.array(errors)
        (z, _), covariance = np.polyfit(x, y, 1, w=weights, cov="unscaled")
        cells = " | ".join(f"{tau:.3g}({error:.1g})" for tau, error in zip(taus, errors, strict=True))
        last, error = np.log2(taus[-1] / taus[-2]), np.hypot(1 / weights[-1], 1 / weights[-2]) / np.log(2)
        print(f"| {update} | {cells} | {z:.3f}({covariance[0, 0] ** 0.5:.3f}) | {last:.3f}({error:.3f}) |", flush=True)
    print()


# --- tempering ----------------------------------------------------------------------------------------------------


def tempering() -> None:
    temperatures = np.linspace(0.9, 2.4, 16)
    grid = ", ".join(f"{T:.6g}" for T in temperatures)
    print(
        "## Parallel tempering, 3D +-J, 16 temperatures, a swap and a measurement every sweep: attempts/ns, one thread\n"
    )
    print(
        "| L | ising_mc, 4 replicas a temperature | peapods, as many | ratio, median (min - max) |\n|---|---|---|---|"
    )
    for L in (4, 6, 8, 12):
        text = f'[run]\nseed = 1\n[lattice]\nkind = "cubic"\nsize = [{L}]\n[couplings]\nkind = "pm_j"\n'
        text += f"[grid]\ntemperatures = [{grid}]\nreplicas = 4\n[tempering]\nevery = 1\n"
        (unit,) = units_of(parse(text))
        sampler = unit.sampler(1, 1)
        sampler.start(1, unit.system.label, 0.0, 0, "random")
        sampler.sweep(100)
        attempts = 64 * L**3
        sweeps = max(1, int(SECONDS * 2e9 / attempts))

        def own(sampler: Any = sampler, sweeps: int = sweeps, attempts: int = attempts) -> float:
            sampler.record(sweeps, 1)
            return float(sweeps * attempts)

        jobs: dict[str, Job] = {"own": own}
        try:
            import peapods

            other = peapods.Ising((L,) * 3, "bimodal", temperatures, n_replicas=4)
            few = max(10, int(SECONDS * 8e7 / attempts))

            def theirs(other: Any = other, few: int = few, attempts: int = attempts) -> float:
                other.sample(few, pt_interval=1, warmup_ratio=0.0, sequential=True)
                return float(few * attempts)

            jobs["peapods"] = theirs
        except ModuleNotFoundError:
            pass
        for job in jobs.values():
            job()
        rates = take_turns(jobs)
        cells = [shown(rates["own"])]
        if "peapods" in rates:
            ratios = [a / b for a, b in zip(rates["own"], rates["peapods"], strict=True)]
            cells.append(f"{statistics.median(rates['peapods']):.4f}")
            cells.append(f"{statistics.median(ratios):.0f} ({min(ratios):.0f} - {max(ratios):.0f})")
        print(f"| {L} | {' | '.join(cells)} |", flush=True)
    print()


def main() -> None:
    print("# Clusters and tempering\n")
    print(f"{date.today()}, {provenance.cpu_model()}, {len(os.sched_getaffinity(0))} cores, ", end="")
    names = ("ising-mc", "numba", "llvmlite", "numpy", "mcising", "peapods")
    print(", ".join(f"{name} {provenance.package_version(name)}" for name in names))
    print(
        "\nMade by `python benchmarks/clusters.py benchmarks/clusters.png > benchmarks/CLUSTERS.md`: one thread, rates "
        f"are medians of {ROUNDS} rounds in which the cases of a row take turns.\n"
    )
    rates()
    tempering()
    found = at_the_critical_point()
    if len(sys.argv) > 1:
        plot(found, sys.argv[1])
    around()
    exponents()


if __name__ == "__main__":
    main()
