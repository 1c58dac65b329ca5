"""Logloss: of clicks from one logit per row, of ratings from one logit per class."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import log_softmax

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
