"""Trust: how far a teacher is listened to in each row, in [0, 1], for `Examples.with_trust`.

From what the teacher says of the row, from how much the row is like those that it learnt from, or from how well it did
on such rows elsewhere. Several are combined by their product.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.special import log_softmax

from recdistill.errors import DataError
from recdistill.metrics import pointwise_logloss

Array = np.ndarray[Any, Any]


def confidence(logits: Array) -> Array:
    """1 − H(p) / ln K, H the entropy of what a teacher says: 0 where all classes are alike to it, 1 where it is sure.

    The weight of a teacher's own confidence, as in entropy-based weighting of teachers (Kwon et al. 2020, "Adaptive
    knowledge distillation based on entropy").

    Args:
        logits: (rows,) of clicks, K = 2, or (rows, classes).

    Returns:
        (rows,)
    """
    scores = np.asarray(logits, dtype=np.float64)
    classes = np.stack([np.zeros_like(scores), scores], axis=1) if scores.ndim == 1 else scores
    log_p = log_softmax(classes, axis=1)
    entropy = -(np.exp(log_p) * log_p).sum(1)
    return np.clip(1 - entropy / np.log(classes.shape[1]), 0, 1)


def familiarity(ratio: Array) -> Array:
    """min(1, p_s(x) / p_t(x)): full trust in rows that are at least as common in the source, less in rarer ones.

    The inverse of the density ratio by which covariate shift is weighted (Shimodaira 2000; from a domain classifier:
    Bickel, Brückner & Scheffer 2009, section 3). DIFF: there it weighs source rows in training; here it says for a
    target row how much the teacher has seen of its kind.

    Args:
        ratio: (rows,) p_t(x) / p_s(x) > 0 of target rows, as a domain classifier gives it.

    Returns:
        (rows,)

    Raises:
        ValueError: a ratio is not positive and finite.
    """
    ratio = np.asarray(ratio, dtype=np.float64)
    if not ((ratio > 0) & np.isfinite(ratio)).all():
        raise ValueError(f"density ratios must be positive and finite, got {ratio.min()} to {ratio.max()}")
    return np.minimum(1.0, 1 / ratio)


def by_segment(logits: Array, labels: Array, segments: Any, *, of: Any, prior_rows: float = 100.0) -> Array:
    """1 − L_t(g) / L_0(g), clipped to [0, 1], of each row's segment g: what a teacher knows of it beyond the base rate.

    L_t is the teacher's log loss on labelled rows and L_0 that of saying each class's share of all of them. Both are
    means over the segment's rows and `prior_rows` more with the mean of all rows, so that a small segment says little
    by itself; one without labelled rows gets the value of all. Our own; the form is McFadden's pseudo-R² (1974).

    Args:
        logits: (labelled rows,) of clicks or (labelled rows, classes), of a teacher that did not learn from these.
        labels: (labelled rows,) 0 or 1, or classes.
        segments: (labelled rows,) the segment of each: a column's values, or buckets of them.
        of: (rows,) the segments of the rows that trust is for.
        prior_rows: how many rows of the whole each segment is mixed with, > 0.

    Returns:
        (rows,)

    Raises:
        DataError: there are no labelled rows, or they are of one class.
        ValueError: `prior_rows` is not positive, or there is not one segment per labelled row.
    """
    if not prior_rows > 0:
        raise ValueError(f"prior_rows must be positive, got {prior_rows=}")
    losses = np.stack([pointwise_logloss(logits, labels), _base_loss(labels)])  # (2, labelled rows)
    known = pa.array(segments).dictionary_encode(null_encoding="encode")
    if len(known) != losses.shape[1]:
        raise ValueError(f"each labelled row needs a segment, got {len(known)} for {losses.shape[1]} rows")
    number, count = known.indices.to_numpy(), len(known.dictionary)
    sums = np.stack([np.bincount(number, loss, minlength=count) for loss in losses])
    sums += prior_rows * losses.mean(1, keepdims=True)
    taught, base = np.append(sums, losses.sum(1, keepdims=True), axis=1)  # the last is of all rows
    found = pc.index_in(pa.array(of, type=known.dictionary.type), value_set=known.dictionary)
    return np.clip(1 - taught / base, 0, 1)[pc.fill_null(found, count).to_numpy()]


def _base_loss(labels: Array) -> Array:
    """(rows,) the log loss of saying each class's share."""
    number, counts = np.unique(labels, return_inverse=True, return_counts=True)[1:]
    if len(counts) < 2:
        raise DataError(f"a teacher is judged by at least two classes, got {len(counts)} in {len(labels)} rows")
    return -np.log(counts / counts.sum())[number]
