"""Quotient and remainder: an id's vector is a product of two rows, and no two ids have both in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from recdistill.models.embeddings.compact.kinds import Features, Kind, known, means, require_whole
from recdistill.models.embeddings.plain import PlainTables, Vectors
from recdistill.models.embeddings.pooling import flattened, pooled


def quotient_remainder(*, buckets: int) -> Kind:
    """Q[i div buckets] ⊙ R[i mod buckets] for id i (Shi et al. 2020, arXiv:1909.02107, section 3).

    Its bytes: 4 · dim · (buckets + ⌈ids / buckets⌉) for each feature of more ids than rows; least at buckets = √ids.

    DIFF: both factors are drawn normally with the root of the plain tables' deviation, which is then that of the
    products.

    Args:
        buckets: rows of a feature's R.

    Raises:
        UsageError: they are too few.
    """
    return QuotientRemainder(buckets)


@dataclass(frozen=True)
class QuotientRemainder:
    """The kind; its argument is that of `quotient_remainder`."""

    buckets: int

    def __post_init__(self) -> None:
        require_whole("buckets", self.buckets, 1)

    def quotients(self, ids: int) -> int:
        """Rows of the Q of a feature of so many ids."""
        return -(-ids // self.buckets)

    def groups(self, features: Features, dim: int) -> dict[int, list[int]]:
        """Features of more ids than rows."""
        return {0: [place for place, (_, ids) in enumerate(features) if ids > self.buckets + self.quotients(ids)]}

    def tables(self, group: int, rows: Sequence[int], dim: int, deviation: float) -> nn.Module:
        """See `QuotientRemainderTables`."""
        return QuotientRemainderTables(rows, dim, self, deviation=deviation)


class QuotientRemainderTables(nn.Module):
    """Tables in which an id's vector is Q[i div buckets] ⊙ R[i mod buckets].

    Args:
        rows: ids of each feature.
        dim: length of each row.
        kind: with what is told of it.
        deviation: standard deviation of the initial vectors.
    """

    def __init__(self, rows: Sequence[int], dim: int, kind: QuotientRemainder, *, deviation: float) -> None:
        super().__init__()
        self.buckets = kind.buckets
        self.quotients = PlainTables([kind.quotients(ids) for ids in rows], dim, deviation=deviation**0.5)
        self.remainders = PlainTables([kind.buckets] * len(rows), dim, deviation=deviation**0.5)

    def forward(self, single: Tensor, multi: Sequence[Tensor]) -> Tensor:
        """(batch, single features) and per list feature (batch, longest) ids to (batch, features, dim)."""
        quotients, remainders = self.quotients.offsets, self.remainders.offsets
        above = flattened(single, multi, lambda ids, which: ids // self.buckets + quotients[which])
        below = flattened(single, multi, lambda ids, which: ids % self.buckets + remainders[which])
        return pooled(single, multi, self.quotients.looked_up(above) * self.remainders.looked_up(below))

    def vectors(self, place: int, ids: Tensor) -> Tensor:
        """(ids, dim) the vectors of some ids of the feature at a place."""
        quotients, remainders = self._factors(place, ids)
        return quotients * remainders

    @torch.no_grad()
    def take(self, place: int, other: Vectors, theirs: int, ids: Tensor) -> None:
        """Start each row as the mean of what the values that share it had in its place; see `PlainTables.take`.

        That is a factor of the other's product. Where a value had a vector of its own, that is its remainder's row, and
        its quotient's is 1. Values that were not known do not count beside known ones. Where the same ids share rows
        as before, nothing changes.
        """
        if isinstance(other, QuotientRemainderTables):
            factors = other._factors(theirs, ids)
        else:
            vectors = other.vectors(theirs, ids)
            factors = torch.ones_like(vectors), vectors
        mine, of_known = torch.arange(len(ids)), known(ids)
        shared = (mine // self.buckets, mine % self.buckets)
        for table, rows, parts in zip((self.quotients, self.remainders), shared, factors, strict=True):
            found = means(rows, parts, of_known, table.rows[place])
            table.weight[table.starts[place] : table.starts[place + 1]] = found

    def _factors(self, place: int, ids: Tensor) -> tuple[Tensor, Tensor]:
        """(ids, dim) each of the two whose product is an id's vector."""
        return self.quotients.vectors(place, ids // self.buckets), self.remainders.vectors(place, ids % self.buckets)
