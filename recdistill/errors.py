"""What can go wrong, by whose hands it is mended, and the exit code that says so.

Callers of the Python API catch `ValueError` for anything wrong with what they passed; the command line
turns each kind into its exit code: 2 usage, 3 data, 4 environment, 5 training, 130 interrupted.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from pathlib import Path


class UsageError(ValueError):
    """A setting, argument or command does not make sense."""

    exit_code = 2


class DataError(ValueError):
    """The rows, columns or stored artefacts are not what they must be."""

    exit_code = 3


class EnvironmentFault(RuntimeError):
    """The machine lacks something: disk, memory, a package."""

    exit_code = 4


class TrainingError(RuntimeError):
    """Training cannot go on, e.g. the loss is no longer finite."""

    exit_code = 5


class Interrupted(KeyboardInterrupt):
    """The user stopped the work; what was finished is on disk."""

    exit_code = 130


def nearest(word: str, choices: Iterable[str]) -> str:
    """The tail of an error about an unknown name: the nearest known one, in whatever case, else all of them.

    >>> nearest("alhpa", ["alpha", "temperature"])
    "did you mean 'alpha'?"
    """
    known = list(choices)
    blind = {name.lower(): name for name in known}
    match = difflib.get_close_matches(word, known, n=1)
    match = match or [blind[name] for name in difflib.get_close_matches(word.lower(), blind, n=1)]
    if match:
        return f"did you mean {match[0]!r}?"
    return f"known: {', '.join(known) or 'none'}"


def beside(path: Path, fits: Callable[[Path], bool] = Path.is_file) -> str:
    """The tail of an error about a path that is not there: the nearest name in its folder, or nothing.

    Args:
        path: that is not there.
        fits: whether what is there could have been meant.
    """
    if not path.parent.is_dir():
        return f": there is no folder {path.parent}"
    match = difflib.get_close_matches(path.name, [p.name for p in path.parent.iterdir() if fits(p)], n=1)
    return f", did you mean {str(path.parent / match[0])!r}?" if match else ""
