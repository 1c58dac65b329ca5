"""Ranking metrics: one value per list (user or session), vectorised; ties are in expectation over random orders.

Within a group of g tied rows that holds p positives, a random order puts p/g of a positive on each of its ranks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from recdistill.metrics.classification import Array, checked


@dataclass(frozen=True)
class PerList:
    """One value per list that has one.

    Args:
        lists: (lists,) ids of the lists that count.
        values: (lists,) their values.
        skipped: how many lists had no value, e.g. no positive.
    """

    lists: Array
    values: Array
    skipped: int

    @property
    def mean(self) -> float:
        """The plain mean over lists; NaN without any."""
        return float(self.values.mean()) if len(self.values) else float("nan")


@dataclass(frozen=True)
class _Ranked:
    """Rows sorted by list and falling score, with each row's rank and its tied group."""

    lists: Array
    list_of: Array
    label: Array
    rank: Array
    group: Array
    share: Array

    def per_list(self, values: Array) -> Array:
        return np.bincount(self.list_of, weights=values, minlength=len(self.lists))


def recall_at_k(scores: Any, labels: Any, lists: Any, *, k: int = 10) -> PerList:
    """Expected share of a list's positives among its first k.

    Args:
        scores: (rows,).
        labels: (rows,) 0 or 1.
        lists: (rows,) the list of each row.
        k: at least 1. The denominator is the number of positives, also where it exceeds k.
    """
    ranked = _ranked(scores, labels, lists, k)
    positives = ranked.per_list(ranked.label)
    return _counted(ranked, ranked.per_list(ranked.share * (ranked.rank < k)), positives)


def ndcg_at_k(scores: Any, labels: Any, lists: Any, *, k: int = 10) -> PerList:
    """Normalised discounted cumulative gain at k with gains 0/1 and discount 1/log2(rank + 1).

    Järvelin & Kekäläinen 2002; ties averaged as in McSherry & Najork 2008. Arguments are `(rows,)` as in `recall_at_k`.
    """
    ranked = _ranked(scores, labels, lists, k)
    discount = np.where(ranked.rank < k, 1 / np.log2(ranked.rank + 2), 0.0)
    positives = ranked.per_list(ranked.label)
    longest = int(ranked.rank.max()) + 1
    ideal = np.append(0.0, np.cumsum(np.where(np.arange(longest) < k, 1 / np.log2(np.arange(longest) + 2), 0)))
    return _counted(ranked, ranked.per_list(ranked.share * discount), ideal[positives.astype(int)])


def mrr(scores: Any, labels: Any, lists: Any, *, k: int | None = None) -> PerList:
    """Expected reciprocal rank of a list's first positive (0 beyond k). Arguments are `(rows,)` as in `recall_at_k`.

    In a tied group of g rows with p positives the first is at place j with probability
    C(g - j, p - 1) / C(g, p), built up place by place.
    """
    ranked = _ranked(scores, labels, lists, 1 if k is None else k)
    positives = ranked.per_list(ranked.label)
    size, hits = np.bincount(ranked.group), np.bincount(ranked.group, weights=ranked.label)
    first = np.searchsorted(ranked.group, np.arange(len(size)))
    before = np.cumsum(hits) - hits - (np.cumsum(positives) - positives)[ranked.list_of[first]]
    values = np.zeros(len(ranked.lists))
    for group in np.flatnonzero((hits > 0) & (before < 0.5)):
        places = np.arange(size[group])
        left = size[group] - places
        stop = np.minimum(hits[group] / left, 1.0)
        chance = stop * np.append(1.0, np.cumprod(1 - stop)[:-1])
        rank = ranked.rank[first[group]] + places
        values[ranked.list_of[first[group]]] = (chance / (rank + 1) * (rank < (k or np.inf))).sum()
    return _counted(ranked, values, (positives > 0).astype(float))


def grouped_auc(scores: Any, labels: Any, lists: Any) -> PerList:
    """AUC within each list that has both classes, ties half; `.mean` is gauc_mean. Arguments are `(rows,)`."""
    ranked = _ranked(scores, labels, lists, 1)
    size, hits = np.bincount(ranked.group), np.bincount(ranked.group, weights=ranked.label)
    positives = ranked.per_list(ranked.label)
    negatives = ranked.per_list(1 - ranked.label)
    misses = (size - hits)[ranked.group]
    first = np.searchsorted(ranked.group, np.arange(len(size)))
    passed = np.cumsum(1 - ranked.label)[first] - (1 - ranked.label)[first]
    offset = (np.cumsum(negatives) - negatives)[ranked.list_of]
    below = negatives[ranked.list_of] - (passed[ranked.group] - offset) - misses
    return _counted(ranked, ranked.per_list(ranked.label * (below + misses / 2)), positives * negatives)


def _ranked(scores: Any, labels: Any, lists: Any, k: int) -> _Ranked:
    scores, labels = checked(scores, labels)
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k=}")
    names, list_of = np.unique(np.asarray(lists), return_inverse=True)
    order = np.lexsort((-scores, list_of))
    scores, labels, list_of = scores[order], labels[order], list_of[order]
    starts = np.searchsorted(list_of, np.arange(len(names)))
    new = np.append(True, (np.diff(list_of) != 0) | (np.diff(scores) != 0))
    group = np.cumsum(new) - 1
    share = (np.bincount(group, weights=labels) / np.bincount(group))[group]
    return _Ranked(names, list_of, labels, np.arange(len(order)) - starts[list_of], group, share)


def _counted(ranked: _Ranked, values: Array, wholes: Array) -> PerList:
    kept = wholes > 0
    return PerList(ranked.lists[kept], values[kept] / wholes[kept], int((~kept).sum()))
