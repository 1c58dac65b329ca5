"""What a student takes over of a teacher's embeddings: as its own first tables, or as vectors among its features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

import pyarrow as pa
import torch
from torch import Tensor, nn

from recdistill.encoder import Encoder
from recdistill.errors import DataError, UsageError, nearest
from recdistill.models.embeddings import PlainTables, embeddings_of, require_plain
from recdistill.ranker import Ranker
from recdistill.tables import Table

FIRST_ORDER = {"first", "wide"}  # the names under which models keep first-order weights, which are no vectors


def transplant(student: Ranker, teacher: Ranker) -> Ranker:
    """A copy of a student whose embedding tables start from a teacher's, in fewer dimensions.

    Each id's row is E_t·P, with E_t the teacher's row of the same value and P (D, d) the top eigenvectors of
    Σ_f E_fᵀE_f / ‖E_f‖² over the features f that both have, E_f the rows of their shared ids. It is the projection to d
    dimensions that keeps most of their inner products, with the same say for every feature however many ids it has; for
    a single feature the truncated SVD (Eckart & Young 1936, "The approximation of one matrix by another of lower
    rank"). Where d ≥ D, all inner products are the teacher's, and what is left of a row is as it was drawn.

    One P serves all features, since models multiply vectors of one feature with those of another. Lengths are kept:
    scaled down to how rows are drawn, they would have to be learnt again. A value that the teacher does not know starts
    as the teacher's unseen id. Features that the teacher has not, or encodes otherwise, numbers, vectors and
    first-order weights stay as they were drawn; so do all other layers.

    Args:
        student: of one of the package's models.
        teacher: its vectors are read.

    Raises:
        UsageError: one of them has no embedding vectors, or its tables are not in memory.
        DataError: they share no feature whose values can be matched.
    """
    grown = student.copy()
    mine, theirs = _vectors(grown.network), _vectors(teacher.network)
    known = _ids_in_teacher(grown.encoder, teacher.encoder)
    if not known:
        raise DataError(f"no id feature of {list(mine)} has its values among the teacher's features {list(theirs)}")
    rows = {name: theirs[name][ids] for name, ids in known.items()}
    projection = _projection({name: taken[known[name] > 0] for name, taken in rows.items()})
    for name, taken in rows.items():
        kept = min(mine[name].shape[1], len(projection))
        mine[name][:, :kept] = taken @ projection[:, :kept]
    return grown


def with_teacher_vectors(table: Table, teacher: Ranker, columns: Sequence[str]) -> Table:
    """A table with a teacher's embeddings of some of its values, each as a vector feature `<column>_vector`.

    A student that is fitted on the table reads them as any other vector. They are then among what it needs of a row
    when it serves, as for every feature: serving joins the same vectors by the same ids.

    Args:
        table: has the columns.
        teacher: its vectors are read; a value that it does not know gets that of its unseen id.
        columns: one-id features of the teacher, usually the user and the item.

    Raises:
        UsageError: a column is no one-id feature of the teacher, or has its vector already, or the teacher has none.
        DataError: the table lacks a column.
    """
    theirs, arrow, added = _vectors(teacher.network), table.arrow, list[str]()
    single = [name for name, _ in teacher.encoder.spec.categorical]
    for column in columns:
        if column not in single:
            raise UsageError(f"{column!r} is no one-id feature of the teacher, {nearest(column, single)}")
        ids = Encoder({column: teacher.encoder.columns[column]}).encode(table).ids[:, 0]
        vectors = theirs[column][ids.long()].numpy()  # (rows, D)
        added.append(f"{column}_vector")
        flat = pa.array(vectors.ravel())
        arrow = arrow.append_column(added[-1], pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1]))
    return Table(arrow, replace(table.schema, vector=(*table.schema.vector, *added)))


def _ids_in_teacher(student: Encoder, teacher: Encoder) -> dict[str, Tensor]:
    """Per id feature whose values can be matched, (rows,) the teacher's id of each value; 0 where it has none."""
    found = {}
    for name, _ in (*student.spec.categorical, *student.spec.multi):
        with suppress(DataError):
            found[name] = torch.from_numpy(Encoder({name: student.columns[name]}).ids_in(teacher)[0])
    return found


def _projection(rows: Mapping[str, Tensor]) -> Tensor:
    """(D, D) all eigenvectors, those of the largest eigenvalues first, of each feature's (shared ids, D) rows."""
    parts = [taken.double() for taken in rows.values() if taken.any()]
    if not parts:
        raise DataError(f"the teacher must know values of the student's, got none in {list(rows)}")
    moments = torch.stack([part.T @ part / part.square().sum() for part in parts]).sum(0)
    return torch.linalg.eigh(moments).eigenvectors.flip(1).float()


def _vectors(network: nn.Module) -> dict[str, Tensor]:
    """Per id feature the (rows, dim) rows of a network's embedding vectors, a view of its weights.

    Raises:
        UsageError: it has none, or its tables are not plain ones.
    """
    require_plain(network, "transplants")
    found = [module for name, module in embeddings_of(network) if name not in FIRST_ORDER]
    for module in found:
        if isinstance(module.table, PlainTables):
            rows = module.table.weight.detach().split(module.table.rows) if module.features else ()
            return {name: part for (name, _), part in zip(module.features, rows, strict=True)}
    raise UsageError(f"embedding vectors in plain tables are needed, got {type(network).__name__} without")
