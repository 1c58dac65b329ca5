"""What is in a folder of states, told by its name; what is hidden counts as nothing."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from recdistill.artefacts import remove

NAME = re.compile(r"state-(\d{6,})")
BEST = re.compile(r"best-(\d{6,})")  # weights that a state on disk names, where it does not hold them


def states(folder: Path) -> dict[int, Path]:
    """The states that are there by their number, the newest first."""
    there = list(folder.iterdir()) if folder.is_dir() else []
    numbers = {int(match.group(1)): path for path in there if (match := NAME.fullmatch(path.name))}
    return dict(sorted(numbers.items(), reverse=True))


def strangers(folder: Path) -> list[str]:
    """What is in a folder and neither hidden nor a state."""
    names = [path.name for path in folder.iterdir() if not path.name.startswith(".")]
    return sorted(name for name in names if not (NAME.fullmatch(name) or BEST.fullmatch(name)))


def remove_states(folder: Path) -> None:
    """Remove the states, and the folder where nothing else is in it."""
    for path in reversed(states(folder).values()):  # the newest last: a process that is killed here has it still
        remove(path)
    for path in best_folders(folder):
        remove(path)
    with contextlib.suppress(OSError):  # a file that is not ours stays, and so does its folder
        folder.rmdir()


def best_folder(folder: Path, epoch: int) -> Path:
    """Where the best weights of a fit are, in the folder of its states, when they are not held in memory."""
    return folder / f"best-{epoch:06d}"


def best_folders(folder: Path) -> list[Path]:
    """Those that are there."""
    return [path for path in folder.iterdir() if BEST.fullmatch(path.name)] if folder.is_dir() else []
