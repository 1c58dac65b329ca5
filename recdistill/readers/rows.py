"""A file's columns as they were read, and where in the file a row is."""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from recdistill.errors import DataError

csv.field_size_limit(2**31 - 1)  # Arrow has none


@dataclass(frozen=True)
class Rows:
    """What a file holds.

    Args:
        path: of the file.
        arrow: its columns; text where the file is text.
        delimiter: between the fields of a text file, None for Parquet.
        own_names: the file's own name of each column that was renamed.
    """

    path: Path
    arrow: pa.Table
    delimiter: str | None = None
    own_names: Mapping[str, str] = field(default_factory=dict)

    def renamed(self, columns: Mapping[str, str]) -> Rows:
        """The same rows with columns renamed, old name to new."""
        names = [columns.get(name, name) for name in self.arrow.column_names]
        return replace(
            self, arrow=self.arrow.rename_columns(names), own_names={new: old for old, new in columns.items()}
        )

    def column(self, name: str) -> Column:
        """One of the columns."""
        values = self.arrow.column(name).combine_chunks()
        return Column(self, name, pa.concat_arrays(values.chunks) if isinstance(values, pa.ChunkedArray) else values)

    def place(self, row: int) -> str:
        """Where row `row` (from 0) is, for an error: the line of a text file, the row of another."""
        if self.delimiter is None:
            return f"{self.path} row {row + 1}"
        with contextlib.suppress(csv.Error):  # it is stricter than Arrow
            for number, (line, _) in enumerate(records(self.path, self.delimiter)):
                if number == row + 1:  # the header is the first record
                    return f"{self.path} line {line}"
        return f"{self.path} row {row + 1}"


@dataclass(frozen=True)
class Column:
    """One column of a file.

    Args:
        rows: the file's.
        name: the column's, after any renaming.
        values: (rows,) what it holds.
    """

    rows: Rows
    name: str
    values: pa.Array

    def refuse(self, wrong: pa.Array, rule: str) -> None:
        """Refuse the column if any of its values is wrong.

        Args:
            wrong: (rows,) whether a value is; missing counts as not.
            rule: what a value must be.

        Raises:
            DataError: names the file, the first wrong value, its line or row, the column and the rule.
        """
        row = pc.index(wrong, pa.scalar(True)).as_py()
        if row >= 0:
            name = self.rows.own_names.get(self.name, self.name)
            got = self.values[row].as_py()
            raise DataError(f"{self.rows.place(row)}, column {name!r}: {rule}, got {_short(got)}")


def records(path: Path, delimiter: str, *, encoding: str = "utf-8-sig") -> Iterator[tuple[int, list[str]]]:
    """(line, fields) of each record of a text file, from 1: slow, to say where something is.

    A quoted field may hold line breaks; the line is where its record begins.

    Raises:
        csv.Error: a quote is not closed, or something other than a delimiter follows one that is.
    """
    with text(path, encoding) as stream:
        reader, line = csv.reader(stream, delimiter=delimiter, strict=True), 1
        for fields in reader:
            if fields:
                yield line, fields
            line = reader.line_num + 1


def text(path: Path, encoding: str) -> io.TextIOWrapper:
    """A text file, decompressed by its name."""
    return io.TextIOWrapper(pa.input_stream(str(path)), encoding=encoding, newline="", errors="replace")


def _short(value: Any) -> str:
    words = repr(value)
    return words if len(words) <= 60 else words[:57] + "..."
