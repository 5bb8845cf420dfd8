"""Files on disk: what may grow, what is refused, what damaged, foreign, locked or full files lead to."""

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers import (
    KILLED,
    TIMEOUT,
    Data,
    assert_refused,
    assert_same,
    cli,
    complete,
    datasets,
    files,
    finish,
    launch,
    parts,
    sampling,
    segments,
    toml,
    write,
)

from ising_mc.results import StoreError
from ising_mc.schedule import Silent, execute
from ising_mc.segments import Commit, read_index
from ising_mc.spec import load, parse
from ising_mc.store import Store, progress_of
from ising_mc.words import State

CUT = toml(KILLED, lattice__size="[9]", schedule__checkpoint_seconds="1e-9")
ENDLESS = toml(KILLED, schedule__sweeps="4000000000")


class EnoughError(Exception):
    pass


class Saves(Silent):
    """Breaks a run off after some segments."""

    def __init__(self, count: int) -> None:
        self.left = count

    def saved(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise EnoughError


@pytest.fixture
def cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run broken off after four segments."""
    return break_off(tmp_path, CUT, 4, monkeypatch)


def break_off(folder: Path, text: str, saves: int, monkeypatch: pytest.MonkeyPatch) -> Path:
    out = folder / "run.h5"
    with monkeypatch.context() as patch:
        patch.setattr("ising_mc.run.SLICE_SECONDS", 1e-3)
        patch.setattr("ising_mc.schedule.POLL_SECONDS", 5e-3)
        with pytest.raises(EnoughError):
            execute(load(write(folder, text)), out, 1, watcher=Saves(saves))
    assert len(segments(out)) == saves
    return out


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    return datasets(complete(tmp_path_factory.mktemp("undisturbed"), CUT))


# -- growing -------------------------------------------------------------------------------------------------------

GROWTHS = {
    "more sweeps": {"schedule__sweeps": "300"},
    "more temperatures": {"grid__temperatures": "[1.5, 2.0, 2.25, 2.5, 4.0]"},
    "both": {"schedule__sweeps": "1000", "grid__temperatures": "[2.25, 2.0, 2.5]"},
    "another order": {"grid__temperatures": "[2.5, 2.0]"},
}


@pytest.mark.parametrize("case", GROWTHS)
@pytest.mark.parametrize("replicas", ["4", "96"])
def test_extension_gives_what_a_run_made_at_once_gives(case: str, replicas: str, tmp_path: Path) -> None:
    base = {"grid__replicas": replicas, "lattice__size": "[4, 5]"}
    reference = datasets(complete(tmp_path, toml(**base | GROWTHS[case]), "at_once"))
    out = complete(tmp_path, toml(**base))
    assert datasets(out) != reference
    complete(tmp_path, toml(**base | GROWTHS[case]))
    assert_same(out, reference)


def test_extension_twice_and_broken_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    longer = toml(KILLED, lattice__size="[9]", schedule__checkpoint_seconds="1e-9", schedule__sweeps="24000")
    reference = datasets(complete(tmp_path, longer, "at_once"))
    complete(tmp_path, toml(KILLED, lattice__size="[9]", schedule__sweeps="4000"))
    out = break_off(tmp_path, CUT, 3, monkeypatch)
    break_off_again = parts(out)
    assert (break_off_again / "run.json").exists()
    complete(tmp_path, longer)
    assert_same(out, reference)


CHANGES = {
    "seed": ({"run__seed": "8"}, "run.seed was 7, is 8"),
    "J": ({"couplings__J": "2"}, "couplings.J was [1.0], is [2.0]"),
    "field": ({"field__B": "0.5"}, "field.B was 0.0, is 0.5"),
    "replicas": ({"grid__replicas": "5"}, "grid.replicas was 4, is 5"),
    "thermalization": ({"schedule__thermalization": "21"}, "schedule.thermalization was 20, is 21"),
    "measure_every": ({"schedule__measure_every": "1"}, "schedule.measure_every was 2, is 1"),
    "fewer sweeps": ({"schedule__sweeps": "100"}, "schedule.sweeps was 200, is 100", "can only grow"),
    "a temperature gone": ({"grid__temperatures": "[2.0, 3.0]"}, "grid.temperatures no longer holds 2.5"),
    "another size": ({"lattice__size": "[4, 6]"}, "lattice.size was [[4, 4]], is [[4, 4], [6, 6]]"),
    "algorithm": ({"algorithm__kind": '"metropolis"'}, "algorithm.kind was 'heat_bath', is 'metropolis'"),
    "start": ({"algorithm__start": '"up"'}, "algorithm.start was 'mixed', is 'up'"),
    "all at once": (
        {"run__seed": "8", "couplings__J": "2", "schedule__sweeps": "100"},
        "run.seed",
        "couplings.J",
        "schedule.sweeps",
    ),
}


@pytest.mark.parametrize("case", CHANGES)
def test_other_changes_are_refused(case: str, compiled: Path, tmp_path: Path) -> None:
    changes, *names = CHANGES[case]
    out = Path(shutil.copy(compiled, tmp_path / "run.h5"))
    path = write(tmp_path, toml(**changes))
    before = files(tmp_path)
    for command in ("run", "status"):
        assert_refused(cli(command, path, "-o", out), *names)
    assert files(tmp_path) == before


def test_changes_are_refused_while_there_are_only_segments(cut: Path) -> None:
    path = write(cut.parent, CUT.replace("seed = 2026", "seed = 2027"))
    before = files(cut.parent)
    assert_refused(cli("run", path, "-o", cut), "run.seed was 2026, is 2027")
    assert files(cut.parent) == before


def test_a_seed_that_was_drawn_is_kept(tmp_path: Path) -> None:
    out = complete(tmp_path, toml(run__seed=None))
    with h5py.File(out) as file:
        seed = int(file.attrs["seed"])
    reference = datasets(complete(tmp_path, toml(run__seed=str(seed), schedule__sweeps="400"), "named"))
    complete(tmp_path, toml(run__seed=None, schedule__sweeps="400"))
    assert_same(out, reference)
    other = complete(tmp_path, toml(run__seed=None), "other")
    with h5py.File(other) as file:
        assert int(file.attrs["seed"]) != seed


def test_complete_file_is_left_alone(tmp_path: Path) -> None:
    out = complete(tmp_path, toml())
    before, written = out.read_bytes(), out.stat().st_mtime_ns
    result = cli("run", tmp_path / "run.toml", "-o", out)
    assert result.exit_code == 0
    assert (out.read_bytes(), out.stat().st_mtime_ns) == (before, written)
    assert not parts(out).exists()


# -- foreign and locked files ----------------------------------------------------------------------------------------


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    path = write(tmp_path, toml())
    foreign, text, folder = tmp_path / "foreign.h5", tmp_path / "text.h5", tmp_path / "folder"
    with h5py.File(foreign, "w") as file:
        file["x"] = np.arange(10)
    text.write_text("my thesis\n" * 100)
    folder.mkdir()
    before = files(tmp_path)
    for out, reason in ((foreign, "not a result file"), (text, "HDF5"), (folder, "HDF5"), (path, "HDF5")):
        assert_refused(cli("run", path, "-o", out), out.name, "name of a file" if out == folder else reason)
        assert_refused(cli("results", out), out.name, reason)
    assert files(tmp_path) == before
    assert_refused(cli("results", tmp_path / "none.h5"), "no result file")


def test_result_file_of_another_version(tmp_path: Path) -> None:
    out = complete(tmp_path, toml())
    with h5py.File(out, "r+") as file:
        file.attrs["schema_version"] = 99
    assert_refused(cli("results", out), "99")
    assert_refused(cli("run", tmp_path / "run.toml", "-o", out), "99")


@pytest.mark.parametrize("mode", ["r+", "w"])
def test_result_file_that_is_being_written_by_another_program(mode: str, tmp_path: Path) -> None:
    out = complete(tmp_path, toml())
    hold = f"import h5py, sys; f = h5py.File({str(out)!r}, {mode!r}); print('open', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", hold]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        path = write(tmp_path, toml(schedule__sweeps="400"))
        assert_refused(cli("run", path, "-o", out), "run.h5", "locked")
        assert_refused(cli("results", out), "run.h5", "locked")
        holder.communicate(timeout=TIMEOUT)


def test_one_process_a_result_file(tmp_path: Path) -> None:
    path, out = write(tmp_path, ENDLESS), tmp_path / "run.h5"
    process = launch("run", path, "-o", out)
    try:
        sampling(process)
        assert_refused(cli("run", path, "-o", out), "another process", "run.h5")
        assert cli("status", path, "-o", out).exit_code == 0
    finally:
        process.kill()
        finish(process)
    with Store.open(out, load(path), lambda: 0):
        pass  # its death freed the lock


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    path = write(tmp_path, toml())
    for out in (path / "run.h5", Path("/proc/run.h5"), Path("/proc/none/run.h5")):
        assert_refused(cli("run", path, "-o", out), "cannot write", str(out))
    assert [p.name for p in tmp_path.iterdir()] == ["run.toml"]


# -- full disks ------------------------------------------------------------------------------------------------------

LIMIT = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0}))"


def last_line(stderr: str) -> str:
    assert "Traceback" not in stderr, stderr
    return stderr.splitlines()[-1]


def test_no_room_for_a_segment(cut: Path, undisturbed: dict[str, tuple[str, tuple[int, ...], bytes]]) -> None:
    before = files(parts(cut))
    code, stderr = finish(launch("run", cut.parent / "run.toml", "-o", cut, "--quiet", program=LIMIT.format(4096)))
    assert code == 2
    assert stderr.count("\n") == 1
    assert "cannot write" in stderr
    assert "safe" in stderr
    assert {name: content for name, content in files(parts(cut)).items() if name.startswith("seg")} == {
        name: content for name, content in before.items() if name.startswith("seg")
    }
    assert not list(parts(cut).glob("*.tmp"))
    assert_same(complete(cut.parent, CUT), undisturbed)


def test_no_room_for_the_result(tmp_path: Path, undisturbed: dict[str, tuple[str, tuple[int, ...], bytes]]) -> None:
    path, out = write(tmp_path, CUT), tmp_path / "run.h5"
    room = "import ising_mc.schedule as s; s.SEGMENT_BYTES = 1; s.UNIT_BYTES = 1; " + LIMIT.format(200_000)
    code, stderr = finish(launch("run", path, "-o", out, "--quiet", program=room))
    assert code == 2
    assert stderr.count("\n") == 1
    assert "cannot write" in stderr
    assert segments(out)
    assert not out.exists()
    assert not list(tmp_path.rglob("*.tmp"))
    assert_same(complete(tmp_path, CUT), undisturbed)


def test_full_disk(tmp_path: Path, undisturbed: dict[str, tuple[str, tuple[int, ...], bytes]]) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    unshare = ["unshare", "--user", "--map-root-user", "--mount"]
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "none", str(disk)]
    if not shutil.which("unshare") or subprocess.run([*unshare, *mount], capture_output=True, check=False).returncode:
        pytest.skip("no small file system can be mounted here")
    path = write(tmp_path, CUT)
    script = (
        '"${@:4}" && "$1" -m ising_mc run "$2" -o "$3/run.h5" --quiet; code=$?; '
        'cp -r "$3/run.h5.parts" "$3/../"; exit $code'
    )
    command = [*unshare, "bash", "-c", script, "bash", sys.executable, str(path), str(disk), *mount]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert done.returncode == 2, done.stderr
    assert "No space left" in last_line(done.stderr)
    assert done.stderr.count("\n") == 1
    assert segments(tmp_path / "run.h5")
    assert_same(complete(tmp_path, CUT), undisturbed)


# -- damage ----------------------------------------------------------------------------------------------------------


def flip(path: Path, offset: int) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= 0x10
    path.write_bytes(content)


def flip_data(path: Path) -> None:
    with h5py.File(path) as file:
        found: list[h5py.Dataset] = []
        file.visititems(lambda _, item: found.append(item) if isinstance(item, h5py.Dataset) else None)
        large = max(found, key=lambda dataset: dataset.nbytes)
        offset = large.id.get_offset() + large.nbytes // 2
    flip(path, offset)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGES = {
    "flipped bit": flip_data,
    "truncated": truncate,
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("no HDF5 at all"),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_damaged_segment(case: str, cut: Path, undisturbed: dict[str, tuple[str, tuple[int, ...], bytes]]) -> None:
    last = segments(cut)[-1]
    DAMAGES[case](last)
    before = files(parts(cut))
    for command in ("run", "status"):
        assert_refused(cli(command, cut.parent / "run.toml", "-o", cut), last.name, "damaged", "move it away")
    assert files(parts(cut)) == before
    last.rename(cut.parent / "away")
    assert_same(complete(cut.parent, CUT), undisturbed)


def test_damage_in_the_middle(cut: Path, undisturbed: dict[str, tuple[str, tuple[int, ...], bytes]]) -> None:
    middle = segments(cut)[1]
    whole = middle.read_bytes()
    flip_data(middle)
    assert_refused(cli("run", cut.parent / "run.toml", "-o", cut), middle.name, "damaged")
    middle.unlink()
    before = files(parts(cut))
    assert_refused(cli("run", cut.parent / "run.toml", "-o", cut), "lacks a segment", segments(cut)[1].name)
    assert files(parts(cut)) == before
    middle.write_bytes(whole)
    assert_same(complete(cut.parent, CUT), undisturbed)


def commit(first: int, done: int, generator: np.random.Generator) -> Commit:
    series = generator.integers(-9, 9, (2, 4, done - first)).astype(np.int32)
    state = State(generator.integers(0, 2**64, (4, 4), np.uint64), generator.integers(0, 2**64, (1, 8), np.uint64))
    return Commit("L4/T2.0/w0000", first, done, {"energy": series[0], "magnetization": series[1]}, state)


def content(store: Store) -> tuple[int, bytes]:
    """All that a store knows of its one unit."""
    key = "L4/T2.0/w0000"
    state = store.state(key)
    arrays = [*store.series(key).values()] + ([state.spins, state.random] if state else [])
    return store.done(key), b"".join(array.tobytes() for array in arrays)


def test_a_flipped_bit_is_noticed_or_harmless_wherever_it_is(tmp_path: Path) -> None:
    out, spec = tmp_path / "run.h5", parse(toml())
    generator = np.random.default_rng(1)
    with Store.open(out, spec, lambda: 0) as store:
        store.write_segment([commit(0, 20, generator)])
        store.write_segment([commit(20, 60, generator)])
    expected = content(progress_of(out, spec))
    last = segments(out)[-1]
    whole = last.read_bytes()
    missed = []
    for offset in random.Random(3).sample(range(len(whole)), 600):
        last.write_bytes(whole)
        flip(last, offset)
        try:
            if content(progress_of(out, spec)) != expected:
                missed.append(offset)
        except StoreError:
            pass
    assert not missed


def test_a_wrong_sweep_count_is_noticed(tmp_path: Path) -> None:
    out, spec = tmp_path / "run.h5", parse(toml())
    generator = np.random.default_rng(1)
    with Store.open(out, spec, lambda: 0) as store:
        store.write_segment([commit(0, 20, generator)])
        store.write_segment([commit(20, 60, generator)])
    last = segments(out)[-1]
    right = last.read_bytes()
    first, done = b'"first": 20', b'"done": 60'
    assert right.count(first) == right.count(done) == 1
    for wrong in (-1, 0, 19, 21, 59, 61, 2**60):
        last.write_bytes(right.replace(first, b'"first": %d' % wrong))
        with pytest.raises(StoreError, match="damaged"):
            progress_of(out, spec)
        last.write_bytes(right.replace(done, b'"done": %d' % wrong))
        with pytest.raises(StoreError, match="damaged"):
            progress_of(out, spec)
    last.write_bytes(right)
    assert progress_of(out, spec).done("L4/T2.0/w0000") == 60


def test_segments_of_another_version_are_told_from_damaged_ones(tmp_path: Path) -> None:
    out, spec = tmp_path / "run.h5", parse(toml())
    with Store.open(out, spec, lambda: 0) as store:
        store.write_segment([commit(0, 20, np.random.default_rng(1))])
    (only,) = segments(out)
    only.write_bytes(only.read_bytes().replace(b"segment 2", b"segment 1", 1))
    with pytest.raises(StoreError, match="another version of ising_mc: finish it"):
        progress_of(out, spec)


@pytest.mark.parametrize("harm", ["gone", "cut"])
def test_a_segment_that_goes_while_it_is_read(harm: str, tmp_path: Path) -> None:
    """What is there was looked at before; the error then names the segment and what it had."""
    out, spec = tmp_path / "run.h5", parse(toml())
    with Store.open(out, spec, lambda: 0) as store:
        store.write_segment([commit(0, 20, np.random.default_rng(1))])
    store, (only,) = progress_of(out, spec), segments(out)
    only.unlink() if harm == "gone" else only.write_bytes(only.read_bytes()[:1500])
    for read in (store.series, store.state):
        with pytest.raises(StoreError, match="cannot read what was saved of L4"):
            read("L4/T2.0/w0000")


def test_headers_of_many_segments_are_kept_once(tmp_path: Path) -> None:
    out, spec = tmp_path / "run.h5", parse(toml())
    with Store.open(out, spec, lambda: 0) as store:
        for k in range(3):
            store.write_segment([commit(20 * k, 20 * k + 20, np.random.default_rng(k))])
    assert len({id(read_index(path).run) for path in segments(out)}) == 1


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", "null", '{"identity": {}}'])
def test_damaged_header(text: str, cut: Path) -> None:
    (parts(cut) / "run.json").write_text(text)
    assert_refused(cli("run", cut.parent / "run.toml", "-o", cut), "run.json", "damaged")


def test_damaged_result_file(tmp_path: Path) -> None:
    out = complete(tmp_path, toml())
    truncate(out)
    before = files(tmp_path)
    assert_refused(cli("run", tmp_path / "run.toml", "-o", out), "run.h5", "HDF5")
    assert_refused(cli("results", out), "run.h5", "HDF5")
    assert files(tmp_path) == before


def test_header_is_plain_json(cut: Path) -> None:
    header = json.loads((parts(cut) / "run.json").read_text())
    assert (header["seed"], header["sweeps"], header["temperatures"]) == (2026, 16000, [2.0, 2.5, 3.0])


@pytest.mark.parametrize("key", ["schema_version", "sampler_version"])
def test_a_run_of_another_version_is_refused(tmp_path: Path, key: str) -> None:
    """Samples of two versions must not stand in one series."""
    out, path = tmp_path / "run.h5", write(tmp_path, toml())
    assert cli("run", path, "-o", out, "--quiet").exit_code == 0
    with h5py.File(out, "r+") as file:
        file.attrs[key] = 99
    write(tmp_path, toml(schedule__sweeps="400"))
    assert_refused(cli("run", path, "-o", out), "version 99" if key == "schema_version" else "sampler_version 99")


def test_segments_know_their_run(cut: Path, undisturbed: Data) -> None:
    """Without run.json another run must not go on from these samples, and the same run must."""
    (parts(cut) / "run.json").unlink()
    other = write(cut.parent, CUT.replace("seed = 2026", "seed = 2027"), "other.toml")
    before = files(parts(cut))
    for command in ("run", "status"):
        assert_refused(cli(command, other, "-o", cut), "run.seed was 2026, is 2027")
    assert files(parts(cut)) == before
    assert_same(complete(cut.parent, CUT), undisturbed)


def test_header_of_another_run(cut: Path) -> None:
    header = parts(cut) / "run.json"
    header.write_text(header.read_text().replace('"seed": 2026', '"seed": 2027'))
    path = write(cut.parent, CUT.replace("seed = 2026", "seed = 2027"))
    assert_refused(cli("run", path, "-o", cut), "another run")
