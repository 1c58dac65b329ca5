"""Columns as their roles want them: text is parsed, other types are checked, a wrong value is named with its place."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from recdistill.columns import as_arrow
from recdistill.readers.ids import ids
from recdistill.readers.kinds import Writing
from recdistill.readers.layout import CsvSettings
from recdistill.readers.lists import lists, vectors
from recdistill.readers.numbers import labels, numbers, ratings, row_ids
from recdistill.readers.rows import Column, Rows
from recdistill.readers.times import times
from recdistill.schema import Schema


def typed(rows: Rows, schema: Schema, settings: CsvSettings, *, first: int | None = None) -> pa.Table:
    """The columns that a schema names and the file has, each as its role wants it.

    Ids become text, numbers float64, labels int8, times integers, numbers or timestamps; lists are split from text.

    Args:
        rows: of the file; where they have a quarantine it takes the wrong ones, and the others are left.
        schema: the columns' roles.
        settings: how text files are read.
        first: what a file without row ids is numbered from, by place.

    Raises:
        DataError: a value is not what its role wants: names the file, the line or row, the column and the value.
    """
    return converted(rows, schema, Writing(settings), first=first)


def converted(rows: Rows, schema: Schema, writing: Writing, *, first: int | None) -> pa.Table:
    """What `typed` says, of values that are written in some way."""
    names = [name for name in schema.columns if name in rows.arrow.column_names]
    made = {name: _converter(name, schema, writing)(rows.column(name)) for name in names}
    for name in (schema.user, schema.item, schema.time):
        if name in made:
            column = rows.column(name)
            column.refuse(column.values.is_null(), "users, items and times must not be missing")
    if first is not None and schema.row_id not in made:
        made[schema.row_id] = as_arrow(first + rows.places)
    table, good = pa.table(made), rows.set_aside()
    return table if good.all() else table.filter(as_arrow(good))


def wanted_types(names: list[str], schema: Schema) -> dict[str, pa.DataType]:
    """What columns of text may be read as at once: numbers, or else text.

    Args:
        names: of the columns, in the schema's words.
        schema: the columns' roles.
    """
    numeric = {*schema.number, schema.rating, schema.truth, schema.score} - {
        schema.label,
        *schema.multi,
        *schema.vector,
    }
    return {name: pa.float64() if name in numeric else pa.string() for name in names}


def _converter(name: str, schema: Schema, writing: Writing) -> Callable[[Column], pa.Array]:
    """What makes a column what its role wants."""
    separator = writing.settings.separator(name)
    if name == schema.label:
        return labels
    if name == schema.row_id:
        return row_ids
    if name in schema.vector:
        return lambda column: vectors(column, writing)
    if name in schema.multi or (name == schema.domain and name in writing.settings.separators):
        return lambda column: lists(column, separator)
    if name == schema.rating:
        return lambda column: ratings(column, schema.grades)
    if name in (*schema.number, schema.truth, schema.score):
        return numbers
    if name == schema.time and name not in schema.categorical:
        return lambda column: times(column, writing)
    return lambda column: ids(column, writing)
