"""The last hidden layer of a network: what its last linear layer reads, on the way to the logits."""

from __future__ import annotations

from torch import Tensor, nn

from recdistill.batch import Batch
from recdistill.errors import UsageError


def hidden_width(network: nn.Module) -> int:
    """How wide a network's last hidden layer is.

    Raises:
        UsageError: it has none.
    """
    return _last_layer(network).in_features


def with_hidden(network: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """The logits of a batch, and the last hidden layer that they were made of.

    Of a model that adds several terms, as DeepFM does, it is the hidden layer of the dense part.

    Returns:
        (batch,) or (batch, classes), and (batch, width).

    Raises:
        UsageError: the network has no hidden layer.
    """
    seen: list[Tensor] = []
    watch = _last_layer(network).register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        logits = network(batch)
    finally:
        watch.remove()
    return logits, seen[0]


def _last_layer(network: nn.Module) -> nn.Linear:
    """The `last_layer` that a network declares."""
    layer = getattr(network, "last_layer", None)
    if not isinstance(layer, nn.Linear):
        rule = "a hidden layer is what a network's `last_layer`, a linear one, reads"
        raise UsageError(f"{rule}; {type(network).__name__} has none with these arguments")
    return layer
