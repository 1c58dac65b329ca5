"""Where an unfinished preparation is: the rows as read, the parts encoded so far, and what it was begun with."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from recdistill.artefacts import MANIFEST, manifest, new_file, read_json, remove, remove_unfinished, write_json
from recdistill.errors import UsageError
from recdistill.preparation.column_files import read_column, write_columns

FINGERPRINT = "_fingerprint"  # of a row's values, in the rows as read


@dataclass(frozen=True)
class Workspace:
    """The folder of an unfinished preparation, beside the one it will become.

    Args:
        path: where it is.
    """

    path: Path

    @staticmethod
    def of(out: Path) -> Workspace:
        """Of the prepared table that will be there."""
        return Workspace(out.with_name(f"{out.name}.unfinished"))

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Within it no other process works here.

        Raises:
            UsageError: one does.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(f"{self.path} is worked on by another process; wait for it") from None
            yield

    def begin(self, plan: dict[str, Any]) -> str:
        """Write down what is to be made; unfinished work of another plan is removed.

        Returns:
            What is to be said of what was there, in words; nothing where nothing was.

        Raises:
            UsageError: the folder holds something else than unfinished work.
        """
        if self._plan.is_file() and self.plan == plan:
            remove_unfinished(self.path)
            return "is continued"
        halves = set(self.path.glob(f".{self._plan.name}.*.tmp"))  # of a process that was killed while it wrote one
        left = [path for path in self.path.iterdir() if path.name != "lock" and path not in halves]
        if left and not self._plan.is_file():
            raise UsageError(f"{self.path} is where unfinished work would go, and holds something else; move it away")
        for path in (*left, *halves):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        write_json(self._plan, plan)
        return "held unfinished work of other files or settings, and is begun anew" if left else ""

    @property
    def plan(self) -> dict[str, Any]:
        """What the preparation was told."""
        plan: dict[str, Any] = read_json(self._plan)
        return plan

    @property
    def _plan(self) -> Path:
        return self.path / "plan.json"

    @property
    def kinds(self) -> Path:
        """What the first chunk decided for all."""
        return self.path / "kinds.json"

    @property
    def read(self) -> Path:
        """Written when every chunk is read: how many rows each has, and how many bad rows broke which rule."""
        return self.path / "read.json"

    @property
    def prepared(self) -> Path:
        """What will be the prepared table."""
        return self.path / "prepared"

    @property
    def encoder(self) -> Path:
        """The encoder, and what was measured to fit it."""
        return self.path / "encoder"

    def encoder_files(self) -> list[Path]:
        """Those that `Encoder.save` wrote."""
        return [self.encoder / "encoder.json", *sorted(self.encoder.glob("vocabulary-*.parquet"))]

    def counts(self, column: int) -> Path:
        """For the counts of a column that do not fit in memory."""
        return self.path / "counts" / str(column)

    def rows(self, part: int) -> Path:
        """A chunk's rows as they were read."""
        return self.path / "rows" / f"part-{part:05d}.columns"

    def bad(self, part: int) -> Path:
        """A chunk's bad rows; written before its rows."""
        return self.path / "bad" / f"part-{part:05d}.jsonl"

    def write_rows(self, part: int, table: pa.Table) -> None:
        """Keep a chunk's rows as they were read."""
        with new_file(self.rows(part)) as temporary:
            write_columns(table, temporary)

    def column(self, part: int, name: str) -> pa.Array:
        """A column of a chunk's rows as they were read; ids as a dictionary."""
        return read_column(self.rows(part), name)

    def encoded(self, part: int, split: str) -> Path:
        """The rows of a chunk in a split, encoded."""
        return self.prepared / split / f"part-{part:05d}.parquet"

    def done(self, part: int) -> Path:
        """Written when a chunk's rows are encoded: how many of each split there are, and what was counted."""
        return self.path / "encoded" / f"part-{part:05d}.json"

    def discard(self) -> None:
        """Remove everything; the name goes first, so that no part of it is found under that."""
        remove(self.path)

    def discard_left(self, told: dict[str, Any]) -> None:
        """Remove what a process left that was killed when all was made: work that was told the same.

        Args:
            told: what the work was told, all of the plan or a part.
        """
        for path in self.path.parent.glob(f".{self.path.name}.*.tmp"):
            shutil.rmtree(path, ignore_errors=True)
        if self._plan.is_file() and told.items() <= self.plan.items():
            with contextlib.suppress(UsageError), self.held():  # another process may be making it again
                self.discard()


def is_there(out: Path, kind: str, *, overwrite: bool) -> bool:
    """Whether there is an artefact of a kind; an empty folder is nothing.

    Raises:
        UsageError: there is something else, which is never replaced; or, where it is to be overwritten, files that
            are not the artefact's own are among it.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    words = kind.replace("_", " ").removesuffix("s")
    if not (out / MANIFEST).is_file() or (manifest(out).get("facts") or {}).get("kind") != kind:
        raise UsageError(f"{out} holds something else than a {words}; choose another folder")
    own = {*manifest(out)["files"], MANIFEST}
    others = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    if overwrite and (others := [name for name in others if name not in own]):
        raise UsageError(f"{out} holds {others[0]}, which is not of the {words}; move it away to overwrite the rest")
    return True
