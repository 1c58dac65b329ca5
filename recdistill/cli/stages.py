"""The verbs on a run: `run` for everything, and one per stage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from recdistill.cli.app import app
from recdistill.cli.tables import prepare_files, table_of, verify_table
from recdistill.cli.words import bad_rows_explained, board, command, done, show, show_inspection
from recdistill.errors import UsageError, beside

if TYPE_CHECKING:
    from recdistill.configuration import Config
    from recdistill.run_folder import RunFolder
    from recdistill.work import Workers as Crew


def _a_file(path: Path | None) -> Path | None:
    if path is not None and not path.exists():
        raise UsageError(f"{path} does not exist{beside(path)}")
    return path


def _a_prepared_table(path: Path | None) -> Path | None:
    if path is not None and not (path / "manifest.json").is_file():
        near = "" if path.exists() else beside(path, lambda other: (other / "manifest.json").is_file())
        raise UsageError(f"{path} is no prepared table{near or '; `recdistill prepare` makes one of data files'}")
    return path


def _a_run(path: Path) -> Path:
    from recdistill.run_folder import RunFolder

    if not path.exists():
        near = beside(path, lambda other: RunFolder(other).is_run)
        raise UsageError(f"{path} holds no run{near or '; `recdistill prepare` makes one'}")
    return path


ConfigFile = Annotated[
    Path | None,
    typer.Argument(help="A TOML file; without one, the built-in synthetic world.", callback=_a_file),
]
Out = Annotated[Path, typer.Option(help="The run's folder. The same command again continues there.")]
Assign = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="Change a setting, e.g. --set student.fit.epochs=5. May be repeated.", metavar="KEY=VALUE"
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite", help="Replace what was made otherwise in --out; of the same settings read the data again."
    ),
]
Workers = Annotated[
    int | None, typer.Option(help="Processes that train at the same time, each on one core. Default: all cores.", min=1)
]
What = Annotated[
    list[Path] | None,
    typer.Argument(
        help="An experiment's TOML (without one, the built-in synthetic world); or data files, a folder or a glob.",
        metavar="[TOML | FILE...]",
    ),
]
OnBadRow = Annotated[
    str | None,
    typer.Option(
        help="'strict' (the default) stops at the first row that is wrong; 'quarantine' sets such rows aside with the "
        "reason.",
        metavar="strict|quarantine",
    ),
]
Roles = Annotated[
    Path | None,
    typer.Option(
        help="Of data files: the TOML that says what their columns mean, e.g. an experiment's. Criteo's need none.",
        callback=_a_file,
    ),
]
SideOf = Annotated[
    Literal["source", "target"] | None,
    typer.Option(help="Of data files: which of the experiment's tables they are. Default: target."),
]
By = Annotated[
    Path | None,
    typer.Option(
        "--encoder",
        help="Of data files: a prepared table whose encoder to use, e.g. the teacher's source.",
        callback=_a_prepared_table,
    ),
]
Made = Annotated[
    Path | None,
    typer.Option(
        help="The run's folder (default: runs/run), or of data files the prepared table's (default: prepared/NAME, "
        "after the first). The same command continues there."
    ),
]
Run = Annotated[Path, typer.Argument(help="A run's folder, made by `prepare` or `run`.", callback=_a_run)]


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
    config = _settings(_a_file(what[0]) if what else None, [*(assign or []), *(f"data.{one}" for one in bad)])
    with bad_rows_explained(config.data.on_bad_row == "strict" and config.data.name in ASIDE):
        folder = experiment.prepare(config, out, board=board(), overwrite=overwrite)
    show_inspection(run_inspection.read(folder), out / "prepared" / "inspection" / "inspection.json")
    done(f"{out} is prepared", ["recdistill", "teacher", str(out)])


@app.command()
def teacher(run_folder: Run, workers: Workers = None) -> None:
    """Train the teacher on the source, and adapt it to the target's labelled rows."""
    from recdistill.experiment import train_teachers

    _carry_out(train_teachers, run_folder, workers)
    done("the teachers are trained", ["recdistill", "label", str(run_folder)])


@app.command()
def label(run_folder: Run, workers: Workers = None) -> None:
    """Have the teachers score every training row of the target: the soft labels."""
    from recdistill.experiment import label as soft_labels

    _carry_out(soft_labels, run_folder, workers)
    done("the soft labels are written", ["recdistill", "distill", str(run_folder)])


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
def report(run_folder: Run) -> None:
    """Write the report's page again from its report.json, and show it."""
    from recdistill import experiment
    from recdistill.run_folder import RunFolder

    show(experiment.render(RunFolder(run_folder)), run_folder)


@app.command()
def verify(run_folder: Run) -> None:
    """Hash every file of a run or a prepared table and count its rows again; say what is missing or was changed."""
    from recdistill.run_folder import RunFolder
    from recdistill.verification import verify_run

    if (run_folder / "manifest.json").is_file() and not RunFolder(run_folder).is_run:
        verify_table(run_folder)
        return
    found, out = verify_run(run_folder), board()
    out.say(f"{run_folder}: {found.files} files of {found.artefacts} artefacts are as they were written")
    out.say(f"{found.rows:,} rows counted again")
    if found.missing:
        out.say(f"not finished: {len(found.missing)} artefacts are not there yet, e.g. {found.missing[0]}")


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
