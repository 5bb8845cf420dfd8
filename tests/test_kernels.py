"""Random numbers: the generator, its single bits, the keyed streams, the bit-sliced decisions, the lanes.

False-alarm rates: every statistical assertion stays below 1e-4, as stated beside it. Seeds are fixed.
"""

from itertools import islice, product

import numpy as np
import pytest
from scipy import stats
from twins import PlainSampler, decide, linear_complexity, pack, rotate, unpack, xoroshiro128

from ising_mc import streams
from ising_mc.exact import critical_temperature
from ising_mc.kernels import bernoulli
from ising_mc.kernels.xoroshiro import next_bits
from ising_mc.square import Model, ReplicaSampler, Square

BITS = 10_000


def kernel_words(a: int, b: int, count: int) -> list[int]:
    words = []
    for _ in range(count):  # numba gives Python integers back, and would take them for signed ones
        word, a, b = next_bits(np.uint64(a), np.uint64(b))
        words.append(word)
    return words


def start_state(position: int) -> tuple[int, int]:
    """First state of one of the generators of a physics point."""
    states = streams.update_states(streams.sequence(11, "L8", 2.25, 0, streams.UPDATES), 1)[0]
    return int(states[position]), int(states[bernoulli.BLOCK + position])


# --- the generator ----------------------------------------------------------------------------------------------


def test_generator_gives_the_reference_sequence() -> None:
    """The first words after the state (1, 2), as the authors' C program prints them."""
    assert kernel_words(1, 2, 10) == [
        393217,
        669327710093319,
        1732421326133921491,
        11394790081659126983,
        9555452776773192676,
        3586421180005889563,
        1691397964866707553,
        10735626796753111697,
        15216282715349408991,
        14247243556711267923,
    ]


@pytest.mark.parametrize("position", [0, 17, 63])
def test_generator_is_its_twin(position: int) -> None:
    a, b = start_state(position)
    assert kernel_words(a, b, 2000) == list(islice(xoroshiro128(a, b), 2000))


@pytest.mark.parametrize("lane", [0, 1, 31, 63])
@pytest.mark.parametrize("position", [0, 40])
def test_single_lane_has_full_linear_complexity(position: int, lane: int) -> None:
    """Of n random bits it lies within d of n/2 but for a share of about 2^(-2d + 1): at d = 12 that is 1e-7."""
    bits = [word >> lane & 1 for word in kernel_words(*start_state(position), BITS)]
    assert abs(linear_complexity(bits) - BITS // 2) <= 12


def test_linear_lanes_fail() -> None:
    """The low bit of xoroshiro128+ and a shift register stop at their state sizes."""
    low = [word & 1 for word in islice(xoroshiro128(*start_state(0), plus_plus=False), BITS)]
    assert linear_complexity(low) == 128
    register = low[:250]  # R250 of Kirkpatrick and Stoll, which led Ising simulations astray (Ferrenberg et al. 1992)
    for n in range(250, BITS):
        register.append(register[n - 103] ^ register[n - 250])
    assert linear_complexity(register) == 250


def test_linear_complexity_of_known_sequences() -> None:
    assert linear_complexity([0] * 20) == 0
    assert linear_complexity([0] * 19 + [1]) == 20
    assert linear_complexity([1, 0] * 10) == 2
    assert linear_complexity([0, 0, 1, 1, 0, 1, 1, 1, 0]) == 5  # Menezes et al., Handbook, example 6.33


# --- streams ----------------------------------------------------------------------------------------------------


def test_streams_differ_where_the_physics_point_differs() -> None:
    keys = product(
        (0, 1, 2**63 - 1),
        ("L8", "L8x4", "L80", "L8_d001"),
        (2.0, float(np.nextafter(2.0, 3.0)), 2.0000001, -0.0, 0.0),
        (0, 1, 255),
        (streams.START, streams.UPDATES),
    )
    states = [tuple(streams.update_states(streams.sequence(*key), 1)[0]) for key in keys]
    words = {word for state in states for word in state}
    assert len(words) == len(states) * 2 * bernoulli.BLOCK  # no word comes twice (by chance: 1e-9)


def test_streams_repeat_for_the_same_point() -> None:
    key = (5, "L32x16", 2.269, 3, streams.UPDATES)
    first, second = (streams.update_states(streams.sequence(*key), 4) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first[:1], streams.update_states(streams.sequence(*key), 1))
    assert len(np.unique(first)) == first.size
    rows = [np.array(list(streams.random_rows(streams.sequence(*key), 3, 5))) for _ in range(2)]
    np.testing.assert_array_equal(rows[0], rows[1])
    assert len(np.unique(rows[0])) == 15


def test_starts() -> None:
    """Up is all ones; mixed has the even replicas up; random ones are as often up as down (5 sigma: 6e-7)."""
    sampler = ReplicaSampler(Square(32, 32), Model(), 2.0, "metropolis")
    lanes = {}
    for start in ("up", "random", "mixed"):
        sampler.start(1, "L32", 2.0, 0, start)
        lanes[start] = unpack(sampler.get_spins())
    assert lanes["up"].all()
    assert lanes["mixed"][0::2].all()
    np.testing.assert_array_equal(lanes["mixed"][1::2], lanes["random"][1::2])
    assert abs(lanes["random"].mean() - 0.5) < 5 * 0.5 / np.sqrt(lanes["random"].size)


# --- decisions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [2, 3, 4, 5])
def test_what_is_left_is_decided_to_the_last_place(classes: int) -> None:
    """The lowest 1 of a lane's random word says where u and t differ first; beyond place 61 they count as equal."""
    rng = np.random.default_rng(4)
    thresholds = rng.integers(0, 2**64, (classes, 62), dtype=np.uint64)  # of words: each lane has its own
    flip, j = int(bernoulli.FLIP) + 5, np.uint64(5)
    for known, low in product((bernoulli.ROUNDS, bernoulli.ROUNDS + bernoulli.SHARED_ROUNDS), range(64)):
        word = int(rng.integers(0, 2**64, dtype=np.uint64)) >> low << low | 1 << low
        lane, own_class, place = int(rng.integers(64)), int(rng.integers(classes)), known + low
        scratch = np.zeros(bernoulli.SCRATCH_WORDS, np.uint64)
        scratch[int(bernoulli.STATE_B) + 5] = rotate(word, 64 - 17)  # the state that gives this word
        if own_class > 0:
            scratch[int(bernoulli.CLASS_0) + own_class * bernoulli.BLOCK + 5] = 1 << lane
        bernoulli._settle_word(scratch, thresholds, j, np.uint64(1 << lane), known, classes)
        assert scratch[flip] == (int(thresholds[own_class, place]) & 1 << lane if place < 62 else 0)


def test_each_lane_that_is_left_has_a_word_of_its_own() -> None:
    """All lanes, from the lowest on; a threshold whose every digit is random tells which word a lane has had."""
    thresholds = np.random.default_rng(4).integers(0, 2**64, (2, 62), dtype=np.uint64)
    scratch = np.zeros(bernoulli.SCRATCH_WORDS, np.uint64)
    scratch[int(bernoulli.STATE_A)], scratch[int(bernoulli.STATE_B)] = start_state(0)
    bernoulli._settle_word(scratch, thresholds, np.uint64(0), ~np.uint64(0), bernoulli.ROUNDS, 2)
    words = islice(xoroshiro128(*start_state(0)), 64)
    digits = [int(thresholds[0, bernoulli.ROUNDS + (word & -word).bit_length() - 1]) for word in words]
    assert int(scratch[int(bernoulli.FLIP)]) == sum(digit & 1 << lane for lane, digit in enumerate(digits))


@pytest.mark.parametrize("classes", [2, 3, 4, 5])
def test_decisions_are_their_twins(classes: int) -> None:
    """Blocks of any number of words, lanes that ask or not, rubbish elsewhere; also where lanes have to wait."""
    rng, waiting = np.random.default_rng(3), 0
    for trial in range(40):
        words = int(rng.integers(1, 129)) if trial % 2 else 128
        goals = (rng.random(classes) * 2.0**62).astype(np.uint64)
        digits = (goals[:, None] >> np.arange(61, -1, -1, dtype=np.uint64)) & np.uint64(1)
        own_class, asks = rng.integers(0, classes, (64, words)), rng.random((64, words)) < 0.9
        scratch = rng.integers(0, 2**64, bernoulli.SCRATCH_WORDS, dtype=np.uint64)
        sections = scratch.reshape(-1, bernoulli.BLOCK)
        need, flip, open_lanes, sharing, class_0 = (
            int(at) // bernoulli.BLOCK
            for at in (bernoulli.NEED, bernoulli.FLIP, bernoulli.OPEN, bernoulli.SHARING, bernoulli.CLASS_0)
        )
        sections[need, :words] = pack(asks)
        for m in range(1, classes):
            sections[class_0 + m, :words] = pack(own_class == m)
        before, generators = sections[flip, :words].copy(), sections[:2].copy()

        def draw(first: int, last: int, generators: np.ndarray = generators) -> np.ndarray:
            drawn = np.empty(last - first, np.uint64)
            for k in range(first, last):
                stream = next_bits(*generators[:, k])
                drawn[k - first], generators[0, k], generators[1, k] = stream
            return drawn

        verdicts = pack(decide(draw, asks, goals[own_class]) & asks)
        getattr(bernoulli, f"decide_{classes}")(scratch, ~np.uint64(0) * digits, np.uint64(words))
        np.testing.assert_array_equal(sections[flip, :words] ^ before, verdicts)
        np.testing.assert_array_equal(sections[:2], generators)
        if words > 32:
            waiting += int(np.bitwise_count(sections[open_lanes] & ~sections[sharing]).sum())
    assert waiting > 0


SELDOM = 2.0**-8  # the probability of the verdict that the following tests count


def strays(verdicts: np.ndarray) -> tuple[float, float]:
    """Standard errors by which verdicts (times, 4, 32) of four words a slot stray from independent ones.

    Of the verdicts, and of the pairs of them that two words of a slot have in one lane.
    """
    ones = np.bitwise_count(verdicts).sum()
    pairs = sum(np.bitwise_count(verdicts[:, i] & verdicts[:, j]).sum() for i in range(4) for j in range(i))
    lanes = 64 * 32 * len(verdicts)
    return tuple(
        float((found - expected) / np.sqrt(expected))
        for found, expected in ((ones, 4 * lanes * SELDOM), (pairs, 6 * lanes * SELDOM**2))
    )  # type: ignore[return-value]


def test_words_that_share_bits_decide_independently() -> None:
    """u >= 1 - 2**-8 where u and t differ neither at the first seven places nor at the first shared one.

    5 sigma: 6e-7 each.
    """
    rng = np.random.default_rng(9)
    scratch = rng.integers(0, 2**64, bernoulli.SCRATCH_WORDS, dtype=np.uint64)
    thresholds = np.zeros((2, 62), np.uint64)
    thresholds[:, :8] = ~np.uint64(0)
    need, flip = (slice(int(at), int(at) + bernoulli.BLOCK) for at in (bernoulli.NEED, bernoulli.FLIP))
    verdicts = np.empty((4000, 4, 32), np.uint64)
    for verdict in verdicts:
        scratch[need], scratch[flip] = ~np.uint64(0), 0
        bernoulli.decide_2(scratch, thresholds, np.uint64(bernoulli.BLOCK))
        verdict[:] = ~scratch[flip].reshape(4, 32)
    assert max(np.abs(strays(verdicts))) < 5


def test_words_that_share_bits_blindly_are_found_out() -> None:
    """If words that meet in a lane both took its bit, each verdict alone would still be right."""
    rng = np.random.default_rng(9)
    words = rng.integers(0, 2**64, (7, 4000, 4, 32), dtype=np.uint64)
    both = np.bitwise_and.reduce(words) & rng.integers(0, 2**64, (4000, 1, 32), dtype=np.uint64)
    single, pairs = strays(both)
    assert abs(single) < 5
    assert pairs > 5


# --- lanes ------------------------------------------------------------------------------------------------------


def snapshots(L: int, T: float, update: str, words: int, sweeps: int) -> np.ndarray:
    """Spins (words, 64, sites) after some sweeps from random ones."""
    out = []
    for word in range(words):
        sampler = ReplicaSampler(Square(L, L), Model(), T, update)
        sampler.start(2, f"L{L}", T, word, "random")
        sampler.sweep(sweeps)
        out.append(2 * unpack(sampler.get_spins()).reshape(64, -1).astype(np.float64) - 1)
    return np.array(out)


def lane_p_values(spins: np.ndarray) -> dict[str, float]:
    """Overlaps q of lanes of one word against those of independent words, from (words, 64, sites) snapshots.

    squared: mean q^2 within words against that between words (other words: Welch);  mean: that q within words is 0
    on average;  pairs: that it is for each of the 2016 pairs of lanes (Bonferroni; q is bounded, and its sums have
    lighter tails than Gaussian ones);  distribution: |q| of disjoint pairs within and between (Kolmogorov, Smirnov).
    """
    quarter = len(spins) // 4
    within = np.einsum("wai,wbi->wab", spins, spins) / spins.shape[2]
    upper = np.triu_indices(64, 1)
    within = within[:, *upper]
    left, right = spins[2 * quarter : 3 * quarter], spins[3 * quarter : 4 * quarter]
    between = np.einsum("wai,wbi->wab", left, right) / spins.shape[2]
    squared = stats.ttest_ind(
        (within[: 2 * quarter] ** 2).mean(1), (between**2).mean((1, 2)), equal_var=False
    ).pvalue  # fmt: skip
    mean = stats.ttest_1samp(within.mean(1), 0.0).pvalue
    z = within.sum(0) / np.sqrt(len(within) * (between**2).mean())
    pairs = min(1.0, len(z) * 2 * stats.norm.sf(np.abs(z).max()))
    halves = spins[: 2 * quarter].reshape(2 * quarter, 32, 2, -1)
    neighbours = np.abs((halves[:, :, 0] * halves[:, :, 1]).mean(-1)).ravel()
    apart = np.abs((left * right).mean(-1)).ravel()
    distribution = stats.ks_2samp(neighbours, apart).pvalue
    return {"squared": squared, "mean": mean, "pairs": pairs, "distribution": distribution}


@pytest.mark.parametrize("update", ["metropolis", "heat_bath"])
@pytest.mark.parametrize(("L", "sweeps"), [(8, 1000), (16, 3000)])
def test_lanes_of_a_word_are_independent(L: int, sweeps: int, update: str) -> None:
    """At the critical point, where the shortcut of one random number for all lanes makes replicas coalesce.

    Each of the four p-values fails by chance in 2e-5 of all cases.
    """
    spins = snapshots(L, critical_temperature(), update, 160, sweeps)
    for name, p in lane_p_values(spins).items():
        assert p > 2e-5, name


@pytest.mark.parametrize("update", ["metropolis", "heat_bath"])
def test_lanes_that_share_a_random_number_are_noticed(update: str) -> None:
    """The same test, on a plain sampler: right with a random number each, hopelessly wrong with a shared one.

    Then replicas coalesce, or become mirror images, so that |q| gives them away and the mean of q does not.
    """
    p_values = {}
    for shared in (False, True):
        sampler = PlainSampler(120, 8, 8, Model(), critical_temperature(), update, 4, shared=shared)
        sampler.sweep(30)
        p_values[shared] = lane_p_values(sampler.spins.reshape(120, 64, -1).astype(np.float64))
    assert all(p > 2e-5 for p in p_values[False].values())
    assert p_values[True]["squared"] < 1e-10
    assert p_values[True]["distribution"] < 1e-10


def test_one_pair_of_equal_lanes_is_noticed() -> None:
    spins = snapshots(8, critical_temperature(), "heat_bath", 160, 300)
    spins[:, 41] = spins[:, 7]
    assert lane_p_values(spins)["pairs"] < 1e-10
