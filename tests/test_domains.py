"""Domains: every rule parts the rows as it says, and refuses what would let one row be on both sides."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recdistill.domains import by_member, by_time, by_value, require_disjoint, source_and_target
from recdistill.errors import DataError, UsageError
from recdistill.schema import Schema
from recdistill.tables import Table

SCHEMA = Schema(
    label="click", categorical=("user", "market", "age"), multi=("tags",), user="user", item="item", time="time"
)
MARKETS = ["a", "b", "c", None]
TAGS = st.lists(st.sampled_from(["x", "y", "z"]), max_size=3)


def table(markets: list[str | None], tags: list[list[str] | None] | None = None) -> Table:
    rows = len(markets)
    columns = {
        "row_id": list(range(rows)),
        "user": [n % 5 for n in range(rows)],
        "item": [n % 7 for n in range(rows)],
        "market": pa.array(markets, pa.string()),
        "age": [18 + n % 2 for n in range(rows)],
        "tags": pa.array(tags or [["x"], *[["y"]] * (rows - 1)], pa.list_(pa.string())),
        "time": list(range(rows)),
        "click": [n % 2 for n in range(rows)],
    }
    return Table(pa.table(columns), SCHEMA)


@given(st.lists(st.sampled_from(MARKETS), min_size=1).map(lambda more: ["a", "b", "c", *more]))
def test_by_value_takes_the_named_and_the_complement_takes_the_rest(markets: list[str | None]) -> None:
    whole = table(markets)
    is_a = np.array([market == "a" for market in markets])
    is_b = np.array([market == "b" for market in markets])
    for named, first, second in (
        ({"source": ["a"], "target": ["b"]}, is_a, is_b),
        ({"source": "a"}, is_a, ~is_a),
        ({"target": ["a"]}, ~is_a, is_a),
        ({"source": ["a", "b"]}, is_a | is_b, ~(is_a | is_b)),
    ):
        source, target = by_value(whole, "market", **named)
        assert source.row_ids.tolist() == np.flatnonzero(first).tolist()
        assert target.row_ids.tolist() == np.flatnonzero(second).tolist()


@given(st.lists(st.none() | TAGS, max_size=12).map(lambda more: [["x", "y", "x"], [], ["y"], *more]))
def test_by_member_parts_the_rows_that_have_the_value_from_all_others(tags: list[list[str] | None]) -> None:
    whole = table(["a"] * len(tags), tags)
    has = [n for n, row in enumerate(tags) if "y" in (row or [])]
    others = [n for n in range(len(tags)) if n not in has]
    for named, expected in (({"target": "y"}, (others, has)), ({"source": ["y"]}, (has, others))):
        assert tuple(part.row_ids.tolist() for part in by_member(whole, "tags", **named)) == expected


def test_numbers_may_be_named_as_text() -> None:
    source, target = by_value(table(["a"] * 4), "age", source=["18"], target=[19])
    assert (source.row_ids.tolist(), target.row_ids.tolist()) == ([0, 2], [1, 3])


def test_by_time_takes_the_first_and_keeps_equal_times_together() -> None:
    source, target = by_time(table(["a"] * 10), at=0.6)
    assert (source.row_ids.tolist(), target.row_ids.tolist()) == (list(range(6)), list(range(6, 10)))


def test_the_rule_fits_the_column_and_says_what_stays_a_feature() -> None:
    whole = table(["a", "b", "a"])
    source, target = source_and_target(whole, "market", source="a")
    assert (source.schema.domain, len(source), len(target)) == ("market", 2, 1)
    assert "market" not in target.schema.features
    assert "market" in source_and_target(whole, "market", source="a", drop_column=False)[0].schema.features
    source, target = source_and_target(whole, "tags", target="x")
    assert (target.row_ids.tolist(), source.schema.domain) == ([0], "tags")
    assert "tags" in source.schema.features
    assert len(source_and_target(table(["a"] * 10), "time")[0]) == 6
    source, _ = source_and_target(whole, "time", at=0.4)
    assert (source.row_ids.tolist(), source.schema.domain) == ([0], None)


@pytest.mark.parametrize(
    ("column", "named", "error", "rule"),
    [
        ("market", {"source": ["a", "b"], "target": "b"}, UsageError, r"a value is source or target, got \['b'\]"),
        ("market", {}, UsageError, "need the values of the source or of the target, got neither"),
        ("market", {"target": "q"}, UsageError, "'q' does not occur in column 'market'"),
        ("market", {"source": []}, DataError, "both domains need rows, got 0 source and 3 target rows"),
        ("markt", {"source": "a"}, UsageError, "did you mean 'market'"),
        ("tags", {"source": "x", "target": "y"}, UsageError, "two named sides could overlap"),
        ("tags", {}, UsageError, "one value names one side and the other side is its complement"),
        ("tags", {"target": ["x", "y"]}, UsageError, "one value names one side"),
        ("tags", {"target": "xx"}, UsageError, "'xx' does not occur in column 'tags'"),
        ("market", {"source": "a", "disjoint": ["item"]}, DataError, "no item may be in both domains, got 1 shared"),
        ("market", {"source": "a", "disjoint": ["movie"]}, UsageError, "disjoint in rows, user or item, got 'movie'"),
        ("time", {"at": 1.0}, UsageError, r"must be in \(0, 1\)"),
        ("time", {"at": 0.5, "target": "a"}, UsageError, r"by `at` alone, got source=None, target='a'"),
        ("time", {"target": "a"}, UsageError, "domains by time are told apart by `at` alone"),
        ("market", {"source": "a", "at": 0.5}, UsageError, "by time, got at=0.5 with column 'market'"),
    ],
)
def test_bad_domains_are_refused(column: str, named: dict[str, object], error: type[Exception], rule: str) -> None:
    whole = table(["a", "b", "a", "b", None, "a", "b", "b"] if "disjoint" in named else ["a", "b", None])
    with pytest.raises(error, match=rule):
        source_and_target(whole, column, **named)  # type: ignore[arg-type]


def test_domains_by_member_need_lists_and_both_sides_need_rows() -> None:
    with pytest.raises(DataError, match="need a column of lists, got string in 'market'"):
        by_member(table(["a", "b"]), "market", target="a")
    with pytest.raises(DataError, match="got 0 source and 2 target rows"):
        by_member(table(["a", "b"], [["x"], ["x", "y"]]), "tags", target="x")
    plain = Table(table(["a"]).arrow, Schema(label="click"))
    with pytest.raises(DataError, match="need a item column in both tables"):
        require_disjoint(plain, plain, on=["item"])
