"""Losses: tensors in, a scalar out; every distillation loss is 0 where student equals teacher."""

from collections.abc import Callable

from torch import Tensor

from recdistill.losses.binary import bce, binary_kd

LOSSES: dict[str, Callable[..., Tensor]] = {"binary_kd": binary_kd}

__all__ = ["LOSSES", "bce", "binary_kd"]
