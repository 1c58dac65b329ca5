"""A loss's value and gradient, and whether two of them agree."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

TEMPERATURES = (0.5, 1.0, 3.0, 20.0)
JUNK = (float("nan"), float("inf"), -float("inf"), 1e30, -1e30)


def columns(data: list[tuple[Any, ...]]) -> list[Tensor]:
    """Each column of the rows as a float64 tensor."""
    return [torch.tensor(column, dtype=torch.float64) for column in zip(*data, strict=True)]


def at(loss: Any, student: Tensor, target: Tensor, **options: Any) -> tuple[float, Tensor]:
    """A loss's value and its gradient to the student."""
    student = student.detach().clone().requires_grad_()
    value = loss(student, target, **options)
    assert value.shape == ()
    (gradient,) = torch.autograd.grad(value, student)
    return float(value.detach()), gradient


def same(a: tuple[float, Tensor], b: tuple[float, Tensor]) -> None:
    """Both values and both gradients agree."""
    assert a[0] == pytest.approx(b[0], rel=1e-9, abs=1e-9)
    torch.testing.assert_close(a[1], b[1], rtol=1e-9, atol=1e-9)
