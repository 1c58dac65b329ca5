"""Placebos: all of a soft label but what it says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, softmax

from recdistill.placebos import base_rate, permuted
from recdistill.schema import Schema
from recdistill.tables import Table

CLICKS = Schema(label="click", number=("z",))
RATINGS = Schema(rating="stars", grades=(1.0, 2.0, 4.0), number=("z",))


def clicks(labels: list[int | None]) -> Table:
    return Table(pa.table({"z": np.zeros(len(labels)), "click": pa.array(labels, pa.int64())}), CLICKS)


def ratings(stars: list[float | None]) -> Table:
    return Table(pa.table({"z": np.zeros(len(stars)), "stars": pa.array(stars, pa.float64())}), RATINGS)


@settings(max_examples=40)
@given(st.lists(st.sampled_from([0, 1, None]), min_size=1, max_size=30), st.integers(0, 5), st.sampled_from([(), (3,)]))
def test_permuted_labels_are_those_of_the_labelled_rows(labels: list[int | None], seed: int, classes: Any) -> None:
    train = clicks(labels)
    logits = np.random.default_rng(seed).normal(size=(len(labels), *classes)).astype(np.float32)
    before = logits.copy()
    found = permuted(logits, train, seed=seed)
    assert (logits == before).all(), "the teacher's own are left as they are"
    assert (found.shape, found.dtype) == (logits.shape, logits.dtype)
    assert np.isnan(found[~train.labelled]).all()
    assert sorted(found[train.labelled].tolist()) == sorted(logits[train.labelled].tolist())
    assert np.array_equal(found, permuted(logits, train, seed=seed), equal_nan=True)


def test_another_seed_permutes_otherwise_and_none_keeps_the_order() -> None:
    train, logits = clicks([0, 1] * 100), np.arange(200, dtype=np.float32)
    drawn = [permuted(logits, train, seed=seed) for seed in range(5)]
    assert len({tuple(found.tolist()) for found in drawn}) == 5
    assert all(abs(np.corrcoef(found, logits)[0, 1]) < 0.25 for found in drawn)


@settings(max_examples=40)
@given(st.lists(st.sampled_from([0, 1, None]), max_size=30))
def test_the_base_rate_is_the_labels_with_one_more_of_each_class(labels: list[int | None]) -> None:
    clicked, labelled = labels.count(1), len(labels) - labels.count(None)
    found = base_rate(clicks([*labels, None]))
    assert found.shape == (len(labels) + 1,)
    assert found.dtype == np.float32
    assert expit(found) == pytest.approx((clicked + 1) / (labelled + 2), abs=1e-6)


def test_of_ratings_every_grade_has_its_share() -> None:
    found = base_rate(ratings([1.0, 4.0, 4.0, None, 4.0]))
    assert (found.shape, found.dtype) == ((5, 3), np.float32)
    assert softmax(found, axis=1) == pytest.approx(np.tile([2 / 7, 1 / 7, 4 / 7], (5, 1)), abs=1e-6)
    assert np.isfinite(base_rate(ratings([None]))).all()
