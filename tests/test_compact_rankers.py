"""Rankers with compact tables: saved, copied, under other encoders, exported, and not mixed up with plain ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from compact import KINDS, NARROW
from torch import Tensor

import recdistill as rd
from recdistill.errors import UsageError
from recdistill.models import MODELS, build
from recdistill.models.embeddings import Embeddings, embeddings_of, placed, unplaced
from recdistill.models.embeddings.compact.blocks import Block
from recdistill.models.embeddings.compact.hashing import Hashed, HashedTables
from recdistill.models.embeddings.compact.narrow import NarrowTables
from recdistill.models.embeddings.compact.quotient_remainder import QuotientRemainder, QuotientRemainderTables
from recdistill.models.embeddings.plain import PlainTables
from recdistill.transforms import Hashing, Transform
from recdistill.transplants import transplant

SCHEMA = rd.Schema(label="click", categorical=("user", "item", "shop"), multi=("seen",), number=("price",))
every_kind = pytest.mark.parametrize("kind", KINDS)
HASHED = [kind for kind in KINDS if kind not in (*NARROW, "shared")]


def table(items: int, seed: int, rows: int = 400) -> rd.Table:
    """Rows with so many items, of which those with small numbers are frequent."""
    rng = np.random.default_rng(seed)
    item = np.minimum(rng.geometric(0.06, rows), items)
    columns = {
        "click": pa.array(rng.integers(0, 2, rows)),
        "user": pa.array([f"u{n}" for n in rng.integers(30, size=rows)]),
        "item": pa.array(item),
        "shop": pa.array([f"s{n}" for n in rng.integers(2, size=rows)]),
        "seen": pa.array([rng.choice(item, rng.integers(4)).tolist() for _ in range(rows)], pa.list_(pa.int64())),
        "price": pa.array(rng.normal(size=rows)),
    }
    return rd.Table(pa.table(columns), SCHEMA)


SOURCE, TARGET = table(40, seed=0), table(60, seed=1)


def ranker(kind: str, rows: rd.Table = SOURCE, model: str = "deepfm", **arguments: Any) -> rd.Ranker:
    """With weights as large as trained ones."""
    alike: dict[str, Transform] = {name: Hashing(25) for name in ("item", "seen") if kind == "shared"}
    encoder = rd.Encoder.fit(rows, alike)
    sizes = {} if model == "lr" else {"embedding_dim": 6}
    network = build(model, encoder.spec, seed=1, arguments={"tables": KINDS[kind], **sizes, **arguments})
    for weights in network.parameters():
        weights.data.normal_(std=0.2, generator=torch.Generator().manual_seed(weights.numel()))
    for block in (module for module in network.modules() if isinstance(module, Block) and not module.whole):
        block.rows.weight.data[block.spare] = 0.0
    return rd.Ranker(encoder, network)


def features(one: rd.Ranker) -> list[str]:
    return [name for name, _ in (*one.encoder.spec.categorical, *one.encoder.spec.multi)]


def vectors(one: rd.Ranker, name: str) -> Tensor:
    """(ids, dim) of a feature, of the second-order embeddings."""
    module: Any = dict(embeddings_of(one.network))["second"]
    place = features(one).index(name)
    return module.table.vectors(place, torch.arange(module.features[place][1])).detach()


# ------------------------------------------------------------------------------------------- in files


@every_kind
@pytest.mark.parametrize("model", MODELS)
def test_saved_loaded_and_copied_they_are_bit_for_bit_the_same(model: str, kind: str, tmp_path: Path) -> None:
    made = ranker(kind, model=model, **({"classes": 5} if model == "lr" else {}))
    made.save(tmp_path / "ranker")
    for again in (rd.Ranker.load(tmp_path / "ranker"), made.copy()):
        assert again.fingerprint == made.fingerprint
        assert np.array_equal(again.score(SOURCE), made.score(SOURCE))


# ------------------------------------------------------------------------------- under other encoders


@every_kind
def test_under_the_same_encoder_nothing_changes(kind: str) -> None:
    made = ranker(kind)
    assert made.under(made.encoder).fingerprint == made.fingerprint


@every_kind
def test_with_new_ids_known_ones_keep_their_vectors(kind: str) -> None:
    made = ranker(kind)
    grown = made.extended(TARGET)
    for name in features(made):
        old, new = vectors(made, name), vectors(grown, name)
        assert torch.equal(new[: len(old)], old) or kind in NARROW
        torch.testing.assert_close(new[: len(old)], old, rtol=1e-6, atol=1e-6)
        if kind == "low_rank":
            torch.testing.assert_close(new[len(old) :], old[:1].expand(len(new) - len(old), -1))
    grew = [name for name in ("user", "item") if len(vectors(grown, name)) > len(vectors(made, name))]
    assert grew or kind == "shared"


def taken(made: rd.Ranker, other: rd.Ranker, name: str) -> Tensor:
    """(ids, dim) the vectors that a ranker's ids had in another."""
    ids = made.encoder.ids_in(other.encoder)[features(made).index(name)]
    return vectors(other, name)[torch.from_numpy(ids)]


def test_low_rank_vectors_follow_their_values() -> None:
    made = ranker("low_rank")
    fresh = made.refitted(TARGET)
    assert fresh.encoder.columns["item"][1] != made.encoder.columns["item"][1]
    for name in features(made):
        torch.testing.assert_close(vectors(fresh, name), taken(fresh, made, name), atol=1e-5, rtol=1e-5)


def test_mixed_dimensions_follow_where_a_block_is_wide_enough_and_otherwise_as_near_as_it_lets() -> None:
    """In each block the error is that of the truncated SVD of its known values' vectors."""
    made = ranker("mixed_dimension")
    fresh = made.refitted(TARGET)
    tables: Any = fresh.network.second.table  # type: ignore[union-attr]
    for name in ("user", "item", "seen"):
        wanted, found = taken(fresh, made, name), vectors(fresh, name)
        part, _ = tables._at(features(fresh).index(name))
        known = torch.from_numpy(fresh.encoder.ids_in(made.encoder)[features(fresh).index(name)]) > 0
        assert isinstance(part, NarrowTables)
        for block, stop in zip(part.blocks, [4, 12, 36, 108], strict=False):
            own = torch.arange(block.first, min(stop, len(found)))  # type: ignore[arg-type]
            own = own[known[own] | (own == 0)]
            values = torch.linalg.svdvals(wanted[own])
            width = block.rows.weight.shape[1]  # type: ignore[union-attr]
            best = values[width:].square().sum().sqrt()
            assert float((found[own] - wanted[own]).norm()) == pytest.approx(float(best), abs=1e-4)


def test_of_hashed_rows_each_is_the_mean_of_the_known_values_that_share_it() -> None:
    made = ranker("hashing")
    fresh = made.refitted(TARGET)
    for name in ("user", "item", "seen"):
        old, found = vectors(made, name), vectors(fresh, name)
        ids = torch.from_numpy(fresh.encoder.ids_in(made.encoder)[features(fresh).index(name)])
        for row in range(1, 9):
            sharing = [i for i in range(1, len(ids)) if 1 + (i - 1) % 8 == row]
            known = [i for i in sharing if ids[i] > 0]
            expected = torch.stack([old[ids[i]] for i in known or sharing]).mean(0)
            for i in sharing:
                torch.testing.assert_close(found[i], expected)
        assert torch.equal(found[0], old[0])


@pytest.mark.parametrize("kind", HASHED)
def test_a_value_that_shares_no_row_has_its_own_vector_again(kind: str) -> None:
    """Whether it shared before or not: of few ids in many rows nothing is lost."""
    shared: Any = {
        "hashing": HashedTables(1, 4, Hashed(5, 1, hashes=1), deviation=1.0),
        "double_hashing": HashedTables(1, 4, Hashed(5, 1, hashes=2), deviation=1.0),
        "quotient_remainder": QuotientRemainderTables([20], 4, QuotientRemainder(5), deviation=1.0),
    }[kind]
    plain, ids = PlainTables([9], 4), torch.tensor([0, 3, 17, 4, 11, 12, 13, 1, 19])
    plain.take(0, shared, 0, ids)
    assert torch.equal(plain.weight, shared.vectors(0, ids))
    sparse: Any = type(shared)
    kinds = Hashed(97, 1, hashes=shared.kind.hashes) if kind != "quotient_remainder" else QuotientRemainder(97)
    roomy = sparse([9] if kind == "quotient_remainder" else 1, 4, kinds, deviation=1.0)
    if kind == "double_hashing":
        assert len(roomy._rows(torch.arange(1, 9)).flatten().unique()) == 16
    roomy.take(0, plain, 0, torch.arange(9))
    torch.testing.assert_close(roomy.vectors(0, torch.arange(9)), plain.weight.detach())


def test_a_feature_that_is_shared_from_now_on_has_the_means_of_vectors_as_remainders() -> None:
    plain, tables = (
        PlainTables([6], 2, deviation=1.0),
        QuotientRemainderTables([12], 2, QuotientRemainder(3), deviation=1.0),
    )
    ids = torch.tensor([0, 1, 2, 3, 4, 5, 0, 0, 0, 0, 0, 0])  # the last ones were not known
    tables.take(0, plain, 0, ids)
    weight = plain.weight.detach()
    assert torch.equal(tables.quotients.weight, torch.ones(4, 2))
    torch.testing.assert_close(tables.remainders.weight.detach(), (weight[:3] + weight[3:]) / 2)


# ---------------------------------------------------------------------------------------- shared ids


def test_features_that_share_a_table_must_mean_the_same() -> None:
    made = ranker("shared")
    for _, module in embeddings_of(made.network):
        item, seen = (module.table.vectors(place, torch.arange(26)) for place in (1, 3))  # type: ignore[operator, union-attr]
        assert torch.equal(item, seen)
    rows = SOURCE.take(np.arange(30))
    encoder = rd.Encoder.fit(rows, {"item": Hashing(25), "seen": Hashing(26)})
    with pytest.raises(UsageError, match=r"must have as many ids, got {'item': 26, 'seen': 27}"):
        build("mlp", encoder.spec, arguments={"tables": KINDS["shared"]})
    both = rd.Schema(label="click", categorical=("item", "user"))
    columns = {"click": [0, 1, 1], "item": ["a", "a", "b"], "user": ["b", "b", "a"]}
    apart = rd.Encoder.fit(rd.Table(pa.table(columns), both))
    network = build("mlp", apart.spec, arguments={"tables": {"kind": "shared", "features": [["item", "user"]]}})
    with pytest.raises(
        UsageError, match=r"the same id for the same value, .* other ones in each of \['item', 'user'\]"
    ):
        rd.Ranker(apart, network)


# ------------------------------------------------------------------------------ what plain tables are for


@every_kind
def test_transplants_and_new_rows_alone_are_of_plain_tables(kind: str) -> None:
    made = ranker(kind)
    plain = rd.Ranker(made.encoder, build("deepfm", made.encoder.spec))
    for pair in ((made, plain), (plain, made)):
        with pytest.raises(UsageError, match="transplants need plain tables"):
            transplant(*pair)
    with pytest.raises(UsageError, match="new rows that are trained alone need plain tables"):
        rd.adapt(made, TARGET, valid=SOURCE, what="new_rows")


@every_kind
def test_a_fit_with_updates_of_rows_learns(kind: str) -> None:
    made = ranker(kind, model="mlp")
    before = {name: weights.clone() for name, weights in made.network.state_dict().items()}
    rd.fit(made, SOURCE, settings=rd.FitSettings(epochs=1, batch_size=100, embedding_optimiser="rowwise_adagrad"))
    tables = [name for name in before if ".table." in name]
    assert tables
    for block in (module for module in made.network.modules() if isinstance(module, Block) and not module.whole):
        assert not block.rows.weight[block.spare].any()
    assert all(not torch.equal(before[name], made.network.state_dict()[name]) for name in tables)


def test_what_is_not_placed_is_placed_and_what_is_compact_stays() -> None:
    made = ranker("hashing")
    with unplaced():
        network = build("deepfm", made.encoder.spec, arguments={"tables": KINDS["low_rank"], "embedding_dim": 6})
    kinds = [type(module.table).__name__ for _, module in embeddings_of(placed(network))]
    assert kinds == ["PlainTables", "CompactTables"]
    assert isinstance(network.second, Embeddings)


# ------------------------------------------------------------------------------------------- exports


CASES = [
    *[(model, list(KINDS)[place % len(KINDS)], "float32") for place, model in enumerate(MODELS)],
    *[("mlp", kind, tables) for kind in KINDS for tables in ("int8", "int4")],
]


@pytest.mark.parametrize(("model", "kind", "tables"), CASES)
def test_exports_score_as_in_torch(model: str, kind: str, tables: Any, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    place = TARGET.arrow.column_names.index("click")  # one label: of random ones an AUC says nothing
    rows = rd.Table(TARGET.arrow.set_column(place, "click", pa.array(np.zeros(len(TARGET), int))), SCHEMA)
    found = rd.export(ranker(kind, model=model), tmp_path / "student", rows=rows, tables=tables)
    assert found.parity.largest <= 1e-5
    assert (found.compressed is None) == (tables == "float32")


@pytest.mark.parametrize("kind", ["double_hashing", "quotient_remainder", "mixed_dimension"])
def test_lists_alone_are_exported(kind: str, tmp_path: Path) -> None:
    """No feature has one id then, neither in the rows nor in a group."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    rows = TARGET.with_schema(rd.Schema(label="click", multi=("seen",)))
    found = rd.export(ranker(kind, rows, model="mlp"), tmp_path / "student", rows=rows)
    assert found.parity.largest <= 1e-5
