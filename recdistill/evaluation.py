"""Evaluation on the test rows: every metric of a ranker, and paired differences between rankers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from recdistill.errors import DataError, UsageError, nearest
from recdistill.metrics import (
    CLASS_METRICS,
    METRICS,
    RATING_METRICS,
    absolute_errors,
    auc_difference,
    bootstrap_difference,
    expected_rating,
    mean_difference,
    ndcg_at_k,
    pointwise_logloss,
    pr_auc,
    ranking_metrics,
    rmse_difference,
)
from recdistill.ranker import Ranker
from recdistill.schema import Schema
from recdistill.tables import Table

Floats = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Task:
    """What rankers are measured by, first of all.

    Args:
        headline: the metric that an answer is given in.
        higher_is_better: whether more of it is.
        compared: the metrics with paired intervals.
    """

    headline: str
    higher_is_better: bool
    compared: tuple[str, ...]


TASKS = {
    "click": Task("auc", True, ("auc", "logloss", "ndcg@10")),
    "rating": Task("rmse", False, ("rmse", "mae", "logloss")),
}


def task(schema: Schema) -> Task:
    """The task that a schema's rows set."""
    return TASKS["click" if schema.classes == 1 else "rating"]


def more_is_better(schema: Schema, metric: str) -> bool:
    """Whether a larger value of a metric that rankers are compared by is the better one."""
    return task(schema).higher_is_better and metric != "logloss"


@dataclass(frozen=True)
class Measured:
    """One ranker on the test rows.

    Args:
        metrics: by name; ranking metrics are means over users, and absent where no user has a value.
        skipped: per ranking metric, the users without a value: no click, or for grouped AUC only one class.
    """

    metrics: dict[str, float]
    skipped: dict[str, int]


def measure(scores: Floats, test: Table, *, threshold: float = 0.0, k: int = 10) -> Measured:
    """Every metric of one ranker's scores.

    Args:
        scores: (rows,) logits for the test rows; (rows, classes) for ratings.
        test: labelled rows.
        threshold: logit from which a row counts as a click; chosen on validation rows.
        k: depth of recall@k, precision@k, hit@k and NDCG@k.

    Raises:
        DataError: no rows, unlabelled rows, scores of another task, or clicks of one class.
    """
    labels = test.labels
    if test.schema.classes > 1:
        found = measure_ratings(expected_rating(scores, test.schema.grades), test).metrics
        return Measured(found | {name: metric(scores, labels) for name, metric in CLASS_METRICS.items()}, {})
    values = {name: METRICS[name](scores, labels) for name in ("auc", "pr_auc", "logloss", "brier")}
    values |= {n: METRICS[n](scores, labels, threshold=threshold) for n in ("accuracy", "precision", "recall", "f1")}
    if test.schema.user is None:
        return Measured(values, {})
    users = test.numpy(test.schema.user)
    ranked = ranking_metrics(scores, labels, users, k=k)
    grouped = ranked.pop("gauc")
    values |= {name: found.mean for name, found in ranked.items() if len(found.values)}
    if len(grouped.values):
        values |= {"gauc_mean": grouped.mean} | {f"gauc_{by}": grouped.mean_by(by) for by in grouped.weights}
    skipped = {name: found.skipped for name, found in ranked.items()}
    return Measured(values, skipped | {"gauc_mean": grouped.skipped})


def measure_ratings(predicted: Floats, test: Table) -> Measured:
    """RMSE and MAE of `(rows,)` predicted ratings, such as a baseline's.

    Raises:
        DataError: no rating column, no rows, or a rating that is missing.
    """
    ratings = _ratings(test)
    return Measured({name: metric(predicted, ratings) for name, metric in RATING_METRICS.items()}, {})


def compare(first: Floats, second: Floats, test: Table, metric: str) -> dict[str, Any]:
    """The paired difference of two rankers in one metric, as `report.json` holds it (without the names).

    Args:
        first, second: (rows,) or (seeds, rows) logits on the same test rows; for ratings with classes as a last axis.
        test: labelled rows; with a user column, rows cluster by user.
        metric: "auc", "logloss", "ndcg@10" or "pr_auc" (which takes a while, for it is resampled); for ratings "rmse",
            "mae" or "logloss".

    Raises:
        DataError: the metric has no paired interval, or needs a user column.
    """
    if test.schema.classes > 1 and metric in RATING_METRICS:
        grades = test.schema.grades
        return compare_ratings(expected_rating(first, grades), expected_rating(second, grades), test, metric)
    row_axes = 1 if test.schema.classes == 1 else 2
    first, second = (s[None] if s.ndim == row_axes else s for s in map(np.asarray, (first, second)))
    user, labels = test.schema.user, test.labels
    users = None if user is None else test.numpy(user)
    if metric == "logloss":
        losses = [np.stack([pointwise_logloss(s, labels) for s in scores]) for scores in (first, second)]
        found = mean_difference(losses[0], losses[1], clusters=users)
    elif metric == "auc" and row_axes == 1:
        found = auc_difference(first, second, labels, clusters=users)
    elif metric == "pr_auc" and row_axes == 1:
        found = bootstrap_difference(pr_auc, first, second, labels, clusters=users)
    elif metric == "ndcg@10" and row_axes == 1 and users is not None:
        values = [np.stack([ndcg_at_k(s, labels, users).values for s in scores]) for scores in (first, second)]
        found = mean_difference(values[0], values[1], unit="list")
    else:
        known = task(test.schema).compared
        raise DataError(f"paired intervals are known for {known} (ndcg@10 needs a user column), got {metric!r}")
    return {"metric": metric, **asdict(found), "cluster": user}


def compare_ratings(first: Floats, second: Floats, test: Table, metric: str) -> dict[str, Any]:
    """The paired difference of two predictions of the same ratings, as `compare` gives it.

    Args:
        first, second: (rows,) or (seeds, rows) predicted ratings on the same test rows.
        test: rated rows; with a user column, rows cluster by user.
        metric: "rmse" or "mae".

    Raises:
        DataError: the metric is neither, or a rating is missing.
    """
    ratings, user = _ratings(test), test.schema.user
    users = None if user is None else test.numpy(user)
    if metric == "rmse":
        found = rmse_difference(first, second, ratings, clusters=users)
    elif metric == "mae":
        errors = [np.stack([absolute_errors(p, ratings) for p in np.atleast_2d(side)]) for side in (first, second)]
        found = mean_difference(errors[0], errors[1], clusters=users)
    else:
        raise DataError(f"predicted ratings are compared by {tuple(RATING_METRICS)}, got {metric!r}")
    return {"metric": metric, **asdict(found), "cluster": user}


def _ratings(test: Table) -> Floats:
    if test.schema.rating is None:
        raise DataError("rating errors need a rating column, got a schema without one")
    return test.numpy(test.schema.rating)


def evaluate(
    rankers: Mapping[str, Ranker],
    test: Table,
    *,
    against: str | None = None,
    metrics: Sequence[str] | None = None,
    thresholds: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Several rankers on the same test rows, and their paired differences to one of them.

    Args:
        rankers: by name.
        test: labelled rows.
        against: the ranker that the others are compared with; the last one by default.
        metrics: those to keep; all by default.
        thresholds: logits from which a row counts as a click, chosen on validation rows; 0 where there is none.

    Returns:
        As in `report.json`,
        {"rankers": {name: {"params", "bytes", "metrics"}}, "comparisons": [...]}.

    Raises:
        UsageError: no rankers, or an unknown name or metric.
        DataError: no rows, unlabelled rows, scores of another task, or clicks of one class.
    """
    if not rankers:
        raise UsageError("an evaluation needs at least one ranker, got none")
    against = list(rankers)[-1] if against is None else against
    if against not in rankers:
        raise UsageError(f"no ranker {against!r} to compare with, {nearest(against, rankers)}")
    scores = {name: ranker.score(test).astype(np.float64) for name, ranker in rankers.items()}
    entries: dict[str, dict[str, Any]] = {}
    for name, ranker in rankers.items():
        found = measure(scores[name], test, threshold=(thresholds or {}).get(name, 0.0)).metrics
        for metric in metrics or ():
            if metric not in found:
                raise UsageError(f"unknown metric {metric!r}, {nearest(metric, found)}")
        kept = {metric: found[metric] for metric in metrics or found}
        entries[name] = {"params": ranker.parameters, "bytes": ranker.bytes, "metrics": kept}
    compared = [m for m in task(test.schema).compared if m in entries[against]["metrics"]]
    comparisons = [
        {"a": name, "b": against, **compare(scores[name], scores[against], test, metric)}
        for name in rankers
        if name != against
        for metric in compared
    ]
    return {"rankers": entries, "comparisons": comparisons}
