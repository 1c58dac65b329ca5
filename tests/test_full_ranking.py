"""Full ranking against the candidate table written out row by row, and who gets which candidates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from recdistill import full_ranking
from recdistill.batch import Batch
from recdistill.candidates import Candidates
from recdistill.datasets import synthetic
from recdistill.encoder import Encoder
from recdistill.errors import DataError, UsageError
from recdistill.full_ranking import Ranked, _decisive, compare_ranked, rank, rank_all
from recdistill.metrics import mean_difference, mrr, ndcg_at_k, recall_at_k
from recdistill.models import MODELS, build
from recdistill.ranker import Ranker
from recdistill.schema import Schema
from recdistill.splits import split
from recdistill.tables import Table
from recdistill.transforms import LogBuckets, Quantiles

METRICS = {"recall@5": recall_at_k, "ndcg@5": ndcg_at_k, "mrr": mrr}
Parts = tuple[Table, Table, Table]


@pytest.fixture(scope="module")
def parts() -> Parts:
    """The synthetic target, with a column of the moment (`hour`) and one of the moment that is a list."""
    _, target = synthetic.load(seed=0, source_rows=10, target_rows=900, source_users=10, target_users=30, items=40)
    rng = np.random.default_rng(0)
    arrow = target.arrow.append_column("hour", pa.array(rng.integers(0, 24, len(target))))
    arrow = arrow.append_column("shown_with", pa.array(rng.integers(0, 9, (len(target), 2)).tolist()))
    schema = replace(
        target.schema,
        categorical=(*target.schema.categorical, "hour"),
        multi=(*target.schema.multi, "shown_with"),
    )
    return split(Table(arrow, schema))


def ranker(train: Table, model: str = "deepfm", seed: int = 0) -> Ranker:
    encoder = Encoder.fit(train, {"price": Quantiles(4)} if model == "fm" else None)
    network = build(model, encoder.spec, seed=seed, arguments={} if model == "lr" else {"embedding_dim": 3})
    with torch.no_grad():
        for weights in network.parameters():  # far from 0, so that every feature matters
            weights.normal_(0, 0.5, generator=torch.Generator().manual_seed(seed))
    return Ranker(encoder, network)


def slow(made: Ranker, test: Table, seen: Sequence[Table], k: int) -> dict[str, dict[Any, float]]:
    """Each user's candidates as a table of their own, scored row by row."""
    tables = [t.arrow.to_pandas() for t in (test, *seen)]
    items = pd.concat(tables).drop_duplicates("item_id").set_index("item_id")
    found: dict[str, dict[Any, float]] = {name: {} for name in METRICS}
    for user, rows in tables[0].groupby("user_id"):
        known = {item for t in tables[1:] for item in t.loc[t["user_id"] == user, "item_id"]}
        wanted = set(rows.loc[rows["click"] == 1, "item_id"]) - known
        if not wanted:
            continue
        own = rows.sort_values("row_id").iloc[0]
        candidates = [item for item in items.index if item not in known]
        table = pd.DataFrame([own] * len(candidates)).reset_index(drop=True).assign(item_id=candidates)
        for name in ("genres", "price", "embedding"):
            table[name] = [items.loc[item, name] for item in candidates]
        table["row_id"] = np.arange(len(table))
        scores = made.score(Table.from_pandas(table, test.schema))
        labels = [int(item in wanted) for item in candidates]
        for name, metric in METRICS.items():
            depth = {} if name == "mrr" else {"k": k}
            found[name][user] = metric(scores, labels, np.zeros(len(labels)), **depth).mean
    return found


def shown_slowly(made: Ranker, parts: Parts, k: int) -> dict[str, float]:
    """What all users' lists of items show, list by list; ties are none with scores that are far from each other."""
    train, valid, test = parts
    candidates = Candidates.of(test, seen=(train, valid))
    items = candidates.items.numpy("item_id")
    seen = np.concatenate([train.numpy("item_id"), valid.numpy("item_id")])
    popularity, shown = np.array([(seen == item).sum() for item in items]), []
    pairs = full_ranking._Pairs(made, candidates)
    for block in candidates.blocks(1):
        own = block.candidate[0].nonzero()[0]
        scores = pairs.score(np.full(len(own), block.start), own)
        shown.append(own[np.argsort(-scores)][:k])
    share = np.bincount(np.concatenate(shown), minlength=len(items)) / np.concatenate(shown).size
    return {
        f"coverage@{k}": (share > 0).mean(),
        f"entropy@{k}": -sum(p * np.log(p) for p in share if p) / np.log(len(items)),
        f"gini@{k}": np.abs(share[:, None] - share).sum() / (2 * (len(items) - 1)),
        f"popularity@{k}": np.mean([popularity[own].mean() for own in shown]),
    }


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("rows", [1, 100, 65_536])
def test_it_is_the_candidate_table_scored_row_by_row(
    parts: Parts, model: str, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, valid, test = parts
    made = ranker(train, model)
    monkeypatch.setattr(full_ranking, "ROWS", rows)
    ranked = rank_all(made, test, seen=(train, valid), k=5)
    expected = slow(made, test, (train, valid), k=5)
    for name, values in expected.items():
        found = ranked.values[name]
        assert dict(zip(found.lists, found.values, strict=True)) == pytest.approx(values, abs=1e-6)
    assert ranked.users == ranked.eligible == len(expected["mrr"])
    assert ranked.users + ranked.skipped == len(set(test.numpy("user_id")))
    assert ranked.context == ("hour", "shown_with")
    assert ranked.shown == pytest.approx(shown_slowly(made, parts, k=5))
    assert 0 < ranked.values["ndcg@5"].mean < 1


def test_the_order_of_rows_plays_no_part(parts: Parts) -> None:
    made = ranker(parts[0])
    turned = [part.take(np.random.default_rng(1).permutation(len(part))) for part in parts]
    for sampled in (None, 5):
        straight, other = (
            rank_all(made, test, seen=(train, valid), users=9, sampled=sampled)
            for train, valid, test in (parts, turned)
        )
        assert straight.fingerprint == other.fingerprint
        assert straight.metrics == other.metrics
        assert bool(straight.shown) == (sampled is None)  # of drawn items it is the draw that decides


def pairs(candidates: Candidates, which: str) -> set[tuple[Any, Any]]:
    items = candidates.items.numpy(str(candidates.items.schema.item))
    found = set()
    for block in candidates.blocks(100):
        for user, item in zip(*getattr(block, which).nonzero(), strict=True):
            found.add((candidates.names[block.start + user], items[item]))
    return found


def rows_of(*rows: tuple[str, int, int]) -> Table:
    user, item, click = zip(*rows, strict=True)
    columns = {"user": list(user), "item": list(item), "click": list(click)}
    return Table(pa.table(columns), Schema(label="click", categorical=("user", "item"), user="user", item="item"))


triples = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 6), st.integers(0, 1)), min_size=1, max_size=12)


@given(triples, triples, triples)
def test_candidates_are_the_unseen_items_and_relevant_the_clicked_ones(
    test: list[Any], seen: list[Any], catalogue: list[Any]
) -> None:
    known = {(u, i) for u, i, _ in seen}
    relevant = {(u, i) for u, i, click in test if click} - known
    users, items = {u for u, _ in relevant}, {i for _, i, _ in (*test, *seen, *catalogue)}
    tables = [rows_of(*rows) for rows in (test, seen, catalogue)]
    if not relevant:
        with pytest.raises(DataError, match="a click on an unseen item, got none"):
            Candidates.of(tables[0], seen=tables[1:2], catalogue=tables[2:])
        return
    found = Candidates.of(tables[0], seen=tables[1:2], catalogue=tables[2:])
    assert pairs(found, "relevant") == relevant
    assert pairs(found, "candidate") == {(u, i) for u in users for i in items} - known
    assert found.skipped == len({u for u, _, _ in test} - users)


@settings(max_examples=50)
@given(triples.filter(lambda rows: any(click for *_, click in rows)), st.integers(1, 4), st.integers(0, 3))
def test_sampled_negatives_are_drawn_from_the_candidates(test: list[Any], sampled: int, seed: int) -> None:
    every = rows_of(*(("z", item, 0) for item in range(9)))
    full = Candidates.of(rows_of(*test), seen=(), catalogue=(every,))
    drawn = Candidates.of(rows_of(*test), seen=(), catalogue=(every,), sampled=sampled, seed=seed)
    assert drawn.protocol == f"sampled-{sampled}"
    assert pairs(drawn, "relevant") == pairs(full, "relevant")
    assert pairs(full, "relevant") <= pairs(drawn, "candidate") <= pairs(full, "candidate")
    for user in drawn.names:
        others = [sum(u == user for u, _ in pairs(c, "candidate") - pairs(c, "relevant")) for c in (full, drawn)]
        assert others[1] == min(sampled, others[0])
    one = Candidates.of(rows_of(*test), seen=(), catalogue=(every,), sampled=sampled, seed=seed, users=1)
    kept = {(u, i) for u, i in pairs(drawn, "candidate") if u == one.names[0]}
    assert pairs(one, "candidate") == kept, "a user's negatives do not depend on who else is ranked"


def test_a_column_is_whose_values_it_follows(parts: Parts) -> None:
    sides = Candidates.of(parts[2], seen=parts[:2]).sides
    assert {name for name, side in sides.items() if side == "user"} == {"user_id", "age", "region", "dwell"}
    assert {name for name, side in sides.items() if side == "item"} == {"item_id", "genres", "price", "embedding"}
    assert {name for name, side in sides.items() if side == "context"} == {"hour", "shown_with", "time"}


def test_a_column_that_follows_both_goes_to_the_fewer() -> None:
    """Two users with five items each, each item once: age has one value per item as well."""
    columns = {"user": [0] * 5 + [1] * 5, "item": list(range(10)), "age": [30] * 5 + [40] * 5, "click": [0, 1] * 5}
    schema = Schema(label="click", categorical=("user", "item", "age"), user="user", item="item")
    assert Candidates.of(Table(pa.table(columns), schema), seen=()).sides["age"] == "user"
    turned = replace(schema, user="item", item="user")
    assert Candidates.of(Table(pa.table(columns), turned), seen=()).sides["age"] == "item"


def test_missing_is_a_value_and_text_may_be_coded() -> None:
    columns = {
        "user": pa.array(["u", "u", "v", "v"]).dictionary_encode(),
        "item": ["a", "b", "a", "b"],
        "colour": pa.array([None, "red", None, "red"]).dictionary_encode(),
        "mood": ["x", "x", None, "x"],
        "click": [1, 1, 1, 1],
    }
    schema = Schema(label="click", categorical=("user", "item", "colour", "mood"), user="user", item="item")
    found = Candidates.of(Table(pa.table(columns), schema), seen=())
    assert found.sides == {"user": "user", "item": "item", "colour": "item", "mood": "context"}
    assert found.names.tolist() == ["u", "v"]


@given(
    st.lists(st.lists(st.integers(0, 3), min_size=5, max_size=5), min_size=1, max_size=4), st.integers(1, 6), st.data()
)
def test_what_is_left_out_of_the_metrics_decides_nothing(rows: list[list[int]], k: int, data: st.DataObject) -> None:
    scores = np.array(rows, dtype=float)
    masks = st.lists(st.booleans(), min_size=scores.size, max_size=scores.size)
    candidate, relevant = (np.array(data.draw(masks)).reshape(scores.shape) for _ in range(2))
    relevant[:, 0] = True
    scores[~(candidate | relevant)] = -np.inf
    kept, every = _decisive(scores, relevant, k), np.isfinite(scores)
    for metric in (lambda *rows: recall_at_k(*rows, k=k), lambda *rows: ndcg_at_k(*rows, k=k), mrr):
        fast, whole = (metric(scores[m], relevant[m].astype(int), m.nonzero()[0]) for m in (kept, every))
        assert fast.values == pytest.approx(whole.values)


def test_numbers_in_buckets_and_new_items_are_put_together_too(parts: Parts) -> None:
    train, valid, test = parts
    items = np.unique(train.numpy("item_id"))
    few = train.take(np.isin(train.numpy("item_id"), items[: len(items) // 2]))
    encoder = Encoder.fit(few, {"price": LogBuckets()})
    made = Ranker(encoder, build("dlrm", encoder.spec, arguments={"embedding_dim": 2}))
    expected = slow(made, test, (train, valid), k=5)["mrr"]
    found = rank_all(made, test, seen=(train, valid), k=5).values["mrr"]
    assert dict(zip(found.lists, found.values, strict=True)) == pytest.approx(
        expected, abs=0.05
    )  # ties may round apart


def test_paired_differences_are_over_users(parts: Parts) -> None:
    train, valid, test = parts
    candidates = Candidates.of(test, seen=(train, valid))
    a, b, c, d = (rank(ranker(train, seed=seed), candidates) for seed in range(4))
    found = compare_ranked(a, b, "mrr")
    expected = mean_difference(a.values["mrr"].values, b.values["mrr"].values, unit="list")
    assert (found["metric"], found["cluster"], found["method"]) == ("full:mrr", "user_id", "t_cluster")
    assert (found["delta"], found["low"], found["high"]) == (expected.delta, expected.low, expected.high)
    seeds = compare_ranked([a, c], [b, d], "ndcg@10")["delta"]
    means = [ranked.metrics["full:ndcg@10"] for ranked in (a, b, c, d)]
    assert seeds == pytest.approx((means[0] + means[2] - means[1] - means[3]) / 2)
    assert compare_ranked(a, a, "recall@10")["delta"] == 0


def test_a_result_says_how_it_was_made(parts: Parts) -> None:
    train, valid, test = parts
    made = ranker(train)
    full = rank_all(made, test, seen=(train, valid)).to_dict()
    assert (full["protocol"], full["biased"]) == ("full", False)
    sampled = rank_all(made, test, seen=(train, valid), users=5, sampled=10).to_dict()
    assert (sampled["protocol"], sampled["biased"], sampled["users"]) == ("sampled-10", True, 5)
    assert sampled["eligible"] == full["users"]
    assert set(sampled["metrics"]) == {"sampled-10:recall@10", "sampled-10:ndcg@10", "sampled-10:mrr"}
    assert sampled["candidates"] < full["candidates"] < len(set(train.numpy("item_id")))


class Classes(nn.Module):
    """Three logits per row."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(3))

    def forward(self, batch: Batch) -> torch.Tensor:
        return self.bias + torch.zeros(len(batch), 1)


def test_bad_input_is_named(parts: Parts) -> None:
    train, valid, test = parts
    made, seen = ranker(train), (train, valid)
    for wrong in ({"users": 0}, {"sampled": 0}, {"k": 0}):
        with pytest.raises(UsageError, match="must be at least 1"):
            rank_all(made, test, seen=seen, **wrong)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="needs a user and an item column"):
        rank_all(made, test.with_schema(replace(test.schema, item=None)), seen=seen)
    hidden = test.with_labels_only(np.arange(len(test)) > 2)
    with pytest.raises(DataError, match="a click label in every test row, got 3 without"):
        rank_all(made, hidden, seen=seen)
    graded = replace(test.schema, label=None, rating="click", grades=(0, 1))
    with pytest.raises(DataError, match=r"schema\.classes=2"):
        rank_all(made, test.with_schema(graded), seen=seen)
    with pytest.raises(DataError, match=f"got none in {len(test)} test rows"):
        rank_all(made, test, seen=(test,))
    with pytest.raises(DataError, match="column 'hour' is missing"):
        rank_all(made, test, seen=(train.with_schema(train.schema.without("hour")),))
    texts = train.arrow.set_column(train.arrow.column_names.index("hour"), "hour", [["noon"] * len(train)])
    with pytest.raises(DataError, match="must have the same column types"):
        rank_all(made, test, seen=(Table(texts, train.schema),))
    with pytest.raises(DataError, match="one logit per row, got"):
        rank_all(Ranker(made.encoder, Classes()), test, seen=seen)
    with pytest.raises(DataError, match="column 'hour' is missing"):
        rank_all(made, test.with_schema(test.schema.without("hour")), seen=())
    ranked = rank_all(made, test, seen=seen)
    with pytest.raises(UsageError, match="unknown metric 'ndcg@5', did you mean 'ndcg@10'"):
        compare_ranked(ranked, ranked, "ndcg@5")
    with pytest.raises(DataError, match=r"of the same candidates, got \('full', '\w{12}'\) and \('sampled-7'"):
        compare_ranked(ranked, rank_all(made, test, seen=seen, sampled=7), "mrr")
    with pytest.raises(DataError, match="of the same candidates"):
        compare_ranked(ranked, rank_all(made, test, seen=(train,)), "mrr")


def test_real_ratings_last_item_out(shared_data: Callable[[str], Path]) -> None:
    """MovieLens-100k: every candidate but the user's own 18 or more earlier items, and sampling flatters."""
    folder = shared_data("ml-100k")
    frame = pd.read_csv(folder / "u.data", sep="\t", names=["user", "item", "rating", "time"])
    people = pd.read_csv(folder / "u.user", sep="|", names=["user", "age", "gender", "job", "zip"])
    frame = frame.merge(people[["user", "gender", "job"]], on="user")
    frame["click"] = (frame["rating"] >= 4).astype(int)
    schema = Schema(label="click", categorical=("item", "gender", "job"), user="user", item="item", time="time")
    train, valid, test = split(Table.from_pandas(frame, schema), by="last")
    candidates = Candidates.of(test, seen=(train, valid))
    assert candidates.sides == {"user": "user", "item": "item", "gender": "user", "job": "user", "time": "context"}
    made = ranker(train, "mlp")
    ranked: Ranked = rank(made, candidates)
    assert ranked.users == int(test.labels.sum())
    assert ranked.skipped == 943 - ranked.users
    rated = pd.concat([part.arrow.to_pandas()["user"] for part in (train, valid)]).value_counts()
    assert ranked.candidates == pytest.approx(1682 - rated[candidates.names].mean())
    assert ranked.context == ()
    flattered = rank_all(made, test, seen=(train, valid), sampled=100)
    assert flattered.metrics["sampled-100:recall@10"] > ranked.metrics["full:recall@10"]
