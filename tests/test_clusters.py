"""Cluster kernels: slow twins bit for bit, wrong twins that fail, improved estimators, exact energies."""

from collections import deque

import numpy as np
import pytest
from numpy.typing import NDArray

from ising_mc import exact, graphchecks
from ising_mc.algorithms import Choice, choose, is_frustrated
from ising_mc.clusters import ClusterSampler, SwendsenWangSampler, WolffSampler
from ising_mc.graphfile import GraphData
from ising_mc.ising import Couplings, Field, FileGraph, FileValues, System, realize
from ising_mc.kernels import wolff
from ising_mc.lattices import Lattice
from ising_mc.observables import analyse
from ising_mc.preparation import CLUSTER_UPDATES
from ising_mc.statistics import mean
from ising_mc.validation import CERTAIN, ONE_SWEEP_LEVEL, deviation, sum_of_squares
from ising_mc.words import LANES, unpack

TC = 2 / np.log(1 + np.sqrt(2))
SEED = 3


def square(*size: int, periodic: bool = True) -> Lattice:
    return Lattice("square", size, (periodic, periodic))


def random_graph(n: int, share: float, seed: int) -> System:
    """Gaussian couplings and fields on a random graph, some of them 0."""
    rng = np.random.default_rng(seed)
    pairs = np.stack(np.triu_indices(n, 1), 1)
    bonds = pairs[rng.random(len(pairs)) < share].astype(np.int32)
    J, h = rng.normal(size=len(bonds)), rng.normal(size=n)
    J[::5] = 0
    h[::3] = 0
    graph = FileGraph("g", f"g{seed}", GraphData(n, bonds, None))
    couplings = Couplings("file", file=FileValues("J", f"J{seed}", J))
    return System(graph, couplings, Field("file", file=FileValues("h", f"h{seed}", h)))


SYSTEMS: dict[str, tuple[System, float]] = {
    "square": (System(square(8, 8)), TC),
    "two bonds between neighbours": (System(square(2, 5)), 2.0),
    "cubic, +-J": (System(Lattice("cubic", (4, 4, 4), (True,) * 3), Couplings("pm_j"), sample=0), 1.5),
    "cubic, +-J, many classes of sites": (
        System(Lattice("cubic", (8, 8, 8), (True,) * 3), Couplings("pm_j"), sample=0),
        1.5,
    ),
    "triangular antiferromagnet in a field": (
        System(Lattice("triangular", (6, 5), (True, True)), Couplings(J=(-1.0,)), Field(B=0.5)),
        1.2,
    ),
    "open, anisotropic": (System(square(7, 9, periodic=False), Couplings(J=(1.3, -0.4))), 1.5),
    "complete": (System(Lattice("complete", (70,)), Couplings(J=(1.0,))), 0.9),
    "random graph": (random_graph(90, 0.1, 5), 1.0),
    "large": (System(Lattice("cubic", (20, 20, 21), (True,) * 3), field=Field(B=0.05)), 4.5),
}


def sampler_of(name: str, update: str, threads: int = 1, names: tuple[str, ...] = ()) -> ClusterSampler:
    system, T = SYSTEMS[name]
    sampler = Choice(update, "clusters", "").sampler(system, SEED, names, T, LANES, threads)
    assert isinstance(sampler, ClusterSampler)
    sampler.start(SEED, name, T, 0, "mixed")
    return sampler


# --- Swendsen-Wang ------------------------------------------------------------------------------------------------


def clusters_of(n: int, ends: NDArray[np.integer], opened: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The smallest site of the cluster of each site, by walking."""
    neighbours: list[list[int]] = [[] for _ in range(n)]
    for i, j in ends[opened]:
        neighbours[i].append(int(j))
        neighbours[j].append(int(i))
    label = np.full(n, -1)
    for root in range(n):
        todo = [root] if label[root] < 0 else []
        while todo:
            site = todo.pop()
            if label[site] < 0:
                label[site] = root
                todo += neighbours[site]
    return label


@pytest.mark.parametrize("name", [name for name in SYSTEMS if name != "large"])
def test_swendsen_wang_turns_clusters_of_open_bonds(name: str) -> None:
    """From the bonds that the kernel opened and its coins: new spins, improved estimators, sizes."""
    sampler = sampler_of(name, "swendsen_wang")
    assert isinstance(sampler, SwendsenWangSampler)
    sampler.sweep(3)
    before = unpack(sampler.spins).astype(np.int64)
    series = sampler.record(1, 1)
    after, opened, coins = (unpack(x).astype(np.int64) for x in (sampler.spins, sampler.opened[:-1], sampler.coins))
    ends, kinds = sampler.tables.graph[1].astype(int), sampler.tables.graph[3]
    satisfied = (before[ends[:, 0]] ^ before[ends[:, 1]]) == (sampler.tables.weights[kinds] < 0)[:, None]
    assert not np.any(opened.astype(bool) & ~satisfied)
    n = sampler.tables.n
    for lane in range(0, LANES, 7):
        label = clusters_of(n + 1, ends, opened[:, lane].astype(bool))
        turned = np.where(label == 0, 0, coins[label, lane])
        np.testing.assert_array_equal(after[:, lane], before[:, lane] ^ turned)
        spins = 2 * before[1:, lane] - 1
        total = np.bincount(label[1:], spins, n + 1)
        size = np.bincount(label[1:], minlength=n + 1)
        rest = total[1:] ** 2
        second = rest.sum()
        fourth = total[0] ** 4 + 6 * total[0] ** 2 * second + 3 * second**2 - 2 * (rest**2).sum()
        assert series["improved_magnetization_squared"][lane, 0] == total[0] ** 2 + second
        assert series["improved_magnetization_fourth"][lane, 0] == pytest.approx(fourth, rel=1e-12)
        assert series["cluster_size"][lane, 0] == pytest.approx((size**2).sum() / n)
        assert series["largest_cluster"][lane, 0] == size.max()
        assert series["clusters"][lane, 0] == np.count_nonzero(size)


def test_bonds_open_with_their_probabilities() -> None:
    """10^6 decisions for each |J|: 1 - exp(-2|J|/T) within 4.9 standard errors (false alarm 1e-6 each)."""
    sampler = sampler_of("random graph", "swendsen_wang")
    assert isinstance(sampler, SwendsenWangSampler)
    tables = sampler.tables
    ends, kinds = tables.graph[1].astype(int), tables.graph[3]
    tries, opens = np.zeros(len(tables.weights)), np.zeros(len(tables.weights))
    for _ in range(400):
        before = unpack(sampler.spins)
        sampler.sweep(1)
        satisfied = (before[ends[:, 0]] ^ before[ends[:, 1]]) == (tables.weights[kinds] < 0)[:, None]
        np.add.at(tries, kinds, satisfied.sum(1))
        np.add.at(opens, kinds, unpack(sampler.opened[:-1]).sum(1))
    p = -np.expm1(-2 * np.abs(tables.weights) * tables.fixed.unit / SYSTEMS["random graph"][1])
    z = (opens - tries * p) / np.sqrt(tries * p * (1 - p))
    assert np.abs(z).max() < 4.9
    wrong = p * 1.03
    assert np.abs((opens - tries * wrong) / np.sqrt(tries * p * (1 - p))).max() > 10


# --- Wolff --------------------------------------------------------------------------------------------------------


class PlainWolff:
    """One replica, site by site, with the random numbers that the kernel draws."""

    def __init__(self, sampler: WolffSampler, lane: int) -> None:
        self.tables, self.state = sampler.tables, sampler.random[lane].copy()
        self.thresholds = dict(zip(self.tables.moduli.tolist(), sampler.thresholds.tolist(), strict=True))
        self.up = [int(word) >> lane & 1 for word in sampler.spins]
        ends, kinds = self.tables.graph[1].astype(int), self.tables.graph[3]
        self.neighbours: list[list[tuple[int, int]]] = [[] for _ in self.up]
        for (i, j), kind in zip(ends.tolist(), kinds, strict=True):
            for one, other in ((i, j), (j, i)):
                self.neighbours[one].append((other, int(self.tables.weights[kind])))
        self.padding = int(self.tables.neighbours[3])
        self.stock: list[int] = []

    def draw(self, count: int = 1, whole: bool = False) -> list[int]:
        """`whole`: only where so many are in stock."""
        if not self.stock or (whole and len(self.stock) < count):
            drawn = np.zeros(wolff.DRAWN // 2, np.uint64)
            wolff.refill(self.state, drawn)
            self.stock = drawn.view(np.uint32).tolist()
        taken, self.stock = self.stock[:count], self.stock[count:]
        return taken

    def cluster(self) -> tuple[int, int]:
        """Grow and turn one; its size, and its total spin."""
        high, low = self.draw(2, whole=True)
        seed = 1 + int(((high << 32 | low) >> 11) * 2.0**-53 * (len(self.up) - 1))
        found, queue = {seed}, deque([seed])
        while queue and 0 not in found:
            site = queue.popleft()
            own = self.neighbours[site]
            numbers = self.draw(self.padding, whole=True) if self.padding else []
            for k, (other, weight) in enumerate(own):
                number = numbers[k] if self.padding else self.draw()[0]
                satisfied = (self.up[site] == self.up[other]) == (weight > 0)
                if satisfied and other not in found and number < self.thresholds[abs(weight)]:
                    found.add(other)
                    queue.append(other)
        if 0 not in found:
            for site in found:
                self.up[site] ^= 1
        return len(found), sum(2 * self.up[site] - 1 for site in found)


@pytest.mark.parametrize("name", [name for name in SYSTEMS if name != "large"])
def test_wolff_grows_clusters_as_its_twin_does(name: str) -> None:
    sampler = sampler_of(name, "wolff")
    assert isinstance(sampler, WolffSampler)
    sampler.sweep(2)
    sampler.fix(5)
    twins = {lane: PlainWolff(sampler, lane) for lane in range(0, LANES, 9)}
    series = sampler.record(1, 1)
    for lane, twin in twins.items():
        met = [twin.cluster() for _ in range(5)]
        np.testing.assert_array_equal([int(word) >> lane & 1 for word in sampler.spins], twin.up)
        if not sampler.tables.in_field:
            assert series["cluster_size"][lane, 0] == pytest.approx(np.mean([size for size, _ in met]))
            mean = np.mean([total**2 / size for size, total in met])
            assert series["improved_magnetization_squared"][lane, 0] == pytest.approx(sampler.tables.n * mean)


def test_sites_have_classes_where_these_are_few() -> None:
    """The ghost, which has no bonds here, has one of its own."""
    for name, number in (("square", 9), ("cubic, +-J", 64), ("cubic, +-J, many classes of sites", 0)):
        classes = sampler_of(name, "wolff").tables.neighbours[4]
        assert len(np.unique(classes)) <= number + 1
        assert bool(len(classes)) == bool(number)


def test_wolff_twin_notices_a_wrong_threshold() -> None:
    sampler = sampler_of("square", "wolff")
    assert isinstance(sampler, WolffSampler)
    sampler.fix(20)
    twin = PlainWolff(sampler, 0)
    twin.thresholds = {key: int(1.03 * value) for key, value in twin.thresholds.items()}
    sampler.record(1, 1)
    for _ in range(20):
        twin.cluster()
    assert [int(word) & 1 for word in sampler.spins] != twin.up


@pytest.mark.parametrize(
    ("system", "T"),
    [(System(square(32, 32)), T) for T in (2.0, TC, 2.35, 3.0)]
    + [(System(Lattice("cubic", (10, 10, 10), (True,) * 3)), 1 / 0.221654626)],
)
def test_the_number_of_wolff_clusters_visits_every_site_once(system: System, T: float) -> None:
    """On average over a sweep, on both sides of Tc, whatever it started from; later sweeps keep the number.

    Of 64 replicas the thermalization remembers 64 sweeps: the number is known to about 1 %, a fifth of what is allowed.
    A mean of sizes sweep by sweep would be off by 18 to 52 % in four of these cases.
    """
    sampler = Choice("wolff", "clusters", "").sampler(system, SEED, (), T, LANES, 1)
    assert isinstance(sampler, WolffSampler)
    sampler.start(SEED, system.label, T, 0, "up")
    sampler.sweep(400)
    needed = sampler.clusters_needed
    sizes = sampler.record(400, 1)["cluster_size"].mean()
    assert needed * sizes / system.n_sites == pytest.approx(1, abs=0.05)
    assert sampler.clusters_per_sweep == max(1, round(needed))


@pytest.mark.parametrize("update", CLUSTER_UPDATES)
def test_slices_change_no_sample(update: str) -> None:
    one, other = sampler_of("square", update), sampler_of("square", update)
    one.sweep(50)
    for count in (1, 4, 20, 25):
        other.sweep(count)
    whole = one.record(30, 2)
    parts = [other.record(count, 2) for count in (1, 9, 20)]
    for name, values in whole.items():
        np.testing.assert_array_equal(values, np.concatenate([part[name] for part in parts], axis=1))
    np.testing.assert_array_equal(one.state().random, other.state().random)


@pytest.mark.parametrize("update", CLUSTER_UPDATES)
@pytest.mark.parametrize("name", ["square", "random graph", "large"])
def test_threads_change_no_sample(name: str, update: str) -> None:
    one, three = sampler_of(name, update), sampler_of(name, update, threads=3)
    for sampler in (one, three):
        sampler.sweep(5)
    first, second = one.record(4, 2), three.record(4, 2)
    assert first.keys() == second.keys()
    for series in first:
        np.testing.assert_array_equal(first[series], second[series])
    np.testing.assert_array_equal(one.get_spins(), three.get_spins())
    np.testing.assert_array_equal(one.state().random, three.state().random)


# --- physics ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("update", CLUSTER_UPDATES)
@pytest.mark.parametrize("number", range(len(graphchecks.SYSTEMS)))
def test_one_sweep_keeps_the_distribution(number: int, update: str) -> None:
    system, T = graphchecks.SYSTEMS[number]
    check = graphchecks.check_one_sweep(system, T, "clusters", update, 1 << 16)
    assert check.passed, check


@pytest.mark.parametrize("update", CLUSTER_UPDATES)
def test_one_sweep_notices_a_wrong_temperature(update: str) -> None:
    numbers, beta_error = graphchecks.WRONG_BETA[update]
    for number in numbers:
        system, T = graphchecks.SYSTEMS[number]
        check = graphchecks.check_one_sweep(system, T, "clusters", update, 1 << 17, beta_error)
        assert check.passed, check


def test_wolff_that_stops_by_what_it_has_seen_is_noticed() -> None:
    """To stop after N visited sites favours large clusters: the check must fail where the number is not fixed."""
    system, T = graphchecks.SYSTEMS[10]
    sampler = graphchecks.sampler_of(system, T, "clusters", "wolff")
    sampler.fix(3)
    assert graphchecks.one_sweep(sampler, system, T, 1 << 17).p_value > ONE_SWEEP_LEVEL
    sampler.random[LANES] = 0
    assert graphchecks.one_sweep(sampler, system, T, 1 << 17).p_value < CERTAIN


@pytest.mark.parametrize("update", CLUSTER_UPDATES)
@pytest.mark.parametrize("L", [64, 128])
def test_energies_of_large_lattices_against_kaufman(L: int, update: str) -> None:
    """Sum of squared deviations at three temperatures; false alarm 1e-5, and energies 1 % off must be noticed."""
    deviations, wrong = [], []
    for T in (2.1, TC, 2.5):
        sampler = Choice(update, "clusters", "").sampler(System(square(L, L)), SEED, (), T, LANES, 2)
        sampler.start(SEED, f"L{L}", T, 0, "mixed")
        sampler.sweep(100 if L == 64 else 60)
        series = sampler.record(200 if L == 64 else 60, 1)
        own = analyse({k: v.astype(float) for k, v in series.items()}, System(square(L, L)).facts, T, True)
        e = own.estimates["energy_per_site"]
        truth = exact.kaufman(T, (L, L)).energy
        deviations.append(deviation(e, truth))
        wrong.append(deviation(e, 1.01 * truth))
    assert sum_of_squares(deviations).p_value > 1e-5
    assert sum_of_squares(wrong).p_value < CERTAIN


@pytest.mark.parametrize("update", CLUSTER_UPDATES)
def test_improved_estimators_agree_with_plain_ones_and_are_better(update: str) -> None:
    """At Tc: within 4.4 combined errors (false alarm 1e-5 each), and the error of the improved one is smaller.

    Not for the susceptibility by Wolff updates: a sweep is two clusters there, and their sizes scatter much.
    """
    system = System(square(32, 32))
    sampler = Choice(update, "clusters", "").sampler(system, SEED, ("structure_factor",), TC, LANES, 2)
    sampler.start(SEED, "L32", TC, 0, "mixed")
    sampler.sweep(100)
    series = {name: values.astype(float) for name, values in sampler.record(2000, 1).items()}
    found = analyse(series, system.facts, TC, True).estimates
    names = ["susceptibility_symmetric", "structure_factor_axis0", "structure_factor_axis1", "correlation_length_axis0"]
    if update == "swendsen_wang":
        names.append("binder_cumulant")
    for name in names:
        plain, improved = found[name], found[f"{name}_improved"]
        assert abs(plain.value - improved.value) < 4.4 * np.hypot(plain.error, improved.error), name
        assert improved.error < plain.error or (update, name) == ("wolff", "susceptibility_symmetric"), name


def test_binder_cumulant_at_the_critical_point() -> None:
    """U4* = 0.61069 of the square lattice (Kamieniarz and Bloete, J. Phys. A 26, 201, 1993); false alarm 1e-5."""
    system = System(square(64, 64))
    sampler = Choice("swendsen_wang", "clusters", "").sampler(system, SEED, (), TC, LANES, 2)
    sampler.start(SEED, "L64", TC, 0, "mixed")
    sampler.sweep(100)
    series = {name: values.astype(float) for name, values in sampler.record(1500, 1).items()}
    found = analyse(series, system.facts, TC, True).estimates
    for name in ("binder_cumulant", "binder_cumulant_improved"):
        assert abs(found[name].value - 0.61069) < 4.4 * found[name].error + 3e-4, found[name]


# --- what is said of it -------------------------------------------------------------------------------------------


def test_frustration() -> None:
    triangle = Lattice("triangular", (3, 3), (True, True))
    assert not is_frustrated(System(square(4, 4)))
    assert not is_frustrated(System(square(4, 4), Couplings(J=(-1.0,))))
    assert not is_frustrated(System(square(4, 4), Couplings(J=(1.0, -1.0))))
    assert not is_frustrated(System(square(4, 4), field=Field(B=-1.0)))
    assert is_frustrated(System(square(4, 5), Couplings(J=(-1.0,))))
    assert is_frustrated(System(square(4, 4), Couplings(J=(-1.0,)), Field(B=0.5)))
    assert is_frustrated(System(triangle, Couplings(J=(-1.0,))))
    assert is_frustrated(System(square(4, 4), Couplings("pm_j"), sample=0))


@pytest.mark.parametrize("update", CLUSTER_UPDATES)
def test_frustrated_systems_are_warned_of(update: str) -> None:
    frustrated = System(square(4, 5), Couplings(J=(-1.0,)))
    assert "frustrated" in choose(frustrated, 1.0, 64, update).warning
    assert choose(System(square(4, 4), Couplings(J=(-1.0,))), 1.0, 64, update).warning == ""
    with pytest.raises(ValueError, match=r"packed.*metropolis and heat_bath"):
        choose(frustrated, 1.0, 64, update, kernel="packed")
    with pytest.raises(ValueError, match=r"clusters.*swendsen_wang and wolff"):
        choose(frustrated, 1.0, 64, "heat_bath", kernel="clusters")
    with pytest.raises(ValueError, match="sites"):
        choose(System(square(128, 128)), 1.0, 64, update, packing="sites")


def test_the_realization_is_the_one_of_the_other_kernels() -> None:
    """Energies of one state are those that a local kernel gives."""
    for name in ("cubic, +-J", "random graph"):
        system, _ = SYSTEMS[name]
        sampler = sampler_of(name, "swendsen_wang")
        energy = sampler.record(1, 1)["energy"][:, 0]
        spins = 2.0 * unpack(sampler.get_spins()).T - 1
        np.testing.assert_allclose(energy, realize(system, SEED).energy(spins), rtol=1e-6)


def slowness(update: str, sizes: tuple[int, ...]) -> tuple[float, float]:
    """Dynamic exponent z of m^2 at Tc and its error, from tau_int over L."""
    taus, errors = [], []
    for L in sizes:
        expected = 0.35 * L**2.17 if update == "heat_bath" else 5.0
        every = max(1, int(expected / 20))
        system = System(square(L, L))
        sampler = choose(system, TC, LANES, update).sampler(system, SEED, (), TC, LANES, 1)
        sampler.start(SEED, system.label, TC, 0, "up")
        sampler.sweep(int(20 * expected))
        m2 = (sampler.record(int(1500 * expected / every), every)["magnetization"] / L**2) ** 2
        found = mean(m2)
        taus.append(found.tau_int * every)
        errors.append(found.tau_int_error * every)
    weights = np.array(taus) / np.array(errors)
    (z, _), covariance = np.polyfit(np.log(sizes), np.log(taus), 1, w=weights, cov="unscaled")
    return float(z), float(covariance[0, 0] ** 0.5)


def test_dynamic_exponents() -> None:
    """2.17(10) of local updates (Nightingale and Bloete, Phys. Rev. Lett. 76, 4548, 1996), well under 0.5 of clusters.

    Small lattices, whose corrections are within the 0.1; the benchmark goes on to L = 64.
    """
    local, error = slowness("heat_bath", (8, 16, 32))
    assert abs(local - 2.17) < 0.1 + 4.4 * error
    assert error < 0.03
    clusters, error = slowness("swendsen_wang", (8, 16, 32, 64))
    assert clusters + 4.4 * error < 0.5
    assert error < 0.03
