"""The official layouts of MovieLens files: which there are, which a folder has, and what they hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recdistill.datasets.delimited import contents, read_delimited
from recdistill.errors import DataError
from recdistill.schema import Schema

ORIGIN = "https://grouplens.org/datasets/movielens/"
TEXT, ID, STARS = pa.string(), pa.int64(), pa.float64()
# The flags of u.item, in its order.
GENRES_100K = [
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
]


@dataclass(frozen=True)
class Layout:
    """A set of files.

    Args:
        files: what it needs; of names joined by "|" the first that is there.
        schema: of its ratings as clicks, the time aside.
        grades: every rating that there can be.
        read: per kind ("ratings", "movies", and "users" where there are any) the columns, from a folder.
    """

    files: tuple[str, ...]
    schema: Schema
    grades: tuple[float, ...]
    read: Callable[[Path], dict[str, pa.Table]]

    def missing(self, root: Path) -> list[str]:
        """The files that a folder lacks."""
        return [names for names in self.files if not any((root / name).is_file() for name in names.split("|"))]

    def present(self, root: Path) -> list[str]:
        """The files that a folder has."""
        return [name for names in self.files for name in names.split("|") if (root / name).is_file()]


def detect(root: Path) -> Layout:
    """The layout of a folder's files.

    Raises:
        DataError: the files are of none, of several, or not all of one; says what was looked for and what was found.
    """
    present = {name: found for name, layout in LAYOUTS.items() if (found := layout.present(root))}
    if not present:
        wanted = "; ".join(f"{name}: {', '.join(layout.files)}" for name, layout in LAYOUTS.items())
        raise DataError(
            f"{root} must hold the files of one MovieLens layout ({wanted}), got {contents(root)}; "
            f"unpack an archive from {ORIGIN} there, or see `recdistill download --help`"
        )
    if len(present) > 1:
        raise DataError(f"{root} must hold the files of one MovieLens layout, got several: {present}")
    name, found = next(iter(present.items()))
    if lacking := LAYOUTS[name].missing(root):
        raise DataError(f"{', '.join(lacking)} is missing in {root}, which has {', '.join(found)} of the layout {name}")
    return LAYOUTS[name]


def _read_1m(root: Path) -> dict[str, pa.Table]:
    users = {"user_id": ID, "gender": TEXT, "age": TEXT, "occupation": TEXT, "zip": TEXT}
    movies = {"movie_id": ID, "title": TEXT, "genres": TEXT}
    return {
        "users": read_delimited(root / "users.dat", users, separator="::"),
        "movies": _with_genres(read_delimited(root / "movies.dat", movies, separator="::")),
        "ratings": _ratings_1m(root),
    }


def _ratings_1m(root: Path) -> pa.Table:
    if (root / "ratings.dat").is_file():
        types = {"user_id": ID, "movie_id": ID, "rating": ID, "time": ID}
        return read_delimited(root / "ratings.dat", types, separator="::")
    try:
        return pq.read_table(root / "ratings.parquet").select(["user_id", "movie_id", "rating"])
    except (pa.ArrowInvalid, KeyError) as error:
        raise DataError(f"{root / 'ratings.parquet'} must have user_id, movie_id and rating: {error}") from None


def _read_100k(root: Path) -> dict[str, pa.Table]:
    users = {"user_id": ID, "age": ID, "gender": TEXT, "occupation": TEXT, "zip": TEXT}
    movies = {"movie_id": ID, "title": TEXT, "released": TEXT, "released_on_video": TEXT, "address": TEXT}
    movies |= dict.fromkeys(GENRES_100K, ID)
    ratings = {"user_id": ID, "movie_id": ID, "rating": ID, "time": ID}
    films = read_delimited(root / "u.item", movies, separator="|")
    flags = zip(*(films[genre].to_pylist() for genre in GENRES_100K), strict=True)
    genres = [[genre for genre, flag in zip(GENRES_100K, row, strict=True) if flag] for row in flags]
    return {
        "users": read_delimited(root / "u.user", users, separator="|"),
        "movies": films.select(["movie_id", "title"]).append_column("genres", pa.array(genres, pa.list_(TEXT))),
        "ratings": read_delimited(root / "u.data", ratings, separator="\t"),
    }


def _read_csv(root: Path) -> dict[str, pa.Table]:
    ratings = {"userId": ID, "movieId": ID, "rating": STARS, "timestamp": ID}
    movies = {"movieId": ID, "title": TEXT, "genres": TEXT}
    found = read_delimited(root / "ratings.csv", ratings, separator=",", header=True)
    films = read_delimited(root / "movies.csv", movies, separator=",", header=True)
    return {
        "movies": _with_genres(films.rename_columns(["movie_id", "title", "genres"])),
        "ratings": found.rename_columns(["user_id", "movie_id", "rating", "time"]),
    }


def _with_genres(movies: pa.Table) -> pa.Table:
    place = movies.column_names.index("genres")
    return movies.set_column(place, "genres", pc.split_pattern(movies["genres"], "|"))


_FILM = Schema(
    label="click",
    rating="rating",
    categorical=("user_id", "movie_id", "year"),
    multi=("genres",),
    user="user_id",
    item="movie_id",
)
_PERSON = ("gender", "age", "occupation", "zip_region")
LAYOUTS = {
    "ml-1m": Layout(
        ("users.dat", "movies.dat", "ratings.dat|ratings.parquet"),
        replace(_FILM, categorical=("user_id", "movie_id", *_PERSON, "year")),
        (1, 2, 3, 4, 5),
        _read_1m,
    ),
    "ml-100k": Layout(
        ("u.user", "u.item", "u.data"),
        replace(
            _FILM, categorical=("user_id", "movie_id", "gender", "occupation", "zip_region", "year"), number=("age",)
        ),
        (1, 2, 3, 4, 5),
        _read_100k,
    ),
    "csv": Layout(("ratings.csv", "movies.csv"), _FILM, tuple(stars / 2 for stars in range(1, 11)), _read_csv),
}
