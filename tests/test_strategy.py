"""The strategy of a run: its candidates again by hand, its decision, and what it keeps; arms by their names."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tiny import Call

from recdistill import run_arms, sources
from recdistill.arms import ARMS, AUTO, CONTROLS, PLACEBOS, candidates_of, placebo_of
from recdistill.artefacts import manifest
from recdistill.calibration import calibrate
from recdistill.configuration import Config, DataSettings
from recdistill.datasets import synthetic
from recdistill.distillation import DistillSettings, distill
from recdistill.fit_settings import FitSettings
from recdistill.label_budget import Cell
from recdistill.models import build
from recdistill.ranker import Ranker
from recdistill.run_folder import RunFolder
from recdistill.settings import fill
from recdistill.soft_labels import SoftLabels
from recdistill.splits import folds
from recdistill.transfer import decide

CELL = Cell(0.5, 0)
CANDIDATES = ("hard_only", "source_finetuned", "adapted_all", "adapted_all_warm")
ASKED = ("calibrated_source_all", "in_sample_labelled")


def configured(*, source: bool = True, unlabelled: bool = True, **told: object) -> set[str]:
    return set(run_arms.configured(fill(Config, told), source=source, unlabelled=unlabelled))


def test_arms_are_those_asked_for_with_their_placebos_and_what_the_strategy_needs() -> None:
    every = configured()
    assert every == {name for name, arm in ARMS.items() if arm.teacher in (None, "source_teacher", "adapted_teacher")}
    assert configured(unlabelled=False) == {name for name in every if not ARMS[name].unlabelled}
    asked = configured(arms=["calibrated_source_labelled"])
    assert asked == {
        "calibrated_source_labelled",
        "permuted_labelled",
        *CANDIDATES,
        "base_rate_all",
        "base_rate_all_warm",
    }
    told = {"arms": ["source_all"], "strategy": "adapted_labelled_warm"}
    assert configured(**told) == {*CONTROLS, *told["arms"], "base_rate_all", told["strategy"], "permuted_labelled_warm"}
    named = {"calibrated_source_all", "in_sample_labelled_warm"}
    assert all(configured(strategy=name) == every | {name} for name in named), "what is shipped is made"
    scores = configured(teacher={"scores": "logit"}, source=False)
    assert "source_finetuned" not in scores
    assert {ARMS[name].teacher for name in scores} == {None, "given_scores", "calibrated_scores"}


def test_there_are_unlabelled_rows_unless_all_came_with_labels_that_are_kept() -> None:
    _, target = synthetic.load(source_rows=10, target_rows=20)
    partly, data = target.with_labels_only(np.arange(20) > 0), DataSettings()
    assert not run_arms.has_unlabelled(data, 1.0, target)
    assert run_arms.has_unlabelled(data, 0.9, target)
    assert run_arms.has_unlabelled(data, 1.0, partly)
    assert run_arms.has_unlabelled(data.model_copy(update={"negatives": 1}), 1.0, target), "pairs are drawn"


def test_a_placebo_has_all_of_its_arm_but_the_teacher() -> None:
    for name, arm in ARMS.items():
        placebo = ARMS[placebo_of(name)]
        assert placebo.teacher is None
        assert (placebo.warm, placebo.unlabelled) == (arm.warm, arm.unlabelled)
        assert placebo_of(placebo_of(name)) == placebo_of(name)
        assert (placebo_of(name) in PLACEBOS) == arm.distilled


@pytest.mark.parametrize("teacher", ["adapted_teacher", "calibrated_scores"])
def test_candidates_are_few_and_can_be_made(teacher: str) -> None:
    for source in (True, False):
        for unlabelled in (True, False):
            names = candidates_of(teacher, source=source, unlabelled=unlabelled)
            assert names[0] == "hard_only"
            assert ("source_finetuned" in names) == source
            assert len(names) <= 4
            assert ARMS[names[-1]].teacher == teacher
            assert any(ARMS[name].unlabelled for name in names) == unlabelled


def test_a_run_ships_what_cross_validation_chose(call: Call, tmp_path: Path) -> None:
    code, _, errors = call("run", "distilling.toml", "--out", "r", "--set", f"arms={list(ASKED)}")
    assert (code, errors) == (0, "")
    run = RunFolder(tmp_path / "r")
    result = json.loads((run.report / "report.json").read_text())
    pooled, (cell,) = result["pooled"][0], result["cells"]
    placebos = {"base_rate_all", "base_rate_all_warm", "permuted_labelled"}
    of_run = {"source_teacher", "adapted_teacher", "auto", "chosen", "placebo", "best_possible"}
    assert set(result["rankers"]) == {*ASKED, *CANDIDATES, *placebos, *of_run}
    roles = {name: entry["role"] for name, entry in result["rankers"].items()}
    assert {roles[name] for name in (*CONTROLS, *placebos)} == {"control"}
    assert {roles[name] for name in (*ASKED, *CANDIDATES[2:], "auto")} == {"student"}

    # What it ships is the arm that it chose, to the last bit.
    (shipped,), (decision,) = pooled["shipped"], pooled["decisions"]
    chosen, auto = (Ranker.load(run.student(name, CELL)) for name in (shipped, AUTO))
    assert shipped == decision["chosen"]
    assert auto.fingerprint == chosen.fingerprint
    test = run.tables()["test"]
    assert (auto.score(test) == chosen.score(test)).all()
    assert result["rankers"]["auto"]["metrics"] == result["rankers"][shipped]["metrics"]
    facts = manifest(run.student(AUTO, CELL))["facts"]
    assert facts["choice"] == manifest(run.student(shipped, CELL))["facts"]["choice"]
    assert facts["seconds"] > sum(cell["rankers"][name]["seconds"] for name in CANDIDATES)
    assert facts["decision"] == decision == cell["rankers"]["auto"]["decision"]

    # Its reason is what the candidates without a fold say of that fold.
    train, _ = run.labelled(CELL)
    masks = folds(train, k=2, seed=0)
    best = min(CANDIDATES[2:], key=lambda name: cell["rankers"][name]["valid_logloss"])
    logits = {name: np.zeros(len(train)) for name in (*CONTROLS, best)}
    for name, found in logits.items():
        for k, fold in enumerate(masks):
            found[fold] = Ranker.load(run.held_out(name, CELL, k)).score(train.take(fold))
    labelled = train.labelled
    out_of_fold = {name: found[labelled] for name, found in logits.items()}
    by_hand = decide(out_of_fold, train.take(labelled), fold=np.argmax(masks, axis=0)[labelled])
    assert by_hand.to_dict() == decision
    assert set(by_hand.gains) == {"source_finetuned", best}
    assert not run.held_out(next(name for name in CANDIDATES[2:] if name != best), CELL, 0).exists()
    assert not any(ARMS[name].placebo for name in by_hand.gains)

    # Teachers that must be asked for say what their names promise.
    source, whole = (Ranker.load(place) for place in run.teacher_models(CELL).values())
    soft = {name: SoftLabels.load(run.soft_labels(name, CELL)) for name in ("calibrated_teacher", "in_sample_teacher")}
    assert soft["in_sample_teacher"].sample == "in_sample"
    assert np.allclose(soft["in_sample_teacher"].for_table(train), whole.score(train), atol=1e-6)
    again = calibrate(SoftLabels.from_teacher(source, train), train, k=2, seed=0)
    assert np.allclose(soft["calibrated_teacher"].for_table(train), again.for_table(train), atol=1e-6)
    assert not run.soft_labels("source_teacher", CELL).exists(), "no arm needs them"


def test_a_candidate_without_a_fold_saw_none_of_its_labels(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each again by hand: its teacher, what it starts from, its vocabulary and its own rows leave the fold out.

    Its batches are as large as those of all rows, whatever fewer rows would get.
    """
    monkeypatch.setattr(sources, "step_rows", lambda rows: rows // 8)
    given = ("--set", "arms=['adapted_all']", "--set", "folds=3")
    for verb in ("prepare", "teacher", "label", "distill"):
        told = ("distilling.toml", "--out", "r", *given) if verb == "prepare" else ("r",)
        assert call(verb, *told)[0] == 0
    run = RunFolder(tmp_path / "r")
    train, _ = run.labelled(CELL)
    for k, fold in enumerate(folds(train, k=3, seed=0)):
        known = train.take(~fold)
        encoder = run.config.student.encoder.fit(known)
        soft = SoftLabels.from_teacher(Ranker.load(run.adapted(CELL, f"fold-{k}")), known, in_sample=True)
        finetuned: Ranker | None = None
        for name in run_arms.candidates(run, CELL):
            facts = manifest(run.student(name, CELL))["facts"]
            assert facts["batch_size"] == (len(train) if ARMS[name].unlabelled else int(train.labelled.sum())) // 8
            trial, epochs = facts["choice"], facts["best_epoch"]
            if name == "source_finetuned":
                student = Ranker.load(run.pretrained("source_student", 0)).refitted(known)
            elif ARMS[name].warm and finetuned is not None:
                student = finetuned.copy()
            else:
                network = build("deepfm", encoder.spec, seed=0, arguments=run.config.student.arguments)
                student = Ranker(encoder, network)
            heard = soft if trial["alpha"] else None
            settings = DistillSettings(alpha=trial["alpha"])
            steps = {"epochs": max(1, epochs), "batch_size": facts["batch_size"]}
            fitting = FitSettings(**steps, learning_rate=trial["learning_rate"], weight_decay=0.0)
            if epochs:  # otherwise the arm is what it began as
                distill(student, known, heard, settings=settings, fitting=fitting)
            assert student.fingerprint == Ranker.load(run.held_out(name, CELL, k)).fingerprint, (name, k)
            finetuned = student if name == "source_finetuned" else finetuned
