"""Prepare in a process of its own that kills itself at a write boundary: python kill.py RAW OUT AT.

A boundary is just before a file is flushed, just before it gets its name, and just after. Without AT nothing is killed
and the number of boundaries is printed.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import clicks

from recdistill import artefacts
from recdistill.preparation import prepare

passed = 0


def boundary(at: int) -> None:
    global passed
    passed += 1
    if passed == at:
        os.kill(os.getpid(), signal.SIGKILL)


def between(real: Callable[..., Any], at: int, *, after: bool) -> Callable[..., Any]:
    def watched(*arguments: Any) -> Any:
        boundary(at)
        result = real(*arguments)
        if after:
            boundary(at)
        return result

    return watched


def main(raw: str, out: str, at: int) -> None:
    artefacts._flush = between(artefacts._flush, at, after=False)
    artefacts.os.replace = between(os.replace, at, after=True)
    prepare(Path(raw), Path(out), schema=clicks.SCHEMA, settings=clicks.settings())
    print(passed)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 0)
