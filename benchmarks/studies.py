"""Studies of this engine by itself: how cost grows with work, what a run costs beside its kernels, how right errors are.

Each study is a function that takes whether it has to be quick, and returns what JSON can hold; `report.py` tells it.
"""

import math
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from contenders import SEED, TC, TC_3D, ordered
from contests import lattice
from learners import digits, log_likelihood, rbms_learner, trainer_of

from ising_mc import exact
from ising_mc import statistics as means
from ising_mc.run import units_of, visits
from ising_mc.spec import parse

SECONDS, ROUNDS = 0.3, 5
Row = dict[str, Any]


def started(text: str, threads: int = 1, word: int = 0, start: str = "random", settle: int = 10) -> tuple[Any, Any]:
    """The first unit of a run file, and its sampler."""
    from dataclasses import replace

    unit = replace(units_of(parse(f"[run]\nseed = {SEED}\n{text}"))[0], word=word)
    sampler = unit.sampler(SEED, threads)
    sampler.start(SEED, unit.system.label, unit.temperature, word, start)
    sampler.sweep(settle)
    return unit, sampler


def rate(text: str, threads: int = 1, every: int = 0, seconds: float = SECONDS, **options: Any) -> Row:
    """Attempts per ns, median and spread of rounds; every: measure each so many sweeps; threads: a word in each."""
    shared = started(text, **options)[0].full_word == 1
    own = [started(text, threads if shared else 1, word, **options) for word in range(1 if shared else threads)]
    unit, steps, rates = own[0][0], 1, []

    def do(sampler: Any) -> None:
        if every:
            sampler.record(max(1, steps // every), every)
        else:
            sampler.sweep(steps)

    while len(rates) < ROUNDS:
        before = [visits(sampler) for _, sampler in own]
        began = time.perf_counter()
        workers = [threading.Thread(target=do, args=(sampler,)) for _, sampler in own]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        took = time.perf_counter() - began
        if took < seconds / 2:
            steps = max(steps + 1, int(steps * min(10, 0.9 * seconds / max(took, 1e-5))))
            continue
        counted = [visits(sampler) - start for (_, sampler), start in zip(own, before, strict=True)]
        sweeps = max(1, steps // every) * every if every else steps
        done = sum(counted) if any(counted) else len(own) * sweeps * unit.attempts_per_sweep
        rates.append(done / took / 1e9)
    middle = statistics.median(rates)
    return {"rate": middle, "spread": (max(rates) - min(rates)) / middle, "bytes": bytes_a_spin(own[0])}


def bytes_a_spin(own: tuple[Any, Any]) -> float:
    """Of sampler and tables, for each spin of each replica."""
    unit, _ = own
    return float(unit.memory_needed() / (unit.system.n_sites * unit.replicas))


def exponent(rows: list[Row], x: str, y: str) -> float:
    """Slope of log y over log x."""
    return float(np.polyfit(np.log([row[x] for row in rows]), np.log([row[y] for row in rows]), 1)[0])


# --- how rates and costs grow ---------------------------------------------------------------------------------------


def sizes(quick: bool) -> Any:
    """Rates over the side, of one thread and of all."""
    cores = len(os.sched_getaffinity(0))
    squares = (16, 64, 256, 1024) if quick else (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)
    cubes = (8, 32) if quick else (8, 16, 32, 64, 128, 256)
    rows = []
    for kind, sides, T in (("square", squares, TC), ("cubic", cubes, TC_3D)):
        for L in sides:
            for packing in ("replicas", "sites"):
                many = L**2 if kind == "square" else L**3
                if (packing == "sites" and L % 128) or (packing == "replicas" and many > 2**22):
                    continue
                text = lattice(kind, L, T, "metropolis", 64 if packing == "replicas" else 1, f'packing = "{packing}"\n')
                one, all_threads = rate(text), rate(text, cores)
                rows.append({
                    "kind": kind, "L": L, "packing": packing, "one": one["rate"], "spread": one["spread"],
                    "all": all_threads["rate"], "bytes": one["bytes"],
                })  # fmt: skip
    return {"threads": cores, "rows": rows}


def growth(quick: bool) -> Any:
    """Cost of a sweep over what grows, with its exponent."""
    found = []

    def study(name: str, what: str, values: tuple[int, ...], text_of: Callable[[int], str], **options: Any) -> None:
        rows = []
        for value in values:
            unit, _ = started(text_of(value), **options)
            measured = rate(text_of(value), **options)
            rows.append({what: value, "ns": unit.attempts_per_sweep / measured["rate"], "rate": measured["rate"]})
        found.append({"name": name, "what": what, "rows": rows, "exponent": exponent(rows, what, "ns")})

    worked = "[grid]\nreplicas = 64\ntemperatures = [{T}]\n[schedule]\nsweeps = 1\n"
    study("replicas of a square lattice, L = 64", "R", (1, 8, 64),
          lambda R: lattice("square", 64, TC, "metropolis", R, 'packing = "replicas"\n'))  # fmt: skip
    study("Sherrington-Kirkpatrick, T = 0.5, one sweep", "N", (128, 512, 2048) if quick else (128, 256, 512, 1024, 2048, 4096),
          lambda N: f'[lattice]\nkind = "complete"\nsize = [{N}]\n[couplings]\nkind = "gaussian"\n{worked.format(T=0.5)}'
          '[algorithm]\nkind = "heat_bath"\n', settle=50)  # fmt: skip
    study("temperatures of parallel tempering, 4 replicas, cubic +-J, L = 8", "temperatures", (2, 4, 8, 16),
          lambda n: f'[lattice]\nkind = "cubic"\nsize = [8]\n[couplings]\nkind = "pm_j"\n[grid]\nreplicas = 4\n'
          f'temperatures = {{start = 1.0, stop = 2.0, num = {n}}}\n[schedule]\nsweeps = 1\n[tempering]\nevery = 1\n')  # fmt: skip
    study("sites of a random 4-regular graph, Gaussian J", "N", (1024, 16384) if quick else (1024, 4096, 16384, 65536, 262144),
          lambda N: f'[lattice]\nkind = "random_regular"\nsize = [{N}]\ndegree = 4\n[couplings]\nkind = "gaussian"\n'
          f'{worked.format(T=1.0)}[algorithm]\nkind = "metropolis"\n')  # fmt: skip
    study("hidden units of an RBM with 784 visible ones", "n_h", (64, 500) if quick else (64, 128, 256, 512, 1024, 2048),
          lambda H: '[model]\nkind = "boltzmann"\n[machine]\nkind = "restricted"\nvisible = 784\n'
          f'hidden = {H}\nscale = 0.05\n{worked.format(T=1.0)}')  # fmt: skip
    return found


def patterns(quick: bool) -> Any:
    """Hopfield recalls over N and P, with the exponents of the cost of an update."""
    from recallers import recall

    sizes, loads = ((1024,), (51, 102)) if quick else ((256, 512, 1024, 2048, 4096), (13, 26, 51, 102))
    rows = []
    for N, P in dict.fromkeys([(1024, P) for P in loads] + [(N, N // 10) for N in sizes]):
        own, steps = recall(N, P), 1
        own.work(1)
        rates = []
        while len(rates) < 3:
            began = time.perf_counter()
            done = own.work(steps)
            took = time.perf_counter() - began
            if took < SECONDS / 2:
                steps *= 2
                continue
            rates.append(done / took / 1e9)
        rows.append({"N": N, "P": P, "rate": statistics.median(rates), "ns": 1 / statistics.median(rates)})
    grown = {"P": [row for row in rows if row["N"] == 1024], "N": [row for row in rows if row["P"] == row["N"] // 10]}
    return {"rows": rows, "exponents": {x: exponent(own, x, "ns") for x, own in grown.items() if len(own) > 1}}


def measuring(quick: bool) -> Any:
    """What measurements cost: rates without, and with one each so many sweeps."""
    rows = []
    for name, text in (
        ("square L = 64", lattice("square", 64, TC, "metropolis")),
        ("cubic L = 16", lattice("cubic", 16, TC_3D, "metropolis")),
        ("square L = 1024, one lattice", lattice("square", 1024, TC, "metropolis", 1, 'packing = "sites"\n')),
    ):
        rows.append({"name": name, **{str(every): rate(text, every=every)["rate"] for every in (0, 1, 10)}})
    return rows


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
measure_every = {every}
[algorithm]
kind = "metropolis"
"""


def command(text: str, folder: Path, environment: dict[str, str] | None = None) -> float:
    """Seconds of a whole `ising-mc run`, with Python's own compiled files, as where it was installed."""
    (folder / "run.toml").write_text(text)
    (folder / "r.h5").unlink(missing_ok=True)
    began = time.perf_counter()
    env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(
        [sys.executable, "-m", "ising_mc", "run", "run.toml", "-o", "r.h5", "--quiet"],
        cwd=folder, check=True, env={**env, **(environment or {})}, capture_output=True,
    )  # fmt: skip
    return time.perf_counter() - began


def whole_command(quick: bool) -> Any:
    """The command from the shell to the end, storage included, beside its kernel."""
    import h5py

    cores, rows = len(os.sched_getaffinity(0)), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command(RUN.format(L=64, num=1, thermalization=200, sweeps=2000, every=1), folder)  # compiles what is needed
        long = ((64, 5000, 1), (64, 20000, 1), (64, 20000, 10), (64, 100000, 10), (128, 20000, 1))
        for L, sweeps, every in long[1:3] if quick else long:
            found = []
            for _ in range(2 if quick else 3):
                kernel = rate(lattice("square", L, TC, "metropolis"), cores)["rate"]  # just before
                text = RUN.format(L=L, num=33, thermalization=sweeps // 5, sweeps=sweeps, every=every)
                seconds = command(text, folder)
                with h5py.File(folder / "r.h5") as file:
                    sampling = float(file["timings"].attrs["flips_per_ns"])
                whole = 33 * 64 * L**2 * sweeps * 1.2 / seconds / 1e9
                found.append((sampling, whole, sampling / kernel, whole / kernel))
            columns = [sorted(values) for values in zip(*found, strict=True)]
            sampling, whole, sampling_share, share = (statistics.median(values) for values in columns)
            rows.append({
                "L": L, "sweeps": sweeps, "every": every, "sampling": sampling, "whole": whole, "sampling_share": sampling_share,
                "share": share, "range": [columns[3][0], columns[3][-1]], "bytes": (folder / "r.h5").stat().st_size,
            })  # fmt: skip
        text = RUN.format(L=16, num=1, thermalization=1, sweeps=1, every=1)
        command(text, folder)
        warm = statistics.median(command(text, folder) for _ in range(3 if quick else 9))
        cold = command(text, folder, {"NUMBA_CACHE_DIR": str(folder / "cache")})
    return {"threads": cores, "rows": rows, "warm": warm, "cold": cold}


# --- what a second of work is worth ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Record:
    """Series of energy and m^2 a site, (replica, record) each; variances: of single states, if records are averages."""

    energies: Any
    squares: Any
    variances: tuple[float, float] | None = None


def _record(make: Callable[[int], Record], seconds: float) -> tuple[Record, float]:
    """Series of about so many seconds, and the seconds they took."""
    make(20)
    began = time.perf_counter()
    make(20)
    pace = (time.perf_counter() - began) / 20
    count = int(np.clip(seconds / pace, 40, 200_000))
    began = time.perf_counter()
    found = make(count)
    return found, time.perf_counter() - began


def _own_series(L: int, update: str) -> Callable[[int], Record]:
    unit, sampler = started(lattice("square", L, TC, update), start="up", settle=int(5 * L**2.2) if "b" in update or
                            update == "metropolis" else 100)  # fmt: skip

    def make(count: int) -> Record:
        series = unit.wanted(sampler.record(count, 1))
        return Record(series["energy"] / L**2, (series["magnetization"] / L**2) ** 2)

    return make


def _mcising_series(L: int, update: str) -> Callable[[int], Record]:
    import mcising

    config = mcising.SimulationConfig(
        lattice=mcising.LatticeConfig(size=L, j1=1.0), temperatures=(TC,), n_sweeps=1,
        algorithm=getattr(mcising.Algorithm, update.upper()),
    )  # fmt: skip
    other = mcising.Simulation(config)
    if update != "metropolis":
        other.spins = ordered(L)
    other.sweep(int(5 * L**2.2) if update == "metropolis" else 200, temperature=TC)
    every = {"metropolis": 5, "wolff": 10}.get(update, 1)  # a call costs some microseconds, so not each sweep

    def make(count: int) -> Record:
        found = [other.sweep(every, temperature=TC) for _ in range(count)]
        energies, m = (np.array([[own[name] for own in found]]) for name in ("energy", "magnetization"))
        return Record(energies, m**2)

    return make


def _peapods_series(L: int, update: str) -> Callable[[int], Record]:
    """It tells averages over what it has just done: here over ten sweeps."""
    import peapods

    other = peapods.Ising((L, L), "ferro", np.array([TC]), n_replicas=1)
    options = {} if update == "metropolis" else {"cluster_update_interval": 1, "cluster_mode": update}
    other.sample(int(5 * L**2.2) if update == "metropolis" else 1000, warmup_ratio=0.0, sequential=True, **options)

    def make(count: int) -> Record:
        found = [other.sample(10, warmup_ratio=0.0, sequential=True, **options) for _ in range(count)]
        e, e2, m2, m4 = (np.array([[own[k][0] for own in found]]) for k in ("energies", "energies2", "mags2", "mags4"))
        return Record(-e, m2, (float(e2.mean() - e.mean() ** 2), float(m4.mean() - m2.mean() ** 2)))

    return make


def _checkerboard_series(L: int) -> Callable[[int], Record]:
    import contenders

    own = contenders.checkerboard(L, TC)
    own.work(int(5 * L**2.2))

    def make(count: int) -> Record:
        e, m2 = [], []
        for _ in range(count):
            own.work(5)
            e.append(contenders.energy_of(own.spins))
            m2.append(float(own.spins.mean()) ** 2)
        return Record(np.array([e]), np.array([m2]))

    return make


def _makers(L: int) -> Iterator[tuple[str, Callable[[], Callable[[int], Record]]]]:
    for update in ("metropolis", "heat_bath", "swendsen_wang", "wolff"):
        yield f"ising-mc, {update}", lambda update=update: _own_series(L, update)  # type: ignore[misc]
    for update in ("metropolis", "swendsen_wang", "wolff"):
        yield f"mcising, {update}", lambda update=update: _mcising_series(L, update)  # type: ignore[misc]
    for update, name in (
        ("metropolis", "metropolis"),
        ("sw", "metropolis and swendsen_wang"),
        ("wolff", "metropolis and wolff"),
    ):
        yield f"peapods, {name}", lambda update=update: _peapods_series(L, update)  # type: ignore[misc]
    yield "numba, 30 lines", lambda: _checkerboard_series(L)


def effective_samples(quick: bool) -> Any:
    """Independent samples of e and m^2 a second at Tc over L, and seconds to an error of 1e-4 of e at L = 64."""
    rows, budget, rounds = [], 0.8 if quick else 4.0, 3
    for L in (64,) if quick else (16, 32, 64, 128):
        e0 = float(exact.kaufman(TC, L).energy)
        makers: dict[str, Callable[[int], Record]] = {}
        found: dict[str, list[Row]] = {}
        for name, maker in _makers(L):
            try:
                makers[name], found[name] = maker(), []
            except ModuleNotFoundError as error:
                rows.append({"L": L, "name": name, "trouble": f"not installed: {error.name}"})
        for _ in range(rounds):
            for name, make in makers.items():
                found[name].append(_worth(make, budget))
        for name, own in found.items():
            columns = {key: [row[key] for row in own] for key in own[0]}
            row = {
                "L": L,
                "name": name,
                "exact": e0,
                **{key: statistics.median(values) for key, values in columns.items()},
            }
            row["range"] = [min(columns["seconds_to_1e-4"]), max(columns["seconds_to_1e-4"])]
            weights = 1 / np.array(columns["error"]) ** 2
            row["value"], row["error"] = (
                float(np.average(columns["value"], weights=weights)),
                float(weights.sum() ** -0.5),
            )
            if not all(columns["reliable"]):
                row["trouble"] = "the series is too short to tell"
            elif not abs(row["value"] - e0) < 5 * row["error"]:
                row["trouble"] = f"e = {row['value']:.6f} is not {e0:.6f}"
            rows.append(row)
    return rows


def _worth(make: Callable[[int], Record], seconds: float) -> Row:
    """What so many seconds are worth."""
    record, took = _record(make, seconds)
    e, m2 = means.mean(record.energies), means.mean(record.squares)
    variances = record.variances or (float(np.var(record.energies)), float(np.var(record.squares)))
    return {
        "e_per_s": variances[0] / (e.error**2 * took), "reliable": e.reliable,
        "m2_per_s": variances[1] / (m2.error**2 * took) if m2.reliable else math.nan,
        "value": e.value, "error": e.error, "seconds_to_1e-4": took * (e.error / 1e-4) ** 2,
    }  # fmt: skip


def ground_states(quick: bool) -> Any:
    """Seconds until an annealing run has found the lowest energy known with 99 %: +-J, square lattice."""
    from contenders import disordered

    L, found, words = 16 if quick else 24, [], 2 if quick else 8
    n = L**2
    text = f'[lattice]\nsize = [{L}]\n[couplings]\nkind = "pm_j"\n[anneal]\nfrom = 3.0\nto = 0.1\nsweeps = {{}}\n'
    drawn = disordered(L)
    results: dict[str, list[tuple[int, float, Any]]] = {"ising-mc": [], "dwave-samplers": []}
    for sweeps in (100, 1000) if quick else (100, 1000, 10000):
        unit, sampler = started(text.format(sweeps), settle=1)
        from ising_mc.words import unpack

        energies: list[float] = []
        began = time.perf_counter()
        for k in range(words):
            sampler.start(k, unit.system.label, 0.0, 0, "random")
            sampler.sweep(sweeps)
            energies.extend(drawn.energy(2.0 * unpack(sampler.state().spins).T - 1))
        results["ising-mc"].append((sweeps, (time.perf_counter() - began) / len(energies), np.round(energies, 6)))
        try:
            import dimod
            from dwave.samplers import SimulatedAnnealingSampler
        except ModuleNotFoundError:
            continue
        model = dimod.BinaryQuadraticModel.from_ising(
            {}, {(int(i), int(j)): -J for (i, j), J in zip(drawn.graph.bonds, drawn.J, strict=True)}
        )
        began = time.perf_counter()
        other = SimulatedAnnealingSampler().sample(
            model,
            num_reads=64 * words,
            num_sweeps=sweeps,
            beta_range=(1 / 3, 10),
            beta_schedule_type="geometric",
            seed=1,
        )
        took = (time.perf_counter() - began) / (64 * words)
        results["dwave-samplers"].append((sweeps, took, np.round(other.record.energy, 6)))
    lowest = min(own.min() for rows in results.values() for _, _, own in rows)
    for name, rows in results.items():
        for sweeps, seconds, own in rows:
            share = float(np.mean(own <= lowest + 1e-9))
            reads = math.ceil(math.log(0.01) / math.log1p(-share)) if 0 < share < 1 else 1 if share else math.nan
            at_once = 64 if name == "ising-mc" else 1  # reads that are made together
            wanted = seconds * at_once * math.ceil(reads / at_once) if share else math.nan
            spread = math.sqrt(share * (1 - share) / len(own))
            found.append({"name": name, "sweeps": sweeps, "share": share, "spread": spread, "seconds": wanted})
    return {"sites": n, "lowest": float(lowest), "rows": found}


def learning(quick: bool) -> Any:
    """Test log likelihood over processor seconds of learning, by the same annealed importance sampling for all."""
    import warnings

    from threadpoolctl import threadpool_limits

    data, test = digits()
    hidden, moments = 64, (1.0, 3.0) if quick else (1.0, 2.0, 4.0, 8.0, 16.0)

    def judged(W: Any, b: Any, c: Any) -> float:
        return log_likelihood(W, b, c, test, 1000 if quick else 3000)

    def own(decay: float) -> tuple[Callable[[], None], Callable[[], Any]]:
        trainer = trainer_of(data, hidden, decay=decay)
        trainer.record(1, 1)
        return lambda: trainer.record(10, 1) and None, lambda: trainer.parameters

    def sklearn(step: float, decay: float = 0.0) -> tuple[Callable[[], None], Callable[[], Any]]:
        from sklearn.neural_network import BernoulliRBM

        other = BernoulliRBM(hidden, learning_rate=step, batch_size=100, random_state=SEED)

        other.partial_fit(data[:100])
        rng, epochs = np.random.RandomState(SEED), iter(range(10**9))

        def work() -> None:  # what its `fit` does, without checking the data again for each batch
            other.learning_rate = step / (1 + decay * next(epochs))
            for first in range(0, len(data), 100):
                other._fit(data[first : first + 100], rng)

        return work, lambda: (other.components_.T, other.intercept_visible_, other.intercept_hidden_)

    def rbms(step: float) -> tuple[Callable[[], None], Callable[[], Any]]:
        net, updates = rbms_learner(data, hidden, step)
        updates(1)
        return lambda: updates(20), lambda: (net.weight_matrix.numpy(), net.vbias.numpy(), net.hbias.numpy())

    curves = []
    for name, make in (
        ("ising-mc, rate 0.05 / (1 + epoch / 500)", lambda: own(0.002)), ("ising-mc, rate 0.05", lambda: own(0.0)),
        ("scikit-learn, rate 0.05 / (1 + epoch / 500)", lambda: sklearn(0.05, 0.002)),
        ("scikit-learn, rate 0.05", lambda: sklearn(0.05)), ("scikit-learn, rate 0.01", lambda: sklearn(0.01)),
        ("rbms, rate 0.05", lambda: rbms(0.05)), ("rbms, rate 0.01", lambda: rbms(0.01)),
    ):  # fmt: skip
        try:
            with threadpool_limits(1), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                work, parameters = make()
                spent, values = 0.0, []
                for moment in moments:
                    while spent < moment:
                        began = time.process_time()
                        work()
                        spent += time.process_time() - began
                    values.append(judged(*parameters()))
            curves.append({"name": name, "values": values})
        except ModuleNotFoundError as error:
            curves.append({"name": name, "trouble": f"not installed: {error.name}"})
    return {"hidden": hidden, "seconds": list(moments), "curves": curves}


# --- how honest errors are ------------------------------------------------------------------------------------------


def coverage(quick: bool) -> Any:
    """How often intervals of thousands of runs hold the truth: L = 8 at Tc, 4 replicas and 2000 sweeps each."""
    L, replicas, records = 8, 4, 2000
    truth = exact.kaufman(TC, L)
    values = {"energy_per_site": float(truth.energy), "specific_heat": float(truth.specific_heat)}
    text = lattice("square", L, TC, "metropolis")
    hits = {name: {0.6827: 0, 0.95: 0} for name in values}
    told = dict.fromkeys(values, 0)
    runs = 0
    for word in range(128 if quick else 512):
        unit, sampler = started(text, word=word, settle=1000)
        energies = unit.wanted(sampler.record(records, 1))["energy"] / L**2
        for first in range(0, 64, replicas):
            e, runs = energies[first : first + replicas], runs + 1
            deviation = e - e.mean()
            heat = means.jackknife(lambda a, b: L**2 * (b - a**2) / TC**2, deviation, deviation**2)
            for name, own in (("energy_per_site", means.mean(e)), ("specific_heat", heat)):
                if own.reliable:
                    told[name] += 1
                    for level in hits[name]:
                        low, high = own.interval(level)
                        hits[name][level] += low <= values[name] <= high
    return {
        "L": L, "replicas": replicas, "records": records, "runs": runs,
        "rows": [
            {"name": name, "told": told[name], "exact": values[name],
             "levels": {str(level): count / told[name] for level, count in own.items()},
             "z": {str(level): (count / told[name] - level) / math.sqrt(level * (1 - level) / told[name])
                   for level, count in own.items()}}
            for name, own in hits.items()
        ],
    }  # fmt: skip


STUDIES: dict[str, Callable[[bool], Any]] = {
    "sizes": sizes, "growth": growth, "patterns": patterns, "measuring": measuring, "whole_command": whole_command,
    "effective_samples": effective_samples, "ground_states": ground_states, "learning": learning, "coverage": coverage,
}  # fmt: skip
