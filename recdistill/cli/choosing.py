"""The verb that chooses what to ship: `pareto`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recdistill.cli.app import app
from recdistill.cli.options import Run, Workers, a_file
from recdistill.cli.words import board, command, done

GridFile = Annotated[
    Path | None,
    typer.Option(
        "--grid",
        help="A TOML with \\[sizes.NAME] (model, arguments, encoder) and \\[\\[compressions]], see docs/pareto.md. "
        "Default: the run's student, half and twice its embedding, in the usual compressions.",
        callback=a_file,
    ),
]
Assign = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="Change a setting of the grid, e.g. --set calls=1000. May be repeated.", metavar="KEY=VALUE"
    ),
]
Share = Annotated[float | None, typer.Option("--labels", help="The share of labels. Default: the run's largest.")]
Margin = Annotated[
    float | None,
    typer.Option(help="How much of the headline metric a smaller student may lose on validation rows. Default: 0.002."),
]
Arm = Annotated[
    str | None, typer.Option(help="By which arm students learn. Default: the best teacher's soft labels of all rows.")
]


@app.command()
def pareto(
    run_folder: Run,
    grid: GridFile = None,
    labels: Share = None,
    margin: Margin = None,
    arm: Arm = None,
    workers: Workers = None,
    assign: Assign = None,
) -> None:
    """Find the smallest student that is good enough: sizes and compressions from one set of soft labels.

    Each is trained, compressed, exported, timed, and compared on validation rows, with intervals over the run's seeds;
    what is chosen is confirmed on test rows. The teacher's soft labels are not made again.
    """
    from recdistill import experiment
    from recdistill import report as reports
    from recdistill.artefacts import is_whole
    from recdistill.errors import DataError, UsageError
    from recdistill.pareto import ParetoSettings, pareto
    from recdistill.report.frontier.words import GRID, PAGE
    from recdistill.run_folder import RunFolder
    from recdistill.settings import fill, override, read_toml
    from recdistill.terminal import console, show_table
    from recdistill.work import cores

    run, given = RunFolder(run_folder), {"margin": margin, "arm": arm}
    told = {**(read_toml(grid) if grid else {}), **{name: value for name, value in given.items() if value is not None}}
    settings = fill(ParetoSettings, override(told, assign or []))
    share = max(run.config.labels) if labels is None else labels
    made = pareto(run, settings, share=share, workers=workers or cores(), board=board(), command=command())
    first, *others = reports.frontier_lines(made)
    board().say("\n  ".join([first, *others]))
    for caution in reports.frontier_cautions(made):
        board().say(f"Caution: {caution}")
    show_table(console(), reports.frontier_table(made), "students on validation rows; bytes are those of the file")
    if is_whole(run.report):
        try:
            experiment.render(run)
            board().say(f"the figure is in the run's report too: {run.report / 'index.html'}")
        except (DataError, UsageError) as old:
            board().say(f"the run's report does not have the figure yet: {old}")
    board().say(f"page: {run.path / GRID / PAGE / 'index.html'}")
    done(
        f"what to ship is in {made['folder']}",
        ["recdistill", "score", made["folder"], "ROWS", "--out", "scores.parquet"],
    )
