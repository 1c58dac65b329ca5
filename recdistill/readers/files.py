"""Reading a file by its name's ending."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from recdistill.errors import DataError, UsageError, beside
from recdistill.readers.delimited import CsvSettings, delimited, likely_delimiter
from recdistill.readers.rows import Rows

COMPRESSED = (".gz", ".zst")
DELIMITERS = {".csv": ",", ".txt": ",", ".tsv": "\t"}
PARQUET = (".parquet", ".pq")


def read(path: Path, settings: CsvSettings | None = None) -> Rows:
    """A CSV or TSV file (plain, .gz or .zst), every column as text, or a Parquet file as it is.

    Args:
        path: ends in .csv, .txt, .tsv, .parquet or .pq, text files also in .gz or .zst after that.
        settings: how text files are read.

    Raises:
        DataError: the file is missing, of another kind, broken, without rows, or two columns have one name.
    """
    kind = _kind(path)
    if kind in PARQUET:
        rows = Rows(path, _parquet(path))
    else:
        rows = delimited(path, DELIMITERS[kind], settings or CsvSettings())
    names = rows.arrow.column_names
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        rule = "must begin with the names of its columns, each another"
        raise DataError(f"{path} {rule}, got {twice} several times")
    if not rows.arrow.num_rows:
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
    kind = _kind(path)
    return None if kind in PARQUET else (DELIMITERS[kind], likely_delimiter(path, DELIMITERS[kind]))


def _kind(path: Path) -> str:
    """A file's ending, without that of its compression."""
    if not path.is_file():
        raise DataError(f"{path} is {'a folder, not a file' if path.is_dir() else 'missing'}{beside(path)}")
    kind = path.with_suffix("").suffix.lower() if path.suffix.lower() in COMPRESSED else path.suffix.lower()
    if kind not in (*DELIMITERS, *PARQUET):
        known = ", ".join((*DELIMITERS, *PARQUET))
        raise DataError(f"{path} must end in one of {known} (text files also in .gz or .zst after that)")
    return kind


def _parquet(path: Path) -> pa.Table:
    if not path.stat().st_size:
        raise DataError(f"{path} must be a Parquet file, got an empty one")
    try:
        return _without_views(pq.ParquetFile(path).read())
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path} must be a whole Parquet file, got one that cannot be read: {reason}") from None


def _without_views(arrow: pa.Table) -> pa.Table:
    """Text that a writer kept as views becomes plain text: few of Arrow's functions know views."""
    fields = [f.with_type(pa.large_string()) if pa.types.is_string_view(f.type) else f for f in arrow.schema]
    return arrow.cast(pa.schema(fields))
