"""`distill`: a student trained on labels and on what a teacher says of the same rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from recdistill.batches import Batches
from recdistill.curriculum import Curriculum
from recdistill.distillation.objectives import Blend, SideBlend
from recdistill.distillation.settings import DistillSettings, require_heard
from recdistill.distillation.side_outputs import SideOutputs
from recdistill.encoder import Encoder
from recdistill.errors import UsageError
from recdistill.examples import Examples
from recdistill.fit_settings import FitSettings
from recdistill.models import hidden_width
from recdistill.models.embeddings import placed
from recdistill.prepared_table import PreparedTable
from recdistill.progress import Progress
from recdistill.ranker import Ranker
from recdistill.settings import of_kind
from recdistill.soft_labels import SoftLabels
from recdistill.sources import Rows, sized
from recdistill.tables import Table
from recdistill.training import Fitted, fit


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
            teacher logits already and trust in them, and `Batches` may have logits; Examples carry lists and hidden
            states too, where they are used.
        soft: the teacher's logits for exactly these rows; None with Examples, or when alpha is 0.
        valid: labelled rows that decide when to stop; of a prepared table those of its valid split.
        settings: what the student listens to.
        fitting: how to train.
        checkpoint: a folder for training state.
        progress: told of every step.

    Raises:
        ValueError: alpha > 0 without soft labels.
        UsageError: the settings ask for what the task, the rows or the student do not have.
        DataError: the soft labels were made for other rows or other grades, or the student has other classes.
    """
    settings = of_kind(DistillSettings, settings, "settings")
    fitting = of_kind(FitSettings, fitting, "fitting")
    # Without a soft term an unlabelled row has no influence on the loss; leaving it out keeps the batches full of
    # labels, and makes alpha = 0 exactly the control.
    labelled = not (settings.listens and settings.unlabelled)
    rows: Examples | Batches
    if isinstance(train, PreparedTable | Batches):
        rows = _batches(train, soft, labelled, fitting)
        taught = rows.soft is not None
    else:
        if isinstance(train, Examples) and soft is not None:
            raise ValueError("soft labels go with a Table; Examples carry theirs, got both soft labels and Examples")
        rows = train if isinstance(train, Examples) else examples_for(student.encoder, train, soft, settings)
        taught = bool(rows.taught.any())
        rows = rows.rows(rows.labelled.nonzero()[:, 0]) if labelled else rows
        rows = rows if settings.compares_rows else replace(rows, lists=None)  # they would decide how rows are dealt
    if settings.listens and not taught:
        raise ValueError(f"alpha > 0 needs soft labels, got none with {settings.alpha=}, {settings.curriculum=}")
    require_heard(settings, rows)
    blend = Blend(settings.alpha, settings.temperature, settings.loss)
    objective: Blend | SideBlend = blend
    if settings.side_outputs:
        outputs = _side_outputs(student, rows, settings, fitting.seed)
        student.network = outputs
        objective = SideBlend(blend, outputs.widths, settings.hint, settings.hint_weight)
    try:
        return fit(
            student,
            rows,
            valid=valid,
            objective=Curriculum(objective, settings.curriculum) if settings.curriculum else objective,
            settings=fitting,
            checkpoint=checkpoint,
            progress=progress,
        )
    finally:
        if isinstance(student.network, SideOutputs):
            student.network = student.network.student


def _side_outputs(student: Ranker, rows: Examples | Batches, settings: DistillSettings, seed: int) -> SideOutputs:
    """The student with the outputs that the settings ask for."""
    hidden = None if isinstance(rows, Batches) else rows.hidden
    hint = 0
    if settings.hint is not None and hidden is not None:
        hint = hidden.shape[1] if settings.hint == "hint" else hidden_width(student.network)
    return SideOutputs(
        placed(student.network, seed=seed),  # before its tables have another name, by which they would be drawn
        classes=rows.classes,
        side=settings.head == "side",
        adapter=settings.adapter,
        hint=hint,
        seed=seed,
    )


def examples_for(
    encoder: Encoder, table: Table, soft: SoftLabels | None, settings: DistillSettings | None = None
) -> Examples:
    """A table's rows with all that the settings listen to, for several fits on the same rows.

    Args:
        encoder: the student's.
        table: the rows.
        soft: the teacher's logits for exactly these rows, and hidden states where the settings hint; None for none.
        settings: of `distill`.

    Raises:
        UsageError: the loss compares rows of a user, and the table has no user column.
        DataError: the soft labels were made for other rows or other grades.
    """
    settings, examples = of_kind(DistillSettings, settings, "settings"), Examples.of(encoder, table)
    if settings.compares_rows:
        examples = replace(examples, lists=_lists(table, settings.loss))
    if soft is None:
        return examples
    examples = examples.with_teacher(soft.for_table(table))
    if settings.hints and soft.hidden is not None:
        examples = replace(examples, hidden=torch.from_numpy(soft.hidden.copy()))
    return examples


def _lists(table: Table, loss: str) -> torch.Tensor:
    """(rows,) the list of each row: that of its user."""
    if table.schema.user is None:
        raise UsageError(f"loss {loss!r} compares the rows of a user, got a schema without a user column")
    return torch.from_numpy(np.unique(table.numpy(table.schema.user), return_inverse=True)[1])


def _batches(train: PreparedTable | Batches, soft: SoftLabels | None, labelled: bool, fitting: FitSettings) -> Batches:
    batches = Batches(train, seed=fitting.seed) if isinstance(train, PreparedTable) else train
    batches = replace(batches, soft=soft or batches.soft, labelled=labelled or batches.labelled)
    return sized(batches, fitting.batch_size) if isinstance(train, PreparedTable) else batches
