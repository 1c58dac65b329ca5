"""What a grid is made of: students trained on soft labels, and each point as the folder that would be served."""

from __future__ import annotations

from recdistill.artefacts import is_whole, manifest, new_folder, remove
from recdistill.cells.students import best_of, learn, lesson
from recdistill.cells.trying import chosen, new_ranker, stopwatch
from recdistill.compression import reduced
from recdistill.errors import DataError, UsageError
from recdistill.examples import Examples
from recdistill.exporting import export
from recdistill.label_budget import Cell
from recdistill.pareto.grid import Grid, Point
from recdistill.progress import Watch
from recdistill.ranker import Ranker
from recdistill.soft_labels import SoftLabels
from recdistill.tables import Table
from recdistill.work import Unit

REFUSED = "refused_point"


def student_units(grid: Grid) -> list[Unit]:
    """The students, each as it is trained: with as many candidates as an arm of the run has."""
    return [
        Unit(f"{size}/{cell}", grid.student(size, cell), grid.made_from(size), teach, (grid, size, cell))
        for cell in grid.cells
        for size in grid.students
    ]


def point_units(grid: Grid) -> list[Unit]:
    """The points, each as it would be served, and the teacher of the first seed, to be timed beside them."""
    points = [
        Unit(
            f"{point.size}/{point.how.name}/{cell}",
            grid.shipped(point, cell),
            grid.made_from(point.size, point.how),
            ship,
            (grid, point, cell),
        )
        for cell in grid.cells
        for point in grid.points
    ]
    if grid.run.config.teacher.scores is not None:
        return points
    place, first = grid.teacher(grid.cells[0]), grid.cells[0]
    return [*points, Unit(f"{place.parent.name}/{first}", place, grid.run.identity, ship_teacher, (grid, first))]


def teach(grid: Grid, size: str, cell: Cell, watch: Watch) -> str:
    """A student of the grid: every candidate of its arm's budget, the best on the labelled validation rows kept."""
    told, arm, (train, valid), spent = grid.students[size], grid.arm_of(size), grid.run.labelled(cell), stopwatch()
    start = new_ranker(told, told.encoder.fit(train), train.schema.classes, cell.seed)
    examples = _lesson(grid, size, start, cell, train)
    trials = grid.run.config.tune.of(arm)
    held_out = best_of(trials, told, start, examples, valid, arm=arm, seed=cell.seed, watch=watch)
    words = held_out.save(grid.student(size, cell), grid.made_from(size), seconds=spent())
    return f"{words} with {held_out.trial.words(distilled=arm.distilled)}"


def ship(grid: Grid, point: Point, cell: Cell, watch: Watch) -> str:
    """A point as it would be served; what has lost ids, units or ranks learns on from the same soft labels.

    Its parity is proved on the validation rows. A compression that fails its proof, or for which the model has nothing
    that would become smaller, is kept as refused, with the reason.
    """
    told, arm, (train, valid) = grid.students[point.size], grid.arm_of(point.size), grid.run.labelled(cell)
    trained, how, place = grid.student(point.size, cell), point.how, grid.shipped(point, cell)
    ranker, spent, made = Ranker.load(trained), stopwatch(), grid.made_from(point.size, point.how)
    if is_whole(place):
        remove(place)  # of other settings
    try:
        if how.reduces:
            ranker = reduced(ranker, how, train)
            examples, (trial, _) = _lesson(grid, point.size, ranker, cell, train), chosen(trained)
            learn(told, ranker, examples, valid, arm=arm, trial=trial, seed=cell.seed, progress=watch.part(0, 1))
        facts = {"prepared": made, "parameters": ranker.parameters, "seconds": spent()}
        written = export(ranker, place, rows=valid, tables=how.tables, dense=how.dense, facts=facts)
    except (DataError, UsageError) as refusal:  # it fails its proof, or the model has nothing of the kind
        with new_folder(place, kind=REFUSED, prepared=made, reason=str(refusal)):
            return f"refused: {refusal}"
    return f"{written.bytes:,} bytes, logits within {written.parity.largest:.1g} of torch's"


def ship_teacher(grid: Grid, cell: Cell, watch: Watch) -> str:
    """The best teacher as it would be served."""
    ranker, (_, valid) = Ranker.load(grid.run.adapted(cell, "whole")), grid.run.labelled(cell)
    if is_whole(place := grid.teacher(cell)):
        remove(place)
    facts = {"prepared": grid.run.identity, "parameters": ranker.parameters}
    written = export(ranker, place, rows=valid, facts=facts)
    return f"{written.bytes:,} bytes"


def refusal(grid: Grid, point: Point) -> str:
    """Why a point cannot be served; empty where it can."""
    for cell in grid.cells:
        facts = manifest(grid.shipped(point, cell))["facts"]
        if facts["kind"] == REFUSED:
            return f"seed {cell.seed}: {facts['reason']}"
    return ""


def _lesson(grid: Grid, size: str, student: Ranker, cell: Cell, train: Table) -> Examples:
    """The training rows with what the student hears of them."""
    arm = grid.arm_of(size)
    soft = None if arm.teacher is None else SoftLabels.load(grid.run.soft_labels(arm.teacher, cell))
    return lesson(grid.students[size].distill, arm, student.encoder, train, soft, seed=cell.seed)
