"""The result file: its layout, and that what stands in it agrees with itself."""

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray
from helpers import complete, lane_bits, toml

from ising_mc import observables
from ising_mc.observables import BASIC, QUANTITIES

MAIN = {
    "lattice__size": "[4, [5, 6], 7]",
    "grid__replicas": "70",
    "grid__temperatures": "[2.0, 2.5, 9.0]",
    "algorithm__kind": '"auto"',
}
MODELS = {
    "J = 1": {"couplings__J": "1.0"},
    "J = -2, h = 1": {"couplings__J": "-2", "field__B": "0.5", "field__mu": "2"},
    "J = 0.7": {"couplings__J": "0.7"},
    "h = 0.3": {"field__B": "0.3"},
}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return complete(tmp_path_factory.mktemp("result"), toml(**MAIN))


@pytest.fixture
def file(out: Path) -> Iterator[h5py.File]:
    with h5py.File(out) as opened:
        yield opened


def test_what_stands_at_the_top(file: h5py.File) -> None:
    assert (file.attrs["schema_version"], file.attrs["seed"], file.attrs["sweeps"]) == (2, 7, 200)
    assert file.attrs["Conventions"] == "ising_mc-2"
    assert file.attrs["run_file"] == toml(**MAIN)
    assert set(file["systems"]) == {"L4", "L5x6", "L7"}


def test_provenance_and_timings(file: h5py.File) -> None:
    facts = dict(file["provenance"].attrs)
    for name in ("cpu", "host", "commit", "began", "finished", "threads", "version_numpy", "version_numba"):
        assert facts[name], name
    assert facts["threads"] == 2
    assert facts["began"] <= facts["finished"]
    timings = dict(file["timings"].attrs)
    assert all(timings[f"{name}_seconds"] >= 0 for name in ("compile", "sample", "write", "wall"))
    assert timings["flips_per_ns"] > 0


def test_scales_and_shapes(file: h5py.File) -> None:
    for label, size in (("L4", [4, 4]), ("L5x6", [5, 6]), ("L7", [7, 7])):
        system = file[f"systems/{label}"]
        sites = size[0] * size[1]
        assert list(system.attrs["size"]) == size
        assert (system.attrs["n_sites"], system.attrs["n_bonds"]) == (sites, 2 * sites)
        assert system["temperature"][()].tolist() == [2.0, 2.5, 9.0]
        assert system["replica"][()].tolist() == list(range(70))
        assert system["sweep"][()].tolist() == list(range(2, 201, 2))
        assert system["block"][()].tolist() == list(range(10, 201, 10))
        for name, last in (("energy", "sweep"), ("magnetization", "sweep"), ("specific_heat", "block")):
            series = system[f"timeseries/{name}"]
            assert series.shape == (3, 70, len(system[last]))
            scales = [dimension[0].name.split("/")[-1] for dimension in series.dims]
            assert scales == ["temperature", "replica", last]
        assert system["final/done"][()].tolist() == [[220, 220]] * 3


def test_every_data_set_says_what_it_is(file: h5py.File) -> None:
    for system in file["systems"].values():
        for group in (system["timeseries"], system["results"]):
            for name, dataset in group.items():
                for attribute in ("units", "long_name", "definition"):
                    assert isinstance(dataset.attrs[attribute], str), name
                assert dataset.attrs["long_name"], name
                assert len(dataset.dims[0]) == 1, name
        for name in BASIC:
            quantity = QUANTITIES[name]
            assert system[f"results/{name}"].attrs["definition"] == quantity.definition
            assert system[f"results/{name}"].attrs["units"] == quantity.units
            assert {f"{name}_error", f"{name}_tau_int"} <= set(system["results"])
        for name in ("temperature", "replica", "sweep", "block"):
            assert system[name].attrs["long_name"]
        assert set(system["timeseries"]) == {"energy", "magnetization", "specific_heat"}


def test_xarray_opens_it_with_named_coordinates(out: Path, file: h5py.File) -> None:
    with xarray.open_datatree(out, engine="h5netcdf") as tree:
        for label in ("L4", "L5x6", "L7"):
            node = tree[f"systems/{label}"]
            energy = node["timeseries/energy"]
            assert energy.dims == ("temperature", "replica", "sweep")
            assert node["timeseries/specific_heat"].dims == ("temperature", "replica", "block")
            assert node["results/binder_cumulant"].dims == ("temperature",)
            assert node["final/spins"].dims == ("temperature", "word", "row", "column")
            stored = file[f"systems/{label}"]
            np.testing.assert_array_equal(energy.values, stored["timeseries/energy"][()])
            np.testing.assert_array_equal(node["results/energy_per_site"], stored["results/energy_per_site"][()])
            point = energy.sel(temperature=2.5, replica=69, sweep=100)
            assert int(point) == stored["timeseries/energy"][1, 69, 49]
            assert energy.attrs["units"] == "J"


@pytest.mark.parametrize(
    ("changes", "dtype"),
    [
        ({"couplings__J": "1.0"}, np.int32),
        ({"couplings__J": "-2", "field__B": "3"}, np.int32),
        ({"couplings__J": "100000000"}, np.int64),
        ({"couplings__J": "0.5"}, np.float64),
        ({"field__B": "0.5"}, np.float64),
    ],
)
def test_types_of_the_series(changes: dict[str, str], dtype: type, tmp_path: Path) -> None:
    with h5py.File(complete(tmp_path, toml(**changes))) as file:
        series = file["systems/L4/timeseries"]
        assert (series["energy"].dtype, series["magnetization"].dtype) == (dtype, np.int32)


def test_results_follow_from_the_series(file: h5py.File) -> None:
    for system in file["systems"].values():
        results, N = system["results"], int(system.attrs["n_sites"])
        for t, T in enumerate(system["temperature"][()]):
            energy = system["timeseries/energy"][t].astype(float)
            magnetization = system["timeseries/magnetization"][t].astype(float)
            e, m = energy / N, magnetization / N
            assert results["energy_per_site"][t] == pytest.approx(e.mean(), rel=1e-12)
            assert results["magnetization_per_site"][t] == pytest.approx(m.mean(), rel=1e-9, abs=1e-12)
            assert results["abs_magnetization_per_site"][t] == pytest.approx(abs(m).mean(), rel=1e-12)
            assert results["susceptibility_symmetric"][t] == pytest.approx(N * (m**2).mean() / T, rel=1e-12)
            plain = {
                "specific_heat": N * e.var() / T**2,
                "susceptibility": N * ((m**2).mean() - abs(m).mean() ** 2) / T,
                "binder_cumulant": 1 - (m**4).mean() / (3 * (m**2).mean() ** 2),
            }
            for name, value in plain.items():  # the jackknife takes a bias away, small beside the error
                assert abs(results[name][t] - value) < 0.5 * results[f"{name}_error"][t]
            series = {"energy": energy, "magnetization": magnetization}
            again = observables.analyse(series, observables.Facts(N, 2 * N), T, mixed=True)
            for name, estimate in again.estimates.items():
                stored = [results[f"{name}{kind}"][t] for kind in ("", "_error", "_tau_int")]
                np.testing.assert_array_equal(stored, [estimate.value, estimate.error, 2 * estimate.tau_int])
            assert (results["equilibrated"][t], results["equilibration_p_value"][t]) == (1, again.p_value)
            heat = energy.reshape(70, 20, 5).var(axis=2) / (N * T**2)
            np.testing.assert_allclose(system["timeseries/specific_heat"][t], heat, rtol=1e-12, atol=1e-14)


def test_the_algorithm_of_each_point(file: h5py.File) -> None:
    assert file["systems/L4/results/update"].asstr()[()].tolist() == ["heat_bath"] * 3
    assert file["systems/L4"].attrs["packing"] == "replicas"


def energies(spins: np.ndarray, J: float, h: float) -> tuple[np.ndarray, np.ndarray]:
    """H and M of spins +1/-1, (row, column, replica)."""
    bonds = spins * np.roll(spins, 1, axis=0) + spins * np.roll(spins, 1, axis=1)
    M = spins.sum(axis=(0, 1))
    return -J * bonds.sum(axis=(0, 1)) - h * M, M


@pytest.mark.parametrize("model", MODELS)
def test_final_spins_have_the_last_energy(model: str, tmp_path: Path) -> None:
    sizes = {"lattice__size": "[2, 5, [4, 9]]", "grid__replicas": "70"}
    with h5py.File(complete(tmp_path, toml(**sizes, **MODELS[model]))) as file:
        for system in file["systems"].values():
            J, h = system.attrs["J"], system.attrs["h"]
            for t in range(2):
                words = system["final/spins"][t]  # (word, row, column)
                spins = 2 * np.concatenate([lane_bits(word) for word in words], axis=-1)[..., :70] - 1
                H, M = energies(spins, J, h)
                np.testing.assert_allclose(system["timeseries/energy"][t, :, -1], H, rtol=1e-12, atol=1e-9)
                np.testing.assert_array_equal(system["timeseries/magnetization"][t, :, -1], M)


@pytest.mark.parametrize("model", MODELS)
def test_final_spins_packed_by_sites(model: str, tmp_path: Path) -> None:
    """Bit b of word (r, c) holds row r + b rows/64."""
    sites = {
        "lattice__size": "[[256, 128]]",
        "grid__replicas": "2",
        "grid__temperatures": "[2.4]",
        "algorithm__packing": '"sites"',
        "schedule__measure_every": "20",
    }
    with h5py.File(complete(tmp_path, toml(**sites, **MODELS[model]))) as file:
        system = file["systems/L256x128"]
        assert system.attrs["packing"] == "sites"
        assert system["final/spins"].shape == (1, 2, 4, 128)
        for replica in range(2):
            bits = lane_bits(system["final/spins"][0, replica])
            spins = 2 * bits.transpose(2, 0, 1).reshape(256, 128, 1) - 1
            H, M = energies(spins, system.attrs["J"], system.attrs["h"])
            np.testing.assert_allclose(system["timeseries/energy"][0, replica, -1], H[0], rtol=1e-12)
            assert system["timeseries/magnetization"][0, replica, -1] == M[0]


def test_the_smallest_run(tmp_path: Path) -> None:
    smallest = {"grid__replicas": "1", "grid__temperatures": "2.5", "lattice__size": "2"}
    schedule = {"schedule__sweeps": "1", "schedule__measure_every": "1", "schedule__thermalization": "0"}
    with h5py.File(complete(tmp_path, toml(**smallest, **schedule))) as file:
        results = file["systems/L2/results"]
        assert np.isfinite(results["energy_per_site"][0])
        assert np.isnan(results["energy_per_site_error"][0])
        assert results["equilibrated"][0] == -1


def test_mixed_starts_are_even_up_and_odd_random(tmp_path: Path) -> None:
    schedule = {"schedule__sweeps": "1", "schedule__measure_every": "1", "schedule__thermalization": "0"}
    cold = {"lattice__size": "16", "grid__temperatures": "0.1", "grid__replicas": "64"}
    with h5py.File(complete(tmp_path, toml(**cold, **schedule))) as file:
        magnetization = file["systems/L16/timeseries/magnetization"][0, :, 0]
    assert (magnetization[0::2] == 256).all()
    assert (abs(magnetization[1::2]) < 200).all()  # 12 standard deviations of a random start
