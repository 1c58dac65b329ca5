"""The strategy "auto": which of a few ways to make the student is right here, by cross-validation, without doing harm.

Every candidate is made without the labels of a fold and scores its rows. The candidate with the best mean logloss over
the folds is chosen if its gain over labels alone is not below 0 at a one-sided lower bound, in logloss and in the
headline metric; otherwise labels alone are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from recdistill.errors import UsageError, nearest
from recdistill.evaluation import compare, more_is_better, task
from recdistill.metrics.comparison import own_variance
from recdistill.notebook import shown
from recdistill.ranker import Ranker
from recdistill.splits import folds
from recdistill.tables import Table

Array = np.ndarray[Any, Any]
Make = Callable[[Table], Ranker]
CONTROL, CONFIDENCE = "hard_only", 0.9


@dataclass(frozen=True)
class Gain:
    """What a candidate gains over the control in one metric; more is better, whatever the metric.

    Args:
        mean: the gain.
        low, high: its one-sided lower and upper bounds.
    """

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Decision:
    """What was chosen, and why.

    Args:
        chosen: the candidate.
        best: the candidate with the best cross-validated logloss, chosen or not.
        control: what was to be beaten.
        gains: per candidate and metric ("logloss" and the headline one) its gain over the control.
        confidence: of the one-sided bounds.
        rows: how many labelled rows they rest on.
    """

    chosen: str
    best: str
    control: str
    gains: dict[str, dict[str, Gain]]
    confidence: float
    rows: int

    @property
    def harmful(self) -> tuple[str, ...]:
        """Candidates that are worse than the control at the upper bound of a gain: signs of negative transfer.

        Each candidate and metric has a one-sided bound of its own, without correction for their number, so that a
        candidate that changes nothing but noise is named now and then.
        """
        return tuple(name for name, of in self.gains.items() if any(gain.high < 0 for gain in of.values()))

    @property
    def words(self) -> str:
        """The reason, in a sentence."""
        bound = f"{100 * self.confidence:g} % lower bound"
        if self.best == self.control:
            return f"{self.control}: no candidate has a better logloss on {self.rows:,} labelled rows out of fold"
        found = self.gains[self.best]
        said = ", ".join(f"{name} {gain.mean:+.4f} ({bound} {gain.low:+.4f})" for name, gain in found.items())
        reason = f"{self.best} gains {said} over {self.control} on {self.rows:,} labelled rows out of fold"
        return reason if self.chosen == self.best else f"{self.control}, though {reason}: not sure enough"

    def _repr_html_(self) -> str:
        rows = [
            [name, metric, f"{gain.mean:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}]"]
            for name, of in self.gains.items()
            for metric, gain in of.items()
        ]
        bounds = f"gain over {self.control} [one-sided {100 * self.confidence:g} % bounds]"
        return shown(f"Decision: {self.chosen}", lines=[self.words], table=[["candidate", "metric", bounds], *rows])

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        gains = {name: {metric: vars(gain) for metric, gain in of.items()} for name, of in self.gains.items()}
        said = {"chosen": self.chosen, "best": self.best, "control": self.control, "words": self.words}
        told = {"harmful": list(self.harmful), "confidence": self.confidence, "rows": self.rows}
        return {**said, **told, "gains": gains}


def choose(
    candidates: Mapping[str, Make],
    train: Table,
    *,
    k: int = 3,
    seed: int = 0,
    control: str = CONTROL,
    confidence: float = CONFIDENCE,
) -> tuple[Ranker, Decision]:
    """Cross-validate candidates over the labelled rows, decide, and make the one that is chosen of all rows.

    Args:
        candidates: per name what makes a ranker of training rows. It is called with the rows of which a fold's labels
            are removed, and must use no other labels of theirs: a teacher that was adapted on them is adapted anew.
        train: the rows, labelled or not.
        k: folds over the labelled rows.
        seed: of the folds.
        control: the candidate that is kept unless another is better at the one-sided bounds; labels alone.
        confidence: of the one-sided bounds.

    Returns:
        The ranker of the chosen candidate, made of all labels, and the decision.

    Raises:
        UsageError: no such control, or k or the confidence makes no sense.
        DataError: folds of one class only.
    """
    _require(candidates, control, confidence)
    held = folds(train, k=k, seed=seed)
    parts: dict[str, list[Array]] = {name: [] for name in candidates}
    for fold in held:
        rows = train.with_labels_only(train.labelled & ~fold)
        for name, make in candidates.items():
            parts[name].append(make(rows).score(rows.take(fold)))
    logits = {name: joined(of, held) for name, of in parts.items()}
    decision = decide(logits, train.take(train.labelled), fold=numbered(held), control=control, confidence=confidence)
    return candidates[decision.chosen](train), decision


def joined(parts: Sequence[Array], held: Sequence[Array]) -> Array:
    """(labelled rows, …) logits out of fold, in the order of the rows.

    Args:
        parts: per fold what was said of its rows.
        held: per fold a mask over all rows; together the labelled ones.
    """
    found = np.empty((len(held[0]), *parts[0].shape[1:]))
    for fold, part in zip(held, parts, strict=True):
        found[fold] = part
    return found[np.any(held, axis=0)]


def numbered(held: Sequence[Array]) -> Array:
    """(labelled rows,) the number of each one's fold, in the order of the rows; masks as in `joined`."""
    return np.asarray(np.argmax(np.stack(held), axis=0)[np.any(held, axis=0)])


def decide(
    logits: Mapping[str, Array],
    labelled: Table,
    *,
    fold: Array | None = None,
    control: str = CONTROL,
    confidence: float = CONFIDENCE,
) -> Decision:
    """Choose among candidates by what they said of rows that they had not seen the labels of.

    Gains are paired, row by row; rows cluster by user where there is a user column. With folds a gain is the mean over
    folds, each of a ranker of its own, and its bounds hold how much the folds differ beyond what their rows explain:
    rows alone say nothing of a fit's luck, which of many rows may be the larger part. Of equal means the control's goes
    first, then the earlier candidate's.

    Args:
        logits: per candidate (rows,) or (rows, classes) logits out of fold.
        labelled: those rows.
        fold: (rows,) the number of each one's fold; None where all were said by one ranker, or where a fold is too
            small to be compared alone.
        control: the candidate that is kept unless another is better at the one-sided bounds.
        confidence: of the one-sided bounds.

    Raises:
        UsageError: no such control, or the confidence is out of range.
        DataError: the rows cannot be compared by: labels of one class, or fewer than 2 users; or a candidate has not
            finite logits for each.
    """
    _require(logits, control, confidence)
    metrics = dict.fromkeys(("logloss", task(labelled.schema).headline))
    masks = [] if fold is None else [fold == number for number in np.unique(fold)]
    parts = [(of, labelled.take(of)) for of in masks]
    gains = {
        name: {metric: _gain(logits[name], logits[control], labelled, parts, metric, confidence) for metric in metrics}
        for name in logits
        if name != control
    }
    best = max((control, *gains), key=lambda name: gains[name]["logloss"].mean if name != control else 0.0)
    safe = best != control and all(gain.low >= 0 for gain in gains[best].values())
    return Decision(best if safe else control, best, control, gains, confidence, len(labelled))


def _gain(
    first: Array, second: Array, labelled: Table, parts: Sequence[tuple[Array, Table]], metric: str, confidence: float
) -> Gain:
    """The mean gain over folds with its one-sided bounds, see `decide`.

    The variance is V + B: V is the rows', clustered, and B = (s² − W)/K, at least 0, what the K folds' gains differ by
    beyond what their rows explain (W, `own_variance`). Student's t with the degrees of freedom of such a sum
    (Satterthwaite 1946).
    """
    whole = compare(first, second, labelled, metric)
    units = len(labelled) if (user := labelled.schema.user) is None else len(np.unique(labelled.numpy(user)))
    mean, rows_variance, luck, freedom = whole["delta"], whole["rows_error"] ** 2, 0.0, float(units - 1)
    if len(parts) > 1 and all(_comparable(rows, metric) for _, rows in parts):
        each = [compare(first[of], second[of], rows, metric) for of, rows in parts]
        deltas, own = np.array([one["delta"] for one in each]), np.array([one["rows_error"] ** 2 for one in each])
        beyond = float(deltas.var(ddof=1)) - own_variance(own, rows_variance)
        mean, luck = float(deltas.mean()), max(0.0, beyond / len(deltas))
    total = rows_variance + luck
    if total and luck:
        freedom = total**2 / (rows_variance**2 / (units - 1) + luck**2 / (len(parts) - 1))
    half = float(stats.t.ppf(confidence, freedom)) * total**0.5
    gain = mean if more_is_better(labelled.schema, metric) else -mean
    return Gain(gain, gain - half, gain + half)


def _comparable(rows: Table, metric: str) -> bool:
    """Whether a fold can be compared by itself: for an area it needs both classes, and users more than one."""
    user = rows.schema.user
    many = len(rows) if user is None else len(np.unique(rows.numpy(user)))
    return many > 1 and (metric != "auc" or len(np.unique(rows.labels)) > 1)


def _require(candidates: Mapping[str, Any], control: str, confidence: float) -> None:
    if control not in candidates:
        raise UsageError(f"no candidate {control!r} to beat, {nearest(control, candidates)}")
    if not 0.5 <= confidence < 1:
        raise UsageError(f"the confidence of a one-sided bound must be in [0.5, 1), got {confidence=}")
