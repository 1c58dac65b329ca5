"""Plain torch tables: what every saved model has, on any device, with nothing but torch installed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Protocol

import torch
from torch import Tensor, nn

from recdistill.models.embeddings.lookup import SparseLookup
from recdistill.models.embeddings.pooling import averaged
from recdistill.models.embeddings.unplaced import BLOCK, Rows

MOST_ROWS = 2**31 - 1


class Vectors(Protocol):
    """Tables whose vectors can be read one feature at a time."""

    def vectors(self, place: int, ids: Tensor) -> Tensor:
        """(ids, dim) the vectors of some ids of the feature at a place."""


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
        return averaged(single, multi, self.offsets, self.looked_up)

    @torch.no_grad()
    def vectors(self, place: int, ids: Tensor) -> Tensor:
        """(ids, dim) the vectors of some ids of the feature at a place."""
        return self.weight[self.starts[place] + ids]

    @torch.no_grad()
    def take(self, place: int, other: Vectors, theirs: int, ids: Tensor) -> None:
        """Give a feature's ids the vectors that other tables have for the same values.

        Args:
            place: of the feature.
            other: the other tables.
            theirs: the feature's place there.
            ids: (rows,) the other's id whose vector each of these takes.
        """
        self.weight[self.starts[place] : self.starts[place + 1]] = other.vectors(theirs, ids)

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

    def looked_up(self, ids: Tensor) -> Tensor:
        """(lookups,) places to (lookups, dim) rows."""
        if self.sparse and torch.is_grad_enabled():
            found: Tensor = SparseLookup.apply(ids, self.weight)  # type: ignore[no-untyped-call]
            return found
        return nn.functional.embedding(ids, self.weight)
