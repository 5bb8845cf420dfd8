"""The harness of the benchmarks on rivals that are made up: right, wrong, missing, crashing, hanging."""

import importlib
import inspect
import math
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "benchmarks"
sys.path.insert(0, str(FOLDER))

from harness import Contender, Contest, Result, hold, judge, middle_and_spread, ratios  # noqa: E402

FAKES = """
import os, time

class Fake:
    def __init__(self, pace=1e-6, value=0.5, error=0.01, **options):
        self.pace, self.value, self.error, self.options = pace, value, error, options

    def work(self, steps):
        print("what a rival prints disturbs nobody")
        time.sleep(steps * self.pace)
        return 100 * steps

    def check(self):
        return self.value, self.error

def missing(**options):
    import a_package_that_is_not_there

class Crashing(Fake):
    def check(self):
        os.abort()

class Exiting(Fake):
    def work(self, steps):
        if steps > 5:
            os._exit(3)
        return super().work(steps)

class Failing(Fake):
    def work(self, steps):
        raise RuntimeError("no such lattice\\nand more")

class Hanging(Fake):
    def work(self, steps):
        if self.options.get("count", 0) > 3:
            time.sleep(1000)
        self.options["count"] = self.options.get("count", 0) + 1
        return super().work(steps)
"""


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fakes.py").write_text(FAKES)
    monkeypatch.chdir(tmp_path)


def held(*others: Contender, exact: float | None = 0.5, patience: float = 20) -> dict[str, Result]:
    ours = Contender("ours", "fakes:Fake", {"pace": 1e-4})
    contest = Contest("made_up", "made up", (ours, *others), exact=exact)
    return {own.name: own for own in hold(contest, seconds=0.02, rounds=3, patience=patience)}


@pytest.mark.usefixtures("fakes")
def test_rivals_take_turns_and_are_compared() -> None:
    found = held(Contender("slow", "fakes:Fake", {"pace": 1e-3, "value": 0.52}))
    assert all(not own.trouble and len(own.rates) == 3 for own in found.values())
    assert found["ours"].rates[0] == pytest.approx(100 / 1e-4 / 1e9, rel=0.5)
    ratio = ratios(list(found.values()), "slow")
    assert len(ratio) == 3
    assert 4 < ratio[1] < 20


@pytest.mark.usefixtures("fakes")
@pytest.mark.parametrize(
    ("make", "options", "trouble"),
    [
        ("Fake", {"value": 0.56}, "wrong: e = 0.56 is 6 standard errors from 0.5"),
        ("Fake", {"value": 0.5001, "error": 0.0}, "wrong: e = 0.5001 is inf standard errors"),
        ("missing", {}, "not installed: a_package_that_is_not_there"),
        ("Crashing", {}, "crashed (SIGABRT)"),
        ("Exiting", {}, "crashed (exit code 3)"),
        ("Failing", {}, "failed: RuntimeError: no such lattice"),
        ("nobody", {}, "failed: AttributeError"),
    ],
)
def test_a_rival_that_cannot_costs_its_row(make: str, options: dict[str, float], trouble: str) -> None:
    found = held(Contender("other", f"fakes:{make}", options), Contender("good", "fakes:Fake"))
    assert found["other"].trouble.startswith(trouble)
    assert ratios(list(found.values()), "other") == []
    assert not found["ours"].trouble
    assert len(ratios(list(found.values()), "good")) == 3


@pytest.mark.usefixtures("fakes")
def test_a_rival_that_hangs_is_ended() -> None:
    found = held(Contender("other", "fakes:Hanging"), patience=3)
    assert found["other"].trouble == "hangs: no answer in 3 s"
    assert len(found["ours"].rates) == 3


@pytest.mark.usefixtures("fakes")
def test_our_own_result_can_be_wrong() -> None:
    found = held(Contender("other", "fakes:Fake"), exact=0.6)
    assert all(own.trouble.startswith("wrong") for own in found.values())


def test_without_an_exact_value_all_are_held_against_the_first() -> None:
    contest = Contest("k", "t", ())
    own = [Result("ours", [1.0], 1.0, 0.01), Result("near", [1.0], 1.04, 0.01), Result("far", [1.0], 1.2, 0.01)]
    own.append(Result("unknown", [1.0], math.nan, math.nan))
    judge(contest, own)
    assert [bool(one.trouble) for one in own] == [False, False, True, True]
    assert own[2].trouble.startswith("not as ours: e = 1.2 is 14.1 standard errors")
    assert own[3].trouble == "unchecked"


def test_a_contender_may_be_checked_on_a_system_of_its_own() -> None:
    contenders = (Contender("ours", "", exact=2.0, system="a large one"), Contender("other", ""))
    contest = Contest("k", "t", contenders, exact=1.0, system="a small one")
    own = [Result("ours", [1.0], 2.0, 0.01), Result("other", [1.0], 2.0, 0.01)]
    judge(contest, own)
    assert [(one.aim, one.system, bool(one.trouble)) for one in own] == [
        (2.0, "a large one", False), (1.0, "a small one", True),
    ]  # fmt: skip


def test_spreads_are_written() -> None:
    assert middle_and_spread([1.0, 2.0, 4.04]) == "2.0 (1.0 - 4.0)"
    assert middle_and_spread([50.0, 99.0, 120.0]) == "99 (50 - 120)"


def test_everybody_who_is_to_take_part_is_there_and_takes_the_options() -> None:
    contests = importlib.import_module("contests")
    for contest in (*contests.QUICK, *contests.FULL):
        for own in contest.contenders:
            module, name = own.make.split(":")
            inspect.signature(getattr(importlib.import_module(module), name)).bind(**own.options)
