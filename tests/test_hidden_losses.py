"""The contract over every loss in `HIDDEN_LOSSES`, and each formula against loops over rows."""

from __future__ import annotations

import inspect
import math

import numpy as np
import pytest
import torch
from gradients import JUNK, at, same
from torch import Tensor

from recdistill.losses import HIDDEN_LOSSES, hint, rkd_distance, similarity

every_loss = pytest.mark.parametrize("name", HIDDEN_LOSSES)
WHERE = torch.arange(9) % 3 != 1
WEIGHT = torch.arange(9, dtype=torch.float64)


def drawn(name: str) -> tuple[Tensor, Tensor]:
    """The hidden states of a student and a wider teacher, as wide as each other where a loss needs it; 9 rows."""
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 9, 5, generator=generator, dtype=torch.float64)
    return student[:, : 5 if name == "hint" else 3], teacher


@every_loss
def test_the_signature_is_the_contract(name: str) -> None:
    first, second, *others = inspect.signature(HIDDEN_LOSSES[name]).parameters.values()
    assert (first.name, second.name) == ("student_hidden", "teacher_hidden")
    assert {p.name: p.default for p in others} == {"where": None, "weight": None}
    assert all(p.kind is p.KEYWORD_ONLY for p in others)


@every_loss
def test_a_student_equal_to_its_teacher_has_no_loss_and_no_gradient(name: str) -> None:
    teacher = drawn(name)[1]
    for options in ({}, {"where": WHERE, "weight": WEIGHT}):
        value, gradient = at(HIDDEN_LOSSES[name], teacher, teacher, **options)
        assert value == 0
        assert not gradient.any()


@every_loss
def test_the_teacher_never_gets_a_gradient(name: str) -> None:
    student, teacher = (hidden.clone().requires_grad_() for hidden in drawn(name))
    HIDDEN_LOSSES[name](student, teacher).backward()
    assert student.grad is not None
    assert student.grad.any()
    assert teacher.grad is None


@every_loss
@pytest.mark.parametrize("junk", JUNK)
def test_masked_rows_have_no_influence(name: str, junk: float) -> None:
    student, teacher = (hidden.clone() for hidden in drawn(name))
    weight = WEIGHT.clone()
    student[~WHERE], teacher[~WHERE], weight[~WHERE] = torch.inf, junk, junk
    value, gradient = at(HIDDEN_LOSSES[name], student, teacher, where=WHERE, weight=weight)
    kept = student[WHERE], teacher[WHERE]
    same((value, gradient[WHERE]), at(HIDDEN_LOSSES[name], *kept, weight=weight[WHERE]))
    assert not gradient[~WHERE].any()
    weighted = at(HIDDEN_LOSSES[name], *drawn(name), weight=WEIGHT * WHERE)
    same(weighted, at(HIDDEN_LOSSES[name], *drawn(name), where=WHERE, weight=1e3 * WEIGHT))


@every_loss
@pytest.mark.parametrize("junk", JUNK)
def test_no_row_at_all_gives_zero(name: str, junk: float) -> None:
    student, teacher = drawn(name)
    nothing, junks = torch.zeros(9, dtype=torch.bool), torch.full_like(teacher, junk)
    for found in (
        at(HIDDEN_LOSSES[name], student, junks, where=nothing, weight=torch.full((9,), junk)),
        at(HIDDEN_LOSSES[name], student, teacher, weight=torch.zeros(9)),
        at(HIDDEN_LOSSES[name], student[:0], teacher[:0]),
    ):
        same(found, (0.0, torch.zeros_like(found[1])))


@every_loss
def test_the_order_of_rows_changes_nothing(name: str) -> None:
    student, teacher = drawn(name)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(3))
    value, gradient = at(HIDDEN_LOSSES[name], student, teacher, where=WHERE, weight=WEIGHT)
    moved = {"where": WHERE[order], "weight": WEIGHT[order]}
    same((value, gradient[order]), at(HIDDEN_LOSSES[name], student[order], teacher[order], **moved))


@every_loss
def test_the_gradient_is_that_of_the_value(name: str) -> None:
    student, teacher = drawn(name)
    loss = HIDDEN_LOSSES[name]
    assert torch.autograd.gradcheck(lambda h: loss(h, teacher, where=WHERE, weight=WEIGHT), student.requires_grad_())


@every_loss
@pytest.mark.parametrize("size", [0.0, 1e-4, 1e4])
def test_extreme_states_stay_finite(name: str, size: float) -> None:
    student, teacher = (size * hidden.float() for hidden in drawn(name))
    student[1], teacher[2] = student[0], teacher[3]  # a distance of 0
    for target in (teacher, torch.zeros_like(teacher)):
        value, gradient = at(HIDDEN_LOSSES[name], student, target)
        assert math.isfinite(value)
        assert gradient.isfinite().all()


@every_loss
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_sides_may_differ_in_precision(name: str, dtype: torch.dtype) -> None:
    student, teacher = drawn(name)
    value, gradient = at(HIDDEN_LOSSES[name], student.to(dtype), teacher.float(), weight=WEIGHT)
    assert value == pytest.approx(at(HIDDEN_LOSSES[name], student, teacher, weight=WEIGHT)[0], rel=0.05)
    assert gradient.dtype == dtype


@every_loss
def test_what_is_not_one_state_per_row_is_refused(name: str) -> None:
    rule = r"^hidden states must be \(rows, d_s\) and \(rows, d_t\), got "
    with pytest.raises(ValueError, match=rule + r"\(9, 5\) and \(8, 5\)$"):
        HIDDEN_LOSSES[name](torch.zeros(9, 5), torch.zeros(8, 5))
    with pytest.raises(ValueError, match=rule + r"\(9,\) and \(9, 5\)$"):
        HIDDEN_LOSSES[name](torch.zeros(9), torch.zeros(9, 5))


def test_hint_is_the_formula() -> None:
    student, teacher = drawn("hint")
    slow = np.average(
        [np.mean((a - b) ** 2) for a, b in zip(student.numpy(), teacher.numpy(), strict=True)], weights=WEIGHT
    )
    assert float(hint(student, teacher, weight=WEIGHT)) == pytest.approx(slow)
    with pytest.raises(ValueError, match=r"^hint compares hidden states of one width, got 3 and 5 dimensions: put"):
        hint(student[:, :3], teacher)


def test_rkd_distance_is_the_formula() -> None:
    student, teacher = drawn("rkd_distance")
    pairs = [(i, j) for i in range(9) for j in range(i)]
    weights = [float(WEIGHT[i] * WEIGHT[j]) for i, j in pairs]

    def relative(hidden: np.ndarray) -> np.ndarray:
        distances = np.array([math.dist(hidden[i], hidden[j]) for i, j in pairs])
        return distances / np.average(distances, weights=weights)

    gaps = np.abs(relative(student.numpy()) - relative(teacher.numpy()))
    slow = np.average(np.where(gaps < 1, gaps**2 / 2, gaps - 0.5), weights=weights)
    assert float(rkd_distance(student, teacher, weight=WEIGHT)) == pytest.approx(slow)


def test_similarity_is_the_formula() -> None:
    student, teacher = drawn("similarity")

    def alike(hidden: np.ndarray) -> np.ndarray:
        products = np.array([[np.dot(a, b) for b in hidden] for a in hidden])
        return products / np.linalg.norm(products, axis=1, keepdims=True)

    gaps = alike(student.numpy()) - alike(teacher.numpy())
    assert float(similarity(student, teacher)) == pytest.approx((gaps**2).sum() / 9)  # the paper's, times the rows
    times = WEIGHT.long()
    copies = similarity(student.repeat_interleave(times, 0), teacher.repeat_interleave(times, 0))
    assert float(similarity(student, teacher, weight=WEIGHT)) == pytest.approx(float(copies))


def test_relations_do_not_see_scale_rotation_and_for_distances_shift() -> None:
    student, teacher = drawn("rkd_distance")
    turn = torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)).Q
    for loss, shift in ((rkd_distance, 4.0), (similarity, 0.0)):
        same(at(loss, student, 3 * teacher @ turn + shift), at(loss, student, teacher))
