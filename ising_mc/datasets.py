"""Data sets with their descriptions, and their dimension scales."""

from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ising_mc.observables import Quantity
from ising_mc.results import described

CHUNK_BYTES = 1 << 20


def add_scale(group: h5py.Group, name: str, values: Any, quantity: Quantity | str) -> h5py.Dataset:
    """A dimension scale; quantity: or its long name alone."""
    dataset = group.create_dataset(name, data=values)
    described(dataset, Quantity("1", quantity, "", "") if isinstance(quantity, str) else quantity)
    dataset.make_scale(name)
    return dataset


def add(group: h5py.Group, name: str, values: Any, quantity: Quantity, *scales: h5py.Dataset, **options: Any) -> None:
    """A data set, one scale an axis."""
    dataset = group.create_dataset(name, data=values, **options)
    described(dataset, quantity)
    for axis, scale in enumerate(scales):
        dataset.dims[axis].attach_scale(scale)


def add_packed(group: h5py.Group, name: str, values: NDArray[Any], quantity: Quantity, *scales: h5py.Dataset) -> None:
    """A large data set, compressed, in chunks of whole rows where these are small enough."""
    sizes, room = list(values.shape), CHUNK_BYTES // values.itemsize
    chunks: list[int] = []
    for size in reversed(sizes):
        chunks.insert(0, max(1, min(size, room)))
        room //= chunks[0]
    options = {"compression": "gzip", "compression_opts": 1, "shuffle": True, "chunks": tuple(chunks)}
    add(group, name, values, quantity, *scales, **(options if values.size else {}))


def strings(values: Any) -> NDArray[Any]:
    """Texts as HDF5 takes them."""
    return np.array(values, dtype=h5py.string_dtype())
