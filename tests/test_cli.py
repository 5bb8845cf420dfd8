"""Every command, as a user meets it."""

import csv
import io
import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import KILLED, assert_refused, cli, complete, finish, launch, parts, toml, write

from ising_mc import __version__, exact
from ising_mc.cli import main
from ising_mc.observables import BASIC
from ising_mc.planning import _Pilot, plan_run
from ising_mc.spec import parse

README = Path(__file__).parent.parent / "README.md"
COMMANDS = sorted(main.commands)


def test_the_commands() -> None:
    assert set(COMMANDS) == {
        "bench",
        "exact",
        "init",
        "merge",
        "plan",
        "plot",
        "recall",
        "results",
        "run",
        "status",
        "submit",
        "train",
        "validate",
    }


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_explained(name: str) -> None:
    help_text = cli(name, "--help").stdout
    assert len(help_text.splitlines()[2].strip()) > 20
    assert main.commands[name].help
    for parameter in main.commands[name].params:
        if parameter.param_type_name == "option":
            assert getattr(parameter, "help", None), f"{name} {parameter.name}"
    assert f"ising-mc {name}" in README.read_text()


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_lists_the_commands(option: str) -> None:
    result = cli(option)
    assert result.exit_code == 0
    assert all(name in result.stdout for name in COMMANDS)


@pytest.mark.parametrize("start", [["-m", "ising_mc"], ["-c", "from ising_mc.cli import main; main()"]])
def test_it_starts_as_a_program(start: list[str]) -> None:
    done = subprocess.run([sys.executable, *start, "--version"], capture_output=True, text=True, check=True)
    assert __version__ in done.stdout


def test_init_plan_run_status_results(tmp_path: Path) -> None:
    text = cli("init").stdout
    text = text.replace("size = [16, 32]", "size = [4, 6]").replace("num = 17", "num = 3").replace("= 4000", "= 200")
    path, out = write(tmp_path, text), tmp_path / "sub" / "mine.h5"
    assert "L4" in cli("plan", path, "-o", out).stdout
    waiting = json.loads(cli("status", path, "-o", out, "--json").stdout)
    assert waiting["done"] == 0
    assert not out.parent.exists()
    result = cli("run", path, "-o", out)
    assert result.exit_code == 0
    assert "seed 2026" in result.stderr
    assert "L4: square 4 x 4, 16 sites, J = 1" in result.stdout
    done = json.loads(cli("status", path, "-o", out, "--json").stdout)
    assert done["done"] == 1
    assert [(p["done"], p["total"]) for p in done["points"]] == [(1200, 1200)] * 6
    assert cli("results", out).stdout == result.stdout
    assert f"complete: {out}" in cli("status", path, "-o", out).stdout


def test_the_name_tells_where_results_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, toml(run__name='"mine"'))
    assert cli("run", "run.toml", "--quiet").output == ""
    assert (tmp_path / "results" / "mine.h5").exists()


def test_plan_tells_algorithms_and_warnings(tmp_path: Path) -> None:
    changes = {"lattice__size": "[4, 128]", "algorithm__kind": '"metropolis"', "grid__replicas": "8"}
    text = cli("plan", write(tmp_path, toml(**changes)), "--threads", 3).stdout
    assert "3 thread(s)" in text
    assert "64 sites a word" in text
    assert "warning: algorithm.kind = 'metropolis' on L4" in text
    assert [p.name for p in tmp_path.iterdir()] == ["run.toml"]


def test_status_while_there_are_only_segments(tmp_path: Path) -> None:
    path, out = write(tmp_path, toml(KILLED, schedule__sweeps="4000000000")), tmp_path / "run.h5"
    assert cli("run", path, "-o", out, "--time-limit", 0.3, "--threads", 1, "--quiet").exit_code == 85
    result = cli("status", path, "-o", out)
    assert result.exit_code == 0
    assert "running" in result.stdout
    assert "waiting" in result.stdout
    assert "is saved" in result.stdout
    state = json.loads(cli("status", path, "-o", out, "--json").stdout)
    assert 0 < state["done"] < 1
    assert parts(out).exists()


def test_the_seed_that_was_drawn_is_told(tmp_path: Path) -> None:
    path, out = write(tmp_path, toml(run__seed=None)), tmp_path / "run.h5"
    first = cli("run", path, "-o", out)
    seed = first.stderr.split("seed ")[1].split()[0]
    path.write_text(toml(run__seed=None, schedule__sweeps="400"))
    assert f"seed {seed}\n" in cli("run", path, "-o", out).stderr
    path.write_text(toml(run__seed=seed, schedule__sweeps="400"))
    assert cli("run", path, "-o", out).exit_code == 0


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two systems; at T = 0.1 nothing moves, and nothing can be told of errors."""
    folder = tmp_path_factory.mktemp("frozen")
    text = toml(lattice__size="[4, [4, 6]]", grid__temperatures="[0.1, 2.5]", algorithm__start='"up"')
    return complete(folder, text)


def test_results_as_csv(frozen: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(cli("results", frozen, "--csv").stdout)))
    assert {(row["system"], float(row["temperature"])) for row in rows} == {
        (label, T) for label in ("L4", "L4x6") for T in (0.1, 2.5)
    }
    for row in rows:
        for name in BASIC:
            assert {name, f"{name}_error", f"{name}_tau_int"} <= row.keys()
            float(row[f"{name}_error"])
        assert row["update"] == "heat_bath"
    cold = next(row for row in rows if row["temperature"] == "0.1")
    assert float(cold["energy_per_site"]) == -2
    assert math.isnan(float(cold["energy_per_site_error"]))


def test_results_as_json(frozen: Path) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    systems = json.loads(cli("results", frozen, "--json").stdout, parse_constant=refuse)
    assert set(systems) == {"L4", "L4x6"}
    small = systems["L4"]
    assert small["temperature"] == [0.1, 2.5]
    assert small["energy_per_site"][0] == -2
    assert small["energy_per_site_error"][0] is None
    assert small["energy_per_site_error"][1] > 0
    assert small["update"] == ["heat_bath"] * 2


def test_results_as_a_table(frozen: Path) -> None:
    text = cli("results", frozen).stdout
    assert "(?)" in text
    assert "warning: L4: the series of e is too short, or varies too little, to tell its error at T = 0.1" in text


def test_plot(frozen: Path, tmp_path: Path) -> None:
    for arguments, name in ((["energy_per_site", "-o", tmp_path / "e.png"], "e.png"), ([], "frozen.png")):
        out = Path(shutil.copy(frozen, tmp_path / "frozen.h5"))
        assert cli("plot", out, *arguments).exit_code == 0
        content = (tmp_path / name).read_bytes()
        assert content.startswith(b"\x89PNG")
        assert len(content) > 10_000


def test_plot_refuses(frozen: Path, tmp_path: Path) -> None:
    assert_refused(cli("plot", frozen, "energie"), "energie", "energy_per_site")
    assert_refused(cli("plot", frozen, "-o", tmp_path / "a.abc"), "a.abc")
    assert_refused(cli("plot", frozen, "-o", tmp_path / "none" / "a.png"), "a.png")
    assert_refused(cli("plot", tmp_path / "none.h5"), "none.h5")


def exact_rows(*arguments: object) -> list[dict[str, float]]:
    rows: list[dict[str, float]] = json.loads(cli("exact", *arguments, "--json").stdout)
    return rows


def test_exact_values() -> None:
    T = 2.1
    row = exact_rows("onsager", "-T", T)[0]
    assert row["energy"] == pytest.approx(float(exact.onsager_energy(T)), rel=1e-14)
    assert row["specific_heat"] == pytest.approx(float(exact.onsager_specific_heat(T)), rel=1e-14)
    assert row["magnetization"] == pytest.approx(float(exact.yang_magnetization(T)), rel=1e-14)
    rows = exact_rows("kaufman", "-T", T, "-T", 3, "-L", 4, 5, "-J", 1.5, "--jy", 0.5)
    values = exact.kaufman(np.array([T, 3.0]), (4, 5), (1.5, 0.5))
    assert [row["T"] for row in rows] == [T, 3.0]
    np.testing.assert_allclose([row["energy"] for row in rows], values.energy, rtol=1e-14)
    row = exact_rows("chain", "-T", T, "-L", 10, 1, "--field", 0.3)[0]
    assert row["energy"] == pytest.approx(float(exact.chain(T, 10, 1.0, 0.3).energy), rel=1e-14)
    row = exact_rows("enumerate", "-T", T, "-L", 3, 4, "--field", 0.3)[0]
    states = exact.enumerate_states(12, exact.square_bonds(3, 4), 1.0, 0.3)
    for name, value in states.observables(T).items():
        assert row[name] == pytest.approx(float(value), rel=1e-14)
    tc = json.loads(cli("exact", "tc", "--json").stdout)["Tc"]
    assert tc == pytest.approx(2 / math.log(1 + math.sqrt(2)), rel=1e-14)
    assert float(cli("exact", "tc").stdout) == tc


def test_exact_table_shows_all_digits() -> None:
    text = cli("exact", "kaufman", "-T", 2.1, "-L", 4, 4).stdout.splitlines()
    row = dict(zip(text[0].split(), map(float, text[1].split()), strict=True))
    assert row["energy"] == pytest.approx(float(exact.kaufman(2.1, 4).energy), rel=1e-9)


@pytest.mark.parametrize(
    "arguments",
    [
        ["onsager"],
        ["onsager", "-T", "-1"],
        ["onsager", "-T", "nan"],
        ["kaufman", "-T", "2"],
        ["kaufman", "-T", "2", "-L", "0", "4"],
        ["enumerate", "-T", "2", "-L", "6", "6"],
        ["enumerate", "-T", "2", "-L", "1", "6"],
        ["chain", "-T", "2", "-L", "-3", "1"],
        ["tc", "-J", "0"],
    ],
)
def test_exact_refuses(arguments: list[str]) -> None:
    assert_refused(cli("exact", *arguments))


def test_usage_errors_have_exit_code_2(tmp_path: Path) -> None:
    path = write(tmp_path, toml())
    for arguments in (
        ["run"],
        ["runn"],
        ["run", path, "--threads", 0],
        ["run", path, "--time-limit", -1],
        ["init", "x"],
    ):
        result = cli(*arguments)
        assert result.exit_code == 2
        assert "Traceback" not in result.stderr


def test_validate() -> None:
    result = cli("validate", "--quick")
    lines = result.stdout.splitlines()
    assert result.exit_code == 0, result.stdout
    assert lines[-1] == f"{len(lines) - 1} of {len(lines) - 1} checks passed"
    assert all(line.startswith("ok  ") for line in lines[:-1])


def test_validate_fails_with_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    from ising_mc import graphchecks, machinechecks, validation

    wrong = validation.Check("wrong on purpose", False, 1.0, 0.5, "p >= 1")
    monkeypatch.setattr(validation, "checks", lambda quick: iter([wrong]))
    for others in (graphchecks, machinechecks):
        monkeypatch.setattr(others, "checks", lambda quick: iter([]))
    result = cli("validate")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == ["FAIL  wrong on purpose: 1, p = 0.5 (p >= 1)", "0 of 1 checks passed"]


def test_errors_in_a_process_of_its_own(tmp_path: Path) -> None:
    code, stderr = finish(launch("run", write(tmp_path, toml(grid__temperatures="[-1]"))))
    assert code == 2
    assert stderr.startswith("ising-mc: ")
    assert stderr.count("\n") == 1


def test_a_closed_pipe_is_no_error(frozen: Path) -> None:
    command = f"{sys.executable} -m ising_mc results {frozen} --json | head -c 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stderr == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["onsager", "-T", "2", "--jy", "0.5"],
        ["onsager", "-T", "2", "-L", "4", "4"],
        ["kaufman", "-T", "2", "-L", "4", "4", "--field", "0.1"],
        ["chain", "-T", "2", "-L", "4", "1", "--jy", "2"],
        ["tc", "-T", "2"],
    ],
)
def test_exact_ignores_no_option(arguments: list[str]) -> None:
    assert_refused(cli("exact", *arguments), f"exact {arguments[0]} takes no")


def test_plan_does_one_pilot_a_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pilots = []
    monkeypatch.setattr("ising_mc.planning._pilot", lambda unit, spec: pilots.append(unit) or _Pilot(1.0, 1.0, 8, 8))
    text = "[lattice]\nsize = [8, 16]\n[grid]\ntemperatures = {start = 1, stop = 3, num = 9}\nreplicas = 256"
    plan_run(parse(text), 2)
    assert len(pilots) == 2


def test_plot_does_not_overwrite_results(frozen: Path, tmp_path: Path) -> None:
    out = Path(shutil.copy(frozen, tmp_path / "results.png"))
    before = out.read_bytes()
    assert_refused(cli("plot", out), "is the result file itself")
    assert out.read_bytes() == before
    assert_refused(cli("plot", frozen, "-o", tmp_path / "picture"), "ending")
