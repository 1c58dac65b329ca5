"""Ideas to raise what distillation adds over a student that was fine-tuned without a teacher."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import recdistill as rd
from recdistill.arms import Trial
from recdistill.artefacts import manifest
from recdistill.cells.trying import new_ranker
from recdistill.label_budget import Cell
from recdistill.ranker import Ranker
from recdistill.run_folder import RunFolder
from recdistill.tables import Table


@dataclass(frozen=True)
class Given:
    """What an idea starts from.

    Args:
        run: the grid's folder.
        cell: of the idea.
        train, valid: its rows.
        start: the student that was fine-tuned from the source.
        soft: the adapted teacher's soft labels, out of fold.
    """

    run: RunFolder
    cell: Cell
    train: Table
    valid: Table
    start: Ranker
    soft: rd.SoftLabels

    @property
    def teacher(self) -> Ranker:
        """Adapted on all labelled rows."""
        return Ranker.load(self.run.adapted(self.cell, "whole"))


@dataclass(frozen=True)
class Lesson:
    """What an idea changes: where the student starts, of which rows it learns, from whom and how."""

    start: Ranker
    train: Table
    valid: Table
    soft: rd.SoftLabels
    settings: rd.DistillSettings


Idea = Callable[[Given], Lesson]


def plain(given: Given) -> Lesson:
    """The teacher's answers by KL: what the grid calls adapted_all_warm."""
    return Lesson(given.start, given.train, given.valid, given.soft, rd.DistillSettings())


def by(**settings: Any) -> Idea:
    """The same by another loss or signal."""

    def idea(given: Given) -> Lesson:
        return replace(plain(given), settings=rd.DistillSettings(**settings))

    return idea


def several_teachers(given: Given) -> Lesson:
    """Teachers of every seed, mixed by a gate that was fitted on labels out of fold.

    Those of other seeds saw other labels: a row that one of them was adapted on and that has a label here too would be
    known to it, so each of them is adapted to this cell's labels, as its fold teachers are.
    """
    mixed = rd.mix_teachers([given.soft, *_other_teachers(given)], given.train, weights="gate", seed=given.cell.seed)
    return replace(plain(given), soft=mixed)


def _other_teachers(given: Given) -> list[rd.SoftLabels]:
    """Source teachers of the other seeds, adapted to this cell's labels out of fold."""
    config, found = given.run.config, []
    chosen = Trial(**manifest(given.run.adapted(given.cell, "whole"))["facts"]["choice"])
    for seed in range(config.seeds):
        if seed == given.cell.seed:
            continue
        source = Ranker.load(given.run.pretrained("source_teacher", seed))
        fitting = config.teacher.adapt.model_copy(update={**chosen.fitting, "seed": seed})
        found.append(
            rd.out_of_fold_labels(
                source, given.train, valid=given.valid, k=config.folds, seed=given.cell.seed, fitting=fitting
            )
        )
    return found


def transplanted(given: Given) -> Lesson:
    """The student's tables start as the adapted teacher's, cut down by SVD, not as it learnt them on the source."""
    fresh = new_ranker(given.run.config.student, given.start.encoder, given.train.schema.classes, given.cell.seed)
    return replace(plain(given), start=rd.transplant(fresh, given.teacher))


def hinted(given: Given) -> Lesson:
    """The student's last hidden layer is drawn towards the adapted teacher's."""
    soft = rd.SoftLabels.from_teacher(given.teacher, given.train, hidden=True, in_sample=True)
    hidden = rd.SoftLabels(
        given.soft.row_ids,
        given.soft.logits,
        teacher=given.soft.teacher,
        rows_fingerprint=given.soft.rows_fingerprint,
        sample="in_sample",
        grades=given.soft.grades,
        hidden=soft.hidden,
    )
    return replace(plain(given), soft=hidden, settings=rd.DistillSettings(hint="similarity", hint_weight=1.0))


def more_rows(given: Given) -> Lesson:
    """As many pairs that nobody has seen as there are rows, labelled by the adapted teacher."""
    if given.train.schema.user is None:
        return plain(given)
    pairs = rd.unseen_pairs(given.train, rows=len(given.train), seed=given.cell.seed, seen=[given.valid])
    rows = rd.concat([given.train, pairs])
    told = np.concatenate([given.soft.for_table(given.train), given.teacher.score(pairs)])
    return replace(plain(given), train=rows, soft=rd.SoftLabels.from_column(rows, told, scale="logit"))


IDEAS: dict[str, Idea] = {
    "kd": plain,
    "dist": by(loss="dist"),
    "ranknet": by(loss="ranknet_kd"),
    "listwise": by(loss="calibrated_listwise_kd"),
    "side_head": by(head="side"),
    "curriculum": by(curriculum=3),
    "hint": hinted,
    "transplant": transplanted,
    "several_teachers": several_teachers,
    "unseen_pairs": more_rows,
}
NEEDS_USERS = ("ranknet", "listwise", "unseen_pairs")
