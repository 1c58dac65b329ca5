"""The columns that both sides have as sparse inputs of linear models, with products of the small ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from recdistill.columns import as_numpy, is_list
from recdistill.inspection import unshared
from recdistill.inspection.profiles import counted, items
from recdistill.tables import Table

Array = np.ndarray[Any, Any]
FEWEST_ROWS = 5  # of both sides together, for an id to have an input of its own
BINS = 10  # of numbers
MOST_DIMENSIONS = 16  # of a vector; of a longer one its principal components
SMALL, CROSSED = 32, 6  # inputs of a column whose products are made, and how many columns, the smallest


@dataclass(frozen=True)
class Shared:
    """Which columns models of both sides may know.

    Args:
        used: features of both, of one kind, without users.
        apart: those of which the target has no value that the source has; they would tell the domains apart by name.
        user: the user column where it is a feature: users are what rows are drawn by, so nothing is learnt of one.
    """

    used: tuple[str, ...]
    apart: tuple[str, ...]
    user: str | None


def shared_columns(source: Table, target: Table) -> Shared:
    """The features that both sides have."""
    kinds = [{name: table.schema.kind(name) for name in table.schema.features} for table in (source, target)]
    both = [name for name, kind in kinds[0].items() if kinds[1].get(name) == kind]
    users = {source.schema.user, target.schema.user}
    apart = [name for name in unshared(source, target) if name in both]
    used = tuple(name for name in both if name not in apart and name not in users)
    return Shared(used, tuple(apart), next((name for name in both if name in users), None))


class Inputs:
    """What a model is given of a row: ids and list items as indicators, numbers as bins, vectors as they are.

    Args:
        tables: the rows that vocabularies, bins and scales are taken from.
        names: the columns.
    """

    def __init__(self, tables: Sequence[Table], names: Sequence[str]) -> None:
        kind = tables[0].schema.kind
        self.blocks = {name: _block([table.column(name) for table in tables], kind(name)) for name in names}
        small = sorted((block.width, name) for name, block in self.blocks.items() if block.width <= SMALL)
        self.crossed = list(combinations([name for _, name in small[:CROSSED]], 2))

    def of(self, table: Table) -> sparse.csr_matrix:
        """(rows, inputs) of a table's rows."""
        blocks = {name: block.of(table.column(name)) for name, block in self.blocks.items()}
        products = [_products(blocks[one], blocks[other]) for one, other in self.crossed]
        return sparse.hstack([*blocks.values(), *products], format="csr")


@dataclass(frozen=True)
class _Ids:
    values: pa.Array

    @property
    def width(self) -> int:
        return len(self.values) + 1

    def of(self, column: pa.Array) -> sparse.csr_matrix:
        """An indicator per id, and one of all others; of lists the share of each."""
        place = pc.index_in(items(column).cast(pa.large_string()), self.values)
        code = as_numpy(pc.fill_null(place, len(self.values))).astype(np.int64)
        rows, row = len(column), np.arange(len(column))
        if is_list(column.type):
            row = as_numpy(pc.list_parent_indices(column)).astype(np.int64)
        length = np.maximum(np.bincount(row, minlength=rows), 1)
        return sparse.csr_matrix((1 / length[row], (row, code)), shape=(rows, self.width))


@dataclass(frozen=True)
class _Bins:
    edges: Array

    @property
    def width(self) -> int:
        return len(self.edges) + 2

    def of(self, column: pa.Array) -> sparse.csr_matrix:
        """An indicator per bin, and one of missing values."""
        values = as_numpy(column.cast(pa.float64(), safe=False), missing=np.nan)
        code = np.where(np.isnan(values), len(self.edges) + 1, np.searchsorted(self.edges, values, side="right"))
        rows = len(column)
        return sparse.csr_matrix((np.ones(rows), (np.arange(rows), code)), shape=(rows, self.width))


@dataclass(frozen=True)
class _Vector:
    mean: Array
    axes: Array

    @property
    def width(self) -> int:
        return self.axes.shape[1]

    def of(self, column: pa.Array) -> sparse.csr_matrix:
        """Each component, of unit deviation."""
        return sparse.csr_matrix((vectors(column) - self.mean) @ self.axes)


def _block(columns: Sequence[pa.Array], kind: str) -> _Ids | _Bins | _Vector:
    if kind == "number":
        values = np.concatenate([as_numpy(c.drop_null().cast(pa.float64(), safe=False)) for c in columns])
        inner = np.quantile(values, np.arange(1, BINS) / BINS) if len(values) else np.zeros(0)
        return _Bins(np.unique(inner))
    if kind == "vector":
        values = np.concatenate([vectors(column) for column in columns])
        mean, axes = values.mean(0), np.eye(values.shape[1])
        if values.shape[1] > MOST_DIMENSIONS:
            axes = np.linalg.eigh(np.cov(values.T))[1][:, -MOST_DIMENSIONS:]
        return _Vector(mean, axes / np.maximum(((values - mean) @ axes).std(0), 1e-12))
    found = counted(pa.concat_arrays([items(column).cast(pa.large_string()) for column in columns]))
    kept = found.where(found.counts >= FEWEST_ROWS).values
    return _Ids(kept.take(pc.sort_indices(kept)))


def vectors(column: pa.Array) -> Array:
    """(rows, dim) the values of a vector column."""
    return as_numpy(pc.list_flatten(column).cast(pa.float64())).reshape(len(column), -1)


def _products(one: sparse.csr_matrix, other: sparse.csr_matrix) -> sparse.csr_matrix:
    """(rows, inputs × inputs) each input of the one times each of the other."""
    together = np.einsum("ra,rb->rab", one.toarray(), other.toarray())
    return sparse.csr_matrix(together.reshape(len(together), -1))
