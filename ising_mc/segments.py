"""Segments: files of stretches of time series, with the full state after them, that are whole or not at all.

Data and state commit together.  A segment is an HDF5 file behind a user block with a checksum of it all, and with an
index, so that one learns what a segment has, and reads it, without the cost of opening it with HDF5.
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
MAGIC = b"ising_mc segment 2, crc32 "  # then the sum of all that follows, and the index, up to an empty line
ANY_VERSION = b"ising_mc segment"
BEGIN = len(MAGIC) + len("01234567\n")
SERIES, MORE, SPINS, RANDOM = "series/", "more/", "spins", "random_state"  # names of data sets, or how they begin
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


def write(path: Path, commits: Sequence[Commit], header: dict[str, Any]) -> "list[Stretch]":
    """Write a segment under another name, sync and rename it; OSError where that fails, with nothing left behind."""
    partial = path.with_suffix(".tmp")
    try:
        image, lines = _image(commits)
        block = _user_block(header, lines, image)
        with open(partial, "wb") as file:
            file.write(block)
            file.write(image)
        sync_and_rename(partial, path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    return [_stretch(path, line, len(block)) for line in lines]


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
    if len(pieces) == 1:
        return pieces[0]
    return {name: np.concatenate([piece[name] for piece in pieces], axis=1) for name in (pieces[0] if pieces else ())}


def _image(commits: Sequence[Commit]) -> tuple[bytes, list[bytes]]:
    """An HDF5 file of commits, made in memory, because a failed write there cannot upset the HDF5 library.

    And for each commit a line of the index, in JSON: of every array its type, its shape, and where it begins.
    """
    lines = []
    with h5py.File("segment", "w", driver="core", backing_store=False, block_size=IMAGE_BLOCK) as file:
        for commit in commits:
            group = file.create_group(commit.key)
            arrays = {SERIES + name: values for name, values in commit.series.items()}
            arrays |= {MORE + name: values for name, values in commit.state.more.items()}
            arrays |= {SPINS: commit.state.spins, RANDOM: commit.state.random}
            places = {}
            for name, values in arrays.items():
                # contiguous, and none where there is nothing
                offset = group.create_dataset(name, data=values).id.get_offset()
                places[name] = (values.dtype.str, values.shape, offset)
            line = {"key": commit.key, "first": commit.first, "done": commit.done, "arrays": places}
            lines.append(json.dumps(line).encode())
        file.flush()
        image: bytes = file.id.get_file_image()
    return image, lines


def _user_block(header: dict[str, Any], lines: list[bytes], image: bytes) -> bytes:
    """Checksum and index of a segment: HDF5 leaves 512 bytes, or twice, four times, ... as many to its user."""
    text = b"\n".join([json.dumps(header).encode(), *lines, b"\n"])
    text = text.ljust(_block_size(BEGIN + len(text)) - BEGIN)
    return MAGIC + _checksum(text, image) + text


def _block_size(least: int) -> int:
    return max(USER_BLOCK, 1 << (least - 1).bit_length())


def _checksum(*parts: bytes | memoryview) -> bytes:
    value = 0
    for part in parts:
        value = isal_zlib.crc32(part, value)
    return f"{value:08x}\n".encode()


class DamagedError(OSError):
    """A segment that is not what was written."""


class OtherVersionError(OSError):
    """A segment that another version of this program wrote."""


class Stretch(NamedTuple):
    """Sweeps `first` ... `done` of a unit, and the segment that has them."""

    key: str
    first: int
    done: int
    path: Path
    line: bytes  # of the index
    start: int  # of the HDF5 file behind it

    def series(self, part: Part | None) -> Series:
        """The time series; part: of one temperature of a ladder."""
        return self._read(SERIES, part or (0, 1))

    def state(self) -> State:
        """The state after it."""
        more, (spins,), (random,) = self._read(MORE), self._read(SPINS).values(), self._read(RANDOM).values()
        return State(spins, random, more)

    def _read(self, prefix: str, part: Part = (0, 1)) -> Series:
        """The arrays whose names begin in one way."""
        found, (t, number) = {}, part
        with open(self.path, "rb") as file:
            for name, (dtype, shape, offset) in json.loads(self.line)["arrays"].items():
                if not name.startswith(prefix):
                    continue
                values = np.empty(shape, dtype)
                skipped = 0
                if number > 1:
                    first, last = t * len(values) // number, (t + 1) * len(values) // number
                    skipped, values = values[:first].nbytes, values[first:last]
                if values.size:
                    file.seek(self.start + offset + skipped)
                    if file.readinto(values.reshape(-1).view(np.uint8).data) != values.nbytes:
                        raise DamagedError("it was cut while it was read")
                found[name.removeprefix(prefix)] = values
        return found


class Index(NamedTuple):
    """What a segment is: the header of its run, its stretches, and when it was written."""

    run: dict[str, Any]
    stretches: tuple[Stretch, ...]
    time: float  # seconds since the epoch


def read_index(path: Path) -> Index:
    """Check a segment byte for byte, and tell what it has.

    Segments do not change once they are written: in one process, each is checked once.  Raises DamagedError,
    OtherVersionError, and another OSError where it cannot be read.
    """
    found = path.stat()
    return _read_index(path, (found.st_ino, found.st_size, found.st_mtime_ns))


@lru_cache(maxsize=1 << 17)
def _read_index(path: Path, state: tuple[int, int, int]) -> Index:
    content = path.read_bytes()
    if not content.startswith(MAGIC) and content.startswith(ANY_VERSION):
        raise OtherVersionError("it comes from another version of ising_mc")
    if content[len(MAGIC) : BEGIN] != _checksum(memoryview(content)[BEGIN:]):
        raise DamagedError("its checksum does not match")
    end = content.index(b"\n\n", BEGIN)
    header, *lines = content[BEGIN:end].split(b"\n")
    start = _block_size(end + len(b"\n\n"))
    return Index(_header(header), tuple(_stretch(path, line, start) for line in lines), state[2] * 1e-9)


@lru_cache(maxsize=8)  # all segments of a run have the same one
def _header(text: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    return found


def _stretch(path: Path, line: bytes, start: int) -> Stretch:
    own = json.loads(line)
    return Stretch(own["key"], own["first"], own["done"], path, line, start)
