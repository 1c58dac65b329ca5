"""A block of ids with rows of one length, and their projection to the vectors' length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from recdistill.models.embeddings.compact.kinds import known
from recdistill.models.embeddings.plain import PlainTables
from recdistill.models.embeddings.pooling import flattened, pooled


@dataclass(frozen=True)
class Piece:
    """A feature's ids from `first` to before `stop`, with rows of a width."""

    first: int
    stop: int
    width: int

    def numbers(self, dim: int) -> int:
        """How many its rows take, with their projection to a length."""
        return self.width * (self.stop - self.first + (dim if self.width < dim else 0))


class Block(nn.Module):
    """U_b[i] P_b for ids of the block, 0 for others. P_b is per feature, and none for rows of the full length.

    Args:
        pieces: of each feature; they begin at the same id and have one width.
        dim: length of each vector.
        whole: whether all ids are in the block. Else it has a row more, of zeros, for ids of other blocks.
        deviation: standard deviation of the initial vectors.
    """

    stops: Tensor

    def __init__(self, pieces: Sequence[Piece], dim: int, *, whole: bool, deviation: float) -> None:
        super().__init__()
        self.first, self.whole, width = pieces[0].first, whole, pieces[0].width
        sizes = [piece.stop - piece.first for piece in pieces]
        self.spare = sum(sizes)
        self.rows = PlainTables(sizes if whole else [*sizes, 1], width, deviation=deviation)
        if not whole:
            self.rows.weight.data[self.spare] = 0.0  # and so it stays: it has no gradient
        self.projection = nn.Parameter(torch.randn(len(pieces), width, dim) / width**0.5) if width < dim else None
        self.register_buffer("stops", torch.tensor([piece.stop for piece in pieces]), persistent=False)

    def forward(self, single: Tensor, multi: Sequence[Tensor]) -> Tensor:
        """(batch, single features) and per list feature (batch, longest) ids to (batch, features, dim)."""
        places = flattened(single, multi, self._places)
        rows = self.rows.looked_up(places)
        if not self.whole:
            rows = rows * (places != self.spare)[:, None]
        found = pooled(single, multi, rows)  # (batch, features, width)
        return found if self.projection is None else torch.einsum("bfw,fwd->bfd", found, self.projection)

    @torch.no_grad()
    def vectors(self, place: int, ids: Tensor) -> Tensor:
        """(ids, dim) the vectors of some ids of the feature at a place, 0 for those of other blocks."""
        inside = self._inside(place, ids)
        rows = self.rows.vectors(place, torch.where(inside, ids - self.first, 0)) * inside[:, None]
        return rows if self.projection is None else rows @ self.projection[place]

    def take(self, place: int, other: Block | None, theirs: int, ids: Tensor, vectors: Tensor) -> None:
        """Give the block's ids of a feature their vectors, as near as its width lets.

        Args:
            place: of the feature.
            other: the same block of other tables, if they have it.
            theirs: the feature's place there.
            ids: (rows,) the other's id whose vector each takes, of all the feature's ids.
            vectors: (rows, dim) those vectors.
        """
        own = slice(self.first, int(self.stops[place]))
        ids, vectors, of_known = ids[own], vectors[own], known(ids)[own]
        rows = self.rows.weight[self.rows.starts[place] : self.rows.starts[place + 1]]
        if self.projection is None:
            rows.copy_(vectors)
            return
        before = other._inside(theirs, ids) if other else torch.zeros_like(of_known)
        follow = other is not None and other.projection is not None and bool(before[of_known].all())
        if follow:
            self.projection[place] = other.projection[theirs]  # type: ignore[union-attr, index]
        else:
            self.projection[place] = _directions(vectors[of_known] if of_known.any() else vectors, rows.shape[1])
        rows.copy_(vectors @ torch.linalg.pinv(self.projection[place]))
        if follow:
            rows[before] = other.rows.vectors(theirs, ids[before] - self.first)  # type: ignore[union-attr]

    def _inside(self, which: slice | int, ids: Tensor) -> Tensor:
        """Which ids are of the block; arguments as those of `flattened`'s places."""
        return (ids >= self.first) & (ids < self.stops[which])

    def _places(self, ids: Tensor, which: slice | int) -> Tensor:
        places = ids - self.first + self.rows.offsets[which]
        return places if self.whole else torch.where(self._inside(which, ids), places, self.spare)


def _directions(vectors: Tensor, count: int) -> Tensor:
    """(count, dim) the orthonormal directions that keep most of (rows, dim) vectors (Eckart & Young 1936)."""
    moment = vectors.double().T @ vectors.double()
    return torch.linalg.eigh(moment).eigenvectors.flip(1)[:, :count].T.to(vectors.dtype)
