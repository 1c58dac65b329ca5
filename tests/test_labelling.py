"""A prepared table labelled part by part is the table labelled at once; each row once, wherever it was stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import prepared
import pyarrow.parquet as pq
import pytest
from labels import saved, teacher_of

from recdistill.artefacts import MANIFEST
from recdistill.batches import Batches
from recdistill.errors import DataError, UsageError
from recdistill.labelling import Labelling, label_prepared
from recdistill.models import build
from recdistill.preparation import Threads
from recdistill.preparation.workspace import Workspace
from recdistill.prepared_table import PreparedTable
from recdistill.progress import Silence
from recdistill.ranker import Ranker
from recdistill.schema import Schema
from recdistill.soft_labels import SoftLabels


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def made(folder: Path, schema: Schema = prepared.CLICKS) -> PreparedTable:
    """Three parts of training rows, the second of them in no other split, in groups of 16 rows."""
    rows = [prepared.made(n, schema=schema, seed=n, first=1000 * n) for n in (40, 25, 30, 10)]
    splits = {"train": [rows[0], None, rows[1], rows[2]], "valid": [None, rows[3]]}
    return PreparedTable.read(prepared.write(folder, splits, prepared.fitted(rows[0]), group_rows=16))


@pytest.fixture
def table(tmp_path: Path) -> PreparedTable:
    return made(tmp_path / "made")


@pytest.mark.parametrize("schema", [prepared.CLICKS, prepared.RATINGS], ids=["clicks", "ratings"])
@pytest.mark.parametrize("workers", [None, 1, 3])
def test_parts_hold_what_a_teacher_gives_at_once(tmp_path: Path, schema: Schema, workers: int | None) -> None:
    table = made(tmp_path / "made", schema)
    teacher, engine = teacher_of(table), workers and Threads(workers)
    for split, parts in (("train", ["00000", "00002", "00003"]), ("valid", ["00001"])):
        for in_sample in (False, True):
            SoftLabels.from_teacher(teacher, table, split=split, in_sample=in_sample).save(tmp_path / "at_once")
            out = tmp_path / f"{split}-{in_sample}"
            assert label_prepared(teacher, table, out, split=split, in_sample=in_sample, engine=engine) == out
            assert list(content(out)) == [*(f"logits-{k}.parquet" for k in parts), MANIFEST]
            assert saved(out) == saved(tmp_path / "at_once")
            facts = [json.loads((f / MANIFEST).read_text())["facts"] for f in (out, tmp_path / "at_once")]
            assert facts[0] == facts[1]
            assert not out.with_name(f"{out.name}.unfinished").exists()


def test_a_saved_teacher_labels_too_and_batches_join_them(table: PreparedTable, tmp_path: Path) -> None:
    teacher = teacher_of(table)
    teacher.save(tmp_path / "teacher")
    soft = SoftLabels.load(label_prepared(tmp_path / "teacher", table, tmp_path / "soft"), teacher=teacher)
    expected = dict(zip(soft.row_ids.tolist(), soft.logits.tolist(), strict=True))
    batches = Batches(table, batch_size=32, window_rows=64).with_teacher(soft)
    logits = np.concatenate([batch.teacher.numpy() for batch in batches.epoch(0)])
    assert sorted(logits.tolist()) == sorted(expected.values())


def test_labelling_that_was_stopped_labels_each_part_once(
    table: PreparedTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher, whole = teacher_of(table), label_prepared(teacher_of(table), table, tmp_path / "whole")
    label, done, stops = Labelling.__call__, list[str](), [1, 2]

    def counted(self: Labelling, part: Path) -> int:
        if stops and len(done) == stops[0]:
            stops.pop(0)
            raise KeyboardInterrupt
        done.append(part.name)
        return label(self, part)

    monkeypatch.setattr(Labelling, "__call__", counted)
    while stops:
        with pytest.raises(KeyboardInterrupt):
            label_prepared(teacher, table, tmp_path / "soft")
        with pytest.raises(DataError, match="does not exist"):
            SoftLabels.load(tmp_path / "soft")
    assert content(label_prepared(teacher, table, tmp_path / "soft")) == content(whole)
    assert done == [path.name for path in table.parts("train")]


def test_another_teacher_begins_anew(table: PreparedTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recdistill.labelling.finish", lambda *_: pytest.fail("stopped"))
    with pytest.raises(pytest.fail.Exception):
        label_prepared(teacher_of(table, seed=1), table, tmp_path / "soft")
    monkeypatch.undo()
    found = label_prepared(teacher_of(table), table, tmp_path / "soft")
    assert content(found) == content(label_prepared(teacher_of(table), table, tmp_path / "whole"))


def test_what_a_killed_labelling_left_goes_unless_it_is_other_work_or_goes_on(
    table: PreparedTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is killed when all is made, and again while it removes what is left."""
    teacher, out, left = teacher_of(table), tmp_path / "soft", Workspace(tmp_path / "soft.unfinished")
    monkeypatch.setattr(Workspace, "discard", lambda self: None)
    label_prepared(teacher, table, out)
    monkeypatch.undo()
    half_removed = tmp_path / ".soft.unfinished.0123abcd.tmp"
    half_removed.mkdir()
    with left.held():
        label_prepared(teacher, table, out)
        assert left.path.is_dir()
    label_prepared(teacher, table, out)
    assert [path.name for path in tmp_path.glob("*soft*")] == ["soft"]
    with left.held():
        left.begin({"teacher": "another"})
    label_prepared(teacher, table, out)
    assert left.plan == {"teacher": "another"}


class Told(Silence):
    """A board that keeps what it is told."""

    def __init__(self) -> None:
        self.words: list[Any] = []

    def say(self, text: str) -> None:
        self.words.append(text)

    def track(self, stage: str, total: int, unit: str) -> None:
        self.words.append((stage, total, unit))

    def advance(self, amount: int) -> None:
        self.words.append(amount)


def test_a_second_call_does_nothing_and_another_teacher_is_refused(table: PreparedTable, tmp_path: Path) -> None:
    teacher, out, board = teacher_of(table), tmp_path / "soft", Told()
    label_prepared(teacher, table, out, board=board)
    assert board.words == [("labelling", 95, "rows"), 40, 25, 30]
    before, board = content(out), Told()
    label_prepared(teacher, table, out, board=board)
    assert board.words == [f"{out} was made before by the same teacher for the same rows: nothing to do"]
    with pytest.raises(UsageError, match=r"soft was made otherwise: teacher is '.*' there and '.*' here; choose"):
        label_prepared(teacher_of(table, seed=1), table, out)
    with pytest.raises(UsageError, match=r"rows is 95 there and 10 here; rows_fingerprint is .* overwrite it"):
        label_prepared(teacher, table, out, split="valid")
    assert content(out) == before
    label_prepared(teacher_of(table, seed=1), table, out, overwrite=True)
    with pytest.raises(DataError, match="holds labels of teacher"):
        SoftLabels.load(out, teacher=teacher)


def test_bad_labelling_is_named(table: PreparedTable, tmp_path: Path) -> None:
    teacher = teacher_of(table)
    other = prepared.fitted(prepared.made(10, seed=9))
    stranger = Ranker(other, build("fm", other.spec, seed=0, arguments={"embedding_dim": 4}))
    with pytest.raises(DataError, match=r"was prepared by encoder [0-9a-f]{12}, got encoder [0-9a-f]{12}"):
        label_prepared(stranger, table, tmp_path / "soft")
    with pytest.raises(DataError, match="labelling needs rows, got none in 'test' of"):
        label_prepared(teacher, table, tmp_path / "soft", split="test")
    with pytest.raises(UsageError, match="there is no split 'vaild', did you mean 'valid'"):
        label_prepared(teacher, table, tmp_path / "soft", split="vaild")
    next(teacher.network.parameters()).data.fill_(float("nan"))
    with pytest.raises(DataError, match="scores must be finite"):
        label_prepared(teacher, table, tmp_path / "soft")
    assert not (tmp_path / "soft").exists()


def test_labels_that_are_not_whole_are_refused(table: PreparedTable, tmp_path: Path) -> None:
    out = label_prepared(teacher_of(table), table, tmp_path / "soft")
    stored = json.loads((out / MANIFEST).read_text())
    part = stored["files"].pop("logits-00002.parquet")
    (out / MANIFEST).write_text(json.dumps(stored))
    with pytest.raises(DataError, match="must have 95 rows, got 70"):
        SoftLabels.load(out)
    (out / MANIFEST).write_text(json.dumps({**stored, "files": {}}))
    with pytest.raises(DataError, match="must hold logits, got no file"):
        SoftLabels.load(out)
    (out / MANIFEST).write_text(json.dumps({**stored, "files": {"logits-00002.parquet": part}}))
    pq.write_table(pq.read_table(out / "logits-00002.parquet").slice(1), out / "logits-00002.parquet")
    with pytest.raises(DataError, match=r"logits-00002.parquet (must have \d+ bytes|was changed)"):
        SoftLabels.load(out)
