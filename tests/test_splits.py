"""Splits never overlap, and hidden labels are gone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from recdistill.datasets import synthetic
from recdistill.errors import DataError, UsageError
from recdistill.schema import Schema
from recdistill.splits import folds, keep_labels, split, train_only_users
from recdistill.tables import Table

SCHEMA = Schema(label="click", categorical=("user", "market"), user="user", time="time")


def table(rows: int = 300, seed: int = 0) -> Table:
    rng = np.random.default_rng(seed)
    user = rng.integers(0, 30, rows)
    values = {"row_id": rng.permutation(rows), "user": user, "market": np.where(user < 20, "a", "b")}
    return Table(pa.table({**values, "click": rng.integers(0, 2, rows), "time": rng.integers(0, 50, rows)}), SCHEMA)


@given(st.integers(0, 5), st.sampled_from(["random", "time", "user", "last"]))
def test_parts_are_disjoint_and_complete_and_ignore_the_order_of_rows(seed: int, by: str) -> None:
    whole = table(seed=seed)
    parts = split(whole, valid=0.2, test=0.2, by=by, seed=seed)  # type: ignore[arg-type]
    assert sorted(np.concatenate([p.row_ids for p in parts])) == sorted(whole.row_ids)
    turned = split(whole.take(np.arange(len(whole))[::-1]), valid=0.2, test=0.2, by=by, seed=seed)  # type: ignore[arg-type]
    assert [set(p.row_ids) for p in turned] == [set(p.row_ids) for p in parts]
    train, _, test = parts
    if by == "time":
        assert train.numpy("time").max() < test.numpy("time").min()


@given(st.lists(st.sampled_from("abcdefghijkl"), min_size=40, max_size=80), st.integers(0, 9), st.floats(0.2, 0.4))
def test_split_by_user_gives_each_user_to_one_part_and_shares_users(users: list[str], seed: int, share: float) -> None:
    assume(len(set(users)) >= 6)
    whole = Table(pa.table({"user": users}), Schema(user="user"))
    parts = split(whole, valid=share, test=share, by="user", seed=seed)
    apart = [set(part.numpy("user")) for part in parts]
    assert sum(map(len, apart)) == len(set(users))
    assert set.union(*apart) == set(users)
    assert len(apart[2]) == pytest.approx(share * len(set(users)), abs=1)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3)), min_size=30, max_size=60), st.randoms())
def test_last_item_out_is_the_obvious_loop(rows: list[tuple[int, int]], random: Random) -> None:
    ids = random.sample(range(1000), len(rows))
    columns = {"row_id": ids, "user": [u for u, _ in rows], "time": [t for _, t in rows]}
    whole = Table(pa.table(columns), Schema(user="user", time="time"))
    parts: tuple[list[int], list[int], list[int]] = ([], [], [])
    for user in range(7):
        own = [i for _, i in sorted((t, i) for (u, t), i in zip(rows, ids, strict=True) if u == user)]
        last = len(own) if len(own) < 3 else len(own) - 2
        for part, members in zip(parts, (own[:last], own[last : last + 1], own[last + 1 :]), strict=True):
            part.extend(members)
    assert train_only_users(whole) == sum(0 < sum(u == user for u, _ in rows) < 3 for user in range(7))
    found = split(whole, by="last")
    assert [sorted(part.row_ids) for part in found] == [sorted(part) for part in parts]


def test_last_item_out_of_real_ratings(shared_data: Callable[[str], Path]) -> None:
    """Every user of MovieLens-100k has at least 20 ratings."""
    names = ["user", "item", "rating", "time"]
    ratings = pd.read_csv(shared_data("ml-100k") / "u.data", sep="\t", names=names)
    ratings["click"] = (ratings["rating"] >= 4).astype(int)
    whole = Table.from_pandas(ratings, Schema(label="click", user="user", item="item", time="time"))
    train, valid, test = split(whole, by="last")
    assert (len(train), len(valid), len(test)) == (100_000 - 2 * 943, 943, 943)
    latest = ratings.groupby("user")["time"].max()
    assert (latest[test.numpy("user")].to_numpy() == test.numpy("time")).all()
    assert train_only_users(whole) == 0


def test_kept_labels_are_nested_and_the_others_are_gone() -> None:
    train, valid, _ = split(table(2000), valid=0.2, test=0.2)
    few, few_valid = keep_labels(train, valid, share=0.1, seed=3)
    many, _ = keep_labels(train, valid, share=0.5, seed=3)
    assert set(few.row_ids[few.labelled]) < set(many.row_ids[many.labelled])
    assert few.labelled.sum() == pytest.approx(0.1 * len(train), abs=1)
    assert few_valid.labelled.sum() == pytest.approx(0.1 * len(valid), abs=1)
    assert few.column("click").null_count == len(train) - few.labelled.sum()
    assert few.rows_fingerprint == train.rows_fingerprint
    everything, _ = keep_labels(train, valid, share=1.0, seed=3)
    assert everything.labelled.all()


def test_folds_hold_each_labelled_row_once() -> None:
    train, _ = keep_labels(table(400), table(400), share=0.5, seed=0)
    assert (np.sum(folds(train, k=3, seed=0), axis=0) == train.labelled).all()


def test_a_split_by_position_follows_the_order_of_rows() -> None:
    parts = split(table(100), valid=0.1, test=0.3, by="position")
    assert [part.row_ids.tolist() for part in parts] == [ids.tolist() for ids in np.split(table(100).row_ids, [60, 70])]


def test_a_way_to_split_that_there_is_not_is_refused() -> None:
    with pytest.raises(UsageError, match=r"rows cannot be split by 'timestamp', did you mean 'time'\?"):
        split(table(100), by="timestamp")  # type: ignore[arg-type]


def test_bad_splits_are_refused() -> None:
    with pytest.raises(UsageError, match="sum below 1"):
        split(table(), valid=0.6, test=0.5)
    with pytest.raises(UsageError, match=r"in \(0, 1\]"):
        keep_labels(table(), table(), share=0.0, seed=0)
    for missing in ({"user": None}, {"time": None}):
        with pytest.raises(DataError, match="last-item-out needs a user and a time column, got"):
            split(table().with_schema(replace(SCHEMA, **missing)), by="last")  # type: ignore[arg-type]
    clicks = table().take(table().labels == 1)
    with pytest.raises(DataError, match="needs both classes"):
        split(clicks)
    with pytest.raises(DataError, match="must have rows"):
        split(table().take(np.zeros(300, dtype=bool)))


def test_synthetic_splits_share_no_users() -> None:
    source, target = synthetic.load(source_rows=500, target_rows=300, source_users=50, target_users=30, items=40)
    assert not set(source.numpy("user_id")) & set(target.numpy("user_id"))
