"""Losses on z-scores, which do not see the teacher's scale: only who is above whom, and by how much of the spread."""

from __future__ import annotations

import torch
from torch import Tensor

from recdistill.losses.binary import binary_kd
from recdistill.losses.categorical import categorical_kd
from recdistill.losses.regression import probabilities, squared_error
from recdistill.losses.rows import counting, masked, require_pair, row_weights


def dist(
    student_logits: Tensor,
    teacher_logits: Tensor,
    *,
    where: Tensor | None = None,
    weight: Tensor | None = None,
    temperature: float = 1.0,
) -> Tensor:
    """DIST: one minus Pearson's correlation with the teacher (Huang et al. NeurIPS 2022, arXiv:2205.10536).

    Of `(rows,)` logits: 1 − ρ(z_s, z_t) over the rows of the batch, whatever shift and positive scale z_t has; the
    temperature has no effect. Of `(rows, classes)` logits, with probabilities softmax(z/T): the mean over rows of
    1 − ρ over classes (inter-class) plus the mean over classes of 1 − ρ over rows (intra-class), both weights 1.

    It is computed as half the mean squared difference of z-scores, the same number, and exactly 0 without a gradient
    where student equals teacher. A constant side has no correlation: its z-scores and the gradient are 0.

    DIFF: the paper's code multiplies by T²; a correlation does not shrink as T grows, so here nothing does.

    Args:
        student_logits: (rows,) or (rows, classes).
        teacher_logits: of the same shape; never receives a gradient.
        where: (rows,) bool, the rows that count; default all.
        weight: (rows,) non-negative, each row's weight in the correlations and means; default 1.
        temperature: T > 0.

    Returns:
        (), between 0 and 2, or 4 with classes.

    Raises:
        ValueError: the temperature is not positive and finite, or the shapes differ.
    """
    require_pair(student_logits, teacher_logits, temperature)
    where = counting(student_logits, where)
    kept = row_weights(student_logits, where, weight)
    student, teacher = masked(student_logits, where), masked(teacher_logits, where)
    if student.ndim == 1:
        return squared_error(_over_rows(student, kept), _over_rows(teacher, kept), where, weight) / 2
    student, teacher = (probabilities(z / temperature) for z in (student, teacher))
    inter = squared_error(_over_classes(student), _over_classes(teacher), where, weight)
    intra = squared_error(_over_rows(student, kept), _over_rows(teacher, kept), where, weight)
    return (inter + intra) / 2


def standardised_kd(
    student_logits: Tensor,
    teacher_logits: Tensor,
    *,
    where: Tensor | None = None,
    weight: Tensor | None = None,
    temperature: float = 1.0,
) -> Tensor:
    """Distillation of standardised logits (Sun et al. CVPR 2024, arXiv:2403.01427).

    `categorical_kd` of each row's z-scores over its classes, so that neither side's shift and positive scale count.

    DIFF: a click has no classes to standardise over, so `(rows,)` logits are standardised over the rows of the batch
    that count, with their weights, and `binary_kd` compares those.

    Args:
        student_logits: (rows,) or (rows, classes).
        teacher_logits: of the same shape; never receives a gradient.
        where: (rows,) bool, the rows that count; default all.
        weight: (rows,) non-negative, each row's weight; default 1.
        temperature: T > 0, in standard deviations; the value is multiplied by T².

    Returns:
        (), the weighted mean.

    Raises:
        ValueError: the temperature is not positive and finite, or the shapes differ.
    """
    require_pair(student_logits, teacher_logits, temperature)
    where = counting(student_logits, where)
    student, teacher = masked(student_logits, where), masked(teacher_logits, where)
    if student.ndim == 1:
        kept = row_weights(student, where, weight)
        scores = _over_rows(student, kept), _over_rows(teacher, kept)
        return binary_kd(*scores, where=where, weight=weight, temperature=temperature)
    scores = _over_classes(student), _over_classes(teacher)
    return categorical_kd(*scores, where=where, weight=weight, temperature=temperature)


def _over_rows(values: Tensor, weight: Tensor) -> Tensor:
    """The z-scores over rows, each with its weight `(rows,)`, of `(rows,)` or of each column of `(rows, n)`."""
    return _z_scores(values, weight if values.ndim == 1 else weight[:, None], 0)


def _over_classes(values: Tensor) -> Tensor:
    """The z-scores over classes in each row of `(rows, classes)`."""
    return _z_scores(values, torch.ones_like(values), 1)


def _z_scores(values: Tensor, weight: Tensor, dim: int) -> Tensor:
    """Deviations from the weighted mean in (population) standard deviations; 0 where all is constant."""
    total = weight.sum(dim, keepdim=True)
    share = weight / torch.where(total > 0, total, torch.ones_like(total))

    def mean(numbers: Tensor) -> Tensor:
        return (share * numbers).sum(dim, keepdim=True)

    deviations = values - mean(values)
    # In mean deviations first, which changes no z-score: the squares of tiny probabilities would be 0.
    size = mean(deviations.detach().abs())
    machine = torch.finfo(values.dtype)
    rounding = 8 * machine.eps * mean(values.detach().abs())
    varies = size > rounding.clamp(min=machine.tiny**0.5)  # whose inverse does not overflow
    deviations = deviations / torch.where(varies, size, torch.ones_like(size))
    variance = torch.where(varies, mean(deviations.square()), torch.ones_like(size))  # at least 1
    return torch.where(varies, deviations / variance.sqrt(), torch.zeros_like(deviations))
