"""Graphs and fields from files: text, NumPy, SciPy and HDF5.  Every error is one sentence that names file and place.

A graph is a list of bonds, or a symmetric matrix with a zero diagonal; a field is one value a site.  Nothing is
repaired: what is wrong is refused, and where a first line may be header or bond, a warning says how it was read.
"""

from array import array
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

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
    lines_of,
    load_text,
    only,
    read_binary,
    read_values,
    said,
    to_float,
    wrong,
)
from ising_mc.arrayfile import available_memory as available_memory

LARGEST_SITES = 2**31 - 1
BOND_BYTES = 80  # of memory that a bond of a list, or an entry of a sparse matrix, takes
BLOCK = 1 << 22  # entries of a matrix looked at in one go
Where = Callable[[int], str]  # the place of a bond, which is counted from 0 in the order of the file
GraphFileError = DataFileError


@dataclass(frozen=True, eq=False)
class GraphData:
    """A graph as its file describes it.

    bonds: (m, 2), each bond once, i < j, sorted by (i, j), sites counted from 0;  couplings: (m,), None where the
    file has none;  warnings: sentences on what can be understood in two ways.
    """

    n_sites: int
    bonds: NDArray[np.int32]
    couplings: NDArray[np.float64] | None
    warnings: tuple[str, ...] = ()


def read_graph(path: Path | str, *, one_based: bool = False, n_sites: int | None = None) -> GraphData:
    """Read a graph; the ending of the name decides how.

    path: text with lines `i j` or `i j J` (.csv: with commas), where a first line `n m` (sites, bonds) and # comments
    are allowed;  .npy or `file.h5:dataset`, a matrix (n, n) or a table of bonds (m, 2) or (m, 3);  .npz, one such
    array, or arrays i, j and J (m,), or a sparse matrix of scipy.sparse.save_npz.
    one_based: whether bonds count the sites from 1; of no effect on a matrix.
    n_sites: must agree with the file, and decides where the file is silent; left out: the largest site number does.
    A zero of a matrix is no bond; a bond of coupling 0 in a list is one.
    Raises GraphFileError.
    """
    name = str(path)
    if n_sites is not None and not 1 <= n_sites <= LARGEST_SITES:
        raise GraphFileError(f"{name}: n_sites must be from 1 to {LARGEST_SITES}, not {n_sites}")
    base = int(one_based)
    content = read_binary(name)
    if content is None:
        return _from_text(name, base, n_sites)
    if set(content) in ({"i", "j"}, {"i", "j", "J"}):
        columns = [content[key] for key in ("i", "j", "J") if key in content]
        shapes = [column.shape for column in columns]
        if columns[0].ndim != 1 or len(set(shapes)) > 1:
            raise GraphFileError(f"{name}: its arrays i, j and J must be of one length, not of shapes {shapes}")
        return _from_bonds(name, columns, lambda k: f"{name}, entry {k} (counted from 0)", base, n_sites)
    array = only(name, content, "one array, a sparse matrix of scipy.sparse.save_npz, or arrays i, j and J")
    if not isinstance(array, np.ndarray):
        return _from_sparse(name, array, n_sites)
    if array.ndim != 2 or (array.shape[0] != array.shape[1] and array.shape[1] not in (2, 3)):
        raise GraphFileError(f"{name} must be a square matrix or a table of 2 or 3 columns, not of shape {array.shape}")
    # a table of two or three bonds is square as well, but never symmetric with a zero diagonal
    if array.shape[0] != array.shape[1] or (len(array) in (2, 3) and array.diagonal().any()):
        return _from_bonds(name, list(array.T), lambda k: f"{name}, row {k} (counted from 0)", base, n_sites)
    return _from_dense(name, array, n_sites)


def read_field(path: Path | str, n_sites: int) -> NDArray[np.float64]:
    """Read a field, (n_sites,) in the order of the sites, as `read_values` does.

    Raises GraphFileError.
    """
    return read_values(path, n_sites, "site")


def _columns_of_text(name: str, comma: str | None, count: int, skip: int) -> list[Array]:
    """The columns of a text after some lines: NumPy reads them, or a slower way that names the line of an error."""
    for kind in (np.int32, np.float64):  # the second takes 1.0 for a site
        table = load_text(name, [("i", kind), ("j", kind), ("J", np.float64)][:count], comma, skip, 1)
        if table is not None:
            return [table[key] for key in "ijJ"[:count]]
    values = array("d")
    for number, tokens in lines_of(name, comma):
        if number <= skip:
            continue
        if len(tokens) != count:
            raise GraphFileError(f"{name}, line {number}: it has {len(tokens)} columns, where others have {count}")
        values.extend([to_float(name, number, token) for token in tokens])
    return list(np.array(values).reshape(-1, count).T)


def _from_text(name: str, base: int, n_sites: int | None) -> GraphData:
    comma = check_text(name)
    lines = list(islice(lines_of(name, comma), 2))
    if not lines:
        raise GraphFileError(f"{name} holds no bonds")
    number, first = lines[0]
    place = f"{name}, line {number}"
    headed = [len(tokens) for _, tokens in lines] == [2, 3]  # where all have two columns, the numbers decide
    if len(first) not in (2, 3):
        by = "commas" if comma else "white space (name the file .csv if by commas)"
        raise GraphFileError(
            f"{place}: the number of columns must be 2 (i j) or 3 (i j J), not {len(first)}; they are separated by {by}"
        )
    table = _columns_of_text(name, comma, 3 if headed else len(first), number if headed else 0)
    header = [to_float(name, number, token) for token in first]
    found: list[str] = []
    if len(table) == 2 and len(table[0]) > 1:
        headed, found = _is_header(place, table, base, n_sites)
        if headed:
            table = [column[1:] for column in table]

    def where(k: int) -> str:
        return f"{name}, line {next(islice(lines_of(name, comma), k + headed, None))[0]}"

    if headed:
        n, m = header
        if not (n.is_integer() and 1 <= n <= LARGEST_SITES):
            raise GraphFileError(
                f"{place}: the number of sites must be a whole number from 1 to {LARGEST_SITES}, not {said(n)}"
            )
        if m != len(table[0]):
            raise GraphFileError(f"{place}: it announces {said(m)} bonds, but {len(table[0])} follow")
        _agree(place, int(n), n_sites)
        n_sites = int(n)
    return _from_bonds(name, table, where, base, n_sites, found)


def _is_header(place: str, table: list[Array], base: int, n_sites: int | None) -> tuple[bool, list[str]]:
    """Whether the first line of two columns is a header, and what to warn of."""
    (n, m), (i, j) = (float(column[0]) for column in table), (column[1:] for column in table)
    if not max(i.max(), j.max()) < n + base:
        return False, []
    line = f"'{said(n)} {said(m)}'"
    if m != len(i):
        if np.any((i == m) | (j == m)):  # so m is a site, as others are
            return False, []
        raise GraphFileError(
            f"{place}: {line} would be a header of {said(m)} bonds, but {len(i)} follow; if it is a bond, put it on a "
            "later line"
        )
    limit = n_sites + base if n_sites else np.inf
    known = np.any(((i == n) & (j == m)) | ((i == m) & (j == n)))
    if n == m or min(n, m) < base or max(n, m) >= limit or known:
        return True, []
    return True, [f"{place}: {line} is read as the numbers of sites and bonds; if it is a bond, put it on a later line"]


def _from_bonds(
    name: str, columns: list[Array], where: Where, base: int, n_sites: int | None, found: list[str] | None = None
) -> GraphData:
    """A graph from columns i, j and, maybe, J, (m,) each, where sites count from `base`."""
    if not len(columns[0]):
        raise GraphFileError(f"{name} holds no bonds")
    check_room(name, BOND_BYTES * len(columns[0]))
    top = (LARGEST_SITES if n_sites is None else n_sites) + base
    i, j = (_sites(column, where, base, top, n_sites) for column in columns[:2])
    couplings = columns[2] if len(columns) == 3 else None
    if couplings is not None and (k := first_true(beyond(couplings))) is not None:
        raise GraphFileError(f"{where(k)}: {wrong('coupling', couplings[k])}")
    if (k := first_true(i == j)) is not None:
        raise GraphFileError(f"{where(k)}: site {i[k] + base} is bonded to itself")
    if n_sites is None:
        n_sites = int(max(i.max(), j.max())) + 1
        if not base and min(i.min(), j.min()) > 0:
            found = [*(found or []), f"{name}: no bond has site 0; if the file counts from 1, set one_based = true"]
    low, high = np.minimum(i, j), np.maximum(i, j)
    keys = low * np.int64(n_sites)
    keys += high
    if not np.all(keys[1:] > keys[:-1]):
        order = _argsort(keys)
        low, high = low[order], high[order]
        if (k := first_true((low[1:] == low[:-1]) & (high[1:] == high[:-1]))) is not None:
            one, two = sorted(order[k : k + 2].tolist())
            raise GraphFileError(
                f"{where(two)}: the bond {i[two] + base} {j[two] + base} must stand once, "
                f"but it is in {where(one).removeprefix(f'{name}, ')} already"
            )
        couplings = couplings[order] if couplings is not None else None
    return GraphData(
        n_sites,
        np.column_stack((low, high)),
        None if couplings is None else np.ascontiguousarray(couplings, np.float64),
        tuple(found or ()),
    )


def _argsort(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """The order of the keys; they are overwritten, for a sort in place is faster than np.argsort."""
    bits = len(keys).bit_length()
    if keys.max() >= 1 << (63 - bits):
        return np.argsort(keys)
    keys <<= bits
    keys |= np.arange(len(keys))
    keys.sort()
    keys &= (1 << bits) - 1
    return keys


def _sites(column: Array, where: Where, base: int, top: int, n_sites: int | None) -> NDArray[np.int32]:
    """Site numbers of a file, from `base` to below `top`, as numbers from 0."""
    if column.dtype.kind != "i":
        column = column.astype(np.float64)
        if (k := first_true(column != np.floor(column))) is not None:
            raise GraphFileError(f"{where(k)}: site number {said(column[k])} is not a whole number")
    if (k := first_true((column < base) | (column >= top))) is not None:
        site = said(column[k])
        if column[k] < base:
            why = "is negative" if column[k] < 0 else "must not be, as one_based = true counts from 1"
            raise GraphFileError(f"{where(k)}: site number {site} {why}")
        hint = "; if the file counts from 1, set one_based = true" if column[k] == n_sites and not base else ""
        numbers = f"{top - base} sites have the numbers {base} to {top - 1}"
        raise GraphFileError(f"{where(k)}: site number {site} is too large, as {numbers}{hint}")
    return (column - base).astype(np.int32)


def _from_dense(name: str, matrix: Array, n_sites: int | None) -> GraphData:
    """A graph from a symmetric matrix (n, n) with a zero diagonal, looked at in blocks of rows."""
    n = len(matrix)
    _agree(name, n, n_sites)
    height = max(1, BLOCK // max(n, 1))
    blocks = [slice(k, min(k + height, n)) for k in range(0, n, height)]
    for rows in blocks:
        if (k := first_true(beyond(matrix[rows]))) is not None:
            i, j = rows.start + k // n, k % n
            raise GraphFileError(f"{name}, entry ({i}, {j}): {wrong('coupling', matrix[i, j])}")
    if (k := first_true(matrix.diagonal() != 0)) is not None:
        raise GraphFileError(_diagonal(name, k, matrix[k, k]))
    for rows in blocks:
        if (k := first_true(matrix[rows] != matrix[:, rows].T)) is not None:
            i, j = rows.start + k // n, k % n
            lower = any(np.tril(matrix[part], part.start - 1).any() for part in blocks)
            upper = any(np.triu(matrix[part], part.start + 1).any() for part in blocks)
            raise GraphFileError(_asymmetry(name, i, j, matrix[i, j], matrix[j, i], lower and upper))
    m = int(np.count_nonzero(matrix)) // 2
    check_room(name, 16 * m)
    bonds, couplings = np.empty((m, 2), np.int32), np.empty(m)
    end = 0
    for rows in blocks:
        above, right = np.nonzero(np.triu(matrix[rows], rows.start + 1))
        part = slice(end, end + len(above))
        bonds[part, 0], bonds[part, 1] = above + rows.start, right
        couplings[part] = matrix[rows][above, right]
        end = part.stop
    return _of_matrix(name, n, bonds, couplings)


def _from_sparse(name: str, matrix: Any, n_sites: int | None) -> GraphData:
    """A graph from a symmetric matrix of scipy.sparse with a zero diagonal."""
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise GraphFileError(f"{name} must be a square matrix, not of shape {matrix.shape}")
    n = matrix.shape[0]
    _agree(name, n, n_sites)
    check_room(name, 8 * n + BOND_BYTES * matrix.nnz)
    with damage_told(name, "a sparse matrix"):
        if hasattr(matrix, "check_format"):
            matrix.check_format(full_check=True)
        entries = matrix.tocoo()
    if (k := first_true(beyond(entries.data))) is not None:
        place = f"entry ({entries.row[k]}, {entries.col[k]})"
        raise GraphFileError(f"{name}, {place}: {wrong('coupling', entries.data[k])}")
    entries.eliminate_zeros()
    if (k := first_true(entries.row == entries.col)) is not None:
        raise GraphFileError(_diagonal(name, entries.row[k], entries.data[k]))
    rows = entries.tocsr()
    if rows.nnz < entries.nnz:
        keys = np.sort(entries.row.astype(np.int64) * n + entries.col)
        i, j = divmod(int(keys[1:][keys[1:] == keys[:-1]][0]), n)
        raise GraphFileError(f"{name}, entry ({i}, {j}): it is there twice; sum_duplicates() adds such entries")
    columns = rows.T.tocsr()
    if not all(np.array_equal(getattr(rows, part), getattr(columns, part)) for part in ("indptr", "indices", "data")):
        different = (rows != columns).tocoo()
        i, j = divmod(int((different.row.astype(np.int64) * n + different.col).min()), n)
        both = (entries.row < entries.col).any() and (entries.row > entries.col).any()
        raise GraphFileError(_asymmetry(name, i, j, rows[i, j], rows[j, i], bool(both)))
    i = np.repeat(np.arange(n, dtype=np.int32), np.diff(rows.indptr))
    upper = i < rows.indices
    bonds = np.column_stack((i[upper], rows.indices[upper].astype(np.int32)))
    return _of_matrix(name, n, bonds, rows.data[upper].astype(np.float64))


def _of_matrix(name: str, n: int, bonds: NDArray[np.int32], couplings: NDArray[np.float64]) -> GraphData:
    if not len(bonds):
        raise GraphFileError(f"{name} holds no bonds: all its entries are 0")
    return GraphData(n, bonds, couplings)


def _agree(place: str, n: int, n_sites: int | None) -> None:
    if n > LARGEST_SITES:
        raise GraphFileError(f"{place}: it has {n} sites, but {LARGEST_SITES} are the most")
    if n_sites not in (None, n):
        raise GraphFileError(f"{place}: it has {n} sites, but n_sites is {n_sites}")


def _diagonal(name: str, i: int, value: Any) -> str:
    return f"{name}, entry ({i}, {i}): the diagonal must be 0, not {said(value)}, for no site is bonded to itself"


def _asymmetry(name: str, i: int, j: int, a: Any, b: Any, both: bool) -> str:
    way = "" if both else ": only one triangle is filled, so add the transpose, A + A.T"
    return (
        f"{name} is not symmetric and nothing is symmetrised: entry ({i}, {j}) is {said(a)}, "
        f"entry ({j}, {i}) is {said(b)}{way}"
    )
