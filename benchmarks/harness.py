"""Contests: rivals do the same work in turn, each in a process of its own, and each result is checked.

A contender is made by a function, named "module:function", that takes the options of the contest as keywords and
returns an object with

    work(steps) -> amount of work done in so many steps (attempts, units, epochs: what the contest counts), or that
                   and its seconds, where the contender knows better than the clock around it
    check() -> (value, error) of what the contest checks, from a longer run; (nan, nan) where it cannot tell, and
                   then does not count

It lives in a process of its own, which waits while others work: what cannot be imported, crashes or hangs costs its
row only.  Nobody works while another is timed.  Rates of all contenders are taken round by round, so that a drift of
the machine's speed touches all of them, and the ratio is that of each round.
"""

import argparse
import importlib
import json
import math
import os
import select
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SECONDS = 0.5  # of one measurement
ROUNDS = 7
PATIENCE = 240.0  # seconds after which a contender that does not answer hangs
TELLS = 0.02  # an error beyond this share of the value does not tell whether it is right
AGREES = 5.0  # standard errors; Gaussian errors exceed them once in 2e6
ONE_THREAD = {
    name: "1"
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS", "NUMBA_NUM_THREADS")
}


@dataclass(frozen=True)
class Contender:
    """Who takes part: a name for tables, what makes it, and options of its own."""

    name: str
    make: str
    options: dict[str, Any] = field(default_factory=dict)
    exact: float | None = None  # where it is checked on another system than the others,
    system: str = ""  # which is this one


@dataclass(frozen=True)
class Contest:
    """What is done, by whom (ours first), in which unit, and what must come out.

    exact: of what is checked; None where nobody knows it, so that all are held against the first.  threads: that each
    contender may use.  system: of which the value is checked, where that is not the one that is timed.
    """

    key: str
    title: str
    contenders: tuple[Contender, ...]
    unit: str = "attempts/ns"
    options: dict[str, Any] = field(default_factory=dict)
    checks: str = "e"
    exact: float | None = None
    threads: int = 1
    system: str = ""


@dataclass
class Result:
    """What became of a contender: rates round by round, in units of work a nanosecond, and what was checked."""

    name: str
    rates: list[float] = field(default_factory=list)
    value: float = math.nan
    error: float = math.nan
    trouble: str = ""  # why it does not count; empty where it does
    aim: float | None = None  # what the value had to be, where that is known
    system: str = ""  # of which


class Worker:
    """A contender in its process."""

    def __init__(self, contender: Contender, contest: Contest, patience: float) -> None:
        """Start it; it may take its time to get ready, until it is asked."""
        self.name, self.patience = contender.name, patience
        threads = {name: str(contest.threads) for name in ONE_THREAD}
        options = json.dumps({**contest.options, **contender.options})
        command = [sys.executable, str(Path(__file__)), "--worker", contender.make, options]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={**os.environ, **threads}, start_new_session=True,
        )  # fmt: skip

    def ask(self, **question: Any) -> dict[str, Any]:
        """Its answer; raises TroubleError where it has none."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps(question) + "\n")
            self.process.stdin.flush()
            ready, _, _ = select.select([self.process.stdout], [], [], self.patience)
            if not ready:
                raise TroubleError(f"hangs: no answer in {self.patience:g} s")
            line = self.process.stdout.readline()
        except (BrokenPipeError, OSError):
            line = ""
        if not line:
            raise TroubleError(f"crashed{_how(self.process)}")
        answer: dict[str, Any] = json.loads(line)
        if "trouble" in answer:
            raise TroubleError(answer["trouble"])
        return answer

    def stop(self) -> None:
        """End it, whatever it does."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()


class TroubleError(Exception):
    """A contender that cannot take part; the message says why, in a few words."""


def _how(process: "subprocess.Popen[str]") -> str:
    try:
        code = process.wait(5)
    except subprocess.TimeoutExpired:
        return ""
    return f" ({signal.Signals(-code).name})" if code < 0 else f" (exit code {code})"


def hold(
    contest: Contest, seconds: float = SECONDS, rounds: int = ROUNDS, patience: float = PATIENCE,
    watch: Callable[[str], None] = lambda line: None,
) -> list[Result]:  # fmt: skip
    """Hold a contest; watch: is told who does what."""
    results = {own.name: Result(own.name) for own in contest.contenders}
    workers: dict[str, Worker] = {}

    def out(name: str, trouble: str) -> None:
        results[name].trouble = trouble
        workers.pop(name).stop()

    try:
        for own in contest.contenders:
            watch(f"{own.name} gets ready")
            workers[own.name] = Worker(own, contest, patience)
            try:
                workers[own.name].ask(ready=seconds)
            except TroubleError as trouble:
                out(own.name, str(trouble))
        for k in range(rounds):
            for name, worker in list(workers.items()):
                watch(f"{name}, round {k + 1} of {rounds}")
                try:
                    found = worker.ask(work=True)
                except TroubleError as trouble:
                    out(name, str(trouble))
                    continue
                results[name].rates.append(found["amount"] / found["seconds"] / 1e9)
        for name, worker in list(workers.items()):
            watch(f"{name} is checked")
            try:
                found = worker.ask(check=True)
                results[name].value, results[name].error = found["value"], found["error"]
            except TroubleError as trouble:
                out(name, str(trouble))
    finally:
        for worker in workers.values():
            worker.stop()
    judge(contest, list(results.values()))
    return list(results.values())


def judge(contest: Contest, results: Sequence[Result]) -> None:
    """Say whose result is wrong: it then does not count.

    A value is held against the exact one, or else against that of the first contender, whose error counts too.
    """
    first, contenders = results[0], {own.name: own for own in contest.contenders}
    for own in results:
        contender = contenders.get(own.name, Contender(own.name, ""))
        own.aim = contest.exact if contender.exact is None else contender.exact
        own.system = contender.system or contest.system
        if own.trouble:
            continue
        if math.isnan(own.value):
            own.trouble = "unchecked"
            continue
        if not own.error <= TELLS * abs(own.value):
            own.trouble = f"not told: {contest.checks} = {own.value:.6g} +- {own.error:.2g}"
            continue
        if own.aim is not None:
            aim, error = own.aim, own.error
        elif own is first or first.trouble:
            continue
        else:
            aim, error = first.value, math.hypot(own.error, first.error)
        if not abs(own.value - aim) <= AGREES * error:
            z = abs(own.value - aim) / error if error > 0 else math.inf
            what = "not as ours" if own.aim is None else "wrong"
            own.trouble = f"{what}: {contest.checks} = {own.value:.6g} is {z:.3g} standard errors from {aim:.6g}"


def ratios(results: Sequence[Result], name: str) -> list[float]:
    """Rate of the first contender over that of another, round by round; empty where one of them does not count."""
    first, other = results[0], next(own for own in results if own.name == name)
    if first.trouble or other.trouble:
        return []
    return [a / b for a, b in zip(first.rates, other.rates, strict=True)]


def middle_and_spread(values: Sequence[float]) -> str:
    """Median and range."""
    middle = statistics.median(values)
    digits = 0 if middle >= 20 else 1
    return f"{middle:.{digits}f} ({min(values):.{digits}f} - {max(values):.{digits}f})"


# --- in the process of a contender ----------------------------------------------------------------------------------


def _serve(make: str, options: dict[str, Any]) -> None:
    """Answer questions, one line each; what a contender prints goes where it disturbs nobody."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    contender, steps = None, 1
    for line in sys.stdin:
        question = json.loads(line)
        try:
            if "ready" in question:
                contender = _made(make, options)
                steps = _steps_for(contender, question["ready"])
                answer: dict[str, Any] = {"steps": steps}
            elif "work" in question:
                amount, seconds = _timed(contender, steps)
                answer = {"seconds": seconds, "amount": amount}
            else:
                value, error = contender.check()
                answer = {"value": float(value), "error": float(error)}
        except ModuleNotFoundError as error:
            answer = {"trouble": f"not installed: {error.name}"}
        except Exception as error:  # whatever a contender may raise
            answer = {"trouble": f"failed: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _made(make: str, options: dict[str, Any]) -> Any:
    module, function = make.split(":")
    return getattr(importlib.import_module(module), function)(**options)


def _timed(contender: Any, steps: int) -> tuple[float, float]:
    """What was done in so many steps, and its seconds."""
    began = time.perf_counter()
    amount = contender.work(steps)
    took = time.perf_counter() - began
    return (float(amount[0]), float(amount[1])) if isinstance(amount, tuple) else (float(amount), took)


def _steps_for(contender: Any, seconds: float) -> int:
    """Steps that take about so long; what compiles does so before."""
    contender.work(1)
    steps = 1
    while True:
        _, took = _timed(contender, steps)
        if took > seconds / 2:
            return max(1, round(steps * seconds / took))
        steps = max(steps + 1, int(steps * min(10, 0.9 * seconds / max(took, 1e-6))))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--worker", nargs=2, required=True)
    make, options = parser.parse_args().worker
    sys.path.insert(0, os.getcwd())
    _serve(make, json.loads(options))
