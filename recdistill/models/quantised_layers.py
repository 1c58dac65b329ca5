"""Linear layers in fewer bits, for scoring: each row of weights as small integers of one step."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from recdistill.errors import DataError

LEVELS = 127  # of int8 on either side of 0; -128 is left out, so that a step serves both


class QuantisedLinear(nn.Linear):
    """A linear layer whose weights are 8-bit integers, a step for each output (Krishnamoorthi 2018, arXiv:1806.08342).

    A row w is kept as q = round(w / step) with step = max |w| / 127, symmetric and per channel (sections 2.2 and 2.4),
    and read as step · q: no weight is off by more than step / 2. Steps and biases are float32, and so is what is
    computed: bytes are saved, not multiplications.

    Args:
        plain: the layer.

    Raises:
        DataError: a weight is not finite.

    Attributes:
        codes: (out, in) int8, q.
        steps: (out, 1) float32.
    """

    codes: Tensor
    steps: Tensor

    def __init__(self, plain: nn.Linear) -> None:
        nn.Module.__init__(self)  # not Linear's, which would make the weight a parameter
        self.in_features, self.out_features = plain.in_features, plain.out_features
        weight = plain.weight.detach().float().cpu()
        if not torch.isfinite(weight).all():
            raise DataError("weights must be finite to be quantised, got NaN or infinity")
        steps = weight.abs().amax(1, keepdim=True) / LEVELS
        codes = torch.nan_to_num(weight / steps).round().clamp(-LEVELS, LEVELS)  # a row of zeros has no step
        self.register_buffer("codes", codes.to(torch.int8))
        self.register_buffer("steps", steps)
        self.register_parameter("bias", None if plain.bias is None else nn.Parameter(plain.bias.detach().cpu()))

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        """(out, in), multiplied out."""
        return self.codes.float() * self.steps


def with_quantised_layers(network: nn.Module) -> nn.Module:
    """A copy of a network, the weights of its linear layers of more than one input in 8 bits.

    Raises:
        DataError: a weight is not finite.
    """
    network = copy.deepcopy(network)
    for module in list(network.modules()):
        for name, layer in list(module.named_children()):
            if type(layer) is nn.Linear and layer.in_features > 1:  # of one input a step costs more than it saves
                setattr(module, name, QuantisedLinear(layer))
    return network
