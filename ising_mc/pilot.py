"""Where to put the temperatures of a ladder: by a short run, such that neighbours swap at the same rate everywhere."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ising_mc.isingspec import SamplingSpec
from ising_mc.run import units_of
from ising_mc.words import LANES

ROUNDS = 3  # each starts from the temperatures of the one before
SWEEPS = 1000  # of each round; the first half is thrown away
MOST_SAMPLES = 4  # of a disorder that are tried
DIGITS = 6
Floats = NDArray[np.float64]


def place_temperatures(spec: SamplingSpec) -> SamplingSpec:
    """Put as many temperatures as the grid has between its ends, for uniform swap rates on the largest system.

    Two copies with mean energies E and E' swap the more seldom, the larger (1/T - 1/T') (E' - E); over a small step
    this is the square of a length, so equal lengths make equal rates (Predescu, Predescu and Ciobanu, J. Chem. Phys.
    120, 4119, 2004).  Returns a spec with new temperatures that remembers those `asked` for.
    """
    most = max(system.n_sites for system in spec.systems)
    systems = [system for system in spec.systems if system.n_sites == most][:MOST_SAMPLES]
    temperatures = tuple(sorted(spec.temperatures))
    every = spec.exchange_every
    sweeps = -(-SWEEPS // (2 * every)) * every
    for _ in range(ROUNDS):
        trial = replace(
            spec,
            systems=tuple(systems),
            temperatures=temperatures,
            replicas=max(1, LANES // len(temperatures)),
            measure_every=every,
            observables=(),
        )
        energy = np.zeros(len(temperatures))
        for unit in units_of(trial):
            sampler = unit.sampler(spec.seed or 0, 1)
            sampler.start(spec.seed or 0, f"pilot {unit.system.label}", unit.temperature, 0, "random")
            sampler.sweep(sweeps)
            energy += sampler.record(sweeps // every, every)["energy"].reshape(len(temperatures), -1).mean(axis=1)
        temperatures = evenly(np.array(temperatures), energy)
    return replace(spec, temperatures=temperatures, asked=spec.temperatures)


def evenly(temperatures: Floats, energies: Floats) -> tuple[float, ...]:
    """As many temperatures as there are, coldest first, with equal (1/T - 1/T') (E' - E) between neighbours."""
    squares = np.diff(energies) * -np.diff(1 / temperatures)
    lengths = np.sqrt(np.maximum(squares, 1e-6 * max(squares.max(), 1e-300)))
    place = np.concatenate([[0.0], np.cumsum(lengths)])
    inner = np.interp(np.linspace(0, place[-1], len(place))[1:-1], place, temperatures)
    found = [float(f"{T:.{DIGITS}g}") for T in inner]
    return (float(temperatures[0]), *found, float(temperatures[-1]))
