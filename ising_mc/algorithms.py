"""The table of algorithms: which update, in which packing, for which system, and why."""

from collections.abc import Callable
from dataclasses import dataclass

from ising_mc.ising import LANES, Model, ReplicaSampler, Sampler, SiteSampler, site_packing_refusal
from ising_mc.lattices import Square

HOT = 6.5  # in |J|: above, the heat bath decorrelates faster (benchmarks/updates.py)
SMALL_SIDE = 8  # below, checkerboard Metropolis may be caught in closed classes of states
MOST_SITES = 1 << 29  # of a lattice packed by replicas: its counts are 32-bit integers
FEW_REPLICAS = 32  # up to here a word packed by replicas would be at least half empty


@dataclass(frozen=True)
class Packing:
    """How spins fill the words: sampler, replicas a word, and why a lattice is refused (empty where it is not)."""

    sampler: type[ReplicaSampler] | type[SiteSampler]
    replicas_per_word: int
    refusal: Callable[[Square], str]


def _replica_packing_refusal(lattice: Square) -> str:
    if lattice.n_sites < MOST_SITES:
        return ""
    return f"packing by replicas takes 8 bytes a site and at most {MOST_SITES} sites, not {lattice.n_sites}"


UPDATES = ("metropolis", "heat_bath")
PACKINGS = {
    "replicas": Packing(ReplicaSampler, LANES, _replica_packing_refusal),
    "sites": Packing(SiteSampler, 1, site_packing_refusal),
}


@dataclass(frozen=True)
class Choice:
    """The algorithm of one system at one temperature, and why."""

    update: str
    packing: str
    reason: str
    warning: str = ""

    def sampler(self, lattice: Square, model: Model, temperature: float, threads: int) -> Sampler:
        """A sampler for the replicas of one word."""
        return PACKINGS[self.packing].sampler(lattice, model, temperature, self.update, threads)


def choose(lattice: Square, model: Model, temperature: float, replicas: int, update: str, packing: str) -> Choice:
    """Resolve "auto" by size, replicas and temperature.

    Raises ValueError where the packing asked for cannot hold the lattice.
    """
    packing, why_packing = _choose_packing(lattice, replicas, packing)
    update, why_update, warning = _choose_update(lattice, model, temperature, update)
    return Choice(update, packing, f"{why_packing}; {why_update}", warning)


def _choose_packing(lattice: Square, replicas: int, packing: str) -> tuple[str, str]:
    if packing != "auto":
        refusal = PACKINGS[packing].refusal(lattice)
        other = "replicas" if packing == "sites" else "sites"
        if refusal:
            raise ValueError(f"algorithm.packing = '{packing}' cannot do {lattice.label}: {refusal}; use '{other}'")
        return packing, f"packing by {packing} as asked"
    refusal = site_packing_refusal(lattice)
    if replicas <= FEW_REPLICAS and not refusal:
        return "sites", f"64 sites a word, because {replicas} replicas would not fill words of 64"
    too_large = _replica_packing_refusal(lattice)
    if too_large and refusal:
        raise ValueError(f"lattice.size: {lattice.label} is too large: {too_large}, and {refusal}")
    if too_large:
        return "sites", f"64 sites a word, because {too_large}"
    words = -(-replicas // LANES)
    idle = words * LANES - replicas
    fill = f"{words} word(s)" + (f", {idle} bits idle" if idle else "")
    return "replicas", f"64 replicas a word: {fill}" + (f"; {refusal}" if replicas <= FEW_REPLICAS else "")


def _choose_update(lattice: Square, model: Model, temperature: float, update: str) -> tuple[str, str, str]:
    small = min(lattice.rows, lattice.columns) < SMALL_SIDE
    hot = temperature > HOT * abs(model.J)
    if model.J == 0 and model.h == 0:
        if update == "metropolis":
            raise ValueError(
                "algorithm.kind = 'metropolis' with J = 0 and no field flips every spin in every sweep: use 'heat_bath'"
            )
        return "heat_bath", "heat bath, because nothing couples to the spins", ""
    if update != "auto":
        warning = ""
        if update == "metropolis" and hot:
            warning = (
                f"algorithm.kind = 'metropolis' above T = {HOT:g}|J| flips nearly every spin in every sweep and "
                "decorrelates ever more slowly; use 'heat_bath'"
            )
        if update == "metropolis" and small:
            warning = (
                f"algorithm.kind = 'metropolis' on {lattice.label}: in a fixed order it accepts every move of zero "
                "energy and may be caught in closed classes of states on so small a lattice; use 'heat_bath'"
            )
        return update, f"{update} as asked", warning
    if small:
        return "heat_bath", "heat bath, because Metropolis in a fixed order is reducible on small lattices", ""
    if hot:
        return "heat_bath", f"heat bath above T = {HOT:g}|J|, where Metropolis flips nearly every spin", ""
    return "metropolis", f"Metropolis up to T = {HOT:g}|J|, where it decorrelates faster than the heat bath", ""
