"""What can go wrong, by whose hands it is mended, and the exit code that says so.

Callers of the Python API catch `ValueError` for anything wrong with what they passed; the command line
turns each kind into its exit code: 2 usage, 3 data, 4 environment, 5 training, 130 interrupted.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


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
    """The tail of an error about an unknown name: the nearest known one, else all of them.

    >>> nearest("alhpa", ["alpha", "temperature"])
    "did you mean 'alpha'?"
    """
    known = list(choices)
    match = difflib.get_close_matches(word, known, n=1)
    if match:
        return f"did you mean {match[0]!r}?"
    return f"known: {', '.join(known) or 'none'}"
