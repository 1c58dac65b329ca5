"""A user's own files: CSV, TSV or Parquet in, Arrow columns out; what is wrong is named with its line or row."""

from __future__ import annotations

from recdistill.readers.chunk import Chunk
from recdistill.readers.cutting import chunks, names_of
from recdistill.readers.files import delimiter_of, read, read_all, require_two
from recdistill.readers.kinds import Kinds
from recdistill.readers.layout import CsvSettings
from recdistill.readers.parsing import Parsed, parsed
from recdistill.readers.quarantine import MOST_BAD, BadRow, Quarantine, require_few, rule_of, set_aside_words
from recdistill.readers.required import (
    TARGETS_OWN,
    new_names,
    of_source,
    require_columns,
    require_lists,
    require_mapped,
)
from recdistill.readers.rows import Rows
from recdistill.readers.sources import files_of, in_order, is_several, stored_bytes
from recdistill.readers.typed import typed

__all__ = [
    "MOST_BAD",
    "TARGETS_OWN",
    "BadRow",
    "Chunk",
    "CsvSettings",
    "Kinds",
    "Parsed",
    "Quarantine",
    "Rows",
    "chunks",
    "delimiter_of",
    "files_of",
    "in_order",
    "is_several",
    "names_of",
    "new_names",
    "of_source",
    "parsed",
    "read",
    "read_all",
    "require_columns",
    "require_few",
    "require_lists",
    "require_mapped",
    "require_two",
    "rule_of",
    "set_aside_words",
    "stored_bytes",
    "typed",
]
