"""Criteo display advertising (Kaggle 2014): real clicks, 13 counts, 26 hashed categories, in the order of time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recdistill.datasets.delimited import contents, read_delimited
from recdistill.domains import source_and_target
from recdistill.errors import DataError
from recdistill.readers import CsvSettings
from recdistill.schema import Schema
from recdistill.tables import Table

FILES = ("train.txt", "train.txt.gz")
ORIGIN = "https://www.kaggle.com/c/criteo-display-ad-challenge"
NUMBERS = tuple(f"I{n}" for n in range(1, 14))
CATEGORIES = tuple(f"C{n}" for n in range(1, 27))
LAYOUT = CsvSettings(delimiter="\t", names=("click", *NUMBERS, *CATEGORIES), quoted=False)
SCHEMA = Schema(label="click", categorical=CATEGORIES, number=NUMBERS)


def load(
    root: Path | str,
    *,
    column: str = "C14",
    source: str | Sequence[Any] | None = None,
    target: str | Sequence[Any] | None = None,
    disjoint: Sequence[str] = ("rows",),
    drop_column: bool = True,
) -> tuple[Table, Table]:
    """Source and target by the values of a category.

    Args:
        root: the folder of `train.txt` or `train.txt.gz`, or that file.
        column: the category that tells the domains apart.
        source, target: its values on each side; the side without is every other row. By C14, the rows with 07d13a8f, a
            third of them, are the target where neither is named.
        disjoint: what must not be in both; there are rows only.
        drop_column: the column is no feature then.

    Raises:
        UsageError: there is no such column or value.
        DataError: the file is missing or malformed.
    """
    if column == "C14" and source is None and target is None:
        target = "07d13a8f"
    return source_and_target(
        read(root), column, source=source, target=target, disjoint=disjoint, drop_column=drop_column
    )


def read(root: Path | str) -> Table:
    """All rows; the row id is the position in the file. Missing values stay missing.

    Raises:
        DataError: the file is missing, a line has not 40 fields, a label is not 0 or 1, or a count is no integer.
    """
    path = _file(Path(root))
    types = {"click": pa.int8(), **dict.fromkeys(NUMBERS, pa.int32()), **dict.fromkeys(CATEGORIES, pa.string())}
    rows = read_delimited(path, types, separator="\t", missing=True)
    wrong = pc.index(pc.is_in(rows["click"], pa.array([0, 1], pa.int8())), False).as_py()
    if wrong >= 0:
        raise DataError(f"labels must be 0 or 1, got {rows['click'][wrong].as_py()} in {path} row {wrong + 1}")
    return Table(rows.append_column("row_id", pa.array(np.arange(len(rows)))), SCHEMA)


def _file(root: Path) -> Path:
    """The file itself, or the first of the official names in a folder."""
    if root.is_file():
        return root
    for name in FILES:
        if (root / name).is_file():
            return root / name
    raise DataError(f"{root} must hold {' or '.join(FILES)}, got {contents(root)}; see {ORIGIN}")
