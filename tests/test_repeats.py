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
from recdistill.inspection.repeats import Repeats, repeat_findings, repeats
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


GRID = Schema(label="y", categorical=("u", "i"), user="u", item="i")
EVENT = Schema(label="y", categorical=("u", "i"), user="u", item="i", time="at")


def month(answers: Any, first: int, users: int = 50, schema: Schema = GRID) -> Table:
    """Every user's answer to every item."""
    answers = np.asarray(answers)
    users, items = (side.ravel() for side in np.indices((users, len(answers) // users)))
    columns = {"u": users, "i": items, "y": answers.astype(np.int8), "row_id": first + np.arange(len(answers))}
    return Table(pa.table(columns | ({"at": users + 0} if schema.time else {})), schema)


def months(first: Any, second: Any, **facts: Any) -> tuple[Table, dict[str, Table]]:
    """One grid twice: the first is the source, the second the target, a tenth of which each judges."""
    target = month(second, 0, **facts)
    order = np.random.default_rng(9).permutation(len(target))
    tenth = len(target) // 10
    cuts = {"train": order[2 * tenth :], "valid": order[:tenth], "test": order[tenth : 2 * tenth]}
    return month(first, 10**9, **facts), {part: target.take(rows) for part, rows in cuts.items()}


@pytest.mark.parametrize("rate", [0.3, 0.05, 0.0])
@pytest.mark.parametrize("seed", range(3))
def test_two_months_of_one_grid_are_no_copies(seed: int, rate: float) -> None:
    rng = np.random.default_rng(seed)
    one, two = rng.random((2, 3000)) < rate
    found = repeats(*months(one, two))
    assert [finding.level for finding in repeat_findings(found)] == ["warning" if rate == 0 else "note"] * 2
    if rate == 0.05:
        (test,) = [one for one in found if (one.part, one.there) == ("test", "source")]
        assert (test.rows, test.asked) == (300, 300)
        assert test.share > 0.85
        assert abs(test.agreement) < 0.5


def test_copies_of_one_grid_are_found() -> None:
    answers = np.random.default_rng(0).random(3000) < 0.05
    found = repeat_findings(repeats(*months(answers, answers)))
    assert [finding.level for finding in found] == ["error"] * 3
    said = errors(found)
    assert "got every one of the target's 3,000 rows in the source too" in said
    assert "got 300 of 300 test rows (100 %) there too with the same answer, features" in said


def test_answers_that_agree_more_than_by_chance_are_warned_of() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.random((2, 3000)) < 0.3
    found = repeat_findings(repeats(*months(one, np.where(rng.random(3000) < 0.6, one, other))))
    assert [finding.level for finding in found] == ["warning"] * 2
    assert "; of the 300 that are equal but for the answer chance would give 1" in found[0].words


def test_copied_rows_of_rare_clicks_are_warned_of() -> None:
    """Answers say too little there, but not one of the rows differs."""
    _, parts = months(*(np.random.default_rng(0).random((2, 3000)) < 0.02))
    copied = renumbered(parts["test"].take(np.arange(20)), 10**9)
    found = [one for one in repeats(copied, parts) if one.part == "test" and one.found]
    assert [finding.level for finding in repeat_findings(found)] == ["warning"]


@pytest.mark.parametrize("schema", [GRID, EVENT])
def test_the_same_users_at_the_same_times_are_events(schema: Schema) -> None:
    one, two = np.random.default_rng(0).random((2, 3000)) < 0.05
    found = repeats(*months(one, two, schema=schema))
    assert {finding.level for finding in repeat_findings(found)} == {"error" if schema.time else "note"}
    assert {one.expected is None for one in found if one.found} == {schema.time is not None}


@given(ROWS, ROWS)
def test_what_is_expected_is_the_mean_over_all_answers_of_the_part(a: Any, b: Any) -> None:
    schema = replace(SCHEMA, time=None)
    there, here = (Table(rows.arrow, schema) for rows in (table(a), table(b, 100)))
    parts = dict.fromkeys(("train", "valid", "test"), here)
    (one,) = [one for one in repeats(there, parts) if (one.part, one.there) == ("test", "source")]
    known = {said({**row, "at": 0}) for row in a}
    answered = [[said({**row, "at": 0, "y": other["y"]}) in known for other in b] for row in b]
    if one.found:
        assert one.asked == sum(any(row) for row in answered)
        assert one.expected == pytest.approx(np.mean(answered, axis=1).sum())


@pytest.mark.parametrize(
    ("rows", "found", "chance", "level"),
    [
        (30, 1, 0.0, "note"),
        (30, 4, 0.0, "note"),
        (30, 5, 0.0, "warning"),
        (100, 9, 0.04, "note"),
        (100, 10, 0.04, "warning"),
        (10_000, 1000, 0.06, "note"),
        (10_000, 99, 0.0, "note"),
        (300, 267, 0.0, "warning"),
    ],
)
def test_a_few_equal_rows_are_no_warning(rows: int, found: int, chance: float, level: str) -> None:
    """A binomial count stays within 3 standard errors; what was not compared with chance is never an error."""
    one = Repeats("test", "train", rows, found, chance, events=False)
    assert [finding.level for finding in repeat_findings([one])] == [level]
    assert one.to_dict()["expected"] is None
