"""A difference between two rankers on the same rows with its uncertainty, over seeds and among several tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from recdistill.errors import DataError
from recdistill.metrics.classification import Array

ENOUGH = 200  # clusters, and positives, from which on intervals were shown to cover as they say


@dataclass(frozen=True)
class Comparison:
    """a minus b, with its uncertainty.

    Args:
        delta: the difference.
        low, high: the interval.
        p: two-sided, of no difference.
        method: "delong" for AUC, "t" for means, or "bootstrap"; with "_cluster" where rows cluster.
        rows_error: the standard error that comes from the test rows alone, without the spread between seeds.
        small: whether there are fewer than 200 clusters (users, lists, or rows where these are independent) or, for
            AUC, fewer than 200 positives: the interval may then be too narrow.
    """

    delta: float
    low: float
    high: float
    p: float
    method: str
    rows_error: float
    small: bool


@dataclass(frozen=True)
class RowsError:
    """What the test rows contribute to the uncertainty of a difference.

    Args:
        variance: of the mean over seeds.
        units: clusters, or rows.
        method: as in `Comparison`.
        small: as in `Comparison`.
        own: how much the seeds' differences vary by the rows alone, in the mean of the seeds, since each seed errs on
            rows of its own; 0 if it is not known.
    """

    variance: float
    units: int
    method: str
    small: bool
    own: float = 0.0


def with_seeds(deltas: Array, rows: RowsError, confidence: float = 0.95) -> Comparison:
    """The mean of the seeds' `(seeds,)` differences, with an interval for new seeds and new rows.

    The variance is V + B: V comes from the rows, and B = (s² − W)/S, at least 0, from the S seeds, with s² the variance
    of their differences and W the part of it that the rows contribute, which is in V already. Several seeds: the t
    distribution with Welch-Satterthwaite degrees of freedom, at least S − 1. One seed: one degree less than there are
    clusters or rows, and B is not known.
    In simulations with three seeds 95 % intervals of AUC held the truth in 92 to 98 % of worlds, as seeds drifted much
    or not at all.

    Args:
        deltas: (seeds,).
        rows: V, W and the number of units.
        confidence: of the interval.
    """
    delta, seeds = float(deltas.mean()), len(deltas)
    spread = float(deltas.var(ddof=1) / seeds) if seeds > 1 else 0.0
    total = rows.variance + max(0.0, spread - rows.own / seeds)
    error = float(np.sqrt(total))
    if error == 0:
        return Comparison(delta, delta, delta, 1.0 if delta == 0 else 0.0, rows.method, 0.0, rows.small)
    freedom: float = rows.units - 1
    if seeds > 1:
        freedom = max(seeds - 1, total**2 / (rows.variance**2 / (rows.units - 1) + spread**2 / (seeds - 1)))
    half = float(stats.t.ppf((1 + confidence) / 2, freedom)) * error
    p = float(2 * stats.t.sf(abs(delta) / error, freedom))
    return Comparison(delta, delta - half, delta + half, p, rows.method, float(np.sqrt(rows.variance)), rows.small)


def own_variance(variances: Array, of_mean: float) -> float:
    """How much seeds differ by the rows alone: the mean variance of their deviations from the mean over seeds.

    Variances from the rows are quadratic forms, so that of the deviations is the mean of the seeds' less the mean's.

    Args:
        variances: (seeds,) of each seed's difference, from the rows.
        of_mean: (), that of the mean over seeds.
    """
    seeds = len(variances)
    return max(0.0, float(variances.mean()) - of_mean) * seeds / (seeds - 1) if seeds > 1 else 0.0


def over_seeds(deltas: Any, rows_errors: Any, *, units: int, method: str) -> Comparison:
    """The mean of several seeds' differences on the same test rows, of which only the errors were kept.

    The seeds share their rows, so what the rows contribute does not shrink with more seeds: it is taken to be the mean
    of the seeds' own errors, which is what the mean's error is at most. To it comes the spread between seeds, as in
    `auc_difference`; how much of that the rows contribute is not known, so the interval is rather wide.

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
    return with_seeds(deltas, RowsError(float(errors.mean()) ** 2, units, method, units < ENOUGH))


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
