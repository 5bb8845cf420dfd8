"""What is made once for all tests of the driver."""

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers import SITES, Data, complete, datasets, toml
from numba.core.registry import CPUDispatcher
from tasks import text_of

import ising_mc.kernels


@pytest.fixture(scope="session", autouse=True)
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All kernels compiled and cached, so that no process has to; the result file of a small run."""
    folder = tmp_path_factory.mktemp("compiled")
    short = {"schedule__thermalization": "2", "schedule__sweeps": "20"}
    complete(folder, toml(SITES, **short), "sites", threads=4)
    complete(folder, toml(SITES, **short), "sites_alone", threads=1)
    return complete(folder, toml(), "small")


@pytest.fixture(scope="session")
def small_data(compiled: Path) -> Data:
    """The data sets of the small run."""
    return datasets(compiled)


@pytest.fixture(scope="session")
def references(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Data]:
    """Data sets of a kind of run, made by one process, and made once."""
    folder, found = tmp_path_factory.mktemp("references"), dict[str, Data]()

    def of(kind: str) -> Data:
        if kind not in found:
            found[kind] = datasets(complete(folder, text_of(kind, folder), kind.replace(" ", "_")))
        return found[kind]

    return of


@pytest.fixture(scope="session", autouse=True)
def no_kernel_returns_an_array_uncounted() -> Iterator[None]:
    """At the end: no kernel compiled in this process returns an array without having counted its references."""
    yield
    found = []
    for name in (module.name for module in pkgutil.iter_modules(ising_mc.kernels.__path__)):
        for kernel in vars(importlib.import_module(f"ising_mc.kernels.{name}")).values():
            if isinstance(kernel, CPUDispatcher) and not kernel.targetoptions["_nrt"]:
                found += [kernel for signature in kernel.nopython_signatures if "array" in str(signature.return_type)]
    assert not found
