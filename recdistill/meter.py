"""How far a stage is that is measured in bytes, rows or columns: a bar with the time left, or plain lines."""

from __future__ import annotations

import time

from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

FIRST, QUIET = 5.0, 10.0  # seconds without a line, off a terminal: at the beginning, and later


class Meter:
    """One measured stage on a console.

    Args:
        out: where to.
        stage: what is done.
        total: of it.
        unit: "bytes", or the name of what is counted.
    """

    def __init__(self, out: Console, stage: str, total: int, unit: str) -> None:
        self.out, self.stage, self.total, self.unit = out, stage, total, unit
        self.done = 0
        self.started = self.spoke = time.monotonic()
        self.patience = FIRST
        self.bar: Progress | None = None
        if out.is_terminal:
            amount = DownloadColumn() if unit == "bytes" else MofNCompleteColumn()
            columns = [TextColumn("  {task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"), amount]
            times = [TimeElapsedColumn(), TextColumn("left:"), TimeRemainingColumn()]
            self.bar = Progress(*columns, *times, console=out, transient=True)
            self.bar.start()
            self.bar.add_task(escape(stage), total=total)

    def advance(self, amount: int) -> None:
        """So much more is done."""
        self.done += amount
        now = time.monotonic()
        if self.bar is not None:
            self.bar.update(self.bar.task_ids[0], completed=self.done)
        elif now - self.spoke > self.patience and 0 < self.done < self.total:
            left = (now - self.started) * (self.total - self.done) / self.done
            share = f"{100 * self.done / self.total:.0f} % of {self._of(self.total)}"
            self._say(f"  … {self.stage}: {share}, about {left:.0f} s left")
            self.spoke, self.patience = now, QUIET

    def end(self) -> None:
        """It is over: the bar goes, and a line says what was done."""
        if self.bar is not None:
            self.bar.stop()
        if self.done:
            self._say(f"  {self.stage}: {self._of(self.done)} in {time.monotonic() - self.started:.1f} s")

    def _of(self, amount: int) -> str:
        return decimal(amount) if self.unit == "bytes" else f"{amount:,} {self.unit}"

    def _say(self, text: str) -> None:
        self.out.print(escape(text))
