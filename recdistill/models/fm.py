"""Factorisation machine (Rendle 2010, "Factorization Machines", equations 1 and 5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from recdistill.batch import Batch
from recdistill.features import FeatureSpec
from recdistill.models.embeddings import Embeddings, Fields, of_first_order, summed, told
from recdistill.models.layers import squeezed


class FM(nn.Module):
    """w0 + Σ w_i + Σ_{i<j} ⟨v_i, v_j⟩ over the features of a row.

    DIFF: a multi-valued feature is one field with its ids' mean vector, so that pairs within its list do not count.
    DIFF: the paper has one output. With several classes, class k has its own w0 and w, and its own weights h_k on the
    vector that all share, ⟨h_k, Σ_{i<j} v_i ⊙ v_j⟩, as in a neural FM without hidden layers (He & Chua 2017,
    arXiv:1708.05027, section 3.1); h_k = 1 is the paper's.

    Args:
        spec: the encoded features.
        embedding_dim: length of each v.
        tables: how embedding tables are held in fewer bytes, see `Embeddings`; none for plain ones.
        classes: logits per row.
    """

    def __init__(
        self,
        spec: FeatureSpec,
        *,
        embedding_dim: int = 8,
        tables: Mapping[str, Any] | None = None,
        classes: int = 1,
    ) -> None:
        super().__init__()
        self.arguments = {"embedding_dim": embedding_dim, "classes": classes, **told(tables)}
        self.bias = nn.Parameter(torch.zeros(() if classes == 1 else classes))
        self.first = Embeddings(spec, classes, tables=of_first_order(tables))
        self.second = Embeddings(spec, embedding_dim, tables=tables)
        self.mix = mixing(embedding_dim, classes)

    @property
    def head(self) -> list[nn.Parameter]:
        """What makes logits of all the rest: the bias, and what mixes pairs for classes."""
        return [self.bias, *(self.mix.parameters() if self.mix else ())]

    def forward(self, batch: Batch) -> Tensor:
        """(batch,) logits, or (batch, classes)."""
        return self.bias + squeezed(self.first.fields(batch).total) + pairwise(self.second.fields(batch), self.mix)


def mixing(dim: int, classes: int) -> nn.Linear | None:
    """The weights h of several classes on the pairs' vector; None for one class, whose h is 1."""
    return None if classes == 1 else nn.Linear(dim, classes, bias=False)


def pairwise(fields: Fields, mix: nn.Linear | None) -> Tensor:
    """Σ_{i<j} ⟨v_i, v_j⟩ in linear time (Rendle 2010, lemma 3.1), or mixed from Σ_{i<j} v_i ⊙ v_j for each class.

    Args:
        fields: of (batch, fields, dim) vectors.
        mix: the weights h of several classes.

    Returns:
        (batch,), or (batch, classes).
    """
    if mix is None and fields.all_looked_up:
        alone: Tensor = Pairs.apply(fields.looked, None, None)  # type: ignore[no-untyped-call]
        return alone
    total, squares = fields.others()
    if mix is None:
        found: Tensor = Pairs.apply(fields.looked, total, squares.sum(1))  # type: ignore[no-untyped-call]
        return found
    total, squares = total + summed(fields.looked), squares + summed(fields.looked.square())
    return mix(0.5 * (total.square() - squares))  # of (batch, dim)


class Pairs(torch.autograd.Function):
    """(‖Σ_i v_i‖² − Σ_i ‖v_i‖²) / 2, whose gradient with respect to v_i is Σ_j v_j − v_i.

    Written out, the gradient is one pass over the vectors; by automatic differentiation it is several, and these passes
    are most of what a factorisation machine costs.
    """

    @staticmethod
    def forward(context: Any, vectors: Tensor, others: Tensor | None, squares: Tensor | None) -> Tensor:
        """(batch,) pairs.

        Args:
            context: of autograd.
            vectors: (batch, some fields, dim).
            others: (batch, dim), the sum of the other fields' vectors; None where there are none.
            squares: (batch,), the sum of their squared lengths; None where there are none.
        """
        total = summed(vectors) if others is None else summed(vectors) + others
        context.save_for_backward(vectors, total)
        own = torch.linalg.vector_norm(vectors.flatten(1), dim=1).square() if vectors.shape[1] else 0.0
        apart = total.square().sum(1) - own
        return 0.5 * (apart if squares is None else apart - squares)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """(batch,) gradients to those of the three."""
        vectors, total = context.saved_tensors
        by_row = gradients[0][:, None]
        others, squares = context.needs_input_grad[1:]
        return (
            (total[:, None] - vectors).mul_(by_row[:, None]),
            total * by_row if others else None,
            -0.5 * gradients[0] if squares else None,
        )
