"""A teacher trained on a prepared table, by one process or by ranks together, and saved as a ranker."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from pydantic import model_validator

from recdistill.artefacts import manifest
from recdistill.batches import Batches
from recdistill.errors import UsageError
from recdistill.fit_settings import FitSettings
from recdistill.models import build, require
from recdistill.models.embeddings import unplaced
from recdistill.preparation.workspace import is_there
from recdistill.prepared_table import PreparedTable
from recdistill.progress import SILENCE, Board, tracked
from recdistill.ranker import Ranker
from recdistill.ranks import current, meet
from recdistill.settings import Settings, differences, plain
from recdistill.sources import sized
from recdistill.training import fit

KIND = "ranker"


class TeachSettings(Settings):
    """A large model, and how it is trained on a prepared table.

    Args:
        model, arguments: one of `recdistill.models.MODELS`.
        fit: its training; `fit.batch_size` is of all ranks together.
    """

    model: str = "deepfm"
    arguments: dict[str, Any] = {"embedding_dim": 16, "hidden": [400, 400, 400]}
    fit: FitSettings = FitSettings(epochs=2, embedding_optimiser="rowwise_adagrad", embedding_learning_rate=0.05)

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
    `OUT.unfinished`. What is there of the same rows and settings is left as it is. In a process group (torchrun) all
    ranks call it, and rank 0 saves.

    Args:
        prepared: the rows, and the encoder that the teacher will have.
        out: the folder to make.
        settings: how; the defaults of `TeachSettings` otherwise.
        board: told how far it is.
        overwrite: replace a teacher of other rows or settings.

    Returns:
        The folder.

    Raises:
        UsageError: there is something else, or a setting makes no sense for these rows.
        DataError: the table has no rows to train on, or what is in `OUT.unfinished` is of another fit.
        TrainingError: the loss is no longer finite.
        EnvironmentFault: a device or a package is not there, the disk is full, or another rank has gone.
        Interrupted: the user stopped it.
    """
    settings, out, ranks = settings or TeachSettings(), Path(out), current()
    leads = ranks is None or ranks.first
    facts = {"prepared": prepared.fingerprint, "told": _told(settings)}
    state = out.with_name(f"{out.name}.unfinished")
    if is_there(out, KIND, overwrite=overwrite) and not overwrite:
        _require_same(out, facts)
        board.say(f"{out} was trained before on the same rows with the same settings: nothing to do")
        shutil.rmtree(state, ignore_errors=True) if leads else None
        return out
    with unplaced():
        arguments = {"classes": prepared.classes, **settings.arguments}
        network = build(settings.model, prepared.encoder.spec, seed=settings.fit.seed, arguments=arguments)
    ranker = Ranker(prepared.encoder, network)
    valid = prepared if prepared.rows["valid"] else None
    steps = sized(Batches(prepared), settings.fit.batch_size).steps
    with tracked(board, "training", steps * settings.fit.epochs, "steps"):
        found = fit(
            ranker,
            prepared,
            valid=valid,
            settings=settings.fit,
            checkpoint=state,
            keep_checkpoint=True,
            progress=_Told(board),
        )
    if leads:
        ranker.save(out, **facts, best_epoch=found.best_epoch, history=list(found.history))
        shutil.rmtree(state, ignore_errors=True)
        judged = (
            "" if valid is None else f", {settings.fit.stop_by} {found.score:.4f} on {prepared.rows['valid']:,} rows"
        )
        board.say(f"best after epoch {found.best_epoch}{judged}; {ranker.parameters:,} parameters")
    meet(ranks)
    return out


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


def _require_same(out: Path, facts: dict[str, Any]) -> None:
    there = manifest(out)["facts"]
    if found := differences({name: there.get(name) for name in facts}, facts):
        raise UsageError(f"{out} was trained otherwise: {'; '.join(found[:3])}; choose another folder or overwrite it")
