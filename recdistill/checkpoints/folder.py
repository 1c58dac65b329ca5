"""The last two states of a fit on disk, each written atomically and verified before it is continued.

A fit's folder holds `state-000041/` and `state-000042/`: what happens to the newest after it was written costs one
checkpoint, not the fit.
"""

from __future__ import annotations

import contextlib
import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from torch import Tensor

from recdistill.artefacts import manifest, remove, remove_unfinished, verify
from recdistill.errors import DataError, UsageError
from recdistill.ranks import Ranks, meet, new_shared_folder

Tensors = dict[str, Tensor]
KEPT = 2
NAME = re.compile(r"state-(\d{6,})")
BEST = re.compile(r"best-(\d{6,})")  # weights that a state on disk names, where it does not hold them
LOG = logging.getLogger("recdistill")


@dataclass(frozen=True)
class State:
    """Where a fit stands.

    Args:
        epoch, step: the next epoch, and the next step in it.
        loss: sum of this epoch's step losses; `last_loss` is the last whole epoch's mean.
        best: the best weights so far, where they are held in memory.
        best_score, best_epoch: theirs; the score is NaN where none was judged.
        epochs_since_best: epochs without a better score.
        history: one entry per finished epoch.
    """

    epoch: int = 0
    step: int = 0
    loss: float = 0.0
    last_loss: float = 0.0
    best: Tensors = field(default_factory=dict)
    best_score: float = float("nan")
    best_epoch: int = 0
    epochs_since_best: int = 0
    history: list[dict[str, float]] = field(default_factory=list)


class Stored(Protocol):
    """What of a fit is written down and put back."""

    def write(self, folder: Path, state: State) -> None:
        """Write weights, the optimiser's state and where the fit stands into a folder; over ranks all of them do."""

    def read(self, folder: Path) -> State:
        """Put what was written back in place."""


class Checkpoints:
    """A folder that holds the last two states of one fit; without a folder every call does nothing.

    Args:
        folder: where, or None.
        stored: what is written.
        identity: of the fit; a state of another fit is refused.
        seconds: between two writes.
        steps: between two writes, should they come first; 0 looks at the time alone.
        ranks: that write together.
        clock: seconds, for tests.
    """

    def __init__(
        self,
        folder: Path | None,
        stored: Stored,
        identity: str,
        *,
        seconds: float,
        steps: int = 0,
        ranks: Ranks | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder, self.stored, self.identity, self.ranks = folder, stored, identity, ranks
        self.seconds, self.steps, self.clock = seconds, steps, clock
        self.written, self.passed, self.newest = clock(), 0, 0

    def due(self, state: State) -> bool:
        """Whether the state is to be written; asked after every step, and between epochs."""
        self.passed += state.step > 0  # between two epochs no step was made
        by_steps = 0 < self.steps <= self.passed
        return self.folder is not None and (by_steps or self.clock() - self.written >= self.seconds)

    def save(self, state: State) -> str:
        """Write the state now; those before the last two go once it is there.

        Returns:
            A sentence for the user, empty without a folder.
        """
        if self.folder is None:
            return ""
        path = self.folder / f"state-{self.newest + 1:06d}"
        facts = {"kind": "checkpoint", "identity": self.identity}
        with new_shared_folder(path, self.ranks, facts) as temporary:
            self.stored.write(temporary, state)
        self.written, self.passed, self.newest = self.clock(), 0, self.newest + 1
        for number, old in self._found().items() if self._writes else ():
            if number <= self.newest - KEPT:
                remove(old)
        return f"stopped at epoch {state.epoch + 1}, step {state.step}; the same command continues there"

    def load(self) -> State | None:
        """Put the newest state that is whole back in place; None when there is none.

        A newer one that is damaged is told of by the logger "recdistill", and is written anew in time.

        Raises:
            UsageError: the folder holds something else than states.
            DataError: each state was changed, or belongs to another fit.
        """
        if self.folder is None:
            return None
        if self._writes and self.folder.exists():
            self._require_own_folder(self.folder)
            remove_unfinished(self.folder)
        meet(self.ranks)
        if not (found := self._found()):
            return None
        self.newest = self._whole(found)
        return self.stored.read(found[self.newest])

    def clear(self) -> None:
        """Remove the states, and the folder: the fit is done."""
        if self.folder is None or not self._writes:
            return
        for path in reversed(self._found().values()):  # the newest last: a process that is killed here has it still
            remove(path)
        for path in best_folders(self.folder):
            remove(path)
        with contextlib.suppress(OSError):  # a file that is not ours stays, and so does its folder
            self.folder.rmdir()

    @property
    def _writes(self) -> bool:
        return self.ranks is None or self.ranks.first

    def _found(self) -> dict[int, Path]:
        """The states that are there by their number, the newest first."""
        there = [] if self.folder is None or not self.folder.is_dir() else list(self.folder.iterdir())
        numbers = {int(match.group(1)): path for path in there if (match := NAME.fullmatch(path.name))}
        return dict(sorted(numbers.items(), reverse=True))

    def _require_own_folder(self, folder: Path) -> None:
        if not folder.is_dir():
            raise UsageError(f"checkpoints need a folder, got the file {folder}")
        names = [path.name for path in folder.iterdir() if not path.name.startswith(".")]
        if others := sorted(name for name in names if not (NAME.fullmatch(name) or BEST.fullmatch(name))):
            raise UsageError(f"a folder for checkpoints must hold nothing else, got {others[0]!r} in {folder}")

    def _whole(self, found: dict[int, Path]) -> int:
        """The number of the newest state of this fit whose every byte is as it was written."""
        told: list[str] = []
        for number, path in found.items():
            try:
                self._require_own_state(path)
            except (DataError, OSError) as error:
                told.append(str(error))
                continue
            if told and self._writes:
                LOG.warning("a checkpoint is damaged, the one before it is continued: %s", "; ".join(told))
            return number
        reasons = "; ".join(dict.fromkeys(told))
        raise DataError(f"{self.folder} holds no state to continue: {reasons}; remove it to begin anew")

    def _require_own_state(self, path: Path) -> None:
        verify(path)
        facts = manifest(path).get("facts")
        if not isinstance(facts, dict) or facts.get("identity") != self.identity:
            raise DataError("the state is of another fit (other rows, settings or model)")


def best_folder(folder: Path, epoch: int) -> Path:
    """Where the best weights of a fit are, in the folder of its states, when they are not held in memory."""
    return folder / f"best-{epoch:06d}"


def best_folders(folder: Path) -> list[Path]:
    """Those that are there."""
    return [path for path in folder.iterdir() if BEST.fullmatch(path.name)] if folder.is_dir() else []
