"""The share of clicks on each side: as observed, and as the target's features alone imply it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from recdistill.shift.rows import FOLDS
from recdistill.shift.sides import Side, by_fold, fitted, without

Array = np.ndarray[Any, Any]
SINGULAR = 20.0  # the condition number from which on a predictor tells the classes too badly apart


@dataclass(frozen=True)
class LabelShift:
    """Base rates.

    Args:
        source_rate: the share of clicks among the source's labelled rows.
        target_rate: of the target's; None where none is labelled.
        weights: P_target(y) / P_source(y) of no click and of a click by BBSE; None where the source's features say too
            little of the label.
        implied_rate: the target's base rate by these weights: right where only the share of clicks differs, so that
            P(x | y) is the same. A change of the click rate that no feature shows cannot be seen by it.
    """

    source_rate: float
    target_rate: float | None
    weights: tuple[float, float] | None
    implied_rate: float | None


def bbse(predicted_source: Array, labels: Array, predicted_target: Array, *, classes: int = 2) -> Array | None:
    """Black-box shift estimation: w = C⁻¹ μ, P_target(y) / P_source(y) of each class, without target labels.

        C_ij = P_source(prediction = i, y = j)    μ_i = P_target(prediction = i)

    (Lipton, Wang and Smola 2018, "Detecting and correcting for label shift with black box predictors", equation 2.)

    DIFF: negative weights are taken as 0, and the weights are scaled so that the shares they imply sum to 1.

    Args:
        predicted_source: (rows,) predicted classes of source rows that the predictor did not see.
        labels: (rows,) their classes.
        predicted_target: (rows,) predicted classes of target rows.
        classes: how many there are.

    Returns:
        (classes,) weights; None where the predictor tells the classes too badly apart to invert C.
    """
    cells = np.asarray(predicted_source, int) * classes + np.asarray(labels, int)
    joint = np.bincount(cells, minlength=classes**2).reshape(classes, classes) / len(cells)
    mu = np.bincount(np.asarray(predicted_target, int), minlength=classes) / len(predicted_target)
    shares = joint.sum(0)
    if not shares.all() or np.linalg.cond(joint / shares) > SINGULAR:
        return None
    weights = np.maximum(np.linalg.solve(joint, mu), 0)
    return np.asarray(weights / (weights @ shares))


def label_shift(source: Side, clicks: Array, target: Side, target_rate: float | None) -> LabelShift:
    """Base rates, observed and implied.

    The predictor is a logistic regression on the shared columns, trained on the source's other folds; what it finds
    likelier than the source's base rate it predicts to be a click.

    Args:
        source: labelled rows.
        clicks: (rows,) whether each is a click, both kinds among them.
        target: rows, labelled or not.
        target_rate: the share of clicks among the target's labelled rows, where there are some.
    """
    rate = float(clicks.mean())
    models = [fitted(source.inputs[rows], clicks[rows]) for rows in (without(source, k) for k in range(FOLDS))]
    cut = np.log(rate / (1 - rate))
    predicted = [by_fold(models, side) > cut for side in (source, target)]
    weights = bbse(predicted[0], clicks, predicted[1])
    if weights is None:
        return LabelShift(rate, target_rate, None, None)
    return LabelShift(rate, target_rate, (float(weights[0]), float(weights[1])), float(weights[1] * rate))
