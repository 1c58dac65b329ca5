"""Metrics: `(scores, labels, *, …)`; ranking metrics give one value per list."""

from __future__ import annotations

from collections.abc import Callable

from recdistill.metrics.classification import (
    accuracy,
    auc,
    best_threshold,
    f1,
    logloss,
    pointwise_logloss,
    precision,
    recall,
)
from recdistill.metrics.intervals import Comparison, auc_difference, mean_difference
from recdistill.metrics.power import rows_needed
from recdistill.metrics.ranking import PerList, grouped_auc, mrr, ndcg_at_k, recall_at_k

METRICS: dict[str, Callable[..., float]] = {
    "auc": auc,
    "logloss": logloss,
    "accuracy": accuracy,
    "precision": precision,
    "recall": recall,
    "f1": f1,
}
__all__ = [
    "METRICS",
    "Comparison",
    "PerList",
    "accuracy",
    "auc",
    "auc_difference",
    "best_threshold",
    "f1",
    "grouped_auc",
    "logloss",
    "mean_difference",
    "mrr",
    "ndcg_at_k",
    "pointwise_logloss",
    "precision",
    "recall",
    "recall_at_k",
    "rows_needed",
]
