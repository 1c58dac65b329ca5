"""`recdistill prepare` on data files: what it says of the table that it made."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recdistill.cli.words import bad_rows_explained, board, show_inspection
from recdistill.errors import UsageError

MOST = 40  # features shown

if TYPE_CHECKING:
    from recdistill.preparation import PrepareSettings
    from recdistill.preparation.told import Side
    from recdistill.prepared_table import PreparedTable
    from recdistill.schema import Schema


def prepare_files(
    files: Sequence[Path],
    out: Path,
    *,
    roles: Path | None,
    side: Side | None,
    by: Path | None,
    assign: Sequence[str],
    overwrite: bool,
) -> None:
    """Make a prepared table of data files, and show what was found."""
    from recdistill.artefacts import MANIFEST
    from recdistill.preparation import prepare
    from recdistill.prepared_table import PreparedTable
    from recdistill.readers import in_order

    if by is not None and (set_too := [one for one in assign if one.startswith("encoder.")]):
        raise UsageError(f"--encoder brings its own settings, got --set {set_too[0]} too")
    schema, settings = _told(files, roles, side, assign)
    like, say = None if by is None else PreparedTable.read(by), board()
    if len(files) > 1 and list(files) != in_order(files):
        say.say(f"note: files are read as they are given, {files[0].name} first; a quoted pattern reads them by number")
    known = not overwrite and (out / MANIFEST).is_file()
    with bad_rows_explained(settings.on_bad_row == "strict"):
        table = prepare(
            list(files), out, schema=schema, settings=settings, encoder=like, board=say, overwrite=overwrite
        )
    if not known:
        show_prepared(table)
    say.say(f"use it with: rd.PreparedTable.read({str(out)!r})")


def table_of(files: Sequence[Path]) -> Path:
    """Where the table of some files goes: after the first, without what makes it a pattern or says how it is packed.

    >>> [str(table_of([Path(name)])) for name in ("logs/", "train.txt.gz", "criteo/day_*.gz", "*.csv")]
    ['prepared/logs', 'prepared/train', 'prepared/day', 'prepared/table']
    """
    name = re.split(r"[*?\[.]", files[0].name)[0].strip("_-")
    return Path("prepared") / (name or "table")


def show_prepared(table: PreparedTable) -> None:
    """The splits, the features, and what a reader should know of them."""
    from recdistill.artefacts import read_json
    from recdistill.readers import set_aside_words
    from recdistill.terminal import console, show_table

    report, statistics = (read_json(table.path / name) for name in ("report.json", "statistics.json"))
    rows = f"{sum(table.rows.values()):,} rows"
    show_table(console(), _splits(report, table), f"{table.path}: {rows}, {_split_by(table)}")
    title = "features, measured on the training rows (no id: values missing, rare or new, which share one id)"
    show_table(console(), _features(report, statistics, table)[: 1 + MOST], title)
    say = board().say
    if (rest := len(statistics) - MOST) > 0:
        say(f"and {rest} more in {table.path / 'statistics.json'}")
    if report["bad_rows"]:
        say(f"warning: {set_aside_words(report['bad_rows'], table.path / 'quarantine.jsonl')}")
    show_inspection(report, table.path / "report.json")
    say(f"{table.path} is prepared")


def _told(
    files: Sequence[Path], roles: Path | None, side: Side | None, assign: Sequence[str]
) -> tuple[Schema, PrepareSettings]:
    from recdistill.datasets import criteo
    from recdistill.preparation import PrepareSettings
    from recdistill.preparation.told import told
    from recdistill.readers import files_of
    from recdistill.settings import fill, override

    if roles is not None:
        return told(roles, files, side, assign)
    if side is not None:
        raise UsageError(f"--side is a side of an experiment: give its TOML with --roles, got --side {side} alone")
    if not all(map(criteo.has_layout, files_of(list(files), criteo.LAYOUT))):
        raise UsageError(
            "data files need the roles of their columns: --roles TOML, e.g. the one that "
            f"`{shlex.join(['recdistill', 'init', *map(str, files[:2])])}` writes"
        )
    board().say(
        "the files are laid out as Criteo's: click, I1 to I13, C1 to C26, without a header, in the order of time"
    )
    return criteo.SCHEMA, fill(PrepareSettings, override({"csv": criteo.LAYOUT.model_dump(mode="json")}, assign))


def _splits(report: dict[str, Any], table: PreparedTable) -> list[list[str]]:
    lines = [["split", "rows", "labels", "parts"]]
    for split, rows in report["rows"].items():
        if rows:
            labels = report["labels"][split]
            told = ", ".join(f"{label}: {_percent(count / rows)}" for label, count in sorted(labels.items()))
            lines.append([split, f"{rows:,}", told, str(len(table.parts(split)))])
    return lines


def _features(report: dict[str, Any], statistics: dict[str, Any], table: PreparedTable) -> list[list[str]]:
    """Per feature its kind, missing values, ids, and the shares of values without an id of their own."""
    ids = dict((*table.encoder.spec.categorical, *table.encoder.spec.multi))
    lines = [["feature", "kind", "missing", "distinct", "ids", "no id: train", "no id: test"]]
    for name, facts in statistics.items():
        unseen = [report["unseen"].get(split, {}).get(name) for split in ("train", "test")]
        lines.append(
            [
                name,
                facts["kind"],
                _percent(facts["missing"] / max(1, facts["rows"])),
                f"{facts['distinct']:,}" if "distinct" in facts else "",
                f"{ids[name]:,}" if name in ids else "",
                *("" if share is None else _percent(share) for share in unseen),
            ]
        )
    return lines


def _percent(share: float) -> str:
    """A share in percent that says 0 and 100 only where it is exact."""
    if share in (0.0, 1.0):
        return f"{100 * share:.0f} %"
    return f"{min(max(100 * share, 0.1), 99.9):.1f} %"


def _split_by(table: PreparedTable) -> str:
    by = table.facts["settings"]["split"]["by"]
    return "all for training" if by == "none" else f"split by {by}"
