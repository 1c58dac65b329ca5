"""Numbers, labels and row ids, from text or from numbers of another type."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recdistill.columns import as_arrow, as_numpy
from recdistill.errors import DataError
from recdistill.readers.rows import Column

NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|^[+-]?(?i:nan|inf|infinity)$"
YES, NO = ["1", "1.0", "true"], ["0", "0.0", "false"]


def numbers(column: Column) -> pa.Array:
    """Finite float64."""
    values = _parsed(column) if is_text(column.values) else as_type(column, pa.float64(), "numbers")
    column.refuse(pc.invert(pc.is_finite(values)), "numbers must be finite (leave a missing one empty)")
    return values


def ratings(column: Column, grades: Sequence[float]) -> pa.Array:
    """Finite float64, each a grade where there are some."""
    values = numbers(column)
    if grades:
        known = pc.or_kleene(pc.is_in(values, pa.array(grades, pa.float64())), values.is_null())
        column.refuse(pc.invert(known), f"ratings must be among the grades {list(grades)}")
    return values


def labels(column: Column) -> pa.Array:
    """0 and 1 as int8."""
    rule = "a label must be 0 or 1, true or false, or missing"
    if is_text(column.values):
        coded = column.values.dictionary_encode()
        texts = pc.utf8_lower(pc.utf8_trim_whitespace(coded.dictionary)).to_pylist()
        chosen = (np.array([text in some for text in texts], np.bool_) for some in (YES, NO))
        yes, no = (as_arrow(some).take(coded.indices) for some in chosen)
    else:
        values = as_numpy(as_type(column, pa.float64(), "labels (0 or 1)"), missing=np.nan)
        yes, no = as_arrow(values == 1), as_arrow(values == 0)
    present = column.values.is_valid()
    column.refuse(pc.and_(present, pc.invert(pc.or_(yes, no))), rule)
    return pc.if_else(present, yes.cast(pa.int8()), pa.nulls(len(yes), pa.int8()))


def row_ids(column: Column) -> pa.Array:
    """Whole numbers as int64."""
    rule = "row ids must be whole numbers below 2^63 (leave the role out to number rows by position)"
    column.refuse(column.values.is_null(), rule)
    if not is_text(column.values):
        return as_type(column, pa.int64(), "row ids (whole numbers)")
    if are_short_digits(column.values):
        return column.values.cast(pa.int64())
    column = column.refuse(pc.invert(pc.match_substring_regex(digits(column.values), r"^-?\d+$")), rule)
    return from_text(column, pa.int64(), rule)


def digits(text: pa.Array) -> pa.Array:
    """Numbers in text without spaces and a plus, which Arrow takes for no part of a whole number."""
    return pc.replace_substring_regex(pc.utf8_trim_whitespace(text), r"^\+", "")


def are_short_digits(text: pa.Array) -> bool:
    """Whether every value is written in up to 18 decimal digits and nothing else; quick to say."""
    longest = pc.max(pc.binary_length(text)).as_py()
    return longest is not None and longest <= 18 and bool(pc.all(pc.ascii_is_decimal(text)).as_py())


def from_text(column: Column, kind: pa.DataType, rule: str) -> pa.Array:
    """Text of a column as another type; a value that is not of it breaks the rule."""
    text = digits(column.values)
    try:
        return text.cast(kind)
    except pa.ArrowInvalid:
        column = column.refuse(pa.array(~_castable(text, kind)), rule)
        return digits(column.values).cast(kind)


def as_type(column: Column, kind: pa.DataType, words: str) -> pa.Array:
    """A column's values in another type that holds them all.

    Raises:
        DataError: it does not, or the column is of a wholly different type.
    """
    try:
        return column.values.cast(kind, safe=not pa.types.is_floating(kind))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise wrong_type(column, words) from None


def wrong_type(column: Column, words: str) -> DataError:
    """The error that a column is of another type than its role wants."""
    return DataError(f"{column.rows.path}, column {column.own_name!r} must hold {words}, got {column.values.type}")


def is_text(values: pa.Array) -> bool:
    """Whether values are text."""
    return bool(pa.types.is_string(values.type) or pa.types.is_large_string(values.type))


def _parsed(column: Column) -> pa.Array:
    text = pc.utf8_trim_whitespace(column.values)
    try:
        return text.cast(pa.float64())
    except pa.ArrowInvalid:
        column = column.refuse(pc.invert(pc.match_substring_regex(text, NUMBER)), "numbers must be numbers")
    try:
        return pc.utf8_trim_whitespace(column.values).cast(pa.float64())
    except pa.ArrowInvalid:
        raise wrong_type(column, "numbers") from None


def _castable(text: pa.Array, kind: pa.DataType) -> np.ndarray:
    """(rows,) whether each value can be cast: all at once, else the halves apart."""
    try:
        text.cast(kind)
    except pa.ArrowInvalid:
        if len(text) == 1:
            return np.array([False])
        half = len(text) // 2
        return np.append(_castable(text[:half], kind), _castable(text[half:], kind))
    return np.ones(len(text), np.bool_)
