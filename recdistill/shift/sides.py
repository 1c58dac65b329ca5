"""The two sides as linear models see them, and the models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from recdistill.fingerprints import Words
from recdistill.shift.inputs import Inputs
from recdistill.shift.rows import folds, units
from recdistill.tables import Table

Array = np.ndarray[Any, Any]
STRENGTH = 0.1  # C of scikit-learn: the variance of a weight beforehand


@dataclass(frozen=True)
class Side:
    """Rows of one side.

    Args:
        inputs: (rows, inputs).
        fold: (rows,) int64 in [0, `FOLDS`).
        unit: (rows,) a word for what rows are drawn by.
    """

    inputs: sparse.csr_matrix
    fold: Array
    unit: Words

    @staticmethod
    def of(table: Table, inputs: Inputs) -> Side:
        """A table's rows."""
        return Side(inputs.of(table), folds(table), units(table))

    def __len__(self) -> int:
        return len(self.fold)


def fitted(inputs: sparse.csr_matrix, answers: Array) -> Any:
    """A logistic regression with a ridge, scikit-learn's."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=STRENGTH, max_iter=1000, tol=1e-3).fit(inputs, answers)


def by_fold(models: list[Any], side: Side) -> Array:
    """(rows,) logits of a side, each row's by the model that was fitted without its fold."""
    logits = np.empty(len(side))
    for fold, model in enumerate(models):
        own = side.fold == fold
        if own.any():
            logits[own] = model.decision_function(side.inputs[own])
    return logits


def without(side: Side, fold: int) -> Array:
    """(rows,) whether a row is outside a fold."""
    return np.asarray(side.fold != fold)
