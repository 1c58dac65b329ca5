"""The paired difference of two AUCs in closed form, from one sort per ranker."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from recdistill.errors import DataError
from recdistill.metrics.classification import Array
from recdistill.metrics.comparison import ENOUGH, Comparison, RowsError, own_variance, with_seeds
from recdistill.metrics.sorting import codes, compact, cumulated, from_lowest, group_starts, rising


def auc_difference(
    scores_a: Any, scores_b: Any, labels: Any, *, clusters: Any = None, confidence: float = 0.95
) -> Comparison:
    """Paired difference of AUCs (DeLong et al. 1988; with clusters Obuchowski 1997).

    Each AUC is a mean of placement values; the variance is that of their paired differences, summed within a
    cluster first where rows cluster. With several seeds the placement values are averaged over seeds, the variance
    of the seeds over their number is added, and Student's t with Welch-Satterthwaite degrees of freedom replaces the
    normal (`with_seeds`).

    Args:
        scores_a, scores_b: (rows,), or (seeds, rows): several trained models on the same rows.
        labels: (rows,) 0 or 1.
        clusters: (rows,) e.g. the user of each row.
        confidence: of the interval.

    Raises:
        DataError: bad scores or labels, one class only, or fewer than 2 clusters.
    """
    first, second = np.atleast_2d(np.asarray(scores_a)), np.atleast_2d(np.asarray(scores_b))
    if first.shape != second.shape:
        raise DataError(f"paired scores must have one shape, got {first.shape} and {second.shape}")
    positive = compact(first[0], labels)[1]
    rows = _Rows.of(positive, clusters)
    deltas, variances, mean = np.empty(len(first)), np.empty(len(first)), np.zeros(len(positive))
    for seed, (a, b) in enumerate(zip(first, second, strict=True)):
        placed = _placements(compact(a, positive)[0], positive)
        placed -= _placements(compact(b, positive)[0], positive)
        deltas[seed] = placed[positive].mean()
        variances[seed] = rows.variance(placed)
        mean += placed / len(first)
    variance = rows.variance(mean) if len(first) > 1 else float(variances[0])
    method = "delong" if clusters is None else "delong_cluster"
    error = RowsError(variance, rows.units, method, rows.small, own=own_variance(variances, variance))
    found = with_seeds(deltas, error, confidence)
    return replace(found, low=max(-1.0, found.low), high=min(1.0, found.high))  # areas are in [0, 1]


@dataclass(frozen=True)
class _Rows:
    """What the variance of placement values needs to know of the rows.

    Args:
        positive: (rows,) bool.
        unit_of: (rows,) each row's cluster; None where each row is its own.
        units: how many clusters.
        weights: of a negative's and of a positive's placement value.
    """

    positive: Array
    unit_of: Array | None
    units: int
    weights: Array

    @staticmethod
    def of(positive: Array, clusters: Any) -> _Rows:
        counts = np.bincount(positive, minlength=2)
        if not counts.all():
            raise DataError(f"AUC needs both classes, got only {int(positive[0])} in {len(positive)} rows")
        unit_of, units, present = None, len(positive), counts
        if clusters is not None:
            unit_of = np.asarray(clusters)
            close = from_lowest(unit_of, 4 * len(unit_of))
            unit_of = codes(unit_of) if close is None else close
            of_class = [_present(unit_of[~positive], unit_of), _present(unit_of[positive], unit_of)]
            units, present = int((of_class[0] | of_class[1]).sum()), np.array([of.sum() for of in of_class])
        if units < 2:
            raise DataError(f"an interval needs at least 2 clusters, got {units}")
        return _Rows(positive, unit_of, units, np.sqrt(present / np.maximum(1, present - 1)) / counts)

    @property
    def small(self) -> bool:
        positives = int(self.positive.sum())
        return min(self.units, positives, len(self.positive) - positives) < ENOUGH

    def variance(self, placed: Array) -> float:
        """Of the mean placement: positive, negative and cross sums per unit (Obuchowski 1997, section 3)."""
        parts = (placed - placed[self.positive].mean()) * self.weights[self.positive.view(np.int8)]
        sums = parts if self.unit_of is None else np.bincount(self.unit_of, weights=parts)
        return float(sums @ sums)


def _present(some: Array, codes_of_all: Array) -> Array:
    """(codes,) which of the codes are among some of the rows."""
    present = np.zeros(int(codes_of_all.max()) + 1, bool)
    present[some] = True
    return present


def _placements(scores: Array, positive: Array) -> Array:
    """(rows,) for a positive the share of negatives below it, for a negative that of positives above it; ties half.

    A key holds score, label and number of a row, so that sorted keys are the sorted rows.
    """
    keys = rising(scores).astype(np.uint64)
    keys <<= 1
    keys |= positive
    keys <<= 31
    keys |= np.arange(len(keys), dtype=np.uint32)
    keys.sort()
    starts = group_starts(keys >> 32)
    keys &= (1 << 32) - 1
    row = keys.astype(np.uint32)
    hit = row >> 31
    row &= (1 << 31) - 1
    hits_below = cumulated(hit)
    ends = np.append(starts[1:], len(keys))
    hits = (hits_below[starts] + hits_below[ends]) / 2  # below the group, and half of its own
    misses = (starts + ends) / 2 - hits
    positives = int(hits_below[-1])
    of_positives, of_negatives = misses / (len(keys) - positives), 1 - hits / positives
    if len(starts) < len(keys):
        sizes = ends - starts
        of_positives, of_negatives = np.repeat(of_positives, sizes), np.repeat(of_negatives, sizes)
    placed = np.empty(len(keys))
    placed[row] = np.where(hit, of_positives, of_negatives)
    return placed
