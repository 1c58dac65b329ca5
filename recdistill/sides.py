"""Whose each column is: the user's, the item's, or that of the context in which they met."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pyarrow as pa

from recdistill.columns import decoded, single
from recdistill.schema import Schema

Array = np.ndarray[Any, Any]
Side = Literal["user", "item", "context"]


def coded(column: pa.Array) -> tuple[Array, Array]:
    """The distinct values, rising, and (rows,) the position of each row's among them."""
    column = decoded(column)
    found = column.dictionary_encode()
    values = found.dictionary.to_numpy(zero_copy_only=False)
    order = np.argsort(values)
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    return values[order], place[found.indices.to_numpy(zero_copy_only=False)]


def placed(values: Array, known: Array) -> Array:
    """(rows,) where each value stands among the known ones, which rise; -1 for others."""
    found = np.minimum(np.searchsorted(known, values), len(known) - 1)
    return np.asarray(np.where(known[found] == values, found, -1))


def sides(rows: pa.Table, schema: Schema, user: Array, item: Array) -> dict[str, Side]:
    """Per column whose it is.

    A column is the item's when it has one value per item in all rows, and the user's when it has one per user. Where
    both hold it goes to users or items, whichever are fewer: their rows had more chances to differ. Other columns are
    the context's.

    Args:
        rows: with a user and an item column.
        schema: names them.
        user, item: (rows,) positions of each row's user and item, see `coded`.
    """
    owners: list[tuple[Side, Array]] = [("item", item), ("user", user)]
    owners.sort(key=lambda owner: int(owner[1].max()))
    found: dict[str, Side] = {}
    for name in rows.column_names:
        column = single(rows, name)
        found[name] = next((side for side, owner in owners if _depends(column, owner)), "context")
    return {**found, str(schema.user): "user", str(schema.item): "item"}


def _depends(column: pa.Array, owner: Array) -> bool:
    """Whether a column has one value per owner; missing is a value."""
    first = np.unique(owner, return_index=True)[1]
    return bool(column.take(pa.array(first[owner])).equals(column))
