"""The raw files that a run's rows were read from: which they were, and whether they are still the same."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import xxhash

from recdistill.errors import UsageError

CHUNK = 2**20


@dataclass(frozen=True)
class Input:
    """A raw file as it was read.

    Args:
        path: as it was given; `$NAME` is an environment variable.
        bytes: its size.
        mtime_ns: when it was last written, in nanoseconds.
        xxh3_128: the hash of its content.
    """

    path: str
    bytes: int
    mtime_ns: int
    xxh3_128: str

    @staticmethod
    def of(path: str) -> Input:
        """The file as it is now.

        Raises:
            OSError: it cannot be read.
        """
        file = _found(path)
        state = file.stat()
        return Input(path, state.st_size, state.st_mtime_ns, content_hash(file))

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Input:
        """The reverse of `to_dict`."""
        return Input(values["path"], values["bytes"], values["mtime_ns"], values["xxh3_128"])

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    def change(self) -> str:
        """What is not as it was; empty where the content is the same.

        Of equal size and time the content is taken for the same, and not read.
        """
        file = _found(self.path)
        state = file.stat()
        if (state.st_size, state.st_mtime_ns) == (self.bytes, self.mtime_ns):
            return ""
        if state.st_size != self.bytes:
            return f"{state.st_size:,} bytes, then {self.bytes:,}"
        return "" if content_hash(file) == self.xxh3_128 else f"{self.bytes:,} bytes as then, but others"


def require_unchanged(inputs: Iterable[Input], now: Collection[str] | None = None) -> list[str]:
    """Refuse files that are not what they were.

    Args:
        inputs: that were read.
        now: the files that would be read now; None where that cannot be told.

    Returns:
        The files that are no longer there: whether those changed cannot be told.

    Raises:
        UsageError: names each changed file, and what can be done.
    """
    inputs = list(inputs)
    there = [one for one in inputs if is_there(one.path)]
    changed = [f"{one.path} ({words})" for one in there if (words := one.change())]
    if now is not None:
        then = [one.path for one in inputs]
        changed += [f"{path} (not among them then)" for path in now if path not in then and is_there(path)]
        changed += [f"{path} (not among them now)" for path in then if path not in now]
    if changed:
        raise UsageError(
            f"the rows were prepared from other files than there are now: {', '.join(changed)}; --overwrite reads the "
            "data again and keeps what was made from equal rows, or choose another folder"
        )
    return [one.path for one in inputs if one not in there]


def is_there(path: str) -> bool:
    """Whether there is a file of that name; `$NAME` is an environment variable."""
    return _found(path).is_file()


def content_hash(path: Path) -> str:
    """xxh3-128 of a file's bytes, in hex."""
    total = xxhash.xxh3_128()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            total.update(chunk)
    return total.hexdigest()


def _found(path: str) -> Path:
    return Path(os.path.expandvars(path))
