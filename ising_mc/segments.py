"""Segments: files of stretches of time series, with the full state after them, that are whole or not at all.

Data and state commit together.  A segment is an HDF5 file behind a user block with a checksum of it all, and with an
index, so that one learns what a segment has without HDF5, which takes several times as long.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from isal import isal_zlib

from ising_mc.resultfile import sync_and_rename
from ising_mc.words import Series, State

IMAGE_BLOCK = 1 << 22  # bytes by which a segment grows in memory
USER_BLOCK = 512  # bytes, the least that HDF5 can leave to its user at the beginning of a file
MAGIC = b"ising_mc segment 2, crc32 "  # then the sum of all that follows, and the index in a line of its own
BEGIN = len(MAGIC) + len("01234567\n")
Part = tuple[int, int]  # number t of the temperatures of a ladder, and how many there are


@dataclass(frozen=True)
class Commit:
    """A stretch of one unit, as it goes into a segment: sweeps `first` ... `done`, and the state after them."""

    key: str
    first: int
    done: int
    series: Series
    state: State

    @property
    def size(self) -> int:
        """Bytes of data."""
        return sum(values.nbytes for values in self.series.values()) + int(self.state.spins.nbytes)


def write(path: Path, commits: Sequence[Commit], header: dict[str, Any]) -> None:
    """Write a segment under another name, sync and rename it; OSError where that fails, with nothing left behind."""
    partial = path.with_suffix(".tmp")
    try:
        image = _image(commits)
        with open(partial, "wb") as file:
            file.write(_user_block(commits, header, image))
            file.write(image)
        sync_and_rename(partial, path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def joined(commits: Sequence[Commit]) -> list[Commit]:
    """One commit a unit, from several in order."""
    by_key: dict[str, list[Commit]] = {}
    for commit in commits:
        by_key.setdefault(commit.key, []).append(commit)
    return [
        Commit(
            key,
            own[0].first,
            own[-1].done,
            concatenated([commit.series for commit in own if commit.series]),
            own[-1].state,
        )
        for key, own in by_key.items()
    ]


def concatenated(pieces: Sequence[Series]) -> Series:
    """One stretch of every series, from several in order."""
    return {name: np.concatenate([piece[name] for piece in pieces], axis=1) for name in (pieces[0] if pieces else ())}


def _image(commits: Sequence[Commit]) -> bytes:
    """An HDF5 file of commits, made in memory, because a failed write there cannot upset the HDF5 library."""
    with h5py.File("segment", "w", driver="core", backing_store=False, block_size=IMAGE_BLOCK) as file:
        for commit in commits:
            group = file.create_group(commit.key)
            series = group.create_group("series")
            for name, values in commit.series.items():
                series.create_dataset(name, data=values)
            group.create_dataset("spins", data=commit.state.spins)
            group.create_dataset("random_state", data=commit.state.random)
            for name, values in commit.state.more.items():
                group.create_dataset(f"more/{name}", data=values)
        file.flush()
        image: bytes = file.id.get_file_image()
    return image


def _user_block(commits: Sequence[Commit], header: dict[str, Any], image: bytes) -> bytes:
    """Checksum and index of a segment: HDF5 leaves 512 bytes, or twice, four times, ... as many to its user."""
    index = {"run": header, "stretches": [(commit.key, commit.first, commit.done) for commit in commits]}
    text, size = f"{json.dumps(index)}\n".encode(), USER_BLOCK
    while size < BEGIN + len(text):
        size *= 2
    text = text.ljust(size - BEGIN)
    return MAGIC + _checksum(text, image) + text


def _checksum(*parts: bytes | memoryview) -> bytes:
    value = 0
    for part in parts:
        value = isal_zlib.crc32(part, value)
    return f"{value:08x}\n".encode()


class DamagedError(OSError):
    """A segment that is not what was written."""


class Index(NamedTuple):
    """What a segment is: the header of its run, its stretches (key, first, done), and when it was written."""

    run: dict[str, Any]
    stretches: list[tuple[str, int, int]]
    time: float  # seconds since the epoch


def read_index(path: Path) -> Index:
    """Check a segment byte for byte, and tell what it has; raises DamagedError, and OSError where it cannot be read.

    Segments do not change once they are written: in one process, each is checked once.
    """
    found = path.stat()
    return _read_index(path, (found.st_ino, found.st_size, found.st_mtime_ns))


@lru_cache(maxsize=1 << 17)
def _read_index(path: Path, state: tuple[int, int, int]) -> Index:
    content = path.read_bytes()
    if not content.startswith(MAGIC):
        raise DamagedError("it is no segment of this version of ising_mc")
    if content[len(MAGIC) : BEGIN] != _checksum(memoryview(content)[BEGIN:]):
        raise DamagedError("its checksum does not match")
    index = json.loads(content[BEGIN : content.index(b"\n", BEGIN)])
    return Index(index["run"], index["stretches"], state[2] * 1e-9)


def _opened(path: Path) -> h5py.File:
    """A segment to read: nobody writes it, so that no lock is needed, which some file systems do not have."""
    return h5py.File(path, "r", locking=False)


def read_series(path: Path, key: str, part: Part | None) -> Series:
    """The stretch of a unit; part: of one temperature of a ladder."""
    t, number = part or (0, 1)
    with _opened(path) as file:
        return {
            name: data[t * len(data) // number : (t + 1) * len(data) // number]
            for name, data in file[f"{key}/series"].items()
        }


def read_state(path: Path, key: str) -> State:
    """The state of a unit after its stretch."""
    with _opened(path) as file:
        more = {name: file[f"{key}/more/{name}"][()] for name in list(file.get(f"{key}/more", ()))}
        return State(file[f"{key}/spins"][()], file[f"{key}/random_state"][()], more)
