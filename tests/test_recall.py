"""Recall in Hopfield networks: slow twins bit for bit, exact distributions, fixed points, cues, the theory of AGS."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ising_mc import exact
from ising_mc.hopfield import Cue, GivenPatterns, Network, choose, cues, draw_patterns, learn
from ising_mc.ising import FileValues
from ising_mc.kernels import recall as kernel
from ising_mc.recall import DescentError, RecallSampler
from ising_mc.recallresults import outcome
from ising_mc.rules import Memory, couplings
from ising_mc.validation import CERTAIN, ONE_SWEEP_LEVEL, ChiSquare, pooled_chi_square

SEED = 7
ORDERS = ("random", "sequential", "synchronous")
OF_RULE = {"hebb": ("fields", "patterns"), "clipped": ("fields", "signs"), "storkey": ("fields",)}
CASES = [(rule, way) for rule, ways in OF_RULE.items() for way in ways]


def sampler_of(network: Network, way: str, T: float = 0.0, replicas: int = 64, **options: Any) -> RecallSampler:
    sampler = RecallSampler(network, learn(network.learnt, way, SEED), T, replicas, 1, **options)
    sampler.start(SEED, network.label, T, 0)
    return sampler


# --- slow twins ---------------------------------------------------------------------------------------------------


class PlainRecall:
    """One recall, unit by unit, with couplings of its own and the random numbers that the kernel draws."""

    def __init__(self, sampler: RecallSampler, lane: int, T: float) -> None:
        network, synapses = sampler.network, sampler.synapses
        self.way, self.update, self.T, self.unit = synapses.way, network.update, T, synapses.unit
        J = couplings(network.rule, synapses.patterns)
        self.J = np.rint(J / self.unit).astype(int)
        self.theta = np.full(network.units, round(network.thresholds / self.unit))
        self.s = sampler.spins[lane].astype(int)
        self.free = ~sampler._clamped[lane]
        self.generator = sampler._generators[lane].copy()

    def draw(self) -> int:
        return int(kernel.draw(self.generator))

    def order(self) -> list[int]:
        n = len(self.s)
        if self.update != "random":
            return list(range(n))
        order, numbers = list(range(n)), []
        for last in range(n - 1, 0, -1):
            if not numbers:
                bits = self.draw()
                numbers = [bits & 0xFFFFFFFF, bits >> 32]
            k = numbers.pop(0) * (last + 1) >> 32
            order[last], order[k] = order[k], order[last]
        return order

    def turns(self, i: int) -> bool:
        cost = self.s[i] * (self.J[i] @ self.s + self.theta[i])
        if self.T == 0:
            return bool(cost < 0)
        p = 1 / (1 + np.exp(2 * self.unit * cost / self.T))
        return bool((self.draw() >> 11) * 2.0**-53 < p)

    def sweep(self) -> int:
        turned = 0
        if self.way == kernel.FIELDS and self.T == 0 and not any(self.turns(i) for i in np.flatnonzero(self.free)):
            return 0
        if self.update == "synchronous":
            who = [i for i in self.order() if self.free[i] and self.turns(i)]
            self.s[who] *= -1
            return len(who)
        for i in self.order():
            if self.free[i] and self.turns(i):
                self.s[i] *= -1
                turned += 1
        return turned

    @property
    def energy(self) -> float:
        return float(-(self.s @ self.J @ self.s / 2 + self.theta @ self.s) * self.unit)


@pytest.mark.parametrize("T", [0.0, 0.4])
@pytest.mark.parametrize("update", ORDERS)
@pytest.mark.parametrize(("rule", "way"), CASES)
def test_recalls_are_those_of_a_slow_twin(rule: str, way: str, update: str, T: float) -> None:
    theta = {"hebb": 3 / 37, "clipped": 2 * 5**0.5 / 37, "storkey": 0.07}[rule]
    network = Network(
        37, 5, rule, thresholds=theta, update=update, cue=Cue(0.2, 0.1, clamp="units", units=(3, 30)), sample=0
    )
    sampler = sampler_of(network, way, T, 9)
    twins = [PlainRecall(sampler, lane, T) for lane in range(9)]
    ended = np.zeros(9, bool)
    for sweep in range(8):
        series = sampler.record(1, 1)
        for lane, twin in enumerate(twins):
            before = twin.s.copy()
            turned = 0 if ended[lane] else twin.sweep()
            ended[lane] = sampler.progress[lane, 0] != kernel.RUNNING
            assert series["flips"][lane, 0] == turned, sweep
            np.testing.assert_array_equal(sampler.spins[lane], twin.s)
            assert series["energy"][lane, 0] == pytest.approx(twin.energy, rel=1e-6)
            assert series["overlap"][lane, 0] == twin.s @ sampler.synapses.patterns[sampler.cued[lane]]
            if T == 0 and turned == 0:
                assert ended[lane]
                np.testing.assert_array_equal(before, twin.s)
    assert T > 0 or ended.any()


def test_a_twin_with_another_sign_of_zero_is_noticed() -> None:
    """A local field of 0 keeps the state: a twin that turns then goes elsewhere."""
    network = Network(35, 4, update="sequential", cue=Cue(0.4), sample=0)
    sampler = sampler_of(network, "fields")
    wrong = [PlainRecall(sampler, lane, 0.0) for lane in range(64)]
    sampler.record(1, 1)
    for twin in wrong:
        twin.turns = lambda i, twin=twin: bool(twin.s[i] * (twin.J[i] @ twin.s) <= 0)  # type: ignore[method-assign,misc]
        twin.sweep()
    assert any(np.any(sampler.spins[lane] != twin.s) for lane, twin in enumerate(wrong))


@pytest.mark.parametrize(("rule", "ways"), [("hebb", ("fields", "patterns")), ("clipped", ("fields", "signs"))])
@pytest.mark.parametrize("update", ["sequential", "synchronous"])
def test_all_ways_go_the_same_way(rule: str, ways: tuple[str, str], update: str) -> None:
    """In orders that are not drawn the ways are one dynamics, also where words are not full and patterns many."""
    network = Network(200, 70, rule, update=update, cue=Cue(0.3), sample=0)
    one, other = (sampler_of(network, way, replicas=40) for way in ways)
    first, second = one.record(30, 1), other.record(30, 1)
    np.testing.assert_array_equal(one.spins, other.spins)
    np.testing.assert_array_equal(first["flips"], second["flips"])
    np.testing.assert_allclose(first["energy"], second["energy"], rtol=1e-6)
    assert first["flips"].sum() > 1000


# --- exact distributions ------------------------------------------------------------------------------------------

SMALL = {
    "hebb": Network(9, 2, thresholds=1 / 9, sample=0),
    "clipped": Network(9, 4, "clipped", sample=0),
    "storkey": Network(8, 3, "storkey", thresholds=0.11, sample=0),
    "pseudo_inverse": Network(8, 3, "pseudo_inverse", sample=1),
    "covariance": Network(9, 3, "covariance", bias=0.4, thresholds=-0.2, sample=0),
}
EXACT = [(name, way) for name, network in SMALL.items() for way in OF_RULE.get(network.rule, ("fields",))]


def real_couplings(network: Network) -> tuple[NDArray[Any], NDArray[Any]]:
    J = couplings(network.rule, draw_patterns(network, SEED), network.bias)
    return J, np.full(network.units, network.thresholds)


def one_sweep(
    network: Network, way: str, T: float, weights: NDArray[Any], rounds: int, wrong: float = 1.0
) -> ChiSquare:
    """Exact starts, one sweep, chi-square: independent states, no thermalization."""
    n = network.units
    sampler = sampler_of(network, way, T * wrong)
    sampler._clamped[:] = False
    cumulative, rng = np.cumsum(weights), np.random.default_rng(3)
    counts = np.zeros(1 << n, np.int64)
    for _ in range(rounds):
        states = np.searchsorted(cumulative, rng.random(64) * cumulative[-1], side="right")
        sampler._own[0][:] = 2 * (states[:, None] >> np.arange(n) & 1) - 1
        sampler._fill()
        sampler.sweep(1)
        np.add.at(counts, ((sampler.spins > 0).astype(int) << np.arange(n)).sum(1), 1)
    return pooled_chi_square(counts, weights * (counts.sum() / weights.sum()))


def boltzmann(network: Network, T: float) -> NDArray[Any]:
    J, theta = real_couplings(network)
    i, j = np.triu_indices(network.units, 1)
    states = exact.enumerate_states(network.units, np.column_stack((i, j)), J[i, j], theta)
    return np.asarray(states.weights(T))


@pytest.mark.parametrize("update", ["random", "sequential"])
@pytest.mark.parametrize(("name", "way"), EXACT)
def test_one_sweep_keeps_the_boltzmann_distribution(name: str, way: str, update: str) -> None:
    """False alarm 4e-5 each; 3 % off in T must be seen by each way."""
    network = replace(SMALL[name], update=update)
    weights = boltzmann(network, 0.5)
    assert one_sweep(network, way, 0.5, weights, 1500).p_value > ONE_SWEEP_LEVEL
    if update == "random" and name in ("hebb", "clipped"):
        assert one_sweep(network, way, 0.5, weights, 6000).p_value > ONE_SWEEP_LEVEL
        assert one_sweep(network, way, 0.5, weights, 6000, wrong=1.03).p_value < CERTAIN


@pytest.mark.parametrize(("name", "way"), [("hebb", "fields"), ("hebb", "patterns"), ("clipped", "signs")])
def test_synchronous_sweeps_keep_the_distribution_of_littles_model(name: str, way: str) -> None:
    """Weights exp(sum theta s / T) prod 2 cosh(h / T) (Peretto, Biol. Cybern. 50, 51, 1984), not Boltzmann's."""
    network = replace(SMALL[name], update="synchronous")
    (J, theta), n, T = real_couplings(network), network.units, 0.8
    s = 2 * (np.arange(1 << n)[:, None] >> np.arange(n) & 1) - 1
    weights = np.exp(s @ theta / T) * np.prod(2 * np.cosh((s @ J + theta) / T), axis=1)
    assert one_sweep(network, way, T, weights, 1500).p_value > ONE_SWEEP_LEVEL
    assert one_sweep(network, way, T, boltzmann(network, T), 1500).p_value < CERTAIN


def test_ties_are_ties_under_real_rules() -> None:
    """Couplings that are Hebb's, given as real numbers, have the same zero fields and so the same recalls."""
    hebb = Network(101, 8, update="sequential", cue=Cue(0.35), sample=0)
    J = couplings("hebb", draw_patterns(hebb, SEED))
    expected = sampler_of(hebb, "fields")
    expected.record(50, 1)
    for other in (
        replace(hebb, rule="covariance"),
        replace(hebb, rule="file", given=FileValues("J", "as hebb", J)),
        replace(hebb, rule="file", given=FileValues("J", "scaled", 0.3 * J)),
    ):
        found = sampler_of(other, "fields")
        found.record(50, 1)
        np.testing.assert_array_equal(found.spins, expected.spins)


@pytest.mark.parametrize(("rule", "theta"), [("hebb", 4e7), ("hebb", -1e9), ("clipped", 1e9)])
def test_thresholds_beyond_32_bits_are_refused(rule: str, theta: float) -> None:
    with pytest.raises(ValueError, match="too large; beyond"):
        choose(Network(60, 4, rule, thresholds=theta))


def test_thresholds_that_leave_no_digits_to_couplings_are_refused() -> None:
    values = np.zeros(100)
    values[3] = 1e8
    network = Network(100, 10, "storkey", own_thresholds=FileValues("t", "large", values), sample=0)
    with pytest.raises(ValueError, match="leave no digits"):
        learn(network.learnt, "fields", SEED)
    values[3] = 1e3
    assert learn(network.learnt, "fields", SEED).error < 1e-3


# --- descent, fixed points, cycles --------------------------------------------------------------------------------


@pytest.mark.parametrize("update", ["random", "sequential"])
@pytest.mark.parametrize(("rule", "way"), [*CASES, ("pseudo_inverse", "fields"), ("covariance", "fields")])
def test_energy_falls_to_a_fixed_point(rule: str, way: str, update: str) -> None:
    network = Network(300, 45, rule, update=update, cue=Cue(0.35), sample=0)
    sampler = sampler_of(network, way, assert_descent=True)
    energy = sampler.record(100, 1)["energy"]
    assert np.all(np.diff(energy, axis=1) <= 0)
    assert np.all(sampler.progress[:, 0] == kernel.FIXED)
    J, theta = real_couplings(network)
    s = sampler.spins.astype(float)
    assert np.min(s * (s @ J + theta)) > -1e-6  # every end is a fixed point of the couplings as they were learnt
    np.testing.assert_allclose(energy[:, -1], -0.5 * np.einsum("ki,ij,kj->k", s, J, s) - s @ theta, rtol=1e-5)


def test_a_rising_energy_is_noticed() -> None:
    given = FileValues("J", "uphill", np.random.default_rng(1).normal(size=(40, 40)) * ~np.eye(40, dtype=bool))
    one_way = Network(40, 4, "file", given=given, asymmetric=True, cue=Cue(0.3), sample=0)
    with pytest.raises(DescentError, match="rose by"):
        sampler_of(one_way, "fields", assert_descent=True).record(5, 1)
    drifted = sampler_of(Network(60, 4, cue=Cue(0.3), sample=0), "fields", assert_descent=True)
    drifted.record(20, 1)
    drifted._own[1][3, 5] += 2 * int(drifted._own[0][3, 5])
    with pytest.raises(DescentError, match="do not belong"):
        drifted.record(1, 1)


def test_asymmetric_couplings_act_from_column_to_row() -> None:
    """h_i = sum_j J_ij s_j: unit 0 listens to unit 1, which listens to nobody and so never turns."""
    J = np.zeros((3, 3))
    J[0, 1], J[2, 0] = 1.0, -0.5
    given = FileValues("J", "digest", J)
    network = Network(3, 1, "file", given=given, asymmetric=True, update="sequential", sample=0)
    for start, end in (([1, -1, -1], [-1, -1, 1]), ([-1, 1, 1], [1, 1, -1])):
        sampler = sampler_of(network, "fields", replicas=1)
        sampler._own[0][:] = start
        sampler._fill()
        sampler.record(5, 1)
        assert sampler.spins[0].tolist() == end


def test_synchronous_updates_end_in_cycles_of_two() -> None:
    """Two units that want to be alike, started unlike, change places for ever."""
    given = FileValues("J", "digest", np.array([[0.0, 1.0], [1.0, 0.0]]))
    network = Network(2, 1, "file", given=given, update="synchronous", sample=0)
    sampler = sampler_of(network, "fields", replicas=2)
    sampler._own[0][:] = [[1, -1], [1, 1]]
    sampler._fill()
    series = sampler.record(10, 1)
    assert sampler.progress[:, 0].tolist() == [kernel.CYCLE, kernel.FIXED]
    assert sampler.progress[:, 1].tolist() == [2, 1]
    assert series["flips"][0].tolist() == [2, 2] + 8 * [0]
    glassy = sampler_of(Network(200, 60, update="synchronous", cue=Cue(0.4), sample=0), "fields")
    glassy.record(200, 1)
    assert np.count_nonzero(glassy.progress[:, 0] == kernel.CYCLE) > 5


# --- state, threads, cuts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("T", [0.0, 0.3])
@pytest.mark.parametrize("update", ORDERS)
@pytest.mark.parametrize(("rule", "way"), CASES)
def test_cuts_threads_and_restarts_change_no_sample(rule: str, way: str, update: str, T: float) -> None:
    network = Network(150, 21, rule, update=update, cue=Cue(0.3), sample=0)
    whole, cut = (sampler_of(network, way, T, 21, watch_all=True) for _ in range(2))
    expected = whole.record(24, 1)
    parts = []
    for count, threads in ((1, 2), (2, 1), (6, 2), (15, 1)):
        again = RecallSampler(network, whole.synapses, T, 21, threads, watch_all=True)
        again.start(SEED, network.label, T, 0)
        again.restore(cut.state())
        parts.append(again.record(count, 1))
        cut = again
    for name, values in expected.items():
        np.testing.assert_array_equal(values, np.concatenate([part[name] for part in parts], axis=1))
    np.testing.assert_array_equal(whole.progress, cut.progress)
    own = np.einsum("krp,kp->kr", expected["all_overlaps"], np.eye(21, dtype=int)[whole.cued])
    np.testing.assert_array_equal(own, expected["overlap"])


# --- cues ---------------------------------------------------------------------------------------------------------


def test_cues_have_what_was_asked_for() -> None:
    network = Network(100, 7, cue=Cue(0.1, 0.3, hidden=(80, 90), clamp="kept"), sample=0)
    patterns = draw_patterns(network, SEED)
    states, cued, clamped = cues(network, patterns, np.random.default_rng(1), 3, 500, 503)
    assert cued.tolist() == [k % 7 for k in range(3, 503)]
    changed = states != patterns[cued]
    assert np.all(clamped.sum(1) == 50)
    assert not np.any(changed & clamped)
    assert not clamped[:, 80:90].any()
    # 10 turned over for sure, 40 set at random: each differs with 1/2; 500 * 40 tries, 4.4 standard errors (1e-5)
    assert abs(changed.sum() - 500 * 10 - 10000) < 4.4 * (500 * 40 / 4) ** 0.5
    spread = cues(replace(network, cue=Cue()), patterns, np.random.default_rng(1), 1, 2, 3)[1]
    assert spread.tolist() == [2, 4]  # three recalls of seven patterns
    exactly = cues(replace(network, cue=Cue(0.25)), patterns, np.random.default_rng(1), 0, 50, 50)[0]
    assert np.all((exactly != patterns[np.arange(50) % 7]).sum(1) == 25)


def test_clamped_units_stay() -> None:
    network = Network(100, 30, cue=Cue(0.3, clamp="units", units=(0, 50, 99)), sample=0)
    for T in (0.0, 2.0):
        sampler = sampler_of(network, "fields", T)
        before = sampler.spins
        sampler.record(5, 1)
        assert np.all(sampler.spins[:, [0, 50, 99]] == before[:, [0, 50, 99]])
        assert np.any(sampler.spins != before)


def test_given_cues_with_blanks() -> None:
    patterns = draw_patterns(Network(60, 5, sample=0), SEED)
    given = patterns[[2, 4]].copy()
    given[1] *= -1
    given[:, 40:] = 0
    cue = Cue(clamp="kept", given=GivenPatterns("cues", "digest", given))
    sampler = sampler_of(Network(60, 5, cue=cue, sample=0), "patterns", replicas=4)
    assert sampler.cued.tolist() == [2, 4, 2, 4]
    np.testing.assert_array_equal(sampler.spins[:, :40], given[[0, 1, 0, 1], :40])
    sampler.record(20, 1)
    found = [outcome(s, patterns, 0.9) for s in sampler.spins]
    assert found[0] == (2, "pattern 2")
    assert found[1] == (4, "mirror of pattern 4")


def test_mixtures_are_named() -> None:
    rng = np.random.default_rng(5)
    patterns = (2 * rng.integers(0, 2, (9, 4001)) - 1).astype(np.int8)
    mixed = np.sign(patterns[1].astype(int) - patterns[4] + patterns[6]).astype(np.int8)
    assert outcome(mixed, patterns, 0.9)[1] == "mixture of +1 -4 +6"
    five = np.sign(patterns[:5].astype(int).sum(0)).astype(np.int8)
    assert outcome(five, patterns, 0.9)[1] == "mixture of +0 +1 +2 +3 +4"
    other = (2 * rng.integers(0, 2, 4001) - 1).astype(np.int8)
    assert outcome(other, patterns, 0.9)[1] == "something else"


def test_a_mixture_is_a_fixed_point_at_low_load() -> None:
    """Symmetric mixtures of three patterns are stable (Amit, Gutfreund and Sompolinsky, 1985), m = 1/2 each."""
    network = Network(2000, 3, update="sequential", sample=0)
    patterns = draw_patterns(network, SEED)
    sampler = sampler_of(network, "patterns", replicas=1, watch_all=True)
    sampler._own[0][:] = np.sign(patterns.astype(int).sum(0))
    sampler._fill()
    series = sampler.record(5, 1)
    np.testing.assert_allclose(series["all_overlaps"][0, -1] / 2000, 0.5, atol=0.06)
    assert outcome(sampler.spins[0], patterns, 0.9)[1] == "mixture of +0 +1 +2"


# --- rules --------------------------------------------------------------------------------------------------------


def test_rules_against_their_formulas() -> None:
    rng = np.random.default_rng(2)
    xi = (2 * rng.integers(0, 2, (6, 25)) - 1).astype(np.int8)
    n, off = 25, ~np.eye(25, dtype=bool)
    x = xi.astype(float)
    hebb = couplings("hebb", xi)
    np.testing.assert_array_equal(hebb[off], (x.T @ x / n)[off])
    np.testing.assert_array_equal(couplings("clipped", xi)[off], (np.sqrt(6) / n * np.sign(x.T @ x))[off])
    y = x - 0.2
    np.testing.assert_allclose(couplings("covariance", xi, 0.2)[off], (y.T @ y / n)[off], atol=1e-14)
    np.testing.assert_allclose(couplings("pseudo_inverse", xi)[off], (np.linalg.pinv(x) @ x)[off], atol=1e-12)
    J = np.zeros((n, n))
    for own in x:
        step = np.zeros((n, n))
        for i in range(n):
            for j in range(n):
                h_ij = sum(J[i, k] * own[k] for k in range(n) if k not in (i, j))
                h_ji = sum(J[j, k] * own[k] for k in range(n) if k not in (i, j))
                step[i, j] = (own[i] * own[j] - own[i] * h_ji - h_ij * own[j]) / n
        J += step * off
    np.testing.assert_allclose(couplings("storkey", xi), J, atol=1e-12)
    for rule in ("hebb", "clipped", "covariance", "pseudo_inverse", "storkey"):
        found = couplings(rule, xi, 0.1)
        np.testing.assert_array_equal(found, found.T)
        assert not found.diagonal().any()


def test_hebb_is_exact_for_many_patterns() -> None:
    rng = np.random.default_rng(4)
    for count in (63, 64, 65, 40000):
        xi = (2 * rng.integers(0, 2, (count, 12)) - 1).astype(np.int8)
        sums = xi.T.astype(np.int64) @ xi.astype(np.int64)
        np.fill_diagonal(sums, 0)
        np.testing.assert_array_equal(couplings("hebb", xi), sums / 12)


def test_the_pseudo_inverse_holds_independent_patterns_only() -> None:
    rng = np.random.default_rng(2)
    xi = (2 * rng.integers(0, 2, (5, 40)) - 1).astype(np.int8)
    with pytest.raises(ValueError, match="of these 6 of 40 units only 5 are"):
        couplings("pseudo_inverse", np.concatenate((xi, -xi[:1])))
    with pytest.raises(ValueError, match="only 8 are"):
        couplings("pseudo_inverse", (2 * rng.integers(0, 2, (20, 8)) - 1).astype(np.int8))


@pytest.mark.parametrize("rule", ["hebb", "clipped", "covariance", "storkey"])
def test_patterns_are_added_and_removed(rule: str) -> None:
    xi = draw_patterns(Network(30, 9, bias=0.2, sample=0), SEED)
    memory = Memory(30, rule, 0.2)
    memory.add(xi[:4])
    memory.add(xi[4:])
    np.testing.assert_allclose(memory.couplings, couplings(rule, xi, 0.2), atol=1e-13)
    if rule == "storkey":
        with pytest.raises(ValueError, match="cannot be removed"):
            memory.remove(xi[:2])
        return
    memory.remove(xi[2:5])
    np.testing.assert_allclose(memory.couplings, couplings(rule, np.delete(xi, (2, 3, 4), 0), 0.2), atol=1e-13)
    with pytest.raises(ValueError, match="only 6 are stored"):
        memory.remove(xi)
    with pytest.raises(ValueError, match="without starting over"):
        Memory(30, "pseudo_inverse")


# --- against theory and published capacities ----------------------------------------------------------------------


def overlaps(
    N: int,
    load: float,
    T: float,
    samples: int,
    flip: float = 0.0,
    rule: str = "hebb",
    sweeps: int = 100,
    leave: float = -2.0,
) -> Any:
    """Mean overlap of each sample of 64 recalls, after (T = 0) or over the second half of the sweeps."""
    found = []
    for sample in range(samples):
        network = Network(N, round(load * N), rule, cue=Cue(flip), sample=sample)
        way, _ = choose(network)
        m = sampler_of(network, way, T).record(sweeps, 1)["overlap"] / N
        own = (m[:, sweeps // 2 :] if T else m[:, -1:]).mean(axis=1)
        found.append(own[own > leave].mean())
    return np.array(found)


@pytest.mark.parametrize("load", [0.05, 0.08, 0.10, 0.12])
def test_overlap_at_zero_temperature(load: float) -> None:
    """Of patterns at N = 4096, within Student's t of eight samples (7.9 standard errors: false alarm 1e-4)."""
    m = overlaps(4096, load, 0.0, 8)
    truth = float(exact.hopfield_overlap(round(load * 4096) / 4096))
    error = m.std(ddof=1) / 8**0.5
    assert abs(m.mean() - truth) < 7.9 * error, (m.mean(), truth)
    assert error < 5e-4


def test_retrieval_collapses_beyond_the_critical_load() -> None:
    assert overlaps(2048, 0.17, 0.0, 2, sweeps=200).mean() < 0.45
    assert overlaps(2048, 0.13, 0.0, 2).mean() > 0.95


@pytest.mark.parametrize(("load", "T"), [(0.05, 0.3), (0.05, 0.5), (0.10, 0.2)])
def test_overlap_at_finite_temperature(load: float, T: float) -> None:
    """Within Student's t of sixteen samples (5.2 standard errors: false alarm 1e-4).

    The theory is of the retrieval state, which a finite network leaves now and then when T is close to T_M = 0.542: of
    recalls at (.05, .5) some percent do so within these sweeps, and are left out.
    """
    m = overlaps(4096, load, T, 16, leave=0.7)
    truth = float(exact.hopfield_overlap(round(load * 4096) / 4096, T))
    error = m.std(ddof=1) / 16**0.5
    assert abs(m.mean() - truth) < 5.2 * error, (m.mean(), truth)
    assert error < 5e-3


@pytest.mark.parametrize(
    ("rule", "load", "flip", "low", "high"),
    [
        ("pseudo_inverse", 0.3, 0.1, 0.999, 1.0), ("pseudo_inverse", 0.3, 0.2, 0.93, 1.0),
        ("pseudo_inverse", 0.5, 0.0, 1.0, 1.0), ("pseudo_inverse", 0.5, 0.1, 0.85, 0.97),
        ("storkey", 0.3, 0.1, 0.98, 1.0), ("storkey", 0.3, 0.2, 0.75, 0.90), ("hebb", 0.3, 0.1, 0.0, 0.5),
    ],
)  # fmt: skip
def test_capacities(rule: str, load: float, flip: float, low: float, high: float) -> None:
    """Of one sample at N = 1024, in bands about what others found: overlaps with 0, 10 and 20 % noise.

    Pseudo-inverse at .3: 1, 1, .97; at .5: 1, .91, .48; Storkey at .3: 1, 1, .81.
    """
    assert low <= overlaps(1024, load, 0.0, 1, flip, rule).mean() <= high


# --- which way, how large -----------------------------------------------------------------------------------------


def test_which_way() -> None:
    assert choose(Network(5000, 100))[0] == "patterns"
    assert choose(Network(1000, 20))[0] == "fields"
    assert choose(Network(1000, 200))[0] == "fields"
    assert choose(Network(1000, 20, "clipped"))[0] == "signs"
    assert choose(Network(1000, 20, "storkey"))[0] == "fields"
    assert choose(Network(1000, 20, thresholds=0.01234))[0] == "fields"
    with pytest.raises(
        ValueError, match="'signs' cannot do N100_P5: couplings of one bit are those of the clipped rule"
    ):
        choose(Network(100, 5), "signs")
    with pytest.raises(ValueError, match=r"4e\+06 GB|GB of memory.*'patterns' needs no matrix"):
        choose(Network(10**6, 5, "storkey"))


def test_large_networks_in_pattern_space() -> None:
    network = Network(65536, 100, cue=Cue(0.2), sample=0)
    way, _ = choose(network)
    assert way == "patterns"
    sampler = sampler_of(network, way, replicas=2)
    sampler.record(5, 1)
    assert np.all(sampler.record(1, 1)["overlap"] == 65536)
