"""Columns that no role allows, beside those that `test_tables` goes through role by role."""

from __future__ import annotations

import pyarrow as pa
import pytest

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
