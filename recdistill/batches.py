"""Batches: mini-batches of a prepared table, seeded, resumable at any step, dealt to several ranks.

An epoch is a line of all rows, dealt to ranks in equal shares, so that all make the same number of steps; up to
w − 1 rows at the end of the line of w ranks are left out of that epoch, other ones of the next where rows are shuffled.

The line is a random order of all rows where they fit in `memory`. Each step takes the next rows of it, of which rank r
has the r-th of w equal parts: a step of w ranks sees the rows that a step of one rank with w times as many sees.
Otherwise the line is a random order of the row groups, and rank r has the r-th of w equal shares of it, so that a rank
reads its own rows alone. A share is cut into windows of `window_rows` rows, and the rows of a window are shuffled among
themselves. How well that mixes: a window joins row groups from about `window_rows` / (rows of a row group) random
places of the input, other ones in every epoch, but rows of one row group always meet in one window, or in two
neighbouring ones. Where the input is sorted, by time for example, write row groups that are small beside a window.

The line follows from the table and the arguments alone, so that a fit can be resumed wherever it is. What is free
decides only whether rows are held or read again in every epoch.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from dataclasses import KW_ONLY, dataclass, replace
from functools import cached_property
from hashlib import sha256
from typing import Any

import numpy as np
import torch

from recdistill.artefacts import digest
from recdistill.encoded_rows import EncodedRows
from recdistill.errors import DataError, UsageError
from recdistill.examples import Examples
from recdistill.memory import free_memory
from recdistill.part_files import LABEL, RowGroup
from recdistill.prepared_table import PreparedTable
from recdistill.soft_labels import SoftLabels
from recdistill.streams import stream
from recdistill.windows import Space, ahead, dealt, pieces, places

Array = np.ndarray[Any, Any]
Window = tuple[EncodedRows, Array]


@dataclass(frozen=True, eq=False)
class Batches:
    """Mini-batches of a split.

    What it holds is at most the `memory` given, but for the mini-batches themselves: in memory all rows and their
    order; read by windows three of them (in use, read ahead, and being made) and two row groups (read, and decoded).

    Args:
        prepared: the table.
        split: which of its rows.
        batch_size: rows a step; the last step of an epoch may have fewer.
        seed: of the order of rows, in a fit too: `FitSettings.seed` does not change it.
        shuffle: whether rows come in random order; without, they come in the order of the input.
        memory: bytes to use. Rows that fit come in a random order of all; others are read by windows. The order
            depends on it: several ranks must be given the same. Without it 1 GiB and two row groups are used, and more
            rows are held, in the order of their windows, where they fit in half of what is free, shared by the ranks.
        window_rows: read by windows of this many rows, even where all would fit.
        rank, world: which of how many processes this is.
        drop_last: whether to leave out a last step of fewer rows.
        labelled: whether to leave out rows without a label.
        soft: teacher logits for the rows of the split; see `with_teacher`.

    Raises:
        UsageError: a number makes no sense.
        DataError: the soft labels were made for other rows or grades.
    """

    prepared: PreparedTable
    split: str = "train"
    _: KW_ONLY
    batch_size: int = 4096
    seed: int = 0
    shuffle: bool = True
    memory: int | None = None
    window_rows: int | None = None
    rank: int = 0
    world: int = 1
    drop_last: bool = False
    labelled: bool = False
    soft: SoftLabels | None = None

    def __post_init__(self) -> None:
        self.prepared.parts(self.split)
        if self.batch_size < 1:
            raise UsageError(f"batch_size must be at least 1, got {self.batch_size}")
        if not 0 <= self.rank < self.world:
            raise UsageError(f"rank must be in [0, world), got rank={self.rank}, world={self.world}")
        if self.window_rows is not None and self.window_rows < self.batch_size:
            raise UsageError(f"a window must hold a batch, got {self.window_rows=} for {self.batch_size=}")
        if self.soft is not None:
            self.soft.require(self.prepared.schema.class_grades, self.prepared.split_fingerprint(self.split))

    def with_teacher(self, soft: SoftLabels) -> Batches:
        """The same batches with a teacher's logits, joined by row id.

        Raises:
            DataError: the soft labels were made for other rows or other grades.
        """
        return replace(self, soft=soft)

    @property
    def rows(self) -> int:
        """Rows of one rank in an epoch; a last step that is dropped counts."""
        return int(sum(self._counts)) // self.world

    @property
    def steps(self) -> int:
        """Mini-batches of an epoch, the same on every rank."""
        return self.rows // self.batch_size if self.drop_last else math.ceil(self.rows / self.batch_size)

    @property
    def classes(self) -> int:
        """How many logits a row gets."""
        return self.prepared.classes

    @cached_property
    def in_memory(self) -> bool:
        """Whether all rows are held in memory, which changes no batch; otherwise they are read by windows."""
        if self._whole or self.memory is not None or self.window_rows is not None:
            return self._whole
        return self._space.needed <= (free_memory() or 0) // (2 * self.world)

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of all that decides what the batches are."""
        # In a line of all rows what a step sees does not depend on the ranks, which may be others when it is continued.
        own = [self.batch_size * self.world] if self._whole else [self.batch_size, self._size, self.world]
        how = [self.split, self.seed, self.shuffle, self._whole, *own]
        taught = [] if self.soft is None else [self.soft.teacher, sha256(self.soft.logits.tobytes()).hexdigest()]
        return digest([self.prepared.fingerprint, *how, self.drop_last, self.labelled, *taught])

    @property
    def first(self) -> Examples:
        """One row, to see what a ranker makes of it.

        Raises:
            DataError: the split has none.
        """
        if not self._groups:
            raise DataError(f"the {self.split} split of {self.prepared.path} has no rows")
        return self.prepared.read_group(self._groups[0]).take(slice(0, 1)).examples(self.classes)

    def epoch(self, number: int, *, start: int = 0) -> Generator[Examples, None, None]:
        """The mini-batches of an epoch, a function of the seed, the epoch and the step alone.

        Args:
            number: of the epoch, from 0.
            start: the first mini-batch that is wanted; of those before it whole windows are not read.

        Raises:
            UsageError: there is no such step.
            DataError: rows cannot be read.
        """
        if not 0 <= start <= self.steps:
            raise UsageError(f"an epoch has {self.steps} steps, got start={start}")
        return self._batches(number, start)

    def _batches(self, number: int, start: int) -> Generator[Examples, None, None]:
        windows = self._windows(number, start)
        step = start * self.batch_size % max(1, self._size)
        for rows, order in windows if self.in_memory else ahead(windows):
            for low in range(step, len(order), self.batch_size):
                chosen = rows.take(order[low : low + self.batch_size])
                yield chosen.examples(self.classes, self._logits(chosen.row_id))
            step = 0

    def _windows(self, number: int, start: int) -> Iterator[Window]:
        """Rows, and the order in which this rank takes them: windows from the one of a step on."""
        if start == self.steps:
            return
        if self._whole:
            own = dealt(min(self.rows, self.steps * self.batch_size), self.batch_size, self.rank, self.world)
            yield self._held, self._order(len(self._held), number)[own]
            return
        low = self.rank * self.rows
        high = low + min(self.rows, self.steps * self.batch_size)
        groups, kept = self._order(len(self._groups), number, "groups"), dict[int, EncodedRows]()
        for begin in range(low + start * self.batch_size // self._size * self._size, high, self._size):
            end = min(begin + self._size, high)
            order = self._order(end - begin, number, "window", begin)
            if self.in_memory:
                yield self._held, places(self._counts, groups, begin, end)[order]
            else:
                yield EncodedRows.joined(self._pieces(groups, begin, end, kept), end - begin), order

    def _pieces(self, groups: Array, begin: int, end: int, kept: dict[int, EncodedRows]) -> Iterator[EncodedRows]:
        """The rows of a stretch of the line; the last group is kept, since the next stretch may begin in it."""
        for group, start, stop in pieces(self._counts, groups, begin, end):
            if group not in kept:
                kept.clear()
                kept[group] = self._read(self._groups[group])
            yield kept[group].take(slice(start, stop))

    def _order(self, count: int, *names: object) -> Array:
        if not self.shuffle:
            return np.arange(count)
        return torch.randperm(count, generator=stream(self.seed, *names)).numpy()

    def _read(self, group: RowGroup) -> EncodedRows:
        rows = self.prepared.read_group(group)
        return rows.take(np.flatnonzero(~np.isnan(rows.label))) if self.labelled else rows

    def _logits(self, row_ids: Array) -> Array | None:
        if self.soft is None:
            return None
        rising, order = self._by_row_id
        return self.soft.logits[order[np.searchsorted(rising, row_ids)]]

    @cached_property
    def _by_row_id(self) -> tuple[Array, Array]:
        """The row ids of the soft labels, rising, and the position of each."""
        ids = self.soft.row_ids if self.soft is not None else np.empty(0, np.int64)
        order = np.argsort(ids, kind="stable")
        return ids[order], order

    @cached_property
    def _groups(self) -> list[RowGroup]:
        return self.prepared.groups(self.split)

    @cached_property
    def _counts(self) -> list[int]:
        """Per row group how many of its rows are among the batches."""
        if self.labelled:
            return [int((~np.isnan(group.column(LABEL))).sum()) for group in self._groups]
        return [group.rows for group in self._groups]

    @cached_property
    def _held(self) -> EncodedRows:
        return EncodedRows.joined(map(self._read, self._groups), sum(self._counts))

    @cached_property
    def _whole(self) -> bool:
        """Whether the line is a random order of all rows."""
        return self.window_rows is None and self._space.needed <= self._space.memory

    @cached_property
    def _space(self) -> Space:
        return Space(sum(g.rows for g in self._groups), [g.bytes for g in self._groups], self.memory)

    @cached_property
    def _size(self) -> int:
        """Rows of a window, a multiple of the batch size; in an order of all rows the one window is the whole share."""
        if self._whole:
            return self.rows
        wanted = self._space.window_rows(self.batch_size) if self.window_rows is None else self.window_rows
        return wanted // self.batch_size * self.batch_size
