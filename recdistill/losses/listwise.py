"""Losses on a whole list at once: how a user's or session's attention is shared among its rows.

A row with weight w is w copies of it in its list, and a list's weight is the sum of its rows'. For lists that count
alike whatever their length, give each row the weight 1 / (rows of its list).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from recdistill.losses.lists import require_lists, rows_of_lists
from recdistill.losses.rows import weighted_mean


def listnet_kd(
    student_logits: Tensor,
    teacher_logits: Tensor,
    *,
    where: Tensor | None = None,
    weight: Tensor | None = None,
    temperature: float = 1.0,
    groups: Tensor | None = None,
) -> Tensor:
    """ListNet's top-one probabilities, the teacher's as targets (Cao et al. ICML 2007, section 4).

    T²·KL(softmax(t/T) ‖ softmax(s/T)) over the rows of each list. A shift of all logits of a list changes nothing, so
    alone it does not teach the student how likely a click is.

    DIFF: the KL divergence, not the paper's cross-entropy: the gradients are the same, and the value is 0 when student
    equals teacher. A list's weight is its rows', not 1.

    Args:
        student_logits: (rows,).
        teacher_logits: (rows,); never receives a gradient.
        where: (rows,) bool, the rows that count; default all.
        weight: (rows,) non-negative, each row's weight; default 1.
        temperature: T > 0.
        groups: (rows,) int, the list (user, session) of each row, in any order; default one list.

    Returns:
        (), the weighted mean over lists of at least two rows.

    Raises:
        ValueError: the temperature is not positive and finite, the shapes differ, or the logits are not (rows,).
    """
    require_lists(student_logits, teacher_logits, temperature, groups)
    rows, lists, weights = rows_of_lists(student_logits, where, weight, groups)
    student, teacher = (z[rows] / temperature for z in (student_logits, teacher_logits.detach()))
    return temperature**2 * _divergence(student, teacher, lists, weights)


def calibrated_listwise_kd(
    student_logits: Tensor,
    teacher_logits: Tensor,
    *,
    where: Tensor | None = None,
    weight: Tensor | None = None,
    temperature: float = 1.0,
    groups: Tensor | None = None,
) -> Tensor:
    """Listwise distillation that agrees with calibration, after CLID (Gui et al. WSDM 2024, arXiv:2312.08727).

    T²·KL(q_t ‖ q_s) over the rows of each list, with q_i = σ(z_i/T) / Σ_j σ(z_j/T), probabilities of a click divided by
    their sum as in ListCE (Bai et al. CIKM 2023, arXiv:2211.01494), where `listnet_kd` has a softmax of logits. At
    T = 1 it is 0 exactly where a list's click probabilities are proportional to the teacher's: probabilities that are
    right on average have nothing to give up for it.

    DIFF: the paper has no temperature, and the cross-entropy where this is the KL divergence. A list's weight is its
    rows', not 1.

    Args:
        student_logits: (rows,).
        teacher_logits: (rows,); never receives a gradient.
        where: (rows,) bool, the rows that count; default all.
        weight: (rows,) non-negative, each row's weight; default 1.
        temperature: T > 0; other than 1, proportional probabilities no longer give 0.
        groups: (rows,) int, the list (user, session) of each row, in any order; default one list.

    Returns:
        (), the weighted mean over lists of at least two rows.

    Raises:
        ValueError: the temperature is not positive and finite, the shapes differ, or the logits are not (rows,).
    """
    require_lists(student_logits, teacher_logits, temperature, groups)
    rows, lists, weights = rows_of_lists(student_logits, where, weight, groups)
    student, teacher = (F.logsigmoid(z[rows] / temperature) for z in (student_logits, teacher_logits.detach()))
    return temperature**2 * _divergence(student, teacher, lists, weights)


def _divergence(student: Tensor, teacher: Tensor, lists: Tensor, weights: Tensor) -> Tensor:
    """The weighted mean over lists of KL(softmax(teacher) ‖ softmax(student)) among each list's rows, all `(rows,)`."""
    student, teacher = (_log_shares(scores, lists, weights) for scores in (student, teacher))
    terms = weights * teacher.exp() * (teacher - student)
    sizes = _sums(weights, lists)
    return weighted_mean(_sums(terms, lists), sizes > 0, sizes)


def _log_shares(scores: Tensor, lists: Tensor, weights: Tensor) -> Tensor:
    """The logarithm of each row's share of its list, a softmax in which a row with weight w is w of them; `(rows,)`."""
    highest = torch.zeros_like(scores).scatter_reduce(0, lists, scores.detach(), "amax", include_self=False)
    scores = scores - highest[lists]
    return scores - _sums(weights * scores.exp(), lists)[lists].log()


def _sums(values: Tensor, lists: Tensor) -> Tensor:
    """The sum of `(rows,)` values over each list, `(lists,)`, and zeros behind up to `(rows,)`."""
    return torch.zeros_like(values).index_add(0, lists, values)
