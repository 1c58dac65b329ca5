"""Calibration: a calibrator for each fold of the rows, so that no label reaches its own row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np

from recdistill.calibrators.kinds import from_dict, to_dict
from recdistill.calibrators.maps import Array, Calibrator


@dataclass(frozen=True, eq=False)
class Calibration:
    """What brings the logits of some rows onto the scale of their labels.

    Args:
        whole: for rows of no fold; fitted to all labelled rows, or to rows elsewhere.
        folds: the k-th for the rows of fold k, fitted to the labelled rows of all others.
        fold: (rows,) int32, each row's fold; -1 for none.
        seed: of the folds.
    """

    whole: Calibrator
    folds: tuple[Calibrator, ...]
    fold: np.ndarray[Any, np.dtype[np.int32]]
    seed: int = 0

    def __call__(self, logits: Array) -> np.ndarray[Any, np.dtype[np.float32]]:
        """(rows,) or (rows, classes) float32 calibrated logits."""
        given = logits.astype(np.float64)
        found = self.whole(given)
        for k, fitted in enumerate(self.folds):
            found[self.fold == k] = fitted(given[self.fold == k])
        return found.astype(np.float32)

    @property
    def parameters(self) -> list[tuple[Any, ...]]:
        """Of every calibrator."""
        return [astuple(fitted) for fitted in (self.whole, *self.folds)]  # type: ignore[call-overload]

    def to_dict(self) -> dict[str, Any]:
        """All but the rows' folds, for JSON."""
        return {
            "k": len(self.folds),
            "seed": self.seed,
            "labelled": int((self.fold >= 0).sum()),
            "whole": to_dict(self.whole),
            "folds": [to_dict(fitted) for fitted in self.folds],
        }

    @staticmethod
    def from_dict(stored: Mapping[str, Any], fold: np.ndarray[Any, np.dtype[np.int32]]) -> Calibration:
        """The reverse of `to_dict`.

        Args:
            stored: what it gave.
            fold: (rows,) each row's fold.

        Raises:
            DataError: a calibrator is of no kind that there is.
        """
        return Calibration(from_dict(stored["whole"]), tuple(map(from_dict, stored["folds"])), fold, stored["seed"])
