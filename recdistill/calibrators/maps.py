"""Functions from a teacher's logits to calibrated ones, each a frozen dataclass of its parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy.special import logit

Array = np.ndarray[Any, Any]


class Calibrator(Protocol):
    """A frozen dataclass of its parameters."""

    def __call__(self, logits: Array) -> Array:
        """The calibrated logits of (rows,) click or (rows, classes) class logits."""


@dataclass(frozen=True)
class Temperature:
    """z ↦ z / T (Guo et al. 2017, arXiv:1706.04599, section 4.2), of click or class logits.

    Args:
        temperature: T > 0; above 1 the teacher was too sure of itself.
    """

    temperature: float

    def __call__(self, logits: Array) -> Array:
        """The calibrated logits."""
        return logits / self.temperature


@dataclass(frozen=True)
class Platt:
    """z ↦ a·z + b (Platt 1999), of click logits.

    Args:
        slope: a, at least 0: calibration keeps the teacher's order, or, at 0, says that it has none worth keeping.
        intercept: b.
    """

    slope: float
    intercept: float

    def __call__(self, logits: Array) -> Array:
        """The calibrated logits."""
        return self.slope * logits + self.intercept


@dataclass(frozen=True)
class Isotonic:
    """z ↦ logit(g(z)) with a non-decreasing g, linear between knots and flat beyond them, of click logits.

    Args:
        at: the knots' logits, rising.
        probability: g there, in (0, 1).
    """

    at: tuple[float, ...]
    probability: tuple[float, ...]

    def __call__(self, logits: Array) -> Array:
        """The calibrated logits."""
        return np.asarray(logit(np.interp(logits, self.at, self.probability)))


@dataclass(frozen=True)
class PriorShift:
    """z ↦ z + s: the logits where classes have other shares and are alike otherwise.

    Args:
        shift: s, one number for click logits, one per class for class logits.
    """

    shift: tuple[float, ...]

    def __call__(self, logits: Array) -> Array:
        """The calibrated logits."""
        return np.asarray(logits + np.asarray(self.shift))

    @staticmethod
    def between(source: float | Array, target: float | Array) -> PriorShift:
        """The shift from a source's shares to a target's, as observed or estimated without labels.

        For clicks s = logit(π_t) − logit(π_s), for classes s_k = ln π_t,k − ln π_s,k (Saerens, Latinne & Decaestecker
        2002, "Adjusting the outputs of a classifier to new a priori probabilities", section 2).

        Args:
            source, target: the share of clicks on each side, or (classes,) the share of each class.

        Raises:
            ValueError: a share is not strictly between 0 and 1, or the sides differ in shape.
        """
        shares = [np.asarray(side, dtype=np.float64) for side in (source, target)]
        if shares[0].shape != shares[1].shape or any(((side <= 0) | (side >= 1)).any() for side in shares):
            raise ValueError(f"shares must be strictly between 0 and 1 on both sides, got {source=}, {target=}")
        to_logits = logit if shares[0].ndim == 0 else np.log
        return PriorShift(tuple(np.atleast_1d(to_logits(shares[1]) - to_logits(shares[0])).tolist()))
