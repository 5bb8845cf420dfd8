"""How the units of a run are divided among tasks: the same division for every task that asks."""

import heapq
from collections.abc import Sequence

from ising_mc.reader import SpecError
from ising_mc.unit import Unit

MOST_TASKS = 99999


def divide(units: Sequence[Unit], tasks: int) -> list[list[Unit]]:
    """The units of each task: the costliest first, each to the task that has least to do so far (Graham, 1969).

    A task gets none where there are fewer units than tasks.  Raises SpecError for less than one task.
    """
    if not 1 <= tasks <= MOST_TASKS:
        raise SpecError(f"--tasks must be from 1 to {MOST_TASKS}, not {tasks}")
    shares: list[list[Unit]] = [[] for _ in range(tasks)]
    loads = [(0, number) for number in range(tasks)]
    for unit in sorted(units, key=lambda unit: -unit.attempts_per_sweep):  # of equals, in their order
        load, number = loads[0]
        shares[number].append(unit)
        heapq.heapreplace(loads, (load + unit.attempts_per_sweep, number))
    return shares
