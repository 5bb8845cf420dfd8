"""Lattices and graphs: their sizes, bonds and names.  A new lattice is one row of `KINDS` and one row in the tests."""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

LARGEST_SITES = 2**31 - 1  # sites are numbered with 32 bits
SWITCHING = 10**6  # bonds looked at while a random regular graph is mixed
Step = tuple[tuple[int, ...], int, int]  # from a cell to another one; site in the first cell, site in the other
Pairs = Callable[[int, int, np.random.SeedSequence | None], NDArray[np.int32]]


@dataclass(frozen=True, eq=False)
class Graph:
    """Sites and bonds of one system.

    bonds: (m, 2), both ends of each bond, each bond once; on lattices direction after direction, from the site where
    the step of that direction starts to the one where it ends.  Two bonds between the same sites are listed both.
    axis: (m,), the direction of each bond.  cells: (n_sites, d), coordinates of each site's cell along the d axes.
    """

    n_sites: int
    bonds: NDArray[np.int32]
    axis: NDArray[np.uint8]
    cells: NDArray[np.int32]


@dataclass(frozen=True)
class Kind:
    """A row of the table.

    sides: how many sides it may have.  steps: the bonds that belong to a cell, one a direction; left out, one along
    each axis.  basis: sites of a cell.  pairs: the bonds (m, 2) of a graph without cells, from its number of sites,
    its degree and a seed.
    """

    sides: range
    steps: tuple[Step, ...] = ()
    basis: int = 1
    pairs: Pairs | None = None


@dataclass(frozen=True)
class Lattice:
    """A lattice of given kind, size and boundary, or a graph of given kind and number of sites.

    kind: chain, square, triangular, honeycomb, cubic, hypercubic (1 to 8 sides), random_regular or complete.
    size: cells along each axis; (number of sites,) for random_regular and complete.
    periodic: one a side; () for random_regular and complete, which have no boundary.
    degree: neighbours of each site, for random_regular only.

    Sites are numbered row-major over the cells, on the honeycomb lattice cell * 2 + (0 or 1).  Directions are the axes;
    the triangular lattice has the step (+1, -1) as its third, between axes that enclose 60 degrees.  In the same axes
    site 0 of a honeycomb cell is bonded to site 1 of its own cell (direction 0) and of the cells one step back along
    the first (1) and second (2) axis, so that the sites 0 alone form that triangular lattice.

    A periodic side has at least 2 cells.  Where it has 2, the chain, square, cubic, hypercubic and triangular lattice
    have two bonds between the same sites along it (with two such sides also along the triangular lattice's third
    direction), and both count; from 3 on, and on the honeycomb lattice always, no two bonds join the same sites.

    Raises ValueError for an unknown kind and for whatever the kind does not have or allow.
    """

    kind: str
    size: tuple[int, ...]
    periodic: tuple[bool, ...] = ()
    degree: int = 0

    def __post_init__(self) -> None:
        _check_sides(self.kind, self.size)
        sides = "x".join(map(str, self.size))
        if len(self.periodic) != self.dimension or not all(isinstance(value, bool) for value in self.periodic):
            raise ValueError(
                f"{self.kind} of {self.dimension} axes takes as many booleans in periodic, not {self.periodic}"
            )
        if any(periodic and side < 2 for side, periodic in zip(self.size, self.periodic, strict=False)):
            raise ValueError(f"a periodic side needs at least 2 cells, an open one 1, not {sides}")
        if self.kind != "random_regular":
            if self.degree != 0:
                raise ValueError(f"degree goes with random_regular, not with {self.kind}")
        elif not 1 <= self.degree < self.n_sites or self.n_sites * self.degree % 2:
            raise ValueError(
                f"random_regular needs a degree from 1 to one less than its number of sites, {self.n_sites}, and an "
                f"even product of the two, not degree {self.degree}"
            )
        if self.n_bonds == 0:
            raise ValueError(f"{self.kind} {sides} with such a boundary has no bond")

    @property
    def n_sites(self) -> int:
        """Number of sites N."""
        return KINDS[self.kind].basis * prod(self.size)

    @property
    def n_bonds(self) -> int:
        """Number of bonds."""
        if KINDS[self.kind].pairs:
            return self.n_sites * (self.degree or self.n_sites - 1) // 2
        return sum(prod(self._starts(offset)) for offset, _, _ in self._steps)

    @property
    def dimension(self) -> int:
        """Number of axes; 0 for random_regular and complete."""
        return count_axes(self.kind, self.size)

    @property
    def directions(self) -> int:
        """Number of bond directions, each of which may have its own coupling; 1 for random_regular and complete."""
        return len(self._steps) or 1

    @property
    def coordination(self) -> int:
        """Bonds of a site away from open boundaries."""
        kind = KINDS[self.kind]
        return (self.degree or self.n_sites - 1) if kind.pairs else 2 * self.directions // kind.basis

    @property
    def offsets(self) -> tuple[tuple[int, ...], ...]:
        """Cells from the first to the second end of a bond, along each axis, for each direction."""
        return tuple(offset for offset, _, _ in self._steps)

    @property
    def label(self) -> str:
        """Name of the system in result files: L32, L48x32 where the sides differ, N1000 where there are none."""
        if self.dimension == 0:
            return f"N{self.n_sites}"
        sides = self.size[:1] if len(set(self.size)) == 1 else self.size
        return "L" + "x".join(map(str, sides))

    @property
    def is_bipartite(self) -> bool | None:
        """Whether the sites fall into two classes such that all bonds join one to the other; None: not known."""
        if KINDS[self.kind].pairs:
            return None
        if all(one != other for _, one, other in self._steps):
            return True
        if all(sum(offset) % 2 for offset, _, _ in self._steps):  # chequered, unless a way around has odd length
            return not any(periodic and side % 2 for side, periodic in zip(self.size, self.periodic, strict=True))
        return None

    def graph(self, seed: np.random.SeedSequence | None = None) -> Graph:
        """Sites and bonds.

        seed: for random_regular, which needs one (ValueError); of no effect on the others.  Raises ValueError for more
        sites than can be numbered with 32 bits.
        """
        if self.n_sites > LARGEST_SITES:
            raise ValueError(f"{self.label} has {self.n_sites} sites; at most {LARGEST_SITES} can be numbered")
        pairs, basis = KINDS[self.kind].pairs, KINDS[self.kind].basis
        if pairs:
            bonds = pairs(self.n_sites, self.degree, seed)
            cells = np.zeros((self.n_sites, 0), np.int32)
            return Graph(self.n_sites, bonds, np.zeros(len(bonds), np.uint8), cells)
        cell = np.arange(prod(self.size), dtype=np.int32).reshape(self.size)
        bonds, axis = np.empty((self.n_bonds, 2), np.int32), np.empty(self.n_bonds, np.uint8)
        begin = 0
        for direction, (offset, one, other) in enumerate(self._steps):
            starts = tuple(map(slice, *self._range(offset)))
            end = begin + prod(self._starts(offset))
            arrival = np.roll(cell, [-o for o in offset], tuple(range(self.dimension)))
            bonds[begin:end, 0] = basis * cell[starts].ravel() + one
            bonds[begin:end, 1] = basis * arrival[starts].ravel() + other
            axis[begin:end] = direction
            begin = end
        coordinates = np.empty((*self.size, basis, self.dimension), np.int32)
        for k, side in enumerate(self.size):
            shape = [side if axis_ == k else 1 for axis_ in range(self.dimension)]
            coordinates[..., k] = np.arange(side, dtype=np.int32).reshape(*shape, 1)
        return Graph(self.n_sites, bonds, axis, coordinates.reshape(self.n_sites, self.dimension))

    @property
    def _steps(self) -> tuple[Step, ...]:
        unit = np.eye(self.dimension, dtype=int).tolist()
        return KINDS[self.kind].steps or tuple((tuple(row), 0, 0) for row in unit)

    def _range(self, offset: tuple[int, ...]) -> tuple[list[int], list[int]]:
        """First and last (exclusive) cell, along each axis, from which the step leads to a cell that exists."""
        first = [0 if periodic else max(0, -o) for o, periodic in zip(offset, self.periodic, strict=True)]
        missing = [0 if periodic else max(0, o) for o, periodic in zip(offset, self.periodic, strict=True)]
        return first, [side - less for side, less in zip(self.size, missing, strict=True)]

    def _starts(self, offset: tuple[int, ...]) -> list[int]:
        """Number of such cells along each axis."""
        return [last - first for first, last in zip(*self._range(offset), strict=True)]


def count_axes(kind: str, size: tuple[int, ...]) -> int:
    """Number of axes of a lattice of that kind and size; 0 for graphs without cells."""
    return 0 if KINDS[kind].pairs else len(size)


def parse_size(kind: str, value: int | list[int] | tuple[int, ...]) -> tuple[int, ...]:
    """Sides of a lattice of that kind: from one number, which is every side, or from a list of them.

    Raises ValueError where the kind is unknown, where it has another number of sides, and for sides below 1; also for
    one number where the kind does not tell the number of sides (hypercubic).
    """
    if isinstance(value, list | tuple):
        size = tuple(value)
    elif kind in KINDS and len(KINDS[kind].sides) > 1:
        raise ValueError(f"{kind} takes a list of its sides, not {value!r}: their number is its dimension")
    else:
        size = (value,) * (KINDS[kind].sides[0] if kind in KINDS else 1)
    _check_sides(kind, size)
    return size


def _check_sides(kind: str, size: tuple[int, ...]) -> None:
    if kind not in KINDS:
        raise ValueError(f"there is no lattice {kind!r}; there are {', '.join(KINDS)}")
    allowed = KINDS[kind].sides
    if len(size) not in allowed:
        count = str(allowed[0]) if len(allowed) == 1 else f"{allowed[0]} to {allowed[-1]}"
        raise ValueError(f"{kind} has {count} side{'s' * (allowed[-1] > 1)}, not {len(size)}")
    if not all(isinstance(side, int) and not isinstance(side, bool) and side >= 1 for side in size):
        raise ValueError(
            "sides must be whole numbers, periodic ones at least 2, open ones at least 1, not "
            + ", ".join(map(repr, size))
        )


# --- graphs without cells -----------------------------------------------------------------------------------


def _complete(n: int, degree: int, seed: np.random.SeedSequence | None) -> NDArray[np.int32]:
    """All pairs i < j, sorted."""
    partners = np.arange(n - 1, -1, -1)  # of each i among the higher ones
    begin = np.cumsum(partners) - partners
    bonds = np.empty((n * (n - 1) // 2, 2), np.int32)
    bonds[:, 0] = np.repeat(np.arange(n), partners)
    bonds[:, 1] = np.arange(len(bonds)) - begin[bonds[:, 0]] + bonds[:, 0] + 1
    return bonds


def _random_regular(n: int, degree: int, seed: np.random.SeedSequence | None) -> NDArray[np.int32]:
    """A random simple graph with `degree` bonds at each of n sites, i < j, sorted; it need not be connected.

    All ends of bonds are paired at random (the configuration model: B. Bollobas, Eur. J. Combin. 1, 311 (1980)).
    That leaves about (degree**2 - 1) / 4 loops and repeated bonds, whatever n; each is switched with a random bond
    (B. D. McKay and N. C. Wormald, J. Algorithms 11, 52 (1990), without their rejections, so that for finite n this
    graph is not quite uniform).  Sweeps of switches that keep the uniform distribution bring it closer to it: 100 of
    them up to 10**4 bonds, fewer on larger graphs, 2 from 5 * 10**5 bonds on, where next to nothing is left to mend.
    """
    if seed is None:
        raise ValueError("random_regular needs a seed")
    if 2 * degree > n - 1:  # in a dense graph next to no switch is possible, in what it leaves out many are
        sparse = _codes(_random_regular(n, n - 1 - degree, seed), n)
        bonds = _complete(n, 0, None)
        return bonds[~np.isin(_codes(bonds, n), sparse)]
    if degree == 0:
        return np.empty((0, 2), np.int32)
    generator = np.random.Generator(np.random.SFC64(seed))
    bonds = _pairing(generator, n, degree)
    while not _mend(bonds, n, generator):
        bonds = _pairing(generator, n, degree)
    for _ in range(max(2, min(100, SWITCHING // len(bonds)))):
        half = len(bonds) // 2
        order = _permutation(generator, len(bonds))
        turned = np.flatnonzero(generator.integers(0, 2**64, half, np.uint64) >> np.uint64(63))
        bonds[order[turned]] = bonds[order[turned], ::-1]
        _switch(bonds, n, order[:half], order[half : 2 * half], mending=False)
    bonds.sort(axis=1)
    return bonds[np.argsort(_codes(bonds, n))]


def _pairing(generator: np.random.Generator, n: int, degree: int) -> NDArray[np.int32]:
    """All ends of bonds, paired at random."""
    return (_permutation(generator, n * degree) // degree).astype(np.int32).reshape(-1, 2)


def _mend(bonds: NDArray[np.int32], n: int, generator: np.random.Generator) -> bool:
    """Switch loops and repeated bonds away; False where that fails, as it may on a few sites (all of them loops)."""
    for _ in range(100):
        faulty = _faulty(bonds, n)
        if len(faulty) == 0:
            return True
        partners = _permutation(generator, len(bonds))[: len(faulty)]
        sound = ~np.isin(partners, faulty)
        _switch(bonds, n, faulty[sound], partners[sound], mending=True)
    return False


def _switch(bonds: NDArray[np.int32], n: int, one: NDArray[np.int64], other: NDArray[np.int64], mending: bool) -> None:
    """Turn bonds a-b (rows `one`) and c-d (rows `other`, all rows different) into a-d and c-b, where that is allowed.

    It is where a-d and c-b are no loops and occur once among all bonds and all proposals; when the graph is simple
    already (not mending), where a-b and c-d do so, too.  Then the way back is allowed exactly where the way there is,
    since bonds and proposals together stay the same, and a sweep of random pairs keeps the uniform distribution.
    """
    new_one, new_other = bonds[one], bonds[other]
    new_one[:, 1], new_other[:, 1] = bonds[other, 1], bonds[one, 1]
    proposals = _codes(new_one, n), _codes(new_other, n)
    present = _codes(bonds, n)
    ordered = np.sort(np.concatenate([present, *proposals]))
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]

    def allowed(codes: NDArray[np.int64]) -> NDArray[np.bool_]:
        return np.asarray(~_among(codes, repeated) & (codes % n != codes // n))

    switched = allowed(proposals[0]) & allowed(proposals[1])
    if not mending:
        switched &= allowed(present[one]) & allowed(present[other])
    bonds[one[switched]], bonds[other[switched]] = new_one[switched], new_other[switched]


def _faulty(bonds: NDArray[np.int32], n: int) -> NDArray[np.int64]:
    """Rows of loops, and of bonds that an earlier row has already."""
    codes = _codes(bonds, n)
    order = np.argsort(codes, kind="stable")
    repeats = order[1:][codes[order[1:]] == codes[order[:-1]]]
    return np.union1d(repeats, np.flatnonzero(bonds[:, 0] == bonds[:, 1]))


def _codes(bonds: NDArray[np.int32], n: int) -> NDArray[np.int64]:
    """One number for each unordered pair of sites."""
    return np.asarray(bonds.min(axis=1).astype(np.int64) * n + bonds.max(axis=1))


def _among(values: NDArray[np.int64], ordered: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each value stands in a sorted array, which is usually very short."""
    if len(ordered) == 0:
        return np.zeros(len(values), np.bool_)
    return np.asarray(ordered[np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)] == values)


def _permutation(generator: np.random.Generator, length: int) -> NDArray[np.int64]:
    """Random order of 0 ... length - 1, from raw words: their sequence is the same in every version of numpy."""
    return np.argsort(generator.integers(0, 2**64, length, np.uint64), kind="stable")


KINDS: dict[str, Kind] = {
    "chain": Kind(range(1, 2)),
    "square": Kind(range(2, 3)),
    "triangular": Kind(range(2, 3), (((1, 0), 0, 0), ((0, 1), 0, 0), ((1, -1), 0, 0))),
    "honeycomb": Kind(range(2, 3), (((0, 0), 0, 1), ((-1, 0), 0, 1), ((0, -1), 0, 1)), basis=2),
    "cubic": Kind(range(3, 4)),
    "hypercubic": Kind(range(1, 9)),
    "random_regular": Kind(range(1, 2), pairs=_random_regular),
    "complete": Kind(range(1, 2), pairs=_complete),
}
