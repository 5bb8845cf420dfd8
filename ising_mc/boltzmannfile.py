"""The result files of sampled and of annealed Boltzmann machines.

They are laid out as those of the Ising model (`resultfile`, `annealfile`), with kind = "boltzmann" or "anneal", and::

    /systems/V64H32/         attributes machine, units, sizes, clamped, order, kernel, log_z, ...
        timeseries/energy(temperature, replica, sweep)         and activity
        results/energy_per_unit(temperature), activity_per_unit, specific_heat, and their errors
        results/mean_activity(temperature, unit), mean_activity_error
        results/log_z(temperature), log_z_error
    /model/                  parameters of the machine, as `machinefile` reads them
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from ising_mc import annealfile, likelihood, streams
from ising_mc.boltzmann import MachineSystem, Realization, mean_values, realize
from ising_mc.boltzmannspec import MachineAnnealSpec, MachineSpec
from ising_mc.boltzmannunits import MachineAnnealUnit, MachineUnit
from ising_mc.datasets import add, add_scale
from ising_mc.machine import Machine, random_machine
from ising_mc.machinefile import parameters
from ising_mc.observables import OF_MACHINES, PointResults, Quantity, analyse
from ising_mc.resultfile import Source, write_result
from ising_mc.results import damage_told, open_result
from ising_mc.statistics import interval_factor
from ising_mc.words import Series

FEW_SUMMED = 16  # units of the smaller side up to which log Z is summed without being asked for
CHAINS, STEPS = 100, 1000  # of annealed importance sampling
NAMES = {"energy_per_site": "energy_per_unit", "magnetization_per_site": "activity_per_unit"}
Array = NDArray[Any]


def write_machine(
    out: Path, source: Source, spec: MachineSpec, units: Sequence[MachineUnit], threads: int,
    attributes: dict[str, dict[str, Any]], tick: Callable[[], None], look: Callable[[], None] = lambda: None,
) -> None:  # fmt: skip
    """Write the result file of a sampled machine.

    threads: how many analyse and compress;  look: is called before each log Z, and may raise to stop.  Raises
    StoreError where it cannot be written.
    """

    def more(group: h5py.Group, points: list[list[Any]]) -> None:
        with threadpool_limits(1, user_api="blas"):  # so that no number depends on how many there are
            _add_more(source, spec, group, points, look)

    analysis = partial(_analyse, mixed=spec.start == "mixed")
    run: Any = spec
    own: Any = units
    write_result(out, source, run, own, analysis, threads, attributes, tick, describe, more)


def describe(system: MachineSystem) -> dict[str, Any]:
    """A machine as attributes."""
    clamp = system.clamp
    return {
        "machine": system.kind,
        "units": system.units,
        "sizes": list(system.sizes),
        "n_sites": sum(system.sizes),
        "n_bonds": system.n_bonds,
        "order": system.order,
        "clamped": len(clamp.units) if clamp else 0,
        "clamped_units": list(clamp.units) if clamp else [],
        "clamped_values": list(clamp.values) if clamp else [],
    }


def _analyse(series: Series, unit: MachineUnit, mixed: bool) -> PointResults:
    values = {"energy": series["energy"], "magnetization": series["activity"]}
    values = {name: own.astype(np.float64) for name, own in values.items()}
    found = analyse(values, unit.system.facts, unit.temperature, mixed)
    estimates = {new: found.estimates[old] for old, new in NAMES.items()}
    return replace(found, estimates=estimates | {"specific_heat": found.estimates["specific_heat"]})


def _add_more(
    source: Source, spec: MachineSpec, group: h5py.Group, points: list[list[MachineUnit]], look: Callable[[], None]
) -> None:  # fmt: skip
    """What a result file has of a machine beside what it has of every system."""
    own = points[0][0]
    realization = realize(own.system, source.seed)
    results, temperature = group["results"], group["temperature"]
    unit = add_scale(group, "unit", np.arange(realization.whole.n), "unit, visible ones first")
    means = [_means(source, spec, realization, units, t) for t, units in enumerate(points)]
    values, errors = (np.array([mean[k] for mean in means]) for k in range(2))
    text = "<u_i>; of a clamped unit its value"
    add(results, "mean_activity", values, Quantity("1", "mean value of each unit", text, "<u>"), temperature, unit)
    text = (
        "half of the 68.27 % interval, from the scatter of chains; NaN of one chain, or where all chains have one mean"
    )
    add(results, "mean_activity_error", errors, Quantity("1", "its error", text, "<u>"), temperature, unit)
    way = _way_to_log_z(realization.drawn, spec.log_z)
    group.attrs["log_z"] = way
    if way != "none":
        found = np.zeros((len(spec.temperatures), 2))
        for t, T in enumerate(spec.temperatures):
            look()
            found[t] = _log_z(way, realization, T, spec, source.seed, own.system.label)
        add(results, "log_z", found[:, 0], OF_MACHINES["log_z"], temperature)
        text = "0: summed exactly; else half of the 68.27 % interval of annealed importance sampling"
        add(results, "log_z_error", found[:, 1], Quantity("1", "its error", text, ""), temperature)
    file = group.file
    if "model" not in file:
        write_model(file.create_group("model"), realization.whole)


def write_model(group: h5py.Group, machine: Machine) -> None:
    """The parameters of a machine, as `machinefile.read_machine` reads them."""
    group.attrs.update(kind=machine.kind, units=machine.units, visible=machine.visible)
    names, sizes = [f"unit_of_layer{k}" for k in range(len(machine.sizes))], machine.sizes
    if machine.kind == "general":
        names, sizes = ["unit", "other_unit"], (machine.n, machine.n)
    scales = [add_scale(group, own, np.arange(n), own.replace("_", " ")) for own, n in zip(names, sizes, strict=True)]
    for number, (name, values) in enumerate(parameters(machine).items()):
        title, layer = name.replace("_", " "), number - len(machine.weights)
        if layer < 0:
            add(group, name, values, Quantity("J", title, "coupling in E", "J"), *scales[number : number + 2])
        else:
            add(group, name, values, Quantity("J", title, "bias in E", "b"), scales[layer])


def _means(
    source: Source, spec: MachineSpec, realization: Realization, units: list[MachineUnit], t: int
) -> tuple[Array, Array]:
    """Mean value of each unit (n,) at temperature t of the file, and its error, from the means of chains."""
    chains = []
    for unit in units:
        state = source.state(unit.key)
        assert state is not None
        sums, number = state.more["unit_sums"], unit.replicas
        if unit.ladder:
            first = unit.ladder.index(spec.temperatures[t]) * (64 // len(unit.ladder))
            sums = sums[:, first : first + number]
        chains.append(mean_values(realization, sums[:, :number], spec.records))
    values = np.concatenate(chains)
    number = len(values)
    if number < 2:
        errors = np.full(values.shape[1], np.nan)
    else:
        errors = values.std(axis=0, ddof=1) / np.sqrt(number) * interval_factor(number - 1)
    errors[errors == 0] = np.nan  # of a unit that never turned: how seldom it does is not known
    held = np.setdiff1d(np.arange(realization.whole.n), realization.free)
    errors[held] = 0.0  # known, not estimated
    return values.mean(axis=0), errors


def _way_to_log_z(machine: Machine, asked: str) -> str:
    """exact, ais or none."""
    if asked != "auto":
        return asked
    if likelihood.side_summed(machine) <= FEW_SUMMED:
        return "exact"
    return "none" if machine.kind == "general" else "ais"


def _log_z(
    way: str, realization: Realization, T: float, spec: MachineSpec, seed: int, label: str
) -> tuple[float, float]:  # fmt: skip
    if way == "exact":
        return likelihood.log_z(realization.drawn, T) - realization.constant / T, 0.0
    origin = streams.sequence(seed, label, T, 0, streams.LIKELIHOOD)
    rng = np.random.Generator(np.random.SFC64(origin))
    own = realization.drawn  # from its own visible biases the way is shorter than from nothing
    found = likelihood.ais(own, rng, CHAINS, STEPS, own.biases[0][: own.visible], T=T)
    return found.log_z - realization.constant / T, found.error if found.reliable else float("nan")


class _MachineModel(annealfile.Model):
    """A machine that is annealed."""

    values = "values of the units"

    def describe(self, system: MachineSystem) -> dict[str, Any]:
        """Attributes of a machine."""
        return describe(system)

    def states(self, system: MachineSystem, seed: int, spins: Array) -> tuple[Array, Array]:
        """Values of all units (reads, n), clamped ones included, and energies (reads,)."""
        realization = realize(system, seed)
        values = realization.states(spins.astype(np.float64))
        return values.astype(np.int8), realization.whole.energy(values)

    def cut(self, system: MachineSystem, seed: int, energy: Array) -> None:
        """A machine has no cut."""


def write_machine_annealing(
    out: Path, source: Source, spec: MachineAnnealSpec, units: Sequence[MachineAnnealUnit],
    attributes: dict[str, dict[str, Any]], tick: Callable[[], None],
) -> None:  # fmt: skip
    """Write the result file of an annealed machine, and its best states.

    Raises StoreError where they cannot be written.
    """
    annealfile.write_annealing(out, source, spec, units, attributes, tick, _MachineModel())


def read_model(path: Path) -> Machine:
    """The machine of a result file.

    Raises StoreError where the file is damaged, or has none.
    """
    with open_result(path) as file, damage_told(path):
        model, first = file["model"], next(iter(file["systems"].values()))
        kind, units, sizes = model.attrs["kind"], model.attrs["units"], tuple(first.attrs["sizes"].tolist())
        like = random_machine(kind, units, sizes, 0.0, np.random.default_rng(0))  # has the names and their order
        found = [model[name][()] for name in parameters(like)]
        weights = len(like.weights)
        return Machine(kind, units, sizes, tuple(found[:weights]), tuple(found[weights:]))


def read_energies(path: Path, label: str, most: int) -> list[Array]:
    """Energies (n,) of the time series of a system at each temperature, about `most` of them at even distances.

    Raises StoreError where the file is damaged.
    """
    with open_result(path) as file, damage_told(path):
        series = file[f"systems/{label}/timeseries/energy"]
        every = max(1, series.shape[1] * series.shape[2] // most)
        return [series[t, :, ::every].ravel() for t in range(len(series))]
