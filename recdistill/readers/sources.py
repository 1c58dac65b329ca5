"""Which files are meant, of what kind they are, and how they are opened."""

from __future__ import annotations

import contextlib
import glob
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from recdistill.errors import DataError, beside
from recdistill.readers.layout import CsvSettings

COMPRESSED = {".gz": "gzip", ".zst": "zstd"}
DELIMITERS = {".csv": ",", ".txt": ",", ".tsv": "\t"}
PARQUET = (".parquet", ".pq")
UNFINISHED = (".tmp", ".part", ".crdownload", "~")


def files_of(where: str | Path | Sequence[str | Path], settings: CsvSettings | None = None) -> list[Path]:
    """The files that are meant: one, many, a folder's, or those that a pattern fits.

    Args:
        where: a file, a folder, a pattern with *, ? or [ ], or several of them in their order. Files of a folder or a
            pattern come by name, day_2 before day_10; hidden and unfinished ones are left out.
        settings: of text files: with `names` they may have any ending, in a folder none.

    Raises:
        DataError: there is none, one comes twice, one has an unknown ending, or text and Parquet are mixed.
    """
    given = [where] if isinstance(where, str | Path) else list(where)
    files = [file for one in given for file in _found(Path(one), settings or CsvSettings())]
    if not files:
        raise DataError("there must be files to read, got none")
    seen: dict[Path, Path] = {}
    for file in files:
        if (other := seen.setdefault(file.resolve(), file)) is not file:
            raise DataError(f"each file must be read once, got {other} twice" + (f", also as {file}" * (other != file)))
    parquet = [file for file in files if kind(file, settings) in PARQUET]
    if parquet and len(parquet) < len(files):
        text = next(file for file in files if file not in parquet)
        raise DataError(f"files must be all text or all Parquet, got {text} and {parquet[0]}")
    return files


def is_several(where: Path) -> bool:
    """Whether a folder or a pattern is meant, not a file."""
    return where.is_dir() or (glob.has_magic(str(where)) and not where.exists())


def kind(path: Path, settings: CsvSettings | None = None) -> str:
    """A file's ending, without that of its compression; with `names` any other ending is text too.

    Raises:
        DataError: the file is missing, or of another kind.
    """
    if not path.is_file():
        raise DataError(f"{path} is {'a folder, not a file' if path.is_dir() else 'missing'}{beside(path)}")
    ending = _ending(path)
    if ending not in (*DELIMITERS, *PARQUET) and not (settings and settings.names):
        known = ", ".join((*DELIMITERS, *PARQUET))
        rule = f"must end in one of {known} (text files also in .gz or .zst after that)"
        raise DataError(
            f"{path} {rule}; a file without a header line may have any ending: give the names of its columns"
        )
    return ending


def usual_delimiter(path: Path) -> str:
    """Between a text file's fields, by its name."""
    return DELIMITERS.get(_ending(path), ",")


def stored_bytes(files: Sequence[Path]) -> int:
    """How many bytes files have on disk, compressed as they are."""
    return sum(file.stat().st_size for file in files)


def opened(path: Path) -> tuple[pa.NativeFile, pa.NativeFile]:
    """(the bytes of a file decompressed by its name, the bytes as they are stored, for how far reading is)."""
    stored = pa.OSFile(str(path))
    codec = COMPRESSED.get(path.suffix.lower())
    return (pa.CompressedInputStream(stored, codec) if codec else stored), stored


@contextlib.contextmanager
def undamaged(path: Path) -> Iterator[None]:
    """What cannot be read of a file is damaged.

    Raises:
        DataError: it is.
    """
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> DataError:
    what = "decompressed" if path.suffix.lower() in COMPRESSED else "read"
    whole = "a whole Parquet file" if _ending(path) in PARQUET else "a whole file"
    return DataError(f"{path} must be {whole}, got one that cannot be {what}: {str(error).splitlines()[0]}")


def _found(where: Path, settings: CsvSettings) -> list[Path]:
    if where.is_dir():
        endings = {*DELIMITERS, *PARQUET, *([""] if settings.names else [])}
        files = [file for file in _by_name(where.iterdir()) if _ending(file) in endings]
        return files or _refuse(where, where, "a folder with files that end in " + ", ".join((*DELIMITERS, *PARQUET)))
    if is_several(where):
        files = _by_name(map(Path, glob.glob(str(where), recursive=True)))
        return files or _refuse(where, _fixed(where), "a pattern that fits files")
    kind(where, settings)
    return [where]


def in_order(files: Iterable[Path]) -> list[Path]:
    """Files by name, where numbers count as numbers: day_2 before day_10."""
    return sorted(files, key=lambda file: [int(p) if p.isdecimal() else p for p in re.split(r"([0-9]+)", str(file))])


def _by_name(files: Iterable[Path]) -> list[Path]:
    """Files in the order of their names, numbers by their size; without hidden and unfinished ones."""
    whole = [f for f in files if f.is_file() and f.name[0] not in "._" and not f.name.endswith(UNFINISHED)]
    return in_order(whole)


def _fixed(pattern: Path) -> Path:
    """The folder that a pattern begins with."""
    return next((folder for folder in pattern.parents if not glob.has_magic(str(folder))), Path())


def _refuse(where: Path, folder: Path, rule: str) -> list[Path]:
    if not folder.is_dir():
        raise DataError(f"{where} must be {rule}, got no folder {folder}")
    names = sorted(path.name for path in folder.iterdir())
    got = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    raise DataError(f"{where} must be {rule}, got none; beside it: {got or 'nothing'}")


def _ending(path: Path) -> str:
    return path.with_suffix("").suffix.lower() if path.suffix.lower() in COMPRESSED else path.suffix.lower()
