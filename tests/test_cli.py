"""The command line: one run from nothing to a report, resumed, verified; and what it refuses."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from recdistill import cli
from recdistill.configuration import ARMS, Config
from recdistill.datasets import DATASETS, synthetic
from recdistill.settings import fill

TINY = """
labels = [0.5]
folds = 2
[teacher]
arguments = {embedding_dim = 8, hidden = [16]}
fit = {epochs = 1}
adapt = {epochs = 1}
[student.fit]
epochs = 1
[tune]
controls = [{}]
distilled = [{alpha = 0.0}]
"""


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run the command line in an empty folder: (exit code, output, errors)."""
    small = {"source_rows": 3000, "target_rows": 2000, "source_users": 100, "target_users": 60, "items": 50}
    monkeypatch.setitem(DATASETS, "synthetic", lambda: synthetic.load(seed=0, **small))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(TINY)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["recdistill", *arguments])
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        return code, *capsys.readouterr()

    return run


def test_a_run_reports_resumes_and_verifies(call, tmp_path: Path) -> None:
    code, output, _ = call("run", "tiny.toml", "--out", "r")
    assert code == 0
    assert "report: r/report/report.md" in output
    result = json.loads((tmp_path / "r/report/report.json").read_text())
    assert set(result["rankers"]) == {"source_teacher", "adapted_teacher", "best_possible", *ARMS}
    assert {c["method"] for c in result["comparisons"]} == {"delong_cluster", "bootstrap_cluster"}
    assert all(c["low"] <= c["delta"] <= c["high"] for c in result["comparisons"])
    assert result["pooled"][0]["labelled"]["train"]["labelled"] == pytest.approx(
        0.5 * result["data"]["train"]["rows"], abs=1
    )
    # With alpha 0 the only candidate, every arm is its control: the difference is exactly 0.
    for comparison in result["comparisons"]:
        if comparison["a"] == "source_labelled" and comparison["b"] == "hard_only":
            assert comparison["delta"] == 0
    for pooled in result["pooled"]:
        assert re.search(r"transfer [+-]0\.\d+ \[.*distillation [+-]0\.\d+ \[", output), pooled
    weights = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("model.safetensors")}
    assert call("run", "tiny.toml", "--out", "r")[0] == 0
    assert weights == {p: p.stat().st_mtime_ns for p in tmp_path.rglob("model.safetensors")}
    code, output, _ = call("verify", "r")
    assert code == 0
    assert f"{len(list((tmp_path / 'r').rglob('manifest.json')))} artefacts" in output

    code, _, errors = call("run", "tiny.toml", "--out", "r", "--set", "folds=3")
    assert code == 2
    assert "another configuration" in errors
    victim = next(iter(weights))
    content = bytearray(victim.read_bytes())
    content[-1] ^= 1
    victim.write_bytes(content)
    code, _, errors = call("verify", "r")
    assert code == 3
    assert "changed after it was written" in errors


def test_no_label_but_the_kept_ones_and_the_test_rows_matters(
    call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flip every hidden label of training and validation rows: every trained weight stays the same."""
    from recdistill import experiment
    from recdistill.splits import keep_labels

    assert call("run", "tiny.toml", "--out", "a")[0] == 0
    prepared = experiment.prepare

    def flipped(config, out, say):
        source, parts = prepared(config, out, say)
        kept = keep_labels(parts["train"], parts["valid"], share=0.5, seed=0)
        for name, keep in zip(("train", "valid"), kept, strict=True):
            table, labels = parts[name], parts[name].labels.copy()
            labels[~keep.labelled] = 1 - labels[~keep.labelled]
            place = table.arrow.column_names.index("click")
            parts[name] = type(table)(table.arrow.set_column(place, "click", [labels]), table.schema)
        return source, parts

    monkeypatch.setattr(experiment, "prepare", flipped)
    assert call("run", "tiny.toml", "--out", "b")[0] == 0
    weights = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("model.safetensors"))
    assert len(weights) == len(ARMS) + 5
    assert all((tmp_path / "a" / w).read_bytes() == (tmp_path / "b" / w).read_bytes() for w in weights)


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (["--set", "student.fit.learning_rat=1"], "did you mean 'learning_rate'"),
        (["--set", "teacher.fit.learning_rate=-1"], "greater than 0"),
        (["--set", "student.model=depfm"], "did you mean 'deepfm'"),
        (["--set", "nonsense"], "key=value"),
        (["missing.toml"], "does not exist"),
    ],
)
def test_bad_usage_exits_with_2(call, arguments: list[str], rule: str) -> None:
    code, _, errors = call("run", "--out", "r", *arguments)
    assert code == 2
    assert rule in errors


def test_a_folder_that_is_no_run_is_always_refused(call, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    code, _, errors = call("run", "tiny.toml", "--out", "mine", "--overwrite")
    assert code == 2
    assert "holds no run" in errors
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "precious"


def test_missing_data_exits_with_3(call) -> None:
    code, _, errors = call("run", "--out", "r", "--set", "data.name=movielens", "--set", "data.root=nowhere")
    assert code == 3
    assert "users.dat is missing in nowhere" in errors


def test_an_interrupt_exits_with_130(call, monkeypatch: pytest.MonkeyPatch) -> None:
    from recdistill import experiment

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(experiment, "prepare", stop)
    code, output, _ = call("run", "tiny.toml", "--out", "r")
    assert code == 130
    assert "the same command continues" in output


def test_every_arm_gets_the_same_budget() -> None:
    tune = Config().tune
    assert {len(tune.of(arm)) for arm in ARMS.values()} == {len(tune.controls)}
    with pytest.raises(ValueError, match="same number of candidates"):
        fill(Config, {"tune": {"controls": [{}]}})
