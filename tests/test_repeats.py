"""Equal rows: the same hashes, the counts that sets give, and a rule that chance cannot break."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pairs import errors, levels, renumbered, world

from recdistill.inspection import inspect
from recdistill.inspection.contents import content, row_hashes
from recdistill.inspection.repeats import repeats
from recdistill.schema import Schema
from recdistill.tables import Table, concat

SCHEMA = Schema(label="y", categorical=("u", "c"), multi=("t",), number=("x",), user="u", time="at")
ROW = st.fixed_dictionaries(
    {
        "u": st.sampled_from(["1", "2"]),
        "c": st.sampled_from(["a", None]),
        "t": st.sampled_from([None, [], ["p"], ["p", "q"], ["q", "p"]]),
        "x": st.sampled_from([None, 0.0, -0.0, 1.5]),
        "at": st.integers(0, 1),
        "y": st.sampled_from([0, 1, None]),
    }
)
ROWS = st.lists(ROW, min_size=1, max_size=20)


def table(rows: list[dict[str, Any]], first: int = 0) -> Table:
    types = {"u": pa.string(), "c": pa.string(), "t": pa.list_(pa.string()), "x": pa.float64(), "at": pa.int64()}
    columns = {name: pa.array([row[name] for row in rows], types.get(name, pa.int8())) for name in ROW_NAMES}
    return Table(pa.table(columns | {"row_id": range(first, first + len(rows))}), SCHEMA)


ROW_NAMES = ("u", "c", "t", "x", "at", "y")


def said(row: dict[str, Any]) -> tuple[Any, ...]:
    """A row as Python compares it: an absent list is an empty one."""
    return tuple(tuple(row[name] or ()) if name == "t" else row[name] for name in ROW_NAMES)


@given(ROWS, ROWS)
def test_rows_have_equal_hashes_exactly_where_they_say_the_same(one: list[dict[str, Any]], two: Any) -> None:
    first, second = table(one), table(two, first=100)
    columns = content(first, second)
    assert set(columns) == {"y", "u", "at", "c", "t", "x"}
    hashes = np.concatenate([row_hashes(first, columns), row_hashes(second, columns)])
    words = [said(row) for row in one + two]
    assert [[a == b for b in hashes] for a in hashes] == [[a == b for b in words] for a in words]


def test_ids_and_numbers_of_other_types_say_the_same() -> None:
    schema = Schema(categorical=("c",), number=("x",), multi=("t",))
    types = [
        {"c": pa.int64(), "x": pa.int8(), "t": pa.list_(pa.int64())},
        {"c": pa.string(), "x": pa.float32(), "t": pa.large_list(pa.string())},
        {"c": pa.dictionary(pa.int8(), pa.string()), "x": pa.float64(), "t": pa.list_(pa.string(), 2)},
    ]
    found = []
    for kinds in types:
        text = "string" in str(kinds["c"])
        ids = ["7", "8", None] if text else [7, 8, None]
        lists = [ids[:2]] * 3
        arrow = {"c": pa.array(ids).cast(kinds["c"]), "x": pa.array([1, 2, None], kinds["x"])}
        rows = Table(pa.table({**arrow, "t": pa.array(lists, kinds["t"])}), schema)
        found.append([row_hashes(rows, [name]).tolist() for name in ("c", "t")])
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize(
    "kind", [pa.timestamp("ns"), pa.timestamp("s"), pa.date32(), pa.time32("s"), pa.int64()], ids=str
)
def test_every_kind_of_time_can_be_hashed(kind: pa.DataType) -> None:
    rows = Table(pa.table({"at": pa.array([1000, 2000, 1000], kind)}), Schema(time="at"))
    hashes = row_hashes(rows, ["at"])
    assert hashes[0] == hashes[2] != hashes[1]


@given(ROWS, ROWS, ROWS, ROWS)
def test_repeats_are_what_sets_say(a: Any, b: Any, c: Any, d: Any) -> None:
    sides = [table(rows, 100 * n) for n, rows in enumerate((a, b, c, d))]
    source, parts = sides[0], dict(zip(("train", "valid", "test"), sides[1:], strict=True))
    words = {"source": a, "train": b, "valid": c, "test": d, "target": b + c + d}
    known = {side: [said(row) for row in rows] for side, rows in words.items()}
    for one in repeats(source, parts):
        assert one.found == sum(row in set(known[one.there]) for row in known[one.part])
        within = [
            sum(known[side].count(row) > 1 for row in known[side]) / len(known[side]) for side in (one.part, one.there)
        ]
        assert one.chance == pytest.approx(max(within))
        assert one.events


def test_a_shuffled_copy_of_the_target_is_no_source() -> None:
    _, parts = world()
    target = concat(parts.values())
    copy = renumbered(target.take(np.random.default_rng(0).permutation(len(target))), 10**9)
    found = errors(inspect(copy, parts, by="random"))
    assert (
        "source and target must be different rows, got every one of the target's 2,000 rows in the source too" in found
    )
    assert (
        "the rows that judge must not be among the source's rows, which the teacher learns, got 200 of 200 test"
        in found
    )


def test_test_rows_among_the_sources_are_refused_or_warned_of() -> None:
    source, parts = world(source_rows=2000)
    common = source.schema.without("dwell").columns
    there = Table(parts["test"].arrow.select(common), replace(source.schema.without("dwell")))
    base = Table(source.arrow.select(common), there.schema)
    for rows, level in ((200, "error"), (50, "warning"), (1, "note")):
        leaking = concat([base, renumbered(there.take(np.arange(rows)), 10**9)])
        found = inspect(leaking, parts, by="random")
        words = [f for f in found.findings if "among the source's rows" in f.words and "test rows" in f.words]
        assert [f.level for f in words] == [level]
        assert f"{rows} of 200 test rows" in words[0].words


def test_equal_rows_across_the_splits_are_found() -> None:
    source, parts = world()
    leaking = parts | {"train": concat([parts["train"], renumbered(parts["test"].take(np.arange(20)), 10**9)])}
    (finding,) = [f for f in inspect(source, leaking, by="random").findings if "equal row among" in f.words]
    assert finding.level == "warning"
    assert finding.words.startswith("20 of 200 test rows (10 %) have an equal row among the training rows")
    twice = parts | {"train": concat([parts["train"], renumbered(parts["test"], 10**9)])}
    assert "the rows that judge must not be among the training rows, got 200 of 200 test" in errors(
        inspect(source, twice, by="random")
    )


def test_rows_that_say_little_are_equal_by_chance() -> None:
    rng = np.random.default_rng(0)
    schema = Schema(label="y", categorical=("c",))

    def drawn(rows: int, first: int) -> Table:
        columns = {"c": rng.integers(0, 3, rows), "y": rng.integers(0, 2, rows), "row_id": first + np.arange(rows)}
        return Table(pa.table(columns), schema)

    found = inspect(
        drawn(500, 10**6), {p: drawn(100, 1000 * n) for n, p in enumerate(("train", "valid", "test"))}, by="random"
    )
    assert set(levels(found)) == {"note"}
    assert all("100 % have an equal one in their own place" in f.words for f in found.findings if f.about == "leakage")
