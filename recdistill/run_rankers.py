"""The rankers of a run's cell: what scores the test rows, how well, and how each was made."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from recdistill import report, run_arms
from recdistill.arms import ARMS, AUTO, CONTROLS, PLACEBOS
from recdistill.artefacts import manifest
from recdistill.baselines import item_means
from recdistill.evaluation import Measured, measure, measure_ratings
from recdistill.label_budget import Cell
from recdistill.metrics import best_threshold, logloss
from recdistill.ranker import Ranker, file_bytes
from recdistill.run_folder import RunFolder
from recdistill.score_column import ScoreColumn
from recdistill.tables import Table

# Of what a ranker's folder says of how it was made.
TOLD = ("seconds", "labelling_seconds", "trials", "decision")
Entry = dict[str, Any]
Scorers = dict[str, tuple[Ranker | ScoreColumn, Entry]]
Scores = dict[str, np.ndarray[Any, np.dtype[np.float64]]]


def measured(run: RunFolder, cell: Cell, test: Table) -> tuple[Entry, Scores]:
    """One cell's rankers: their metrics, and their logits on the test rows.

    Args:
        run: the run's folder.
        cell: whose rankers.
        test: the test rows.
    """
    train, valid = run.labelled(cell)
    seen = valid.take(valid.labelled)
    rankers: dict[str, Entry] = {}
    scores: Scores = {}
    for name, (scorer, facts) in scorers(run, cell, train).items():
        on_valid, scores[name] = scorer.score(seen), scorer.score(test).astype(np.float64)
        threshold = best_threshold(on_valid, seen.labels) if test.schema.classes == 1 else 0.0
        entry = {"valid_logloss": logloss(on_valid, seen.labels), "threshold": threshold}
        found = written(measure(scores[name], test, threshold=threshold))
        rankers[name] = {"role": _role(name), **facts, **entry, **found}
    labelled = {"train": report.counted(train), "valid": report.counted(valid)}
    whole: Entry = {"labels": cell.share, "seed": cell.seed, "labelled": labelled, "rankers": rankers}
    if test.schema.classes > 1 and test.schema.item is not None:
        means = item_means(train, test)
        whole["item_means"] = {"role": "baseline", "params": 0, "bytes": 0, **written(measure_ratings(means, test))}
        scores["item_means"] = means
    return whole, scores


def histories(run: RunFolder, cell: Cell, names: Mapping[str, str]) -> dict[str, list[dict[str, float]]]:
    """Per ranker what each epoch of its fit came to; none of what was not fitted, or made by an earlier version.

    Args:
        run: the run's folder.
        cell: whose rankers.
        names: in the report, and of the cell's ranker that is meant.
    """
    teachers, found = run.teacher_models(cell), {}
    for name, of in names.items():
        place = teachers.get(of, run.student(of, cell))
        history = manifest(place)["facts"].get("history") if place.is_dir() else None
        if history is not None:
            found[name] = [{key: round(value, 6) for key, value in epoch.items()} for epoch in history]
    return found


def written(found: Measured) -> Entry:
    """What was measured, as an entry holds it."""
    return {"metrics": found.metrics, "users_skipped": found.skipped}


def scorers(run: RunFolder, cell: Cell, train: Table, wanted: Collection[str] | None = None) -> Scorers:
    """What scores rows in a cell, teachers first, and what is known of it.

    Args:
        run: the run's folder.
        cell: whose rankers.
        train: its training rows, which a column of scores is calibrated on.
        wanted: the names of those to load; all by default.
    """
    scale = run.config.teacher.scores
    names = [*run_arms.arms(run, cell.share), *([AUTO] if run.config.strategy == AUTO else [])]
    places = run.teacher_models(cell) | {name: run.student(name, cell) for name in names}
    found: Scorers = {name: _loaded(place) for name, place in places.items() if wanted is None or name in wanted}
    if scale is None:
        return found
    given = ScoreColumn(scale, run.config.teacher.clip)
    unknown: Entry = {"params": 0, "bytes": 0, "choice": None}  # a system of the user's own
    fitted = given.calibrated(train, kind=run.config.teacher.calibrated_by(classes=1))
    columns = {name: (s, unknown) for name, s in zip(run.teachers, (given, fitted), strict=True)}
    return {name: column for name, column in columns.items() if wanted is None or name in wanted} | found


def _role(name: str) -> str:
    """Of a ranker in the report."""
    if name in (*CONTROLS, *PLACEBOS):
        return "control"
    return "student" if name in (*ARMS, AUTO) else "teacher"


def _loaded(folder: Path) -> tuple[Ranker | ScoreColumn, Entry]:
    ranker, facts = Ranker.load(folder), manifest(folder)["facts"]
    told = {name: facts[name] for name in TOLD if name in facts}
    size = {"params": ranker.parameters, "bytes": file_bytes(folder)}
    return ranker, {**size, "choice": facts.get("choice"), **told}
