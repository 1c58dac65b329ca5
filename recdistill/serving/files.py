"""Files of raw rows scored part by part, in memory that does not grow with their length."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recdistill.artefacts import new_file
from recdistill.columns import decoded, single
from recdistill.errors import DataError, UsageError, nearest
from recdistill.features import UNSEEN
from recdistill.serving.reading import AT_A_TIME, opened
from recdistill.serving.scorer import Scorer

SCORE = "score"
Told = Callable[[int], None]


@dataclass(frozen=True)
class Scored:
    """What became of a file of rows.

    Args:
        rows: how many were scored.
        kept: how many stand in the scores' file.
        unknown: per column of ids how many rows have none, or one that the student does not know.
    """

    rows: int
    kept: int
    unknown: Mapping[str, int]


def score_file(
    scorer: Scorer,
    path: Path | str,
    out: Path | str,
    *,
    keep: Sequence[str] = (),
    top: int = 0,
    by: str | None = None,
    overwrite: bool = False,
    told: Told | None = None,
) -> Scored:
    """Score the rows of a Parquet or CSV file, in their order, into a Parquet file.

    Args:
        scorer: whose columns the file has, and perhaps others.
        path: `.parquet`, `.csv` or `.tsv` (these also `.gz`), see `reading`. Of text no lists can be read.
        out: the Parquet file: the kept columns and `score`, a probability of a click or an expected rating. It appears
            when it is whole.
        keep: columns to copy, e.g. the user and the item; by default every column of the file that is no feature, and
            the features that are ids.
        top: keep only so many rows of each value of `by`, by falling score; of equal scores those that come first. They
            are held in memory: as many rows as there are values, times `top`.
        by: the column of the user.
        overwrite: replace a file of that name.
        told: called with the rows of each part that is done.

    Raises:
        UsageError: `top` without `by`, or the other way round; or `out` does not end in `.parquet`, or there is
            something of that name.
        DataError: a column is missing or of another type, or the file holds something else.
    """
    path, out = Path(path), Path(out)
    if bool(top) != (by is not None) or top < 0:
        rule = "the best rows of each user need both top, at least 1, and by, their column"
        raise UsageError(f"{rule}; got {top=}, {by=}")
    file = opened(path, scorer)
    _require_free(out, path, overwrite)
    kept = _kept(file.schema, scorer, keep, by)
    none, done, columns = _empty(file.schema, kept), 0, [name for name, _ in scorer.encoder.spec.categorical]
    unknown = np.zeros(len(columns), np.int64)
    best = None if by is None else _Best(by, top, none)
    with new_file(out) as temporary, pq.ParquetWriter(temporary, none.schema, compression="zstd") as writer:
        for part in file.parts({*kept, *scorer.columns}):
            fed = scorer.encoded(part)
            unknown += (fed["ids"] == UNSEEN).sum(0)
            found = scorer.predicted(scorer.score_encoded(fed))
            scored = part.select(kept).append_column(SCORE, pa.array(found, pa.float32()))
            writer.write_table(scored) if best is None else best.add(scored)
            done += len(part)
            if told is not None:
                told(len(part))
        kept_rows = done
        if best is not None:
            writer.write_table(rows := best.rows())
            kept_rows = len(rows)
    return Scored(done, kept_rows, dict(zip(columns, unknown.tolist(), strict=True)))


def rows_in(path: Path) -> int | None:
    """How many rows a file has, where that is known without reading it: of Parquet."""
    try:
        return int(pq.read_metadata(path).num_rows) if path.suffix == ".parquet" else None
    except pa.ArrowException:  # which scoring it will say
        return None


class _Best:
    """The first rows of each value of a column by falling score.

    Args:
        by: the column.
        top: how many rows of each.
        none: no rows, with all columns.
    """

    def __init__(self, by: str, top: int, none: pa.Table) -> None:
        if pa.types.is_nested(kind := none.schema.field(by).type):
            raise DataError(f"rows are grouped by a column of single values, got {kind} in {by!r}")
        self.by, self.top, self.found, self.waiting = by, top, none, [none]

    def add(self, rows: pa.Table) -> None:
        """Further rows; looked at when they are as many as those that are kept, so that each is sorted few times."""
        self.waiting.append(rows)
        if sum(map(len, self.waiting)) > max(len(self.found), 4 * AT_A_TIME):
            self.rows()

    def rows(self) -> pa.Table:
        """The best so far, in the order in which the values first came."""
        rows = pa.concat_tables([self.found, *self.waiting]).unify_dictionaries().combine_chunks()
        coded = decoded(single(rows, self.by)).dictionary_encode()
        of = np.asarray(pc.fill_null(coded.indices, len(coded.dictionary)))  # rows without a value are one user's
        order = np.lexsort((np.arange(len(rows)), -rows.column(SCORE).to_numpy(), of))
        new = np.ones(len(rows), bool)
        new[1:] = of[order][1:] != of[order][:-1]
        starts = np.flatnonzero(new)
        place = np.arange(len(rows)) - np.repeat(starts, np.diff(np.append(starts, len(rows))))
        self.found, self.waiting = rows.take(pa.array(order[place < self.top])), []
        return self.found


def _require_free(out: Path, path: Path, overwrite: bool) -> None:
    if out.suffix.lower() != ".parquet" and not out.is_dir():
        raise UsageError(f"scores are written as Parquet, to a name that ends in .parquet, got {out.name!r}")
    if out.exists() and out.samefile(path):
        raise UsageError(f"{out} is the file to score; choose another name for the scores")
    if out.is_dir() or (out.exists() and not overwrite):
        asked = "" if out.is_dir() else " or pass --overwrite"
        raise UsageError(f"{out} is there already; choose another name{asked}")


def _kept(schema: pa.Schema, scorer: Scorer, keep: Sequence[str], by: str | None) -> list[str]:
    ids = [name for name, (kind, _) in scorer.encoder.columns.items() if kind == "categorical" and name in schema.names]
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
