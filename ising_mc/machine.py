"""Boltzmann machines: E = -1/2 sum_ij J_ij u_i u_j - sum_i b_i u_i of two-state units, visible ones first.

Units are "binary" {0, 1} or "spin" {-1, +1}; Pr(u) = exp(-E(u)/T)/Z (Ackley, Hinton and Sejnowski, Cogn. Sci. 9, 147,
1985).  A *general* machine has any symmetric couplings, a *restricted* one (RBM) couples visible to hidden units only,
a *layered* one (DBM) each layer to the next.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

KINDS = ("general", "restricted", "layered")
UNITS = ("binary", "spin")
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Machine:
    """A machine and its parameters, in float64.

    sizes: units of each layer, visible ones first; of a general machine (visible, hidden).
    weights: restricted: one (n_v, n_h);  layered: one between each layer and the next;  general: one (n, n), symmetric
    with a zero diagonal.  biases: one (size,) a layer; general: one (n,).
    Raises ValueError for shapes that do not fit, and for couplings that are not symmetric or not finite.
    """

    kind: str
    units: str
    sizes: tuple[int, ...]
    weights: tuple[Floats, ...]
    biases: tuple[Floats, ...]

    def __post_init__(self) -> None:
        if self.kind not in KINDS or self.units not in UNITS or (self.kind != "layered" and len(self.sizes) != 2):
            raise ValueError(f"there is no {self.kind} machine of {self.units} units with layers {self.sizes}")
        for name, got, wanted in (("weights", self.weights, self.shapes), ("biases", self.biases, self.bias_shapes)):
            shapes = [own.shape for own in got]
            if shapes != wanted:
                raise ValueError(
                    f"{name} of a {self.kind} machine of {self.sizes} units must be {wanted}, not {shapes}"
                )
            if not all(np.isfinite(own).all() for own in got):
                raise ValueError(f"{name} must be finite numbers")
        if self.kind == "general":
            J = self.weights[0]
            if np.any(J != J.T):
                i, j = np.argwhere(J != J.T)[0]
                raise ValueError(f"weights are not symmetric: ({i}, {j}) is {J[i, j]:g}, ({j}, {i}) is {J[j, i]:g}")
            if np.any(J.diagonal() != 0):
                i = int(np.argmax(J.diagonal() != 0))
                raise ValueError(f"unit {i} is coupled to itself: the diagonal of the weights must be 0")

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the weights."""
        return weight_shapes(self.kind, self.sizes)

    @property
    def bias_shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the biases."""
        return [(self.n,)] if self.kind == "general" else [(size,) for size in self.sizes]

    @property
    def n(self) -> int:
        """Units."""
        return sum(self.sizes)

    @property
    def visible(self) -> int:
        """Visible units."""
        return self.sizes[0]

    @property
    def label(self) -> str:
        """Its name in files, e.g. V784H500."""
        return f"V{self.sizes[0]}" + "".join(f"H{size}" for size in self.sizes[1:] if size)

    @property
    def low(self) -> int:
        """The value of a unit that is off."""
        return 0 if self.units == "binary" else -1

    @property
    def layers(self) -> list[slice]:
        """The units of each layer."""
        ends = np.cumsum((0, *self.sizes)).tolist()
        return [slice(first, end) for first, end in pairwise(ends)]

    @cached_property
    def dense(self) -> tuple[Floats, Floats]:
        """J (n, n) and b (n,)."""
        if self.kind == "general":
            return self.weights[0], self.biases[0]
        J, layers = np.zeros((self.n, self.n)), self.layers
        for W, own, after in zip(self.weights, layers[:-1], layers[1:], strict=True):
            J[own, after], J[after, own] = W, W.T
        return J, np.concatenate(self.biases)

    def inputs(self, states: ArrayLike) -> Floats:
        """lambda_i = b_i + sum_j J_ij u_j of states (..., n)."""
        u = np.asarray(states, np.float64)
        if self.kind == "general":
            return np.asarray(u @ self.weights[0] + self.biases[0])
        found, layers = np.empty(u.shape), self.layers
        for own, bias in zip(layers, self.biases, strict=True):
            found[..., own] = bias
        for W, own, after in zip(self.weights, layers[:-1], layers[1:], strict=True):
            found[..., own] += u[..., after] @ W.T
            found[..., after] += u[..., own] @ W
        return found

    def _pull(self, u: Floats) -> Floats:
        """sum_j J_ij u_j of one state (n,), summed in an order that no library decides."""
        if self.kind == "general":
            return np.asarray(np.einsum("ij,j->i", self.weights[0], u))
        found, layers = np.zeros(self.n), self.layers
        for W, own, after in zip(self.weights, layers[:-1], layers[1:], strict=True):
            found[own] += np.einsum("ij,j->i", W, u[after])
            found[after] += np.einsum("ij,i->j", W, u[own])
        return found

    def energy(self, states: ArrayLike) -> Floats:
        """E of states (..., n)."""
        u = np.asarray(states, np.float64)
        bias = self.biases[0] if self.kind == "general" else np.concatenate(self.biases)
        return np.asarray(-0.5 * np.sum(u * (self.inputs(u) + bias), axis=-1))

    def bonds(self) -> Iterator[tuple[NDArray[np.int64], Floats]]:
        """Pairs of units (m, 2) and their couplings (m,), each pair once; couplings of 0 are left out."""
        layers = self.layers
        if self.kind == "general":
            pairs = np.argwhere(np.triu(self.weights[0]))
            yield pairs, self.weights[0][tuple(pairs.T)]
            return
        for W, own, after in zip(self.weights, layers[:-1], layers[1:], strict=True):
            pairs = np.argwhere(W)
            yield pairs + np.array([own.start, after.start]), W[tuple(pairs.T)]

    def written_as(self, units: str) -> tuple["Machine", float]:
        """The same machine with units of the other kind, and a constant: E of this is E of that plus the constant.

        u = (1 + s)/2 turns one into the other; factors are powers of two, so couplings are exact.
        """
        if units == self.units:
            return self, 0.0
        sums = self._pull(np.ones(self.n))
        half = 0.5 * float(sums.sum())  # sum of J_ij over pairs
        b = self.biases[0] if self.kind == "general" else np.concatenate(self.biases)
        if units == "spin":
            scale, biases, constant = 0.25, b / 2 + sums / 4, -half / 4 - float(b.sum()) / 2
        else:
            scale, biases, constant = 4.0, 2 * b - 2 * sums, -half + float(b.sum())
        weights = tuple(scale * own for own in self.weights)
        return replace(self, units=units, weights=weights, biases=self.split(biases)), constant

    def clamped(self, units: Sequence[int], values: ArrayLike) -> tuple["Machine", float]:
        """The machine of the other units while some are held, and a constant to be added to its energy.

        Raises ValueError for a unit that there is not, or a value that a unit cannot take.
        """
        held, u = np.asarray(units, np.int64), np.zeros(self.n)
        check_clamps(self, held, values)
        u[held] = np.asarray(values, np.float64)
        free = np.setdiff1d(np.arange(self.n), held)
        of_held = self._pull(u)
        b = self.biases[0] if self.kind == "general" else np.concatenate(self.biases)
        constant = float(-0.5 * np.sum(u * (of_held + 2 * b)))
        kept = [free[(free >= own.start) & (free < own.stop)] for own in self.layers]
        sizes = tuple(len(own) for own in kept)
        if self.kind == "general":
            weights: tuple[Floats, ...] = (np.ascontiguousarray(self.weights[0][np.ix_(free, free)]),)
        else:
            places = [own - layer.start for own, layer in zip(kept, self.layers, strict=True)]
            weights = tuple(
                np.ascontiguousarray(W[np.ix_(places[k], places[k + 1])]) for k, W in enumerate(self.weights)
            )
        biases = (b + of_held)[free]
        small = Machine(self.kind, self.units, sizes, weights, split_layers(self.kind, sizes, biases))
        return small, constant

    def split(self, values: Floats) -> tuple[Floats, ...]:
        """Values of all units (n,), one array a layer (general: one of all)."""
        return split_layers(self.kind, self.sizes, values)


def weight_shapes(kind: str, sizes: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Shapes of the weights of a machine."""
    if kind == "general":
        return [(sum(sizes), sum(sizes))]
    return [(sizes[k], sizes[k + 1]) for k in range(len(sizes) - 1)]


def split_layers(kind: str, sizes: tuple[int, ...], values: Floats) -> tuple[Floats, ...]:
    """Values of all units (n,), one array a layer (general: one of all)."""
    if kind == "general":
        return (values,)
    return tuple(np.split(values, np.cumsum(sizes)[:-1]))


def check_clamps(machine: Machine, units: NDArray[np.int64], values: ArrayLike) -> None:
    """Refuse clamps of units that there are not, of one unit twice, or to a value that it cannot take."""
    given = np.asarray(values, np.float64)
    if given.shape != units.shape:
        raise ValueError(f"{len(units)} units are clamped, but there are {given.size} values")
    for unit in units:
        if not 0 <= unit < machine.n:
            raise ValueError(f"unit {unit} cannot be clamped: there are units 0 to {machine.n - 1}")
    if len(np.unique(units)) < len(units):
        raise ValueError("a unit is clamped twice")
    bad = ~np.isin(given, (machine.low, 1))
    if bad.any():
        raise ValueError(
            f"unit {units[bad][0]} cannot be clamped to {given[bad][0]:g}: a {machine.units} unit is {machine.low} or 1"
        )


def random_machine(kind: str, units: str, sizes: tuple[int, ...], scale: float, rng: np.random.Generator) -> Machine:
    """A machine of normal random weights of a standard deviation, and no biases."""
    weights = [scale * rng.standard_normal(shape) for shape in weight_shapes(kind, sizes)]
    if kind == "general":
        upper = np.triu(weights[0], 1)
        weights = [upper + upper.T]
    return Machine(kind, units, sizes, tuple(weights), split_layers(kind, sizes, np.zeros(sum(sizes))))
