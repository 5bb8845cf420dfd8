"""Imports point down only, and each outside library has one place."""

import ast
import sys
from pathlib import Path

import pytest

import ising_mc

FOLDER = Path(ising_mc.__file__).parent
LAYERS = (  # top to bottom; modules of one row do not know each other
    ("__main__",),
    ("cli",),
    ("screen", "benchtables"),
    ("plot",),
    ("recallplots", "machineplots", "template", "recalltables", "traintables"),
    ("cluster", "bench"),
    ("planning",),
    ("schedule",),
    ("store",),
    ("segments", "folders"),
    ("trainfile",),
    ("boltzmannfile",),
    ("annealfile", "recallfile"),
    ("resultfile", "pilot"),
    ("ladderfile", "datasets"),
    ("results", "run", "disorder", "spec", "recallresults"),
    ("trainunits",),
    ("trainspec", "estimator"),
    ("isingunits", "recallunits", "boltzmannunits", "graphchecks", "machinechecks"),
    ("boltzmannspec", "learning"),
    ("isingspec", "recallspec"),
    ("systemspec", "algorithms"),
    ("division",),
    ("reader", "runspec", "unit"),
    ("preparation",),
    ("validation",),
    ("cycles",),
    ("clusters", "recall", "boltzmann"),
    ("packed", "real", "hopfield"),
    ("tempering",),
    ("observers",),
    ("ising", "square"),
    ("observables", "annealing"),
    ("likelihood",),
    ("statistics", "exact"),
    ("words", "rules", "machinefile", "trainingdata"),
    ("machine",),
    ("lattices", "graphfile", "patternfile", "streams", "provenance", "memory"),
    ("arrayfile",),
    ("kernels",),
    ("__init__",),
)
LEVEL = {module: level for level, row in enumerate(LAYERS) for module in row}
PLACES = {
    "h5py": {
        "store",
        "segments",
        "resultfile",
        "annealfile",
        "ladderfile",
        "recallfile",
        "boltzmannfile",
        "trainfile",
        "datasets",
        "results",
        "arrayfile",
    },  # arrayfile reads the users' arrays, never results
    "click": {"cli"},
    "rich": {"screen", "recalltables", "traintables", "benchtables"},
    "matplotlib": {"plot", "recallplots", "machineplots"},
    "sklearn": {"estimator"},
    "PIL": {"patternfile"},
    "numba": {"kernels"},
    "llvmlite": {"kernels"},
    "tomllib": {"spec"},
}
SOURCES = sorted(FOLDER.rglob("*.py"))


def module_of(path: Path) -> str:
    return path.relative_to(FOLDER).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """Dotted names of everything that a file imports, also within functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def own_modules(path: Path) -> set[str]:
    parts = [name.split(".") for name in imports(path) if name.split(".")[0] == "ising_mc"]
    return {part[1] if len(part) > 1 and part[1] in LEVEL else "__init__" for part in parts}


def test_every_module_has_a_layer() -> None:
    assert {module_of(path) for path in SOURCES} == set(LEVEL)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_imports_point_down(path: Path) -> None:
    module = module_of(path)
    for other in own_modules(path):
        if other != module:  # files of one package may know each other
            assert LEVEL[module] < LEVEL[other], f"{module} imports {other}"


@pytest.mark.parametrize("library", PLACES)
def test_each_library_has_its_place(library: str) -> None:
    users = {module_of(path) for path in SOURCES if library in {name.split(".")[0] for name in imports(path)}}
    assert users
    assert users <= PLACES[library]


def test_kernels_know_only_numpy_and_numba() -> None:
    for path in (FOLDER / "kernels").glob("*.py"):
        for name in imports(path):
            root = name.split(".")[0]
            own = name.startswith("ising_mc.kernels")
            allowed = own or root in {"numpy", "numba", "llvmlite"} | sys.stdlib_module_names
            assert allowed, f"{path.name} imports {name}"


def test_the_rule_sees_what_it_forbids(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "def f():\n    from ising_mc import cli\n    import h5py.h5d\n    from ising_mc.store import Store\n"
    )
    assert own_modules(wrong) == {"cli", "store"}
    assert "h5py.h5d" in imports(wrong)
