"""Rows that are wrong, set aside with what is wrong with them, so that the good ones go on."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from recdistill.artefacts import write_text


@dataclass(frozen=True)
class BadRow:
    """A row that breaks a rule.

    Args:
        file: that it is in.
        line: where it begins in a text file, from 1; of Parquet the row, from 1.
        column: that breaks the rule, by the file's own name; None where the whole row does.
        rule: what should be.
        row: the record as it stands in a text file; of Parquet its values as JSON.
    """

    file: Path
    line: int
    column: str | None
    rule: str
    row: str


class Quarantine:
    """The rows set aside so far, in the order in which they were found."""

    def __init__(self) -> None:
        self.rows: list[BadRow] = []

    def __len__(self) -> int:
        return len(self.rows)

    def add(self, rows: Iterable[BadRow]) -> None:
        """Set rows aside."""
        self.rows.extend(rows)

    def counts(self) -> dict[str, int]:
        """How many rows broke each rule, the most frequent first; a rule is named with its column."""
        return dict(
            Counter(row.rule if row.column is None else f"{row.column}: {row.rule}" for row in self.rows).most_common()
        )

    def write(self, path: Path) -> None:
        """Write the rows as JSON lines with the keys file, line, column, rule and row; whole or not at all."""
        values = (vars(row) | {"file": str(row.file)} for row in self.rows)
        write_text(path, "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values))
