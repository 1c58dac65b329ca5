"""Pieces of work that each make one folder artefact: what is whole already is kept, the rest is made in parallel."""

from __future__ import annotations

import functools
import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recdistill.artefacts import is_made_from
from recdistill.errors import EnvironmentFault, Interrupted, UsageError
from recdistill.progress import Board, Silence, Watch

KEPT = "what is finished is kept, and the same command continues"
BETWEEN_MESSAGES = 0.5  # seconds


@dataclass(frozen=True)
class Unit:
    """One artefact to make.

    Args:
        name: for people, unique among the units of a stage.
        folder: the artefact; the unit is done when it is whole and made from the same rows.
        prepared: the identity of the rows it is made from, which `make` keeps in the manifest.
        make: a module's function `(*arguments, watch) -> words`, where the words say what came of it.
        arguments: of `make`, without the watch.
    """

    name: str
    folder: Path
    prepared: str
    make: Callable[..., str]
    arguments: tuple[Any, ...]

    @property
    def is_done(self) -> bool:
        """Whether the artefact is there."""
        return is_made_from(self.folder, self.prepared)


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Workers:
    """Who makes the units of every stage, and tells a board about it; a context manager.

    Args:
        count: processes, each computing with one thread, started when they are first needed; 1 works in this process.
        board: told how far it is.

    Raises:
        UsageError: the count is below 1.
    """

    def __init__(self, count: int = 1, board: Board | None = None) -> None:
        if count < 1:
            raise UsageError(f"there must be at least one worker, got {count=}")
        self.count = count
        self.board = Silence() if board is None else board
        self._pool: ProcessPoolExecutor | None = None
        context = multiprocessing.get_context("spawn")
        self._context, self._messages, self._stop = context, context.Queue(), context.Event()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        # Units that are running see the event between two steps, write their checkpoints and end.
        self._stop.set()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def carry_out(self, stage: str, units: Sequence[Unit]) -> None:
        """Make every unit that is not there yet.

        Args:
            stage: what it is called on the board.
            units: independent of each other.

        Raises:
            Interrupted: the user stopped it.
            EnvironmentFault: a worker died.
        """
        missing = [unit for unit in units if not unit.is_done]
        if not missing:
            return
        self.board.begin(stage, len(units), len(units) - len(missing))
        try:
            if self.count == 1:
                self._here(missing)
            else:
                self._in_parallel(missing)
        finally:
            self.board.end()

    def _here(self, units: Sequence[Unit]) -> None:
        for unit in units:
            watch = Watch(seldom(functools.partial(self.board.moved, unit.name)), lambda: False)
            self.board.finished(unit.name, unit.make(*unit.arguments, watch))

    def _in_parallel(self, units: Sequence[Unit]) -> None:
        if self._pool is None:
            told = (self._messages, self._stop)
            self._pool = ProcessPoolExecutor(self.count, self._context, initializer=_enter, initargs=told)
        running: dict[Future[str], Unit] = {self._pool.submit(_make, unit): unit for unit in units}
        try:
            while running:
                done, _ = wait(running, timeout=BETWEEN_MESSAGES, return_when=FIRST_COMPLETED)
                _pass_on(self._messages, self.board)
                for future in done:
                    self.board.finished(running.pop(future).name, future.result())
        except BrokenProcessPool:
            rule = "a worker process was killed, perhaps for want of memory"
            raise EnvironmentFault(f"{rule}; {KEPT}, e.g. with fewer --workers than {self.count}") from None
        except KeyboardInterrupt as interrupt:
            self.board.say("stopping after this step …")
            raise Interrupted(str(interrupt) or f"stopped; {KEPT}") from None
        finally:
            for future in running:
                future.cancel()


def _pass_on(messages: Any, board: Board) -> None:
    while True:
        try:
            board.moved(*messages.get_nowait())
        except queue.Empty:
            return


_outside: dict[str, Any] = {}


def _enter(messages: Any, stop: Any) -> None:
    """A worker begins: Ctrl-C is the parent's affair (but for fits, which write their state), one thread is enough."""
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    _outside.update(messages=messages, stop=stop)


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever, and hold what it was working on."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _make(unit: Unit) -> str:
    messages, stop = _outside["messages"], _outside["stop"]
    return unit.make(*unit.arguments, Watch(seldom(lambda share: messages.put((unit.name, share))), stop.is_set))


def seldom(tell: Callable[[float], None]) -> Callable[[float], None]:
    """A function that tells the same, at most every `BETWEEN_MESSAGES` seconds."""
    last = [0.0]

    def told(share: float) -> None:
        now = time.monotonic()
        if now - last[0] >= BETWEEN_MESSAGES:
            last[0] = now
            tell(share)

    return told
