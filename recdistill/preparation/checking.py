"""What is in each split: rows, labels, unseen values; and what a split must have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from recdistill.artefacts import read_json
from recdistill.errors import DataError
from recdistill.part_files import SPLITS
from recdistill.preparation.splitting import Codes, SplitBy
from recdistill.preparation.workspace import Workspace
from recdistill.schema import Schema


def counted(workspace: Workspace, parts: int) -> dict[str, dict[str, Any]]:
    """Per split its rows, the rows of each part, its labels and unseen values, over all parts."""
    found: dict[str, dict[str, Any]] = {split: {"rows": 0, "parts": [], "labels": {}, "unseen": {}} for split in SPLITS}
    for part in range(parts):
        told = read_json(workspace.done(part))
        for split, total in found.items():
            own = told.get(split)
            total["parts"].append(own["rows"] if own else 0)
            if own:
                _add(total, own)
    return found


def require_rows(splits: Sequence[Codes], split: SplitBy) -> None:
    """Refuse a split without rows.

    Raises:
        DataError: names it.
    """
    rows = np.sum([np.bincount(codes, minlength=len(SPLITS)) for codes in splits], axis=0)
    for code, name in enumerate(SPLITS[:1] if split.by == "none" else SPLITS):
        if not rows[code]:
            got = f"got none of {rows.sum():,}; see split.by, split.valid and split.test"
            raise DataError(f"the {name} split must have rows, {got}")


def require_classes(counts: Mapping[str, Any], schema: Schema) -> None:
    """Refuse a split that no ranker can be trained on, or judged by.

    Raises:
        DataError: its labels are of one class.
    """
    for name, own in counts.items():
        labels = {label: count for label, count in own["labels"].items() if label != "missing"}
        if own["rows"] and (schema.label is not None or schema.classes > 1) and len(labels) < 2:
            got = f"{labels or 'none'} in {own['rows']:,} rows"
            raise DataError(f"the {name} split needs at least two classes among its labels, got {got}")


def unseen_shares(counts: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Per split and id feature the share of its values without an id of their own, missing ones among them."""
    return {
        split: {name: unseen / max(1, values) for name, (unseen, values) in own["unseen"].items()}
        for split, own in counts.items()
        if own["rows"]
    }


def _add(total: dict[str, Any], own: Mapping[str, Any]) -> None:
    total["rows"] += own["rows"]
    for label, count in own["labels"].items():
        total["labels"][label] = total["labels"].get(label, 0) + count
    for name, pair in own["unseen"].items():
        before = total["unseen"].get(name, [0, 0])
        total["unseen"][name] = [before[0] + pair[0], before[1] + pair[1]]
