"""What a result file tells of parallel tempering: the group `tempering` of a system.

::

    swap_rate(temperature), swap_rate_error, energy_overlap     with the next hotter temperature, NaN at the hottest
    copy                                                        dimension scale
    round_trips(copy), round_trip_time(copy)                    of the copies that wander between temperatures
"""

from collections.abc import Sequence

import h5py
import numpy as np

from ising_mc.isingspec import SamplingSpec
from ising_mc.observables import Quantity
from ising_mc.results import described
from ising_mc.tempering import histogram_overlap, swap_rates, swaps_of
from ising_mc.words import State


def write_tempering(
    system: h5py.Group,
    ladder: tuple[float, ...],
    spec: SamplingSpec,
    states: Sequence[State | None],
    energy: h5py.Dataset,
) -> None:
    """Tell how temperatures were exchanged, from the last states of all words, and how far energies overlap.

    system: its group, with the scale `temperature`;  ladder: the temperatures, coldest first;  energy: the time series
    (temperature, replica, sweep), in the order of the run file.
    """
    found = [swaps_of(state, len(ladder)) for state in states if state is not None]
    group = system.create_group("tempering")
    order = [ladder.index(T) for T in spec.temperatures]
    places = np.argsort(order)
    rates, errors = swap_rates(found, spec.moves_pairs)
    overlap = np.full(len(ladder), np.nan)
    for t in range(len(ladder) - 1):
        overlap[t] = histogram_overlap(energy[places[t]], energy[places[t + 1]])
    neighbour = "with the next hotter temperature (NaN at the hottest)"
    for name, values, quantity in (
        ("swap_rate", rates, Quantity("1", f"share of swaps accepted {neighbour}", "accepted / attempted", "A")),
        ("swap_rate_error", errors, Quantity("1", "error of the swap rate", "from ladder to ladder", "A")),
        ("energy_overlap", overlap, Quantity("1", f"overlap {neighbour}", "sum_E min(p_T(E), p_T'(E))", "")),
    ):
        dataset = group.create_dataset(name, data=values[order])
        described(dataset, quantity)
        dataset.dims[0].attach_scale(system["temperature"])
    trips, times = (np.concatenate([getattr(own, name) for own in found]) for name in ("trips", "trip_time"))
    scale = group.create_dataset("copy", data=np.arange(len(trips)))
    described(scale, Quantity("1", "copy of the system that wanders between temperatures", "", ""))
    scale.make_scale("copy")
    with np.errstate(invalid="ignore"):
        mean_time = times / trips * spec.exchange_every
    for name, values, quantity in (
        ("round_trips", trips, Quantity("1", "round trips from the hottest to the coldest and back", "", "")),
        ("round_trip_time", mean_time, Quantity("sweeps", "mean time of its round trips", "NaN without any", "")),
    ):
        dataset = group.create_dataset(name, data=values)
        described(dataset, quantity)
        dataset.dims[0].attach_scale(scale)
