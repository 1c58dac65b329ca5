"""Reading a whole file by its name's ending."""

from __future__ import annotations

from pathlib import Path

from recdistill.errors import DataError, UsageError
from recdistill.readers.chunk import Chunk
from recdistill.readers.cutting import parquet
from recdistill.readers.delimited import delimited
from recdistill.readers.header import likely_delimiter, require_distinct
from recdistill.readers.layout import CsvSettings
from recdistill.readers.quarantine import Quarantine
from recdistill.readers.rows import Rows
from recdistill.readers.sources import PARQUET, kind, usual_delimiter


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
    settings = settings or CsvSettings()
    in_columns = kind(path, settings) in PARQUET
    rows = _parquet(path, quarantine) if in_columns else delimited(path, settings, quarantine)
    if rows.chunk is not None and not rows.chunk.rows:
        raise DataError(f"{path} must have rows, got only the names of its columns")
    return rows


def require_two(source: Rows, target: Rows) -> None:
    """Refuse one file as both source and target.

    Raises:
        UsageError: it is one, under whatever names.
    """
    if source.path.samefile(target.path):
        raise UsageError(f"source and target must be two files, got {target.path} twice")


def delimiter_of(path: Path) -> tuple[str, str] | None:
    """A text file's usual delimiter by its name, and the one its first line looks delimited by; None for Parquet.

    Raises:
        DataError: the file is missing, or of another kind.
    """
    usual = usual_delimiter(path)
    return None if kind(path) in PARQUET else (usual, likely_delimiter(path, usual))


def _parquet(path: Path, quarantine: Quarantine | None) -> Rows:
    file = parquet(path)
    count, names = file.metadata.num_rows, tuple(file.schema_arrow.names)
    require_distinct(path, names)
    chunk = Chunk(path, number=0, first_row=0, first_line=0, rows=count, start=0, stop=count, names=names)
    return Rows(path, chunk.read(), chunk=chunk, quarantine=quarantine)
