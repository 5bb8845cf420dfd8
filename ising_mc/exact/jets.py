"""Functions of the inverse temperature with two derivatives, and from ln Z to thermodynamics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ising_mc.exact.arguments import FloatArray


@dataclass(frozen=True)
class Thermodynamics:
    """Free energy, energy and specific heat per site, each of the shape of the temperatures."""

    free_energy: FloatArray
    energy: FloatArray
    specific_heat: FloatArray


@dataclass(frozen=True)
class Jet:
    """A function of the inverse temperature and its first two derivatives, which arithmetic carries along."""

    value: FloatArray
    first: FloatArray
    second: FloatArray

    def __add__(self, other: Jet | float) -> Jet:
        if isinstance(other, Jet):
            return Jet(self.value + other.value, self.first + other.first, self.second + other.second)
        return Jet(self.value + other, self.first, self.second)

    def __sub__(self, other: Jet) -> Jet:
        return self + other * -1.0

    def __mul__(self, other: Jet | FloatArray | float) -> Jet:
        if isinstance(other, Jet):
            return Jet(
                self.value * other.value,
                self.first * other.value + self.value * other.first,
                self.second * other.value + 2.0 * self.first * other.first + self.value * other.second,
            )
        return Jet(self.value * other, self.first * other, self.second * other)

    def __truediv__(self, other: Jet) -> Jet:
        quotient = self.value / other.value
        first = (self.first - quotient * other.first) / other.value
        second = (self.second - 2.0 * first * other.first - quotient * other.second) / other.value
        return Jet(quotient, first, second)

    def __matmul__(self, other: Jet) -> Jet:
        return Jet(
            self.value @ other.value,
            self.first @ other.value + self.value @ other.first,
            self.second @ other.value + 2.0 * (self.first @ other.first) + self.value @ other.second,
        )

    def power(self, n: int) -> Jet:
        """To an integer n >= 2, so that a base of zero is allowed."""
        lower = self.value ** (n - 2)
        slope = n * lower * self.value
        curvature = n * (n - 1) * lower * self.first**2
        return Jet(lower * self.value**2, slope * self.first, slope * self.second + curvature)

    def sqrt(self) -> Jet:
        """Where the value is positive."""
        root = np.sqrt(self.value)
        first = self.first / (2.0 * root)
        return Jet(root, first, (self.second / 2.0 - first**2) / root)

    def exp(self) -> Jet:
        """Exponential function."""
        value = np.exp(self.value)
        return Jet(value, value * self.first, value * (self.second + self.first**2))

    def log(self) -> Jet:
        """Natural logarithm."""
        first = self.first / self.value
        return Jet(np.log(self.value), first, self.second / self.value - first**2)

    def log1p(self) -> Jet:
        """Logarithm of 1 + itself, to all digits also where it is small."""
        first = self.first / (1.0 + self.value)
        return Jet(np.log1p(self.value), first, self.second / (1.0 + self.value) - first**2)

    def sum(self) -> Jet:
        """Over the last axis."""
        return Jet(self.value.sum(axis=-1), self.first.sum(axis=-1), self.second.sum(axis=-1))


def decay(rate: float, beta: FloatArray) -> Jet:
    """exp(-rate beta)."""
    value = np.exp(-rate * beta)
    return Jet(value, -rate * value, rate**2 * value)


def growth(rate: float, beta: FloatArray) -> Jet:
    """1 - exp(-rate beta), to all digits also where it is small."""
    rest = decay(rate, beta)
    return Jet(-np.expm1(-rate * beta), -rest.first, -rest.second)


def thermodynamics(T: FloatArray, log_z: Jet, n_sites: int, ground: float) -> Thermodynamics:
    """From ln Z + beta E_0, where E_0 = n_sites * ground was taken out so that no exponential overflows."""
    return Thermodynamics(
        free_energy=np.asarray(ground - T * log_z.value / n_sites),
        energy=np.asarray(ground - log_z.first / n_sites),
        specific_heat=np.asarray(log_z.second / n_sites / T**2),
    )


def where(mask: NDArray[np.bool_], one: Jet, other: Jet) -> Jet:
    """One function where the mask is set, the other where it is not."""
    return Jet(
        np.where(mask, one.value, other.value),
        np.where(mask, one.first, other.first),
        np.where(mask, one.second, other.second),
    )
