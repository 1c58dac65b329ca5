"""Logloss of click logits and of class logits; the Brier score of click logits."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit, log_softmax

from recdistill.metrics.classification import Array, checked
from recdistill.metrics.ratings import checked_classes


def pointwise_logloss(scores: Any, labels: Any) -> Array:
    """Each row's negative log-likelihood, `(rows,)` in nats.

    Args:
        scores: (rows,) click logits, or (rows, classes) class logits.
        labels: (rows,) 0 or 1, or classes.
    """
    if np.ndim(scores) == 2:
        logits, classes = checked_classes(scores, labels)
        return np.asarray(-log_softmax(logits, axis=1)[np.arange(len(classes)), classes])
    scores, labels = checked(scores, labels)
    return np.logaddexp(0, scores) - labels * scores


def logloss(scores: Any, labels: Any) -> float:
    """Mean negative log-likelihood of `(rows,)` click logits or `(rows, classes)` class logits, in nats."""
    return float(pointwise_logloss(scores, labels).mean())


def brier(scores: Any, labels: Any) -> float:
    """Mean squared distance of the click probabilities of `(rows,)` logits from the labels (Brier 1950).

    DIFF: half of the paper's, which sums over click and no click.
    """
    scores, labels = checked(scores, labels)
    return float(((expit(scores) - labels) ** 2).mean())
