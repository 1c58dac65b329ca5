"""What a student listens to, and what of it cannot be heard: refused before training, with the reason."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from recdistill.batches import Batches
from recdistill.errors import DataError, UsageError, nearest
from recdistill.examples import Examples
from recdistill.losses import FOR_CLICKS, FOR_RATINGS, HIDDEN_LOSSES, LOSSES, NEEDS_LISTS
from recdistill.settings import Settings

KD = "kd"


class DistillSettings(Settings):
    """What the student listens to.

    Args:
        alpha: weight of what the teacher says, in [0, 1]; the labels get 1 - alpha. 0 is training on labels alone.
        temperature: softens both sides of the soft term, > 0.
        unlabelled: whether rows without a label are learnt from too.
        loss: of the soft term: "kd", the task's own (`binary_kd` or `categorical_kd`), or one of
            `recdistill.losses.LOSSES`. Those that compare rows need a table with a user column, or Examples with lists.
        head: which logits the soft term is of: the "served" ones, or those of a "side" head on the last hidden layer,
            which is thrown away after training.
        adapter: whether the student learns the teacher's logits after an affine map, fitted on the labels as it trains.
        hint: one of `recdistill.losses.HIDDEN_LOSSES`, on the last hidden layers of student and teacher; soft labels
            must have the teacher's.
        hint_weight: weight of the hint beside the soft term, >= 0.
        curriculum: epochs over which alpha falls from 1 to its value, teacher first; 0 for none. With one the student
            hears the teacher in these epochs even where alpha is 0.
    """

    alpha: float = Field(0.5, ge=0, le=1)
    temperature: float = Field(1.0, gt=0, allow_inf_nan=False)
    unlabelled: bool = True
    loss: str = KD
    head: Literal["served", "side"] = "served"
    adapter: bool = False
    hint: str | None = None
    hint_weight: float = Field(1.0, ge=0, allow_inf_nan=False)
    curriculum: int = Field(0, ge=0)

    @property
    def listens(self) -> bool:
        """Whether the student hears the teacher at all."""
        return self.alpha > 0 or self.curriculum > 0

    @property
    def compares_rows(self) -> bool:
        """Whether the soft term compares rows of a list."""
        return self.listens and self.loss in NEEDS_LISTS

    @property
    def hints(self) -> bool:
        """Whether hidden layers are compared."""
        return self.listens and self.hint is not None

    @property
    def side_outputs(self) -> bool:
        """Whether more than the served logits is learnt from."""
        return self.hints or (self.listens and (self.head == "side" or self.adapter))


def require_losses(settings: DistillSettings, classes: int) -> None:
    """Refuse what no rows of this task can teach.

    Args:
        settings: what the student is to listen to.
        classes: logits of a row, 1 for clicks.

    Raises:
        UsageError: a name is not known, the loss is not of the task, or nothing teaches the served head.
    """
    for name, known in ((settings.loss, [KD, *LOSSES]), (settings.hint, [*HIDDEN_LOSSES])):
        if name is not None and name not in known:
            raise UsageError(f"no loss {name!r}, {nearest(name, known)}")
    if not settings.listens:
        return
    what, able = ("clicks", FOR_CLICKS) if classes == 1 else ("ratings", FOR_RATINGS)
    if settings.loss not in (KD, *able):
        raise UsageError(f"a loss of {what} is needed ({', '.join(sorted(able))}), got {settings.loss!r}")
    if settings.head == "side" and settings.alpha == 1:
        raise UsageError("with a side head only labels teach the served one: alpha must be below 1, got alpha=1")


def require_heard(settings: DistillSettings, rows: Examples | Batches) -> None:
    """Refuse what cannot be learnt from these rows.

    Raises:
        UsageError: a name is not known, the loss is not of the task, or the setting needs what the rows lack.
        DataError: no list has two rows.
    """
    require_losses(settings, rows.classes)
    if settings.compares_rows:
        _require_lists(settings.loss, None if isinstance(rows, Batches) else rows.lists)
    if settings.hints and (isinstance(rows, Batches) or rows.hidden is None):
        rule = "soft labels with hidden states (SoftLabels.from_teacher(..., hidden=True)) and rows in memory"
        raise UsageError(f"hint {settings.hint!r} needs {rule}, got {type(rows).__name__} without hidden states")


def _require_lists(loss: str, lists: Tensor | None) -> None:
    if lists is None:
        rule = "a Table with a user column, or Examples with lists: prepared rows are not dealt by list"
        raise UsageError(f"loss {loss!r} compares the rows of a list and needs {rule}")
    if len(lists) == len(lists.unique()):
        raise DataError(f"loss {loss!r} compares the rows of a list, got {len(lists)} lists of one row each")
