"""What people see: a progress bar with the time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from recdistill.meter import Meter

FIRST, QUIET = 5.0, 20.0  # seconds without a line, off a terminal: at the beginning of a stage, and later


def console(*, stderr: bool = False) -> Console:
    """A console that never cuts or colours what a user may want to copy."""
    return Console(stderr=stderr, soft_wrap=True, highlight=False)


class TerminalBoard:
    """A Board on a console.

    Args:
        out: where to; a terminal gets bars, anything else plain lines.
    """

    def __init__(self, out: Console) -> None:
        self.out = out
        self.bars: Progress | None = None
        self.meter: Meter | None = None
        self.shares: dict[str, float] = {}
        self.over: set[str] = set()
        self.units = self.kept = self.made = 0
        self.started = self.spoke = 0.0
        self.patience = FIRST

    def say(self, text: str) -> None:
        """One line."""
        self.out.print(escape(text))

    def begin(self, stage: str, units: int, done: int) -> None:
        """A stage begins: its bar on a terminal, a line elsewhere."""
        self.shares, self.over = {}, set()
        self.units, self.kept, self.made = units, done, 0
        self.started = self.spoke = time.monotonic()
        self.patience = FIRST
        kept = f", {done} of them kept from before" if done else ""
        self.say(f"{stage}: {units} to make{kept}" if done < units else f"{stage}: all {units} kept from before")
        if self.out.is_terminal:
            columns = [TextColumn("  {task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %")]
            times = [TimeElapsedColumn(), TextColumn("left:"), TimeRemainingColumn()]
            self.bars = Progress(*columns, *times, console=self.out, transient=True)
            self.bars.start()
            self.bars.add_task(escape(stage), total=units - done)

    def moved(self, unit: str, share: float) -> None:
        """A unit is done to a share."""
        if unit in self.over:  # a message that came late
            return
        self.shares[unit] = share
        if self.bars is not None:
            self.bars.update(self.bars.task_ids[0], completed=self._completed())
        elif time.monotonic() - self.spoke > self.patience:
            self._speak(f"  … {unit} {100 * share:.0f} %{self._left()}")

    def finished(self, unit: str, words: str) -> None:
        """A unit is done: one line."""
        self.shares.pop(unit, None)
        self.over.add(unit)
        self.made += 1
        if self.bars is not None:
            self.bars.update(self.bars.task_ids[0], completed=self._completed())
        self._speak(f"  [{self.kept + self.made}/{self.units}] {unit}: {words}{self._left()}")

    def track(self, stage: str, total: int, unit: str) -> None:
        """A measured stage begins: its bar on a terminal, lines elsewhere."""
        self.meter = Meter(self.out, stage, total, unit)

    def advance(self, amount: int) -> None:
        """So much more of it is done."""
        if self.meter is not None:
            self.meter.advance(amount)

    def end(self) -> None:
        """The stage is over: its bar goes."""
        if self.meter is not None:
            self.meter.end()
            self.meter = None
        if self.bars is not None:
            self.bars.stop()
            self.bars = None

    def _speak(self, text: str) -> None:
        self.spoke, self.patience = time.monotonic(), QUIET
        self.say(text)

    def _completed(self) -> float:
        return self.made + sum(self.shares.values())

    def _left(self) -> str:
        """How long the rest of the stage will take at the pace so far."""
        completed, rest = self._completed(), self.units - self.kept - self._completed()
        if self.bars is not None or completed < 0.5 or rest <= 0:
            return ""
        seconds = (time.monotonic() - self.started) / completed * rest
        return f" (about {seconds / 60:.0f} min left)" if seconds >= 90 else f" (about {seconds:.0f} s left)"


class Bar:
    """A progress bar for one fit: `fit(ranker, table, progress=Bar("teacher"))`.

    Args:
        name: what is trained.
    """

    def __init__(self, name: str = "training") -> None:
        columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("steps")]
        self.bars = Progress(*columns, TimeElapsedColumn(), TextColumn("left at most:"), TimeRemainingColumn())
        self.task = self.bars.add_task(escape(name), total=None)

    def __enter__(self) -> Bar:
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bars.stop()

    def step(self, epoch: int, step: int, steps: int, epochs: int, rows: int) -> None:
        """One step is done."""
        self.bars.update(self.task, total=steps * epochs, completed=epoch * steps + step)

    def stopped(self) -> bool:
        """Never: Ctrl-C stops a fit by itself."""
        return False


def show_table(out: Console, lines: list[list[str]], title: str) -> None:
    """A drawn table on a terminal; elsewhere plain lines, never cut."""
    if not out.is_terminal:
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        out.print(escape(title))
        for line in lines:
            out.print(escape("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()))
        return
    shown = Table(title=escape(title), title_justify="left")
    for name in lines[0]:
        shown.add_column(escape(name), justify="left" if name == lines[0][0] else "right")
    for line in lines[1:]:
        shown.add_row(*(escape(cell) for cell in line))
    out.print(shown)
