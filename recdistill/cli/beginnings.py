"""The verbs to begin with: a small run to look at, a draft for one's own files, a check of the machine, data sets."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from recdistill.cli.app import app
from recdistill.cli.words import board, command, show

Files = Annotated[
    list[Path],
    typer.Argument(
        help="The source's file and the target's, or one file with both: CSV, TSV or Parquet.", metavar="FILE..."
    ),
]
Toml = Annotated[Path, typer.Option(help="The TOML file to write.")]
Force = Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")]
Out = Annotated[Path, typer.Option(help="The run's folder. The same command again continues there.")]
Workers = Annotated[
    int | None, typer.Option(help="Processes that train at the same time, each on one core. Default: all cores.", min=1)
]
Place = Annotated[Path, typer.Option(help="Where runs will be written.")]


@app.command()
def demo(out: Out = Path("runs/demo"), workers: Workers = None) -> None:
    """Show what a run gives: all stages on a small synthetic world, offline, in about a minute."""
    import recdistill
    from recdistill import experiment
    from recdistill.configuration import Config
    from recdistill.settings import fill, read_toml
    from recdistill.work import cores

    config = fill(Config, read_toml(Path(recdistill.__file__).parent / "demo.toml"))
    say = board().say
    say("A synthetic world: a market with many labels teaches a compact ranker in a new market with few.")
    say(f"A teacher is trained, a student in every way that is compared, and the report goes to {out}.")
    show(experiment.run(config, out, workers=workers or cores(), board=board(), command=command()), out)
    say("next: recdistill init SOURCE.csv TARGET.csv, for tables of your own")


@app.command()
def init(files: Files, out: Toml = Path("experiment.toml"), force: Force = False) -> None:
    """Look at your own files and write an experiment's TOML, every guess with a comment for you to check."""
    from recdistill import draft as drafts

    made, say = drafts.draft(files), board().say
    drafts.write_page(made, out, force=force)
    for line in drafts.summary(made):
        say(line)
    for line in drafts.questions(made):
        say(line)
    first = ", and take or write its line for the domain" if made.needs_domain else ""
    say(f"{out} is written; check its guesses{first}, then: {drafts.run_command(out)}")


@app.command()
def doctor(out: Place = Path("runs")) -> None:
    """Check Python, PyTorch, torchrec, processors, memory and disk, and say how to mend what is wrong."""
    from recdistill import doctor as checks

    findings = checks.findings(checks.gather(out))
    for finding in findings:
        board().say(f"{finding.level:<8} {finding.words}")
        if finding.fix:
            board().say(f"         fix: {finding.fix}")
    if any(finding.level == "problem" for finding in findings):
        raise typer.Exit(4)


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
    board().say(f"{folder} is there; use it with: --set data.root={shlex.quote(str(folder))}")
