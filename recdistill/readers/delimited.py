"""Text taken apart into columns by Arrow; where Arrow cannot, its records are looked at to say where and why."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from recdistill.errors import DataError
from recdistill.readers.chunk import Chunk, Faults
from recdistill.readers.header import header_of, not_utf8
from recdistill.readers.layout import CsvSettings
from recdistill.readers.quarantine import Quarantine
from recdistill.readers.records import Records, cut, records
from recdistill.readers.rows import Rows
from recdistill.readers.sources import opened, undamaged

BLOCK = 1 << 20  # Arrow parses and converts a block at a time, best while it is in the processor's cache


def delimited(path: Path, settings: CsvSettings, quarantine: Quarantine | None = None) -> Rows:
    """A text file with a header; every column as text, so that ids keep their zeros.

    Fields may be quoted with `"`, and then hold delimiters and line breaks; an inner quote is doubled.

    Args:
        path: of the file, plain, .gz or .zst.
        settings: how it is read.
        quarantine: what takes the broken records; without it they are refused.

    Raises:
        DataError: the file is empty, cannot be decompressed, is not UTF-8, has one column only, a row is short or long,
            or a quote is not closed.
    """
    chunk, text = whole(path, settings)
    return text_rows(chunk, text, settings, quarantine, threads=True)


def whole(path: Path, settings: CsvSettings) -> tuple[Chunk, bytes]:
    """A text file as one chunk, and its bytes.

    Raises:
        DataError: the file is missing, damaged or empty.
    """
    header = header_of(path, settings)
    with undamaged(path):
        text = opened(path)[0].read()[header.length :]
    run = cut(text, str(header.delimiter), quoted=header.quoted, last=True)
    return Chunk(
        path,
        number=0,
        first_row=0,
        first_line=header.lines + 1,
        rows=run.rows if run else 0,
        start=header.length,
        stop=header.length + len(text),
        names=header.names,
        delimiter=header.delimiter,
        quoted=header.quoted,
        is_open=bool(run and run.is_open),
    ), text


def text_rows(
    chunk: Chunk,
    text: bytes,
    settings: CsvSettings,
    quarantine: Quarantine | None = None,
    *,
    types: Mapping[str, pa.DataType] | None = None,
    threads: bool = False,
) -> Rows:
    """The records of a chunk of text.

    Args:
        chunk: of text.
        text: its bytes.
        settings: how it is read.
        quarantine: what takes the broken records; without it they are refused.
        types: of the columns that are wanted, by default all as text. Where a value is not of its column's type, all
            are text.
        threads: whether Arrow may take several.

    Raises:
        DataError: a record is not UTF-8, is short or long, or a quote is not closed.
    """
    types = dict.fromkeys(chunk.names, pa.string()) if types is None else types
    arrow = _columns(chunk, text, settings, types, rows=chunk.rows, threads=threads)
    if arrow is not None:
        return Rows(chunk.file, arrow, chunk=chunk, quarantine=quarantine)
    found = records(text, str(chunk.delimiter), quoted=chunk.quoted)
    faults = _faults(chunk, text, found, ", one for each name" if settings.names else " like the first line")
    if quarantine is None and faults:
        _refuse(chunk, text, found, faults)
    if quarantine is not None:
        quarantine.add(chunk.bad_rows(faults))
    good, sound = np.delete(np.arange(len(found)), list(faults)), _without(text, found, faults)
    for kinds in ([types] if faults else []) + [dict.fromkeys(types, pa.string())]:
        arrow = _columns(chunk, sound, settings, kinds, rows=len(good))
        if arrow is not None:
            return Rows(chunk.file, arrow, chunk=chunk, records=good, quarantine=quarantine)
    rule = f"must be fields delimited by {chunk.delimiter!r}"
    raise DataError(f"{chunk.file} {rule}, got records from line {chunk.first_line} on that cannot be read")


def _columns(
    chunk: Chunk,
    text: bytes,
    settings: CsvSettings,
    types: Mapping[str, pa.DataType],
    *,
    rows: int,
    threads: bool = False,
) -> pa.Table | None:
    """Columns of a chunk's records, or of so many of them; None where a record or a value is broken."""
    if not rows:
        return pa.table({name: pa.array([], kind) for name, kind in types.items()})
    if (chunk.is_open and rows == chunk.rows) or not _is_utf8(text):
        return None
    parse = pa_csv.ParseOptions(
        delimiter=chunk.delimiter,
        quote_char='"' if chunk.quoted else False,
        newlines_in_values=chunk.quoted and b'"' in text,
    )
    convert = pa_csv.ConvertOptions(
        column_types=dict(types),
        include_columns=list(types),
        null_values=list(settings.missing),
        strings_can_be_null=True,
        check_utf8=False,
    )
    for block in (BLOCK, len(text) + 1):  # a record may be longer than a block
        read = pa_csv.ReadOptions(column_names=list(chunk.names), block_size=block, use_threads=threads)
        try:
            arrow = pa_csv.read_csv(pa.BufferReader(text), read, parse, convert)
        except pa.ArrowInvalid as error:
            if "straddl" in str(error):
                continue
            return None
        return arrow if len(arrow) == rows else None
    return None


def _is_utf8(text: bytes) -> bool:
    if text.isascii():
        return True
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _faults(chunk: Chunk, text: bytes, found: Records, like: str) -> Faults:
    """What is wrong with whole records, by their place; they have as many fields as, in words, what they are like."""
    counts = found.fields(text, str(chunk.delimiter))
    rule = f"must have {len(chunk.names)} fields{like}"
    faults: Faults = {int(row): (None, rule) for row in np.flatnonzero(counts != len(chunk.names))}
    beyond = np.flatnonzero(np.frombuffer(text, np.uint8) >= 128)
    for row in np.unique(np.searchsorted(found.starts, beyond, side="right") - 1):
        if not _is_utf8(text[found.starts[row] : found.stops[row]]):
            faults[int(row)] = (None, "must be UTF-8 text")
    if chunk.is_open:
        faults[len(found) - 1] = (None, "must close every quote")
    return faults


def _without(text: bytes, found: Records, faults: Faults) -> bytes:
    """A text without some of its records; their line breaks stay, as blank lines."""
    edges = [0, *(edge for row in sorted(faults) for edge in (found.starts[row], found.stops[row])), len(text)]
    return b"".join(text[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True)) if faults else text


def _refuse(chunk: Chunk, text: bytes, found: Records, faults: Faults) -> None:
    """Refuse a chunk for the first of its broken records."""
    row = min(faults)
    _, rule = faults[row]
    record, line = text[found.starts[row] : found.stops[row]], chunk.first_line + int(found.lines[row])
    if rule.startswith("must close"):
        raise DataError(f"{chunk.file} must close every quote, got one that is open from line {line} on")
    try:
        words = record.decode()
    except UnicodeDecodeError as error:
        raise DataError(f"{chunk.file} line {line} {not_utf8(record, error)}") from None
    count = found.fields(text, str(chunk.delimiter))[row]
    raise DataError(f"{chunk.file} line {line} {rule}, got {count}: {words[:60]!r}")
