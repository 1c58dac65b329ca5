"""Soft labels on disk: one row of logits per row id, and a manifest with what they were made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recdistill.artefacts import manifest, new_folder, verify
from recdistill.errors import DataError

Array = np.ndarray[Any, Any]


def write(folder: Path, facts: Mapping[str, Any], row_ids: Array, logits: Array) -> None:
    """Write a folder artefact; an existing one of that name is replaced.

    Args:
        folder: the final name.
        facts: JSON-able, kept in the manifest; "grades" are the rating of each class, none for clicks.
        row_ids: (rows,) int64.
        logits: (rows,), or (rows, classes) where there are grades.
    """
    grades = facts["grades"]
    task = {"kind": "soft_labels", "rows": len(logits), "classes": max(1, len(grades))}
    values = logits if grades else logits[:, None]
    with new_folder(folder, **{**facts, **task}) as temporary:
        rows = pa.table({"row_id": row_ids, **dict(zip(_columns(grades), values.T, strict=True))})
        pq.write_table(rows, temporary / "logits.parquet", compression="zstd", write_page_checksum=True)


def read(folder: Path) -> tuple[dict[str, Any], Array, Array]:
    """The facts, row ids and logits of what `write` wrote; every byte is checked.

    Raises:
        DataError: the folder is not whole, was changed, holds something else, or fewer rows than it should.
    """
    verify(folder)
    facts = manifest(folder)["facts"]
    if facts.get("kind") != "soft_labels":
        raise DataError(f"{folder} must hold soft labels, got {facts.get('kind')!r}")
    rows = pq.read_table(folder / "logits.parquet")
    if rows.num_rows != facts["rows"]:
        raise DataError(f"{folder} must have {facts['rows']} rows, got {rows.num_rows}")
    grades = facts.setdefault("grades", [])
    logits = [rows[name].to_numpy() for name in _columns(grades)]
    return facts, rows["row_id"].to_numpy(), np.stack(logits, 1) if grades else logits[0]


def _columns(grades: Sequence[float]) -> list[str]:
    """The names of the stored columns of logits."""
    return [f"logit_{k}" for k in range(len(grades))] if grades else ["logit"]
