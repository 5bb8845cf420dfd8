"""The folder of a run that is going on: who works where, and that nobody else does.

    lock                held by the process that works here, or shared by all tasks that do
    tasks.json          into how many tasks the work is divided, if it is, and the temperatures that were divided
    tasks.lock          held for an instant by each task that starts
    submit.lock         held while the run is submitted
    task-00003-of-00010/    lock and segments of task 3, which writes nowhere else
    task-00003-of-00010-before-0/    the same, from before the work was divided anew

On a file system without locks it is for the user to run one process only.
"""

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ising_mc.division import MOST_TASKS
from ising_mc.resultfile import sync_and_rename
from ising_mc.results import StoreError, first_line

OWN_FILES = ("run.json", "tasks.json", "submitted.json", "tasks.lock", "submit.lock", "lock")
CLAIM_SECONDS = 10.0  # after which a process that claimed a file is taken for dead
TASK_FOLDERS = "task-[0-9]*-of-[0-9]*"


@dataclass(frozen=True)
class Task:
    """Task number `number`, from 0, of `count` that share a run."""

    number: int
    count: int

    @property
    def of(self) -> str:
        """What the names of all folders of its division end with."""
        return f"-of-{self.count:05d}"

    @property
    def folder(self) -> str:
        """The name of its folder."""
        return f"task-{self.number:05d}{self.of}"

    def __str__(self) -> str:
        return f"task {self.number} of {self.count}"


def parts_folder(out: Path) -> Path:
    """The folder of segments of a result file."""
    return out.with_name(out.name + ".parts")


def segments(folder: Path) -> list[Path]:
    """The segments of a folder, in order."""
    return sorted(folder.glob("seg-[0-9][0-9][0-9][0-9][0-9][0-9].h5"))


def folders(parts: Path, task: Task | None = None) -> list[Path]:
    """The folders with segments of a run; for a task those that it may go on from.

    Other tasks of the same division have other units, so a task need not read their segments.
    """
    found = [folder for folder in sorted(parts.glob(TASK_FOLDERS)) if folder.is_dir()]
    if task:
        found = [own for own in found if own.name == task.folder or not own.name.endswith(task.of)]
    return [parts, *found]


def divided_into(out: Path) -> int:
    """Into how many tasks the last division of a run was; 0 where there is none."""
    division = _division(parts_folder(out) / "tasks.json")
    return int(division["tasks"]) if division else 0


def _division(path: Path) -> dict[str, Any] | None:
    """How the work is divided, or None where it never was."""
    try:
        found = json.loads(path.read_text())
        tasks = int(found["tasks"])
        if not 1 <= tasks <= MOST_TASKS:
            raise ValueError(f"{tasks} tasks")
        return {"tasks": tasks, "temperatures": list(found["temperatures"])}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path} is damaged ({first_line(error)}): remove it") from error


def hold(descriptor: int, path: Path, what: str, shared: bool = False) -> None:
    """Take a lock that is open; raises StoreError where another process has it, or has just removed it.

    what: what that process is running.
    """
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StoreError(f"another process is running {what}: wait for it, or choose another -o") from error
    except OSError:
        return  # a file system without locks: there it is for the user to run one process only
    if not path.exists() or os.fstat(descriptor).st_ino != path.stat().st_ino:
        raise StoreError(f"another process has just finished {what}: run again")


def join(parts: Path, task: Task, temperatures: Sequence[float], out: Path) -> int:
    """The lock of a task, as a descriptor, once it is known that all tasks at work belong to its division.

    Tasks come in one by one, so that of many that start at once none is refused because another is looking.  Where the
    work is divided anew, folders that have the names of the new tasks are set aside: their units may be those of other
    tasks now, which read what is set aside.  Raises StoreError where tasks of another division are at work.
    """
    path, folder = parts / "tasks.json", parts / task.folder
    own = {"tasks": task.count, "temperatures": list(temperatures)}
    try:
        entrance = os.open(parts / "tasks.lock", os.O_RDWR | os.O_CREAT, 0o666)
        try:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(entrance, fcntl.LOCK_EX)
            before = _division(path)
            if before != own:
                _refuse_beside(parts, before, task, out)
                _set_aside(parts, task)
                write_text(path, json.dumps(own))
            folder.mkdir(exist_ok=True)
            lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o666)
            try:
                hold(lock, folder / "lock", f"{task} of {out}")
            except StoreError:
                os.close(lock)
                raise
        finally:
            os.close(entrance)
    except OSError as error:
        raise StoreError(f"cannot write next to {out}: {error.strerror}") from error
    return lock


@contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold a lock of its own while something is done; raises StoreError where another process holds it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}") from error
    try:
        hold(lock, path, what)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
    finally:
        os.close(lock)


def _refuse_beside(parts: Path, before: dict[str, Any] | None, task: Task, out: Path) -> None:
    """Raise StoreError where any task is at work, which then belongs to another division."""
    for folder in folders(parts)[1:]:
        if _is_locked(folder / "lock"):
            number = before["tasks"] if before else 0
            if number == task.count:
                raise StoreError(f"{out} is being run in {number} tasks at other temperatures: wait for them")
            raise StoreError(
                f"{out} is being run in {number or 'other'} tasks: wait for them"
                f"{f', or use --tasks {number}, not {task.count}' if number else ''}"
            )


def _is_locked(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    finally:
        os.close(descriptor)
    return False


def _set_aside(parts: Path, task: Task) -> None:
    for folder in folders(parts)[1:]:
        if folder.name.endswith(task.of) and segments(folder):
            number = 0
            while (aside := parts / f"{folder.name}-before-{number}").exists():
                number += 1
            folder.rename(aside)


def remove_if_idle(parts: Path) -> None:
    """Remove the folder of a finished run, or of one that never saved anything and was not submitted."""
    if not any(segments(folder) for folder in folders(parts)) and not (parts / "submitted.json").exists():
        for name in OWN_FILES:
            (parts / name).unlink(missing_ok=True)
        remove_folders(parts)


def remove_folders(parts: Path) -> None:
    """Remove the folders of tasks, and that of the run, but for what others have put there."""
    for folder in reversed(folders(parts)):
        with suppress(OSError):
            for path in (*folder.glob("*.tmp"), *([folder / "lock"] if folder != parts else [])):
                path.unlink(missing_ok=True)
            folder.rmdir()


def write_first(path: Path, text: str) -> None:
    """Write a small file, as a whole, unless it is there already; of several processes only one writes it."""
    if path.exists():
        return
    partial = _unique(path)
    try:
        with open(partial, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.link(partial, path)
    except FileExistsError:
        pass
    except OSError:  # a file system without links, or a full one, which then is told of
        _claim_and_write(path, text)
    finally:
        partial.unlink(missing_ok=True)


def _claim_and_write(path: Path, text: str) -> None:
    """The same by a folder that only one process can make; the others wait for the file."""
    claim = path.with_name(f"{path.name}.claim")
    try:
        claim.mkdir()
    except FileExistsError:
        until = time.monotonic() + CLAIM_SECONDS
        while not path.exists() and time.monotonic() < until:
            time.sleep(0.05)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}") from error
    try:
        if not path.exists():  # or the one that claimed it was killed
            write_text(path, text)
    finally:
        with suppress(OSError):
            claim.rmdir()


def write_text(path: Path, text: str) -> None:
    """Write a small file, as a whole, over the one that is there.  Raises StoreError where it cannot be written."""
    partial = _unique(path)
    try:
        partial.write_text(text)
        sync_and_rename(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise StoreError(f"cannot write {path}: {error.strerror}") from error


def _unique(path: Path) -> Path:
    """A name of its own for this process, beside a path."""
    return path.with_name(f"{path.name}.{socket.gethostname()}.{os.getpid()}.tmp")
