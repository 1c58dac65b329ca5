"""Rankers of ratings: trained, distilled, stored and split as those of clicks are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from scipy.special import softmax
from torch import nn

import recdistill as rd
from recdistill.artefacts import manifest
from recdistill.baselines import item_means
from recdistill.batch import Batch
from recdistill.datasets import synthetic
from recdistill.distillation import Blend, DistillSettings, distill
from recdistill.encoder import Encoder
from recdistill.errors import DataError, UsageError
from recdistill.evaluation import measure_ratings
from recdistill.examples import Examples
from recdistill.fit_settings import FitSettings
from recdistill.losses import categorical_kd, cross_entropy
from recdistill.models import MODELS, build
from recdistill.ranker import Ranker
from recdistill.soft_labels import SoftLabels
from recdistill.splits import folds, keep_labels, split
from recdistill.tables import Table
from recdistill.training import fit

GRADES = (1, 2, 3, 4, 5)
SIZES = {"source_rows": 100, "target_rows": 6000, "source_users": 10, "target_users": 60, "items": 40}
FIT = FitSettings(epochs=12, learning_rate=5e-3, weight_decay=0.0, batch_size=256)


@pytest.fixture(scope="module")
def parts() -> tuple[Table, Table, Table, Table, Table]:
    """Training and validation rows with every rating and with a twentieth of them; test rows.

    A row of the synthetic world gets a star, and four more with its true probability each.
    """
    _, target = synthetic.load(seed=0, **SIZES)
    stars = 1 + np.random.default_rng(0).binomial(4, target.numpy("true_probability"))
    schema = replace(target.schema, label=None, truth=None, rating="stars", grades=GRADES)
    train, valid, test = split(Table(target.arrow.append_column("stars", pa.array(stars)), schema))
    return (train, valid, *keep_labels(train, valid, share=0.05, seed=0), test)


def ranker(train: Table, seed: int = 0, model: str = "mlp", classes: int = 5) -> Ranker:
    encoder = Encoder.fit(train)
    arguments = {"classes": classes} if model == "lr" else {"embedding_dim": 4, "classes": classes}
    return Ranker(encoder, build(model, encoder.spec, seed=seed, arguments=arguments))


def clicked(table: Table) -> Table:
    """The same rows with clicks, which are then what rankers learn."""
    clicks = pa.array(np.arange(len(table)) % 2)
    return Table(table.arrow.append_column("click", clicks), replace(table.schema, label="click"))


@pytest.mark.parametrize("model", MODELS)
def test_every_model_learns_saves_and_loads(parts: tuple[Table, ...], model: str, tmp_path: Path) -> None:
    train, valid, _, _, test = parts
    made = ranker(train, model=model)
    found = fit(made, train, valid=valid, settings=FIT.model_copy(update={"epochs": 3}))
    assert found.score < min(np.log(5), found.history[0]["logloss"])
    made.save(tmp_path / "model")
    loaded = Ranker.load(tmp_path / "model")
    assert loaded.score(test).shape == (len(test), 5)
    for other in (loaded, made.copy(), made.extended(test), made.refitted(train)):
        np.testing.assert_allclose(other.score(train), made.score(train), atol=1e-6)
    assert made.score(test.take(np.arange(0))).shape == (0, 5)


def test_a_student_of_a_teacher_who_saw_more_beats_labels_alone(parts: tuple[Table, ...]) -> None:
    train, valid, few, few_valid, test = parts
    teacher, alone, taught = ranker(train, model="deepfm"), ranker(few), ranker(few)
    fit(teacher, train, valid=valid, settings=FIT)
    soft = SoftLabels.from_teacher(teacher, few, in_sample=True)
    longer = FIT.model_copy(update={"epochs": 40})
    distill(alone, few, None, valid=few_valid, settings=DistillSettings(alpha=0.0), fitting=longer)
    distill(taught, few, soft, valid=few_valid, settings=DistillSettings(alpha=0.7), fitting=FIT)
    found = rd.evaluate({"taught": taught, "alone": alone}, test)
    assert [c["metric"] for c in found["comparisons"]] == ["rmse", "mae", "logloss"]
    assert all(c["high"] < 0 for c in found["comparisons"])
    assert found["rankers"]["taught"]["metrics"]["rmse"] < measure_ratings(item_means(few, test), test).metrics["rmse"]


def test_blend_is_the_formula(parts: tuple[Table, ...]) -> None:
    few = parts[2]
    made = ranker(few)
    examples, teacher = Examples.of(made.encoder, few), made.score(few)[::-1].copy()
    examples = examples.with_teacher(teacher)
    logits, labelled = torch.from_numpy(made.score(few)), examples.labelled
    hard = cross_entropy(logits[labelled], examples.label[labelled])
    soft = categorical_kd(logits, examples.teacher, temperature=2.0)
    assert float(Blend(0.3, 2.0)(logits, examples)) == pytest.approx(float(0.7 * hard + 0.3 * soft), rel=1e-5)
    teacher[::2] = np.nan
    half = examples.with_teacher(teacher)
    assert half.taught.tolist() == [row % 2 == 1 for row in range(len(few))]
    soft = categorical_kd(logits[1::2], examples.teacher[1::2], temperature=2.0)
    assert float(Blend(1.0, 2.0)(logits, half)) == pytest.approx(float(soft), rel=1e-5)
    assert not Examples.of(made.encoder, few).taught.any()


def test_alpha_zero_is_exactly_training_on_labels_alone(parts: tuple[Table, ...]) -> None:
    _, _, few, few_valid, test = parts
    plain, distilled = ranker(few), ranker(few)
    settings = FIT.model_copy(update={"epochs": 2})
    fit(plain, few.take(few.labelled), valid=few_valid, settings=settings)
    soft = SoftLabels.from_teacher(ranker(few, seed=9), few)
    distill(distilled, few, soft, valid=few_valid, settings=DistillSettings(alpha=0.0), fitting=settings)
    assert (plain.score(test) == distilled.score(test)).all()


# ----------------------------------------------------------------------------------------- soft labels


def test_soft_labels_are_stored_with_their_grades(parts: tuple[Table, ...], tmp_path: Path) -> None:
    few = parts[2]
    soft = SoftLabels.from_teacher(ranker(few), few)
    assert (soft.logits.shape, soft.grades) == ((len(few), 5), GRADES)
    soft.save(tmp_path / "soft")
    facts = manifest(tmp_path / "soft")["facts"]
    assert (facts["classes"], facts["grades"]) == (5, list(GRADES))
    names = pq.read_schema(tmp_path / "soft" / "logits.parquet").names
    assert names == ["row_id", *(f"logit_{k}" for k in range(5))]
    loaded = SoftLabels.load(tmp_path / "soft", teacher=ranker(few))
    assert (loaded.for_table(few) == soft.logits).all()
    assert loaded.grades == GRADES


def test_soft_labels_of_other_grades_are_refused(parts: tuple[Table, ...]) -> None:
    few = parts[2]
    soft = SoftLabels.from_teacher(ranker(few), few)
    more = few.with_schema(replace(few.schema, grades=(*GRADES, 6)))
    with pytest.raises(DataError, match=r"made for grades \[1.0, .* 5.0\], got rows with grades \[1.0, .* 6.0\]"):
        soft.for_table(more)
    clicks = clicked(few)
    with pytest.raises(DataError, match=r"made for grades .*, got rows with clicks"):
        soft.for_table(clicks)
    with pytest.raises(DataError, match=r"made for clicks, got rows with grades"):
        SoftLabels.from_teacher(ranker(few, classes=1), clicks).for_table(few)


def test_out_of_fold_labels_come_from_the_teacher_that_did_not_see_the_row(parts: tuple[Table, ...]) -> None:
    few = parts[2]
    masks = folds(few, k=2, seed=0)
    whole, *others = (ranker(few, seed=s) for s in range(3))
    soft = SoftLabels.out_of_fold(whole, others, masks, few)
    for mask, teacher in zip([*masks, ~few.labelled], [*others, whole], strict=True):
        np.testing.assert_allclose(soft.logits[mask], teacher.score(few)[mask], atol=1e-6)


def test_a_column_of_class_probabilities_is_a_teacher(parts: tuple[Table, ...]) -> None:
    few = parts[2]
    logits = np.random.default_rng(0).normal(size=(len(few), 5))
    p = softmax(logits, axis=1)
    found = SoftLabels.from_column(few, p)
    np.testing.assert_allclose(softmax(found.logits.astype(float), axis=1), p, atol=1e-6)
    assert (SoftLabels.from_column(few, logits, scale="logit").logits == logits.astype(np.float32)).all()
    assert len(SoftLabels.from_column(few, p.astype(np.float32) * 1.0009).logits) == len(few)
    with pytest.raises(DataError, match=r"of a row's classes must sum to 1 within 0.001, got \[1.1"):
        SoftLabels.from_column(few, 0.5 * p + 0.12)
    sure = np.eye(5)[np.zeros(len(few), dtype=int)]
    with pytest.raises(DataError, match="strictly between 0 and 1"):
        SoftLabels.from_column(few, sure)
    clipped = SoftLabels.from_column(few, sure, clip=1e-4)
    np.testing.assert_allclose(softmax(clipped.logits.astype(float), axis=1), sure, atol=5e-4)
    for scores in (p[:, 0], softmax(logits[:, :4], axis=1), p[:-1]):
        with pytest.raises(DataError, match=rf"one number per row and grade, expected \({len(few)}, 5\), got"):
            SoftLabels.from_column(few, scores)


def test_a_callable_gives_the_probabilities_of_the_grades(parts: tuple[Table, ...]) -> None:
    few = parts[2]
    p = softmax(np.random.default_rng(1).normal(size=(len(few), 5)), axis=1)
    place = {row_id: k for k, row_id in enumerate(few.row_ids.tolist())}
    soft = SoftLabels.from_callable(lambda b: p[[place[i] for i in b["row_id"].to_pylist()]], few, batch_rows=1000)
    assert (soft.logits == SoftLabels.from_column(few, p).logits).all()
    with pytest.raises(DataError, match=r"for batch 0 .* must be one number per row and grade, expected \(1000, 5\)"):
        SoftLabels.from_callable(lambda b: np.full(b.num_rows, 0.5), few, batch_rows=1000)


# ----------------------------------------------------------------------------------- what does not fit


def test_a_binary_teacher_of_ratings_is_refused(parts: tuple[Table, ...]) -> None:
    few = parts[2]
    binary = ranker(few, classes=1)
    with pytest.raises(DataError, match=r"need 5 logits per row, one per grade, got \(\d+,\) for \d+ rows"):
        SoftLabels.from_teacher(binary, few)
    with pytest.raises(DataError, match=r"teacher logits must be \(\d+, 5\) for these rows, got \(\d+,\)"):
        Examples.of(binary.encoder, few).with_teacher(binary.score(few))


@pytest.mark.parametrize("classes", [1, 2, 6])
def test_a_student_of_other_classes_is_refused(parts: tuple[Table, ...], classes: int) -> None:
    _, _, few, few_valid, test = parts
    student = ranker(few, classes=classes)
    shape = r"\(1,\)" if classes == 1 else rf"\(1, {classes}\)"
    with pytest.raises(DataError, match=f"need 5 logits each, one per grade, got scores of shape {shape} for 1 rows"):
        distill(student, few, SoftLabels.from_teacher(ranker(few), few), valid=few_valid)
    with pytest.raises(DataError, match=r"needs \(rows, 5\) logits"):
        rd.evaluate({"student": student}, test)


def test_a_rating_ranker_of_clicks_is_refused(parts: tuple[Table, ...]) -> None:
    few = parts[2]
    clicks = clicked(few)
    with pytest.raises(DataError, match=r"these rows need 1 logit each, got scores of shape \(1, 5\)"):
        fit(ranker(few), clicks)
    with pytest.raises(DataError, match=r"these rows need 5 logits each"):
        fit(ranker(few, classes=1), clicks, valid=few)


def test_a_module_of_ones_own_is_held_to_the_same_shape(parts: tuple[Table, ...]) -> None:
    few = parts[2]

    class Column(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))

        def forward(self, batch: Batch) -> torch.Tensor:
            return self.weight * batch.number[:, :1]

    clicks = clicked(few)
    with pytest.raises(DataError, match=r"these rows need 1 logit each, got scores of shape \(1, 1\)"):
        fit(Ranker(Encoder.fit(few), Column()), clicks)


def test_ratings_are_not_stopped_by_auc_nor_judged_by_one_class(parts: tuple[Table, ...]) -> None:
    _, _, few, few_valid, _ = parts
    with pytest.raises(UsageError, match="only clicks can be stopped by AUC, got stop_by='auc' for 5 classes"):
        fit(ranker(few), few, valid=few_valid, settings=FIT.model_copy(update={"stop_by": "auc"}))
    best = few_valid.take(few_valid.labels == 4)
    with pytest.raises(DataError, match=r"need at least two classes among their labels, got \[4.0\] in"):
        fit(ranker(few), few, valid=best)
    with pytest.raises(DataError, match=r"the training part needs at least two classes, got \[4.0\] in"):
        keep_labels(best, best, share=1.0, seed=0)


def test_hidden_ratings_are_gone(parts: tuple[Table, ...]) -> None:
    train, _, few, _, _ = parts
    assert few.labelled.sum() == pytest.approx(0.05 * len(train), abs=1)
    assert few.column("stars").null_count == len(few) - few.labelled.sum()
    assert (np.sum(folds(few, k=3, seed=0), axis=0) == few.labelled).all()


def test_rows_of_another_kind_are_named(parts: tuple[Table, Table, Table, Table, Table]) -> None:
    encoder = Encoder.fit(parts[0])
    ranker = Ranker(encoder, build("lr", encoder.spec, seed=0))
    with pytest.raises(DataError, match=r"rows to score are an rd.Table, e.g. .*, got DataFrame"):
        ranker.score(parts[0].arrow.to_pandas())  # type: ignore[arg-type]
