"""Cooling in one call of a kernel, what `auto` anneals with, and what a finished run says of itself."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers import assert_refused, cli, toml, write
from scipy import stats

from ising_mc.algorithms import choose_to_anneal
from ising_mc.annealfile import best_file, read_annealing
from ising_mc.ising import Couplings, Field, System, realize
from ising_mc.lattices import Lattice
from ising_mc.run import units_of
from ising_mc.spec import load, parse
from ising_mc.words import unpack

CONFIGS = Path(__file__).parents[1] / "configs"
BASE = {
    "run": {"seed": "7"},
    "lattice": {"size": "[6]"},
    "couplings": {"kind": '"pm_j"'},
    "anneal": {"from": "3.0", "to": "0.2", "sweeps": "100", "reads": "70"},
}


def text(**changes: str | None) -> str:
    return toml(BASE, **changes)


SHARED = {  # large enough for bands that threads share
    "packed": {"lattice__kind": '"cubic"', "lattice__size": "[32]"},
    "sparse": {"lattice__size": "[64]", "couplings__kind": '"gaussian"'},
}


@pytest.mark.parametrize("kernel", SHARED)
def test_threads_that_share_a_system_cool_it_alike(kernel: str) -> None:
    (unit,) = units_of(parse(text(**SHARED[kernel], anneal__reads="64")))
    assert unit.choice.kernel == kernel
    states = []
    for threads in (1, 2):
        sampler = unit.sampler(7, threads)
        assert len(sampler.inner.scratches) > 1  # type: ignore[attr-defined]
        sampler.start(7, unit.system.label, 0.0, 0, "random")
        sampler.sweep(10)
        states.append(sampler.state())
    np.testing.assert_array_equal(states[0].spins, states[1].spins)
    np.testing.assert_array_equal(states[0].random, states[1].random)


@pytest.mark.parametrize("case", [{}, {"couplings__kind": '"gaussian"'}, {"lattice__kind": '"complete"'}])
@pytest.mark.parametrize("update", ["metropolis", "heat_bath"])
def test_after_cooling_it_stays_at_the_last_temperature(case: dict[str, str], update: str) -> None:
    """Sweeps and measurements that follow are those of a sampler of that temperature; energies are those of spins."""
    (unit,) = units_of(parse(text(**case, algorithm__kind=f'"{update}"', anneal__reads="64")))
    sampler = unit.sampler(7, 1)
    sampler.start(7, unit.system.label, 0.0, 0, "random")
    sampler.sweep(100)
    inner = sampler.inner  # type: ignore[attr-defined]
    plain = unit.choice.sampler(unit.system, 7, (), 0.2, 64, 1)
    plain.restore(inner.state())
    sampler.sweep(3)
    plain.sweep(3)
    np.testing.assert_array_equal(inner.state().spins, plain.state().spins)
    energy = inner.record(1, 1)["energy"][:, 0]
    spins = 2.0 * unpack(inner.state().spins).T - 1
    np.testing.assert_allclose(energy, realize(unit.system, 7).energy(spins), atol=1e-5)


def mean_energies(update: str) -> np.ndarray:
    """Mean final energy of 64 reads of 100 sweeps, of 6 glasses."""
    means = []
    for sample in range(6):
        change = {"lattice__size": "[24]", "couplings__disorder_samples": "6", "anneal__reads": "64"}
        unit = units_of(parse(text(**change, algorithm__kind=f'"{update}"')))[sample]
        sampler = unit.sampler(7, 1)
        sampler.start(7, unit.system.label, 0.0, 0, "random")
        sampler.sweep(100)
        means.append(realize(unit.system, 7).energy(2.0 * unpack(sampler.state().spins).T - 1).mean())
    return np.array(means)


def test_auto_takes_what_ends_lower() -> None:
    """A paired t test, p below 1e-4: wrong in one of 10^4 seeds if there were no difference; here p is some 1e-6."""
    (unit, _) = units_of(parse(text()))
    assert unit.choice.update == "metropolis"
    assert "Metropolis, which ends lower" in unit.choice.reason
    assert not unit.choice.warning
    assert stats.ttest_rel(mean_energies("auto"), mean_energies("heat_bath"), alternative="less").pvalue < 1e-4
    assert mean_energies("auto").tolist() == mean_energies("metropolis").tolist()


@pytest.mark.parametrize(
    "system",
    [System(Lattice("chain", (20,), (True,))), System(Lattice("square", (6, 6), (True, True)), Couplings(J=(0.0,)))],
)
def test_auto_takes_the_heat_bath_where_metropolis_is_refused(system: System) -> None:
    choice = choose_to_anneal(system, 0.2, 64)
    assert choice.update == "heat_bath"
    assert choice.reason.endswith("heat bath, because Metropolis does not reach all states here")
    with pytest.raises(ValueError, match="heat_bath"):
        choose_to_anneal(system, 0.2, 64, "metropolis")


def test_a_field_may_be_annealed_by_either() -> None:
    system = System(Lattice("square", (6, 6), (True, True)), Couplings("pm_j"), Field(B=0.5), sample=0)
    assert choose_to_anneal(system, 0.2, 64).update == "metropolis"
    assert choose_to_anneal(system, 0.2, 64, "heat_bath").update == "heat_bath"


def test_status_of_a_finished_run(tmp_path: Path) -> None:
    path, out = write(tmp_path, text()), tmp_path / "run.h5"
    assert cli("run", path, "-o", out, "--quiet").exit_code == 0
    table = cli("status", path, "-o", out).stdout
    assert "done" in table
    assert "complete: " in table
    assert "waiting" not in table


def test_results_with_other_endings_keep_their_best_states_apart(tmp_path: Path) -> None:
    assert best_file(tmp_path / "a.h5").name == "a.best.txt"
    assert best_file(tmp_path / "run.v1") != best_file(tmp_path / "run.v2")


def test_a_picture_of_a_quantity_that_annealing_has_not(tmp_path: Path) -> None:
    path, out = write(tmp_path, text()), tmp_path / "run.h5"
    assert cli("run", path, "-o", out, "--quiet").exit_code == 0
    assert_refused(cli("plot", out, "energy_per_site"), "histogram")
    assert cli("plot", out).exit_code == 0


def test_more_sweeps_than_a_file_holds(tmp_path: Path) -> None:
    path = write(tmp_path, text(anneal__sweeps="1000000000000"))
    assert_refused(cli("run", path, "-o", tmp_path / "run.h5"), "anneal.sweeps", "at most")


def test_the_cut_of_the_graph_in_configs(tmp_path: Path) -> None:
    """The file holds what it says, and the cut of the best state, counted by hand, is the largest of all reads."""
    path, out = CONFIGS / "anneal_maxcut.toml", tmp_path / "run.h5"
    assert load(path).systems[0].n_sites == 150
    assert cli("run", path, "-o", out, "--quiet").exit_code == 0
    bonds = np.loadtxt(CONFIGS / "anneal_maxcut.txt", int, skiprows=3)
    assert set(np.bincount(bonds[:, :2].ravel())[1:]) == {3}
    label, energy, *spins = best_file(out).read_text().splitlines()[1].split()
    s = np.array([int(spin) for spin in spins])
    cut = bonds[s[bonds[:, 0] - 1] != s[bonds[:, 1] - 1], 2].sum()
    (found,) = read_annealing(out)
    assert label == "anneal_maxcut"
    assert cut == found["cut"].max() == (len(bonds) - float(energy)) / 2
    assert cut >= 204  # of 225
    with h5py.File(out) as file:
        assert file["systems/anneal_maxcut/spins"].chunks[0] == 256
