"""What a student listens to beyond the one loss: lists, a side head, an adapter, hints; and what it keeps of them."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import prepared
import pytest
import torch
from drawn import SPEC, drawn
from safetensors.torch import load_file

from recdistill.datasets import synthetic
from recdistill.distillation import Blend, DistillSettings, SideBlend, SideOutputs, distill, examples_for
from recdistill.encoder import Encoder
from recdistill.errors import DataError, Interrupted, UsageError
from recdistill.examples import Examples
from recdistill.fit_settings import FitSettings
from recdistill.losses import FOR_CLICKS, FOR_RATINGS, HIDDEN_LOSSES, LOSSES
from recdistill.models import MODELS, build, hidden_width, with_hidden
from recdistill.prepared_table import PreparedTable
from recdistill.ranker import Ranker
from recdistill.soft_labels import SoftLabels
from recdistill.sources import InMemory
from recdistill.splits import keep_labels, split
from recdistill.streams import stream
from recdistill.tables import Table
from recdistill.training import fit

SMALL = {"source_rows": 1000, "target_rows": 900, "source_users": 50, "target_users": 40, "items": 30}
FIT = FitSettings(epochs=2, learning_rate=1e-2, batch_size=128)
DEEP = [name for name in MODELS if name not in ("fm", "lr")]
SIDES: dict[str, dict[str, Any]] = {
    "side": {"head": "side"},
    "adapter": {"adapter": True},
    "side, adapter": {"head": "side", "adapter": True},
    **{name: {"hint": name} for name in HIDDEN_LOSSES},
    "all": {"head": "side", "adapter": True, "hint": "hint"},
}


@pytest.fixture(scope="module")
def parts() -> tuple[Table, Table]:
    _, target = synthetic.load(seed=0, **SMALL)
    train, valid, _ = split(target)
    return keep_labels(train, valid, share=0.6, seed=0)


@pytest.fixture(scope="module")
def soft(parts: tuple[Table, Table]) -> SoftLabels:
    """Of a teacher whose hidden layer is wider than the student's."""
    return SoftLabels.from_teacher(ranker(parts[0], seed=9, hidden=[6]), parts[0], hidden=True)


def ranker(train: Table, seed: int = 0, model: str = "mlp", **arguments: Any) -> Ranker:
    encoder = Encoder.fit(train)
    given = {"hidden": [4], **arguments} if model in ("mlp", "deepfm") else arguments
    return Ranker(encoder, build(model, encoder.spec, seed=seed, arguments=given))


def same(a: Ranker, b: Ranker) -> bool:
    mine, others = a.network.state_dict(), b.network.state_dict()
    return mine.keys() == others.keys() and all(torch.equal(mine[k], others[k]) for k in mine)


def users(table: Table) -> torch.Tensor:
    return torch.from_numpy(np.unique(table.numpy("user_id"), return_inverse=True)[1])


def taught(classes: int = 1, rows: int = 64) -> Examples:
    """Drawn rows, the last quarter of them without a label, the first without a teacher."""
    examples, generator = drawn(SPEC, rows), torch.Generator().manual_seed(5)
    label = torch.randint(0, max(2, classes), (rows,), generator=generator).float()
    label[-rows // 4 :] = math.nan
    teacher = torch.randn((rows,) if classes == 1 else (rows, classes), generator=generator)
    teacher[: rows // 4] = math.nan
    return replace(examples, label=label, teacher=teacher)


def gradients(loss: torch.Tensor, network: torch.nn.Module) -> dict[str, float]:
    """The largest gradient of each weight; 0 where none arrived."""
    network.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    return {n: 0.0 if p.grad is None else float(p.grad.abs().max()) for n, p in network.named_parameters()}


# ---------------------------------------------------------------------------------------------- the control


@pytest.mark.parametrize("told", [*({"loss": name} for name in sorted(FOR_CLICKS)), *SIDES.values()], ids=str)
def test_alpha_zero_is_exactly_the_control(parts: tuple[Table, Table], soft: SoftLabels, told: dict[str, Any]) -> None:
    train, valid = parts
    plain, distilled = ranker(train), ranker(train)
    fitting = FIT.model_copy(update={"epochs": 1})
    fit(plain, train.take(train.labelled), valid=valid, settings=fitting)
    distill(distilled, train, soft, valid=valid, settings=DistillSettings(alpha=0, **told), fitting=fitting)
    assert same(plain, distilled)


@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("told", SIDES.values(), ids=list(SIDES))
def test_evaluation_sees_the_served_logits_alone(told: dict[str, Any], classes: int) -> None:
    examples = replace(taught(classes), hidden=torch.randn(64, 6))
    student = build("mlp", SPEC, arguments={"hidden": [4], "classes": classes})
    outputs = SideOutputs(
        student,
        classes=classes,
        side=told.get("head") == "side",
        adapter=told.get("adapter", False),
        hint=6 if "hint" in told else 0,
    )
    assert torch.equal(outputs.eval()(examples.features), student.eval()(examples.features))
    columns = outputs.train()(examples.features)
    assert columns.shape == (64, sum(width for _, width in outputs.widths))
    assert torch.equal(columns[:, :classes].squeeze(1), student(examples.features))
    assert torch.isfinite(SideBlend(Blend(0.5, 2.0), outputs.widths, told.get("hint"))(columns, examples))


# ------------------------------------------------------------------------------------------ one fit of each


@pytest.mark.parametrize("loss", sorted(FOR_CLICKS))
def test_every_loss_of_clicks_teaches(parts: tuple[Table, Table], soft: SoftLabels, loss: str) -> None:
    train, _ = parts
    student = ranker(train)
    rows = replace(Examples.of(student.encoder, train).with_teacher(soft.logits), lists=users(train))
    objective = Blend(1.0, 2.0, loss)
    before = float(objective(torch.from_numpy(student.score(train)), rows))
    settings = DistillSettings(alpha=1.0, temperature=2.0, loss=loss)
    distill(student, train, soft, settings=settings, fitting=FIT.model_copy(update={"epochs": 4}))
    assert float(objective(torch.from_numpy(student.score(train)), rows)) < before


@pytest.mark.parametrize("loss", sorted(FOR_RATINGS))
def test_every_loss_of_ratings_is_one_of_the_blend(loss: str) -> None:
    examples = taught(classes=4)
    logits = torch.randn(64, 4, generator=torch.Generator().manual_seed(1))
    found = Blend(0.3, 2.0, loss)(logits, examples)
    of_teacher = LOSSES[loss](logits, examples.teacher, where=examples.taught, weight=examples.weight, temperature=2.0)
    assert torch.allclose(found, 0.7 * Blend(0, 1.0)(logits, examples) + 0.3 * of_teacher)


@pytest.mark.parametrize("told", SIDES.values(), ids=list(SIDES))
def test_what_a_student_listened_to_is_not_in_what_it_leaves(
    parts: tuple[Table, Table], soft: SoftLabels, told: dict[str, Any], tmp_path: Path
) -> None:
    train, valid = parts
    student, before = ranker(train), ranker(train)
    settings = DistillSettings(alpha=0.5, **told)
    distill(student, train, soft, valid=valid, settings=settings, fitting=FIT)
    assert type(student.network) is MODELS["mlp"]
    assert not same(student, before)
    student.save(tmp_path / "student")
    assert load_file(tmp_path / "student" / "model.safetensors").keys() == before.network.state_dict().keys()
    assert (Ranker.load(tmp_path / "student").score(valid) == student.score(valid)).all()


@pytest.mark.parametrize("told", [SIDES["all"], {"loss": "margin_mse"}], ids=["side outputs", "lists"])
def test_an_interrupted_fit_goes_on_and_leaves_a_plain_student(
    parts: tuple[Table, Table], soft: SoftLabels, told: dict[str, Any], tmp_path: Path
) -> None:
    train, _ = parts
    settings = DistillSettings(**told)
    whole, cut = ranker(train), ranker(train)
    distill(whole, train, soft, settings=settings, fitting=FIT)
    steps = 0

    class Stop:
        def step(self, epoch: int, step: int, steps_: int, epochs: int, rows: int) -> None:
            nonlocal steps
            steps += 1

        def stopped(self) -> bool:
            return steps == 8

    with pytest.raises(Interrupted):
        distill(cut, train, soft, settings=settings, fitting=FIT, checkpoint=tmp_path / "state", progress=Stop())
    assert type(cut.network) is MODELS["mlp"]
    again = ranker(train)
    distill(again, train, soft, settings=settings, fitting=FIT, checkpoint=tmp_path / "state")
    assert same(whole, again)


@pytest.mark.parametrize("told", [SIDES["all"], {"loss": "listnet_kd"}, {}], ids=["side outputs", "lists", "default"])
def test_rows_that_are_made_once_teach_as_a_table_does(
    parts: tuple[Table, Table], soft: SoftLabels, told: dict[str, Any]
) -> None:
    train, valid = parts
    one, other, settings = ranker(train), ranker(train), DistillSettings(**told)
    distill(one, train, soft, valid=valid, settings=settings, fitting=FIT)
    rows = examples_for(other.encoder, train, soft, settings)
    distill(other, rows, None, valid=valid, settings=settings, fitting=FIT)
    assert same(one, other)


@pytest.mark.parametrize("how", [{"embedding_optimiser": "rowwise_adagrad"}, {"precision": "bfloat16"}], ids=str)
def test_side_outputs_learn_however_a_fit_is_made(
    parts: tuple[Table, Table], soft: SoftLabels, how: dict[str, Any]
) -> None:
    student, fitting = ranker(parts[0]), FIT.model_copy(update=how)
    before = student.fingerprint
    distill(student, parts[0], soft, settings=DistillSettings(**SIDES["all"]), fitting=fitting)
    assert type(student.network) is MODELS["mlp"]
    assert student.fingerprint != before


def test_side_outputs_learn_from_prepared_rows(tmp_path: Path) -> None:
    rows = prepared.made(200, seed=1)
    table = PreparedTable.read(prepared.write(tmp_path / "made", {"train": [rows]}, prepared.fitted(rows)))
    arguments = {"hidden": [4]}
    teacher, student = (Ranker(table.encoder, build("mlp", table.encoder.spec, arguments=arguments)) for _ in "ts")
    soft = SoftLabels.from_teacher(teacher, table, hidden=True)
    assert soft.hidden is not None
    assert soft.hidden.shape == (200, 4)
    told = DistillSettings(head="side", adapter=True)
    distill(student, table, soft, settings=told, fitting=FIT)
    assert type(student.network) is MODELS["mlp"]
    for refused, rule in (({"loss": "listnet_kd"}, "not dealt by list"), ({"hint": "hint"}, "rows in memory")):
        with pytest.raises(UsageError, match=rule):
            distill(student, table, soft, settings=DistillSettings(**refused))


# ------------------------------------------------------------------------------------------- each signal's law


@pytest.mark.parametrize("classes", [1, 3])
def test_the_served_head_hears_labels_alone(classes: int) -> None:
    """Of rows without a label, the side head and the trunk learn, and the served head does not."""
    examples = taught(classes)
    student = build("mlp", SPEC, arguments={"hidden": [4], "classes": classes})
    outputs = SideOutputs(student, classes=classes, side=True).train()
    objective = SideBlend(Blend(0.5, 1.0), outputs.widths)
    nameless = examples.rows(torch.arange(48, 64))
    found = gradients(objective(outputs(nameless.features), nameless), outputs)
    assert {name for name, size in found.items() if size == 0} == {"student.deep.2.weight", "student.deep.2.bias"}
    teacherless = examples.rows(torch.arange(16))
    found = gradients(objective(outputs(teacherless.features), teacherless), outputs)
    assert {name for name, size in found.items() if size == 0} == {"outputs.side.weight", "outputs.side.bias"}


@pytest.mark.parametrize("classes", [1, 3])
def test_a_fresh_adapter_is_the_teacher_and_takes_no_part_in_the_students_learning(classes: int) -> None:
    examples = taught(classes)
    student = build("mlp", SPEC, arguments={"hidden": [4], "classes": classes})
    outputs = SideOutputs(student, classes=classes, adapter=True).train()
    plain, adapted = Blend(0.4, 2.0), SideBlend(Blend(0.4, 2.0), outputs.widths)
    mine = gradients(plain(student(examples.features), examples), student)
    theirs = gradients(adapted(outputs(examples.features), examples), outputs)
    assert {name: theirs[f"student.{name}"] for name in mine} == pytest.approx(mine)
    assert theirs["outputs.adapter.weight"] > 0
    unlabelled = examples.rows(torch.arange(48, 64))
    assert gradients(adapted(outputs(unlabelled.features), unlabelled), outputs)["outputs.adapter.weight"] == 0


def test_an_adapter_finds_the_scale_of_the_labels() -> None:
    """Labels are drawn at σ(z); a teacher that says 3z + 2 is brought back."""
    rows, generator = 4000, torch.Generator().manual_seed(0)
    examples = drawn(SPEC, rows)
    z = torch.randn(rows, generator=generator)
    label = torch.bernoulli(torch.sigmoid(z), generator=generator)
    examples = replace(examples, label=label, teacher=3 * z + 2)
    outputs = SideOutputs(build("mlp", SPEC), classes=1, adapter=True).train()
    optimiser = torch.optim.LBFGS(outputs.outputs.parameters(), max_iter=100)
    objective = SideBlend(Blend(0.0, 1.0), outputs.widths)

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        found = objective(outputs(examples.features), examples)
        found.backward()  # type: ignore[no-untyped-call]
        return found

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    slope, intercept = outputs(examples.features)[:, 1:].detach().mean(0)
    assert 3 * (1 + float(slope)) == pytest.approx(1, abs=0.15)
    assert 2 * (1 + float(slope)) + float(intercept) == pytest.approx(0, abs=0.15)


@pytest.mark.parametrize("hint", HIDDEN_LOSSES)
def test_a_student_with_the_teachers_hidden_layer_has_nothing_to_learn_from_it(hint: str) -> None:
    examples, student = taught(), build("mlp", SPEC, arguments={"hidden": [4]}).train()
    examples = replace(examples, hidden=with_hidden(student, examples.features)[1].detach())
    outputs = SideOutputs(student, classes=1, hint=4).train()
    columns = outputs(examples.features)
    with_hint, without = (SideBlend(Blend(0.5, 1.0), outputs.widths, hint, weight) for weight in (1.0, 0.0))
    found = gradients(with_hint(columns, examples) - without(columns, examples), outputs)
    assert max(found.values()) < 1e-6


@pytest.mark.parametrize("model", DEEP)
def test_every_deep_model_has_a_hidden_layer_that_its_last_layer_reads(parts: tuple[Table, Table], model: str) -> None:
    made = ranker(parts[0], model=model)
    last = made.network.last_layer
    hidden = made.hidden(parts[1])
    assert hidden.shape == (len(parts[1]), hidden_width(made.network))
    moved = made.copy()
    with torch.no_grad():
        moved.network.last_layer.bias += 1.0  # type: ignore[union-attr, operator]
        moved.network.last_layer.weight += 1.0  # type: ignore[union-attr, operator]
    assert isinstance(last, torch.nn.Linear)
    assert np.allclose(moved.score(parts[1]) - made.score(parts[1]), 1 + hidden.sum(1), atol=1e-3)
    assert (made.hidden(parts[1], batch_size=7) == hidden).all() or np.allclose(
        made.hidden(parts[1], batch_size=7), hidden, atol=1e-6
    )


@pytest.mark.parametrize(("model", "arguments"), [("lr", {}), ("fm", {}), ("mlp", {"hidden": []})])
def test_a_model_without_a_hidden_layer_is_refused(
    parts: tuple[Table, Table], soft: SoftLabels, model: str, arguments: dict[str, Any]
) -> None:
    made = ranker(parts[0], model=model, **arguments)
    for told in (SIDES["side"], SIDES["adapter"], SIDES["hint"], SIDES["similarity"]):
        with pytest.raises(UsageError, match="hidden layer"):
            distill(made, parts[0], soft, settings=DistillSettings(**told))
    with pytest.raises(UsageError, match="hidden layer"):
        SoftLabels.from_teacher(made, parts[0], hidden=True)


# ------------------------------------------------------------------------------------------------- rows


def test_lists_are_dealt_whole_and_every_row_once_an_epoch(parts: tuple[Table, Table]) -> None:
    train, _ = parts
    examples = Examples.of(Encoder.fit(train), train)
    examples = replace(examples, weight=torch.arange(len(train)).float(), lists=users(train) * 7 - 3)
    orders = []
    for epoch in (0, 1):
        batches = list(InMemory(examples, 50, seed=3).epoch(epoch))
        assert [len(batch) for batch in batches[:-1]] == [50] * (len(batches) - 1)
        order = torch.cat([batch.weight for batch in batches]).long()
        assert order.sort()[0].tolist() == list(range(len(train)))
        lists = examples.lists[order]  # type: ignore[index]
        runs = int((lists[1:] != lists[:-1]).sum()) + 1
        assert runs == len(lists.unique())
        resumed = list(InMemory(examples, 50, seed=3).epoch(epoch, start=2))
        assert torch.equal(torch.cat([batch.weight for batch in resumed]).long(), order[100:])
        orders.append(order)
    assert not torch.equal(*orders)


def test_without_lists_rows_are_dealt_as_ever(parts: tuple[Table, Table]) -> None:
    train, _ = parts
    examples = replace(Examples.of(Encoder.fit(train), train), weight=torch.arange(len(train)).float())
    order = torch.cat([batch.weight for batch in InMemory(examples, 64, seed=3).epoch(1)]).long()
    assert torch.equal(order, torch.randperm(len(train), generator=stream(3, 1)))


def test_soft_labels_keep_hidden_states(parts: tuple[Table, Table], soft: SoftLabels, tmp_path: Path) -> None:
    train, _ = parts
    soft.save(tmp_path / "soft")
    assert soft.hidden is not None
    assert (SoftLabels.load(tmp_path / "soft").hidden == soft.hidden).all()
    SoftLabels.from_teacher(ranker(train), train).save(tmp_path / "plain")
    assert SoftLabels.load(tmp_path / "plain").hidden is None
    for hidden, rule in ((soft.hidden[1:], "one hidden state per row"), (soft.hidden * np.nan, "finite")):
        with pytest.raises(DataError, match=rule):
            SoftLabels(soft.row_ids, soft.logits, teacher="t", rows_fingerprint="r", hidden=hidden)


# --------------------------------------------------------------------------------------------- refusals


def test_what_cannot_be_heard_is_refused(parts: tuple[Table, Table], soft: SoftLabels) -> None:
    train, _ = parts
    student = ranker(train)
    plain = SoftLabels(soft.row_ids, soft.logits, teacher=soft.teacher, rows_fingerprint=soft.rows_fingerprint)
    told: list[tuple[dict[str, Any], str]] = [
        ({"loss": "listnet"}, "no loss 'listnet'"),
        ({"hint": "hints"}, "no loss 'hints'"),
        ({"loss": "categorical_kd"}, "of clicks is needed"),
        ({"head": "side", "alpha": 1.0}, "alpha must be below 1"),
        ({"hint": "hint"}, "hidden=True"),
    ]
    for settings, rule in told:
        with pytest.raises(UsageError, match=rule):
            distill(student, train, plain, settings=DistillSettings(**settings))
    examples = Examples.of(student.encoder, train).with_teacher(soft.logits)
    with pytest.raises(UsageError, match="Examples with lists"):
        distill(student, examples, None, settings=DistillSettings(loss="margin_mse"))
    alone = replace(examples, lists=torch.arange(len(train)))
    with pytest.raises(DataError, match="lists of one row"):
        distill(student, alone, None, settings=DistillSettings(loss="margin_mse"))
    userless = train.with_schema(replace(train.schema, user=None))
    other = SoftLabels.from_teacher(student, userless)
    with pytest.raises(UsageError, match="without a user column"):
        distill(student, userless, other, settings=DistillSettings(loss="margin_mse"))
    ratings = replace(examples, label=examples.label, teacher=torch.zeros(len(train), 3))
    with pytest.raises(UsageError, match="of ratings is needed"):
        distill(student, ratings, None, settings=DistillSettings(loss="binary_kd"))
