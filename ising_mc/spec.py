"""The run file: TOML to frozen dataclasses.  Every error is one sentence that names the key and what is allowed."""

import difflib
import hashlib
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ising_mc.algorithms import KERNELS, PACKINGS, UPDATES
from ising_mc.graphfile import GraphData, GraphFileError, read_field, read_graph
from ising_mc.ising import Couplings, Field, FileGraph, FileValues, Shape, System
from ising_mc.lattices import KINDS, LARGEST_SITES, Lattice, parse_size
from ising_mc.observers import OBSERVABLES
from ising_mc.words import STARTS

KEYS: dict[str, tuple[str, ...]] = {
    "run": ("name", "seed"),
    "model": ("kind",),
    "lattice": ("kind", "size", "boundary", "degree", "path", "one_based"),
    "couplings": ("kind", "J", "p", "mean", "sigma", "path", "one_based", "disorder_samples"),
    "field": ("kind", "B", "mu", "strength"),
    "grid": ("temperatures", "replicas"),
    "schedule": ("thermalization", "sweeps", "measure_every", "checkpoint_seconds"),
    "measure": ("observables",),
    "algorithm": ("kind", "kernel", "packing", "start"),
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
TEMPERATURE_KEYS = ("start", "stop", "num")
TEMPERATURE_DIGITS = 12  # of an evenly spaced grid, so that a finer grid contains a coarser one bit for bit
LARGEST_SEED = 2**63 - 1
LARGEST = 1e9  # of couplings, fields and temperatures: total energies then stay within 64 bits
LARGEST_SIDE = 1 << 20
LARGEST_COUNT = 10**6  # of temperatures, and of replicas
LARGEST_SWEEPS = 10**12
TEMPERATURE_RANGE = f"from {1 / LARGEST:g} to {LARGEST:g}"


class SpecError(ValueError):
    """A run file that cannot be used as it stands."""


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
    warnings: tuple[str, ...]
    text: str = field(repr=False)

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
            "lattice.path": first.digest if isinstance(first, FileGraph) else "",
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
            "algorithm.kernel": self.kernel,
            "algorithm.packing": self.packing,
            "algorithm.start": self.start,
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
        return parse(text, Path(path).stem, Path(path).parent)
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
        _known(table, KEYS, "table")
        if not isinstance(content, dict):
            raise SpecError(f"{table} must be a table, written as [{table}]")
        for key in content:
            _known(key, KEYS[table], f"key in [{table}]")
    reader = _Reader(tables, folder)
    reader.choice("model.kind", ("ising",), "ising")
    systems, warnings = _systems(reader)
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
        warnings=tuple(warnings),
        text=text,
    )
    if spec.sweeps % spec.measure_every:
        raise SpecError(
            f"schedule.sweeps = {spec.sweeps} must be a multiple of schedule.measure_every = {spec.measure_every}"
        )
    return spec


# --- lattice, couplings and field ---------------------------------------------------------------------------------


def _systems(reader: "_Reader") -> tuple[tuple[System, ...], list[str]]:
    """All systems, size by size and sample by sample, and what to warn of."""
    kind = reader.choice("lattice.kind", (*KINDS, "file"), "square")
    reader.only_own("lattice", kind)
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


def _read_couplings(reader: "_Reader", shapes: list[Shape], data: GraphData | None, warnings: list[str]) -> Couplings:
    in_graph = data is not None and data.couplings is not None
    kind = reader.choice("couplings.kind", ("uniform", "pm_j", "gaussian", "file"), "file" if in_graph else "uniform")
    reader.only_own("couplings", kind)
    if kind == "uniform":
        J = reader.numbers("couplings.J", 1.0)
        directions = shapes[0].directions
        if len(J) > 1 and len(J) != directions:
            raise SpecError(
                f"couplings.J = {list(J)} has {len(J)} values, but the bonds of the {shapes[0].kind} lattice have "
                f"{directions} direction(s): give one value, or one a direction"
            )
        if in_graph:
            warnings.append("the couplings in the file of the lattice are not used, because couplings.kind = 'uniform'")
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
    if reader.get("couplings.path", None) is not None:
        path, found = reader.graph("couplings.path", "couplings.one_based", shapes)
        values = _on_bonds_of(path, found, shapes)
    elif data is None:
        raise SpecError("couplings.kind = 'file' needs couplings.path, a file with lines i j J or a matrix")
    elif data.couplings is None:
        raise SpecError(f"couplings.kind = 'file', but {shapes[0].label} has no third column: give couplings.path")
    else:
        path, values = str(reader.get("lattice.path", "")), data.couplings
    return Couplings(kind, file=FileValues(path, _digest(values), values))


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


def _read_field(reader: "_Reader", shapes: list[Shape]) -> Field:
    B = reader.get("field.B", 0.0)
    kind = reader.choice(
        "field.kind", ("uniform", "file", "gaussian", "bimodal"), "file" if isinstance(B, str) else "uniform"
    )
    reader.only_own("field", kind)
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


def _known(name: str, allowed: Sequence[str] | Mapping[str, Any], what: str) -> None:
    if name in allowed:
        return
    close = difflib.get_close_matches(name, allowed, n=1, cutoff=0.5)
    hint = f"did you mean '{close[0]}'?" if close else f"allowed are {', '.join(allowed)}"
    raise SpecError(f"unknown {what}: '{name}'; {hint}")


class _Reader:
    """Takes values out of the tables, with their defaults, and says what is wrong with them."""

    def __init__(self, tables: dict[str, Any], folder: Path) -> None:
        self.tables, self.folder = tables, folder

    def get(self, key: str, default: Any) -> Any:
        table, name = key.split(".")
        return self.tables.get(table, {}).get(name, default)

    def only_own(self, table: str, kind: str) -> None:
        """Refuse keys that do not go with a kind: they would be ignored."""
        for key, kinds in OWN_KEYS[table].items():
            if kind not in kinds and key in self.tables.get(table, {}):
                raise SpecError(
                    f"{table}.{key} has no meaning with {table}.kind = '{kind}'; it goes with {', '.join(kinds)}"
                )

    def path(self, key: str) -> str:
        value = self.get(key, None)
        if value is None:
            raise SpecError(f"{key} is missing: give the name of a file")
        if not isinstance(value, str) or not value:
            raise SpecError(f"{key} must be the name of a file, not {_cut(value)}")
        return str(self.folder / value)

    def graph(self, key: str, one_based_key: str, shapes: Sequence[Shape] = ()) -> tuple[str, GraphData]:
        path, one_based = self.path(key), self.get(one_based_key, False)
        if not isinstance(one_based, bool):
            raise SpecError(f"{one_based_key} must be true or false, not {_cut(one_based)}")
        sites = shapes[0].n_sites if len(shapes) == 1 else None
        return path, self.from_file(key, lambda: read_graph(path, one_based=one_based, n_sites=sites))

    def from_file(self, key: str, read: Callable[[], Any]) -> Any:
        try:
            return read()
        except GraphFileError as error:
            raise SpecError(f"{key}: {error}") from error

    def numbers(self, key: str, default: float) -> tuple[float, ...]:
        value = self.get(key, default)
        values = value if isinstance(value, list) else [value]
        if not values or not all(_is_number(number) for number in values):
            raise SpecError(f"{key} must be a number within +-{LARGEST:g}, or a list of such, not {_cut(value)}")
        return tuple(float(number) for number in values)

    def names(self, key: str, allowed: Sequence[str]) -> tuple[str, ...]:
        value = self.get(key, [])
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            raise SpecError(f"{key} must be a list of names, not {_cut(value)}; allowed: {', '.join(allowed)}")
        for name in value:
            _known(name, allowed, f"name in {key}")
        _no_repeats(key, value)
        return tuple(name for name in allowed if name in value)

    def choice(self, key: str, allowed: Sequence[str], default: str) -> str:
        value = self.get(key, default)
        if value in allowed:
            return str(value)
        close = difflib.get_close_matches(str(value), allowed, n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise SpecError(f"{key} = {value!r} is not available; allowed: {', '.join(allowed)}{hint}")

    def number(self, key: str, default: float, positive: bool = False) -> float:
        value = self.get(key, default)
        if not _is_number(value) or (positive and value <= 0):
            kind = f"a positive number up to {LARGEST:g}" if positive else f"a number within +-{LARGEST:g}"
            raise SpecError(f"{key} must be {kind}, not {_cut(value)}")
        return float(value)

    def integer(self, key: str, default: int, smallest: int, largest: int = LARGEST_SWEEPS) -> int:
        value = self.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < smallest:
            raise SpecError(f"{key} must be a whole number of at least {smallest}, not {_cut(value)}")
        if value > largest:
            raise SpecError(f"{key} must be a whole number of at most {largest}, not {_cut(value)}")
        return value

    def name(self, key: str, default: str) -> str:
        value = self.get(key, default)
        if not isinstance(value, str) or not value or "/" in value or "\0" in value or value.startswith("."):
            raise SpecError(f"{key} must be a plain file name without '/', not {value!r}")
        return value

    def seed(self, key: str) -> int | None:
        value = self.get(key, None)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST_SEED:
            raise SpecError(f"{key} must be a whole number from 0 to 2**63 - 1, not {value!r}")
        return value

    def lattices(self, key: str, kind: str) -> tuple[Lattice, ...]:
        value = self.get(key, None)
        if value is None:
            raise SpecError(f"{key} is missing: give a size, e.g. size = [32, 64], or [[48, 32]] for a rectangle")
        sizes = value if isinstance(value, list) else [value]
        if not sizes:
            raise SpecError(f"{key} is empty: give at least one size")
        degree = self.integer("lattice.degree", 3, 1, 1000) if kind == "random_regular" else 0
        found = []
        for size in sizes:
            try:
                sides = parse_size(kind, size)
                if max(sides) > LARGEST_SITES:
                    raise ValueError(f"a side must have at most {LARGEST_SITES} sites, not {_cut(max(sides))}")
                found.append(Lattice(kind, sides, self.boundary("lattice.boundary", kind, len(sides)), degree))
            except ValueError as error:
                raise SpecError(str(error) if isinstance(error, SpecError) else f"{key}: {error}") from error
        _no_repeats(key, [lattice.label for lattice in found])
        return tuple(found)

    def boundary(self, key: str, kind: str, dimension: int) -> tuple[bool, ...]:
        if kind not in OWN_KEYS["lattice"]["boundary"]:
            return ()
        value = self.get(key, "periodic")
        values = value if isinstance(value, list) else [value] * dimension
        if not all(item in ("periodic", "open") for item in values):
            raise SpecError(f"{key} must be 'periodic' or 'open', or a list of these, one an axis, not {_cut(value)}")
        if len(values) != dimension:
            raise SpecError(f"{key} = {_cut(value)} must have one entry for each of the {dimension} axes")
        return tuple(item == "periodic" for item in values)

    def temperatures(self, key: str) -> tuple[float, ...]:
        value = self.get(key, None)
        if value is None:
            raise SpecError(f"{key} is missing: give a list, or {{start = 1.6, stop = 3.2, num = 33}}")
        if isinstance(value, dict):
            value = self._evenly_spaced(key, value)
        if not isinstance(value, list):
            value = [value]
        if not value:
            raise SpecError(f"{key} is empty: give at least one temperature")
        for T in value:
            if not _is_temperature(T):
                raise SpecError(f"{key}: a temperature must be a positive number {TEMPERATURE_RANGE}, not {_cut(T)}")
        _no_repeats(key, [float(T) for T in value])
        return tuple(float(T) for T in value)

    def _evenly_spaced(self, key: str, table: dict[str, Any]) -> list[float]:
        for name in table:
            _known(name, TEMPERATURE_KEYS, f"key in {key}")
        missing = [name for name in TEMPERATURE_KEYS if name not in table]
        if missing:
            raise SpecError(f"{key} needs start, stop and num; missing: {', '.join(missing)}")
        start, stop, num = (table[name] for name in TEMPERATURE_KEYS)
        if isinstance(num, bool) or not isinstance(num, int) or not 1 <= num <= LARGEST_COUNT:
            raise SpecError(f"{key}: num must be a whole number from 1 to {LARGEST_COUNT}, not {_cut(num)}")
        for T in (start, stop):
            if not _is_temperature(T):
                raise SpecError(f"{key}: a temperature must be a positive number {TEMPERATURE_RANGE}, not {_cut(T)}")
        step = (stop - start) / max(num - 1, 1)
        return [float(f"{start + i * step:.{TEMPERATURE_DIGITS}g}") for i in range(num)]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST


def _is_temperature(value: Any) -> bool:
    return _is_number(value) and bool(value >= 1 / LARGEST)


def _cut(value: Any) -> str:
    """A value as it stands in the file, unless it is too long for a sentence."""
    text = repr(value) if not isinstance(value, int) or abs(value) < 10**40 else "a number of more than 40 digits"
    return text if len(text) < 60 else f"{text[:56]}..."


def _no_repeats(key: str, values: Sequence[Any]) -> None:
    seen = set()
    for value in values:
        if value in seen:
            raise SpecError(f"{key} names {value} twice")
        seen.add(value)
