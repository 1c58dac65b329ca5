"""Criteo's real rows, encoded in memory and prepared from the file, against the slow reference."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reference import (
    CATEGORIES,
    NUMBERS,
    PARTS,
    encoded,
    parts_at_random,
    parts_by_position,
    parts_by_user,
    rows_of,
    splitmix64,
)

from recdistill.datasets import criteo
from recdistill.encoder_settings import EncoderSettings
from recdistill.preparation import PrepareSettings, SplitBy, prepare
from recdistill.prepared_table import PreparedTable
from recdistill.schema import Schema
from recdistill.splits import split
from recdistill.tables import Table

ROWS = 137_139
SHARES = {"valid": 0.1, "test": 0.1}
SEED = 11


@dataclass(frozen=True)
class Case:
    """A way to prepare all rows, and what the reference makes of them."""

    by: str
    settings: dict[str, Any]
    parts: np.ndarray[Any, Any]
    expected: dict[str, pd.DataFrame]


CASES: list[tuple[str, dict[str, Any]]] = [
    ("position", {"min_count": 10, "numbers": "log_buckets"}),
    ("random", {"min_count": 2, "max_vocabulary": 5000, "hashing": {"C4": 1000, "C14": 8}, "numbers": "standardise"}),
    ("random", {"min_count": 1, "numbers": "quantiles"}),
    ("position", {"min_count": 2, "numbers": "log"}),
    ("random", {"min_count": 10, "max_vocabulary": 1, "numbers": "standardise"}),
    ("position", {"min_count": 1, "max_vocabulary": 100, "numbers": "log_buckets"}),
]
FAST = 2


def named(by: str, settings: dict[str, Any]) -> str:
    told = [f"{name}={'+'.join(v) if isinstance(v, dict) else v}" for name, v in settings.items()]
    return "-".join([by, *told])


@pytest.fixture(scope="module")
def file(shared_data: Callable[[str], Path]) -> Path:
    return shared_data("criteo-kaggle-137k") / "train.txt.gz"


@pytest.fixture(scope="module")
def frame(file: Path) -> pd.DataFrame:
    return rows_of(file)


@pytest.fixture(scope="module")
def table(file: Path) -> Table:
    return criteo.read(file)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((by, settings), id=named(by, settings), marks=[pytest.mark.slow] if n >= FAST else [])
        for n, (by, settings) in enumerate(CASES)
    ],
)
def case(request: pytest.FixtureRequest, frame: pd.DataFrame) -> Case:
    by, settings = request.param
    parts = np.array(parts_of(by, len(frame)))
    return Case(by, settings, parts, encoded(frame, parts, **settings))


def parts_of(by: str, rows: int) -> list[str]:
    if by == "position":
        return parts_by_position(rows, **SHARES)
    return parts_at_random(range(rows), **SHARES, seed=SEED)


def require_equal(found: Mapping[str, Any], expected: pd.DataFrame, columns: Sequence[str]) -> None:
    """Ids alike; numbers alike to the precision of float32."""
    for name in columns:
        made, wanted = np.asarray(found[name]), expected[name].to_numpy()
        if wanted.dtype.kind == "f":
            np.testing.assert_allclose(made, wanted, rtol=1e-5, atol=1e-6, err_msg=name)
        else:
            np.testing.assert_array_equal(made, wanted, err_msg=name)


# ------------------------------------------------------------------------------------------- in memory


def test_ids_and_numbers_in_memory(case: Case, table: Table) -> None:
    encoder = EncoderSettings(**case.settings).fit(table.take(case.parts == "train"))
    for part in PARTS:
        batch = encoder.encode(table.take(case.parts == part))
        found = {name: batch.ids[:, place] for place, (name, _) in enumerate(encoder.spec.categorical)}
        found |= {name: batch.number[:, place] for place, name in enumerate(encoder.spec.number)}
        require_equal(found, case.expected[part], [*CATEGORIES, *NUMBERS])


def test_a_split_by_position_in_memory(table: Table) -> None:
    parts = np.array(parts_by_position(ROWS, **SHARES))
    for part, made in zip(PARTS, split(table, by="position", **SHARES), strict=True):
        assert made.row_ids.tolist() == np.flatnonzero(parts == part).tolist()


def test_the_reference_mixes_as_published() -> None:
    state, drawn = 1234567, []
    for _ in range(3):
        drawn.append(splitmix64(state))
        state += 0x9E3779B97F4A7C15
    assert drawn == [6457827717110365317, 3203168211198807973, 9817491932198370423]


# -------------------------------------------------------------------------------------------- prepared


def prepared(files: Path | list[Path], out: Path, by: str, settings: Mapping[str, Any]) -> PreparedTable:
    told = {"encoder": settings, "split": {"by": by, **SHARES, "seed": SEED}, "chunk_bytes": 5 << 20}
    return prepare(files, out, schema=criteo.SCHEMA, settings=PrepareSettings(csv=criteo.LAYOUT, **told))


def rows_in(folder: Path, part: str) -> pa.Table:
    """All rows of a part, read without this package."""
    return pa.concat_tables([pq.read_table(path) for path in sorted((folder / part).glob("part-*.parquet"))])


def require_prepared(folder: Path, expected: Mapping[str, pd.DataFrame]) -> None:
    for part in PARTS:
        found = rows_in(folder, part)
        assert found.column_names == ["_row_id", "_label", *CATEGORIES, *NUMBERS]
        assert {name: found[name].null_count for name in found.column_names} == dict.fromkeys(found.column_names, 0)
        assert found["_row_id"].to_pylist() == expected[part]["row"].tolist()
        assert found["_label"].to_pylist() == expected[part]["click"].tolist()
        require_equal(found, expected[part], [*CATEGORIES, *NUMBERS])


@pytest.mark.timeout(60)
def test_ids_numbers_and_splits_of_a_prepared_file(case: Case, file: Path, tmp_path: Path) -> None:
    made = prepared(file, tmp_path / "made", case.by, case.settings)
    assert made.rows == {part: len(rows) for part, rows in case.expected.items()}
    require_prepared(tmp_path / "made", case.expected)


def test_day_files_are_one_table_in_their_order(file: Path, frame: pd.DataFrame, tmp_path: Path) -> None:
    """As the files of Criteo's terabyte: many, packed, without an ending of their own."""
    with gzip.open(file, "rb") as stream:
        lines = [stream.readline() for _ in range(11_000)]
    days = [tmp_path / f"day_{day}.gz" for day in (0, 1, 2, 10)]
    for day, start in zip(days, (0, 1_000, 5_000, 10_500), strict=True):
        end = {0: 1_000, 1_000: 5_000, 5_000: 10_500}.get(start, len(lines))
        day.write_bytes(gzip.compress(b"".join(lines[start:end]), 1))
    prepared(days, tmp_path / "made", "position", {"min_count": 2})
    few = frame.head(len(lines))
    require_prepared(tmp_path / "made", encoded(few, parts_of("position", len(few)), min_count=2))


def test_a_users_rows_stay_together(tmp_path: Path) -> None:
    users = [f"u{(7 * n) % 83}é" for n in range(1_000)]
    rows = pd.DataFrame(
        {"who": users, "click": [n % 2 for n in range(1_000)], "site": [f"s{n % 9}" for n in range(1_000)]}
    )
    rows.to_csv(tmp_path / "rows.csv", index=False)
    schema = Schema(label="click", categorical=("site",), user="who")
    settings = PrepareSettings(split=SplitBy(by="user", valid=0.2, test=0.3, seed=5), chunk_bytes=4096)
    prepare(tmp_path / "rows.csv", tmp_path / "made", schema=schema, settings=settings)
    parts = np.array(parts_by_user(users, valid=0.2, test=0.3, seed=5))
    for part in PARTS:
        found = rows_in(tmp_path / "made", part)
        assert found["_row_id"].to_pylist() == np.flatnonzero(parts == part).tolist()
        assert found["_user"].to_pylist() == rows["who"][parts == part].tolist()
