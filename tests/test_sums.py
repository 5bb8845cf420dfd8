"""Products with matrices of two-state units, and free energies of units that turn, against plain sums in float64."""

import numpy as np
import pytest
from numpy.typing import NDArray

from ising_mc.kernels import contrastive, sums

SHAPES = [(1, 1, 1), (3, 32, 32), (5, 64, 96), (7, 33, 31), (130, 31, 65), (2, 100, 257)]


def units(shape: tuple[int, int], spin: bool, rng: np.random.Generator) -> NDArray[np.float32]:
    return np.where(rng.random(shape) < 0.5, -1 if spin else 0, 1).astype(np.float32)


def near(found: NDArray[np.float32], exact: NDArray[np.float64], terms: int) -> bool:
    """Whether float32 sums of so many terms of size 1 are right: a few roundings for each of them at most."""
    return bool(np.abs(found - exact).max() < 2**-24 * 20 * (terms + 4))


@pytest.mark.parametrize("spin", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_products_are_those_of_matrices(shape: tuple[int, int, int], spin: bool) -> None:
    rows, n, m = shape
    rng = np.random.default_rng(1)
    left, W = units((rows, n), spin, rng), rng.standard_normal((n, m)).astype(np.float32)
    out = np.full((rows, m), np.nan, np.float32)
    sums.times(left, W, out, spin)
    assert near(out, left.astype(float) @ W, n)
    right = rng.standard_normal((rows, m)).astype(np.float32)
    turned = np.full((n, m), np.nan, np.float32)
    sums.turned_times(left, right, turned, spin)
    assert near(turned, left.T.astype(float) @ right, rows)
    if n > 1:
        wrong = left.copy()
        wrong[-1, -1] = (-1 if spin else 0) if wrong[-1, -1] == 1 else 1  # the last unit is seen
        assert not near(out, wrong.astype(float) @ W, n)


@pytest.mark.parametrize("shape", [(1, 1), (16, 5), (37, 64), (100, 3)])
def test_matrices_are_transposed(shape: tuple[int, int]) -> None:
    W = np.random.default_rng(2).standard_normal(shape).astype(np.float32)
    assert np.array_equal(sums.transposed(W), W.T)


@pytest.mark.parametrize("spin", [False, True])
@pytest.mark.parametrize("hidden", [1, 64, 70, 5000])
def test_free_energies_of_units_that_turn(hidden: int, spin: bool) -> None:
    rng = np.random.default_rng(3)
    inputs = (8 * rng.standard_normal((20, hidden))).astype(np.float32)
    inputs[:, 0] = np.linspace(-60, 60, 20)  # the exponential saturates
    biases, W = (rng.standard_normal(shape).astype(np.float32) for shape in ((hidden,), (4, hidden)))
    which, change = rng.integers(0, 4, 20), np.where(rng.random(20) < 0.5, -1, 1).astype(np.float32)
    found = np.empty(20)
    contrastive.cost_of_turning(inputs, biases, W, which, change, spin, found)

    def free(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(-(np.logaddexp(x, -x) if spin else np.logaddexp(0, x)).sum(axis=1))

    before = inputs.astype(float) + biases
    exact = free(before + change[:, None] * W[which]) - free(before)
    room = 2e-6 * hidden + 1e-5
    assert np.abs(found - exact).max() < room
    assert np.abs(found + exact).max() > 100 * room
