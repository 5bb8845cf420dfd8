"""One big lattice of any kind, 64 of its layers in a word: unfolded it must be that lattice, and behave like it."""

import numpy as np
import pytest

from ising_mc import exact, statistics
from ising_mc.algorithms import choose
from ising_mc.ising import Couplings, Field, System, realize
from ising_mc.lattices import Lattice
from ising_mc.packed import PackedSiteSampler
from ising_mc.validation import CERTAIN, deviation, sum_of_squares
from ising_mc.words import unpack

SYSTEMS = {
    "cubic": System(Lattice("cubic", (128, 4, 6), (True,) * 3)),
    "cubic, open and odd sides": System(Lattice("cubic", (256, 3, 5), (True, False, True)), field=Field(B=0.4)),
    "triangular": System(Lattice("triangular", (128, 6), (True, True)), Couplings(J=(-1.0,))),
    "honeycomb": System(Lattice("honeycomb", (128, 3), (True, True))),
    "square, anisotropic": System(Lattice("square", (128, 6), (True, True)), Couplings(J=(1.3, -0.7)), Field(B=-0.2)),
}


def sampler_of(system: System, T: float, update: str, threads: int = 1, word: int = 0) -> PackedSiteSampler:
    sampler = choose(system, T, 1, update, kernel="packed_sites").sampler(system, 0, (), T, 1, threads)
    assert isinstance(sampler, PackedSiteSampler)
    sampler.start(3, "sites", T, word, "random")
    return sampler


def unfolded(sampler: PackedSiteSampler, system: System) -> np.ndarray:
    """Spins (n,): bit b of the word of layer r holds layer r + b * (layers / 64)."""
    bits = unpack(sampler.get_spins()).astype(np.int64)  # (words, 64)
    return 2 * bits.T.reshape(system.n_sites) - 1


@pytest.mark.parametrize("update", ["metropolis", "heat_bath"])
@pytest.mark.parametrize("name", SYSTEMS)
def test_energies_are_those_of_the_unfolded_lattice(name: str, update: str) -> None:
    system = SYSTEMS[name]
    sampler = sampler_of(system, 2.0, update)
    for _ in range(3):
        series = sampler.record(1, 2)
        spins = unfolded(sampler, system)
        assert series["energy"][0, 0] == pytest.approx(realize(system, 0).energy(spins), rel=1e-12)
        assert series["magnetization"][0, 0] == spins.sum()


def test_a_neighbour_that_is_not_turned_is_noticed() -> None:
    system = SYSTEMS["cubic"]
    sampler = sampler_of(system, 2.0, "heat_bath")
    *before, turns, firsts, codes, planes = sampler.tables.patterns
    assert turns.any()
    sampler.tables.patterns = (*before, np.zeros_like(turns), firsts, codes, planes)
    try:
        energy = sampler.record(1, 1)["energy"][0, 0]
    finally:
        sampler.tables.patterns = (*before, turns, firsts, codes, planes)  # the tables are shared
    assert energy != realize(system, 0).energy(unfolded(sampler, system))


def strip_deviations(J: tuple[float, float], beta_error: float = 1.0) -> list[float]:
    """Energies of 128 x 6 squares against Kaufman's, 24 replicas each."""
    system = System(Lattice("square", (128, 6), (True, True)), Couplings(J=J))
    found = []
    for T in (2.5, 3.0, 4.5):  # where the strip forgets its start soon
        energies = []
        for word in range(24):
            sampler = sampler_of(system, T / beta_error, "heat_bath", word=word)
            sampler.sweep(300)
            energies.append(sampler.record(1500, 1)["energy"][0].astype(float) / system.n_sites)
        truth = exact.kaufman(T, (128, 6), J)
        found.append(deviation(statistics.mean(np.array(energies)), float(truth.energy)))
    return found


def test_energy_of_anisotropic_strips() -> None:
    """False-alarm rate 1e-4; a beta that is 3 % wrong is noticed."""
    for J in ((1.3, 0.7), (0.6, 1.4)):
        found = strip_deviations(J)
        assert sum_of_squares(found).p_value > 1e-4, np.round(found, 2)
    assert sum_of_squares(strip_deviations((1.3, 0.7), 1.03)).p_value < CERTAIN


def test_energy_of_a_long_bar() -> None:
    """128 x 2 x 2 sites, cubic, against the transfer matrix; false-alarm rate 1e-4."""
    system = System(Lattice("cubic", (128, 2, 2), (True,) * 3))
    layer = Lattice("square", (2, 2), (True, True)).graph().bonds
    found = []
    for T in (3.0, 4.0, 6.0):
        truth = exact.transfer_matrix(T, 128, 4, layer, [(i, i) for i in range(4)])
        energies = []
        for word in range(24):
            sampler = sampler_of(system, T, "heat_bath", word=word)
            sampler.sweep(300)
            energies.append(sampler.record(2000, 1)["energy"][0] / system.n_sites)
        found.append(deviation(statistics.mean(np.array(energies)), float(truth.energy)))
    assert sum_of_squares(found).p_value > 1e-4, np.round(found, 2)


@pytest.mark.parametrize("update", ["metropolis", "heat_bath"])
def test_threads_change_no_bit(update: str) -> None:
    system = System(Lattice("cubic", (128, 64, 256), (True,) * 3))
    results = []
    for threads in (1, 2):
        sampler = sampler_of(system, 4.5, update, threads)
        assert len(sampler.scratches) > 1
        series = sampler.record(3, 2)
        state = sampler.state()
        results.append([series["energy"], series["magnetization"], state.spins, state.random])
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_cannot_be_packed_by_sites() -> None:
    for system, reason in (
        (System(Lattice("cubic", (64, 8, 8), (True,) * 3)), "multiple of 128"),
        (System(Lattice("cubic", (128, 8, 8), (False, True, True))), "periodic"),
        (System(Lattice("square", (128, 8), (True, True)), Couplings("pm_j"), sample=0), "the same everywhere"),
        (System(Lattice("square", (128, 8), (True, True)), field=Field("gaussian", 1.0), sample=0), "site to site"),
    ):
        with pytest.raises(ValueError, match=reason):
            choose(system, 2.0, 1, kernel="packed_sites")
        with pytest.raises(ValueError, match="'sites' cannot do"):
            choose(system, 2.0, 1, packing="sites")
