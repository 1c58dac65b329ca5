"""Chunks of files as typed rows, and the rows that are wrong: a pure function of a chunk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from recdistill.errors import DataError
from recdistill.readers.chunk import Chunk
from recdistill.readers.delimited import text_rows
from recdistill.readers.kinds import Kinds, Writing
from recdistill.readers.layout import CsvSettings
from recdistill.readers.quarantine import BadRow, Quarantine
from recdistill.readers.rows import Rows
from recdistill.readers.typed import converted, wanted_types
from recdistill.schema import Schema

OnBadRow = Literal["strict", "quarantine"]


@dataclass(frozen=True)
class Parsed:
    """The rows of a chunk.

    Args:
        table: the good rows.
        bad: the others, in no order.
        kinds: how whole columns are written; of the first chunk to be told to all others.
    """

    table: pa.Table
    bad: list[BadRow]
    kinds: Kinds


def parsed(
    chunk: Chunk,
    schema: Schema,
    settings: CsvSettings,
    *,
    columns: Mapping[str, str] | None = None,
    kinds: Kinds | None = None,
    on_bad_row: OnBadRow = "strict",
) -> Parsed:
    """The columns that a schema names and a chunk's file has, each as its role wants it, and the row id.

    As `typed` makes them, but ids are dictionary-encoded (int32, large_string), and timestamps are in microseconds, in
    UTC where they have a zone. The row id is the file's own, else the place of the record over all files, broken ones
    counted.

    What a whole column decides (ids that are all written like `7.0` lose their `.0`; times are integers, numbers, or
    timestamps with a zone or without; how long vectors are) the first chunk decides, and its `kinds` go to every other:
    there a value that does not fit is wrong. An id column that is missing in all of the first chunk is no `7.0`.

    Args:
        chunk: of `chunks`.
        schema: the columns' roles.
        settings: how text files are read, as `chunks` was told.
        columns: the file's names that differ, each with the schema's name for it.
        kinds: that the first chunk found; None for the first.
        on_bad_row: "strict" refuses a row that is wrong, "quarantine" sets it aside.

    Raises:
        DataError: a row is wrong and rows are not set aside; a column is of a type that its role cannot want; or the
            first chunk has no value that says how times or vectors are written.
    """
    quarantine = Quarantine() if on_bad_row == "quarantine" else None
    rows = _rows(chunk, schema, settings, columns or {}, quarantine)
    writing = Writing(settings, known=kinds, coded=True)
    table = converted(rows, schema, writing, first=chunk.first_row)
    if kinds is None:
        _require_decided(chunk, schema, writing)
    return Parsed(table, [] if quarantine is None else quarantine.rows, writing.found if kinds is None else kinds)


def _rows(
    chunk: Chunk, schema: Schema, settings: CsvSettings, columns: Mapping[str, str], quarantine: Quarantine | None
) -> Rows:
    """A chunk's rows in the schema's names: numbers read as such, or, where that fails, everything as text."""
    wanted = {name: columns.get(name, name) for name in chunk.names if columns.get(name, name) in schema.columns}
    if chunk.delimiter is None:
        rows = Rows(chunk.file, chunk.read(list(wanted)), chunk=chunk, quarantine=quarantine)
        return rows.renamed(columns)
    types = wanted_types(list(wanted.values()), schema)
    own_types = {own: types[name] for own, name in wanted.items()}
    return text_rows(chunk, chunk.read(), settings, quarantine, types=own_types).renamed(columns)


def _require_decided(chunk: Chunk, schema: Schema, writing: Writing) -> None:
    for name in (schema.time, *schema.vector):
        if name in chunk.names and name not in schema.categorical and name not in writing.found:
            rule = f"column {name!r} must have a value in its first {chunk.rows:,} rows, which say how it is written"
            raise DataError(f"{chunk.file}: {rule}, got none")
