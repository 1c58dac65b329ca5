"""What a row says, as one number: equal rows of any two tables get equal hashes, whatever their row ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from recdistill.columns import is_list
from recdistill.inspection.profiles import items
from recdistill.tables import Table

Hashes = np.ndarray[Any, np.dtype[np.uint64]]
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
NOTHING = np.uint64(0x5BD1E9955BD1E995)  # of a missing value


def content(*tables: Table) -> tuple[str, ...]:
    """The columns that say what a row is and that all the tables have: answer, features, user, item and time.

    Privileged columns are left out, since a side may lack them.
    """
    schema = tables[0].schema
    answer = schema.rating if schema.classes > 1 else schema.label
    names = [answer, schema.user, schema.item, schema.time, *schema.features]
    return tuple(
        dict.fromkeys(name for name in names if name is not None and all(name in t.schema.columns for t in tables))
    )


def row_hashes(table: Table, columns: Sequence[str]) -> Hashes:
    """(rows,) 64 bits of a row's values in some columns; ids are hashed as text, numbers as float64, times to
    the microsecond.
    """
    total = np.zeros(len(table), dtype=np.uint64)
    for name in columns:
        column = table.column(name)
        own = _of_lists(column) if is_list(column.type) else _of_values(items(column))
        total = mixed(total * GOLDEN + own)
    return total


def mixed(values: Hashes) -> Hashes:
    """The finaliser of splitmix64 (Steele, Lea & Flood 2014): every bit depends on all."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _of_lists(column: pa.Array) -> Hashes:
    """Sums over a list's items, each hashed with its place; and its length."""
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    ends = np.cumsum(lengths)
    place = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - lengths, lengths)
    sums = np.append(np.uint64(0), np.cumsum(mixed(_of_values(items(column)) + place.astype(np.uint64) * GOLDEN)))
    return sums[ends] - sums[ends - lengths] + mixed(lengths.astype(np.uint64))


def _of_values(values: pa.Array) -> Hashes:
    kind = values.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        values = values.cast(pa.timestamp("us", getattr(kind, "tz", None)), safe=False).cast(pa.int64())
    missing = values.is_null().to_numpy(zero_copy_only=False)
    if pa.types.is_floating(values.type):
        numbers = pc.fill_null(values, 0).to_numpy(zero_copy_only=False).astype(np.float64)
        hashes = mixed((numbers + 0.0).view(np.uint64) + GOLDEN)  # one zero, not two
    else:
        hashes = _of_ids(values)
    return np.where(missing, NOTHING, hashes)


def _of_ids(values: pa.Array) -> Hashes:
    coded = values.dictionary_encode()
    texts = coded.dictionary.cast(pa.large_string()).to_numpy(zero_copy_only=False)
    known = pd.util.hash_array(texts.astype(object), categorize=False) if len(texts) else np.zeros(1, np.uint64)
    return np.asarray(known[pc.fill_null(coded.indices, 0).to_numpy(zero_copy_only=False)], dtype=np.uint64)
