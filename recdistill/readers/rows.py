"""A file's columns as they were read, and where in the file a row is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recdistill.columns import single
from recdistill.errors import DataError
from recdistill.readers.chunk import Chunk, Faults, Several
from recdistill.readers.quarantine import Quarantine


@dataclass(frozen=True)
class Rows:
    """What a file holds, a chunk of it, or several files.

    Args:
        path: of the file, or what several were found by.
        arrow: its columns; text where the file is text.
        own_names: the file's own name of each column that was renamed.
        chunk: that the rows are of; without it they are not found again.
        records: (rows,) each row's place in the chunk, where some of its records were set aside already.
        quarantine: what takes wrong rows; without it they are refused.
        faults: what is wrong with which row, while they are looked at.
    """

    path: Path
    arrow: pa.Table
    own_names: Mapping[str, str] = field(default_factory=dict)
    chunk: Chunk | Several | None = None
    records: NDArray[np.int64] | None = None
    quarantine: Quarantine | None = None
    faults: Faults = field(default_factory=dict)

    def renamed(self, columns: Mapping[str, str]) -> Rows:
        """The same rows with columns renamed, old name to new."""
        names = [columns.get(name, name) for name in self.arrow.column_names]
        return replace(
            self, arrow=self.arrow.rename_columns(names), own_names={new: old for old, new in columns.items()}
        )

    def column(self, name: str) -> Column:
        """One of the columns."""
        return Column(self, name, single(self.arrow, name))

    @property
    def files(self) -> list[Path]:
        """That the rows are of."""
        if self.chunk is None:
            return [self.path]
        return [chunk.file for chunk in (self.chunk.chunks if isinstance(self.chunk, Several) else [self.chunk])]

    @property
    def places(self) -> NDArray[np.int64]:
        """(rows,) each row's place in the chunk, from 0."""
        return np.arange(len(self.arrow)) if self.records is None else self.records

    def place(self, row: int) -> str:
        """Where row `row` (from 0) is, for an error: the line of a text file, the row of another."""
        if self.chunk is None:
            return f"{self.path} row {row + 1}"
        bad = self.chunk.bad_rows({int(self.places[row]): (None, "")})[0]
        return f"{bad.file} {'row' if self.chunk.delimiter is None else 'line'} {bad.line}"

    def set_aside(self) -> NDArray[np.bool_]:
        """Hand the wrong rows to the quarantine; (rows,) which rows are good."""
        good = np.ones(len(self.arrow), np.bool_)
        good[list(self.faults)] = False
        if self.faults and self.quarantine is not None and self.chunk is not None:
            self.quarantine.add(self.chunk.bad_rows({int(self.places[row]): why for row, why in self.faults.items()}))
        return good


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

    @property
    def own_name(self) -> str:
        """The file's own name of it."""
        return self.rows.own_names.get(self.name, self.name)

    def refuse(self, wrong: pa.Array, rule: str) -> Column:
        """Refuse the column if any of its values is wrong; where there is a quarantine, only the rows.

        Args:
            wrong: (rows,) whether a value is; missing counts as not.
            rule: what a value must be.

        Returns:
            The column, in which wrong values are missing.

        Raises:
            DataError: names the file, the first wrong value, its line or row, the column and the rule.
        """
        if not pc.any(wrong).as_py():
            return self
        if self.rows.quarantine is None:
            row = pc.index(wrong, pa.scalar(True)).as_py()
            got = self.values[row].as_py()
            raise DataError(f"{self.rows.place(row)}, column {self.own_name!r}: {rule}, got {_short(got)}")
        wrong = pc.fill_null(wrong, False)
        for row in np.flatnonzero(wrong.to_numpy(zero_copy_only=False)):
            self.rows.faults.setdefault(int(row), (self.own_name, rule))
        return replace(self, values=pc.if_else(wrong, pa.scalar(None, self.values.type), self.values))


def _short(value: Any) -> str:
    words = repr(value)
    return words if len(words) <= 60 else words[:57] + "..."
