"""Training from prepared tables: as from a Table where both can, resumable, and never on another encoder's ids."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import prepared
import pyarrow as pa
import pytest
import torch

from recdistill import batches as batches_module
from recdistill import windows as windows_module
from recdistill.batches import Batches
from recdistill.datasets import synthetic
from recdistill.distillation import DistillSettings, distill
from recdistill.encoder import Encoder
from recdistill.errors import DataError, Interrupted, UsageError
from recdistill.fit_settings import FitSettings
from recdistill.models import build
from recdistill.prepared_table import PreparedTable
from recdistill.ranker import Ranker
from recdistill.schema import Schema
from recdistill.soft_labels import SoftLabels
from recdistill.splits import keep_labels, split
from recdistill.tables import Table
from recdistill.training import fit

FIT = FitSettings(epochs=3, learning_rate=5e-3, batch_size=128)
LARGE = 1 << 30


@pytest.fixture(scope="module")
def parts() -> tuple[Table, Table]:
    """Rows without lists: theirs are padded to another length in a Table, which changes what chance replaces."""
    _, target = synthetic.load(seed=0, source_rows=500, target_rows=1500, source_users=50, target_users=40, items=30)
    train, valid, _ = split(Table(target.arrow, target.schema.without("genres", "dwell")))
    return keep_labels(train, valid, share=0.6, seed=0)


@pytest.fixture(scope="module")
def encoder(parts: tuple[Table, Table]) -> Encoder:
    return Encoder.fit(parts[0])


@pytest.fixture(scope="module")
def table(parts: tuple[Table, Table], encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> PreparedTable:
    train, valid = parts
    splits = {"train": [train.take(np.arange(400)), train.take(np.arange(400, len(train)))], "valid": [valid]}
    return PreparedTable.read(
        prepared.write(tmp_path_factory.mktemp("prepared") / "made", splits, encoder, group_rows=100)
    )


def ranker(encoder: Encoder, seed: int = 0) -> Ranker:
    return Ranker(encoder, build("deepfm", encoder.spec, seed=seed, arguments={"embedding_dim": 4, "hidden": [8]}))


def same(a: Ranker, b: Ranker) -> bool:
    mine, others = a.network.state_dict(), b.network.state_dict()
    return all(torch.equal(mine[k], others[k]) for k in mine)


class StopAt:
    """Stops a fit after so many steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def step(self, epoch: int, step: int, steps: int, epochs: int, rows: int) -> None:
        self.left -= 1

    def stopped(self) -> bool:
        return self.left == 0


@pytest.mark.parametrize("batch_size", [0, 128])
def test_a_fit_in_memory_is_the_fit_on_the_table(
    parts: tuple[Table, Table], table: PreparedTable, encoder: Encoder, batch_size: int
) -> None:
    settings = FIT.model_copy(update={"batch_size": batch_size})
    made, mine = ranker(encoder), ranker(encoder)
    assert fit(made, parts[0], valid=parts[1], settings=settings) == fit(mine, table, valid=table, settings=settings)
    assert same(made, mine)


def test_a_fit_by_windows_learns_as_well(parts: tuple[Table, Table], table: PreparedTable, encoder: Encoder) -> None:
    made, mine = ranker(encoder), ranker(encoder)
    found = fit(mine, Batches(table, batch_size=128, window_rows=256), valid=table, settings=FIT)
    assert found.score == pytest.approx(fit(made, parts[0], valid=parts[1], settings=FIT).score, abs=0.02)
    assert found.score < found.history[0]["logloss"]


@pytest.mark.parametrize("how", [{"memory": LARGE}, {"window_rows": 300}], ids=["memory", "windowed"])
@pytest.mark.parametrize("stop_at", [1, 7, 13, 19])
def test_a_fit_stopped_at_a_step_continues_bit_for_bit(
    table: PreparedTable, encoder: Encoder, tmp_path: Path, how: dict[str, int], stop_at: int
) -> None:
    batches = Batches(table, batch_size=128, **how)
    whole, cut = ranker(encoder), ranker(encoder)
    fit(whole, batches, valid=table, settings=FIT)
    with pytest.raises(Interrupted, match="continues there"):
        fit(cut, batches, valid=table, settings=FIT, checkpoint=tmp_path / "state", progress=StopAt(stop_at))
    for other in (replace(batches, seed=1), replace(batches, shuffle=False)):
        with pytest.raises(DataError, match="another fit"):
            fit(ranker(encoder), other, valid=table, settings=FIT, checkpoint=tmp_path / "state")
    again = ranker(encoder)
    fit(again, batches, valid=table, settings=FIT, checkpoint=tmp_path / "state")
    assert same(whole, again)


@pytest.mark.parametrize("larger", [False, True], ids=["small table", "larger table"])
@pytest.mark.parametrize("free", [(LARGE, 0), (0, LARGE)], ids=["less is free", "more is free"])
@pytest.mark.parametrize("dealt", [False, True], ids=["table", "batches"])
def test_a_fit_continues_bit_for_bit_where_other_memory_is_free(
    table: PreparedTable,
    encoder: Encoder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    larger: bool,
    free: tuple[int, int],
    dealt: bool,
) -> None:
    if larger:
        monkeypatch.setattr(windows_module, "MEMORY", sum(group.bytes for group in table.groups("train")))

    def continued(ranker: Ranker, memory: int, progress: StopAt | None = None, checkpoint: Path | None = None) -> None:
        monkeypatch.setattr(batches_module, "free_memory", lambda: memory)
        rows = Batches(table, batch_size=128) if dealt else table
        assert Batches(table, batch_size=128).in_memory == (not larger or memory > 0)
        fit(ranker, rows, valid=table, settings=FIT, checkpoint=checkpoint, progress=progress)

    whole, cut, again = ranker(encoder), ranker(encoder), ranker(encoder)
    continued(whole, free[0])
    with pytest.raises(Interrupted, match="continues there"):
        continued(cut, free[0], StopAt(9), tmp_path / "state")
    continued(again, free[1], None, tmp_path / "state")
    assert same(whole, again)


def test_batches_are_ordered_by_their_own_seed(table: PreparedTable, encoder: Encoder) -> None:
    """With nothing else left to chance the seed of the settings changes nothing."""
    settings = FIT.model_copy(update={"unseen_rate": 0.0, "epochs": 1})
    made, mine, other = ranker(encoder), ranker(encoder), ranker(encoder)
    fit(made, Batches(table, batch_size=128), settings=settings)
    fit(mine, Batches(table, batch_size=128), settings=settings.model_copy(update={"seed": 1}))
    fit(other, Batches(table, batch_size=128, seed=1), settings=settings)
    assert same(made, mine)
    assert not same(made, other)


def test_distilling_from_a_prepared_table_is_distilling_from_the_table(
    parts: tuple[Table, Table], table: PreparedTable, encoder: Encoder
) -> None:
    train, valid = parts
    teacher = ranker(encoder, seed=9)
    soft, mine = SoftLabels.from_teacher(teacher, train), SoftLabels.from_teacher(teacher, table)
    assert np.allclose(soft.logits, mine.logits, atol=1e-6)
    assert (soft.row_ids == mine.row_ids).all()
    mine.logits = soft.logits  # scored in other companies they differ in the last bit
    for settings in (
        DistillSettings(alpha=0.4),
        DistillSettings(alpha=0.4, unlabelled=False),
        DistillSettings(alpha=0),
    ):
        a, b, c = ranker(encoder), ranker(encoder), ranker(encoder)
        distill(a, train, soft, valid=valid, settings=settings, fitting=FIT)
        distill(b, table, mine, valid=table, settings=settings, fitting=FIT)
        batches = Batches(table, batch_size=128, memory=LARGE).with_teacher(mine)
        distill(c, batches, None, valid=table, settings=settings, fitting=FIT)
        assert same(a, b)
        assert same(a, c)
    with pytest.raises(ValueError, match="alpha > 0 needs soft labels"):
        distill(ranker(encoder), table, None)


def test_soft_labels_of_a_prepared_table_are_kept_with_it(
    table: PreparedTable, encoder: Encoder, tmp_path: Path
) -> None:
    teacher = ranker(encoder, seed=9)
    soft = SoftLabels.from_teacher(teacher, table)
    soft.save(tmp_path / "soft")
    loaded = SoftLabels.load(tmp_path / "soft", teacher=teacher)
    assert Batches(table).with_teacher(loaded).fingerprint == Batches(table).with_teacher(soft).fingerprint
    of_valid = SoftLabels.from_teacher(teacher, table, split="valid", in_sample=True)
    assert (of_valid.sample, len(of_valid.logits)) == ("in_sample", table.rows["valid"])
    with pytest.raises(DataError, match="soft labels were made for rows"):
        Batches(table).with_teacher(of_valid)


def test_a_ranker_scores_a_prepared_table_group_by_group(
    parts: tuple[Table, Table], table: PreparedTable, encoder: Encoder
) -> None:
    made = ranker(encoder)
    assert np.allclose(made.score(table, split="valid"), made.score(parts[1]), atol=1e-6)
    assert made.score(table).shape == (0,)


def test_rows_of_another_encoder_are_refused(parts: tuple[Table, Table], table: PreparedTable) -> None:
    other = ranker(Encoder.fit(parts[1]))
    message = "was prepared by encoder [0-9a-f]{12}, got encoder [0-9a-f]{12}"
    with pytest.raises(DataError, match=message):
        fit(other, table)
    with pytest.raises(DataError, match=message):
        fit(other, Batches(table))
    with pytest.raises(DataError, match=message):
        fit(other, parts[0], valid=table)
    with pytest.raises(DataError, match=message):
        other.score(table)
    with pytest.raises(DataError, match=message):
        SoftLabels.from_teacher(other, table)


def test_bad_training_is_named(table: PreparedTable, encoder: Encoder) -> None:
    with pytest.raises(UsageError, match=r"batches keep their own size, got batch_size=128 for train.batch_size=64"):
        fit(ranker(encoder), Batches(table, batch_size=64), settings=FIT)
    with pytest.raises(DataError, match="training needs rows, got an empty table"):
        fit(ranker(encoder), Batches(table, "test"))


TOO_FEW: list[tuple[dict[str, Any], str]] = [
    ({"drop_last": True}, "for a whole batch a rank's rows must be at least 4,096, got {0} of the {0} rows in train"),
    ({"world": 9999}, "for a step a rank's rows must be at least 1, got 0 of the {0} rows in train (world=9999, "),
]


@pytest.mark.parametrize(("how", "message"), TOO_FEW)
def test_too_few_rows_for_a_step_are_named(
    table: PreparedTable, encoder: Encoder, how: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=re.escape(message.format(f"{table.rows['train']:,}"))):
        fit(ranker(encoder), Batches(table, **how))


@pytest.mark.parametrize("schema", [prepared.CLICKS, prepared.RATINGS], ids=["clicks", "ratings"])
def test_every_kind_of_feature_is_learnt_from(tmp_path: Path, schema: Schema) -> None:
    """Labels follow the tags; the table is read by windows."""
    rows = prepared.made(600, schema=schema)
    liked = [bool(tags) and "t1" in tags for tags in rows.column("tags").to_pylist()]
    answer = pa.array([3.0 if x else 1.0 for x in liked] if schema.grades else np.array(liked).astype(np.int8))
    name = str(schema.label or schema.rating)
    rows = Table(rows.arrow.set_column(rows.arrow.column_names.index(name), name, answer), schema)
    encoder = prepared.fitted(rows)
    splits = {"train": [rows.take(np.arange(400))], "valid": [rows.take(np.arange(400, 600))]}
    table = PreparedTable.read(prepared.write(tmp_path / "made", splits, encoder, group_rows=50))
    arguments = {"embedding_dim": 4, "classes": schema.classes}
    made = Ranker(encoder, build("deepfm", encoder.spec, seed=0, arguments=arguments))
    settings = FitSettings(epochs=8, learning_rate=2e-2, hidden={"tags": 0.05, "age": 0.2})
    found = fit(made, Batches(table, batch_size=32, window_rows=128), valid=table, settings=settings)
    assert found.score < 0.5 * found.history[0]["logloss"]
    teacher = SoftLabels.from_teacher(made, table)
    student = Ranker(encoder, build("fm", encoder.spec, seed=1, arguments=arguments))
    batches = Batches(table, batch_size=32, window_rows=128).with_teacher(teacher)
    taught = distill(student, batches, None, valid=table, settings=DistillSettings(alpha=1.0), fitting=settings)
    assert taught.score < 0.8 * taught.history[0]["logloss"]
