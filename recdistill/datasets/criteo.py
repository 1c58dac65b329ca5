"""Criteo display advertising (Kaggle 2014): real clicks, 13 counts, 26 hashed categories, in the order of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recdistill.datasets.delimited import contents, read_delimited
from recdistill.domains import source_and_target
from recdistill.errors import DataError
from recdistill.readers import CsvSettings, Quarantine, require_few, typed
from recdistill.readers import read as read_file
from recdistill.readers.numbers import from_text
from recdistill.schema import Schema
from recdistill.tables import Table

FIRST_BYTES = 1 << 12  # more than any line of theirs
FILES = ("train.txt", "train.txt.gz")
ORIGIN = "https://www.kaggle.com/c/criteo-display-ad-challenge"
NUMBERS = tuple(f"I{n}" for n in range(1, 14))
CATEGORIES = tuple(f"C{n}" for n in range(1, 27))
# Of the files of Criteo 1TB too: day_0.gz to day_23.gz.
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
    quarantine: Quarantine | None = None,
) -> tuple[Table, Table]:
    """Source and target by the values of a category.

    Args:
        root: the folder of `train.txt` or `train.txt.gz`, or that file.
        column: the category that tells the domains apart.
        source, target: its values on each side; the side without is every other row. By C14, the rows with 07d13a8f, a
            third of them, are the target where neither is named.
        disjoint: what must not be in both; there are rows only.
        drop_column: the column is no feature then.
        quarantine: what takes the wrong rows; without it the first is refused.

    Raises:
        UsageError: there is no such column or value.
        DataError: the file is missing or malformed.
    """
    if column == "C14" and source is None and target is None:
        target = "07d13a8f"
    table = read(root, quarantine=quarantine)
    return source_and_target(table, column, source=source, target=target, disjoint=disjoint, drop_column=drop_column)


def read(root: Path | str, *, quarantine: Quarantine | None = None) -> Table:
    """All rows; the row id is the position in the file. Missing values stay missing.

    Args:
        root: the folder of `train.txt` or `train.txt.gz`, or that file.
        quarantine: what takes the wrong rows, which keep their positions; without it the first is refused.

    Raises:
        DataError: the file is missing, a line has not 40 fields, a label is not 0 or 1, or a count is no integer; with
            a quarantine, more than a tenth of the lines are wrong.
    """
    path = _file(Path(root))
    types = {"click": pa.int8(), **dict.fromkeys(NUMBERS, pa.int32()), **dict.fromkeys(CATEGORIES, pa.string())}
    if quarantine is not None:
        return Table(_sound(path, quarantine, types), SCHEMA)
    rows = read_delimited(path, types, separator="\t", missing=True)
    wrong = pc.index(pc.is_in(rows["click"], pa.array([0, 1], pa.int8())), False).as_py()
    if wrong >= 0:
        raise DataError(f"labels must be 0 or 1, got {rows['click'][wrong].as_py()} in {path} row {wrong + 1}")
    return Table(rows.append_column("row_id", pa.array(np.arange(len(rows)))), SCHEMA)


def _sound(path: Path, quarantine: Quarantine, types: Mapping[str, pa.DataType]) -> pa.Table:
    """The rows that break no rule."""
    rows = read_file(path, LAYOUT, quarantine=quarantine)
    labels = rows.column("click")
    labels.refuse(pc.invert(pc.is_in(labels.values, pa.array(["0", "1"]))), "labels must be 0 or 1")
    for name in NUMBERS:
        from_text(rows.column(name), types[name], "counts must be whole numbers below 2^31")
    sound = typed(rows, SCHEMA, LAYOUT, first=0)
    require_few(quarantine.counts([path]), len(sound), path)
    return sound.cast(pa.schema([(name, types.get(name, pa.int64())) for name in sound.column_names]))


def has_layout(path: Path) -> bool:
    """Whether a file's first line is one of Criteo's: a label, 13 whole numbers and 26 categories between tabs."""
    try:
        with pa.input_stream(str(path)) as stream:
            line = stream.read(FIRST_BYTES).split(b"\n")[0]
    except OSError:
        return False
    fields = line.decode("latin-1").rstrip("\r").split("\t")
    numbers = [number for number in fields[1 : 1 + len(NUMBERS)] if number]
    whole = all(number.lstrip("-").isdigit() for number in numbers)
    return len(fields) == len(LAYOUT.names) and fields[0] in ("0", "1") and whole


def inputs(root: Path | str) -> list[Path]:
    """The file that `read` reads."""
    return [_file(Path(root))]


def _file(root: Path) -> Path:
    """The file itself, or the first of the official names in a folder."""
    if root.is_file():
        return root
    for name in FILES:
        if (root / name).is_file():
            return root / name
    raise DataError(f"{root} must hold {' or '.join(FILES)}, got {contents(root)}; see {ORIGIN}")
