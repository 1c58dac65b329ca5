"""The command line: `recdistill run` and `recdistill verify`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Distil a large recommender into a compact ranker on another domain, and report honestly what it gained.",
    epilog="Start with: recdistill run --out runs/first   (a synthetic world, offline, a few minutes)",
)
console = Console(stderr=False, soft_wrap=True)


@app.command()
def run(
    config: Annotated[
        Path | None, typer.Argument(help="A TOML file; without one, the built-in synthetic world.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The run's folder. The same command again continues there.")] = Path(
        "runs/run"
    ),
    assign: Annotated[
        list[str] | None, typer.Option("--set", help="Change a setting: --set student.fit.epochs=5")
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace a run of another configuration in --out.")] = False,
) -> None:
    """Train teachers and students, evaluate them on the target's test rows, and write the report."""
    from recdistill import experiment, report
    from recdistill.configuration import Config
    from recdistill.settings import fill, override, read_toml

    values = override(read_toml(config) if config else {}, assign or [])
    command = shlex.join(["recdistill", *sys.argv[1:]])
    try:
        result = experiment.run(fill(Config, values), out, say=_say, overwrite=overwrite, command=command)
    except KeyboardInterrupt as stop:
        _say(f"interrupted: {str(stop) or 'finished artefacts are kept; the same command continues'}")
        raise typer.Exit(130) from None
    for pooled in result["pooled"]:
        _print_table(
            report.summary(pooled), f"{pooled['labels']:.0%} of the labels, means over {len(pooled['seeds'])} seeds"
        )
    for pooled in result["pooled"]:
        _say(report.answer(pooled))
    _say(f"report: {out / 'report' / 'report.md'}")


@app.command()
def verify(run_folder: Annotated[Path, typer.Argument(help="A run's folder.")]) -> None:
    """Re-hash every artefact of a run and say whether anything is missing or was changed."""
    from recdistill.errors import UsageError
    from recdistill.experiment import verify_run

    if not (run_folder / "config.toml").is_file():
        raise UsageError(f"{run_folder} holds no run (no config.toml)")
    found = verify_run(run_folder)
    _say(f"{run_folder}: {found['files']} files of {found['artefacts']} artefacts are as they were written")


def main() -> None:
    """Run the command line and exit with the kind of error as code: 2, 3, 4 or 5 (130 when interrupted)."""
    try:
        app()
    except (ValueError, RuntimeError) as error:
        code = getattr(error, "exit_code", None)
        if code is None:
            raise
        Console(stderr=True, soft_wrap=True).print(f"[bold red]error:[/] {escape(str(error))}")
        sys.exit(code)


def _say(text: str) -> None:
    console.print(escape(text), highlight=False)


def _print_table(lines: list[list[str]], title: str) -> None:
    """A drawn table on a terminal; elsewhere plain lines, never cut."""
    if not console.is_terminal:
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        _say(title)
        for line in lines:
            _say("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
        return
    from rich.table import Table

    shown: Any = Table(title=escape(title))
    for name in lines[0]:
        shown.add_column(escape(name), justify="left" if name == "ranker" else "right")
    for line in lines[1:]:
        shown.add_row(*(escape(cell) for cell in line))
    console.print(shown)
