"""Columns that are known only after the answer, by where they are filled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from recdistill.draft.roles import Guess
from recdistill.inspection import filled_after
from recdistill.readers import Rows

LEAK = "filled only where the label is 1: known after the click"


def without_leaks(rows: Rows, guesses: Mapping[str, Guess], label: str | None) -> dict[str, Guess]:
    """The guesses of a file with the columns left out that only rows with the label 1 have."""
    if label is None:
        return dict(guesses)
    clicked = _is_one(rows.column(label).values)
    return {
        name: replace(one, role="", why=LEAK)
        if one.role in ("number", "categorical") and filled_after(rows.column(name).values, clicked)
        else one
        for name, one in guesses.items()
    }


def _is_one(label: pa.Array) -> pa.Array:
    """(rows,) whether each label of 0 and 1, or false and true, is 1."""
    return pc.match_substring_regex(label.cast(pa.string()), r"(?i)^\s*(\+?1(\.0*)?|true)\s*$")
