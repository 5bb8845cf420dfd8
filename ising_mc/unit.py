"""Units of work, which threads and array tasks take one by one."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Protocol

from ising_mc.words import Sampler, Series


class Chosen(Protocol):
    """What was chosen for a unit, and why."""

    @property
    def update(self) -> str:
        """Name of the update."""

    @property
    def kernel(self) -> str:
        """Name of the kernel."""

    @property
    def reason(self) -> str:
        """Why these."""

    @property
    def warning(self) -> str:
        """What the user should know, or an empty string."""


@dataclass(frozen=True)
class Unit(ABC):
    """The smallest piece of work: the replicas of one word, of one system, at one temperature."""

    system: Any
    temperature: float
    word: int
    replicas: int
    choice: Any

    @property
    def place(self) -> str:
        """The temperature in its key: the shortest decimal that gives back T bit for bit."""
        return f"T{self.temperature!r}"

    @property
    def key(self) -> str:
        """Its name in files, e.g. L32/T2.269/w0000."""
        return f"{self.system.label}/{self.place}/w{self.word:04d}"

    @property
    def ladder(self) -> tuple[float, ...]:
        """Temperatures that it has all of, coldest first, and exchanges."""
        return ()

    @property
    def every(self) -> int:
        """It is cut at multiples of so many sweeps only."""
        return 1

    @property
    def ends(self) -> bool:
        """Whether it comes to its end by itself, maybe before its last sweep."""
        return False

    @property
    def can_share_threads(self) -> bool:
        """Whether several threads can work on it at the same time."""
        return False

    @property
    def attempts_per_sweep(self) -> int:
        """Spin updates attempted in one sweep of all its replicas."""
        return int(self.system.n_sites) * self.replicas * max(1, len(self.ladder))

    @property
    @abstractmethod
    def full_word(self) -> int:
        """Replicas of a word that is full."""

    def wanted(self, series: Series) -> Series:
        """The series of the replicas that were asked for, without those of idle lanes."""
        return series

    @abstractmethod
    def sampler(self, seed: int, threads: int) -> Sampler:
        """Its sampler, not started as yet."""

    @abstractmethod
    def warm_up(self, threads: int) -> None:
        """Compile what its sampler needs, or load it from the cache."""

    @abstractmethod
    def memory_needed(self) -> int:
        """Bytes that its sampler and its tables take, roughly."""
