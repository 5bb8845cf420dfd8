"""Kernels under pytest-benchmark, so that a change can be held against what was before.

    pip install -e '.[bench]'
    pytest benchmarks --benchmark-save=before          # then change something
    pytest benchmarks --benchmark-compare

Each case does as many sweeps as make some 2e7 attempts (clusters: whatever their sweeps visit).
"""

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from studies import started

from ising_mc import bench

ATTEMPTS = 2e7  # of a call


@pytest.mark.parametrize("case", bench.CASES, ids=lambda case: case.name)
def test_kernel(case: bench.Case, benchmark: Any) -> None:
    unit, sampler = started(case.text)
    if unit.choice.kernel == "clusters":
        unit, sampler = started(case.text, start="up")  # from where a sweep soon costs what it will cost
    sweeps = max(1, int(ATTEMPTS / unit.attempts_per_sweep))
    benchmark(sampler.sweep, sweeps)
