"""What came of an experiment: every ranker on the test rows, by share of labels, pooled over seeds."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from recdistill import report
from recdistill.arms import ARMS, CONTROLS, arms_at
from recdistill.artefacts import manifest
from recdistill.evaluation import COMPARED, Measured, compare, measure
from recdistill.metrics import best_threshold, logloss
from recdistill.progress import Board
from recdistill.ranker import Ranker, file_bytes
from recdistill.run_folder import Cell, RunFolder
from recdistill.tables import Table

Entry = dict[str, Any]
Scores = dict[str, np.ndarray[Any, np.dtype[np.float64]]]


def evaluated(run: RunFolder, *, command: str, board: Board) -> dict[str, Any]:
    """Score the test rows with every ranker and put the report together; test labels are read here alone."""
    config, tables = run.config, run.tables()
    pooled, single = [], []
    for share in config.labels:
        board.say(f"evaluating {report.percent(share)} of the labels")
        cells = [cell for cell in run.cells if cell.share == share]
        found = [_cell(run, cell, tables["test"]) for cell in cells]
        single += [entry for entry, _ in found]
        pooled.append({"labels": share, **_pooled(found, tables["test"])})
    return {
        "schema": 1,
        "command": command,
        "config": config.model_dump(mode="json"),
        "data": report.counted_parts(tables),
        "source": [_on_source(run, seed) for seed in range(config.seeds)],
        "rankers": pooled[0]["rankers"],
        "comparisons": pooled[0]["comparisons"],
        "pooled": pooled,
        "cells": single,
    }


def _cell(run: RunFolder, cell: Cell, test: Table) -> tuple[Entry, Scores]:
    """One cell's rankers: their metrics, and their logits on the test rows."""
    train, valid = run.labelled(cell)
    seen = valid.take(valid.labelled)
    rankers: dict[str, Entry] = {}
    scores: Scores = {}
    for name, folder in _folders(run, cell).items():
        ranker = Ranker.load(folder)
        on_valid, scores[name] = ranker.score(seen), ranker.score(test).astype(np.float64)
        measured = measure(scores[name], test, threshold=best_threshold(on_valid, seen.labels))
        rankers[name] = {
            "role": "control" if name in CONTROLS else "student" if name in ARMS else "teacher",
            "params": ranker.parameters,
            "bytes": file_bytes(folder),
            "valid_logloss": logloss(on_valid, seen.labels),
            "choice": manifest(folder)["facts"].get("choice"),
            **_written(measured),
        }
    labelled = {"train": report.counted(train), "valid": report.counted(valid)}
    return {"labels": cell.share, "seed": cell.seed, "labelled": labelled, "rankers": rankers}, scores


def _pooled(found: list[tuple[Entry, Scores]], test: Table) -> Entry:
    """One share of labels over its seeds: mean metrics and paired differences.

    "chosen" stands for what a user would get: in each seed the distilled arm that is best on that seed's own labelled
    validation rows.
    """
    cells = [entry for entry, _ in found]
    chosen = [
        _best(cell, [name for name in cell["rankers"] if cell["rankers"][name]["role"] == "student"]) for cell in cells
    ]
    shipped = [_best(cell, [name for name in cell["rankers"] if name in ARMS]) for cell in cells]
    rankers = {name: _mean([cell["rankers"][name] for cell in cells]) for name in cells[0]["rankers"]}
    scores = {name: np.stack([s[name] for _, s in found]) for name in rankers}
    rankers["chosen"] = _mean([cell["rankers"][name] for cell, name in zip(cells, chosen, strict=True)])
    scores["chosen"] = np.stack([s[name] for (_, s), name in zip(found, chosen, strict=True)])
    pairs = [(name, control) for name in scores for control in CONTROLS if name != control]
    taught = [(name, teacher) for name in scores if name in ARMS and (teacher := ARMS[name].teacher) is not None]
    taught.append(("chosen", "adapted_teacher"))
    metrics = [metric for metric in COMPARED if metric in rankers["chosen"]["metrics"]]
    wanted = [(a, b, metric) for a, b in pairs for metric in metrics] + [(a, b, "auc") for a, b in taught]
    comparisons = [{"a": a, "b": b, **compare(scores[a], scores[b], test, metric)} for a, b, metric in wanted]
    if test.schema.truth is not None:
        truth = np.clip(test.numpy(test.schema.truth), 1e-6, 1 - 1e-6)
        best = measure(np.log(truth / (1 - truth)), test, threshold=0.0)
        rankers["best_possible"] = {"role": "bound", "params": 0, "bytes": 0, **_written(best)}
    seeds = {"seeds": [cell["seed"] for cell in cells], "labelled": [cell["labelled"] for cell in cells]}
    return {**seeds, "chosen": chosen, "shipped": shipped, "rankers": rankers, "comparisons": comparisons}


def _best(cell: Entry, names: list[str]) -> str:
    """The ranker with the lowest logloss on the cell's labelled validation rows."""
    return min(names, key=lambda name: cell["rankers"][name]["valid_logloss"])


def _folders(run: RunFolder, cell: Cell) -> dict[str, Path]:
    """Where each ranker of a cell is."""
    teachers = {
        "source_teacher": run.pretrained("source_teacher", cell.seed),
        "adapted_teacher": run.adapted(cell, "whole"),
    }
    return teachers | {name: run.student(name, cell) for name in arms_at(cell.share)}


def _on_source(run: RunFolder, seed: int) -> Entry:
    """How well the rankers trained on the source do on held-out source rows."""
    names = ("source_teacher", "source_student")
    facts = {name: manifest(run.pretrained(name, seed))["facts"] for name in names}
    return {"seed": seed, **{name: {"auc": facts[name]["source_auc"]} for name in names}}


def _mean(entries: list[Entry]) -> Entry:
    metrics = {m: math.fsum(e["metrics"][m] for e in entries) / len(entries) for m in entries[0]["metrics"]}
    valid = math.fsum(e["valid_logloss"] for e in entries) / len(entries)
    size = max(entry["bytes"] for entry in entries)  # adapted teachers differ a little: they know the cell's new ids
    kept: Entry = {k: entries[0][k] for k in ("role", "params", "users_skipped")}
    choices = [entry["choice"] for entry in entries]
    return {**kept, "bytes": size, "choices": choices, "valid_logloss": valid, "metrics": metrics}


def _written(measured: Measured) -> Entry:
    return {"metrics": measured.metrics, "users_skipped": measured.skipped}
