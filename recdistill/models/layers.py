"""Layers that several models share."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


def dense(width: int, hidden: Sequence[int], *, dropout: float = 0.0, out: int | None = 1) -> nn.Sequential:
    """Fully connected layers with ReLU between them.

    Args:
        width: size of the input.
        hidden: sizes of the hidden layers.
        dropout: after each hidden layer.
        out: size of the last, linear layer; None leaves it off.

    Raises:
        ValueError: the last layer would have no output.

    Shape: `(batch, width) -> (batch, out)`.
    """
    if out is not None and out < 1:
        raise ValueError(f"a network needs at least 1 output, got {out=}")
    layers: list[nn.Module] = []
    for size in hidden:
        layers += [nn.Linear(width, size), nn.ReLU()]
        if dropout:
            layers.append(nn.Dropout(dropout))
        width = size
    if out is not None:
        layers.append(nn.Linear(width, out))
    return nn.Sequential(*layers)


def squeezed(logits: Tensor) -> Tensor:
    """(batch, 1) as (batch,); (batch, classes) as it is. Not by `squeeze`, which ONNX has for a length of 1 alone."""
    return logits[:, 0] if logits.shape[1] == 1 else logits
