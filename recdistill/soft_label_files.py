"""Soft labels on disk: one row of logits per row id, and a manifest with what they were made of.

The rows are in one file, `logits.parquet`, or in several, `logits-00000.parquet` and so on, in this order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recdistill.artefacts import manifest, new_folder, verify
from recdistill.errors import DataError

Array = np.ndarray[Any, Any]
KIND, HIDDEN = "soft_labels", "hidden"


def write(folder: Path, facts: Mapping[str, Any], row_ids: Array, logits: Array, hidden: Array | None = None) -> None:
    """Write a folder artefact; an existing one of that name is replaced.

    Args:
        folder: the final name.
        facts: JSON-able, kept in the manifest; "grades" are the rating of each class, none for clicks.
        row_ids: (rows,) int64.
        logits: (rows,), or (rows, classes) where there are grades.
        hidden: (rows, width) hidden states of the teacher.
    """
    with new_folder(folder, **described(facts, len(logits))) as temporary:
        write_rows(temporary / "logits.parquet", facts["grades"], row_ids, logits, hidden)


def require_whole(row_ids: Array, logits: Array, grades: Sequence[float], hidden: Array | None) -> None:
    """Refuse what is not one finite logit, or one per grade, and hidden state, for each row; see `write`.

    Raises:
        DataError: says what is missing.
    """
    if logits.shape != (len(row_ids), len(grades))[: 2 if grades else 1]:
        needed = f"{len(grades)} logits per row, one per grade" if grades else "one logit per row"
        raise DataError(f"soft labels need {needed}, got {logits.shape} for {len(row_ids)} rows")
    if not np.isfinite(logits).all():
        raise DataError(f"teacher logits must be finite, got {int((~np.isfinite(logits)).sum())} that are not")
    if hidden is None:
        return
    if hidden.ndim != 2 or len(hidden) != len(row_ids):
        raise DataError(f"soft labels need one hidden state per row, got {hidden.shape} for {len(row_ids)} rows")
    if not np.isfinite(hidden).all():
        raise DataError(f"hidden states must be finite, got {int((~np.isfinite(hidden)).sum())} numbers that are not")


def described(facts: Mapping[str, Any], rows: int) -> dict[str, Any]:
    """The facts with what this many soft labels are."""
    return {**facts, "kind": KIND, "rows": rows, "classes": max(1, len(facts["grades"]))}


def write_rows(path: Path, grades: Sequence[float], row_ids: Array, logits: Array, hidden: Array | None = None) -> None:
    """Write one file of rows; see `write`."""
    values = logits if grades else logits[:, None]
    rows = pa.table({"row_id": row_ids, **dict(zip(_columns(grades), values.T, strict=True))})
    if hidden is not None:
        states = pa.FixedSizeListArray.from_arrays(pa.array(hidden.ravel()), hidden.shape[1])
        rows = rows.append_column(HIDDEN, states)
    pq.write_table(rows, path, compression="zstd", write_page_checksum=True)


def read(folder: Path) -> tuple[dict[str, Any], Array, Array, Array | None]:
    """The facts, row ids, logits and, where they were kept, hidden states of a folder artefact; every byte is checked.

    Raises:
        DataError: the folder is not whole, was changed, holds something else, or fewer rows than it should.
    """
    verify(folder)
    stored = manifest(folder)
    facts = stored["facts"]
    if facts.get("kind") != KIND:
        raise DataError(f"{folder} must hold soft labels, got {facts.get('kind')!r}")
    names = sorted((name for name in stored["files"] if name.startswith("logits")), key=lambda name: (len(name), name))
    if not names:
        raise DataError(f"{folder} must hold logits, got {', '.join(stored['files']) or 'no file'}")
    rows = pa.concat_tables(pq.read_table(folder / name) for name in names)
    if rows.num_rows != facts["rows"]:
        raise DataError(f"{folder} must have {facts['rows']} rows, got {rows.num_rows}")
    grades = facts.setdefault("grades", [])
    logits = [rows[name].to_numpy() for name in _columns(grades)]
    hidden = _vectors(rows[HIDDEN]) if HIDDEN in rows.column_names else None
    return facts, rows["row_id"].to_numpy(), np.stack(logits, 1) if grades else logits[0], hidden


def _vectors(column: pa.ChunkedArray) -> Array:
    """(rows, width) of a column of fixed-size lists."""
    return pc.list_flatten(column).to_numpy().reshape(len(column), column.type.list_size)


def _columns(grades: Sequence[float]) -> list[str]:
    """The names of the stored columns of logits."""
    return [f"logit_{k}" for k in range(len(grades))] if grades else ["logit"]
