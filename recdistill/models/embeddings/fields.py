"""Embeddings: what a model asks for, one vector per feature of a row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from recdistill.batch import Batch
from recdistill.features import FeatureSpec
from recdistill.models.embeddings.plain import PlainTables
from recdistill.models.embeddings.unplaced import DrawnRows, UnplacedTables, asked_for


class Tables(Protocol):
    """The tables behind some embeddings: one per id feature, the single ones first."""

    def __call__(self, single: Tensor, multi: Sequence[Tensor]) -> Tensor:
        """(batch, single features) and per list feature (batch, longest) ids to (batch, features, dim)."""


class Embeddings(nn.Module):
    """One vector per feature: looked up for ids, averaged over lists, scaled for numbers, projected for vectors.

    Args:
        spec: the encoded features.
        dim: length of each vector.
        deviation: standard deviation of the initial tables.

    Shape: `Batch -> (batch, fields, dim)`, fields in the spec's order.
    """

    def __init__(self, spec: FeatureSpec, dim: int, *, deviation: float = 0.01) -> None:
        super().__init__()
        if dim < 1:
            raise ValueError(f"embedding dim must be at least 1, got {dim=}")
        self.features, self.dim, self.deviation = (*spec.categorical, *spec.multi), dim, deviation
        self.table: nn.Module = (
            UnplacedTables(self.features, dim, deviation=deviation)
            if asked_for()
            else PlainTables([rows for _, rows in self.features], dim, deviation=deviation)
        )
        self.number = nn.Parameter(torch.randn(len(spec.number), dim) * deviation)
        self.vector = nn.ModuleList(nn.Linear(width, dim) for _, width in spec.vector)

    def forward(self, batch: Batch) -> Tensor:
        """(batch, fields, dim)."""
        parts = [self.table(batch.ids, batch.multi)]  # (batch, id features, dim)
        if self.number.shape[0]:
            parts.append(batch.number[:, :, None] * self.number)  # (batch, numbers, dim)
        for layer, values in zip(self.vector, batch.vector, strict=True):
            parts.append(layer(values)[:, None])  # (batch, 1, dim)
        return torch.cat(parts, 1)


def embeddings_of(network: nn.Module) -> Iterator[tuple[str, Embeddings]]:
    """A network's embeddings, each with its name in it."""
    return ((name, module) for name, module in network.named_modules() if isinstance(module, Embeddings))


def placed(network: nn.Module, *, seed: int = 0, draw: bool = True) -> nn.Module:
    """The network, whose unplaced tables are now plain ones, with rows drawn from the seed or of zeros."""
    for name, module in embeddings_of(network):
        if isinstance(module.table, UnplacedTables):
            tables = PlainTables([rows for _, rows in module.features], module.dim, deviation=None)
            rows = DrawnRows(seed, name, module.dim, module.deviation)
            tables.draw([feature for feature, _ in module.features], rows) if draw else None
            module.table = tables
    return network
