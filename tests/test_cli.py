"""The command line: one run from nothing to a report, stage by stage, resumed, verified; and what it refuses."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recdistill import cli
from recdistill.arms import ARMS, arms_at
from recdistill.artefacts import manifest
from recdistill.configuration import Config
from recdistill.run_folder import Cell, RunFolder
from recdistill.settings import fill

TINY = """
labels = [0.5]
folds = 2
[data.arguments]
source_rows = 3000
target_rows = 2000
source_users = 100
target_users = 60
items = 50
[teacher]
arguments = {embedding_dim = 8, hidden = [16]}
fit = {epochs = 1}
adapt = {epochs = 1}
[student.fit]
epochs = 1
[tune]
controls = [{learning_rate = 1e-3, weight_decay = 0.0}]
distilled = [{learning_rate = 1e-3, weight_decay = 0.0, alpha = 0.0}]
adapted = [{}]
"""
CELL = Cell(0.5, 0)
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Run the command line in an empty folder, in this process: (exit code, output, errors)."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(TINY)

    def run(*arguments: str) -> tuple[int, str, str]:
        workers = ["--workers", "1"] if arguments[0] in ("run", "teacher", "label", "distill") else []
        monkeypatch.setattr(sys, "argv", ["recdistill", *arguments, *workers])
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        return code, *capsys.readouterr()

    return run


def weights(run: Path) -> dict[str, bytes]:
    return {str(p.relative_to(run)): p.read_bytes() for p in run.rglob("model.safetensors")}


def times(run: Path) -> dict[Path, int]:
    return {p: p.stat().st_mtime_ns for p in run.rglob("model.safetensors")}


def test_a_run_reports_resumes_and_verifies(call: Call, tmp_path: Path) -> None:
    code, output, errors = call("run", "tiny.toml", "--out", "r")
    assert (code, errors) == (0, "")
    assert "report: r/report/report.md" in output
    result = json.loads((tmp_path / "r/report/report.json").read_text())
    assert set(result["rankers"]) == {"source_teacher", "adapted_teacher", "best_possible", *ARMS}
    assert {c["method"] for c in result["comparisons"]} == {"delong_cluster", "bootstrap_cluster"}
    assert all(c["low"] <= c["delta"] <= c["high"] for c in result["comparisons"])
    kept = result["pooled"][0]["labelled"][0]
    assert kept["train"]["labelled"] == pytest.approx(0.5 * result["data"]["train"]["rows"], abs=1)
    # With alpha 0 the only candidate, every arm is its control: the difference is exactly 0.
    same = [("source_labelled", "hard_only"), ("adapted_all_warm", "source_finetuned")]
    deltas = {(c["a"], c["b"]): c["delta"] for c in result["comparisons"] if c["metric"] == "auc"}
    assert [deltas[pair] for pair in same] == [0, 0]
    assert re.search(r"transfer [+-]0\.\d+ \[.*distillation [+-]0\.\d+ \[", output)
    page = (tmp_path / "r/report/report.md").read_text()
    assert all(f"| {kept[part]['labelled']:,} | {kept[part]['positives']:,} |" in page for part in ("train", "valid"))

    made = times(tmp_path)
    assert call("run", "tiny.toml", "--out", "r")[0] == 0
    assert made == times(tmp_path)
    code, output, _ = call("verify", "r")
    assert code == 0
    assert f"{len(list((tmp_path / 'r').rglob('manifest.json')))} artefacts" in output
    assert "not finished" not in output

    code, _, errors = call("run", "tiny.toml", "--out", "r", "--set", "folds=3")
    assert code == 2
    assert "another configuration" in errors
    victim = next(iter(made))
    content = bytearray(victim.read_bytes())
    content[-1] ^= 1
    victim.write_bytes(content)
    code, _, errors = call("verify", "r")
    assert code == 3
    assert "changed after it was written" in errors


def test_stages_alone_make_what_run_makes_and_ask_for_the_stage_before(call: Call, tmp_path: Path) -> None:
    assert call("prepare", "tiny.toml", "--out", "r")[0] == 0
    stages = ["teacher", "label", "distill", "evaluate", "report"]
    for done, verb in enumerate(stages[:3]):
        for later in stages[done + 1 :]:
            code, _, errors = call(later, "r")
            assert code == 2
            assert f"run `recdistill {verb} r` first" in errors
        code, output, _ = call(verb, "r")
        assert code == 0
        assert f"next: recdistill {stages[done + 1]} r" in output
    assert "run `recdistill evaluate r` first" in call("report", "r")[2]
    assert "not finished: 1 artefacts" in call("verify", "r")[1]
    assert call("evaluate", "r")[0] == 0
    before = (tmp_path / "r/report/report.md").read_text()
    (tmp_path / "r/report/report.md").unlink()
    assert call("report", "r")[0] == 2, "a report with a missing file is not whole"
    assert call("evaluate", "r")[0] == 0
    assert call("report", "r")[0] == 0
    assert (tmp_path / "r/report/report.md").read_text() == before
    assert call("run", "tiny.toml", "--out", "whole")[0] == 0
    assert weights(tmp_path / "r") == weights(tmp_path / "whole")


def test_no_label_but_the_kept_ones_and_the_test_rows_matters(call: Call, tmp_path: Path) -> None:
    """Flip every hidden label of training and validation rows: every trained weight stays the same."""
    assert call("run", "tiny.toml", "--out", "a")[0] == 0
    assert call("prepare", "tiny.toml", "--out", "b")[0] == 0
    run = RunFolder(tmp_path / "b")
    for part, kept in zip(("train", "valid"), run.labelled(CELL), strict=True):
        table = run.tables()[part]
        labels = np.where(kept.labelled, table.labels, 1 - table.labels)
        place = table.arrow.column_names.index("click")
        flipped = type(table)(table.arrow.set_column(place, "click", [labels.astype(int)]), table.schema)
        assert flipped.fingerprint != table.fingerprint
        flipped.write(run.prepared(part))
    assert call("run", "tiny.toml", "--out", "b")[0] == 0
    made = weights(tmp_path / "a")
    assert len(made) == len(ARMS) + 5
    assert made == weights(tmp_path / "b")


def test_several_processes_make_the_same_students(call: Call, tmp_path: Path) -> None:
    assert call("run", "tiny.toml", "--out", "one")[0] == 0
    command = [sys.executable, "-c", "from recdistill.cli import main; main()", "run", "tiny.toml", "--out", "two"]
    done = subprocess.run([*command, "--workers", "2"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert weights(tmp_path / "one") == weights(tmp_path / "two")


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_ctrl_c_leaves_nothing_half_written_and_the_same_command_continues(call: Call, tmp_path: Path) -> None:
    (tmp_path / "long.toml").write_text(TINY.replace("fit = {epochs = 1}", "fit = {epochs = 5000, patience = 5000}"))
    command = [sys.executable, "-c", "from recdistill.cli import main; main()", "run", "long.toml", "--out", "r"]
    process = subprocess.Popen(
        [*command, "--workers", "2"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    # The quickest unit is done, so the workers are there and the long one is running.
    for line in process.stdout:
        if "source_student/seed-0" in line:
            break
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert "interrupted" in errors
    assert "continues" in errors
    assert "Traceback" not in errors
    assert not [p for p in (tmp_path / "r").rglob("*") if p.name.endswith(".tmp")]
    assert not (tmp_path / "r/teacher/source_teacher/seed-0").exists()
    state = tmp_path / "r/teacher/source_teacher/seed-0.unfinished"
    assert manifest(state)["facts"]["kind"] == "checkpoint"
    assert "are as they were written" in call("verify", "r")[1]


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (["--set", "student.fit.learning_rat=1"], "did you mean 'learning_rate'"),
        (["--set", "teacher.fit.learning_rate=-1"], "greater than 0"),
        (["--set", "student.model=depfm"], "did you mean 'deepfm'"),
        (["--set", "student.arguments={hiden=[3]}"], "did you mean 'hidden'"),
        (["--set", "data.name=synthtic"], "did you mean 'synthetic'"),
        (["--set", "data.arguments={itms=20}"], "did you mean 'items'"),
        (["--set", "data.name=movielens"], "needs the folder of its files"),
        (["--set", "data.name=movielens", "--set", "data.root=$NOT_SET/ml"], "must have all its variables set"),
        (["--set", "labels=[0.0]"], "greater than 0"),
        (["--set", "labels=[]"], "at least 1"),
        (["--set", "tune.distilled=[{alpha=1.5}]"], "less than or equal to 1"),
        (["--set", "tune.distilled=[{temperature=0}]"], "greater than 0"),
        (["--set", "tune.controls=[{}]"], "same number of candidates"),
        (["--set", "nonsense"], "key=value"),
        (["missing.toml"], "does not exist"),
    ],
)
def test_bad_usage_exits_with_2(call: Call, tmp_path: Path, arguments: list[str], rule: str) -> None:
    code, _, errors = call("run", "--out", "r", *arguments)
    assert code == 2
    assert rule in errors


def test_a_folder_that_is_no_run_is_always_refused(call: Call, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    code, _, errors = call("run", "tiny.toml", "--out", "mine", "--overwrite")
    assert code == 2
    assert "holds no run" in errors
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "precious"
    for verb in ("teacher", "label", "distill", "evaluate", "report", "verify"):
        code, _, errors = call(verb, "mine")
        assert code == 2
        assert "holds no run" in errors


def test_overwrite_replaces_a_run_of_another_configuration(call: Call, tmp_path: Path) -> None:
    assert call("prepare", "tiny.toml", "--out", "r")[0] == 0
    assert call("prepare", "tiny.toml", "--out", "r", "--set", "folds=3")[0] == 2
    assert call("prepare", "tiny.toml", "--out", "r", "--set", "folds=3", "--overwrite")[0] == 0
    assert RunFolder(tmp_path / "r").config.folds == 3


def test_missing_data_exits_with_3(call: Call) -> None:
    code, _, errors = call("run", "--out", "r", "--set", "data.name=movielens", "--set", "data.root=nowhere")
    assert code == 3
    assert "users.dat is missing in nowhere" in errors


def test_an_interrupt_outside_training_exits_with_130(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    from recdistill import experiment

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(experiment, "prepare", stop)
    code, _, errors = call("run", "tiny.toml", "--out", "r")
    assert code == 130
    assert "the same command continues" in errors


def test_every_arm_gets_the_same_budget() -> None:
    tune = Config().tune
    assert {len(tune.of(arm)) for arm in ARMS.values()} == {len(tune.controls)}
    with pytest.raises(ValueError, match="same number of candidates"):
        fill(Config, {"tune": {"controls": [{}]}})
    assert set(arms_at(1.0)) == {name for name, arm in ARMS.items() if not arm.unlabelled}


def test_help_lists_every_verb() -> None:
    """Every verb is listed with what it does."""
    done = subprocess.run([sys.executable, "-m", "recdistill", "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for verb in ("run", "prepare", "teacher", "label", "distill", "evaluate", "report", "verify"):
        assert re.search(rf"\b{verb}\b\s+\w+", done.stdout), verb
