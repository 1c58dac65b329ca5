"""What a column must hold, by its role, and the hash of what it holds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recdistill.errors import DataError
from recdistill.schema import Schema


def validated(arrow: pa.Table, schema: Schema) -> pa.Table:
    """A table's columns after every rule of their roles; row ids as int64, labels as int8.

    Raises:
        DataError: names the column, the rule and what arrived.
    """
    arrow = _with_row_ids(arrow, schema.row_id)
    for name in schema.categorical:
        _require(name, arrow, _is_id, "strings or integers")
    for name in schema.multi:
        _require(name, arrow, lambda t: is_list(t) and _is_id(t.value_type), "lists of strings or integers")
    for name in schema.number:
        _require(name, arrow, _is_number, "numbers")
        _require_finite(name, arrow.column(name))
    for name in schema.vector:
        _require(name, arrow, lambda t: is_list(t) and _is_number(t.value_type), "lists of numbers")
        _require_vectors(name, arrow.column(name))
    for role in (schema.user, schema.item, schema.time):
        if role is not None and (missing := arrow.column(role).null_count):
            raise DataError(f"users, items and times must not be missing, got {missing} missing in {role!r}")
    if schema.time is not None:
        _require(schema.time, arrow, lambda t: _is_number(t) or pa.types.is_temporal(t), "numbers or times")
    if schema.label is not None:
        arrow = _with_labels(arrow, schema.label)
    for answer in (schema.rating, schema.truth, schema.score):
        if answer is not None:
            _require(answer, arrow, _is_number, "numbers")
            _require_finite(answer, arrow.column(answer))
    if schema.grades:
        _require_grades(str(schema.rating), arrow.column(schema.rating), schema.grades)
    return arrow


def missing(kind: str, rows: int) -> pa.Array:
    """A column without any value, for a privileged feature that a table lacks.

    Raises:
        DataError: vectors cannot be missing.
    """
    if kind == "vector":
        raise DataError("a privileged vector column must be in every table, since vectors cannot be missing")
    types = {"categorical": pa.large_string(), "multi": pa.list_(pa.large_string()), "number": pa.float64()}
    return pa.nulls(rows, types[kind])


def _with_row_ids(arrow: pa.Table, name: str) -> pa.Table:
    _require(name, arrow, pa.types.is_integer, "integers")
    ids = arrow.column(name)
    if ids.null_count:
        raise DataError(f"row ids must not be missing, got {ids.null_count} missing in {name!r}")
    if twice := len(ids) - pc.count_distinct(ids).as_py():
        raise DataError(f"row ids must be unique, got {twice} repeated in {name!r}")
    try:
        return arrow.set_column(arrow.column_names.index(name), name, ids.cast(pa.int64()))
    except pa.ArrowInvalid:
        raise DataError(f"row ids must be below 2^63, got larger ones in {name!r}") from None


def _with_labels(arrow: pa.Table, name: str) -> pa.Table:
    _require(name, arrow, lambda t: _is_number(t) or pa.types.is_boolean(t), "0 or 1")
    labels = arrow.column(name)
    values = labels.cast(pa.float64(), safe=False) if not pa.types.is_boolean(labels.type) else labels.cast(pa.int8())
    wrong = [value for value in pc.unique(values).drop_null().to_pylist() if value not in (0, 1)]
    if wrong:
        raise DataError(f"labels must be 0 or 1 (or missing), got {wrong[:5]} in {name!r}")
    return arrow.set_column(arrow.column_names.index(name), name, values.cast(pa.int8()))


def _require_grades(name: str, column: pa.ChunkedArray, grades: Sequence[float]) -> None:
    known = set(grades)
    wrong = [value for value in pc.unique(column).drop_null().to_pylist() if value not in known]
    if wrong:
        raise DataError(f"ratings must be among the grades {list(grades)}, got {wrong[:5]} in {name!r}")


def _require(name: str, arrow: pa.Table, rule: Any, words: str) -> None:
    kind = arrow.column(name).type
    if not rule(kind):
        raise DataError(f"column {name!r} must hold {words}, got {kind}")


def _require_finite(name: str, column: pa.ChunkedArray) -> None:
    if wrong := int(pc.sum(pc.invert(pc.is_finite(column.cast(pa.float64(), safe=False)))).as_py() or 0):
        raise DataError(f"numbers must be finite, got {wrong} NaN or infinite values in {name!r}")


def _require_vectors(name: str, column: pa.ChunkedArray) -> None:
    if column.null_count:
        raise DataError(f"vectors must not be missing, got {column.null_count} missing in {name!r}")
    lengths = pc.unique(pc.list_value_length(column)).to_pylist()
    if len(lengths) > 1:
        raise DataError(f"vectors of a column must have one length, got {sorted(lengths)[:5]} in {name!r}")
    items = pc.list_flatten(column)
    if items.null_count:
        raise DataError(f"vectors must hold numbers only, got {items.null_count} missing in {name!r}")
    _require_finite(name, items)


def is_list(kind: pa.DataType) -> bool:
    """Whether a type holds lists, of whatever kind."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _is_id(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_id(kind.value_type)
    return bool(pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def hashed(arrow: pa.Table, schema: Schema, names: Iterable[str]) -> str:
    """sha256 over a schema and columns' values; independent of chunks, dictionaries and files."""
    total = hashlib.sha256(repr(sorted(schema.without(*schema.privileged).to_dict().items())).encode())
    for name in names:
        total.update(name.encode())
        _update(total, single(arrow, name))
    return total.hexdigest()


def single(arrow: pa.Table, name: str) -> pa.Array:
    """One column as a single array."""
    chunks = arrow.column(name).combine_chunks()
    return chunks.combine_chunks() if isinstance(chunks, pa.ChunkedArray) else chunks


def decoded(column: pa.Array) -> pa.Array:
    """A column without a dictionary."""
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def as_arrow(values: np.ndarray[Any, Any]) -> pa.Array:
    """(rows,) numbers or truth values of numpy as Arrow's; numbers are not copied.

    Unlike `pa.array` it does not import pandas to see whether they are pandas': a fourth of a second at the first call.
    """
    kind, values = pa.from_numpy_dtype(values.dtype), np.ascontiguousarray(values)
    held = np.packbits(values, bitorder="little") if values.dtype == np.bool_ else values
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(held)])


def as_numpy(column: pa.Array, missing: float = 0) -> np.ndarray[Any, Any]:
    """(rows,) numbers or truth values of Arrow as numpy's; without missing ones numbers are not copied.

    Unlike `to_numpy` it does not import pandas either, see `as_arrow`.

    Args:
        column: (rows,) numbers or truth values.
        missing: what stands for a missing one.
    """
    start, stop = column.offset, column.offset + len(column)
    held = column.buffers()[1] or b""
    if pa.types.is_boolean(column.type):
        values = np.unpackbits(np.frombuffer(held, np.uint8), count=stop, bitorder="little").view(np.bool_)[start:]
    else:
        values = np.frombuffer(held, column.type.to_pandas_dtype())[start:stop]
    return np.where(as_numpy(column.is_valid()), values, values.dtype.type(missing)) if column.null_count else values


def _update(total: Any, column: pa.Array) -> None:
    """Feed a column's values to a hash: missing flags, then values; lists as lengths, then items."""
    total.update(np.packbits(column.is_null().to_numpy(zero_copy_only=False)).tobytes())
    column = decoded(column)
    if pa.types.is_timestamp(column.type) and column.type.unit == "s":  # Parquet gives milliseconds back
        column = column.cast(pa.timestamp("ms", column.type.tz))
    if is_list(column.type):
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
