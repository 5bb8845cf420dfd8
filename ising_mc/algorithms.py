"""The table of algorithms: which kernel, which update, in which packing, for which system, and why."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import prod

import numpy as np

from ising_mc import observers
from ising_mc.graphfile import available_memory
from ising_mc.ising import Couplings, Realization, Shape, System, realize
from ising_mc.kernels import graphs
from ising_mc.lattices import Graph, Lattice
from ising_mc.observers import Observer
from ising_mc.packed import Bonds, PackedSampler, PackedSiteSampler, Tables
from ising_mc.real import DenseSampler, DenseTables, FixedPoint, SparseSampler, SparseTables
from ising_mc.square import Model, ReplicaSampler, SiteSampler, Square, site_packing_refusal
from ising_mc.words import LANES, Sampler

HOT = 2.5  # in |J|, above the number of neighbours: from there on the heat bath is faster (benchmarks/updates.py)
SMALL_SIDE = 8  # below, Metropolis in a fixed order may be caught in closed classes of states
SAFE_FOR_METROPOLIS = ("square", "cubic", "hypercubic")
MOST_SITES = 1 << 29  # of a lattice packed by replicas: its counts are 32-bit integers
MOST_DENSE_SITES = 1 << 15
DENSE_SHARE = 4  # a graph is dense when its sites have more than n / DENSE_SHARE neighbours
MOST_NEIGHBOURS, MOST_CLASSES = 32, 40  # of `kernels.packed`
FEW_REPLICAS = 32  # up to here a word packed by replicas would be at least half empty
PREPARED = 8  # systems whose tables are kept in memory
UPDATES = ("metropolis", "heat_bath")
PACKINGS = ("replicas", "sites")

MakeSampler = Callable[[float, str, int, int], Sampler]  # from temperature, update, replicas, threads


@dataclass(frozen=True)
class Kernel:
    """One way to sample: what makes its samplers, why it refuses a system (empty: it does not), what it is good for."""

    prepare: Callable[[System, int, tuple[str, ...]], MakeSampler]
    refusal: Callable[[System], str]
    packing: str
    what: str
    shared: bool = True  # whether threads can share a system

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
    return _not_uniform(system) or _too_large(system)


def _refuse_square_sites(system: System) -> str:
    refusal = _refuse_square(system)
    return site_packing_refusal(_square(system)) if not refusal or refusal == _too_large(system) else refusal


def _too_large(system: System) -> str:
    if system.n_sites < MOST_SITES:
        return ""
    return f"packing by replicas takes 8 bytes a site and at most {MOST_SITES} sites, not {system.n_sites}"


def _refuse_packed(system: System) -> str:
    return _not_uniform(system) or _too_many_neighbours(system) or _too_large(system)


def _too_many_neighbours(system: System) -> str:
    most = most_neighbours(system)
    if most > MOST_NEIGHBOURS:
        return f"a site has {most} neighbours, more than {MOST_NEIGHBOURS}"
    number = _local_configurations(system)
    if system.field.uniform == 0:
        number = number // 2 + 1  # mirror images cost and gain the same
    return f"a site has {number} energies, more than {MOST_CLASSES}" if number > MOST_CLASSES else ""


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


def _refuse_packed_sites(system: System) -> str:
    shape = system.shape
    if not isinstance(shape, Lattice) or not shape.periodic or not shape.periodic[0] or shape.size[0] % 128:
        return f"packing by sites needs a lattice whose first side is periodic and a multiple of 128, not {shape.label}"
    if system.couplings.kind != "uniform":
        return f"packing by sites needs couplings that are the same everywhere, not {system.couplings.kind} ones"
    return _not_uniform(system) or _too_many_neighbours(system)


def _refuse_sparse(system: System) -> str:
    return _too_large(system)


def _refuse_dense(system: System) -> str:
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
    return spins + 50 * m + 40 * n + (1 << 18)


def most_neighbours(system: System) -> int:
    """The largest number of bonds of a site."""
    shape = system.shape
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
    strengths = [float(np.abs(drawn.J[drawn.graph.axis == k]).max(initial=0)) for k in range(system.shape.directions)]
    watch = _observer(system, names, drawn, 1 - 2 * negative.astype(np.int64), strengths, colours, tables.rank)
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
    watch = _real_observer(system, names, drawn, tables.colours, tables.rank, tables.fixed)
    return lambda T, update, replicas, threads: SparseSampler(tables, T, update, threads, watch)


def _prepare_dense(system: System, seed: int, names: tuple[str, ...]) -> MakeSampler:
    drawn = realize(system, seed)
    n = drawn.graph.n_sites
    tables = DenseTables(n, drawn.graph.bonds, drawn.J, drawn.h)
    sublattices = colour(drawn.graph) if "staggered_magnetization" in names else np.zeros(n, np.uint8)
    watch = _real_observer(system, names, drawn, sublattices, np.arange(n, dtype=np.int32), tables.fixed)
    return lambda T, update, replicas, threads: DenseSampler(tables, T, update, replicas, watch)


def _real_observer(
    system: System,
    names: tuple[str, ...],
    drawn: Realization,
    colours: np.ndarray,
    rank: np.ndarray,
    fixed: FixedPoint,
) -> Observer | None:
    unit, weights = fixed.unit, fixed.couplings.astype(np.int64)
    strengths = []
    for k in range(system.shape.directions):
        own = np.unique(np.abs(weights[drawn.graph.axis == k]))
        strengths.append(unit * (float(own[0]) if len(own) == 1 else 1.0))
    return _observer(system, names, drawn, weights, strengths, colours, rank)


@lru_cache(PREPARED)
def _has_sublattices(shape: Shape) -> bool:
    """Whether a graph is bipartite; a random one is given the benefit of the doubt until it is drawn."""
    if shape.is_bipartite is not None:
        return shape.is_bipartite
    return shape.kind == "random_regular" or bool(colour(shape.graph()).max() <= 1)


def _observer(
    system: System, names: tuple[str, ...], drawn: Realization, weights: np.ndarray, strengths: list[float],
    colours: np.ndarray, rank: np.ndarray,
) -> Observer | None:  # fmt: skip
    if not names:
        return None
    if "staggered_magnetization" in names and colours.max() > 1:
        raise ValueError(
            f"measure.observables: {system.label} is not bipartite and has no staggered magnetization; take it out"
        )
    return observers.observer(system, names, drawn.graph, weights, strengths, colours, rank)


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
    "dense": Kernel(_prepare_dense, _refuse_dense, "replicas", "64 replicas side by side, local fields kept", False),
    "sparse": Kernel(_prepare_sparse, _refuse_sparse, "replicas", "64 replicas side by side, real couplings"),
    "square_sites": Kernel(_prepare_square_sites, _refuse_square_sites, "sites", "64 sites a word, rows"),
    "packed_sites": Kernel(_prepare_packed_sites, _refuse_packed_sites, "sites", "64 sites a word"),
}


def example(kernel: str, threads: int) -> System:
    """A system for which all the code of a kernel can be compiled before the clock of a run starts."""
    if kernel in ("square", "square_sites", "packed_sites"):
        return System(Lattice("square", (128, 128), (True, True)))
    if kernel == "dense":
        return System(Lattice("complete", (4,), ()), Couplings("gaussian"))
    couplings = Couplings("gaussian" if kernel == "sparse" else "uniform")
    return System(Lattice("cubic", (32 if threads > 1 else 4,) * 3, (True,) * 3), couplings)


@dataclass(frozen=True)
class Choice:
    """The algorithm of one system at one temperature, and why."""

    update: str
    kernel: str
    reason: str
    warning: str = ""

    @property
    def packing(self) -> str:
        """How spins fill the words."""
        return KERNELS[self.kernel].packing

    def sampler(
        self, system: System, seed: int, names: tuple[str, ...], temperature: float, replicas: int, threads: int
    ) -> Sampler:
        """A sampler for the `replicas` replicas of one word, which observes `names` as well."""
        with _PREPARING:
            make = _prepared(self.kernel, system, seed, names)
        return make(temperature, self.update, replicas, threads)


_PREPARING = threading.Lock()  # tables are made once, not by each thread


@lru_cache(PREPARED)
def _prepared(kernel: str, system: System, seed: int, names: tuple[str, ...]) -> MakeSampler:
    return KERNELS[kernel].prepare(system, seed, names)


def choose(
    system: System,
    temperature: float,
    replicas: int,
    update: str = "auto",
    packing: str = "auto",
    kernel: str = "auto",
    names: tuple[str, ...] = (),
) -> Choice:
    """Resolve "auto" by system, replicas and temperature.

    names: what is observed beside energy and magnetization.  Raises ValueError where what is asked for cannot be done.
    """
    kernel, why_kernel = _choose_kernel(system, replicas, packing, kernel, names)
    for name in names:
        refusal = observers.refusal(name, system, replicas, KERNELS[kernel].packing)
        if not refusal and name == "staggered_magnetization" and not _has_sublattices(system.shape):
            refusal = f"{system.label} is not bipartite"
        if refusal:
            raise ValueError(f"measure.observables = '{name}' cannot be had: {refusal}")
    needed, there = 2 * memory_needed(system, kernel), available_memory()
    if needed > there:
        raise ValueError(
            f"{system.label} of {system.n_sites} sites and {system.shape.n_bonds} bonds would take about "
            f"{needed / 1e9:.3g} GB of memory, more than the {there / 1e9:.3g} GB that are available"
        )
    update, why_update, warning = _choose_update(system, temperature, update)
    return Choice(update, kernel, f"{why_kernel}; {why_update}", warning)


def _choose_kernel(system: System, replicas: int, packing: str, kernel: str, names: tuple[str, ...]) -> tuple[str, str]:
    if kernel != "auto":
        refusal = KERNELS[kernel].refusal(system)
        if not refusal and names and kernel == "square":
            refusal = "it measures energy and magnetization only"
        if refusal:
            raise ValueError(f"algorithm.kernel = '{kernel}' cannot do {system.label}: {refusal}; use 'auto'")
        if packing not in ("auto", KERNELS[kernel].packing):
            raise ValueError(f"algorithm.kernel = '{kernel}' packs by {KERNELS[kernel].packing}, not by {packing}")
        return kernel, f"{KERNELS[kernel].what}, as asked"
    able = [name for name, own in KERNELS.items() if not own.refusal(system)]
    by_sites = [name for name in able if KERNELS[name].packing == "sites"]
    by_replicas = [name for name in able if KERNELS[name].packing == "replicas" and not (names and name == "square")]
    if not is_dense(system) and len(by_replicas) > 1 and "dense" in by_replicas:
        by_replicas.remove("dense")
    if is_dense(system) and "dense" in by_replicas:
        by_replicas = ["dense"]
    if packing == "sites" and not by_sites:
        raise ValueError(
            f"algorithm.packing = 'sites' cannot do {system.label}: {_refuse_packed_sites(system)}; use 'replicas'"
        )
    if packing == "replicas" and not by_replicas:
        raise ValueError(f"algorithm.packing = 'replicas' cannot do {system.label}: {_too_large(system)}; use 'sites'")
    if not able:
        raise ValueError(f"{system.label} is too large: {_too_large(system) or _refuse_dense(system)}")
    sites = packing == "sites" or (packing == "auto" and by_sites and (replicas <= FEW_REPLICAS or not by_replicas))
    if sites and not (packing == "auto" and names):
        asked = "as asked" if packing == "sites" else f"because {replicas} replicas would not fill words of 64"
        if not by_replicas:
            asked = f"because {_too_large(system)}"
        return by_sites[0], f"{KERNELS[by_sites[0]].what}, {asked}"
    name = by_replicas[0]
    words = -(-replicas // LANES)
    idle = words * LANES - replicas
    return name, f"{KERNELS[name].what}: {words} word(s)" + (f", {idle} bits idle" if idle else "")


def is_dense(system: System) -> bool:
    """Whether a site has so many neighbours that keeping its local field pays."""
    shape = system.shape
    if shape.kind == "complete":
        return True
    return 2 * shape.n_bonds / shape.n_sites > max(MOST_NEIGHBOURS, shape.n_sites / DENSE_SHARE)


def _choose_update(system: System, temperature: float, update: str) -> tuple[str, str, str]:
    shape = system.shape
    small = not shape.size or min(shape.size) < SMALL_SIDE
    scale = max(system.moduli) if system.moduli else system.couplings.sigma
    hot_from = (most_neighbours(system) + HOT) * scale
    hot = temperature > hot_from
    nothing = scale == 0 and system.couplings.mean == 0
    if nothing and system.field.uniform == 0:
        if update == "metropolis":
            raise ValueError(
                "algorithm.kind = 'metropolis' with J = 0 and no field flips every spin in every sweep: use 'heat_bath'"
            )
        return "heat_bath", "heat bath, because nothing couples to the spins", ""
    if update == "metropolis" and shape.periodic and max(shape.size) == shape.n_sites:
        raise ValueError(
            "algorithm.kind = 'metropolis' in one dimension accepts every move of a domain wall in a fixed order and "
            "never reaches most states: use 'heat_bath'"
        )
    if update != "auto":
        warning = ""
        if update == "metropolis" and hot:
            warning = (
                f"algorithm.kind = 'metropolis' above T = {hot_from:g} flips nearly every spin in every sweep and "
                "decorrelates ever more slowly; use 'heat_bath'"
            )
        if update == "metropolis" and small:
            warning = (
                f"algorithm.kind = 'metropolis' on {system.label}: in a fixed order it accepts every move of zero "
                "energy and may be caught in closed classes of states on so small a lattice; use 'heat_bath'"
            )
        return update, f"{update} as asked", warning
    if shape.kind not in SAFE_FOR_METROPOLIS or system.couplings.kind != "uniform":
        return "heat_bath", "heat bath, which is never caught in closed classes of states", ""
    if small:
        return "heat_bath", "heat bath, because Metropolis in a fixed order is reducible on small lattices", ""
    if hot:
        return "heat_bath", f"heat bath above T = {hot_from:g}, where Metropolis flips nearly every spin", ""
    return "metropolis", f"Metropolis up to T = {hot_from:g}, where it decorrelates faster than the heat bath", ""
