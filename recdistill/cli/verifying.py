"""The verb `verify`: is what a folder holds as it was written?"""

from __future__ import annotations

from pathlib import Path

from recdistill.cli.app import app
from recdistill.cli.options import Run
from recdistill.cli.words import board


@app.command()
def verify(run_folder: Run) -> None:
    """Hash every file of a run, a prepared table or an exported student; say what is missing or was changed.

    The rows of a run are counted again. What `tune` wrote is not among its artefacts, and not looked at.
    """
    from recdistill.artefacts import MANIFEST, manifest
    from recdistill.run_folder import RunFolder
    from recdistill.serving.scorer import KIND

    if RunFolder(run_folder).is_run or not (run_folder / MANIFEST).is_file():
        _verify_run(run_folder)
    elif manifest(run_folder)["facts"].get("kind") == KIND:
        _verify_student(run_folder)
    else:
        _verify_table(run_folder)


def _verify_run(folder: Path) -> None:
    from recdistill.verification import verify_run

    found, say = verify_run(folder), board().say
    say(f"{folder}: {found.files} files of {found.artefacts} artefacts are as they were written")
    say(f"{found.rows:,} rows counted again")
    if found.missing:
        say(f"not finished: {len(found.missing)} artefacts are not there yet, e.g. {found.missing[0]}")


def _verify_student(folder: Path) -> None:
    from recdistill.artefacts import verify

    board().say(f"{folder}: {verify(folder)} files are as they were written")


def _verify_table(folder: Path) -> None:
    from recdistill.prepared_table import PreparedTable

    table = PreparedTable.read(folder)
    board().say(f"{folder}: {len(table.hashes)} files are as they were written, {sum(table.rows.values()):,} rows")
