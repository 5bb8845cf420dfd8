"""Simulated annealing: the schedule, its ground states, what the files hold, resuming, time to target, bad input."""

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers import (
    assert_refused,
    assert_same,
    cli,
    complete,
    datasets,
    finish,
    ground_energy,
    launch,
    sampling,
    toml,
    write,
)

from ising_mc import exact
from ising_mc.algorithms import Choice
from ising_mc.annealfile import best_file, histogram, read_annealing
from ising_mc.annealing import AnnealSampler, Schedule, time_to_target
from ising_mc.ising import Couplings, Field, System, realize
from ising_mc.lattices import Lattice
from ising_mc.run import units_of
from ising_mc.spec import load, parse
from ising_mc.statistics import share_interval
from ising_mc.words import LANES, bit_masks, uniform_masks, unpack

SAVED = 85
BASE = {
    "run": {"seed": "7"},
    "lattice": {"size": "[6]"},
    "couplings": {"kind": '"pm_j"'},
    "anneal": {"from": "3.0", "to": "0.2", "sweeps": "100", "reads": "70"},
}
SQUARE = Lattice("square", (6, 6), (True, True))


def text(**changes: str | None) -> str:
    return toml(BASE, **changes)


# --- the schedule -------------------------------------------------------------------------------------------------


def test_temperatures_of_the_schedules() -> None:
    np.testing.assert_allclose(Schedule("linear", 4, 1, (), 4).temperatures(), [4, 3, 2, 1])
    np.testing.assert_allclose(Schedule("geometric", 8, 1, (), 4).temperatures(), [8, 4, 2, 1])
    np.testing.assert_allclose(Schedule("list", 0, 0, (3, 1), 6).temperatures(), [3, 3, 3, 1, 1, 1])


def test_thresholds_of_all_lanes_at_once() -> None:
    p = np.random.default_rng(1).random((3, 4))
    masks = uniform_masks(p)
    for i in range(3):
        for j in range(4):
            np.testing.assert_array_equal(masks[i, j], bit_masks(p[i, j]))


@pytest.mark.parametrize("update", ["metropolis", "heat_bath"])
@pytest.mark.parametrize(
    ("kernel", "system"),
    [
        ("packed", System(SQUARE, Couplings("pm_j"), Field(B=0.3), sample=0)),
        ("packed", System(SQUARE, Couplings(J=(1.0, -0.5)))),
        ("sparse", System(SQUARE, Couplings("gaussian"), Field("gaussian", 0.4), sample=0)),
        ("dense", System(Lattice("complete", (20,)), Couplings("gaussian"), sample=0)),
    ],
)
def test_sweep_k_is_done_at_temperature_k(kernel: str, system: System, update: str) -> None:
    """Bit for bit what samplers of these temperatures do one after the other; a wrong order of them does not."""
    cooling = np.geomspace(4, 0.3, 70)

    def inner(T: float):  # type: ignore[no-untyped-def]
        return Choice(update, kernel, "").sampler(system, 3, (), T, LANES, 1)

    annealed = AnnealSampler(inner(0.3), cooling)
    annealed.start(3, "x", 0.0, 0, "random")
    state = annealed.inner.state()
    annealed.sweep(70)
    other = AnnealSampler(inner(0.3), cooling[::-1])
    other.start(3, "x", 0.0, 0, "random")
    other.sweep(70)
    assert not np.array_equal(annealed.state().spins, other.state().spins)
    for T in cooling:
        plain = inner(float(T))
        plain.restore(state)
        plain.sweep(1)
        state = plain.state()
    np.testing.assert_array_equal(annealed.inner.state().spins, state.spins)
    np.testing.assert_array_equal(annealed.inner.state().random, state.random)


def test_slices_and_restarts_change_nothing() -> None:
    spec = parse(text(anneal__sweeps="150"))
    unit = units_of(spec)[0]
    whole, cut = unit.sampler(7, 1), unit.sampler(7, 1)
    for sampler in (whole, cut):
        sampler.start(7, unit.system.label, 0.0, 0, "random")
    whole.sweep(150)
    for count in (1, 63, 64, 22):
        again = unit.sampler(7, 1)
        again.restore(cut.state())
        again.sweep(count)
        cut = again
    np.testing.assert_array_equal(whole.state().spins, cut.state().spins)
    np.testing.assert_array_equal(whole.state().random, cut.state().random)


# --- ground states ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["pm_j", "gaussian"])
def test_ground_states_of_small_glasses_are_found(kind: str) -> None:
    spec = parse(text())
    for sample in range(4):
        system = System(Lattice("square", (5, 5), (True, True)), Couplings(kind), sample=sample)
        assert lowest(spec, system) == pytest.approx(ground_energy(realize(system, 7), 5, 5), abs=1e-6)


def test_ground_states_of_the_sherrington_kirkpatrick_model_are_found() -> None:
    spec = parse(text())
    for sample in range(3):
        system = System(Lattice("complete", (20,)), Couplings("gaussian"), sample=sample)
        drawn = realize(system, 7)
        ground = exact.enumerate_states(20, drawn.graph.bonds, drawn.J, drawn.h).energy.min()
        assert lowest(spec, system) == pytest.approx(ground, abs=1e-6)


def lowest(spec, system: System) -> float:  # type: ignore[no-untyped-def]
    (unit,) = units_of(replace(spec, systems=(system,), replicas=64))
    sampler = unit.sampler(7, 1)
    sampler.start(7, system.label, 0.0, 0, "random")
    sampler.sweep(spec.thermalization)
    spins = 2.0 * unpack(sampler.state().spins).T - 1
    return float(realize(system, 7).energy(spins).min())


# --- files --------------------------------------------------------------------------------------------------------


def test_what_the_files_hold(tmp_path: Path) -> None:
    out = complete(tmp_path, text(lattice__size="[6, [4, 8]]", couplings__disorder_samples="2"))
    spec = load(tmp_path / "run.toml")
    lines = [line.split() for line in best_file(out).read_text().splitlines()[1:]]
    assert [line[0] for line in lines] == [system.label for system in spec.systems]
    with h5py.File(out) as file:
        assert (file.attrs["kind"], file.attrs["seed"]) == ("anneal", 7)
        for system, line in zip(spec.systems, lines, strict=True):
            group = file[f"systems/{system.label}"]
            drawn, spins, energy = realize(system, 7), group["spins"][()], group["energy"][()]
            assert spins.shape == (70, system.n_sites)
            assert set(np.unique(spins)) == {-1, 1}
            np.testing.assert_array_equal(energy, drawn.energy(spins.astype(float)))
            assert group.attrs["best_energy"] == energy.min() == float(line[1])
            best = np.array(line[2:], int)
            np.testing.assert_array_equal(best, group["best_spins"][()])
            assert drawn.energy(best.astype(float)) == energy.min()
            levels, counts = group["level"][()], group["histogram"][()]
            assert counts.sum() == 70
            assert dict(zip(levels, counts, strict=True))[energy.min()] == np.count_nonzero(energy == energy.min())
            np.testing.assert_allclose(group["temperature"][()], np.geomspace(3.0, 0.2, 100))
            success = time_to_target(int(np.count_nonzero(energy == energy.min())), 70, 100)
            assert group["success_probability"][()] == success.probability
            assert group["time_to_target"][()] == success.time
            assert np.isnan(group["time_to_target_error"][()])  # the best of its own reads is no target
            assert len(np.unique(spins, axis=0)) > 5  # reads are independent


def test_it_opens_in_xarray(tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    out = complete(tmp_path, text())
    with xarray.open_datatree(out, engine="h5netcdf") as tree:
        node = tree["systems/L6_d000"]
        assert node["energy"].dims == ("read",)
        assert node["spins"].dims == ("read", "site")


def test_threads_and_time_limits_change_nothing(tmp_path: Path) -> None:
    content = text(
        lattice__size="[24]", couplings__disorder_samples="2", anneal__sweeps="400", schedule__checkpoint_seconds="0.05"
    )
    one = complete(tmp_path, content, "one", threads=1)
    reference = datasets(one)
    assert_same(complete(tmp_path, content, "two", threads=2), reference)
    path, out = write(tmp_path, content, "cut.toml"), tmp_path / "cut.h5"
    codes = [cli("run", path, "-o", out, "--time-limit", limit, "--quiet").exit_code for limit in (0, 0, 0.02)]
    assert SAVED in codes
    assert cli("run", path, "-o", out, "--quiet").exit_code == 0
    assert_same(out, reference)
    assert best_file(out).read_text() == best_file(one).read_text()
    assert cli("run", path, "-o", out, "--quiet").exit_code == 0  # nothing is left to do
    more = write(tmp_path, content.replace("sweeps = 400", "sweeps = 500"), "more.toml")
    assert_refused(cli("run", more, "-o", out), "anneal.sweeps was 400, is 500")


def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    content = text(lattice__size="[32]", anneal__sweeps="20000", schedule__checkpoint_seconds="0.05")
    reference = datasets(complete(tmp_path, content, "whole"))
    path, out = write(tmp_path, content, "killed.toml"), tmp_path / "killed.h5"
    process = launch("run", path, "-o", out)
    sampling(process)
    process.kill()
    finish(process)
    assert cli("run", path, "-o", out, "--quiet").exit_code == 0
    assert_same(out, reference)


def test_screens(tmp_path: Path) -> None:
    path, out = write(tmp_path, text(lattice__size="[6, 8]")), tmp_path / "out.h5"
    result = cli("run", path, "-o", out)
    assert "70 reads of 100 sweeps, from T = 3 to 0.2" in result.stderr
    assert "lowest E" in result.stdout
    assert "L8_d000" in result.stdout
    rows = cli("results", out, "--csv").stdout.splitlines()
    assert rows[0] == "system,read,energy"
    assert len(rows) == 1 + 2 * 70
    assert '"best_energy"' in cli("results", out, "--json").stdout
    assert cli("status", path, "-o", out).exit_code == 0
    assert "of sampling" in cli("plan", path, "-o", out).stdout
    assert cli("plot", out, "-o", tmp_path / "energies.png").exit_code == 0
    assert (tmp_path / "energies.png").stat().st_size > 5000


def test_a_target_that_nothing_meets_is_told_of(tmp_path: Path) -> None:
    result = cli("run", write(tmp_path, text(anneal__target="-1000.0")), "-o", tmp_path / "out.h5")
    assert "no read met the target -1000" in result.stdout
    (own,) = read_annealing(tmp_path / "out.h5")
    assert np.isnan(own["time_to_target"])
    with h5py.File(tmp_path / "out.h5") as file:
        group = next(iter(file["systems"].values()))
        assert 100 < group["time_to_target_low"][()] < 1e5
        assert np.isnan(group["time_to_target_high"][()])


# --- maximum cut --------------------------------------------------------------------------------------------------

GSET = "5 6\n1 2 1\n2 3 1\n3 4 1\n4 5 1\n1 5 1\n1 3 -2\n"


def test_the_cut_is_that_of_the_graph(tmp_path: Path) -> None:
    (tmp_path / "g.txt").write_text(GSET)
    content = toml(
        BASE, lattice__size=None, lattice__kind='"file"', lattice__path='"g.txt"', lattice__one_based="true",
        couplings__kind='"maxcut"',
    )  # fmt: skip
    out = complete(tmp_path, content)
    edges = [line.split() for line in GSET.splitlines()[1:]]
    with h5py.File(out) as file:
        group = file["systems/g"]
        spins, cuts = group["spins"][()], group["cut"][()]
        for state, cut in zip(spins, cuts, strict=True):
            assert cut == sum(int(w) for i, j, w in edges if state[int(i) - 1] != state[int(j) - 1])
        best = max(
            sum(int(w) for i, j, w in edges if (k >> int(i) - 1 & 1) != (k >> int(j) - 1 & 1)) for k in range(32)
        )
        assert cuts.max() == best
    assert "largest cut" in cli("results", out).stdout
    (tmp_path / "g.txt").write_text("\n".join(" ".join(line.split()[:2]) for line in GSET.splitlines()))
    (system,) = load(tmp_path / "run.toml").systems
    assert set(realize(system, 1).J) == {-1.0}


# --- time to target -----------------------------------------------------------------------------------------------


def test_time_to_target() -> None:
    found = time_to_target(25, 100, 1000)
    assert found.probability == 0.25
    assert found.time == pytest.approx(1000 * np.log(0.01) / np.log(0.75))
    assert found.probability_error == pytest.approx(np.sqrt(0.25 * 0.75 / 100), rel=0.03)
    assert found.time_error == pytest.approx(found.time * 0.0433 / (0.75 * -np.log(0.75)), rel=0.1)  # linear in p
    assert (time_to_target(100, 100, 1000).time, time_to_target(0, 100, 1000).probability) == (1000, 0)
    assert np.isnan(time_to_target(0, 100, 1000).time)


def test_errors_of_the_time_to_target_cover_it() -> None:
    """The intervals of 30 and 200 reads hold the truth in 68.27 % of all cases, on average over p; false alarm 1e-5.

    At one p a discrete number cannot: the average over p drawn from Jeffreys' prior is what this interval has exactly.
    """
    rng, number = np.random.default_rng(2), 8000
    for reads in (30, 200):
        p = rng.beta(0.5, 0.5, number)
        inside = 0
        for own, met in zip(p, rng.binomial(reads, p), strict=True):
            low, high = share_interval(int(met), reads)
            inside += low <= own <= high
            if met > 0 and high < 0.99:
                run = time_to_target(int(met), reads, 1000)
                times = 1000 * np.log(0.01) / np.log1p(-np.array([high, low]))
                assert (run.time_low, run.time_high) == pytest.approx(tuple(times))
        assert abs(inside / number - 0.6827) < 4.4 * np.sqrt(0.6827 * 0.3173 / number)


def test_histograms() -> None:
    levels, counts = histogram(np.array([-4.0, -4.0, 0.0]))
    assert (levels.tolist(), counts.tolist()) == ([-4.0, 0.0], [2, 1])
    levels, counts = histogram(np.random.default_rng(1).normal(size=1000))
    assert (len(levels), counts.sum()) == (50, 1000)


# --- bad input ----------------------------------------------------------------------------------------------------

REFUSED = {
    "heating": ({"anneal__from": "0.1"}, "anneal.from = 0.1", "colder", "exchange"),
    "heating list": (
        {"anneal__schedule": '"list"', "anneal__from": None, "anneal__to": None, "anneal__temperatures": "[1.0, 2.0]"},
        "anneal.temperatures",
        "heats",
    ),
    "no start": ({"anneal__from": None}, "anneal.from is missing"),
    "no list": (
        {"anneal__schedule": '"list"', "anneal__from": None, "anneal__to": None},
        "anneal.temperatures must be a list",
    ),
    "shares": (
        {
            "anneal__schedule": '"list"',
            "anneal__from": None,
            "anneal__to": None,
            "anneal__temperatures": "[3.0, 2.0, 1.0]",
        },
        "anneal.sweeps = 100",
        "multiple of the 3",
    ),
    "list and ends": ({"anneal__schedule": '"list"', "anneal__temperatures": "[2.0]"}, "anneal.from", "no meaning"),
    "to zero": ({"anneal__to": "0.0"}, "anneal.to", "positive"),
    "one sweep": ({"anneal__sweeps": "1"}, "anneal.sweeps", "at least 2"),
    "no reads": ({"anneal__reads": "0"}, "anneal.reads", "at least 1"),
    "unknown schedule": ({"anneal__schedule": '"cosine"'}, "anneal.schedule", "geometric"),
    "a grid as well": ({"grid__temperatures": "[1.0]"}, "grid.temperatures", "annealing run"),
    "sweeps as well": ({"schedule__sweeps": "10"}, "schedule.sweeps", "annealing run"),
    "tempering as well": ({"tempering__every": "1"}, "tempering", "annealing run"),
    "observables": ({"measure__observables": '["overlap"]'}, "measure.observables", "annealing run"),
    "clusters": ({"algorithm__kind": '"wolff"'}, "algorithm.kind", "heat_bath"),
    "by sites": ({"algorithm__packing": '"sites"'}, "algorithm.packing", "annealing run"),
    "start": ({"algorithm__start": '"up"'}, "algorithm.start", "at random"),
    "target": ({"anneal__target": '"low"'}, "anneal.target", "number"),
    "cut of a lattice": ({"couplings__kind": '"maxcut"'}, "maxcut", "lattice.kind = 'file'"),
    "Metropolis in one dimension": (
        {"lattice__kind": '"chain"', "algorithm__kind": '"metropolis"'},
        "algorithm.kind",
        "one dimension",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_annealed_is_refused(case: str, tmp_path: Path) -> None:
    changes, *names = REFUSED[case]
    path = write(tmp_path, text(**changes))
    for command in ("run", "plan"):
        assert_refused(cli(command, path, "-o", tmp_path / "out.h5"), *names)


def test_a_cut_in_a_field_is_refused(tmp_path: Path) -> None:
    (tmp_path / "g.txt").write_text(GSET)
    content = toml(
        BASE, lattice__size=None, lattice__kind='"file"', lattice__path='"g.txt"', lattice__one_based="true",
        couplings__kind='"maxcut"', field__B="0.5",
    )  # fmt: skip
    assert_refused(cli("run", write(tmp_path, content), "-o", tmp_path / "out.h5"), "maxcut", "field")
