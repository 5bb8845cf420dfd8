"""Observables beside energy and magnetization: what is counted while a system is sampled, and the time series of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ising_mc.ising import System
from ising_mc.kernels import observe
from ising_mc.lattices import Graph
from ising_mc.words import Series, by_replica

OBSERVABLES = ("staggered_magnetization", "structure_factor", "bond_energies", "overlap", "link_overlap")
OF_PAIRS = ("overlap", "link_overlap")  # of two replicas
MOST_SITES = 2**31
Array = NDArray[Any]
Work = tuple[Array, Array, Array, Array, Array]
NO_PAIRS = np.zeros((0, 2), np.uint64)
_NOBODY = np.zeros(0, np.int32)
NO_WORK: Work = (np.zeros((0, 4), np.int64), _NOBODY, _NOBODY, np.zeros(0, np.int64), NO_PAIRS)


def refusal(name: str, system: System, replicas: int, packing: str) -> str:
    """Why a system has no such observable, or an empty string."""
    shape = system.shape
    if packing == "sites":
        return "a lattice packed by sites measures energy and magnetization only; set algorithm.packing = 'replicas'"
    if name == "staggered_magnetization" and shape.is_bipartite is False:
        return f"the {shape.kind} lattice {shape.label} with these boundaries has no two sublattices (odd sides?)"
    if name == "structure_factor" and not any(shape.periodic):
        return f"{shape.label} has no periodic axis, and so no smallest wave vector"
    if name == "bond_energies" and not shape.dimension:
        return f"the bonds of {shape.label} have no directions"
    if name in OF_PAIRS and replicas < 2:
        return "an overlap takes two replicas at least; raise grid.replicas"
    return ""


@dataclass(frozen=True, eq=False)
class Observer:
    """What to count, as `kernels.observe` wants it, and how to read the counts.

    names: of OBSERVABLES;  chunks, first, second, weight: see the kernel;  rows: of the counts;  strengths: the energy
    of one count of `bond_energies`, of each direction.
    """

    system: System
    names: tuple[str, ...]
    chunks: Array
    first: Array
    second: Array
    weight: Array
    rows: int
    numbers: Array  # sites or bonds behind each row
    strengths: tuple[float, ...]
    weighted: bool

    def work(self, pairs: Array = NO_PAIRS) -> Work:
        """The arguments of the kernel; pairs: lanes whose overlap is wanted, where they are not 2k and 2k + 1."""
        return self.chunks, self.first, self.second, self.weight, pairs

    def series(self, counts: Array) -> Series:
        """Time series, (replica, measurement) or (pair, measurement) each, from counts (measurements, rows, 64)."""
        at, found = 0, Series()
        for name in self.names:
            rows = _rows(name, self.system)
            part, numbers = counts[:, at : at + rows], self.numbers[at : at + rows]
            if name == "staggered_magnetization":
                ups = part[:, 0] - part[:, 1]
                found[name] = _compact(2 * ups - (numbers[0] - numbers[1]))
            elif name == "structure_factor":
                place = 0
                for axis in periodic_axes(self.system):
                    side = self.system.shape.size[axis]
                    place += side
                    planes = 2.0 * part[:, place - side : place] - numbers[place - side : place, None]
                    phase = 2 * np.pi * np.arange(side) / side
                    wave = np.stack([np.cos(phase), np.sin(phase)]) @ planes  # (measurements, 2, lanes)
                    square = (wave**2).sum(1) / self.system.n_sites
                    found[f"{name}_axis{axis}"] = by_replica(square)
            elif name == "bond_energies":
                for axis in range(rows):
                    sums = part[:, axis] if self.weighted else numbers[axis] - 2 * part[:, axis]
                    found[f"bond_energy_axis{axis}"] = by_replica(-self.strengths[axis] * sums)
            else:
                found[name] = _compact(numbers[0] - 2 * part[:, 0, 0::2])
            at += rows
        return found


def _compact(values: Array) -> Array:
    """Small integers (measurements, lanes), replica by replica."""
    return by_replica(values.astype(np.int32))


def periodic_axes(system: System) -> list[int]:
    """Axes with a smallest wave vector."""
    return [axis for axis, periodic in enumerate(system.shape.periodic) if periodic]


def _rows(name: str, system: System) -> int:
    if name == "staggered_magnetization":
        return 2
    if name == "structure_factor":
        return sum(system.shape.size[axis] for axis in periodic_axes(system))
    return system.shape.directions if name == "bond_energies" else 1


def observer(
    system: System, names: Sequence[str], graph: Graph, J: Array, units: tuple[float, Array], sublattice: Array,
    rank: Array,
) -> Observer:  # fmt: skip
    """Plan what to count.

    names: of OBSERVABLES;  J: (m,), of each bond;  units: a unit, and J as integer numbers of it (m,);  sublattice:
    (n,) 0 or 1 (used for the staggered magnetization only);  rank: (n,) where the sampler keeps each site.
    """
    chunks: list[Array] = []
    first, second, weight = [], [], []
    numbers: list[int] = []
    placed = 0
    unit, weights = units
    moduli = [np.unique(np.abs(J[graph.axis == k])) for k in range(system.shape.directions)]
    weighted = any(len(own) > 1 for own in moduli)
    strengths = [unit if weighted else float(own.max(initial=0.0)) for own in moduli]

    def add(kind: int, groups: Array, count: int, bonds: bool) -> None:
        """Count by group: `groups` (n,) or (m,) sorts sites or bonds into `count` rows."""
        nonlocal placed
        order = np.argsort(groups, kind="stable")
        edges = np.searchsorted(groups[order], np.arange(count + 1))
        for k in range(count):
            begins = np.arange(edges[k], edges[k + 1], observe.CHUNK)
            lengths = np.minimum(edges[k + 1] - begins, observe.CHUNK)
            row = np.full(len(begins), len(numbers))
            chunks.append(np.column_stack((np.full(len(begins), kind), placed + begins, lengths, row)))
            numbers.append(int(edges[k + 1] - edges[k]))
        if bonds:
            first.append(rank[graph.bonds[order, 0]])
            second.append(rank[graph.bonds[order, 1]])
            weight.append(weights[order])
        else:
            first.append(rank[order])
            second.append(np.zeros(len(order), np.int32))
            weight.append(np.zeros(len(order), np.int64))
        placed += len(order)

    for name in names:
        if name == "staggered_magnetization":
            add(observe.UPS, sublattice, 2, False)
        elif name == "structure_factor":
            for axis in periodic_axes(system):
                add(observe.UPS, graph.cells[:, axis], system.shape.size[axis], False)
        elif name == "bond_energies":
            add(observe.WEIGHTED if weighted else observe.BONDS, graph.axis, system.shape.directions, True)
        elif name == "overlap":
            add(observe.OVERLAP, np.zeros(graph.n_sites, np.uint8), 1, False)
        else:
            add(observe.LINKS, np.zeros(len(graph.bonds), np.uint8), 1, True)
    return Observer(
        system,
        tuple(names),
        np.concatenate([np.zeros((0, 4), np.int64), *chunks]).astype(np.int64),
        np.concatenate([np.zeros(0, np.int32), *first]).astype(np.int32),
        np.concatenate([np.zeros(0, np.int32), *second]).astype(np.int32),
        np.concatenate([np.zeros(0, np.int64), *weight]).astype(np.int64),
        len(numbers),
        np.array(numbers, np.int64),
        tuple(strengths),
        weighted,
    )
