"""Rows sorted by list and falling score, as the groups of tied rows that hold a positive.

Each row is packed into one integer, a key, and plain sorting of these orders all columns. What metrics need of the
sorted keys is then found for some whole lists at a time, few enough to stay in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from recdistill.errors import DataError
from recdistill.metrics.classification import Array
from recdistill.metrics.sorting import MOST_ROWS, compact, from_lowest, group_starts, rising

AT_A_TIME = 1 << 15  # rows
LIST = 33  # a key's bits from here on are its list, then come 32 of the falling score; the lowest is the label


@dataclass(frozen=True)
class TiedLists:
    """Some lists, and the groups of tied rows in them that hold a positive, by list and falling score.

    Args:
        names: (lists,) ids.
        rows, positives: (lists,) how many each list has.
        list_of: (groups,) each group's list, by place.
        size, hits: (groups,) rows and positives of each group.
        before: (groups,) the list's rows with a higher score.
    """

    names: Array
    rows: Array
    positives: Array
    list_of: Array
    size: Array
    hits: Array
    before: Array

    @staticmethod
    def of(keys: Array, names: Callable[[Array], Array]) -> TiedLists:
        """From the `(rows,)` sorted keys of whole lists, and what gives the names of their numbers."""
        lists = keys >> LIST
        list_starts = group_starts(lists)
        rows = np.diff(list_starts, append=len(keys))
        hit = np.flatnonzero((keys & 1).astype(bool))
        hit_keys, list_of_hit = keys[hit], np.repeat(np.arange(len(rows)), rows)[hit]
        first = group_starts(hit_keys)  # a group's positives stand after its other rows, next to each other
        hits = np.diff(first, append=len(hit))
        starts, list_of = hit[first], list_of_hit[first]
        ends = starts + hits
        miss_keys = hit_keys[first] - 1
        mixed = np.flatnonzero(keys[starts - 1] == miss_keys)  # before row 0 comes the last one, which is no smaller
        starts[mixed] = np.searchsorted(keys, miss_keys[mixed])
        positives = np.bincount(list_of_hit, minlength=len(rows))
        return TiedLists(
            names=names(lists[list_starts]),
            rows=rows,
            positives=positives,
            list_of=list_of,
            size=ends - starts,
            hits=hits,
            before=starts - list_starts[list_of],
        )

    @cached_property
    def hits_before(self) -> Array:
        """(groups,) the list's positives with a higher score."""
        above, of_lists = (np.cumsum(counts) - counts for counts in (self.hits, self.positives))
        return above - of_lists[self.list_of]

    def per_list(self, values: Array, groups: Array | None = None) -> Array:
        """The sum over each list's groups, of all groups or of some that are given by number."""
        list_of = self.list_of if groups is None else self.list_of[groups]
        return np.bincount(list_of, weights=values, minlength=len(self.names))


def tied_lists(scores: Any, labels: Any, lists: Any) -> Iterator[TiedLists]:
    """Sort the rows by list and falling score, and go through some lists at a time.

    Args:
        scores: (rows,).
        labels: (rows,) 0 or 1.
        lists: (rows,) the list of each row.

    Raises:
        DataError: bad input, or not one list for each row.
    """
    scores, labels = compact(scores, labels)
    number, names = _numbered(np.asarray(lists))
    if number.shape != scores.shape:
        raise DataError(f"each row needs a list, got {number.shape} lists for {scores.shape} scores")
    keys: Array = number.view(np.uint64)
    keys <<= LIST - 1
    falling = rising(scores)
    np.invert(falling, out=falling)
    keys |= falling
    keys <<= 1
    keys |= labels
    keys.sort()
    list_keys = keys[AT_A_TIME::AT_A_TIME] >> LIST << LIST  # no key of these lists is lower
    cuts = np.unique([0, *np.searchsorted(keys, list_keys), len(keys)])
    for start, stop in pairwise(cuts):
        yield TiedLists.of(keys[start:stop], names)


def _numbered(lists: Array) -> tuple[Array, Callable[[Array], Array]]:
    """(rows,) a new array of each row's list as a number below `MOST_ROWS`, and what gives the names of numbers."""
    number = from_lowest(lists, MOST_ROWS - 1)
    if number is None:
        distinct, number = np.unique(lists, return_inverse=True)
        return number, distinct.__getitem__
    low = int(lists.min())
    return number, lambda some: (some.view(np.int64) + low).astype(lists.dtype)
