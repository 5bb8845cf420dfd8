"""From a run to its work: units to threads, saving on wall time, time limit, signals, and the result at the end.

Threads take units one after the other, the largest first.  A thread keeps the stretches of its unit until it is time
to save, then hands them over together with the unit's state; the main thread writes what it has into one segment.
"""

import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from secrets import randbelow
from typing import Any, Protocol

import numpy as np

from ising_mc import provenance
from ising_mc.annealfile import write_annealing
from ising_mc.boltzmannfile import write_machine, write_machine_annealing
from ising_mc.boltzmannspec import MachineSpec
from ising_mc.division import divide
from ising_mc.folders import Task, locked
from ising_mc.isingspec import SamplingSpec
from ising_mc.kernels._jit import one_compiles
from ising_mc.observables import PointResults, analyse
from ising_mc.pilot import place_temperatures
from ising_mc.reader import LARGEST_SEED
from ising_mc.recallfile import write_recalls
from ising_mc.resultfile import write_result
from ising_mc.results import StoreError
from ising_mc.run import Stretch, advance, try_out, units_of
from ising_mc.runspec import RunSpec
from ising_mc.segments import Commit
from ising_mc.store import Store, as_begun, begin, begin_anew, forget, is_finished, progress_of, with_its_ladder
from ising_mc.trainfile import write_training
from ising_mc.unit import Unit
from ising_mc.words import Series

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
UNIT_BYTES = 1 << 24  # a unit hands over its data at the latest when it holds this much
SEGMENT_BYTES = 1 << 27  # a segment is written at the latest when it has this much
POLL_SECONDS = 0.1
MOST_NAMED = 3  # units in one sentence
WRITERS: dict[str, Callable[..., None]] = {  # of runs that come to more than the results of a time series
    "anneal": write_annealing,
    "hopfield": write_recalls,
    "boltzmann_anneal": write_machine_annealing,
    "train": write_training,
}


class Watcher(Protocol):
    """Who is told how a run goes on: the screen of the command line, or nobody."""

    def began(self, units: Sequence[Unit], store: Store, threads: int) -> None:
        """The work is known, and how much of it is done."""

    def moved(self, unit: Unit, sweeps: int, attempts: int) -> None:
        """A unit did some sweeps, and attempted so many updates."""

    def saved(self) -> None:
        """A segment was written."""

    def analysing(self, points: int) -> Callable[[], None]:
        """All is sampled; the function returned is called after each of `points` points of the result."""


class Silent:
    """A watcher that shows nothing."""

    def began(self, units: Sequence[Unit], store: Store, threads: int) -> None:
        """Show nothing."""

    def moved(self, unit: Unit, sweeps: int, attempts: int) -> None:
        """Show nothing."""

    def saved(self) -> None:
        """Show nothing."""

    def analysing(self, points: int) -> Callable[[], None]:
        """Show nothing."""
        return lambda: None


@dataclass
class Timings:
    """Where the time of this process went, in seconds, up to the writing of the result file.

    sample is summed over threads: sweeps and measurements, which the kernels do in one, and their conversion;
    write is that of the segments.
    """

    compile: float = 0.0
    sample: float = 0.0
    write: float = 0.0
    wall: float = 0.0
    attempts: int = 0

    @property
    def flips_per_ns(self) -> float:
        """Spin updates attempted per nanosecond of wall time, of all threads."""
        return self.attempts / (self.wall * 1e9) if self.wall else 0.0

    def attributes(self) -> dict[str, float]:
        """As they stand in the result file; after a resume they are of the process that finished the run."""
        return {
            "compile_seconds": self.compile,
            "sample_seconds": self.sample,
            "write_seconds": self.write,
            "wall_seconds": self.wall,
            "flips_per_ns": self.flips_per_ns,
        }


@dataclass
class _Work:
    """One unit on its way: what it did since it last handed over."""

    unit: Unit
    first: int
    began: float
    stretches: list[Stretch] = field(default_factory=list)

    @property
    def size(self) -> int:
        return sum(values.nbytes for stretch in self.stretches for values in stretch.series.values())


class Runner:
    """Runs what is left of a run, in threads.

    threads: how many;  time_limit: seconds after which the run saves its state and stops, or None.
    """

    def __init__(
        self, spec: RunSpec, units: Sequence[Unit], store: Store, threads: int, time_limit: float | None,
        watcher: Watcher,
    ) -> None:  # fmt: skip
        self.spec, self.units, self.store, self.threads, self.watcher = spec, units, store, threads, watcher
        self.timings = Timings()
        self.interrupted = False
        self._stop = threading.Event()
        self._deadline = None if time_limit is None else time.monotonic() + time_limit
        self._handed_over: queue.Queue[Commit | BaseException | None] = queue.Queue(
            maxsize=threads
        )  # bounds the memory
        self._todo: queue.SimpleQueue[Unit] = queue.SimpleQueue()
        self._timing_lock = threading.Lock()

    @property
    def end(self) -> int:
        """Sweeps of a unit that is done."""
        return self.spec.thermalization + self.spec.sweeps

    def stop(self) -> None:
        """Save and return as soon as possible; may be called from a signal handler."""
        self.interrupted = True
        self._stop.set()

    def out_of_time(self) -> bool:
        """Whether the time limit is over."""
        return self._deadline is not None and time.monotonic() > self._deadline

    def run(self) -> bool:
        """Sample until all is done (True), or until stopped or out of time (False); all is saved either way.

        Raises StoreError where the samples cannot be saved.
        """
        left = [unit for unit in self.units if self.store.done(unit.key) < self.end]
        for unit in sorted(left, key=lambda unit: -unit.attempts_per_sweep):
            self._todo.put(unit)
        workers, per_unit = min(self.threads, len(left)), 1
        if workers < self.threads and any(unit.can_share_threads for unit in left):
            workers, per_unit = 1, self.threads  # too few units for all threads: all of them work on one lattice
        # in a thread that ends: OpenMP gives each calling thread helpers of its own, and idle ones would stay and spin
        with ThreadPoolExecutor(1) as compiling:
            compiling.submit(self._compile, left, per_unit).result()
        began = time.monotonic()
        self.watcher.began(self.units, self.store, self.threads)
        threads = [threading.Thread(target=self._work, args=(per_unit,), daemon=True) for _ in range(workers)]
        for thread in threads:
            thread.start()
        try:
            self._save_until_done(len(threads))
        finally:
            self._stop.set()
            while any(thread.is_alive() for thread in threads):  # a full queue must not hold them up
                list(_drain(self._handed_over))
                time.sleep(POLL_SECONDS / 10)
        self.timings.wall += time.monotonic() - began
        return all(self.store.done(unit.key) >= self.end for unit in self.units)

    def _compile(self, units: list[Unit], threads: int) -> None:
        """Compile the kernels, or load them from the cache, before the clock of the sampling starts."""
        if not units:
            return
        began = time.monotonic()
        examples = {(unit.choice.kernel, unit.choice.update): unit for unit in units}
        kind = self.spec.kind, bool(units[0].ladder), getattr(self.spec, "observables", ()), threads > 1
        with one_compiles(f"{kind} {sorted(examples)}"):
            for unit in examples.values():
                unit.warm_up(threads)
        self.timings.compile += time.monotonic() - began

    def _save_until_done(self, working: int) -> None:
        """Write what `working` threads hand over, until the last of them has ended."""
        ready: list[Commit] = []
        size, last = 0, time.monotonic()
        while working:
            try:
                item = self._handed_over.get(timeout=POLL_SECONDS)
            except queue.Empty:
                pass
            else:
                if isinstance(item, BaseException):
                    raise item
                if item is None:
                    working -= 1
                else:
                    ready.append(item)
                    size += item.size
            now = time.monotonic()
            if self.out_of_time():
                self.stop()
            if ready and (size > SEGMENT_BYTES or now - last > self.spec.checkpoint_seconds / 2 or not working):
                self.store.write_segment(ready)
                self.watcher.saved()
                ready, size, last = [], 0, time.monotonic()
                self.timings.write += last - now

    def _work(self, threads: int) -> None:
        try:
            while not self._stop.is_set():
                try:
                    unit = self._todo.get_nowait()
                except queue.Empty:
                    return
                self._do(unit, threads)
        except BaseException as error:  # the main thread raises it
            self._handed_over.put(error)
        finally:
            self._handed_over.put(None)

    def _do(self, unit: Unit, threads: int) -> None:
        spec = self.spec
        sampler = unit.sampler(self.store.seed, threads)
        state = self.store.state(unit.key)
        if state is None:
            sampler.start(self.store.seed, unit.system.label, unit.temperature, unit.word, spec.start)
        else:
            sampler.restore(state)
        done = self.store.done(unit.key)
        work = _Work(unit, done, time.monotonic())
        for stretch in advance(unit, sampler, done, spec.thermalization, spec.sweeps, spec.measure_every):
            self.watcher.moved(unit, stretch.done - done, stretch.attempts)
            with self._timing_lock:
                self.timings.sample += stretch.seconds
                self.timings.attempts += stretch.attempts
            done = stretch.done
            work.stretches.append(stretch)
            waited = time.monotonic() - work.began
            if (
                done == self.end
                or self._stop.is_set()
                or waited > spec.checkpoint_seconds / 2
                or work.size > UNIT_BYTES
            ):
                self._hand_over(work, sampler.state())
                work = _Work(unit, done, time.monotonic())
                if self._stop.is_set():
                    return

    def _hand_over(self, work: _Work, state: Any) -> None:
        recorded = [stretch.series for stretch in work.stretches if stretch.series]
        names = recorded[0] if recorded else ()
        series = {name: np.concatenate([own[name] for own in recorded], axis=1) for name in names}
        self._handed_over.put(Commit(work.unit.key, work.first, work.stretches[-1].done, series, state))


def _drain(items: "queue.Queue[Commit | BaseException | None]") -> Iterator[Commit | BaseException | None]:
    while True:
        try:
            yield items.get_nowait()
        except queue.Empty:
            return


class _StoppedError(Exception):
    """A signal or the time limit came while the result file was written."""


def execute(
    spec: RunSpec, out: Path, threads: int, time_limit: float | None = None, watcher: Watcher | None = None,
    task: Task | None = None,
) -> bool:  # fmt: skip
    """Run or resume a run to its end and write its result file; False where it was stopped and saved its state.

    task: do only the share of this task, and write no result file: that is for `merge`.  SIGINT, SIGTERM and SIGUSR1
    stop it (in the main thread of a process).  Raises SpecError where an algorithm cannot do what is asked, StoreError
    where files cannot be read or written.
    """
    watcher = watcher or Silent()
    spec, units = _prepare(spec, out)
    own = units
    if task:
        own = divide(units, task.count)[task.number]
        if not own or is_finished(out, spec):
            return True
    if not out.exists():
        try_out(own, spec, spec.seed or 0)
    with Store.open(out, spec, _draw_seed, task) as store:
        if store.has_all_of(spec):
            if not task:
                store.remove_parts()
            return True
        began = provenance.now()
        runner = Runner(spec, own, store, threads, time_limit, watcher)
        with _signals_stop(runner):
            if not runner.run():
                return False
            if task:
                return True
            try:
                _write(runner, out, began)
            except _StoppedError:
                return False
        store.remove_parts()
        partial_file(out).unlink(missing_ok=True)
    return True


def _prepare(spec: RunSpec, out: Path) -> tuple[RunSpec, list[Unit]]:
    """A run with its temperatures, and its units; refuse what cannot be done before anything is written."""
    if isinstance(spec, SamplingSpec) and spec.places_its_ladder:
        if with_its_ladder(spec, out) is None:  # of tasks that start at once the first one places it for all
            placed = place_temperatures(spec if spec.seed is not None else replace(spec, seed=_draw_seed()))
            units_of(placed)
            try:
                begin(out, placed, _draw_seed)
            except StoreError:  # another one was faster
                if with_its_ladder(spec, out) is None:
                    raise
        spec = as_begun(spec, out)
    return spec, units_of(spec)


def fix(spec: RunSpec, out: Path) -> None:
    """Write down what a run is before it is submitted: jobs that start later then refuse another one.

    Raises StoreError where it has begun as another run, or nothing can be written.
    """
    forget(out, spec)
    begin_anew(out, _prepare(spec, out)[0], _draw_seed)


def _draw_seed() -> int:
    return randbelow(LARGEST_SEED + 1)


def merge(
    spec: RunSpec, out: Path, threads: int, partial: bool = False, watcher: Watcher | None = None
) -> Path | None:  # fmt: skip
    """Make the result file from the parts of all tasks; that of a run which is complete stays as it is.

    partial: make a file `<OUT>.partial.h5` of the systems, or the temperatures, that are done, where not all are; it
    is marked as such, and may be made while the run goes on.  Returns the path of the file, or None where a signal
    stopped it; then all is as before.  Raises StoreError where something is missing.
    """
    watcher = watcher or Silent()
    if partial:
        spec, units = as_begun(spec, out), units_of(as_begun(spec, out))
        store = progress_of(out, spec)
        missing = _missing(spec, units, store)
        if missing and not store.has_all_of(spec):
            return _merge_partially(spec, units, missing, store, threads, watcher)
    spec, units = as_begun(spec, out), units_of(as_begun(spec, out))
    _refuse_missing(spec, units, progress_of(out, spec))  # without the lock, for which tasks would have to wait
    with Store.open(out, spec, _draw_seed, begins=False) as store:
        if not store.has_all_of(spec):
            _refuse_missing(spec, units, store)
            if not _merge_into(out, spec, units, store, threads, watcher):
                return None
        store.remove_parts()
        partial_file(out).unlink(missing_ok=True)
    return out


def _refuse_missing(spec: RunSpec, units: Sequence[Unit], store: Store) -> None:
    missing = _missing(spec, units, store)
    if missing and not store.has_all_of(spec):
        raise StoreError(f"{store.out} lacks {_named(missing, len(units))}: run these first, or merge --partial")


def _missing(spec: RunSpec, units: Sequence[Unit], store: Store) -> list[Unit]:
    return [unit for unit in units if store.done(unit.key) < spec.thermalization + spec.sweeps]


def _merge_partially(
    spec: RunSpec, units: list[Unit], missing: list[Unit], store: Store, threads: int, watcher: Watcher
) -> Path | None:
    """The file of what is done; the store is read only, so that nobody needs to wait."""
    target = partial_file(store.out)
    part, own = _part_that_is_done(spec, units, {unit.key for unit in missing})
    if not own:
        raise StoreError(f"{store.out} has neither a system nor a temperature that is done: nothing to merge as yet")
    facts = {"missing": _named(missing, len(units)), "units": len(own), "of": len(units)}
    with locked(target.with_name(target.name + ".lock"), f"merge --partial of {store.out}"):
        done = _merge_into(target, part, own, store, threads, watcher, {"partial": facts})
    return target if done else None


def _merge_into(
    target: Path, spec: RunSpec, units: list[Unit], store: Store, threads: int, watcher: Watcher,
    more: dict[str, dict[str, Any]] | None = None,
) -> bool:  # fmt: skip
    """Write a result file of units that are done; whether a signal let it."""
    began, runner = provenance.now(), Runner(spec, units, store, threads, None, watcher)
    watcher.began(units, store, threads)
    with _signals_stop(runner):
        try:
            _write(runner, target, began, more)
        except _StoppedError:
            return False
    return True


def partial_file(out: Path) -> Path:
    """Where `merge` puts what is done of a run."""
    return out.with_name(f"{out.name.removesuffix('.h5')}.partial.h5")


def _named(missing: Sequence[Unit], number: int) -> str:
    shown = ", ".join(unit.key for unit in missing[:MOST_NAMED])
    return f"{len(missing)} of {number} units of work ({shown}{', ...' if len(missing) > MOST_NAMED else ''})"


def _part_that_is_done(spec: RunSpec, units: Sequence[Unit], missing: set[str]) -> tuple[RunSpec, list[Unit]]:
    """A run of those systems, or of those temperatures, that lack nothing: whichever is more."""
    labels = {unit.system.label for unit in units if unit.key in missing}
    whole = [unit for unit in units if unit.system.label not in labels]
    cold = {unit.temperature for unit in units if unit.key in missing}
    everywhere = [unit for unit in units if unit.temperature not in cold and not unit.ladder]
    if len(everywhere) > len(whole) and spec.temperatures:
        return replace(spec, temperatures=tuple(T for T in spec.temperatures if T not in cold)), everywhere
    return replace(spec, systems=tuple(own for own in spec.systems if own.label not in labels)), whole


def _write(runner: Runner, out: Path, began: str, more: dict[str, dict[str, Any]] | None = None) -> None:
    spec = runner.spec
    tick = runner.watcher.analysing(len(spec.systems) * max(1, len(spec.temperatures)))

    def analysis(series: Series, unit: Unit) -> PointResults:
        if runner.interrupted or runner.out_of_time():
            raise _StoppedError
        facts = replace(unit.system.facts, paired=isinstance(spec, SamplingSpec) and spec.moves_pairs)
        return analyse(series, facts, unit.temperature, spec.start.startswith("mixed"))

    attributes: dict[str, dict[str, Any]] = {
        "provenance": provenance.collect(runner.threads, began),
        "timings": runner.timings.attributes(),
        **(more or {}),
    }

    def look() -> None:
        if runner.interrupted or runner.out_of_time():
            raise _StoppedError

    def tick_unless_stopped() -> None:
        look()
        tick()

    if isinstance(spec, MachineSpec):
        own: Any = runner.units
        write_machine(out, runner.store, spec, own, runner.threads, attributes, tick_unless_stopped, look)
        return
    if spec.kind in WRITERS:
        WRITERS[spec.kind](out, runner.store, spec, runner.units, attributes, tick_unless_stopped)
        return
    assert isinstance(spec, SamplingSpec)
    units: Any = runner.units
    write_result(out, runner.store, spec, units, analysis, runner.threads, attributes, tick)


@contextmanager
def _signals_stop(runner: Runner) -> Iterator[None]:
    """Stop the runner on a signal; a second SIGINT interrupts at once, as the user may insist."""

    def stop(number: int, frame: object) -> None:
        if number == signal.SIGINT and runner.interrupted:
            raise KeyboardInterrupt
        runner.stop()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, stop) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
