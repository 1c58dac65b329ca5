"""Layers that several models share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class Units:
    """Where the units of a hidden layer stand in a weight.

    Args:
        weight: its name in the network.
        axes: of the weight, neighbours, that count the units together. Of two, the first counts equal parts of them.
        last: whether the units are the last on that axis, and not the first.
    """

    weight: str
    axes: tuple[int, ...]
    last: bool = False


Size = int | Sequence[int]  # a hidden layer's units, or (units, rank)


def units_of(size: Size) -> int:
    """How many units a hidden layer of a size has."""
    return size if isinstance(size, int) else size[0]


def dense(width: int, hidden: Sequence[Size], *, dropout: float = 0.0, out: int | None = 1) -> nn.Sequential:
    """Fully connected layers with ReLU between them.

    Args:
        width: size of the input.
        hidden: sizes of the hidden layers. One of (units, rank) is of low rank, W = U V: two linear layers without an
            activation between them, the first of which has no bias (Sainath et al. 2013, "Low-rank matrix factorization
            for deep neural network training with high-dimensional output targets", section 3).
        dropout: after each hidden layer.
        out: size of the last, linear layer; None leaves it off.

    Raises:
        ValueError: the last layer would have no output, or a size is not one.

    Shape: `(batch, width) -> (batch, out)`.
    """
    if out is not None and out < 1:
        raise ValueError(f"a network needs at least 1 output, got {out=}")
    layers: list[nn.Module] = []
    for size in hidden:
        if not isinstance(size, int):
            _require_pair(size)
            layers.append(nn.Linear(width, size[1], bias=False))
            width = size[1]
        layers += [nn.Linear(width, units_of(size)), nn.ReLU()]
        if dropout:
            layers.append(nn.Dropout(dropout))
        width = units_of(size)
    if out is not None:
        layers.append(nn.Linear(width, out))
    return nn.Sequential(*layers)


def _require_pair(size: Sequence[int]) -> None:
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"a hidden layer of low rank must be (units, rank), both at least 1, got {size}")


def squeezed(logits: Tensor) -> Tensor:
    """(batch, 1) as (batch,); (batch, classes) as it is. Not by `squeeze`, which ONNX has for a length of 1 alone."""
    return logits.flatten() if logits.shape[1] == 1 else logits
