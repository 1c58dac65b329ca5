"""How many rows, labels and positives the tables of a run have, and how much of the test rows is new."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from recdistill.tables import Table

ROLES = ("user", "item")


def counted(table: Table, *, labels: bool = True) -> dict[str, float]:
    """Rows, labelled rows, positives (of ratings their mean), and distinct users and items where the schema knows them.

    Args:
        table: the rows.
        labels: whether its labels may be read.
    """
    counts: dict[str, float] = {"rows": len(table)}
    if labels:
        counts["labelled"] = int(table.labelled.sum())
        if table.schema.classes == 1:
            counts["positives"] = int(np.nansum(table.labels))
        else:
            grades = np.asarray(table.schema.grades)
            counts["mean_rating"] = float(grades[table.labels[table.labelled].astype(int)].mean())
    for role in ROLES:
        name = getattr(table.schema, role)
        if name is not None:
            counts[f"{role}s"] = len(np.unique(table.numpy(name)))
    return counts


def counted_parts(tables: Mapping[str, Table]) -> dict[str, dict[str, float]]:
    """The counts of a run's parts; training and validation labels are those of no share yet, so they are not read."""
    return {part: counted(table, labels=part not in ("train", "valid")) for part, table in tables.items()}


def unseen_shares(tables: Mapping[str, Table]) -> dict[str, dict[str, float]]:
    """Per role the share of test rows whose user or item no row of a part has.

    Returns:
        {"user": {"train": share, "source": share, "both": share of rows new to both}, "item": …}.
    """
    shares: dict[str, dict[str, float]] = {}
    for role in ROLES:
        columns = {part: getattr(tables[part].schema, role) for part in ("test", "train", "source") if part in tables}
        if None not in columns.values():
            values = {part: tables[part].numpy(name) for part, name in columns.items()}
            tested = values.pop("test")
            new = {part: ~np.isin(tested, np.unique(known)) for part, known in values.items()}
            shares[role] = {part: float(unseen.mean()) for part, unseen in new.items()}
            shares[role]["both"] = float(np.logical_and.reduce(list(new.values())).mean())
    return shares
