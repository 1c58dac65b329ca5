"""The paired difference of two means by bootstrap over clusters, rows or lists."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

from recdistill.errors import DataError
from recdistill.metrics.classification import Array
from recdistill.metrics.comparison import ENOUGH, Comparison, RowsError, own_variance, with_seeds
from recdistill.metrics.ratings import linearised_rmse
from recdistill.metrics.sorting import codes


def mean_difference(
    values_a: Any, values_b: Any, *, clusters: Any = None, unit: str = "row", resamples: int = 2000, seed: int = 0
) -> Comparison:
    """Paired difference of means by bootstrap over clusters, rows or lists.

    One seed: the percentile interval; p is by Student's t, since shares of resamples end at 1 over their number, which
    no correction for many comparisons lets through. Several seeds: the bootstrap's variance for the mean over seeds, to
    which the variance between seeds over their number is added, with Student's t as in `auc_difference`.

    Args:
        values_a, values_b: (rows,) or (seeds, rows), e.g. each row's logloss or each user's NDCG.
        clusters: (rows,) resampled as wholes.
        unit: what a row is; "list" makes the method "bootstrap_cluster", since a list is a cluster of rows.
        resamples: how many.
        seed: of the resampling.

    Raises:
        DataError: shapes differ, or fewer than 2 clusters.
    """
    first, second = np.atleast_2d(np.asarray(values_a, float)), np.atleast_2d(np.asarray(values_b, float))
    if first.shape != second.shape:
        raise DataError(f"paired values must have one shape, got {first.shape} and {second.shape}")
    difference = first - second
    unit_of = np.arange(difference.shape[1]) if clusters is None else codes(clusters)
    count = int(unit_of.max(initial=-1)) + 1
    if count < 2:
        raise DataError(f"an interval needs at least 2 clusters, got {count}")
    method, small = "bootstrap" if clusters is None and unit == "row" else "bootstrap_cluster", count < ENOUGH
    drawn = _resampled(difference.mean(0), unit_of, resamples, np.random.default_rng(seed))
    if len(difference) > 1:
        variances = np.array([_variance(row, unit_of) for row in difference])
        own = own_variance(variances, _variance(difference.mean(0), unit_of))
        rows = RowsError(float(drawn.var(ddof=1)), count, method, small, own)
        return with_seeds(difference.mean(1), rows)
    low, high = np.quantile(drawn, [0.025, 0.975])
    delta, error = float(difference.mean()), float(drawn.std(ddof=1))
    p = float(2 * stats.t.sf(abs(delta) / error, count - 1)) if error else float(delta == 0)
    return Comparison(delta, float(low), float(high), p, method, error, small)


def rmse_difference(
    predicted_a: Any, predicted_b: Any, ratings: Any, *, clusters: Any = None, seed: int = 0
) -> Comparison:
    """Paired difference of RMSEs: `mean_difference` of the linearised values (`ratings.linearised_rmse`).

    The difference itself is exact; its uncertainty is the delta method's.

    Args:
        predicted_a, predicted_b: (rows,), or (seeds, rows): predicted ratings.
        ratings: (rows,).
        clusters: (rows,) resampled as wholes.
        seed: of the resampling.

    Raises:
        DataError: shapes differ, a value is not finite, or fewer than 2 clusters.
    """
    values = [
        np.stack([linearised_rmse(row, ratings) for row in np.atleast_2d(np.asarray(predicted, float))])
        for predicted in (predicted_a, predicted_b)
    ]
    return mean_difference(values[0], values[1], clusters=clusters, seed=seed)


def _resampled(values: Array, unit_of: Array, resamples: int, rng: np.random.Generator) -> Array:
    """(resamples,) means of values whose units are drawn with replacement."""
    sums, sizes = np.bincount(unit_of, weights=values), np.bincount(unit_of).astype(float)
    count, drawn = len(sizes), np.empty(resamples)
    at_once = max(1, min(100, 20_000_000 // count))
    for start in range(0, resamples, at_once):
        number = min(at_once, resamples - start)
        weights = rng.multinomial(count, np.full(count, 1 / count), size=number).astype(float)
        drawn[start : start + number] = (weights @ sums) / (weights @ sizes)
    return drawn


def _variance(values: Array, unit_of: Array) -> float:
    """Of the mean of values, between units: that of a ratio of sums to sizes (Cochran 1977, equation 2.46)."""
    sums = np.bincount(unit_of, weights=values - values.mean())
    return float(sums @ sums / len(values) ** 2)
