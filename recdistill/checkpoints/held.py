"""What one process holds while others wait, and what rank 0 alone finds out for all ranks."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar

from recdistill.errors import DataError, EnvironmentFault, UsageError
from recdistill.ranks import Ranks

Found = TypeVar("Found")
KINDS: dict[str, type[Exception]] = {kind.__name__: kind for kind in (UsageError, DataError, EnvironmentFault, OSError)}


def by_first(ranks: Ranks | None, find: Callable[[], Found]) -> Found:
    """What rank 0 finds, or the error that it meets, on all ranks alike; alone this process finds it.

    Args:
        ranks: all of them call.
        find: gives what JSON can say; called on rank 0 alone.

    Raises:
        UsageError, DataError, EnvironmentFault, OSError: rank 0 met it.
    """
    if ranks is None:
        return find()
    said: dict[str, Any] = {}
    met: Exception | None = None
    if ranks.first:
        try:
            said = {"found": find()}
        except tuple(KINDS.values()) as error:
            kind = next(name for name, one in KINDS.items() if isinstance(error, one))
            said, met = {"kind": kind, "words": str(error)}, error
    told = json.loads(ranks.told(json.dumps(said)))
    if "found" in told:
        found: Found = told["found"]
        return found
    raise met or KINDS[told["kind"]](told["words"])


@contextlib.contextmanager
def held(lock: Path, what: Path, ranks: Ranks | None = None) -> Iterator[None]:
    """Within it no other process works on something; a process that is killed lets go of it.

    Args:
        lock: a file that is made, and removed afterwards.
        what: is worked on, for the error.
        ranks: work on it together; rank 0 holds it for all.

    Raises:
        UsageError: another process does.
    """
    with contextlib.ExitStack() as stack:
        by_first(ranks, lambda: stack.enter_context(_locked(lock, what)))
        yield


@contextlib.contextmanager
def _locked(lock: Path, what: Path) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        while (file := _opened(lock, what)) is None:
            pass  # who held it has just removed it
        stack.callback(file.close)
        stack.callback(lock.unlink, missing_ok=True)  # before it is let go of
        yield


def _opened(lock: Path, what: Path) -> IO[bytes] | None:
    """The file, locked; none where another process removed it in the meantime."""
    with contextlib.ExitStack() as stack, contextlib.suppress(FileNotFoundError):
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = stack.enter_context(lock.open("ab"))
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"{what} is worked on by another process; wait for it") from None
        if os.path.samestat(os.fstat(file.fileno()), lock.stat()):
            stack.pop_all()
            return file
    return None
