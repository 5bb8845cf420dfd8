"""Runs of Boltzmann machines through the driver, against sums over all states; stops and division change nothing.

Deviations are in errors of the result file, halves of 68.27 % intervals, from the scatter of chains.  With 128 chains
5.2 of them are exceeded once in 10^6 cases, with 32 ladders 6 of them once in 10^6, so that a test of up to 80 of these
numbers is wrong less than once in 10^4.  Each of these tests is done again with sums at a temperature 10 % off, and
must fail.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray
from helpers import Data, assert_refused, assert_same, cli, complete, datasets, finish, launch, parts, toml, write
from numpy.typing import NDArray

from ising_mc import exact
from ising_mc.annealfile import best_file
from ising_mc.boltzmann import MachineSystem, make_sampler, realize
from ising_mc.kernels import tempering as kernel
from ising_mc.likelihood import moments
from ising_mc.machine import KINDS, UNITS, Machine, random_machine
from ising_mc.machinechecks import states, words_of
from ising_mc.machinefile import read_machine, save_npz
from ising_mc.spec import load, parse
from ising_mc.tempering import TemperedSampler
from ising_mc.validation import CERTAIN, ONE_SWEEP_LEVEL, ChiSquare, pooled_chi_square
from ising_mc.words import LANES, unpack

SAVED = 85
LIMIT = 5.2  # errors, of 128 chains
LADDER_LIMIT = 6.0  # of 32 ladders
SIZES = {"general": (4, 3), "restricted": (5, 3), "layered": (4, 3, 2)}
TILT = 1.1
BASE = {
    "run": {"seed": "5"},
    "model": {"kind": '"boltzmann"'},
    "machine": {},
    "grid": {"temperatures": "[0.7, 1.4]", "replicas": "128"},
    "schedule": {"thermalization": "100", "sweeps": "300"},
}
Floats = NDArray[np.float64]


def made(kind: str, units: str, seed: int = 1) -> Machine:
    """A small machine with couplings and biases about as large as T."""
    rng = np.random.default_rng(seed)
    scale = 1.2 if units == "binary" else 0.5
    own = random_machine(kind, units, SIZES[kind], scale, rng)
    return replace(own, biases=own.split(0.5 * rng.standard_normal(own.n)))


def text_of(folder: Path, machine: Machine, **changes: str | None) -> str:
    """The run file of a machine, whose parameters are written beside it."""
    save_npz(machine, folder / "machine.npz")
    own = {"machine": {"kind": f'"{machine.kind}"', "units": f'"{machine.units}"', "weights": '"machine.npz"'}}
    return toml(BASE | own, **changes)


Held = tuple[Sequence[int], Sequence[int]]
NOTHING: Held = ((), ())


def deviations(out: Path, label: str, whole: Machine, held: Held = NOTHING, tilt: float = 1.0) -> Floats:
    """How far energy, specific heat, activity and the means of units are from sums over all states, in their errors.

    held: units that are clamped, and their values;  tilt: of the temperatures of the sums.
    """
    free = np.setdiff1d(np.arange(whole.n), held[0])
    small, constant = whole.clamped(*held)
    found: list[Floats] = []
    with h5py.File(out) as file:
        group = file[f"systems/{label}"]
        results = {name: data[()] for name, data in group["results"].items()}
        for t, T in enumerate(group["temperature"][()]):
            own = moments(small, T * tilt)
            means = np.zeros(whole.n)
            means[list(held[0])], means[free] = held[1], own.mean
            wanted = {
                "energy_per_unit": (own.mean_energy + constant) / whole.n,
                "activity_per_unit": means.mean(),
                "specific_heat": own.specific_heat * tilt**2 * small.n / whole.n,
            }
            found += [
                np.atleast_1d((results[name][t] - value) / results[f"{name}_error"][t])
                for name, value in wanted.items()
            ]
            found.append((results["mean_activity"][t] - means)[free] / results["mean_activity_error"][t][free])
            np.testing.assert_array_equal(results["mean_activity"][t][list(held[0])], held[1])
            assert not results["mean_activity_error"][t][list(held[0])].any()
            if tilt == 1.0:
                assert results["log_z"][t] == pytest.approx(own.log_z - constant / T, abs=1e-9)
                assert results["log_z_error"][t] == 0
    return np.abs(np.concatenate(found))  # NaN of units that never turned


def assert_exact(out: Path, label: str, whole: Machine, held: Held = NOTHING, limit: float = LIMIT) -> None:
    """All numbers agree, and would not if the temperature were another."""
    found = deviations(out, label, whole, held)
    assert np.nanmax(found) < limit
    assert np.isfinite(found).mean() > 0.9
    assert np.nanmax(deviations(out, label, whole, held, TILT)) > limit


# --- physics ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("kind", KINDS)
def test_runs_agree_with_sums_over_all_states(kind: str, units: str, tmp_path: Path) -> None:
    machine = made(kind, units)
    assert_exact(complete(tmp_path, text_of(tmp_path, machine)), machine.label, machine)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("general", {"algorithm__kernel": '"blocks"'}), ("general", {"algorithm__kernel": '"dense"'}),
        ("general", {"machine__order": '"random"'}), ("restricted", {"algorithm__kernel": '"dense"'}),
        ("layered", {"algorithm__kernel": '"sparse"'}),
        ("restricted", {"algorithm__kernel": '"blocks"'}),
        ("layered", {"algorithm__kernel": '"blocks"', "schedule__measure_every": "3", "grid__replicas": "100"}),
    ],
)  # fmt: skip
def test_every_kernel_and_order_agrees(kind: str, changes: dict[str, str], tmp_path: Path) -> None:
    machine = made(kind, "binary", seed=2)
    out = complete(tmp_path, text_of(tmp_path, machine, **changes))
    assert_exact(out, machine.label, machine)
    with h5py.File(out) as file:
        wanted = changes.get("algorithm__kernel", '"dense"' if "machine__order" in changes else '"sparse"')
        assert f'"{file[f"systems/{machine.label}"].attrs["kernel"]}"' == wanted


@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("kind", KINDS)
def test_clamped_runs_agree_with_conditional_sums(kind: str, units: str, tmp_path: Path) -> None:
    """One clamp of units of all layers, by the run file."""
    machine = made(kind, units, seed=3)
    held = (0, 2, machine.n - 1), (1, machine.low, 1)
    changes = {"clamp__units": str(list(held[0])), "clamp__values": str(list(held[1]))}
    out = complete(tmp_path, text_of(tmp_path, machine, **changes))
    assert_exact(out, machine.label, machine, held)


@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_a_clamp_file_are_systems(kind: str, units: str, tmp_path: Path) -> None:
    """A row that holds some units, one that holds none, and one that holds all visible units."""
    machine = made(kind, units, seed=4)
    low, free = machine.low, -1 if units == "binary" else 0
    rows = np.full((3, machine.visible), free)
    rows[0, :2], rows[2] = (1, low), np.resize((low, 1, 1), machine.visible)
    (tmp_path / "rows.txt").write_text("\n".join(" ".join(map(str, row)) for row in rows))
    out = complete(tmp_path, text_of(tmp_path, machine, clamp__file='"rows.txt"'))
    for number, row in enumerate(rows):
        units_held = np.flatnonzero(row != free)
        assert_exact(out, f"{machine.label}_c{number:03d}", machine, (units_held.tolist(), row[units_held].tolist()))


@pytest.mark.parametrize("kind", KINDS)
def test_units_without_couplings(kind: str, tmp_path: Path) -> None:
    """Nothing but biases: every kernel does without couplings."""
    machine = made(kind, "spin")
    machine = replace(machine, weights=tuple(np.zeros_like(W) for W in machine.weights))
    for name in ("blocks", "dense", "sparse"):
        changes = {"algorithm__kernel": f'"{name}"', "grid__temperatures": "[0.9]"}
        assert_exact(complete(tmp_path, text_of(tmp_path, machine, **changes), name), machine.label, machine)


@pytest.mark.parametrize("changes", [{}, {"tempering__every": "1", "grid__replicas": "2"}])
def test_extreme_temperatures(changes: dict[str, str], tmp_path: Path) -> None:
    """So cold that no energy ever rises, so hot that nothing is left of them, for couplings that are whole numbers."""
    machine = made("restricted", "spin")
    machine = replace(machine, weights=(np.rint(4 * machine.weights[0]),), biases=machine.split(np.full(8, 1.0)))
    own = text_of(tmp_path, machine, grid__temperatures="[1e-9, 1e9]", **changes)
    with h5py.File(complete(tmp_path, own)) as file:
        energy = file["systems/V5H3/timeseries/energy"][()]
        assert np.all(energy[0] == energy[0, :, :1])
        assert energy[0].min() >= machine.energy(states(8)).min()
        assert len(np.unique(energy[1])) > 8
        log_z = file["systems/V5H3/results/log_z"][()]
        assert log_z[1] == pytest.approx(8 * np.log(2), abs=1e-6)


def test_units_that_never_turn_have_no_error(tmp_path: Path) -> None:
    """How seldom they do is not known; that of a unit that is held is."""
    machine = made("restricted", "spin")
    biases = machine.biases[0] + np.array([40.0, 0, 0, 0, -40.0]), machine.biases[1]
    own = text_of(tmp_path, replace(machine, biases=biases), clamp__units="[1]", clamp__values="[1]")
    with h5py.File(complete(tmp_path, own)) as file:
        results = file["systems/V5H3/results"]
        np.testing.assert_array_equal(results["mean_activity"][:, [0, 1, 4]], [[1, 1, -1]] * 2)
        errors = results["mean_activity_error"][()]
        assert np.isnan(errors[:, [0, 4]]).all()
        assert not errors[:, 1].any()
        assert np.all(errors[:, [2, 3, 5, 6, 7]] > 0)


def test_a_random_machine_is_the_one_that_is_told_of(tmp_path: Path) -> None:
    own = toml(BASE, machine__kind='"restricted"', machine__visible="6", machine__hidden="3", machine__scale="1.5")
    out = complete(tmp_path, own)
    machine = realize(load(tmp_path / "run.toml").systems[0], 5).whole
    assert 1.0 < machine.weights[0].std() < 2.0
    assert_exact(out, "V6H3", machine)
    np.testing.assert_array_equal(read_machine(out, "restricted", "binary").weights[0], machine.weights[0])


def test_larger_machines_have_an_estimated_partition_sum(tmp_path: Path) -> None:
    """21 units on the smaller side are not summed without being asked for; 6 errors, false alarm below 1e-4."""
    machine = random_machine("restricted", "binary", (24, 21), 0.5, np.random.default_rng(8))
    short = {"grid__temperatures": "[1.0]", "schedule__sweeps": "20", "grid__replicas": "4"}
    with h5py.File(complete(tmp_path, text_of(tmp_path, machine, **short))) as file:
        own = file["systems/V24H21"]
        assert own.attrs["log_z"] == "ais"
        found, error = own["results/log_z"][0], own["results/log_z_error"][0]
    with h5py.File(complete(tmp_path, text_of(tmp_path, machine, **short, measure__log_z='"exact"'), "sum")) as file:
        assert file["systems/V24H21"].attrs["log_z"] == "exact"
        assert abs(file["systems/V24H21/results/log_z"][0] - found) < 6 * error
        assert 0 < error < 0.5
    with h5py.File(complete(tmp_path, text_of(tmp_path, machine, **short, measure__log_z='"none"'), "none")) as file:
        assert "log_z" not in file["systems/V24H21/results"]


# --- the Ising model as a machine ---------------------------------------------------------------------------------


@pytest.mark.parametrize("L", [4, 6])
def test_a_square_lattice_as_a_machine(L: int, tmp_path: Path) -> None:
    """Against Kaufman's formula and the engine's own lattice; no two of their runs share random numbers."""
    sites = np.arange(L * L).reshape(L, L)
    lines = [
        f"{i} {j} 1.0" for axis in (0, 1) for i, j in zip(sites.ravel(), np.roll(sites, -1, axis).ravel(), strict=True)
    ]
    (tmp_path / "lattice.txt").write_text("\n".join(lines))
    grid = {"grid__temperatures": "[2.0, 2.6, 4.0]", "schedule__thermalization": "300", "schedule__sweeps": "1000"}
    own = {"machine__kind": '"general"', "machine__units": '"spin"', "machine__graph": '"lattice.txt"'}
    machine = complete(tmp_path, toml(BASE, **own, **grid))
    lattice = complete(tmp_path, toml(BASE | {"model": {"kind": '"ising"'}}, machine__kind=None, **grid,
                                      lattice__size=f"[{L}]", algorithm__kind='"heat_bath"')
                       .replace("[machine]\n", ""), "lattice")  # fmt: skip
    reference = exact.kaufman([2.0, 2.6, 4.0], L)
    wrong = exact.kaufman([2.2, 2.86, 4.4], L)
    with h5py.File(machine) as one, h5py.File(lattice) as other:
        units, spins = one[f"systems/V{L * L}/results"], other[f"systems/L{L}/results"]
        assert one[f"systems/V{L * L}"].attrs["n_bonds"] == 2 * L * L
        for mine, its, name in (
            ("energy_per_unit", "energy_per_site", "energy"), ("specific_heat", "specific_heat", "specific_heat"),
        ):  # fmt: skip
            value, error = units[mine][()], units[f"{mine}_error"][()]
            assert np.abs((value - getattr(reference, name)) / error).max() < LIMIT
            assert np.abs((value - getattr(wrong, name)) / error).max() > LIMIT
            both = np.hypot(error, spins[f"{its}_error"][()])
            assert np.abs((value - spins[its][()]) / both).max() < LIMIT
        assert np.abs(units["activity_per_unit"][()] / units["activity_per_unit_error"][()]).max() < LIMIT
        assert not np.array_equal(one[f"systems/V{L * L}/timeseries/energy"], other[f"systems/L{L}/timeseries/energy"])


def test_graphs_of_one_size_are_machines_of_their_own(tmp_path: Path) -> None:
    """Also in one process, which remembers machines."""
    (tmp_path / "one.txt").write_text("0 1\n1 2\n2 3\n")
    (tmp_path / "other.txt").write_text("0 1\n0 2\n0 3\n")
    drawn = []
    for name in ("one", "other"):
        own = {"machine__kind": '"general"', "machine__graph": f'"{name}.txt"', "machine__scale": "1.5"}
        out = complete(tmp_path, toml(BASE, **own), name)
        drawn.append(realize(load(tmp_path / f"{name}.toml").systems[0], 5).whole)
        assert_exact(out, "V4", drawn[-1])
    pairs = [np.argwhere(np.triu(own.weights[0])).tolist() for own in drawn]
    assert pairs == [[[0, 1], [1, 2], [2, 3]], [[0, 1], [0, 2], [0, 3]]]


# --- tempering ----------------------------------------------------------------------------------------------------

LADDER = np.array([0.7, 1.0, 1.6, 2.5])
K, R = len(LADDER), LANES // len(LADDER)
TEMPERED = {"tempering__every": "1", "grid__temperatures": "[1.6, 0.7, 1.0, 2.5]", "grid__replicas": "32"}


def exact_swap_rates(machine: Machine) -> Floats:
    """Of each temperature of LADDER with the next hotter one."""
    spins = states(machine.n)
    E = machine.energy(spins if machine.units == "spin" else (spins + 1) / 2)
    p = [np.exp(-(E - E.min()) / T) for T in LADDER]
    p = [own / own.sum() for own in p]
    gap = E[:, None] - E
    return np.array(
        [p[t] @ np.minimum(1, np.exp((1 / LADDER[t] - 1 / LADDER[t + 1]) * gap)) @ p[t + 1] for t in range(K - 1)]
    )


@pytest.mark.parametrize("changes", [{}, {"tempering__every": "2", "schedule__measure_every": "4"}])
@pytest.mark.parametrize(("kind", "units"), [("general", "spin"), ("restricted", "binary"), ("layered", "spin")])
def test_tempered_runs_agree_at_every_temperature(
    kind: str, units: str, changes: dict[str, str], tmp_path: Path
) -> None:
    machine = made(kind, units, seed=6)
    out = complete(tmp_path, text_of(tmp_path, machine, **TEMPERED | changes))
    assert_exact(out, machine.label, machine, limit=LADDER_LIMIT)
    with h5py.File(out) as file:
        own = file[f"systems/{machine.label}"]
        places = np.argsort(own["temperature"][()])
        rates, errors = (own[f"tempering/{name}"][()][places][:-1] for name in ("swap_rate", "swap_rate_error"))
        assert np.abs((rates - exact_swap_rates(machine)) / errors).max() < LADDER_LIMIT
        assert own["tempering/round_trips"][()].sum() > 100


def test_tempered_runs_with_units_clamped(tmp_path: Path) -> None:
    machine = made("restricted", "spin", seed=7)
    held = (1, 6), (-1, 1)
    own = TEMPERED | {"clamp__units": "[1, 6]", "clamp__values": "[-1, 1]"}
    assert_exact(complete(tmp_path, text_of(tmp_path, machine, **own)), "V5H3", machine, held, LADDER_LIMIT)


def one_round(machine: Machine, name: str, doctored: float = 1.0) -> list[ChiSquare]:
    """Exact states at all places, swept and swapped twice: the states at each temperature afterwards.

    The lanes start in a random order of places;  doctored: a factor of the energies that swaps see.
    """
    system = MachineSystem(machine.kind, machine.units, machine.sizes, machine, order="sequential")
    inner, _ = make_sampler(system, 1, name, LADDER[0], LANES)
    sampler = TemperedSampler(inner, LADDER, R, 1)
    sampler.start(1, "round", 0.0, 0, "random")
    sampler.ladder.weights *= doctored
    n, rng, spins = machine.n, np.random.default_rng(9), states(machine.n)
    E = machine.energy(spins if machine.units == "spin" else (spins + 1) / 2)
    weights = [np.exp(-(E - E.min()) / T) for T in LADDER]
    totals = [np.cumsum(own / own.sum()) for own in weights]
    counts = np.zeros((K, 1 << n), np.int64)
    state = sampler.ladder.state
    for k in range(1200):
        state[:LANES], state[kernel.CLOCK] = rng.permutation(LANES), k
        sampler._set(state.copy())
        drawn = np.empty(LANES, np.int64)
        for t in range(K):
            drawn[state[t * R : (t + 1) * R].astype(int)] = np.searchsorted(totals[t], rng.random(R))
        sampler.inner.set_spins(words_of(spins[drawn]))
        sampler.sweep(2)
        after = (unpack(sampler.inner.get_spins()).astype(np.int64) << np.arange(n)[:, None]).sum(axis=0)
        for t in range(K):
            counts[t] += np.bincount(after[state[t * R : (t + 1) * R].astype(int)], minlength=1 << n)
    assert state[kernel.ACCEPTED : kernel.ACCEPTED + LANES].any()
    return [
        pooled_chi_square(own, weight / weight.sum() * own.sum()) for own, weight in zip(counts, weights, strict=True)
    ]


@pytest.mark.parametrize("name", ["blocks", "dense", "sparse"])
def test_swaps_leave_the_distribution_of_each_temperature(name: str) -> None:
    """False alarm 4e-5 each; energies per unit in the swaps, a mistake that is easily made, are noticed."""
    for kind in ("general", "restricted"):
        machine = made(kind, "binary", seed=2)
        assert min(test.p_value for test in one_round(machine, name)) > ONE_SWEEP_LEVEL
        assert min(test.p_value for test in one_round(machine, name, 1 / machine.n)) < CERTAIN


# --- division and interruption ------------------------------------------------------------------------------------

RUNS = {
    "plain": ("restricted", {"grid__replicas": "70"}),
    "random order": ("general", {"machine__order": '"random"', "grid__replicas": "70"}),
    "clamped": ("layered", {"clamp__units": "[0, 5]", "clamp__values": "[1, 0]", "schedule__measure_every": "2"}),
    "ladder": ("restricted", TEMPERED),
    "ladder, random order": ("general", TEMPERED | {"machine__order": '"random"', "tempering__every": "2",
                                                    "schedule__measure_every": "2", "schedule__sweeps": "600"}),
}  # fmt: skip
ANNEALED = {
    "grid__temperatures": None, "grid__replicas": None, "schedule__thermalization": None, "schedule__sweeps": None,
    "anneal__schedule": '"geometric"', "anneal__from": "3.0", "anneal__to": "0.1", "anneal__sweeps": "300",
    "anneal__reads": "70",
}  # fmt: skip
OFTEN = {"schedule__checkpoint_seconds": "0.001"}


def run_text(folder: Path, name: str, **changes: str | None) -> str:
    kind, own = RUNS.get(name, ("layered", ANNEALED))
    found = text_of(folder, made(kind, "binary", seed=5), **own | changes)
    return found.replace("[grid]\n", "") if name not in RUNS else found


def interrupted(folder: Path, own: str, reference: Data) -> None:
    """Stop a run as often as it can be, until it is done; it is what it would be without."""
    path, out = write(folder, own, "cut.toml"), folder / "cut.h5"
    codes = []
    while SAVED in codes[-1:] or not codes:
        codes.append(cli("run", path, "-o", out, "--time-limit", 0 if len(codes) < 8 else 60, "--quiet").exit_code)
    assert codes[-1] == 0
    assert len(codes) > 2, "it was hardly stopped"
    assert_same(out, reference)


@pytest.mark.parametrize("name", [*RUNS, "annealing"])
def test_stops_and_threads_change_nothing(name: str, tmp_path: Path) -> None:
    longer = {"schedule__sweeps": "1200"} if name in RUNS else {"anneal__sweeps": "6000"}
    own = run_text(tmp_path, name, **longer, **OFTEN)
    reference = datasets(complete(tmp_path, own, "whole", threads=1))
    assert_same(complete(tmp_path, own, "two", threads=2), reference)
    if name in RUNS:
        (label,) = {key.split("/")[1] for key in reference if key.startswith("systems/")}
        assert f"systems/{label}/final/more/unit_sums" in reference
        assert f"systems/{label}/results/mean_activity" in reference
    interrupted(tmp_path, own, reference)


@pytest.mark.parametrize("name", ["plain", "ladder"])
def test_a_killed_run_goes_on(name: str, tmp_path: Path) -> None:
    """Killed by the system right after its second and after its third segment."""
    own = run_text(tmp_path, name, schedule__sweeps="12000", **OFTEN)
    reference = datasets(complete(tmp_path, own, "whole"))
    program = (
        "import os, signal, ising_mc.store as s\nold, left = s.Store.write_segment, [2]\n"
        "def write(*a):\n    old(*a)\n    left[0] -= 1\n"
        "    left[0] or os.kill(os.getpid(), signal.SIGKILL)\ns.Store.write_segment = write"
    )
    path, out = write(tmp_path, own), tmp_path / "run.h5"
    for _ in range(2):
        code, stderr = finish(launch("run", path, "-o", out, "--quiet", program=program))
        assert code == -9, stderr
        assert parts(out).exists()
    assert_same(complete(tmp_path, own), reference)


@pytest.mark.parametrize("name", RUNS)
def test_more_sweeps_and_temperatures_extend_a_run(name: str, tmp_path: Path) -> None:
    ladder = name.startswith("ladder")
    more = {"schedule__sweeps": "600"} | ({} if ladder else {"grid__temperatures": "[0.5, 0.7, 1.4]"})
    reference = datasets(complete(tmp_path, run_text(tmp_path, name, **more), "at_once"))
    complete(tmp_path, run_text(tmp_path, name, schedule__sweeps="200"))
    if not ladder:
        complete(tmp_path, run_text(tmp_path, name, schedule__sweeps="400", grid__temperatures="[1.4, 0.5, 0.7]"))
    assert_same(complete(tmp_path, run_text(tmp_path, name, **more)), reference)


@pytest.mark.parametrize("name", ["plain", "random order", "clamped"])
def test_other_temperatures_change_nothing(name: str, tmp_path: Path) -> None:
    def at(out: Path, T: float) -> list[bytes]:
        with h5py.File(out) as file:
            (group,) = file["systems"].values()
            t = list(group["temperature"]).index(T)
            wanted = ("timeseries/energy", "timeseries/activity", "results/mean_activity", "final/spins",
                      "final/random_state", "final/more/unit_sums")  # fmt: skip
            return [np.asarray(group[name][t]).tobytes() for name in wanted]

    alone = complete(tmp_path, run_text(tmp_path, name, grid__temperatures="[1.4]"), "alone")
    others = complete(tmp_path, run_text(tmp_path, name, grid__temperatures="[2.0, 1.4, 0.7]"), "others", threads=1)
    assert at(alone, 1.4) == at(others, 1.4)
    assert at(others, 0.7)[0] != at(others, 1.4)[0]


def test_a_changed_run_file_is_refused(tmp_path: Path) -> None:
    path, out = write(tmp_path, run_text(tmp_path, "clamped")), tmp_path / "run.h5"
    complete(tmp_path, run_text(tmp_path, "clamped"))
    for change, name in (
        ({"clamp__values": "[1, 1]"}, "clamp was"), ({"algorithm__kernel": '"dense"'}, "algorithm.kernel was"),
        ({"schedule__thermalization": "50"}, "schedule.thermalization was"), ({"run__seed": "6"}, "run.seed was"),
    ):  # fmt: skip
        write(tmp_path, run_text(tmp_path, "clamped", **change))
        assert_refused(cli("run", path, "-o", out), name, "choose another -o")
    write(tmp_path, run_text(tmp_path, "clamped"))
    save_npz(made("layered", "binary", seed=6), tmp_path / "machine.npz")
    assert_refused(cli("run", path, "-o", out), "machine.weights was")


# --- annealing ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["blocks", "dense", "sparse"])
@pytest.mark.parametrize("kind", ["general", "layered"])
def test_sweep_k_is_done_at_temperature_k(kind: str, name: str) -> None:
    """Bit for bit what samplers of these temperatures do one after the other; a wrong order of them does not."""
    machine = made(kind, "binary")
    system = MachineSystem(kind, "binary", machine.sizes, machine)
    cooling = np.geomspace(4, 0.2, 9)
    one, wrong, step = (make_sampler(system, 1, name, 4.0, LANES)[0] for _ in range(3))
    for sampler in (one, wrong, step):
        sampler.start(1, "cool", 0.0, 0, "random")
    one.cool(cooling)
    wrong.cool(cooling[::-1])
    for T in cooling:
        step.set_temperature(T)
        step.sweep(1)
    assert np.array_equal(one.get_spins(), step.get_spins())
    assert np.array_equal(one.state().random, step.state().random)
    assert not np.array_equal(wrong.get_spins(), step.get_spins())
    np.testing.assert_array_equal(one.record(1, 1)["energy"], step.record(1, 1)["energy"])


SCHEDULES = {
    "geometric": {},
    "linear": {"anneal__schedule": '"linear"'},
    "list": {"anneal__schedule": '"list"', "anneal__temperatures": "[3.0, 1.0, 0.1]", "anneal__from": None,
             "anneal__to": None},
}  # fmt: skip


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("kind", "units"), [("general", "spin"), ("restricted", "binary"), ("layered", "spin")])
def test_annealing_finds_the_ground_state(kind: str, units: str, schedule: str, tmp_path: Path) -> None:
    """All of 70 reads of 300 sweeps missing the lowest of at most 512 energies does not happen."""
    machine = made(kind, units, seed=4)
    held = (1, machine.n - 1), (1, machine.low)
    changes = ANNEALED | SCHEDULES[schedule] | {"clamp__units": str(list(held[0])), "clamp__values": str(list(held[1]))}
    out = complete(tmp_path, text_of(tmp_path, machine, **changes).replace("[grid]\n", ""))
    every = states(machine.n) if units == "spin" else (states(machine.n) + 1) / 2
    energies = machine.energy(every[np.all(every[:, list(held[0])] == held[1], axis=1)])
    ground = energies.min()
    assert machine.energy(every).min() < ground  # so that clamps matter
    with h5py.File(out) as file:
        assert file.attrs["kind"] == "anneal"
        group = file[f"systems/{machine.label}"]
        energy, found = group["energy"][()], group["spins"][()]
        assert energy.shape == (70,)
        assert np.all(found[:, list(held[0])] == held[1])
        np.testing.assert_allclose(energy, machine.energy(found), atol=1e-9)
        assert energy.min() == pytest.approx(ground, abs=1e-9)
        assert group.attrs["best_energy"] == energy.min()
        assert machine.energy(group["best_spins"][()]) == pytest.approx(ground, abs=1e-9)
        assert group["success_probability"][()] == np.mean(energy <= ground + 1e-8)
        assert group["success_probability"][()] > 0.3
    label, value, *values = best_file(out).read_text().splitlines()[1].split()
    assert label == machine.label
    assert float(value) == energy.min()
    assert machine.energy(np.array(values, int)) == pytest.approx(ground, abs=1e-9)


def test_annealing_of_several_clamps(tmp_path: Path) -> None:
    machine = made("restricted", "binary", seed=4)
    np.save(tmp_path / "rows.npy", np.array([[1, -1, -1, -1, -1], [0, 1, 0, 1, 1]]))
    changes = ANNEALED | {"clamp__file": '"rows.npy"', "anneal__target": "-1.0"}
    out = complete(tmp_path, text_of(tmp_path, machine, **changes).replace("[grid]\n", ""))
    every = (states(8) + 1) / 2
    with h5py.File(out) as file:
        for number, row in enumerate(np.load(tmp_path / "rows.npy")):
            group = file[f"systems/V5H3_c{number:03d}"]
            there = every[np.all((every[:, :5] == row) | (row == -1), axis=1)]
            assert group["energy"][()].min() == pytest.approx(machine.energy(there).min(), abs=1e-9)
            assert group["success_probability"][()] == np.mean(group["energy"][()] <= -1.0)
    assert len(best_file(out).read_text().splitlines()) == 3


# --- files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("units", UNITS)
@pytest.mark.parametrize("kind", KINDS)
def test_weights_from_files_give_the_same_samples(kind: str, units: str, tmp_path: Path) -> None:
    """A machine that was drawn, and the same one read from its result file and from an .npz file."""
    sizes = SIZES[kind]
    hidden = str(list(sizes[1:])) if kind == "layered" else str(sizes[1])
    plain = {"machine__kind": f'"{kind}"', "machine__units": f'"{units}"'}
    drawn = {"machine__visible": str(sizes[0]), "machine__hidden": hidden, "machine__scale": "0.8"}
    first = complete(tmp_path, toml(BASE, **plain, **drawn), "drawn")
    save_npz(realize(load(tmp_path / "drawn.toml").systems[0], 5).whole, tmp_path / "own.npz")
    reference = datasets(first)
    sampled = {key for key in reference if "provenance" not in key}
    for name, weights in (("again", "drawn.h5"), ("npz", "own.npz"), ("group", "drawn.h5:model")):
        assert_same(complete(tmp_path, toml(BASE, **plain, machine__weights=f'"{weights}"'), name), reference)
    assert any(key.endswith("timeseries/activity") for key in sampled)
    other = complete(tmp_path, toml(BASE, **plain, **drawn | {"machine__scale": "0.9"}), "other")
    energies = [key for key in reference if key.endswith("timeseries/energy")]
    assert [datasets(other)[key] != reference[key] for key in energies] == [True]


def test_xarray_opens_it_with_named_coordinates(tmp_path: Path) -> None:
    machine = made("restricted", "binary")
    for name, changes in (
        ("plain", {}), ("ladder", TEMPERED), ("clamped", {"clamp__units": "[1]", "clamp__values": "[1]"}),
    ):  # fmt: skip
        out = complete(tmp_path, text_of(tmp_path, machine, **changes), name)
        with xarray.open_datatree(out, engine="h5netcdf") as tree, h5py.File(out) as file:
            node, stored = tree["systems/V5H3"], file["systems/V5H3"]
            for series in ("energy", "activity"):
                assert node[f"timeseries/{series}"].dims == ("temperature", "replica", "sweep")
                np.testing.assert_array_equal(node[f"timeseries/{series}"], stored[f"timeseries/{series}"][()])
            assert node["results/mean_activity"].dims == ("temperature", "unit")
            assert node["results/log_z"].dims == ("temperature",)
            point = node["results/mean_activity"].sel(temperature=0.7, unit=3)
            t = list(stored["temperature"]).index(0.7)
            assert float(point) == stored["results/mean_activity"][t, 3]
            assert node["final/more/unit_sums"].dims[-3] == "word"
            assert tree["model/weights"].shape == (5, 3)
    with h5py.File(tmp_path / "plain.h5") as file:
        for group in (file["systems/V5H3/results"], file["systems/V5H3/timeseries"], file["model"]):
            for data in group.values():
                assert {"units", "long_name", "definition"} <= set(data.attrs)


def test_series_follow_from_the_states(tmp_path: Path) -> None:
    """The last record of each chain is the energy and the activity of its last state, with what is clamped."""
    machine = made("layered", "binary", seed=3)
    own = text_of(tmp_path, machine, clamp__units="[0, 6]", clamp__values="[1, 1]")
    out = complete(tmp_path, own)
    drawn = realize(parse(own, folder=tmp_path).systems[0], 5)
    with h5py.File(out) as file:
        group = file["systems/V4H3H2"]
        for t in range(2):
            spins = 2.0 * np.concatenate([unpack(words).T for words in group["final/spins"][t]]) - 1
            last = drawn.states(spins)
            assert np.all(last[:, [0, 6]] == 1)
            np.testing.assert_allclose(group["timeseries/energy"][t, :, -1], machine.energy(last), atol=1e-6)
            np.testing.assert_array_equal(group["timeseries/activity"][t, :, -1], last.sum(axis=1))
        assert group["timeseries/activity"].dtype.kind == "i"
        assert list(group.attrs["clamped_units"]) == [0, 6]


def test_chains_that_stay_in_their_mode_are_not_equilibrated(tmp_path: Path) -> None:
    """A ferromagnetic machine of spins far below its transition: half of the chains start up and stay there."""
    own = Machine("restricted", "spin", (10, 10), (np.ones((10, 10)),), (np.zeros(10), np.zeros(10)))
    save_npz(own, tmp_path / "w.npz")
    machine = {"kind": '"restricted"', "units": '"spin"', "weights": '"w.npz"'}
    text = toml(BASE, grid__temperatures="[0.3, 100.0]") + "\n[machine]\n"
    text = text.replace("[machine]\n\n", "") + "\n".join(f"{key} = {value}" for key, value in machine.items())
    with h5py.File(complete(tmp_path, text.replace("[machine]\n[", "["))) as file:
        results = file["systems/V10H10/results"]
        assert results["equilibrated"][()].tolist() == [0, 1]
        assert abs(results["activity_per_unit"][1]) < LIMIT * results["activity_per_unit_error"][1]
