"""Negatives of implicit feedback: rows without a click, drawn for each click among items its user is not seen with."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from recdistill.errors import DataError, UsageError
from recdistill.pairs import row_ids_above
from recdistill.sides import coded, placed, sides
from recdistill.streams import seed as seed_of
from recdistill.tables import Table, concat

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Catalogue:
    """The items that negatives are drawn from: those of a domain's rows, each with its columns.

    Args:
        rows: that have every item, all clicks.
    """

    rows: Table

    def with_negatives(
        self, clicks: Table, *, per_click: int, seed: int, known: Sequence[Table] = (), above: Sequence[Table] = ()
    ) -> Table:
        """The clicks and as many negatives for each as asked for, different ones for each click of a user.

        A negative has the columns of its click but for those that are the item's, and the label 0. That its user would
        not have clicked is not known: it may be a click among other rows.

        Args:
            clicks: rows whose label is 1.
            per_click: negatives of each.
            seed: of the drawing; with the same one other clicks get other draws, as test rows must from training rows.
            known: more rows of which no pair is drawn.
            above: more rows above whose ids those of the negatives are.

        Raises:
            UsageError: there are to be no negatives.
            DataError: no user or item column, rows that are no clicks, an item outside the catalogue, or users who
                know too many items to draw from the others.
        """
        schema = clicks.schema
        if per_click < 1:
            raise UsageError(f"each click needs at least one negative, got {per_click=}")
        if schema.user is None or schema.item is None or schema.label is None:
            raise DataError(f"negatives need a user, an item and a label column, got {schema.columns}")
        if not (clicks.labels == 1).all():
            raise DataError(f"negatives are drawn for clicks, got {int((clicks.labels != 1).sum())} other rows")
        items = coded(self.rows.column(schema.item))[0]
        rows = [clicks, *known]
        user = np.unique(np.concatenate([t.numpy(schema.user) for t in rows]), return_inverse=True)[1]
        item = placed(np.concatenate([t.numpy(schema.item) for t in rows]), items)
        if lacking := int((item < 0).sum()):
            raise DataError(f"the catalogue must have every item of the clicks, got {lacking} rows of others")
        # By the seed alone two parts would draw the same items: one's negatives would tell the other's labels.
        rows_drawn_for = hashlib.blake2b(np.ascontiguousarray(clicks.row_ids).tobytes()).hexdigest()
        rng = np.random.default_rng(seed_of(seed, "negatives", rows_drawn_for))
        taken = user * len(items) + item
        owner = np.repeat(user[: len(clicks)], per_click)
        drawn = untouched(owner, taken, np.arange(len(items)), len(items), rng=rng)
        return concat([clicks, self._rows(clicks, per_click, drawn, [*known, *above])])

    def _rows(self, clicks: Table, per_click: int, drawn: Array, above: Sequence[Table]) -> Table:
        """The rows of drawn items."""
        schema, arrow = clicks.schema, self.rows.arrow
        item, user = (coded(self.rows.column(str(name)))[1] for name in (schema.item, schema.user))
        owners = sides(arrow, schema, user, item)
        of_click = pa.array(np.repeat(np.arange(len(clicks)), per_click))
        of_item = pa.array(np.unique(item, return_index=True)[1][drawn])
        columns = {
            name: self.rows.column(name).take(of_item) if side == "item" else clicks.column(name).take(of_click)
            for name, side in owners.items()
        }
        label = pa.array(np.zeros(len(drawn)), pa.float64()).cast(clicks.column(str(schema.label)).type)
        return Table(
            pa.table({**columns, str(schema.label): label, **row_ids_above([clicks, *above], len(drawn))}), schema
        )


def untouched(owner: Array, taken: Array, items: Array, size: int, *, rng: Any, chance: Array | None = None) -> Array:
    """(rows,) an item for each row that its owner does not have, no item twice for an owner.

    Args:
        owner: (rows,) numbers of users.
        taken: (pairs,) owner · size + item, what is not drawn.
        items: (items,) numbers below `size` to draw from.
        size: above every item's number.
        rng: numpy's generator.
        chance: (items,) of each to be drawn; each alike without.

    Raises:
        DataError: an owner has too many items to draw from the others.
    """
    has = np.bincount(np.unique(taken) // size, minlength=int(owner.max()) + 1)
    needed = np.bincount(owner, minlength=len(has)) + has[: len(has)]
    if (most := int(needed[np.unique(owner)].max())) > len(items):
        raise DataError(f"a user's clicks and negatives must be different items, got {most} of {len(items)} for some")
    drawn = np.full(len(owner), -1)
    while len(open_ := np.flatnonzero(drawn < 0)):
        pair = owner[open_] * size + rng.choice(items, len(open_), p=chance)
        first = np.zeros(len(pair), dtype=bool)
        first[np.unique(pair, return_index=True)[1]] = True
        fresh = first & ~np.isin(pair, taken)
        drawn[open_[fresh]] = pair[fresh] % size
        taken = np.concatenate([taken, pair[fresh]])
    return drawn
