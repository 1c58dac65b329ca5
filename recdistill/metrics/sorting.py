"""What sorting rows at once needs: columns as integers that one number packs, so that plain sorting orders them all."""

from __future__ import annotations

from typing import Any

import numpy as np

from recdistill.errors import DataError
from recdistill.metrics.classification import Array, checked

MOST_ROWS = 1 << 31  # a row's number and its label share 32 bits


def from_lowest(names: Array, most: int) -> Array | None:
    """Integers less the lowest of them, where none of these is above `most`; otherwise None: `(rows,) -> (rows,)`."""
    if not len(names) or not np.can_cast(names.dtype, np.int64):
        return None
    low = int(names.min())
    if int(names.max()) - low > most:
        return None
    return np.subtract(names, low, dtype=np.int64)


def codes(names: Any) -> Array:
    """Each row's place among the distinct names, `(rows,) -> (rows,)`; integers close together need no sort."""
    names = np.asarray(names)
    code = from_lowest(names, 4 * len(names))
    if code is None:
        return np.unique(names, return_inverse=True)[1].reshape(-1)
    present = np.bincount(code) > 0
    return code if present.all() else (np.cumsum(present) - 1)[code]


def compact(scores: Any, labels: Any) -> tuple[Array, Array]:
    """What `checked` lets pass, in fewer bytes: `(rows,)` scores, as float32 if they are, and boolean labels.

    Raises:
        DataError: as in `checked`.
    """
    scores, labels = np.asarray(scores), np.asarray(labels)
    if scores.dtype != np.float32:
        scores = scores.astype(np.float64)
    fits = scores.shape == labels.shape and scores.ndim == 1 and len(scores) > 0
    if not fits or not np.isfinite([scores.min(), scores.max()]).all() or not ((labels == 0) | (labels == 1)).all():
        checked(scores, labels)
    return scores, labels.astype(bool)


def rising(scores: Array) -> Array:
    """Unsigned 32-bit integers in the order of finite scores, equal where these are: `(rows,) -> (rows,)`.

    Scores that are float32 numbers keep their bits, negative ones turned round; others are numbered in order.

    Raises:
        DataError: there are too many rows to number.
    """
    if len(scores) > MOST_ROWS:
        raise DataError(f"at most {MOST_ROWS:,} rows are sorted at once, got {len(scores):,}")
    with np.errstate(over="ignore", under="ignore"):
        single = np.add(scores, 0, dtype=np.float32)  # -0 becomes 0
    if scores.dtype == np.float32 or (single == scores).all():
        bits = single.view(np.int32)
        turned = bits >> 31
        turned |= np.int32(-(1 << 31))
        bits ^= turned
        return single.view(np.uint32)
    order = np.argsort(scores)
    in_order = scores[order]
    numbers = np.empty(len(scores), np.uint32)
    numbers[order] = np.cumsum(np.append(False, in_order[1:] != in_order[:-1]), dtype=np.uint32)
    return numbers


def group_starts(keys: Array) -> Array:
    """Where each run of equal keys begins: `(rows,) -> (groups,)`."""
    new = np.ones(len(keys), bool)
    np.not_equal(keys[1:], keys[:-1], out=new[1:])
    return np.flatnonzero(new)


def cumulated(parts: Array) -> Array:
    """The sum of the parts before each place, and of all: `(rows,) -> (rows + 1,)`."""
    sums = np.zeros(len(parts) + 1, np.int32)
    np.cumsum(parts, out=sums[1:])
    return sums
