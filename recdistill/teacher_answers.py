"""What a teacher of this package says of rows: its logits, and where they are asked for its hidden states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from recdistill.errors import DataError
from recdistill.prepared_table import PreparedTable
from recdistill.ranker import Ranker
from recdistill.tables import Table

Floats = np.ndarray[Any, np.dtype[np.float32]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]


def answers(
    teacher: Ranker, table: Table | PreparedTable, *, split: str = "train", hidden: bool = False
) -> tuple[Floats, Floats | None]:
    """A teacher's answers for every row.

    Args:
        teacher: scores the rows.
        table: the rows.
        split: which rows of a prepared table.
        hidden: whether the last hidden layer is asked for (see `Ranker.hidden`).

    Returns:
        (rows,) or (rows, classes) logits, and (rows, width) hidden states or None.
    """
    return teacher.score(table, split=split), teacher.hidden(table, split=split) if hidden else None


def answers_out_of_fold(
    teacher: Ranker, fold_teachers: Sequence[Ranker], folds: Sequence[Mask], table: Table, *, hidden: bool = False
) -> tuple[Floats, Floats | None]:
    """The answers of a teacher that was adapted on some of the rows, for these by one that was not adapted on them.

    Hidden states of several teachers can stand beside each other where all were adapted from the same one.

    Args:
        teacher: adapted on all folds; answers for the rows of no fold.
        fold_teachers: the k-th was adapted on all folds but the k-th, for which it answers.
        folds: per fold (rows,) bool, disjoint.
        table: the rows.
        hidden: as in `answers`.

    Returns:
        As `answers`.

    Raises:
        DataError: folds overlap, or their number is not that of the fold teachers.
    """
    if len(folds) != len(fold_teachers) or (np.sum(folds, axis=0) > 1).any():
        raise DataError(f"one teacher per disjoint fold, got {len(fold_teachers)} for {len(folds)} folds")
    logits, states = answers(teacher, table, hidden=hidden)
    for fold, fold_teacher in zip(folds, fold_teachers, strict=True):
        logits[fold], of_fold = answers(fold_teacher, table.take(fold), hidden=hidden)
        if states is not None:
            states[fold] = of_fold
    return logits, states
