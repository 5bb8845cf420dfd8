"""Every numba option of the project, in one place.

Compiled code is kept on disk in a folder named by a hash of all kernel sources: numba itself looks only at the
file of the outermost function, so that a change in a helper would go unnoticed (numba issue 1833).  The folder lies
in ``NUMBA_CACHE_DIR`` where that is set (a node-local disk on a cluster), otherwise in the user's cache folder.
"""

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core import config as _config

config: Any = _config
F = TypeVar("F", bound=Callable[..., Any])


def _cache_folder() -> Path | None:
    """The folder for compiled kernels, or None where nothing can be written."""
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    base = config.CACHE_DIR or os.path.join(home, "ising_mc")
    folder = Path(base) / f"kernels-{digest.hexdigest()[:16]}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None


CACHE_FOLDER = _cache_folder()


def jit(function: F) -> F:
    """Compile a kernel: without the GIL, cached, IEEE arithmetic (no fastmath), no reference counts.

    numba would count references to its arrays at every call, by atomic operations that are felt where calls are as
    short as those of a block.  Callers keep their arrays, so nothing need be counted.  A kernel that
    makes an array (a compile-time error here), returns one (which would be freed too early) or gets one from another
    kernel (which would never be freed) needs `jit_owning`.
    """
    return _compile(function, parallel=False)


def jit_owning(function: F) -> F:
    """Like `jit`, with reference counts: for kernels that make, return or receive arrays of their own."""
    return _compile(function, parallel=False, counted=True)


def jit_parallel(function: F) -> F:
    """Like `jit`, with `numba.prange` loops spread over threads."""
    return _compile(function, parallel=True, counted=True)


def jit_inline(function: F) -> F:
    """Like `jit`, but copied into each caller: no cost of a call, and literal arguments become constants to LLVM."""
    return _compile(function, parallel=False, forceinline=True)


def jit_sums(function: F) -> F:
    """Like `jit`, but sums may be taken in any order, several terms at once: for statistics, never for dynamics."""
    return _compile(function, parallel=False, fastmath={"reassoc", "contract", "nsz"}, counted=True)


@contextmanager
def one_compiles(what: str) -> Iterator[None]:
    """Let one process at a time compile into the cache: of many that start at once, the others load what it made.

    what: names what is compiled.  Once that is done nobody waits any more.  Where files cannot be locked all of them
    compile, which costs time only.
    """
    if CACHE_FOLDER is None:
        yield
        return
    mark = CACHE_FOLDER / f"{hashlib.sha256(what.encode()).hexdigest()[:16]}.done"
    if mark.exists():
        yield
        return
    with open(CACHE_FOLDER / "lock", "a") as file:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        if mark.exists():  # another process was faster: load, beside others
            with suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_UN)
        yield
        with suppress(OSError):
            mark.touch()


def use_threads(threads: int) -> None:
    """Threads of the parallel kernels that this thread calls: at most as many as numba was started with."""
    numba.set_num_threads(min(threads, config.NUMBA_NUM_THREADS))


def _compile(function: F, parallel: bool, forceinline: bool = False, fastmath: Any = False, counted: bool = False) -> F:
    user_setting = config.CACHE_DIR
    # numba fixes a function's cache folder when it is decorated, so other packages keep theirs
    if CACHE_FOLDER is not None:
        config.CACHE_DIR = str(CACHE_FOLDER)
    try:
        options: dict[str, Any] = {
            "parallel": parallel,
            "forceinline": forceinline,
            "fastmath": fastmath,
            "_nrt": counted,
        }
        cache = CACHE_FOLDER is not None
        compiled: F = numba.njit(nogil=True, error_model="numpy", cache=cache, **options)(function)
    finally:
        config.CACHE_DIR = user_setting
    return compiled
