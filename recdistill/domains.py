"""Domains: which rows are the source and which the target, told apart by a value, a member of a list, or time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recdistill.errors import DataError, UsageError, nearest
from recdistill.splits import Mask, earlier
from recdistill.tables import Table

# The share of the rows, by time, that are the source.
AT = 0.6
Values = str | Sequence[Any] | None


def source_and_target(
    table: Table,
    column: str,
    *,
    source: Values = None,
    target: Values = None,
    at: float | None = None,
    disjoint: Sequence[str] = ("rows",),
    drop_column: bool = True,
) -> tuple[Table, Table]:
    """Source and target by the rule that fits a column; what every data set uses.

    Args:
        table: rows of both domains.
        column: "time": see `by_time`, unless the domain or a feature is a column of that name. A column of lists: see
            `by_member`; it stays a feature, for a row has other members too. Any other: see `by_value`.
        source, target: the values of each side; without the one, that side is every row that the other leaves.
        at: for "time" alone, the share of the rows that came first; by default 0.6.
        disjoint: what must not be on both sides: "rows", "user", "item".
        drop_column: a column whose values tell the domains apart is no feature then.

    Raises:
        UsageError: there is no such column, or its rule cannot take the values or `at`.
        DataError: a side is empty, or what must be disjoint is shared.
    """
    own = column in (table.schema.domain, *table.schema.features)
    if at is not None or (column == "time" and not own):
        if column != "time":
            raise UsageError(f"`at` tells domains apart by time, got {at=} with column {column!r}")
        if source is not None or target is not None:
            raise UsageError(f"domains by time are told apart by `at` alone, got {source=}, {target=}")
        whole = table.with_schema(replace(table.schema, domain=None))
        return by_time(whole, at=AT if at is None else at, disjoint=disjoint)
    if column not in table.schema.columns:
        known = ("time", *table.schema.columns)
        raise UsageError(f"no column {column!r} to tell the domains apart, {nearest(column, known)}")
    member = _is_list(table.column(column).type)
    schema = table.schema.without(column) if drop_column and not member else table.schema
    rule = by_member if member else by_value
    return rule(
        table.with_schema(replace(schema, domain=column)), column, source=source, target=target, disjoint=disjoint
    )


def by_value(
    table: Table, column: str, *, source: Values = None, target: Values = None, disjoint: Sequence[str] = ("rows",)
) -> tuple[Table, Table]:
    """Source and target by the values of a column.

    Args:
        table: rows of both domains.
        column: what tells them apart.
        source, target: the value or values of each side. Rows with other values are left out where both are named;
            where one is not, it is every other row, those without a value too.
        disjoint: what must not be on both sides: "rows", "user", "item".

    Raises:
        UsageError: no side is named, or a value is on both sides or does not occur.
        DataError: a side is empty, or what must be disjoint is shared.
    """
    named = _listed(source), _listed(target)
    both = sorted(set(map(str, named[0] or ())) & set(map(str, named[1] or ())))
    if both:
        raise UsageError(f"a value is source or target, got {both} as both")
    values = table.column(column)
    known = {str(value): value for value in pc.unique(values).drop_null().to_pylist()}
    found = []
    for side in named:
        chosen = [_known(value, known, column) for value in side or ()]
        found.append(pc.is_in(values, pa.array(chosen, type=values.type)).to_numpy(zero_copy_only=False))
    first, second = found
    if named[0] is None and named[1] is None:
        raise UsageError(f"domains by column {column!r} need the values of the source or of the target, got neither")
    if named[0] is None or named[1] is None:
        first, second = (first, ~first) if named[1] is None else (~second, second)
    return _parted(table, first, second, disjoint)


def by_member(
    table: Table, column: str, *, source: Values = None, target: Values = None, disjoint: Sequence[str] = ("rows",)
) -> tuple[Table, Table]:
    """Source and target by whether a row's list has a value: one side is every row that has it, the other all others.

    Only one side can be named: a row may have the values of both, so two named sides would overlap.

    Args:
        table: rows of both domains.
        column: of lists.
        source, target: the one value of the one side that is named.
        disjoint: what must not be on both sides: "rows", "user", "item".

    Raises:
        UsageError: not exactly one side is named by one value, or the value does not occur.
        DataError: the column holds no lists, a side is empty, or what must be disjoint is shared.
    """
    named = [side for side in (_listed(source), _listed(target)) if side is not None]
    if len(named) != 1 or len(named[0]) != 1:
        raise UsageError(
            f"column {column!r} has several values a row, so one value names one side and the other side is its "
            f"complement (two named sides could overlap), got {source=}, {target=}"
        )
    lists = table.column(column)
    if not _is_list(lists.type):
        raise DataError(f"domains by member need a column of lists, got {lists.type} in {column!r}")
    members, rows = pc.list_flatten(lists), pc.list_parent_indices(lists)
    known = {str(value): value for value in pc.unique(members).drop_null().to_pylist()}
    value = pa.scalar(_known(named[0][0], known, column), members.type)
    has = np.zeros(len(table), dtype=bool)
    has[rows.filter(pc.equal(members, value)).to_numpy()] = True
    return _parted(table, ~has, has, disjoint) if source is None else _parted(table, has, ~has, disjoint)


def privileged_columns(source: Table, target: Table) -> dict[str, bool]:
    """Per privileged column of the source whether the target has it too, with a value in some row."""
    there = [name for name in source.schema.privileged if name in target.schema.columns]
    return {n: n in there and target.column(n).null_count < len(target) for n in source.schema.privileged}


def by_time(table: Table, *, at: float, disjoint: Sequence[str] = ("rows",)) -> tuple[Table, Table]:
    """The first share `at` of the rows by time is the source, the rest the target; equal times stay together.

    Raises:
        DataError: no time column, a side is empty, or what must be disjoint is shared.
    """
    first = earlier(table, at)
    return _parted(table, first, ~first, disjoint)


def require_disjoint(source: Table, target: Table, *, on: Sequence[str]) -> None:
    """Refuse rows, users or items that are on both sides.

    Raises:
        DataError: some are shared; says how many, with an example.
        UsageError: `on` names something else.
    """
    for what in on:
        if what not in ("rows", "user", "item"):
            raise UsageError(f"domains can be disjoint in rows, user or item, got {what!r}")
        names = [getattr(table.schema, "row_id" if what == "rows" else what) for table in (source, target)]
        if None in names:
            raise DataError(f"domains disjoint in {what} need a {what} column in both tables, got {names}")
        shared = np.intersect1d(source.numpy(names[0]), target.numpy(names[1]))
        if len(shared):
            raise DataError(f"no {what} may be in both domains, got {len(shared)} shared, e.g. {shared.tolist()[0]!r}")


def _parted(table: Table, first: Mask, second: Mask, disjoint: Sequence[str]) -> tuple[Table, Table]:
    source, target = table.take(first), table.take(second)
    if not len(source) or not len(target):
        raise DataError(f"both domains need rows, got {len(source)} source and {len(target)} target rows")
    require_disjoint(source, target, on=disjoint)
    return source, target


def _is_list(kind: pa.DataType) -> bool:
    """A list that may have any members; one of fixed size is a vector."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _listed(side: Values) -> Sequence[Any] | None:
    return [side] if isinstance(side, str) else side


def _known(value: Any, known: dict[str, Any], column: str) -> Any:
    """A value as the column holds it; it may be given as text."""
    if str(value) not in known:
        raise UsageError(f"{value!r} does not occur in column {column!r}, {nearest(str(value), known)}")
    return known[str(value)]
