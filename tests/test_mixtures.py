"""Several teachers mixed into one: weights that sum to 1, that labels decide, and that no row's own label does."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit, softmax

from recdistill.errors import DataError, UsageError
from recdistill.losses import label_loss
from recdistill.mixtures import Average, Weights, constant_gate, fit_gate, loss_gate, mix_teachers, mixture
from recdistill.schema import Schema
from recdistill.soft_labels import Sample, SoftLabels
from recdistill.tables import Table

ROWS = 600
CLICKS = Schema(label="click", categorical=("item",))
RATINGS = Schema(rating="stars", grades=(1, 2, 3), categorical=("item",))
every_average = pytest.mark.parametrize("average", ["logit", "probability"])
every_weight = pytest.mark.parametrize("weights", ["uniform", "loss", "gate"])


def world(classes: int = 1, seed: int = 0) -> tuple[Table, list[SoftLabels]]:
    """Rows a third of which have no label, and teachers: one that knows, one that half knows, one that is noise."""
    rng = np.random.default_rng(seed)
    shape = (ROWS,) if classes == 1 else (ROWS, classes)
    truth, noise = 2 * rng.normal(size=shape), 2 * rng.normal(size=shape)
    if classes == 1:
        answer = (rng.random(ROWS) < expit(truth)).astype(float)
    else:
        answer = 1.0 + (rng.random((ROWS, 1)) > softmax(truth, 1).cumsum(1)[:, :-1]).sum(1)
    answers = pa.array(answer, mask=rng.random(ROWS) < 1 / 3)
    schema = CLICKS if classes == 1 else RATINGS
    column = "click" if classes == 1 else "stars"
    table = Table(pa.table({column: answers, "item": pa.array(rng.integers(0, 9, ROWS))}), schema)
    return table, [labels(table, z) for z in (truth, (truth + noise) / 2, noise)]


def labels(table: Table, logits: np.ndarray, sample: Sample = "unseen") -> SoftLabels:
    return SoftLabels(
        table.row_ids,
        logits.astype(np.float32),
        teacher=str(float(logits.sum())),
        rows_fingerprint=table.rows_fingerprint,
        sample=sample,
        grades=table.schema.class_grades,
    )


def loss(soft: SoftLabels, table: Table) -> float:
    known = torch.from_numpy(table.labelled)
    return float(label_loss(torch.from_numpy(soft.logits)[known], torch.from_numpy(table.labels)[known]))


@every_weight
@every_average
def test_a_mixture_of_one_teacher_is_that_teacher(weights: Weights, average: Average) -> None:
    table, (knows, *_) = world()
    assert mix_teachers([knows], table, weights=weights, average=average) is knows


@pytest.mark.parametrize("classes", [1, 3])
@every_weight
@every_average
def test_teachers_that_agree_are_their_mixture(classes: int, weights: Weights, average: Average) -> None:
    table, (knows, *_) = world(classes)
    mixed = mix_teachers([knows] * 3, table, weights=weights, average=average).logits
    if classes > 1:
        mixed, said = (z - z.mean(1, keepdims=True) for z in (mixed, knows.logits))
    else:
        said = knows.logits
    assert np.allclose(mixed, said, atol=1e-5)


def test_averages_are_their_formulas() -> None:
    table, teachers = world()
    z = np.stack([one.logits.astype(float) for one in teachers])
    assert np.allclose(mix_teachers(teachers, table).logits, z.mean(0), atol=1e-5)
    mixed = mix_teachers(teachers, table, average="probability").logits
    assert np.allclose(mixed, logit(expit(z).mean(0)), atol=1e-4)
    table, teachers = world(3)
    p = softmax(np.stack([one.logits.astype(float) for one in teachers]), 2).mean(0)
    assert np.allclose(softmax(mix_teachers(teachers, table, average="probability").logits, 1), p, atol=1e-5)


@given(st.lists(st.floats(-1e4, 1e4), min_size=2, max_size=4), st.integers(0, 99))
def test_a_mixture_lies_between_its_teachers(said: list[float], seed: int) -> None:
    z = torch.tensor([said]).double()
    weights = torch.rand(1, len(said), generator=torch.Generator().manual_seed(seed)).double().softmax(1)
    for average in ("logit", "probability"):
        mixed = float(mixture(z, weights, average))  # type: ignore[arg-type]
        assert min(said) - 1 <= mixed <= max(said) + 1


@pytest.mark.parametrize("classes", [1, 3])
@every_average
def test_labels_tell_who_knows(classes: int, average: Average) -> None:
    table, (knows, half, noise) = world(classes)
    uniform, by_loss, by_gate = (
        mix_teachers([noise, knows, half], table, weights=weights, average=average)
        for weights in ("uniform", "loss", "gate")
    )
    assert loss(by_loss, table) < loss(uniform, table) < loss(noise, table)
    assert loss(by_gate, table) < loss(uniform, table)


def test_a_gate_hears_each_teacher_where_it_knows() -> None:
    """Two teachers that are each right in one half of the rows, and say so by being sure there."""
    rng = np.random.default_rng(0)
    truth, first = 2 * rng.normal(size=4000), rng.random(4000) < 0.5
    answer = torch.from_numpy(rng.random(4000) < expit(truth)).float()
    marked = np.stack([np.where(first, truth, 0), np.where(first, 0, truth), np.where(first, 9, -9)], 1)
    z = torch.from_numpy(marked)
    gate = fit_gate(z, answer)
    found = gate(z)
    assert torch.allclose(found.sum(1), torch.ones(4000).double())
    fixed = constant_gate(z)
    losses = [float(label_loss(mixture(z, w(z), "logit"), answer.double())) for w in (gate, fixed)]
    assert losses[0] < losses[1]
    rows = torch.from_numpy(first)
    assert found[rows, 0].mean() > 0.8
    assert found[~rows, 1].mean() > 0.8


def test_weights_by_loss_are_the_softmax_of_losses() -> None:
    table, teachers = world()
    known = table.labelled
    z, y = (torch.from_numpy(a) for a in (np.stack([one.logits for one in teachers], 1)[known], table.labels[known]))
    losses = [loss(one, table) for one in teachers]
    expected = [math.exp(-20 * (found - min(losses))) for found in losses]
    assert loss_gate(z, y)(z)[0].tolist() == pytest.approx([w / sum(expected) for w in expected], rel=1e-3)


@pytest.mark.parametrize("weights", ["loss", "gate"])
def test_no_row_is_mixed_by_its_own_label(weights: Weights) -> None:
    table, teachers = world()
    before = mix_teachers(teachers, table, weights=weights, k=3)
    row = int(np.flatnonzero(table.labelled)[0])
    flipped = table.numpy("click").copy()
    flipped[row] = 1 - flipped[row]
    other = table.arrow.set_column(
        table.arrow.column_names.index("click"), "click", pa.array(flipped, mask=np.isnan(flipped))
    )
    after = mix_teachers(teachers, Table(other, table.schema), weights=weights, k=3)
    assert after.logits[row] == before.logits[row]
    assert (after.logits != before.logits).any()
    assert after.teacher != before.teacher


def test_the_sample_is_the_weakest_of_the_parts() -> None:
    table, (knows, half, _) = world()
    samples: tuple[Sample, ...] = ("unseen", "out_of_fold", "in_sample")
    for place, sample in enumerate(samples):
        parts = [knows, labels(table, half.logits, sample)]
        assert mix_teachers(parts, table).sample == sample
        assert mix_teachers(parts, table, weights="gate").sample == samples[max(1, place)]


def test_bad_mixtures_are_named() -> None:
    table, teachers = world()
    for bad in ({"weights": "best"}, {"average": "mean"}):
        with pytest.raises(UsageError, match="a mixture has"):
            mix_teachers(teachers, table, **bad)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="0 teachers"):
        mix_teachers([], table)
    with pytest.raises(UsageError, match="k folds"):
        mix_teachers(teachers, table, weights="loss", k=1)
    with pytest.raises(DataError, match="made for rows"):
        mix_teachers(teachers, table.take(np.arange(9)))
    with pytest.raises(DataError, match="made for clicks"):
        mix_teachers(teachers, Table(table.arrow.append_column("stars", pa.array(np.ones(ROWS))), replace(RATINGS)))
