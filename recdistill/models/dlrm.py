"""DLRM (Naumov et al. 2019, arXiv:1906.00091, section 2): dense and sparse features meet in dot products."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from recdistill.batch import Batch
from recdistill.features import FeatureSpec
from recdistill.models.embeddings import Embeddings, told
from recdistill.models.layers import Size, dense, squeezed


class DLRM(nn.Module):
    """Numbers through a bottom network, then dot products of all pairs, then a top network.

    DIFF: a table without numbers has no bottom network; the embeddings' mean takes its place at the top's input.

    Args:
        spec: the encoded features.
        embedding_dim: length of each embedding, and the bottom network's output.
        bottom: sizes of the bottom network's hidden layers.
        top: sizes of the top network's hidden layers.
        dropout: after each hidden layer of the top network.
        tables: how embedding tables are held in fewer bytes, see `Embeddings`; none for plain ones.
        classes: logits per row, the outputs of the top network.
    """

    pairs: Tensor

    def __init__(
        self,
        spec: FeatureSpec,
        *,
        embedding_dim: int = 16,
        bottom: Sequence[Size] = (64,),
        top: Sequence[Size] = (256, 128),
        dropout: float = 0.0,
        tables: Mapping[str, Any] | None = None,
        classes: int = 1,
    ) -> None:
        super().__init__()
        self.arguments = {
            "embedding_dim": embedding_dim,
            "bottom": list(bottom),
            "top": list(top),
            "dropout": dropout,
            "classes": classes,
            **told(tables),
        }
        self.sparse = Embeddings(replace(spec, number=()), embedding_dim, tables=tables)
        numbers = len(spec.number)
        self.bottom = dense(numbers, bottom, out=embedding_dim) if numbers else None
        fields = spec.fields - numbers + (1 if numbers else 0)
        self.top = dense(embedding_dim + fields * (fields - 1) // 2, top, dropout=dropout, out=classes)
        self.register_buffer("pairs", torch.triu_indices(fields, fields, 1), persistent=False)

    @property
    def head(self) -> list[nn.Parameter]:
        """What makes logits of all the rest: the top network's last layer."""
        return [*self.top[-1].parameters()]

    @property
    def last_layer(self) -> nn.Module | None:
        """The layer that reads the last hidden layer."""
        return self.top[-1]

    def forward(self, batch: Batch) -> Tensor:
        """(batch,) logits, or (batch, classes)."""
        vectors = self.sparse(batch)  # (batch, fields, dim)
        if self.bottom is None:
            dense_vector = vectors.mean(1)  # (batch, dim)
        else:
            dense_vector = self.bottom(batch.number)
            vectors = torch.cat([dense_vector[:, None], vectors], 1)
        dots = torch.bmm(vectors, vectors.transpose(1, 2))[:, self.pairs[0], self.pairs[1]]  # (batch, pairs)
        return squeezed(self.top(torch.cat([dense_vector, dots], 1)))
