"""Learning rules of Hopfield networks: from patterns xi^mu_i = +1 or -1 to couplings J_ij, with J_ii = 0.

hebb: J_ij = (1/N) sum_mu xi_i xi_j (Hopfield, PNAS 79, 2554, 1982).
covariance: J_ij = (1/N) sum_mu (xi_i - b)(xi_j - b) for patterns of mean b (Amit, Gutfreund, Sompolinsky, Phys. Rev. A
35, 2293, 1987).
clipped: J_ij = (sqrt(P)/N) sign(sum_mu xi_i xi_j) (Sompolinsky, Phys. Rev. A 34, 2571, 1986).
pseudo_inverse: J_ij = (1/N) sum_mu,nu xi_i^mu (C^-1)_mu,nu xi_j^nu, C the overlaps of the patterns (Personnaz, Guyon,
Dreyfus, J. Physique Lett. 46, L359, 1985); every pattern is then a fixed point, while P < N.
storkey: one pattern after the other, dJ_ij = (1/N) (xi_i xi_j - xi_i h_ji - h_ij xi_j), h_ij the local field of i
without i and j (Storkey, ICANN 1997).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from threadpoolctl import threadpool_limits

from ising_mc.kernels.recall import hebb_rows

RULES = ("hebb", "storkey", "pseudo_inverse", "clipped", "covariance")
INTEGER_RULES = ("hebb", "clipped")
NOTHING = 1e-12
DEPENDENT = 1e-9  # an eigenvalue of the overlaps below which patterns count as linearly dependent
Patterns = NDArray[np.int8]  # (P, N) of +1 and -1
Floats = NDArray[np.float64]
Integers = NDArray[np.integer]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums of real numbers that do not depend on how many threads there are."""
    with threadpool_limits(1, "blas"):
        yield


def hebb_sums(patterns: Patterns) -> Integers:
    """sum_mu xi_i^mu xi_j^mu, (N, N) int16 (int32 from 2**15 patterns on) with a zero diagonal: exact."""
    count, n = patterns.shape
    sums = np.zeros((n, n), np.int16 if count < 2**15 else np.int32)
    hebb_rows(packed_units(patterns), count, 0, sums)
    return sums


def packed_units(patterns: Patterns) -> NDArray[np.uint64]:
    """The values of each unit in all patterns as bits, (N, words)."""
    count, n = patterns.shape
    bits = np.zeros((n, -(-count // 64) * 64), np.uint8)
    bits[:, :count] = patterns.T > 0
    return np.packbits(bits, axis=1, bitorder="little").view(np.uint64)


def covariance(patterns: Patterns, mean: float) -> Floats:
    """Couplings (N, N) of the covariance rule; mean: the b that is taken from each value."""
    own = patterns - mean
    with _one_thread():
        J = own.T @ own / patterns.shape[1]
    np.fill_diagonal(J, 0.0)
    return np.asarray(J)


def pseudo_inverse(patterns: Patterns) -> Floats:
    """Couplings (N, N) of the projection rule.

    Raises ValueError where the patterns are linearly dependent.
    """
    count, n = patterns.shape
    own = patterns.astype(np.float64)
    with _one_thread():
        overlaps = own @ own.T / n
        values, vectors = linalg.eigh(overlaps)
        if values[0] < DEPENDENT * values[-1]:
            rank = int(np.count_nonzero(values >= DEPENDENT * values[-1]))
            raise ValueError(
                f"the pseudo-inverse rule holds linearly independent patterns only, but of these {count} of {n} units "
                f"only {rank} are: leave out the others"
            )
        half = (vectors / np.sqrt(values)).T @ own  # J = half.T half / N is symmetric to the last bit
        J = linalg.blas.dsyrk(1 / n, half, trans=1)
    J[np.abs(J) < NOTHING] = 0.0  # as many patterns as units leave nothing but rounding beside the diagonal
    return _mirrored(J)


def storkey(patterns: Patterns, before: Floats | None = None) -> Floats:
    """Couplings (N, N) of Storkey's rule; before: couplings to which the patterns are added, in their order."""
    n = patterns.shape[1]
    J = np.zeros((n, n), order="F") if before is None else np.array(before, np.float64, order="F")
    with _one_thread():
        for own in patterns.astype(np.float64):
            # without h_ij's own terms: xi_i h_ji + h_ij xi_j = xi_i h_j + h_i xi_j - 2 J_ij
            h = linalg.blas.dsymv(1.0, J, own)
            J *= 1 + 2 / n
            J = linalg.blas.dsyr2(1 / n, own, own / 2 - h, a=J, overwrite_a=True)
            np.fill_diagonal(J, 0.0)
    return _mirrored(J)


def _mirrored(J: Floats) -> Floats:
    """A symmetric matrix with a zero diagonal from its upper half."""
    J = np.triu(J, 1)
    return np.ascontiguousarray(J + J.T)


def couplings(rule: str, patterns: Patterns, mean: float = 0.0) -> Floats:
    """Couplings J (N, N) of a rule.

    rule: one of RULES;  patterns: (P, N) of +1 and -1;  mean: of the values, for the covariance rule.  Raises
    ValueError for patterns that a rule cannot hold.
    """
    count, n = patterns.shape
    if rule == "hebb":
        return np.asarray(hebb_sums(patterns) / n)
    if rule == "clipped":
        return np.asarray(np.sign(hebb_sums(patterns)) * (np.sqrt(count) / n))
    if rule == "covariance":
        return covariance(patterns, mean)
    if rule == "pseudo_inverse":
        return pseudo_inverse(patterns)
    if rule == "storkey":
        return storkey(patterns)
    raise ValueError(f"there is no learning rule '{rule}': {', '.join(RULES)}")


class Memory:
    """Couplings that patterns are added to and removed from, without starting over.

    units: N;  rule: one of RULES but pseudo_inverse, whose couplings all depend on all patterns;  mean: of the values,
    for the covariance rule.  `remove` is for rules whose couplings are sums over patterns: hebb, covariance, clipped.
    """

    def __init__(self, units: int, rule: str = "hebb", mean: float = 0.0) -> None:
        if rule not in RULES or rule == "pseudo_inverse":
            raise ValueError(f"patterns cannot be added under the rule '{rule}' without starting over: use `couplings`")
        self.units, self.rule, self.mean, self.count = units, rule, mean, 0
        self._sums: Any = np.zeros((units, units), np.int32 if rule in INTEGER_RULES else np.float64)

    def add(self, patterns: Patterns) -> None:
        """Store patterns, (P, N) of +1 and -1."""
        self._check(patterns)
        patterns = np.asarray(patterns, np.int8)
        if self.rule == "storkey":
            self._sums = storkey(patterns, self._sums)
        else:
            self._sums = self._sums + self._sum(patterns)
        self.count += len(patterns)

    def remove(self, patterns: Patterns) -> None:
        """Take patterns away that were stored before, (P, N) of +1 and -1; which ones these were is not kept.

        Raises ValueError under Storkey's rule, whose couplings depend on the order of the patterns.
        """
        if self.rule == "storkey":
            raise ValueError("patterns stored by Storkey's rule depend on one another and cannot be removed")
        self._check(patterns)
        patterns = np.asarray(patterns, np.int8)
        if len(patterns) > self.count:
            raise ValueError(f"{len(patterns)} patterns cannot be removed: only {self.count} are stored")
        self._sums = self._sums - self._sum(patterns)
        self.count -= len(patterns)

    @property
    def couplings(self) -> Floats:
        """J (N, N) as they are now."""
        if self.rule == "storkey":
            return np.array(self._sums, np.float64)
        if self.rule == "clipped":
            return np.asarray(np.sign(self._sums) * (np.sqrt(self.count) / self.units))
        return np.asarray(self._sums / self.units)

    def _sum(self, patterns: Patterns) -> Any:
        if self.rule in INTEGER_RULES:
            return hebb_sums(patterns)
        return covariance(patterns, self.mean) * self.units

    def _check(self, patterns: Patterns) -> None:
        patterns = np.asarray(patterns)
        if patterns.ndim != 2 or patterns.shape[1] != self.units or not np.all(np.abs(patterns) == 1):
            raise ValueError(f"patterns must be (P, {self.units}) of +1 and -1, not {patterns.shape}")
