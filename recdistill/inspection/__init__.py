"""What is wrong or risky in the rows of a pair: overlap, drift, leakage, columns that teach nothing."""

from __future__ import annotations

from recdistill.inspection.answers import answer_findings, filled_after, single_column_auc
from recdistill.inspection.columns import column_findings, label_findings
from recdistill.inspection.drift import Drift, drift_findings, drifts
from recdistill.inspection.findings import Finding, gravest_first, refuse
from recdistill.inspection.overlap import Overlap, overlap, overlap_findings, overlaps, respelt, unshared
from recdistill.inspection.pair import Inspection, inspect
from recdistill.inspection.profiles import SHARES, ColumnProfile, Numbers, missing_rows, profile, profiles
from recdistill.inspection.repeats import Repeats, repeat_findings
from recdistill.inspection.separation import separation_findings

__all__ = [
    "SHARES",
    "ColumnProfile",
    "Drift",
    "Finding",
    "Inspection",
    "Numbers",
    "Overlap",
    "Repeats",
    "answer_findings",
    "column_findings",
    "drift_findings",
    "drifts",
    "filled_after",
    "gravest_first",
    "inspect",
    "label_findings",
    "missing_rows",
    "overlap",
    "overlap_findings",
    "overlaps",
    "profile",
    "profiles",
    "refuse",
    "repeat_findings",
    "respelt",
    "separation_findings",
    "single_column_auc",
    "unshared",
]
