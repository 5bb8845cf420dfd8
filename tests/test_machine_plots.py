"""Tables and pictures of Boltzmann machines, of small real runs and, for warnings, of made-up curves."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import assert_refused, cli, complete, toml
from matplotlib import image

from ising_mc import machineplots, traintables
from ising_mc.boltzmannfile import read_energies, read_model
from ising_mc.results import read_results
from ising_mc.trainfile import TRAINING, evaluated, moment_differences, read_training_results

TRAIN = {
    "run": {"seed": "1"},
    "model": {"kind": '"boltzmann"'},
    "machine": {"hidden": "24"},
    "train": {"data": '"bars.npy"', "held_out": "0.2", "epochs": "30", "evaluate_every": "2", "batch": "10"},
}
SAMPLE = {
    "run": {"seed": "2"},
    "model": {"kind": '"boltzmann"'},
    "machine": {"weights": '"trained.h5"'},
    "grid": {"temperatures": "[1.0, 0.5, 2.0]", "replicas": "64"},
    "schedule": {"thermalization": "20", "sweeps": "50"},
}
ALL = ["likelihood", "monitors", "moments", "energies", "samples", "filters"]
QUANTITIES = ["specific_heat", "energy_per_unit", "activity_per_unit", "log_z"]
EXACT = {"machine__hidden": "4", "train__method": '"exact"'}


def bars(shape: tuple[int, int] = (5, 5), number: int = 60) -> Any:
    rng = np.random.default_rng(1)
    lines = [rng.random(shape[k % 2]) < 0.5 for k in range(number)]
    return np.stack([np.broadcast_to(own if k % 2 else own[:, None], shape) for k, own in enumerate(lines)])


def folder_with_data(folder: Path) -> Path:
    np.save(folder / "bars.npy", bars().astype(np.uint8))
    np.save(folder / "wide.npy", bars((2, 6)).astype(np.uint8))
    np.save(folder / "rows.npy", bars((3, 7)).reshape(-1, 21).astype(np.uint8))
    np.save(folder / "grey.npy", 0.2 + 0.6 * bars((4, 4)))
    np.save(folder / "noise.npy", np.random.default_rng(2).integers(0, 2, (40, 10)))
    halves = bars()[:3].reshape(3, 25).astype(int)
    halves[:, 10:] = -1
    np.save(folder / "halves.npy", halves)
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trained machine, samples of it, and samples with units clamped."""
    folder = folder_with_data(tmp_path_factory.mktemp("machines"))
    complete(folder, toml(TRAIN), "trained")
    complete(folder, toml(SAMPLE), "sampled")
    complete(folder, toml(SAMPLE, clamp__file='"halves.npy"'), "clamped")
    complete(folder, toml(SAMPLE, clamp__file='"halves.npy"', grid__temperatures="[1.0]"), "completed")
    return folder


def size(path: Path) -> tuple[int, int]:
    """Height and width; the picture must show something."""
    pixels = image.imread(path)
    assert pixels.std() > 0.05
    return pixels.shape[:2]


# --- training: tables ---------------------------------------------------------------------------------------------


def test_table_of_training(runs: Path) -> None:
    text = cli("results", runs / "trained.h5").stdout
    lines = text.splitlines()
    assert lines[0].startswith("V25H24: restricted machine of binary units, 600 couplings; pcd, 1 step")
    assert lines[0].endswith("48 examples, 12 held out")
    assert lines[1].split() == ["epoch", "LL", "[low,", "high]", "held-out", "LL", "[low,", "high]", "PL", "R", "|g|"]
    epochs = [int(line.split()[0]) for line in lines[2:] if line.split()[0].isdigit()]
    assert 10 <= len(epochs) <= traintables.MOST_ROWS
    assert epochs[0] == 2
    assert epochs[-1] == 30
    training = read_training_results(runs / "trained.h5")
    best = int(training["epoch"][np.nanargmax(training["held_out_log_likelihood"])])
    assert best in epochs
    shown = next(line.split() for line in lines if line.split()[0] == "30")
    assert float(shown[1]) == pytest.approx(training["log_likelihood"][-1], abs=0.05)
    assert "by annealed importance sampling" in text
    assert "no safe monitors" in text
    means, covariances = moment_differences(training)
    assert f"rms difference of means {means:.3g}, of covariances {covariances:.3g}" in text
    assert "from 1000 samples" in text


def test_table_of_exact_training(runs: Path) -> None:
    out = complete(runs, toml(TRAIN, **EXACT, train__held_out=None, train__epochs="3"), "exact")
    text = cli("results", out).stdout
    assert text.splitlines()[1].split() == ["epoch", "LL", "PL", "R", "|g|"]
    assert [line.split()[0] for line in text.splitlines()[2:4]] == ["2", "3"]  # the last one, too
    assert "log Z summed exactly" in text
    assert "model (exact)" in text
    assert "warning" not in text


def test_curves_as_csv_and_json(runs: Path) -> None:
    training = read_training_results(runs / "trained.h5")
    rows = list(csv.DictReader(io.StringIO(cli("results", runs / "trained.h5", "--csv").stdout)))
    assert list(rows[0]) == ["epoch", *TRAINING]
    assert [int(row["epoch"]) for row in rows] == list(range(1, 31))
    for name in TRAINING:
        values = np.array([float(row[name] or "nan") for row in rows])
        np.testing.assert_array_equal(values, training[name])
    assert rows[0]["log_likelihood"] == ""
    own = json.loads(cli("results", runs / "trained.h5", "--json").stdout)["V25H24"]
    assert len(own["epoch"]) == len(own["held_out_log_likelihood_low"]) == 30
    assert own["log_likelihood"][0] is None
    assert own["log_likelihood"][-1] == training["log_likelihood"][-1]
    assert own["machine"] == "restricted"
    assert (own["mean_difference"], own["covariance_difference"]) == moment_differences(training)


def made_up(
    value: list[float], held: list[float], below: float = 0.01, above: float = 0.01, swaps: float = np.nan
) -> dict[str, Any]:
    """Training with these likelihoods, an epoch each, brackets about them, and a rate of swaps."""
    found: dict[str, Any] = {"label": "V4H2", "epoch": np.arange(1, len(value) + 1)}
    found["swap_rate"] = np.full(len(value), swaps)
    found["facts"] = {"evaluate_every": 1, "machine": "restricted", "method": "cd"}
    for name, own in (("log_likelihood", value), ("held_out_log_likelihood", held)):
        curve = np.array(own)
        found |= {name: curve, f"{name}_low": curve - below, f"{name}_high": curve + above}
    return found


RISING, NONE = [-9.0, -8.0, -7.5, -7.0], [np.nan] * 4


@pytest.mark.parametrize(
    ("training", "words"),
    [
        (made_up(RISING, [-9.0, -8.2, -8.0, -7.8]), []),
        (made_up(RISING, NONE), []),
        (made_up(RISING, [-9.0, -8.2, -9.0, -10.0]), ["overfits: since epoch 2", "fallen by 1.80", "rose by 1.00"]),
        (made_up([-9.0, -8.0, -7.98, -7.97], [-9.0, -8.2, -8.22, -8.23]), []),  # hardly at all
        (made_up(RISING, [-9.0, -8.2, -8.3, -8.5], below=0.2, above=0.2), []),  # within what is known
        (made_up([-9.0, -7.0, -8.0, -11.0], NONE), ["has fallen by 4.00 nats since epoch 2"]),
        (made_up(RISING, NONE, below=2.0), ["no better than 2 nats at epochs 1, 2, 3, 4", "likelihood.ais"]),
        (made_up(RISING, NONE, below=np.nan), ["the low end", "cannot be told at epochs 1, 2, 3, 4", "likelihood.ais"]),
        (made_up(RISING, NONE, above=np.nan), ["the high end", "cannot be told"]),
        (made_up(RISING, NONE, below=-0.1), ["low end of the likelihood is above the high one", "have not mixed"]),
        (made_up(RISING, NONE, below=-0.02), []),  # by chance
        (made_up(RISING, NONE, swaps=0.05), ["only 5.0 % of the swaps", "more train.temperings"]),
        (made_up(RISING, NONE, swaps=0.3), []),
        (made_up(NONE, NONE), ["the likelihood cannot be told, since too many hidden units"]),
    ],
)
def test_warnings_of_training(training: dict[str, Any], words: list[str]) -> None:
    lines = traintables.warnings_of(training)
    assert len(lines) == bool(words), lines
    for word in words:
        assert word in lines[0]


def test_real_training_overfits(runs: Path) -> None:
    own = toml(TRAIN, train__data='"noise.npy"', train__epochs="200", train__rate="0.5", **EXACT)
    text = cli("results", complete(runs, own, "overfit")).stdout
    assert "warning: V10H4 overfits: since epoch " in text


def test_epochs_that_were_evaluated(runs: Path) -> None:
    training = read_training_results(runs / "trained.h5")
    np.testing.assert_array_equal(training["epoch"][evaluated(training)], np.arange(2, 31, 2))


# --- training: pictures -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("panel", ALL)
def test_each_panel_of_training(panel: str, runs: Path, tmp_path: Path) -> None:
    path = tmp_path / "panel.png"
    assert cli("plot", runs / "trained.h5", panel, "-o", path).exit_code == 0
    size(path)


def test_all_panels_of_training(runs: Path, tmp_path: Path) -> None:
    path = tmp_path / "all.png"
    assert cli("plot", runs / "trained.h5", "-o", path).exit_code == 0
    height, width = size(path)
    assert width == pytest.approx(3 * machineplots.SLOT * 130, abs=2)
    assert height > width / 2


@pytest.mark.parametrize(
    ("change", "panels"),
    [
        ({**EXACT, "machine__kind": '"general"', "machine__units": '"spin"', "machine__hidden": "0",
          "train__data": '"wide.npy"'}, ALL[:5]),
        ({**EXACT, "machine__kind": '"general"', "machine__hidden": "3", "train__data": '"wide.npy"'}, ALL),
        ({"machine__kind": '"layered"', "machine__hidden": "[6, 4]", "train__data": '"grey.npy"'}, ALL),
        ({"machine__hidden": "5", "train__data": '"rows.npy"', "train__evaluate_every": "1"}, ALL[:4]),
        ({"machine__kind": '"general"', "machine__hidden": "24", "train__method": '"cd"'}, ["monitors", "moments",
          "samples", "filters"]),
    ],
)  # fmt: skip
def test_machines_of_all_kinds(change: dict[str, str | None], panels: list[str], runs: Path, tmp_path: Path) -> None:
    """Two epochs of each, and what it has."""
    out = complete(tmp_path, toml(TRAIN, train__epochs="2", **change | data_in(runs, change)), "other")
    assert cli("plot", out).exit_code == 0
    size(tmp_path / "other.png")
    refused = cli("plot", out, "activity")
    assert_refused(refused, "nothing to draw for 'activity'", f"it has {', '.join(panels)}")
    assert f"{panels[-1]}, " not in refused.stderr  # nothing after the last one
    text = cli("results", out).stdout
    assert ("too many hidden units" in text) == ("likelihood" not in panels)


def data_in(folder: Path, change: dict[str, str | None]) -> dict[str, str | None]:
    """Where the data are."""
    name = (change.get("train__data") or '"bars.npy"').strip('"')
    return {"train__data": f'"{folder / name}"'}


def test_likelihoods_are_drawn_where_learning_has_come_to() -> None:
    """Neither the first epochs nor a wide bracket dwarf the rest."""
    curve = np.concatenate(([-500.0, -100.0, -40.0], np.linspace(-20, -18, 20)))
    low, high = machineplots._range([curve], [curve - 0.1, curve + 0.1])
    assert -22 < low < -20
    assert -18 < high < -17
    low, _ = machineplots._range([curve], [curve - 300, curve + 0.1])
    assert -24 < low < -21
    falling = np.linspace(-18, -40, 20)  # what comes late is always there
    assert machineplots._range([falling], [falling])[0] < -40
    low, high = machineplots._range([np.array([-3.0])], [np.array([np.nan])])
    assert low < -3 < high


@pytest.mark.parametrize(
    ("count", "shape", "columns"), [(64, (8, 8), 8), (32, (8, 8), 8), (5, (3, 7), 2), (1, (9, 1), 1)]
)
def test_mosaics_are_about_square(count: int, shape: tuple[int, int], columns: int) -> None:
    assert machineplots._columns(count, shape) == columns


@pytest.mark.parametrize(
    ("facts", "shape"),
    [
        ({"sizes": [12], "picture": np.array([3, 4])}, (3, 4)), ({"sizes": [16], "picture": []}, (4, 4)),
        ({"sizes": [16]}, (4, 4)), ({"sizes": [15]}, None), ({"sizes": [4]}, None),
    ],
)  # fmt: skip
def test_shapes_of_pictures(facts: dict[str, Any], shape: tuple[int, int] | None) -> None:
    assert machineplots.picture_shape(facts) == shape


def test_the_machine_is_read_as_it_was_written(runs: Path) -> None:
    training, machine = read_training_results(runs / "trained.h5"), read_model(runs / "trained.h5")
    assert (machine.kind, machine.units, machine.sizes) == ("restricted", "binary", (25, 24))
    v = training["samples"][:, :25]
    given = machine.weights[0].T @ v[0] + machine.biases[1]
    assert given.shape == (24,)
    sampled = read_model(runs / "sampled.h5")
    np.testing.assert_array_equal(sampled.weights[0], machine.weights[0])
    for own, other in zip(sampled.biases, machine.biases, strict=True):
        np.testing.assert_array_equal(own, other)


# --- sampling -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "panels"),
    [
        ("sampled", [*QUANTITIES, "energies", "activity"]), ("clamped", [*QUANTITIES, "energies", "completions"]),
        ("completed", [*QUANTITIES, "energies", "completions"]),
    ],
)  # fmt: skip
def test_panels_of_samples(name: str, panels: list[str], runs: Path, tmp_path: Path) -> None:
    out, path = runs / f"{name}.h5", tmp_path / "panel.png"
    for panel in ("energies", panels[-1], ""):
        assert cli("plot", out, *([panel] if panel else []), "-o", path).exit_code == 0
        size(path)
    refused = cli("plot", out, "filter", "-o", path)
    assert_refused(refused, "nothing to draw for 'filter'", f"it has {', '.join(panels)}")


def test_a_machine_that_is_no_picture(runs: Path, tmp_path: Path) -> None:
    own = toml(SAMPLE, machine__weights=None, machine__visible="7", machine__hidden="3", grid__temperatures="[1.0]")
    out = complete(tmp_path, own, "plain")
    assert cli("plot", out).exit_code == 0
    assert_refused(cli("plot", out, "activity"), "'activity'", "energies")


def test_energies_of_the_time_series(runs: Path) -> None:
    (system,) = read_results(runs / "sampled.h5")
    energies = read_energies(runs / "sampled.h5", "V25H24", 10**6)
    n = int(system.facts["n_sites"])
    means = np.array([own.mean() / n for own in energies])
    np.testing.assert_allclose(means, system.columns["energy_per_unit"], atol=1e-9)
    assert all(len(own) == 64 * 50 for own in energies)
    fewer = read_energies(runs / "sampled.h5", "V25H24", 640)
    assert all(len(own) == 64 * 10 for own in fewer)


def test_levels_are_not_split_by_rounding_errors() -> None:
    level = -81.52772127505159
    energies = np.array([level, np.nextafter(level, 0), level + 1e-3])
    assert len(np.unique(machineplots.rounded(energies))) == 2
    np.testing.assert_allclose(machineplots.rounded(energies), energies, rtol=1e-8)
    np.testing.assert_array_equal(machineplots.rounded(np.array([0.0, -3e9, 12.0])), [0, -3e9, 12])


def test_csv_of_samples_has_one_number_a_cell(runs: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(cli("results", runs / "sampled.h5", "--csv").stdout)))
    assert len(rows) == 3
    assert not [name for name in rows[0] if name.startswith("mean_activity")]
    assert all(float(row["energy_per_unit"]) < 0 for row in rows)
    own = json.loads(cli("results", runs / "sampled.h5", "--json").stdout)["V25H24"]
    assert np.shape(own["mean_activity"]) == (3, 49)


def test_annealed_machines(runs: Path, tmp_path: Path) -> None:
    own = toml(SAMPLE, grid__temperatures=None, grid__replicas=None, schedule__thermalization=None,
               schedule__sweeps=None, machine__weights=f'"{runs / "trained.h5"}"', anneal__sweeps="40",
               anneal__reads="20", anneal__to="0.1", anneal__from="2.0", algorithm__kernel='"dense"')  # fmt: skip
    out = complete(tmp_path, own, "annealed")
    assert cli("plot", out).exit_code == 0
    size(tmp_path / "annealed.png")
    assert "lowest E" in cli("results", out).stdout
    assert len(list(csv.reader(io.StringIO(cli("results", out, "--csv").stdout)))) == 21
    assert len(json.loads(cli("results", out, "--json").stdout)["V25H24"]["energy"]) == 20
    assert_refused(cli("plot", out, "activity"), "histogram")
