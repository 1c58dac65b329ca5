"""Shorter vocabularies: rare ids share the unseen id's row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from recdistill.encoder import Encoder
from recdistill.errors import UsageError
from recdistill.features import PAD, UNSEEN
from recdistill.models.embeddings import PlainTables, embeddings_of
from recdistill.ranker import Ranker
from recdistill.tables import Table
from recdistill.transforms import Vocabulary


def with_frequent_ids(ranker: Ranker, rows: Table, min_count: int) -> Ranker:
    """A copy without the ids that occur less often in some rows; from then on their values are unseen.

    The unseen id's row starts as the mean of its own and theirs, each weighted by how often it occurs: of all single
    rows the one that is nearest to what these rows were looked up as, in the mean square over occurrences. Columns that
    are hashed or cut into buckets have no vocabulary, and stay.

    Args:
        ranker: one of the package's models, its tables in memory.
        rows: training rows. Of a list each of its values counts, as in `Vocabulary`.
        min_count: of an id that stays, >= 1.

    Raises:
        UsageError: no column has a vocabulary, or the tables are not plain ones.
        DataError: the rows are not what the encoder reads.
    """
    if not any(isinstance(transform, Vocabulary) for _, transform in ranker.encoder.columns.values()):
        raise UsageError(f"min_count shortens vocabularies, got min_count={min_count} and no column that has one")
    for name, module in embeddings_of(ranker.network):
        if not isinstance(module.table, PlainTables):
            raise UsageError(f"rows of plain tables can be dropped, got {type(module.table).__name__} in {name!r}")
    counts = occurrences(ranker.encoder, rows)
    small = ranker.under(_frequent(ranker.encoder, counts, min_count))
    for old, new in zip(ranker.network.modules(), small.network.modules(), strict=True):
        if isinstance(old, PlainTables) and isinstance(new, PlainTables):
            _fill_unseen(old, new, list(counts.values()), min_count)
    return small


def occurrences(encoder: Encoder, rows: Table) -> dict[str, Tensor]:
    """Per id feature, in the spec's order, (ids,) how often each occurs in some rows."""
    return {
        name: torch.from_numpy(np.bincount((ids := encoder.coded(rows, name))[ids != PAD], minlength=count))
        for name, count in (*encoder.spec.categorical, *encoder.spec.multi)
    }


def _frequent(encoder: Encoder, counts: Mapping[str, Tensor], min_count: int) -> Encoder:
    """The encoder with vocabularies of frequent values alone, in their order."""
    columns = dict(encoder.columns)
    for name, (kind, transform) in encoder.columns.items():
        if isinstance(transform, Vocabulary):
            values = transform.values.filter(pa.array((counts[name][1:] >= min_count).numpy()))
            columns[name] = kind, replace(transform, min_count=max(min_count, transform.min_count), values=values)
    return Encoder(columns)


@torch.no_grad()
def _fill_unseen(old: PlainTables, new: PlainTables, counts: Sequence[Tensor], min_count: int) -> None:
    """Write the unseen id's row of each table that is shorter now."""
    for start, size, first, left, count in zip(old.starts, old.rows, new.starts, new.rows, counts, strict=False):
        weights = torch.where(count < min_count, count, 0).to(old.weight)
        weights[UNSEEN] = count[UNSEEN]
        if left < size and weights.any():
            new.weight[first + UNSEEN] = weights @ old.weight[start : start + size] / weights.sum()
