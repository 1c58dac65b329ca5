"""What is wrong or risky in prepared rows, alone and beside the table whose encoder they are encoded by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from recdistill.artefacts import read_json
from recdistill.columns import as_arrow, as_numpy, single
from recdistill.inspection import (
    ColumnProfile,
    Drift,
    Finding,
    Overlap,
    answer_findings,
    column_findings,
    drift_findings,
    drifts,
    gravest_first,
    label_findings,
    overlap_findings,
    separation_findings,
    single_column_auc,
)
from recdistill.part_files import SPLITS
from recdistill.preparation.measuring import SPLIT, Measurements
from recdistill.preparation.staging import contents
from recdistill.prepared_table import PreparedTable
from recdistill.schema import Schema
from recdistill.tables import Table


@dataclass(frozen=True)
class Inspected:
    """What was found.

    Args:
        findings: the gravest first.
        overlap: of every id column with the table whose encoder was used; none without one.
        drift: of every column from that table, the furthest apart first.
    """

    findings: tuple[Finding, ...]
    overlap: tuple[Overlap, ...]
    drift: tuple[Drift, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "findings": [vars(finding) for finding in self.findings],
            "overlap": {one.column: one.to_dict() for one in self.overlap},
            "drift": [vars(one) for one in self.drift],
        }


def of_sample(found: Measurements, schema: Schema, by: str) -> list[Finding]:
    """Single columns that tell the label, and rows out of order, among the rows of the sample.

    Args:
        found: what was measured.
        schema: of the rows.
        by: how they were split.
    """
    parts = _parts(found, schema)
    apart = separation_findings(None, parts, by=by) if len(parts) == len(SPLITS) else []
    if "train" not in parts:
        return apart
    return [*apart, *answer_findings({"train": parts["train"]}, {"train": single_column_auc(parts["train"])})]


def inspected(
    found: Measurements,
    counts: Mapping[str, Any],
    schema: Schema,
    *,
    fitted: bool,
    like: PreparedTable | None,
    told: Sequence[Finding],
) -> Inspected:
    """Look for what is wrong or risky; nothing is refused here, see `refuse`.

    Args:
        found: what was measured.
        counts: per split, see `counted`.
        schema: of the rows.
        fitted: whether their encoder was fitted on them.
        like: the table whose encoder they are encoded by, where one was given.
        told: what was found already.
    """
    profiles = _profiles(found.statistics, schema)
    told = [
        *told,
        *column_findings({"train": profiles}, unused=(), fitted=fitted),
        *(label_findings(_rates(counts)) if schema.classes == 1 else ()),
        *_hashed(found.statistics),
    ]
    shared: list[Overlap] = []
    apart: list[Drift] = []
    if like is not None:
        own = {name for name in (schema.user, schema.item) if name is not None}
        shared = [_overlap(name, facts) for name, facts in found.statistics.items() if "seen" in facts]
        if (like.path / "statistics.json").is_file():
            there = _profiles(read_json(like.path / "statistics.json"), like.schema)
            apart = drifts(there, profiles, own=own, shared={one.column: one for one in shared})
        else:  # another writer need not measure
            told.append(Finding("note", "drift", f"{like.path} has no statistics.json: drift from it is not known"))
        nothing = [one.column for one in shared if one.shares_nothing]
        told += overlap_findings(
            shared, nothing, [n for n, p in profiles.items() if not p.is_empty], own=own, setting="keep"
        )
        told += _not_compared(schema, like, profiles)
        told += drift_findings(apart)
    return Inspected(gravest_first(told), tuple(shared), tuple(apart))


def _not_compared(schema: Schema, like: PreparedTable, profiles: Mapping[str, ColumnProfile]) -> list[Finding]:
    """What could not be looked at beside the other table, and what its encoder will not find."""
    told = []
    if (theirs := like.facts.get("contents")) != list(contents(schema)):
        differ = sorted(set(theirs or ()) ^ set(contents(schema)))
        words = f"rows were not compared with those of {like.path}, which has other columns ({', '.join(differ)})"
        told.append(Finding("warning", "leakage", words))
    for name in (schema.user, schema.item):
        if name is not None and name not in profiles:
            words = f"{name} is no feature: how many of them are in {like.path} was not looked at"
            told.append(Finding("note", "overlap", words))
    for name, profile in profiles.items():
        if profile.is_empty and profile.privileged:
            words = f"{name} is privileged and missing in all rows: whoever learnt from it scores as if it were unseen"
            told.append(Finding("warning", "columns", words))
    return told


def _profiles(statistics: Mapping[str, Any], schema: Schema) -> dict[str, ColumnProfile]:
    return {n: ColumnProfile.from_dict(f, privileged=n in schema.privileged) for n, f in statistics.items()}


def _parts(found: Measurements, schema: Schema) -> dict[str, Table]:
    """The sample's rows by split, for those that have any."""
    lacking = [name for name in schema.columns if name not in found.sample.column_names]
    absent: dict[str, Any] = {role: None for role in ("domain", "truth", "score") if getattr(schema, role) in lacking}
    plain = replace(schema.without(*lacking), **absent)
    codes = as_numpy(single(found.sample, SPLIT))
    rows = {split: found.sample.filter(as_arrow(codes == code)) for code, split in enumerate(SPLITS)}
    return {split: Table(own, plain) for split, own in rows.items() if own.num_rows}


def _rates(counts: Mapping[str, Any]) -> dict[str, float]:
    """Per split the share of its labels that are 1."""
    labels = {split: own["labels"] for split, own in counts.items() if own["rows"]}
    known = {split: of.get("0", 0) + of.get("1", 0) for split, of in labels.items()}
    return {split: labels[split].get("1", 0) / total for split, total in known.items() if total}


def _hashed(statistics: Mapping[str, Any]) -> list[Finding]:
    return [
        Finding("note", "columns", f"{n} has {f['distinct']:,} values and is hashed to {f['beyond']:,} buckets")
        for n, f in statistics.items()
        if "beyond" in f
    ]


def _overlap(name: str, facts: Mapping[str, Any]) -> Overlap:
    seen = facts["seen"]
    return Overlap(name, facts["values"], seen["values"], facts["distinct"], seen["distinct"], seen["respelt"])
