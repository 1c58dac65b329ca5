"""What is measured of a column before a transform is fitted: statistics that can be merged, in any pieces."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recdistill.columns import as_arrow, as_numpy

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Counts:
    """How often each value occurs.

    Args:
        values: (distinct,) the values that occur, none of them missing, in no certain order.
        counts: (distinct,) int64, each at least 1.
    """

    values: pa.Array
    counts: np.ndarray[Any, np.dtype[np.int64]]

    def __len__(self) -> int:
        return len(self.values)

    @staticmethod
    def of(column: pa.Array) -> Counts:
        """A column's values; missing ones are left out."""
        if pa.types.is_dictionary(column.type):
            indices = as_numpy(column.indices.drop_null())
            counts = np.bincount(indices, minlength=len(column.dictionary)).astype(np.int64)
            there = as_numpy(column.dictionary.is_valid())
            return Counts(column.dictionary, counts).where((counts > 0) & there)
        values, counts = pc.value_counts(column.drop_null()).flatten()
        return Counts(values, as_numpy(counts))

    @property
    def total(self) -> int:
        """How many values there are, repeated ones as often as they occur."""
        return int(self.counts.sum())

    def where(self, keep: np.ndarray[Any, np.dtype[np.bool_]]) -> Counts:
        """Those values alone."""
        return Counts(self.values.filter(as_arrow(keep)), self.counts[keep])


def merged(parts: Iterable[Counts]) -> Counts:
    """Counts over several pieces of a column, of which there is at least one."""
    parts = list(parts)
    if len(parts) == 1:
        return parts[0]
    coded = pa.concat_arrays([part.values for part in parts]).dictionary_encode()
    counts = np.zeros(len(coded.dictionary), np.int64)
    np.add.at(counts, as_numpy(coded.indices), np.concatenate([part.counts for part in parts]))
    return Counts(coded.dictionary, counts)


@dataclass(frozen=True)
class Moments:
    """Mean and deviation of a number, or of each position of a vector.

    Args:
        rows: with a value.
        mean, deviation: (dim,) float64; the deviation is the population's.
    """

    rows: int
    mean: Array
    deviation: Array

    @staticmethod
    def of(values: Array) -> Moments:
        """Of (rows, dim) values, none of them missing."""
        if not len(values):
            return Moments(0, np.zeros(values.shape[1]), np.zeros(values.shape[1]))
        with np.errstate(over="ignore", invalid="ignore"):  # whoever uses an infinite deviation says so
            return Moments(len(values), values.mean(0), values.std(0))

    def joined(self, other: Moments) -> Moments:
        """Over the rows of both (Chan, Golub and LeVeque 1979, "Updating formulae", eq. 2.1)."""
        if not self.rows or not other.rows:
            return self if self.rows else other
        rows, apart = self.rows + other.rows, other.mean - self.mean
        with np.errstate(over="ignore", invalid="ignore"):
            squares = self.rows * self.deviation**2 + other.rows * other.deviation**2
            squares = squares + apart**2 * (self.rows * other.rows / rows)
        return Moments(rows, self.mean + apart * (other.rows / rows), np.sqrt(squares / rows))


Partial = Counts | Moments | None


def quantile(values: Array, counts: Array, share: float) -> float:
    """The quantile of rising distinct values that occur `counts` times each, linear between neighbours.

    As `numpy.quantile` of the values written out.
    """
    ends = np.cumsum(counts)
    place = share * (int(ends[-1]) - 1)
    low, high = (values[np.searchsorted(ends, math.floor(place) + step, side="right")] for step in (0, place % 1 > 0))
    return float(low + (high - low) * (place % 1))
