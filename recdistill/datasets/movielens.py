"""MovieLens-1M (Harper & Konstan 2015): ratings as clicks, two markets told apart by a column."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from recdistill.errors import DataError
from recdistill.schema import Schema
from recdistill.splits import by_time, by_value
from recdistill.tables import Table

OFFICIAL_COUNTS = {"ratings": 1_000_209, "users": 6_040, "movies": 3_883}
ORIGIN = "https://grouplens.org/datasets/movielens/1m/"
SCHEMA = Schema(
    label="click",
    rating="rating",
    categorical=("user_id", "movie_id", "gender", "age", "occupation", "zip_region", "year"),
    multi=("genres",),
    user="user_id",
    item="movie_id",
)


def load(
    root: Path | str,
    *,
    click_at: int = 4,
    domain: str = "gender",
    source: Sequence[str] = ("M",),
    target: Sequence[str] = ("F",),
    at: float = 0.6,
    disjoint: Sequence[str] = ("rows", "user"),
) -> tuple[Table, Table]:
    """Source and target market.

    Args:
        root: the folder with `users.dat`, `movies.dat`, and `ratings.dat` or `ratings.parquet`.
        click_at: a rating of at least this is a click.
        domain: the column that tells the markets apart; it is no feature then. "time": the source is what came first.
        source, target: its values on each side.
        at: with domain "time", the share of the ratings that came first.
        disjoint: what must not be in both: "rows", "user", "item".

    Raises:
        DataError: a file is missing or malformed.
    """
    table = read(root, click_at=click_at)
    if domain == "time":
        return by_time(table.with_schema(replace(table.schema, domain=None)), at=at, disjoint=disjoint)
    apart = table.with_schema(replace(table.schema.without(domain), domain=domain))
    return by_value(apart, domain, source=source, target=target, disjoint=disjoint)


def read(root: Path | str, *, click_at: int = 4) -> Table:
    """All ratings, joined with users and movies; the row id is the position in the ratings file.

    Raises:
        DataError: a file is missing or malformed, a rating is outside 1 to 5, or speaks of an unknown user or movie.
    """
    root = Path(root)
    users = _dat(root, "users.dat", ["user_id", "gender", "age", "occupation", "zip"])
    movies = _dat(root, "movies.dat", ["movie_id", "title", "genres"])
    ratings = _ratings(root)
    wrong = ratings.loc[~ratings["rating"].isin([1, 2, 3, 4, 5]), "rating"]
    if len(wrong):
        raise DataError(f"ratings must be 1 to 5, got {wrong.iloc[0]} at row {wrong.index[0] + 1} in {root}")
    users["zip_region"] = users["zip"].str[:1]
    year = movies["title"].str.extract(r"\((\d{4})\)\s*$")[0]
    movies["year"] = pd.to_numeric(year).fillna(0).astype(np.int64)
    movies["genres"] = movies["genres"].str.split("|")
    for name, known in (("user_id", users), ("movie_id", movies)):
        known[name] = pd.to_numeric(known[name])
        strangers = ratings.loc[~ratings[name].isin(known[name]), name]
        if len(strangers):
            raise DataError(f"every rating needs a known {name}, got {strangers.iloc[0]} in {root}")
    rows = ratings.merge(users.drop(columns="zip"), on="user_id", how="left", validate="many_to_one")
    rows = rows.merge(movies.drop(columns="title"), on="movie_id", how="left", validate="many_to_one")
    rows["click"] = (rows["rating"] >= click_at).astype(np.int8)
    rows["row_id"] = np.arange(len(rows))
    return Table.from_pandas(rows, replace(SCHEMA, time="time" if "time" in rows else None))


def _ratings(root: Path) -> pd.DataFrame:
    if (root / "ratings.dat").is_file():
        frame = _dat(root, "ratings.dat", ["user_id", "movie_id", "rating", "time"])
        return frame.apply(pd.to_numeric)
    if (root / "ratings.parquet").is_file():
        return pd.read_parquet(root / "ratings.parquet")[["user_id", "movie_id", "rating"]]
    raise _missing(root, "ratings.dat (or ratings.parquet)")


def _dat(root: Path, name: str, columns: list[str]) -> pd.DataFrame:
    """A `::`-separated latin-1 file, every value as text."""
    if not (root / name).is_file():
        raise _missing(root, name)
    text = (root / name).read_bytes().decode("latin-1")
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        if line.count("::") != len(columns) - 1:
            raise DataError(f"{root / name} line {number} must have {len(columns)} fields, got {line[:60]!r}")
    # The C parser wants a single-byte separator.
    stream = io.StringIO("\n".join(lines).replace("::", "\x01"))
    return pd.read_csv(stream, sep="\x01", names=columns, dtype=str, quoting=3, keep_default_na=False)


def _missing(root: Path, name: str) -> DataError:
    return DataError(f"{name} is missing in {root}; unpack the archive from {ORIGIN} there")
