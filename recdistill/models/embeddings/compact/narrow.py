"""Shorter rows, projected to the vectors' length."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from recdistill.errors import UsageError
from recdistill.models.embeddings.compact.blocks import Block, Piece
from recdistill.models.embeddings.compact.kinds import Features
from recdistill.models.embeddings.plain import MOST_ROWS, Vectors


@dataclass(frozen=True)
class Narrow:
    """The kind of tables whose rows are shorter than the vectors.

    Args:
        pieces: of a number of ids and the vectors' length the blocks of a feature.
        told: by what they are shorter, for a message.
    """

    pieces: Callable[[int, int], list[Piece]]
    told: str

    def groups(self, features: Features, dim: int) -> dict[int, list[int]]:
        """Features that get smaller, by how many blocks they have.

        Raises:
            UsageError: no row would be shorter.
        """
        if min(piece.width for piece in self.pieces(MOST_ROWS, dim)) >= dim:
            raise UsageError(f"rows must be shorter than the vectors, got vectors of {dim} with {self.told}")
        found: dict[int, list[int]] = {}
        for place, (_, ids) in enumerate(features):
            pieces = self.pieces(ids, dim)
            if sum(piece.numbers(dim) for piece in pieces) < ids * dim:
                found.setdefault(len(pieces), []).append(place)
        return found

    def tables(self, group: int, rows: Sequence[int], dim: int, deviation: float) -> nn.Module:
        """See `NarrowTables`."""
        return NarrowTables([self.pieces(ids, dim) for ids in rows], dim, deviation=deviation)


class NarrowTables(nn.Module):
    """Tables in which an id's vector is U_b[i] P_b, of the block b of ids that it is in.

    Args:
        pieces: per feature its blocks, as many for each.
        dim: length of each vector.
        deviation: standard deviation of the initial vectors.
    """

    def __init__(self, pieces: Sequence[Sequence[Piece]], dim: int, *, deviation: float) -> None:
        super().__init__()
        whole = len(pieces[0]) == 1
        self.blocks = nn.ModuleList(
            Block(own, dim, whole=whole, deviation=deviation) for own in zip(*pieces, strict=True)
        )

    def forward(self, single: Tensor, multi: Sequence[Tensor]) -> Tensor:
        """(batch, single features) and per list feature (batch, longest) ids to (batch, features, dim)."""
        first, *others = (block(single, multi) for block in self.blocks)
        return sum(others, first)

    def vectors(self, place: int, ids: Tensor) -> Tensor:
        """(ids, dim) the vectors of some ids of the feature at a place."""
        blocks: Any = self.blocks
        return torch.stack([block.vectors(place, ids) for block in blocks]).sum(0)

    @torch.no_grad()
    def take(self, place: int, other: Vectors, theirs: int, ids: Tensor) -> None:
        """Give a feature's ids the vectors that other tables have for the same values; see `PlainTables.take`.

        Where the values of a block were all in that block before, its rows follow and its projection is kept. Otherwise
        it starts as the best one of its width, and rows are their values' vectors seen through it.
        """
        blocks: Any = self.blocks
        before = list(other.blocks) if isinstance(other, NarrowTables) else []
        vectors = other.vectors(theirs, ids)
        for block, same in itertools.zip_longest(blocks, before[: len(blocks)]):
            block.take(place, same, theirs, ids, vectors)
