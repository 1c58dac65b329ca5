"""What a column looks like: how many values, how many missing, which kind, some examples."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from recdistill.columns import decoded, is_list
from recdistill.readers import Rows

# Written by other programs where a number is missing.
MARKS = ("NA", "N/A", "NULL", "null", "None", "nan", "NaN", r"\N", "-")
NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
SEPARATORS = ("|", ";", ",", " ")


@dataclass(frozen=True)
class Profile:
    """One column of a file.

    Args:
        name: of the column.
        kind: "flag" (0 and 1), "number", "time", "text", "multi", "vector", "empty", or "other" (no role can use it).
        rows, missing: how many.
        values: the distinct values, numbers in text without spaces around them; of lists their items.
        separator: between the items of a list in text.
        whole: whether the numbers are all whole.
    """

    name: str
    kind: str
    rows: int
    missing: int
    values: pa.Array
    separator: str | None = None
    whole: bool = False

    @property
    def distinct(self) -> int:
        """How many different values."""
        return len(self.values)

    @property
    def unique(self) -> bool:
        """Whether every row has a value of its own."""
        return self.distinct == self.rows

    def words(self) -> str:
        """The facts in one line, with examples."""
        missing = f", {self.missing / self.rows * 100:.0f} % missing" if self.missing else ""
        what = "distinct in its lists" if self.kind in ("multi", "vector") else "distinct"
        examples = ", ".join(map(repr, map(_short, self.values[:3].to_pylist())))
        return f"{self.distinct:,} {what}{missing}{f', e.g. {examples}' if examples else ''}"


def profiles(rows: Rows) -> list[Profile]:
    """A profile of each column of a file."""
    return [profile(name, rows.column(name).values) for name in rows.arrow.column_names]


def profile(name: str, column: pa.Array) -> Profile:
    """What a column looks like."""
    facts = {"name": name, "rows": len(column), "missing": column.null_count}
    if not _is_plain(column.type):
        return Profile(kind="other", values=pa.array([], pa.string()), **facts)
    distinct = _distinct(column)
    if not len(distinct):
        return Profile(kind="empty", values=distinct, **facts)
    if is_list(column.type):
        lengths = pc.unique(pc.list_value_length(column)).to_pylist()
        vector = pa.types.is_floating(distinct.type) and len(lengths) == 1 and not column.null_count
        return Profile(kind="vector" if vector else "multi", values=distinct, **facts)
    if pa.types.is_temporal(distinct.type):
        return Profile(kind="time", values=distinct, **facts)
    if pa.types.is_boolean(distinct.type):
        return Profile(kind="flag" if len(distinct) == 2 else "text", values=distinct.cast(pa.string()), **facts)
    if pa.types.is_string(distinct.type) or pa.types.is_large_string(distinct.type):
        return _of_text(distinct, facts)
    return _of_numbers(distinct, facts)


def missing_marks(rows: Rows) -> list[str]:
    """The marks that stand among the numbers of a text file's columns: missing values, most probably."""
    found: set[str] = set()
    for name in rows.arrow.column_names:
        values = rows.column(name).values
        if pa.types.is_string(values.type):
            distinct = pc.unique(values).drop_null()
            marked = pc.is_in(distinct, pa.array(MARKS))
            if pc.any(marked).as_py() and _all(distinct.filter(pc.invert(marked)), rf"^{NUMBER}$"):
                found |= set(distinct.filter(marked).to_pylist())
    return sorted(found)


def _of_numbers(distinct: pa.Array, facts: dict[str, Any], separator: str | None = None) -> Profile:
    numbers = distinct.cast(pa.float64(), safe=False)
    whole = bool(pc.all(pc.equal(numbers, pc.floor(numbers))).as_py())
    flag = sorted(numbers.to_pylist()) == [0, 1] if len(numbers) == 2 else False
    return Profile(
        kind="flag" if flag else "number", values=distinct, whole=whole and not flag, separator=separator, **facts
    )


def _of_text(distinct: pa.Array, facts: dict[str, Any]) -> Profile:
    text = pc.utf8_trim_whitespace(distinct)
    if set(pc.utf8_lower(text).to_pylist()) == {"true", "false"} if len(text) < 5 else False:
        return Profile(kind="flag", values=distinct, **facts)
    # Ids like 007 are no numbers.
    if _all(text, rf"^{NUMBER}$") and not pc.any(pc.match_substring_regex(text, r"^0\d")).as_py():
        kept = _of_numbers(text.cast(pa.float64()), facts)
        return Profile(kind=kept.kind, values=pc.unique(text), whole=kept.whole, **facts)
    if _all(text, r"^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?$"):
        return Profile(kind="time", values=distinct, **facts)
    for kind, listed in (("vector", _vector_items), ("multi", _list_items)):
        for separator in SEPARATORS:
            if kind == "vector" and facts["missing"]:
                continue
            if (items := listed(text, separator)) is not None:
                return Profile(kind=kind, values=items, separator=separator, **facts)
    return Profile(kind="text", values=distinct, **facts)


def _vector_items(text: pa.Array, separator: str) -> pa.Array | None:
    """The numbers of a column that holds as many in every row, two or more."""
    mark = re.escape(separator)
    if not _all(text, rf"^\[?\s*{NUMBER}(?:\s*{mark}\s*{NUMBER})+\s*\]?$"):
        return None
    counts = pc.unique(pc.count_substring(text, separator))
    items = pc.unique(pc.list_flatten(pc.split_pattern(pc.utf8_trim(text, "[] "), separator)))
    has_point = pc.any(pc.match_substring_regex(items, r"[.eE]")).as_py()
    return items if len(counts) == 1 and has_point else None


def _list_items(text: pa.Array, separator: str) -> pa.Array | None:
    """The items of a column of lists: many values hold the separator, and its parts come again and again."""
    if separator == " ":  # then it is a sentence
        return None
    holding = pc.mean(pc.match_substring(text, separator).cast(pa.float64())).as_py()
    parts = pc.utf8_trim_whitespace(pc.list_flatten(pc.split_pattern(text, separator)))
    items = pc.unique(parts)
    return items if holding >= 0.1 and len(items) <= len(parts) / 2 else None


def _distinct(column: pa.Array) -> pa.Array:
    column = decoded(column)
    return pc.unique(pc.list_flatten(column) if is_list(column.type) else column).drop_null()


def _all(text: pa.Array, pattern: str) -> bool:
    return len(text) > 0 and bool(pc.all(pc.match_substring_regex(text, pattern)).as_py())


def _is_plain(kind: pa.DataType) -> bool:
    """Numbers, text, times, flags, and lists of them."""
    inner = kind.value_type if is_list(kind) or pa.types.is_dictionary(kind) else kind
    return not pa.types.is_nested(inner) and not pa.types.is_binary(inner) and not pa.types.is_large_binary(inner)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 16 else text[:13] + "..."
