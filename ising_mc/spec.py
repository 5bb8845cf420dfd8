"""The run file: TOML to frozen dataclasses.  Every error is one sentence that names the key and what is allowed."""

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

from ising_mc import isingspec, recallspec, trainspec
from ising_mc.reader import Reader, SpecError, known
from ising_mc.runspec import RunSpec

MODELS: dict[str, Any] = {"ising": isingspec, "hopfield": recallspec, "boltzmann": trainspec}


def load(path: Path | str) -> RunSpec:
    """Read a run file.

    Raises SpecError, with one sentence that names the file and the key.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SpecError(f"cannot read the run file {path}: {reason}") from error
    try:
        return replace(parse(text, Path(path).stem, Path(path).parent), origin=str(path))
    except SpecError as error:
        raise SpecError(f"{path}: {error}") from error


def parse(text: str, default_name: str = "run", folder: Path = Path()) -> RunSpec:
    """Read the text of a run file; files that it names lie in `folder`, unless their paths are absolute.

    Raises SpecError, with one sentence that names the key and what is allowed.
    """
    try:
        tables = tomllib.loads(text)
    except ValueError as error:  # TOMLDecodeError, or a number of thousands of digits
        raise SpecError(f"this is not valid TOML: {error}") from error
    reader = Reader(tables, folder)
    named = isinstance(tables.get("model"), dict)
    model = MODELS[reader.choice("model.kind", tuple(MODELS), "ising") if named else "ising"]
    keys = model.KEYS
    for table, content in tables.items():
        known(table, keys, "table")
        if not isinstance(content, dict):
            raise SpecError(f"{table} must be a table, written as [{table}]")
        for key in content:
            known(key, keys[table], f"key in [{table}]")
    spec: RunSpec = model.read_spec(reader, default_name, text)
    return spec
