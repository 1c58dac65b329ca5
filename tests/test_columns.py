"""Columns that no role allows, beside those that `test_tables` goes through role by role."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recdistill.columns import as_arrow, as_numpy
from recdistill.encoder import Encoder
from recdistill.errors import DataError, UsageError
from recdistill.schema import Schema
from recdistill.tables import Table, concat

SITE = Schema(categorical=("site",))


def test_a_list_of_columns_is_no_string() -> None:
    with pytest.raises(UsageError, match="categorical must be a list of columns, got 'user'"):
        Schema(categorical="user")  # type: ignore[arg-type]


def test_column_names_are_unique() -> None:
    with pytest.raises(DataError, match=r"column names must be unique, got \['site'\]"):
        Table(pa.table([["a"], ["b"]], names=["site", "site"]), SITE)


def test_a_vector_holds_numbers_only() -> None:
    rows = pa.table({"text": pa.array([[1.0, 2.0], [1.0, None]], pa.list_(pa.float64()))})
    with pytest.raises(DataError, match="vectors must hold numbers only, got 1 missing in 'text'"):
        Table(rows, Schema(vector=("text",)))


def test_row_ids_fit_into_int64() -> None:
    rows = pa.table({"site": ["a"], "row_id": pa.array([2**63], pa.uint64())})
    with pytest.raises(DataError, match=r"row ids must be below 2\^63"):
        Table(rows, SITE)


def test_tables_are_joined_only_when_they_fit() -> None:
    text = Table(pa.table({"site": ["a"], "row_id": [1]}), SITE)
    number = Table(pa.table({"site": [1], "row_id": [2]}), SITE)
    with pytest.raises(DataError, match="same column types"):
        concat([text, number])
    with pytest.raises(DataError, match="there must be tables to join"):
        concat([])
    assert concat([text, Table(pa.table({"site": ["b"], "row_id": [2]}), SITE)]).row_ids.tolist() == [1, 2]


@pytest.mark.parametrize("role", ["user", "item", "time"])
def test_users_items_and_times_are_never_missing(role: str) -> None:
    with pytest.raises(DataError, match="must not be missing, got 1 missing in 'who'"):
        Table(pa.table({"who": [1, None]}), Schema(**{role: "who"}))  # type: ignore[arg-type]


def test_a_time_has_an_order() -> None:
    with pytest.raises(DataError, match="'when' must hold numbers or times, got string"):
        Table(pa.table({"when": ["noon"]}), Schema(time="when"))


GRADED = Schema(rating="stars", grades=(1, 2.5, 4), categorical=("x",))


def test_a_rating_with_grades_is_learnt_as_a_class() -> None:
    arrow = pa.table({"x": ["a"] * 4, "stars": [4.0, 1.0, None, 2.5]})
    table = Table(arrow, GRADED)
    assert GRADED.classes == 3
    assert table.labels.tolist()[:2] == [2, 0]
    assert table.labelled.tolist() == [True, True, False, True]
    assert Table(arrow, Schema(rating="stars", categorical=("x",))).labelled.tolist() == [False] * 4
    clicks = arrow.append_column("click", pa.array([0, 1, 1, 0]))
    clicked = Table(clicks, Schema(label="click", rating="stars", grades=GRADED.grades, categorical=("x",)))
    assert (clicked.schema.classes, clicked.labels.tolist()) == (1, [0, 1, 1, 0])
    assert Table(table.arrow, Schema.from_dict(GRADED.to_dict())).fingerprint == table.fingerprint


@pytest.mark.parametrize(("grades", "rating"), [((1,), "stars"), ((2, 1), "stars"), ((1, 1), "stars"), ((1, 2), None)])
def test_grades_are_rising_values_of_a_rating(grades: tuple[float, ...], rating: str | None) -> None:
    with pytest.raises(UsageError, match="at least two rising values of a rating"):
        Schema(rating=rating, grades=grades)


def test_a_rating_is_one_of_the_grades() -> None:
    with pytest.raises(DataError, match=r"among the grades \[1.0, 2.5, 4.0\], got \[3.0\] in 'stars'"):
        Table(pa.table({"x": ["a"], "stars": [3.0]}), GRADED)


def test_privileged_columns_are_for_the_teacher_and_may_be_missing() -> None:
    kinds = {"categorical": ("x", "y"), "number": ("n",), "multi": ("m",)}
    schema = Schema(**kinds, privileged=("y", "n", "m"))
    assert (schema.features, schema.privileged_features) == (("x",), ("y", "m", "n"))
    there = Table(pa.table({"x": ["a", "b"], "y": ["c", "d"], "n": [1.0, 3.0], "m": [["e"], []]}), schema)
    lacking = Table(pa.table({"x": ["a", "b"]}), schema)
    assert all(lacking.column(name).null_count == 2 for name in schema.privileged)
    assert list(Encoder.fit(there).columns) == ["x"]
    encoder = Encoder.fit(there, privileged=True)
    assert set(encoder.columns) == {"x", "y", "n", "m"}
    batch = encoder.encode(lacking)
    assert (batch.ids[:, 1].tolist(), batch.number[:, 0].tolist()) == ([0, 0], [0.0, 0.0])
    with pytest.raises(UsageError, match="a feature kind too, got 'z' under none"):
        Schema(categorical=("x",), privileged=("z",))
    with pytest.raises(DataError, match="vectors cannot be missing"):
        Table(pa.table({"x": ["a"]}), Schema(categorical=("x",), vector=("v",), privileged=("v",)))


PLAIN = [pa.bool_(), pa.int8(), pa.uint8(), pa.int32(), pa.int64(), pa.uint64(), pa.float32(), pa.float64()]


@given(st.sampled_from(PLAIN), st.lists(st.sampled_from([None, 0, 1, 1])), st.integers(0, 12), st.integers(0, 12))
def test_arrow_and_numpy_become_each_other_as_pyarrow_has_it(
    kind: pa.DataType, values: list[int | None], start: int, length: int
) -> None:
    column = pa.array(values, pa.int8()).cast(kind).slice(min(start, len(values)), length)
    for missing in (0, 1):
        filled = pc.fill_null(column, pa.scalar(missing, pa.int8()).cast(kind)).to_numpy(zero_copy_only=False)
        got = as_numpy(column, missing=missing)
        assert got.dtype == filled.dtype
        assert got.tolist() == filled.tolist()
        assert as_arrow(filled).equals(pa.array(filled))
        assert as_arrow(np.repeat(filled, 2)[::2]).equals(pa.array(filled))
