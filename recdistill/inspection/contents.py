"""What a row says, as one number: equal rows of any two tables get equal hashes, whatever their row ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from recdistill.columns import is_list
from recdistill.fingerprints import Words, row_fingerprints
from recdistill.schema import Schema
from recdistill.tables import Table


def content(*tables: Table) -> tuple[str, ...]:
    """The columns that say what a row is and that all the tables have: answer, features, user, item and time.

    Privileged columns are left out, since a side may lack them.
    """
    schema = tables[0].schema
    names = [answer_of(schema), schema.user, schema.item, schema.time, *schema.features]
    return tuple(
        dict.fromkeys(name for name in names if name is not None and all(name in t.schema.columns for t in tables))
    )


def answer_of(schema: Schema) -> str | None:
    """The column of what is learnt: the rating where it has more than two classes, else the label."""
    return schema.rating if schema.classes > 1 else schema.label


def row_hashes(table: Table, columns: Sequence[str]) -> Words:
    """(rows,) 64 bits of a row's values in some columns; ids are taken as text, numbers as float64, times to the
    microsecond.
    """
    return row_fingerprints(_plain(table, columns), columns)


def hashes_with(table: Table, columns: Sequence[str], name: str, values: Sequence[Any]) -> Iterator[Words]:
    """The same as `row_hashes` if all rows had one value in a column, for each of some values."""
    plain = _plain(table, columns)
    place = plain.column_names.index(name)
    for value in values:
        one = pa.repeat(pa.scalar(value, plain.schema.field(name).type), len(table))
        yield row_fingerprints(plain.set_column(place, name, one), columns)


def _plain(table: Table, columns: Sequence[str]) -> pa.Table:
    ids = {*table.schema.categorical, *table.schema.multi, table.schema.user, table.schema.item}
    return pa.table({name: _comparable(table.column(name), is_id=name in ids) for name in columns})


def _comparable(column: pa.Array, *, is_id: bool) -> pa.Array:
    """Values that are equal wherever they mean the same."""
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return column.cast(pa.timestamp("us", getattr(kind, "tz", None)), safe=False)
    if not is_id:
        return column.cast(pa.float64(), safe=False) if pa.types.is_integer(kind) else column
    if is_list(kind):
        return column.cast(pa.large_list(pa.large_string()))
    if pa.types.is_dictionary(kind):
        return pa.DictionaryArray.from_arrays(column.indices, column.dictionary.cast(pa.large_string()))
    return column.cast(pa.large_string())
