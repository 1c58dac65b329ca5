"""Raw rows, as records, Arrow or pandas, to what each feature's column is encoded to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import chain, repeat
from operator import itemgetter
from types import NoneType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recdistill.columns import decoded, is_list, single
from recdistill.encoder import Encoder
from recdistill.errors import DataError, nearest
from recdistill.features import UNSEEN, padded
from recdistill.schema import Schema
from recdistill.tables import Table
from recdistill.transforms import Scaled, Transform, Vocabulary

Array = np.ndarray[Any, Any]
Records = Sequence[Mapping[str, Any]]
Quick = Callable[[Sequence[Any]], Array | None]
NOT_KNOWN = np.int32(UNSEEN).tobytes()
MISHAPS = (pa.ArrowException, OverflowError, TypeError, UnicodeError, ValueError)


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
        """What some columns of rows are encoded to, and how many rows there are; other columns are not looked at.

        Args:
            rows: a pyarrow Table or RecordBatch, a pandas DataFrame, or a sequence of mappings. What pandas writes as
                NaN is missing.
            names: of the columns.

        Raises:
            DataError: rows are nothing of that, a column is missing or of another type, or a number is not finite.
        """
        if isinstance(rows, pa.Table | pa.RecordBatch):
            return {name: self._of_arrow(name, rows.column(_there(name, rows.schema.names))) for name in names}, len(
                rows
            )
        if is_frame(rows):
            columns = list(map(str, rows.columns))
            return {name: self._of_values(name, rows[_there(name, columns)], True) for name in names}, len(rows)
        if not isinstance(rows, Sequence) or not all(issubclass(kind, Mapping) for kind in set(map(type, rows))):
            rule = "rows are a pyarrow Table or RecordBatch, a pandas DataFrame, or a list of dicts"
            raise DataError(f"{rule}, got {type(rows).__name__}")
        values = _columns(rows, tuple(names))
        return {name: self._of_column(name, column) for name, column in values.items()}, len(rows)

    def _of_column(self, name: str, values: Sequence[Any]) -> Array:
        if (found := self._quick[name](values)) is not None:
            return found
        plain = [_plain(value) for value in values]
        found = self._quick[name](plain)
        return self._of_values(name, plain, False) if found is None else found

    def _of_values(self, name: str, values: Any, frame: bool) -> Array:
        try:
            column = pa.array(values, from_pandas=frame)
        except MISHAPS as error:
            raise DataError(f"column {name!r} must hold values of one kind, got {error}") from None
        return self._of_arrow(name, column)

    def _of_arrow(self, name: str, column: pa.Array | pa.ChunkedArray) -> Array:
        kind, transform = self.encoder.columns[name]
        roles: dict[str, Any] = {kind: (name,)}
        try:
            column = _readable(single(pa.table({name: column}), name), kind, transform)
            found = self.encoder.coded(Table(pa.table({name: column}), Schema(**roles)), name)
        except DataError:
            raise
        except MISHAPS as error:
            raise DataError(f"column {name!r} holds what cannot be encoded: {error}") from None
        if found.dtype == np.float32 and not np.isfinite(found).all():
            raise DataError(f"column {name!r}: numbers must be within float32 once they are scaled")
        return found


def _columns(rows: Records, names: Sequence[str]) -> dict[str, Sequence[Any]]:
    """Some columns of records; each record is gone to once."""
    if not rows or len(names) < 2:  # of one name, or none, `itemgetter` makes no tuple
        return {name: [_value(row, name) for row in rows] for name in names}
    try:
        return dict(zip(names, zip(*map(itemgetter(*names), rows), strict=True), strict=True))
    except KeyError:
        return {name: [_value(row, name) for row in rows] for name in names}  # which says what is missing


def _value(row: Mapping[str, Any], name: str) -> Any:
    if name not in row:
        raise DataError(f"column {name!r} is missing in a row, {nearest(name, map(str, row))}")
    return row[name]


def is_frame(rows: Any) -> bool:
    """Whether rows are a pandas DataFrame, or something that was made of one."""
    return any(
        kind.__name__ == "DataFrame" and kind.__module__.split(".")[0] == "pandas" for kind in type(rows).__mro__
    )


def _there(name: str, names: Sequence[str]) -> str:
    if names.count(name) != 1:
        what = "is there several times" if name in names else f"is missing, {nearest(name, names)}"
        raise DataError(f"column {name!r} {what}")
    return name


def _readable(column: pa.Array, kind: str, transform: Transform) -> pa.Array:
    """A column as training would have it: one without any value is of its type, and whole floats are ids."""
    column = decoded(column)
    if column.null_count == len(column) or (is_list(column.type) and pa.types.is_null(column.type.value_type)):
        wanted = _type(kind, transform)
        return column.cast(wanted) if is_list(column.type) and is_list(wanted) else pa.nulls(len(column), wanted)
    if kind == "categorical" and pa.types.is_floating(column.type):  # as pandas has integers where one is missing
        if not pc.all(pc.equal(column, pc.floor(column))).as_py():
            raise DataError(f"ids must be strings or integers, got {column.type}")
        return column.cast(pa.int64())
    return column


def _type(kind: str, transform: Transform) -> pa.DataType:
    """What a column without any value is a column of."""
    if kind in ("number", "vector"):
        return pa.float64() if kind == "number" else pa.list_(pa.float64())
    of = transform.values.type if isinstance(transform, Vocabulary) else pa.large_string()
    return pa.list_(of) if kind == "multi" else of


def _plain(value: Any) -> Any:
    """A value of numpy as Python's, and NaN as missing."""
    value = value.item() if isinstance(value, np.generic) else value
    return None if type(value) is float and value != value else value


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
        self.vocabulary = vocabulary
        self.kind = int if pa.types.is_integer(vocabulary.values.type) else str

    @cached_property
    def bytes_of(self) -> dict[Any, bytes]:
        """Of each value's int32 id; joined, they are the array. Made for the first record: files do without."""
        ids = np.arange(1, len(self.vocabulary.values) + 1, dtype=np.int32).view("V4")  # void of 4 is bytes to Python
        found = dict(zip(self.vocabulary.values.to_pylist(), ids.tolist(), strict=True))
        found[None] = NOT_KNOWN
        return found

    def of_values(self, values: Sequence[Any]) -> Array | None:
        """(rows,) int32."""
        try:
            known = self._all_known(values)
            ids = map(self.bytes_of.get, values, repeat(NOT_KNOWN)) if known is None else known
            found = np.frombuffer(b"".join(ids), np.int32)
        except TypeError:  # there is no telling of lists and the like
            return None
        # Only a string equals a string that is known; True and 1.0 equal 1.
        alike = self.kind is str and known is not None
        return found if alike or set(map(type, values)) <= {self.kind, NoneType} else None

    def _all_known(self, values: Sequence[Any]) -> Sequence[bytes] | None:
        """Their ids, in half the time that asking for one after the other takes; None if one is new."""
        try:
            return itemgetter(*values)(self.bytes_of) if len(values) > 1 else None  # of one it makes no tuple
        except KeyError:
            return None

    def of_lists(self, values: Sequence[Any]) -> Array | None:
        """(rows, longest) int32."""
        if not (kinds := set(map(type, values))) <= {list, tuple, NoneType}:
            return None
        lists = [value or () for value in values] if NoneType in kinds else values
        ids = self.of_values(list(chain.from_iterable(lists)))
        return None if ids is None else padded(np.fromiter(map(len, lists), np.int64, len(lists)), ids)


class _Numbers:
    """Scaled numbers.

    Args:
        transform: fitted.
    """

    def __init__(self, transform: Scaled) -> None:
        self.transform = transform

    def __call__(self, values: Sequence[Any]) -> Array | None:
        """(rows, 1) float32."""
        if not set(map(type, values)) <= {float, int, NoneType}:
            return None
        missing = np.array([value is None for value in values])
        try:
            numbers = np.array([0.0 if value is None else value for value in values], np.float64)[:, None]
        except OverflowError:
            return None
        with np.errstate(over="ignore"):
            found = self.transform.scaled(numbers, missing) if np.isfinite(numbers).all() else None
        return None if found is None or not np.isfinite(found).all() else found
