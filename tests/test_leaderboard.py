"""A leaderboard over several runs: its figures are the rankers' own, and other test rows are refused."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny import Call

from recdistill.artefacts import verify
from recdistill.evaluation import compare, measure
from recdistill.label_budget import Cell
from recdistill.metrics import holm
from recdistill.ranker import Ranker
from recdistill.report import leader_lines, leader_page
from recdistill.run_folder import RunFolder

DEFAULT = {"hard_only", "source_finetuned", "adapted_teacher"}
OTHER = ("--set", "student.arguments.hidden=[4]")


def test_a_leaderboard_is_what_the_rankers_say_of_the_test_rows(call: Call, tmp_path: Path) -> None:
    """Two runs of the same rows with other students; then one of them compared with its copy."""
    assert call("run", "tiny.toml", "--out", "a")[0] == 0
    assert call("run", "tiny.toml", "--out", "b", *OTHER, "--set", "labels=[0.5, 0.75]", "--set", "seeds=2")[0] == 0
    code, output, errors = call("report", "a", "b", "--out", "board", "--against", "b:source_finetuned")
    assert (code, errors) == (0, "")
    result = json.loads((tmp_path / "board/leaderboard.json").read_text())
    assert verify(tmp_path / "board") == 2
    half, more = result["shares"]
    assert [half["labels"], more["labels"]] == [0.5, 0.75]
    assert set(half["rankers"]) == {f"{run}:{name}" for run in "ab" for name in DEFAULT}
    assert set(more["rankers"]) == {f"b:{name}" for name in DEFAULT}, "a run stands where it has the share"
    assert (half["seeds"], more["seeds"]) == ([0], [0, 1]), "the seeds that all have"
    assert half["against"] == more["against"] == "b:source_finetuned"

    cell, test = Cell(0.5, 0), RunFolder(tmp_path / "a").tables()["test"]
    scores = {
        f"{run}:{name}": Ranker.load(folder.student(name, cell)).score(test).astype(np.float64)
        for run in "ab"
        for folder in [RunFolder(tmp_path / run)]
        for name in ("hard_only", "source_finetuned")
    }
    for comparison in half["comparisons"]:
        if comparison["a"] in scores:
            again = compare(scores[comparison["a"]], scores["b:source_finetuned"], test, "auc")
            assert {name: comparison[name] for name in again} == again
    for name, of in scores.items():
        assert half["rankers"][name]["metrics"]["auc"] == pytest.approx(measure(of, test).metrics["auc"], abs=1e-12)
    reached = [entry["metrics"]["auc"] for entry in half["rankers"].values()]
    assert reached == sorted(reached, reverse=True), "best first"
    comparisons = half["comparisons"] + more["comparisons"]
    assert [c["p_holm"] for c in comparisons] == pytest.approx(holm([c["p"] for c in comparisons]))

    assert output.index("50 % of the labels: best of 6 rankers is ") < output.index(
        "AUC minus b:source_finetuned's [95 %]"
    )
    page = (tmp_path / "board/leaderboard.md").read_text()
    assert page == leader_page(result)
    assert result["test"]["fingerprint"] in page
    assert "In a share only the seeds count that all runs with this share have." in page
    assert "board holds a leaderboard" in call("report", "a", "b", "--out", "board")[2]
    assert call("report", "a", "b", "--out", "a", "--overwrite")[0] == 2, "a run is never replaced"

    shutil.copytree(tmp_path / "a", tmp_path / "other" / "a")
    assert call("report", "a", "other/a", "--all", "--out", "board", "--overwrite")[0] == 0
    (share,) = json.loads((tmp_path / "board/leaderboard.json").read_text())["shares"]
    assert {entry["run"] for entry in share["rankers"].values()} == {"a", "other/a"}
    values = {name: entry["metrics"] for name, entry in share["rankers"].items()}
    assert "a:adapted_all" in values
    assert all(values[name] == values[f"other/{name}"] for name in values if name.startswith("a:"))
    (same,) = (c for c in share["comparisons"] if c["a"] == "other/a:hard_only")
    assert (same["delta"], same["low"], same["high"], same["p_holm"]) == (0, 0, 0, 1)

    for arguments, rule in (
        (("a", "a"), "at least two runs, each once"),
        (("a", "--all"), "--all is for the leaderboard of several runs"),
        (("a", "b", "--against", "hard_only"), "RUN:RANKER, got 'hard_only'"),
        (("a", "b", "--against", "c:hard_only"), "no run 'c'"),
        (("a", "b", "--against", "a:hard_onyl"), "did you mean 'hard_only'"),
        (("a", "none"), "none holds no run"),
    ):
        code, _, errors = call("report", *arguments)
        assert code == 2
        assert rule in errors


def test_runs_of_other_test_rows_are_refused(call: Call, tmp_path: Path) -> None:
    """Before anything is scored, and even before the runs are finished; the reason names both."""
    for name, given in (("a", []), ("rows", ["--set", "split.by=time"]), ("same", OTHER)):
        assert call("prepare", "tiny.toml", "--out", name, *given)[0] == 0
    code, _, errors = call("report", "a", "rows")
    assert code == 3
    prints = [RunFolder(tmp_path / name).tables()["test"].fingerprint[:16] for name in ("a", "rows")]
    assert all(fingerprint in errors for fingerprint in prints)
    assert "split.by is 'random' there and 'time' here (there is a, here rows)" in errors
    code, _, errors = call("report", "a", "same")
    assert code == 2
    assert "run `recdistill teacher a` first" in errors

    run = RunFolder(tmp_path / "same")
    test = run.tables()["test"]
    test.take(np.arange(10)).write(run.prepared("test"))
    assert "their settings agree, so the files have changed" in call("report", "a", "same")[2]
    fewer = replace(test.schema, number=tuple(name for name in test.schema.number if name != "price"))
    test.with_schema(fewer).write(run.prepared("test"))
    assert re.search(r"the same columns, got .*: number is \[.*'price'", call("report", "a", "same")[2])
    stars = test.arrow.append_column("stars", [np.resize([1.0, 2.0], len(test))])
    rated = replace(test.schema, label=None, truth=None, rating="stars", grades=(1.0, 2.0))
    type(test)(stars, rated).write(run.prepared("test"))
    assert "the same task, got auc as the headline of a and rmse of same" in call("report", "a", "same")[2]


def test_a_teacher_that_leads_is_not_taken_for_what_can_be_shipped() -> None:
    entry = {"run": "a", "bytes": 10, "shipped": [], "metrics": {"auc": 0.6, "logloss": 0.5}}
    led, chosen = ({**entry, "metrics": {"auc": auc, "logloss": 0.5}} for auc in (0.8, 0.7))
    rankers = {
        "a:adapted_teacher": {**led, "role": "teacher"},
        "a:auto": {**chosen, "role": "student", "ranker": "auto", "shipped": ["adapted_all"]},
        "a:hard_only": {**entry, "role": "control"},
    }
    found = {"b": "a:hard_only", "metric": "auc", "method": "delong"}
    comparisons = [
        {**found, "a": "a:adapted_teacher", "delta": 0.2, "low": 0.1, "high": 0.3, "p_holm": 0.001},
        {**found, "a": "a:auto", "delta": 0.1, "low": 0.01, "high": 0.19, "p_holm": 0.06},
    ]
    share = {"labels": 0.1, "seeds": [0], "against": "a:hard_only", "rankers": rankers, "comparisons": comparisons}
    first, second = leader_lines({"metric": "auc", "shares": [share]})
    assert first.startswith("10 % of the labels: best of 3 rankers is a:adapted_teacher (teacher) with AUC 0.8000, ")
    assert "significantly better than a:hard_only: +0.2000 [+0.1000, +0.3000], p 0.001 after Holm." in first
    assert second.startswith("Best student: a:auto (student, shipped: adapted_all) with AUC 0.7000, not shown to be ")
