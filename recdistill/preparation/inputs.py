"""The files that a preparation reads: what they are, and whether they are still the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from recdistill.errors import DataError
from recdistill.inputs import Input


def described(files: Sequence[Path]) -> list[dict[str, Any]]:
    """Per file its name, size and time of the last change; quick, for nothing is read."""
    states = ((file.name, file.stat()) for file in files)
    return [{"path": name, "bytes": state.st_size, "mtime_ns": state.st_mtime_ns} for name, state in states]


def as_read(files: Sequence[Path]) -> list[dict[str, Any]]:
    """Per file the same with a hash of its content."""
    return [replace(Input.of(str(file)), path=file.name).to_dict() for file in files]


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
    names, before = [file.name for file in files], [str(entry["path"]) for entry in known]
    if names != before:
        return [f"the files were {_listed(before)}, got {_listed(names)}"]
    pairs = zip(files, known, strict=True)
    told = ((file, replace(Input.from_dict(entry), path=str(file)).change()) for file, entry in pairs)
    return [f"{file} has changed since ({words})" for file, words in told if words]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
