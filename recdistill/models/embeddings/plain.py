"""Plain torch tables: what every saved model has, on any device, with nothing but torch installed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn

from recdistill.features import PAD
from recdistill.models.embeddings.lookup import SparseLookup
from recdistill.models.embeddings.unplaced import BLOCK, Rows

MOST_ROWS = 2**31 - 1


class PlainTables(nn.Module):
    """The tables of several id features, end to end in one, so that a batch costs one lookup.

    Args:
        rows: of each feature's table.
        dim: length of each row.
        deviation: standard deviation of the initial rows; None leaves zeros, for who fills them.

    Raises:
        ValueError: a table has more rows than int32 can count.

    Attributes:
        sparse: whether the weight's gradient holds only the rows of the batch; see `SparseLookup`.
        held: (rows,) bool, which rows a fit leaves as they are; None for none.
    """

    offsets: Tensor

    def __init__(self, rows: Sequence[int], dim: int, *, deviation: float | None = 0.01) -> None:
        super().__init__()
        if max(rows, default=0) > MOST_ROWS:
            raise ValueError(f"a table has at most {MOST_ROWS:,} rows, got {max(rows):,}")
        self.rows, self.sparse = list(rows), False
        self.held: Tensor | None = None
        self.starts = [0, *accumulate(rows)]
        places = torch.int32 if sum(rows) <= MOST_ROWS else torch.int64
        self.register_buffer("offsets", torch.tensor(self.starts[:-1], dtype=places), persistent=False)
        size = max(1, sum(rows))
        if deviation is None:
            self.weight = nn.Parameter(torch.zeros(size, dim))
        else:  # `nn.Embedding` draws too: a seed goes on giving the weights that results were made with
            self.weight = nn.Parameter(nn.Embedding(size, dim).weight.detach())
            nn.init.normal_(self.weight, std=deviation)

    def forward(self, single: Tensor, multi: Sequence[Tensor]) -> Tensor:
        """(batch, single features) and per list feature (batch, longest) ids to (batch, features, dim).

        A list counts as the mean of its ids' rows.
        """
        return averaged(single, multi, self.offsets, self._looked_up)

    @torch.no_grad()
    def take_rows(self, other: PlainTables, ids: Sequence[Tensor]) -> None:
        """Copy another's rows.

        Args:
            other: tables of the same features.
            ids: per feature, (rows,) the other's id whose row each of these rows takes.
        """
        for start, end, first, taken in zip(self.starts, self.starts[1:], other.starts, ids, strict=False):
            self.weight[start:end] = other.weight[first + taken]

    @torch.no_grad()
    def draw(self, names: Sequence[str], rows: Rows) -> None:
        """Fill the tables of features of these names, a block of rows at a time."""
        for name, start, count in zip(names, self.starts, self.rows, strict=False):
            for first in range(0, count, BLOCK):
                last = min(first + BLOCK, count)
                self.weight[start + first : start + last] = rows(name, first, last)

    def rows_between(self, names: Sequence[str]) -> Rows:
        """Its rows by feature and place, see `Rows`; `names` are the features'."""
        first = dict(zip(names, self.starts, strict=False))
        weight = self.weight.detach()

        def rows(feature: str, start: int, stop: int) -> Tensor:
            return weight[first[feature] + start : first[feature] + stop]

        return rows

    def _looked_up(self, ids: Tensor) -> Tensor:
        """(lookups, dim)."""
        if self.sparse and torch.is_grad_enabled():
            found: Tensor = SparseLookup.apply(ids, self.weight)  # type: ignore[no-untyped-call]
            return found
        return nn.functional.embedding(ids, self.weight)


def averaged(single: Tensor, multi: Sequence[Tensor], offsets: Tensor, looked_up: Callable[[Tensor], Tensor]) -> Tensor:
    """A vector for each id feature of a batch, that of a list the mean of its ids' rows.

    Args:
        single: (batch, single features) ids.
        multi: per list feature (batch, longest) ids.
        offsets: (features,) where each feature's rows begin, the single ones first.
        looked_up: (lookups,) places to (lookups, dim) rows.

    Returns:
        (batch, features, dim).
    """
    batch, width = single.shape
    places = [(single + offsets[:width]).flatten()]
    places += [(ids.clamp(min=0) + offsets[width + k]).flatten() for k, ids in enumerate(multi)]
    found = looked_up(torch.cat(places) if multi else places[0])
    if not width and not multi:
        return found.new_zeros(batch, 0, found.shape[1])
    looked, *lists = found.split([ids.shape[0] for ids in places])  # not len, which an export would take as fixed
    parts = [looked.unflatten(0, (batch, width))] if width else []  # ONNX makes no matrix of nothing
    parts += [_mean(ids != PAD, rows.unflatten(0, ids.shape)) for ids, rows in zip(multi, lists, strict=True)]
    return torch.cat(parts, 1) if multi else parts[0]


def _mean(kept: Tensor, rows: Tensor) -> Tensor:
    """(batch, 1, dim), the mean of each list's rows; `kept` (batch, longest) says which are its own."""
    kept = kept[:, :, None]
    return (rows * kept).sum(1, keepdim=True) / kept.sum(1, keepdim=True).clamp(min=1)
