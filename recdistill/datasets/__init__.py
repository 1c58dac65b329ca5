"""Data sets: `load(root, …) -> (source, target)`."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from recdistill.datasets import amazon, criteo, files, movielens, synthetic
from recdistill.errors import UsageError
from recdistill.settings import require_known
from recdistill.tables import Table

DATASETS: dict[str, Callable[..., tuple[Table | None, Table]]] = {
    "amazon": amazon.load,
    "criteo": criteo.load,
    "files": files.load,
    "movielens": movielens.load,
    "synthetic": synthetic.load,
}
# What each reads; data sets that are made have no files.
INPUTS: dict[str, Callable[..., list[Path]]] = {
    "amazon": amazon.inputs,
    "criteo": criteo.inputs,
    "files": files.inputs,
    "movielens": movielens.inputs,
}


def require(name: str, arguments: Mapping[str, Any]) -> None:
    """Refuse a data set or an argument of its `load` that there is not.

    Raises:
        UsageError: names the nearest.
    """
    require_known("data set", name, DATASETS, arguments, given="root")


def load(
    name: str, root: Path | str | None = None, arguments: Mapping[str, Any] | None = None
) -> tuple[Table | None, Table]:
    """Source and target of a data set by its name; the source is None where its rows are not at hand.

    Args:
        name: a key of `DATASETS`.
        root: the folder of its files, environment variables as `$NAME`; data sets that are made, not read, need none.
        arguments: the data set's own keyword arguments.

    Raises:
        UsageError: the name or an argument is not known, or the folder is not given.
        DataError: the files are not what they must be.
    """
    require(name, arguments or {})
    folder = _folder(name, root)
    try:
        return DATASETS[name](folder, **(arguments or {}))
    except TypeError as error:
        raise UsageError(f"data set {name!r} cannot take {dict(arguments or {})}: {error}") from error


def inputs(name: str, root: Path | str | None = None, arguments: Mapping[str, Any] | None = None) -> list[str]:
    """The files that `load` reads, below the root as it was given; none of a data set that is made, not read.

    Raises:
        UsageError, DataError: as in `load`.
    """
    require(name, arguments or {})
    folder = _folder(name, root)
    if name not in INPUTS or folder is None:
        return []
    takes = inspect.signature(INPUTS[name]).parameters
    told = {key: value for key, value in (arguments or {}).items() if key in takes}
    try:
        found = INPUTS[name](folder, **told)
    except TypeError as error:
        raise UsageError(f"data set {name!r} cannot take {dict(arguments or {})}: {error}") from error
    below = Path(folder)
    return [str(Path(str(root)) / path.relative_to(below) if path.is_relative_to(below) else path) for path in found]


def _folder(name: str, root: Path | str | None) -> str | None:
    """The root with its environment variables filled in."""
    needed = inspect.signature(DATASETS[name]).parameters["root"].default is inspect.Parameter.empty
    if root is None and needed:
        raise UsageError(f"data set {name!r} needs the folder of its files: --set data.root=FOLDER")
    folder = None if root is None else os.path.expandvars(root)
    if folder is not None and "$" in str(folder):
        raise UsageError(f"the folder of a data set must have all its variables set, got {str(root)!r}")
    return folder


__all__ = ["DATASETS", "INPUTS", "amazon", "criteo", "files", "inputs", "load", "movielens", "require", "synthetic"]
