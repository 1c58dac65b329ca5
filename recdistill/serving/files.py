"""Files of raw rows scored part by part, in memory that does not grow with their length."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from recdistill.artefacts import new_file
from recdistill.errors import DataError, UsageError, nearest
from recdistill.serving.scorer import Scorer

AT_A_TIME = 65_536
SCORE = "score"
Told = Callable[[int], None]


def score_file(
    scorer: Scorer,
    path: Path | str,
    out: Path | str,
    *,
    keep: Sequence[str] = (),
    top: int = 0,
    by: str | None = None,
    told: Told | None = None,
) -> int:
    """Score the rows of a Parquet or CSV file, in their order, into a Parquet file.

    Args:
        scorer: whose columns the file has, and perhaps others.
        path: `.parquet`, `.csv` or `.tsv` (these also `.gz`). Of text only ids and numbers can be read, no lists.
        out: the Parquet file: the kept columns and `score`, a probability of a click or an expected rating. It appears
            when it is whole; one of that name is replaced.
        keep: columns to copy, e.g. the user and the item; by default every column of the file that is no feature, and
            the features that are ids.
        top: keep only so many rows of each value of `by`, by falling score; of equal scores those that come first.
        by: the column of the user.
        told: called with the rows of each part that is done.

    Returns:
        How many rows were scored.

    Raises:
        UsageError: `top` without `by`, or the other way round.
        DataError: a column is missing or of another type, or the file holds something else.
    """
    path, out = Path(path), Path(out)
    if bool(top) != (by is not None) or top < 0:
        raise UsageError(f"the best rows of each user need both top (at least 1) and by, got {top=}, {by=}")
    file = _opened(path, scorer)
    kept = _kept(file.schema, scorer, keep, by)
    done, best = 0, _empty(file.schema, kept)
    with new_file(out) as temporary, pq.ParquetWriter(temporary, best.schema, compression="zstd") as writer:
        for part in file.parts({*kept, *scorer.columns}):
            scored = _scored(scorer, part, kept)
            if by is None:
                writer.write_table(scored)
            else:
                best = _best(pa.concat_tables([best, scored]), by, top)
            done += len(part)
            if told is not None:
                told(len(part))
        if by is not None:
            writer.write_table(best)
    return done


def rows_in(path: Path) -> int | None:
    """How many rows a file has, where that is known without reading it: of Parquet."""
    return int(pq.read_metadata(path).num_rows) if path.suffix == ".parquet" else None


def _scored(scorer: Scorer, part: pa.Table, kept: Sequence[str]) -> pa.Table:
    return part.select(list(kept)).append_column(SCORE, pa.array(scorer.predict(part), pa.float32()))


def _best(rows: pa.Table, by: str, top: int) -> pa.Table:
    """The first rows of each value by falling score, in the order in which the values first came."""
    of = np.asarray(pc.dictionary_encode(rows.column(by), null_encoding="encode").combine_chunks().indices)
    order = np.lexsort((np.arange(len(rows)), -rows.column(SCORE).to_numpy(), of))
    sorted_of = of[order]
    new = np.append(True, sorted_of[1:] != sorted_of[:-1]) if len(rows) else np.zeros(0, bool)
    starts = np.flatnonzero(new)
    place = np.arange(len(rows)) - np.repeat(starts, np.diff(np.append(starts, len(rows))))
    return rows.take(pa.array(order[place < top]))


class _Parquet:
    """A Parquet file, read part by part."""

    def __init__(self, path: Path) -> None:
        self.file = pq.ParquetFile(path)
        self.schema = self.file.schema_arrow

    def parts(self, names: set[str]) -> Iterator[pa.Table]:
        """Some of its columns."""
        wanted = [name for name in self.schema.names if name in names]
        return (pa.Table.from_batches([part]) for part in self.file.iter_batches(AT_A_TIME, columns=wanted))


class _Text:
    """A CSV or TSV file, read part by part: ids as text, as in training, so that 007 stays 007."""

    def __init__(self, path: Path, delimiter: str, scorer: Scorer) -> None:
        kinds = {name: kind for name, (kind, _) in scorer.encoder.columns.items()}
        if lists := [name for name, kind in kinds.items() if kind in ("multi", "vector")]:
            raise DataError(
                f"lists and vectors are read from Parquet, got the columns {', '.join(lists)} in {path.name}"
            )
        types = {name: pa.large_string() if kind == "categorical" else pa.float64() for name, kind in kinds.items()}
        convert = pcsv.ConvertOptions(column_types=types, strings_can_be_null=True, quoted_strings_can_be_null=False)
        parse = pcsv.ParseOptions(delimiter=delimiter)
        self.reader = pcsv.open_csv(path, parse_options=parse, convert_options=convert)
        self.schema = self.reader.schema

    def parts(self, names: set[str]) -> Iterator[pa.Table]:
        """Some of its columns."""
        wanted = [name for name in self.schema.names if name in names]
        return (pa.Table.from_batches([part]).select(wanted) for part in self.reader)


def _opened(path: Path, scorer: Scorer) -> _Parquet | _Text:
    suffixes = [suffix for suffix in path.suffixes if suffix in (".parquet", ".csv", ".tsv", ".gz")]
    if not path.is_file():
        raise DataError(f"{path} is no file")
    try:
        if suffixes[-1:] == [".parquet"]:
            return _Parquet(path)
        if suffixes[:1] in ([".csv"], [".tsv"]):
            return _Text(path, "," if suffixes[0] == ".csv" else "\t", scorer)
    except pa.ArrowException as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    raise DataError(f"files to score end in .parquet, .csv or .tsv (or these and .gz), got {path.name!r}")


def _kept(schema: pa.Schema, scorer: Scorer, keep: Sequence[str], by: str | None) -> list[str]:
    ids = [name for name, (kind, _) in scorer.encoder.columns.items() if kind == "categorical"]
    others = [name for name in schema.names if name not in scorer.encoder.columns]
    names = list(dict.fromkeys([*(keep or [*ids, *others]), *([by] if by is not None else [])]))
    for name in names:
        if name not in schema.names:
            raise DataError(f"column {name!r} is missing, {nearest(name, schema.names)}")
        if name == SCORE:
            raise DataError(f"the column {SCORE!r} is written, so it cannot be kept: name those to keep")
    return names


def _empty(schema: pa.Schema, kept: Sequence[str]) -> pa.Table:
    fields = [schema.field(name) for name in kept]
    return pa.schema([*fields, pa.field(SCORE, pa.float32())]).empty_table()
