"""Losses on one logit per class of a row; a weighted mean over the rows where they apply.

Each returns a scalar; rows where `where` is false have no influence, and no row at all gives 0.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from recdistill.losses.rows import counting, masked, require_classes, require_pair, weighted_mean


def cross_entropy(
    logits: Tensor, labels: Tensor, *, where: Tensor | None = None, weight: Tensor | None = None
) -> Tensor:
    """Categorical cross-entropy.

    Args:
        logits: (rows, classes), the student's logits.
        labels: (rows,), the class of each row, 0 … classes − 1, of any number type.
        where: (rows,) bool, the rows that count; default all.
        weight: (rows,) non-negative, each row's weight; default 1.

    Returns:
        (), the weighted mean.

    Raises:
        ValueError: the logits are not (rows, classes).
    """
    require_classes(logits)
    where = counting(logits, where)
    targets = masked(labels, where).long()
    return weighted_mean(F.cross_entropy(masked(logits, where), targets, reduction="none"), where, weight)


def categorical_kd(
    student_logits: Tensor,
    teacher_logits: Tensor,
    *,
    where: Tensor | None = None,
    weight: Tensor | None = None,
    temperature: float = 1.0,
) -> Tensor:
    """Response distillation of class probabilities (Hinton, Vinyals & Dean 2015, arXiv:1503.02531, section 2).

    T²·KL(softmax(z_t/T) ‖ softmax(z_s/T)): its gradient is T·(softmax(z_s/T) − softmax(z_t/T)), so the factor T²
    keeps the gradient's size when T changes. With two classes and logits (0, z) it is `binary_kd` of z.

    DIFF: the KL divergence, not the paper's cross-entropy: the gradients are the same, and the value is 0 when
    student equals teacher.

    Args:
        student_logits: (rows, classes).
        teacher_logits: (rows, classes); never receives a gradient.
        where: (rows,) bool, the rows that count; default all.
        weight: (rows,) non-negative, each row's weight; default 1.
        temperature: T > 0.

    Returns:
        (), the weighted mean.

    Raises:
        ValueError: the temperature is not positive and finite, or the shapes differ or are not (rows, classes).
    """
    require_pair(student_logits, teacher_logits, temperature)
    require_classes(student_logits)
    where = counting(student_logits, where)
    teacher = F.log_softmax(masked(teacher_logits.detach(), where) / temperature, dim=1)
    student = F.log_softmax(masked(student_logits, where) / temperature, dim=1)
    divergence = (teacher.exp() * (teacher - student)).sum(1)  # (rows,)
    return temperature**2 * weighted_mean(divergence, where, weight)
