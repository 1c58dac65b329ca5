"""Regression on what the teacher says: squared differences of logits or of probabilities."""

from __future__ import annotations

from torch import Tensor

from recdistill.losses.rows import counting, masked, require_pair, weighted_mean


def logit_mse(
    student_logits: Tensor,
    teacher_logits: Tensor,
    *,
    where: Tensor | None = None,
    weight: Tensor | None = None,
    temperature: float = 1.0,
) -> Tensor:
    """Regression on logits (Ba & Caruana 2014, arXiv:1312.6184; for clicks KD-DAGFM, WSDM 2023).

    (z_s − z_t)², the mean over classes where there are several. Unlike the softmax it sees a shift of all classes.
    The temperature has no effect: T²·((z_s − z_t)/T)² is the same for every T.

    DIFF: a mean over classes without the factor ½, so that the value does not grow with the number of classes.

    Args:
        student_logits: (rows,) or (rows, classes).
        teacher_logits: of the same shape; never receives a gradient.
        where: (rows,) bool, the rows that count; default all.
        weight: (rows,) non-negative, each row's weight; default 1.
        temperature: T > 0.

    Returns:
        (), the weighted mean.

    Raises:
        ValueError: the temperature is not positive and finite, or the shapes differ.
    """
    require_pair(student_logits, teacher_logits, temperature)
    return squared_error(student_logits, teacher_logits, where, weight)


def probability_mse(
    student_logits: Tensor,
    teacher_logits: Tensor,
    *,
    where: Tensor | None = None,
    weight: Tensor | None = None,
    temperature: float = 1.0,
) -> Tensor:
    """Regression on probabilities, the Brier score of the student against the teacher (EKTF 2024, arXiv:2411.16122).

    T²·(σ(z_s/T) − σ(z_t/T))², or T² times the mean over classes of squared differences of softmax(z/T). Its gradient
    fades where the student is sure, also where it is wrong.

    DIFF: EKTF has no temperature; T² keeps the gradient's size for T well above the logits.

    Args:
        student_logits: (rows,) or (rows, classes).
        teacher_logits: of the same shape; never receives a gradient.
        where: (rows,) bool, the rows that count; default all.
        weight: (rows,) non-negative, each row's weight; default 1.
        temperature: T > 0.

    Returns:
        (), the weighted mean.

    Raises:
        ValueError: the temperature is not positive and finite, or the shapes differ.
    """
    require_pair(student_logits, teacher_logits, temperature)
    where = counting(student_logits, where)
    student, teacher = (masked(z, where) / temperature for z in (student_logits, teacher_logits))
    return temperature**2 * squared_error(probabilities(student), probabilities(teacher), where, weight)


def probabilities(logits: Tensor) -> Tensor:
    """The sigmoid of `(rows,)` logits, the softmax of `(rows, classes)` logits."""
    return logits.sigmoid() if logits.ndim == 1 else logits.softmax(1)


def squared_error(student: Tensor, teacher: Tensor, where: Tensor | None, weight: Tensor | None) -> Tensor:
    """The weighted mean over rows of `(student − teacher)²`, `(rows,)` or its mean over n of `(rows, n)`."""
    where = counting(student, where)
    squares = (masked(student, where) - masked(teacher.detach(), where)).square()
    return weighted_mean(squares if squares.ndim == 1 else squares.mean(1), where, weight)
