"""The students of a run: one of each arm, every candidate of its budget tried."""

from __future__ import annotations

from collections.abc import Sequence

from recdistill import run_arms
from recdistill.arms import ARMS, Arm, Trial
from recdistill.artefacts import manifest
from recdistill.cells.trying import Best, new_ranker, stopwatch
from recdistill.configuration import StudentSettings
from recdistill.distillation import DistillSettings, distill, examples_for
from recdistill.encoder import Encoder
from recdistill.examples import Examples
from recdistill.label_budget import Cell
from recdistill.placebos import base_rate, permuted
from recdistill.progress import Progress, Watch
from recdistill.ranker import Ranker
from recdistill.run_folder import RunFolder
from recdistill.soft_labels import SoftLabels
from recdistill.tables import Table
from recdistill.training import Fitted


def teach(run: RunFolder, name: str, cell: Cell, watch: Watch) -> str:
    """The student of one arm: every candidate of its budget, the best on the labelled validation rows kept.

    Args:
        run: the run's folder.
        name: of the arm.
        cell: whose labels.
        watch: told how far it is.
    """
    arm, told, (train, valid), spent = ARMS[name], run.config.student, run.labelled(cell), stopwatch()
    start, labeller = starting(run, name, cell, train), run_arms.labeller(run, arm)
    soft = None if labeller is None else SoftLabels.load(run.soft_labels(labeller, cell))
    labelling = 0.0 if labeller is None else manifest(run.soft_labels(labeller, cell))["facts"].get("seconds", 0.0)
    examples, trials = lesson(told.distill, arm, start.encoder, train, soft, seed=cell.seed), run.config.tune.of(arm)
    held_out = best_of(trials, told, start, examples, valid, arm=arm, seed=cell.seed, watch=watch)
    facts = {"seconds": spent(), "labelling_seconds": labelling, "trials": len(trials)}
    words = held_out.save(run.student(name, cell), run.identity, **facts)
    return f"{words} with {held_out.trial.words(distilled=arm.distilled)}"


def best_of(
    trials: Sequence[Trial],
    told: StudentSettings,
    start: Ranker,
    examples: Examples,
    valid: Table,
    *,
    arm: Arm,
    seed: int,
    watch: Watch,
) -> Best:
    """Train a copy of a student as each of some candidates, and keep the best on the labelled validation rows."""
    held_out = Best(valid)
    for number, trial in enumerate(trials):
        student, progress = start.copy(), watch.part(number, len(trials))
        found = learn(told, student, examples, valid, arm=arm, trial=trial, seed=seed, progress=progress)
        held_out.offer(student, trial, found)
    return held_out


def lesson(
    told: DistillSettings, arm: Arm, encoder: Encoder, train: Table, soft: SoftLabels | None, *, seed: int
) -> Examples:
    """The training rows with all that an arm's student hears of them: labels, and soft labels or a placebo's stand-in.

    Args:
        told: what students listen to in the run.
        arm: the way.
        encoder: the student's.
        train: the rows.
        soft: of the arm's teacher, or those that a placebo permutes; None for none.
        seed: of the permutation.
    """
    if arm.placebo is None:
        return Examples.of(encoder, train) if soft is None else examples_for(encoder, train, soft, told)
    stand_in = base_rate(train) if soft is None else permuted(soft.for_table(train), train, seed=seed)
    return examples_for(encoder, train, None, told).with_teacher(stand_in)


def listening(told: DistillSettings, arm: Arm, trial: Trial) -> DistillSettings:
    """What a student listens to as one candidate of an arm.

    At alpha 0 it hears no teacher, in no epoch of a curriculum. A placebo has no hint: what stands in are logits.

    Args:
        told: what students listen to in the run.
        arm: the way.
        trial: the candidate.
    """
    changed = {"alpha": trial.alpha, "temperature": trial.temperature, "unlabelled": arm.unlabelled}
    if not trial.alpha:
        changed["curriculum"] = 0
    return told.model_copy(update=changed if arm.placebo is None else {**changed, "hint": None})


def learn(
    told: StudentSettings,
    student: Ranker,
    examples: Examples,
    valid: Table | None,
    *,
    arm: Arm,
    trial: Trial,
    seed: int,
    progress: Progress | None,
) -> Fitted:
    """Train a student in place, as one candidate of an arm is trained; without validation rows for all epochs."""
    fitting = told.fit.model_copy(update={**trial.fitting, "seed": seed})
    settings = listening(told.distill, arm, trial)
    return distill(student, examples, None, valid=valid, settings=settings, fitting=fitting, progress=progress)


def starting(run: RunFolder, name: str, cell: Cell, train: Table, control: Ranker | None = None) -> Ranker:
    """The student before it sees the target's labels; cold or warm, it has the ids of the target's training rows.

    `source_finetuned` starts from the student trained on the source, a warm arm from `source_finetuned`, or where
    there are no source rows from `hard_only`.

    Args:
        run: the run's folder.
        name: of the arm.
        cell: whose labels.
        train: the rows whose ids it is to know.
        control: what a warm arm starts from, if not the run's own.
    """
    settings = run.config.student
    if name == "source_finetuned":
        return Ranker.load(run.pretrained("source_student", cell.seed)).refitted(train)
    if ARMS[name].warm:
        return Ranker.load(run.student(run.controls[-1], cell)) if control is None else control.copy()
    return new_ranker(settings, settings.encoder.fit(train), train.schema.classes, cell.seed)
