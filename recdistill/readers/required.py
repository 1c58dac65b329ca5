"""Which columns a file must have for what a schema says of them, and under which names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from recdistill.errors import UsageError, nearest
from recdistill.readers.layout import CsvSettings
from recdistill.schema import FEATURE_KINDS, Schema

# A source may lack these: they are the target's, or nice to know.
TARGETS_OWN = ("rating", "user", "item", "time", "domain", "truth", "score")


def new_names(path: Path, names: Sequence[str], columns: Mapping[str, str]) -> list[str]:
    """The names of a file's columns, once those that differ from the schema's are renamed.

    Args:
        path: of the file.
        names: of its columns.
        columns: its own names that differ, each with the schema's name for it.

    Raises:
        UsageError: it has no such column, or two columns come under one name.
    """
    for old in columns:
        if old not in names:
            raise UsageError(f"columns: {path} has no column {old!r}, {nearest(old, names)}")
    new = [columns.get(name, name) for name in names]
    if twice := sorted({name for name in new if new.count(name) > 1}):
        raise UsageError(f"columns: each name may stand for one column of {path}, got {twice} for several")
    return new


def of_source(path: Path, names: Sequence[str], schema: Schema, columns: Mapping[str, str]) -> Schema:
    """The schema without the single roles that a source has no column for.

    Args:
        path: of the file.
        names: of its columns, see `new_names`.
        schema: of source and target.
        columns: that were renamed.

    Raises:
        UsageError: the source lacks a feature or the label.
    """
    lacking: dict[str, Any] = {role: None for role in TARGETS_OWN if getattr(schema, role) not in names}
    if schema.label is None:  # then the rating is what is learnt
        lacking.pop("rating", None)
    own = replace(schema, **lacking)
    for name in own.columns:
        if name not in (*names, own.row_id):
            _require_own_name(name, columns)
            fix = f'if it has another name there, say columns = {{"its name" = "{name}"}}'
            raise UsageError(f"{path} has no column {name!r}, {nearest(name, names)} ({fix})")
    return own


def require_columns(path: Path, names: Sequence[str], schema: Schema, columns: Mapping[str, str] | None = None) -> None:
    """Refuse a file that lacks a column; privileged ones it may lack, and row ids.

    Args:
        path: of the file.
        names: of its columns, see `new_names`.
        schema: their roles.
        columns: that were renamed.

    Raises:
        UsageError: names the nearest.
    """
    for name in schema.columns:
        if name not in (*names, schema.row_id, *schema.privileged):
            _require_own_name(name, columns or {})
            feature = any(name in getattr(schema, kind) for kind in FEATURE_KINDS)
            fix = " (if only the source has it, list it under privileged too)" if feature else ""
            raise UsageError(f"{path} has no column {name!r}, {nearest(name, names)}{fix}")


def require_mapped(path: Path, names: Sequence[str], schema: Schema, columns: Mapping[str, str]) -> None:
    """Refuse a source's column that is renamed to one that the target has not.

    Args:
        path: of the target's file.
        names: of its columns.
        schema: their roles; privileged ones it may lack.
        columns: the source's names that differ, each with the target's name for it.

    Raises:
        UsageError: names the nearest.
    """
    for new in columns.values():
        if new not in names and new not in schema.privileged:
            raise UsageError(f"columns: {path} has no column {new!r}, {nearest(new, names)}")


def require_lists(settings: CsvSettings, schema: Schema, *others: str) -> None:
    """Refuse a separator of a column that holds no lists.

    Args:
        settings: how text files are read.
        schema: the roles of their columns.
        others: more columns that may hold lists.

    Raises:
        UsageError: names the nearest.
    """
    listed = [*schema.multi, *schema.vector, *others]
    for name in settings.separators:
        if name not in listed:
            rule = "csv.separators are for the schema's multi and vector columns"
            raise UsageError(f"{rule}, got {name!r}, {nearest(name, listed)}")


def _require_own_name(name: str, columns: Mapping[str, str]) -> None:
    if name in columns:
        raise UsageError(f"{name!r} is renamed to {columns[name]!r} under columns; the schema must name it so")
