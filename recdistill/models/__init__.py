"""Networks: `Model(spec, *, plain arguments)`, `forward(batch)` gives logits.

They are (batch,) with `classes=1`, the logit of a click, and (batch, classes) otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from recdistill.errors import UsageError
from recdistill.features import FeatureSpec
from recdistill.models.dcnv2 import DCNv2
from recdistill.models.deepfm import DeepFM
from recdistill.models.dlrm import DLRM
from recdistill.models.finalmlp import FinalMLP
from recdistill.models.fm import FM
from recdistill.models.hidden import hidden_width, with_hidden
from recdistill.models.lr import LR
from recdistill.models.mlp import MLP
from recdistill.models.wide_deep import WideDeep
from recdistill.settings import require_known

MODELS: dict[str, type[nn.Module]] = {
    "dcnv2": DCNv2,
    "deepfm": DeepFM,
    "dlrm": DLRM,
    "finalmlp": FinalMLP,
    "fm": FM,
    "lr": LR,
    "mlp": MLP,
    "wide_deep": WideDeep,
}


def require(name: str, arguments: Mapping[str, Any]) -> None:
    """Refuse a model or an argument that there is not.

    Raises:
        UsageError: names the nearest.
    """
    require_known("model", name, MODELS, arguments, given="spec")


def build(name: str, spec: FeatureSpec, *, seed: int = 0, arguments: Mapping[str, Any] | None = None) -> nn.Module:
    """A network with freshly drawn weights; the global random state is left as it was.

    Args:
        name: a key of `MODELS`.
        spec: the encoded features.
        seed: of the initial weights.
        arguments: the model's own keyword arguments.

    Raises:
        UsageError: the model or one of its arguments is not known, or has a value that makes no sense.
    """
    require(name, arguments or {})
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # not torch.manual_seed: that seeds GPUs too
        try:
            return MODELS[name](spec, **(arguments or {}))
        except (TypeError, ValueError, RuntimeError) as error:
            raise UsageError(f"model {name!r} cannot take {dict(arguments or {})}: {error}") from error


def model_name(network: nn.Module) -> str:
    """The key of a network's class in `MODELS`.

    Raises:
        UsageError: the class is not one of the package's models.
    """
    for name, kind in MODELS.items():
        if type(network) is kind:
            return name
    raise UsageError(f"only the package's own models can be saved ({', '.join(MODELS)}), got {type(network).__name__}")


__all__ = [
    "DLRM",
    "FM",
    "LR",
    "MLP",
    "MODELS",
    "DCNv2",
    "DeepFM",
    "FinalMLP",
    "WideDeep",
    "build",
    "hidden_width",
    "model_name",
    "require",
    "with_hidden",
]
