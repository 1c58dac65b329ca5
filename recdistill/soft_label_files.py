"""Soft labels on disk: one row of logits per row id, and a manifest with what they were made of.

The rows are in one file, `logits.parquet`, or in several, `logits-00000.parquet` and so on, in this order. They are
what the teacher said: a calibration stands beside them, in the manifest and, with each row's fold, in `folds.parquet`.
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
from recdistill.calibrators import Calibration
from recdistill.errors import DataError

Array = np.ndarray[Any, Any]
FACTS = ("teacher", "rows_fingerprint", "sample")
KIND, HIDDEN = "soft_labels", "hidden"
FOLDS = "folds.parquet"


def write(
    folder: Path,
    facts: Mapping[str, Any],
    row_ids: Array,
    logits: Array,
    hidden: Array | None = None,
    calibration: Calibration | None = None,
) -> None:
    """Write a folder artefact; an existing one of that name is replaced.

    Args:
        folder: the final name.
        facts: JSON-able, kept in the manifest; "grades" are the rating of each class, none for clicks.
        row_ids: (rows,) int64.
        logits: (rows,), or (rows, classes) where there are grades.
        hidden: (rows, width) hidden states of the teacher.
        calibration: of these rows, where they have one.
    """
    if calibration is not None:
        facts = {**facts, "calibration": calibration.to_dict()}
    with new_folder(folder, **described(facts, len(logits))) as temporary:
        write_rows(temporary / "logits.parquet", facts["grades"], row_ids, logits, hidden)
        if calibration is not None:
            pq.write_table(pa.table({"fold": calibration.fold}), temporary / FOLDS, compression="zstd")


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


def read(folder: Path, *, teacher: str | None = None) -> dict[str, Any]:
    """What `SoftLabels` are made with, of a folder artefact; every byte is checked.

    Args:
        folder: what `write` wrote.
        teacher: a fingerprint; labels of any other teacher are refused.

    Raises:
        DataError: the folder is not whole, was changed, holds something else, fewer rows than it should, or another
            teacher's.
    """
    verify(folder)
    stored = manifest(folder)
    facts = stored["facts"]
    if facts.get("kind") != KIND:
        raise DataError(f"{folder} must hold soft labels, got {facts.get('kind')!r}")
    if teacher is not None and teacher != facts["teacher"]:
        raise DataError(f"{folder} holds labels of teacher {facts['teacher'][:12]}, got teacher {teacher[:12]}")
    names = sorted((name for name in stored["files"] if name.startswith("logits")), key=lambda name: (len(name), name))
    if not names:
        raise DataError(f"{folder} must hold logits, got {', '.join(stored['files']) or 'no file'}")
    rows = pa.concat_tables(pq.read_table(folder / name) for name in names)
    if rows.num_rows != facts["rows"]:
        raise DataError(f"{folder} must have {facts['rows']} rows, got {rows.num_rows}")
    grades = facts.get("grades", [])
    logits = [rows[name].to_numpy() for name in _columns(grades)]
    return {
        **{name: facts[name] for name in FACTS},
        "row_ids": rows["row_id"].to_numpy(),
        "logits": np.stack(logits, 1) if grades else logits[0],
        "grades": grades,
        "hidden": _vectors(rows[HIDDEN]) if HIDDEN in rows.column_names else None,
        "calibration": _calibration(folder, facts),
    }


def _calibration(folder: Path, facts: Mapping[str, Any]) -> Calibration | None:
    """What stands beside the logits."""
    if facts.get("calibration") is None:
        return None
    return Calibration.from_dict(facts["calibration"], pq.read_table(folder / FOLDS)["fold"].to_numpy())


def _vectors(column: pa.ChunkedArray) -> Array:
    """(rows, width) of a column of fixed-size lists."""
    return pc.list_flatten(column).to_numpy().reshape(len(column), column.type.list_size)


def _columns(grades: Sequence[float]) -> list[str]:
    """The names of the stored columns of logits."""
    return [f"logit_{k}" for k in range(len(grades))] if grades else ["logit"]
