"""Ids of ids: a vocabulary of the values seen, or a hash of any value."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recdistill.columns import as_arrow, as_numpy, decoded
from recdistill.errors import DataError, UsageError
from recdistill.transforms.partials import Array, Counts


@dataclass(frozen=True)
class Vocabulary:
    """Ids 1, 2, … by falling count for values seen at least `min_count` times; 0 for all others and missing ones.

    Args:
        min_count: how often a value must occur to get an id of its own.
        max_size: of more values than this the column is hashed to as many buckets instead.
        values: the known values in id order, once fitted.
    """

    min_count: int = 1
    max_size: int | None = None
    values: Any = None

    def __post_init__(self) -> None:
        if self.min_count < 1:
            raise UsageError(f"min_count must be at least 1, got {self.min_count=}")
        if self.max_size is not None and self.max_size < 1:
            raise UsageError(f"the largest vocabulary must have room for a value, got {self.max_size=}")

    @property
    def rows(self) -> int:
        """The number of ids, 0 included."""
        return 1 + len(self.values)

    def measure(self, column: pa.Array) -> Counts:
        """Count a column's values."""
        counts = Counts.of(column)
        return Counts(_plain(counts.values), counts.counts)

    def fitted(self, parts: Iterable[Counts]) -> Vocabulary | Hashing:
        """Number the values by falling count; ties in count are ordered by value.

        Args:
            parts: merged counts. Several parts have no value in common, so that they need not be in memory together.

        Returns:
            A vocabulary, or hashing where it would be larger than `max_size`.
        """
        kept: list[Counts] = []
        for part in parts:
            kept.append(self._frequent(part))
            if self.max_size is not None and sum(map(len, kept)) > self.max_size:
                return Hashing(self.max_size)
        return self.numbered(kept)

    def numbered(self, parts: Iterable[Counts]) -> Vocabulary:
        """As `fitted`, however many values there are."""
        kept = [self._frequent(part) for part in parts]
        values = pa.concat_arrays([part.values for part in kept])
        table = pa.table({"value": values, "count": as_arrow(np.concatenate([part.counts for part in kept]))})
        table = table.sort_by([("count", "descending"), ("value", "ascending")])
        return replace(self, values=pa.concat_arrays(table["value"].chunks or [values]))

    def fit(self, column: pa.Array) -> Vocabulary | Hashing:
        """Number the values of one column."""
        return self.fitted([self.measure(column)])

    def extended(self, column: pa.Array) -> Vocabulary:
        """The same ids, and new ids after them for the column's values that had none."""
        new = self.refitted(self._cast(column)).values
        fresh = new.filter(pc.invert(pc.is_in(new, value_set=self.values)))
        return replace(self, values=pa.concat_arrays([self.values, fresh]))

    def refitted(self, column: pa.Array) -> Vocabulary:
        """Of another column's values, however many: a table of embeddings is there already."""
        return self.numbered([self.measure(column)])

    def encode(self, column: pa.Array) -> Array:
        """(rows,) int32 ids."""
        if pa.types.is_dictionary(column.type):
            return gathered(self.encode(column.dictionary), column)
        found = pc.index_in(self._cast(column), value_set=self.values, skip_nulls=True)
        return as_numpy(found, missing=-1) + np.int32(1)

    def _frequent(self, part: Counts) -> Counts:
        return part.where(part.counts >= self.min_count)

    def _cast(self, column: pa.Array) -> pa.Array:
        column = _plain(column)
        try:
            return column.cast(self.values.type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            raise DataError(f"values must be of type {self.values.type}, got {column.type}") from None


@dataclass(frozen=True)
class Hashing:
    """Ids 1 … `buckets` by xxh3-64 of the value's text; 0 for missing values. Nothing to fit.

    Args:
        buckets: how many ids the values share.
    """

    buckets: int

    def __post_init__(self) -> None:
        if self.buckets < 1:
            raise UsageError(f"hashing needs at least one bucket, got {self.buckets=}")

    @property
    def rows(self) -> int:
        """The number of ids, 0 included."""
        return 1 + self.buckets

    def measure(self, column: pa.Array) -> None:
        """Nothing."""

    def fitted(self, parts: Iterable[None]) -> Hashing:
        """Itself."""
        return self

    def fit(self, column: pa.Array) -> Hashing:
        """Itself."""
        return self

    def encode(self, column: pa.Array) -> Array:
        """(rows,) int32 ids; equal values get equal ids on every machine."""
        coded = column if pa.types.is_dictionary(column.type) else _plain(column).dictionary_encode()
        ids = (1 + text_hashes(coded.dictionary) % np.uint64(self.buckets)).astype(np.int32)
        ids[as_numpy(coded.dictionary.is_null())] = 0
        return gathered(ids, coded)


def text_hashes(values: pa.Array) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """(rows,) xxh3-64 of the values' text."""
    import xxhash  # here, for a served student that hashes nothing does without

    texts = _plain(values).cast(pa.large_string()).to_pylist()
    return np.fromiter((xxhash.xxh3_64_intdigest((text or "").encode()) for text in texts), np.uint64, len(texts))


def gathered(ids: Array, coded: pa.Array) -> Array:
    """(rows,) the id of each row's value, from the ids of the dictionary; 0 where it is missing."""
    return np.append(ids, np.int32(0))[as_numpy(coded.indices.cast(pa.int32()), missing=len(ids))]


def _plain(column: pa.Array) -> pa.Array:
    """Decoded; integers as int64 and text as large_string, so that equal values compare equal."""
    column = decoded(column)
    return column.cast(pa.int64() if pa.types.is_integer(column.type) else pa.large_string())
