"""What the tests of the driver share: run files, data sets as bytes, runs in this process and in others."""

import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from click.testing import CliRunner, Result
from numpy.typing import NDArray

from ising_mc.cli import main
from ising_mc.ising import Realization
from ising_mc.schedule import execute
from ising_mc.spec import load

TIMEOUT = 300
SMALL = {
    "run": {"seed": "7"},
    "lattice": {"size": "[4]"},
    "grid": {"temperatures": "[2.0, 2.5]", "replicas": "4"},
    "schedule": {"thermalization": "20", "sweeps": "200", "measure_every": "2"},
    "algorithm": {"kind": '"heat_bath"'},
}
# heavy enough to be killed in the middle, light enough to be done often
KILLED = {
    "run": {"seed": "2026"},
    "lattice": {"size": "[8, 15]"},
    "grid": {"temperatures": "[2.0, 2.5, 3.0]", "replicas": "96"},
    "schedule": {
        "thermalization": "4000",
        "sweeps": "16000",
        "measure_every": "40",
        "checkpoint_seconds": "0.05",
    },
    "algorithm": {"kind": '"heat_bath"'},
}
SITES = {
    "run": {"seed": "5"},
    "lattice": {"size": "[128]"},
    "grid": {"temperatures": "[2.4]", "replicas": "2"},
    "schedule": {"thermalization": "1000", "sweeps": "4000", "measure_every": "10", "checkpoint_seconds": "0.05"},
    "algorithm": {"kind": '"metropolis"', "packing": '"sites"'},
}


def toml(base: dict[str, dict[str, str]] = SMALL, **changes: str | None) -> str:
    """The text of a run file; `grid__replicas="8"` sets a key, None takes it away."""
    tables = deepcopy(base)
    for name, value in changes.items():
        table, key = name.split("__")
        if value is None:
            tables[table].pop(key, None)
        else:
            tables.setdefault(table, {})[key] = value
    lines = [f"[{table}]\n" + "".join(f"{k} = {v}\n" for k, v in keys.items()) for table, keys in tables.items()]
    return "\n".join(lines)


def ground_energy(drawn: Realization, rows: int, columns: int) -> float:
    """The lowest energy of a periodic square lattice without field, by min-plus products over rows."""
    bonds, J = drawn.graph.bonds, drawn.J
    spins = 2.0 * ((np.arange(1 << columns)[:, None] >> np.arange(columns)) & 1) - 1
    inside = np.zeros((rows, 1 << columns))
    between = np.zeros((rows, 1 << columns, 1 << columns))  # to the next row
    for (i, j), own in zip(bonds, J, strict=True):
        (a, x), (b, y) = divmod(int(i), columns), divmod(int(j), columns)
        if a == b:
            inside[a] -= own * spins[:, x] * spins[:, y]
        elif b == (a + 1) % rows:
            between[a] -= own * np.outer(spins[:, x], spins[:, y])
        else:
            between[b] -= own * np.outer(spins[:, y], spins[:, x])
    best = np.inf
    for first in range(1 << columns):
        lowest = np.full(1 << columns, np.inf)
        lowest[first] = inside[0, first]
        for row in range(rows - 1):
            lowest = (lowest[:, None] + between[row]).min(0) + inside[row + 1]
        best = min(best, float((lowest + between[rows - 1][:, first]).min()))
    return best


def write(folder: Path, text: str, name: str = "run.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def complete(folder: Path, text: str, name: str = "run", threads: int = 2) -> Path:
    """Run or resume to the end, in this process; the result file."""
    out = folder / f"{name}.h5"
    assert execute(load(write(folder, text, f"{name}.toml")), out, threads)
    return out


def cli(*arguments: object) -> Result:
    """A command in this process; an exception that is not meant to end it is raised here."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def assert_refused(result: Result, *names: str) -> None:
    """Exit code 2 and one line on stderr, with all of these in it."""
    assert result.exit_code == 2, result.output
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("ising-mc: ")
    for name in names:
        assert name in lines[0]


def launch(*arguments: object, program: str = "", **options: Any) -> subprocess.Popen[str]:
    """`python -m ising_mc` in a process of its own; `program`: Python lines to be executed before it."""
    start = ["-c", f"{program}\nfrom ising_mc.cli import main\nmain()"] if program else ["-m", "ising_mc"]
    command = [sys.executable, *start, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code and stderr."""
    _, stderr = process.communicate(timeout=TIMEOUT)
    return process.returncode, stderr


def sampling(process: subprocess.Popen[str]) -> str:
    """Wait until a run says that it has begun; that line."""
    assert process.stderr is not None
    return process.stderr.readline()


Data = dict[str, tuple[str, tuple[int, ...], bytes]]


def datasets(path: Path) -> Data:
    """Every data set of a file: type, shape, bytes."""
    found: Data = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            values = item.asstr()[()] if item.dtype.kind == "O" else item[()]
            content = str(values.tolist()).encode() if item.dtype.kind == "O" else values.tobytes()
            found[name] = (str(item.dtype), item.shape, content)

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    assert len(found) > 10
    return found


def assert_same(path: Path, reference: Data) -> None:
    """All data sets are there and equal, byte for byte, and nothing is left over beside the file."""
    own = datasets(path)
    assert own.keys() == reference.keys()
    assert not [name for name in own if own[name] != reference[name]]
    assert not parts(path).exists()
    assert not list(path.parent.glob("*.tmp"))


def parts(out: Path) -> Path:
    return out.with_name(out.name + ".parts")


def segments(out: Path) -> list[Path]:
    return sorted(parts(out).glob("seg-*.h5"))


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, but for locks, with its content."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != "lock"}


def lane_bits(words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Bits of words, the new last axis from bit 0 to bit 63."""
    return ((words[..., None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)).astype(np.int64)
