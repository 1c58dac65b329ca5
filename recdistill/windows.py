"""Windows of a long line of rows: how large, where the rows of a stretch are, the next made while one is used."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from recdistill.errors import DataError

Array = np.ndarray[Any, Any]
Item = TypeVar("Item")
WINDOW_ROWS = 1 << 20
MEMORY = 1 << 30  # by default, beside two row groups


@dataclass(frozen=True)
class Space:
    """How many rows some memory can hold.

    Args:
        rows: of all row groups.
        sizes: the bytes of each.
        given: bytes to use. Without them `MEMORY`, not what is free: the order of rows follows from it, and must be
            the same when a fit is resumed.
    """

    rows: int
    sizes: Sequence[int]
    given: int | None

    @property
    def memory(self) -> int:
        """Bytes to use."""
        return MEMORY + self._read if self.given is None else self.given

    @property
    def needed(self) -> int:
        """Bytes of all rows and their order, and of two row groups, one read and one decoded."""
        return sum(self.sizes) + 8 * self.rows + self._read

    def window_rows(self, least: int) -> int:
        """Rows of a window, so that three of them and two row groups can be held.

        Raises:
            DataError: they are fewer than a batch.
        """
        row = math.ceil(sum(self.sizes) / self.rows)
        if (wanted := min(WINDOW_ROWS, (self.memory - self._read) // (3 * row))) < least:
            needed = self._read + 3 * row * least
            raise DataError(f"windows of one batch need {needed:,} bytes, got memory={self.memory:,}")
        return wanted

    @property
    def _read(self) -> int:
        return 2 * max(self.sizes, default=0)


def pieces(counts: Sequence[int], order: Array, begin: int, end: int) -> list[tuple[int, int, int]]:
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


def places(counts: Sequence[int], order: Array, begin: int, end: int) -> Array:
    """(end - begin,) where the rows of a stretch of the line are among all rows, in the line's order; as `pieces`.

    >>> places([3, 2, 4], np.array([2, 0, 1]), 3, 8)
    array([8, 0, 1, 2, 3])
    """
    firsts = np.cumsum([0, *counts])
    return np.concatenate([firsts[group] + np.arange(*rows) for group, *rows in pieces(counts, order, begin, end)])


def dealt(rows: int, step: int, rank: int, world: int) -> Array:
    """(rows,) places of a rank's rows in a line of which each step's rows are dealt to ranks in equal parts.

    Args:
        rows: of one rank.
        step: rows of one rank in a step; the last step may have fewer.
        rank, world: which of how many ranks.

    >>> [dealt(3, 2, rank, 2).tolist() for rank in range(2)]
    [[0, 1, 4], [2, 3, 5]]
    """
    whole, left = divmod(rows, step)
    steps = np.arange(whole * world * step).reshape(whole, world, step)
    last = whole * world * step + rank * left + np.arange(left)
    return np.concatenate([steps[:, rank].ravel(), last])


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The same items, each made by a thread while the one before it is used."""
    with ThreadPoolExecutor(1, "windows") as thread:
        coming = thread.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = thread.submit(next, items, None)
            yield item
