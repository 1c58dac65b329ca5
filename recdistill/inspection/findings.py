"""A finding: what was seen, in words, and how grave it is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from recdistill.errors import DataError

Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Args:
        level: "error" can never be right; "warning" may spoil a result; "note" is good to know.
        about: "rows", "columns", "overlap", "drift" or "leakage".
        words: a sentence without its point.
    """

    level: Level
    about: str
    words: str


def refuse(findings: Iterable[Finding]) -> None:
    """Refuse what can never be right.

    Raises:
        DataError: a line for each error.
    """
    if wrong := [finding.words for finding in findings if finding.level == "error"]:
        raise DataError("\n".join(wrong))


def gravest_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings by level, in their order within one."""
    return tuple(sorted(findings, key=lambda finding: LEVELS.index(finding.level)))


def share_of(part: float, whole: float) -> str:
    """A share in percent: with a digit where it is small, never 0 or 100 where it is not.

    >>> share_of(1, 3), share_of(1, 100_000), share_of(99_999, 100_000), share_of(2, 2)
    ('33 %', 'less than 0.1 %', 'nearly 100 %', '100 %')
    """
    percent = 100 * part / whole if whole else 0.0
    if 0 < percent < 0.1:
        return "less than 0.1 %"
    if 99.5 <= percent < 100:
        return "nearly 100 %"
    return f"{percent:.1f} %" if 0 < percent < 10 else f"{percent:.0f} %"
