"""Rows that are there twice: across the splits, and in the source and the rows that the target is judged by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recdistill.fingerprints import Words, among
from recdistill.inspection.contents import answer_of, content, hashes_with, row_hashes
from recdistill.inspection.findings import Finding, Level, share_of
from recdistill.tables import Table

JUDGES = {"valid": "validation", "test": "test"}
MANY = 0.01  # of the rows
EVERY, RARE = 0.5, 0.05  # so many are found, where so few would be found by chance
ENOUGH = 20  # rows, to speak of chance
FEW = 5  # rows: fewer are never warned of
FAR = 3.0  # standard errors that chance does not reach
COPIED = 0.9  # of the agreement beyond chance (Cohen's kappa), where rows are the same and not only alike


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
        asked: those that are equal in all but the answer; None where that was not counted.
        expected: how many of these would have an equal one there if their answers were drawn anew, each as often as it
            is in the part; None where that was not counted.
    """

    part: str
    there: str
    rows: int
    found: int
    chance: float
    events: bool
    asked: int | None = None
    expected: float | None = None

    @property
    def share(self) -> float:
        """Of the rows, those that have an equal one there."""
        return self.found / self.rows if self.rows else 0.0

    @property
    def agreement(self) -> float:
        """Cohen's kappa of the answers where all else is equal: 0 as by chance, 1 all the same; 0 where not known."""
        if self.asked is None or self.expected is None or self.asked <= self.expected:
            return 0.0
        return (self.found - self.expected) / (self.asked - self.expected)

    @property
    def exceeds_repetition(self) -> bool:
        """Whether rows are found there more often than beside each other; of events every one counts."""
        return self.events or (self.found > 2 * self.chance * self.rows and _is_far(self.found, self.chance, self.rows))

    @property
    def agrees(self) -> bool:
        """Whether answers are equal, where all else is, more often than by chance; where not known, they may be."""
        if not self.asked or self.expected is None:
            return True
        return _is_far(self.found, self.expected / self.asked, self.asked)

    @property
    def are_copies(self) -> bool:
        """Whether chance cannot have made so many rows equal: they are the same events."""
        if self.rows < ENOUGH or self.chance > RARE:
            return False
        return self.events or (self.agreement >= COPIED and self.agrees and self.exceeds_repetition)

    @property
    def may_be_copies(self) -> bool:
        """Whether it is worth a warning: more than chance gives, or no answer differs, as where clicks are rare."""
        if self.share < MANY or self.found < FEW:
            return False
        return self.exceeds_repetition and (self.agrees or self.found == self.asked)

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
    judges = {part: [part] for part in JUDGES}
    found = _among("train", parts["train"], parts, judges, columns)
    if source is None:
        return found
    shared = content(parts["train"], source)
    return found + _among("source", source, parts, {**judges, "target": list(parts)}, shared)


def repeat_findings(found: list[Repeats]) -> list[Finding]:
    """What is wrong with rows that are there twice.

    An error is what chance cannot do: equal rows are rare within each place, and yet at least half of what the target
    is judged by, or all of the target, is found in the other. Where user and time do not say that equal rows are one
    event, such as in two months of the same users and items, answers must also agree far more than by chance.
    """
    return [finding for one in found if one.found for finding in _told(one)]


def _told(one: Repeats) -> Iterator[Finding]:
    if one.part == "target":
        if one.are_copies and one.found == one.rows:
            rule = "source and target must be different rows"
            got = f"every one of the target's {one.rows:,} rows in the source too, with the same answer"
            yield Finding("error", "leakage", f"{rule}, got {got}")
        return
    rows = f"{one.found:,} of {one.rows:,} {JUDGES[one.part]} rows ({share_of(one.found, one.rows)})"
    trained = "training rows" if one.there == "train" else "source's rows, which the teacher learns"
    same = "the same answer, features" + (", user and time" if one.events else "")
    chance = f"; {share_of(one.chance, 1)} have an equal one in their own place" if one.chance else ""
    if one.are_copies and one.share >= EVERY:
        rule = f"the rows that judge must not be among the {trained}"
        yield Finding("error", "leakage", f"{rule}, got {rows} there too with {same}")
        return
    if one.asked is not None and one.expected is not None:
        chance += f"; of the {one.asked:,} that are equal but for the answer chance would give {one.expected:,.0f}"
    level: Level = "warning" if one.may_be_copies else "note"
    yield Finding(level, "leakage", f"{rows} have an equal row among the {trained} ({same}){chance}")


def _among(
    name: str, table: Table, parts: Mapping[str, Table], judged: Mapping[str, list[str]], columns: tuple[str, ...]
) -> list[Repeats]:
    """What of some parts, each of one or more tables, is in a table too, by the columns that all of them have."""
    there = np.sort(row_hashes(table, columns))
    hashes = {part: row_hashes(parts[part], columns) for part in {p for of in judged.values() for p in of}}
    chance, events = _within(there), all(_are_events(rows, columns) for rows in (table, parts["train"]))
    found = []
    for judge, of in judged.items():
        own = np.concatenate([hashes[part] for part in of])
        equal = int(among(own, there).sum())
        anew = _drawn_anew([parts[part] for part in of], columns, there) if equal and not events else (None, None)
        found.append(Repeats(judge, name, len(own), equal, max(chance, _within(np.sort(own))), events, *anew))
    return found


def _drawn_anew(tables: list[Table], columns: tuple[str, ...], there: Words) -> tuple[int | None, float | None]:
    """How many rows are there with any answer, and how many would be expected if their answers were drawn anew.

    expected = sum over answers a of  share of a · number of rows that are there with the answer a
    """
    answer = answer_of(tables[0].schema)
    if answer is None or answer not in columns:
        return None, None
    given = pc.value_counts(pa.concat_arrays([rows.column(answer) for rows in tables])).to_pylist()
    often = sorted(((one["values"], one["counts"]) for one in given), key=str)
    values, rows = [value for value, _ in often], sum(map(len, tables))
    hits = [
        np.concatenate([among(words, there) for words in per_table])
        for per_table in zip(*(hashes_with(table, columns, answer, values) for table in tables), strict=True)
    ]
    expected = sum(count / rows * int(hit.sum()) for (_, count), hit in zip(often, hits, strict=True))
    return int(np.logical_or.reduce(hits).sum()), float(expected)


def _is_far(found: int, chance: float, rows: int) -> bool:
    """Whether more is found than the standard errors of a binomial count allow."""
    return found > rows * chance + FAR * (rows * chance * (1 - chance)) ** 0.5


def _within(hashes: Words) -> float:
    """The share of sorted hashes that stand beside an equal one."""
    same = hashes[1:] == hashes[:-1]
    return float((np.append(same, False) | np.append(False, same)).mean()) if len(hashes) else 0.0


def _are_events(table: Table, columns: tuple[str, ...]) -> bool:
    return {table.schema.user, table.schema.time} <= set(columns)
