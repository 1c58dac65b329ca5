"""Tables: columns by role with a stable row id; read, validated, fingerprinted, written."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recdistill.artefacts import manifest, new_folder, verify
from recdistill.errors import DataError, nearest
from recdistill.schema import Schema

if TYPE_CHECKING:
    import pandas as pd


class Table:
    """Rows in Arrow memory, with a Schema and a stable, unique row id.

    Args:
        arrow: the columns. Columns that the schema does not name are dropped.
        schema: what the columns mean. Without its row id column, rows are numbered from 0.

    Raises:
        DataError: a column is missing or has the wrong type; a number is NaN or infinite; a label is
            outside {0, 1}; a row id is missing or occurs twice.
    """

    def __init__(self, arrow: pa.Table, schema: Schema) -> None:
        if schema.row_id not in arrow.column_names:
            arrow = arrow.append_column(schema.row_id, pa.array(np.arange(len(arrow), dtype=np.int64)))
        for name in schema.columns:
            if name not in arrow.column_names:
                raise DataError(f"column {name!r} is missing, {nearest(name, arrow.column_names)}")
        self.schema = schema
        self.arrow = _validated(arrow.select(list(schema.columns)).combine_chunks(), schema)

    @staticmethod
    def from_pandas(frame: pd.DataFrame, schema: Schema) -> Table:
        """A Table of a pandas frame; the frame's index is ignored."""
        return Table(pa.Table.from_pandas(frame, preserve_index=False), schema)

    @staticmethod
    def read(folder: Path | str) -> Table:
        """A Table that `write` wrote; every byte is checked against the manifest.

        Raises:
            DataError: the folder is no table, is not whole, or was changed.
        """
        folder = Path(folder)
        verify(folder)
        facts = manifest(folder)["facts"]
        table = Table(pq.read_table(folder / "rows.parquet"), Schema.from_dict(facts["schema"]))
        if len(table) != facts["rows"]:
            raise DataError(f"{folder} must have {facts['rows']} rows, got {len(table)}")
        return table

    def write(self, folder: Path | str) -> None:
        """Write the table as a folder artefact; an existing one of that name is replaced."""
        facts = {"kind": "table", "rows": len(self), "schema": self.schema.to_dict(), "fingerprint": self.fingerprint}
        with new_folder(Path(folder), **facts) as temporary:
            pq.write_table(self.arrow, temporary / "rows.parquet", compression="zstd", write_page_checksum=True)

    def __len__(self) -> int:
        return self.arrow.num_rows

    def __repr__(self) -> str:
        return f"Table({len(self):,} rows, {len(self.schema.features)} features, labelled {self.labelled.sum():,})"

    def column(self, name: str) -> pa.Array:
        """One column as a single Arrow array."""
        if name not in self.arrow.column_names:
            raise DataError(f"column {name!r} is missing, {nearest(name, self.arrow.column_names)}")
        chunks = self.arrow.column(name).combine_chunks()
        return chunks.combine_chunks() if isinstance(chunks, pa.ChunkedArray) else chunks

    def numpy(self, name: str) -> np.ndarray[Any, Any]:
        """One column as a numpy array; missing numbers become NaN."""
        return np.asarray(self.column(name).to_numpy(zero_copy_only=False))

    @cached_property
    def row_ids(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """(rows,) the stable row ids."""
        return self.numpy(self.schema.row_id)

    @cached_property
    def labels(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        """(rows,) 0, 1, or NaN where a row is unlabelled (everywhere without a label column)."""
        if self.schema.label is None:
            return np.full(len(self), np.nan, dtype=np.float32)
        return self.numpy(self.schema.label).astype(np.float32)

    @property
    def labelled(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """(rows,) whether a row has a label."""
        return ~np.isnan(self.labels)

    def take(self, index: np.ndarray[Any, Any]) -> Table:
        """The rows at positions, or where a boolean mask holds, with their row ids."""
        index = np.asarray(index)
        positions = np.flatnonzero(index) if index.dtype == bool else index
        return Table(self.arrow.take(pa.array(positions, type=pa.int64())), self.schema)

    def with_labels_only(self, keep: np.ndarray[Any, np.dtype[np.bool_]]) -> Table:
        """The same rows with the label and rating of all rows but `keep` removed, so nothing can read them."""
        arrow = self.arrow
        for name in (self.schema.label, self.schema.rating):
            if name is not None:
                kept = pc.if_else(pa.array(keep), self.column(name), pa.scalar(None, self.column(name).type))
                arrow = arrow.set_column(arrow.column_names.index(name), name, kept)
        return Table(arrow, self.schema)

    def with_schema(self, schema: Schema) -> Table:
        """The same rows under another schema over the same columns."""
        return Table(self.arrow, schema)

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over every column's values, the row ids and the schema; independent of chunks and files."""
        return _hash(self, self.schema.columns)

    @cached_property
    def rows_fingerprint(self) -> str:
        """sha256 over the row ids and features alone: the same rows with more or fewer labels agree."""
        return _hash(self, (self.schema.row_id, *self.schema.features))


def concat(tables: Iterable[Table]) -> Table:
    """One table of several tables' rows.

    Raises:
        DataError: the schemas differ, or a row id occurs in two tables.
    """
    tables = list(tables)
    if any(t.schema != tables[0].schema for t in tables):
        raise DataError("tables to join must have the same schema")
    return Table(pa.concat_tables([t.arrow for t in tables]), tables[0].schema)


def _validated(arrow: pa.Table, schema: Schema) -> pa.Table:
    arrow = _with_row_ids(arrow, schema.row_id)
    for name in schema.categorical:
        _require(name, arrow, _is_id, "strings or integers")
    for name in schema.multi:
        _require(name, arrow, lambda t: _is_list(t) and _is_id(t.value_type), "lists of strings or integers")
    for name in schema.number:
        _require(name, arrow, _is_number, "numbers")
        _require_finite(name, arrow.column(name))
    for name in schema.vector:
        _require(name, arrow, lambda t: _is_list(t) and _is_number(t.value_type), "lists of numbers")
        _require_vectors(name, arrow.column(name))
    if schema.label is not None:
        arrow = _with_labels(arrow, schema.label)
    for answer in (schema.rating, schema.truth):
        if answer is not None:
            _require(answer, arrow, _is_number, "numbers")
            _require_finite(answer, arrow.column(answer))
    return arrow


def _with_row_ids(arrow: pa.Table, name: str) -> pa.Table:
    _require(name, arrow, pa.types.is_integer, "integers")
    ids = arrow.column(name)
    if ids.null_count:
        raise DataError(f"row ids must not be missing, got {ids.null_count} missing in {name!r}")
    twice = len(ids) - pc.count_distinct(ids).as_py()
    if twice:
        raise DataError(f"row ids must be unique, got {twice} repeated in {name!r}")
    return arrow.set_column(arrow.column_names.index(name), name, ids.cast(pa.int64()))


def _with_labels(arrow: pa.Table, name: str) -> pa.Table:
    _require(name, arrow, lambda t: _is_number(t) or pa.types.is_boolean(t), "0 or 1")
    labels = arrow.column(name)
    values = labels.cast(pa.float64()) if not pa.types.is_boolean(labels.type) else labels.cast(pa.int8())
    seen = pc.unique(values).drop_null().to_pylist()
    wrong = [value for value in seen if value not in (0, 1)]
    if wrong:
        raise DataError(f"labels must be 0 or 1 (or missing), got {wrong[:5]} in {name!r}")
    return arrow.set_column(arrow.column_names.index(name), name, values.cast(pa.int8()))


def _require(name: str, arrow: pa.Table, rule: Any, words: str) -> None:
    kind = arrow.column(name).type
    if not rule(kind):
        raise DataError(f"column {name!r} must hold {words}, got {kind}")


def _require_finite(name: str, column: pa.ChunkedArray) -> None:
    wrong = int(pc.sum(pc.invert(pc.is_finite(column.cast(pa.float64())))).as_py() or 0)
    if wrong:
        raise DataError(f"numbers must be finite, got {wrong} NaN or infinite values in {name!r}")


def _require_vectors(name: str, column: pa.ChunkedArray) -> None:
    if column.null_count:
        raise DataError(f"vectors must not be missing, got {column.null_count} missing in {name!r}")
    lengths = pc.unique(pc.list_value_length(column)).to_pylist()
    if len(lengths) > 1:
        raise DataError(f"vectors of a column must have one length, got {sorted(lengths)[:5]} in {name!r}")
    _require_finite(name, pc.list_flatten(column))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _is_id(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_id(kind.value_type)
    return bool(pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _hash(table: Table, names: Iterable[str]) -> str:
    total = hashlib.sha256(repr(sorted(replace(table.schema, privileged=()).to_dict().items())).encode())
    for name in names:
        total.update(name.encode())
        _update(total, table.column(name))
    return total.hexdigest()


def _update(total: Any, column: pa.Array) -> None:
    """Feed a column's values to a hash: missing flags, then values; lists as lengths, then items."""
    total.update(np.packbits(column.is_null().to_numpy(zero_copy_only=False)).tobytes())
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if _is_list(column.type):
        lengths = pc.fill_null(pc.list_value_length(column), 0)
        total.update(lengths.cast(pa.int64()).to_numpy(zero_copy_only=False).tobytes())
        _update(total, pc.list_flatten(column))
    elif _is_number(column.type):
        wide = np.float64 if pa.types.is_floating(column.type) else np.int64
        total.update(pc.fill_null(column, 0).to_numpy(zero_copy_only=False).astype(wide).tobytes())
    else:
        text = pc.fill_null(column.cast(pa.large_string()), "")
        total.update(pc.binary_length(text).to_numpy(zero_copy_only=False).tobytes())
        total.update("".join(text.to_pylist()).encode())
