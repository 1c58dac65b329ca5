"""`recdistill tune`: the settings of a student, chosen on validation rows."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recdistill.cli.app import app
from recdistill.cli.options import Run, a_file
from recdistill.cli.words import board, done

if TYPE_CHECKING:
    from recdistill.tuning import Space, Tuning

SpaceFile = Annotated[
    Path,
    typer.Option("--space", help="A TOML file: for each setting a range or choices (docs/tuning.md).", callback=a_file),
]
ArmName = Annotated[
    str | None, typer.Option("--arm", help="Whose student. Default: the best teacher's, from random weights.")
]
Share = Annotated[
    float | None, typer.Option("--labels", help="The share of labels it is trained with. Default: the largest.")
]
Seed = Annotated[int, typer.Option(help="Of the cell, and of what is tried.", min=0)]
Trials = Annotated[int, typer.Option(help="Students in all, with those that the folder has already.", min=1)]
Minutes = Annotated[float | None, typer.Option(help="After which no further student is begun.")]
Out = Annotated[Path | None, typer.Option(help="The folder for what was tried. Default: tuning/ARM/CELL in the run's.")]
SHOWN = 5


@app.command()
def tune(
    run_folder: Run,
    space: SpaceFile,
    arm: ArmName = None,
    labels: Share = None,
    seed: Seed = 0,
    trials: Trials = 50,
    minutes: Minutes = None,
    out: Out = None,
) -> None:
    """Choose the settings of a student on the labelled validation rows; the same command continues after a stop.

    Soft labels are those of the run, test rows are not read. What is spent on one arm must be spent on its controls too
    before they are compared: `--arm hard_only` takes the same space, without what only a teacher's student hears.
    """
    from recdistill.arms import ARMS, placebo_of
    from recdistill.label_budget import cell_of
    from recdistill.run_folder import RunFolder
    from recdistill.tuning import Space
    from recdistill.tuning import tune as tuned

    known, cell = Space.read(space), cell_of(RunFolder(run_folder).config, labels, seed, where=run_folder)
    found = tuned(run_folder, known, arm=arm, cell=cell, trials=trials, minutes=minutes, out=out, board=board())
    _show(found, known)
    if ARMS[found.arm].teacher is not None:
        words = ["recdistill", "tune", str(run_folder), "--space", str(space)]
        where = ["--labels", f"{cell.share:g}", "--seed", str(seed), "--trials", str(len(found.tried))]
        control = shlex.join([*words, "--arm", "hard_only", *where])
        others = f" (and --arm {placebo_of(found.arm)})"
        board().say(f"Caution: compare it only with controls that had as many trials: {control}{others}")
    if not found.gains:
        own = f"the run's own student of {found.arm} ({found.own:.4f} on the same rows)"
        board().say(f"Caution: no trial is better than {own}: more trials, or another space, might be")
    done(
        f"{found.best_toml} is written", ["recdistill", "run", str(found.best_toml), "--out", f"runs/tuned_{found.arm}"]
    )


def _show(found: Tuning, known: Space) -> None:
    """The best few, and how many there were."""
    from recdistill.terminal import console, show_table

    say, names = board().say, found.space.tuned
    if left := [name for name in known.dimensions if name not in found.space.dimensions]:
        say(f"{found.arm} hears no teacher: {', '.join(left)} left out")
    lines = [["trial", "validation logloss", "best epoch", *(name.partition(".")[2] for name in names)]]
    for number, one in found.ranked[:SHOWN]:
        values = [_shown(one.point[name]) for name in names]
        lines.append([str(number), f"{one.valid_logloss:.4f}", str(one.best_epoch), *values])
    show_table(console(), lines, f"{found.arm}: the best on {found.rows:,} labelled validation rows")
    counts = f"{found.count('finished')} finished, {found.count('pruned')} pruned"
    failed = found.count("failed")
    if found.own is not None:
        say(f"the run's own student of {found.arm}: {found.own:.4f}")
    say(f"{len(found.tried)} trials: {counts}{f', {failed} failed (reasons: trials.csv)' if failed else ''}")


def _shown(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
