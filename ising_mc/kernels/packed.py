"""Any graph with couplings of few moduli, 64 spins a word: local updates, and the counting of energy and up spins.

Word i holds site i of 64 replicas (or, packed by sites, 64 sites of one big lattice, where some neighbours stand one
bit further: `turns`).  Sites are sorted by colour, and within a colour by their kind of surroundings, the *pattern*, so
that a stretch of words, a *block*, holds sites that are not neighbours and that all have as many neighbours.

First come the neighbours of earlier colours: when a site is updated, its bonds to those have their last word in this
sweep, and are counted at once, without a second look at memory (an unsatisfied bond x becomes x ^ flip).

With 3, 4, 6 or 8 neighbours, one modulus |J| and no field there are at most four classes of energy changes, and all is
done in registers, here.  `classes` does the rest: other numbers of neighbours, other moduli along other axes, a field.
"""

import numpy as np
from numba import prange

from ising_mc.kernels import classes
from ising_mc.kernels._jit import jit, jit_inline, jit_owning, jit_parallel
from ising_mc.kernels.bernoulli import (
    BELOW,
    BLOCK,
    CLASS_0,
    COIN,
    FLIP,
    NEED,
    ZERO,
    decide_2,
    decide_3,
    decide_4,
    toss_coins,
)
from ising_mc.kernels.classes import UNSATISFIED, tally
from ising_mc.kernels.counting import CARRY, UPS, WIDTH, carry_save, take_carry, totals
from ising_mc.kernels.observe import observe
from ising_mc.kernels.tempering import BETAS, NUMBERS, THIN, temper_packed

B = np.uint64(BLOCK)
ONE, _2, _3, _4, _64 = (np.uint64(n) for n in (1, 2, 3, 4, 64))
START, WORDS, PATTERN = 0, 1, 3  # columns of the table of blocks; 2: where its neighbours stood
BOND_LEVEL, UP_LEVEL = 5, 1  # where what is counted enters its counter
FAST_CLASSES = 4


@jit_inline
def gather(spins, places, runs, neighbours, flips, turns, scratch, block, pattern, start, words, degree):
    """Unsatisfied bonds of each direction of a block, into the scratch array."""
    for d in range(degree):
        to = UNSATISFIED + d * B
        place, count = np.uint64(places[block, d, 0]), np.uint64(places[block, d, 1])
        if count == ZERO:
            for i in range(words):
                scratch[to + i] = spins[np.uint64(neighbours[place + i])] ^ spins[start + i]
        begin = ZERO
        for r in range(place, place + count):
            length = np.uint64(runs[r, 0]) - begin
            source, own, goal = np.uint64(runs[r, 1]) - length, start + begin, to + begin
            for i in range(length):
                scratch[goal + i] = spins[source + i] ^ spins[own + i]
            begin += length
        turn = turns[pattern, d]
        if turn != ZERO:
            _turn(spins, scratch, to, start, words, turn)
        for part in range(np.uint64(BLOCK // 64)):
            signs = flips[block, d, part]
            if signs != ZERO:
                first = to + part * _64
                for i in range(_64):
                    scratch[first + i] ^= ZERO - ((signs >> i) & ONE)


@jit
def _turn(spins, scratch, to, start, words, turn):
    """Turn the neighbours' words, which stand in the scratch array XORed with the own ones, left by `turn` bits."""
    for i in range(words):
        spin = spins[start + i]
        word = scratch[to + i] ^ spin
        scratch[to + i] = ((word << turn) | (word >> (_64 - turn))) ^ spin


@jit_inline
def add_up(scratch, j, flip, count):
    """Bit-sliced sum (ones, twos, fours, eights) of `count` (a literal) directions of word j, each turned by flip."""
    ones = twos = fours = eights = ZERO
    for d in range(0, count - 1, 2):
        one = scratch[UNSATISFIED + np.uint64(d) * B + j] ^ flip
        other = scratch[UNSATISFIED + np.uint64(d + 1) * B + j] ^ flip
        ones, carry = carry_save(ones, one, other)
        carry, twos = twos & carry, twos ^ carry
        carry, fours = fours & carry, fours ^ carry
        eights ^= carry
    if count & 1:
        carry = scratch[UNSATISFIED + np.uint64(count - 1) * B + j] ^ flip
        carry, ones = ones & carry, ones ^ carry
        carry, twos = twos & carry, twos ^ carry
        carry, fours = fours & carry, fours ^ carry
        eights ^= carry
    return ones, twos, fours, eights


@jit_inline
def _equals(ones, twos, fours, eights, m):
    """Lanes where the sum is m (a literal)."""
    mask = ones if m & 1 else ~ones
    mask &= twos if m & 2 else ~twos
    mask &= fours if m & 4 else ~fours
    return mask & (eights if m & 8 else ~eights)


@jit_inline
def _classify(scratch, words, degree, heat_bath):
    """Sort lanes by energy change: class m < degree/2 costs 2|J|(degree - 2m); its mirror image gains as much.

    degree, heat_bath: literals.  What gains energy flips without a verdict in Metropolis' way, as does what costs none.
    """
    for j in range(words):
        ones, twos, fours, eights = add_up(scratch, j, ZERO, degree)
        need = gain = ZERO
        for m in range((degree + 1) // 2):
            mask = _equals(ones, twos, fours, eights, m)
            if heat_bath:
                gaining = _equals(ones, twos, fours, eights, degree - m)
                gain |= gaining
                mask |= gaining
            if m > 0:
                scratch[CLASS_0 + np.uint64(m) * B + j] = mask
            need |= mask
        scratch[NEED + j] = need
        scratch[FLIP + j] = gain if heat_bath else ~need
        if heat_bath:
            scratch[COIN + j] = ~need


@jit_inline
def _sort(scratch, words, degree, heat_bath):
    """`_classify` with the degree made a literal."""
    if degree == 3:
        _classify(scratch, words, 3, heat_bath)
    elif degree == 4:
        _classify(scratch, words, 4, heat_bath)
    elif degree == 6:
        _classify(scratch, words, 6, heat_bath)
    else:
        _classify(scratch, words, 8, heat_bath)


@jit
def _decide(scratch, all_thresholds, first, words, degree, complement):
    """What to flip in a block, into FLIP: 3, 4, 6 or 8 neighbours, one |J|, no field.

    all_thresholds: (classes, 62), that of class m at row first + m.
    """
    thresholds = all_thresholds[first : first + FAST_CLASSES]
    if complement != ZERO:
        _sort(scratch, words, degree, True)
    else:
        _sort(scratch, words, degree, False)
    if degree <= 4:
        decide_2(scratch, thresholds, words)
    elif degree <= 6:
        decide_3(scratch, thresholds, words)
    else:
        decide_4(scratch, thresholds, words)
    if complement != ZERO and degree % 2 == 0:
        toss_coins(scratch, words)


@jit_inline
def is_fast(number):
    """Whether so many neighbours are done in registers: those of the usual lattices, to compile no more than that."""
    return number == 3 or number == 4 or number == 6 or number == 8


@jit_inline
def _count_bonds(scratch, counter, width, earlier, count):
    """Count the unsatisfied bonds of the first `count` (a literal) directions, after the flips."""
    for j in range(width):
        one, two, four, eight = add_up(scratch, j, scratch[FLIP + j], count)
        k = j + width
        one_b, two_b, four_b, eight_b = add_up(scratch, k, scratch[FLIP + k], count)
        counter[j], two_c = carry_save(counter[j], one, one_b)
        digit, four_c = carry_save(counter[WIDTH + j], two, two_b)
        counter[WIDTH + j], four_d = carry_save(digit, two_c, ZERO)
        digit, eight_c = carry_save(counter[_2 * WIDTH + j], four, four_b)
        counter[_2 * WIDTH + j], eight_d = carry_save(digit, four_c, four_d)
        digit, last_c = carry_save(counter[_3 * WIDTH + j], eight, eight_b)
        counter[_3 * WIDTH + j], last_d = carry_save(digit, eight_c, eight_d)
        counter[_4 * WIDTH + j], counter[CARRY + j] = carry_save(counter[_4 * WIDTH + j], last_c, last_d)
    take_carry(counter, ZERO, width, BOND_LEVEL, earlier)


@jit
def count_block(spins, start, words, back, fast, moduli, pattern, scratch, counter, width, taken, unsatisfied):
    """Count the block updated last: its bonds to earlier colours, and its up spins.

    back: how many directions lead to earlier colours;  fast: whether the counter can take them (3, 4, 6 or 8);
    width: a power of 2, at least half of the words of any block;  taken: how often bonds and ups were counted, (2,);
    unsatisfied: (moduli, 64), for what the counter does not take.
    """
    for j in range(words):
        scratch[BELOW + j] = spins[start + j]
    for j in range(words, _2 * width):
        scratch[BELOW + j] = ZERO
        scratch[FLIP + j] = ZERO
    for j in range(width):
        up, carry = carry_save(counter[UPS + j], scratch[BELOW + j], scratch[BELOW + j + width])
        counter[UPS + j], counter[UPS + CARRY + j] = up, carry
    take_carry(counter, UPS, width, UP_LEVEL, taken[1])
    taken[1] += 1
    if back == 0:
        return
    if not fast:
        for d in range(back):
            at = UNSATISFIED + np.uint64(d) * B
            for j in range(words):
                scratch[at + j] ^= scratch[FLIP + j]
            tally(scratch, at, words, unsatisfied[moduli[pattern, d]])
        return
    for d in range(np.uint64(back)):
        for j in range(words, _2 * width):
            scratch[UNSATISFIED + d * B + j] = ZERO
    if back == 3:
        _count_bonds(scratch, counter, width, taken[0], 3)
    elif back == 4:
        _count_bonds(scratch, counter, width, taken[0], 4)
    elif back == 6:
        _count_bonds(scratch, counter, width, taken[0], 6)
    else:
        _count_bonds(scratch, counter, width, taken[0], 8)
    taken[0] += 1


@jit
def sweep_blocks(spins, blocks, tables, patterns, model, scratch, counter, width, taken, unsatisfied, span, measure):
    """Update the blocks from span[0] to before span[1], each of sites that are not neighbours; with `measure`, count.

    patterns: degrees (patterns,), numbers of bonds to earlier colours (patterns,), moduli (patterns, directions), turns
    (patterns, directions), and the three tables of `classes.decide`.
    model: thresholds (classes, 62), complement (all ones for the heat bath, 0 for Metropolis), and whether there is
    one modulus and no field.
    """
    places, runs, neighbours, flips = tables
    degrees, backs, moduli, turns, firsts, codes, planes = patterns
    thresholds, complement, simple = model
    for block in range(span[0], span[1]):
        start, words, pattern = np.uint64(blocks[block, START]), np.uint64(blocks[block, WORDS]), blocks[block, PATTERN]
        degree, back = degrees[pattern], backs[pattern]
        gather(spins, places, runs, neighbours, flips, turns, scratch, block, pattern, start, words, np.uint64(degree))
        if simple and is_fast(degree):
            _decide(scratch, thresholds, firsts[pattern], words, degree, complement)
        else:
            classes.decide(
                spins, start, words, degree, moduli, firsts, codes, planes, pattern, thresholds, complement, scratch
            )
        for j in range(words):
            spins[start + j] ^= scratch[FLIP + j]
        if measure:
            fast = simple and is_fast(back)
            count_block(spins, start, words, back, fast, moduli, pattern, scratch, counter, width, taken, unsatisfied)


@jit
def _total(counter, at, width, level, taken, out):
    """`counting.totals`, compiled once for both counters."""
    totals(counter, at, width, level, taken, out)


@jit
def _collect(counter, width, taken, unsatisfied, ups):
    """Read and clear the counters of a band: adds to unsatisfied[0], sets ups."""
    _total(counter, ZERO, width, BOND_LEVEL, taken[0], ups)
    for lane in range(64):
        unsatisfied[0, lane] += ups[lane]
    _total(counter, UPS, width, UP_LEVEL, taken[1], ups)
    taken[0] = taken[1] = 0


@jit
def _add_up_bands(own, own_ups, unsatisfied, ups):
    """Sum over bands, and clear the unsatisfied bonds of the bands."""
    unsatisfied[:] = 0
    ups[:] = 0
    for band in range(len(own)):
        for lane in range(64):
            ups[lane] += own_ups[band, lane]
            for k in range(own.shape[1]):
                unsatisfied[k, lane] += own[band, k, lane]
                own[band, k, lane] = 0


@jit_owning
def sample(
    spins, blocks, tables, patterns, model, bands, scratches, counters, width, every, unsatisfied, ups, work, counts,
    ladder,
):  # fmt: skip
    """Every `every` (>= 1) sweeps count the unsatisfied bonds of each modulus and the up spins, of each lane.

    bands: (colours, bands + 1) block numbers: the blocks of a colour are shared among bands, which have generators of
    their own;  scratches: (bands, classes.SCRATCH_WORDS);  counters: (bands, 2 * COUNTER_WORDS) zeros.
    unsatisfied: (measurements, moduli, 64) and ups: (measurements, 64) int64, filled here, as are counts:
    (measurements, rows, 64), by what `observe` does with `work`;  ladder: the plan of `tempering`, empty without.
    """
    colours, shares = bands.shape[0], bands.shape[1] - 1
    taken, own_ups = np.zeros((shares, 2), np.int64), np.zeros((shares, 64), np.int64)
    own = np.zeros((shares, unsatisfied.shape[1], 64), np.int64)
    for n in range(len(ups)):
        for k in range(every):
            for colour in range(colours):
                for band in range(shares):
                    sweep_blocks(
                        spins, blocks, tables, patterns, model, scratches[band], counters[band], width, taken[band],
                        own[band], bands[colour, band : band + 2], k == every - 1,
                    )  # fmt: skip
        for band in range(shares):
            _collect(counters[band], width, taken[band], own[band], own_ups[band])
        _add_up_bands(own, own_ups, unsatisfied[n], ups[n])
        counts[n] = 0
        if (n + 1) % ladder[NUMBERS][THIN] == 0:
            observe(spins, work[0], work[1], work[2], work[3], work[4], counts[n])
        if len(ladder[BETAS]):
            temper_packed(ladder, n, unsatisfied[n], ups[n], model[0])


@jit_parallel
def sample_parallel(
    spins, blocks, tables, patterns, model, bands, scratches, counters, width, every, unsatisfied, ups, work, counts,
    ladder,
):  # fmt: skip
    """The same as `sample`, to the bit, with the bands shared among threads."""
    colours, shares = bands.shape[0], bands.shape[1] - 1
    taken, own_ups = np.zeros((shares, 2), np.int64), np.zeros((shares, 64), np.int64)
    own = np.zeros((shares, unsatisfied.shape[1], 64), np.int64)
    for n in range(len(ups)):
        for k in range(every):
            for colour in range(colours):
                for band in prange(shares):
                    sweep_blocks(
                        spins, blocks, tables, patterns, model, scratches[band], counters[band], width, taken[band],
                        own[band], bands[colour, band : band + 2], k == every - 1,
                    )  # fmt: skip
        for band in prange(shares):
            _collect(counters[band], width, taken[band], own[band], own_ups[band])
        _add_up_bands(own, own_ups, unsatisfied[n], ups[n])
        counts[n] = 0
        if (n + 1) % ladder[NUMBERS][THIN] == 0:
            observe(spins, work[0], work[1], work[2], work[3], work[4], counts[n])
        if len(ladder[BETAS]):
            temper_packed(ladder, n, unsatisfied[n], ups[n], model[0])
