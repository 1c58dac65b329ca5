"""The verbs `teacher` and `label` on prepared tables, by one process or by the ranks that torchrun starts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from recdistill.cli.words import board, done
from recdistill.errors import UsageError

if TYPE_CHECKING:
    from recdistill.progress import Board


def is_table(path: Path) -> bool:
    """Whether a folder is a prepared table, not a run."""
    from recdistill.run_folder import RunFolder

    return (path / "manifest.json").is_file() and not RunFolder(path).is_run


def teach_on_table(
    table: Path, out: Path | None, config: Path | None, assign: list[str] | None, overwrite: bool
) -> None:
    """Train a teacher on a prepared table."""
    from recdistill.prepared_table import PreparedTable
    from recdistill.ranks import joined
    from recdistill.settings import fill, override, read_toml
    from recdistill.teaching import TeachSettings, teach

    out = out or Path("teachers") / table.name
    settings = fill(TeachSettings, override(read_toml(config) if config else {}, assign or []))
    with joined():
        teach(PreparedTable.read(table), out, settings=settings, board=first_board(), overwrite=overwrite)
    if leads():
        done(f"{out} is trained", ["recdistill", "label", "PREPARED_TARGET", "--teacher", str(out)])


def label_table(table: Path, teacher: Path | None, out: Path | None, split: str, overwrite: bool) -> None:
    """Write a teacher's soft labels for a split of a prepared table."""
    from recdistill.labelling import label_prepared
    from recdistill.prepared_table import PreparedTable
    from recdistill.ranks import joined

    if teacher is None:
        raise UsageError(f"{table} is a prepared table: name the teacher that scores its rows with --teacher FOLDER")
    out = out or Path("soft_labels") / table.name
    with joined():
        label_prepared(teacher, PreparedTable.read(table), out, split=split, board=first_board(), overwrite=overwrite)
    if leads():
        board().say(f"{out} is written; use it with: rd.SoftLabels.load({str(out)!r})")


def first_board() -> Board:
    """Where the first of several processes tells of the progress, and the others do not."""
    from recdistill.progress import SILENCE

    return board() if leads() else SILENCE


def leads() -> bool:
    """Whether this is the first of the processes that torchrun started, or was started by nobody."""
    return os.environ.get("RANK", "0") == "0"


def require_one_process(what: str) -> None:
    """Refuse torchrun where it would make the same thing several times.

    Raises:
        UsageError: it started this process.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        rule = "torchrun's ranks share the work of one teacher on a prepared table"
        raise UsageError(f"{rule}; {what} is shared by --workers, got WORLD_SIZE={os.environ['WORLD_SIZE']}")
