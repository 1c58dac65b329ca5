"""Archives of others, unpacked so that nothing lands outside the folder and nothing fills the disk."""

from __future__ import annotations

import errno
import lzma
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from recdistill.errors import DataError

MOST_ENTRIES = 10_000
MOST_BYTES = 32 * 2**30
CHUNK = 2**20
# Text shrinks to a fifth or a tenth; a bomb to a thousandth.
MOST_RATIO = 200


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip or tar archive into a folder; every entry is checked before the first is written.

    Raises:
        DataError: the archive is of another kind or damaged, an entry is no plain file or folder, would land outside or
            cannot be written under its name, or there are too many entries or bytes.
        OSError: the disk is full.
    """
    try:
        if zipfile.is_zipfile(archive):
            _unzip(archive, folder)
        elif tarfile.is_tarfile(archive):
            _untar(archive, folder)
        else:
            raise DataError(f"{archive} must be a zip or tar archive")
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DataError(f"{archive} cannot be unpacked: {error.strerror or error}") from None
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, RuntimeError) as error:
        raise DataError(f"{archive} cannot be unpacked: {error}") from None


def _unzip(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as packed:
        entries = packed.infolist()
        for entry in entries:
            # The upper half is the Unix mode, 0 where the archive was made elsewhere.
            kind = entry.external_attr >> 28
            _require_inside(archive, entry.filename, plain=kind in (0, 0o04, 0o10))
        _require_modest(archive, len(entries), sum(entry.file_size for entry in entries))
        packed.extractall(folder)  # noqa: S202 (reads no more of an entry than it declares, and checks its CRC)


def _untar(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as packed:
        size = 0
        for number, entry in enumerate(packed, 1):
            _require_inside(archive, entry.name, plain=entry.isfile() or entry.isdir())
            size += entry.size
            _require_modest(archive, number, size)
        packed.extractall(folder, filter="data")
        while packed.fileobj is not None and packed.fileobj.read(CHUNK):
            pass  # to the compression's own checksum, which follows the last entry


def _require_inside(archive: Path, name: str, *, plain: bool) -> None:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in name:
        raise DataError(f"every entry of {archive.name} must land inside its folder, got {name!r}")
    if not plain:
        raise DataError(f"every entry of {archive.name} must be a file or a folder, got a link or device {name!r}")


def _require_modest(archive: Path, entries: int, size: int) -> None:
    if entries > MOST_ENTRIES:
        raise DataError(f"{archive.name} must have at most {MOST_ENTRIES:,} entries, got {entries:,} or more")
    most = min(MOST_BYTES, MOST_RATIO * archive.stat().st_size)
    if size > most:
        raise DataError(f"{archive.name} must unpack to at most {most:,} bytes, got {size:,} or more")
