"""Which rows are looked at, how they are dealt to folds, and what counts as a click: all by ids, in whatever order."""

from __future__ import annotations

from typing import Any

import numpy as np

from recdistill.errors import DataError
from recdistill.fingerprints import Words, fingerprints, places
from recdistill.tables import Table

Array = np.ndarray[Any, Any]
MOST_ROWS = 50_000  # of a side, drawn by row id; models then take seconds
FEWEST_ROWS, FEWEST_USERS = 200, 20
FOLDS = 3


def drawn(table: Table) -> Table:
    """The rows in the order of their ids, or, of more than `MOST_ROWS`, about so many of them drawn by their ids."""
    place = places(table.row_ids.view(np.uint64), seed=0)
    chosen = np.flatnonzero(place < MOST_ROWS / max(1, len(table)))
    return table.take(chosen[np.argsort(table.row_ids[chosen])])


def units(table: Table) -> Words:
    """(rows,) a word for what rows are drawn by: their user, or, without users, each row's own."""
    user = table.schema.user
    return fingerprints(table.column(table.schema.row_id if user is None else user))


def folds(table: Table) -> Array:
    """(rows,) each row's fold; a user's rows are in one, so that nothing learnt of a user is judged by the same."""
    return (places(units(table), seed=1) * FOLDS).astype(np.int64)


def first_liked(source: Table, target: Table) -> int:
    """The class from which on a rating counts as a click: the lowest above the source's median, or the median.

    1 for clicks. Both sides are cut at the same grade.

    Raises:
        DataError: the sides learn different things.
    """
    there, here = source.schema, target.schema
    if there.class_grades != here.class_grades:
        words = [f"grades {list(s.class_grades)}" if s.class_grades else "clicks" for s in (there, here)]
        raise DataError(f"source and target must have the same answers, got {words[0]} and {words[1]}")
    if there.classes == 1:
        return 1
    labels = source.labels[source.labelled]
    middle = float(np.median(labels)) if len(labels) else 0.0
    above = labels[labels > middle]
    return int(above.min() if len(above) else np.ceil(middle))


def require_enough(table: Table, side: str) -> None:
    """Refuse a side of which nothing could be said.

    Raises:
        DataError: it has fewer than `FEWEST_ROWS` rows, or fewer than `FEWEST_USERS` users.
    """
    users = len(np.unique(units(table)))
    if len(table) < FEWEST_ROWS or users < FEWEST_USERS:
        had = f"{len(table):,} rows" + ("" if table.schema.user is None else f" of {users:,} users")
        rule = f"a diagnosis needs at least {FEWEST_ROWS} rows of {FEWEST_USERS} users on each side"
        raise DataError(f"{rule}, got {had} in the {side}")


def clustered_error(values: Array, clusters: Array) -> float:
    """The standard error of a sum of (rows,) values, whose clusters are independent: the root of Σ (cluster sum)²."""
    return float(np.sqrt((np.bincount(np.unique(clusters, return_inverse=True)[1], values) ** 2).sum()))
