"""Files of raw rows read part by part: Parquet, and text by the rules by which training reads it.

Of text only an empty field is missing; ids are text, so that 007 stays 007, and `7.0` is `7` where training knew none
that is written so.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from recdistill.errors import DataError
from recdistill.serving.scorer import Scorer
from recdistill.transforms import Vocabulary

AT_A_TIME = 65_536
POINTED = r"^(-?\d+)\.0+$"


class ParquetRows:
    """A Parquet file."""

    def __init__(self, path: Path) -> None:
        self.path, self.file = path, pq.ParquetFile(path)
        self.schema = self.file.schema_arrow
        _require_unique(self.schema.names, path)

    def parts(self, names: set[str]) -> Iterator[pa.Table]:
        """Some of its columns."""
        wanted = [name for name in self.schema.names if name in names]
        yield from _told(self.path, self.file.iter_batches(AT_A_TIME, columns=wanted))


class TextRows:
    """A CSV or TSV file.

    Args:
        path: of the file.
        delimiter: between fields.
        scorer: whose numbers are read as such; all else is text.
    """

    def __init__(self, path: Path, delimiter: str, scorer: Scorer) -> None:
        kinds = {name: kind for name, (kind, _) in scorer.encoder.columns.items()}
        if lists := [name for name, kind in kinds.items() if kind in ("multi", "vector")]:
            raise DataError(
                f"lists and vectors are read from Parquet, got the columns {', '.join(lists)} in {path.name}"
            )
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
            names = next(csv.reader(lines, delimiter=delimiter), [])
        _require_unique(names, path)
        number = {name for name, kind in kinds.items() if kind == "number"}
        self.schema = pa.schema([(name, pa.float64() if name in number else pa.large_string()) for name in names])
        self.path, self.delimiter, self.pointed = path, delimiter, _without_pointed(scorer)

    def parts(self, names: set[str]) -> Iterator[pa.Table]:
        """Some of its columns."""
        wanted = [name for name in self.schema.names if name in names]
        convert = pcsv.ConvertOptions(
            column_types=self.schema,
            include_columns=wanted,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
        )
        parse = pcsv.ParseOptions(delimiter=self.delimiter)
        for part in _told(self.path, _batches(self.path, parse, convert)):
            for name in self.pointed & set(wanted):
                plain = pc.replace_substring_regex(part.column(name), POINTED, r"\1")
                part = part.set_column(part.column_names.index(name), name, plain)
            yield part


def opened(path: Path, scorer: Scorer) -> ParquetRows | TextRows:
    """A file by its name.

    Raises:
        DataError: there is no such file, it is of another kind, or cannot be read.
    """
    suffixes = [suffix for suffix in path.suffixes if suffix in (".parquet", ".csv", ".tsv", ".gz")]
    if not path.is_file():
        raise DataError(f"{path} is no file")
    try:
        if suffixes[-1:] == [".parquet"]:
            return ParquetRows(path)
        if suffixes[:1] in ([".csv"], [".tsv"]):
            return TextRows(path, "," if suffixes[0] == ".csv" else "\t", scorer)
    except (pa.ArrowException, UnicodeDecodeError, gzip.BadGzipFile) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    raise DataError(f"files to score end in .parquet, .csv or .tsv (or these and .gz), got {path.name!r}")


def _batches(path: Path, parse: pcsv.ParseOptions, convert: pcsv.ConvertOptions) -> Iterator[pa.RecordBatch]:
    yield from pcsv.open_csv(path, parse_options=parse, convert_options=convert)


def _told(path: Path, batches: Any) -> Iterator[pa.Table]:
    """Tables, with the file's name in what goes wrong."""
    try:
        for batch in batches:
            yield pa.Table.from_batches([batch])
    except pa.ArrowException as error:
        raise DataError(f"{path} cannot be read: {error}") from None


def _require_unique(names: list[str], path: Path) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"column names must be unique, got {', '.join(twice)} several times in {path.name}")


def _without_pointed(scorer: Scorer) -> set[str]:
    """The id columns whose known ids are text, none of them written like 7.0."""
    found = set()
    for name, (kind, transform) in scorer.encoder.columns.items():
        if kind != "categorical" or not isinstance(transform, Vocabulary) or pa.types.is_integer(transform.values.type):
            continue
        if not pc.any(pc.match_substring_regex(transform.values, POINTED)).as_py():
            found.add(name)
    return found
