"""The loss contract over every loss in `LOSSES`, and the formulas of clicks and classes against numpy and sklearn."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from gradients import JUNK, TEMPERATURES, at, columns, same
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, log_expit, log_softmax, softmax
from sklearn.metrics import log_loss
from torch import Tensor

from recdistill.losses import (
    FOR_CLICKS,
    FOR_RATINGS,
    LOSSES,
    NEEDS_LISTS,
    bce,
    binary_kd,
    categorical_kd,
    cross_entropy,
    label_loss,
    teacher_loss,
)

Shaped = Callable[[Tensor], Tensor]
# A step towards the teacher never makes these larger.
CONVEX = {"binary_kd", "categorical_kd", "listnet_kd", "logit_mse", "margin_mse", "ranknet_kd"}
PAIRWISE = {"margin_mse", "ranknet_kd"}


def clicks(z: Tensor) -> Tensor:
    """(rows,) numbers as the logits of clicks."""
    return z


def ratings(z: Tensor) -> Tensor:
    """(rows,) numbers as the logits of three classes that move apart with them."""
    return torch.stack([torch.zeros_like(z), 1 - z / 2, z], 1)


CASES = [(name, clicks) for name in sorted(FOR_CLICKS)] + [(name, ratings) for name in sorted(FOR_RATINGS)]
every_loss = pytest.mark.parametrize(("name", "shaped"), CASES, ids=[f"{n}-{s.__name__}" for n, s in CASES])
every_temperature = pytest.mark.parametrize("temperature", TEMPERATURES)
temperatures = st.floats(0.1, 50.0)
logits = st.floats(-30.0, 30.0)
weighted = st.lists(st.tuples(logits, logits, st.integers(0, 3)), min_size=1, max_size=8)
# What standardises is as ill-conditioned as its rows are near each other.
eighths = st.integers(-240, 240).map(lambda n: n / 8)
apart = st.lists(st.tuples(eighths, eighths, st.integers(0, 3)), min_size=1, max_size=8)


def drawn(shaped: Shaped = clicks) -> tuple[Tensor, Tensor]:
    """The logits of a student and a teacher who do not agree, for 12 rows."""
    generator = torch.Generator().manual_seed(0)
    student, teacher = 3 * torch.randn(2, 12, generator=generator, dtype=torch.float64)
    return shaped(student), shaped(teacher)


# -------------------------------------------------------------------------------------------- the contract


@every_loss
def test_the_signature_is_the_contract(name: str, shaped: Shaped) -> None:
    first, second, *others = inspect.signature(LOSSES[name]).parameters.values()
    assert (first.name, second.name) == ("student_logits", "teacher_logits")
    assert all(p.kind is p.KEYWORD_ONLY and p.default is not p.empty for p in others)
    defaults = {p.name: p.default for p in others}
    assert defaults.pop("groups", 0) is (None if name in NEEDS_LISTS else 0)
    assert defaults == {"where": None, "weight": None, "temperature": 1.0}


def test_every_loss_says_what_it_is_for() -> None:
    assert {*LOSSES} == FOR_CLICKS | FOR_RATINGS
    assert FOR_CLICKS > NEEDS_LISTS
    assert not FOR_RATINGS & NEEDS_LISTS


@pytest.mark.parametrize("name", LOSSES)
def test_logits_that_a_loss_is_not_for_are_refused(name: str) -> None:
    for shaped, names, rule in (
        (clicks, FOR_CLICKS, "class logits must be"),
        (ratings, FOR_RATINGS, "click logits must be"),
    ):
        if name not in names:
            with pytest.raises(ValueError, match=rf"^{rule} \(rows"):
                LOSSES[name](*drawn(shaped))
    with pytest.raises(ValueError, match=r"^student and teacher logits must have one shape, got \(12,\) and \(11,\)"):
        LOSSES[name](torch.zeros(12), torch.zeros(11))
    with pytest.raises(ValueError, match=r"^logits must be \(rows,\) or \(rows, classes\), got \(12, 3, 1\)"):
        LOSSES[name](torch.zeros(12, 3, 1), torch.zeros(12, 3, 1))


@every_loss
@every_temperature
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_student_equal_to_its_teacher_has_no_loss_and_no_gradient(
    name: str, shaped: Shaped, temperature: float, dtype: torch.dtype
) -> None:
    both = shaped(torch.linspace(-30, 30, 61, dtype=dtype))
    value, gradient = at(LOSSES[name], both, both.clone(), temperature=temperature)
    assert abs(value) <= temperature**2 * torch.finfo(dtype).eps
    assert float(gradient.abs().max()) <= temperature * torch.finfo(dtype).eps


@every_loss
@every_temperature
def test_the_teacher_never_gets_a_gradient(name: str, shaped: Shaped, temperature: float) -> None:
    student, teacher = (z.requires_grad_() for z in drawn(shaped))
    LOSSES[name](student, teacher, temperature=temperature).backward()
    assert student.grad is not None
    assert student.grad.any()
    assert teacher.grad is None or not teacher.grad.any()
    # Not even where the teacher was computed from the student.
    found = torch.autograd.grad(LOSSES[name](student, 2 * student, temperature=temperature), student)[0]
    assert torch.equal(found, at(LOSSES[name], student, 2 * student.detach(), temperature=temperature)[1])


@every_loss
@every_temperature
@pytest.mark.parametrize("junk", JUNK)
def test_masked_rows_have_no_influence(name: str, shaped: Shaped, temperature: float, junk: float) -> None:
    student, teacher = drawn(shaped)
    where, weight = torch.arange(12) % 3 != 1, torch.arange(12, dtype=torch.float64)
    student[~where], teacher[~where], weight[~where] = torch.inf, junk, junk
    value, gradient = at(LOSSES[name], student, teacher, where=where, weight=weight, temperature=temperature)
    kept = student[where], teacher[where]
    same((value, gradient[where]), at(LOSSES[name], *kept, weight=weight[where], temperature=temperature))
    assert not gradient[~where].any()


@every_loss
@pytest.mark.parametrize("junk", [*JUNK, 0.5])
def test_no_row_at_all_gives_zero(name: str, shaped: Shaped, junk: float) -> None:
    student, teacher = drawn(shaped)
    nothing, junks = torch.zeros(12, dtype=torch.bool), torch.full_like(teacher, junk)
    for found in (
        at(LOSSES[name], student, junks, where=nothing),
        at(LOSSES[name], student, junks, where=nothing, weight=torch.full((12,), junk)),
        at(LOSSES[name], student, teacher, weight=torch.zeros(12)),
        at(LOSSES[name], student[:0], teacher[:0]),
    ):
        same(found, (0.0, torch.zeros_like(found[1])))


@every_loss
@pytest.mark.parametrize("temperature", [0.01, *TEMPERATURES, 1000.0])
def test_extreme_logits_stay_finite(name: str, shaped: Shaped, temperature: float) -> None:
    grid = torch.tensor(list(itertools.product([-1e4, -100.0, 0.0, 100.0, 1e4], repeat=2)), dtype=torch.float32)
    alone, together = grid[:, :, None], grid.T[None]
    for student, teacher in ((shaped(s), shaped(t)) for s, t in (*alone, *together)):
        value, gradient = at(LOSSES[name], student, teacher, temperature=temperature)
        assert np.isfinite(value)
        assert gradient.isfinite().all()
        away = (student - teacher) / (student - teacher).abs().max().clamp(min=1)
        uphill = (gradient * away).sum()
        assert name not in CONVEX or float(uphill) >= -temperature * torch.finfo(torch.float32).eps


@every_loss
@settings(max_examples=30)
@given(data=weighted, temperature=temperatures)
def test_never_negative(name: str, shaped: Shaped, data: list[tuple[float, float, int]], temperature: float) -> None:
    student, teacher = (shaped(z) for z in columns(data)[:2])
    for dtype in (torch.float64, torch.float32):
        slack = 4 * temperature**2 * torch.finfo(dtype).eps  # KL is a difference of numbers of size 1
        assert at(LOSSES[name], student.to(dtype), teacher.to(dtype), temperature=temperature)[0] >= -slack


@every_loss
@settings(max_examples=30)
@given(data=apart, temperature=temperatures)
def test_a_weight_is_so_many_copies_of_the_row(
    name: str, shaped: Shaped, data: list[tuple[float, float, int]], temperature: float
) -> None:
    loss, (student, teacher, weight) = LOSSES[name], columns(data)
    student, teacher = shaped(student), shaped(teacher)
    found = at(loss, student, teacher, weight=weight, temperature=temperature)

    def copies(z: Tensor, target: Tensor) -> Tensor:
        times = weight.long()
        return loss(z.repeat_interleave(times, 0), target.repeat_interleave(times, 0), temperature=temperature)

    if name not in PAIRWISE:  # which have as many pairs more as a row has copies
        same(found, at(copies, student, teacher))
    same(found, at(loss, student, teacher, weight=1e3 * weight, temperature=temperature))
    same(found, at(loss, student, teacher, weight=1e-3 * weight, temperature=temperature))
    masked = {"where": weight > 0, "weight": weight.clamp(min=1)}
    same(found, at(loss, student, teacher, **masked, temperature=temperature))


@every_loss
@settings(max_examples=30)
@given(data=apart, temperature=temperatures, seed=st.integers(0, 99))
def test_the_order_of_rows_changes_nothing(
    name: str, shaped: Shaped, data: list[tuple[float, float, int]], temperature: float, seed: int
) -> None:
    student, teacher, weight = columns(data)
    student, teacher = shaped(student), shaped(teacher)
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))
    where = weight != 2
    options = {"where": where, "weight": weight, "temperature": temperature}
    value, gradient = at(LOSSES[name], student, teacher, **options)
    moved = {"where": where[order], "weight": weight[order], "temperature": temperature}
    same((value, gradient[order]), at(LOSSES[name], student[order], teacher[order], **moved))


@every_loss
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_sides_may_differ_in_precision(name: str, shaped: Shaped, dtype: torch.dtype) -> None:
    student, teacher = drawn(shaped)
    value, gradient = at(LOSSES[name], student.to(dtype), teacher.float(), weight=torch.arange(12.0))
    assert value == pytest.approx(at(LOSSES[name], student, teacher, weight=torch.arange(12.0))[0], rel=0.05)
    assert gradient.dtype == dtype


@every_loss
@pytest.mark.parametrize("temperature", [0, 0.0, -1.5, float("nan"), float("inf")])
def test_a_temperature_that_is_not_positive_is_refused(name: str, shaped: Shaped, temperature: float) -> None:
    with pytest.raises(ValueError, match=f"^temperature must be positive and finite, got temperature={temperature}$"):
        LOSSES[name](*drawn(shaped), temperature=temperature)


@every_loss
@every_temperature
def test_the_gradient_is_that_of_the_value(name: str, shaped: Shaped, temperature: float) -> None:
    student, teacher = drawn(shaped)
    options = {"where": torch.arange(12) % 4 != 1, "weight": torch.arange(12) / 5, "temperature": temperature}
    assert torch.autograd.gradcheck(lambda z: LOSSES[name](z, teacher, **options), student.requires_grad_())


# --------------------------------------------------------------------------------------------- binary_kd


def slow_kd(student: np.ndarray, teacher: np.ndarray, temperature: float) -> np.ndarray:
    """T² KL(Bernoulli(σ(z_t/T)) ‖ Bernoulli(σ(z_s/T))) of each row."""
    s, t = student / temperature, teacher / temperature
    click = expit(t) * (log_expit(t) - log_expit(s))
    return temperature**2 * (click + expit(-t) * (log_expit(-t) - log_expit(-s)))


@given(weighted.filter(lambda rows: any(w for *_, w in rows)), temperatures)
def test_binary_kd_is_the_formula(data: list[tuple[float, float, int]], temperature: float) -> None:
    student, teacher, weight = columns(data)
    s, t, w = student.numpy(), teacher.numpy(), weight.numpy()
    value, gradient = at(binary_kd, student, teacher, weight=weight, temperature=temperature)
    slow = slow_kd(s, t, temperature)
    assert value == pytest.approx(np.average(slow, weights=w), rel=1e-9, abs=1e-14 * temperature**2)
    expected = temperature * (expit(s / temperature) - expit(t / temperature)) * w / w.sum()
    np.testing.assert_allclose(gradient, expected, rtol=1e-9, atol=1e-14 * temperature)


@given(logits, logits)
def test_hot_binary_kd_is_regression_on_logits(student: float, teacher: float) -> None:
    """Section 2.1 of the paper, for one logit: the gradient tends to (z_s − z_t)/4, and its error falls as 1/T²."""
    for temperature in (1e2, 1e3, 1e4):
        _, gradient = at(binary_kd, *columns([(student, teacher)]), temperature=temperature)
        error = abs(float(gradient) - (student - teacher) / 4)
        assert error <= (abs(student) ** 3 + abs(teacher) ** 3) / (48 * temperature**2) + 1e-15 * temperature


# --------------------------------------------------------------------------------------------------- bce


@settings(max_examples=30)
@given(st.lists(st.tuples(st.floats(-15, 15), st.integers(0, 1), st.integers(1, 3)), min_size=1, max_size=12))
def test_bce_of_hard_labels_is_sklearns_log_loss(data: list[tuple[float, int, int]]) -> None:
    student, labels, weight = columns(data)
    slow = log_loss(labels, expit(student.numpy()), sample_weight=weight, labels=[0, 1])
    assert float(bce(student, labels, weight=weight)) == pytest.approx(slow, rel=1e-9, abs=1e-9)


@given(st.lists(st.tuples(logits, st.floats(0, 1), st.integers(1, 3)), min_size=1, max_size=12))
def test_bce_of_soft_labels_is_the_formula(data: list[tuple[float, float, int]]) -> None:
    student, labels, weight = columns(data)
    z, y, w = student.numpy(), labels.numpy(), weight.numpy()
    value, gradient = at(bce, student, labels, weight=weight)
    slow = np.average(-y * log_expit(z) - (1 - y) * log_expit(-z), weights=w)
    assert value == pytest.approx(slow, rel=1e-12, abs=1e-14)
    np.testing.assert_allclose(gradient, (expit(z) - y) * w / w.sum(), rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("junk", JUNK)
def test_bce_does_not_see_masked_labels(junk: float) -> None:
    student, teacher = drawn()
    where, labels, weight = torch.arange(12) % 3 != 1, teacher.sigmoid(), student.abs()
    student[~where], labels[~where], weight[~where] = 1e4, junk, junk
    value, gradient = at(bce, student, labels, where=where, weight=weight)
    same((value, gradient[where]), at(bce, student[where], labels[where], weight=weight[where]))
    assert not gradient[~where].any()
    assert at(bce, student, torch.full_like(labels, junk), where=torch.zeros_like(where))[0] == 0


# -------------------------------------------------------------------------------- categorical_kd, cross_entropy

several = st.lists(
    st.tuples(*[logits] * 8, st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=6
)  # student and teacher logits of four classes, the row's class and its weight


@given(several.filter(lambda rows: any(row[-1] for row in rows)), temperatures)
def test_categorical_kd_is_the_formula(data: list[tuple[float, ...]], temperature: float) -> None:
    """T² Σ_k p_k (log p_k − log q_k), with the gradient T (q − p)."""
    rows = torch.tensor(data, dtype=torch.float64)
    student, teacher, weight = rows[:, :4], rows[:, 4:8], rows[:, 9]
    value, gradient = at(categorical_kd, student, teacher, weight=weight, temperature=temperature)
    s, t, w = student.numpy() / temperature, teacher.numpy() / temperature, weight.numpy()
    p, q = softmax(t, 1), softmax(s, 1)
    slow = temperature**2 * (p * (log_softmax(t, 1) - log_softmax(s, 1))).sum(1)
    assert value == pytest.approx(np.average(slow, weights=w), rel=1e-9, abs=1e-13 * temperature**2)
    np.testing.assert_allclose(
        gradient, temperature * (q - p) * (w / w.sum())[:, None], rtol=1e-9, atol=1e-14 * temperature
    )


@given(several)
def test_cross_entropy_is_sklearns_log_loss(data: list[tuple[float, ...]]) -> None:
    rows = torch.tensor(data, dtype=torch.float64)
    student, labels, weight = rows[:, :4] / 3, rows[:, 8], 1 + rows[:, 9]
    value, gradient = at(cross_entropy, student, labels, weight=weight)
    q = softmax(student.numpy(), 1)
    assert value == pytest.approx(log_loss(labels, q, sample_weight=weight, labels=[0, 1, 2, 3]), rel=1e-9, abs=1e-9)
    share = (weight / weight.sum()).numpy()[:, None]
    np.testing.assert_allclose(gradient, (q - np.eye(4)[labels.long()]) * share, rtol=1e-9, atol=1e-14)


@given(weighted, temperatures)
def test_two_classes_with_logits_0_and_z_are_a_click(data: list[tuple[float, float, int]], temperature: float) -> None:
    student, teacher, weight = columns(data)
    labels, options = (teacher > 0).double(), {"weight": weight, "where": weight != 2}

    def two(z: Tensor) -> Tensor:
        return torch.stack([torch.zeros_like(z), z], 1)

    def kd(z: Tensor, target: Tensor) -> Tensor:
        return categorical_kd(two(z), two(target), temperature=temperature, **options)

    def ce(z: Tensor, target: Tensor) -> Tensor:
        return cross_entropy(two(z), target, **options)

    same(at(kd, student, teacher), at(binary_kd, student, teacher, temperature=temperature, **options))
    same(at(ce, student, labels), at(bce, student, labels, **options))


@pytest.mark.parametrize("junk", JUNK)
def test_cross_entropy_does_not_see_masked_labels(junk: float) -> None:
    student, _ = drawn(ratings)
    where, labels, weight = torch.arange(12) % 3 != 1, torch.arange(12.0) % 3, student.abs().sum(1)
    student[~where], labels[~where], weight[~where] = torch.inf, junk, junk
    value, gradient = at(cross_entropy, student, labels, where=where, weight=weight)
    same((value, gradient[where]), at(cross_entropy, student[where], labels[where], weight=weight[where]))
    assert not gradient[~where].any()
    assert at(cross_entropy, student, torch.full_like(labels, junk), where=torch.zeros_like(where))[0] == 0


def test_cross_entropy_of_extreme_logits_is_finite() -> None:
    extreme = torch.tensor([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4]])
    value, gradient = at(cross_entropy, extreme, torch.tensor([1.0, 2.0]))
    assert value == pytest.approx((2e4 + np.log(2)) / 2)
    assert gradient.isfinite().all()


def test_the_task_decides_the_loss() -> None:
    (z, t), (zs, ts) = drawn(), drawn(ratings)
    options = {"where": torch.arange(12) % 3 != 1, "weight": torch.arange(12) / 5}
    labels = torch.arange(12) % 2.0
    assert label_loss(z, labels, **options) == bce(z, labels, **options)
    assert label_loss(zs, labels, **options) == cross_entropy(zs, labels, **options)
    assert teacher_loss(z, t, **options, temperature=2.0) == binary_kd(z, t, **options, temperature=2.0)
    assert teacher_loss(zs, ts, **options, temperature=2.0) == categorical_kd(zs, ts, **options, temperature=2.0)
    with pytest.raises(ValueError, match=r"must have one shape, got \(12, 3\) and \(12,\)"):
        teacher_loss(zs, t)
    with pytest.raises(ValueError, match=r"class logits must be \(rows, classes\), got \(12,\)"):
        cross_entropy(z, labels)
    with pytest.raises(ValueError, match=r"class logits must be \(rows, classes\), got \(12,\)"):
        categorical_kd(z, t)
