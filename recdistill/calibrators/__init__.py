"""Calibrators: functions that bring a teacher's logits onto the scale of the labels, and how each is fitted.

`maps` are the functions, `fits` their fits to labelled rows, `kinds` knows both by name, and `by_fold` has one for each
fold of the rows.
"""

from recdistill.calibrators.by_fold import Calibration
from recdistill.calibrators.fits import FEWEST, fit_isotonic, fit_platt, fit_prior_shift, fit_temperature
from recdistill.calibrators.kinds import CALIBRATIONS, Kind, fit_calibration, from_dict, not_for_ratings, to_dict
from recdistill.calibrators.maps import Calibrator, Isotonic, Platt, PriorShift, Temperature

__all__ = [
    "CALIBRATIONS",
    "FEWEST",
    "Calibration",
    "Calibrator",
    "Isotonic",
    "Kind",
    "Platt",
    "PriorShift",
    "Temperature",
    "fit_calibration",
    "fit_isotonic",
    "fit_platt",
    "fit_prior_shift",
    "fit_temperature",
    "from_dict",
    "not_for_ratings",
    "to_dict",
]
