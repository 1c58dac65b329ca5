"""The strategy of a run: candidates are made anew without each fold's labels, and `transfer.decide` chooses."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from recdistill import run_arms
from recdistill.arms import ARMS, AUTO
from recdistill.artefacts import manifest
from recdistill.cells.students import learn, lesson, starting
from recdistill.cells.teachers import soft_labels
from recdistill.cells.trying import chosen, stopwatch
from recdistill.label_budget import Cell, cell_folds
from recdistill.progress import Watch
from recdistill.ranker import Ranker
from recdistill.run_folder import RunFolder
from recdistill.transfer import Decision, decide, joined, numbered

Array = np.ndarray[Any, Any]


def hold_out(run: RunFolder, name: str, cell: Cell, fold: int, watch: Watch) -> str:
    """A candidate made without the rows of a fold, with the setting, epochs and batches that its arm's has.

    Its soft labels and what a warm one starts from leave the fold out too. An adapted teacher's are of the teacher of
    the fold, which learnt the labels of the rows that it teaches; the shipped student's are out of fold. To have both
    alike, teachers would be adapted within each fold again: this is cheaper, and makes the estimate less favourable to
    distillation, if anything.

    Args:
        run: the run's folder.
        name: of the candidate.
        cell: whose labels.
        fold: which is left out.
        watch: told how far it is.
    """
    arm, (train, _), spent = ARMS[name], run.labelled(cell), stopwatch()
    held = cell_folds(run.config.data, train, k=run.config.folds, seed=cell.seed)[fold]
    known = train.take(~held)  # the test rows are not among the unlabelled ones either
    warm = arm.warm and name not in run.controls
    control = Ranker.load(run.held_out(run.controls[-1], cell, fold)) if warm else None
    student = starting(run, name, cell, known, control)
    (trial, steps), soft, told = chosen(run.student(name, cell)), None, run.config.student
    told = told.model_copy(update={"fit": told.fit.model_copy(update=steps)})
    if arm.teacher is not None and trial.alpha:
        soft = soft_labels(run, arm.teacher, cell, known, without=fold)
    examples = lesson(told.distill, arm, student.encoder, known, soft, seed=cell.seed)
    learn(told, student, examples, None, arm=arm, trial=trial, seed=cell.seed, progress=watch.part(0, 1))
    student.save(run.held_out(name, cell, fold), prepared=run.identity, seconds=spent())
    return f"without {int(held.sum()):,} of {int(train.labelled.sum()):,} labelled rows"


def choose(run: RunFolder, cell: Cell, watch: Watch) -> str:
    """Decide, and keep the student of the arm that is chosen under the strategy's name: the very same weights.

    Args:
        run: the run's folder.
        cell: whose labels.
        watch: not told: this takes no time.
    """
    decision = decided(run, cell)
    arm = run.student(decision.chosen, cell)
    kept = ("choice", "valid_logloss", "history")
    facts = {key: value for key, value in manifest(arm)["facts"].items() if key in kept}
    facts |= {"decision": decision.to_dict(), "seconds": _seconds(run, cell)}
    Ranker.load(arm).save(run.student(AUTO, cell), prepared=run.identity, **facts)
    return decision.words


def decided(run: RunFolder, cell: Cell) -> Decision:
    """What cross-validation says of the candidates of a cell."""
    train, _ = run.labelled(cell)
    masks = cell_folds(run.config.data, train, k=run.config.folds, seed=cell.seed)
    logits: dict[str, Array] = {}
    for name in run_arms.candidates(run, cell):
        rankers = [Ranker.load(run.held_out(name, cell, k)) for k in range(len(masks))]
        parts = [ranker.score(train.take(fold)) for ranker, fold in zip(rankers, masks, strict=True)]
        logits[name] = joined(parts, masks)
    return decide(logits, train.take(train.labelled), fold=numbered(masks), confidence=run.config.confidence)


def _seconds(run: RunFolder, cell: Cell) -> float:
    """What "auto" took: the arms that it knows, its candidates by fold, and their teacher's adaptation and labels."""
    parts = ["whole", *(f"fold-{k}" for k in range(run.config.folds))]
    places = [run.student(name, cell) for name in run_arms.contenders(run, cell)]
    places += [run.held_out(name, cell, k) for name in run_arms.candidates(run, cell) for k in range(run.config.folds)]
    places += [run.adapted(cell, part) for part in parts if run.config.teacher.scores is None]
    places += [run.soft_labels(run.teachers[-1], cell)]
    return math.fsum(manifest(place)["facts"]["seconds"] for place in places)
