"""What losses over rows share: which rows count, their weighted mean, and what two sides must agree on."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def counting(logits: Tensor, where: Tensor | None) -> Tensor:
    """The rows that count: `where`, or else all; `(rows,)` or `(rows, classes)` logits `-> (rows,)` bool."""
    return torch.ones(len(logits), dtype=torch.bool, device=logits.device) if where is None else where


def masked(values: Tensor, where: Tensor) -> Tensor:
    """`(rows,)` or `(rows, n)` values with zeros where rows do not count: infinity would spoil gradients there."""
    return torch.where(where if values.ndim == 1 else where[:, None], values, torch.zeros_like(values))


def row_weights(values: Tensor, where: Tensor, weight: Tensor | None) -> Tensor:
    """The weight `(rows,)` of each row, 0 where it does not count; `values: (rows,)` or `(rows, n)` give the type."""
    # Not `where * weight`: 0 · inf would be NaN.
    return where.to(values.dtype) if weight is None else masked(weight, where)


def weighted_mean(values: Tensor, where: Tensor, weight: Tensor | None) -> Tensor:
    """The mean of `(rows,)` values over the rows that count, each with its weight; 0 without any."""
    kept = row_weights(values, where, weight)
    total = kept.sum()
    # Masked after the product too: a row that does not count may have overflowed.
    return masked(values * kept, where).sum() / torch.where(total > 0, total, torch.ones_like(total))


def require_pair(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> None:
    """Refuse logits that are not both `(rows,)` or both `(rows, classes)`, or a temperature that softens nothing.

    Raises:
        ValueError: the temperature is not positive and finite, or the shapes differ or are neither.
    """
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature must be positive and finite, got {temperature=}")
    if student_logits.shape != teacher_logits.shape:
        got = f"{tuple(student_logits.shape)} and {tuple(teacher_logits.shape)}"
        raise ValueError(f"student and teacher logits must have one shape, got {got}")
    if student_logits.ndim not in (1, 2):
        raise ValueError(f"logits must be (rows,) or (rows, classes), got {tuple(student_logits.shape)}")


def require_clicks(logits: Tensor) -> None:
    """Refuse logits that are not `(rows,)`.

    Raises:
        ValueError: they are not.
    """
    if logits.ndim != 1:
        raise ValueError(f"click logits must be (rows,), got {tuple(logits.shape)}")


def require_classes(logits: Tensor) -> None:
    """Refuse logits that are not `(rows, classes)`.

    Raises:
        ValueError: they are not.
    """
    if logits.ndim != 2:
        raise ValueError(f"class logits must be (rows, classes), got {tuple(logits.shape)}")
