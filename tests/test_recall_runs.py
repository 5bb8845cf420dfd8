"""Runs of recalls through the driver: files, resuming, tables, pictures, and what is refused."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers import assert_refused, assert_same, cli, complete, datasets, finish, launch, sampling, toml, write

from ising_mc.hopfield import draw_patterns, learn
from ising_mc.recallfile import read_recalls
from ising_mc.recallresults import QUANTITIES
from ising_mc.spec import load, parse

SAVED = 85
BASE = {
    "run": {"seed": "3"},
    "model": {"kind": '"hopfield"'},
    "network": {"units": "[60]", "load": "[0.05, 0.15]", "samples": "2"},
    "cue": {"flip": "0.2"},
    "grid": {"replicas": "70"},
    "schedule": {"max_sweeps": "30"},
}
WARM = {"grid__temperatures": "[0.0, 0.4]", "schedule__max_sweeps": None, "schedule__thermalization": "20",
        "schedule__sweeps": "40"}  # fmt: skip


def text(**changes: str | None) -> str:
    return toml(BASE, **changes)


def letters(folder: Path) -> np.ndarray:
    """Three pictures of 5 x 4."""
    drawn = ["####.#...##..#.....#", "#####...#...#...####", "#..##..#.##..##.#..#"]
    values = np.array([[1 if c == "#" else -1 for c in own] for own in drawn], np.int8)
    np.save(folder / "letters.npy", values.reshape(3, 5, 4))
    return values


# --- the file -----------------------------------------------------------------------------------------------------


def test_the_result_file_tells_all_of_recalls(tmp_path: Path) -> None:
    out = complete(tmp_path, text(**WARM, measure__all_overlaps="true"))
    spec = load(tmp_path / "run.toml")
    with h5py.File(out) as file:
        assert file.attrs["kind"] == "hopfield"
        assert list(file["systems"]) == ["N60_P3_s000", "N60_P3_s001", "N60_P9_s000", "N60_P9_s001"]
        for network in spec.systems:
            group = file[f"systems/{network.label}"]
            patterns = draw_patterns(network, 3)
            recalls = group["recalls"]
            final, cue = recalls["final"][()].astype(int), recalls["cue"][()].astype(int)
            m = np.einsum("tri,ri->tr", final, patterns[recalls["cued"][0]].astype(int))
            np.testing.assert_array_equal(m, group["timeseries/overlap"][:, :, -1])
            all_m = group["timeseries/all_overlaps"][()]
            np.testing.assert_array_equal(all_m[:, :, -1], final @ patterns.T.astype(int))
            J = learn(network.learnt, "fields", 3).net[0] / 60
            for name, states in (("cue_energy", cue), ("energy", final)):
                found = recalls[name][()] if name == "cue_energy" else group["timeseries/energy"][:, :, -1]
                np.testing.assert_allclose(found, -0.5 * np.einsum("tri,ij,trj->tr", states, J, states), atol=1e-9)
            assert group["results/overlap"][0] == pytest.approx(m[0].mean() / 60)
            fixed = np.array([how == b"fixed_point" for how in recalls["ended"][0]])
            assert group["results/fixed_point_fraction"][0] == fixed.mean()
            assert group["results/sweeps_to_fixed_point"][0] == pytest.approx((recalls["sweeps"][0][fixed] - 1).mean())
            assert np.isnan(group["results/specific_heat"][0])
            assert group["results/specific_heat"][1] > 0
            assert group["timeseries/overlap"].dims[1][0].name.endswith("/replica")
        for family in ("N60_P3", "N60_P9"):
            average = file[f"disorder/{family}/results"]
            for name in QUANTITIES:
                values = [file[f"systems/{family}_s{k:03d}/results/{name}"][()] for k in range(2)]
                np.testing.assert_allclose(average[name][()], np.mean(values, axis=0))
                assert set(average[name].attrs) >= {"units", "long_name", "definition"}


def test_errors_over_recalls_cover_the_mean() -> None:
    """Of shares of 64 recalls: 68.27 % of 2000, within 4.4 standard errors (1e-5) and the 6 % that a discrete number is
    off by at one value of the share.
    """
    from ising_mc.statistics import share

    rng = np.random.default_rng(1)
    for p in (0.1, 0.5):
        shares = [share(int(hits), 64) for hits in rng.binomial(64, p, 2000)]
        inside = np.mean([abs(value - p) <= error for value, error in shares])
        assert (
            abs(inside - 0.6827) < 4.4 * (0.6827 * 0.3173 / 2000) ** 0.5 + 0.06
        )  # a discrete number is off by so much


@pytest.mark.parametrize("change", [{}, WARM, {"network__update": '"synchronous"'}, {"network__rule": '"clipped"'}])
def test_cuts_and_threads_change_nothing(change: dict[str, str | None], tmp_path: Path) -> None:
    own = text(**change, schedule__checkpoint_seconds="0.01")
    reference = datasets(complete(tmp_path, own, "whole", threads=1))
    path, out = write(tmp_path, own, "cut.toml"), tmp_path / "cut.h5"
    codes = [
        cli("run", path, "-o", out, "--time-limit", limit, "--quiet").exit_code for limit in (0, 0.005, 0.01, 0.02)
    ]
    assert SAVED in codes
    assert cli("run", path, "-o", out, "--quiet").exit_code == 0
    assert_same(out, reference)
    assert cli("run", path, "-o", out, "--quiet").exit_code == 0  # nothing is left to do
    assert cli("status", path, "-o", out).exit_code == 0


def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    own = text(network__units="[600]", network__samples="3", grid__replicas="128", grid__temperatures="[0.3, 0.5]",
               schedule__max_sweeps=None, schedule__sweeps="1500", schedule__checkpoint_seconds="0.05")  # fmt: skip
    reference = datasets(complete(tmp_path, own, "whole"))
    path, out = write(tmp_path, own), tmp_path / "killed.h5"
    for _ in range(3):
        process = launch("run", path, "-o", out, "--threads", 2)
        sampling(process)
        process.kill()
        finish(process)
    assert finish(launch("run", path, "-o", out))[0] == 0
    assert_same(out, reference)


def test_a_changed_run_file_is_refused(tmp_path: Path) -> None:
    complete(tmp_path, text())
    assert_refused(
        cli("run", write(tmp_path, text(cue__flip="0.3")), "-o", tmp_path / "run.h5"),
        "cue.shares was",
        "choose another -o",
    )


# --- screen and pictures ------------------------------------------------------------------------------------------


def test_tables(tmp_path: Path) -> None:
    path = write(tmp_path, text(**WARM))
    out = tmp_path / "run.h5"
    plan = cli("plan", path, "-o", out)
    assert plan.exit_code == 0
    assert "local fields" in plan.stdout
    shown = cli("run", path, "-o", out)
    assert shown.exit_code == 0, shown.output
    assert "N60_P9: 60 units, 9 patterns (alpha = 0.15), rule hebb, random updates, flip 0.2" in shown.stdout
    rows = json.loads(cli("results", out, "--json").stdout)
    assert set(rows) == {"N60_P3", "N60_P9", *(f"N60_P{p}_s{k:03d}" for p in (3, 9) for k in range(2))}
    assert rows["N60_P3"]["overlap"][0] > 0.9
    assert cli("results", out, "--csv").stdout.count("\n") == 13
    one_by_one = cli("recall", path, "-o", out)
    assert "pattern 2" in one_by_one.stdout
    assert "and 30 more" in one_by_one.stdout


def test_recalls_that_do_not_end_are_told_of(tmp_path: Path) -> None:
    shown = cli("run", write(tmp_path, text(schedule__max_sweeps="1", cue__flip="0.4")), "-o", tmp_path / "run.h5")
    assert "recalls were still changing in the end: raise schedule.max_sweeps" in shown.stdout


@pytest.mark.parametrize(
    ("change", "panels"),
    [
        ({}, ["load", "descent"]), (WARM, ["load", "temperature", "phases", "descent"]),
        ({"cue__flip": "[0.0, 0.2, 0.4]"}, ["load", "basins", "descent"]),
    ],
)  # fmt: skip
def test_pictures(change: dict[str, str | None], panels: list[str], tmp_path: Path) -> None:
    out = complete(tmp_path, text(**change))
    assert cli("plot", out, "-o", tmp_path / "all.png").exit_code == 0
    assert (tmp_path / "all.png").stat().st_size > 10000
    refused = cli("plot", out, "pictures", "-o", tmp_path / "none.png")
    assert_refused(refused, "nothing to draw for 'pictures'", f"it has {', '.join(panels)}")


def test_letters_are_recalled_from_their_upper_halves(tmp_path: Path) -> None:
    values = letters(tmp_path)
    own = text(network__units=None, network__load=None, network__samples=None, network__patterns='"letters.npy"',
               network__rule='"pseudo_inverse"', cue__flip=None, cue__hidden="[12, 20]", cue__clamp='"kept"',
               grid__replicas="6")  # fmt: skip
    out = complete(tmp_path, own)
    (system,) = read_recalls(out)
    np.testing.assert_array_equal(system["patterns"], values)
    np.testing.assert_array_equal(system["recalls"]["final"][0], values[[0, 1, 2, 0, 1, 2]])
    assert np.any(system["recalls"]["cue"][0, :, 12:] != values[[0, 1, 2, 0, 1, 2], 12:])
    assert cli("plot", out, "-o", tmp_path / "letters.png").exit_code == 0


def test_cues_of_the_user(tmp_path: Path) -> None:
    values = letters(tmp_path)
    cues = values[[2, 0]].copy()
    cues[:, 10:] = 0
    cues[1] *= -1
    (tmp_path / "cues.txt").write_text("\n".join(" ".join(map(str, own)) for own in cues))
    own = text(network__units=None, network__load=None, network__samples=None, network__patterns='"letters.npy"',
               network__rule='"pseudo_inverse"', cue__flip=None, cue__file='"cues.txt"', cue__clamp='"kept"',
               grid__replicas=None)  # fmt: skip
    shown = cli("recall", write(tmp_path, own), "-o", tmp_path / "run.h5")
    assert shown.exit_code == 0, shown.output
    assert "pattern 2" in shown.stdout
    assert "mirror of pattern 0" in shown.stdout


def test_recall_is_for_networks(tmp_path: Path) -> None:
    assert_refused(cli("recall", write(tmp_path, toml())), "recall needs model.kind = 'hopfield'")


def test_the_template_runs(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(cli("init", "hopfield").stdout)
    spec = load(tmp_path / "own.toml")
    assert [network.label for network in spec.systems[::4]] == ["N1024_P51_s000", "N1024_P102_s000"]


# --- bad input ----------------------------------------------------------------------------------------------------

REFUSED = {
    "units missing": ({"network__units": None}, "network.units is missing"),
    "one unit": ({"network__units": "1"}, "network.units must be a whole number from 2"),
    "units twice": ({"network__units": "[60, 60]"}, "network.units names 60 twice"),
    "no load": ({"network__load": None}, "give either load"),
    "load and patterns": ({"network__patterns": "3"}, "give either load"),
    "load of nothing": ({"network__load": "0.001"}, "gives 0 patterns of 60 units"),
    "negative load": ({"network__load": "-0.1"}, "network.load = -0.1"),
    "loads alike": ({"network__load": "[0.05, 0.051]"}, "network.load names [60, 3] twice"),
    "unknown rule": ({"network__rule": '"heb"'}, "did you mean 'hebb'?"),
    "unknown key": ({"network__unit": "3"}, "did you mean 'units'?"),
    "a lattice": ({"lattice__size": "[4]"}, "unknown table: 'lattice'"),
    "unknown update": ({"network__update": '"async"'}, "allowed: random, sequential, synchronous"),
    "bias of one": ({"network__bias": "1.0"}, "must lie between -1 and 1"),
    "couplings with hebb": ({"network__couplings": '"J.npy"'}, "no meaning with network.rule = 'hebb'"),
    "rule of a file without one": ({"network__rule": '"file"'}, "network.couplings is missing"),
    "threshold of pictures": ({"network__threshold": "0.2"}, "network.threshold is for pictures"),
    "hidden and clamped": ({"cue__hidden": "[0, 9]", "cue__clamp": "[3]"}, "unit 3 is both hidden and clamped"),
    "thresholds too large": ({"network__thresholds": "1e8"}, "thresholds of up to 1e+08 are too large"),
    "far too many overlaps": (
        {"measure__all_overlaps": "true", "grid__replicas": "1000000", "schedule__max_sweeps": "10000"},
        "would record 2.4e+11 numbers",
    ),
    "flip of two": ({"cue__flip": "2.0"}, "must be from 0 to 1"),
    "flip and blank": ({"cue__flip": "0.6", "cue__blank": "0.6"}, "change more units than the 60 of 60"),
    "hidden too far": ({"cue__hidden": "[50, 61]"}, "a range of the 60 units"),
    "hidden backwards": ({"cue__hidden": "[9, 3]"}, "a range of the 60 units"),
    "clamp out of range": ({"cue__clamp": "[0, 60]"}, "names unit 60, but there are units 0 to 59"),
    "clamp twice": ({"cue__clamp": "[3, 3]"}, "cue.clamp names 3 twice"),
    "unknown clamp": ({"cue__clamp": '"all"'}, "allowed: none, kept"),
    "no such cues": ({"cue__flip": None, "cue__file": '"no.npy"'}, "cannot read"),
    "cues and flips": ({"cue__file": '"no.npy"'}, "cue.flip has no meaning beside cue.file"),
    "negative temperature": ({"grid__temperatures": "[-1.0]"}, "must be 0, or a positive number"),
    "sweeps at T = 0": ({"schedule__sweeps": "5"}, "give schedule.max_sweeps"),
    "max_sweeps at T > 0": ({"grid__temperatures": "[0.5]"}, "schedule.max_sweeps is for T = 0 alone"),
    "odd record": ({"schedule__measure_every": "7"}, "schedule.max_sweeps = 30 must be a multiple"),
    "descent at once": (
        {"schedule__assert_descent": "true", "network__update": '"synchronous"'}, "is for asynchronous updates",
    ),
    "retrieved by two": ({"measure__retrieved": "2.0"}, "must be at most 1"),
    "signs with hebb": ({"algorithm__kernel": '"signs"'}, "couplings of one bit are those of the clipped rule"),
    "patterns with storkey": (
        {"algorithm__kernel": '"patterns"', "network__rule": '"storkey"'}, "sums over patterns are Hebb's rule",
    ),
    "too many for the rule": ({"network__rule": '"pseudo_inverse"', "network__load": "1.5"}, "linearly independent"),
    "too large": ({"network__units": "[1000000]", "network__rule": '"storkey"'}, "needs no matrix of couplings"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_done_is_refused(case: str, tmp_path: Path) -> None:
    change, sentence = REFUSED[case]
    assert_refused(cli("run", write(tmp_path, text(**change)), "-o", tmp_path / "out.h5"), sentence)


def test_asymmetric_couplings_must_be_asked_for(tmp_path: Path) -> None:
    J = np.random.default_rng(1).normal(size=(20, 20)) * ~np.eye(20, dtype=bool)
    np.save(tmp_path / "J.npy", J)
    own = {"network__rule": '"file"', "network__couplings": '"J.npy"', "network__units": None, "network__load": "0.1"}
    refused = cli("run", write(tmp_path, text(**own)), "-o", tmp_path / "out.h5")
    assert_refused(refused, "network.asymmetric = true")
    done = cli("run", write(tmp_path, text(**own, network__asymmetric="true")), "-o", tmp_path / "out.h5")
    assert done.exit_code == 0, done.output
    (label, *_) = [network.label for network in load(tmp_path / "run.toml").systems]
    assert label == "N20_P2_s000"


def test_synchronous_updates_at_a_temperature_are_warned_of(tmp_path: Path) -> None:
    shown = cli("run", write(tmp_path, text(**WARM, network__update='"synchronous"')), "-o", tmp_path / "out.h5")
    assert "samples the distribution of Little's model" in shown.output


def test_thresholds_from_a_file(tmp_path: Path) -> None:
    np.save(tmp_path / "theta.npy", np.full(60, 1e6))
    own = text(network__thresholds='"theta.npy"', cue__flip="0.5")
    (system, *_) = read_recalls(complete(tmp_path, own))
    assert np.all(system["recalls"]["final"] == 1)
    assert parse(text(network__thresholds="0.5")).systems[0].thresholds == 0.5
