"""Tables: columns by role with a stable row id; read, validated, fingerprinted, written."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recdistill.artefacts import manifest, new_folder, verify
from recdistill.columns import as_arrow, as_numpy, hashed, missing, single, validated
from recdistill.errors import DataError, nearest
from recdistill.notebook import shown
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
            outside {0, 1}, a rating none of the grades; a row id is missing or occurs twice.
    """

    def __init__(self, arrow: pa.Table, schema: Schema) -> None:
        if schema.row_id not in arrow.column_names:
            arrow = arrow.append_column(schema.row_id, pa.array(np.arange(len(arrow), dtype=np.int64)))
        twice = sorted({name for name in arrow.column_names if arrow.column_names.count(name) > 1})
        if twice:
            raise DataError(f"column names must be unique, got {twice} several times")
        for name in schema.columns:
            if name not in arrow.column_names and name in schema.privileged:
                arrow = arrow.append_column(name, missing(schema.kind(name), len(arrow)))
            if name not in arrow.column_names:
                raise DataError(f"column {name!r} is missing, {nearest(name, arrow.column_names)}")
        self.schema = schema
        self.arrow = validated(arrow.select(list(schema.columns)).combine_chunks(), schema)

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
        facts = manifest(folder).get("facts") or {}
        if facts.get("kind") != "table":
            raise DataError(f"{folder} must be a table, got kind={facts.get('kind')!r}")
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

    def _repr_html_(self) -> str:
        lines = [[name, role] for name, role in self.schema.roles.items()]
        facts = {"rows": f"{len(self):,}", "labelled": f"{self.labelled.sum():,}"}
        if self.labelled.any() and self.schema.classes == 1:
            facts["clicks"] = f"{100 * np.nanmean(self.labels):.1f} % of the labelled"
        return shown("Table", facts=facts, table=[["column", "role"], *lines])

    def column(self, name: str) -> pa.Array:
        """One column as a single Arrow array."""
        if name not in self.arrow.column_names:
            raise DataError(f"column {name!r} is missing, {nearest(name, self.arrow.column_names)}")
        return single(self.arrow, name)

    def numpy(self, name: str) -> np.ndarray[Any, Any]:
        """One column as a numpy array; missing numbers become NaN."""
        column = self.column(name)
        if pa.types.is_integer(column.type) and column.null_count:
            column = column.cast(pa.float64(), safe=False)
        if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
            return as_numpy(column, missing=np.nan if column.null_count else 0)
        return np.asarray(column.to_numpy(zero_copy_only=False))

    @cached_property
    def row_ids(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """(rows,) the stable row ids."""
        return self.numpy(self.schema.row_id)

    @cached_property
    def labels(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        """(rows,) 0 or 1 for clicks, 0 … classes − 1 for ratings; NaN where a row is unlabelled, or has neither."""
        if self.schema.classes > 1:
            rating = self.numpy(str(self.schema.rating)).astype(np.float64)
            grade = np.searchsorted(self.schema.grades, rating)
            return np.where(np.isnan(rating), np.nan, grade).astype(np.float32)
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
        return Table(self.arrow.take(as_arrow(positions.astype(np.int64))), self.schema)

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
        return hashed(self.arrow, self.schema, self.schema.columns)

    @cached_property
    def rows_fingerprint(self) -> str:
        """sha256 over the row ids and features alone: the same rows with more or fewer labels agree."""
        return hashed(self.arrow, self.schema, (self.schema.row_id, *self.schema.features))


def concat(tables: Iterable[Table]) -> Table:
    """One table of several tables' rows.

    Raises:
        DataError: there are no tables, their schemas or types differ, or a row id occurs in two.
    """
    tables = list(tables)
    if not tables:
        raise DataError("there must be tables to join, got none")
    if any(t.schema != tables[0].schema for t in tables):
        raise DataError("tables to join must have the same schema")
    try:
        return Table(pa.concat_tables([t.arrow for t in tables]), tables[0].schema)
    except pa.ArrowInvalid as error:
        raise DataError(f"tables to join must have the same column types, got {error}") from None
