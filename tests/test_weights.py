"""Trust in a teacher row by row, and a curriculum: what they are, and that trust 1 changes nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from stopping import StopAfter

from recdistill.batch import Batch
from recdistill.curriculum import Curriculum
from recdistill.datasets import synthetic
from recdistill.distillation import Blend, DistillSettings, distill
from recdistill.encoder import Encoder
from recdistill.errors import DataError, Interrupted
from recdistill.examples import Examples
from recdistill.features import FeatureSpec, inputs
from recdistill.fit_settings import FitSettings
from recdistill.losses import binary_kd
from recdistill.models import build
from recdistill.ranker import Ranker
from recdistill.soft_labels import SoftLabels
from recdistill.splits import keep_labels, split
from recdistill.tables import Table
from recdistill.training import fit
from recdistill.weights import by_segment, confidence, familiarity

FIT = FitSettings(epochs=4, learning_rate=5e-3, weight_decay=0.0, batch_size=256)


@pytest.fixture(scope="module")
def parts() -> tuple[Table, Table]:
    _, target = synthetic.load(seed=0, source_rows=100, target_rows=2000, target_users=60, items=50)
    train, valid, _ = split(target)
    return keep_labels(train, valid, share=0.5, seed=0)


def ranker(train: Table, seed: int = 0) -> Ranker:
    encoder = Encoder.fit(train)
    return Ranker(encoder, build("mlp", encoder.spec, seed=seed, arguments={"embedding_dim": 4}))


def same(a: Ranker, b: Ranker) -> bool:
    mine, others = a.network.state_dict(), b.network.state_dict()
    return all(torch.equal(mine[k], others[k]) for k in mine)


def examples(rows: int, seed: int, *, classes: int = 1) -> tuple[torch.Tensor, Examples]:
    """Logits, and rows of which some have no label and some no soft label."""
    rng = np.random.default_rng(seed)
    shape = (rows,) if classes == 1 else (rows, classes)
    label = torch.from_numpy(np.where(rng.random(rows) < 0.3, np.nan, rng.integers(0, max(2, classes), rows))).float()
    teacher = torch.from_numpy(rng.normal(0, 2, shape)).float()
    teacher[rng.random(rows) < 0.3] = torch.nan
    features = Batch.of(inputs(FeatureSpec(), {}, rows))
    weight = torch.from_numpy(rng.random(rows)).float()
    return torch.from_numpy(rng.normal(0, 2, shape)).float(), Examples(features, label, teacher, weight)


@given(st.integers(0, 1000), st.sampled_from([1, 3]), st.integers(1, 12))
def test_trust_of_one_changes_no_bit(seed: int, classes: int, rows: int) -> None:
    logits, plain = examples(rows, seed, classes=classes)
    trusted = plain.with_trust(np.ones(rows))
    blend = Blend(0.3, 2.0)
    found = [torch.autograd.grad(blend(z, e), z)[0] for z in [logits.requires_grad_()] for e in (plain, trusted)]
    assert torch.equal(*found)
    assert torch.equal(blend(logits, plain), blend(logits, trusted))


@given(st.integers(0, 1000), st.integers(1, 12))
def test_the_soft_term_is_the_formula(seed: int, rows: int) -> None:
    """α Σ r w l / Σ w over the taught rows, one row after the other."""
    logits, plain = examples(rows, seed)
    trust = np.random.default_rng(seed).random(rows)
    taught = plain.taught.nonzero()[:, 0].tolist()
    weights = {i: float(plain.weight[i]) for i in taught}
    losses = {i: float(binary_kd(logits[i : i + 1], plain.teacher[i : i + 1], temperature=2.0)) for i in taught}
    slow = sum(trust[i] * weights[i] * losses[i] for i in taught) / sum(weights.values()) if taught else 0.0
    of_labels = float(Blend(0.0, 2.0)(logits, plain))
    expected = 0.7 * of_labels + 0.3 * slow
    assert float(Blend(0.3, 2.0)(logits, plain.with_trust(trust))) == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_half_the_trust_everywhere_is_half_the_soft_term_and_none_is_labels_alone() -> None:
    logits, plain = examples(50, 0)
    whole, half, none = (float(Blend(0.4, 1.0)(logits, plain.with_trust(np.full(50, r)))) for r in (1.0, 0.5, 0.0))
    assert none == pytest.approx(0.6 * float(Blend(0.0, 1.0)(logits, plain)))
    assert half == pytest.approx((whole + none) / 2)


def test_a_student_listens_where_the_teacher_is_trusted(parts: tuple[Table, Table]) -> None:
    """A teacher that says σ(3) for all: the student follows in the trusted half of the users alone."""
    train, _ = parts
    student = ranker(train)
    users = train.numpy("user_id")
    trusted = users % 2 == 0
    rows = Examples.of(student.encoder, train).with_teacher(np.full(len(train), 3.0)).with_trust(trusted.astype(float))
    distill(student, rows, None, settings=DistillSettings(alpha=0.9), fitting=FIT.model_copy(update={"epochs": 15}))
    scores = student.score(train)
    assert scores[trusted].mean() > scores[~trusted].mean() + 1


def test_confidence_is_one_minus_the_normalised_entropy() -> None:
    p = np.array([0.5, 0.9, 0.01])
    slow = [1 + (q * np.log(q) + (1 - q) * np.log(1 - q)) / np.log(2) for q in p]
    assert confidence(np.log(p / (1 - p))) == pytest.approx(slow)
    assert confidence(np.array([[0.0, 0.0, 0.0], [1e4, 0.0, 0.0]])) == pytest.approx([0, 1], abs=1e-9)
    assert confidence(np.array([0.0, -1e6, 1e6])).tolist() == [0, 1, 1]


def test_familiarity_is_full_where_the_source_has_as_many_rows() -> None:
    assert familiarity(np.array([0.1, 1.0, 4.0])).tolist() == [1, 1, 0.25]
    for wrong in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="positive and finite"):
            familiarity(np.array([1.0, wrong]))


def segment_world() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A teacher that knows segment "a", says noise of "b", and of the rare "c" is right by chance."""
    rng = np.random.default_rng(0)
    segments = np.array(["a"] * 2000 + ["b"] * 2000 + ["c"] * 5)
    truth = rng.normal(0, 2, 4005)
    labels = (rng.random(4005) < 1 / (1 + np.exp(-truth))).astype(float)
    said = np.where(segments == "b", rng.normal(0, 2, 4005), truth)
    said[-5:] = 20 * (2 * labels[-5:] - 1)
    return said, labels, segments


def test_trust_by_segment_is_the_formula_shrunk_to_the_whole() -> None:
    said, labels, segments = segment_world()
    loss = np.logaddexp(0, said) - labels * said
    rate = labels.mean()
    base = np.where(labels == 1, -np.log(rate), -np.log(1 - rate))
    found = by_segment(said, labels, segments, of=["a", "b", "c", "new", None, "a"], prior_rows=50.0)
    for name, value in zip("abc", found, strict=False):
        own = segments == name
        slow = 1 - (loss[own].sum() + 50 * loss.mean()) / (base[own].sum() + 50 * base.mean())
        assert value == pytest.approx(min(1, max(0, slow)))
    whole = max(0, 1 - loss.sum() / base.sum())
    assert found[3:] == pytest.approx([whole, whole, found[0]])
    assert found[0] > 0.3
    assert found[1] == 0
    assert abs(found[2] - whole) < 0.2
    assert by_segment(said, labels, segments, of=["c"], prior_rows=1e-6)[0] == pytest.approx(1, abs=1e-3)


def test_segments_may_be_numbers_missing_or_of_ratings() -> None:
    said, labels, _ = segment_world()
    numbers = np.arange(len(labels)) % 7
    assert len(by_segment(said, labels, numbers, of=np.array([0, 6, 99]))) == 3
    missing = [None if n == 0 else f"v{n}" for n in numbers]
    found = by_segment(said, labels, missing, of=[None, "v1"])
    assert found == pytest.approx(by_segment(said, labels, numbers, of=[0, 1]))
    pair = np.stack([np.zeros_like(said), said], axis=1)
    assert by_segment(pair, labels, numbers, of=[3]) == pytest.approx(by_segment(said, labels, numbers, of=[3]))


def test_bad_trust_is_named() -> None:
    said, labels, segments = segment_world()
    with pytest.raises(ValueError, match="prior_rows must be positive"):
        by_segment(said, labels, segments, of=["a"], prior_rows=0)
    with pytest.raises(ValueError, match="needs a segment, got 3 for 4005 rows"):
        by_segment(said, labels, ["a", "b", "c"], of=["a"])
    with pytest.raises(DataError, match="at least two classes"):
        by_segment(said, np.ones_like(labels), segments, of=["a"])
    _, plain = examples(4, 0)
    for wrong in (np.ones(3), np.array([1, 1, 1, -0.1]), np.array([1, 1, 1, np.nan])):
        with pytest.raises(DataError, match="one non-negative, finite number per row"):
            plain.with_trust(wrong)


# -------------------------------------------------------------------------------------------- curriculum


def test_alpha_falls_from_one_to_its_own_value() -> None:
    curriculum = Curriculum(Blend(0.2, 2.0), 4)
    alphas = [curriculum.at(epoch).alpha for epoch in range(7)]  # type: ignore[attr-defined]
    assert alphas == pytest.approx([1.0, 0.8, 0.6, 0.4, 0.2, 0.2, 0.2])
    assert curriculum.at(0) == Blend(1.0, 2.0)
    assert curriculum.at(9) == Blend(0.2, 2.0)
    with pytest.raises(ValueError, match="at least 1 epoch"):
        Curriculum(Blend(0.2, 2.0), 0)


@given(st.floats(0, 1), st.integers(1, 30), st.integers(0, 40))
def test_alpha_stays_a_share(alpha: float, epochs: int, epoch: int) -> None:
    found = Curriculum(Blend(alpha, 1.0), epochs).at(epoch).alpha  # type: ignore[attr-defined]
    assert alpha - 1e-12 <= found <= 1
    assert epoch < epochs or found == alpha


def test_the_first_epoch_hears_no_label(parts: tuple[Table, Table]) -> None:
    train, _ = parts
    soft = SoftLabels.from_teacher(ranker(train, seed=9), train)
    one = FIT.model_copy(update={"epochs": 1})
    found, alone = ranker(train), ranker(train)
    distill(found, train, soft, settings=DistillSettings(alpha=0.3, curriculum=2), fitting=one)
    distill(alone, train, soft, settings=DistillSettings(alpha=1.0), fitting=one)
    assert same(found, alone)
    with pytest.raises(ValueError, match="needs soft labels"):
        distill(found, train, None, settings=DistillSettings(alpha=0.0, curriculum=2), fitting=one)


def test_a_constant_schedule_is_its_objective(parts: tuple[Table, Table]) -> None:
    train, valid = parts
    rows = Examples.of((plain := ranker(train)).encoder, train).with_teacher(np.linspace(-2, 2, len(train)))
    scheduled = ranker(train)
    fit(plain, rows, valid=valid, objective=Blend(1.0, 2.0), settings=FIT)
    fit(scheduled, rows, valid=valid, objective=Curriculum(Blend(1.0, 2.0), 3), settings=FIT)
    assert same(plain, scheduled)


def test_an_interrupted_curriculum_continues_bit_for_bit_and_another_is_refused(
    parts: tuple[Table, Table], tmp_path: Path
) -> None:
    train, valid = parts
    soft = SoftLabels.from_teacher(ranker(train, seed=9), train)
    told = DistillSettings(alpha=0.2, curriculum=3)
    whole, cut, again = (ranker(train) for _ in range(3))
    distill(whole, train, soft, valid=valid, settings=told, fitting=FIT)
    steps = -(-len(train) // FIT.batch_size)
    state = tmp_path / "state"
    stop = StopAfter(2 * steps - 2, of=steps)
    with pytest.raises(Interrupted):
        distill(cut, train, soft, valid=valid, settings=told, fitting=FIT, checkpoint=state, progress=stop)
    other = told.model_copy(update={"curriculum": 2})
    with pytest.raises(DataError, match="another fit"):
        distill(ranker(train), train, soft, valid=valid, settings=other, fitting=FIT, checkpoint=state)
    distill(again, train, soft, valid=valid, settings=told, fitting=FIT, checkpoint=state)
    assert same(whole, again)
