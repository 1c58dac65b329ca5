"""Exact counts of a column's values in bounded memory: what does not fit spills to disk by hash."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from recdistill.columns import as_arrow, as_numpy
from recdistill.fingerprints import fingerprints
from recdistill.transforms import Counts, merged

ROOM = 2_000_000
PARTITIONS = 64


class Counter:
    """Counts over the pieces of a column.

    Memory is bounded by `room` values, and when they are read back by a `PARTITIONS`-th of the distinct ones.

    Args:
        folder: for what does not fit; made when it is needed.
        room: how many values to keep in memory, in all pieces together.
    """

    def __init__(self, folder: Path, room: int = ROOM) -> None:
        self.folder, self.room = folder, room
        self.kept: list[Counts] = []
        self.files = contextlib.ExitStack()
        self.writers: list[pa.ipc.RecordBatchStreamWriter] = []

    def __enter__(self) -> Counter:
        return self

    def __exit__(self, *_: object) -> None:
        self.files.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def add(self, counts: Counts) -> None:
        """Count a piece."""
        self.kept.append(counts)
        if sum(map(len, self.kept)) > self.room:
            self.kept = [merged(self.kept)]
            if len(self.kept[0]) > self.room / 2:  # merging alone does not make room
                self._spill(self.kept.pop())

    def partitions(self) -> Iterator[Counts]:
        """The counts of all pieces, in partitions without a value in common."""
        if not self.writers:
            yield merged(self.kept)
            return
        for counts in self.kept:
            self._spill(counts)
        self.kept = []
        self.files.close()
        for number in range(PARTITIONS):
            with pa.OSFile(str(self._file(number)), "rb") as stream:
                table = pa.ipc.open_stream(stream).read_all()
            batches = table.to_batches()  # a value occurs once in each
            found = [Counts(batch["value"], as_numpy(batch["count"])) for batch in batches]
            if found:
                yield merged(found)

    def _spill(self, counts: Counts) -> None:
        batch = pa.record_batch({"value": counts.values, "count": as_arrow(counts.counts)})
        if not self.writers:
            self.folder.mkdir(parents=True, exist_ok=True)
            for number in range(PARTITIONS):
                stream = self.files.enter_context(pa.OSFile(str(self._file(number)), "wb"))
                self.writers.append(self.files.enter_context(pa.ipc.new_stream(stream, batch.schema)))
        shares = fingerprints(counts.values) % np.uint64(PARTITIONS)
        order = np.argsort(shares, kind="stable")
        batch, ends = batch.take(as_arrow(order)), np.searchsorted(shares[order], np.arange(PARTITIONS + 1))
        for writer, start, stop in zip(self.writers, ends, ends[1:], strict=False):
            if stop > start:
                writer.write_batch(batch.slice(start, stop - start))

    def _file(self, number: int) -> Path:
        return self.folder / f"{number:02d}.arrow"
