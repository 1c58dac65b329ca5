"""Calibration of a teacher that only gives scores: Platt scaling on the labels that there are, out of fold."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logit

from recdistill.artefacts import digest
from recdistill.errors import DataError
from recdistill.soft_labels import SoftLabels
from recdistill.splits import folds
from recdistill.tables import Table

Array = np.ndarray[Any, Any]
FEWEST = 10  # labelled rows of each class


@dataclass(frozen=True)
class Platt:
    """z ↦ a·z + b (Platt 1999).

    Args:
        slope: a, at least 0: calibration keeps the teacher's order, or, at 0, says that it has none worth keeping.
        intercept: b.
    """

    slope: float
    intercept: float

    def __call__(self, logits: Array) -> Array:
        """The calibrated logits."""
        return self.slope * logits + self.intercept


def fit_platt(logits: Array, labels: Array) -> Platt:
    """The a ≥ 0 and b with the least log loss Σ ln(1 + exp(z')) − t·z', z' = a·z + b.

    The targets t are (N₊ + 1)/(N₊ + 2) for a click and 1/(N₋ + 2) for none (Platt 1999, "Probabilistic outputs for
    support vector machines", section 2.2), so that a and b stay finite where the scores separate the classes.

    DIFF: a is bounded below by 0.

    Args:
        logits: (rows,) of the teacher.
        labels: (rows,) 0 or 1.

    Raises:
        DataError: fewer than `FEWEST` rows of a class.
    """
    clicks = np.asarray(labels) == 1
    positives, negatives = int(clicks.sum()), int((~clicks).sum())
    if min(positives, negatives) < FEWEST:
        raise DataError(
            f"Platt scaling needs at least {FEWEST} labelled rows of each class, got {positives} clicks and "
            f"{negatives} without a click: leave the scores as they are, or label more"
        )
    target = np.where(clicks, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    scores = np.asarray(logits, dtype=np.float64)
    centre, scale = scores.mean(), scores.std()
    if scale <= 1e-12 * max(1.0, abs(centre)):
        return Platt(0.0, float(logit(target.mean())))
    inputs = np.stack([(scores - centre) / scale, np.ones_like(scores)])  # (2, rows)

    def loss(weights: Array) -> tuple[float, Array]:
        z = weights @ inputs
        return float((np.logaddexp(0, z) - target * z).mean()), inputs @ (expit(z) - target) / len(z)

    start, bounds = np.array([1.0, logit(target.mean())]), ((0, None), (None, None))
    options = {"ftol": 0.0, "gtol": 1e-10, "maxiter": 1000}
    slope, intercept = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
    return Platt(float(slope / scale), float(intercept - slope * centre / scale))


def calibrate(soft: SoftLabels, table: Table, *, k: int = 5, seed: int = 0) -> SoftLabels:
    """Soft labels on the scale of the labels: each labelled row by a Platt scaling that did not see its label.

    Unlabelled rows are scaled by the fit on all labelled ones. Within a fold, and within the unlabelled rows, the
    teacher's order stays as it is.

    Args:
        soft: a teacher's click logits for the table's rows.
        table: the training rows; the labels that it has are read.
        k: folds over the labelled rows.
        seed: of the folds.

    Returns:
        Labels whose sample is "out_of_fold"; those of a teacher that knew the labels itself stay "in_sample".

    Raises:
        DataError: the soft labels are for other rows or of several classes, or a fit has fewer than `FEWEST` rows of
            a class.
        UsageError: k makes no sense.
    """
    if table.schema.classes > 1:
        raise DataError(f"Platt scaling is for clicks, got {table.schema.classes=}")
    logits, labels = soft.for_table(table).astype(np.float64), table.labels
    whole = fit_platt(logits[table.labelled], labels[table.labelled])
    scaled, used = whole(logits), [whole]
    for fold in folds(table, k=k, seed=seed):
        others = table.labelled & ~fold
        used.append(fit_platt(logits[others], labels[others]))
        scaled[fold] = used[-1](logits[fold])
    return SoftLabels(
        soft.row_ids,
        scaled.astype(np.float32),
        teacher=digest([soft.teacher, *map(astuple, used)]),
        rows_fingerprint=soft.rows_fingerprint,
        sample="in_sample" if soft.sample == "in_sample" else "out_of_fold",
    )
