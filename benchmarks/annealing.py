"""Simulated annealing beside dwave-samplers: attempts a nanosecond, and the energies that equal sweeps reach.

    pip install -e . dwave-samplers==1.8.0
    python benchmarks/annealing.py > benchmarks/ANNEALING.md

One thread; 64 independent reads here, fewer there, as many as fit the time of a turn.
"""

import os
import statistics
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
from speed import ROUNDS, Job, shown, take_turns

from ising_mc import provenance
from ising_mc.ising import Couplings, System, realize
from ising_mc.lattices import Lattice
from ising_mc.run import units_of
from ising_mc.spec import parse
from ising_mc.words import unpack

SEED = 1
HOT, COLD = 3.0, 0.1
SWEEPS = 1000
THEIR_READS = 64
SYSTEMS = (
    ("2D +-J, 100 x 100", System(Lattice("square", (100, 100), (True, True)), Couplings("pm_j"), sample=0)),
    ("random 4-regular, 10^4, +-J", System(Lattice("random_regular", (10000,), (), 4), Couplings("pm_j"), sample=0)),
    ("2D Gaussian, 100 x 100", System(Lattice("square", (100, 100), (True, True)), Couplings("gaussian"), sample=0)),
)


def sampler_of(system: System, update: str, seed: int) -> Any:
    text = f'[lattice]\nsize = [4]\n[anneal]\nfrom = {HOT}\nto = {COLD}\nsweeps = {SWEEPS}\n[algorithm]\nkind = "{update}"\n'
    (unit,) = units_of(replace(parse(text), systems=(system,)))
    sampler = unit.sampler(SEED, 1)
    sampler.start(seed, system.label, 0.0, 0, "random")
    return sampler


def own_job(system: System, update: str) -> tuple[Job, list[float]]:
    energies: list[float] = []
    drawn = realize(system, SEED)

    def job() -> float:
        sampler.start(len(energies), system.label, 0.0, 0, "random")
        sampler.sweep(SWEEPS)
        energies.extend(drawn.energy(2.0 * unpack(sampler.state().spins).T - 1).tolist())
        return float(64 * SWEEPS * system.n_sites)

    sampler = sampler_of(system, update, 0)
    sampler.sweep(10)
    return job, energies


def dwave_job(system: System) -> tuple[Job, list[float]] | None:
    try:
        import dimod
        from dwave.samplers import SimulatedAnnealingSampler
    except ModuleNotFoundError:
        return None
    drawn = realize(system, SEED)
    couplings = {(int(i), int(j)): -J for (i, j), J in zip(drawn.graph.bonds, drawn.J, strict=True)}
    model = dimod.BinaryQuadraticModel.from_ising({}, couplings)
    sampler, reads = SimulatedAnnealingSampler(), max(1, THEIR_READS // ROUNDS)
    energies: list[float] = []

    def job() -> float:
        found = sampler.sample(
            model, num_reads=reads, num_sweeps=SWEEPS, beta_range=(1 / HOT, 1 / COLD), beta_schedule_type="geometric",
            seed=len(energies) + 1,
        )  # fmt: skip
        energies.extend(found.record.energy.tolist())
        return float(reads * SWEEPS * system.n_sites)

    return job, energies


def main() -> None:
    print("# Simulated annealing\n")
    print(f"{date.today()}, {provenance.cpu_model()}, {len(os.sched_getaffinity(0))} cores, ", end="")
    names = ("ising-mc", "numba", "llvmlite", "numpy", "dwave-samplers")
    print(", ".join(f"{name} {provenance.package_version(name)}" for name in names))
    print(
        f"\nMade by `python benchmarks/annealing.py > benchmarks/ANNEALING.md`: {SWEEPS} sweeps a read, geometric from T = "
        f"{HOT} to {COLD}; attempts per ns of one thread, medians of {ROUNDS} rounds in turn; mean final energy a site.\n"
    )
    print("| system | Metropolis | energy | heat bath | energy | dwave-samplers | energy | ratio, median (min - max) |")
    print("|---|---|---|---|---|---|---|---|")
    for name, system in SYSTEMS:
        jobs, energies = {}, {}
        for update in ("metropolis", "heat_bath"):
            jobs[update], energies[update] = own_job(system, update)
        other = dwave_job(system)
        if other:
            jobs["dwave"], energies["dwave"] = other
        rates = take_turns(jobs)
        cells = []
        for job in jobs:
            E = np.array(energies[job]) / system.n_sites
            rate = shown(rates[job]) if job != "dwave" else f"{statistics.median(rates[job]):.3f}"
            cells += [rate, f"{E.mean():.5f} +- {E.std(ddof=1) / len(E) ** 0.5:.5f}"]
        if other:
            best = max(("metropolis", "heat_bath"), key=lambda update: statistics.median(rates[update]))
            ratios = [a / b for a, b in zip(rates[best], rates["dwave"], strict=True)]
            cells.append(f"{statistics.median(ratios):.0f} ({min(ratios):.0f} - {max(ratios):.0f})")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
