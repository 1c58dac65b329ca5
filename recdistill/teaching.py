"""A teacher trained on a prepared table, by one process or by ranks together, and saved as a ranker."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from pydantic import model_validator

from recdistill.artefacts import manifest
from recdistill.batches import Batches
from recdistill.checkpoints import Unfinished, by_first, held
from recdistill.errors import UsageError
from recdistill.fit_settings import FitSettings
from recdistill.models import build, require
from recdistill.models.embeddings import unplaced
from recdistill.preparation.workspace import is_there
from recdistill.prepared_table import PreparedTable
from recdistill.progress import SILENCE, Board, tracked
from recdistill.ranker import Ranker
from recdistill.ranks import current, meet
from recdistill.settings import Settings, differences, of_kind, plain
from recdistill.sources import sized
from recdistill.training import Fitted, fit

KIND = "ranker"


class TeachSettings(Settings):
    """A large model, and how it is trained on a prepared table.

    Args:
        model, arguments: one of `recdistill.models.MODELS`.
        fit: its training; `fit.batch_size` is of all ranks together. That tables are updated by row-wise Adagrad with a
            decay was chosen by measuring, see `benchmarks/results/optimisers`; ranks have no decay of tables.
    """

    model: str = "deepfm"
    arguments: dict[str, Any] = {"embedding_dim": 16, "hidden": [400, 400, 400]}
    fit: FitSettings = FitSettings(
        epochs=2, embedding_optimiser="rowwise_adagrad", embedding_learning_rate=0.05, embedding_weight_decay=3e-5
    )

    @model_validator(mode="after")
    def _known(self) -> TeachSettings:
        require(self.model, self.arguments)
        if "classes" in self.arguments:
            raise UsageError(f"a model's classes are set by the rows' grades, got {self.arguments['classes']!r}")
        return self


def teach(
    prepared: PreparedTable,
    out: Path | str,
    *,
    settings: TeachSettings | None = None,
    board: Board = SILENCE,
    overwrite: bool = False,
) -> Path:
    """Train a teacher on a table's train split, stopped by its valid split, and save it.

    A call that was stopped or killed is continued by the same call, from the last of its checkpoints in
    `OUT.unfinished`. What is there of the same rows and settings is left as it is. Of two processes at a time one is
    refused. In a process group (torchrun) all ranks call it, and rank 0 saves.

    Args:
        prepared: the rows, and the encoder that the teacher will have.
        out: the folder to make.
        settings: how; the defaults of `TeachSettings` otherwise.
        board: told how far it is.
        overwrite: replace a teacher of other rows or settings, and begin anew where an unfinished one is of others.

    Returns:
        The folder.

    Raises:
        UsageError: there is something else, another process trains it, or a setting makes no sense for these rows.
        DataError: the table has no rows to train on, or what is in `OUT.unfinished` is of another fit.
        TrainingError: the loss is no longer finite.
        EnvironmentFault: a device or a package is not there, the disk is full, or another rank has gone.
        Interrupted: the user stopped it.
    """
    settings, out, ranks = of_kind(TeachSettings, settings, "settings"), Path(out), current()
    facts = {"prepared": prepared.fingerprint, "told": _told(settings)}
    unfinished = Unfinished(out.with_name(f"{out.name}.unfinished"), facts)
    with held(out.with_name(f".{out.name}.lock"), out, ranks):
        if by_first(ranks, lambda: _is_made(out, facts, overwrite=overwrite)):
            board.say(f"{out} was trained before on the same rows with the same settings: nothing to do")
            left = by_first(ranks, unfinished.remove_left)
            board.say(left) if left else None
            return out
        with unfinished.begun(anew=overwrite, ranks=ranks):
            ranker, found = _trained(prepared, settings, unfinished.folder, board)
        if ranks is None or ranks.first:
            ranker.save(out, **facts, best_epoch=found.best_epoch, history=list(found.history))
            unfinished.remove()
            board.say(f"{_words(found, prepared, settings)}; {ranker.parameters:,} parameters")
        meet(ranks)
    return out


def _trained(prepared: PreparedTable, settings: TeachSettings, states: Path, board: Board) -> tuple[Ranker, Fitted]:
    with unplaced():
        arguments = {"classes": prepared.classes, **settings.arguments}
        network = build(settings.model, prepared.encoder.spec, seed=settings.fit.seed, arguments=arguments)
    ranker = Ranker(prepared.encoder, network)
    steps = sized(Batches(prepared), settings.fit.batch_size).steps
    with tracked(board, "training", steps * settings.fit.epochs, "steps"):
        found = fit(
            ranker,
            prepared,
            valid=prepared if prepared.rows["valid"] else None,
            settings=settings.fit,
            checkpoint=states,
            keep_checkpoint=True,
            progress=_Told(board),
        )
    return ranker, found


def _words(found: Fitted, prepared: PreparedTable, settings: TeachSettings) -> str:
    rows = prepared.rows["valid"]
    judged = f", {settings.fit.stop_by} {found.score:.4f} on {rows:,} rows" if rows else ""
    return f"best after epoch {found.best_epoch}{judged}"


class _Told:
    """The progress of a fit, told to a board."""

    def __init__(self, board: Board) -> None:
        self.board, self.done = board, 0

    def step(self, epoch: int, step: int, steps: int, epochs: int, rows: int) -> None:
        """One step is done; of a fit that is continued, those before it too."""
        done = epoch * steps + step
        self.board.advance(done - self.done)
        self.done = done

    def stopped(self) -> bool:
        """Never: Ctrl-C stops a fit by itself."""
        return False


def _told(settings: TeachSettings) -> dict[str, Any]:
    """What decides which teacher it will be."""
    no_matter = {"checkpoint_seconds": 0.0, "checkpoint_steps": 0}
    told: dict[str, Any] = plain(settings.model_copy(update={"fit": settings.fit.model_copy(update=no_matter)}))
    return told


def _is_made(out: Path, facts: dict[str, Any], *, overwrite: bool) -> bool:
    """Whether there is nothing to do. Copies that a process which was killed left half-written are removed."""
    half = re.compile(rf"\.{re.escape(out.name)}\.[0-9a-f]{{8}}\.tmp")
    for path in [path for path in out.absolute().parent.iterdir() if half.fullmatch(path.name) and path.is_dir()]:
        shutil.rmtree(path)
    if not is_there(out, KIND, overwrite=overwrite) or overwrite:
        return False
    there = manifest(out)["facts"]
    if found := differences({name: there.get(name) for name in facts}, facts):
        raise UsageError(f"{out} was trained otherwise: {'; '.join(found[:3])}; choose another folder or overwrite it")
    return True
