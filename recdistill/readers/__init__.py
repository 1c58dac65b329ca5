"""A user's own files: CSV, TSV or Parquet in, Arrow columns out; what is wrong is named with its line or row."""

from __future__ import annotations

from recdistill.readers.chunk import Chunk
from recdistill.readers.cutting import chunks
from recdistill.readers.files import delimiter_of, read, require_two
from recdistill.readers.kinds import Kinds
from recdistill.readers.layout import CsvSettings
from recdistill.readers.parsing import Parsed, parsed
from recdistill.readers.quarantine import BadRow, Quarantine
from recdistill.readers.rows import Rows
from recdistill.readers.sources import files_of, stored_bytes
from recdistill.readers.typed import typed

__all__ = [
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
    "parsed",
    "read",
    "require_two",
    "stored_bytes",
    "typed",
]
