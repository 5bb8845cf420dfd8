"""Samplers of Boltzmann machines: one sweep leaves the exact distribution as it is; wrong ones do not."""

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ising_mc.boltzmann import (
    BlockSampler,
    BlockTables,
    Clamp,
    DenseSampler,
    MachineSystem,
    SparseSampler,
    choose,
    make_sampler,
    make_tables,
    mean_values,
    realize,
    states_of,
)  # fmt: skip
from ising_mc.machine import KINDS, UNITS, Machine, random_machine
from ising_mc.validation import CERTAIN, ONE_SWEEP_LEVEL, ChiSquare, pooled_chi_square
from ising_mc.words import LANES

SIZES = {"general": (4, 3), "restricted": (5, 3), "layered": (3, 3, 2)}
WORDS = 300  # of 64 states each
CASES = [
    (kind, units, name, order)
    for kind, units, name in product(KINDS, UNITS, ("blocks", "dense", "sparse"))
    for order in (("sequential", "random") if (kind, name) == ("general", "dense") else ("sequential",))
]


def machine_of(kind: str, units: str, seed: int = 3, scale: float = 0.8) -> Machine:
    rng = np.random.default_rng(seed)
    own = random_machine(kind, units, SIZES[kind], scale, rng)
    return replace(own, biases=own.split(0.5 * rng.standard_normal(own.n)))


def system_of(own: Machine, order: str = "sequential", clamp: Clamp | None = None) -> MachineSystem:
    return MachineSystem(own.kind, own.units, own.sizes, own, "x", order=order, clamp=clamp)


def all_states(n: int) -> NDArray[np.int64]:
    return np.array(list(product((-1, 1), repeat=n)), np.int64)


def words_of(spins: NDArray[Any]) -> NDArray[np.uint64]:
    """Spins (64, n) as words (n,)."""
    return np.bitwise_or.reduce((spins.T > 0) * (np.uint64(1) << np.arange(LANES, dtype=np.uint64)), axis=1)


def one_sweep(sampler: Any, probabilities: NDArray[np.float64], n: int, rng: np.random.Generator) -> ChiSquare:
    """Exact starts, one sweep, chi-square: independent states, no thermalization."""
    states, counts = all_states(n), np.zeros(2**n, np.int64)
    for _ in range(WORDS):
        sampler.set_spins(words_of(states[rng.choice(2**n, LANES, p=probabilities)]))
        sampler.sweep(1)
        bits = (sampler.get_spins()[:, None] >> np.arange(LANES, dtype=np.uint64)) & np.uint64(1)
        found = (bits.astype(np.int64) * 2 ** np.arange(n)[::-1, None]).sum(axis=0)
        counts += np.bincount(found, minlength=2**n)
    return pooled_chi_square(counts, probabilities * counts.sum())


def p_of(
    own: Machine, name: str, order: str, T: float, beta_error: float = 1.0, clamp: Clamp | None = None
) -> float:  # fmt: skip
    """p-value of one sweep at T of a sampler whose 1/T is off by a factor."""
    system = system_of(own, order, clamp)
    drawn = realize(system, 1)
    spins = all_states(drawn.drawn.n)
    E = own.energy(drawn.states(spins))
    weights = np.exp(-(E - E.min()) / T)
    sampler, constant = make_sampler(system, 1, name, T / beta_error, LANES)
    sampler.start(1, "a", T, 0, "random")
    sampler.set_spins(words_of(np.resize(spins, (LANES, spins.shape[1]))))
    energies = sampler.energy * sampler.fixed.unit + constant
    np.testing.assert_allclose(energies, np.resize(E, LANES), atol=1e-5)
    found = one_sweep(sampler, weights / weights.sum(), drawn.drawn.n, np.random.default_rng(5))
    E_after = own.energy(states_of(drawn, sampler.state(), LANES))
    sampler.record(1, 1)  # takes in the costs of the sweep
    E_last = own.energy(states_of(drawn, sampler.state(), LANES))
    np.testing.assert_allclose(sampler.energy * sampler.fixed.unit + constant, E_last, atol=1e-5)
    assert np.isfinite(E_after).all()
    return found.p_value


@pytest.mark.parametrize(("kind", "units", "name", "order"), CASES)
def test_one_sweep_leaves_the_exact_distribution(kind: str, units: str, name: str, order: str) -> None:
    """False alarm 1e-5 each."""
    assert p_of(machine_of(kind, units), name, order, 1.3) > ONE_SWEEP_LEVEL


@pytest.mark.parametrize("name", ["blocks", "dense", "sparse"])
@pytest.mark.parametrize("kind", KINDS)
def test_one_sweep_with_units_clamped(kind: str, name: str) -> None:
    own = machine_of(kind, "binary", seed=4)
    clamp = Clamp((0, 2, own.n - 1), (1, 0, 1))
    assert p_of(own, name, "sequential", 0.9, clamp=clamp) > ONE_SWEEP_LEVEL


@pytest.mark.parametrize(("kind", "units", "name", "order"), CASES)
def test_a_wrong_temperature_fails(kind: str, units: str, name: str, order: str) -> None:
    assert p_of(machine_of(kind, units), name, order, 1.3, beta_error=1.5) < CERTAIN


def test_units_of_one_block_must_not_be_coupled() -> None:
    own = machine_of("general", "spin")
    with pytest.raises(ValueError, match="two units of one block are coupled"):
        BlockTables(np.array([[0, 1]]), [1.0], np.zeros(2), [np.arange(2)])
    assert choose(system_of(own), "auto")[0] == "sparse"


def test_random_order_needs_the_dense_kernel() -> None:
    with pytest.raises(ValueError, match=r"machine\.order = 'random'"):
        choose(system_of(machine_of("restricted", "spin"), "random"), "auto")
    assert choose(system_of(machine_of("general", "spin"), "random"), "auto")[0] == "dense"


@pytest.mark.parametrize("sizes", [(130, 70), (64, 64), (5, 200), (100, 65, 3)])
def test_blocks_of_many_words_follow_their_energies(sizes: tuple[int, ...]) -> None:
    kind = "restricted" if len(sizes) == 2 else "layered"
    own = random_machine(kind, "spin", sizes, 0.3, np.random.default_rng(1))
    sampler = BlockSampler(make_tables(own, "blocks"), 1.5)  # type: ignore[arg-type]
    sampler.start(1, "a", 1.5, 0, "random")
    before = sampler.get_spins().copy()
    sampler.set_spins(before)
    assert np.array_equal(sampler.get_spins(), before)
    series = sampler.record(3, 2)
    spins = 2.0 * ((sampler.get_spins()[:, None] >> np.arange(LANES, dtype=np.uint64)) & np.uint64(1)).T - 1
    np.testing.assert_allclose(series["energy"][:, -1], own.energy(spins), atol=1e-4)
    assert np.array_equal(series["magnetization"][:, -1], spins.sum(axis=1))
    kept = sampler.energy.copy()
    sampler.set_spins(sampler.get_spins())
    assert np.array_equal(kept, sampler.energy)


@pytest.mark.parametrize("name", ["blocks", "dense", "sparse"])
def test_restored_samplers_go_on_bit_for_bit(name: str) -> None:
    system = system_of(machine_of("general", "binary"), "random" if name == "dense" else "sequential")
    one, _ = make_sampler(system, 1, name, 1.0, LANES)
    other, _ = make_sampler(system, 1, name, 1.0, LANES)
    one.start(7, "a", 1.0, 0, "mixed")
    one.sweep(3)
    other.restore(one.state())
    for sampler in (one, other):
        sampler.sweep(5)
    assert np.array_equal(one.get_spins(), other.get_spins())
    assert np.array_equal(one.state().random, other.state().random)


def test_samplers_are_what_they_are_asked_for() -> None:
    system = system_of(machine_of("general", "binary"))
    for name, kind in (("blocks", BlockSampler), ("dense", DenseSampler), ("sparse", SparseSampler)):
        assert type(make_sampler(system, 1, name, 1.0, LANES)[0]) is kind


def test_mean_values_hold_what_is_clamped() -> None:
    system = system_of(machine_of("restricted", "spin"), clamp=Clamp((1,), (-1,)))
    drawn = realize(system, 1)
    sums = np.full((drawn.drawn.n, 2), 3)
    values = mean_values(drawn, sums, 4)
    assert values.shape == (2, 8)
    assert np.all(values[:, 1] == -1)
    assert np.all(np.delete(values, 1, axis=1) == 0.5)
