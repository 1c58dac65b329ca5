"""The loss that a task has: a click has one logit per row, a rating one per class."""

from __future__ import annotations

from torch import Tensor

from recdistill.losses.binary import bce, binary_kd
from recdistill.losses.categorical import categorical_kd, cross_entropy


def label_loss(logits: Tensor, labels: Tensor, *, where: Tensor | None = None, weight: Tensor | None = None) -> Tensor:
    """`bce` of `(rows,)` logits, `cross_entropy` of `(rows, classes)` logits, with `(rows,)` labels."""
    loss = bce if logits.ndim == 1 else cross_entropy
    return loss(logits, labels, where=where, weight=weight)


def teacher_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    *,
    where: Tensor | None = None,
    weight: Tensor | None = None,
    temperature: float = 1.0,
) -> Tensor:
    """`binary_kd` of `(rows,)` logits, `categorical_kd` of `(rows, classes)` logits."""
    loss = binary_kd if student_logits.ndim == 1 else categorical_kd
    return loss(student_logits, teacher_logits, where=where, weight=weight, temperature=temperature)
