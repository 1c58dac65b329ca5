"""The command line: one run from nothing to a report, stage by stage, resumed, verified; and what it refuses."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import TINY, Call

from recdistill import experiment
from recdistill.arms import ARMS, CONTROLS, arms_of
from recdistill.artefacts import manifest
from recdistill.configuration import Config
from recdistill.distillation import Blend
from recdistill.examples import Examples
from recdistill.fit_settings import FitSettings
from recdistill.label_budget import Cell
from recdistill.models import build
from recdistill.placebos import base_rate, permuted
from recdistill.ranker import Ranker
from recdistill.run_folder import RunFolder
from recdistill.settings import fill
from recdistill.soft_labels import SoftLabels
from recdistill.splits import folds
from recdistill.training import fit

CELL = Cell(0.5, 0)
MODEL_TEACHERS = ("source_teacher", "adapted_teacher")
MODEL_ARMS = arms_of(teachers=MODEL_TEACHERS, source=True, unlabelled=True)


def made_by(run: Path) -> dict[str, bytes]:
    """The bytes of every trained weight and soft label."""
    names = ("model.safetensors", "logits.parquet")
    return {str(p.relative_to(run)): p.read_bytes() for name in names for p in run.rglob(name)}


def times(run: Path) -> dict[Path, int]:
    return {p: p.stat().st_mtime_ns for p in run.rglob("model.safetensors")}


def test_a_run_reports_resumes_and_verifies(call: Call, tmp_path: Path) -> None:
    code, output, errors = call("run", "whole.toml", "--out", "r")
    assert (code, errors) == (0, "")
    assert "report: r/report/index.html" in output
    result = json.loads((tmp_path / "r/report/report.json").read_text())
    pooled = {"auto", "chosen", "placebo", "best_possible"}
    assert set(result["rankers"]) == {*MODEL_TEACHERS, *MODEL_ARMS, *pooled}
    assert {c["method"] for c in result["comparisons"]} == {"delong_cluster", "t_cluster"}
    assert all(c["low"] <= c["delta"] <= c["high"] for c in result["comparisons"])
    kept = result["pooled"][0]["labelled"][0]
    assert kept["train"]["labelled"] == pytest.approx(0.5 * result["data"]["train"]["rows"], abs=1)
    # With alpha 0 the only candidate, every cold arm is the control: the difference is exactly 0.
    deltas = {(c["a"], c["b"]): c["delta"] for c in result["comparisons"] if c["metric"] == "auc"}
    assert [deltas[name, "hard_only"] for name in MODEL_ARMS if "warm" not in name and name not in CONTROLS] == [0] * 6
    # Of the teacher's arms the strategy tries the one that is best on the validation rows.
    (decision,), (shipped,) = (result["pooled"][0][name] for name in ("decisions", "shipped"))
    loss = {name: result["rankers"][name]["valid_logloss"] for name in ("adapted_all", "adapted_all_warm")}
    assert set(decision["gains"]) == {"source_finetuned", min(loss, key=lambda name: loss[name])}
    assert result["rankers"]["auto"]["metrics"] == result["rankers"][shipped]["metrics"]
    assert f"Ship: {shipped}" in output
    assert re.search(r"Transfer: [+-]0\.\d+ \[.*\n  Distillation: none: alpha 0 was chosen\.", output)
    assert "Caution: one seed" in output
    page = (tmp_path / "r/report/report.md").read_text()
    assert all(f"| {kept[part]['labelled']:,} | {kept[part]['positives']:,} |" in page for part in ("train", "valid"))

    made = times(tmp_path)
    assert call("run", "whole.toml", "--out", "r")[0] == 0
    assert made == times(tmp_path)
    code, output, _ = call("verify", "r")
    assert code == 0
    assert f"{len(list((tmp_path / 'r').rglob('manifest.json')))} artefacts" in output
    assert "not finished" not in output
    held_out = [path.parent for path in (tmp_path / "r/held_out").rglob("manifest.json")]
    assert len(held_out) == 2 * (len(CONTROLS) + 1), "each candidate of the strategy without each fold"
    shutil.rmtree(held_out[0])
    assert f"e.g. {held_out[0].relative_to(tmp_path / 'r')}" in call("verify", "r")[1]
    assert call("run", "whole.toml", "--out", "r")[0] == 0

    code, _, errors = call("run", "whole.toml", "--out", "r", "--set", "folds=3")
    assert code == 2
    assert "another configuration: folds is 2 there and 3 here; choose another folder" in errors
    others = ("folds=3", "seeds=2", "split.by=time", "student.arguments={}")
    code, _, errors = call("run", "whole.toml", "--out", "r", *(word for one in others for word in ("--set", one)))
    assert "and 2 more differ; choose another folder" in errors
    victim = next(iter(made))
    content = bytearray(victim.read_bytes())
    content[-1] ^= 1
    victim.write_bytes(content)
    other = next(path for path in made if path != victim)
    other.write_bytes(other.read_bytes() + b"0")
    code, _, errors = call("verify", "r")
    assert code == 3
    assert f"{victim.relative_to(tmp_path)} was changed after it was written" in errors
    assert f"{other.relative_to(tmp_path)} must have" in errors


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
    assert made_by(tmp_path / "r") == made_by(tmp_path / "whole")


def test_no_label_but_the_kept_ones_and_the_test_rows_matters(call: Call, tmp_path: Path) -> None:
    """Flip every hidden label of training and validation rows: every trained weight stays the same."""
    assert call("run", "distilling.toml", "--out", "a")[0] == 0
    assert call("prepare", "distilling.toml", "--out", "b")[0] == 0
    run = RunFolder(tmp_path / "b")
    for part, kept in zip(("train", "valid"), run.labelled(CELL), strict=True):
        table = run.tables()[part]
        labels = np.where(kept.labelled, table.labels, 1 - table.labels)
        place = table.arrow.column_names.index("click")
        flipped = type(table)(table.arrow.set_column(place, "click", [labels.astype(int)]), table.schema)
        assert flipped.fingerprint != table.fingerprint
        flipped.write(run.prepared(part))
    assert call("run", "distilling.toml", "--out", "b")[0] == 0
    made = made_by(tmp_path / "a")
    assert len(made) == len(MODEL_ARMS) + 5 + 2 + 1 + 6, "with the strategy's choice and its candidates without a fold"
    assert made == made_by(tmp_path / "b")


def test_arms_learn_from_the_right_teacher_on_the_right_rows(call: Call, tmp_path: Path) -> None:
    """Each student of a teacher or a placebo again by hand, from the library alone."""
    assert call("run", "distilling.toml", "--out", "r")[0] == 0
    run = RunFolder(tmp_path / "r")
    train, valid = run.labelled(CELL)
    fold = folds(train, k=2, seed=0)[0]
    whole, without = (Ranker.load(run.adapted(CELL, part)) for part in ("whole", "fold-0"))
    logits = {name: SoftLabels.load(run.soft_labels(name, CELL)).for_table(train) for name in MODEL_TEACHERS}
    adapted = logits["adapted_teacher"]
    assert np.allclose(adapted[fold], without.score(train.take(fold)), atol=1e-6)
    assert np.allclose(adapted[~train.labelled], whole.score(train.take(~train.labelled)), atol=1e-6)
    assert not np.allclose(adapted[fold], whole.score(train.take(fold)), atol=1e-3)
    source = Ranker.load(run.pretrained("source_teacher", 0))
    assert np.allclose(logits["source_teacher"], source.score(train), atol=1e-6)
    placebos = {"permuted": permuted(adapted, train, seed=0), "base_rate": base_rate(train)}
    for name, arm in MODEL_ARMS.items():
        if not arm.distilled:
            continue
        choice = manifest(run.student(name, CELL))["facts"]["choice"]
        # A warm arm may well stay where it began, but random weights never win.
        assert choice["alpha"] == 0.7 or arm.warm or arm.placebo
        encoder = run.config.student.encoder.fit(train)
        fresh = Ranker(encoder, build("deepfm", encoder.spec, seed=0, arguments=run.config.student.arguments))
        student = Ranker.load(run.student("source_finetuned", CELL)) if arm.warm else fresh
        heard = logits[arm.teacher] if arm.teacher else placebos[str(arm.placebo)]
        examples = Examples.of(student.encoder, train).with_teacher(heard)
        if not arm.unlabelled or choice["alpha"] == 0:
            examples = examples.rows(torch.from_numpy(np.flatnonzero(train.labelled)))
        settings = FitSettings(epochs=1, learning_rate=choice["learning_rate"], weight_decay=0.0, seed=0)
        fit(student, examples, valid=valid, objective=Blend(choice["alpha"], 1.0), settings=settings)
        assert student.fingerprint == Ranker.load(run.student(name, CELL)).fingerprint, name


def test_other_rows_make_everything_anew(call: Call, tmp_path: Path) -> None:
    """What is kept was made from the rows that are there."""
    assert call("run", "tiny.toml", "--out", "r")[0] == 0
    before, run = made_by(tmp_path / "r"), RunFolder(tmp_path / "r")
    valid = run.tables()["valid"]
    valid.take(np.arange(len(valid) - 5)).write(run.prepared("valid"))
    assert "run `recdistill teacher r` first" in call("evaluate", "r")[2]
    assert call("run", "tiny.toml", "--out", "r")[0] == 0
    after = made_by(tmp_path / "r")
    assert set(before) == set(after)
    assert {manifest(p.parent)["facts"]["prepared"] for p in tmp_path.rglob("model.safetensors")} == {run.identity}


def test_a_changed_report_is_not_signed_again(call: Call, tmp_path: Path) -> None:
    assert call("run", "tiny.toml", "--out", "r")[0] == 0
    file = tmp_path / "r/report/report.json"
    file.write_text(file.read_text().replace('"auc": 0.', '"auc": 1.', 1))
    for verb in ("report", "verify"):
        code, _, errors = call(verb, "r")
        assert code == 3
        assert "changed after it was written" in errors


def test_the_best_candidate_is_kept_whatever_a_fit_was_stopped_by(call: Call, tmp_path: Path) -> None:
    for stop_by in ("logloss", "auc"):
        given = ["--set", f"student.fit.stop_by={stop_by}", "--set", f"teacher.adapt.stop_by={stop_by}"]
        assert call("prepare", "distilling.toml", "--out", stop_by, *given)[0] == 0
        assert call("teacher", stop_by)[0] == 0
        choice = manifest(RunFolder(tmp_path / stop_by).adapted(CELL, "whole"))["facts"]["choice"]
        assert choice["learning_rate"] == 1e-3


def test_what_is_wrong_is_known_before_anything_is_trained(call: Call, tmp_path: Path) -> None:
    code, _, errors = call("run", "tiny.toml", "--out", "r", "--set", "labels=[0.5, 0.005]")
    assert code == 3
    assert "the validation part" in errors
    # Nothing was begun, so the corrected command is not refused.
    assert call("prepare", "tiny.toml", "--out", "r")[0] == 0


def test_several_processes_make_the_same_students(call: Call, tmp_path: Path) -> None:
    assert call("run", "tiny.toml", "--out", "one")[0] == 0
    command = [sys.executable, "-c", "from recdistill.cli import main; main()", "run", "tiny.toml", "--out", "two"]
    done = subprocess.run([*command, "--workers", "2"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert made_by(tmp_path / "one") == made_by(tmp_path / "two")


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_ctrl_c_leaves_nothing_half_written_and_the_same_command_continues(call: Call, tmp_path: Path) -> None:
    (tmp_path / "long.toml").write_text(
        TINY.replace("{epochs = 1, batch_size", "{epochs = 5000, patience = 5000, batch_size")
    )
    command = [sys.executable, "-c", "from recdistill.cli import main; main()", "run", "long.toml", "--out", "r"]
    process = subprocess.Popen(
        [*command, "--workers", "2"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A suite that was started in the background hands on an ignored SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
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
    assert {manifest(path)["facts"]["kind"] for path in state.iterdir()} == {"checkpoint"}
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
        (["--set", "labels=[0.5, 0.5]"], "must differ"),
        (["--set", "data.arguments={target_rows='abc'}"], "cannot take"),
        (["--set", "teacher.arguments={embedding_dim=0}"], "at least 1"),
        (["--set", "teacher.arguments={hidden=3}"], "cannot take"),
        (["--set", "teacher.adapt.learning_rate=0.5"], "is set by the experiment (see seeds and tune.adapted;"),
        (["--set", "student.fit.seed=5"], "is set by the experiment (see seeds)"),
        (["--set", "tune.controls=[{learning_rate=-1.0}]"], "greater than 0"),
        (["--set", "arms=['adapted_al']"], "no arm 'adapted_al', did you mean 'adapted_all'"),
        (["--set", "arms=['auto']"], "no arm 'auto'"),
        (["--set", "strategy=aut"], "no arm 'aut', did you mean 'auto'"),
        (["--set", "confidence=1.0"], "less than 1"),
        (["--set", "student.encoder.min_count=0"], "greater than or equal to 1"),
        (["."], "cannot be read"),
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
        assert ("neither a run nor a prepared table" if verb in ("teacher", "label") else "holds no run") in errors
    # Another program's config.toml makes no run.
    (tmp_path / "mine" / "config.toml").write_text("baseURL = 'https://example.org'")
    assert call("run", "tiny.toml", "--out", "mine", "--overwrite")[0] == 2
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "precious"


def test_overwrite_replaces_a_run_of_another_configuration(call: Call, tmp_path: Path) -> None:
    assert call("prepare", "tiny.toml", "--out", "r")[0] == 0
    (tmp_path / "r" / "held_out" / "hard_only").mkdir(parents=True)
    assert call("prepare", "tiny.toml", "--out", "r", "--set", "folds=3")[0] == 2
    assert call("prepare", "tiny.toml", "--out", "r", "--set", "folds=3", "--overwrite")[0] == 0
    assert RunFolder(tmp_path / "r").config.folds == 3
    assert not (tmp_path / "r" / "held_out").exists()
    (tmp_path / "r" / "notes.txt").write_text("precious")
    bad = ["--set", "data.name=movielens", "--set", "data.root=nowhere", "--set", "data.arguments={}"]
    assert call("prepare", "tiny.toml", "--out", "r", "--overwrite", *bad)[0] == 3
    assert RunFolder(tmp_path / "r").is_prepared, "a run is replaced only when there is something to replace it with"
    assert call("prepare", "tiny.toml", "--out", "r", "--overwrite")[0] == 0
    assert (tmp_path / "r" / "notes.txt").read_text() == "precious"


def test_columns_can_be_dropped(call: Call, tmp_path: Path) -> None:
    given = ["--set", "teacher.encoder.drop=['user_id', 'genres']"]
    assert call("prepare", "tiny.toml", "--out", "r", *given)[0] == 0
    assert call("teacher", "r")[0] == 0
    columns = Ranker.load(RunFolder(tmp_path / "r").pretrained("source_teacher", 0)).encoder.columns
    assert set(columns) == {"item_id", "age", "region", "price", "embedding"}
    code, _, errors = call("prepare", "tiny.toml", "--out", "s", "--set", "teacher.encoder.drop=['user']")
    assert code == 2
    assert "no feature column 'user' to drop or hash" in errors


def test_a_gpu_that_is_not_there_exits_with_4(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert call("prepare", "tiny.toml", "--out", "r", "--set", "teacher.fit.device=cuda")[0] == 0
    for command in (("teacher", "r"), ("run", "tiny.toml", "--out", "s", "--set", "student.fit.device=cuda")):
        code, _, errors = call(*command)
        assert code == 4
        assert "needs a GPU" in errors


def test_missing_data_exits_with_3(call: Call) -> None:
    code, _, errors = call("run", "--out", "r", "--set", "data.name=movielens", "--set", "data.root=nowhere")
    assert code == 3
    assert "nowhere must hold the files of one MovieLens layout" in errors


def test_an_interrupt_outside_training_exits_with_130(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:

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
    whole = arms_of(teachers=MODEL_TEACHERS, source=True, unlabelled=False)
    assert set(whole) == {name for name, arm in MODEL_ARMS.items() if not arm.unlabelled}


def test_help_lists_every_verb() -> None:
    """Every verb is listed with what it does."""
    done = subprocess.run([sys.executable, "-m", "recdistill", "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for verb in ("run", "prepare", "teacher", "label", "distill", "evaluate", "report", "verify"):
        assert re.search(rf"\b{verb}\b\s+\w+", done.stdout), verb
