"""The states of a fit that an artefact will come of, beside what they were begun with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recdistill.artefacts import digest, read_json, remove_unfinished, write_json
from recdistill.checkpoints.contents import remove_states, states, strangers
from recdistill.checkpoints.folder import LOCK
from recdistill.checkpoints.held import by_first, held
from recdistill.errors import DataError, UsageError
from recdistill.ranks import Ranks


@dataclass(frozen=True)
class Unfinished:
    """A folder of states that tells whose they are before the fit is there to be asked.

    Args:
        folder: of `Checkpoints`.
        told: what decides what will come of the fit, for JSON.
    """

    folder: Path
    told: dict[str, Any]

    @contextlib.contextmanager
    def begun(self, *, anew: bool, ranks: Ranks | None) -> Iterator[None]:
        """Within it the fit runs; where it leaves no state, nothing is left.

        Args:
            anew: states that were begun with something else are removed; otherwise the fit refuses them.
            ranks: rank 0 does it for all.

        Raises:
            UsageError: another process works here.
        """
        by_first(ranks, lambda: self._begin(anew))
        try:
            yield
        finally:
            if (ranks is None or ranks.first) and not self._visible:
                self._told.unlink(missing_ok=True)
                self._remove_empty()

    def remove(self) -> None:
        """Remove the states; files that are none stay, and so does their folder.

        Raises:
            UsageError: another process works here.
        """
        with self._held():
            remove_states(self.folder)
            if not strangers(self.folder):
                remove_unfinished(self.folder)
            self._told.unlink(missing_ok=True)

    def remove_left(self) -> str:
        """Remove what a process left that was killed when all was made.

        Returns:
            What is to be said of what is there and is left, in words; nothing where nothing is.
        """
        if not self.folder.is_dir():
            return ""
        if self._visible and not self._is_own:
            return f"{self.folder} is of another fit and is left as it is"
        with contextlib.suppress(UsageError):  # another process may be making it again
            self.remove()
        return ""

    def _begin(self, anew: bool) -> None:
        if self.folder.exists() and (not self.folder.is_dir() or strangers(self.folder)):
            return  # the fit says so
        if anew and self.folder.exists() and not self._is_own:
            self.remove()
        with self._held():
            if not states(self.folder):
                write_json(self._told, self.told)

    @property
    def _told(self) -> Path:
        return self.folder / ".told.json"

    @property
    def _is_own(self) -> bool:
        with contextlib.suppress(DataError):
            return digest(read_json(self._told)) == digest(self.told)
        return False

    @property
    def _visible(self) -> bool:
        """Whether there is a state, weights, or something else."""
        return self.folder.is_dir() and any(not path.name.startswith(".") for path in self.folder.iterdir())

    @contextlib.contextmanager
    def _held(self) -> Iterator[None]:
        with held(self.folder / LOCK, self.folder):
            yield
        self._remove_empty()

    def _remove_empty(self) -> None:
        with contextlib.suppress(OSError):
            self.folder.rmdir()
