"""Embeddings: what a model asks for, one vector per feature of a row."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from recdistill.batch import Batch
from recdistill.errors import UsageError
from recdistill.features import FeatureSpec
from recdistill.models.embeddings.compact import CompactTables, compact_tables
from recdistill.models.embeddings.plain import PlainTables
from recdistill.models.embeddings.pooling import summed
from recdistill.models.embeddings.unplaced import DrawnRows, UnplacedTables, asked_for


class Tables(Protocol):
    """The tables behind some embeddings: one per id feature, the single ones first."""

    def __call__(self, single: Tensor, multi: Sequence[Tensor]) -> Tensor:
        """(batch, single features) and per list feature (batch, longest) ids to (batch, features, dim)."""


@dataclass(frozen=True)
class Fields:
    """A vector per field of each row: looked up, a number times its direction, projected.

    What is linear in a number's vector need not see the vector: a dense layer of n numbers costs n multiplications for
    each row and output instead of n · dim, and its gradient likewise. The results are those of the vectors.

    Args:
        looked: (batch, id features, dim).
        number: (batch, numbers).
        direction: (numbers, dim); a number's vector is its value times its direction.
        projected: (batch, vector features, dim), where there are any.
    """

    looked: Tensor
    number: Tensor
    direction: Tensor
    projected: Tensor | None

    @property
    def vectors(self) -> Tensor:
        """(batch, fields, dim), in the order of the spec."""
        parts = [self.looked]
        if self.direction.shape[0]:
            parts.append(self.number[:, :, None] * self.direction)
        if self.projected is not None:
            parts.append(self.projected)
        return torch.cat(parts, 1) if len(parts) > 1 else parts[0]

    def dense(self, layers: nn.Sequential) -> Tensor:
        """(batch, out) of dense layers, the first of which reads all vectors end to end."""
        first = layers[0]
        if not isinstance(first, nn.Linear):
            raise TypeError(f"dense layers begin with a linear one, got {type(first).__name__}")
        dim = self.direction.shape[1]
        ids, numbers = self.looked.shape[1] * dim, self.direction.shape[0] * dim
        weights = first.weight.split([ids, numbers, first.in_features - ids - numbers], 1)
        bias = first.weight.new_zeros(first.out_features) if first.bias is None else first.bias  # of low rank: none
        found = nn.functional.linear(self.looked.flatten(1), weights[0], bias) if ids else bias
        if numbers:
            by_number = weights[1].unflatten(1, self.direction.shape)  # (out, numbers, dim)
            found = torch.addmm(found, self.number, torch.einsum("ond,nd->no", by_number, self.direction))
        if self.projected is not None:
            found = found + nn.functional.linear(self.projected.flatten(1), weights[2])
        for layer in list(layers)[1:]:
            found = layer(found)
        return found

    @property
    def total(self) -> Tensor:
        """(batch, dim), the sum of all vectors."""
        return summed(self.looked) if self.all_looked_up else summed(self.looked) + self.others()[0]

    @property
    def all_looked_up(self) -> bool:
        """Whether there are no other fields: no numbers and no vectors."""
        return not self.direction.shape[0] and self.projected is None

    def others(self) -> tuple[Tensor, Tensor]:
        """Of all fields but the looked-up ones (batch, dim) sums, of their vectors and of the vectors' squares."""
        total, squares = self.number @ self.direction, self.number.square() @ self.direction.square()
        if self.projected is not None:
            total, squares = total + self.projected.sum(1), squares + self.projected.square().sum(1)
        return total, squares


class Embeddings(nn.Module):
    """One vector per feature: looked up for ids, averaged over lists, scaled for numbers, projected for vectors.

    Args:
        spec: the encoded features.
        dim: length of each vector.
        tables: how tables are held in fewer bytes: "kind", a key of `compact.KINDS`, and its arguments; None for plain
            ones.
        deviation: standard deviation of the initial tables.

    Raises:
        ValueError: the vectors have no length, or the tables cannot be held so.

    Shape: `Batch -> (batch, fields, dim)`, fields in the spec's order.
    """

    def __init__(
        self, spec: FeatureSpec, dim: int, *, tables: Mapping[str, Any] | None = None, deviation: float = 0.01
    ) -> None:
        super().__init__()
        if dim < 1:
            raise ValueError(f"embedding dim must be at least 1, got {dim=}")
        self.features, self.dim, self.deviation = (*spec.categorical, *spec.multi), dim, deviation
        self.table: nn.Module
        if tables is not None:  # which take their memory at once, for it is little
            single = len(spec.categorical)
            self.table = compact_tables(self.features, dim, single=single, told=tables, deviation=deviation)
        elif asked_for():
            self.table = UnplacedTables(self.features, dim, deviation=deviation)
        else:
            self.table = PlainTables([rows for _, rows in self.features], dim, deviation=deviation)
        self.number = nn.Parameter(torch.randn(len(spec.number), dim) * deviation)
        self.vector = nn.ModuleList(nn.Linear(width, dim) for _, width in spec.vector)

    def forward(self, batch: Batch) -> Tensor:
        """(batch, fields, dim)."""
        return self.fields(batch).vectors

    def fields(self, batch: Batch) -> Fields:
        """The same vectors, those of numbers not multiplied out."""
        parts = [self.table(batch.ids, batch.multi)]  # (batch, id features, dim)
        parts += [layer(values)[:, None] for layer, values in zip(self.vector, batch.vector, strict=True)]
        looked, *projected = parts
        return Fields(looked, batch.number, self.number, torch.cat(projected, 1) if projected else None)


def embeddings_of(network: nn.Module) -> Iterator[tuple[str, Embeddings]]:
    """A network's embeddings, each with its name in it."""
    return ((name, module) for name, module in network.named_modules() if isinstance(module, Embeddings))


def placed(network: nn.Module, *, seed: int = 0, draw: bool = True) -> nn.Module:
    """The network, whose unplaced tables are now plain ones, with rows drawn from the seed or of zeros."""
    for name, module in embeddings_of(network):
        if isinstance(module.table, UnplacedTables):
            tables = PlainTables([rows for _, rows in module.features], module.dim, deviation=None)
            rows = DrawnRows(seed, name, module.dim, module.deviation)
            tables.draw([feature for feature, _ in module.features], rows) if draw else None
            module.table = tables
    return network


def told(tables: Mapping[str, Any] | None) -> dict[str, Any]:
    """A model's argument `tables` as it keeps it: plain tables are not spoken of."""
    return {} if tables is None else {"tables": copy.copy(tables)}


def require_plain(network: nn.Module, what: str) -> None:
    """Refuse tables that ids share, or whose rows are not vectors.

    Args:
        network: plain tables, and those of other homes, are let pass.
        what: needs a row for each id, for the message.

    Raises:
        UsageError: a network has compact tables.
    """
    for name, module in embeddings_of(network):
        if isinstance(module.table, CompactTables):
            rule = f"{what} need plain tables, which have a row of numbers for each id"
            raise UsageError(f"{rule}; got compact ones in {name!r} by the model's argument 'tables'")
