"""Transforms against slow plain-Python references, and an Encoder that never looks past its training rows."""

from __future__ import annotations

import contextlib
import json
import math
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from recdistill.batch import Batch
from recdistill.encoder import Encoder
from recdistill.errors import DataError, UsageError
from recdistill.features import PAD
from recdistill.schema import Schema
from recdistill.tables import Table
from recdistill.transforms import KINDS, Hashing, LogBuckets, Quantiles, Scaled, Vocabulary

SCHEMA = Schema(categorical=("site",), multi=("tags",), number=("price",), vector=("text",))
# How to make a transform whose arguments have no default, for the tests that run over all of KINDS.
ARGUMENTS: dict[str, dict[str, Any]] = {"hashing": {"buckets": 7}, "vocabulary": {"min_count": 2}}
LISTS = {"tags": [["a", "b"], [], None, ["b", None, "c"]], "text": [[0.0, 1.0], [2.0, 5.0], [3.0, 3.0], [1.0, 1.0]]}
ROWS: dict[str, list[Any]] = {"site": ["x", "y", "x", None], "price": [1.5, -3.0, None, 40.0], **LISTS}
SAMPLES: dict[str, Any] = {"categorical": "a", "multi": ["a"], "number": 1.5, "vector": [1.5, 2.0]}
TYPES = {"site": pa.string(), "tags": pa.list_(pa.string()), "price": pa.float64(), "text": pa.list_(pa.float64())}
text, real, whole = (partial(pa.array, type=kind) for kind in (pa.string(), pa.float64(), pa.int64()))
four = partial(st.lists, min_size=4, max_size=4)
few = settings(max_examples=50)
letter = st.none() | st.sampled_from("abxyzé")
letters = st.lists(letter, max_size=12)
thousandths = st.integers(-(10**9), 10**9) | st.integers(-3, 9).map(lambda n: 1000 * n)
numbers = st.lists(st.none() | thousandths.map(lambda n: n / 1000), max_size=12)
every_kind = pytest.mark.parametrize("kind", KINDS)


def table(**columns: list[Any]) -> Table:
    """Four rows of every kind of feature, with some columns replaced."""
    return Table(pa.table({name: pa.array(columns.get(name, v), TYPES[name]) for name, v in ROWS.items()}), SCHEMA)


def fitted(kind: str, train: Table) -> Encoder:
    """An encoder that uses a kind of transform for every column that takes it."""
    encoder, chosen = Encoder.fit(train), KINDS[kind](**ARGUMENTS.get(kind, {}))
    for name in SCHEMA.features:
        with contextlib.suppress(DataError):
            encoder.columns[name] = Encoder.fit(train, {name: chosen}).columns[name]
    assert any(type(made) is KINDS[kind] for _, made in encoder.columns.values()), f"no column takes {kind}"
    return Encoder(encoder.columns)


def same(a: Batch, b: Batch) -> bool:
    mine, others = [(x.ids, *x.multi, x.number, *x.vector) for x in (a, b)]
    return all(torch.equal(x, y) for x, y in zip(mine, others, strict=True))


@few
@given(letters, letters, st.integers(1, 3), st.booleans())
def test_a_vocabulary_numbers_values_by_falling_count(seen: Any, later: Any, least: int, coded: bool) -> None:
    def ordered(values: Any) -> list[str]:
        counts = Counter(v for v in values if v is not None)
        return sorted((v for v in counts if counts[v] >= least), key=lambda v: (-counts[v], v))

    known = ordered(seen)
    made = Vocabulary(least).fit(text(seen).dictionary_encode() if coded else text(seen))
    assert (made.values.to_pylist(), made.rows) == (known, 1 + len(known))
    expected = [1 + known.index(v) if v in known else 0 for v in seen + later]
    assert made.encode(text(seen + later)).tolist() == expected
    extended = made.extended(text(later))
    assert extended.values.to_pylist() == known + [v for v in ordered(later) if v not in known]
    assert extended.extended(text(later)).values.equals(extended.values)


@few
@given(letters, st.integers(1, 50))
def test_hashing_is_xxh3_of_the_text(values: Any, buckets: int) -> None:
    expected = [0 if v is None else 1 + xxhash.xxh3_64_intdigest(v.encode()) % buckets for v in values]
    for column in (text(values), text(values).dictionary_encode()):
        assert Hashing(buckets).fit(column).encode(column).tolist() == expected


def test_hashing_is_the_same_for_ever_and_for_numbers_and_their_text() -> None:
    assert Hashing(1000).encode(text(["a", "recdistill", "", "é", None])).tolist() == [720, 150, 139, 796, 0]
    ids = pa.array([0, 17, -5, 2**63 - 1])
    assert Hashing(997).rows == 998
    assert (Hashing(997).encode(ids) == Hashing(997).encode(text([str(v) for v in ids.to_pylist()]))).all()


@few
@given(numbers.filter(bool), numbers, st.integers(1, 6))
def test_quantiles_count_the_edges_at_or_below(seen: Any, later: Any, buckets: int) -> None:
    made = Quantiles(buckets).fit(real(seen))
    known = sorted(v for v in seen if v is not None)
    positions = [i / buckets * (len(known) - 1) for i in range(1, buckets)] if known else []
    between = [known[int(p)] + (p % 1) * (known[math.ceil(p)] - known[int(p)]) for p in positions]
    edges = made.edges or ()
    assert {round(edge, 5) for edge in edges} == {round(edge, 5) for edge in between}
    expected = [0 if v is None else 1 + sum(v >= edge for edge in edges) for v in seen + later]
    assert made.encode(real(seen + later)).tolist() == expected


@few
@given(numbers, numbers, st.integers(1, 2))
def test_log_buckets_are_the_floor_of_the_squared_logarithm(seen: Any, later: Any, least: int) -> None:
    def bucket(x: float | None) -> int | None:
        return None if x is None else math.floor(math.log(x) ** 2) if x > 2 else math.floor(x)

    made, plain = LogBuckets(least).fit(real(seen)), Vocabulary(least).fit(whole(map(bucket, seen)))
    expected = plain.encode(whole(map(bucket, later)))
    assert (made.encode(real(later)).tolist(), made.rows) == (expected.tolist(), plain.rows)
    with pytest.raises(UsageError, match="must be fitted first"):
        LogBuckets().encode(real(later))


@few
@given(numbers.filter(bool), numbers, st.booleans())
def test_scaled_numbers_have_mean_zero_and_deviation_one(seen: Any, later: Any, log: bool) -> None:
    def squeeze(values: Any) -> list[float]:
        return [math.copysign(math.log1p(abs(v)), v) if log else v for v in values if v is not None]

    squeezed = squeeze(seen) or [0.0]
    mean = math.fsum(squeezed) / len(squeezed)
    deviation = math.sqrt(math.fsum((v - mean) ** 2 for v in squeezed) / len(squeezed))
    made = Scaled(log).fit(real(seen))
    assert made.mean == pytest.approx((mean,), abs=1e-7)
    assert made.deviation == pytest.approx((deviation if len(set(squeezed)) > 1 else 1.0,), abs=1e-7, rel=1e-6)
    expected = [0.0 if v is None else (squeeze([v])[0] - made.mean[0]) / made.deviation[0] for v in later]
    assert made.encode(real(later)) == pytest.approx(np.array(expected).reshape(len(later), 1), rel=1e-5)


@pytest.mark.parametrize("constant", [0.0, 1.0, 100000.1, -1e9 / 3])
def test_a_constant_keeps_its_scale_however_large(constant: float) -> None:
    made = Scaled().fit(real([constant] * 1001))
    assert made.encode(real([constant, constant + 1]))[:, 0] == pytest.approx([0, 1], abs=1e-4)


def test_vectors_are_scaled_by_position() -> None:
    values = np.array([[1.0, 10.0], [3.0, 10.0], [5.0, 40.0]])
    made = Scaled().fit(pa.array(values.tolist()))
    assert made.encode(pa.array(values.tolist())) == pytest.approx((values - values.mean(0)) / values.std(0))
    assert (made.dim, made.encode(pa.array([], pa.list_(pa.float64()))).shape) == (2, (0, 2))


@settings(max_examples=12)
@given(four(letter), four(st.none() | st.lists(letter, max_size=3)), four(st.none() | st.floats(-1e3, 1e3)))
@every_kind
def test_each_row_is_encoded_by_the_training_rows_alone(kind: str, site: Any, tags: Any, price: Any) -> None:
    encoder, test = fitted(kind, table()), table(site=site, tags=tags, price=price)
    together = encoder.encode(test)
    for row in range(4):
        alone = encoder.encode(test.take(np.array([row])))
        assert torch.equal(together.ids[row], alone.ids[0])
        assert torch.equal(together.number[row], alone.number[0])
        assert torch.equal(together.multi[0][row, : alone.multi[0].shape[1]], alone.multi[0][0])
    assert encoder.fingerprint == fitted(kind, table()).fingerprint
    sizes = torch.tensor([size for _, size in encoder.spec.categorical])
    assert ((together.ids >= 0) & (together.ids < sizes)).all()
    assert ((together.multi[0] >= PAD) & (together.multi[0] < encoder.spec.multi[0][1])).all()


@every_kind
def test_a_saved_encoder_is_loaded_the_same(kind: str, tmp_path: Path) -> None:
    encoder = fitted(kind, table())
    encoder.save(tmp_path)
    loaded = Encoder.load(tmp_path)
    assert (loaded.fingerprint, loaded.spec) == (encoder.fingerprint, encoder.spec)
    other = table(site=["y", "new", "x", "é"], price=[0.1, 1e6, -7.0, None])
    assert all(same(loaded.encode(rows), encoder.encode(rows)) for rows in (table(), other, table().take(np.arange(0))))
    assert fitted(kind, table(site=["x"] * 4, price=[9.0] * 4)).fingerprint != encoder.fingerprint


def test_lists_are_padded_and_never_empty() -> None:
    encoder = Encoder.fit(table())
    assert encoder.encode(table()).multi[0].tolist() == [[2, 1, PAD], [0, PAD, PAD], [0, PAD, PAD], [1, 0, 3]]
    assert encoder.encode(table(tags=[None, [], [], ["z"]])).multi[0].tolist() == [[0]] * 4


def test_an_extended_encoder_keeps_ids_and_covers_more() -> None:
    encoder, more = Encoder.fit(table()), table(site=["w", "x", "w", "v"], tags=[["b", "z"], ["q", "z"], None, []])
    share = {"rows": 1 / 4, "values": 1 / 3}  # seen values over values, of all and of distinct ones
    assert encoder.coverage(more) == {"site": share, "tags": share}
    assert encoder.coverage(table())["site"] == {"rows": 3 / 4, "values": 2 / 3}  # a missing value is never seen
    extended = encoder.extended(more)
    assert same(extended.encode(table()), encoder.encode(table()))
    assert extended.encode(more).ids[:, 0].tolist() == [3, 1, 3, 4]
    assert extended.coverage(more)["tags"] == {"rows": 1.0, "values": 1.0}


@pytest.mark.parametrize("name", SCHEMA.features)
@pytest.mark.parametrize("kind", SAMPLES)
def test_a_column_of_another_type_is_refused_by_name(name: str, kind: str) -> None:
    others, encoder = SCHEMA.without(name), Encoder.fit(table())
    roles: dict[str, Any] = {kind: (*getattr(others, kind), name)}
    columns = {c: [SAMPLES[kind]] if c == name else values[:1] for c, values in ROWS.items()}
    rows = Table(pa.table(columns), replace(others, **roles))
    right = contextlib.nullcontext() if kind == SCHEMA.kind(name) else None
    with right or pytest.raises(DataError, match=f"column '{name}' must hold "):
        assert len(encoder.encode(rows)) == 1


def test_what_does_not_fit_the_training_rows_is_refused_by_name() -> None:
    encoder = Encoder.fit(table())
    with pytest.raises(DataError, match="column 'text': vectors must have length 2, got 3"):
        encoder.encode(table(text=[[1.0, 2.0, 3.0]] * 4))
    with pytest.raises(DataError, match="column 'price' is missing"):
        encoder.encode(table().with_schema(SCHEMA.without("price")))
    user = Schema(categorical=("user",))
    numbered = Encoder.fit(Table(pa.table({"user": [7, 8]}), user))
    spelt = Table(pa.table({"user": ["8", "9"]}), user)
    assert numbered.encode(spelt).ids[:, 0].tolist() == [2, 0]
    assert numbered.extended(spelt).encode(spelt).ids[:, 0].tolist() == [2, 3]
    for use in (numbered.encode, numbered.extended, numbered.coverage):
        with pytest.raises(DataError, match="column 'user': values must be of type int64, got large_string"):
            use(Table(pa.table({"user": ["ada"]}), user))


def test_fit_needs_rows_features_and_transforms_that_fit() -> None:
    for rows in (table().take(np.arange(0)), table().with_schema(Schema())):
        with pytest.raises(DataError, match="an encoder needs rows and features, got"):
            Encoder.fit(rows)
    with pytest.raises(DataError, match=r"no feature column 'prise' to transform, did you mean 'price'\?"):
        Encoder.fit(table(), {"prise": Scaled()})
    for name, wrong in {"site": Scaled(), "tags": LogBuckets(), "price": Hashing(3), "text": Quantiles()}.items():
        with pytest.raises(DataError, match=f"column cannot use {type(wrong).__name__}, got it for '{name}'"):
            Encoder.fit(table(), {name: wrong})
    for kind in (Hashing, Vocabulary):
        with pytest.raises(UsageError, match=r"at least .*, got self\.(buckets|min_count)=0"):
            kind(0)


@pytest.mark.parametrize("change", [{"kind": "code"}, {"transform": {"kind": "eval"}}, {"vocabulary": "../gone"}])
def test_a_tampered_encoder_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    words = "unknown feature kind 'code'|a transform must be one of vocabulary, .*, got 'eval'|/gone does not exist"
    Encoder.fit(table()).save(tmp_path)
    stored = json.loads((tmp_path / "encoder.json").read_text())
    stored["columns"][0].update(change)
    for content, said in ((stored, words), ({"format": 2}, "must be of format 1, got 2")):
        (tmp_path / "encoder.json").write_text(json.dumps(content))
        with pytest.raises(DataError, match=said):
            Encoder.load(tmp_path)
