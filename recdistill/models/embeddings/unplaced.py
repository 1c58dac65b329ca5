"""Tables that take no memory yet: a network is built around them, and they are placed where it will be trained.

Where rows are drawn, each block of a table has a random stream of its own. So a table's first rows are the same whether
one process holds it or many hold a piece each, and no piece needs another.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from recdistill.errors import UsageError
from recdistill.streams import stream

BLOCK = 65_536
_unplaced: ContextVar[bool] = ContextVar("unplaced", default=False)


@contextlib.contextmanager
def unplaced() -> Iterator[None]:
    """Networks that are built within it have tables that take no memory, until they are placed."""
    token = _unplaced.set(True)
    try:
        yield
    finally:
        _unplaced.reset(token)


def asked_for() -> bool:
    """Whether tables are to take no memory yet."""
    return _unplaced.get()


class UnplacedTables(nn.Module):
    """The tables of several id features, of which only the sizes are known.

    Args:
        features: (name, rows) of each.
        dim: length of each row.
        deviation: standard deviation of the rows that will be drawn.
    """

    def __init__(self, features: Sequence[tuple[str, int]], dim: int, *, deviation: float) -> None:
        super().__init__()
        self.features, self.dim, self.deviation = list(features), dim, deviation

    def forward(self, single: Tensor, multi: Sequence[Tensor]) -> Tensor:
        """Never (batch, features, dim): there are no rows.

        Raises:
            UsageError: always.
        """
        raise UsageError("this network's tables are not in memory: place them, or load its weights")


class Rows(Protocol):
    """Where the rows of a table come from."""

    def __call__(self, feature: str, start: int, stop: int) -> Tensor:
        """(stop - start, dim) rows of a feature's table."""


@dataclass(frozen=True)
class DrawnRows:
    """Normally distributed rows, a function of the arguments alone.

    Args:
        seed: of the network.
        name: of the embeddings in it.
        dim: length of each row.
        deviation: standard deviation of each number.
    """

    seed: int
    name: str
    dim: int
    deviation: float

    def __call__(self, feature: str, start: int, stop: int) -> Tensor:
        """(stop - start, dim) rows of a feature's table."""
        blocks = range(start // BLOCK, -(-stop // BLOCK))
        rows = torch.cat([self._block(feature, block) for block in blocks]) if blocks else torch.empty(0, self.dim)
        first = start // BLOCK * BLOCK
        return rows[start - first : stop - first]

    def _block(self, feature: str, block: int) -> Tensor:
        generator = stream(self.seed, self.name, feature, block)
        return torch.empty(BLOCK, self.dim).normal_(std=self.deviation, generator=generator)
