"""The tables of a network in fewer bytes: which feature is held how."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from recdistill.errors import UsageError
from recdistill.models.embeddings.compact.hashing import double_hashing, hashing
from recdistill.models.embeddings.compact.kinds import Features, Kind
from recdistill.models.embeddings.compact.low_rank import low_rank
from recdistill.models.embeddings.compact.mixed_dimension import mixed_dimension
from recdistill.models.embeddings.compact.quotient_remainder import quotient_remainder
from recdistill.models.embeddings.compact.shared_tables import shared
from recdistill.models.embeddings.plain import PlainTables, Vectors
from recdistill.settings import require_known

KINDS: dict[str, Callable[..., Kind]] = {
    "hashing": hashing,
    "double_hashing": double_hashing,
    "quotient_remainder": quotient_remainder,
    "mixed_dimension": mixed_dimension,
    "low_rank": low_rank,
    "shared": shared,
}
NARROW = ("mixed_dimension", "low_rank")


def compact_tables(
    features: Features, dim: int, *, single: int, told: Mapping[str, Any], deviation: float
) -> CompactTables:
    """The tables of several id features, as a kind holds them.

    Args:
        features: (name, ids) of each, those of lists last.
        dim: length of each vector.
        single: how many are not of lists.
        told: "kind", a key of `KINDS`, and its arguments.
        deviation: standard deviation of the initial vectors.

    Raises:
        UsageError: there is no such kind, or it cannot be told so.
    """
    kind = _kind(told)
    groups = {number: places for number, places in kind.groups(features, dim).items() if places}
    apart = {place for places in groups.values() for place in places}
    own = [place for place in range(len(features)) if place not in apart]
    rows = [ids for _, ids in features]
    parts: list[tuple[list[int], nn.Module]] = []
    if own or not groups:
        parts.append((own, PlainTables([rows[place] for place in own], dim, deviation=deviation)))
    for number, places in groups.items():
        parts.append((places, kind.tables(number, [rows[place] for place in places], dim, deviation)))
    return CompactTables(parts, single)


def _kind(told: Mapping[str, Any]) -> Kind:
    if not isinstance(told, Mapping) or not isinstance(told.get("kind"), str):
        raise UsageError(f"compact tables are told a kind, one of {', '.join(KINDS)}, got {told!r}")
    arguments = {name: value for name, value in told.items() if name != "kind"}
    require_known("kind of tables", told["kind"], KINDS, arguments, given="")
    return KINDS[told["kind"]](**arguments)


def of_first_order(told: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """What first-order weights are told of tables: not to be shorter, for they are one number per class."""
    narrow = isinstance(told, Mapping) and told.get("kind") in NARROW
    return None if narrow else told


class CompactTables(nn.Module):
    """The tables of several id features, held in groups of different kinds.

    Args:
        parts: the places of each group's features, rising, and their tables.
        single: how many features are not of lists; these come first.
    """

    columns: Tensor
    order: Tensor

    def __init__(self, parts: Sequence[tuple[Sequence[int], nn.Module]], single: int) -> None:
        super().__init__()
        self.places = [list(places) for places, _ in parts]
        self.tables = nn.ModuleList(tables for _, tables in parts)
        self.widths = [sum(place < single for place in places) for places in self.places]
        grouped = [place for places in self.places for place in places]
        columns = [place for place in grouped if place < single]
        self.register_buffer("columns", torch.tensor(columns, dtype=torch.int64), persistent=False)
        self.register_buffer("order", torch.tensor(grouped).argsort(), persistent=False)

    def forward(self, single: Tensor, multi: Sequence[Tensor]) -> Tensor:
        """(batch, single features) and per list feature (batch, longest) ids to (batch, features, dim)."""
        ids, found = single.index_select(1, self.columns).split(self.widths, 1), []
        for places, own, tables in zip(self.places, ids, self.tables, strict=True):
            lists = [multi[place - single.shape[1]] for place in places if place >= single.shape[1]]
            found.append(tables(own, lists))
        return torch.cat(found, 1).index_select(1, self.order)

    def vectors(self, place: int, ids: Tensor) -> Tensor:
        """(ids, dim) the vectors of some ids of the feature at a place."""
        tables, there = self._at(place)
        found: Tensor = tables.vectors(there, ids)
        return found

    def take(self, place: int, other: Vectors, theirs: int, ids: Tensor) -> None:
        """Give a feature's ids the vectors that other tables have for the same values; see `PlainTables.take`."""
        tables, there = self._at(place)
        if isinstance(other, CompactTables):
            other, theirs = other._at(theirs)
        tables.take(there, other, theirs, ids)

    def _at(self, place: int) -> tuple[Any, int]:
        """The tables of the feature at a place, and its place in them."""
        return next((t, own.index(place)) for own, t in zip(self.places, self.tables, strict=True) if place in own)
