"""Named random streams: each use of chance has a seed of its own, made from the words that name it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def seed(*parts: object) -> int:
    """A 56-bit seed that depends on nothing but its parts.

    >>> seed(0, "labels") == seed(0, "labels") != seed(1, "labels")
    True
    """
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=7).digest(), "big")


def stream(*parts: object) -> torch.Generator:
    """A torch generator seeded by the parts."""
    import torch  # takes a second to import, and most uses of chance need none of it

    return torch.Generator().manual_seed(seed(*parts))
