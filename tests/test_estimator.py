"""`ising_mc.estimator`: scikit-learn's own checks, likelihoods against enumeration, learning that can be repeated."""

import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator
from threadpoolctl import threadpool_limits

from ising_mc import estimator, likelihood
from ising_mc.boltzmann import MachineSystem, realize
from ising_mc.estimator import RBM
from ising_mc.learning import DivergedError
from ising_mc.machine import Machine, random_machine

Floats = NDArray[np.float64]
SIGMAS = 5.0
DRAWS = 20000
SHORT: dict[str, Any] = {"n_components": 3, "n_iter": 2, "batch_size": 10}
BEYOND = "the data of this check are not within [0, 1], and are refused unless clip = True"
EXPECTED = dict.fromkeys(  # to fail with clip = False
    (
        "check_dict_unchanged", "check_dont_overwrite_parameters", "check_estimators_dtypes",
        "check_estimators_fit_returns_self", "check_estimators_overwrite_params", "check_estimators_pickle",
        "check_f_contiguous_array_estimator", "check_fit2d_1feature", "check_fit2d_1sample", "check_fit2d_predict1d",
        "check_fit_check_is_fitted", "check_fit_idempotent", "check_methods_sample_order_invariance",
        "check_methods_subset_invariance", "check_n_features_in", "check_n_features_in_after_fitting",
        "check_pipeline_consistency", "check_positive_only_tag_during_fit", "check_readonly_memmap_input",
        "check_transformer_data_not_an_array", "check_transformer_general", "check_transformer_preserve_dtypes",
    ),
    BEYOND,
)  # fmt: skip


def states(n: int, low: int = 0) -> Floats:
    """All states (2^n, n) of some units."""
    bits = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    return np.where(bits == 1, 1.0, low)


def patterns(rows: int, features: int, seed: int = 0, low: int = 0) -> Floats:
    """Noisy copies (rows, features) of three random patterns."""
    rng = np.random.default_rng(seed)
    own = (rng.random((3, features)) < 0.5)[rng.integers(0, 3, rows)] ^ (rng.random((rows, features)) < 0.1)
    return np.where(own, 1.0, low)


def with_machine(machine: Machine, **parameters: Any) -> RBM:
    """An estimator that has learned a machine."""
    low = -1 if machine.units == "spin" else 0
    found = RBM(machine.sizes[1], units=machine.units, n_iter=1, random_state=3, **parameters)
    found.fit(patterns(50, machine.visible, low=low))
    found.machine_ = machine
    return found


# --- scikit-learn's checks ----------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:no value of X is below 0", "ignore:SCIPY_ARRAY_API")
@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("way", [{}, {"method": "cd"}, {"method": "pt"}, {"method": "exact"}, {"units": "spin"}])
def test_checks_fail_only_for_values_beyond_the_ends(way: dict[str, Any], clip: bool) -> None:
    own = RBM(**SHORT, clip=clip, **way)
    found = check_estimator(own, expected_failed_checks={} if clip else EXPECTED, on_fail=None, on_skip=None)
    assert not [check["check_name"] for check in found if check["status"] == "failed"]
    for check in found:
        if check["status"] == "xfail":
            reasons = [check["exception"], check["exception"].__context__, check["exception"].__cause__]
            assert any("in data passed to RBM: they go from" in str(reason) for reason in reasons), check["check_name"]


# --- in a pipeline ------------------------------------------------------------------------------------------------


def shifted(X: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Digits, and the same moved by a pixel each way."""
    wide = np.pad(X.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))
    moves = ((1, 1), (1, 2), (1, 0), (2, 1), (0, 1))
    return np.concatenate([wide[:, i : i + 8, j : j + 8].reshape(-1, 64) for i, j in moves]), np.tile(y, len(moves))


def test_features_of_digits_are_better_than_pixels() -> None:
    X, y = load_digits(return_X_y=True)
    train, test, train_y, test_y = train_test_split(X / 16, y, test_size=0.3, random_state=0, stratify=y)
    logistic = LogisticRegression(C=30, max_iter=1000, tol=1e-3)
    with threadpool_limits(1):
        pixels = clone(logistic).fit(*shifted(train, train_y)).score(*shifted(test, test_y))
        model = make_pipeline(RBM(200, n_iter=30, batch_size=20, random_state=0), logistic)
        features = model.fit(*shifted(train, train_y)).score(*shifted(test, test_y))
    assert features > 0.92  # 0.94 to 0.95 with other seeds
    assert features > pixels + 0.1  # 0.80


def test_features_have_names() -> None:
    own = RBM(**SHORT).fit(patterns(20, 4))
    assert "components_" in own._repr_html_()
    assert not hasattr(own, "log_z_")  # nothing is computed only to be shown
    assert own.get_feature_names_out().tolist() == ["rbm0", "rbm1", "rbm2"]
    assert own.components_.shape == (3, 4)
    assert own.intercept_hidden_.shape == (3,)
    assert own.intercept_visible_.shape == (4,)


# --- likelihood ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("units", ["binary", "spin"])
def test_likelihood_is_that_of_enumeration(units: str) -> None:
    low = -1 if units == "spin" else 0
    own = RBM(4, units=units, n_iter=300, batch_size=20, learning_rate=0.2, random_state=1)
    own.fit(patterns(100, 6, low=low))
    machine, v, h = own.machine_, states(6, low), states(4, low)
    both = np.concatenate([np.repeat(v, len(h), axis=0), np.tile(h, (len(v), 1))], axis=1)
    weights = np.exp(-machine.energy(both)).reshape(len(v), len(h)).sum(axis=1)
    np.testing.assert_allclose(own.score_samples(v), np.log(weights / weights.sum()), rtol=1e-12)
    assert own.log_z_error_ == 0
    assert own.log_z_ == pytest.approx(np.log(weights.sum()), rel=1e-13)
    assert own.score(v[:5]) == pytest.approx(np.log(weights / weights.sum())[:5].mean(), rel=1e-12)
    X = patterns(100, 6, low=low)
    rates = (X.mean(axis=0) - low) / (1 - low)
    assert own.score(X) > np.sum(rates * np.log(rates) + (1 - rates) * np.log(1 - rates)) + 0.1  # it has learned


@pytest.mark.parametrize("units", ["binary", "spin"])
def test_annealing_is_within_its_error(units: str) -> None:
    low = -1 if units == "spin" else 0
    own = RBM(18, units=units, n_iter=30, batch_size=20, random_state=2).fit(patterns(200, 20, low=low))
    value, error = own.log_z()
    assert 0 < error < 0.2
    assert abs(value - likelihood.log_z(own.machine_)) < SIGMAS * error
    assert own.log_z() == (own.log_z_, own.log_z_error_) == (value, error)
    assert clone(own).fit(patterns(200, 20, low=low)).log_z() == (value, error)


def test_log_z_is_forgotten_with_more_learning() -> None:
    X = patterns(100, 6)
    own = RBM(3, n_iter=5, random_state=0).fit(X)
    before = own.log_z()
    own.partial_fit(X)
    assert not hasattr(own, "log_z_")
    assert own.log_z() == (likelihood.log_z(own.machine_), 0.0) != before
    assert not hasattr(own.fit(X), "log_z_error_")


def test_log_z_that_cannot_be_relied_on_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimator, "CHAINS", 5)
    own = RBM(18, n_iter=1).fit(patterns(100, 20))
    with pytest.warns(UserWarning, match="of 5 chains count"):
        assert np.isnan(own.log_z()[1])


# --- learning -----------------------------------------------------------------------------------------------------


def same(one: RBM, other: RBM) -> bool:
    pairs = (
        (one.components_, other.components_),
        (one.intercept_hidden_, other.intercept_hidden_),
        (one.intercept_visible_, other.intercept_visible_),
    )
    return all(np.array_equal(*pair) for pair in pairs)


WAYS: list[dict[str, Any]] = [
    {"method": "cd", "steps": 2, "momentum": 0.5, "l1": 1e-3},
    {"method": "pcd", "centred": True, "decay": 0.1},
    {"method": "pcd", "n_chains": 7, "units": "spin", "l2": 1e-3},
    {"method": "pt", "n_temperings": 3},
    {"method": "exact", "start": "zero"},
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: "_".join(map(str, way.values())))
def test_epochs_one_by_one_are_a_fit(way: dict[str, Any]) -> None:
    low = -1 if way.get("units") == "spin" else 0
    X = np.clip(patterns(45, 6, low=low), low + 0.1, 0.8)  # means, from which states are drawn in each epoch
    own = RBM(4, n_iter=6, batch_size=20, random_state=5, **way)
    whole, parts = clone(own).fit(X), clone(own)
    for k in range(6):
        parts = pickle.loads(pickle.dumps(parts.partial_fit(X))) if k % 2 else parts.partial_fit(X)
    assert same(whole, parts)
    assert all(np.array_equal(whole.history_[name], parts.history_[name], equal_nan=True) for name in whole.history_)
    assert len(whole.history_["gradient_norm"]) == 6
    assert same(whole.partial_fit(X), parts.partial_fit(X))  # learning goes on after fit, too
    assert not same(whole, clone(own).fit(X))
    assert same(whole.fit(X), clone(own).fit(X))  # which begins anew


def test_later_parts_of_the_data_change_no_base_rate() -> None:
    X = patterns(40, 6)
    own = RBM(3, learning_rate=1e-9, random_state=0).partial_fit(X)
    before = own.intercept_visible_
    own.partial_fit(1 - X[:7])
    np.testing.assert_allclose(own.intercept_visible_, before, atol=1e-6)


def test_the_start_is_that_of_a_run() -> None:
    own = RBM(5, n_iter=0, start="zero", random_state=11).fit(patterns(10, 8))
    run = realize(MachineSystem("restricted", "binary", (8, 5)), 11).whole
    np.testing.assert_array_equal(own.components_.T, run.weights[0].astype(np.float32))
    assert own.history_["pseudo_likelihood"].shape == (0,)


def test_learning_depends_on_the_seed_alone() -> None:
    X = patterns(200, 40)
    own = RBM(30, n_iter=3, batch_size=50, random_state=4)
    with threadpool_limits(1):
        one = clone(own).fit(X)
        features, value, drawn = one.transform(X), one.log_z(), one.sample(10, 20)
    with threadpool_limits(2):
        two = clone(own).fit(X)
        assert same(one, two)
        np.testing.assert_array_equal(features, two.transform(X))
        assert value == two.log_z()
        np.testing.assert_array_equal(drawn, two.sample(10, 20))
    assert not same(one, clone(own).set_params(random_state=5).fit(X))


def test_random_states_of_all_kinds() -> None:
    X = patterns(30, 5)
    for make in (np.random.RandomState, np.random.default_rng, np.int64):
        one, other = (RBM(**SHORT, random_state=make(9)).fit(X) for _ in range(2))
        assert same(one, other)
        assert one.fit(X) is one
        assert same(one, other) == (make is np.int64)  # generators go on
    np.random.seed(6)  # None is the generator of numpy.random
    one = RBM(**SHORT).fit(X)
    np.random.seed(6)
    assert same(one, RBM(**SHORT).fit(X))
    assert not same(one, RBM(**SHORT).fit(X))


def test_telling_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    X = patterns(50, 6)
    own = RBM(3, n_iter=11, random_state=0)
    silent = clone(own).fit(X)
    assert capsys.readouterr().out == ""
    assert np.isnan(silent.history_["log_likelihood"]).all()
    told = clone(own).set_params(verbose=2).fit(X)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 11
    assert lines[0].startswith("[RBM] epoch 1: gradient_norm ")
    assert np.flatnonzero(np.isfinite(told.history_["log_likelihood"])).tolist() == [9, 10]
    assert told.history_["log_likelihood"][-1] == pytest.approx(told.score(X), abs=1e-4)
    assert same(silent, told)


def test_sparse_and_single_precision() -> None:
    X = patterns(40, 6)
    dense, sparse = (RBM(**SHORT, random_state=0).fit(own) for own in (X, csr_array(X)))
    single = RBM(**SHORT, random_state=0).fit(X.astype(np.float32))
    assert same(dense, sparse)
    assert same(dense, single)
    np.testing.assert_array_equal(dense.transform(X), sparse.transform(csr_array(X)))
    assert single.transform(X.astype(np.float32)).dtype == np.float32
    np.testing.assert_allclose(single.transform(X.astype(np.float32)), dense.transform(X), rtol=1e-5)
    np.testing.assert_allclose(dense.transform(X), likelihood.hidden_means(dense.machine_, X), rtol=1e-12)


def test_pickled_it_goes_on() -> None:
    X = patterns(40, 6)
    own = RBM(**SHORT, random_state=0).fit(X)
    own.log_z()
    other = pickle.loads(pickle.dumps(own))
    assert other.get_params() == own.get_params()
    assert other.log_z_ == own.log_z_
    np.testing.assert_array_equal(other.gibbs(X), own.gibbs(X))
    assert same(other.partial_fit(X), own.partial_fit(X))


# --- drawing ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("units", ["binary", "spin"])
def test_a_step_of_gibbs(units: str) -> None:
    low = -1 if units == "spin" else 0
    machine = random_machine("restricted", units, (4, 3), 1.0, np.random.default_rng(0))
    own = with_machine(machine)
    v, h, others = np.array([1.0, low, low, 1.0]), states(3, low), states(4, low)
    of_h = np.exp(-machine.energy(np.hstack([np.tile(v, (len(h), 1)), h])))
    exact = np.zeros(len(others))
    for weight, state in zip(of_h / of_h.sum(), h, strict=True):
        of_v = np.exp(-machine.energy(np.hstack([others, np.tile(state, (len(others), 1))])))
        exact += weight * of_v / of_v.sum()
    drawn = own.gibbs(np.tile(v, (DRAWS, 1)))
    shares = (drawn[:, None] == others).all(axis=2).mean(axis=0)
    assert shares.sum() == 1
    assert np.all(np.abs(shares - exact) < SIGMAS * np.sqrt(exact / DRAWS))


@pytest.mark.parametrize(("units", "hidden"), [("binary", 3), ("spin", 3), ("binary", 18), ("spin", 18)])
def test_samples_have_the_means_of_the_machine(units: str, hidden: int) -> None:
    machine = random_machine("restricted", units, (18, hidden), 0.3, np.random.default_rng(1))
    own = with_machine(machine)
    drawn, exact = own.sample(4000, steps=50), likelihood.moments(machine)
    assert drawn.shape == (4000, 18)
    assert np.isin(drawn, (machine.low, 1)).all()
    assert np.all(np.abs(drawn.mean(axis=0) - exact.mean[:18]) < SIGMAS / np.sqrt(4000))
    pairs = drawn.T @ drawn / len(drawn)
    assert np.all(np.abs(pairs - exact.correlations[:18, :18]) < SIGMAS / np.sqrt(4000))
    assert not np.array_equal(drawn, own.sample(4000, steps=50))


# --- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_components": 0}, "n_components must be a whole number of at least 1, not 0"),
        ({"batch_size": 2.5}, "batch_size must be a whole number of at least 1, not 2.5"),
        ({"n_temperings": 1}, "n_temperings must be a whole number of at least 2, not 1"),
        ({"learning_rate": 0}, "learning_rate must be a positive number, not 0"),
        ({"learning_rate": "adaptive"}, "learning_rate must be a positive number, not 'adaptive'"),
        ({"momentum": 1.0}, "momentum must be at least 0 and below 1, not 1.0"),
        ({"l2": float("nan")}, "l2 must be at least 0, not nan"),
        ({"method": "sml"}, "method must be one of exact, cd, pcd, pt, not 'sml'"),
        ({"units": "gaussian"}, "units must be one of binary, spin, not 'gaussian'"),
        ({"random_state": -1}, "random_state must be from 0 to"),
        ({"method": "exact", "n_components": 30}, "^method = 'exact' sums over all states, and 30 units are too many"),
        ({"method": "exact", "centred": True}, "^centred = true is for restricted machines, and not for the exact"),
    ],
)
def test_parameters_without_a_meaning(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RBM(**parameters).fit(patterns(20, 30))


def test_values_beyond_the_ends() -> None:
    X = patterns(20, 4)
    own = RBM(**SHORT)
    with pytest.raises(ValueError, match=r"^Values beyond 0 and 1 in data .* from 0 to 16, .* or set clip = True$"):
        own.fit(16 * X)
    with pytest.raises(ValueError, match=r"^Negative values in data .* from -1 to 1, .* from 0 to 1 for binary"):
        own.fit(2 * X - 1)
    with pytest.raises(NotFittedError):
        own.transform(X)
    own.fit(X * (1 + 1e-9))  # as MinMaxScaler rounds
    for method in (own.partial_fit, own.transform, own.score_samples, own.gibbs):
        with pytest.raises(ValueError, match="Values beyond 0 and 1"):
            method(2 * X)
    np.testing.assert_array_equal(own.set_params(clip=True).transform(2 * X), own.transform(X))
    with pytest.raises(ValueError, match="Values beyond -1 and 1 in data"):
        RBM(**SHORT, units="spin").fit(3 * X - 1)
    with pytest.warns(UserWarning, match="spins are -1 and"):
        RBM(**SHORT, units="spin").fit(X)


def test_a_parameter_that_learning_has_fixed() -> None:
    X = patterns(20, 4)
    own = RBM(**SHORT, random_state=0).partial_fit(X)
    with pytest.raises(ValueError, match=r"n_components is now 5, but learning began with 3"):
        own.set_params(n_components=5).partial_fit(X)
    own.set_params(n_components=3, learning_rate=0.5).partial_fit(X)
    with pytest.raises(ValueError, match="5 features"):
        own.partial_fit(patterns(20, 5))


def test_weights_beyond_all_measure() -> None:
    X = patterns(50, 6)
    own = RBM(**SHORT, random_state=0).fit(X)
    before = own.machine_
    with pytest.raises(DivergedError, match=r"diverged in epoch 1: .*; lower learning_rate, momentum or l2"):
        own.set_params(learning_rate=1e6).fit(X)
    assert own.machine_ is before


def test_what_has_been_learned_is_read_only() -> None:
    own = RBM(**SHORT).fit(patterns(20, 4))
    with pytest.raises(ValueError, match="read-only"):
        own.components_[0, 0] = 1
    with pytest.raises(AttributeError):
        own.intercept_hidden_ = np.zeros(3)
    for method in (own.sample, own.transform):
        with pytest.raises(ValueError, match=r"n_samples must be a whole number|Expected 2D array"):
            method(0)


def test_without_scikit_learn() -> None:
    code = "import sys; sys.modules['sklearn'] = None; import ising_mc.estimator"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert found.returncode == 1
    last = "ImportError: ising_mc.estimator needs scikit-learn: pip install 'ising-mc[sklearn]'"
    assert found.stderr.splitlines()[-1] == last


def test_batches_larger_than_the_data_have_as_many_chains_as_the_data() -> None:
    X = (np.random.default_rng(1).random((40, 6)) < 0.4).astype(float)
    own = RBM(3, n_iter=2, batch_size=10**9, random_state=0).fit(X)
    assert len(own._state.more["visible"]) == 40
    assert np.array_equal(own.components_, RBM(3, n_iter=2, batch_size=40, random_state=0).fit(X).components_)
    own.partial_fit(X[:7])  # fewer examples later do not change the chains
    assert len(own._state.more["visible"]) == 40


@pytest.mark.parametrize("name", ["centred", "clip"])
def test_truths_are_truths(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be True or False, not 'yes'"):
        RBM(3, **{name: "yes"}).fit(np.zeros((4, 3)))
