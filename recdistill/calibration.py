"""Calibration of a teacher on the target: its soft labels brought onto the scale of the labels that there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from recdistill.calibrators import (
    CALIBRATIONS,
    Calibration,
    Calibrator,
    fit_calibration,
    fit_platt,
    fit_temperature,
    not_for_ratings,
)
from recdistill.errors import DataError
from recdistill.metrics import ReliabilityBins, expected_calibration_error, normalised_entropy, reliability
from recdistill.soft_labels import SoftLabels
from recdistill.splits import folds
from recdistill.tables import Table

Array = np.ndarray[Any, Any]


def calibrate(soft: SoftLabels, table: Table, *, kind: str = "platt", k: int = 5, seed: int = 0) -> SoftLabels:
    """Soft labels on the scale of the labels: each labelled row by a calibrator that was not fitted to its label.

    It did not see the label directly: where the soft labels are out of fold already, the other rows' logits, to which
    it was fitted, come from teachers that were adapted on this row.

    Unlabelled rows are calibrated by the fit on all labelled ones. What the teacher said stays beside the calibration,
    in memory and on disk (`SoftLabels.raw`). Within a fold, and within the unlabelled rows, no click is put before
    another that the teacher put after it.

    Args:
        soft: a teacher's logits for the table's rows.
        table: the training rows; the labels that it has are read.
        kind: a key of `CALIBRATIONS`.
        k: folds over the labelled rows.
        seed: of the folds.

    Returns:
        Labels whose sample is "out_of_fold"; those of a teacher that knew the labels itself stay "in_sample".

    Raises:
        DataError: the soft labels are for other rows, are calibrated already, or of classes that this kind is not for,
            or a fit has fewer than `FEWEST` rows of a class.
        UsageError: there is no such kind, or k makes no sense.
    """
    _require_raw(soft)
    if kind in CALIBRATIONS and table.schema.classes > 1 and not CALIBRATIONS[kind].ratings:
        raise DataError(f"{not_for_ratings(kind)}, got ratings of {table.schema.classes} grades")
    logits, labels, labelled = soft.for_table(table).astype(np.float64), table.labels, table.labelled
    whole = fit_calibration(kind, logits[labelled], labels[labelled])
    number, fitted = np.full(len(table), -1, dtype=np.int32), []
    for fold, mask in enumerate(folds(table, k=k, seed=seed)):
        others = labelled & ~mask
        fitted.append(fit_calibration(kind, logits[others], labels[others]))
        number[mask] = fold
    return soft.under(Calibration(whole, tuple(fitted), number, seed))


def calibrate_with(soft: SoftLabels, by: Calibrator) -> SoftLabels:
    """Soft labels under a calibrator that was fitted elsewhere: to other rows, or to no labels at all.

    Args:
        soft: a teacher's logits.
        by: e.g. `fit_calibration` of the teacher's logits for labelled rows that did not train it, or
            `PriorShift.between` the shares of clicks of source and target.

    Raises:
        DataError: the soft labels are calibrated already.
    """
    _require_raw(soft)
    return soft.under(Calibration(by, (), np.full(len(soft.row_ids), -1, dtype=np.int32)))


@dataclass(frozen=True)
class Scale:
    """How far logits are on the scale of the labels.

    Args:
        ece: expected calibration error.
        normalised_entropy: log loss over that of the labels' shares alone.
        slope: a of the Platt scaling that would still help, 1 on the scale; for ratings 1 / T of the temperature.
        intercept: b, 0 on the scale; None for ratings.
        bins: of a reliability diagram.
    """

    ece: float
    normalised_entropy: float
    slope: float
    intercept: float | None
    bins: ReliabilityBins

    @staticmethod
    def of(logits: Array, labels: Array, *, bins: int = 15) -> Scale:
        """That of labelled rows.

        Args:
            logits: (rows,) of clicks, or (rows, classes).
            labels: (rows,) 0 or 1, or classes.
            bins: at most so many.

        Raises:
            DataError: fewer than `FEWEST` rows of a class.
        """
        if logits.ndim == 1:
            platt = fit_platt(logits, labels)
            slope, intercept = platt.slope, platt.intercept
        else:
            slope, intercept = 1 / fit_temperature(logits, labels).temperature, None
        return Scale(
            ece=expected_calibration_error(logits, labels, bins=bins),
            normalised_entropy=normalised_entropy(logits, labels),
            slope=slope,
            intercept=intercept,
            bins=reliability(logits, labels, bins=bins),
        )


def calibration_report(soft: SoftLabels, table: Table, *, bins: int = 15) -> dict[str, Scale]:
    """What a teacher said, and what calibration made of it, against the labels that a table has.

    Of soft labels that `calibrate` made from the same labels both are honest: no calibrator was fitted to its own row.

    Args:
        soft: for the table's rows, calibrated or not.
        table: with labels.
        bins: of the reliability diagrams, at most.

    Returns:
        "given" and, of calibrated labels, "calibrated".

    Raises:
        DataError: the soft labels are for other rows, or fewer than `FEWEST` labels of a class.
    """
    soft.for_table(table)
    kept = table.labelled
    both = {"given": soft.raw} if soft.calibration is None else {"given": soft.raw, "calibrated": soft}
    return {name: Scale.of(labels.logits[kept], table.labels[kept], bins=bins) for name, labels in both.items()}


def _require_raw(soft: SoftLabels) -> None:
    if soft.calibration is not None:
        raise DataError("soft labels are calibrated once, got calibrated ones: begin from their `raw`")
