"""Full ranking in a run: the teachers, the controls and the chosen student order each test user's unseen items."""

from __future__ import annotations

import math
from typing import Any

from recdistill.candidates import Candidates
from recdistill.configuration import RankingSettings
from recdistill.full_ranking import Ranked, compare_ranked, rank
from recdistill.label_budget import Cell
from recdistill.ranker import Ranker
from recdistill.run_folder import RunFolder
from recdistill.tables import Table

METRICS = ("ndcg@10", "recall@10", "mrr")


def candidates_of(settings: RankingSettings, *, train: Table, valid: Table, test: Table) -> Candidates | None:
    """Who is ranked what in a run: the same for every ranker, share of labels and seed; None without the protocol.

    Items of a user's training and validation rows are seen, labelled or not; the target's items are the catalogue.

    Raises:
        DataError: the rows cannot be ranked, see `Candidates.of`.
    """
    if settings.protocol == "none":
        return None
    sampled = settings.negatives if settings.protocol == "sampled" else None
    return Candidates.of(test, seen=(train, valid), users=settings.users, sampled=sampled)


def ranked(run: RunFolder, cells: list[Cell], chosen: list[str], candidates: Candidates) -> dict[str, Any]:
    """One share of labels over its seeds, as `report.json` holds it.

    Args:
        run: the run's folder.
        cells: of one share, by seed.
        chosen: per cell the arm that was chosen.
        candidates: who is ranked what.

    Returns:
        {"protocol", "biased", "context", "users", "eligible", "skipped", "candidates": mean number,
        "rankers": {name: mean metrics}, "comparisons": [of chosen with each control, as everywhere]}.
    """
    found: dict[str, list[Ranked]] = {}
    for cell, arm in zip(cells, chosen, strict=True):
        # A column of scores is not ranked: it says nothing of rows that are not there.
        students = {name: run.student(name, cell) for name in run.controls} | {"chosen": run.student(arm, cell)}
        places = run.teacher_models(cell) | students
        for name, place in places.items():
            found.setdefault(name, []).append(rank(Ranker.load(place), candidates))
    comparisons = [
        {"a": "chosen", "b": control, **compare_ranked(found["chosen"], found[control], metric)}
        for control in run.controls
        for metric in METRICS
    ]
    said = {key: value for key, value in found["chosen"][0].to_dict().items() if key != "metrics"}
    means = {name: mean_metrics([one.metrics for one in several]) for name, several in found.items()}
    return {**said, "rankers": means, "comparisons": comparisons}


def mean_metrics(metrics: list[dict[str, float]]) -> dict[str, float]:
    """The mean of each metric over seeds."""
    return {name: math.fsum(one[name] for one in metrics) / len(metrics) for name in metrics[0]}
