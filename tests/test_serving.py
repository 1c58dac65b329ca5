"""Serving: raw rows score as in training, whatever they come as; files part by part; damaged folders are refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import recdistill as rd
from recdistill.errors import DataError, UsageError
from recdistill.features import inputs
from recdistill.models import MODELS, build
from recdistill.models.embeddings import PlainTables, QuantisedTables
from recdistill.serving.rows import Rows
from recdistill.transforms import Hashing, LogBuckets, Quantiles, Scaled

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

import onnx
import onnxruntime

from recdistill import exporting
from recdistill.exporting import export, exported_program, parity, writing
from recdistill.serving import Scorer, files, reading, score_file

SCHEMA = rd.Schema(
    label="click",
    categorical=("user", "item", "shop"),
    multi=("tags",),
    number=("price", "age", "views"),
    vector=("image",),
    user="user",
)


def drawn(rows: int, seed: int = 0) -> list[dict[str, Any]]:
    """Rows of every kind, with missing values and empty lists."""
    rng = np.random.default_rng(seed)
    return [
        {
            "user": f"u{rng.integers(20)}",
            "item": int(rng.integers(30)),
            "shop": None if rng.random() < 0.2 else f"s{rng.integers(5)}",
            "tags": [None, [], [f"t{t}" for t in rng.integers(6, size=3)]][rng.integers(3)],
            "price": None if rng.random() < 0.2 else float(rng.normal()),
            "age": float(rng.integers(90)),
            "views": None if rng.random() < 0.2 else int(rng.integers(1000)),
            "image": rng.normal(size=3).tolist(),
            "click": int(rng.integers(2)),
            "note": "kept",
        }
        for _ in range(rows)
    ]


def table(rows: list[dict[str, Any]]) -> rd.Table:
    return rd.Table(pa.Table.from_pylist(rows), SCHEMA)


TRAIN = table(drawn(400))
OTHERS = {"shop": Hashing(7), "age": Quantiles(4), "views": LogBuckets()}
ENCODER = rd.Encoder.fit(TRAIN, {**OTHERS, "price": Scaled(log=True)})


def ranker(model: str = "deepfm", classes: int = 1) -> rd.Ranker:
    made = rd.Ranker(ENCODER, build(model, ENCODER.spec, seed=1, arguments={"classes": classes}))
    for weights in made.network.parameters():  # of the size that trained ones have
        weights.data.normal_(std=0.1)
    return made


@pytest.fixture(scope="module")
def student() -> rd.Ranker:
    return ranker()


@pytest.fixture(scope="module")
def folder(student: rd.Ranker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("served") / "student"
    export(student, place, rows=table(drawn(300, seed=1)))
    return place


@pytest.fixture(scope="module")
def scorer(folder: Path) -> Scorer:
    return Scorer.load(folder)


# ---------------------------------------------------------------------------------------------- parity


@pytest.mark.parametrize("model", MODELS)
def test_every_model_scores_as_in_torch(model: str, tmp_path: Path) -> None:
    made, rows = ranker(model), table(drawn(257, seed=2))
    found = export(made, tmp_path / "student", rows=rows).parity
    scorer = Scorer.load(tmp_path / "student")
    assert scorer.score(rows.arrow) == pytest.approx(made.score(rows), abs=1e-5, rel=1e-5)
    assert found.largest <= 1e-5
    assert found.rows == 257
    assert found.auc_difference is not None
    assert abs(found.auc_difference) < 1e-3
    assert scorer.score(drawn(1)).shape == (1,)
    stored = json.loads((tmp_path / "student" / "serving.json").read_text())
    assert (stored["model"], stored["parity"]["largest"]) == (model, found.largest)


def test_ratings_are_scored_by_class_and_predicted_as_their_mean(tmp_path: Path) -> None:
    rated = rd.Schema(**{**SCHEMA.to_dict(), "label": None, "rating": "stars", "grades": (1, 2, 5)})
    rows = rd.Table(pa.Table.from_pylist([{**row, "stars": 1 + row["click"]} for row in drawn(50)]), rated)
    made = ranker(classes=3)
    assert export(made, tmp_path / "student", rows=rows).parity.auc_difference is None
    scorer = Scorer.load(tmp_path / "student")
    logits = scorer.score(rows.arrow)
    assert logits == pytest.approx(made.score(rows), abs=1e-5)
    assert scorer.predict(rows.arrow) == pytest.approx(rd.metrics.expected_rating(logits, (1, 2, 5)), abs=1e-5)


@pytest.mark.parametrize("kinds", [("number",), ("multi",), ("vector",), ("categorical",)], ids=lambda of: of[0])
def test_features_of_one_kind_alone_are_exported(kinds: tuple[str, ...], tmp_path: Path) -> None:
    schema = rd.Schema(label="click", **{kind: getattr(SCHEMA, kind) for kind in kinds})
    rows = rd.Table(pa.Table.from_pylist(drawn(60)), schema)
    encoder = rd.Encoder.fit(rows)
    made = rd.Ranker(encoder, build("deepfm", encoder.spec, seed=0))
    assert export(made, tmp_path / "student", rows=rows).parity.largest <= 1e-5


def test_weights_that_one_file_cannot_hold_stand_beside_it(
    student: rd.Ranker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "IN_ONE_FILE", 0)
    rows = table(drawn(20))
    done = export(student, tmp_path / "student", rows=rows)
    names = {path.name: path.stat().st_size for path in (tmp_path / "student").glob("model.onnx*")}
    assert len(names) == 2
    assert done.bytes == sum(names.values())
    (tmp_path / "student").rename(tmp_path / "elsewhere")
    assert Scorer.load(tmp_path / "elsewhere").score(rows.arrow) == pytest.approx(student.score(rows), abs=1e-5)


def test_predictions_are_probabilities(scorer: Scorer) -> None:
    rows = drawn(20, seed=3)
    assert scorer.predict(rows) == pytest.approx(1 / (1 + np.exp(-scorer.score(rows).astype(float))), abs=1e-6)
    assert scorer.predicted(np.array([-1000, 0, 1000], np.float32)).tolist() == [0, 0.5, 1]


def test_ids_of_no_table_are_the_unseen_ones(student: rd.Ranker, scorer: Scorer) -> None:
    fed = scorer.encoded(drawn(3))
    away = {**fed, "ids": fed["ids"].copy(), "multi_0": fed["multi_0"].copy()}
    away["ids"][:, 0], away["multi_0"][:, 0] = [-7, 10**6, -1], [-9, 10**6, 10**6]
    unseen = {**away, "ids": away["ids"].copy(), "multi_0": away["multi_0"].copy()}
    unseen["ids"][:, 0] = unseen["multi_0"][:, 0] = 0
    assert np.array_equal(scorer.run(away), scorer.run(unseen))


def test_a_student_that_scores_otherwise_is_not_written(student: rd.Ranker, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"logits must be within -1 of torch's, got .* apart in 5 rows; nothing"):
        export(student, tmp_path / "student", rows=table(drawn(5)), close=-1)
    assert not list(tmp_path.iterdir())
    with pytest.raises(DataError, match="proved on real rows, got none"):
        export(student, tmp_path / "student", rows=TRAIN.take(np.zeros(0, int)))


def test_nothing_is_overwritten_unasked(student: rd.Ranker, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    export(student, tmp_path / "mine", rows=table(drawn(5)))  # an empty folder is nothing
    with pytest.raises(UsageError, match="mine is there already; choose another name or pass --overwrite"):
        export(student, tmp_path / "mine", rows=table(drawn(5)))
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "text").write_text("years of work")
    (tmp_path / "file").write_text("text")
    for name, rule in (("thesis", "holds something else than a served student"), ("file", "is there already")):
        with pytest.raises(UsageError, match=rule):
            export(student, tmp_path / name, rows=table(drawn(5)), overwrite=True)
    assert (tmp_path / "thesis" / "text").read_text() == "years of work"
    export(student, tmp_path / "mine", rows=table(drawn(5)), overwrite=True)
    assert Scorer.load(tmp_path / "mine").columns == tuple(ENCODER.columns)


def test_the_graph_of_torch_is_the_network(student: rd.Ranker, scorer: Scorer) -> None:
    rows = table(drawn(7))
    fed = {name: torch.from_numpy(values) for name, values in scorer.encoded(rows.arrow).items()}
    found = exported_program(student).module()(fed["ids"], fed["number"], [fed["multi_0"]], [fed["vector_0"]])
    assert found.detach().numpy() == pytest.approx(student.score(rows), abs=1e-6)


# ------------------------------------------------------------------------------------ tables in fewer bits


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 9), st.integers(1, 12), st.floats(-3, 3), st.sampled_from([4, 8]), st.integers(0, 99))
def test_no_number_of_a_quantised_row_is_off_by_more_than_half_a_step(
    rows: int, dim: int, middle: float, bits: int, seed: int
) -> None:
    plain = PlainTables([rows], dim)
    plain.weight.data = middle + torch.randn(rows, dim, generator=torch.Generator().manual_seed(seed))
    found = QuantisedTables(plain, bits)(torch.arange(rows, dtype=torch.int32)[:, None], [])[:, 0]
    weight = plain.weight.detach()
    rounding = weight.abs().amax(1, keepdim=True) * 2**-11  # of float16
    if dim <= 2:
        assert ((found - weight).abs() <= rounding).all()
        return
    step = (weight.amax(1, keepdim=True) - weight.amin(1, keepdim=True)) / (2**bits - 1)
    assert ((found - weight).abs() <= step * (0.5 + 2**-9) + 2 * rounding).all()


def test_rows_of_equal_numbers_and_ends_are_kept() -> None:
    plain = PlainTables([3], 4)
    plain.weight.data = torch.tensor([[0.5] * 4, [0.0] * 4, [-1.0, 0.0, 1.0, 14.0]])
    for bits in (4, 8):
        found = QuantisedTables(plain, bits)(torch.tensor([[0], [1], [2]], dtype=torch.int32), [])[:, 0]
        assert torch.equal(found[:2], plain.weight[:2])
        assert found[2, [0, 3]].tolist() == pytest.approx([-1, 14], abs=0.01)
    plain.weight.data[0, 0] = 1e6
    with pytest.raises(DataError, match="within float16 to be quantised"):
        QuantisedTables(plain, 8)


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("tables", ["int8", "int4"])
def test_an_export_with_small_tables_is_smaller_and_says_what_it_costs(
    tmp_path: Path, tables: Any, at_once: bool, monkeypatch: Any
) -> None:
    users = [{**row, "user": f"u{place}"} for place, row in enumerate(drawn(2_000, seed=9))]
    rows = table(users)
    encoder = rd.Encoder.fit(rows, OTHERS)
    student = rd.Ranker(encoder, build("deepfm", encoder.spec, seed=0, arguments={"hidden": [8]}))
    for weights in student.network.parameters():
        weights.data.normal_(std=0.05)
    size = sum(4 * m.weight.numel() for m in student.network.modules() if isinstance(m, PlainTables))
    monkeypatch.setattr(sys.modules[QuantisedTables.__module__], "AT_ONCE", size if at_once else size - 1)
    whole = export(student, tmp_path / "whole", rows=rows)
    small = export(student, tmp_path / "small", rows=rows, tables=tables)
    assert small.parity.largest <= 1e-5
    assert small.compressed is not None
    assert 0 < small.compressed.largest <= (0.05 if tables == "int8" else 0.5)
    assert small.bytes == (tmp_path / "small" / "model.onnx").stat().st_size
    assert small.bytes < whole.bytes * (0.5 if tables == "int8" else 0.4)
    assert set(looked_up_in(tmp_path / "whole")) == {"float32"}
    assert set(looked_up_in(tmp_path / "small")) == ({"float32"} if at_once else {"uint8", "float16"})
    apart = np.abs(Scorer.load(tmp_path / "small").score(rows.arrow) - student.score(rows))
    assert apart.max() == pytest.approx(small.compressed.largest, rel=0.2, abs=1e-6)
    stored = json.loads((tmp_path / "small" / "serving.json").read_text())
    assert (stored["tables"], stored["compressed"]["largest"]) == (tables, small.compressed.largest)


def looked_up_in(folder: Path) -> list[str]:
    """The kind of number in each table of rows that ONNX Runtime looks ids up in, once it has read the network."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder.with_suffix(".onnx"))
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
    graph = onnx.load(options.optimized_model_filepath).graph
    kept = {one.name: str(onnx.helper.tensor_dtype_to_np_dtype(one.data_type)) for one in graph.initializer}
    rows = {one.name for one in graph.initializer if len(one.dims) == 2}
    return [kept[node.input[0]] for node in graph.node if node.op_type == "Gather" and node.input[0] in rows]


def test_a_network_does_not_say_where_it_was_made(folder: Path) -> None:
    content = (folder / "model.onnx").read_bytes()
    assert b".py" not in content
    assert b"recdistill" not in content


def test_what_costs_too_much_is_not_written(student: rd.Ranker, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setitem(exporting.BOUNDS, "int4", (0.0, 0.01))
    with pytest.raises(DataError, match=r"int4 tables may move a logit by 0, .*, and AUC by 0.01, got .* nothing was"):
        export(student, tmp_path / "student", rows=table(drawn(50)), tables="int4")
    assert not list(tmp_path.iterdir())
    with pytest.raises(UsageError, match="float32, int8 or int4, got 'int2'"):
        export(student, tmp_path / "student", rows=table(drawn(50)), tables="int2")  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------- raw rows


texts = st.one_of(st.none(), st.sampled_from(["u1", "u2", "s1", "t1", "t2", "new", "", "7", "ü"]))
whole = st.one_of(st.none(), st.integers(-(2**40), 2**40), st.integers(0, 40))
reals = st.one_of(st.none(), st.floats(-1e6, 1e6), st.integers(-(10**6), 10**6))
records = st.lists(
    st.fixed_dictionaries(
        {
            "user": texts,
            "item": whole,
            "shop": texts,
            "tags": st.one_of(st.none(), st.lists(texts, max_size=4)),
            "price": reals,
            "age": reals,
            "views": st.one_of(st.none(), st.integers(-5, 10**6)),
            "image": st.lists(st.floats(-5, 5), min_size=3, max_size=3),
        }
    ),
    min_size=1,
    max_size=6,
)
TYPES = pa.schema(
    {
        **{name: pa.string() for name in ("user", "shop")},
        **{name: pa.int64() for name in ("item", "views")},
        **{name: pa.float64() for name in ("price", "age")},
        "tags": pa.list_(pa.string()),
        "image": pa.list_(pa.float64()),
    }
)


@settings(max_examples=150, deadline=None)
@given(records)
def test_records_are_encoded_as_tables_are(rows: list[dict[str, Any]]) -> None:
    arrow = pa.Table.from_pylist(rows, TYPES)
    schema = rd.Schema(**{kind: getattr(SCHEMA, kind) for kind in ("categorical", "multi", "number", "vector")})
    expected = ENCODER.encode(rd.Table(arrow, schema))
    for given_as in (rows, arrow, arrow.to_batches()[0]):
        coded, count = Rows(ENCODER).coded(given_as, ENCODER.columns)
        fed = inputs(ENCODER.spec, coded, count)
        assert np.array_equal(fed["ids"], expected.ids.numpy())
        assert np.array_equal(fed["number"], expected.number.numpy())
        assert np.array_equal(fed["multi_0"], expected.multi[0].numpy())
        assert np.array_equal(fed["vector_0"], expected.vector[0].numpy())


@settings(max_examples=25, deadline=None)
@given(records)
def test_records_score_as_in_torch(student: rd.Ranker, scorer: Scorer, rows: list[dict[str, Any]]) -> None:
    schema = rd.Schema(**{kind: getattr(SCHEMA, kind) for kind in ("categorical", "multi", "number", "vector")})
    theirs = student.score(rd.Table(pa.Table.from_pylist(rows, TYPES), schema))
    assert scorer.score(rows) == pytest.approx(theirs, rel=1e-5, abs=1e-4)


def test_a_frame_scores_as_its_records(scorer: Scorer) -> None:
    rows = drawn(40, seed=4)
    frame = pd.DataFrame(rows).assign(mixed=[1, "x"] * 20)  # a column that nobody asks for may hold anything
    assert np.array_equal(scorer.score(frame), scorer.score(rows))
    assert np.array_equal(scorer.score(frame.to_dict("records")), scorer.score(rows))  # which has NaN for None
    coded = frame.astype({"user": "category", "shop": "category"})
    assert np.array_equal(scorer.score(coded), scorer.score(rows))
    without = [{**row, "shop": None, "item": row["item"] if place else None} for place, row in enumerate(rows)]
    gaps = pd.DataFrame(without)  # items are floats now, for pandas has no integer that is missing
    assert np.array_equal(scorer.score(gaps), scorer.score(without))
    with pytest.raises(DataError, match="column 'item' is there several times"):
        scorer.score(pd.concat([frame, frame[["item"]]], axis=1))
    with pytest.raises(UsageError, match="at least one at a time, got batch_size=0"):
        scorer.score(rows, batch_size=0)
    assert np.array_equal(scorer.score(rows, batch_size=7), scorer.score(rows))


@pytest.mark.parametrize("multi", [False, True])
@pytest.mark.parametrize(
    ("odd", "ids"),
    [(2, [1, 2]), (2.0, [1, 2]), (np.int64(2), [1, 2]), (None, [1, 0]), (9, [1, 0]), (True, None), (Decimal(2), None)],
)
def test_beside_a_known_id_one_of_another_type_is_read_as_alone(odd: Any, ids: list[int] | None, multi: bool) -> None:
    values = [[1], [2], [3]] if multi else [1, 2, 3]
    schema = rd.Schema(label="click", **{"multi" if multi else "categorical": ("i",)})  # type: ignore[arg-type]
    encoder = rd.Encoder.fit(rd.Table(pa.table({"i": values * 2, "click": [0, 1] * 3}), schema))
    records = [{"i": [value] if multi else value} for value in (1, odd)]
    if ids is not None and not (multi and isinstance(odd, float)):  # of lists, floats are no ids
        assert Rows(encoder).coded(records, ["i"])[0]["i"].ravel().tolist() == ids
        return
    with pytest.raises(DataError, match="column 'i'"):
        Rows(encoder).coded(records, ["i"])


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        ({"price": "dear"}, "column 'price' must hold numbers"),
        ({"price": float("inf")}, "numbers must be finite"),
        ({"price": 10**400}, "column 'price' must hold values of one kind"),
        ({"age": 2**70}, "column 'age'"),
        ({"item": True}, "column 'item' must hold strings or integers"),
        ({"shop": "\ud800"}, "column 'shop'"),
        ({"user": 1.5}, "ids must be strings or integers, got double"),
        ({"tags": "t1"}, "column 'tags' must hold lists"),
        ({"tags": [["t1"]]}, "column 'tags' must hold lists of strings or integers"),
        ({"image": [1.0]}, "vectors must have length 3, got 1"),
        ({"item": "seven"}, "column 'item': values must be of type int64"),
        ({"user": {"a": 1}}, "column 'user' must hold strings or integers"),
    ],
)
def test_a_value_that_is_none_of_the_columns_is_named(scorer: Scorer, changed: dict[str, Any], rule: str) -> None:
    with pytest.raises(DataError, match=rule):
        scorer.score([{**drawn(1)[0], **changed}])


def test_what_are_no_rows_is_refused(scorer: Scorer) -> None:
    row = drawn(1)[0]
    lacking = {name: value for name, value in row.items() if name != "price"}
    for rows in ([lacking], pa.Table.from_pylist([lacking])):
        with pytest.raises(DataError, match="column 'price' is missing"):
            scorer.score(rows)
    for wrong in (row, [1, 2], "rows", np.zeros(3)):
        with pytest.raises(DataError, match="a pandas DataFrame, or a list of dicts, got"):
            scorer.score(wrong)
    with pytest.raises(DataError, match="must hold values of one kind"):
        scorer.score([row, {**row, "user": 7}])
    assert scorer.score([]).shape == (0,)


# ----------------------------------------------------------------------------------- many candidates


def test_one_user_with_many_candidates_is_their_rows(scorer: Scorer) -> None:
    rows = drawn(30, seed=5)
    user = {name: rows[0][name] for name in ("user", "age", "price", "shop")}
    items = [{name: row[name] for name in ("item", "tags", "views", "image")} for row in rows]
    candidates = scorer.candidates(items)
    assert len(candidates) == 30
    expected = scorer.score([{**item, **user} for item in items])
    assert np.array_equal(scorer.score_candidates(user, candidates), expected)
    for given_as in (pa.Table.from_pylist(items), pd.DataFrame(items)):
        assert np.array_equal(scorer.score_candidates(user, scorer.candidates(given_as)), expected)
    assert scorer.score_candidates(user, scorer.candidates([])).shape == (0,)
    with pytest.raises(DataError, match="the context's or the candidates', got views in both"):
        scorer.score_candidates({**user, "views": 3}, candidates)
    with pytest.raises(DataError, match="column 'age' is missing"):
        scorer.score_candidates({name: user[name] for name in ("user", "price", "shop")}, candidates)
    with pytest.raises(DataError, match="candidates need at least one of the columns"):
        scorer.candidates([{"other": 1}])


# ------------------------------------------------------------------------------------------------ files


def test_a_file_is_scored_part_by_part_in_its_order(
    scorer: Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "AT_A_TIME", 64)
    rows = [{**row, "user": "a stranger"} if place % 7 == 0 else row for place, row in enumerate(drawn(300, seed=6))]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet", row_group_size=100)
    told: list[int] = []
    done = score_file(scorer, tmp_path / "rows.parquet", tmp_path / "scores.parquet", told=told.append)
    assert (done.rows, done.kept) == (300, 300)
    known = set(scorer.encoder.columns["user"][1].values.to_pylist())  # type: ignore[union-attr]
    assert done.unknown["user"] == sum(row["user"] not in known for row in rows) > 0
    assert set(done.unknown) == {name for name, _ in scorer.encoder.spec.categorical}
    found = pq.read_table(tmp_path / "scores.parquet")
    assert found.column_names == ["user", "item", "shop", "click", "note", "score"]
    assert found["score"].to_numpy() == pytest.approx(scorer.predict(rows), abs=1e-6)
    assert found["user"].to_pylist() == [row["user"] for row in rows]
    assert (sum(told), len(told) > 3) == (300, True)
    with pytest.raises(UsageError, match=r"scores\.parquet is there already"):
        score_file(scorer, tmp_path / "rows.parquet", tmp_path / "scores.parquet")
    with pytest.raises(UsageError, match=r"rows\.parquet is the file to score"):
        score_file(scorer, tmp_path / "rows.parquet", tmp_path / "rows.parquet", overwrite=True)
    with pytest.raises(UsageError, match=r"is there already; choose another name$"):
        score_file(scorer, tmp_path / "rows.parquet", tmp_path, overwrite=True)
    score_file(scorer, tmp_path / "rows.parquet", tmp_path / "scores.parquet", keep=["note"], overwrite=True)
    assert pq.read_table(tmp_path / "scores.parquet").column_names == ["note", "score"]


@pytest.mark.parametrize("coded", [False, True], ids=["text", "categories"])
@pytest.mark.parametrize("top", [1, 3, 100])
def test_the_best_rows_of_each_user(
    scorer: Scorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, top: int, coded: bool
) -> None:
    monkeypatch.setattr(files, "AT_A_TIME", 16)
    monkeypatch.setattr(reading, "AT_A_TIME", 64)
    rows = [{**row, "user": row["user"] if place % 5 else None} for place, row in enumerate(drawn(300, seed=7))]
    written = pa.Table.from_pylist(rows)
    if coded:  # as pandas' categories are written
        written = written.set_column(0, "user", written["user"].dictionary_encode())
    pq.write_table(written, tmp_path / "rows.parquet")
    done = score_file(scorer, tmp_path / "rows.parquet", tmp_path / "best.parquet", top=top, by="user", keep=["item"])
    assert (done.rows, done.kept) == (300, pq.read_metadata(tmp_path / "best.parquet").num_rows)
    found = pq.read_table(tmp_path / "best.parquet").to_pandas()
    frame = pd.DataFrame(rows)[["item", "user"]].assign(score=scorer.predict(rows))
    for user, of in frame.fillna({"user": "none"}).groupby("user"):
        best = of.sort_values("score", ascending=False, kind="stable").head(top)
        mine = found[found["user"].astype(object).fillna("none") == user]
        assert mine["score"].to_numpy() == pytest.approx(best["score"].to_numpy(), abs=1e-6)
        assert mine["item"].tolist() == best["item"].tolist()


def test_text_is_read_by_the_kinds_of_training(tmp_path: Path) -> None:
    rows = [{"user": f"00{n % 7}", "age": float(n % 50) if n % 5 else None, "click": n % 2} for n in range(80)]
    schema = rd.Schema(label="click", categorical=("user",), number=("age",))
    encoder = rd.Encoder.fit(trained := rd.Table(pa.Table.from_pylist(rows), schema))
    export(rd.Ranker(encoder, build("lr", encoder.spec)), tmp_path / "student", rows=trained)
    scorer = Scorer.load(tmp_path / "student")
    pcsv.write_csv(trained.arrow.drop(["row_id"]), tmp_path / "rows.csv")
    (tmp_path / "rows.tsv").write_text((tmp_path / "rows.csv").read_text().replace(",", "\t"))
    for name in ("rows.csv", "rows.tsv"):
        score_file(scorer, tmp_path / name, tmp_path / "scores.parquet", overwrite=True)
        assert pq.read_table(tmp_path / "scores.parquet")["score"].to_numpy() == pytest.approx(scorer.predict(rows))


def test_the_text_that_training_read_scores_as_in_training(tmp_path: Path) -> None:
    """Ids such as NA, null and 7.0 are what they were there; so are empty and quoted fields."""
    rng = np.random.default_rng(0)
    named = rng.choice(["NA", "null", "nan", "7", "8", "007", '"a,b"', ""], 600)
    pointed = rng.choice(["7.0", "8.0", "9.0"], 600)
    lines = [f"{a},{b},{n % 9},{n % 2}" for n, (a, b) in enumerate(zip(named, pointed, strict=True))]
    for name in ("old", "new"):
        rest = lines if name == "new" else lines[::-1]
        (tmp_path / f"{name}.csv").write_text("\n".join(["user,shop,age,click", *rest]) + "\n")
    roles = {"label": "click", "categorical": ["user", "shop"], "number": ["age"]}
    told = {"source": "old.csv", "target": "new.csv", "schema": roles, "disjoint": []}
    trained = rd.datasets.load("files", str(tmp_path), told)[1]
    encoder = rd.Encoder.fit(trained)
    student = rd.Ranker(encoder, build("lr", encoder.spec, seed=0))
    for weights in student.network.parameters():
        weights.data.normal_(std=0.5)
    export(student, tmp_path / "student", rows=trained)
    score_file(Scorer.load(tmp_path / "student"), tmp_path / "new.csv", tmp_path / "scores.parquet")
    found = pq.read_table(tmp_path / "scores.parquet")
    assert found["score"].to_numpy() == pytest.approx(1 / (1 + np.exp(-student.score(trained))), abs=1e-5)


def test_text_that_is_wrong_further_on_is_named(tmp_path: Path) -> None:
    rows = [{"age": float(n % 50), "session": f"00{n % 3}", "click": n % 2} for n in range(50)]
    trained = rd.Table(pa.Table.from_pylist(rows), rd.Schema(label="click", number=("age",)))
    encoder = rd.Encoder.fit(trained)
    export(rd.Ranker(encoder, build("lr", encoder.spec)), tmp_path / "student", rows=trained)
    scorer = Scorer.load(tmp_path / "student")
    (tmp_path / "rows.csv").write_text("age,session,other\n" + "3,007,1\n" * 200_000 + "old,007,x\n")
    with pytest.raises(DataError, match=r"rows.csv cannot be read: .*old"):
        score_file(scorer, tmp_path / "rows.csv", tmp_path / "scores.parquet")
    (tmp_path / "rows.csv").write_text("age,session,other\n3,007,1\n4,7,x\n5,0007,\n")
    score_file(scorer, tmp_path / "rows.csv", tmp_path / "scores.parquet", keep=["session"], top=1, by="session")
    assert sorted(pq.read_table(tmp_path / "scores.parquet")["session"].to_pylist()) == ["0007", "007", "7"]
    (tmp_path / "twice.csv").write_text("age,x,x\n3,1,1\n")
    with pytest.raises(DataError, match="column names must be unique, got x several times in twice"):
        score_file(scorer, tmp_path / "twice.csv", tmp_path / "more.parquet")


def test_files_that_cannot_be_scored_are_refused(scorer: Scorer, tmp_path: Path) -> None:
    out = tmp_path / "scores.parquet"
    pq.write_table(pa.Table.from_pylist(drawn(5)), tmp_path / "rows.parquet")
    (tmp_path / "rows.csv").write_text("user\nu1\n")
    (tmp_path / "rows.txt").write_text("user\nu1\n")
    (tmp_path / "broken.parquet").write_text("no parquet")
    cases = {
        "gone.parquet": "is no file",
        "rows.txt": "files to score end in",
        "broken.parquet": "cannot be read",
        "rows.csv": "lists and vectors are read from Parquet, got the columns tags, image",
    }
    for name, rule in cases.items():
        with pytest.raises(DataError, match=rule):
            score_file(scorer, tmp_path / name, out)
    with pytest.raises(DataError, match="column 'colour' is missing"):
        score_file(scorer, tmp_path / "rows.parquet", out, keep=["colour"])
    for top, by in ((3, None), (0, "user"), (-1, "user")):
        with pytest.raises(UsageError, match="need both top"):
            score_file(scorer, tmp_path / "rows.parquet", out, top=top, by=by)
    with pytest.raises(UsageError, match=r"to a name that ends in .parquet, got 'scores.csv'"):
        score_file(scorer, tmp_path / "rows.parquet", tmp_path / "scores.csv")
    pq.write_table(pa.Table.from_pylist([{"user": "u1"}]), tmp_path / "few.parquet")
    with pytest.raises(DataError, match="is missing"):
        score_file(scorer, tmp_path / "few.parquet", out)
    assert not out.exists()
    assert not list(tmp_path.glob(".*"))


PEAK = """
import resource, sys
from recdistill.serving import Scorer, score_file
score_file(Scorer.load(sys.argv[1]), sys.argv[2], sys.argv[3], overwrite=True)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


@pytest.mark.slow
def test_ten_million_rows_take_no_more_memory_than_one(tmp_path: Path) -> None:
    schema = rd.Schema(label="click", categorical=("user", "item"), number=("price",), user="user")
    rows = [{"user": n % 500, "item": n % 90, "price": float(n % 7), "click": n % 2} for n in range(2_000)]
    trained = rd.Table(pa.Table.from_pylist(rows), schema)
    encoder = rd.Encoder.fit(trained)
    export(rd.Ranker(encoder, build("lr", encoder.spec)), tmp_path / "student", rows=trained)
    peaks = []
    for millions in (1, 10):
        rng = np.random.default_rng(0)
        with pq.ParquetWriter(tmp_path / "rows.parquet", trained.arrow.select(["user", "item", "price"]).schema) as out:
            for _ in range(millions):
                drawn = {"user": rng.integers(0, 600, 10**6), "item": rng.integers(0, 90, 10**6)}
                out.write_table(pa.table({**drawn, "price": rng.normal(size=10**6)}))
        places = [str(tmp_path / name) for name in ("student", "rows.parquet", "scores.parquet")]
        done = subprocess.run([sys.executable, "-c", PEAK, *places], capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout))
        assert pq.read_metadata(tmp_path / "scores.parquet").num_rows == millions * 10**6
    assert peaks[1] < peaks[0] + 100e6


# -------------------------------------------------------------------------------------- damaged folders


def damaged(folder: Path, tmp_path: Path, change: str) -> Path:
    """A copy of a student with one thing wrong, its manifest made to agree where that is not what is wrong."""
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    if change == "missing file":
        (copy / "model.onnx").unlink()
    elif change == "wrong checksum":
        content = bytearray((copy / "model.onnx").read_bytes())
        content[100] ^= 1
        (copy / "model.onnx").write_bytes(content)
    elif change == "escape":
        manifest["files"]["../outside.json"] = manifest["files"].pop("serving.json")
    elif change == "foreign":
        manifest["facts"]["kind"] = "table"
    elif change in ("other format", "no network"):
        file = copy / ("serving.json" if change == "other format" else "model.onnx")
        file.write_text('{"format": 9}' if change == "other format" else "no network")
        manifest["files"][file.name] = {"bytes": file.stat().st_size, "sha256": rd_sha256(file)}
    (copy / "manifest.json").write_text(json.dumps(manifest))
    return copy


def rd_sha256(path: Path) -> str:
    from recdistill.artefacts import sha256

    return sha256(path)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ("missing file", "model.onnx is listed in manifest.json but missing"),
        ("wrong checksum", "was changed after it was written"),
        ("escape", "lists files outside its folder"),
        ("foreign", "must hold an exported student, got 'table'"),
        ("other format", "must be of format 1, got 9"),
        ("no network", "is no network that ONNX Runtime can load"),
    ],
)
def test_a_damaged_folder_is_refused(folder: Path, tmp_path: Path, change: str, rule: str) -> None:
    with pytest.raises(DataError, match=rule):
        Scorer.load(damaged(folder, tmp_path, change))


def test_what_is_no_student_is_refused_with_the_verb_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"must hold an exported student, got no manifest.json in it: `recdistill expo"):
        Scorer.load(tmp_path)
    with pytest.raises(DataError, match=r"nowhere must hold an exported student, got no such folder"):
        Scorer.load(tmp_path / "nowhere")
    (tmp_path / "model.onnx").touch()
    with pytest.raises(DataError, match=r"model.onnx must hold an exported student, got a file"):
        Scorer.load(tmp_path / "model.onnx")


ABSENT = "torch torchrec pandas pydantic sklearn scipy onnx onnxscript safetensors typer rich jinja2 matplotlib"
WITHOUT = """
import sys
class Absent:
    def find_spec(self, name, *_):
        if name.split('.')[0] in sys.argv[1].split():
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Absent())
"""


def test_serving_knows_neither_torch_nor_pandas(folder: Path) -> None:
    code = WITHOUT + (
        "from recdistill.serving import Scorer\n"
        "import json\n"
        "print(Scorer.load(sys.argv[2]).score(json.loads(sys.argv[3])).tolist())"
    )
    rows = drawn(3, seed=8)
    done = subprocess.run(
        [sys.executable, "-c", code, ABSENT, str(folder), json.dumps(rows)], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == pytest.approx(Scorer.load(folder).score(rows).tolist(), abs=1e-6)


def test_commands_on_a_machine_that_only_serves_name_what_it_has() -> None:
    code = WITHOUT + "from recdistill.cli import main"
    done = subprocess.run([sys.executable, "-c", code, ABSENT], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: the commands need the whole package, got no ")
    assert "Traceback" not in done.stderr


def test_parity_needs_the_same_shape(student: rd.Ranker, scorer: Scorer) -> None:
    with pytest.raises(DataError, match=r"logits of shape \(4, 3\), got \(4,\)"):
        parity(ranker(classes=3), scorer, table(drawn(4)))
