"""The result file: its layout, written once when a run is complete, and read back.

::

    /                        attributes Conventions, schema_version, identity, run_file, seed, sweeps
    /provenance  /timings    attributes
    /systems/L32/            attributes lattice, size, n_sites, n_bonds, couplings, field, kernel, ...
        temperature  replica  sweep  block  pair               dimension scales
        timeseries/energy(temperature, replica, sweep)         and magnetization, and what else was observed
        timeseries/overlap(temperature, pair, sweep)           of two replicas
        timeseries/specific_heat(temperature, replica, block)
        results/X(temperature), X_error, X_tau_int, equilibrated, equilibration_p_value, update
        final/spins(temperature, word, site), random_state(temperature, word, band, generator), done; of Wolff's updates
        final/clusters_per_sweep(temperature, word)
        tempering/swap_rate(temperature), energy_overlap, round_trips(copy)    of ladders; final/ then is (word, ...)
    /disorder/L8/            averages over the samples L8_d000, L8_d001, ... of a disorder
        temperature
        results/X(temperature), X_error (of the average, from sample to sample), X_thermal_error

It opens with h5py, and with xarray (engine h5netcdf) as a DataTree.
"""

import errno
import json
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import h5py
import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from ising_mc.disorder import Average, average
from ising_mc.ising import System
from ising_mc.isingspec import SamplingSpec
from ising_mc.isingunits import SamplingUnit
from ising_mc.ladderfile import write_tempering
from ising_mc.observables import (
    QUANTITIES,
    TIME_SERIES,
    PointResults,
    Quantity,
    block_length,
    running_specific_heat,
)
from ising_mc.observers import OF_PAIRS
from ising_mc.results import SCHEMA_VERSION, StoreError, described, first_line
from ising_mc.runspec import RunSpec
from ising_mc.streams import SAMPLER_VERSION
from ising_mc.words import LANES, Series, State

CONVENTIONS = "ising_mc-2"
FULL_DISK = 1 << 20  # bytes left where a write failed
CHUNK_REPLICAS, CHUNK_SWEEPS = 16, 2000
Array = NDArray[Any]
Chunk = tuple[tuple[int, int, int], bytes]  # where it goes, and its compressed bytes
Analysis = Callable[[Series, SamplingUnit], PointResults]


class Source(Protocol):
    """Where the data of a finished run come from."""

    seed: int

    def series(self, key: str, part: tuple[int, int] | None = None) -> Series:
        """Time series of a unit, (replica, measurement) each; part: of temperature t of the K of its ladder."""

    def state(self, key: str) -> State | None:
        """The state of a unit after its last sweep."""

    def done(self, key: str) -> int:
        """Sweeps of a unit, thermalization included."""


def write_result(
    out: Path,
    source: Source,
    spec: SamplingSpec,
    units: Sequence[SamplingUnit],
    analyse: Analysis,
    threads: int,
    attributes: dict[str, dict[str, Any]],
    tick: Callable[[], None],
    describe: Callable[[Any], dict[str, Any]] | None = None,
    add_more: Callable[[h5py.Group, list[list[Any]]], None] | None = None,
) -> None:
    """Write the whole file under another name, and rename it.

    threads: how many analyse and compress;  analyse: results from the series of all replicas of one point;
    attributes: of /provenance and /timings;  tick: called after every point;  describe: attributes of a system, of
    another kind than Ising's;  add_more: writes more results of a system, from its group and its units (temperature,
    word).  Raises StoreError where the file cannot be written.
    """
    describe = describe or describe_system
    partial = out.with_name(out.name + ".tmp")
    try:
        with new_file(partial, tick) as (file, tick), ThreadPoolExecutor(threads) as pool:
            write_header(file, spec, source.seed, attributes, kind=spec.kind)
            own: dict[str, list[SamplingUnit]] = {}
            for unit in units:
                own.setdefault(unit.system.label, []).append(unit)
            samples: dict[str, list[list[PointResults]]] = {}
            writers = [_SystemWriter(source, spec, own[system.label], analyse) for system in spec.systems]
            points = _points_ahead(writers, pool, threads)
            for system, writer in zip(spec.systems, writers, strict=True):
                group = file.create_group(f"systems/{system.label}")
                group.attrs.update(describe(system))
                results = writer.write(group, points, tick)
                if add_more:
                    add_more(group, writer.points)
                if system.sample is not None:
                    samples.setdefault(system.family, []).append(results)
            for family, of_samples in samples.items():
                first = next(system for system in spec.systems if system.family == family)
                _write_disorder(file.create_group(f"disorder/{family}"), first, spec, of_samples)
        sync_and_rename(partial, out)
    except (OSError, RuntimeError) as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(
            f"cannot write {out}: {why_not(error, out)}; all samples are safe in its .parts folder, run again"
        ) from error
    finally:
        partial.unlink(missing_ok=True)  # nothing is there where the renaming was reached


def write_header(
    file: h5py.File, spec: RunSpec, seed: int, attributes: dict[str, dict[str, Any]], **more: Any
) -> None:  # fmt: skip
    """What all result files begin with; attributes: of /provenance and /timings;  more: attributes of the file."""
    file.attrs.update(
        Conventions=CONVENTIONS,
        schema_version=SCHEMA_VERSION,
        sampler_version=SAMPLER_VERSION,
        identity=json.dumps(spec.identity()),
        run_file=spec.text,
        seed=seed,
        sweeps=spec.sweeps,
        **more,
    )
    for name, values in attributes.items():
        file.create_group(name).attrs.update(values)


@contextmanager
def new_file(path: Path, tick: Callable[[], None]) -> Iterator[tuple[h5py.File, Callable[[], None]]]:
    """A new HDF5 file, and `tick` that also looks whether the disk has had room so far.

    Raises OSError, from there or in the end, where it has not.
    """
    with open(path, "wb+", buffering=0) as raw:
        disk = _Disk(raw.fileno())

        def look_and_tick() -> None:
            disk.check()
            tick()

        with h5py.File(disk, "w") as file:
            yield file, look_and_tick
        disk.check()


class _Disk:
    """A file for HDF5, to which all writes succeed: the library does not survive one that fails, but crashes later.

    What did not reach the disk is kept in memory until the file is closed, soon after `check` raised the first error.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._position = self._end = 0
        self._kept: list[tuple[int, bytes]] = []
        self._error: BaseException | None = None

    def check(self) -> None:
        """Raise the error of the first write that failed."""
        if self._error is not None:
            raise self._error

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._position = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._end}[whence]
        return self._position

    def tell(self) -> int:
        return self._position

    def flush(self) -> None:
        """All is with the system already."""

    def truncate(self, size: int) -> int:
        try:
            os.ftruncate(self._descriptor, size)
        except BaseException as error:  # a second Ctrl-C must not get into HDF5 either
            self._error = self._error or error
        self._end = size
        return size

    def write(self, data: memoryview) -> int:
        rest, place = memoryview(data).cast("B"), self._position
        size = len(rest)
        try:
            while self._error is None and rest:
                written = os.pwrite(self._descriptor, rest, place)
                rest, place = rest[written:], place + written
        except BaseException as error:
            self._error = error
        if rest:
            self._kept.append((place, bytes(rest)))
        self._position += size
        self._end = max(self._end, self._position)
        return size

    def readinto(self, buffer: memoryview) -> int:
        view, first = memoryview(buffer).cast("B"), self._position
        found = os.pread(self._descriptor, len(view), first)
        view[:] = found.ljust(len(view), b"\0")
        for place, kept in self._kept:
            low, high = max(first, place), min(first + len(view), place + len(kept))
            if low < high:
                view[low - first : high - first] = kept[low - place : high - place]
        self._position += len(view)
        return len(view)

    def read(self, size: int) -> bytes:
        found = bytearray(size)
        self.readinto(memoryview(found))
        return bytes(found)


class _Point(NamedTuple):
    """One temperature of one system, ready to be written."""

    results: PointResults
    heat: Array
    chunks: dict[str, list[Chunk]]


def _points_ahead(writers: "list[_SystemWriter]", pool: ThreadPoolExecutor, threads: int) -> Iterator[_Point]:
    """All points of all systems in order, a few of them made ahead: no thread waits, but memory holds only a few."""
    jobs: deque[Future[_Point]] = deque()
    for writer in writers:
        for t in range(len(writer.points)):
            jobs.append(pool.submit(writer.prepare, t, writer.layout))  # the layout is found in this thread, once
            if len(jobs) > threads:
                yield jobs.popleft().result()
    while jobs:
        yield jobs.popleft().result()


class _SystemWriter:
    """Writes one system into the result file, temperature by temperature."""

    group: h5py.Group

    def __init__(self, source: Source, spec: SamplingSpec, units: list[SamplingUnit], analyse: Analysis) -> None:
        self.source, self.spec, self.analyse = source, spec, analyse
        self.points = [[unit for unit in units if unit.temperature == T or unit.ladder] for T in spec.temperatures]
        self.example = units[0]
        self.ladder = self.example.ladder

    @cached_property
    def layout(self) -> dict[str, tuple[int, np.dtype[Any]]]:
        """Replicas (or pairs) and type of each data set of time series."""
        return {name: (len(values), values.dtype) for name, values in self._common_series().items()}

    def write(self, place: h5py.Group, points: Iterator[_Point], tick: Callable[[], None]) -> list[PointResults]:
        """Write the points of this system, which come next, and what else there is of it, into a group."""
        self.group = place
        self.group.attrs.update(
            kernel=self.example.choice.kernel,
            packing=self.example.choice.packing,
            replicas_per_word=max(unit.replicas for unit in self.points[0]),
            thermalization=self.spec.thermalization,
        )
        if self.ladder:
            self.group.attrs["exchange_every"] = self.spec.exchange_every
        self._write_scales()
        group = self.group.create_group("timeseries")
        series = {
            name: self._create(group, name, height, self.spec.records, dtype, "sweep")
            for name, (height, dtype) in self.layout.items()
        }
        heat = self._create(
            group, "specific_heat", self.spec.replicas, len(self.group["block"]), np.dtype(float), "block"
        )
        results: list[PointResults] = []
        heats: list[Array] = []
        for point in islice(points, len(self.points)):
            for name, chunks in point.chunks.items():
                for offset, raw in chunks:
                    series[name].id.write_direct_chunk(offset, raw)
            heats.append(point.heat)
            results.append(point.results)
            tick()
        heat[...] = np.stack(heats)
        self._write_results(results)
        self._write_final()
        if self.ladder:
            states = [self.source.state(unit.key) for unit in self.points[0]]
            write_tempering(self.group, self.ladder, self.spec, states, series["energy"])
        return results

    def _series(self, t: int) -> Series:
        """All series of one temperature, of all its units."""
        ladder = self.ladder
        own = (ladder.index(self.spec.temperatures[t]), len(ladder)) if ladder else None
        parts = [self.source.series(unit.key, own) for unit in self.points[t]]
        joined = parts[0] if len(parts) == 1 else {n: np.concatenate([part[n] for part in parts]) for n in parts[0]}
        return {name: values[:, : self.spec.records] for name, values in joined.items()}

    def _common_series(self) -> Series:
        """Those of the first temperature that all have: improved estimators only where all had cluster updates."""
        series = self._series(0)
        kernels = {self.example.choice.kernel}
        for t, units in enumerate(self.points):
            if units[0].choice.kernel not in kernels:
                kernels.add(units[0].choice.kernel)
                others = self._series(t)
                series = {name: values for name, values in series.items() if name in others}
        return series

    def prepare(self, t: int, layout: dict[str, tuple[int, np.dtype[Any]]]) -> _Point:
        """All of one temperature that needs no file: read its series, analyse and compress them."""
        unit, found = replace(self.points[t][0], temperature=self.spec.temperatures[t]), self._series(t)
        series = {name: found[name].astype(dtype, copy=False) for name, (_, dtype) in layout.items()}
        return _Point(
            self.analyse(series, unit),
            running_specific_heat(series["energy"], unit.system.facts.n_sites, unit.temperature),
            {
                name: [
                    _compressed(chunk) for chunk in _chunks(series[name], _chunk_shape(height, self.spec.records), t)
                ]
                for name, (height, _) in layout.items()
            },
        )

    def _write_scales(self) -> None:
        spec = self.spec
        every = spec.measure_every
        length = block_length(spec.records)
        blocks = np.arange(1, spec.records // length + 1)
        self._scale("temperature", np.array(spec.temperatures), Quantity("J/k_B", "temperature", "T", "T"))
        text = "replica; 2k and 2k + 1 pass energy to one another" if spec.moves_pairs else "independent replica"
        self._scale("replica", np.arange(spec.replicas), Quantity("1", text, "", ""))
        if any(name in OF_PAIRS for name in spec.observables):
            pairs = np.arange(sum(unit.replicas // 2 for unit in self.points[0]))
            self._scale("pair", pairs, Quantity("1", "pair of replicas 2k and 2k + 1 of a word", "", ""))
        sweeps = np.arange(1, spec.records + 1, dtype=np.int64) * every
        self._scale("sweep", sweeps, Quantity("sweeps", "sweep of the measurement, after thermalization", "", ""))
        self._scale("block", blocks * length * every, Quantity("sweeps", "last sweep of the block", "", ""))

    def _scale(self, name: str, values: Array, quantity: Quantity, group: h5py.Group | None = None) -> None:
        dataset = (group or self.group).create_dataset(name, data=values)
        described(dataset, quantity)
        dataset.make_scale(name)

    def _create(
        self, group: h5py.Group, name: str, height: int, width: int, dtype: np.dtype[Any], last: str
    ) -> h5py.Dataset:
        shape = (len(self.points), height, width)
        chunks = _chunk_shape(height, width)
        dataset = group.create_dataset(
            name, shape, dtype, chunks=chunks, compression="gzip", compression_opts=1, shuffle=True
        )
        described(dataset, TIME_SERIES[name])
        rows = "pair" if name in OF_PAIRS else "replica"
        for axis, dimension in enumerate(("temperature", rows, last)):
            dataset.dims[axis].attach_scale(self.group[dimension])
        return dataset

    def _write_results(self, results: list[PointResults]) -> None:
        group = self.group.create_group("results")

        def put(name: str, values: Any, quantity: Quantity) -> None:
            dataset = group.create_dataset(name, data=np.asarray(values))
            described(dataset, quantity)
            dataset.dims[0].attach_scale(self.group["temperature"])

        for name, quantity in QUANTITIES.items():
            if name not in results[0].estimates:
                continue
            estimates = [result.estimates[name] for result in results]
            put(name, [estimate.value for estimate in estimates], quantity)
            error = Quantity(
                quantity.units, f"error of {quantity.long_name}", "half of the 68.27 % interval", quantity.symbol
            )
            put(f"{name}_error", [estimate.error for estimate in estimates], error)
            tau = Quantity(
                "sweeps", f"integrated autocorrelation time of {quantity.long_name}", "1/2 for white noise", "tau"
            )
            put(f"{name}_tau_int", [estimate.tau_int * self.spec.measure_every for estimate in estimates], tau)
        verdict = Quantity("1", "whether all replicas and both starts agree", "1 yes, 0 no, -1 cannot be told", "")
        put("equilibrated", np.array([result.equilibrated for result in results], np.int8), verdict)
        p_value = Quantity(
            "1",
            "p-value of the agreement of replicas and of starts",
            "smallest of F tests (replicas) and t tests (starts) of energy and |m|, times their number",
            "p",
        )
        put("equilibration_p_value", [result.p_value for result in results], p_value)
        update = group.create_dataset("update", data=[units[0].choice.update for units in self.points])
        described(update, Quantity("", "update algorithm", "", ""))
        update.dims[0].attach_scale(self.group["temperature"])

    def _write_final(self) -> None:
        group = self.group.create_group("final")
        example = self.source.state(self.example.key)
        assert example is not None  # every unit of a finished run has a state
        words = len(self.points[0])
        sites = ("site",) if example.spins.ndim == 1 else ("row", "column")
        shapes = [self._random_shape(units[0], example) for units in self.points]
        names = ("word", *sites, "band", "generator")
        most = tuple(max(sizes) for sizes in zip(*shapes, strict=True))
        lengths = (words, *example.spins.shape, *most)
        for name, length in zip(names, lengths, strict=True):
            self._scale(name, np.arange(length), Quantity("1", f"{name} of words", "", ""), group)
        shape = (words,) if self.ladder else (len(self.points), words)
        spins = group.create_dataset("spins", (*shape, *example.spins.shape), np.uint64)
        random = group.create_dataset("random_state", (*shape, *most), np.uint64)
        sweeps = np.zeros(shape, np.int64)
        for t, units in enumerate(self.points[:1] if self.ladder else self.points):
            for unit in units:
                sweeps[unit.word if self.ladder else (t, unit.word)] = self.source.done(unit.key)
        done = group.create_dataset("done", data=sweeps)
        described(spins, Quantity("1", "spins after the last sweep, one bit each", "bit 1 is s = +1", "s"))
        described(random, Quantity("1", "states of xoroshiro128++", "first words, then second words", ""))
        described(done, Quantity("sweeps", "sweeps done, thermalization included", "", ""))
        for dataset, dimensions in (
            (spins, ("word", *sites)),
            (random, ("word", "band", "generator")),
            (done, ("word",)),
        ):
            if not self.ladder:
                dataset.dims[0].attach_scale(self.group["temperature"])
            for axis, dimension in enumerate(dimensions, start=len(shape) - 1):
                dataset.dims[axis].attach_scale(group[dimension])
        for t, units in enumerate(self.points[:1] if self.ladder else self.points):
            for unit in units:
                state = self.source.state(unit.key)
                assert state is not None
                place = unit.word if self.ladder else (t, unit.word)
                spins[place] = state.spins.reshape(example.spins.shape)
                full = np.zeros(most, np.uint64)
                full[: state.random.shape[0], : state.random.shape[1]] = state.random
                random[place] = full
                for name, values in state.more.items():
                    if f"more/{name}" not in group:
                        self._create_more(group, name, shape, values)
                    group[f"more/{name}"][place] = values

        if any(unit.choice.update == "wolff" for units in self.points for unit in units):
            self._write_clusters(group)
        if not self.ladder:
            used = group.create_dataset("random_shape", data=np.array(shapes, np.int64))
            described(used, Quantity("1", "part of random_state that its algorithm uses: bands, generators", "", ""))
            self._scale("axis", np.arange(2), Quantity("1", "0: bands, 1: generators", "", ""), group)
            used.dims[0].attach_scale(self.group["temperature"])
            used.dims[1].attach_scale(group["axis"])

    def _create_more(self, group: h5py.Group, name: str, shape: tuple[int, ...], values: Array) -> None:
        """A data set of what else the states hold, for all words."""
        dataset = group.create_dataset(f"more/{name}", (*shape, *values.shape), values.dtype)
        described(dataset, Quantity("", "part of the states after the last sweep", "", ""))
        if not self.ladder:
            dataset.dims[0].attach_scale(self.group["temperature"])
        dataset.dims[len(shape) - 1].attach_scale(group["word"])
        for axis, length in enumerate(values.shape):
            scale = f"{name}_axis{axis}"
            self._scale(scale, np.arange(length), Quantity("1", f"axis {axis} of it", "", ""), group)
            dataset.dims[len(shape) + axis].attach_scale(group[scale])

    def _write_clusters(self, group: h5py.Group) -> None:
        """How many of Wolff's clusters made a sweep, for each word."""
        clusters = np.zeros((len(self.points), len(self.points[0])), np.int64)
        for t, units in enumerate(self.points):
            for unit in units:
                state = self.source.state(unit.key)
                if unit.choice.update == "wolff" and state is not None:
                    clusters[t, unit.word] = state.random[LANES, 0]
        dataset = group.create_dataset("clusters_per_sweep", data=clusters)
        described(dataset, Quantity("1", "Wolff clusters that made a sweep", "0: of another update", ""))
        dataset.dims[0].attach_scale(self.group["temperature"])
        dataset.dims[1].attach_scale(group["word"])

    def _random_shape(self, unit: SamplingUnit, example: State) -> tuple[int, ...]:
        """Of the generators of one temperature; each algorithm has its own."""
        if unit.choice.kernel == self.example.choice.kernel and unit.choice.update == self.example.choice.update:
            return example.random.shape
        state = self.source.state(unit.key)
        assert state is not None
        return state.random.shape


def describe_system(system: System) -> dict[str, Any]:
    """A system as attributes: J holds the couplings where they are given by numbers, h is NaN where it differs."""
    shape, couplings, field = system.shape, system.couplings, system.field
    facts: dict[str, Any] = {
        "lattice": shape.kind,
        "size": list(shape.size),
        "boundary": ["periodic" if periodic else "open" for periodic in shape.periodic],
        "n_sites": shape.n_sites,
        "n_bonds": shape.n_bonds,
        "couplings": couplings.kind,
        "J": list(couplings.J) if couplings.kind in ("uniform", "pm_j") else [],
        "field": field.kind,
        "h": np.nan if field.uniform is None else field.uniform,
        "mu": field.mu,
    }
    if couplings.kind == "pm_j":
        facts["p"] = couplings.p
    if couplings.kind == "gaussian":
        facts |= {"J_mean": couplings.mean, "J_sigma": couplings.sigma}
    if field.uniform is None and field.kind != "file":
        facts["field_strength"] = field.mu * field.B
    if system.sample is not None:
        facts |= {"family": system.family, "disorder_sample": system.sample}
    return facts


def _write_disorder(group: h5py.Group, first: System, spec: SamplingSpec, samples: list[list[PointResults]]) -> None:
    """Averages over the samples of one disorder."""
    facts = describe_system(first)
    del facts["family"], facts["disorder_sample"]
    group.attrs.update(facts, samples=len(samples))
    scale = group.create_dataset("temperature", data=np.array(spec.temperatures))
    described(scale, Quantity("J/k_B", "temperature", "T", "T"))
    scale.make_scale("temperature")
    results = group.create_group("results")

    def put(name: str, values: Any, quantity: Quantity) -> None:
        dataset = results.create_dataset(name, data=np.asarray(values))
        described(dataset, quantity)
        dataset.dims[0].attach_scale(scale)

    for name, quantity in QUANTITIES.items():
        if name not in samples[0][0].estimates:
            continue
        averages: list[Average] = [
            average(name, [sample[t].estimates for sample in samples], first.facts)
            for t in range(len(spec.temperatures))
        ]
        formula = averages[0].definition or f"[{quantity.definition}]"
        text = f"{formula}, [...] the average over samples"
        put(name, [a.value for a in averages], Quantity(quantity.units, quantity.long_name, text, quantity.symbol))
        error = "half of the 68.27 % interval, from the scatter of the samples, thermal errors included"
        put(f"{name}_error", [a.error for a in averages], Quantity(quantity.units, "error", error, quantity.symbol))
        thermal = "the part of the error that longer runs of the same samples would take away"
        put(
            f"{name}_thermal_error",
            [a.thermal_error for a in averages],
            Quantity(quantity.units, "thermal error", thermal, quantity.symbol),
        )


def _chunk_shape(height: int, width: int) -> tuple[int, int, int]:
    return 1, max(1, min(CHUNK_REPLICAS, height)), min(CHUNK_SWEEPS, width)


def _chunks(
    values: Array, chunks: tuple[int, ...], t: int
) -> Iterator[tuple[tuple[int, int, int], Array, tuple[int, ...]]]:
    """The pieces of one temperature's series that fill one chunk each: (offset, values, shape of a full chunk)."""
    _, height, width = chunks
    for row in range(0, values.shape[0], height):
        for column in range(0, values.shape[1], width):
            yield (t, row, column), values[row : row + height, column : column + width], (height, width)


def _compressed(job: tuple[tuple[int, int, int], Array, tuple[int, ...]]) -> Chunk:
    """Shuffle and deflate a chunk as HDF5's filters do, but outside its lock, so that threads share the work."""
    offset, values, shape = job
    if values.shape != shape:
        full = np.zeros(shape, values.dtype)
        full[: values.shape[0], : values.shape[1]] = values
        values = full
    octets = np.ascontiguousarray(values).reshape(-1).view(np.uint8).reshape(-1, values.itemsize)
    return offset, isal_zlib.compress(octets.T.tobytes(), 1)


def sync_and_rename(partial: Path, path: Path) -> None:
    """Make a file durable, then give it its name: it is there as a whole or not at all."""
    with open(partial, "rb+") as file:
        os.fsync(file.fileno())
    os.replace(partial, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def why_not(error: BaseException, path: Path) -> str:
    """Why a file could not be written: HDF5 itself does not tell of a full disk."""
    try:
        full = shutil.disk_usage(path.parent).free < FULL_DISK
    except OSError:
        full = False
    return os.strerror(errno.ENOSPC) if full else first_line(error)
