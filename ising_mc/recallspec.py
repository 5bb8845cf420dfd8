"""Run files of the Hopfield network: recalls of stored patterns, at T = 0 until they end, at T > 0 in equilibrium."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ising_mc.hopfield import GIVEN, ORDERS, WAYS, Cue, GivenPatterns, Network
from ising_mc.ising import FileValues
from ising_mc.patternfile import read_couplings, read_patterns, read_thresholds
from ising_mc.reader import LARGEST_COUNT, Reader, SpecError, cut, is_number, no_repeats
from ising_mc.rules import RULES
from ising_mc.runspec import RunSpec
from ising_mc.systemspec import MOST_SAMPLES, digest

KEYS: dict[str, tuple[str, ...]] = {
    "run": ("name", "seed"),
    "model": ("kind",),
    "network": (
        "units", "load", "patterns", "threshold", "rule", "bias", "thresholds", "couplings", "asymmetric", "update",
        "samples",
    ),
    "cue": ("flip", "blank", "hidden", "clamp", "file"),
    "grid": ("temperatures", "replicas"),
    "schedule": ("max_sweeps", "thermalization", "sweeps", "measure_every", "checkpoint_seconds", "assert_descent"),
    "measure": ("retrieved", "all_overlaps"),
    "algorithm": ("kernel",),
}  # fmt: skip
MOST_UNITS = 1 << 24
MOST_NUMBERS = 10**10
FEW_NUMBERS = 10**7  # up to which all overlaps are recorded unless the file says otherwise
CLAMPS = ("none", "kept")


@dataclass(frozen=True, kw_only=True)
class RecallSpec(RunSpec):
    """A run that recalls patterns: replicas are recalls."""

    kind: ClassVar[str] = "hopfield"
    systems: tuple[Network, ...]
    kernel: str
    retrieved: float  # overlap from which on a pattern counts as retrieved
    assert_descent: bool  # see at T = 0 that no energy rises
    all_overlaps: bool  # record the overlaps with all patterns

    @property
    def amount(self) -> str:
        """How much is to be done, in a few words."""
        if not any(self.temperatures):
            return f"{self.replicas} recalls at T = 0, of up to {self.sweeps} sweeps"
        sweeps = f"{self.thermalization} + {self.sweeps} sweeps"
        return f"{len(self.temperatures)} temperatures x {self.replicas} recalls, {sweeps}"

    def identity(self) -> dict[str, Any]:
        """What a run is, key by key."""
        first = self.systems[0]
        cues = list(dict.fromkeys(network.cue for network in self.systems))
        return {
            "model.kind": "hopfield",
            "network.units": list(dict.fromkeys(network.units for network in self.systems)),
            "network.patterns": list(dict.fromkeys(network.count for network in self.systems)),
            "network.file": first.patterns.digest if first.patterns else "",
            "network.rule": first.rule,
            "network.bias": first.bias,
            "network.thresholds": first.own_thresholds.digest if first.own_thresholds else first.thresholds,
            "network.couplings": first.given.digest if first.given else "",
            "network.update": first.update,
            "network.samples": len({network.sample for network in self.systems}),
            "cue.shares": [[cue.flip, cue.blank] for cue in cues],
            "cue.hidden": list(first.cue.hidden),
            "cue.clamp": [first.cue.clamp, *first.cue.units],
            "cue.file": first.cue.given.digest if first.cue.given else "",
            "grid.temperatures": list(self.temperatures),
            "grid.replicas": self.replicas,
            "schedule.thermalization": self.thermalization,
            "schedule.sweeps" if any(self.temperatures) else "schedule.max_sweeps": self.sweeps,
            "schedule.measure_every": self.measure_every,
            "measure.retrieved": self.retrieved,
            "measure.all_overlaps": self.all_overlaps,
            "algorithm.kernel": self.kernel,
        }


def read_spec(reader: Reader, default_name: str, text: str) -> RecallSpec:
    """A run from the tables of its file.

    Raises SpecError, with one sentence that names the key and what is allowed.
    """
    temperatures = reader.temperatures("grid.temperatures", [0.0], zero=True)
    thermalization, sweeps = _sweeps(reader, temperatures)
    networks = _networks(reader)
    given = networks[0].cue.given
    every = reader.integer("schedule.measure_every", 1, 1)
    if sweeps % every:
        key = "sweeps" if any(temperatures) else "max_sweeps"
        raise SpecError(f"schedule.{key} = {sweeps} must be a multiple of schedule.measure_every = {every}")
    descent = reader.truth("schedule.assert_descent", False)
    if descent and (networks[0].update == "synchronous" or networks[0].asymmetric):
        raise SpecError(
            "schedule.assert_descent = true is for asynchronous updates with symmetric couplings; with others the "
            "energy may rise"
        )
    retrieved = reader.number("measure.retrieved", 0.9, positive=True)
    if retrieved > 1:
        raise SpecError(f"measure.retrieved, an overlap, must be at most 1, not {retrieved:g}")
    replicas = reader.integer("grid.replicas", len(given.values) if given else 64, 1, LARGEST_COUNT)
    numbers = replicas * (sweeps // every) * len(temperatures) * sum(network.count for network in networks)
    all_overlaps = reader.truth("measure.all_overlaps", numbers <= FEW_NUMBERS)
    if all_overlaps and numbers > MOST_NUMBERS:
        raise SpecError(f"measure.all_overlaps = true would record {numbers:.2g} numbers: leave it out")
    return RecallSpec(
        name=reader.name("run.name", default_name),
        seed=reader.seed("run.seed"),
        systems=networks,
        temperatures=temperatures,
        replicas=replicas,
        thermalization=thermalization,
        sweeps=sweeps,
        measure_every=every,
        checkpoint_seconds=reader.number("schedule.checkpoint_seconds", 60.0, positive=True),
        start="",
        warnings=(),
        text=text,
        kernel=reader.choice("algorithm.kernel", ("auto", *WAYS), "auto"),
        retrieved=retrieved,
        assert_descent=descent,
        all_overlaps=all_overlaps,
    )


def _sweeps(reader: Reader, temperatures: Sequence[float]) -> tuple[int, int]:
    """Sweeps of thermalization, and recorded ones: at T = 0 alone, of which recalls end by themselves, all of them."""
    if not any(temperatures):
        for key in ("thermalization", "sweeps"):
            if reader.get(f"schedule.{key}", None) is not None:
                raise SpecError(f"schedule.{key} has no meaning where all temperatures are 0: give schedule.max_sweeps")
        return 0, reader.integer("schedule.max_sweeps", 100, 1)
    if reader.get("schedule.max_sweeps", None) is not None:
        raise SpecError(
            "schedule.max_sweeps is for T = 0 alone: with temperatures above it give schedule.thermalization and "
            "schedule.sweeps"
        )
    return reader.integer("schedule.thermalization", 100, 0), reader.integer("schedule.sweeps", 400, 1)


# --- networks -----------------------------------------------------------------------------------------------------


def _networks(reader: Reader) -> tuple[Network, ...]:
    """All networks: size by size, load by load, cue by cue, sample by sample."""
    rule = reader.choice("network.rule", (*RULES, GIVEN), "hebb")
    given = _given_couplings(reader, rule)
    patterns = _given_patterns(reader)
    sizes = _sizes(reader, patterns, given)
    cues = _cues(reader, sizes)
    samples = reader.integer("network.samples", 1, 1, MOST_SAMPLES)
    if patterns and samples > 1:
        raise SpecError(f"network.samples = {samples} draws random patterns, but network.patterns names a file")
    bias = _bias(reader, rule, patterns)
    thresholds, own_thresholds = _thresholds(reader, [n for n, _ in sizes])
    asymmetric = reader.truth("network.asymmetric", False)
    update = reader.choice("network.update", tuple(ORDERS), "random")
    sets = [None] if patterns else range(samples)
    networks = [
        Network(
            n, count, rule, bias, patterns, thresholds, own_thresholds, given, asymmetric, update, cue, sample,
            len(cues) > 1,
        )
        for (n, count), cue, sample in product(sizes, cues, sets)
    ]  # fmt: skip
    labels = [network.label for network in networks]
    for label in labels:
        if labels.count(label) > 1:
            raise SpecError(f"network: two systems would be named {label}; give each of them a run of its own")
    return tuple(networks)


def _given_patterns(reader: Reader) -> GivenPatterns | None:
    value = reader.get("network.patterns", None)
    threshold = reader.number("network.threshold", 0.5)
    if not isinstance(value, str):
        if reader.get("network.threshold", None) is not None:
            raise SpecError("network.threshold is for pictures: it goes with network.patterns = 'FOLDER'")
        return None
    path = reader.path("network.patterns")
    if reader.get("network.threshold", None) is not None and not Path(path).is_dir():
        raise SpecError(f"network.threshold is for a folder of pictures, which {path} is not")
    values, shape = reader.from_file("network.patterns", lambda: read_patterns(Path(path), threshold))
    return GivenPatterns(path, digest(values), values, shape)


def _given_couplings(reader: Reader, rule: str) -> FileValues | None:
    asymmetric = reader.truth("network.asymmetric", False)
    if rule != GIVEN:
        for key in ("couplings", "asymmetric"):
            if reader.get(f"network.{key}", None) is not None:
                raise SpecError(f"network.{key} has no meaning with network.rule = '{rule}'; it goes with '{GIVEN}'")
        return None
    path = reader.path("network.couplings")
    values = reader.from_file("network.couplings", lambda: read_couplings(path, asymmetric))
    return FileValues(path, digest(values), values)


def _sizes(reader: Reader, patterns: GivenPatterns | None, given: FileValues | None) -> list[tuple[int, int]]:
    """Units and patterns of each network."""
    if patterns is not None:
        count, n = patterns.values.shape
        for key in ("units", "load"):
            if reader.get(f"network.{key}", None) is not None:
                raise SpecError(f"network.{key} is not needed: {patterns.path} holds {count} patterns of {n} units")
        if given is not None and len(given.values) != n:
            raise SpecError(
                f"network.couplings: {given.path} is for {len(given.values)} units, but the patterns have {n}"
            )
        return [(n, count)]
    if given is not None:
        if reader.get("network.units", None) is not None:
            raise SpecError(f"network.units is not needed: {given.path} is for {len(given.values)} units")
        units = [len(given.values)]
    else:
        units = _whole_numbers(reader, "network.units", 2, MOST_UNITS)
    loads, counts = reader.get("network.load", None), reader.get("network.patterns", None)
    if (loads is None) == (counts is None):
        raise SpecError("network: give either load = [0.05, 0.1] (alpha = P/N) or patterns = 51, a number or a file")
    if counts is not None:
        return list(product(units, _whole_numbers(reader, "network.patterns", 1, LARGEST_COUNT)))
    found = []
    for n, alpha in product(units, reader.numbers("network.load", 0.1)):
        count = round(alpha * n)
        if alpha <= 0 or count < 1 or count > LARGEST_COUNT:
            raise SpecError(f"network.load = {alpha:g} gives {count} patterns of {n} units; there must be at least 1")
        found.append((n, count))
    no_repeats("network.load", [list(pair) for pair in found])
    return found


def _whole_numbers(reader: Reader, key: str, smallest: int, largest: int) -> list[int]:
    value = reader.get(key, None)
    if value is None:
        raise SpecError(f"{key} is missing: give a whole number, or a list of them")
    values = value if isinstance(value, list) else [value]
    good = [isinstance(n, int) and not isinstance(n, bool) and smallest <= n <= largest for n in values]
    if not values or not all(good):
        raise SpecError(f"{key} must be a whole number from {smallest} to {largest}, or a list, not {cut(value)}")
    no_repeats(key, values)
    return values


def _bias(reader: Reader, rule: str, patterns: GivenPatterns | None) -> float:
    """The mean of the patterns, drawn with it, or that of given ones."""
    bias = reader.number("network.bias", 0.0)
    if not -1 < bias < 1:
        raise SpecError(f"network.bias, the mean of random patterns, must lie between -1 and 1, not {bias:g}")
    if patterns is None:
        return bias
    if reader.get("network.bias", None) is not None:
        raise SpecError(f"network.bias is for random patterns; that of {patterns.path} is taken from the file")
    return float(patterns.values.mean(dtype=np.float64)) if rule == "covariance" else 0.0


def _thresholds(reader: Reader, sizes: list[int]) -> tuple[float, FileValues | None]:
    value = reader.get("network.thresholds", 0.0)
    if not isinstance(value, str):
        return reader.number("network.thresholds", 0.0), None
    if len(set(sizes)) > 1:
        raise SpecError(f"network.thresholds: {value} goes with one size only, but network.units names {len(sizes)}")
    path = reader.path("network.thresholds")
    values = reader.from_file("network.thresholds", lambda: read_thresholds(path, sizes[0]))
    return 0.0, FileValues(path, digest(values), values)


# --- cues ---------------------------------------------------------------------------------------------------------


def _cues(reader: Reader, sizes: list[tuple[int, int]]) -> list[Cue]:
    """Cues, one for each pair of shares."""
    smallest = min(n for n, _ in sizes)
    clamp, units = _clamp(reader, smallest)
    if reader.get("cue.file", None) is not None:
        return [_given_cue(reader, sizes, clamp, units)]
    hidden = _hidden(reader, smallest)
    both = sorted(set(units) & set(range(*hidden)))
    if both:
        raise SpecError(f"cue: unit {both[0]} is both hidden and clamped")
    found = []
    for flip, blank in product(_shares(reader, "cue.flip"), _shares(reader, "cue.blank")):
        for n, _ in sizes:
            free = n - len(set(units) | set(range(*hidden)))
            if round(flip * n) + round(blank * n) > free:
                raise SpecError(
                    f"cue: flip = {flip:g} and blank = {blank:g} change more units than the {free} of {n} that are "
                    "neither hidden nor clamped"
                )
        found.append(Cue(flip, blank, hidden, clamp, units))
    return found


def _shares(reader: Reader, key: str) -> tuple[float, ...]:
    shares = reader.numbers(key, 0.0)
    if not all(0 <= share <= 1 for share in shares):
        raise SpecError(f"{key}, a share of the units, must be from 0 to 1, not {cut(reader.get(key, 0))}")
    no_repeats(key, shares)
    return shares


def _hidden(reader: Reader, n: int) -> tuple[int, int]:
    value = reader.get("cue.hidden", None)
    if value is None:
        return 0, 0
    if (
        not isinstance(value, list)
        or len(value) != 2
        or not all(is_number(unit) and isinstance(unit, int) for unit in value)
        or not 0 <= value[0] < value[1] <= n
    ):
        raise SpecError(
            f"cue.hidden must be [first, end], a range of the {n} units counted from 0, without `end`; not {cut(value)}"
        )
    return value[0], value[1]


def _clamp(reader: Reader, n: int) -> tuple[str, tuple[int, ...]]:
    value = reader.get("cue.clamp", "none")
    if not isinstance(value, list):
        return reader.choice("cue.clamp", CLAMPS, "none"), ()
    for unit in value:
        if isinstance(unit, bool) or not isinstance(unit, int) or not 0 <= unit < n:
            raise SpecError(f"cue.clamp names unit {cut(unit)}, but there are units 0 to {n - 1}")
    no_repeats("cue.clamp", value)
    return "units", tuple(value)


def _given_cue(reader: Reader, sizes: list[tuple[int, int]], clamp: str, units: tuple[int, ...]) -> Cue:
    for key in ("flip", "blank", "hidden"):
        if reader.get(f"cue.{key}", None) is not None:
            raise SpecError(f"cue.{key} has no meaning beside cue.file, which holds the cues as they are")
    path = reader.path("cue.file")
    values, shape = reader.from_file("cue.file", lambda: read_patterns(Path(path), 0.5, blanks=True))
    for n, _ in sizes:
        if values.shape[1] != n:
            raise SpecError(f"cue.file: {path} holds cues of {values.shape[1]} units, but the network has {n}")
    return Cue(clamp=clamp, units=units, given=GivenPatterns(path, digest(values), values, shape))
