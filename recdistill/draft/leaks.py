"""Columns that are known only after the answer, by where they are filled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from recdistill.draft.roles import Guess
from recdistill.readers import Rows

LEAK = "filled only where the label is 1: known after the click"
CHANCE = 0.001  # that a column is filled there alone without knowing the label


def without_leaks(rows: Rows, guesses: Mapping[str, Guess], label: str | None) -> dict[str, Guess]:
    """The guesses of a file with the columns left out that only rows with the label 1 have."""
    if label is None:
        return dict(guesses)
    clicked = _is_one(rows.column(label).values)
    return {
        name: replace(one, role="", why=LEAK)
        if one.role in ("number", "categorical") and _is_leak(rows.column(name).values, clicked)
        else one
        for name, one in guesses.items()
    }


def _is_leak(column: pa.Array, clicked: pa.Array) -> bool:
    """Whether a column is missing, or of one value, where there was no click, and not where there was one.

    Args:
        column: (rows,) values.
        clicked: (rows,) whether the label is 1; missing where there is no label.
    """
    column = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
    empty = pc.unique(column.filter(pc.invert(clicked))).drop_null()
    if len(empty) > 1:
        return False
    filled = pc.and_(pc.is_valid(column), pc.invert(pc.is_in(column, empty)))
    rows = pc.sum(pc.and_(filled, pc.is_valid(clicked))).as_py() or 0
    return bool(pc.mean(clicked).as_py() ** rows < CHANCE)


def _is_one(label: pa.Array) -> pa.Array:
    """(rows,) whether each label of 0 and 1, or false and true, is 1."""
    return pc.match_substring_regex(label.cast(pa.string()), r"(?i)^\s*(\+?1(\.0*)?|true)\s*$")
