"""Losses on hidden states: what a layer of the student and one of the teacher make of the same rows.

Each takes `(rows, d_s)` and `(rows, d_t)` and returns a scalar, 0 where the student equals the teacher; rows where
`where` is false have no influence, and no row at all gives 0.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from recdistill.losses.regression import squared_error
from recdistill.losses.rows import counting, masked, row_weights, weighted_mean


def hint(
    student_hidden: Tensor, teacher_hidden: Tensor, *, where: Tensor | None = None, weight: Tensor | None = None
) -> Tensor:
    """Regression on the teacher's hidden state (FitNets, Romero et al. ICLR 2015, arXiv:1412.6550, equation 3).

    The mean of (h_s − h_t)² over rows and dimensions. Where the student's layer is narrower, a linear layer of the
    caller's, trained with it and then thrown away, makes h_s as wide as h_t.

    DIFF: a mean over dimensions without the factor ½, so that the value does not grow with the width.

    Args:
        student_hidden: (rows, d).
        teacher_hidden: (rows, d); never receives a gradient.
        where: (rows,) bool, the rows that count; default all.
        weight: (rows,) non-negative, each row's weight; default 1.

    Returns:
        (), the weighted mean.

    Raises:
        ValueError: the shapes are not (rows, d), or differ.
    """
    _require_rows(student_hidden, teacher_hidden)
    if student_hidden.shape[1] != teacher_hidden.shape[1]:
        got = f"{student_hidden.shape[1]} and {teacher_hidden.shape[1]} dimensions"
        raise ValueError(f"hint compares hidden states of one width, got {got}: put a linear layer between")
    return squared_error(student_hidden, teacher_hidden, where, weight)


def rkd_distance(
    student_hidden: Tensor, teacher_hidden: Tensor, *, where: Tensor | None = None, weight: Tensor | None = None
) -> Tensor:
    """Relational distillation of distances (Park et al. CVPR 2019, arXiv:1904.05068).

    The mean over pairs of rows of huber(‖s_i − s_j‖ / μ_s − ‖t_i − t_j‖ / μ_t), huber with threshold 1, Euclidean
    distances and μ their mean over the pairs: neither scale, shift nor rotation of a side counts.

    Args:
        student_hidden: (rows, d_s).
        teacher_hidden: (rows, d_t); never receives a gradient.
        where: (rows,) bool, the rows that count; default all.
        weight: (rows,) non-negative; a pair's weight is the product of its rows'; default 1.

    Returns:
        (), the weighted mean over pairs; takes memory for rows² distances.

    Raises:
        ValueError: the shapes are not (rows, d_s) and (rows, d_t).
    """
    _require_rows(student_hidden, teacher_hidden)
    where = counting(student_hidden, where)
    kept = row_weights(student_hidden, where, weight)
    pair_weight = torch.outer(kept, kept).fill_diagonal_(0).flatten()  # (rows²,), no row with itself
    precise = torch.promote_types(student_hidden.dtype, torch.float32)  # bfloat16 has no distances
    student, teacher = (
        _distances(masked(hidden, where).to(precise), pair_weight)
        for hidden in (student_hidden, teacher_hidden.detach())
    )
    return weighted_mean(F.huber_loss(student, teacher, reduction="none"), pair_weight > 0, pair_weight)


def similarity(
    student_hidden: Tensor, teacher_hidden: Tensor, *, where: Tensor | None = None, weight: Tensor | None = None
) -> Tensor:
    """Similarity-preserving distillation (Tung & Mori ICCV 2019, arXiv:1907.09682).

    The mean over rows of ‖g_s − g_t‖², with g a row of H·Hᵀ, the row's dot products with all rows that count, divided
    by its length. Neither scale nor rotation of a side counts; a shift does.

    DIFF: the paper divides the sum by rows², which makes it the smaller the larger the batch; this divides by rows, so
    a weight γ of the paper with batches of b is γ/b here.

    Args:
        student_hidden: (rows, d_s).
        teacher_hidden: (rows, d_t); never receives a gradient.
        where: (rows,) bool, the rows that count; default all.
        weight: (rows,) non-negative, each row's weight; default 1.

    Returns:
        (), the weighted mean; takes memory for rows² products.

    Raises:
        ValueError: the shapes are not (rows, d_s) and (rows, d_t).
    """
    _require_rows(student_hidden, teacher_hidden)
    where = counting(student_hidden, where)
    kept = row_weights(student_hidden, where, weight)
    student, teacher = (
        _similarities(masked(hidden, where), kept) for hidden in (student_hidden, teacher_hidden.detach())
    )
    return weighted_mean((student - teacher).square().sum(1), where, weight)


def _require_rows(student_hidden: Tensor, teacher_hidden: Tensor) -> None:
    """Refuse hidden states that are not `(rows, d_s)` and `(rows, d_t)`."""
    if student_hidden.ndim != 2 or teacher_hidden.ndim != 2 or len(student_hidden) != len(teacher_hidden):
        got = f"{tuple(student_hidden.shape)} and {tuple(teacher_hidden.shape)}"
        raise ValueError(f"hidden states must be (rows, d_s) and (rows, d_t), got {got}")


def _distances(hidden: Tensor, pair_weight: Tensor) -> Tensor:
    """The distance of each row to each in mean distances, `(rows, d) -> (rows²,)`; 0 where all rows are one point."""
    # The faster way, by products, is inexact for rows that are near each other.
    distances = torch.cdist(hidden, hidden, compute_mode="donot_use_mm_for_euclid_dist").flatten()
    mean = weighted_mean(distances, pair_weight > 0, pair_weight)
    return distances / torch.where(mean > 0, mean, torch.ones_like(mean))


def _similarities(hidden: Tensor, weight: Tensor) -> Tensor:
    """Each row's dot products with all rows, each times the root of its weight, in unit length, `(rows, rows)`."""
    products = (hidden @ hidden.T) * weight.sqrt()
    return F.normalize(products, dim=1, eps=torch.finfo(hidden.dtype).tiny)
