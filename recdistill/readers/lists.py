"""Lists of ids, and vectors."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

from recdistill.columns import is_list
from recdistill.readers.kinds import Writing
from recdistill.readers.numbers import NUMBER, as_type, is_text, wrong_type
from recdistill.readers.rows import Column


def lists(column: Column, separator: str) -> pa.Array:
    """Lists of ids as text; empty text is a missing list, empty parts are dropped."""
    values = column.values
    if is_text(values):
        mark = re.escape(separator)
        joined = pc.replace_substring_regex(values, rf"\s*{mark}\s*({mark}\s*)*", separator)
        trimmed = pc.utf8_trim(pc.utf8_trim_whitespace(joined), separator)
        values = pc.split_pattern(pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, trimmed.type), trimmed), separator)
    if not is_list(values.type):
        raise wrong_type(column, "lists of ids")
    try:
        return values.cast(pa.list_(pa.large_string()))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise wrong_type(column, "lists of ids") from None


def vectors(column: Column, writing: Writing) -> pa.Array:
    """Lists of float64, all of one length; in text, brackets around them are ignored."""
    column.refuse(column.values.is_null(), "vectors must not be missing")
    if is_text(column.values):
        values = _numbers_in(column, writing.settings.separator(column.name))
    elif is_list(column.values.type):
        values = as_type(column, pa.list_(pa.float64()), "lists of numbers")
    else:
        raise wrong_type(column, "lists of numbers")
    lengths = pc.list_value_length(values)
    length = writing.decided(column.name, lambda: _usual(lengths))
    if length is not None:
        column.refuse(pc.not_equal(lengths, length), f"vectors must have {length} numbers, as the others have")
    finite = pc.fill_null(pc.is_finite(pc.list_flatten(values)), False)
    column.refuse(_any_in_row(pc.invert(finite), values), "vectors must be finite")
    return values


def _numbers_in(column: Column, separator: str) -> pa.Array:
    parts, texts = _parts(column, separator)
    wrong = pc.invert(pc.match_substring_regex(texts, NUMBER))
    parts, texts = _parts(
        column.refuse(_any_in_row(wrong, parts), f"vectors must be numbers separated by {separator!r}"), separator
    )
    return pa.ListArray.from_arrays(parts.offsets, texts.cast(pa.float64()), mask=parts.is_null())


def _parts(column: Column, separator: str) -> tuple[pa.Array, pa.Array]:
    """The texts between separators, as lists and one after another."""
    parts = pc.split_pattern(pc.utf8_trim(column.values, "[] "), separator)
    return parts, pc.utf8_trim_whitespace(pc.list_flatten(parts))


def _usual(lengths: pa.Array) -> int | None:
    """The most frequent length, the first of several."""
    counts = pc.value_counts(lengths.drop_null())
    if not len(counts):
        return None
    most = pc.index(counts.field("counts"), pc.max(counts.field("counts"))).as_py()
    return int(counts.field("values")[most].as_py())


def _any_in_row(wrong: pa.Array, lists: pa.Array) -> pa.Array:
    """(rows,) whether any item of a row's list is wrong."""
    rows = pc.unique(pc.list_parent_indices(lists).filter(wrong))
    return pc.is_in(pa.array(range(len(lists)), rows.type), rows)
