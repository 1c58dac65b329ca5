"""Telling the user how far the work is, and letting them stop it between two steps."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Protocol


class Progress(Protocol):
    """What a long computation tells while it runs."""

    def step(self, epoch: int, step: int, steps: int, epochs: int, rows: int) -> None:
        """One step of an epoch is done."""


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
