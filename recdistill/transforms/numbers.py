"""Numbers as ids, by quantile or logarithm, or scaled."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recdistill.columns import as_numpy
from recdistill.errors import DataError, UsageError
from recdistill.transforms.ids import Vocabulary
from recdistill.transforms.partials import Array, Counts, Moments, quantile


@dataclass(frozen=True)
class Quantiles:
    """Ids 1 … by quantile of a number; 0 for missing ones.

    Args:
        buckets: how many, at most (fewer where a value repeats).
        edges: the inner edges, once fitted.
    """

    buckets: int = 16
    edges: tuple[float, ...] | None = None

    @property
    def rows(self) -> int:
        """The number of ids, 0 included."""
        return 2 + len(self.edges or ())

    def measure(self, column: pa.Array) -> Counts:
        """Count a column's numbers."""
        return Counts.of(column.cast(pa.float64(), safe=False))

    def fitted(self, parts: Iterable[Counts]) -> Quantiles:
        """Place the inner edges at equal steps of the numbers' distribution; see `Vocabulary.fitted` for the parts."""
        found = [(as_numpy(part.values), part.counts) for part in parts]
        values, counts = (np.concatenate(side) for side in zip(*found, strict=True))
        if not len(values):
            return replace(self, edges=())
        order = np.argsort(values)
        shares = np.linspace(0, 1, self.buckets + 1)[1:-1]
        edges = {quantile(values[order], counts[order], share) for share in shares}
        return replace(self, edges=tuple(sorted(edges)))

    def fit(self, column: pa.Array) -> Quantiles:
        """Place the edges by one column."""
        return self.fitted([self.measure(column)])

    def encode(self, column: pa.Array) -> Array:
        """(rows,) int32 ids."""
        values, missing = _numbers(column)
        ids = 1 + np.searchsorted(np.asarray(self.edges), values, side="right")
        return np.where(missing, 0, ids).astype(np.int32)


@dataclass(frozen=True)
class LogBuckets:
    """Ids by floor(ln(x)²) for x > 2, else floor(x), through a vocabulary; 0 for missing and unseen buckets.

    The transform of the three-idiots' Criteo solution (2014).

    Args:
        min_count, vocabulary: as in `Vocabulary`, of the buckets.
    """

    min_count: int = 1
    vocabulary: Vocabulary | None = None

    @property
    def rows(self) -> int:
        """The number of ids, 0 included."""
        return 1 if self.vocabulary is None else self.vocabulary.rows

    def measure(self, column: pa.Array) -> Counts:
        """Count a column's buckets."""
        return Counts.of(_buckets(column))

    def fitted(self, parts: Iterable[Counts]) -> LogBuckets:
        """Number the buckets that occur; see `Vocabulary.fitted` for the parts."""
        return replace(self, vocabulary=Vocabulary(self.min_count).numbered(parts))

    def fit(self, column: pa.Array) -> LogBuckets:
        """Number the buckets of one column."""
        return self.fitted([self.measure(column)])

    def encode(self, column: pa.Array) -> Array:
        """(rows,) int32 ids."""
        if self.vocabulary is None:
            raise UsageError("the transform must be fitted first, got vocabulary=None")
        return self.vocabulary.encode(_buckets(column))


@dataclass(frozen=True)
class Scaled:
    """Numbers or vectors with mean 0 and deviation 1 on the fitted rows; missing numbers become the mean.

    Args:
        log: take `sign(x)·ln(1 + |x|)` first.
        mean, deviation: per number (one entry) or per vector position, once fitted.
    """

    log: bool = False
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()

    @property
    def dim(self) -> int:
        """Of a number 1, else the vector's length."""
        return len(self.mean)

    def measure(self, column: pa.Array) -> Moments:
        """A column's mean and deviation."""
        values, missing = self._values(column)
        values = _log(values) if self.log else values
        return Moments.of(np.compress(~missing, values, axis=0) if missing.any() else values)

    def fitted(self, parts: Iterable[Moments]) -> Scaled:
        """Scale by the mean and deviation over all parts; a constant keeps its scale."""
        whole = reduce(Moments.joined, parts)
        constant = whole.deviation < 1e-12 * np.maximum(1.0, np.abs(whole.mean))
        deviation = np.where(constant, 1.0, whole.deviation)
        return replace(self, mean=tuple(whole.mean.tolist()), deviation=tuple(deviation.tolist()))

    def fit(self, column: pa.Array) -> Scaled:
        """Scale by one column."""
        return self.fitted([self.measure(column)])

    def encode(self, column: pa.Array) -> Array:
        """(rows, dim) float32."""
        return self.scaled(*self._values(column))

    def scaled(self, values: Array, missing: Array) -> Array:
        """(rows, dim) float32 of (rows, dim) float64, where rows that are `missing` become the mean."""
        if values.shape[1] != self.dim:
            raise DataError(f"vectors must have length {self.dim}, got {values.shape[1]}")
        values = _log(values) if self.log else values
        scaled = (values - np.asarray(self.mean)) / np.asarray(self.deviation)
        return np.where(missing[:, None], 0.0, scaled).astype(np.float32)

    def _values(self, column: pa.Array) -> tuple[Array, Array]:
        if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
            values, missing = _numbers(column)
            values = values[:, None]
        else:
            flat = as_numpy(pc.list_flatten(column).cast(pa.float64(), safe=False), missing=np.nan)
            width = len(flat) // len(column) if len(column) else self.dim
            values, missing = flat.reshape(len(column), width), np.zeros(len(column), dtype=bool)
        return values, missing


def _log(values: Array) -> Array:
    return np.asarray(np.sign(values) * np.log1p(np.abs(values)))


def _numbers(column: pa.Array) -> tuple[Array, Array]:
    values = as_numpy(column.cast(pa.float64(), safe=False))
    return values, as_numpy(column.is_null())


def _buckets(column: pa.Array) -> pa.Array:
    values, missing = _numbers(column)
    buckets = np.where(values > 2, np.floor(np.log(np.maximum(values, 2)) ** 2), np.floor(values))
    return pa.array(buckets.astype(np.int64), mask=missing)
