"""ScoreColumn: a teacher that is a column of the table, made by a system of the user's own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from recdistill.calibrators import Calibrator, fit_calibration
from recdistill.errors import UsageError
from recdistill.soft_labels import SoftLabels
from recdistill.tables import Table


@dataclass(frozen=True)
class ScoreColumn:
    """Scores rows with what stands in their score column (`Schema.score`).

    Args:
        scale: of the column, "probability" or "logit".
        clip: probabilities are moved into [clip, 1 - clip].
        calibrator: of its logits, once fitted.
    """

    scale: Literal["probability", "logit"]
    clip: float = 0.0
    calibrator: Calibrator | None = None

    def score(self, table: Table) -> np.ndarray[Any, np.dtype[np.float32]]:
        """(rows,) float32 logits.

        Raises:
            UsageError: the schema has no score column.
            DataError: a score is not of the scale.
        """
        if table.schema.score is None:
            raise UsageError("a score column needs a column with the role score, got a schema without one")
        given = SoftLabels.from_column(table, scale=self.scale, clip=self.clip).logits
        return given if self.calibrator is None else self.calibrator(given).astype(np.float32)

    def calibrated(self, table: Table, *, kind: str = "platt") -> ScoreColumn:
        """The same, fitted to a table's labelled rows by a kind of `CALIBRATIONS`."""
        kept = table.take(table.labelled)
        given = replace(self, calibrator=None).score(kept)
        return replace(self, calibrator=fit_calibration(kind, given, kept.labels))
