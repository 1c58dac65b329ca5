"""Times: integers, numbers, or timestamps, and all of a column the same."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from recdistill.readers.kinds import Writing
from recdistill.readers.numbers import (
    NUMBER,
    are_short_digits,
    as_type,
    digits,
    from_text,
    is_text,
    numbers,
    wrong_type,
)
from recdistill.readers.rows import Column

ZONE = r":.*(Z|[+-]\d\d:?(\d\d)?)$"
WHOLE = r"^-?\d{1,18}$"
INTEGERS, NUMBERS, LOCAL, ZONED = "integers", "numbers", "timestamps without a zone", "timestamps with a zone"
TYPES = {INTEGERS: pa.int64(), NUMBERS: pa.float64(), LOCAL: pa.timestamp("us"), ZONED: pa.timestamp("us", "UTC")}
RULE = "times must all be numbers, or all ISO 8601 (2024-05-31 13:00:00)"


def times(column: Column, writing: Writing) -> pa.Array:
    """Times as what most of them are, or earlier ones were."""
    if is_text(column.values):
        return _from_text(column, writing)
    own = _kind_of_type(column.values.type)
    kind = writing.decided(column.name, lambda: own)
    if (kind in (INTEGERS, NUMBERS)) != (own in (INTEGERS, NUMBERS)) or (own == LOCAL) != (kind == LOCAL):
        raise wrong_type(column, f"{kind}, as the first times are")
    if own in (LOCAL, ZONED):
        return as_type(column, TYPES[own], "times").cast(TYPES[own]) if writing.coded else column.values
    if own == NUMBERS and kind == INTEGERS:
        column = column.refuse(pc.not_equal(column.values, pc.floor(column.values)), _like_the_first(INTEGERS))
    return numbers(column) if kind == NUMBERS else as_type(column, pa.int64(), "times")


def _kind_of_type(kind: pa.DataType) -> str:
    if pa.types.is_temporal(kind):
        return ZONED if pa.types.is_timestamp(kind) and kind.tz else LOCAL
    return NUMBERS if pa.types.is_floating(kind) else INTEGERS


def _from_text(column: Column, writing: Writing) -> pa.Array:
    if are_short_digits(column.values):
        kind = writing.decided(column.name, lambda: INTEGERS)
        if kind in (INTEGERS, NUMBERS):
            return column.values.cast(TYPES[kind])
    text = digits(column.values)
    are_numbers = pc.match_substring_regex(text, NUMBER)
    kind = writing.decided(column.name, lambda: _kind_of_text(text, are_numbers))
    if kind is None:  # there is no time
        return pa.nulls(len(text), pa.int64())
    if kind in (LOCAL, ZONED):
        return from_text(column, TYPES[kind], f"{RULE}, with a time zone each or none")
    column = column.refuse(pc.invert(are_numbers), RULE)
    if kind == NUMBERS:
        return numbers(column)
    column = column.refuse(pc.invert(pc.match_substring_regex(text, WHOLE)), _like_the_first(INTEGERS))
    return digits(column.values).cast(pa.int64())


def _kind_of_text(text: pa.Array, are_numbers: pa.Array) -> str | None:
    if (by_number := _mostly(are_numbers)) is None:
        return None
    if by_number:
        whole = pc.match_substring_regex(text.filter(are_numbers), WHOLE)
        return INTEGERS if pc.all(whole).as_py() else NUMBERS
    zoned = pc.match_substring_regex(text.filter(pc.invert(are_numbers)), ZONE)
    return ZONED if _mostly(zoned) else LOCAL


def _mostly(flags: pa.Array) -> bool | None:
    """What most flags are; the first one where both are as many; None where all are missing."""
    yes: Any = pc.sum(flags).as_py()
    if yes is None:
        return None
    no = len(flags) - flags.null_count - yes
    return bool(pc.first(flags).as_py()) if yes == no else bool(yes > no)


def _like_the_first(kind: str) -> str:
    return f"times must be {kind}, as the first are"
