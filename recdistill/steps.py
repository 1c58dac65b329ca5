"""The steps of a fit: one mini-batch each, whatever trains the network."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from recdistill.batch import Batch
from recdistill.checkpoints import Checkpoints, State
from recdistill.errors import Interrupted, TrainingError
from recdistill.examples import Examples
from recdistill.features import FeatureSpec
from recdistill.fit_settings import FitSettings
from recdistill.losses import label_loss
from recdistill.progress import Progress
from recdistill.sources import Source
from recdistill.streams import seed, stream
from recdistill.trainees import Trainee

Objective = Callable[[Tensor, Examples], Tensor]


@runtime_checkable
class Schedule(Protocol):
    """An objective that is another one in each epoch."""

    def at(self, epoch: int) -> Objective:
        """The objective of an epoch, from 0."""


Goal = Objective | Schedule
BETWEEN_TRACES = 100  # steps; Adam shrinks what gets no gradient by a tenth in each


def hard_labels(logits: Tensor, examples: Examples) -> Tensor:
    """The weighted mean cross-entropy of the labelled rows: `(rows,)` or `(rows, classes)`, `Examples -> ()`."""
    return label_loss(logits, examples.label, where=examples.labelled, weight=examples.weight)


@dataclass(frozen=True)
class Steps:
    """The steps of an epoch.

    Args:
        trainee: what is trained.
        objective: the loss of a mini-batch, or a `Schedule` of it.
        settings: of the fit.
        spec: of the rows.
    """

    trainee: Trainee
    objective: Goal
    settings: FitSettings
    spec: FeatureSpec

    def epoch(
        self,
        state: State,
        source: Source,
        checkpoints: Checkpoints,
        stop: Callable[[], bool],
        progress: Progress | None,
    ) -> State:
        """Run the epoch's steps from where the state stands.

        Raises:
            TrainingError: the loss is no longer finite.
            Interrupted: the user stopped it.
        """
        steps = source.steps
        self.trainee.network.train()
        with closing(source.epoch(state.epoch, start=min(state.step, steps))) as batches:
            for examples in batches:
                loss = self.step(examples.to(self.trainee.device), state.epoch, state.step)
                state = replace(state, step=state.step + 1, loss=state.loss + loss)
                if progress is not None:
                    progress.step(state.epoch, state.step, steps, self.settings.epochs, len(examples))
                asked = stop() or (progress is not None and progress.stopped())
                stopped, due = self.trainee.agreed(asked, checkpoints.due(state))
                if stopped or due:
                    saved = checkpoints.save(state)
                if stopped:
                    raise Interrupted(saved or "stopped; there is no checkpoint folder, so this fit starts anew")
        return replace(state, epoch=state.epoch + 1, step=0, loss=0.0, last_loss=state.loss / steps)

    def step(self, examples: Examples, epoch: int, step: int) -> float:
        """Learn from a mini-batch.

        Returns:
            Its loss, over the rows of all ranks.

        Raises:
            TrainingError: the loss is no longer finite.
        """
        kind = self.trainee.device.split(":")[0]
        features = self._noised(examples.features, epoch, step)
        with torch.autocast(kind, torch.bfloat16, enabled=self.settings.precision == "bfloat16"):
            logits = self.trainee.network(features)
        objective = self.objective.at(epoch) if isinstance(self.objective, Schedule) else self.objective
        loss = objective(logits.float(), replace(examples, features=features))
        loss, value = self.trainee.shared(loss, examples)
        if not math.isfinite(value):
            raise TrainingError(f"the loss must be finite, got {value} at epoch {epoch + 1}, step {step + 1}")
        self.trainee.optimiser.zero_grad()
        loss.backward()
        self.trainee.optimiser.step()
        if step % BETWEEN_TRACES == 0:
            self.trainee.optimiser.drop_traces()
        return value

    def _noised(self, features: Batch, epoch: int, step: int) -> Batch:
        """The rows with ids replaced and values hidden at random; then dropout's random state is set."""
        settings, ranks = self.settings, self.trainee.ranks
        place = {} if ranks is None else {"rank": ranks.rank, "world": ranks.world}
        features = features.with_unseen(settings.unseen_rate, stream(settings.seed, epoch, step, "unseen"), **place)
        apart = () if ranks is None or not ranks.rank else (ranks.rank,)  # ranks hide and drop other values
        if settings.hidden:
            hiding = stream(settings.seed, epoch, step, "hidden", *apart)
            features = features.with_hidden(self.spec, settings.hidden, hiding)
        self._seed(seed(settings.seed, epoch, step, "dropout", *apart))
        return features

    def _seed(self, value: int) -> None:
        """As `torch.manual_seed`, which on a processor alone takes a tenth of a small step to note it for GPUs."""
        everywhere = self.trainee.device != "cpu"
        torch.manual_seed(value) if everywhere else torch.default_generator.manual_seed(value)
