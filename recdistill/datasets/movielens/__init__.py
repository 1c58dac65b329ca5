"""MovieLens (Harper & Konstan 2015) in each official layout: ratings as clicks or as grades, two domains told apart
by a column, a genre or time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recdistill.datasets.movielens.layouts import LAYOUTS, detect
from recdistill.domains import source_and_target
from recdistill.errors import DataError, UsageError
from recdistill.tables import Table

OFFICIAL_COUNTS = {
    "ml-100k": {"ratings": 100_000, "users": 943, "movies": 1_682},
    "ml-1m": {"ratings": 1_000_209, "users": 6_040, "movies": 3_883},
    "ml-latest-small": {"ratings": 100_836, "users": 610, "movies": 9_742},
    "ml-25m": {"ratings": 25_000_095, "users": 162_541, "movies": 62_423},
    "ml-32m": {"ratings": 32_000_204, "users": 200_948, "movies": 87_585},
}
TASKS = ("click", "rating")


def load(
    root: Path | str,
    *,
    task: Literal["click", "rating"] = "click",
    click_at: float = 4,
    domain: str = "gender",
    source: str | Sequence[Any] | None = None,
    target: str | Sequence[Any] | None = None,
    at: float | None = None,
    disjoint: Sequence[str] = ("rows",),
) -> tuple[Table, Table]:
    """Source and target domain.

    Args:
        root: the folder with the files of ml-1m, of ml-100k, or `ratings.csv` and `movies.csv` (ml-latest and later).
        task: "click": whether a rating is at least `click_at`; "rating": the rating itself, one class a grade.
        click_at: in stars.
        domain: the column that tells the domains apart, e.g. "gender"; it is no feature then. "genres": by whether a
            movie has one genre; the genres stay a feature. "time": the source is what came first.
        source, target: the values of each side; the side without is every other row. By gender, women's ratings are the
            target where neither is named.
        at: with domain "time" alone, the share of the ratings that came first; by default 0.6.
        disjoint: what must not be in both: "rows", "user", "item".

    Raises:
        UsageError: the files have no such column, or its rule cannot take the values.
        DataError: a file is missing or malformed, or what must be disjoint is shared.
    """
    if domain == "gender" and source is None and target is None:
        target = "F"
    table = read(root, task=task, click_at=click_at)
    return source_and_target(table, domain, source=source, target=target, at=at, disjoint=disjoint)


def read(root: Path | str, *, task: Literal["click", "rating"] = "click", click_at: float = 4) -> Table:
    """All ratings, joined with users and movies; the row id is the position in the ratings file.

    Raises:
        UsageError: the task is not known, or no rating or every one is a click.
        DataError: a file is missing or malformed, a rating is none of the grades, or is of an unknown user or movie.
    """
    if task not in TASKS:
        raise UsageError(f"task must be one of {TASKS}, got {task!r}")
    root = Path(root)
    layout = detect(root)
    if task == "click":
        _require_between(click_at, layout.grades)
    files = layout.read(root)
    rows = files["ratings"]
    wrong = pc.index(pc.is_in(rows["rating"].cast(pa.float64()), pa.array(layout.grades, pa.float64())), False).as_py()
    if wrong >= 0:
        low, high, step = layout.grades[0], layout.grades[-1], layout.grades[1] - layout.grades[0]
        words = f"{low:g} to {high:g} in steps of {step:g}"
        raise DataError(f"ratings must be {words}, got {rows['rating'][wrong]} in row {wrong + 1} of {root}")
    for kind, key in (("users", "user_id"), ("movies", "movie_id")):
        if kind in files:
            rows = _joined(rows, _described(files[kind]), key, root)
    schema = replace(layout.schema, time="time" if "time" in rows.column_names else None)
    if task == "rating":
        schema = replace(schema, label=None, grades=layout.grades)
    else:
        rows = rows.append_column("click", pc.greater_equal(rows["rating"], click_at).cast(pa.int8()))
    return Table(rows.append_column("row_id", pa.array(np.arange(len(rows)))), schema)


def inputs(root: Path | str) -> list[Path]:
    """The files that `read` reads.

    Raises:
        DataError: as in `detect`.
    """
    layout = detect(Path(root))
    # Of names joined by "|" the first that is there is read.
    alternatives = [[Path(root) / name for name in names.split("|")] for names in layout.files]
    return [next(path for path in paths if path.is_file()) for paths in alternatives]


def _require_between(click_at: float, grades: Sequence[float]) -> None:
    low, high = grades[0], grades[-1]
    if isinstance(click_at, bool) or not isinstance(click_at, int | float) or not low < click_at <= high:
        raise UsageError(f"click_at must be a rating above {low:g} and at most {high:g}, got {click_at!r}")


def _described(table: pa.Table) -> pa.Table:
    """Users with the first character of their zip code, movies with the last year in their title (0 without one)."""
    if "zip" in table.column_names:
        return table.append_column("zip_region", pc.utf8_slice_codeunits(table["zip"], 0, 1)).drop_columns("zip")
    year = pc.struct_field(pc.extract_regex(table["title"], r".*\((?P<year>\d{4})\)"), "year")
    return table.append_column("year", pc.fill_null(year.cast(pa.int64()), 0)).drop_columns("title")


def _joined(ratings: pa.Table, known: pa.Table, key: str, root: Path) -> pa.Table:
    """Ratings with the columns of the users or movies they speak of."""
    if twice := len(known) - pc.count_distinct(known[key]).as_py():
        raise DataError(f"every {key} is described once, got {twice} repeated in {root}")
    place = pc.index_in(ratings[key].cast(known[key].type), value_set=known[key])
    if place.null_count:
        stranger = ratings[key].filter(pc.is_null(place))[0]
        raise DataError(f"every rating needs a known {key}, got {stranger} in {root}")
    for name in known.column_names:
        if name != key:
            ratings = ratings.append_column(name, known[name].take(place))
    return ratings


__all__ = ["LAYOUTS", "OFFICIAL_COUNTS", "inputs", "load", "read"]
