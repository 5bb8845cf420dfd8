"""Training data: every kind of file and of values, and every fault with its file and its place."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scipy import sparse

from ising_mc import arrayfile
from ising_mc.arrayfile import DataFileError
from ising_mc.trainingdata import read_data, split_held_out

Writer = Callable[[Path], str]
BITS = np.array([[0, 1, 1, 0, 1, 0], [1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1]])
GREYS = np.array([[0, 0.25, 1], [0.5, 1, 0.875]])
BYTES = np.array([[0, 16], [255, 128]], np.uint8)


def text(content: str | bytes, name: str = "d.txt") -> Writer:
    def write(folder: Path) -> str:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(folder / name)

    return write


def lines(values: Any, separator: str = " ") -> str:
    return "".join(separator.join(map(str, row)) + "\n" for row in np.asarray(values).tolist())


def npy(values: Any) -> Writer:
    def write(folder: Path) -> str:
        np.save(folder / "d.npy", np.asarray(values))
        return str(folder / "d.npy")

    return write


def npz(**arrays: Any) -> Writer:
    def write(folder: Path) -> str:
        np.savez(folder / "d.npz", **arrays)
        return str(folder / "d.npz")

    return write


def h5(values: Any) -> Writer:
    def write(folder: Path) -> str:
        with h5py.File(folder / "d.h5", "w") as file:
            file["a/x"] = values
        return f"{folder / 'd.h5'}:a/x"

    return write


def sparse_npz(folder: Path) -> str:
    sparse.save_npz(folder / "d.npz", sparse.coo_array(BITS))
    return str(folder / "d.npz")


def refused(write: Writer, sentence: str, folder: Path, *arguments: Any) -> None:
    path = write(folder)
    with pytest.raises(DataFileError) as caught:
        read_data(path, *arguments)
    assert str(caught.value) == sentence.replace("PATH", path).replace("FILE", path.partition(":")[0])


# ---- what is read ------------------------------------------------------------------------------------------------

FORMS: dict[str, Callable[[Any], Writer]] = {
    "npy": npy,
    "Fortran": lambda x: npy(np.asfortranarray(x, np.float64)),
    "npz": lambda x: npz(x=x),
    "h5": h5,
    "text": lambda x: text(lines(x, "\t")),
    "csv": lambda x: text(lines(x, ", "), "d.CSV"),
    "commas in text": lambda x: text(lines(x, ",")),
    "comments": lambda x: text("\ufeff# x, y\n\n" + lines(x).replace("\n", " # c\r\n"), "d"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("values", [BITS, GREYS, BITS[:1], GREYS[:, :1] + 0.125])
def test_values_come_back(form: str, values: Any, tmp_path: Path) -> None:
    path = Path(FORMS[form](values)(tmp_path))
    data = read_data(path, values.shape[1])
    assert data.values.dtype == np.float32
    assert data.values.flags.c_contiguous
    assert np.array_equal(data.values, values)
    assert data.is_binary == (values.dtype == int)
    assert data.shape == ()
    as_spins = read_data(path, units="spin")
    assert as_spins.values.dtype == np.float32
    assert np.array_equal(as_spins.values, 2 * values - 1)
    assert as_spins.is_binary == data.is_binary


@pytest.mark.parametrize(
    "write",
    [
        text(lines(BITS, "")),
        text(lines(BITS, ""), "d.csv"),
        text("# c\n" + lines(BITS, "").replace("\n", " # c\n\n")),
        text(lines(BITS[:2]) + "000001\n"),
        npy(BITS > 0),
        npy(BITS.astype(np.float16)),
        h5(BITS.astype(">u8")),
    ],
)
def test_bits_in_other_forms(write: Writer, tmp_path: Path) -> None:
    data = read_data(write(tmp_path), 6)
    assert data.is_binary
    assert data.values.tolist() == BITS.tolist()


def test_long_examples_without_separators(tmp_path: Path) -> None:
    bits = np.random.default_rng(1).integers(0, 2, (3, 784))
    assert np.array_equal(read_data(text(lines(bits, ""))(tmp_path)).values, bits)


@pytest.mark.parametrize("form", ["npy", "npz", "Fortran", "h5"])
def test_pictures(form: str, tmp_path: Path) -> None:
    data = read_data(FORMS[form](BITS.reshape(3, 2, 3))(tmp_path), 6)
    assert data.values.tolist() == BITS.tolist()
    assert data.shape == (2, 3)


@pytest.mark.parametrize("values", [2 * BITS - 1, [[-1, -1]], [[1, 1], [1, -1]]])
@pytest.mark.parametrize("form", ["npy", "text"])
def test_signs(form: str, values: Any, tmp_path: Path) -> None:
    data = read_data(FORMS[form](np.asarray(values, np.int8))(tmp_path), units="spin")
    assert data.is_binary
    assert np.array_equal(data.values, values)


@pytest.mark.parametrize("units", ["binary", "spin"])
@pytest.mark.parametrize(
    ("write", "threshold", "on"),
    [
        (npy(BYTES), 127, [[0, 0], [1, 1]]),
        (npy(BYTES), 128.0, [[0, 0], [1, 0]]),
        (npy(BYTES.astype(np.int64) - 100), -100, [[0, 1], [1, 1]]),
        (npy(BYTES.astype(np.float16)), 16, [[0, 0], [1, 1]]),
        (npy([[-1e300, 3]]), 0, [[0, 1]]),
        (npy(np.array([[0.1, 0.2]], np.float32)), 0.1, [[0, 1]]),
        (text("0.1,0.2\n0.1,0\n", "d.csv"), 0.1, [[0, 1], [0, 0]]),
        (npy([[False, True]]), 0.5, [[0, 1]]),
        (npy([[-1, 1]]), 0, [[0, 1]]),
    ],
)
def test_threshold(write: Writer, threshold: float, on: Any, units: str, tmp_path: Path) -> None:
    data = read_data(write(tmp_path), 2, units, threshold)
    assert data.is_binary
    assert data.values.dtype == np.float32
    assert data.values.tolist() == (on if units == "binary" else (2 * np.array(on) - 1).tolist())


# ---- what is refused ---------------------------------------------------------------------------------------------

SCALE = "; the data go from {} to {}: scale them to [0, 1], or give train.threshold"
SHAPE = "PATH must be of shape (examples, units) or (examples, height, width), not {}"
AT = "PATH, example {}, unit {} (counted from 0): "
FINITE = "the value must be a finite number, not"
SIGNS = "the value must be -1 or +1, since there are some below 0, not"
BINARY = "the value must be from 0 to 1 for binary units, not"
BAD: list[tuple[Writer, str]] = [
    # values
    (npy(BYTES), AT.format(0, 1) + f"{BINARY} 16" + SCALE.format(0, 255)),
    (npy(BYTES // 16), AT.format(1, 0) + f"{BINARY} 15" + SCALE.format(0, 15)),
    (
        h5([[[0, 1, 1], [0, -1, 1]]]),
        AT.format(0, 0).replace("unit 0", "pixel (1, 1)") + f"{BINARY} -1" + SCALE.format(-1, 1),
    ),
    (text("# c\n0 1\n\n0.5 1.5\n"), f"PATH, line 4, column 2: {BINARY} 1.5" + SCALE.format(0, 1.5)),
    (text("01\n11\n2,0"), f"PATH, line 3, column 1: {BINARY} 2" + SCALE.format(0, 2)),
    (npy([[0, 1], [np.nan, 1]]), AT.format(1, 0) + f"{FINITE} nan"),
    (npy(np.array([[0, -np.inf]], np.float16)), AT.format(0, 1) + f"{FINITE} -inf"),
    (text("0,1\n0,NaN\n", "d.csv"), f"PATH, line 2, column 2: {FINITE} nan"),
    # texts
    (
        text("label,x1,x2\n1,0,1\n", "d.csv"),
        "PATH, line 1 is not numbers (column 1 is 'label'); put a # before headings",
    ),
    (text("\n1 0 x\n"), "PATH, line 2 is not numbers (column 3 is 'x'); put a # before headings"),
    (text("1,0\n1,x\n", "d.csv"), "PATH, line 2, column 2: 'x' is not a number; words go behind a #"),
    (text("1,0\n1,\n", "d.csv"), "PATH, line 2, column 2: '' is not a number; words go behind a #"),
    (text("1 0\n1_0 1\n"), "PATH, line 2, column 1: '1_0' is not a number; words go behind a #"),
    (text("1 0\n# c\n1 0 1\n"), "PATH, line 3: it has 3 values, where others have 2"),
    (text("1,0\n1\n", "d.csv"), "PATH, line 2: it has 1 values, where others have 2"),
    (text("10\n101\n"), "PATH, line 2: it has 3 values, where others have 2"),
    (text(b"1 0\n\xff\n"), "PATH, line 2: this is not UTF-8 text"),
    (text(""), "PATH holds no examples"),
    (text("# nothing\n", "d.csv"), "PATH holds no examples"),
    # shapes
    (npy(np.zeros((0, 3))), "PATH holds no examples"),
    (npy(np.zeros((3, 0))), "PATH holds no units"),
    (npy(BITS[0]), SHAPE.format("(6,)")),
    (npy(1), SHAPE.format("()")),
    (npy(BITS[..., None, None]), SHAPE.format("(3, 6, 1, 1)")),
    # files
    (lambda folder: str(folder / "d.npy"), "cannot read PATH: No such file or directory"),
    (lambda folder: str(folder), "cannot read PATH: it is a directory"),
    (lambda folder: h5(BITS)(folder).replace("a/x", "b"), "FILE has no data set 'b'; it holds a/x"),
    (text("", "d.csv.gz"), "PATH is compressed: unpack it first"),
    (npz(x=BITS, y=BITS), "PATH must hold one array; it holds x, y"),
    (sparse_npz, "PATH must hold one array, not a sparse matrix"),
    (npy([[1j]]), "PATH holds values of type complex128, but real numbers are needed"),
    (npy([["a"]]), "PATH holds values of type <U1, but real numbers are needed"),
    (npy([[None]]), "PATH cannot be read as a .npy file (it holds Python objects, not plain numbers)"),
]


@pytest.mark.parametrize("case", range(len(BAD)))
def test_bad_data(case: int, tmp_path: Path) -> None:
    refused(*BAD[case], tmp_path)


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        (npy(BYTES), "the value must be -1 or +1, or from 0 to 1, not 16" + SCALE.format(0, 255)),
        (npy([[1, 0], [-1, 1]]), f"{SIGNS} 0" + SCALE.format(-1, 1)),
        (npy([[-1, -0.5]]), f"{SIGNS} -0.5" + SCALE.format(-1, -0.5)),
        (npy(np.array([[-1, -128]], np.int8)), f"{SIGNS} -128" + SCALE.format(-128, -1)),
    ],
)
def test_bad_spins(write: Writer, sentence: str, tmp_path: Path) -> None:
    refused(write, AT.format(0, 1) + sentence, tmp_path, None, "spin")


@pytest.mark.parametrize(
    ("values", "threshold", "sentence"),
    [
        (BYTES, 255, "PATH: no value is above the threshold 255, for the data go from 0 to 255"),
        (BYTES, -1, "PATH: all values are above the threshold -1, for the data go from 0 to 255"),
        (BYTES.astype(np.float16), 1e9, "PATH: no value is above the threshold 1e+09, for the data go from 0 to 255"),
        ([[np.nan, 1]], 0.5, AT.format(0, 0) + f"{FINITE} nan"),
    ],
)
def test_bad_threshold(values: Any, threshold: float, sentence: str, tmp_path: Path) -> None:
    refused(npy(values), sentence, tmp_path, None, "binary", threshold)


@pytest.mark.parametrize(("n", "more"), [(784, ""), (5, "; is one column a label?"), (7, "")])
@pytest.mark.parametrize("write", [npy(BITS), npy(BITS.reshape(3, 2, 3)), text(lines(BITS, ""))])
def test_visible_units_must_agree(write: Writer, n: int, more: str, tmp_path: Path) -> None:
    refused(write, f"PATH has 6 units, but the machine has {n} visible ones{more}", tmp_path, n)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"units": "potts"}, "units must be one of binary, spin, not 'potts'"),
        ({"threshold": float("nan")}, "the threshold must be a number, not nan"),
    ],
)
def test_bad_arguments(more: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=sentence):
        read_data(npy(BITS)(tmp_path), **more)


@pytest.mark.parametrize("form", FORMS)
def test_too_large_for_memory(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = FORMS[form](BITS)(tmp_path)
    for octets in (10, 2 * 8 * BITS.size - 1):
        monkeypatch.setattr(arrayfile, "available_memory", lambda octets=octets: octets)
        with pytest.raises(DataFileError, match=r"is too large: reading it would take .* GB of memory"):
            read_data(path)
    monkeypatch.setattr(arrayfile, "available_memory", lambda: 10**4)
    read_data(path)


# ---- rows that are held out --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "share", "held"),
    [(10, 0, 0), (10, 0.2, 2), (10, 0.25, 3), (10, 0.24, 2), (3, 0.1, 0), (2, 0.5, 1), (1, 0.49, 0)],
)
def test_held_out_rows(n: int, share: float, held: int) -> None:
    train, out = split_held_out(n, share, np.random.default_rng(3))
    assert len(out) == held
    assert np.array_equal(np.sort(np.concatenate([train, out])), np.arange(n))
    for rows in (train, out):
        assert rows.dtype == np.int64
        assert np.array_equal(rows, np.sort(rows))
    again = split_held_out(n, share, np.random.default_rng(3))
    assert np.array_equal(train, again[0])


def test_every_row_is_held_out_equally_often() -> None:
    rng, counts, draws = np.random.default_rng(7), np.zeros(10), 4000
    for _ in range(draws):
        counts[split_held_out(10, 0.3, rng)[1]] += 1
    assert np.all(abs(counts - 0.3 * draws) < 5 * np.sqrt(0.21 * draws))


@pytest.mark.parametrize(
    ("n", "share", "sentence"),
    [
        (10, 1, "must be at least 0 and below 1, not 1$"),
        (10, -0.1, "must be at least 0 and below 1, not -0.1$"),
        (10, float("nan"), "must be at least 0 and below 1, not nan$"),
        (10, 0.96, "with a share of 0.96 held out, none of 10 examples would be left"),
        (1, 0.5, "none of 1 examples would be left"),
        (0, 0, "none of 0 examples would be left"),
    ],
)
def test_bad_shares(n: int, share: float, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        split_held_out(n, share, np.random.default_rng(0))


def test_one_array_of_several_in_an_npz_file(tmp_path: Path) -> None:
    X = (np.random.default_rng(1).random((5, 4)) < 0.5).astype(float)
    np.savez(tmp_path / "both.npz", data=X, labels=np.arange(5))
    assert np.array_equal(read_data(tmp_path / "both.npz:data").values, X)
    with pytest.raises(DataFileError, match="has no array 'images'; it holds data, labels"):
        read_data(tmp_path / "both.npz:images")
    with pytest.raises(DataFileError, match="must hold one array; it holds data, labels"):
        read_data(tmp_path / "both.npz")
