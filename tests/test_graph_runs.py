"""Runs of every kernel through the driver: interruption and threads are invisible, and the file says what was run."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers import assert_same, cli, complete, datasets, finish, launch, sampling, segments, write

from ising_mc.algorithms import CRITICAL, choose
from ising_mc.ising import System, realize
from ising_mc.lattices import Lattice
from ising_mc.spec import load

SAVED = 85
HEAD = """
[run]
seed = 11
[grid]
temperatures = [1.5, 2.5]
replicas = {replicas}
[schedule]
thermalization = 20
sweeps = {sweeps}
measure_every = 2
checkpoint_seconds = 0.05
"""
ALL = 'observables = ["staggered_magnetization", "structure_factor", "bond_energies", "overlap", "link_overlap"]'
RUNS = {  # kernel, replicas, sweeps, the rest
    "packed": ("packed", 70, 400, f'[lattice]\nkind = "cubic"\nsize = [4, [4, 6, 2]]\n[measure]\n{ALL}'),
    "packed, +-J": (
        "packed",
        20,
        400,
        '[lattice]\nkind = "cubic"\nsize = 4\n[couplings]\nkind = "pm_j"\ndisorder_samples = 3\n'
        '[measure]\nobservables = ["overlap"]',
    ),
    "packed, anisotropic, in a field": (
        "packed",
        64,
        300,
        '[lattice]\nkind = "triangular"\nsize = [[5, 7]]\nboundary = ["open", "periodic"]\n'
        "[couplings]\nJ = [1.0, 0.5, -0.8]\n[field]\nB = 0.3",
    ),
    "sparse": (
        "sparse",
        70,
        300,
        f'[lattice]\nkind = "square"\nsize = [[4, 6]]\n[couplings]\nkind = "gaussian"\n'
        f'[field]\nkind = "bimodal"\nstrength = 0.4\n[measure]\n{ALL}',
    ),
    "dense": (
        "dense",
        30,
        400,
        '[lattice]\nkind = "complete"\nsize = [40]\n[couplings]\nkind = "gaussian"\ndisorder_samples = 2\n'
        '[measure]\nobservables = ["overlap", "link_overlap"]',
    ),
    "random regular": (
        "packed",
        64,
        300,
        '[lattice]\nkind = "random_regular"\nsize = [50]\ndegree = 5\n[couplings]\nJ = -1.0\ndisorder_samples = 2',
    ),
    "swendsen_wang": (
        "clusters",
        70,
        300,
        f'[lattice]\nkind = "square"\nsize = [6, [4, 8]]\n[measure]\n{ALL}\n[algorithm]\nkind = "swendsen_wang"',
    ),
    "wolff": (
        "clusters",
        70,
        300,
        f'[lattice]\nkind = "cubic"\nsize = [4]\n[measure]\n{ALL}\n[algorithm]\nkind = "wolff"',
    ),
    "wolff, real couplings and fields": (
        "clusters",
        70,
        300,
        '[lattice]\nkind = "square"\nsize = [[4, 6]]\n[couplings]\nkind = "gaussian"\n'
        '[field]\nkind = "bimodal"\nstrength = 0.4\n[algorithm]\nkind = "wolff"',
    ),
    "cycle": (
        "clusters",
        70,
        300,
        f'[lattice]\nkind = "cubic"\nsize = [4]\n[measure]\n{ALL}\n[algorithm]\n'
        'cycle = ["swendsen_wang", {metropolis = 5}, "wolff"]',
    ),
    "cycle with pairs": (
        "packed",
        20,
        300,
        f'[lattice]\nkind = "square"\nsize = [6]\n[couplings]\nkind = "pm_j"\n[measure]\n{ALL}\n[algorithm]\n'
        'cycle = [{heat_bath = 3}, "houdayer"]',
    ),
    "tempering with pairs": (
        "packed",
        20,
        300,
        '[lattice]\nkind = "square"\nsize = [6]\n[couplings]\nkind = "pm_j"\n[tempering]\nhoudayer = true\n'
        '[measure]\nobservables = ["overlap"]',
    ),
    "tempering, packed": (
        "packed",
        18,
        300,
        f'[lattice]\nkind = "square"\nsize = [8]\n[couplings]\nkind = "pm_j"\n[measure]\n{ALL}\n[tempering]\nevery = 2',
    ),
    "tempering, sparse": (
        "sparse",
        40,
        300,
        '[lattice]\nkind = "square"\nsize = [[4, 6]]\n[couplings]\nkind = "gaussian"\n[tempering]\nevery = 1',
    ),
    "tempering, dense": (
        "dense",
        40,
        300,
        '[lattice]\nkind = "complete"\nsize = [40]\n[couplings]\nkind = "gaussian"\n[tempering]\nevery = 4',
    ),
    "packed by sites": (
        "packed_sites",
        2,
        120,
        '[lattice]\nkind = "cubic"\nsize = [[128, 4, 4]]\n[algorithm]\npacking = "sites"',
    ),
}


def text_of(name: str) -> str:
    _, replicas, sweeps, rest = RUNS[name]
    return HEAD.format(replicas=replicas, sweeps=sweeps) + rest + "\n"


@pytest.mark.parametrize("name", RUNS)
def test_threads_and_time_limits_change_nothing(name: str, tmp_path: Path) -> None:
    text = text_of(name)
    one = complete(tmp_path, text, "one", threads=1)
    reference = datasets(one)
    with h5py.File(one) as file:
        assert {system.attrs["kernel"] for system in file["systems"].values()} == {RUNS[name][0]}
    assert_same(complete(tmp_path, text, "three", threads=3), reference)
    path, out = write(tmp_path, text, "cut.toml"), tmp_path / "cut.h5"
    codes = [cli("run", path, "-o", out, "--time-limit", limit, "--quiet").exit_code for limit in (0, 0, 0.02, 0.05)]
    assert SAVED in codes
    assert cli("run", path, "-o", out, "--quiet").exit_code == 0
    assert_same(out, reference)


@pytest.mark.parametrize(
    "name",
    [
        "packed, +-J",
        "sparse",
        "dense",
        "packed by sites",
        "swendsen_wang",
        "wolff",
        "tempering, packed",
        "cycle",
        "cycle with pairs",
    ],
)
def test_a_killed_run_goes_on(name: str, tmp_path: Path) -> None:
    text = text_of(name)
    reference = datasets(complete(tmp_path, text, "whole"))
    path, out = write(tmp_path, text, "killed.toml"), tmp_path / "killed.h5"
    process = launch("run", path, "-o", out)
    sampling(process)
    process.kill()
    finish(process)
    assert cli("run", path, "-o", out, "--quiet").exit_code == 0
    assert_same(out, reference)


SHARED = {
    "packed": '[lattice]\nkind = "cubic"\nsize = [32]',
    "packed, field": '[lattice]\nkind = "cubic"\nsize = [32]\n[field]\nB = 0.5',
    "sparse": '[lattice]\nkind = "square"\nsize = [128]\n[couplings]\nkind = "gaussian"',
    "swendsen_wang": '[lattice]\nkind = "square"\nsize = [128]\n[algorithm]\nkind = "swendsen_wang"',
    "wolff": '[lattice]\nkind = "square"\nsize = [128]\n[algorithm]\nkind = "wolff"',
    "packed by sites": '[lattice]\nkind = "cubic"\nsize = [[128, 128, 128]]\n[algorithm]\npacking = "sites"',
}


@pytest.mark.parametrize("name", SHARED)
def test_threads_that_share_a_system_change_nothing(name: str, tmp_path: Path) -> None:
    text = HEAD.format(replicas=1 if "sites" in name else 40, sweeps=10).replace("[1.5, 2.5]", "[2.5]") + SHARED[name]
    reference = datasets(complete(tmp_path, text, "one", threads=1))
    assert_same(complete(tmp_path, text, "two", threads=2), reference)


def test_another_sample_or_temperature_changes_no_sample(tmp_path: Path) -> None:
    text = text_of("packed, +-J")
    few = text.replace("disorder_samples = 3", "disorder_samples = 2").replace("[1.5, 2.5]", "[2.5]")
    many, alone = datasets(complete(tmp_path, text, "many")), datasets(complete(tmp_path, few, "few"))
    for sample in ("L4_d000", "L4_d001"):
        for series in ("energy", "magnetization", "overlap"):
            key = f"systems/{sample}/timeseries/{series}"
            whole = np.frombuffer(many[key][2], many[key][0]).reshape(many[key][1])
            np.testing.assert_array_equal(whole[1:].tobytes(), alone[key][2])
    assert many["systems/L4_d000/timeseries/energy"] != many["systems/L4_d001/timeseries/energy"]


def test_what_the_file_says_of_disorder(tmp_path: Path) -> None:
    path = write(tmp_path, text_of("dense"))
    out = tmp_path / "run.h5"
    assert cli("run", path, "-o", out, "--quiet").exit_code == 0
    with h5py.File(out) as file:
        assert set(file["systems"]) == {"N40_d000", "N40_d001"}
        assert set(file["disorder"]) == {"N40"}
        for k, system in enumerate(file["systems"].values()):
            assert (system.attrs["family"], system.attrs["disorder_sample"]) == ("N40", k)
            assert (system.attrs["lattice"], system.attrs["couplings"], system.attrs["J_sigma"]) == (
                "complete",
                "gaussian",
                1.0,
            )
            assert system["timeseries/overlap"].shape == (2, 15, 200)
            assert system["timeseries/overlap"].dims[1][0].name.endswith("/pair")
        average = file["disorder/N40"]
        assert average.attrs["samples"] == 2
        for name in ("energy_per_site", "overlap_squared", "specific_heat"):
            both = np.array([system[f"results/{name}"][()] for system in file["systems"].values()])
            errors = np.array([system[f"results/{name}_error"][()] for system in file["systems"].values()])
            np.testing.assert_allclose(average[f"results/{name}"][()], both.mean(0), rtol=1e-12)
            thermal = average[f"results/{name}_thermal_error"][()]
            np.testing.assert_allclose(thermal, np.sqrt((errors**2).sum(0)) / 2, rtol=1e-12)
        q2, q4 = (average[f"results/overlap_{moment}"][()] for moment in ("squared", "fourth"))
        np.testing.assert_allclose(average["results/overlap_binder_ratio"][()], (3 - q4 / q2**2) / 2, rtol=1e-12)
        m2, m4 = (average[f"results/magnetization_{moment}"][()] for moment in ("squared", "fourth"))
        np.testing.assert_allclose(average["results/binder_cumulant"][()], 1 - m4 / (3 * m2**2), rtol=1e-12)
    table = cli("results", out).stdout
    assert "N40: complete 40, 40 sites, J gaussian, mean 0, sigma 1, average over 2 sample(s)" in table
    assert set(json.loads(cli("results", out, "--json").stdout)) == {"N40", "N40_d000", "N40_d001"}


@pytest.mark.parametrize("name", ["packed, anisotropic, in a field", "sparse", "dense", "random regular"])
def test_final_spins_have_the_last_energy(name: str, tmp_path: Path) -> None:
    path = write(tmp_path, text_of(name))
    spec = load(path)
    out = tmp_path / "run.h5"
    assert cli("run", path, "-o", out, "--quiet").exit_code == 0
    with h5py.File(out) as file:
        for system in spec.systems:
            group = file[f"systems/{system.label}"]
            words = group["final/spins"][()]  # (temperature, word, site)
            bits = (words[..., None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
            spins = 2.0 * np.swapaxes(bits, 2, 3).reshape(2, -1, system.n_sites)[:, : spec.replicas] - 1
            energy = realize(system, 11).energy(spins)
            np.testing.assert_allclose(group["timeseries/energy"][..., -1], energy, rtol=1e-6, atol=1e-6)
            np.testing.assert_array_equal(group["timeseries/magnetization"][..., -1], spins.sum(-1))


def test_segments_hold_every_series(tmp_path: Path) -> None:
    path, out = write(tmp_path, text_of("packed").replace("sweeps = 400", "sweeps = 400000000")), tmp_path / "run.h5"
    assert cli("run", path, "-o", out, "--time-limit", 0.3, "--quiet").exit_code == SAVED
    with h5py.File(segments(out)[-1]) as file:
        names: set[str] = set()
        file.visititems(lambda key, item: names.add(key.split("/")[-1]) if isinstance(item, h5py.Dataset) else None)
    assert {"energy", "magnetization", "overlap", "structure_factor_axis2", "bond_energy_axis0", "spins"} <= names


@pytest.mark.parametrize(
    ("kind", "L", "T", "update"),
    [
        ("square", 96, 2.269, "metropolis"), ("square", 128, 2.269, "wolff"), ("square", 128, 2.2, "metropolis"),
        ("square", 128, 2.37, "wolff"), ("square", 128, 2.4, "metropolis"), ("cubic", 24, 4.52, "metropolis"),
        ("cubic", 32, 4.52, "wolff"), ("cubic", 32, 4.5, "metropolis"),
    ],
)  # fmt: skip
def test_auto_takes_clusters_where_they_were_measured_to_win(kind: str, L: int, T: float, update: str) -> None:
    sides = 2 if kind == "square" else 3
    assert choose(System(Lattice(kind, (L,) * sides, (True,) * sides)), T, 64).update == update


@pytest.mark.parametrize("grid", ["[1.5, 2.3, 3.0]", "[2.3, 1.5, 3.0]"])
def test_clusters_near_the_critical_temperature_only(
    grid: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Updates of several kernels in one system: cut and extended, the data are the same; what all have is recorded."""
    Tc, below, above, _ = CRITICAL["square"]
    monkeypatch.setitem(CRITICAL, "square", (Tc, below, above, 24))  # a small lattice will do here
    text = HEAD.format(replicas=70, sweeps=60).replace("[1.5, 2.5]", grid) + '[lattice]\nkind = "square"\nsize = [24]\n'
    reference = datasets(complete(tmp_path, text, "whole"))
    with h5py.File(tmp_path / "whole.h5") as file:
        system = file["systems/L24"]
        updates = dict(zip(system["temperature"][()], system["results/update"].asstr()[()], strict=True))
        assert updates == {1.5: "metropolis", 2.3: "wolff", 3.0: "metropolis"}
        assert set(system["timeseries"]) == {"energy", "magnetization", "specific_heat"}
    path, out = write(tmp_path, text, "cut.toml"), tmp_path / "cut.h5"
    codes = [cli("run", path, "-o", out, "--time-limit", limit, "--quiet").exit_code for limit in (0, 0.01, 0.02)]
    assert SAVED in codes
    assert cli("run", path, "-o", out, "--quiet").exit_code == 0
    assert_same(out, reference)
    complete(tmp_path, text.replace("sweeps = 60", "sweeps = 20"), "extended")
    assert_same(complete(tmp_path, text, "extended"), reference)
    result = cli("plan", path, "-o", tmp_path / "other.h5")
    assert "Wolff from 1% below to 5% above Tc = 2.269" in result.stdout
