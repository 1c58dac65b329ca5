"""Runs in other situations than a source with a model: scores only, privileged columns."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tiny import Call

from recdistill.datasets import synthetic
from recdistill.full_ranking import rank_all
from recdistill.label_budget import Cell
from recdistill.metrics import auc
from recdistill.ranker import Ranker
from recdistill.run_folder import RunFolder
from recdistill.soft_labels import SoftLabels
from recdistill.tables import Table

CELL = Cell(0.5, 0)
SCORES = ("--set", "teacher.scores=probability", "--set", "data.source=false")
SYSTEM = ("--set", "data.arguments.target_has=['system_score']")
DWELL = ("--set", "data.arguments.target_has=['dwell']")


def test_scores_alone_are_distilled_without_source_rows(call: Call, tmp_path: Path) -> None:
    code, output, errors = call("run", "scoring.toml", "--out", "r", *SCORES, *SYSTEM)
    assert (code, errors) == (0, "")
    result = json.loads((tmp_path / "r/report/report.json").read_text())
    taught = {f"{teacher}_{rows}" for teacher in ("scores", "calibrated") for rows in ("labelled", "all")}
    warm = {f"{name}_warm" for name in taught}
    teachers = {"given_scores", "calibrated_scores"}
    assert set(result["rankers"]) == {"hard_only", *teachers, *taught, *warm, "chosen", "best_possible"}
    assert {c["b"] for c in result["comparisons"]} == {"hard_only", *teachers}
    assert "source" not in result["data"]
    assert result["source"] == []
    assert "Distillation: +0." in output
    assert "source_finetuned" not in output
    page = (tmp_path / "r/report/report.md").read_text()
    assert "There are no source rows: the teacher is a column of scores." in page

    run = RunFolder(tmp_path / "r")
    train, _ = run.labelled(CELL)
    scores = train.numpy("system_score")
    given = SoftLabels.load(run.soft_labels("given_scores", CELL)).for_table(train)
    assert np.allclose(given, np.log(scores / (1 - scores)), atol=1e-5)
    calibrated = SoftLabels.load(run.soft_labels("calibrated_scores", CELL)).for_table(train)
    # The scores come from a market with more clicks; calibrated, they have the target's base rate.
    rate = train.labels[train.labelled].mean()
    assert (1 / (1 + np.exp(-calibrated[train.labelled]))).mean() == pytest.approx(rate, abs=0.02)
    assert (1 / (1 + np.exp(-given[train.labelled]))).mean() > rate + 0.05
    of = result["rankers"]
    assert of["given_scores"]["metrics"]["auc"] == pytest.approx(of["calibrated_scores"]["metrics"]["auc"], abs=1e-6)
    assert of["calibrated_scores"]["metrics"]["logloss"] < of["given_scores"]["metrics"]["logloss"]
    code, output, errors = call("verify", "r")
    assert (code, errors) == (0, "")
    assert "not finished" not in output


def test_scores_beside_source_rows_keep_the_strong_control(call: Call, tmp_path: Path) -> None:
    assert call("run", "scoring.toml", "--out", "r", *SCORES[:2], *SYSTEM)[0] == 0
    result = json.loads((tmp_path / "r/report/report.json").read_text())
    assert {"given_scores", "source_finetuned", "scores_all_warm"} <= set(result["rankers"])
    assert list(result["source"][0]) == ["seed", "source_student"]


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        (SCORES, "a column with the role score, got score=None"),
        (SCORES[2:], "a teacher model needs source rows, got none"),
        ((*SCORES[2:], *SYSTEM), "needs source rows (or teacher.scores, for the column 'system_score')"),
        (("--set", "teacher.scores=percent"), "'probability' or 'logit'"),
        (("--set", "data.arguments.target_has=['dwel']"), "did you mean 'dwell'"),
    ],
)
def test_what_the_teacher_needs_is_asked_for(call: Call, given: tuple[str, ...], rule: str) -> None:
    code, _, errors = call("run", "scoring.toml", "--out", "r", *given)
    assert code == 2
    assert rule in errors


def test_privileged_columns_reach_the_teacher_and_never_a_student(call: Call, tmp_path: Path) -> None:
    assert call("run", "tiny.toml", "--out", "r", *DWELL)[0] == 0
    run = RunFolder(tmp_path / "r")
    assert run.privileged == {"dwell": True}
    teacher = Ranker.load(run.pretrained("source_teacher", 0))
    assert "dwell" in teacher.encoder.columns
    assert "dwell" in Ranker.load(run.adapted(CELL, "whole")).encoder.columns
    students = [run.pretrained("source_student", 0), *(run.student(name, CELL) for name in run.arms(0.5))]
    assert not any("dwell" in Ranker.load(folder).encoder.columns for folder in students)
    result = json.loads((tmp_path / "r/report/report.json").read_text())
    of = {name: entry["metrics"]["auc"] for name, entry in result["rankers"].items()}
    assert of["source_teacher"] > of["chosen"] + 0.02


def test_a_column_of_the_source_alone_is_used_only_when_asked_for(call: Call, tmp_path: Path) -> None:
    assert call("prepare", "tiny.toml", "--out", "r", "--set", "teacher.hidden=0.5")[0] == 0
    run = RunFolder(tmp_path / "r")
    assert run.privileged == {"dwell": False}
    assert call("teacher", "r")[0] == 0
    teacher = Ranker.load(run.pretrained("source_teacher", 0))
    source, target = synthetic.load(**run.config.data.arguments)
    assert "dwell" in teacher.encoder.columns
    # It learnt from the column, and is of use without it.
    assert auc(teacher.score(source), source.labels) > auc(teacher.score(target), target.labels) > 0.5
    assert call("prepare", "tiny.toml", "--out", "s")[0] == 0
    assert call("teacher", "s")[0] == 0
    without = Ranker.load(RunFolder(tmp_path / "s").pretrained("source_teacher", 0))
    assert "dwell" not in without.encoder.columns


@pytest.mark.parametrize(("protocol", "name"), [("full", "full"), ("sampled", "sampled-5")])
def test_unseen_items_are_ranked_beside_the_pointwise_metrics(
    call: Call, tmp_path: Path, protocol: str, name: str
) -> None:
    given = ("--set", f"ranking.protocol={protocol}", "--set", "ranking.negatives=5", "--set", "ranking.users=10")
    assert call("run", "tiny.toml", "--out", "r", *given)[0] == 0
    result = json.loads((tmp_path / "r/report/report.json").read_text())
    ranking = result["pooled"][0]["ranking"]
    assert (ranking["protocol"], ranking["biased"], ranking["users"]) == (name, protocol == "sampled", 10)
    assert list(ranking["rankers"]) == ["source_teacher", "adapted_teacher", "hard_only", "source_finetuned", "chosen"]
    assert {(c["a"], c["b"], c["metric"]) for c in ranking["comparisons"]} == {
        ("chosen", control, f"{name}:{metric}")
        for control in ("hard_only", "source_finetuned")
        for metric in ("ndcg@10", "recall@10", "mrr")
    }
    run = RunFolder(tmp_path / "r")
    tables = run.tables()
    again = rank_all(
        Ranker.load(run.student("hard_only", CELL)),
        tables["test"],
        seen=(tables["train"], tables["valid"]),
        users=10,
        sampled=5 if protocol == "sampled" else None,
    )
    assert ranking["rankers"]["hard_only"] == again.metrics
    page = (tmp_path / "r/report/report.md").read_text()
    assert f"Ranking of unseen items ({name}): each of 10 test users" in page
    assert ("a biased estimate" in page) == (protocol == "sampled")


def test_with_all_labels_there_may_still_be_rows_without(call: Call, tmp_path: Path) -> None:
    unlabelled(call, tmp_path, "random")
    run = RunFolder(tmp_path / "random")
    assert {"source_all", "adapted_all_warm"} <= set(run.arms(1.0))
    assert call("prepare", "tiny.toml", "--out", "whole")[0] == 0
    assert not any("all" in name for name in RunFolder(tmp_path / "whole").arms(1.0))


def unlabelled(call: Call, tmp_path: Path, by: str) -> dict[str, Table]:
    """The parts of a target of which every third label is missing."""
    source, target = synthetic.load(seed=0, source_rows=3000, target_rows=2000, source_users=100, target_users=60)
    target = target.with_labels_only(np.arange(len(target)) % 3 > 0)
    for name, table in (("source", source), ("target", target)):
        pq.write_table(table.arrow, tmp_path / f"{name}.parquet")
    roles = {k: v for k, v in target.schema.to_dict().items() if k not in ("truth", "row_id")}
    schema = ", ".join(f"{role} = {json.dumps(value)}" for role, value in roles.items())
    files = f'source = "source.parquet", target = "target.parquet", schema = {{{schema}}}'
    given = ("--set", "data.name=files", "--set", "data.root=.", "--set", f"data.arguments={{{files}}}")
    assert call("prepare", "distilling.toml", "--out", by, *given, "--set", f"split.by={by}")[0] == 0
    return RunFolder(tmp_path / by).tables()


@pytest.mark.parametrize("by", ["random", "time", "user"])
def test_rows_without_a_label_keep_to_their_part(call: Call, tmp_path: Path, by: str) -> None:
    tables = unlabelled(call, tmp_path, by)
    train, valid, test = (tables[part] for part in ("train", "valid", "test"))
    assert valid.labelled.all()
    assert test.labelled.all()
    assert 0.2 < (~train.labelled).mean() < 0.45
    if by == "user":
        assert not set(train.numpy("user_id")) & set(test.numpy("user_id"))
    if by == "time":
        assert train.numpy("time").max() < test.numpy("time").min()


@pytest.mark.parametrize("by", ["time", "user", "position", "last"])
def test_every_split_ends_in_a_report(call: Call, tmp_path: Path, by: str) -> None:
    assert (
        call("run", "tiny.toml", "--out", "r", "--set", f"split.by={by}", "--set", "data.arguments.target_users=150")[0]
        == 0
    )
    tables = RunFolder(tmp_path / "r").tables()
    users = {part: set(tables[part].numpy("user_id").tolist()) for part in ("train", "valid", "test")}
    if by == "user":
        assert not users["train"] & users["test"]
        assert not users["valid"] & users["test"]
    if by == "last":
        times = {
            part: dict(zip(tables[part].numpy("user_id"), tables[part].numpy("time"), strict=True)) for part in users
        }
        assert len(tables["test"]) == len(users["test"])
        assert all(times["valid"][user] <= time for user, time in times["test"].items())
    if by in ("time", "position"):  # the synthetic target's rows are in the order of time
        assert tables["train"].numpy("time").max() <= tables["test"].numpy("time").min()
