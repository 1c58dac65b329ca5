"""SoftLabels: one teacher logit per row of a Table, on disk with the teacher's and the rows' fingerprints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recdistill.artefacts import digest, manifest, new_folder, verify
from recdistill.errors import DataError
from recdistill.ranker import Ranker
from recdistill.tables import Table

Floats = np.ndarray[Any, np.dtype[np.float32]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]
FACTS = ("teacher", "rows_fingerprint", "sample")


class SoftLabels:
    """Teacher logits for the rows of one Table.

    Args:
        row_ids: (rows,) int64, the Table's row ids in its order.
        logits: (rows,) finite teacher logits.
        teacher: the fingerprint of the teacher that made them.
        rows_fingerprint: of the Table (`Table.rows_fingerprint`).
        sample: "unseen" (the teacher never saw these labels), "out_of_fold" (each adapted row is scored by a
            teacher that did not adapt on it) or "in_sample".

    Raises:
        DataError: lengths differ or a logit is not finite.
    """

    def __init__(
        self,
        row_ids: np.ndarray[Any, np.dtype[np.int64]],
        logits: Floats,
        *,
        teacher: str,
        rows_fingerprint: str,
        sample: Literal["unseen", "out_of_fold", "in_sample"] = "unseen",
    ) -> None:
        if len(row_ids) != len(logits):
            raise DataError(f"soft labels need one logit per row, got {len(logits)} for {len(row_ids)} rows")
        if not np.isfinite(logits).all():
            raise DataError(f"teacher logits must be finite, got {int((~np.isfinite(logits)).sum())} that are not")
        self.row_ids, self.logits = row_ids, logits.astype(np.float32)
        self.teacher, self.rows_fingerprint, self.sample = teacher, rows_fingerprint, sample

    @staticmethod
    def from_teacher(teacher: Ranker, table: Table, *, in_sample: bool = False) -> SoftLabels:
        """A teacher's logits for every row of a table.

        Args:
            teacher: scores the rows.
            table: the rows, with all columns of the teacher's encoder.
            in_sample: whether the teacher was trained on labels of these rows; marked in the manifest.
        """
        sample: Literal["unseen", "in_sample"] = "in_sample" if in_sample else "unseen"
        name, rows = teacher.fingerprint, table.rows_fingerprint
        return SoftLabels(table.row_ids, teacher.score(table), teacher=name, rows_fingerprint=rows, sample=sample)

    @staticmethod
    def out_of_fold(
        teacher: Ranker, fold_teachers: Sequence[Ranker], folds: Sequence[Mask], table: Table
    ) -> SoftLabels:
        """Logits of a teacher that was adapted on some of the rows.

        Args:
            teacher: adapted on all folds; scores the rows of no fold.
            fold_teachers: the k-th was adapted on all folds but the k-th, which it scores.
            folds: per fold (rows,) bool, disjoint.
            table: the rows.

        Raises:
            DataError: folds overlap, or their number is not that of the fold teachers.
        """
        if len(folds) != len(fold_teachers) or (np.sum(folds, axis=0) > 1).any():
            raise DataError(f"one teacher per disjoint fold, got {len(fold_teachers)} for {len(folds)} folds")
        logits = teacher.score(table)
        for fold, fold_teacher in zip(folds, fold_teachers, strict=True):
            logits[fold] = fold_teacher.score(table.take(fold))
        name = digest([teacher.fingerprint, *(t.fingerprint for t in fold_teachers)])
        rows = table.rows_fingerprint
        return SoftLabels(table.row_ids, logits, teacher=name, rows_fingerprint=rows, sample="out_of_fold")

    @staticmethod
    def from_column(table: Table, scores: Any, *, scale: Literal["probability", "logit"] = "probability") -> SoftLabels:
        """Scores that a system of the user's own made.

        Args:
            table: the rows that were scored.
            scores: (rows,) in the table's order.
            scale: probabilities must lie strictly between 0 and 1.

        Raises:
            DataError: a probability outside (0, 1), another number of scores than rows, or a score that is not finite.
        """
        values = np.asarray(scores, dtype=np.float64)
        if scale == "probability":
            wrong = values[~((values > 0) & (values < 1))]
            if len(wrong):
                raise DataError(f"probabilities must lie strictly between 0 and 1, got {wrong[:3].tolist()}")
            values = np.log(values) - np.log1p(-values)
        name, rows = digest(values.tolist()), table.rows_fingerprint
        return SoftLabels(table.row_ids, values.astype(np.float32), teacher=name, rows_fingerprint=rows)

    def for_table(self, table: Table) -> Floats:
        """The (rows,) logits in a table's order.

        Raises:
            DataError: they were made for other rows.
        """
        if table.rows_fingerprint != self.rows_fingerprint:
            raise DataError(
                f"soft labels were made for rows {self.rows_fingerprint[:12]}, got rows {table.rows_fingerprint[:12]}"
            )
        return self.logits

    def save(self, folder: Path | str, **facts: Any) -> None:
        """Write a folder artefact; an existing one of that name is replaced.

        Args:
            folder: the final name.
            facts: JSON-able facts kept in the manifest.
        """
        stored = {"kind": "soft_labels", "rows": len(self.logits), **{k: getattr(self, k) for k in FACTS}}
        with new_folder(Path(folder), **{**facts, **stored}) as temporary:
            rows = pa.table({"row_id": self.row_ids, "logit": self.logits})
            pq.write_table(rows, temporary / "logits.parquet", compression="zstd", write_page_checksum=True)

    @staticmethod
    def load(folder: Path | str, *, teacher: Ranker | None = None) -> SoftLabels:
        """The reverse of `save`.

        Args:
            folder: what `save` wrote; every byte is checked.
            teacher: when given, labels of any other teacher are refused.

        Raises:
            DataError: the folder is not whole, was changed, holds fewer rows than it should, or another teacher's.
        """
        folder = Path(folder)
        verify(folder)
        facts = manifest(folder)["facts"]
        if facts.get("kind") != "soft_labels":
            raise DataError(f"{folder} must hold soft labels, got {facts.get('kind')!r}")
        if teacher is not None and teacher.fingerprint != facts["teacher"]:
            made, given = facts["teacher"][:12], teacher.fingerprint[:12]
            raise DataError(f"{folder} holds labels of teacher {made}, got teacher {given}")
        rows = pq.read_table(folder / "logits.parquet")
        if rows.num_rows != facts["rows"]:
            raise DataError(f"{folder} must have {facts['rows']} rows, got {rows.num_rows}")
        return SoftLabels(
            rows["row_id"].to_numpy(),
            rows["logit"].to_numpy(),
            teacher=facts["teacher"],
            rows_fingerprint=facts["rows_fingerprint"],
            sample=facts["sample"],
        )
