"""Arrays of numbers from files: text, NumPy, SciPy and HDF5.  Every error is one sentence that names file and place."""

import os
import re
import stat
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

LARGEST = np.float64(1e9)  # of couplings and fields: total energies then stay within 64 bits
MEMORY_SHARE = 0.5  # of the available memory, the most that reading may take
TEXT_BYTES = 5  # of memory that reading a byte of text takes
COMPRESSED = (".gz", ".bz2", ".xz")
NAMES_SHOWN = 20
INSIDE_NPZ = re.compile(r"(.+\.npz):(.+)", re.DOTALL | re.IGNORECASE)
INSIDE_HDF5 = re.compile(r"(.+\.(?:h5|hdf5))(?::(.*))?", re.DOTALL | re.IGNORECASE)
Array = NDArray[Any]


class DataFileError(ValueError):
    """A file that cannot be used; the message is one sentence."""


@dataclass(frozen=True, eq=False)
class Group:
    """Arrays by name, and the single texts and numbers (tags) beside them.

    place: where they stand, `file.npz` or `file.h5:group`.  held: names of all arrays there, for sentences.
    """

    place: str
    arrays: dict[str, Array]
    tags: dict[str, Any]
    held: str


def read_values(path: Path | str, count: int, item: str) -> NDArray[np.float64]:
    """Read one value an item ("site"), (count,).

    path: text, values separated by white space or line ends (.csv: by commas), # comments allowed;  .npy;  .npz with
    one array;  `file.h5:dataset`.
    Raises DataFileError.
    """
    name = str(path)
    content = read_binary(name)
    values = _values_of_text(name) if content is None else only(name, content, "one array")
    if not isinstance(values, np.ndarray):
        raise DataFileError(f"{name} must hold one array of {count} values, not a sparse matrix")
    if sum(length != 1 for length in values.shape) > 1:
        raise DataFileError(
            f"{name} must hold one value a {item}, in one dimension and in the order of the {item}s, "
            f"not an array of shape {values.shape}"
        )
    values = values.reshape(-1)
    if len(values) != count:
        raise DataFileError(f"{name} holds {len(values)} values, but there are {count} {item}s")
    if (k := first_true(beyond(values))) is not None:
        raise DataFileError(f"{name}, entry {k} (counted from 0): {wrong('value', values[k])}")
    return np.ascontiguousarray(values, np.float64)


def read_binary(name: str) -> dict[str, Any] | None:
    """What a file that is not text holds, by name: arrays, or a sparse matrix."""
    inside = INSIDE_HDF5.fullmatch(name)
    if inside:
        return {"": _hdf5(name, inside[1], inside[2])}
    if inside := INSIDE_NPZ.fullmatch(name):
        _size(inside[1])
        content = _npz(inside[1])
        if inside[2] not in content:
            raise DataFileError(f"{inside[1]} has no array '{inside[2]}'; it holds {_listed(list(content))}")
        return {"": content[inside[2]]}
    size = _size(name)
    ending = Path(name).suffix.lower()
    if ending in COMPRESSED:
        raise DataFileError(f"{name} is compressed: unpack it first")
    if ending == ".npz":
        return _npz(name)
    if ending != ".npy":
        return None
    check_room(name, size)
    with damage_told(name, "a .npy file"), open(name, "rb") as file:
        return {"": _real(name, np.lib.format.read_array(file, allow_pickle=False))}


def _npz(name: str) -> dict[str, Any]:
    with damage_told(name, "an .npz file"):
        with zipfile.ZipFile(name) as archive:
            check_room(name, sum(member.file_size for member in archive.infolist()))
        with np.load(name, allow_pickle=False) as file:
            if {"format", "shape", "data"} <= set(file.files):
                from scipy import sparse

                return {"": _real(name, sparse.load_npz(name))}
            return {key: _real(f"{name}, array {key}", file[key]) for key in file.files}


def _hdf5(name: str, path: str, dataset: str | None) -> Array:
    _size(path)
    import h5py

    with damage_told(path, "HDF5"), h5py.File(path, "r") as file:
        found = file.get(dataset) if dataset else None
        if not isinstance(found, h5py.Dataset):
            asked = f"has no data set '{dataset}'" if dataset else f"needs the name of a data set, {path}:NAME"
            raise DataFileError(f"{path} {asked}; it holds {_datasets(file)}")
        if found.shape is None:
            raise DataFileError(f"{name} is an empty data set")
        _real(name, found)
        check_room(name, found.size * found.dtype.itemsize)
        return np.asarray(found[()])


def _datasets(group: Any) -> str:
    """Names of the data sets in an HDF5 group, for sentences."""
    names: list[str] = []
    group.visititems(lambda key, item: names.append(key) if hasattr(item, "shape") else None)
    return _listed(names)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMES_SHOWN} more" if names[NAMES_SHOWN:] else ""
    return ", ".join(names[:NAMES_SHOWN]) + more or "none"


def read_group(name: str, usual: str, wanted: re.Pattern[str], tags: Sequence[str]) -> Group:
    """Read arrays of wanted names, and tags, from `file.npz` or from a group of an HDF5 file, `file.h5:group`.

    Where no group is named it is the usual one, if that holds any wanted array, and else the root.
    Raises DataFileError.
    """
    inside = INSIDE_HDF5.fullmatch(name)
    if inside:
        return _hdf5_group(inside[1], inside[2], usual, wanted, tags)
    if Path(name).suffix.lower() != ".npz":
        raise DataFileError(f"{name} must be an .npz file or an HDF5 file (.h5 or .hdf5)")
    _size(name)
    with damage_told(name, "an .npz file"):
        with zipfile.ZipFile(name) as archive:
            members = [(member.filename.removesuffix(".npy"), member.file_size) for member in archive.infolist()]
        check_room(name, sum(size for key, size in members if wanted.fullmatch(key) or key in tags))
        with np.load(name, allow_pickle=False) as file:
            group = Group(name, {}, {}, _listed(file.files))
            for key in file.files:
                with damage_told(f"{name}, array {key}", "plain numbers"):
                    if wanted.fullmatch(key):
                        group.arrays[key] = _real(f"{name}, array {key}", file[key])
                    elif key in tags and np.size(value := file[key]) == 1:
                        group.tags[key] = _item(value)
            return group


def _hdf5_group(path: str, name: str | None, usual: str, wanted: re.Pattern[str], tags: Sequence[str]) -> Group:
    _size(path)
    import h5py

    with damage_told(path, "HDF5"), h5py.File(path, "r") as file:
        found = file.get(name or usual)
        if not isinstance(found, h5py.Group):
            if name:
                raise DataFileError(f"{path} has no group '{name}'; it holds {_datasets(file)}")
            found = file
        elif not name and not any(map(wanted.fullmatch, found)):
            found = file
        place = f"{path}:{found.name.strip('/')}".removesuffix(":")
        group = Group(place, {}, {}, _datasets(found))
        items = {key: item for key in found if isinstance(item := found.get(key), h5py.Dataset)}
        chosen = {key: _real(f"{place}, array {key}", item) for key, item in items.items() if wanted.fullmatch(key)}
        check_room(place, sum((item.size or 0) * item.dtype.itemsize for item in chosen.values()))
        for key, item in chosen.items():
            if item.shape is None:
                raise DataFileError(f"{place}, array {key} is empty")
            group.arrays[key] = np.asarray(item[()])
        for key in tags:
            if key in found.attrs:
                group.tags[key] = _item(found.attrs[key])
            elif key in items and items[key].shape == ():  # one of more dimensions may be a scale
                group.tags[key] = _item(items[key][()])
        return group


def _item(value: Any) -> Any:
    """The one text or number that an array of any library holds, or a list of several."""
    array = np.asarray(value)
    item = array.item() if array.size == 1 else array.tolist()
    return item.decode(errors="replace") if isinstance(item, bytes) else item


def only(name: str, content: dict[str, Any], wanted: str) -> Any:
    """The one thing that a file holds."""
    if len(content) != 1:
        raise DataFileError(f"{name} must hold {wanted}; it holds {', '.join(content) or 'nothing'}")
    return next(iter(content.values()))


def _real(name: str, array: Any) -> Any:
    """An array (of any library), seen to hold real numbers."""
    dtype = getattr(array, "dtype", np.dtype("V"))
    if dtype.kind not in "biuf":
        raise DataFileError(f"{name} holds values of type {dtype}, but real numbers are needed")
    return array


def _size(name: str) -> int:
    """Bytes on disk of a plain file that can be opened."""
    try:
        status = os.stat(name)
        if not stat.S_ISREG(status.st_mode):
            kind = "a directory" if stat.S_ISDIR(status.st_mode) else "not a plain file"
            raise DataFileError(f"cannot read {name}: it is {kind}")
        with open(name, "rb"):
            return status.st_size
    except DataFileError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a name with a null character
        raise DataFileError(f"cannot read {name}: {getattr(error, 'strerror', None) or error}") from error


def check_room(name: str, octets: float) -> None:
    """Refuse what would not fit into memory."""
    available = available_memory()
    if octets > MEMORY_SHARE * available:
        raise DataFileError(
            f"{name} is too large: reading it would take {octets / 1e9:.3g} GB of memory, "
            f"more than half of the {available / 1e9:.3g} GB that are available"
        )


def available_memory() -> int:
    """Bytes that programs can still have (caches of files count as free), or all memory where no more is known."""
    try:
        found = re.search(r"MemAvailable:\s*(\d+) kB", Path("/proc/meminfo").read_text())
    except OSError:
        found = None
    return int(found[1]) * 1024 if found else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@contextmanager
def damage_told(name: str, kind: str) -> Iterator[None]:
    """Turn whatever a library says of a damaged file into a DataFileError."""
    try:
        yield
    except DataFileError:
        raise
    except Exception as error:
        text = (str(error).strip() or type(error).__name__).splitlines()[0]
        if "Object arrays" in text:
            text = "it holds Python objects, not plain numbers"
        raise DataFileError(f"{name} cannot be read as {kind} ({text})") from error


def check_text(name: str) -> str | None:
    """See that a file is UTF-8 text of moderate size; the separator of its columns, None for white space."""
    check_room(name, TEXT_BYTES * _size(name))
    with open(name, "rb") as file:
        plain = all(piece.isascii() for piece in iter(lambda: file.read(1 << 20), b""))
    if not plain:
        data = Path(name).read_bytes()
        try:
            data.decode()
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise DataFileError(f"{name}, line {line}: this is not UTF-8 text") from error
    return "," if Path(name).suffix.lower() == ".csv" else None


def lines_of(name: str, comma: str | None) -> Iterator[tuple[int, list[str]]]:
    """Number, from 1, and entries of each line that holds any."""
    for number, text in texts_of(name):
        yield number, [token.strip() for token in text.split(comma)]


def texts_of(name: str) -> Iterator[tuple[int, str]]:
    """Number, from 1, and text of each line that holds any but comments."""
    with open(name, encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            text = line.partition("#")[0].strip()
            if text:
                yield number, text


def load_text(name: str, dtype: Any, comma: str | None, skip: int, dimensions: Literal[1, 2]) -> Array | None:
    """What NumPy reads from a text; None where it finds anything odd."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # older versions cut 1.5 to a whole number, and warn
            full = os.path.abspath(name)  # a name is read faster than an open file
            return np.loadtxt(full, dtype, delimiter=comma, skiprows=skip, ndmin=dimensions, encoding="utf-8-sig")
    except (ValueError, Warning):
        return None


def _values_of_text(name: str) -> Array:
    comma = check_text(name)
    values = load_text(name, np.float64, comma, 0, 2)
    if values is not None:
        return values.reshape(-1)
    return np.array([to_float(name, number, token) for number, tokens in lines_of(name, comma) for token in tokens])


def to_float(name: str, number: int, token: str) -> float:
    """The number that stands in a line."""
    try:
        if token.isascii() and "_" not in token:  # which Python would take, but no other reader
            return float(token)
    except ValueError:
        pass
    shown = token if len(token) <= 40 else f"{token[:40]}..."
    raise DataFileError(f"{name}, line {number}: {shown!r} is not a number; words go behind a #")


def beyond(values: Array) -> NDArray[np.bool_]:
    """Which values are no numbers within the limits."""
    return ~((values >= -LARGEST) & (values <= LARGEST))


def wrong(what: str, value: Any) -> str:
    """What to say of a value beyond the limits."""
    return f"the {what} must be a finite number within +-{LARGEST:g}, not {said(value)}"


def first_true(bad: NDArray[np.bool_]) -> int | None:
    """Place of the first True, counted through all rows."""
    return int(bad.argmax()) if bad.any() else None


def said(value: Any) -> str:
    """A number as sentences show it."""
    return repr(float(value)).removesuffix(".0")
