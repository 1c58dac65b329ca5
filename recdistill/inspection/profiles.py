"""Small statistics of a column: enough for overlap, drift and columns of no use, and cheap to merge over parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recdistill.columns import as_numpy, decoded, is_list
from recdistill.schema import Schema
from recdistill.tables import Table
from recdistill.transforms import Counts

# The rows that train, in words.
SIDES = {"source": "the source's rows", "train": "the training rows"}
IDS = ("categorical", "multi", "user", "item")
SHARES = (0.01, 0.25, 0.5, 0.75, 0.99)


@dataclass(frozen=True)
class Numbers:
    """Moments and quantiles of the numbers that are there.

    Args:
        mean, deviation: with the number of values, not one less, as divisor.
        low, high: the least and the greatest.
        quantiles: at 1, 25, 50, 75 and 99 %.
    """

    mean: float
    deviation: float
    low: float
    high: float
    quantiles: tuple[float, ...]


@dataclass(frozen=True)
class ColumnProfile:
    """What a column of one side looks like. A stream of parts can fill it from merged statistics.

    Args:
        kind: a feature kind, or "user", "item", "label", "rating".
        type: of its values, in Arrow's words; of lists that of their items.
        rows: of the table.
        missing: rows without a value; of lists those without an item.
        distinct: different values; None for vectors.
        counts: of ids.
        numbers: of numbers, labels and ratings; None where all are missing.
        dim: how many numbers a vector has.
        privileged: whether it is the teacher's alone.
    """

    kind: str
    type: str
    rows: int
    missing: int
    distinct: int | None = None
    counts: Counts | None = field(default=None, compare=False)
    numbers: Numbers | None = None
    dim: int | None = None
    privileged: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether no row has a value."""
        return self.missing == self.rows

    @property
    def is_constant(self) -> bool:
        """Whether every row has the same value."""
        one = self.distinct == 1 or (self.numbers is not None and self.numbers.low == self.numbers.high)
        return one and not self.missing and self.kind != "multi"

    def to_dict(self) -> dict[str, Any]:
        """The statistics as JSON; the counts are left out."""
        kept = {name: getattr(self, name) for name in ("kind", "type", "rows", "missing", "distinct")}
        more = {"numbers": asdict(self.numbers) if self.numbers else None, "dim": self.dim}
        return kept | {name: value for name, value in more.items() if value is not None}

    @staticmethod
    def from_dict(values: Mapping[str, Any], *, privileged: bool = False) -> ColumnProfile:
        """The reverse of `to_dict`; without counts, and other keys are passed over."""
        facts: dict[str, Any] = {n: values.get(n) for n in ("kind", "type", "rows", "missing", "distinct", "dim")}
        if numbers := values.get("numbers"):
            facts["numbers"] = Numbers(**{**numbers, "quantiles": tuple(numbers["quantiles"])})
        return ColumnProfile(**facts, privileged=privileged)


def profiles(table: Table) -> dict[str, ColumnProfile]:
    """Per feature, user, item, label and rating column its profile."""
    privileged = table.schema.privileged_features
    return {
        name: profile(table.column(name), kind, privileged=name in privileged)
        for name, kind in _kinds(table.schema).items()
    }


def profile(column: pa.Array, kind: str, *, privileged: bool = False) -> ColumnProfile:
    """What a column looks like.

    Args:
        column: (rows,) its values.
        kind: as in `ColumnProfile`.
        privileged: whether it is the teacher's alone.
    """
    values = items(column)
    absent = missing_rows(column)
    facts: dict[str, Any] = {"kind": kind, "type": str(values.type), "rows": len(column), "missing": absent}
    if kind in IDS:
        counts = counted(values)
        return ColumnProfile(**facts, distinct=len(counts.values), counts=counts, privileged=privileged)
    if kind == "vector":
        dim = len(values) // len(column) if len(column) else None
        return ColumnProfile(**facts, dim=dim, privileged=privileged)
    distinct = int(pc.count_distinct(values, mode="only_valid").as_py())
    return ColumnProfile(**facts, distinct=distinct, numbers=_numbers(values), privileged=privileged)


def counted(values: pa.Array) -> Counts:
    """How often each value occurs, as text, so that 7 and "7" meet; missing ones left out."""
    found = Counts.of(values)
    return Counts(found.values.cast(pa.large_string()), found.counts)


def times(column: pa.Array, counts: Counts) -> np.ndarray[Any, np.dtype[np.int64]]:
    """(rows,) how often each row's value was `counted`, elsewhere for the most part; 0 where it is missing."""
    place = pc.fill_null(pc.index_in(decoded(column).cast(pa.large_string()), counts.values), len(counts))
    return np.append(counts.counts, 0)[as_numpy(place)].astype(np.int64)


def items(column: pa.Array) -> pa.Array:
    """A column's values, of lists their items, without a dictionary."""
    return decoded(pc.list_flatten(column) if is_list(column.type) else column)


def missing_rows(column: pa.Array) -> int:
    """How many rows have no value, or a list without items."""
    if not is_list(column.type):
        return int(column.null_count)
    return int(pc.sum(pc.equal(pc.fill_null(pc.list_value_length(column), 0), 0)).as_py() or 0)


def _numbers(values: pa.Array) -> Numbers | None:
    there = values.drop_null().to_numpy(zero_copy_only=False).astype(np.float64)
    if not len(there):
        return None
    low, *inner, high = np.quantile(there, (0, *SHARES, 1)).tolist()
    return Numbers(float(there.mean()), float(there.std()), low, high, tuple(inner))


def _kinds(schema: Schema) -> dict[str, str]:
    roles = {name: role for role in ("user", "item", "label", "rating") if (name := getattr(schema, role)) is not None}
    return roles | {name: schema.kind(name) for name in schema.features + schema.privileged_features}
