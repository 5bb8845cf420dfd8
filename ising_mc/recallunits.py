"""Units of work of the Hopfield network: up to 64 recalls of one network at one temperature."""

import threading
from dataclasses import dataclass, replace

from ising_mc import hopfield
from ising_mc.hopfield import Network, learn
from ising_mc.reader import SpecError
from ising_mc.recall import RecallSampler
from ising_mc.recallspec import RecallSpec
from ising_mc.unit import Unit
from ising_mc.words import LANES

_LEARNING = threading.Lock()  # a network learns once, not in each thread
EXAMPLE_UNITS, EXAMPLE_PATTERNS = 8, 2


@dataclass(frozen=True)
class Way:
    """How a network is updated, how its local fields are known, and why."""

    update: str
    kernel: str
    reason: str
    warning: str = ""


@dataclass(frozen=True)
class RecallUnit(Unit):
    """The recalls of one word."""

    system: Network
    choice: Way
    total: int = 0  # recalls of all words
    assert_descent: bool = False
    watch_all: bool = False

    @property
    def ends(self) -> bool:
        """Whether it comes to its end by itself, maybe before its last sweep."""
        return self.temperature == 0

    @property
    def can_share_threads(self) -> bool:
        """Whether several threads can work on it at the same time."""
        return True

    @property
    def full_word(self) -> int:
        """Replicas of a word that is full."""
        return self.replicas

    def sampler(self, seed: int, threads: int) -> RecallSampler:
        """Its sampler, with its cues.

        Raises ValueError where the network cannot hold its patterns.
        """
        with _LEARNING:
            synapses = learn(self.system.learnt, self.choice.kernel, seed)
        sampler = RecallSampler(
            self.system,
            synapses,
            self.temperature,
            self.replicas,
            threads,
            self.total,
            self.assert_descent,
            self.watch_all,
        )
        sampler.start(seed, self.system.label, self.temperature, self.word)  # cues are not part of the state
        return sampler

    def warm_up(self, threads: int) -> None:
        """Compile what its sampler needs, or load it from the cache."""
        rule = "covariance" if self.system.rule == hopfield.GIVEN else self.system.rule
        small = Network(EXAMPLE_UNITS, EXAMPLE_PATTERNS, rule, update=self.system.update, sample=0)
        unit = replace(self, system=small, replicas=1, word=0)
        sampler = unit.sampler(0, threads)
        sampler.start(0, small.label, self.temperature, 0)
        sampler.record(1, 1)

    def memory_needed(self) -> int:
        """Bytes that its sampler and its tables take, roughly."""
        return hopfield.memory_needed(self.system, self.choice.kernel)


def recall_units(spec: RecallSpec) -> list[RecallUnit]:
    """All units of a run, network by network, temperature by temperature.

    Raises SpecError where a network cannot be updated as it is asked for.
    """
    units = []
    copies = min(hopfield.KEPT + 1, len({network.learnt for network in spec.systems}))
    for network in spec.systems:
        try:
            kernel, reason = hopfield.choose(network, spec.kernel, copies)
        except ValueError as error:
            raise SpecError(f"{spec.prefix}{error}") from error
        for T in spec.temperatures:
            warning = ""
            if T and network.update == "synchronous":
                warning = (
                    "network.update = 'synchronous' at T > 0 samples the distribution of Little's model, not "
                    "Boltzmann's; 'random' and 'sequential' sample that"
                )
            way = Way(network.update, kernel, f"{reason}; {network.update} updates", warning)
            for word in range(-(-spec.replicas // LANES)):
                replicas = min(LANES, spec.replicas - word * LANES)
                units.append(
                    RecallUnit(network, T, word, replicas, way, spec.replicas, spec.assert_descent, spec.all_overlaps)
                )
    return units
