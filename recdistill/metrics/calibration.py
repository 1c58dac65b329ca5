"""Calibration: whether probabilities are what they say, and how much they say beyond the base rate."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import stats
from scipy.special import expit

from recdistill.errors import DataError
from recdistill.metrics.classification import Array, checked
from recdistill.metrics.likelihood import logloss
from recdistill.metrics.ratings import checked_classes, probabilities


class ReliabilityBins(NamedTuple):
    """Rows by how probable they were said to be, the least probable bin first.

    Args:
        rows: (bins,) how many each has.
        said: (bins,) their mean probability.
        found: (bins,) the share of them of which it was true.
    """

    rows: Array
    said: Array
    found: Array


def reliability(scores: Any, labels: Any, *, bins: int = 15) -> ReliabilityBins:
    """What a reliability diagram draws (Guo et al. 2017, arXiv:1706.04599, section 2).

    DIFF: bins have equally many rows, not equally wide ranges: most click probabilities are small, and would all be in
    the paper's first bin. Rows of one probability stay together.

    Args:
        scores: (rows,) click logits, each row's chance of a click is judged; or (rows, classes) class logits, the
            chance of the most probable class is.
        labels: (rows,) 0 or 1, or classes.
        bins: at most.

    Raises:
        DataError: bad input.
        ValueError: there are no bins.
    """
    if bins < 1:
        raise ValueError(f"a reliability diagram needs at least 1 bin, got {bins=}")
    if np.ndim(scores) == 2:
        logits, classes = checked_classes(scores, labels)
        said, found = probabilities(logits).max(1), (logits.argmax(1) == classes).astype(np.float64)
    else:
        logits, found = checked(scores, labels)
        said = expit(logits)
    edges = np.quantile(said, np.arange(1, bins) / bins, method="higher")
    number = np.unique(np.searchsorted(edges, said, side="right"), return_inverse=True)[1]
    rows = np.bincount(number)
    return ReliabilityBins(rows, np.bincount(number, said) / rows, np.bincount(number, found) / rows)


def expected_calibration_error(scores: Any, labels: Any, *, bins: int = 15) -> float:
    """Mean distance of what was said from what was found, over `reliability`'s bins (Guo et al. 2017, equation 3).

    Args:
        scores: (rows,) click logits, or (rows, classes) class logits.
        labels: (rows,) 0 or 1, or classes.
        bins: as in `reliability`.
    """
    rows, said, found = reliability(scores, labels, bins=bins)
    return float((rows * np.abs(said - found)).sum() / rows.sum())


def calibration_p(scores: Any, labels: Any, *, clusters: Any = None) -> float:
    """The p value of a = 0, b = 1 in logit P(click) = a + b·z: that click logits z are calibrated (Cox 1958).

    "Two further applications of a model for binary regression". The expected calibration error of few rows is large by
    chance alone, and this is what tells the two apart. A score test: with r = y − p the sums of r and of r·(z − mean z)
    over a cluster are on average 0, and their variance is that between clusters. With few clusters it rejects seldom.

    Args:
        scores: (rows,) click logits.
        labels: (rows,) 0 or 1.
        clusters: (rows,) e.g. the user of each row; none for rows that are independent.

    Raises:
        DataError: bad input.
    """
    scores, labels = checked(scores, labels)
    unit = np.arange(len(scores)) if clusters is None else np.unique(clusters, return_inverse=True)[1]
    residual = labels - expit(scores)
    sums = np.stack([np.bincount(unit, residual * by) for by in (np.ones_like(scores), scores - scores.mean())])
    variance, total = sums @ sums.T, sums.sum(1)
    statistic = total @ np.linalg.pinv(variance, hermitian=True) @ total
    return float(stats.chi2.sf(statistic, max(1, np.linalg.matrix_rank(variance, hermitian=True))))


def normalised_entropy(scores: Any, labels: Any) -> float:
    """Log loss over that of saying each class's share of the labels in every row (He et al. 2014).

    "Practical lessons from predicting clicks on ads at Facebook", section 2. 1 is what the shares alone reach; above it
    a ranker says less than nothing.

    Args:
        scores: (rows,) click logits, or (rows, classes) class logits.
        labels: (rows,) 0 or 1, or classes.

    Raises:
        DataError: bad input, or labels of one class only.
    """
    reached = logloss(scores, labels)
    shares = np.unique(np.asarray(labels), return_counts=True)[1] / len(labels)
    if len(shares) < 2:
        raise DataError(f"normalised entropy needs at least two classes, got one in {len(labels)} rows")
    return reached / float(-(shares * np.log(shares)).sum())
