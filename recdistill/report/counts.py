"""How many rows, labels and positives a table has."""

from __future__ import annotations

import numpy as np

from recdistill.tables import Table


def counted(table: Table, *, labels: bool = True) -> dict[str, int]:
    """Rows, labelled rows, positives, and distinct users and items where the schema knows them.

    Args:
        table: the rows.
        labels: whether its labels may be read.
    """
    counts = {"rows": len(table)}
    if labels:
        counts |= {"labelled": int(table.labelled.sum()), "positives": int(np.nansum(table.labels))}
    for role in ("user", "item"):
        name = getattr(table.schema, role)
        if name is not None:
            counts[f"{role}s"] = len(np.unique(table.numpy(name)))
    return counts


def counted_parts(tables: dict[str, Table]) -> dict[str, dict[str, int]]:
    """The counts of a run's parts; training and validation labels are those of no share yet, so they are not read."""
    return {part: counted(table, labels=part not in ("train", "valid")) for part, table in tables.items()}
