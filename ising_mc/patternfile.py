"""Patterns, couplings and thresholds of a network from files.  Every error is one sentence that names file and place.

Kinds of files are those of `arrayfile`, and folders of pictures.  Nothing is repaired: what is wrong is refused.
"""

import re
import warnings
from collections.abc import Callable
from functools import partial
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ising_mc.arrayfile import (
    Array,
    DataFileError,
    beyond,
    check_room,
    check_text,
    damage_told,
    first_true,
    only,
    read_binary,
    read_values,
    said,
    texts_of,
    to_float,
    wrong,
)

if TYPE_CHECKING:
    from PIL import Image

SIGNS = re.compile("[+-]{2,}|[01]{2,}")  # a pattern without separators
SIGNS_AND_BLANKS = re.compile("[+0-]{2,}|[01]{2,}")
MEANING = np.zeros(128, np.int8)  # of the characters in it
MEANING[[ord("+"), ord("1")]], MEANING[ord("-")] = 1, -1
CHECK_BYTES = 4  # of memory that checking a value of a pattern takes
MATRIX_BYTES = 12  # of memory that checking and converting an entry of a matrix takes
PIXEL_BYTES = 24  # of memory that a pixel takes while its picture is read
Patterns = NDArray[np.int8]
Row = Callable[[str, int, int, str], Array]  # of file, line (from 1), row (from 0) and text


def read_patterns(path: Path | str, threshold: float = 0.5, blanks: bool = False) -> tuple[Patterns, tuple[int, ...]]:
    """Read patterns (P, N) of +1 and -1, and the shape of each as a picture, () if it is none.

    path: .npy, .npz with one array, or `file.h5:dataset`, of shape (P, N), (P, height, width) or (N,);  text, one
    pattern a line, with values separated by white space or commas, or characters as in ++-+ or 1011;  a folder of PNG
    pictures, taken by name, where pixels of a grey (0 to 1) above the threshold are +1.
    Values are -1 and +1, or 0 and 1 for these.  blanks: they are -1, 0 and +1 instead, and 0, a blank, is kept.
    Raises DataFileError.
    """
    name, folder = str(path), Path(path).is_dir()
    signs = SIGNS_AND_BLANKS if blanks else SIGNS
    found = _pictures(name, threshold) if folder else _array(name, partial(_pattern, signs))
    if found.ndim == 1:
        found = found[None]
    if found.ndim not in (2, 3):
        raise DataFileError(
            f"{name} must be of shape (patterns, units) or (patterns, height, width), not {found.shape}"
        )
    shape, n = found.shape[1:], prod(found.shape[1:])
    if not len(found):
        raise DataFileError(f"{name} holds no patterns")
    if n < 2:
        raise DataFileError(f"{name}: a pattern must have at least 2 units, not {n}")
    check_room(name, CHECK_BYTES * found.size)

    def where(k: int) -> str:
        return _place(name, *divmod(k, n))

    values = _small(found.reshape(-1, n), where)
    down, zero, up = (bool((values == value).any()) for value in (-1, 0, 1))
    if blanks:
        if zero and not down:
            raise DataFileError(f"{name} holds no -1: here 0 means a blank, and -1 is needed for the down state")
    elif down and zero:
        place = where(int((values == 0).argmax()))
        raise DataFileError(f"{place}: 0 does not go with -1, for the values must be -1 and +1, or 0 and 1")
    elif down + zero + up == 1:
        at = f" with the threshold {threshold:g}" if folder else ""
        raise DataFileError(f"{name}: all values are {said(values[0, 0])}{at}, but patterns need two")
    elif zero:
        values = 2 * values - np.int8(1)
    return values, shape if len(shape) == 2 else ()


def read_couplings(path: Path | str, asymmetric: bool = False) -> NDArray[np.float64]:
    """Read couplings J (N, N) with a zero diagonal; asymmetric: whether J_ij and J_ji may differ.

    path: .npy, .npz with one array, `file.h5:dataset`, or text, one row a line, with values separated by white space or
    commas.
    Raises DataFileError.
    """
    name = str(path)
    found = _array(name, lambda name, line, _, text: _numbers(name, line, text))
    n = len(found) if found.ndim else 0
    if found.shape != (n, n) or n < 2:
        raise DataFileError(f"{name} must be a square matrix of at least 2 units, not of shape {found.shape}")
    check_room(name, MATRIX_BYTES * found.size)
    if (k := first_true(beyond(found))) is not None:
        i, j = divmod(k, n)
        raise DataFileError(f"{name}, entry ({i}, {j}): {wrong('coupling', found[i, j])}")
    if (k := first_true(found.diagonal() != 0)) is not None:
        raise DataFileError(
            f"{name}, unit {k} (counted from 0): its coupling to itself must be 0, not {said(found[k, k])}"
        )
    if not asymmetric and (k := first_true(found != found.T)) is not None:
        i, j = divmod(k, n)
        raise DataFileError(
            f"{name} is not symmetric: entry ({i}, {j}) is {said(found[i, j])}, entry ({j}, {i}) is "
            f"{said(found[j, i])}; the energy may then rise, and network.asymmetric = true allows it"
        )
    return np.ascontiguousarray(found, np.float64)


def read_thresholds(path: Path | str, units: int) -> NDArray[np.float64]:
    """Read thresholds, (units,), as `arrayfile.read_values` does.

    Raises DataFileError.
    """
    return read_values(path, units, "unit")


def _array(name: str, row: Row) -> Array:
    """The one array that a file holds, or the rows of a text."""
    content = read_binary(name)
    found: Any = _rows(name, row) if content is None else only(name, content, "one array")
    if not isinstance(found, np.ndarray):
        raise DataFileError(f"{name} must hold one array, not a sparse matrix")
    return found


def _rows(name: str, row: Row) -> Array:
    check_text(name)
    data, width, count, dtype = bytearray(), 0, 0, np.dtype(np.int8)
    for line, text in texts_of(name):
        values = row(name, line, count, text)
        if count and len(values) != width:
            raise DataFileError(f"{name}, line {line}: it has {len(values)} values, where others have {width}")
        data += values.tobytes()
        width, count, dtype = len(values), count + 1, values.dtype
    return np.frombuffer(data, dtype).reshape(count, width)


def _pattern(signs: re.Pattern[str], name: str, line: int, row: int, text: str) -> Patterns:
    if signs.fullmatch(text):
        return MEANING[np.frombuffer(text.encode(), np.uint8)]
    return _small(_numbers(name, line, text), lambda k: _place(name, row, k))


def _numbers(name: str, line: int, text: str) -> NDArray[np.float64]:
    tokens = text.split("," if "," in text else None)
    try:
        if text.isascii() and "_" not in text:
            return np.array(list(map(float, tokens)))
    except ValueError:
        pass
    return np.array([to_float(name, line, token.strip()) for token in tokens])


def _small(values: Array, where: Callable[[int], str]) -> Patterns:
    """Values as bytes, seen to be -1, 0 or 1."""
    with np.errstate(invalid="ignore", over="ignore"):  # what does not fit is refused below
        kept = values.astype(np.int8, order="C")
    if (k := first_true((kept != values) | (kept < -1) | (kept > 1))) is not None:
        raise DataFileError(f"{where(k)}: the value must be -1, 0 or +1, not {said(values.flat[k])}")
    return kept


def _place(name: str, pattern: int, unit: int) -> str:
    return f"{name}, pattern {pattern}, unit {unit} (counted from 0)"


def _pictures(folder: str, threshold: float) -> Patterns:
    """The pictures of a folder, (P, height, width)."""
    with damage_told(folder, "a folder of pictures"):
        files = sorted((file for file in Path(folder).iterdir() if file.suffix.lower() == ".png"), key=lambda f: f.name)
    if not files:
        raise DataFileError(f"{folder} holds no PNG pictures")
    try:
        from PIL import Image
    except ImportError as error:
        raise DataFileError(
            f"{folder} holds pictures, and to read them needs pip install 'ising-mc[images]'"
        ) from error
    found: list[Patterns] = []
    first = (0, 0)
    for file in files:
        with warnings.catch_warnings(), damage_told(str(file), "a PNG picture"):
            warnings.simplefilter("error")  # of sizes that no network has
            with Image.open(file, formats=["PNG"]) as image:
                if not found:
                    first = image.size
                    check_room(folder, (2 * len(files) + PIXEL_BYTES) * prod(first))
                if image.size != first:
                    sizes = " x ".join(map(str, image.size)), " x ".join(map(str, first))
                    raise DataFileError(f"{file} has {sizes[0]} pixels, but {files[0].name} has {sizes[1]}")
                found.append(np.where(_grey(str(file), image) > threshold, np.int8(1), np.int8(-1)))
    return np.stack(found)


def _grey(name: str, image: "Image.Image") -> NDArray[np.float64]:
    """Pixels from 0, black, to 1, white."""
    if image.mode.startswith("I"):  # 16 bits, which "L" would cut off in some versions
        return np.asarray(image, np.float64) / 65535
    if np.asarray(image.convert("RGBA"))[..., 3].min() < 255:
        raise DataFileError(f"{name} has transparent pixels, and what is behind them is not known")
    return np.asarray(image.convert("L"), np.float64) / 255
