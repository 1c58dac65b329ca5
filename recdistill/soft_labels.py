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
from recdistill.errors import DataError
from recdistill.own_teachers import Scale, as_callable, called, logits_of, module_fingerprint
from recdistill.prepared_table import PreparedTable
from recdistill.ranker import Ranker
from recdistill.tables import Table

Floats = np.ndarray[Any, np.dtype[np.float32]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]
Sample = Literal["unseen", "out_of_fold", "in_sample"]
FACTS = ("teacher", "rows_fingerprint", "sample", "grades")


class SoftLabels:
    """Teacher logits for the rows of one table.

    Args:
        row_ids: (rows,) int64, the table's row ids in its order.
        logits: (rows,) finite teacher logits for clicks, (rows, classes) for ratings.
        teacher: the fingerprint of the teacher that made them.
        rows_fingerprint: of the rows (`Table.rows_fingerprint` or `PreparedTable.split_fingerprint`).
        sample: "unseen" (the teacher never saw these labels), "out_of_fold" (each adapted row is scored by a
            teacher that did not adapt on it) or "in_sample".
        grades: the rating of each class; none for clicks.
        hidden: (rows, width) a hidden state of the teacher for each row, where a student is to be taught by it.

    Raises:
        DataError: there are not as many logits or hidden states as rows and grades ask for, or one is not finite.
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
        hidden: Floats | None = None,
    ) -> None:
        soft_label_files.require_whole(row_ids, logits, grades, hidden)
        self.row_ids, self.logits, self.grades, self.hidden = row_ids, logits.astype(np.float32), tuple(grades), hidden
        self.teacher, self.rows_fingerprint, self.sample = teacher, rows_fingerprint, sample

    @staticmethod
    def from_teacher(
        teacher: Ranker,
        table: Table | PreparedTable,
        *,
        split: str = "train",
        in_sample: bool = False,
        hidden: bool = False,
    ) -> SoftLabels:
        """A teacher's logits for every row of a table.

        Args:
            teacher: scores the rows.
            table: the rows, with all columns of the teacher's encoder, or prepared by it; then it is read a row group
                at a time, and what is held of each row is its id and its logits.
            split: which rows of a prepared table.
            in_sample: whether the teacher was trained on these rows' labels; marked in the manifest.
            hidden: whether to keep the teacher's last hidden layer too (see `Ranker.hidden`).
        """
        logits, states = teacher.score(table, split=split), teacher.hidden(table, split=split) if hidden else None
        sample = "in_sample" if in_sample else "unseen"
        facts: dict[str, Any] = {"teacher": teacher.fingerprint, "sample": sample, "hidden": states}
        if isinstance(table, Table):
            return _for(table, logits, **facts)
        facts |= {"rows_fingerprint": table.split_fingerprint(split), "grades": table.schema.class_grades}
        return SoftLabels(table.row_ids(split), logits, **facts)

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
        name = digest([one.fingerprint for one in (teacher, *fold_teachers)])
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
        shape = {"rows": len(table), "classes": table.schema.classes}
        return SoftLabels._scored(table, logits_of(scores, **shape, scale=scale, clip=clip, of=of))

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
        return SoftLabels._scored(table, called(score, table, batch_rows=batch_rows, scale=scale, clip=clip, name=name))

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
        return SoftLabels._scored(table, logits, module_fingerprint(module))

    @staticmethod
    def _scored(table: Table, logits: np.ndarray[Any, Any], *teacher: str) -> SoftLabels:
        """Labels of a teacher that is known by its scores, and by its own fingerprint where it has one."""
        name = digest([*teacher, logits.tolist()] if teacher else logits.tolist())
        return _for(table, logits.astype(np.float32), teacher=name)

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
        stored = {name: getattr(self, name) for name in FACTS}
        soft_label_files.write(Path(folder), {**facts, **stored}, self.row_ids, self.logits, self.hidden)

    @staticmethod
    def load(folder: Path | str, *, teacher: Ranker | None = None) -> SoftLabels:
        """The reverse of `save`.

        Args:
            folder: what `save` wrote; every byte is checked.
            teacher: when given, labels of any other teacher are refused.

        Raises:
            DataError: the folder is not whole, was changed, holds fewer rows than it should, or another teacher's.
        """
        facts, row_ids, logits, hidden = soft_label_files.read(Path(folder))
        if teacher is not None and teacher.fingerprint != facts["teacher"]:
            made, given = facts["teacher"][:12], teacher.fingerprint[:12]
            raise DataError(f"{folder} holds labels of teacher {made}, got teacher {given}")
        return SoftLabels(row_ids, logits, hidden=hidden, **{name: facts[name] for name in FACTS})


def _for(
    table: Table, logits: Floats, *, teacher: str, sample: Sample = "unseen", hidden: Floats | None = None
) -> SoftLabels:
    """Soft labels of a table's rows and grades."""
    facts: dict[str, Any] = {"rows_fingerprint": table.rows_fingerprint, "grades": table.schema.class_grades}
    return SoftLabels(table.row_ids, logits, teacher=teacher, sample=sample, hidden=hidden, **facts)
