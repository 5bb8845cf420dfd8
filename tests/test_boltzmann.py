"""Samplers of Boltzmann machines: one sweep leaves the exact distribution as it is; wrong ones do not."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

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
from ising_mc.machinechecks import check_one_sweep, checks, example, states, sweep_of, words_of
from ising_mc.validation import ONE_SWEEP_LEVEL
from ising_mc.words import LANES, unpack

KERNELS = ("blocks", "dense", "sparse")
CASES = [
    (kind, units, name, order)
    for kind, units, name in product(KINDS, UNITS, KERNELS)
    for order in (("sequential", "random") if (kind, name) == ("general", "dense") else ("sequential",))
]


def system_of(own: Machine, order: str = "sequential", clamp: Clamp | None = None) -> MachineSystem:
    return MachineSystem(own.kind, own.units, own.sizes, own, "x", order=order, clamp=clamp)


@pytest.mark.parametrize(("kind", "units", "name", "order"), CASES)
def test_one_sweep_leaves_the_exact_distribution(kind: str, units: str, name: str, order: str) -> None:
    """False alarm 1e-5 each."""
    check = check_one_sweep(kind, units, name, order)
    assert check.passed, check


@pytest.mark.parametrize(("kind", "units", "name", "order"), CASES)
def test_a_wrong_temperature_fails(kind: str, units: str, name: str, order: str) -> None:
    check = check_one_sweep(kind, units, name, order, beta_error=1.5)
    assert check.passed, check


def test_all_checks_are_done() -> None:
    assert len(list(checks(quick=True))) == len(CASES)


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("kind", KINDS)
def test_one_sweep_with_units_clamped(kind: str, units: str, name: str) -> None:
    """False alarm 1e-5 each."""
    own = example(kind, units, seed=4)
    clamp = Clamp((0, 2, own.n - 1), (1, own.low, 1))
    assert sweep_of(system_of(own, clamp=clamp), name, 0.9).p_value > ONE_SWEEP_LEVEL


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("kind", KINDS)
def test_energies_are_those_of_the_states(kind: str, units: str, name: str) -> None:
    own = example(kind, units)
    system = system_of(own, clamp=Clamp((1,), (own.low,)))
    sampler, constant = make_sampler(system, 1, name, 1.3, LANES)
    sampler.start(1, "a", 1.3, 0, "random")
    drawn = realize(system, 1)
    sampler.set_spins(words_of(np.resize(states(drawn.drawn.n), (LANES, drawn.drawn.n))))
    for _ in range(2):
        energy = own.energy(states_of(drawn, sampler.state(), LANES))
        np.testing.assert_allclose(sampler.energy * sampler.fixed.unit + constant, energy, atol=1e-6)
        series = sampler.record(3, 2)
    np.testing.assert_allclose(
        series["energy"][:, -1] + constant, own.energy(states_of(drawn, sampler.state(), LANES)), atol=1e-6
    )


def test_units_of_one_block_must_not_be_coupled() -> None:
    with pytest.raises(ValueError, match="two units of one block are coupled"):
        BlockTables(np.array([[0, 1]]), [1.0], np.zeros(2), [np.arange(2)])


def test_the_kernel_follows_from_the_machine() -> None:
    assert choose(system_of(example("general", "spin")), "auto")[0] == "sparse"
    dense = random_machine("general", "spin", (100, 0), 1.0, np.random.default_rng(1))
    assert choose(system_of(dense), "auto")[0] == "dense"
    assert choose(system_of(example("layered", "spin")), "auto")[0] == "sparse"
    assert choose(MachineSystem("layered", "spin", (128, 128, 64)), "auto")[0] == "blocks"
    assert choose(MachineSystem("restricted", "spin", (65, 65)), "auto")[0] == "sparse"
    clique = np.argwhere(np.triu(np.ones((300, 300)), 1))
    assert choose(MachineSystem("general", "spin", (9000, 0), bonds=clique), "auto")[0] == "dense"
    assert choose(system_of(example("general", "spin"), "random"), "auto")[0] == "dense"
    with pytest.raises(ValueError, match=r"machine\.order = 'random'"):
        choose(system_of(example("restricted", "spin"), "random"), "auto")


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
    spins = 2.0 * unpack(sampler.get_spins()).T - 1
    np.testing.assert_allclose(series["energy"][:, -1], own.energy(spins), atol=1e-4)
    assert np.array_equal(series["magnetization"][:, -1], spins.sum(axis=1))
    kept = sampler.energy.copy()
    sampler.set_spins(sampler.get_spins())
    assert np.array_equal(kept, sampler.energy)


@pytest.mark.parametrize("sizes", [(130, 70), (70, 5, 66)])
def test_blocks_of_many_words_sample_what_the_dense_kernel_samples(sizes: tuple[int, ...]) -> None:
    """Means of units by two kernels that know local fields in different ways; sum of squares, false alarm 1e-5."""
    kind = "restricted" if len(sizes) == 2 else "layered"
    own = random_machine(kind, "binary", sizes, 0.2, np.random.default_rng(2))
    system = system_of(replace(own, biases=own.split(np.random.default_rng(3).normal(size=own.n))))
    means = []
    for name in ("blocks", "dense"):
        sampler, _ = make_sampler(system, 1, name, 1.0, LANES)
        sampler.start(5, name, 1.0, 0, "random")
        sampler.sweep(30)
        total = np.zeros((LANES, own.n))
        for _ in range(100):
            sampler.sweep(1)
            total += unpack(sampler.get_spins()).T
        means.append(total / 100)
    blocks, dense = means
    spread = (blocks.var(axis=0, ddof=1) + dense.var(axis=0, ddof=1)) / LANES
    z = (blocks.mean(axis=0) - dense.mean(axis=0)) / np.sqrt(spread)
    # t with some 100 degrees of freedom each, all of them hardly correlated
    assert abs(np.sum(z**2) / (own.n * 1.02) - 1) < 4.5 * np.sqrt(2.2 / own.n)


@pytest.mark.parametrize("name", KERNELS)
def test_restored_samplers_go_on_bit_for_bit(name: str) -> None:
    system = system_of(example("general", "binary"), "random" if name == "dense" else "sequential")
    one, _ = make_sampler(system, 1, name, 1.0, LANES)
    other, _ = make_sampler(system, 1, name, 1.0, LANES)
    one.start(7, "a", 1.0, 0, "mixed")
    one.sweep(3)
    other.restore(one.state())
    for sampler in (one, other):
        sampler.sweep(5)
    assert np.array_equal(one.get_spins(), other.get_spins())
    assert np.array_equal(one.state().random, other.state().random)


def test_random_orders_differ_from_sweep_to_sweep() -> None:
    own = random_machine("general", "spin", (40, 0), 0.1, np.random.default_rng(1))
    sampler, _ = make_sampler(system_of(own, "random"), 1, "dense", 1.0, LANES)
    sampler.start(7, "a", 1.0, 0, "random")
    orders = []
    for _ in range(3):
        sampler.sweep(1)
        orders.append(sampler.work[4].copy())
        assert np.array_equal(np.sort(orders[-1]), np.arange(40))
    assert not np.array_equal(orders[0], orders[1])
    assert not np.array_equal(orders[1], orders[2])


def test_samplers_are_what_they_are_asked_for() -> None:
    system = system_of(example("general", "binary"))
    for name, kind in (("blocks", BlockSampler), ("dense", DenseSampler), ("sparse", SparseSampler)):
        assert type(make_sampler(system, 1, name, 1.0, LANES)[0]) is kind


def test_mean_values_hold_what_is_clamped() -> None:
    system = system_of(example("restricted", "spin"), clamp=Clamp((1,), (-1,)))
    drawn = realize(system, 1)
    sums = np.full((drawn.drawn.n, 2), 3)
    values = mean_values(drawn, sums, 4)
    assert values.shape == (2, 8)
    assert np.all(values[:, 1] == -1)
    assert np.all(np.delete(values, 1, axis=1) == 0.5)
