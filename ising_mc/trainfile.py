"""The result file of training.

::

    /                        attributes as in other result files, and kind = "train"
    /training/X(epoch)       gradient_norm, reconstruction_error, pseudo_likelihood, log_likelihood, its _low and _high,
                             and held_out_log_likelihood, likewise, and swap_rate
    /model/                  parameters, as `machinefile` reads them
    /systems/V64H32/         attributes of the machine and of how it was trained, picture
        examples(example, visible)  samples(sample, unit)      states
        data_mean(visible)  model_mean(visible)                and their covariances, (visible, visible)
        final/               state of the trainer: enough to go on from
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from ising_mc import likelihood
from ising_mc.boltzmannfile import describe, write_model
from ising_mc.datasets import add, add_packed, add_scale
from ising_mc.learning import FEW_SUMMED, Trainer
from ising_mc.machine import Machine
from ising_mc.observables import Quantity
from ising_mc.resultfile import Source, new_file, sync_and_rename, why_not, write_header
from ising_mc.results import StoreError, damage_told, open_result
from ising_mc.trainspec import TrainSpec
from ising_mc.trainunits import TrainUnit

SHOWN = 100  # examples, and samples, that are kept
SAMPLES = 1000  # of which moments are taken, where they cannot be summed
FEW_VISIBLE = 2048  # units up to which covariances are kept
BRACKETED = "equal where log Z is summed exactly; else log Z by annealed importance sampling"
TRAINING = {
    "gradient_norm": Quantity("1/J", "mean norm of the gradients of an epoch", "Frobenius", "|g|"),
    "reconstruction_error": Quantity("1", "reconstruction error of some examples", "mean of (v - <v>)^2", "R"),
    "pseudo_likelihood": Quantity(
        "nats",
        "log pseudo-likelihood of some examples",
        "n_v <log Pr(v_i | others)>: no safe monitor of learning",
        "PL",
    ),
    "log_likelihood": Quantity("nats", "mean log likelihood of the data", BRACKETED, "LL"),
    "log_likelihood_low": Quantity("nats", "its lower bound", "log Z by annealing back from samples, upper end", "LL"),
    "log_likelihood_high": Quantity("nats", "its upper bound", "log Z by annealing, lower end of its interval", "LL"),
    "held_out_log_likelihood": Quantity("nats", "mean log likelihood of held-out data", BRACKETED, "LL"),
    "held_out_log_likelihood_low": Quantity("nats", "its lower bound", "as of the data", "LL"),
    "held_out_log_likelihood_high": Quantity("nats", "its upper bound", "as of the data", "LL"),
    "swap_rate": Quantity("1", "swaps of neighbouring temperatures made", "over those tried; NaN but for pt", "swaps"),
}
Array = NDArray[Any]


def write_training(
    out: Path, source: Source, spec: TrainSpec, units: Sequence[TrainUnit], attributes: dict[str, dict[str, Any]],
    tick: Callable[[], None],
) -> None:  # fmt: skip
    """Write the result file under another name, and rename it.

    Raises StoreError where it cannot be written.
    """
    (unit,) = units
    state, series = source.state(unit.key), source.series(unit.key)
    assert state is not None
    trainer = unit.sampler(source.seed, 1)
    trainer.start(source.seed, unit.system.label, 0.0, 0, "")
    trainer.restore(state)
    partial = out.with_name(out.name + ".tmp")
    try:
        with new_file(partial, tick) as (file, tick):
            write_header(file, spec, source.seed, attributes, kind=spec.kind)
            training = file.create_group("training")
            epoch = add_scale(training, "epoch", np.arange(1, spec.sweeps + 1), "epoch")
            for name, quantity in TRAINING.items():
                add(training, name, series[name][0, : spec.sweeps], quantity, epoch)
            write_model(file.create_group("model"), trainer.machine)
            group = file.create_group(f"systems/{unit.system.label}")
            with threadpool_limits(1, user_api="blas"):  # so that no number depends on how many there are
                _write_system(group, spec, trainer)
            final = group.create_group("final")
            for name, values in (("spins", state.spins), ("random_state", state.random), *state.more.items()):
                scales = [
                    add_scale(group, f"{name}_axis{axis}", np.arange(length), f"axis {axis} of it")
                    for axis, length in enumerate(values.shape)
                ]
                text = "part of the state of the trainer after the last epoch"
                add(final, name, values, Quantity("", text, "", ""), *scales)
        tick()
        sync_and_rename(partial, out)
    except OSError as error:
        raise StoreError(
            f"cannot write {out}: {why_not(error, out)}; all epochs are safe in its .parts folder, run again"
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def _write_system(group: h5py.Group, spec: TrainSpec, trainer: Trainer) -> None:
    machine, recipe = trainer.machine, spec.recipe
    group.attrs.update(describe(spec.systems[0]))
    how = {name: value for name, value in vars(recipe).items() if name not in ("epochs", "clamped")}
    group.attrs.update(how, clamped_phase=recipe.clamped)
    group.attrs.update(
        examples_trained=len(trainer.data), examples_held_out=len(trainer.held_out), picture=list(spec.data.shape)
    )
    visible = add_scale(group, "visible", np.arange(machine.visible), "visible unit")
    unit = add_scale(group, "unit", np.arange(machine.n), "unit, visible ones first")
    examples = trainer.data[:SHOWN]
    example = add_scale(group, "example", np.arange(len(examples)), "example of the data")
    samples = trainer.samples(SAMPLES)
    sample = add_scale(group, "sample", np.arange(SHOWN), "sample of the model")
    add(
        group,
        "examples",
        examples,
        Quantity("1", "first examples of the data", "means of units", "v"),
        example,
        visible,
    )
    text = "ends of chains; as good as these have mixed"
    add(
        group,
        "samples",
        samples[:SHOWN].astype(np.int8),
        Quantity("1", "samples of the model", text, "u"),
        sample,
        unit,
    )
    if machine.visible <= FEW_VISIBLE:
        other = add_scale(group, "other_visible", np.arange(machine.visible), "visible unit")
    moments = _moments(machine, samples)
    group.attrs["moments"] = moments[2]
    own = trainer.data.astype(np.float64)
    covariance = own.T @ own / len(own) - np.outer(own.mean(axis=0), own.mean(axis=0))
    for name, mean, pairs in (("data", own.mean(axis=0), covariance), ("model", *moments[:2])):
        add(group, f"{name}_mean", mean, Quantity("1", f"mean of visible units, {name}", "<v_i>", "<v>"), visible)
        if machine.visible <= FEW_VISIBLE:
            quantity = Quantity("1", f"covariance of visible units, {name}", "<v_i v_j> - <v_i><v_j>", "C")
            add_packed(group, f"{name}_covariance", pairs, quantity, visible, other)


def _moments(machine: Machine, samples: Array) -> tuple[Array, Array, str]:
    """Means and covariances of the visible units of the model, and how they were found."""
    n = machine.visible
    if likelihood.side_summed(machine) <= FEW_SUMMED:
        exact = likelihood.moments(machine)
        return exact.mean[:n], exact.correlations[:n, :n] - np.outer(exact.mean[:n], exact.mean[:n]), "exact"
    v = samples[:, :n]
    return v.mean(axis=0), np.cov(v, rowvar=False, ddof=0).reshape(n, n), f"from {len(v)} samples"


def read_training_results(path: Path) -> dict[str, Any]:
    """What tables and pictures of training need: label, facts, epochs, curves, examples, samples, moments.

    Raises StoreError where the file is damaged.
    """
    with open_result(path) as file, damage_told(path):
        ((label, group),) = file["systems"].items()
        found: dict[str, Any] = {
            "label": label,
            "facts": dict(group.attrs),
            "seconds": float(file["timings"].attrs["wall_seconds"]),
        }
        found |= {name: data[()] for name, data in file["training"].items()}
        found.setdefault("swap_rate", np.full(len(found["epoch"]), np.nan))  # of files that did not tell it
        names = ("examples", "samples", "data_mean", "model_mean", "data_covariance", "model_covariance")
        return found | {name: group[name][()] for name in names if name in group}


def evaluated(training: dict[str, Any]) -> NDArray[np.int64]:
    """Places of the epochs at which likelihoods were estimated; training: as `read_training_results` makes it."""
    epoch, known = training["epoch"], np.isfinite(training["log_likelihood"])
    return np.flatnonzero(known | (epoch % int(training["facts"]["evaluate_every"]) == 0) | (epoch == epoch[-1]))


def moment_differences(training: dict[str, Any]) -> tuple[float, float]:
    """Root mean squares of model minus data: of means, and of covariances of pairs (NaN where there are none)."""
    means = training["model_mean"] - training["data_mean"]
    if "data_covariance" not in training or len(means) < 2:
        return float(np.sqrt(np.mean(means**2))), float("nan")
    pairs = np.triu_indices(len(means), 1)
    covariances = training["model_covariance"][pairs] - training["data_covariance"][pairs]
    return float(np.sqrt(np.mean(means**2))), float(np.sqrt(np.mean(covariances**2)))
