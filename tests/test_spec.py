"""The run file: what it says, and one sentence for everything that it cannot say."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers import assert_refused, cli, toml, write

from ising_mc import algorithms
from ising_mc.ising import realize
from ising_mc.isingspec import KEYS
from ising_mc.preparation import memory_needed
from ising_mc.reader import SpecError
from ising_mc.run import units_of
from ising_mc.spec import load, parse
from ising_mc.template import ANNEAL, ISING


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
    parse(ANNEAL)
    for table, keys in KEYS.items():
        text = ANNEAL if table == "anneal" else ISING
        assert f"[{table}]" in text
        for key in keys:
            assert f"{key} = " in text, key


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


# --- lattices, couplings and fields -----------------------------------------------------------------------------


def graph_text(**changes: str | None) -> str:
    return toml(**{"lattice__size": None, "lattice__kind": '"file"', "lattice__path": '"graph.txt"'} | changes)  # type: ignore[arg-type]


FILES = {
    "graph.txt": "0 1 1.0\n1 2 -0.5\n2 3 2.0\n",
    "plain.txt": "0 1\n1 2\n",
    "loop.txt": "0 1 1\n2 2 1\n",
    "twice.txt": "0 1 1\n1 0 1\n",
    "infinite.txt": "0 1 inf\n",
    "range.txt": "0 1 1e9\n1 2 1e-3\n2 3 2e-3\n3 4 3e-3\n",
    "short.txt": "1 2 3\n",
    "ring.txt": "0 1 1\n1 2 2\n0 2 3\n",
}
REFUSED = {
    "self-loop": (graph_text(lattice__path='"loop.txt"'), "lattice.path", "loop.txt, line 2", "bonded to itself"),
    "double bond": (graph_text(lattice__path='"twice.txt"'), "twice.txt, line 2", "must stand once"),
    "infinite coupling": (graph_text(lattice__path='"infinite.txt"'), "infinite.txt, line 1", "finite"),
    "no such file": (graph_text(lattice__path='"nowhere.txt"'), "cannot read", "nowhere.txt"),
    "no path": (graph_text(lattice__path=None), "lattice.path is missing"),
    "no couplings in the file": (
        graph_text(lattice__path='"plain.txt"', couplings__kind='"file"'),
        "no third column",
        "couplings.path",
    ),
    "couplings for other bonds": (
        toml(lattice__kind='"chain"', couplings__kind='"file"', couplings__path='"ring.txt"'),
        "couplings.path",
        "lacks the bond 0 3",
    ),
    "couplings beyond the lattice": (
        toml(
            lattice__kind='"chain"',
            lattice__size="3",
            lattice__boundary='"open"',
            couplings__kind='"file"',
            couplings__path='"ring.txt"',
        ),
        "has a bond that the lattice has not, 0 2",
    ),
    "field of a wrong length": (toml(field__B='"short.txt"'), "field.B", "3 values", "16 sites"),
    "field for two sizes": (toml(lattice__size="[4, 6]", field__B='"short.txt"'), "field.B", "one size only"),
    "couplings for two sizes": (
        toml(lattice__size="[4, 6]", couplings__kind='"file"', couplings__path='"ring.txt"'),
        "couplings.path",
    ),
    "two couplings for three directions": (
        toml(lattice__kind='"cubic"', couplings__J="[1, 2]"),
        "couplings.J",
        "3 direction(s)",
    ),
    "two couplings for the second size": (
        toml(lattice__kind='"hypercubic"', lattice__size="[[4, 4], [6, 6, 6]]", couplings__J="[1, 2]"),
        "couplings.J",
        "L6 have 3 direction(s)",
    ),
    "Metropolis on a line of many dimensions": (
        toml(lattice__kind='"hypercubic"', lattice__size="[[16]]", algorithm__kind='"metropolis"'),
        "algorithm.kind",
        "one dimension",
    ),
    "Metropolis on uncoupled chains": (
        toml(lattice__size="16", couplings__J="[1, 0]", algorithm__kind='"metropolis"'),
        "algorithm.kind",
        "one dimension",
    ),
    "Metropolis on rings": (
        toml(lattice__kind='"random_regular"', lattice__size="16", lattice__degree="2", algorithm__kind='"metropolis"'),
        "algorithm.kind",
        "one dimension",
    ),
    "observables on too large a lattice": (
        toml(lattice__size="32768", measure__observables='["overlap"]'),
        "L32768",
        "too large for packing by replicas",
    ),
    "two systems of one name": (
        toml(lattice__kind='"hypercubic"', lattice__size="[[4, 4], [4, 4, 4]]"),
        "lattice.size",
        "two systems would be named L4",
    ),
    "p beyond 1": (toml(couplings__kind='"pm_j"', couplings__p="1.5"), "couplings.p", "1.5"),
    "p without pm_j": (toml(couplings__p="0.5"), "couplings.p", "pm_j"),
    "sigma below 0": (toml(couplings__kind='"gaussian"', couplings__sigma="-1"), "couplings.sigma"),
    "J of a Gaussian": (toml(couplings__kind='"gaussian"', couplings__J="1"), "couplings.J", "no meaning"),
    "samples of nothing": (toml(couplings__disorder_samples="2"), "couplings.disorder_samples", "random"),
    "strength of a uniform field": (toml(field__strength="1"), "field.strength", "gaussian"),
    "B of a random field": (toml(field__kind='"bimodal"', field__B="1"), "field.B", "no meaning"),
    "degree of a square": (toml(lattice__degree="3"), "lattice.degree", "random_regular"),
    "odd degree of odd sites": (toml(lattice__kind='"random_regular"', lattice__size="5"), "random_regular"),
    "boundary of a complete graph": (
        toml(lattice__kind='"complete"', lattice__boundary='"open"'),
        "lattice.boundary",
        "no meaning",
    ),
    "one boundary of two": (toml(lattice__boundary='["open"]'), "lattice.boundary", "2 axes"),
    "hypercubic without sides": (toml(lattice__kind='"hypercubic"', lattice__size="[4]"), "lattice.size", "list"),
    "one side of one site": (toml(lattice__kind='"honeycomb"', lattice__size="1"), "lattice.size", "at least 2"),
    "Metropolis in one dimension": (
        toml(lattice__kind='"chain"', algorithm__kind='"metropolis"'),
        "algorithm.kind",
        "'heat_bath'",
    ),
    "packed Gaussian": (
        toml(couplings__kind='"gaussian"', algorithm__kernel='"packed"'),
        "algorithm.kernel",
        "gaussian",
        "'auto'",
    ),
    "packed random field": (toml(field__kind='"gaussian"', algorithm__kernel='"packed"'), "site to site"),
    "square kernel on a cube": (
        toml(lattice__kind='"cubic"', algorithm__kernel='"square"'),
        "algorithm.kernel",
        "square lattices only",
    ),
    "Gaussian by sites": (
        toml(lattice__size="128", couplings__kind='"gaussian"', algorithm__packing='"sites"'),
        "algorithm.packing",
        "the same everywhere",
    ),
    "kernel against packing": (
        toml(algorithm__kernel='"packed"', algorithm__packing='"sites"'),
        "algorithm.kernel",
        "not by sites",
    ),
    "unknown observable": (toml(measure__observables='["overlaps"]'), "overlaps", "did you mean 'overlap'"),
    "observables in a string": (toml(measure__observables='"overlap"'), "measure.observables", "list"),
    "observable twice": (toml(measure__observables='["overlap", "overlap"]'), "measure.observables", "twice"),
    "sublattices of a triangle": (
        toml(lattice__kind='"triangular"', measure__observables='["staggered_magnetization"]'),
        "measure.observables",
        "not bipartite",
    ),
    "overlap of one replica": (
        toml(grid__replicas="1", measure__observables='["overlap"]'),
        "measure.observables",
        "grid.replicas",
    ),
    "more than memory": (
        toml(lattice__kind='"complete"', lattice__size="[1000000]"),
        "N1000000",
        "GB of memory",
    ),
    "far more than memory": (toml(lattice__kind='"cubic"', lattice__size="[100000]"), "L100000", "sites"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_done_is_refused(case: str, tmp_path: Path) -> None:
    for name, content in FILES.items():
        (tmp_path / name).write_text(content)
    text, *names = REFUSED[case]
    path = write(tmp_path, text)
    before = sorted(p.name for p in tmp_path.iterdir())
    for command in ("run", "plan"):
        assert_refused(cli(command, path, "-o", tmp_path / "out.h5"), *names)
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_couplings_too_wide_for_their_unit_are_refused(tmp_path: Path) -> None:
    (tmp_path / "range.txt").write_text(FILES["range.txt"])
    path = write(tmp_path, graph_text(lattice__path='"range.txt"'))
    result = cli("run", path, "-o", tmp_path / "out.h5", "--quiet")
    assert_refused(result, "multiples of", "too coarse")


def test_files_are_found_beside_the_run_file_and_told_apart_by_content(tmp_path: Path) -> None:
    (tmp_path / "graph.txt").write_text(FILES["graph.txt"])
    (tmp_path / "field.txt").write_text("0.5 0 -1 2\n")
    path, out = write(tmp_path, graph_text(field__B='"field.txt"', field__mu="2")), tmp_path / "out.h5"
    spec = load(path)
    (system,) = spec.systems
    assert (system.label, system.n_sites, system.shape.n_bonds, system.sample) == ("graph", 4, 3, None)
    assert realize(system, 1).J.tolist() == [1.0, -0.5, 2.0]
    assert realize(system, 1).h.tolist() == [1.0, 0.0, -2.0, 4.0]
    assert cli("run", path, "-o", out, "--quiet").exit_code == 0
    (tmp_path / "graph.txt").write_text(FILES["graph.txt"].replace("2.0", "2.5"))
    assert_refused(cli("run", path, "-o", out), "couplings.path was")


def test_couplings_that_are_not_used_are_told_of(tmp_path: Path) -> None:
    (tmp_path / "graph.txt").write_text(FILES["graph.txt"])
    path = write(tmp_path, graph_text(couplings__kind='"uniform"', couplings__J="2.0"))
    result = cli("run", path, "-o", tmp_path / "out.h5")
    assert "warning: the couplings in the file of the lattice are not used" in result.stderr


@pytest.mark.parametrize(
    ("kind", "because"),
    [('"pm_j"', "couplings.kind = 'pm_j'"), ('"gaussian"', "'gaussian'"), ('"file"', "couplings.path is given")],
)
def test_a_third_column_is_not_ignored_silently(kind: str, because: str, tmp_path: Path) -> None:
    for name in ("graph.txt", "other.txt"):
        (tmp_path / name).write_text(FILES["graph.txt"])
    path = '"other.txt"' if "path" in because else None
    (warning,) = load(write(tmp_path, graph_text(couplings__kind=kind, couplings__path=path))).warnings
    assert because in warning


def test_a_renamed_graph_is_another_system(tmp_path: Path) -> None:
    """Its name is in the keys of the data: to go on under another name would lose what is there."""
    (tmp_path / "graph.txt").write_text(FILES["graph.txt"])
    out = tmp_path / "out.h5"
    assert cli("run", write(tmp_path, graph_text()), "-o", out, "--quiet").exit_code == 0
    (tmp_path / "graph.txt").rename(tmp_path / "renamed.txt")
    path = write(tmp_path, graph_text(lattice__path='"renamed.txt"'))
    assert_refused(cli("run", path, "-o", out), "lattice.path was")


def test_a_graph_named_by_dots_has_a_label(tmp_path: Path) -> None:
    (tmp_path / "..txt").write_text(FILES["graph.txt"])
    assert load(write(tmp_path, graph_text(lattice__path='"..txt"'))).systems[0].label == "graph"


def test_drawn_graphs_without_sublattices_are_refused_at_the_start(tmp_path: Path) -> None:
    text = toml(
        lattice__kind='"random_regular"', lattice__size="40", measure__observables='["staggered_magnetization"]'
    )
    path = write(tmp_path, text)
    result = cli("run", path, "-o", tmp_path / "out.h5")
    assert_refused(result, str(path), "not bipartite")
    assert "temperatures x" not in result.stderr
    assert not (tmp_path / "out.h5.parts").exists()


def auto(**changes: str) -> str:
    return toml(grid__temperatures="[1.0]", algorithm__kind='"auto"', **changes)


@pytest.mark.parametrize(
    ("text", "update"),
    [
        (auto(lattice__size="16"), "metropolis"),
        (auto(lattice__size="16", couplings__J="[1, 0.3]"), "metropolis"),
        (auto(lattice__size="16", couplings__J="[1, 0]"), "heat_bath"),
        (auto(lattice__size="16", couplings__J="[1, 1e-9]"), "heat_bath"),
        (auto(lattice__kind='"hypercubic"', lattice__size="[[16]]"), "heat_bath"),
        (auto(lattice__kind='"cubic"', lattice__size="16", couplings__J="[1, 0, 0]"), "heat_bath"),
        (auto(lattice__kind='"cubic"', lattice__size="16", couplings__J="[1, 1, 0]"), "metropolis"),
        (auto(lattice__size="16", couplings__J="-1.0", field__B="4"), "heat_bath"),
        (auto(lattice__size="16", couplings__J="-1.0", field__B="1"), "metropolis"),
        (auto(lattice__kind='"cubic"', lattice__size="16", couplings__J="-1.0", field__B="6"), "heat_bath"),
    ],
)
def test_auto_knows_where_metropolis_is_stuck(text: str, update: str) -> None:
    assert {unit.choice.update for unit in units_of(parse(text))} == {update}


def test_metropolis_where_it_may_be_stuck_is_warned_of() -> None:
    text = toml(lattice__size="16", couplings__J="-1.0", field__B="4", algorithm__kind='"metropolis"')
    assert all("cost nothing" in unit.choice.warning for unit in units_of(parse(text)))


def test_memory_of_several_systems_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables of two systems are kept while those of a third are made."""
    one, four = (parse(toml(lattice__kind='"cubic"', couplings__kind='"gaussian"', lattice__size="8")
        .replace("[couplings]", f"[couplings]\ndisorder_samples = {k}")) for k in (1, 4))  # fmt: skip
    needed = memory_needed(one.systems[0], "sparse")
    assert needed > 200 * one.systems[0].shape.n_bonds
    monkeypatch.setattr(algorithms, "available_memory", lambda: 2 * needed)
    units_of(one)
    with pytest.raises(SpecError, match="3 systems like L8_d000 at a time"):
        units_of(four)


def test_disorder_is_drawn_by_seed_and_sample() -> None:
    text = toml(couplings__kind='"gaussian"', couplings__mean="3", couplings__sigma="0.5", lattice__size="[64]")
    systems = parse(text.replace("[couplings]", "[couplings]\ndisorder_samples = 2")).systems
    assert [system.label for system in systems] == ["L64_d000", "L64_d001"]
    one, two = (realize(system, 1).J for system in systems)
    assert not np.array_equal(one, two)
    assert not np.array_equal(one, realize(systems[0], 2).J)
    realize.cache_clear()
    assert np.array_equal(one, realize(systems[0], 1).J)
    assert abs(one.mean() - 3) < 4 * 0.5 / np.sqrt(len(one))  # false alarm: 6e-5
    assert abs(one.std() - 0.5) < 4 * 0.5 / np.sqrt(2 * len(one))
    (system,) = parse(toml(couplings__kind='"pm_j"', couplings__p="0.8", lattice__size="[64]")).systems
    signs = realize(system, 1).J
    assert set(signs) == {-1.0, 1.0}
    assert abs((signs > 0).mean() - 0.8) < 4 * np.sqrt(0.16 / len(signs))
    (system,) = parse(toml(field__kind='"bimodal"', field__strength="0.7", field__mu="2", lattice__size="[64]")).systems
    assert set(realize(system, 1).h) == {-1.4, 1.4}


def test_couplings_of_the_complete_graph_are_scaled() -> None:
    (uniform,) = parse(toml(lattice__kind='"complete"', lattice__size="[100]", couplings__J="2")).systems
    assert set(realize(uniform, 1).J) == {0.02}
    (glass,) = parse(toml(lattice__kind='"complete"', lattice__size="[100]", couplings__kind='"gaussian"')).systems
    assert abs(realize(glass, 1).J.std() - 0.1) < 4 * 0.1 / np.sqrt(2 * 4950)


@pytest.mark.parametrize(
    "config", sorted((Path(__file__).parent.parent / "configs").glob("*.toml")), ids=lambda p: p.stem
)
def test_configs_can_be_planned(config: Path, tmp_path: Path) -> None:
    folder = tmp_path / "configs"
    shutil.copytree(config.parent, folder)
    if config.stem == "half_digits":  # it takes what digits.toml makes
        digits = folder / "digits.toml"
        digits.write_text(digits.read_text().replace("epochs = 3000", "epochs = 1"))
        assert cli("train", digits, "-o", tmp_path / "results" / "digits.h5", "--quiet").exit_code == 0
    result = cli("plan", folder / config.name, "-o", tmp_path / "out.h5")
    assert result.exit_code == 0, result.output
    assert "of sampling" in result.stdout
