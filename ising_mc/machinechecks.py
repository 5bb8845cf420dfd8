"""Physics checks of the kernels for Boltzmann machines: one sweep from the enumerated distribution, as in `validation`.

Small machines of every kind, with binary units and with spins, are sampled by every kernel through the same tables and
samplers that a run uses, and compared state by state.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ising_mc.boltzmann import KERNELS, MachineSystem, make_sampler, realize
from ising_mc.machine import KINDS, UNITS, Machine, random_machine
from ising_mc.validation import CERTAIN, ONE_SWEEP_LEVEL, Check, ChiSquare, pooled_chi_square
from ising_mc.words import LANES, unpack

SIZES = {"general": (4, 3), "restricted": (5, 3), "layered": (3, 3, 2)}
SCALE, BIAS, T = 0.8, 0.5, 1.3
BETA_ERROR = 1.5
WORDS = 300  # of 64 states each
SEED = 1


def example(kind: str, units: str, seed: int = 3) -> Machine:
    """A small machine of random weights and biases."""
    rng = np.random.default_rng(seed)
    own = random_machine(kind, units, SIZES[kind], SCALE, rng)
    return replace(own, biases=own.split(BIAS * rng.standard_normal(own.n)))


def states(n: int) -> NDArray[np.int64]:
    """All states (2**n, n) of spins, unit i in bit i of their numbers."""
    return 2 * ((np.arange(1 << n)[:, None] >> np.arange(n)) & 1) - 1


def words_of(spins: NDArray[Any]) -> NDArray[np.uint64]:
    """Spins (64, n) as words (n,)."""
    lane = np.arange(LANES, dtype=np.uint64)
    return np.asarray(np.bitwise_or.reduce((spins.T > 0).astype(np.uint64) << lane, axis=1))


def one_sweep(sampler: Any, probabilities: NDArray[np.float64], n: int) -> ChiSquare:
    """Sweep states of a distribution once, and compare all states with it: independent, no thermalization."""
    all_states, counts, rng = states(n), np.zeros(1 << n, np.int64), np.random.default_rng(SEED)
    for _ in range(WORDS):
        sampler.set_spins(words_of(all_states[rng.choice(1 << n, LANES, p=probabilities)]))
        sampler.sweep(1)
        after = unpack(sampler.get_spins()).astype(np.int64) << np.arange(n)[:, None]
        counts += np.bincount(after.sum(axis=0), minlength=1 << n)
    return pooled_chi_square(counts, probabilities * counts.sum())


def sweep_of(system: MachineSystem, kernel: str, temperature: float, beta_error: float = 1.0) -> ChiSquare:
    """One sweep of a given machine at a temperature, by a sampler whose 1/T is off by a factor."""
    drawn = realize(system, SEED)
    energy = drawn.whole.energy(drawn.states(states(drawn.drawn.n)))
    weights = np.exp(-(energy - energy.min()) / temperature)
    sampler, _ = make_sampler(system, SEED, kernel, temperature / beta_error, LANES)
    sampler.start(SEED, "validate", temperature, 0, "random")
    return one_sweep(sampler, weights / weights.sum(), drawn.drawn.n)


def check_one_sweep(kind: str, units: str, kernel: str, order: str, beta_error: float = 1.0) -> Check:
    """One sweep keeps the Boltzmann distribution; with a `beta_error` the check passes if that is noticed."""
    own = example(kind, units)
    test = sweep_of(MachineSystem(kind, units, own.sizes, own, order=order), kernel, T, beta_error)
    right = beta_error == 1.0
    name = f"one sweep, {kernel}, {kind} machine of {units} units, {order} order, T = {T:g}"
    return Check(
        name if right else f"{name}: beta {beta_error - 1:.0%} off is noticed",
        test.p_value > ONE_SWEEP_LEVEL if right else test.p_value < CERTAIN,
        test.statistic / test.degrees_of_freedom,
        test.p_value,
        f"p > {ONE_SWEEP_LEVEL:g}" if right else f"p < {CERTAIN:g}",
    )


def checks(quick: bool = False) -> Iterator[Check]:
    """Do the checks one after the other, each when it is asked for; quick: without those that must fail."""
    for kind in KINDS:
        for units in UNITS:
            for kernel in KERNELS:
                orders = ("sequential", "random") if (kind, kernel) == ("general", "dense") else ("sequential",)
                for order in orders:
                    yield check_one_sweep(kind, units, kernel, order)
                    if not quick:
                        yield check_one_sweep(kind, units, kernel, order, BETA_ERROR)
