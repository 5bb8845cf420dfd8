"""The run file: what it says, and one sentence for everything that it cannot say."""

from pathlib import Path

import pytest
from helpers import assert_refused, cli, toml, write

from ising_mc.spec import KEYS, SpecError, load, parse
from ising_mc.template import ISING


def test_every_key_is_read() -> None:
    text = toml(
        run__name='"mine"',
        run__seed="3",
        lattice__size="[4, [6, 8]]",
        couplings__J="-2",
        field__B="0.5",
        field__mu="2",
        grid__temperatures="[1, 2.5]",
        grid__replicas="70",
        schedule__thermalization="5",
        schedule__sweeps="30",
        schedule__measure_every="3",
        schedule__checkpoint_seconds="2",
        algorithm__kind='"metropolis"',
        algorithm__packing='"replicas"',
        algorithm__start='"up"',
    )
    spec = parse(text)
    assert (spec.name, spec.seed, spec.text) == ("mine", 3, text)
    assert [(system.shape.kind, system.shape.size) for system in spec.systems] == [
        ("square", (4, 4)),
        ("square", (6, 8)),
    ]
    for system in spec.systems:
        assert (system.couplings.J, system.field.uniform, system.field.B, system.field.mu) == ((-2.0,), 1.0, 0.5, 2.0)
    assert (spec.temperatures, spec.replicas) == ((1.0, 2.5), 70)
    assert (spec.thermalization, spec.sweeps, spec.measure_every, spec.records) == (5, 30, 3, 10)
    assert (spec.checkpoint_seconds, spec.algorithm) == (2.0, "metropolis")
    assert (spec.packing, spec.start) == ("replicas", "up")


def test_defaults() -> None:
    spec = parse('[lattice]\nsize = 8\n[grid]\ntemperatures = 2.5\n[couplings]\nkind = "uniform"', "there")
    assert (spec.name, spec.seed, spec.replicas, spec.start) == ("there", None, 64, "mixed")
    (system,) = spec.systems
    assert (system.couplings.J, system.field.uniform, spec.measure_every) == ((1.0,), 0, 1)
    assert (spec.algorithm, spec.kernel, spec.packing, spec.observables) == ("auto", "auto", "auto", ())


def test_name_of_the_file_is_the_default_name(tmp_path: Path) -> None:
    assert load(write(tmp_path, toml(), "some_run.toml")).name == "some_run"


def test_a_finer_grid_contains_the_coarser_one_bit_for_bit() -> None:
    grids = [parse(toml(grid__temperatures=f"{{start = 1.6, stop = 3.2, num = {n}}}")) for n in (17, 33, 65)]
    assert len(grids[2].temperatures) == 65
    assert set(grids[0].temperatures) < set(grids[1].temperatures) < set(grids[2].temperatures)
    assert (grids[0].temperatures[0], grids[0].temperatures[-1]) == (1.6, 3.2)


def test_template_names_every_key() -> None:
    parse(ISING)
    for table, keys in KEYS.items():
        assert f"[{table}]" in ISING
        for key in keys:
            assert f"{key} = " in ISING, key


WRONG = {
    "unknown table": (toml() + "[grids]\nx = 1\n", "grids", "did you mean 'grid'"),
    "table far from any": (toml() + "[qqq]\nx = 1\n", "qqq", "lattice"),
    "misspelt key": (toml(schedule__swepes="3"), "swepes", "did you mean 'sweeps'", "schedule"),
    "key far from any": (toml(grid__zzz="3"), "zzz", "temperatures"),
    "key at the top": ("seed = 3\n" + toml(), "seed"),
    "table that is a value": ("grid = 3\n", "grid"),
    "table given as a list": ("[[grid]]\nreplicas = 3\n", "grid"),
    "negative temperature": (toml(grid__temperatures="[2.0, -1.0]"), "grid.temperatures", "-1.0"),
    "temperature zero": (toml(grid__temperatures="[0.0]"), "grid.temperatures", "positive"),
    "temperature NaN": (toml(grid__temperatures="[nan]"), "grid.temperatures", "nan"),
    "temperature infinite": (toml(grid__temperatures="[inf]"), "grid.temperatures", "inf"),
    "temperature true": (toml(grid__temperatures="[true]"), "grid.temperatures", "True"),
    "temperature text": (toml(grid__temperatures='["2.0"]'), "grid.temperatures"),
    "temperature twice": (toml(grid__temperatures="[2, 2.0]"), "grid.temperatures", "twice"),
    "temperature beyond floats": (toml(grid__temperatures="[1" + "0" * 400 + "]"), "grid.temperatures"),
    "empty grid": (toml(grid__temperatures="[]"), "grid.temperatures", "empty"),
    "no grid": (toml(grid__temperatures=None), "grid.temperatures", "missing"),
    "grid without stop": (toml(grid__temperatures="{start = 1.0, num = 3}"), "grid.temperatures", "stop"),
    "grid of no points": (toml(grid__temperatures="{start = 1.0, stop = 2.0, num = 0}"), "grid.temperatures", "num"),
    "grid from zero": (toml(grid__temperatures="{start = 0.0, stop = 2.0, num = 3}"), "grid.temperatures"),
    "grid misspelt": (toml(grid__temperatures="{start = 1.0, stop = 2.0, nun = 3}"), "nun", "'num'"),
    "grid of one point twice": (toml(grid__temperatures="{start = 1.0, stop = 1.0, num = 2}"), "grid.temperatures"),
    "size 1": (toml(lattice__size="[1]"), "lattice.size", "at least 2"),
    "size 0": (toml(lattice__size="0"), "lattice.size", "at least 2"),
    "negative size": (toml(lattice__size="[-4]"), "lattice.size", "at least 2"),
    "size missing": (toml(lattice__size=None), "lattice.size", "missing"),
    "no sizes": (toml(lattice__size="[]"), "lattice.size", "empty"),
    "size 4.5": (toml(lattice__size="[4.5]"), "lattice.size", "4.5"),
    "size true": (toml(lattice__size="[true]"), "lattice.size", "True"),
    "a box": (toml(lattice__size="[[4, 4, 4]]"), "lattice.size"),
    "size twice": (toml(lattice__size="[4, [4, 4]]"), "lattice.size", "twice"),
    "J true": (toml(couplings__J="true"), "couplings.J", "True"),
    "J text": (toml(couplings__J='"strong"'), "couplings.J"),
    "J infinite": (toml(couplings__J="inf"), "couplings.J"),
    "J beyond floats": (toml(couplings__J="1" + "0" * 400), "couplings.J"),
    "B NaN": (toml(field__B="nan"), "field.B"),
    "replicas 0": (toml(grid__replicas="0"), "grid.replicas", "at least 1"),
    "replicas true": (toml(grid__replicas="true"), "grid.replicas"),
    "sweeps 0": (toml(schedule__sweeps="0"), "schedule.sweeps"),
    "sweeps 1e3": (toml(schedule__sweeps="1e3"), "schedule.sweeps"),
    "sweeps no multiple": (toml(schedule__sweeps="201"), "schedule.sweeps", "schedule.measure_every"),
    "measure_every 0": (toml(schedule__measure_every="0"), "schedule.measure_every"),
    "negative thermalization": (toml(schedule__thermalization="-1"), "schedule.thermalization"),
    "checkpoints never": (toml(schedule__checkpoint_seconds="0"), "schedule.checkpoint_seconds"),
    "negative seed": (toml(run__seed="-1"), "run.seed"),
    "seed too large": (toml(run__seed="9223372036854775808"), "run.seed"),
    "seed 1.0": (toml(run__seed="1.0"), "run.seed"),
    "seed true": (toml(run__seed="true"), "run.seed"),
    "name with folders": (toml(run__name='"a/b"'), "run.name"),
    "name empty": (toml(run__name='""'), "run.name"),
    "unknown model": (toml(model__kind='"potts"'), "model.kind", "ising"),
    "unknown lattice": (toml(lattice__kind='"kagome"'), "lattice.kind", "square"),
    "unknown boundary": (toml(lattice__boundary='"closed"'), "lattice.boundary", "periodic"),
    "unknown couplings": (toml(couplings__kind='"gauss"'), "couplings.kind", "gaussian"),
    "unknown algorithm": (toml(algorithm__kind='"metropolys"'), "algorithm.kind", "did you mean 'metropolis'"),
    "algorithm as a list": (toml(algorithm__kind='["metropolis"]'), "algorithm.kind"),
    "unknown packing": (toml(algorithm__packing='"words"'), "algorithm.packing", "sites"),
    "unknown start": (toml(algorithm__start='"down"'), "algorithm.start", "mixed"),
    "not TOML": ("[run\nseed = 3", "TOML"),
    "key twice": ("[run]\nseed = 1\nseed = 2\n", "TOML"),
    "sites on a small lattice": (toml(algorithm__packing='"sites"'), "algorithm.packing", "128", "'replicas'"),
    "sites on a rectangle": (
        toml(lattice__size="[[64, 128]]", algorithm__packing='"sites"'),
        "algorithm.packing",
        "L64x128",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_in_one_sentence(case: str, tmp_path: Path) -> None:
    text, *names = WRONG[case]
    path = write(tmp_path, text)
    for command in ("run", "status", "plan"):
        assert_refused(cli(command, path, "-o", tmp_path / "out.h5"), *names)
    assert [p.name for p in tmp_path.iterdir()] == ["run.toml"]


TOO_MUCH = {
    "J 1e308": ({"couplings__J": "1e308"}, "couplings.J"),
    "J beyond int64": ({"couplings__J": "1000000000000000000"}, "couplings.J"),
    "mu B infinite": ({"field__B": "1e200", "field__mu": "1e200"}, "field.B"),
}


@pytest.mark.parametrize("case", TOO_MUCH)
def test_energies_that_no_number_holds_are_refused(case: str, tmp_path: Path) -> None:
    changes, key = TOO_MUCH[case]
    assert_refused(cli("run", write(tmp_path, toml(**changes)), "-o", tmp_path / "out.h5", "--quiet"), key)
    assert not (tmp_path / "out.h5").exists()


@pytest.mark.parametrize("T", ["1e-320", "1e-200", "1e200", "1e308"])
def test_extreme_temperatures_are_done_or_refused(T: str, tmp_path: Path) -> None:
    result = cli("run", write(tmp_path, toml(grid__temperatures=f"[{T}]")), "-o", tmp_path / "out.h5", "--quiet")
    if result.exit_code != 0:
        assert_refused(result, "grid.temperatures")


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "No such file"), (bytes(range(256)), "UTF-8"), ("folder", "directory")]
)
def test_run_file_that_cannot_be_read(content: bytes | str | None, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content:
        path.mkdir()
    assert_refused(cli("run", path, "-o", tmp_path / "out.h5"), "run.toml", reason)


def test_error_names_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, toml(grid__replicas="0"), "mine.toml")
    with pytest.raises(SpecError, match=r"mine\.toml: grid\.replicas"):
        load(path)
