"""Telling the user how far the work is, and letting them stop it between two steps."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Protocol, runtime_checkable


class Progress(Protocol):
    """What a fit tells while it runs, and asks between two steps."""

    def step(self, epoch: int, step: int, steps: int, epochs: int, rows: int) -> None:
        """Step `step` of `steps` in epoch `epoch` (from 0) of at most `epochs` is done, with `rows` rows."""

    def stopped(self) -> bool:
        """Whether to stop here."""


@runtime_checkable
class Judge(Protocol):
    """A Progress that is told the validation score after each epoch too. It may end the fit by raising an error."""

    def judged(self, epoch: int, score: float) -> None:
        """After `epoch` epochs the held-out rows have this score, by what the fit is stopped by."""


class Board(Protocol):
    """Where an experiment tells what it is doing."""

    def say(self, text: str) -> None:
        """One line."""

    def begin(self, stage: str, units: int, done: int) -> None:
        """A stage of `units` pieces of work begins, `done` of them are there already."""

    def moved(self, unit: str, share: float) -> None:
        """A piece of work is done to this share, in [0, 1]."""

    def finished(self, unit: str, words: str) -> None:
        """A piece of work is done, and what came of it."""

    def track(self, stage: str, total: int, unit: str) -> None:
        """A stage that is measured, in "bytes" or in things of that name, begins; `end` ends it."""

    def advance(self, amount: int) -> None:
        """So much more of it is done."""

    def end(self) -> None:
        """The stage is over, finished or not."""


class Silence:
    """A Board that tells nobody."""

    def say(self, text: str) -> None:
        """Nothing."""

    def begin(self, stage: str, units: int, done: int) -> None:
        """Nothing."""

    def moved(self, unit: str, share: float) -> None:
        """Nothing."""

    def finished(self, unit: str, words: str) -> None:
        """Nothing."""

    def track(self, stage: str, total: int, unit: str) -> None:
        """Nothing."""

    def advance(self, amount: int) -> None:
        """Nothing."""

    def end(self) -> None:
        """Nothing."""


SILENCE = Silence()


@contextlib.contextmanager
def tracked(board: Board, stage: str, total: int, unit: str) -> Iterator[None]:
    """Within it a measured stage goes on; it is over however it is left."""
    board.track(stage, total, unit)
    try:
        yield
    finally:
        board.end()


class Watch:
    """How far one piece of work is; several fits in a row each fill their part of it.

    Args:
        tell: told the share that is done, in [0, 1].
        stopped: asked between two steps.
    """

    def __init__(self, tell: Callable[[float], None], stopped: Callable[[], bool]) -> None:
        self.tell, self.stopped = tell, stopped

    def part(self, number: int, of: int) -> Progress:
        """The progress of fit `number` (from 0) of `of`."""
        return _Part(self, number, of)


class _Part:
    def __init__(self, watch: Watch, number: int, of: int) -> None:
        self.watch, self.number, self.of = watch, number, of

    def step(self, epoch: int, step: int, steps: int, epochs: int, rows: int) -> None:
        self.watch.tell((self.number + (epoch + step / steps) / epochs) / self.of)

    def stopped(self) -> bool:
        return self.watch.stopped()


@contextlib.contextmanager
def stoppable() -> Iterator[Callable[[], bool]]:
    """Within it, a first Ctrl-C only makes the yielded function return True; a second one interrupts at once.

    Outside the main thread signals cannot be caught, and the function always returns False.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return

    def ask(number: int, frame: object) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)
