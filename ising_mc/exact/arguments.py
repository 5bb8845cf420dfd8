"""What the exact values take: temperatures, couplings and bonds, checked."""

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray: TypeAlias = NDArray[np.float64]
Couplings: TypeAlias = float | tuple[float, float]


def as_temperatures(T: ArrayLike) -> FloatArray:
    """The temperatures as an array of their shape; ValueError unless all are positive and finite."""
    temperatures = np.asarray(T, dtype=np.float64)
    if not np.all((temperatures > 0.0) & np.isfinite(temperatures)):
        raise ValueError("temperatures must be positive and finite")
    return temperatures


def one_each(values: ArrayLike, count: int, name: str) -> list[float]:
    """One number for all or `count` of them, as a list of `count`; ValueError for anything else."""
    array = np.asarray(values, dtype=np.float64)
    if array.shape not in ((), (count,)) or not np.all(np.isfinite(array)):
        raise ValueError(f"{name} must be one finite number, or {count} of them")
    return [float(value) for value in np.broadcast_to(array, count)]


def check_sides(*sides: int) -> None:
    """ValueError for a periodic side shorter than 2."""
    if min(sides) < 2:
        raise ValueError(f"a periodic lattice needs sides of at least 2, not {min(sides)}")


def nonzero(J: Couplings) -> tuple[float, float]:
    """Moduli of one coupling (twice), or of the two along the axes; ValueError where one is 0."""
    x, y = map(abs, one_each(J, 2, "J"))
    if x == 0.0 or y == 0.0:
        raise ValueError("a coupling of 0 leaves no lattice")
    return x, y


def as_bonds(n_sites: int, bonds: ArrayLike) -> NDArray[np.int64]:
    """Pairs of sites as an array (m, 2); ValueError for sites that do not exist and for loops."""
    pairs = as_pairs(n_sites, bonds)
    if np.any(pairs[:, 0] == pairs[:, 1]):
        raise ValueError("a bond joins a site with itself")
    return pairs


def as_pairs(n_sites: int, bonds: ArrayLike) -> NDArray[np.int64]:
    """The same, where both numbers may be the same."""
    pairs = np.asarray(bonds)
    if pairs.size == 0:
        return np.empty((0, 2), dtype=np.int64)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or not np.issubdtype(pairs.dtype, np.integer):
        raise ValueError("bonds must be pairs of whole numbers, of shape (m, 2)")
    if pairs.min() < 0 or pairs.max() >= n_sites:
        raise ValueError(f"bonds name sites {pairs.min()} to {pairs.max()}; there are 0 to {n_sites - 1}")
    return pairs.astype(np.int64)
