"""A run of whole records of one file, small enough for memory; it finds its rows again wherever it is sent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from recdistill.errors import DataError
from recdistill.readers.quarantine import BadRow
from recdistill.readers.records import records
from recdistill.readers.sources import opened, undamaged

SKIPPED = 1 << 24

Faults = dict[int, tuple[str | None, str]]  # (column, rule) by row


@dataclass(frozen=True)
class Chunk:
    """Some records of a file, one after another.

    Args:
        file: that they are in.
        number: of the chunk over all files, from 0.
        first_row: how many records come before, over all files; broken ones count, headers and blank lines do not.
        first_line: the line of a text file on which the chunk begins, from 1.
        rows: how many records it has, broken ones too.
        start, stop: the bytes of the text, decompressed, or the rows of Parquet, that it takes.
        names: of the file's columns.
        delimiter: between the fields of text; None for Parquet.
        quoted: whether fields of text may be quoted.
        is_open: whether the file ends within quotes.
        held: what it holds, where reading it again would take long; else it is read from the file when it is needed.
    """

    file: Path
    number: int
    first_row: int
    first_line: int
    rows: int
    start: int
    stop: int
    names: tuple[str, ...]
    delimiter: str | None = None
    quoted: bool = False
    is_open: bool = False
    held: bytearray | pa.Table | None = field(default=None, repr=False, compare=False)

    def read(self, columns: Sequence[str] | None = None) -> Any:
        """Its bytes, or of Parquet the rows of some columns, by default of all.

        Raises:
            DataError: the file is no longer what it was, or is damaged.
        """
        if self.held is not None:
            return self.held if columns is None or isinstance(self.held, bytearray) else self.held.select(list(columns))
        return self._table(columns) if self.delimiter is None else self._text()

    def bad_rows(self, faults: Faults) -> list[BadRow]:
        """What is wrong where: (column, rule) by the place of a record in the chunk, from 0; sorted by place."""
        if self.delimiter is None:
            return self._bad_of_table(faults)
        text = self.read()
        found = records(text, self.delimiter, quoted=self.quoted)
        return [
            BadRow(
                self.file,
                self.first_line + int(found.lines[row]),
                column,
                rule,
                text[found.starts[row] : found.stops[row]].decode(errors="replace"),
            )
            for row, (column, rule) in sorted(faults.items())
        ]

    def _bad_of_table(self, faults: Faults) -> list[BadRow]:
        table = self.read().take(sorted(faults))
        return [
            BadRow(self.file, self.start + row + 1, column, rule, json.dumps(values, default=str, ensure_ascii=False))
            for values, (row, (column, rule)) in zip(table.to_pylist(), sorted(faults.items()), strict=True)
        ]

    def _text(self) -> bytes:
        with undamaged(self.file):
            stream, stored = opened(self.file)
            if stream is stored:
                stored.seek(self.start)
            else:
                skip(stream, self.start)
            text = bytes(stream.read(self.stop - self.start))
        if len(text) != self.stop - self.start:
            raise DataError(f"{self.file} must stay as it is while it is read, got one that became shorter")
        return text

    def _table(self, columns: Sequence[str] | None) -> pa.Table:
        first, groups = 0, []
        with undamaged(self.file):
            file = pq.ParquetFile(self.file)
            for group in range(file.num_row_groups):
                if self.start <= first < self.stop:
                    groups.append(group)
                first += file.metadata.row_group(group).num_rows
            table = file.read_row_groups(groups, columns=None if columns is None else list(columns))
        return without_views(table)


@dataclass(frozen=True)
class Several:
    """Whole files one after another, whose records are numbered on.

    Args:
        chunks: one of each file.
    """

    chunks: tuple[Chunk, ...]

    @property
    def delimiter(self) -> str | None:
        """Between the fields of text, in the first file; None for Parquet."""
        return self.chunks[0].delimiter

    @property
    def rows(self) -> int:
        """How many records all have, broken ones too."""
        return sum(chunk.rows for chunk in self.chunks)

    def bad_rows(self, faults: Faults) -> list[BadRow]:
        """What is wrong where: by the place of a record over all files, from 0; sorted by place."""
        found: list[BadRow] = []
        for chunk in self.chunks:
            stop = chunk.first_row + chunk.rows
            own = {row - chunk.first_row: why for row, why in faults.items() if chunk.first_row <= row < stop}
            found += chunk.bad_rows(own) if own else []
        return found


def skip(stream: pa.NativeFile, count: int) -> None:
    """Read some bytes of a stream that cannot seek, and forget them."""
    while count and (gone := len(stream.read(min(count, SKIPPED)))):
        count -= gone


def without_views(arrow: pa.Table) -> pa.Table:
    """Text that a writer kept as views becomes plain text: few of Arrow's functions know views."""
    fields = [f.with_type(pa.large_string()) if pa.types.is_string_view(f.type) else f for f in arrow.schema]
    return arrow.cast(pa.schema(fields))
