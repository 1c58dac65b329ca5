"""Paired differences between two rankers on the same rows, each with a 95 % interval and a p value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from recdistill.errors import DataError
from recdistill.metrics.classification import Array, checked
from recdistill.metrics.ratings import linearised_rmse


@dataclass(frozen=True)
class Comparison:
    """a minus b, with its uncertainty.

    Args:
        delta: the difference.
        low, high: the interval.
        p: two-sided, of no difference.
        method: "delong", "delong_cluster", "bootstrap" or "bootstrap_cluster".
        rows_error: the standard error that comes from the test rows alone, without the spread between seeds.
    """

    delta: float
    low: float
    high: float
    p: float
    method: str
    rows_error: float


def auc_difference(
    scores_a: Any, scores_b: Any, labels: Any, *, clusters: Any = None, confidence: float = 0.95
) -> Comparison:
    """Paired difference of AUCs (DeLong et al. 1988; with clusters Obuchowski 1997).

    Each AUC is a mean of placement values; the variance is that of their paired differences, summed within a
    cluster first where rows cluster. With several seeds the placement values are averaged over seeds, the variance
    of the seeds' differences over their number is added, and Student's t with Welch-Satterthwaite degrees of
    freedom replaces the normal.

    Args:
        scores_a, scores_b: (rows,), or (seeds, rows): several trained models on the same rows.
        labels: (rows,) 0 or 1.
        clusters: (rows,) e.g. the user of each row.
        confidence: of the interval.

    Raises:
        DataError: bad scores or labels, one class only, or fewer than 2 clusters.
    """
    first, second = np.atleast_2d(np.asarray(scores_a, float)), np.atleast_2d(np.asarray(scores_b, float))
    if first.shape != second.shape:
        raise DataError(f"paired scores must have one shape, got {first.shape} and {second.shape}")
    placed = np.stack([_placements(a, labels) - _placements(b, labels) for a, b in zip(first, second, strict=True)])
    positive = np.asarray(labels, float) == 1
    deltas = placed[:, positive].mean(1)
    units = np.arange(placed.shape[1]) if clusters is None else np.unique(np.asarray(clusters), return_inverse=True)[1]
    variance = _placement_variance(placed.mean(0), positive, units)
    method = "delong" if clusters is None else "delong_cluster"
    return _with_seeds(deltas, variance, int(units.max()) + 1, method, confidence)


def mean_difference(
    values_a: Any, values_b: Any, *, clusters: Any = None, unit: str = "row", resamples: int = 2000, seed: int = 0
) -> Comparison:
    """Paired difference of means by bootstrap over clusters, rows or lists.

    One seed: the percentile interval. Several seeds: the bootstrap's variance for the mean over seeds, to which the
    variance of the seeds' differences over their number is added, with Student's t as in `auc_difference`.

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
    units = np.arange(difference.shape[1]) if clusters is None else np.unique(clusters, return_inverse=True)[1]
    count = int(units.max(initial=-1)) + 1
    if count < 2:
        raise DataError(f"an interval needs at least 2 clusters, got {count}")
    method = "bootstrap" if clusters is None and unit == "row" else "bootstrap_cluster"
    drawn = _resampled(difference.mean(0), units, resamples, np.random.default_rng(seed))
    if len(difference) > 1:
        return _with_seeds(difference.mean(1), float(drawn.var(ddof=1)), count, method, 0.95)
    low, high = np.quantile(drawn, [0.025, 0.975])
    tail = min((drawn <= 0).sum(), (drawn >= 0).sum()) + 1
    p, error = min(1.0, 2 * tail / (resamples + 1)), float(drawn.std(ddof=1))
    return Comparison(float(difference.mean()), float(low), float(high), p, method, error)


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


def over_seeds(deltas: Any, rows_errors: Any, *, units: int, method: str) -> Comparison:
    """The mean of several seeds' differences on the same test rows, of which only the errors were kept.

    The seeds share their rows, so what the rows contribute does not shrink with more seeds: it is taken to be the mean
    of the seeds' own errors, which is what the mean's error is at most. To it comes the spread between seeds, as in
    `auc_difference`.

    Args:
        deltas: (seeds,) differences.
        rows_errors: (seeds,) the standard error of each that comes from the rows.
        units: clusters of the test rows, or rows.
        method: how each seed's error was found.

    Raises:
        DataError: there is no seed, or not one error for each.
    """
    deltas, errors = np.atleast_1d(np.asarray(deltas, float)), np.atleast_1d(np.asarray(rows_errors, float))
    if not len(deltas) or deltas.shape != errors.shape:
        raise DataError(f"each seed needs a difference and an error, got {deltas.shape} and {errors.shape}")
    return _with_seeds(deltas, float(errors.mean()) ** 2, units, method, 0.95)


def holm(p_values: Any) -> Array:
    """Adjusted p values: all below a level are false together with at most that probability (Holm 1979).

    The k-th smallest of m is multiplied by m − k + 1; none falls below a smaller one's.

    Args:
        p_values: (tests,), each in [0, 1].

    Returns:
        (tests,) adjusted, in the same order.

    Raises:
        DataError: a value is not in [0, 1].
    """
    p_values = np.asarray(p_values, float)
    if not ((p_values >= 0) & (p_values <= 1)).all():
        raise DataError(f"p values must be in [0, 1], got {p_values}")
    order = np.argsort(p_values, kind="stable")
    scaled = p_values[order] * np.arange(len(order), 0, -1)
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(scaled))
    return adjusted


def _resampled(values: Array, units: Array, resamples: int, rng: np.random.Generator) -> Array:
    """(resamples,) means of values whose units are drawn with replacement."""
    sums, sizes = np.bincount(units, weights=values), np.bincount(units).astype(float)
    count, drawn = len(sizes), np.empty(resamples)
    at_once = max(1, min(100, 20_000_000 // count))
    for start in range(0, resamples, at_once):
        number = min(at_once, resamples - start)
        weights = rng.multinomial(count, np.full(count, 1 / count), size=number).astype(float)
        drawn[start : start + number] = (weights @ sums) / (weights @ sizes)
    return drawn


def _placements(scores: Array, labels: Any) -> Array:
    """(rows,) the share of the other class that each row beats, ties half."""
    scores, labels = checked(scores, labels)
    positive = labels == 1
    if positive.all() or not positive.any():
        raise DataError(f"AUC needs both classes, got only {int(labels[0])} in {len(labels)} rows")
    overall = stats.rankdata(scores)
    placed = np.empty(len(scores))
    for own in (positive, ~positive):
        beaten = (overall[own] - stats.rankdata(scores[own])) / (~own).sum()
        placed[own] = beaten if own is positive else 1 - beaten
    return placed


def _placement_variance(placed: Array, positive: Array, units: Array) -> float:
    """Variance of the mean placement: positive, negative and cross sums per unit (Obuchowski 1997, section 3)."""
    count = int(units.max()) + 1
    if count < 2:
        raise DataError(f"an interval needs at least 2 clusters, got {count}")
    mean = placed[positive].mean()
    total = np.zeros(count)
    for own in (positive, ~positive):
        sums = np.bincount(units[own], weights=placed[own] - mean, minlength=count)
        present = len(np.unique(units[own]))
        total += sums / own.sum() * np.sqrt(present / max(1, present - 1))
    return float((total**2).sum())


def _with_seeds(deltas: Array, variance: float, units: int, method: str, confidence: float) -> Comparison:
    delta, seeds = float(deltas.mean()), len(deltas)
    between = float(deltas.var(ddof=1) / seeds) if seeds > 1 else 0.0
    error = float(np.sqrt(variance + between))
    if error == 0:
        return Comparison(delta, delta, delta, 1.0 if delta == 0 else 0.0, method, 0.0)
    parts = variance**2 / (units - 1) + (between**2 / (seeds - 1) if seeds > 1 else 0.0)
    freedom = (variance + between) ** 2 / parts if seeds > 1 else np.inf
    half = float(stats.t.ppf((1 + confidence) / 2, freedom)) * error
    p = float(2 * stats.t.sf(abs(delta) / error, freedom))
    return Comparison(delta, delta - half, delta + half, p, method, float(np.sqrt(variance)))
