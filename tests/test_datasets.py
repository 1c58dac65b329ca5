"""Data sets: the contract, the official counts, and broken files."""

from __future__ import annotations

import inspect
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recdistill.artefacts import sha256
from recdistill.datasets import DATASETS, load, movielens, synthetic
from recdistill.errors import DataError, UsageError
from recdistill.metrics import auc
from recdistill.schema import Schema

ROOT = Path(__file__).resolve().parent.parent
NAMED = [name for name in DATASETS if name != "files"]  # a user's own files have no card


def test_movielens_1m_has_the_official_counts(shared_data: Callable[[str], Path]) -> None:
    root = shared_data("ml-1m")
    ratings = movielens.read(root)
    assert len(ratings) == movielens.OFFICIAL_COUNTS["ratings"] == 1_000_209
    assert len(np.unique(ratings.numpy("user_id"))) == movielens.OFFICIAL_COUNTS["users"] == 6_040
    assert len((root / "movies.dat").read_bytes().splitlines()) == movielens.OFFICIAL_COUNTS["movies"] == 3_883
    source, target = movielens.load(root)
    assert len(np.unique(target.numpy("user_id"))) == 1_709
    assert (len(source), len(target)) == (753_769, 246_440)
    assert "gender" not in target.schema.features


@pytest.mark.parametrize("name", NAMED)
def test_every_data_set_has_a_card_that_tells_the_truth(name: str, shared_data: Callable[[str], Path]) -> None:
    card = tomllib.loads((ROOT / "data" / f"{name}.toml").read_text())
    module = {"movielens": movielens, "synthetic": synthetic}[name]
    assert card["name"] == name
    assert {"origin", "licence", "files", "note", "counts", "schema"} <= set(card)
    assert Schema.from_dict(card["schema"]) == module.SCHEMA
    if name == "movielens":
        assert card["counts"] == movielens.OFFICIAL_COUNTS
        for file, digest in card["sha256"].items():
            assert sha256(shared_data("ml-1m") / file) == digest
    else:
        defaults = inspect.signature(synthetic.load).parameters
        assert card["counts"] == {key: defaults[key].default for key in card["counts"]}


@pytest.mark.parametrize("name", NAMED)
def test_every_data_set_gives_a_source_and_a_target(name: str, shared_data: Callable[[str], Path]) -> None:
    root = shared_data("ml-1m") if name == "movielens" else None
    source, target = load(name, root)
    assert source.labelled.all()
    assert target.labelled.all()
    assert not set(source.row_ids) & set(target.row_ids)
    assert set(target.schema.features) <= set(source.schema.features)
    assert source.fingerprint == load(name, root)[0].fingerprint


def test_data_sets_by_name_name_what_is_wrong(monkeypatch: pytest.MonkeyPatch, tiny: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'movielens'"):
        load("movielen")
    with pytest.raises(UsageError, match="did you mean 'click_at'"):
        load("movielens", tiny, {"clickat": 3})
    with pytest.raises(UsageError, match="needs the folder"):
        load("movielens")
    with pytest.raises(UsageError, match="cannot take"):
        load("synthetic", None, {"items": "many"})
    with pytest.raises(UsageError, match="all its variables set"):
        load("movielens", "$NO_SUCH_VARIABLE/ml-1m")
    monkeypatch.setenv("SOME_FOLDER", str(tiny))
    source, target = load("movielens", "$SOME_FOLDER", {"disjoint": ["rows"]})
    assert (len(source), len(target)) == (1, 2)


def test_movielens_domains_by_time(tiny: Path) -> None:
    source, target = movielens.load(tiny, domain="time", at=0.5, disjoint=("rows",))
    assert (source.row_ids.tolist(), target.row_ids.tolist()) == ([0], [1, 2])
    assert "gender" in source.schema.features


def test_movielens_domains_by_any_column(tiny: Path) -> None:
    source, target = movielens.load(tiny, domain="age", source=["25"], target=["18"], disjoint=("rows", "user"))
    assert (len(source), len(target)) == (2, 1)
    assert source.schema.domain == "age"
    assert "age" not in source.schema.features
    assert "gender" in source.schema.features


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    (tmp_path / "users.dat").write_text("1::F::25::3::48067\n2::M::18::4::02139\n")
    (tmp_path / "movies.dat").write_bytes(
        "7::Am\xe9lie (2001)::Comedy|Romance\n9::Heat (1995)::Action\n".encode("latin-1")
    )
    (tmp_path / "ratings.dat").write_text("1::7::5::978300760\n1::9::2::978300761\n2::7::4::978300762\n")
    return tmp_path


def test_both_layouts_agree(tiny: Path) -> None:
    official = movielens.read(tiny)
    (tiny / "ratings.dat").unlink()
    columns = {"user_id": [1, 1, 2], "movie_id": [7, 9, 7], "rating": [5, 2, 4]}
    pd.DataFrame(columns).to_parquet(tiny / "ratings.parquet")
    other = movielens.read(tiny)
    assert official.schema.time == "time"
    assert official.labels.tolist() == other.labels.tolist() == [1, 0, 1]
    assert official.column("genres").to_pylist()[0] == ["Comedy", "Romance"]
    assert official.column("year").to_pylist() == other.column("year").to_pylist() == [2001, 1995, 2001]


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("1::7::5", "line 4 must have 4 fields"),
        ("1::7::6::1", "1 to 5"),
        ("3::7::5::1", "known user_id"),
        ("1::8::5::1", "known movie_id"),
    ],
)
def test_broken_ratings_are_named(tiny: Path, line: str, rule: str) -> None:
    with (tiny / "ratings.dat").open("a") as stream:
        stream.write(line + "\n")
    with pytest.raises(DataError, match=rule):
        movielens.read(tiny)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"users\.dat is missing"):
        movielens.read(tmp_path)


def test_synthetic_world_is_what_it_says() -> None:
    source, target = synthetic.load(seed=1)
    again, _ = synthetic.load(seed=1)
    assert source.fingerprint == again.fingerprint
    assert source.fingerprint != synthetic.load(seed=2)[0].fingerprint
    for table in (source, target):
        truth = table.numpy("true_probability")
        error = np.sqrt((truth * (1 - truth)).mean() / len(table))
        assert abs(table.labels.mean() - truth.mean()) < 4 * error
        assert 0.75 < auc(np.log(truth / (1 - truth)), table.labels) < 0.88
    assert source.labels.mean() > target.labels.mean() + 0.05
    assert source.schema.privileged == ("dwell",)
    assert "true_probability" not in source.schema.features
    with pytest.raises(UsageError, match="at least 10"):
        synthetic.load(items=3)
