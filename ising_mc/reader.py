"""Values out of the tables of a run file, each checked: an error is one sentence with the key and what is allowed."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ising_mc.graphfile import GraphData, GraphFileError, read_graph
from ising_mc.ising import Shape
from ising_mc.lattices import LARGEST_SITES, Lattice, count_axes, parse_size

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


def known(name: str, allowed: Sequence[str] | Mapping[str, Any], what: str) -> None:
    """Refuse a name that is none of the allowed ones, and say which was meant."""
    if name in allowed:
        return
    close = difflib.get_close_matches(name, allowed, n=1, cutoff=0.5)
    hint = f"did you mean '{close[0]}'?" if close else f"allowed are {', '.join(allowed)}"
    raise SpecError(f"unknown {what}: '{name}'; {hint}")


class Reader:
    """Takes values out of the tables, with their defaults, and says what is wrong with them."""

    def __init__(self, tables: dict[str, Any], folder: Path) -> None:
        self.tables, self.folder = tables, folder

    def get(self, key: str, default: Any) -> Any:
        """What stands in the file, unchecked."""
        table, name = key.split(".")
        return self.tables.get(table, {}).get(name, default)

    def only_own(self, table: str, kind: str, own: Mapping[str, Sequence[str]], by: str = "kind") -> None:
        """Refuse keys that do not go with a kind (the value of the key `by`): they would be ignored."""
        for key, kinds in own.items():
            if kind not in kinds and key in self.tables.get(table, {}):
                raise SpecError(
                    f"{table}.{key} has no meaning with {table}.{by} = '{kind}'; it goes with {', '.join(kinds)}"
                )

    def path(self, key: str) -> str:
        """The path of a file, from the folder of the run file on."""
        value = self.get(key, None)
        if value is None:
            raise SpecError(f"{key} is missing: give the name of a file")
        if not isinstance(value, str) or not value:
            raise SpecError(f"{key} must be the name of a file, not {cut(value)}")
        return str(self.folder / value)

    def graph(self, key: str, one_based_key: str, shapes: Sequence[Shape] = ()) -> tuple[str, GraphData]:
        """The graph that a key names; its size must be that of the only shape, where there is one."""
        path, one_based = self.path(key), self.get(one_based_key, False)
        if not isinstance(one_based, bool):
            raise SpecError(f"{one_based_key} must be true or false, not {cut(one_based)}")
        sites = shapes[0].n_sites if len(shapes) == 1 else None
        return path, self.from_file(key, lambda: read_graph(path, one_based=one_based, n_sites=sites))

    def from_file(self, key: str, read: Callable[[], Any]) -> Any:
        """What `read` returns, with the key before its complaint."""
        try:
            return read()
        except GraphFileError as error:
            raise SpecError(f"{key}: {error}") from error

    def numbers(self, key: str, default: float) -> tuple[float, ...]:
        """One number, or a list of them."""
        value = self.get(key, default)
        values = value if isinstance(value, list) else [value]
        if not values or not all(is_number(number) for number in values):
            raise SpecError(f"{key} must be a number within +-{LARGEST:g}, or a list of such, not {cut(value)}")
        return tuple(float(number) for number in values)

    def names(self, key: str, allowed: Sequence[str]) -> tuple[str, ...]:
        """A list of names, in the order of `allowed`."""
        value = self.get(key, [])
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            raise SpecError(f"{key} must be a list of names, not {cut(value)}; allowed: {', '.join(allowed)}")
        for name in value:
            known(name, allowed, f"name in {key}")
        no_repeats(key, value)
        return tuple(name for name in allowed if name in value)

    def choice(self, key: str, allowed: Sequence[str], default: str) -> str:
        """One of a few words."""
        value = self.get(key, default)
        if value in allowed:
            return str(value)
        close = difflib.get_close_matches(str(value), allowed, n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ""
        raise SpecError(f"{key} = {value!r} is not available; allowed: {', '.join(allowed)}{hint}")

    def truth(self, key: str, default: bool) -> bool:
        """true or false."""
        value = self.get(key, default)
        if not isinstance(value, bool):
            raise SpecError(f"{key} must be true or false, not {cut(value)}")
        return value

    def number(self, key: str, default: float, positive: bool = False) -> float:
        """A finite number."""
        value = self.get(key, default)
        if not is_number(value) or (positive and value <= 0):
            kind = f"a positive number up to {LARGEST:g}" if positive else f"a number within +-{LARGEST:g}"
            raise SpecError(f"{key} must be {kind}, not {cut(value)}")
        return float(value)

    def integer(self, key: str, default: int, smallest: int, largest: int = LARGEST_SWEEPS) -> int:
        """A whole number."""
        value = self.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < smallest:
            raise SpecError(f"{key} must be a whole number of at least {smallest}, not {cut(value)}")
        if value > largest:
            raise SpecError(f"{key} must be a whole number of at most {largest}, not {cut(value)}")
        return value

    def name(self, key: str, default: str) -> str:
        """A plain file name."""
        value = self.get(key, default)
        if not isinstance(value, str) or not value or "/" in value or "\0" in value or value.startswith("."):
            raise SpecError(f"{key} must be a plain file name without '/', not {value!r}")
        return value

    def seed(self, key: str) -> int | None:
        """A seed, or None where it is left out."""
        value = self.get(key, None)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST_SEED:
            raise SpecError(f"{key} must be a whole number from 0 to 2**63 - 1, not {value!r}")
        return value

    def lattices(self, key: str, kind: str) -> tuple[Lattice, ...]:
        """One lattice a size."""
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
                    raise ValueError(f"a side must have at most {LARGEST_SITES} sites, not {cut(max(sides))}")
                found.append(Lattice(kind, sides, self.boundary("lattice.boundary", kind, len(sides)), degree))
            except ValueError as error:
                raise SpecError(str(error) if isinstance(error, SpecError) else f"{key}: {error}") from error
        no_repeats(key, [list(lattice.size) for lattice in found])
        labels = [lattice.label for lattice in found]
        for label in labels:
            if labels.count(label) > 1:
                raise SpecError(f"{key}: two systems would be named {label}; give each of them a run of its own")
        return tuple(found)

    def boundary(self, key: str, kind: str, dimension: int) -> tuple[bool, ...]:
        """Whether each axis is periodic."""
        if count_axes(kind, (1,) * dimension) == 0:
            return ()
        value = self.get(key, "periodic")
        values = value if isinstance(value, list) else [value] * dimension
        if not all(item in ("periodic", "open") for item in values):
            raise SpecError(f"{key} must be 'periodic' or 'open', or a list of these, one an axis, not {cut(value)}")
        if len(values) != dimension:
            raise SpecError(f"{key} = {cut(value)} must have one entry for each of the {dimension} axes")
        return tuple(item == "periodic" for item in values)

    def temperatures(
        self, key: str, default: list[float] | None = None, zero: bool = False, repeats: bool = False
    ) -> tuple[float, ...]:
        """A list of temperatures, or evenly spaced ones; zero: T = 0 is allowed; repeats: one may come twice."""
        value = self.get(key, default)
        if value is None:
            raise SpecError(f"{key} is missing: give a list, or {{start = 1.6, stop = 3.2, num = 33}}")
        if isinstance(value, dict):
            value = self._evenly_spaced(key, value, zero)
        if not isinstance(value, list):
            value = [value]
        if not value:
            raise SpecError(f"{key} is empty: give at least one temperature")
        for T in value:
            _check_temperature(key, T, zero)
        if not repeats:
            no_repeats(key, [float(T) for T in value])
        return tuple(float(T) for T in value)

    def _evenly_spaced(self, key: str, table: dict[str, Any], zero: bool) -> list[float]:
        for name in table:
            known(name, TEMPERATURE_KEYS, f"key in {key}")
        missing = [name for name in TEMPERATURE_KEYS if name not in table]
        if missing:
            raise SpecError(f"{key} needs start, stop and num; missing: {', '.join(missing)}")
        start, stop, num = (table[name] for name in TEMPERATURE_KEYS)
        if isinstance(num, bool) or not isinstance(num, int) or not 1 <= num <= LARGEST_COUNT:
            raise SpecError(f"{key}: num must be a whole number from 1 to {LARGEST_COUNT}, not {cut(num)}")
        for T in (start, stop):
            _check_temperature(key, T, zero)
        step = (stop - start) / max(num - 1, 1)
        return [float(f"{start + i * step:.{TEMPERATURE_DIGITS}g}") for i in range(num)]


def is_number(value: Any) -> bool:
    """Whether a value is a number within the limits."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST


def is_temperature(value: Any) -> bool:
    """Whether a value can be a temperature."""
    return is_number(value) and bool(value >= 1 / LARGEST)


def _check_temperature(key: str, T: Any, zero: bool) -> None:
    if is_temperature(T) or (zero and is_number(T) and T == 0):
        return
    kind = f"0, or a positive number {TEMPERATURE_RANGE}" if zero else f"a positive number {TEMPERATURE_RANGE}"
    raise SpecError(f"{key}: a temperature must be {kind}, not {cut(T)}")


def cut(value: Any) -> str:
    """A value as it stands in the file, unless it is too long for a sentence."""
    text = repr(value) if not isinstance(value, int) or abs(value) < 10**40 else "a number of more than 40 digits"
    return text if len(text) < 60 else f"{text[:56]}..."


def no_repeats(key: str, values: Sequence[Any]) -> None:
    """Refuse what is named twice."""
    seen = set()
    for value in values:
        if str(value) in seen:
            raise SpecError(f"{key} names {value} twice")
        seen.add(str(value))
