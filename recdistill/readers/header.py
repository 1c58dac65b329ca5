"""What a text file begins with: a byte order mark, the names of its columns, and then its records."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from recdistill.errors import DataError
from recdistill.readers.layout import CsvSettings
from recdistill.readers.records import records
from recdistill.readers.sources import opened, undamaged, usual_delimiter

CANDIDATES = (";", "\t", ",", "|")
MARK = b"\xef\xbb\xbf"
WINDOW = 1 << 16

csv.field_size_limit(2**31 - 1)  # Arrow has none


@dataclass(frozen=True)
class Header:
    """A file's columns, and where its records begin.

    Args:
        file: that it is of.
        names: of the columns.
        length: of what comes before the records, in bytes.
        lines: before the records.
        delimiter: between the fields of text; None for Parquet.
        quoted: whether fields of text may be quoted.
    """

    file: Path
    names: tuple[str, ...]
    length: int = 0
    lines: int = 0
    delimiter: str | None = None
    quoted: bool = False


def header_of(path: Path, settings: CsvSettings) -> Header:
    """The header of a text file; of one without a header line what the settings say.

    Raises:
        DataError: the file is empty or cannot be decompressed, its first line is empty, is not UTF-8 or has one column
            only, or two columns have one name.
    """
    delimiter = settings.delimiter or usual_delimiter(path)
    text, is_all = _beginning(path, delimiter, settings)
    mark = len(MARK) if text.startswith(MARK) else 0
    found = records(text[mark:], delimiter, quoted=settings.quotes)
    if not len(found) or (found.lines[0] and not settings.names):
        what = "have rows" if settings.names else "begin with the names of its columns"
        raise DataError(f"{path} must {what}, got an empty {'line' if len(found) else 'file'}")
    line = _utf8(path, text[mark:][found.starts[0] : found.stops[0]], int(found.lines[0]) + 1)
    if found.is_open and is_all and len(found) == 1:
        raise DataError(f"{path} must close every quote, got one that is open from line 1 on")
    names = _fields(line, delimiter, settings.quotes)
    if len(names) < 2:
        _refuse_one_column(path, line, delimiter)
    if settings.names:
        return Header(path, settings.names, mark, 0, delimiter, settings.quotes)
    require_distinct(path, names)
    length = int(found.ends[0]) if len(found.ends) else len(text) - mark
    lines = int((found.breaks <= length).sum())
    return Header(path, tuple(names), mark + length, lines, delimiter, settings.quotes)


def require_distinct(path: Path, names: Sequence[str]) -> None:
    """Refuse two columns of one name.

    Raises:
        DataError: there are.
    """
    if twice := sorted({name for name in names if names.count(name) > 1}):
        rule = "must begin with the names of its columns, each another"
        raise DataError(f"{path} {rule}, got {twice} several times")


def likely_delimiter(path: Path, usual: str) -> str:
    """What the first line is delimited by: the usual delimiter if it occurs, else the most frequent candidate.

    Raises:
        DataError: the file or its first line is empty, or it cannot be decompressed.
    """
    text, _ = _beginning(path, usual, CsvSettings(quoted=False))
    line = text.removeprefix(MARK).splitlines()[0].decode(errors="replace") if text else ""
    if not line.strip():
        raise DataError(f"{path} must begin with the names of its columns, got an empty {'line' if text else 'file'}")
    return _likely(line, usual)


def _likely(line: str, usual: str) -> str:
    return usual if usual in line else max((usual, *CANDIDATES), key=line.count)


def _beginning(path: Path, delimiter: str, settings: CsvSettings) -> tuple[bytes, bool]:
    """The first bytes of a file with at least one whole record, and whether they are all it has."""
    text = b""
    with undamaged(path):
        stream, _ = opened(path)
        while more := stream.read(max(WINDOW, len(text))):
            text += more
            found = records(text.removeprefix(MARK), delimiter, quoted=settings.quotes)
            if len(found.ends) > 1 and len(found):
                return text, False
    return text, True


def _utf8(path: Path, line: bytes, number: int) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise DataError(f"{path} line {number} {not_utf8(line, error)}") from None


def not_utf8(line: bytes, error: UnicodeDecodeError) -> str:
    """The rule that a line breaks which is not UTF-8, and what arrived."""
    around = line[max(0, error.start - 20) : error.start + 20].decode("latin-1").strip()
    return f"must be UTF-8 text, got byte 0x{line[error.start]:02x} in {around!r}; save the file as UTF-8"


def _fields(line: str, delimiter: str, quoted: bool) -> list[str]:
    if not quoted:
        return line.split(delimiter)
    return next(csv.reader([line], delimiter=delimiter))


def _refuse_one_column(path: Path, line: str, delimiter: str) -> None:
    likely = _likely(line, delimiter)
    fix = f'; it looks delimited by {likely!r}: set csv.delimiter = "{likely}"'.replace("\t", r"\t")
    hint = fix if likely != delimiter else ""
    raise DataError(f"{path} must have several columns, got one with the delimiter {delimiter!r}{hint}")
