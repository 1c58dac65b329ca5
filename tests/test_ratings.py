"""Ratings measured: metrics against scikit-learn and slow references, paired intervals, and the item means."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, log_loss, mean_absolute_error, root_mean_squared_error

from recdistill.baselines import item_means
from recdistill.errors import DataError, UsageError
from recdistill.evaluation import TASKS, compare, compare_ratings, measure, measure_ratings, task
from recdistill.metrics import (
    CLASS_METRICS,
    RATING_METRICS,
    class_accuracy,
    expected_rating,
    logloss,
    macro_f1,
    mae,
    mean_difference,
    pointwise_logloss,
    probabilities,
    rmse,
    rmse_difference,
)
from recdistill.schema import Schema
from recdistill.tables import Table

GRADES = (1.0, 2.0, 3.5, 5.0)
SCHEMA = Schema(rating="stars", grades=GRADES, categorical=("user", "item"), user="user", item="item")
CLASSES = range(len(GRADES))

judged = st.lists(st.tuples(*[st.floats(-15, 15)] * len(GRADES), st.sampled_from(CLASSES)), min_size=1, max_size=12)


def rated(rows: int = 400, seed: int = 0) -> Table:
    rng = np.random.default_rng(seed)
    columns = {"user": rng.integers(0, 25, rows), "item": rng.integers(0, 12, rows), "stars": rng.choice(GRADES, rows)}
    return Table(pa.table(columns), SCHEMA)


def logits(table: Table, seed: int = 0) -> np.ndarray:
    """(rows, classes) logits that know something about the ratings."""
    noise = np.random.default_rng(seed).normal(size=(len(table), len(GRADES)))
    return noise + 1.5 * np.eye(len(GRADES))[table.labels.astype(int)]


# ---------------------------------------------------------------------------------------------- metrics


@given(judged)
def test_metrics_of_class_logits_are_scikit_learns(data: list[tuple[float, ...]]) -> None:
    array = np.array(data)
    scores, labels = array[:, :-1], array[:, -1].astype(int)
    best, p = scores.argmax(1), np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    np.testing.assert_allclose(probabilities(scores), p, rtol=1e-9)
    np.testing.assert_allclose(expected_rating(scores, GRADES), [sum(q * GRADES) for q in p], rtol=1e-9)
    assert class_accuracy(scores, labels) == accuracy_score(labels, best)
    assert macro_f1(scores, labels) == pytest.approx(
        f1_score(labels, best, labels=list(CLASSES), average="macro", zero_division=0)
    )
    assert logloss(scores, labels) == pytest.approx(log_loss(labels, p, labels=list(CLASSES)), rel=1e-6, abs=1e-6)
    slow = [-math.log(q[y]) for q, y in zip(p, labels, strict=True)]
    np.testing.assert_allclose(pointwise_logloss(scores, labels), slow, rtol=1e-9, atol=1e-12)


@given(st.lists(st.tuples(st.floats(-9, 9), st.sampled_from(GRADES)), min_size=1, max_size=12))
def test_metrics_of_predicted_ratings_are_scikit_learns(data: list[tuple[float, float]]) -> None:
    predicted, ratings = np.array(data).T
    assert rmse(predicted, ratings) == pytest.approx(root_mean_squared_error(ratings, predicted))
    assert mae(predicted, ratings) == pytest.approx(mean_absolute_error(ratings, predicted))


def test_a_class_that_nobody_names_counts_0_in_macro_f1() -> None:
    scores = np.eye(4)[[0, 0, 1]]
    assert macro_f1(scores, [0, 0, 1]) == pytest.approx(2 / 4)
    assert class_accuracy(np.zeros((3, 4)), [0, 0, 1]) == pytest.approx(2 / 3)  # of equal ones the lowest


def test_two_classes_with_logits_0_and_z_are_a_click() -> None:
    z = np.linspace(-40, 40, 9)
    labels = np.arange(9) % 2
    both = np.stack([np.zeros(9), z], 1)
    np.testing.assert_allclose(pointwise_logloss(both, labels), pointwise_logloss(z, labels), atol=1e-12)
    np.testing.assert_allclose(expected_rating(both, (0, 1)), 1 / (1 + np.exp(-z)), atol=1e-12)


@pytest.mark.parametrize("name", CLASS_METRICS)
@pytest.mark.parametrize(
    ("scores", "labels", "rule"),
    [
        ([[np.nan, 1.0]], [0], "class logits must be finite, got 1"),
        ([[0.0, 1.0]], [2], r"labels must be classes 0 to 1, got \[2.0\]"),
        ([[0.0, 1.0]], [0.5], r"labels must be classes 0 to 1, got \[0.5\]"),
        ([[0.0, 1.0]], [np.nan], r"labels must be classes 0 to 1, got \[nan\]"),
        ([[0.0, 1.0]], [0, 1], r"got logits.shape=\(1, 2\), labels.shape=\(2,\)"),
        ([[0.0], [1.0]], [0, 0], "classes > 1"),
        (np.zeros((0, 3)), [], "rows > 0"),
    ],
)
def test_bad_class_logits_are_named(name: str, scores: list[list[float]], labels: list[float], rule: str) -> None:
    with pytest.raises(DataError, match=rule):
        CLASS_METRICS[name](scores, labels)


@pytest.mark.parametrize("name", RATING_METRICS)
@pytest.mark.parametrize(
    ("predicted", "ratings", "rule"),
    [
        ([np.nan, 1.0], [1, 2], "predicted ratings must be finite, got 1"),
        ([0.0, 1.0], [1, np.nan], "^ratings must be finite, got 1"),
        ([], [], "rows > 0"),
        ([1.0], [1, 2], r"got predicted.shape=\(1,\), ratings.shape=\(2,\)"),
        ([[1.0]], [[1]], r"must be \(rows,\)"),
    ],
)
def test_bad_predicted_ratings_are_named(name: str, predicted: list[float], ratings: list[float], rule: str) -> None:
    with pytest.raises(DataError, match=rule):
        RATING_METRICS[name](predicted, ratings)


def test_an_expected_rating_needs_a_logit_per_grade() -> None:
    for shape in ((3, 2), (4,)):
        with pytest.raises(DataError, match=r"needs \(rows, 4\) logits, one per grade, got logits.shape="):
            expected_rating(np.zeros(shape), GRADES)
    assert expected_rating(np.zeros((2, 3, 4)), GRADES).shape == (2, 3)


# -------------------------------------------------------------------------------------------- intervals


def predictions(seed: int, users: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Two predictions, of which the first is much better; ratings; and users, whose rows err together."""
    rng = np.random.default_rng(seed)
    user = rng.integers(0, users, 1500)
    ratings = rng.choice(GRADES, 1500)
    errors = [scale * (rng.normal(size=users)[user] + rng.normal(size=1500)) for scale in (0.5, 1.5)]
    return ratings + errors[0], ratings + errors[1], ratings, user


def test_the_difference_of_rmses_is_exact_and_its_interval_that_of_a_bootstrap() -> None:
    a, b, ratings, user = predictions(0)
    found = rmse_difference(a, b, ratings, clusters=user)
    assert found.delta == pytest.approx(rmse(a, ratings) - rmse(b, ratings), abs=1e-12)
    members, rng, drawn = [np.flatnonzero(user == u) for u in np.unique(user)], np.random.default_rng(0), []
    for _ in range(1000):
        rows = np.concatenate([members[i] for i in rng.integers(0, len(members), len(members))])
        drawn.append(rmse(a[rows], ratings[rows]) - rmse(b[rows], ratings[rows]))
    assert found.high - found.low == pytest.approx(np.diff(np.quantile(drawn, [0.025, 0.975]))[0], rel=0.1)
    assert found.method == "t_cluster"
    turned = rmse_difference(b, a, ratings, clusters=user)
    assert (turned.delta, turned.low, turned.high) == pytest.approx((-found.delta, -found.high, -found.low))


def test_over_seeds_the_difference_of_rmses_is_the_mean_of_each_seeds() -> None:
    a, b, ratings, user = predictions(1)
    found = rmse_difference([a, b], [b, b], ratings, clusters=user)
    assert found.delta == pytest.approx((rmse(a, ratings) - rmse(b, ratings)) / 2)
    assert found.high - found.low > 4 * abs(found.delta)  # the seeds disagree


def test_equal_and_perfect_predictions_differ_by_nothing() -> None:
    a, _, ratings, user = predictions(2)
    assert rmse_difference(a, a, ratings, clusters=user).p == 1
    assert rmse_difference(ratings, ratings, ratings).delta == 0
    assert rmse_difference(ratings, a, ratings).delta == pytest.approx(-rmse(a, ratings))


def test_intervals_of_rmse_differences_cover() -> None:
    """The true difference is √2 − 1: errors with a user's part and a row's, once as they are, once √2 times wider."""
    inside = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        user = np.repeat(np.arange(50), 6)
        errors = [(rng.normal(size=50)[user] + rng.normal(size=300)) * scale for scale in (1.0, math.sqrt(0.5))]
        found = rmse_difference(*errors, np.zeros(300), clusters=user)
        inside += found.low <= math.sqrt(2) - 1 <= found.high
    assert 0.90 <= inside / 200 <= 0.99


# ------------------------------------------------------------------------------------------- evaluation


def test_the_schema_sets_the_task() -> None:
    assert task(SCHEMA) is TASKS["rating"]
    assert (SCHEMA.class_grades, replace(SCHEMA, label="click").class_grades) == (GRADES, ())
    assert (task(SCHEMA).headline, task(SCHEMA).higher_is_better) == ("rmse", False)
    assert task(Schema(label="click")) is task(Schema(rating="stars")) is TASKS["click"]
    assert (TASKS["click"].headline, TASKS["click"].higher_is_better) == ("auc", True)
    assert all(kind.headline in kind.compared for kind in TASKS.values())


def test_measure_is_the_metrics() -> None:
    test = rated()
    scores, stars = logits(test), test.numpy("stars")
    predicted = expected_rating(scores, GRADES)
    expected = {
        "rmse": rmse(predicted, stars),
        "mae": mae(predicted, stars),
        "accuracy": class_accuracy(scores, test.labels),
    }
    expected |= {"macro_f1": macro_f1(scores, test.labels), "logloss": logloss(scores, test.labels)}
    assert measure(scores, test).metrics == expected
    assert measure_ratings(predicted, test).metrics == {name: expected[name] for name in ("rmse", "mae")}


def test_compare_clusters_by_user_where_there_is_one() -> None:
    test = rated()
    scores, users, stars = [logits(test, seed) for seed in (0, 1)], test.numpy("user"), test.numpy("stars")
    predicted = [expected_rating(s, GRADES) for s in scores]
    expected = {
        "rmse": rmse_difference(*predicted, stars, clusters=users),
        "mae": mean_difference(*(abs(p - stars) for p in predicted), clusters=users),
        "logloss": mean_difference(*(pointwise_logloss(s, test.labels) for s in scores), clusters=users),
    }
    assert tuple(expected) == TASKS["rating"].compared
    for metric, found in expected.items():
        assert compare(*scores, test, metric) == {"metric": metric, "cluster": "user", **found.__dict__}
        over_seeds = compare(np.stack(scores), np.stack(scores[::-1]), test, metric)
        assert over_seeds["delta"] == pytest.approx(0, abs=1e-12)
    assert compare_ratings(*predicted, test, "mae") == compare(*scores, test, "mae")
    alone = Table(test.arrow, replace(SCHEMA, user=None))
    assert compare(*scores, alone, "rmse")["method"] == "t"


def test_scores_of_another_task_are_refused() -> None:
    test = rated()
    with pytest.raises(DataError, match=r"needs \(rows, 4\) logits, one per grade"):
        measure(np.zeros(len(test)), test)
    clicks = Table(test.arrow.append_column("click", pa.array(np.arange(len(test)) % 2)), Schema(label="click"))
    with pytest.raises(DataError, match=r"scores and labels must be \(rows,\)"):
        measure(logits(test)[:, :1], clicks)
    for metric in ("auc", "ndcg@10"):
        with pytest.raises(DataError, match=r"known for \('rmse', 'mae', 'logloss'\).*got"):
            compare(logits(test), logits(test), test, metric)
    with pytest.raises(DataError, match=r"compared by \('rmse', 'mae'\), got 'logloss'"):
        compare_ratings(np.zeros(len(test)), np.zeros(len(test)), test, "logloss")
    with pytest.raises(DataError, match="need a rating column"):
        measure_ratings(np.zeros(len(test)), clicks)
    with pytest.raises(DataError, match=r"^ratings must be finite, got 399"):
        measure_ratings(np.zeros(len(test)), test.with_labels_only(np.arange(len(test)) == 0))


# -------------------------------------------------------------------------------------------- item means


def slow_item_mean(train: Table, item: object, strength: float) -> float:
    """One item's mean over its rows and `strength` imaginary rows that hold the mean of all."""
    known = train.labelled
    overall = float(np.mean([r for r, k in zip(train.numpy("stars"), known, strict=True) if k]))
    own = [r for r, i, k in zip(train.numpy("stars"), train.numpy("item"), known, strict=True) if k and i == item]
    return (sum(own) + strength * overall) / (len(own) + strength) if own else overall


@pytest.mark.parametrize("strength", [0.0, 2.0, 5.0])
@pytest.mark.parametrize("text", [False, True])
def test_item_means_are_shrunk_to_the_mean_of_all(strength: float, text: bool) -> None:
    whole = rated(60)
    if text:
        names = pa.array([f"item {i}" for i in whole.numpy("item")])
        whole = Table(whole.arrow.set_column(whole.arrow.column_names.index("item"), "item", names), SCHEMA)
    items = whole.numpy("item")
    train = whole.take(items != items[0]).with_labels_only(
        np.random.default_rng(1).random((items != items[0]).sum()) < 0.5
    )
    found = item_means(train, whole.with_labels_only(np.zeros(60, dtype=bool)), strength=strength)
    np.testing.assert_allclose(found, [slow_item_mean(train, item, strength) for item in items], rtol=1e-12)
    assert found[0] == pytest.approx(np.nanmean(train.numpy("stars")))


def test_item_means_say_what_they_lack() -> None:
    table = rated(20)
    with pytest.raises(UsageError, match="must be 0 or more and finite, got strength=-1"):
        item_means(table, table, strength=-1)
    with pytest.raises(DataError, match="need a rating column to learn from, and an item column"):
        item_means(table, Table(table.arrow, replace(SCHEMA, item=None)))
    with pytest.raises(DataError, match="need rated rows, got none in 20 rows"):
        item_means(table.with_labels_only(np.zeros(20, dtype=bool)), table)
