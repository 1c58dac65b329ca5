"""A compact student: small embeddings, concatenated, through a small dense network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from recdistill.batch import Batch
from recdistill.features import FeatureSpec
from recdistill.models.embeddings import Embeddings, told
from recdistill.models.layers import Size, dense, squeezed


class MLP(nn.Module):
    """Embeddings, concatenated, through fully connected layers.

    Args:
        spec: the encoded features.
        embedding_dim: length of each embedding.
        hidden: sizes of the hidden layers.
        dropout: after each hidden layer.
        tables: how embedding tables are held in fewer bytes, see `Embeddings`; none for plain ones.
        classes: logits per row.
    """

    def __init__(
        self,
        spec: FeatureSpec,
        *,
        embedding_dim: int = 8,
        hidden: Sequence[Size] = (32,),
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
        self.embeddings = Embeddings(spec, embedding_dim, tables=tables)
        self.deep = dense(spec.fields * embedding_dim, hidden, dropout=dropout, out=classes)

    @property
    def head(self) -> list[nn.Parameter]:
        """What makes logits of all the rest: the last layer."""
        return [*self.deep[-1].parameters()]

    @property
    def last_layer(self) -> nn.Module | None:
        """The layer that reads the last hidden layer; None without one."""
        return self.deep[-1] if len(self.deep) > 1 else None

    def forward(self, batch: Batch) -> Tensor:
        """(batch,) logits, or (batch, classes)."""
        return squeezed(self.embeddings.fields(batch).dense(self.deep))
