"""Metrics: `(scores, labels, *, …)`; ranking metrics give one value per list."""

from __future__ import annotations

from collections.abc import Callable

from recdistill.metrics.bootstrap import bootstrap_difference
from recdistill.metrics.calibration import (
    ReliabilityBins,
    calibration_p,
    expected_calibration_error,
    normalised_entropy,
    reliability,
)
from recdistill.metrics.classification import (
    accuracy,
    auc,
    best_threshold,
    f1,
    pr_auc,
    precision,
    recall,
    tied_pairs,
)
from recdistill.metrics.comparison import Comparison, holm, over_seeds
from recdistill.metrics.delong import auc_difference
from recdistill.metrics.fidelity import agreement, mean_kl, overlap_at_k, rank_correlation
from recdistill.metrics.likelihood import brier, logloss, pointwise_logloss
from recdistill.metrics.means import mean_difference, rmse_difference
from recdistill.metrics.per_list import PerList
from recdistill.metrics.power import rows_needed
from recdistill.metrics.ranking import (
    average_precision,
    grouped_auc,
    hit_at_k,
    mrr,
    ndcg_at_k,
    precision_at_k,
    ranking_metrics,
    recall_at_k,
)
from recdistill.metrics.ratings import (
    absolute_errors,
    class_accuracy,
    expected_rating,
    macro_f1,
    mae,
    probabilities,
    rmse,
)
from recdistill.metrics.top_k import Exposure, exposure, top_k_chances

METRICS: dict[str, Callable[..., float]] = {
    "auc": auc,
    "pr_auc": pr_auc,
    "logloss": logloss,
    "brier": brier,
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
    "Exposure",
    "PerList",
    "ReliabilityBins",
    "absolute_errors",
    "accuracy",
    "agreement",
    "auc",
    "auc_difference",
    "average_precision",
    "best_threshold",
    "bootstrap_difference",
    "brier",
    "calibration_p",
    "class_accuracy",
    "expected_calibration_error",
    "expected_rating",
    "exposure",
    "f1",
    "grouped_auc",
    "hit_at_k",
    "holm",
    "logloss",
    "macro_f1",
    "mae",
    "mean_difference",
    "mean_kl",
    "mrr",
    "ndcg_at_k",
    "normalised_entropy",
    "over_seeds",
    "overlap_at_k",
    "pointwise_logloss",
    "pr_auc",
    "precision",
    "precision_at_k",
    "probabilities",
    "rank_correlation",
    "ranking_metrics",
    "recall",
    "recall_at_k",
    "reliability",
    "rmse",
    "rmse_difference",
    "rows_needed",
    "tied_pairs",
    "top_k_chances",
]
