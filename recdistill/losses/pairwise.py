"""Losses on pairs of rows of one list: who is above whom, and by how much. What a list's rows share is not seen."""

from __future__ import annotations

from torch import Tensor

from recdistill.losses.binary import binary_kd
from recdistill.losses.lists import pairs_within, require_lists, rows_of_lists
from recdistill.losses.regression import logit_mse


def ranknet_kd(
    student_logits: Tensor,
    teacher_logits: Tensor,
    *,
    where: Tensor | None = None,
    weight: Tensor | None = None,
    temperature: float = 1.0,
    groups: Tensor | None = None,
) -> Tensor:
    """RankNet with a teacher's pair probabilities as targets (Burges et al. ICML 2005, section 3).

    `binary_kd` of the differences: T²·KL(Bernoulli(σ((t_i − t_j)/T)) ‖ Bernoulli(σ((s_i − s_j)/T))) for each pair of
    rows i, j of one list. A shift of all logits of a list changes nothing.

    DIFF: the KL divergence, not the paper's cross-entropy: the gradients are the same, and the value is 0 when student
    equals teacher.

    Args:
        student_logits: (rows,).
        teacher_logits: (rows,); never receives a gradient.
        where: (rows,) bool, the rows that count; default all.
        weight: (rows,) non-negative; a pair's weight is the product of its rows'; default 1.
        temperature: T > 0.
        groups: (rows,) int, the list (user, session) of each row, in any order; default one list. n rows of a list
            make n·(n − 1)/2 pairs, and as much memory.

    Returns:
        (), the weighted mean over the pairs of all lists.

    Raises:
        ValueError: the temperature is not positive and finite, the shapes differ, or the logits are not (rows,).
    """
    student, teacher, pair_weight = _differences(student_logits, teacher_logits, where, weight, temperature, groups)
    return binary_kd(student, teacher, weight=pair_weight, temperature=temperature)


def margin_mse(
    student_logits: Tensor,
    teacher_logits: Tensor,
    *,
    where: Tensor | None = None,
    weight: Tensor | None = None,
    temperature: float = 1.0,
    groups: Tensor | None = None,
) -> Tensor:
    """Regression on margins (Hofstätter et al. 2020, arXiv:2010.02666).

    `logit_mse` of the differences: ((s_i − s_j) − (t_i − t_j))² for each pair of rows i, j of one list. A shift of all
    logits of a list changes nothing. The temperature has no effect, as in `logit_mse`.

    DIFF: the paper's pairs are of a relevant and another passage; here they are all pairs of a list, since rows without
    labels are to count.

    Args:
        student_logits: (rows,).
        teacher_logits: (rows,); never receives a gradient.
        where: (rows,) bool, the rows that count; default all.
        weight: (rows,) non-negative; a pair's weight is the product of its rows'; default 1.
        temperature: T > 0.
        groups: (rows,) int, the list (user, session) of each row, in any order; default one list. n rows of a list
            make n·(n − 1)/2 pairs, and as much memory.

    Returns:
        (), the weighted mean over the pairs of all lists.

    Raises:
        ValueError: the temperature is not positive and finite, the shapes differ, or the logits are not (rows,).
    """
    student, teacher, pair_weight = _differences(student_logits, teacher_logits, where, weight, temperature, groups)
    return logit_mse(student, teacher, weight=pair_weight, temperature=temperature)


def _differences(
    student_logits: Tensor,
    teacher_logits: Tensor,
    where: Tensor | None,
    weight: Tensor | None,
    temperature: float,
    groups: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Of each pair within a list: the student's and teacher's differences of logits, and the weight, all `(pairs,)`."""
    require_lists(student_logits, teacher_logits, temperature, groups)
    rows, lists, weights = rows_of_lists(student_logits, where, weight, groups)
    first, second = pairs_within(lists)
    student, teacher = (z[rows][first] - z[rows][second] for z in (student_logits, teacher_logits))
    return student, teacher, weights[first] * weights[second]
