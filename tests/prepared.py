"""A slow, obvious writer of prepared tables, and rows with every kind of feature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recdistill.artefacts import digest, new_folder
from recdistill.encoder import Encoder
from recdistill.prepared_table import PreparedTable
from recdistill.schema import Schema
from recdistill.tables import Table
from recdistill.transforms import Quantiles, Scaled

CLICKS = Schema(
    label="click", categorical=("user", "item"), multi=("tags",), number=("age", "unit.price"), vector=("text",)
)
RATINGS = Schema(
    rating="stars", grades=(1, 2, 3), categorical=("user", "item"), multi=("tags",), number=("age", "unit.price"),
    vector=("text",),
)  # fmt: skip


def made(rows: int, *, schema: Schema = CLICKS, seed: int = 0, first: int = 0) -> Table:
    """Random rows with missing values, empty lists and unlabelled rows; row ids rise from `first`, with gaps."""
    rng = np.random.default_rng(seed)
    labels = [None if rng.random() < 0.2 else int(rng.integers(2)) for _ in range(rows)]
    stars = [None if label is None else float(1 + label + rng.integers(2)) for label in labels]
    columns: dict[str, Any] = {
        "row_id": pa.array(first + 3 * np.arange(rows)),
        "click": pa.array(labels, pa.int8()),
        "stars": pa.array(stars, pa.float64()),
        "user": pa.array([f"u{rng.integers(9)}" if rng.random() < 0.9 else None for _ in range(rows)], pa.string()),
        "item": pa.array(rng.integers(0, 20, rows)),
        "tags": pa.array([drawn_list(rng) for _ in range(rows)], pa.list_(pa.string())),
        "age": pa.array([float(rng.normal()) if rng.random() < 0.8 else None for _ in range(rows)], pa.float64()),
        "unit.price": pa.array(rng.normal(5, 2, rows)),
        "text": pa.array([rng.normal(size=3).tolist() for _ in range(rows)], pa.list_(pa.float64())),
    }
    return Table(pa.table(columns), schema)


def drawn_list(rng: np.random.Generator) -> list[str] | None:
    length = int(rng.integers(-1, 5))
    return None if length < 0 else [f"t{rng.integers(7)}" for _ in range(length)]


def fitted(table: Table) -> Encoder:
    return Encoder.fit(table, {"unit.price": Quantiles(4), "age": Scaled()})


def write(
    folder: Path, splits: Mapping[str, Sequence[Table | None]], encoder: Encoder, *, group_rows: int = 1_000_000
) -> Path:
    """Write a prepared table: per split its parts' rows, None where it lacks one."""
    tables = [table for parts in splits.values() for table in parts if table is not None]
    counts = {split: [0 if table is None else len(table) for table in parts] for split, parts in splits.items()}
    facts = {
        "kind": "prepared_table",
        "schema": tables[0].schema.to_dict(),
        "rows": {split: sum(rows) for split, rows in counts.items()},
        "parts": counts,
        "encoder": encoder.fingerprint,
        "rows_fingerprint": digest([table.rows_fingerprint for table in tables]),
    }
    with new_folder(folder, **facts) as temporary:
        (temporary / "encoder").mkdir()
        encoder.save(temporary / "encoder")
        for split, parts in splits.items():
            (temporary / split).mkdir()
            for k, table in enumerate(parts):
                if table is not None:
                    path = temporary / split / f"part-{k:05d}.parquet"
                    pq.write_table(encoded(table, encoder), path, row_group_size=group_rows, write_page_checksum=True)
    return folder


def with_valid(folder: Path, train: int, valid: int) -> PreparedTable:
    """A prepared table of so many random rows to learn from, and to stop by."""
    rows = [made(n, seed=n, first=1000 * n) for n in (train, valid)]
    return PreparedTable.read(write(folder / "table", {"train": rows[:1], "valid": rows[1:]}, fitted(rows[0])))


def encoded(table: Table, encoder: Encoder) -> pa.Table:
    label = pa.array(table.labels, mask=np.isnan(table.labels))
    columns = {"_row_id": pa.array(table.row_ids), "_label": label}
    for name, (kind, transform) in encoder.columns.items():
        column = table.column(name)
        if kind == "multi":
            ids = iter(transform.encode(pc.list_flatten(column)).tolist())
            lists = [[next(ids) for _ in values or ()] for values in column.to_pylist()]
            columns[name] = pa.array(lists, pa.list_(pa.int32()))
        elif kind == "vector":
            columns[name] = pa.array(transform.encode(column).tolist(), pa.list_(pa.float32(), transform.dim))
        else:
            columns[name] = pa.array(transform.encode(column).reshape(len(table)))
    return pa.table(columns)
