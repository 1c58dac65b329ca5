"""Compact tables: each formula against one id at a time, over every model, in the bytes that are said."""

from __future__ import annotations

import inspect
import itertools
import json
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from compact import KINDS, NARROW, SPEC, drawn
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from recdistill.configuration import StudentSettings
from recdistill.errors import UsageError
from recdistill.features import PAD, FeatureSpec
from recdistill.fit_settings import FitSettings
from recdistill.models import MODELS, build
from recdistill.models.embeddings import Embeddings, PlainTables, embeddings_of, quantised, unplaced
from recdistill.models.embeddings.compact.hashing import Hashed, HashedTables
from recdistill.models.embeddings.compact.narrow import NarrowTables
from recdistill.models.embeddings.compact.quotient_remainder import QuotientRemainderTables
from recdistill.models.embeddings.fused import Fusing, fuse
from recdistill.optimisers import RowOptimiser
from recdistill.plan import FeatureSizes, PlanSettings
from recdistill.plan.network_size import built, table_sizes
from recdistill.trainees import optimisers_of

every_kind = pytest.mark.parametrize("kind", KINDS)
every_model = pytest.mark.parametrize("model", MODELS)
DIM = 6


def made(model: str, kind: str, spec: FeatureSpec = SPEC, **arguments: Any) -> nn.Module:
    """A model with tables of a kind; one of few numbers per id cannot have shorter ones."""
    if model == "lr" and kind in NARROW:
        arguments = {"classes": 5, **arguments}
    dim = {} if model == "lr" else {"embedding_dim": DIM}
    return build(model, spec, arguments={"tables": KINDS[kind], **dim, **arguments})


def inner(module: nn.Module) -> list[PlainTables]:
    return [part for part in module.modules() if isinstance(part, PlainTables)]


# ------------------------------------------------------------------------------------------ formulas


def slow_vector(embeddings: Embeddings, place: int, i: int) -> Tensor:
    """The vector of id i of a feature, written out."""
    tables, there = embeddings.table._at(place)  # type: ignore[operator, union-attr]
    if isinstance(tables, PlainTables):
        return tables.weight[tables.starts[there] + i]
    if isinstance(tables, HashedTables):
        frequent, buckets, j = tables.kind.frequent, tables.kind.buckets, i - tables.kind.frequent
        rows = [j % buckets, (1_103_515_245 * j + 362_436_069) % (2**31 - 1) % buckets][: tables.kind.hashes]
        first = there * (frequent + buckets)
        return sum(tables.rows.weight[first + (i if j < 0 else frequent + row)] for row in rows)  # type: ignore[return-value]
    if isinstance(tables, QuotientRemainderTables):
        high = sum(tables.quotients.rows[:there]) + i // tables.buckets
        low = there * tables.buckets + i % tables.buckets
        return tables.quotients.weight[high] * tables.remainders.weight[low]
    if isinstance(tables, NarrowTables):
        blocks: Any = tables.blocks
        block = next(b for b in blocks if b.first <= i < b.stops[there])
        row = block.rows.weight[sum(block.rows.rows[:there]) + i - block.first]
        return row if block.projection is None else row @ block.projection[there]
    return tables.rows.weight[i]


def told(kind: str, sizes: list[int], small: int, other: int) -> dict[str, Any]:
    """A kind with drawn numbers."""
    return {
        "hashing": {"buckets": small, "frequent": other},
        "double_hashing": {"buckets": small, "frequent": other},
        "quotient_remainder": {"buckets": small},
        "mixed_dimension": {"head": small, "step": other + 2, "alpha": 0.5},
        "low_rank": {"rank": 1 + other % 3},
        "shared": {"features": [["0", "2"]]},
    }[kind] | {"kind": kind}


@every_kind
@settings(max_examples=25)
@given(st.lists(st.integers(1, 60), min_size=3, max_size=5), st.integers(0, 3), st.integers(1, 9), st.integers(0, 4))
def test_vectors_are_those_of_the_formula(kind: str, sizes: list[int], single: int, small: int, other: int) -> None:
    sizes = [*sizes[:2], sizes[0], *sizes[3:]]
    features = [(str(place), size) for place, size in enumerate(sizes)]
    spec = FeatureSpec(tuple(features[:single]), tuple(features[single:]))
    torch.manual_seed(1)
    embeddings = Embeddings(spec, 4, tables=told(kind, sizes, small, other), deviation=1.0)
    batch = drawn(spec, rows=5, seed=small)
    for row, found in enumerate(embeddings(batch)):
        lists = [*batch.ids[row, :, None], *(ids[row] for ids in batch.multi)]
        expected = [
            torch.stack([slow_vector(embeddings, place, int(i)) for i in ids if i != PAD]).mean(0)
            for place, ids in enumerate(lists)
        ]
        torch.testing.assert_close(found, torch.stack(expected))
    for place, size in enumerate(sizes):
        whole = embeddings.table.vectors(place, torch.arange(size))  # type: ignore[operator]
        torch.testing.assert_close(whole, torch.stack([slow_vector(embeddings, place, i) for i in range(size)]))


@pytest.mark.parametrize("i", [0, 4, 5, 2**31 - 2])
def test_hashes_of_the_largest_ids_are_those_of_whole_numbers(i: int) -> None:
    tables = HashedTables(1, 2, Hashed(1000, 5, hashes=2), deviation=1.0)
    j = i - 5
    expected = [i, i] if i < 5 else [5 + j % 1000, 5 + (1_103_515_245 * j + 362_436_069) % (2**31 - 1) % 1000]
    assert tables._rows(torch.tensor([i], dtype=torch.int32)).tolist() == [expected]


def test_two_hashes_tell_apart_what_one_does_not() -> None:
    """Of ids that share their first row, few share both."""
    rows = HashedTables(1, 2, Hashed(100, 1, hashes=2), deviation=1.0)._rows(torch.arange(1, 2001))
    assert len(rows[:, 0].unique()) == 100
    assert len(rows.unique(dim=0)) > 1700  # of 2000 pairs out of 10,000: about 1813 by chance
    assert rows[:, 1].bincount().max() < 50


@every_kind
def test_initial_vectors_are_as_large_as_plain_ones(kind: str) -> None:
    spec = FeatureSpec((("item", 2000),), (("seen", 2000),))
    tables = {**KINDS[kind], **({"buckets": 500} if "hashing" in kind else {})}
    torch.manual_seed(0)
    embeddings = Embeddings(spec, 16, tables=tables, deviation=0.01)
    found = embeddings.table.vectors(0, torch.arange(2000))  # type: ignore[operator]
    assert float(found.std()) == pytest.approx(0.01, rel=0.25)


# --------------------------------------------------------------------------------------------- bytes


def numbers(kind: str, ids: int, dim: int) -> int:
    """How many numbers a feature of a table takes by the formulas that are documented; no more than plain."""
    widths = [dim, max(1, round(dim / 3**0.5)), max(1, round(dim / 3)), max(1, round(dim / 3**1.5))]
    sizes = [len(range(first, min(ids, stop))) for first, stop in itertools.pairwise([0, 4, 12, 36, 108])]
    found = {
        "hashing": dim * (1 + 8),
        "double_hashing": dim * (3 + 8),
        "quotient_remainder": dim * (7 + -(-ids // 7)),
        "low_rank": 2 * (ids + dim),
        "mixed_dimension": sum(w * (n + (dim if w < dim else 0)) for w, n in zip(widths, sizes, strict=True) if n),
        "shared": dim * ids,
    }
    return min(found[kind], dim * ids)


@every_kind
def test_bytes_are_those_of_the_formula(kind: str) -> None:
    embeddings = Embeddings(SPEC, DIM, tables=KINDS[kind])
    features = [*SPEC.categorical, *SPEC.multi]
    expected = sum(numbers(kind, ids, DIM) for _, ids in features)
    if kind == "shared":
        expected -= DIM * dict(features)["seen"]
    if kind == "mixed_dimension":  # user, item and seen have four blocks, of which each has a row for other ids
        expected += 6 + 3 + 2 + 1
    assert sum(weight.nbytes for weight in embeddings.table.state_dict().values()) == 4 * expected


@every_kind
@every_model
def test_every_model_is_smaller_than_with_plain_tables(model: str, kind: str) -> None:
    network = made(model, kind)
    arguments = {k: v for k, v in network.arguments.items() if k != "tables"}  # type: ignore[operator, union-attr]
    plain = build(model, SPEC, arguments=arguments)
    small, large = (sum(t.nbytes for t in one.state_dict().values()) for one in (network, plain))
    assert small < large
    fewer = sum(t.nbytes for t in quantised(network, 8).state_dict().values())
    assert fewer < small


# ------------------------------------------------------------------------------------------ contract


@every_kind
@every_model
def test_every_model_scores_rows_whatever_their_padding_and_learns_all_of_its_tables(model: str, kind: str) -> None:
    network, batch = made(model, kind), drawn()
    for weights in network.parameters():
        weights.data.normal_(std=0.3)
    logits = network.eval()(batch)
    assert len(logits) == len(batch)
    assert logits.isfinite().all()
    longer = replace(batch, multi=tuple(nn.functional.pad(ids, (1, 2), value=PAD) for ids in batch.multi))
    close = partial(torch.testing.assert_close, rtol=1e-4, atol=1e-3)
    close(network(longer), logits)
    close(torch.cat([network(batch.rows(slice(i, i + 1))) for i in range(9)]), logits[:9])
    assert network(batch.rows(slice(0, 0))).shape == (0, *logits.shape[1:])
    logits.square().mean().backward()
    for _, module in embeddings_of(network):
        touched = [weights.grad for weights in module.parameters() if weights.numel()]
        assert all(gradient is not None and gradient.any() for gradient in touched)


@every_kind
def test_sparse_gradients_are_the_dense_ones_of_the_rows_that_were_looked_up(kind: str) -> None:
    network, batch = made("deepfm", kind), drawn(rows=4)
    for weights in network.parameters():
        weights.data.normal_()
    found = []
    for sparse in (False, True):
        for tables in inner(network):
            tables.sparse = sparse
        network.zero_grad()
        network(batch).square().sum().backward()
        found.append([tables.weight.grad for tables in inner(network)])
    for dense, sparse_one in zip(*found, strict=True):
        assert sparse_one.is_sparse  # type: ignore[union-attr]
        torch.testing.assert_close(sparse_one.to_dense(), dense)  # type: ignore[union-attr]
    parts = optimisers_of(network, FitSettings(embedding_optimiser="lazy_adam")).parts
    assert [len(p.param_groups[0]["params"]) for p in parts if isinstance(p, RowOptimiser)] == [len(inner(network))]


@every_kind
@pytest.mark.parametrize("model", ["mlp", "dlrm"])
def test_a_spec_without_ids_is_let_be(model: str, kind: str) -> None:
    spec = FeatureSpec(number=("age", "price"))
    if kind == "shared":
        with pytest.raises(UsageError, match="features with ids share tables, got 'item': known: none"):
            made(model, kind, spec)
        return
    assert made(model, kind, spec)(drawn(spec)).shape == (60,)


@every_kind
def test_first_order_weights_are_hashed_but_not_narrowed(kind: str) -> None:
    network: Any = made("deepfm", kind)
    plain: Any = build("deepfm", SPEC, arguments={"embedding_dim": DIM})
    sizes = [sum(t.weight.numel() for t in inner(one.first)) for one in (network, plain)]
    assert sizes[0] < sizes[1] if kind not in NARROW else sizes[0] == sizes[1]


@every_model
def test_without_the_argument_nothing_is_other_than_it_was(model: str) -> None:
    assert inspect.signature(MODELS[model]).parameters["tables"].default is None
    plain, none = (build(model, SPEC, seed=3, arguments=arguments) for arguments in ({}, {"tables": None}))
    assert "tables" not in none.arguments  # type: ignore[operator]
    assert all(isinstance(module.table, PlainTables) for _, module in embeddings_of(plain))
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), none.parameters(), strict=True))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        size = sum(ids for _, ids in (*SPEC.categorical, *SPEC.multi))
        nn.Embedding(size, 4)
        expected, number = torch.empty(size, 4).normal_(std=0.01), torch.randn(1, 4) * 0.01
        torch.manual_seed(5)
        found = Embeddings(SPEC, 4)
    assert torch.equal(found.table.weight, expected)  # type: ignore[arg-type]
    assert torch.equal(found.number, number)


@every_kind
def test_arguments_are_kept_as_they_were_told_and_are_not_unplaced(kind: str) -> None:
    with unplaced():
        network = made("mlp", kind)
    arguments: Any = json.loads(json.dumps(network.arguments))
    assert arguments["tables"] == KINDS[kind]
    again = build("mlp", SPEC, arguments=arguments)
    again.load_state_dict(network.state_dict())
    assert torch.equal(again(drawn()), network(drawn()))


# ----------------------------------------------------------------------------------- what is refused

WRONG = [
    ({"kind": "hashin", "buckets": 3}, "unknown kind of tables 'hashin', did you mean 'hashing'"),
    ({"kind": "hashing", "bucket": 3}, "unknown argument 'bucket' of kind of tables 'hashing', did you mean 'buckets'"),
    ({"kind": "hashing"}, "buckets"),
    ({"buckets": 3}, "compact tables are told a kind, one of hashing, .*, got {'buckets': 3}"),
    ("hashing", "compact tables are told a kind, one of hashing, .*, got 'hashing'"),
    ({"kind": "hashing", "buckets": 0}, "buckets must be a whole number of at least 1, got 0"),
    ({"kind": "double_hashing", "buckets": 2.5}, "buckets must be a whole number of at least 1, got 2.5"),
    ({"kind": "hashing", "buckets": 3, "frequent": -1}, "frequent must be a whole number of at least 0, got -1"),
    ({"kind": "quotient_remainder", "buckets": True}, "buckets must be a whole number of at least 1, got True"),
    ({"kind": "low_rank", "rank": 0}, "rank must be a whole number of at least 1, got 0"),
    ({"kind": "low_rank", "rank": 6}, "rows must be shorter than the vectors, got vectors of 6 with rank=6"),
    ({"kind": "mixed_dimension", "alpha": 0}, "alpha must be a positive number, got 0"),
    ({"kind": "mixed_dimension", "alpha": 1e-3}, "rows must be shorter than the vectors, got vectors of 6 with alpha"),
    ({"kind": "mixed_dimension", "step": 1}, "step must be a whole number of at least 2, got 1"),
    ({"kind": "shared", "features": ["item", "seen"]}, "features must be lists of two names or more"),
    (
        {"kind": "shared", "features": [["item", "sen"]]},
        "features with ids share tables, got 'sen': did you mean 'seen'",
    ),
    ({"kind": "shared", "features": [["item", "user"]]}, "must have as many ids, got {'user': 50, 'item': 40}"),
    ({"kind": "shared", "features": [["item", "seen"], ["seen", "tags"]]}, "a feature shares one table"),
]


@pytest.mark.parametrize(("tables", "said"), WRONG)
def test_what_makes_no_sense_is_refused_with_the_rule(tables: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        build("mlp", SPEC, arguments={"embedding_dim": DIM, "tables": tables})


@pytest.mark.parametrize("kind", NARROW)
def test_one_number_per_id_cannot_be_shorter(kind: str) -> None:
    with pytest.raises(UsageError, match="rows must be shorter than the vectors, got vectors of 1 with"):
        build("lr", SPEC, arguments={"tables": KINDS[kind]})


@every_kind
def test_an_experiment_is_told_of_them_in_its_settings(kind: str) -> None:
    arguments = {"embedding_dim": DIM, "hidden": [8], "tables": KINDS[kind]}
    assert StudentSettings(model="mlp", arguments=arguments).arguments["tables"] == KINDS[kind]
    with pytest.raises(ValueError, match="unknown kind of tables 'shard', did you mean"):
        StudentSettings(model="mlp", arguments={**arguments, "tables": {"kind": "shard"}})


@every_kind
def test_plans_and_kernels_are_of_plain_tables(kind: str) -> None:
    features = FeatureSizes(categorical=dict(SPEC.categorical), multi=dict(SPEC.multi))  # type: ignore[arg-type]
    settings = PlanSettings(model="mlp", arguments={"embedding_dim": DIM, "tables": KINDS[kind]})
    with pytest.raises(UsageError, match=r"plans need plain tables, .* got compact ones in 'embeddings'"):
        table_sizes(built("mlp", features.spec, settings.arguments), settings.fit, lengths={}, kernels=False)
    pytest.importorskip("torchrec")
    network = made("mlp", kind)
    with pytest.raises(UsageError, match=r"torchrec's kernels need plain tables, .* got compact ones in 'embeddings'"):
        fuse(network, Fusing("sgd", lr=0.1, weight_decay=0, device="cpu"))
