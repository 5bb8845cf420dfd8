"""Segments: files of stretches of time series, with the full state after them, that are whole or not at all.

Data and state commit together.  A segment is an HDF5 file behind a user block with a checksum of it all.
"""

import json
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ising_mc.resultfile import sync_and_rename
from ising_mc.words import Series, State

IMAGE_BLOCK = 1 << 22  # bytes by which a segment grows in memory
USER_BLOCK = 512  # HDF5 leaves so many bytes at the beginning of a file to its user
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
        image = _image(commits, header)
        with open(partial, "wb") as file:
            file.write(_user_block(image))
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


def _image(commits: Sequence[Commit], header: dict[str, Any]) -> bytes:
    """An HDF5 file of commits, made in memory, because a failed write there cannot upset the HDF5 library."""
    with h5py.File("segment", "w", driver="core", backing_store=False, block_size=IMAGE_BLOCK) as file:
        file.attrs["run"] = json.dumps(header)
        for commit in commits:
            group = file.create_group(commit.key)
            series = group.create_group("series")
            for name, values in commit.series.items():
                series.create_dataset(name, data=values)
            group.create_dataset("spins", data=commit.state.spins)
            group.create_dataset("random_state", data=commit.state.random)
            for name, values in commit.state.more.items():
                group.create_dataset(f"more/{name}", data=values)
            group.attrs.update(first=commit.first, done=commit.done)
        file.flush()
        image: bytes = file.id.get_file_image()
    return image


def _user_block(image: bytes) -> bytes:
    return f"ising_mc segment, crc32 {zlib.crc32(image):08x}\n".encode().ljust(USER_BLOCK, b"\0")


class DamagedError(OSError):
    """A segment that is not what was written."""


def _opened(path: Path) -> h5py.File:
    """A segment to read: nobody writes it, so that no lock is needed, which some file systems do not have."""
    return h5py.File(path, "r", locking=False)


@contextmanager
def open_segment(path: Path) -> Iterator[h5py.File]:
    """Open a segment after checking it byte for byte; raises DamagedError, and OSError where it cannot be read."""
    content = path.read_bytes()
    if content[:USER_BLOCK] != _user_block(content[USER_BLOCK:]):
        raise DamagedError("its checksum does not match")
    with _opened(path) as file:
        yield file


def unit_groups(file: h5py.File) -> Iterator[tuple[str, h5py.Group]]:
    """The units in a segment, with their keys."""
    for label, system in file.items():
        for T, temperature in system.items():
            for word, group in temperature.items():
                yield f"{label}/{T}/{word}", group


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
