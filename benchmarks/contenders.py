"""Who takes part in the contests of `contests.py`: this engine, and the rivals that users would take instead.

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


def mcising(L: int, T: float, dimension: int = 2, update: str = "METROPOLIS", check_size: int = 16) -> Simple:
    import mcising as peer

    def made(size: int) -> Any:
        kind = peer.LatticeType.CUBIC if dimension == 3 else peer.LatticeType.SQUARE
        shape = peer.LatticeConfig(lattice_type=kind, size=size, j1=1.0)
        algorithm = getattr(peer.Algorithm, update)
        return peer.Simulation(peer.SimulationConfig(lattice=shape, temperatures=(T,), n_sweeps=1, algorithm=algorithm))

    other = made(L)
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
        small = made(check_size)
        small.sweep(5000, temperature=T)
        return of_series([small.sweep(5, temperature=T)["energy"] for _ in range(20000)])

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


def peapods(L: int, T: float, dimension: int = 2, check_size: int = 16) -> Simple:
    import peapods as peer

    other = peer.Ising((L,) * dimension, "ferro", np.array([T]), n_replicas=1)

    def work(steps: int) -> float:
        other.sample(steps, warmup_ratio=0.99, sequential=True)  # it measures after that, as we do not
        return float(steps) * L**dimension

    def check() -> tuple[float, float]:
        small, found = peer.Ising((check_size,) * dimension, "ferro", np.array([T]), n_replicas=1), []
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


def dwave(L: int, T: float, dimension: int = 2, check_size: int = 16) -> Simple:
    import dimod
    from dwave.samplers import SimulatedAnnealingSampler

    sampler = SimulatedAnnealingSampler()

    def sampled(model: Any, sweeps: int, reads: int) -> Any:
        return sampler.sample(
            model, num_reads=reads, num_sweeps=sweeps, beta_range=(1 / T, 1 / T), beta_schedule_type="linear", seed=SEED
        )

    def made(size: int) -> Any:
        return dimod.BinaryQuadraticModel.from_ising({}, dict.fromkeys(square_bonds(size, dimension), -1.0))

    model = made(L)

    least = 20 if L**dimension > 2**17 else 1  # sweeps, so that making the first state does not count for much

    def work(steps: int) -> tuple[float, float]:
        found = sampled(model, least * steps, 1)
        return float(least * steps) * L**dimension, found.info["timing"]["sampling_ns"] / 1e9

    def check() -> tuple[float, float]:
        return of_runs(sampled(made(check_size), 2500, 400).record.energy / check_size**dimension)

    return Simple(work, check)


def _openjij(couplings: dict[tuple[int, int], float], T: float, n: int) -> Callable[[int], Any]:
    """Sweeps of one read at one temperature: (attempts, seconds of its C++ part; conversions are not counted)."""
    import openjij as peer

    sampler = peer.SASampler()

    def work(steps: int) -> Any:
        found = sampler.sample_ising({}, couplings, beta_min=1 / T, beta_max=1 / T, num_sweeps=steps, num_reads=1)
        return float(steps) * n, found.info["execution_time"] / 1e6

    return work


def openjij(L: int, T: float, dimension: int = 2, check_size: int = 16) -> Simple:
    import openjij as peer

    couplings = dict.fromkeys(square_bonds(L, dimension), -1.0)

    def check() -> tuple[float, float]:
        few = dict.fromkeys(square_bonds(check_size, dimension), -1.0)
        found = peer.SASampler().sample_ising(
            {}, few, beta_min=1 / T, beta_max=1 / T, num_sweeps=2500, num_reads=400
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
            {}, couplings(small), beta_min=beta, beta_max=beta, num_sweeps=2500, num_reads=400
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


# --- Boltzmann machines ---------------------------------------------------------------------------------------------

BATCH, RATE = 100, 0.05
CHECKED_EPOCHS, RUNS, GRANTED = 300, 6, 0.1  # of learning; nats by which recipes alike in all that matters may differ


def _restricted(visible: int, hidden: int) -> Any:
    from ising_mc.machine import random_machine

    return random_machine("restricted", "binary", (visible, hidden), 0.05, np.random.default_rng(SEED))


def rbm(visible: int, hidden: int) -> Simple:
    """64 chains a word."""
    from ising_mc.boltzmann import MachineSystem, make_sampler
    from ising_mc.words import LANES

    own = _restricted(visible, hidden)
    system = MachineSystem(own.kind, own.units, own.sizes, own, "benchmark")
    sampler, _ = make_sampler(system, SEED, "blocks", 1.0, LANES)
    sampler.start(SEED, "benchmark", 1.0, 0, "random")

    def work(steps: int) -> float:
        sampler.sweep(steps)
        return float(own.n) * LANES * steps

    def check() -> tuple[float, float]:
        sampler.sweep(100)
        return of_series(np.asarray(sampler.record(500, 1)["magnetization"], np.float64) / own.n / 2 + 0.5)

    return Simple(work, check)


def _of_chains(own: Any, step: Callable[[], tuple[Any, Any]], chains: int) -> Simple:
    """Block Gibbs sampling by a function that makes the next states; checked by the mean activity."""

    def work(steps: int) -> float:
        for _ in range(steps):
            step()
        return float(own.n) * chains * steps

    def check() -> tuple[float, float]:
        work(50)
        series = []
        for _ in range(60):
            v, h = step()
            series.append((np.asarray(v).sum(axis=1) + np.asarray(h).sum(axis=1)) / own.n)
        return of_series(np.array(series, np.float64).T)

    return Simple(work, check)


def rbm_numpy(visible: int, hidden: int, chains: int = 1000) -> Simple:
    own = _restricted(visible, hidden)
    W, b, c = (part.astype(np.float32) for part in (*own.weights, *own.biases))
    rng = np.random.default_rng(SEED)
    v = (rng.random((chains, visible), np.float32) < 0.5).astype(np.float32)

    def step() -> tuple[Any, Any]:
        h = (rng.random((chains, hidden), np.float32) < 1 / (1 + np.exp(-(v @ W + c)))).astype(np.float32)
        v[:] = rng.random((chains, visible), np.float32) < 1 / (1 + np.exp(-(h @ W.T + b)))
        return v, h

    return _of_chains(own, step, chains)


def rbm_sklearn(visible: int, hidden: int, chains: int = 1000) -> Simple:
    from sklearn.neural_network import BernoulliRBM

    own = _restricted(visible, hidden)
    other = BernoulliRBM(n_components=hidden)
    other.components_ = np.ascontiguousarray(own.weights[0].T.astype(np.float32))
    other.intercept_visible_, other.intercept_hidden_ = (part.astype(np.float32) for part in own.biases)
    rng = np.random.RandomState(SEED)
    v = (rng.random_sample((chains, visible)) < 0.5).astype(np.float32)

    def step() -> tuple[Any, Any]:
        nonlocal v
        h = other._sample_hiddens(v, rng)
        v = other._sample_visibles(h, rng)
        return v, h

    return _of_chains(own, step, chains)


def rbm_torch(visible: int, hidden: int, chains: int = 1000) -> Simple:
    import torch

    torch.set_num_threads(1)
    own = _restricted(visible, hidden)
    W, b, c = (torch.tensor(part, dtype=torch.float32) for part in (*own.weights, *own.biases))
    v = (torch.rand(chains, visible) < 0.5).float()

    def step() -> tuple[Any, Any]:
        nonlocal v
        with torch.no_grad():
            h = torch.bernoulli(torch.sigmoid(c + v @ W))
            v = torch.bernoulli(torch.sigmoid(b + h @ W.T))
        return v, h

    return _of_chains(own, step, chains)


def digits() -> Any:
    """8 x 8 digits, training and test examples."""
    from ising_mc.trainingdata import read_data

    path = Path(__file__).parent.parent / "configs" / "digits.npz"
    values = read_data(path, None, "binary", 7).values
    order = np.random.default_rng(SEED).permutation(len(values))
    return np.ascontiguousarray(values[order[300:]]), np.ascontiguousarray(values[order[:300]])


def log_likelihood(W: Any, b: Any, c: Any, test: Any, steps: int) -> float:
    """Mean log likelihood of test examples, in nats, by annealed importance sampling."""
    from ising_mc import learning, likelihood
    from ising_mc.machine import Machine

    parts = [np.asarray(part, np.float64) for part in (W, b, c)]
    machine = Machine("restricted", "binary", parts[0].shape, (parts[0],), (parts[1], parts[2]))
    base = learning.base_rates(test, False)
    log_z = likelihood.ais(machine, np.random.default_rng(SEED), 100, steps, base).log_z
    return float(likelihood.log_likelihood(machine, test, log_z=log_z))


def _learnt(parameters: Callable[[int], tuple[Any, Any, Any]]) -> Callable[[], tuple[float, float]]:
    """The check of what learns: log likelihood of test digits after some epochs, from each of a few seeds."""

    def check() -> tuple[float, float]:
        _, test = digits()
        value, error = of_runs([log_likelihood(*parameters(SEED + k), test, 1000) for k in range(RUNS)])
        return value, math.hypot(error, GRANTED)

    return check


def trainer_of(data: Any, hidden: int, **options: Any) -> Any:
    from ising_mc import learning
    from ising_mc.machine import random_machine

    machine = random_machine("restricted", "binary", (data.shape[1], hidden), 0.01, np.random.default_rng(SEED))
    recipe = learning.Recipe(**{"batch": BATCH, "rate": RATE, "epochs": 10**7, "evaluate_every": 10**7, **options})
    trainer = learning.make_trainer(machine, recipe, data, data[:0])
    trainer.start(SEED, "benchmark", 0.0, 0, "")
    return trainer


def train(hidden: int) -> Simple:
    """Epochs of PCD-1, with its monitors."""
    data, _ = digits()
    trainer = trainer_of(data, hidden)

    def work(steps: int) -> float:
        trainer.record(steps, 1)
        return float(steps)

    def parameters(seed: int) -> Any:
        other = trainer_of(data, hidden)
        other.start(seed, "benchmark", 0.0, 0, "")
        other.record(CHECKED_EPOCHS, 1)
        return other.parameters

    return Simple(work, _learnt(parameters))


def train_sklearn(hidden: int) -> Simple:
    from sklearn.neural_network import BernoulliRBM

    data, _ = digits()

    def fitted(steps: int, seed: int) -> Any:
        return BernoulliRBM(hidden, learning_rate=RATE, batch_size=BATCH, n_iter=steps, random_state=seed).fit(data)

    def work(steps: int) -> float:
        fitted(steps, SEED)
        return float(steps)

    def parameters(seed: int) -> Any:
        other = fitted(CHECKED_EPOCHS, seed)
        return other.components_.T, other.intercept_visible_, other.intercept_hidden_

    return Simple(work, _learnt(parameters))


def rbms_learner(
    data: Any, hidden: int, rate: float = RATE, centered: bool = False, seed: int = SEED
) -> tuple[Any, Callable[[int], None]]:
    """Parameters of rbms, and what does some updates of its PCD-1."""
    import torch
    from rbms.bernoulli_bernoulli.classes import BBRBM
    from rbms.training.pcd import fit_batch_pcd

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    own = torch.tensor(data)
    rates = own.mean(0).clamp(1e-4, 1 - 1e-4)
    net = BBRBM(0.01 * torch.randn(data.shape[1], hidden), torch.log(rates / (1 - rates)), torch.zeros(hidden))
    net.init_grad()
    chains = net.init_chains(BATCH)
    optimizer = torch.optim.SGD(net.parameters(), lr=rate, maximize=True)
    weights = torch.ones(BATCH, 1)

    def updates(count: int) -> None:
        nonlocal chains
        with torch.no_grad():
            for _ in range(count):
                batch = own[torch.randperm(len(own))[:BATCH]]
                optimizer.zero_grad(set_to_none=False)
                chains, _ = fit_batch_pcd((batch, weights), chains, net, 1, 1.0, centered=centered)
                optimizer.step()

    return net, updates


def train_rbms(hidden: int) -> Simple:
    data, _ = digits()
    epoch = -(-len(data) // BATCH)  # updates
    _, updates = rbms_learner(data, hidden)

    def work(steps: int) -> float:
        updates(steps * epoch)
        return float(steps)

    def parameters(seed: int) -> Any:
        net, updates = rbms_learner(data, hidden, seed=seed)
        updates(CHECKED_EPOCHS * epoch)
        return net.weight_matrix.numpy(), net.vbias.numpy(), net.hbias.numpy()

    return Simple(work, _learnt(parameters))


# --- Hopfield networks ----------------------------------------------------------------------------------------------

NOISE = 0.1


def _network(N: int, P: int) -> tuple[Any, Any]:
    from ising_mc.hopfield import Cue, Network, draw_patterns

    network = Network(N, P, cue=Cue(NOISE), sample=0)
    return network, draw_patterns(network, SEED)


def recall(N: int, P: int) -> Simple:
    """64 recalls at once, from new cues each time."""
    from ising_mc.hopfield import learn
    from ising_mc.recall import RecallSampler

    network, patterns = _network(N, P)
    sampler = RecallSampler(network, learn(network.learnt, "fields", SEED), 0.0, 64, 1, total=10**9)
    seeds = iter(range(10**9))

    def work(steps: int) -> float:
        before = sampler.visits
        for _ in range(steps):
            sampler.start(SEED, network.label, 0.0, next(seeds))
            sampler.record(1, 100)
        return float(sampler.visits - before)

    def check() -> tuple[float, float]:
        from ising_mc.words import unpack

        found: list[float] = []
        for _ in range(4):
            work(1)
            s = 2.0 * unpack(sampler.state().spins)[:N, :64].T - 1
            found.extend(np.abs(s @ patterns.T / N).max(axis=1))
        return of_runs(found)

    return Simple(work, check)


def _cues(patterns: Any) -> Callable[[], tuple[Any, int]]:
    rng = np.random.default_rng(SEED)
    P, N = patterns.shape

    def cue() -> tuple[Any, int]:
        k = int(rng.integers(P))
        s = patterns[k].copy()
        s[rng.permutation(N)[: round(NOISE * N)]] *= -1
        return s, k

    return cue


def recall_numpy(N: int, P: int) -> Simple:
    """What one writes in ten lines: a dot product a visit."""
    from ising_mc import rules

    _, patterns = _network(N, P)
    J = rules.couplings("hebb", patterns).astype(np.float32)
    cue, rng, overlaps = _cues(patterns), np.random.default_rng(SEED), []

    def work(steps: int) -> float:
        updates = 0
        for _ in range(steps):
            first, _ = cue()
            s, changed = first.astype(np.float32), True
            while changed:
                changed = False
                for i in rng.permutation(N):
                    h = J[i] @ s
                    if h * s[i] < 0:
                        s[i], changed = -s[i], True
                updates += N
            overlaps.append(np.abs(patterns @ s / N).max())
        return float(updates)

    def check() -> tuple[float, float]:
        while len(overlaps) < 30:
            work(1)
        return of_runs(overlaps)

    return Simple(work, check)


def recall_hopfieldnetwork(N: int, P: int) -> Simple:
    from hopfieldnetwork import HopfieldNetwork

    _, patterns = _network(N, P)
    other = HopfieldNetwork(N=N)
    other.train_pattern(np.ascontiguousarray(patterns.T, dtype=np.float64))  # int8 would overflow in its sums
    cue, overlaps = _cues(patterns.astype(np.float64)), []

    def work(steps: int) -> float:
        updates = 0
        for _ in range(steps):
            s, _ = cue()
            other.set_initial_neurons_state(s)
            other.update_neurons(iterations=0, mode="async", run_max=True)
            updates += N * (other.t + 1)  # it does not count the last sweep, which changes nothing
            overlaps.append(float(np.abs(patterns @ np.asarray(other.S).reshape(-1) / N).max()))
        return float(updates)

    def check() -> tuple[float, float]:
        while len(overlaps) < 20:
            work(1)
        return of_runs(overlaps)

    return Simple(work, check)
