"""What a preparation can be told."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from recdistill.encoder_settings import EncoderSettings
from recdistill.preparation.splitting import SplitBy
from recdistill.readers import MOST_BAD, CsvSettings
from recdistill.settings import Settings


class PrepareSettings(Settings):
    """How files become a prepared table.

    Args:
        encoder: how columns become ids and numbers; not used where a fitted encoder is given.
        split: which rows train, validate and test.
        csv: how text files are read.
        columns: the files' own names that differ, each with the schema's name for it.
        only, without: of some columns the values that the rows must have, or must not: a domain of a file with several.
        on_bad_row: "strict" stops at the first row that is not what its columns must hold; "quarantine" sets such rows
            aside with the reason.
        most_bad: the largest share of the rows that may be set aside; of more the settings are wrong, not the rows.
        privileged: whether privileged columns are features too: for a teacher.
        chunk_bytes: of text that are read at a time, at the most. Each chunk becomes a part of the prepared table.
    """

    encoder: EncoderSettings = EncoderSettings()
    split: SplitBy = SplitBy()
    csv: CsvSettings = CsvSettings()
    columns: dict[str, str] = {}
    only: dict[str, tuple[str, ...]] = {}
    without: dict[str, tuple[str, ...]] = {}
    on_bad_row: Literal["strict", "quarantine"] = "strict"
    most_bad: float = Field(MOST_BAD, ge=0, le=1)
    privileged: bool = False
    chunk_bytes: int = Field(32 << 20, ge=1 << 10)
