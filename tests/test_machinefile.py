"""Machines from files: what is written comes back, and every fault is refused with its file, array and entry."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from ising_mc import arrayfile
from ising_mc.arrayfile import DataFileError
from ising_mc.machine import Machine, random_machine
from ising_mc.machinefile import parameters, read_machine, save_npz

Writer = Callable[[Path], str]
SIZES = {"general": (3, 2), "restricted": (4, 2), "layered": (4, 3, 2)}
NAMES = {
    "general": ["weights", "biases"],
    "restricted": ["weights", "biases_visible", "biases_hidden"],
    "layered": ["weights_0", "weights_1", "biases_0", "biases_1", "biases_2"],
}


def made(kind: str, units: str = "binary") -> Machine:
    rng = np.random.default_rng(len(kind))
    machine = random_machine(kind, units, SIZES[kind], 1.0, rng)
    biases = tuple(rng.normal(size=shape) for shape in machine.bias_shapes)
    return Machine(kind, units, machine.sizes, machine.weights, biases)


def arrays(kind: str, /, **changes: Any) -> dict[str, Any]:
    """Parameters of the machine of a kind, some of them changed, or None and left out."""
    return {key: own for key, own in (parameters(made(kind)) | changes).items() if own is not None}


def entry(kind: str, name: str, place: Any, value: float) -> dict[str, Any]:
    own = parameters(made(kind))[name].copy()
    own[place] = value
    return arrays(kind, **{name: own})


def npz(content: dict[str, Any], name: str = "m.npz") -> Writer:
    def write(folder: Path) -> str:
        with open(folder / name, "wb") as file:
            np.savez(file, **content)
        return str(folder / name)

    return write


def h5(content: dict[str, Any], group: str = "model", asked: str = "", **attributes: Any) -> Writer:
    def write(folder: Path) -> str:
        with h5py.File(folder / "m.h5", "w") as file:
            own = file.require_group(group)
            own.attrs.update(attributes)
            for key, values in content.items():
                own[key] = values
        return f"{folder / 'm.h5'}{asked}"

    return write


def raw(content: bytes, name: str) -> Writer:
    def write(folder: Path) -> str:
        (folder / name).write_bytes(content)
        return str(folder / name)

    return write


def same(got: Machine, wanted: Machine) -> None:
    assert (got.kind, got.units, got.sizes) == (wanted.kind, wanted.units, wanted.sizes)
    for own, other in zip((*got.weights, *got.biases), (*wanted.weights, *wanted.biases), strict=True):
        assert own.dtype == np.float64
        assert own.flags.c_contiguous
        assert np.array_equal(own, other)


def refused(write: Writer, kind: str, sentence: str, folder: Path, sizes: tuple[int, ...] | None = None) -> None:
    path = write(folder)
    with pytest.raises(DataFileError) as caught:
        read_machine(path, kind, "binary", sizes)
    assert str(caught.value) == sentence.replace("PATH", path).replace("FILE", path.partition(":")[0])


# ---- what is written comes back ----------------------------------------------------------------------------------

FORMS: dict[str, Callable[[dict[str, Any]], Writer]] = {
    "npz": npz,
    "capitals": lambda content: npz(content, "M.NPZ"),
    "model": h5,
    "root": lambda content: h5(content, "/"),
    "root named": lambda content: h5(content, "/", ":/"),
    "root, no name": lambda content: h5(content, "/", ":"),
    "group": lambda content: h5(content, "a/b", ":a/b"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", SIZES)
def test_parameters_come_back(kind: str, form: str, tmp_path: Path) -> None:
    machine = made(kind, "spin")
    content = parameters(machine)
    assert list(content) == NAMES[kind]
    path = Path(FORMS[form](content)(tmp_path))
    same(read_machine(path, kind, "spin", SIZES[kind]), machine)
    if kind != "general":
        same(read_machine(path, kind, "spin"), machine)


@pytest.mark.parametrize("units", ["binary", "spin"])
@pytest.mark.parametrize("kind", SIZES)
def test_saved_machines_come_back(kind: str, units: str, tmp_path: Path) -> None:
    machine, path = made(kind, units), tmp_path / "M.NPZ"
    save_npz(machine, path)
    same(read_machine(path, kind, units), machine)
    other = "spin" if units == "binary" else "binary"
    with pytest.raises(DataFileError, match=rf"M.NPZ says units = '{units}', but '{other}' is asked for$"):
        read_machine(path, kind, other)


def test_saving_needs_the_ending(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must end in \.npz$"):
        save_npz(made("general"), tmp_path / "m.h5")


@pytest.mark.parametrize("dtype", [np.float16, ">f4", np.int8, np.uint64, bool])
def test_other_numbers_in_other_orders(dtype: Any, tmp_path: Path) -> None:
    J = np.asfortranarray([[0, 1, 0], [1, 0, 1], [0, 1, 0]]).astype(dtype)
    machine = read_machine(npz({"weights": J, "biases": J[0]})(tmp_path), "general", "spin", (1, 2))
    same(machine, Machine("general", "spin", (1, 2), (J.astype(float),), (J[0].astype(float),)))


def test_model_comes_before_the_root(tmp_path: Path) -> None:
    path = h5(arrays("restricted"))(tmp_path)
    with h5py.File(path, "a") as file:
        file["weights"] = [[1.0]]
        file.attrs["kind"] = "train"
    same(read_machine(path, "restricted", "binary"), made("restricted"))


def test_a_model_without_arrays_is_passed_by(tmp_path: Path) -> None:
    path = h5(arrays("restricted"), "/")(tmp_path)
    with h5py.File(path, "a") as file:
        file["model/note"] = 1
    same(read_machine(path, "restricted", "binary"), made("restricted"))


@pytest.mark.parametrize(
    "write",
    [
        npz(arrays("general", visible=np.int8(3), kind="general", units=np.bytes_("binary"))),
        npz(arrays("general", visible=[3], units=["binary"])),
        h5(arrays("general"), visible=3, units="binary", kind=np.bytes_("general")),
        h5(arrays("general"), visible=[3.0], units=["binary"]),
        h5(arrays("general", visible=3, units="binary")),
        h5(arrays("general", visible=np.arange(3), units=np.arange(5)), visible=3),  # the arrays are scales
        h5(arrays("general"), "/", visible=3),
    ],
)
def test_tags(write: Writer, tmp_path: Path) -> None:
    same(read_machine(write(tmp_path), "general", "binary"), made("general"))


def test_all_visible(tmp_path: Path) -> None:
    path = npz(arrays("general", visible=5))(tmp_path)
    assert read_machine(path, "general", "binary").sizes == (5, 0)


# ---- what is refused ---------------------------------------------------------------------------------------------

VISIBLE = "PATH says visible = {}, but it must be a number from 1 to 5"
FINITE = "must be a finite number within +-1e+09, not"
BAD: list[tuple[Writer, str, str]] = [
    # files
    (lambda folder: str(folder / "m.npz"), "general", "cannot read PATH: No such file or directory"),
    (lambda folder: str(folder / "m.h5:model"), "general", "cannot read FILE: No such file or directory"),
    (raw(b"", "m.pt"), "general", "PATH must be an .npz file or an HDF5 file (.h5 or .hdf5)"),
    (raw(b"", "m.npz:a"), "general", "PATH must be an .npz file or an HDF5 file (.h5 or .hdf5)"),
    (raw(b"PK", "m.npz"), "general", "PATH cannot be read as an .npz file (File is not a zip file)"),
    (h5({"w": 1}, "a", ":b"), "general", "FILE has no group 'b'; it holds a/w"),
    (h5({"w": 1}, "a", ":a/w"), "general", "FILE has no group 'a/w'; it holds a/w"),
    # arrays that are missing
    (npz({}), "general", "PATH has no array 'weights'; it holds none"),
    (npz(arrays("general", biases=None)), "general", "PATH has no array 'biases'; it holds weights"),
    (
        h5(arrays("restricted", biases_hidden=None, x=1)),
        "restricted",
        "PATH:model has no array 'biases_hidden'; it holds biases_visible, weights, x",
    ),
    (
        h5(arrays("restricted"), "a/b"),
        "restricted",
        "PATH has no array 'weights'; it holds a/b/biases_hidden, a/b/biases_visible, a/b/weights",
    ),
    (
        npz(arrays("layered", weights_0=None)),
        "layered",
        "PATH has no array 'weights_0'; it holds weights_1, biases_0, biases_1, biases_2",
    ),
    (
        npz(arrays("layered", weights_1=None)),
        "layered",
        "PATH has no array 'weights_1'; it holds weights_0, biases_0, biases_1, biases_2",
    ),
    (
        npz(arrays("layered", biases_1=None)),
        "layered",
        "PATH has no array 'biases_1'; it holds weights_0, weights_1, biases_0, biases_2",
    ),
    (
        npz(arrays("layered", biases_4=1)),
        "layered",
        "PATH has no array 'weights_2'; it holds weights_0, weights_1, biases_0, biases_1, biases_2, biases_4",
    ),
    (
        npz(arrays("restricted")),
        "layered",
        "PATH has no array 'weights_0'; it holds weights, biases_visible, biases_hidden",
    ),
    (npz({"format": 1, "shape": 2, "data": 3}), "general", "PATH has no array 'weights'; it holds format, shape, data"),
    # tags
    (
        npz(arrays("restricted", kind="general")),
        "restricted",
        "PATH says kind = 'general', but 'restricted' is asked for",
    ),
    (h5(arrays("general"), units="spin"), "general", "PATH:model says units = 'spin', but 'binary' is asked for"),
    (h5(arrays("general", units="spin"), "/"), "general", "PATH says units = 'spin', but 'binary' is asked for"),
    (
        h5(arrays("general"), units=["a", "b"]),
        "general",
        "PATH:model says units = ['a', 'b'], but 'binary' is asked for",
    ),
    (npz(arrays("general", units=1)), "general", "PATH says units = 1, but 'binary' is asked for"),
    (
        npz(arrays("general")),
        "general",
        "PATH does not tell how many units are visible: give the numbers of visible and of hidden units",
    ),
    (npz(arrays("general", visible=0)), "general", VISIBLE.format(0)),
    (npz(arrays("general", visible=6)), "general", VISIBLE.format(6)),
    (npz(arrays("general", visible=2.5)), "general", VISIBLE.format(2.5)),
    (npz(arrays("general", visible="all")), "general", VISIBLE.format("'all'")),
    (npz(arrays("restricted", visible=3)), "restricted", "PATH says visible = 3, but 4 units are to be visible"),
    # shapes
    (
        npz(arrays("general", weights=np.zeros((4, 5)), visible=1)),
        "general",
        "PATH, array weights: it must be of shape (4, 4) for 1 + 3 units, not (4, 5)",
    ),
    (
        npz(arrays("general", biases=np.zeros(4), visible=3)),
        "general",
        "PATH, array biases: it must be of shape (5,) for 3 + 2 units, not (4,)",
    ),
    (
        h5(arrays("restricted", biases_hidden=np.zeros((2, 1)))),
        "restricted",
        "PATH:model, array biases_hidden: it must be of shape (2,) for 4 + 2 units, not (2, 1)",
    ),
    (
        npz(arrays("layered", weights_1=np.zeros((2, 3)))),
        "layered",
        "PATH, array weights_0: it must be of shape (4, 2) for 4 + 2 + 3 units, not (4, 3)",
    ),
    (npz(arrays("restricted", weights=0.0)), "restricted", "PATH, array weights: it must be a matrix, not of shape ()"),
    (
        npz(arrays("restricted", weights=np.zeros((0, 2)))),
        "restricted",
        "PATH, array weights: it must be a matrix, not of shape (0, 2)",
    ),
    # values
    (
        npz(entry("restricted", "weights", (3, 1), np.nan)),
        "restricted",
        f"PATH, array weights, entry (3, 1) (counted from 0): the weight {FINITE} nan",
    ),
    (
        h5(entry("layered", "weights_1", (2, 0), -np.inf), "/"),
        "layered",
        f"PATH, array weights_1, entry (2, 0) (counted from 0): the weight {FINITE} -inf",
    ),
    (
        npz(entry("layered", "biases_2", 1, 2e9)),
        "layered",
        f"PATH, array biases_2, entry 1 (counted from 0): the bias {FINITE} 2000000000",
    ),
    (
        h5(entry("general", "weights", (0, 1), 0.5), visible=3),
        "general",
        "PATH:model, array weights is not symmetric: entry (0, 1) is 0.5, entry (1, 0) is J10",
    ),
    (
        npz(entry("general", "weights", (2, 2), 0.25) | {"visible": 3}),
        "general",
        "PATH, array weights, unit 2 (counted from 0): its coupling to itself must be 0, not 0.25",
    ),
    (
        npz(arrays("restricted", weights=np.array([["a"]]))),
        "restricted",
        "PATH, array weights holds values of type <U1, but real numbers are needed",
    ),
    (
        h5(arrays("restricted", weights=np.ones((4, 2)) * 1j)),
        "restricted",
        "PATH:model, array weights holds values of type complex128, but real numbers are needed",
    ),
    (
        npz(arrays("restricted", biases_hidden=np.array([None, 1]))),
        "restricted",
        "PATH, array biases_hidden cannot be read as plain numbers (it holds Python objects, not plain numbers)",
    ),
    (h5(arrays("restricted", weights=h5py.Empty("f8"))), "restricted", "PATH:model, array weights is empty"),
]


@pytest.mark.parametrize("case", range(len(BAD)))
def test_bad_files(case: int, tmp_path: Path) -> None:
    write, kind, sentence = BAD[case]
    J = parameters(made("general"))["weights"]
    refused(write, kind, sentence.replace("J10", repr(float(J[1, 0]))), tmp_path)


@pytest.mark.parametrize(
    ("kind", "sizes", "sentence"),
    [
        ("general", (3, 3), "PATH, array weights: it must be of shape (6, 6) for 3 + 3 units, not (5, 5)"),
        ("general", (4, 1), "PATH says visible = 3, but 4 units are to be visible"),
        ("restricted", (4, 3), "PATH, array weights: it must be of shape (4, 3) for 4 + 3 units, not (4, 2)"),
        (
            "restricted",
            (2, 4),
            "PATH, array weights: it must be of shape (2, 4) for 2 + 4 units, not (4, 2); transpose it",
        ),
        ("restricted", (4, 2, 2), "PATH holds a restricted machine, of 2 layers, but 3 are asked for"),
        ("layered", (4, 3), "PATH holds a layered machine, of 3 layers, but 2 are asked for"),
        ("layered", (4, 3, 1), "PATH, array weights_1: it must be of shape (3, 1) for 4 + 3 + 1 units, not (3, 2)"),
    ],
)
def test_sizes_must_agree(kind: str, sizes: tuple[int, ...], sentence: str, tmp_path: Path) -> None:
    more = {"visible": 3} if kind == "general" else {}
    refused(npz(arrays(kind, **more)), kind, sentence, tmp_path, sizes)


@pytest.mark.parametrize(
    ("kind", "units", "sizes", "sentence"),
    [
        ("boltzmann", "binary", None, "kind must be one of general, restricted, layered, not 'boltzmann'"),
        ("general", "potts", None, "units must be one of binary, spin, not 'potts'"),
        ("general", "spin", (5,), "sizes must be those of .*, not "),
        ("general", "spin", (0, 5), "sizes must be those of .*, not "),
        ("general", "spin", (6, -1), "sizes must be those of .*, not "),
    ],
)
def test_no_such_machine(kind: str, units: str, sizes: Any, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        read_machine(npz(arrays("general"))(tmp_path), kind, units, sizes)
    assert not isinstance(caught.value, DataFileError)


@pytest.mark.parametrize("name", ["m.npz", "m.h5"])
@pytest.mark.parametrize("cut", [0, 100, -200])
def test_damaged(name: str, cut: int, tmp_path: Path) -> None:
    path = Path((npz if name == "m.npz" else h5)(arrays("layered"))(tmp_path))
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataFileError, match=rf"{name} cannot be read as (an \.npz file|HDF5) \(.*\)$"):
        read_machine(path, "layered", "binary")


@pytest.mark.parametrize("write", [npz, h5])
def test_too_large_for_memory(write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, values = write(arrays("layered"))(tmp_path), 12 + 6 + 9
    for octets in (10, 2 * 12 * values - 1):
        monkeypatch.setattr(arrayfile, "available_memory", lambda octets=octets: octets)
        with pytest.raises(DataFileError, match=r"m\.(npz|h5:model) is too large: reading it would take .* of memory"):
            read_machine(path, "layered", "binary")
    monkeypatch.setattr(arrayfile, "available_memory", lambda: 10**5)
    read_machine(path, "layered", "binary")


def test_other_large_arrays_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for write in (npz, h5):
        path = write(arrays("restricted", chains=np.zeros(100_000)))(tmp_path)
        monkeypatch.setattr(arrayfile, "available_memory", lambda: 10**5)
        same(read_machine(path, "restricted", "binary"), made("restricted"))
