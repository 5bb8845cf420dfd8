"""The result file of recalls in Hopfield networks.

::

    /                        attributes as in other result files, and kind = "hopfield"
    /systems/N1024_P51_s000/     attributes units, patterns, load, rule, update, kernel, unit, ...
        temperature  replica  sweep  site  pattern             dimension scales
        timeseries/energy(temperature, replica, sweep)         and overlap, flips; all_overlaps(..., pattern)
        results/X(temperature), X_error, X_tau_int             means over recalls
        recalls/X(temperature, replica)                        cued, nearest, outcome, ended, sweeps, cue_energy, ...
        recalls/cue(temperature, replica, site), final(...)    states, +1 and -1
        patterns(pattern, site)                                where they were given
    /disorder/N1024_P51/     averages over samples of random patterns
        temperature
        results/X(temperature), X_error (from sample to sample), X_recall_error (the part that recalls make)
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ising_mc.datasets import add, add_packed, add_scale, strings
from ising_mc.hopfield import Network
from ising_mc.kernels.recall import CYCLE, FIXED, RUNNING
from ising_mc.observables import Quantity
from ising_mc.recall import RecallSampler
from ising_mc.recallresults import QUANTITIES, TIME_SERIES, Recalls, Value, analyse, outcome, over_samples, overlaps_of
from ising_mc.recallspec import RecallSpec
from ising_mc.recallunits import RecallUnit
from ising_mc.resultfile import Source, new_file, sync_and_rename, why_not, write_header
from ising_mc.results import StoreError, damage_told, open_result

ENDED = {RUNNING: "max_sweeps", FIXED: "fixed_point", CYCLE: "cycle"}
MOST_STATES = 1 << 26  # spins of all recalls of a network that are stored


def write_recalls(
    out: Path, source: Source, spec: RecallSpec, units: Sequence[RecallUnit], attributes: dict[str, dict[str, Any]],
    tick: Callable[[], None],
) -> None:  # fmt: skip
    """Write the result file under another name, and rename it.

    Raises StoreError where it cannot be written.
    """
    partial = out.with_name(out.name + ".tmp")
    try:
        with new_file(partial, tick) as (file, tick):
            write_header(file, spec, source.seed, attributes, kind=spec.kind, retrieved=spec.retrieved)
            families: dict[str, list[list[dict[str, Value]]]] = {}
            for network in spec.systems:
                own = [unit for unit in units if unit.system == network]
                results = _write_network(file.create_group(f"systems/{network.label}"), source, spec, own, tick)
                if network.sample is not None:
                    families.setdefault(network.family, []).append(results)
            for family, samples in families.items():
                first = next(network for network in spec.systems if network.family == family)
                _write_average(file.create_group(f"disorder/{family}"), first, spec, samples)
        sync_and_rename(partial, out)
    except OSError as error:
        raise StoreError(
            f"cannot write {out}: {why_not(error, out)}; all recalls are safe in its .parts folder, run again"
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def describe(network: Network) -> dict[str, Any]:
    """A network as attributes."""
    cue = network.cue
    return {
        "n_sites": network.units,
        "units": network.units,
        "patterns": network.count,
        "load": network.load,
        "rule": network.rule,
        "bias": network.bias,
        "update": network.update,
        "thresholds": np.nan if network.own_thresholds else network.thresholds,
        "cue_flip": cue.flip,
        "cue_blank": cue.blank,
        "cue_hidden": list(cue.hidden),
        "cue_clamp": cue.clamp,
        "cue_given": cue.given is not None,
        "picture": list(network.patterns.shape) if network.patterns else [],
    }


def _write_network(
    group: h5py.Group, source: Source, spec: RecallSpec, units: list[RecallUnit], tick: Callable[[], None]
) -> list[dict[str, Value]]:
    network = units[0].system
    group.attrs.update(describe(network))
    group.attrs.update(kernel=units[0].choice.kernel, thermalization=spec.thermalization)
    if network.sample is not None:
        group.attrs.update(disorder_sample=network.sample, family=network.family)
    temperature = add_scale(
        group, "temperature", np.array(spec.temperatures), Quantity("J/k_B", "temperature", "T", "T")
    )
    replica = add_scale(group, "replica", np.arange(spec.replicas), "recall")
    sweeps = np.arange(1, spec.records + 1, dtype=np.int64) * spec.measure_every
    sweep = add_scale(group, "sweep", sweeps, "sweep of the measurement, after thermalization")
    pattern = add_scale(group, "pattern", np.arange(network.count), "number of a pattern")
    axes = {"energy": (sweep,), "overlap": (sweep,), "flips": (sweep,), "all_overlaps": (sweep, pattern)}
    points = [_Point([unit for unit in units if unit.temperature == T], source, spec, tick) for T in spec.temperatures]
    series = group.create_group("timeseries")
    for name in points[0].recalls.series:
        values = np.stack([point.recalls.series[name] for point in points])
        add_packed(series, name, values, TIME_SERIES[name], temperature, replica, *axes[name])
    results = [point.results for point in points]
    _write_results(group.create_group("results"), results, temperature)
    own = group.create_group("recalls")
    for name, quantity in OF_RECALLS.items():
        values = np.stack([point.facts[name] for point in points])
        add(own, name, strings(values) if values.dtype.kind == "U" else values, quantity, temperature, replica)
    if len(points) * spec.replicas * network.units <= MOST_STATES:
        site = add_scale(group, "site", np.arange(network.units), "unit")
        for name, quantity in STATES.items():
            values = np.stack([point.states[name] for point in points])
            add_packed(own, name, values, quantity, temperature, replica, site)
        if network.patterns is not None:
            stored = Quantity("1", "stored patterns", "+1 or -1", "xi")
            add_packed(group, "patterns", network.patterns.values, stored, pattern, site)
    return results


OF_RECALLS = {
    "cued": Quantity("1", "pattern that was cued (of given cues: the nearest one)", "number, from 0", "mu"),
    "nearest": Quantity("1", "pattern nearest to the last state", "largest |m|, number from 0", "mu"),
    "nearest_overlap": Quantity("1", "overlap of the last state with the nearest pattern", "sum_i xi_i s_i / N", "m"),
    "outcome": Quantity("", "what the last state is", "a pattern, its mirror, a mixture, or something else", ""),
    "ended": Quantity("", "how the recall ended", "max_sweeps, fixed_point or cycle", ""),
    "sweeps": Quantity("sweeps", "sweeps done, the last one without a turn included", "", "t"),
    "cue_energy": Quantity("J", "energy of the cue", "H", "H"),
    "cue_overlap": Quantity("1", "overlap of the cue with the cued pattern, times N", "sum_i xi_i s_i", "M"),
}
STATES = {
    "cue": Quantity("1", "state before the first sweep", "+1 or -1", "s"),
    "final": Quantity("1", "state after the last sweep", "+1 or -1", "s"),
}


class _Point:
    """All recalls of one network at one temperature: series, results, facts and states."""

    def __init__(
        self, units: list[RecallUnit], source: Source, spec: RecallSpec, tick: Callable[[], None]
    ) -> None:  # fmt: skip
        network = units[0].system
        words = [_word(unit, source, spec.retrieved) for unit in units]
        parts = [source.series(unit.key) for unit in units]
        series = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        self.facts = {name: np.concatenate([word[name] for word in words]) for name in OF_RECALLS}
        self.states = {name: np.concatenate([word[name] for word in words]) for name in STATES}
        progress = np.concatenate([word["progress"] for word in words])
        first = self.facts["cue_energy"], self.facts["cue_overlap"]
        self.recalls = Recalls(
            network.units, units[0].temperature, series, first, progress, spec.measure_every, self.facts["cued"]
        )
        self.results = analyse(self.recalls, spec.retrieved)
        tick()


def _word(unit: RecallUnit, source: Source, retrieved: float) -> dict[str, Any]:
    """What the recalls of one unit began with and came to."""
    sampler: RecallSampler = unit.sampler(source.seed, 1)
    patterns = sampler.synapses.patterns
    found: dict[str, Any] = {"cued": sampler.cued, "cue": sampler.spins, "cue_energy": sampler.energies}
    found["cue_overlap"] = np.einsum("ki,ki->k", patterns[sampler.cued], found["cue"].astype(np.int32))
    state = source.state(unit.key)
    assert state is not None  # every unit of a finished run has a state
    sampler.restore(state)
    found |= {"final": sampler.spins, "progress": sampler.progress}
    found["sweeps"] = sampler.progress[:, 1]
    found["ended"] = np.array([ENDED[int(how)] for how in sampler.progress[:, 0]])
    final: Any = sampler.spins
    overlaps = overlaps_of(final, patterns)
    outcomes = [outcome(own, patterns, retrieved, m) for own, m in zip(final, overlaps, strict=True)]
    found["nearest"] = np.array([number for number, _ in outcomes])
    found["outcome"] = np.array([text for _, text in outcomes])
    found["nearest_overlap"] = overlaps[np.arange(len(overlaps)), found["nearest"]]
    return found


def _write_results(group: h5py.Group, results: list[dict[str, Value]], temperature: h5py.Dataset) -> None:
    for name, quantity in QUANTITIES.items():
        if not any(name in result for result in results):
            continue
        values = [result.get(name, NONE) for result in results]
        add(group, name, [own.value for own in values], quantity, temperature)
        error = Quantity(quantity.units, f"error of {quantity.long_name}", "half of the 68.27 % interval", "")
        add(group, f"{name}_error", [own.error for own in values], error, temperature)
        tau = Quantity("sweeps", f"integrated autocorrelation time of {quantity.long_name}", "NaN at T = 0", "tau")
        add(group, f"{name}_tau_int", [own.tau_int for own in values], tau, temperature)


NONE = Value(float("nan"), float("nan"))


def _write_average(
    group: h5py.Group, first: Network, spec: RecallSpec, samples: list[list[dict[str, Value]]]
) -> None:  # fmt: skip
    group.attrs.update(describe(first))
    group.attrs["samples"] = len(samples)
    scale = add_scale(group, "temperature", np.array(spec.temperatures), Quantity("J/k_B", "temperature", "T", "T"))
    results = group.create_group("results")
    for name, quantity in QUANTITIES.items():
        if not any(name in result for result in samples[0]):
            continue
        own = [
            over_samples(name, [sample[t] for sample in samples]) if name in samples[0][t] else (NONE, float("nan"))
            for t in range(len(spec.temperatures))
        ]
        text = f"[{quantity.definition}], [...] the average over samples"
        quantity = Quantity(quantity.units, quantity.long_name, text, quantity.symbol)
        add(results, name, [value.value for value, _ in own], quantity, scale)
        error = "half of the 68.27 % interval, from the scatter of the samples, that of the recalls included"
        add(
            results,
            f"{name}_error",
            [value.error for value, _ in own],
            Quantity(quantity.units, "error", error, ""),
            scale,
        )
        part = "the part of the error that more recalls of the same samples would take away"
        add(
            results, f"{name}_recall_error", [thermal for _, thermal in own],
            Quantity(quantity.units, "error from recalls", part, ""), scale,
        )  # fmt: skip


def kind_of(path: Path) -> str:
    """What kind of run a result file is of: ising, anneal or hopfield; raises StoreError where it is none at all."""
    with open_result(path) as file:
        return str(file.attrs.get("kind", "ising"))


def read_recalls(path: Path) -> list[dict[str, Any]]:
    """What tables and pictures of recalls need, system by system: attributes, recalls, states, patterns, series.

    Raises StoreError where the file is damaged.
    """
    with open_result(path) as file, damage_told(path):
        found = []
        for label, group in file["systems"].items():
            own: dict[str, Any] = {"label": label, "facts": dict(group.attrs), "temperature": group["temperature"][()]}
            own["recalls"] = {
                name: data.asstr()[()] if data.dtype.kind == "O" else data[()]
                for name, data in group["recalls"].items()
            }
            own["patterns"] = group["patterns"][()] if "patterns" in group else None
            own["energy"], own["sweep"] = group["timeseries/energy"][()], group["sweep"][()]
            found.append(own)
        return found
