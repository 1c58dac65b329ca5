"""Columns that no ranker can learn from, and how many labels of each part are 1."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping

import pyarrow as pa

from recdistill.inspection.drift import ODDS
from recdistill.inspection.findings import Finding, Level, share_of
from recdistill.inspection.profiles import SIDES, ColumnProfile
from recdistill.schema import FEATURE_KINDS

PARTS = {"valid": "validation", "test": "test"}
# What a column without a value means where a run can do without.
ABSENT = {
    "source": "the student that is trained there learns nothing of it",
    "train": "a ranker whose encoder is not fitted there meets its mean, or unseen, alone",
}
FEW = 20  # rows: with so few, all different is no surprise


def column_findings(
    sides: Mapping[str, Mapping[str, ColumnProfile]],
    *,
    unused: Collection[str],
    optional: Mapping[str, Collection[str]] | None = None,
    fitted: bool = True,
) -> list[Finding]:
    """What is wrong with the features of the rows that train.

    Args:
        sides: the profiles of "source", where there is one, and "train".
        unused: features that no ranker of the run uses.
        optional: per side those that a run can do without there, although some ranker meets them.
        fitted: whether an encoder is fitted on the rows. Where one is given they need no value.
    """
    features = {
        name: {side: of[name] for side, of in sides.items() if name in of and of[name].rows}
        for name, here in sides["train"].items()
        if here.kind in FEATURE_KINDS and name not in unused
    }
    spared = {side: of if not fitted else (optional or {}).get(side, ()) for side, of in sides.items()}
    return [
        finding
        for name, of in features.items()
        for finding in (*_of_absence(name, of, spared), *_of_column(name, of), *_of_types(name, of))
    ]


def _of_absence(name: str, of: Mapping[str, ColumnProfile], spared: Mapping[str, Collection[str]]) -> Iterator[Finding]:
    empty = [side for side, profile in of.items() if profile.is_empty]
    if of["train"].privileged:
        return
    if wanted := [SIDES[side] for side in empty if name not in spared[side]]:
        fix = "leave it out (of the schema, or by drop of both encoders); privileged if the source's alone"
        rule = f"a feature needs a value in some row, got {name!r} missing in all of {' and '.join(wanted)}"
        yield Finding("error", "columns", f"{rule}: {fix}")
    for side in empty:
        if name in spared[side]:
            yield Finding("warning", "columns", f"{name} is missing in all of {SIDES[side]}: {ABSENT[side]}")


def _of_column(name: str, of: Mapping[str, ColumnProfile]) -> Iterator[Finding]:
    constant = [SIDES[side] for side, profile in of.items() if profile.is_constant]
    own = [SIDES[side] for side, profile in of.items() if _is_row_id(profile)]
    if constant:
        yield Finding("warning", "columns", f"{name} is the same in all of {' and '.join(constant)}")
    if own:
        words = f"{name} is another in each of {' and '.join(own)}: nothing can be learnt of it"
        yield Finding("warning", "columns", words)


def _of_types(name: str, of: Mapping[str, ColumnProfile]) -> Iterator[Finding]:
    """What would stop a run once the teacher, trained on the source, meets the target."""
    here, there = of["train"], of.get("source")
    if there is None:
        return
    if here.dim != there.dim:
        rule = f"vectors of a column must have one length, got {there.dim} in the source and {here.dim} in the target"
        yield Finding("error", "columns", f"{rule}, in {name!r}")
    if here.counts is not None and there.counts is not None and "int" in there.type:  # text takes any id
        try:
            here.counts.values.cast(pa.int64())
        except pa.ArrowInvalid as error:
            rule = f"ids of a column must be of one type, got {there.type} in the source's {name!r} and {here.type} in"
            yield Finding("error", "columns", f"{rule} the target's ({error}): make both text")


def label_findings(rates: Mapping[str, float]) -> list[Finding]:
    """Whether the rows that judge have other label rates than those that train.

    Args:
        rates: per part the share of labels that are 1.
    """
    found = []
    for part in ("valid", "test"):
        one, other = (min(max(rates.get(p, 0.5), 1e-9), 1 - 1e-9) for p in ("train", part))
        apart = abs(math.log(one / (1 - one)) - math.log(other / (1 - other)))
        if {"train", part} <= set(rates) and apart >= ODDS[0]:
            level: Level = "warning" if apart >= ODDS[1] else "note"
            words = f"{share_of(one, 1)} of the training labels are 1, of the {PARTS[part]} labels {share_of(other, 1)}"
            found.append(Finding(level, "columns", words))
    return found


def _is_row_id(profile: ColumnProfile) -> bool:
    return profile.kind == "categorical" and profile.rows > FEW and profile.distinct == profile.rows
