"""Low-rank tables: one shorter row per id, and a projection per feature."""

from __future__ import annotations

from recdistill.models.embeddings.compact.blocks import Piece
from recdistill.models.embeddings.compact.kinds import Kind, require_whole
from recdistill.models.embeddings.compact.narrow import Narrow


def low_rank(*, rank: int) -> Kind:
    """A table as (ids, rank) times (rank, dim), a product for each feature.

    The factorised embeddings of ALBERT (Lan et al. 2020, arXiv:1909.11942, section 3.1). Its bytes: 4 · rank · (ids +
    dim) for each feature where that is less than 4 · dim · ids.

    Args:
        rank: length of the rows.

    Raises:
        UsageError: it is too small.
    """
    require_whole("rank", rank, 1)
    return Narrow(lambda ids, dim: [Piece(0, ids, rank)], f"rank={rank}")
