"""The Hopfield network: H = -1/2 sum_ij J_ij s_i s_j - sum_i theta_i s_i, with couplings learnt from patterns.

A `Network` says what is to be simulated, small and hashable; `learn` draws or reads its patterns and makes its
couplings, `cues` the states that its recalls start from.
"""

from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ising_mc import rules, streams
from ising_mc.graphfile import available_memory
from ising_mc.ising import FileValues
from ising_mc.kernels import recall
from ising_mc.words import LANES

FIELD_BITS = 29  # sum_j |J_ij| + |theta_i| < 2**29 units: twice a coupling is then added to a field within 32 bits
INT8 = 2**7
COARSE = 1e-3  # of the scatter of local fields: by more rounding must not change them
KEPT = 2  # networks that are kept in memory
WHOLE = 1e-9  # a threshold that is so close to a whole number of units is one
ORDERS = {"random": recall.RANDOM, "sequential": recall.SEQUENTIAL, "synchronous": recall.SYNCHRONOUS}
WAYS = {"fields": recall.FIELDS, "patterns": recall.PATTERNS, "signs": recall.SIGNS}
GIVEN = "file"  # the rule of couplings that are given
PATTERN_SHARE, PATTERN_UNITS = 0.03, 4096  # up to so many patterns, of N, and from so many units on, sums over
# patterns are faster than all fields kept (benchmarks/HOPFIELD.md)
Patterns = NDArray[np.int8]
Floats = NDArray[np.float64]
Array = NDArray[Any]


@dataclass(frozen=True)
class GivenPatterns:
    """Patterns (P, N) of +1 and -1 from a file; equal when their contents are.  shape: of each as a picture, if any."""

    path: str
    digest: str
    values: Patterns = field(compare=False, repr=False)
    shape: tuple[int, ...] = ()


@dataclass(frozen=True)
class Cue:
    """Where recalls start: a pattern, of which a share is turned over and a share set at random.

    flip, blank: shares of the units, exactly so many of them, drawn anew for each recall;  hidden: units first ...
    last - 1, which are set at random as well;  clamp: "none", "kept" (all that are left as they were) or "units";
    units: those that are left as they were and hold their value, where clamp is "units";  given: cues of the user in
    place of all that, +1, -1, or 0 for a unit to be set at random.
    """

    flip: float = 0.0
    blank: float = 0.0
    hidden: tuple[int, int] = (0, 0)
    clamp: str = "none"
    units: tuple[int, ...] = ()
    given: GivenPatterns | None = None

    @property
    def label(self) -> str:
        """What tells it from other cues in names of systems."""
        parts = [f"{name}{share:g}" for name, share in (("flip", self.flip), ("blank", self.blank)) if share]
        return "_".join(parts) or "flip0"


@dataclass(frozen=True)
class Network:
    """A network of `units` units with `count` patterns, its rule, and how it recalls.

    patterns: where given, else they are drawn with the mean `bias`;  thresholds: theta, one number, or one a unit in
    `own_thresholds`;  given: couplings (N, N), for the rule "file";  update: a key of ORDERS;  sample: which set of
    random patterns;  named_by_cue: whether its label tells the cue.
    """

    units: int
    count: int
    rule: str = "hebb"
    bias: float = 0.0
    patterns: GivenPatterns | None = None
    thresholds: float = 0.0
    own_thresholds: FileValues | None = None
    given: FileValues | None = None
    asymmetric: bool = False
    update: str = "random"
    cue: Cue = Cue()
    sample: int | None = None
    named_by_cue: bool = False

    @property
    def memory(self) -> str:
        """The name of what is learnt, which networks with other cues share: N1024_P51."""
        return f"N{self.units}_P{self.count}"

    @property
    def family(self) -> str:
        """What samples have in common: N1024_P51."""
        return f"{self.memory}_{self.cue.label}" if self.named_by_cue else self.memory

    @property
    def label(self) -> str:
        """Name of the system in result files: N1024_P51_s003 for sample 3 of random patterns."""
        return self.family + self._of_sample

    @property
    def _of_sample(self) -> str:
        return "" if self.sample is None else f"_s{self.sample:03d}"

    @property
    def streams_label(self) -> str:
        """What keys the random numbers of its recalls; unlike the label it always tells the cue."""
        return f"{self.memory}_{self.cue.label}{self._of_sample}"

    @property
    def n_sites(self) -> int:
        """Number of units N."""
        return self.units

    @property
    def load(self) -> float:
        """alpha = P/N."""
        return self.count / self.units

    @property
    def learnt(self) -> "Network":
        """The network that has the same couplings, whatever its cue."""
        return Network(
            self.units, self.count, self.rule, self.bias, self.patterns, self.thresholds, self.own_thresholds,
            self.given, self.asymmetric, sample=self.sample,
        )  # fmt: skip


def draw_patterns(network: Network, seed: int) -> Patterns:
    """The patterns (P, N) of a network, given or drawn: the same ones whenever and wherever they are asked for."""
    if network.patterns is not None:
        return network.patterns.values
    label = network.memory + network._of_sample
    rng = np.random.Generator(np.random.SFC64(streams.sequence(seed, label, 0.0, 0, streams.PATTERNS)))
    up = (1 + network.bias) / 2
    return 2 * (rng.random((network.count, network.units), np.float32) < up).astype(np.int8) - 1


@dataclass(frozen=True, eq=False)
class Synapses:
    """Couplings and thresholds in whole units as `kernels.recall` wants them, and the patterns behind them.

    way: how local fields are known;  net: as in `kernels.recall.recall`;  error: the most by which
    rounding changes a local field.
    """

    way: int
    unit: float
    net: tuple[Any, ...]
    patterns: Patterns
    error: float = 0.0

    @cached_property
    def rows(self) -> NDArray[np.uint64]:
        """The patterns as bits, (P, words)."""
        return packed_rows(self.patterns)


NO_J: NDArray[np.integer] = np.zeros((0, 0), np.int16)
NO_PATTERNS = np.zeros((0, 0), np.int8)
NO_SIGNS = np.zeros((0, 0), np.uint64)
NO_COUNTS = np.zeros(0, np.int32)


@lru_cache(KEPT)
def learn(network: Network, way: str, seed: int) -> Synapses:
    """Learn the patterns of a network (`network.learnt`).

    way: a key of WAYS, one that `refusal` does not refuse.  Raises ValueError where the patterns cannot be held.
    """
    patterns = draw_patterns(network, seed)
    count, n = patterns.shape
    theta = np.full(n, network.thresholds)
    if network.own_thresholds is not None:
        theta = network.own_thresholds.values
    if way == "signs":
        unit = np.sqrt(count) / n
        sums = rules.hebb_sums(patterns)
        coupled, positive = packed_rows(sums != 0), packed_rows(sums > 0)
        couplings = np.count_nonzero(sums, axis=1).astype(np.int32)
        net: tuple[Any, ...] = (NO_J, NO_PATTERNS, positive, coupled, couplings, _whole(theta, unit), np.int32(0))
        return Synapses(recall.SIGNS, unit, net, patterns)
    by_unit = padded(patterns)
    if network.rule == "hebb" and is_whole(theta, 1 / n):
        J = _narrow(rules.hebb_sums(patterns)) if way == "fields" else NO_J
        net = (J, by_unit, NO_SIGNS, NO_SIGNS, NO_COUNTS, _whole(theta, 1 / n), np.int32(count))
        return Synapses(WAYS[way], 1 / n, net, patterns)
    given = network.given
    real = given.values if given is not None else rules.couplings(network.rule, patterns, network.bias)
    unit = _unit(real, theta)
    J = np.rint(real / unit).astype(np.int32)
    h = np.rint(theta / unit).astype(np.int32)
    error = float((np.abs(real - unit * J).sum(axis=1) + np.abs(theta - unit * h)).max())
    if error > COARSE * float(np.sqrt((real**2).sum(axis=1)).max()):
        raise ValueError(
            f"{network.label}: thresholds of up to {np.abs(theta).max():.3g} leave no digits to the couplings; beyond "
            f"{np.abs(real).sum(axis=1).max():.3g}, the sum of |J_ij|, a unit does not depend on the others anyway"
        )
    # row i: what fields change by when unit i turns
    net = (np.ascontiguousarray(J.T), NO_PATTERNS, NO_SIGNS, NO_SIGNS, NO_COUNTS, h, np.int32(0))
    return Synapses(recall.FIELDS, unit, net, patterns, error)


def _unit(real: Floats, theta: Floats) -> float:
    """The unit of couplings and thresholds: one that they are whole multiples of, if it is found, else a power of two.

    In the first case fields of 0 are exactly 0.
    """
    largest = float((np.abs(real).sum(axis=1) + np.abs(theta)).max())
    coupled = np.abs(real[real != 0])
    for unit in (1 / len(real), float(coupled.min(initial=np.inf))):
        if largest / unit < 2**FIELD_BITS and is_whole(real, unit) and is_whole(theta, unit):
            return unit
    return float(2.0 ** (np.frexp(largest)[1] - FIELD_BITS))


def padded(patterns: Patterns) -> NDArray[np.int8]:
    """Patterns by unit (N, P), with zeros up to a multiple of 64, so that loops over them have no remainder."""
    count, n = patterns.shape
    by_unit = np.zeros((n, -(-count // LANES) * LANES), np.int8)
    by_unit[:, :count] = patterns.T
    return by_unit


def _narrow(J: NDArray[np.integer]) -> NDArray[np.integer]:
    """Couplings in 8 bits where these hold them: they come from memory, row by row."""
    return J.astype(np.int8) if int(np.abs(J).max(initial=0)) < INT8 else J


def packed_rows(flags: Array) -> NDArray[np.uint64]:
    """Rows of flags, or of values of which the positive ones are set, as bits (rows, words)."""
    n = flags.shape[1]
    full = np.zeros((len(flags), -(-n // 64) * 64), np.uint8)
    full[:, :n] = flags > 0
    return np.packbits(full, axis=1, bitorder="little").view(np.uint64)


def is_whole(theta: Floats, unit: float) -> bool:
    """Whether numbers are whole multiples of a unit."""
    return bool(np.all(np.abs(theta / unit - np.rint(theta / unit)) < WHOLE))


def _whole(theta: Floats, unit: float) -> NDArray[np.int32]:
    return np.rint(theta / unit).astype(np.int32)


# --- which way ----------------------------------------------------------------------------------------------------


def refusal(network: Network, way: str, copies: int = 1) -> str:
    """Why local fields cannot be known in this way, or an empty string; copies: networks in memory at a time."""
    rule = network.rule
    theta = np.full(1, network.thresholds) if network.own_thresholds is None else network.own_thresholds.values
    if way == "patterns":
        if rule != "hebb":
            return f"sums over patterns are Hebb's rule, not '{rule}'"
        if not is_whole(theta, 1 / network.units):
            return "thresholds there must be whole multiples of 1/N"
    if way == "signs":
        if rule != "clipped":
            return f"couplings of one bit are those of the clipped rule, not of '{rule}'"
        if not is_whole(theta, np.sqrt(network.count) / network.units):
            return "thresholds there must be whole multiples of sqrt(P)/N"
    if rule in rules.INTEGER_RULES:
        most, unit = network.units, np.sqrt(network.count) / network.units
        if rule == "hebb":
            most, unit = network.units * network.count, 1 / network.units
        if most >= 2**FIELD_BITS:
            return f"{network.count} patterns of {network.units} units take local fields of more than 32 bits"
        if most + np.abs(theta).max() / unit >= 2**FIELD_BITS:
            return (
                f"thresholds of up to {np.abs(theta).max():.3g} are too large; beyond {most * unit:.3g} here a unit "
                "does not depend on the others anyway"
            )
    needed, there = copies * memory_needed(network, way), available_memory()
    if needed > there:
        what = f"{network.units} x {network.units} couplings" if way == "fields" else "they"
        return f"{what} would take about {needed / 1e9:.3g} GB of memory, more than the {there / 1e9:.3g} GB available"
    return ""


def memory_needed(network: Network, way: str) -> int:
    """Bytes that the couplings of a network and one word of recalls take, roughly, while they are made."""
    n, count = network.units, network.count
    lanes = LANES * n * 16
    patterns = 10 * n * count
    if way == "patterns":
        return lanes + patterns
    if way == "signs":
        return lanes + patterns + 6 * n * n
    return lanes + patterns + n * n * (3 if network.rule == "hebb" else 28)


def choose(network: Network, way: str = "auto", copies: int = 1) -> tuple[str, str]:
    """Resolve "auto": (a key of WAYS, why); copies: networks in memory at a time.

    Raises ValueError where what is asked for cannot be done.
    """
    if way != "auto":
        why_not = refusal(network, way, copies)
        if why_not:
            raise ValueError(f"algorithm.kernel = '{way}' cannot do {network.label}: {why_not}")
        return way, f"{WHAT[way]}, as asked"
    for own in ("signs", "patterns", "fields"):
        sums_win = network.load <= PATTERN_SHARE and network.units >= PATTERN_UNITS
        if own == "patterns" and not sums_win and not refusal(network, "fields", copies):
            continue
        if not refusal(network, own, copies):
            return own, WHAT[own]
    why_not = refusal(network, "fields", copies)
    if network.rule == "hebb":
        raise ValueError(
            f"{network.label}: {why_not}, and pattern space cannot be used: {refusal(network, 'patterns')}"
        )
    raise ValueError(
        f"{network.label}: {why_not}; with rule = 'hebb', algorithm.kernel = 'patterns' needs no matrix of couplings"
    )


WHAT = {
    "fields": "all local fields kept up to date",
    "patterns": "local fields summed over patterns, without a matrix of couplings",
    "signs": "couplings of one bit, counted 64 at a time",
}


# --- cues ---------------------------------------------------------------------------------------------------------


def cues(
    network: Network, patterns: Patterns, rng: np.random.Generator, first: int, number: int, total: int
) -> tuple[Array, ...]:
    """Start states of recalls first ... first + number - 1 of `total`, drawn from rng one after the other.

    Recall k cues pattern k % P, or, of fewer recalls than patterns, patterns evenly spread: those learnt first and last
    need not be alike.

    Returns (states (number, N) int8, patterns that are cued (number,), clamped units (number, N) bool).
    """
    cue, n = network.cue, network.units
    recall_numbers = np.arange(first, first + number)
    count = len(patterns)
    cued = recall_numbers % count if total >= count else recall_numbers * count // total
    states = patterns[cued].copy()
    clamped = np.zeros((number, n), bool)
    hidden = np.arange(*cue.hidden)
    free = np.setdiff1d(np.arange(n), np.concatenate((np.array(cue.units, np.int64), hidden)))
    for k in range(number):
        if cue.given is not None:
            own = cue.given.values[(first + k) % len(cue.given.values)]
            blank = np.flatnonzero(own == 0)
            states[k] = own
            flipped = blank[:0]
        else:
            order = rng.permutation(free)
            flips, blanks = round(cue.flip * n), round(cue.blank * n)
            flipped, blank = order[:flips], np.concatenate((order[flips : flips + blanks], hidden))
        states[k, flipped] *= -1
        states[k, blank] = 2 * rng.integers(0, 2, len(blank), dtype=np.int8) - 1
        if cue.clamp == "kept":
            clamped[k] = True
            clamped[k, flipped] = clamped[k, blank] = False
        elif cue.clamp == "units":
            clamped[k, list(cue.units)] = True
    if cue.given is not None:  # the pattern that is closest to the cue stands for it
        cued = np.abs(cue.given.values[np.arange(first, first + number) % len(cue.given.values)].astype(np.int32)
                      @ patterns.T.astype(np.int32)).argmax(axis=1)  # fmt: skip
    return states, cued, clamped
