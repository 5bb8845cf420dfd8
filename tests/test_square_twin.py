"""The square-lattice kernels against slow twins: the same random words, the same spins, bit for bit."""

import numpy as np
import pytest
from twins import SquareTwin, energy_and_magnetization, unpack

from ising_mc import streams
from ising_mc.kernels import bernoulli, square_sites
from ising_mc.square import Model, ReplicaSampler, SiteSampler, Square

UPDATES = ("metropolis", "heat_bath")
SIZES = [(2, 2), (3, 3), (4, 4), (5, 6), (6, 5), (7, 7), (2, 9), (9, 2), (16, 16), (17, 17)]
WIDE = [(4, 130), (3, 129), (3, 259), (32, 260)]  # rows of more than one block
# the field 2 makes moves that cost exactly nothing, where the two directions are told apart by convention
POINTS = [
    (Model(1, 0), 2.3),
    (Model(1, 0), 0.8),
    (Model(-1, 0), 2.3),
    (Model(0.7, 0.3), 1.4),
    (Model(-1, -1.1), 2.0),
    (Model(1, 2), 2.3),
    (Model(1, -9), 5.0),
]


def replica_sampler(size: tuple[int, int], model: Model, temperature: float, update: str) -> ReplicaSampler:
    sampler = ReplicaSampler(Square(*size), model, temperature, update)
    sampler.start(7, "twin", temperature, 0, "mixed")
    return sampler


def site_sampler(size: tuple[int, int], model: Model, temperature: float, update: str, threads: int = 1) -> SiteSampler:
    sampler = SiteSampler(Square(*size), model, temperature, update, threads)
    sampler.start(7, "twin", temperature, 0, "random")
    return sampler


def assert_same_walk(sampler: ReplicaSampler | SiteSampler, lattice: Square, model: Model, twin: SquareTwin) -> None:
    """Three measured sweeps: counts after each of them, and at the end spins and random states."""
    unsatisfied, ups = sampler.sample(3, 1)
    for counted, up in zip(unsatisfied, ups, strict=True):
        twin.sweep()
        energy, magnetization = twin.measure()
        np.testing.assert_allclose(model.energy(lattice, counted, up), energy, rtol=1e-13, atol=1e-9)
        np.testing.assert_array_equal(2 * up.astype(np.int64) - lattice.n_sites, magnetization)
    np.testing.assert_array_equal(sampler.get_spins(), twin.words())
    np.testing.assert_array_equal(sampler.state().random, twin.random)


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_replica_packed_sweep_is_its_twin(size: tuple[int, int], update: str) -> None:
    for model, temperature in POINTS:
        sampler = replica_sampler(size, model, temperature, update)
        start = sampler.state()
        twin = SquareTwin(start.spins, start.random, model, temperature, update, by_sites=False)
        assert_same_walk(sampler, Square(*size), model, twin)


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("size", WIDE, ids=str)
def test_wide_rows_are_their_twin(size: tuple[int, int], update: str) -> None:
    for model in (Model(1, 0), Model(-1, 0.4)):
        sampler = replica_sampler(size, model, 2.3, update)
        start = sampler.state()
        twin = SquareTwin(start.spins, start.random, model, 2.3, update, by_sites=False)
        assert_same_walk(sampler, Square(*size), model, twin)


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("size", [(128, 128), (256, 128), (128, 256), (128, 384), (4224, 128)], ids=str)
def test_site_packed_sweep_is_its_twin(size: tuple[int, int], update: str) -> None:
    """128 rows are two words: each band a row; 4224 rows are 66 words in 64 bands, so that bands differ in height."""
    for model in (Model(1, 0), Model(-1, -0.4)):
        sampler = site_sampler(size, model, 2.3, update)
        start = sampler.state()
        assert len(start.random) == min(size[0] // 64, 64)
        twin = SquareTwin(start.spins, start.random, model, 2.3, update, by_sites=True)
        assert_same_walk(sampler, Square(*size), model, twin)


def test_twin_notices_one_wrong_random_bit() -> None:
    sampler = replica_sampler((4, 4), Model(), 2.3, "heat_bath")
    start = sampler.state()
    start.random[0, 0] ^= np.uint64(1)
    twin = SquareTwin(start.spins, start.random, Model(), 2.3, "heat_bath", by_sites=False)
    sampler.sweep(1)
    twin.sweep()
    assert np.any(sampler.get_spins() != twin.words())


# --- counting ---------------------------------------------------------------------------------------------------


def assert_counted(sampler: ReplicaSampler | SiteSampler, lattice: Square, model: Model, spins: np.ndarray) -> None:
    """`sample` with no sweeps only counts; twice, since counters must come back cleared."""
    energy, magnetization = energy_and_magnetization(spins, model)
    unsatisfied, ups = sampler.sample(2, 0)
    for counted, up in zip(unsatisfied, ups, strict=True):
        np.testing.assert_array_equal(model.energy(lattice, counted, up), energy)
        np.testing.assert_array_equal(2 * up.astype(np.int64) - lattice.n_sites, magnetization)


@pytest.mark.parametrize("J", [1, -1])
def test_replica_counters_on_many_sizes(J: int) -> None:
    rng = np.random.default_rng(5)
    sizes = [(r, c) for r in range(2, 12) for c in range(2, 12)]
    sizes += [(2, c) for c in (127, 128, 129, 130, 256, 257)] + [(r, 3) for r in (31, 32, 33, 64, 65)]
    for size in [*sizes, (301, 300), (300, 514)]:
        sampler = ReplicaSampler(Square(*size), Model(J, 2), 2.0, "metropolis")
        words = rng.integers(0, 2**64, size, dtype=np.uint64)
        sampler.set_spins(words)
        np.testing.assert_array_equal(sampler.get_spins(), words)
        assert_counted(sampler, Square(*size), Model(J, 2), 2 * unpack(words).astype(np.int8) - 1)


@pytest.mark.parametrize("size", [(2, 2), (5, 5), (64, 64), (256, 256), (255, 257)], ids=str)
def test_full_and_empty_counters(size: tuple[int, int]) -> None:
    """All up, all down, and an alternating lattice, where all or (odd sides: nearly all) bonds are unsatisfied."""
    ones = np.full(size, 2**64 - 1, np.uint64)
    alternating = np.where(np.add.outer(*map(np.arange, size)) % 2 == 1, ones, np.uint64(0))
    for words in (ones, ~ones, alternating, ~alternating):
        sampler = ReplicaSampler(Square(*size), Model(), 2.0, "metropolis")
        sampler.set_spins(words)
        assert_counted(sampler, Square(*size), Model(), 2 * unpack(words).astype(np.int8) - 1)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("size", [(128, 128), (256, 384), (1024, 128)], ids=str)
def test_site_packed_counts_and_neighbour_map(size: tuple[int, int], threads: int) -> None:
    """Bit b of word (r, c) is row r + b H of one lattice, so the lanes written below each other are that lattice."""
    for J in (1, -1):
        model = Model(J, 2)
        sampler = site_sampler(size, model, 2.3, "metropolis", threads)
        lattice = unpack(sampler.get_spins()).reshape(1, *size)
        assert_counted(sampler, Square(*size), model, 2 * lattice.astype(np.int8) - 1)


# --- division and interruption ----------------------------------------------------------------------------------


def samplers(update: str) -> list[tuple[ReplicaSampler | SiteSampler, ReplicaSampler | SiteSampler]]:
    """Pairs of equal samplers, every kind."""
    model = Model(1, 0.2)
    pairs: list[tuple[ReplicaSampler | SiteSampler, ReplicaSampler | SiteSampler]] = []
    for size in ((6, 6), (5, 7)):
        pairs.append((replica_sampler(size, model, 2.0, update), replica_sampler(size, model, 2.0, update)))
    pairs.append((site_sampler((256, 128), model, 2.0, update), site_sampler((256, 128), model, 2.0, update)))
    return pairs


@pytest.mark.parametrize("update", UPDATES)
def test_slices_give_the_same_samples(update: str) -> None:
    for whole, sliced in samplers(update):
        at_once = np.array(whole.sample(12, 1))
        parts = np.concatenate([np.array(sliced.sample(n, 1)) for n in (1, 4, 7)], axis=1)
        np.testing.assert_array_equal(at_once, parts)
        np.testing.assert_array_equal(whole.get_spins(), sliced.get_spins())


@pytest.mark.parametrize("update", UPDATES)
def test_measuring_changes_no_sample(update: str) -> None:
    for often, seldom in samplers(update):
        every_sweep = np.array(often.sample(12, 1))
        seldom.sweep(3)
        np.testing.assert_array_equal(every_sweep[:, 5::3], np.array(seldom.sample(3, 3)))
        np.testing.assert_array_equal(often.get_spins(), seldom.get_spins())


@pytest.mark.parametrize("update", UPDATES)
def test_restored_sampler_goes_on_bit_for_bit(update: str) -> None:
    """Nothing but the State may matter: whatever else lies in the scratch array is filled with rubbish."""
    rubbish = np.random.default_rng(3)
    for first, other in samplers(update):
        first.sweep(5)
        state = first.state()
        expected = np.array(first.sample(6, 1))
        other.sweep(2)
        scratch = other.scratches if isinstance(other, SiteSampler) else other.scratch[None]
        scratch[:] = rubbish.integers(0, 2**64, scratch.shape, dtype=np.uint64)
        other.restore(state)
        np.testing.assert_array_equal(np.array(other.sample(6, 1)), expected)
        np.testing.assert_array_equal(other.get_spins(), first.get_spins())
        np.testing.assert_array_equal(other.state().random, first.state().random)


def test_state_is_a_copy() -> None:
    for sampler, _ in samplers("metropolis"):
        state = sampler.state()
        spins, random = state.spins.copy(), state.random.copy()
        sampler.sweep(3)
        np.testing.assert_array_equal(state.spins, spins)
        np.testing.assert_array_equal(state.random, random)
        assert np.any(sampler.get_spins() != spins)


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("size", [(128, 128), (1024, 128), (384, 256)], ids=str)
def test_threads_change_no_sample(size: tuple[int, int], update: str) -> None:
    for model in (Model(1, 0), Model(-1, 0.3)):
        serial = site_sampler(size, model, 2.3, update)
        shared = site_sampler(size, model, 2.3, update, threads=2)
        np.testing.assert_array_equal(np.array(serial.sample(8, 2)), np.array(shared.sample(8, 2)))
        np.testing.assert_array_equal(serial.get_spins(), shared.get_spins())
        np.testing.assert_array_equal(serial.state().random, shared.state().random)


@pytest.mark.parametrize("bands", [1, 3])
def test_bands_of_many_rows(bands: int) -> None:
    """Any number of bands is the twin's sweep with as many streams; ordinary lattices have a band a row of words."""
    sampler = site_sampler((512, 128), Model(), 2.3, "heat_bath")
    random = streams.update_states(streams.sequence(1, "bands", 2.3, 0, streams.UPDATES), bands)
    scratches = np.zeros((bands, bernoulli.SCRATCH_WORDS), np.uint64)
    scratches[:, : 2 * bernoulli.BLOCK] = random
    twin = SquareTwin(sampler.get_spins(), random, Model(), 2.3, "heat_bath", by_sites=True)
    unsatisfied, ups = np.zeros((2, 2), np.int64)
    square_sites.sample_sites(sampler.spins, sampler.geometry, scratches, sampler.model, 1, unsatisfied, ups)
    twin.sweep()
    twin.sweep()
    np.testing.assert_array_equal(sampler.get_spins(), twin.words())
    np.testing.assert_array_equal(scratches[:, : 2 * bernoulli.BLOCK], twin.random)


@pytest.mark.parametrize("size", [(64, 128), (128, 64), (192, 128)], ids=str)
def test_site_packing_refuses_other_sizes(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="multiples of 128"):
        SiteSampler(Square(*size), Model(), 2.0, "metropolis")
