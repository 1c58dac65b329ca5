"""Between the passes: each column measured over the training rows, and its transform fitted from what was measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recdistill.columns import as_arrow, decoded
from recdistill.errors import DataError
from recdistill.inspection import missing_rows, respelt
from recdistill.preparation.counting import Counter
from recdistill.preparation.splitting import Codes
from recdistill.preparation.workspace import Workspace
from recdistill.transforms import Counts, Hashing, LogBuckets, Quantiles, Scaled, Transform, Vocabulary


@dataclass(frozen=True)
class Feature:
    """A feature column and its transform.

    Args:
        name: of the column.
        position: among the features.
        kind: "categorical", "multi", "number" or "vector".
        transform: to fit, or fitted.
        fitted: which of them.
    """

    name: str
    position: int
    kind: str
    transform: Transform
    fitted: bool

    def items(self, column: pa.Array) -> pa.Array:
        """A column's values, those of lists one by one."""
        return pc.list_flatten(column) if self.kind == "multi" else column


@dataclass(frozen=True)
class Measured:
    """What came of measuring a column.

    Args:
        feature: with its fitted transform.
        facts: JSON-able statistics of the training rows, as in `ColumnProfile`.
        sample: the column's values in a sample of all rows; None of vectors.
    """

    feature: Feature
    facts: dict[str, Any]
    sample: pa.Array | None


@dataclass(frozen=True)
class Measuring:
    """Measures columns of the rows as they were read.

    Args:
        workspace: where they are.
        splits: per part (rows,) which split each row is in.
        samples: per part which of its rows are in the sample.
    """

    workspace: Workspace
    splits: list[Codes]
    samples: list[pa.Array]

    def __call__(self, feature: Feature) -> Measured:
        """Measure a column and fit its transform."""
        rows, absent, sample = 0, 0, []
        kind = ""
        with Counter(self.workspace.counts(feature.position)) as counter:
            found = _Ids(feature, counter) if feature.kind in ("categorical", "multi") else _Numbers(feature, counter)
            for part, codes in enumerate(self.splits):
                column = self.workspace.column(part, feature.name)
                train = column.filter(as_arrow(codes == 0)) if codes.any() else column
                rows, absent = rows + len(train), absent + missing_rows(train)
                kind = str(decoded(feature.items(train[:0])).type)
                found.add(feature.items(train))
                if feature.kind != "vector":
                    sample.append(decoded(column.take(self.samples[part])))
            transform, facts = found.finish()
        facts = {"kind": feature.kind, "type": kind, "rows": rows, "missing": absent, **facts}
        done = replace(feature, transform=transform, fitted=True)
        return Measured(done, facts, pa.concat_arrays(sample) if sample else None)


class _Ids:
    """Counts of an id column."""

    def __init__(self, feature: Feature, counter: Counter) -> None:
        self.feature, self.counter = feature, counter
        self.values = self.distinct = self.known_values = self.known_distinct = self.respelt = 0

    def add(self, items: pa.Array) -> None:
        """Count a piece."""
        self.counter.add(Vocabulary().measure(items))

    def finish(self) -> tuple[Transform, dict[str, Any]]:
        """The fitted transform and what was found."""
        transform, partitions = self.feature.transform, self._tallied()
        if not self.feature.fitted and isinstance(transform, Vocabulary):
            transform = transform.fitted(partitions)
        for _ in partitions:  # what fitting did not need, the statistics do
            pass
        facts: dict[str, Any] = {"values": self.values, "distinct": self.distinct}
        if self.feature.fitted and isinstance(transform, Vocabulary):
            facts["seen"] = {
                "values": self.known_values,
                "distinct": self.known_distinct,
                "respelt": 0 if self.known_distinct else self.respelt,
            }
        if transform != self.feature.transform and isinstance(transform, Hashing):
            facts["beyond"] = transform.buckets
        return transform, facts

    def _tallied(self) -> Iterator[Counts]:
        for part in self.counter.partitions():
            self.distinct, self.values = self.distinct + len(part), self.values + part.total
            if self.feature.fitted and isinstance(self.feature.transform, Vocabulary):
                known = self.feature.transform.encode(part.values) != 0
                self.known_distinct += int(known.sum())
                self.known_values += int(part.counts[known].sum())
                if not self.known_distinct:
                    self.respelt += _respelt(part.values, self.feature.transform.values)
            yield part


class _Numbers:
    """Moments of a number or vector column, and counts where its transform needs them."""

    def __init__(self, feature: Feature, counter: Counter) -> None:
        self.feature, self.counter = feature, counter
        self.plain: list[Any] = []
        self.own: list[Any] = []
        self.least, self.most = np.inf, -np.inf

    def add(self, items: pa.Array) -> None:
        """Measure a piece."""
        if not len(items):
            return
        self.plain.append(Scaled().measure(items))
        if self.feature.kind == "number" and items.null_count < len(items):
            found = pc.min_max(items)
            self.least, self.most = min(self.least, found["min"].as_py()), max(self.most, found["max"].as_py())
        if self.feature.fitted or self.feature.transform == Scaled():
            return
        measured = self.feature.transform.measure(items)
        if isinstance(measured, Counts):
            self.counter.add(measured)
        else:
            self.own.append(measured)

    def finish(self) -> tuple[Transform, dict[str, Any]]:
        """The fitted transform and what was found."""
        transform, whole = self.feature.transform, Scaled().fitted(self.plain)
        if not self.feature.fitted:
            transform = self._fitted(transform)
        if self.feature.kind == "vector":
            return transform, {"dim": whole.dim}
        if not np.isfinite(self.least):
            return transform, {}
        if not np.isfinite([whole.mean[0], whole.deviation[0]]).all():
            largest = max(self.most, -self.least)
            raise DataError(f"numbers must be small enough to square, got {largest:g} in {self.feature.name!r}")
        spread = 0.0 if self.least == self.most else whole.deviation[0]
        moments = {"mean": whole.mean[0], "deviation": spread, "low": float(self.least), "high": float(self.most)}
        return transform, {"numbers": moments}

    def _fitted(self, transform: Any) -> Transform:
        if isinstance(transform, Quantiles | LogBuckets):
            return transform.fitted(self.counter.partitions())
        return transform.fitted(self.plain if transform == Scaled() else self.own)


def _respelt(values: pa.Array, known: pa.Array) -> int:
    """How many values are known in another spelling."""
    here, there = (respelt(side.cast(pa.large_string())) for side in (values, known))
    return int(pc.sum(pc.is_in(here, there)).as_py() or 0)
