"""Files on disk: immutable segments while a run goes on, one result file in the end.

While it runs, nothing is written into the result file.  ``<OUT>.parts/`` holds

    run.json            identity and seed of the run
    seg-000012.h5       the stretches of every time series since the segment before (`segments`)
    submitted.json      the jobs of a batch queue that work here
    ...                 locks, and folders of tasks (`folders`)

A segment is written under another name, closed, synced and renamed, so it is there as a whole or not at all, and data
and state commit together.  The result file is made from the segments, again by renaming, and then the parts go.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from ising_mc.folders import (
    Task,
    folders,
    hold,
    join,
    parts_folder,
    remove_if_idle,
    segments,
    write_first,
    write_text,
)
from ising_mc.isingspec import SamplingSpec
from ising_mc.reader import cut
from ising_mc.results import (
    SCHEMA_VERSION,
    StoreError,
    damage_told,
    first_line,
    open_result,
    read_word,
)
from ising_mc.runspec import RunSpec
from ising_mc.segments import (
    Commit,
    DamagedError,
    OtherVersionError,
    Part,
    Stretch,
    concatenated,
    joined,
    read_index,
    write,
)
from ising_mc.streams import SAMPLER_VERSION
from ising_mc.words import LANES, Series, State

SAME = ("schema_version", "sampler_version", "identity", "seed")  # in all segments of a run
LOCK_SECONDS = 5.0  # that a task waits for a lock: a merge or a submission looks whether anybody is at work
MOST_CHANGES = 4  # told in one sentence
HEADER = {  # what run.json holds
    "schema_version": int,
    "sampler_version": int,
    "identity": dict,
    "seed": int,
    "sweeps": int,
    "temperatures": list,
}


class Save(NamedTuple):
    """When a segment was written, in seconds since the epoch, and the sweeps of each unit in it."""

    time: float
    sweeps: dict[str, int]


@dataclass
class Progress:
    """What is known of one unit: sweeps done, where its data lie, and the state to go on from."""

    done: int = 0
    pieces: list[Callable[[Part | None], Series]] = field(default_factory=list)
    read_state: Callable[[], State] | None = None


class Store:
    """The files of one run.  Open it with `Store.open`, which takes the lock."""

    def __init__(self, out: Path, header: dict[str, Any], task: Task | None = None) -> None:
        """Nothing is read or written yet."""
        self.header = header
        self.out = out
        self.seed: int = header["seed"]
        self.task = task
        self.parts = parts_folder(out)
        self.folder = self.parts / task.folder if task else self.parts  # where it writes its segments
        self.progress: dict[str, Progress] = {}
        self.saves: dict[str, list[Save]] = {}  # of each folder, in order, as they were read
        self.result: tuple[int, tuple[float, ...]] | None = None  # sweeps and temperatures of the result file
        self._next_segment = 0

    @staticmethod
    @contextmanager
    def open(
        out: Path, spec: RunSpec, draw_seed: Callable[[], int], task: Task | None = None, begins: bool = True
    ) -> Iterator["Store"]:  # fmt: skip
        """Lock the files of a run, read how far it got, and take its seed from there (else the file's, else drawn).

        task: which of several, that work on it at the same time; it reads what it may go on from, and its own segments.
        begins: whether the run may begin, or go on to more sweeps; else it is only read.
        Raises StoreError where another process works on it, where a file is damaged or foreign, or where the run
        file has changed in more than sweeps and temperatures.
        """
        parts = parts_folder(out)
        locks: list[int] = []
        try:
            if task and (header := read_header(out)) is not None:
                _refuse_changes(out, header, spec)  # before a task leaves anything there
            locks.append(_hold_all(out, shared=task is not None, patience=LOCK_SECONDS if task else 0))
            if task:
                locks.append(join(parts, task, spec.temperatures, out))
            try:
                yield Store._read(out, spec, draw_seed, task) if begins else progress_of(out, spec)
            finally:
                if not task and (begins or not (parts / "run.json").exists()):
                    remove_if_idle(parts)
        finally:
            for lock in reversed(locks):
                os.close(lock)

    @staticmethod
    def _read(out: Path, spec: RunSpec, draw_seed: Callable[[], int], task: Task | None) -> "Store":
        if task is None:
            _forget_if_empty(out, spec, submitted=False)
        found = begin(out, spec, draw_seed)
        path, header = parts_folder(out) / "run.json", _header(spec, found["seed"])
        if json.dumps(found) != json.dumps(header):  # sweeps or temperatures have grown
            write_text(path, json.dumps(header, indent=1))
        store = Store(out, header, task)
        store._read_all()
        return store

    def _read_all(self) -> None:
        if self.out.exists():
            self._read_result()
        found: list[Stretch] = []
        for folder in folders(self.parts, self.task):
            paths = segments(folder)
            for path in paths:
                found += self._read_segment(path, last=path == paths[-1])
            if paths and folder == self.folder:
                self._next_segment = int(paths[-1].stem.split("-")[1]) + 1
        for stretch in sorted(found):  # of a unit that several tasks had, one after the other, too
            self._take(stretch)

    def has_all_of(self, spec: RunSpec) -> bool:
        """Whether the result file has all that is asked for, temperatures in their order."""
        return self.result == (spec.sweeps, spec.temperatures)

    def _read_result(self) -> None:
        with open_result(self.out) as file, damage_told(self.out):
            kind = file.attrs.get("kind", "ising")
            if kind == "anneal":  # nothing can be added to it
                self.result = 0, ()
                for label, system in file["systems"].items():
                    for word in range(-(-len(system["read"]) // LANES)):
                        self.progress[f"{label}/anneal/w{word:04d}"] = Progress(len(system["sweep"]))
                return
            if kind == "train":
                self._read_trained(file)
                return
            if kind == "hopfield":  # nor to this
                for label, system in file["systems"].items():
                    self.result = int(file.attrs["sweeps"]), tuple(float(T) for T in system["temperature"])
                    end = int(system.attrs["thermalization"]) + self.result[0]
                    for T in self.result[1]:
                        for word in range(-(-len(system["replica"]) // LANES)):
                            self.progress[f"{label}/T{T!r}/w{word:04d}"] = Progress(end)
                return
            for label, system in file["systems"].items():
                self.result = int(file.attrs["sweeps"]), tuple(float(T) for T in system["temperature"])
                done = np.asarray(system["final/done"])
                replicas_per_word = int(system.attrs["replicas_per_word"])
                if "exchange_every" in system.attrs:
                    order = np.argsort(system["temperature"]).tolist()
                    for word, sweeps in enumerate(done):
                        self.progress[f"{label}/ladder/w{word:04d}"] = Progress(
                            int(sweeps),
                            [self._from_result(label, order, word, replicas_per_word)],
                            lambda label=label, word=word: self._final_state(label, word),  # type: ignore[misc]
                        )
                    continue
                for t, T in enumerate(system["temperature"]):
                    for word in range(done.shape[1]):
                        self.progress[f"{label}/T{float(T)!r}/w{word:04d}"] = Progress(
                            int(done[t, word]),
                            [self._from_result(label, [t], word, replicas_per_word)],
                            lambda label=label, t=t, word=word: self._final_state(label, (t, word)),  # type: ignore[misc]
                        )

    def _read_trained(self, file: h5py.File) -> None:
        """More epochs can be added to a result of training."""
        (label,) = file["systems"]
        epochs = int(file.attrs["sweeps"])
        self.result = epochs, ()

        def series(part: Part | None) -> Series:
            with open_result(self.out) as file, damage_told(self.out):
                return {name: file["training"][name][()][None] for name in list(file["training"]) if name != "epoch"}

        def state() -> State:
            with open_result(self.out) as file, damage_told(self.out):
                own = {name: file[f"systems/{label}/final"][name][()] for name in list(file[f"systems/{label}/final"])}
                return State(own.pop("spins"), own.pop("random_state"), own)

        self.progress[f"{label}/train/w0000"] = Progress(epochs, [series], state)

    def _from_result(self, label: str, order: list[int], word: int, per_word: int) -> Callable[[Part | None], Series]:
        def read(part: Part | None) -> Series:
            with open_result(self.out) as file, damage_told(self.out):
                places = [order[part[0]]] if part else order
                return read_word(file[f"systems/{label}/timeseries"], places, word, per_word)

        return read

    def _final_state(self, label: str, place: int | tuple[int, int]) -> State:
        with open_result(self.out) as file, damage_told(self.out):
            final = file[f"systems/{label}/final"]
            random = final["random_state"][place]
            if isinstance(place, tuple) and "random_shape" in final:
                bands, generators = final["random_shape"][place[0]]
                random = random[:bands, :generators]
            more = {name: final["more"][name][place] for name in list(final.get("more", ()))}
            return State(final["spins"][place], random, more)

    def _read_segment(self, path: Path, last: bool) -> list[Stretch]:
        """What a segment has; raises FileNotFoundError where it went away, as it does when a run ends."""
        try:
            index = read_index(path)
        except FileNotFoundError:
            raise
        except OSError as error:
            _refuse_unreadable(path, error)
            which = "it" if last else "it and all later ones"
            raise StoreError(
                f"segment {path} is damaged ({first_line(error)}): move {which} away, and the run goes on from the "
                "segment before"
            ) from error
        others = [key for key in SAME if index.run.get(key) != self.header[key]]
        if others:
            raise StoreError(
                f"segment {path} belongs to another run than {self.parts / 'run.json'} says: it has another "
                f"{' and another '.join(others)}"
            )
        sweeps = {stretch.key: stretch.done - stretch.first for stretch in index.stretches}
        self.saves.setdefault(path.parent.name, []).append(Save(index.time, sweeps))
        return list(index.stretches)

    def _take(self, stretch: Stretch) -> None:
        key, first, done, path = stretch[:4]
        known = self.progress.setdefault(key, Progress())
        if done <= known.done:
            return  # the result file has it already: the run was killed before it removed its parts
        if first < known.done:
            raise StoreError(f"segments of {key} in {self.parts} overlap: two processes worked on it at the same time")
        if first != known.done:
            raise StoreError(
                f"{self.parts} lacks a segment before {path.relative_to(self.parts)}: {key} goes on at sweep {first}, "
                f"but only {known.done} are there; put the missing segment back, or move {path.name} and all later "
                f"ones of {path.parent} away, whose sweeps are then done again"
            )
        known.done = done
        known.pieces.append(stretch.series)
        known.read_state = stretch.state

    def write_segment(self, commits: Sequence[Commit]) -> None:
        """Commit stretches of several units at once.

        Raises StoreError where they cannot be written; what was committed before is not touched.
        """
        commits = joined(commits)
        path = self.folder / f"seg-{self._next_segment:06d}.h5"
        try:
            written = write(path, commits, self.header)
        except OSError as error:
            raise StoreError(
                f"cannot write {path}: {first_line(error)}; what was saved before is safe, run again to go on"
            ) from error
        self._next_segment += 1
        for stretch in written:
            self._take(stretch)

    def series(self, key: str, part: Part | None = None) -> Series:
        """The whole time series of a unit, (replica, measurement) each; part: of one temperature of its ladder only."""
        with _reading(key):
            pieces = [piece for piece in (read(part) for read in self.progress[key].pieces) if piece]
        return concatenated(pieces)

    def remove_parts(self) -> None:
        """Remove the segments, once the result file has all of them."""
        for folder in folders(self.parts):
            for segment in segments(folder):
                segment.unlink()
        for name in ("run.json", "tasks.json", "submitted.json"):
            (self.parts / name).unlink(missing_ok=True)

    def state(self, key: str) -> State | None:
        """The state to go on from, or None for a unit that has not begun."""
        known = self.progress.get(key)
        with _reading(key):
            return known.read_state() if known and known.read_state else None

    def done(self, key: str) -> int:
        """Sweeps done and saved, thermalization included."""
        known = self.progress.get(key)
        return known.done if known else 0


# -- reading ---------------------------------------------------------------------------------------------------------


@contextmanager
def _reading(key: str) -> Iterator[None]:
    """Say what could not be read, where segments that were there have gone or changed since."""
    try:
        yield
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise StoreError(
            f"cannot read what was saved of {key}{where}: {first_line(error)}; run again to see what is there"
        ) from error


def _refuse_unreadable(path: Path, error: OSError) -> None:
    """Raise StoreError where a segment cannot be read just now, or by this version: it may be sound."""
    if isinstance(error, OtherVersionError):
        raise StoreError(
            f"segment {path} comes from another version of ising_mc: finish it with that version, or choose another -o"
        ) from error
    if error.errno and not isinstance(error, DamagedError):
        raise StoreError(f"cannot read segment {path}: {first_line(error)}; nothing is lost, try again") from error


def read_header(out: Path) -> dict[str, Any] | None:
    """Identity, seed, sweeps and temperatures of a run from its parts or its result file; None where there is none."""
    text = parts_folder(out) / "run.json"
    try:
        header = json.loads(text.read_text())
        if not all(isinstance(header[key], kind) for key, kind in HEADER.items()):
            raise ValueError("something in it has the wrong type")
        return dict(header)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{text} is damaged ({first_line(error)}): move it away, the segments know what run they belong to"
        ) from error
    for folder in folders(text.parent):
        for path in segments(folder)[-1:]:
            try:
                return dict(read_index(path).run)
            except FileNotFoundError:
                raise
            except OSError as error:
                _refuse_unreadable(path, error)
                raise StoreError(f"segment {path} is damaged ({first_line(error)}): move it away") from error
    if not out.exists():
        return None
    with open_result(out) as file, damage_told(out):
        system = next(iter(file["systems"].values()))
        return {
            "schema_version": int(file.attrs["schema_version"]),
            "sampler_version": int(file.attrs["sampler_version"]),
            "identity": json.loads(file.attrs["identity"]),
            "seed": int(file.attrs["seed"]),
            "sweeps": int(file.attrs["sweeps"]),
            "temperatures": []
            if file.attrs.get("kind") in ("anneal", "train")
            else [float(T) for T in system["temperature"]],
        }


def _header(spec: RunSpec, seed: int) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "sampler_version": SAMPLER_VERSION,
        "identity": spec.identity(),
        "seed": seed,
        "sweeps": spec.sweeps,
        "temperatures": list(spec.temperatures),
    }


def begin(out: Path, spec: RunSpec, draw_seed: Callable[[], int]) -> dict[str, Any]:
    """Write down what a run is, unless that has been done: the header that is there.

    Of processes that begin at once one is the first, and its seed is that of all.  Raises StoreError where nothing can
    be written, and where the run that is there is another one.
    """
    parts, found = parts_folder(out), read_header(out)
    if found is None or not (parts / "run.json").exists():
        seed = found["seed"] if found else spec.seed
        header = _header(spec, draw_seed() if seed is None else seed)
        if found is not None:
            _refuse_changes(out, found, spec)
        try:
            parts.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot write next to {out}: {error.strerror}") from error
        write_first(parts / "run.json", json.dumps(header, indent=1))
        found = read_header(out)
        if found is None:
            raise StoreError(f"{parts / 'run.json'} went away: another process removed it")
    _refuse_changes(out, found, spec)
    return found


def begin_anew(out: Path, spec: RunSpec, draw_seed: Callable[[], int]) -> None:
    """Write down what a run is before any process works on it, as `begin` does; another run that is empty goes."""
    with _alone(out) as alone:
        if alone:
            _forget_if_empty(out, spec, submitted=True)
        found = begin(out, spec, draw_seed)
        if alone:
            _grow(out, spec, found)


def forget(out: Path, spec: RunSpec) -> None:
    """Forget another run that has not sampled anything, before the temperatures of this one are placed."""
    if parts_folder(out).exists():
        with _alone(out) as alone:
            if alone:
                _forget_if_empty(out, spec, submitted=True)


def _grow(out: Path, spec: RunSpec, found: dict[str, Any]) -> None:
    """Note the sweeps and temperatures that a run has grown by."""
    header = _header(spec, found["seed"])
    if json.dumps(found) != json.dumps(header):
        write_text(parts_folder(out) / "run.json", json.dumps(header, indent=1))


def give_up(out: Path) -> None:
    """Undo `begin_anew`, where nothing came of it."""
    with _alone(out) as alone:
        if alone:
            remove_if_idle(parts_folder(out))


@contextmanager
def _alone(out: Path) -> Iterator[bool]:
    """Hold the lock of a run: whether nobody works on it."""
    lock = None
    with suppress(StoreError):
        lock = _hold_all(out)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            os.close(lock)


def _hold_all(out: Path, shared: bool = False, patience: float = 0.0) -> int:
    """The lock of a run, as a descriptor; patience: seconds in which to try again, as a merge may only be looking.

    Raises StoreError where another process has it, and where nothing can be written.
    """
    parts, until = parts_folder(out), time.monotonic() + patience
    while True:
        try:
            parts.mkdir(parents=True, exist_ok=True)
            lock = os.open(parts / "lock", os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise StoreError(f"cannot write next to {out}: {error.strerror}") from error
        try:
            hold(lock, parts / "lock", str(out), shared)
        except StoreError:
            os.close(lock)
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            return lock


def _forget_if_empty(out: Path, spec: RunSpec, submitted: bool) -> None:
    """Forget another run that has not sampled anything: its run file may change.  For the holder of the lock.

    submitted: also one that was submitted, because no job of it is left.
    """
    parts = parts_folder(out)
    if out.exists() or any(segments(folder) for folder in folders(parts)):
        return
    header = read_header(out)
    if header is None or ((parts / "submitted.json").exists() and not submitted):
        return
    if isinstance(spec, SamplingSpec) and spec.places_its_ladder:  # its temperatures may be those of the run there
        other = header["identity"] != spec.identity() or spec.seed not in (None, header["seed"])
    else:
        other = bool(_changes(header, spec))
    if other:
        (parts / "run.json").unlink(missing_ok=True)


def with_its_ladder(spec: SamplingSpec, out: Path) -> SamplingSpec | None:
    """A run with tempering.ladder = "auto" and the temperatures that it began with; None where it has not begun."""
    header = read_header(out)
    return replace(spec, temperatures=tuple(header["temperatures"]), asked=spec.temperatures) if header else None


def as_begun(spec: RunSpec, out: Path) -> RunSpec:
    """A run, with the temperatures that it began with where these come from a pilot."""
    if isinstance(spec, SamplingSpec) and spec.places_its_ladder:
        return with_its_ladder(spec, out) or spec
    return spec


def is_finished(out: Path, spec: RunSpec) -> bool:
    """Whether the result file of a run has all that is asked for; nothing else is read, and nothing locked.

    Raises StoreError where it belongs to another run.
    """
    header = read_header(out) if out.exists() else None
    if header is None:
        return False
    _refuse_changes(out, header, spec)
    store = Store(out, header)
    store._read_result()
    return store.has_all_of(spec)


def progress_of(out: Path, spec: RunSpec) -> "Store":
    """How far a run is, from its files alone and without its lock.

    Raises StoreError for damaged files and for a run file that has changed.
    """
    before = _age(out)
    try:
        return _progress_of(out, spec)
    except (FileNotFoundError, StoreError):
        if _age(out) == before and not isinstance(sys.exception(), FileNotFoundError):
            raise
        return _progress_of(out, spec)  # the run ended just now and removed its parts


def _age(out: Path) -> tuple[int, int] | None:
    """What tells whether a result file was written since."""
    try:
        found = out.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def _progress_of(out: Path, spec: RunSpec) -> "Store":
    header = read_header(out)
    if header is None:
        return Store(out, {"seed": -1})
    _refuse_changes(out, header, spec)
    store = Store(out, header)
    store._read_all()
    return store


def _refuse_changes(out: Path, header: dict[str, Any], spec: RunSpec) -> None:
    """Only sweeps and temperatures may grow; anything else would make a file of samples that do not belong together."""
    for key, own in (("schema_version", SCHEMA_VERSION), ("sampler_version", SAMPLER_VERSION)):
        if header[key] != own:
            raise StoreError(
                f"{out} comes from another version of ising_mc ({key} {header[key]}, this is {own}): finish it with "
                "that version, or choose another -o"
            )
    changes = _changes(header, spec)
    if changes:
        raise StoreError(f"{out} belongs to another run ({'; '.join(changes)}): choose another -o, or undo the change")


def _changes(header: dict[str, Any], spec: RunSpec) -> list[str]:
    """What makes a run another one than it was."""
    old, new = header["identity"], spec.identity()
    changes = [f"{key} was {cut(old.get(key))}, is {cut(new[key])}" for key in new if old.get(key) != new[key]]
    if len(changes) > MOST_CHANGES:
        changes = [*changes[:MOST_CHANGES], f"and {len(changes) - MOST_CHANGES} more"]
    if spec.seed is not None and spec.seed != header["seed"]:
        changes.append(f"run.seed was {header['seed']}, is {spec.seed}")
    if spec.sweeps < header["sweeps"]:
        key = "train.epochs" if spec.kind == "train" else "schedule.sweeps"
        changes.append(f"{key} was {header['sweeps']}, is {spec.sweeps}, but can only grow")
    gone = [T for T in header["temperatures"] if T not in spec.temperatures]
    if gone:
        changes.append(f"grid.temperatures no longer holds {', '.join(map(str, gone))}")
    return changes
