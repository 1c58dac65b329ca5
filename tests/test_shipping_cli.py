"""The verbs `export` and `score`: what a run ships scores files as it does in torch; what they refuse."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny import Call

from recdistill.label_budget import Cell
from recdistill.ranker import Ranker
from recdistill.run_folder import RunFolder

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


def test_a_run_is_shipped_and_scores_a_file(call: Call, tmp_path: Path) -> None:
    assert call("run", "whole.toml", "--out", "r")[0] == 0
    code, output, errors = call("export", "r", "--out", "student")
    assert (code, errors) == (0, "")
    assert "students/auto/labels-0.5-seed-0 as ONNX:" in output
    assert "test rows score within" in output
    assert "next: recdistill score student ROWS.parquet --out scores.parquet" in output
    run = RunFolder(tmp_path / "r")
    test = run.tables()["test"]
    pq.write_table(test.arrow, tmp_path / "rows.parquet")
    code, output, errors = call("score", "student", "rows.parquet", "--out", "scores.parquet")
    assert (code, errors) == (0, "")
    assert f"{len(test):,} rows are scored in scores.parquet" in output
    found = pq.read_table(tmp_path / "scores.parquet")
    logits = Ranker.load(run.student("auto", Cell(0.5, 0))).score(test)
    assert found["score"].to_numpy() == pytest.approx(1 / (1 + np.exp(-logits)), abs=1e-5)
    assert found["row_id"].to_pylist() == test.row_ids.tolist()

    user = str(test.schema.user)
    given = ("--top", "2", "--by", user, "--keep", "row_id")
    assert call("score", "student", "rows.parquet", "--out", "best.parquet", *given)[0] == 0
    best = pq.read_table(tmp_path / "best.parquet")
    assert best.column_names == ["row_id", user, "score"]
    assert max(np.unique(np.array(best[user].to_pylist()), return_counts=True)[1]) == 2

    strange = test.arrow.drop_columns(user).append_column(user, pa.array(-1 - np.arange(len(test))))
    pq.write_table(strange, tmp_path / "strange.parquet")
    code, output, errors = call("score", "student", "strange.parquet", "--out", "strange_scores.parquet")
    assert (code, errors) == (0, "")
    assert f"Caution: 100 % of {user} are missing or unknown to the student; are they written as" in output
    code, output, errors = call("verify", "student")
    assert (code, "files are as they were written" in output) == (0, True), errors

    for alone in (("--top", "2"), ("--by", user)):
        code, _, errors = call("score", "student", "rows.parquet", "--out", "few.parquet", *alone)
        assert (code, f"--top and --by go together, got only {alone[0]}" in errors) == (2, True), errors

    for given, rule in (
        ((), "student is there already; choose another name or pass --overwrite"),
        (("--labels", "0.2"), "r has labels 0.5 and seeds below 1, got --labels 0.2 --seed 0"),
        (("--arm", "hard_onyl"), "no student of the arm 'hard_onyl', did you mean 'hard_only'?"),
    ):
        code, _, errors = call("export", "r", "--out", "student", *given)
        assert (code, rule in errors) == (2, True), errors
    assert call("export", "r", "--out", "student", "--arm", "hard_only", "--overwrite")[0] == 0

    code, output, errors = call("export", "r", "--out", "small", "--tables", "int8", "--dense", "int8")
    assert (code, errors) == (0, "")
    assert "int8 tables and int8 layers move a logit by at most" in output
    code, _, errors = call("export", "r", "--out", "smaller", "--dense", "int4")
    assert (code, "linear layers are kept as float32 or int8, got 'int4'" in errors) == (2, True), errors


def test_what_is_not_there_is_named(call: Call, tmp_path: Path) -> None:
    assert call("prepare", "tiny.toml", "--out", "r")[0] == 0
    code, _, errors = call("export", "r", "--out", "student")
    assert (code, "is not there yet; run `recdistill distill r` first" in errors) == (2, True), errors
    code, _, errors = call("score", "r", "tiny.toml", "--out", "scores.parquet")
    assert (code, "`recdistill export` makes one" in errors) == (3, True), errors
