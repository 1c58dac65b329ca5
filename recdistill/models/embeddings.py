"""The one door through which models get their embeddings: plain torch tables, one row per id."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from recdistill.batch import Batch
from recdistill.features import PAD, FeatureSpec


class Embeddings(nn.Module):
    """One vector per feature: looked up for ids, averaged over lists, scaled for numbers, projected for vectors.

    All ids share one table with an offset per feature, so that a batch costs one lookup.

    Args:
        spec: the encoded features.
        dim: length of each vector.
        deviation: standard deviation of the initial table.

    Shape: `Batch -> (batch, fields, dim)`, fields in the spec's order.
    """

    offsets: Tensor

    def __init__(self, spec: FeatureSpec, dim: int, *, deviation: float = 0.01) -> None:
        super().__init__()
        if dim < 1:
            raise ValueError(f"embedding dim must be at least 1, got {dim=}")
        rows = [n for _, n in (*spec.categorical, *spec.multi)]
        starts = torch.tensor([0, *rows], dtype=torch.int32).cumsum(0, dtype=torch.int32)[:-1]
        self.single = len(spec.categorical)
        self.starts: list[int] = [*starts.tolist(), sum(rows)]
        self.register_buffer("offsets", starts, persistent=False)
        self.table = nn.Embedding(max(1, sum(rows)), dim)
        nn.init.normal_(self.table.weight, std=deviation)
        self.number = nn.Parameter(torch.randn(len(spec.number), dim) * deviation)
        self.vector = nn.ModuleList(nn.Linear(width, dim) for _, width in spec.vector)

    def forward(self, batch: Batch) -> Tensor:
        """(batch, fields, dim)."""
        parts = [self.table(batch.ids + self.offsets[: self.single])]  # (batch, categorical, dim)
        for position, ids in enumerate(batch.multi):
            parts.append(self._mean(ids, self.offsets[self.single + position]))
        if self.number.shape[0]:
            parts.append(batch.number[:, :, None] * self.number)  # (batch, numbers, dim)
        for layer, values in zip(self.vector, batch.vector, strict=True):
            parts.append(layer(values)[:, None])  # (batch, 1, dim)
        return torch.cat(parts, 1)

    @torch.no_grad()
    def take_rows(self, other: Embeddings, ids: Sequence[Tensor]) -> None:
        """Copy another's rows.

        Args:
            other: embeddings of the same features.
            ids: per id feature, (rows,) the other's id whose row each of these rows takes.
        """
        for start, end, first, taken in zip(self.starts, self.starts[1:], other.starts, ids, strict=False):
            self.table.weight[start:end] = other.table.weight[first + taken]

    def _mean(self, ids: Tensor, offset: Tensor) -> Tensor:
        """(batch, 1, dim), the mean over each list's ids."""
        kept = (ids != PAD)[:, :, None]  # (batch, longest, 1)
        looked = self.table(ids.clamp(min=0) + offset) * kept  # (batch, longest, dim)
        return looked.sum(1, keepdim=True) / kept.sum(1, keepdim=True).clamp(min=1)
