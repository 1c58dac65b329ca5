"""Files cut into chunks of whole records, in bounded memory; the same files give the same chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from recdistill.errors import DataError
from recdistill.readers.chunk import Chunk, skip, without_views
from recdistill.readers.header import Header, header_of, require_distinct
from recdistill.readers.layout import CsvSettings
from recdistill.readers.records import Cut, cut
from recdistill.readers.room import Room
from recdistill.readers.sources import PARQUET, kind, opened, undamaged

CHUNK_BYTES = 32 << 20
CHUNK_ROWS = 1 << 17
LONGEST_RECORD = 256 << 20
LEAST_OVER = 1 << 12

Moved = Callable[[int], None]


def chunks(
    files: Sequence[Path],
    settings: CsvSettings | None = None,
    *,
    chunk_bytes: int = CHUNK_BYTES,
    chunk_rows: int = CHUNK_ROWS,
    first_bytes: int | None = None,
    hold: bool = False,
    moved: Moved | None = None,
) -> Iterator[Chunk]:
    """Files as chunks of whole records: text by bytes, Parquet by rows.

    Every file's columns are looked at first, so that one that does not belong is refused before any is read.

    Args:
        files: all text or all Parquet, see `files_of`.
        settings: how text files are read.
        chunk_bytes: of decompressed text that a chunk has at most, unless a single record is longer.
        first_bytes: the same of the first chunk, where it is less: what it decides for all is known sooner.
        hold: whether chunks carry plain text too, so that it is not read again.
        chunk_rows: of Parquet, or as many as take `chunk_bytes` unpacked, where that is less. Whole row groups are put
            together up to it, and those over twice as long are cut.
        moved: is told how many more bytes of the files as they are stored have been read.

    Raises:
        DataError: a file is missing, damaged or empty, has other columns than the first, or none has rows.
    """
    settings = settings or CsvSettings()
    headers = [_columns(file, settings) for file in files]
    require_same(files, [header.names for header in headers])
    number = row = 0
    least = min(first_bytes or chunk_bytes, chunk_bytes)
    for file, header in zip(files, headers, strict=True):
        steps = _Steps(file, moved)
        sizes = (chunk_bytes if row else least, chunk_bytes)
        if header.delimiter is None:
            pieces = _tables(header, chunk_rows, chunk_bytes, steps)
        else:
            pieces = _texts(header, sizes, hold, steps)
        for piece in pieces:
            yield replace(piece, number=number, first_row=row)
            number, row = number + 1, row + piece.rows
        steps.to(file.stat().st_size)
    if not row:
        raise DataError(f"{files[0]} must have rows, got only the names of its columns")


@dataclass
class _Steps:
    """How far a file has been read, told in steps."""

    file: Path
    moved: Moved | None
    told: int = 0

    def to(self, place: int) -> None:
        if self.moved is not None and place > self.told:
            self.moved(place - self.told)
            self.told = place


def _columns(file: Path, settings: CsvSettings) -> Header:
    if kind(file, settings) not in PARQUET:
        return header_of(file, settings)
    names = tuple(parquet(file).schema_arrow.names)
    require_distinct(file, names)
    return Header(file, names)


def parquet(path: Path) -> pq.ParquetFile:
    """A Parquet file, its footer read.

    Raises:
        DataError: it is empty or damaged.
    """
    if not path.stat().st_size:
        raise DataError(f"{path} must be a Parquet file, got an empty one")
    with undamaged(path):
        return pq.ParquetFile(path)


def names_of(file: Path, settings: CsvSettings) -> tuple[str, ...]:
    """The names of a file's columns.

    Raises:
        DataError: it is missing, damaged or empty, or two columns have one name.
    """
    return _columns(file, settings).names


def require_same(files: Sequence[Path], names: Sequence[Sequence[str]]) -> None:
    """Refuse a file that has other columns than the first; their order may be another.

    Args:
        files: that are read together.
        names: of each file's columns.

    Raises:
        DataError: names the column, a file that has it and the one that lacks it.
    """
    for file, own in zip(files, names, strict=True):
        if differing := sorted(set(names[0]) ^ set(own)):
            name = differing[0]
            has, lacks = (files[0], file) if name in names[0] else (file, files[0])
            raise DataError(f"files read together must have the same columns, got {name!r} in {has} but not in {lacks}")


def _texts(header: Header, sizes: tuple[int, int], hold: bool, steps: _Steps) -> Iterator[Chunk]:
    """A text file's chunks; a chunk's number and first row are as if there were no other file."""
    start, line, row = header.length, header.lines + 1, 0
    stream, stored = opened(header.file)
    hold |= stream is not stored
    with undamaged(header.file):
        skip(stream, start)
    first_bytes, chunk_bytes = sizes
    if stream is stored:
        left = header.file.stat().st_size - start
        if first_bytes < chunk_bytes:
            chunk_bytes = _alike(left - first_bytes, chunk_bytes)
        else:
            first_bytes = chunk_bytes = _alike(left, chunk_bytes)
    room, window, kept, last = Room(), bytearray(first_bytes), 0, False
    while not last:
        filled = _fill(window, kept, stream, header.file)
        steps.to(stored.tell())
        if last := filled < len(window):
            del window[filled:]
        run = cut(window, str(header.delimiter), quoted=header.quoted, last=last)
        if run is None:
            kept = len(window)
            _require_an_end(header.file, line, kept)
            window.extend(bytes(kept))
            continue
        rest = window[run.length :]
        del window[run.length :]
        if run.rows:
            yield _piece(header, run, start=start, line=line, row=row, held=window if hold else None)
        start, line, row, kept = start + run.length, line + run.lines, row + run.rows, len(rest)
        window = room.free(max(chunk_bytes, kept))
        window[:kept] = rest


def _alike(length: int, most: int) -> int:
    """How long chunks of a text are so that all are as long, and workers end together.

    A little over their share of it, for each lacks the part of a record.
    """
    share = max(0, length) // max(1, -(-length // most))
    return min(most, share + (share >> 7) + LEAST_OVER)


def _piece(header: Header, run: Cut, *, start: int, line: int, row: int, held: bytearray | None) -> Chunk:
    return Chunk(
        header.file,
        number=0,
        first_row=row,
        first_line=line,
        rows=run.rows,
        start=start,
        stop=start + run.length,
        names=header.names,
        delimiter=header.delimiter,
        quoted=header.quoted,
        is_open=run.is_open,
        held=held,
    )


def _fill(window: bytearray, kept: int, stream: pa.NativeFile, path: Path) -> int:
    """Read into a window behind what is kept there; how far it is filled, less than wholly at the end of the file."""
    with undamaged(path), memoryview(window) as view:
        while kept < len(view) and (more := stream.readinto(view[kept:])):
            kept += more
    return kept


def _tables(header: Header, chunk_rows: int, chunk_bytes: int, steps: _Steps) -> Iterator[Chunk]:
    """A Parquet file's chunks; a chunk's number and first row are as if there were no other file."""
    file, size = parquet(header.file), header.file.stat().st_size
    groups = [file.metadata.row_group(group) for group in range(file.num_row_groups)]
    unpacked = sum(group.total_byte_size for group in groups) / max(1, file.metadata.num_rows)
    chunk_rows = max(1, min(chunk_rows, int(chunk_bytes / max(1.0, unpacked))))
    for start, stop, held in _runs(file, header.file, chunk_rows):
        yield Chunk(header.file, 0, start, 0, stop - start, start, stop, header.names, held=held)
        steps.to(size * stop // file.metadata.num_rows)


def _runs(file: pq.ParquetFile, path: Path, chunk_rows: int) -> Iterator[tuple[int, int, pa.Table | None]]:
    """(first row, row behind the last, the rows where they are only a part of a row group) of each chunk."""
    start = stop = 0
    for group in range(file.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        if start < stop and stop + rows - start > chunk_rows:
            yield start, stop, None
            start = stop
        if rows <= 2 * chunk_rows:
            stop += rows
            continue
        batches = file.iter_batches(chunk_rows, row_groups=[group])
        while batch := _next(batches, path):
            yield stop, stop + len(batch), without_views(pa.Table.from_batches([batch]))
            start = stop = stop + len(batch)
    if start < stop:
        yield start, stop, None


def _next(batches: Iterator[pa.RecordBatch], path: Path) -> pa.RecordBatch | None:
    with undamaged(path):
        return next(batches, None)


def _require_an_end(path: Path, line: int, length: int) -> None:
    if length >= LONGEST_RECORD:
        rule = f"must have records of less than {LONGEST_RECORD >> 20} MiB"
        raise DataError(f"{path} line {line} {rule}, got one that does not end; is a quote never closed?")
