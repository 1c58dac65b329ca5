"""What would stop a run late is found when it is prepared; and a run's folder is what its configuration says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny import Call

from recdistill.artefacts import manifest
from recdistill.configuration import Config
from recdistill.datasets import synthetic
from recdistill.errors import DataError
from recdistill.rehearsal import rehearse
from recdistill.run_folder import RunFolder
from recdistill.settings import fill
from recdistill.splits import split

SCORES = ("teacher.scores=probability", "data.source=false", "data.arguments.target_has=['system_score']")


def assigned(settings: tuple[str, ...]) -> list[str]:
    return [word for setting in settings for word in ("--set", setting)]


@pytest.mark.parametrize(
    ("settings", "code", "rule"),
    [
        (("student.encoder.drop=['nope']",), 2, "no feature column 'nope' to drop or hash"),
        (("student.encoder.hashing={price=10}",), 3, "a number column cannot use Hashing"),
        (("student.arguments.classes=3",), 2, "set by the rows' grades, got classes=3"),
        (("student.fit.device=bogus",), 2, "a device is"),
        (("teacher.adapt.hidden={nope=0.5}",), 2, "teacher.adapt.hidden has no feature 'nope'"),
        (("student.fit.hidden={embedding=0.5}",), 2, "student.fit.hidden has no feature 'embedding'"),
        (("folds=5000",), 2, "k folds need"),
        (("teacher.clip=0.1",), 2, "clip is for teacher.scores"),
        ((*SCORES, "labels=[0.02]", "split.valid=0.3"), 3, "Platt scaling needs at least 10 labelled rows"),
        ((*SCORES, "labels=[0.06]", "strategy=auto"), 3, "strategy 'auto' calibrates without each of 2 folds: Platt"),
        ((*SCORES, "teacher.hidden=0.5"), 2, "teacher.hidden is set by the experiment (scores teach)"),
        (("teacher.adapt.checkpoint_seconds=1.0",), 2, "only fits on the source leave checkpoints"),
        (("arms=['scores_all']",), 2, "arm 'scores_all' cannot be made with teacher.scores=None"),
        (
            (*SCORES, "arms=['source_finetuned']"),
            2,
            "'source_finetuned' cannot be made with teacher.scores='probability'",
        ),
        (("labels=[0.5, 1.0]", "strategy=adapted_all"), 2, "made of a share of 1 of the labels (hard_only, "),
        (("labels=[1.0]",), 2, "adapted_all learn from unlabelled rows, and there are none with all of the labels"),
        (("arms=['adapted_all', 'adapted_all']",), 2, "an arm is named once"),
        (("teacher.calibration=platt",), 2, "teacher.calibration is for the arms calibrated_source_..."),
        (("arms=['hard_only']",), 2, "at least one arm must have a teacher, got hard_only, source_finetuned"),
        (("teacher.adapted=head", "teacher.adapt.embedding_backend=torchrec"), 2, "only torch's tables can be left"),
        (("student.distill.alpha=0.3",), 2, "distill.alpha is set by the experiment (see tune.distilled"),
        (("student.distill.loss=ranknet",), 2, "no loss 'ranknet', did you mean 'ranknet_kd'"),
        (("student.distill.loss=categorical_kd",), 2, "a loss of clicks is needed"),
        (("student.distill.head=side", "student.model=lr", "student.arguments={}"), 2, "LR has none"),
        (("student.distill.hint=similarity", "teacher.arguments.hidden=[]"), 2, "DeepFM has none"),
        ((*SCORES, "student.distill.hint=similarity"), 2, "a hint needs the hidden states of a teacher model"),
        (("arms=['calibrated_source_all']", "labels=[0.02]", "split.valid=0.3"), 3, "Platt scaling needs at least 10"),
    ],
)
def test_settings_are_tried_on_the_rows_first(
    call: Call, tmp_path: Path, settings: tuple[str, ...], code: int, rule: str
) -> None:
    toml = "scoring.toml" if settings[:1] == SCORES[:1] else "tiny.toml"
    found, _, errors = call("prepare", toml, "--out", "r", *assigned(settings))
    assert rule in errors
    assert found == code
    assert not (tmp_path / "r").exists()


def scored_file(folder: Path, **columns: list[float]) -> list[str]:
    """A target with scores in a file, some of its columns changed, and the settings that read it."""
    _, target = synthetic.load(seed=0, source_rows=100, target_rows=2000, target_users=60, target_has=["system_score"])
    arrow = target.arrow.drop_columns(["row_id", "true_probability", "dwell"])
    for name, values in columns.items():
        arrow = arrow.set_column(arrow.column_names.index(name), name, pa.array(values))
    pq.write_table(arrow, folder / "target.parquet")
    schema = 'label = "click", user = "user_id", categorical = ["user_id", "item_id"], score = "system_score"'
    files = f'data.arguments={{target = "target.parquet", schema = {{{schema}}}}}'
    return assigned(("data.name=files", "data.root=.", files, "teacher.scores=probability"))


def test_a_sure_score_is_refused_early_and_clipped_on_demand(call: Call, tmp_path: Path) -> None:
    given = scored_file(tmp_path, system_score=[0.0, *np.linspace(0.01, 0.99, 1999)])
    code, _, errors = call("prepare", "scoring.toml", "--out", "r", *given)
    assert code == 3
    assert "must lie strictly between 0 and 1" in errors
    assert call("run", "scoring.toml", "--out", "r", *given, "--set", "teacher.clip=1e-4")[0] == 0
    assert "not finished" not in call("verify", "r")[1]


def test_a_comparison_needs_two_users(call: Call, tmp_path: Path) -> None:
    given = scored_file(tmp_path, user_id=[7] * 2000)
    code, _, errors = call("prepare", "scoring.toml", "--out", "r", *given)
    assert code == 3
    assert "at least 2 users with a click to compare by, got 1 in 200 rows" in errors


def test_the_strategy_needs_labels_of_two_users() -> None:
    _, target = synthetic.load(seed=0, source_rows=100, target_rows=2000, target_users=10, target_has=["system_score"])
    parts = dict(zip(("train", "valid", "test"), split(target, valid=0.2, test=0.2), strict=True))
    users = parts["train"].numpy("user_id")
    parts["train"] = parts["train"].with_labels_only(users == users[0])
    told = {"labels": [1.0], "arms": ["calibrated_all"], "teacher": {"scores": "probability"}}
    with pytest.raises(DataError, match="needs labels of at least 2 users to compare by, got 1 in"):
        rehearse(fill(Config, told), None, parts)
    rehearse(fill(Config, {**told, "strategy": "hard_only"}), None, parts)


def test_a_damaged_source_is_prepared_again_and_never_taken_for_none(call: Call, tmp_path: Path) -> None:
    given = assigned((SCORES[0], SCORES[2]))
    assert call("run", "scoring.toml", "--out", "r", *given)[0] == 0
    before = json.loads((tmp_path / "r/report/report.json").read_text())
    assert "source_finetuned" in before["rankers"]
    made = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("model.safetensors")}
    for damage in (lambda p: p.write_bytes(b"PAR1"), Path.unlink, lambda p: shutil.rmtree(p.parent)):
        damage(tmp_path / "r/prepared/source/rows.parquet")
        assert call("run", "scoring.toml", "--out", "r", *given)[0] == 0
        after = json.loads((tmp_path / "r/report/report.json").read_text())
        assert after["rankers"] == before["rankers"]
    # The rows are the same again, so what was trained on them is kept.
    assert made == {p: p.stat().st_mtime_ns for p in tmp_path.rglob("model.safetensors")}


def test_overwriting_the_same_configuration_reads_again_and_keeps_what_was_trained(call: Call, tmp_path: Path) -> None:
    assert call("run", "tiny.toml", "--out", "r")[0] == 0
    made = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("model.safetensors")}
    code, output, _ = call("run", "tiny.toml", "--out", "r", "--overwrite")
    assert code == 0
    assert "preparing synthetic" in output
    assert made == {p: p.stat().st_mtime_ns for p in tmp_path.rglob("model.safetensors")}
    assert "prepared before from the same settings: nothing to do" in call("run", "tiny.toml", "--out", "r")[1]
    assert call("run", "tiny.toml", "--out", "r", "--overwrite", "--set", "folds=3")[0] == 0
    assert made != {p: p.stat().st_mtime_ns for p in tmp_path.rglob("model.safetensors")}


def test_what_was_made_from_other_rows_is_not_finished(call: Call, tmp_path: Path) -> None:
    given = scored_file(tmp_path)
    assert call("run", "scoring.toml", "--out", "r", *given)[0] == 0
    assert "not finished" not in call("verify", "r")[1]
    before = json.loads((tmp_path / "r/versions.json").read_text())
    scored_file(tmp_path, price=np.linspace(0, 1, 2000).tolist(), system_score=np.linspace(0.2, 0.8, 2000).tolist())
    assert call("prepare", "scoring.toml", "--out", "r", *given, "--overwrite")[0] == 0
    code, output, errors = call("verify", "r")
    assert (code, errors) == (0, "")
    assert "not finished: 5 artefacts" in output  # soft labels, three students, the report
    assert not (tmp_path / "r/report").exists()
    after = json.loads((tmp_path / "r/versions.json").read_text())
    assert before["run"].pop("inputs") != after["run"].pop("inputs")
    assert after == before


def test_an_edited_configuration_is_not_what_was_run(call: Call, tmp_path: Path) -> None:
    assert call("prepare", "tiny.toml", "--out", "r")[0] == 0
    file = tmp_path / "r/config.toml"
    file.write_text(file.read_text().replace("embedding_dim = 4", "embedding_dim = 8"))
    for verb in ("teacher", "verify"):
        code, _, errors = call(verb, "r")
        assert code == 2
        assert "was edited after the run began" in errors
    # A later version that knows more settings reads an older run all the same.
    assert call("prepare", "tiny.toml", "--out", "old")[0] == 0
    run = RunFolder(tmp_path / "old")
    config = run.config
    text = (run.path / "config.toml").read_text().replace("smallest_effect = 0.005\n", "")
    (run.path / "config.toml").write_text(text)
    versions = json.loads((run.path / "versions.json").read_text())
    (run.path / "versions.json").write_text(json.dumps({k: v for k, v in versions.items() if k != "run"}))
    assert run.holds(config)
    assert manifest(run.prepared("train"))["facts"]["kind"] == "table"
