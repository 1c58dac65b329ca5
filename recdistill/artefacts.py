"""Artefacts on disk: written under a temporary name, hashed, listed in a manifest, then renamed.

An artefact is a folder with a `manifest.json` that lists each file's size and sha256. The folder appears
under its final name only when it is whole, so whatever is there can be taken for whole once it verifies.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from recdistill.errors import DataError, EnvironmentFault

MANIFEST = "manifest.json"
FORMAT = 1


def sha256(path: Path) -> str:
    """The sha256 of a file's bytes, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest(value: Any) -> str:
    """The sha256 of a JSON-able value, in hex; equal values give equal digests."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def read_json(path: Path) -> Any:
    """Parsed JSON.

    Raises:
        DataError: the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path} does not exist") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not JSON: {error}") from None


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A temporary name to write a file under; on leaving without an error it gets its final name.

    Raises:
        EnvironmentFault: the disk is full.
    """
    temporary = _temporary(path)
    with _written_as(path, temporary):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            with temporary.open("rb") as stream:
                _flush(stream.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        _flush_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write a text file so that it is there whole or not at all."""
    with new_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write JSON so that it is there whole or not at all; NaN and infinities are refused."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


@contextlib.contextmanager
def new_folder(path: Path, **facts: Any) -> Iterator[Path]:
    """A folder to fill; on leaving without an error it gets a manifest and its final name.

    Args:
        path: the final name. A folder that is already there is replaced, so the caller asks first.
        facts: JSON-able facts about the artefact, kept in the manifest under "facts".

    Raises:
        EnvironmentFault: the disk is full.
    """
    temporary = _temporary(path)
    with _written_as(path, temporary):
        temporary.mkdir(parents=True)
        try:
            yield temporary
            finish(temporary, path, facts)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def finish(folder: Path, path: Path, facts: dict[str, Any]) -> None:
    """Give a folder that is filled its manifest and its final name.

    Args:
        folder: what was filled, on the same disk.
        path: the final name. A folder that is already there is replaced, so the caller asks first.
        facts: as in `new_folder`.
    """
    _write_manifest(folder, facts)
    _put(folder, path)
    _flush_folder(path.parent)


def remove(path: Path) -> None:
    """Remove a folder artefact: it loses its name first, so that no part of it is ever found under that."""
    old = _temporary(path)
    os.replace(path, old)
    shutil.rmtree(old, ignore_errors=True)


def remove_unfinished(folder: Path) -> None:
    """Remove what a process that was killed left half-written below a folder."""
    for left in folder.rglob(".*.tmp"):
        shutil.rmtree(left) if left.is_dir() else left.unlink()


def is_whole(path: Path) -> bool:
    """Whether a folder artefact is there with every file of its manifest at its size (no hashing)."""
    if not (path / MANIFEST).is_file():
        return False
    files = manifest(path)["files"]
    return all(_size(path / name) == entry["bytes"] for name, entry in files.items())


def is_made_from(path: Path, prepared: str) -> bool:
    """Whether a folder artefact is whole and was made from the prepared rows of this identity."""
    return is_whole(path) and manifest(path)["facts"].get("prepared") == prepared


def manifest(path: Path) -> dict[str, Any]:
    """A folder's manifest.

    Raises:
        DataError: there is none, or it is of another format.
    """
    value = read_json(path / MANIFEST)
    if not isinstance(value, dict) or value.get("format") != FORMAT or not isinstance(value.get("files"), dict):
        raise DataError(f"{path / MANIFEST} must be a manifest of format {FORMAT}")
    for name, entry in value["files"].items():
        if not isinstance(entry, dict) or not {"bytes", "sha256"} <= entry.keys():
            raise DataError(f"{path / MANIFEST} must give bytes and sha256 of each file, got {entry!r} for {name!r}")
    escaped = [name for name in value["files"] if Path(name).is_absolute() or ".." in Path(name).parts]
    if escaped:
        raise DataError(f"{path / MANIFEST} lists files outside its folder: {escaped}")
    return value


def verify(path: Path) -> int:
    """Re-hash every file of a folder artefact.

    Returns:
        The number of files checked.

    Raises:
        DataError: a file is missing, has another size, or another hash.
    """
    files = manifest(path)["files"]
    for name, entry in files.items():
        file = path / name
        if not file.is_file():
            raise DataError(f"{file} is listed in {MANIFEST} but missing")
        if _size(file) != entry["bytes"]:
            raise DataError(f"{file} must have {entry['bytes']} bytes, got {_size(file)}")
        if sha256(file) != entry["sha256"]:
            raise DataError(f"{file} was changed after it was written: its sha256 differs from {MANIFEST}")
    return len(files)


def _write_manifest(folder: Path, facts: dict[str, Any]) -> None:
    (folder / MANIFEST).unlink(missing_ok=True)  # of a process that was killed before the folder got its name
    names = sorted(p for p in folder.rglob("*") if p.is_file())
    for name in names:
        with name.open("rb") as stream:
            _flush(stream.fileno())
    files = {str(p.relative_to(folder)): {"bytes": _size(p), "sha256": sha256(p)} for p in names}
    write_json(folder / MANIFEST, {"format": FORMAT, "facts": facts, "files": files})


def _put(folder: Path, path: Path) -> None:
    """Give a folder its final name; what had that name goes last, so that an error never leaves neither."""
    old = _temporary(path)
    if path.is_dir():
        os.replace(path, old)
    try:
        os.replace(folder, path)
    except BaseException:
        if old.is_dir():
            os.replace(old, path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else -1


def _flush(descriptor: int) -> None:
    os.fsync(descriptor)


def _flush_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _written_as(path: Path, temporary: Path) -> Iterator[None]:
    """Errors name the final path, not the temporary one; a full disk is a fault of the environment."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            existing = next(p for p in path.absolute().parents if p.exists())
            free = shutil.disk_usage(existing).free
            raise EnvironmentFault(f"disk full while writing {path}: {free:,} bytes free") from error
        if temporary.name in str(error.filename):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
