"""The inspection of a pair: everything that is looked at, put together."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from recdistill.inspection.answers import MOST_ROWS, answer_findings, single_column_auc
from recdistill.inspection.columns import column_findings, label_findings
from recdistill.inspection.drift import Drift, drift_findings, drifts
from recdistill.inspection.findings import Finding, gravest_first
from recdistill.inspection.overlap import Overlap, overlap_findings, overlaps, unshared
from recdistill.inspection.profiles import ColumnProfile, profiles
from recdistill.inspection.repeats import Repeats, repeat_findings, repeats
from recdistill.inspection.separation import separation_findings
from recdistill.tables import Table, concat


@dataclass(frozen=True)
class Inspection:
    """What was found in the rows of a run.

    Args:
        profiles: of the columns of "source", where there is one, and "train".
        overlap: of every id column, over all of the target's rows.
        drift: of every column that both sides have, the furthest apart first.
        repeats: rows that are there twice.
        aucs: per side and feature how well it tells the labels by itself.
        label_rates: per part the share of labels that are 1, for ratings the mean class.
        findings: the gravest first.
    """

    profiles: Mapping[str, Mapping[str, ColumnProfile]]
    overlap: tuple[Overlap, ...]
    drift: tuple[Drift, ...]
    repeats: tuple[Repeats, ...]
    aucs: Mapping[str, Mapping[str, float]]
    label_rates: Mapping[str, float]
    findings: tuple[Finding, ...]

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON; of ids no counts."""
        return {
            "format": 1,
            "findings": [vars(finding) for finding in self.findings],
            "overlap": {one.column: one.to_dict() for one in self.overlap},
            "drift": [vars(one) for one in self.drift],
            "repeats": [one.to_dict() for one in self.repeats],
            "aucs": {side: dict(of) for side, of in self.aucs.items()},
            "auc_rows_at_most": MOST_ROWS,
            "label_rates": dict(self.label_rates),
            "columns": {side: {name: one.to_dict() for name, one in of.items()} for side, of in self.profiles.items()},
        }


def inspect(
    source: Table | None,
    parts: Mapping[str, Table],
    *,
    by: str,
    unused: Collection[str] = (),
    optional: Mapping[str, Collection[str]] | None = None,
    unshared_ids: str = "keep",
) -> Inspection:
    """Look for what is wrong or risky; nothing is refused here, see `refuse`.

    Args:
        source: its rows, where there are any.
        parts: the target's "train", "valid" and "test".
        by: how they were split, as in `recdistill.splits.split`.
        unused: features that no ranker of the run uses.
        optional: per side those that may be missing in all of its rows; see `column_findings`.
        unshared_ids: `teacher.unshared`, or "none" where no model is the teacher.
    """
    train = parts["train"]
    sides = {"train": train} if source is None else {"source": source, "train": train}
    described = {side: profiles(table) for side, table in sides.items()}
    aucs = {side: single_column_auc(table) for side, table in sides.items()}
    twice = repeats(source, parts)
    rates = {part: float(np.nanmean(of.labels)) for part, of in (sides | dict(parts)).items() if of.labelled.any()}
    found = [
        *column_findings(described, unused=unused, optional=optional),
        *(label_findings(rates) if train.schema.classes == 1 else ()),
        *repeat_findings(twice),
        *separation_findings(source, parts, by=by),
        *answer_findings(sides, aucs),
    ]
    shared: list[Overlap] = []
    apart: list[Drift] = []
    if source is not None:
        shared = overlaps(described["source"], profiles(concat(parts.values())))
        own = {name for name in (train.schema.user, train.schema.item) if name is not None}
        apart = drifts(described["source"], described["train"], own=own)
        features = train.schema.features
        found += overlap_findings(shared, unshared(source, train), features, own=own, setting=unshared_ids)
        found += drift_findings(apart)
    return Inspection(described, tuple(shared), tuple(apart), tuple(twice), aucs, rates, gravest_first(found))
