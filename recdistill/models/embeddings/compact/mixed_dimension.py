"""Mixed dimensions: the less popular an id, the shorter its row."""

from __future__ import annotations

import itertools

from recdistill.errors import UsageError
from recdistill.models.embeddings.compact.blocks import Piece
from recdistill.models.embeddings.compact.kinds import Kind, require_whole
from recdistill.models.embeddings.compact.narrow import Narrow


def mixed_dimension(*, head: int = 1000, step: int = 10, alpha: float = 0.3) -> Kind:
    """Shorter rows for less popular ids, projected to the vectors' length (Ginart et al. 2019, arXiv:1909.11810).

    The first `head` ids are a block, and each block after it reaches to `step` times as many. A block's width follows
    the paper's power law, dim · p^alpha for the popularity p of its ids relative to those of the head. A vocabulary's
    ids go by falling count; counts are taken to fall as 1 / rank (Zipf), so that the width of block b = 0, 1, … is
    w_b = dim · step^(−alpha · b), rounded, at least 1.

    Its bytes: 4 · Σ_b w_b · (ids of the block + dim), without the dim for blocks of the full width, for each feature
    where that is less than 4 · dim · ids. Features of several blocks, as many each, have 4 · Σ_b w_b more together: a
    row of zeros in each block, for ids of others.

    DIFF: the paper's blocks have measured popularities; here a model knows how many ids there are, and their order.
    Ids of a column that the encoder hashes are in no order: then it is chance whose rows are short.

    Args:
        head: how many ids have rows of the full length.
        step: how much further each block reaches.
        alpha: how fast widths fall; with 0.3 and a step of 10 they halve from block to block.

    Raises:
        UsageError: one makes no sense.
    """
    require_whole("head", head, 1)
    require_whole("step", step, 2)
    if not (isinstance(alpha, int | float) and 0 < alpha < float("inf")):
        raise UsageError(f"alpha must be a positive number, got {alpha!r}")

    def pieces(ids: int, dim: int) -> list[Piece]:
        edges = [0, head]
        while edges[-1] < ids:
            edges.append(edges[-1] * step)
        return [
            Piece(first, min(end, ids), max(1, round(dim * step ** (-alpha * number))))
            for number, (first, end) in enumerate(itertools.pairwise(edges))
        ]

    return Narrow(pieces, f"alpha={alpha:g}")
