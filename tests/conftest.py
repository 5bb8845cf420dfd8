"""What is made once for all tests of the driver."""

from pathlib import Path

import pytest
from helpers import SITES, Data, complete, datasets, toml


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
