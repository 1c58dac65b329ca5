"""Files of one row a line and fields between separators, read by Arrow; an error names the file and the row."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from recdistill.errors import DataError

UNIT = "\x1f"  # ASCII's unit separator


def read_delimited(
    path: Path, types: Mapping[str, pa.DataType], *, separator: str, header: bool = False, missing: bool = False
) -> pa.Table:
    """A file's columns; one whose name ends in .gz is unpacked on the way.

    Args:
        path: the file. With a header it is UTF-8 and fields may be quoted; without, it is latin-1 and quotes are text.
        types: per column its type; without a header, every column in the file's order.
        separator: between the fields of a row.
        header: whether the first line names the columns; the ones wanted are picked by name.
        missing: whether an empty field is a missing value; else it must be text.

    Raises:
        DataError: the file is missing, empty or damaged, or a row has another number of fields or a value of another
            type.
    """
    encoding = "utf8" if header else "latin-1"
    names = list(types)
    delimiter = separator if len(separator) == 1 else UNIT
    parse = pa.csv.ParseOptions(delimiter=delimiter, quote_char='"' if header else False)
    convert = pa.csv.ConvertOptions(
        column_types=dict(types),
        include_columns=names if header else None,
        null_values=[""] if missing else [],
        strings_can_be_null=missing,
    )
    for threads in (True, False):  # only a single thread can tell which row is wrong
        options = pa.csv.ReadOptions(column_names=None if header else names, encoding=encoding, use_threads=threads)
        try:
            return pa.csv.read_csv(_source(path, separator), options, parse, convert)
        except (pa.ArrowInvalid, pa.ArrowKeyError, OSError) as error:
            problem = str(error)
    words = ", ".join(names) if len(names) <= 8 else f"{names[0]} to {names[-1]}, {len(names)} of them"
    raise DataError(f"{path} must have the columns {words}: {problem}")


def contents(folder: Path) -> str:
    """What a folder holds, in the words of an error."""
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    return ", ".join(names[:12]) + (", …" if len(names) > 12 else "") or "nothing"


def _source(path: Path, separator: str) -> Path | pa.BufferReader:
    """What Arrow reads: it knows separators of one byte only, so a longer one is replaced."""
    if len(separator) == 1:
        return path
    return pa.BufferReader(path.read_bytes().replace(separator.encode(), UNIT.encode()))
