"""What a run's students listen to, what of its teacher is adapted, and how it is calibrated."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tiny import DISTILLING, TINY

from recdistill import experiment, run_arms
from recdistill.arms import ARMS, Trial
from recdistill.artefacts import manifest
from recdistill.cells.students import listening
from recdistill.configuration import Config
from recdistill.datasets import synthetic
from recdistill.distillation import DistillSettings
from recdistill.label_budget import Cell
from recdistill.ranker import Ranker
from recdistill.run_folder import RunFolder
from recdistill.settings import fill, override
from recdistill.soft_labels import SoftLabels
from recdistill.work import Workers

CELL = Cell(0.5, 0)
EVERY_SIGNAL = "{loss = 'ranknet_kd', head = 'side', adapter = true, hint = 'similarity', curriculum = 1}"
GRADES = (1.0, 2.0, 3.0)


def prepared(folder: Path, toml: str, *settings: str) -> RunFolder:
    """A run with its rows."""
    return experiment.prepare(fill(Config, override(tomllib.loads(toml), settings)), folder)


def made(folder: Path, toml: str, *settings: str) -> RunFolder:
    """A run up to its students."""
    run, crew = prepared(folder, toml, *settings), Workers(1)
    experiment.train_teachers(run, crew)
    experiment.label(run, crew)
    experiment.distil(run, crew)
    return run


def student(run: RunFolder, arm: str) -> str:
    """The fingerprint of an arm's student."""
    return Ranker.load(run.student(arm, CELL)).fingerprint


def rated_file(folder: Path) -> list[str]:
    """Source and target with ratings in files, and the settings that read them."""
    for side, table in zip(
        ("source", "target"), synthetic.load(seed=0, source_rows=3000, target_rows=3000), strict=True
    ):
        stars = 1.0 + np.random.default_rng(0).binomial(len(GRADES) - 1, table.numpy("true_probability"))
        columns = {name: table.arrow[name] for name in ("user_id", "item_id", "price")}
        pq.write_table(pa.table({**columns, "stars": stars}), folder / f"{side}.parquet")
    schema = 'user = "user_id", categorical = ["user_id", "item_id"], number = ["price"]'
    rated = f'{schema}, rating = "stars", grades = {list(GRADES)}'
    given = f'{{source = "source.parquet", target = "target.parquet", schema = {{{rated}}}}}'
    return ["data.name=files", f"data.root={folder}", f"data.arguments={given}"]


def test_at_alpha_0_a_student_is_the_control_whatever_it_would_listen_to(tmp_path: Path) -> None:
    arms = "['source_labelled', 'source_all', 'permuted_labelled', 'base_rate_all']"
    run = made(tmp_path / "r", TINY, f"student.distill={EVERY_SIGNAL}", f"arms={arms}", "strategy=hard_only")
    for arm in ("source_labelled", "source_all", "permuted_labelled", "base_rate_all"):
        assert student(run, arm) == student(run, "hard_only"), arm


@pytest.mark.slow
def test_a_student_listens_to_what_the_run_is_told(tmp_path: Path) -> None:
    arms = "arms=['in_sample_labelled', 'calibrated_source_all']"
    plain = made(tmp_path / "plain", DISTILLING, arms)
    told = made(tmp_path / "told", DISTILLING, arms, f"student.distill={EVERY_SIGNAL}")
    for arm in ("in_sample_labelled", "calibrated_source_all", "adapted_all", "permuted_labelled", "base_rate_all"):
        assert student(told, arm) != student(plain, arm), arm
        assert Ranker.load(told.student(arm, CELL)).parameters == Ranker.load(plain.student(arm, CELL)).parameters
    for teacher in ("in_sample_teacher", "calibrated_teacher", "adapted_teacher"):
        kept = [SoftLabels.load(run.soft_labels(teacher, CELL)) for run in (plain, told)]
        assert (kept[0].logits == kept[1].logits).all()
        assert kept[0].hidden is None
        assert kept[1].hidden is not None
        assert kept[1].hidden.shape == (len(kept[1].logits), 16)
    assert student(told, "auto") in {student(told, arm) for arm in run_arms.candidates(told, CELL)}


def test_a_placebo_has_no_hint_and_alpha_0_no_curriculum() -> None:
    told = DistillSettings(hint="similarity", curriculum=3, loss="dist")
    heard = listening(told, ARMS["permuted_labelled"], Trial(alpha=0.5, temperature=2.0))
    assert heard == DistillSettings(alpha=0.5, temperature=2.0, unlabelled=False, curriculum=3, loss="dist")
    heard = listening(told, ARMS["adapted_all"], Trial(alpha=0.0))
    assert heard == told.model_copy(update={"alpha": 0.0, "curriculum": 0})
    assert not heard.listens


def test_a_teacher_can_be_adapted_by_its_head_alone(tmp_path: Path) -> None:
    run = prepared(tmp_path / "r", TINY, "teacher.adapted=head", "tune.adapted=[{learning_rate=0.01}]")
    experiment.train_teachers(run, Workers(1))
    before = Ranker.load(run.pretrained("source_teacher", 0)).extended(run.labelled(CELL)[0])
    after = Ranker.load(run.adapted(CELL, "whole"))
    head = {id(weights) for weights in after.network.head}  # type: ignore[union-attr]
    for (name, old), new in zip(before.network.named_parameters(), after.network.parameters(), strict=True):
        assert torch.equal(old, new) != (id(new) in head), name


def test_ratings_are_calibrated_by_temperature(tmp_path: Path) -> None:
    given = [
        *rated_file(tmp_path),
        "strategy=hard_only",
        "arms=['calibrated_source_all', 'calibrated_source_labelled_warm']",
    ]
    run = made(tmp_path / "r", TINY, *given)
    calibration = manifest(run.soft_labels("calibrated_teacher", CELL))["facts"]["calibration"]
    assert calibration["whole"]["kind"] == "temperature"
    soft = SoftLabels.load(run.soft_labels("calibrated_teacher", CELL))
    assert (soft.sample, soft.logits.shape[1]) == ("out_of_fold", len(GRADES))
    experiment.evaluate(run)


def test_a_run_calibrates_by_the_kind_that_it_is_told(tmp_path: Path) -> None:
    given = ["teacher.calibration=isotonic", "arms=['calibrated_source_all']", "strategy=hard_only"]
    run = made(tmp_path / "r", TINY, *given)
    assert manifest(run.soft_labels("calibrated_teacher", CELL))["facts"]["calibration"]["whole"]["kind"] == "isotonic"
