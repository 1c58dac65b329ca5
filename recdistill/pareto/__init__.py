"""Pareto: a grid of students and compressions from one set of soft labels, what each costs, and which to ship."""

from __future__ import annotations

from typing import Any

from recdistill import report
from recdistill.exporting import require_packages
from recdistill.pareto.choosing import weighed
from recdistill.pareto.grid import Grid, Point
from recdistill.pareto.making import point_units, student_units
from recdistill.pareto.settings import ParetoSettings, Size
from recdistill.progress import SILENCE, Board
from recdistill.rehearsal import try_student
from recdistill.run_folder import RunFolder
from recdistill.settings import plain
from recdistill.stages import require_before
from recdistill.work import Workers


def pareto(
    run: RunFolder,
    settings: ParetoSettings,
    *,
    share: float,
    workers: int = 1,
    board: Board = SILENCE,
    command: str = "",
) -> dict[str, Any]:
    """Train, compress, export, time and weigh every point of a grid, and write its page.

    What is finished is kept under `pareto/` in the run's folder, so that the same call continues, and another grid
    makes only what is new in it. The run's report shows the figure when it is written next.

    Args:
        run: whose stage `label` is done.
        settings: the grid.
        share: of the labels, one of the run's; all its seeds.
        workers: processes that train at the same time.
        board: told what is going on.
        command: as the user typed it, for the page.

    Returns:
        As `pareto.json` holds it, and "folder", where the first seed's student to ship is.

    Raises:
        UsageError: a stage is missing, or the run has no such labels, arm or student.
        DataError: the run's data or rankers are not what they must be, or no student can be served.
        EnvironmentFault: onnx, onnxscript or onnxruntime is not installed.
        Interrupted: the user stopped it.
    """
    require_before(run, "distill")
    grid = Grid(run, settings, share)
    require_packages()
    for student in grid.students.values():
        try_student(run.config.model_copy(update={"student": student}), run.part("train"))
    with Workers(workers, board) as crew:
        crew.carry_out(f"students by {grid.arm_name}", student_units(grid))
        crew.carry_out("compressed and exported", point_units(grid))
    told = {"command": command, "versions": run.versions, "config": plain(settings), "data": plain(run.config.data)}
    facts = {"labels": share, "seeds": len(grid.cells), "arm": grid.arm_name, "margin": settings.margin}
    result = {"schema": 1, **told, **facts, **weighed(grid, board)}
    report.write_frontier(result, grid.page, prepared=run.identity)
    shipped = next(point for point in grid.points if point.name == result["recommended"])
    return {**result, "folder": str(grid.shipped(shipped, grid.cells[0]))}


__all__ = ["Grid", "ParetoSettings", "Point", "Size", "pareto"]
