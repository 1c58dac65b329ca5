"""Distillation of ordered classes, which knows that a 4 is nearer to a 5 than a 1 is."""

from __future__ import annotations

import torch
from torch import Tensor

from recdistill.losses.binary import binary_kd
from recdistill.losses.rows import counting, masked, require_classes, require_pair


def ordinal_kd(
    student_logits: Tensor,
    teacher_logits: Tensor,
    *,
    where: Tensor | None = None,
    weight: Tensor | None = None,
    temperature: float = 1.0,
) -> Tensor:
    """Response distillation of ratings: each of the K − 1 questions "is the rating above k?" is a click to learn.

    T²·mean_k KL(Bernoulli(P_t(r > k)) ‖ Bernoulli(P_s(r > k))) with P(r > k) = Σ_{c > k} softmax(z/T)_c. The questions
    are those of ordinal regression by binary ones (Frank & Hall 2001), asked of a softmax; asking them of a teacher is
    this package's own. With two classes it is `categorical_kd`.

    Args:
        student_logits: (rows, classes), classes in ascending order.
        teacher_logits: (rows, classes); never receives a gradient.
        where: (rows,) bool, the rows that count; default all.
        weight: (rows,) non-negative, each row's weight; default 1.
        temperature: T > 0.

    Returns:
        (), the weighted mean.

    Raises:
        ValueError: the temperature is not positive and finite, or the shapes differ or are not (rows, classes) with at
            least two classes.
    """
    require_pair(student_logits, teacher_logits, temperature)
    require_classes(student_logits)
    questions = student_logits.shape[1] - 1
    if questions < 1:
        raise ValueError(f"ratings have at least two classes, got logits {tuple(student_logits.shape)}")
    where = counting(student_logits, where)
    student, teacher = (_above(masked(z, where) / temperature) for z in (student_logits, teacher_logits))
    each = None if weight is None else weight.repeat_interleave(questions)
    asked = where.repeat_interleave(questions)
    return temperature**2 * binary_kd(student.flatten(), teacher.flatten(), where=asked, weight=each)


def _above(logits: Tensor) -> Tensor:
    """The logit of P(r > k) for each k but the last: `(rows, classes) -> (rows, classes − 1)`."""
    cuts = range(1, logits.shape[1])
    return torch.stack([logits[:, k:].logsumexp(1) - logits[:, :k].logsumexp(1) for k in cuts], 1)
