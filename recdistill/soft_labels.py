"""SoftLabels: a teacher's logits for the rows of a table, with the teacher's and the rows' fingerprints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from torch import nn

from recdistill import soft_label_checks, soft_label_files
from recdistill.artefacts import digest
from recdistill.calibrators import Calibration
from recdistill.notebook import shown
from recdistill.own_teachers import Scale, as_callable, called, given, module_fingerprint
from recdistill.prepared_table import PreparedTable
from recdistill.ranker import Ranker
from recdistill.tables import Table
from recdistill.teacher_answers import Floats, Mask, answers, answers_out_of_fold

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
        hidden: (rows, width) a hidden state of the teacher for each row, where a student is to be taught by it.
        calibration: brings the logits onto the scale of the labels; then `raw` has what the teacher said.

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
        calibration: Calibration | None = None,
    ) -> None:
        soft_label_checks.require_whole(row_ids, logits, grades, hidden)
        self._facts: dict[str, Any] = {"teacher": teacher, "rows_fingerprint": rows_fingerprint, "sample": sample}
        self._said = self.logits = logits.astype(np.float32)
        self.row_ids, self.grades, self.hidden, self.calibration = row_ids, tuple(grades), hidden, calibration
        self.teacher, self.rows_fingerprint, self.sample = teacher, rows_fingerprint, sample
        if calibration is not None:
            self.logits, self.teacher = calibration(self._said), digest([teacher, *calibration.parameters])
            self.sample = "out_of_fold" if calibration.folds and sample == "unseen" else sample
            soft_label_checks.require_whole(row_ids, self.logits, grades, None)

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
            table: the rows, with all columns of the teacher's encoder, or prepared by it: read a row group at a time.
            split: which rows of a prepared table.
            in_sample: whether the teacher was trained on these rows' labels; marked in the manifest.
            hidden: whether to keep the teacher's last hidden layer too (see `Ranker.hidden`).
        """
        logits, states = answers(teacher, table, split=split, hidden=hidden)
        sample: Sample = "in_sample" if in_sample else "unseen"
        return _for(table, logits, teacher=teacher.fingerprint, split=split, sample=sample, hidden=states)

    @staticmethod
    def out_of_fold(
        teacher: Ranker, fold_teachers: Sequence[Ranker], folds: Sequence[Mask], table: Table, *, hidden: bool = False
    ) -> SoftLabels:
        """Logits of a teacher that was adapted on some of the rows.

        Args:
            teacher: adapted on all folds; scores the rows of no fold.
            fold_teachers: the k-th was adapted on all folds but the k-th, which it scores.
            folds: per fold (rows,) bool, disjoint.
            table: the rows.
            hidden: whether to keep the last hidden layers too; they go together where one teacher was adapted to all.

        Raises:
            DataError: folds overlap, or their number is not that of the fold teachers.
        """
        logits, states = answers_out_of_fold(teacher, fold_teachers, folds, table, hidden=hidden)
        name = digest([one.fingerprint for one in (teacher, *fold_teachers)])
        return _for(table, logits, teacher=name, sample="out_of_fold", hidden=states)

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
        logits = given(table, scores, scale=scale, clip=clip)
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

    def _repr_html_(self) -> str:
        return shown("SoftLabels", facts={"rows": f"{len(self.row_ids):,}", **self._facts})

    @property
    def raw(self) -> SoftLabels:
        """What the teacher said, without calibration."""
        return self.under(None)

    def under(self, calibration: Calibration | None) -> SoftLabels:
        """What the teacher said, under a calibration of these rows."""
        kept: dict[str, Any] = {"grades": self.grades, "hidden": self.hidden, "calibration": calibration}
        return SoftLabels(self.row_ids, self._said, **kept, **self._facts)

    def for_table(self, table: Table) -> Floats:
        """The (rows,) or (rows, classes) logits in a table's order, refused as in `require`."""
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
        soft_label_checks.require_made_for((self.grades, self.rows_fingerprint), (tuple(learnt), rows))

    def save(self, folder: Path | str, **facts: Any) -> None:
        """Write a folder artefact; an existing one of that name is replaced.

        Args:
            folder: the final name.
            facts: JSON-able facts kept in the manifest.
        """
        stored = {**facts, "grades": list(self.grades), **self._facts}
        soft_label_files.write(Path(folder), stored, self.row_ids, self._said, self.hidden, self.calibration)

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


def _for(
    table: Table | PreparedTable,
    logits: np.ndarray[Any, Any],
    *,
    teacher: str,
    split: str = "train",
    sample: Sample = "unseen",
    hidden: Floats | None = None,
) -> SoftLabels:
    """Soft labels of a table's rows and grades."""
    if isinstance(table, Table):
        row_ids, rows = table.row_ids, table.rows_fingerprint
    else:
        row_ids, rows = table.row_ids(split), table.split_fingerprint(split)
    facts: dict[str, Any] = {"teacher": teacher, "rows_fingerprint": rows, "sample": sample}
    return SoftLabels(row_ids, logits, grades=table.schema.class_grades, hidden=hidden, **facts)
