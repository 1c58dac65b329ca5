"""One column in, one array out: vocabularies, hashing and scaling, fitted once and applied everywhere.

Each is a small frozen value: `fit(column)` returns a fitted copy, `encode(column)` applies it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from recdistill.errors import DataError, UsageError

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Vocabulary:
    """Ids 1, 2, … by falling count for values seen at least `min_count` times; 0 for all others and missing ones.

    Args:
        min_count: how often a value must occur to get an id of its own.
        values: the known values in id order, once fitted.
    """

    min_count: int = 1
    values: Any = None

    def __post_init__(self) -> None:
        if self.min_count < 1:
            raise UsageError(f"min_count must be at least 1, got {self.min_count=}")

    @property
    def rows(self) -> int:
        """The number of ids, 0 included."""
        return 1 + len(self.values)

    def fit(self, column: pa.Array) -> Vocabulary:
        """Count the column's values; ties in count are ordered by value."""
        table = pa.table(pc.value_counts(_plain(column).drop_null()).flatten(), names=["value", "count"])
        table = table.filter(pc.greater_equal(table["count"], self.min_count))
        table = table.sort_by([("count", "descending"), ("value", "ascending")])
        return replace(self, values=table["value"].combine_chunks())

    def extended(self, column: pa.Array) -> Vocabulary:
        """The same ids, and new ids after them for the column's values that had none."""
        new = self.fit(self._cast(column)).values
        fresh = new.filter(pc.invert(pc.is_in(new, value_set=self.values)))
        return replace(self, values=pa.concat_arrays([self.values, fresh]))

    def encode(self, column: pa.Array) -> Array:
        """(rows,) int32 ids."""
        found = pc.index_in(self._cast(column), value_set=self.values, skip_nulls=True)
        return np.asarray(pc.fill_null(found, -1).to_numpy(zero_copy_only=False)).astype(np.int32) + 1

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

    def fit(self, column: pa.Array) -> Hashing:
        """Itself."""
        return self

    def encode(self, column: pa.Array) -> Array:
        """(rows,) int32 ids; equal values get equal ids on every machine."""
        coded = _plain(column).dictionary_encode()
        texts = coded.dictionary.cast(pa.large_string()).to_pylist()
        ids = np.array([1 + xxhash.xxh3_64_intdigest(t.encode()) % self.buckets for t in texts] + [0], dtype=np.int32)
        return ids[pc.fill_null(coded.indices, len(texts)).to_numpy(zero_copy_only=False)]


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

    def fit(self, column: pa.Array) -> Quantiles:
        """Place the inner edges at equal steps of the column's distribution."""
        values, missing = _numbers(column)
        if missing.all():
            return replace(self, edges=())
        shares = np.linspace(0, 1, self.buckets + 1)[1:-1]
        return replace(self, edges=tuple(np.unique(np.quantile(values[~missing], shares)).tolist()))

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

    def fit(self, column: pa.Array) -> LogBuckets:
        """Collect the buckets that occur."""
        return replace(self, vocabulary=Vocabulary(self.min_count).fit(self._buckets(column)))

    def encode(self, column: pa.Array) -> Array:
        """(rows,) int32 ids."""
        if self.vocabulary is None:
            raise UsageError("the transform must be fitted first, got vocabulary=None")
        return self.vocabulary.encode(self._buckets(column))

    def _buckets(self, column: pa.Array) -> pa.Array:
        values, missing = _numbers(column)
        buckets = np.where(values > 2, np.floor(np.log(np.maximum(values, 2)) ** 2), np.floor(values))
        return pa.array(buckets.astype(np.int64), mask=missing)


@dataclass(frozen=True)
class Scaled:
    """Numbers or vectors with mean 0 and deviation 1 on the fitted rows; missing numbers become the mean.

    Args:
        log: take sign(x)·ln(1 + |x|) first.
        mean, deviation: per number (one entry) or per vector position, once fitted.
    """

    log: bool = False
    mean: tuple[float, ...] = ()
    deviation: tuple[float, ...] = ()

    @property
    def dim(self) -> int:
        """Of a number 1, else the vector's length."""
        return len(self.mean)

    def fit(self, column: pa.Array) -> Scaled:
        """Measure mean and deviation; a constant keeps its scale."""
        values, missing = self._values(column)
        kept = values[~missing] if not missing.all() else np.zeros((1, values.shape[1]))
        deviation = np.where(kept.std(0) < 1e-12 * np.maximum(1.0, np.abs(kept.mean(0))), 1.0, kept.std(0))
        return replace(self, mean=tuple(kept.mean(0).tolist()), deviation=tuple(deviation.tolist()))

    def encode(self, column: pa.Array) -> Array:
        """(rows, dim) float32."""
        values, missing = self._values(column)
        if values.shape[1] != self.dim:
            raise DataError(f"vectors must have length {self.dim}, got {values.shape[1]}")
        scaled = (values - np.asarray(self.mean)) / np.asarray(self.deviation)
        return np.where(missing[:, None], 0.0, scaled).astype(np.float32)

    def _values(self, column: pa.Array) -> tuple[Array, Array]:
        if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
            values, missing = _numbers(column)
            values = values[:, None]
        else:
            flat = pc.list_flatten(column).to_numpy(zero_copy_only=False).astype(np.float64)
            width = len(flat) // len(column) if len(column) else self.dim
            values, missing = flat.reshape(len(column), width), np.zeros(len(column), dtype=bool)
        return (np.sign(values) * np.log1p(np.abs(values)) if self.log else values), missing


Transform = Vocabulary | Hashing | Quantiles | LogBuckets | Scaled
KINDS: dict[str, type[Transform]] = {
    "vocabulary": Vocabulary,
    "hashing": Hashing,
    "quantiles": Quantiles,
    "log_buckets": LogBuckets,
    "scaled": Scaled,
}


def state(transform: Transform) -> tuple[dict[str, Any], pa.Array | None]:
    """A fitted transform as plain JSON values, and its vocabulary's values apart."""
    kind = next(name for name, cls in KINDS.items() if type(transform) is cls)
    if isinstance(transform, LogBuckets):
        return {"kind": kind, "min_count": transform.min_count}, transform.vocabulary and transform.vocabulary.values
    if isinstance(transform, Vocabulary):
        return {"kind": kind, "min_count": transform.min_count}, transform.values
    return {"kind": kind, **transform.__dict__}, None


def restore(values: dict[str, Any], vocabulary: pa.Array | None) -> Transform:
    """The reverse of `state`."""
    if values.get("kind") not in KINDS:
        raise DataError(f"a transform must be one of {', '.join(KINDS)}, got {values.get('kind')!r}")
    settings: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k != "kind"}
    if values["kind"] == "vocabulary":
        return Vocabulary(**settings, values=vocabulary)
    if values["kind"] == "log_buckets":
        return LogBuckets(**settings, vocabulary=Vocabulary(settings["min_count"], vocabulary))
    return KINDS[values["kind"]](**settings)


def _plain(column: pa.Array) -> pa.Array:
    """Decoded; integers as int64 and text as large_string, so that equal values compare equal."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column.cast(pa.int64() if pa.types.is_integer(column.type) else pa.large_string())


def _numbers(column: pa.Array) -> tuple[Array, Array]:
    values = pc.fill_null(column.cast(pa.float64(), safe=False), 0.0).to_numpy(zero_copy_only=False)
    return values, column.is_null().to_numpy(zero_copy_only=False)
