"""`fit`: the one training loop. Early stopping on the rows the caller passes, best weights kept, resumable.

Everything random is a function of (seed, epoch, step), so a resumed run repeats an uninterrupted one bit for bit
on the CPU.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recdistill.checkpoints import Checkpoints, State
from recdistill.devices import device_of
from recdistill.errors import DataError, Interrupted, TrainingError, UsageError
from recdistill.examples import Examples
from recdistill.features import FeatureSpec
from recdistill.fit_settings import FitSettings
from recdistill.losses import label_loss
from recdistill.metrics import auc, logloss
from recdistill.models.embeddings import PlainTables
from recdistill.optimisers import Optimisers, RowOptimiser
from recdistill.prepared_table import PreparedTable
from recdistill.progress import Progress, stoppable
from recdistill.ranker import Ranker
from recdistill.sources import InMemory, Rows, Source, held_out, source_of
from recdistill.streams import seed, stream
from recdistill.tables import Table

Objective = Callable[[Tensor, Examples], Tensor]


def hard_labels(logits: Tensor, examples: Examples) -> Tensor:
    """The weighted mean cross-entropy of the labelled rows: `(rows,)` or `(rows, classes)`, `Examples -> ()`."""
    return label_loss(logits, examples.label, where=examples.labelled, weight=examples.weight)


@dataclass(frozen=True)
class Fitted:
    """What came of a fit.

    Args:
        best_epoch: the epoch whose weights were kept; 0 are those it started from.
        score: its validation score; NaN without validation rows.
        history: per epoch the mean training loss and the validation score; with validation rows from epoch 0.
    """

    best_epoch: int
    score: float
    history: tuple[dict[str, float], ...]


def fit(
    ranker: Ranker,
    train: Rows,
    *,
    valid: Table | Examples | PreparedTable | None = None,
    objective: Objective = hard_labels,
    settings: FitSettings | None = None,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> Fitted:
    """Train a ranker in place and leave it with its best weights.

    Args:
        ranker: to be trained; its weights are the starting point.
        train: rows to learn from; of a prepared table those of its train split. Rows that do not fit in memory come as
            a prepared table or its `Batches`, whose own seed orders them, not that of the settings.
        valid: rows that decide when to stop; only their labels are read. Of a prepared table they are its valid split.
            Without them all epochs are run.
        objective: `(logits, Examples) -> ()`, the loss of a mini-batch of (batch,) or (batch, classes) logits.
        settings: how; the defaults of `FitSettings` otherwise.
        checkpoint: a folder for training state. A state found there is continued when it belongs to the same fit.
        progress: told of every step.

    Raises:
        UsageError: ratings are to be stopped by AUC, or `Batches` are asked for another batch size.
        DataError: too few training rows for a step, rows of a task or of an encoder that is not the ranker's, or
            validation rows of one class.
        TrainingError: the loss is no longer finite.
        EnvironmentFault: the device is not there.
        Interrupted: the user stopped it; the state is in `checkpoint`.
    """
    settings = settings or FitSettings()
    device = device_of(settings.device)
    source = source_of(ranker, train, batch_size=settings.batch_size, seed=settings.seed, device=device)
    judged = None if valid is None else held_out(ranker, valid).to(device)
    if not source.steps:
        raise DataError("training needs rows, got an empty table")
    if source.classes > 1 and settings.stop_by == "auc":
        raise UsageError(f"only clicks can be stopped by AUC, got stop_by='auc' for {source.classes} classes")
    network = ranker.network.to(device)
    for rows in [source.first] if judged is None else [source.first, judged]:
        rows.require_shape(ranker.score(rows.features.rows(slice(0, 1))))
    loop = _Loop(network, objective, settings, ranker.encoder.spec, device)
    named = getattr(objective, "__qualname__", repr(objective))
    identity = "" if checkpoint is None else _identity(loop, source, judged, settings, named)
    checkpoints = Checkpoints(checkpoint, settings.checkpoint_seconds, identity)
    state = checkpoints.load(network, loop.optimiser) or _judge(State(), ranker, judged, settings)
    gpus = range(torch.cuda.device_count()) if device.startswith("cuda") else ()
    with torch.random.fork_rng(devices=gpus), stoppable() as stop:
        while state.epoch < settings.epochs and state.epochs_since_best < settings.patience:
            state = loop.epoch(state, source, checkpoints, stop, progress)
            state = _judge(state, ranker, judged, settings)
            checkpoints.save_if_due(network, loop.optimiser, state)
    if state.best:
        network.load_state_dict(state.best)
    checkpoints.clear()
    sparse_gradients(network, False)
    ranker.network.cpu()
    return Fitted(state.best_epoch if state.best else state.epoch, state.best_score, tuple(state.history))


class _Loop:
    """The steps of an epoch."""

    def __init__(
        self, network: nn.Module, objective: Objective, settings: FitSettings, spec: FeatureSpec, device: str
    ) -> None:
        self.network, self.objective, self.settings = network, objective, settings
        self.spec, self.device = spec, device
        self.optimiser = optimisers_of(network, settings)

    def epoch(
        self,
        state: State,
        source: Source,
        checkpoints: Checkpoints,
        stop: Callable[[], bool],
        progress: Progress | None,
    ) -> State:
        """Run the epoch's steps from where the state stands."""
        steps = source.steps
        self.network.train()
        with closing(source.epoch(state.epoch, start=state.step)) as batches:
            for examples in batches:
                loss = self._step(examples.to(self.device), state.epoch, state.step)
                state = replace(state, step=state.step + 1, loss=state.loss + loss)
                if progress is not None:
                    progress.step(state.epoch, state.step, steps, self.settings.epochs, len(examples))
                if stop() or (progress is not None and progress.stopped()):
                    saved = checkpoints.save(self.network, self.optimiser, state)
                    raise Interrupted(saved or "stopped; there is no checkpoint folder, so this fit starts anew")
                checkpoints.save_if_due(self.network, self.optimiser, state)
        return replace(state, epoch=state.epoch + 1, step=0, loss=0.0, last_loss=state.loss / steps)

    def _step(self, examples: Examples, epoch: int, step: int) -> float:
        torch.manual_seed(seed(self.settings.seed, epoch, step, "dropout"))
        forgotten = stream(self.settings.seed, epoch, step, "unseen")
        features = examples.features.with_unseen(self.settings.unseen_rate, forgotten)
        if self.settings.hidden:
            hiding = stream(self.settings.seed, epoch, step, "hidden")
            features = features.with_hidden(self.spec, self.settings.hidden, hiding)
        with torch.autocast(self.device.split(":")[0], torch.bfloat16, enabled=self.settings.precision == "bfloat16"):
            logits = self.network(features)
        loss = self.objective(logits.float(), replace(examples, features=features))
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(f"the loss must be finite, got {value} at epoch {epoch + 1}, step {step + 1}")
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return value


def _judge(state: State, ranker: Ranker, judged: Examples | None, settings: FitSettings) -> State:
    """The state after scoring the held-out rows; without any, the last weights are the best.

    The weights it starts from are judged too, as epoch 0: fine-tuning never ends worse than it began.
    """
    entry = {"loss": state.last_loss} if state.epoch else {}
    if judged is None:
        return replace(state, history=[*state.history, entry] if state.epoch else [])
    scores = ranker.score(judged.features).astype(np.float64)
    labels = judged.label.cpu().numpy()
    score = auc(scores, labels) if settings.stop_by == "auc" else logloss(scores, labels)
    state = replace(state, history=[*state.history, {**entry, settings.stop_by: score}])
    better = score > state.best_score if settings.stop_by == "auc" else score < state.best_score
    if math.isnan(state.best_score) or better:
        best = {k: t.detach().clone() for k, t in ranker.network.state_dict().items()}
        return replace(state, best=best, best_score=score, best_epoch=state.epoch, epochs_since_best=0)
    return replace(state, epochs_since_best=state.epochs_since_best + 1)


def optimisers_of(network: nn.Module, settings: FitSettings) -> Optimisers:
    """The optimisers of a network's tables, where they have their own, and of all the rest."""
    apart = settings.embedding_optimiser != "dense"
    tables = sparse_gradients(network, apart)
    weights = [table.weight for table in tables] if apart else []
    known = {id(weight) for weight in weights}
    parts = [_dense([p for p in network.parameters() if id(p) not in known], settings)]
    if weights:
        lr = settings.embedding_learning_rate or settings.learning_rate
        decay = settings.embedding_weight_decay
        parts.append(RowOptimiser(weights, kind=settings.embedding_optimiser, lr=lr, weight_decay=decay))
    return Optimisers(parts)


def sparse_gradients(network: nn.Module, sparse: bool) -> list[PlainTables]:
    """A network's plain tables, whose gradients from now on hold the looked-up rows alone, or all rows."""
    tables = [module for module in network.modules() if isinstance(module, PlainTables)]
    for table in tables:
        table.sparse = sparse
    return tables


def _dense(parameters: list[nn.Parameter], settings: FitSettings) -> torch.optim.Optimizer:
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "adagrad": torch.optim.Adagrad}
    kind, fused = kinds.get(settings.optimiser, torch.optim.SGD), settings.optimiser in ("adam", "adamw")
    arguments: dict[str, Any] = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay}
    return kind(parameters, **arguments, **({"fused": True} if fused else {}))


def _identity(loop: _Loop, source: Source, judged: Examples | None, settings: FitSettings, name: str) -> str:
    """What a checkpoint must agree on to be continued: settings, rows, objective and the network it started from."""
    held = "" if judged is None else InMemory(judged, 1, 0).fingerprint
    told = (settings, name, type(loop.network).__name__, str(loop.network), source.fingerprint, held)
    total = hashlib.sha256(repr(told).encode())
    for weights in loop.network.state_dict().values():
        total.update(weights.cpu().contiguous().numpy().tobytes())
    return total.hexdigest()
