"""The report of the benchmarks from results that are made up, whole ones and such with trouble; its parts go on."""

import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

import report
import run
from harness import Contender, Contest

NO_ROOFLINE: dict[str, Any] = {"ceilings": {}, "rows": [], "bits": 1.0}


def known() -> dict[str, Any]:
    def result(name: str, rates: list[float], value: float, trouble: str = "") -> dict[str, Any]:
        return {
            "name": name,
            "rates": rates,
            "value": value,
            "error": 0.01,
            "trouble": trouble,
            "aim": -1.5,
            "system": "16 x 16",
        }

    contest = {
        "title": "Metropolis, L = 128", "unit": "attempts/ns", "checks": "e", "exact": -1.5,
        "results": [
            result("ising-mc", [20.0, 21.0], -1.49), result("mcising", [0.2, 0.2], -1.51),
            result("broken", [0.5, 0.5], -3.0, "wrong: e = -3 is 150 standard errors from -1.5"),
            result("absent", [], math.nan, "not installed: absent"),
        ],
    }  # fmt: skip
    effective = [
        {"L": 64, "name": name, "e_per_s": 1.0, "m2_per_s": 2.0, "value": -1.4, "error": 0.1, "exact": -1.4,
         "seconds_to_1e-4": seconds, "range": [seconds, seconds]}
        for name, seconds in (("ising-mc, wolff", 2.0), ("mcising, wolff", 150.0))
    ]  # fmt: skip
    facts = {
        "cpu": "a processor",
        "cores": 2,
        "flags": "avx2",
        "python": "3.11",
        "versions": {"numpy": "2", "rbms": "unknown"},
    }
    return {
        "mode": "quick", "facts": facts, "dates": {"a": "2026-01-02", "b": "2026-01-01"},
        "seconds": {"metropolis_2d_128": 60.0},
        "contests": {"metropolis_2d_128": contest, "dense": {"trouble": "RuntimeError: out of luck"}},
        "studies": {"effective_samples": effective, "growth": {"trouble": "OSError: no room"}},
    }  # fmt: skip


def test_report(tmp_path: Path) -> None:
    text = report.text(known(), tmp_path)
    assert "| 2D Metropolis over mcising | 100 | 102 (100 - 105) |  |" in text
    assert "| error of e a second at L = 64, Tc, over the best rival | 50 | 75 |  |" in text
    assert "| mcising | 0.2 | 102 (100 - 105) | -1.51 +- 0.01 | -1.500000 | 16 x 16 |  |" in text
    assert (
        "| broken | 0.5 |  | -3 +- 0.01 | -1.500000 | 16 x 16 | wrong: e = -3 is 150 standard errors from -1.5 |"
        in text
    )
    assert "| absent | - |  |  | -1.500000 | 16 x 16 | not installed: absent |" in text
    assert "2026-01-01 to 2026-01-02, a processor" in text
    assert "failed: RuntimeError: out of luck" in text
    assert "failed: OSError: no room" in text
    assert "rbms" not in text.split("Made by")[0]
    for name in ("ratios.png", "effective.png"):
        assert f"({name})" in text
        assert (tmp_path / name).stat().st_size > 1000


def test_missed_aims_say_why(tmp_path: Path) -> None:
    told = known()
    told["contests"]["metropolis_2d_128"]["results"][0]["rates"] = [10.0, 11.0]
    told["studies"]["effective_samples"][0] |= {"name": "ising-mc, metropolis", "seconds_to_1e-4": 10.0}
    told["studies"]["roofline"] = NO_ROOFLINE | {
        "rows": [
            {"name": "square, L = 128, 64 replicas a word", "rate": 10.0, "operations": 2.0, "operation": "operations",
             "bytes": 4.0, "share": 0.5, "source": "cache", "bound": "operations", "most": 20.0,
             "limit": "much", "help": "little"}
        ]
    }  # fmt: skip
    text = report.text(told, tmp_path)
    reason = (
        "the kernel is at 50% of what its operations allow on this processor (10 of 20 attempts/ns a core, "
        "see the roofline)"
    )
    assert f"| 2D Metropolis over mcising | 100 | 52 (50 - 55) | {reason} |" in text
    reason = "the best rival is mcising, wolff, not a local update; ours that is best is ising-mc, metropolis"
    assert f"| error of e a second at L = 64, Tc, over the best rival | 50 | 15 | {reason} |" in text


def test_an_aim_whose_rival_failed_is_told(tmp_path: Path) -> None:
    told = known()
    told["contests"]["metropolis_2d_128"]["results"][1]["trouble"] = "crashed (SIGABRT)"
    text = report.text(told, tmp_path)
    assert "| 2D Metropolis over mcising | 100 | not measured | mcising: crashed (SIGABRT); broken: wrong" in text


@pytest.mark.parametrize("content", ["{", "[]", '{"a": 1}', '{"facts": {}, "mode": "quick", "contests": []}', "\0"])
def test_a_file_of_something_else_is_no_state(tmp_path: Path, content: str) -> None:
    (tmp_path / "state.json").write_text(content)
    with pytest.raises(ValueError, match="cannot be read"):
        run.begin(tmp_path / "state.json", "quick", False)
    assert run.begin(tmp_path / "state.json", "quick", True)["contests"] == {}


def test_results_of_other_versions_or_modes_are_neither_mixed_nor_lost(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    own = run.begin(state, "quick", False)
    run.save(state, own)
    assert run.begin(state, "quick", False) == own
    with pytest.raises(ValueError, match="with other mode"):
        run.begin(state, "full", False)
    own["facts"]["kernels"] = "older ones"
    run.save(state, own)
    with pytest.raises(ValueError, match="with other kernels"):
        run.begin(state, "quick", False)
    assert json.loads(state.read_text()) == own


@pytest.mark.parametrize("options", [["--output", "{}"], ["--state", "{}"], ["--only", "nothing"]])
def test_bad_options_are_told_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    own = {"--output": str(tmp_path / "R.md"), "--state": str(tmp_path / "s.json")}
    own[options[0]] = options[1].format(tmp_path)
    monkeypatch.setattr(sys, "argv", ["run.py", "--quick", *(word for pair in own.items() for word in pair)])
    monkeypatch.setattr(run.harness, "hold", lambda *_, **__: pytest.fail("it measured"))
    with pytest.raises(SystemExit) as ended:
        run.main()
    assert ended.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_parts_that_are_done_are_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def study(quick: bool) -> Any:
        calls.append(f"study {quick}")
        if len(calls) == 1:
            raise RuntimeError("at first")
        return {"rows": [], "exponents": {}}

    nobody = Contest("nobody", "Nobody", (Contender("ours", "no_such_module:f"),))
    monkeypatch.setattr(run.contests, "QUICK", (nobody,))
    monkeypatch.setattr(run.studies, "STUDIES", {"patterns": study})
    monkeypatch.setattr(run.roofline, "study", lambda quick: calls.append("roofline") or NO_ROOFLINE)
    state, output = tmp_path / "state.json", tmp_path / "out" / "REPORT.md"

    def command(*more: str) -> str:
        monkeypatch.setattr(sys, "argv", ["run.py", "--quick", "--state", str(state), "--output", str(output), *more])
        run.main()
        return output.read_text()

    text = command()
    assert "not installed: no_such_module" in text
    assert "failed: RuntimeError: at first" in text
    assert calls == ["study True", "roofline"]
    command()
    assert calls == ["study True", "roofline"]
    assert "at first" not in command("--only", "patterns")
    assert calls[2:] == ["study True"]
    command("--fresh")
    assert len(calls) == 5
    assert set(json.loads(state.read_text())["studies"]) == {"patterns", "roofline"}
    with pytest.raises(SystemExit):
        command("--only", "nothing")
