"""Preparation at its edges: sizes that just fit, columns that are not there, folders that are somebody else's."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import clicks
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recdistill.artefacts import read_json
from recdistill.encoder_settings import EncoderSettings
from recdistill.errors import DataError, UsageError
from recdistill.preparation import PrepareSettings, SplitBy, prepare
from recdistill.prepared_table import PreparedTable
from recdistill.readers import chunks
from recdistill.schema import Schema

PLAIN = Schema(label="click", categorical=("item",))
ALL = PrepareSettings(split=SplitBy(by="none"))


def written(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    rows = list(rows)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


def first(folder: Path) -> PreparedTable:
    raw = clicks.write(folder / "a.csv", seed=1)
    return prepare(raw, folder / "a", schema=clicks.SCHEMA, settings=clicks.settings())


def five_items(folder: Path) -> PreparedTable:
    raw = written(folder / "a.csv", ({"click": k % 2, "item": f"i{k % 5}"} for k in range(60)))
    return prepare(raw, folder / "a", schema=PLAIN, settings=ALL)


@pytest.mark.parametrize("absent", [False, True])
@pytest.mark.parametrize("size", [1, 255, 256, 257, 65_535, 65_536, 65_537])
def test_a_chunk_may_have_any_number_of_values(size: int, absent: bool, tmp_path: Path) -> None:
    rows = ({"click": k % 2, "item": f"v{k}" if k < size else ""} for k in range(size + absent + (size == 1)))
    made = prepare(written(tmp_path / "rows.csv", rows), tmp_path / "out", schema=PLAIN, settings=ALL)
    ids = made.examples("train").features.ids[:, 0].numpy()
    assert len(np.unique(ids[:size])) == size
    assert (ids[:size] > 0).all()
    assert (ids[size:] == 0).all()


def test_privileged_columns_that_the_target_lacks_are_missing_to_the_teachers_encoder(tmp_path: Path) -> None:
    schema = replace(
        PLAIN, categorical=("item", "mood"), multi=("tags",), number=("dwell",), privileged=("mood", "tags", "dwell")
    )
    source = written(
        tmp_path / "source.csv",
        ({"click": k % 2, "item": f"i{k % 7}", "mood": "ab"[k % 2], "tags": "x|y", "dwell": k} for k in range(60)),
    )
    target = written(tmp_path / "target.csv", ({"click": k % 3 % 2, "item": f"i{k % 9}"} for k in range(50)))
    teacher = prepare(
        source, tmp_path / "teacher", schema=replace(schema), settings=ALL.model_copy(update={"privileged": True})
    )
    seen = prepare(target, tmp_path / "seen", schema=schema, settings=ALL, encoder=teacher)
    found = seen.examples("train").features
    assert found.ids[:, 1].tolist() == [0] * 50
    assert found.multi[0].tolist() == [[0]] * 50
    assert found.number[:, 0].tolist() == [0.0] * 50
    words = [one["words"] for one in read_json(seen.path / "report.json")["findings"]]
    assert "dwell is privileged and missing in all rows: whoever learnt from it scores as if it were unseen" in words


def test_wide_parquet_rows_are_read_a_few_at_a_time(tmp_path: Path) -> None:
    wide = pa.FixedSizeListArray.from_arrays(pa.array(np.random.default_rng(0).normal(size=4000 * 64)), 64)
    table = pa.table({"click": np.arange(4000) % 2, "text": wide})
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=1000)
    found = list(chunks([tmp_path / "rows.parquet"], chunk_bytes=256 << 10))
    assert sum(chunk.rows for chunk in found) == 4000
    assert max(chunk.rows for chunk in found) <= 2 * (256 << 10) / (64 * 8)
    schema = Schema(label="click", vector=("text",))
    settings = ALL.model_copy(update={"chunk_bytes": 256 << 10})
    made = prepare(tmp_path / "rows.parquet", tmp_path / "out", schema=schema, settings=settings)
    assert len(made.parts("train")) == len(found) > 4


def test_a_folder_where_unfinished_work_would_go_is_left_alone(tmp_path: Path) -> None:
    raw = clicks.write(tmp_path / "clicks.csv", rows=100)
    mine = tmp_path / "out.unfinished"
    mine.mkdir()
    (mine / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"out\.unfinished is where unfinished work would go, and holds"):
        prepare(raw, tmp_path / "out", schema=clicks.SCHEMA, settings=clicks.settings())
    assert (mine / "thesis.txt").read_text() == "mine"


def test_what_a_user_put_beside_the_parts_is_not_overwritten(tmp_path: Path) -> None:
    raw, out = clicks.write(tmp_path / "clicks.csv", rows=300), tmp_path / "out"
    prepare(raw, out, schema=clicks.SCHEMA, settings=clicks.settings())
    (out / "notes.md").write_text("mine")
    prepare(raw, out, schema=clicks.SCHEMA, settings=clicks.settings())
    with pytest.raises(UsageError, match=r"holds notes\.md, which is not of the prepared table"):
        prepare(raw, out, schema=clicks.SCHEMA, settings=clicks.settings(), overwrite=True)


def test_a_role_that_does_not_fit_throws_no_work_away(tmp_path: Path, monkeypatch: Any) -> None:
    raw = clicks.write(tmp_path / "clicks.csv", rows=300)
    monkeypatch.setattr("recdistill.preparation.preparing.measured", lambda *_: pytest.fail("stopped"))
    with pytest.raises(pytest.fail.Exception):
        prepare(raw, tmp_path / "out", schema=clicks.SCHEMA, settings=clicks.settings())
    staged = sorted((tmp_path / "out.unfinished" / "rows").iterdir())
    with pytest.raises(UsageError, match="has no column 'zz'"):
        prepare(raw, tmp_path / "out", schema=replace(clicks.SCHEMA, item="zz"), settings=clicks.settings())
    assert sorted((tmp_path / "out.unfinished" / "rows").iterdir()) == staged != []


def test_a_file_of_the_same_name_in_another_place_is_looked_at(tmp_path: Path) -> None:
    files = []
    for folder, seed in (("a", 0), ("b", 1)):
        (tmp_path / folder).mkdir()
        files.append(clicks.write(tmp_path / folder / "clicks.csv", rows=300, seed=seed))
    size = min(file.stat().st_size for file in files)
    for file in files:  # of one size and time
        text = file.read_bytes()
        file.write_bytes(text[: text[:size].rfind(b"\n") + 1])
        os.utime(file, ns=(10**18, 10**18))
    prepare(files[0], tmp_path / "out", schema=clicks.SCHEMA, settings=clicks.settings())
    with pytest.raises(UsageError, match=r"has changed since|was prepared otherwise"):
        prepare(files[1], tmp_path / "out", schema=clicks.SCHEMA, settings=clicks.settings())


def test_a_table_given_in_place_of_its_encoder_is_compared(tmp_path: Path) -> None:
    one = first(tmp_path)
    raw = clicks.write(tmp_path / "b.csv", seed=2)
    prepare(raw, tmp_path / "b", schema=clicks.SCHEMA, settings=clicks.settings(), encoder=one.encoder)
    with pytest.raises(UsageError, match="beside_table"):
        prepare(raw, tmp_path / "b", schema=clicks.SCHEMA, settings=clicks.settings(), encoder=one)


def test_a_table_by_another_writer_need_not_be_measured(tmp_path: Path) -> None:
    one = first(tmp_path)
    manifest = read_json(one.path / "manifest.json")
    del manifest["files"]["statistics.json"], manifest["facts"]["contents"]
    (one.path / "statistics.json").unlink()
    (one.path / "manifest.json").write_text(json.dumps(manifest))
    raw = clicks.write(tmp_path / "b.csv", seed=2)
    other = PreparedTable.read(one.path)
    made = prepare(raw, tmp_path / "b", schema=clicks.SCHEMA, settings=clicks.settings(), encoder=other)
    words = "\n".join(one["words"] for one in read_json(made.path / "report.json")["findings"])
    assert "has no statistics.json: drift from it is not known" in words
    assert "rows were not compared with those of" in words


def test_lists_of_nothing_are_empty(tmp_path: Path) -> None:
    schema = Schema(label="click", multi=("tags",))
    tags = ["|", " | ", "", "a||b", "a|"] * 10
    raw = written(tmp_path / "rows.csv", ({"click": k % 2, "tags": tag} for k, tag in enumerate(tags)))
    made = prepare(raw, tmp_path / "out", schema=schema, settings=ALL)
    assert made.encoder.columns["tags"][1].values.to_pylist() == ["a", "b"]


@pytest.mark.parametrize("name", ["_fingerprint", "_split"])
def test_names_of_the_workspace_are_reserved(name: str, tmp_path: Path) -> None:
    raw = written(tmp_path / "rows.csv", ({"click": k % 2, name: k} for k in range(20)))
    with pytest.raises(DataError, match=f"got a feature '{name}'"):
        prepare(raw, tmp_path / "out", schema=Schema(label="click", number=(name,)), settings=ALL)


def test_rows_are_chosen_by_what_can_be_written_down(tmp_path: Path) -> None:
    raw = clicks.write(tmp_path / "clicks.csv", rows=100)
    for name in ("at", "tags"):
        with pytest.raises(UsageError, match=f"rows are chosen by columns of one id or number, got '{name}'"):
            prepare(raw, tmp_path / "out", schema=clicks.SCHEMA, settings=clicks.settings(without={name: ["x"]}))
    with pytest.raises(DataError, match=r"must have rows to prepare, got none of 100 with \{'country': \('AT',\)\}"):
        prepare(raw, tmp_path / "out", schema=clicks.SCHEMA, settings=clicks.settings(only={"country": ["AT"]}))


def test_numbers_too_large_to_scale_are_named(tmp_path: Path) -> None:
    raw = written(tmp_path / "rows.csv", ({"click": k % 2, "x": 1e200 if k == 7 else k} for k in range(20)))
    with pytest.raises(DataError, match=r"must be small enough to square, got 1e\+200 in 'x'"):
        prepare(raw, tmp_path / "out", schema=Schema(label="click", number=("x",)), settings=ALL)


def test_a_constant_number_is_told(tmp_path: Path) -> None:
    raw = written(tmp_path / "rows.csv", ({"click": k % 2, "item": f"i{k % 5}", "x": 1.0} for k in range(60)))
    made = prepare(raw, tmp_path / "out", schema=replace(PLAIN, number=("x",)), settings=ALL)
    words = [one["words"] for one in read_json(made.path / "report.json")["findings"]]
    assert "x is the same in all of the training rows" in words


def test_ids_in_another_spelling_are_told(tmp_path: Path) -> None:
    one = five_items(tmp_path)
    raw = written(tmp_path / "b.csv", ({"click": k % 2, "item": f"I{k % 5}"} for k in range(60)))
    made = prepare(raw, tmp_path / "b", schema=PLAIN, settings=ALL, encoder=one)
    words = "\n".join(one["words"] for one in read_json(made.path / "report.json")["findings"])
    assert "item: 5 of its 5 ids are in the source in another spelling" in words


def test_rows_without_labels_may_be_prepared_for_a_teacher(tmp_path: Path) -> None:
    one = five_items(tmp_path)
    raw = written(tmp_path / "b.csv", ({"click": "", "item": f"i{k % 5}"} for k in range(60)))
    assert prepare(raw, tmp_path / "b", schema=PLAIN, settings=ALL, encoder=one.encoder).rows["train"] == 60
    with pytest.raises(DataError, match="needs at least two classes among its labels, got none in 60 rows"):
        prepare(raw, tmp_path / "c", schema=PLAIN, settings=ALL)


def test_a_vocabulary_has_its_largest_size(tmp_path: Path) -> None:
    raw = written(tmp_path / "rows.csv", ({"click": k % 2, "item": f"i{k}"} for k in range(60)))
    settings = ALL.model_copy(update={"encoder": EncoderSettings(max_vocabulary=59)})
    made = prepare(raw, tmp_path / "out", schema=PLAIN, settings=settings)
    assert made.encoder.spec.categorical == (("item", 60),)
    words = [one["words"] for one in read_json(made.path / "report.json")["findings"]]
    assert "item has 60 values and is hashed to 59 buckets" in words


def test_a_column_without_values_is_wrong_only_where_an_encoder_is_fitted_on_it(tmp_path: Path) -> None:
    schema = replace(PLAIN, number=("price",))
    one, two = (
        written(tmp_path / f"{name}.csv", ({"click": k % 2, "item": f"i{k % 5}", "price": price} for k in range(60)))
        for name, price in (("a", 1.5), ("b", ""))
    )
    with pytest.raises(DataError, match="got 'price' missing in all of"):
        prepare(two, tmp_path / "none", schema=schema, settings=ALL)
    teacher = prepare(one, tmp_path / "a", schema=schema, settings=ALL)
    made = prepare(two, tmp_path / "b", schema=schema, settings=ALL, encoder=teacher)
    assert made.examples("train").features.number.eq(0).all()
    assert any("price" in one["words"] for one in read_json(made.path / "report.json")["findings"])
