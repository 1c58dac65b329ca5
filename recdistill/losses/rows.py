"""What losses over rows share: which rows count, their weighted mean, and what two sides must agree on."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def counting(logits: Tensor, where: Tensor | None) -> Tensor:
    """The rows that count: `where`, or else all; `(rows,)` or `(rows, classes)` logits `-> (rows,)` bool."""
    return torch.ones(len(logits), dtype=torch.bool, device=logits.device) if where is None else where


def weighted_mean(values: Tensor, where: Tensor, weight: Tensor | None) -> Tensor:
    """The mean of `(rows,)` values over the rows that count, each with its weight; 0 without any."""
    # Not `where * weight` nor `values * kept` alone: 0 · inf would be NaN where a masked row overflows.
    kept = where.to(values.dtype) if weight is None else torch.where(where, weight, torch.zeros_like(weight))
    total = kept.sum()
    summed = torch.where(where, values * kept, torch.zeros_like(values)).sum()
    return summed / torch.where(total > 0, total, torch.ones_like(total))


def require_pair(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> None:
    """Refuse logits of two shapes, `(rows,)` or `(rows, classes)`, or a temperature that softens nothing.

    Raises:
        ValueError: the temperature is not positive and finite, or the shapes differ.
    """
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature must be positive and finite, got {temperature=}")
    if student_logits.shape != teacher_logits.shape:
        got = f"{tuple(student_logits.shape)} and {tuple(teacher_logits.shape)}"
        raise ValueError(f"student and teacher logits must have one shape, got {got}")
