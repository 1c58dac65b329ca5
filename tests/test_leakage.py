"""Leakage: planted leaks are found, clean rows are let through, and what can never be right is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recdistill import inspection
from recdistill.datasets import criteo, movielens, synthetic
from recdistill.errors import DataError
from recdistill.inspection import Finding, Inspection, answers, filled_after, inspect, refuse, single_column_auc
from recdistill.inspection.answers import PRIOR_ROWS, rates
from recdistill.inspection.contents import content, row_hashes
from recdistill.inspection.repeats import repeats
from recdistill.inspection.separation import separation_findings
from recdistill.metrics import auc
from recdistill.schema import Schema
from recdistill.splits import split
from recdistill.tables import Table, concat

Parts = dict[str, Table]
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


def world(by: Any = "random", **sizes: int) -> tuple[Table, Parts]:
    sizes = {"source_rows": 3000, "target_rows": 2000, "source_users": 100, "target_users": 60} | sizes
    source, target = synthetic.load(**sizes)
    return source, dict(zip(("train", "valid", "test"), split(target, by=by), strict=True))


def table(rows: list[dict[str, Any]], first: int = 0) -> Table:
    types = {"u": pa.string(), "c": pa.string(), "t": pa.list_(pa.string()), "x": pa.float64(), "at": pa.int64()}
    columns = {name: pa.array([row[name] for row in rows], types.get(name, pa.int8())) for name in ROW_NAMES}
    return Table(pa.table(columns | {"row_id": range(first, first + len(rows))}), SCHEMA)


ROW_NAMES = ("u", "c", "t", "x", "at", "y")


def said(row: dict[str, Any]) -> tuple[Any, ...]:
    """A row as Python compares it: an absent list is an empty one."""
    return tuple(tuple(row[name] or ()) if name == "t" else row[name] for name in ROW_NAMES)


def renumbered(rows: Table, first: int) -> Table:
    place = rows.arrow.column_names.index(rows.schema.row_id)
    own = pa.array(first + np.arange(len(rows)))
    return Table(rows.arrow.set_column(place, rows.schema.row_id, own), rows.schema)


def with_column(rows: Table, name: str, values: Any, kind: str = "number") -> Table:
    roles: dict[str, Any] = {kind: (*getattr(rows.schema, kind), name)}
    return Table(rows.arrow.append_column(name, pa.array(values)), replace(rows.schema, **roles))


def levels(found: Inspection, about: str = "leakage") -> list[str]:
    return [finding.level for finding in found.findings if finding.about == about]


def errors(found: Inspection | list[Finding]) -> str:
    findings = found.findings if isinstance(found, Inspection) else found
    with pytest.raises(DataError) as caught:
        refuse(findings)
    return str(caught.value)


# ------------------------------------------------------------------------------------------ equal rows


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
    assert finding.words.startswith("20 of 200 test rows (10 %) have an equal row among the target's training rows")
    twice = parts | {"train": concat([parts["train"], renumbered(parts["test"], 10**9)])}
    assert "the rows that judge must not be among the target's training rows, got 200 of 200 test" in errors(
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


# ---------------------------------------------------------------------------------- what a split forbids


def test_a_split_by_time_is_in_order() -> None:
    source, parts = world("time")
    assert not separation_findings(None, parts, by="time")
    swapped = parts | {"train": parts["test"], "test": parts["train"]}
    found = errors(separation_findings(source, swapped, by="time"))
    assert "split by time, every training row must come before every validation row, got the last training row" in found
    assert "every validation row must come before every test row" in found
    random = separation_findings(None, world("random")[1], by="random")
    assert [f.level for f in random] == ["note"]
    assert random[0].words.endswith(
        "of the training rows are later than half of the test rows; in use a ranker knows the past alone"
    )


def test_a_source_from_the_future_is_warned_of_in_a_split_by_time() -> None:
    source, parts = world("time")
    (finding,) = separation_findings(source, parts, by="time")
    middle = np.sort(parts["test"].numpy("time"))[(len(parts["test"]) - 1) // 2]
    share = (source.numpy("time") > middle).mean()
    assert finding.level == "warning"
    assert finding.words.startswith(f"{100 * share:.1f} % of the source's rows are later than half of the test rows")


def test_a_split_by_user_shares_none() -> None:
    _, parts = world("user", target_users=150)
    assert not [f for f in separation_findings(None, parts, by="user") if f.level == "error"]
    mixed = parts | {"test": concat([parts["test"], renumbered(parts["train"].take(np.arange(5)), 10**9)])}
    shared = len(set(mixed["test"].numpy("user_id")) & set(parts["train"].numpy("user_id")))
    rule = "split by user, no user may be in both the training and the test rows"
    assert f"{rule}, got {shared} shared" in errors(separation_findings(None, mixed, by="user"))


def test_a_row_id_is_in_one_place() -> None:
    source, parts = world()
    clash = renumbered(source, int(parts["test"].row_ids[0]))
    assert "no row id may be in both source and test, got" in errors(separation_findings(clash, parts, by="random"))


# ------------------------------------------------------------------------------ columns that are the label


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", None]), st.booleans(), st.integers(0, 2)), min_size=1, max_size=30)
)
def test_rates_are_those_of_the_other_folds(rows: list[tuple[str | None, bool, int]]) -> None:
    values, labels, folds = zip(*rows, strict=True)
    label, fold = np.array(labels), np.array(folds)
    found = rates(pa.array(values, pa.string()), label, fold)
    for k, (value, _, own) in enumerate(rows):
        others = [y for v, y, f in rows if v == value and f != own]
        expected = (sum(others) + PRIOR_ROWS * label.mean()) / (len(others) + PRIOR_ROWS)
        assert found[k] == pytest.approx(expected)


def test_lists_have_the_mean_rate_of_their_items() -> None:
    column = pa.array([["a", "b"], ["a"], [], None, ["b"]], pa.list_(pa.string()))
    label, fold = np.array([True, False, True, False, True]), np.array([0, 1, 2, 0, 1])
    single = pa.array(["a", "b", "a", "b"])
    place = np.array([0, 0, 1, 4])
    # The prior is that of all rows, so the items are looked up with it.
    found = rates(column, label, fold)
    assert found[2] == found[3] == label.mean()
    prior = PRIOR_ROWS * label.mean()
    for row in (0, 1, 4):
        expected = []
        for item in column[row].as_py():
            others = [
                label[r] for v, r in zip(single.to_pylist(), place, strict=True) if v == item and fold[r] != fold[row]
            ]
            expected.append((sum(others) + prior) / (len(others) + PRIOR_ROWS))
        assert found[row] == pytest.approx(np.mean(expected))


def test_aucs_of_numbers_are_those_of_the_value_whichever_way_round() -> None:
    _, parts = world()
    train = parts["train"]
    price = auc(train.numpy("price"), train.labels)
    found = single_column_auc(train)
    assert found["price"] == pytest.approx(max(price, 1 - price))
    assert single_column_auc(train.take(np.random.default_rng(0).permutation(len(train)))) == pytest.approx(found)
    assert 0.5 <= min(found.values()) <= max(found.values()) < 0.8
    assert "embedding" not in found


@pytest.mark.parametrize(
    ("leak", "kind", "level"),
    [
        (lambda y, rng: y + 0.0, "number", "error"),
        (lambda y, rng: -y + 0.0, "number", "error"),
        (lambda y, rng: [f"v{v}" for v in y], "categorical", "error"),
        (lambda y, rng: [None if v else 3.0 for v in y], "number", "error"),
        (lambda y, rng: y + rng.normal(0, 0.35, len(y)), "number", "warning"),
        (lambda y, rng: [1.0 if v and rng.random() < 0.3 else None for v in y], "number", "warning"),
        (lambda y, rng: y + rng.normal(0, 1.0, len(y)), "number", None),
        (lambda y, rng: np.arange(len(y)), "categorical", None),
        (lambda y, rng: rng.permutation(np.repeat(np.arange(len(y) // 2), 2)), "categorical", None),
    ],
    ids=["label", "reversed", "as text", "by missing", "nearly", "after the click", "weak", "row id", "pairs"],
)
def test_a_column_that_is_the_label_is_found(leak: Callable[..., Any], kind: str, level: str | None) -> None:
    _, parts = world()
    y = parts["train"].labels.astype(int)
    sides = {"train": with_column(parts["train"], "leak", leak(y, np.random.default_rng(0)), kind)}
    found = answers.answer_findings(sides, {side: single_column_auc(rows) for side, rows in sides.items()})
    assert [finding.level for finding in found] == ([level] if level else [])
    if level == "error":
        assert (
            "a feature must not be the label itself, got 'leak', whose AUC alone is 1.0000 in the target's"
            in errors(found)
        )
    if level:
        assert "leak" in found[0].words
    few = {"train": sides["train"].take(np.arange(60))}
    again = answers.answer_findings(few, {side: single_column_auc(rows) for side, rows in few.items()})
    assert "error" not in [finding.level for finding in again], "too few rows to be sure"


def test_a_privileged_column_is_only_warned_of() -> None:
    _, parts = world()
    leaking = with_column(parts["train"], "leak", parts["train"].labels.astype(float))
    leaking = leaking.with_schema(replace(leaking.schema, privileged=(*leaking.schema.privileged, "leak")))
    found = answers.answer_findings({"train": leaking}, {"train": single_column_auc(leaking)})
    assert [finding.level for finding in found] == ["warning"]
    assert found[0].words.endswith("does it say more than the label?")


def test_of_many_rows_some_are_drawn_by_their_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    _, parts = world()
    train = parts["train"]
    monkeypatch.setattr(answers, "MOST_ROWS", 800)
    drawn = answers._drawn(train)
    assert 600 < len(drawn) < 1000
    again = answers._drawn(train.take(np.arange(len(train))[::-1]))
    assert set(drawn.row_ids) == set(again.row_ids)


def test_filled_after_needs_enough_clicks() -> None:
    clicked = pa.array([True, False] * 4)
    assert not filled_after(pa.array([1.0, None] * 4), clicked), "half of 4 rows: one chance in 16"
    assert filled_after(pa.array([1.0, None] * 40), pa.array([True, False] * 40))


# ------------------------------------------------------------------------------------------ whole worlds


@pytest.mark.parametrize("by", ["random", "user", "last", "position"])
def test_a_clean_world_has_no_warning(by: str) -> None:
    source, parts = world(by, source_rows=20_000, target_rows=10_000, source_users=1000, target_users=400)
    found = inspect(source, parts, by=by)
    assert {finding.level for finding in found.findings} <= {"note"}
    assert found.to_dict()["label_rates"]["train"] == pytest.approx(parts["train"].labels.mean())


def test_the_order_of_rows_changes_nothing() -> None:
    source, parts = world()
    rng = np.random.default_rng(0)
    shuffled = {part: rows.take(rng.permutation(len(rows))) for part, rows in parts.items()}
    one = inspect(source, parts, by="random")
    two = inspect(source.take(rng.permutation(len(source))), shuffled, by="random")
    assert one.findings == two.findings
    assert (one.overlap, one.repeats) == (two.overlap, two.repeats)


def test_ratings_are_looked_at_too(shared_data: Callable[[str], Path]) -> None:
    source, target = movielens.load(shared_data("ml-100k"), task="rating", domain="time", at=0.6)
    parts = dict(zip(("train", "valid", "test"), split(target), strict=True))
    found = inspect(source, parts, by="random")
    assert {finding.level for finding in found.findings} == {"note"}
    assert set(found.aucs["train"]) == set(target.schema.features)


def test_criteo_has_no_leak(shared_data: Callable[[str], Path]) -> None:
    source, target = criteo.load(shared_data("criteo-kaggle-137k"))
    parts = dict(zip(("train", "valid", "test"), split(target, by="position", test=0.3), strict=True))
    found = inspect(source, parts, by="position")
    assert levels(found) == []
    assert max(found.aucs["train"].values()) < 0.75
    shared = {one.column: one for one in found.overlap}["C3"]
    known = set(source.column("C3").to_pylist())
    values = [value for value in target.column("C3").to_pylist() if value is not None]
    assert (shared.seen_rows, shared.rows) == (sum(value in known for value in values), len(values))
    assert (shared.seen_ids, shared.ids) == (len(set(values) & known), len(set(values)))


def test_without_source_rows_the_target_is_looked_at() -> None:
    _, parts = world()
    found = inspect(None, parts, by="random")
    assert (found.overlap, found.drift, set(found.profiles)) == ((), (), {"train"})
    assert {finding.level for finding in found.findings} <= {"note"}
    assert inspection.refuse(found.findings) is None
