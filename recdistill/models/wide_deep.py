"""Wide & Deep (Cheng et al. 2016, arXiv:1606.07792, section 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from recdistill.batch import Batch
from recdistill.features import FeatureSpec
from recdistill.models.embeddings import Embeddings, of_first_order, told
from recdistill.models.layers import Size, dense, squeezed


class WideDeep(nn.Module):
    """⟨w_wide, x⟩ + ⟨w_deep, a⟩ + b: a linear model and a dense network, their logits added (equation 3).

    a is the last hidden layer (equation 2) over the embeddings; b is the bias of the network's last layer.

    DIFF: the paper's wide part also has cross-products of features that its authors chose by hand, φ(x) in equation 1.
    Which ones is knowledge of the data: a cross is a column of the table here, made before the model sees it.
    DIFF: the paper trains the wide part with FTRL and the deep part with AdaGrad; here one optimiser trains both.

    Args:
        spec: the encoded features; both parts see all of them.
        embedding_dim: length of each embedding of the deep part.
        hidden: sizes of the deep part's hidden layers.
        dropout: after each hidden layer.
        tables: how embedding tables are held in fewer bytes, see `Embeddings`; none for plain ones.
        classes: logits per row; class k has its own weights in both parts.
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
        self.wide = Embeddings(spec, classes, tables=of_first_order(tables))
        self.embeddings = Embeddings(spec, embedding_dim, tables=tables)
        self.deep = dense(spec.fields * embedding_dim, hidden, dropout=dropout, out=classes)

    @property
    def head(self) -> list[nn.Parameter]:
        """What makes logits of all the rest: the network's last layer."""
        return [*self.deep[-1].parameters()]

    @property
    def last_layer(self) -> nn.Module | None:
        """The layer that reads the last hidden layer; None without one."""
        return self.deep[-1] if len(self.deep) > 1 else None

    def forward(self, batch: Batch) -> Tensor:
        """(batch,) logits, or (batch, classes)."""
        deep = self.embeddings.fields(batch).dense(self.deep)  # (batch, classes)
        return squeezed(self.wide.fields(batch).total + deep)
