"""`tune`: the settings of a student and of its distillation, chosen on the target's labelled validation rows."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from recdistill import run_arms
from recdistill.errors import Interrupted, TrainingError, UsageError
from recdistill.label_budget import Cell, cell_of
from recdistill.progress import SILENCE, Board, Progress, Watch
from recdistill.run_folder import RunFolder
from recdistill.tuning import trials as files
from recdistill.tuning.proposals import Proposal, require_optuna
from recdistill.tuning.space import Space
from recdistill.tuning.students import Students, heard_by
from recdistill.tuning.trials import Tried
from recdistill.work import seldom


@dataclass(frozen=True)
class Tuning:
    """What came of it.

    Args:
        folder: with `trials.json`, `trials.csv` and `best.toml`.
        arm: that was tuned.
        space: in which.
        tried: every student, in order.
        rows: labelled validation rows that judged them.
        own: logloss on these of the run's own student of the arm; None where the run has none.
    """

    folder: Path
    arm: str
    space: Space
    tried: tuple[Tried, ...]
    rows: int
    own: float | None

    @property
    def ranked(self) -> list[tuple[int, Tried]]:
        """The finished ones with their numbers, from 1, the lowest logloss first."""
        finished = [(number, one) for number, one in enumerate(self.tried, start=1) if one.state == "finished"]
        return sorted(finished, key=lambda entry: entry[1].valid_logloss or 0.0)

    @property
    def best(self) -> Tried:
        """The one with the lowest logloss on the validation rows, the first of equals."""
        return self.ranked[0][1]

    @property
    def gains(self) -> bool:
        """Whether the best is better than the run's own student, where it has one."""
        return self.own is None or (self.best.valid_logloss or 0.0) < self.own

    @property
    def best_toml(self) -> Path:
        """An experiment with its settings, which `recdistill run` takes."""
        return self.folder / files.BEST

    def count(self, state: str) -> int:
        """How many are finished, pruned or failed."""
        return sum(one.state == state for one in self.tried)


def tune(
    run: Path,
    space: Space | Path | Mapping[str, Any],
    *,
    arm: str | None = None,
    cell: Cell | None = None,
    trials: int = 50,
    minutes: float | None = None,
    out: Path | None = None,
    board: Board = SILENCE,
) -> Tuning:
    """Try settings of a student one after the other, and keep those that are best on the labelled validation rows.

    Each is a student of the run's arm, trained with early stopping from the soft labels that the run has. The tree of
    Parzen estimators proposes settings (Bergstra et al. 2011), the median rule ends those that are no better than most.
    What is proposed depends on the space, the cell and what was tried before alone: the same call gives the same
    students, at once or after a stop. Test rows are not read.

    Args:
        run: a run's folder, of which the stage `label` is done.
        space: what may be tried: a TOML file or its values.
        arm: whose student; the best teacher's from random weights if none is named.
        cell: whose labels; the largest share's and the first seed if none is given.
        trials: how many students in all, with those that an earlier call left in the folder.
        minutes: after which none is begun any more, but for the first.
        out: the folder for what was tried; `tuning/ARM/CELL` in the run's otherwise.
        board: told how far it is.

    Raises:
        UsageError: the run or the space is not what it must be, or the folder holds another tuning.
        DataError: rows, soft labels or earlier trials cannot be read.
        EnvironmentFault: Optuna is not installed, or a device is not there.
        TrainingError: no student could be trained.
        Interrupted: the user stopped it; the trials that are over are kept.
    """
    if trials < 1 or (minutes is not None and not 0 < minutes < math.inf):
        raise UsageError(f"there must be at least one trial and minutes above 0, got {trials=}, {minutes=}")
    require_optuna()
    folder = RunFolder(run)
    cell = cell or cell_of(folder.config, None, 0, where=run)
    students = Students(folder, arm or run_arms.usual(folder, cell.share), cell)
    known = space if isinstance(space, Space) else Space.read(space) if isinstance(space, Path) else Space.of(space)
    heard = heard_by(known, students.name)
    students.require(heard)
    place = out or folder.tuning(students.name, cell)
    told = {**students.identity, "space": heard.to_dict()}
    tried = files.read(place, told)
    until = math.inf if minutes is None else time.monotonic() + 60 * minutes
    board.begin(f"trials of {students.name}/{cell}", max(trials, len(tried)), len(tried))
    try:
        while len(tried) < trials and (not tried or time.monotonic() < until):
            tried.append(_next(students, heard, tried, board))
            files.write(place, told, tried)
            board.finished(f"trial {len(tried)}", tried[-1].words)
    except KeyboardInterrupt:
        kept = "1 trial is kept" if len(tried) == 1 else f"{len(tried)} trials are kept"
        raise Interrupted(f"{kept}, and the same command continues") from None
    finally:
        board.end()
    if (best := files.best(tried)) is None:
        raise TrainingError(f"none of {len(tried)} students could be trained: the first {tried[0].words}")
    files.write(place, told, tried)  # the table too, which a kill may have left without its last line
    files.write_best(place, students, tried, best)
    rows = len(students.valid.take(students.valid.labelled))
    return Tuning(place, students.name, heard, tuple(tried), rows, students.own)


class _Pruned(Exception):
    """A student is no better than most."""


class _Fit:
    """The progress of one student's fit, which ends it when it is poor."""

    def __init__(self, proposal: Proposal, progress: Progress) -> None:
        self.proposal, self.progress = proposal, progress
        self.scores: list[float] = []

    def step(self, epoch: int, step: int, steps: int, epochs: int, rows: int) -> None:
        """One step is done."""
        self.progress.step(epoch, step, steps, epochs, rows)

    def stopped(self) -> bool:
        """Whether to stop here."""
        return self.progress.stopped()

    def judged(self, epoch: int, score: float) -> None:
        """An epoch is over."""
        if not math.isfinite(score):
            raise TrainingError(f"the validation score must be finite, got {score} after epoch {epoch}")
        self.scores.append(score)
        if self.proposal.is_poor(epoch, score):
            raise _Pruned


def _next(students: Students, space: Space, tried: Sequence[Tried], board: Board) -> Tried:
    """The next student; one with the settings of an earlier one came to the same, and is not trained again."""
    falls = students.run.config.student.fit.stop_by == "logloss"
    proposal = Proposal(space, tried, students.cell.seed, falls=falls)
    for one in tried:
        if one.point == proposal.point:
            return replace(one, seconds=0.0)
    started = time.monotonic()
    watch = Watch(seldom(functools.partial(board.moved, f"trial {len(tried) + 1}")), lambda: False)
    fit = _Fit(proposal, watch.part(0, 1))
    one = _tried(students, proposal, fit)
    return replace(one, scores=tuple(fit.scores), seconds=round(time.monotonic() - started, 3))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Within it torch computes with one thread, as in a run's workers, whose sums it is to come to."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _tried(students: Students, proposal: Proposal, fit: _Fit) -> Tried:
    try:
        with _one_thread():
            loss, found = students.judged(proposal.point, fit)
    except _Pruned:
        return Tried(proposal.point, "pruned")
    except (TrainingError, UsageError) as error:  # what makes no sense together is known only here
        return Tried(proposal.point, "failed", reason=str(error))
    return Tried(proposal.point, "finished", loss, found.best_epoch)
