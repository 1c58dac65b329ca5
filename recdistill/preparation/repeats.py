"""Rows that occur more than once among all parts, found in bounded memory by their fingerprints."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from recdistill.artefacts import digest
from recdistill.errors import DataError
from recdistill.fingerprints import Words, among, splitmix64
from recdistill.part_files import SPLITS
from recdistill.preparation.splitting import Codes
from recdistill.preparation.workspace import FINGERPRINT, Workspace
from recdistill.schema import Schema

AT_A_TIME = 8_000_000


def repeated_rows(workspace: Workspace, splits: list[Codes]) -> dict[str, int]:
    """How many rows of the validation and test rows are in an earlier split too, but for their row ids."""
    found = dict.fromkeys(SPLITS[1:], 0)
    for words, codes in _partitions(splits, lambda part: _words(workspace, part, FINGERPRINT)):
        earlier = np.sort(words[codes == 0])
        for code, split in enumerate(SPLITS[1:], 1):
            own = words[codes == code]
            found[split] += int(among(own, earlier).sum())
            earlier = np.sort(np.concatenate([earlier, own]))
    return found


def require_unique(workspace: Workspace, splits: list[Codes], schema: Schema) -> None:
    """Refuse row ids that occur twice.

    Raises:
        DataError: says how many do.
    """
    ids = (workspace.column(part, schema.row_id).to_numpy(zero_copy_only=False) for part in range(len(splits)))
    if _rise(ids):
        return
    twice = 0
    for words, _ in _partitions(splits, lambda part: splitmix64(_words(workspace, part, schema.row_id))):
        whole = np.sort(words)
        twice += int((whole[1:] == whole[:-1]).sum())
    if twice:
        raise DataError(f"row ids must be unique, got {twice} repeated in {schema.row_id!r}")


def rows_fingerprint(workspace: Workspace, splits: list[Codes], schema: Schema) -> str:
    """sha256 of every row's id, split and values: the same rows have the same, whatever encodes them."""
    ids, values, where = hashlib.sha256(), hashlib.sha256(), hashlib.sha256()  # apart, however the rows are cut
    for part, codes in enumerate(splits):
        ids.update(_words(workspace, part, schema.row_id).tobytes())
        values.update(_words(workspace, part, FINGERPRINT).tobytes())
        where.update(codes.tobytes())
    return digest([total.hexdigest() for total in (ids, values, where)])


def _rise(pieces: Iterable[np.ndarray[Any, np.dtype[np.int64]]]) -> bool:
    """Whether numbers rise from each to the next, so that none occurs twice."""
    last = -(2**63)
    for piece in pieces:
        if len(piece) and not (piece[0] > last and (piece[1:] > piece[:-1]).all()):
            return False
        last = piece[-1] if len(piece) else last
    return True


def _partitions(splits: list[Codes], words_of: Callable[[int], Words]) -> Iterator[tuple[Words, Codes]]:
    """The words of all parts with their splits, a share of the words at a time; equal words come together."""
    shares = max(1, -(-sum(map(len, splits)) // AT_A_TIME))
    for share in range(shares):
        kept, codes = [], []
        for part, split in enumerate(splits):
            words = words_of(part)
            mine = words % np.uint64(shares) == share
            kept.append(words[mine])
            codes.append(split[mine])
        yield np.concatenate(kept), np.concatenate(codes)


def _words(workspace: Workspace, part: int, name: str) -> Words:
    return workspace.column(part, name).to_numpy(zero_copy_only=False).view(np.uint64)
