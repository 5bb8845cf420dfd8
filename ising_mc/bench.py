"""How fast the kernels are on this machine, and whether they are right there: `ising-mc bench`.

Each case is a run file, measured through the units and samplers that a run uses: one thread alone, then all threads
with a word each, as the driver works.  Beside each rate stands a physics check of the same kernel.
"""

import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import erfc

from ising_mc import graphchecks, machinechecks, provenance, validation
from ising_mc import statistics as means
from ising_mc.kernels._jit import config
from ising_mc.run import units_of, visits
from ising_mc.spec import parse
from ising_mc.square import Square
from ising_mc.unit import Unit
from ising_mc.validation import Check

SECONDS = 0.25  # of a measurement
ROUNDS = 3
TC = 2.269185314213022
CHECK_LANES = 1 << 15
P_LIMIT = 1e-5
SCHEMA = 1
WORKED = "[grid]\nreplicas = 64\ntemperatures = [{T}]\n[schedule]\nsweeps = 1\n"


@dataclass(frozen=True)
class Case:
    """A kernel to be measured: a run file, and a check of the same kernel."""

    name: str
    text: str
    check: Callable[[], Check]


def _one_sweep(number: int, kernel: str, update: str) -> Callable[[], Check]:
    system, T = graphchecks.SYSTEMS[number]
    return lambda: graphchecks.check_one_sweep(system, T, kernel, update, CHECK_LANES)


def _on_square(update: str) -> Callable[[], Check]:
    return lambda: validation.check_one_sweep(validation.Point(4, 4, 1.0, 0.0, TC), update, CHECK_LANES)


def _kaufman(update: str) -> Check:
    """The energy of one big lattice, packed by sites, against Kaufman."""
    lattice, plan = Square(128, 128), validation.Plan(4, 500, 1500)
    energies, _ = validation.kaufman_deviations(lattice, update, plan, validation.SITE_TEMPERATURES[-2:], 1)
    return validation.check_deviations(f"energy, {update}, 128 x 128, one lattice", energies, validation.KAUFMAN_LEVEL)


def _packed_sites() -> Check:
    """The energy of a cubic lattice packed by sites against that of 64 replicas a word; two-sided."""
    found = []
    for packing, replicas in (("sites", 4), ("replicas", 64)):
        text = _ising('kind = "cubic"\nsize = [[128, 4, 6]]', 5.0, f'{METROPOLIS}\npacking = "{packing}"')
        series = []
        for unit in units_of(parse(f"[run]\nseed = 1\n{text.replace('replicas = 64', f'replicas = {replicas}')}")):
            sampler = _started(unit, 1)
            sampler.sweep(200)
            series.append(unit.wanted(sampler.record(2000, 1))["energy"] / unit.system.n_sites)
        found.append(means.mean(np.concatenate(series)))
    z = float((found[0].value - found[1].value) / np.hypot(found[0].error, found[1].error))
    p = float(erfc(abs(z) / np.sqrt(2)))
    name = "energy, metropolis, cubic 128 x 4 x 6, T = 5, one lattice against replicas"
    return Check(name, p > P_LIMIT, z, p, f"p > {P_LIMIT:g}")


def _on_machine(kind: str, kernel: str) -> Callable[[], Check]:
    return lambda: machinechecks.check_one_sweep(kind, "binary", kernel, "sequential")


def _ising(lattice: str, T: float, more: str = "") -> str:
    return f"[lattice]\n{lattice}\n{more}\n" + WORKED.format(T=T)


SQUARE, CUBIC = 'kind = "square"\nsize = [{L}]', 'kind = "cubic"\nsize = [{L}]'
METROPOLIS, HEAT_BATH = '[algorithm]\nkind = "metropolis"', '[algorithm]\nkind = "heat_bath"'
PM_J = '[couplings]\nkind = "pm_j"'
GAUSSIAN = '[couplings]\nkind = "gaussian"'
CASES: tuple[Case, ...] = (
    Case("square L=64, metropolis", _ising(SQUARE.format(L=64), TC, METROPOLIS), _on_square("metropolis")),
    Case("square L=64, heat bath", _ising(SQUARE.format(L=64), TC, HEAT_BATH), _on_square("heat_bath")),
    Case(
        "square L=2048, one lattice, metropolis",
        _ising(SQUARE.format(L=2048), TC, f'{METROPOLIS}\npacking = "sites"'), lambda: _kaufman("metropolis"),
    ),
    Case("cubic L=16, metropolis", _ising(CUBIC.format(L=16), 4.5, METROPOLIS), _one_sweep(10, "packed", "metropolis")),
    Case("cubic +-J L=16, heat bath", _ising(CUBIC.format(L=16), 1.1, f"{PM_J}\n{HEAT_BATH}"),
         _one_sweep(13, "packed", "heat_bath")),
    Case("cubic L=128, one lattice, metropolis",
         _ising(CUBIC.format(L=128), 4.5, f'{METROPOLIS}\npacking = "sites"'), _packed_sites),
    Case("cubic, Gaussian J, L=16, metropolis", _ising(CUBIC.format(L=16), 1.0, f"{GAUSSIAN}\n{METROPOLIS}"),
         _one_sweep(15, "sparse", "metropolis")),
    Case("Sherrington-Kirkpatrick N=512, heat bath",
         _ising('kind = "complete"\nsize = [512]', 0.5, f"{GAUSSIAN}\n{HEAT_BATH}"),
         _one_sweep(22, "dense", "heat_bath")),
    Case("square L=128, Swendsen-Wang", _ising(SQUARE.format(L=128), TC, '[algorithm]\nkind = "swendsen_wang"'),
         _one_sweep(4, "clusters", "swendsen_wang")),
    Case("square L=128, Wolff", _ising(SQUARE.format(L=128), TC, '[algorithm]\nkind = "wolff"'),
         _one_sweep(4, "clusters", "wolff")),
    Case("RBM 784 x 500, block Gibbs",
         '[model]\nkind = "boltzmann"\n[machine]\nkind = "restricted"\nvisible = 784\nhidden = 500\nscale = 0.05\n'
         + WORKED.format(T=1.0), _on_machine("restricted", "blocks")),
    Case("Boltzmann machine N=512, sequential Gibbs",
         '[model]\nkind = "boltzmann"\n[machine]\nkind = "general"\nvisible = 512\nscale = 0.05\n'
         + WORKED.format(T=1.0),
         _on_machine("general", "dense")),
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """What was found of a case: updates per ns of one thread and of all, their spread, bytes a unit, and the check."""

    name: str
    kernel: str
    rate: float
    spread: float  # of one thread: (largest - smallest) / median
    rate_all: float
    bytes_per_unit: float  # of sampler and tables, for each spin of each replica
    check: str
    passed: bool


@dataclass(frozen=True)
class Report:
    """A whole benchmark of a machine."""

    schema: int
    facts: dict[str, Any]
    threads: int
    rows: tuple[Row, ...]
    cold_start: float  # seconds of a first small run, which compiles
    warm_start: float  # seconds of the same run afterwards
    memory: int  # bytes that this process took at most


def run(threads: int, watch: Callable[[str], None] = lambda line: None, cases: tuple[Case, ...] = CASES) -> Report:
    """Measure all cases; watch: is told what comes next."""
    rows = []
    for case in cases:
        watch(case.name)
        try:
            rows.append(measure(case, threads))
        except Exception as error:  # a case that cannot be done costs its row, not the benchmark
            nan = float("nan")
            reason = (str(error).splitlines() or [""])[0]
            rows.append(Row(case.name, "", nan, nan, nan, nan, f"failed: {type(error).__name__}: {reason}", False))
    watch("a first start, which compiles, and a second one")
    cold, warm = start_times()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    facts = {**provenance.collect(threads, provenance.now()), "cpu_flags": cpu_flags()}
    return Report(SCHEMA, facts, threads, tuple(rows), cold, warm, peak)


def measure(case: Case, threads: int) -> Row:
    """Measure one case, and check its kernel."""
    spec = parse(f"[run]\nseed = 1\n{case.text}" if "[run]" not in case.text else case.text)
    unit = units_of(spec)[0]
    unit.warm_up(1)
    alone = _rates(unit, 1)
    together = _rates(unit, threads) if threads > 1 else alone
    try:
        check = case.check()
    except Exception as error:  # a check that cannot be done costs its mark, not the benchmark
        check = Check(case.name, False, float("nan"), float("nan"), str(error))
    spins = unit.system.n_sites * unit.replicas
    middle = statistics.median(alone)
    return Row(
        case.name, unit.choice.kernel, middle, (max(alone) - min(alone)) / middle, statistics.median(together),
        unit.memory_needed() / spins, f"{check.name}: {check.limit}", check.passed,
    )  # fmt: skip


def _rates(unit: Unit, threads: int) -> list[float]:
    """Updates per ns, round by round: of one lattice that all threads share, or of a word in each."""
    shared = unit.full_word == 1
    words = range(1 if shared else threads)
    samplers = [_started(replace(unit, word=word), threads if shared else 1) for word in words]
    sweeps = 1
    rates: list[float] = []
    while len(rates) < ROUNDS:
        before = [visits(sampler) for sampler in samplers]
        began = time.perf_counter()
        workers = [threading.Thread(target=sampler.sweep, args=(sweeps,)) for sampler in samplers]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        seconds = time.perf_counter() - began
        if seconds < SECONDS / 2:
            sweeps = max(sweeps + 1, int(sweeps * min(10, SECONDS / max(seconds, 1e-4))))
            continue
        counted = [visits(sampler) - own for sampler, own in zip(samplers, before, strict=True)]
        done = sum(counted) if any(counted) else len(samplers) * sweeps * unit.attempts_per_sweep
        rates.append(done / seconds / 1e9)
    return rates


def _started(unit: Unit, threads: int) -> Any:
    sampler = unit.sampler(1, threads)
    start = "up" if unit.choice.kernel == "clusters" else "random"  # from where it soon costs what it will cost
    sampler.start(1, unit.system.label, unit.temperature, unit.word, start)
    sampler.sweep(10)
    return sampler


def start_times() -> tuple[float, float]:
    """Seconds of a small run in a process of its own, with an empty cache of kernels, and then with a full one."""
    text = '[run]\nname = "start"\nseed = 1\n[lattice]\nsize = [16]\n' + WORKED.format(T=2.5)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "start.toml").write_text(text)
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(Path(folder) / "cache")}
        seconds = []
        for name in ("first", "second"):
            command = [sys.executable, "-m", "ising_mc", "run", "start.toml", "-o", f"{name}.h5", "--quiet"]
            began = time.perf_counter()
            subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
            seconds.append(time.perf_counter() - began)
    return seconds[0], seconds[1]


def cpu_flags() -> str:
    """Vector extensions of the processor, as far as it says, and the name by which compilers know it."""
    flags: set[str] = set()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("flags"):
                flags = {flag for flag in line.split() if flag.startswith(("avx", "sse4", "fma", "bmi"))}
                break
    except OSError:
        pass
    return " ".join([str(getattr(config, "CPU_NAME", "") or ""), *sorted(flags)]).strip()


def to_json(report: Report) -> str:
    """A report as JSON."""
    return json.dumps(asdict(report), indent=1)


def read(path: Path) -> Report:
    """A report that was written as JSON; raises ValueError where it is none."""
    try:
        found = json.loads(path.read_text())
        schema = int(found["schema"])
        if schema == SCHEMA:
            rows = tuple(Row(**row) for row in found.pop("rows"))
            if not all(float(rate) >= 0 or math.isnan(rate) for row in rows for rate in (row.rate, row.rate_all)):
                raise ValueError
            return Report(**found, rows=rows)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path} is not a report of `ising-mc bench --json`") from error
    raise ValueError(f"{path} is a report of schema {schema}, this is {SCHEMA}: measure anew")


def ratios(report: Report, before: Report) -> Iterator[tuple[str, float, float]]:
    """Name, and rate over the rate before, of one thread and of all, of each case that both have."""
    known = {row.name: row for row in before.rows}
    for row in report.rows:
        old = known.get(row.name)
        if old and old.rate > 0 and old.rate_all > 0:
            yield row.name, row.rate / old.rate, row.rate_all / old.rate_all
