"""Evaluation on the test rows: every metric of a ranker, and paired differences between rankers."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from recdistill.errors import DataError
from recdistill.metrics import (
    METRICS,
    RANKING,
    PerList,
    auc_difference,
    mean_difference,
    ndcg_at_k,
    pointwise_logloss,
)
from recdistill.tables import Table

Floats = np.ndarray[Any, Any]
COMPARED = ("auc", "logloss", "ndcg@10")


def measure(scores: Floats, test: Table, *, threshold: float, k: int = 10) -> dict[str, float]:
    """Every metric of one ranker's scores.

    Args:
        scores: (rows,) logits for the test rows.
        test: labelled rows.
        threshold: logit from which a row counts as a click; chosen on validation rows.
        k: depth of the ranking metrics.

    Raises:
        DataError: no rows, or labels of one class.
    """
    labels = test.labels
    values = {name: METRICS[name](scores, labels) for name in ("auc", "logloss")}
    values |= {n: METRICS[n](scores, labels, threshold=threshold) for n in ("accuracy", "precision", "recall", "f1")}
    if test.schema.user is not None:
        users = test.numpy(test.schema.user)
        for name, metric in RANKING.items():
            found = metric(scores, labels, users) if name == "gauc_mean" else _at(metric, scores, labels, users, k)
            values[name if name in ("mrr", "gauc_mean") else f"{name}@{k}"] = found.mean
    return values


def compare(first: Floats, second: Floats, test: Table, metric: str) -> dict[str, Any]:
    """The paired difference of two rankers in one metric, as `report.json` holds it (without the names).

    Args:
        first, second: (seeds, rows) logits on the same test rows.
        test: labelled rows; with a user column, rows cluster by user.
        metric: "auc", "logloss" or "ndcg@10".

    Raises:
        DataError: the metric has no paired interval, or needs a user column.
    """
    user = test.schema.user
    users = None if user is None else test.numpy(user)
    labels = test.labels
    if metric == "auc":
        found = auc_difference(first, second, labels, clusters=users)
    elif metric == "logloss":
        losses = [np.stack([pointwise_logloss(s, labels) for s in scores]) for scores in (first, second)]
        found = mean_difference(losses[0], losses[1], clusters=users)
    elif metric == "ndcg@10" and users is not None:
        values = [np.stack([ndcg_at_k(s, labels, users).values for s in scores]) for scores in (first, second)]
        found = mean_difference(values[0], values[1], unit="list")
    else:
        raise DataError(f"paired intervals are known for {COMPARED} (ndcg@10 needs a user column), got {metric!r}")
    return {"metric": metric, **asdict(found), "cluster": user}


def _at(metric: Any, scores: Floats, labels: Floats, users: Floats, k: int) -> PerList:
    found: PerList = metric(scores, labels, users, k=k)
    return found
