"""A user's own tables: two files, or one whose rows are told apart, with the roles of their columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import model_validator

from recdistill.domains import require_disjoint, source_and_target
from recdistill.errors import DataError, UsageError, nearest
from recdistill.readers import (
    CsvSettings,
    Quarantine,
    Rows,
    files_of,
    is_several,
    new_names,
    of_source,
    read_all,
    require_columns,
    require_few,
    require_lists,
    require_mapped,
    require_two,
    typed,
)
from recdistill.schema import Schema
from recdistill.settings import Settings, fill
from recdistill.splits import require_classes
from recdistill.tables import Table

# Rows without an id of their own: the target's are numbered from 0, so that they do not depend on the source.
FIRST_SOURCE_ROW = 1_000_000_000_000


class Domain(Settings):
    """What tells the rows of one file apart: the values of a column, or what came first.

    Args:
        column: that tells: the time column for `at`; of one value a row, and then no feature; or of lists.
        source, target: its value or values on each side; the side that is not named is every other row. Of lists one
            value names one side.
        at: the share of the rows, by time, that are the source.
    """

    column: str
    source: str | tuple[str | int, ...] | None = None
    target: str | tuple[str | int, ...] | None = None
    at: float | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Domain:
        by_values = self.source is not None or self.target is not None
        if by_values == (self.at is not None):
            raise ValueError(
                "a domain is told by values of its column (`source`, `target` or both), or by the time `at`"
            )
        return self


@dataclass(frozen=True)
class Files:
    """What `load` is told about the files; see there."""

    target: str
    schema: Mapping[str, Any]
    source: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    domain: Mapping[str, Any] | None = None
    disjoint: Sequence[str] = ("rows",)
    csv: Mapping[str, Any] = field(default_factory=dict)


def load(
    root: Path | str,
    *,
    target: str,
    schema: Mapping[str, Any],
    source: str | None = None,
    columns: Mapping[str, str] | None = None,
    domain: Mapping[str, Any] | None = None,
    disjoint: Sequence[str] = ("rows",),
    csv: Mapping[str, Any] | None = None,
) -> tuple[Table | None, Table]:
    """Source and target of a user's own files: CSV or TSV (plain, .gz, .zst) or Parquet.

    Ids are text, whatever the file: `007` stays `007`. A row's id is what the column `schema.row_id` says, and where a
    file has none, its position: from 0 in the target, from 10^12 in the source, so that they never meet.

    Args:
        root: the folder that the files' paths start from.
        target, source: the files, below root. A folder, or a pattern with *, ? or [ ], stands for its files: they have
            the same columns and are read by name, day_2 before day_10, as if they were one. Without a source, `domain`
            tells the rows of the target's file apart; without that too the schema names a score, and there are no
            source rows.
        schema: the roles of the columns, see `recdistill.Schema`, in the target's names.
        columns: the source's names that differ, each with the target's name for it.
        domain: see `Domain`.
        disjoint: what must not be in both: "rows", "user", "item". Rows never are.
        csv: see `CsvSettings`.

    Returns:
        (source, target); source is None where there are only scores.

    Raises:
        UsageError: a column or setting is not known or does not apply, or what is needed is not said.
        DataError: a file is missing or broken, a value is not what its role wants, or both files hold the same rows.
    """
    given = Files(target, schema, source, columns or {}, domain, disjoint, csv or {})
    return tables(root, given)


def tables(root: Path | str, files: Files, *, quarantine: Quarantine | None = None) -> tuple[Table | None, Table]:
    """What `load` says, where wrong rows may be set aside; the others keep their ids.

    Args:
        root: the folder that the files' paths start from.
        files: what `load` is told.
        quarantine: what takes the wrong rows; without it the first is refused.

    Raises:
        UsageError: as `load`.
        DataError: as `load`, or more than a tenth of a side's rows are wrong.
    """
    roles, how = Schema.from_dict(files.schema), fill(CsvSettings, files.csv)
    columns, domain = files.columns, files.domain
    _require_answer(roles)
    require_lists(how, roles, *([str(domain["column"])] if domain is not None and "column" in domain else ()))
    if files.source is not None:
        if domain is not None:
            raise UsageError("a domain tells the rows of one file apart, got two files; leave out source or domain")
        there = read_all(Path(root) / files.source, how, quarantine=quarantine)
        here = read_all(Path(root) / files.target, how, quarantine=quarantine)
        pair = _two(there, here, roles, columns, how)
        require_disjoint(pair[0], pair[1], on=tuple(dict.fromkeys(("rows", *files.disjoint))))
        _require_other_rows(*pair)
        require_classes(pair[0], "source")
        return pair
    if columns:
        raise UsageError(f"columns are a source file's names, got no source with {dict(columns)}")
    if domain is None and roles.score is None:
        ways = "a source file, a domain that tells the target file's rows apart, or a score column in the schema"
        raise UsageError(f"data set 'files' needs {ways}, got none of them")
    here = read_all(Path(root) / files.target, how, quarantine=quarantine)
    if domain is None:
        return None, _of_target(here, roles, how)
    pair = _apart(here, roles, fill(Domain, domain), how, disjoint=files.disjoint)
    require_classes(pair[0], "source")
    return pair


def inputs(
    root: Path | str, *, target: str, source: str | None = None, csv: Mapping[str, Any] | None = None
) -> list[Path]:
    """The files that `load` reads.

    Raises:
        UsageError: a setting is not known.
        DataError: a folder or a pattern has no files, or has text and Parquet.
    """
    how, given = fill(CsvSettings, csv or {}), [Path(root) / name for name in (source, target) if name is not None]
    return [file for one in given for file in (files_of(one, how) if is_several(one) else [one])]


def _require_answer(schema: Schema) -> None:
    if schema.label is None and not schema.grades:
        raise UsageError(
            "the schema must name the label, a column of 0 and 1 (or a rating with its grades), got neither: "
            "set data.arguments.schema.label"
        )


def _require_other_rows(source: Table, target: Table) -> None:
    """Refuse a copy: rows that differ in their ids alone, which may be their positions."""
    names = [name for name in target.arrow.column_names if name in source.arrow.column_names]
    names.remove(target.schema.row_id)
    if source.arrow.select(names).equals(target.arrow.select(names)):
        raise DataError(f"source and target must be different rows, got the same {len(target):,} rows twice")


def _two(there: Rows, here: Rows, schema: Schema, columns: Mapping[str, str], how: CsvSettings) -> tuple[Table, Table]:
    """Source and target of two files."""
    require_two(there, here)
    names = new_names(there.path, there.arrow.column_names, columns)
    require_mapped(here.path, here.arrow.column_names, schema, columns)
    own = of_source(there.path, names, schema, columns)
    return _table(there.renamed(columns), own, how, first=FIRST_SOURCE_ROW), _of_target(here, schema, how)


def _of_target(rows: Rows, schema: Schema, how: CsvSettings) -> Table:
    require_columns(rows.path, rows.arrow.column_names, schema)
    return _table(rows, schema, how)


def _table(rows: Rows, schema: Schema, how: CsvSettings, *, first: int = 0) -> Table:
    """A file's rows; numbered from `first` where it has no row ids."""
    arrow = typed(rows, schema, how, first=first)
    if rows.quarantine is not None:
        require_few(rows.quarantine.counts(rows.files), len(arrow), rows.path)
    try:
        return Table(arrow, schema)
    except DataError as error:
        raise DataError(f"{rows.path}: {error}") from None


def _apart(
    rows: Rows, schema: Schema, domain: Domain, how: CsvSettings, *, disjoint: Sequence[str]
) -> tuple[Table, Table]:
    """Source and target of one file."""
    if domain.column not in rows.arrow.column_names:
        known = nearest(domain.column, rows.arrow.column_names)
        raise UsageError(f"domain: {rows.path} has no column {domain.column!r}, {known}")
    by_time = domain.at is not None
    if by_time and schema.time not in (None, domain.column):
        got = f"{domain.column!r} in the domain and {schema.time!r} in the schema"
        raise UsageError(f"a domain by time has one time column, got {got}")
    roles = replace(schema, time=domain.column) if by_time else replace(schema, domain=domain.column)
    return source_and_target(
        _of_target(rows, roles, how),
        "time" if by_time else domain.column,
        source=domain.source,
        target=domain.target,
        at=domain.at,
        disjoint=disjoint,
    )
