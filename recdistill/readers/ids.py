"""Ids as text, whatever the file: `007` stays `007`, and the integer 7 meets the text `7`."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from recdistill.columns import is_list
from recdistill.readers.kinds import POINTED, Writing
from recdistill.readers.lists import lists
from recdistill.readers.numbers import wrong_type
from recdistill.readers.rows import Column

LIKE_POINTED = r"^-?\d+\.0+$"


def ids(column: Column, writing: Writing) -> pa.Array:
    """Text; each different id is looked at once."""
    if is_list(column.values.type):
        return lists(column, "")
    if pa.types.is_floating(column.values.type):
        column = _whole(column)
    coded = _coded(column)
    if writing.decided(column.name, lambda: POINTED if _are_pointed(coded.dictionary) else None):
        wrong = pc.invert(pc.match_substring_regex(coded.dictionary, LIKE_POINTED))
        column.refuse(wrong.take(coded.indices), "ids must all be written like 7.0, as the first are")
        coded = _without_points(coded)
    return coded if writing.coded else coded.dictionary.take(coded.indices)


def _whole(column: Column) -> Column:
    """Whole numbers, which are floats where pandas met a missing value, as integers."""
    values = column.values
    whole = pc.and_(pc.equal(values, pc.floor(values)), pc.less(pc.abs(values), 2.0**63))
    column = column.refuse(pc.invert(whole), "ids must be text or whole numbers below 2^63")
    return Column(column.rows, column.name, column.values.cast(pa.int64()))


def _coded(column: Column) -> pa.DictionaryArray:
    """A column as the different ids in the order of their first rows, and which of them each row has."""
    values = column.values
    try:
        if pa.types.is_dictionary(values.type):  # it may name ids that no row has
            values = values.cast(values.type.value_type)
        coded = values.dictionary_encode()
        return pa.DictionaryArray.from_arrays(coded.indices, coded.dictionary.cast(pa.large_string()))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise wrong_type(column, "ids (text or whole numbers)") from None


def _without_points(coded: pa.DictionaryArray) -> pa.DictionaryArray:
    names = pc.replace_substring_regex(coded.dictionary, r"\.0+$", "").dictionary_encode()  # 7.0 and 7.00 are one
    return pa.DictionaryArray.from_arrays(names.indices.take(coded.indices), names.dictionary)


def _are_pointed(names: pa.Array) -> bool:
    """Whether every id is written like `7.0`, as pandas does where it met a missing value."""
    first, rest = (pc.all(pc.match_substring_regex(some, LIKE_POINTED)) for some in (names[:1], names))
    return bool(first.as_py() and rest.as_py())
