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
    return names.astype(np.int64) - low if int(names.max()) - low <= most else None


def codes(names: Any) -> Array:
    """Each row's place among the distinct names, `(rows,) -> (rows,)`; integers close together need no sort."""
    names = np.asarray(names)
    code = from_lowest(names, 4 * len(names))
    if code is None:
        return np.unique(names, return_inverse=True)[1].reshape(-1)
    present = np.bincount(code) > 0
    return code if present.all() else (np.cumsum(present) - 1)[code]


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
    if (single == scores).all():
        bits = (single + np.float32(0)).view(np.int32)  # -0 becomes 0
        return np.asarray(bits.view(np.uint32) ^ ((bits >> 31).view(np.uint32) | np.uint32(1 << 31)))
    order = np.argsort(scores)
    falling = scores[order]
    numbers = np.empty(len(scores), np.uint32)
    numbers[order] = np.cumsum(np.append(False, falling[1:] != falling[:-1]), dtype=np.uint32)
    return numbers


def group_starts(keys: Array) -> Array:
    """Where each run of equal keys begins: `(rows,) -> (groups,)`."""
    return np.flatnonzero(np.append(True, keys[1:] != keys[:-1]))


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
    scores, labels = checked(scores, labels)
    lists, distinct = np.asarray(lists), None
    code = from_lowest(lists, MOST_ROWS - 1)
    if code is None:
        distinct, code = np.unique(lists, return_inverse=True)
    if code.shape != scores.shape:
        raise DataError(f"each row needs a list, got {code.shape} lists for {scores.shape} scores")
    keys = code.astype(np.uint64) << np.uint64(33)
    keys |= (~rising(scores)).astype(np.uint64) << np.uint64(1)
    keys |= labels.astype(np.uint64)
    keys.sort()
    starts = group_starts(keys >> np.uint64(1)).astype(np.int32)
    hits_above = np.append(np.int32(0), np.cumsum(keys & np.uint64(1), dtype=np.int32))
    code = (keys[starts] >> np.uint64(33)).view(np.int64)
    first = group_starts(code)
    groups = np.diff(np.append(first, len(starts)))
    ends = np.append(starts[1:], np.int32(len(keys)))
    list_starts = starts[first]
    list_ends = np.append(list_starts[1:], np.int32(len(keys)))
    return TiedLists(
        names=(code[first] + int(lists.min())).astype(lists.dtype) if distinct is None else distinct,
        rows=list_ends - list_starts,
        positives=hits_above[list_ends] - hits_above[list_starts],
        first=first,
        list_of=np.repeat(np.arange(len(first), dtype=np.int32), groups),
        size=ends - starts,
        hits=hits_above[ends] - hits_above[starts],
        before=starts - np.repeat(list_starts, groups),
        hits_before=hits_above[starts] - np.repeat(hits_above[list_starts], groups),
    )
