"""Graph and field files: every format gives the same graph, and every fault names its file and its place."""

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy import sparse

from ising_mc import arrayfile, graphfile
from ising_mc.graphfile import GraphData, GraphFileError, read_field, read_graph

# bonds in no order, some with i > j
LEFT = np.array([4, 0, 3, 1, 0])
RIGHT = np.array([1, 3, 2, 0, 4])
J = np.array([0.1, -1.0, 2.5, 1e-300, -0.30000000000000004])
BONDS = [[0, 1], [0, 3], [0, 4], [1, 4], [2, 3]]
COUPLINGS = [1e-300, -1.0, -0.30000000000000004, 0.1, 2.5]
N = 5


def matrix() -> np.ndarray:
    a = np.zeros((N, N))
    a[LEFT, RIGHT] = a[RIGHT, LEFT] = J
    return a


def lines(separator: str = " ", base: int = 0) -> str:
    return "".join(
        f"{i + base}{separator}{j + base}{separator}{x!r}\n"
        for i, j, x in zip(LEFT.tolist(), RIGHT.tolist(), J.tolist(), strict=True)
    )


def same(a: GraphData, b: GraphData) -> bool:
    couplings = a.couplings is b.couplings is None or (
        a.couplings is not None and b.couplings is not None and a.couplings.tobytes() == b.couplings.tobytes()
    )
    return a.n_sites == b.n_sites and np.array_equal(a.bonds, b.bonds) and couplings and a.warnings == b.warnings


def as_h5(path: Path, **arrays: object) -> Path:
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name.replace("__", "/")] = array
    return path


Writer = Callable[[Path], str]


def text(content: str | bytes, name: str = "g.txt") -> Writer:
    def write(folder: Path) -> str:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(folder / name)

    return write


def npy(array: object, name: str = "g.npy") -> Writer:
    def write(folder: Path) -> str:
        with open(folder / name, "wb") as file:
            np.save(file, np.asarray(array), allow_pickle=True)
        return str(folder / name)

    return write


def npz(**arrays: object) -> Writer:
    def write(folder: Path) -> str:
        np.savez(folder / "g.npz", **arrays)  # type: ignore[arg-type]
        return str(folder / "g.npz")

    return write


def sparse_npz(a: object, form: str = "csr", compressed: bool = True) -> Writer:
    def write(folder: Path) -> str:
        sparse.save_npz(folder / "g.npz", sparse.coo_array(a).asformat(form), compressed=compressed)
        return str(folder / "g.npz")

    return write


def h5(dataset: str, array: object, name: str = "g.h5") -> Writer:
    return lambda folder: f"{as_h5(folder / name, **{dataset.replace('/', '__'): array})}:{dataset}"


TABLE = np.column_stack((LEFT, RIGHT, J))
FORMATS: dict[str, Writer] = {
    "text": text(lines()),
    "tabs": text(lines("\t"), "g.dat"),
    "spaces": text(lines("   "), "g.edges"),
    "unknown ending": text(lines(), "graph"),
    "csv": text(lines(","), "g.csv"),
    "csv with spaces": text(lines(" , "), "g.CSV"),
    "comments": text("# a graph\n\n" + lines().replace("\n", "  # a bond, 1 2 3\n\n  # more\n\n")),
    "csv comments": text("# a, graph\n\n" + lines(",").replace("\n", "  # a bond, 1 2 3\n\n  # more\n"), "g.csv"),
    "not ASCII": text("# Kopplungsst\u00e4rke \u2028 \x85 J\n" + lines()),
    "byte order mark": text("\ufeff" + lines()),
    "Windows lines": text(lines().replace("\n", "\r\n")),
    "old lines": text("# c\r" + lines().replace("\n", "\r")),
    "no last line end": text(lines().rstrip()),
    "header": text(f"{N} {len(LEFT)}\n" + lines()),
    "header after comments": text(f"# x\n\n {N} {len(LEFT)} # n m\n" + lines()),
    "csv header": text(f"{N},{len(LEFT)}\n" + lines(","), "g.csv"),
    "sites as decimals": text("\n".join(" ".join(f"{x:.18e}" for x in row) for row in TABLE)),
    "matrix npy": npy(matrix()),
    "matrix npy, Fortran order": npy(np.asfortranarray(matrix())),
    "matrix npy, big endian": npy(matrix().astype(">f8")),
    "table npy": npy(TABLE),
    "matrix npz": npz(J=matrix()),
    "matrix npz of another name": npz(weights=matrix()),
    "arrays npz": npz(i=LEFT, j=RIGHT, J=J),
    "arrays npz, small integers": npz(J=J, j=RIGHT.astype(np.uint8), i=LEFT.astype(np.int8)),
    **{f"sparse {form}": sparse_npz(matrix(), form) for form in ("csr", "csc", "coo", "bsr", "dia")},
    "sparse, not compressed": sparse_npz(matrix(), compressed=False),
    "matrix h5": h5("J", matrix()),
    "matrix in a group": h5("a/b c/J", matrix(), "g.hdf5"),
    "table h5": h5("bonds", TABLE),
}


@pytest.mark.parametrize("form", FORMATS)
def test_all_formats_give_the_same_graph(form: str, tmp_path: Path) -> None:
    graph = read_graph(FORMATS[form](tmp_path))
    assert graph.n_sites == N
    assert graph.bonds.dtype == np.int32
    assert graph.bonds.tolist() == BONDS
    assert graph.couplings is not None
    assert graph.couplings.dtype == np.float64
    assert graph.couplings.tolist() == COUPLINGS
    assert graph.warnings == ()
    assert graph.bonds.flags.c_contiguous
    assert graph.couplings.flags.c_contiguous


def test_a_path_may_be_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for write in (text(lines()), h5("J", matrix())):
        assert read_graph(Path(Path(write(tmp_path)).name)).bonds.tolist() == BONDS


@pytest.mark.parametrize(
    "write",
    [
        text(lines(base=1)),
        text(f"{N} {len(LEFT)}\n" + lines(base=1)),
        text(lines(",", base=1), "g.csv"),
        npz(i=LEFT + 1, j=RIGHT + 1, J=J),
        h5("bonds", TABLE + np.array([1, 1, 0])),
        npy(matrix()),
    ],
)
def test_sites_may_count_from_one(write: Writer, tmp_path: Path) -> None:
    graph = read_graph(write(tmp_path), one_based=True)
    assert same(graph, read_graph(text(lines(), "zero.txt")(tmp_path)))


@pytest.mark.parametrize(
    "write", [text("0 1\n1 2\n"), npz(i=[0, 1], j=[1, 2]), h5("e", [[0, 1], [1, 2]]), npy([[0.0, 1.0], [2.0, 1.0]])]
)
def test_couplings_may_be_left_out(write: Writer, tmp_path: Path) -> None:
    graph = read_graph(write(tmp_path))
    assert graph.couplings is None
    assert graph.bonds.tolist() == [[0, 1], [1, 2]]
    assert graph.n_sites == 3


@pytest.mark.parametrize("write", [npy([[0, 1, 2.0], [1, 2, 3.0], [2, 0, 4.0]]), text("0 1 2\n1 2 3\n2 0 4\n")])
def test_a_square_table_is_no_matrix(write: Writer, tmp_path: Path) -> None:
    graph = read_graph(write(tmp_path))
    assert graph.bonds.tolist() == [[0, 1], [0, 2], [1, 2]]
    assert graph.couplings is not None
    assert graph.couplings.tolist() == [2.0, 4.0, 3.0]


def test_a_small_matrix_is_no_table(tmp_path: Path) -> None:
    for a in ([[0, 3], [3, 0]], [[0, 1, 2], [1, 0, 3], [2, 3, 0]]):
        assert read_graph(npy(a)(tmp_path)).n_sites == len(a)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint64, np.float16, np.float32, np.longdouble])
def test_real_types(dtype: type, tmp_path: Path) -> None:
    a = (matrix() != 0).astype(dtype)
    graph = read_graph(npy(a)(tmp_path))
    assert graph.bonds.tolist() == BONDS
    assert graph.couplings is not None
    assert graph.couplings.tolist() == [1.0] * 5
    if dtype is not np.float16:  # which scipy does not know
        assert same(graph, read_graph(sparse_npz(a)(tmp_path)))


def test_coupling_zero_is_a_bond_of_a_list_only(tmp_path: Path) -> None:
    graph = read_graph(text("0 1 0\n1 2 -0.0\n")(tmp_path))
    assert graph.bonds.tolist() == [[0, 1], [1, 2]]
    explicit = sparse.coo_array(([1.0, 1.0, 0.0, 0.0], ([0, 1, 0, 2], [1, 0, 2, 2])), shape=(3, 3))
    sparse.save_npz(tmp_path / "g.npz", explicit)
    graph = read_graph(tmp_path / "g.npz")
    assert graph.bonds.tolist() == [[0, 1]]
    assert graph.n_sites == 3


@pytest.mark.parametrize("form", ["text", "matrix npz", "arrays npz", "sparse csr", "table h5"])
def test_random_graph_comes_back(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphfile, "BLOCK", 1000)  # several blocks of rows
    random = np.random.default_rng(len(form))
    n = 300
    bonds = np.array([[i, j] for i in range(n) for j in range(i + 1, n) if random.random() < 0.05] + [[0, n - 1]])
    bonds = np.unique(bonds, axis=0)
    couplings = random.normal(size=len(bonds))
    order = random.permutation(len(bonds))
    swap = random.random(len(bonds)) < 0.5
    i, j = np.where(swap[:, None], bonds[:, ::-1], bonds)[order].T
    x = couplings[order]
    a = np.zeros((n, n))
    a[i, j] = a[j, i] = x
    write = {
        "text": text("".join(f"{p} {q} {r!r}\n" for p, q, r in zip(i.tolist(), j.tolist(), x.tolist(), strict=True))),
        "matrix npz": npz(J=a),
        "arrays npz": npz(i=i, j=j, J=x),
        "sparse csr": sparse_npz(a),
        "table h5": h5("e", np.column_stack((i, j, x))),
    }[form]
    assert same(read_graph(write(tmp_path), n_sites=n), GraphData(n, bonds.astype(np.int32), couplings))


def test_largest_site_number(tmp_path: Path) -> None:
    graph = read_graph(text("0 2147483646 1\n0 5 1\n")(tmp_path))
    assert graph.n_sites == 2**31 - 1
    assert graph.bonds.tolist() == [[0, 5], [0, 2147483646]]
    assert read_graph(text("1 2147483647\n")(tmp_path), one_based=True).bonds.tolist() == [[0, 2147483646]]


# ---- the first line, where all lines have two columns ------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "one_based", "n", "m", "warning"),
    [
        ("4 3\n0 1\n1 2\n2 3\n", False, 4, 3, "numbers of sites and bonds"),
        ("3 3\n0 1\n1 2\n2 0\n", False, 3, 3, ""),  # as a bond, a self-loop
        ("5 2\n0 1\n1 2\n", False, 5, 2, "numbers of sites and bonds"),
        ("4 3\n1 2\n2 3\n3 1\n", True, 4, 3, "numbers of sites and bonds"),
        ("4 3\n1 2\n2 3\n3 4\n", True, 4, 3, ""),  # as a bond, there twice
        ("4 3\n1 2\n2 3\n2 4\n", False, 5, 4, "site 0"),  # 4 is a site, so this is no header
        ("9 1\n0 1\n1 2\n", False, 10, 3, ""),
        ("0 1\n1 2\n2 3\n", False, 4, 3, ""),
        ("# c\n2 1\n# c\n\n0 1\n", False, 2, 1, "line 2: '2 1'"),
        ("2 1\n", False, 3, 1, "site 0"),
        ("1 2\n2 3\n", False, 4, 2, "site 0"),
        ("1 2\n2 3\n", True, 3, 2, ""),
    ],
)
def test_first_line(content: str, one_based: bool, n: int, m: int, warning: str, tmp_path: Path) -> None:
    graph = read_graph(text(content)(tmp_path), one_based=one_based)
    assert (graph.n_sites, len(graph.bonds)) == (n, m)
    assert len(graph.warnings) == bool(warning)
    assert all(warning in sentence and "g.txt" in sentence for sentence in graph.warnings)


def test_a_list_shorter_than_its_first_line_says_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GraphFileError, match="line 1: '9 7' would be a header of 7 bonds, but 2 follow"):
        read_graph(text("9 7\n0 1\n1 2\n")(tmp_path))


def test_number_of_sites_settles_the_first_line(tmp_path: Path) -> None:
    assert read_graph(text("4 3\n0 1\n1 2\n2 3\n")(tmp_path), n_sites=4).warnings == ()


def test_number_of_sites_where_the_file_is_silent(tmp_path: Path) -> None:
    assert read_graph(text("1 2 1\n")(tmp_path), n_sites=7).n_sites == 7
    assert read_graph(text("7 1\n1 2 1\n")(tmp_path), n_sites=7).n_sites == 7
    assert read_graph(npy(matrix())(tmp_path), n_sites=N).n_sites == N


# ---- what is refused ---------------------------------------------------------------------------------------------


def broken(write: Writer, position: float) -> Writer:
    """A file with some bytes in the middle turned over."""

    def write_and_break(folder: Path) -> str:
        path = write(folder)
        file = Path(path.partition(":")[0])
        content = bytearray(file.read_bytes())
        start = int(len(content) * position)
        for k in range(start, min(start + 40, len(content))):
            content[k] ^= 0xFF
        file.write_bytes(content)
        return path

    return write_and_break


def cut(write: Writer, share: float) -> Writer:
    def write_and_cut(folder: Path) -> str:
        path = write(folder)
        file = Path(path.partition(":")[0])
        file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])
        return path

    return write_and_cut


def changed(i: int, j: int, value: float) -> np.ndarray:
    a = matrix()
    a[i, j] = value
    return a


def both(i: int, j: int, value: float) -> np.ndarray:
    a = matrix()
    a[i, j] = a[j, i] = value
    return a


def bad_sparse(**members: object) -> Writer:
    """A file of save_npz with members changed."""
    a = sparse.csr_array(matrix())
    usual = {"indices": a.indices, "indptr": a.indptr, "data": a.data, "shape": a.shape, "format": b"csr"}
    return npz(**(usual | members))


def folder_instead(folder: Path) -> str:
    (folder / "g.txt").mkdir()
    return str(folder / "g.txt")


def pipe_instead(folder: Path) -> str:
    os.mkfifo(folder / "g.txt")
    return str(folder / "g.txt")


def many_datasets(folder: Path) -> str:
    return f"{as_h5(folder / 'g.h5', **{f'x{k:02}': 1 for k in range(30)})}:J"


def zip_of_text(folder: Path) -> str:
    with zipfile.ZipFile(folder / "g.npz", "w") as archive:
        archive.writestr("J.txt", "0 1 1")
    return str(folder / "g.npz")


def huge_header(folder: Path) -> str:
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f8", "fortran_order": False, "shape": (10**9, 10**9)})
    (folder / "g.npy").write_bytes(head.getvalue())
    return str(folder / "g.npy")


def empty_dataset(folder: Path) -> str:
    with h5py.File(folder / "g.h5", "w") as file:
        file["J"] = h5py.Empty("f8")
    return f"{folder / 'g.h5'}:J"


def group_only(folder: Path) -> str:
    with h5py.File(folder / "g.h5", "w") as file:
        file.create_group("J")
    return f"{folder / 'g.h5'}:J"


def compound(folder: Path) -> str:
    return f"{as_h5(folder / 'g.h5', J=np.zeros(3, [('i', int), ('j', int)]))}:J"


TWICE = sparse.coo_array(([1.0, 1.0, 1.0, 1.0], ([0, 0, 1, 1], [1, 1, 0, 0])), shape=(2, 2))
TRIANGLE = "only one triangle is filled, so add the transpose"
BAD: list[tuple[Writer, tuple[str, ...]]] = [
    (text("0 1 1\n2 2 1\n"), ("line 2", "site 2 is bonded to itself")),
    (text("0 1 1\n1 2 1\n# c\n\n0 1 3\n"), ("line 5", "bond 0 1", "in line 1 already")),
    (text("# c\n0 1 1\n1 2 1\n1 0 3\n"), ("line 4", "bond 1 0", "in line 2 already")),
    (text("3 3\n0 1 1\n1 2 1\n1 0 3\n"), ("line 4", "bond 1 0", "in line 2 already")),
    (text("0 1 1\n1 2 nan\n"), ("line 2", "finite number", "nan")),
    (text("0 1 1\n1 2 -inf\n"), ("line 2", "finite number", "-inf")),
    (text("0 1 1\n1 2 1e999\n"), ("line 2", "finite number", "inf")),
    (text("0 1 1\n1 2 1.5e9\n"), ("line 2", "within +-1e+09", "1500000000")),
    (text("0 1 1\n-1 2 1\n"), ("line 2", "site number -1 is negative")),
    (text("0 1 1\n1.5 2 1\n"), ("line 2", "1.5 is not a whole number")),
    (text("0 1 1\nnan 2 1\n"), ("line 2", "nan is not a whole number")),
    (text("0 1 1\ninf 2 1\n"), ("line 2", "inf")),
    (text("0 1 1\n1e20 2 1\n"), ("line 2", "1e+20 is too large", "2147483647 sites")),
    (text("0 1 1\n0 2147483647 1\n"), ("line 2", "2147483647 is too large")),
    (text("0 1 1\n4294967297 1 1\n"), ("line 2", "4294967297 is too large")),
    (text("3 2\n0 1 1\n1 4 1\n"), ("line 3", "site number 4 is too large", "0 to 2")),
    (text("3 2\n1 2 1\n2 3 1\n"), ("line 3", "one_based = true")),
    (text("0 1 1\n1 2\n"), ("line 2", "2 columns", "3")),
    (text("0 1\n1 2\n\n1 2 1\n"), ("line 4", "3 columns", "2")),
    (text("3 2\n0 1 1\n1 2\n"), ("line 3", "2 columns")),
    (text("# c\n0 1 1 1\n"), ("line 2", "not 4", "i j J")),
    (text("7\n0 1 1\n"), ("line 1", "not 1;")),
    (text("0,1,1\n"), ("line 1", "not 1;", ".csv")),
    (text("0 1 1\n", "g.csv"), ("line 1", "commas")),
    (text("0,1,1\n1,2,\n", "g.csv"), ("line 2", "'' is not a number")),
    (text("i,j,J\n0,1,1\n", "g.csv"), ("line 1", "'i' is not a number", "#")),
    (text("0 1 1\n1 2 J\n"), ("line 2", "'J' is not a number")),
    (text("0 1 1\n1 2 1_0\n"), ("line 2", "'1_0' is not a number")),
    (text("0 1 1\n1 0x2 1\n"), ("line 2", "'0x2' is not a number")),
    (text("0 1 1\n1 \uff12 1\n"), ("line 2", "is not a number")),
    (text("0 1 1\n1 2 " + "x" * 500), ("line 2", "x...'")),
    (text("0 1 1\n1 \x00 1\n"), ("line 2", "is not a number")),
    (text("3 5\n0 1 1\n1 2 1\n"), ("line 1", "announces 5 bonds, but 2 follow")),
    (text("3 x\n0 1 1\n1 2 1\n"), ("line 1", "'x' is not a number")),
    (text("2.5 2\n0 1 1\n1 2 1\n"), ("line 1", "number of sites", "2.5")),
    (text("-3 2\n0 1 1\n1 2 1\n"), ("line 1", "number of sites", "-3")),
    (text("2147483648 1\n0 1 1\n"), ("line 1", "number of sites", "2147483648")),
    (text(""), ("holds no bonds",)),
    (text("# nothing\n\n"), ("holds no bonds",)),
    (text(b"# c\n0 1 \xff\n"), ("line 2", "not UTF-8")),
    (text("0 1 1\n".encode("utf-16")), ("line 1", "not UTF-8")),
    (text(b"\x1f\x8b", "g.txt.gz"), ("g.txt.gz", "unpack")),
    (lambda folder: str(folder / "g.txt"), ("No such file",)),
    (lambda folder: str(folder / "g.npy"), ("No such file",)),
    (lambda folder: str(folder / "g.npz"), ("No such file",)),
    (lambda folder: str(folder / "g.h5:J"), ("g.h5: No such file",)),
    (lambda folder: str(folder / "g.txt\0"), ("null",)),
    (folder_instead, ("a directory",)),
    (pipe_instead, ("not a plain file",)),
    (npy(changed(0, 1, 7.0)), ("entry (0, 1) is 7", "entry (1, 0) is 1e-300", "nothing is symmetrised")),
    (npy(changed(4, 2, 7.0)), ("entry (2, 4) is 0", "entry (4, 2) is 7")),
    (npy(np.triu(matrix())), ("entry (1, 0) is 0", TRIANGLE)),
    (npy(np.tril(matrix())), ("entry (0, 1) is 0", TRIANGLE)),
    (npy(changed(3, 3, -2.0)), ("entry (3, 3)", "diagonal", "-2")),
    (npy(both(1, 2, np.nan)), ("entry (1, 2)", "nan")),
    (npy(both(1, 2, np.inf)), ("entry (1, 2)", "inf")),
    (npy(both(1, 2, -2e9)), ("entry (1, 2)", "+-1e+09")),
    (npy(np.array([[0, -(2**63)], [-(2**63), 0]])), ("entry (0, 1)", "+-1e+09")),
    (npy(np.array([[0, np.inf], [np.inf, 0]], np.float16)), ("entry (0, 1)", "inf")),
    (npy(matrix()[:4]), ("square matrix", "(4, 5)")),
    (npy(np.zeros(4)), ("square matrix", "(4,)")),
    (npy(np.zeros((3, 3, 3))), ("(3, 3, 3)",)),
    (npy(np.zeros((0, 0))), ("no bonds",)),
    (npy(np.zeros((0, 3))), ("no bonds",)),
    (npy(np.zeros((4, 4))), ("no bonds",)),
    (npy(matrix() * 1j), ("complex128", "real")),
    (npy(np.full((2, 2), "a")), ("<U1", "real")),
    (npy(np.full((2, 2), None)), ("Python objects",)),
    (npy([[0, 1, 1.0], [1, 2, 1.0], [2, 3, 1.0], [0, 1, 1.0]]), ("row 3", "row 0", "bond 0 1")),
    (text("0 1 1\n", "g.npy"), ("cannot be read as a .npy file",)),
    (cut(npy(matrix()), 0.6), ("cannot be read as a .npy file",)),
    (huge_header, ("cannot be read as a .npy file",)),
    (npz(), ("holds nothing",)),
    (npz(a=matrix(), b=matrix()), ("holds a, b", "i, j and J")),
    (npz(i=LEFT, j=RIGHT, J=J, k=J), ("holds i, j, J, k",)),
    (npz(i=LEFT, j=RIGHT[:4], J=J), ("one length",)),
    (npz(i=LEFT[None], j=RIGHT[None]), ("one length",)),
    (npz(i=[0, 1], j=[1, 0]), ("entry 1", "entry 0", "bond 1 0")),
    (npz(i=[0, 1], j=[1, 1]), ("entry 1", "itself")),
    (npz(i=[0, 1], j=[1, -1]), ("entry 1", "negative")),
    (npz(i=[0, 1], j=[1, 2], J=[1, np.nan]), ("entry 1", "nan")),
    (npz(i=[0, 1], j=[1, 2**40]), ("entry 1", "1099511627776 is too large")),
    (npz(i=[0, 1], j=np.array([1, 2**63], np.uint64)), ("entry 1", "too large")),
    (npz(J=np.full((2, 2), None)), ("Python objects",)),
    (npz(J=matrix() * 1j), ("array J", "complex128")),
    (zip_of_text, ("real numbers",)),
    (text("no zip", "g.npz"), ("cannot be read as an .npz file",)),
    (cut(npz(J=matrix()), 0.7), ("cannot be read as an .npz file",)),
    (broken(npz(J=matrix()), 0.4), ("cannot be read as an .npz file",)),
    (sparse_npz(changed(0, 1, 7.0)), ("entry (0, 1) is 7", "entry (1, 0) is 1e-300", "nothing is symmetrised")),
    (sparse_npz(np.triu(matrix())), ("entry (1, 0) is 0", TRIANGLE)),
    (sparse_npz(np.tril(matrix()), "coo"), ("entry (0, 1) is 0", TRIANGLE)),
    (sparse_npz(changed(3, 3, -2.0)), ("entry (3, 3)", "diagonal")),
    (sparse_npz(both(1, 2, np.nan)), ("entry (1, 2)", "nan")),
    (sparse_npz(matrix()[:4]), ("square matrix", "(4, 5)")),
    (sparse_npz(np.zeros((4, 4))), ("no bonds",)),
    (sparse_npz(matrix() * 1j), ("complex128",)),
    (sparse_npz(TWICE, "coo"), ("entry (0, 1)", "twice")),
    (bad_sparse(indices=np.full(10, 99)), ("cannot be read as",)),
    (bad_sparse(indptr=np.array([0, 9, 3, 99, 7, 10])), ("cannot be read as",)),
    (bad_sparse(shape=(2**31, 2**31)), ("cannot be read as",)),
    (bad_sparse(format=b"xyz"), ("cannot be read as",)),
    (broken(sparse_npz(matrix()), 0.5), ("cannot be read as an .npz file",)),
    (lambda folder: h5("J", matrix())(folder).replace(":J", ":K"), ("no data set 'K'", "it holds J")),
    (lambda folder: h5("a/J", matrix())(folder).partition(":")[0], ("g.h5:NAME", "it holds a/J")),
    (many_datasets, ("no data set 'J'", "x19 and 10 more")),
    (group_only, ("no data set 'J'", "it holds none")),
    (empty_dataset, ("g.h5:J is an empty data set",)),
    (compound, ("real numbers",)),
    (h5("J", np.full((3, 3), b"ab")), ("g.h5:J", "real numbers")),
    (h5("J", matrix() * 1j), ("complex128",)),
    (h5("J", matrix()[:4]), ("g.h5:J must be", "(4, 5)")),
    (h5("J", 3.0), ("g.h5:J must be", "()")),
    (h5("J", changed(0, 1, 7.0)), ("g.h5:J is not symmetric", "entry (0, 1) is 7")),
    (h5("e", [[0, 1, 1], [1, 1, 1], [2, 3, 1], [3, 4, 1]]), ("g.h5:e, row 1", "itself")),
    (h5("e", [[0, 1, 1], [1, 1.5, 1], [2, 3, 1], [3, 4, 1]]), ("g.h5:e, row 1", "1.5")),
    (text("0 1 1\n", "g.h5"), ("cannot be read as HDF5",)),
    (cut(h5("J", matrix()), 0.5), ("cannot be read as HDF5",)),
]


def one_sentence(message: str) -> bool:
    return "\n" not in message and not message.endswith(".") and len(message) < 600


@pytest.mark.parametrize("case", range(len(BAD)))
def test_what_is_refused(case: int, tmp_path: Path) -> None:
    write, words = BAD[case]
    path = write(tmp_path)
    with pytest.raises(GraphFileError) as caught:
        read_graph(path)
    message = str(caught.value)
    assert path.partition(".h5:")[0] in message
    for word in words:
        assert word in message
    assert one_sentence(message)


@pytest.mark.parametrize(
    ("write", "options", "words"),
    [
        (text("0 1 1\n1 2 1\n"), {"one_based": True}, ("line 1", "site number 0", "one_based")),
        (text("1 2 1\n2 -3 1\n"), {"one_based": True}, ("line 2", "-3 is negative")),
        (text("3 2\n1 2 1\n2 4 1\n"), {"one_based": True}, ("line 3", "4 is too large", "1 to 3")),
        (text("1 2 1\n2 1 1\n"), {"one_based": True}, ("line 2", "bond 2 1")),
        (text("1 2 1\n2 2 1\n"), {"one_based": True}, ("line 2", "site 2 is bonded")),
        (npz(i=[0], j=[1]), {"one_based": True}, ("entry 0", "site number 0")),
        (text("3 1\n0 1 1\n"), {"n_sites": 4}, ("line 1", "3 sites", "n_sites is 4")),
        (text("4 3\n0 1\n1 2\n2 3\n"), {"n_sites": 6}, ("line 1", "4 sites", "n_sites is 6")),
        (text("0 1 1\n1 4 1\n"), {"n_sites": 3}, ("line 2", "4 is too large", "0 to 2")),
        (npy(matrix()), {"n_sites": 6}, ("5 sites", "n_sites is 6")),
        (sparse_npz(matrix()), {"n_sites": 6}, ("5 sites", "n_sites is 6")),
        (npz(i=[0], j=[7]), {"n_sites": 6}, ("entry 0", "7 is too large")),
        (text("0 1 1\n"), {"n_sites": 0}, ("n_sites must be from 1", "not 0")),
        (text("0 1 1\n"), {"n_sites": 2**31}, ("to 2147483647",)),
    ],
)
def test_what_the_options_contradict(
    write: Writer, options: dict[str, int], words: tuple[str, ...], tmp_path: Path
) -> None:
    path = write(tmp_path)
    with pytest.raises(GraphFileError) as caught:
        read_graph(path, **options)  # type: ignore[arg-type]
    assert all(word in str(caught.value) for word in (path, *words)), caught.value
    assert one_sentence(str(caught.value))


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = text("0 1 1\n")(tmp_path)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)  # the mode would not stop root
    with pytest.raises(GraphFileError, match=r"cannot read .*g\.txt: Permission denied"):
        read_graph(path)


@pytest.mark.parametrize("form", ["text", "matrix npy", "matrix npz", "arrays npz", "sparse csr", "matrix h5"])
def test_too_large_for_memory(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = FORMATS[form](tmp_path)
    monkeypatch.setattr(arrayfile, "available_memory", lambda: 100)
    with pytest.raises(GraphFileError, match=r"g\.\S+ is too large: .* GB .* half of the 1e-07 GB"):
        read_graph(path)


def test_size_is_seen_before_reading(tmp_path: Path) -> None:
    """Files and data sets of far more than any memory, most of which was never written."""
    with open(tmp_path / "g.txt", "wb") as file:
        file.truncate(1 << 42)
    with h5py.File(tmp_path / "g.h5", "w") as file:
        file.create_dataset("J", (1 << 22, 1 << 22), "f8", chunks=(1024, 1024))
    for path in (tmp_path / "g.txt", f"{tmp_path / 'g.h5'}:J"):
        with pytest.raises(GraphFileError, match="is too large"):
            read_graph(path)
        with pytest.raises(GraphFileError, match="is too large"):
            read_field(path, 10)


def test_memory_is_known() -> None:
    assert arrayfile.available_memory() > 1 << 20


def test_memory_without_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", refuse)
    assert arrayfile.available_memory() == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.mark.parametrize("write", [text(lines()), text(f"{N} {len(LEFT)}\n" + lines(), "header.txt")])
def test_the_slow_way_reads_the_same(write: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path)
    fast = read_graph(path)
    monkeypatch.setattr(graphfile, "load_text", lambda *_: None)
    assert same(fast, read_graph(path))


def test_keys_too_long_for_the_quick_sort() -> None:
    keys = np.random.default_rng(1).integers(0, 2**62, 100)
    assert np.array_equal(graphfile._argsort(keys.copy()), np.argsort(keys))
    keys >>= 10
    assert np.array_equal(graphfile._argsort(keys.copy()), np.argsort(keys))


# ---- fields ------------------------------------------------------------------------------------------------------

FIELD = [0.5, -1e9, 0.30000000000000004, 0.0, 3.0]
FIELDS: dict[str, Writer] = {
    "one a line": text("".join(f"{x!r}\n" for x in FIELD)),
    "one line": text(" ".join(map(repr, FIELD))),
    "some a line": text("# h\n0.5 -1e9 # two\n\n0.30000000000000004 0\n3"),
    "csv": text(",".join(map(repr, FIELD)), "g.csv"),
    "npy": npy(FIELD),
    "column": npy(np.array(FIELD)[:, None]),
    "npz": npz(B=FIELD),
    "h5": h5("B", FIELD),
}


@pytest.mark.parametrize("form", FIELDS)
def test_fields(form: str, tmp_path: Path) -> None:
    values = read_field(FIELDS[form](tmp_path), 5)
    assert values.dtype == np.float64
    assert values.tolist() == FIELD


def test_field_of_integers(tmp_path: Path) -> None:
    values = read_field(npy(np.array([1, -2], np.int8))(tmp_path), 2)
    assert values.dtype == np.float64
    assert values.tolist() == [1, -2]


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (text("1 2 3\n"), ("3 values", "5 sites")),
        (text("# nothing\n"), ("0 values", "5 sites")),
        (npy(np.zeros(6)), ("6 values", "5 sites")),
        (text("1 2 nan 4 5"), ("entry 2", "nan")),
        (text("1\n2\n3\ninf\n5"), ("entry 3", "inf")),
        (text("1\n2\n3\n4\n1.5e9"), ("entry 4", "+-1e+09")),
        (npy([1, 2, 3, 4, np.nan]), ("entry 4", "nan")),
        (h5("B", [np.nan] * 5), ("g.h5:B, entry 0", "nan")),
        (text("1\n2\nx\n4\n5"), ("line 3", "'x' is not a number")),
        (text("1,2,3,4,5"), ("line 1", "is not a number")),
        (text(b"1\n2\n\xff"), ("line 3", "not UTF-8")),
        (npy(np.zeros((5, 5))), ("one dimension", "(5, 5)")),
        (npy(np.zeros(5) * 1j), ("complex128",)),
        (npz(a=FIELD, b=FIELD), ("one array", "a, b")),
        (sparse_npz(matrix()), ("sparse",)),
        (lambda folder: str(folder / "g.txt"), ("No such file",)),
        (folder_instead, ("directory",)),
        (lambda folder: h5("B", FIELD)(folder).replace(":B", ":C"), ("no data set 'C'", "holds B")),
        (text("1", "g.npy"), ("cannot be read",)),
    ],
)
def test_bad_fields(write: Writer, words: tuple[str, ...], tmp_path: Path) -> None:
    path = write(tmp_path)
    with pytest.raises(GraphFileError) as caught:
        read_field(path, 5)
    assert all(word in str(caught.value) for word in (path.partition(".h5:")[0], *words)), caught.value
    assert one_sentence(str(caught.value))


@pytest.mark.parametrize("form", ["one a line", "npy", "npz", "h5"])
def test_field_too_large(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = FIELDS[form](tmp_path)
    monkeypatch.setattr(arrayfile, "available_memory", lambda: 10)
    with pytest.raises(GraphFileError, match="is too large"):
        read_field(path, 5)
