"""Calibration of soft labels: what it recovers and keeps, which labels it reads, and what of it is on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from recdistill.artefacts import digest, manifest, sha256
from recdistill.calibration import Scale, calibrate, calibrate_with, calibration_report
from recdistill.calibrators import CALIBRATIONS, FEWEST, Platt, PriorShift, fit_calibration, fit_platt
from recdistill.datasets import synthetic
from recdistill.errors import DataError, UsageError
from recdistill.metrics import auc, expected_calibration_error, logloss
from recdistill.schema import Schema
from recdistill.score_column import ScoreColumn
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


@pytest.mark.parametrize("kind", CALIBRATIONS)
def test_a_label_does_not_reach_its_own_row(kind: str) -> None:
    table, soft = world(300)
    found = calibrate(soft, table, kind=kind).logits
    for fold in folds(table, k=5, seed=0):
        flipped = np.where(fold, 1 - table.labels, table.labels).astype(int)
        other = Table(table.arrow.set_column(table.arrow.column_names.index("click"), "click", [flipped]), SCHEMA)
        again = calibrate(soft, other, kind=kind).logits
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
    with pytest.raises(DataError, match="ratings take prior_shift or temperature, got ratings of 2 grades"):
        calibrate(SoftLabels.from_column(graded, [[0.3, 0.7], [0.6, 0.4]]), graded)
    with pytest.raises(UsageError, match="no calibration 'plat'"):
        calibrate(soft, table, kind="plat")
    for again in (
        lambda: calibrate(calibrate(soft, table), table),
        lambda: calibrate_with(calibrate(soft, table), Platt(1, 0)),
    ):
        with pytest.raises(DataError, match="calibrated once"):
            again()


def test_platt_is_the_default_and_its_numbers_stay() -> None:
    """Written out as it was before there were other kinds: float32 logits of float64 fits, and the teacher's name."""
    table, soft = world(500)
    train = table.with_labels_only(np.arange(500) % 3 > 0)
    kept, z = train.labelled, soft.logits.astype(np.float64)
    used = [fit_platt(z[kept], train.labels[kept])]
    expected = used[0](z)
    for fold in folds(train, k=4, seed=7):
        used.append(fit_platt(z[kept & ~fold], train.labels[kept & ~fold]))
        expected[fold] = used[-1](z[fold])
    found = calibrate(soft, train, k=4, seed=7)
    assert (found.logits == expected.astype(np.float32)).all()
    assert found.teacher == digest([soft.teacher, *([platt.slope, platt.intercept] for platt in used)])


@pytest.mark.parametrize("kind", CALIBRATIONS)
def test_calibration_is_a_matter_of_reading(kind: str, tmp_path: Path) -> None:
    """On disk stands what the teacher said, and beside it what was fitted."""
    table, soft = world(400)
    table = table.with_labels_only(np.arange(400) < 300)
    found = calibrate(soft, table, kind=kind, k=3, seed=2)
    soft.save(tmp_path / "raw")
    found.save(tmp_path / "calibrated", note="kept")
    assert sha256(tmp_path / "raw" / "logits.parquet") == sha256(tmp_path / "calibrated" / "logits.parquet")
    facts = manifest(tmp_path / "calibrated")["facts"]
    assert (facts["teacher"], facts["sample"], facts["note"]) == (soft.teacher, "unseen", "kept")
    told = facts["calibration"]
    assert (told["k"], told["seed"], told["labelled"], len(told["folds"])) == (3, 2, 300, 3)
    assert {fitted["kind"] for fitted in (told["whole"], *told["folds"])} == {kind}
    read = SoftLabels.load(tmp_path / "calibrated")
    assert (read.logits == found.logits).all()
    assert (read.teacher, read.sample) == (found.teacher, "out_of_fold")
    assert (read.raw.logits == soft.logits).all()
    assert (read.raw.teacher, read.raw.sample, read.raw.calibration) == (soft.teacher, "unseen", None)
    assert (read.for_table(table) == found.logits).all()
    assert SoftLabels.load(tmp_path / "raw").calibration is None


def test_a_calibrator_fitted_elsewhere_leaves_rows_unseen() -> None:
    _, soft = world()
    held_out, of_held_out = world(seed=1)
    found = calibrate_with(soft, fit_calibration("platt", of_held_out.logits, held_out.labels))
    assert found.sample == "unseen"
    assert found.logits == pytest.approx(fit_platt(of_held_out.logits, held_out.labels)(soft.logits), abs=1e-6)
    shifted = calibrate_with(soft, PriorShift.between(0.5, 0.2))
    assert shifted.logits - soft.logits == pytest.approx(np.log(0.25), abs=1e-6)


def test_ratings_are_calibrated_by_their_class_logits() -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(0, 1.5, (3000, 3))
    stars = (rng.random((3000, 1)) > np.exp(z).cumsum(1) / np.exp(z).sum(1, keepdims=True)).sum(1) + 1
    schema = Schema(rating="stars", grades=(1, 2, 3), number=("x",))
    table = Table(pa.table({"x": z[:, 0], "stars": stars}), schema)
    soft = SoftLabels.from_column(table, 3 * z, scale="logit")
    for kind in ("temperature", "prior_shift"):
        found = calibrate(soft, table, kind=kind)
        assert logloss(found.logits, table.labels) < logloss(soft.logits, table.labels) + 2e-3
    report = calibration_report(calibrate(soft, table, kind="temperature"), table)
    assert report["given"].slope == pytest.approx(1 / 3, rel=0.1)
    assert report["calibrated"].slope == pytest.approx(1, rel=0.05)
    assert report["calibrated"].intercept is None
    assert report["calibrated"].ece < 0.03 < report["given"].ece


@pytest.mark.parametrize("kind", ["platt", "isotonic", "prior_shift"])
def test_a_teacher_at_the_sources_base_rate_is_brought_to_the_targets(kind: str) -> None:
    """The synthetic world's large system is right but for the base rate and its noise, which is no matter of priors."""
    _, target = synthetic.load(seed=0, source_rows=100, target_rows=6_000, target_has=["system_score"])
    report = calibration_report(calibrate(SoftLabels.from_column(target), target, kind=kind), target)
    given, found = report["given"], report["calibrated"]
    assert given.ece > 0.1
    assert found.ece < (0.06 if kind == "prior_shift" else 0.03)
    assert given.normalised_entropy > found.normalised_entropy
    assert given.intercept is not None
    assert found.intercept is not None
    assert abs(found.intercept) < 0.2 < abs(given.intercept)
    assert found.bins.rows.sum() == given.bins.rows.sum() == len(target)


def test_a_report_is_of_labelled_rows_and_names_what_is_wrong() -> None:
    table, soft = world(500)
    half = table.with_labels_only(np.arange(500) < 250)
    report = calibration_report(soft, half, bins=5)
    assert list(report) == ["given"]
    assert report["given"].ece == expected_calibration_error(soft.logits[:250], table.labels[:250], bins=5)
    assert (report["given"].slope, len(report["given"].bins.rows)) == (
        fit_platt(soft.logits[:250], table.labels[:250]).slope,
        5,
    )
    with pytest.raises(DataError, match="made for rows"):
        calibration_report(soft, table.take(np.arange(100)))
    with pytest.raises(DataError, match="at least 10"):
        Scale.of(soft.logits[:5], table.labels[:5])


@pytest.mark.parametrize("kind", CALIBRATIONS)
def test_a_score_column_is_calibrated_like_its_soft_labels(kind: str) -> None:
    _, target = synthetic.load(seed=0, source_rows=100, target_rows=2_000, target_has=["system_score"])
    target = target.with_labels_only(np.arange(2_000) % 2 == 0)
    column = ScoreColumn("probability").calibrated(target, kind=kind)
    soft = SoftLabels.from_column(target)
    kept = target.labelled
    expected = fit_calibration(kind, soft.logits[kept], target.labels[kept])(soft.logits)
    assert column.score(target) == pytest.approx(expected, abs=1e-5)
    assert column.calibrated(target, kind=kind) == column
