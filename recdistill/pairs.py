"""Pairs that nobody has seen yet: rows without a label, for a teacher to label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa

from recdistill.columns import decoded
from recdistill.errors import DataError, UsageError, nearest
from recdistill.sides import coded, placed, sides
from recdistill.streams import seed as seed_of
from recdistill.tables import Table

Array = np.ndarray[Any, Any]
By = Literal["uniform", "popularity"]
# After so many, each of twice the pairs that are wanting, the popular ones are all but gone.
ROUNDS = 20


def unseen_pairs(table: Table, *, rows: int, seed: int, by: By = "uniform", seen: Sequence[Table] = ()) -> Table:
    """Rows of user-item pairs that a table does not have, to be labelled by a teacher.

    A pair has the columns of its user and of its item (`sides` says which those are). What belongs to neither, the time
    too unless it is the user's or the item's, comes from one row of the table, drawn for each pair: a moment that there
    was, not one in which this user met this item. Label, rating, truth, score and privileged columns are missing.

    Args:
        table: of the target; its users and items are paired.
        rows: how many different pairs.
        seed: of the draw; the order of the table's rows plays no part.
        by: "uniform": each unseen pair alike; "popularity": user and item each as often as in the table's rows. Where
            popular pairs run out, the rest is uniform.
        seen: further tables whose pairs and row ids are not used, e.g. validation and test rows.

    Returns:
        Rows of the table's schema and types, with row ids above all of those tables'; `concat` joins them to it.

    Raises:
        UsageError: rows is below 1, or `by` is not known.
        DataError: no user or item column, another type of it in `seen`, fewer unseen pairs than rows, no room for row
            ids above, or a privileged vector column, since vectors cannot be missing.
    """
    if rows < 1:
        raise UsageError(f"rows must be at least 1, got {rows=}")
    if by not in get_args(By):
        raise UsageError(f"no way {by!r} to draw pairs, {nearest(by, get_args(By))}")
    schema = table.schema
    if schema.user is None or schema.item is None:
        raise DataError(f"pairs need a user and an item column, got {schema.user=}, {schema.item=}")
    table = table.take(np.argsort(table.row_ids))
    users, user = coded(table.column(schema.user))
    items, item = coded(table.column(schema.item))
    others = [_pairs(other, table, users, items) for other in seen]
    taken = np.unique(np.concatenate([user * len(items) + item, *others]))
    free = len(users) * len(items) - len(taken)
    if free < rows:
        raise DataError(
            f"there must be as many unseen pairs as rows, got {free} of {len(users)} users and {len(items)} items "
            f"for {rows=}"
        )
    rng = np.random.default_rng(seed_of(seed, "pairs", by))
    pairs = np.empty(0, dtype=np.int64) if by == "uniform" else _popular(rng, user, item, taken, rows)
    pairs = np.append(pairs, _uniform(rng, np.union1d(taken, pairs), len(users) * len(items), rows - len(pairs)))
    places = {
        "user": np.unique(user, return_index=True)[1][pairs // len(items)],
        "item": np.unique(item, return_index=True)[1][pairs % len(items)],
        "context": rng.integers(0, len(table), rows),
    }
    owners = sides(table.arrow, schema, user, item)
    columns = {name: table.column(name).take(pa.array(places[owner])) for name, owner in owners.items()}
    return Table(pa.table(columns | _unknown(table, rows) | row_ids_above([table, *seen], rows)), schema)


def _pairs(other: Table, table: Table, users: Array, items: Array) -> Array:
    """(pairs,) the pairs of another table whose user and item a table has, as user position × items + item position."""
    places = []
    for role, names in (("user", users), ("item", items)):
        column, name = table.column(getattr(table.schema, role)), getattr(other.schema, role)
        if name is None or decoded(other.column(name)).type != decoded(column).type:
            got = None if name is None else str(other.column(name).type)
            raise DataError(f"the tables must have the same type of {role} column, got {column.type} and {got}")
        values = decoded(other.column(name)).to_numpy(zero_copy_only=False)
        places.append(placed(values, names))
    user, item = places
    return np.asarray((user * len(items) + item)[(user >= 0) & (item >= 0)])


def _uniform(rng: np.random.Generator, taken: Array, cells: int, count: int) -> Array:
    """(count,) different numbers below `cells` that are not among the taken ones, which rise."""
    ranks = rng.choice(cells - len(taken), count, replace=False)
    before = taken - np.arange(len(taken))  # how many free numbers stand before each taken one
    return np.asarray(ranks + np.searchsorted(before, ranks, side="right"), dtype=np.int64)


def _popular(rng: np.random.Generator, user: Array, item: Array, taken: Array, rows: int) -> Array:
    """(at most rows,) different pairs that are not taken, the user of one row with the item of another."""
    found = np.empty(0, dtype=np.int64)
    for _ in range(ROUNDS):
        count = 2 * (rows - len(found))
        drawn = rng.choice(user, count) * (int(item.max()) + 1) + rng.choice(item, count)
        found = np.append(found, drawn[~np.isin(drawn, taken)])
        found = found[np.sort(np.unique(found, return_index=True)[1])][:rows]
    return found


def _unknown(table: Table, rows: int) -> dict[str, pa.Array]:
    """The columns that a pair which nobody has seen cannot have."""
    schema = table.schema
    names = (schema.label, schema.rating, schema.truth, schema.score, *schema.privileged)
    return {name: pa.nulls(rows, table.column(name).type) for name in names if name is not None}


def row_ids_above(tables: Sequence[Table], rows: int) -> dict[str, pa.Array]:
    """Row ids above those of the tables."""
    first = 1 + max(int(table.row_ids.max()) for table in tables if len(table))
    if first + rows > 2**63:
        raise DataError(f"row ids must be below 2^63, got {first - 1} as the largest, with {rows} to come")
    return {tables[0].schema.row_id: pa.array(np.arange(first, first + rows))}
