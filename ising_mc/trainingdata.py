"""Examples to train Boltzmann machines on, from files.  Every error is one sentence that names file and place.

Kinds of files are those of `arrayfile`.  Nothing is repaired: what is wrong is refused.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from math import isnan, prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ising_mc.arrayfile import (
    Array,
    DataFileError,
    check_room,
    check_text,
    first_true,
    load_text,
    only,
    read_binary,
    said,
    texts_of,
    to_float,
)
from ising_mc.machine import UNITS

BITS = re.compile("[01]{2,}")  # an example without separators
VALUE_BYTES = 8  # of memory that checking and converting a value takes
Floats32 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Examples for the visible units of a machine.

    values: (D, n_v), states of the units, or their means where they are not sharp.  is_binary: whether all are states.
    shape: (height, width) of examples that are pictures, row by row, () of others.
    """

    values: Floats32
    is_binary: bool
    shape: tuple[int, ...]


def read_data(
    path: Path | str, visible: int | None = None, units: str = "binary", threshold: float | None = None
) -> TrainingData:
    """Read examples, for units that are "binary" {0, 1} or "spin" {-1, +1}.

    path: .npy, .npz with one array, or `file.h5:dataset`, of shape (D, n_v) or (D, height, width);  .csv or other text,
    one example a line, with values separated by commas (other text: or white space), or as in 0110; # comments allowed.
    visible: units that an example must have; any number by default.
    Values are 0 and 1, or probabilities between these that a unit is on; for spin units -1 and +1 will do as well, and
    probabilities p become means 2 p - 1.  With a threshold, values of any range: those above it are on, others off.
    Raises DataFileError; ValueError for units that there are not and a threshold that is no number.
    """
    if units not in UNITS:
        raise ValueError(f"units must be one of {', '.join(UNITS)}, not {units!r}")
    if threshold is not None and isnan(threshold):
        raise ValueError("the threshold must be a number, not nan")
    name = str(path)
    content = read_binary(name)
    found: Any = _text(name) if content is None else only(name, content, "one array")
    if not isinstance(found, np.ndarray):
        raise DataFileError(f"{name} must hold one array, not a sparse matrix")
    if found.ndim not in (2, 3):
        raise DataFileError(
            f"{name} must be of shape (examples, units) or (examples, height, width), not {found.shape}"
        )
    shape, n = found.shape[1:], prod(found.shape[1:])
    if not len(found) or not n:
        raise DataFileError(f"{name} holds no {'examples' if n else 'units'}")
    if visible is not None and n != visible:
        label = "; is one column a label?" if n == visible + 1 else ""
        raise DataFileError(f"{name} has {n} units, but the machine has {visible} visible ones{label}")
    check_room(name, VALUE_BYTES * found.size)

    def where(k: int) -> str:
        row, unit = divmod(k, n)
        if content is None:
            line, _ = next(islice(texts_of(name), row, None))
            return f"{name}, line {line}, column {unit + 1}"
        place = f"unit {unit}" if len(shape) == 1 else f"pixel {divmod(unit, shape[1])}"
        return f"{name}, example {row}, {place} (counted from 0)"

    if (k := first_true(~np.isfinite(found))) is not None:
        raise DataFileError(f"{where(k)}: the value must be a finite number, not {said(found.flat[k])}")
    values = _means(found, units, where) if threshold is None else _states(name, found, units, float(threshold))
    low = 0 if units == "binary" else -1
    is_binary = bool(((values == low) | (values == 1)).all())
    return TrainingData(values.reshape(-1, n), is_binary, shape if len(shape) == 2 else ())


def split_held_out(n: int, share: float, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Random rows to train on and rows to hold out, of n, each in rising order.

    share: of the rows, to be held out, from 0 to below 1; their number is rounded to the nearest, halves upwards.
    Raises ValueError for another share, and where no row would be left to train on.
    """
    if not 0 <= share < 1:
        raise ValueError(f"the share that is held out must be at least 0 and below 1, not {share:g}")
    held_out = int(share * n + 0.5)
    if held_out >= n:
        raise ValueError(f"with a share of {share:g} held out, none of {n} examples would be left to train on")
    rows = rng.permutation(n)
    return np.sort(rows[held_out:]), np.sort(rows[:held_out])


def _means(found: Array, units: str, where: Callable[[int], str]) -> Floats32:
    """Means of units, of values that are states or probabilities."""
    least, most = found.min(), found.max()
    if units == "binary":
        bad, wanted = (found < 0) | (found > 1), "from 0 to 1 for binary units"
    elif least < 0:
        bad, wanted = abs(found) != 1, "-1 or +1, since there are some below 0"
    else:
        bad, wanted = found > 1, "-1 or +1, or from 0 to 1"
    if (k := first_true(bad)) is not None:
        raise DataFileError(
            f"{where(k)}: the value must be {wanted}, not {said(found.flat[k])}; the data go from {said(least)} to "
            f"{said(most)}: scale them to [0, 1], or give train.threshold"
        )
    return _mapped(found, units if least >= 0 else "binary")  # signs stay as they are


def _states(name: str, found: Array, units: str, threshold: float) -> Floats32:
    """States of units, of values that are above a threshold or not."""
    with np.errstate(over="ignore"):  # a threshold beyond what a short type holds is infinite
        on = found > threshold
    if on.all() or not on.any():
        which = "all values are" if on.any() else "no value is"
        raise DataFileError(
            f"{name}: {which} above the threshold {threshold:g}, for the data go from {said(found.min())} to "
            f"{said(found.max())}"
        )
    return _mapped(on, units)


def _mapped(found: Array, units: str) -> Floats32:
    """Means of units from probabilities."""
    values = found.astype(np.float32, order="C")
    if units == "spin":
        values *= 2
        values -= 1
    return values


def _text(name: str) -> Array:
    """Rows of a text, (D, n_v)."""
    comma = check_text(name)
    for separator in (",",) if comma else (None, ","):
        values = load_text(name, np.float64, separator, 0, 2)
        if values is not None and values.shape[1] > 1:  # in one column, 0110 is an example and not a number
            return values
    rows: list[Array] = []
    for line, text in texts_of(name):
        row = _row(name, line, text, "," if "," in text else comma, not rows)
        if rows and len(row) != len(rows[0]):
            raise DataFileError(f"{name}, line {line}: it has {len(row)} values, where others have {len(rows[0])}")
        rows.append(row)
    return np.stack(rows) if rows else np.zeros((0, 1))


def _row(name: str, line: int, text: str, separator: str | None, first: bool) -> Array:
    if BITS.fullmatch(text):
        return np.frombuffer(text.encode(), np.uint8) - np.uint8(ord("0"))
    values: list[float] = []
    for k, token in enumerate(map(str.strip, text.split(separator)), 1):
        try:
            values.append(to_float(name, line, token))
        except DataFileError as error:
            shown = repr(token if len(token) <= 40 else f"{token[:40]}...")
            raise DataFileError(
                f"{name}, line {line} is not numbers (column {k} is {shown}); put a # before headings"
                if first
                else f"{name}, line {line}, column {k}: {shown} is not a number; words go behind a #"
            ) from error
    return np.array(values)
