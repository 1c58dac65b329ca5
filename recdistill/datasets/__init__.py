"""Data sets: `load(root, …) -> (source, target)`."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from recdistill.datasets import amazon, criteo, files, movielens, reviews, synthetic
from recdistill.errors import UsageError
from recdistill.readers import Quarantine
from recdistill.settings import require_known
from recdistill.tables import Table

DATASETS: dict[str, Callable[..., tuple[Table | None, Table]]] = {
    "amazon": amazon.load,
    "criteo": criteo.load,
    "files": files.load,
    "movielens": movielens.load,
    "reviews": reviews.load,
    "synthetic": synthetic.load,
}
# What each reads; data sets that are made have no files.
INPUTS: dict[str, Callable[..., list[Path]]] = {
    "amazon": amazon.inputs,
    "criteo": criteo.inputs,
    "files": files.inputs,
    "movielens": movielens.inputs,
}
# Those that can set wrong rows aside: a user's own, and what is as raw.
ASIDE: dict[str, Callable[[str, Mapping[str, Any], Quarantine], tuple[Table | None, Table]]] = {
    "criteo": lambda root, given, quarantine: criteo.load(root, **given, quarantine=quarantine),
    "files": lambda root, given, quarantine: files.tables(root, files.Files(**given), quarantine=quarantine),
}


def require(name: str, arguments: Mapping[str, Any], *, quarantine: bool = False) -> None:
    """Refuse a data set or an argument of its `load` that there is not, or that is not for it.

    Raises:
        UsageError: names the nearest, or the data sets that can set rows aside.
    """
    if "quarantine" in arguments:
        raise UsageError("wrong rows are set aside with data.on_bad_row, got data.arguments.quarantine")
    require_known("data set", name, DATASETS, arguments, given="root")
    if quarantine and name not in ASIDE:
        known = " and ".join(map(repr, ASIDE))
        raise UsageError(f"wrong rows can be set aside of the data sets {known} alone, got {name!r}")


def load(
    name: str,
    root: Path | str | None = None,
    arguments: Mapping[str, Any] | None = None,
    *,
    quarantine: Quarantine | None = None,
) -> tuple[Table | None, Table]:
    """Source and target of a data set by its name; the source is None where its rows are not at hand.

    Args:
        name: a key of `DATASETS`.
        root: the folder of its files, environment variables as `$NAME`; data sets that are made, not read, need none.
        arguments: the data set's own keyword arguments.
        quarantine: what takes the wrong rows; without it the first is refused.

    Raises:
        UsageError: the name or an argument is not known, the folder is not given, or the data set has no use for a
            quarantine.
        DataError: the files are not what they must be.
    """
    require(name, arguments or {}, quarantine=quarantine is not None)
    folder = _folder(name, root)
    try:
        if quarantine is not None:
            return ASIDE[name](str(folder), arguments or {}, quarantine)
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


__all__ = [
    "ASIDE",
    "DATASETS",
    "INPUTS",
    "amazon",
    "criteo",
    "files",
    "inputs",
    "load",
    "movielens",
    "require",
    "reviews",
    "synthetic",
]
