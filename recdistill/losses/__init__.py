"""Losses: tensors in, a scalar out; every distillation loss is 0 where student equals teacher."""

from collections.abc import Callable

from torch import Tensor

from recdistill.losses.binary import bce, binary_kd
from recdistill.losses.by_task import label_loss, teacher_loss
from recdistill.losses.categorical import categorical_kd, cross_entropy

LOSSES: dict[str, Callable[..., Tensor]] = {"binary_kd": binary_kd, "categorical_kd": categorical_kd}

__all__ = ["LOSSES", "bce", "binary_kd", "categorical_kd", "cross_entropy", "label_loss", "teacher_loss"]
