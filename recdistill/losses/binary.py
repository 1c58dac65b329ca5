"""Losses on one logit per row; a weighted mean over the rows where they apply.

Each returns a scalar; rows where `where` is false have no influence, and no row at all gives 0.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from recdistill.losses.rows import counting, masked, require_clicks, require_pair, weighted_mean


def bce(logits: Tensor, labels: Tensor, *, where: Tensor | None = None, weight: Tensor | None = None) -> Tensor:
    """Binary cross-entropy of labels in [0, 1] (hard or soft).

    Args:
        logits: (rows,), the student's logits.
        labels: (rows,), probabilities of a click.
        where: (rows,) bool, the rows that count; default all.
        weight: (rows,) non-negative, each row's weight; default 1.

    Returns:
        (), the weighted mean.
    """
    where = counting(logits, where)
    each = F.binary_cross_entropy_with_logits(logits, masked(labels, where), reduction="none")
    return weighted_mean(each, where, weight)


def binary_kd(
    student_logits: Tensor,
    teacher_logits: Tensor,
    *,
    where: Tensor | None = None,
    weight: Tensor | None = None,
    temperature: float = 1.0,
) -> Tensor:
    """Response distillation of a click probability (Hinton, Vinyals & Dean 2015, arXiv:1503.02531, section 2).

    T²·KL(Bernoulli(σ(z_t/T)) ‖ Bernoulli(σ(z_s/T))): its gradient is T·(σ(z_s/T) − σ(z_t/T)), so the factor T²
    keeps the gradient's size when T changes.

    DIFF: the KL divergence, not the paper's cross-entropy: the gradients are the same, and the value is 0 when
    student equals teacher.

    Args:
        student_logits: (rows,).
        teacher_logits: (rows,); never receives a gradient.
        where: (rows,) bool, the rows that count; default all.
        weight: (rows,) non-negative, each row's weight; default 1.
        temperature: T > 0.

    Returns:
        (), the weighted mean.

    Raises:
        ValueError: the temperature is not positive and finite, or the shapes differ or are not (rows,).
    """
    require_pair(student_logits, teacher_logits, temperature)
    require_clicks(student_logits)
    where = counting(student_logits, where)
    teacher = masked(teacher_logits.detach(), where) / temperature
    student = student_logits / temperature
    p = torch.sigmoid(teacher)
    positive = p * (F.logsigmoid(teacher) - F.logsigmoid(student))
    negative = (1 - p) * (F.logsigmoid(-teacher) - F.logsigmoid(-student))
    return temperature**2 * weighted_mean(positive + negative, where, weight)
