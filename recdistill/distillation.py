"""Distillation: a student learns from labels and from a teacher's soft labels, over `training.fit`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field
from torch import Tensor

from recdistill.examples import Examples
from recdistill.losses import label_loss, teacher_loss
from recdistill.progress import Progress
from recdistill.ranker import Ranker
from recdistill.settings import Settings
from recdistill.soft_labels import SoftLabels
from recdistill.tables import Table
from recdistill.training import FitSettings, Fitted, fit


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
    train: Table | Examples,
    soft: SoftLabels | None,
    *,
    valid: Table | Examples | None = None,
    settings: DistillSettings | None = None,
    fitting: FitSettings | None = None,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> Fitted:
    """Train a student in place on labels and soft labels.

    Args:
        student: its weights are the starting point.
        train: rows to learn from, labelled or not. Examples carry their teacher logits already.
        soft: the teacher's logits for exactly these rows; None with Examples, or when alpha is 0.
        valid: labelled rows that decide when to stop.
        settings: alpha, temperature, unlabelled rows.
        fitting: how to train.
        checkpoint: a folder for training state.
        progress: told of every step.

    Raises:
        ValueError: alpha > 0 without soft labels.
        DataError: the soft labels were made for other rows or other grades, or the student has other classes.
    """
    settings = settings or DistillSettings()
    examples = Examples.of(student.encoder, train) if isinstance(train, Table) else train
    if soft is not None:
        if not isinstance(train, Table):
            raise ValueError("soft labels go with a Table; Examples carry theirs, got both soft labels and Examples")
        examples = examples.with_teacher(soft.for_table(train))
    if settings.alpha > 0 and not bool(examples.taught.any()):
        raise ValueError(f"alpha > 0 needs soft labels, got none with {settings.alpha=}")
    # Without a soft term an unlabelled row has no influence on the loss; leaving it out keeps the batches full of
    # labels, and makes alpha = 0 exactly the control.
    if settings.alpha == 0 or not settings.unlabelled:
        examples = examples.rows(examples.labelled.nonzero()[:, 0])
    return fit(
        student,
        examples,
        valid=valid,
        objective=Blend(settings.alpha, settings.temperature),
        settings=fitting,
        checkpoint=checkpoint,
        progress=progress,
    )
