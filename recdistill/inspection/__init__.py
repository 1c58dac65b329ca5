"""What is wrong or risky in the rows of a pair: overlap, drift, leakage, columns that teach nothing."""

from __future__ import annotations

from recdistill.inspection.answers import filled_after, single_column_auc
from recdistill.inspection.drift import Drift, drifts
from recdistill.inspection.findings import Finding, refuse
from recdistill.inspection.overlap import Overlap, overlap, overlaps, unshared
from recdistill.inspection.pair import Inspection, inspect
from recdistill.inspection.profiles import ColumnProfile, Numbers, profile, profiles

__all__ = [
    "ColumnProfile",
    "Drift",
    "Finding",
    "Inspection",
    "Numbers",
    "Overlap",
    "drifts",
    "filled_after",
    "inspect",
    "overlap",
    "overlaps",
    "profile",
    "profiles",
    "refuse",
    "single_column_auc",
    "unshared",
]
