"""Training of Boltzmann machines through the driver: files, stops, more epochs, threads, divergence, wrong data.

All comparisons of parameters, chains and curves are bit for bit.
"""

from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray
from helpers import (
    Data,
    assert_refused,
    assert_same,
    cli,
    complete,
    datasets,
    finish,
    launch,
    parts,
    segments,
    toml,
    write,
)  # fmt: skip

from ising_mc import learning, likelihood
from ising_mc.boltzmann import realize
from ising_mc.learning import QUANTITIES, DivergedError
from ising_mc.machine import KINDS, UNITS, random_machine
from ising_mc.machinefile import read_machine, save_npz
from ising_mc.run import units_of
from ising_mc.schedule import execute
from ising_mc.segments import read_index
from ising_mc.spec import load, parse
from ising_mc.trainfile import read_training_results
from ising_mc.trainspec import TrainSpec

SAVED = 85
EXAMPLES = 50
BASE = {
    "run": {"seed": "3"},
    "model": {"kind": '"boltzmann"'},
    "machine": {"visible": "6", "hidden": "3"},
    "train": {"data": '"data.npy"', "epochs": "12", "batch": "20", "evaluate_every": "5", "rate": "0.1"},
}
GENERAL = {"machine__kind": '"general"'}
LAYERED = {"machine__kind": '"layered"', "machine__hidden": "[3, 2]"}
METHODS = {
    "cd": {"train__method": '"cd"', "train__steps": "2"},
    "pcd": {"train__momentum": "0.5", "train__decay": "0.1"},
    "pcd, centred spins": {"train__centred": "true", "machine__units": '"spin"', "train__chains": "30"},
    "pt": {"train__method": '"pt"', "train__temperings": "4", "train__held_out": "0.2"},
    "exact": {"train__method": '"exact"', "train__batch": "7", "train__l1": "0.001"},
    "general, mean field": GENERAL | {"train__l2": "0.01"},
    "general, Gibbs, cd": GENERAL | {"train__clamped": '"gibbs"', "train__method": '"cd"', "machine__units": '"spin"'},
    "layered, Gibbs": LAYERED | {"train__clamped": '"gibbs"'},
    "layered, exact": LAYERED | {"train__method": '"exact"', "train__batch": "50"},
    "probabilities": {"train__data": '"gray.npy"'},
    "graph": GENERAL | {"machine__graph": '"graph.txt"', "machine__visible": None},
}


def text(folder: Path, **changes: str | None) -> str:
    """The text of a run file, with its data beside it."""
    rng = np.random.default_rng(4)
    patterns = np.array([[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1], [1, 0, 1, 0, 1, 0]])
    own = np.resize(patterns, (EXAMPLES, 6))
    np.save(folder / "data.npy", np.where(rng.random(own.shape) < 0.1, 1 - own, own).astype(float))
    np.save(folder / "gray.npy", np.where(rng.random(own.shape) < 0.5, 0.3, own).astype(float))
    (folder / "graph.txt").write_text("0 6\n1 6\n2 7\n3 7\n4 8\n5 8\n6 7\n0 1\n")
    return toml(BASE, **changes)


def interrupted(folder: Path, own: str, reference: Data) -> None:
    """Stop after each checkpoint that comes, until it is done; it is what it would be without."""
    path, out = write(folder, own, "cut.toml"), folder / "cut.h5"
    codes = []
    while SAVED in codes[-1:] or not codes:
        codes.append(cli("train", path, "-o", out, "--time-limit", 0 if len(codes) < 5 else 60, "--quiet").exit_code)
    assert codes[-1] == 0
    assert len(codes) > 2, "it was hardly stopped"
    assert_same(out, reference)


@pytest.mark.parametrize("method", METHODS)
def test_stops_and_threads_change_nothing(method: str, tmp_path: Path) -> None:
    """Parameters, velocities, chains, generators, curves, samples."""
    more = {"train__epochs": "80", "schedule__checkpoint_seconds": "0.001"}
    own = text(tmp_path, **METHODS[method] | more)
    reference = datasets(complete(tmp_path, own, "whole", threads=1))
    (label,) = {key.split("/")[1] for key in reference if key.startswith("systems/")}
    assert f"systems/{label}/final/parameters_0" in reference
    assert f"systems/{label}/final/velocity_0" in reference
    assert_same(complete(tmp_path, own, "two", threads=2), reference)
    interrupted(tmp_path, own, reference)


@pytest.mark.parametrize("method", METHODS)
def test_more_epochs_extend_a_run(method: str, tmp_path: Path) -> None:
    """All but what is told of the last epoch of the shorter run, where likelihoods are always estimated."""
    reference = datasets(complete(tmp_path, text(tmp_path, **METHODS[method]), "at_once"))
    complete(tmp_path, text(tmp_path, **METHODS[method], train__epochs="3"))
    complete(tmp_path, text(tmp_path, **METHODS[method], train__epochs="8"))
    with h5py.File(tmp_path / "run.h5") as file:
        told = np.isfinite(file["training/log_likelihood"][()])
        assert np.flatnonzero(told).tolist() == [2, 4, 7]
    own = datasets(complete(tmp_path, text(tmp_path, **METHODS[method])))
    assert own.keys() == reference.keys()
    assert {name for name in own if own[name] != reference[name]} <= {f"training/{name}" for name in QUANTITIES[3:]}
    with h5py.File(tmp_path / "run.h5") as file, h5py.File(tmp_path / "at_once.h5") as other:
        for name in QUANTITIES[3:]:
            one, two = file[f"training/{name}"][()], other[f"training/{name}"][()]
            both = np.isfinite(two)
            np.testing.assert_array_equal(one[both], two[both])


def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    own = text(tmp_path, train__epochs="300", schedule__checkpoint_seconds="0.001")
    reference = datasets(complete(tmp_path, own, "whole"))
    program = (
        "import os, signal, ising_mc.store as s\nold, left = s.Store.write_segment, [2]\n"
        "def write(*a):\n    old(*a)\n    left[0] -= 1\n"
        "    left[0] or os.kill(os.getpid(), signal.SIGKILL)\ns.Store.write_segment = write"
    )
    path, out = write(tmp_path, own), tmp_path / "run.h5"
    code, stderr = finish(launch("train", path, "-o", out, "--quiet", program=program))
    assert code == -9, stderr
    assert segments(out)
    assert_same(complete(tmp_path, own), reference)


def test_threads_of_the_libraries_change_nothing(tmp_path: Path) -> None:
    """Of a machine large enough for BLAS to share a product among its threads, odd enough for that to change sums."""
    rng = np.random.default_rng(1)
    own = text(tmp_path, machine__visible="203", machine__hidden="151", train__epochs="3", train__batch="201",
               train__data='"large.npy"')  # fmt: skip
    np.save(tmp_path / "large.npy", (rng.random((201, 203)) < 0.3).astype(float))
    path, found = write(tmp_path, own), []
    for threads in (1, 4):
        out = tmp_path / f"{threads}.h5"
        program = f"import os; os.environ['OPENBLAS_NUM_THREADS'] = os.environ['OMP_NUM_THREADS'] = '{threads}'"
        code, stderr = finish(launch("train", path, "-o", out, "--quiet", "--threads", threads, program=program))
        assert code == 0, stderr
        found.append(datasets(out))
    assert found[0] == found[1]


def test_a_changed_run_file_is_refused(tmp_path: Path) -> None:
    complete(tmp_path, text(tmp_path))
    for change, name in (
        ({"train__rate": "0.2"}, "train.rate was 0.1, is 0.2"), ({"train__data": '"gray.npy"'}, "train.data was"),
        ({"train__held_out": "0.1"}, "train.held_out was"), ({"train__epochs": "5"}, "can only grow"),
        ({"machine__hidden": "4"}, "machine.sizes was"),
    ):  # fmt: skip
        path = write(tmp_path, text(tmp_path, **change))
        assert_refused(cli("train", path, "-o", tmp_path / "run.h5"), name, "choose another -o")


# --- files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_result_file_tells_all_of_training(kind: str, units: str, tmp_path: Path) -> None:
    changes = {"restricted": {}, "general": GENERAL, "layered": LAYERED}[kind]
    own = text(tmp_path, **changes, machine__units=f'"{units}"', train__held_out="0.2")
    out = complete(tmp_path, own)
    spec = load(tmp_path / "run.toml")
    assert isinstance(spec, TrainSpec)
    (unit,) = units_of(spec)
    trainer = unit.sampler(3, 1)
    trainer.start(3, unit.system.label, 1.0, 0, "")
    told = trainer.record(12, 1)
    machine = read_machine(out, kind, units)
    with h5py.File(out) as file:
        assert file.attrs["kind"] == "train"
        group = file[f"systems/{machine.label}"]
        for name in QUANTITIES:
            np.testing.assert_array_equal(file[f"training/{name}"], told[name][0])
            assert {"units", "long_name", "definition"} <= set(file[f"training/{name}"].attrs)
        np.testing.assert_array_equal(file["training/epoch"], np.arange(1, 13))
        wanted = (*trainer.machine.weights, *trainer.machine.biases)  # type: ignore[attr-defined]
        for ours, theirs in zip((*machine.weights, *machine.biases), wanted, strict=True):
            np.testing.assert_array_equal(ours, theirs)
        assert (group.attrs["method"], group.attrs["rate"], group.attrs["batch"]) == ("pcd", 0.1, 20)
        assert (group.attrs["examples_trained"], group.attrs["examples_held_out"]) == (40, 10)
        moments = likelihood.moments(machine)
        np.testing.assert_allclose(group["model_mean"], moments.mean[:6], atol=1e-12)
        pairs = moments.correlations[:6, :6] - np.outer(moments.mean[:6], moments.mean[:6])
        np.testing.assert_allclose(group["model_covariance"], pairs, atol=1e-12)
        data = trainer.data.astype(float)  # type: ignore[attr-defined]
        np.testing.assert_allclose(group["data_mean"], data.mean(axis=0), atol=1e-12)
        np.testing.assert_allclose(group["data_covariance"], np.cov(data, rowvar=False, ddof=0), atol=1e-12)
        low = 0 if units == "binary" else -1
        assert np.isin(group["samples"][()], (low, 1)).all()
        assert group["samples"].shape == (100, machine.n)
        np.testing.assert_array_equal(group["examples"], data)
        last = file["training/log_likelihood"][-1]
        assert last == pytest.approx(likelihood.log_likelihood(machine, data), abs=1e-6)
    found = read_training_results(out)
    assert found["label"] == machine.label
    np.testing.assert_array_equal(found["log_likelihood"], told["log_likelihood"][0])


def test_curves_of_examples_that_are_learnt(tmp_path: Path) -> None:
    """Likelihoods rise, reconstructions improve, gradients fall, and what is held out follows."""
    own = text(tmp_path, train__method='"exact"', train__epochs="150", train__rate="0.5", train__momentum="0.9",
               train__batch=None, train__held_out="0.2", train__evaluate_every="1", machine__scale="0.1")  # fmt: skip
    out = complete(tmp_path, own)
    with h5py.File(out) as file:
        curves = {name: data[()] for name, data in file["training"].items()}
    assert curves["log_likelihood"][-1] > curves["log_likelihood"][0] + 0.5
    assert curves["pseudo_likelihood"][-1] > curves["pseudo_likelihood"][0]
    assert curves["reconstruction_error"][-1] < 0.7 * curves["reconstruction_error"][0]
    assert curves["gradient_norm"][-1] < 0.3 * curves["gradient_norm"][0]
    assert curves["held_out_log_likelihood"].max() > curves["held_out_log_likelihood"][0] + 0.3


@pytest.mark.parametrize(("share", "held"), [("0.0", 0), ("0.2", 10), ("0.01", 1), ("0.97", 49)])
def test_shares_held_out(share: str, held: int, tmp_path: Path) -> None:
    """Which examples they are the seed says; each is trained on or held out."""
    out = complete(tmp_path, text(tmp_path, train__held_out=share, train__epochs="1"))
    with h5py.File(out) as file:
        assert file["systems/V6H3"].attrs["examples_held_out"] == held
        assert np.isfinite(file["training/held_out_log_likelihood"][0]) == (held > 0)
        trained = file["systems/V6H3/examples"][()]
    data = np.load(tmp_path / "data.npy")
    assert len(trained) == EXAMPLES - held
    (unit,) = units_of(load(tmp_path / "run.toml"))
    both = np.concatenate((unit.sampler(3, 1).data, unit.sampler(3, 1).held_out))  # type: ignore[attr-defined]
    np.testing.assert_array_equal(np.sort(both.view("f4,f4,f4,f4,f4,f4").ravel()),
                                  np.sort(data.astype(np.float32).view("f4,f4,f4,f4,f4,f4").ravel()))  # fmt: skip
    other = unit.sampler(4, 1)
    if 1 < held < 40:
        assert not np.array_equal(other.held_out, unit.sampler(3, 1).held_out)  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", KINDS)
def test_trained_machines_can_be_sampled_and_trained_on(kind: str, tmp_path: Path) -> None:
    """By a run file of their own; means of chains agree with the machine within 6 errors of 64 chains: 1e-5."""
    changes = {"restricted": {}, "general": GENERAL, "layered": LAYERED}[kind]
    complete(tmp_path, text(tmp_path, **changes, machine__scale="0.5"), "trained")
    machine = read_machine(tmp_path / "trained.h5", kind, "binary")
    base = {"run": {"seed": "1"}, "model": BASE["model"],
            "machine": {"kind": f'"{kind}"', "weights": '"trained.h5"'}}  # fmt: skip
    sampling = {"schedule": {"thermalization": "50", "sweeps": "300"}}
    with h5py.File(complete(tmp_path, toml(base | sampling), "sampled")) as file:
        results = file[f"systems/{machine.label}/results"]
        exact = likelihood.moments(machine)
        z = (results["mean_activity"][0] - exact.mean) / results["mean_activity_error"][0]
        assert np.abs(z).max() < 6
        assert results["log_z"][0] == pytest.approx(exact.log_z, abs=1e-9)
        assert file["model"].attrs["visible"] == 6
    more = complete(tmp_path, toml(base | {"train": BASE["train"] | {"epochs": "1", "rate": "1e-9"}}), "more")
    again = read_machine(more, kind, "binary")
    for one, other in zip((*again.weights, *again.biases), (*machine.weights, *machine.biases), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-7)


def test_learning_begins_with_the_machine_of_a_file(tmp_path: Path) -> None:
    """Its weights and its biases: base rates are for machines that are drawn."""
    machine = random_machine("restricted", "binary", (6, 3), 0.5, np.random.default_rng(1))
    save_npz(machine, tmp_path / "own.npz")
    own = text(tmp_path, machine__visible=None, machine__hidden=None, machine__weights='"own.npz"')
    (unit,) = units_of(parse(own, folder=tmp_path))
    assert not np.any(unit.sampler(3, 1).machine.biases[0])  # type: ignore[attr-defined]
    drawn = parse(text(tmp_path), folder=tmp_path)
    (unit,) = units_of(drawn)
    first = unit.sampler(3, 1).machine  # type: ignore[attr-defined]
    np.testing.assert_allclose(first.biases[0], learning.base_rates(np.load(tmp_path / "data.npy"), False), rtol=1e-5)
    np.testing.assert_allclose(first.weights[0], realize(drawn.systems[0], 3).whole.weights[0], rtol=1e-6)
    (unit,) = units_of(parse(text(tmp_path, train__start='"zero"'), folder=tmp_path))
    assert not np.any(unit.sampler(3, 1).machine.biases[0])  # type: ignore[attr-defined]


@pytest.mark.parametrize("method", ["pcd", "general, mean field", "layered, Gibbs"])
def test_xarray_opens_it_with_named_coordinates(method: str, tmp_path: Path) -> None:
    out = complete(tmp_path, text(tmp_path, **METHODS[method]))
    with xarray.open_datatree(out, engine="h5netcdf") as tree, h5py.File(out) as file:
        assert tree["training/log_likelihood"].dims == ("epoch",)
        (label,) = file["systems"]
        node = tree[f"systems/{label}"]
        assert node["samples"].dims == ("sample", "unit")
        assert node["examples"].dims == ("example", "visible")
        assert node["model_covariance"].dims == ("visible", "other_visible")
        assert float(tree["training/gradient_norm"].sel(epoch=3)) == file["training/gradient_norm"][2]
        first = next(iter(tree["model"].data_vars))
        assert tree["model"][first].shape == file[f"model/{first}"].shape


def test_pictures_and_thresholds(tmp_path: Path) -> None:
    """Gray pictures of 2 x 3, cut at a threshold: states, and their height and width in the file."""
    own = text(tmp_path, train__data='"pictures.npy"', train__threshold="0.5", machine__visible=None)
    values = np.random.default_rng(2).random((30, 2, 3))
    np.save(tmp_path / "pictures.npy", values)
    with h5py.File(complete(tmp_path, own)) as file:
        assert list(file["systems/V6H3"].attrs["picture"]) == [2, 3]
        np.testing.assert_array_equal(file["systems/V6H3/examples"], (values > 0.5).reshape(30, 6))


# --- what goes wrong ----------------------------------------------------------------------------------------------


def test_divergence_is_one_sentence(tmp_path: Path) -> None:
    path, out = write(tmp_path, text(tmp_path, train__rate="1e5")), tmp_path / "run.h5"
    refused = cli("train", path, "-o", out, "--quiet")
    assert_refused(
        refused, "learning diverged in epoch 1: a weight or bias is beyond 1000; what was saved before is kept"
    )
    assert not out.exists()
    assert not parts(out).exists()  # nothing was saved as yet
    write(tmp_path, text(tmp_path, train__rate="1e9"))
    code, stderr = finish(launch("train", path, "-o", out, "--quiet"))
    assert (code, stderr.count("\n")) == (2, 1), stderr  # what compiles says nothing of it


@pytest.mark.parametrize("changes", [{}, GENERAL, LAYERED])
def test_the_last_good_state_is_kept(changes: dict[str, str], tmp_path: Path) -> None:
    """Decay by more than twice the weights: checkpoints that were due are there, and the run goes on from them."""
    slow = {"train__l2": "10.05", "train__rate": "0.2", "train__epochs": "2000", "train__method": '"cd"'}
    own = text(tmp_path, **changes | slow, schedule__checkpoint_seconds="0.001")
    spec, out = load(write(tmp_path, own)), tmp_path / "run.h5"
    said = []
    for _ in range(2):
        with pytest.raises(DivergedError, match="learning diverged in epoch") as told:
            execute(spec, out, 1)
        said.append(str(told.value))
        assert not out.exists()
    assert said[0] == said[1]  # a run that goes on comes to the same end
    (stretch,) = read_index(segments(out)[-1]).stretches
    done, label, more = stretch.done, stretch.key.split("/")[0], stretch.state().more
    kept = [more[f"parameters_{k}"] for k in range(len(more)) if f"parameters_{k}" in more]
    assert 0 < done < int(said[0].split("epoch ")[1].split(":")[0])
    (unit,) = units_of(spec)
    trainer = unit.sampler(3, 1)
    trainer.start(3, label, 1.0, 0, "")
    trainer.sweep(done)
    for one, other in zip(kept, trainer.parameters, strict=True):  # type: ignore[attr-defined]
        np.testing.assert_array_equal(one, other)
        assert np.abs(one).max() < learning.MOST_WEIGHT


WRONG = {
    "no such file": (None, "train.data: cannot read"),
    "no pictures": (np.zeros((2, 2, 2, 6)), "must be of shape (examples, units) or (examples, height, width)"),
    "no examples": (np.zeros((0, 6)), "holds no examples"),
    "other units": (np.zeros((5, 7)), "has 7 units, but the machine has 6 visible ones; is one column a label?"),
    "beyond one": (np.full((5, 6), 2.0), "scale them to [0, 1], or give train.threshold"),
    "below zero": (np.full((5, 6), -1.0), "the value must be from 0 to 1 for binary units, not -1"),
    "infinite": (np.full((5, 6), np.inf), "the value must be a finite number, not inf"),
    "complex": (np.ones((5, 6), complex), "real numbers are needed"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_data_are_refused(case: str, tmp_path: Path) -> None:
    values, sentence = WRONG[case]
    own = text(tmp_path, train__data='"wrong.npy"')
    if values is not None:
        np.save(tmp_path / "wrong.npy", values)
    assert_refused(cli("train", write(tmp_path, own), "-o", tmp_path / "out.h5"), sentence)
    assert not list(tmp_path.glob("out.h5*"))


def test_status_and_plan_of_training(tmp_path: Path) -> None:
    path, out = write(tmp_path, text(tmp_path)), tmp_path / "run.h5"
    for command in ("plan", "status"):
        assert cli(command, path, "-o", out).exit_code == 0
    assert cli("train", path, "-o", out, "--quiet").exit_code == 0
    assert cli("status", path, "-o", out).exit_code == 0
    assert cli("train", path, "-o", out, "--quiet").exit_code == 0  # nothing is left to do


def test_machines_whose_likelihood_cannot_be_told_are_trained(tmp_path: Path) -> None:
    """Free energies of a layered machine with many units on both sides would sum over too many states."""
    np.save(tmp_path / "data.npy", (np.random.default_rng(0).random((30, 9)) < 0.4).astype(np.float32))
    tables = {
        "model": {"kind": '"boltzmann"'},
        "machine": {"kind": '"layered"', "hidden": "[25, 30]"},
        "train": {"data": '"data.npy"', "epochs": "3", "batch": "10"},
    }
    with h5py.File(complete(tmp_path, toml({"run": {"seed": "1"}, **tables}))) as file:
        assert np.isnan(file["training/log_likelihood"][()]).all()
        assert np.isfinite(file["training/reconstruction_error"][()]).all()
