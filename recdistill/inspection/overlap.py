"""Which of the target's users, items and other ids the source has."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from recdistill.inspection.findings import Finding, Level
from recdistill.inspection.profiles import ColumnProfile, items
from recdistill.schema import Schema
from recdistill.tables import Table
from recdistill.transforms import Counts

TEACHER_WITHOUT = {
    "keep": "until it is adapted the teacher takes each for an unseen one (teacher.unshared = keep)",
    "drop": "the teacher does without (teacher.unshared = drop)",
    "none": "the student learns the target's own",
}

OTHERWISE = "are in the source in another spelling (case, spaces around or leading zeros), and so never meet"


@dataclass(frozen=True)
class Overlap:
    """What the source has of one id column of the target; values are compared as text.

    Args:
        column: its name.
        rows: the target's rows with a value; of lists their items.
        seen_rows: those whose value some source row has.
        ids: the target's distinct values.
        seen_ids: those that some source row has.
        respelt_ids: where there are none, those that the source has but for case, spaces around and leading zeros.
    """

    column: str
    rows: int
    seen_rows: int
    ids: int
    seen_ids: int
    respelt_ids: int = 0

    @property
    def shares_nothing(self) -> bool:
        """Whether there are values and the source has none of them."""
        return self.rows > 0 and self.seen_rows == 0

    def to_dict(self) -> dict[str, Any]:
        """The counts as JSON, and both shares; of no value the share is 1."""
        shares = {"share_of_rows": _share(self.seen_rows, self.rows), "share_of_ids": _share(self.seen_ids, self.ids)}
        return {**{name: value for name, value in vars(self).items() if name != "column"}, **shares}


def overlap(column: str, source: Counts, target: Counts) -> Overlap:
    """What the source's values cover of the target's."""
    seen = pc.is_in(target.values, source.values).to_numpy(zero_copy_only=False)
    other = 0
    if not seen.any():
        there, here = (pc.unique(respelt(side.values)) for side in (source, target))
        other = int(pc.sum(pc.is_in(here, there)).as_py() or 0)
    return Overlap(column, target.total, int(target.counts[seen].sum()), len(target.values), int(seen.sum()), other)


def overlaps(source: Mapping[str, ColumnProfile], target: Mapping[str, ColumnProfile]) -> list[Overlap]:
    """The overlap of every id column that both sides have."""
    return [
        overlap(name, there.counts, here.counts)
        for name, here in target.items()
        if (there := source.get(name)) is not None and there.counts is not None and here.counts is not None
    ]


def unshared(source: Table, target: Table) -> tuple[str, ...]:
    """The id features of which no target row has a value that a source row has.

    A column without any value on the target is not among them: there is nothing that could be shared.
    """
    return tuple(name for name in _id_features(source.schema, target.schema) if _is_apart(source, target, name))


def overlap_findings(
    found: Sequence[Overlap], apart: Sequence[str], features: Sequence[str], *, own: Collection[str], setting: str
) -> list[Finding]:
    """What the teacher can do with columns that share nothing.

    Args:
        found: the overlaps of all id columns.
        apart: the features that share nothing.
        features: all that a teacher may use.
        own: columns of which each domain may well have values of its own, as users and items.
        setting: `teacher.unshared`, or "none" where no model is the teacher.
    """
    if not apart:
        return []
    respelt = [
        Finding("warning", "overlap", f"{one.column}: {one.respelt_ids:,} of its {one.ids:,} ids {OTHERWISE}")
        for one in found
        if one.respelt_ids
    ]
    what = TEACHER_WITHOUT[setting]
    none = [one for one in found if one.rows]
    others = [name for name in features if name not in apart]
    if none and all(one.shares_nothing for one in none):
        rest = f"only {', '.join(others)} can carry over" if others else "and there is no other feature"
        return [*respelt, Finding("warning", "overlap", f"source and target share no id at all, {rest}; {what}")]
    sides: list[tuple[Level, list[str]]] = [
        ("note", [name for name in apart if name in own]),
        ("warning", [name for name in apart if name not in own]),
    ]
    return respelt + [
        Finding(level, "overlap", f"source and target share no {', no '.join(names)}; {what}")
        for level, names in sides
        if names
    ]


def _id_features(source: Schema, target: Schema) -> list[str]:
    ids = {*source.categorical, *source.multi} & {*target.categorical, *target.multi}
    return [name for name in source.features + source.privileged_features if name in ids]


def _is_apart(source: Table, target: Table, name: str) -> bool:
    here, there = (pc.unique(items(side.column(name))).drop_null().cast(pa.large_string()) for side in (target, source))
    return bool(len(here)) and not pc.any(pc.is_in(here, there)).as_py()


def respelt(values: pa.Array) -> pa.Array:
    """Ids without what may be spelt otherwise: case, spaces around and leading zeros."""
    return pc.utf8_ltrim(pc.utf8_lower(pc.utf8_trim_whitespace(values)), "0")


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0
