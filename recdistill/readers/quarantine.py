"""Rows that are wrong, set aside with what is wrong with them, so that the good ones go on."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from recdistill.artefacts import write_text
from recdistill.errors import DataError

MOST_BAD = 0.1  # of more bad rows the settings are wrong, not the rows
TOLD = 3  # rules


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

    def counts(self, files: Collection[Path] | None = None) -> dict[str, int]:
        """How many rows, of some files or of all, broke each rule, the most frequent first."""
        own = None if files is None else set(files)
        told = (rule_of(row.column, row.rule) for row in self.rows if own is None or row.file in own)
        return dict(Counter(told).most_common())

    def write(self, path: Path) -> None:
        """Write the rows as JSON lines with the keys file, line, column, rule and row; whole or not at all."""
        values = (vars(row) | {"file": str(row.file)} for row in self.rows)
        write_text(path, "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values))


def rule_of(column: str | None, rule: str) -> str:
    """A rule, with the column that breaks it."""
    return rule if column is None else f"{column}: {rule}"


def set_aside_words(counts: Mapping[str, int], where: Path | str) -> str:
    """How many rows were set aside, and why.

    Args:
        counts: how many rows broke each rule, see `Quarantine.counts`.
        where: they are kept.
    """
    rows = sum(counts.values())
    return f"{rows:,} row{' was' if rows == 1 else 's were'} set aside ({_first(counts)}), see {where}"


def require_few(counts: Mapping[str, int], good: int, where: Path, most: float = MOST_BAD, *, remedy: str = "") -> None:
    """Refuse bad rows that are too many to be chance.

    Args:
        counts: how many rows broke each rule, see `Quarantine.counts`.
        good: how many rows broke none.
        where: they are.
        most: the largest share of the rows that may be bad.
        remedy: where they are right nevertheless.

    Raises:
        DataError: they are more; names the most frequent rules.
    """
    bad = sum(counts.values())
    if bad > most * (bad + good):
        rule, got = f"at most {100 * most:g} % of the rows may be set aside", f"{bad:,} of {bad + good:,}"
        raise DataError(f"{where}: {rule}, got {got} ({_first(counts)}); is a setting or a role wrong?{remedy}")


def _first(counts: Mapping[str, int]) -> str:
    """The most frequent rules."""
    first = [f"{rule} ({rows:,})" if len(counts) > 1 else rule for rule, rows in list(counts.items())[:TOLD]]
    more = [f"and {len(counts) - TOLD} more"] if len(counts) > TOLD else []
    return "; ".join(first + more)
