"""What came of an experiment: every ranker on the test rows, by share of labels, pooled over seeds."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from recdistill import report, run_arms, run_inspection
from recdistill.arms import ARMS, AUTO, CONTROLS, PLACEBOS, placebo_of
from recdistill.artefacts import manifest
from recdistill.baselines import item_means
from recdistill.evaluation import Measured, compare, compare_ratings, measure, measure_ratings, task
from recdistill.label_budget import Cell
from recdistill.metrics import best_threshold, expected_rating, logloss, rows_needed
from recdistill.progress import Board
from recdistill.ranker import Ranker, file_bytes
from recdistill.rankings import candidates_of, mean_metrics, ranked
from recdistill.run_folder import RunFolder
from recdistill.score_column import ScoreColumn
from recdistill.tables import Table

# Of what a ranker's folder says of how it was made.
TOLD = ("seconds", "trials", "decision")
Entry = dict[str, Any]
Scorers = dict[str, tuple[Ranker | ScoreColumn, Entry]]
Scores = dict[str, np.ndarray[Any, np.dtype[np.float64]]]


def evaluated(run: RunFolder, *, command: str, board: Board) -> dict[str, Any]:
    """Score the test rows with every ranker and put the report together.

    Test labels are read here alone, but for the refusal of too few when a run is prepared.
    """
    config, tables = run.config, run.tables()
    candidates = candidates_of(config.ranking, **{part: tables[part] for part in ("train", "valid", "test")})
    pooled: list[Entry] = []
    single: list[Entry] = []
    for share in config.labels:
        board.say(f"evaluating {report.percent(share)} of the labels")
        cells = [cell for cell in run.cells if cell.share == share]
        found = [measured(run, cell, tables["test"]) for cell in cells]
        single += [entry for entry, _ in found]
        absent = list(run_arms.left_out(run, share))
        pooled.append({"labels": share, "left_out": absent, **_pooled(run, found, tables["test"])})
        if candidates is not None:
            board.say(f"  ranking unseen items for {len(candidates.names):,} users")
            pooled[-1]["ranking"] = ranked(run, cells, pooled[-1]["chosen"], candidates)
    return {
        "schema": 1,
        "command": command,
        "config": config.model_dump(mode="json"),
        "data": report.counted_parts(tables),
        "inspection": run_inspection.of_report(run),
        "unseen": report.unseen_shares(tables),
        "privileged": run.privileged,
        "source": [_on_source(run, seed) for seed in range(config.seeds)] if run.has_source else [],
        "rankers": pooled[0]["rankers"],
        "comparisons": pooled[0]["comparisons"],
        "pooled": pooled,
        "cells": single,
    }


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
    for name, (scorer, facts) in _scorers(run, cell, train).items():
        on_valid, scores[name] = scorer.score(seen), scorer.score(test).astype(np.float64)
        threshold = best_threshold(on_valid, seen.labels) if test.schema.classes == 1 else 0.0
        found = _written(measure(scores[name], test, threshold=threshold))
        rankers[name] = {"role": _role(name), **facts, "valid_logloss": logloss(on_valid, seen.labels), **found}
    labelled = {"train": report.counted(train), "valid": report.counted(valid)}
    entry: Entry = {"labels": cell.share, "seed": cell.seed, "labelled": labelled, "rankers": rankers}
    if test.schema.classes > 1 and test.schema.item is not None:
        means = item_means(train, test)
        entry["item_means"] = {"role": "baseline", "params": 0, "bytes": 0, **_written(measure_ratings(means, test))}
        scores["item_means"] = means
    return entry, scores


def _pooled(run: RunFolder, found: list[tuple[Entry, Scores]], test: Table) -> Entry:
    """One share of labels over its seeds: mean metrics and paired differences.

    "chosen" is what distillation gives: in each seed the distilled arm that is best on that seed's own labelled
    validation rows. "placebo" is the control that has all of it but the teacher's knowledge.
    """
    cells = [entry for entry, _ in found]
    chosen = [_best(cell, [n for n in cell["rankers"] if n in ARMS and ARMS[n].teacher is not None]) for cell in cells]
    rankers = {name: _mean([cell["rankers"][name] for cell in cells]) for name in cells[0]["rankers"]}
    scores = {name: np.stack([s[name] for _, s in found]) for name in rankers}
    for ranker, of in (("chosen", chosen), ("placebo", [placebo_of(name) for name in chosen])):
        rankers[ranker] = _mean([cell["rankers"][name] for cell, name in zip(cells, of, strict=True)])
        scores[ranker] = np.stack([s[name] for (_, s), name in zip(found, of, strict=True)])
    pairs = [(name, control) for name in scores for control in run.controls if name != control]
    pairs.append(("chosen", "placebo"))
    named = [(name, ARMS[name].teacher) for name in scores if name in ARMS]
    taught = [(name, teacher) for name, teacher in named if teacher is not None and teacher in scores]
    taught.append(("chosen", run.teachers[-1]))
    headline, grades = task(test.schema).headline, test.schema.class_grades
    metrics = [metric for metric in task(test.schema).compared if metric in rankers["chosen"]["metrics"]]
    wanted = [(a, b, metric) for a, b in pairs for metric in metrics] + [(a, b, headline) for a, b in taught]
    comparisons = [{"a": a, "b": b, **compare(scores[a], scores[b], test, metric)} for a, b, metric in wanted]
    effect = run.config.smallest_effect
    needed = {
        c["b"]: rows_needed(c["rows_error"], len(test), effect=effect)
        for c in comparisons
        if (c["a"], c["metric"]) == ("chosen", headline) and c["b"] in run.controls
    }
    if "item_means" in cells[0]:
        rankers["item_means"] = _mean([cell["item_means"] for cell in cells])
        means, expected = np.stack([s["item_means"] for _, s in found]), expected_rating(scores["chosen"], grades)
        comparisons.append({"a": "chosen", "b": "item_means", **compare_ratings(expected, means, test, headline)})
    if test.schema.truth is not None and not grades:
        rankers["best_possible"] = _bound(test)
    seeds = {"seeds": [cell["seed"] for cell in cells], "labelled": [cell["labelled"] for cell in cells]}
    enough = {"test_rows": len(test), "smallest_effect": effect, "needed": needed}
    names = {"headline": headline, "chosen": chosen, **_shipped(run, cells), "enough": enough}
    return {**seeds, **names, "rankers": rankers, "comparisons": comparisons}


def _shipped(run: RunFolder, cells: list[Entry]) -> Entry:
    """Per seed the arm to ship, in which folder of the run it is, and where the strategy chose it why."""
    places = [run.student(run.config.strategy, Cell(cell["labels"], cell["seed"])) for cell in cells]
    folders = {"folders": [place.relative_to(run.path).as_posix() for place in places]}
    if run.config.strategy != AUTO:
        return {"shipped": [run.config.strategy] * len(cells), **folders}
    decisions = [cell["rankers"][AUTO]["decision"] for cell in cells]
    return {"shipped": [decision["chosen"] for decision in decisions], "decisions": decisions, **folders}


def _role(name: str) -> str:
    """Of a ranker in the report."""
    if name in (*CONTROLS, *PLACEBOS):
        return "control"
    return "student" if name in (*ARMS, AUTO) else "teacher"


def _bound(test: Table) -> Entry:
    """The best there can be: what the true click probabilities, known in synthetic worlds, reach."""
    truth = np.clip(test.numpy(str(test.schema.truth)), 1e-6, 1 - 1e-6)
    best = measure(np.log(truth / (1 - truth)), test, threshold=0.0)
    return {"role": "bound", "params": 0, "bytes": 0, **_written(best)}


def _best(cell: Entry, names: list[str]) -> str:
    """The ranker with the lowest logloss on the cell's labelled validation rows."""
    return min(names, key=lambda name: cell["rankers"][name]["valid_logloss"])  # of equals the first


def _scorers(run: RunFolder, cell: Cell, train: Table) -> Scorers:
    """What scores rows in a cell, teachers first, and what is known of it."""
    scale = run.config.teacher.scores
    teachers: Scorers = {name: _loaded(place) for name, place in run.teacher_models(cell).items()}
    if scale is not None:
        given = ScoreColumn(scale, run.config.teacher.clip)
        unknown: Entry = {"params": 0, "bytes": 0, "choice": None}  # a system of the user's own
        fitted = given.calibrated(train, kind=run.config.teacher.calibrated_by(classes=1))
        teachers = {name: (s, unknown) for name, s in zip(run.teachers, (given, fitted), strict=True)}
    names = [*run_arms.arms(run, cell.share), *([AUTO] if run.config.strategy == AUTO else [])]
    return teachers | {name: _loaded(run.student(name, cell)) for name in names}


def _loaded(folder: Path) -> tuple[Ranker | ScoreColumn, Entry]:
    ranker, facts = Ranker.load(folder), manifest(folder)["facts"]
    told = {name: facts[name] for name in TOLD if name in facts}
    size = {"params": ranker.parameters, "bytes": file_bytes(folder)}
    return ranker, {**size, "choice": facts.get("choice"), **told}


def _on_source(run: RunFolder, seed: int) -> Entry:
    """How well the rankers trained on the source do on held-out source rows."""
    names = ("source_teacher", "source_student")[run.config.teacher.scores is not None :]
    facts = {name: manifest(run.pretrained(name, seed))["facts"] for name in names}
    headline = task(run.tables()["source"].schema).headline
    return {"seed": seed, **{name: {headline: facts[name][f"source_{headline}"]} for name in names}}


def _mean(entries: list[Entry]) -> Entry:
    size = max(entry["bytes"] for entry in entries)  # adapted teachers differ a little: they know the cell's new ids
    kept: Entry = {k: entries[0][k] for k in ("role", "params", "users_skipped")}
    if "valid_logloss" in entries[0]:
        kept["choices"] = [entry["choice"] for entry in entries]
        kept["valid_logloss"] = math.fsum(entry["valid_logloss"] for entry in entries) / len(entries)
    return {**kept, "bytes": size, "metrics": mean_metrics([entry["metrics"] for entry in entries])}


def _written(found: Measured) -> Entry:
    return {"metrics": found.metrics, "users_skipped": found.skipped}
