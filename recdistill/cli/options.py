"""What the verbs can be told: their arguments and options, each with its help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from recdistill.errors import UsageError, beside


def a_file(path: Path | None) -> Path | None:
    """The path, which must be there."""
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


def _runs(paths: list[Path]) -> list[Path]:
    return [_a_run(path) for path in paths]


def _a_run_or_table(path: Path) -> Path:
    from recdistill.run_folder import RunFolder

    def fits(other: Path) -> bool:
        return (other / "manifest.json").is_file() or RunFolder(other).is_run

    if not path.exists():
        raise UsageError(f"{path} does not exist{beside(path, fits)}")
    if not fits(path):
        within = [str(one) for one in sorted(path.iterdir()) if fits(one)] if path.is_dir() else []
        near = f", did you mean {within[0]!r}?" if within else "; `recdistill prepare` makes both"
        raise UsageError(f"{path} is neither a run nor a prepared table{near}")
    return path


ConfigFile = Annotated[
    Path | None,
    typer.Argument(
        help="A TOML file, which may extend another (docs/own_data.md); without one, the synthetic world.",
        callback=a_file,
    ),
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
        callback=a_file,
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
Taught = Annotated[
    Path, typer.Argument(help="A run's folder, or a prepared table; `prepare` makes both.", callback=_a_run_or_table)
]
TeacherOut = Annotated[
    Path | None, typer.Option("--out", help="Of a prepared table: the teacher's folder (default: teachers/NAME).")
]
TeacherToml = Annotated[
    Path | None,
    typer.Option(
        "--config", help="Of a prepared table: a TOML with model, arguments and \\[fit]; see `--set`.", callback=a_file
    ),
]
LabelledBy = Annotated[
    Path | None, typer.Option("--teacher", help="Of a prepared table: the teacher's folder.", callback=a_file)
]
LabelsOut = Annotated[
    Path | None, typer.Option("--out", help="Of a prepared table: the labels' folder (default: soft_labels/NAME).")
]
Split = Annotated[str, typer.Option(help="Of a prepared table: which rows.")]
OverwriteOut = Annotated[bool, typer.Option("--overwrite", help="Of a prepared table: replace what is in --out.")]
Run = Annotated[Path, typer.Argument(help="A run's folder, made by `prepare` or `run`.", callback=_a_run)]
Runs = Annotated[
    list[Path],
    typer.Argument(
        help="A run's folder; several make a leaderboard of what they ship, their controls and their teachers.",
        metavar="RUN...",
        callback=_runs,
    ),
]
Against = Annotated[
    str | None,
    typer.Option(
        help="Of several runs: what each ranker is compared with. Default: hard_only of the first.",
        metavar="RUN:RANKER",
    ),
]
Every = Annotated[bool, typer.Option("--all", help="Of several runs: every arm of each.")]
BoardOut = Annotated[
    Path | None, typer.Option("--out", help="Of several runs: a folder for leaderboard.json and leaderboard.md.")
]
BoardOverwrite = Annotated[
    bool, typer.Option("--overwrite", help="Of several runs: replace the leaderboard that is in --out.")
]
