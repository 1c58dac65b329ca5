"""DCN-V2 (Wang et al. 2021, arXiv:2008.13535, equations 1 to 4): layers that multiply features explicitly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from recdistill.batch import Batch
from recdistill.features import FeatureSpec
from recdistill.models.embeddings import Embeddings, told
from recdistill.models.layers import Size, Units, dense, squeezed, units_of


class DCNv2(nn.Module):
    """A cross network beside a dense network, or below it, on the same embeddings.

    After `crosses` layers the cross network holds products of up to `crosses + 1` features. Beside each other
    (parallel, the paper's figure 1b), one linear layer reads both outputs; stacked (figure 1a), the dense network reads
    the cross network's.

    Args:
        spec: the encoded features.
        embedding_dim: length of each embedding.
        crosses: number of cross layers.
        ranks: of each cross layer's matrices. None: one full matrix (equation 1). One: a matrix of that rank
            (equation 2). Several: a gated mixture of as many experts of these ranks (equations 3 and 4).
        hidden: sizes of the dense network's hidden layers.
        stacked: the dense network reads the cross network's output.
        dropout: after each hidden layer.
        tables: how embedding tables are held in fewer bytes, see `Embeddings`; none for plain ones.
        classes: logits per row, the outputs of the last linear layer.

    Raises:
        ValueError: there is no cross layer, or a rank is below 1.
    """

    def __init__(
        self,
        spec: FeatureSpec,
        *,
        embedding_dim: int = 16,
        crosses: int = 3,
        ranks: Sequence[int] = (),
        hidden: Sequence[Size] = (256, 128),
        stacked: bool = False,
        dropout: float = 0.0,
        tables: Mapping[str, Any] | None = None,
        classes: int = 1,
    ) -> None:
        super().__init__()
        self.arguments = {
            "embedding_dim": embedding_dim,
            "crosses": crosses,
            "ranks": list(ranks),
            "hidden": list(hidden),
            "stacked": stacked,
            "dropout": dropout,
            "classes": classes,
            **told(tables),
        }
        self.stacked = stacked
        self.embeddings = Embeddings(spec, embedding_dim, tables=tables)
        width = spec.fields * embedding_dim
        self.cross = Cross(width, crosses, ranks)
        self.deep = dense(width, hidden, dropout=dropout, out=None)
        last = units_of(hidden[-1]) if hidden else width
        self.out = dense(last if stacked else width + last, (), out=classes)

    @property
    def head(self) -> list[nn.Parameter]:
        """What makes logits of all the rest: the last linear layer."""
        return [*self.out.parameters()]

    @property
    def last_layer(self) -> nn.Module | None:
        """The layer that reads the last hidden layer."""
        return self.out[-1]

    @property
    def readers(self) -> dict[str, tuple[Units, ...]]:
        """What reads the last hidden layer of a dense network that ends with it."""
        return {"deep": (Units("out.0.weight", (1,), last=True),)}

    def forward(self, batch: Batch) -> Tensor:
        """(batch,) logits, or (batch, classes)."""
        start = self.embeddings(batch).flatten(1)  # (batch, fields · dim)
        crossed = self.cross(start)
        top = self.deep(crossed) if self.stacked else torch.cat([crossed, self.deep(start)], 1)
        return squeezed(self.out(top))


class Cross(nn.Module):
    """x_{l+1} = x_0 ⊙ (W_l x_l + b_l) + x_l for each layer l (equation 1).

    Args:
        width: length of x.
        layers: how many.
        ranks: as in `DCNv2`.

    Raises:
        ValueError: as in `DCNv2`.
    """

    def __init__(self, width: int, layers: int, ranks: Sequence[int]) -> None:
        super().__init__()
        if layers < 1:
            raise ValueError(f"a cross network needs at least 1 layer, got crosses={layers}")
        if any(rank < 1 for rank in ranks):
            raise ValueError(f"ranks must be at least 1, got ranks={list(ranks)}")
        # The paper's G_i has no index l: one gate serves all layers.
        self.gate = nn.Linear(width, len(ranks)) if len(ranks) > 1 else None
        self.layers = nn.ModuleList(Experts(width, ranks) if ranks else nn.Linear(width, width) for _ in range(layers))

    def forward(self, start: Tensor) -> Tensor:
        """(batch, width) of x_0 to (batch, width) of the last x."""
        x = start
        for layer in self.layers:
            mapped = layer(x) if self.gate is None else layer(x, self.gate(x).softmax(1))
            x = start * mapped + x
        return x


class Experts(nn.Module):
    """Σ_i G_i U_i g(C_i g(V_iᵀ x)) + b, in place of W x + b (equations 3 and 4 with g = tanh).

    A single expert is U Vᵀ x + b (equation 2). The V of all experts are one matrix, and so are the U.

    DIFF: the experts of equation 3 that have no C and no g are not offered; those of equation 4 refine them.

    Args:
        width: length of x.
        ranks: of each expert.
    """

    def __init__(self, width: int, ranks: Sequence[int]) -> None:
        super().__init__()
        self.ranks = list(ranks)
        self.down = nn.Linear(width, sum(ranks), bias=False)  # V
        self.inner = nn.ModuleList(nn.Linear(rank, rank, bias=False) for rank in ranks if len(ranks) > 1)  # C
        self.up = nn.Linear(sum(ranks), width)  # U and b; Σ G_i = 1, so that b needs no gate

    def forward(self, x: Tensor, gates: Tensor | None = None) -> Tensor:
        """(batch, width), and with several experts their gates (batch, experts), to (batch, width)."""
        low = self.down(x)  # (batch, all ranks)
        if gates is not None:
            parts = zip(self.inner, low.tanh().split(self.ranks, 1), gates.split(1, 1), strict=True)
            low = torch.cat([gate * inner(part).tanh() for inner, part, gate in parts], 1)
        return self.up(low)
