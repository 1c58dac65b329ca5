"""The Encoder: raw columns to int32 ids (0 is unseen or missing) and scaled numbers, fitted on training rows."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recdistill.artefacts import read_json, write_json
from recdistill.errors import DataError, nearest
from recdistill.features import UNSEEN, FeatureSpec, inputs, padded
from recdistill.schema import FEATURE_KINDS, Schema
from recdistill.tables import Table
from recdistill.transforms import Hashing, Scaled, Transform, Vocabulary, fingerprint_of, restore, state

if TYPE_CHECKING:
    from recdistill.batch import Batch


class Encoder:
    """Fitted transforms of a table's feature columns.

    Args:
        columns: per feature column its kind ("categorical", "multi", "number", "vector") and fitted transform.
    """

    def __init__(self, columns: Mapping[str, tuple[str, Transform]]) -> None:
        self.columns = dict(columns)
        ids = {n: t.rows for n, (k, t) in self.columns.items() if k != "multi" and not isinstance(t, Scaled)}
        multi = {n: t.rows for n, (k, t) in self.columns.items() if k == "multi" and not isinstance(t, Scaled)}
        vectors = {n: t.dim for n, (k, t) in self.columns.items() if k == "vector" and isinstance(t, Scaled)}
        numbers = tuple(n for n, (k, t) in self.columns.items() if k == "number" and isinstance(t, Scaled))
        self.spec = FeatureSpec(tuple(ids.items()), tuple(multi.items()), numbers, tuple(vectors.items()))

    @staticmethod
    def fit(table: Table, transforms: Mapping[str, Transform] | None = None, *, privileged: bool = False) -> Encoder:
        """Fit every feature column of the training rows.

        Args:
            table: training rows; never validation or test rows.
            transforms: for columns that should not have their kind's default (`Vocabulary()` for ids,
                `Scaled()` for numbers and vectors).
            privileged: whether the privileged columns are among the features: yes for a teacher, no for a student.

        Raises:
            DataError: the table is empty or has no features, or a transform names no feature column.
        """
        features = table.schema.features + (table.schema.privileged_features if privileged else ())
        if not len(table) or not features:
            raise DataError(f"an encoder needs rows and features, got {len(table)} rows, {features=}")
        chosen = dict(transforms or {})
        for name in chosen:
            if name not in features:
                raise DataError(f"no feature column {name!r} to transform, {nearest(name, features)}")
        columns: dict[str, tuple[str, Transform]] = {}
        for name in features:
            kind = table.schema.kind(name)
            transform = chosen.get(name, Vocabulary() if kind in ("categorical", "multi") else Scaled())
            _require_fit(name, kind, transform)
            columns[name] = kind, transform.fit(_items(table.column(name), kind))
        return Encoder(columns)

    def extended(self, table: Table) -> Encoder:
        """The same ids, and new ids after them for a table's values that had none (vocabularies only)."""
        columns = dict(self.columns)
        for name, (kind, transform) in self.columns.items():
            if isinstance(transform, Vocabulary):
                with _named(name):
                    columns[name] = kind, transform.extended(_items(_column(table, name, kind), kind))
        return Encoder(columns)

    def refitted(self, table: Table) -> Encoder:
        """The same transforms with vocabularies of a table's values alone: ids that only other rows had are gone."""
        columns = dict(self.columns)
        for name, (kind, transform) in self.columns.items():
            if isinstance(transform, Vocabulary):
                columns[name] = kind, transform.refitted(_items(_column(table, name, kind), kind))
        return Encoder(columns)

    def ids_in(self, other: Encoder) -> list[np.ndarray[Any, np.dtype[np.int64]]]:
        """Where another encoder keeps the values of this one.

        Returns:
            Per id feature, in the spec's order, (rows,) the other's id of each id's value; 0 where it has none.

        Raises:
            DataError: the encoders differ in more than their vocabularies.
        """
        found = []
        for name, rows in (*self.spec.categorical, *self.spec.multi):
            transform, theirs = self.columns[name][1], other.columns.get(name, ("", None))[1]
            if isinstance(transform, Vocabulary) and isinstance(theirs, Vocabulary):
                with _named(name):
                    found.append(np.append(0, theirs.encode(transform.values)).astype(np.int64))
            elif theirs is not None and _json_state(transform) == _json_state(theirs):
                found.append(np.arange(rows))
            else:
                raise DataError(f"encoders must differ in vocabularies only, got another transform for {name!r}")
        return found

    def encode(self, table: Table) -> Batch:
        """All rows of a table, in its order.

        Raises:
            DataError: a column is missing or of another type, or an encoded id or number is out of bounds.
        """
        from recdistill.batch import Batch  # torch takes seconds to import, and preparing needs none of it

        batch = Batch.of(inputs(self.spec, {name: self.coded(table, name) for name in self.columns}, len(table)))
        batch.check(self.spec)
        return batch

    def coverage(self, table: Table) -> dict[str, dict[str, float]]:
        """How much of a table this encoder has seen, per id column.

        Returns:
            Per column the share of values ("rows") and of distinct values ("values") with an id of their own.
        """
        shares: dict[str, dict[str, float]] = {}
        for name, (kind, transform) in self.columns.items():
            if isinstance(transform, Vocabulary):
                items = _items(_column(table, name, kind), kind)
                with _named(name):
                    shares[name] = {"rows": _seen(transform, items), "values": _seen(transform, pc.unique(items))}
        return shares

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of every fitted value."""
        return fingerprint_of((name, kind, transform) for name, (kind, transform) in self.columns.items())

    def save(self, folder: Path) -> None:
        """Write `encoder.json` and one Parquet file per vocabulary into an existing folder."""
        columns = []
        for position, (name, (kind, transform)) in enumerate(self.columns.items()):
            settings, values = state(transform)
            file = None if values is None else f"vocabulary-{position}.parquet"
            if values is not None:
                pq.write_table(pa.table({"value": values}), folder / str(file), compression="zstd")
            columns.append({"name": name, "kind": kind, "transform": settings, "vocabulary": file})
        write_json(folder / "encoder.json", {"format": 1, "columns": columns})

    @staticmethod
    def load(folder: Path) -> Encoder:
        """The reverse of `save`.

        Raises:
            DataError: a file is missing or names a transform or kind that is not known.
        """
        stored = read_json(folder / "encoder.json")
        if stored.get("format") != 1:
            raise DataError(f"{folder / 'encoder.json'} must be of format 1, got {stored.get('format')!r}")
        columns = {}
        for entry in stored["columns"]:
            if entry["kind"] not in FEATURE_KINDS:
                raise DataError(f"unknown feature kind {entry['kind']!r} in {folder / 'encoder.json'}")
            file = entry["vocabulary"]
            values = None if file is None else _vocabulary(folder / Path(file).name)
            columns[entry["name"]] = entry["kind"], restore(entry["transform"], values)
        return Encoder(columns)

    def coded(self, table: Table, name: str) -> np.ndarray[Any, Any]:
        """One feature of all rows: (rows,) or (rows, longest) int32 ids, or (rows, dim) float32.

        Raises:
            DataError: the column is missing or of another type.
        """
        kind, transform = self.columns[name]
        column = _column(table, name, kind)
        with _named(name):
            if kind == "multi":
                lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
                return padded(lengths, transform.encode(_items(column, kind)))
            return transform.encode(column)


@contextlib.contextmanager
def _named(name: str) -> Iterator[None]:
    try:
        yield
    except DataError as error:
        raise DataError(f"column {name!r}: {error}") from None


def _column(table: Table, name: str, kind: str) -> pa.Array:
    if name not in getattr(table.schema, kind):  # then the table has not checked that its type is one of this kind
        roles: dict[str, Any] = {kind: (name,)}
        table = table.with_schema(Schema(row_id=table.schema.row_id, **roles))
    return table.column(name)


def _vocabulary(path: Path) -> pa.Array:
    try:
        return pq.ParquetFile(path).read()["value"].combine_chunks()
    except FileNotFoundError:
        raise DataError(f"{path} does not exist") from None


def _require_fit(name: str, kind: str, transform: Transform) -> None:
    ids = isinstance(transform, Vocabulary | Hashing)
    allowed = {"categorical": ids, "multi": ids, "number": not ids, "vector": isinstance(transform, Scaled)}
    if not allowed[kind]:
        raise DataError(f"a {kind} column cannot use {type(transform).__name__}, got it for {name!r}")


def _items(column: pa.Array, kind: str) -> pa.Array:
    return pc.list_flatten(column) if kind == "multi" else column


def _seen(vocabulary: Vocabulary, items: pa.Array) -> float:
    return float((vocabulary.encode(items) != UNSEEN).mean()) if len(items) else 1.0


def _json_state(transform: Transform) -> tuple[dict[str, Any], list[Any] | None]:
    settings, values = state(transform)
    return settings, None if values is None else values.to_pylist()
