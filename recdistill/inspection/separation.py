"""Whether the parts are as far apart as their split says: row ids, users, times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow.compute as pc

from recdistill.inspection.findings import Finding, share_of
from recdistill.tables import Table

WORDS = {"train": "training", "valid": "validation", "test": "test"}


def separation_findings(source: Table | None, parts: Mapping[str, Table], *, by: str) -> list[Finding]:
    """What a split forbids, and rows of the past that are judged by models of the future.

    Args:
        source: its rows, where there are any.
        parts: the target's "train", "valid" and "test".
        by: how they were split, as in `recdistill.splits.split`.
    """
    sides = parts if source is None else {"source": source, **parts}
    found = [*_same_rows(sides)]
    if by == "user" and parts["train"].schema.user is not None:
        found += _same_users(parts)
    if parts["train"].schema.time is not None:
        found += _in_order(parts) if by == "time" else _from_the_future(parts["train"], parts["test"], "training")
        if source is not None and source.schema.time is not None:
            found += _from_the_future(source, parts["test"], "source's", grave=by == "time")
    return found


def _same_rows(sides: Mapping[str, Table]) -> Iterator[Finding]:
    for (one, first), (other, second) in combinations(sides.items(), 2):
        if shared := int(np.isin(first.row_ids, second.row_ids).sum()):
            rule = f"no row id may be in both {one} and {other}"
            yield Finding("error", "leakage", f"{rule}, got {shared:,} shared")


def _same_users(parts: Mapping[str, Table]) -> Iterator[Finding]:
    users = {part: pc.unique(table.column(str(table.schema.user))) for part, table in parts.items()}
    for (one, first), (other, second) in combinations(users.items(), 2):
        if shared := int(pc.sum(pc.is_in(first, second)).as_py() or 0):
            rule = f"split by user, no user may be in both the {WORDS[one]} and the {WORDS[other]} rows"
            yield Finding("error", "leakage", f"{rule}, got {shared:,} shared")


def _in_order(parts: Mapping[str, Table]) -> Iterator[Finding]:
    for before, after in (("train", "valid"), ("valid", "test"), ("train", "test")):
        last, first = _times(parts[before]), _times(parts[after])
        if len(last) and len(first) and last.max() >= first.min():
            rule = f"split by time, every {WORDS[before]} row must come before every {WORDS[after]} row"
            got = f"the last {WORDS[before]} row at {last.max()} and the first {WORDS[after]} row at {first.min()}"
            yield Finding("error", "leakage", f"{rule}, got {got}")


def _from_the_future(known: Table, test: Table, whose: str, *, grave: bool = False) -> Iterator[Finding]:
    """How much of what models learn from is later than what they are asked."""
    learnt, asked = _times(known), _times(test)
    if not len(learnt) or not len(asked) or learnt.dtype.kind != asked.dtype.kind:
        return
    if later := int((learnt > np.sort(asked)[(len(asked) - 1) // 2]).sum()):
        share = share_of(later, len(learnt))
        words = (
            f"{share} of the {whose} rows are later than half of the test rows; in use a ranker knows the past alone"
        )
        yield Finding("warning" if grave else "note", "leakage", words)


def _times(table: Table) -> np.ndarray[Any, Any]:
    return table.numpy(str(table.schema.time))
