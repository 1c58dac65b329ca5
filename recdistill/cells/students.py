"""The students of a run: one of each arm, every candidate of its budget tried."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from recdistill.arms import ARMS, Arm, Trial
from recdistill.cells.trying import Best, new_ranker
from recdistill.distillation import DistillSettings, distill
from recdistill.examples import Examples
from recdistill.label_budget import Cell
from recdistill.placebos import base_rate, permuted
from recdistill.progress import Progress, Watch
from recdistill.ranker import Ranker
from recdistill.run_folder import RunFolder
from recdistill.soft_labels import SoftLabels
from recdistill.tables import Table

Logits = np.ndarray[Any, np.dtype[np.float32]]


def teach(run: RunFolder, name: str, cell: Cell, watch: Watch) -> str:
    """The student of one arm: every candidate of its budget, the best on the labelled validation rows kept.

    Args:
        run: the run's folder.
        name: of the arm.
        cell: whose labels.
        watch: told how far it is.
    """
    arm, started = ARMS[name], time.process_time()
    train, valid = run.labelled(cell)
    start = starting(run, name, cell)
    examples = Examples.of(start.encoder, train)
    if arm.distilled:
        examples = examples.with_teacher(signal(run, name, cell, train))
    trials, held_out = run.config.tune.of(arm), Best(valid)
    for number, trial in enumerate(trials):
        student = start.copy()
        learn(run, student, examples, valid, Learning(arm, trial, cell.seed), watch.part(number, len(trials)))
        held_out.offer(student, trial)
    spent = time.process_time() - started
    words = held_out.save(run.student(name, cell), run.identity, seconds=spent, trials=len(trials))
    return f"{words} with {held_out.trial.words(distilled=arm.distilled)}"


def signal(run: RunFolder, name: str, cell: Cell, train: Table) -> Logits:
    """What an arm's student hears of each training row beside the labels: soft labels, or a placebo's stand-in.

    Returns:
        (rows,) or (rows, classes) logits; NaN where there are none.
    """
    arm = ARMS[name]
    teacher = arm.teacher or run.teachers[-1]
    if arm.placebo == "base_rate":
        return base_rate(train)
    soft = SoftLabels.load(run.soft_labels(teacher, cell)).for_table(train)
    return soft if arm.placebo is None else permuted(soft, train, seed=cell.seed)


@dataclass(frozen=True)
class Learning:
    """How a student learns.

    Args:
        arm: the way.
        trial: the candidate.
        seed: of the training.
    """

    arm: Arm
    trial: Trial
    seed: int


def learn(
    run: RunFolder, student: Ranker, examples: Examples, valid: Table, how: Learning, progress: Progress | None
) -> None:
    """Train a student in place, as one candidate of an arm is trained."""
    trial = how.trial
    fitting = run.config.student.fit.model_copy(update={**trial.fitting, "seed": how.seed})
    settings = DistillSettings(alpha=trial.alpha, temperature=trial.temperature, unlabelled=how.arm.unlabelled)
    distill(student, examples, None, valid=valid, settings=settings, fitting=fitting, progress=progress)


def starting(run: RunFolder, name: str, cell: Cell, control: Ranker | None = None) -> Ranker:
    """The student before it sees the target's labels; cold or warm, it has the ids of the target's training rows.

    `source_finetuned` starts from the student trained on the source, a warm arm from `source_finetuned`, or where
    there are no source rows from `hard_only`.

    Args:
        run: the run's folder.
        name: of the arm.
        cell: whose labels.
        control: what a warm arm starts from, if not the run's own.
    """
    settings, (train, _) = run.config.student, run.labelled(cell)
    if name == "source_finetuned":
        return Ranker.load(run.pretrained("source_student", cell.seed)).refitted(train)
    if ARMS[name].warm:
        return Ranker.load(run.student(run.controls[-1], cell)) if control is None else control.copy()
    return new_ranker(settings, settings.encoder.fit(train), train.schema.classes, cell.seed)
