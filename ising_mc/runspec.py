"""What the descriptions of all kinds of runs have in common."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar


@dataclass(frozen=True, kw_only=True)
class RunSpec(ABC):
    """A run as its file describes it; `seed` is None where the file leaves it out."""

    kind: ClassVar[str]
    name: str
    seed: int | None
    systems: tuple[Any, ...]
    temperatures: tuple[float, ...]
    replicas: int
    thermalization: int
    sweeps: int
    measure_every: int
    checkpoint_seconds: float
    start: str
    warnings: tuple[str, ...]
    text: str = field(repr=False)
    origin: str = ""  # the path of the file

    @property
    def prefix(self) -> str:
        """What an error begins with: the path of the file, where there is one."""
        return f"{self.origin}: " if self.origin else ""

    @property
    def records(self) -> int:
        """Measurements of each replica."""
        return self.sweeps // self.measure_every

    @property
    def amount(self) -> str:
        """How much is to be done, in a few words."""
        return (
            f"{len(self.temperatures)} temperatures x {self.replicas} replicas, "
            f"{self.thermalization} + {self.sweeps} sweeps"
        )

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """What a run is, key by key: all that decides its samples but what may grow."""
