"""One leaderboard over several finished runs: their rankers on the same test rows, each against one reference."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recdistill import report
from recdistill.artefacts import digest, new_folder, write_json, write_text
from recdistill.entrants import Entrant, entrants_of, tested_rows
from recdistill.errors import UsageError, nearest
from recdistill.evaluation import compare, task
from recdistill.label_budget import Cell
from recdistill.metrics import holm
from recdistill.preparation.workspace import is_there
from recdistill.progress import SILENCE, Board
from recdistill.rankings import mean_metrics
from recdistill.run_rankers import scorers
from recdistill.settings import plain

KIND = "leaderboard"
REFERENCE = "hard_only"
Entry = dict[str, Any]
Scores = np.ndarray[Any, np.dtype[np.float64]]


def leaderboard(
    paths: Sequence[Path],
    *,
    against: str | None = None,
    every: bool = False,
    command: str = "",
    board: Board = SILENCE,
) -> dict[str, Any]:
    """Score the test rows with the rankers of several runs, and compare each with one reference.

    Of each run stand on it the student that it ships, its controls and its best teacher. Runs need not have the same
    shares of labels or seeds: in a share are those that have it, by the seeds that all of them have.

    Args:
        paths: of finished runs.
        against: the reference as "RUN:RANKER"; by default the first run's student of labels alone. In a share that its
            run has not, the ranker of that name in the first run that has it.
        every: put every arm on it.
        command: as the user typed it.
        board: told what is going on.

    Returns:
        {"schema": 1, "command", "metric", "runs": [{"name", "path", "config", "labels", "seeds"}], "test": {"rows",
        "fingerprint", ...}, "shares": [{"labels", "seeds", "against", "rankers": {"RUN:RANKER": {...}}, best first,
        "comparisons": [...]}]}; each comparison as in `report.json`, with "p_holm" over all of the leaderboard's.

    Raises:
        UsageError: fewer than two runs, one that is not finished, or an unknown reference.
        DataError: test rows, columns or tasks differ, or a run was changed.
    """
    entrants = entrants_of(paths)
    reference = _reference(entrants, against)
    shares = sorted({pooled["labels"] for entrant in entrants for pooled in entrant.result["pooled"]})
    found: list[Entry] = []
    for share in shares:
        board.say(f"scoring the test rows with the rankers of {report.percent(share)} of the labels")
        found.append(_share(entrants, share, reference, every=every))
    comparisons = [comparison for entry in found for comparison in entry["comparisons"]]
    for comparison, p in zip(comparisons, holm([c["p"] for c in comparisons]), strict=True):
        comparison["p_holm"] = float(p)
    test = entrants[0].run.tables()["test"]
    return {
        "schema": 1,
        "command": command,
        "metric": task(test.schema).headline,
        "runs": [_told(entrant) for entrant in entrants],
        "test": {**report.counted(test), "fingerprint": tested_rows(entrants[0].run)["fingerprint"]},
        "shares": found,
    }


def require_room(folder: Path, *, overwrite: bool) -> None:
    """Refuse to write a leaderboard over something else, or over another one unasked.

    Raises:
        UsageError: the folder holds something.
    """
    if is_there(folder, KIND, overwrite=overwrite) and not overwrite:
        raise UsageError(f"{folder} holds a leaderboard; choose another folder or pass --overwrite")


def write(result: dict[str, Any], folder: Path) -> None:
    """Write `leaderboard.json` and `leaderboard.md` as one folder artefact; one that was there is replaced."""
    with new_folder(folder, kind=KIND) as temporary:
        write_json(temporary / "leaderboard.json", result)
        write_text(temporary / "leaderboard.md", report.leader_page(result))


def _reference(entrants: Sequence[Entrant], against: str | None) -> tuple[str, str]:
    """The run and the ranker that the others are compared with."""
    if against is None:
        return entrants[0].name, REFERENCE
    name, _, ranker = against.rpartition(":")
    if not name:
        raise UsageError(f"--against names a run and one of its rankers, RUN:RANKER, got {against!r}")
    runs = {entrant.name: entrant for entrant in entrants}
    if name not in runs:
        raise UsageError(f"no run {name!r} to compare with, {nearest(name, runs)}")
    rankers = {known for cell in runs[name].result["cells"] for known in cell["rankers"]}
    if ranker not in rankers:
        raise UsageError(f"no ranker {ranker!r} in {name}, {nearest(ranker, sorted(rankers))}")
    return name, ranker


def _share(entrants: Sequence[Entrant], share: float, reference: tuple[str, str], *, every: bool) -> Entry:
    """One share of labels: its rankers, best first, and their differences to the reference."""
    there = [entrant for entrant in entrants if entrant.seeds(share)]
    cells = [Cell(share, seed) for seed in sorted(set.intersection(*(entrant.seeds(share) for entrant in there)))]
    rankers: dict[str, Entry] = {}
    scores: dict[str, Scores] = {}
    for entrant in there:
        run = entrant.run
        names = None if every else {run.config.strategy, *run.controls, run.teachers[-1], reference[1]}
        for ranker, of in _scored(entrant, cells, names).items():
            name = f"{entrant.name}:{ranker}"
            scores[name], rankers[name] = of, _entry(entrant, ranker, cells)
    alike = [name for name, entry in rankers.items() if entry["ranker"] == reference[1]]
    against = ":".join(reference) if ":".join(reference) in alike else next(iter(alike), None)
    test = there[0].run.tables()["test"]
    measured = task(test.schema)
    ordered = sorted(
        rankers, key=lambda name: rankers[name]["metrics"][measured.headline], reverse=measured.higher_is_better
    )
    rivals = [name for name in ordered if against is not None and name != against]
    return {
        "labels": share,
        "seeds": [cell.seed for cell in cells],
        "against": against,
        "rankers": {name: rankers[name] for name in ordered},
        "comparisons": [
            {"a": name, "b": against, **compare(scores[name], scores[str(against)], test, measured.headline)}
            for name in rivals
        ],
    }


def _scored(entrant: Entrant, cells: Sequence[Cell], wanted: Collection[str] | None) -> dict[str, Scores]:
    """By ranker its logits on the test rows in every cell: (seeds, rows), or with classes as a last axis."""
    run, found = entrant.run, []
    test = run.tables()["test"]
    for cell in cells:
        train, _ = run.labelled(cell)
        found.append({name: of.score(test) for name, (of, _) in scorers(run, cell, train, wanted).items()})
    return {name: np.stack([of[name] for of in found]).astype(np.float64) for name in found[0]}


def _entry(entrant: Entrant, ranker: str, cells: Sequence[Cell]) -> Entry:
    """What a leaderboard says of a ranker: what its run's report says, in the mean of the cells."""
    found = [cell for cell in entrant.result["cells"] if Cell(cell["labels"], cell["seed"]) in cells]
    entries = [cell["rankers"][ranker] for cell in found]
    size = {"params": entries[0]["params"], "bytes": max(entry["bytes"] for entry in entries)}
    said = {"role": entries[0]["role"], **size, "metrics": mean_metrics([entry["metrics"] for entry in entries])}
    return {"run": entrant.name, "ranker": ranker, **said, "shipped": _shipped(entrant, ranker, cells)}


def _shipped(entrant: Entrant, ranker: str, cells: Sequence[Cell]) -> list[str]:
    """The arm of each cell whose student a ranker is, where its run ships that; nothing of other rankers."""
    if ranker != entrant.run.config.strategy:
        return []
    arms = {
        Cell(pooled["labels"], seed): arm
        for pooled in entrant.result["pooled"]
        for seed, arm in zip(pooled["seeds"], pooled["shipped"], strict=True)
    }
    return [arms[cell] for cell in cells]


def _told(entrant: Entrant) -> Entry:
    """Of a run on a leaderboard."""
    config = entrant.run.config
    return {
        "name": entrant.name,
        "path": str(entrant.run.path),
        "config": digest(plain(config)),
        "labels": list(config.labels),
        "seeds": config.seeds,
    }
