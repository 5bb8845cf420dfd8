"""Lattices: their sizes, bonds and names.  A new lattice is one class or function here and one row in the tests."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Square:
    """Periodic square lattice of `rows` x `columns` sites; a side of 2 has two bonds between the same two sites.

    Raises ValueError for a side shorter than 2.
    """

    rows: int
    columns: int

    def __post_init__(self) -> None:
        if min(self.rows, self.columns) < 2:
            raise ValueError(f"a periodic side needs at least 2 sites, not {self.rows} x {self.columns}")

    @property
    def n_sites(self) -> int:
        """Number of sites N."""
        return self.rows * self.columns

    @property
    def n_bonds(self) -> int:
        """Number of bonds, 2 N."""
        return 2 * self.n_sites

    @property
    def label(self) -> str:
        """Name of the system in result files: L32, or L48x32 for a rectangle."""
        return f"L{self.rows}" if self.rows == self.columns else f"L{self.rows}x{self.columns}"
