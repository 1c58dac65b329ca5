"""What a grid is made of: students trained on soft labels, and each point as the folder that would be served."""

from __future__ import annotations

from recdistill.artefacts import manifest, new_folder, remove
from recdistill.cells.students import best_of, learn, lesson
from recdistill.cells.trying import chosen, new_ranker, stopwatch
from recdistill.compression import reduced
from recdistill.errors import DataError, TrainingError, UsageError
from recdistill.exporting import export
from recdistill.label_budget import Cell
from recdistill.pareto.grid import Grid, Point
from recdistill.progress import Watch
from recdistill.ranker import Ranker
from recdistill.soft_labels import SoftLabels
from recdistill.work import Unit

REFUSED = "refused_point"


def student_units(grid: Grid) -> list[Unit]:
    """The students, each as it is trained: with as many candidates as an arm of the run has."""
    return [
        Unit(f"{size}/{cell}", grid.student(size, cell), grid.learnt_from(size, cell), teach, (grid, size, cell))
        for cell in grid.cells
        for size in grid.students
    ]


def point_units(grid: Grid) -> list[Unit]:
    """The points, each as it would be served, and the teacher of the first seed, to be timed beside them."""
    points = [
        Unit(
            f"{point.size}/{point.how.name}/{cell}",
            grid.shipped(point, cell),
            grid.made_from(point, cell),
            ship,
            (grid, point, cell),
        )
        for cell in grid.cells
        for point in grid.points
    ]
    if grid.run.config.teacher.scores is not None:
        return points
    place, first = grid.teacher(grid.cells[0]), grid.cells[0]
    unit = Unit(f"{place.parent.name}/{first}", place, grid.adapted_from(first), ship_teacher, (grid, first))
    return [*points, unit]


def teach(grid: Grid, size: str, cell: Cell, watch: Watch) -> str:
    """A student of the grid: every candidate of its arm's budget, the best on the labelled validation rows kept."""
    told, arm, (train, valid), spent = grid.students[size], grid.arm_of(size), grid.run.labelled(cell), stopwatch()
    start = new_ranker(told, told.encoder.fit(train), train.schema.classes, cell.seed)
    soft = _soft_labels(grid, size, cell)
    examples = lesson(told.distill, arm, start.encoder, train, soft, seed=cell.seed)
    trials = grid.run.config.tune.of(arm)
    held_out = best_of(trials, told, start, examples, valid, arm=arm, seed=cell.seed, watch=watch)
    words = held_out.save(grid.student(size, cell), grid.learnt_from(size, cell), seconds=spent())
    return f"{words} with {held_out.trial.words(distilled=arm.distilled)}"


def ship(grid: Grid, point: Point, cell: Cell, watch: Watch) -> str:
    """A point as it would be served; what has lost ids, units or ranks learns on from the same soft labels.

    Its parity is proved on the validation rows. Where the model has nothing that would become smaller, the smaller one
    cannot be trained on, or fewer bits fail their proof, the point is kept as refused, with the reason.
    """
    (train, valid), how, spent = grid.run.labelled(cell), point.how, stopwatch()
    place, made = grid.shipped(point, cell), grid.made_from(point, cell)
    ranker, soft = Ranker.load(grid.student(point.size, cell)), _soft_labels(grid, point.size, cell)
    if place.exists():
        remove(place)  # of other settings, or not whole
    try:
        if how.reduces:
            ranker = reduced(ranker, how, train)
            _teach_on(grid, point, ranker, cell, soft, watch)
        facts = {"prepared": made, "parameters": ranker.parameters, "seconds": spent()}
        written = export(ranker, place, rows=valid, tables=how.tables, dense=how.dense, facts=facts)
    except (UsageError, TrainingError, DataError) as refusal:
        with new_folder(place, kind=REFUSED, prepared=made, reason=str(refusal)):
            return f"refused: {refusal}"
    return f"{written.bytes:,} bytes, logits within {written.parity.largest:.1g} of torch's"


def _teach_on(grid: Grid, point: Point, ranker: Ranker, cell: Cell, soft: SoftLabels | None, watch: Watch) -> None:
    """Train what is smaller now on the same soft labels, with the candidate that its student chose."""
    told, arm, (train, valid) = grid.students[point.size], grid.arm_of(point.size), grid.run.labelled(cell)
    trial, _ = chosen(grid.student(point.size, cell))
    examples = lesson(told.distill, arm, ranker.encoder, train, soft, seed=cell.seed)
    learn(told, ranker, examples, valid, arm=arm, trial=trial, seed=cell.seed, progress=watch.part(0, 1))


def ship_teacher(grid: Grid, cell: Cell, watch: Watch) -> str:
    """The best teacher as it would be served."""
    ranker, (_, valid) = Ranker.load(grid.run.adapted(cell, "whole")), grid.run.labelled(cell)
    if (place := grid.teacher(cell)).exists():
        remove(place)
    facts = {"prepared": grid.adapted_from(cell), "parameters": ranker.parameters}
    written = export(ranker, place, rows=valid, facts=facts)
    return f"{written.bytes:,} bytes"


def refusal(grid: Grid, point: Point) -> str:
    """Why a point cannot be served; empty where it can."""
    for cell in grid.cells:
        facts = manifest(grid.shipped(point, cell))["facts"]
        if facts["kind"] == REFUSED:
            return f"seed {cell.seed}: {facts['reason']}"
    return ""


def _soft_labels(grid: Grid, size: str, cell: Cell) -> SoftLabels | None:
    """What a student hears; None where it learns from labels alone."""
    arm = grid.arm_of(size)
    return None if arm.teacher is None else SoftLabels.load(grid.run.soft_labels(arm.teacher, cell))
