"""Segments: what parts the rows and by what knowledge, and two rankers on each as on all rows."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import recdistill as rd
from recdistill.errors import DataError
from recdistill.evaluation import compare
from recdistill.metrics import auc, holm, logloss, rmse
from recdistill.segments import FEW, LISTED, Segment, is_small

SCHEMA = rd.Schema(label="click", categorical=("user", "item", "site", "zone"), user="user", item="item")


def world(rows: int, seed: int, first: int = 0, *, users: int = 40, labelled: float = 1.0) -> rd.Table:
    rng = np.random.default_rng(seed)
    site = pa.array([None if one == "e" else one for one in rng.choice(list("aabbbcde"), rows)])
    clicks = pa.array(rng.integers(0, 2, rows), mask=rng.random(rows) > labelled)
    columns = {
        "row_id": np.arange(first, first + rows),
        "click": clicks,
        "user": rng.integers(0, users, rows),
        "item": [f"i{int(one)}" for one in rng.exponential(8, rows)],
        "site": site,
        "zone": rng.integers(0, FEW * 3, rows),
    }
    return rd.Table(pa.table(columns), SCHEMA)


TRAIN, TEST = world(600, 1, 10_000, users=30, labelled=0.04), world(900, 2)
SOURCE = world(300, 3, 20_000, users=20)
RNG = np.random.default_rng(0)
FIRST, SECOND = (RNG.normal(size=(2, 900)) + weight * TEST.labels for weight in (0.5, 0.2))


def named(segments: list[Segment], column: str) -> dict[str, np.ndarray]:
    return {one.name: one.rows for one in segments if one.column == column}


def without_order(found: rd.SegmentComparisons) -> list[dict[str, Any]]:
    return [{k: pytest.approx(v) if isinstance(v, float) else v for k, v in one.items()} for one in found.found]


def test_users_are_parted_by_what_the_labelled_rows_and_the_source_know() -> None:
    found = named(rd.segments_of(TEST, train=TRAIN, source=SOURCE), "user")
    users, labelled = TEST.numpy("user"), TRAIN.take(TRAIN.labelled)
    for name, other, known in (
        ("with labelled training rows", "without labelled training rows", labelled),
        ("in the source", "not in the source", SOURCE),
    ):
        inside = np.isin(users, known.numpy("user"))
        np.testing.assert_array_equal(found[name], inside)
        np.testing.assert_array_equal(found[other], ~inside)
    assert "in the source" not in named(rd.segments_of(TEST, train=TRAIN), "user")


@pytest.mark.parametrize("column", ["user", "item"])
def test_popularity_is_parted_by_training_rows_alone(column: str) -> None:
    found = named(rd.segments_of(TEST, train=TRAIN, source=SOURCE), column)
    by_rows = {name: rows for name, rows in found.items() if "labelled" not in name and "source" not in name}
    assert sum(by_rows.values()).tolist() == [1] * len(TEST)
    trained, tested = TRAIN.numpy(column), TEST.numpy(column)
    counts = np.array([(trained == one).sum() for one in tested])
    assert "no training rows" in by_rows
    spans = sorted((counts[rows].min(), counts[rows].max()) for rows in by_rows.values())
    assert len(spans) > 4
    assert all(below[1] < above[0] for below, above in itertools.pairwise(spans))
    for name, rows in by_rows.items():
        words = name.split()
        if words[1] == "to":
            assert int(words[0]) <= counts[rows].min() <= counts[rows].max() <= int(words[2])


def test_values_of_columns_with_few_are_parted_and_of_others_not() -> None:
    segments = rd.segments_of(TEST, train=TRAIN)
    found = named(segments, "site")
    assert set(found) == {"a", "b", "c", "d", "missing"}
    assert sum(found.values()).tolist() == [1] * len(TEST)
    assert not named(segments, "zone")  # more than `FEW` values


def test_the_rarer_values_in_training_are_one_segment() -> None:
    rows = LISTED * (LISTED + 1)
    counts = np.repeat(np.arange(LISTED + 3), np.arange(LISTED + 3, 0, -1))
    table = {"row_id": np.arange(len(counts)), "click": counts % 2, "kind": counts}
    train = rd.Table(pa.table(table), rd.Schema(label="click", categorical=("kind",)))
    kinds = np.arange(rows) % (LISTED + 4)
    test = rd.Table(pa.table({"row_id": np.arange(rows), "click": kinds % 2, "kind": kinds}), train.schema)
    found = named(rd.segments_of(test, train=train), "kind")
    assert set(found) == {*map(str, range(LISTED)), "other values"}
    np.testing.assert_array_equal(found["other values"], kinds >= LISTED)


def test_segments_do_not_depend_on_labels_of_test_rows_nor_on_the_order_of_rows() -> None:
    order = np.random.default_rng(5).permutation(len(TEST))
    unlabelled = TEST.with_labels_only(np.zeros(len(TEST), dtype=bool))
    plain = rd.segments_of(TEST, train=TRAIN, source=SOURCE)
    turned = TRAIN.take(np.random.default_rng(6).permutation(len(TRAIN)))
    for test, place in ((unlabelled, np.arange(len(TEST))), (TEST.take(order), order)):
        again = rd.segments_of(test, train=turned, source=SOURCE)
        assert [(one.column, one.name) for one in again] == [(one.column, one.name) for one in plain]
        for one, other in zip(plain, again, strict=True):
            np.testing.assert_array_equal(one.rows[place], other.rows)


@pytest.mark.parametrize("metric", ["auc", "logloss", "ndcg@10"])
def test_a_segment_of_all_rows_is_the_comparison_of_all_rows(metric: str) -> None:
    whole = Segment("all", "rows", np.ones(len(TEST), dtype=bool))
    (found,) = rd.compare_segments(FIRST, SECOND, TEST, [whole], metric=metric).found
    expected = compare(FIRST, SECOND, TEST, metric)
    for key in ("metric", "delta", "low", "high", "p", "method"):
        assert found[key] == expected[key]
    assert found["value_a"] - found["value_b"] == pytest.approx(found["delta"])
    assert (found["p_holm"], found["rows"], found["users"]) == (found["p"], 900, 40)
    assert found["positives"] == TEST.labels.sum()


def test_each_segment_is_the_comparison_of_its_rows_and_the_worst_is_first() -> None:
    segments = rd.segments_of(TEST, train=TRAIN, source=SOURCE)
    result = rd.compare_segments(FIRST, SECOND, TEST, segments)
    assert len(result.found) + result.skipped == len(segments)
    masks = {(one.column, one.name): one.rows for one in segments}
    for one in result.found:
        rows = masks[one["column"], one["segment"]]
        own = TEST.take(rows)
        expected = compare(FIRST[:, rows], SECOND[:, rows], own, "auc")
        assert {key: one[key] for key in ("delta", "low", "high", "p")} == pytest.approx(
            {key: expected[key] for key in ("delta", "low", "high", "p")}
        )
        assert one["value_a"] == pytest.approx(np.mean([auc(s[rows], own.labels) for s in FIRST]))
        assert one["small"] == is_small(own)
    at_best = [one["high"] for one in result.found]
    assert at_best == sorted(at_best)
    adjusted = holm([one["p"] for one in result.found])
    assert [one["p_holm"] for one in result.found] == pytest.approx(adjusted)
    losses = rd.compare_segments(FIRST, SECOND, TEST, segments[:6], metric="logloss").found
    assert [one["low"] for one in losses] == sorted((one["low"] for one in losses), reverse=True)
    assert losses[0]["value_a"] == pytest.approx(
        np.mean([logloss(s[masks[_of(losses[0])]], TEST.take(masks[_of(losses[0])]).labels) for s in FIRST])
    )


def _of(one: dict[str, Any]) -> tuple[str, str]:
    return one["column"], one["segment"]


def test_the_order_of_test_rows_plays_no_part() -> None:
    order = np.random.default_rng(7).permutation(len(TEST))
    plain = rd.compare_segments(FIRST, SECOND, TEST, rd.segments_of(TEST, train=TRAIN))
    turned = TEST.take(order)
    again = rd.compare_segments(FIRST[:, order], SECOND[:, order], turned, rd.segments_of(turned, train=TRAIN))
    assert list(again.found) == without_order(plain)


def test_segments_that_are_too_small_are_skipped_and_counted() -> None:
    clicks, one_user = TEST.labels == 1, TEST.numpy("user") == 3
    nobody = np.zeros(len(TEST), dtype=bool)
    segments = [Segment("x", name, rows) for name, rows in (("clicks", clicks), ("one", one_user), ("none", nobody))]
    assert rd.compare_segments(FIRST, SECOND, TEST, segments) == rd.SegmentComparisons((), 3)
    ranked = rd.compare_segments(FIRST, SECOND, TEST, segments, metric="logloss")
    assert (len(ranked.found), ranked.skipped) == (1, 2)


def test_ratings_are_compared_by_their_expected_rating_the_higher_error_first() -> None:
    rng = np.random.default_rng(0)
    columns = {"row_id": np.arange(300), "stars": rng.integers(1, 4, 300), "kind": rng.choice(list("abc"), 300)}
    test = rd.Table(pa.table(columns), rd.Schema(rating="stars", grades=(1, 2, 3), categorical=("kind",)))
    first, second = rng.normal(size=(2, 300, 3))
    found = rd.compare_segments(first, second, test, rd.segments_of(test, train=test)).found
    assert len(found) == 3
    at_best = [one["low"] for one in found]
    assert at_best == sorted(at_best, reverse=True)
    rows = test.numpy("kind") == found[0]["segment"]
    expected = np.exp(first[rows]) @ [1, 2, 3] / np.exp(first[rows]).sum(1)
    assert found[0]["value_a"] == pytest.approx(rmse(expected, columns["stars"][rows]))
    assert (found[0]["users"], found[0]["positives"], found[0]["small"]) == (None, None, True)


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(DataError, match="unknown metric 'aucc'"):
        rd.compare_segments(FIRST, SECOND, TEST, [], metric="aucc")
    with pytest.raises(DataError, match="of the 900 test rows"):
        rd.compare_segments(FIRST[:, 1:], SECOND[:, 1:], TEST, [])


def test_few_users_or_few_clicks_are_small() -> None:
    rng = np.random.default_rng(0)
    table = {"row_id": np.arange(1000), "click": rng.integers(0, 2, 1000), "user": np.arange(1000) % 250}
    test = rd.Table(pa.table(table), rd.Schema(label="click", user="user"))
    assert not is_small(test)
    assert is_small(test.take(np.arange(1000) % 250 < 199))
    assert is_small(test.take((test.labels == 0) | (np.arange(1000) < 300)))
    assert not is_small(test.with_schema(replace(test.schema, user=None)))
