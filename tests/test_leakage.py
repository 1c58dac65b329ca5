"""Leakage: planted leaks are found, clean rows are let through, and what can never be right is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pairs import errors, levels, renumbered, world

from recdistill import inspection
from recdistill.datasets import criteo, movielens
from recdistill.inspection import answers, filled_after, inspect, single_column_auc
from recdistill.inspection.answers import PRIOR_ROWS, auc_of, rates
from recdistill.inspection.separation import separation_findings
from recdistill.metrics import auc
from recdistill.schema import Schema
from recdistill.splits import split
from recdistill.tables import Table, concat


def with_column(rows: Table, name: str, values: Any, kind: str = "number") -> Table:
    roles: dict[str, Any] = {kind: (*getattr(rows.schema, kind), name)}
    return Table(rows.arrow.append_column(name, pa.array(values)), replace(rows.schema, **roles))


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
            "a feature must not be the label itself, got 'leak', whose AUC alone is 1.0000 in the training rows"
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
    assert found[0].words.endswith("ask whether it says more than the label")


def test_of_many_rows_some_are_drawn_by_their_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    _, parts = world()
    train = parts["train"]
    monkeypatch.setattr(answers, "MOST_ROWS", 800)
    drawn = answers._drawn(train)
    assert 600 < len(drawn) < 1000
    again = answers._drawn(train.take(np.arange(len(train))[::-1]))
    assert set(drawn.row_ids) == set(again.row_ids)
    (finding,) = answers.answer_findings({"train": train}, {"train": single_column_auc(train)})
    assert finding.words == "single columns were tried on about 800 of the 1,600 labelled rows in the training rows"


def test_filled_after_needs_enough_clicks() -> None:
    clicked = pa.array([True, False] * 4)
    assert not filled_after(pa.array([1.0, None] * 4), clicked), "half of 4 rows: one chance in 16"
    assert filled_after(pa.array([1.0, None] * 40), pa.array([True, False] * 40))


@pytest.mark.parametrize(
    ("elsewhere", "words"),
    [
        ([None], "is filled only where the label is 1"),
        ([0.0], "is 0 where the label is 0, and has its other values only where the label is 1"),
        ([0.0, None], "is 0 or missing where the label is 0, and has its other values only where the label is 1"),
        (["no"], "is no where the label is 0, and has its other values only where the label is 1"),
    ],
)
def test_the_words_of_what_is_filled_after_the_click_are_true(elsewhere: list[Any], words: str) -> None:
    clicks, rows = 60, 600
    other = "yes" if "no" in elsewhere else 3.0
    leak = [other] * (clicks // 3) + [elsewhere[0]] * (clicks - clicks // 3)
    leak += [elsewhere[n % len(elsewhere)] for n in range(rows - clicks)]
    kind = "categorical" if "no" in elsewhere else "number"
    labels = [1] * clicks + [0] * (rows - clicks)
    train = Table(pa.table({"y": labels, "leak": leak, "row_id": range(rows)}), Schema(label="y", **{kind: ("leak",)}))
    (finding,) = answers.answer_findings({"train": train}, {"train": single_column_auc(train)})
    assert finding.words == f"leak {words}, in the training rows: known after the click"


def noise(seed: int, clicks: int, rows: int = 300, columns: int = 10) -> Table:
    """Numbers that know nothing of the clicks."""
    rng = np.random.default_rng(seed)
    values = {f"x{n}": rng.normal(size=rows) for n in range(columns)}
    labels = rng.permutation(np.arange(rows) < clicks).astype(np.int8)
    return Table(pa.table({**values, "y": labels, "row_id": range(rows)}), Schema(label="y", number=tuple(values)))


@pytest.mark.parametrize("swap", [False, True], ids=["few clicks", "few others"])
@pytest.mark.parametrize("clicks", [1, 3, 9, answers.FEWEST])
def test_noise_does_not_tell_a_few_labels(clicks: int, swap: bool) -> None:
    tables = [noise(seed, 300 - clicks if swap else clicks) for seed in range(40)]
    highest = [single_column_auc(rows) for rows in tables]
    told = [answers.answer_findings({"train": r}, {"train": f}) for r, f in zip(tables, highest, strict=True)]
    assert not any(told)
    if clicks == 1:
        assert sum(max(found.values()) >= answers.NEARLY for found in highest) > 5, "noise that would have been told"


def test_enough_labels_tell_a_leak_of_any_share() -> None:
    rows = noise(0, answers.FEWEST)
    leaking = with_column(rows, "leak", rows.labels + 0.0)
    (finding,) = answers.answer_findings({"train": leaking}, {"train": single_column_auc(leaking)})
    assert finding.level == "warning"
    assert finding.words.startswith("leak alone tells the label, with an AUC of 1.0000 in the training rows")


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


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=40))
def test_the_auc_of_a_column_is_that_of_pairs(rows: list[tuple[int, bool]]) -> None:
    ones, zeros = [s for s, label in rows if label], [s for s, label in rows if not label]
    assume(ones and zeros)
    share = sum((a > b) + 0.5 * (a == b) for a in ones for b in zeros) / (len(ones) * len(zeros))
    scores, labels = (np.array(side) for side in zip(*rows, strict=True))
    assert auc_of(scores.astype(float), labels.astype(bool)) == pytest.approx(max(share, 1 - share))
