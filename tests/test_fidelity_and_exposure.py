"""How faithfully students follow teachers, and what top-k lists show: against slow, obvious references."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recdistill.errors import DataError
from recdistill.metrics import agreement, exposure, mean_kl, overlap_at_k, rank_correlation, top_k_chances

Rows = list[tuple[int, int, int]]
pairs = st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3), st.integers(0, 2)), min_size=2, max_size=12)


def columns(data: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    array = np.array(data, dtype=float)
    return array[:, 0], array[:, 1], array[:, 2].astype(int)


def orders(scores: np.ndarray) -> list[list[int]]:
    """Every order of rows in which none comes before one with a higher score."""
    found = itertools.permutations(range(len(scores)))
    return [list(o) for o in found if all(scores[a] >= scores[b] for a, b in itertools.pairwise(o))]


# ------------------------------------------------------------------------------------------ fidelity


@given(pairs)
def test_agreement_counts_rows_on_the_same_side_of_each_ones_own_threshold(data: Rows) -> None:
    student, teacher, _ = columns(data)
    alike = [(s >= 1) == (t >= -1) for s, t in zip(student, teacher, strict=True)]
    assert agreement(student, teacher, student_threshold=1, teacher_threshold=-1) == np.mean(alike)
    assert agreement(student, student + 2, student_threshold=1, teacher_threshold=3) == 1


@given(pairs)
def test_kl_is_the_formula_from_teacher_to_student(data: Rows) -> None:
    student, teacher, _ = columns(data)
    p, q = (1 / (1 + np.exp(-z)) for z in (teacher, student))
    slow = np.mean(p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q)))
    assert mean_kl(student, teacher) == pytest.approx(slow, abs=1e-12)
    of_classes = [np.stack([np.zeros_like(z), z], axis=1) for z in (student, teacher)]
    assert mean_kl(*of_classes) == pytest.approx(slow, abs=1e-12)
    assert mean_kl(student, student) == 0


def test_kl_is_finite_at_large_logits_and_not_symmetric() -> None:
    assert mean_kl([1e4, -1e4], [-1e4, 1e4]) == pytest.approx(1e4)
    assert mean_kl([0.0], [2.0]) != pytest.approx(mean_kl([2.0], [0.0]))


def test_classes_agree_where_the_most_probable_one_is_the_same() -> None:
    assert agreement([[1, 2, 0], [3, 0, 0]], [[0, 9, 1], [0, 1, 0]]) == 0.5


@given(pairs)
def test_rank_correlation_is_that_of_mean_ranks(data: Rows) -> None:
    student, teacher, _ = columns(data)
    ranks = [[np.mean(np.flatnonzero(np.sort(z) == one)) for one in z] for z in (student, teacher)]
    constant = len(set(student)) == 1 or len(set(teacher)) == 1
    slow = 0.0 if constant else np.corrcoef(*ranks)[0, 1]
    assert rank_correlation(student, teacher) == pytest.approx(slow, abs=1e-9)
    assert rank_correlation(np.exp(student), teacher**3) == pytest.approx(slow, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=5), st.integers(1, 4))
def test_overlap_is_the_mean_over_all_orders_of_ties(data: list[tuple[int, int]], k: int) -> None:
    student, teacher = np.array(data, dtype=float).T
    found = overlap_at_k(student, teacher, np.zeros(len(data)), k=k)
    if len(data) <= k:
        assert (len(found.values), found.skipped) == (0, 1)
        return
    every = itertools.product(orders(student), orders(teacher))
    slow = np.mean([len({*a[:k]} & {*b[:k]}) / k for a, b in every])
    assert found.values == pytest.approx([slow], abs=1e-12)


def test_overlap_is_per_list_and_by_chance_without_an_order() -> None:
    rng = np.random.default_rng(0)
    lists, scores = np.repeat(["b", "a", "short"], [40, 30, 5]), rng.normal(size=75)
    same = overlap_at_k(scores, scores * 2, lists)
    assert (same.lists.tolist(), same.values.tolist(), same.skipped) == (["a", "b"], [1.0, 1.0], 1)
    assert overlap_at_k(np.zeros(75), scores, lists).values == pytest.approx([10 / 30, 10 / 40])
    order = rng.permutation(75)
    assert overlap_at_k(np.zeros(75), scores, lists).mean == pytest.approx(
        overlap_at_k(np.zeros(75), scores[order], lists[order]).mean
    )


@pytest.mark.parametrize("function", [agreement, mean_kl, rank_correlation])
def test_scores_that_cannot_be_paired_are_refused(function: object) -> None:
    for student, teacher in (([1.0], [1.0, 2.0]), ([], []), ([math.nan], [1.0]), ([[[1.0]]], [[[1.0]]])):
        with pytest.raises(DataError, match="got"):
            function(student, teacher)  # type: ignore[operator]
    with pytest.raises(DataError, match="expected ratings"):
        rank_correlation([[1.0, 2.0]], [[1.0, 2.0]])


# ------------------------------------------------------------------------------------------ exposure


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 2), min_size=1, max_size=5), st.integers(1, 6))
def test_the_chance_to_be_shown_is_the_share_of_orders_that_show_it(data: list[int], k: int) -> None:
    scores = np.array(data, dtype=float)
    every = orders(scores)
    slow = [np.mean([row in order[:k] for order in every]) for row in range(len(data))]
    assert top_k_chances(scores, np.zeros(len(data)), k=k) == pytest.approx(slow, abs=1e-12)


def shown_slowly(scores: np.ndarray, lists: np.ndarray, items: np.ndarray, k: int) -> list[list[int]]:
    """Each list's first k items, of scores without ties."""
    rows = [np.flatnonzero(lists == one) for one in np.unique(lists)]
    return [items[own[np.argsort(-scores[own])][:k]].tolist() for own in rows]


@pytest.mark.parametrize("k", [1, 3, 8])
def test_exposure_without_ties_counts_what_the_lists_show(k: int) -> None:
    rng = np.random.default_rng(k)
    rows = [(one, item) for one in range(9) for item in rng.choice(12, rng.integers(2, 12), replace=False)]
    lists, items = np.array(rows).T
    scores, popularity = rng.normal(size=len(rows)), rng.integers(1, 50, 12)
    shown = shown_slowly(scores, lists, items, k)
    found = exposure(scores, lists, items, catalogue=12, k=k)
    share = [np.mean([(item in own) / len(own) for own in shown]) for item in range(12)]
    assert found.shared / found.lists == pytest.approx(share, abs=1e-12)
    assert found.coverage == pytest.approx(len({item for own in shown for item in own}) / 12)
    assert found.average_popularity(popularity) == pytest.approx(np.mean([popularity[own].mean() for own in shown]))
    assert found.entropy == pytest.approx(-sum(p * math.log(p) for p in share if p) / math.log(12))
    differences = sum(abs(a - b) for a in share for b in share)
    assert found.gini == pytest.approx(differences / (2 * 11), abs=1e-12)  # the mean difference over twice the mean


def test_exposure_of_parts_adds_up_and_ignores_the_order_of_rows() -> None:
    rng = np.random.default_rng(0)
    lists, items = np.repeat(np.arange(20), 15), np.tile(np.arange(15), 20)
    scores = rng.integers(0, 4, 300).astype(float)
    whole, first = exposure(scores, lists, items, catalogue=15), lists < 8
    parts = [exposure(scores[of], lists[of], items[of], catalogue=15) for of in (first, ~first)]
    order = rng.permutation(300)
    again = exposure(scores[order], lists[order], items[order], catalogue=15)
    for other in (parts[0] + parts[1], again):
        assert other.lists == 20
        assert other.shared == pytest.approx(whole.shared)
        assert other.coverage == pytest.approx(whole.coverage)


def test_a_catalogue_shown_alike_and_one_item_for_all_are_the_ends() -> None:
    lists, items = np.repeat(np.arange(6), 6), np.tile(np.arange(6), 6)
    alike = exposure(np.zeros(36), lists, items, catalogue=6, k=2)
    assert (alike.gini, alike.entropy) == (pytest.approx(0), pytest.approx(1))
    assert alike.coverage == pytest.approx(1 - (1 - 2 / 6) ** 6)
    one = exposure((items == 3).astype(float), lists, items, catalogue=6, k=1)
    assert (one.gini, one.entropy, one.coverage) == (pytest.approx(1), pytest.approx(0), pytest.approx(1 / 6))
    assert one.average_popularity([0, 0, 0, 7, 0, 0]) == 7


def test_lists_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="k must be at least 1, got k=0"):
        top_k_chances([1.0], [0], k=0)
    with pytest.raises(DataError, match="positions below 2"):
        exposure([1.0, 2.0], [0, 0], [0, 2], catalogue=2)
    with pytest.raises(DataError, match="finite"):
        exposure([1.0, math.inf], [0, 0], [0, 1], catalogue=2)
    with pytest.raises(DataError, match="a popularity"):
        exposure([1.0], [0], [0], catalogue=1).average_popularity([1, 2])
