"""Columns as their roles want them: text is parsed, other types are checked, and a wrong value is named with its place.

Ids are text, whatever the file: `007` stays `007`, and the integer 7 of a Parquet file meets the `7` of a CSV file.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from recdistill.columns import is_list
from recdistill.errors import DataError
from recdistill.readers.delimited import CsvSettings
from recdistill.readers.rows import Column, Rows
from recdistill.schema import Schema

NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|^[+-]?(?i:nan|inf|infinity)$"
ZONE = r":.*(Z|[+-]\d\d:?(\d\d)?)$"
YES, NO = ["1", "1.0", "true"], ["0", "0.0", "false"]


def typed(rows: Rows, schema: Schema, settings: CsvSettings) -> pa.Table:
    """The columns that a schema names and the file has, each as its role wants it.

    Ids become text, numbers float64, labels int8, times integers, numbers or timestamps; lists are split from text.

    Raises:
        DataError: a value is not what its role wants: names the file, the line or row, the column and the value.
    """
    names = [name for name in schema.columns if name in rows.arrow.column_names]
    made = {name: _converter(name, schema, settings)(rows.column(name)) for name in names}
    for name in (schema.user, schema.item, schema.time):
        if name in made:
            column = rows.column(name)
            column.refuse(column.values.is_null(), "users, items and times must not be missing")
    return pa.table(made)


def _converter(name: str, schema: Schema, settings: CsvSettings) -> Callable[[Column], pa.Array]:
    """What makes a column what its role wants."""
    if name == schema.label:
        return _labels
    if name == schema.row_id:
        return _row_ids
    if name in schema.vector:
        return lambda column: _vectors(column, settings.separator(name))
    if name in schema.multi or (name == schema.domain and name in settings.separators):
        return lambda column: _lists(column, settings.separator(name))
    if name in (*schema.number, schema.rating, schema.truth, schema.score):
        return _numbers
    if name == schema.time and name not in schema.categorical:
        return _times
    return _ids


def _ids(column: Column) -> pa.Array:
    values = column.values
    if is_list(values.type):
        return _lists(column, "")
    if pa.types.is_floating(values.type):  # whole numbers, where pandas met a missing value
        whole = pc.and_(pc.equal(values, pc.floor(values)), pc.less(pc.abs(values), 2.0**63))
        column.refuse(pc.invert(whole), "ids must be text or whole numbers below 2^63")
        values = values.cast(pa.int64())
    try:
        return _without_points(values.cast(pa.large_string()))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise _wrong_type(column, "ids (text or whole numbers)") from None


def _without_points(ids: pa.Array) -> pa.Array:
    """`7.0` is the id 7 where every id is written so, as pandas does where it met a missing value."""
    pointed = pc.all(pc.match_substring_regex(ids, r"^-?\d+\.0+$")).as_py()
    return pc.replace_substring_regex(ids, r"\.0+$", "") if pointed else ids


def _numbers(column: Column) -> pa.Array:
    values = _parsed(column, pa.float64()) if _is_text(column.values) else _cast(column, pa.float64(), "numbers")
    column.refuse(pc.invert(pc.is_finite(values)), "numbers must be finite (leave a missing one empty)")
    return values


def _labels(column: Column) -> pa.Array:
    rule = "a label must be 0 or 1, true or false, or missing"
    if _is_text(column.values):
        text = pc.utf8_lower(pc.utf8_trim_whitespace(column.values))
        yes, no = pc.is_in(text, pa.array(YES, text.type)), pc.is_in(text, pa.array(NO, text.type))
    else:
        values = _cast(column, pa.float64(), "labels (0 or 1)")
        yes, no = pc.equal(values, 1), pc.equal(values, 0)
    present = column.values.is_valid()
    column.refuse(pc.and_(present, pc.invert(pc.or_(yes, no))), rule)
    return pc.if_else(present, yes.cast(pa.int8()), pa.scalar(None, pa.int8()))


def _times(column: Column) -> pa.Array:
    values = column.values
    if pa.types.is_temporal(values.type):
        return values
    if not _is_text(values):
        return _numbers(column) if pa.types.is_floating(values.type) else _cast(column, pa.int64(), "times")
    text, rule = _digits(values), "times must all be numbers, or all ISO 8601 (2024-05-31 13:00:00)"
    numbers = pc.match_substring_regex(text, NUMBER)
    if pc.first(numbers).as_py():  # the first time says which
        column.refuse(pc.invert(numbers), rule)
        whole = pc.all(pc.match_substring_regex(text, r"^-?\d{1,18}$")).as_py()
        return text.cast(pa.int64()) if whole else _numbers(column)
    kind = pa.timestamp("us", "UTC" if pc.first(pc.match_substring_regex(text, ZONE)).as_py() else None)
    return _cast_text(column, text, kind, f"{rule}, with a time zone each or none")


def _row_ids(column: Column) -> pa.Array:
    rule = "row ids must be whole numbers below 2^63 (leave the role out to number rows by position)"
    column.refuse(column.values.is_null(), rule)
    if _is_text(column.values):
        text = _digits(column.values)
        column.refuse(pc.invert(pc.match_substring_regex(text, r"^-?\d+$")), rule)
        return _cast_text(column, text, pa.int64(), rule)
    return _cast(column, pa.int64(), "row ids (whole numbers)")


def _lists(column: Column, separator: str) -> pa.Array:
    """Lists of ids as text; empty text is a missing list, empty parts are dropped."""
    values = column.values
    if _is_text(values):
        mark = re.escape(separator)
        joined = pc.replace_substring_regex(values, rf"\s*{mark}\s*({mark}\s*)*", separator)
        values = pc.split_pattern(pc.utf8_trim(pc.utf8_trim_whitespace(joined), separator), separator)
    if not is_list(values.type):
        raise _wrong_type(column, "lists of ids")
    try:
        return values.cast(pa.list_(pa.large_string()))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise _wrong_type(column, "lists of ids") from None


def _vectors(column: Column, separator: str) -> pa.Array:
    """Lists of float64, all of one length; in text, brackets around them are ignored."""
    values = column.values
    column.refuse(values.is_null(), "vectors must not be missing")
    if _is_text(values):
        parts = pc.split_pattern(pc.utf8_trim(values, "[] "), separator)
        texts = pc.utf8_trim_whitespace(pc.list_flatten(parts))
        wrong = pc.invert(pc.match_substring_regex(texts, NUMBER))
        column.refuse(_any_in_row(wrong, parts), f"vectors must be numbers separated by {separator!r}")
        values = pa.ListArray.from_arrays(parts.offsets, texts.cast(pa.float64()))
    if not is_list(values.type):
        raise _wrong_type(column, "lists of numbers")
    values = _cast(Column(column.rows, column.name, values), pa.list_(pa.float64()), "lists of numbers")
    lengths = pc.list_value_length(values)
    column.refuse(pc.not_equal(lengths, lengths[0]), f"vectors must have as many numbers as the first, {lengths[0]}")
    flat = pc.list_flatten(values)
    column.refuse(_any_in_row(pc.invert(pc.fill_null(pc.is_finite(flat), False)), values), "vectors must be finite")
    return values


def _any_in_row(wrong: pa.Array, lists: pa.Array) -> pa.Array:
    """(rows,) whether any item of a row's list is wrong."""
    rows = pc.unique(pc.list_parent_indices(lists).filter(wrong))
    return pc.is_in(pa.array(range(len(lists)), rows.type), rows)


def _digits(text: pa.Array) -> pa.Array:
    """Numbers in text without spaces and a plus, which Arrow takes for no part of a whole number."""
    return pc.replace_substring_regex(pc.utf8_trim_whitespace(text), r"^\+", "")


def _cast_text(column: Column, text: pa.Array, kind: pa.DataType, rule: str) -> pa.Array:
    """Text of a column as another type; the first that is not of it breaks the rule."""
    try:
        return text.cast(kind)
    except pa.ArrowInvalid:
        column.refuse(pa.array([value is not None and not _casts(value, kind) for value in text.to_pylist()]), rule)
        raise _wrong_type(column, str(kind)) from None


def _parsed(column: Column, kind: pa.DataType) -> pa.Array:
    text = pc.utf8_trim_whitespace(column.values)
    try:
        return text.cast(kind)
    except pa.ArrowInvalid:
        column.refuse(pc.invert(pc.match_substring_regex(text, NUMBER)), "numbers must be numbers")
        raise _wrong_type(column, "numbers") from None


def _casts(text: str, kind: pa.DataType) -> bool:
    try:
        pa.scalar(text).cast(kind)
    except pa.ArrowInvalid:
        return False
    return True


def _cast(column: Column, kind: pa.DataType, words: str) -> pa.Array:
    try:
        return column.values.cast(kind, safe=not pa.types.is_floating(kind))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise _wrong_type(column, words) from None


def _wrong_type(column: Column, words: str) -> DataError:
    name = column.rows.own_names.get(column.name, column.name)
    return DataError(f"{column.rows.path}, column {name!r} must hold {words}, got {column.values.type}")


def _is_text(values: pa.Array) -> bool:
    return bool(pa.types.is_string(values.type) or pa.types.is_large_string(values.type))
