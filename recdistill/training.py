"""`fit`: the one training loop. Early stopping on the rows the caller passes, best weights kept, resumable.

Everything random is a function of (seed, epoch, step), so a resumed run repeats an uninterrupted one bit for bit
on the CPU.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from recdistill.artefacts import digest
from recdistill.checkpoints import Checkpoints, State
from recdistill.dealt_trainee import Together
from recdistill.errors import DataError, UsageError
from recdistill.examples import Examples
from recdistill.fit_settings import FitSettings
from recdistill.metrics import auc, logloss
from recdistill.prepared_table import PreparedTable
from recdistill.progress import Judge, Progress, stoppable
from recdistill.ranker import Ranker
from recdistill.ranks import current
from recdistill.settings import of_kind, plain
from recdistill.sources import InMemory, Rows, Source, held_out, source_of
from recdistill.steps import Goal, Steps, hard_labels
from recdistill.tables import Table
from recdistill.trainees import Alone, Trainee


@dataclass(frozen=True)
class Fitted:
    """What came of a fit.

    Args:
        batch_size: rows of a step, of all ranks together.
        best_epoch: the epoch whose weights were kept; 0 are those it started from.
        score: its validation score; NaN without validation rows.
        history: per epoch the mean training loss and the validation score; with validation rows from epoch 0.
    """

    batch_size: int
    best_epoch: int
    score: float
    history: tuple[dict[str, float], ...]


def fit(
    ranker: Ranker,
    train: Rows,
    *,
    valid: Table | Examples | PreparedTable | None = None,
    objective: Goal = hard_labels,
    settings: FitSettings | None = None,
    checkpoint: Path | None = None,
    keep_checkpoint: bool = False,
    progress: Progress | None = None,
) -> Fitted:
    """Train a ranker in place and leave it with its best weights.

    In a process group (`ranks.joined`, torchrun) all ranks call it alike; they share the rows of each step and the
    tables. Afterwards rank 0's ranker has all weights, and the others' have tables that are not placed.

    Args:
        ranker: to be trained; its weights are the starting point.
        train: rows to learn from; of a prepared table those of its train split. Rows that do not fit in memory come as
            a prepared table or its `Batches`, whose own seed orders them, not that of the settings.
        valid: rows that decide when to stop; only their labels are read. Of a prepared table they are its valid split.
            Without them all epochs are run.
        objective: `(logits, Examples) -> ()`, the loss of a mini-batch of (batch,) or (batch, classes) logits; or a
            `Schedule`, which has one for each epoch.
        settings: how; the defaults of `FitSettings` otherwise.
        checkpoint: a folder for the last two training states. The newest found there is continued when it belongs to
            the same fit; when it is damaged, the one before it, as the logger "recdistill" then says.
        keep_checkpoint: leave the last states in the folder, the end of the fit too, for who keeps the ranker before
            they remove it.
        progress: told of every step; a `Judge` of every validation score too.

    Raises:
        UsageError: ratings are to be stopped by AUC, `Batches` are asked for another batch size, `checkpoint` holds
            something else or is worked on by another process, or ranks are asked for what they cannot do together.
        DataError: too few training rows for a step, rows of a task or of an encoder that is not the ranker's,
            validation rows of one class, or no state in `checkpoint` can be continued.
        TrainingError: the loss is no longer finite.
        EnvironmentFault: the device is not there.
        Interrupted: the user stopped it; the state is in `checkpoint`.
    """
    settings = of_kind(FitSettings, settings, "settings")
    started = "" if checkpoint is None else _started_from(ranker)
    trainee = _trainee(ranker, settings, objective, checkpoint)
    with _given_back(ranker, trainee):
        batch_size, device, ranks = settings.batch_size, trainee.device, trainee.ranks
        source = source_of(ranker, train, batch_size=batch_size, seed=settings.seed, device=device, ranks=ranks)
        judged = None if valid is None else held_out(ranker, valid).to(device)
        _require_fitting(trainee, source, judged, settings)
        steps = Steps(trainee, objective, settings, ranker.encoder.spec)
        checkpoints = Checkpoints(
            checkpoint,
            trainee.stored,
            _identity(steps, source, judged, started) if started else "",
            seconds=settings.checkpoint_seconds,
            steps=settings.checkpoint_steps,
            ranks=ranks,
        )
        with checkpoints:
            state = checkpoints.load() or _judge(State(), trainee, judged, settings)
            state = _trained(state, steps, source, judged, checkpoints, progress)
            checkpoints.keep(state) if keep_checkpoint else None
            ranker.network = trainee.end(state)
            None if keep_checkpoint else checkpoints.clear()
    best = state.epoch if math.isnan(state.best_score) else state.best_epoch
    world = 1 if ranks is None else ranks.world
    return Fitted(source.batch_size * world, best, state.best_score, tuple(state.history))


def _trained(
    state: State,
    steps: Steps,
    source: Source,
    judged: Examples | None,
    checkpoints: Checkpoints,
    progress: Progress | None,
) -> State:
    """The state after the last epoch, or after the one that early stopping ends with."""
    trainee, settings = steps.trainee, steps.settings
    gpus = range(torch.cuda.device_count()) if trainee.device.startswith("cuda") else ()
    with torch.random.fork_rng(devices=gpus), stoppable() as stop:
        while state.epoch < settings.epochs and state.epochs_since_best < settings.patience:
            state = steps.epoch(state, source, checkpoints, stop, progress)
            state = _judge(state, trainee, judged, settings)
            if judged is not None and isinstance(progress, Judge):
                progress.judged(state.epoch, state.history[-1][settings.stop_by])
            if any(trainee.agreed(trainee.must_save(state), checkpoints.due(state))):
                checkpoints.save(state)
            trainee.saved(state)
    return state


@contextmanager
def _given_back(ranker: Ranker, trainee: Trainee) -> Iterator[None]:
    """Within it a ranker is trained; a fit that is stopped gives its network back, not a half of it."""
    try:
        yield
    except BaseException:
        ranker.network = trainee.abandoned()
        raise


def _trainee(ranker: Ranker, settings: FitSettings, objective: Goal, checkpoint: Path | None) -> Trainee:
    if (ranks := current()) is None:
        return Alone(ranker.network, settings)
    if objective is not hard_labels:
        raise UsageError(f"ranks together learn from labels alone, got {objective=}; a student needs one process")
    return Together(ranker.network, ranker.encoder.spec, settings, ranks, checkpoint)


def _require_fitting(trainee: Trainee, source: Source, judged: Examples | None, settings: FitSettings) -> None:
    """Refuse what would fail only after a while."""
    if not source.steps:
        raise DataError("training needs rows, got an empty table")
    if source.classes > 1 and settings.stop_by == "auc":
        raise UsageError(f"only clicks can be stopped by AUC, got stop_by='auc' for {source.classes} classes")
    for rows in [source.first] if judged is None else [source.first, judged]:
        rows.require_shape(trainee.score(rows.features.rows(slice(0, 1))))


def _judge(state: State, trainee: Trainee, judged: Examples | None, settings: FitSettings) -> State:
    """The state after scoring the held-out rows; without any, the last weights are the best.

    The weights it starts from are judged too, as epoch 0: fine-tuning never ends worse than it began.
    """
    entry = {"loss": state.last_loss} if state.epoch else {}
    if judged is None:
        return replace(state, history=[*state.history, entry] if state.epoch else [])
    scores = trainee.score(judged.features).astype(np.float64)
    labels = judged.label.cpu().numpy()
    score = auc(scores, labels) if settings.stop_by == "auc" else logloss(scores, labels)
    state = replace(state, history=[*state.history, {**entry, settings.stop_by: score}])
    better = score > state.best_score if settings.stop_by == "auc" else score < state.best_score
    if math.isnan(state.best_score) or better:
        return replace(
            state, best=trainee.keep(state.epoch), best_score=score, best_epoch=state.epoch, epochs_since_best=0
        )
    return replace(state, epochs_since_best=state.epochs_since_best + 1)


def _started_from(ranker: Ranker) -> str:
    """sha256 of the network a fit starts from; of tables that are not placed yet what they will be."""
    network = ranker.network
    told = type(network).__name__, getattr(network, "arguments", None), str(network), ranker.encoder.spec
    total = hashlib.sha256(repr(told).encode())
    for name, weights in network.state_dict().items():
        total.update(repr((name, tuple(weights.shape), weights.dtype)).encode())
        total.update(weights.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return total.hexdigest()


def _identity(steps: Steps, source: Source, judged: Examples | None, started: str) -> str:
    """What a checkpoint must agree on to be continued: settings, rows, objective and the network it started from."""
    held = "" if judged is None else InMemory(judged, 1, 0).fingerprint
    settings = steps.settings.model_copy(update={"checkpoint_seconds": 0.0, "checkpoint_steps": 0})  # change no weight
    objective = getattr(steps.objective, "__qualname__", repr(steps.objective))
    return digest([plain(settings), objective, started, source.fingerprint, held])
