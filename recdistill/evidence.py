"""What stands behind a report's figures: curves, how students follow their teacher, and many comparisons at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from recdistill.metrics import (
    agreement,
    expected_rating,
    holm,
    mean_kl,
    overlap_at_k,
    rank_correlation,
    reliability,
    tied_pairs,
)
from recdistill.tables import Table

Array = np.ndarray[Any, Any]
POINTS, DIGITS = 101, 5  # of a curve
FEWEST_USERS = 20  # whose first rows are compared


def curves(scores: Array, labels: Array) -> dict[str, Any]:
    """A ranker's ROC and precision-recall curve, reliability bins and share of tied pairs, as in `report.json`.

    The bins' intervals are Wilson's (1927), 95 %, as if rows were independent; where a user has many rows they are too
    narrow.

    Args:
        scores: (rows,) click logits.
        labels: (rows,) 0 or 1, both there.

    Returns:
        {"roc": {"x": false positive rates, "y": true positive rates}, "pr": {"x": recalls, "y": precisions},
        "reliability": [{"predicted", "observed", "low", "high", "rows"}], "tied_pairs": share}.
    """
    from sklearn.metrics import precision_recall_curve, roc_curve

    false, true, _ = roc_curve(labels, scores)
    # The last point of scikit-learn's, precision 1 at recall 0, is no score's.
    precisions, recalls = (values[:-1] for values in precision_recall_curve(labels, scores)[:2])
    return {
        "roc": _thinned(false, true, along=false + true),
        "pr": _thinned(recalls[::-1], precisions[::-1], along=recalls[::-1]),
        "reliability": _reliability(scores, labels),
        "tied_pairs": round(tied_pairs(scores, labels), DIGITS),
    }


def fidelity(student: Array, teacher: Array, test: Table, *, thresholds: tuple[float, float]) -> dict[str, float]:
    """How a student follows a teacher on the test rows.

    Args:
        student, teacher: (rows,) click logits, or (rows, classes) class logits, ordered by expected rating.
        test: the rows.
        thresholds: click logits from which a row counts as a click, the student's and the teacher's own.

    Returns:
        {"agreement", "kl", "rank_correlation", "overlap@10"}, see `metrics.fidelity`; the last is the mean over users
        with more than 10 rows, and absent where they are fewer than `FEWEST_USERS`.
    """
    own, best = thresholds
    alike = agreement(student, teacher, student_threshold=own, teacher_threshold=best)
    found = {"agreement": alike, "kl": mean_kl(student, teacher)}
    if test.schema.classes > 1:
        student, teacher = (expected_rating(scores, test.schema.grades) for scores in (student, teacher))
    found["rank_correlation"] = rank_correlation(student, teacher)
    if test.schema.user is not None:
        overlap = overlap_at_k(student, teacher, test.numpy(test.schema.user), k=10)
        found |= {"overlap@10": overlap.mean} if len(overlap.values) >= FEWEST_USERS else {}
    return found


def adjusted(comparisons: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """A share of labels' comparisons with "p_holm", adjusted for all with the same second ranker in the same metric."""
    found = [dict(comparison) for comparison in comparisons]
    families: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for one in found:
        families.setdefault((one["b"], one["metric"]), []).append(one)
    for family in families.values():
        for one, p in zip(family, holm([one["p"] for one in family]), strict=True):
            one["p_holm"] = float(p)
    return found


def _thinned(x: Array, y: Array, *, along: Array) -> dict[str, list[float]]:
    """At most `POINTS` points of a curve, evenly spaced by what rises along it; of equal ones the first."""
    kept = np.unique(np.searchsorted(along, np.linspace(along[0], along[-1], POINTS)))
    return {"x": x[kept].round(DIGITS).tolist(), "y": y[kept].round(DIGITS).tolist()}


def _reliability(scores: Array, labels: Array) -> list[dict[str, float]]:
    from scipy.stats import binomtest

    bins = []
    for rows, said, found in zip(*reliability(scores, labels), strict=True):
        low, high = binomtest(round(found * rows), int(rows)).proportion_ci(method="wilson")
        values = {"predicted": said, "observed": found, "low": low, "high": high}
        bins.append({**{name: round(float(value), DIGITS) for name, value in values.items()}, "rows": int(rows)})
    return bins
