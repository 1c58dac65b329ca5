"""Pairs of Amazon categories with the same users (Liu et al. 2020, from the reviews of McAuley et al. 2015).

There are purchases only. A click table needs rows without one, so for each purchase items are drawn that the user never
touched. The click rate is therefore 1 / (1 + negatives) by construction: it, logloss and calibration say nothing about
real traffic, and how well a ranker does depends on how the negatives are drawn.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from recdistill.datasets.delimited import contents, read_delimited
from recdistill.domains import require_disjoint
from recdistill.errors import DataError, UsageError
from recdistill.negatives import untouched
from recdistill.schema import Schema
from recdistill.streams import seed as seed_of
from recdistill.tables import Table

Array = np.ndarray[Any, Any]
FILES = ("train.txt", "test.txt")
SCHEMA = Schema(label="click", categorical=("user_id", "item_id"), user="user_id", item="item_id")
TARGET_ROWS_FROM = 1_000_000_000


def load(
    root: Path | str,
    *,
    source: str = "sport",
    target: str = "cloth",
    negatives: int = 4,
    popular: bool = False,
    of_target: bool = True,
    seed: int = 0,
) -> tuple[Table, Table]:
    """Source and target category, each purchase followed by its sampled negatives.

    Users are shared. Item ids count from 0 in each category, so an item is named after its category too, `sport:17`,
    and none is in both.

    Args:
        root: the folder with `<source>_<target>` (the source's purchases) and `<target>_<source>`.
        source, target: the categories.
        negatives: drawn for each purchase, different ones for each of a user's, from the category's items that the user
            never touched.
        popular: draw an item in proportion to its purchases; else each alike.
        of_target: whether the target has negatives too; without, it is purchases alone, and a run draws negatives for
            those whose label it keeps (`data.negatives`).
        seed: of the drawing.

    Raises:
        UsageError: there are no negatives, or the categories are the same.
        DataError: a file is missing or malformed, or a user touched too many items to draw from the others.
    """
    if negatives < 1:
        raise UsageError(f"a click table of purchases needs at least one negative for each, got {negatives=}")
    if source == target:
        raise UsageError(f"source and target are two categories, got {source!r} twice")
    tables = []
    for first, (category, other) in ((0, (source, target)), (TARGET_ROWS_FROM, (target, source))):
        user, item = purchases(Path(root), category, other)
        rng = np.random.default_rng(seed_of(seed, "negatives", category))
        count = negatives if category == source or of_target else 0
        drawn = _untouched(user, item, count, popular=popular, rng=rng)
        tables.append(_table(category, user, item, drawn, first=first))
    require_disjoint(tables[0], tables[1], on=("rows", "item"))
    return tables[0], tables[1]


def purchases(root: Path, category: str, other: str) -> tuple[Array, Array]:
    """Who bought what in a category: those of the official training file, then those of the official test file.

    Returns:
        (purchases,) user and (purchases,) item, each counted from 0.

    Raises:
        DataError: a file is missing or malformed, or a purchase is not marked 1 or occurs twice.
    """
    folder = root / f"{category}_{other}"
    if not folder.is_dir():
        raise DataError(f"{root} must hold the folders {category}_{other} and {other}_{category}, got {contents(root)}")
    types = {"user": pa.int64(), "item": pa.int64(), "bought": pa.int64()}
    rows = pa.concat_tables([read_delimited(folder / name, types, separator="\t") for name in FILES])
    user, item, bought = (rows[name].to_numpy() for name in types)
    if (bought != 1).any() or min(user.min(), item.min()) < 0:
        raise DataError(f"purchases must be a user and an item from 0 on and a 1, got another row in {folder}")
    if twice := len(user) - len(np.unique(user * (item.max() + 1) + item)):
        raise DataError(f"a user buys an item once, got {twice} purchases repeated in {folder}")
    return user, item


def inputs(root: Path | str, *, source: str = "sport", target: str = "cloth") -> list[Path]:
    """The files that `load` reads."""
    folders = [Path(root) / f"{one}_{other}" for one, other in ((source, target), (target, source))]
    return [folder / name for folder in folders for name in FILES]


def _untouched(user: Array, item: Array, negatives: int, *, popular: bool, rng: np.random.Generator) -> Array:
    """(purchases, negatives) items that the purchase's user never touched, no item twice for a user."""
    if not negatives:
        return np.empty((len(user), 0), dtype=np.int64)
    known, counts = np.unique(item, return_counts=True)
    chance, size = counts / counts.sum() if popular else None, int(item.max()) + 1
    drawn = untouched(np.repeat(user, negatives), user * size + item, known, size, rng=rng, chance=chance)
    return drawn.reshape(-1, negatives)


def _table(category: str, user: Array, item: Array, drawn: Array, *, first: int) -> Table:
    """Each purchase, then its negatives."""
    items = np.column_stack([item, drawn])
    click = np.zeros(items.shape, dtype=np.int8)
    click[:, 0] = 1
    names = pa.array([f"{category}:{number}" for number in range(item.max() + 1)])
    columns = {
        "row_id": first + np.arange(items.size),
        "user_id": np.repeat(user, items.shape[1]),
        "item_id": names.take(pa.array(items.ravel())),
        "click": click.ravel(),
    }
    return Table(pa.table(columns), SCHEMA)
