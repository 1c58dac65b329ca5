"""Losses on single rows and on what they are in their batch: each formula against a slow reference, and its laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from gradients import at, columns, same
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.special import expit, softmax
from scipy.stats import pearsonr

from recdistill.losses import (
    binary_kd,
    categorical_kd,
    dist,
    logit_mse,
    ordinal_kd,
    probability_mse,
    standardised_kd,
)

temperatures = st.floats(0.1, 50.0)
eighths = st.integers(-80, 80).map(lambda n: n / 8)
clicks = st.lists(st.tuples(eighths, eighths, st.integers(1, 3)), min_size=2, max_size=6)
ratings = st.lists(st.tuples(*[eighths] * 8, st.integers(1, 3)), min_size=2, max_size=5)  # four classes
light = settings(max_examples=50)


def near(found: torch.Tensor, expected: float) -> None:
    assert float(found) == pytest.approx(expected, rel=1e-8, abs=1e-10)


def bernoulli(p: float, q: float) -> float:
    """KL(Bernoulli(p) ‖ Bernoulli(q))."""
    return sum(a * math.log(a / b) for a, b in ((p, q), (1 - p, 1 - q)) if a > 0)


def correlation(a: np.ndarray, b: np.ndarray, weight: np.ndarray) -> float:
    """Pearson's, by copies of each value."""
    return float(pearsonr(np.repeat(a, weight), np.repeat(b, weight)).statistic)


def z_scores(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / values.std()


@light
@given(ratings, st.floats(1.0, 50.0))
def test_ordinal_kd_is_the_formula(data: list[tuple[float, ...]], temperature: float) -> None:
    rows = torch.tensor(data, dtype=torch.float64)
    found = ordinal_kd(rows[:, :4], rows[:, 4:8], weight=rows[:, 8], temperature=temperature)
    total = 0.0
    for row in data:
        q, p = softmax(np.array(row[:4]) / temperature), softmax(np.array(row[4:8]) / temperature)
        total += row[8] * sum(bernoulli(p[k:].sum(), q[k:].sum()) for k in (1, 2, 3)) / 3
    near(found, temperature**2 * total / float(rows[:, 8].sum()))


@light
@given(clicks, temperatures)
def test_ordinal_kd_of_two_classes_is_categorical_kd(data: list[tuple[float, float, int]], temperature: float) -> None:
    student, teacher, weight = columns(data)
    student, teacher = (torch.stack([z, torch.ones_like(z)], 1) for z in (student, teacher))
    options = {"where": weight != 2, "weight": weight, "temperature": temperature}
    same(at(ordinal_kd, student, teacher, **options), at(categorical_kd, student, teacher, **options))


def test_ordinal_kd_knows_which_grade_is_nearer() -> None:
    teacher, near_miss, far_miss = 5 * torch.eye(5)[[4, 3, 0]][:, None]
    assert ordinal_kd(near_miss, teacher) < ordinal_kd(far_miss, teacher) / 2
    assert categorical_kd(near_miss, teacher) == pytest.approx(float(categorical_kd(far_miss, teacher)), rel=1e-5)
    with pytest.raises(ValueError, match=r"^ratings have at least two classes, got logits \(5, 1\)$"):
        ordinal_kd(torch.zeros(5, 1), torch.zeros(5, 1))


@light
@given(ratings, temperatures)
def test_regression_is_the_formula(data: list[tuple[float, ...]], temperature: float) -> None:
    rows = torch.tensor(data, dtype=torch.float64)
    student, teacher, weight = rows[:, :4], rows[:, 4:8], rows[:, 8]
    s, t, w = student.numpy(), teacher.numpy(), weight.numpy()
    options = {"weight": weight, "temperature": temperature}
    near(logit_mse(student, teacher, **options), np.average(((s - t) ** 2).mean(1), weights=w))
    near(logit_mse(student[:, 0], teacher[:, 0], **options), np.average((s - t)[:, 0] ** 2, weights=w))
    gaps = softmax(s / temperature, 1) - softmax(t / temperature, 1)
    near(probability_mse(student, teacher, **options), temperature**2 * np.average((gaps**2).mean(1), weights=w))
    gap = expit(s[:, 0] / temperature) - expit(t[:, 0] / temperature)
    found = probability_mse(student[:, 0], teacher[:, 0], **options)
    near(found, temperature**2 * np.average(gap**2, weights=w))


@light
@given(clicks)
def test_dist_of_clicks_is_one_minus_pearson(data: list[tuple[float, float, int]]) -> None:
    student, teacher, weight = columns(data)
    assume(student.unique().numel() > 1 and teacher.unique().numel() > 1)
    near(
        dist(student, teacher, weight=weight), 1 - correlation(student.numpy(), teacher.numpy(), weight.long().numpy())
    )


@light
@given(ratings)
def test_dist_of_ratings_is_the_two_relations(data: list[tuple[float, ...]]) -> None:
    rows = torch.tensor(data, dtype=torch.float64) / torch.tensor([4.0] * 8 + [1.0])
    s, t, weight = softmax(rows[:, :4].numpy(), 1), softmax(rows[:, 4:8].numpy(), 1), rows[:, 8].long().numpy()
    assume(min(side.std(axis).min() for side in (s, t) for axis in (0, 1)) > 1e-6)
    inter = [1 - correlation(s[i], t[i], np.ones(4, int)) for i in range(len(rows))]
    intra = [1 - correlation(s[:, k], t[:, k], weight) for k in range(4)]
    found = dist(rows[:, :4], rows[:, 4:8], weight=rows[:, 8])
    near(found, float(np.average(inter, weights=weight) + np.mean(intra)))


@light
@given(clicks, eighths, st.integers(1, 40), temperatures)
def test_shift_and_scale_of_clicks_are_not_seen(
    data: list[tuple[float, float, int]], shift: float, times: int, temperature: float
) -> None:
    student, teacher, weight = columns(data)
    options = {"weight": weight, "temperature": temperature}
    for loss in (dist, standardised_kd):
        same(at(loss, student, shift + times / 8 * teacher, **options), at(loss, student, teacher, **options))
        near(loss(shift + times / 8 * teacher, teacher, **options), 0)


@light
@given(ratings, eighths, st.integers(1, 40), temperatures)
def test_shift_and_scale_of_classes_are_not_seen_by_standardised_kd(
    data: list[tuple[float, ...]], shift: float, times: int, temperature: float
) -> None:
    rows = torch.tensor(data, dtype=torch.float64)
    student, teacher = rows[:, :4], rows[:, 4:8]
    expected = at(standardised_kd, student, teacher, temperature=temperature)
    same(at(standardised_kd, student, shift + times / 8 * teacher, temperature=temperature), expected)


@light
@given(ratings, temperatures)
def test_standardised_kd_is_kd_of_z_scores(data: list[tuple[float, ...]], temperature: float) -> None:
    rows = torch.tensor(data, dtype=torch.float64)
    student, teacher = rows[:, :4], rows[:, 4:8]
    assume(min(float(side.std(axis).min()) for side in (student, teacher) for axis in (0, 1)) > 0)
    by_row = [torch.from_numpy(np.apply_along_axis(z_scores, 1, side.numpy())) for side in (student, teacher)]
    options = {"weight": rows[:, 8], "temperature": temperature}
    near(standardised_kd(student, teacher, **options), float(categorical_kd(*by_row, **options)))
    over_rows = [torch.from_numpy(z_scores(side[:, 0].numpy())) for side in (student, teacher)]
    found = standardised_kd(student[:, 0], teacher[:, 0], temperature=temperature)
    near(found, float(binary_kd(*over_rows, temperature=temperature)))


@pytest.mark.parametrize("constant", [0.0, 0.1, -1e4])
def test_a_side_that_is_constant_has_no_correlation_to_learn(constant: float) -> None:
    varied, flat = torch.linspace(-3, 3, 7), torch.full((7,), constant)
    for student, teacher, value in ((varied, flat, 0.5), (flat, varied, 0.5), (flat, flat + 1, 0.0)):
        found, gradient = at(dist, student, teacher)
        assert found == pytest.approx(value)
        assert float(gradient.abs().max()) < 1e-6
