"""Tuning: what may be tried, what is tried next, what is kept of it, and what it never touches."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import DISTILLING, Call

from recdistill import experiment, run_folder
from recdistill.artefacts import manifest, sha256
from recdistill.configuration import Config, StudentSettings
from recdistill.distillation import DistillSettings, distill
from recdistill.errors import DataError, EnvironmentFault, Interrupted, TrainingError, UsageError
from recdistill.label_budget import Cell
from recdistill.models import build
from recdistill.progress import Silence
from recdistill.ranker import Ranker
from recdistill.run_folder import RunFolder
from recdistill.settings import fill, override
from recdistill.soft_labels import SoftLabels
from recdistill.training import fit
from recdistill.tuning import Range, Space, Tried, Tuning, heard_by, study_of, tune
from recdistill.tuning.proposals import EPOCHS, UNPRUNED, Proposal
from recdistill.tuning.space import applied, text
from recdistill.work import Workers

pytest.importorskip("optuna")

CELL = Cell(0.5, 0)
SPACE = """
[trial]
learning_rate = { low = 1e-4, high = 3e-2, log = true }
alpha = { low = 0, high = 1 }
[student]
model = { choices = ["mlp", "deepfm"] }
"arguments.hidden" = { choices = [[8], [16, 8]] }
[student.fit]
batch_size = { low = 32, high = 128 }
"""
# The one learns nothing.
PLANTED = {"trial": {"learning_rate": {"choices": [1e-9, 1e-2]}, "alpha": 0.5}}


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with its soft labels and no students."""
    folder = tmp_path_factory.mktemp("labelled") / "r"
    config = fill(Config, override(tomllib.loads(DISTILLING), ["student.fit.epochs=3", "student.fit.patience=3"]))
    run = experiment.prepare(config, folder)
    with Workers() as crew:
        experiment.train_teachers(run, crew)
        experiment.label(run, crew)
    return folder


def space(toml: str = SPACE) -> Space:
    return Space.of(tomllib.loads(toml))


def without_seconds(tuning: Tuning) -> list[Tried]:
    return [replace(one, seconds=0.0) for one in tuning.tried]


# ----------------------------------------------------------------------------------------- what may be tried


def test_a_space_is_what_its_toml_says() -> None:
    found = space().dimensions
    assert list(found) == sorted(found)
    assert found["trial.learning_rate"] == Range(1e-4, 3e-2, log=True)
    assert found["trial.alpha"] == Range(0.0, 1.0), "a setting that takes floats is not tried at 0 and 1 alone"
    assert found["student.fit.batch_size"] == Range(32, 128, whole=True)
    assert found["student.arguments.hidden"].probes == ([8], [16, 8])
    nested = space("[student.arguments]\nhidden.choices = [[8], [16, 8]]\n[trial]\nalpha = 0.5\n").dimensions
    assert nested["student.arguments.hidden"] == found["student.arguments.hidden"]
    assert nested["trial.alpha"].probes == (0.5,)


PLAIN = st.recursive(
    st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.booleans()
    | st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=8),
    lambda of: st.lists(of, max_size=3),
    max_leaves=6,
)


@given(PLAIN)
def test_a_value_as_text_is_toml(value: Any) -> None:
    assert tomllib.loads(f"value = {text(value)}")["value"] == value


@given(
    low=st.floats(1e-6, 1e3),
    width=st.floats(1e-3, 1e3),
    log=st.booleans(),
    whole=st.booleans(),
    number=st.integers(0, 5),
)
def test_what_is_proposed_is_in_the_space(low: float, width: float, log: bool, whole: bool, number: int) -> None:
    ends = [int(low) + 1, int(low) + 2 + int(width)] if whole else [low, low + width]
    told = {"student": {"x": {"low": ends[0], "high": ends[1], "log": log}, "y": {"choices": ["a", [1, 2]]}}}
    known = Space.of(told)
    point = Proposal(known, [], number, falls=True).point
    assert ends[0] <= point["student.x"] <= ends[1]
    assert isinstance(point["student.x"], int) == whole
    assert point["student.y"] in ("a", [1, 2])
    turned = Space.of({"student": dict(reversed(told["student"].items()))})
    assert Proposal(turned, [], number, falls=True).point == point, "the order in the file does not matter"


def test_every_value_is_tried_with_every_model_before_anything_is_trained() -> None:
    points = list(space().probes())
    for name, of in space().dimensions.items():
        for model in ("mlp", "deepfm"):
            tried = [point[name] for point in points if point["student.model"] == model]
            assert all(value in tried for value in of.probes if name != "student.model")


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        (
            "trial.learning_rate = { low = 1e-2, high = 1e-3 }",
            "trial.learning_rate: low must be below high, got low=0.01",
        ),
        ("trial.learning_rate = { low = 1.0, high = 1.0 }", "low must be below high"),
        (
            "trial.learning_rate = { low = 0.0, high = 1.0, log = true }",
            "with log = true low must be positive, got low=0",
        ),
        ("trial.learning_rate = { low = 0.1 }", "a range has numbers low and high, got low=0.1, high=None"),
        ("trial.learning_rate = { low = 'a', high = 1 }", "a range has numbers low and high, got low='a'"),
        ("trial.learning_rate = { low = true, high = 2 }", "a range has numbers low and high, got low=True"),
        ("trial.learning_rate = { low = nan, high = 2 }", "a range has numbers low and high, got low=nan"),
        ("trial.learning_rate = { low = 1, high = 2, logs = true }", "unknown key 'logs', did you mean 'log'"),
        ("trial.learning_rate = { low = 1, high = 2, log = 3 }", "log must be true or false, got log=3"),
        ("trial.learning_rate = { low = 1, choices = [2] }", "has choices or a range, got low, choices"),
        ("trial.learning_rate = { choices = [] }", "at least one, got []"),
        ("trial.learning_rate = { choices = 3 }", "must be a list"),
        ("trial.learning_rate = { choices = [1, 1] }", "choices must differ, got [1, 1]"),
        ("student.arguments.hidden = { choices = [{ a = 1 }] }", "choices must be a list of numbers, texts"),
    ],
)
def test_a_wrong_dimension_is_refused_with_its_name(line: str, rule: str) -> None:
    with pytest.raises(UsageError) as error:
        space(line)
    assert rule in str(error.value)
    assert line.partition(" ")[0] in str(error.value)


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("trial.learning_rat = { low = 0.1, high = 1.0 }", "'trial.learning_rat', did you mean 'learning_rate'"),
        ("trail.learning_rate = { low = 0.1, high = 1.0 }", "unknown setting 'trail', did you mean 'trial'"),
        ("student.fit.batch_siz = { choices = [0, 64] }", "'student.fit.batch_siz', did you mean 'batch_size'"),
        ("student.arguments.hiden = { choices = [[8], [16]] }", "did you mean 'hidden'"),
        ("student.model = { choices = ['mlp', 'depfm'] }", "did you mean 'deepfm'"),
        ("student.model = { choices = ['deepfm', 'lr'] }", "unknown argument 'embedding_dim' of model 'lr'"),
        ("trial.learning_rate = { low = -1.0, high = 1.0 }", "greater than 0"),
        ("trial.alpha = { low = 0.0, high = 2.0 }", "less than or equal to 1"),
        ("student.fit.batch_size = { low = 32.0, high = 64.0 }", "valid integer"),
        ("student.arguments.embedding_dim = { low = 2.0, high = 8.0 }", "model 'deepfm' cannot take"),
        ("student.fit.learning_rate = { low = 0.1, high = 1.0 }", "it is trial.learning_rate"),
        ("student.fit.stop_by = { choices = ['auc', 'logloss'] }", "it is the same for all"),
        ("student.fit.seed = { choices = [0, 1] }", "it is the cell's"),
        ("student.distill.alpha = { choices = [0.1, 0.2] }", "distill.alpha is set by the experiment"),
        ("student.distill.loss = { choices = ['kd', 'kdd'] }", "no loss 'kdd'"),
        ("student.distill.hint = { choices = ['hint', 'mmd'] }", "a hint needs soft labels with the teacher's hidden"),
        ("student.fit.hidden.itm = { low = 0.0, high = 0.5 }", "has no feature 'itm'"),
        ("trial.temperature = 2.0", "at least one setting with more than one value"),
    ],
)
def test_a_space_that_fits_no_student_is_refused_before_anything_is_tried(
    labelled: Path, tmp_path: Path, line: str, rule: str
) -> None:
    toml = line if line.startswith("trial.alpha") else f"trial.alpha = 0.5\n{line}"
    with pytest.raises(UsageError) as error:
        tune(labelled, space(toml), trials=1, out=tmp_path / "t")
    assert rule in str(error.value)
    assert not (tmp_path / "t").exists()


# ------------------------------------------------------------------------------------- what is tried next


def poor(after: list[Tried], score: float, epoch: int, *, falls: bool = True) -> bool:
    return Proposal(Space.of(PLANTED), after, 0, falls=falls).is_poor(epoch, score)


def finished(score: float, loss: float = 0.5) -> Tried:
    return Tried({"trial.alpha": 0.5, "trial.learning_rate": 1e-2}, "finished", loss, 1, (score,) * 4)


@pytest.mark.parametrize("falls", [True, False])
def test_a_student_worse_than_the_median_is_pruned(falls: bool) -> None:
    """The median rule, by hand; AUC rises where logloss falls."""
    before = [finished(score) for score in (0.1, 0.2, 0.3, 0.4, 0.5)]
    assert len(before) == UNPRUNED
    worse, better = (0.31, 0.29) if falls else (0.29, 0.31)
    assert poor(before, worse, EPOCHS, falls=falls)
    assert not poor(before, better, EPOCHS, falls=falls)
    assert not poor(before, worse, EPOCHS - 1, falls=falls), "every student gets some epochs"
    assert not poor(before[1:], 9.0 if falls else 0.0, EPOCHS, falls=falls), "too few to say what is usual"


def test_what_is_proposed_depends_on_what_was_tried() -> None:
    """Of two settings the one that did better is tried more often; failures are kept away from."""
    known = Space.of({"trial": {"x": {"low": 0.0, "high": 1.0}}})
    points = [k / 11 for k in range(12)]
    before = [Tried({"trial.x": x}, "finished", abs(x - 0.9), 1) for x in points]
    drawn = [Proposal(known, before, number, falls=True).point["trial.x"] for number in range(30)]
    assert sum(x > 0.5 for x in drawn) > 20
    failing = [
        replace(one, state="failed", valid_logloss=None) if one.point["trial.x"] < 0.8 else one for one in before
    ]
    drawn = [Proposal(known, failing, number, falls=True).point["trial.x"] for number in range(30)]
    assert sum(x > 0.5 for x in drawn) > 20


def test_a_fit_tells_a_judge_every_validation_score(labelled: Path) -> None:
    class Judge:
        def __init__(self) -> None:
            self.scores: list[tuple[int, float]] = []

        def step(self, epoch: int, step: int, steps: int, epochs: int, rows: int) -> None:
            assert epoch == len(self.scores)

        def stopped(self) -> bool:
            return False

        def judged(self, epoch: int, score: float) -> None:
            self.scores.append((epoch, score))
            if len(self.scores) == 4:
                raise RuntimeError("enough")

    train, valid = RunFolder(labelled).labelled(CELL)
    settings, rows = StudentSettings().fit, train.take(train.labelled)
    encoder = StudentSettings().encoder.fit(train)
    student, judge = Ranker(encoder, build("mlp", encoder.spec)), Judge()
    before = student.network
    with pytest.raises(RuntimeError, match="enough"):
        fit(student, rows, valid=valid, settings=settings.model_copy(update={"patience": 9}), progress=judge)
    assert student.network is before, "a fit that is ended gives the network back"
    student, judge = Ranker(encoder, build("mlp", encoder.spec)), Judge()
    found = fit(student, rows, valid=valid, settings=settings.model_copy(update={"epochs": 3}), progress=judge)
    assert judge.scores == [(epoch, found.history[epoch]["logloss"]) for epoch in (1, 2, 3)]
    judge = Judge()
    fit(student, rows, settings=settings.model_copy(update={"epochs": 1}), progress=judge)
    assert not judge.scores, "without validation rows there is nothing to tell"


# ------------------------------------------------------------------------------------------- a tuned run


def test_the_better_of_two_settings_is_found_by_the_run_s_own_rules(labelled: Path, tmp_path: Path) -> None:
    """Its logloss is that of the same student made by hand."""
    found = tune(labelled, PLANTED, trials=5, out=tmp_path / "t")
    assert {one.point["trial.learning_rate"] for one in found.tried} == {1e-9, 1e-2}
    assert found.best.point == {"trial.alpha": 0.5, "trial.learning_rate": 1e-2}
    run = RunFolder(labelled)
    (train, valid), told = run.labelled(CELL), run.config.student
    encoder = told.encoder.fit(train)
    student = Ranker(encoder, build(told.model, encoder.spec, seed=0, arguments=told.arguments))
    soft = SoftLabels.load(run.soft_labels("adapted_teacher", CELL))
    fitting = told.fit.model_copy(update={"learning_rate": 1e-2, "weight_decay": 0.0})
    by_hand = distill(student, train, soft, valid=valid, settings=DistillSettings(alpha=0.5), fitting=fitting)
    assert found.best.valid_logloss == pytest.approx(by_hand.score, rel=1e-12)
    assert found.best.best_epoch == by_hand.best_epoch
    assert found.best.scores == tuple(entry["logloss"] for entry in by_hand.history[1:])
    assert found.rows == int(valid.labelled.sum())
    # A point that comes up again came to the same, and took no time.
    same = [one for one in found.tried if one.point == found.best.point]
    assert [one.seconds > 0 for one in same] == [True] + [False] * (len(same) - 1)
    assert len({one.valid_logloss for one in same}) == 1


def test_going_on_after_a_stop_tries_what_would_have_been_tried_without(labelled: Path, tmp_path: Path) -> None:
    class Stopping(Silence):
        """A board that presses Ctrl-C in the middle of a trial."""

        def moved(self, unit: str, share: float) -> None:
            if unit == "trial 4":
                raise KeyboardInterrupt

    at_once = tune(labelled, space(), trials=14, out=tmp_path / "once")
    with pytest.raises(Interrupted, match="3 trials are kept, and the same command continues"):
        tune(labelled, space(), trials=14, out=tmp_path / "stopped", board=Stopping())
    assert len(json.loads((tmp_path / "stopped/trials.json").read_text())["trials"]) == 3
    kept = (tmp_path / "stopped/trials.json").read_text()
    assert len(tune(labelled, space(), trials=5, out=tmp_path / "stopped").tried) == 5
    assert json.loads((tmp_path / "stopped/trials.json").read_text())["trials"][:3] == json.loads(kept)["trials"]
    resumed = tune(labelled, space(), trials=14, out=tmp_path / "stopped")
    assert without_seconds(resumed) == without_seconds(at_once)
    assert (tmp_path / "stopped/best.toml").read_text().splitlines()[1:] == (
        tmp_path / "once/best.toml"
    ).read_text().splitlines()[1:]
    # It was pruned by what went before, and what is pruned has no logloss.
    assert at_once.count("pruned") + at_once.count("finished") == 14
    assert at_once.count("pruned") > 0
    assert all((one.valid_logloss is None) == (one.state == "pruned") for one in at_once.tried)
    assert min(len(one.scores) for one in at_once.tried if one.state == "pruned") >= EPOCHS
    assert at_once.best.valid_logloss == min(
        one.valid_logloss for one in at_once.tried if one.valid_logloss is not None
    )
    # The figures of Optuna are to be had of it.
    study = study_of(at_once.space, at_once.tried)
    assert study.best_value == at_once.best.valid_logloss
    assert len(study.trials) == 14


KILLED = """
import os, signal, sys, tomllib
from pathlib import Path
from recdistill.progress import Silence
from recdistill.tuning import tune

class Killing(Silence):
    def moved(self, unit, share):
        if unit == "trial 3":
            os.kill(os.getpid(), signal.SIGKILL)

run, toml, out = sys.argv[1:]
tune(Path(run), tomllib.loads(toml), trials=4, out=Path(out), board=Killing())
"""


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_a_kill_costs_the_trial_that_was_running(labelled: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-c", KILLED, str(labelled), SPACE, str(tmp_path / "killed")]
    assert subprocess.run(words, check=False).returncode == -signal.SIGKILL
    assert len(json.loads((tmp_path / "killed/trials.json").read_text())["trials"]) == 2
    resumed = tune(labelled, space(), trials=4, out=tmp_path / "killed")
    assert without_seconds(resumed) == without_seconds(tune(labelled, space(), trials=4, out=tmp_path / "once"))


def test_soft_labels_are_only_read_and_test_rows_not_at_all(
    labelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder(labelled)
    files = {path for path in labelled.rglob("*") if path.is_file()}
    before = {path: (sha256(path), path.stat().st_mtime_ns) for path in files}
    reference = tune(labelled, space(), trials=3, out=tmp_path / "whole")
    assert {path: (sha256(path), path.stat().st_mtime_ns) for path in files} == before
    assert {path for path in labelled.rglob("*") if path.is_file()} == files, "what is tried goes to its own folder"

    (rows,) = run.prepared("test").glob("*.parquet")
    content = rows.read_bytes()
    try:
        rows.write_bytes(bytes(len(content)))
        run_folder._read.cache_clear()
        run_folder._labelled.cache_clear()
        with pytest.raises(Exception, match=r"parquet|changed|read"):
            run.part("test")
        assert without_seconds(tune(labelled, space(), trials=3, out=tmp_path / "poisoned")) == without_seconds(
            reference
        )
    finally:
        rows.write_bytes(content)


def test_what_cannot_be_trained_is_counted_and_does_not_end_the_tuning(labelled: Path, tmp_path: Path) -> None:
    told = {"trial": {"learning_rate": {"choices": [1e38, 1e-2]}, "alpha": 0.5}}
    found = tune(labelled, told, trials=6, out=tmp_path / "t")
    assert found.count("failed") > 0
    assert found.best.point["trial.learning_rate"] == 1e-2
    assert all("must be finite" in one.reason for one in found.tried if one.state == "failed")
    only = {"trial": {"learning_rate": {"choices": [1e38, 2e38]}, "alpha": 0.5}}
    with pytest.raises(TrainingError, match="none of 2 students could be trained: the first failed: the"):
        tune(labelled, only, trials=2, out=tmp_path / "none")


def test_a_control_is_tuned_in_the_same_space_without_what_it_does_not_hear(labelled: Path, tmp_path: Path) -> None:
    left = heard_by(space(), "hard_only").dimensions
    assert set(space().dimensions) - set(left) == {"trial.alpha"}
    found = tune(labelled, space(), arm="hard_only", trials=2, out=tmp_path / "t")
    assert set(found.best.point) == set(left)
    toml = tomllib.loads(found.best_toml.read_text())
    assert toml["tune"]["controls"][-1]["learning_rate"] == found.best.point["trial.learning_rate"]
    placebo = tune(labelled, PLANTED, arm="base_rate_all", trials=1, out=tmp_path / "p")
    assert "trial.alpha" in placebo.best.point


def test_another_tuning_in_the_same_folder_is_refused(labelled: Path, tmp_path: Path) -> None:
    tune(labelled, PLANTED, trials=1, out=tmp_path / "t")
    other = {"trial": {"learning_rate": {"choices": [1e-9, 2e-2]}, "alpha": 0.5}}
    for wrong, told in (({}, other), ({"arm": "source_all"}, PLANTED)):
        with pytest.raises(UsageError, match=r"holds another tuning: .* there and .* here.*; choose another folder"):
            tune(labelled, told, trials=1, out=tmp_path / "t", **wrong)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("precious")
    with pytest.raises(UsageError, match=r"is not empty and holds no trials\.json"):
        tune(labelled, PLANTED, trials=1, out=tmp_path / "mine")
    (tmp_path / "t/trials.json").write_text("{")
    with pytest.raises(DataError, match="is not JSON"):
        tune(labelled, PLANTED, trials=1, out=tmp_path / "t")


def test_what_an_arm_needs_is_asked_for(labelled: Path, tmp_path: Path) -> None:
    for told, rule in (
        ({"arm": "adapted_al"}, "makes no arm 'adapted_al' of a share of 0.5 of the labels, did you mean"),
        ({"arm": "in_sample_all"}, "makes no arm 'in_sample_all'"),
        ({"arm": "adapted_all_warm"}, "source_finetuned/labels-0.5-seed-0 is not there yet; run `recdistill distill"),
        ({"arm": "source_finetuned"}, "starts from another student's weights, whose shape it keeps: student.arg"),
        ({"trials": 0}, "at least one trial"),
        ({"minutes": 0.0}, "minutes above 0"),
    ):
        with pytest.raises(UsageError) as error:
            tune(labelled, space(), out=tmp_path / "t", **told)
        assert rule in str(error.value)
    shallow = {"trial": {"learning_rate": {"low": 0.001, "high": 0.01}}}
    with pytest.raises(UsageError, match=r"listens to a teacher: its space says how much, e.g. alpha = \{ low = 0.0"):
        tune(labelled, shallow, trials=1, out=tmp_path / "t")
    warm = tune(labelled, shallow, arm="source_finetuned", trials=1, out=tmp_path / "w")
    assert warm.best.state == "finished"


def test_students_are_trained_on_one_thread_as_by_a_run_s_workers(labelled: Path, tmp_path: Path) -> None:
    class Counting(Silence):
        def moved(self, unit: str, share: float) -> None:
            counts.add(torch.get_num_threads())

    counts: set[int] = set()
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        tune(labelled, PLANTED, trials=1, out=tmp_path / "t", board=Counting())
        assert (counts, torch.get_num_threads()) == ({1}, 2)
    finally:
        torch.set_num_threads(before)


def test_minutes_end_it_after_at_least_one(labelled: Path, tmp_path: Path) -> None:
    assert len(tune(labelled, PLANTED, trials=5, minutes=1e-9, out=tmp_path / "t").tried) == 1


def test_without_optuna_it_says_what_to_install(
    labelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(EnvironmentFault, match=r"pip install 'recdistill\[tune\]'"):
        tune(labelled, PLANTED, trials=1, out=tmp_path / "t")


def test_optuna_is_silent_unless_it_was_told_to_speak(capfd: pytest.CaptureFixture[str]) -> None:
    import optuna

    stream = logging.getLogger("optuna")
    study_of(Space.of(PLANTED), [finished(0.3)])
    assert capfd.readouterr() == ("", "")
    assert stream.level == logging.INFO, "as it was"
    heard: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record.getMessage())

    ear = Ear()
    stream.addHandler(ear)
    optuna.logging.set_verbosity(optuna.logging.DEBUG)
    try:
        study_of(Space.of(PLANTED), [])
    finally:
        optuna.logging.set_verbosity(optuna.logging.INFO)
        stream.removeHandler(ear)
    assert any("new study" in line for line in heard)


# --------------------------------------------------------------------------------------- the command line


@pytest.fixture
def run_there(call: Call, labelled: Path, tmp_path: Path) -> Callable[[], Path]:
    """The run beside the command line's other files."""

    def there() -> Path:
        return Path(shutil.copytree(labelled, tmp_path / "r"))

    return there


def test_the_best_is_an_experiment_that_comes_to_the_same(
    call: Call, run_there: Callable[[], Path], tmp_path: Path
) -> None:
    run_there()
    (tmp_path / "space.toml").write_text(SPACE.replace("low = 0, high = 1", "low = 0.3, high = 1"))
    code, output, errors = call("tune", "r", "--space", "space.toml", "--trials", "6")
    assert (code, errors) == (0, "")
    folder = "r/tuning/adapted_all/labels-0.5-seed-0"
    trials = json.loads((tmp_path / folder / "trials.json").read_text())["trials"]
    best = min((one for one in trials if one["state"] == "finished"), key=lambda one: one["valid_logloss"])
    assert "trials of adapted_all/labels-0.5-seed-0: 6 to make" in output
    assert f"[6/6] trial 6: {Tried(**trials[5]).words}" in output
    assert "adapted_all: the best on" in output
    assert "trial  validation logloss  best epoch  arguments.hidden  fit.batch_size  model" in output
    assert f"{trials.index(best) + 1}      {best['valid_logloss']:.4f}" in output
    finished_ones = sum(one["state"] == "finished" for one in trials)
    assert f"6 trials: {finished_ones} finished, {6 - finished_ones} pruned" in output
    assert "Caution: compare it only with controls that had as many trials: recdistill tune r --space" in output
    assert "--arm hard_only --labels 0.5 --seed 0 --trials 6 (and --arm base_rate_all)" in output
    assert (
        f"{folder}/best.toml is written; next: recdistill run {folder}/best.toml --out runs/tuned_adapted_all" in output
    )
    table = (tmp_path / folder / "trials.csv").read_text().splitlines()
    assert table[0].startswith("trial,state,valid_logloss,best_epoch,seconds,reason,student.arguments.hidden")
    assert len(table) == 7

    made = (tmp_path / folder / "trials.json").read_bytes()
    assert call("tune", "r", "--space", "space.toml", "--trials", "6")[0] == 0
    assert (tmp_path / folder / "trials.json").read_bytes() == made, "nothing is to be done"

    assert call("run", f"{folder}/best.toml", "--out", "again", "--set", "strategy=hard_only")[0] == 0
    facts = manifest(RunFolder(tmp_path / "again").student("adapted_all", CELL))["facts"]
    assert facts["valid_logloss"] == best["valid_logloss"]
    assert facts["best_epoch"] == best["best_epoch"]
    code, output, errors = call("tune", "again", "--space", "space.toml", "--trials", "2")
    assert (code, errors) == (0, "")
    fresh = json.loads((tmp_path / folder.replace("r/", "again/", 1) / "trials.json").read_text())["trials"]
    assert f"the run's own student of adapted_all: {best['valid_logloss']:.4f}" in output
    gains = min(one["valid_logloss"] for one in fresh if one["state"] == "finished") < best["valid_logloss"]
    assert ("Caution: no trial is better than the run's own student of adapted_all" in output) == (not gains)
    told = {name.partition(".")[2]: value for name, value in best["point"].items() if name.startswith("trial.")}
    assert told.items() <= facts["choice"].items()
    soft = [path.relative_to(tmp_path / "r") for path in (tmp_path / "r").rglob("logits.parquet")]
    assert all(sha256(tmp_path / "r" / path) == sha256(tmp_path / "again" / path) for path in soft)


def test_the_command_line_refuses(call: Call, run_there: Callable[[], Path], tmp_path: Path) -> None:
    (tmp_path / "space.toml").write_text(SPACE)
    assert call("prepare", "tiny.toml", "--out", "fresh")[0] == 0
    for arguments, rule in (
        (["fresh"], "run `recdistill teacher fresh` first"),
        (["nowhere"], "nowhere holds no run"),
        (["fresh", "--labels", "0.2"], "fresh has labels 0.5 and seeds below 1, got --labels 0.2 --seed 0"),
        (["fresh", "--arm", "nonsense"], "makes no arm 'nonsense'"),
    ):
        code, _, errors = call("tune", *arguments, "--space", "space.toml")
        assert code == 2
        assert rule in errors
    code, _, errors = call("tune", "fresh", "--space", "spce.toml")
    assert code == 2
    assert "did you mean 'space.toml'" in errors


def test_settings_of_a_point_take_the_place_of_the_student_s() -> None:
    told = applied(StudentSettings(), {"trial.alpha": 0.25, "student.arguments.embedding_dim": 2})
    assert told.trial.alpha == 0.25
    assert told.student.arguments == {"embedding_dim": 2, "hidden": [32]}
    assert told.student.fit == StudentSettings().fit
