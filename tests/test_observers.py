"""What is observed beside energy and magnetization is what the spins say, on every kernel; its averages are exact."""

from dataclasses import replace

import numpy as np
import pytest

from ising_mc import observers
from ising_mc.algorithms import choose
from ising_mc.graphfile import GraphData
from ising_mc.ising import Couplings, Field, FileGraph, FileValues, System, realize
from ising_mc.lattices import Lattice
from ising_mc.observables import analyse
from ising_mc.observers import OBSERVABLES
from ising_mc.preparation import KERNELS
from ising_mc.validation import CERTAIN, deviation, sum_of_squares
from ising_mc.words import Series, unpack

SEED = 4


def lattice(kind: str, *size: int, boundary: tuple[bool, ...] = ()) -> Lattice:
    return Lattice(kind, size, boundary or (True,) * len(size))


def from_file(shape: Lattice, values: np.ndarray) -> System:
    return System(shape, Couplings("file", file=FileValues("J", str(values), values)))


SQUARE = lattice("square", 4, 6)
TWO_MODULI = np.random.default_rng(1).choice([1.0, -1.0, 2.0], SQUARE.n_bonds)
ONE_CONSTANT = np.where(SQUARE.graph().axis == 0, -0.3, np.random.default_rng(2).normal(size=SQUARE.n_bonds))
CASES: dict[str, tuple[System, tuple[str, ...]]] = {
    "square": (System(lattice("square", 4, 6)), OBSERVABLES),
    "square, anisotropic, one open axis": (
        System(lattice("square", 6, 5, boundary=(True, False)), Couplings(J=(1.3, -0.7)), Field(B=0.3)),
        OBSERVABLES,
    ),
    "cubic, +-J": (System(lattice("cubic", 4, 4, 6), Couplings("pm_j", p=0.4), sample=2), OBSERVABLES),
    "cubic, Gaussian": (System(lattice("cubic", 4, 2, 4), Couplings("gaussian"), sample=0), OBSERVABLES),
    "honeycomb": (System(lattice("honeycomb", 3, 4)), OBSERVABLES),
    "triangular, random field": (
        System(lattice("triangular", 3, 7), field=Field("gaussian", 0.5), sample=1),
        tuple(name for name in OBSERVABLES if name != "staggered_magnetization"),
    ),
    "square, two moduli": (from_file(SQUARE, TWO_MODULI), OBSERVABLES),
    "square, one axis constant": (from_file(SQUARE, ONE_CONSTANT), OBSERVABLES),
    "ring of many dimensions": (System(lattice("hypercubic", 12)), ("bond_energies",)),
    "complete, Gaussian": (
        System(Lattice("complete", (30,)), Couplings("gaussian"), sample=0),
        ("overlap", "link_overlap"),
    ),
}
RUNS = [
    (name, kernel)
    for name in CASES
    for kernel in ("packed", "sparse", "dense", "clusters")
    if kernel != "packed" or not KERNELS["packed"].refusal(CASES[name][0])
]


def sublattice(system: System) -> np.ndarray:
    """0 and 1, by walking along the bonds from site 0."""
    bonds = realize(system, SEED).graph.bonds
    side = np.full(system.n_sites, -1)
    side[0] = 0
    while (side < 0).any():
        for i, j in bonds:
            if side[i] >= 0 and side[j] < 0:
                side[j] = 1 - side[i]
            elif side[j] >= 0 and side[i] < 0:
                side[i] = 1 - side[j]
    return side


def brute_force(system: System, spins: np.ndarray, names: tuple[str, ...]) -> Series:
    """From the definitions; spins: (64, n) of +1 and -1."""
    drawn = realize(system, SEED)
    graph = drawn.graph
    products = spins[:, graph.bonds[:, 0]] * spins[:, graph.bonds[:, 1]]
    found = Series()
    for name in names:
        if name == "staggered_magnetization":
            found[name] = spins @ (1 - 2 * sublattice(system))
        elif name == "structure_factor":
            for axis, periodic in enumerate(system.shape.periodic):
                if periodic:
                    k = 2 * np.pi / system.shape.size[axis]
                    wave = spins @ np.exp(1j * k * graph.cells[:, axis])
                    found[f"{name}_axis{axis}"] = np.abs(wave) ** 2 / system.n_sites
        elif name == "bond_energies":
            for axis in range(system.shape.directions):
                own = graph.axis == axis
                found[f"bond_energy_axis{axis}"] = -products[:, own] @ drawn.J[own]
        elif name == "overlap":
            found[name] = (spins[0::2] * spins[1::2]).sum(1)
        else:
            found[name] = (products[0::2] * products[1::2]).sum(1)
    return found


@pytest.mark.parametrize(("name", "kernel"), RUNS, ids=[f"{name}, {kernel}" for name, kernel in RUNS])
def test_series_are_what_the_spins_say(name: str, kernel: str) -> None:
    system, names = CASES[name]
    choice = choose(system, 2.0, 64, KERNELS[kernel].updates[-1], kernel=kernel, names=names)
    sampler = choice.sampler(system, SEED, names, 2.0, 64, 1)
    sampler.start(SEED, "observed", 2.0, 0, "random")
    for every in (1, 2):
        series = sampler.record(1, every)
        spins = 2 * unpack(sampler.get_spins()).astype(np.int64).T - 1  # type: ignore[attr-defined]
        expected = brute_force(system, spins, names)
        improved = {own for own in series if own.startswith("improved") or "cluster" in own}
        assert set(series) - {"energy", "magnetization"} - improved == set(expected)
        for own, values in expected.items():
            np.testing.assert_allclose(series[own][:, 0], values, rtol=1e-6, atol=1e-6, err_msg=own)
        if "bond_energies" in names and system.field.uniform == 0:
            bonds = sum(series[f"bond_energy_axis{axis}"] for axis in range(system.shape.directions))
            np.testing.assert_allclose(bonds, series["energy"], rtol=1e-6, atol=1e-6)


def test_many_measurements_are_in_order() -> None:
    system, names = CASES["cubic, +-J"]
    choice = choose(system, 2.0, 64, names=names)
    whole, single = (choice.sampler(system, SEED, names, 2.0, 64, 1) for _ in range(2))
    for sampler in (whole, single):
        sampler.start(SEED, "observed", 2.0, 0, "random")
    together, one_by_one = whole.record(5, 2), [single.record(1, 2) for _ in range(5)]
    for name, values in together.items():
        np.testing.assert_array_equal(values, np.concatenate([part[name] for part in one_by_one], axis=1))


# --- averages, against enumeration ------------------------------------------------------------------------------


def moments(system: System, T: float) -> dict[str, float]:
    """Exact averages over all states, and over all pairs of states for overlaps."""
    n = system.n_sites
    states = np.arange(1 << n)
    spins = 1 - 2 * ((states[:, None] >> np.arange(n)) & 1)
    weights = np.exp(-(realize(system, SEED).energy(spins)) / T)
    weights /= weights.sum()
    pairs = (spins.T * weights) @ spins  # <s_i s_j>
    found = {"overlap_squared": float((pairs**2).sum()) / n**2}
    fourth = np.einsum("xi,xj,x->xij", spins, spins, weights).reshape(len(states), -1)
    four = fourth.T @ np.einsum("xi,xj->xij", spins, spins).reshape(len(states), -1)  # <s_i s_j s_k s_l>
    found["overlap_fourth"] = float((four**2).sum()) / n**4
    bonds = realize(system, SEED).graph.bonds
    found["link_overlap"] = float((pairs[bonds[:, 0], bonds[:, 1]] ** 2).mean())
    found["magnetization_squared"] = float(pairs.sum()) / n**2
    series = brute_force(system, np.repeat(spins, 2, axis=0), ("staggered_magnetization", "structure_factor"))
    ms = series["staggered_magnetization"][0::2] / n
    found["abs_staggered_magnetization_per_site"] = float(weights @ np.abs(ms))
    sk = float(weights @ series["structure_factor_axis1"][0::2])
    found["structure_factor_axis1"] = sk
    side = system.shape.size[1]
    s0 = n * found["magnetization_squared"]
    found["correlation_length_axis1"] = float(np.sqrt(s0 / sk - 1) / (2 * np.sin(np.pi / side)))
    return found


def deviations(T: float, beta_error: float) -> dict[str, float]:
    system = System(lattice("square", 2, 4), Couplings(J=(0.8, 1.1)))
    names = ("staggered_magnetization", "structure_factor", "overlap", "link_overlap")
    choice = choose(system, T, 64, "heat_bath", names=names)
    sampler = choice.sampler(system, SEED, names, T / beta_error, 64, 1)
    sampler.start(SEED, "averages", T, 0, "mixed")
    sampler.sweep(200)
    series = {name: values.astype(float) for name, values in sampler.record(20000, 1).items()}
    estimates = analyse(series, replace(system.facts, moments=True), T, True).estimates
    return {name: deviation(estimates[name], truth) for name, truth in moments(system, T).items()}


@pytest.mark.parametrize("T", [2.5, 4.0])
def test_averages_are_exact(T: float) -> None:
    """Seven quantities of one run are not independent, so each is tested by itself: 2e-5 each, two-sided."""
    found = deviations(T, 1.0)
    assert len(found) == 7
    assert max(abs(z) for z in found.values()) < 4.3, found
    wrong = deviations(T, 1.03)
    assert min(sum_of_squares([z]).p_value for z in wrong.values()) < CERTAIN


# --- refusals ---------------------------------------------------------------------------------------------------

GRAPH = System(FileGraph("g.txt", "0", GraphData(3, np.array([[0, 1], [1, 2], [0, 2]], np.int32), None)))


@pytest.mark.parametrize(
    ("name", "system", "replicas", "reason"),
    [
        ("staggered_magnetization", System(lattice("square", 4, 5)), 64, "sublattices"),
        ("staggered_magnetization", System(lattice("triangular", 4, 4)), 64, "not bipartite"),
        ("staggered_magnetization", GRAPH, 64, "not bipartite"),
        ("structure_factor", GRAPH, 64, "no periodic axis"),
        ("structure_factor", System(lattice("square", 4, 4, boundary=(False, False))), 64, "no periodic axis"),
        ("bond_energies", GRAPH, 64, "no directions"),
        ("overlap", System(lattice("square", 4, 4)), 1, "two replicas"),
    ],
)
def test_what_cannot_be_observed(name: str, system: System, replicas: int, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        choose(system, 2.0, replicas, names=(name,)).sampler(system, SEED, (name,), 2.0, replicas, 1)


def test_packed_by_sites_nothing_is_observed() -> None:
    system = System(lattice("square", 128, 128))
    for name in OBSERVABLES:
        assert observers.refusal(name, system, 64, "sites")
    with pytest.raises(ValueError, match="packing = 'replicas'"):
        choose(system, 2.0, 64, packing="sites", names=("overlap",))
