"""Prepare in a process of its own that kills itself at a write boundary: python kill.py RAW OUT AT.

A boundary is just before a file is flushed, just before it gets its name, and just after. Without AT nothing is killed
and the number of boundaries is printed.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import clicks

from recdistill import artefacts
from recdistill.preparation import prepare


class Boundaries:
    """The boundaries that this process passes; it kills itself at one of them.

    Args:
        at: which, from 1; 0 for none.
    """

    def __init__(self, at: int) -> None:
        self.at, self.passed = at, list[str]()

    def reach(self, name: str) -> None:
        self.passed.append(name)
        if len(self.passed) == self.at:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self, owner: Any, name: str, *, after: bool = True, called: str = "") -> None:
        """A function becomes a boundary before it, and one after it."""
        real, called = getattr(owner, name), called or name

        def watched(*arguments: Any, **named: Any) -> Any:
            self.reach(called)
            result = real(*arguments, **named)
            if after:
                self.reach(called)
            return result

        setattr(owner, name, watched)

    def watch_writes(self) -> None:
        self.watch(artefacts, "_flush", after=False)
        self.watch(os, "replace")


def main(raw: str, out: str, at: int) -> None:
    boundaries = Boundaries(at)
    boundaries.watch_writes()
    prepare(Path(raw), Path(out), schema=clicks.SCHEMA, settings=clicks.settings())
    print(len(boundaries.passed))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 0)
