"""The tables [lattice], [couplings] and [field] of a run file."""

import hashlib

import numpy as np

from ising_mc.graphfile import GraphData, read_field
from ising_mc.ising import Couplings, Field, FileGraph, FileValues, Shape, System
from ising_mc.lattices import KINDS
from ising_mc.reader import LARGEST, Reader, SpecError

OWN_KEYS: dict[str, dict[str, tuple[str, ...]]] = {  # keys that go with some kinds only
    "lattice": {
        "size": tuple(KINDS),
        "boundary": tuple(kind for kind in KINDS if kind not in ("random_regular", "complete")),
        "degree": ("random_regular",),
        "path": ("file",),
        "one_based": ("file",),
    },
    "couplings": {
        "J": ("uniform", "pm_j"),
        "p": ("pm_j",),
        "mean": ("gaussian",),
        "sigma": ("gaussian",),
        "path": ("file",),
        "one_based": ("file",),
    },
    "field": {"B": ("uniform", "file"), "strength": ("gaussian", "bimodal")},
}
MOST_SAMPLES = 10**5


def read_systems(reader: Reader) -> tuple[tuple[System, ...], list[str]]:
    """All systems, size by size and sample by sample, and what to warn of."""
    kind = reader.choice("lattice.kind", (*KINDS, "file"), "square")
    reader.only_own("lattice", kind, OWN_KEYS["lattice"])
    warnings: list[str] = []
    data: GraphData | None = None
    shapes: list[Shape]
    if kind == "file":
        path, data = reader.graph("lattice.path", "lattice.one_based")
        warnings += data.warnings
        shapes = [FileGraph(path, digest(data.bonds, np.array([data.n_sites])), data)]
    else:
        shapes = list(reader.lattices("lattice.size", kind))
    couplings = _read_couplings(reader, shapes, data, warnings)
    own_field = _read_field(reader, shapes)
    systems = [System(shape, couplings, own_field) for shape in shapes]
    samples = reader.integer("couplings.disorder_samples", 1, 1, MOST_SAMPLES)
    if not systems[0].is_random and samples > 1:
        raise SpecError(
            f"couplings.disorder_samples = {samples} needs something random: couplings 'pm_j' or 'gaussian', a random "
            "field, or a random lattice"
        )
    if systems[0].is_random:
        systems = [System(shape, couplings, own_field, k) for shape in shapes for k in range(samples)]
    return tuple(systems), warnings


def _read_couplings(reader: Reader, shapes: list[Shape], data: GraphData | None, warnings: list[str]) -> Couplings:
    in_graph = data is not None and data.couplings is not None
    kinds = ("uniform", "pm_j", "gaussian", "file", "maxcut")
    kind = reader.choice("couplings.kind", kinds, "file" if in_graph else "uniform")
    reader.only_own("couplings", kind, OWN_KEYS["couplings"])
    own_path = reader.get("couplings.path", None) is not None
    if kind == "maxcut":
        return _maxcut(reader, data)
    if in_graph and (kind != "file" or own_path):
        because = "couplings.path is given" if own_path else f"couplings.kind = '{kind}'"
        warnings.append(f"the couplings in the file of the lattice are not used, because {because}")
    if kind == "uniform":
        J = reader.numbers("couplings.J", 1.0)
        for shape in shapes:
            if len(J) > 1 and len(J) != shape.directions:
                raise SpecError(
                    f"couplings.J = {list(J)} has {len(J)} values, but the bonds of the {shape.kind} lattice "
                    f"{shape.label} have {shape.directions} direction(s): give one value, or one a direction"
                )
        return Couplings(J=J if len(set(J)) > 1 else J[:1])
    if kind == "pm_j":
        J = (reader.number("couplings.J", 1.0, positive=True),)
        p = reader.number("couplings.p", 0.5)
        if not 0 <= p <= 1:
            raise SpecError(f"couplings.p, the share of +J, must be from 0 to 1, not {p:g}")
        return Couplings(kind, J=J, p=p)
    if kind == "gaussian":
        sigma = reader.number("couplings.sigma", 1.0)
        if sigma < 0:
            raise SpecError(f"couplings.sigma must not be negative, as {sigma:g} is")
        return Couplings(kind, mean=reader.number("couplings.mean", 0.0), sigma=sigma)
    if own_path:
        path, found = reader.graph("couplings.path", "couplings.one_based", shapes)
        values = _on_bonds_of(path, found, shapes)
    elif data is None:
        raise SpecError("couplings.kind = 'file' needs couplings.path, a file with lines i j J or a matrix")
    elif data.couplings is None:
        raise SpecError(f"couplings.kind = 'file', but {shapes[0].label} has no third column: give couplings.path")
    else:
        path, values = str(reader.get("lattice.path", "")), data.couplings
    return Couplings(kind, file=FileValues(path, digest(values), values))


def _maxcut(reader: Reader, data: GraphData | None) -> Couplings:
    """J = -w: the ground state has the largest weight between its two sides."""
    if data is None:
        raise SpecError("couplings.kind = 'maxcut' goes with lattice.kind = 'file': the graph whose bonds have weights")
    if reader.get("field.B", 0.0) != 0 or reader.get("field.kind", "uniform") != "uniform":
        raise SpecError("couplings.kind = 'maxcut' has no field: take the table [field] out")
    values = -(np.ones(len(data.bonds)) if data.couplings is None else data.couplings)
    return Couplings("maxcut", file=FileValues(str(reader.get("lattice.path", "")), digest(values), values))


def _on_bonds_of(path: str, found: GraphData, shapes: list[Shape]) -> np.ndarray:
    """The couplings of a file in the order of the bonds of the only lattice there is; every bond must have its one."""
    if found.couplings is None:
        raise SpecError(f"couplings.path: {path} has no third column, the couplings")
    if len(shapes) > 1:
        raise SpecError(f"couplings.path: {path} goes with one size only, but lattice.size names {len(shapes)}")
    if shapes[0].kind == "random_regular":
        raise SpecError("couplings.kind = 'file' does not go with a random lattice: give the graph, too, as a file")
    bonds, n = shapes[0].graph().bonds.astype(np.int64), shapes[0].n_sites
    keys = bonds.min(1) * n + bonds.max(1)
    own = found.bonds[:, 0].astype(np.int64) * n + found.bonds[:, 1]
    if len(np.unique(keys)) < len(keys):
        raise SpecError(
            f"couplings.path: {shapes[0].label} has two bonds between the same sites, which no file can tell apart"
        )
    place = np.minimum(np.searchsorted(own, keys), len(own) - 1)
    for wanted, have, text in ((keys, own, "lacks the bond"), (own, keys, "has a bond that the lattice has not,")):
        extra = np.setdiff1d(wanted, have)
        if len(extra):
            i, j = divmod(int(extra[0]), n)
            raise SpecError(f"couplings.path: {path} {text} {i} {j} (sites counted from 0)")
    return np.ascontiguousarray(found.couplings[place])


def _read_field(reader: Reader, shapes: list[Shape]) -> Field:
    B = reader.get("field.B", 0.0)
    kind = reader.choice(
        "field.kind", ("uniform", "file", "gaussian", "bimodal"), "file" if isinstance(B, str) else "uniform"
    )
    reader.only_own("field", kind, OWN_KEYS["field"])
    if kind == "file":
        mu = reader.number("field.mu", 1.0)
        if not isinstance(B, str):
            raise SpecError("field.kind = 'file' needs the name of a file as field.B")
        sizes = {shape.n_sites for shape in shapes}
        if len(sizes) > 1:
            raise SpecError(f"field.B: {B} goes with one size only, but lattice.size names {len(shapes)}")
        path = reader.path("field.B")
        values = reader.from_file("field.B", lambda: read_field(path, sizes.pop()))
        largest = float(np.abs(values).max()) * abs(mu)
        own = Field(kind, mu=mu, file=FileValues(path, digest(values), values))
    else:
        key = "field.B" if kind == "uniform" else "field.strength"
        strength = reader.number(key, 0.0 if kind == "uniform" else 1.0)
        mu = reader.number("field.mu", 1.0)
        largest = abs(mu * strength)
        own = Field(kind, strength, mu)
    if largest > LARGEST:
        raise SpecError(f"field.mu times field.B must be a number within +-{LARGEST:g}, not {largest:g}")
    return own


def digest(*arrays: np.ndarray) -> str:
    """What tells the contents of a file from others."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:16]
