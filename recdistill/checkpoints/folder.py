"""The last two states of a fit on disk, each written atomically and verified before it is continued.

A fit's folder holds `state-000041/` and `state-000042/`: what happens to the newest after it was written costs one
checkpoint, not the fit.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from torch import Tensor

from recdistill.artefacts import manifest, remove, remove_unfinished, verify
from recdistill.checkpoints.contents import remove_states, states, strangers
from recdistill.checkpoints.held import by_first, held
from recdistill.errors import DataError, UsageError
from recdistill.ranks import Ranks, new_shared_folder

Tensors = dict[str, Tensor]
KEPT = 2
LOCK = ".lock"
ONE_PROCESS, RANKS = "one process", "ranks"
HOW = {
    ONE_PROCESS: "continue without torchrun",
    RANKS: "continue with `torchrun --nproc_per_node=1 ...`",
}
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

    @property
    def format(self) -> str:
        """Who writes so: `ONE_PROCESS` or `RANKS`; neither reads what the other wrote."""

    def write(self, folder: Path, state: State) -> None:
        """Write weights, the optimiser's state and where the fit stands into a folder; over ranks all of them do."""

    def read(self, folder: Path) -> State:
        """Put what was written back in place."""


class Checkpoints:
    """A folder that holds the last two states of one fit; without a folder every call does nothing.

    As a context manager it keeps other processes from the folder.

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
        self.last, self._held = (0, 0), contextlib.ExitStack()  # epoch and step of the last state, here or written

    def __enter__(self) -> Checkpoints:
        """Work on the folder alone.

        Raises:
            UsageError: another process does, or the folder holds something else than states.
        """
        if self.folder is not None:
            by_first(self.ranks, self._require_own_folder)
            self._held.callback(self._remove_empty)
            self._held.enter_context(held(self.folder / LOCK, self.folder, self.ranks))
        return self

    def __exit__(self, *raised: object) -> None:
        """Let go of it; it is removed where it is empty."""
        self._held.close()

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
        facts = {"kind": "checkpoint", "identity": self.identity, "written_by": self.stored.format}
        with new_shared_folder(path, self.ranks, facts) as temporary:
            self.stored.write(temporary, state)
        self.written, self.passed, self.newest = self.clock(), 0, self.newest + 1
        self.last = state.epoch, state.step
        for number, old in self._found().items() if self._writes else ():
            if number <= self.newest - KEPT:
                remove(old)
        return f"stopped at epoch {state.epoch + 1}, step {state.step}; the same command continues there"

    def keep(self, state: State) -> None:
        """Write where the fit ended, if that is not written yet."""
        if (state.epoch, state.step) != self.last:
            self.save(state)

    def load(self) -> State | None:
        """Put the newest state that is whole back in place; None when there is none.

        A newer one that is damaged is told of by the logger "recdistill", and is written anew in time. Rank 0 looks
        for all ranks.

        Raises:
            UsageError: the folder holds something else than states.
            DataError: each state was changed, is of another fit, or was written by ranks for one process to read or
                the other way round.
        """
        if self.folder is None or not (name := by_first(self.ranks, self._chosen)):
            return None
        self.newest = int(name.removeprefix("state-"))
        state = self.stored.read(self.folder / name)
        self.last = state.epoch, state.step
        return state

    def clear(self) -> None:
        """Remove the states, and the folder: the fit is done."""
        if self.folder is not None and self._writes:
            remove_states(self.folder)

    @property
    def _writes(self) -> bool:
        return self.ranks is None or self.ranks.first

    def _remove_empty(self) -> None:
        if self.folder is not None and self._writes:
            with contextlib.suppress(OSError):
                self.folder.rmdir()

    def _found(self) -> dict[int, Path]:
        return {} if self.folder is None else states(self.folder)

    def _require_own_folder(self) -> None:
        if self.folder is None or not self.folder.exists():
            return
        if not self.folder.is_dir():
            raise UsageError(f"checkpoints need a folder, got the file {self.folder}")
        if others := strangers(self.folder):
            raise UsageError(f"a folder for checkpoints must hold nothing else, got {others[0]!r} in {self.folder}")

    def _chosen(self) -> str:
        """The name of the state to continue, empty where there is none; what was left half-written goes."""
        self._require_own_folder()
        if self.folder is not None:
            remove_unfinished(self.folder)
        found = self._found()
        return found[self._whole(found)].name if found else ""

    def _whole(self, found: dict[int, Path]) -> int:
        """The number of the newest state of this fit whose every byte is as it was written."""
        told: list[str] = []
        for number, path in found.items():
            try:
                self._require_own_state(path)
            except (DataError, OSError) as error:
                told.append(str(error))
                continue
            if told:
                LOG.warning("a checkpoint is damaged, the one before it is continued: %s", "; ".join(told))
            return number
        reasons = "; ".join(dict.fromkeys(told))
        raise DataError(f"{self.folder} holds no state to continue: {reasons}; overwrite or remove it to begin anew")

    def _require_own_state(self, path: Path) -> None:
        verify(path)
        facts = manifest(path).get("facts")
        if not isinstance(facts, dict) or facts.get("identity") != self.identity:
            raise DataError("the state is of another fit (other rows, settings or model)")
        wrote, here = facts.get("written_by"), self.stored.format
        if wrote != here:
            raise DataError(f"the state was written by {wrote}, here is {here}: {HOW.get(str(wrote), 'it is unknown')}")
