"""Ranking metrics of many lists against slow references: ties, cuts through tied groups, lists in any order."""

from __future__ import annotations

import math
from random import Random
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recdistill.metrics import PerList, mrr, ndcg_at_k, ranking_metrics, recall_at_k, tied_lists

# Few scores, so that many rows tie; few lists, of one row and of many, whose rows come in any order.
rows = st.lists(st.tuples(st.integers(-2, 2), st.integers(0, 1), st.integers(0, 6)), min_size=1, max_size=40)
depths = st.integers(1, 12)


def columns(data: list[tuple[int, int, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    scores, labels, lists = np.array(data).T
    return scores.astype(np.float32), labels, lists


def told(found: dict[str, PerList]) -> dict[str, object]:
    """All that was found, to be compared without any tolerance."""
    return {
        name: (
            each.lists.tolist(),
            each.values.tolist(),
            each.skipped,
            {w: v.tolist() for w, v in each.weights.items()},
        )
        for name, each in found.items()
    }


def groups(scores: np.ndarray, labels: np.ndarray) -> list[tuple[int, int, int]]:
    """The tied groups of one list by falling score: rows above, rows and positives of each."""
    tied = [labels[scores == score] for score in sorted(set(scores.tolist()), reverse=True)]
    sizes = [len(group) for group in tied]
    return [(sum(sizes[:place]), len(group), int(group.sum())) for place, group in enumerate(tied)]


def slow_recall(scores: np.ndarray, labels: np.ndarray, k: int) -> float:
    """Each of a group's ranks holds the group's share of positives."""
    found = sum(p / g for above, g, p in groups(scores, labels) for rank in range(above, above + g) if rank < k)
    return found / labels.sum()


def slow_ndcg(scores: np.ndarray, labels: np.ndarray, k: int) -> float:
    gain = [1 / math.log2(rank + 2) if rank < k else 0.0 for rank in range(len(labels))]
    found = sum(gain[rank] * p / g for above, g, p in groups(scores, labels) for rank in range(above, above + g))
    return found / sum(gain[: int(labels.sum())])


def slow_mrr(scores: np.ndarray, labels: np.ndarray, k: int) -> float:
    """The first positive is at a place of its group if a random order puts one there and the others after it."""
    above, g, p = next(group for group in groups(scores, labels) if group[2])
    chance = [math.comb(g - place - 1, p - 1) / math.comb(g, p) for place in range(g)]
    return sum(chance[place] / (above + place + 1) for place in range(g) if above + place < k)


@given(rows, depths)
def test_each_list_has_the_value_of_the_slow_reference_and_one_without_positives_none(
    data: list[tuple[int, int, int]], k: int
) -> None:
    scores, labels, lists = columns(data)
    clicked = [name for name in np.unique(lists) if labels[lists == name].any()]
    for metric, slow in ((recall_at_k, slow_recall), (ndcg_at_k, slow_ndcg), (mrr, slow_mrr)):
        found = metric(scores, labels, lists, k=k)
        expected = [slow(scores[lists == name], labels[lists == name], k) for name in clicked]
        assert found.lists.tolist() == clicked
        assert found.values == pytest.approx(expected, abs=1e-12)
        assert found.skipped == len(set(lists.tolist())) - len(clicked)


@given(rows, depths, st.integers(1, 9))
def test_values_do_not_depend_on_how_many_rows_are_looked_at_at_a_time(
    data: list[tuple[int, int, int]], k: int, at_a_time: int
) -> None:
    whole = ranking_metrics(*columns(data), k=k)
    with patch.object(tied_lists, "AT_A_TIME", at_a_time):
        parts = list(tied_lists.tied_lists(*columns(data)))
        assert told(ranking_metrics(*columns(data), k=k)) == told(whole)
    names = [name for part in parts for name in part.names.tolist()]
    assert names == sorted({name for _, _, name in data}), "each list is whole in one part"
    assert sum(part.rows.sum() for part in parts) == len(data)
    assert sum(part.positives.sum() for part in parts) == sum(part.hits.sum() for part in parts)


@given(rows, depths, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(data: list[tuple[int, int, int]], k: int, random: Random) -> None:
    shuffled, contiguous = list(data), sorted(data, key=lambda row: row[2])
    random.shuffle(shuffled)
    found = told(ranking_metrics(*columns(data), k=k))
    assert told(ranking_metrics(*columns(shuffled), k=k)) == found
    assert told(ranking_metrics(*columns(contiguous), k=k)) == found


@given(rows)
def test_beyond_the_longest_list_k_changes_nothing_but_the_precisions_denominator(
    data: list[tuple[int, int, int]],
) -> None:
    longest = int(np.bincount([name for _, _, name in data]).max())
    just, far = (ranking_metrics(*columns(data), k=k) for k in (longest, 1000))
    precisions = [found.pop(f"precision@{k}").values * k for found, k in ((just, longest), (far, 1000))]
    assert precisions[0] == pytest.approx(precisions[1])
    assert list(told(just).values()) == list(told(far).values())


@given(rows, depths)
def test_without_a_positive_every_list_is_skipped(data: list[tuple[int, int, int]], k: int) -> None:
    scores, labels, lists = columns(data)
    for found in ranking_metrics(scores, np.zeros_like(labels), lists, k=k).values():
        assert found.skipped == len(set(lists.tolist()))
        assert len(found.values) == len(found.lists) == 0
        assert math.isnan(found.mean)


def test_names_may_be_as_far_apart_as_numbers_are_packed() -> None:
    far = [-5, tied_lists.MOST_ROWS - 6]
    assert mrr([1.0, 2.0], [1, 1], far).lists.tolist() == far
    assert mrr([1.0, 2.0], [1, 1], [far[0], far[1] + 1]).lists.tolist() == [far[0], far[1] + 1]


def test_drawn_rows_keep_the_values_that_they_had() -> None:
    """Those that were found when all groups of tied rows, also those without a positive, were looked at at once."""
    rng = np.random.default_rng(0)
    lists, labels = rng.integers(0, 200, 2000), rng.random(2000) < 0.3
    scores = (labels + rng.normal(size=2000)).round(1)
    means = {
        "ndcg@5": 0.728896525409287,
        "recall@5": 0.7772209421402969,
        "precision@5": 0.4802867383512545,
        "hit@5": 0.9910394265232976,
        "mrr": 0.8076932923707116,
        "map": 0.7149724099884109,
        "gauc": 0.7836011977227416,
    }
    found = ranking_metrics(scores, labels, lists, k=5)
    assert {name: each.mean for name, each in found.items()} == pytest.approx(means, rel=1e-12)
