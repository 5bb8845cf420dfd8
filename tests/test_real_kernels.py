"""Kernels for real couplings: slow twins bit for bit, enumeration, and the exactness of every single decision."""

from collections.abc import Callable
from typing import Protocol

import numba
import numpy as np
import pytest
from real_twin import (
    PlainRealSampler,
    RealTwin,
    block_groups,
    colour_groups,
    greedy_colours,
    matrix,
    thresholds,
)
from twins import unpack

from ising_mc import exact, real
from ising_mc.kernels import dense, logistic
from ising_mc.real import DenseSampler, DenseTables, SparseSampler, SparseTables, fixed_point
from ising_mc.validation import CERTAIN, ONE_SWEEP_LEVEL, ChiSquare, pooled_chi_square
from ising_mc.words import State

UPDATES = ("metropolis", "heat_bath")
KINDS = ("sparse", "dense")
LANES = 64
Sampler = SparseSampler | DenseSampler


class System:
    """A random graph of n sites with Gaussian couplings and fields."""

    def __init__(self, n: int, share: float, seed: int, field: float = 0.5) -> None:
        rng = np.random.default_rng(seed)
        pairs = np.stack(np.triu_indices(n, 1), 1)
        bonds = pairs[rng.random(len(pairs)) < share]
        self.n, self.bonds = n, rng.permuted(bonds, axis=1).astype(np.int32)
        self.J, self.h = rng.normal(size=len(bonds)), field * rng.normal(size=n)
        self.colours = greedy_colours(n, self.bonds)

    def sampler(self, kind: str, temperature: float | np.ndarray, update: str, threads: int = 1) -> Sampler:
        if kind == "dense":
            return DenseSampler(DenseTables(self.n, self.bonds, self.J, self.h), temperature, update)
        return SparseSampler(
            SparseTables(self.n, self.bonds, self.J, self.h, self.colours), temperature, update, threads
        )

    def started(self, kind: str, temperature: float | np.ndarray, update: str, threads: int = 1) -> Sampler:
        sampler = self.sampler(kind, temperature, update, threads)
        sampler.start(7, "twin", 1.0, 0, "mixed")
        return sampler

    def twin(self, kind: str, state: State, temperature: float | np.ndarray, update: str) -> RealTwin:
        fixed = fixed_point(self.bonds, self.J, self.h, self.n)
        bands = len(state.random)
        groups = block_groups(self.n, int(dense.BLOCK)) if kind == "dense" else colour_groups(self.colours, bands)
        J = matrix(self.n, self.bonds, fixed.couplings.astype(np.int64))
        field = fixed.field.astype(np.int64)
        return RealTwin(state.spins, state.random, groups, J, field, fixed.unit, np.asarray(temperature), update)


@pytest.fixture
def many_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bands of a few sites, so that small systems have many."""
    monkeypatch.setattr(real, "BAND_SITES", 7)


# --- twins ------------------------------------------------------------------------------------------------------

SYSTEMS = {
    "no bonds": System(5, 0.0, 1),
    "pairs": System(40, 0.02, 2),
    "graph": System(90, 0.06, 3),
    "glass": System(70, 0.5, 4),
    "complete": System(33, 1.0, 5),
    "one site": System(1, 0.0, 6),
}
LANE_TEMPERATURES = np.geomspace(0.05, 300.0, LANES)


def assert_same_walk(sampler: Sampler, twin: RealTwin, sweeps: int = 3) -> None:
    energies, ups = sampler.sample(sweeps, 1)
    for energy, up in zip(energies, ups, strict=True):
        twin.sweep()
        np.testing.assert_array_equal(energy, twin.energies() * twin.unit)
        np.testing.assert_array_equal(up, twin.ups())
    np.testing.assert_array_equal(sampler.get_spins(), twin.words())
    np.testing.assert_array_equal(sampler.state().random, twin.random())


@pytest.mark.usefixtures("many_bands")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("name", SYSTEMS)
def test_sweep_is_its_twin(name: str, update: str, kind: str) -> None:
    system = SYSTEMS[name]
    for temperature in (1.0, LANE_TEMPERATURES):
        sampler = system.started(kind, temperature, update)
        assert_same_walk(sampler, system.twin(kind, sampler.state(), temperature, update))


@pytest.mark.parametrize("update", UPDATES)
def test_dense_sweep_of_many_blocks_is_its_twin(update: str) -> None:
    """260 sites: nine blocks, three pieces of a row, the last ones short."""
    system = System(260, 1.0, 8)
    sampler = system.started("dense", 12.0, update)
    assert_same_walk(sampler, system.twin("dense", sampler.state(), 12.0, update))


@pytest.mark.parametrize("kind", KINDS)
def test_a_pair_that_stands_there_twice_counts_twice(kind: str) -> None:
    system = System(12, 0.5, 9)
    system.bonds = np.concatenate([system.bonds, system.bonds[::2, ::-1]])
    system.J = np.concatenate([system.J, system.J[::2] + 1])
    sampler = system.started(kind, 2.0, "metropolis")
    assert_same_walk(sampler, system.twin(kind, sampler.state(), 2.0, "metropolis"))


def test_twin_notices_one_wrong_random_bit() -> None:
    system = SYSTEMS["graph"]
    sampler = system.started("sparse", 1.0, "heat_bath")
    state = sampler.state()
    state.random[0, 0] ^= np.uint64(1 << 40)
    twin = system.twin("sparse", state, 1.0, "heat_bath")
    sampler.sweep(1)
    twin.sweep()
    assert np.any(sampler.get_spins() != twin.words())


# --- energies ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_energies_are_those_of_the_spins(kind: str) -> None:
    """Exact in units of the fixed point, and those of the real numbers within the rounding error that it names."""
    for n, share in ((300, 0.03), (257, 1.0)):
        system = System(n, share, 11)
        sampler = system.started(kind, 1.5, "metropolis")
        energies, ups = sampler.sample(40, 1)
        spins = 2 * unpack(sampler.get_spins()).astype(np.int64) - 1
        fixed = sampler.fixed
        J = matrix(n, system.bonds, fixed.couplings.astype(np.int64))
        whole = -((spins @ J) * spins).sum(1) // 2 - spins @ fixed.field.astype(np.int64)
        np.testing.assert_array_equal(sampler.energy, whole)
        np.testing.assert_array_equal(energies[-1], whole * fixed.unit)
        np.testing.assert_array_equal(ups[-1], (spins > 0).sum(1))
        true = -((spins @ matrix(n, system.bonds, system.J)) * spins).sum(1) / 2 - spins @ system.h
        assert np.abs(energies[-1] - true).max() <= n * fixed.error
        sampler.set_spins(sampler.get_spins())  # counts anew
        np.testing.assert_array_equal(sampler.energy, whole)
        if isinstance(sampler, DenseSampler):
            np.testing.assert_array_equal(sampler.fields[:, :n], spins @ J + fixed.field)


@pytest.mark.parametrize("kind", KINDS)
def test_integer_couplings_give_integer_energies(kind: str) -> None:
    system = System(50, 0.2, 12)
    system.J, system.h = np.rint(3 * system.J), np.rint(4 * system.h)
    sampler = system.started(kind, 3.0, "heat_bath")
    energies, _ = sampler.sample(5, 2)
    spins = 2 * unpack(sampler.get_spins()).astype(np.int64) - 1
    J = matrix(50, system.bonds, system.J.astype(np.int64))
    assert energies.dtype == np.int64
    np.testing.assert_array_equal(energies[-1], -((spins @ J) * spins).sum(1) // 2 - spins @ system.h.astype(np.int64))


@pytest.mark.parametrize("n", [1, 254, 255, 256, 511, 700])
def test_up_spins_are_counted(n: int) -> None:
    sampler = System(n, 0.0, 13).started("sparse", 1.0, "heat_bath")
    for words in (np.zeros(n, np.uint64), ~np.zeros(n, np.uint64), np.random.default_rng(1).bytes(8 * n)):
        words = np.frombuffer(words, np.uint64) if isinstance(words, bytes) else words
        sampler.set_spins(words)
        np.testing.assert_array_equal(sampler.sample(1, 0)[1][0], unpack(words).sum(1))


# --- the Boltzmann distribution ---------------------------------------------------------------------------------


class Sweeper(Protocol):
    def set_spins(self, words: np.ndarray, /) -> None: ...
    def sweep(self, sweeps: int, /) -> None: ...
    def get_spins(self) -> np.ndarray: ...


def one_sweep(system: System, sampler: Sweeper, temperature: np.ndarray | float, groups: int) -> list[ChiSquare]:
    """Sweep groups * 64 states of the Boltzmann distribution once; a test for each temperature among the lanes."""
    temperatures = np.broadcast_to(temperature, LANES)
    states = exact.enumerate_states(system.n, system.bonds, system.J, system.h)
    rng = np.random.default_rng(17)
    site = np.arange(system.n)
    weights = {T: states.weights(T) for T in set(temperatures.tolist())}
    cumulative = [np.cumsum(weights[T]) for T in temperatures.tolist()]
    start = np.stack([np.searchsorted(c, rng.random(groups) * c[-1], side="right") for c in cumulative])
    bits = ((start.T[:, None, :] >> site[:, None]) & 1).astype(np.uint8)  # (groups, sites, lanes)
    words = np.packbits(bits, axis=2, bitorder="little").view("<u8")[:, :, 0].astype(np.uint64)
    for group in range(groups):
        sampler.set_spins(words[group])
        sampler.sweep(1)
        words[group] = sampler.get_spins()
    bits = np.unpackbits(words.astype("<u8").view(np.uint8).reshape(groups, system.n, 8), axis=2, bitorder="little")
    end = (bits.astype(np.int64) << site[:, None]).sum(1).T
    tests = []
    for T, weight in weights.items():
        seen = end[temperatures == T].ravel()
        tests.append(pooled_chi_square(np.bincount(seen, minlength=len(weight)), weight * len(seen)))
    return tests


SMALL = (System(6, 1.0, 21), System(9, 0.4, 22), System(12, 0.3, 23))
GROUPS = 2048  # of 64 states


@pytest.mark.usefixtures("many_bands")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
@pytest.mark.parametrize("system", SMALL, ids=["6 sites", "9 sites", "12 sites"])
def test_one_sweep_keeps_the_boltzmann_distribution(system: System, temperature: float, update: str, kind: str) -> None:
    (test,) = one_sweep(system, system.started(kind, temperature, update), temperature, GROUPS)
    assert test.p_value > ONE_SWEEP_LEVEL


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("update", UPDATES)
def test_each_lane_has_its_temperature(update: str, kind: str) -> None:
    temperatures = np.tile([0.7, 2.5], LANES // 2)
    tests = one_sweep(SMALL[1], SMALL[1].started(kind, temperatures, update), temperatures, GROUPS)
    assert min(test.p_value for test in tests) > ONE_SWEEP_LEVEL / 2


def beta_off(system: System, kind: str, update: str) -> Sweeper:
    return system.started(kind, 1.0 / 1.03, update)


def sign_flipped(system: System, kind: str, update: str) -> Sweeper:
    wrong = System(9, 0.4, 22)
    wrong.J[np.argmin(np.abs(wrong.J))] *= -1
    return wrong.started(kind, 1.0, update)


def field_dropped(system: System, kind: str, update: str) -> Sweeper:
    wrong = System(9, 0.4, 22)
    wrong.h[np.argsort(np.abs(wrong.h))[4]] = 0
    return wrong.started(kind, 1.0, update)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("mistake", [beta_off, sign_flipped, field_dropped])
def test_mistakes_are_noticed(mistake: Callable[[System, str, str], Sweeper], update: str, kind: str) -> None:
    (test,) = one_sweep(SMALL[1], mistake(SMALL[1], kind, update), 1.0, 4 * GROUPS)
    assert test.p_value < CERTAIN


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("stale", [False, True])
def test_updating_two_colours_at_the_same_time_is_noticed(stale: bool, update: str) -> None:
    system = SMALL[1]
    plain = PlainRealSampler(matrix(system.n, system.bonds, system.J), system.h, 1.0, update, 1, stale)
    (test,) = one_sweep(system, plain, 1.0, GROUPS)
    assert test.p_value < CERTAIN if stale else test.p_value > ONE_SWEEP_LEVEL


# --- probabilities ----------------------------------------------------------------------------------------------


@numba.njit
def kernel_thresholds(costs, limit, scale, scale_low, heat_bath):
    out = np.empty(len(costs), np.float32)
    for i in range(len(costs)):
        out[i] = logistic.threshold(costs[i], limit, scale, scale_low, heat_bath)
    return out


def scratch_at(unit: float, temperature: float, update: str) -> np.ndarray:
    scratch = np.zeros((1, logistic.SCRATCH_WORDS), np.uint64)
    real.set_temperatures(scratch, unit, temperature, update)
    return scratch[0]


def section(scratch: np.ndarray, start: np.uint64, dtype: type = np.int32) -> np.ndarray:
    return scratch.view(dtype)[int(start) : int(start) + LANES]


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("temperature", [1e-3, 0.1, 0.9, 2.3, 70.0, 1e6])
@pytest.mark.parametrize("unit", [1.0, 2.0**-10, 2.0**-27, 3.7e-9, 11.0])
def test_probabilities_are_good_to_2e_7(unit: float, temperature: float, update: str) -> None:
    heat_bath = update == "heat_bath"
    scratch = scratch_at(unit, temperature, update)
    rng = np.random.default_rng(31)
    reach = min(41.5 * temperature / (2 * unit), 2.0**29 - 1)  # down to 2**-60
    size = np.concatenate([rng.uniform(0, reach, 200_000), np.exp(rng.uniform(0, np.log(max(reach, 2)), 200_000))])
    costs = np.unique(np.concatenate([size, -size]).astype(np.int32))
    costs = costs[costs <= reach]
    first = [section(scratch, s, d)[0] for s, d in (
        (logistic.LIMIT, np.int32), (logistic.SCALE, np.float32), (logistic.SCALE_LOW, np.float32))]  # fmt: skip
    t = kernel_thresholds(costs, *first, heat_bath)
    np.testing.assert_array_equal(t, thresholds(costs.astype(np.int64), unit, np.array(temperature), heat_bath))
    x = 2 * costs.astype(np.longdouble) * np.longdouble(unit) / np.longdouble(temperature)
    x = np.maximum(x, -700.0)
    expected = 1 / (1 + np.exp(x)) if heat_bath else np.exp(-np.maximum(x, 0))
    assert np.abs(t / 65536 / expected - 1).max() < 2e-7
    if not heat_bath:
        assert np.all(t[costs <= 0] == 65536)
        assert np.all(t <= 65536)


@pytest.mark.parametrize("update", UPDATES)
def test_hopeless_moves_have_no_chance(update: str) -> None:
    for unit, temperature in ((1.0, 1e-9), (1.0, 0.3), (2.0**-20, 1e-4)):
        scratch = scratch_at(unit, temperature, update)
        first = [section(scratch, s, d)[0] for s, d in (
            (logistic.LIMIT, np.int32), (logistic.SCALE, np.float32), (logistic.SCALE_LOW, np.float32))]  # fmt: skip
        costs = np.arange(2**29 - 100, 2**29, dtype=np.int32)
        t = kernel_thresholds(costs, *first, update == "heat_bath")
        assert np.all((t > 0) & (t / 65536 <= 2.0**-59))
        t = kernel_thresholds(-costs, *first, update == "heat_bath")
        assert np.all(t == 65536)


@numba.njit
def turned_lanes(scratch, draws, heat_bath, force):
    """How many of 64 up spins a draw turn; force: the 16 bits are 0 each time."""
    lanes = scratch.view(np.int32)
    spins, total = np.uint64(0xFFFFFFFFFFFFFFFF), np.uint64(0)
    for _ in range(draws):
        logistic.draw(scratch)
        if force:
            for k in range(np.uint64(64)):
                lanes[logistic.RANDOM + k] = np.int32(0)
        for half in range(2):
            low, high, undecided = logistic.decide(lanes, spins, np.uint32(16 * half), heat_bath)
            turned = logistic.join(low, high)
            if undecided != np.uint64(0):
                turned |= logistic.settle(scratch, lanes, spins, undecided, heat_bath)
            while turned != np.uint64(0):
                turned &= turned - np.uint64(1)
                total += np.uint64(1)
    return total


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize(("p", "force", "draws"), [(0.3, False, 10**5), (1e-6, False, 4 * 10**6), (1e-9, True, 10**6)])
def test_rare_moves_happen_as_often_as_they_should(p: float, force: bool, draws: int, update: str) -> None:
    """1e-9 as its two factors: 16 bits of 0, forced here, and what is left for the 64 bits after them."""
    unit = 2.0**-24
    cost = np.rint((-np.log(p) if update == "metropolis" else np.log(1 / p - 1)) / 2 / unit)
    scratch = scratch_at(unit, 1.0, update)
    scratch[: logistic.STATE_WORDS] = np.random.default_rng(41).integers(0, 2**64, logistic.STATE_WORDS, np.uint64)
    section(scratch, logistic.FIELD)[:] = int(cost)
    total = int(turned_lanes(scratch, draws, update == "heat_bath", force))
    expected = p * 128 * draws * (65536 if force else 1)
    assert expected > 300
    assert abs(total - expected) < 5 * np.sqrt(expected)


@numba.njit
def decide_once(scratch, spins, heat_bath):
    lanes = scratch.view(np.int32)
    low, high, undecided = logistic.decide(lanes, spins, np.uint32(0), heat_bath)
    turned = logistic.join(low, high)
    if undecided != np.uint64(0):
        turned |= logistic.settle(scratch, lanes, spins, undecided, heat_bath)
    return turned, undecided


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("p", [0.71, 0.013, 1e-5, 1e-6, 1e-9, 1e-12, 1e-15])
def test_decision_to_the_last_bit(p: float, update: str) -> None:
    """Random bits just below, at and just above the threshold: a state (v, -v) of a generator gives v."""
    heat_bath = update == "heat_bath"
    if heat_bath:
        p *= 0.5
    unit = 2.0**-24
    cost = int(np.rint((np.log(1 / p - 1) if heat_bath else -np.log(p)) / 2 / unit))
    t = float(thresholds(np.array([cost]), unit, np.array(1.0), heat_bath)[0])
    whole = int(t)
    fraction = int((t - whole) * 2.0**64)
    assert abs((whole + fraction / 2.0**64) / 65536 / p - 1) < 1e-6
    for spins in (np.uint64(0), np.uint64(2**64 - 1), np.uint64(0x0123456789ABCDEF)):
        up = unpack(np.array([spins]))[:, 0].astype(bool)
        for more, accepted in ((fraction - 1, True), (fraction, False), (0, fraction > 0), (2**64 - 1, False)):
            if more < 0:
                continue
            scratch = scratch_at(unit, 1.0, update)
            scratch[: logistic.STATE_WORDS // 2] = more
            scratch[logistic.STATE_WORDS // 2 : logistic.STATE_WORDS] = -more % 2**64
            section(scratch, logistic.FIELD)[:] = np.where(up, cost, -cost)
            section(scratch, logistic.RANDOM)[:] = whole
            section(scratch, logistic.RANDOM)[1::2] += 1  # these lanes are above without more bits
            turned, undecided = decide_once(scratch, spins, heat_bath)
            assert undecided == 0x5555555555555555
            assert turned == (0x5555555555555555 if accepted else 0)
            if whole > 0:
                section(scratch, logistic.RANDOM)[:] = whole - 1
                assert decide_once(scratch, spins, heat_bath) == (2**64 - 1, 0)


# --- independence, division and interruption --------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_lanes_and_sites_are_independent(kind: str) -> None:
    """Free spins under the heat bath: no correlation of lanes, nor of sites that share a draw, nor in time."""
    n, sweeps = 64, 400
    sampler = System(n, 0.0, 51, field=0.0).started(kind, 1.0, "heat_bath")
    series = np.empty((sweeps, LANES, n))
    for sweep in range(sweeps):
        sampler.sweep(1)
        series[sweep] = 2.0 * unpack(sampler.get_spins()) - 1
    by_lane = series.transpose(1, 0, 2).reshape(LANES, -1)
    by_site = series.transpose(2, 0, 1).reshape(n, -1)
    for rows in (by_lane, by_site):
        z = (rows @ rows.T) / np.sqrt(rows.shape[1])
        assert np.abs(z[~np.eye(len(z), dtype=bool)]).max() < 5.5
    assert np.abs((series[1:] * series[:-1]).sum((0, 1))).max() / np.sqrt((sweeps - 1) * LANES) < 5.5
    assert np.abs(by_lane.sum(1)).max() / np.sqrt(by_lane.shape[1]) < 5.5


def test_replicas_from_one_start_go_their_own_ways() -> None:
    system = System(200, 0.03, 52, field=0.0)
    sampler = system.sampler("sparse", 5.0, "metropolis")
    sampler.start(1, "ways", 5.0, 0, "up")
    sampler.sweep(60)
    spins = 2.0 * unpack(sampler.get_spins()) - 1
    overlaps = (spins @ spins.T / 200)[~np.eye(LANES, dtype=bool)]
    assert np.abs(overlaps).max() < 0.5


@pytest.mark.usefixtures("many_bands")
@pytest.mark.parametrize("update", UPDATES)
def test_threads_change_no_sample(update: str) -> None:
    system = System(300, 0.02, 53)
    serial, shared = (system.started("sparse", 1.0, update, threads) for threads in (1, 2))
    assert len(serial.state().random) == 42
    np.testing.assert_array_equal(np.array(serial.sample(8, 2)), np.array(shared.sample(8, 2)))
    np.testing.assert_array_equal(serial.get_spins(), shared.get_spins())
    np.testing.assert_array_equal(serial.state().random, shared.state().random)


@pytest.mark.usefixtures("many_bands")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("update", UPDATES)
def test_slices_and_measurements_change_no_sample(update: str, kind: str) -> None:
    system = SYSTEMS["graph"]
    whole, sliced, seldom = (system.started(kind, 1.0, update) for _ in range(3))
    at_once = np.array(whole.sample(12, 1))
    parts = np.concatenate([np.array(sliced.sample(n, 1)) for n in (1, 4, 7)], axis=1)
    np.testing.assert_array_equal(at_once, parts)
    seldom.sweep(3)
    np.testing.assert_array_equal(at_once[:, 5::3], np.array(seldom.sample(3, 3)))
    for other in (sliced, seldom):
        np.testing.assert_array_equal(whole.get_spins(), other.get_spins())
        np.testing.assert_array_equal(whole.state().random, other.state().random)


@pytest.mark.usefixtures("many_bands")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("update", UPDATES)
def test_restored_sampler_goes_on_bit_for_bit(update: str, kind: str) -> None:
    """Nothing but the State may matter: what the kernels leave behind in their scratch arrays is rubbish."""
    system = SYSTEMS["glass"]
    first, other = (system.started(kind, 1.0, update) for _ in range(2))
    first.sweep(5)
    state = first.state()
    expected = np.array(first.sample(6, 1))
    other.sweep(2)
    rubbish = np.random.default_rng(3)
    other.scratches[:, : int(logistic.LIMIT) // 2] = rubbish.integers(
        0, 2**64, (len(other.scratches), int(logistic.LIMIT) // 2), np.uint64
    )
    if isinstance(other, DenseSampler):
        for array in (*other.work[:3], other.fields[:, : system.n]):
            array[:] = rubbish.integers(0, 1 << 20, array.shape)
    other.restore(state)
    np.testing.assert_array_equal(np.array(other.sample(6, 1)), expected)
    np.testing.assert_array_equal(other.get_spins(), first.get_spins())
    np.testing.assert_array_equal(other.state().random, first.state().random)


@pytest.mark.parametrize("kind", KINDS)
def test_state_is_a_copy(kind: str) -> None:
    sampler = SYSTEMS["graph"].started(kind, 1.0, "metropolis")
    state = sampler.state()
    spins, random = state.spins.copy(), state.random.copy()
    sampler.sweep(3)
    np.testing.assert_array_equal(state.spins, spins)
    np.testing.assert_array_equal(state.random, random)
    assert np.any(sampler.get_spins() != spins)


def test_starts() -> None:
    for kind in KINDS:
        sampler = System(400, 0.0, 54).sampler(kind, 1.0, "metropolis")
        for start, even, odd in (("up", 1.0, 1.0), ("mixed", 1.0, 0.5), ("random", 0.5, 0.5)):
            sampler.start(1, "starts", 1.0, 0, start)
            ups = sampler.sample(1, 0)[1][0] / 400
            assert np.abs(ups[::2] - even).max() < 0.15
            assert np.abs(ups[1::2] - odd).max() < 0.15


def test_unwanted_replicas_stay_and_change_no_other() -> None:
    system = System(100, 1.0, 55)
    everything = system.started("dense", 9.0, "metropolis")
    few = DenseSampler(DenseTables(system.n, system.bonds, system.J, system.h), 9.0, "metropolis", replicas=20)
    few.start(7, "twin", 1.0, 0, "mixed")
    before = unpack(few.get_spins())
    expected, seen = everything.sample(5, 1), few.sample(5, 1)
    for one, other in zip(expected, seen, strict=True):
        np.testing.assert_array_equal(one[:, :20], other[:, :20])
    np.testing.assert_array_equal(unpack(few.get_spins())[20:], before[20:])


# --- units ------------------------------------------------------------------------------------------------------

RING = np.array([[0, 1], [1, 2], [2, 3], [3, 0]], np.int32)


def local_sums(J: np.ndarray, h: np.ndarray) -> np.ndarray:
    return np.abs(matrix(4, RING, J)).sum(1) + np.abs(h)


@pytest.mark.parametrize(
    ("J", "h", "unit"),
    [
        ([1, -2, 3, 5], [0, 1, 0, 7], 1.0),
        ([0, 0, 0, 0], [0, 0, 0, 0], 1.0),
        ([2**27, 2**27, 1, 1], [0, 0, 0, 0], 1.0),
        ([0.3, -0.3, 0.3, 0.3], [0, 0, 0, 0], 0.3),
        ([0.3, -0.3, 0.3, 0.3], [0.1, 0, 0, 0], 0.3 / 2**27),
        ([0.5, 0.25, 0.1, 0.2], [0, 0, 0, 0], 2.0**-29),
        ([1, 1, 1, 0.1], [0, 0, 0, 0.5], 2.0**-27),
        ([1e9, 1, 1, 1], [0, 0, 0, 0], 2.0),
        ([1e-30, 2e-30, 1e-30, 1e-30], [0, 0, 0, 0], 2.0 ** (-98 - 29)),
    ],
)
def test_units(J: list[float], h: list[float], unit: float) -> None:
    couplings, field = np.array(J, float), np.array(h, float)
    fixed = fixed_point(RING, couplings, field, 4)
    assert fixed.unit == unit
    sums = local_sums(fixed.couplings.astype(np.int64), fixed.field.astype(np.int64))
    assert sums.max() < 2**29
    errors = local_sums(couplings - unit * fixed.couplings, field - unit * fixed.field)
    assert fixed.error == pytest.approx(errors.max(), rel=1e-12)
    assert fixed.error <= 1.5 * unit


def test_units_that_rounding_would_carry_over_the_bound() -> None:
    J = np.array([0.25, 0.25 - 2.0**-33, 0.25, 0.25])
    fixed = fixed_point(RING, J, np.full(4, 0.5 - 2.0**-33), 4)
    assert local_sums(fixed.couplings.astype(np.int64), fixed.field.astype(np.int64)).max() < 2**29
    assert fixed.unit == 2.0**-28


def test_what_is_refused() -> None:
    colours = np.array([0, 1, 0, 0])
    with pytest.raises(ValueError, match="one colour"):
        SparseTables(4, RING, np.ones(4), np.zeros(4), colours)
    with pytest.raises(ValueError, match="itself"):
        DenseTables(4, np.array([[1, 1]]), np.ones(1), np.zeros(4))
    with pytest.raises(ValueError, match="finite"):
        fixed_point(RING, np.array([1.0, np.nan, 1.0, 1.0]), np.zeros(4), 4)
    with pytest.raises(ValueError, match="positive"):
        DenseSampler(DenseTables(4, RING, np.ones(4), np.zeros(4)), np.linspace(0, 1, LANES), "metropolis")
