"""The benchmark suite: how fast, how right, against whom.  Writes REPORT.md with pictures beside this file.

    pip install -e '.[bench]'
    python benchmarks/run.py --quick           smaller sizes, fewer rounds
    python benchmarks/run.py                   40 minutes on two cores

What is done is kept in a file of states; the same command goes on where it was stopped, `--fresh` begins anew, and
`--only` does some parts again.  Without the rivals that are not installed their rows say so.
"""

import argparse
import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER))

import contests  # noqa: E402
import harness  # noqa: E402
import report  # noqa: E402
import roofline  # noqa: E402
import studies  # noqa: E402

from ising_mc import bench, provenance  # noqa: E402
from ising_mc.kernels._jit import CACHE_FOLDER  # noqa: E402

RIVALS = (
    "mcising", "peapods", "dwave-samplers", "openjij", "pyalps", "scikit-learn", "torch", "rbms", "hopfieldnetwork",
)  # fmt: skip
QUICK_TIMES, FULL_TIMES = {"seconds": 0.3, "rounds": 3}, {"seconds": 0.5, "rounds": 7}


def facts() -> dict[str, Any]:
    """What the figures depend on."""
    names = ("ising-mc", "numba", "llvmlite", "numpy", "scipy", *RIVALS)
    return {
        "cpu": provenance.cpu_model(), "cores": len(os.sched_getaffinity(0)), "flags": bench.cpu_flags(),
        "python": sys.version.split()[0], "versions": {name: provenance.package_version(name) for name in names},
        "kernels": CACHE_FOLDER.name if CACHE_FOLDER else "unknown",  # a hash of their sources
    }  # fmt: skip


def begin(state: Path, mode: str, fresh: bool) -> dict[str, Any]:
    """What is known, or nothing; raises ValueError where that is of another machine, other versions, another mode."""
    now = facts()
    if fresh or not state.exists():
        return {"mode": mode, "facts": now, "dates": {}, "seconds": {}, "contests": {}, "studies": {}}
    try:
        known: dict[str, Any] = json.loads(state.read_text())
        before = known["facts"] | {"mode": known["mode"]}
        parts = [own for group in ("dates", "seconds", "contests", "studies") for own in known[group].values()]
        if not all(isinstance(own, (str, float, dict, list)) for own in parts):
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{state} cannot be read as what this program keeps; --fresh begins anew") from error
    other = [name for name, value in (now | {"mode": mode}).items() if before.get(name) != value]
    if other:
        raise ValueError(
            f"{state} was made with other {' and '.join(other)}; --fresh begins anew, --state takes another file"
        )
    return known


def save(state: Path, known: dict[str, Any]) -> None:
    partial = state.with_suffix(".tmp")
    partial.write_text(json.dumps(known, indent=1))
    partial.replace(state)


def say(line: str) -> None:
    print(f"... {line}", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smaller sizes, fewer rounds")
    parser.add_argument("--fresh", action="store_true", help="forget what was done before")
    parser.add_argument(
        "--only", nargs="+", metavar="PART", default=[], help="these parts, again; a wrong one lists all"
    )
    parser.add_argument("--state", type=Path, help="where results are kept [benchmarks/report-quick.json, -full.json]")
    parser.add_argument("--output", type=Path, default=FOLDER / "REPORT.md", help="the report [benchmarks/REPORT.md]")
    options = parser.parse_args()
    mode = "quick" if options.quick else "full"
    state = options.state or FOLDER / f"report-{mode}.json"
    parts: dict[str, Any] = {own.key: own for own in (contests.QUICK if options.quick else contests.FULL)}
    parts |= studies.STUDIES | {"roofline": roofline.study}
    unknown = [name for name in options.only if name not in parts]
    if unknown:
        parser.error(f"there is no part {unknown[0]}; there are {', '.join(parts)}")
    try:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        state.parent.mkdir(parents=True, exist_ok=True)
        if options.output.is_dir() or not os.access(options.output.parent, os.W_OK):
            raise ValueError(f"{options.output} cannot be written")
        known = begin(state, mode, options.fresh)
        save(state, known)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    for name, part in parts.items():
        group = "contests" if isinstance(part, harness.Contest) else "studies"
        if options.only and name not in options.only:
            continue
        if name in known[group] and name not in options.only:
            continue
        say(name)
        began = time.perf_counter()
        try:
            if isinstance(part, harness.Contest):
                times = QUICK_TIMES if options.quick else FULL_TIMES
                found: Any = {
                    "title": part.title, "unit": part.unit, "checks": part.checks, "exact": part.exact,
                    "results": [asdict(own) for own in harness.hold(part, **times)],
                }  # fmt: skip
            else:
                found = part(options.quick)
        except Exception as error:  # a part that fails costs itself, not the report
            found = {"trouble": f"{type(error).__name__}: {error}"}
        known[group][name], known["seconds"][name] = found, time.perf_counter() - began
        known["dates"][name] = provenance.now()[:10]
        save(state, known)
    options.output.write_text(report.text(known, options.output.parent))
    print(f"wrote {options.output}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on")
