"""Factorisation machine (Rendle 2010, "Factorization Machines", equations 1 and 5)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from recdistill.batch import Batch, FeatureSpec
from recdistill.models.embeddings import Embeddings


class FM(nn.Module):
    """w0 + Σ w_i + Σ_{i<j} ⟨v_i, v_j⟩ over the features of a row.

    DIFF: a multi-valued feature is one field with its ids' mean vector, so that pairs within its list do not count.

    Args:
        spec: the encoded features.
        embedding_dim: length of each v.
    """

    def __init__(self, spec: FeatureSpec, *, embedding_dim: int = 8) -> None:
        super().__init__()
        self.arguments = {"embedding_dim": embedding_dim}
        self.bias = nn.Parameter(torch.zeros(()))
        self.first = Embeddings(spec, 1)
        self.second = Embeddings(spec, embedding_dim)

    def forward(self, batch: Batch) -> Tensor:
        """(batch,) logits."""
        return self.bias + self.first(batch).sum((1, 2)) + pairwise(self.second(batch))


def pairwise(vectors: Tensor) -> Tensor:
    """Σ_{i<j} ⟨v_i, v_j⟩ in linear time (Rendle 2010, lemma 3.1).

    Shape: `(batch, fields, dim) -> (batch,)`.
    """
    return 0.5 * (vectors.sum(1).square() - vectors.square().sum(1)).sum(1)
