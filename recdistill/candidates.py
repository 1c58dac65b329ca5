"""Candidates of full ranking: for each test user every item of the catalogue that they have not seen.

What a table of users times items would hold is kept as one row per user and one row per item, with the knowledge of
which column belongs to whom.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from recdistill.artefacts import digest
from recdistill.columns import single
from recdistill.errors import DataError, UsageError
from recdistill.schema import Schema
from recdistill.sides import Side, coded, sides
from recdistill.streams import seed as seed_of
from recdistill.tables import Table

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Block:
    """The candidates of some users.

    Args:
        start: position of the first user.
        candidate: (users, items) bool, what is ranked.
        relevant: (users, items) bool, the candidates that the user clicked in the test rows.
    """

    start: int
    candidate: Array
    relevant: Array


@dataclass(frozen=True)
class Candidates:
    """Who is ranked what.

    Args:
        names: (users,) the ranked users, rising.
        users: each one's first test row by row id: the columns of the user, and of the moment.
        items: a row of each item of the catalogue, in rising order of item: the columns of the item.
        sides: per column whose it is: the "user"'s, the "item"'s, or that of the "context" in which the user came.
        popularity: (items,) rows of each item in the tables of what was seen, of all users.
        relevant, seen: (pairs,) rising user position × items + item position.
        eligible: how many users have something to find; more than are ranked where users were drawn.
        skipped: how many test users have nothing to find: no click on an item that they had not seen.
        sampled: how many negatives are drawn for each user; None ranks all.
        seed: of what is drawn.
    """

    names: Array
    users: Table
    items: Table
    sides: dict[str, Side]
    popularity: Array
    relevant: Array
    seen: Array
    eligible: int
    skipped: int
    sampled: int | None
    seed: int

    @staticmethod
    def of(
        test: Table,
        *,
        seen: Sequence[Table],
        catalogue: Sequence[Table] = (),
        users: int | None = None,
        sampled: int | None = None,
        seed: int = 0,
    ) -> Candidates:
        """The candidates of the users of the test rows.

        `sides` says which columns are the user's, the item's and the context's, over all tables; of the context's, all
        of a user's candidates get the value of the user's first test row.

        Args:
            test: labelled rows. Items with a click are relevant; those without stay candidates.
            seen: tables whose items are no candidates for the users who have them there, e.g. training and validation.
            catalogue: further tables whose items are candidates; those of `test` and `seen` always are.
            users: how many users to draw; all by default.
            sampled: how many negatives to draw for each user. Such metrics are biased, see `full_ranking.Ranked`.
            seed: of both draws; the order of rows plays no part.

        Raises:
            UsageError: users or sampled is below 1.
            DataError: the test rows are not all labelled with clicks, a user or item column or a column of the test
                rows is missing somewhere or has another type, or no user has anything to find.
        """
        _require_counts(users=users, sampled=sampled)
        schema = _unanswered(test)
        tables = list(dict.fromkeys((test, *seen, *catalogue)))
        rows = _stacked(tables, schema)
        user_names, user = coded(single(rows, str(schema.user)))
        item_names, item = coded(single(rows, str(schema.item)))
        width, tested = len(item_names), len(test)
        is_seen = np.repeat([table in seen for table in tables], [len(table) for table in tables])
        pairs = user * width + item
        seen_pairs = np.unique(pairs[is_seen])
        relevant = np.setdiff1d(pairs[:tested][test.labels == 1], seen_pairs)
        eligible = np.unique(relevant // width)
        if not len(eligible):
            raise DataError(f"full ranking needs users with a click on an unseen item, got none in {tested} test rows")
        drawn = np.random.default_rng(seed_of(seed, "users")).permutation(eligible)
        chosen = np.sort(drawn[:users])
        by_row_id = np.argsort(test.row_ids)
        present, first = np.unique(user[:tested][by_row_id], return_index=True)
        first_rows = by_row_id[first[np.searchsorted(present, chosen)]]
        return Candidates(
            names=user_names[chosen],
            users=Table(rows.take(pa.array(first_rows)), schema),
            items=Table(rows.take(pa.array(np.unique(item, return_index=True)[1])), schema),
            sides=sides(rows, schema, user, item),
            popularity=np.bincount(item[is_seen], minlength=width),
            relevant=_among(relevant, chosen, width),
            seen=_among(seen_pairs, chosen, width),
            eligible=len(eligible),
            skipped=len(present) - len(eligible),
            sampled=sampled,
            seed=seed,
        )

    @property
    def protocol(self) -> str:
        """Its name: "full", or "sampled-100" with 100 negatives per user."""
        return "full" if self.sampled is None else f"sampled-{self.sampled}"

    @property
    def fingerprint(self) -> str:
        """sha256 of who is ranked what: results of equal ones can be paired."""
        names = [list(map(str, values.tolist())) for values in (self.names, self._item_names)]
        pairs = [hashlib.sha256(values.tobytes()).hexdigest() for values in (self.relevant, self.seen)]
        return digest([self.protocol, self.seed if self.sampled else None, *names, *pairs])

    def blocks(self, cells: int) -> Iterator[Block]:
        """The users in order, so many at a time that users × items is at most `cells` (but one at least)."""
        step = max(1, cells // len(self.items))
        for start in range(0, len(self.names), step):
            stop = min(start + step, len(self.names))
            relevant, seen = (self._mask(pairs, start, stop) for pairs in (self.relevant, self.seen))
            others = ~(seen | relevant)
            if self.sampled is not None:
                others = np.stack([self._drawn(start + row, others[row], self.sampled) for row in range(stop - start)])
            yield Block(start, others | relevant, relevant)

    @property
    def _item_names(self) -> Array:
        return self.items.numpy(str(self.items.schema.item))

    def _mask(self, pairs: Array, start: int, stop: int) -> Array:
        width = len(self.items)
        low, high = np.searchsorted(pairs, [start * width, stop * width])
        mask = np.zeros((stop - start) * width, dtype=bool)
        mask[pairs[low:high] - start * width] = True
        return mask.reshape(-1, width)

    def _drawn(self, position: int, others: Array, count: int) -> Array:
        """(items,) so many of a user's other items, each equally likely; all where there are no more."""
        rng = np.random.default_rng(seed_of(self.seed, "negatives", str(self.names[position])))
        found, mask = np.flatnonzero(others), np.zeros_like(others)
        mask[rng.choice(found, min(count, len(found)), replace=False)] = True
        return mask


def _require_counts(**counts: int | None) -> None:
    for name, count in counts.items():
        if count is not None and count < 1:
            raise UsageError(f"{name} must be at least 1, or None for all, got {name}={count}")


def _unanswered(test: Table) -> Schema:
    """The test rows' schema without what tells the answer."""
    schema = test.schema
    if schema.user is None or schema.item is None:
        raise DataError(f"full ranking needs a user and an item column, got {schema.user=}, {schema.item=}")
    if schema.classes > 1 or not test.labelled.all():
        unlabelled = int((~test.labelled).sum())
        raise DataError(
            f"full ranking needs a click label in every test row, got {unlabelled} without, {schema.classes=}"
        )
    return replace(schema, label=None, rating=None, grades=(), truth=None, score=None)


def _stacked(tables: Sequence[Table], schema: Schema) -> pa.Table:
    """All tables' rows, without row ids, which may repeat."""
    names = [name for name in schema.columns if name != schema.row_id]
    parts = [pa.table({name: table.column(name) for name in names}) for table in tables]
    try:
        return pa.concat_tables(parts, promote_options="permissive").combine_chunks()
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(f"the test, seen and catalogue tables must have the same column types, got {error}") from None


def _among(pairs: Array, chosen: Array, width: int) -> Array:
    """The pairs of the chosen users, by the users' positions among them; rising as both are."""
    user, item = np.divmod(pairs, width)
    kept = np.isin(user, chosen)
    return np.asarray(np.searchsorted(chosen, user[kept]) * width + item[kept])
