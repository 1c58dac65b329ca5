"""Segments: where a ranker is better or worse than another, by who the users are, what the items, and columns' values.

Rows are grouped by what was known before the test: training rows decide who is new or popular, never test labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recdistill.columns import as_numpy, decoded
from recdistill.errors import DataError, nearest
from recdistill.evaluation import compare, measure_ratings, more_is_better, task
from recdistill.inspection.profiles import counted, times
from recdistill.metrics import METRICS, RATING_METRICS, expected_rating, holm, logloss, ndcg_at_k
from recdistill.metrics.comparison import ENOUGH
from recdistill.schema import Schema
from recdistill.tables import Table

Array = np.ndarray[Any, Any]
ROLES = ("user", "item")
FEW, LISTED = 50, 12  # a column of so few values has segments, of its most frequent ones
FEWEST_UNITS, FEWEST_OF_A_CLASS = 20, 10  # with fewer, variances are those of chance and differences of none stand out


@dataclass(frozen=True)
class Segment:
    """Some test rows.

    Args:
        column: that tells them apart.
        name: which of its groups they are.
        rows: (rows,) bool.
    """

    column: str
    name: str
    rows: Array


@dataclass(frozen=True)
class SegmentComparisons:
    """Two rankers by segment.

    Args:
        found: a paired difference for each, as `report.json` holds it; first those that are worst for the first ranker
            at best, by the better end of the interval, so that the noise of small segments does not lead.
        skipped: how many segments were too small for an interval: of one class, or of fewer than 2 users.
    """

    found: tuple[dict[str, Any], ...]
    skipped: int


def segments_of(test: Table, *, train: Table, source: Table | None = None) -> list[Segment]:
    """The segments of test rows that are looked at.

    Users and items by whether a labelled training row or the source has them, and by their training rows (limits are
    deciles over the users or items of the training rows; equal ones are one); and each value of a categorical column of
    at most `FEW` values, beyond the `LISTED` most frequent in training together. Segments of no row, of all rows, or of
    the same rows as an earlier one are left out.

    Args:
        test: the rows.
        train: the target's training rows, some of them labelled.
        source: the source's rows.

    Raises:
        DataError: a column of the test rows is missing in the training rows.
    """
    found: list[Segment] = []
    known: set[bytes] = set()
    for column, number, names in _groups(test, train, source):
        for position, name in enumerate(names):
            rows = number == position
            if rows.any() and not rows.all() and (mask := rows.tobytes()) not in known:
                known.add(mask)
                found.append(Segment(column, name, rows))
    return found


def compare_segments(
    first: Any, second: Any, test: Table, segments: Sequence[Segment], *, metric: str | None = None
) -> SegmentComparisons:
    """Two rankers on each of several segments, with p values adjusted for their number (Holm 1979).

    Args:
        first, second: (rows,) or (seeds, rows) logits on the test rows; for ratings with classes as a last axis.
        test: labelled rows; with a user column, rows cluster by user.
        segments: of them, e.g. `segments_of`.
        metric: one of those that `evaluate` compares; the task's headline by default.

    Raises:
        DataError: the metric has no paired interval, or scores do not fit the rows.
    """
    metric = metric or task(test.schema).headline
    if metric not in task(test.schema).compared:
        raise DataError(f"unknown metric {metric!r}, {nearest(metric, task(test.schema).compared)}")
    row_axes = 1 if test.schema.classes == 1 else 2
    sides = [s[None] if s.ndim == row_axes else s for s in (np.asarray(first), np.asarray(second))]
    if any(side.ndim != row_axes + 1 or side.shape[1] != len(test) for side in sides):
        raise DataError(f"scores must be of the {len(test)} test rows, got {[side.shape for side in sides]}")
    answers, found = _answers(test), []
    for segment in segments:
        rows = answers.take(segment.rows)
        if _suffices(rows, metric):
            a, b = (side[:, segment.rows] for side in sides)
            found.append(_compared(segment, a, b, rows, metric))
    for one, p in zip(found, holm([one["p"] for one in found]), strict=True):
        one["p_holm"] = float(p)
    better = ("high", 1) if more_is_better(test.schema, metric) else ("low", -1)
    found.sort(key=lambda one: (better[1] * one[better[0]], one["column"], one["segment"]))
    return SegmentComparisons(tuple(found), len(segments) - len(found))


def is_small(test: Table) -> bool:
    """Whether intervals over these labelled rows are not to be trusted: fewer than `ENOUGH` users, rows or clicks."""
    return min(count for count in (len(test), *_counts(test)) if count is not None) < ENOUGH


def _compared(segment: Segment, first: Array, second: Array, test: Table, metric: str) -> dict[str, Any]:
    users, clicks = _counts(test)
    counts = {"rows": len(test), "users": users, "positives": clicks}
    values = {f"value_{name}": _mean(side, test, metric) for name, side in (("a", first), ("b", second))}
    shown = ("metric", "delta", "low", "high", "p", "method")
    found = {key: value for key, value in compare(first, second, test, metric).items() if key in shown}
    return {"column": segment.column, "segment": segment.name, **counts, **values, **found, "small": is_small(test)}


def _counts(test: Table) -> tuple[int | None, int | None]:
    """Users and clicks, where rows have such."""
    user = test.schema.user
    users = None if user is None else len(np.unique(test.numpy(user)))
    return users, int((test.labels == 1).sum()) if test.schema.classes == 1 else None


def _answers(test: Table) -> Table:
    """The test rows with nothing but what a comparison reads."""
    roles = {role: getattr(test.schema, role) for role in ("label", "rating", "grades", "user", "row_id")}
    return test.with_schema(Schema(**roles))


def _suffices(test: Table, metric: str) -> bool:
    """Whether there are units enough, and for AUC rows of each class, that an interval says something."""
    clicked = test.labels == 1
    counting = clicked if metric == "ndcg@10" else np.ones(len(test), dtype=bool)
    units = len(test) if test.schema.user is None else len(np.unique(test.numpy(test.schema.user)[counting]))
    rarer = min(int(clicked.sum()), int((~clicked).sum()))
    return units >= FEWEST_UNITS and (metric != "auc" or rarer >= FEWEST_OF_A_CLASS)


def _mean(scores: Array, test: Table, metric: str) -> float:
    """The mean over seeds of a metric."""
    if metric == "ndcg@10":
        users = test.numpy(str(test.schema.user))
        return float(np.mean([ndcg_at_k(one, test.labels, users).mean for one in scores]))
    if metric in RATING_METRICS:
        expected = expected_rating(scores, test.schema.grades)
        return float(np.mean([measure_ratings(one, test).metrics[metric] for one in expected]))
    of = logloss if metric == "logloss" else METRICS[metric]
    return float(np.mean([of(one, test.labels) for one in scores]))


def _groups(test: Table, train: Table, source: Table | None) -> Iterator[tuple[str, Array, list[str]]]:
    """Ways to part the rows: by which column, (rows,) the number of each row's group, and the groups' names."""
    labelled = train.take(train.labelled)
    for role in ROLES:
        name = getattr(test.schema, role)
        if name is None:
            continue
        column = test.column(name)
        known = times(column, counted(labelled.column(name))) > 0
        yield name, known * 1, ["without labelled training rows", "with labelled training rows"]
        there = None if source is None else getattr(source.schema, role)
        if source is not None and there is not None:
            yield name, (times(column, counted(source.column(there))) > 0) * 1, ["not in the source", "in the source"]
        yield name, *_by_rows(column, train.column(name))
    for name in test.schema.categorical:
        if name not in (test.schema.user, test.schema.item) and len(counted(train.column(name))) <= FEW:
            yield name, *_by_value(test.column(name), train.column(name))


def _by_rows(tested: pa.Array, trained: pa.Array) -> tuple[Array, list[str]]:
    """Groups by training rows: none, and up to each decile of the ids of the training rows."""
    counts = counted(trained)
    deciles = np.quantile(counts.counts, np.arange(1, 10) / 10, method="lower") if len(counts) else np.zeros(0)
    limits = [0, *(int(limit) for limit in np.unique(deciles))]
    names = ["no training rows"]
    for low, high in zip([limit + 1 for limit in limits], limits[1:], strict=False):
        names.append(f"{low:,} to {high:,} training rows" if low < high else f"{high:,} training row{'s'[: high > 1]}")
    return np.searchsorted(limits, times(tested, counts)), [*names, f"more than {limits[-1]:,} training rows"]


def _by_value(tested: pa.Array, trained: pa.Array) -> tuple[Array, list[str]]:
    """Groups of one value each, the most frequent in training; of all others; and of none."""
    counts = counted(trained)
    order = np.lexsort((np.array(counts.values.to_pylist(), dtype=str), -counts.counts))[:LISTED]
    listed = counts.values.take(pa.array(order))
    column = decoded(tested).cast(pa.large_string())
    place = as_numpy(pc.fill_null(pc.index_in(column, listed), len(listed)))
    return np.where(as_numpy(column.is_null()), len(listed) + 1, place), [
        *listed.to_pylist(),
        "other values",
        "missing",
    ]
