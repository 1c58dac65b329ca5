"""What came of an experiment: every ranker on the test rows, by share of labels, pooled over seeds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from recdistill import report, run_arms, run_inspection, run_shift
from recdistill.arms import ARMS, AUTO, placebo_of
from recdistill.artefacts import manifest
from recdistill.evaluation import compare, compare_ratings, measure, task
from recdistill.evidence import adjusted, curves, fidelity
from recdistill.label_budget import Cell
from recdistill.metrics import expected_rating, rows_needed
from recdistill.progress import Board
from recdistill.rankings import candidates_of, mean_metrics, ranked
from recdistill.run_folder import RunFolder
from recdistill.run_rankers import Entry, Scores, histories, measured, written
from recdistill.segments import compare_segments, segments_of
from recdistill.tables import Table


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
            ranking = ranked(run, cells, pooled[-1]["chosen"], candidates)
            pooled[-1]["ranking"] = ranking | {"comparisons": adjusted(ranking["comparisons"])}
    return {
        "schema": 1,
        "command": command,
        "versions": run.versions,
        "config": config.model_dump(mode="json"),
        "data": report.counted_parts(tables),
        "inspection": run_inspection.of_report(run),
        "shift": run_shift.of_report(run, board),
        "unseen": report.unseen_shares(tables),
        "privileged": run.privileged,
        "source": [_on_source(run, seed) for seed in range(config.seeds)] if run.has_source else [],
        "rankers": pooled[0]["rankers"],
        "comparisons": pooled[0]["comparisons"],
        "pooled": pooled,
        "cells": single,
    }


def _pooled(run: RunFolder, found: list[tuple[Entry, Scores]], test: Table) -> Entry:
    """One share of labels over its seeds: mean metrics and paired differences, and what stands behind them.

    "chosen" is what distillation gives: in each seed the distilled arm that is best on that seed's own labelled
    validation rows. "placebo" is the control that has all of it but the teacher's knowledge.
    """
    cells = [entry for entry, _ in found]
    chosen = [_best(cell, [n for n in cell["rankers"] if n in ARMS and ARMS[n].teacher is not None]) for cell in cells]
    named = {name: [name] * len(cells) for name in cells[0]["rankers"]}  # whose figures each seed's are
    named |= {"chosen": chosen, "placebo": [placebo_of(name) for name in chosen]}
    entries = {name: [cell["rankers"][n] for cell, n in zip(cells, of, strict=True)] for name, of in named.items()}
    scores = {name: np.stack([s[n] for (_, s), n in zip(found, of, strict=True)]) for name, of in named.items()}
    rankers = {name: _mean(several) for name, several in entries.items()}
    headline, effect = task(test.schema).headline, run.config.smallest_effect
    metrics = [metric for metric in task(test.schema).compared if metric in rankers["chosen"]["metrics"]]
    wanted = _wanted(run, list(scores), metrics, headline)
    comparisons = [{"a": a, "b": b, **compare(scores[a], scores[b], test, metric)} for a, b, metric in wanted]
    needed = {
        c["b"]: rows_needed(c["rows_error"], len(test), effect=effect)
        for c in comparisons
        if (c["a"], c["metric"]) == ("chosen", headline) and c["b"] in run.controls
    }
    first = Cell(cells[0]["labels"], cells[0]["seed"])
    behind = {
        "curves": _curves(run, rankers, scores, test),
        "histories": histories(run, first, {name: of[0] for name, of in named.items()}),
        **_by_segment(run, first, scores, test),
        "fidelity": _fidelity(entries, scores, run.teachers[-1], test),
    }
    if "item_means" in cells[0]:
        rankers["item_means"] = _mean([cell["item_means"] for cell in cells])
        means = np.stack([s["item_means"] for _, s in found])
        expected = expected_rating(scores["chosen"], test.schema.class_grades)
        comparisons.append({"a": "chosen", "b": "item_means", **compare_ratings(expected, means, test, headline)})
    if test.schema.truth is not None and test.schema.classes == 1:
        rankers["best_possible"] = _bound(test)
    seeds = {"seeds": [cell["seed"] for cell in cells], "labelled": [cell["labelled"] for cell in cells]}
    enough = {"test_rows": len(test), "smallest_effect": effect, "needed": needed}
    names = {"headline": headline, "chosen": chosen, **_shipped(run, cells), "enough": enough}
    return {**seeds, **names, "rankers": rankers, "comparisons": adjusted(comparisons), **behind}


def _wanted(run: RunFolder, names: list[str], metrics: list[str], headline: str) -> list[tuple[str, str, str]]:
    """Who is compared with whom in which metric: all with the controls, and students with their teacher."""
    pairs = [(name, control) for name in names for control in run.controls if name != control]
    pairs.append(("chosen", "placebo"))
    named = [(name, ARMS[name].teacher) for name in names if name in ARMS]
    taught = [(name, teacher) for name, teacher in named if teacher is not None and teacher in names]
    taught.append(("chosen", run.teachers[-1]))
    return [(a, b, metric) for a, b in pairs for metric in metrics] + [(a, b, headline) for a, b in taught]


def _curves(run: RunFolder, rankers: dict[str, Entry], scores: Scores, test: Table) -> Entry:
    """Of the first seed's teachers, controls, and what distillation and the strategy gave; of clicks alone."""
    if test.schema.classes > 1:
        return {}
    shown = (*run.controls, "chosen", AUTO)
    names = [name for name, entry in rankers.items() if entry["role"] == "teacher" or name in shown]
    return {name: curves(scores[name][0], test.labels) for name in names}


def _by_segment(run: RunFolder, cell: Cell, scores: Scores, test: Table) -> Entry:
    """What is shipped against labels alone, by segment; nothing where it is the same, or not made.

    Args:
        run: the run's folder.
        cell: whose labelled rows tell who is known.
        scores: per ranker those of all seeds.
        test: the test rows.
    """
    a, b = run.config.strategy, "hard_only"
    if a not in scores or np.array_equal(scores[a], scores[b]):
        return {"segments": [], "segments_skipped": 0}
    segments = segments_of(test, train=run.labelled(cell)[0], source=run.tables().get("source"))
    found = compare_segments(scores[a], scores[b], test, segments)
    return {"segments": [{"a": a, "b": b, **one} for one in found.found], "segments_skipped": found.skipped}


def _fidelity(entries: dict[str, list[Entry]], scores: Scores, teacher: str, test: Table) -> Entry:
    """How all but teachers follow the best teacher, the mean over seeds."""
    found = {}
    for name, several in entries.items():
        if several[0]["role"] != "teacher":
            thresholds = [
                (own["threshold"], best["threshold"]) for own, best in zip(several, entries[teacher], strict=True)
            ]
            pairs = zip(scores[name], scores[teacher], thresholds, strict=True)
            found[name] = mean_metrics([fidelity(own, best, test, thresholds=of) for own, best, of in pairs])
    return found


def _shipped(run: RunFolder, cells: list[Entry]) -> Entry:
    """Per seed the arm to ship, in which folder of the run it is, and where the strategy chose it why."""
    places = [run.student(run.config.strategy, Cell(cell["labels"], cell["seed"])) for cell in cells]
    folders = {"folders": [place.relative_to(run.path).as_posix() for place in places]}
    if run.config.strategy != AUTO:
        return {"shipped": [run.config.strategy] * len(cells), **folders}
    decisions = [cell["rankers"][AUTO]["decision"] for cell in cells]
    return {"shipped": [decision["chosen"] for decision in decisions], "decisions": decisions, **folders}


def _bound(test: Table) -> Entry:
    """The best there can be: what the true click probabilities, known in synthetic worlds, reach."""
    truth = np.clip(test.numpy(str(test.schema.truth)), 1e-6, 1 - 1e-6)
    best = measure(np.log(truth / (1 - truth)), test, threshold=0.0)
    return {"role": "bound", "params": 0, "bytes": 0, **written(best)}


def _best(cell: Entry, names: list[str]) -> str:
    """The ranker with the lowest logloss on the cell's labelled validation rows."""
    return min(names, key=lambda name: cell["rankers"][name]["valid_logloss"])  # of equals the first


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
