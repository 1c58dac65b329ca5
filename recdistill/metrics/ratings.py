"""Pointwise metrics of ratings: of class logits against classes, of predicted ratings against ratings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import softmax

from recdistill.errors import DataError
from recdistill.metrics.classification import Array


def checked_classes(logits: Any, labels: Any) -> tuple[Array, Array]:
    """Logits as float64 and labels as integers, `(rows, classes)` and `(rows,)`.

    Raises:
        DataError: they are empty, do not fit, or hold a logit that is not finite or a label that is no class.
    """
    logits, labels = np.asarray(logits, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    if logits.ndim != 2 or logits.shape[1] < 2 or labels.shape != logits.shape[:1] or not len(labels):
        raise DataError(
            "class logits must be (rows, classes), classes > 1, with (rows,) labels, rows > 0, "
            f"got {logits.shape=}, {labels.shape=}"
        )
    if not np.isfinite(logits).all():
        raise DataError(f"class logits must be finite, got {int((~np.isfinite(logits)).sum())} that are not")
    wrong = labels[~np.isin(labels, np.arange(logits.shape[1]))]
    if len(wrong):
        raise DataError(f"labels must be classes 0 to {logits.shape[1] - 1}, got {np.unique(wrong)[:3].tolist()}")
    return logits, labels.astype(np.int64)


def probabilities(logits: Any) -> Array:
    """The softmax over the last axis: `(rows, classes) -> (rows, classes)`."""
    return np.asarray(softmax(np.asarray(logits, dtype=np.float64), axis=-1))


def expected_rating(logits: Any, grades: Sequence[float]) -> Array:
    """Each row's mean grade under its class probabilities: `(rows, classes) -> (rows,)`.

    Args:
        logits: (rows, classes), or (seeds, rows, classes).
        grades: the rating of each class.

    Raises:
        DataError: there is not one logit per grade.
    """
    logits = np.asarray(logits, dtype=np.float64)
    if logits.ndim < 2 or logits.shape[-1] != len(grades):
        raise DataError(f"an expected rating needs (rows, {len(grades)}) logits, one per grade, got {logits.shape=}")
    return probabilities(logits) @ np.asarray(grades, dtype=np.float64)


def rmse(predicted: Any, ratings: Any) -> float:
    """Root of the mean squared error of `(rows,)` predicted ratings."""
    return float(np.sqrt((_errors(predicted, ratings) ** 2).mean()))


def mae(predicted: Any, ratings: Any) -> float:
    """Mean absolute error of `(rows,)` predicted ratings."""
    return float(absolute_errors(predicted, ratings).mean())


def absolute_errors(predicted: Any, ratings: Any) -> Array:
    """How far each predicted rating is off: `(rows,), (rows,) -> (rows,)`."""
    return np.abs(_errors(predicted, ratings))


def linearised_rmse(predicted: Any, ratings: Any) -> Array:
    """Values whose mean is the RMSE, and that of it to first order in any resample: `(rows,), (rows,) -> (rows,)`.

    With r = √mean(e²), each is r + (e² − r²)/2r: the delta method, √ replaced by its tangent at r².
    """
    squares = _errors(predicted, ratings) ** 2
    root = np.sqrt(squares.mean())
    return (squares / root + root) / 2 if root else squares


def class_accuracy(logits: Any, labels: Any) -> float:
    """Share of rows whose most probable class is their label: `(rows, classes)` logits; the lowest of equal ones."""
    logits, labels = checked_classes(logits, labels)
    return float((logits.argmax(1) == labels).mean())


def macro_f1(logits: Any, labels: Any) -> float:
    """The plain mean over all classes of the F1 of the most probable class: `(rows, classes)` logits.

    A class that is neither among the labels nor among the predictions counts 0.
    """
    logits, labels = checked_classes(logits, labels)
    classes, predicted = logits.shape[1], logits.argmax(1)
    hits = np.bincount(labels[predicted == labels], minlength=classes)
    named = np.bincount(predicted, minlength=classes) + np.bincount(labels, minlength=classes)
    return float((2 * hits / np.maximum(1, named)).mean())


def _errors(predicted: Any, ratings: Any) -> Array:
    predicted, ratings = np.asarray(predicted, dtype=np.float64), np.asarray(ratings, dtype=np.float64)
    if predicted.shape != ratings.shape or predicted.ndim != 1 or not len(predicted):
        raise DataError(
            f"predicted ratings and ratings must be (rows,), rows > 0, got {predicted.shape=}, {ratings.shape=}"
        )
    for name, values in (("predicted ratings", predicted), ("ratings", ratings)):
        if not np.isfinite(values).all():
            raise DataError(f"{name} must be finite, got {int((~np.isfinite(values)).sum())} that are not")
    return predicted - ratings
