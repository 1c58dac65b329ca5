"""Batches: what is hidden at random looks as if it were missing, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch

from recdistill.batch import Batch
from recdistill.encoder import Encoder
from recdistill.errors import DataError
from recdistill.schema import Schema
from recdistill.streams import stream
from recdistill.tables import Table

SCHEMA = Schema(categorical=("a", "b"), multi=("m",), number=("n", "o"), vector=("v",))
COLUMNS = {
    "a": ["x", "y"],
    "b": [1, 2],
    "m": [["p", "q"], ["q"]],
    "n": [1.0, 3.0],
    "o": [5.0, 9.0],
    "v": [[1.0], [2.0]],
}
HIDDEN = ("b", "m", "n")


def tensors(batch: Batch) -> list[torch.Tensor]:
    return [batch.ids, *batch.multi, batch.number, *batch.vector]


def test_a_feature_hidden_always_is_encoded_as_if_it_were_missing() -> None:
    table = Table(pa.table(COLUMNS), SCHEMA)
    encoder = Encoder.fit(table)
    blank = {
        "b": pa.nulls(2, pa.int64()),
        "m": pa.array([[], None], pa.list_(pa.string())),
        "n": pa.nulls(2, pa.float64()),
    }
    expected = encoder.encode(Table(pa.table(COLUMNS | blank), SCHEMA))
    hidden = encoder.encode(table).with_hidden(encoder.spec, dict.fromkeys(HIDDEN, 1.0), stream(0))
    for found, wanted in zip(tensors(hidden), tensors(expected), strict=True):
        width = wanted.shape[1] if wanted.ndim > 1 else None
        assert torch.equal(found[:, :width], wanted)
    assert (hidden.multi[0][:, 1] == -1).all()


def test_each_feature_is_hidden_at_its_rate_and_the_batch_it_came_from_stays() -> None:
    rows = 20_000
    table = Table(pa.table({name: values * (rows // 2) for name, values in COLUMNS.items()}), SCHEMA)
    encoder = Encoder.fit(table)
    batch = encoder.encode(table)
    before = [tensor.clone() for tensor in tensors(batch)]
    hidden = batch.with_hidden(encoder.spec, {"b": 0.3, "n": 0.6}, stream(1))
    assert all(torch.equal(x, y) for x, y in zip(tensors(batch), before, strict=True))
    assert float((hidden.ids[:, 1] == 0).float().mean()) == pytest.approx(0.3, abs=0.02)
    assert float((hidden.number[:, 0] == 0).float().mean()) == pytest.approx(0.6, abs=0.02)
    assert torch.equal(hidden.ids[:, 0], batch.ids[:, 0])
    assert torch.equal(hidden.number[:, 1], batch.number[:, 1])
    both = np.mean(((hidden.ids[:, 1] == 0) & (hidden.number[:, 0] == 0)).numpy())
    assert both == pytest.approx(0.18, abs=0.02)


def test_a_vector_cannot_be_hidden() -> None:
    encoder = Encoder.fit(Table(pa.table(COLUMNS), SCHEMA))
    with pytest.raises(DataError, match="only id and number features can be hidden, got 'v'"):
        encoder.encode(Table(pa.table(COLUMNS), SCHEMA)).with_hidden(encoder.spec, {"v": 0.5}, stream(0))
