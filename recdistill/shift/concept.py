"""Whether P(click | row) differs between the sides, by a constant (the base rate) or in what acts on it (the concept).

Two models of the click are compared on target rows of users that neither saw. Both learn from the source's rows and
the other target rows:

    shared:  logit P(click | x, domain) = w·x + a·[target]
    own:     logit P(click | x, domain) = w·x + a·[target] + v·x·[target]

the inputs with copies of their own for a domain (Daumé III 2007, "Frustratingly easy domain adaptation"). The first
is right where only the base rate differs; that the second predicts better is a concept shift. That both learn from the
target's rows is what keeps an item that is rare in the source and popular in the target from looking like one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from scipy.special import expit

from recdistill.metrics import pointwise_logloss
from recdistill.shift.rows import FOLDS, clustered_error
from recdistill.shift.sides import Side, fitted

Array = np.ndarray[Any, Any]
FREE = 10.0  # the domain's input: its weight is hardly held back
OWN = 0.25  # copies: what is the domain's own is held back more than what is shared
Z = 1.959964  # of a 95 % interval


@dataclass(frozen=True)
class ConceptShift:
    """What target labels say of P(click | row).

    Args:
        base_rate: a, the difference in log odds of a click between a target row and a source row that are alike in all
            shared columns. A target with other users and items has another raw click rate, and yet a = 0.
        base_rate_low, base_rate_high: its 95 % interval, over users.
        gain: how much the target's own effects lower the log loss on held-out target rows, as a share of the entropy of
            their base rate; below 0 where there is nothing to learn but noise.
        gain_low, gain_high: its 95 % interval, over users.
        rows: labelled target rows that were judged.
    """

    base_rate: float
    base_rate_low: float
    base_rate_high: float
    gain: float
    gain_low: float
    gain_high: float
    rows: int


def concept_shift(source: Side, source_clicks: Array, target: Side, target_clicks: Array) -> ConceptShift:
    """Compare both models, cross-fitted over folds of users.

    Args:
        source, target: labelled rows.
        source_clicks, target_clicks: (rows,) whether each is a click.
    """
    inputs = sparse.vstack([source.inputs, target.inputs], format="csr")
    is_target = np.repeat([False, True], [len(source), len(target)])
    fold, unit = (np.concatenate(pair) for pair in ((source.fold, target.fold), (source.unit, target.unit)))
    clicks = np.concatenate([source_clicks, target_clicks]).astype(np.int64)
    known = sparse.hstack([inputs, sparse.csr_matrix(FREE * is_target[:, None])], format="csr")
    copies = sparse.vstack([sparse.csr_matrix(source.inputs.shape), OWN * target.inputs])
    whole = sparse.hstack([known, copies], format="csr")
    shared, own, constants = np.zeros(len(clicks)), np.zeros(len(clicks)), []
    for number in range(FOLDS):
        rest, held = fold != number, fold == number
        if not held.any():
            continue
        models = fitted(known[rest], clicks[rest]), fitted(whole[rest], clicks[rest])
        shared[held], own[held] = models[0].decision_function(known[held]), models[1].decision_function(whole[held])
        constants.append(FREE * float(models[0].coef_[0, -1]))
    gain = pointwise_logloss(shared[is_target], target_clicks) - pointwise_logloss(own[is_target], target_clicks)
    entropy = entropy_of(float(target_clicks.mean()))
    size, error = gain.mean() / entropy, clustered_error(gain - gain.mean(), target.unit) / len(gain) / entropy
    constant, width = float(np.mean(constants)), Z * _constant_error(shared, clicks, is_target, unit)
    return ConceptShift(
        base_rate=constant,
        base_rate_low=constant - width,
        base_rate_high=constant + width,
        gain=float(size),
        gain_low=float(size - Z * error),
        gain_high=float(size + Z * error),
        rows=len(target),
    )


def entropy_of(rate: float) -> float:
    """The entropy of a base rate in nats, the log loss of who knows it alone.

    >>> round(entropy_of(0.5), 4)
    0.6931
    """
    return float(-(rate * np.log(rate) + (1 - rate) * np.log(1 - rate)))


def _constant_error(logits: Array, clicks: Array, is_target: Array, unit: Array) -> float:
    """The standard error of the domain's constant: of each side the sandwich of a logistic intercept, added up."""
    variance = 0.0
    for side in (is_target, ~is_target):
        chance = expit(logits[side])
        variance += (clustered_error(clicks[side] - chance, unit[side]) / (chance * (1 - chance)).sum()) ** 2
    return float(np.sqrt(variance))
