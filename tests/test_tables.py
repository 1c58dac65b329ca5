"""Tables: every rule of validation in its words, fingerprints that follow the values alone, and round trips."""

from __future__ import annotations

import json
import math
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recdistill.artefacts import new_folder
from recdistill.errors import DataError, UsageError
from recdistill.schema import FEATURE_KINDS, Schema
from recdistill.tables import Table, concat

TIMES = {"user": "user", "time": "time", "truth": "chance"}
FEATURES = {"categorical": ("user", "site"), "multi": ("tags",), "number": ("price",), "vector": ("text",)}
SCHEMA = Schema.from_dict({"label": "click", "rating": "stars", **FEATURES, **TIMES})
WHOLE = {"row_id": pa.int64(), "click": pa.int8(), "user": pa.int64(), "time": pa.timestamp("s")}
REAL = {"stars": pa.float64(), "price": pa.float64(), "chance": pa.float64(), "text": pa.list_(pa.float32())}
TYPES = {**WHOLE, **REAL, "site": pa.string(), "tags": pa.list_(pa.string())}
IDENTITY = ("row_id", *SCHEMA.features)
real = st.floats(-1e6, 1e6)
texts = st.text(max_size=4)
ANSWERS = {"click": st.none() | st.integers(0, 1), "stars": st.none() | real, "chance": st.floats(0, 1)}
IDS = {"user": st.integers(-(2**63), 2**63 - 1), "time": st.integers(0, 2**31)}
TEXTS = {"site": st.none() | texts, "tags": st.none() | st.lists(st.none() | texts, max_size=3)}
NUMBERS = {"price": st.none() | real, "text": st.lists(st.floats(-9, 9, width=32), min_size=2, max_size=2)}
row = st.fixed_dictionaries({**ANSWERS, **IDS, **TEXTS, **NUMBERS})
rows_strategy = st.lists(row, max_size=6).map(lambda rows: [{"row_id": 7 * i - 3, **r} for i, r in enumerate(rows)])
some_rows = rows_strategy.filter(bool)


def arrow(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.table({name: pa.array([r[name] for r in rows], kind) for name, kind in TYPES.items()})


def table(rows: list[dict[str, Any]], schema: Schema = SCHEMA) -> Table:
    return Table(arrow(rows), schema)


def one(role: str, values: Any, kind: pa.DataType | None = None) -> Table:
    """A table whose column `x` has a role."""
    roles: dict[str, Any] = {role: ("x",) if role in FEATURE_KINDS else "x"}
    return Table(pa.table({"x": pa.array(values, kind)}), Schema(**roles))


def test_a_column_has_one_role_among_features_and_answers() -> None:
    with pytest.raises(UsageError, match=r"one feature kind, got \['x'\] under several"):
        Schema(categorical=("x", "y"), number=("x",))
    for role in ("label", "rating", "truth", "row_id"):
        with pytest.raises(UsageError, match=r"never features, got \['x'\] as features"):
            Schema.from_dict({"number": ["x"], role: "x"})


def test_a_schema_survives_its_dictionary_and_names_the_nearest() -> None:
    assert Schema.from_dict(json.loads(json.dumps(SCHEMA.to_dict()))) == SCHEMA
    assert [SCHEMA.kind(name) for name in SCHEMA.features] == ["categorical"] * 2 + ["multi", "number", "vector"]
    assert SCHEMA.without("site", "text").features == ("user", "tags", "price")
    assert sorted(SCHEMA.columns) == sorted(TYPES)
    with pytest.raises(UsageError, match=r"unknown role 'catgorical' in the schema, did you mean 'categorical'\?"):
        Schema.from_dict({"catgorical": ["x"]})
    with pytest.raises(UsageError, match=r"'prise' is not a feature, did you mean 'price'\?"):
        SCHEMA.kind("prise")


def test_a_missing_column_names_the_nearest() -> None:
    with pytest.raises(DataError, match=r"column 'click' is missing, did you mean 'clicks'\?"):
        Table(pa.table({"clicks": [1]}), Schema(label="click"))
    with pytest.raises(DataError, match=r"column 'prise' is missing, did you mean 'price'\?"):
        table([]).column("prise")


@pytest.mark.parametrize(
    ("role", "values", "words"),
    [
        ("categorical", [1.5], "strings or integers, got double"),
        ("categorical", [["a"]], "strings or integers, got list"),
        ("multi", ["a"], "lists of strings or integers, got string"),
        ("multi", [[0.5]], "lists of strings or integers, got list"),
        ("number", ["1"], "numbers, got string"),
        ("vector", [1.0], "lists of numbers, got double"),
        ("vector", [["a"]], "lists of numbers, got list"),
        ("label", ["1"], "0 or 1, got string"),
        ("truth", [True], "numbers, got bool"),
        ("row_id", ["7"], "integers, got string"),
        ("row_id", [7.0], "integers, got double"),
    ],
)
def test_each_role_refuses_other_types(role: str, values: list[Any], words: str) -> None:
    with pytest.raises(DataError, match=f"column 'x' must hold {words}"):
        one(role, values)


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("role", ["number", "vector", "rating", "truth"])
def test_numbers_are_finite_wherever_they_stand(role: str, wrong: float) -> None:
    values = [[0.0, 1.0], [wrong, 2.0]] if role == "vector" else [0.0, wrong]
    with pytest.raises(DataError, match="numbers must be finite, got 1 NaN or infinite values in 'x'"):
        one(role, values)


def test_vectors_have_one_length_and_are_there() -> None:
    with pytest.raises(DataError, match=r"one length, got \[1, 2\] in 'x'"):
        one("vector", [[1.0], [1.0, 2.0]])
    with pytest.raises(DataError, match="must not be missing, got 1 missing in 'x'"):
        one("vector", [[1.0], None])


@pytest.mark.parametrize("wrong", [2, -1, 0.5, math.nan, 2**60 + 1])
def test_labels_are_zero_or_one(wrong: float) -> None:
    with pytest.raises(DataError, match=r"labels must be 0 or 1 \(or missing\), got \[.*\] in 'x'"):
        one("label", [0, 1, wrong])


@pytest.mark.parametrize("values", [[0, 1, None], [False, True, None], [0.0, 1.0, None]])
def test_labels_may_be_numbers_or_truth_values_and_missing(values: list[Any]) -> None:
    made = one("label", values)
    assert made.labels.tolist()[:2] == [0.0, 1.0]
    assert made.labelled.tolist() == [True, True, False]
    assert made.fingerprint == one("label", [0, 1, None]).fingerprint
    assert not Table(pa.table({"x": [0, 1]}), Schema(number=("x",))).labelled.any()
    assert Table.from_pandas(pd.DataFrame({"x": [0.0, 1.0, np.nan]}, index=[9, 9, 9]), made.schema).labelled.sum() == 2


def test_integers_beyond_exact_floats_are_numbers_too() -> None:
    assert len(one("number", [2**60 + 1, None])) == 2
    assert len(one("vector", [[2**60 + 1]])) == 1


def test_row_ids_are_whole_unique_and_made_where_absent() -> None:
    with pytest.raises(DataError, match="row ids must not be missing, got 1 missing in 'x'"):
        one("row_id", [1, None])
    with pytest.raises(DataError, match="row ids must be unique, got 2 repeated in 'x'"):
        one("row_id", [1, 1, 2, 2])
    assert one("row_id", [5, 3], pa.int32()).row_ids.dtype == np.int64
    assert one("number", [0.5, 0.5]).row_ids.tolist() == [0, 1]


@settings(max_examples=40)
@given(rows_strategy, st.integers(1, 3))
def test_a_fingerprint_forgets_chunks_dictionaries_and_widths(rows: list[dict[str, Any]], size: int) -> None:
    whole = arrow(rows)
    pieces = pa.concat_tables([whole.slice(start, size) for start in range(0, max(1, len(rows)), size)])
    coded = pieces.set_column(pieces.column_names.index("site"), "site", pieces["site"].dictionary_encode())
    wide = whole.set_column(whole.column_names.index("tags"), "tags", whole["tags"].cast(pa.large_list(pa.string())))
    padded = pa.concat_tables([whole, whole]).slice(len(rows))  # the same rows at an offset
    made = Table(whole, SCHEMA)
    for other in (pieces, coded, wide, padded):
        assert Table(other, SCHEMA).fingerprint == made.fingerprint
        assert Table(other, SCHEMA).rows_fingerprint == made.rows_fingerprint


@settings(max_examples=40)
@given(some_rows, some_rows, st.data())
def test_a_fingerprint_changes_with_any_value(rows: list[Any], others: list[Any], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(rows) - 1))
    name = data.draw(st.sampled_from(list(TYPES)))
    value = 10**6 if name == "row_id" else others[0][name]
    changed = [*rows[:at], {**rows[at], name: value}, *rows[at + 1 :]]
    before, after = table(rows), table(changed)
    same = repr(value) == repr(rows[at][name])
    assert (before.fingerprint == after.fingerprint) is same
    assert (before.rows_fingerprint == after.rows_fingerprint) is (same or name not in IDENTITY)


@settings(max_examples=40)
@given(some_rows)
def test_a_fingerprint_knows_order_rows_and_schema(rows: list[dict[str, Any]]) -> None:
    made = table(rows)
    others = [table(rows[:-1]), table(rows, replace(SCHEMA, domain="site")), table(rows, SCHEMA.without("tags"))]
    if len(rows) > 1:
        others.append(table(rows[::-1]))
    prints = [made.fingerprint, *(other.fingerprint for other in others)]
    assert len(set(prints)) == len(prints)
    unlabelled = made.with_labels_only(np.zeros(len(rows), dtype=bool))
    assert unlabelled.rows_fingerprint == made.rows_fingerprint


def test_lists_that_look_alike_when_joined_differ() -> None:
    alike = [[["a"], []], [[], ["a"]], [["a"], None], [["ab"], []], [["a", ""], []], [["a", None], []]]
    assert len({one("multi", lists, pa.list_(pa.string())).fingerprint for lists in alike}) == len(alike)


@settings(max_examples=40)
@given(rows_strategy, st.data())
def test_taken_rows_keep_their_ids_and_values(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(rows))))
    kept = order[: data.draw(st.integers(0, len(rows)))]
    made = table(rows)
    taken = made.take(np.array(kept, dtype=np.int64))
    assert taken.row_ids.tolist() == [rows[i]["row_id"] for i in kept]
    assert taken.fingerprint == table([rows[i] for i in kept]).fingerprint
    mask = np.isin(np.arange(len(rows)), kept)
    assert made.take(mask).row_ids.tolist() == [rows[i]["row_id"] for i in sorted(kept)]


@settings(max_examples=40)
@given(rows_strategy, st.data())
def test_hidden_answers_are_gone(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    keep = data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
    hidden = table(rows).with_labels_only(np.array(keep, dtype=bool))
    gone = [r if k else {**r, "click": None, "stars": None} for r, k in zip(rows, keep, strict=True)]
    assert hidden.fingerprint == table(gone).fingerprint


@settings(max_examples=12)
@given(rows_strategy)
def test_a_written_table_is_read_back_the_same(rows: list[dict[str, Any]]) -> None:
    made = table(rows)
    with tempfile.TemporaryDirectory() as folder:
        made.write(Path(folder) / "table")
        found = Table.read(Path(folder) / "table")
    assert found.arrow.to_pylist() == made.arrow.to_pylist()
    assert (found.schema, found.fingerprint) == (SCHEMA, made.fingerprint)
    assert len(found.take(np.zeros(len(rows), dtype=bool))) == 0


def test_what_was_changed_or_is_no_table_is_refused(tmp_path: Path) -> None:
    one("number", [1.0, 2.0]).write(tmp_path / "table")
    file = tmp_path / "table" / "rows.parquet"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"rows\.parquet was changed after it was written"):
        Table.read(tmp_path / "table")
    with new_folder(tmp_path / "other", kind="model"):
        pass
    with pytest.raises(DataError, match="must be a table, got kind='model'"):
        Table.read(tmp_path / "other")
    with pytest.raises(DataError, match="does not exist"):
        Table.read(tmp_path / "nothing")


def test_joined_tables_have_one_schema_and_every_row_once() -> None:
    a, b = one("row_id", [1, 2]), one("row_id", [3])
    assert concat([a, b]).row_ids.tolist() == [1, 2, 3]
    with pytest.raises(DataError, match="must have the same schema"):
        concat([a, one("number", [1.0])])
    with pytest.raises(DataError, match="row ids must be unique, got 1 repeated"):
        concat([a, one("row_id", [2])])
