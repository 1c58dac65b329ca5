"""What the verbs say."""

from __future__ import annotations

import contextlib
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recdistill.errors import DataError

if TYPE_CHECKING:
    from recdistill.terminal import TerminalBoard


def board() -> TerminalBoard:
    """Where progress is told."""
    from recdistill.terminal import TerminalBoard, console

    return TerminalBoard(console())


def command() -> str:
    """The command as it was typed, for the report."""
    return shlex.join(["recdistill", *sys.argv[1:]])


def done(words: str, following: list[str]) -> None:
    """A stage is over, and the words of the command that comes next."""
    board().say(f"{words}; next: {shlex.join(following)}")


@contextlib.contextmanager
def bad_rows_explained(strict: bool) -> Iterator[None]:
    """Within it the error of a wrong row names the way to go on without it."""
    try:
        yield
    except DataError as error:
        if strict and re.search(r" (line|row) \d+\b", str(error)):
            raise DataError(f"{error} (--on-bad-row quarantine sets such rows aside)") from None
        raise


def show_inspection(inspection: dict[str, Any] | None, where: Path) -> None:
    """What of the target the source has, and a line for each finding."""
    from recdistill import report as reports
    from recdistill.terminal import console, show_table

    if table := reports.overlap_table(inspection):
        show_table(console(), table, "ids of the target, and how many of them the source has")
    for line in (reports.more_columns(inspection), *reports.finding_lines(inspection, "warning", "note", where=where)):
        if line:
            board().say(line)


def show(result: dict[str, Any], out: Path) -> None:
    """The answers first, then the summary tables, and where the report is."""
    from recdistill import report as reports
    from recdistill.terminal import console, show_table

    say = board().say
    for pooled in result["pooled"]:
        first, *others = reports.answer(pooled)
        say("\n  ".join([first, *others]))
    for caution in reports.cautions(result):
        say(f"Caution: {caution}")
    for pooled in result["pooled"]:
        show_table(console(), reports.summary(pooled), reports.summary_title(pooled))
        if rest := reports.left_to_the_page(pooled):
            say(f"and {len(rest)} more arms on the report's page")
    say(f"report: {out / 'report' / 'index.html'}")
    say(f"model card of what is shipped: {out / 'report' / 'MODEL_CARD.md'}")
