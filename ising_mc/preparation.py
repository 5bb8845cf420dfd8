"""The table of kernels: which systems each takes or refuses, and how its samplers are made ready."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import prod

import numpy as np

from ising_mc import observers
from ising_mc.clusters import ClusterTables, SwendsenWangSampler, WolffSampler
from ising_mc.ising import Realization, Shape, System, realize
from ising_mc.kernels import classes, graphs
from ising_mc.lattices import Graph, Lattice
from ising_mc.observers import Observer
from ising_mc.packed import Bonds, PackedSampler, PackedSiteSampler, Tables
from ising_mc.real import DenseSampler, DenseTables, FixedPoint, SparseSampler, SparseTables, fixed_point
from ising_mc.square import Model, ReplicaSampler, SiteSampler, Square, site_packing_refusal
from ising_mc.words import LANES, Sampler

MOST_SITES = 1 << 29  # of a lattice packed by replicas: its counts are 32-bit integers
MOST_DENSE_SITES = 1 << 15
REMEMBERED = 8  # shapes whose sublattices are known

LOCAL_UPDATES = ("metropolis", "heat_bath")
CLUSTER_UPDATES = ("swendsen_wang", "wolff")

MakeSampler = Callable[[float, str, int, int], Sampler]  # from temperature, update, replicas, threads


@dataclass(frozen=True)
class Kernel:
    """One way to sample: what makes its samplers, why it refuses a system (empty: it does not), what it is good for."""

    prepare: Callable[[System, int, tuple[str, ...]], MakeSampler]
    refusal: Callable[[System], str]
    packing: str
    what: str
    shared: bool = True  # whether threads can share a system
    updates: tuple[str, ...] = LOCAL_UPDATES

    @property
    def replicas_per_word(self) -> int:
        """Replicas that share a unit of work."""
        return LANES if self.packing == "replicas" else 1


# --- what each kernel takes ---------------------------------------------------------------------------------------


def _not_uniform(system: System) -> str:
    """Why a system is not one of few moduli |J| and a uniform field."""
    if system.moduli is None:
        return f"its couplings ({system.couplings.kind}) are of more than a few moduli"
    if system.field.uniform is None:
        return f"its field ({system.field.kind}) differs from site to site"
    return ""


def _refuse_square(system: System) -> str:
    shape = system.shape
    if shape.kind != "square" or not all(shape.periodic):
        return "it is for periodic square lattices only"
    if system.couplings.kind != "uniform" or len(set(system.couplings.J)) > 1:
        return "it is for one coupling only"
    return _not_uniform(system) or too_large(system)


def _refuse_square_sites(system: System) -> str:
    refusal = _refuse_square(system)
    return site_packing_refusal(_square(system)) if not refusal or refusal == too_large(system) else refusal


def too_large(system: System) -> str:
    """Why a system has too many sites for replicas in words, or an empty string."""
    if system.n_sites < MOST_SITES:
        return ""
    return f"packing by replicas takes 8 bytes a site and at most {MOST_SITES} sites, not {system.n_sites}"


def _refuse_packed(system: System) -> str:
    return _not_uniform(system) or _too_many_neighbours(system) or too_large(system)


def _too_many_neighbours(system: System) -> str:
    most = most_neighbours(system)
    if most > classes.MOST_NEIGHBOURS:
        return f"a site has {most} neighbours, more than {classes.MOST_NEIGHBOURS}"
    number = _local_configurations(system)
    if system.field.uniform == 0:
        number = number // 2 + 1  # mirror images cost and gain the same
    return f"a site has {number} energies, more than {classes.MOST_CLASSES}" if number > classes.MOST_CLASSES else ""


def _local_configurations(system: System) -> int:
    """In how many ways the bonds of a site, told apart by modulus, can be satisfied or not, at the most."""
    shape, couplings = system.shape, system.couplings
    assert system.moduli is not None
    if couplings.file is not None:
        bonds, J = shape.graph().bonds, np.abs(couplings.file.values)
        numbers = [np.bincount(bonds[modulus == J].ravel(), minlength=system.n_sites) for modulus in system.moduli]
        return int(np.prod([number + 1.0 for number in numbers], axis=0).max())
    if len(system.moduli) == 1:
        return most_neighbours(system) + 1
    each = most_neighbours(system) // shape.directions  # bonds of a site in each direction
    strengths = [abs(J) for J in couplings.J]
    return prod(each * strengths.count(J) + 1 for J in set(strengths))


def refuse_packed_sites(system: System) -> str:
    """Why a system cannot be packed by sites, or an empty string."""
    shape = system.shape
    if not isinstance(shape, Lattice) or not shape.periodic or not shape.periodic[0] or shape.size[0] % 128:
        return f"packing by sites needs a lattice whose first side is periodic and a multiple of 128, not {shape.label}"
    if system.couplings.kind != "uniform":
        return f"packing by sites needs couplings that are the same everywhere, not {system.couplings.kind} ones"
    return _not_uniform(system) or _too_many_neighbours(system)


def _refuse_sparse(system: System) -> str:
    return too_large(system)


def refuse_dense(system: System) -> str:
    """Why a matrix of couplings is too much, or an empty string."""
    if system.n_sites > MOST_DENSE_SITES:
        gigabytes = 4e-9 * system.n_sites**2
        return f"a matrix of {system.n_sites} x {system.n_sites} couplings takes {gigabytes:.3g} GB of memory"
    return ""


def memory_needed(system: System, kernel: str) -> int:
    """Bytes that the samplers of a system take, roughly: spins, tables, and the graph behind them."""
    n, m = system.n_sites, system.shape.n_bonds
    spins = 2 * n // 8 if KERNELS[kernel].packing == "sites" else 16 * n
    if kernel in ("square", "square_sites"):
        return spins + (1 << 18)
    if kernel == "packed_sites":
        n, m = n // 64, m // 64
    if kernel == "dense":
        return spins + 25 * m + 4 * n * n + 4 * LANES * n
    bond = {"packed": 70, "packed_sites": 70, "sparse": 200, "clusters": 200}[kernel]  # measured peaks, 80**3 sites
    return spins + bond * m + 40 * n + (1 << 18)


def most_neighbours(system: System) -> int:
    """The largest number of bonds of a site."""
    return _most_neighbours(system.shape)


@lru_cache(REMEMBERED)
def _most_neighbours(shape: Shape) -> int:
    if isinstance(shape, Lattice):
        return shape.coordination
    return int(np.bincount(shape.data.bonds.ravel()).max())


# --- how each kernel is made ready --------------------------------------------------------------------------------


def _square(system: System) -> Square:
    return Square(*system.shape.size)


def _prepare_square(system: System, seed: int, names: tuple[str, ...]) -> MakeSampler:
    lattice, model = _square(system), _square_model(system)
    return lambda T, update, replicas, threads: ReplicaSampler(lattice, model, T, update, threads)


def _prepare_square_sites(system: System, seed: int, names: tuple[str, ...]) -> MakeSampler:
    lattice, model = _square(system), _square_model(system)
    return lambda T, update, replicas, threads: SiteSampler(lattice, model, T, update, threads)


def _square_model(system: System) -> Model:
    h = system.field.uniform
    assert h is not None  # others are refused
    return Model(system.couplings.J[0], h)


def _prepare_packed(system: System, seed: int, names: tuple[str, ...]) -> MakeSampler:
    drawn = realize(system, seed)
    moduli, h = system.moduli, system.field.uniform
    assert moduli is not None
    assert h is not None  # others are refused
    modulus = np.searchsorted(np.array(moduli), np.abs(drawn.J)).astype(np.uint8)
    negative = drawn.J < 0
    bonds = Bonds(drawn.graph.n_sites, drawn.graph.bonds, moduli, modulus, negative, np.zeros(len(modulus), np.uint8))
    colours = colour(drawn.graph)
    tables = Tables(bonds, h, colours)
    fixed = fixed_point(drawn.graph.bonds, drawn.J, drawn.h, drawn.graph.n_sites) if names else None
    watch = _observer(system, names, drawn, colours, tables.rank, fixed)
    return lambda T, update, replicas, threads: PackedSampler(tables, T, update, threads, watch)


def _prepare_packed_sites(system: System, seed: int, names: tuple[str, ...]) -> MakeSampler:
    shape = system.shape
    assert isinstance(shape, Lattice)
    assert system.moduli is not None
    assert system.field.uniform is not None
    folded = Lattice(shape.kind, (shape.size[0] // 64, *shape.size[1:]), shape.periodic, shape.degree)
    graph = folded.graph()
    J = system.coupling_scale * np.asarray(system.couplings.J)
    own = J[graph.axis] if len(J) > 1 else np.full(len(graph.bonds), J[0])
    layer = graph.cells[:, 0][graph.bonds]
    step = np.array([offset[0] for offset in folded.offsets])[graph.axis]
    over_the_edge = np.where(layer[:, 1] - layer[:, 0] != step, step % 3, 0).astype(np.uint8)  # -1 is 2
    modulus = np.searchsorted(np.array(system.moduli), np.abs(own)).astype(np.uint8)
    bonds = Bonds(folded.n_sites, graph.bonds, system.moduli, modulus, own < 0, over_the_edge)
    tables = Tables(bonds, system.field.uniform, colour(graph))
    return lambda T, update, replicas, threads: PackedSiteSampler(tables, T, update, threads)


def _prepare_sparse(system: System, seed: int, names: tuple[str, ...]) -> MakeSampler:
    drawn = realize(system, seed)
    tables = SparseTables(drawn.graph.n_sites, drawn.graph.bonds, drawn.J, drawn.h, colour(drawn.graph))
    watch = _observer(system, names, drawn, tables.colours, tables.rank, tables.fixed)
    return lambda T, update, replicas, threads: SparseSampler(tables, T, update, threads, watch)


def _prepare_dense(system: System, seed: int, names: tuple[str, ...]) -> MakeSampler:
    drawn = realize(system, seed)
    n = drawn.graph.n_sites
    tables = DenseTables(n, drawn.graph.bonds, drawn.J, drawn.h)
    sublattices = colour(drawn.graph) if "staggered_magnetization" in names else np.zeros(n, np.uint8)
    watch = _observer(system, names, drawn, sublattices, np.arange(n, dtype=np.int32), tables.fixed)
    return lambda T, update, replicas, threads: DenseSampler(tables, T, update, replicas, watch)


def _prepare_clusters(system: System, seed: int, names: tuple[str, ...]) -> MakeSampler:
    drawn = realize(system, seed)
    waves: dict[str, np.ndarray] = {}
    for axis in observers.periodic_axes(system) if "structure_factor" in names else ():
        phase = 2 * np.pi * drawn.graph.cells[:, axis] / system.shape.size[axis]
        waves[f"structure_factor_axis{axis} cos"], waves[f"structure_factor_axis{axis} sin"] = (
            np.cos(phase),
            np.sin(phase),
        )
    n = drawn.graph.n_sites
    tables = ClusterTables(n, drawn.graph.bonds, drawn.J, drawn.h, waves)
    sublattices = colour(drawn.graph) if "staggered_magnetization" in names else np.zeros(n, np.uint8)
    watch = _observer(system, names, drawn, sublattices, np.arange(1, n + 1, dtype=np.int32), tables.fixed)
    kinds = {"swendsen_wang": SwendsenWangSampler, "wolff": WolffSampler}
    return lambda T, update, replicas, threads: kinds[update](tables, T, replicas, threads, watch)


@lru_cache(REMEMBERED)
def has_sublattices(shape: Shape) -> bool:
    """Whether a graph is bipartite; a random one is given the benefit of the doubt until it is drawn."""
    if shape.is_bipartite is not None:
        return shape.is_bipartite
    return shape.kind == "random_regular" or bool(colour(shape.graph()).max() <= 1)


def _observer(
    system: System, names: tuple[str, ...], drawn: Realization, colours: np.ndarray, rank: np.ndarray,
    fixed: FixedPoint | None,
) -> Observer | None:  # fmt: skip
    if not names or fixed is None:
        return None
    if "staggered_magnetization" in names and colours.max() > 1:
        raise ValueError(
            f"measure.observables: {system.label} is not bipartite and has no staggered magnetization; take it out"
        )
    units = fixed.unit, fixed.couplings.astype(np.int64)
    return observers.observer(system, names, drawn.graph, drawn.J, units, colours, rank)


def colour(graph: Graph) -> np.ndarray:
    """Colours of the sites, such that no neighbours have the same; raises ValueError where 254 are not enough."""
    first, ends, _ = graphs.adjacency(graph.n_sites, graph.bonds)
    colours = graphs.colour(graph.n_sites, first, ends)
    if colours.max() == graphs.UNCOLOURED:
        raise ValueError("the graph needs more than 254 colours: set algorithm.kernel = 'dense'")
    return np.asarray(colours)


# --- the table ----------------------------------------------------------------------------------------------------

KERNELS = {  # in order of preference
    "square": Kernel(_prepare_square, _refuse_square, "replicas", "64 replicas a word, in rows", False),
    "packed": Kernel(_prepare_packed, _refuse_packed, "replicas", "64 replicas a word"),
    "dense": Kernel(_prepare_dense, refuse_dense, "replicas", "64 replicas side by side, local fields kept", False),
    "sparse": Kernel(_prepare_sparse, _refuse_sparse, "replicas", "64 replicas side by side, real couplings"),
    "clusters": Kernel(
        _prepare_clusters, _refuse_sparse, "replicas", "clusters of 64 replicas a word", updates=CLUSTER_UPDATES
    ),
    "square_sites": Kernel(_prepare_square_sites, _refuse_square_sites, "sites", "64 sites a word, rows"),
    "packed_sites": Kernel(_prepare_packed_sites, refuse_packed_sites, "sites", "64 sites a word"),
}
