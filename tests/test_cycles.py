"""Updates that take turns, and isoenergetic cluster moves: what they keep, what they conserve, what is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import assert_refused, cli, toml, write

from ising_mc import graphchecks
from ising_mc.algorithms import choose_cycle
from ising_mc.cycles import CycleSampler, Houdayer
from ising_mc.graphchecks import SEED
from ising_mc.ising import Couplings, System, realize
from ising_mc.lattices import Lattice
from ising_mc.observables import YES, PointResults, analyse
from ising_mc.validation import CERTAIN, ONE_SWEEP_LEVEL, ChiSquare, pooled_chi_square
from ising_mc.words import LANES, unpack

TURNS = (("swendsen_wang", 1), ("metropolis", 2), ("wolff", 1), ("heat_bath", 1), ("houdayer", 1))
SYSTEMS = (3, 4, 13, 15, 22, 24)
PAIRS = np.arange(LANES, dtype=np.uint64).reshape(-1, 2)


def cycle(number: int, turns: tuple[tuple[str, int], ...] = TURNS, T: float = 0.0) -> CycleSampler:
    system, own_T = graphchecks.SYSTEMS[number]
    choice = choose_cycle(system, T or own_T, LANES, turns)
    sampler = choice.sampler(system, SEED, ("overlap",), T or own_T, LANES, 1)
    assert isinstance(sampler, CycleSampler)
    sampler.start(SEED, f"cycle {number}", T or own_T, 0, "random")
    return sampler


class Whole:
    """A whole cycle as one sweep."""

    def __init__(self, inner: CycleSampler) -> None:
        self.inner, self.length = inner, sum(inner.counts)
        for sampler in inner.samplers:
            if hasattr(sampler, "fix"):
                sampler.fix(graphchecks.WOLFF_CLUSTERS)
        self.get_spins, self.set_spins = inner.get_spins, inner.set_spins

    def sweep(self, sweeps: int) -> None:
        self.inner.sweep(sweeps * self.length)


@pytest.mark.parametrize("number", SYSTEMS)
def test_a_cycle_keeps_the_distribution(number: int) -> None:
    system, T = graphchecks.SYSTEMS[number]
    sampler: Any = Whole(cycle(number))
    assert graphchecks.one_sweep(sampler, system, T, 1 << 16).p_value > ONE_SWEEP_LEVEL
    if number == 4:
        wrong: Any = Whole(cycle(number, T=1.03 * T))
        assert graphchecks.one_sweep(wrong, system, T, 1 << 18).p_value < CERTAIN


def exchanged(number: int, ratio: float, rounds: int = 3000) -> list[ChiSquare]:
    """Moves of exact pairs of states, the second of each at a temperature `ratio` times as high."""
    system, T = graphchecks.SYSTEMS[number]
    drawn = realize(system, SEED)
    states = graphchecks.enumeration(system)
    n = system.n_sites
    weights = [states.weights(T), states.weights(T * ratio)]
    cumulative = [np.cumsum(own) for own in weights]
    counts = np.zeros((2, 1 << n), np.int64)
    moves = Houdayer(drawn)
    moves.start(SEED, f"pairs {number}", T, 0)
    rng = np.random.default_rng(3)
    for _ in range(rounds):
        start = np.empty(LANES, np.int64)
        for k in range(2):
            start[k::2] = np.searchsorted(cumulative[k], rng.random(LANES // 2) * cumulative[k][-1], side="right")
        bits = ((start >> np.arange(n)[:, None]) & 1).astype(np.uint8)
        words = np.packbits(bits, axis=1, bitorder="little").view("<u8")[:, 0].astype(np.uint64)
        moves.move(words, PAIRS)
        after = (unpack(words).astype(np.int64) << np.arange(n)[:, None]).sum(0)
        before, now = states.energy[start].reshape(-1, 2).sum(1), states.energy[after].reshape(-1, 2).sum(1)
        np.testing.assert_allclose(now, before, atol=1e-9)
        for k in range(2):
            np.add.at(counts[k], after[k::2], 1)
    return [pooled_chi_square(own, w * own.sum()) for own, w in zip(counts, weights, strict=True)]


@pytest.mark.parametrize("number", SYSTEMS)
def test_isoenergetic_moves_keep_the_distribution_and_the_energy_of_pairs(number: int) -> None:
    assert all(test.p_value > ONE_SWEEP_LEVEL for test in exchanged(number, 1.0))


def test_isoenergetic_moves_between_two_temperatures_are_wrong() -> None:
    assert min(test.p_value for test in exchanged(13, 1.3)) < CERTAIN


def test_a_move_exchanges_one_cluster_of_differing_sites() -> None:
    system, T = graphchecks.SYSTEMS[13]
    drawn = realize(system, SEED)
    moves = Houdayer(drawn)
    moves.start(SEED, "one cluster", T, 0)
    words = np.random.default_rng(6).integers(0, 1 << 63, system.n_sites, np.uint64)
    before = unpack(words)
    moves.move(words, PAIRS)
    after = unpack(words)
    bonds = drawn.graph.bonds
    seen = set()
    for one, other in PAIRS.astype(int):
        differ = before[:, one] != before[:, other]
        turned = np.flatnonzero(after[:, one] != before[:, one])
        np.testing.assert_array_equal(turned, np.flatnonzero(after[:, other] != before[:, other]))
        assert differ[turned].all()
        inside = np.isin(bonds, turned)
        joined = differ[bonds[:, 0]] & differ[bonds[:, 1]]
        assert np.all(inside[joined].all(1) | ~inside[joined].any(1))  # nothing of the cluster is left out
        seen.add(len(turned))
    assert len(seen) > 2


def glass_runs(runs: int, replicas: int) -> list[PointResults]:
    """Runs of a small glass, alike but for their seeds, whose pairs of replicas pass energy to one another."""
    system = System(Lattice("cubic", (4, 4, 4), (True,) * 3), Couplings("pm_j"), sample=0)
    found = []
    choice = choose_cycle(system, 1.2, LANES, (("heat_bath", 1), ("houdayer", 1)))
    sampler = choice.sampler(system, SEED, (), 1.2, LANES, 1)
    for seed in range(runs):
        sampler.start(seed, "errors", 1.2, 0, "mixed_pairs")
        sampler.sweep(60)
        series = {name: own[:replicas].astype(float) for name, own in sampler.record(100, 1).items()}
        found.append(analyse(series, replace(system.facts, paired=True), 1.2, True))
    return found


def test_errors_know_that_pairs_depend_on_one_another() -> None:
    """The scatter of 300 runs over their errors is 1 within 4.4 standard errors of 1/sqrt(600), and 10 %; without the
    means of pairs it would be 1.4 (false alarm 1e-5 each).
    """
    runs = glass_runs(300, LANES)
    for name in ("energy_per_site", "abs_magnetization_per_site"):
        values = np.array([run.estimates[name].value for run in runs])
        errors = np.array([run.estimates[name].error for run in runs])
        ratio = values.std(ddof=1) / np.sqrt(np.mean(errors**2))
        assert abs(ratio - 1) < 4.4 / np.sqrt(600) + 0.1, (name, ratio)


def test_one_pair_cannot_tell_that_it_is_equilibrated() -> None:
    assert all(run.equilibrated != YES for run in glass_runs(10, 2))


@pytest.mark.parametrize("number", [4, 15])
def test_slices_and_restarts_change_no_sample(number: int) -> None:
    whole, cut = cycle(number), cycle(number)
    whole.sweep(13)
    expected = whole.record(24, 2)
    for count in (4, 8, 1):
        cut.sweep(count)
    parts = []
    for count in (1, 2, 3, 18):
        again = cycle(number)
        again.restore(cut.state())
        parts.append(again.record(count, 2))
        cut = again
    for name, values in expected.items():
        np.testing.assert_array_equal(values, np.concatenate([part[name] for part in parts], axis=1))
        assert values.dtype == parts[0][name].dtype
    np.testing.assert_array_equal(whole.state().random, cut.state().random)


def test_energies_are_those_of_the_spins() -> None:
    for number in (4, 13, 15):
        sampler = cycle(number)
        system, _ = graphchecks.SYSTEMS[number]
        for _ in range(7):
            series = sampler.record(1, 1)
            spins = 2.0 * unpack(sampler.get_spins()).T - 1
            np.testing.assert_allclose(series["energy"][:, 0], realize(system, SEED).energy(spins), atol=1e-6)
            assert set(series) == {"energy", "magnetization", "overlap"}


REFUSED = {
    "unknown update": ('["swendsen-wang"]', {}, "algorithm.cycle", "did you mean 'swendsen_wang'"),
    "no list": ('"metropolis"', {}, "algorithm.cycle", "a list"),
    "empty": ("[]", {}, "algorithm.cycle", "a list"),
    "no sweeps": ("[{metropolis = 0}]", {}, "algorithm.cycle", "from 1 to 1000000"),
    "two in one": ("[{metropolis = 1, wolff = 2}]", {}, "algorithm.cycle"),
    "pairs alone": ('["houdayer"]', {}, "begin with another update"),
    "pairs of one": ('["heat_bath", "houdayer"]', {"grid__replicas": "1"}, "grid.replicas = 1 must be even"),
    "kind as well": ('["wolff"]', {"algorithm__kind": '"wolff"'}, "algorithm.kind", "algorithm.cycle"),
    "kernel as well": ('["wolff"]', {"algorithm__kernel": '"packed"'}, "algorithm.kernel"),
    "tempering as well": ('["heat_bath"]', {"tempering__every": "1"}, "[tempering]", "algorithm.cycle"),
    "Metropolis in one dimension": ('["wolff", "metropolis"]', {"lattice__kind": '"chain"'}, "one dimension"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_take_turns_is_refused(case: str, tmp_path: Path) -> None:
    value, changes, *names = REFUSED[case]
    text = toml(**{"algorithm__kind": None, "algorithm__cycle": value} | changes)
    assert_refused(cli("run", write(tmp_path, text), "-o", tmp_path / "out.h5"), *names)


def test_warnings(tmp_path: Path) -> None:
    text = toml(
        algorithm__kind=None,
        algorithm__cycle='["swendsen_wang", "houdayer"]',
        lattice__kind='"cubic"',
        couplings__kind='"pm_j"',
    )
    result = cli("run", write(tmp_path, text), "-o", tmp_path / "out.h5")
    assert result.exit_code == 0
    assert "frustrated" in result.stderr
    assert "percolate" in result.stderr
