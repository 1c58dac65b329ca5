"""Pairs that nobody has seen: which they are, what their rows hold, and that a student can be trained on them."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import recdistill as rd
from recdistill.datasets import synthetic
from recdistill.errors import DataError, UsageError
from recdistill.pairs import By, unseen_pairs
from recdistill.schema import Schema
from recdistill.tables import Table, concat

WAYS = ("uniform", "popularity")
SCHEMA = Schema(
    label="click",
    rating="stars",
    truth="chance",
    score="system",
    categorical=("age", "hour", "shop"),
    multi=("tags",),
    number=("price", "dwell"),
    vector=("image",),
    privileged=("dwell",),
    user="user",
    item="item",
    time="shown_at",
)


def table(rows: int, *, users: int, items: int, seed: int = 0) -> Table:
    """Age is the user's, tags, price and image are the item's, hour and time nobody's."""
    rng = np.random.default_rng(seed)
    user, item = rng.integers(0, users, rows), np.minimum(rng.geometric(2 / items, rows) - 1, items - 1)
    values: dict[str, Any] = {
        "row_id": rng.permutation(rows) + 50,
        "user": [f"u{u}" for u in user],
        "item": item,
        "age": [None if u % 5 == 0 else int(u) for u in user],
        "hour": rng.integers(0, 24, rows),
        "shop": ["the only one"] * rows,
        "tags": [[f"t{i}", "all"][: i % 3] for i in item],
        "price": item * 1.5,
        "image": [[float(i), 1.0] for i in item],
        "dwell": rng.random(rows),
        "shown_at": rng.integers(0, 10**6, rows),
        "click": rng.integers(0, 2, rows),
        "stars": rng.integers(1, 6, rows),
        "chance": rng.random(rows),
        "system": rng.random(rows),
    }
    return Table(pa.table(values), SCHEMA)


def pairs_of(*tables: Table) -> set[tuple[str, int]]:
    return {pair for t in tables for pair in zip(t.numpy("user").tolist(), t.numpy("item").tolist(), strict=True)}


def owned(of: Table, owner: str, names: tuple[str, ...]) -> dict[Any, list[Any]]:
    rows = of.arrow.select([owner, *names]).to_pylist()
    return {row[owner]: [row[name] for name in names] for row in rows}


@given(st.integers(0, 20), st.sampled_from(WAYS), st.floats(0.05, 1))
def test_each_pair_is_new_and_has_the_columns_of_its_user_and_item(seed: int, by: By, share: float) -> None:
    whole = table(60, users=8, items=12, seed=seed)
    had, free = pairs_of(whole), len(set(whole.numpy("user"))) * len(set(whole.numpy("item"))) - len(pairs_of(whole))
    rows = max(1, int(share * free))
    found = unseen_pairs(whole, rows=rows, seed=seed, by=by)
    assert len(found) == len(pairs_of(found)) == rows
    assert not pairs_of(found) & had
    assert not set(found.row_ids) & set(whole.row_ids)
    assert not found.labelled.any()
    for name in ("click", "stars", "chance", "system", "dwell"):
        assert found.column(name).null_count == rows
    for owner, names in (("user", ("age",)), ("item", ("tags", "price", "image"))):
        known = owned(whole, owner, names)
        assert all(known[key] == values for key, values in owned(found, owner, names).items())
    moments = set(zip(whole.numpy("hour"), whole.numpy("shown_at"), strict=True))
    assert set(zip(found.numpy("hour"), found.numpy("shown_at"), strict=True)) <= moments
    assert set(found.column("shop").to_pylist()) == {"the only one"}


@given(st.randoms(use_true_random=False), st.sampled_from(WAYS))
def test_a_seed_gives_the_same_rows_in_any_order_of_the_table(random: Any, by: By) -> None:
    whole = table(80, users=10, items=12)
    order = list(range(len(whole)))
    random.shuffle(order)
    first = unseen_pairs(whole, rows=30, seed=1, by=by)
    assert unseen_pairs(whole.take(np.array(order)), rows=30, seed=1, by=by).fingerprint == first.fingerprint
    assert unseen_pairs(whole, rows=30, seed=2, by=by).fingerprint != first.fingerprint


def test_uniform_draws_every_unseen_pair_alike_and_popularity_the_popular_ones_more() -> None:
    whole = table(150, users=8, items=20)
    free = sorted({(u, i) for u in set(whole.numpy("user")) for i in set(whole.numpy("item"))} - pairs_of(whole))
    drawn = {by: [min(pairs_of(unseen_pairs(whole, rows=1, seed=s, by=by))) for s in range(600)] for by in WAYS}  # type: ignore[arg-type]
    counts = np.array([drawn["uniform"].count(pair) for pair in free])
    expected = 600 / len(free)
    assert ((counts - expected) ** 2 / expected).sum() < len(free) + 4 * np.sqrt(2 * len(free)), "chi-squared"
    users, items = (np.unique(whole.numpy(name), return_counts=True) for name in ("user", "item"))
    count = [dict(zip(*found, strict=True)) for found in (users, items)]
    weight = np.array([count[0][user] * count[1][item] for user, item in free], dtype=float)
    share = weight / weight.sum()
    counts = np.array([drawn["popularity"].count(pair) for pair in free])
    assert ((counts - 600 * share) ** 2 / (600 * share)).sum() < len(free) + 4 * np.sqrt(2 * len(free)), "chi-squared"


def test_pairs_and_row_ids_of_further_tables_are_not_used() -> None:
    whole = table(200, users=10, items=15)
    train, rest = whole.take(np.arange(120)), whole.take(np.arange(120, 200))
    free = len(set(train.numpy("user"))) * len(set(train.numpy("item"))) - len(
        {(u, i) for u, i in pairs_of(whole) if u in train.numpy("user") and i in train.numpy("item")}
    )
    found = unseen_pairs(train, rows=free, seed=0, seen=[rest])
    assert not pairs_of(found) & pairs_of(whole)
    assert found.row_ids.min() > whole.row_ids.max()
    with pytest.raises(DataError, match=rf"got {free} of 10 users and \d+ items for rows={free + 1}"):
        unseen_pairs(train, rows=free + 1, seed=0, seen=[rest])


def test_what_cannot_be_is_refused() -> None:
    whole = table(40, users=4, items=6)
    with pytest.raises(DataError, match=r"pairs need a user and an item column, got .*item=None"):
        unseen_pairs(whole.with_schema(replace(SCHEMA, item=None)), rows=1, seed=0)
    with pytest.raises(DataError, match="as many unseen pairs as rows, got 0 of 0 users"):
        unseen_pairs(whole.take(np.arange(0)), rows=1, seed=0)
    with pytest.raises(UsageError, match="rows must be at least 1, got rows=0"):
        unseen_pairs(whole, rows=0, seed=0)
    with pytest.raises(UsageError, match="did you mean 'popularity'"):
        unseen_pairs(whole, rows=1, seed=0, by="popular")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="vectors must not be missing"):
        unseen_pairs(whole.with_schema(replace(SCHEMA, privileged=("image",))), rows=1, seed=0)
    with pytest.raises(DataError, match="the same type of user column, got string and int64"):
        unseen_pairs(whole, rows=1, seed=0, seen=[whole.with_schema(replace(SCHEMA, user="item"))])
    high = whole.arrow.set_column(0, "row_id", pa.array(2**63 - 1 - np.arange(40)))
    with pytest.raises(DataError, match="row ids must be below 2"):
        unseen_pairs(Table(high, SCHEMA), rows=1, seed=0)


@pytest.mark.parametrize("by", WAYS)
def test_many_rows_need_no_table_of_users_times_items(by: By) -> None:
    whole, _ = synthetic.load(seed=0, source_rows=200_000, source_users=20_000, items=20_000, target_rows=10)
    tracemalloc.start()
    found = unseen_pairs(whole, rows=200_000, seed=0, by=by)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found) == 200_000
    assert peak < 20_000 * 20_000


def test_a_student_learns_from_them_what_the_teacher_says() -> None:
    _, target = synthetic.load(seed=0, source_rows=100, target_rows=3_000, target_users=60, items=200)
    train, valid, test = rd.split(target)

    def drawn(table: Table) -> rd.Ranker:
        encoder = rd.Encoder.fit(table)
        return rd.Ranker(encoder, rd.models.build("mlp", encoder.spec, arguments={"embedding_dim": 4}))

    teacher = drawn(train)
    rd.fit(teacher, train, valid=valid, settings=rd.FitSettings(epochs=10))
    few, few_valid = rd.keep_labels(train, valid, share=0.1, seed=0)
    labelled = few.take(few.labelled)
    rows = concat([labelled, unseen_pairs(labelled, rows=1_500, seed=0, seen=[few, valid, test])])
    taught, alone = drawn(rows), drawn(rows)
    for student, learnt in ((taught, rows), (alone, labelled)):
        soft = rd.SoftLabels.from_teacher(teacher, learnt)
        rd.distill(student, learnt, soft, valid=few_valid, settings=rd.DistillSettings(alpha=0.9))
    wanted = teacher.score(test)
    errors = [np.abs(student.score(test) - wanted).mean() for student in (taught, alone)]
    assert errors[0] < 0.8 * errors[1]
