"""SoftLabels: a teacher's logits for the rows of a table, with the teacher's and the rows' fingerprints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from torch import nn

from recdistill import soft_label_files
from recdistill.artefacts import digest
from recdistill.calibrators import Calibration
from recdistill.errors import DataError
from recdistill.own_teachers import Scale, as_callable, called, logits_of, module_fingerprint
from recdistill.prepared_table import PreparedTable
from recdistill.ranker import Ranker
from recdistill.tables import Table

Floats = np.ndarray[Any, np.dtype[np.float32]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]
Sample = Literal["unseen", "out_of_fold", "in_sample"]


class SoftLabels:
    """Teacher logits for the rows of one table.

    Args:
        row_ids: (rows,) int64, the table's row ids in its order.
        logits: (rows,) finite teacher logits for clicks, (rows, classes) for ratings.
        teacher: the fingerprint of the teacher that made them.
        rows_fingerprint: of the rows (`Table.rows_fingerprint` or `PreparedTable.split_fingerprint`).
        sample: "unseen" (no label of these rows was used), "out_of_fold" (none for its own row) or "in_sample".
        grades: the rating of each class; none for clicks.
        calibration: brings the logits onto the scale of the labels; then `raw` has what the teacher said.

    Raises:
        DataError: there are not as many logits as rows and grades ask for, or one is not finite.
    """

    def __init__(
        self,
        row_ids: np.ndarray[Any, np.dtype[np.int64]],
        logits: Floats,
        *,
        teacher: str,
        rows_fingerprint: str,
        sample: Sample = "unseen",
        grades: Sequence[float] = (),
        calibration: Calibration | None = None,
    ) -> None:
        if logits.shape != (len(row_ids), len(grades))[: 2 if grades else 1]:
            needed = f"{len(grades)} logits per row, one per grade" if grades else "one logit per row"
            raise DataError(f"soft labels need {needed}, got {logits.shape} for {len(row_ids)} rows")
        self._facts: dict[str, Any] = {"teacher": teacher, "rows_fingerprint": rows_fingerprint, "sample": sample}
        self._said = self.logits = logits.astype(np.float32)
        self.row_ids, self.grades, self.calibration = row_ids, tuple(grades), calibration
        self.teacher, self.rows_fingerprint, self.sample = teacher, rows_fingerprint, sample
        if calibration is not None:
            self.logits, self.teacher = calibration(self._said), digest([teacher, *calibration.parameters])
            self.sample = "out_of_fold" if calibration.folds and sample == "unseen" else sample
        if not np.isfinite(self.logits).all():
            raise DataError(f"teacher logits must be finite, got {int((~np.isfinite(self.logits)).sum())} that are not")

    @staticmethod
    def from_teacher(
        teacher: Ranker, table: Table | PreparedTable, *, split: str = "train", in_sample: bool = False
    ) -> SoftLabels:
        """A teacher's logits for every row of a table.

        Args:
            teacher: scores the rows.
            table: the rows, with all columns of the teacher's encoder, or prepared by it; then it is read a row group
                at a time, and what is held of each row is its id and its logits.
            split: which rows of a prepared table.
            in_sample: whether the teacher was trained on labels of these rows; marked in the manifest.
        """
        sample: Sample = "in_sample" if in_sample else "unseen"
        if isinstance(table, Table):
            return _for(table, teacher.score(table), teacher=teacher.fingerprint, sample=sample)
        logits, grades = teacher.score(table, split=split), table.schema.class_grades
        made: Any = {"teacher": teacher.fingerprint, "rows_fingerprint": table.split_fingerprint(split)}
        return SoftLabels(table.row_ids(split), logits, sample=sample, grades=grades, **made)

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
        return _for(table, logits, teacher=name, sample="out_of_fold")

    @staticmethod
    def from_column(table: Table, scores: Any = None, *, scale: Scale = "probability", clip: float = 0.0) -> SoftLabels:
        """Scores that a system of the user's own made.

        Args:
            table: the rows that were scored.
            scores: (rows,) in the table's order, for ratings (rows, classes); without them the table's score column.
            scale: what they are, "probability" or "logit".
            clip: probabilities are first moved into [clip, 1 - clip], e.g. 1e-6 where some are exactly 0 or 1. The
                logits then reach ±ln(1/clip), so that clip says how sure the teacher can be taken to be.

        Raises:
            UsageError: the scale is not known, or clip makes no sense.
            DataError: no scores, not one finite number per row (and class), a probability outside (0, 1), or class
                probabilities that do not sum to 1.
        """
        of = "scores"
        if scores is None:
            if table.schema.score is None:
                raise DataError("soft labels need scores, or a table with a score column, got neither")
            of, scores = f"scores in column {table.schema.score!r}", table.column(table.schema.score)
        logits = logits_of(scores, rows=len(table), classes=table.schema.classes, scale=scale, clip=clip, of=of)
        return _for(table, logits, teacher=digest(logits.tolist()))

    @staticmethod
    def from_callable(
        score: Callable[[pa.RecordBatch], Any],
        table: Table,
        *,
        batch_rows: int = 65_536,
        scale: Scale = "probability",
        clip: float = 0.0,
        name: str = "teacher",
    ) -> SoftLabels:
        """Scores of any Python function.

        Args:
            score: called with record batches of the table's columns but its label, rating, truth and score; returns
                one number per row (for ratings one per class) as Arrow, numpy, torch or a list.
            table: the rows.
            batch_rows: rows at a time.
            scale, clip: as in `from_column`.
            name: for messages.

        Raises:
            UsageError: the scale is not known, or clip or batch_rows makes no sense.
            DataError: as in `from_column`, with the batch.
        """
        logits = called(score, table, batch_rows=batch_rows, scale=scale, clip=clip, name=name)
        return _for(table, logits, teacher=digest(logits.tolist()))

    @staticmethod
    def from_module(
        module: nn.Module,
        table: Table,
        inputs: Callable[[pa.RecordBatch], Any],
        *,
        batch_rows: int = 65_536,
        scale: Scale = "probability",
        clip: float = 0.0,
    ) -> SoftLabels:
        """Scores of any torch module, which need not be one of this package.

        Args:
            module: in evaluation mode; runs on its own device and gives (rows,), (rows, 1) or (rows, classes).
            table: the rows.
            inputs: makes the module's input of a record batch (see `from_callable`): a tensor, a tuple of arguments,
                or a dict of keyword arguments.
            batch_rows, scale, clip: as in `from_callable`.

        Raises:
            UsageError: the module is in training mode, or as in `from_callable`.
            DataError: as in `from_callable`.
        """
        score, name = as_callable(module, inputs), type(module).__name__
        logits = called(score, table, batch_rows=batch_rows, scale=scale, clip=clip, name=name)
        return _for(table, logits, teacher=digest([module_fingerprint(module), logits.tolist()]))

    @property
    def raw(self) -> SoftLabels:
        """What the teacher said, without calibration."""
        return self.under(None)

    def under(self, calibration: Calibration | None) -> SoftLabels:
        """What the teacher said, under a calibration of these rows."""
        return SoftLabels(self.row_ids, self._said, grades=self.grades, calibration=calibration, **self._facts)

    def for_table(self, table: Table) -> Floats:
        """The (rows,) or (rows, classes) logits in a table's order.

        Raises:
            DataError: they were made for other grades, or for other rows.
        """
        self.require(table.schema.class_grades, table.rows_fingerprint)
        return self.logits

    def require(self, learnt: Sequence[float], rows: str) -> None:
        """Refuse to be joined to rows that they were not made for.

        Args:
            learnt: the rating of each class that the rows are learnt as; none for clicks.
            rows: their fingerprint.

        Raises:
            DataError: they were made for other grades, or for other rows.
        """
        if tuple(learnt) != self.grades:
            words = [f"grades {list(grades)}" if grades else "clicks" for grades in (self.grades, learnt)]
            raise DataError(f"soft labels were made for {words[0]}, got rows with {words[1]}")
        if rows != self.rows_fingerprint:
            raise DataError(f"soft labels were made for rows {self.rows_fingerprint[:12]}, got rows {rows[:12]}")

    def save(self, folder: Path | str, **facts: Any) -> None:
        """Write a folder artefact; an existing one of that name is replaced.

        Args:
            folder: the final name.
            facts: JSON-able facts kept in the manifest.
        """
        stored = {**facts, "grades": list(self.grades), **self._facts}
        soft_label_files.write(Path(folder), stored, self.row_ids, self._said, self.calibration)

    @staticmethod
    def load(folder: Path | str, *, teacher: Ranker | None = None) -> SoftLabels:
        """The reverse of `save`.

        Args:
            folder: what `save` wrote; every byte is checked.
            teacher: when given, labels of any other teacher are refused; calibrated ones are still their teacher's.

        Raises:
            DataError: the folder is not whole, was changed, holds fewer rows than it should, or another teacher's.
        """
        asked = None if teacher is None else teacher.fingerprint
        return SoftLabels(**soft_label_files.read(Path(folder), teacher=asked))


def _for(table: Table, logits: np.ndarray[Any, Any], *, teacher: str, sample: Sample = "unseen") -> SoftLabels:
    """Soft labels of a table's rows and grades."""
    rows, grades = table.rows_fingerprint, table.schema.class_grades
    return SoftLabels(table.row_ids, logits, teacher=teacher, rows_fingerprint=rows, sample=sample, grades=grades)
