"""The result file: its layout, written once when a run is complete, and read back.

::

    /                        attributes Conventions, schema_version, identity, run_file, seed, sweeps
    /provenance  /timings    attributes
    /systems/L32/            attributes lattice, n_sites, n_bonds, packing, ...
        temperature  replica  sweep  block                     dimension scales
        timeseries/energy(temperature, replica, sweep)         and magnetization
        timeseries/specific_heat(temperature, replica, block)
        results/X(temperature), X_error, X_tau_int, equilibrated, equilibration_p_value, update
        final/spins(temperature, word, row, column), random_state(temperature, word, band, generator), done

It opens with h5py, and with xarray (engine h5netcdf) as a DataTree.
"""

import errno
import json
import os
import shutil
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import h5py
import numpy as np
from numpy.typing import NDArray

from ising_mc.ising import State, smallest_integer
from ising_mc.observables import (
    QUANTITIES,
    TIME_SERIES,
    PointResults,
    Quantity,
    block_length,
    running_specific_heat,
)
from ising_mc.run import Unit
from ising_mc.spec import RunSpec
from ising_mc.streams import SAMPLER_VERSION

SCHEMA_VERSION = 1
CONVENTIONS = "ising_mc-1"
FULL_DISK = 1 << 20  # bytes left where a write failed
CHUNK_REPLICAS, CHUNK_SWEEPS = 16, 2000
Array = NDArray[Any]
Chunk = tuple[tuple[int, int, int], bytes]  # where it goes, and its compressed bytes
Analysis = Callable[[Array, Array, Unit], PointResults]


class StoreError(RuntimeError):
    """A file that cannot be used or written; the message is one sentence."""


class Source(Protocol):
    """Where the data of a finished run come from."""

    seed: int

    def series(self, key: str) -> tuple[Array, Array]:
        """Energy and magnetization of a unit, (replica, measurement) each."""

    def state(self, key: str) -> State | None:
        """The state of a unit after its last sweep."""

    def done(self, key: str) -> int:
        """Sweeps of a unit, thermalization included."""


def write_result(
    out: Path,
    source: Source,
    spec: RunSpec,
    units: Sequence[Unit],
    analyse: Analysis,
    threads: int,
    attributes: dict[str, dict[str, Any]],
    tick: Callable[[], None],
) -> None:
    """Write the whole file under another name, and rename it.

    threads: how many analyse and compress;  analyse: results from the series of all replicas of one point;
    attributes: of /provenance and /timings;  tick: called after every point.  Raises StoreError where the file
    cannot be written.
    """
    partial = out.with_name(out.name + ".tmp")
    try:
        with h5py.File(partial, "w") as file:
            file.attrs.update(
                Conventions=CONVENTIONS,
                schema_version=SCHEMA_VERSION,
                sampler_version=SAMPLER_VERSION,
                identity=json.dumps(spec.identity()),
                run_file=spec.text,
                seed=source.seed,
                sweeps=spec.sweeps,
            )
            for name, values in attributes.items():
                file.create_group(name).attrs.update(values)
            for lattice in spec.lattices:
                own = [unit for unit in units if unit.lattice == lattice]
                group = file.create_group(f"systems/{lattice.label}")
                _SystemWriter(source, spec, own, group, threads).write(analyse, tick)
        sync_and_rename(partial, out)
    except (OSError, RuntimeError) as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(
            f"cannot write {out}: {why_not(error, out)}; all samples are safe in its .parts folder, run again"
        ) from error
    finally:
        partial.unlink(missing_ok=True)  # nothing is there where the renaming was reached


class _Point(NamedTuple):
    """One temperature of one system, ready to be written."""

    results: PointResults
    heat: Array
    energy: list[Chunk]
    magnetization: list[Chunk]


class _SystemWriter:
    """Writes one system into the result file, temperature by temperature."""

    def __init__(self, source: Source, spec: RunSpec, units: list[Unit], group: h5py.Group, threads: int) -> None:
        self.source, self.spec, self.group, self.threads = source, spec, group, threads
        self.points = [[unit for unit in units if unit.temperature == T] for T in spec.temperatures]
        self.example = units[0]

    def write(self, analyse: Analysis, tick: Callable[[], None]) -> None:
        lattice, spec = self.example.lattice, self.spec
        self.group.attrs.update(
            lattice="square",
            boundary="periodic",
            size=[lattice.rows, lattice.columns],
            n_sites=lattice.n_sites,
            n_bonds=lattice.n_bonds,
            J=spec.model.J,
            h=spec.model.h,
            packing=self.example.choice.packing,
            replicas_per_word=max(unit.replicas for unit in self.points[0]),
            thermalization=spec.thermalization,
        )
        self._write_scales()
        series = self.group.create_group("timeseries")
        shape = (len(self.points), spec.replicas, spec.records)
        energy = self._create(
            series, "energy", shape, self.example.model.energy_dtype(lattice), TIME_SERIES["energy"], "sweep"
        )
        spin_type = smallest_integer(2 * lattice.n_sites)
        magnetization = self._create(series, "magnetization", shape, spin_type, TIME_SERIES["magnetization"], "sweep")
        heat_shape = (*shape[:2], len(self.group["block"]))
        heat = self._create(series, "specific_heat", heat_shape, float, TIME_SERIES["specific_heat"], "block")
        results: list[PointResults] = []
        with ThreadPoolExecutor(self.threads) as pool:
            jobs: deque[Future[_Point]] = deque()
            for t in range(len(self.points)):
                # a few points ahead, so that no thread waits, but memory holds only a few
                while len(jobs) <= self.threads and t + len(jobs) < len(self.points):
                    jobs.append(pool.submit(self._prepare, t + len(jobs), energy.chunks, analyse))
                point = jobs.popleft().result()
                for dataset, chunks in ((energy, point.energy), (magnetization, point.magnetization)):
                    for offset, raw in chunks:
                        dataset.id.write_direct_chunk(offset, raw)
                heat[t] = point.heat
                results.append(point.results)
                tick()
        self._write_results(results)
        self._write_final()

    def _prepare(self, t: int, chunks: tuple[int, ...], analyse: Analysis) -> "_Point":
        """All of one temperature that needs no file: read its series, analyse and compress them."""
        units = self.points[t]
        parts = [self.source.series(unit.key) for unit in units]
        e, m = (np.concatenate([part[i] for part in parts])[:, : self.spec.records] for i in range(2))
        return _Point(
            analyse(e, m, units[0]),
            running_specific_heat(e.astype(np.float64), units[0].lattice.n_sites, units[0].temperature),
            [_compressed(chunk) for chunk in _chunks(e, chunks, t)],
            [_compressed(chunk) for chunk in _chunks(m, chunks, t)],
        )

    def _write_scales(self) -> None:
        spec = self.spec
        every = spec.measure_every
        length = block_length(spec.records)
        blocks = np.arange(1, spec.records // length + 1)
        self._scale("temperature", np.array(spec.temperatures), Quantity("J/k_B", "temperature", "T", "T"))
        self._scale("replica", np.arange(spec.replicas), Quantity("1", "independent replica", "", ""))
        sweeps = np.arange(1, spec.records + 1, dtype=np.int64) * every
        self._scale("sweep", sweeps, Quantity("sweeps", "sweep of the measurement, after thermalization", "", ""))
        self._scale("block", blocks * length * every, Quantity("sweeps", "last sweep of the block", "", ""))

    def _scale(self, name: str, values: Array, quantity: Quantity, group: h5py.Group | None = None) -> None:
        dataset = (group or self.group).create_dataset(name, data=values)
        _describe(dataset, quantity)
        dataset.make_scale(name)

    def _create(
        self, group: h5py.Group, name: str, shape: tuple[int, ...], dtype: Any, quantity: Quantity, last: str
    ) -> h5py.Dataset:
        chunks = (1, min(CHUNK_REPLICAS, shape[1]), min(CHUNK_SWEEPS, shape[2]))
        dataset = group.create_dataset(
            name, shape, dtype, chunks=chunks, compression="gzip", compression_opts=1, shuffle=True
        )
        _describe(dataset, quantity)
        for axis, dimension in enumerate(("temperature", "replica", last)):
            dataset.dims[axis].attach_scale(self.group[dimension])
        return dataset

    def _write_results(self, results: list[PointResults]) -> None:
        group = self.group.create_group("results")

        def put(name: str, values: Any, quantity: Quantity) -> None:
            dataset = group.create_dataset(name, data=np.asarray(values))
            _describe(dataset, quantity)
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
        _describe(update, Quantity("", "update algorithm", "", ""))
        update.dims[0].attach_scale(self.group["temperature"])

    def _write_final(self) -> None:
        group = self.group.create_group("final")
        example = self.source.state(self.example.key)
        assert example is not None  # every unit of a finished run has a state
        words = len(self.points[0])
        names = ("word", "row", "column", "band", "generator")
        lengths = (words, *example.spins.shape, *example.random.shape)
        for name, length in zip(names, lengths, strict=True):
            self._scale(name, np.arange(length), Quantity("1", f"{name} of words", "", ""), group)
        shape = (len(self.points), words)
        spins = group.create_dataset("spins", (*shape, *example.spins.shape), np.uint64)
        random = group.create_dataset("random_state", (*shape, *example.random.shape), np.uint64)
        done = group.create_dataset("done", shape, np.int64)
        _describe(spins, Quantity("1", "spins after the last sweep, one bit each", "bit 1 is s = +1", "s"))
        _describe(random, Quantity("1", "states of xoroshiro128++", "first words, then second words", ""))
        _describe(done, Quantity("sweeps", "sweeps done, thermalization included", "", ""))
        for dataset, dimensions in ((spins, names[:3]), (random, ("word", *names[3:])), (done, ("word",))):
            dataset.dims[0].attach_scale(self.group["temperature"])
            for axis, dimension in enumerate(dimensions, start=1):
                dataset.dims[axis].attach_scale(group[dimension])
        for t, units in enumerate(self.points):
            for unit in units:
                state = self.source.state(unit.key)
                assert state is not None
                spins[t, unit.word], random[t, unit.word] = state.spins, state.random
                done[t, unit.word] = self.source.done(unit.key)


@contextmanager
def open_result(path: Path) -> Iterator[h5py.File]:
    """Open a result file for reading.

    Raises StoreError where it is missing, locked, damaged, or not a result file of this program.
    """
    try:
        file = h5py.File(path, "r")
    except FileNotFoundError as error:
        raise StoreError(f"there is no result file {path}") from error
    except BlockingIOError as error:
        raise StoreError(f"{path} is locked: another program has it open for writing") from error
    except OSError as error:
        raise StoreError(f"{path} cannot be read as HDF5 ({first_line(error)})") from error
    with file:
        if (
            not isinstance(file.get("systems"), h5py.Group)
            or not len(file["systems"])
            or not {"identity", "schema_version"} <= set(file.attrs)
        ):
            raise StoreError(f"{path} is not a result file of ising_mc; choose another -o")
        if file.attrs["schema_version"] != SCHEMA_VERSION:
            raise StoreError(f"{path} has schema version {file.attrs['schema_version']}, this is {SCHEMA_VERSION}")
        yield file


@dataclass(frozen=True)
class SystemResults:
    """Results of one system, as read from a file: `columns` holds results/X by name, (temperature,) each."""

    label: str
    size: tuple[int, int]
    J: float
    h: float
    temperatures: Array
    columns: dict[str, Array]


def read_results(path: Path) -> list[SystemResults]:
    """The results of all systems of a file.

    Raises StoreError where the file is missing, locked, damaged or foreign.
    """
    with open_result(path) as file, damage_told(path):
        return [
            SystemResults(
                label,
                (int(system.attrs["size"][0]), int(system.attrs["size"][1])),
                float(system.attrs["J"]),
                float(system.attrs["h"]),
                system["temperature"][()],
                {
                    name: data.asstr()[()] if data.dtype.kind == "O" else data[()]
                    for name, data in system["results"].items()
                },
            )
            for label, system in sorted(file["systems"].items(), key=lambda item: int(item[1].attrs["n_sites"]))
        ]


@contextmanager
def damage_told(path: Path) -> Iterator[None]:
    """Turn what HDF5 says of damaged content into a StoreError."""
    try:
        yield
    except (OSError, KeyError, AttributeError, TypeError, ValueError) as error:
        raise StoreError(f"{path} is damaged ({first_line(error)})") from error


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
    return offset, zlib.compress(octets.T.tobytes(), 1)


def _describe(dataset: h5py.Dataset, quantity: Quantity) -> None:
    dataset.attrs.update(units=quantity.units, long_name=quantity.long_name, definition=quantity.definition)


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


def first_line(error: BaseException) -> str:
    """What went wrong, in one line."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text.strip().splitlines()[0] if text.strip() else type(error).__name__


def why_not(error: BaseException, path: Path) -> str:
    """Why a file could not be written: HDF5 itself does not tell of a full disk."""
    try:
        full = shutil.disk_usage(path.parent).free < FULL_DISK
    except OSError:
        full = False
    return os.strerror(errno.ENOSPC) if full else first_line(error)
