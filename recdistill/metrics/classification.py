"""Pointwise metrics of click logits against 0/1 labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from recdistill.errors import DataError

Array = np.ndarray[Any, Any]


def checked(scores: Any, labels: Any) -> tuple[Array, Array]:
    """Scores and labels as float64, `(rows,)` each.

    Raises:
        DataError: they are empty, differ in length, or hold a score that is not finite or a label outside {0, 1}.
    """
    scores, labels = np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    if scores.shape != labels.shape or scores.ndim != 1 or not len(scores):
        raise DataError(f"scores and labels must be (rows,), rows > 0, got {scores.shape=}, {labels.shape=}")
    if not np.isfinite(scores).all():
        raise DataError(f"scores must be finite, got {int((~np.isfinite(scores)).sum())} that are not")
    wrong = (labels != 0) & (labels != 1)
    if wrong.any():
        raise DataError(f"labels must be 0 or 1, got {np.unique(labels[wrong])[:3].tolist()}")
    return scores, labels


def auc(scores: Any, labels: Any) -> float:
    """Area under the ROC curve; tied pairs count half.

    Args:
        scores: (rows,) any increasing function of the probability.
        labels: (rows,) 0 or 1.

    Raises:
        DataError: bad input, or labels of one class only.
    """
    scores, labels = checked(scores, labels)
    if labels.min() == labels.max():
        raise DataError(f"AUC needs both classes, got only {int(labels[0])} in {len(labels)} rows")
    return float(roc_auc_score(labels, scores))


def pr_auc(scores: Any, labels: Any) -> float:
    """Area under the precision-recall curve: average precision, Σ (recallₙ − recallₙ₋₁) · precisionₙ over thresholds.

    scikit-learn's: rows of one score are taken together, so a constant score gives the share of clicks.

    Args:
        scores: (rows,) any increasing function of the probability.
        labels: (rows,) 0 or 1.

    Raises:
        DataError: bad input, or no click.
    """
    scores, labels = checked(scores, labels)
    if not labels.any():
        raise DataError(f"PR-AUC needs a click, got none in {len(labels)} rows")
    return float(average_precision_score(labels, scores))


def tied_pairs(scores: Any, labels: Any) -> float:
    """Share of the pairs of a click and a non-click that have one score: those that AUC counts half.

    Args:
        scores: (rows,).
        labels: (rows,) 0 or 1.

    Returns:
        In [0, 1]; 0 without a pair.

    Raises:
        DataError: bad input.
    """
    scores, labels = checked(scores, labels)
    group = np.unique(scores, return_inverse=True)[1]
    rows, clicks = np.bincount(group), np.bincount(group, weights=labels)
    return _ratio((clicks * (rows - clicks)).sum(), labels.sum() * (1 - labels).sum())


def accuracy(scores: Any, labels: Any, *, threshold: float = 0.0) -> float:
    """Share of `(rows,)` logits on their label's side of the threshold (at or above it is a click)."""
    scores, labels = checked(scores, labels)
    return float(((scores >= threshold) == labels).mean())


def precision(scores: Any, labels: Any, *, threshold: float = 0.0) -> float:
    """Share of clicks among the `(rows,)` logits at or above the threshold; 0 where there are none."""
    scores, labels = checked(scores, labels)
    return _ratio((labels * (scores >= threshold)).sum(), (scores >= threshold).sum())


def recall(scores: Any, labels: Any, *, threshold: float = 0.0) -> float:
    """Share of the clicks whose `(rows,)` logit is at or above the threshold; 0 without clicks."""
    scores, labels = checked(scores, labels)
    return _ratio((labels * (scores >= threshold)).sum(), labels.sum())


def f1(scores: Any, labels: Any, *, threshold: float = 0.0) -> float:
    """Harmonic mean of precision and recall at a threshold on `(rows,)` logits; 0 without true positives."""
    scores, labels = checked(scores, labels)
    return _ratio(2 * (labels * (scores >= threshold)).sum(), (scores >= threshold).sum() + labels.sum())


def best_threshold(scores: Any, labels: Any) -> float:
    """The threshold on `(rows,)` logits with the highest F1; the lowest of several equal ones.

    Choose it on validation rows, never on test rows.
    """
    scores, labels = checked(scores, labels)
    order = np.argsort(-scores, kind="stable")
    hits, taken = np.cumsum(labels[order]), np.arange(1, len(order) + 1)
    last_of_tie = np.append(np.diff(scores[order]) != 0, True)
    values = np.where(last_of_tie, 2 * hits / (taken + labels.sum()), -1.0)
    return float(scores[order][len(values) - 1 - int(np.argmax(values[::-1]))])


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else 0.0
