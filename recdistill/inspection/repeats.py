"""Rows that are there twice: across the splits, and in the source and the rows that the target is judged by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from recdistill.fingerprints import Words, among
from recdistill.inspection.contents import content, row_hashes
from recdistill.inspection.findings import Finding, Level, share_of
from recdistill.tables import Table

JUDGES = {"valid": "validation", "test": "test"}
MANY = 0.01  # of the rows
EVERY, RARE = 0.5, 0.05  # so many are found, where so few would be found by chance
ENOUGH = 20  # rows, to speak of chance


@dataclass(frozen=True)
class Repeats:
    """How many rows of one place have an equal one in another: same answer, features, user, item and time.

    Args:
        part: "valid", "test", or "target" for all of the target's rows.
        there: "train" or "source".
        rows: of the part.
        found: those that have an equal row there.
        chance: the share of rows that have an equal one beside them, in the part or there, whichever is larger: what
            is found by chance where rows say little.
        events: whether user and time are among what is equal, so that equal rows are one event.
    """

    part: str
    there: str
    rows: int
    found: int
    chance: float
    events: bool

    @property
    def share(self) -> float:
        """Of the rows, those that have an equal one there."""
        return self.found / self.rows if self.rows else 0.0

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {**asdict(self), "share": self.share}


def repeats(source: Table | None, parts: Mapping[str, Table]) -> list[Repeats]:
    """Equal rows across the target's parts, and of the source in them.

    Args:
        source: its rows, where there are any.
        parts: the target's "train", "valid" and "test".
    """
    columns = content(*parts.values())
    hashes = {part: row_hashes(table, columns) for part, table in parts.items()}
    trained = np.sort(hashes["train"])
    facts: dict[str, Any] = {"chance": _within(trained), "events": _are_events(parts["train"], columns)}
    found = [_found(part, "train", hashes[part], trained, **facts) for part in JUDGES]
    if source is None:
        return found
    if (shared := content(parts["train"], source)) != columns:
        hashes = {part: row_hashes(table, shared) for part, table in parts.items()}
    there = np.sort(row_hashes(source, shared))
    facts = {"chance": _within(there), "events": _are_events(source, shared) and _are_events(parts["train"], shared)}
    whole = {**{part: hashes[part] for part in JUDGES}, "target": np.concatenate(list(hashes.values()))}
    return found + [_found(part, "source", own, there, **facts) for part, own in whole.items()]


def repeat_findings(found: list[Repeats]) -> list[Finding]:
    """What is wrong with rows that are there twice.

    An error is what chance cannot do: equal rows are rare within each place, and yet at least half of what the target
    is judged by, or all of the target, is found in the other.
    """
    return [finding for one in found if one.found for finding in _told(one)]


def _told(one: Repeats) -> Iterator[Finding]:
    sure = one.rows >= ENOUGH and one.chance <= RARE
    if one.part == "target":
        if sure and one.found == one.rows:
            rule = "source and target must be different rows"
            got = f"every one of the target's {one.rows:,} rows in the source too, with the same answer"
            yield Finding("error", "leakage", f"{rule}, got {got}")
        return
    rows = f"{one.found:,} of {one.rows:,} {JUDGES[one.part]} rows ({share_of(one.found, one.rows)})"
    trained = "training rows" if one.there == "train" else "source's rows, which the teacher learns"
    same = "the same answer, features" + (", user and time" if one.events else "")
    chance = f"; {share_of(one.chance, 1)} have an equal one in their own place" if one.chance else ""
    if sure and one.share >= EVERY:
        rule = f"the rows that judge must not be among the {trained}"
        yield Finding("error", "leakage", f"{rule}, got {rows} there too with {same}")
        return
    likely = one.share >= MANY and (one.events or one.share > 2 * one.chance)
    level: Level = "warning" if likely else "note"
    yield Finding(level, "leakage", f"{rows} have an equal row among the {trained} ({same}){chance}")


def _found(part: str, there: str, own: Words, others: Words, *, chance: float, events: bool) -> Repeats:
    """How many of a part's hashes are among others, which are sorted."""
    return Repeats(part, there, len(own), int(among(own, others).sum()), max(chance, _within(np.sort(own))), events)


def _within(hashes: Words) -> float:
    """The share of sorted hashes that stand beside an equal one."""
    same = hashes[1:] == hashes[:-1]
    return float((np.append(same, False) | np.append(False, same)).mean()) if len(hashes) else 0.0


def _are_events(table: Table, columns: tuple[str, ...]) -> bool:
    return {table.schema.user, table.schema.time} <= set(columns)
