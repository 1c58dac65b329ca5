"""Raw rows, as records, Arrow or pandas, to what each feature's column is encoded to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from recdistill.encoder import Encoder
from recdistill.errors import DataError, nearest
from recdistill.features import padded
from recdistill.schema import Schema
from recdistill.tables import Table
from recdistill.transforms import Scaled, Transform, Vocabulary

Array = np.ndarray[Any, Any]
Records = Sequence[Mapping[str, Any]]
Quick = Callable[[list[Any]], Array | None]


class Rows:
    """Encodes raw rows column by column, by the transforms of training.

    Arrow and pandas go through `Encoder.coded`. So do records, but for ids and numbers of the very type that training
    had: these are looked up one by one, which for few rows is many times faster and gives the same.

    Args:
        encoder: of the student.
    """

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self._quick = {name: _quick(kind, transform) for name, (kind, transform) in encoder.columns.items()}

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that a row must have."""
        return tuple(self.encoder.columns)

    def coded(self, rows: Any, names: Iterable[str]) -> tuple[dict[str, Array], int]:
        """What some columns of rows are encoded to, and how many rows there are.

        Args:
            rows: a pyarrow Table or RecordBatch, a pandas DataFrame, or a sequence of mappings.
            names: of the columns.

        Raises:
            DataError: rows are nothing of that, a column is missing or of another type, or a number is not finite.
        """
        if isinstance(rows, pa.RecordBatch):
            rows = pa.Table.from_batches([rows])
        elif type(rows).__module__.split(".")[0] == "pandas":
            rows = pa.Table.from_pandas(rows, preserve_index=False)
        if isinstance(rows, pa.Table):
            return {name: self._of_arrow(name, _column(rows, name)) for name in names}, len(rows)
        if not isinstance(rows, Sequence) or not all(type(row) is dict or isinstance(row, Mapping) for row in rows):
            rule = "rows are a pyarrow Table or RecordBatch, a pandas DataFrame, or a list of dicts"
            raise DataError(f"{rule}, got {type(rows).__name__}")
        return {name: self._of_records(name, rows) for name in names}, len(rows)

    def _of_records(self, name: str, rows: Records) -> Array:
        try:
            values = [row[name] for row in rows]
        except KeyError:
            first = next(row for row in rows if name not in row)
            raise DataError(f"column {name!r} is missing in a row, {nearest(name, map(str, first))}") from None
        if (found := self._quick[name](values)) is not None:
            return found
        try:
            return self._of_arrow(name, pa.array(values))
        except pa.ArrowException as error:
            raise DataError(f"column {name!r} must hold values of one kind, got {error}") from None

    def _of_arrow(self, name: str, column: pa.Array | pa.ChunkedArray) -> Array:
        kind, transform = self.encoder.columns[name]
        if pa.types.is_null(column.type) or _holds_nothing(column.type):
            column = column.cast(_type(kind, transform))
        roles: dict[str, Any] = {kind: (name,)}
        return self.encoder.coded(Table(pa.table({name: column}), Schema(**roles)), name)


def _column(rows: pa.Table, name: str) -> pa.ChunkedArray:
    if name not in rows.column_names:
        raise DataError(f"column {name!r} is missing, {nearest(name, rows.column_names)}")
    return rows.column(name)


def _holds_nothing(kind: pa.DataType) -> bool:
    """Whether a type is that of lists without any item."""
    return bool(pa.types.is_list(kind) and pa.types.is_null(kind.value_type))


def _type(kind: str, transform: Transform) -> pa.DataType:
    """What a column without any value is a column of."""
    if kind in ("number", "vector"):
        return pa.float64() if kind == "number" else pa.list_(pa.float64())
    of = transform.values.type if isinstance(transform, Vocabulary) else pa.large_string()
    return pa.list_(of) if kind == "multi" else of


def _quick(kind: str, transform: Transform) -> Quick:
    """How values of the types that training had are encoded; None of any others."""
    if isinstance(transform, Vocabulary):
        ids = _Known(transform)
        return ids.of_lists if kind == "multi" else ids.of_values
    if isinstance(transform, Scaled) and kind == "number":
        return _Numbers(transform)
    return lambda values: None


class _Known:
    """Ids by value.

    Args:
        vocabulary: fitted.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.kind = int if pa.types.is_integer(vocabulary.values.type) else str
        self.place = {value: place for place, value in enumerate(vocabulary.values.to_pylist(), start=1)}

    def of_values(self, values: list[Any]) -> Array | None:
        """(rows,) int32."""
        kind, place = self.kind, self.place.get
        if any(type(value) is not kind and value is not None for value in values):
            return None
        return np.array([place(value, 0) for value in values], np.int32)

    def of_lists(self, values: list[Any]) -> Array | None:
        """(rows, longest) int32."""
        if not all(value is None or type(value) in (list, tuple) for value in values):
            return None
        ids = self.of_values([item for value in values for item in value or ()])
        return None if ids is None else padded(np.array([len(value or ()) for value in values], np.int64), ids)


class _Numbers:
    """Scaled numbers.

    Args:
        transform: fitted.
    """

    def __init__(self, transform: Scaled) -> None:
        self.transform = transform

    def __call__(self, values: list[Any]) -> Array | None:
        """(rows, 1) float32."""
        if any(type(value) not in (float, int) and value is not None for value in values):
            return None
        missing = np.array([value is None for value in values])
        numbers = np.array([0.0 if value is None else value for value in values], np.float64)[:, None]
        return self.transform.scaled(numbers, missing) if np.isfinite(numbers).all() else None
