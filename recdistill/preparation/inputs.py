"""The files that a preparation reads: what they are, and whether they are still the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from recdistill.errors import DataError
from recdistill.inputs import Input


def described(files: Sequence[Path]) -> list[dict[str, Any]]:
    """Per file its path as it was given, size and time of the last change; quick, for nothing is read."""
    states = ((str(file), file.stat()) for file in files)
    return [{"path": path, "bytes": state.st_size, "mtime_ns": state.st_mtime_ns} for path, state in states]


def as_read(files: Sequence[Path]) -> list[dict[str, Any]]:
    """Per file the same with a hash of its content."""
    return [Input.of(str(file)).to_dict() for file in files]


def require_as_begun(files: Sequence[Path], begun: Sequence[dict[str, Any]]) -> None:
    """Refuse files that changed while they were read.

    Raises:
        DataError: names one.
    """
    for now, then in zip(described(files), begun, strict=True):
        if now != then:
            rule = "must stay as it is while it is read, got one that changed: prepare it again"
            raise DataError(f"{now['path']} {rule}")


def changed(files: Sequence[Path], known: Sequence[dict[str, Any]]) -> list[str]:
    """What is no longer as it was, in words.

    Args:
        files: as they are now.
        known: as they were, see `as_read`.
    """
    names, before = [file.name for file in files], [Path(entry["path"]).name for entry in known]
    if names != before:
        return [f"the files were {_listed(before)}, got {_listed(names)}"]
    pairs = [(file, Input.from_dict(entry)) for file, entry in zip(files, known, strict=True)]
    told = ((file, _change(file, before)) for file, before in pairs)
    return [f"{file} has changed since ({words})" for file, words in told if words]


def _change(file: Path, before: Input) -> str:
    """What is not as it was; a file in another place is read, however old it is."""
    known = replace(before, path=str(file))
    return (known if str(file) == before.path else replace(known, mtime_ns=-1)).change()


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
