"""The paired difference of any metric by bootstrap over rows or clusters, where no closed form is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import stats

from recdistill.errors import DataError
from recdistill.metrics.classification import Array
from recdistill.metrics.comparison import ENOUGH, Comparison, RowsError, own_variance, with_seeds
from recdistill.metrics.sorting import codes


def bootstrap_difference(
    metric: Callable[[Any, Any], float],
    scores_a: Any,
    scores_b: Any,
    labels: Any,
    *,
    clusters: Any = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Paired difference of a metric: rows, or clusters as wholes, are drawn with replacement (Efron 1979).

    One seed: the percentile interval; p is by Student's t, since shares of resamples end at 1 over their number, which
    no correction for many comparisons lets through. Several seeds: the bootstrap's variance for the mean over seeds, to
    which the spread of seeds is added as in `auc_difference`. The metric is computed twice for each resample and seed.

    Args:
        metric: `(scores, labels) -> value`, e.g. `pr_auc`.
        scores_a, scores_b: (rows,), or (seeds, rows): several trained models on the same rows.
        labels: (rows,).
        clusters: (rows,) e.g. the user of each row.
        resamples: how many.
        seed: of the resampling.

    Raises:
        DataError: shapes differ, fewer than 2 clusters, or what the metric refuses.
    """
    first, second = np.atleast_2d(np.asarray(scores_a)), np.atleast_2d(np.asarray(scores_b))
    labels = np.asarray(labels)
    if first.shape != second.shape or first.shape[1:] != labels.shape:
        got = f"{first.shape}, {second.shape} and labels {labels.shape}"
        raise DataError(f"paired scores must have one shape, and a label for each row, got {got}")
    units = _Units.of(np.arange(len(labels)) if clusters is None else codes(clusters))
    deltas = _differences(metric, first, second, labels, slice(None))
    rng = np.random.default_rng(seed)
    drawn = np.array([_differences(metric, first, second, labels, units.drawn(rng)) for _ in range(resamples)])
    method = "bootstrap" if clusters is None else "bootstrap_cluster"
    variance, small = float(drawn.mean(1).var(ddof=1)), units.count < ENOUGH
    if len(first) > 1:
        own = own_variance(drawn.var(0, ddof=1), variance)
        return with_seeds(deltas, RowsError(variance, units.count, method, small, own))
    delta, error = float(deltas[0]), float(np.sqrt(variance))
    low, high = np.quantile(drawn[:, 0], [0.025, 0.975])
    p = float(2 * stats.t.sf(abs(delta) / error, units.count - 1)) if error else float(delta == 0)
    return Comparison(delta, float(low), float(high), p, method, error, small)


def _differences(metric: Callable[[Any, Any], float], first: Array, second: Array, labels: Array, rows: Any) -> Array:
    """(seeds,) of some rows."""
    told = labels[rows]
    return np.array([metric(a[rows], told) - metric(b[rows], told) for a, b in zip(first, second, strict=True)])


class _Units:
    """Rows by unit, so that units can be drawn as wholes."""

    def __init__(self, order: Array, starts: Array, sizes: Array) -> None:
        self.order, self.starts, self.sizes, self.count = order, starts, sizes, len(sizes)

    @staticmethod
    def of(unit_of: Array) -> _Units:
        sizes = np.bincount(unit_of)
        if len(sizes) < 2:
            raise DataError(f"an interval needs at least 2 clusters, got {len(sizes)}")
        return _Units(np.argsort(unit_of, kind="stable"), np.cumsum(sizes) - sizes, sizes)

    def drawn(self, rng: np.random.Generator) -> Array:
        """The rows of as many units as there are, drawn with replacement."""
        chosen = rng.integers(0, self.count, self.count)
        sizes = self.sizes[chosen]
        within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return np.asarray(self.order[np.repeat(self.starts[chosen], sizes) + within])
