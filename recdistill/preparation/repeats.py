"""Rows that occur more than once, found by their fingerprints, a share of these at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recdistill.artefacts import digest, new_file
from recdistill.columns import as_arrow, as_numpy
from recdistill.errors import DataError
from recdistill.fingerprints import Words, among
from recdistill.inspection import Repeats
from recdistill.part_files import SPLITS
from recdistill.preparation.splitting import Codes
from recdistill.preparation.staging import contents
from recdistill.preparation.workspace import FINGERPRINT, Workspace
from recdistill.prepared_table import PreparedTable
from recdistill.schema import Schema

AT_A_TIME = 8_000_000
KEPT = "fingerprints.parquet"  # of the training rows, to find them in other tables


def repeated_rows(
    workspace: Workspace, splits: list[Codes], schema: Schema, like: PreparedTable | None
) -> list[Repeats]:
    """How many of the validation and test rows have an equal row among those that train.

    Args:
        workspace: where the rows are.
        splits: per part (rows,) which split each row is in.
        schema: of the rows.
        like: the table whose encoder they are encoded by: a teacher learns its training rows. It is compared where it
            knows its rows by the same columns.
    """
    compared = like is not None and like.facts.get("contents") == list(contents(schema))
    events = {schema.user, schema.time} <= set(contents(schema))
    own = {split: _Tally(split, "train", events) for split in SPLITS}
    taught = {name: _Tally(name, "source", events) for name in (*SPLITS, "target")}
    for share, words, codes in _shares(splits, lambda part: _words(workspace, part, FINGERPRINT)):
        whole = {split: np.sort(words[codes == code]) for code, split in enumerate(SPLITS)}
        for split, found in whole.items():
            own[split].add(found, whole["train"])
        if compared and like is not None:
            learnt = np.sort(_kept(like.path / KEPT, share))
            for name, found in {**whole, "target": np.sort(words)}.items():
                taught[name].add(found, learnt)
    judges = [own[split] for split in SPLITS[1:]]
    judges += [taught[name] for name in (*SPLITS[1:], "target")] if compared else []
    return [tally.repeats for tally in judges if tally.rows]


def require_unique(workspace: Workspace, splits: list[Codes], schema: Schema) -> None:
    """Refuse row ids that occur twice.

    Raises:
        DataError: says how many do.
    """
    ids = (as_numpy(workspace.column(part, schema.row_id)) for part in range(len(splits)))
    if _rise(ids):
        return
    twice, example = 0, 0
    for _, words, _ in _shares(splits, lambda part: _words(workspace, part, schema.row_id)):
        whole = np.sort(words)
        again = whole[1:][whole[1:] == whole[:-1]].view(np.int64)
        twice, example = twice + len(again), int(again[0]) if len(again) else example
    if twice:
        raise DataError(f"row ids must be unique, got {twice} repeated in {schema.row_id!r}, e.g. {example}")


def rows_fingerprint(workspace: Workspace, splits: list[Codes], schema: Schema) -> str:
    """sha256 of every row's id, split and values: the same rows have the same, whatever encodes them."""
    ids, values, where = hashlib.sha256(), hashlib.sha256(), hashlib.sha256()  # apart, however the rows are cut
    for part, codes in enumerate(splits):
        ids.update(_words(workspace, part, schema.row_id).tobytes())
        values.update(_words(workspace, part, FINGERPRINT).tobytes())
        where.update(codes.tobytes())
    return digest([total.hexdigest() for total in (ids, values, where)])


def keep_fingerprints(workspace: Workspace, splits: list[Codes], path: Path) -> None:
    """Write the fingerprints of the training rows."""
    schema = pa.schema([(FINGERPRINT, pa.uint64())])
    with (
        new_file(path) as temporary,
        pq.ParquetWriter(temporary, schema, compression="none", use_dictionary=False) as writer,
    ):
        for part, codes in enumerate(splits):
            trained = _words(workspace, part, FINGERPRINT)[codes == 0]
            writer.write_table(pa.table({FINGERPRINT: as_arrow(trained)}))


class _Tally:
    """Counts of equal rows, a share of the rows at a time."""

    def __init__(self, part: str, there: str, events: bool) -> None:
        self.part, self.there, self.events = part, there, events
        self.rows = self.found = self.beside = self.others = self.beside_there = 0

    def add(self, words: Words, others: Words) -> None:
        """Count words of the part among others; both are of one share and sorted."""
        self.rows, self.others = self.rows + len(words), self.others + len(others)
        self.found += int(among(words, others).sum())
        self.beside += _beside_an_equal(words)
        self.beside_there += _beside_an_equal(others)

    @property
    def repeats(self) -> Repeats:
        """What was counted."""
        chance = max(self.beside / self.rows, self.beside_there / max(1, self.others))
        return Repeats(self.part, self.there, self.rows, self.found, chance, self.events)


def _beside_an_equal(words: Words) -> int:
    """How many of sorted words have an equal one beside them."""
    same = words[1:] == words[:-1]
    return int((np.append(same, False) | np.append(False, same)).sum()) if len(words) else 0


def _rise(pieces: Iterable[np.ndarray[Any, np.dtype[np.int64]]]) -> bool:
    """Whether numbers rise from each to the next, so that none occurs twice."""
    last = -(2**63)
    for piece in pieces:
        if len(piece) and not (piece[0] > last and (piece[1:] > piece[:-1]).all()):
            return False
        last = piece[-1] if len(piece) else last
    return True


def _shares(splits: list[Codes], words_of: Callable[[int], Words]) -> Iterator[tuple[tuple[int, int], Words, Codes]]:
    """The words of all parts with their splits, a share of them at a time; equal words are in the same share.

    Yields:
        Which share of how many, (words,) and (words,) the split of each.
    """
    count = max(1, -(-sum(map(len, splits)) // AT_A_TIME))
    for number in range(count):
        kept, codes = [], []
        for part, split in enumerate(splits):
            words = words_of(part)
            mine = words % np.uint64(count) == number
            kept.append(words[mine])
            codes.append(split[mine])
        yield (number, count), np.concatenate(kept), np.concatenate(codes)


def _kept(path: Path, share: tuple[int, int]) -> Words:
    """A share of the fingerprints that `keep_fingerprints` wrote."""
    number, count = share
    found = []
    for batch in pq.ParquetFile(path).iter_batches():
        words = as_numpy(batch[FINGERPRINT])
        found.append(words[words % np.uint64(count) == number])
    return np.concatenate([np.empty(0, np.uint64), *found])


def _words(workspace: Workspace, part: int, name: str) -> Words:
    return as_numpy(workspace.column(part, name)).view(np.uint64)
