"""Encoded rows as arrays: decoded from Arrow column by column, taken by position, made into Examples."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from recdistill.batch import Batch
from recdistill.columns import single
from recdistill.errors import DataError
from recdistill.examples import Examples
from recdistill.features import FeatureSpec, padded
from recdistill.part_files import LABEL, ROW_ID

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Lists:
    """A list of ids per row, end to end.

    Args:
        offsets: (rows + 1,) int64; row k has the ids from offsets[k] to offsets[k + 1].
        ids: int32.
    """

    offsets: Array
    ids: Array

    @staticmethod
    def of(lengths: Array, ids: Array) -> Lists:
        """Lists of these (rows,) lengths."""
        return Lists(np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]), ids)

    @staticmethod
    def joined(parts: Iterable[Lists]) -> Lists:
        """The lists of several parts' rows."""
        parts = list(parts)
        return Lists.of(np.concatenate([p.lengths for p in parts]), np.concatenate([p.ids for p in parts]))

    @property
    def lengths(self) -> Array:
        """(rows,) how many ids each row has."""
        return np.diff(self.offsets)

    def take(self, index: Array | slice) -> Lists:
        """The lists of some rows."""
        starts, ends = self.offsets[:-1][index], self.offsets[1:][index]
        taken = Lists.of(ends - starts, self.ids[:0])
        place = np.arange(taken.offsets[-1]) + np.repeat(starts - taken.offsets[:-1], ends - starts)
        return Lists(taken.offsets, self.ids[place])


@dataclass(frozen=True)
class EncodedRows:
    """Rows as they stand in a prepared table. Each row lies in one piece, so that taking rows at random is fast.

    Args:
        ids: (rows, categorical features) int32.
        number: (rows, number features) float32.
        multi: per multi-valued feature its lists.
        vector: per vector feature (rows, dim) float32.
        label: (rows,) float32, NaN where unlabelled.
        row_id: (rows,) int64.
    """

    ids: Array
    number: Array
    multi: tuple[Lists, ...]
    vector: tuple[Array, ...]
    label: Array
    row_id: Array

    @staticmethod
    def of(arrow: pa.Table, spec: FeatureSpec) -> EncodedRows:
        """The rows of part of a prepared table.

        Raises:
            DataError: a feature is missing in a row, an id is outside its table, or a number is not finite.
        """
        rows = len(arrow)
        ids, number = np.empty((rows, len(spec.categorical)), np.int32), np.empty((rows, len(spec.number)), np.float32)
        for position, (name, count) in enumerate(spec.categorical):
            ids[:, position] = _ids(name, single(arrow, name), count)
        for position, name in enumerate(spec.number):
            number[:, position] = _numbers(name, single(arrow, name))
        label = single(arrow, LABEL).to_numpy(zero_copy_only=False).astype(np.float32)
        return EncodedRows(
            ids,
            number,
            tuple(_lists(name, single(arrow, name), count) for name, count in spec.multi),
            tuple(_vectors(name, single(arrow, name), dim) for name, dim in spec.vector),
            label,
            single(arrow, ROW_ID).to_numpy(),
        )

    @staticmethod
    def joined(parts: Iterable[EncodedRows], rows: int) -> EncodedRows:
        """The rows of parts that are made one at a time, one at least.

        Args:
            parts: each is copied before the next is asked for, so that no two need to be held.
            rows: of all parts.
        """
        arrays: list[Array] = []
        lists: list[tuple[Lists, ...]] = []
        start = 0
        for part in parts:
            if not arrays:
                arrays = [np.empty((rows, *array.shape[1:]), array.dtype) for array in part._arrays]
            for whole, array in zip(arrays, part._arrays, strict=True):
                whole[start : start + len(part)] = array
            lists.append(part.multi)
            start += len(part)
        return _of(arrays, tuple(Lists.joined(of_feature) for of_feature in zip(*lists, strict=True)))

    def __len__(self) -> int:
        return len(self.label)

    def take(self, index: Array | slice) -> EncodedRows:
        """The rows at positions, or of a slice."""
        chosen = [a[index] if isinstance(index, slice) else a.take(index, axis=0) for a in self._arrays]
        return _of(chosen, tuple(lists.take(index) for lists in self.multi))

    def batch(self) -> Batch:
        """The features; lists are padded to the longest among these rows."""
        multi = tuple(torch.from_numpy(padded(lists.lengths, lists.ids)) for lists in self.multi)
        vector = tuple(torch.from_numpy(values) for values in self.vector)
        return Batch(torch.from_numpy(self.ids), multi, torch.from_numpy(self.number), vector)

    def examples(self, classes: int, teacher: Array | None = None) -> Examples:
        """The rows to learn from, of weight 1.

        Args:
            classes: logits per row.
            teacher: (rows,) or (rows, classes) float32 teacher logits; without them there are none.
        """
        label = torch.from_numpy(self.label)
        nothing = label.new_full((len(self),) if classes == 1 else (len(self), classes), math.nan)
        logits = nothing if teacher is None else torch.from_numpy(teacher)
        return Examples(self.batch(), label, logits, torch.ones_like(label))

    @property
    def _arrays(self) -> list[Array]:
        return [self.ids, self.number, self.label, self.row_id, *self.vector]


def _of(arrays: list[Array], multi: tuple[Lists, ...]) -> EncodedRows:
    """The reverse of `EncodedRows._arrays`."""
    ids, number, label, row_id, *vector = arrays
    return EncodedRows(ids, number, multi, tuple(vector), label, row_id)


def _ids(name: str, column: pa.Array, count: int) -> Array:
    _require_values(name, column)
    found = pc.min_max(column).as_py()
    if len(column) and (found["min"] < 0 or found["max"] >= count):
        raise DataError(f"ids of {name!r} must be in [0, {count}), got [{found['min']}, {found['max']}]")
    return np.asarray(column.to_numpy())


def _numbers(name: str, column: pa.Array) -> Array:
    _require_values(name, column)
    values = np.asarray(column.to_numpy())
    if not np.isfinite(values).all():
        raise DataError(f"numbers must be finite, got NaN or infinity in {name!r}")
    return values


def _lists(name: str, column: pa.Array, count: int) -> Lists:
    _require_values(name, column)
    lengths = pc.list_value_length(column).to_numpy()
    # Flattening minds a slice's offset, which an array's `values` does not.
    return Lists.of(lengths, _ids(name, pc.list_flatten(column), count))


def _vectors(name: str, column: pa.Array, dim: int) -> Array:
    _require_values(name, column)
    wrong = [length for length in pc.unique(pc.list_value_length(column)).to_pylist() if length != dim]
    if wrong:
        raise DataError(f"vectors of {name!r} must have length {dim}, got {sorted(wrong)[:5]}")
    return np.array(_numbers(name, pc.list_flatten(column))).reshape(len(column), dim)


def _require_values(name: str, column: pa.Array) -> None:
    if column.null_count:
        raise DataError(f"encoded features are never missing, got {column.null_count} missing in {name!r}")
