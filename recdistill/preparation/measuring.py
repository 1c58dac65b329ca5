"""Between the passes: every feature measured over the training rows, its transform fitted, a sample of rows drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recdistill.artefacts import is_whole, new_folder, read_json, write_json
from recdistill.columns import as_arrow, as_numpy, decoded, single
from recdistill.encoder import Encoder
from recdistill.errors import DataError, nearest
from recdistill.fingerprints import places
from recdistill.inspection import SHARES
from recdistill.part_files import RESERVED
from recdistill.preparation.engine import Engine
from recdistill.preparation.fitting import Feature, Measured, Measuring
from recdistill.preparation.settings import PrepareSettings
from recdistill.preparation.splitting import Codes
from recdistill.preparation.workspace import Workspace
from recdistill.progress import Board, tracked
from recdistill.schema import Schema

SAMPLED = 1 << 14
SPLIT = "_split"


@dataclass(frozen=True)
class Measurements:
    """What was measured between the passes.

    Args:
        encoder: fitted.
        statistics: JSON-able, per feature.
        sample: some rows, drawn by their row ids: the columns of the schema but its vectors, and `SPLIT`.
    """

    encoder: Encoder
    statistics: dict[str, Any]
    sample: pa.Table


def features_of(schema: Schema, settings: PrepareSettings, encoder: Encoder | None) -> list[Feature]:
    """The features to encode, with the transforms to fit, or those that were fitted before.

    Raises:
        DataError: the encoder knows a feature that the schema does not, or knows as another kind.
        UsageError: a setting names no feature.
    """
    taken = [name for name in schema.features + schema.privileged_features if name in RESERVED]
    if taken:
        raise DataError(
            f"a prepared table keeps the columns {', '.join(RESERVED)} for itself, got a feature {taken[0]!r}"
        )
    if encoder is None:
        chosen = settings.encoder.transforms(schema, privileged=settings.privileged)
        if not chosen:
            raise DataError("a prepared table needs features, got a schema without any")
        return [Feature(n, place, kind, t, fitted=False) for place, (n, (kind, t)) in enumerate(chosen.items())]
    known = schema.features + schema.privileged_features
    for name, (kind, _) in encoder.columns.items():
        if name not in known:
            raise DataError(f"the encoder's feature {name!r} is not in the schema, {nearest(name, known)}")
        if schema.kind(name) != kind:
            raise DataError(f"the encoder knows {name!r} as a {kind} column, got a {schema.kind(name)} column")
    return [Feature(n, place, kind, t, fitted=True) for place, (n, (kind, t)) in enumerate(encoder.columns.items())]


def measured(
    workspace: Workspace,
    schema: Schema,
    features: Sequence[Feature],
    splits: list[Codes],
    engine: Engine,
    board: Board,
) -> Measurements:
    """Measure every feature, or read what was measured before and kept."""
    if is_whole(workspace.encoder):
        sample = pq.read_table(workspace.encoder / "sample.parquet")
        statistics = read_json(workspace.encoder / "statistics.json")
        return Measurements(Encoder.load(workspace.encoder), statistics, sample)
    samples = _samples(workspace, schema, splits)
    found = []
    with tracked(board, "measuring columns", len(features), "columns"):
        for result in engine.run(Measuring(workspace, splits, samples), features):
            found.append(result)
            board.advance(1)
    found.sort(key=lambda result: result.feature.position)
    encoder = Encoder({m.feature.name: (m.feature.kind, m.feature.transform) for m in found})
    sample = _sampled(workspace, schema, splits, samples, found)
    numbers = sample.select([m.feature.name for m in found if "numbers" in m.facts])
    train = numbers.filter(as_arrow(as_numpy(single(sample, SPLIT)) == 0))
    statistics = {m.feature.name: _with_quantiles(m.facts, m.feature.name, train) for m in found}
    return Measurements(encoder, statistics, sample)


def keep_measured(workspace: Workspace, found: Measurements) -> None:
    """Write down what was measured, so that it is not measured again."""
    if not is_whole(workspace.encoder):
        with new_folder(workspace.encoder) as temporary:
            found.encoder.save(temporary)
            write_json(temporary / "statistics.json", found.statistics)
            pq.write_table(found.sample, temporary / "sample.parquet")


def _samples(workspace: Workspace, schema: Schema, splits: list[Codes]) -> list[pa.Array]:
    """Per part which of its rows are drawn: about `SAMPLED` in all, the same ones however the rows are cut."""
    share = SAMPLED / max(1, sum(map(len, splits)))
    ids = (as_numpy(workspace.column(part, schema.row_id)) for part in range(len(splits)))
    return [as_arrow(np.flatnonzero(places(own.view(np.uint64), seed=1) < share)) for own in ids]


def _sampled(
    workspace: Workspace, schema: Schema, splits: list[Codes], samples: list[pa.Array], found: Sequence[Measured]
) -> pa.Table:
    """The drawn rows: their features, as they were measured, and the roles that are no features."""
    drawn = [codes[as_numpy(rows)] for codes, rows in zip(splits, samples, strict=True)]
    columns = {m.feature.name: m.sample for m in found if m.sample is not None}
    columns[SPLIT] = as_arrow(np.concatenate(drawn))
    answers = (schema.row_id, schema.label, schema.rating, schema.user, schema.item, schema.time)
    for name in {name: None for name in answers if name is not None and name not in columns}:
        pieces = [workspace.column(part, name).take(rows) for part, rows in enumerate(samples)]
        columns[name] = pa.concat_arrays([decoded(piece) for piece in pieces])
    return pa.table(columns)


def _with_quantiles(facts: dict[str, Any], name: str, train: pa.Table) -> dict[str, Any]:
    """A number's statistics with its quantiles in training rows."""
    if "numbers" not in facts:
        return facts
    values = as_numpy(single(train, name).drop_null())
    quantiles = np.quantile(values, SHARES).tolist() if len(values) else [facts["numbers"]["mean"]] * len(SHARES)
    return {**facts, "numbers": {**facts["numbers"], "quantiles": quantiles}}
