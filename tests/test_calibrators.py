"""Calibrators: planted distortions are undone, each fit is its slow reference, and what is written is read."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.special import expit, logit, softmax

from recdistill.calibrators import (
    CALIBRATIONS,
    FEWEST,
    Calibrator,
    Isotonic,
    Platt,
    PriorShift,
    Temperature,
    fit_calibration,
    fit_isotonic,
    fit_prior_shift,
    fit_temperature,
    from_dict,
    to_dict,
)
from recdistill.errors import DataError, UsageError
from recdistill.metrics import expected_calibration_error, logloss, normalised_entropy

RATINGS = [name for name, kind in CALIBRATIONS.items() if kind.ratings]


def clicks(rows: int = 20_000, base: float = -1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are true, and clicks drawn from them."""
    rng = np.random.default_rng(seed)
    z = rng.normal(base, 1.5, rows)
    return z, (rng.random(rows) < expit(z)).astype(float)


def ratings(rows: int = 20_000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Class logits that are true, and classes drawn from them."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 1.5, (rows, 4)) + np.array([0.5, 0.0, -0.5, 1.0])
    drawn = (rng.random((rows, 1)) > softmax(z, axis=1).cumsum(1)).sum(1)
    return z, drawn.astype(float)


@pytest.mark.parametrize("kind", CALIBRATIONS)
@pytest.mark.parametrize(
    ("stretch", "shift"), [(2.5, 0.0), (1.0, 1.4), (2.0, -1.0)], ids=["too sure", "another base rate", "both"]
)
def test_a_planted_distortion_is_undone(kind: str, stretch: float, shift: float) -> None:
    """The kind that holds the distortion undoes it; the others cannot, but they do not make it worse."""
    z, labels = clicks()
    given = stretch * z + shift
    fresh, fresh_labels = clicks(seed=1)
    found = fit_calibration(kind, given, labels)(stretch * fresh + shift)
    holds = {"temperature": shift == 0, "prior_shift": stretch == 1}.get(kind, True)
    assert logloss(found, fresh_labels) <= logloss(stretch * fresh + shift, fresh_labels) + 1e-3
    if holds:
        assert logloss(found, fresh_labels) == pytest.approx(logloss(fresh, fresh_labels), abs=3e-3)
        assert expected_calibration_error(found, fresh_labels) < 0.02
        assert normalised_entropy(found, fresh_labels) < 1


@pytest.mark.parametrize(("stretch", "shift"), [(3.0, (0.0, 0.0, 0.0, 0.0)), (1.0, (1.0, -1.0, 0.5, -0.5))])
def test_planted_distortions_of_ratings_are_recovered(stretch: float, shift: tuple[float, ...]) -> None:
    z, labels = ratings()
    given = stretch * z - np.array(shift)
    if stretch == 1:
        assert fit_prior_shift(given, labels).shift == pytest.approx(shift, abs=0.1)
    else:
        assert fit_temperature(given, labels).temperature == pytest.approx(stretch, rel=0.05)


@settings(max_examples=25)
@given(st.integers(0, 50), st.sampled_from([1e-3, 1.0, 1e3]))
def test_fits_are_where_the_loss_has_no_slope(seed: int, stretch: float) -> None:
    z, labels = clicks(200, base=0.0, seed=seed)
    z = z * stretch
    found = fit_temperature(z, labels).temperature
    best = min(logloss(z / (found * step), labels) for step in np.geomspace(0.5, 2, 201))
    assert logloss(z / found, labels) <= best + 1e-12
    shift = brentq(lambda b: expit(z + b).mean() - labels.mean(), -1e5, 1e5, xtol=1e-12)
    assert expit(z + fit_prior_shift(z, labels).shift[0]).mean() == pytest.approx(labels.mean(), abs=1e-6)
    assert stretch > 1 or fit_prior_shift(z, labels).shift[0] == pytest.approx(shift, abs=1e-5)


def pooled(values: np.ndarray) -> np.ndarray:
    """The non-decreasing values nearest in square: violators are averaged until there are none."""
    blocks = [[v] for v in values]
    while any(np.mean(a) > np.mean(b) for a, b in pairwise(blocks)):
        k = next(k for k in range(len(blocks) - 1) if np.mean(blocks[k]) > np.mean(blocks[k + 1]))
        blocks[k : k + 2] = [[*blocks[k], *blocks[k + 1]]]
    return np.concatenate([np.full(len(block), np.mean(block)) for block in blocks])


@settings(max_examples=25)
@given(st.integers(0, 1000))
def test_isotonic_is_pool_adjacent_violators(seed: int) -> None:
    z, labels = clicks(60, base=0.0, seed=seed)
    order = np.argsort(z)
    positives, negatives = labels.sum(), (1 - labels).sum()
    slow = np.clip(pooled(labels[order]), 1 / (negatives + 2), (positives + 1) / (positives + 2))
    found = fit_isotonic(z, labels)
    assert expit(found(z[order])) == pytest.approx(slow, abs=1e-9)
    wide = found(np.linspace(-1e6, 1e6, 999))
    assert np.isfinite(wide).all()
    assert (np.diff(wide) >= 0).all()


@pytest.mark.parametrize(("source", "target"), [(0.4, 0.2), (0.01, 0.3)])
def test_a_prior_shift_is_bayes_rule(source: float, target: float) -> None:
    """What two densities give under each share of clicks, in logits."""
    x = np.linspace(-3, 3, 13)
    likelihoods = np.exp(-((x - 1) ** 2)), np.exp(-((x + 1) ** 2))
    before, after = (np.log(p * likelihoods[0]) - np.log((1 - p) * likelihoods[1]) for p in (source, target))
    assert PriorShift.between(source, target)(before) == pytest.approx(after)
    shares = [np.array([1 - p, p]) for p in (source, target)]
    classes = PriorShift.between(*shares)(np.stack([np.zeros(13), before], axis=1))
    assert classes[:, 1] - classes[:, 0] == pytest.approx(after)
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        PriorShift.between(source, 1.0)
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        PriorShift.between(source, np.array([0.5, 0.5]))


def test_the_fitted_prior_shift_is_that_between_the_shares() -> None:
    """Label shift alone: a teacher that is right on the source, on a target with other shares of the same clicks."""
    z, labels = clicks(400_000, base=0.0)
    kept = (labels == 0) | (np.random.default_rng(2).random(len(z)) < 0.2)
    formula = PriorShift.between(labels.mean(), labels[kept].mean())
    assert fit_prior_shift(z[kept], labels[kept]).shift == pytest.approx(formula.shift, abs=0.03)


@pytest.mark.parametrize("kind", RATINGS)
def test_two_classes_are_a_click(kind: str) -> None:
    z, labels = clicks(500)
    pair = np.stack([np.zeros(500), 3 * z + 1], axis=1)
    found, same = (fit_calibration(kind, logits, labels)(logits) for logits in (pair, pair[:, 1]))
    assert found[:, 1] - found[:, 0] == pytest.approx(same, abs=1e-5)


@pytest.mark.parametrize("kind", CALIBRATIONS)
@pytest.mark.parametrize("scores", ["separating", "constant", "reversed", "huge"])
def test_logits_stay_finite_and_in_order(kind: str, scores: str) -> None:
    labels = np.arange(40) >= 25
    z = np.linspace(-3.0, 3.0, 40)
    given = {"separating": z, "constant": np.zeros(40), "reversed": -z, "huge": 1e6 * z}[scores]
    found = fit_calibration(kind, given, labels)(given)
    assert np.isfinite(found).all()
    assert (np.diff(found[np.argsort(given, kind="stable")]) >= 0).all()


@pytest.mark.parametrize(
    "calibrator",
    [
        Temperature(2.5),
        Platt(0.5, -1.0),
        Isotonic((-1.0, 2.0), (0.1, 0.9)),
        PriorShift((0.5,)),
        PriorShift((0.1, -0.1)),
    ],
    ids=str,
)
def test_what_is_written_is_read(calibrator: Calibrator) -> None:
    assert from_dict(json.loads(json.dumps(to_dict(calibrator)))) == calibrator


def test_every_kind_is_its_formula() -> None:
    z = np.array([-2.0, 0.0, 1.0])
    assert Temperature(2.0)(z).tolist() == [-1.0, 0.0, 0.5]
    assert Platt(2.0, -1.0)(z).tolist() == [-5.0, -1.0, 1.0]
    assert PriorShift((0.5,))(z).tolist() == [-1.5, 0.5, 1.5]
    assert Isotonic((-1.0, 1.0), (0.2, 0.6))(z) == pytest.approx(logit([0.2, 0.4, 0.6]))


@pytest.mark.parametrize("kind", CALIBRATIONS)
def test_bad_input_is_named(kind: str) -> None:
    z, labels = clicks(100)
    few = np.zeros(100)
    few[: FEWEST - 1] = 1
    with pytest.raises(DataError, match=f"at least {FEWEST} labelled rows of each class, got 9 clicks and 91 without"):
        fit_calibration(kind, z, few)
    classes, grades = ratings(100)
    if kind in RATINGS:
        grades[grades == 2] = 1
        with pytest.raises(DataError, match=r"at least 10 labelled rows of each class, got \[\d+, \d+, 0, \d+\]"):
            fit_calibration(kind, classes, grades)
    else:
        with pytest.raises(DataError, match="is for clicks, ratings take prior_shift or temperature, got 4 classes"):
            fit_calibration(kind, classes, grades)
    stored = to_dict(fit_calibration(kind, z, labels))
    with pytest.raises(DataError, match="a calibrator has a kind"):
        from_dict({**stored, "more": 1})
    with pytest.raises(DataError, match="a calibrator has a kind"):
        from_dict({**stored, "kind": "magic"})
    with pytest.raises(UsageError, match="no calibration 'plat'"):
        fit_calibration("plat", z, labels)
    assert asdict(from_dict(stored)) == asdict(fit_calibration(kind, z, labels))
