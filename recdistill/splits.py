"""Domains and splits: who is source and who is target, and which rows train, validate and test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recdistill.errors import DataError, UsageError, nearest
from recdistill.streams import seed as seed_of
from recdistill.tables import Table

Mask = np.ndarray[Any, np.dtype[np.bool_]]
Counts = np.ndarray[Any, np.dtype[np.int64]]
LAST_OUT_ROWS = 3  # one each to train, validate and test


def by_value(
    table: Table, column: str, *, source: Sequence[Any], target: Sequence[Any], disjoint: Sequence[str] = ("rows",)
) -> tuple[Table, Table]:
    """Source and target by the values of a column.

    Args:
        table: rows of both domains.
        column: what tells them apart.
        source, target: the values of each side; rows with other values are left out.
        disjoint: what must not be on both sides: "rows", "user", "item".

    Raises:
        UsageError: a value is on both sides or does not occur.
        DataError: what must be disjoint is shared.
    """
    both = sorted(set(map(str, source)) & set(map(str, target)))
    if both:
        raise UsageError(f"a value is source or target, got {both} as both")
    values = table.column(column)
    known = [str(v) for v in pc.unique(values).to_pylist()]
    for value in (*source, *target):
        if str(value) not in known:
            raise UsageError(f"{value!r} does not occur in column {column!r}, {nearest(str(value), known)}")
    parts = []
    for side in (source, target):
        parts.append(
            table.take(pc.is_in(values, pa.array(list(side), type=values.type)).to_numpy(zero_copy_only=False))
        )
    require_disjoint(parts[0], parts[1], on=disjoint)
    return parts[0], parts[1]


def by_time(table: Table, *, at: float, disjoint: Sequence[str] = ("rows",)) -> tuple[Table, Table]:
    """The first share `at` of the rows by time is the source, the rest the target; equal times stay together.

    Raises:
        DataError: no time column, or one side would be empty.
    """
    earlier = _earlier(table, at)
    source, target = table.take(earlier), table.take(~earlier)
    if not len(source) or not len(target):
        raise DataError(f"both domains need rows, got {len(source)} source and {len(target)} target rows with {at=}")
    require_disjoint(source, target, on=disjoint)
    return source, target


def require_disjoint(source: Table, target: Table, *, on: Sequence[str]) -> None:
    """Refuse rows, users or items that are on both sides.

    Raises:
        DataError: some are shared; says how many, with an example.
        UsageError: `on` names something else.
    """
    for what in on:
        if what not in ("rows", "user", "item"):
            raise UsageError(f"domains can be disjoint in rows, user or item, got {what!r}")
        names = ["row_id", "row_id"] if what == "rows" else [getattr(t.schema, what) for t in (source, target)]
        if what == "rows":
            names = [source.schema.row_id, target.schema.row_id]
        if None in names:
            raise DataError(f"domains disjoint in {what} need a {what} column in both tables, got {names}")
        shared = np.intersect1d(source.numpy(names[0]), target.numpy(names[1]))
        if len(shared):
            raise DataError(f"no {what} may be in both domains, got {len(shared)} shared, e.g. {shared[0]!r}")


def split(
    table: Table,
    *,
    valid: float = 0.1,
    test: float = 0.1,
    by: Literal["random", "time", "user", "last"] = "random",
    seed: int = 0,
) -> tuple[Table, Table, Table]:
    """Training, validation and test rows: never overlapping, together all rows, the same for any row order.

    Args:
        table: the rows.
        valid, test: shares of the rows (of the users for by="user"), in (0, 1), together below 1; by="last" has no
            use for them.
        by: "random" rows; "time": the last rows test, those before validate; "user": no user in two parts; "last":
            each user's last row tests and the one before validates (of equal times the higher row id is the later),
            but users of fewer than 3 rows only train (`train_only_users` counts them).
        seed: of the random ones.

    Raises:
        UsageError: the shares make no sense.
        DataError: a part is empty or its labels are of one class, or a column that `by` needs is missing.
    """
    if not (0 < valid < 1 and 0 < test < 1 and valid + test < 1):
        raise UsageError(f"valid and test must be shares in (0, 1) with a sum below 1, got {valid=}, {test=}")
    if by == "time":
        before_test = _earlier(table, 1 - test)
        before_valid = _earlier(table, 1 - test - valid)
        masks = [before_valid, before_test & ~before_valid, ~before_test]
    elif by == "last":
        rows, left = _left(table)
        few = rows < LAST_OUT_ROWS
        masks = [few | (left > 1), ~few & (left == 1), ~few & (left == 0)]
    else:
        unit = table.schema.user if by == "user" else table.schema.row_id
        if unit is None:
            raise DataError("a split by user needs a user column, got a schema without one")
        place = _places(table.numpy(unit), seed_of(seed, "split"))
        masks = [place < 1 - test - valid, (place >= 1 - test - valid) & (place < 1 - test), place >= 1 - test]
    parts = [table.take(mask) for mask in masks]
    for name, part in zip(("training", "validation", "test"), parts, strict=True):
        require_classes(part, name)
    return parts[0], parts[1], parts[2]


def train_only_users(table: Table) -> int:
    """How many users have too few rows for last-item-out: all their rows train.

    Raises:
        DataError: no user or no time column.
    """
    rows, left = _left(table)
    return int(((left == 0) & (rows < LAST_OUT_ROWS)).sum())


def keep_labels(train: Table, valid: Table, *, share: float, seed: int) -> tuple[Table, Table]:
    """Keep the labels of a share of each part's rows and remove the others, so that nothing can read them.

    A smaller share's labelled rows are among a larger share's, for one seed.

    Args:
        train, valid: the labelled parts.
        share: in (0, 1].
        seed: which rows.

    Raises:
        UsageError: the share is out of range.
        DataError: a part would keep labels of one class only.
    """
    if not 0 < share <= 1:
        raise UsageError(f"the share of labels must be in (0, 1], got {share=}")
    kept = []
    for name, part in (("training", train), ("validation", valid)):
        masked = part.with_labels_only(_places(part.row_ids, seed_of(seed, "labels", name)) < share)
        require_classes(masked, name)
        kept.append(masked)
    return kept[0], kept[1]


def folds(table: Table, *, k: int, seed: int) -> list[Mask]:
    """Make k disjoint masks over the labelled rows, together all of them.

    Raises:
        UsageError: k is below 2 or above the number of labelled rows.
    """
    labelled = np.flatnonzero(table.labelled)
    if not 2 <= k <= len(labelled):
        raise UsageError(f"k folds need 2 <= k <= labelled rows, got {k=} for {len(labelled)} rows")
    place = _places(table.row_ids[labelled], seed_of(seed, "folds"))
    number = np.full(len(table), -1)
    number[labelled] = np.minimum((place * k).astype(int), k - 1)
    return [number == fold for fold in range(k)]


def require_classes(part: Table, name: str) -> None:
    """Refuse a part without both classes among its labels.

    Raises:
        DataError: names the part and what it holds.
    """
    if not len(part):
        raise DataError(f"the {name} part must have rows, got none")
    if part.schema.label is not None:
        classes = np.unique(part.labels[part.labelled]).tolist()
        if len(classes) < 2:
            raise DataError(f"the {name} part needs both classes, got {classes} in {part.labelled.sum()} labelled rows")


def _places(values: Any, seed: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """(rows,) each distinct value's place in [0, 1) in a seeded order that ignores the order of rows."""
    distinct, inverse = np.unique(values, return_inverse=True)
    place = np.random.default_rng(seed).permutation(len(distinct)) / max(1, len(distinct))
    return np.asarray(place[inverse], dtype=np.float64)


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


def _earlier(table: Table, share: float) -> Mask:
    """Rows before the time that `share` of the rows precede."""
    if not 0 < share < 1:
        raise UsageError(f"the share of earlier rows must be in (0, 1), got {share}")
    if table.schema.time is None:
        raise DataError("a split by time needs a time column, got a schema without one")
    times = table.numpy(table.schema.time)
    cut = np.sort(times)[int(share * len(times))]
    return np.asarray(times < cut)
