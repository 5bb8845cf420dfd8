"""The Ising model: H = - sum_bonds J_ij s_i s_j - mu sum_i B_i s_i, with couplings and fields on a lattice or graph.

A `System` says what is to be simulated, small and hashable; `realize` draws or reads its couplings and fields.
"""

import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ising_mc import streams
from ising_mc.graphfile import GraphData
from ising_mc.lattices import Graph, Lattice
from ising_mc.observables import Facts

Floats = NDArray[np.float64]

RANDOM_COUPLINGS = ("pm_j", "gaussian")
RANDOM_FIELDS = ("gaussian", "bimodal")
FEW_MODULI = 3  # of the couplings of a file: more are treated as real numbers
KEPT = 2  # realizations that are kept in memory


@dataclass(frozen=True)
class FileGraph:
    """A graph that a user gives; two are equal when their contents are."""

    path: str
    digest: str
    data: GraphData = field(compare=False, repr=False)

    kind = "file"
    size: tuple[int, ...] = ()
    periodic: tuple[bool, ...] = ()
    directions = 1
    dimension = 0
    is_bipartite = None

    @property
    def n_sites(self) -> int:
        """Number of sites N."""
        return self.data.n_sites

    @property
    def n_bonds(self) -> int:
        """Number of bonds."""
        return len(self.data.bonds)

    @property
    def label(self) -> str:
        """Name of the system in result files: that of the file."""
        return re.sub(r"[^\w.-]", "_", Path(self.path.split(":")[0]).stem).strip(".") or "graph"

    def graph(self, seed: np.random.SeedSequence | None = None) -> Graph:
        """The graph, without directions or coordinates."""
        axis = np.zeros(self.n_bonds, np.uint8)
        return Graph(self.n_sites, self.data.bonds, axis, np.zeros((self.n_sites, 0), np.int32))


Shape = Lattice | FileGraph


@dataclass(frozen=True)
class FileValues:
    """Numbers that a user gives, one a bond or one a site; two are equal when their contents are."""

    path: str
    digest: str
    values: Floats = field(compare=False, repr=False)


@dataclass(frozen=True)
class Couplings:
    """The couplings J_ij; on the complete graph they are scaled to give an energy proportional to N.

    uniform: J, one number or one a direction;  pm_j: +J[0] with probability p, else -J[0];  gaussian: mean and sigma;
    file: one value a bond, in the order of the graph;  maxcut: likewise, minus the weights.
    """

    kind: str = "uniform"
    J: tuple[float, ...] = (1.0,)
    p: float = 0.5
    mean: float = 0.0
    sigma: float = 1.0
    file: FileValues | None = None


@dataclass(frozen=True)
class Field:
    """The field mu B_i: uniform B, gaussian or bimodal (+B or -B) with strength B, or one value a site from a file."""

    kind: str = "uniform"
    B: float = 0.0
    mu: float = 1.0
    file: FileValues | None = None

    @property
    def uniform(self) -> float | None:
        """mu B where that is one number for all sites."""
        if self.kind == "uniform" or (self.mu * self.B == 0 and self.kind != "file"):
            return self.mu * self.B
        return None


@dataclass(frozen=True)
class System:
    """What is simulated: a shape, its couplings and fields, and which sample of the disorder, if any."""

    shape: Shape
    couplings: Couplings = Couplings()
    field: Field = Field()
    sample: int | None = None

    @property
    def family(self) -> str:
        """What samples of one disorder have in common: L8."""
        return self.shape.label

    @property
    def label(self) -> str:
        """Name of the system in result files: L32, or L8_d003 for sample 3 of the disorder."""
        return self.family if self.sample is None else f"{self.family}_d{self.sample:03d}"

    @property
    def n_sites(self) -> int:
        """Number of sites N."""
        return self.shape.n_sites

    @property
    def is_random(self) -> bool:
        """Whether couplings, fields or the graph are drawn at random."""
        return (
            self.couplings.kind in RANDOM_COUPLINGS
            or (self.field.kind in RANDOM_FIELDS and self.field.uniform is None)
            or self.shape.kind == "random_regular"
        )

    @property
    def facts(self) -> Facts:
        """What the analysis of its time series needs to know."""
        in_field = self.field.uniform != 0
        return Facts(self.n_sites, self.shape.n_bonds, self.shape.size, in_field, self.sample is not None)

    @property
    def moduli(self) -> tuple[float, ...] | None:
        """The few values of |J|, or None where J is real: drawn from a Gaussian, or of many values in a file."""
        scale = self.coupling_scale
        if self.couplings.kind == "gaussian":
            return None
        if self.couplings.file is not None:
            found = np.unique(np.abs(self.couplings.file.values))
            return tuple(found.tolist()) if len(found) <= FEW_MODULI else None
        return tuple(sorted({scale * abs(J) for J in self.couplings.J}))

    @property
    def coupling_scale(self) -> float:
        """Factor of the couplings: on the complete graph 1/N for uniform ones, 1/sqrt(N) for random ones, else 1."""
        if self.shape.kind != "complete" or self.couplings.file is not None:
            return 1.0
        return 1 / self.n_sites if self.couplings.kind == "uniform" else self.n_sites**-0.5


@dataclass(frozen=True, eq=False)
class Realization:
    """A system with all its numbers: the graph, J (m,) of each bond, h = mu B (n,) of each site."""

    graph: Graph
    J: Floats
    h: Floats

    def energy(self, spins: NDArray[Any]) -> Floats:
        """Total energy H of states, (..., n) of +1 and -1."""
        bonds = self.graph.bonds
        return np.asarray(-(spins[..., bonds[:, 0]] * spins[..., bonds[:, 1]]) @ self.J - spins @ self.h, np.float64)


@lru_cache(KEPT)
def realize(system: System, seed: int) -> Realization:
    """Draw or read the couplings and fields of a system; the same ones whenever and wherever it is asked for.

    seed: the run's.  Raises ValueError where a random graph cannot be made.
    """
    label = system.label
    graph = system.shape.graph(streams.sequence(seed, label, 0.0, 0, streams.GRAPH))
    rng = np.random.Generator(np.random.SFC64(streams.sequence(seed, label, 0.0, 0, streams.COUPLINGS)))
    J = np.asarray(system.coupling_scale * _couplings(system.couplings, graph, rng), np.float64)
    rng = np.random.Generator(np.random.SFC64(streams.sequence(seed, label, 0.0, 0, streams.FIELDS)))
    return Realization(graph, J, _fields(system.field, graph.n_sites, rng))


def _couplings(own: Couplings, graph: Graph, rng: np.random.Generator) -> Floats:
    m = len(graph.bonds)
    if own.file is not None:
        return own.file.values
    if own.kind == "gaussian":
        return own.mean + own.sigma * rng.standard_normal(m)
    if own.kind == "pm_j":
        return np.where(rng.random(m) < own.p, own.J[0], -own.J[0])
    return np.asarray(own.J, np.float64)[graph.axis] if len(own.J) > 1 else np.full(m, own.J[0])


def _fields(own: Field, n: int, rng: np.random.Generator) -> Floats:
    if own.kind == "file":
        assert own.file is not None
        return own.mu * own.file.values
    if own.kind == "gaussian":
        return own.mu * own.B * rng.standard_normal(n)
    if own.kind == "bimodal":
        return np.where(rng.random(n) < 0.5, own.mu * own.B, -own.mu * own.B)
    return np.full(n, own.mu * own.B)
