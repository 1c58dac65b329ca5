"""Columns that no ranker can learn from, and how many labels of each part are 1."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from recdistill.inspection.findings import Finding
from recdistill.inspection.profiles import SIDES, ColumnProfile
from recdistill.schema import FEATURE_KINDS

FEW = 20  # rows: with so few, all different is no surprise


def column_findings(sides: Mapping[str, Mapping[str, ColumnProfile]], *, unused: Collection[str]) -> list[Finding]:
    """What is wrong with the features of the rows that train.

    Args:
        sides: the profiles of "source", where there is one, and "train".
        unused: features that no ranker of the run uses.
    """
    features = {
        name: {side: of[name] for side, of in sides.items() if name in of and of[name].rows}
        for name, here in sides["train"].items()
        if here.kind in FEATURE_KINDS and name not in unused
    }
    return [finding for name, of in features.items() for finding in _of_column(name, of)]


def _of_column(name: str, of: Mapping[str, ColumnProfile]) -> Iterator[Finding]:
    empty = [SIDES[side] for side, profile in of.items() if profile.is_empty]
    constant = [SIDES[side] for side, profile in of.items() if profile.is_constant]
    own = [SIDES[side] for side, profile in of.items() if _is_row_id(profile)]
    if empty and not of["train"].privileged:
        fix = "leave it out (of the schema, or by drop of both encoders); privileged if the source's alone"
        rule = f"a feature needs a value in some row, got {name!r} missing in all of {' and '.join(empty)}"
        yield Finding("error", "columns", f"{rule}: {fix}")
    if constant:
        yield Finding("warning", "columns", f"{name} is the same in all of {' and '.join(constant)}")
    if own:
        words = f"{name} is another in each of {' and '.join(own)}: nothing can be learnt of it"
        yield Finding("warning", "columns", words)


def _is_row_id(profile: ColumnProfile) -> bool:
    return profile.kind == "categorical" and profile.rows > FEW and profile.distinct == profile.rows
