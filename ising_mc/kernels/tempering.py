"""Exchange of temperatures between replicas (Hukushima and Nemoto, J. Phys. Soc. Jpn. 65, 1604, 1996).

Up to 64 lanes hold copies of one system, at the temperatures of one or several ladders: *place* t * R + r is
temperature t of ladder r, and a table says which lane stands there.  A swap exchanges two entries of the table, and
what the kernels know of the temperatures of the two lanes; no spin moves.

A lane that has been at the hottest place, then at the coldest, and is back at the hottest has made a round trip.
"""

import numpy as np

from ising_mc.kernels._jit import jit, jit_owning
from ising_mc.kernels.bernoulli import ZERO
from ising_mc.kernels.logistic import LIMIT, SCALE, SCALE_LOW
from ising_mc.kernels.xoroshiro import next_bits

# sections of the state of the ladders, 64 words each but for the last
LANE_AT, ACCEPTED, LABEL, SINCE, TRIPS, TRIP_TIME, MISC = (np.uint64(64 * section) for section in range(7))
# LANE_AT: the lane at each place;  ACCEPTED: swaps of each place with the next hotter one of its ladder;
# LABEL: of a lane, 0: has not been at the hottest place, 1: has, 2: has since been at the coldest;  SINCE: when it was
# at the hottest;  TRIPS: round trips of a lane, TRIP_TIME: their length in rounds
CLOCK, BEGAN, STATE_A, STATE_B, MOVES = (np.uint64(MISC + k) for k in range(5))
# CLOCK: rounds of swaps, BEGAN: 1 more than those before recording;  MOVES: two words of another generator
STATE_WORDS = int(MISC) + 6
BETAS, NUMBERS = 1, 7  # where the inverse temperatures and the numbers stand in a plan
STRIDE, COUNT, THIN = range(3)  # numbers: measurements between rounds, ladders, measurements for each that is observed
LONG = -700.0  # exponents below it are never met


@jit
def exchange(state, betas, ladders, energies):
    """One round: the even or the odd neighbours of all ladders, by turns.

    state: (STATE_WORDS,) uint64;  betas: (temperatures,) 1/T, coldest first;  energies: (64,) total energies of lanes.
    """
    last, count = len(betas) - 1, np.uint64(ladders)
    a, b = state[STATE_A], state[STATE_B]
    for t in range(np.int64(state[CLOCK] & np.uint64(1)), last, 2):
        for r in range(count):
            place = np.uint64(t) * count + r
            one, other = state[LANE_AT + place], state[LANE_AT + place + count]
            x = (betas[t] - betas[t + 1]) * (energies[one] - energies[other])
            bits, a, b = next_bits(a, b)
            if x >= 0 or (x > LONG and np.float64(bits >> np.uint64(11)) * 2.0**-53 < np.exp(x)):
                state[LANE_AT + place], state[LANE_AT + place + count] = other, one
                state[ACCEPTED + place] += np.uint64(1)
    state[STATE_A], state[STATE_B] = a, b
    state[CLOCK] += np.uint64(1)
    for r in range(count):
        _arrive(state, state[LANE_AT + r], state[LANE_AT + np.uint64(last) * count + r])


@jit
def _arrive(state, cold, hot):
    """Follow the round trips of the lanes at the two ends of a ladder."""
    now = state[CLOCK]
    if state[LABEL + cold] == 1:
        state[LABEL + cold] = np.uint64(2)
    if state[LABEL + hot] == 2:
        state[TRIPS + hot] += np.uint64(1)
        state[TRIP_TIME + hot] += now - state[SINCE + hot]
    if state[LABEL + hot] != 1:
        state[SINCE + hot] = now
        state[LABEL + hot] = np.uint64(1)


@jit
def pair_up(state, ladders, pairs):
    """The lanes of replicas 2k and 2k + 1 of each temperature, into pairs (temperatures * (ladders // 2), 2)."""
    half = ladders // 2
    for p in range(len(pairs)):
        place = np.uint64(p // half * ladders + 2 * (p % half))
        pairs[p, 0], pairs[p, 1] = state[LANE_AT + place], state[LANE_AT + place + np.uint64(1)]


@jit_owning
def sort_by_place(row, where, spare):
    """Put the numbers of lanes (64,) in the order of places."""
    spare[:] = row
    for place in range(np.uint64(64)):
        row[place] = spare[np.uint64(where[place])]


@jit
def round_is_due(plan, n):
    """Note where the lanes stand in measurement n; whether a round of swaps follows it."""
    state, _, _, _, _, where, _, numbers = plan
    for place in range(np.uint64(64)):
        where[n, place] = np.uint8(state[LANE_AT + place])
    return (n + 1) % numbers[STRIDE] == 0


@jit_owning
def temper_packed(plan, n, unsatisfied, ups, thresholds):
    """What follows measurement n of `packed.sample`: a round of swaps, and new thresholds (classes, 62).

    plan: see `ising_mc.tempering`; energies follow from unsatisfied bonds (moduli, 64) and up spins (64,), which are
    sorted by place afterwards.
    """
    state, betas, weights, digits, _, where, pairs, numbers = plan
    due = round_is_due(plan, n)
    energies = np.empty(64)
    for lane in range(64):
        energies[lane] = weights[-1] * ups[lane]
        for k in range(len(unsatisfied)):
            energies[lane] += weights[k] * unsatisfied[k, lane]
    spare = np.empty(64, np.int64)
    sort_by_place(ups, where[n], spare)
    for k in range(len(unsatisfied)):
        sort_by_place(unsatisfied[k], where[n], spare)
    if not due:
        return
    exchange(state, betas, numbers[COUNT], energies)
    pair_up(state, numbers[COUNT], pairs)
    set_thresholds(state, digits, np.uint64(numbers[COUNT]), thresholds)


@jit
def set_thresholds(state, digits, count, thresholds):
    """Thresholds (classes, 62) of all lanes, from those of the temperatures: digits (temperatures, classes * 62)."""
    flat = thresholds.reshape(-1)
    flat[:] = ZERO
    for t in range(np.uint64(len(digits))):
        here = ZERO
        for r in range(count):
            here |= np.uint64(1) << state[LANE_AT + t * count + r]
        own = digits[t]
        for i in range(len(flat)):
            flat[i] |= own[i] & here


@jit_owning
def temper_real(plan, n, energies, ups, scratches):
    """What follows measurement n of `sparse.sample` and `dense.sample`: a round of swaps, and new temperatures.

    energies: (64,) in units, and ups: (64,), which are sorted by place afterwards;  scratches: (bands,
    logistic.SCRATCH_WORDS), or more.
    """
    state, betas, weights, _, settings, where, pairs, numbers = plan
    due = round_is_due(plan, n)
    of_lanes = energies * weights[0]
    spare = np.empty(64, np.int64)
    sort_by_place(energies, where[n], spare)
    sort_by_place(ups, where[n], spare)
    if not due:
        return
    exchange(state, betas, numbers[COUNT], of_lanes)
    pair_up(state, numbers[COUNT], pairs)
    count = np.uint64(numbers[COUNT])
    for band in range(len(scratches)):
        lanes = scratches[band].view(np.int32)
        for t in range(np.uint64(len(betas))):
            for r in range(count):
                lane = state[LANE_AT + t * count + r]
                lanes[LIMIT + lane] = settings[t, 0]
                lanes[SCALE + lane] = settings[t, 1]
                lanes[SCALE_LOW + lane] = settings[t, 2]
