"""Data sets: the contract of every one, their cards, and the synthetic world."""

from __future__ import annotations

import inspect
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recdistill.artefacts import sha256
from recdistill.datasets import DATASETS, amazon, criteo, load, movielens, reviews, synthetic
from recdistill.datasets.download import ARCHIVES
from recdistill.errors import UsageError
from recdistill.metrics import auc
from recdistill.schema import Schema

ROOT = Path(__file__).resolve().parent.parent
# Of those that are read; the others are made.
READ = {"amazon": "amazon-sport-cloth", "criteo": "criteo-kaggle-137k", "movielens": "ml-1m"}
MADE = {"reviews": reviews.load, "synthetic": synthetic.load}
FOLDERS = {**READ, **dict.fromkeys(MADE)}
CARDS = {path.stem: tomllib.loads(path.read_text()) for path in sorted((ROOT / "data").glob("*.toml"))}
SCHEMAS = {
    "amazon": amazon.SCHEMA,
    "criteo": criteo.SCHEMA,
    "reviews": reviews.SCHEMA,
    "synthetic": synthetic.SCHEMA,
}
LAYOUTS = {"ml-1m": "ml-1m", "ml-100k": "ml-100k"}


def test_every_data_set_and_archive_has_a_card() -> None:
    assert {card["dataset"] for card in CARDS.values()} == set(DATASETS) - {"files"} == set(FOLDERS), (
        "a user's own files have no card"
    )
    assert set(CARDS) == {*ARCHIVES, *MADE}


@pytest.mark.parametrize("name", CARDS)
def test_a_card_agrees_with_the_code(name: str) -> None:
    card = CARDS[name]
    assert card["name"] == name
    assert {"origin", "licence", "files", "note", "counts", "schema"} <= set(card)
    schema = Schema.from_dict(card["schema"])
    if card["dataset"] == "movielens":
        layout = movielens.LAYOUTS[LAYOUTS.get(name, "csv")]
        assert {**schema.to_dict(), "time": None} == {**layout.schema.to_dict(), "time": None}
        assert card["counts"] == movielens.OFFICIAL_COUNTS.get(name, {}), "ml-latest changes, so nothing can be counted"
        assert card["archive"] == ARCHIVES[name].address
        assert card.get("sha256", {}).get(f"{name}.zip") == ARCHIVES[name].sha256
    else:
        assert schema == SCHEMAS[name]
    if name in MADE:
        defaults = inspect.signature(MADE[name]).parameters
        assert card["counts"] == {key: defaults[key].default for key in card["counts"]}
    elif name in ("amazon", "criteo"):
        assert card["origin"] == ARCHIVES[name].address


@pytest.mark.parametrize("name", ["ml-1m", "ml-100k"])
def test_the_files_are_those_of_the_card(name: str, shared_data: Callable[[str], Path]) -> None:
    hashes = {file: digest for file, digest in CARDS[name]["sha256"].items() if not file.endswith(".zip")}
    assert {file: sha256(shared_data(name) / file) for file in hashes} == hashes


@pytest.mark.parametrize("name", FOLDERS)
def test_every_data_set_gives_a_source_and_a_target(name: str, shared_data: Callable[[str], Path]) -> None:
    folder = FOLDERS[name]
    root = shared_data(folder) if folder else None
    source, target = load(name, root)
    assert source.labelled.all()
    assert target.labelled.all()
    assert not set(source.row_ids) & set(target.row_ids)
    assert set(target.schema.features) <= set(source.schema.features)
    assert source.fingerprint == load(name, root)[0].fingerprint


def test_data_sets_by_name_name_what_is_wrong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'movielens'"):
        load("movielen")
    with pytest.raises(UsageError, match="did you mean 'click_at'"):
        load("movielens", tmp_path, {"clickat": 3})
    with pytest.raises(UsageError, match="needs the folder"):
        load("movielens")
    with pytest.raises(UsageError, match="cannot take"):
        load("synthetic", None, {"items": "many"})
    with pytest.raises(UsageError, match="all its variables set"):
        load("movielens", "$NO_SUCH_VARIABLE/ml-1m")
    monkeypatch.setenv("SOME_FOLDER", str(tmp_path))
    (tmp_path / "train.txt").write_text("\t".join(["1", *["7"] * 13, *["a"] * 26]) + "\n" + "0" + "\t" * 39 + "\n")
    source, target = load("criteo", "$SOME_FOLDER", {"target": "a"})
    assert (len(source), len(target)) == (1, 1)


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
