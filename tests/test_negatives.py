"""Drawn negatives: parts of a target tell each other nothing, and folds keep a click and its negatives together."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from recdistill.configuration import DataSettings
from recdistill.errors import UsageError
from recdistill.label_budget import Cell, cell_folds, labelled_rows, with_test_negatives
from recdistill.negatives import Catalogue
from recdistill.schema import Schema
from recdistill.tables import Table

SCHEMA = Schema(label="click", user="user", item="item", categorical=("user", "item"))
DATA = DataSettings(name="files", negatives=4)


def clicks(rows: int, first: int = 0, items: int = 4_000) -> Table:
    """Users with about two clicks each, on items that are clicked once or twice."""
    rng = np.random.default_rng(first)
    pairs = pd.DataFrame({"user": rng.integers(0, rows // 2, rows), "item": rng.permutation(rows) % items})
    frame = pairs.assign(click=1.0).drop_duplicates(["user", "item"])
    return Table.from_pandas(frame.assign(row_id=np.arange(first, first + len(frame))), SCHEMA)


def times(table: Table, items: int) -> np.ndarray:
    """How often each item is a negative."""
    return np.bincount(table.numpy("item")[table.labelled & (table.labels == 0)], minlength=items)


def test_what_is_a_negative_in_one_part_says_nothing_of_another() -> None:
    """Of uniform draws from a common catalogue the counts per item are uncorrelated, whatever the seed."""
    train, valid, test = clicks(4_000), clicks(1_000, 10_000), clicks(1_000, 20_000)
    tested = with_test_negatives(DATA, train, valid, test)
    for seed in range(3):
        trained, validated = labelled_rows(DATA, Cell(1.0, seed), train=train, valid=valid, test=tested)
        counts = [times(table, 4_000) for table in (trained, validated, tested)]
        correlations = np.corrcoef(counts)[np.triu_indices(3, 1)]
        assert np.abs(correlations).max() < 5 / np.sqrt(4_000), correlations


def test_the_same_clicks_get_the_same_negatives() -> None:
    table = clicks(300)
    first, again = (Catalogue(table).with_negatives(table, per_click=4, seed=0) for _ in range(2))
    assert first.fingerprint == again.fingerprint
    assert first.fingerprint != Catalogue(table).with_negatives(table, per_click=4, seed=1).fingerprint


def test_a_click_and_its_negatives_are_in_one_fold() -> None:
    table = clicks(600)
    train, _ = labelled_rows(DATA, Cell(1.0, 0), train=table, valid=clicks(60, 10_000), test=clicks(60, 20_000))
    masks = cell_folds(DATA, train, k=3, seed=0)
    assert (np.sum(masks, axis=0) == train.labelled).all()
    known = int((train.labels == 1).sum())
    fold = np.argmax(masks, axis=0)
    assert (fold[known : 5 * known].reshape(known, 4) == fold[:known, None]).all()
    user = train.numpy("user")
    assert (user[known : 5 * known].reshape(known, 4) == user[:known, None]).all()
    for mask in masks:
        for part in (mask, train.labelled & ~mask):
            assert train.labels[part].mean() == pytest.approx(0.2)


def test_more_folds_than_clicks_are_refused() -> None:
    table = clicks(600)
    train, _ = labelled_rows(DATA, Cell(0.01, 0), train=table, valid=clicks(600, 10_000), test=clicks(60, 20_000))
    with pytest.raises(UsageError, match=r"k folds need 2 <= k <= groups of labelled rows, got k=9 for \d"):
        cell_folds(DATA, train, k=9, seed=0)
