"""What another Python script costs: time, processor time and memory, its own processes included."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

PAGE = resource.getpagesize()
EVERY = 0.05  # seconds


class Run(NamedTuple):
    """Seconds by the clock of the work alone and of the whole process, seconds of processor (user and system, over all
    processes), most memory at once.
    """

    work: float
    wall: float
    cpu: float
    peak_bytes: int


def measured(script: Sequence[Path | str]) -> Run:
    """Run a script with its arguments to its end; what it prints last are the seconds of its work, without imports.

    Memory is what the system says of the process, or the sum over it and its children, looked at 20 times a second,
    if that is more. Keep this process small: a child is charged with its parent's memory at its start.

    Raises:
        SystemExit: the script failed; its own words stand above.
    """
    # Packages that are installed have their bytecode: this one keeps its own too, whatever the shell says.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    started = time.perf_counter()
    child = subprocess.Popen([sys.executable, *map(str, script)], stdout=subprocess.PIPE, text=True, env=environment)
    assert child.stdout is not None
    together: list[int] = []
    over = threading.Event()
    watch = threading.Thread(target=_watch, args=(child.pid, together, over))
    watch.start()
    with child.stdout:
        said = child.stdout.read()
    _, status, used = os.wait4(child.pid, 0)
    wall = time.perf_counter() - started
    over.set()
    watch.join()
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{script[0]} failed with {child.returncode}")
    peak = max(used.ru_maxrss * 1024, *together, 0)
    return Run(float(said.splitlines()[-1]), wall, used.ru_utime + used.ru_stime, peak)


def _watch(pid: int, together: list[int], over: threading.Event) -> None:
    while not over.wait(EVERY):
        together.append(sum(map(_resident, _family(pid))))


def _family(pid: int) -> list[int]:
    """A process and all below it."""
    found, waiting = [], [pid]
    while waiting:
        found.append(waiting.pop())
        for thread in _threads(found[-1]):
            waiting += map(int, _words(thread / "children"))
    return found


def _threads(pid: int) -> list[Path]:
    """The folders of a process's threads; none where it is gone."""
    try:
        return list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return []


def _resident(pid: int) -> int:
    return int(words[1]) * PAGE if (words := _words(Path(f"/proc/{pid}/statm"))) else 0


def _words(path: Path) -> list[str]:
    """Of a file of /proc; none where the process is gone."""
    try:
        return path.read_text().split()
    except OSError:
        return []
