"""Physics checks of the kernels for graphs: one sweep from the enumerated distribution, as in `validation`.

Systems of up to some 14 sites, small enough to enumerate, cover what the kernels tell apart: numbers of neighbours,
double bonds, signs and moduli of couplings, uniform and site-dependent fields.  Every kernel that takes a system is
tried on it, through the same tables and samplers that a run uses.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ising_mc import exact, streams
from ising_mc.algorithms import Choice
from ising_mc.clusters import WolffSampler
from ising_mc.graphfile import GraphData
from ising_mc.ising import Couplings, Field, FileGraph, FileValues, System, realize
from ising_mc.lattices import Lattice
from ising_mc.preparation import CLUSTER_UPDATES, KERNELS, LOCAL_UPDATES
from ising_mc.validation import (
    BETA_ERROR,
    CERTAIN,
    ONE_SWEEP_LEVEL,
    Check,
    ChiSquare,
    Sweeper,
    pooled_chi_square,
)
from ising_mc.words import LANES, unpack

SEED = 1
WOLFF_CLUSTERS = 3
Words = NDArray[np.uint64]


def _lattice(kind: str, *size: int, boundary: bool = True, degree: int = 0) -> Lattice:
    axes = 0 if kind in ("random_regular", "complete") else len(size)
    return Lattice(kind, size, (boundary,) * axes, degree)


def _star() -> FileGraph:
    """A site with eleven neighbours, which are joined to a ring with a tail: degrees from 1 to 11."""
    ring = [(k, k % 11 + 1) for k in range(1, 12)]
    bonds = np.array(sorted((min(p), max(p)) for p in [*((0, k) for k in range(1, 12)), *ring, (11, 12)]), np.int32)
    return FileGraph("star", "star", GraphData(13, bonds, None))


def _three_values(graph: FileGraph) -> Couplings:
    values = np.array([0.4, -1.0, 0.7, 1.0, -0.4])[np.arange(graph.n_bonds) % 5]
    return Couplings("file", file=FileValues("three", "three", values))


def _site_field(n: int) -> Field:
    return Field("file", mu=0.5, file=FileValues("waves", f"waves {n}", np.sin(1.0 + 2.0 * np.arange(n))))


SYSTEMS: tuple[tuple[System, float], ...] = (
    (System(_lattice("chain", 9), Couplings(J=(-1.0,)), Field(B=0.4)), 1.5),
    (System(_lattice("chain", 10, boundary=False)), 1.2),
    (System(_lattice("square", 3, 4, boundary=False)), 1.8),
    (System(_lattice("square", 3, 4), Couplings(J=(1.3, -0.7))), 2.0),
    (System(_lattice("square", 4, 3), Couplings(J=(0.5, 1.1)), Field(B=0.3, mu=-2.0)), 2.5),
    (System(_lattice("triangular", 3, 4), Couplings(J=(-1.0,))), 1.0),
    (System(_lattice("triangular", 3, 3), Couplings(J=(1.0, 0.5, -0.8)), Field(B=0.2)), 3.0),
    (System(_lattice("triangular", 2, 5, boundary=False)), 2.5),
    (System(_lattice("honeycomb", 2, 3)), 1.4),
    (System(_lattice("honeycomb", 3, 2, boundary=False), field=Field(B=-0.5)), 1.0),
    (System(_lattice("cubic", 2, 2, 3)), 4.5),
    (System(_lattice("cubic", 2, 3, 2), field=Field(B=1.0)), 6.0),
    (System(_lattice("cubic", 2, 2, 3), Couplings(J=(1.0, 0.7, 0.3))), 3.0),
    (System(_lattice("cubic", 2, 2, 3), Couplings("pm_j", p=0.5), sample=0), 1.5),
    (System(_lattice("cubic", 2, 2, 2), Couplings("pm_j", (0.6,), p=0.7), Field(B=0.5), sample=1), 2.0),
    (System(_lattice("cubic", 2, 2, 3), Couplings("gaussian", mean=0.2), Field("bimodal", 0.7), sample=0), 1.5),
    (System(_lattice("hypercubic", 2, 2, 3, 1, boundary=False)), 2.0),
    (System(_lattice("hypercubic", 2, 2, 2, 2)), 8.0),
    (System(_lattice("random_regular", 12, degree=3), Couplings("pm_j", p=0.4), sample=0), 0.8),
    (System(_lattice("random_regular", 12, degree=5), sample=1), 4.0),
    (System(_lattice("random_regular", 10, degree=7), Couplings(J=(-1.0,)), Field(B=0.6), sample=2), 3.0),
    (System(_lattice("complete", 9)), 0.9),
    (System(_lattice("complete", 10), Couplings("gaussian"), Field(B=0.2), sample=0), 0.5),
    (System(_star()), 3.0),
    (System(_star(), Couplings("pm_j", p=0.6), Field(B=0.7), sample=3), 2.0),
    (System(_star(), _three_values(_star())), 2.0),
    (System(_lattice("square", 3, 4), field=_site_field(12)), 2.0),
    (System(_lattice("triangular", 3, 3), Couplings("gaussian", sigma=0.7), Field("gaussian", 0.5), sample=0), 1.0),
)
QUICK = (0, 4, 5, 10, 13, 15, 18, 22, 24)
WRONG_BETA = {  # systems on which a wrong beta must be noticed, and how wrong it is
    **dict.fromkeys(LOCAL_UPDATES, ((10, 13, 15, 22), BETA_ERROR)),
    **dict.fromkeys(CLUSTER_UPDATES, ((4, 10, 12, 25, 26), 1.1)),  # one such sweep forgets less of where it began
}


def name_of(system: System, T: float) -> str:
    """A system in a few words."""
    shape, couplings, field = system.shape, system.couplings, system.field
    size = " x ".join(map(str, shape.size))
    J = f"J = {', '.join(f'{J:g}' for J in couplings.J)}" if couplings.kind == "uniform" else couplings.kind
    h = f"{field.kind} field" if field.uniform is None else f"h = {field.uniform:g}"
    open_sides = "" if all(shape.periodic) else " open"
    degree = f" degree {shape.degree}" if isinstance(shape, Lattice) and shape.degree else ""
    return f"{shape.kind} {size}{open_sides}{degree} {J}, {h}, T = {T:g}".replace("  ", " ")


def kernels_for(system: System) -> list[str]:
    """All kernels that can hold many replicas of a system."""
    return [name for name, own in KERNELS.items() if own.packing == "replicas" and not own.refusal(system)]


def sampler_of(system: System, T: float, kernel: str, update: str) -> Any:
    """A started sampler of 64 replicas, made the way a run makes it."""
    sampler = Choice(update, kernel, "").sampler(system, SEED, (), T, LANES, 1)
    sampler.start(SEED, f"validate {name_of(system, T)}", T, 0, "random")
    if isinstance(sampler, WolffSampler):
        sampler.fix(WOLFF_CLUSTERS)  # a sweep that stops by what it has seen would favour large clusters
    return sampler


@lru_cache(4)
def enumeration(system: System) -> exact.Enumeration:
    """All states of a system, numbered with site i as bit i."""
    drawn = realize(system, SEED)
    return exact.enumerate_states(drawn.graph.n_sites, drawn.graph.bonds, drawn.J, drawn.h)


def one_sweep(sampler: Sweeper, system: System, T: float, lanes: int) -> ChiSquare:
    """Sweep `lanes` states (a multiple of 64) of the Boltzmann distribution once, and compare all states with it.

    The sampler may be one of another system, to see that this fails.
    """
    n = system.n_sites
    weights = enumeration(system).weights(T)
    cumulative = np.cumsum(weights)
    origin = streams.sequence(SEED, f"validate {name_of(system, T)}", T, 0, streams.START)
    u = np.random.Generator(np.random.SFC64(origin)).random((lanes // LANES, LANES))
    start = np.searchsorted(cumulative, u * cumulative[-1], side="right")
    site = np.arange(n)
    counts = np.zeros(len(weights), np.int64)
    for group in start:
        bits = ((group >> site[:, None]) & 1).astype(np.uint8)  # (sites, lanes)
        words = np.packbits(bits, axis=1, bitorder="little").view("<u8")[:, 0].astype(np.uint64)
        shape = sampler.get_spins().shape
        sampler.set_spins(words.reshape(shape))
        sampler.sweep(1)
        after = unpack(sampler.get_spins().ravel()).astype(np.int64) << site[:, None]
        np.add.at(counts, after.sum(axis=0), 1)
    return pooled_chi_square(counts, weights * lanes)


def check_one_sweep(system: System, T: float, kernel: str, update: str, lanes: int, beta_error: float = 1.0) -> Check:
    """One sweep keeps the Boltzmann distribution; with a `beta_error` the check passes if that is noticed."""
    test = one_sweep(sampler_of(system, T / beta_error, kernel, update), system, T, lanes)
    right = beta_error == 1.0
    name = f"one {update} sweep, {kernel}, {name_of(system, T)}"
    return Check(
        name if right else f"{name}: beta {beta_error - 1:.0%} off is noticed",
        test.p_value > ONE_SWEEP_LEVEL if right else test.p_value < CERTAIN,
        test.statistic / test.degrees_of_freedom,
        test.p_value,
        f"p > {ONE_SWEEP_LEVEL:g}" if right else f"p < {CERTAIN:g}",
    )


def check_energies(system: System, T: float, kernel: str) -> Check:
    """Energies and magnetizations that are recorded are those of the spins, summed with numpy."""
    sampler = sampler_of(system, T, kernel, KERNELS[kernel].updates[-1])
    series = sampler.record(3, 1)
    spins = 2.0 * unpack(sampler.get_spins().ravel()).T - 1
    drawn = realize(system, SEED)
    energy = drawn.energy(spins)
    off = float(np.abs(series["energy"][:, -1] - energy).max())
    wrong = int(np.count_nonzero(series["magnetization"][:, -1] != spins.sum(1)))
    tolerance = 1e-7 * float(np.abs(drawn.J).sum() + np.abs(drawn.h).sum())
    name = f"energies, {kernel}, {name_of(system, T)}"
    limit = f"energy off by at most {tolerance:.0e}, magnetization exact"
    return Check(name, off <= tolerance and wrong == 0, off, float("nan"), limit)


def checks(quick: bool = False) -> Iterator[Check]:
    """Do the checks one after the other, each when it is asked for; quick: the most telling ones only."""
    for number, (system, T) in enumerate(SYSTEMS):
        if quick and number not in QUICK:
            continue
        for kernel in kernels_for(system):
            yield check_energies(system, T, kernel)
            for update in KERNELS[kernel].updates:
                yield check_one_sweep(system, T, kernel, update, 1 << (15 if quick else 17))
                numbers, beta_error = WRONG_BETA[update]
                if number in numbers and not quick:
                    yield check_one_sweep(system, T, kernel, update, 1 << 18, beta_error)
