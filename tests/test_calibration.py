"""Platt scaling: what it recovers, what it keeps, and which labels it reads."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from recdistill.calibration import FEWEST, Platt, calibrate, fit_platt
from recdistill.errors import DataError, UsageError
from recdistill.metrics import auc, logloss
from recdistill.schema import Schema
from recdistill.soft_labels import SoftLabels
from recdistill.splits import folds, keep_labels
from recdistill.tables import Table

SCHEMA = Schema(label="click", number=("z",))


def world(rows: int = 2000, slope: float = 0.5, intercept: float = -1.0, seed: int = 0) -> tuple[Table, SoftLabels]:
    """Clicks with probability σ(a·z + b), and a teacher that says z."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 2, rows)
    clicks = (rng.random(rows) < expit(slope * z + intercept)).astype(int)
    table = Table(pa.table({"z": z, "click": clicks}), SCHEMA)
    return table, SoftLabels.from_column(table, z, scale="logit")


def test_planted_slope_and_intercept_are_recovered() -> None:
    table, soft = world(200_000)
    found = fit_platt(soft.logits, table.labels)
    assert (found.slope, found.intercept) == pytest.approx((0.5, -1.0), abs=0.03)


@settings(max_examples=25)
@given(st.integers(0, 50), st.sampled_from([1e-3, 1.0, 1e3]), st.sampled_from([-50.0, 0.0, 50.0]))
def test_it_is_logistic_regression_on_platts_targets(seed: int, stretch: float, shift: float) -> None:
    """The reference sees each row twice, as click and as none, weighted by Platt's targets."""
    table, soft = world(80, intercept=0.0, seed=seed)
    clicks = table.labels == 1
    target = np.where(clicks, (clicks.sum() + 1) / (clicks.sum() + 2), 1 / ((~clicks).sum() + 2))
    z = soft.logits.astype(float)
    slow = LogisticRegression(C=1e12, tol=1e-10, max_iter=10_000)
    slow.fit(np.tile(z, 2)[:, None], np.repeat([1, 0], 80), sample_weight=np.concatenate([target, 1 - target]))
    scores = stretch * z + shift
    found = fit_platt(scores, table.labels)(scores)
    assert found == pytest.approx(slow.decision_function(z[:, None]), abs=1e-5)


def test_scores_that_separate_the_classes_stay_finite() -> None:
    z = np.linspace(-3, 3, 40)
    found = fit_platt(z, z > 0)
    assert 0 < found.slope < 100
    assert np.isfinite(found(z)).all()


def test_a_teacher_of_the_wrong_order_or_none_says_only_the_base_rate() -> None:
    table, soft = world(500)
    labels = table.labels
    positives, negatives = labels.sum(), (1 - labels).sum()
    rate = (positives * (positives + 1) / (positives + 2) + negatives / (negatives + 2)) / 500
    for scores in (-soft.logits, np.zeros(500), np.full(500, 0.1)):
        found = fit_platt(scores, labels)
        assert found.slope == pytest.approx(0, abs=1e-9)
        assert expit(found.intercept) == pytest.approx(rate, abs=1e-6)


def test_within_a_fold_the_order_stays_and_overall_the_labels_fit_better() -> None:
    table, soft = world()
    found = calibrate(soft, table, seed=3)
    for fold in folds(table, k=5, seed=3):
        assert (np.argsort(found.logits[fold]) == np.argsort(soft.logits[fold])).all()
        assert auc(found.logits[fold], table.labels[fold]) == auc(soft.logits[fold], table.labels[fold])
    assert logloss(found.logits, table.labels) < logloss(soft.logits, table.labels) - 0.05
    assert found.sample == "out_of_fold"


def test_a_label_does_not_reach_its_own_row() -> None:
    table, soft = world(300)
    found = calibrate(soft, table).logits
    for fold in folds(table, k=5, seed=0):
        flipped = np.where(fold, 1 - table.labels, table.labels).astype(int)
        other = Table(table.arrow.set_column(table.arrow.column_names.index("click"), "click", [flipped]), SCHEMA)
        again = calibrate(soft, other).logits
        assert (again[fold] == found[fold]).all()
        assert (again[~fold] != found[~fold]).any()


def test_rows_without_a_label_are_scaled_by_all_labels_and_hidden_labels_are_not_read() -> None:
    table, soft = world()
    train, _ = keep_labels(table, table, share=0.2, seed=0)
    labelled = train.labelled
    found = calibrate(soft, train)
    whole = fit_platt(soft.logits[labelled], table.labels[labelled])
    assert found.logits[~labelled] == pytest.approx(whole(soft.logits[~labelled]), abs=1e-6)
    lie = np.where(labelled, table.labels, 1 - table.labels).astype(int)
    arrow = table.arrow.set_column(table.arrow.column_names.index("click"), "click", [lie])
    other = calibrate(soft, Table(arrow, SCHEMA).with_labels_only(labelled))
    assert (other.logits == found.logits).all()
    assert other.teacher == found.teacher


def test_calibrated_labels_are_another_teachers_for_the_same_rows() -> None:
    table, soft = world()
    found, other = calibrate(soft, table), calibrate(soft, table, seed=1)
    assert len({soft.teacher, found.teacher, other.teacher}) == 3
    assert (found.for_table(table) == found.logits).all()
    seen = SoftLabels(
        soft.row_ids, soft.logits, teacher="t", rows_fingerprint=soft.rows_fingerprint, sample="in_sample"
    )
    assert calibrate(seen, table).sample == "in_sample"


def test_platt_is_the_formula() -> None:
    assert Platt(2.0, -1.0)(np.array([0.0, 3.0])).tolist() == [-1.0, 5.0]


def test_bad_input_is_named() -> None:
    table, soft = world(200)
    few = table.with_labels_only(np.arange(200) < 12)
    clicks = int(few.labels[:12].sum())
    rule = f"at least {FEWEST} labelled rows of each class, got {clicks} clicks and {12 - clicks} without a click"
    with pytest.raises(DataError, match=rule):
        calibrate(soft, few)
    with pytest.raises(DataError, match="got 0 clicks and 0 without"):
        calibrate(soft, table.with_labels_only(np.zeros(200, dtype=bool)))
    with pytest.raises(DataError, match="made for rows"):
        calibrate(soft, table.take(np.arange(100)))
    with pytest.raises(UsageError, match="k folds need"):
        calibrate(soft, table, k=1)
    graded = Table(
        pa.table({"x": ["a", "b"], "stars": [1, 3]}), Schema(rating="stars", grades=(1, 3), categorical=("x",))
    )
    with pytest.raises(DataError, match=r"is for clicks, got table.schema.classes=2"):
        calibrate(SoftLabels.from_column(graded, [[0.3, 0.7], [0.6, 0.4]]), graded)
