"""PreparedTable: encoded rows on disk by split, checked before they are believed.

Each split is a folder of Parquet parts. A part has `_row_id` (int64), `_label` (float32, null where unlabelled), the
raw columns of some roles, then each feature under its own name: int32 ids, lists of them, float32 numbers, or vectors
of a fixed length. Nothing is missing in a feature.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from recdistill import artefacts
from recdistill.encoder import Encoder
from recdistill.errors import DataError, UsageError, beside, nearest
from recdistill.part_files import LABEL, ROW_ID, SPLITS, RowGroup, footer, row_groups
from recdistill.schema import Schema

if TYPE_CHECKING:
    from recdistill.encoded_rows import EncodedRows
    from recdistill.examples import Examples

KIND = "prepared_table"
FACTS = ("schema", "rows", "parts", "encoder", "rows_fingerprint")


@dataclass(frozen=True, eq=False)
class PreparedTable:
    """What `prepare` made of raw files. It holds no rows, only where they are and what the manifest says of them.

    Args:
        path: the folder.
        facts: of the manifest.
        hashes: per file of the manifest its sha256.
    """

    path: Path
    facts: dict[str, Any] = field(repr=False)
    hashes: dict[str, str] = field(repr=False)

    @staticmethod
    def read(folder: Path | str, *, verify: bool = True) -> PreparedTable:
        """A prepared table that was finished.

        Args:
            folder: what `prepare` wrote.
            verify: whether to hash every byte, and the encoder's values too. Where a part stands and how many rows it
                has is always checked.

        Raises:
            DataError: the folder is not there, not finished, no prepared table, not whole, or was changed.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise DataError(f"there is no prepared table {str(folder)!r}{beside(folder, Path.is_dir)}")
        if not (folder / artefacts.MANIFEST).is_file():
            raise DataError(f"{folder} is not finished; the same prepare command continues")
        stored = artefacts.manifest(folder)
        facts = stored.get("facts") or {}
        if facts.get("kind") != KIND:
            raise DataError(f"{folder} must be a prepared table, got kind={facts.get('kind')!r}")
        if absent := [name for name in FACTS if name not in facts]:
            raise DataError(f"{folder / artefacts.MANIFEST} must say {', '.join(FACTS)}, got none of {absent}")
        if verify:
            artefacts.verify(folder)
        table = PreparedTable(folder, facts, {name: entry["sha256"] for name, entry in stored["files"].items()})
        for split in SPLITS:
            table._require_whole(split)
        if verify:
            table.require_encoder(table.encoder)
        return table

    def __repr__(self) -> str:
        rows = ", ".join(f"{split} {count:,}" for split, count in self.rows.items())
        return f"PreparedTable({str(self.path)!r}, rows: {rows})"

    @cached_property
    def schema(self) -> Schema:
        """Of the raw rows."""
        return Schema.from_dict(self.facts["schema"])

    @cached_property
    def encoder(self) -> Encoder:
        """What the rows were encoded by."""
        return Encoder.load(self.path / "encoder")

    def require_encoder(self, encoder: Encoder) -> None:
        """Refuse an encoder, a ranker's for example, whose ids are not those of the rows.

        Raises:
            DataError: the rows were encoded by another.
        """
        if encoder.fingerprint != self.facts["encoder"]:
            made, got = self.facts["encoder"][:12], encoder.fingerprint[:12]
            raise DataError(f"{self.path} was prepared by encoder {made}, got encoder {got}")

    @property
    def classes(self) -> int:
        """How many logits a row gets: 1 for a click, one per grade for a rating."""
        return self.schema.classes

    @property
    def rows(self) -> dict[str, int]:
        """Per split how many rows it has."""
        return {split: int(self.facts["rows"].get(split, 0)) for split in SPLITS}

    @property
    def rows_fingerprint(self) -> str:
        """Of the raw rows of all splits, whatever they were encoded by."""
        return str(self.facts["rows_fingerprint"])

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of the schema, the encoder and every part."""
        parts = [[split, path.name, self.hashes[_name(path)]] for split in SPLITS for path in self.parts(split)]
        return artefacts.digest([self.schema.to_dict(), self.facts["encoder"], self.rows_fingerprint, parts])

    def split_fingerprint(self, split: str) -> str:
        """sha256 of which raw rows a split has, in its order: what soft labels are made for."""
        total = hashlib.sha256()
        for group in self.groups(split):
            total.update(group.column(ROW_ID).tobytes())
        return artefacts.digest([self.rows_fingerprint, total.hexdigest()])

    def parts(self, split: str) -> list[Path]:
        """The files of a split, in the order of the rows.

        Raises:
            UsageError: there is no such split.
        """
        return [path for path, rows in self._counted(split) if rows]

    def groups(self, split: str) -> list[RowGroup]:
        """The row groups of a split, in the order of the rows."""
        names = self.part_schema.names
        return [group for path in self.parts(split) for group in row_groups(path, names)]

    def read_group(self, group: RowGroup) -> EncodedRows:
        """The rows of a row group.

        Raises:
            DataError: they are not what an encoder gives, or the file was changed since the table was read.
        """
        from recdistill.encoded_rows import EncodedRows  # torch takes seconds to import, and preparing needs none of it

        arrow = group.read(self.part_schema.names)
        try:
            rows = EncodedRows.of(arrow, self.encoder.spec)
        except DataError as error:
            raise DataError(f"{group.part}: {error}") from None
        wrong = rows.label[~np.isnan(rows.label) & ~np.isin(rows.label, np.arange(max(2, self.classes)))]
        if len(wrong):
            needed = f"in 0 … {self.classes - 1}" if self.classes > 1 else "0 or 1"
            raise DataError(f"{group.part}: labels must be {needed} (or missing), got {wrong[:5].tolist()}")
        return rows

    def examples(self, split: str) -> Examples:
        """All rows of a split, in memory."""
        from recdistill.encoded_rows import EncodedRows

        groups = self.groups(split)
        if not groups:
            return EncodedRows.of(self.part_schema.empty_table(), self.encoder.spec).examples(self.classes)
        return EncodedRows.joined(map(self.read_group, groups), self.rows[split]).examples(self.classes)

    def row_ids(self, split: str) -> np.ndarray[Any, np.dtype[np.int64]]:
        """(rows,) the row ids of a split."""
        return np.concatenate([np.empty(0, np.int64), *(g.column(ROW_ID) for g in self.groups(split))])

    def labels(self, split: str) -> np.ndarray[Any, np.dtype[np.float32]]:
        """(rows,) the labels of a split as in `Table.labels`; NaN where a row is unlabelled."""
        return np.concatenate([np.empty(0, np.float32), *(g.column(LABEL) for g in self.groups(split))])

    @cached_property
    def part_schema(self) -> pa.Schema:
        """The columns that every part has: row id, label and features, in this order."""
        return pa.schema([(ROW_ID, pa.int64()), (LABEL, pa.float32()), *feature_types(self.encoder)])

    def _counted(self, split: str) -> list[tuple[Path, int]]:
        """Per part of a split its file and how many rows the manifest says it has."""
        if split not in SPLITS:
            raise UsageError(f"there is no split {split!r}, {nearest(split, SPLITS)}")
        counts = self.facts["parts"].get(split, [])
        return [(self.path / split / f"part-{k:05d}.parquet", int(rows)) for k, rows in enumerate(counts)]

    def _require_whole(self, split: str) -> None:
        counted = self._counted(split)
        if (total := sum(rows for _, rows in counted)) != self.rows[split]:
            raise DataError(f"the parts of {split} must have {self.rows[split]} rows together, got {total}")
        for path, rows in counted:
            if rows:
                self._require_part(path, rows)

    def _require_part(self, path: Path, rows: int) -> None:
        if _name(path) not in self.hashes:
            raise DataError(f"{path} must be listed in {artefacts.MANIFEST}, got no such entry")
        found = footer(path)
        if found.num_rows != rows:
            raise DataError(f"{path} must have {rows} rows, got {found.num_rows}")
        schema = found.schema.to_arrow_schema()
        for wanted in self.part_schema:
            got = schema.field(wanted.name).type if wanted.name in schema.names else "no such column"
            # What is not Arrow writes vectors as lists; their lengths are checked where they are read.
            if got != wanted.type and not (pa.types.is_fixed_size_list(wanted.type) and got == pa.list_(pa.float32())):
                raise DataError(f"column {wanted.name!r} of {path} must be {wanted.type}, got {got}")


def feature_types(encoder: Encoder) -> list[tuple[str, pa.DataType]]:
    """The name and Arrow type of each encoded feature in a part, in the encoder's order."""
    spec = encoder.spec
    dims = {name: pa.list_(pa.float32(), dim) for name, dim in spec.vector}
    lists, numbers = dict.fromkeys(dict(spec.multi), pa.list_(pa.int32())), dict.fromkeys(spec.number, pa.float32())
    types = {**dict.fromkeys(dict(spec.categorical), pa.int32()), **lists, **numbers, **dims}
    return [(name, types[name]) for name in encoder.columns]


def _name(path: Path) -> str:
    """A part's name in the manifest."""
    return f"{path.parent.name}/{path.name}"
