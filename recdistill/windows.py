"""Windows of a long line of rows: where the rows of a stretch are, and the next window made while one is used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

Item = TypeVar("Item")


def pieces(counts: Sequence[int], order: np.ndarray[Any, Any], begin: int, end: int) -> list[tuple[int, int, int]]:
    """Where the rows of a stretch of the line are.

    Args:
        counts: rows per group.
        order: of the groups in the line.
        begin, end: the first row of the stretch, and the first after it.

    Returns:
        (group, first row in it, first row after those) of each piece, in the line's order.

    >>> pieces([3, 2, 4], np.array([2, 0, 1]), 3, 8)
    [(2, 3, 4), (0, 0, 3), (1, 0, 1)]
    """
    ends = np.cumsum(np.asarray(counts)[order])
    found = []
    for place in range(int(np.searchsorted(ends, begin, side="right")), int(np.searchsorted(ends, end)) + 1):
        group = int(order[place])
        first = int(ends[place]) - counts[group]
        found.append((group, max(0, begin - first), min(counts[group], end - first)))
    return [piece for piece in found if piece[1] < piece[2]]


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The same items, each made by a thread while the one before it is used."""
    with ThreadPoolExecutor(1, "windows") as thread:
        coming = thread.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = thread.submit(next, items, None)
            yield item
