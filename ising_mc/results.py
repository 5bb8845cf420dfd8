"""Reading result files; how they are laid out stands in `resultfile`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ising_mc.observables import Quantity
from ising_mc.observers import OF_PAIRS
from ising_mc.words import Series

SCHEMA_VERSION = 2
Array = NDArray[Any]


class StoreError(RuntimeError):
    """A file that cannot be used or written; the message is one sentence."""


@contextmanager
def open_result(path: Path) -> Iterator[h5py.File]:
    """Open a result file for reading.

    Raises StoreError where it is missing, locked, damaged, or not a result file of this program.
    """
    try:
        file = h5py.File(path, "r")
    except FileNotFoundError as error:
        raise StoreError(f"there is no result file {path}") from error
    except BlockingIOError as error:
        raise StoreError(f"{path} is locked: another program has it open for writing") from error
    except OSError as error:
        if "unable to lock" not in str(error):
            raise StoreError(f"{path} cannot be read as HDF5 ({first_line(error)})") from error
        file = h5py.File(path, "r", locking=False)  # a file system without locks
    with file:
        if (
            not isinstance(file.get("systems"), h5py.Group)
            or not len(file["systems"])
            or not {"identity", "schema_version"} <= set(file.attrs)
        ):
            raise StoreError(f"{path} is not a result file of ising_mc; choose another -o")
        if file.attrs["schema_version"] != SCHEMA_VERSION:
            raise StoreError(f"{path} has schema version {file.attrs['schema_version']}, this is {SCHEMA_VERSION}")
        yield file


@dataclass(frozen=True)
class SystemResults:
    """Results of one system, or averages over a disorder, as read from a file.

    facts: its attributes, as `describe` makes them;  columns: results/X by name, (temperature,) each;  samples: how
    many were averaged, 0 for one system.
    """

    label: str
    facts: dict[str, Any]
    temperatures: Array
    columns: dict[str, Array]
    samples: int = 0
    tempering: dict[str, Array] = field(default_factory=dict)

    @property
    def is_pure_square(self) -> bool:
        """Whether it is a periodic square lattice with one coupling, which exact formulas are for."""
        return (
            self.facts.get("lattice") == "square"
            and list(self.facts["boundary"]) == ["periodic"] * 2
            and self.facts["couplings"] == "uniform"
            and len(self.facts["J"]) == 1
            and self.facts["field"] == "uniform"
        )

    @property
    def title(self) -> str:
        """What it is, in a line."""
        facts = self.facts
        if "rule" in facts:
            return self._network_title
        if "machine" in facts:
            return self._machine_title
        size = " x ".join(str(side) for side in facts["size"])
        words = [f"{self.label}: {facts['lattice']} {size}".rstrip() + f", {facts['n_sites']} sites"]
        if "open" in list(facts["boundary"]):
            words.append(f"boundary {', '.join(facts['boundary'])}")
        if facts["couplings"] == "gaussian":
            words.append(f"J gaussian, mean {facts['J_mean']:g}, sigma {facts['J_sigma']:g}")
        elif facts["couplings"] == "pm_j":
            words.append(f"J = +-{facts['J'][0]:g}, share of + {facts['p']:g}")
        elif len(facts["J"]):
            words.append(f"J = {', '.join(f'{J:g}' for J in facts['J'])}")
        else:
            words.append("J from a file")
        if np.isnan(facts["h"]):
            strength = f" of strength {facts['field_strength']:g}" if "field_strength" in facts else ""
            words.append(f"field {facts['field']}{strength}")
        elif facts["h"]:
            words.append(f"mu B = {facts['h']:g}")
        if self.samples:
            words.append(f"average over {self.samples} sample(s) of the disorder")
        return ", ".join(words)

    @property
    def _machine_title(self) -> str:
        facts = self.facts
        words = [f"{self.label}: {facts['machine']} machine of {facts['units']} units, {facts['n_bonds']} couplings"]
        held = int(facts["clamped"])
        return ", ".join(words + ([f"{held} of {facts['n_sites']} units clamped"] if held else []))

    @property
    def _network_title(self) -> str:
        facts = self.facts
        words = [
            f"{self.label}: {facts['units']} units, {facts['patterns']} patterns (alpha = {facts['load']:.4g})",
            f"rule {facts['rule']}",
            f"{facts['update']} updates",
        ]
        cue = [f"{name} {facts[f'cue_{name}']:g}" for name in ("flip", "blank") if facts[f"cue_{name}"]]
        words += cue + ([f"clamp {facts['cue_clamp']}"] if facts["cue_clamp"] != "none" else [])
        if self.samples:
            words.append(f"average over {self.samples} sample(s)")
        return ", ".join(words)


def read_results(path: Path, samples: bool = False) -> list[SystemResults]:
    """The results of all systems of a file; of disordered ones the averages, or with `samples` each sample as well.

    Raises StoreError where the file is missing, locked, damaged or foreign.
    """
    with open_result(path) as file, damage_told(path):
        found = []
        groups = [*file.get("disorder", {}).items(), *file["systems"].items()]
        for label, group in sorted(
            groups, key=lambda item: (int(item[1].attrs["n_sites"]), float(item[1].attrs.get("load", 0)))
        ):
            alone = "family" in group.attrs and int(file[f"disorder/{group.attrs['family']}"].attrs["samples"]) == 1
            if "disorder_sample" in group.attrs and not samples and not alone:
                continue
            if int(group.attrs.get("samples", 0)) == 1 and not samples:
                continue  # of one sample the average tells less than the sample itself
            columns = {
                name: data.asstr()[()] if data.dtype.kind == "O" else data[()]
                for name, data in group["results"].items()
            }
            facts = {name: value for name, value in group.attrs.items() if name != "DIMENSION_LIST"}
            samples_of = int(group.attrs.get("samples", 0))
            swaps = {name: data[()] for name, data in group.get("tempering", {}).items()}
            found.append(SystemResults(label, facts, group["temperature"][()], columns, samples_of, swaps))
        return found


@contextmanager
def damage_told(path: Path) -> Iterator[None]:
    """Turn what HDF5 says of damaged content into a StoreError."""
    try:
        yield
    except (OSError, KeyError, AttributeError, TypeError, ValueError) as error:
        raise StoreError(f"{path} is damaged ({first_line(error)})") from error


def read_word(series: h5py.Group, places: Sequence[int], word: int, per_word: int) -> Series:
    """The time series of one unit of work, from the group `timeseries` of its system.

    places: the number of its temperature in the file, or several of a ladder, one after the other.
    """
    found = Series()
    for name, data in series.items():
        if name != "specific_heat":
            rows = per_word // 2 if name in OF_PAIRS else per_word
            own = slice(word * rows, (word + 1) * rows)
            found[name] = np.concatenate([data[t, own] for t in places])
    return found


def first_line(error: BaseException) -> str:
    """What went wrong, in one line."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text.strip().splitlines()[0] if text.strip() else type(error).__name__


def described(dataset: h5py.Dataset, quantity: Quantity) -> None:
    """Say what a data set holds."""
    dataset.attrs.update(units=quantity.units, long_name=quantity.long_name, definition=quantity.definition)


def lacks(out: Path) -> str:
    """What a partial result file lacks; empty where it is whole.  Raises StoreError where it cannot be read."""
    with open_result(out) as file, damage_told(out):
        return str(file["partial"].attrs["missing"]) if "partial" in file else ""
