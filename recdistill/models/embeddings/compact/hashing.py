"""Hashing: ids share rows, so that a table has as many as one can afford."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from recdistill.models.embeddings.compact.kinds import Features, Kind, known, means, require_whole
from recdistill.models.embeddings.plain import PlainTables, Vectors
from recdistill.models.embeddings.pooling import flattened, pooled

# h(j) = ((A j + B) mod P) mod buckets is drawn from a universal family (Carter & Wegman 1979); P is prime, above every
# id but one, and A j stays below 2^62.
PRIME, FACTOR, SHIFT = 2**31 - 1, 1_103_515_245, 362_436_069


def hashing(*, buckets: int, frequent: int = 1) -> Kind:
    """One row for all ids of the same remainder (the hashing trick: Weinberger et al. 2009, arXiv:0902.2206).

    Its bytes: 4 · dim · (frequent + buckets) for each feature of more ids than that.

    Args:
        buckets: rows that a feature's other ids share.
        frequent: how many ids keep a row of their own. A vocabulary's ids go by falling count, and the first is the
            unseen one.

    Raises:
        UsageError: one is too small.
    """
    return Hashed(buckets, frequent, hashes=1)


def double_hashing(*, buckets: int, frequent: int = 1) -> Kind:
    """The sum of two rows by two hashes for rare ids, a row of their own for frequent ones.

    Zhang et al. 2020, "Model size reduction using frequency based double hashing for recommender systems",
    arXiv:2007.14523. Two ids that share one row hardly ever share both. Its bytes are those of `hashing`.

    DIFF: a frequent id's two rows are one row, so that all vectors are sums of two.

    Args:
        buckets, frequent: as in `hashing`.

    Raises:
        UsageError: one is too small.
    """
    return Hashed(buckets, frequent, hashes=2)


@dataclass(frozen=True)
class Hashed:
    """The kind of both; arguments as theirs."""

    buckets: int
    frequent: int
    hashes: int

    def __post_init__(self) -> None:
        require_whole("buckets", self.buckets, 1)
        require_whole("frequent", self.frequent, 0)

    def groups(self, features: Features, dim: int) -> dict[int, list[int]]:
        """Features of more ids than rows."""
        return {0: [place for place, (_, ids) in enumerate(features) if ids > self.frequent + self.buckets]}

    def tables(self, group: int, rows: Sequence[int], dim: int, deviation: float) -> nn.Module:
        """See `HashedTables`."""
        return HashedTables(len(rows), dim, self, deviation=deviation)


class HashedTables(nn.Module):
    """Tables in which an id's vector is Σ_k T[r_k(i)], the sum of the rows that its hashes name.

    r_k(i) = i for i < frequent, else frequent + h_k(i − frequent), with h_1(j) = j mod buckets, so that the most
    frequent of the ids that share rows do not share them with each other, and h_2 of a universal family.

    Args:
        features: how many.
        dim: length of each row.
        kind: with what is told of it.
        deviation: standard deviation of the initial vectors of ids that share rows; a frequent id's, the same row by
            each hash, have that of √hashes times as much.
    """

    def __init__(self, features: int, dim: int, kind: Hashed, *, deviation: float) -> None:
        super().__init__()
        self.kind, self.count = kind, kind.frequent + kind.buckets
        self.rows = PlainTables([self.count] * features, dim, deviation=deviation / kind.hashes**0.5)

    def forward(self, single: Tensor, multi: Sequence[Tensor]) -> Tensor:
        """(batch, single features) and per list feature (batch, longest) ids to (batch, features, dim)."""
        places = [flattened(single, multi, partial(self._place, number)) for number in range(self.kind.hashes)]
        found = self.rows.looked_up(torch.cat(places))  # at once, for one gradient
        return pooled(single, multi, found.unflatten(0, (self.kind.hashes, -1)).sum(0))

    def vectors(self, place: int, ids: Tensor) -> Tensor:
        """(ids, dim) the vectors of some ids of the feature at a place."""
        return self._parts(place, ids).sum(1)

    @torch.no_grad()
    def take(self, place: int, other: Vectors, theirs: int, ids: Tensor) -> None:
        """Start each row as the mean of what the values that share it had in its place; see `PlainTables.take`.

        That is the rows of the other hashed tables, or the value's vector by as many as it is the sum of. Values that
        were not known do not count beside known ones. Where the same ids share rows as before, nothing changes.
        """
        hashes = self.kind.hashes
        if isinstance(other, HashedTables):
            parts = other._parts(theirs, ids)
        else:
            parts = (other.vectors(theirs, ids) / hashes)[:, None].repeat(1, hashes, 1)
        mine = self._rows(torch.arange(len(ids)))  # (ids, hashes)
        of_known = known(ids)[:, None].expand(mine.shape)
        found = means(mine.flatten(), parts.flatten(0, 1), of_known.flatten(), self.count)
        self.rows.weight[place * self.count : (place + 1) * self.count] = found

    @torch.no_grad()
    def _parts(self, place: int, ids: Tensor) -> Tensor:
        """(ids, hashes, dim) the rows whose sum is an id's vector."""
        return self.rows.weight[place * self.count + self._rows(ids)]

    def _rows(self, ids: Tensor) -> Tensor:
        """(ids, hashes)."""
        return torch.stack([self._row(ids, number) for number in range(self.kind.hashes)], 1)

    def _place(self, number: int, ids: Tensor, which: slice | int) -> Tensor:
        return self._row(ids, number) + self.rows.offsets[which]

    def _row(self, ids: Tensor, number: int) -> Tensor:
        """r_k of ids of any shape."""
        rare = (ids - self.kind.frequent).clamp(min=0)
        if number:
            rare = ((rare.long() * FACTOR + SHIFT) % PRIME).to(ids.dtype)
        return torch.where(ids < self.kind.frequent, ids, self.kind.frequent + rare % self.kind.buckets)
