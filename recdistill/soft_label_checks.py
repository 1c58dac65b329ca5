"""What soft labels are refused for: they are not whole, or were made for other rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from recdistill.errors import DataError

Array = np.ndarray[Any, Any]
Made = tuple[tuple[float, ...], str]  # grades and fingerprint of rows


def require_whole(row_ids: Array, logits: Array, grades: Sequence[float], hidden: Array | None) -> None:
    """Refuse what is not one finite logit, or one per grade, and hidden state, for each row.

    Args:
        row_ids: (rows,).
        logits: (rows,), or (rows, classes) where there are grades.
        grades: the rating of each class; none for clicks.
        hidden: (rows, width) or None.

    Raises:
        DataError: says what is missing.
    """
    if logits.shape != (len(row_ids), len(grades))[: 2 if grades else 1]:
        needed = f"{len(grades)} logits per row, one per grade" if grades else "one logit per row"
        raise DataError(f"soft labels need {needed}, got {logits.shape} for {len(row_ids)} rows")
    if not np.isfinite(logits).all():
        raise DataError(f"teacher logits must be finite, got {int((~np.isfinite(logits)).sum())} that are not")
    if hidden is None:
        return
    if hidden.ndim != 2 or len(hidden) != len(row_ids):
        raise DataError(f"soft labels need one hidden state per row, got {hidden.shape} for {len(row_ids)} rows")
    if not np.isfinite(hidden).all():
        raise DataError(f"hidden states must be finite, got {int((~np.isfinite(hidden)).sum())} numbers that are not")


def require_made_for(made: Made, wanted: Made) -> None:
    """Refuse soft labels of other rows.

    Args:
        made: the grades and the fingerprint of the rows that they were made for.
        wanted: those of the rows that they are to be joined to.

    Raises:
        DataError: they differ; says in what.
    """
    (grades, rows), (learnt, given) = made, wanted
    if learnt != grades:
        words = [f"grades {list(each)}" if each else "clicks" for each in (grades, learnt)]
        raise DataError(f"soft labels were made for {words[0]}, got rows with {words[1]}")
    if given != rows:
        raise DataError(f"soft labels were made for rows {rows[:12]}, got rows {given[:12]}")
