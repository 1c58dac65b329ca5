"""Losses over lists: each formula against loops over lists and pairs, and what they do not see."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from gradients import TEMPERATURES, at, columns, same
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, softmax

from recdistill.losses import LOSSES, NEEDS_LISTS, calibrated_listwise_kd, listnet_kd, margin_mse, ranknet_kd

eighths = st.integers(-80, 80).map(lambda n: n / 8)
# A student's and a teacher's logit, the weight, the list and whether the row counts.
mixed = st.lists(
    st.tuples(eighths, eighths, st.integers(0, 3), st.sampled_from([-7, 0, 3, 2**40]), st.booleans()), max_size=12
)
every_loss = pytest.mark.parametrize("name", sorted(NEEDS_LISTS))
light = settings(max_examples=60)
Row = tuple[float, float, int, int, bool]


def lists_of(data: list[Row]) -> list[list[Row]]:
    """The rows that count, list by list."""
    counting = [row for row in data if row[4] and row[2] > 0]
    return [[row for row in counting if row[3] == group] for group in {row[3] for row in counting}]


def drawn(data: list[Row]) -> tuple[torch.Tensor, torch.Tensor, dict[str, Any]]:
    """The rows as a loss takes them."""
    student, teacher, weight, _, _ = columns(data) if data else torch.zeros(5, 0, dtype=torch.float64)
    groups = torch.tensor([row[3] for row in data], dtype=torch.int64)
    where = torch.tensor([row[4] for row in data], dtype=torch.bool)
    return student, teacher, {"weight": weight, "groups": groups, "where": where}


def divergence(p: np.ndarray, q: np.ndarray) -> float:
    """KL of two distributions."""
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def slow_pairs(data: list[Row], of_pair: Any) -> float:
    """The mean over pairs of (student's, teacher's difference), each with the product of its rows' weights."""
    total = weights = 0.0
    for rows in lists_of(data):
        for a, b in itertools.combinations(rows, 2):
            total += a[2] * b[2] * of_pair(a[0] - b[0], a[1] - b[1])
            weights += a[2] * b[2]
    return total / weights if weights else 0.0


def slow_lists(data: list[Row], shares: Any) -> float:
    """The mean over lists of KL(shares(teacher) ‖ shares(student)), weight w being w rows of it."""
    total = weights = 0.0
    for rows in lists_of(data):
        if len(rows) > 1:
            times = [row[2] for row in rows]
            student, teacher = (np.repeat([row[side] for row in rows], times) for side in (0, 1))
            total += sum(times) * divergence(shares(teacher), shares(student))
            weights += sum(times)
    return total / weights if weights else 0.0


def reference(name: str, data: list[Row], temperature: float) -> float:
    """The slow value of a loss."""

    def pair(s: float, t: float) -> float:
        p, q = expit(np.array([t, -t]) / temperature), expit(np.array([s, -s]) / temperature)
        return temperature**2 * divergence(p, q)

    def clicks(z: np.ndarray) -> np.ndarray:
        return expit(z / temperature) / expit(z / temperature).sum()

    values = {
        "ranknet_kd": lambda: slow_pairs(data, pair),
        "margin_mse": lambda: slow_pairs(data, lambda s, t: (s - t) ** 2),
        "listnet_kd": lambda: temperature**2 * slow_lists(data, lambda z: softmax(z / temperature)),
        "calibrated_listwise_kd": lambda: temperature**2 * slow_lists(data, clicks),
    }
    return values[name]()


@every_loss
@light
@given(data=mixed, temperature=st.floats(0.5, 50.0))
def test_the_loss_is_the_formula(name: str, data: list[Row], temperature: float) -> None:
    student, teacher, options = drawn(data)
    found = LOSSES[name](student, teacher, **options, temperature=temperature)
    assert float(found) == pytest.approx(reference(name, data, temperature), rel=1e-8, abs=1e-10)


@every_loss
@light
@given(data=mixed, seed=st.integers(0, 99))
def test_rows_of_a_list_stand_anywhere(name: str, data: list[Row], seed: int) -> None:
    student, teacher, options = drawn(data)
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))
    value, gradient = at(LOSSES[name], student, teacher, **options)
    moved = {key: tensor[order] for key, tensor in options.items()}
    same((value, gradient[order]), at(LOSSES[name], student[order], teacher[order], **moved))


@every_loss
@light
@given(data=mixed)
def test_a_row_alone_in_its_list_has_no_influence(name: str, data: list[Row]) -> None:
    student, teacher, options = drawn(data)
    lonely = drawn([*data, (3.0, -2.0, 2, 99, True)])
    value, gradient = at(LOSSES[name], *lonely[:2], **lonely[2])
    same((value, gradient[:-1]), at(LOSSES[name], student, teacher, **options))
    assert float(gradient[-1]) == 0


@every_loss
@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_gradients_through_several_lists_are_those_of_the_value(name: str, temperature: float) -> None:
    student, teacher = 2 * torch.randn(2, 9, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    options = {"groups": torch.tensor([5, 1, 5, 1, 1, 8, 2, 2, 5]), "weight": torch.arange(9) / 4}
    assert torch.autograd.gradcheck(
        lambda z: LOSSES[name](z, teacher, **options, temperature=temperature), student.requires_grad_()
    )


@every_loss
@light
@given(data=mixed)
def test_without_groups_the_rows_are_one_list(name: str, data: list[Row]) -> None:
    student, teacher, options = drawn(data)
    one = {**options, "groups": torch.full((len(data),), 4)}
    none = {**options, "groups": None}
    assert torch.equal(LOSSES[name](student, teacher, **one), LOSSES[name](student, teacher, **none))


@pytest.mark.parametrize("loss", [listnet_kd, margin_mse, ranknet_kd])
@light
@given(data=mixed, shifts=st.lists(eighths, min_size=4, max_size=4))
def test_a_shift_of_a_list_is_not_seen(loss: Any, data: list[Row], shifts: list[float]) -> None:
    student, teacher, options = drawn(data)
    groups = options["groups"]
    shift = sum(s * (groups == g) for s, g in zip(shifts, (-7, 0, 3, 2**40), strict=True))
    same(at(loss, student, teacher + shift, **options), at(loss, student, teacher, **options))
    same(at(loss, teacher + shift, teacher, **options), (0.0, torch.zeros_like(student)))


@light
@given(data=mixed, shares=st.lists(st.floats(0.05, 1.0), min_size=4, max_size=4))
def test_the_calibrated_loss_sees_but_the_shares_of_probabilities(data: list[Row], shares: list[float]) -> None:
    """Probabilities that are the teacher's times a number of the list's are an optimum; equal differences are not."""
    _, teacher, options = drawn(data)
    groups = options["groups"]
    share = sum(c * (groups == g) for c, g in zip(shares, (-7, 0, 3, 2**40), strict=True))
    student = torch.logit(share * teacher.sigmoid())
    same(at(calibrated_listwise_kd, student, teacher, **options), (0.0, torch.zeros_like(student)))


def test_a_shift_costs_the_calibrated_loss() -> None:
    teacher = torch.tensor([-1.0, 0.0, 2.0])
    assert calibrated_listwise_kd(teacher + 3, teacher) > 0.01


@every_loss
def test_a_lists_rows_are_told_apart_one_number_each(name: str) -> None:
    with pytest.raises(ValueError, match=r"^groups must be \(rows,\), got \(3,\) for logits \(4,\)$"):
        LOSSES[name](torch.zeros(4), torch.zeros(4), groups=torch.zeros(3, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"^click logits must be \(rows,\), got \(4, 5\)$"):
        LOSSES[name](torch.zeros(4, 5), torch.zeros(4, 5), groups=torch.zeros(4, dtype=torch.int64))
