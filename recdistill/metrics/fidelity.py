"""How faithfully a student follows its teacher, which is not how good it is (Stanton et al. 2021, arXiv:2106.05945).

"Does knowledge distillation really work?" reports the agreement of decisions and the Kullback-Leibler divergence of
probabilities; the order of rows and each user's first k are what matters to a ranker.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats
from scipy.special import expit, log_softmax

from recdistill.errors import DataError
from recdistill.metrics.classification import Array
from recdistill.metrics.per_list import PerList
from recdistill.metrics.top_k import top_k_chances


def agreement(student: Any, teacher: Any, *, student_threshold: float = 0.0, teacher_threshold: float = 0.0) -> float:
    """Share of rows of which student and teacher decide alike.

    A click is decided by each one's own threshold, e.g. `best_threshold` on validation rows: where clicks are rare,
    both are nearly always below a probability of one half, and a shared threshold would count a shift of all logits,
    which calibration undoes, as disagreement. Of ratings the most probable classes are compared.

    Args:
        student, teacher: (rows,) click logits, or (rows, classes) class logits.
        student_threshold, teacher_threshold: click logits from which a row counts as a click.

    Raises:
        DataError: shapes differ, there are no rows, or a score is not finite.
    """
    student, teacher = _paired(student, teacher)
    if student.ndim == 2:
        return float((student.argmax(1) == teacher.argmax(1)).mean())
    return float(((student >= student_threshold) == (teacher >= teacher_threshold)).mean())


def mean_kl(student: Any, teacher: Any) -> float:
    """Mean over rows of KL(teacher || student) of their click or class probabilities, in nats.

    Args:
        student, teacher: (rows,) click logits, or (rows, classes) class logits.

    Raises:
        DataError: shapes differ, there are no rows, or a score is not finite.
    """
    student, teacher = _paired(student, teacher)
    if student.ndim == 2:
        said, heard = log_softmax(teacher, axis=1), log_softmax(student, axis=1)
        rows = (np.exp(said) * (said - heard)).sum(1)
    else:
        rows = expit(teacher) * (teacher - student) - np.logaddexp(0, teacher) + np.logaddexp(0, student)
    return float(np.maximum(rows, 0).mean())  # below 0 by rounding alone


def rank_correlation(student: Any, teacher: Any) -> float:
    """Spearman's rank correlation of two `(rows,)` scores; tied rows have their mean rank.

    0 where one side is constant: it knows no order.

    Raises:
        DataError: shapes differ, there are no rows, or a score is not finite.
    """
    student, teacher = _paired(student, teacher)
    if student.ndim == 2:
        raise DataError(f"ranks are of one score per row, got {student.shape=}: take expected ratings")
    if np.ptp(student) == 0 or np.ptp(teacher) == 0:
        return 0.0
    return float(stats.spearmanr(student, teacher).statistic)


def overlap_at_k(student: Any, teacher: Any, lists: Any, *, k: int = 10) -> PerList:
    """Share of the student's first k of a list that are among the teacher's first k, for each list.

    Ties are in expectation over random orders, drawn for each side by itself: where all scores of a list of n rows are
    tied, the overlap is k / n, as by chance. Lists of at most k rows have the same first k whatever the scores, and are
    skipped.

    Args:
        student, teacher: (rows,) scores.
        lists: (rows,) the list of each row, e.g. its user.
        k: at least 1.

    Raises:
        DataError: shapes differ, there are no rows, or a score is not finite.
        ValueError: k is below 1.
    """
    student, teacher = _paired(student, teacher)
    names, list_of = np.unique(np.asarray(lists), return_inverse=True)
    both = top_k_chances(student, list_of, k=k) * top_k_chances(teacher, list_of, k=k)
    kept = np.bincount(list_of) > k
    return PerList(names[kept], np.bincount(list_of, both)[kept] / k, int((~kept).sum()))


def _paired(student: Any, teacher: Any) -> tuple[Array, Array]:
    student, teacher = np.asarray(student, dtype=np.float64), np.asarray(teacher, dtype=np.float64)
    if student.shape != teacher.shape or student.ndim not in (1, 2) or not len(student):
        raise DataError(f"student and teacher must have the same rows, rows > 0, got {student.shape}, {teacher.shape}")
    if not (np.isfinite(student).all() and np.isfinite(teacher).all()):
        raise DataError("scores must be finite, got some that are not")
    return student, teacher
