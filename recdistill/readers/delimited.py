"""Text files of delimited fields: read as text by Arrow; where that fails, read again slowly to say where and why."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated, NoReturn

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from pydantic import Field

from recdistill.errors import DataError
from recdistill.readers.rows import Rows, records, text
from recdistill.settings import Settings

CANDIDATES = (";", "\t", ",", "|")


class CsvSettings(Settings):
    r"""How text files are read.

    Args:
        delimiter: between fields; by default a comma, and a tab for .tsv.
        separators: between the values of a multi-valued or vector column, by column; by default "|".
        missing: what stands for a missing value.
    """

    delimiter: str | None = Field(None, min_length=1, max_length=1)
    separators: dict[str, Annotated[str, Field(min_length=1)]] = {}
    missing: tuple[str, ...] = ("",)

    def separator(self, column: str) -> str:
        """Between the values of a column."""
        return self.separators.get(column, "|")


def delimited(path: Path, delimiter: str, settings: CsvSettings) -> Rows:
    """A text file with a header; every column as text, so that ids keep their zeros.

    Fields may be quoted with `"`, and then hold delimiters and line breaks; an inner quote is doubled.

    Args:
        path: of the file, plain, .gz or .zst.
        delimiter: where the settings name none.
        settings: how it is read.

    Raises:
        DataError: the file is empty, cannot be decompressed, is not UTF-8, has one column only, a row is short or long,
            or a quote is not closed.
    """
    delimiter = settings.delimiter or delimiter
    names = _header(path, delimiter)
    parse = pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    convert = pa_csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()), null_values=list(settings.missing), strings_can_be_null=True
    )
    try:
        arrow = pa_csv.read_csv(path, parse_options=parse, convert_options=convert)
    except OSError as error:
        raise _undecodable(path, error) from None
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        _explain(path, delimiter, str(error))
    if arrow.num_rows and _breaks_at_the_end(arrow):
        _require_closed(path, delimiter)
    return Rows(path, arrow, delimiter)


def likely_delimiter(path: Path, usual: str) -> str:
    """What the first line is delimited by: the usual delimiter if it occurs, else the most frequent candidate."""
    line = _first_line(path)
    return usual if usual in line else max((usual, *CANDIDATES), key=line.count)


def _header(path: Path, delimiter: str) -> list[str]:
    """The names of the columns; a quoted one may hold line breaks."""
    _first_line(path)
    try:
        with text(path, "utf-8-sig") as stream:
            names = next(csv.reader(stream, delimiter=delimiter))
    except OSError as error:
        raise _undecodable(path, error) from None
    if len(names) < 2:
        likely = likely_delimiter(path, delimiter)
        fix = f'; it looks delimited by {likely!r}: set csv.delimiter = "{likely}"'.replace("\t", r"\t")
        hint = fix if likely != delimiter else ""
        raise DataError(f"{path} must have several columns, got one with the delimiter {delimiter!r}{hint}")
    return names


def _first_line(path: Path) -> str:
    try:
        with text(path, "utf-8-sig") as stream:
            line = stream.readline()
    except OSError as error:
        raise _undecodable(path, error) from None
    if not line.strip():
        raise DataError(f"{path} must begin with the names of its columns, got an empty {'line' if line else 'file'}")
    return line


def _explain(path: Path, delimiter: str, reason: str) -> NoReturn:
    """Say in which line a file is broken."""
    with text(path, "latin-1") as stream:
        for number, line in enumerate(stream, 1):
            _require_utf8(path, number, line)
    columns = None
    try:
        for number, fields in records(path, delimiter):
            columns = columns or len(fields)
            if len(fields) != columns:
                got = f"got {len(fields)}: {delimiter.join(fields)[:60]!r}"
                raise DataError(f"{path} line {number} must have {columns} fields like the first line, {got}")
    except csv.Error as error:
        reason = str(error)
    raise DataError(f"{path} must be fields delimited by {delimiter!r}, got a file that cannot be read: {reason}")


def _require_utf8(path: Path, number: int, line: str) -> None:
    try:
        line.encode("latin-1").decode()
    except UnicodeDecodeError as error:
        around = line[max(0, error.start - 20) : error.start + 20].strip()
        byte = f"byte 0x{ord(line[error.start]):02x} in {around!r}"
        raise DataError(f"{path} line {number} must be UTF-8 text, got {byte}; save the file as UTF-8") from None


def _breaks_at_the_end(arrow: pa.Table) -> bool:
    """Whether the last row holds a line break, as it does when a quote was never closed."""
    last = arrow.slice(arrow.num_rows - 1)
    return any(pc.any(pc.match_substring(last.column(n), "\n")).as_py() for n in range(last.num_columns))


def _require_closed(path: Path, delimiter: str) -> None:
    line = 1
    try:
        for line, _ in records(path, delimiter):  # noqa: B007
            pass
    except csv.Error as error:
        if "unexpected end" in str(error):
            raise DataError(f"{path} must close every quote, got one that is open after line {line}") from None


def _undecodable(path: Path, error: OSError) -> DataError:
    reason = str(error).splitlines()[0]
    return DataError(f"{path} must be a whole file, got one that cannot be read: {reason}")
