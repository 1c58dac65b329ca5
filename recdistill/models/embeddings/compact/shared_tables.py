"""Shared tables: features whose ids mean the same have one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from recdistill.errors import UsageError, nearest
from recdistill.models.embeddings.compact.kinds import Features, Kind
from recdistill.models.embeddings.plain import PlainTables, Vectors
from recdistill.models.embeddings.pooling import averaged


def shared(*, features: Sequence[Sequence[str]]) -> Kind:
    """One table for features of the same ids, such as an item and the items seen before.

    As embeddings of video ids in Covington et al. 2016, "Deep neural networks for YouTube recommendations", section
    4.1. Its bytes: 4 · dim · ids once, for each group of features.

    Each column has a vocabulary of its own, in which the same value has another id. Columns that the encoder hashes to
    as many buckets (`encoder.hashing`) agree in all ids; a `Ranker` refuses others that do not.

    Args:
        features: names of those that share a table, a list for each table.

    Raises:
        UsageError: they are no lists of names, or a name is in two.
    """
    if not all(isinstance(names, list | tuple) and len(names) > 1 for names in features):
        raise UsageError(f"features must be lists of two names or more that share a table, got {features!r}")
    named = [name for names in features for name in names]
    if len(set(named)) < len(named):
        raise UsageError(f"a feature shares one table, got {features!r}")
    return Shared(tuple(tuple(names) for names in features))


@dataclass(frozen=True)
class Shared:
    """The kind; its argument is that of `shared`."""

    features: tuple[tuple[str, ...], ...]

    def groups(self, features: Features, dim: int) -> dict[int, list[int]]:
        """The features of each table.

        Raises:
            UsageError: a name is of no feature with ids, or features of one table have not as many ids.
        """
        names, found = [name for name, _ in features], {}
        for number, group in enumerate(self.features):
            for name in group:
                if name not in names:
                    raise UsageError(f"features with ids share tables, got {name!r}: {nearest(str(name), names)}")
            found[number] = sorted(map(names.index, group))
            sizes = {names[place]: features[place][1] for place in found[number]}
            if len(set(sizes.values())) > 1:
                raise UsageError(f"features that share a table must have as many ids, got {sizes}")
        return found

    def tables(self, group: int, rows: Sequence[int], dim: int, deviation: float) -> nn.Module:
        """See `SharedTables`."""
        return SharedTables(rows[0], len(rows), dim, deviation=deviation)


class SharedTables(nn.Module):
    """One table that several features look their ids up in.

    Args:
        rows: of the table.
        features: how many.
        dim: length of each row.
        deviation: standard deviation of the initial rows.
    """

    offsets: Tensor

    def __init__(self, rows: int, features: int, dim: int, *, deviation: float) -> None:
        super().__init__()
        self.rows = PlainTables([rows], dim, deviation=deviation)
        self.register_buffer("offsets", torch.zeros(features, dtype=torch.int32), persistent=False)

    def forward(self, single: Tensor, multi: Sequence[Tensor]) -> Tensor:
        """(batch, single features) and per list feature (batch, longest) ids to (batch, features, dim)."""
        return averaged(single, multi, self.offsets, self.rows.looked_up)

    def vectors(self, place: int, ids: Tensor) -> Tensor:
        """(ids, dim) the vectors of some ids, whichever the feature."""
        return self.rows.vectors(0, ids)

    def take(self, place: int, other: Vectors, theirs: int, ids: Tensor) -> None:
        """As `PlainTables.take`; what is taken for one feature, the others have too."""
        self.rows.take(0, other, theirs, ids)


def require_one_meaning(tables: Mapping[str, Any] | None, transforms: Mapping[str, Any]) -> None:
    """Refuse features that share a table, where a value has not the same id in all of them.

    Args:
        tables: the model's argument, or None.
        transforms: per column its fitted transform, which compare equal where all values have the same ids.

    Raises:
        UsageError: names the columns.
    """
    for names in tables["features"] if tables and tables["kind"] == "shared" else ():
        if any(transforms.get(name) != transforms.get(names[0]) for name in names):
            rule = "features that share a table must have the same id for the same value, as if hashed alike"
            raise UsageError(f"{rule}; got other ones in each of {list(names)}")
