"""Which rows train, validate and test: decided for each row by itself, or by its place among all rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from recdistill.columns import as_numpy
from recdistill.errors import DataError
from recdistill.fingerprints import places
from recdistill.schema import Schema
from recdistill.settings import Settings
from recdistill.transforms import text_hashes

Codes = np.ndarray[Any, np.dtype[np.uint8]]
Column = Callable[[int, str], pa.Array]


class SplitBy(Settings):
    """How the rows of a prepared table are split.

    Args:
        by: "position": the last rows test, those before validate, in the files' order, which should be that of time;
            "time": the same by the time column, equal times together; "random": each row by a hash of its row id;
            "user": each user by a hash; "none": every row trains.
        valid, test: shares. A hash draws rows independently, so that the shares are met within sampling error.
        seed: of the hashes.
    """

    by: Literal["none", "position", "time", "random", "user"] = "position"
    valid: float = Field(0.1, gt=0, lt=1)
    test: float = Field(0.1, gt=0, lt=1)
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _rows_left(self) -> SplitBy:
        if self.valid + self.test >= 1:
            raise ValueError(f"valid and test must leave rows to train, got {self.valid} and {self.test}")
        return self

    def column(self, schema: Schema) -> str | None:
        """The column that decides, if any does.

        Raises:
            DataError: the schema names none for it.
        """
        if self.by not in ("time", "user", "random"):
            return None
        name = schema.row_id if self.by == "random" else getattr(schema, self.by)
        if name is None:
            raise DataError(f"a split by {self.by} needs a {self.by} column, got a schema without one")
        return str(name)

    def codes(self, rows: Sequence[int], column: Column, schema: Schema) -> list[Codes]:
        """Per part (rows,) 0 for training, 1 for validation, 2 for test.

        Args:
            rows: of each part.
            column: gives a part's column by its name.
            schema: of the rows.
        """
        name = self.column(schema)
        if self.by == "none":
            return [np.zeros(count, np.uint8) for count in rows]
        if self.by == "position":
            starts = np.cumsum([0, *rows])
            pieces = zip(starts, rows, strict=False)
            return [self._cut((start + np.arange(count) + 0.5) / starts[-1]) for start, count in pieces]
        if self.by == "time":
            return self._by_time([_numbers(column(part, str(name))) for part in range(len(rows))])
        words = _user_words if self.by == "user" else _row_words
        return [self._cut(places(words(column(part, str(name))), self.seed)) for part in range(len(rows))]

    def _cut(self, place: np.ndarray[Any, Any]) -> Codes:
        trains = 1 - self.test - self.valid
        return ((place >= trains).astype(np.uint8) + (place >= 1 - self.test)).astype(np.uint8)

    def _by_time(self, times: list[np.ndarray[Any, Any]]) -> list[Codes]:
        whole = np.sort(np.concatenate(times))
        cuts = [whole[int(share * len(whole))] for share in (1 - self.test - self.valid, 1 - self.test)]
        return [((part >= cuts[0]).astype(np.uint8) + (part >= cuts[1])).astype(np.uint8) for part in times]


def _numbers(column: pa.Array) -> np.ndarray[Any, Any]:
    if pa.types.is_temporal(column.type):
        column = column.cast(pa.int64())
    return as_numpy(column)


def _row_words(column: pa.Array) -> np.ndarray[Any, np.dtype[np.uint64]]:
    return as_numpy(column).astype(np.int64).view(np.uint64)


def _user_words(column: pa.Array) -> np.ndarray[Any, np.dtype[np.uint64]]:
    coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    return text_hashes(coded.dictionary)[as_numpy(coded.indices)]
