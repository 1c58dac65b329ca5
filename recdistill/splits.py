"""Splits: which rows train, validate and test, and which of them keep their labels."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np

from recdistill.errors import DataError, UsageError, nearest
from recdistill.streams import seed as seed_of
from recdistill.tables import Table

Mask = np.ndarray[Any, np.dtype[np.bool_]]
Counts = np.ndarray[Any, np.dtype[np.int64]]
By = Literal["random", "time", "user", "position", "last"]
LAST_OUT_ROWS = 3  # one each to train, validate and test


def split(
    table: Table,
    *,
    valid: float = 0.1,
    test: float = 0.1,
    by: By = "random",
    seed: int = 0,
    implicit: bool = False,
) -> tuple[Table, Table, Table]:
    """Training, validation and test rows: never overlapping, together all rows, the same for any row order (but for
    by="position").

    Args:
        table: the rows.
        valid, test: shares of the rows (of the users for by="user"), in (0, 1), together below 1; by="last" has no
            use for them.
        by: "random" rows; "time": the last rows test, those before validate; "position": the same in the table's row
            order; "user": no user in two parts; "last": each user's last row tests and the one before validates (of
            equal times the higher row id is the later), but users of fewer than 3 rows only train
            (`train_only_users` counts them).
        seed: of the random ones.
        implicit: whether the rows are clicks alone, so that the parts need not have both classes.

    Raises:
        UsageError: the shares make no sense, or there is no such way to split.
        DataError: a part is empty or its labels are of one class, or a column that `by` needs is missing.
    """
    if not (0 < valid < 1 and 0 < test < 1 and valid + test < 1):
        raise UsageError(f"valid and test must be shares in (0, 1) with a sum below 1, got {valid=}, {test=}")
    if by not in (ways := get_args(By)):
        raise UsageError(f"rows cannot be split by {by!r}, {nearest(str(by), ways)}")
    if by == "time":
        before_test = earlier(table, 1 - test)
        before_valid = earlier(table, 1 - test - valid)
        masks = [before_valid, before_test & ~before_valid, ~before_test]
    elif by == "last":
        rows, left = _left(table)
        few = rows < LAST_OUT_ROWS
        masks = [few | (left > 1), ~few & (left == 1), ~few & (left == 0)]
    else:
        unit = table.schema.user if by == "user" else table.schema.row_id
        if unit is None:
            raise DataError("a split by user needs a user column, got a schema without one")
        place = _middles(len(table)) if by == "position" else _places(table.numpy(unit), seed_of(seed, "split"))
        masks = [place < 1 - test - valid, (place >= 1 - test - valid) & (place < 1 - test), place >= 1 - test]
    parts = [table.take(mask) for mask in masks]
    for name, part in zip(("training", "validation", "test"), parts, strict=True):
        if not implicit or not len(part):
            require_classes(part, name)
    return parts[0], parts[1], parts[2]


def train_only_users(table: Table) -> int:
    """How many users have too few rows for last-item-out: all their rows train.

    Raises:
        DataError: no user or no time column.
    """
    rows, left = _left(table)
    return int(((left == 0) & (rows < LAST_OUT_ROWS)).sum())


def keep_labels(train: Table, valid: Table, *, share: float, seed: int, implicit: bool = False) -> tuple[Table, Table]:
    """Keep the labels of a share of each part's rows and remove the others, so that nothing can read them.

    A smaller share's labelled rows are among a larger share's, for one seed.

    Args:
        train, valid: the labelled parts.
        share: in (0, 1].
        seed: which rows.
        implicit: whether the rows are clicks alone.

    Raises:
        UsageError: the share is out of range.
        DataError: a part would keep labels of one class only.
    """
    if not 0 < share <= 1:
        raise UsageError(f"the share of labels must be in (0, 1], got {share=}")
    kept = []
    for name, part in (("training", train), ("validation", valid)):
        masked = part.with_labels_only(_places(part.row_ids, seed_of(seed, "labels", name)) < share)
        if not implicit or not masked.labelled.any():
            require_classes(masked, name)
        kept.append(masked)
    return kept[0], kept[1]


def folds(table: Table, *, k: int, seed: int, groups: np.ndarray[Any, Any] | None = None) -> list[Mask]:
    """Make k disjoint masks over the labelled rows, together all of them.

    Args:
        table: the rows.
        k: how many.
        seed: of the order.
        groups: (labelled rows,) numbers; rows of one number are in one fold. Each row is by itself without.

    Raises:
        UsageError: k is below 2 or above the number of labelled rows, or of groups.
    """
    labelled = np.flatnonzero(table.labelled)
    units = table.row_ids[labelled]
    if groups is not None:
        _, first, group = np.unique(groups, return_index=True, return_inverse=True)
        units = units[first][group]
    count = len(np.unique(units))
    if not 2 <= k <= count:
        what = "labelled rows" if groups is None else "groups of labelled rows"
        raise UsageError(f"k folds need 2 <= k <= {what}, got {k=} for {count}")
    place = _places(units, seed_of(seed, "folds"))
    number = np.full(len(table), -1)
    number[labelled] = np.minimum((place * k).astype(int), k - 1)
    return [number == fold for fold in range(k)]


def require_classes(part: Table, name: str) -> None:
    """Refuse a part whose labels are of fewer than two classes.

    Raises:
        DataError: names the part and what it holds.
    """
    if not len(part):
        raise DataError(f"the {name} part must have rows, got none")
    if part.schema.label is not None or part.schema.classes > 1:
        classes, needed = (
            np.unique(part.labels[part.labelled]).tolist(),
            "both" if part.schema.label else "at least two",
        )
        if len(classes) < 2:
            got = f"{classes} in {part.labelled.sum()} labelled rows"
            raise DataError(f"the {name} part needs {needed} classes, got {got}")


def _left(table: Table) -> tuple[Counts, Counts]:
    """Per row (rows,) how many rows its user has, and how many of them come after it by time, then row id."""
    user, time = table.schema.user, table.schema.time
    if user is None or time is None:
        raise DataError(f"last-item-out needs a user and a time column, got {user=}, {time=}")
    users = np.unique(table.numpy(user), return_inverse=True)[1]
    order = np.lexsort((table.row_ids, table.numpy(time), users))
    rows = np.bincount(users)
    left = np.empty(len(table), dtype=np.int64)
    left[order] = np.cumsum(rows)[users[order]] - 1 - np.arange(len(table))
    return rows[users], left


def earlier(table: Table, share: float) -> Mask:
    """(rows,) whether a row is before the time that `share` of the rows precede.

    Raises:
        UsageError: the share is out of range.
        DataError: no time column.
    """
    if not 0 < share < 1:
        raise UsageError(f"the share of earlier rows must be in (0, 1), got {share}")
    if table.schema.time is None:
        raise DataError("a split by time needs a time column, got a schema without one")
    times = table.numpy(table.schema.time)
    cut = np.sort(times)[int(share * len(times))]
    return np.asarray(times < cut)


def _places(values: Any, seed: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """(rows,) each distinct value's place in [0, 1) in a seeded order that ignores the order of rows."""
    distinct, inverse = np.unique(values, return_inverse=True)
    place = np.random.default_rng(seed).permutation(len(distinct)) / max(1, len(distinct))
    return np.asarray(place[inverse], dtype=np.float64)


def _middles(rows: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """(rows,) the middle of each row's slot in [0, 1), so that no boundary falls on one by rounding."""
    return (np.arange(rows) + 0.5) / max(1, rows)
