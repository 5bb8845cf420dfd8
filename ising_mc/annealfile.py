"""The result file of an annealing run, and the best states as text.

::

    /                        attributes as in other result files, and kind = "anneal"
    /systems/L100/           attributes as in other result files; target, target_given, best_energy
        read  site  sweep  level                               dimension scales
        energy(read)  spins(read, site)  best_spins(site)  temperature(sweep)
        histogram(level)                                       reads of each energy (real ones in bins)
        success_probability, _error;  time_to_target, _error, _low, _high   in sweeps
        cut(read)                                              of maxcut
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ising_mc.annealing import time_to_target
from ising_mc.datasets import add, add_packed, add_scale
from ising_mc.ising import realize
from ising_mc.observables import Quantity
from ising_mc.resultfile import Source, describe_system, new_file, sync_and_rename, why_not, write_header
from ising_mc.results import StoreError, damage_told, open_result
from ising_mc.words import unpack

BINS = 50  # of real energies
MOST_TERMS = 1 << 22  # bonds times reads whose energies are summed at once
SAME = 1e-9  # relative: energies that differ by less are equal
Array = NDArray[Any]


class Model:
    """What is annealed, for the result file: here the Ising model."""

    values = "+1 or -1"

    def describe(self, system: Any) -> dict[str, Any]:
        """Attributes of a system."""
        return describe_system(system)

    def states(self, system: Any, seed: int, spins: Array) -> tuple[Array, Array]:
        """States (reads, n) as the file shows them, and their energies (reads,), from spins +1 and -1."""
        drawn = realize(system, seed)
        together = max(1, MOST_TERMS // max(1, len(drawn.J)))
        parts = [drawn.energy(spins[k : k + together].astype(np.float64)) for k in range(0, len(spins), together)]
        return spins, np.concatenate(parts)

    def cut(self, system: Any, seed: int, energy: Array) -> Array | None:
        """Cut values of energies, where that is what a system is for."""
        return cut_value(realize(system, seed).J, energy) if system.couplings.kind == "maxcut" else None


def write_annealing(
    out: Path, source: Source, spec: Any, units: Sequence[Any], attributes: dict[str, dict[str, Any]],
    tick: Callable[[], None], model: "Model | None" = None,
) -> None:  # fmt: skip
    """Write the result file and, beside it, the text of the best states, under other names first.

    spec, units: of an annealing run;  model: of another kind than Ising's.  Raises StoreError where they cannot be
    written.
    """
    model = model or Model()
    partial, text = out.with_name(out.name + ".tmp"), best_file(out)
    partial_text = text.with_name(text.name + ".tmp")
    lines = ["# system, energy, state in the order of the sites (from 0)\n"]
    try:
        with new_file(partial, tick) as (file, tick):
            write_header(file, spec, source.seed, attributes, kind="anneal")
            for system in spec.systems:
                group = file.create_group(f"systems/{system.label}")
                own = [unit for unit in units if unit.system == system]
                energy, best = _write_system(group, source, spec, system, own, attributes["timings"], model)
                lines.append(f"{system.label} {energy!r} {' '.join(f'{s:+d}' for s in best)}\n")
                tick()
        partial_text.write_text("".join(lines))
        sync_and_rename(partial_text, text)
        sync_and_rename(partial, out)
    except OSError as error:
        raise StoreError(
            f"cannot write {out}: {why_not(error, out)}; all states are safe in its .parts folder, run again"
        ) from error
    finally:
        partial.unlink(missing_ok=True)
        partial_text.unlink(missing_ok=True)


def best_file(out: Path) -> Path:
    """Where the best states stand as text: results/x.h5 has results/x.best.txt."""
    return out.with_name(out.name.removesuffix(".h5") + ".best.txt")


def _write_system(
    group: h5py.Group, source: Source, spec: Any, system: Any, units: list[Any], timings: dict[str, Any], model: Model
) -> tuple[float, Array]:  # fmt: skip
    """One system; its lowest energy, and the state that has it."""
    states = [source.state(unit.key) for unit in units]
    parts = [
        2 * unpack(state.spins).T[: unit.replicas].astype(np.int8) - 1
        for unit, state in zip(units, states, strict=True)
        if state is not None
    ]
    spins = np.concatenate(parts)  # (reads, sites)
    spins, energy = model.states(system, source.seed, spins)
    if np.all(energy == np.rint(energy)):
        energy = np.rint(energy)
    best = int(energy.argmin())
    target = spec.target if spec.target is not None else float(energy[best])
    met = int(np.count_nonzero(energy <= target + SAME * max(1.0, abs(target))))
    success = time_to_target(met, len(energy), spec.thermalization, own_best=spec.target is None)
    rate = float(timings.get("flips_per_ns", 0.0)) * 1e9
    group.attrs.update(model.describe(system))
    group.attrs.update(
        kernel=units[0].choice.kernel, update=units[0].choice.update, reads=len(energy), target=target,
        target_given=spec.target is not None, best_energy=energy[best], reads_that_met_it=met,
        seconds_per_sweep=system.n_sites / rate if rate else np.nan,
    )  # fmt: skip
    levels, counts = histogram(energy)
    scale = (
        add_scale(group, "read", np.arange(len(energy)), "read"),
        add_scale(group, "site", np.arange(spins.shape[1]), "site"),
    )
    sweep = add_scale(group, "sweep", np.arange(1, spec.thermalization + 1), "sweep of a read")
    level = add_scale(group, "level", levels, "energy, or the middle of a bin of energies")
    read, site = scale
    add(group, "energy", energy, Quantity("J", "total energy of the last state of each read", "H", "E"), read)
    add_packed(group, "spins", spins, Quantity("1", "last state of each read", model.values, "s"), read, site)
    add(group, "best_spins", spins[best], Quantity("1", "a state of the lowest energy", model.values, "s"), site)
    add(
        group,
        "temperature",
        spec.schedule.temperatures(),
        Quantity("J/k_B", "temperature of each sweep", "T", "T"),
        sweep,
    )
    add(group, "histogram", counts, Quantity("1", "reads of each energy", "", ""), level)
    formula = "sweeps ln(0.01)/ln(1 - p), at least those of one read"
    error = "half of the 68.27 % interval of the binomial likelihood (Jeffreys); NaN where the target is the own best"
    for name, value, quantity in (
        ("success_probability", success.probability, Quantity("1", "share of reads that met the target", "p", "p")),
        ("success_probability_error", success.probability_error, Quantity("1", "its error", error, "p")),
        ("time_to_target", success.time, Quantity("sweeps", "time until the target is met with 99 %", formula, "TTT")),
        ("time_to_target_error", success.time_error, Quantity("sweeps", "its error", error, "TTT")),
        ("time_to_target_low", success.time_low, Quantity("sweeps", "lower end of its interval", "68.27 %", "TTT")),
        ("time_to_target_high", success.time_high, Quantity("sweeps", "upper end of its interval", "68.27 %", "TTT")),
    ):
        add(group, name, np.float64(value), quantity)
    cut = model.cut(system, source.seed, energy)
    if cut is not None:
        add(
            group,
            "cut",
            cut,
            Quantity("1", "weight of the bonds between the two sides", "sum w (1 - s s')/2", "cut"),
            read,
        )
    return float(energy[best]), spins[best]


def cut_value(J: Array, energy: Array) -> Array:
    """Weight of the bonds between spins that differ, from the energy: w = -J, so sum w (1 - s s')/2 = (sum w - H)/2."""
    return np.asarray((-J.sum() - energy) / 2 + 0.0)


def histogram(energy: Array) -> tuple[Array, Array]:
    """Energies and how many reads have each; real ones of more than BINS values in bins, by their middles."""
    levels, counts = np.unique(energy, return_counts=True)
    if len(levels) <= BINS or np.all(levels == np.rint(levels)):
        return levels, counts
    counts, edges = np.histogram(energy, BINS)
    return (edges[1:] + edges[:-1]) / 2, counts


def is_annealing(path: Path) -> bool:
    """Whether a result file is one of annealing; raises StoreError where it is none at all."""
    with open_result(path) as file:
        return str(file.attrs.get("kind", "")) == "anneal"


def read_annealing(path: Path) -> list[dict[str, Any]]:
    """What a table of the results needs, system by system: plain values, and the energies of all reads.

    Raises StoreError where the file is damaged.
    """
    with open_result(path) as file, damage_told(path):
        found = []
        for label, group in file["systems"].items():
            own = {
                name: group.attrs[name] for name in ("n_sites", "reads", "target", "best_energy", "seconds_per_sweep")
            }
            own |= {name: group[name][()] for name in ("energy", "success_probability", "time_to_target")}
            own |= {f"{name}_error": group[f"{name}_error"][()] for name in ("success_probability", "time_to_target")}
            own |= {name: group[name][()] for name in ("time_to_target_low", "time_to_target_high")}
            own |= {"cut": group["cut"][()]} if "cut" in group else {}
            found.append({"label": label, "target_given": bool(group.attrs["target_given"]), **own})
        return sorted(found, key=lambda own: int(own["n_sites"]))
