"""The paired difference of two means in closed form, rows or whole clusters independent of each other."""

from __future__ import annotations

from typing import Any

import numpy as np

from recdistill.errors import DataError
from recdistill.metrics.classification import Array
from recdistill.metrics.comparison import ENOUGH, Comparison, RowsError, own_variance, with_seeds
from recdistill.metrics.ratings import linearised_rmse
from recdistill.metrics.sorting import codes


def mean_difference(values_a: Any, values_b: Any, *, clusters: Any = None, unit: str = "row") -> Comparison:
    """Paired difference of means: Student's t of the differences, summed within a cluster first where rows cluster.

    A mean over clusters of unlike sizes is a ratio of sums to sizes; its variance is that of the clusters' deviations
    (Cochran 1977, equation 2.46). Over several seeds as in `auc_difference` (`with_seeds`).

    Args:
        values_a, values_b: (rows,) or (seeds, rows), e.g. each row's logloss or each user's NDCG.
        clusters: (rows,) what is independent as a whole, e.g. the user of each row.
        unit: what a row is; "list" makes the method "t_cluster", since a list is a cluster of rows.

    Raises:
        DataError: shapes differ, or fewer than 2 clusters.
    """
    first, second = np.atleast_2d(np.asarray(values_a, float)), np.atleast_2d(np.asarray(values_b, float))
    if first.shape != second.shape:
        raise DataError(f"paired values must have one shape, got {first.shape} and {second.shape}")
    difference = first - second
    unit_of = None if clusters is None else codes(clusters)
    count = difference.shape[1] if unit_of is None else int(unit_of.max(initial=-1)) + 1
    if count < 2:
        raise DataError(f"an interval needs at least 2 clusters, got {count}")
    method = "t" if clusters is None and unit == "row" else "t_cluster"
    variances = np.array([_variance(row, unit_of) for row in difference])
    variance = _variance(difference.mean(0), unit_of) if len(difference) > 1 else float(variances[0])
    own = own_variance(variances, variance)
    return with_seeds(difference.mean(1), RowsError(variance, count, method, count < ENOUGH, own))


def rmse_difference(predicted_a: Any, predicted_b: Any, ratings: Any, *, clusters: Any = None) -> Comparison:
    """Paired difference of RMSEs: `mean_difference` of the linearised values (`ratings.linearised_rmse`).

    The difference itself is exact; its uncertainty is the delta method's.

    Args:
        predicted_a, predicted_b: (rows,), or (seeds, rows): predicted ratings.
        ratings: (rows,).
        clusters: (rows,) what is independent as a whole.

    Raises:
        DataError: shapes differ, a value is not finite, or fewer than 2 clusters.
    """
    values = [
        np.stack([linearised_rmse(row, ratings) for row in np.atleast_2d(np.asarray(predicted, float))])
        for predicted in (predicted_a, predicted_b)
    ]
    return mean_difference(values[0], values[1], clusters=clusters)


def _variance(values: Array, unit_of: Array | None) -> float:
    """Of the mean of values, between units."""
    off = values - values.mean()
    sums = off if unit_of is None else np.bincount(unit_of, weights=off)
    return float(sums @ sums / len(values) ** 2 * len(sums) / (len(sums) - 1))
