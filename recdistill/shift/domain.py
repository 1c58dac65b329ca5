"""The domain classifier: how well rows tell which side they are from, and the density ratio that follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import sparse

from recdistill.errors import DataError, UsageError
from recdistill.metrics import auc_difference
from recdistill.shift.inputs import Inputs, Shared, shared_columns
from recdistill.shift.rows import FOLDS, drawn, require_enough
from recdistill.shift.sides import Side, by_fold, fitted, without
from recdistill.tables import Table

Array = np.ndarray[Any, Any]
LEAST, MOST = 0.1, 10.0  # of a density ratio


@dataclass(frozen=True)
class DomainShift:
    """How well the shared columns tell target rows from source rows.

    Args:
        auc: of a classifier on users that it did not see, 0.5 where the sides cannot be told apart, 1 where each row
            can be.
        low, high: its 95 % interval over users (over rows where there are none).
        columns: those that it knows.
        left_out: those of which the target has no value of the source's, and the user: they would tell by name.
        rows: that it learnt from and was judged on, of both sides.
    """

    auc: float
    low: float
    high: float
    columns: tuple[str, ...]
    left_out: tuple[str, ...]
    rows: int


class DomainClassifier:
    """Models of P(target | row), one per fold of users; a row is scored by the one that did not see its fold.

    Args:
        source, target: the rows; of many `rows.MOST_ROWS` of each side are drawn.
        shared: the columns that may be known.
    """

    def __init__(self, source: Table, target: Table, shared: Shared) -> None:
        there, here = drawn(source), drawn(target)
        self.inputs = Inputs([there, here], shared.used)
        self.source, self.target = Side.of(there, self.inputs), Side.of(here, self.inputs)
        self.models, self.odds = [], np.empty(FOLDS)
        for fold in range(FOLDS):
            rows = without(self.source, fold), without(self.target, fold)
            matrix = sparse.vstack([self.source.inputs[rows[0]], self.target.inputs[rows[1]]], format="csr")
            self.models.append(fitted(matrix, np.repeat([0, 1], [rows[0].sum(), rows[1].sum()])))
            self.odds[fold] = rows[0].sum() / rows[1].sum()

    def logits(self, side: Side) -> Array:
        """(rows,) log odds of the target."""
        return by_fold(self.models, side)

    def ratio(self, side: Side) -> Array:
        """(rows,) n_s/n_t · d/(1 − d), an estimate of p_target(x) / p_source(x), within [0.1, 10]."""
        logits = self.logits(side) + np.log(self.odds)[side.fold]
        return np.asarray(np.exp(np.clip(logits, np.log(LEAST), np.log(MOST))))


def density_ratio(source: Table, target: Table, *, of: Literal["target", "source"] = "target") -> Array:
    """How much likelier each row is in the target than in the source: n_s/n_t · d/(1 − d), clipped to [0.1, 10].

    d is P(target | row) by logistic regression on the shared columns (Bickel et al. 2007, "Discriminative learning for
    differing training and test distributions"), of a model that did not see the row's user. As weights of the source's
    rows it makes them look like the target's; of the target's rows it says how far each is from what the source, and so
    the teacher, knows.

    Args:
        source, target: rows of each side; labels are not read.
        of: whose rows are asked for.

    Returns:
        (rows,) float64, in the table's order.

    Raises:
        UsageError: `of` is neither side.
        DataError: a side has too few rows or users, or no column of theirs can be compared.
    """
    if of not in ("target", "source"):
        raise UsageError(f"a density ratio is of the target's rows or the source's, got {of=}")
    require_enough(source, "source")
    require_enough(target, "target")
    classifier = DomainClassifier(source, target, comparable(source, target))
    return classifier.ratio(Side.of(target if of == "target" else source, classifier.inputs))


def comparable(source: Table, target: Table) -> Shared:
    """The columns that can be compared.

    Raises:
        DataError: there are none.
    """
    shared = shared_columns(source, target)
    if not shared.used:
        apart = f" (of {', '.join(shared.apart)} no value is shared)" if shared.apart else ""
        raise DataError(f"source and target must share a feature beside the user, and values of it, got none{apart}")
    return shared


def domain_shift(classifier: DomainClassifier, shared: Shared) -> DomainShift:
    """The classifier's AUC on the rows it was not fitted on."""
    sides = classifier.source, classifier.target
    logits = np.concatenate([classifier.logits(side) for side in sides])
    labels = np.repeat([0, 1], [len(side) for side in sides])
    found = auc_difference(logits, np.zeros(len(logits)), labels, clusters=np.concatenate([s.unit for s in sides]))
    left_out = tuple(dict.fromkeys((*shared.apart, *([shared.user] if shared.user else ()))))
    auc, low, high = (0.5 + part for part in (found.delta, found.low, found.high))
    return DomainShift(auc, low, high, shared.used, left_out, len(logits))
