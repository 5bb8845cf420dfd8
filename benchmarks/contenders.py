"""Who takes part in the contests on lattices of `contests.py`: this engine, and the rivals that users would take instead.

Each function makes an object for `harness.py`.  Energies that are checked come from longer runs of a smaller system,
by the same calls; their errors from series of the rival itself, or from repeated runs where it tells means only.
"""

import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ising_mc.statistics import mean

TC, TC_3D = 2.269185314213022, 4.511523785
SEED = 1
Floats = NDArray[np.float64]


class Simple:
    """A contender from two functions."""

    def __init__(self, work: Callable[[int], Any], check: Callable[[], tuple[float, float]] | None = None) -> None:
        self.work = work
        self.check = check or (lambda: (math.nan, math.nan))


def of_series(series: Any) -> tuple[float, float]:
    """Mean and error of series (replica, sweep)."""
    found = mean(np.atleast_2d(np.asarray(series, np.float64)))
    return found.value, found.error


def of_runs(values: Any) -> tuple[float, float]:
    """Mean and error of independent runs."""
    own = np.asarray(values, np.float64)
    return float(own.mean()), float(own.std(ddof=1) / np.sqrt(len(own)))


# --- this engine ----------------------------------------------------------------------------------------------------


def _unit(text: str) -> Any:
    from ising_mc.run import units_of
    from ising_mc.spec import parse

    return units_of(parse(f"[run]\nseed = {SEED}\n{text}"))[0]


def _started(text: str, start: str = "random") -> tuple[Any, Any]:
    unit = _unit(text)
    sampler = unit.sampler(SEED, 1)
    sampler.start(SEED, unit.system.label, unit.temperature, unit.word, start)
    return unit, sampler


def engine(
    text: str, check_text: str = "", thermalization: int = 2000, records: int = 2000, every: int = 5,
    start: str = "random", settle: int = 20, check_at: float | None = None,
) -> Simple:  # fmt: skip
    """A run file: its first unit is swept; what is checked is the energy a site of another one.

    check_at: the temperature of its ladder that is checked, where it has one.
    """
    from ising_mc.run import visits

    unit, sampler = _started(text, start)
    sampler.sweep(settle)

    def work(steps: int) -> float:
        before = visits(sampler)
        sampler.sweep(steps)
        return float(visits(sampler) - before or steps * unit.attempts_per_sweep)

    def check() -> tuple[float, float]:
        if not check_text:
            return math.nan, math.nan
        small, own = _started(check_text)
        own.sweep(thermalization)
        energies = small.wanted(own.record(records, every))["energy"]
        energies = np.asarray(energies, np.float64).reshape(len(energies), -1)
        if check_at is not None:
            energies = np.split(energies, len(small.ladder))[small.ladder.index(check_at)]
        return of_series(energies / small.system.n_sites)

    return Simple(work, check)


# --- lattices -------------------------------------------------------------------------------------------------------


def mcising(
    L: int, T: float, dimension: int = 2, update: str = "METROPOLIS", check_size: int = 16, check_T: float | None = None
) -> Simple:  # fmt: skip
    import mcising as peer

    def made(size: int, T: float) -> Any:
        kind = peer.LatticeType.CUBIC if dimension == 3 else peer.LatticeType.SQUARE
        shape = peer.LatticeConfig(lattice_type=kind, size=size, j1=1.0)
        algorithm = getattr(peer.Algorithm, update)
        return peer.Simulation(peer.SimulationConfig(lattice=shape, temperatures=(T,), n_sweeps=1, algorithm=algorithm))

    other = made(L, T)
    if update != "METROPOLIS":  # from its own random start clusters would take hours to order a large lattice
        other.spins = ordered(L)
        other.sweep(5, temperature=T)

    def work(steps: int) -> float:
        if update == "WOLFF":  # what it calls a sweep is one cluster; this call tells its sites
            flipped, _, _ = other._core.sweep(steps, temperature=T)
            return float(flipped)
        other.sweep(steps, temperature=T)
        return float(steps) * L**dimension

    def check() -> tuple[float, float]:
        small = made(check_size, check_T or T)
        small.sweep(5000, temperature=check_T or T)
        return of_series([small.sweep(5, temperature=check_T or T)["energy"] for _ in range(20000)])

    return Simple(work, check)


def ordered(L: int, T: float = TC) -> NDArray[np.int8]:
    """Spins (L, L) of the square lattice in equilibrium."""
    from ising_mc.words import unpack

    _, sampler = _started(
        f'[lattice]\nsize = [{L}]\n[grid]\nreplicas = 64\ntemperatures = [{T}]\n[schedule]\nsweeps = 1\n[algorithm]\n'
        'kind = "swendsen_wang"', "up",
    )  # fmt: skip
    sampler.sweep(60 if L < 1000 else 20)
    return 2 * unpack(sampler.state().spins)[:, 0].reshape(L, L).astype(np.int8) - 1


def peapods(L: int, T: float, dimension: int = 2, check_size: int = 16, check_T: float | None = None) -> Simple:
    import peapods as peer

    other = peer.Ising((L,) * dimension, "ferro", np.array([T]), n_replicas=1)

    def work(steps: int) -> float:
        other.sample(steps, warmup_ratio=0.99, sequential=True)  # it measures after that, as we do not
        return float(steps) * L**dimension

    def check() -> tuple[float, float]:
        small, found = peer.Ising((check_size,) * dimension, "ferro", np.array([check_T or T]), n_replicas=1), []
        small.sample(5000, warmup_ratio=0.0, sequential=True)
        for _ in range(32):  # one after the other: two new ones would be the same run twice
            small.sample(4000, warmup_ratio=0.1, sequential=True)
            found.append(-float(small.energies_avg[0]))  # its energies have the other sign
        return of_runs(found)

    return Simple(work, check)


def peapods_tempering(
    L: int, temperatures: list[float], replicas: int, check_size: int, check_ladder: list[float]
) -> Simple:  # fmt: skip
    """The +-J cubic lattice; checked is the ferromagnet of the square lattice, at the first temperature of its ladder."""
    import peapods as peer

    other = peer.Ising((L,) * 3, "bimodal", np.array(temperatures), n_replicas=replicas)

    def work(steps: int) -> float:
        other.sample(steps, pt_interval=1, warmup_ratio=0.99, sequential=True)
        return float(steps) * L**3 * replicas * len(temperatures)

    def check() -> tuple[float, float]:
        small, found = peer.Ising((check_size,) * 2, "ferro", np.array(check_ladder), n_replicas=1), []
        small.sample(5000, pt_interval=1, warmup_ratio=0.0, sequential=True)
        for _ in range(32):
            small.sample(4000, pt_interval=1, warmup_ratio=0.1, sequential=True)
            found.append(-float(small.energies_avg[0]))
        return of_runs(found)

    return Simple(work, check)


def square_bonds(L: int, dimension: int) -> list[tuple[int, int]]:
    """Bonds of a periodic hypercubic lattice."""
    sites = np.arange(L**dimension).reshape((L,) * dimension)
    pairs = [np.stack((sites, np.roll(sites, -1, axis)), axis=-1).reshape(-1, 2) for axis in range(dimension)]
    return [(int(i), int(j)) for i, j in np.concatenate(pairs)]


def dwave(L: int, T: float, dimension: int = 2, check_size: int = 16, check_T: float | None = None) -> Simple:
    import dimod
    from dwave.samplers import SimulatedAnnealingSampler

    sampler = SimulatedAnnealingSampler()

    def sampled(model: Any, T: float, sweeps: int, reads: int) -> Any:
        return sampler.sample(
            model, num_reads=reads, num_sweeps=sweeps, beta_range=(1 / T, 1 / T), beta_schedule_type="linear", seed=SEED
        )

    def made(size: int) -> Any:
        return dimod.BinaryQuadraticModel.from_ising({}, dict.fromkeys(square_bonds(size, dimension), -1.0))

    model = made(L)

    least = 20 if L**dimension > 2**17 else 1  # sweeps, so that making the first state does not count for much

    def work(steps: int) -> tuple[float, float]:
        found = sampled(model, T, least * steps, 1)
        return float(least * steps) * L**dimension, found.info["timing"]["sampling_ns"] / 1e9

    def check() -> tuple[float, float]:
        return of_runs(sampled(made(check_size), check_T or T, 2500, 400).record.energy / check_size**dimension)

    return Simple(work, check)


def _openjij(couplings: dict[tuple[int, int], float], T: float, n: int) -> Callable[[int], Any]:
    """Sweeps of one read at one temperature: (attempts, seconds of its C++ part; conversions are not counted)."""
    import openjij as peer

    sampler = peer.SASampler()

    def work(steps: int) -> Any:
        found = sampler.sample_ising({}, couplings, beta_min=1 / T, beta_max=1 / T, num_sweeps=steps, num_reads=1)
        return float(steps) * n, found.info["execution_time"] / 1e6

    return work


def openjij(L: int, T: float, dimension: int = 2, check_size: int = 16, check_T: float | None = None) -> Simple:
    import openjij as peer

    beta, couplings = 1 / (check_T or T), dict.fromkeys(square_bonds(L, dimension), -1.0)

    def check() -> tuple[float, float]:
        few = dict.fromkeys(square_bonds(check_size, dimension), -1.0)
        found = peer.SASampler().sample_ising(
            {}, few, beta_min=beta, beta_max=beta, num_sweeps=2500, num_reads=400
        )  # without a seed: with one all its reads are the same
        return of_runs(np.asarray(found.energies) / check_size**dimension)

    return Simple(_openjij(couplings, T, L**dimension), check)


def openjij_dense(text: str, check_text: str) -> Simple:
    """The systems and temperatures of two run files of this engine; of the second one the energy is checked."""
    import openjij as peer

    from ising_mc.ising import realize

    def couplings(unit: Any) -> dict[tuple[int, int], float]:
        drawn = realize(unit.system, SEED)
        return {(int(i), int(j)): -float(J) for (i, j), J in zip(drawn.graph.bonds, drawn.J, strict=True)}

    own, small = _unit(text), _unit(check_text)

    def check() -> tuple[float, float]:
        beta = 1 / small.temperature
        found = peer.SASampler().sample_ising(
            {}, couplings(small), beta_min=beta, beta_max=beta, num_sweeps=500, num_reads=5000
        )  # without a seed: with one all its reads are the same
        return of_runs(np.asarray(found.energies) / small.system.n_sites)

    return Simple(_openjij(couplings(own), own.temperature, own.system.n_sites), check)


def pyalps(L: int, T: float, check_size: int = 16) -> Simple:
    import pyalps as peer
    from pyalps import tools

    tools.check_existence("spinmc")  # and puts it on the path

    def run(size: int, thermalization: int, sweeps: int, reads: bool = True) -> tuple[float, float, float]:
        """Mean energy, its error, and the seconds of the program; reading what it wrote may take several times as long."""
        with tempfile.TemporaryDirectory() as name:
            parameters = {
                "LATTICE": "square lattice", "MODEL": "Ising", "J": 1, "T": T, "L": size, "UPDATE": "local",
                "THERMALIZATION": thermalization, "SWEEPS": sweeps, "SEED": SEED,
            }  # fmt: skip
            file = peer.writeInputFiles(str(Path(name) / "parm"), [parameters])
            # seconds between looks whether it is done; `runApplication` misspells the second of them
            began = time.perf_counter()
            tools.executeCommand(["spinmc", file, "--Tmin", "1", "--Tmax", "1"])
            took = time.perf_counter() - began
            if not reads:
                return math.nan, math.nan, took
            data = peer.loadMeasurements(peer.getResultFiles(prefix=str(Path(name) / "parm")), "Energy")[0]
            return float(data[0].y[0].mean), float(data[0].y[0].error), took

    sweeps = 4 * 10**7 // L**2  # of a step; each is a program, whose start and looks then do not count for much

    def work(steps: int) -> tuple[float, float]:
        _, _, took = run(L, steps * sweeps, 1, reads=False)  # it measures after that, as we do not
        return float(steps) * sweeps * L**2, took

    def check() -> tuple[float, float]:
        value, error, _ = run(check_size, 5000, 100000)
        per_site = check_size**2 if abs(value) > 4 else 1
        return value / per_site, error / per_site

    return Simple(work, check)


def checkerboard(L: int, T: float, check_size: int = 16) -> Simple:
    """Thirty lines of numba, as a good student writes them: half a lattice, then the other half."""
    from numba import njit

    @njit
    def sweep(s: Any, chances: Any, steps: int) -> None:
        n = s.shape[0]
        for _ in range(steps):
            for colour in range(2):
                for i in range(n):
                    row, up, down = s[i], s[i - 1], s[i + 1 - n]  # negative indices count from the end
                    for j in range((i + colour) % 2, n, 2):
                        cost = row[j] * (up[j] + down[j] + row[j - 1] + row[j + 1 - n])
                        if cost <= 0 or np.random.random() < chances[cost]:
                            row[j] = -row[j]

    chances = np.exp(-2 * np.arange(5) / T)

    def state(size: int) -> Any:
        return np.random.default_rng(SEED).choice(np.array([-1, 1], np.int8), (size, size))

    own = state(L)

    def work(steps: int) -> float:
        sweep(own, chances, steps)
        return float(steps) * L**2

    def check() -> tuple[float, float]:
        small, series = state(check_size), []
        sweep(small, chances, 5000)
        for _ in range(20000):
            sweep(small, chances, 5)
            series.append(energy_of(small))
        return of_series(series)

    made = Simple(work, check)
    made.spins = own  # type: ignore[attr-defined]
    return made


def energy_of(s: NDArray[np.int8]) -> float:
    """Energy a site of the square lattice."""
    s = s.astype(np.int64)
    return float(-(s * (np.roll(s, -1, 0) + np.roll(s, -1, 1))).mean())


def numpy_checkerboard(L: int, T: float, check_size: int = 16) -> Simple:
    """The same in NumPy."""
    rng = np.random.default_rng(SEED)

    def made(size: int) -> tuple[Any, Any]:
        return rng.choice(np.array([-1, 1], np.int8), (size, size)), np.add.outer(np.arange(size), np.arange(size)) % 2

    def sweep(s: Any, colours: Any, steps: int) -> None:
        for _ in range(steps):
            for colour in range(2):
                around = np.roll(s, 1, 0) + np.roll(s, -1, 0) + np.roll(s, 1, 1) + np.roll(s, -1, 1)
                turn = (colours == colour) & (rng.random(s.shape) < np.exp(-2 / T * s * around))
                s[turn] *= -1

    own, colours = made(L)

    def work(steps: int) -> float:
        sweep(own, colours, steps)
        return float(steps) * L**2

    def check() -> tuple[float, float]:
        small, few = made(check_size)
        sweep(small, few, 2000)
        series = []
        for _ in range(6000):
            sweep(small, few, 2)
            series.append(energy_of(small))
        return of_series(series)

    return Simple(work, check)


# --- annealing ------------------------------------------------------------------------------------------------------


def disordered(L: int) -> Any:
    """The +-J square lattice of this engine."""
    from ising_mc.ising import Couplings, System, realize
    from ising_mc.lattices import Lattice

    return realize(System(Lattice("square", (L, L), (True, True)), Couplings("pm_j"), sample=0), SEED)


def anneal(L: int, hot: float, cold: float, sweeps: int) -> Simple:
    """Whole annealing runs of 64 reads."""
    from dataclasses import replace

    from ising_mc.ising import Couplings, System
    from ising_mc.lattices import Lattice
    from ising_mc.run import units_of
    from ising_mc.spec import parse
    from ising_mc.words import unpack

    text = f'[lattice]\nsize = [4]\n[anneal]\nfrom = {hot}\nto = {cold}\nsweeps = {sweeps}\n[algorithm]\nkind = "metropolis"'
    system, drawn = System(Lattice("square", (L, L), (True, True)), Couplings("pm_j"), sample=0), disordered(L)
    (unit,) = units_of(replace(parse(text), systems=(system,)))
    sampler, seeds, energies = unit.sampler(SEED, 1), iter(range(10**9)), []

    def work(steps: int) -> float:
        for _ in range(steps):
            sampler.start(next(seeds), system.label, 0.0, 0, "random")
            sampler.sweep(sweeps)
            energies.extend((drawn.energy(2.0 * unpack(sampler.state().spins).T - 1) / L**2).tolist())
        return float(steps) * 64 * sweeps * L**2

    return Simple(work, lambda: of_runs(energies))


def dwave_anneal(L: int, hot: float, cold: float, sweeps: int) -> Simple:
    import dimod
    from dwave.samplers import SimulatedAnnealingSampler

    drawn = disordered(L)
    model = dimod.BinaryQuadraticModel.from_ising(
        {}, {(int(i), int(j)): -J for (i, j), J in zip(drawn.graph.bonds, drawn.J, strict=True)}
    )
    sampler, seeds, energies = SimulatedAnnealingSampler(), iter(range(1, 10**9)), []

    def work(steps: int) -> tuple[float, float]:
        found = sampler.sample(
            model, num_reads=steps, num_sweeps=sweeps, beta_range=(1 / hot, 1 / cold), beta_schedule_type="geometric",
            seed=next(seeds),
        )  # fmt: skip
        energies.extend((found.record.energy / L**2).tolist())
        return float(steps) * sweeps * L**2, found.info["timing"]["sampling_ns"] / 1e9

    def check() -> tuple[float, float]:
        work(max(0, 30 - len(energies)) or 1)
        return of_runs(energies)

    return Simple(work, check)
