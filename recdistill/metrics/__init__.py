"""Metrics: `(scores, labels, *, …)`; ranking metrics give one value per list."""

from __future__ import annotations

from collections.abc import Callable

from recdistill.metrics.calibration import (
    ReliabilityBins,
    calibration_p,
    expected_calibration_error,
    normalised_entropy,
    reliability,
)
from recdistill.metrics.classification import accuracy, auc, best_threshold, f1, precision, recall
from recdistill.metrics.intervals import Comparison, auc_difference, holm, mean_difference, over_seeds, rmse_difference
from recdistill.metrics.likelihood import logloss, pointwise_logloss
from recdistill.metrics.power import rows_needed
from recdistill.metrics.ranking import PerList, grouped_auc, mrr, ndcg_at_k, recall_at_k
from recdistill.metrics.ratings import (
    absolute_errors,
    class_accuracy,
    expected_rating,
    macro_f1,
    mae,
    probabilities,
    rmse,
)

METRICS: dict[str, Callable[..., float]] = {
    "auc": auc,
    "logloss": logloss,
    "accuracy": accuracy,
    "precision": precision,
    "recall": recall,
    "f1": f1,
    "ece": expected_calibration_error,
    "normalised_entropy": normalised_entropy,
}
# Of ratings: of (rows, classes) logits against classes, and of (rows,) predicted ratings against ratings.
CLASS_METRICS: dict[str, Callable[..., float]] = {
    "accuracy": class_accuracy,
    "macro_f1": macro_f1,
    "logloss": logloss,
}
RATING_METRICS: dict[str, Callable[..., float]] = {"rmse": rmse, "mae": mae}

__all__ = [
    "CLASS_METRICS",
    "METRICS",
    "RATING_METRICS",
    "Comparison",
    "PerList",
    "ReliabilityBins",
    "absolute_errors",
    "accuracy",
    "auc",
    "auc_difference",
    "best_threshold",
    "calibration_p",
    "class_accuracy",
    "expected_calibration_error",
    "expected_rating",
    "f1",
    "grouped_auc",
    "holm",
    "logloss",
    "macro_f1",
    "mae",
    "mean_difference",
    "mrr",
    "ndcg_at_k",
    "normalised_entropy",
    "over_seeds",
    "pointwise_logloss",
    "precision",
    "probabilities",
    "recall",
    "recall_at_k",
    "reliability",
    "rmse",
    "rmse_difference",
    "rows_needed",
]
