"""The run file: TOML to frozen dataclasses.  Every error is one sentence that names the key and what is allowed."""

import hashlib
import tomllib
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ising_mc.algorithms import CLIMBERS, HOUDAYER, PACKINGS, UPDATES
from ising_mc.annealing import SCHEDULES, Schedule
from ising_mc.graphfile import GraphData, read_field
from ising_mc.ising import Couplings, Field, FileGraph, FileValues, Shape, System
from ising_mc.lattices import KINDS, Lattice
from ising_mc.observers import OBSERVABLES, OF_PAIRS
from ising_mc.preparation import CLUSTER_UPDATES, KERNELS, LOCAL_UPDATES
from ising_mc.reader import LARGEST, LARGEST_COUNT, TEMPERATURE_RANGE, Reader, SpecError, cut, is_temperature, known
from ising_mc.words import LANES, STARTS

KEYS: dict[str, tuple[str, ...]] = {
    "run": ("name", "seed"),
    "model": ("kind",),
    "lattice": ("kind", "size", "boundary", "degree", "path", "one_based"),
    "couplings": ("kind", "J", "p", "mean", "sigma", "path", "one_based", "disorder_samples"),
    "field": ("kind", "B", "mu", "strength"),
    "grid": ("temperatures", "replicas"),
    "schedule": ("thermalization", "sweeps", "measure_every", "checkpoint_seconds"),
    "measure": ("observables",),
    "algorithm": ("kind", "cycle", "kernel", "packing", "start"),
    "tempering": ("every", "ladder", "houdayer"),
    "anneal": ("schedule", "from", "to", "temperatures", "sweeps", "reads", "target"),
}
OWN_KEYS: dict[str, dict[str, tuple[str, ...]]] = {  # keys that go with some kinds only
    "lattice": {
        "size": tuple(KINDS),
        "boundary": tuple(kind for kind in KINDS if kind not in ("random_regular", "complete")),
        "degree": ("random_regular",),
        "path": ("file",),
        "one_based": ("file",),
    },
    "couplings": {
        "J": ("uniform", "pm_j"),
        "p": ("pm_j",),
        "mean": ("gaussian",),
        "sigma": ("gaussian",),
        "path": ("file",),
        "one_based": ("file",),
    },
    "field": {"B": ("uniform", "file"), "strength": ("gaussian", "bimodal")},
}
MOST_SAMPLES = 10**5
MOST_COOLING = 10**8  # sweeps of a read, each with a temperature in the result file
LADDERS = ("grid", "auto")


@dataclass(frozen=True)
class RunSpec:
    """A run as its file describes it; `seed` is None where the file leaves it out."""

    name: str
    seed: int | None
    systems: tuple[System, ...]
    temperatures: tuple[float, ...]
    replicas: int
    thermalization: int
    sweeps: int
    measure_every: int
    checkpoint_seconds: float
    algorithm: str
    kernel: str
    packing: str
    start: str
    observables: tuple[str, ...]
    cycle: tuple[tuple[str, int], ...]  # updates that take turns, and their sweeps
    exchange_every: int  # sweeps between rounds of tempering, 0 without
    houdayer: bool  # isoenergetic moves after each round of tempering
    ladder: str  # "grid": the temperatures of the grid; "auto": as many, placed for uniform swap rates
    anneal: Schedule | None  # a run that cools: replicas are reads, and all sweeps are thermalization
    target: float | None  # energy that annealing is to reach
    warnings: tuple[str, ...]
    text: str = field(repr=False)
    origin: str = ""  # the path of the file
    asked: tuple[float, ...] = ()  # temperatures of the grid, where a ladder was placed between its ends

    @property
    def prefix(self) -> str:
        """What an error begins with: the path of the file, where there is one."""
        return f"{self.origin}: " if self.origin else ""

    @property
    def records(self) -> int:
        """Measurements of each replica."""
        return self.sweeps // self.measure_every

    def identity(self) -> dict[str, Any]:
        """What a run is, key by key: all that decides its samples but sweeps and temperatures, which may grow."""
        shapes = list(dict.fromkeys(system.shape for system in self.systems))
        couplings, own_field = self.systems[0].couplings, self.systems[0].field
        first = shapes[0]
        return {
            "model.kind": "ising",
            "lattice.kind": first.kind,
            "lattice.size": [list(shape.size) for shape in shapes],
            "lattice.boundary": list(first.periodic),
            "lattice.degree": first.degree if isinstance(first, Lattice) else 0,
            "lattice.path": f"{first.label} {first.digest}" if isinstance(first, FileGraph) else "",
            "couplings.kind": couplings.kind,
            "couplings.J": list(couplings.J),
            "couplings.p": couplings.p,
            "couplings.mean": couplings.mean,
            "couplings.sigma": couplings.sigma,
            "couplings.path": couplings.file.digest if couplings.file else "",
            "couplings.disorder_samples": len(self.systems) // len(shapes),
            "field.kind": own_field.kind,
            "field.B": own_field.file.digest if own_field.file else own_field.B,
            "field.mu": own_field.mu,
            "grid.replicas": self.replicas,
            "schedule.thermalization": self.thermalization,
            "schedule.measure_every": self.measure_every,
            "measure.observables": list(self.observables),
            "algorithm.kind": self.algorithm,
            "algorithm.cycle": [list(entry) for entry in self.cycle],
            "algorithm.kernel": self.kernel,
            "algorithm.packing": self.packing,
            "algorithm.start": self.start,
        } | (self._annealing() if self.anneal else self._tempering())

    def _annealing(self) -> dict[str, Any]:
        assert self.anneal
        own = self.anneal
        return {
            "anneal.schedule": own.kind,
            "anneal.from": own.start,
            "anneal.to": own.stop,
            "anneal.temperatures": list(own.steps),
            "anneal.sweeps": own.sweeps,
            "anneal.target": self.target,
        }

    def _tempering(self) -> dict[str, Any]:
        """With tempering, every temperature has its say in all samples."""
        if not self.exchange_every:
            return {"tempering.every": 0}
        return {
            "tempering.every": self.exchange_every,
            "tempering.ladder": self.ladder,
            "tempering.houdayer": self.houdayer,
            "grid.temperatures": sorted(self.asked or self.temperatures),
        }


def load(path: Path | str) -> RunSpec:
    """Read a run file.

    Raises SpecError, with one sentence that names the file and the key.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SpecError(f"cannot read the run file {path}: {reason}") from error
    try:
        return replace(parse(text, Path(path).stem, Path(path).parent), origin=str(path))
    except SpecError as error:
        raise SpecError(f"{path}: {error}") from error


def parse(text: str, default_name: str = "run", folder: Path = Path()) -> RunSpec:
    """Read the text of a run file; files that it names lie in `folder`, unless their paths are absolute.

    Raises SpecError, with one sentence that names the key and what is allowed.
    """
    try:
        tables = tomllib.loads(text)
    except ValueError as error:  # TOMLDecodeError, or a number of thousands of digits
        raise SpecError(f"this is not valid TOML: {error}") from error
    for table, content in tables.items():
        known(table, KEYS, "table")
        if not isinstance(content, dict):
            raise SpecError(f"{table} must be a table, written as [{table}]")
        for key in content:
            known(key, KEYS[table], f"key in [{table}]")
    reader = Reader(tables, folder)
    reader.choice("model.kind", ("ising",), "ising")
    systems, warnings = _systems(reader)
    if "anneal" in tables:
        return _annealing_run(reader, systems, warnings, default_name, text)
    spec = RunSpec(
        name=reader.name("run.name", default_name),
        seed=reader.seed("run.seed"),
        systems=systems,
        temperatures=reader.temperatures("grid.temperatures"),
        replicas=reader.integer("grid.replicas", 64, 1, LARGEST_COUNT),
        thermalization=reader.integer("schedule.thermalization", 1000, 0),
        sweeps=reader.integer("schedule.sweeps", 10000, 1),
        measure_every=reader.integer("schedule.measure_every", 1, 1),
        checkpoint_seconds=reader.number("schedule.checkpoint_seconds", 60.0, positive=True),
        algorithm=reader.choice("algorithm.kind", ("auto", *UPDATES), "auto"),
        kernel=reader.choice("algorithm.kernel", ("auto", *KERNELS), "auto"),
        packing=reader.choice("algorithm.packing", ("auto", *PACKINGS), "auto"),
        start=reader.choice("algorithm.start", STARTS, "mixed"),
        observables=reader.names("measure.observables", OBSERVABLES),
        anneal=None,
        target=None,
        cycle=_read_cycle(reader),
        exchange_every=reader.integer("tempering.every", 1, 1) if "tempering" in tables else 0,
        houdayer=reader.truth("tempering.houdayer", False),
        ladder=reader.choice("tempering.ladder", LADDERS, "grid"),
        warnings=tuple(warnings),
        text=text,
    )
    if spec.sweeps % spec.measure_every:
        raise SpecError(
            f"schedule.sweeps = {spec.sweeps} must be a multiple of schedule.measure_every = {spec.measure_every}"
        )
    if spec.exchange_every:
        _check_tempering(spec)
    return spec


def _annealing_run(
    reader: Reader, systems: tuple[System, ...], warnings: list[str], default_name: str, text: str
) -> RunSpec:
    """A run that cools; what only other runs have is refused."""
    for table in ("grid", "measure", "tempering", "schedule"):
        extra = [key for key in reader.tables.get(table, {}) if (table, key) != ("schedule", "checkpoint_seconds")]
        if extra or (table == "tempering" and table in reader.tables):
            what = f"{table}.{extra[0]}" if extra else f"[{table}]"
            raise SpecError(
                f"{what} has no meaning in an annealing run: [anneal] says what is done, with reads and sweeps"
            )
    for key in ("cycle", "start", "packing"):
        if key in reader.tables.get("algorithm", {}):
            raise SpecError(
                f"algorithm.{key} has no meaning in an annealing run, whose reads start at random, 64 a word"
            )
    schedule = _read_schedule(reader)
    target = reader.get("anneal.target", None)
    return RunSpec(
        name=reader.name("run.name", default_name),
        seed=reader.seed("run.seed"),
        systems=systems,
        temperatures=(),
        replicas=reader.integer("anneal.reads", LANES, 1, LARGEST_COUNT),
        thermalization=schedule.sweeps,
        sweeps=0,
        measure_every=1,
        checkpoint_seconds=reader.number("schedule.checkpoint_seconds", 60.0, positive=True),
        algorithm=reader.choice("algorithm.kind", ("auto", *LOCAL_UPDATES), "auto"),
        kernel=reader.choice("algorithm.kernel", ("auto", *CLIMBERS), "auto"),
        packing="replicas",
        start="random",
        observables=(),
        cycle=(),
        exchange_every=0,
        houdayer=False,
        ladder="grid",
        anneal=schedule,
        target=None if target is None else reader.number("anneal.target", 0.0),
        warnings=tuple(warnings),
        text=text,
    )


def _read_schedule(reader: Reader) -> Schedule:
    kind = reader.choice("anneal.schedule", SCHEDULES, "geometric")
    reader.only_own("anneal", kind, {"from": SCHEDULES[:2], "to": SCHEDULES[:2], "temperatures": SCHEDULES[2:]})
    sweeps = reader.integer("anneal.sweeps", 1000, 1, MOST_COOLING)
    if kind == "list":
        if not isinstance(reader.get("anneal.temperatures", None), list):
            raise SpecError("anneal.temperatures is missing: give a list, from hot to cold")
        steps = reader.temperatures("anneal.temperatures")
        if sweeps % len(steps):
            raise SpecError(
                f"anneal.sweeps = {sweeps} must be a multiple of the {len(steps)} temperatures, which share them"
            )
        if any(one < other for one, other in pairwise(steps)):
            raise SpecError("anneal.temperatures heats on its way: annealing cools, so give them from hot to cold")
        return Schedule(kind, 0.0, 0.0, steps, sweeps)
    ends = []
    for key in ("from", "to"):
        if reader.get(f"anneal.{key}", None) is None:
            raise SpecError(
                f"anneal.{key} is missing: cool from about the number of neighbours times |J| to about 0.1 |J|"
            )
        value = reader.number(f"anneal.{key}", 0.0, positive=True)
        if not is_temperature(value):
            raise SpecError(f"anneal.{key} must be a positive number {TEMPERATURE_RANGE}, not {value:g}")
        ends.append(value)
    if ends[0] < ends[1]:
        raise SpecError(
            f"anneal.from = {ends[0]:g} is colder than anneal.to = {ends[1]:g}: annealing cools, so exchange the two"
        )
    if sweeps < 2:
        raise SpecError("anneal.sweeps must be at least 2, one at each end of the schedule")
    return Schedule(kind, ends[0], ends[1], (), sweeps)


def _read_cycle(reader: Reader) -> tuple[tuple[str, int], ...]:
    """Updates that take turns: names, or {name = sweeps}."""
    value = reader.get("algorithm.cycle", None)
    if value is None:
        return ()
    allowed = (*UPDATES, HOUDAYER)
    what = f'a list of updates ({", ".join(allowed)}), such as ["swendsen_wang", {{metropolis = 5}}]'
    if not isinstance(value, list) or not value:
        raise SpecError(f"algorithm.cycle must be {what}, not {cut(value)}")
    found = []
    for entry in value:
        name, count = next(iter(entry.items())) if isinstance(entry, dict) and len(entry) == 1 else (entry, 1)
        if not isinstance(name, str):
            raise SpecError(f"algorithm.cycle must be {what}, not with {cut(entry)}")
        known(name, allowed, "update in algorithm.cycle")
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= LARGEST_COUNT:
            raise SpecError(f"algorithm.cycle: {name} must do a whole number of sweeps from 1 on, not {cut(count)}")
        found.append((name, count))
    if found[0][0] == HOUDAYER:
        raise SpecError(f"algorithm.cycle must begin with another update than '{HOUDAYER}', which alone reaches little")
    for key in ("kind", "kernel", "packing"):
        if reader.get(f"algorithm.{key}", "auto") != "auto":
            raise SpecError(f"algorithm.{key} has no meaning beside algorithm.cycle, whose updates have kernels each")
    if "tempering" in reader.tables:
        raise SpecError("[tempering] goes with one local update, not with algorithm.cycle: take one of them out")
    return tuple(found)


def _check_tempering(spec: RunSpec) -> None:
    every, number = spec.exchange_every, len(spec.temperatures)
    if not 2 <= number <= LANES:
        raise SpecError(
            f"[tempering] exchanges 2 to {LANES} temperatures, not {number}: change grid.temperatures, or take the "
            "table out"
        )
    if spec.algorithm in CLUSTER_UPDATES:
        raise SpecError(
            f"[tempering] goes with local updates, not with algorithm.kind = '{spec.algorithm}': clusters of all sizes "
            "need no exchange"
        )
    if spec.packing == "sites":
        raise SpecError("[tempering] keeps the temperatures in one word, so algorithm.packing cannot be 'sites'")
    if (spec.houdayer or any(name in OF_PAIRS for name in spec.observables)) and number > LANES // 2:
        what = "tempering.houdayer" if spec.houdayer else "measure.observables: the overlap of two replicas"
        raise SpecError(f"{what} takes at most {LANES // 2} temperatures with [tempering]")
    if spec.houdayer and spec.replicas < 2:
        raise SpecError("tempering.houdayer = true moves two replicas at a time: raise grid.replicas")
    if max(every, spec.measure_every) % min(every, spec.measure_every):
        raise SpecError(
            f"tempering.every = {every} and schedule.measure_every = {spec.measure_every}: one must be a multiple of "
            "the other"
        )
    for key, value in (("thermalization", spec.thermalization), ("sweeps", spec.sweeps)):
        if value % every:
            raise SpecError(f"schedule.{key} = {value} must be a multiple of tempering.every = {every}")


# --- lattice, couplings and field ---------------------------------------------------------------------------------


def _systems(reader: Reader) -> tuple[tuple[System, ...], list[str]]:
    """All systems, size by size and sample by sample, and what to warn of."""
    kind = reader.choice("lattice.kind", (*KINDS, "file"), "square")
    reader.only_own("lattice", kind, OWN_KEYS["lattice"])
    warnings: list[str] = []
    data: GraphData | None = None
    shapes: list[Shape]
    if kind == "file":
        path, data = reader.graph("lattice.path", "lattice.one_based")
        warnings += data.warnings
        shapes = [FileGraph(path, _digest(data.bonds, np.array([data.n_sites])), data)]
    else:
        shapes = list(reader.lattices("lattice.size", kind))
    couplings = _read_couplings(reader, shapes, data, warnings)
    own_field = _read_field(reader, shapes)
    systems = [System(shape, couplings, own_field) for shape in shapes]
    samples = reader.integer("couplings.disorder_samples", 1, 1, MOST_SAMPLES)
    if not systems[0].is_random and samples > 1:
        raise SpecError(
            f"couplings.disorder_samples = {samples} needs something random: couplings 'pm_j' or 'gaussian', a random "
            "field, or a random lattice"
        )
    if systems[0].is_random:
        systems = [System(shape, couplings, own_field, k) for shape in shapes for k in range(samples)]
    return tuple(systems), warnings


def _read_couplings(reader: Reader, shapes: list[Shape], data: GraphData | None, warnings: list[str]) -> Couplings:
    in_graph = data is not None and data.couplings is not None
    kinds = ("uniform", "pm_j", "gaussian", "file", "maxcut")
    kind = reader.choice("couplings.kind", kinds, "file" if in_graph else "uniform")
    reader.only_own("couplings", kind, OWN_KEYS["couplings"])
    own_path = reader.get("couplings.path", None) is not None
    if kind == "maxcut":
        return _maxcut(reader, data)
    if in_graph and (kind != "file" or own_path):
        because = "couplings.path is given" if own_path else f"couplings.kind = '{kind}'"
        warnings.append(f"the couplings in the file of the lattice are not used, because {because}")
    if kind == "uniform":
        J = reader.numbers("couplings.J", 1.0)
        for shape in shapes:
            if len(J) > 1 and len(J) != shape.directions:
                raise SpecError(
                    f"couplings.J = {list(J)} has {len(J)} values, but the bonds of the {shape.kind} lattice "
                    f"{shape.label} have {shape.directions} direction(s): give one value, or one a direction"
                )
        return Couplings(J=J if len(set(J)) > 1 else J[:1])
    if kind == "pm_j":
        J = (reader.number("couplings.J", 1.0, positive=True),)
        p = reader.number("couplings.p", 0.5)
        if not 0 <= p <= 1:
            raise SpecError(f"couplings.p, the share of +J, must be from 0 to 1, not {p:g}")
        return Couplings(kind, J=J, p=p)
    if kind == "gaussian":
        sigma = reader.number("couplings.sigma", 1.0)
        if sigma < 0:
            raise SpecError(f"couplings.sigma must not be negative, as {sigma:g} is")
        return Couplings(kind, mean=reader.number("couplings.mean", 0.0), sigma=sigma)
    if own_path:
        path, found = reader.graph("couplings.path", "couplings.one_based", shapes)
        values = _on_bonds_of(path, found, shapes)
    elif data is None:
        raise SpecError("couplings.kind = 'file' needs couplings.path, a file with lines i j J or a matrix")
    elif data.couplings is None:
        raise SpecError(f"couplings.kind = 'file', but {shapes[0].label} has no third column: give couplings.path")
    else:
        path, values = str(reader.get("lattice.path", "")), data.couplings
    return Couplings(kind, file=FileValues(path, _digest(values), values))


def _maxcut(reader: Reader, data: GraphData | None) -> Couplings:
    """J = -w: the ground state has the largest weight between its two sides."""
    if data is None:
        raise SpecError("couplings.kind = 'maxcut' goes with lattice.kind = 'file': the graph whose bonds have weights")
    if "field" in reader.tables and reader.get("field.B", 1.0) != 0:
        raise SpecError("couplings.kind = 'maxcut' has no field: take the table [field] out")
    values = -(np.ones(len(data.bonds)) if data.couplings is None else data.couplings)
    return Couplings("maxcut", file=FileValues(str(reader.get("lattice.path", "")), _digest(values), values))


def _on_bonds_of(path: str, found: GraphData, shapes: list[Shape]) -> np.ndarray:
    """The couplings of a file in the order of the bonds of the only lattice there is; every bond must have its one."""
    if found.couplings is None:
        raise SpecError(f"couplings.path: {path} has no third column, the couplings")
    if len(shapes) > 1:
        raise SpecError(f"couplings.path: {path} goes with one size only, but lattice.size names {len(shapes)}")
    if shapes[0].kind == "random_regular":
        raise SpecError("couplings.kind = 'file' does not go with a random lattice: give the graph, too, as a file")
    bonds, n = shapes[0].graph().bonds.astype(np.int64), shapes[0].n_sites
    keys = bonds.min(1) * n + bonds.max(1)
    own = found.bonds[:, 0].astype(np.int64) * n + found.bonds[:, 1]
    if len(np.unique(keys)) < len(keys):
        raise SpecError(
            f"couplings.path: {shapes[0].label} has two bonds between the same sites, which no file can tell apart"
        )
    place = np.minimum(np.searchsorted(own, keys), len(own) - 1)
    for wanted, have, text in ((keys, own, "lacks the bond"), (own, keys, "has a bond that the lattice has not,")):
        extra = np.setdiff1d(wanted, have)
        if len(extra):
            i, j = divmod(int(extra[0]), n)
            raise SpecError(f"couplings.path: {path} {text} {i} {j} (sites counted from 0)")
    return np.ascontiguousarray(found.couplings[place])


def _read_field(reader: Reader, shapes: list[Shape]) -> Field:
    B = reader.get("field.B", 0.0)
    kind = reader.choice(
        "field.kind", ("uniform", "file", "gaussian", "bimodal"), "file" if isinstance(B, str) else "uniform"
    )
    reader.only_own("field", kind, OWN_KEYS["field"])
    if kind == "file":
        mu = reader.number("field.mu", 1.0)
        if not isinstance(B, str):
            raise SpecError("field.kind = 'file' needs the name of a file as field.B")
        sizes = {shape.n_sites for shape in shapes}
        if len(sizes) > 1:
            raise SpecError(f"field.B: {B} goes with one size only, but lattice.size names {len(shapes)}")
        path = reader.path("field.B")
        values = reader.from_file("field.B", lambda: read_field(path, sizes.pop()))
        largest = float(np.abs(values).max()) * abs(mu)
        own = Field(kind, mu=mu, file=FileValues(path, _digest(values), values))
    else:
        key = "field.B" if kind == "uniform" else "field.strength"
        strength = reader.number(key, 0.0 if kind == "uniform" else 1.0)
        mu = reader.number("field.mu", 1.0)
        largest = abs(mu * strength)
        own = Field(kind, strength, mu)
    if largest > LARGEST:
        raise SpecError(f"field.mu times field.B must be a number within +-{LARGEST:g}, not {largest:g}")
    return own


def _digest(*arrays: np.ndarray) -> str:
    """What tells the contents of a file from others."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:16]
