"""Reading a whole file by its name's ending."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from recdistill.errors import DataError, UsageError
from recdistill.readers.chunk import Chunk, Several
from recdistill.readers.cutting import parquet, require_same
from recdistill.readers.delimited import delimited
from recdistill.readers.header import likely_delimiter, require_distinct
from recdistill.readers.layout import CsvSettings
from recdistill.readers.quarantine import Quarantine
from recdistill.readers.rows import Rows
from recdistill.readers.sources import PARQUET, files_of, kind, usual_delimiter


def read(path: Path, settings: CsvSettings | None = None, *, quarantine: Quarantine | None = None) -> Rows:
    """A CSV or TSV file (plain, .gz or .zst), every column as text, or a Parquet file as it is.

    Args:
        path: ends in .csv, .txt, .tsv, .parquet or .pq, text files also in .gz or .zst after that; where the settings
            name the columns, a text file may have any ending.
        settings: how text files are read.
        quarantine: what takes the wrong rows, here and in `typed`; without it the first is refused.

    Raises:
        DataError: the file is missing, of another kind, broken, without rows, or two columns have one name.
    """
    return _with_rows(_read(path, settings or CsvSettings(), quarantine))


def read_all(where: Path, settings: CsvSettings | None = None, *, quarantine: Quarantine | None = None) -> Rows:
    """A file, or the files of a folder or of a pattern one after another, as if they were one.

    Args:
        where: a file, a folder or a pattern, see `files_of`.
        settings: how text files are read.
        quarantine: what takes the wrong rows, here and in `typed`; without it the first is refused.

    Raises:
        DataError: as `read`; or the files have other columns than the first, or of other types.
    """
    settings = settings or CsvSettings()
    files = files_of(where, settings)
    several = [_read(file, settings, quarantine) for file in files]
    require_same(files, [rows.arrow.column_names for rows in several])
    return _with_rows(several[0] if len(several) == 1 else _joined(where, several))


def require_two(source: Rows, target: Rows) -> None:
    """Refuse a file that is of both source and target.

    Raises:
        UsageError: one is, under whatever names.
    """
    here = {(state.st_dev, state.st_ino): file for file in target.files for state in [file.stat()]}
    for file in source.files:
        state = file.stat()
        if other := here.get((state.st_dev, state.st_ino)):
            raise UsageError(f"source and target must be two files, got {other} twice")


def delimiter_of(path: Path) -> tuple[str, str] | None:
    """A text file's usual delimiter by its name, and the one its first line looks delimited by; None for Parquet.

    Raises:
        DataError: the file is missing, or of another kind.
    """
    usual = usual_delimiter(path)
    return None if kind(path) in PARQUET else (usual, likely_delimiter(path, usual))


def _read(path: Path, settings: CsvSettings, quarantine: Quarantine | None) -> Rows:
    if kind(path, settings) in PARQUET:
        return _parquet(path, quarantine)
    return delimited(path, settings, quarantine)


def _with_rows(rows: Rows) -> Rows:
    if rows.chunk is not None and not rows.chunk.rows:
        raise DataError(f"{rows.path} must have rows, got only the names of its columns")
    return rows


def _joined(where: Path, several: Sequence[Rows]) -> Rows:
    """The rows of several files; a record's place counts those of the files before."""
    names, chunks, places, first = several[0].arrow.column_names, [], [], 0
    for rows in several:
        for chunk in [rows.chunk] if isinstance(rows.chunk, Chunk) else []:
            chunks.append(replace(chunk, first_row=first))
            places.append(first + rows.places)
            first += chunk.rows
    try:
        arrow = pa.concat_tables([rows.arrow.select(names) for rows in several], promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(f"{where}: files read together must have columns of the same types: {error}") from None
    return Rows(
        where,
        arrow,
        chunk=Several(tuple(chunks)),
        records=np.concatenate(places),
        quarantine=several[0].quarantine,
    )


def _parquet(path: Path, quarantine: Quarantine | None) -> Rows:
    file = parquet(path)
    count, names = file.metadata.num_rows, tuple(file.schema_arrow.names)
    require_distinct(path, names)
    chunk = Chunk(path, number=0, first_row=0, first_line=0, rows=count, start=0, stop=count, names=names)
    return Rows(path, chunk.read(), chunk=chunk, quarantine=quarantine)
