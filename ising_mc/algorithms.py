"""The table of algorithms: which kernel, which update, in which packing, for which system, and why."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from ising_mc import observers
from ising_mc.cycles import CycleSampler, HoudayerSampler
from ising_mc.graphfile import available_memory
from ising_mc.ising import RANDOM_COUPLINGS, RANDOM_FIELDS, Couplings, Field, System, realize
from ising_mc.kernels import classes, graphs
from ising_mc.lattices import Lattice
from ising_mc.preparation import (
    CLUSTER_UPDATES,
    KERNELS,
    LOCAL_UPDATES,
    MakeSampler,
    has_sublattices,
    memory_needed,
    most_neighbours,
    refuse_dense,
    refuse_packed_sites,
    too_large,
)
from ising_mc.words import LANES, Sampler

HOT = 2.5  # in |J|, above the number of neighbours: from there on the heat bath is faster (benchmarks/updates.py)
SMALL_SIDE = 8  # below, Metropolis in a fixed order may be caught in closed classes of states
SAFE_FOR_METROPOLIS = ("square", "cubic", "hypercubic")
DENSE_SHARE = 4  # a graph is dense when its sites have more than n / DENSE_SHARE neighbours
FEW_REPLICAS = 32  # up to here a word packed by replicas would be at least half empty
PREPARED = 2  # systems whose tables are kept in memory: units of work come system by system
WEAK = 0.1  # a coupling below this share of the largest hardly joins what it couples
UPDATES = (*LOCAL_UPDATES, *CLUSTER_UPDATES)
HOUDAYER = "houdayer"  # moves between two replicas, only beside other updates
CLUSTERS_FIRST = "wolff"  # what "auto" takes where clusters win
CRITICAL = {  # Tc/|J|, how far below and above it clusters win, and from which side on (benchmarks/CLUSTERS.md)
    "square": (2 / np.log(1 + np.sqrt(2)), 0.01, 0.05, 128),
    "triangular": (4 / np.log(3), 0.01, 0.05, 128),
    "honeycomb": (2 / np.log(2 + np.sqrt(3)), 0.01, 0.05, 128),
    "cubic": (1 / 0.221654626, 0.0, 0.02, 32),  # Ferrenberg, Xu and Landau, Phys. Rev. E 97, 043301 (2018)
}
MOST_CLUSTER_SITES = 1 << 24
PACKINGS = ("replicas", "sites")
CLIMBERS = ("packed", "sparse", "dense")  # kernels whose lanes can exchange their temperatures


def example(kernel: str, threads: int) -> System:
    """A system for which all the code of a kernel can be compiled before the clock of a run starts."""
    if kernel in ("square", "square_sites", "packed_sites"):
        return System(Lattice("square", (128, 128), (True, True)))
    if kernel == "clusters":
        return System(Lattice("square", (8, 8), (True, True)), field=Field(B=0.1))
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
    cycle: tuple[tuple["Choice", int], ...] = ()  # what takes turns, and for how many sweeps each

    @property
    def packing(self) -> str:
        """How spins fill the words."""
        return KERNELS[self.kernel].packing

    def sampler(
        self, system: System, seed: int, names: tuple[str, ...], temperature: float, replicas: int, threads: int
    ) -> Sampler:
        """A sampler for the `replicas` replicas of one word, which observes `names` as well."""
        if self.cycle:
            return self._turns(system, seed, names, temperature, replicas, threads)
        with _PREPARING:
            make = _prepared(self.kernel, system, seed, names)
        return make(temperature, self.update, replicas, threads)

    def _turns(
        self, system: System, seed: int, names: tuple[str, ...], temperature: float, replicas: int, threads: int
    ) -> CycleSampler:
        drawn = realize(system, seed)
        samplers: list[Any] = []
        for own, _ in self.cycle:
            update = own.update if own.update != HOUDAYER else "heat_bath"
            sampler = replace(own, update=update).sampler(system, seed, names, temperature, replicas, threads)
            samplers.append(HoudayerSampler(drawn, sampler, replicas) if own.update == HOUDAYER else sampler)
        return CycleSampler(samplers, [count for _, count in self.cycle], drawn)


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
    exchange: bool = False,
) -> Choice:
    """Resolve "auto" by system, replicas and temperature.

    names: what is observed beside energy and magnetization;  exchange: whether temperatures are exchanged between
    replicas.  Raises ValueError where what is asked for cannot be done.
    """
    clusters = ""
    if update == kernel == "auto" and packing == "auto" and not exchange:
        clusters = _where_clusters_win(system, temperature)
        update = CLUSTERS_FIRST if clusters else update
    kernel, why_kernel = _choose_kernel(system, replicas, packing, kernel, names, update, exchange)
    for name in names:
        refusal = observers.refusal(name, system, replicas, KERNELS[kernel].packing)
        if not refusal and name == "staggered_magnetization" and not has_sublattices(system.shape):
            refusal = f"{system.label} is not bipartite"
        if refusal:
            raise ValueError(f"measure.observables = '{name}' cannot be had: {refusal}")
    update, why_update, warning = _choose_update(system, temperature, update)
    why_update = clusters or why_update
    return Choice(update, kernel, f"{why_kernel}; {why_update}", warning)


def choose_to_anneal(system: System, coldest: float, reads: int, update: str = "auto", kernel: str = "auto") -> Choice:
    """Resolve "auto" for reads that cool down to a temperature: Metropolis, where it can be.

    It accepts more moves than the heat bath, and at equal sweeps it ended lower, or as low, on each of 18 kinds of
    systems, from 16 sites to 1024 and from 50 sweeps to 5000: lattices, random graphs and Sherrington-Kirkpatrick
    models, frustrated or not, with fields or without.  Closed classes of states matter little to a read that begins
    hot.  Raises ValueError as `choose` does.
    """
    if update == "auto":
        try:
            own = choose(system, coldest, reads, "metropolis", "replicas", kernel, exchange=True)
        except ValueError:  # in one dimension, or where nothing is coupled; else the heat bath is refused as well
            own = choose(system, coldest, reads, "heat_bath", "replicas", kernel, exchange=True)
            why = "heat bath, because Metropolis does not reach all states here"
            return replace(own, reason=f"{own.reason.rpartition('; ')[0]}; {why}")
        reason = own.reason.rpartition("; ")[0]
        why = "Metropolis, which ends lower than the heat bath after as many sweeps"
        return replace(own, reason=f"{reason}; {why}", warning="")
    return replace(choose(system, coldest, reads, update, "replicas", kernel, exchange=True), warning="")


def choose_cycle(
    system: System, temperature: float, replicas: int, cycle: Sequence[tuple[str, int]], names: tuple[str, ...] = ()
) -> Choice:
    """A choice for updates that take turns, (name, sweeps) each; HOUDAYER is one, beside those of UPDATES.

    Raises ValueError as `choose` does.
    """
    own: list[tuple[Choice, int]] = []
    for update, count in cycle:
        if update == HOUDAYER:
            refusal = KERNELS["sparse"].refusal(system)
            if refusal or replicas < 2:
                raise ValueError(f"algorithm.cycle: '{HOUDAYER}' cannot be had: {refusal or 'it takes two replicas'}")
            own.append((Choice(HOUDAYER, "sparse", HOUDAYER, gains_nothing_by_pairs(system)), count))
            continue
        kernel = "auto"
        if update in LOCAL_UPDATES:
            kernel = _choose_kernel(system, replicas, "replicas", "auto", names, update, True)[0]
        own.append((choose(system, temperature, replicas, update, "replicas", kernel, names), count))
    text = " + ".join(f"{count} {choice.update}" for choice, count in own)
    warning = "; ".join(dict.fromkeys(choice.warning for choice, _ in own if choice.warning))
    return Choice(text, own[0][0].kernel, f"a cycle of {text} sweep(s)", warning, tuple(own))


def gains_nothing_by_pairs(system: System) -> str:
    """A warning where isoenergetic clusters are mostly as large as the lattice (Zhu, Ochoa and Katzgraber, Phys. Rev.
    Lett. 115, 077201, 2015), or where nothing is frustrated.
    """
    if not is_frustrated(system):
        return f"'{HOUDAYER}' on {system.label}: nothing is frustrated there, and cluster updates gain far more"
    if system.shape.kind in ("chain", "square", "honeycomb"):
        return ""
    return (
        f"'{HOUDAYER}' on {system.label}: clusters of sites where two replicas differ percolate on lattices of more "
        "neighbours than the square one has, and exchange little but the replicas as a whole"
    )


def check_memory(system: System, kernel: str, copies: int) -> None:
    """Raise ValueError where so many systems of this kind at a time would not fit into memory."""
    needed, there = copies * memory_needed(system, kernel), available_memory()
    if needed > there:
        many = f"{copies} systems like {system.label} at a time" if copies > 1 else system.label
        raise ValueError(
            f"{many}, of {system.n_sites} sites and {system.shape.n_bonds} bonds, would take about "
            f"{needed / 1e9:.3g} GB of memory, more than the {there / 1e9:.3g} GB that are available"
        )


@lru_cache(PREPARED)
def _choose_kernel(
    system: System, replicas: int, packing: str, kernel: str, names: tuple[str, ...], update: str, exchange: bool
) -> tuple[str, str]:
    if kernel != "auto":
        refusal = KERNELS[kernel].refusal(system) or _not_among(update, KERNELS[kernel].updates)
        if not refusal and names and kernel == "square":
            refusal = "it measures energy and magnetization only"
        if not refusal and exchange and kernel not in CLIMBERS:
            refusal = f"temperatures are exchanged by {', '.join(CLIMBERS)} only"
        if refusal:
            raise ValueError(f"algorithm.kernel = '{kernel}' cannot do {system.label}: {refusal}; use 'auto'")
        if packing not in ("auto", KERNELS[kernel].packing):
            raise ValueError(f"algorithm.kernel = '{kernel}' packs by {KERNELS[kernel].packing}, not by {packing}")
        return kernel, f"{KERNELS[kernel].what}, as asked"
    able = [name for name, own in KERNELS.items() if not own.refusal(system) and not _not_among(update, own.updates)]
    if exchange:
        able = [name for name in able if name in CLIMBERS]
    by_sites = [name for name in able if KERNELS[name].packing == "sites"]
    by_replicas = [name for name in able if KERNELS[name].packing == "replicas" and not (names and name == "square")]
    if not is_dense(system) and len(by_replicas) > 1 and "dense" in by_replicas:
        by_replicas.remove("dense")
    if is_dense(system) and "dense" in by_replicas:
        by_replicas = ["dense"]
    if packing == "sites" and not by_sites:
        why_not = refuse_packed_sites(system) or f"'{update}' takes words of replicas"
        raise ValueError(f"algorithm.packing = 'sites' cannot do {system.label}: {why_not}; use 'replicas'")
    if packing == "replicas" and not by_replicas:
        raise ValueError(f"algorithm.packing = 'replicas' cannot do {system.label}: {too_large(system)}; use 'sites'")
    if not able:
        raise ValueError(f"{system.label} is too large: {too_large(system) or refuse_dense(system)}")
    sites = packing == "sites" or (packing == "auto" and by_sites and (replicas <= FEW_REPLICAS or not by_replicas))
    if sites and not (packing == "auto" and names):
        asked = "as asked" if packing == "sites" else f"because {replicas} replicas would not fill words of 64"
        if not by_replicas:
            asked = f"because {too_large(system)}"
        return by_sites[0], f"{KERNELS[by_sites[0]].what}, {asked}"
    if not by_replicas:
        why = "what observables are measured on" if names else f"what '{update}' takes"
        raise ValueError(f"{system.label} is too large for packing by replicas, {why}: {too_large(system)}")
    name = by_replicas[0]
    if exchange:
        return name, KERNELS[name].what
    words = -(-replicas // LANES)
    idle = words * LANES - replicas
    return name, f"{KERNELS[name].what}: {words} word(s)" + (f", {idle} bits idle" if idle else "")


def _where_clusters_win(system: System, temperature: float) -> str:
    """Why cluster updates give more effective samples of m^2 a second (benchmarks/CLUSTERS.md), or an empty string."""
    shape, couplings = system.shape, system.couplings
    if shape.kind not in CRITICAL or couplings.kind != "uniform" or len(couplings.J) > 1 or system.field.uniform != 0:
        return ""
    critical, below, above, side = CRITICAL[shape.kind]
    T = abs(couplings.J[0]) * critical
    close = T > 0 and -below <= temperature / T - 1 <= above
    if not close or min(shape.size) < side or system.n_sites > MOST_CLUSTER_SITES or is_frustrated(system):
        return ""
    where = f"from {below:.0%} below to {above:.0%} above Tc = {T:.4g}"
    return f"Wolff {where}, where it has more effective samples a second than local updates"


def _not_among(update: str, updates: tuple[str, ...]) -> str:
    """Why a kernel cannot do an update, or an empty string; "auto" is a local one."""
    fits = update in updates or (update == "auto" and updates == LOCAL_UPDATES)
    return "" if fits else f"it does {' and '.join(updates)}"


def is_dense(system: System) -> bool:
    """Whether a site has so many neighbours that keeping its local field pays."""
    shape = system.shape
    if shape.kind == "complete":
        return True
    return 2 * shape.n_bonds / shape.n_sites > max(classes.MOST_NEIGHBOURS, shape.n_sites / DENSE_SHARE)


def _choose_update(system: System, temperature: float, update: str) -> tuple[str, str, str]:
    shape = system.shape
    if update in CLUSTER_UPDATES:
        return update, f"{update} as asked", _gains_nothing(system, update)
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
    joined = _joined_axes(system)
    if update == "metropolis" and (most_neighbours(system) <= 2 or (joined is not None and len(joined) < 2)):
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
        elif update == "metropolis" and _is_free(system, temperature):
            warning = (
                f"algorithm.kind = 'metropolis' on {system.label} at T = {temperature:g}: flips that cost nothing, or "
                "next to nothing, are accepted every time, in a fixed order, and other states may not be reached; "
                "use 'heat_bath'"
            )
        return update, f"{update} as asked", warning
    if shape.kind not in SAFE_FOR_METROPOLIS or system.couplings.kind != "uniform":
        return "heat_bath", "heat bath, which is never caught in closed classes of states", ""
    if small:
        return "heat_bath", "heat bath, because Metropolis in a fixed order is reducible on small lattices", ""
    if _is_free(system, temperature):
        return "heat_bath", "heat bath, because Metropolis accepts every flip that costs next to nothing", ""
    if hot:
        return "heat_bath", f"heat bath above T = {hot_from:g}, where Metropolis flips nearly every spin", ""
    return "metropolis", f"Metropolis up to T = {hot_from:g}, where it decorrelates faster than the heat bath", ""


def _joined_axes(system: System) -> list[float] | None:
    """|J| along each axis of more than one cell where it is not 0, or None where bonds do not follow axes."""
    shape, couplings = system.shape, system.couplings
    if shape.kind not in ("chain", *SAFE_FOR_METROPOLIS):
        return None
    strengths = couplings.J * shape.dimension if len(couplings.J) == 1 else couplings.J
    if couplings.kind != "uniform":
        strengths = (1.0,) * shape.dimension
    return [abs(J) for J, side in zip(strengths, shape.size, strict=True) if side > 1 and J]


def _is_free(system: System, temperature: float) -> bool:
    """Whether flips that cost next to nothing are more than domain walls on the move: there Metropolis may be stuck.

    They are where a field balances some neighbours, and where all but one of the axes are joined but weakly.
    """
    joined, h = _joined_axes(system) or [], system.field.uniform
    if sum(WEAK * max(joined) < J for J in joined) < 2 or h is None:
        return True
    sums = np.zeros(1)
    for J in joined:
        sums = np.unique(np.add.outer(sums, (-2 * J, 0.0, 2 * J)))
    return h != 0 and float(np.abs(sums - abs(h)).min()) < WEAK * temperature


def _gains_nothing(system: System, update: str) -> str:
    """A warning where a system is frustrated: clusters are then most of the lattice long before it orders."""
    if not is_frustrated(system):
        return ""
    return (
        f"algorithm.kind = '{update}' on {system.label}: its couplings and fields are frustrated, where cluster "
        "updates are exact but gain nothing over 'heat_bath'"
    )


@lru_cache(PREPARED)
def is_frustrated(system: System) -> bool:
    """Whether no state satisfies all bonds and fields; random couplings are taken to be so without a look at them."""
    drawn_alike = system.couplings.kind == "pm_j" and system.couplings.p in (0, 1)
    if (system.couplings.kind in RANDOM_COUPLINGS and not drawn_alike) or (
        system.field.kind in RANDOM_FIELDS and system.field.uniform is None
    ):
        return True
    drawn = realize(system, 0)
    if np.all(drawn.J >= 0) and (np.all(drawn.h >= 0) or np.all(drawn.h <= 0)):
        return False
    in_field = np.flatnonzero(drawn.h)
    ghost = np.column_stack((np.zeros(len(in_field), np.int32), in_field + 1)).astype(np.int32)
    bonds = np.concatenate((ghost, drawn.graph.bonds + 1)).astype(np.int32)
    J = np.concatenate((drawn.h[in_field], drawn.J))
    coupled = np.flatnonzero(J)
    first, ends, entries = graphs.adjacency(drawn.graph.n_sites + 1, np.ascontiguousarray(bonds[coupled]))
    return not graphs.is_balanced(first, ends, (J[coupled] < 0)[entries >> 1])
