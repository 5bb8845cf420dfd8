"""Parameters of Boltzmann machines in files.  Every error is one sentence that names file, array and entry.

Nothing is repaired or assumed: biases that are missing are not taken as zero, and what is wrong is refused.

    general     weights (n, n), visible units first;  biases (n,)
    restricted  weights (n_v, n_h);  biases_visible (n_v,), biases_hidden (n_h,)
    layered     weights_0, weights_1, ... between each layer and the next;  biases_0, biases_1, ... of each layer

Beside them may stand kind, units, and visible (how many units are), as arrays or as attributes of the HDF5 group.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ising_mc.arrayfile import (
    Array,
    DataFileError,
    Group,
    beyond,
    check_room,
    first_true,
    read_group,
    said,
    wrong,
)
from ising_mc.machine import KINDS, UNITS, Machine, weight_shapes

USUAL_GROUP = "model"  # of the result files of training
NAMES = re.compile("weights(_[0-9]+)?|biases(_[0-9]+|_visible|_hidden)?")
TAGS = ("kind", "units", "visible")
ENTRY_BYTES = 12  # of memory that checking and converting a parameter takes


def read_machine(path: Path | str, kind: str, units: str, sizes: tuple[int, ...] | None = None) -> Machine:
    """Read a machine of a kind and of units from arrays as the head of this module lists them.

    path: `file.npz`, `file.h5` (its group `model`, else its root) or `file.h5:group`.
    sizes: units of each layer, (visible, hidden) of a general machine, which the file must agree with.  Without them
    they are those of the arrays; for a general machine the file must then hold `visible`.
    Raises DataFileError for a file that cannot be read, another kind or other units, arrays that are missing or of
    another shape, values that are not finite or beyond +-1e9, couplings that are not symmetric, and units coupled to
    themselves; ValueError for a kind, units or sizes that no machine has.
    """
    for what, choice, choices in (("kind", kind, KINDS), ("units", units, UNITS)):
        if choice not in choices:
            raise ValueError(f"{what} must be one of {', '.join(choices)}, not {choice!r}")
    if sizes is not None and not (len(sizes) > 1 and min(sizes) >= 0 < sizes[0]):
        raise ValueError(f"sizes must be those of the visible units and of each hidden layer, not {sizes}")
    group = read_group(str(path), USUAL_GROUP, NAMES, TAGS)
    place, arrays = group.place, group.arrays
    for tag, asked in (("kind", kind), ("units", units)):
        if group.tags.get(tag, asked) != asked:
            raise DataFileError(f"{place} says {tag} = {group.tags[tag]!r}, but {asked!r} is asked for")
    layers = _layers(group) if kind == "layered" else 2
    weights, biases = _names(kind, layers)
    for key in (*weights, *biases):
        _need(group, key)
    if sizes is None:
        sizes = _sizes(group, kind, weights)
    elif len(sizes) != layers:
        raise DataFileError(f"{place} holds a {kind} machine, of {layers} layers, but {len(sizes)} are asked for")
    for key, shape in zip((*weights, *biases), (*weight_shapes(kind, sizes), *_bias_shapes(kind, sizes)), strict=True):
        if (own := arrays[key].shape) != shape:
            hint = "; transpose it" if len(shape) == 2 and own == shape[::-1] else ""
            of = f"for {' + '.join(map(str, sizes))} units"
            raise DataFileError(f"{place}, array {key}: it must be of shape {shape} {of}, not {own}{hint}")
    if group.tags.get("visible", sizes[0]) != sizes[0]:
        raise DataFileError(f"{place} says visible = {group.tags['visible']!r}, but {sizes[0]} units are to be visible")
    check_room(place, ENTRY_BYTES * sum(own.size for own in arrays.values()))
    for key in (*weights, *biases):
        _check_values(place, key, arrays[key])
    if kind == "general":
        _check_couplings(place, arrays["weights"])
    found = {key: np.ascontiguousarray(arrays[key], np.float64) for key in (*weights, *biases)}
    return Machine(kind, units, sizes, tuple(found[key] for key in weights), tuple(found[key] for key in biases))


def parameters(machine: Machine) -> dict[str, NDArray[np.float64]]:
    """The arrays of a machine, by the names that `read_machine` takes; weights first, shapes as it wants them."""
    weights, biases = _names(machine.kind, len(machine.sizes))
    return dict(zip((*weights, *biases), (*machine.weights, *machine.biases), strict=True))


def save_npz(machine: Machine, path: Path | str) -> None:
    """Write a machine into an .npz file for `read_machine`, with its kind, its units and how many are visible.

    Raises ValueError for another ending, and OSError where the file cannot be written.
    """
    if Path(path).suffix.lower() != ".npz":
        raise ValueError(f"{path} must end in .npz")
    tags = {"kind": np.array(machine.kind), "units": np.array(machine.units), "visible": np.array(machine.visible)}
    arrays: dict[str, Any] = {**parameters(machine), **tags}
    with open(path, "wb") as file:  # given a name, savez may add another ending
        np.savez(file, **arrays)


def _names(kind: str, layers: int) -> tuple[list[str], list[str]]:
    """Names of the weights and of the biases."""
    if kind == "layered":
        return [f"weights_{k}" for k in range(layers - 1)], [f"biases_{k}" for k in range(layers)]
    return ["weights"], ["biases"] if kind == "general" else ["biases_visible", "biases_hidden"]


def _bias_shapes(kind: str, sizes: tuple[int, ...]) -> list[tuple[int, ...]]:
    return [(sum(sizes),)] if kind == "general" else [(size,) for size in sizes]


def _layers(group: Group) -> int:
    """Layers of a layered machine; none must be missing below another."""
    count = 0
    while f"weights_{count}" in group.arrays:
        count += 1
    weights, biases = _names("layered", count + 1)
    if not count or {key for key in group.arrays if key[-1].isdigit()} - {*weights, *biases}:
        _need(group, f"weights_{count}")
    return count + 1


def _need(group: Group, key: str) -> None:
    if key not in group.arrays:
        raise DataFileError(f"{group.place} has no array '{key}'; it holds {group.held}")


def _sizes(group: Group, kind: str, names: list[str]) -> tuple[int, ...]:
    """Sizes as the file has them."""
    shapes = [group.arrays[key].shape for key in names]
    for key, shape in zip(names, shapes, strict=True):
        if len(shape) != 2 or 0 in shape:
            raise DataFileError(f"{group.place}, array {key}: it must be a matrix, not of shape {shape}")
    if kind != "general":
        return (*(shape[0] for shape in shapes), shapes[-1][1])
    n, visible = shapes[0][0], group.tags.get("visible")
    if visible is None:
        raise DataFileError(
            f"{group.place} does not tell how many units are visible: give the numbers of visible and of hidden units"
        )
    if visible not in range(1, n + 1):
        raise DataFileError(f"{group.place} says visible = {visible!r}, but it must be a number from 1 to {n}")
    return int(visible), n - int(visible)


def _check_values(place: str, key: str, values: Array) -> None:
    if (k := first_true(beyond(values))) is not None:
        what = "weight" if key.startswith("weights") else "bias"
        entry = f"({k // values.shape[1]}, {k % values.shape[1]})" if values.ndim == 2 else f"{k}"
        raise DataFileError(f"{place}, array {key}, entry {entry} (counted from 0): {wrong(what, values.flat[k])}")


def _check_couplings(place: str, J: Array) -> None:
    if (k := first_true(J != J.T)) is not None:
        i, j = divmod(k, len(J))
        raise DataFileError(
            f"{place}, array weights is not symmetric: entry ({i}, {j}) is {said(J[i, j])}, "
            f"entry ({j}, {i}) is {said(J[j, i])}"
        )
    if (k := first_true(J.diagonal() != 0)) is not None:
        raise DataFileError(
            f"{place}, array weights, unit {k} (counted from 0): its coupling to itself must be 0, not {said(J[k, k])}"
        )
