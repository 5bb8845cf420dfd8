"""The run file: TOML to frozen dataclasses.  Every error is one sentence that names the key and what is allowed."""

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ising_mc.algorithms import PACKINGS, UPDATES
from ising_mc.ising import STARTS, Model
from ising_mc.lattices import Square

KEYS: dict[str, tuple[str, ...]] = {
    "run": ("name", "seed"),
    "model": ("kind",),
    "lattice": ("kind", "size", "boundary"),
    "couplings": ("kind", "J"),
    "field": ("B", "mu"),
    "grid": ("temperatures", "replicas"),
    "schedule": ("thermalization", "sweeps", "measure_every", "checkpoint_seconds"),
    "algorithm": ("kind", "packing", "start"),
}
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
    lattices: tuple[Square, ...]
    model: Model
    B: float
    mu: float
    temperatures: tuple[float, ...]
    replicas: int
    thermalization: int
    sweeps: int
    measure_every: int
    checkpoint_seconds: float
    algorithm: str
    packing: str
    start: str
    text: str = field(repr=False)

    @property
    def records(self) -> int:
        """Measurements of each replica."""
        return self.sweeps // self.measure_every

    def identity(self) -> dict[str, Any]:
        """What a run is, key by key: all that decides its samples but sweeps and temperatures, which may grow."""
        return {
            "model.kind": "ising",
            "lattice.kind": "square",
            "lattice.size": [[lattice.rows, lattice.columns] for lattice in self.lattices],
            "couplings.J": self.model.J,
            "field.B": self.B,
            "field.mu": self.mu,
            "grid.replicas": self.replicas,
            "schedule.thermalization": self.thermalization,
            "schedule.measure_every": self.measure_every,
            "algorithm.kind": self.algorithm,
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
        return parse(text, default_name=Path(path).stem)
    except SpecError as error:
        raise SpecError(f"{path}: {error}") from error


def parse(text: str, default_name: str = "run") -> RunSpec:
    """Read the text of a run file.

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
    reader = _Reader(tables)
    reader.choice("model.kind", ("ising",), "ising")
    reader.choice("lattice.kind", ("square",), "square")
    reader.choice("lattice.boundary", ("periodic",), "periodic")
    reader.choice("couplings.kind", ("uniform",), "uniform")
    B, mu = reader.number("field.B", 0.0), reader.number("field.mu", 1.0)
    if abs(mu * B) > LARGEST:
        raise SpecError(f"field.mu times field.B must be a number within +-{LARGEST:g}, not {mu * B:g}")
    spec = RunSpec(
        name=reader.name("run.name", default_name),
        seed=reader.seed("run.seed"),
        lattices=reader.lattices("lattice.size"),
        model=Model(reader.number("couplings.J", 1.0), mu * B),
        B=B,
        mu=mu,
        temperatures=reader.temperatures("grid.temperatures"),
        replicas=reader.integer("grid.replicas", 64, 1, LARGEST_COUNT),
        thermalization=reader.integer("schedule.thermalization", 1000, 0),
        sweeps=reader.integer("schedule.sweeps", 10000, 1),
        measure_every=reader.integer("schedule.measure_every", 1, 1),
        checkpoint_seconds=reader.number("schedule.checkpoint_seconds", 60.0, positive=True),
        algorithm=reader.choice("algorithm.kind", ("auto", *UPDATES), "auto"),
        packing=reader.choice("algorithm.packing", ("auto", *PACKINGS), "auto"),
        start=reader.choice("algorithm.start", STARTS, "mixed"),
        text=text,
    )
    if spec.sweeps % spec.measure_every:
        raise SpecError(
            f"schedule.sweeps = {spec.sweeps} must be a multiple of schedule.measure_every = {spec.measure_every}"
        )
    return spec


def _known(name: str, allowed: Sequence[str] | Mapping[str, Any], what: str) -> None:
    if name in allowed:
        return
    close = difflib.get_close_matches(name, allowed, n=1, cutoff=0.5)
    hint = f"did you mean '{close[0]}'?" if close else f"allowed are {', '.join(allowed)}"
    raise SpecError(f"unknown {what}: '{name}'; {hint}")


class _Reader:
    """Takes values out of the tables, with their defaults, and says what is wrong with them."""

    def __init__(self, tables: dict[str, Any]) -> None:
        self.tables = tables

    def get(self, key: str, default: Any) -> Any:
        table, name = key.split(".")
        return self.tables.get(table, {}).get(name, default)

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

    def lattices(self, key: str) -> tuple[Square, ...]:
        value = self.get(key, None)
        if value is None:
            raise SpecError(f"{key} is missing: give a size, e.g. size = [32, 64], or [[48, 32]] for a rectangle")
        sizes = value if isinstance(value, list) else [value]
        if not sizes:
            raise SpecError(f"{key} is empty: give at least one size")
        lattices = []
        for size in sizes:
            sides = size if isinstance(size, list) else [size, size]
            if len(sides) != 2 or not all(isinstance(n, int) and not isinstance(n, bool) for n in sides):
                raise SpecError(f"{key}: {size!r} is neither a side such as 32 nor a rectangle such as [48, 32]")
            if max(sides) > LARGEST_SIDE:
                raise SpecError(f"{key}: a side must have at most {LARGEST_SIDE} sites, not {_cut(max(sides))}")
            try:
                lattices.append(Square(*sides))
            except ValueError as error:
                raise SpecError(f"{key}: {error}") from error
        _no_repeats(key, [lattice.label for lattice in lattices])
        return tuple(lattices)

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
