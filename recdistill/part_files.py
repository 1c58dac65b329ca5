"""The Parquet files of a prepared table: their footers, and columns of one row group at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recdistill.errors import DataError

ROW_ID, LABEL = "_row_id", "_label"
ROLES = ("user", "item", "time", "score")  # kept raw, under `_user` and so on
RESERVED = (ROW_ID, LABEL, *(f"_{role}" for role in ROLES), "_fingerprint", "_split")
SPLITS = ("train", "valid", "test")
WIDTHS = {"INT32": 4, "INT64": 8, "FLOAT": 4}


@dataclass(frozen=True)
class RowGroup:
    """The rows of a part that are read together.

    Args:
        part: the file.
        number: of the group in it.
        rows: how many.
        bytes: of the values of the asked columns in memory.
    """

    part: Path
    number: int
    rows: int
    bytes: int

    def read(self, names: Sequence[str]) -> pa.Table:
        """Some columns; a page whose bytes were changed is found by its checksum.

        Raises:
            DataError: the file is not there, or cannot be read.
        """
        try:
            with pq.ParquetFile(self.part, page_checksum_verification=True) as file:
                return file.read_row_group(self.number, columns=list(names))
        except FileNotFoundError:
            raise DataError(f"{self.part} does not exist") from None
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{self.part} cannot be read: {error}") from None

    def column(self, name: str) -> np.ndarray[Any, Any]:
        """(rows,) one column of numbers; a missing number is NaN."""
        return np.asarray(self.read([name])[name].to_numpy())


def footer(path: Path) -> Any:
    """What a part's end says of it.

    Raises:
        DataError: the file is not there, or has no whole end.
    """
    try:
        return pq.read_metadata(path)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist") from None
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} is not a whole Parquet file: {error}") from None


def row_groups(path: Path, names: Sequence[str]) -> list[RowGroup]:
    """The row groups of a part, in its order; their bytes are those of some columns."""
    found = footer(path)
    groups = [found.row_group(number) for number in range(found.num_row_groups)]
    lists = [found.schema.column(leaf).max_repetition_level > 0 for leaf in range(found.num_columns)]
    return [RowGroup(path, number, g.num_rows, _bytes(g, lists, names)) for number, g in enumerate(groups)]


def _bytes(group: Any, lists: Sequence[bool], names: Sequence[str]) -> int:
    """Of the values of some columns in memory; for each list also where it ends."""
    total = 0
    for position, is_list in enumerate(lists):
        leaf = group.column(position)
        name = leaf.path_in_schema.rsplit(".", 2)[0] if is_list else leaf.path_in_schema  # `name.list.element`
        if name in names:
            total += leaf.num_values * WIDTHS.get(leaf.physical_type, 8) + 8 * group.num_rows * is_list
    return total
