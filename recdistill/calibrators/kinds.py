"""The kinds of calibration by name: how one is fitted, written down and read again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from recdistill.calibrators.fits import fit_isotonic, fit_platt, fit_prior_shift, fit_temperature
from recdistill.calibrators.maps import Array, Calibrator, Isotonic, Platt, PriorShift, Temperature
from recdistill.errors import DataError, UsageError, nearest


@dataclass(frozen=True)
class Kind:
    """A kind of calibration.

    Args:
        made: the calibrator's class.
        fit: makes one from (rows,) or (rows, classes) logits and (rows,) labels.
        ratings: whether it is for class logits too.
    """

    made: type[Any]
    fit: Callable[[Array, Array], Calibrator]
    ratings: bool = False


CALIBRATIONS = {
    "isotonic": Kind(Isotonic, fit_isotonic),
    "platt": Kind(Platt, fit_platt),
    "prior_shift": Kind(PriorShift, fit_prior_shift, ratings=True),
    "temperature": Kind(Temperature, fit_temperature, ratings=True),
}


def fit_calibration(kind: str, logits: Array, labels: Array) -> Calibrator:
    """A calibrator fitted to labelled rows, which the teacher has not learnt from.

    Args:
        kind: a key of `CALIBRATIONS`.
        logits: (rows,) of clicks, or (rows, classes).
        labels: (rows,) 0 or 1, or classes.

    Raises:
        UsageError: there is no such kind.
        DataError: it is not for class logits, or a class has too few rows.
    """
    if kind not in CALIBRATIONS:
        raise UsageError(f"no calibration {kind!r}, {nearest(kind, CALIBRATIONS)}")
    if np.ndim(logits) == 2 and not CALIBRATIONS[kind].ratings:
        raise DataError(f"{not_for_ratings(kind)}, got {np.shape(logits)[1]} classes")
    return CALIBRATIONS[kind].fit(logits, labels)


def not_for_ratings(kind: str) -> str:
    """The rule that a kind for clicks alone breaks on ratings, with those that fit."""
    fitting = " or ".join(name for name, of in CALIBRATIONS.items() if of.ratings)
    return f"calibration by {kind!r} is for clicks, ratings take {fitting}"


def to_dict(calibrator: Calibrator) -> dict[str, Any]:
    """A calibrator's kind and parameters, for JSON."""
    kind = next(name for name, kind in CALIBRATIONS.items() if isinstance(calibrator, kind.made))
    return {"kind": kind, **asdict(calibrator)}  # type: ignore[call-overload]


def from_dict(stored: Mapping[str, Any]) -> Calibrator:
    """The reverse of `to_dict`.

    Raises:
        DataError: there is no such kind, or its parameters are others.
    """
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()}
    kind = values.pop("kind", None)
    try:
        made: Calibrator = CALIBRATIONS[str(kind)].made(**values)
    except (KeyError, TypeError):
        known = ", ".join(CALIBRATIONS)
        raise DataError(f"a calibrator has a kind ({known}) and its parameters, got {dict(stored)}") from None
    return made
