"""Where numbers come from: versions, commit, processor, host, dates, Slurm ids."""

import datetime
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("ising-mc", "numpy", "numba", "llvmlite", "scipy", "h5py")
SLURM = ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_RESTART_COUNT", "SLURM_JOB_NODELIST")


def now() -> str:
    """Date and time, UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def collect(threads: int, began: str) -> dict[str, str | int]:
    """All that is worth keeping about how and where a result came to be, as plain attributes."""
    facts: dict[str, str | int] = {f"version_{name}": package_version(name) for name in PACKAGES}
    facts |= {name: os.environ[name] for name in SLURM if name in os.environ}
    return facts | {
        "version_python": platform.python_version(),
        "commit": commit(),
        "cpu": cpu_model(),
        "host": platform.node(),
        "threads": threads,
        "began": began,
        "finished": now(),
    }


def package_version(name: str) -> str:
    """Version of an installed package, or "unknown"."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"


def commit() -> str:
    """Commit of the checkout that the package runs from, with "-dirty" after changes, or "unknown"."""
    folder = Path(__file__).parent.parent
    if not (folder / ".git").exists():
        return "unknown"
    command = ["git", "-C", str(folder), "describe", "--always", "--abbrev=12", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return done.stdout.strip() or "unknown"


def cpu_model() -> str:
    """Name of the processor."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
