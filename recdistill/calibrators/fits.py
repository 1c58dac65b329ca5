"""How each calibrator is fitted to labelled rows."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, log_softmax, logit, logsumexp, softmax

from recdistill.calibrators.maps import Array, Isotonic, Platt, PriorShift, Temperature
from recdistill.errors import DataError

FEWEST = 10  # labelled rows of each class


def fit_temperature(logits: Array, labels: Array) -> Temperature:
    """The T with the least log loss of z / T.

    DIFF: T is within a factor of 1,000 of the logits' own size, so that it stays finite where a teacher is always right
    or never better than chance.

    Args:
        logits: (rows,) of clicks, or (rows, classes).
        labels: (rows,) 0 or 1, or classes.

    Raises:
        DataError: fewer than `FEWEST` rows of a class.
    """
    _counted(logits, labels, "temperature scaling")
    classes = _of_classes(logits)
    classes -= classes.mean(1, keepdims=True)
    size = np.sqrt((classes**2).mean())
    if not size:
        return Temperature(1.0)
    chosen = classes[np.arange(len(labels)), np.asarray(labels, dtype=np.int64)]

    def loss(log_temperature: float) -> float:
        sharpness = np.exp(-log_temperature) / size
        return float((logsumexp(sharpness * classes, axis=1) - sharpness * chosen).mean())

    wide = np.log(1000.0)
    found = minimize_scalar(loss, bounds=(-wide, wide), method="bounded", options={"xatol": 1e-9, "maxiter": 500}).x
    return Temperature(float(size * np.exp(found)))


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
    negatives, positives = _counted(logits, labels, "Platt scaling")
    low, high = _platts_targets(negatives, positives)
    target = np.where(np.asarray(labels) == 1, high, low)
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


def fit_isotonic(logits: Array, labels: Array) -> Isotonic:
    """The non-decreasing g with the least Σ (g(z) − y)² (Zadrozny & Elkan 2002), by pool-adjacent-violators.

    DIFF: g stays between Platt's targets, see `fit_platt`, since a share of 0 or 1 has no logit.

    Args:
        logits: (rows,) of the teacher.
        labels: (rows,) 0 or 1.

    Raises:
        DataError: fewer than `FEWEST` rows of a class.
    """
    from sklearn.isotonic import IsotonicRegression

    low, high = _platts_targets(*_counted(logits, labels, "isotonic regression"))
    fitted = IsotonicRegression(y_min=low, y_max=high, out_of_bounds="clip")
    fitted.fit(np.asarray(logits, dtype=np.float64), np.asarray(labels, dtype=np.float64))
    return Isotonic(tuple(fitted.X_thresholds_.tolist()), tuple(fitted.y_thresholds_.tolist()))


def fit_prior_shift(logits: Array, labels: Array) -> PriorShift:
    """The s with the least log loss of z + s: then the mean probability of each class is its share of the labels.

    Of a teacher that is calibrated where it was trained, and where the classes are alike but for their shares, it is
    what `PriorShift.between` says. Class shifts sum to 0.

    Args:
        logits: (rows,) of clicks, or (rows, classes).
        labels: (rows,) 0 or 1, or classes.

    Raises:
        DataError: fewer than `FEWEST` rows of a class.
    """
    counts, classes = _counted(logits, labels, "prior shift"), _of_classes(logits)
    share = counts / counts.sum()
    chosen = np.asarray(labels, dtype=np.int64)

    def loss(shift: Array) -> tuple[float, Array]:
        moved = classes + shift
        likelihood = log_softmax(moved, axis=1)[np.arange(len(chosen)), chosen].mean()
        return -float(likelihood), softmax(moved, axis=1).mean(0) - share

    start = np.log(share) - np.log(np.maximum(softmax(classes, axis=1).mean(0), 1e-12))
    options = {"ftol": 0.0, "gtol": 1e-10, "maxiter": 1000}
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options=options).x
    return PriorShift((float(found[1] - found[0]),) if np.ndim(logits) == 1 else tuple((found - found.mean()).tolist()))


def _counted(logits: Array, labels: Array, words: str) -> Array:
    """(classes,) how many rows each class has; for clicks those without one come first.

    Raises:
        DataError: fewer than `FEWEST` rows of a class.
    """
    clicks = np.ndim(logits) == 1
    counts = np.bincount(np.asarray(labels, dtype=np.int64), minlength=2 if clicks else np.shape(logits)[1])
    if counts.min() < FEWEST:
        got = f"{counts[1]} clicks and {counts[0]} without a click" if clicks else f"{counts.tolist()}"
        raise DataError(
            f"{words} needs at least {FEWEST} labelled rows of each class, got {got}: leave the scores as they are, or "
            "label more"
        )
    return counts


def _platts_targets(negatives: int, positives: int) -> tuple[float, float]:
    """What Platt takes 0 and 1 to be, so that logits stay finite; see `fit_platt`."""
    return 1 / (negatives + 2), (positives + 1) / (positives + 2)


def _of_classes(logits: Array) -> Array:
    """(rows, classes) logits: a click's are 0 and z."""
    scores = np.array(logits, dtype=np.float64)
    return np.stack([np.zeros_like(scores), scores], axis=1) if scores.ndim == 1 else scores
