"""What came of a grid: points on validation rows, the smallest that is good enough, and test rows once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from recdistill.artefacts import is_made_from, manifest
from recdistill.errors import DataError
from recdistill.evaluation import compare, measure, more_is_better, task
from recdistill.latency import COUNTS, Latency, latencies
from recdistill.metrics import over_seeds
from recdistill.pareto.grid import Grid, Point
from recdistill.pareto.making import refusal
from recdistill.pareto.settings import TEACHER
from recdistill.progress import Board
from recdistill.ranker import Ranker
from recdistill.report.frontier.words import BASELINE
from recdistill.run_rankers import scorers
from recdistill.score_column import ScoreColumn
from recdistill.serving import Scorer
from recdistill.serving.scorer import MODEL
from recdistill.tables import Table

Array = np.ndarray[Any, Any]
Entry = dict[str, Any]
Said = list[Array]  # per seed the logits of its labelled validation rows


def weighed(grid: Grid, board: Board) -> Entry:
    """The points with their quality on validation rows, their bytes and time, and the one to ship, as `pareto.json`.

    Best is the point with the best mean of the headline metric on the labelled validation rows, over seeds. To ship is
    the smallest whose paired 95 % interval against it lies wholly above a loss of the margin. Only then are test rows
    read, of few rankers: see `_on_test`.
    """
    reasons = _refusals(grid)
    made = [point for point in grid.points if not reasons[point]]
    students = [point for point in made if point.size != BASELINE]
    if not students:
        raise DataError(f"no student of the grid can be served: {next(iter(reasons.values()))}")
    board.say(f"scoring validation rows with {len(made)} students of each seed")
    valid = [rows.take(rows.labelled) for rows in (grid.run.labelled(cell)[1] for cell in grid.cells)]
    said = {point: [_served(grid, point, k).score(rows.arrow) for k, rows in enumerate(valid)] for point in made}
    metric, timed = task(valid[0].schema).headline, _timed(grid, made, board)
    means = {point: _mean(of, valid, metric) for point, of in said.items()}
    sign = 1 if more_is_better(valid[0].schema, metric) else -1
    best = max(students, key=lambda point: sign * means[point])
    entries = {point: _entry(grid, point, means[point], timed[point.name]) for point in made}
    for point, entry in entries.items():
        entry["against_best"] = _against(said[point], said[best], valid, metric)
        entry["against_plain"] = _against(said[point], said[Point(point.size)], valid, metric)
    shipped = smallest({point: entries[point] for point in students}, sign, grid.settings.margin)
    for cost in ("bytes", "network"):
        for point in front({point: (entries[point][cost], sign * means[point]) for point in students}):
            entries[point]["front"].append(cost)
    return {
        "metric": metric,
        "valid_rows": [len(rows) for rows in valid],
        "points": [entries.get(point) or _named(point, reasons[point]) for point in grid.points],
        "teacher_name": grid.run.teachers[-1],
        "teacher": _teacher(grid, timed, valid, metric),
        "best": best.name,
        "recommended": shipped.name,
        "test": _on_test(grid, shipped, best, [point for point in made if point.size == BASELINE], metric, board),
    }


def _refusals(grid: Grid) -> dict[Point, str]:
    """Why each point cannot be shown, or nothing: without itself uncompressed it would be compared with nothing."""
    found = {point: refusal(grid, point) for point in grid.points}
    for point in found:
        if not found[point] and (why := found[Point(point.size)]):
            found[point] = f"uncompressed it cannot be served: {why}"
    return found


def smallest(entries: Mapping[Point, Entry], sign: int, margin: float) -> Point:
    """The point of fewest bytes whose loss against the best is below the margin, by its whole interval.

    Args:
        entries: per point "bytes" and "against_best"; the best one's difference to itself is 0.
        sign: 1 where more of the metric is better, else -1.
        margin: what may be lost.
    """
    good = [
        point
        for point, entry in entries.items()
        if min(sign * entry["against_best"][end] for end in ("low", "high")) > -margin
    ]
    return min(good, key=lambda point: entries[point]["bytes"])


def front(costs: Mapping[Point, tuple[float, float]]) -> list[Point]:
    """The points that no other beats: none has at most their cost and at least their quality, and more of one.

    Args:
        costs: per point (cost, quality).
    """
    kept: list[Point] = []
    for point in sorted(costs, key=lambda point: (costs[point][0], -costs[point][1])):
        if not kept or costs[point][1] > costs[kept[-1]][1]:
            kept.append(point)
    return kept


def _entry(grid: Grid, point: Point, mean: float, latency: Latency) -> Entry:
    """A point as `pareto.json` has it; bytes are those of the network's file, the mean over seeds."""
    folders = [grid.shipped(point, cell) for cell in grid.cells]
    size = float(np.mean([_network_bytes(folder) for folder in folders]))
    kept = {"parameters": manifest(folders[0])["facts"]["parameters"], "bytes": round(size)}
    network = latency[str(max(COUNTS))]["network"]["p50"]
    return {**_named(point, ""), **kept, "valid": mean, "network": network, "latency": latency, "front": []}


def _network_bytes(folder: Path) -> int:
    """Of the network's file; of a large one's, whose weights stand beside it, all."""
    return sum(entry["bytes"] for name, entry in manifest(folder)["files"].items() if name.startswith(MODEL))


def _named(point: Point, reason: str) -> Entry:
    compression = point.how.model_dump(exclude_defaults=True)
    return {"name": point.name, "size": point.size, "compression": compression, "refused": reason}


def _served(grid: Grid, point: Point, seed: int) -> Scorer:
    return Scorer.load(grid.shipped(point, grid.cells[seed]))


def _mean(said: Said, valid: Sequence[Table], metric: str) -> float:
    return float(np.mean([measure(scores, rows).metrics[metric] for scores, rows in zip(said, valid, strict=True)]))


def _against(first: Said, second: Said, valid: Sequence[Table], metric: str) -> Entry:
    """The mean paired difference over seeds, each on its own labelled validation rows."""
    found = [compare(a, b, rows, metric) for a, b, rows in zip(first, second, valid, strict=True)]
    units = [len(rows if (user := rows.schema.user) is None else np.unique(rows.numpy(user))) for rows in valid]
    deltas, errors = [one["delta"] for one in found], [one["rows_error"] for one in found]
    pooled = over_seeds(deltas, errors, units=min(units), method=found[0]["method"])
    return {"metric": metric, **asdict(pooled), "cluster": found[0]["cluster"]}


def _timed(grid: Grid, made: Sequence[Point], board: Board) -> dict[str, Latency]:
    """What the first seed's points and teacher take, by name, in turns on one thread."""
    served = {point.name: _served(grid, point, 0) for point in made}
    if grid.run.config.teacher.scores is None:
        served[TEACHER] = Scorer.load(grid.teacher(grid.cells[0]))
    rows = grid.run.part("valid").arrow
    records = rows.slice(0, max(COUNTS)).to_pylist()
    records *= -(-max(COUNTS) // len(records))  # few rows come again
    parts = ("encoding", "network")  # their sum is nearly all that raw rows take
    return latencies(served, records[: max(COUNTS)], calls=grid.settings.calls, parts=parts, board=board)


def _teacher(grid: Grid, timed: Mapping[str, Latency], valid: Sequence[Table], metric: str) -> Entry | None:
    """The best teacher's quality on validation rows, bytes and time; None where it is a column of scores."""
    if TEACHER not in timed:
        return None
    said = [scorer.score(rows) for scorer, rows in zip(_teachers(grid), valid, strict=True)]
    place, network = grid.teacher(grid.cells[0]), timed[TEACHER][str(max(COUNTS))]["network"]["p50"]
    size = {"parameters": manifest(place)["facts"]["parameters"], "bytes": _network_bytes(place)}
    return {**size, "valid": _mean(said, valid, metric), "network": network, "latency": timed[TEACHER]}


def _teachers(grid: Grid) -> Iterator[Ranker | ScoreColumn]:
    """The best teacher of each seed."""
    name = grid.run.teachers[-1]
    for cell in grid.cells:
        yield scorers(grid.run, cell, grid.run.labelled(cell)[0], {name})[name][0]


def _on_test(grid: Grid, shipped: Point, best: Point, baseline: Sequence[Point], metric: str, board: Board) -> Entry:
    """What is to ship on the test rows, beside it uncompressed, the best point, the teacher and logistic regression.

    And beside what the run's strategy ships, "ships", where that is made: a student of any arm.
    """
    test = grid.run.part("test")
    board.say(f"confirming {shipped.name} on {len(test):,} test rows")
    points = dict.fromkeys((shipped, Point(shipped.size), best, *baseline))
    seeds = range(len(grid.cells))
    said = {point.name: np.stack([_served(grid, point, k).score(test.arrow) for k in seeds]) for point in points}
    said[grid.run.teachers[-1]] = np.stack([teacher.score(test) for teacher in _teachers(grid)])
    ships = grid.run.config.strategy
    places = [grid.run.student(ships, cell) for cell in grid.cells]
    there = ships not in said and all(is_made_from(place, grid.run.identity) for place in places)
    if there:
        said[ships] = np.stack([Ranker.load(place).score(test) for place in places])
    rankers = {name: _means([measure(scores, test).metrics for scores in of]) for name, of in said.items()}
    compared = dict.fromkeys((metric, "logloss"))
    comparisons = [
        {"a": shipped.name, "b": name, **compare(said[shipped.name], of, test, one)}
        for name, of in said.items()
        if name != shipped.name
        for one in compared
    ]
    return {"rows": len(test), "rankers": rankers, "comparisons": comparisons, "ships": ships if there else None}


def _means(seeds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([of[name] for of in seeds])) for name in seeds[0]}
