"""FinalMLP (Mao et al. 2023, arXiv:2304.00902, equations 3 to 7): two dense networks, each with its own view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from recdistill.batch import Batch
from recdistill.features import FeatureSpec
from recdistill.models.embeddings import Embeddings, told
from recdistill.models.layers import Size, Units, dense, squeezed, units_of


class FinalMLP(nn.Module):
    """Two gated streams o_1 and o_2 of dense layers on the same embeddings, fused by products of their outputs.

    Args:
        spec: the encoded features.
        embedding_dim: length of each embedding.
        streams: sizes of the hidden layers of the first and of the second stream.
        contexts: names of the features that the gate of each stream looks at, such as the user's for the first and
            the item's for the second; none for a gate that is the same for all rows.
        gate: sizes of the hidden layers of a gate that has a context.
        heads: of the fusion; each sees its own part of both outputs.
        dropout: after each hidden layer of the streams.
        tables: how embedding tables are held in fewer bytes, see `Embeddings`; none for plain ones.
        classes: logits per row.

    Raises:
        ValueError: there are not two streams and two contexts, a context has an unknown feature, or the heads do not
            divide a stream's output.
    """

    def __init__(
        self,
        spec: FeatureSpec,
        *,
        embedding_dim: int = 16,
        streams: Sequence[Sequence[Size]] = ((256, 128), (256, 128)),
        contexts: Sequence[Sequence[str]] = ((), ()),
        gate: Sequence[Size] = (64,),
        heads: int = 1,
        dropout: float = 0.0,
        tables: Mapping[str, Any] | None = None,
        classes: int = 1,
    ) -> None:
        super().__init__()
        if len(streams) != 2 or len(contexts) != 2:
            raise ValueError(f"there must be two streams and two contexts, got {streams=} and {contexts=}")
        self.arguments = {
            "embedding_dim": embedding_dim,
            "streams": [list(sizes) for sizes in streams],
            "contexts": [list(names) for names in contexts],
            "gate": list(gate),
            "heads": heads,
            "dropout": dropout,
            "classes": classes,
            **told(tables),
        }
        self.embeddings = Embeddings(spec, embedding_dim, tables=tables)
        width = spec.fields * embedding_dim
        shape = (spec.fields, embedding_dim)
        self.gates = nn.ModuleList(FeatureGate(shape, positions(spec, names), gate) for names in contexts)
        self.streams = nn.ModuleList(dense(width, sizes, dropout=dropout, out=None) for sizes in streams)
        first, second = (units_of(sizes[-1]) if sizes else width for sizes in streams)
        self.fusion = BilinearFusion(first, second, heads=heads, classes=classes)

    @property
    def head(self) -> list[nn.Parameter]:
        """What makes logits of all the rest: the fusion of the streams."""
        return [*self.fusion.parameters()]

    @property
    def last_layer(self) -> nn.Module | None:
        """The layer that reads the last hidden layer."""
        return self.fusion.linear[-1]

    @property
    def readers(self) -> dict[str, tuple[Units, ...]]:
        """What reads the last hidden layer of a dense network that ends with it."""
        linear, product = "fusion.linear.0.weight", "fusion.product"
        return {
            "streams.0": (Units(linear, (1,)), Units(product, (1, 2))),
            "streams.1": (Units(linear, (1,), last=True), Units(product, (1, 3))),
        }

    def forward(self, batch: Batch) -> Tensor:
        """(batch,) logits, or (batch, classes)."""
        vectors = self.embeddings(batch)  # (batch, fields, dim)
        first, second = (stream(gate(vectors)) for gate, stream in zip(self.gates, self.streams, strict=True))
        return squeezed(self.fusion(first, second))


def positions(spec: FeatureSpec, names: Sequence[str]) -> list[int]:
    """Where features stand among the fields.

    Raises:
        ValueError: there is no such feature.
    """
    pairs = (*spec.categorical, *spec.multi, *((name, 1) for name in spec.number), *spec.vector)
    fields = [name for name, _ in pairs]
    for name in names:
        if name not in fields:
            raise ValueError(f"a context must name features ({', '.join(fields)}), got {name!r}")
    return [fields.index(name) for name in names]


class FeatureGate(nn.Module):
    """Stream-specific feature selection: h = 2σ(g) ⊙ e, with g = Gate(x) of a context x (equations 3 and 4).

    DIFF: without a context the paper's x is a learnt vector. What a network makes of it is the same for every row, and
    is learnt directly here: g is a parameter, which starts at 0 and so as h = e.
    DIFF: x are the embeddings that the streams read, not a second set.

    Args:
        shape: (fields, dim) of the embeddings.
        context: positions of x among the fields.
        hidden: sizes of the gate's hidden layers.
    """

    context: Tensor

    def __init__(self, shape: tuple[int, int], context: Sequence[int], hidden: Sequence[Size]) -> None:
        super().__init__()
        fields, dim = shape
        self.register_buffer("context", torch.tensor(context, dtype=torch.long), persistent=False)
        self.network = dense(len(context) * dim, hidden, out=fields * dim) if context else None
        self.constant = nn.Parameter(torch.zeros(0 if context else fields * dim))

    def forward(self, vectors: Tensor) -> Tensor:
        """(batch, fields, dim) of e to (batch, fields · dim) of h."""
        seen = vectors.index_select(1, self.context).flatten(1)  # (batch, context · dim)
        g = self.constant if self.network is None else self.network(seen)  # (batch, fields · dim), or without batch
        return 2 * torch.sigmoid(g) * vectors.flatten(1)


class BilinearFusion(nn.Module):
    """b + ⟨w_1, o_1⟩ + ⟨w_2, o_2⟩ + Σ_j o_1jᵀ W_j o_2j over heads j, the parts of o_1 and o_2.

    It is the paper's multi-head bilinear fusion of the streams (equations 5 to 7). The sums over heads of b,
    ⟨w_1, o_1j⟩ and ⟨w_2, o_2j⟩ are those of the whole vectors.

    DIFF: the paper has one output. With several classes, class k has its own b, w_1, w_2 and W_j.

    Args:
        first, second: lengths of o_1 and o_2.
        heads: parts of each; more heads are fewer weights.
        classes: outputs.

    Raises:
        ValueError: the heads do not divide both lengths.
    """

    def __init__(self, first: int, second: int, *, heads: int, classes: int) -> None:
        super().__init__()
        if min(first, second, heads) < 1 or first % heads or second % heads:
            raise ValueError(f"heads must divide the streams' outputs of {first} and {second}, got {heads=}")
        self.heads = heads
        self.linear = dense(first + second, (), out=classes)  # w_1, w_2 and b
        bound = (first // heads) ** -0.5  # as in torch's own bilinear layer
        shape = (classes, heads, first // heads, second // heads)
        self.product = nn.Parameter(torch.empty(shape).uniform_(-bound, bound))

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """(batch, first) and (batch, second) to (batch, classes)."""
        ones, twos = (o.unflatten(1, (self.heads, -1)) for o in (first, second))  # (batch, heads, part)
        mapped = torch.einsum("bhi,chij->bchj", ones, self.product)
        return self.linear(torch.cat([first, second], 1)) + (mapped * twos[:, None]).sum((2, 3))
