"""How many rows, labels and positives a table has."""

from __future__ import annotations

import numpy as np

from recdistill.tables import Table


def counted(table: Table) -> dict[str, int]:
    """Rows, labelled rows, positives, and distinct users and items where the schema knows them."""
    counts = {"rows": len(table), "labelled": int(table.labelled.sum()), "positives": int(np.nansum(table.labels))}
    for role in ("user", "item"):
        name = getattr(table.schema, role)
        if name is not None:
            counts[f"{role}s"] = len(np.unique(table.numpy(name)))
    return counts
