"""Physics checks of the samplers, for the tests and for a user's own machine: every one has a false-alarm rate.

Three kinds:

*One sweep.*  Start states are drawn independently from the enumerated Boltzmann distribution and get one sweep, after
which they must have that distribution again: independent samples, no thermalization, and no error bar to be argued
about.  Two chi-square tests on one set of states: over classes of energy and of the two sublattice magnetizations,
which sees wrong probabilities and a wrong order of updates, and over the states of the first and last row, which sees
mistakes at the edges.  Small lattices are tested state by state.

*Long runs* against Kaufman's exact energy and specific heat, or against enumeration in a field.  Deviations are in
units of the error that `statistics` gives, brought to a Gaussian scale, and the sum of their squares over the
temperatures must lie in its 99.9 % (in a field 99.99 %) interval: too large an error is noticed as well as too small
a one.

*The tests themselves.*  A sampler whose beta is 3 % off must fail.

Seeds are fixed, so one version of the program gives the same figures everywhere.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import nan
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ising_mc import exact, statistics, streams
from ising_mc.square import Model, ReplicaSampler, SiteSampler, Square, site_packing_refusal
from ising_mc.words import LANES

Floats = NDArray[np.float64]
Words = NDArray[np.uint64]

UPDATES = ("metropolis", "heat_bath")
ONE_SWEEP_LEVEL = 1e-5  # false-alarm rate of each one-sweep check
KAUFMAN_LEVEL = 1e-3  # of each run against Kaufman: the two ends of its 99.9 % interval together
FIELD_LEVEL = 1e-4  # of each run against enumeration, likewise
CERTAIN = 1e-10  # what a deliberate mistake must come below
BETA_ERROR = 1.03
MIN_EXPECTED = 25.0  # rarer states are pooled: the tail of chi-square, at 1e-5, is not right for small counts
EVERY_STATE = 9  # largest lattice, in sites, that is tested state by state
TEMPERATURES = (1.6, 1.8, 2.0, 2.15, 2.25, 2.3, 2.4, 2.6, 2.9, 3.2)
SITE_TEMPERATURES = (1.8, 2.1, 2.45, 2.8)  # away from criticality, where L = 128 takes 10^4 sweeps to forget
FIELD_TEMPERATURES = (2.0, 2.269, 2.6, 3.0, 5.0)  # below, in a weak field, the down state is met too rarely


@dataclass(frozen=True)
class Check:
    """Outcome of one check: what was looked at, the statistic, its p-value (NaN where none is meant), the limit."""

    name: str
    passed: bool
    statistic: float
    p_value: float
    limit: str


@dataclass(frozen=True)
class ChiSquare:
    """A sum of squares, its degrees of freedom, and its p-value (upper tail or two-sided: its maker says which)."""

    statistic: float
    degrees_of_freedom: int
    p_value: float


class Sweeper(Protocol):
    """What the one-sweep check needs of a sampler of 64 replicas."""

    def set_spins(self, words: Words, /) -> None:
        """Take the spins of 64 replicas, one word a site, (rows, columns)."""

    def sweep(self, sweeps: int, /) -> None:
        """Do some sweeps."""

    def get_spins(self) -> Words:
        """The spins, as `set_spins` takes them."""


# --- one sweep from the enumerated distribution -----------------------------------------------------------------


@dataclass(frozen=True)
class Point:
    """A small lattice, its couplings and a temperature."""

    rows: int
    columns: int
    J: float
    h: float
    T: float

    @property
    def lattice(self) -> Square:
        """The lattice."""
        return Square(self.rows, self.columns)

    @property
    def model(self) -> Model:
        """The couplings."""
        return Model(self.J, self.h)

    def sampler(self, update: str, seed: int, beta_error: float = 1.0) -> ReplicaSampler:
        """A sampler for this point, or for one whose beta is wrong by the factor `beta_error`."""
        temperature = self.T / beta_error
        sampler = ReplicaSampler(self.lattice, self.model, temperature, update)
        sampler.start(seed, f"validate {self}", temperature, 0, "random")
        return sampler


# zero and nonzero fields, ferromagnets, antiferromagnets (frustrated on odd sides) and couplings that are no integers;
# a field of 2 J has moves that cost exactly nothing
QUICK_POINTS = (
    Point(2, 2, 1.0, 0.0, 3.0),
    Point(2, 3, -1.0, 0.3, 2.0),
    Point(3, 3, 1.0, 0.0, 2.269),
    Point(3, 3, -0.7, -1.2, 2.5),
    Point(4, 4, 1.0, 0.0, 2.269),
    Point(4, 4, 1.3, 0.45, 4.0),
    Point(3, 5, 1.0, -0.2, 3.0),
)
POINTS = (
    *QUICK_POINTS,
    Point(2, 2, -1.0, 0.0, 1.5),
    Point(2, 2, 0.6, 2.5, 2.0),
    Point(2, 3, 1.0, 0.0, 2.0),
    Point(3, 2, 1.0, -0.4, 3.0),
    Point(2, 4, 1.0, 0.0, 2.269),
    Point(4, 2, -1.0, 2.0, 2.0),
    Point(3, 3, 1.0, 2.0, 4.0),
    Point(3, 3, -1.0, 0.0, 1.0),
    Point(3, 3, 1.0, -6.0, 8.0),
    Point(4, 4, 1.0, 0.0, 1.4),
    Point(4, 4, -1.0, 0.0, 2.269),
    Point(4, 4, 1.0, 0.0, 10.0),
    Point(4, 4, 1.0, -0.3, 2.269),
    Point(4, 4, -1.0, 5.0, 3.0),
    Point(4, 4, 0.37, 0.0, 0.8),
    Point(5, 3, 1.0, 0.0, 2.269),
    Point(3, 5, -1.0, 0.8, 2.0),
    Point(5, 3, 0.8, 4.0, 6.0),
)
LARGE_POINT = Point(4, 6, 1.0, 0.1, 2.5)  # 2^24 states: a few seconds and a gigabyte


def _classes(rows: int, columns: int) -> tuple[NDArray[np.int32], ...]:
    """One or two ways to sort all states into classes: the class of each state."""
    n = rows * columns
    states = np.arange(1 << n, dtype=np.uint32)
    if n <= EVERY_STATE:
        return (states.astype(np.int32),)
    colour = np.add.outer(np.arange(rows), np.arange(columns)).ravel() % 2
    first = np.uint32(sum(1 << site for site in range(n) if colour[site] == 0))
    second = np.uint32((1 << n) - 1 - int(first))
    key = exact.enumerate_states(n, exact.square_bonds(rows, columns)).energy.astype(np.int32) + 2 * n
    for sublattice in (first, second):
        key = key * 32 + np.bitwise_count(states & sublattice).astype(np.int32)
    edges = (states & np.uint32((1 << columns) - 1)) | (states >> np.uint32(n - columns) << np.uint32(columns))
    return key, edges.astype(np.int32)


def one_sweep(sampler: Sweeper, point: Point, lanes: int, seed: int) -> list[ChiSquare]:
    """Sweep `lanes` states of the Boltzmann distribution of `point` once, and compare them with it.

    Returns one chi-square test (small lattices) or two, upper tails.  `lanes` is rounded up to a multiple of 64.
    The sampler may be one of another point, to see that this fails.
    """
    weights = _enumerate(point.lattice, point.model).weights(point.T)
    cumulative = np.cumsum(weights)
    rng = np.random.Generator(np.random.SFC64(streams.sequence(seed, f"validate {point}", point.T, 0, streams.START)))
    u = rng.random((-(-lanes // LANES), LANES))
    start = np.searchsorted(cumulative, u * cumulative[-1], side="right")
    end = np.concatenate([_sweep_group(sampler, point, group) for group in start])
    tests = []
    for classes in _classes(point.rows, point.columns):
        expected = np.asarray(np.bincount(classes, weights), np.float64) * len(end)
        tests.append(pooled_chi_square(np.bincount(classes[end], minlength=len(expected)), expected))
    return tests


def _enumerate(lattice: Square, model: Model) -> exact.Enumeration:
    bonds = exact.square_bonds(lattice.rows, lattice.columns)
    return exact.enumerate_states(lattice.n_sites, bonds, model.J, model.h)


def _sweep_group(sampler: Sweeper, point: Point, states: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give 64 states, numbered as in `exact.Enumeration`, one sweep."""
    site = np.arange(point.rows * point.columns)
    bits = ((states >> site[:, None]) & 1).astype(np.uint8)  # (sites, lanes)
    words = np.packbits(bits, axis=1, bitorder="little").view("<u8").astype(np.uint64)
    sampler.set_spins(words.reshape(point.rows, point.columns))
    sampler.sweep(1)
    swept = sampler.get_spins().reshape(-1, 1).astype("<u8").view(np.uint8)
    after = np.unpackbits(swept, axis=1, bitorder="little").astype(np.int64) << site[:, None]
    return np.asarray(after.sum(axis=0), np.int64)


def pooled_chi_square(observed: NDArray[np.integer], expected: Floats) -> ChiSquare:
    """Upper-tail chi-square test of counts; classes that expect fewer than `MIN_EXPECTED` are pooled.

    What cannot occur but did makes the statistic infinite.  Raises ValueError if fewer than two classes are left.
    """
    frequent = expected >= MIN_EXPECTED
    pools = np.where(frequent, np.cumsum(frequent), 0)  # the rest becomes class 0
    if expected[~frequent].sum() < MIN_EXPECTED:  # or, being too little for that, joins the rarest of the others
        pools[~frequent] = pools[np.argmin(np.where(frequent, expected, np.inf))]
        pools -= pools.min()
    counts, means = np.bincount(pools, observed), np.bincount(pools, expected)
    if len(means) < 2:
        raise ValueError("a chi-square test needs two classes; take more states or a higher temperature")
    impossible = bool(np.any(observed[expected == 0] > 0))
    statistic = np.inf if impossible else float(((counts - means) ** 2 / means).sum())
    dof = len(means) - 1
    return ChiSquare(statistic, dof, float(stats.chi2.sf(statistic, dof)))


def combined_p_value(tests: Sequence[ChiSquare]) -> float:
    """The smallest p-value of several tests, times their number (Bonferroni)."""
    return min(1.0, len(tests) * min(test.p_value for test in tests))


def check_one_sweep(point: Point, update: str, lanes: int, seed: int = 1, beta_error: float = 1.0) -> Check:
    """One sweep keeps the Boltzmann distribution; with a `beta_error` the check passes if that is noticed."""
    tests = one_sweep(point.sampler(update, seed, beta_error), point, lanes, seed)
    p = combined_p_value(tests)
    worst = min(tests, key=lambda test: test.p_value)
    right = beta_error == 1.0
    name = f"one {update} sweep, {point.rows} x {point.columns}, J = {point.J:g}, h = {point.h:g}, T = {point.T:g}"
    return Check(
        name if right else f"{name}: beta {beta_error - 1:.0%} off is noticed",
        p > ONE_SWEEP_LEVEL if right else p < CERTAIN,
        worst.statistic / worst.degrees_of_freedom,
        p,
        f"p > {ONE_SWEEP_LEVEL:g}" if right else f"p < {CERTAIN:g}",
    )


# --- long runs --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """Length of a long run: words of replicas (packed by sites: replicas), sweeps to thermalize and to record."""

    words: int
    thermalization: int
    sweeps: int


KAUFMAN_RUNS = (
    ((8, 8), Plan(1, 2000, 20000), TEMPERATURES),
    ((17, 17), Plan(1, 3000, 20000), TEMPERATURES),
    ((32, 32), Plan(1, 4000, 20000), TEMPERATURES),
    ((128, 128), Plan(16, 3000, 8000), SITE_TEMPERATURES),
)
FIELD_MODELS = (Model(1.0, 0.2), Model(-1.0, 0.5), Model(0.7, -1.1), Model(1.0, 2.0))
FIELD_PLAN = Plan(1, 2000, 20000)


def time_series(
    lattice: Square, model: Model, temperature: float, update: str, plan: Plan, seed: int
) -> tuple[Floats, Floats]:
    """Total energy and magnetization, (replica, sweep) each; packed by sites where the lattice allows it.

    All replicas start up: random starts get stuck in stripes below the critical temperature.
    """
    energies, magnetizations = [], []
    for word in range(plan.words):
        sampler = sampler_for(lattice, model, temperature, update)
        sampler.start(seed, f"validate {lattice.label}", temperature, word, "up")
        sampler.sweep(plan.thermalization)
        unsatisfied, ups = sampler.sample(plan.sweeps, 1)
        energies.append(model.energy(lattice, unsatisfied, ups).T.astype(np.float64))
        magnetizations.append(2.0 * ups.T - lattice.n_sites)
    return np.concatenate(energies), np.concatenate(magnetizations)


def sampler_for(lattice: Square, model: Model, temperature: float, update: str) -> ReplicaSampler | SiteSampler:
    """Packed by sites where the lattice allows it, else by replicas."""
    kind = ReplicaSampler if site_packing_refusal(lattice) else SiteSampler
    return kind(lattice, model, temperature, update)


def deviation(estimate: statistics.Estimate, truth: float) -> float:
    """Deviation from the truth as a Gaussian z of the same probability; NaN if the error is unknown."""
    if not estimate.reliable:
        return nan
    dof = estimate.degrees_of_freedom
    t = (estimate.value - truth) / estimate.error * stats.t.isf(stats.norm.sf(1.0), dof)
    return float(np.sign(t) * stats.norm.isf(stats.t.sf(abs(t), dof)))


def sum_of_squares(deviations: Sequence[float]) -> ChiSquare:
    """Sum of squared Gaussian deviations, two-sided: an error bar too large is as wrong as one too small.

    A NaN among them makes the p-value NaN, which passes no limit.
    """
    dof = len(deviations)
    statistic = float(np.square(deviations).sum())
    tails = stats.chi2.cdf(statistic, dof), stats.chi2.sf(statistic, dof)
    return ChiSquare(statistic, dof, float(np.minimum(1.0, 2 * np.min(tails))))


def specific_heat(energy: Floats, sites: int, temperature: float) -> statistics.Estimate:
    """(<E^2> - <E>^2) / (N T^2) with its error, from total energies (replica, sweep)."""
    shifted = energy - energy.mean()  # the difference of large squares would lose digits
    return statistics.jackknife(lambda e, e2: (e2 - e * e) / (sites * temperature**2), shifted, shifted**2)


def kaufman_deviations(
    lattice: Square,
    update: str,
    plan: Plan,
    temperatures: Sequence[float] = TEMPERATURES,
    seed: int = 1,
    beta_error: float = 1.0,
) -> tuple[list[float], list[float]]:
    """Deviations of energy and specific heat from Kaufman's values, one a temperature; beta may be made wrong."""
    energies, heats = [], []
    sites = lattice.n_sites
    for temperature in temperatures:
        truth = exact.kaufman(temperature, (lattice.rows, lattice.columns))
        energy, _ = time_series(lattice, Model(), temperature / beta_error, update, plan, seed)
        energies.append(deviation(statistics.mean(energy / sites), float(truth.energy)))
        heats.append(deviation(specific_heat(energy, sites, temperature), float(truth.specific_heat)))
    return energies, heats


def field_deviations(
    model: Model,
    update: str,
    plan: Plan,
    temperatures: Sequence[float] = FIELD_TEMPERATURES,
    seed: int = 1,
) -> tuple[list[float], list[float]]:
    """Deviations of energy and magnetization from the enumeration of the 4 x 4 lattice, one a temperature."""
    lattice = Square(4, 4)
    sites = lattice.n_sites
    states = _enumerate(lattice, model)
    energies, magnetizations = [], []
    for temperature in temperatures:
        truth = states.observables(temperature)
        energy, magnetization = time_series(lattice, model, temperature, update, plan, seed)
        energies.append(deviation(statistics.mean(energy / sites), float(truth["energy_per_site"])))
        magnetizations.append(deviation(statistics.mean(magnetization / sites), float(truth["magnetization_per_site"])))
    return energies, magnetizations


def check_deviations(name: str, deviations: Sequence[float], level: float) -> Check:
    """The deviations of one long run are as large as Gaussian ones of unit variance, with false-alarm rate `level`."""
    test = sum_of_squares(deviations)
    dof = test.degrees_of_freedom
    low, high = (float(stats.chi2.ppf(q, dof)) / dof for q in (level / 2, 1 - level / 2))
    limit = f"{low:.3f} < chi2/dof < {high:.3f}"
    return Check(name, test.p_value > level, test.statistic / dof, test.p_value, limit)


# --- counting, threads ------------------------------------------------------------------------------------------


def check_counters(sampler: ReplicaSampler | SiteSampler, lattice: Square, model: Model) -> Check:
    """Energies and magnetizations of the bit-sliced counters are those of the spins, summed with numpy."""
    unsatisfied, ups = sampler.sample(3, 1)
    words = sampler.get_spins()
    lanes = (words >> np.arange(LANES, dtype=np.uint64)[:, None, None]) & np.uint64(1)
    spins = 2 * lanes.astype(np.int64).reshape(-1, lattice.rows, lattice.columns) - 1
    neighbours = np.roll(spins, -1, 1) + np.roll(spins, -1, 2)
    energy = -model.J * (spins * neighbours).sum((1, 2)) - model.h * spins.sum((1, 2))
    difference = np.abs(model.energy(lattice, unsatisfied[-1], ups[-1]) - energy).max()
    wrong = int(np.count_nonzero(2 * ups[-1].astype(np.int64) - lattice.n_sites != spins.sum((1, 2))))
    tolerance = 1e-12 * model.largest_energy(lattice)
    kind = "by sites" if sampler.lanes == 1 else "by replicas"
    return Check(
        f"counters, {lattice.rows} x {lattice.columns} packed {kind}, J = {model.J:g}, h = {model.h:g}",
        bool(difference <= tolerance and wrong == 0),
        float(difference),
        nan,
        f"energy off by at most {tolerance:.0e}, magnetization exact",
    )


def check_threads(update: str, threads: int = 2, seed: int = 1) -> Check:
    """Threads change no bit of a large lattice."""
    lattice, results = Square(512, 256), []
    for count in (1, threads):
        sampler = SiteSampler(lattice, Model(), 2.269, update, count)
        sampler.start(seed, "validate threads", 2.269, 0, "random")
        counts = np.array(sampler.sample(20, 1)).view(np.uint64).ravel()
        results.append(np.concatenate([counts, sampler.get_spins().ravel(), sampler.state().random.ravel()]))
    different = int(np.count_nonzero(results[0] != results[1]))
    name = f"{threads} threads, {update}"
    return Check(name, different == 0, float(different), nan, "no word differs")


# --- all together -----------------------------------------------------------------------------------------------


def checks(quick: bool = False, seed: int = 1) -> Iterator[Check]:
    """Do the checks one after the other, each when it is asked for.

    quick: ten seconds instead of a minute and less than half a gigabyte instead of one (one core, compiled kernels in
    the cache).  seed: with another one than the default the figures change, and a check may fail by chance, as often
    as the limits say.
    """
    for size in ((5, 6), (16, 16), (33, 130), (256, 128)):
        for model in (Model(1.0, 0.0), Model(-0.7, 0.3)):
            lattice = Square(*size)
            sampler = sampler_for(lattice, model, 2.5, "metropolis")
            sampler.start(seed, "validate counters", 2.5, 0, "random")
            yield check_counters(sampler, lattice, model)
    for update in UPDATES:
        yield check_threads(update, seed=seed)
    for update in UPDATES:
        for point in QUICK_POINTS if quick else (*POINTS, LARGE_POINT):
            yield check_one_sweep(point, update, 1 << 16 if quick else 1 << 19, seed)
        yield check_one_sweep(Point(4, 4, 1.0, 0.0, 2.269), update, 1 << 18, seed, BETA_ERROR)
    for update in UPDATES:
        for size, plan, temperatures in KAUFMAN_RUNS:
            lattice = Square(*size)
            plan = replace(plan, sweeps=plan.sweeps // 4) if quick else plan
            energies, heats = kaufman_deviations(lattice, update, plan, temperatures, seed)
            name = f"{update}, {lattice.rows} x {lattice.columns} against Kaufman"
            yield check_deviations(f"energy, {name}", energies, KAUFMAN_LEVEL)
            yield check_deviations(f"specific heat, {name}", heats, KAUFMAN_LEVEL)
        for model in FIELD_MODELS[:1] if quick else FIELD_MODELS:
            energies, magnetizations = field_deviations(model, update, FIELD_PLAN, seed=seed)
            name = f"{update}, 4 x 4, J = {model.J:g}, h = {model.h:g} against enumeration"
            yield check_deviations(f"energy, {name}", energies, FIELD_LEVEL)
            yield check_deviations(f"magnetization, {name}", magnetizations, FIELD_LEVEL)
