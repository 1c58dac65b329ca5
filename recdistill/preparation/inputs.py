"""The files that a preparation reads: what they are, and whether they are still the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import xxhash

BLOCK = 1 << 24


def described(files: Sequence[Path]) -> list[dict[str, Any]]:
    """Per file its name, bytes and time of the last change, in nanoseconds."""
    found = []
    for file in files:
        stat = file.stat()
        found.append({"file": file.name, "bytes": stat.st_size, "modified": stat.st_mtime_ns})
    return found


def content_hash(file: Path) -> str:
    """xxh3-128 of a file's bytes, in hex."""
    total = xxhash.xxh3_128()
    with file.open("rb") as stream:
        while block := stream.read(BLOCK):
            total.update(block)
    return total.hexdigest()


def changed(files: Sequence[Path], known: Sequence[dict[str, Any]]) -> list[str]:
    """What is no longer as it was, in words; files of the same size and time are taken for unchanged.

    Args:
        files: as they are now.
        known: as they were, see `described`, with their `content_hash` under "xxh3".
    """
    now = described(files)
    if [entry["file"] for entry in now] != [entry["file"] for entry in known]:
        return [f"the files were {_names(known)}, got {_names(now)}"]
    found = []
    for file, entry, old in zip(files, now, known, strict=True):
        if entry == {name: old[name] for name in entry}:
            continue
        if entry["bytes"] != old["bytes"] or content_hash(file) != old["xxh3"]:
            found.append(f"{file} has changed since ({old['bytes']:,} bytes then, {entry['bytes']:,} now)")
    return found


def _names(entries: Sequence[dict[str, Any]]) -> str:
    names = [str(entry["file"]) for entry in entries]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
