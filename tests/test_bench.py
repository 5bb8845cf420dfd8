"""The benchmark of this machine: it measures, checks, writes, reads and compares.  No test looks at a speed."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from ising_mc import bench, benchtables
from ising_mc.bench import CASES, Case, Report, Row
from ising_mc.cli import main
from ising_mc.validation import Check

TINY = '[lattice]\nkind = "square"\nsize = [8]\n[algorithm]\nkind = "heat_bath"\n' + bench.WORKED.format(T=2.5)


def passes() -> Check:
    return Check("always", True, 0.0, 1.0, "p > 0")


def fails() -> Check:
    return Check("never", False, 9.0, 0.0, "p > 1")


def crashes() -> Check:
    raise RuntimeError("no such system")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "SECONDS", 0.01)
    monkeypatch.setattr(bench, "start_times", lambda: (2.0, 1.0))


@pytest.mark.usefixtures("quick")
def test_a_case_is_measured_and_checked() -> None:
    row = bench.measure(Case("tiny", TINY, passes), 2)
    assert row.kernel == "square"
    assert 0 < row.rate < 100
    assert 0 < row.rate_all < 200
    assert row.passed
    assert row.bytes_per_unit > 0


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("check", [fails, crashes])
def test_a_check_that_fails_marks_its_row_only(check: object) -> None:
    report = bench.run(1, cases=(Case("bad", TINY, check), Case("good", TINY, passes)))  # type: ignore[arg-type]
    assert [row.passed for row in report.rows] == [False, True]
    if check is crashes:
        assert "no such system" in report.rows[0].check


@pytest.mark.usefixtures("quick")
def test_a_report_comes_back_from_its_file(tmp_path: Path) -> None:
    report = bench.run(1, cases=(Case("tiny", TINY, passes),))
    path = tmp_path / "report.json"
    path.write_text(bench.to_json(report))
    again = bench.read(path)
    assert again == report
    assert {"cpu", "cpu_flags", "version_numba", "threads"} <= set(json.loads(path.read_text())["facts"])


def test_ratios_are_those_of_cases_that_both_have() -> None:
    row = Row("a", "k", 2.0, 0.1, 4.0, 1.0, "", True)
    report = Report(bench.SCHEMA, {}, 1, (row, replace(row, name="b")), 1.0, 1.0, 1)
    before = replace(report, rows=(replace(row, rate=1.0, rate_all=8.0), replace(row, name="c")))
    assert list(bench.ratios(report, before)) == [("a", 2.0, 0.5)]


@pytest.mark.usefixtures("quick")
def test_the_command_shows_writes_and_compares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.run, "__defaults__", (bench.run.__defaults__[0], (Case("tiny", TINY, passes),)))  # type: ignore[index]
    path = tmp_path / "a.json"
    first = CliRunner().invoke(main, ["bench", "--threads", "1", "--json", str(path)])
    assert first.exit_code == 0, first.output
    assert "tiny" in first.output
    second = CliRunner().invoke(main, ["bench", "--threads", "1", "--compare", str(path)])
    assert second.exit_code == 0, second.output
    assert "over before" in second.output


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read"),
        ("[1, 2]", "is not a report"),
        ("{", "is not a report"),
        ('{"rows": []}', "is not a report"),
    ],
)
def test_what_is_no_report_is_refused(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "old.json"
    if content is not None:
        path.write_text(content)
    done = CliRunner().invoke(main, ["bench", "--compare", str(path)])
    assert done.exit_code == 2
    assert message in done.output


def test_reports_of_another_schema_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    path.write_text(bench.to_json(Report(99, {}, 1, (), 1.0, 1.0, 1)))
    with pytest.raises(ValueError, match="schema 99"):
        bench.read(path)


def test_all_cases_have_kernels_of_their_own_to_check() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
    kernels = {bench.units_of(bench.parse(f"[run]\nseed = 1\n{case.text}"))[0].choice.kernel for case in CASES}
    assert kernels >= {"square", "square_sites", "packed", "packed_sites", "sparse", "dense", "clusters", "blocks"}


@pytest.mark.usefixtures("quick")
def test_a_case_that_cannot_be_measured_costs_its_row() -> None:
    report = bench.run(1, cases=(Case("bad", "[lattice]\nsize = [0]\n", passes), Case("good", TINY, passes)))
    assert [row.passed for row in report.rows] == [False, True]
    assert report.rows[0].check.startswith("failed: ")
    benchtables.show(report, report)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--json", "nowhere/a.json"], "nowhere/a.json cannot be written"),
        (["--json", "."], ". cannot be written"),
        (["--threads", "100000"], "processors for 100000 threads"),
        (["--compare", "text.json"], "is not a report of"),
        (["--compare", "words.json"], "is not a report of"),
        (["--compare", "newer.json"], "is a report of schema 99, this is 1: measure anew"),
    ],
)
def test_bad_options_are_told_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], sentence: str
) -> None:
    row = Row("a", "k", 2.0, 0.1, 4.0, 1.0, "", True)
    good = json.loads(bench.to_json(Report(bench.SCHEMA, {}, 1, (row,), 1.0, 1.0, 1)))
    (tmp_path / "text.json").write_text("not JSON")
    (tmp_path / "words.json").write_text(json.dumps(good | {"rows": [{**good["rows"][0], "rate": "fast"}]}))
    (tmp_path / "newer.json").write_text(json.dumps(good | {"schema": 99, "more": 1}))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bench, "measure", lambda *_: pytest.fail("it measured"))
    found = CliRunner().invoke(main, ["bench", *options])
    assert found.exit_code == 2
    assert sentence in found.output
    assert "Traceback" not in found.output
