"""Patterns, couplings and thresholds of a network: every kind of file, and every fault with its file and its place."""

import builtins
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scipy import sparse

from ising_mc import arrayfile
from ising_mc.arrayfile import DataFileError
from ising_mc.patternfile import read_couplings, read_patterns, read_thresholds

Writer = Callable[[Path], str]
PATTERNS = np.array([[1, -1, -1, 1, -1, 1], [1, 1, -1, -1, -1, -1]], np.int8)
BITS = (PATTERNS + 1) // 2
BLANKED = np.array([[1, 0, -1], [0, 0, 1]], np.int8)
J = np.array([[0, 0.5, -2], [0.5, 0, 1e9], [-2, 1e9, 0]])
SIGNS = {1: "+", -1: "-", 0: "0"}


def text(content: str | bytes, name: str = "p.txt") -> Writer:
    def write(folder: Path) -> str:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(folder / name)

    return write


def lines(values: Any, separator: str = " ", form: str = "") -> str:
    return "".join(separator.join(format(value, form) for value in row) + "\n" for row in np.asarray(values).tolist())


def signs(values: Any) -> str:
    return "".join("".join(SIGNS[value] for value in row) + "\n" for row in np.asarray(values).tolist())


def npy(values: Any) -> Writer:
    def write(folder: Path) -> str:
        np.save(folder / "p.npy", np.asarray(values))
        return str(folder / "p.npy")

    return write


def npz(**arrays: Any) -> Writer:
    def write(folder: Path) -> str:
        np.savez(folder / "p.npz", **arrays)
        return str(folder / "p.npz")

    return write


def h5(values: Any) -> Writer:
    def write(folder: Path) -> str:
        with h5py.File(folder / "p.h5", "w") as file:
            file["a/xi"] = values
        return f"{folder / 'p.h5'}:a/xi"

    return write


def sparse_npz(folder: Path) -> str:
    sparse.save_npz(folder / "p.npz", sparse.coo_array(J))
    return str(folder / "p.npz")


def pictures(**files: Any) -> Writer:
    """A folder of PNG pictures, of arrays as Pillow takes them."""

    def write(folder: Path) -> str:
        image = pytest.importorskip("PIL.Image")
        (folder / "faces").mkdir()
        for name, pixels in files.items():
            image.fromarray(np.asarray(pixels)).save(folder / "faces" / f"{name}.png")
        return str(folder / "faces")

    return write


def grey(values: Any) -> Any:
    return np.where(np.asarray(values) > 0, 255, 0).astype(np.uint8)


def refused(read: Callable[[str], Any], write: Writer, sentence: str, folder: Path) -> None:
    """See that reading is refused with a sentence, where PATH stands for the path."""
    path = write(folder)
    with pytest.raises(DataFileError) as caught:
        read(path)
    assert str(caught.value) == sentence.replace("PATH", path).replace("FILE", path.partition(":")[0])


# ---- patterns ----------------------------------------------------------------------------------------------------

FORMS: dict[str, Callable[[Any], Writer]] = {
    "signs": lambda xi: text(lines(xi)),
    "csv": lambda xi: text(lines(xi, ","), "p.csv"),
    "commas in text": lambda xi: text(lines(xi, " , ", "+d")),
    "decimals": lambda xi: text(lines(xi, "\t", ".18e")),
    "characters": lambda xi: text("# a, pattern -1\n\n" + signs(xi).replace("\n", " # c\r\n"), "p.dat"),
    "npy": npy,
    "floats": lambda xi: npy(np.asfortranarray(xi, np.float64)),
    "npz": lambda xi: npz(xi=xi),
    "h5": h5,
}
BINARY: dict[str, Callable[[Any], Writer]] = {
    "0 and 1": lambda xi: text(lines((xi + 1) // 2)),
    "0 and 1 without separators": lambda xi: text(lines((xi + 1) // 2, "")),
    "bool": lambda xi: npy(xi > 0),
    "unsigned": lambda xi: h5(((xi + 1) // 2).astype(np.uint64)),
    "half": lambda xi: npy(((xi + 1) // 2).astype(np.float16)),
    "pictures": lambda xi: pictures(**{f"p{k:03}": row.reshape(2, -1) for k, row in enumerate(grey(xi))}),
}


@pytest.mark.parametrize("form", [*FORMS, *BINARY])
def test_random_patterns_come_back(form: str, tmp_path: Path) -> None:
    xi = np.random.default_rng(len(form)).choice(np.array([-1, 1], np.int8), (11, 26))
    values, shape = read_patterns(Path((FORMS | BINARY)[form](xi)(tmp_path)))
    assert values.dtype == np.int8
    assert values.flags.c_contiguous
    assert np.array_equal(values, xi)
    assert shape == ((2, 13) if form == "pictures" else ())


@pytest.mark.parametrize("form", FORMS)
def test_random_blanks_come_back(form: str, tmp_path: Path) -> None:
    xi = np.random.default_rng(len(form)).integers(-1, 2, (7, 30)).astype(np.int8)
    values, _ = read_patterns(FORMS[form](xi)(tmp_path), blanks=True)
    assert values.dtype == np.int8
    assert np.array_equal(values, xi)


@pytest.mark.parametrize("write", [npy, h5])
def test_arrays_may_be_pictures(write: Callable[[Any], Writer], tmp_path: Path) -> None:
    values, shape = read_patterns(write(BITS.reshape(2, 2, 3))(tmp_path))
    assert np.array_equal(values, PATTERNS)
    assert shape == (2, 3)


@pytest.mark.parametrize("write", [npy(PATTERNS[0]), npz(xi=BITS[0]), text("+--+-+"), text("1,0,0,1,0,1")])
def test_one_pattern(write: Writer, tmp_path: Path) -> None:
    values, shape = read_patterns(write(tmp_path))
    assert values.tolist() == PATTERNS[:1].tolist()
    assert shape == ()


@pytest.mark.parametrize("xi", [[[1, 1]], [[-1, -1]], [[1, -1]], [[-1, 0]]])
def test_blanks_need_not_be_there(xi: list[list[int]], tmp_path: Path) -> None:
    assert read_patterns(npy(xi)(tmp_path), blanks=True)[0].tolist() == xi


NO_DOWN = "PATH holds no -1: here 0 means a blank, and -1 is needed for the down state"
MIXED = "0 does not go with -1, for the values must be -1 and +1, or 0 and 1"
ONE = "PATH: all values are {}, but patterns need two"
BAD_PATTERNS: list[tuple[Writer, str]] = [
    (npy([[1, -1], [2, 1]]), "PATH, pattern 1, unit 0 (counted from 0): the value must be -1, 0 or +1, not 2"),
    (npy([[1, -1], [1, 257]]), "PATH, pattern 1, unit 1 (counted from 0): the value must be -1, 0 or +1, not 257"),
    (npy([[1, np.nan]]), "PATH, pattern 0, unit 1 (counted from 0): the value must be -1, 0 or +1, not nan"),
    (h5([[1, -np.inf]]), "PATH, pattern 0, unit 1 (counted from 0): the value must be -1, 0 or +1, not -inf"),
    (npy([0.5, 1]), "PATH, pattern 0, unit 0 (counted from 0): the value must be -1, 0 or +1, not 0.5"),
    (npy([[[1], [-128]]]), "PATH, pattern 0, unit 1 (counted from 0): the value must be -1, 0 or +1, not -128"),
    (text("1 -1\n\n1 nan\n"), "PATH, pattern 1, unit 1 (counted from 0): the value must be -1, 0 or +1, not nan"),
    (text("# c\n1 1e999"), "PATH, pattern 0, unit 1 (counted from 0): the value must be -1, 0 or +1, not inf"),
    (npy(BLANKED), "PATH, pattern 0, unit 1 (counted from 0): " + MIXED),
    (text("1 1\n-1 0\n"), "PATH, pattern 1, unit 1 (counted from 0): " + MIXED),
    (text("++\n--\n01\n"), "PATH, pattern 2, unit 0 (counted from 0): " + MIXED),
    (npy([[1, 1]]), ONE.format(1)),
    (text("--\n"), ONE.format(-1)),
    (npy([[False, False]]), ONE.format(0)),
    (pictures(a=grey([[0, 0]])), "PATH: all values are -1 with the threshold 0.5, but patterns need two"),
    (text("1 -1\n\n# c\n1 -1 1\n"), "PATH, line 4: it has 3 values, where others have 2"),
    (text("+-\n+-+\n"), "PATH, line 2: it has 3 values, where others have 2"),
    (text("1 -1\n1 x\n"), "PATH, line 2: 'x' is not a number; words go behind a #"),
    (text("++0\n"), "PATH, line 1: '++0' is not a number; words go behind a #"),
    (text("1,,1\n"), "PATH, line 1: '' is not a number; words go behind a #"),
    (text("1 1_0\n"), "PATH, line 1: '1_0' is not a number; words go behind a #"),
    (text(b"+-\n\xff\n"), "PATH, line 2: this is not UTF-8 text"),
    (text(""), "PATH holds no patterns"),
    (text("# nothing\n"), "PATH holds no patterns"),
    (npy(np.zeros((0, 5))), "PATH holds no patterns"),
    (npy(np.zeros((2, 0))), "PATH: a pattern must have at least 2 units, not 0"),
    (npy([[1], [-1]]), "PATH: a pattern must have at least 2 units, not 1"),
    (text("1\n-1\n"), "PATH: a pattern must have at least 2 units, not 1"),
    (npy(1), "PATH must be of shape (patterns, units) or (patterns, height, width), not ()"),
    (npy([[[[1]]]]), "PATH must be of shape (patterns, units) or (patterns, height, width), not (1, 1, 1, 1)"),
    (npy([[1j, 1]]), "PATH holds values of type complex128, but real numbers are needed"),
    (npz(a=PATTERNS, b=PATTERNS), "PATH must hold one array; it holds a, b"),
    (sparse_npz, "PATH must hold one array, not a sparse matrix"),
    (lambda folder: h5(PATTERNS)(folder).replace("a/xi", "b"), "FILE has no data set 'b'; it holds a/xi"),
    (lambda folder: str(folder / "p.txt"), "cannot read PATH: No such file or directory"),
    (text("", "p.npy.gz"), "PATH is compressed: unpack it first"),
    (pictures(), "PATH holds no PNG pictures"),
    (pictures(b=grey([[1, 0]]), a=grey([[1], [0]])), "PATH/b.png has 2 x 1 pixels, but a.png has 1 x 2"),
    (
        pictures(a=np.zeros((2, 2, 4), np.uint8)),
        "PATH/a.png has transparent pixels, and what is behind them is not known",
    ),
]


@pytest.mark.parametrize("case", range(len(BAD_PATTERNS)))
def test_bad_patterns(case: int, tmp_path: Path) -> None:
    refused(read_patterns, *BAD_PATTERNS[case], tmp_path)


@pytest.mark.parametrize("write", [npy(BITS), npy(BITS > 0), npy([[0, 0]]), text("101\n"), text("++0\n")])
def test_blanks_of_two_values_are_refused(write: Writer, tmp_path: Path) -> None:
    refused(lambda path: read_patterns(path, blanks=True), write, NO_DOWN, tmp_path)


# ---- pictures ----------------------------------------------------------------------------------------------------


def test_pictures_by_name_and_nothing_else(tmp_path: Path) -> None:
    folder = Path(pictures(p10=grey([[1, 0]]), p09=grey([[0, 1]]))(tmp_path))
    (folder / "a.txt").write_text("no picture")
    (folder / "p10.png").rename(folder / "p10.PNG")
    values, shape = read_patterns(folder)
    assert values.tolist() == [[-1, 1], [1, -1]]
    assert shape == (1, 2)


@pytest.mark.parametrize(("threshold", "up"), [(-0.1, 4), (0.19, 3), (51 / 255, 2), (0.5, 2), (0.9, 1)])
def test_threshold(threshold: float, up: int, tmp_path: Path) -> None:
    pixels = np.array([[0, 51], [153, 255]], np.uint8)
    values, _ = read_patterns(pictures(a=pixels)(tmp_path), threshold, blanks=True)
    assert values.tolist() == [[-1] * (4 - up) + [1] * up]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_modes_of_pictures(mode: str, tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    pixels = grey([[1, 0, 0], [0, 1, 1]])
    if mode == "I;16":
        picture = image.fromarray(pixels.astype(np.uint16) * 100 + 7000)  # all would be white, were they cut off at 255
    else:
        picture = image.fromarray(pixels).convert(mode)
    picture.save(tmp_path / "a.png")
    threshold = 20000 / 65535 if mode == "I;16" else 0.5
    assert read_patterns(tmp_path, threshold)[0].tolist() == [[1, -1, -1, -1, 1, 1]]


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n"])
def test_damaged_picture(content: bytes, tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(DataFileError, match=r"a\.png cannot be read as a PNG picture \(.*\)$"):
        read_patterns(tmp_path)


def test_without_pillow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").touch()
    usual = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == "PIL":
            raise ImportError(name)
        return usual(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(
        DataFileError, match=r"holds pictures, and to read them needs pip install 'ising-mc\[images\]'$"
    ):
        read_patterns(tmp_path)


# ---- couplings and thresholds ------------------------------------------------------------------------------------

MATRICES: dict[str, Callable[[Any], Writer]] = {
    "text": lambda a: text("# J\n" + lines(a)),
    "csv": lambda a: text(lines(a, ", "), "p.csv"),
    "npy": npy,
    "Fortran": lambda a: npy(np.asfortranarray(a)),
    "npz": lambda a: npz(J=a),
    "h5": h5,
}


@pytest.mark.parametrize("asymmetric", [False, True])
@pytest.mark.parametrize("form", ["npy", "Fortran", "npz", "h5", "text", "csv"])
def test_random_couplings_come_back(form: str, asymmetric: bool, tmp_path: Path) -> None:
    a = np.random.default_rng(len(form)).normal(size=(20, 20))
    a = a if asymmetric else a + a.T
    np.fill_diagonal(a, 0)
    values = read_couplings(Path(MATRICES[form](a)(tmp_path)), asymmetric)
    assert values.dtype == np.float64
    assert values.flags.c_contiguous
    assert np.array_equal(values, a)


def changed(i: int, j: int, value: float) -> Any:
    a = J.copy()
    a[i, j] = value
    return a


BAD_COUPLINGS: list[tuple[Writer, str]] = [
    (
        npy(changed(2, 0, 7)),
        "PATH is not symmetric: entry (0, 2) is -2, entry (2, 0) is 7; the energy may then rise, and "
        "network.asymmetric = true allows it",
    ),
    (h5(changed(1, 1, 0.5)), "PATH, unit 1 (counted from 0): its coupling to itself must be 0, not 0.5"),
    (npy(changed(1, 2, np.nan)), "PATH, entry (1, 2): the coupling must be a finite number within +-1e+09, not nan"),
    (text("0 inf\ninf 0"), "PATH, entry (0, 1): the coupling must be a finite number within +-1e+09, not inf"),
    (npy(J * 2), "PATH, entry (1, 2): the coupling must be a finite number within +-1e+09, not 2000000000"),
    (npy(J[:2]), "PATH must be a square matrix of at least 2 units, not of shape (2, 3)"),
    (npy(J[0]), "PATH must be a square matrix of at least 2 units, not of shape (3,)"),
    (npy(0.0), "PATH must be a square matrix of at least 2 units, not of shape ()"),
    (npy([[0]]), "PATH must be a square matrix of at least 2 units, not of shape (1, 1)"),
    (text("# nothing"), "PATH must be a square matrix of at least 2 units, not of shape (0, 0)"),
    (text("0 1\n1 0 0\n"), "PATH, line 2: it has 3 values, where others have 2"),
    (text("0 1\n1 J\n"), "PATH, line 2: 'J' is not a number; words go behind a #"),
    (sparse_npz, "PATH must hold one array, not a sparse matrix"),
    (npy(J * 1j), "PATH holds values of type complex128, but real numbers are needed"),
    (lambda folder: str(folder), "cannot read PATH: it is a directory"),
]


@pytest.mark.parametrize("case", range(len(BAD_COUPLINGS)))
def test_bad_couplings(case: int, tmp_path: Path) -> None:
    refused(read_couplings, *BAD_COUPLINGS[case], tmp_path)


def test_asymmetric_couplings_have_no_self_coupling(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match="unit 1"):
        read_couplings(npy(changed(1, 1, 1))(tmp_path), asymmetric=True)


@pytest.mark.parametrize("write", [npy([0.5, -1, 3]), h5([0.5, -1, 3]), npz(a=[0.5, -1, 3]), text("0.5\n-1 3")])
def test_thresholds(write: Writer, tmp_path: Path) -> None:
    values = read_thresholds(Path(write(tmp_path)), 3)
    assert values.dtype == np.float64
    assert values.tolist() == [0.5, -1, 3]


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        (text("1 2 3"), "PATH holds 3 values, but there are 2 units"),
        (npy([1, np.nan]), "PATH, entry 1 (counted from 0): the value must be a finite number within +-1e+09, not nan"),
        (
            npy(np.ones((2, 2))),
            "PATH must hold one value a unit, in one dimension and in the order of the units, not an array of shape "
            "(2, 2)",
        ),
    ],
)
def test_bad_thresholds(write: Writer, sentence: str, tmp_path: Path) -> None:
    refused(lambda path: read_thresholds(path, 2), write, sentence, tmp_path)


# ---- memory ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["signs", "npy", "npz", "h5", "pictures"])
def test_too_large_for_memory(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = (FORMS | BINARY)[form](PATTERNS)(tmp_path)
    monkeypatch.setattr(arrayfile, "available_memory", lambda: 10)
    with pytest.raises(DataFileError, match=r"is too large: reading it would take .* GB of memory"):
        read_patterns(path)


@pytest.mark.parametrize(
    ("read", "write", "octets"), [(read_patterns, h5(PATTERNS), 4 * 12), (read_couplings, h5(J), 12 * 9)]
)
def test_checking_takes_memory_too(
    read: Callable[[str], Any], write: Writer, octets: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path)
    monkeypatch.setattr(arrayfile, "available_memory", lambda: 2 * octets)
    read(path)
    monkeypatch.setattr(arrayfile, "available_memory", lambda: 2 * octets - 1)
    with pytest.raises(DataFileError, match="is too large"):
        read(path)
