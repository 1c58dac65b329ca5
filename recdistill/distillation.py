"""Distillation: a student learns from labels and from a teacher's soft labels, over `training.fit`."""

from __future__ import annotations

import math
from pathlib import Path

from pydantic import Field
from torch import Tensor

from recdistill.examples import Examples
from recdistill.losses import bce, binary_kd
from recdistill.progress import Progress
from recdistill.ranker import Ranker
from recdistill.settings import Settings
from recdistill.soft_labels import SoftLabels
from recdistill.tables import Table
from recdistill.training import FitSettings, Fitted, Objective, fit


class DistillSettings(Settings):
    """What the student listens to.

    Args:
        alpha: weight of the soft labels, in [0, 1]; the labels get 1 - alpha. 0 is training on labels alone.
        temperature: softens both sides of the soft term, > 0.
        unlabelled: whether rows without a label are learnt from too.
    """

    alpha: float = Field(0.5, ge=0, le=1)
    temperature: float = Field(1.0, gt=0)
    unlabelled: bool = True


def blend(alpha: float, temperature: float) -> Objective:
    """(1 - α)·BCE over the labelled rows + α·T²·KL over the rows with a soft label (Hinton et al. 2015, section 2).

    DIFF: each term is a mean over its own rows, so that unlabelled rows do not thin out the labels.

    Args:
        alpha: in [0, 1].
        temperature: > 0 and finite.

    Returns:
        An objective `(logits (batch,), Examples) -> ()`.

    Raises:
        ValueError: alpha or temperature is out of range.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must be in [0, 1], got {alpha=}")
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature must be positive and finite, got {temperature=}")

    def objective(logits: Tensor, examples: Examples) -> Tensor:
        hard = bce(logits, examples.label, where=examples.labelled, weight=examples.weight)
        known = ~examples.teacher.isnan()
        soft = binary_kd(logits, examples.teacher, where=known, weight=examples.weight, temperature=temperature)
        return (1 - alpha) * hard + alpha * soft

    return objective


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
        DataError: the soft labels were made for other rows.
    """
    settings = settings or DistillSettings()
    examples = Examples.of(student.encoder, train) if isinstance(train, Table) else train
    if soft is not None and isinstance(train, Table):
        examples = examples.with_teacher(soft.for_table(train))
    if settings.alpha > 0 and bool(examples.teacher.isnan().all()):
        raise ValueError(f"alpha > 0 needs soft labels, got none with {settings.alpha=}")
    # Without a soft term an unlabelled row has no influence on the loss; leaving it out keeps the batches full of
    # labels, and makes alpha = 0 exactly the control.
    if settings.alpha == 0 or not settings.unlabelled:
        examples = examples.rows(examples.labelled.nonzero()[:, 0])
    return fit(
        student,
        examples,
        valid=valid,
        objective=blend(settings.alpha, settings.temperature),
        settings=fitting,
        checkpoint=checkpoint,
        progress=progress,
    )
