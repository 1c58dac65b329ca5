"""Distillation: a student learns from labels and from a teacher's soft labels, over `training.fit`."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import Field
from torch import Tensor

from recdistill.batches import Batches
from recdistill.examples import Examples
from recdistill.fit_settings import FitSettings
from recdistill.losses import label_loss, teacher_loss
from recdistill.prepared_table import PreparedTable
from recdistill.progress import Progress
from recdistill.ranker import Ranker
from recdistill.settings import Settings
from recdistill.soft_labels import SoftLabels
from recdistill.sources import Rows, sized
from recdistill.tables import Table
from recdistill.training import Fitted, fit


class DistillSettings(Settings):
    """What the student listens to.

    Args:
        alpha: weight of the soft labels, in [0, 1]; the labels get 1 - alpha. 0 is training on labels alone.
        temperature: softens both sides of the soft term, > 0.
        unlabelled: whether rows without a label are learnt from too.
    """

    alpha: float = Field(0.5, ge=0, le=1)
    temperature: float = Field(1.0, gt=0, allow_inf_nan=False)
    unlabelled: bool = True


@dataclass(frozen=True)
class Blend:
    """(1 - α)·CE over the labelled rows + α·T²·KL over the rows with a soft label (Hinton et al. 2015, section 2).

    Both terms are of Bernoulli distributions for clicks and categorical ones for ratings. An objective for `fit`:
    `(logits, Examples) -> ()`, of (batch,) or (batch, classes) logits.

    DIFF: each term is a mean over its own rows, so that unlabelled rows do not thin out the labels.

    Args:
        alpha: in [0, 1].
        temperature: > 0 and finite.

    Raises:
        ValueError: alpha or temperature is out of range.
    """

    alpha: float
    temperature: float

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha must be in [0, 1], got alpha={self.alpha}")
        if not 0 < self.temperature < math.inf:
            raise ValueError(f"temperature must be positive and finite, got temperature={self.temperature}")

    def __call__(self, logits: Tensor, examples: Examples) -> Tensor:
        """(), the loss of (batch,) or (batch, classes) logits."""
        weight, temperature = examples.weight, self.temperature
        of_labels = label_loss(logits, examples.label, where=examples.labelled, weight=weight)
        of_teacher = teacher_loss(
            logits, examples.teacher, where=examples.taught, weight=weight, temperature=temperature
        )
        return (1 - self.alpha) * of_labels + self.alpha * of_teacher


def distill(
    student: Ranker,
    train: Rows,
    soft: SoftLabels | None,
    *,
    valid: Table | Examples | PreparedTable | None = None,
    settings: DistillSettings | None = None,
    fitting: FitSettings | None = None,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> Fitted:
    """Train a student in place on labels and soft labels.

    Args:
        student: its weights are the starting point.
        train: rows to learn from, labelled or not; of a prepared table those of its train split. Examples carry their
            teacher logits already, and `Batches` may.
        soft: the teacher's logits for exactly these rows; None with Examples, or when alpha is 0.
        valid: labelled rows that decide when to stop; of a prepared table those of its valid split.
        settings: alpha, temperature, unlabelled rows.
        fitting: how to train.
        checkpoint: a folder for training state.
        progress: told of every step.

    Raises:
        ValueError: alpha > 0 without soft labels.
        DataError: the soft labels were made for other rows or other grades, or the student has other classes.
    """
    settings, fitting = settings or DistillSettings(), fitting or FitSettings()
    # Without a soft term an unlabelled row has no influence on the loss; leaving it out keeps the batches full of
    # labels, and makes alpha = 0 exactly the control.
    labelled = settings.alpha == 0 or not settings.unlabelled
    rows: Examples | Batches
    if isinstance(train, PreparedTable | Batches):
        rows = _batches(train, soft, labelled, fitting)
        taught = rows.soft is not None
    else:
        rows = _examples(student, train, soft)
        taught = bool(rows.taught.any())
        rows = rows.rows(rows.labelled.nonzero()[:, 0]) if labelled else rows
    if settings.alpha > 0 and not taught:
        raise ValueError(f"alpha > 0 needs soft labels, got none with {settings.alpha=}")
    return fit(
        student,
        rows,
        valid=valid,
        objective=Blend(settings.alpha, settings.temperature),
        settings=fitting,
        checkpoint=checkpoint,
        progress=progress,
    )


def _examples(student: Ranker, train: Table | Examples, soft: SoftLabels | None) -> Examples:
    examples = Examples.of(student.encoder, train) if isinstance(train, Table) else train
    if soft is None:
        return examples
    if not isinstance(train, Table):
        raise ValueError("soft labels go with a Table; Examples carry theirs, got both soft labels and Examples")
    return examples.with_teacher(soft.for_table(train))


def _batches(train: PreparedTable | Batches, soft: SoftLabels | None, labelled: bool, fitting: FitSettings) -> Batches:
    batches = Batches(train, seed=fitting.seed) if isinstance(train, PreparedTable) else train
    batches = replace(batches, soft=soft or batches.soft, labelled=labelled or batches.labelled)
    return sized(batches, fitting.batch_size) if isinstance(train, PreparedTable) else batches
