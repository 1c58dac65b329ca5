"""Who does the pieces of the work: threads here, or another engine with the same face."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Protocol, TypeVar

import numpy as np

Item = TypeVar("Item")
Result = TypeVar("Result")
MOST_KEPT = (32 << 20) - (1 << 13)  # bytes; just below the size from which glibc never keeps what is freed


class Engine(Protocol):
    """Does a piece of work for each of several items."""

    @property
    def is_here(self) -> bool:
        """Whether the work is done in this process, so that an item need not be small."""

    def run(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """The results, in any order; the first error ends it.

        Args:
            work: for one item; it may run elsewhere, and what it writes is whole or not there.
            items: are taken when there is room for them.
        """


class Threads:
    """An engine of threads in this process: Arrow's and numpy's work is not held up by Python's lock.

    Args:
        workers: how many; by default one for each processor that this process may use.
    """

    is_here = True

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or len(os.sched_getaffinity(0))

    def run(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """See `Engine`; no more items than workers are in memory at a time, and one that waits."""
        _keep_freed_memory()
        pool = ThreadPoolExecutor(self.workers)
        running: set[Future[Result]] = set()
        try:
            for item in items:
                running.add(pool.submit(work, item))
                if len(running) > self.workers:
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
            yield from (future.result() for future in running)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _keep_freed_memory() -> None:
    """Have numpy's arrays of a chunk's rows come from memory that was used before.

    glibc gives memory of 128 KiB and more back to the system when it is freed, so that each array is got anew page by
    page, which takes longer than to compute it; unless it once saw as much freed, as here, where none of it is touched.
    """
    np.empty(MOST_KEPT, np.uint8)
