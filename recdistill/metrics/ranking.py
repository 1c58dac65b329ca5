"""Ranking metrics: one value per list (user or session), vectorised; ties are in expectation over random orders.

Within a group of g tied rows that holds p positives, a random order puts p/g of a positive on each of its ranks. A list
without positives has no value and is counted in `skipped`; grouped AUC needs a negative too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from recdistill.metrics.classification import Array
from recdistill.metrics.per_list import PerList
from recdistill.metrics.tied_lists import TiedLists, tied_lists

Metric = Callable[[TiedLists], PerList]  # of some lists


def ranking_metrics(scores: Any, labels: Any, lists: Any, *, k: int = 10) -> dict[str, PerList]:
    """Every ranking metric from one sort of the rows.

    "ndcg@k", "recall@k", "precision@k", "hit@k", "mrr", "map" and "gauc" (`grouped_auc`).

    Args:
        scores: (rows,).
        labels: (rows,) 0 or 1.
        lists: (rows,) the list of each row.
        k: at least 1; MRR and MAP go through whole lists.

    Raises:
        DataError: bad input.
        ValueError: k is below 1.
    """
    metrics: dict[str, Metric] = {
        f"ndcg@{k}": partial(_ndcg, k=k),
        f"recall@{k}": partial(_recall, k=k),
        f"precision@{k}": partial(_precision, k=k),
        f"hit@{k}": partial(_hit, k=k),
        "mrr": _mrr,
        "map": _average_precision,
        "gauc": _auc,
    }
    return dict(zip(metrics, _measured(scores, labels, lists, *metrics.values()), strict=True))


def recall_at_k(scores: Any, labels: Any, lists: Any, *, k: int = 10) -> PerList:
    """Expected share of a list's positives among its first k.

    Args:
        scores: (rows,).
        labels: (rows,) 0 or 1.
        lists: (rows,) the list of each row.
        k: at least 1. The denominator is the number of positives, also where it exceeds k.
    """
    return _measured(scores, labels, lists, partial(_recall, k=k))[0]


def precision_at_k(scores: Any, labels: Any, lists: Any, *, k: int = 10) -> PerList:
    """Expected share of positives among a list's first k. Arguments are `(rows,)` as in `recall_at_k`.

    The denominator is k, also for lists with fewer rows, as in trec_eval.
    """
    return _measured(scores, labels, lists, partial(_precision, k=k))[0]


def hit_at_k(scores: Any, labels: Any, lists: Any, *, k: int = 10) -> PerList:
    """Probability that a list's first k hold a positive. Arguments are `(rows,)` as in `recall_at_k`.

    Where the first positives are in a tied group of g rows with p positives, of which m ranks are among the first k, it
    is 1 − C(g − p, m) / C(g, m).
    """
    return _measured(scores, labels, lists, partial(_hit, k=k))[0]


def ndcg_at_k(scores: Any, labels: Any, lists: Any, *, k: int = 10) -> PerList:
    """Normalised discounted cumulative gain at k with gains 0/1 and discount 1/log2(rank + 1).

    Järvelin & Kekäläinen 2002; ties averaged as in McSherry & Najork 2008. Arguments are `(rows,)` as in `recall_at_k`.
    """
    return _measured(scores, labels, lists, partial(_ndcg, k=k))[0]


def mrr(scores: Any, labels: Any, lists: Any, *, k: int | None = None) -> PerList:
    """Expected reciprocal rank of a list's first positive (0 beyond k). Arguments are `(rows,)` as in `recall_at_k`.

    In a tied group of g rows with p positives the first is at place j with probability
    C(g - j, p - 1) / C(g, p), built up place by place.
    """
    return _measured(scores, labels, lists, partial(_mrr, k=k))[0]


def average_precision(scores: Any, labels: Any, lists: Any) -> PerList:
    """Expected mean of the precisions at a list's positives; `.mean` is MAP. Arguments are `(rows,)`.

    With r rows and h positives above a tied group of g rows with p positives, place j of it holds a positive with
    probability p/g, and then a precision of (h + 1 + (j − 1)(p − 1)/(g − 1)) / (r + j) on average (McSherry & Najork
    2008, section 3).
    """
    return _measured(scores, labels, lists, _average_precision)[0]


def grouped_auc(scores: Any, labels: Any, lists: Any) -> PerList:
    """AUC within each list that has both classes, ties half. Arguments are `(rows,)`.

    Its `mean` is gauc_mean, `mean_by("impressions")` gauc_impressions and `mean_by("positives")` gauc_positives. Zhu et
    al. 2017 (arXiv:1703.02091, section 6) weight by impressions or by clicks.
    """
    return _measured(scores, labels, lists, _auc)[0]


def _measured(scores: Any, labels: Any, lists: Any, *metrics: Metric) -> list[PerList]:
    """Each metric's values of all lists, from one sort of the rows."""
    parts = [[metric(ranked) for metric in metrics] for ranked in tied_lists(scores, labels, lists)]
    return [PerList.joined(of_metric) for of_metric in zip(*parts, strict=True)]


def _recall(ranked: TiedLists, k: int) -> PerList:
    return PerList.of(ranked.names, _hits_in(ranked, k), ranked.positives)


def _precision(ranked: TiedLists, k: int) -> PerList:
    return PerList.of(ranked.names, _hits_in(ranked, k), np.where(ranked.positives > 0, k, 0))


def _hits_in(ranked: TiedLists, k: int) -> Array:
    """(lists,) expected positives among the first k."""
    depth = _depth(ranked, k)
    ranks = np.clip(depth - ranked.before, 0, ranked.size)
    return ranked.per_list(ranked.hits * (ranks / ranked.size))


def _hit(ranked: TiedLists, k: int) -> PerList:
    depth = _depth(ranked, k)
    of = np.flatnonzero((ranked.hits_before == 0) & (ranked.before < depth))
    size, misses = ranked.size[of], (ranked.size - ranked.hits)[of]
    ranks, none = np.minimum(depth - ranked.before[of], size), np.ones(len(of))
    for place in range(int(ranks.max(initial=0))):
        none *= np.where(place < ranks, np.maximum(misses - place, 0) / np.maximum(size - place, 1), 1.0)
    return PerList.of(ranked.names, ranked.per_list(1 - none, of), ranked.positives > 0)


def _ndcg(ranked: TiedLists, k: int) -> PerList:
    depth = _depth(ranked, k)
    gains = np.append(0.0, np.cumsum(1 / np.log2(np.arange(depth) + 2)))  # of positives on all of the first ranks
    found = gains[np.minimum(ranked.before + ranked.size, depth)] - gains[np.minimum(ranked.before, depth)]
    found *= ranked.hits / ranked.size
    return PerList.of(ranked.names, ranked.per_list(found), gains[np.minimum(ranked.positives, depth)])


def _mrr(ranked: TiedLists, k: int | None = None) -> PerList:
    depth = _depth(ranked, k)
    of = np.flatnonzero(ranked.hits_before == 0)
    size, hits, before = ranked.size[of], ranked.hits[of], ranked.before[of]
    found = np.empty(len(of))
    widths = np.ceil(np.log2(size)).astype(int)
    for width in np.unique(widths):  # groups of about one size as the rows of a matrix
        some = widths == width
        places = np.arange(1 << width)
        left = size[some, None] - places
        stop = np.where(left > 0, np.minimum(hits[some, None] / np.maximum(left, 1), 1.0), 0.0)
        going = np.cumprod(1 - stop, axis=1)
        chance = stop * np.hstack([np.ones((len(stop), 1)), going[:, :-1]])
        rank = before[some, None] + places
        found[some] = (chance / (rank + 1) * (rank < depth)).sum(1)
    return PerList.of(ranked.names, ranked.per_list(found, of), ranked.positives > 0)


def _average_precision(ranked: TiedLists) -> PerList:
    size, hits = ranked.size, ranked.hits
    starts = np.cumsum(size) - size
    place = np.arange(size.sum()) - np.repeat(starts, size)
    more = (hits - 1) / np.maximum(size - 1, 1)
    precisions = np.repeat(ranked.hits_before + 1, size) + place * np.repeat(more, size)
    precisions /= np.repeat(ranked.before + 1, size) + place
    sums = np.add.reduceat(precisions, starts) if len(starts) else precisions
    return PerList.of(ranked.names, ranked.per_list(hits / size * sums), ranked.positives)


def _auc(ranked: TiedLists) -> PerList:
    misses, misses_before = ranked.size - ranked.hits, ranked.before - ranked.hits_before
    negatives = ranked.rows - ranked.positives
    below = negatives[ranked.list_of] - misses_before - misses / 2
    pairs = ranked.positives * negatives
    weights = {"impressions": ranked.rows, "positives": ranked.positives}
    return PerList.of(ranked.names, ranked.per_list(ranked.hits * below), pairs, weights)


def _depth(ranked: TiedLists, k: int | None) -> int:
    """How far to look: k, or the longest list."""
    if k is not None and k < 1:
        raise ValueError(f"k must be at least 1, got {k=}")
    longest = int(ranked.rows.max())
    return longest if k is None else min(k, longest)
