"""The second pass: rows as they were read, encoded, each split's in a part of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recdistill.artefacts import new_file, write_json
from recdistill.columns import as_arrow, as_numpy, decoded, single
from recdistill.features import UNSEEN
from recdistill.part_files import LABEL, ROLES, ROW_ID, SPLITS
from recdistill.preparation.fitting import Feature
from recdistill.preparation.splitting import Codes
from recdistill.preparation.workspace import Workspace
from recdistill.schema import Schema
from recdistill.transforms import Scaled, gathered

GROUP_ROWS = 1 << 16  # small groups mix better when they are shuffled


@dataclass(frozen=True)
class Encoding:
    """Encodes parts of a workspace.

    Args:
        workspace: where they are.
        schema: of the rows as they were read.
        features: with their fitted transforms, in order.
        splits: per part (rows,) which split each row is in.
    """

    workspace: Workspace
    schema: Schema
    features: Sequence[Feature]
    splits: list[Codes]

    def __call__(self, parts: Sequence[int]) -> int:
        """Encode some parts, each vocabulary looked up once for all of them.

        Returns:
            How many rows they have.
        """
        coded = {feature.name: self._encoded(feature, parts) for feature in self.features}
        for place, part in enumerate(parts):
            columns = {**self._roles(part), **{name: found[place] for name, found in coded.items()}}
            self._write(part, pa.table(columns))
        return sum(len(self.splits[part]) for part in parts)

    def _encoded(self, feature: Feature, parts: Sequence[int]) -> list[pa.Array]:
        """Per part its encoded column."""
        columns, transform = [self.workspace.column(part, feature.name) for part in parts], feature.transform
        if isinstance(transform, Scaled):
            return [_scaled(transform.encode(column), feature.kind) for column in columns]
        coded = feature.kind == "categorical"
        pieces = [column.dictionary if coded else feature.items(column) for column in columns]
        whole = transform.encode(pa.concat_arrays(pieces))
        ids = np.split(whole, np.cumsum([len(piece) for piece in pieces])[:-1])
        if coded:
            return [as_arrow(gathered(own, column)) for own, column in zip(ids, columns, strict=True)]
        if feature.kind == "multi":
            return [_lists(column, as_arrow(own)) for own, column in zip(ids, columns, strict=True)]
        return [as_arrow(own) for own in ids]

    def _roles(self, part: int) -> dict[str, pa.Array]:
        """The row ids, labels and other roles of a part."""
        found = {ROW_ID: self.workspace.column(part, self.schema.row_id), LABEL: self._labels(part)}
        for role in ROLES:
            name = getattr(self.schema, role)
            if name is not None:
                found[f"_{role}"] = decoded(self.workspace.column(part, name))
        return found

    def _labels(self, part: int) -> pa.Array:
        """(rows,) 0 or 1, or the class of a rating; missing where a row is unlabelled."""
        if grades := self.schema.class_grades:
            ratings = self.workspace.column(part, str(self.schema.rating))
            return pc.index_in(ratings, value_set=pa.array(grades, ratings.type), skip_nulls=True).cast(pa.float32())
        if self.schema.label is None:
            return pa.nulls(len(self.splits[part]), pa.float32())
        return self.workspace.column(part, self.schema.label).cast(pa.float32())

    def _write(self, part: int, table: pa.Table) -> None:
        """Write each split's rows, then what is in them."""
        counted: dict[str, Any] = {}
        for code, split in enumerate(SPLITS):
            chosen = self.splits[part] == code
            rows = table if chosen.all() else table.filter(as_arrow(chosen))
            if rows.num_rows:
                with new_file(self.workspace.encoded(part, split)) as temporary:
                    write_part(rows, temporary)
                counted[split] = self._counted(rows)
        write_json(self.workspace.done(part), counted)

    def _counted(self, rows: pa.Table) -> dict[str, Any]:
        labels = pc.value_counts(rows[LABEL]).to_pylist()
        told = {"missing" if entry["values"] is None else f"{entry['values']:g}": entry["counts"] for entry in labels}
        unseen = {
            f.name: self._unseen(f, single(rows, f.name)) for f in self.features if not isinstance(f.transform, Scaled)
        }
        return {"rows": rows.num_rows, "labels": told, "unseen": unseen}

    def _unseen(self, feature: Feature, column: pa.Array) -> list[int]:
        """How many of a column's ids stand for unseen or missing values, and how many there are."""
        ids = feature.items(column)
        return [int(np.count_nonzero(as_numpy(ids) == UNSEEN)), len(ids)]


def write_part(rows: pa.Table, path: Path) -> None:
    """Write a part of a prepared table."""
    names = [name for name in rows.column_names if name != ROW_ID]
    pq.write_table(
        rows,
        path,
        compression="zstd",
        use_dictionary=names,
        column_encoding={ROW_ID: "DELTA_BINARY_PACKED"},
        row_group_size=GROUP_ROWS,
        write_page_checksum=True,
        store_schema=False,
    )


def _scaled(values: np.ndarray[Any, Any], kind: str) -> pa.Array:
    if kind == "number":
        return as_arrow(values[:, 0])
    return pa.FixedSizeListArray.from_arrays(as_arrow(values.reshape(-1)), values.shape[1])


def _lists(column: pa.Array, ids: pa.Array) -> pa.Array:
    lengths = as_numpy(pc.list_value_length(column))
    return pa.ListArray.from_arrays(as_arrow(np.append(0, np.cumsum(lengths)).astype(np.int32)), ids)
