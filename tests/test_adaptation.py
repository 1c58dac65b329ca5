"""Adaptation: what is held stays bit for bit, the rest learns, and no label reaches its own row's score."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import Tensor

from recdistill.adaptation import What, adapt, out_of_fold_labels
from recdistill.datasets import synthetic
from recdistill.encoder import Encoder
from recdistill.errors import DataError, UsageError
from recdistill.fit_settings import FitSettings
from recdistill.metrics import logloss
from recdistill.models import MODELS, build
from recdistill.models.embeddings import PlainTables
from recdistill.ranker import Ranker
from recdistill.soft_labels import SoftLabels
from recdistill.splits import folds, keep_labels, split
from recdistill.tables import Table
from recdistill.training import fit

FIT = FitSettings(epochs=2, learning_rate=1e-2, weight_decay=1e-2, batch_size=128)
# Each moves rows that it should not, unless they are held: by momentum, by decay, or by the decay of whole tables.
OPTIMISERS = [
    {},
    {"optimiser": "adamw"},
    {"optimiser": "sgd"},
    {"embedding_optimiser": "rowwise_adagrad", "embedding_weight_decay": 0.1},
    {"embedding_optimiser": "lazy_adam", "embedding_weight_decay": 0.1},
]
WORLD = {"source_rows": 2000, "target_rows": 1500, "source_users": 60, "target_users": 40, "items": 40}


@pytest.fixture(scope="module")
def world() -> tuple[Table, Table, Table]:
    """A source without its privileged column, and the target's training and validation rows."""
    source, target = synthetic.load(seed=0, **WORLD)
    train, valid, _ = split(target)
    train, valid = keep_labels(train, valid, share=0.6, seed=0)
    return Table(source.arrow, source.schema.without("dwell")), train, valid


def teacher_of(source: Table, model: str = "deepfm", *, trained: bool = False) -> Ranker:
    """A teacher that does not know items 30 and above, and none of the target's users."""
    known = source.take(source.numpy("item_id") < 30)
    encoder = Encoder.fit(known)
    arguments = {} if model == "lr" else {"embedding_dim": 4}
    made = Ranker(encoder, build(model, encoder.spec, seed=1, arguments=arguments))
    if trained:
        fit(made, known, settings=FIT)
    return made


def weights(ranker: Ranker) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in ranker.network.state_dict().items()}


def new_rows(teacher: Ranker, adapted: Ranker) -> Iterator[tuple[str, Tensor]]:
    """Per table its name and which rows are of ids that the teacher did not know, counted feature by feature."""
    known = [rows for _, rows in (*teacher.encoder.spec.categorical, *teacher.encoder.spec.multi)]
    now = [rows for _, rows in (*adapted.encoder.spec.categorical, *adapted.encoder.spec.multi)]
    new = torch.tensor([row >= old for old, rows in zip(known, now, strict=True) for row in range(rows)])
    for name, module in adapted.network.named_modules():
        if isinstance(module, PlainTables):
            yield f"{name}.weight", new


def test_everything_is_adapted_as_fit_does_it(world: tuple[Table, Table, Table]) -> None:
    source, train, valid = world
    teacher = teacher_of(source)
    before = weights(teacher)
    adapted, plain = adapt(teacher, train, valid=valid, fitting=FIT), teacher.extended(train)
    fit(plain, train.take(train.labelled), valid=valid, settings=FIT)
    assert adapted.fingerprint == plain.fingerprint
    assert all(torch.equal(now, before[name]) for name, now in weights(teacher).items())


@pytest.mark.parametrize("changes", OPTIMISERS, ids=str)
def test_only_new_rows_move(world: tuple[Table, Table, Table], changes: dict[str, object]) -> None:
    source, train, valid = world
    teacher, fitting = teacher_of(source), FIT.model_copy(update=changes)
    start = teacher.extended(train)
    adapted = adapt(teacher, train, valid=valid, what="new_rows", fitting=fitting)
    tables = dict(new_rows(teacher, adapted))
    before, now = weights(start), weights(adapted)
    for name in before:
        held = ~tables[name] if name in tables else torch.ones(len(before[name].flatten()), dtype=torch.bool)
        old, found = (side[name] if name in tables else side[name].flatten() for side in (before, now))
        assert torch.equal(old[held], found[held]), name
    for name, new in tables.items():
        moved = (before[name] != now[name]).any(1)
        assert moved[new].float().mean() > 0.5, name


@pytest.mark.parametrize("model", MODELS)
def test_only_the_head_moves(world: tuple[Table, Table, Table], model: str) -> None:
    source, train, valid = world
    teacher = teacher_of(source, model)
    start = teacher.extended(train)
    adapted = adapt(teacher, train, valid=valid, what="head", fitting=FIT)
    head = {id(weights) for weights in adapted.network.head}  # type: ignore[union-attr, operator]
    assert head
    pairs = zip(start.network.named_parameters(), adapted.network.parameters(), strict=True)
    for (name, before), now in pairs:
        assert torch.equal(before, now) == (id(now) not in head), name


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("classes", [1, 3])
def test_every_models_head_reaches_every_logit(model: str, classes: int) -> None:
    source, _ = synthetic.load(seed=0, **WORLD)
    encoder = Encoder.fit(source)
    network = build(model, encoder.spec, arguments={"classes": classes})
    logits = network(encoder.encode(source.take(np.arange(8)))).view(8, -1)
    for k in range(classes):
        gradients = torch.autograd.grad(logits[:, k].sum(), network.head, retain_graph=True)  # type: ignore[arg-type]
        assert any(gradient.abs().sum() > 0 for gradient in gradients)


@pytest.mark.parametrize("what", ["all", "new_rows", "head"])
def test_it_never_ends_worse_than_it_began_and_may_go_on_training(
    world: tuple[Table, Table, Table], what: What
) -> None:
    source, train, valid = world
    teacher, kept = teacher_of(source, trained=True), valid.take(valid.labelled)
    began = logloss(teacher.extended(train).score(kept), kept.labels)
    for rate in (10.0, 3e-3):
        adapted = adapt(teacher, train, valid=valid, what=what, fitting=FIT.model_copy(update={"learning_rate": rate}))
        assert logloss(adapted.score(kept), kept.labels) <= began
    assert all(p.requires_grad for p in adapted.network.parameters())
    again = adapted.copy()
    fit(adapted, train, settings=FIT)
    fit(again, train, settings=FIT)
    assert adapted.fingerprint == again.fingerprint


def test_rows_of_known_ids_are_scored_as_before_where_only_new_rows_are_adapted(
    world: tuple[Table, Table, Table],
) -> None:
    source, train, valid = world
    teacher = teacher_of(source, trained=True)
    adapted = adapt(teacher, train, valid=valid, what="new_rows", fitting=FIT)
    known = source.take(source.numpy("item_id") < 30)
    assert adapted.score(known) == pytest.approx(teacher.score(known), abs=1e-6)
    assert (adapted.score(train) != teacher.score(train)).any()


@pytest.mark.parametrize("what", ["all", "new_rows"])
def test_out_of_fold_labels_are_of_teachers_that_did_not_see_the_row(
    world: tuple[Table, Table, Table], what: What
) -> None:
    source, train, valid = world
    teacher, how = teacher_of(source), {"valid": valid, "fitting": FIT}
    found = out_of_fold_labels(teacher, train, k=2, seed=3, what=what, **how)
    assert found.sample == "out_of_fold"
    masks = folds(train, k=2, seed=3)
    slow = [adapt(teacher, train.with_labels_only(train.labelled & ~mask), what=what, **how) for mask in masks]
    whole = adapt(teacher, train, what=what, **how)
    by_hand = SoftLabels.out_of_fold(whole, slow, masks, train)
    assert (found.logits == by_hand.logits).all()
    assert found.teacher == by_hand.teacher
    clicks = np.where(masks[0], 1 - train.labels, train.labels)
    arrow = train.arrow.set_column(
        train.arrow.column_names.index("click"), "click", [pa.array(clicks, from_pandas=True)]
    )
    other = out_of_fold_labels(teacher, Table(arrow, train.schema), k=2, seed=3, what=what, **how)
    assert (other.logits[masks[0]] == found.logits[masks[0]]).all()
    assert (other.logits[masks[1]] != found.logits[masks[1]]).any()


def test_what_makes_no_sense_is_named(world: tuple[Table, Table, Table]) -> None:
    source, train, valid = world
    teacher = teacher_of(source)
    knowing = teacher.extended(train)
    with pytest.raises(DataError, match="got rows of known ids alone"):
        adapt(knowing, train, valid=valid, what="new_rows", fitting=FIT)
    fused = FIT.model_copy(update={"embedding_backend": "torchrec"})
    with pytest.raises(UsageError, match="only torch's tables"):
        adapt(teacher, train, valid=valid, what="head", fitting=fused)
    with pytest.raises(UsageError, match="'all', 'new_rows' or 'head', got 'tail'"):
        adapt(teacher, train, valid=valid, what="tail", fitting=FIT)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="k folds need"):
        out_of_fold_labels(teacher, train, valid=valid, k=1, fitting=FIT)
