"""The verbs on a run: `run` for everything, and one per stage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from recdistill.cli.app import app
from recdistill.cli.comparing import compare_runs
from recdistill.cli.options import (
    Against,
    Assign,
    BoardOut,
    BoardOverwrite,
    By,
    ConfigFile,
    Every,
    LabelledBy,
    LabelsOut,
    Made,
    OnBadRow,
    Out,
    Overwrite,
    OverwriteOut,
    Roles,
    Run,
    Runs,
    SideOf,
    Split,
    Taught,
    TeacherOut,
    TeacherToml,
    What,
    Workers,
    a_file,
)
from recdistill.cli.tables import prepare_files, table_of
from recdistill.cli.words import bad_rows_explained, board, command, done, show, show_inspection
from recdistill.errors import UsageError

if TYPE_CHECKING:
    from recdistill.configuration import Config
    from recdistill.run_folder import RunFolder
    from recdistill.work import Workers as Crew


@app.command()
def run(
    config: ConfigFile = None,
    out: Out = Path("runs/run"),
    assign: Assign = None,
    overwrite: Overwrite = False,
    workers: Workers = None,
) -> None:
    """All stages: train teachers and students, evaluate them on the target's test rows, write the report.

    Every setting and its default stand in OUT/config.toml afterwards. Ctrl-C loses nothing that is finished.
    """
    from recdistill import experiment
    from recdistill.work import cores

    settings, count = _settings(config, assign), workers or cores()
    result = experiment.run(settings, out, workers=count, board=board(), overwrite=overwrite, command=command())
    show(result, out)


@app.command()
def prepare(
    what: What = None,
    out: Made = None,
    assign: Assign = None,
    overwrite: Overwrite = False,
    on_bad_row: OnBadRow = None,
    roles: Roles = None,
    side: SideOf = None,
    by: By = None,
) -> None:
    """Make a run's folder of an experiment's TOML, or a prepared table of data files larger than memory.

    With a TOML: read the data set, tell the domains apart, split the target, keep the rows. With data files (Parquet,
    CSV or TSV, .gz or .zst; several, a folder): encode them into Parquet parts for training, in bounded memory.
    """
    from recdistill import experiment, run_inspection
    from recdistill.datasets import ASIDE

    what, bad = what or [], [] if on_bad_row is None else [f"on_bad_row={on_bad_row}"]
    if what and not (len(what) == 1 and what[0].suffix == ".toml"):
        prepare_files(
            what,
            out or table_of(what),
            roles=roles,
            side=side,
            by=by,
            assign=[*(assign or []), *bad],
            overwrite=overwrite,
        )
        return
    if alone := [name for name, value in (("--roles", roles), ("--side", side), ("--encoder", by)) if value]:
        raise UsageError(f"only data files take {' and '.join(alone)}, got an experiment: its TOML says the roles")
    out = out or Path("runs/run")
    config = _settings(a_file(what[0]) if what else None, [*(assign or []), *(f"data.{one}" for one in bad)])
    with bad_rows_explained(config.data.on_bad_row == "strict" and config.data.name in ASIDE):
        folder = experiment.prepare(config, out, board=board(), overwrite=overwrite)
    show_inspection(run_inspection.read(folder), out / "prepared" / "inspection" / "inspection.json")
    done(f"{out} is prepared", ["recdistill", "teacher", str(out)])


@app.command()
def teacher(
    what: Taught,
    workers: Workers = None,
    out: TeacherOut = None,
    config: TeacherToml = None,
    assign: Assign = None,
    overwrite: OverwriteOut = False,
) -> None:
    """Train the teacher: a run's on its source, then adapted to the target's labels; or one on a prepared table.

    On a prepared table: `recdistill teacher prepared/source --out teachers/source --set fit.epochs=2`, or by several
    ranks that share tables and rows: `torchrun --nproc_per_node=8 -m recdistill teacher prepared/source
    --set fit.embedding_weight_decay=0`.
    """
    from recdistill.cli.large import is_table, require_one_process, teach_on_table

    if is_table(what):
        if workers is not None:
            raise UsageError(f"a teacher on a prepared table is trained by torchrun's ranks, got --workers {workers}")
        teach_on_table(what, out, config, assign, overwrite)
        return
    _only_for_tables(what, {"--out": out, "--config": config, "--set": assign, "--overwrite": overwrite})
    require_one_process("a run")
    from recdistill.experiment import train_teachers

    _carry_out(train_teachers, what, workers)
    done("the teachers are trained", ["recdistill", "label", str(what)])


@app.command()
def label(
    what: Taught,
    workers: Workers = None,
    by: LabelledBy = None,
    out: LabelsOut = None,
    split: Split = "train",
    overwrite: OverwriteOut = False,
) -> None:
    """Have the teacher score the target's training rows: the soft labels, of a run or of a prepared table.

    A prepared table must be prepared by the teacher's encoder (`recdistill prepare --encoder`). Several ranks share its
    parts: `torchrun --nproc_per_node=8 -m recdistill label prepared/target --teacher teachers/source`.
    """
    from recdistill.cli.large import is_table, label_table, require_one_process

    if is_table(what):
        if workers is not None:
            raise UsageError(f"a prepared table is labelled by torchrun's ranks, got --workers {workers}")
        label_table(what, by, out, split, overwrite)
        return
    _only_for_tables(what, {"--teacher": by, "--out": out, "--overwrite": overwrite})
    require_one_process("a run")
    from recdistill.experiment import label as soft_labels

    _carry_out(soft_labels, what, workers)
    done("the soft labels are written", ["recdistill", "distill", str(what)])


@app.command()
def distill(run_folder: Run, workers: Workers = None) -> None:
    """Train the students of every arm, the controls among them, each with the same tuning budget."""
    from recdistill.experiment import distil

    _carry_out(distil, run_folder, workers)
    done("the students are trained", ["recdistill", "evaluate", str(run_folder)])


@app.command()
def evaluate(run_folder: Run) -> None:
    """Score the test rows with every ranker, compare, and write the report."""
    from recdistill import experiment
    from recdistill.run_folder import RunFolder

    show(experiment.evaluate(RunFolder(run_folder), board=board(), command=command()), run_folder)


@app.command()
def report(
    run_folders: Runs,
    against: Against = None,
    every: Every = False,
    out: BoardOut = None,
    overwrite: BoardOverwrite = False,
) -> None:
    """Write the report's pages again from its report.json, and show it; of several runs show a leaderboard.

    Runs are compared on the same test rows: `recdistill report runs/a runs/b --out leaderboards/first`.
    """
    if len(run_folders) > 1:
        compare_runs(run_folders, against=against, every=every, out=out, overwrite=overwrite)
        return
    given = {"--against": against, "--all": every, "--out": out, "--overwrite": overwrite}
    if found := [name for name, value in given.items() if value]:
        raise UsageError(f"{', '.join(found)} is for the leaderboard of several runs, got one: {run_folders[0]}")
    from recdistill import experiment
    from recdistill.run_folder import RunFolder

    show(experiment.render(RunFolder(run_folders[0])), run_folders[0])


def _only_for_tables(run_folder: Path, given: dict[str, object]) -> None:
    """Refuse what a run's own configuration says."""
    if found := [name for name, value in given.items() if value]:
        raise UsageError(
            f"{run_folder} is a run, whose config.toml says how; {', '.join(found)} is for prepared tables"
        )


def _carry_out(stage: Callable[[RunFolder, Crew], None], run_folder: Path, workers: int | None) -> None:
    """A stage that several processes work on."""
    from recdistill.run_folder import RunFolder
    from recdistill.work import Workers, cores

    with Workers(workers or cores(), board()) as crew:
        stage(RunFolder(run_folder), crew)


def _settings(config: Path | None, assign: list[str] | None) -> Config:
    from recdistill.configuration import Config
    from recdistill.settings import fill, override, read_toml

    return fill(Config, override(read_toml(config) if config else {}, assign or []))
