"""Compression: what is removed is what matters least, what is left is an ordinary ranker, and bytes are as counted."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from recdistill.compression import Compression, reduced
from recdistill.compression.low_rank import factors, low_rank
from recdistill.compression.pruning import magnitudes, most, pruned
from recdistill.distillation import DistillSettings, distill
from recdistill.encoder import Encoder
from recdistill.errors import UsageError
from recdistill.features import FeatureSpec
from recdistill.fit_settings import FitSettings
from recdistill.metrics import logloss
from recdistill.models import MODELS, build
from recdistill.models.embeddings import embeddings_of, quantised
from recdistill.models.hidden_layers import hidden_layers, mask
from recdistill.ranker import Ranker
from recdistill.schema import Schema
from recdistill.settings import fill
from recdistill.soft_labels import SoftLabels
from recdistill.tables import Table
from recdistill.training import fit
from recdistill.transforms import Hashing

SCHEMA = Schema(
    label="click",
    categorical=("user", "shop"),
    multi=("tags",),
    number=("price", "age"),
    vector=("image",),
    user="user",
)
# Each model, and the ways in which one of them can be built otherwise.
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in MODELS},
    "deepfm, several classes": ("deepfm", {"hidden": [12, 10], "classes": 3}),
    "mlp, two layers": ("mlp", {"hidden": [12, 10], "dropout": 0.5}),
    "mlp, low rank": ("mlp", {"hidden": [[20, 9], 10]}),
    "dcnv2, stacked, experts": ("dcnv2", {"hidden": [16, 12], "stacked": True, "ranks": [3, 2]}),
    "dlrm, deep bottom": ("dlrm", {"bottom": [20, 18], "top": [16]}),
    "finalmlp, heads": (
        "finalmlp",
        {"streams": [[20, 24], [16]], "contexts": [["user", "image"], ["shop"]], "gate": [12], "heads": 4},
    ),
    "finalmlp, one stream": ("finalmlp", {"streams": [[12], []], "contexts": [["user"], []]}),
}
every_case = pytest.mark.parametrize("case", CASES)
DEEP = [case for case, (model, _) in CASES.items() if model not in ("fm", "lr")]
every_deep_case = pytest.mark.parametrize("case", DEEP)
ALL_WAYS = Compression(prune=0.5, rank=0.25, min_count=20)


def drawn(rows: int, seed: int = 0) -> Table:
    """Rows whose users are the rarer the larger their number."""
    rng = np.random.default_rng(seed)
    columns = {
        "click": rng.integers(0, 2, rows),
        "user": [f"u{int(12 * rng.random() ** 2)}" for _ in range(rows)],
        "shop": [None if rng.random() < 0.1 else f"s{rng.integers(40)}" for _ in range(rows)],
        "tags": [[f"t{int(8 * rng.random() ** 2)}" for _ in range(rng.integers(4))] for _ in range(rows)],
        "price": rng.normal(size=rows),
        "age": rng.normal(size=rows),
        "image": rng.normal(size=(rows, 3)).tolist(),
    }
    return Table(pa.table({name: pa.array(values) for name, values in columns.items()}), SCHEMA)


TRAIN = drawn(300)
ENCODER = Encoder.fit(TRAIN, {"shop": Hashing(9)})
ROWS = drawn(60, seed=1)


def ranker(case: str, seed: int = 1) -> Ranker:
    """With weights of the size that trained ones have."""
    model, arguments = CASES[case]
    network = build(model, ENCODER.spec, arguments=arguments)
    generator = torch.Generator().manual_seed(seed)
    for weights in network.parameters():
        weights.data.normal_(std=0.2, generator=generator)
    return Ranker(ENCODER, network)


def close(found: Ranker, expected: Ranker, rows: Table = ROWS) -> None:
    largest = float(np.abs(expected.score(rows)).max())
    assert found.score(rows) == pytest.approx(expected.score(rows), abs=1e-5 * (1 + largest))


# ------------------------------------------------------------------------------------------- every model


@every_case
def test_nothing_asked_is_a_copy(case: str) -> None:
    whole = ranker(case)
    same = reduced(whole, Compression(), TRAIN)
    assert np.array_equal(same.score(ROWS), whole.score(ROWS))
    assert (same.fingerprint, same.network.arguments) == (whole.fingerprint, whole.network.arguments)
    for weights in same.network.parameters():
        weights.data.zero_()
    assert whole.score(ROWS).any()


@every_deep_case
def test_what_is_left_is_an_ordinary_ranker(case: str, tmp_path: Path) -> None:
    whole = ranker(case)
    before = whole.fingerprint
    small = reduced(whole, ALL_WAYS, TRAIN)
    assert whole.fingerprint == before
    assert small.parameters < whole.parameters
    assert np.array_equal(small.copy().score(ROWS), small.score(ROWS))
    small.save(tmp_path / "small")
    again = Ranker.load(tmp_path / "small")
    assert (again.fingerprint, again.network.arguments) == (small.fingerprint, small.network.arguments)
    assert np.array_equal(again.score(ROWS), small.score(ROWS))
    assert small.hidden(ROWS).shape[1] == small.network.last_layer.in_features  # type: ignore[union-attr]
    if small.score(ROWS).ndim == 1:  # the labels are clicks
        fit(small, TRAIN, settings=FitSettings(epochs=1))
        assert not np.array_equal(again.score(ROWS), small.score(ROWS))


@every_deep_case
@pytest.mark.parametrize("side", ["makers", "readers"])
def test_a_unit_that_says_nothing_is_removed_without_a_trace(case: str, side: str) -> None:
    """No weight reads it, or it is always 0: half the units of each layer, one after the other in each part."""
    whole = ranker(case)
    layers = hidden_layers(whole.network)
    for layer in layers:
        for units in getattr(layer, side):
            count = len(whole.network.get_parameter(f"{layer.own[-1]}.bias"))
            weight = whole.network.get_parameter(units.weight)
            weight.data[~mask(weight, units, alternately(count)).expand_as(weight)] = 0
    small = Ranker(ENCODER, pruned(whole.network, ENCODER.spec, 0.5))
    close(small, whole)
    for layer, left in zip(layers, hidden_layers(small.network), strict=True):
        bias, smaller = (one.network.get_parameter(f"{layer.own[-1]}.bias") for one in (whole, small))
        assert torch.equal(smaller, bias[alternately(len(bias))]), left


def alternately(units: int) -> Tensor:
    return torch.arange(units) % 2 == 0


@every_deep_case
def test_every_other_weight_stays(case: str) -> None:
    """A unit's own numbers alone are gone: rows of the tables, the last bias and all else are what they were."""
    whole = ranker(case)
    small = pruned(whole.network, ENCODER.spec, 0.25)
    touched = {units.weight for layer in hidden_layers(whole.network) for units in (*layer.makers, *layer.readers)}
    old, new = whole.network.state_dict(), small.state_dict()
    assert old.keys() == new.keys()
    assert all(torch.equal(old[name], new[name]) for name in old.keys() - touched)
    for name in touched:
        assert set(new[name].flatten().tolist()) <= set(old[name].flatten().tolist())


@every_deep_case
def test_matrices_of_a_rank_are_kept_by_that_rank(case: str) -> None:
    whole, share = ranker(case), 0.25
    for name, weight in whole.network.named_parameters():
        if weight.ndim == 2 and ".table." not in name:
            rank = max(1, round(share * min(weight.shape)))
            u, s, v = torch.linalg.svd(weight.data, full_matrices=False)
            weight.data = (u[:, :rank] * s[:rank]) @ v[:rank]
    small = Ranker(ENCODER, low_rank(whole.network, ENCODER.spec, share))
    assert small.parameters < whole.parameters
    close(small, whole)


# ---------------------------------------------------------------------------------------------- pruning


def test_the_least_magnitudes_by_the_slow_way() -> None:
    """√(Σ_j w_j² + b²) · √(Σ_k v_k²) of a unit's own weights w, b and those v that read it."""
    whole = ranker("mlp, two layers")
    first, second, last = (layer for layer in whole.network.deep if isinstance(layer, nn.Linear))
    kept = []
    for layer, after in ((first, second), (second, last)):
        sizes = {}
        for unit in range(layer.out_features):
            own = sum(w**2 for w in layer.weight[unit].tolist()) + layer.bias[unit].item() ** 2
            read = sum(after.weight[k, unit].item() ** 2 for k in range(after.out_features))
            sizes[unit] = math.sqrt(own * read)
        kept.append(sorted(sorted(sizes, key=sizes.__getitem__)[round(0.3 * len(sizes)) :]))
    small = reduced(whole, Compression(prune=0.3), TRAIN).network
    assert small.arguments["hidden"] == [8, 7]  # type: ignore[index]
    found = [layer for layer in small.deep if isinstance(layer, nn.Linear)]
    for of, old, rows, columns in zip(
        found, (first, second, last), (*kept, [0]), (range(first.in_features), *kept), strict=True
    ):
        assert torch.equal(of.weight, old.weight[rows][:, list(columns)])
        assert torch.equal(of.bias, old.bias[rows])


@every_deep_case
def test_moving_the_scale_of_a_unit_changes_no_magnitude(case: str) -> None:
    whole = ranker(case)
    layer = hidden_layers(whole.network)[-1]
    before = magnitudes(whole.network, layer)
    for units in layer.makers:
        whole.network.get_parameter(units.weight).data *= 8
    for units in layer.readers:
        weight = whole.network.get_parameter(units.weight)
        weight.data[~mask(weight, units, torch.zeros(len(before), dtype=torch.bool)).expand_as(weight)] /= 8
    torch.testing.assert_close(magnitudes(whole.network, layer), before)


@given(
    st.integers(1, 3).flatmap(lambda parts: st.tuples(st.just(parts), st.integers(1, 9))),
    st.floats(0, 0.999),
    st.integers(0, 99),
)
def test_the_best_of_each_part_stay(shape: tuple[int, int], share: float, seed: int) -> None:
    parts, width = shape
    values = torch.randint(0, 4, (parts * width,), generator=torch.Generator().manual_seed(seed)).float()
    found = most(values, share, parts=parts).view(parts, width)
    removed = min(width - 1, round(share * width))
    for kept, of in zip(found.tolist(), values.view(parts, width).tolist(), strict=True):
        order = sorted(range(width), key=lambda unit: (-of[unit], unit))  # of equal ones the first
        assert [unit for unit in range(width) if kept[unit]] == sorted(order[: width - removed])


def test_heads_keep_as_many_units_each() -> None:
    small = reduced(ranker("finalmlp, heads"), Compression(prune=0.4), TRAIN).network
    assert small.arguments["streams"] == [[12, 16], [8]]  # type: ignore[index]
    assert small.arguments["gate"] == [7]  # type: ignore[index]


def test_fine_tuning_mends_what_pruning_broke() -> None:
    rng = np.random.default_rng(0)
    rows = drawn(1500, seed=2)
    x = np.stack([rows.numpy("price"), rows.numpy("age")], 1)
    truth = (3 * np.tanh(x @ [1.5, -2.0]) + 2 * np.tanh(2 * x[:, 1])).astype(np.float32)
    clicks = pa.array((rng.random(1500) < 1 / (1 + np.exp(-truth))).astype(int))
    rows = Table(rows.arrow.drop_columns(["click"]).append_column("click", clicks), SCHEMA)
    train, valid = rows.take(np.arange(1000)), rows.take(np.arange(1000, 1500))
    soft = SoftLabels.from_column(train, truth[:1000], scale="logit")
    student = Ranker(encoder := Encoder.fit(train), build("mlp", encoder.spec, arguments={"hidden": [32, 16]}))
    told, fitting = DistillSettings(alpha=0.7), FitSettings(epochs=4, batch_size=64, learning_rate=3e-3)
    distill(student, train, soft, settings=told, fitting=fitting)
    small = reduced(student, Compression(prune=0.75), train)
    right_after = logloss(small.score(valid), valid.labels)
    distill(small, train, soft, settings=told, fitting=fitting)
    assert logloss(small.score(valid), valid.labels) < right_after - 0.01


# -------------------------------------------------------------------------------------------- low rank


@given(st.integers(1, 7), st.integers(1, 7), st.integers(1, 7), st.integers(0, 99))
def test_factors_are_the_nearest_of_their_rank(out: int, width: int, rank: int, seed: int) -> None:
    """‖W − UV‖² = Σ_{i > r} σ_i² (Eckart & Young 1936), and both factors have the same norm."""
    rank = min(rank, out, width)
    matrix = torch.randn(out, width, generator=torch.Generator().manual_seed(seed))
    up, down = factors(matrix, rank)
    assert (up.shape, down.shape) == ((out, rank), (rank, width))
    left = torch.linalg.svdvals(matrix)[rank:].square().sum()
    assert (matrix - up @ down).square().sum().item() == pytest.approx(left.item(), abs=1e-4)
    torch.testing.assert_close(up.square().sum(), down.square().sum())


def test_a_layer_of_low_rank_is_two_linear_ones() -> None:
    whole = ranker("mlp, two layers")
    width = whole.network.deep[0].in_features  # type: ignore[index, union-attr]
    small = reduced(whole, Compression(rank=0.6), TRAIN)
    assert small.network.arguments["hidden"] == [[12, 7], 10]  # of the second 6 · (12 + 10) are no fewer than 12 · 10
    assert whole.parameters - small.parameters == 12 * width - 7 * (12 + width)
    fewer = reduced(small, Compression(rank=0.25), TRAIN)
    assert fewer.network.arguments["hidden"] == [[12, 3], [10, 2]]
    assert small.parameters - fewer.parameters == 4 * (12 + width) + 12 * 10 - 2 * (12 + 10)
    assert reduced(fewer, Compression(prune=0.5), TRAIN).network.arguments["hidden"] == [[6, 3], [5, 2]]


def test_cross_layers_are_of_low_rank_too() -> None:
    whole = ranker("dcnv2")
    small = reduced(whole, Compression(rank=0.25), TRAIN)
    width = whole.network.cross.layers[0].in_features  # type: ignore[index, union-attr]
    rank = round(width / 4)
    assert small.network.arguments["ranks"] == [rank]
    crosses = [sum(p.numel() for p in one.network.cross.parameters()) for one in (whole, small)]  # type: ignore[union-attr]
    assert crosses[0] - crosses[1] == 3 * (width**2 - 2 * rank * width)


# ----------------------------------------------------------------------------------------- vocabularies


def occurrences(name: str) -> dict[Any, int]:
    """How often each value is looked up in the training rows; None is the unseen id."""
    values = TRAIN.column(name).to_pylist()
    if name == "tags":
        values = [tag for tags in values for tag in (tags or [None])]
    return {value: values.count(value) for value in set(values)}


@every_case
def test_rare_ids_share_the_weighted_mean_of_their_rows(case: str) -> None:
    """All rows score as with whole tables in which each rare id's row, and the unseen one's, is that mean."""
    whole, least = ranker(case), 30
    small = reduced(whole, Compression(min_count=least), TRAIN)
    expected = whole.copy()
    for name in ("user", "tags"):
        counts = occurrences(name)
        ids = {None: 0, **{value: 1 + place for place, value in enumerate(ENCODER.columns[name][1].values.to_pylist())}}
        rare = [value for value in counts if counts[value] < least or value is None] + [None]
        assert 2 < len(set(rare)) < len(ids)
        assert small.encoder.columns[name][1].rows == 1 + len(ids.keys() - set(rare))
        total = sum(counts.get(value, 0) for value in set(rare))
        for _, embeddings in embeddings_of(expected.network):
            places = [feature for feature, _ in embeddings.features]
            first, weight = embeddings.table.starts[places.index(name)], embeddings.table.weight.data
            mean = sum(counts.get(value, 0) * weight[first + ids[value]].double() for value in set(rare)) / total
            for value in {*rare, None}:
                weight[first + ids[value]] = mean
    close(small, expected)
    assert small.encoder.columns["shop"][1] == Hashing(9)


def test_kept_values_score_as_before_and_dropped_ones_as_unseen() -> None:
    whole = ranker("deepfm")
    small = reduced(whole, Compression(min_count=30), TRAIN)
    kept = {name: {value for value, count in occurrences(name).items() if count >= 30} for name in ("user", "tags")}
    records = ROWS.arrow.to_pylist()
    frequent = [row["user"] in kept["user"] and {*row["tags"]} <= kept["tags"] and bool(row["tags"]) for row in records]
    assert 5 < sum(frequent) < len(records) - 5
    assert small.score(ROWS)[frequent] == pytest.approx(whole.score(ROWS)[frequent], abs=1e-6)
    for row in records:
        row["user"] = row["user"] if row["user"] in kept["user"] else "new"
        row["tags"] = [tag if tag in kept["tags"] else "new" for tag in row["tags"]]
    assert np.array_equal(
        small.score(Table(pa.Table.from_pylist(records, ROWS.arrow.schema), SCHEMA)), small.score(ROWS)
    )


def test_where_no_id_is_rare_nothing_changes() -> None:
    whole = ranker("fm")
    same = reduced(whole, Compression(min_count=2), TRAIN)
    assert min(occurrences("user").values()) >= 2
    assert np.array_equal(same.score(ROWS), whole.score(ROWS))
    assert same.encoder.columns["user"][1].min_count == 2


# ---------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("model", "how", "rule"),
    [
        ("fm", {"prune": 0.1}, "pruning removes hidden units, got 'fm' without a hidden layer"),
        ("lr", {"prune": 0.1}, "got 'lr' without"),
        ("lr", {"rank": 0.5}, "must save weights, got rank=0.5, with which"),
        ("mlp", {"rank": 0.99}, "must save weights, got rank=0.99, with which"),
    ],
)
def test_what_a_model_does_not_have_cannot_be_removed(model: str, how: dict[str, Any], rule: str) -> None:
    with pytest.raises(UsageError, match=rule):
        reduced(ranker(model), Compression(**how), TRAIN)


def test_what_cannot_be_reduced_is_refused() -> None:
    numbers = Table(TRAIN.arrow, Schema(label="click", categorical=("shop",), number=("price",)))
    encoder = Encoder.fit(numbers, {"shop": Hashing(9)})
    with pytest.raises(UsageError, match="got min_count=3 and no column that has one"):
        reduced(Ranker(encoder, build("mlp", encoder.spec)), Compression(min_count=3), numbers)
    small = Ranker(ENCODER, quantised(ranker("mlp").network, 8))
    with pytest.raises(UsageError, match="rows of plain tables can be dropped, got QuantisedTables in 'embeddings'"):
        reduced(small, Compression(min_count=3), TRAIN)
    with pytest.raises(UsageError, match="only the package's own models"):
        reduced(Ranker(ENCODER, nn.Linear(1, 1)), Compression(), TRAIN)


@pytest.mark.parametrize("size", [[8], [8, 0], [0, 8], [8, 4, 2]])
def test_sizes_that_are_none_are_refused(size: list[int]) -> None:
    with pytest.raises(UsageError, match=r"must be \(units, rank\), both at least 1, got"):
        build("mlp", ENCODER.spec, arguments={"hidden": [size]})


@pytest.mark.parametrize(
    "values",
    [
        *({"prune": value} for value in (1.0, -0.1, math.nan)),
        *({"rank": value} for value in (0.0, 1.1, math.nan)),
        *({"min_count": 0}, {"tables": "int2"}, {"dense": "int4"}),
    ],
)
def test_settings_out_of_range_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"setting '{next(iter(values))}'"):
        fill(Compression, values)


def test_words_and_names_tell_compressions_apart() -> None:
    several = [
        Compression(),
        Compression(tables="int8", prune=0.5),
        Compression(dense="int8", rank=0.25, min_count=1000),
    ]
    assert [how.words for how in several] == [
        "as trained",
        "int8 tables, 50% of units removed",
        "int8 layers, rank 25%, ids of 1,000 rows or more",
    ]
    assert [how.name for how in several] == [
        "as-trained",
        "tables-int8-prune-0.5",
        "dense-int8-rank-0.25-min-count-1000",
    ]


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_layers_of_one_size_become_smaller_together_or_stay(share: float) -> None:
    """FinalMLP's gates have one size in its arguments, though one may read far more than the other."""
    names = [f"c{place}" for place in range(16)]
    spec = FeatureSpec(categorical=tuple((name, 3) for name in names))
    arguments = {"embedding_dim": 4, "streams": [[16], [16]], "gate": [16], "contexts": [names[:1], names]}
    whole = build("finalmlp", spec, arguments=arguments)
    small = low_rank(whole, spec, share)
    before, after = (sum(p.numel() for p in network.parameters()) for network in (whole, small))
    assert after < before
    assert small.arguments["gate"] == [16]
