"""Training, soft labels and distillation: the laws that a result rests on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from recdistill.checkpoints import Checkpoints, State, WholeState
from recdistill.datasets import synthetic
from recdistill.distillation import Blend, DistillSettings, distill
from recdistill.encoder import Encoder
from recdistill.errors import DataError, Interrupted, TrainingError
from recdistill.examples import Examples
from recdistill.fit_settings import FitSettings
from recdistill.losses import bce
from recdistill.models import MODELS, build
from recdistill.ranker import Ranker
from recdistill.soft_labels import SoftLabels
from recdistill.splits import folds, keep_labels, split
from recdistill.steps import hard_labels
from recdistill.tables import Table
from recdistill.trainees import optimisers_of
from recdistill.training import fit
from recdistill.transforms import Hashing

SMALL = {"source_rows": 3000, "target_rows": 2000, "source_users": 100, "target_users": 60, "items": 50}
FIT = FitSettings(epochs=3, learning_rate=5e-3, weight_decay=0.0, batch_size=256)


@pytest.fixture(scope="module")
def parts() -> tuple[Table, Table, Table]:
    _, target = synthetic.load(seed=0, **SMALL)
    train, valid, test = split(target)
    return (*keep_labels(train, valid, share=0.5, seed=0), test)


def ranker(train: Table, seed: int = 0, model: str = "deepfm") -> Ranker:
    encoder = Encoder.fit(train)
    arguments = {} if model == "lr" else {"embedding_dim": 4}
    return Ranker(encoder, build(model, encoder.spec, seed=seed, arguments=arguments))


def same(a: Ranker, b: Ranker) -> bool:
    mine, others = a.network.state_dict(), b.network.state_dict()
    return all(torch.equal(mine[k], others[k]) for k in mine)


@pytest.mark.parametrize("model", MODELS)
def test_every_model_learns_saves_and_loads(parts: tuple[Table, Table, Table], model: str, tmp_path: Path) -> None:
    train, valid, test = parts
    made = ranker(train, model=model)
    before = fit(made.copy(), train, valid=valid, settings=FIT.model_copy(update={"learning_rate": 1e-9})).score
    assert fit(made, train, valid=valid, settings=FIT).score < before
    made.save(tmp_path / "model")
    loaded = Ranker.load(tmp_path / "model")
    assert (loaded.score(test) == made.score(test)).all()
    assert loaded.fingerprint == made.fingerprint
    weights = tmp_path / "model" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(DataError, match="changed after it was written"):
        Ranker.load(tmp_path / "model")


def test_alpha_zero_is_exactly_training_on_labels_alone(parts: tuple[Table, Table, Table]) -> None:
    train, valid, _ = parts
    teacher, plain, distilled = ranker(train, seed=9), ranker(train), ranker(train)
    fit(plain, train.take(train.labelled), valid=valid, settings=FIT)
    soft = SoftLabels.from_teacher(teacher, train)
    distill(distilled, train, soft, valid=valid, settings=DistillSettings(alpha=0.0), fitting=FIT)
    assert same(plain, distilled)


def test_blend_is_the_formula_and_unlabelled_rows_do_not_thin_out_labels(parts: tuple[Table, Table, Table]) -> None:
    train, _, _ = parts
    made = ranker(train)
    logits = torch.from_numpy(made.score(train))
    examples = Examples.of(made.encoder, train).with_teacher(np.linspace(-2, 2, len(train)))
    p, q = torch.sigmoid(examples.teacher / 2), torch.sigmoid(logits / 2)
    soft = 4 * (p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()).mean()
    labelled = examples.labelled
    hard = bce(logits[labelled], examples.label[labelled])
    assert float(Blend(0.3, 2.0)(logits, examples)) == pytest.approx(float(0.7 * hard + 0.3 * soft), rel=1e-5)


def test_a_student_equal_to_its_teacher_has_nothing_to_learn_from_it(parts: tuple[Table, Table, Table]) -> None:
    train, _, _ = parts
    made = ranker(train)
    examples = Examples.of(made.encoder, train).with_teacher(made.score(train))
    Blend(1.0, 3.0)(made.network(examples.features), examples).backward()
    assert max(float(p.grad.abs().max()) for p in made.network.parameters() if p.grad is not None) < 1e-6


def test_unseen_users_do_not_depend_on_where_row_zero_started(parts: tuple[Table, Table, Table]) -> None:
    """Two starts of row 0, far apart: trained it forgets its start, untrained it keeps it."""
    train, _, _ = parts
    unseen = train.take(np.arange(200))
    strangers = unseen.arrow.set_column(unseen.arrow.column_names.index("user_id"), "user_id", [np.arange(200) + 10**9])
    gaps = {}
    for rate in (0.0, 0.3):
        scores = []
        for start in (-0.5, 0.5):
            made = ranker(train, model="fm")
            for table in (made.network.first.table, made.network.second.table):  # type: ignore[union-attr]
                table.weight.data[0] = start  # type: ignore[union-attr, index]
            fit(made, train, settings=FIT.model_copy(update={"epochs": 40, "learning_rate": 1e-2, "unseen_rate": rate}))
            scores.append(made.score(Table(strangers, train.schema)))
        gaps[rate] = float(np.abs(scores[0] - scores[1]).mean())
    assert gaps[0.3] < 0.1 * gaps[0.0]


def test_an_interrupted_fit_continues_bit_for_bit(parts: tuple[Table, Table, Table], tmp_path: Path) -> None:
    train, valid, _ = parts
    whole, cut = ranker(train), ranker(train)
    fit(whole, train, valid=valid, settings=FIT)
    steps = 0

    class Stop:
        def step(self, epoch: int, step: int, steps_: int, epochs: int, rows: int) -> None:
            nonlocal steps
            steps += 1

        def stopped(self) -> bool:
            return steps == 9

    with pytest.raises(Interrupted, match="continues there"):
        fit(cut, train, valid=valid, settings=FIT, checkpoint=tmp_path / "state", progress=Stop())
    with pytest.raises(DataError, match="another fit"):
        fit(ranker(train, seed=5), train, valid=valid, settings=FIT, checkpoint=tmp_path / "state")
    for other in (Blend(0.1, 1.0), Blend(0.2, 1.0)):
        with pytest.raises(DataError, match="another fit"):
            fit(ranker(train), train, valid=valid, settings=FIT, checkpoint=tmp_path / "state", objective=other)
    with pytest.raises(DataError, match="another fit"):
        fit(ranker(train), train, valid=train, settings=FIT, checkpoint=tmp_path / "state")
    again = ranker(train)
    fit(again, train, valid=valid, settings=FIT, checkpoint=tmp_path / "state")
    assert same(whole, again)
    assert not (tmp_path / "state").exists()


def test_a_checkpoint_of_another_fit_is_refused(parts: tuple[Table, Table, Table], tmp_path: Path) -> None:
    train, _, _ = parts
    made = ranker(train)
    whole = WholeState(made.network, optimisers_of(made.network, FIT))
    Checkpoints(tmp_path / "state", whole, "another", seconds=0).save(State())
    with pytest.raises(DataError, match="another fit"):
        fit(made, train, settings=FIT, checkpoint=tmp_path / "state")


def test_the_start_counts_as_epoch_0(parts: tuple[Table, Table, Table]) -> None:
    """Fine-tuning never ends worse on the validation rows than it began."""
    train, valid, _ = parts
    good = ranker(train)
    fit(good, train, valid=valid, settings=FIT.model_copy(update={"epochs": 12}))
    spoilt = good.copy()
    found = fit(spoilt, train, valid=valid, settings=FIT.model_copy(update={"learning_rate": 1.0}))
    assert found.best_epoch == 0
    assert same(good, spoilt)
    assert len(found.history) == 1 + FIT.patience


def test_only_labelled_rows_decide_when_to_stop(parts: tuple[Table, Table, Table]) -> None:
    train, valid, _ = parts
    a, b = ranker(train), ranker(train)
    assert fit(a, train, valid=valid, settings=FIT) == fit(b, train, valid=valid.take(valid.labelled), settings=FIT)


def test_bad_training_is_named(parts: tuple[Table, Table, Table]) -> None:
    train, valid, _ = parts
    made = ranker(train)
    with pytest.raises(DataError, match="needs rows"):
        fit(made, train.take(np.zeros(len(train), dtype=bool)))
    with pytest.raises(DataError, match="both classes"):
        fit(made, train, valid=valid.take(valid.labels == 1))
    with pytest.raises(TrainingError, match="loss must be finite"):
        fit(made, train, objective=lambda z, e: hard_labels(z, e) * torch.nan, settings=FIT)
    for alpha, temperature, rule in ((1.5, 1.0, "alpha"), (-0.1, 1.0, "alpha"), (0.5, 0.0, "temperature")):
        with pytest.raises(ValueError, match=rule):
            Blend(alpha, temperature)
    with pytest.raises(ValueError, match="needs soft labels"):
        distill(made, train, None)
    soft = SoftLabels.from_teacher(made, train)
    with pytest.raises(ValueError, match="Examples carry theirs"):
        distill(made, Examples.of(made.encoder, train), soft)


def test_soft_labels_are_refused_for_other_rows_and_teachers(parts: tuple[Table, Table, Table], tmp_path: Path) -> None:
    train, valid, _ = parts
    teacher = ranker(train)
    soft = SoftLabels.from_teacher(teacher, train)
    soft.save(tmp_path / "soft")
    assert (SoftLabels.load(tmp_path / "soft", teacher=teacher).for_table(train) == soft.logits).all()
    with pytest.raises(DataError, match="of teacher"):
        SoftLabels.load(tmp_path / "soft", teacher=ranker(train, seed=1))
    for other in (valid, train.take(np.arange(len(train) - 1)), train.take(np.arange(len(train))[::-1])):
        with pytest.raises(DataError, match="made for rows"):
            soft.for_table(other)
    with pytest.raises(DataError, match="strictly between"):
        SoftLabels.from_column(train, np.ones(len(train)))
    column = SoftLabels.from_column(train, 1 / (1 + np.exp(-soft.logits.astype(float))))
    assert np.allclose(column.logits, soft.logits, atol=1e-4)


def test_out_of_fold_labels_come_from_the_teacher_that_did_not_see_the_row(parts: tuple[Table, Table, Table]) -> None:
    train, _, _ = parts
    masks = folds(train, k=2, seed=0)
    whole, *others = (ranker(train, seed=s) for s in range(3))
    soft = SoftLabels.out_of_fold(whole, others, masks, train)
    assert soft.sample == "out_of_fold"
    for mask, teacher in zip([*masks, ~train.labelled], [*others, whole], strict=True):
        assert np.allclose(soft.logits[mask], teacher.score(train)[mask], atol=1e-6)


def test_new_ids_start_as_the_unseen_id(parts: tuple[Table, Table, Table]) -> None:
    train, _, test = parts
    source, _ = synthetic.load(seed=0, **SMALL)
    made = ranker(Table(source.arrow, source.schema.without("dwell")))
    extended = made.extended(train)
    assert np.allclose(extended.score(test), made.score(test), atol=1e-6)
    assert extended.encoder.coverage(train)["user_id"]["rows"] == 1.0


def test_a_refitted_ranker_knows_the_tables_ids_alone_and_scores_as_before(parts: tuple[Table, Table, Table]) -> None:
    train, _, test = parts
    source, _ = synthetic.load(seed=0, **SMALL)
    made = ranker(Table(source.arrow, source.schema.without("dwell")))
    fit(made, source, settings=FIT)
    compact = made.refitted(train)
    users = compact.encoder.columns["user_id"][1].values.to_pylist()
    assert set(users) == set(train.numpy("user_id").tolist())
    items = compact.encoder.coverage(train)["item_id"]
    assert items == {"rows": 1.0, "values": 1.0}
    assert np.allclose(compact.score(train), made.score(train), atol=1e-6)
    assert np.allclose(compact.score(test), made.score(test), atol=1e-6)
    with pytest.raises(DataError, match="differ in vocabularies only"):
        made.under(Encoder.fit(train, {"item_id": Hashing(50)}))
