"""The first pass: each chunk of the files as typed rows, checked, in a part of its own."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from recdistill.artefacts import new_file, read_json, write_json
from recdistill.columns import as_arrow, decoded, is_list, missing, single
from recdistill.errors import DataError, UsageError, nearest
from recdistill.fingerprints import row_fingerprints
from recdistill.preparation.engine import Engine
from recdistill.preparation.settings import PrepareSettings
from recdistill.preparation.workspace import FINGERPRINT, Workspace
from recdistill.progress import Board, tracked
from recdistill.readers import (
    Chunk,
    Kinds,
    Quarantine,
    chunks,
    names_of,
    new_names,
    parsed,
    require_columns,
    require_few,
    require_lists,
    rule_of,
    stored_bytes,
)
from recdistill.schema import Schema

FIRST_BYTES = 4 << 20  # of text, whose rows decide how whole columns are written; they are read before all others


@dataclass(frozen=True)
class Staging:
    """Reads chunks into a workspace.

    Args:
        workspace: where to.
        schema: what the columns mean.
        settings: how the files are read.
        kinds: what the first chunk decided for all; None for the first.
    """

    workspace: Workspace
    schema: Schema
    settings: PrepareSettings
    kinds: Kinds | None = None

    def __call__(self, chunk: Chunk) -> None:
        """Read a chunk.

        Raises:
            DataError: a row is not what its columns must hold, and bad rows are not set aside.
        """
        read = parsed(
            chunk,
            self.schema,
            self.settings.csv,
            columns=self.settings.columns,
            kinds=self.kinds,
            on_bad_row=self.settings.on_bad_row,
        )
        # What is written first is there where the rows are.
        if self.kinds is None:
            write_json(self.workspace.kinds, read.kinds)
        if read.bad:
            quarantine = Quarantine()
            quarantine.add(sorted(read.bad, key=lambda row: row.line))
            quarantine.write(self.workspace.bad(chunk.number))
        table = with_privileged(wanted(read.table, self.settings), self.schema)
        words = row_fingerprints(table, contents(self.schema))
        self.workspace.write_rows(chunk.number, table.append_column(FINGERPRINT, as_arrow(words)))


def staged(
    files: Sequence[Path], workspace: Workspace, schema: Schema, settings: PrepareSettings, engine: Engine, board: Board
) -> list[int]:
    """Read every chunk that is not there yet.

    Returns:
        How many good rows each part has.

    Raises:
        DataError: a row is wrong, too many are, or none is left.
    """
    if workspace.read.is_file():
        return list(read_json(workspace.read)["rows"])
    pieces = chunks(
        files,
        settings.csv,
        chunk_bytes=settings.chunk_bytes,
        first_bytes=FIRST_BYTES,
        hold=engine.is_here,
        moved=board.advance,
    )
    read: list[int] = []
    with tracked(board, "reading", stored_bytes(files), "bytes"):
        first = next(pieces)
        staging = Staging(workspace, schema, settings)
        if not workspace.rows(first.number).is_file():
            staging(first)
        staging = replace(staging, kinds=read_json(workspace.kinds))
        for _ in engine.run(staging, _missing(itertools.chain([first], pieces), workspace, read)):
            pass
    bad, where = bad_rows(workspace, len(read)), files[0] if len(files) == 1 else files[0].parent
    require_few(bad, sum(read) - sum(bad.values()), where, settings.most_bad, remedy=" Else raise most_bad")
    rows = [len(workspace.column(part, schema.row_id)) for part in range(len(read))]
    if not sum(rows):
        chosen = [*settings.only.items(), *((f"not {name}", values) for name, values in settings.without.items())]
        raise DataError(f"{where} must have rows to prepare, got none of {sum(read):,} with {dict(chosen)}")
    write_json(workspace.read, {"rows": rows, "bad": bad})
    return rows


def require_readable(first: Path, schema: Schema, settings: PrepareSettings) -> None:
    """Refuse files without a column that the schema names; all have the same, and any may lack privileged ones.

    Raises:
        UsageError: names the column and the nearest.
        DataError: the first file is damaged.
    """
    names = new_names(first, names_of(first, settings.csv), settings.columns)
    require_columns(first, names, schema, settings.columns)
    require_lists(settings.csv, schema, *([] if schema.domain is None else [schema.domain]))


def _missing(pieces: Iterable[Chunk], workspace: Workspace, read: list[int]) -> Iterator[Chunk]:
    """The chunks whose rows are not there yet; notes how many rows each chunk has."""
    for chunk in pieces:
        read.append(chunk.rows)
        if not workspace.rows(chunk.number).is_file():
            yield chunk


def contents(schema: Schema) -> tuple[str, ...]:
    """The columns that make two rows the same: all but the row id and what a table may lack."""
    return tuple(n for n in schema.columns if n not in (schema.row_id, *schema.privileged))


def wanted(table: pa.Table, settings: PrepareSettings) -> pa.Table:
    """The rows that have, or have not, the values that are asked for."""
    for values, kept in ((settings.only, True), (settings.without, False)):
        for name, chosen in values.items():
            if name not in table.column_names:
                raise UsageError(f"no column {name!r} to choose rows by, {nearest(name, table.column_names)}")
            if pa.types.is_temporal(table.schema.field(name).type) or is_list(table.schema.field(name).type):
                raise UsageError(f"rows are chosen by columns of one id or number, got {name!r}: times or lists")
            found = pc.is_in(decoded(single(table, name)).cast(pa.large_string()), pa.array(chosen, pa.large_string()))
            table = table.filter(found if kept else pc.invert(found))
    return table


def with_privileged(table: pa.Table, schema: Schema) -> pa.Table:
    """The rows with a column without values for each privileged one that the files lack."""
    for name in schema.privileged:
        if name not in table.column_names:
            absent = missing(schema.kind(name), table.num_rows)
            table = table.append_column(name, absent.dictionary_encode() if name in schema.categorical else absent)
    return table


def bad_rows(workspace: Workspace, parts: int) -> dict[str, int]:
    """How many rows broke each rule, the most frequent first."""
    there = (workspace.bad(part) for part in range(parts) if workspace.bad(part).is_file())
    lines = (line for part in there for line in part.read_text("utf-8").split("\n") if line)  # rows have other breaks
    rows = map(json.loads, lines)
    return dict(Counter(rule_of(row["column"], row["rule"]) for row in rows).most_common())


def set_aside(workspace: Workspace, parts: int, path: Path) -> dict[str, int]:
    """Gather the rows that were set aside in one file, if there are any.

    Returns:
        How many rows broke each rule, the most frequent first.
    """
    there = [workspace.bad(part) for part in range(parts) if workspace.bad(part).is_file()]
    if there:
        with new_file(path) as temporary, temporary.open("wb") as whole:
            for part in there:
                whole.write(part.read_bytes())
    return dict(read_json(workspace.read)["bad"])
