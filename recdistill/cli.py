"""The command line: `run` for everything, and a verb per stage."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from recdistill.errors import DataError, EnvironmentFault, TrainingError, UsageError

if TYPE_CHECKING:
    from recdistill.configuration import Config
    from recdistill.terminal import TerminalBoard


class Verbs(TyperGroup):
    """The commands; an error ends one with a line and its kind as exit code: 2, 3, 4 or 5, and 130 when interrupted."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            _fail(f"interrupted: {str(stop) or 'what is finished is kept, and the same command continues'}", 130)
        except (UsageError, DataError, EnvironmentFault, TrainingError) as error:
            _fail(f"error: {error}", error.exit_code)


app = typer.Typer(
    cls=Verbs,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Distil a large recommender into a compact ranker on another domain, and report honestly what it gained.\n\n"
    "A run is a folder. `run` fills it: rows, teachers, soft labels, students, report. The other verbs make one stage "
    "each, in the order they are listed, from what the folder holds.",
    epilog="Begin with:  recdistill run --out runs/first   (a synthetic world, offline, a few minutes)",
)

ConfigFile = Annotated[Path | None, typer.Argument(help="A TOML file; without one, the built-in synthetic world.")]
Out = Annotated[Path, typer.Option(help="The run's folder. The same command again continues there.")]
Assign = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="Change a setting, e.g. --set student.fit.epochs=5. May be repeated.", metavar="KEY=VALUE"
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a run of another configuration in --out.")]
Workers = Annotated[
    int | None, typer.Option(help="Processes that train at the same time, each on one core. Default: all cores.", min=1)
]
Run = Annotated[Path, typer.Argument(help="A run's folder, made by `prepare` or `run`.")]


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
    result = experiment.run(settings, out, workers=count, board=_board(), overwrite=overwrite, command=_command())
    _show(result, out)


@app.command()
def prepare(
    config: ConfigFile = None, out: Out = Path("runs/run"), assign: Assign = None, overwrite: Overwrite = False
) -> None:
    """Make the run's folder: read the data set, tell the domains apart, split the target, keep the rows."""
    from recdistill import experiment

    experiment.prepare(_settings(config, assign), out, board=_board(), overwrite=overwrite)
    _done(f"{out} is prepared", f"recdistill teacher {out}")


@app.command()
def teacher(run_folder: Run, workers: Workers = None) -> None:
    """Train the teacher on the source, and adapt it to the target's labelled rows."""
    from recdistill import experiment
    from recdistill.run_folder import RunFolder
    from recdistill.work import Workers, cores

    with Workers(workers or cores(), _board()) as crew:
        experiment.train_teachers(RunFolder(run_folder), crew)
    _done("the teachers are trained", f"recdistill label {run_folder}")


@app.command()
def label(run_folder: Run, workers: Workers = None) -> None:
    """Have the teachers score every training row of the target: the soft labels."""
    from recdistill import experiment
    from recdistill.run_folder import RunFolder
    from recdistill.work import Workers, cores

    with Workers(workers or cores(), _board()) as crew:
        experiment.label(RunFolder(run_folder), crew)
    _done("the soft labels are written", f"recdistill distill {run_folder}")


@app.command()
def distill(run_folder: Run, workers: Workers = None) -> None:
    """Train the students of every arm, the controls among them, each with the same tuning budget."""
    from recdistill import experiment
    from recdistill.run_folder import RunFolder
    from recdistill.work import Workers, cores

    with Workers(workers or cores(), _board()) as crew:
        experiment.distil(RunFolder(run_folder), crew)
    _done("the students are trained", f"recdistill evaluate {run_folder}")


@app.command()
def evaluate(run_folder: Run) -> None:
    """Score the test rows with every ranker, compare, and write the report."""
    from recdistill import experiment
    from recdistill.run_folder import RunFolder

    _show(experiment.evaluate(RunFolder(run_folder), board=_board(), command=_command()), run_folder)


@app.command()
def report(run_folder: Run) -> None:
    """Write the report's page again from its report.json, and show it."""
    from recdistill import experiment
    from recdistill.run_folder import RunFolder

    _show(experiment.render(RunFolder(run_folder)), run_folder)


@app.command()
def verify(run_folder: Run) -> None:
    """Hash every file of a run and count its rows again; say whether anything is missing or was changed."""
    from recdistill.verification import verify_run

    found, board = verify_run(run_folder), _board()
    board.say(f"{run_folder}: {found.files} files of {found.artefacts} artefacts are as they were written")
    board.say(f"{found.rows:,} rows counted again")
    if found.missing:
        board.say(f"not finished: {len(found.missing)} artefacts are not there yet, e.g. {found.missing[0]}")


@app.command()
def download(
    name: Annotated[str, typer.Argument(help="ml-100k, ml-1m, ml-latest-small, ml-latest, ml-25m or ml-32m.")],
    to: Annotated[Path, typer.Option(help="Gets a folder of that name.")] = Path("data"),
    archive: Annotated[Path | None, typer.Option(help="Unpack this one, which you fetched yourself.")] = None,
    sha256: Annotated[str | None, typer.Option(help="Of the archive, in place of the stored one.")] = None,
) -> None:
    """Fetch a data set's official archive, check its hash, and unpack it. Its terms are its makers'; read them."""
    from recdistill.datasets.download import fetch

    folder = fetch(name, to, archive=archive, sha256=sha256)
    _board().say(f"{folder} is there; use it with: --set data.root={shlex.quote(str(folder))}")


def main() -> None:
    """Run the command line."""
    app()


def _settings(config: Path | None, assign: list[str] | None) -> Config:
    from recdistill.configuration import Config
    from recdistill.settings import fill, override, read_toml

    return fill(Config, override(read_toml(config) if config else {}, assign or []))


def _board() -> TerminalBoard:
    from recdistill.terminal import TerminalBoard, console

    return TerminalBoard(console())


def _command() -> str:
    return shlex.join(["recdistill", *sys.argv[1:]])


def _done(words: str, following: str) -> None:
    _board().say(f"{words}; next: {following}")


def _show(result: dict[str, Any], out: Path) -> None:
    """The summary tables, the answers, and where the report is."""
    from recdistill import report as reports
    from recdistill.terminal import console, show_table

    for pooled in result["pooled"]:
        seeds = len(pooled["seeds"])
        title = f"{reports.percent(pooled['labels'])} of the labels, {seeds} seed{'s' if seeds > 1 else ''}"
        show_table(console(), reports.summary(pooled), title)
    board = _board()
    for pooled in result["pooled"]:
        board.say(reports.answer(pooled))
    board.say(f"report: {out / 'report' / 'report.md'}")


def _fail(text: str, code: int) -> NoReturn:
    from rich.markup import escape

    from recdistill.terminal import console

    console(stderr=True).print(f"[bold red]{escape(text)}[/]")
    sys.exit(code)
