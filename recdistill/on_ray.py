"""RayData: an engine whose pieces of work are done by Ray Data, on this machine or on many.

What is sent is small: the work (paths, settings, fitted transforms) once, and the items, some at a time. The rows
themselves are read and written by the workers, so all machines must see the same files under the same paths.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import logging
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from recdistill.errors import EnvironmentFault, UsageError

Item = TypeVar("Item")
Result = TypeVar("Result")
Row = dict[str, Any]
ITEMS_PER_WORKER = 4  # in a wave: more of them wait less for its last, and hold more of a packed file in memory


@dataclass(frozen=True)
class _Sent:
    """Something that Arrow is to leave as it is; an error of the work is one too."""

    value: Any


class RayData:
    """An engine of Ray's workers.

    Where Ray is not running yet it is started: on this machine, or on the cluster that `RAY_ADDRESS` names. Call
    `ray.init` before for anything else.

    Args:
        workers: how many items are worked on at a time, each on one CPU; by default one for each CPU of the cluster.

    Raises:
        UsageError: there would be no worker.
        EnvironmentFault: Ray Data is not installed.
    """

    is_here = False

    def __init__(self, workers: int | None = None) -> None:
        if workers is not None and workers < 1:
            raise UsageError(f"Ray needs at least one worker, got {workers=}")
        self.workers = workers
        _ray()

    def run(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """See `Engine`. Items are taken in waves, each when the one before it is done.

        An item whose worker is lost is given to another.

        Raises:
            EnvironmentFault: Ray's workers lack this package, or something else that the work needs.
        """
        ray = _ray()
        if not ray.is_initialized():
            ray.init(log_to_driver=False, logging_level=logging.ERROR)
        sent = ray.put(work)
        with _faults(ray):  # before the waves, for what a worker cannot import Ray Data would try for ever
            ray.get(ray.remote(_arrived).options(max_retries=0).remote(sent))
        left = iter(items)
        while wave := list(itertools.islice(left, ITEMS_PER_WORKER * self._workers(ray))):
            yield from self._wave(ray, functools.partial(_outcome, sent, Path.cwd()), wave)

    def _workers(self, ray: Any) -> int:
        return self.workers or max(1, int(ray.cluster_resources().get("CPU", 1)))

    def _wave(self, ray: Any, outcome: Callable[[Row], Row], wave: Sequence[Any]) -> Iterator[Any]:
        """The results of some items, in their order; the first error, once all of them have ended.

        None of them goes on writing then, while the user mends what was wrong and begins again.
        """
        failed: list[Exception] = []
        with _quiet("ray.data"), _faults(ray):
            rows = ray.data.from_items([_Sent(item) for item in wave], override_num_blocks=len(wave))
            done = rows.map(outcome, concurrency=self.workers)
            done.context.enable_progress_bars = False
            done.context.execution_options.preserve_order = True
            for row in done.iter_rows():
                result = row["result"].value
                if isinstance(result, _Sent):
                    failed.append(result.value)
                elif not failed:
                    yield result
            if failed:
                raise failed[0]


def _outcome(sent: Any, folder: Path, row: Row) -> Row:
    """Do an item, on a worker; an error is sent as a value, so that it arrives as what it is.

    Args:
        sent: where Ray keeps the work.
        folder: from which its relative paths go.
        row: with the item.
    """
    try:
        with contextlib.chdir(folder) if folder.is_dir() else contextlib.nullcontext():
            return {"result": _Sent(_fetched(sent)(row["item"].value))}
    except Exception as error:
        error.add_note(traceback.format_exc())  # where it was, which is lost on the way
        return {"result": _Sent(_Sent(error))}


def _arrived(work: Any) -> None:
    """Nothing, on a worker where the work has arrived."""


@functools.lru_cache(maxsize=1)
def _fetched(sent: Any) -> Callable[[Any], Any]:
    """The work; each worker unpacks it once, not for every item."""
    return _ray().get(sent)


def _ray() -> Any:
    """Ray, with its Data.

    Raises:
        EnvironmentFault: it is not installed.
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise EnvironmentFault(f"RayData needs Ray ({error}): pip install 'recdistill[ray]'") from None
    return ray


@contextlib.contextmanager
def _faults(ray: Any) -> Iterator[None]:
    """Within it what goes wrong with Ray itself is a fault of the environment, in a line."""
    try:
        yield
    except ray.exceptions.RayError as error:
        raise EnvironmentFault(f"Ray could not do the work: {str(error).strip().splitlines()[-1]}") from error


@contextlib.contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Within it a logger tells errors alone."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
