"""Logistic regression (Cox 1958): the linear model that every other one has to beat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from recdistill.batch import Batch
from recdistill.features import FeatureSpec
from recdistill.models.embeddings import Embeddings, told
from recdistill.models.layers import squeezed


class LR(nn.Module):
    """b + ⟨w, x⟩: one weight per id and per number, and a vector of weights per vector feature.

    A multi-valued feature counts as the mean of its ids' weights, so that a longer list is not a larger feature. The
    weights are embeddings of dim 1, the first-order part of `FM`.

    Args:
        spec: the encoded features.
        tables: how embedding tables are held in fewer bytes, see `Embeddings`; none for plain ones.
        classes: logits per row; class k has its own b and w (multinomial logistic regression).
    """

    def __init__(self, spec: FeatureSpec, *, tables: Mapping[str, Any] | None = None, classes: int = 1) -> None:
        super().__init__()
        self.arguments = {"classes": classes, **told(tables)}
        self.first = Embeddings(spec, classes, tables=tables)
        self.bias = nn.Parameter(torch.zeros(() if classes == 1 else classes))

    @property
    def head(self) -> list[nn.Parameter]:
        """What makes logits of all the rest: the bias."""
        return [self.bias]

    def forward(self, batch: Batch) -> Tensor:
        """(batch,) logits, or (batch, classes)."""
        return self.bias + squeezed(self.first.fields(batch).total)
