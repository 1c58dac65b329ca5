"""What a kind of compact tables decides, and what its kinds share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from recdistill.errors import UsageError
from recdistill.features import UNSEEN

Features = Sequence[tuple[str, int]]


class Kind(Protocol):
    """A way to hold tables in fewer bytes."""

    def groups(self, features: Features, dim: int) -> dict[int, list[int]]:
        """Which features, by their places, are held together so, by a number of the kind's own.

        Those in no group keep a row per id, as all do that would not get smaller.
        """

    def tables(self, group: int, rows: Sequence[int], dim: int, deviation: float) -> nn.Module:
        """The tables of a group's features of so many ids, with vectors drawn with a standard deviation."""


def require_whole(name: str, value: Any, least: int) -> None:
    """Refuse an argument that is no whole number, or too small.

    Raises:
        UsageError: says so.
    """
    if type(value) is not int or value < least:
        raise UsageError(f"{name} must be a whole number of at least {least}, got {value!r}")


def known(ids: Tensor) -> Tensor:
    """(rows,) which ids stand for a value that was known: all that are not unseen, and the unseen id itself.

    Args:
        ids: (rows,) as `Encoder.ids_in` gives them for one feature.
    """
    found = ids != UNSEEN
    found[:1] = True
    return found


def means(places: Tensor, values: Tensor, weighty: Tensor, count: int) -> Tensor:
    """(count, dim) for each row the mean of the values that share it: of the weighty ones, where it has any.

    Args:
        places: (values,) the row of each.
        values: (values, dim).
        weighty: (values,) bool.
        count: of rows.
    """
    every, some = (_means(places[mask], values[mask], count) for mask in (torch.ones_like(weighty), weighty))
    return torch.where(torch.isnan(some), every, some).to(values.dtype)


def _means(places: Tensor, values: Tensor, count: int) -> Tensor:
    """(count, dim) in float64, in which the mean of equal float32 numbers is that number; NaN where there are none."""
    total = torch.zeros(count, values.shape[1], dtype=torch.float64).index_add_(0, places, values.double())
    return total / torch.bincount(places, minlength=count)[:, None]
