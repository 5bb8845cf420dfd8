"""Long runs of every lattice against exact values: deviations in units of their errors, as in `validation`.

Each test has a false-alarm rate of 1e-4 (both ends of the interval of chi-square); seeds are fixed.  At the end a
temperature that is 3 % wrong must be noticed.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from ising_mc import exact, statistics
from ising_mc.algorithms import choose
from ising_mc.ising import Couplings, Field, System
from ising_mc.lattices import Lattice
from ising_mc.validation import CERTAIN, deviation, specific_heat, sum_of_squares
from ising_mc.words import Series

LEVEL = 1e-4
Exact = Callable[[float], exact.Thermodynamics]


def lattice(kind: str, *size: int, periodic: bool = True) -> Lattice:
    return Lattice(kind, size, (periodic,) * (0 if kind in ("random_regular", "complete") else len(size)))


def run(system: System, T: float, kernel: str, sweeps: int = 8000, seed: int = 5) -> Series:
    """64 replicas, half of them from each start, after 1000 sweeps."""
    choice = choose(system, T, 64, kernel=kernel)
    sampler = choice.sampler(system, seed, (), T, 64, 1)
    sampler.start(seed, f"physics {system.label}", T, 0, "mixed")
    sampler.sweep(1000)
    return sampler.record(sweeps, 1)


def strip(kind: str, layers: int, width: int, J: Sequence[float], B: float = 0.0) -> Exact:
    """The lattice with size (layers, width), periodic both ways, by its transfer matrix."""
    whole = Lattice(kind, (3, width), (True, True)).graph()  # of three layers: which bonds lead from one to the next
    basis = whole.n_sites // (3 * width)
    own = width * basis
    layer = whole.bonds // own
    inside = (layer[:, 0] == layer[:, 1]) & (layer[:, 0] == 0)
    upward = (layer[:, 0] == 0) & (layer[:, 1] == 1)
    downward = (layer[:, 0] == 1) & (layer[:, 1] == 0)
    between = np.concatenate([whole.bonds[upward] % own, whole.bonds[downward][:, ::-1] % own])
    couplings = np.asarray(J)
    J_between = np.concatenate([couplings[whole.axis[upward]], couplings[whole.axis[downward]]])
    return lambda T: exact.transfer_matrix(
        T, layers, own, whole.bonds[inside], between, couplings[whole.axis[inside]], J_between, B
    )


def cube(T: float) -> exact.Thermodynamics:
    """3 x 3 x 3, periodic: layers of 3 x 3 sites."""
    layer = lattice("square", 3, 3).graph().bonds
    return exact.transfer_matrix(T, 3, 9, layer, [(i, i) for i in range(9)])


CASES: dict[str, tuple[System, Exact, tuple[float, ...]]] = {
    "chain in a field": (
        System(lattice("chain", 50), field=Field(B=0.3)),
        lambda T: exact.chain(T, 50, 1.0, 0.3),
        (1.0, 1.6, 2.5, 4.0),
    ),
    "open chain in a field": (
        System(lattice("chain", 33, periodic=False), Couplings(J=(-1.0,)), Field(B=-0.5)),
        lambda T: exact.chain(T, 33, -1.0, -0.5, periodic=False),
        (1.0, 1.6, 2.5, 4.0),
    ),
    "cube": (System(lattice("cubic", 3, 3, 3)), cube, (3.0, 4.0, 4.5, 5.0, 7.0)),
    "triangular": (
        System(lattice("triangular", 12, 5)),
        strip("triangular", 12, 5, (1.0, 1.0, 1.0)),
        (2.5, 3.2, 3.64, 4.2, 6.0),
    ),
    "triangular antiferromagnet": (
        System(lattice("triangular", 12, 6), Couplings(J=(-1.0,))),
        strip("triangular", 12, 6, (-1.0, -1.0, -1.0)),
        (0.6, 0.8, 1.2, 2.0),
    ),
    "triangular, anisotropic, in a field": (
        System(lattice("triangular", 9, 4), Couplings(J=(1.0, 0.5, -0.7)), Field(B=0.4)),
        strip("triangular", 9, 4, (1.0, 0.5, -0.7), 0.4),
        (1.5, 2.0, 3.0, 5.0),
    ),
    "honeycomb": (
        System(lattice("honeycomb", 10, 3)),
        strip("honeycomb", 10, 3, (1.0, 1.0, 1.0)),
        (1.2, 1.52, 1.8, 2.5),
    ),
    "square, anisotropic": (
        System(lattice("square", 12, 16), Couplings(J=(1.3, 0.7))),
        lambda T: exact.kaufman(T, (12, 16), (1.3, 0.7)),
        (1.8, 2.2, 2.6, 3.5),
    ),
    "complete": (
        System(lattice("complete", 60)),
        lambda T: exact.Thermodynamics(
            np.array(0.0),
            exact.curie_weiss(T, 60)["energy_per_site"],
            exact.curie_weiss(T, 60)["specific_heat"],
        ),
        (0.7, 0.9, 1.0, 1.2, 2.0),
    ),
}
KERNELS = [
    (name, kernel) for name in CASES for kernel in (("dense", "sparse") if name == "complete" else ("packed", "sparse"))
]


def deviations(name: str, kernel: str, beta_error: float = 1.0) -> list[float]:
    system, truth, temperatures = CASES[name]
    found = []
    for T in temperatures:
        energy = run(system, T / beta_error, kernel)["energy"].astype(float)
        values = truth(T)
        found.append(deviation(statistics.mean(energy / system.n_sites), float(values.energy)))
        found.append(deviation(specific_heat(energy, system.n_sites, T), float(values.specific_heat)))
    return found


@pytest.mark.parametrize(("name", "kernel"), KERNELS, ids=[f"{name}, {kernel}" for name, kernel in KERNELS])
def test_energy_and_specific_heat(name: str, kernel: str) -> None:
    found = deviations(name, kernel)
    assert sum_of_squares(found).p_value > LEVEL, np.round(found, 2)


@pytest.mark.parametrize("name", ["cube", "triangular", "honeycomb"])
def test_a_wrong_beta_is_noticed(name: str) -> None:
    assert sum_of_squares(deviations(name, "packed", 1.03)).p_value < CERTAIN


def test_magnetization_of_the_complete_graph() -> None:
    """Curie-Weiss: |m| of finite N, which tends to m = tanh(m/T)."""
    found = []
    n = 1000
    for T in (0.5, 0.8, 1.1, 1.5):
        m = np.abs(run(System(lattice("complete", n)), T, "dense", sweeps=1500)["magnetization"]) / n
        found.append(deviation(statistics.mean(m), float(exact.curie_weiss(T, n)["abs_magnetization_per_site"])))
        if T < 1:
            assert abs(m.mean() - exact.mean_field_magnetization(T)) < 10 / n
    assert sum_of_squares(found).p_value > LEVEL, np.round(found, 2)


@pytest.mark.parametrize(("kind", "size"), [("square", (12, 12)), ("cubic", (6, 6, 6))])
def test_energy_on_the_nishimori_line(kind: str, size: tuple[int, ...]) -> None:
    """Averaged over samples the energy of a bond is -J tanh(J/T), exactly, on any lattice; p = 0.8."""
    p, samples = 0.8, 40
    T = exact.nishimori_temperature(p)
    energies = []
    for k in range(samples):
        system = System(lattice(kind, *size), Couplings("pm_j", p=p), sample=k)
        energies.append(run(system, T, "packed", sweeps=2000)["energy"].mean() / system.shape.n_bonds)
    error = np.std(energies, ddof=1) / np.sqrt(samples)
    truth = exact.nishimori_energy_per_bond(p)
    assert abs(np.mean(energies) - truth) < 4.5 * error  # Student's t of 39: 6e-5
    assert error < 0.03 * abs(truth)


def test_residual_entropy_of_the_triangular_antiferromagnet() -> None:
    """S(T -> 0) = ln 2 + beta e - integral of e over beta; 0.3230659 a site in the infinite lattice (Wannier 1950).

    Finite lattices have more, by an amount that goes with 1/N: two sizes are extrapolated.
    """
    top = 3.4  # beta at which excitations add beta (e + 1) = 1e-4
    nodes, weights = np.polynomial.legendre.leggauss(24)
    betas, weights = top * (nodes + 1) / 2, top * weights / 2
    found = []
    for size in (12, 24):
        system = System(lattice("triangular", size, size), Couplings(J=(-1.0,)))
        runs = [run(system, 1 / beta, "packed", 2000)["energy"].astype(float) / size**2 for beta in (*betas, top)]
        energies = np.array([own.mean() for own in runs])
        errors = np.array([statistics.mean(own).error for own in runs])
        entropy = np.log(2) + top * energies[-1] - np.sum(weights * energies[:-1])
        found.append((entropy, np.sqrt((top * errors[-1]) ** 2 + np.sum((weights * errors[:-1]) ** 2))))
    (small, small_error), (large, large_error) = found
    entropy, error = large - (small - large) / 3, np.hypot(4 / 3 * large_error, small_error / 3)
    assert error < 4e-4
    assert abs(entropy - 0.3230659) < 4 * error + 2e-4  # false alarms: 6e-5
    assert small - 0.3230659 > 10 * error  # without the extrapolation it would not do
