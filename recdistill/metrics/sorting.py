"""Rows sorted by score at once: each row is packed into one integer, so that plain sorting orders all columns."""

from __future__ import annotations

from dataclasses import dataclass
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
    code = names.astype(np.int64)
    code -= low
    return code


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
        single = scores.astype(np.float32)
    if scores.dtype == np.float32 or (single == scores).all():
        single += 0  # -0 becomes 0
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


@dataclass(frozen=True)
class TiedLists:
    """The rows of each list by falling score, as groups of tied rows.

    Args:
        names: (lists,) ids.
        rows, positives: (lists,) how many each list has.
        first: (lists,) its first group.
        list_of: (groups,) each group's list, by place.
        size, hits: (groups,) rows and positives of each group.
        before, hits_before: (groups,) the list's rows and positives with a higher score.
    """

    names: Array
    rows: Array
    positives: Array
    first: Array
    list_of: Array
    size: Array
    hits: Array
    before: Array
    hits_before: Array

    def per_list(self, values: Array, groups: Array | None = None) -> Array:
        """The sum over each list's groups, of all groups or of some that are given by number."""
        if groups is None:
            return np.asarray(np.add.reduceat(values, self.first))
        return np.bincount(self.list_of[groups], weights=values, minlength=len(self.names))


def tied_lists(scores: Any, labels: Any, lists: Any) -> TiedLists:
    """Sort the rows by list and falling score.

    Args:
        scores: (rows,).
        labels: (rows,) 0 or 1.
        lists: (rows,) the list of each row.

    Raises:
        DataError: bad input, or not one list for each row.
    """
    scores, labels = compact(scores, labels)
    lists, distinct = np.asarray(lists), None
    code = from_lowest(lists, MOST_ROWS - 1)
    if code is None:
        distinct, code = np.unique(lists, return_inverse=True)
    if code.shape != scores.shape:
        raise DataError(f"each row needs a list, got {code.shape} lists for {scores.shape} scores")
    keys: Array = code.view(np.uint64)  # list, falling score and label, in one number
    keys <<= 32
    keys |= ~rising(scores)
    keys <<= 1
    keys |= labels
    keys.sort()
    starts = group_starts(keys >> 1).astype(np.int32)
    hits_above = cumulated(keys & 1)
    found = keys[starts].view(np.int64)
    found >>= 33
    first = group_starts(found)
    groups = np.diff(np.append(first, len(starts)))
    ends = np.append(starts[1:], np.int32(len(keys)))
    list_starts = starts[first]
    list_ends = np.append(list_starts[1:], np.int32(len(keys)))
    return TiedLists(
        names=(found[first] + int(lists.min())).astype(lists.dtype) if distinct is None else distinct,
        rows=list_ends - list_starts,
        positives=hits_above[list_ends] - hits_above[list_starts],
        first=first,
        list_of=np.repeat(np.arange(len(first), dtype=np.int32), groups),
        size=ends - starts,
        hits=hits_above[ends] - hits_above[starts],
        before=starts - np.repeat(list_starts, groups),
        hits_before=hits_above[starts] - np.repeat(hits_above[list_starts], groups),
    )
