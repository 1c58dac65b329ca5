"""DeepFM (Guo et al. 2017, arXiv:1703.04247, equations 1 to 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from recdistill.batch import Batch
from recdistill.features import FeatureSpec
from recdistill.models.embeddings import Embeddings, of_first_order, told
from recdistill.models.fm import mixing, pairwise
from recdistill.models.layers import Size, dense, squeezed


class DeepFM(nn.Module):
    """A factorisation machine and a dense network on the same embeddings, their logits added.

    Args:
        spec: the encoded features.
        embedding_dim: length of each embedding.
        hidden: sizes of the dense network's hidden layers.
        dropout: after each hidden layer.
        tables: how embedding tables are held in fewer bytes, see `Embeddings`; none for plain ones.
        classes: logits per row; several as in `FM`.
    """

    def __init__(
        self,
        spec: FeatureSpec,
        *,
        embedding_dim: int = 16,
        hidden: Sequence[Size] = (256, 128),
        dropout: float = 0.0,
        tables: Mapping[str, Any] | None = None,
        classes: int = 1,
    ) -> None:
        super().__init__()
        self.arguments = {
            "embedding_dim": embedding_dim,
            "hidden": list(hidden),
            "dropout": dropout,
            "classes": classes,
            **told(tables),
        }
        self.bias = nn.Parameter(torch.zeros(() if classes == 1 else classes))
        self.first = Embeddings(spec, classes, tables=of_first_order(tables))
        self.second = Embeddings(spec, embedding_dim, tables=tables)
        self.deep = dense(spec.fields * embedding_dim, hidden, dropout=dropout, out=classes)
        self.mix = mixing(embedding_dim, classes)

    @property
    def head(self) -> list[nn.Parameter]:
        """What makes logits of all the rest: the network's last layer, the bias, and what mixes pairs for classes."""
        return [self.bias, *self.deep[-1].parameters(), *(self.mix.parameters() if self.mix else ())]

    @property
    def last_layer(self) -> nn.Module | None:
        """The layer that reads the last hidden layer; None without one."""
        return self.deep[-1] if len(self.deep) > 1 else None

    def forward(self, batch: Batch) -> Tensor:
        """(batch,) logits, or (batch, classes)."""
        fields = self.second.fields(batch)
        deep = squeezed(fields.dense(self.deep))
        return self.bias + squeezed(self.first.fields(batch).total) + pairwise(fields, self.mix) + deep
