"""What a rating model must beat."""

from __future__ import annotations

from typing import Any

import numpy as np

from recdistill.errors import DataError, UsageError
from recdistill.tables import Table


def item_means(train: Table, test: Table, *, strength: float = 5.0) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Each test row's item mean, shrunk towards the mean of all: (Σ r + s·μ) / (n + s) over the item's n rated rows.

    Args:
        train: rows with an item and a rating; rows without a rating do not count.
        test: rows with an item; their ratings are not read.
        strength: s, in rows. The best one is the variance of an item's ratings over that of the items' means. 0 gives
            plain means.

    Returns:
        (rows,) predicted ratings; μ for items without a rated row.

    Raises:
        UsageError: the strength is negative.
        DataError: a table has no item column, or the training rows no rating.
    """
    if not 0 <= strength < np.inf:
        raise UsageError(f"the strength of shrinkage must be 0 or more and finite, got {strength=}")
    if train.schema.rating is None or train.schema.item is None or test.schema.item is None:
        raise DataError("item means need a rating column to learn from, and an item column in both tables")
    ratings = train.numpy(train.schema.rating).astype(np.float64)
    rated = ~np.isnan(ratings)
    if not rated.any():
        raise DataError(f"item means need rated rows, got none in {len(train)} rows")
    items, of_row = np.unique(train.numpy(train.schema.item)[rated], return_inverse=True)
    overall = ratings[rated].mean()
    sums, counts = np.bincount(of_row, weights=ratings[rated]), np.bincount(of_row)
    means = (sums + strength * overall) / (counts + strength)
    wanted = test.numpy(test.schema.item)
    place = np.searchsorted(items, wanted).clip(max=len(items) - 1)
    return np.where(items[place] == wanted, means[place], overall)
