"""A user's own files: CSV, TSV or Parquet in, Arrow columns out; what is wrong is named with its line or row."""

from __future__ import annotations

from recdistill.readers.delimited import CsvSettings
from recdistill.readers.files import delimiter_of, read, require_two
from recdistill.readers.rows import Rows
from recdistill.readers.typed import typed

__all__ = ["CsvSettings", "Rows", "delimiter_of", "read", "require_two", "typed"]
