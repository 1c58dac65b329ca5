"""MovieLens: every layout, the official counts, domains by market, genre and time, and broken files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recdistill.datasets import movielens
from recdistill.errors import DataError, UsageError

WRITTEN = {
    "ml-1m": {
        "users.dat": "1::F::25::3::48067\n2::M::18::4::02139\n",
        "movies.dat": "7::Amélie: Part 1 (2001)::Comedy|Romance\n9::Heat (1995)::Action\n",
        "ratings.dat": "1::7::5::978300760\n1::9::2::978300761\n2::7::4::978300762\n",
    },
    "ml-100k": {
        "u.user": "1|24|F|writer|48067\n2|53|M|other|02139\n",
        "u.item": "7|Amélie: Part 1 (2001) (V)|01-Jan-2001||http://x|" + "|".join("0000010000000010000") + "\n"
        "9|Heat (1995)|01-Jan-1995||http://y|" + "|".join("0100000000000000000") + "\n",
        "u.data": "1\t7\t5\t978300760\n1\t9\t2\t978300761\n2\t7\t4\t978300762\n",
    },
    "csv": {
        "movies.csv": 'movieId,title,genres\n7,"Amélie: ""Part"" 1 (2001)",Comedy|Romance\n9,Heat (1995),Action\n',
        "ratings.csv": "userId,movieId,rating,timestamp\r\n"
        "1,7,5.0,978300760\r\n1,9,2.5,978300761\r\n2,7,4.0,978300762\r\n",
    },
}


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a layout's files, each of three ratings, and gives their folder."""

    def written(layout: str) -> Path:
        for name, text in WRITTEN[layout].items():
            (tmp_path / name).write_bytes(text.encode("utf-8" if layout == "csv" else "latin-1"))
        return tmp_path

    return written


@pytest.mark.parametrize("layout", WRITTEN)
def test_every_layout_says_the_same_of_the_same_ratings(layout: str, write: Callable[[str], Path]) -> None:
    table = movielens.read(write(layout))
    assert table.labels.tolist() == [1, 0, 1]
    assert table.column("user_id").to_pylist() == [1, 1, 2]
    assert table.column("movie_id").to_pylist() == [7, 9, 7]
    assert table.column("genres").to_pylist() == [["Comedy", "Romance"], ["Action"], ["Comedy", "Romance"]]
    assert table.column("year").to_pylist() == [2001, 1995, 2001]
    assert table.column("time").to_pylist() == [978300760, 978300761, 978300762]
    if layout != "csv":
        assert table.column("gender").to_pylist() == ["F", "F", "M"]
        assert table.column("zip_region").to_pylist() == ["4", "4", "0"]
    source, target = movielens.load(write(layout), domain="genres", target="Romance", disjoint=["rows", "item"])
    assert (source.row_ids.tolist(), target.row_ids.tolist()) == ([1], [0, 2])
    assert "genres" in target.schema.features


@pytest.mark.parametrize(("layout", "labels"), [("ml-1m", [4, 1, 3]), ("ml-100k", [4, 1, 3]), ("csv", [9, 4, 7])])
def test_ratings_as_the_task_have_a_class_for_each_grade(
    layout: str, labels: list[int], write: Callable[[str], Path]
) -> None:
    table = movielens.read(write(layout), task="rating")
    assert table.schema.label is None
    assert table.schema.classes == len(movielens.LAYOUTS[layout].grades) == (10 if layout == "csv" else 5)
    assert table.labels.tolist() == labels


def test_ratings_without_times_are_read_from_parquet(write: Callable[[str], Path]) -> None:
    root = write("ml-1m")
    official = movielens.read(root)
    (root / "ratings.dat").unlink()
    columns = {"user_id": [1, 1, 2], "movie_id": [7, 9, 7], "rating": [5, 2, 4]}
    pd.DataFrame(columns).to_parquet(root / "ratings.parquet")
    other = movielens.read(root)
    assert (official.schema.time, other.schema.time) == ("time", None)
    assert official.rows_fingerprint != other.rows_fingerprint, "the schema is another"
    assert official.labels.tolist() == other.labels.tolist()
    pd.DataFrame(columns).drop(columns="rating").to_parquet(root / "ratings.parquet")
    with pytest.raises(DataError, match="must have user_id, movie_id and rating"):
        movielens.read(root)


def test_domains_by_market_and_time(write: Callable[[str], Path]) -> None:
    root = write("ml-1m")
    source, target = movielens.load(root)
    assert (source.row_ids.tolist(), target.row_ids.tolist()) == ([2], [0, 1])
    assert "gender" not in source.schema.features
    source, target = movielens.load(root, domain="age", source=["25"], disjoint=("rows", "user"))
    assert (source.row_ids.tolist(), source.schema.domain) == ([0, 1], "age")
    source, target = movielens.load(root, domain="time", at=0.5)
    assert (source.row_ids.tolist(), target.row_ids.tolist()) == ([0], [1, 2])
    assert "gender" in source.schema.features


@pytest.mark.parametrize(
    ("layout", "file", "line", "rule"),
    [
        ("ml-1m", "ratings.dat", "1::7::5", "Row #4: Expected 4 columns, got 3"),
        ("ml-1m", "ratings.dat", "1::7::6::1", "1 to 5 in steps of 1, got 6 in row 4"),
        ("ml-1m", "ratings.dat", "3::7::5::1", "known user_id, got 3"),
        ("ml-1m", "ratings.dat", "1::8::5::1", "known movie_id, got 8"),
        ("ml-1m", "ratings.dat", "1::7::::1", "Row #4: CSV conversion error to int64: invalid value ''"),
        ("ml-1m", "users.dat", "1::F::1::3::48067", "every user_id is described once, got 1 repeated"),
        ("ml-100k", "u.data", "1 7 5 1", "Row #4: Expected 4 columns, got 1"),
        ("ml-100k", "u.item", "8|Up (2009)|||", "Row #3: Expected 24 columns, got 5"),
        ("csv", "ratings.csv", "1,7,4.7,1", "0.5 to 5 in steps of 0.5, got 4.7 in row 4"),
        ("csv", "ratings.csv", "1,7,good,1", "Row #5: CSV conversion error to double: invalid value 'good'"),
        ("csv", "ratings.csv", "1,7", "Row #5: Expected 4 columns, got 2"),
    ],
)
def test_broken_files_are_named(layout: str, file: str, line: str, rule: str, write: Callable[[str], Path]) -> None:
    root = write(layout)
    with (root / file).open("a") as stream:
        stream.write(line + "\n")
    with pytest.raises(DataError, match=rule) as caught:
        movielens.read(root)
    assert str(root) in str(caught.value)


def test_a_header_of_another_layout_is_named(write: Callable[[str], Path]) -> None:
    root = write("csv")
    (root / "ratings.csv").write_text("user,movieId,rating,timestamp\n1,7,5.0,1\n")
    with pytest.raises(DataError, match=r"columns userId, movieId, .*: Column 'userId' .* does not exist"):
        movielens.read(root)


def test_wrong_mixed_and_partial_layouts_are_named(tmp_path: Path, write: Callable[[str], Path]) -> None:
    with pytest.raises(DataError, match=r"one MovieLens layout \(ml-1m: users.dat, .*got nothing; unpack"):
        movielens.read(tmp_path / "nowhere")
    (tmp_path / "ml-1m.zip").touch()
    with pytest.raises(DataError, match=r"csv: ratings.csv, movies.csv\), got ml-1m.zip; unpack"):
        movielens.read(tmp_path)
    root = write("ml-1m")
    (root / "movies.dat").unlink()
    with pytest.raises(DataError, match=r"movies\.dat is missing in .* which has users.dat, ratings.dat of .* ml-1m"):
        movielens.read(root)
    (root / "u.data").touch()
    with pytest.raises(DataError, match=r"got several: .*'ml-100k': \['u.data'\]"):
        movielens.read(root)


def test_bad_arguments_are_named(write: Callable[[str], Path]) -> None:
    root = write("csv")
    for wrong in ("x", True, 0, 5.5, float("nan")):
        with pytest.raises(UsageError, match=f"click_at must be a rating above .* and at most 5, got {wrong!r}"):
            movielens.load(root, click_at=wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="by `at` alone, got source=None, target='F'"):
        movielens.load(root, domain="time", target="F")
    with pytest.raises(UsageError, match="task must be one of"):
        movielens.read(root, task="ratings")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no column 'gender' to tell the domains apart, did you mean 'genres'"):
        movielens.load(root)
    with pytest.raises(UsageError, match="two named sides could overlap"):
        movielens.load(root, domain="genres", source="Action", target="Romance")
    with pytest.raises(UsageError, match="did you mean 'Romance'"):
        movielens.load(root, domain="genres", target="romance")


@pytest.mark.parametrize("name", ["ml-1m", "ml-100k", "ml-latest-small"])
def test_official_counts(name: str, shared_data: Callable[[str], Path]) -> None:
    root, counts = shared_data(name), movielens.OFFICIAL_COUNTS[name]
    table = movielens.read(root)
    movies = movielens.layouts.detect(root).read(root)["movies"]
    assert counts == {
        "ratings": len(table),
        "users": len(np.unique(table.numpy("user_id"))),
        "movies": len(movies),
    }


def test_movielens_1m_as_a_new_market(shared_data: Callable[[str], Path]) -> None:
    source, target = movielens.load(shared_data("ml-1m"), disjoint=["rows", "user"])
    assert (len(source), len(target)) == (753_769, 246_440)
    assert len(np.unique(target.numpy("user_id"))) == 1_709


def test_movielens_1m_as_a_new_catalogue(shared_data: Callable[[str], Path]) -> None:
    root = shared_data("ml-1m")
    source, target = movielens.load(root, domain="genres", target="Romance", disjoint=["rows", "item"])
    genres = movielens.layouts.detect(root).read(root)["movies"]["genres"].to_pylist()
    assert sum("Romance" in each for each in genres) == 471
    assert (len(source), len(target)) == (1_000_209 - 147_523, 147_523)
    assert not set(source.numpy("movie_id")) & set(target.numpy("movie_id"))
    assert set(source.numpy("user_id")) & set(target.numpy("user_id"))


def test_movielens_100k_by_time(shared_data: Callable[[str], Path]) -> None:
    source, target = movielens.load(shared_data("ml-100k"), task="rating", domain="time", at=0.6)
    assert (len(source), len(target)) == (60_000, 40_000)
    assert source.numpy("time").max() < target.numpy("time").min()
    assert target.schema.grades == (1, 2, 3, 4, 5)
