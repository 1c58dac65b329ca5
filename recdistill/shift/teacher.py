"""How good a teacher is on labelled target rows: order, sharpness, calibration, and on which rows it is worst."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit, logsumexp

from recdistill.errors import DataError
from recdistill.inspection.profiles import counted, times
from recdistill.metrics import auc_difference, calibration_p, expected_calibration_error, normalised_entropy
from recdistill.shift.rows import units
from recdistill.tables import Table

Array = np.ndarray[Any, Any]
FEWEST, FEWEST_OF_CLASS, FEWEST_USERS = 100, 10, 5  # rows to judge a segment by, and their users


@dataclass(frozen=True)
class Segment:
    """Some labelled target rows.

    Args:
        name: which.
        rows: how many.
        rate: their share of clicks.
        predicted: the teacher's mean probability of a click.
        auc: the teacher's, 0.5 where it knows no order.
        low, high: its 95 % interval, over users.
        normalised_entropy: the log loss over the entropy of the rows' own base rate (He et al. 2014): below 1 the
            teacher says more than their base rate, above 1 less.
        calibration_error: the expected calibration error, the mean distance of predicted and observed click rates; of
            few rows it is large by chance alone.
        calibration_p: the p value of no calibration error, over users.
    """

    name: str
    rows: int
    rate: float
    predicted: float
    auc: float
    low: float
    high: float
    normalised_entropy: float
    calibration_error: float
    calibration_p: float


@dataclass(frozen=True)
class TeacherQuality:
    """A teacher on the target.

    Args:
        whole: on all labelled rows.
        segments: of users and items that the source has or lacks, and of items by their rows in the source.
    """

    whole: Segment
    segments: tuple[Segment, ...]

    @property
    def worst(self) -> tuple[Segment, ...]:
        """The segments in which the teacher's order or its loss is clearly worse than on all rows, the worst first."""
        limit = max(1.0, self.whole.normalised_entropy)
        behind = [one for one in self.segments if one.high < self.whole.auc or one.normalised_entropy > limit]
        return tuple(sorted(behind, key=lambda one: one.auc))


def teacher_quality(logits: Array, clicks: Array, target: Table, source: Table) -> TeacherQuality:
    """Judge a teacher's logits.

    Args:
        logits: (rows,) of a click.
        clicks: (rows,) 0 or 1.
        target: the rows.
        source: whose users and items are known.

    Raises:
        DataError: fewer than `FEWEST` rows, `FEWEST_OF_CLASS` of a class, or `FEWEST_USERS` users.
    """
    clustered = units(target)
    if not _enough(clicks, clustered):
        got = f"{int(clicks.sum())} clicks in {len(clicks)} rows of {len(np.unique(clustered))} users"
        least = f"{FEWEST} labelled target rows of {FEWEST_USERS} users, {FEWEST_OF_CLASS} rows of each class"
        rule = f"a teacher is judged by at least {least}"
        raise DataError(f"{rule}, got {got}: label more, or diagnose without a teacher")
    found = [
        _segment(name, logits[rows], clicks[rows], clustered[rows])
        for name, rows in _segments(target, source)
        if _enough(clicks[rows], clustered[rows])
    ]
    return TeacherQuality(_segment("all rows", logits, clicks, clustered), tuple(found))


def click_logits(scores: Array, first: int) -> Array:
    """(rows,) logits of a click of `(rows,)` logits, or of (rows, classes) ones of ratings, liked from a class on."""
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim == 1:
        return scores
    return np.asarray(logsumexp(scores[:, first:], axis=1) - logsumexp(scores[:, :first], axis=1))


def _segment(name: str, logits: Array, clicks: Array, clustered: Array) -> Segment:
    found = auc_difference(logits, np.zeros_like(logits), clicks, clusters=clustered)
    return Segment(
        name=name,
        rows=len(clicks),
        rate=float(clicks.mean()),
        predicted=float(expit(logits).mean()),
        auc=0.5 + found.delta,
        low=0.5 + found.low,
        high=0.5 + found.high,
        normalised_entropy=normalised_entropy(logits, clicks),
        calibration_error=expected_calibration_error(logits, clicks),
        calibration_p=calibration_p(logits, clicks, clusters=clustered),
    )


def _enough(clicks: Array, clustered: Array) -> bool:
    fewer = min(clicks.sum(), (1 - clicks).sum())
    return len(clicks) >= FEWEST and fewer >= FEWEST_OF_CLASS and len(np.unique(clustered)) >= FEWEST_USERS


def _segments(target: Table, source: Table) -> Iterator[tuple[str, Array]]:
    """Name and (rows,) mask of each."""
    for role in ("user", "item"):
        here, there = getattr(target.schema, role), getattr(source.schema, role)
        if here is None or there is None:
            continue
        known = times(target.column(here), counted(source.column(there)))
        yield f"{role}s that the source has", known > 0
        yield f"{role}s new to the source", known == 0
        if role == "item" and (known > 0).any():
            low, high = np.quantile(known[known > 0], (1 / 3, 2 / 3)).astype(int)
            yield f"items of 1 to {low:,} source rows", (known > 0) & (known <= low)
            yield f"items of {low + 1:,} to {high:,} source rows", (known > low) & (known <= high)
            yield f"items of more than {high:,} source rows", known > high
