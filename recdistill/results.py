"""What came of an experiment: every ranker on the test rows, by share of labels, pooled over seeds."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from recdistill import report
from recdistill.artefacts import manifest
from recdistill.configuration import ARMS, CONTROLS, Config
from recdistill.evaluation import COMPARED, compare, measure
from recdistill.ranker import Ranker, file_bytes
from recdistill.splits import keep_labels
from recdistill.tables import Table


def cell_name(share: float, seed: int) -> str:
    """The folder name of one share of labels and one seed."""
    return f"labels-{share:g}-seed-{seed}"


def evaluate(
    config: Config,
    out: Path,
    source: Table,
    parts: dict[str, Table],
    cells: list[tuple[float, int]],
    command: str = "",
) -> dict[str, Any]:
    """Score the test rows with every ranker and put the report together; test labels are read here alone."""
    test, pooled, single = parts["test"], [], []
    for share in config.labels:
        seeds = [seed for other, seed in cells if other == share]
        found = [_evaluated(out, parts, share, seed) for seed in seeds]
        single += [
            {"labels": share, "seed": s, **counts, "rankers": r} for s, (r, _, counts) in zip(seeds, found, strict=True)
        ]
        pooled.append({"labels": share, "seeds": seeds, **_pooled(found, test)})
    counts = {name: report.counted(table) for name, table in {"source": source, **parts}.items()}
    head = {"schema": 1, "command": command, "config": config.model_dump(mode="json"), "data": counts}
    return (
        head
        | {"rankers": pooled[0]["rankers"], "comparisons": pooled[0]["comparisons"]}
        | {
            "pooled": pooled,
            "cells": single,
        }
    )


def _pooled(found: list[tuple[Any, Any, Any]], test: Table) -> dict[str, Any]:
    """One share of labels over its seeds: mean metrics, paired differences, and the arm chosen on validation rows."""
    rankers = {name: _mean([r[name] for r, _, _ in found]) for name in found[0][0]}
    scores = {name: np.stack([s[name] for _, s, _ in found]) for name in found[0][1]}
    if test.schema.truth is not None:
        truth = np.clip(test.numpy(test.schema.truth), 1e-6, 1 - 1e-6)
        best = np.log(truth / (1 - truth))
        metrics = measure(best, test, threshold=0.0)
        rankers["best_possible"] = {"role": "control", "params": 0, "bytes": 0, "metrics": metrics}
    comparisons = [
        {"a": name, "b": control, **compare(scores[name], scores[control], test, metric)}
        for name in scores
        for control in CONTROLS
        if name != control
        for metric in COMPARED
        if metric != "ndcg@10" or test.schema.user is not None
    ]
    students = [name for name in ARMS if ARMS[name].teacher is not None]
    chosen = min(students, key=lambda name: rankers[name]["valid_logloss"])
    return {**found[0][2], "chosen": chosen, "rankers": rankers, "comparisons": comparisons}


def _evaluated(out: Path, parts: dict[str, Table], share: float, seed: int) -> tuple[Any, Any, Any]:
    cell, rankers, scores = cell_name(share, seed), {}, {}
    folders = {"source_teacher": out / "teacher" / "source_teacher" / f"seed-{seed}"}
    folders["adapted_teacher"] = out / "teacher" / "adapted_teacher" / cell / "whole"
    folders |= {name: out / "students" / name / cell for name in ARMS}
    train, valid = keep_labels(parts["train"], parts["valid"], share=share, seed=seed)
    for name, folder in folders.items():
        ranker, facts = Ranker.load(folder), manifest(folder)["facts"]
        scores[name] = ranker.score(parts["test"]).astype(np.float64)
        role = "control" if name in CONTROLS else "student" if name in ARMS else "teacher"
        rankers[name] = {
            "role": role,
            "params": ranker.parameters,
            "bytes": file_bytes(folder),
            "valid_logloss": facts["valid_logloss"],
            "choice": facts.get("choice"),
            "metrics": measure(scores[name], parts["test"], threshold=facts.get("threshold", 0.0)),
        }
    counts = {"labelled": {"train": report.counted(train), "valid": report.counted(valid)}}
    return rankers, scores, counts


def _mean(entries: list[dict[str, Any]]) -> dict[str, Any]:
    metrics = {m: math.fsum(e["metrics"][m] for e in entries) / len(entries) for m in entries[0]["metrics"]}
    valid = math.fsum(e["valid_logloss"] for e in entries) / len(entries)
    kept = {k: entries[0][k] for k in ("role", "params", "bytes")}
    return {**kept, "valid_logloss": valid, "metrics": metrics}
